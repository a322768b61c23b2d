//! PostgreSQL gone for a while, and answers of it that never arrive.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use halfopen_model::Table;
use halfopen_model::port::{Refusal, WriteEvidence};
use halfopen_store::{CatalogueUrl, CompactReport, Store, StoreConfig, StoreError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};

use crate::compact::shifted;
use crate::postgres::Server;
use crate::support::{clock, config, number, put, spans};

const ROWS: usize = 200;
const MIB: usize = 1024 * 1024;
const COUNT: &str = "SELECT count(*) FROM spans";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_server_is_gone_rows_are_taken_and_found_and_afterwards_all_catches_up() {
    let Some(server) = Server::start() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let settings = StoreConfig {
        catalogue: CatalogueUrl::new(server.url()),
        hot_bytes_max: 64 * MIB,
        retention_days: 7,
        ..config(folder.path())
    };
    let (store, _) = Store::open(settings.clone(), clock()).await.expect("a server");
    // One of them is older than rows are kept.
    for (seed, hours) in [(1, -24 * 30), (2, 0), (3, 0)] {
        put(&store, shifted(&spans(ROWS, seed), &|_| hours)).await;
        store.seal().await.expect("a server");
    }
    assert!(store.stats().catalogue_up);
    server.stop();
    put(&store, spans(ROWS, 4)).await;
    for _ in 0..2 {
        store.seal().await.expect_err("there is no catalogue");
    }
    store.compact().await.expect_err("there is no catalogue");
    store.retain().await.expect_err("there is no catalogue");
    let stats = store.stats();
    assert!(!stats.catalogue_up && stats.catalogue_losses > 0, "{stats:?}");
    assert_eq!(number(&store, COUNT).await, 4 * ROWS as i64);
    let mut rows = 4 * ROWS as u64;
    let refused = loop {
        match store.write(vec![spans(5_000, 100 + rows)]).await {
            Ok(written) => rows += written.rows,
            Err(refusal) => break refusal,
        }
    };
    assert!(matches!(&refused, Refusal::Later { reason, .. } if reason.contains("memory")));
    assert_eq!(number(&store, COUNT).await, rows as i64);

    server.go_on();
    store.seal().await.expect("a server");
    assert!(store.stats().catalogue_up);
    put(&store, spans(ROWS, 5)).await;
    store.retain().await.expect("a server");
    let rows = rows as i64;
    assert_eq!(number(&store, COUNT).await, rows, "one more write, and one that was too old");
    assert!(store.compact().await.expect("a server").inputs > 1);
    assert_eq!(number(&store, COUNT).await, rows);
    store.close(Duration::from_secs(10)).await;
    drop(store);
    let (store, report) = Store::open(settings, clock()).await.expect("a server");
    assert_eq!(report.damaged_segments + report.damaged_frames, 0, "{report}");
    assert_eq!(number(&store, COUNT).await, rows);
}

/// Between the store and the server.
struct Between {
    url: String,
    way: Arc<Way>,
}

#[derive(Default)]
struct Way {
    /// What happens on it: one of the constants below.
    act: AtomicU8,
    /// Commits that pass before one is lost.
    passing: AtomicU64,
    /// Connections that were turned away.
    turned_away: AtomicU64,
}

const PASS: u8 = 0;
/// The next commit is done, its answer is lost with the connection.
const LOSE_COMMIT: u8 = 1;
/// So it is, and nobody gets through afterwards.
const LOSE_COMMIT_AND_CLOSE: u8 = 2;
const CLOSED: u8 = 3;

impl Between {
    async fn of(server: &Server) -> Between {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let way = Arc::new(Way::default());
        let (accepting, socket) = (Arc::clone(&way), server.socket());
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.expect("a connection");
                tokio::spawn(carry(client, socket.clone(), Arc::clone(&accepting)));
            }
        });
        Between { url: format!("postgres://halfopen@127.0.0.1:{port}/postgres"), way }
    }

    fn turn(&self, act: u8) {
        self.way.act.store(act, Ordering::SeqCst);
    }

    /// Waits until so many connections were turned away.
    async fn turned_away(&self, connections: u64) {
        while self.way.turned_away.load(Ordering::SeqCst) < connections {
            tokio::task::yield_now().await;
        }
    }
}

