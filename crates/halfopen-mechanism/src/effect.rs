//! What a diff can do.
//!
//! Only what bears on a way of failing is read; a diff that does nothing of that kind has no
//! effect, however large it is. Files that do not run (tests, documents, styles) have none.

use crate::diff::{Hunk, bare, hunks, words};
use crate::number;

/// Something that a change does.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Effect {
    pub(crate) kind: Kind,
    /// For people: `lowers default_ttl from 15m to 15s`.
    pub(crate) says: String,
    /// Words of the place that was changed, by which it is told from others of its kind.
    pub(crate) words: Vec<String>,
}

/// The kinds of effects that a way of failing may come from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// A setting is less than it was.
    Less(Knob),
    /// A setting is more than it was.
    More(Knob),
    /// A check of nothing, of an error or of a bound is gone.
    GuardGone,
    /// A call is made once for each item of a list.
    CallInLoop,
    /// Calls are no longer made for many items at once.
    BatchGone,
    /// Something that was opened, taken or locked is no longer given back.
    ReleaseGone,
    /// A dependency has another version.
    Dependency,
    /// A handler, a route, a type or a field is no longer made known.
    RegistrationGone,
    /// A host, a port or a path of somebody else is another one.
    Address,
    /// A key, a token or a certificate is another one.
    Credential,
    /// A query, an index or a mapping is another one.
    Query,
    /// A table is changed while others use it.
    Migration,
    /// What a cache finds its entries by is another one, or the cache is gone.
    CacheKey,
    /// A switch is turned the other way.
    Switch,
}

/// What a setting is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Knob {
    Lifetime,
    Pool,
    Timeout,
    Retries,
    Capacity,
    Batch,
    Rate,
    Other,
}

/// Words of a setting, and what they make it. A duration is never a size.
const KNOBS: [(&[&str], Knob, bool); 30] = [
    (&["ttl"], Knob::Lifetime, true),
    (&["expiry"], Knob::Lifetime, true),
    (&["expire"], Knob::Lifetime, true),
    (&["expiration"], Knob::Lifetime, true),
    (&["max", "age"], Knob::Lifetime, true),
    (&["timeout"], Knob::Timeout, true),
    (&["deadline"], Knob::Timeout, true),
    (&["retries"], Knob::Retries, false),
    (&["retry"], Knob::Retries, false),
    (&["attempts"], Knob::Retries, false),
    (&["backoff"], Knob::Other, true),
    (&["idle"], Knob::Other, true),
    (&["conns"], Knob::Pool, false),
    (&["connections"], Knob::Pool, false),
    (&["pool"], Knob::Pool, false),
    (&["workers"], Knob::Pool, false),
    (&["threads"], Knob::Pool, false),
    (&["concurrency"], Knob::Pool, false),
    (&["max", "open"], Knob::Pool, false),
    (&["batch"], Knob::Batch, false),
    (&["chunk"], Knob::Batch, false),
    (&["memory"], Knob::Capacity, false),
    (&["cpu"], Knob::Capacity, false),
    (&["replicas"], Knob::Capacity, false),
    (&["capacity"], Knob::Capacity, false),
    (&["quota"], Knob::Capacity, false),
    (&["heap"], Knob::Capacity, false),
    (&["limit"], Knob::Capacity, false),
    (&["rate"], Knob::Rate, false),
    (&["rps"], Knob::Rate, false),
];

/// What the files and the diff of a change do.
pub(crate) fn effects(files: &[&str], diff: &str) -> Vec<Effect> {
    if !files.is_empty() && files.iter().all(|file| never_runs(file)) {
        return Vec::new();
    }
    let whole = hunks(diff);
    let mut found = Vec::new();
    let is_manifest = files.iter().any(|file| is_manifest(file));
    for hunk in whole.iter().map(Hunk::without_noise).filter(|hunk| !hunk.is_empty()) {
        if is_manifest && let Some(effect) = dependency(&hunk) {
            found.push(effect);
            continue;
        }
        settings(&hunk, &mut found);
    }
    // Checks, loops and releases may move between places of one diff: all of it is looked at.
    let all = whole.iter().fold(Hunk::default(), |mut all, hunk| {
        all.removed.extend(&hunk.removed);
        all.added.extend(&hunk.added);
        all.around.extend(&hunk.around);
        all
    });
    structure(&all, &mut found);
    found
}

/// Tests, documents, styles, and what only the people who build it see.
fn never_runs(file: &str) -> bool {
    let file = file.to_ascii_lowercase();
    let name = file.rsplit('/').next().unwrap_or(&file);
    let parts =
        ["test/", "tests/", "testdata/", "docs/", "documentation/", ".github/", ".circleci/"];
    let ends = [".md", ".css", ".scss", ".svg", ".png", ".html", ".rst", ".adoc"];
    let names = ["codeowners", "license", "readme", ".golangci.yml", "changelog", ".gitignore"];
    parts.iter().any(|part| file.contains(part))
        || ends.iter().any(|end| name.ends_with(end))
        || names.iter().any(|known| name.starts_with(known))
        || ["_test.", ".test.", ".spec.", "_spec."].iter().any(|mark| name.contains(mark))
}

