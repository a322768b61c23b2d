//! Reads the WAL back at the start: whole frames are applied, a torn end is cut, damage is set
//! aside and stepped over.

use std::fs::{self, OpenOptions};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::Scope;

use crate::error::StoreError;
use crate::folder::write_whole;
use crate::wal::file::{FILE_MAGIC, WalFile};
use crate::wal::frame::{BadFrame, Head, MAGIC, Part};

/// Threads that read frames, beside the one that applies them: reading takes about twice as long.
const DECODERS: usize = 2;
/// Frames that each of them reads before their turn: some megabytes of senders' exports.
const AHEAD_FRAMES: usize = 4;

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Replay {
    /// Files that still hold rows that are in no segment.
    pub(crate) files: Vec<WalFile>,
    /// The first frame that is in no segment; 0 for none.
    pub(crate) first_sequence: u64,
    /// The last frame that was seen.
    pub(crate) last_sequence: u64,
    pub(crate) frames: u64,
    pub(crate) bytes: u64,
    pub(crate) torn_bytes: u64,
    pub(crate) damaged: u64,
    pub(crate) notes: Vec<String>,
}

/// Where to read, and what may be changed there.
pub(crate) struct Reading<'a> {
    /// The folder of the WAL.
    pub(crate) folder: &'a Path,
    /// Where damaged frames are kept; `None` when nothing may be written.
    pub(crate) damaged: Option<&'a Path>,
    /// Frames up to this one are in segments.
    pub(crate) sealed: u64,
}

/// One stretch of a file.
enum Stretch {
    Frame { head: Head, place: Range<usize> },
    Damage(Range<usize>),
    Torn(Range<usize>),
}

impl Stretch {
    /// The frame whose rows are in no segment, if it is one.
    fn wanted(&self, sealed: u64) -> Option<(&Head, &Range<usize>)> {
        match self {
            Stretch::Frame { head, place } if head.sequence > sealed => Some((head, place)),
            _ => None,
        }
    }
}

/// What the bytes of a file are, as it is read at a start.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct LogRead {
    /// Frames that are whole and read.
    pub frames: usize,
    /// Their rows.
    pub rows: usize,
    /// Frames that are whole and do not read.
    pub unreadable: usize,
    /// Bytes of all whole frames.
    pub frame_bytes: usize,
    /// Bytes that would be kept as damaged.
    pub damaged_bytes: usize,
    /// Bytes that would be cut off as never acknowledged.
    pub torn_bytes: usize,
}

impl LogRead {
    pub(crate) fn of(bytes: &[u8]) -> LogRead {
        let mut log = LogRead::default();
        for stretch in stretches(bytes) {
            match stretch {
                Stretch::Frame { head, place } => {
                    log.frame_bytes += place.len();
                    match parts(bytes, &head, &place) {
                        Ok(parts) => {
                            log.frames += 1;
                            log.rows +=
                                parts.iter().map(|part| part.rows.num_rows()).sum::<usize>();
                        }
                        Err(_) => log.unreadable += 1,
                    }
                }
                Stretch::Damage(place) => log.damaged_bytes += place.len(),
                Stretch::Torn(place) => log.torn_bytes += place.len(),
            }
        }
        log
    }
}

/// The rows of a frame.
type Decoded = Result<Vec<Part>, BadFrame>;

fn parts(bytes: &[u8], head: &Head, place: &Range<usize>) -> Decoded {
    head.parts(&bytes[place.start + head.frame_bytes() - head.payload_bytes..])
}

