//! JSON, written piece by piece into one buffer.

use std::io::Write;

use crate::otlp::write_json_text;

/// A value that is being written.
pub(super) struct Json<'o> {
    out: &'o mut Vec<u8>,
    /// Whether the object or list at hand holds something already.
    begun: bool,
}

impl<'o> Json<'o> {
    pub(super) fn new(out: &'o mut Vec<u8>) -> Json<'o> {
        Json { out, begun: false }
    }

    /// An object; `write` gives it names, each followed by its value.
    pub(super) fn object(&mut self, write: impl FnOnce(&mut Json<'_>)) {
        self.out.push(b'{');
        write(&mut Json::new(self.out));
        self.out.push(b'}');
    }

    /// A list; `write` writes one value for each item.
    pub(super) fn list<T>(
        &mut self,
        items: impl IntoIterator<Item = T>,
        mut write: impl FnMut(&mut Json<'_>, T),
    ) {
        self.out.push(b'[');
        for (number, item) in items.into_iter().enumerate() {
            if number > 0 {
                self.out.push(b',');
            }
            write(&mut Json::new(self.out), item);
        }
        self.out.push(b']');
    }

    /// The name of the value that is written next.
    pub(super) fn name(&mut self, name: &str) -> &mut Json<'o> {
        if self.begun {
            self.out.push(b',');
        }
        self.begun = true;
        write_json_text(name, self.out);
        self.out.push(b':');
        self
    }

    /// JSON that is written already.
    pub(super) fn raw(&mut self, json: &[u8]) {
        self.out.extend_from_slice(json);
    }

    pub(super) fn text(&mut self, text: &str) {
        write_json_text(text, self.out);
    }

    pub(super) fn truth(&mut self, truth: bool) {
        self.raw(if truth { b"true" } else { b"false" });
    }

    /// A number of at most 32 bits.
    pub(super) fn small(&mut self, number: u32) {
        self.shown(format_args!("{number}"));
    }

    /// A number of 64 bits: a text, since JSON's numbers are floats to many readers.
    pub(super) fn wide(&mut self, number: impl std::fmt::Display) {
        self.shown(format_args!("\"{number}\""));
    }

    pub(super) fn double(&mut self, number: f64) {
        match number {
            number if number.is_finite() => self.shown(format_args!("{number:?}")),
            number if number.is_nan() => self.raw(b"\"NaN\""),
            number if number > 0.0 => self.raw(b"\"Infinity\""),
            _ => self.raw(b"\"-Infinity\""),
        }
    }

    pub(super) fn some_text(&mut self, name: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.name(name).text(text);
        }
    }

    pub(super) fn some_small(&mut self, name: &str, number: Option<u32>) {
        if let Some(number) = number {
            self.name(name).small(number);
        }
    }

    /// A number with a sign and at most 32 bits.
    pub(super) fn some_small_signed(&mut self, name: &str, number: Option<i64>) {
        if let Some(number) = number {
            self.name(name).shown(format_args!("{number}"));
        }
    }

    pub(super) fn some_wide(&mut self, name: &str, number: Option<impl std::fmt::Display>) {
        if let Some(number) = number {
            self.name(name).wide(number);
        }
    }

    pub(super) fn some_double(&mut self, name: &str, number: Option<f64>) {
        if let Some(number) = number {
            self.name(name).double(number);
        }
    }

    fn shown(&mut self, shown: std::fmt::Arguments<'_>) {
        let written = self.out.write_fmt(shown);
        debug_assert!(written.is_ok(), "writing to memory does not fail");
    }
}
