//! The same tests once more, with every catalogue in PostgreSQL; and what only a server can do.

use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use halfopen_store::{CatalogueUrl, Store, StoreConfig, StoreError, check, rebuild};
use sqlx::Connection;
use sqlx::postgres::PgConnection;

use crate::postgres::Server;
use crate::support::{CATALOGUE, clock, config, number, put, spans};

/// The modules whose tests change or read a catalogue.
const MODULES: [&str; 7] =
    ["bounds::", "check::", "compact::", "crash::", "damage::", "steps::", "together::"];

#[test]
fn the_same_tests_pass_with_the_catalogue_in_postgresql() {
    let Some(server) = Server::start() else { return };
    let child = Command::new(std::env::current_exe().expect("this test"))
        .args(MODULES)
        .env(CATALOGUE, server.url())
        .stderr(Stdio::piped())
        .output()
        .expect("a child");
    let said = String::from_utf8_lossy(&child.stdout);
    let more = String::from_utf8_lossy(&child.stderr);
    assert!(child.status.success(), "{said}\n{more}");
    for module in MODULES {
        let passed = |line: &str| line.contains(module) && line.ends_with("ok");
        assert!(said.lines().any(passed), "no test of {module} ran:\n{said}");
    }
}

fn on(server: &Server, folder: &Path) -> StoreConfig {
    StoreConfig { catalogue: CatalogueUrl::new(server.url()), ..config(folder) }
}

async fn refused(config: StoreConfig) -> StoreError {
    Store::open(config, clock()).await.map(|_| ()).expect_err("it should be refused")
}