impl Reading<'_> {
    /// Gives every frame that is in no segment to `apply`, in order.
    ///
    /// # Errors
    /// When a file cannot be read at all. Damage is no error.
    pub(crate) fn replay(
        &self,
        mut apply: impl FnMut(u64, Vec<Part>),
    ) -> Result<Replay, StoreError> {
        let mut replay = Replay { last_sequence: self.sealed, ..Replay::default() };
        for path in self.list()? {
            let bytes = fs::read(&path).map_err(StoreError::file("read", &path))?;
            let stretches = stretches(&bytes);
            std::thread::scope(|scope| {
                let decoded = self.decode_ahead(scope, &bytes, &stretches);
                self.replay_file(path, &bytes, &stretches, &decoded, &mut replay, &mut apply)
            })?;
        }
        Ok(replay)
    }

    /// Reads the frames of a file in threads of their own, each every so many, so that they are
    /// read while those before are applied. What has no place in a channel waits.
    fn decode_ahead<'scope>(
        &self,
        scope: &'scope Scope<'scope, '_>,
        bytes: &'scope [u8],
        stretches: &'scope [Stretch],
    ) -> [Receiver<Decoded>; DECODERS] {
        let sealed = self.sealed;
        std::array::from_fn(|decoder| {
            let (done, decoded) = sync_channel(AHEAD_FRAMES);
            let decode = move || {
                let frames = stretches.iter().filter_map(|stretch| stretch.wanted(sealed));
                let mut own = frames.skip(decoder).step_by(DECODERS);
                // Whoever applies them may have given up.
                let _ = own.try_for_each(|(head, place)| done.send(parts(bytes, head, place)));
            };
            let thread = std::thread::Builder::new().name("halfopen-replay".to_owned());
            if let Err(error) = thread.spawn_scoped(scope, decode) {
                // Each frame is read when it is its turn.
                tracing::warn!(error = %error, "a thread could not be made");
            }
            decoded
        })
    }

    fn replay_file(
        &self,
        path: PathBuf,
        bytes: &[u8],
        stretches: &[Stretch],
        decoded: &[Receiver<Decoded>; DECODERS],
        replay: &mut Replay,
        apply: &mut impl FnMut(u64, Vec<Part>),
    ) -> Result<(), StoreError> {
        let mut file = WalFile { path, last_sequence: 0, bytes: bytes.len() as u64 };
        let mut decoders = decoded.iter().cycle();
        for stretch in stretches {
            if let Stretch::Frame { head, .. } = stretch {
                file.last_sequence = file.last_sequence.max(head.sequence);
            }
            match stretch {
                Stretch::Frame { head, place } => {
                    if stretch.wanted(self.sealed).is_none() {
                        continue;
                    }
                    replay.frames += 1;
                    if replay.first_sequence == 0 {
                        replay.first_sequence = head.sequence;
                    }
                    replay.bytes += place.len() as u64;
                    let ahead = decoders.next().and_then(|decoder| decoder.recv().ok());
                    match ahead.unwrap_or_else(|| parts(bytes, head, place)) {
                        Ok(parts) => apply(head.sequence, parts),
                        Err(_) => self.keep(&file.path, bytes, place.clone(), replay)?,
                    }
                }
                Stretch::Damage(place) => self.keep(&file.path, bytes, place.clone(), replay)?,
                Stretch::Torn(place) => self.cut(&mut file, place.clone(), replay)?,
            }
        }
        replay.last_sequence = replay.last_sequence.max(file.last_sequence);
        self.keep_file(file, replay)
    }

    fn list(&self) -> Result<Vec<PathBuf>, StoreError> {
        let listed = fs::read_dir(self.folder).map_err(StoreError::file("list", self.folder))?;
        let mut paths: Vec<PathBuf> = listed
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|extension| extension == "wal"))
            .collect();
        paths.sort();
        Ok(paths)
    }

    /// A file whose rows are all in segments was about to be deleted.
    fn keep_file(&self, file: WalFile, replay: &mut Replay) -> Result<(), StoreError> {
        if file.last_sequence > self.sealed {
            replay.files.push(file);
        } else if self.damaged.is_some() {
            fs::remove_file(&file.path).map_err(StoreError::file("delete", &file.path))?;
        }
        Ok(())
    }

    /// Sets damaged bytes aside, under a name that is the same each time they are met.
    fn keep(
        &self,
        path: &Path,
        bytes: &[u8],
        place: Range<usize>,
        replay: &mut Replay,
    ) -> Result<(), StoreError> {
        replay.damaged += 1;
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        replay.notes.push(format!(
            "{} bytes of the write-ahead log {name} are damaged at byte {}; their rows are lost",
            place.len(),
            place.start
        ));
        if let Some(folder) = self.damaged {
            let aside = folder.join(format!("wal-{name}-{}.frame", place.start));
            write_whole(&aside, &bytes[place]).map_err(StoreError::file("write", &aside))?;
        }
        Ok(())
    }

    fn cut(
        &self,
        file: &mut WalFile,
        place: Range<usize>,
        replay: &mut Replay,
    ) -> Result<(), StoreError> {
        replay.torn_bytes += place.len() as u64;
        replay.notes.push(format!(
            "the write-ahead log ended within a write; {} bytes that were never acknowledged are \
             cut off",
            place.len()
        ));
        file.bytes = place.start as u64;
        if self.damaged.is_some() {
            let opened = OpenOptions::new().write(true).open(&file.path);
            opened
                .and_then(|open| open.set_len(file.bytes).and_then(|()| open.sync_all()))
                .map_err(StoreError::file("cut", &file.path))?;
        }
        Ok(())
    }
}

/// Takes a file apart.
fn stretches(bytes: &[u8]) -> Vec<Stretch> {
    let mut found = Vec::new();
    let mut at = if bytes.starts_with(&FILE_MAGIC) { FILE_MAGIC.len() } else { 0 };
    while at < bytes.len() {
        match whole_frame(&bytes[at..]) {
            Ok(head) => {
                let place = at..at + head.frame_bytes();
                at = place.end;
                found.push(Stretch::Frame { head, place });
            }
            Err(bad) => match next_frame(bytes, at + 1) {
                Some(next) => {
                    found.push(Stretch::Damage(at..next));
                    at = next;
                }
                None => {
                    found.push(ending(bytes, at, bad));
                    break;
                }
            },
        }
    }
    found
}

fn whole_frame(bytes: &[u8]) -> Result<Head, BadFrame> {
    let head = Head::read(bytes)?;
    head.check(&bytes[head.frame_bytes() - head.payload_bytes..])?;
    Ok(head)
}

fn next_frame(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    while let Some(offset) = bytes.get(at..)?.windows(MAGIC.len()).position(|w| w == MAGIC) {
        at += offset;
        // A short one counts as well: the end of the file is looked at in its turn.
        if matches!(whole_frame(&bytes[at..]), Ok(_) | Err(BadFrame::Short)) {
            return Some(at);
        }
        at += 1;
    }
    None
}

/// A write that was interrupted leaves a frame without its end, or room that was never filled.
fn ending(bytes: &[u8], at: usize, bad: BadFrame) -> Stretch {
    let rest = at..bytes.len();
    let empty = bytes[rest.clone()].iter().all(|byte| *byte == 0);
    if bad == BadFrame::Short || empty { Stretch::Torn(rest) } else { Stretch::Damage(rest) }
}

#[cfg(test)]
mod tests;
