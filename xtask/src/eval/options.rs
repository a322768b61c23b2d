//! The arguments of `cargo xtask eval`.

use std::path::PathBuf;

use halfopen_model::time::parse_duration_ns;

use super::demos::PREFIX;

/// What a wrong argument is answered with.
const USAGE: &str = "\
usage: cargo xtask eval [--data DIR] [--set NAME] [--onset-shift 60s [--end-stays]] [--scramble]
                        [--quiet N] [--seed N] [--no-demos] [--json]

  --data DIR          folder of sets [default: ../shared/data/rca]
  --set NAME          only this folder of it; demo-gift-card and demo-cascading-timeout are
                      recorded runs of the demos, half a minute for each of ten seeds at first
  --no-demos          leave those out, which come last where no --data is given
  --onset-shift TIME  ask about a time that is wrong by so much: 60s, -60s
  --end-stays         with it only the begin is wrong: somebody looks now, and errs about since when
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
    /// Whether the demos are left out.
    pub(super) no_demos: bool,
    /// By how much the time that is asked about is wrong, in nanoseconds.
    pub(super) onset_shift_ns: i64,
    /// Whether only the begin of that time is wrong.
    pub(super) end_stays: bool,
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
    /// Whether the labelled incidents of the folder are asked about.
    pub(super) fn wants_data(&self) -> bool {
        !self.set.as_ref().is_some_and(|set| set.starts_with(PREFIX))
    }

    /// Whether the demos are.
    pub(super) fn wants_demos(&self) -> bool {
        let named = self.set.as_ref().map(|set| set.starts_with(PREFIX));
        !self.no_demos && named.unwrap_or(self.data.is_none())
    }

    /// Reads the arguments.
    ///
    /// # Errors
    /// When one is not known, or its value does not read.
    pub(super) fn read(arguments: &[String]) -> Result<Options, String> {
        let mut options = Options {
            data: None,
            set: None,
            no_demos: false,
            onset_shift_ns: 0,
            end_stays: false,
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
                "--end-stays" => options.end_stays = true,
                "--no-demos" => options.no_demos = true,
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
