//! What settings must fulfil beyond their types.

use std::net::SocketAddr;

use super::{Config, ConfigError, ServeConfig};
use crate::guard::{KnownTokens, Tokens};

/// More groups side by side than this only make them smaller.
const LANES_MAX: usize = 64;
/// Senders give up after ten seconds.
const PATIENCE_SECONDS_MAX: usize = 8;
/// A day: a longer time is a slip of the pen.
const SECONDS_MAX: u64 = 86_400;
/// Permits of bytes are counted in 32 bits.
const BYTES_MAX: usize = u32::MAX as usize;
/// With fewer spans than this there is hardly a request on each side.
const WHY_SPANS_MIN: usize = 1_000;
/// Below this no real export fits.
const BYTES_MIN: usize = 4 << 10;

impl Config {
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        self.serve.check()?;
        within("explain.why_spans_max", self.explain.why_spans_max, WHY_SPANS_MIN, usize::MAX)
    }
}

impl ServeConfig {
    fn check(&self) -> Result<(), ConfigError> {
        if !self.read_tokens()?.are_asked_for() {
            loopback("serve.otlp_grpc", self.otlp_grpc)?;
            loopback("serve.otlp_http", self.otlp_http)?;
            loopback("serve.http", self.http)?;
        }
        self.check_tls()?;
        for (key, seconds) in [
            ("serve.header_seconds_max", self.header_seconds_max),
            ("serve.body_seconds_max", self.body_seconds_max),
            ("serve.answer_seconds_max", self.answer_seconds_max),
            ("serve.idle_seconds_max", self.idle_seconds_max),
            ("serve.retry_after_seconds", self.retry_after_seconds),
            ("serve.question_seconds_max", self.question_seconds_max),
            ("serve.stop_seconds_max", self.stop_seconds_max),
        ] {
            within(key, seconds as usize, 1, SECONDS_MAX as usize)?;
        }
        for (key, bytes) in [
            ("serve.message_bytes_max", self.message_bytes_max),
            ("serve.bodies_bytes_max", self.bodies_bytes_max),
            ("serve.waiting_bytes_max", self.waiting_bytes_max),
            ("serve.question_bytes_max", self.question_bytes_max),
        ] {
            within(key, bytes, BYTES_MIN, BYTES_MAX)?;
        }
        let patience = self.patience_seconds_max as usize;
        within("serve.patience_seconds_max", patience, 0, PATIENCE_SECONDS_MAX)?;
        within("serve.lanes", self.lanes, 1, LANES_MAX)?;
        within("serve.connections_max", self.connections_max, 1, 65_536)?;
        within("serve.sender_connections_max", self.sender_connections_max, 1, 65_536)?;
        within("serve.sender_requests_max", self.sender_requests_max, 1, 65_536)?;
        within("serve.questions_max", self.questions_max, 1, 1_024)?;
        if self.message_bytes_max > self.bodies_bytes_max {
            return Err(ConfigError::Invalid {
                key: "serve.message_bytes_max",
                problem: "one message may be larger than all together".to_owned(),
                hint: "raise serve.bodies_bytes_max".to_owned(),
            });
        }
        Ok(())
    }

    /// Whether senders and askers must show a token. A file without any is refused at the start.
    pub(crate) fn asks_for_tokens(&self) -> bool {
        !self.tokens.is_empty() || !self.tokens_file.as_os_str().is_empty()
    }

    /// The tokens that are let in.
    pub(crate) fn read_tokens(&self) -> Result<KnownTokens, ConfigError> {
        let hint = "`halfopen token new NAME --scope write` makes a token and its entry";
        let invalid =
            |key| move |problem| ConfigError::Invalid { key, problem, hint: hint.to_owned() };
        // What is listed is read alone first, so that a mistake has a place.
        Tokens::read(&self.tokens).map_err(invalid("serve.tokens"))?;
        KnownTokens::load(&self.tokens, &self.tokens_file).map_err(invalid("serve.tokens_file"))
    }

    fn check_tls(&self) -> Result<(), ConfigError> {
        let missing = |key, other: &str| ConfigError::Invalid {
            key,
            problem: format!("it is not set, and {other} is"),
            hint: "set both, or none to speak without TLS".to_owned(),
        };
        let is_empty = |path: &std::path::Path| path.as_os_str().is_empty();
        match (is_empty(&self.tls_certificate), is_empty(&self.tls_key)) {
            (true, false) => Err(missing("serve.tls_certificate", "serve.tls_key")),
            (false, true) => Err(missing("serve.tls_key", "serve.tls_certificate")),
            _ => Ok(()),
        }
    }
}

fn loopback(key: &'static str, address: SocketAddr) -> Result<(), ConfigError> {
    if address.ip().is_loopback() {
        return Ok(());
    }
    Err(ConfigError::Invalid {
        key,
        problem: format!(
            "{address} can be reached from other machines, and without tokens anyone there could \
             read and write evidence"
        ),
        hint: "make a token with `halfopen token new NAME --scope write` and list its entry in \
               serve.tokens or serve.tokens_file: docs/security.md"
            .to_owned(),
    })
}

fn within(key: &'static str, value: usize, min: usize, max: usize) -> Result<(), ConfigError> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    Err(ConfigError::Invalid {
        key,
        problem: format!("{value} does not lie between {min} and {max}"),
        hint: "docs/halfopen.example.toml lists every setting with its default".to_owned(),
    })
}