fn is_manifest(file: &str) -> bool {
    let names = [
        "go.mod",
        "go.sum",
        "package.json",
        "package-lock.json",
        "yarn.lock",
        "pnpm-lock.yaml",
        "cargo.toml",
        "cargo.lock",
        "requirements.txt",
        "pyproject.toml",
        "poetry.lock",
        "pom.xml",
        "build.gradle",
        "gemfile",
        "gemfile.lock",
        "composer.json",
        "mix.exs",
        "dockerfile",
    ];
    let name = file.rsplit('/').next().unwrap_or(file).to_ascii_lowercase();
    names.contains(&name.as_str()) || name.ends_with(".csproj")
}

/// The dependency whose line was replaced by another version of it.
fn dependency(hunk: &Hunk<'_>) -> Option<Effect> {
    let name = |line: &str| {
        let head = line
            .split(['=', '@', '"', '\'', '<', '>', '~', '^'])
            .find(|part| part.chars().any(|letter| letter.is_ascii_alphabetic()));
        let head = head.unwrap_or(line).trim();
        head.split_whitespace().find(|word| word.len() > 2).unwrap_or(head).to_owned()
    };
    let (old, new) = (hunk.removed.first()?, hunk.added.first()?);
    let says = format!("takes another version of {}: {} → {}", name(new), old.trim(), new.trim());
    let names: Vec<String> = hunk.added.iter().flat_map(|line| words(&name(line))).collect();
    Some(Effect { kind: Kind::Dependency, says, words: names })
}

/// Lines in which only a value is another one.
fn settings(hunk: &Hunk<'_>, found: &mut Vec<Effect>) {
    let mut taken = vec![false; hunk.removed.len()];
    for new in &hunk.added {
        let (name, value) = number::setting(new);
        let same = |old: &&str| number::setting(old).0 == name && !name.is_empty();
        let Some(place) =
            (0..hunk.removed.len()).find(|at| !taken[*at] && same(&hunk.removed[*at]))
        else {
            continue;
        };
        taken[place] = true;
        let before = number::setting(hunk.removed[place]).1;
        found.extend(setting(&name, &before, &value));
    }
}

fn setting(name: &str, before: &str, now: &str) -> Option<Effect> {
    let words = words(name);
    let has = |wanted: &str| words.iter().any(|word| word == wanted);
    let says = |verb: &str| format!("{verb} {name} from {before} to {now}");
    let made = |kind, verb| Some(Effect { kind, says: says(verb), words: words.clone() });
    if let (Some(from), Some(to)) = (number::read(before), number::read(now)) {
        if from.value == to.value {
            return None;
        }
        let fits = |(wanted, _, is_time): &&(&[&str], Knob, bool)| {
            wanted.iter().all(|word| has(word)) && (*is_time || !to.is_time)
        };
        let knob = KNOBS.iter().find(fits).map_or(Knob::Other, |(_, knob, _)| *knob);
        return if to.value < from.value {
            made(Kind::Less(knob), "lowers")
        } else {
            made(Kind::More(knob), "raises")
        };
    }
    let secret = ["secret", "token", "password", "credential", "credentials", "apikey", "cert"];
    if secret.iter().any(|word| has(word)) || (has("api") && has("key")) {
        return made(Kind::Credential, "changes");
    }
    let address = ["url", "host", "addr", "address", "endpoint", "port", "uri", "dsn", "broker"];
    if address.iter().any(|word| has(word)) || now.contains("://") {
        return made(Kind::Address, "changes");
    }
    if has("key") && (has("cache") || now.contains("cache")) {
        return made(Kind::CacheKey, "changes");
    }
    let truth = |text: &str| matches!(text, "true" | "false" | "on" | "off" | "yes" | "no");
    if truth(before) && truth(now) {
        return made(Kind::Switch, "turns");
    }
    None
}

