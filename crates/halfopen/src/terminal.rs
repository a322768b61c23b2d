//! Where output goes. Data on stdout, all else on stderr; colours only where they are wanted
//! (`NO_COLOR`, `CLICOLOR_FORCE`, a terminal), and everything readable without them.

use std::fmt::Display;
use std::io::{self, BufWriter, IsTerminal as _, Write};

use anstream::AutoStream;
use anstyle::{AnsiColor, Style};

use crate::Failure;

/// Columns when stdout is no terminal: pasted into a ticket this still fits.
const WIDTH_PIPED_COLUMNS: usize = 80;
/// Below this nothing can be laid out.
const WIDTH_COLUMNS_MIN: usize = 40;

/// The two streams of the process.
pub struct Terminal {
    json: bool,
    out: BufWriter<Box<dyn Write>>,
    /// Flags that a command needs to be asked of the same source.
    source_flags: String,
}

impl Terminal {
    /// The terminal of this process; with `json`, stdout carries JSON only.
    pub fn new(json: bool) -> Terminal {
        let out: Box<dyn Write> = Box::new(AutoStream::auto(io::stdout()));
        Terminal { json, out: BufWriter::new(out), source_flags: String::new() }
    }

    /// Has every command that is offered from now on ask where this one asked.
    pub(crate) fn ask_again_with(&mut self, flags: &[(&str, &str)]) {
        let shown = |(flag, value): &(&str, &str)| {
            format!(" {flag} {}", halfopen_model::shell::quoted(value))
        };
        self.source_flags = flags.iter().map(shown).collect();
    }

    /// A command as it can be pasted.
    pub(crate) fn command(&self, command: &str) -> String {
        format!("{command}{}", self.source_flags)
    }

    /// Whether the caller wants JSON.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Stdout, buffered. Styles written to it are taken out where they are not wanted.
    pub fn out(&mut self) -> &mut dyn Write {
        &mut self.out
    }

    /// Writes one line of data.
    ///
    /// # Errors
    /// When stdout is gone.
    pub fn line(&mut self, text: impl Display) -> Result<(), Failure> {
        Ok(writeln!(self.out, "{text}")?)
    }

    /// Writes one line to stderr, behind the data that came before it. A stderr that is gone
    /// takes nothing from the answer.
    pub fn note(&mut self, text: impl Display) {
        let _ = self.out.flush();
        let _ = writeln!(anstream::stderr(), "{text}");
    }

    /// Sends what is buffered on its way.
    ///
    /// # Errors
    /// When stdout is gone.
    pub fn flush(&mut self) -> Result<(), Failure> {
        Ok(self.out.flush()?)
    }

    /// Columns to lay out for.
    pub fn width(&self) -> usize {
        self.width_of_tty().unwrap_or(WIDTH_PIPED_COLUMNS)
    }

    /// Columns of the terminal; `None` when stdout is none and a line may be as long as it is.
    pub fn width_of_tty(&self) -> Option<usize> {
        if !io::stdout().is_terminal() {
            return None;
        }
        let (columns, _) = terminal_size::terminal_size()?;
        Some(usize::from(columns.0).max(WIDTH_COLUMNS_MIN))
    }

    /// Writes a document as JSON on one line.
    ///
    /// # Errors
    /// When stdout is gone.
    pub fn json(&mut self, document: &impl serde::Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string(document).map_err(|error| {
            Failure::environment("the answer cannot be written as JSON").cause(&error)
        })?;
        self.line(text)
    }
}

/// Marks a failure.
pub const FAILED: Style = Style::new().bold().fg_color(Some(anstyle::Color::Ansi(AnsiColor::Red)));
/// What is less important.
pub const FAINT: Style = Style::new().dimmed();
/// What to look at first.
pub const STRONG: Style = Style::new().bold();
/// What can be pasted.
pub const COMMAND: Style = Style::new().fg_color(Some(anstyle::Color::Ansi(AnsiColor::Cyan)));
