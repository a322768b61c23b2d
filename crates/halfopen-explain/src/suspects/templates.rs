//! Statements of a log: lines with what varies taken out, mined as they come.
//!
//! A small relative of Drain (P. He, J. Zhu, Z. Zheng, M. R. Lyu, ICWS 2017): a line is cut into
//! words; words with digits, and what stands in brackets as a list, are variable; lines of one
//! service that agree in length and in their first fixed words are one statement when most of
//! their words agree. A word such as `Orders.java:42` or `Orders#42` names a place in code and is
//! kept: two places are two statements.

use std::borrow::Cow;

use crate::intern::{FoldMap, Words};

/// More statements than this are not told apart: whatever else comes is one statement.
pub(crate) const STATEMENTS_MAX: usize = 5_000;

/// So much of a line is read; statements differ at their begin.
const LINE_BYTES_MAX: usize = 400;

/// So many words of a line are looked at.
const WORDS_MAX: usize = 24;

/// Lines belong together when this share of their words agrees.
const ALIKE_MIN: f64 = 0.6;

/// Lines are only compared with those that have the same fixed words at their begin.
const FIRST_WORDS: usize = 3;

/// Brackets inside brackets are taken out so many times.
const NESTED_MAX: usize = 4;

/// What stands for a word that varies.
pub(super) const VARIES: &str = "…";

/// A statement.
struct Statement {
    words: Vec<u32>,
}

/// All statements that were seen.
pub(super) struct Templates {
    words: Words,
    varies: u32,
    statements: Vec<Statement>,
    /// By service, length and first words.
    alike: FoldMap<Vec<u32>, Vec<u32>>,
    /// Lines of the same form, once variable words are out, by the code of their form.
    forms: Words,
    by_form: FoldMap<(u32, u32), u32>,
    /// Lines that came when the bound was reached.
    pub(super) unread: u64,
}

impl Templates {
    pub(super) fn new() -> Templates {
        let mut words = Words::new();
        let varies = words.code(VARIES);
        Templates {
            words,
            varies,
            statements: Vec::new(),
            alike: FoldMap::default(),
            forms: Words::new(),
            by_form: FoldMap::default(),
            unread: 0,
        }
    }

    /// The statement of a line of a service; `None` once there are too many.
    pub(super) fn code(&mut self, service: u32, line: &str) -> Option<u32> {
        let form = form(line);
        let form_code = self.forms.code(&form);
        if let Some(known) = self.by_form.get(&(service, form_code)) {
            return Some(*known);
        }
        let words: Vec<u32> = form.split(' ').map(|word| self.words.code(word)).collect();
        let fixed = words.iter().copied().filter(|word| *word != self.varies);
        let mut key = vec![service, words.len() as u32];
        key.extend(fixed.take(FIRST_WORDS));
        let (varies, statements) = (self.varies, &mut self.statements);
        let bucket = self.alike.entry(key).or_default();
        let likeness = |code: &u32| {
            let known = &statements[*code as usize].words;
            let same = known.iter().zip(&words).filter(|(a, b)| a == b).count();
            same as f64 / words.len().max(1) as f64
        };
        let best = bucket.iter().copied().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
        let code = match best.filter(|code| likeness(code) >= ALIKE_MIN) {
            Some(code) => {
                let known = &mut statements[code as usize].words;
                for (known, word) in known.iter_mut().zip(&words) {
                    if known != word {
                        *known = varies;
                    }
                }
                code
            }
            None if statements.len() < STATEMENTS_MAX => {
                let code = statements.len() as u32;
                statements.push(Statement { words });
                bucket.push(code);
                code
            }
            None => {
                self.unread += 1;
                return None;
            }
        };
        self.by_form.insert((service, form_code), code);
        Some(code)
    }

    /// The statement as text, what varies as `…`.
    pub(super) fn text(&self, code: u32) -> String {
        let words = self.statements[code as usize].words.iter();
        let texts: Vec<&str> = words.map(|word| self.words.text(*word)).collect();
        texts.join(" ")
    }
}

/// A line without what varies, words parted by one space.
fn form(line: &str) -> String {
    let line = first_bytes(line, LINE_BYTES_MAX);
    let mut line = Cow::Borrowed(line);
    for _ in 0..NESTED_MAX {
        match without_lists(&line) {
            Some(shorter) => line = Cow::Owned(shorter),
            None => break,
        }
    }
    let mut form = String::with_capacity(line.len());
    let words = line.split(parts).filter(|word| !word.is_empty()).take(WORDS_MAX);
    let mut last = "";
    for word in words {
        let word = if is_variable(word) { VARIES } else { word };
        if word == VARIES && last == VARIES {
            continue;
        }
        if !form.is_empty() {
            form.push(' ');
        }
        form.push_str(word);
        last = word;
    }
    form
}

fn parts(c: char) -> bool {
    c.is_whitespace() || "=,()[]{}：".contains(c)
}

fn first_bytes(text: &str, bytes_max: usize) -> &str {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// The line with every innermost `(...)`, `{...}`, and every `[...]` that holds a comma, taken
/// out; `None` when there is none.
fn without_lists(line: &str) -> Option<String> {
    let (mut kept, mut found) = (String::with_capacity(line.len()), false);
    let mut open: Option<(usize, char)> = None;
    for c in line.chars() {
        match (c, open) {
            ('(' | '{' | '[', _) => open = Some((kept.len(), c)),
            (')' | '}' | ']', Some((at, begin))) => {
                let pairs = matches!((begin, c), ('(', ')') | ('{', '}') | ('[', ']'));
                if pairs && (c != ']' || kept[at..].contains(',')) {
                    kept.truncate(at);
                    kept.push(' ');
                    kept.push_str(VARIES);
                    kept.push(' ');
                    found = true;
                    open = None;
                    continue;
                }
                open = None;
            }
            _ => {}
        }
        kept.push(c);
    }
    found.then_some(kept)
}

/// Whether a word is a value and not a part of the statement: it has a digit, and is not the name
/// of a place in code.
fn is_variable(word: &str) -> bool {
    let word = word.trim_matches(|c: char| ".;:\"'".contains(c));
    word.contains(|c: char| c.is_ascii_digit()) && !is_place(word)
}

/// `Orders.java:42`, `c.s.Orders#42`: a name, a mark, a number.
fn is_place(word: &str) -> bool {
    let Some((name, line)) = word.rsplit_once(['#', ':']) else { return false };
    let of_name = |c: char| c.is_ascii_alphabetic() || "_$./-".contains(c);
    let named = name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.chars().all(of_name);
    named && !line.is_empty() && line.chars().all(|c| c.is_ascii_digit())
}

#[cfg(test)]
#[path = "../../tests/unit/suspects_templates.rs"]
mod tests;
