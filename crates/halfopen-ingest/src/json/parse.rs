//! Reads JSON into a tree that borrows from its text.
//!
//! Our own, because numbers must come through as they were written: 64-bit integers whole, and
//! floats to the last bit, which serde_json gives only with features that slow down or break
//! everybody else who links it.

use std::borrow::Cow;

use crate::settings::DEPTH_HARD_MAX;

/// Levels of lists and objects. A value takes three of them for each of its own levels, and a
/// request has ten around it.
const LEVELS_MAX: usize = 3 * DEPTH_HARD_MAX + 10;

/// A value, and the text it was read from.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Json<'a> {
    pub(crate) raw: &'a str,
    pub(crate) kind: Kind<'a>,
}

/// What a value is.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Kind<'a> {
    Null,
    Bool(bool),
    /// As it was written.
    Number,
    Text(Cow<'a, str>),
    List(Vec<Json<'a>>),
    /// In order; of a name that is repeated, the last counts.
    Object(Vec<(Cow<'a, str>, Json<'a>)>),
}

/// Why a text is no JSON.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{what} at position {position}")]
pub(crate) struct ParseError {
    pub(crate) position: usize,
    what: &'static str,
}

/// Reads a text that holds one value.
pub(crate) fn parse(text: &str) -> Result<Json<'_>, ParseError> {
    let mut parser = Parser { text, position: 0 };
    let value = parser.value(0)?;
    parser.space();
    match parser.peek() {
        None => Ok(value),
        Some(_) => Err(parser.error("something behind the end")),
    }
}

struct Parser<'a> {
    text: &'a str,
    position: usize,
}

