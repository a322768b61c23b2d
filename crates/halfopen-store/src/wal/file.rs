//! The files of the WAL on disk: appending, starting a new one, cutting what is in segments.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::error::StoreError;
use crate::folder::sync_folder;
use crate::wal::frame::Frame;

/// Begins every file.
pub(crate) const FILE_MAGIC: [u8; 8] = *b"hoWAL\r\n\x01";

/// A file that is longer is followed by a new one: files are deleted whole.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// A file that is no longer written to, or is the one that is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WalFile {
    pub(crate) path: PathBuf,
    /// Its last frame; 0 for none.
    pub(crate) last_sequence: u64,
    pub(crate) bytes: u64,
}

/// All files. The writer adds, sealing cuts.
#[derive(Debug, Default)]
pub(crate) struct WalFiles {
    files: Mutex<Vec<WalFile>>,
    /// The next frame is to begin a new file: what is there now is going into segments.
    turn: AtomicBool,
}

impl WalFiles {
    /// Files that were there at the start.
    pub(crate) fn new(files: Vec<WalFile>) -> WalFiles {
        WalFiles { files: Mutex::new(files), turn: AtomicBool::new(false) }
    }

    fn change<T>(&self, act: impl FnOnce(&mut Vec<WalFile>) -> T) -> T {
        act(&mut self.files.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Number and size on disk.
    pub(crate) fn size(&self) -> (u64, u64) {
        self.change(|files| (files.len() as u64, files.iter().map(|file| file.bytes).sum()))
    }

    /// Asks for a new file with the next frame.
    pub(crate) fn turn(&self) {
        self.turn.store(true, Ordering::Release);
    }

    /// Deletes the files in which every frame is in a segment. The file that is written to goes
    /// too, when asked: the caller knows that nothing is written any more.
    ///
    /// # Errors
    /// When a file cannot be deleted; the others are.
    pub(crate) fn cut(&self, sealed: u64, all: bool) -> Result<(), StoreError> {
        let gone = self.change(|files| {
            let keep_last = usize::from(!all);
            let count = files.len().saturating_sub(keep_last);
            let head = files.drain(..count).collect::<Vec<_>>();
            let (gone, kept): (Vec<_>, Vec<_>) =
                head.into_iter().partition(|file| file.last_sequence <= sealed);
            files.splice(0..0, kept);
            gone
        });
        for file in &gone {
            match fs::remove_file(&file.path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(StoreError::file("delete", &file.path)(error));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Appends frames.
pub(crate) struct WalLog<'a> {
    folder: PathBuf,
    files: &'a WalFiles,
    current: Option<Current>,
    next_sequence: u64,
}

struct Current {
    file: File,
    /// Length up to the last frame that is durable.
    bytes: u64,
}

impl<'a> WalLog<'a> {
    /// A log that goes on with the frame `next_sequence`, in a new file.
    pub(crate) fn new(folder: &Path, files: &'a WalFiles, next_sequence: u64) -> WalLog<'a> {
        WalLog { folder: folder.to_owned(), files, current: None, next_sequence }
    }

    /// Makes frames durable, all or none; the sequence number of the last one.
    ///
    /// # Errors
    /// When the disk does not take them. What was written of them is cut off, or left behind in
    /// a file that is not written to again: after a failed sync the cache of the system cannot be
    /// trusted.
    pub(crate) fn append<'f>(
        &mut self,
        frames: impl Iterator<Item = &'f mut Frame>,
    ) -> io::Result<u64> {
        let mut current = self.current()?;
        let mut bytes = current.bytes;
        let mut written = Ok(());
        for frame in frames {
            let sequence = self.next_sequence;
            self.next_sequence += 1;
            bytes += frame.len() as u64;
            written = current.file.write_all(frame.seal(sequence));
            if written.is_err() {
                break;
            }
        }
        if let Err(error) = written {
            // The file can be trusted as far as it was synced before.
            if current.file.set_len(current.bytes).is_ok() {
                self.current = Some(current);
            }
            return Err(error);
        }
        if let Err(error) = current.file.sync_data() {
            let _ = current.file.set_len(current.bytes);
            return Err(error);
        }
        current.bytes = bytes;
        self.current = Some(current);
        let last = self.next_sequence - 1;
        self.files.change(|files| {
            if let Some(file) = files.last_mut() {
                file.last_sequence = last;
                file.bytes = bytes;
            }
        });
        Ok(last)
    }

    fn current(&mut self) -> io::Result<Current> {
        let turn = self.files.turn.swap(false, Ordering::AcqRel);
        match self.current.take() {
            Some(current) if !turn && current.bytes < FILE_BYTES_MAX => Ok(current),
            _ => self.begin(),
        }
    }

    fn begin(&mut self) -> io::Result<Current> {
        let path = self.folder.join(format!("{:020}.wal", self.next_sequence));
        let begun = begin_file(&path, &self.folder);
        if begun.is_err() {
            let _ = fs::remove_file(&path);
        }
        let file = begun?;
        let bytes = FILE_MAGIC.len() as u64;
        self.files.change(|files| files.push(WalFile { path, last_sequence: 0, bytes }));
        Ok(Current { file, bytes })
    }
}

fn begin_file(path: &Path, folder: &Path) -> io::Result<File> {
    // Appending: after the length was cut back, the next frame follows the last good one.
    let mut file = OpenOptions::new().append(true).create_new(true).open(path)?;
    file.write_all(&FILE_MAGIC)?;
    file.sync_all()?;
    sync_folder(folder).map_err(io::Error::other)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wal_file(last_sequence: u64, folder: &Path) -> WalFile {
        let path = folder.join(format!("{last_sequence}.wal"));
        fs::write(&path, b"x").expect("a file");
        WalFile { path, last_sequence, bytes: 1 }
    }

    #[test]
    fn only_whole_files_that_are_sealed_are_cut_and_never_the_one_in_use() {
        let folder = tempfile::tempdir().expect("a folder");
        let files = WalFiles::new([3, 7, 9].map(|n| wal_file(n, folder.path())).into());
        files.cut(7, false).expect("files that can be deleted");
        assert_eq!((files.size(), folder.path().join("9.wal").exists()), ((1, 1), true));
        files.cut(9, false).expect("nothing to do");
        assert_eq!(files.size(), (1, 1));
        files.cut(9, true).expect("a file that can be deleted");
        assert_eq!((files.size(), folder.path().join("9.wal").exists()), ((0, 0), false));
    }

    #[test]
    fn a_new_file_begins_when_asked_and_numbers_go_on() {
        let folder = tempfile::tempdir().expect("a folder");
        let files = WalFiles::default();
        let mut log = WalLog::new(folder.path(), &files, 5);
        let frame = || [Frame::encode(&[]).expect("an empty frame")];
        assert_eq!(log.append(frame().iter_mut()).expect("room"), 5);
        assert_eq!(log.append(frame().iter_mut()).expect("room"), 6);
        files.turn();
        assert_eq!(log.append(frame().iter_mut()).expect("room"), 7);
        assert_eq!(files.size().0, 2);
        assert!(folder.path().join("00000000000000000007.wal").exists());
    }
}
