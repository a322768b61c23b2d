//! Settings and their values: `MaxConns = 50`, `default_ttl: 15m`, `15 * time.Minute`.

/// A value that can be compared.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Number {
    /// In seconds for a time, in bytes for a size, else as it is.
    pub(crate) value: f64,
    pub(crate) is_time: bool,
}

/// Name and value of a line that sets something; an empty name where it sets nothing.
pub(crate) fn setting(line: &str) -> (String, String) {
    let line = line.split("//").next().unwrap_or(line).trim().trim_end_matches([',', ';', '{']);
    let line = ["const ", "let ", "var ", "export ", "final ", "static ", "- "]
        .iter()
        .fold(line, |line, word| line.strip_prefix(word).unwrap_or(line));
    let Some(at) = line.find(['=', ':']) else { return (String::new(), String::new()) };
    let name = line[..at].trim().trim_matches(['"', '\'', ':']).trim();
    let value = line[at + 1..].trim_start_matches(['=', ':']).trim();
    let is_name = |letter: char| letter.is_ascii_alphanumeric() || "_-. ".contains(letter);
    let fits = !name.is_empty() && !value.is_empty() && name.chars().all(is_name);
    match fits && name.split(' ').count() <= 2 {
        true => (name.to_owned(), value.trim_matches(['"', '\'']).to_owned()),
        false => (String::new(), String::new()),
    }
}

/// Names of units: seconds or bytes in one of them, and whether it is a time.
const UNITS: [(&str, f64, bool); 34] = [
    ("nanosecond", 1e-9, true),
    ("ns", 1e-9, true),
    ("microsecond", 1e-6, true),
    ("us", 1e-6, true),
    ("millisecond", 1e-3, true),
    ("milliseconds", 1e-3, true),
    ("millis", 1e-3, true),
    ("ms", 1e-3, true),
    ("second", 1.0, true),
    ("seconds", 1.0, true),
    ("secs", 1.0, true),
    ("sec", 1.0, true),
    ("s", 1.0, true),
    ("minute", 60.0, true),
    ("minutes", 60.0, true),
    ("min", 60.0, true),
    ("mins", 60.0, true),
    ("m", 60.0, true),
    ("hour", 3_600.0, true),
    ("hours", 3_600.0, true),
    ("h", 3_600.0, true),
    ("day", 86_400.0, true),
    ("days", 86_400.0, true),
    ("d", 86_400.0, true),
    ("k", 1e3, false),
    ("kb", 1e3, false),
    ("ki", 1_024.0, false),
    ("mb", 1e6, false),
    ("mi", 1_048_576.0, false),
    ("mib", 1_048_576.0, false),
    ("gb", 1e9, false),
    ("gi", 1_073_741_824.0, false),
    ("gib", 1_073_741_824.0, false),
    ("g", 1e9, false),
];

/// A value as a number: one number, with a unit behind it or named beside it.
pub(crate) fn read(text: &str) -> Option<Number> {
    let text = text.to_ascii_lowercase();
    let mut numbers = Vec::new();
    let mut names = Vec::new();
    for part in text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '.') {
        let end = part.find(|letter: char| letter.is_ascii_alphabetic()).unwrap_or(part.len());
        if let Ok(number) = part[..end].trim_end_matches('.').replace('_', "").parse::<f64>() {
            numbers.push(number);
        }
        let name = part[end..].rsplit('.').next().unwrap_or_default();
        if !name.is_empty() {
            names.push(name.to_owned());
        }
    }
    let [number] = numbers[..] else { return None };
    let unit = names.iter().find_map(|name| {
        UNITS.iter().find(|(known, ..)| known == name || name.strip_prefix("from") == Some(*known))
    });
    let (scale, is_time) = unit.map_or((1.0, false), |(_, scale, is_time)| (*scale, *is_time));
    Some(Number { value: number * scale, is_time })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_with_their_units() {
        let value = |text| read(text).map(|number| (number.value, number.is_time));
        assert_eq!(value("15 * time.Minute"), Some((900.0, true)));
        assert_eq!(value("15s"), Some((15.0, true)));
        assert_eq!(value("512Mi"), Some((536_870_912.0, false)));
        assert_eq!(value("50"), Some((50.0, false)));
        assert_eq!(value("defaultMaxConns"), None);
        assert_eq!(setting("const defaultMaxConns = 50").0, "defaultMaxConns");
        assert_eq!(setting("  default_ttl: 15m"), ("default_ttl".into(), "15m".into()));
        assert_eq!(setting("return nil").0, "");
    }
}
