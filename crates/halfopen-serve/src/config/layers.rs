//! How the layers come together.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use toml::{Table, Value};

use super::Config;

/// Every key with its default, its unit and its meaning, and so the type of each key.
const EXAMPLE: &str = include_str!("../../../../docs/halfopen.example.toml");

/// Beyond this many edits a name is no longer taken for a slip of the pen.
const SLIP_EDITS_MAX: usize = 3;

static KEYS: LazyLock<Table> =
    LazyLock::new(|| EXAMPLE.parse().expect("the example file parses: a test reads it"));

/// Why the settings could not be had.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is not there or not readable.
    #[error("could not read the settings in {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The file is no TOML, or a value has the wrong type.
    #[error("could not understand the settings in {path}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// The cause, with the line.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// A key that nobody knows.
    #[error("{origin} sets \"{key}\", which is no setting")]
    Unknown {
        /// The file or the layer.
        origin: String,
        /// The key as it was written.
        key: String,
        /// The key that was probably meant.
        meant: Option<String>,
    },
    /// A value that the key cannot take.
    #[error("{origin} sets {key} to {value:?}: {problem}")]
    Value {
        /// The file or the layer.
        origin: String,
        /// The key.
        key: String,
        /// The value as it was written.
        value: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Values that do not fit.
    #[error("{key}: {problem}")]
    Invalid {
        /// The key.
        key: &'static str,
        /// What is wrong.
        problem: String,
        /// What to do.
        hint: String,
    },
    /// There is no place for a data folder.
    #[error("could not find a place for the data folder: neither XDG_DATA_HOME nor HOME is set")]
    NoHome,
}

impl ConfigError {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            ConfigError::Read { .. } => "name another file with --config".to_owned(),
            ConfigError::Unknown { meant: Some(meant), .. } => format!("did you mean \"{meant}\"?"),
            ConfigError::NoHome => "name a folder with --data".to_owned(),
            ConfigError::Invalid { hint, .. } => hint.clone(),
            _ => "docs/halfopen.example.toml lists every setting with its default".to_owned(),
        }
    }
}

/// The environment as a value, so that tests need no process of their own.
#[derive(Clone, Debug, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// From pairs of name and value, for example those of the process.
    pub fn new(pairs: impl IntoIterator<Item = (String, String)>) -> Environment {
        Environment(pairs.into_iter().collect())
    }

    /// The variables of this process; names and values that are not UTF-8 are left out.
    pub fn of_process() -> Environment {
        Environment::new(std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        }))
    }

    /// The value of a variable; one that is empty counts as not set.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// A folder of the XDG base directory specification, or its fallback below HOME.
    fn home(&self, xdg: &str, fallback: &str) -> Option<PathBuf> {
        if let Some(folder) = self.get(xdg).map(PathBuf::from).filter(|path| path.is_absolute()) {
            return Some(folder);
        }
        self.get("HOME").map(|home| Path::new(home).join(fallback))
    }

    /// Where data lies when nobody says otherwise.
    ///
    /// # Errors
    /// When neither `XDG_DATA_HOME` nor `HOME` is set.
    pub fn data_folder(&self) -> Result<PathBuf, ConfigError> {
        let home = self.home("XDG_DATA_HOME", ".local/share").ok_or(ConfigError::NoHome)?;
        Ok(home.join("halfopen"))
    }
}

/// What flags of the command line set.
#[derive(Clone, Debug, Default)]
pub struct Overrides(Table);

impl Overrides {
    /// Sets one key.
    pub fn set(&mut self, room: &str, key: &str, value: impl Into<Value>) {
        put(&mut self.0, room, key, value.into());
    }
}

impl Config {
    /// Reads the layers: defaults, file, environment, flags.
    ///
    /// # Errors
    /// When a layer holds an unknown key or a value that does not fit.
    pub fn load(
        file: Option<&Path>,
        environment: &Environment,
        flags: &Overrides,
    ) -> Result<Config, ConfigError> {
        let mut table = match file_to_read(file, environment) {
            Some(path) => read_file(&path)?,
            None => Table::new(),
        };
        overlay_environment(&mut table, environment)?;
        for (room, keys) in &flags.0 {
            for (key, value) in keys.as_table().into_iter().flatten() {
                put(&mut table, room, key, value.clone());
            }
        }
        let folder = table.get("store").and_then(|store| store.get("folder"));
        if folder.and_then(Value::as_str).is_none_or(str::is_empty) {
            let folder = environment.data_folder()?;
            put(&mut table, "store", "folder", folder.display().to_string().into());
        }
        let config: Config = table.try_into().map_err(|source| ConfigError::Parse {
            path: PathBuf::from("environment and flags"),
            source: Box::new(source),
        })?;
        config.check()?;
        Ok(config)
    }
}

