//! Puts what importers read into groups: items of one resource side by side, groups of a bounded
//! size.

use std::borrow::Cow;
use std::io;
use std::ops::ControlFlow;

use super::group::{Change, Exchange, GROUP_BYTES, GROUP_ROWS, Group, Part, Reject, message};
use super::input::Input;
use crate::settings::{REJECT_RAW_BYTES_MAX_DEFAULT, Signal};
use crate::wire::Writer;

/// The longest line.
pub(crate) const LINE_BYTES_MAX: usize = 1 << 20;

/// Rows of `rejects` that one source makes; the others are counted in one more row.
const REJECTS_MAX: u64 = 1_000;

/// Why an importer ends before its source does.
#[derive(Debug)]
pub(crate) enum Halt {
    /// The source cannot be read any further.
    Io(io::Error),
    /// Whoever takes the groups wants no more.
    Stopped,
}

impl From<io::Error> for Halt {
    fn from(error: io::Error) -> Halt {
        Halt::Io(error)
    }
}

/// Whose telemetry an item is: the fields of a `Resource` and of an `InstrumentationScope`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Origin {
    pub(crate) resource: Vec<u8>,
    pub(crate) scope: Vec<u8>,
}

/// Items of one origin that wait for the next one.
struct Open {
    origin: Origin,
    items: Writer,
    bytes: usize,
}

/// Collects items into groups and gives these away.
pub(crate) struct Emitter<'a> {
    format: &'static str,
    /// The service of things that name none; empty for none.
    pub(crate) service: String,
    give: &'a mut dyn FnMut(Group) -> ControlFlow<()>,
    group: Group,
    open: [Option<Open>; 3],
    bytes: usize,
    is_stopped: bool,
    /// Rejects of this source, and the items behind those that were only counted.
    rejects: u64,
    unlisted: u64,
}

