//! Which segments, and which of their row groups, may hold an id: a compact filter for each
//! segment in a side file, so that a lookup opens only the segments that it has to.
//!
//! **Invariant:** a filter only excludes. A side file that is missing, damaged or of another
//! segment excludes nothing, and is made again from the segment.

mod build;
mod file;
mod fuse;
mod key;
mod remake;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::{fs, io};

use futures::{StreamExt, stream};

use crate::counters::count;
use crate::segment::Segment;
use crate::shared::Shared;
pub(crate) use build::IndexBuilder;
use file::{Directory, Prints};
pub(crate) use file::{EXTENSION, UNFINISHED, identity, path_of};
pub(crate) use key::Probe;
use key::{Kind, Wanted};

/// Memory of all filters that are kept. Ten million spans take about 15 MB; those beyond the
/// bound are read for each lookup.
pub(crate) const FILTER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Side files that are read at the same time: small reads wait for the disk, not for a core.
const LOADERS: usize = 8;

/// The filters of one segment, read when they are first wanted.
#[derive(Debug, Default)]
pub(crate) struct SegmentIndex {
    state: RwLock<State>,
    /// Whether its side file was to be made again; that is tried once.
    remade: AtomicBool,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Unread,
    /// There is no whole side file.
    Missing,
    Read(Arc<Directory>, [Option<Arc<Kept>>; Kind::ALL.len()]),
}

/// Fingerprints in memory.
#[derive(Debug)]
struct Kept {
    prints: Prints,
    memory: Arc<AtomicUsize>,
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.memory.fetch_sub(self.prints.bytes.len(), Ordering::Relaxed);
    }
}

/// What filters say of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Verdict {
    /// Rows may lie in these row groups; in none, when empty.
    Groups(Groups),
    /// There is no filter.
    Unknown,
}

/// A segment that may hold wanted rows.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    pub(crate) segment: Arc<Segment>,
    /// Its row groups that may; `None` for all.
    pub(crate) groups: Option<Groups>,
}

/// Some row groups of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Groups {
    pub(crate) some: Vec<usize>,
    /// How many the segment has.
    pub(crate) all: usize,
}

impl Candidate {
    fn whole(segment: Arc<Segment>) -> Candidate {
        Candidate { segment, groups: None }
    }
}

impl SegmentIndex {
    /// The verdict, when it takes no reading.
    fn ask(&self, probe: &Probe) -> Option<Verdict> {
        match &*self.state.read().unwrap_or_else(PoisonError::into_inner) {
            State::Unread => None,
            State::Missing => Some(Verdict::Unknown),
            State::Read(directory, kinds) => {
                let kept = kinds[probe.kind as usize].as_ref();
                judge(directory, kept.map(|kept| &kept.prints), probe)
            }
        }
    }

    /// The verdict, read from the side file where necessary.
    fn ask_disk(&self, segment: &Segment, probe: &Probe, memory: &Arc<AtomicUsize>) -> Verdict {
        if let Some(verdict) = self.ask(probe) {
            return verdict;
        }
        let Some((directory, prints)) = file::read(&segment.info, &segment.path, probe.kind) else {
            self.set(State::Missing);
            return Verdict::Unknown;
        };
        let verdict = judge(&directory, Some(&prints), probe).unwrap_or(Verdict::Unknown);
        self.keep(directory, prints, probe.kind, memory);
        verdict
    }

    fn keep(&self, directory: Directory, prints: Prints, kind: Kind, memory: &Arc<AtomicUsize>) {
        let bytes = prints.bytes.len();
        let held = memory.fetch_add(bytes, Ordering::Relaxed);
        // Counted from here on, and counted off when it is dropped.
        let kept = Kept { prints, memory: Arc::clone(memory) };
        let kept = (held + bytes <= FILTER_BYTES_MAX).then(|| Arc::new(kept));
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if !matches!(&*state, State::Read(_, _)) {
            *state = State::Read(Arc::new(directory), Default::default());
        }
        if let State::Read(_, kinds) = &mut *state
            && kept.is_some()
        {
            kinds[kind as usize] = kept;
        }
    }

    fn set(&self, state: State) {
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = state;
    }

    /// Whether the side file is missing and was not made again yet.
    fn is_to_remake(&self) -> bool {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        matches!(&*state, State::Missing) && !self.remade.load(Ordering::Relaxed)
    }
}

/// What the filters say; `None` when it takes fingerprints that are not given.
fn judge(directory: &Directory, prints: Option<&Prints>, probe: &Probe) -> Option<Verdict> {
    let entries = directory.of(probe.kind);
    if entries.len() != directory.groups as usize {
        return Some(Verdict::Unknown);
    }
    let mut groups = Vec::new();
    for entry in entries.iter().filter(|entry| entry.keys > 0) {
        let within = |wanted: &&Wanted| wanted.first <= entry.last && entry.first <= wanted.last;
        let mut near = probe.wanted.iter().filter(within).peekable();
        if near.peek().is_none() {
            continue;
        }
        let Some(shape) = entry.shape else {
            groups.push(entry.group as usize);
            continue;
        };
        let prints = prints?.of(entry)?;
        let may_hold = |wanted: &Wanted| match wanted.key(entry.left_out) {
            Some(hash) => shape.may_hold(prints, hash),
            None => true,
        };
        if near.any(may_hold) {
            groups.push(entry.group as usize);
        }
    }
    Some(Verdict::Groups(Groups { some: groups, all: directory.groups as usize }))
}

