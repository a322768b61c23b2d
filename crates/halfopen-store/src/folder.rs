//! The data folder: which file lies where, its format and its lock.
//!
//! ```text
//! FORMAT             "halfopen store 2"
//! LOCK               held by the process that has the folder open; says which
//! catalogue.sqlite   segments, WAL position, snapshot
//! CATALOGUE          instead of it: under which id a server knows the folder
//! wal/               write-ahead log
//! segments/TABLE/    Parquet files, and beside each a filter of its ids
//! merges/            which segments a merge was made of, while those are there
//! seen/              fingerprints of rows that were sealed lately
//! damaged/           what was found broken, as it was found
//! ```

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use halfopen_model::Table;

use crate::error::StoreError;

/// The format of folders that this version writes.
pub(crate) const FORMAT: u32 = 2;
const FORMAT_WORDS: &str = "halfopen store ";
/// The lock of a folder, let go with the value.
pub(crate) struct FolderLock(File);

impl Drop for FolderLock {
    /// Closing the file is not enough: a process that was begun a moment ago has a copy of it until
    /// it runs its program, and the copy holds the lock.
    fn drop(&mut self) {
        let _ = self.0.unlock();
    }
}

/// More than a lock file ever holds: who has the folder, in one line.
const LOCK_BYTES_MAX: u64 = 512;

/// A data folder that this process holds.
#[derive(Debug)]
pub(crate) struct Folder {
    root: PathBuf,
}

impl Folder {
    /// Makes the folder where needed, takes its lock, checks its format.
    pub(crate) fn create(root: &Path) -> Result<(Folder, FolderLock), StoreError> {
        fs::create_dir_all(root).map_err(StoreError::file("make the folder", root))?;
        let folder = Folder { root: root.to_owned() };
        if !folder.path("FORMAT").exists() {
            folder.refuse_foreign()?;
        }
        let lock = folder.lock()?;
        if folder.path("FORMAT").exists() {
            folder.format()?;
        } else {
            folder.upgraded()?;
        }
        let tables = Table::ALL.map(|table| format!("segments/{table}"));
        for name in ["wal", "segments", "merges", "seen", "damaged"]
            .iter()
            .map(|n| (*n).to_owned())
            .chain(tables)
        {
            let path = folder.path(&name);
            fs::create_dir_all(&path).map_err(StoreError::file("make the folder", &path))?;
        }
        sync_folder(&folder.path("segments"))?;
        sync_folder(root)?;
        Ok((folder, lock))
    }

    /// Takes the lock of a folder that is there, and checks its format.
    pub(crate) fn existing(root: &Path) -> Result<(Folder, FolderLock), StoreError> {
        let folder = Folder { root: root.to_owned() };
        if !root.is_dir() {
            return Err(StoreError::Missing { folder: root.to_owned() });
        }
        folder.format()?;
        let lock = match folder.lock() {
            // Nobody can write here: a snapshot, a backup. Others may read beside us.
            Err(StoreError::File { path, source, .. }) if is_read_only(&source) => {
                FolderLock(File::open(&path).map_err(StoreError::file("open", &path))?)
            }
            lock => lock?,
        };
        Ok((folder, lock))
    }

    /// A folder that this process holds already.
    pub(crate) fn at(root: &Path) -> Folder {
        Folder { root: root.to_owned() }
    }

    /// A path inside the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Where segments of a table lie.
    pub(crate) fn segments(&self, table: Table) -> PathBuf {
        self.root.join("segments").join(table.name())
    }

    /// Keeps a file out of the way; where it is now.
    pub(crate) fn set_aside(&self, path: &Path) -> io::Result<PathBuf> {
        let name = path.file_name().unwrap_or_default();
        let aside = self.root.join("damaged").join(name);
        fs::rename(path, &aside)?;
        Ok(aside)
    }

    fn refuse_foreign(&self) -> Result<(), StoreError> {
        let listed = fs::read_dir(&self.root);
        let mut entries = listed.map_err(StoreError::file("list the folder", &self.root))?;
        let foreign = entries.find_map(|entry| {
            let name = entry.ok()?.file_name().to_string_lossy().into_owned();
            (name != "LOCK" && name != "lost+found").then_some(name)
        });
        match foreign {
            None => Ok(()),
            Some(name) => Err(StoreError::NotOurs {
                folder: self.root.clone(),
                reason: format!("it holds \"{name}\" and no file FORMAT"),
            }),
        }
    }

    /// The format of the folder: the newest, or an older one.
    pub(crate) fn format(&self) -> Result<u32, StoreError> {
        let path = self.path("FORMAT");
        let not_ours = |reason: String| StoreError::NotOurs { folder: self.root.clone(), reason };
        if !path.exists() {
            return Err(not_ours("it has no file FORMAT".to_owned()));
        }
        let bytes = fs::read(&path).map_err(StoreError::file("read", &path))?;
        let text = String::from_utf8_lossy(&bytes);
        let found = text.trim().strip_prefix(FORMAT_WORDS).and_then(|word| word.parse().ok());
        match found {
            None => Err(not_ours(format!("its file FORMAT says {:?}", text.trim()))),
            Some(found) if found > FORMAT => {
                Err(StoreError::NewerFormat { folder: self.root.clone(), found, known: FORMAT })
            }
            Some(found) => Ok(found),
        }
    }

    /// Says that everything in the folder has the newest format.
    pub(crate) fn upgraded(&self) -> Result<(), StoreError> {
        self.write_new("FORMAT", format!("{FORMAT_WORDS}{FORMAT}\n").as_bytes())
    }

    fn lock(&self) -> Result<FolderLock, StoreError> {
        let path = self.path("LOCK");
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = file.map_err(StoreError::file("open", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut by = String::new();
                let _ = (&file).take(LOCK_BYTES_MAX).read_to_string(&mut by);
                let by = Some(by.trim().to_owned()).filter(|by| !by.is_empty());
                return Err(StoreError::Locked { folder: self.root.clone(), by });
            }
            Err(TryLockError::Error(source)) => {
                return Err(StoreError::File { what: "lock", path, source });
            }
        }
        // Word for others only: a full disk must not keep us from reading.
        let _ = file.set_len(0).and_then(|()| file.rewind());
        let _ = writeln!(file, "process {}", std::process::id());
        Ok(FolderLock(file))
    }

    fn write_new(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let path = self.path(name);
        write_whole(&path, bytes).map_err(StoreError::file("write", &path))
    }
}

fn is_read_only(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::ReadOnlyFilesystem
}

/// Writes a file so that it is there whole or not at all, also after a crash.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let unfinished = path.with_extension("tmp");
    let written = File::create(&unfinished).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    if let Err(error) = written.and_then(|()| fs::rename(&unfinished, path)) {
        let _ = fs::remove_file(&unfinished);
        return Err(error);
    }
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}

/// Makes names in a folder durable.
pub(crate) fn sync_folder(path: &Path) -> Result<(), StoreError> {
    File::open(path)
        .and_then(|folder| folder.sync_all())
        .map_err(StoreError::file("sync the folder", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_free_when_its_lock_is_let_go_whoever_has_a_copy_of_the_file() {
        let place = tempfile::tempdir().expect("a folder");
        let folder = Folder { root: place.path().to_owned() };
        let lock = folder.lock().expect("nobody has it");
        // What a process that is being begun has.
        let _copy = lock.0.try_clone().expect("a file");
        assert!(matches!(folder.lock(), Err(StoreError::Locked { .. })));
        drop(lock);
        assert!(folder.lock().is_ok());
    }
}