impl<'a> Emitter<'a> {
    pub(crate) fn new(
        format: &'static str,
        service: Option<&str>,
        give: &'a mut dyn FnMut(Group) -> ControlFlow<()>,
    ) -> Emitter<'a> {
        Emitter {
            format,
            service: service.unwrap_or_default().to_owned(),
            give,
            group: Group::default(),
            open: [None, None, None],
            bytes: 0,
            is_stopped: false,
            rejects: 0,
            unlisted: 0,
        }
    }

    /// Adds an item of this origin; an error of `fill` takes it back.
    pub(crate) fn item<E>(
        &mut self,
        signal: Signal,
        origin: &Origin,
        fill: impl FnOnce(&mut Writer) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.open[signal as usize].as_ref().is_some_and(|open| open.origin != *origin) {
            self.close(signal);
        }
        let open = self.open[signal as usize].get_or_insert_with(|| Open {
            origin: origin.clone(),
            items: Writer::new(),
            bytes: 0,
        });
        open.items.message(2, fill)?;
        self.bytes += open.items.len() - open.bytes;
        open.bytes = open.items.len();
        Ok(())
    }

    /// Adds an item that cannot fail.
    pub(crate) fn sure_item(
        &mut self,
        signal: Signal,
        origin: &Origin,
        fill: impl FnOnce(&mut Writer),
    ) {
        let added = self.item(signal, origin, |out| {
            fill(out);
            Ok::<(), std::convert::Infallible>(())
        });
        match added {
            Ok(()) => {}
            Err(never) => match never {},
        }
    }

    /// The name of a service, or the one for things that name none.
    pub(crate) fn service_or<'t>(&'t self, name: &'t str) -> &'t str {
        if name.is_empty() { &self.service } else { name }
    }

    /// Moves what waits into the part of its signal.
    fn close(&mut self, signal: Signal) {
        let Some(open) = self.open[signal as usize].take() else { return };
        let mut out = Writer::new();
        message(&mut out, 1, |out| {
            message(out, 1, |out| out.append(&open.origin.resource));
            message(out, 2, |out| {
                message(out, 1, |out| out.append(&open.origin.scope));
                out.append(&open.items.into_bytes());
            });
        });
        let parts = &mut self.group.parts;
        let known = parts.iter().position(|part| part.signal == signal && part.place.is_empty());
        let place = known.unwrap_or_else(|| {
            let (format, place) = (self.format.to_owned(), String::new());
            parts.push(Part { signal, format, place, body: Vec::new() });
            parts.len() - 1
        });
        parts[place].body.extend_from_slice(&out.into_bytes());
    }

    /// Adds a whole export request.
    pub(crate) fn request(&mut self, signal: Signal, body: Vec<u8>, place: String) {
        if !body.is_empty() {
            self.bytes += body.len();
            self.group.parts.push(Part { signal, format: self.format.to_owned(), place, body });
        }
    }

    pub(crate) fn exchange(&mut self, exchange: Exchange) {
        let sides = [&exchange.request, &exchange.response];
        let bodies: usize = sides.iter().map(|side| side.body.as_ref().map_or(0, Vec::len)).sum();
        self.bytes += bodies + 1_024;
        self.group.exchanges.push(exchange);
    }

    pub(crate) fn change(&mut self, change: Change) {
        self.bytes += change.texts.iter().map(String::len).sum::<usize>() + 256;
        self.group.changes.push(change);
    }

    /// Notes something that could not be read: `items` of it were lost.
    pub(crate) fn reject(&mut self, place: String, reason: String, items: u64, raw: &[u8]) {
        self.reject_sized(place, reason, items, raw, raw.len() as u64);
    }

    /// The same where `raw` is only the beginning of `raw_bytes`.
    pub(crate) fn reject_sized(
        &mut self,
        place: String,
        reason: String,
        items: u64,
        raw: &[u8],
        raw_bytes: u64,
    ) {
        self.rejects += 1;
        if self.rejects > REJECTS_MAX {
            self.unlisted += items.max(1);
            return;
        }
        let raw = raw[..raw.len().min(REJECT_RAW_BYTES_MAX_DEFAULT)].to_vec();
        self.bytes += raw.len() + 128;
        let format = self.format.to_owned();
        self.group.rejects.push(Reject { format, place, reason, items, raw_bytes, raw });
    }

    /// The text of some bytes. Where they are not UTF-8 they are replaced, and the original kept.
    pub(crate) fn text<'t>(&mut self, bytes: &'t [u8], place: &str) -> Cow<'t, str> {
        let text = String::from_utf8_lossy(bytes);
        if matches!(text, Cow::Owned(_)) {
            let reason = "not UTF-8; the bytes at fault were replaced".to_owned();
            self.reject(place.to_owned(), reason, 0, bytes);
        }
        text
    }

    /// Gives the group away when it is large enough. To be called between items.
    pub(crate) fn breathe(&mut self) -> Result<(), Halt> {
        let Group { exchanges, changes, rejects, .. } = &self.group;
        let rows = exchanges.len() + changes.len() + rejects.len();
        if self.bytes >= GROUP_BYTES || rows >= GROUP_ROWS {
            self.flush();
        }
        if self.is_stopped { Err(Halt::Stopped) } else { Ok(()) }
    }

    fn flush(&mut self) {
        Signal::ALL.into_iter().for_each(|signal| self.close(signal));
        self.bytes = 0;
        let group = std::mem::take(&mut self.group);
        if !group.is_empty() && !self.is_stopped {
            self.is_stopped = (self.give)(group).is_break();
        }
    }

    /// Gives away what is left.
    pub(crate) fn finish(mut self) -> Result<(), Halt> {
        if self.unlisted > 0 {
            let reason = format!("beyond {REJECTS_MAX} rejects of one source: only counted");
            let format = self.format.to_owned();
            let (place, items) = ("its end".to_owned(), self.unlisted);
            let reject = Reject { format, place, reason, items, raw_bytes: 0, raw: Vec::new() };
            self.group.rejects.push(reject);
        }
        self.flush();
        if self.is_stopped { Err(Halt::Stopped) } else { Ok(()) }
    }
}

/// Takes the bytes of a line, its text, and its place.
type TakeLine<'t> = dyn FnMut(&[u8], &str, &str, &mut Emitter<'_>) + 't;

/// Takes every line that is not empty, its bytes, its text, and its place; one that is too long
/// is rejected.
pub(crate) fn each_line(
    input: &mut Input<'_>,
    out: &mut Emitter<'_>,
    take: &mut TakeLine<'_>,
) -> Result<(), Halt> {
    let mut bytes = Vec::new();
    while let Some(line) = input.line(&mut bytes, LINE_BYTES_MAX)? {
        if line.is_cut {
            let reason = format!("a line is longer than {LINE_BYTES_MAX} bytes");
            out.reject_sized(line.place(), reason, 1, &bytes, line.bytes);
        } else if !bytes.trim_ascii().is_empty() {
            let place = line.place();
            let text = out.text(&bytes, &place);
            take(&bytes, &text, &place, out);
        }
        out.breathe()?;
    }
    Ok(())
}
