//! Typed attribute values and the form in which the map column stores them.
//!
//! A stored value is a type tag and a text: tags are the discriminants of [`ValueType`], the text
//! is made by [`AttributeValue::to_text`]. Inside lists and maps (stored as JSON) the values that
//! JSON lacks are objects with one `$` key: `{"$bytes": base64}`, `{"$text": base64}` for text
//! that was not UTF-8, `{"$double": "NaN"}`.

/// The type of an attribute value, with the tag under which it is stored.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum ValueType {
    /// No value was given for the key.
    Empty = 0,
    /// UTF-8 text, stored as it is.
    Text = 1,
    /// `true` or `false`.
    Bool = 2,
    /// A signed 64-bit integer, in decimal.
    Int = 3,
    /// A 64-bit float: shortest decimal that reads back the same; `NaN`, `inf`, `-inf`.
    Double = 4,
    /// Bytes, in base64.
    Bytes = 5,
    /// A list, as JSON.
    List = 6,
    /// Keys with values, as JSON.
    Map = 7,
    /// Text that was not UTF-8: its bytes, in base64.
    BrokenText = 8,
}

impl ValueType {
    /// The type with this tag; `None` for a tag of a later version.
    pub fn from_tag(tag: u8) -> Option<ValueType> {
        Some(match tag {
            0 => ValueType::Empty,
            1 => ValueType::Text,
            2 => ValueType::Bool,
            3 => ValueType::Int,
            4 => ValueType::Double,
            5 => ValueType::Bytes,
            6 => ValueType::List,
            7 => ValueType::Map,
            8 => ValueType::BrokenText,
            _ => return None,
        })
    }

    /// The tag that is stored.
    pub fn tag(self) -> u8 {
        self as u8
    }
}

/// One attribute value.
#[derive(Clone, PartialEq, Debug)]
pub enum AttributeValue {
    /// No value was given for the key.
    Empty,
    /// UTF-8 text.
    Text(String),
    /// A boolean.
    Bool(bool),
    /// A signed integer.
    Int(i64),
    /// A float.
    Double(f64),
    /// Bytes; stored in base64, kept here as that text.
    Bytes(String),
    /// A list; kept as its JSON text.
    List(String),
    /// Keys with values; kept as JSON text.
    Map(String),
    /// Text that was not UTF-8: its bytes in base64.
    BrokenText(String),
}

impl AttributeValue {
    /// The type of this value.
    pub fn value_type(&self) -> ValueType {
        match self {
            AttributeValue::Empty => ValueType::Empty,
            AttributeValue::Text(_) => ValueType::Text,
            AttributeValue::Bool(_) => ValueType::Bool,
            AttributeValue::Int(_) => ValueType::Int,
            AttributeValue::Double(_) => ValueType::Double,
            AttributeValue::Bytes(_) => ValueType::Bytes,
            AttributeValue::List(_) => ValueType::List,
            AttributeValue::Map(_) => ValueType::Map,
            AttributeValue::BrokenText(_) => ValueType::BrokenText,
        }
    }

    /// The stored text.
    pub fn to_text(&self) -> String {
        match self {
            AttributeValue::Empty => String::new(),
            AttributeValue::Bool(value) => value.to_string(),
            AttributeValue::Int(value) => value.to_string(),
            AttributeValue::Double(value) => show_double(*value),
            AttributeValue::Text(text)
            | AttributeValue::Bytes(text)
            | AttributeValue::List(text)
            | AttributeValue::Map(text)
            | AttributeValue::BrokenText(text) => text.clone(),
        }
    }

    /// Reads a stored value. A tag of a later version, or a number that does not read, comes
    /// back as text: nothing stored is ever unreadable.
    pub fn from_stored(tag: u8, text: &str) -> AttributeValue {
        let as_text = || AttributeValue::Text(text.to_owned());
        match ValueType::from_tag(tag) {
            Some(ValueType::Empty) => AttributeValue::Empty,
            Some(ValueType::Text) | None => as_text(),
            Some(ValueType::Bool) => text.parse().map_or_else(|_| as_text(), Self::Bool),
            Some(ValueType::Int) => text.parse().map_or_else(|_| as_text(), Self::Int),
            Some(ValueType::Double) => text.parse().map_or_else(|_| as_text(), Self::Double),
            Some(ValueType::Bytes) => AttributeValue::Bytes(text.to_owned()),
            Some(ValueType::List) => AttributeValue::List(text.to_owned()),
            Some(ValueType::Map) => AttributeValue::Map(text.to_owned()),
            Some(ValueType::BrokenText) => AttributeValue::BrokenText(text.to_owned()),
        }
    }
}

/// The shortest decimal that reads back as the same float; always with a point or an exponent,
/// so that 1.0 is not taken for an integer.
pub fn show_double(value: f64) -> String {
    format!("{value:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_comes_back_from_its_stored_form() {
        let values = [
            AttributeValue::Empty,
            AttributeValue::Text("it's \"quoted\"\n\u{0}".into()),
            AttributeValue::Bool(true),
            AttributeValue::Int(i64::MIN),
            AttributeValue::Double(0.1),
            AttributeValue::Double(f64::INFINITY),
            AttributeValue::Bytes("AAEC".into()),
            AttributeValue::List("[1,\"a\"]".into()),
            AttributeValue::Map("{\"a\":1.0}".into()),
            AttributeValue::BrokenText("/w==".into()),
        ];
        for value in values {
            let stored = (value.value_type().tag(), value.to_text());
            assert_eq!(AttributeValue::from_stored(stored.0, &stored.1), value);
        }
    }

    #[test]
    fn a_tag_of_a_later_version_reads_as_text() {
        assert_eq!(AttributeValue::from_stored(99, "x"), AttributeValue::Text("x".into()));
    }
}
