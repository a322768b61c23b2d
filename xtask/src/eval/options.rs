//! The arguments of `cargo xtask eval`.

use std::path::PathBuf;

use halfopen_model::time::parse_duration_ns;

/// What a wrong argument is answered with.
const USAGE: &str = "\
usage: cargo xtask eval [--data DIR] [--set NAME] [--onset-shift 60s] [--scramble] [--quiet N]
                        [--seed N] [--json]

  --data DIR          folder of sets [default: ../shared/data/rca]
  --set NAME          only this folder of it
  --onset-shift TIME  ask about a time that is wrong by so much: 60s, -60s
  --scramble          ask again with other names, in another order, at another time
  --quiet N           windows without a fault that are asked about, per set [default: 300]
  --seed N            of everything that is drawn [default: 1]
  --json              one document in place of a table";

const QUIET_DEFAULT: usize = 300;

/// What was asked for.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Options {
    /// Folder of sets.
    pub(super) data: Option<PathBuf>,
    /// The one set.
    pub(super) set: Option<String>,
    /// By how much the time that is asked about is wrong, in nanoseconds.
    pub(super) onset_shift_ns: i64,
    /// Whether everything is asked again under other names.
    pub(super) scramble: bool,
    /// Quiet windows of a set.
    pub(super) quiet: usize,
    /// Seed of everything that is drawn.
    pub(super) seed: u64,
    /// Whether a document is printed.
    pub(super) json: bool,
}

impl Options {
    /// Reads the arguments.
    ///
    /// # Errors
    /// When one is not known, or its value does not read.
    pub(super) fn read(arguments: &[String]) -> Result<Options, String> {
        let mut options = Options {
            data: None,
            set: None,
            onset_shift_ns: 0,
            scramble: false,
            quiet: QUIET_DEFAULT,
            seed: 1,
            json: false,
        };
        let mut arguments = arguments.iter();
        while let Some(name) = arguments.next() {
            match name.as_str() {
                "--scramble" => options.scramble = true,
                "--json" => options.json = true,
                "--data" => options.data = Some(value(name, arguments.next())?.into()),
                "--set" => options.set = Some(value(name, arguments.next())?.to_owned()),
                "--onset-shift" => options.onset_shift_ns = shift(value(name, arguments.next())?)?,
                "--quiet" => options.quiet = number(name, arguments.next())?,
                "--seed" => options.seed = number(name, arguments.next())?,
                other => return Err(format!("there is no argument \"{other}\"\n{USAGE}")),
            }
        }
        Ok(options)
    }
}

fn value<'a>(name: &str, value: Option<&'a String>) -> Result<&'a str, String> {
    value.map(String::as_str).ok_or_else(|| format!("{name} wants a value\n{USAGE}"))
}

fn number<T: std::str::FromStr>(name: &str, text: Option<&String>) -> Result<T, String> {
    let text = value(name, text)?;
    text.parse().map_err(|_| format!("{name} wants a whole number, not \"{text}\"\n{USAGE}"))
}

fn shift(text: &str) -> Result<i64, String> {
    let (sign, size) = match text.strip_prefix('-') {
        Some(size) => (-1, size),
        None => (1, text),
    };
    parse_duration_ns(size).map(|ns| sign * ns).map_err(|error| format!("{error}\n{USAGE}"))
}
