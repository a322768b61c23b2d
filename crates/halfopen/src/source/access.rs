//! What it takes to be let in by a server: the token, and whose certificates are trusted.
//!
//! A token is read from a file or the environment, never from an argument: arguments of a process
//! can be seen by every user of the machine.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::HeaderValue;
use hyper_rustls::ConfigBuilderExt as _;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

use crate::Failure;
use crate::cli::SourceArgs;

/// The variable that holds the token.
const TOKEN_VARIABLE: &str = "HALFOPEN_TOKEN";
/// The variable that names the file of trusted certificates.
const CA_VARIABLE: &str = "HALFOPEN_CA";
/// What is longer is no token.
const TOKEN_BYTES_MAX: usize = 256;

/// What a server wants to see.
#[derive(Clone, Default)]
pub(super) struct Access {
    pub(super) authorization: Option<HeaderValue>,
    ca: Option<PathBuf>,
}

impl Access {
    /// Flags count more than the environment.
    ///
    /// # Errors
    /// When the file does not read, or holds no token.
    pub(super) fn read(args: &SourceArgs) -> Result<Access, Failure> {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let authorization = match &args.token_file {
            Some(path) => Some(from_file(path)?),
            None => match variable(TOKEN_VARIABLE) {
                Some(token) => Some(bearer(&token.to_string_lossy(), TOKEN_VARIABLE)?),
                None => None,
            },
        };
        let ca = args.ca.clone().or_else(|| variable(CA_VARIABLE).map(PathBuf::from));
        Ok(Access { authorization, ca })
    }

    /// Whose certificates are trusted: those of the file that was named, else public authorities.
    ///
    /// # Errors
    /// When the file does not read, or holds no certificate.
    pub(super) fn tls(&self) -> Result<ClientConfig, Failure> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| Failure::environment("could not prepare TLS").cause(&error))?;
        let trusting = match &self.ca {
            Some(path) => builder.with_root_certificates(roots(path)?),
            None => builder.with_webpki_roots(),
        };
        Ok(trusting.with_no_client_auth())
    }
}

fn from_file(path: &Path) -> Result<HeaderValue, Failure> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| {
        Failure::environment(format!("could not read the token in \"{shown}\"")).cause(&error)
    })?;
    bearer(&text, &format!("\"{shown}\""))
}

/// The header of a token. What is wrong with it is said without showing it.
fn bearer(text: &str, from: &str) -> Result<HeaderValue, Failure> {
    let token = text.trim();
    let wrong = || {
        Failure::usage(format!("there is no token in {from}"))
            .detail("a token is one word, as `halfopen token new` prints it")
    };
    if token.is_empty() || token.len() > TOKEN_BYTES_MAX || token.contains(char::is_whitespace) {
        return Err(wrong());
    }
    let mut value = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| wrong())?;
    value.set_sensitive(true);
    Ok(value)
}

fn roots(path: &Path) -> Result<RootCertStore, Failure> {
    let wrong = |error: &dyn std::error::Error| {
        Failure::environment(format!("could not read certificates in \"{}\"", path.display()))
            .cause(error)
            .hint("name a PEM file with the certificate of the authority (CERTIFICATE)")
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| wrong(&error))? {
        let certificate = certificate.map_err(|error| wrong(&error))?;
        roots.add(certificate).map_err(|error| wrong(&error))?;
    }
    if roots.is_empty() {
        let failure = Failure::usage(format!("there is no certificate in \"{}\"", path.display()));
        return Err(failure.hint("name a PEM file with the certificate of the authority"));
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_one_word_and_is_never_shown() {
        let value = bearer(" halfopen_abc\n", "a file").expect("a token");
        assert_eq!((value.as_bytes(), value.is_sensitive()), (&b"Bearer halfopen_abc"[..], true));
        for text in ["", " \n", "two secrets", "secret\u{7f}", &"secret".repeat(100)] {
            let failure = bearer(text, "a file").expect_err("no token");
            assert!(!format!("{failure:?}").contains("secret"), "{failure:?}");
        }
    }
}
