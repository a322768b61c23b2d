//! TLS on every port, with a certificate that was made for the test.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use crate::client::{Called, PROTOBUF, Reply, TRACES, called, framed, unary};
use crate::fixture::{Ground, StillClock, config};
use bytes::Bytes;
use halfopen_ingest::sample;
use halfopen_serve::{Config, ServeError};
use http::{Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A certificate for this machine with its key, and the authority that signed it.
pub(crate) struct Identity {
    pub(crate) authority: PathBuf,
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    _folder: TempDir,
}

pub(crate) fn identity() -> Identity {
    let folder = tempfile::tempdir().expect("a folder");
    let mut params = CertificateParams::new([]).expect("no names");
    params.distinguished_name.push(DnType::CommonName, "authority of the test");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let signing = KeyPair::generate().expect("a key");
    let authority = params.self_signed(&signing).expect("a certificate");
    let issuer = Issuer::new(params, signing);
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let mut params = CertificateParams::new(names).expect("names");
    params.use_authority_key_identifier_extension = true;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let own = KeyPair::generate().expect("a key");
    let certificate = params.signed_by(&own, &issuer).expect("a certificate");
    let write = |name: &str, text: String| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("a file");
        path
    };
    Identity {
        authority: write("authority.pem", authority.pem()),
        certificate: write("cert.pem", certificate.pem()),
        key: write("key.pem", own.serialize_pem()),
        _folder: folder,
    }
}

impl Identity {
    pub(crate) fn secure(&self, config: &mut Config) {
        config.serve.tls_certificate = self.certificate.clone();
        config.serve.tls_key = self.key.clone();
    }

    /// A handshake as a client makes it that trusts this authority and no other.
    async fn connect(&self, address: SocketAddr, protocol: &str) -> TlsStream<TcpStream> {
        let mut roots = RootCertStore::empty();
        let certificate = CertificateDer::from_pem_file(&self.authority).expect("a certificate");
        roots.add(certificate).expect("a root");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        let stream = TcpStream::connect(address).await.expect("a port");
        let name = ServerName::try_from("localhost").expect("a name");
        let connector = TlsConnector::from(Arc::new(config));
        let stream = connector.connect(name, stream).await.expect("a handshake");
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(protocol.as_bytes()));
        stream
    }

    async fn send(&self, address: SocketAddr, request: Request<Full<Bytes>>) -> Reply {
        let stream = TokioIo::new(self.connect(address, "http/1.1").await);
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(stream).await.expect("HTTP/1");
        let driving = tokio::spawn(connection);
        let response = sender.send_request(request).await.expect("an answer");
        let (parts, body) = response.into_parts();
        let body = body.collect().await.expect("a whole body").to_bytes();
        driving.abort();
        Reply { status: parts.status, headers: parts.headers, body }
    }

    async fn get(&self, address: SocketAddr, path: &str) -> Reply {
        let request = Request::get(path).header("host", address.to_string());
        self.send(address, request.body(Full::default()).expect("a request")).await
    }

    async fn call(&self, address: SocketAddr, frames: &[u8]) -> Called {
        let stream = TokioIo::new(self.connect(address, "h2").await);
        let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream);
        let (mut sender, connection) = handshake.await.expect("HTTP/2");
        let driving = tokio::spawn(connection);
        let request = unary(&format!("https://{address}{TRACES}"), &[], frames);
        let answer = called(sender.send_request(request).await.expect("an answer")).await;
        driving.abort();
        answer
    }

    /// How often something was refused for this reason.
    async fn refusals(&self, address: SocketAddr, reason: &str) -> u64 {
        let listed = self.get(address, "/api/v1/refusals").await.json();
        let counts = listed["counts"].as_array().expect("a list").clone();
        let of = counts.iter().filter(|count| count["reason"] == reason);
        of.filter_map(|count| count["count"].as_u64()).sum()
    }
}

async fn secured() -> (Identity, Ground) {
    let identity = identity();
    let mut config = config();
    identity.secure(&mut config);
    config.serve.header_seconds_max = 1;
    let ground = Ground::with(config).await;
    (identity, ground)
}

