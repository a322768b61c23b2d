//! `halfopen serve` from outside: its lines, its exit codes, its bounds.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Command, Stdio};

use crate::process::{Served, command, post, query, said};

/// Above what the binary needs by itself and two messages in the making, below what a bomb of
/// 512 MiB would take.
const HOSTILE_MEMORY_BYTES_MAX: u64 = 300 << 20;

#[test]
fn what_stands_in_the_way_has_its_exit_code_and_a_hint() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let serve = |arguments: &[&str], environment: &[(&str, &str)]| {
        let output = Command::new(env!("CARGO_BIN_EXE_halfopen"))
            .args(["serve", "--otlp-grpc", "0", "--otlp-http", "0", "--data"])
            .arg(&data)
            .args(arguments)
            .envs(environment.iter().copied())
            .output()
            .expect("it runs");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, text) = serve(&["--http", &address], &[]);
    assert_eq!(code, Some(3), "{text}");
    assert!(text.contains(&format!("could not listen on {address} for questions")), "{text}");
    assert!(text.contains("choose another port with --http"), "{text}");
    let (code, text) = serve(&["--http", "0.0.0.0:0"], &[]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("can be reached from other machines"), "{text}");
    let (code, text) = serve(&["--http", "0"], &[("HALFOPEN_SERVE_LAYNES", "2")]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("did you mean \"HALFOPEN_SERVE_LANES\"?"), "{text}");

    let served = Served::start(&data, &[]);
    let (code, text) = serve(&["--http", "0"], &[]);
    assert_eq!(code, Some(3), "{text}");
    assert!(text.contains("--url"), "{text}");
    drop(served);
}

#[test]
fn a_stop_says_what_it_did() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut child = command(&folder.path().join("data"), &[])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it runs");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let ready = lines.next().expect("a ready line").expect("text");
    assert!(ready.starts_with("{\"") && ready.contains("\"v\":1"), "{ready}");
    let stopped = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(stopped.expect("kill").success());
    let text = said(child.stderr.take().expect("a pipe"));
    assert_eq!(child.wait().expect("it was started here").code(), Some(0));
    assert!(text.contains("stopped in ") && text.trim_end().ends_with("nothing lost"), "{text}");
    let stopped: serde_json::Value =
        serde_json::from_str(&lines.next().expect("a line").expect("text")).expect("JSON");
    assert_eq!((&stopped["event"], &stopped["rows_sealed"]), (&"stopped".into(), &0.into()));
}

#[test]
fn bombs_and_noise_leave_the_memory_bounded() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut served = Served::start(&folder.path().join("data"), &[]);
    // 512 MiB of zeros, packed by hand: gzip members of 32 MiB, each some 32 KiB.
    let member = packed_zeros(32 << 20);
    let bomb = member.repeat(16);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let (status, body) = post_packed(&served.otlp_http, &bomb).expect("an answer");
                assert_eq!(status, 413, "{}", String::from_utf8_lossy(&body));
            });
        }
    });
    let deep = "[".repeat(1 << 20);
    for (path, kind, body) in [
        ("/v1/traces", "application/json", deep.as_bytes()),
        ("/v1/logs", "application/x-protobuf", &bomb[..1 << 10]),
    ] {
        let (status, body) = post(&served.otlp_http, path, kind, body).expect("an answer");
        assert_eq!(status, 400, "{}", String::from_utf8_lossy(&body));
    }
    let peak = served.memory_peak_bytes();
    assert!(peak.is_none_or(|peak| peak < HOSTILE_MEMORY_BYTES_MAX), "{peak:?} bytes");
    assert_eq!(query(&served.http, "select count(*) from spans"), [[serde_json::json!(0)]]);
    assert_eq!(served.stop(), Some(0));
}

fn post_packed(address: &str, body: &[u8]) -> Option<(u16, Vec<u8>)> {
    let kind = "application/x-protobuf\r\ncontent-encoding: gzip";
    post(address, "/v1/traces", kind, body)
}

fn packed_zeros(bytes: usize) -> Vec<u8> {
    use std::io::Write as _;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&vec![0; bytes]).expect("to memory");
    gzip.finish().expect("to memory")
}

/// `halfopen query` against a server; gives its exit code and what it said.
fn ask(arguments: &[&str], environment: &[(&str, &str)]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_halfopen"))
        .args(["query", "select 1 as one"])
        .args(arguments)
        .envs(environment.iter().copied())
        .output()
        .expect("it runs");
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn a_token_and_a_certificate_open_a_server() {
    let folder = tempfile::tempdir().expect("a folder");
    let made = Command::new(env!("CARGO_BIN_EXE_halfopen"))
        .args(["token", "new", "reader", "--scope", "read", "--json"])
        .output()
        .expect("it runs");
    let made: serde_json::Value = serde_json::from_slice(&made.stdout).expect("JSON");
    let [token, entry] = ["token", "entry"].map(|name| made[name].as_str().expect("text"));
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (token_file, certificate, key) = (path("token"), path("cert.pem"), path("key.pem"));
    let identity = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]);
    let identity = identity.expect("a certificate");
    std::fs::write(&token_file, token).expect("a file");
    std::fs::write(&certificate, identity.cert.pem()).expect("a file");
    std::fs::write(&key, identity.signing_key.serialize_pem()).expect("a file");
    let environment = [
        ("HALFOPEN_SERVE_TOKENS", entry),
        ("HALFOPEN_SERVE_TLS_CERTIFICATE", &certificate),
        ("HALFOPEN_SERVE_TLS_KEY", &key),
    ];
    let served = Served::start(&folder.path().join("data"), &environment);
    let (https, http) = (format!("https://{}", served.http), format!("http://{}", served.http));

    let (code, said) = ask(&["--url", &https, "--ca", &certificate], &[("HALFOPEN_TOKEN", token)]);
    assert_eq!(code, Some(0), "{said}");
    let access = ["--url", &https, "--ca", &certificate, "--token-file", &token_file];
    assert_eq!(ask(&access, &[]).0, Some(0));
    let cases = [
        (&access[..4], "a token is needed here, and none came"),
        (&["--url", &https, "--token-file", &token_file][..], "signed the certificate with --ca"),
        (&["--url", &http, "--token-file", &token_file][..], "this port speaks TLS: use https://"),
    ];
    for (arguments, expected) in cases {
        let (code, said) = ask(arguments, &[]);
        assert_eq!(code, Some(3), "{said}");
        assert!(said.contains(expected) && !said.contains(token), "{said}");
    }
}
