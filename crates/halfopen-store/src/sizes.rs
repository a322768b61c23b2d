//! What the files of a folder take on disk: every file is counted.

use std::collections::BTreeMap;
use std::path::Path;

use crate::error::StoreError;

/// Files of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartSize {
    /// What they are: `wal`, `segments/spans`, ...
    pub part: String,
    /// How many.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// The sizes of all files below `folder`, by kind.
///
/// # Errors
/// When a folder cannot be listed.
pub fn sizes(folder: &Path) -> Result<Vec<PartSize>, StoreError> {
    let mut parts = BTreeMap::new();
    add(folder, "", &mut parts)?;
    Ok(parts.into_values().collect())
}

fn add(
    folder: &Path,
    name: &str,
    parts: &mut BTreeMap<String, PartSize>,
) -> Result<(), StoreError> {
    for entry in std::fs::read_dir(folder).map_err(StoreError::file("list", folder))? {
        let entry = entry.map_err(StoreError::file("list", folder))?;
        // A file may be gone by now: a server works here.
        let Ok(about) = entry.metadata() else { continue };
        let file = entry.file_name().to_string_lossy().into_owned();
        if about.is_dir() {
            let below = if name.is_empty() { file } else { format!("{name}/{file}") };
            add(&entry.path(), &below, parts)?;
            continue;
        }
        let part = match (name, file.split_once('.')) {
            ("", Some(("catalogue", _))) => "catalogue".to_owned(),
            ("", _) => "other".to_owned(),
            (name, _) if name.starts_with("segments/") && !file.ends_with(".parquet") => {
                format!("{name} (side files)")
            }
            _ => name.to_owned(),
        };
        let size = parts.entry(part.clone()).or_default();
        *size = PartSize { part, files: size.files + 1, bytes: size.bytes + about.len() };
    }
    Ok(())
}
