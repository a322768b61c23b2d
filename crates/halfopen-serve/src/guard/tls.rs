//! TLS by rustls with ring: certificate and key from PEM files, read again when they change.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tracing::{error, info};

use crate::listen::Watched;

/// Time for a handshake: two round trips over any network. The bound on headers may lower it.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// Between two looks whether the files have changed.
pub(crate) const RELOAD_PAUSE: Duration = Duration::from_secs(10);
/// First byte of a TLS record that begins a handshake.
const HANDSHAKE_RECORD: u8 = 0x16;
/// Who spoke without TLS is read for so long, so that the answer is not lost in a reset.
const FAREWELL_MAX: Duration = Duration::from_secs(1);
const FAREWELL_BYTES_MAX: u64 = 64 << 10;

/// What somebody reads who speaks without TLS to a port that speaks TLS.
pub const PLAIN_ANSWER: &str = "this port speaks TLS: use https://\n";

/// Why certificate and key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file does not read, or holds nothing of the kind.
    #[error("could not read the {what} in \"{path}\"")]
    File {
        /// What it should hold.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: pem::Error,
    },
    /// The file holds no certificate.
    #[error("there is no certificate in \"{path}\"")]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// They do not belong together, or are of a kind that is not known.
    #[error("the certificate in \"{certificate}\" and the key in \"{key}\" cannot be used")]
    Unusable {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
        /// The cause.
        #[source]
        source: rustls::Error,
    },
}

/// Why no handshake came about.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HandshakeError {
    #[error("it went away without a word")]
    Gone,
    #[error("it spoke without TLS")]
    NotTls,
    #[error("it took too long")]
    Slow,
    #[error(transparent)]
    Failed(io::Error),
}

/// When both files were changed last.
type Stamp = [Option<SystemTime>; 2];

struct Current {
    config: Arc<ServerConfig>,
    stamp: Stamp,
}

/// Certificate and key as they are at the moment.
pub(crate) struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    current: Mutex<Current>,
}

impl Tls {
    pub(crate) fn load(certificate: &Path, key: &Path) -> Result<Tls, TlsError> {
        let (certificate, key) = (certificate.to_owned(), key.to_owned());
        let stamp = stamp(&certificate, &key);
        let config = Arc::new(read(&certificate, &key)?);
        Ok(Tls { certificate, key, current: Mutex::new(Current { config, stamp }) })
    }

    /// Reads the files again if they have changed. Files that cannot be used change nothing: the
    /// certificate before stays in use.
    pub(crate) fn refresh(&self) {
        let stamp = stamp(&self.certificate, &self.key);
        let known = self.current.lock().unwrap_or_else(PoisonError::into_inner).stamp;
        if stamp == known {
            return;
        }
        let read = read(&self.certificate, &self.key);
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        current.stamp = stamp;
        match read {
            Ok(config) => {
                current.config = Arc::new(config);
                info!(certificate = %self.certificate.display(), "the certificate was read again");
            }
            Err(problem) => {
                let problem = crate::otlp::with_causes(&problem);
                error!(problem, "the certificate was changed and cannot be used; it stays");
            }
        }
    }

    fn acceptor(&self) -> TlsAcceptor {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        TlsAcceptor::from(Arc::clone(&current.config))
    }

    /// Takes a connection in. Who speaks without TLS is told so.
    pub(crate) async fn accept(
        &self,
        stream: Watched,
        header_max: Duration,
    ) -> Result<TlsStream<Watched>, HandshakeError> {
        let acceptor = self.acceptor();
        let handshake = async {
            let mut start = [0; 3];
            let length = stream.stream.peek(&mut start).await.map_err(HandshakeError::Failed)?;
            match start.first() {
                _ if length == 0 => Err(HandshakeError::Gone),
                Some(&HANDSHAKE_RECORD) => {
                    acceptor.accept(stream).await.map_err(HandshakeError::Failed)
                }
                _ => {
                    farewell(stream, &plain_answer(start == *b"PRI")).await;
                    Err(HandshakeError::NotTls)
                }
            }
        };
        timeout(HANDSHAKE_MAX.min(header_max), handshake).await.unwrap_or(Err(HandshakeError::Slow))
    }
}

