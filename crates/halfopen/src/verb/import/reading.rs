//! Reads a source in a thread of its own, while what was read before is written.

use std::fs::File;
use std::io::{self, BufRead, Read as _};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use halfopen_ingest::import::{Format, Group, HEAD_BYTES, ImportSettings, NoFormat, detect, read};
use halfopen_ingest::inflate::inflating;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::sources::Source;
use crate::Failure;

/// Groups that wait to be written.
const GROUPS_WAITING_MAX: usize = 2;

/// Why a source gave nothing.
enum Trouble {
    Io(io::Error),
    Format(NoFormat),
    /// A mapping says so.
    Ignored,
}

/// How a source was read.
pub(super) enum Read {
    /// In this format.
    As(Format),
    /// Not at all: why.
    Nothing(&'static str),
    /// No format fits: why not.
    Unknown(String),
}

/// A source that is being read.
pub(super) struct Reading {
    name: String,
    groups: mpsc::Receiver<Group>,
    reader: JoinHandle<Result<Option<Format>, Trouble>>,
    bytes: Arc<AtomicU64>,
    /// Whether a source without a format ends the import.
    is_only: bool,
}

impl Reading {
    /// Starts to read. With `is_only` false a source whose format is not known is passed over.
    pub(super) fn start(
        source: &Source,
        format: Option<Format>,
        settings: &ImportSettings,
        is_only: bool,
    ) -> Reading {
        let bytes = Arc::new(AtomicU64::new(0));
        let (sender, groups) = mpsc::channel(GROUPS_WAITING_MAX);
        let source = source.clone();
        let settings =
            ImportSettings { source: source.name.clone(), at: source.at, ..settings.clone() };
        let name = source.name.clone();
        let counter = Arc::clone(&bytes);
        let reader = tokio::task::spawn_blocking(move || {
            let opened: Box<dyn io::Read> = match &source.path {
                Some(path) => Box::new(File::open(path).map_err(Trouble::Io)?),
                None => Box::new(io::stdin().lock()),
            };
            let counted = Counted { source: opened, bytes: counter };
            read_source(counted, format, &settings, &sender)
        });
        Reading { name, groups, reader, bytes, is_only }
    }

    /// The next group; `None` at the end.
    pub(super) async fn next(&mut self) -> Option<Group> {
        self.groups.recv().await
    }

    /// Bytes read so far, before they were inflated.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// How it was read.
    pub(super) async fn finish(self) -> Result<Read, Failure> {
        let name = self.name;
        let ended = self.reader.await.map_err(|error| {
            Failure::environment(format!("the reader of \"{name}\" failed")).cause(&error)
        })?;
        match ended {
            Ok(Some(format)) => Ok(Read::As(format)),
            Ok(None) => Ok(Read::Nothing("it is empty")),
            Err(Trouble::Ignored) => Ok(Read::Nothing("the mapping leaves it out")),
            Err(Trouble::Io(error)) => {
                Err(Failure::environment(format!("could not read \"{name}\"")).cause(&error))
            }
            Err(Trouble::Format(why)) if !self.is_only => Ok(Read::Unknown(why.to_string())),
            Err(Trouble::Format(why)) => {
                Err(Failure::usage(format!("the format of \"{name}\" is not known"))
                    .detail(why.to_string())
                    .hint("name it with --format; docs/import.md lists them all"))
            }
        }
    }
}

fn read_source(
    source: impl io::Read,
    format: Option<Format>,
    settings: &ImportSettings,
    sender: &mpsc::Sender<Group>,
) -> Result<Option<Format>, Trouble> {
    let mapping = settings.mapping.as_ref();
    if mapping.is_some_and(|mapping| mapping.ignores(&settings.source)) {
        return Err(Trouble::Ignored);
    }
    let is_mapped = mapping.is_some_and(|mapping| mapping.takes(&settings.source));
    let format = format.or(is_mapped.then_some(Format::Mapped));
    let mut inflated = inflating(source).map_err(Trouble::Io)?;
    let mut head = Vec::new();
    let found = match format {
        Some(format) => Some(format),
        None => {
            (&mut inflated).take(HEAD_BYTES as u64).read_to_end(&mut head).map_err(Trouble::Io)?;
            detect(&head).map_err(Trouble::Format)?
        }
    };
    let Some(format) = found else { return Ok(None) };
    let mut whole: Box<dyn BufRead> = Box::new(head.as_slice().chain(inflated));
    let _ = read(format, settings, &mut *whole, &mut |group| {
        // Nobody takes groups any more when the import has failed elsewhere.
        match sender.blocking_send(group) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    });
    Ok(Some(format))
}

/// Counts what is read.
struct Counted<R> {
    source: R,
    bytes: Arc<AtomicU64>,
}

impl<R: io::Read> io::Read for Counted<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(into)?;
        self.bytes.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}