/// The file that was named, else the one in the user's configuration home where there is one.
fn file_to_read(named: Option<&Path>, environment: &Environment) -> Option<PathBuf> {
    if let Some(path) = named {
        return Some(path.to_owned());
    }
    if let Some(path) = environment.get("HALFOPEN_CONFIG") {
        return Some(PathBuf::from(path));
    }
    let path = environment.home("XDG_CONFIG_HOME", ".config")?.join("halfopen/config.toml");
    path.is_file().then_some(path)
}

fn read_file(path: &Path) -> Result<Table, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
    let parse = |source| ConfigError::Parse { path: path.to_owned(), source: Box::new(source) };
    let table: Table = text.parse().map_err(parse)?;
    let origin = path.display().to_string();
    for (room, keys) in &table {
        let Some(known) = KEYS.get(room).and_then(Value::as_table) else {
            return Err(unknown(&origin, room, KEYS.keys()));
        };
        for key in keys.as_table().into_iter().flat_map(Table::keys) {
            if !known.contains_key(key) {
                return Err(unknown(&origin, key, known.keys()));
            }
        }
    }
    // Once more as a whole: the error of a wrong type then names its line.
    toml::from_str::<Config>(&text).map_err(parse)?;
    Ok(table)
}

fn overlay_environment(table: &mut Table, environment: &Environment) -> Result<(), ConfigError> {
    for (room, keys) in KEYS.iter() {
        let Some(known) = keys.as_table() else { continue };
        let prefix = format!("HALFOPEN_{}_", room.to_uppercase());
        for (name, text) in &environment.0 {
            let Some(key) = name.strip_prefix(&prefix).map(str::to_lowercase) else { continue };
            let Some(example) = known.get(&key) else {
                let names: Vec<_> =
                    known.keys().map(|key| format!("{prefix}{}", key.to_uppercase())).collect();
                return Err(unknown("the environment", name, names.iter()));
            };
            let value = typed(text, example).map_err(|problem| ConfigError::Value {
                origin: "the environment".to_owned(),
                key: name.clone(),
                value: text.clone(),
                problem,
            })?;
            put(table, room, &key, value);
        }
    }
    Ok(())
}

/// Reads the text of a variable as the type that the example has.
fn typed(text: &str, example: &Value) -> Result<Value, String> {
    let trimmed = text.trim();
    match example {
        Value::Integer(_) => match trimmed.replace('_', "").parse() {
            Ok(number) => Ok(Value::Integer(number)),
            Err(_) => Err("a whole number is wanted".to_owned()),
        },
        Value::Float(_) => match trimmed.parse() {
            Ok(number) => Ok(Value::Float(number)),
            Err(_) => Err("a number is wanted".to_owned()),
        },
        Value::Boolean(_) => match trimmed.parse() {
            Ok(truth) => Ok(Value::Boolean(truth)),
            Err(_) => Err("true or false is wanted".to_owned()),
        },
        Value::Array(_) => {
            let parts = trimmed.split(',').map(str::trim).filter(|part| !part.is_empty());
            Ok(Value::Array(parts.map(|part| Value::String(part.to_owned())).collect()))
        }
        _ => Ok(Value::String(text.to_owned())),
    }
}

fn put(table: &mut Table, room: &str, key: &str, value: Value) {
    let entry = table.entry(room).or_insert_with(|| Value::Table(Table::new()));
    if let Value::Table(keys) = entry {
        keys.insert(key.to_owned(), value);
    }
}

fn unknown<'a>(origin: &str, key: &str, known: impl Iterator<Item = &'a String>) -> ConfigError {
    let nearest = known.map(|name| (edits(name, key), name)).min();
    let meant = nearest.filter(|(edits, _)| *edits <= SLIP_EDITS_MAX);
    ConfigError::Unknown {
        origin: origin.to_owned(),
        key: key.to_owned(),
        meant: meant.map(|(_, name)| name.clone()),
    }
}

/// Insertions, deletions and replacements that lead from one name to the other.
fn edits(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (line, left) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = line + 1;
        for (column, right) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(left != *right);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[to.len()]
}
