//! Takes the items of lists out of JSON documents of any size, one at a time, without holding
//! more than one. What stands around them is skipped, not kept.
//!
//! **Invariant:** no recursion: how deep a document is costs nothing but time.

use std::io;

use super::emit::{Emitter, Halt};
use super::input::Input;

/// The longest item. A Jaeger trace of 50,000 spans, or the spans of one resource in an OTLP
/// document, have some tens of MB.
pub(crate) const ITEM_BYTES_MAX: usize = 64 << 20;
/// The longest name of a field on the way to a list; the lists that are looked for have short ones.
const NAME_BYTES_MAX: usize = 64;

/// What was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Found {
    /// An item of the list with this index; its text is in the buffer.
    Item(usize),
    /// An item that is longer than the bound: its beginning is in the buffer, its whole length
    /// here.
    Long(usize, u64),
    /// The document ended inside this list; what is there of the last item is in the buffer.
    Torn(usize),
    /// Here is no JSON: why not.
    Broken(&'static str),
    /// The end of the source.
    End,
}

/// A place on the way to the lists.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Level {
    /// In an object, with the names that led to it.
    Object(Vec<String>),
    /// In the list with this index.
    List(usize),
}

/// Finds items.
pub(crate) struct Items<'p> {
    /// Names on the way to each list; without names the list is the document itself.
    paths: &'p [&'p [&'p str]],
    levels: Vec<Level>,
    /// Where the item that was found last begins.
    pub(crate) offset: u64,
    /// Items found so far in all lists.
    pub(crate) count: u64,
}

