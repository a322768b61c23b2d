//! Bodies that are no JSON as a whole: cut short, or broken inside one item. What stands around
//! the damage is put together again.

use super::Problem;
use super::parse::{ParseError, parse};

/// Items are the elements of lists at this depth: request, its resources, one resource, its
/// scopes, one scope, its items.
const ITEM_PATH: &[u8] = b"{[{[{[";
/// Items beyond this that cannot be read are dropped together with what follows.
const PROBLEMS_MAX: usize = 1_000;

/// The body at hand.
struct Mending<'p> {
    /// What is kept.
    out: Vec<u8>,
    /// Brackets that are open.
    open: Vec<u8>,
    /// A place after which the text can be ended: how much is kept, how many brackets are open.
    end: Option<(usize, usize)>,
    problems: &'p mut Vec<Problem>,
}

/// Gives JSON again if there is something to keep.
pub(super) fn mend(text: &str, error: &ParseError, problems: &mut Vec<Problem>) -> Option<String> {
    let body = text.as_bytes();
    let known_problems = problems.len();
    let mut mending = Mending { out: Vec::new(), open: Vec::new(), end: None, problems };
    let mut position = 0;
    while position < body.len() {
        position = mending.step(body, position)?;
    }
    if !mending.open.is_empty() {
        let (kept, open) = mending.end?;
        mending.out.truncate(kept);
        mending.open.truncate(open);
        while let Some(bracket) = mending.open.pop() {
            mending.out.push(if bracket == b'{' { b'}' } else { b']' });
        }
        if mending.problems.len() == known_problems {
            let reason = format!("the body is cut short: {error}");
            mending.problems.push(Problem { raw: body.to_vec(), items: 1, reason });
        }
    }
    let is_mended = mending.problems.len() > known_problems;
    is_mended.then(|| String::from_utf8(mending.out).ok()).flatten()
}

impl Mending<'_> {
    /// Takes one token, or one whole item; gives the position behind it. `None` when brackets do
    /// not match.
    fn step(&mut self, body: &[u8], position: usize) -> Option<usize> {
        let byte = body[position];
        let is_item = self.open == ITEM_PATH && byte == b'{';
        if is_item {
            return self.item(body, position);
        }
        let end = token_end(body, position);
        match byte {
            b'{' | b'[' => self.open.push(byte),
            b'}' | b']' => {
                let opened = self.open.pop()?;
                if (opened == b'{') != (byte == b'}') {
                    return None;
                }
            }
            _ => {}
        }
        self.out.extend_from_slice(&body[position..end]);
        let is_place = matches!(byte, b'[' | b'}' | b']') && self.open.last() == Some(&b'[');
        if is_place {
            self.end = Some((self.out.len(), self.open.len()));
        }
        Some(end)
    }

    fn item(&mut self, body: &[u8], position: usize) -> Option<usize> {
        let (end, is_whole) = balanced_end(body, position);
        let item = &body[position..end];
        let error = match str::from_utf8(item).map(parse) {
            Ok(Ok(_)) => {
                self.out.extend_from_slice(item);
                self.end = Some((self.out.len(), self.open.len()));
                return Some(end);
            }
            Ok(Err(error)) => error,
            Err(_) => return None,
        };
        if self.problems.len() >= PROBLEMS_MAX {
            return Some(body.len());
        }
        let what = if is_whole { "an item" } else { "the last item" };
        let reason = format!("{what}, at byte {position}: no JSON: {error}");
        self.problems.push(Problem { raw: item.to_vec(), items: 1, reason });
        // Another item takes its place, or `null`, which the reader of items knows to skip.
        if is_whole {
            self.out.extend_from_slice(b"null");
            self.end = Some((self.out.len(), self.open.len()));
        }
        Some(end)
    }
}

/// Where a text ends that begins here, or the byte after this one.
fn token_end(body: &[u8], position: usize) -> usize {
    if body[position] != b'"' {
        return position + 1;
    }
    let mut end = position + 1;
    while let Some(byte) = body.get(end) {
        end += 1;
        match byte {
            b'\\' => end += 1,
            b'"' => break,
            _ => {}
        }
    }
    end.min(body.len())
}

/// Where the object that begins here ends, and whether it ends before the body does.
fn balanced_end(body: &[u8], start: usize) -> (usize, bool) {
    let (mut position, mut depth) = (start, 0_usize);
    while position < body.len() {
        let byte = body[position];
        position = token_end(body, position);
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return (position, true);
                }
            }
            _ => {}
        }
    }
    (body.len(), false)
}
