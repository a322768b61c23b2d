//! Which segments a merge was made of, in small files beside the catalogue. They are of use only
//! when the catalogue is lost: then they tell which segments hold the same rows.
//!
//! A file is written when all merged segments are whole, and removed with the segments that they
//! were made of.

use std::collections::HashSet;
use std::fs;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::error::StoreError;
use crate::folder::{Folder, write_whole};

/// One merge. Names are those of the catalogue.
#[derive(Debug, Serialize, Deserialize)]
struct Merged {
    gone: Vec<String>,
    come: Vec<String>,
}

/// The merges of a folder.
#[derive(Debug, Default)]
pub(crate) struct Merges {
    all: Vec<(PathBuf, Merged)>,
}

/// Takes note of a merge.
pub(crate) fn write(
    folder: &Folder,
    id: i64,
    gone: Vec<String>,
    come: Vec<String>,
) -> Result<(), StoreError> {
    let path = folder.path("merges").join(format!("{id:010}.json"));
    let bytes = serde_json::to_vec(&Merged { gone, come }).unwrap_or_default();
    write_whole(&path, &bytes).map_err(StoreError::file("write", path))
}

/// Forgets merges of which nothing is left that was merged.
pub(crate) fn tidy(folder: &Folder) {
    for (path, merged) in Merges::read(folder).all {
        if !merged.gone.iter().any(|file| folder.path(file).exists()) {
            // It stays for the next time, when it cannot be removed now.
            let _ = fs::remove_file(path);
        }
    }
}

impl Merges {
    /// Reads all of them; one that does not read says nothing.
    pub(crate) fn read(folder: &Folder) -> Merges {
        let entries = fs::read_dir(folder.path("merges")).into_iter().flatten().flatten();
        let read = entries.filter_map(|entry| {
            let merged = serde_json::from_slice(&fs::read(entry.path()).ok()?).ok()?;
            Some((entry.path(), merged))
        });
        Merges { all: read.collect() }
    }

    /// Segments whose rows are in other ones of `whole`.
    pub(crate) fn superseded(&self, whole: &HashSet<String>) -> HashSet<String> {
        let mut superseded = HashSet::new();
        for (_, merged) in &self.all {
            let all_there = merged.come.iter().all(|file| whole.contains(file));
            superseded.extend(if all_there { &merged.gone } else { &merged.come }.iter().cloned());
        }
        superseded
    }
}
