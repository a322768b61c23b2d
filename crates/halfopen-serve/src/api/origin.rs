//! Who may speak to us through a browser: pages of this machine only.
//!
//! A page from anywhere can make a browser send requests to loopback, and by letting its own name
//! resolve to 127.0.0.1 it could also read the answers. Both show in the headers. Where tokens are
//! configured none of this matters: a page has no token, and a browser adds none.

use std::net::IpAddr;
use std::sync::Arc;

use http::uri::Authority;
use http::{HeaderMap, Uri, header};

use crate::guard::Caller;
use crate::guard::audit::Reason;

/// Notes that a request was refused for where it comes from.
pub(crate) fn refused(extensions: &http::Extensions) {
    if let Some(caller) = extensions.get::<Arc<Caller>>() {
        caller.refused(Reason::Foreign);
    }
}

/// The `Origin` of a request, if it names another machine.
pub(crate) fn foreign_origin(headers: &HeaderMap) -> Option<String> {
    let origin = headers.get(header::ORIGIN)?;
    let text = String::from_utf8_lossy(origin.as_bytes()).into_owned();
    let uri: Option<Uri> = text.parse().ok();
    let authority = uri.as_ref().and_then(Uri::authority);
    (!authority.is_some_and(is_loopback)).then_some(text)
}

/// The host that a request was meant for, if it is another machine. Only HTTP/1.0 may leave it
/// out, and no browser speaks that.
pub(crate) fn foreign_host(uri: &Uri, headers: &HeaderMap) -> Option<String> {
    let named = match uri.authority() {
        Some(authority) => authority.to_string(),
        None => String::from_utf8_lossy(headers.get(header::HOST)?.as_bytes()).into_owned(),
    };
    let authority: Option<Authority> = named.parse().ok();
    (!authority.as_ref().is_some_and(is_loopback)).then_some(named)
}

fn is_loopback(authority: &Authority) -> bool {
    let host = authority.host().trim_end_matches('.').to_ascii_lowercase();
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(&host);
    match bare.parse::<IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => host == "localhost" || host.ends_with(".localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn check(host: &'static str, foreign: bool) {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static(host));
        let found = foreign_host(&Uri::from_static("/api/v1/find"), &headers);
        assert_eq!(found.is_some(), foreign, "{host}");
    }

    #[test]
    fn only_names_of_this_machine_are_hosts() {
        for host in ["localhost", "LocalHost:7070", "127.0.0.1:7070", "[::1]:7070", "a.localhost"] {
            check(host, false);
        }
        for host in ["evil.example:7070", "localhost.evil.example", "10.0.0.1", "127.0.0.1.nip.io"]
        {
            check(host, true);
        }
    }

    #[test]
    fn pages_of_other_machines_and_of_nowhere_are_foreign() {
        let mut headers = HeaderMap::new();
        assert_eq!(foreign_origin(&headers), None);
        headers.insert(header::ORIGIN, HeaderValue::from_static("http://localhost:3000"));
        assert_eq!(foreign_origin(&headers), None);
        for origin in ["null", "https://evil.example", "file://"] {
            headers.insert(header::ORIGIN, HeaderValue::from_static(origin));
            assert_eq!(foreign_origin(&headers).as_deref(), Some(origin));
        }
    }
}
