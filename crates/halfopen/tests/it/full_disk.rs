//! A disk that is full: senders are told to come back, nothing acknowledged is lost, and the
//! service goes on once there is room.

use std::path::Path;
use std::process::Command;

use crate::process::{Served, post, query};
use halfopen_ingest::sample;

const SPANS: u64 = 200;

/// A file system of a size of its own; unmounted when dropped.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount(mebibytes: u32) -> Option<SmallDisk> {
        let folder = tempfile::tempdir().expect("a folder");
        let size = format!("size={mebibytes}m");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(folder.path())
            .output()
            .ok()?;
        mounted.status.success().then_some(SmallDisk(folder))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0.path()).status();
    }
}

#[test]
fn a_full_disk_refuses_and_goes_on_when_there_is_room() {
    let Some(disk) = SmallDisk::mount(24) else {
        eprintln!("SKIPPED: a full disk needs the right to mount a tmpfs");
        return;
    };
    let ballast = disk.path().join("ballast");
    std::fs::write(&ballast, vec![0; 12 << 20]).expect("there is room at first");
    let data = disk.path().join("data");
    let at_once = [("HALFOPEN_SERVE_PATIENCE_SECONDS_MAX", "0")];
    let mut served = Served::start(&data, &at_once);
    let send = |served: &Served, seed: u64| {
        let body = sample::traces(seed, SPANS as usize, 12);
        let sent = post(&served.otlp_http, "/v1/traces", "application/x-protobuf", &body);
        sent.expect("an answer").0
    };
    let mut acknowledged = 0;
    let refused = (0..2_000).find(|seed| match send(&served, *seed) {
        200 => {
            acknowledged += 1;
            false
        }
        status => {
            assert!(matches!(status, 429 | 503), "status {status}");
            true
        }
    });
    let refused = refused.expect("the disk is full at some time");
    let count = |served: &Served| {
        query(&served.http, "select count(*) from spans")[0][0].as_u64().expect("a count")
    };
    assert_eq!(count(&served), acknowledged * SPANS, "answers go on while the disk is full");

    std::fs::remove_file(&ballast).expect("a file");
    let again = (0..5_000).find(|_| send(&served, refused) == 200);
    assert!(again.is_some(), "the service goes on once there is room");
    acknowledged += 1;
    assert_eq!(count(&served), acknowledged * SPANS);
    served.kill();
    let served = Served::start(&data, &[]);
    assert_eq!(count(&served), acknowledged * SPANS, "nothing acknowledged was lost");
}
