use std::collections::BTreeSet;
use std::path::PathBuf;

use super::*;

const EXAMPLE: &str = include_str!("../../../../docs/halfopen.example.toml");

/// More keys than this in one room, and nobody finds the one they need.
const KEYS_MAX: usize = 25;

fn environment(pairs: &[(&str, &str)]) -> Environment {
    let home = [("HOME", "/users/somebody")];
    let all = home.iter().chain(pairs);
    Environment::new(all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
}

fn load(file: &str, pairs: &[(&str, &str)], flags: &Overrides) -> Result<Config, ConfigError> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("halfopen.toml");
    std::fs::write(&path, file).expect("a file");
    Config::load(Some(&path), &environment(pairs), flags)
}

/// The error as a user reads it, without the path of the file.
fn refused(file: &str, pairs: &[(&str, &str)]) -> String {
    let error = load(file, pairs, &Overrides::default()).expect_err("it should be refused");
    let mut text = error.to_string();
    if let Some(source) = std::error::Error::source(&error) {
        text = format!("{text}: {source}");
    }
    format!("{text}; hint: {}", error.hint())
}

/// The keys of a room, as its own refusal of an unknown one lists them.
fn keys_of(room: &str) -> BTreeSet<String> {
    let text = format!("[{room}]\nno_such_key = 1");
    let error = toml::from_str::<Config>(&text).expect_err("an unknown key").to_string();
    let known = error.split_once("expected").expect("the known keys").1;
    let quoted = known.split('`').skip(1).step_by(2);
    quoted.map(str::to_owned).collect()
}

#[test]
fn the_example_holds_every_key_with_its_default() {
    let example: toml::Table = EXAMPLE.parse().expect("TOML");
    let rooms: Vec<_> = example.keys().map(String::as_str).collect();
    assert_eq!(rooms, ["explain", "ingest", "serve", "store"]);
    for (room, keys) in &example {
        let keys = keys.as_table().expect("a room");
        let named: BTreeSet<_> = keys.keys().cloned().collect();
        assert_eq!(named, keys_of(room), "[{room}]");
        assert!(named.len() <= KEYS_MAX, "[{room}] has more than {KEYS_MAX} keys");
    }
    let mut read: Config = toml::from_str(EXAMPLE).expect("settings");
    let defaults = Config::default();
    // Where data lies depends on the user; the example says so with an empty text.
    assert_eq!(read.store.folder, PathBuf::new());
    read.store.folder = defaults.store.folder.clone();
    assert_eq!(format!("{read:#?}"), format!("{defaults:#?}"));
}

#[test]
fn every_key_of_the_example_is_explained() {
    let lines: Vec<_> = EXAMPLE.lines().collect();
    for (above, line) in lines.iter().zip(&lines[1..]) {
        let is_key = line.contains(" = ") && !line.starts_with('#');
        assert!(!is_key || above.starts_with("# "), "nothing is said about {line}");
    }
}

#[test]
fn later_layers_win() {
    let file = "[serve]\nlanes = 3\nquestions_max = 3\nstop_seconds_max = 3";
    let mut flags = Overrides::default();
    flags.set("serve", "stop_seconds_max", 5);
    flags.set("store", "folder", "/flagged");
    let pairs = [
        ("HALFOPEN_SERVE_QUESTIONS_MAX", "4"),
        ("HALFOPEN_SERVE_STOP_SECONDS_MAX", "4"),
        ("HALFOPEN_STORE_FOLDER", "/named"),
        ("HALFOPEN_INGEST_ID_NAMES", "order_id, cart_id"),
    ];
    let config = load(file, &pairs, &flags).expect("settings");
    let serve = &config.serve;
    assert_eq!((serve.lanes, serve.questions_max, serve.stop_seconds_max), (3, 4, 5));
    assert_eq!(config.store.folder, PathBuf::from("/flagged"));
    assert_eq!(config.ingest.settings().id_names, ["order_id", "cart_id"]);
    assert_eq!(serve.http, ServeConfig::default().http);
}