fn with_causes(error: &dyn Error) -> String {
    let cause = error.source().map(with_causes);
    cause.into_iter().fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_catalogue_moves_to_a_server_and_comes_back() {
    let Some(server) = Server::start() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let in_file = StoreConfig { catalogue: CatalogueUrl::default(), ..config(&data) };
    let (store, _) = Store::open(in_file.clone(), clock()).await.expect("a new folder");
    for seed in 1..=3 {
        put(&store, spans(100, seed)).await;
        store.seal().await.expect("room on the disk");
    }
    // What was merged is listed as let go.
    store.compact().await.expect("room on the disk");
    put(&store, spans(100, 4)).await;
    store.close(Duration::ZERO).await;
    drop(store);

    let (store, report) = Store::open(on(&server, &data), clock()).await.expect("a server");
    assert!(report.notes.is_empty() && report.replayed_rows == 100, "{report}");
    assert_eq!(number(&store, "SELECT count(*) FROM spans").await, 400);
    assert!(data.join("damaged/catalogue.sqlite").exists() && data.join("CATALOGUE").exists());
    assert!(!data.join("catalogue.sqlite").exists());
    store.seal().await.expect("room on the disk");
    store.close(Duration::ZERO).await;
    drop(store);
    let report = check(on(&server, &data), clock()).await.expect("a folder that opens");
    assert_eq!((report.problems.len(), report.rows), (0, 400), "{:?}", report.problems);

    // Whoever does not know where it is makes no second one.
    let error = refused(in_file.clone()).await;
    assert!(matches!(error, StoreError::CatalogueElsewhere { .. }), "{error}");
    assert!(error.hint().is_some_and(|hint| hint.contains("HALFOPEN_STORE_CATALOGUE")));
    let report = rebuild(&in_file).await.expect("segments that read");
    assert_eq!(report.rows, 400);
    let (store, _) = Store::open(in_file, clock()).await.expect("a folder that opens");
    assert_eq!(number(&store, "SELECT count(*) FROM spans").await, 400);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn folders_share_a_database_without_meeting_and_a_copy_of_a_folder_is_refused() {
    let Some(server) = Server::start() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let (one, other) = (folder.path().join("one"), folder.path().join("other"));
    let (first, _) = Store::open(on(&server, &one), clock()).await.expect("a server");
    let (second, _) = Store::open(on(&server, &other), clock()).await.expect("a server");
    for (store, rows) in [(&first, 100), (&second, 50)] {
        put(store, spans(rows, 1)).await;
        store.seal().await.expect("room on the disk");
        assert_eq!(number(store, "SELECT count(*) FROM spans").await, rows as i64);
    }
    let copy = folder.path().join("copy");
    fs::create_dir(&copy).expect("a folder");
    for name in ["FORMAT", "CATALOGUE"] {
        fs::copy(one.join(name), copy.join(name)).expect("a file");
    }
    let error = refused(on(&server, &copy)).await;
    assert!(error.to_string().ends_with("another process holds the catalogue of this data folder"));
    first.close(Duration::ZERO).await;
    second.close(Duration::ZERO).await;
    drop((first, second));
    let (store, _) = Store::open(on(&server, &one), clock()).await.expect("a server");
    assert_eq!(number(&store, "SELECT count(*) FROM spans").await, 100);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_cannot_be_used_is_an_error_with_a_reason_and_a_hint_and_no_password() {
    let Some(server) = Server::start() else { return };
    let mut session = PgConnection::connect(&server.url()).await.expect("a server");
    let roles = "CREATE ROLE guarded LOGIN PASSWORD 'right'; CREATE ROLE poor LOGIN;
        REVOKE CREATE ON DATABASE postgres FROM PUBLIC";
    sqlx::raw_sql(roles).execute(&mut session).await.expect("statements");
    let folder = tempfile::tempdir().expect("a folder");
    let at = |url: String| StoreConfig {
        catalogue: CatalogueUrl::new(url),
        ..StoreConfig::in_folder(folder.path().join("data"))
    };
    let nobody = format!("postgres://u:se-cret@h/db?host={}&port=1", folder.path().display());
    for (url, reason, hint) in [
        (server.url_of("guarded:se-cret", "postgres"), "the user \"guarded\" is not let in", "PGP"),
        (server.url_of("halfopen", "none"), "there is no database \"none\"", "createdb --owner"),
        (server.url_of("poor", "postgres"), "the user \"poor\" may not do that", "GRANT CREATE"),
        (nobody, "nobody answers there", "whether PostgreSQL runs"),
        ("postgres://u:se-cret@h:x/db".to_owned(), "the address does not read", "USER@HOST"),
        ("mysql://u:se-cret@h/db".to_owned(), "it takes postgres://", "HALFOPEN_STORE_CATALOGUE"),
    ] {
        let config = at(url);
        assert!(!format!("{config:?}").contains("se-cret"), "{config:?}");
        let error = refused(config).await;
        let (text, advice) = (with_causes(&error), error.hint().unwrap_or_default());
        assert!(text.contains(reason), "{reason}: {text}");
        assert!(advice.contains(hint), "{reason}: {advice}");
        assert!(!format!("{text}{advice}{error:?}").contains("se-cret"), "{text}");
    }
    let (store, _) = Store::open(at(server.url_of("guarded:right", "postgres")), clock())
        .await
        .map(|(store, report)| (Some(store), report))
        .unwrap_or_else(|error| {
            // Let in, though it may not make anything.
            assert!(error.to_string().ends_with("the user \"guarded\" may not do that"));
            (None, Default::default())
        });
    assert!(store.is_none(), "CREATE was revoked");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_over_tls_is_used_when_its_certificate_is_trusted_and_otherwise_says_why_not() {
    let Some((server, port)) = Server::start_with_tls() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let at = |host: &str, rest: &str| StoreConfig {
        catalogue: CatalogueUrl::new(format!("postgres://halfopen@{host}:{port}/postgres?{rest}")),
        ..StoreConfig::in_folder(folder.path().join("data"))
    };
    let trusted = format!("sslmode=verify-full&sslrootcert={}", server.certificate().display());
    for (host, mode, reason, hint) in [
        ("localhost", "sslmode=verify-full", "an authority that is not trusted", "sslrootcert="),
        ("localhost", "sslmode=verify-ca", "an authority that is not trusted", "sslrootcert="),
        ("127.0.0.1", trusted.as_str(), "the certificate of the server is for another name", "as"),
        ("localhost", "sslmode=disable", "over TLS only", "sslmode=verify-full"),
    ] {
        let error = refused(at(host, mode)).await;
        let (text, advice) = (with_causes(&error), error.hint().unwrap_or_default());
        assert!(text.contains(reason), "{mode}: {text}");
        assert!(advice.contains(hint), "{mode}: {advice}");
    }
    // Nobody is let in without TLS, so these have it.
    for mode in [trusted.as_str(), "sslmode=require", ""] {
        let (store, _) = Store::open(at("localhost", mode), clock()).await.expect(mode);
        put(&store, spans(10, 1)).await;
        store.seal().await.expect("room on the disk");
        store.close(Duration::ZERO).await;
    }
    let (store, _) = Store::open(at("localhost", &trusted), clock()).await.expect("a server");
    assert_eq!(number(&store, "SELECT count(*) FROM spans").await, 10);
}