impl<'p> Items<'p> {
    pub(crate) fn new(paths: &'p [&'p [&'p str]]) -> Items<'p> {
        Items { paths, levels: Vec::new(), offset: 0, count: 0 }
    }

    /// Finds the next item and reads it into `item`.
    pub(crate) fn next(&mut self, input: &mut Input<'_>, item: &mut Vec<u8>) -> io::Result<Found> {
        item.clear();
        loop {
            let Some(byte) = next_byte(input)? else {
                return Ok(match self.levels.last() {
                    Some(Level::List(list)) => Found::Torn(*list),
                    Some(Level::Object(_)) => Found::Broken("the document ends early"),
                    None => Found::End,
                });
            };
            let found = match self.levels.last().cloned() {
                None => self.document(input, byte)?,
                Some(Level::Object(path)) => self.field(input, byte, &path)?,
                Some(Level::List(list)) => self.item(input, byte, list, item)?,
            };
            if let Some(found) = found {
                return Ok(found);
            }
        }
    }

    /// The beginning of a document.
    fn document(&mut self, input: &mut Input<'_>, byte: u8) -> io::Result<Option<Found>> {
        match byte {
            b'{' => self.levels.push(Level::Object(Vec::new())),
            b'[' => match self.paths.iter().position(|path| path.is_empty()) {
                Some(list) => self.levels.push(Level::List(list)),
                None => return Ok(Some(Found::Broken("a list where an object is expected"))),
            },
            _ => return Ok(Some(Found::Broken("neither an object nor a list begins here"))),
        }
        input.skip(1);
        Ok(None)
    }

    /// A field of an object, or its end.
    fn field(
        &mut self,
        input: &mut Input<'_>,
        byte: u8,
        path: &[String],
    ) -> io::Result<Option<Found>> {
        match byte {
            b'}' => {
                self.levels.pop();
                input.skip(1);
                return Ok(None);
            }
            b',' => {
                input.skip(1);
                return Ok(None);
            }
            b'"' => {}
            _ => return Ok(Some(Found::Broken("a name is expected"))),
        }
        let mut name = Vec::new();
        if read_value(input, &mut name, NAME_BYTES_MAX)?.is_none()
            || next_byte(input)? != Some(b':')
        {
            return Ok(Some(Found::Broken("a name without a value")));
        }
        input.skip(1);
        let Some(begin) = next_byte(input)? else {
            return Ok(Some(Found::Broken("the document ends early")));
        };
        let name = name.strip_prefix(b"\"").and_then(|name| name.strip_suffix(b"\""));
        let mut here = path.to_vec();
        here.push(String::from_utf8_lossy(name.unwrap_or_default()).into_owned());
        let is_here = |path: &&[&str]| path.len() == here.len() && path.iter().eq(here.iter());
        let leads = |path: &&[&str]| path.len() > here.len() && path.iter().zip(&here).all(same);
        if begin == b'['
            && let Some(list) = self.paths.iter().position(is_here)
        {
            self.levels.push(Level::List(list));
            input.skip(1);
        } else if begin == b'{' && self.paths.iter().any(leads) {
            self.levels.push(Level::Object(here));
            input.skip(1);
        } else if read_value(input, &mut Vec::new(), 0)?.is_none() {
            return Ok(Some(Found::Broken("the document ends early")));
        }
        Ok(None)
    }

    /// An item of a list, or its end.
    fn item(
        &mut self,
        input: &mut Input<'_>,
        byte: u8,
        list: usize,
        item: &mut Vec<u8>,
    ) -> io::Result<Option<Found>> {
        match byte {
            b']' => {
                self.levels.pop();
                input.skip(1);
                return Ok(None);
            }
            b',' => {
                input.skip(1);
                return Ok(None);
            }
            b'}' | b':' => return Ok(Some(Found::Broken("an item of a list is expected"))),
            _ => {}
        }
        self.offset = input.offset;
        self.count += 1;
        let whole = read_value(input, item, ITEM_BYTES_MAX)?;
        Ok(Some(match whole {
            Some(bytes) if bytes > item.len() as u64 => Found::Long(list, bytes),
            Some(_) => Found::Item(list),
            None => Found::Torn(list),
        }))
    }
}

/// Takes the text of an item, and its place.
type TakeItem<'t> = dyn FnMut(&[u8], &str, &mut Emitter<'_>) -> Result<(), Halt> + 't;

/// Takes every item of the lists at `paths`, with the place at which it stands; what cannot be
/// taken out is rejected. `what` is an item for people.
pub(crate) fn each_item(
    paths: &[&[&str]],
    what: &str,
    input: &mut Input<'_>,
    out: &mut Emitter<'_>,
    take: &mut TakeItem<'_>,
) -> Result<(), Halt> {
    let mut items = Items::new(paths);
    let mut item = Vec::new();
    loop {
        let found = items.next(input, &mut item)?;
        let place = format!("{what} {}, byte {}", items.count, items.offset);
        match found {
            Found::Item(_) => take(&item, &place, out)?,
            Found::Long(_, bytes) => {
                let reason = format!("the {what} has more than {ITEM_BYTES_MAX} bytes");
                out.reject_sized(place, reason, 1, &item, bytes);
            }
            Found::Torn(_) => {
                let reason = format!("the document ends inside the {what}");
                out.reject(place, reason, 1, &item);
                return Ok(());
            }
            Found::Broken(what) => {
                let place = format!("byte {}", input.offset);
                out.reject(place, what.to_owned(), 1, input.peek()?);
                return Ok(());
            }
            Found::End => return Ok(()),
        }
        out.breathe()?;
    }
}

fn same((one, other): (&&str, &String)) -> bool {
    one == other
}

/// The next byte that is no space.
fn next_byte(input: &mut Input<'_>) -> io::Result<Option<u8>> {
    loop {
        let there = input.peek()?;
        if there.is_empty() {
            return Ok(None);
        }
        let space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0xef | 0xbb | 0xbf);
        match there.iter().position(|byte| !space(byte)) {
            Some(0) => return Ok(there.first().copied()),
            Some(spaces) => input.skip(spaces),
            None => {
                let spaces = there.len();
                input.skip(spaces);
            }
        }
    }
}

