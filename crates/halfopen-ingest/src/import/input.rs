//! Bytes of a source, counted, and taken line by line within a bound.

use std::io::{self, BufRead};

/// The mark that some editors put in front of UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A source that knows how far it was read.
pub(crate) struct Input<'a> {
    reader: &'a mut dyn BufRead,
    /// Bytes read so far.
    pub(crate) offset: u64,
    /// Lines begun so far.
    pub(crate) line: u64,
}

/// What is known about a line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Line {
    /// Its number, from 1 on.
    pub(crate) number: u64,
    /// Its length without its end.
    pub(crate) bytes: u64,
    /// Whether it is longer than the bound; only its beginning is there.
    pub(crate) is_cut: bool,
}

impl Line {
    /// Where it stands, for people.
    pub(crate) fn place(&self) -> String {
        format!("line {}", self.number)
    }
}

impl<'a> Input<'a> {
    pub(crate) fn new(reader: &'a mut dyn BufRead) -> Input<'a> {
        Input { reader, offset: 0, line: 0 }
    }

    /// The bytes that are there, at least one unless the source is at its end.
    pub(crate) fn peek(&mut self) -> io::Result<&[u8]> {
        loop {
            match self.reader.fill_buf() {
                Ok(_) => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.reader.fill_buf()
    }

    pub(crate) fn skip(&mut self, bytes: usize) {
        self.reader.consume(bytes);
        self.offset += bytes as u64;
    }

    /// The next byte, which stays.
    pub(crate) fn byte(&mut self) -> io::Result<Option<u8>> {
        Ok(self.peek()?.first().copied())
    }

    /// Reads as many bytes as there are, at most `bytes`.
    pub(crate) fn take(&mut self, bytes: usize, into: &mut Vec<u8>) -> io::Result<()> {
        let mut left = bytes;
        while left > 0 {
            let there = self.peek()?;
            if there.is_empty() {
                return Ok(());
            }
            let taken = there.len().min(left);
            into.extend_from_slice(&there[..taken]);
            self.skip(taken);
            left -= taken;
        }
        Ok(())
    }

    /// Reads a line into `into`, without its end; `None` at the end of the source. Of a line
    /// longer than `bytes_max` only so many bytes are kept.
    pub(crate) fn line(
        &mut self,
        into: &mut Vec<u8>,
        bytes_max: usize,
    ) -> io::Result<Option<Line>> {
        into.clear();
        if self.offset == 0 && self.peek()?.starts_with(BYTE_ORDER_MARK) {
            self.skip(BYTE_ORDER_MARK.len());
        }
        let mut bytes = 0;
        let mut has_any = false;
        loop {
            let there = self.peek()?;
            if there.is_empty() {
                break;
            }
            has_any = true;
            let end = there.iter().position(|byte| *byte == b'\n');
            let length = end.unwrap_or(there.len());
            let kept = length.min(bytes_max.saturating_sub(into.len()));
            into.extend_from_slice(&there[..kept]);
            bytes += length as u64;
            self.skip(length + usize::from(end.is_some()));
            if end.is_some() {
                break;
            }
        }
        if !has_any {
            return Ok(None);
        }
        self.line += 1;
        let is_cut = bytes > into.len() as u64;
        if !is_cut && into.last() == Some(&b'\r') {
            into.pop();
        }
        Ok(Some(Line { number: self.line, bytes, is_cut }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_lose_their_ends_and_long_ones_their_tail() {
        let text = b"\xef\xbb\xbfone\r\n\nabcdefgh\nlast";
        let mut reader = io::BufReader::with_capacity(3, &text[..]);
        let mut input = Input::new(&mut reader);
        let mut line = Vec::new();
        let mut found = Vec::new();
        while let Some(known) = input.line(&mut line, 5).expect("from memory") {
            found.push((String::from_utf8_lossy(&line).into_owned(), known.bytes, known.is_cut));
        }
        let expected = [("one", 4, false), ("", 0, false), ("abcde", 8, true), ("last", 4, false)];
        let expected = expected.map(|(text, bytes, is_cut)| (text.to_owned(), bytes, is_cut));
        assert_eq!(found, expected);
        assert_eq!((input.offset, input.line), (text.len() as u64, 4));
    }
}
