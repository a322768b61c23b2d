use super::*;
use crate::wal::file::{WalFiles, WalLog};
use crate::wal::frame::Frame;

/// Frames without rows, in files that are turned where `|` stands.
fn write(folder: &Path, plan: &str) {
    let files = WalFiles::default();
    let mut log = WalLog::new(folder, &files, 1);
    for letter in plan.chars() {
        match letter {
            '|' => files.turn(),
            _ => {
                let mut frame = [Frame::encode(&[]).expect("an empty frame")];
                log.append(frame.iter_mut()).expect("room on the disk");
            }
        }
    }
}

fn read(folder: &Path, sealed: u64) -> (Vec<u64>, Replay) {
    let mut seen = Vec::new();
    let reading = Reading { folder, damaged: Some(folder), sealed };
    let replay = reading.replay(|sequence, _| seen.push(sequence)).expect("files that read");
    (seen, replay)
}

#[test]
fn frames_behind_the_position_come_back_in_order_and_sealed_files_go() {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), "fff|ff|f");
    let (seen, replay) = read(folder.path(), 4);
    assert_eq!((seen, replay.first_sequence, replay.last_sequence), (vec![5, 6], 5, 6));
    assert_eq!(replay.files.len(), 2, "the first file is in segments as a whole");
    assert!(!folder.path().join("00000000000000000001.wal").exists());
    assert!(replay.notes.is_empty());
}

#[test]
fn zeros_at_the_end_are_room_that_was_never_filled() {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), "ff");
    let path = folder.path().join("00000000000000000001.wal");
    let mut bytes = fs::read(&path).expect("a file");
    let length = bytes.len();
    bytes.resize(length + 5_000, 0);
    fs::write(&path, &bytes).expect("a file");
    let (seen, replay) = read(folder.path(), 0);
    assert_eq!((seen, replay.torn_bytes, replay.damaged), (vec![1, 2], 5_000, 0));
    assert_eq!(fs::metadata(&path).expect("a file").len(), length as u64);
}

#[test]
fn a_damaged_frame_is_kept_under_the_same_name_each_time() {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), "fff");
    let path = folder.path().join("00000000000000000001.wal");
    let mut bytes = fs::read(&path).expect("a file");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, &bytes).expect("a file");
    for _ in 0..2 {
        let (seen, replay) = read(folder.path(), 0);
        assert_eq!((seen, replay.damaged, replay.torn_bytes), (vec![1, 3], 1, 0));
    }
    let frames = fs::read_dir(folder.path()).expect("a folder").filter(|entry| {
        entry.as_ref().is_ok_and(|entry| entry.path().extension().is_some_and(|e| e == "frame"))
    });
    assert_eq!(frames.count(), 1);
}