/// Where a value that is being read stands.
#[derive(Default)]
struct Progress {
    depth: u64,
    in_string: bool,
    escaped: bool,
}

impl Progress {
    /// Takes a byte; how many bytes belong to the value when it ends here: with this byte or
    /// before it.
    fn take(&mut self, byte: u8, begun: bool) -> Option<bool> {
        if self.in_string {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.in_string = false,
                _ => {}
            }
            return (!self.in_string && self.depth == 0).then_some(true);
        }
        match byte {
            b'"' => self.in_string = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' if self.depth == 0 => return Some(false),
            b'}' | b']' => {
                self.depth -= 1;
                return (self.depth == 0).then_some(true);
            }
            b',' | b' ' | b'\t' | b'\n' | b'\r' | b':' if self.depth == 0 && begun => {
                return Some(false);
            }
            _ => {}
        }
        None
    }
}

/// Reads a value into `into`, of which no more than `bytes_max` bytes are kept. Its whole length;
/// `None` when the source ends inside it.
fn read_value(
    input: &mut Input<'_>,
    into: &mut Vec<u8>,
    bytes_max: usize,
) -> io::Result<Option<u64>> {
    let mut progress = Progress::default();
    let mut bytes = 0_u64;
    loop {
        let there = input.peek()?;
        if there.is_empty() {
            return Ok(None);
        }
        let mut end = None;
        for (index, byte) in there.iter().enumerate() {
            if let Some(with) = progress.take(*byte, bytes > 0 || index > 0) {
                end = Some(index + usize::from(with));
                break;
            }
        }
        let length = end.unwrap_or(there.len());
        let kept = length.min(bytes_max.saturating_sub(into.len()));
        into.extend_from_slice(&there[..kept]);
        bytes += length as u64;
        input.skip(length);
        if end.is_some() {
            return Ok(Some(bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::BufReader;

    fn found(text: &str, paths: &[&[&str]]) -> Vec<String> {
        let mut reader = BufReader::with_capacity(4, text.as_bytes());
        let mut input = Input::new(&mut reader);
        let (mut items, mut item, mut all) = (Items::new(paths), Vec::new(), Vec::new());
        loop {
            let found = items.next(&mut input, &mut item).expect("from memory");
            let text = String::from_utf8_lossy(&item).into_owned();
            match found {
                Found::Item(list) => all.push(format!("{list} {text}")),
                other => {
                    all.push(format!("{other:?} {text}"));
                    return all;
                }
            }
        }
    }

    #[test]
    fn items_are_found_wherever_their_list_is_and_everything_else_is_skipped() {
        let text = r#"{"x":[{"data":[9]}],"é\"}":"]}", "log" : {"a":1, "entries":[ {"a":"]\\\""} ,
            7,"s,",[1,[2]],null] , "z":-1.5e3},"data":[],"y":true} {"data":[true]}"#;
        let expected =
            ["1 {\"a\":\"]\\\\\\\"\"}", "1 7", "1 \"s,\"", "1 [1,[2]]", "1 null", "0 true", "End "];
        assert_eq!(found(text, &[&["data"], &["log", "entries"]]), expected);
        assert_eq!(found("\u{feff}[{},{}]", &[&[]]), ["0 {}", "0 {}", "End "]);
    }

    #[test]
    fn what_is_cut_short_or_no_json_says_so() {
        let paths: &[&[&str]] = &[&["data"]];
        assert_eq!(found(r#"{"data":[1,{"a":"b"#, paths), ["0 1", "Torn(0) {\"a\":\"b"]);
        assert_eq!(found(r#"{"data":[1,"#, paths), ["0 1", "Torn(0) "]);
        for text in ["hello", "{data:1}", "{\"a\"", "{\"a\":", "[1]", "{\"data\":[}", "{\"a\" 1}"] {
            let all = found(text, paths);
            assert!(all[0].starts_with("Broken"), "{text}: {all:?}");
        }
    }
}