fn stamp(certificate: &Path, key: &Path) -> Stamp {
    [certificate, key].map(|path| std::fs::metadata(path).and_then(|data| data.modified()).ok())
}

fn read(certificate: &Path, key: &Path) -> Result<ServerConfig, TlsError> {
    let file = |what, path: &Path| {
        let path = path.to_owned();
        move |source| TlsError::File { what, path, source }
    };
    let chain: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect);
    let chain: Vec<CertificateDer<'static>> = chain.map_err(file("certificate", certificate))?;
    if chain.is_empty() {
        return Err(TlsError::NoCertificate { path: certificate.to_owned() });
    }
    let private = PrivateKeyDer::from_pem_file(key).map_err(file("private key", key))?;
    let unusable = |source| TlsError::Unusable {
        certificate: certificate.to_owned(),
        key: key.to_owned(),
        source,
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(unusable)?;
    let mut config =
        builder.with_no_client_auth().with_single_cert(chain, private).map_err(unusable)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// What somebody reads who spoke without TLS: an answer of HTTP/1, or of HTTP/2 (RFC 9113: an
/// empty SETTINGS frame, then GOAWAY with INADEQUATE_SECURITY and the text).
fn plain_answer(http2: bool) -> Vec<u8> {
    if !http2 {
        let length = PLAIN_ANSWER.len();
        let head = "HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\
                    content-type: text/plain; charset=utf-8\r\n";
        return format!("{head}content-length: {length}\r\n\r\n{PLAIN_ANSWER}").into_bytes();
    }
    let mut frames = vec![0, 0, 0, 4, 0, 0, 0, 0, 0];
    frames.extend([0, 0, 8 + PLAIN_ANSWER.len() as u8, 7, 0, 0, 0, 0, 0]);
    frames.extend([0, 0, 0, 0, 0, 0, 0, 0xc]);
    frames.extend(PLAIN_ANSWER.as_bytes());
    frames
}

async fn farewell(mut stream: Watched, answer: &[u8]) {
    let telling = async {
        stream.write_all(answer).await?;
        stream.shutdown().await?;
        let mut rest = stream.take(FAREWELL_BYTES_MAX);
        tokio::io::copy(&mut rest, &mut tokio::io::sink()).await
    };
    // Whoever does not listen is not told.
    let _ = timeout(FAREWELL_MAX, telling).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes a new certificate and its key, changed at this second.
    fn renew(certificate: &Path, key: &Path, second: u64) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]);
        let made = made.expect("a certificate");
        let files = [(certificate, made.cert.pem()), (key, made.signing_key.serialize_pem())];
        for (path, text) in files {
            std::fs::write(path, text).expect("a file");
            touch(path, second);
        }
    }

    fn touch(path: &Path, second: u64) {
        let file = std::fs::File::options().append(true).open(path).expect("a file");
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(second);
        file.set_modified(at).expect("a time");
    }

    #[test]
    fn a_new_certificate_is_taken_and_a_broken_one_is_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
        renew(&certificate, &key, 1);
        let tls = Tls::load(&certificate, &key).expect("a certificate");
        let config = || Arc::clone(&tls.current.lock().expect("no panic").config);
        let first = config();
        tls.refresh();
        assert!(Arc::ptr_eq(&first, &config()), "nothing has changed");
        renew(&certificate, &key, 2);
        tls.refresh();
        let second = config();
        assert!(!Arc::ptr_eq(&first, &second));
        std::fs::write(&certificate, "half written").expect("a file");
        touch(&certificate, 3);
        tls.refresh();
        assert!(Arc::ptr_eq(&second, &config()), "what cannot be used changes nothing");
        renew(&certificate, &key, 4);
        tls.refresh();
        assert!(!Arc::ptr_eq(&second, &config()));
    }
}