#[tokio::test]
async fn every_port_speaks_tls_with_http_1_and_2() {
    let (identity, ground) = secured().await;
    let addresses = ground.server.addresses();
    assert_eq!(identity.get(addresses.http, "/healthz").await.status, 200);
    let request = Request::post("/v1/traces")
        .header("host", "localhost")
        .header(PROTOBUF[0].0, PROTOBUF[0].1)
        .body(Full::from(sample::traces(1, 5, 2)))
        .expect("a request");
    assert_eq!(identity.send(addresses.otlp_http, request).await.status, 200);
    let called = identity.call(addresses.otlp_grpc, &framed(0, &sample::traces(2, 5, 2))).await;
    assert_eq!(called.code, 0, "{called:?}");
    let sql = "{\"sql\": \"select count(*) from spans\"}";
    let question = Request::builder().method(Method::POST).uri("/api/v1/query");
    let question = question.header("host", "localhost").body(Full::from(sql)).expect("a request");
    assert_eq!(identity.send(addresses.http, question).await.json()["rows"][0][0], 10);
}

/// Sends bytes without TLS and reads to the end.
async fn plain(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.expect("a port");
    stream.write_all(bytes).await.expect("a socket");
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn who_speaks_without_tls_is_told_so() {
    let (identity, ground) = secured().await;
    let addresses = ground.server.addresses();
    let get = b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    let answer = plain(addresses.http, get).await;
    assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nthis port speaks TLS: use https://\n"), "{answer}");
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let answer = plain(addresses.otlp_grpc, preface).await;
    assert!(answer.ends_with("this port speaks TLS: use https://\n"), "{answer}");
    assert_eq!(identity.refusals(addresses.http, "not_tls").await, 2);
}

#[tokio::test]
async fn a_handshake_that_does_not_end_is_cut() {
    let (identity, ground) = secured().await;
    let addresses = ground.server.addresses();
    // The beginning of a handshake, nothing at all, and a handshake that makes no sense.
    for bytes in [&b"\x16\x03\x01\x02"[..], b"", b"\x16\x03\x01\0\x04\xff\xff\xff\xff"] {
        plain(addresses.http, bytes).await;
    }
    assert_eq!(identity.refusals(addresses.http, "handshake").await, 3);
    // Looking whether the port is there is no offence.
    drop(TcpStream::connect(addresses.http).await.expect("a port"));
    assert_eq!(identity.get(addresses.http, "/healthz").await.status, 200);
    assert_eq!(identity.refusals(addresses.http, "handshake").await, 3);
}

#[tokio::test]
async fn files_that_cannot_be_used_are_named_before_anything_is_touched() {
    let (one, two) = (identity(), identity());
    let missing = PathBuf::from("/no/such/file.pem");
    let cases = [
        (&missing, &one.key, "could not read the certificate in"),
        (&one.certificate, &missing, "could not read the private key in"),
        (&one.key, &one.key, "there is no certificate in"),
        (&one.certificate, &one.certificate, "could not read the private key in"),
        (&one.certificate, &two.key, "cannot be used"),
    ];
    for (certificate, key, problem) in cases {
        let folder = tempfile::tempdir().expect("a folder");
        let mut config = config();
        config.store.folder = folder.path().join("data");
        config.serve.tls_certificate = certificate.clone();
        config.serve.tls_key = key.clone();
        let error = halfopen_serve::start(config, Arc::new(StillClock)).await.err().expect(problem);
        assert!(matches!(error, ServeError::Tls(_)), "{error}");
        let cause = std::error::Error::source(&error).expect("a cause").to_string();
        assert!(cause.contains(problem), "{cause}");
        assert!(error.hint().is_some_and(|hint| hint.contains("PEM")));
        assert!(!folder.path().join("data").exists());
    }
    let mut config = config();
    config.serve.tls_key = one.key.clone();
    let error = halfopen_serve::start(config, Arc::new(StillClock)).await.err().expect("half");
    assert!(error.to_string().starts_with("serve.tls_certificate: it is not set"), "{error}");
}
