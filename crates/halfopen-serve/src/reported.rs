//! Changes as others write them down: our own JSON, `git log`, deployments of GitHub and GitLab,
//! events of Kubernetes. All become the form that `POST /api/v1/changes` takes.

use halfopen_model::{Batch, UnixNanos};
use serde_json::{Map, Value, json};

use crate::api;
use crate::wire::{ErrorV1, TakenV1};

/// Changes that one request of the API takes.
pub const CHANGES_PER_REQUEST_MAX: usize = api::CHANGES_MAX;

/// What stands between the fields of a line of `git log`, and its format:
/// `git log --name-only --format='%H%x09%cI%x09%an%x09%s'`, or with `-p` in place of `--name-only`.
const GIT_FIELDS: usize = 4;

/// Files of one commit that are kept: what a person still reads.
const FILES_MAX: usize = 200;

/// What is not said by what was reported.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Defaults {
    /// The service that changed.
    pub service: Option<String>,
    /// The kind of change.
    pub kind: Option<String>,
    /// The environment.
    pub environment: Option<String>,
}

/// What was reported.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Reported {
    /// What it was taken for.
    pub format: &'static str,
    /// Changes in the form of the API.
    pub changes: Vec<Value>,
    /// What told of nothing that changed.
    pub passed_over: u64,
    /// What could not be read: number of its line, and why.
    pub unread: Vec<(usize, String)>,
}

/// Makes rows of changes in the form of the API, one or a list of them.
///
/// # Errors
/// When one of them cannot be taken; none is then.
pub fn rows(body: &[u8], now: UnixNanos) -> Result<(Batch, TakenV1), ErrorV1> {
    api::read_changes(body, now)
}

/// Reads changes in any of the forms.
///
/// # Errors
/// When the text is in none of them.
pub fn read(text: &str, defaults: &Defaults) -> Result<Reported, String> {
    let begin = text.trim_start();
    if !begin.starts_with(['{', '[']) {
        return git_log(text, defaults);
    }
    // One document, else a line for each.
    let mut reported = Reported { format: "JSON", ..Reported::default() };
    if let Ok(document) = serde_json::from_str::<Value>(text) {
        take(&mut reported, document, defaults);
        return Ok(reported);
    }
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        match serde_json::from_str::<Value>(line) {
            Ok(document) => take(&mut reported, document, defaults),
            Err(error) => reported.unread.push((number + 1, error.to_string())),
        }
    }
    if reported.changes.is_empty() && reported.passed_over == 0 {
        let why = reported.unread.first().map_or_else(String::new, |(_, why)| format!(": {why}"));
        return Err(format!("no line of it is JSON{why}"));
    }
    Ok(reported)
}

fn take(reported: &mut Reported, document: Value, defaults: &Defaults) {
    let items = match document {
        Value::Array(items) => items,
        Value::Object(mut list) if is_list(&list) => match list.remove("items") {
            Some(Value::Array(items)) => items,
            _ => Vec::new(),
        },
        one => vec![one],
    };
    for item in items {
        let change = match &item {
            Value::Object(fields) if fields.get("deployment").is_some_and(Value::is_object) => {
                reported.format = "GitHub deployments";
                github(&item)
            }
            Value::Object(fields) if text(fields.get("object_kind")) == Some("deployment") => {
                reported.format = "GitLab deployments";
                gitlab(&item)
            }
            Value::Object(fields) if fields.contains_key("involvedObject") => {
                reported.format = "Kubernetes events";
                kubernetes(&item)
            }
            Value::Object(_) => Some(item),
            _ => None,
        };
        match change {
            Some(change) => reported.changes.push(with_defaults(change, defaults)),
            None => reported.passed_over += 1,
        }
    }
}

fn is_list(fields: &Map<String, Value>) -> bool {
    text(fields.get("kind")).is_some_and(|kind| kind.ends_with("List"))
}

fn text(value: Option<&Value>) -> Option<&str> {
    value.and_then(Value::as_str).filter(|text| !text.is_empty())
}

fn at<'v>(value: &'v Value, path: &str) -> Option<&'v str> {
    text(value.pointer(path))
}

/// Fills in what is missing, and who told.
fn with_defaults(mut change: Value, defaults: &Defaults) -> Value {
    if let Value::Object(fields) = &mut change {
        fields.retain(|_, value| !value.is_null());
        let given = [
            ("service", &defaults.service),
            ("kind", &defaults.kind),
            ("environment", &defaults.environment),
        ];
        for (name, value) in given {
            if let (Some(value), false) = (value, fields.contains_key(name)) {
                fields.insert(name.to_owned(), json!(value));
            }
        }
        fields.insert("source".to_owned(), json!("import"));
    }
    change
}

/// Events `deployment` and `deployment_status`; of the latter those that succeeded.
fn github(event: &Value) -> Option<Value> {
    let state = at(event, "/deployment_status/state");
    if state.is_some_and(|state| state != "success") {
        return None;
    }
    let time = at(event, "/deployment_status/created_at").or(at(event, "/deployment/created_at"));
    Some(json!({
        "kind": "deploy",
        "id": event.pointer("/deployment/id").map(|id| format!("github-{id}")),
        "time": time,
        "service": at(event, "/repository/name"),
        "version": at(event, "/deployment/ref"),
        "commit": at(event, "/deployment/sha"),
        "environment": at(event, "/deployment/environment"),
        "author": at(event, "/deployment/creator/login"),
        "title": at(event, "/deployment/description"),
        "url": at(event, "/deployment_status/target_url").or(at(event, "/repository/html_url")),
    }))
}