async fn carry(mut client: TcpStream, socket: PathBuf, way: Arc<Way>) {
    if way.act.load(Ordering::SeqCst) == CLOSED {
        way.turned_away.fetch_add(1, Ordering::SeqCst);
        return;
    }
    let Ok(mut server) = UnixStream::connect(socket).await else { return };
    let (mut asked, mut said) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        tokio::select! {
            read = client.read(&mut asked) => {
                let Ok(bytes @ 1..) = read else { return };
                let commits = asked[..bytes].windows(6).any(|word| word == b"COMMIT");
                if server.write_all(&asked[..bytes]).await.is_err() { return };
                let act = way.act.load(Ordering::SeqCst);
                let loses = commits && (act == LOSE_COMMIT || act == LOSE_COMMIT_AND_CLOSE);
                let passing = way.passing.load(Ordering::SeqCst);
                if loses && passing > 0 {
                    way.passing.store(passing - 1, Ordering::SeqCst);
                } else if loses {
                    let after = if act == LOSE_COMMIT { PASS } else { CLOSED };
                    way.act.store(after, Ordering::SeqCst);
                    let _done = server.read(&mut said).await;
                    return;
                }
            }
            read = server.read(&mut said) => {
                let Ok(bytes @ 1..) = read else { return };
                if client.write_all(&said[..bytes]).await.is_err() { return };
            }
        }
    }
}

fn sealed(store: &Store) -> (u64, u64) {
    let spans = store.stats().tables[Table::Spans as usize];
    (spans.segments, spans.sealed_rows)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_whose_answer_is_lost_is_made_once() {
    let Some(server) = Server::start() else { return };
    let between = Between::of(&server).await;
    let folder = tempfile::tempdir().expect("a folder");
    let settings = StoreConfig {
        catalogue: CatalogueUrl::new(&between.url),
        retention_days: 7,
        ..config(folder.path())
    };
    let (store, _) = Store::open(settings.clone(), clock()).await.expect("a server");
    let rows = ROWS as u64;
    put(&store, spans(ROWS, 1)).await;
    between.turn(LOSE_COMMIT);
    store.seal().await.expect("a seal that is found to be made");
    assert_eq!(sealed(&store), (1, rows));

    put(&store, spans(ROWS, 2)).await;
    between.turn(LOSE_COMMIT_AND_CLOSE);
    store.seal().await.expect_err("nobody says whether it was made");
    assert_eq!(number(&store, COUNT).await, 2 * ROWS as i64);
    between.turn(PASS);
    store.seal().await.expect("a seal that is found to be made");
    assert_eq!(sealed(&store), (2, 2 * rows));

    put(&store, shifted(&spans(ROWS, 3), &|_| -24 * 30)).await;
    store.seal().await.expect("a server");
    between.turn(LOSE_COMMIT);
    store.retain().await.expect("retention that is found to be done");
    assert_eq!((sealed(&store), store.stats().expired_rows), ((2, 2 * rows), rows));

    let merging = merging_until_its_answer_is_lost(&store, &between).await;
    let before = between.way.turned_away.load(Ordering::SeqCst);
    between.turned_away(before + 2).await;
    assert_eq!(number(&store, COUNT).await, 2 * ROWS as i64, "readers go on meanwhile");
    between.turn(PASS);
    let merged = merging.await.expect("no panic").expect("a merge that is found to be made");
    assert_eq!((merged.inputs, sealed(&store)), (2, (1, 2 * rows)));

    // Once more, and the process ends before it is known.
    put(&store, spans(ROWS, 4)).await;
    store.seal().await.expect("a server");
    let before = between.way.turned_away.load(Ordering::SeqCst);
    let merging = merging_until_its_answer_is_lost(&store, &between).await;
    between.turned_away(before + 2).await;
    store.close(Duration::ZERO).await;
    merging.await.expect("no panic").expect_err("nobody knows");
    drop(store);
    between.turn(PASS);
    let (store, report) = Store::open(settings, clock()).await.expect("a server");
    assert_eq!((report.damaged_segments, report.notes.len()), (0, 0), "{report}");
    assert_eq!((number(&store, COUNT).await, sealed(&store)), (3 * ROWS as i64, (2, 3 * rows)));
    let merged = store.compact().await.expect("a server");
    // The one that was lost had taken in the fresh segment; it is not taken in again.
    assert_eq!((merged.inputs, sealed(&store)), (2, (1, 3 * rows)));
    assert_eq!(number(&store, COUNT).await, 3 * ROWS as i64);
}

type Merging = tokio::task::JoinHandle<Result<CompactReport, StoreError>>;

/// Begins a merge and loses the answer to its last commit.
async fn merging_until_its_answer_is_lost(store: &Store, between: &Between) -> Merging {
    // The names of a merge are reserved by a commit of their own.
    between.way.passing.store(1, Ordering::SeqCst);
    between.turn(LOSE_COMMIT_AND_CLOSE);
    let store = store.clone();
    tokio::spawn(async move { store.compact().await })
}
