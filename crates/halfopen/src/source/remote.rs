//! A running server, asked over its HTTP API.

use std::error::Error;
use std::fmt::Write as _;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use halfopen_model::{TimeRange, UnixNanos};
use halfopen_serve::PLAIN_ANSWER;
use halfopen_serve::desk::{Beside, ChangesAsk, MapAsk, MetricAsk, WhyAsk};
use halfopen_serve::wire::{
    ChangesV1, FindV1, ImportTakenV1, MapV1, MetricV1, ProblemV1, QueryQuestionV1, QueryV1,
    TakenV1, TraceReplyV1, WhyV1,
};
use http::{HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::de::DeserializeOwned;

use super::URL_DEFAULT;
use super::access::Access;
use crate::Failure;

/// Longest wait for an answer: above the longest time that a server gives a query, so that the
/// server's own words about it arrive.
const ANSWER_S_MAX: u64 = 130;
/// A port that nobody serves answers at once; a host that is not there must not hang the prompt.
const CONNECT_S_MAX: u64 = 5;

/// A running server.
pub struct Remote {
    url: String,
    authorization: Option<HeaderValue>,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

impl Remote {
    pub(super) fn new(url: &str, access: &Access) -> Result<Remote, Failure> {
        let url = url.trim_end_matches('/').to_owned();
        let read: Option<Uri> = url.parse().ok();
        let is_ours =
            |uri: &Uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some();
        if !read.as_ref().is_some_and(is_ours) {
            return Err(Failure::usage(format!("\"{url}\" is no address of a server"))
                .hint(format!("write it like {URL_DEFAULT}, after --url or in HALFOPEN_URL")));
        }
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(Duration::from_secs(CONNECT_S_MAX)));
        connector.enforce_http(false);
        // Files of certificates are read only where they count.
        let is_secure = url.starts_with("https://");
        let tls = if is_secure { access.tls()? } else { Access::default().tls()? };
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Ok(Remote { url, authorization: access.authorization.clone(), client })
    }

    /// Whether the token could be read on its way by somebody else.
    pub(super) fn shows_token(&self) -> bool {
        let uri: Option<Uri> = self.url.parse().ok();
        let host = uri.as_ref().and_then(Uri::host).unwrap_or_default();
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let is_local = bare == "localhost"
            || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        self.authorization.is_some() && self.url.starts_with("http://") && !is_local
    }

    pub(super) async fn query(&self, sql: &str, rows_max: usize) -> Result<QueryV1, Failure> {
        let question = QueryQuestionV1 { sql: sql.to_owned(), rows_max: Some(rows_max) };
        let body = serde_json::to_vec(&question)
            .map_err(|error| Failure::usage("the query cannot be sent").cause(&error))?;
        self.ask(Method::POST, "/api/v1/query", body).await
    }

    pub(super) async fn find(&self, id: &str, range: Option<TimeRange>) -> Result<FindV1, Failure> {
        let mut parameters = Parameters::default();
        parameters.add("id", id);
        parameters.add_range("from", "to", range);
        self.ask(Method::GET, &parameters.behind("/api/v1/find"), Vec::new()).await
    }

    pub(super) async fn trace(&self, id: &str) -> Result<TraceReplyV1, Failure> {
        self.ask(Method::GET, &format!("/api/v1/traces/{}", escaped(id)), Vec::new()).await
    }

    pub(super) async fn compare(&self, id: &str, with: &Beside) -> Result<TraceReplyV1, Failure> {
        let mut parameters = Parameters::default();
        parameters.add("compare", with.as_text());
        let path = format!("/api/v1/traces/{}", escaped(id));
        self.ask(Method::GET, &parameters.behind(&path), Vec::new()).await
    }

    pub(super) async fn why(&self, ask: &WhyAsk) -> Result<WhyV1, Failure> {
        let mut parameters = Parameters::default();
        let scope = &ask.scope;
        for (name, value) in [("service", &scope.service), ("operation", &scope.operation)] {
            if let Some(value) = value {
                parameters.add(name, value);
            }
        }
        parameters.add_range("from", "to", ask.window);
        if let Some(baseline) = ask.baseline {
            parameters.add("baseline", &baseline.to_text());
        }
        if let Some(slow) = ask.slow {
            parameters.add("slow", &slow.to_text());
        }
        self.ask(Method::GET, &parameters.behind("/api/v1/why"), Vec::new()).await
    }

    pub(super) async fn why_metric(&self, ask: &MetricAsk) -> Result<MetricV1, Failure> {
        let mut parameters = Parameters::default();
        parameters.add("metric", &ask.metric);
        for (name, value) in [("total", &ask.total), ("service", &ask.service)] {
            if let Some(value) = value {
                parameters.add(name, value);
            }
        }
        parameters.add_range("from", "to", ask.window);
        if let Some(baseline) = ask.baseline {
            parameters.add("baseline", &baseline.to_text());
        }
        self.ask(Method::GET, &parameters.behind("/api/v1/why-metric"), Vec::new()).await
    }

    /// Sends a group of an import; `session` tells its groups from those of another one.
    pub(crate) async fn import(
        &self,
        session: &str,
        source: &str,
        at: UnixNanos,
        group: Vec<u8>,
    ) -> Result<ImportTakenV1, Failure> {
        let mut parameters = Parameters::default();
        parameters.add("session", session);
        parameters.add("source", source);
        parameters.add("at", &at.to_rfc3339());
        self.ask(Method::POST, &parameters.behind("/api/v1/import"), group).await
    }

    pub(super) async fn map(&self, ask: &MapAsk) -> Result<MapV1, Failure> {
        let mut parameters = Parameters::default();
        parameters.add_range("from", "to", ask.window);
        self.ask(Method::GET, &parameters.behind("/api/v1/map"), Vec::new()).await
    }

    pub(super) async fn changes(&self, ask: &ChangesAsk) -> Result<ChangesV1, Failure> {
        let mut parameters = Parameters::default();
        for (name, value) in [("service", &ask.service), ("kind", &ask.kind)] {
            if let Some(value) = value {
                parameters.add(name, value);
            }
        }
        parameters.add_range("from", "to", ask.window);
        self.ask(Method::GET, &parameters.behind("/api/v1/changes"), Vec::new()).await
    }

    pub(super) async fn tell(&self, body: Vec<u8>) -> Result<TakenV1, Failure> {
        self.ask(Method::POST, "/api/v1/changes", body).await
    }

    pub(super) async fn map_svg(&self, ask: &MapAsk) -> Result<String, Failure> {
        let mut parameters = Parameters::default();
        parameters.add_range("from", "to", ask.window);
        let path = parameters.behind("/api/v1/map.svg");
        let picture = self.take(Method::GET, &path, Vec::new()).await?;
        String::from_utf8(picture.into()).map_err(|error| self.unread(&error))
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> Result<T, Failure> {
        let body = self.take(method, path, body).await?;
        serde_json::from_slice(&body).map_err(|error| self.unread(&error))
    }

    fn unread(&self, error: &dyn Error) -> Failure {
        Failure::environment(format!("the answer of {} does not read", self.url))
            .cause(error)
            .hint("server and command line may be of different versions")
    }

    /// The body of a good answer.
    async fn take(&self, method: Method, path: &str, body: Vec<u8>) -> Result<Bytes, Failure> {
        let (status, body) = self.call(method, path, body).await?;
        if status.is_success() {
            return Ok(body);
        }
        let Ok(problem) = serde_json::from_slice::<ProblemV1>(&body) else {
            let failure = Failure::environment(format!("{} answered {status}", self.url));
            if body == PLAIN_ANSWER.as_bytes() {
                return Err(failure.detail(PLAIN_ANSWER.trim_end()));
            }
            return Err(failure
                .hint("is that the address of `halfopen serve` that answers questions (--http)?"));
        };
        let failure = match status {
            StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY => {
                Failure::usage(problem.error.fact)
            }
            _ => Failure::environment(problem.error.fact),
        };
        let failure = problem.error.detail.into_iter().fold(failure, Failure::detail);
        Err(problem.error.hint.into_iter().fold(failure, Failure::hint))
    }

    /// Sends one request and gives status and body.
    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> Result<(StatusCode, Bytes), Failure> {
        let mut request = Request::builder().method(method);
        if let Some(authorization) = &self.authorization {
            request = request.header(header::AUTHORIZATION, authorization.clone());
        }
        let request = request
            .uri(format!("{}{path}", self.url))
            .header("content-type", "application/json")
            .header("accept", "application/json")
            .body(Full::new(body.into()))
            .map_err(|error| Failure::usage("the question cannot be sent").cause(&error))?;
        let answer = tokio::time::timeout(Duration::from_secs(ANSWER_S_MAX), async {
            let response = self.client.request(request).await.map_err(|e| self.nobody(&e))?;
            let status = response.status();
            let body = response.into_body().collect().await.map_err(|error| {
                Failure::environment(format!("the answer of {} broke off", self.url)).cause(&error)
            })?;
            Ok((status, body.to_bytes()))
        });
        answer.await.unwrap_or_else(|_| {
            Err(Failure::environment(format!("{} gave no answer", self.url))
                .detail(format!("waited {ANSWER_S_MAX} s")))
        })
    }

    fn nobody(&self, error: &(dyn Error + 'static)) -> Failure {
        let mut cause = error;
        while let Some(deeper) = cause.source() {
            cause = deeper;
        }
        let failure = Failure::environment(format!("no server answers at {}", self.url))
            .detail(cause.to_string());
        if let Some(error) = tls_problem(cause) {
            return failure.hint(match error {
                rustls::Error::InvalidCertificate(_) => {
                    "name the PEM file of the authority that signed the certificate with --ca"
                }
                _ => "does the server speak TLS? if not, write http://",
            });
        }
        failure.hint(
            "start one with `halfopen serve`, name another with --url, or open a folder with \
                 --data DIR",
        )
    }
}

/// What TLS says, which lies inside errors of the connection.
fn tls_problem<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    let mut next: Option<&'a (dyn Error + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(problem) = error.downcast_ref() {
            return Some(problem);
        }
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = inner.map(|inner| inner as &(dyn Error + 'static));
    }
    None
}

/// Parameters of a request.
#[derive(Default)]
struct Parameters(String);

impl Parameters {
    fn add(&mut self, name: &str, value: &str) {
        let between = if self.0.is_empty() { '?' } else { '&' };
        let _ = write!(self.0, "{between}{name}={}", escaped(value));
    }

    fn add_range(&mut self, from: &str, to: &str, range: Option<TimeRange>) {
        let Some(range) = range else { return };
        if range.from > UnixNanos::MIN {
            self.add(from, &range.from.to_rfc3339());
        }
        self.add(to, &range.to.to_rfc3339());
    }

    fn behind(&self, path: &str) -> String {
        format!("{path}{}", self.0)
    }
}

/// A value as it may stand in an address (RFC 3986, section 2.3).
fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_on_an_open_wire_is_noticed() {
        let folder = tempfile::tempdir().expect("a folder");
        let token_file = folder.path().join("token");
        std::fs::write(&token_file, "halfopen_abc\n").expect("a file");
        let args = crate::cli::SourceArgs { token_file: Some(token_file), ..Default::default() };
        let access = Access::read(&args).expect("a token");
        let shows = |url| Remote::new(url, &access).expect("an address").shows_token();
        assert!(shows("http://evidence.example:7070") && shows("http://10.0.0.1:7070"));
        for safe in
            ["https://10.0.0.1", "http://localhost:7070", "http://[::1]:1", "http://127.9.9.9"]
        {
            assert!(!shows(safe), "{safe}");
        }
    }

    #[test]
    fn any_id_survives_its_way_to_the_server() {
        assert_eq!(escaped("req_8/2 &=ü"), "req_8%2F2%20%26%3D%C3%BC");
        let mut parameters = Parameters::default();
        parameters.add("id", "a b");
        parameters.add("x", "1");
        assert_eq!(parameters.behind("/find"), "/find?id=a%20b&x=1");
    }
}