/// Events `deployment` that succeeded.
fn gitlab(event: &Value) -> Option<Value> {
    if at(event, "/status").is_some_and(|status| status != "success") {
        return None;
    }
    Some(json!({
        "kind": "deploy",
        "id": event.pointer("/deployment_id").map(|id| format!("gitlab-{id}")),
        "time": at(event, "/status_changed_at").and_then(gitlab_time),
        "service": at(event, "/project/name"),
        "version": at(event, "/ref"),
        "commit": at(event, "/short_sha"),
        "environment": at(event, "/environment"),
        "author": at(event, "/user/username").or(at(event, "/user/name")),
        "title": at(event, "/commit_title"),
        "url": at(event, "/deployable_url"),
    }))
}

/// `2026-11-20 14:02:10 +0200` as RFC 3339.
fn gitlab_time(time: &str) -> Option<String> {
    let read = chrono::DateTime::parse_from_str(time, "%Y-%m-%d %H:%M:%S %z");
    read.map(|time| time.to_rfc3339()).ok().or_else(|| Some(time.to_owned()))
}

/// Events that tell of scaling, roll-outs and restarts.
fn kubernetes(event: &Value) -> Option<Value> {
    let kind = match at(event, "/reason")? {
        "ScalingReplicaSet" | "SuccessfulRescale" => "scale",
        "DeploymentRollback" | "DeploymentUpdated" => "deploy",
        "BackOff" | "Killing" | "OOMKilling" | "Unhealthy" => "restart",
        _ => return None,
    };
    let name = at(event, "/involvedObject/name")?;
    let is_pod = at(event, "/involvedObject/kind") == Some("Pod");
    let time = ["/lastTimestamp", "/eventTime", "/firstTimestamp", "/metadata/creationTimestamp"];
    Some(json!({
        "kind": kind,
        "id": at(event, "/metadata/uid").map(|uid| format!("k8s-{uid}")),
        "time": time.iter().find_map(|path| at(event, path)),
        "service": if is_pod { owner(name) } else { name },
        "instance": is_pod.then_some(name),
        "environment": at(event, "/involvedObject/namespace"),
        "author": at(event, "/source/component").or(at(event, "/reportingComponent")),
        "title": at(event, "/message"),
    }))
}

/// The deployment of a pod: its name without the two hashes that Kubernetes adds.
fn owner(pod: &str) -> &str {
    let hash = |part: &str| part.len() >= 5 && part.bytes().any(|byte| byte.is_ascii_digit());
    let mut name = pod;
    for _ in 0..2 {
        match name.rsplit_once('-') {
            Some((rest, last)) if hash(last) || last.len() == 5 => name = rest,
            _ => break,
        }
    }
    name
}

/// Commits as `git log` prints them in that format, with the names of their files or their diffs.
fn git_log(text: &str, defaults: &Defaults) -> Result<Reported, String> {
    let mut reported = Reported { format: "git log", ..Reported::default() };
    let mut is_diff = false;
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let fields: Vec<&str> = line.splitn(GIT_FIELDS, '\t').collect();
        let is_commit = fields.len() == GIT_FIELDS
            && fields[0].len() >= 7
            && fields[0].bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_commit {
            let change = json!({
                "id": format!("git-{}", fields[0]),
                "commit": fields[0],
                "time": fields[1],
                "author": fields[2],
                "title": fields[3],
                "files": [],
            });
            reported.changes.push(with_defaults(change, defaults));
            is_diff = false;
            continue;
        }
        if let Some(change) = reported.changes.last_mut() {
            is_diff |= line.starts_with(DIFF_BEGINS);
            if is_diff {
                diff_line(change, line);
                continue;
            }
        }
        let files = reported.changes.last_mut().and_then(|change| change.pointer_mut("/files"));
        match files {
            Some(Value::Array(files)) if files.len() < FILES_MAX => files.push(json!(line.trim())),
            Some(_) => {}
            None => reported.unread.push((number + 1, "it is no commit".to_owned())),
        }
    }
    if reported.changes.is_empty() {
        return Err(
            "it is neither JSON nor the output of git log in the format that is read".into()
        );
    }
    Ok(reported)
}

/// How the diff of one file begins.
const DIFF_BEGINS: &str = "diff --git ";

/// Adds a line to the diff of a commit; what is beyond the bound is left out, and that is said.
fn diff_line(change: &mut Value, line: &str) {
    let file = line.strip_prefix(DIFF_BEGINS).and_then(|names| names.rsplit_once(" b/"));
    if let (Some((_, file)), Some(Value::Array(files))) = (file, change.get_mut("files"))
        && files.len() < FILES_MAX
    {
        files.push(json!(file));
    }
    if change.get("diff").is_none() {
        change["diff"] = json!("");
    }
    let Some(Value::String(diff)) = change.get_mut("diff") else { return };
    if diff.ends_with(DIFF_CUT) {
        return;
    }
    if diff.len() + line.len() + DIFF_CUT.len() < api::DIFF_BYTES_MAX {
        diff.push_str(line);
        diff.push('\n');
    } else {
        diff.push_str(DIFF_CUT);
    }
}

/// The last line of a diff that was longer.
const DIFF_CUT: &str = "@@ the diff is longer @@\n";

#[cfg(test)]
mod tests;
