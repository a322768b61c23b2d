//! A diff as pairs of what went and what came.

/// One place of a diff: lines that went, lines that came, and those around them.
#[derive(Default, Debug)]
pub(crate) struct Hunk<'a> {
    pub(crate) removed: Vec<&'a str>,
    pub(crate) added: Vec<&'a str>,
    /// Unchanged lines before the change, which say where it is.
    pub(crate) around: Vec<&'a str>,
}

/// More of a diff is not read: a change that large is no single cause.
const LINES_MAX: usize = 5_000;

/// The changed places of a unified diff, with or without file headers.
pub(crate) fn hunks(diff: &str) -> Vec<Hunk<'_>> {
    let mut hunks = Vec::new();
    let mut hunk = Hunk::default();
    let mut is_open = false;
    for line in diff.lines().take(LINES_MAX) {
        if line.starts_with("+++") || line.starts_with("---") || line.starts_with("diff ") {
            continue;
        }
        let is_change = line.starts_with(['+', '-']);
        if (line.starts_with("@@") || !is_change) && is_open {
            hunks.push(std::mem::take(&mut hunk));
            is_open = false;
        }
        match line.as_bytes().first() {
            Some(b'+') => hunk.added.push(&line[1..]),
            Some(b'-') => hunk.removed.push(&line[1..]),
            _ => hunk.around.push(line),
        }
        is_open |= is_change;
    }
    if is_open {
        hunks.push(hunk);
    }
    hunks
}

/// Whether the line is a comment, or nothing.
pub(crate) fn is_comment(line: &str) -> bool {
    let line = line.trim();
    let marks = ["//", "#", "/*", "*", "--", "<!--", "\"\"\""];
    line.is_empty() || marks.iter().any(|mark| line.starts_with(mark))
}

/// The line without space, by which lines that only moved or were set otherwise are equal.
pub(crate) fn bare(line: &str) -> String {
    line.chars().filter(|letter| !letter.is_whitespace() && *letter != ',').collect()
}

impl<'a> Hunk<'a> {
    /// Takes out comments and lines that only moved or were set otherwise.
    pub(crate) fn without_noise(&self) -> Hunk<'a> {
        let mut removed: Vec<&str> =
            self.removed.iter().copied().filter(|line| !is_comment(line)).collect();
        let mut added = Vec::new();
        for line in self.added.iter().copied().filter(|line| !is_comment(line)) {
            match removed.iter().position(|gone| bare(gone) == bare(line)) {
                Some(place) => drop(removed.remove(place)),
                None => added.push(line),
            }
        }
        Hunk { removed, added, around: self.around.clone() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.removed.is_empty() && self.added.is_empty()
    }
}

/// The words of a name in any case: `MaxConnIdle_time` is max, conn, idle, time.
pub(crate) fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut last = ' ';
    for letter in text.chars() {
        if !letter.is_ascii_alphanumeric() {
            last = ' ';
            continue;
        }
        let begins = !last.is_ascii_alphanumeric()
            || (letter.is_ascii_uppercase() && last.is_ascii_lowercase())
            || letter.is_ascii_digit() != last.is_ascii_digit();
        match words.last_mut() {
            Some(word) if !begins => word.push(letter.to_ascii_lowercase()),
            _ => words.push(letter.to_ascii_lowercase().to_string()),
        }
        last = letter;
    }
    words
}