/// What the shape of the code says: checks, loops, batches, releases, registrations, queries.
fn structure(all: &Hunk<'_>, found: &mut Vec<Effect>) {
    let clean = all.without_noise();
    let count = |lines: &[&str], marks: &[&str]| {
        let has = |line: &&&str| {
            let line = line.to_ascii_lowercase();
            marks.iter().any(|mark| line.contains(mark))
        };
        lines.iter().filter(has).count()
    };
    let gone = |marks: &[&str]| count(&clean.removed, marks) > count(&clean.added, marks);
    let place: Vec<String> =
        clean.removed.iter().chain(&clean.added).flat_map(|line| words(line)).collect();
    let mut push = |kind, says: &str| {
        found.push(Effect { kind, says: says.to_owned(), words: place.clone() });
    };
    if gone(&GUARDS) && !is_error_pass(&clean) {
        push(Kind::GuardGone, "takes a check away");
    }
    if let Some(call) = call_in_loop(all) {
        push(Kind::CallInLoop, &format!("makes a call for each item of a list: {call}"));
    }
    if gone(&BATCHES) && count(&clean.added, &BATCHES) == 0 {
        push(Kind::BatchGone, "no longer sends many items at once");
    }
    if gone(&RELEASES) {
        push(Kind::ReleaseGone, "no longer gives back what it took");
    }
    if gone(&REGISTRATIONS) && count(&clean.added, &REGISTRATIONS) == 0 {
        push(Kind::RegistrationGone, "no longer makes something known");
    }
    if count(&clean.added, &LOCKING) > 0 {
        push(Kind::Migration, "changes a table while others use it");
    } else if count(&clean.removed, &QUERIES) > 0 && !clean.added.is_empty() {
        push(Kind::Query, "changes a query or a mapping");
    }
    if gone(&["cache"]) && count(&clean.added, &["cache"]) == 0 {
        push(Kind::CacheKey, "no longer asks a cache");
    }
}

const GUARDS: [&str; 14] = [
    "== nil",
    "!= nil",
    "== null",
    "!= null",
    "is none",
    "is not none",
    "=== undefined",
    "?.",
    "is_some()",
    "is_none()",
    "len(",
    ".length",
    ".ok_or",
    "isempty",
];
const BATCHES: [&str; 5] = ["batch", "bulk", "chunk", "mget", "multi_get"];
const RELEASES: [&str; 8] = [
    ".close()",
    ".release()",
    "unlock()",
    ".rollback()",
    ".cancel()",
    "defer ",
    "finally",
    ".free(",
];
const REGISTRATIONS: [&str; 8] = [
    "register",
    ".handle(",
    "handlefunc",
    "addroute",
    ".route(",
    "subscribe",
    "@requestmapping",
    "app.use(",
];
const LOCKING: [&str; 5] =
    ["alter table", "lock table", "create index idx", "create unique index", "drop index"];
const QUERIES: [&str; 6] =
    ["select ", " where ", " join ", "order by", "\"mappings\"", "\"analyzer\""];

/// Removed checks of errors whose errors are still passed on as they are: nothing is lost.
fn is_error_pass(hunk: &Hunk<'_>) -> bool {
    let checks = hunk.removed.iter().filter(|line| {
        let line = line.to_ascii_lowercase();
        GUARDS.iter().any(|mark| line.contains(mark))
    });
    let mut checks = checks.peekable();
    checks.peek().is_some() && checks.all(|line| bare(line).starts_with("iferr"))
}

/// A call inside of a loop that has come, where the loop before it made none.
fn call_in_loop(hunk: &Hunk<'_>) -> Option<String> {
    let now = looped_call(&hunk.added)?;
    let before = looped_call(&hunk.removed);
    let (name, line) = now;
    (before.is_none_or(|(known, _)| known != name)).then_some(line)
}

fn looped_call(lines: &[&str]) -> Option<(String, String)> {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let mut inside: Option<usize> = None;
    for line in lines {
        let text = line.trim();
        if inside.is_some_and(|level| indent(line) <= level && !text.starts_with(['}', ')'])) {
            inside = None;
        }
        let begins = ["for ", "for(", "while ", "while("].iter().any(|word| text.starts_with(word))
            || text.contains(".forEach(")
            || text.contains(".map(async");
        if inside.is_some()
            && let Some(name) = remote_call(text)
        {
            return Some((name, text.to_owned()));
        }
        if begins && inside.is_none() {
            inside = Some(indent(line));
        }
    }
    None
}

/// Names of calls that leave the process, mostly.
const VERBS: [&str; 18] = [
    "get", "fetch", "query", "find", "load", "put", "post", "exec", "select", "insert", "call",
    "request", "send", "save", "write", "read", "lookup", "invoke",
];

/// The name of a call that waits for somebody else: one with a context, an `await`, or the verb
/// of a client.
fn remote_call(line: &str) -> Option<String> {
    let open = line.find('(')?;
    let head = &line[..open];
    let name =
        head.rsplit(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').next()?;
    let is_method = head.ends_with(name) && head[..head.len() - name.len()].ends_with('.');
    let waits = line.contains("await ") || line[open..].starts_with("(ctx");
    let verb = words(name).into_iter().next()?;
    (is_method && (waits || VERBS.contains(&verb.as_str()))).then(|| name.to_owned())
}