impl<'a> Parser<'a> {
    fn error(&self, what: &'static str) -> ParseError {
        ParseError { position: self.position, what }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.position).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.position += 1;
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        let is_there = self.peek() == Some(byte);
        self.position += usize::from(is_there);
        is_there
    }

    /// A value and the space before it.
    fn value(&mut self, level: usize) -> Result<Json<'a>, ParseError> {
        self.space();
        let start = self.position;
        let kind = match self.peek() {
            None => return Err(self.error("the text ends early")),
            Some(b'{' | b'[') if level >= LEVELS_MAX => {
                return Err(self.error("nested too deeply"));
            }
            Some(b'{') => self.object(level)?,
            Some(b'[') => self.list(level)?,
            Some(b'"') => Kind::Text(self.string()?),
            Some(b'-' | b'0'..=b'9') => self.number()?,
            Some(_) => self.word()?,
        };
        Ok(Json { raw: &self.text[start..self.position], kind })
    }

    fn word(&mut self) -> Result<Kind<'a>, ParseError> {
        let rest = &self.text[self.position..];
        let words =
            [("null", Kind::Null), ("true", Kind::Bool(true)), ("false", Kind::Bool(false))];
        for (word, kind) in words {
            if rest.starts_with(word) {
                self.position += word.len();
                return Ok(kind);
            }
        }
        Err(self.error("no value"))
    }

    fn digits(&mut self) -> Result<(), ParseError> {
        let start = self.position;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.position += 1;
        }
        if start == self.position { Err(self.error("a digit is missing")) } else { Ok(()) }
    }

    fn number(&mut self) -> Result<Kind<'a>, ParseError> {
        self.take(b'-');
        self.digits()?;
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            let _ = self.take(b'+') || self.take(b'-');
            self.digits()?;
        }
        Ok(Kind::Number)
    }

    fn list(&mut self, level: usize) -> Result<Kind<'a>, ParseError> {
        let mut items = Vec::new();
        self.position += 1;
        self.space();
        if self.take(b']') {
            return Ok(Kind::List(items));
        }
        loop {
            items.push(self.value(level + 1)?);
            self.space();
            if self.take(b']') {
                return Ok(Kind::List(items));
            }
            if !self.take(b',') {
                return Err(self.error("neither , nor ]"));
            }
        }
    }

    fn object(&mut self, level: usize) -> Result<Kind<'a>, ParseError> {
        let mut fields = Vec::new();
        self.position += 1;
        self.space();
        if self.take(b'}') {
            return Ok(Kind::Object(fields));
        }
        loop {
            self.space();
            if self.peek() != Some(b'"') {
                return Err(self.error("no name"));
            }
            let name = self.string()?;
            self.space();
            if !self.take(b':') {
                return Err(self.error("no :"));
            }
            fields.push((name, self.value(level + 1)?));
            self.space();
            if self.take(b'}') {
                return Ok(Kind::Object(fields));
            }
            if !self.take(b',') {
                return Err(self.error("neither , nor }"));
            }
        }
    }

    /// A string. Line breaks and other control characters inside are let through: senders that
    /// forget to escape them mean just them.
    fn string(&mut self) -> Result<Cow<'a, str>, ParseError> {
        self.position += 1;
        let start = self.position;
        let bytes = self.text.as_bytes();
        while let Some(byte) = bytes.get(self.position) {
            match byte {
                b'"' => {
                    let text = &self.text[start..self.position];
                    self.position += 1;
                    return Ok(Cow::Borrowed(text));
                }
                b'\\' => return self.escaped(start).map(Cow::Owned),
                _ => self.position += 1,
            }
        }
        Err(self.error("a string does not end"))
    }

    /// The rest of a string, from its first escape on.
    fn escaped(&mut self, start: usize) -> Result<String, ParseError> {
        let mut text = self.text[start..self.position].to_owned();
        let mut plain = self.position;
        while let Some(byte) = self.peek() {
            if byte != b'"' && byte != b'\\' {
                self.position += 1;
                continue;
            }
            text.push_str(&self.text[plain..self.position]);
            self.position += 1;
            if byte == b'"' {
                return Ok(text);
            }
            text.push(self.escape()?);
            plain = self.position;
        }
        Err(self.error("a string does not end"))
    }

    /// The character behind a backslash. Half of a surrogate pair is shown as U+FFFD.
    fn escape(&mut self) -> Result<char, ParseError> {
        let byte = self.peek().ok_or_else(|| self.error("a string does not end"))?;
        self.position += 1;
        Ok(match byte {
            b'"' | b'\\' | b'/' => char::from(byte),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let first = self.hex()?;
                let is_high = (0xd800..0xdc00).contains(&first);
                if is_high && self.text[self.position..].starts_with("\\u") {
                    let before = self.position;
                    self.position += 2;
                    let second = self.hex()?;
                    if (0xdc00..0xe000).contains(&second) {
                        let code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                        return Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
                    }
                    self.position = before;
                }
                char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER)
            }
            _ => {
                self.position -= 1;
                return Err(self.error("no such escape"));
            }
        })
    }

    fn hex(&mut self) -> Result<u32, ParseError> {
        let digits = self.text.get(self.position..self.position + 4);
        let is_hex = |text: &&str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let code = digits.filter(is_hex).and_then(|text| u32::from_str_radix(text, 16).ok());
        let code = code.ok_or_else(|| self.error("four hex digits are missing"))?;
        self.position += 4;
        Ok(code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use proptest::test_runner::{Config, RngSeed};

    /// The tree as serde_json has it.
    fn tree(json: &Json<'_>) -> serde_json::Value {
        match &json.kind {
            Kind::Null => serde_json::Value::Null,
            Kind::Bool(value) => (*value).into(),
            Kind::Number => serde_json::from_str(json.raw).expect("a number"),
            Kind::Text(text) => text.as_ref().into(),
            Kind::List(items) => items.iter().map(tree).collect(),
            Kind::Object(fields) => {
                let field = |(name, value): &(Cow<'_, str>, Json<'_>)| {
                    (name.clone().into_owned(), tree(value))
                };
                serde_json::Value::Object(fields.iter().map(field).collect())
            }
        }
    }

    proptest! {
        #![proptest_config(Config {
            cases: 2_000,
            rng_seed: RngSeed::Fixed(5),
            failure_persistence: None,
            ..Config::default()
        })]

        #[test]
        fn what_serde_json_reads_is_read_the_same(
            text in r#"[\[\]{}:,"\\ntu0-9eE.+ \-a-f😀é]{0,40}|\{"a": ?[\[{"0-9tn].{0,12}\}?"#
        ) {
            if let Ok(expected) = serde_json::from_str::<serde_json::Value>(&text) {
                prop_assert_eq!(parse(&text).map(|json| tree(&json)), Ok(expected), "{}", text);
            }
        }
    }

    #[test]
    fn strings_numbers_and_nesting_come_through() {
        let text = r#" {"a":[1,-2.5e+3,true,null,"x\n\u00e9\ud83d\ude00\ud800"],"b":{}} "#;
        let expected: serde_json::Value = serde_json::json!({
            "a": [1, -2500.0, true, null, "x\né😀\u{fffd}"], "b": {}
        });
        assert_eq!(parse(text).map(|json| tree(&json)), Ok(expected));
        assert_eq!(parse("\"a\nb\"").map(|json| tree(&json)), Ok("a\nb".into()));
    }

    #[test]
    fn what_is_no_json_says_where() {
        for (text, position) in [("", 0), ("{\"a\"", 4), ("[1,]", 3), ("[1}", 2), ("\"\\x\"", 2)] {
            assert_eq!(parse(text).map_err(|error| error.position), Err(position), "{text}");
        }
        let deep = "[".repeat(100_000);
        assert_eq!(parse(&deep).map_err(|error| error.position), Err(LEVELS_MAX));
    }
}
