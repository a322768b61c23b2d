//! Where answers come from: a running server, or a data folder that no server holds.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use crate::cli::SourceArgs;
use crate::{Failure, Session};

/// Where `serve` listens unless told otherwise.
const URL_DEFAULT: &str = "http://127.0.0.1:7070";
/// The variable that names the server.
const URL_VARIABLE: &str = "HALFOPEN_URL";
/// Longest wait for an answer: above the longest time that a server gives a query, so that the
/// server's own words about it arrive.
const ANSWER_S_MAX: u64 = 130;
/// A port that nobody serves answers at once; a host that is not there must not hang the prompt.
const CONNECT_S_MAX: u64 = 5;

/// Where answers come from.
pub enum Source {
    /// A running server.
    Remote(Remote),
}

impl Source {
    /// Chooses by flags, then by `HALFOPEN_URL`, then the default address.
    ///
    /// # Errors
    /// When the address does not read or the folder cannot be opened.
    pub async fn open(args: &SourceArgs, _session: &Session) -> Result<Source, Failure> {
        let named = args.url.clone().or_else(|| std::env::var(URL_VARIABLE).ok());
        let url = named.unwrap_or_else(|| URL_DEFAULT.to_owned());
        Remote::new(&url).map(Source::Remote)
    }
}

/// A running server.
pub struct Remote {
    url: String,
    client: Client<HttpConnector, Full<Bytes>>,
}

impl Remote {
    fn new(url: &str) -> Result<Remote, Failure> {
        let url = url.trim_end_matches('/').to_owned();
        let read: Option<Uri> = url.parse().ok();
        if !read.is_some_and(|uri| uri.scheme_str() == Some("http") && uri.host().is_some()) {
            return Err(Failure::usage(format!("\"{url}\" is no address of a server"))
                .hint(format!("write it like {URL_DEFAULT}")));
        }
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(Duration::from_secs(CONNECT_S_MAX)));
        Ok(Remote { url, client: Client::builder(TokioExecutor::new()).build(connector) })
    }

    /// Sends one request and gives status and body.
    ///
    /// # Errors
    /// When nobody answers.
    pub async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<(StatusCode, Bytes), Failure> {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url))
            .header("content-type", "application/json")
            .header("accept", "application/json")
            .body(Full::new(body.unwrap_or_default().into()))
            .map_err(|error| Failure::usage("the request cannot be written").cause(&error))?;
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

    fn nobody(&self, error: &dyn std::error::Error) -> Failure {
        Failure::environment(format!("no server answers at {}", self.url)).cause(error).hint(
            "start one with `halfopen serve`, name another with --url, or open a folder with \
                 --data DIR",
        )
    }
}