/// Those of `segments` that may hold what is looked for.
pub(crate) async fn keep(
    shared: &Arc<Shared>,
    segments: Vec<Arc<Segment>>,
    probe: Option<Probe>,
) -> Vec<Candidate> {
    let Some(probe) = probe.filter(|_| !segments.is_empty()) else {
        return segments.into_iter().map(Candidate::whole).collect();
    };
    count(&shared.counters.lookups);
    shared.counters.lookup_segments.fetch_add(segments.len() as u64, Ordering::Relaxed);
    let mut candidates = Vec::new();
    let mut unread = Vec::new();
    for segment in segments {
        match segment.index.ask(&probe) {
            Some(verdict) => candidates.extend(candidate(segment, verdict)),
            None => unread.push(segment),
        }
    }
    if !unread.is_empty() {
        candidates.extend(read_all(shared, unread, &probe).await);
    }
    shared.counters.lookup_opened.fetch_add(candidates.len() as u64, Ordering::Relaxed);
    let missing = candidates.iter().map(|found| &found.segment);
    let missing: Vec<_> = missing.filter(|s| s.index.is_to_remake()).cloned().collect();
    if !missing.is_empty() {
        remake::start(shared, missing);
    }
    candidates
}

fn candidate(segment: Arc<Segment>, verdict: Verdict) -> Option<Candidate> {
    match verdict {
        Verdict::Unknown => Some(Candidate::whole(segment)),
        Verdict::Groups(groups) if groups.some.is_empty() => None,
        Verdict::Groups(groups) => Some(Candidate { segment, groups: Some(groups) }),
    }
}

async fn read_all(
    shared: &Arc<Shared>,
    unread: Vec<Arc<Segment>>,
    probe: &Probe,
) -> Vec<Candidate> {
    let share = unread.len().div_ceil(LOADERS);
    let parts: Vec<Vec<_>> = unread.chunks(share).map(<[_]>::to_vec).collect();
    let read = stream::iter(parts).map(|part| {
        let (shared, probe) = (Arc::clone(shared), probe.clone());
        let whole = part.clone();
        async move {
            let read = tokio::task::spawn_blocking(move || {
                let ask = |segment: Arc<Segment>| {
                    let verdict = segment.index.ask_disk(&segment, &probe, &shared.filter_bytes);
                    candidate(segment, verdict)
                };
                part.into_iter().filter_map(ask).collect::<Vec<_>>()
            });
            // Without a thread to read in, nothing is excluded.
            read.await.unwrap_or_else(|_| whole.into_iter().map(Candidate::whole).collect())
        }
    });
    read.buffer_unordered(LOADERS).collect::<Vec<_>>().await.concat()
}

/// What a side file in memory says of `id`: for each kind its row groups, and how many there are.
pub(crate) fn ask_bytes(
    bytes: &[u8],
    id: &[u8],
    read_at: impl Fn(&mut [u8], u64) -> io::Result<()>,
) -> (Vec<Option<Vec<usize>>>, usize) {
    let identity = bytes.get(8..16).and_then(|bytes| bytes.try_into().ok());
    let identity = u64::from_le_bytes(identity.unwrap_or_default());
    let mut all = 0;
    let asked = Kind::ALL.map(|kind| {
        let length = bytes.len() as u64;
        let (directory, prints) = file::content(identity, kind, length, &read_at)?;
        all = directory.groups as usize;
        match judge(&directory, Some(&prints), &Probe::of_id(kind, id)) {
            Some(Verdict::Groups(groups)) => Some(groups.some),
            _ => None,
        }
    });
    (asked.to_vec(), all)
}

/// Removes side files in the folders of segments whose segment is gone.
pub(crate) fn tidy(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    for path in paths {
        let extension = path.extension().and_then(|extension| extension.to_str());
        let is_left = match extension {
            Some(UNFINISHED) => true,
            Some(EXTENSION) => !path.with_extension("parquet").exists(),
            _ => false,
        };
        if is_left {
            let _ = fs::remove_file(&path);
        }
    }
}

/// Writes the side file of a segment. It is no loss when that fails: it is made again when it is
/// first missed.
pub(crate) fn write(segment: &Path, content: &[u8]) {
    let path = path_of(segment);
    let unfinished = path.with_extension(UNFINISHED);
    let written = fs::write(&unfinished, content).and_then(|()| fs::rename(&unfinished, &path));
    if let Err(error) = written {
        let _ = fs::remove_file(&unfinished);
        tracing::warn!(path = %path.display(), error = %error, "filter was not written");
    }
}
