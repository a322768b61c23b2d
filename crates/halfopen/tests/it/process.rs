//! The real binary as a process of its own, and the plain HTTP that tests speak with it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

/// Longer than any answer takes on a machine that is busy with other tests.
const ANSWER_S_MAX: u64 = 60;

/// A running `halfopen serve`; killed when dropped.
pub(crate) struct Served {
    child: Child,
    pub(crate) http: String,
    pub(crate) otlp_http: String,
}

impl Served {
    /// Starts on free ports over `folder` with some variables of the environment, and waits for
    /// the ready line.
    pub(crate) fn start(folder: &Path, environment: &[(&str, &str)]) -> Served {
        let mut child = command(folder, environment)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary runs");
        let stdout = child.stdout.take().expect("a pipe");
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        let ready: Value =
            serde_json::from_str(&line).unwrap_or_else(|_| panic!("no ready line: {line:?}"));
        let address = |name: &str| ready[name].as_str().expect("an address").to_owned();
        Served { child, http: address("http"), otlp_http: address("otlp_http") }
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it was started here");
    }

    pub(crate) fn memory_peak_bytes(&self) -> Option<u64> {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kib << 10)
    }

    /// SIGTERM; gives the exit code.
    pub(crate) fn stop(&mut self) -> Option<i32> {
        let pid = self.child.id().to_string();
        let status = Command::new("kill").args(["-TERM", &pid]).status().expect("kill");
        assert!(status.success());
        self.child.wait().expect("it was started here").code()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `halfopen serve --json` on free ports.
pub(crate) fn command(folder: &Path, environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_halfopen"));
    command
        .args(["serve", "--json", "--otlp-grpc", "127.0.0.1:0", "--otlp-http", "127.0.0.1:0"])
        .args(["--http", "127.0.0.1:0", "--data"])
        .arg(folder)
        .env("XDG_CONFIG_HOME", folder)
        .env("HALFOPEN_LOG", "warn")
        .envs(environment.iter().copied());
    command
}

/// Reads what a process says on stderr until it ends.
pub(crate) fn said(stderr: ChildStderr) -> String {
    let mut text = String::new();
    let _ = BufReader::new(stderr).read_to_string(&mut text);
    text
}

/// Posts a body on a connection of its own; `None` when no whole answer came.
pub(crate) fn post(address: &str, path: &str, kind: &str, body: &[u8]) -> Option<(u16, Vec<u8>)> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(ANSWER_S_MAX))).ok()?;
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: {address}\r\ncontent-type: {kind}\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(&[head.as_bytes(), body].concat()).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let body = answer.split_off(end + 4);
    let whole = length.is_none_or(|length| length.parse() == Ok(body.len()));
    whole.then_some((status, body))
}

/// Rows of a query.
pub(crate) fn query(address: &str, sql: &str) -> Vec<Vec<Value>> {
    let question = serde_json::json!({ "sql": sql }).to_string();
    let (status, body) = post(address, "/api/v1/query", "application/json", question.as_bytes())
        .expect("an answer to a query");
    let text = String::from_utf8_lossy(&body);
    assert_eq!(status, 200, "{sql}: {text}");
    let answer: Value = serde_json::from_str(&text).expect("JSON");
    serde_json::from_value(answer["rows"].clone()).expect("rows")
}
