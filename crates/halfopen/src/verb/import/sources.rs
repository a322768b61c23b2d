//! Which files are read, in which order.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use halfopen_model::{Clock, UnixNanos};

use crate::Failure;

/// Files of one import: a folder with more is a mistake, or wants to be imported in parts.
const FILES_MAX: usize = 100_000;
/// Folders inside folders.
const DEPTH_MAX: usize = 32;

/// One thing to read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Source {
    /// Where it is; `None` for standard input.
    pub(super) path: Option<PathBuf>,
    /// Its name in reports and rejects: a file's path below what was asked for.
    pub(super) name: String,
    /// Its size on disk; 0 where it is not known.
    pub(super) bytes: u64,
    /// When things without a time of their own are taken to have happened: when the file was
    /// written.
    pub(super) at: UnixNanos,
}

/// What `path` names: itself, or all files below it, sorted by name.
pub(super) fn list(path: &Path, clock: &dyn Clock) -> Result<Vec<Source>, Failure> {
    if path == Path::new("-") {
        let name = "-".to_owned();
        return Ok(vec![Source { path: None, name, bytes: 0, at: clock.now() }]);
    }
    let metadata = fs::metadata(path).map_err(|error| unreadable(path, &error))?;
    if !metadata.is_dir() {
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        return Ok(vec![source(path, name, &metadata, clock)]);
    }
    let mut sources = Vec::new();
    walk(path, path, 0, clock, &mut sources)?;
    if sources.is_empty() {
        return Err(Failure::usage(format!("\"{}\" holds no file", path.display()))
            .detail("hidden files and links are left out"));
    }
    Ok(sources)
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::environment(format!("could not read \"{}\"", path.display())).cause(error)
}

fn source(path: &Path, name: String, metadata: &fs::Metadata, clock: &dyn Clock) -> Source {
    let written = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let nanos = written.and_then(|since| i64::try_from(since.as_nanos()).ok());
    let at = nanos.map_or_else(|| clock.now(), UnixNanos);
    Source { path: Some(path.to_owned()), name, bytes: metadata.len(), at }
}

fn walk(
    top: &Path,
    folder: &Path,
    depth: usize,
    clock: &dyn Clock,
    sources: &mut Vec<Source>,
) -> Result<(), Failure> {
    let failed = |error: std::io::Error| unreadable(folder, &error);
    let entries = fs::read_dir(folder).map_err(failed)?;
    let mut paths = Vec::new();
    for entry in entries {
        paths.push(entry.map_err(failed)?.path());
    }
    paths.sort();
    for path in paths {
        let is_hidden =
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        // Links may lead in a circle, or out of the folder.
        let metadata = fs::symlink_metadata(&path).map_err(|error| unreadable(&path, &error))?;
        if is_hidden || metadata.is_symlink() {
            continue;
        }
        if metadata.is_dir() && depth < DEPTH_MAX {
            walk(top, &path, depth + 1, clock, sources)?;
        } else if metadata.is_file() {
            let name = path.strip_prefix(top).unwrap_or(&path).to_string_lossy().into_owned();
            sources.push(source(&path, name, &metadata, clock));
        }
        if sources.len() > FILES_MAX {
            return Err(Failure::usage(format!("more than {FILES_MAX} files"))
                .hint("import the folders below it one by one"));
        }
    }
    Ok(())
}
