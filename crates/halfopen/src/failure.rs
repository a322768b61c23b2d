//! What a user reads when a verb could not do its work: the fact, the detail, a hint.

use std::error::Error;
use std::io;
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};

use crate::Outcome;

/// The arguments make no sense.
const EXIT_USAGE: u8 = 2;
/// The world around stands in the way: a folder is locked, a port taken, a server not there.
const EXIT_ENVIRONMENT: u8 = 3;

/// Why a verb could not do its work.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    exit: u8,
    fact: String,
    detail: Vec<String>,
    hint: Option<String>,
}

impl Failure {
    /// What was asked makes no sense: exit code 2.
    pub fn usage(fact: impl Into<String>) -> Failure {
        Failure { exit: EXIT_USAGE, fact: fact.into(), detail: Vec::new(), hint: None }
    }

    /// The world around stands in the way: exit code 3.
    pub fn environment(fact: impl Into<String>) -> Failure {
        Failure { exit: EXIT_ENVIRONMENT, ..Failure::usage(fact) }
    }

    /// Adds a line of detail.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Failure {
        self.detail.push(detail.into());
        self
    }

    /// Adds an error and its sources as detail, each on its line.
    #[must_use]
    pub fn cause(mut self, error: &dyn Error) -> Failure {
        let mut next = Some(error);
        while let Some(error) = next {
            self.detail.push(error.to_string());
            next = error.source();
        }
        self
    }

    /// Says what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Failure {
        self.hint = Some(hint.into());
        self
    }

    /// An end that is none: whoever read our output has seen enough. Exit code 0, nothing printed.
    fn quiet() -> Failure {
        Failure { exit: 0, ..Failure::usage("") }
    }

    /// What the parser of arguments says: help and version are no failures.
    pub(crate) fn of_arguments(error: &clap::Error) -> Result<Outcome, Failure> {
        // Nothing can be said when the terminal itself is gone.
        let _ = error.print();
        match error.exit_code() {
            0 => Ok(Outcome::Clean),
            _ => Err(Failure { exit: EXIT_USAGE, ..Failure::quiet() }),
        }
    }

    /// The exit code.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.exit)
    }

    /// Writes it to stderr.
    pub fn print(&self) {
        if self.fact.is_empty() {
            return;
        }
        // Nothing can be said when stderr itself is gone.
        let _ = self.write(&mut anstream::stderr().lock());
    }

    fn write(&self, out: &mut dyn io::Write) -> io::Result<()> {
        let red = Style::new().bold().fg_color(Some(AnsiColor::Red.into()));
        let cyan = Style::new().bold().fg_color(Some(AnsiColor::Cyan.into()));
        writeln!(out, "{red}error{red:#}: {}", self.fact)?;
        for line in self.detail.iter().flat_map(|detail| detail.lines()) {
            writeln!(out, "  {line}")?;
        }
        if let Some(hint) = &self.hint {
            writeln!(out, "{cyan}hint{cyan:#}: {hint}")?;
        }
        out.flush()
    }
}

impl From<io::Error> for Failure {
    /// Output that could not be written. A closed pipe is the reader's choice.
    fn from(error: io::Error) -> Failure {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::quiet(),
            _ => Failure::environment("could not write the output").cause(&error),
        }
    }
}
