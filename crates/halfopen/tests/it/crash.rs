//! `kill -9` in the middle of ingest: what was acknowledged is there after the next start, and
//! what is sent again is there once.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::mpsc;

use crate::process::{Served, post, query};

/// What issue 2 asks for.
const ROUNDS: u64 = 50;
/// Spans of one export, all of one trace.
const SPANS: u8 = 4;
/// Acknowledgements after which the process is killed at the latest.
const ACKNOWLEDGED_MAX: u64 = 60;
/// Small bounds, so that segments are written while the process is being killed.
const SEALING: [(&str, &str); 2] =
    [("HALFOPEN_STORE_SEAL_ROWS", "150"), ("HALFOPEN_STORE_SEAL_AFTER_S", "1")];

/// The next number of a stream that a seed begins (splitmix64).
fn chance(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A trace that says which export it came with.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Export {
    round: u64,
    sender: u8,
    number: u32,
}

impl Export {
    fn trace_id(self) -> [u8; 16] {
        let mut id = [0; 16];
        id[0] = 0xaa;
        id[3..7].copy_from_slice(&(self.round as u32).to_be_bytes());
        id[7] = self.sender;
        id[12..].copy_from_slice(&self.number.to_be_bytes());
        id
    }

    fn hex(self) -> String {
        self.trace_id().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// `ExportTraceServiceRequest` in protobuf; the same bytes each time.
    fn body(self) -> Vec<u8> {
        let wrap = |field: u8, inner: &[u8]| {
            let mut out = vec![field << 3 | 2];
            let mut length = inner.len();
            while length >= 0x80 {
                out.push(length as u8 | 0x80);
                length >>= 7;
            }
            out.push(length as u8);
            out.extend(inner);
            out
        };
        let attribute = |key: &str, value: &str| {
            let value = wrap(1, value.as_bytes());
            [wrap(1, key.as_bytes()), wrap(2, &value)].concat()
        };
        let mut spans = Vec::new();
        for number in 1..=SPANS {
            let start = 1_795_185_000_000_000_000_u64 + u64::from(number);
            let time = [&[7 << 3 | 1][..], &start.to_le_bytes()].concat();
            let ids = [wrap(1, &self.trace_id()), wrap(2, &[number; 8])].concat();
            let request = wrap(9, &attribute("x-request-id", &format!("req_{}", self.hex())));
            spans.push(wrap(2, &[ids, wrap(5, b"crash"), time, request].concat()));
        }
        let service = attribute("service.name", &format!("round-{}", self.round));
        let resource = wrap(1, &wrap(1, &service));
        wrap(1, &[resource, wrap(2, &spans.concat())].concat())
    }

    fn send(self, address: &str) -> bool {
        let sent = post(address, "/v1/traces", "application/x-protobuf", &self.body());
        matches!(sent, Some((200, _)))
    }
}

/// What the senders of a round know when the server is gone.
#[derive(Default)]
struct Known {
    acknowledged: Vec<Export>,
    /// Those without an answer, of senders that retry.
    to_retry: Vec<Export>,
    /// Those without an answer, of senders that do not.
    given_up: Vec<Export>,
}

/// Sends until the server is gone; every other sender will try again what was not answered.
fn send_and_kill(served: &mut Served, round: u64, senders: u8) -> Known {
    let kill_after = 1 + chance(round) % ACKNOWLEDGED_MAX;
    let known = Mutex::new(Known::default());
    let (tell, told) = mpsc::channel();
    let address = served.otlp_http.clone();
    std::thread::scope(|scope| {
        for sender in 0..senders {
            let (known, address, tell) = (&known, &address, tell.clone());
            scope.spawn(move || {
                for number in 0.. {
                    let export = Export { round, sender, number };
                    let acknowledged = export.send(address);
                    let mut known = known.lock().expect("no sender fails");
                    match (acknowledged, sender % 2) {
                        (true, _) => known.acknowledged.push(export),
                        (false, 0) => known.to_retry.push(export),
                        (false, _) => known.given_up.push(export),
                    }
                    drop(known);
                    if !acknowledged {
                        return;
                    }
                    // The other side listens only until it has heard enough.
                    let _ = tell.send(());
                }
            });
        }
        drop(tell);
        for _ in 0..kill_after {
            told.recv().expect("an acknowledgement");
        }
        served.kill();
    });
    known.into_inner().expect("no sender fails")
}

/// Spans of each trace of a round, by the hex of its id.
fn spans_of(served: &Served, round: u64) -> BTreeMap<String, u64> {
    let sql = format!(
        "select trace_id, count(*) from spans where service = 'round-{round}' group by trace_id"
    );
    let rows = query(&served.http, &sql);
    let pair = |row: &Vec<serde_json::Value>| {
        (row[0].as_str().expect("hex").to_owned(), row[1].as_u64().expect("a count"))
    };
    rows.iter().map(pair).collect()
}

#[test]
fn nothing_acknowledged_is_lost_when_the_process_is_killed() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let mut expected_spans = 0;
    let mut served = Served::start(&data, &SEALING);
    for round in 0..ROUNDS {
        let senders = 2 + (chance(round ^ 0xfeed) % 5) as u8;
        let known = send_and_kill(&mut served, round, senders);
        served = Served::start(&data, &SEALING);
        let seed = format!("seed {round}, {senders} senders");

        let found = spans_of(&served, round);
        for export in &known.acknowledged {
            let spans = found.get(&export.hex()).copied();
            assert_eq!(spans, Some(u64::from(SPANS)), "{seed}: {export:?} was acknowledged");
        }
        for (trace, spans) in &found {
            assert_eq!(*spans, u64::from(SPANS), "{seed}: {trace} is there in part");
        }
        // What was not answered is sent again; so is some of what was.
        let again = known.to_retry.iter().chain(known.acknowledged.iter().take(5));
        for export in again {
            assert!(export.send(&served.otlp_http), "{seed}: {export:?} is not taken again");
        }
        let found = spans_of(&served, round);
        assert!(found.values().all(|spans| *spans == u64::from(SPANS)), "{seed}: kept twice");
        let all = known.acknowledged.len() + known.to_retry.len();
        assert!(found.len() >= all && found.len() <= all + known.given_up.len(), "{seed}");
        expected_spans += found.len() as u64 * u64::from(SPANS);
        eprintln!(
            "{seed}: {} acknowledged, {} tried again, {} given up",
            known.acknowledged.len(),
            known.to_retry.len(),
            known.given_up.len()
        );
    }
    let total = query(&served.http, "select count(*) from spans")[0][0].as_u64();
    assert_eq!(total, Some(expected_spans), "rows of earlier rounds are still there, once");
    assert_eq!(served.stop(), Some(0));
}