#[test]
fn the_data_folder_follows_the_home() {
    let folder = |pairs: &[(&str, &str)]| {
        load("", pairs, &Overrides::default()).expect("settings").store.folder
    };
    assert_eq!(folder(&[]), PathBuf::from("/users/somebody/.local/share/halfopen"));
    assert_eq!(folder(&[("XDG_DATA_HOME", "/data")]), PathBuf::from("/data/halfopen"));
    assert_eq!(
        folder(&[("XDG_DATA_HOME", "relative")]),
        PathBuf::from("/users/somebody/.local/share/halfopen")
    );
    let nowhere = Config::load(None, &Environment::default(), &Overrides::default());
    assert!(matches!(nowhere, Err(ConfigError::NoHome)));
}

#[test]
fn the_file_is_looked_for_where_it_belongs() {
    let home = tempfile::tempdir().expect("a folder");
    let file = home.path().join("halfopen/config.toml");
    std::fs::create_dir(home.path().join("halfopen")).expect("a folder");
    std::fs::write(&file, "[serve]\nlanes = 7").expect("a file");
    let lanes = |name: &str, value: &std::path::Path| {
        let value = value.to_str().expect("UTF-8");
        let pairs = environment(&[(name, value)]);
        Config::load(None, &pairs, &Overrides::default()).expect("settings").serve.lanes
    };
    assert_eq!(lanes("XDG_CONFIG_HOME", home.path()), 7);
    assert_eq!(lanes("HALFOPEN_CONFIG", &file), 7);
    assert_eq!(lanes("UNRELATED", &file), ServeConfig::default().lanes);
    let missing = environment(&[("HALFOPEN_CONFIG", "/no/such/file")]);
    let missing = Config::load(None, &missing, &Overrides::default());
    assert!(matches!(missing, Err(ConfigError::Read { .. })));
}

#[test]
fn what_nobody_knows_is_refused_with_what_was_meant() {
    let text = refused("[serve]\nlane = 3", &[]);
    assert!(
        text.ends_with("sets \"lane\", which is no setting; hint: did you mean \"lanes\"?"),
        "{text}"
    );
    let text = refused("[server]\nlanes = 3", &[]);
    assert!(text.ends_with("did you mean \"serve\"?"), "{text}");
    let text = refused("", &[("HALFOPEN_SERVE_HTPP", "1")]);
    assert_eq!(
        text,
        "the environment sets \"HALFOPEN_SERVE_HTPP\", which is no setting; \
        hint: did you mean \"HALFOPEN_SERVE_HTTP\"?"
    );
    let text = refused("[serve]\nthe_meaning_of_life = 42", &[]);
    assert!(text.contains("docs/halfopen.example.toml"), "{text}");
    // Variables of other purposes are not ours to judge.
    assert!(load("", &[("HALFOPEN_URL", "http://x")], &Overrides::default()).is_ok());
}

#[test]
fn values_that_do_not_fit_are_named() {
    let text = refused("", &[("HALFOPEN_SERVE_LANES", "many")]);
    assert!(
        text.starts_with("the environment sets HALFOPEN_SERVE_LANES to \"many\": a whole"),
        "{text}"
    );
    let text = refused("[serve]\nlanes = \"many\"", &[]);
    assert!(text.contains("could not understand the settings in"), "{text}");
    assert!(text.contains("line 2"), "{text}");
    let text = refused("[serve]\nhttp = \"0.0.0.0:7070\"", &[]);
    assert!(
        text.starts_with("serve.http: 0.0.0.0:7070 can be reached from other machines"),
        "{text}"
    );
    let text = refused("[serve]\nlanes = 0", &[]);
    assert!(text.starts_with("serve.lanes: 0 does not lie between 1 and 64"), "{text}");
    let text = refused("[serve]\nmessage_bytes_max = 100_000_000", &[]);
    assert!(text.contains("raise serve.bodies_bytes_max"), "{text}");
}
