//! HAR 1.2: what browsers and proxies record. Each entry becomes a row of `exchanges`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use halfopen_model::AttributeValue;
use xxhash_rust::xxh3::xxh3_128;

use super::emit::{Emitter, Halt};
use super::group::{Attribute, EXCHANGE_BODY_BYTES_MAX, Exchange, Message};
use super::input::Input;
use super::items::each_item;
use super::value::{field, list, plain, text};
use super::when::any_time;
use crate::json::{Json, Kind, parse};

/// Nanoseconds in the unit of HAR's durations.
const MILLISECOND_NS: f64 = 1e6;
/// Headers whose values let somebody in.
const SECRET_HEADERS: [&str; 6] =
    ["authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key", "x-auth-token"];
/// Stands for a secret.
const REDACTED: &[u8] = b"[redacted]";
/// Parameters of an address whose values let somebody in.
const SECRET_PARAMETERS: [&str; 8] =
    ["access_token", "api_key", "apikey", "token", "password", "secret", "sig", "signature"];

/// Reads all entries.
pub(crate) fn read(input: &mut Input<'_>, out: &mut Emitter<'_>) -> Result<(), Halt> {
    each_item(&[&["log", "entries"]], "entry", input, out, &mut |item, place, out| {
        let text = String::from_utf8_lossy(item);
        let entry = parse(&text).map_err(|error| format!("no JSON: {error}"));
        match entry.and_then(|entry| exchange(&entry, out)) {
            Ok(exchange) => out.exchange(exchange),
            Err(reason) => out.reject(place.to_owned(), reason, 1, item),
        }
        Ok(())
    })
}

fn exchange(entry: &Json<'_>, out: &Emitter<'_>) -> Result<Exchange, String> {
    let time = any_time(text(entry, "startedDateTime")).ok_or("no time in startedDateTime")?;
    let request = field(entry, "request").ok_or("no request")?;
    let response = field(entry, "response");
    let url = text(request, "url");
    // The index of an entry is no part of its id: the same entry in another file is the same.
    let id = xxh3_128(entry.raw.as_bytes());
    let status = response.and_then(|response| whole(field(response, "status")?));
    let spoken = text(request, "httpVersion");
    Ok(Exchange {
        exchange_id: format!("har-{id:032x}"),
        time,
        duration_ns: nanos(field(entry, "time")),
        connection_id: text(entry, "connection").to_owned(),
        caller: String::new(),
        service: out.service_or(host(url)).to_owned(),
        protocol: protocol(spoken).to_owned(),
        method: text(request, "method").to_owned(),
        url: redacted_url(url),
        status: status.filter(|status| *status > 0),
        ended: ended(response, status).to_owned(),
        request: side(request, field(request, "postData")),
        response: response.map(|found| side(found, field(found, "content"))).unwrap_or_default(),
        attributes: attributes(entry, response),
    })
}

/// The names of browsers for the versions of HTTP.
fn protocol(spoken: &str) -> &str {
    match spoken.to_ascii_lowercase().as_str() {
        "h2" | "http/2" | "http/2.0" => "h2",
        "h3" | "http/3" | "http/3.0" => "h3",
        "http/1.0" => "http/1.0",
        _ => "http/1.1",
    }
}

/// How it ended: browsers write status 0, and a reason in a field of their own, when there was no
/// answer.
fn ended(response: Option<&Json<'_>>, status: Option<i64>) -> &'static str {
    if status.is_some_and(|status| status > 0) {
        return "complete";
    }
    let error = response.map_or("", |response| match text(response, "_error") {
        "" => text(response, "statusText"),
        error => error,
    });
    let error = error.to_ascii_lowercase();
    let says = |part: &str| error.contains(part);
    if says("timed_out") || says("timeout") {
        "timeout"
    } else if says("refused") {
        "refused"
    } else if says("reset") || says("closed") {
        "reset"
    } else if says("abort") || says("cancel") || says("blocked") {
        "cancelled"
    } else {
        "unfinished"
    }
}

fn number(json: Option<&Json<'_>>) -> Option<f64> {
    plain(json?)?.parse().ok().filter(|number: &f64| number.is_finite())
}

fn whole(json: &Json<'_>) -> Option<i64> {
    number(Some(json)).map(|number| number as i64)
}

/// -1 means that it is not known.
fn nanos(json: Option<&Json<'_>>) -> Option<i64> {
    number(json).filter(|millis| *millis >= 0.0).map(|millis| (millis * MILLISECOND_NS) as i64)
}

fn host(url: &str) -> &str {
    let behind = url.split_once("://").map_or("", |(_, behind)| behind);
    let authority = behind.split(['/', '?', '#']).next().unwrap_or_default();
    authority.rsplit('@').next().unwrap_or_default()
}

fn redacted_url(url: &str) -> String {
    let (bare, fragment) = url.split_once('#').map_or((url, None), |(a, b)| (a, Some(b)));
    let (path, query) = bare.split_once('?').map_or((bare, None), |(a, b)| (a, Some(b)));
    let mut shown = without_password(path);
    for (index, pair) in query.into_iter().flat_map(|query| query.split('&')).enumerate() {
        shown.push(if index == 0 { '?' } else { '&' });
        let name = pair.split('=').next().unwrap_or_default();
        if SECRET_PARAMETERS.iter().any(|secret| secret.eq_ignore_ascii_case(name)) {
            shown.push_str(name);
            shown.push_str("=[redacted]");
        } else {
            shown.push_str(pair);
        }
    }
    fragment.into_iter().for_each(|fragment| shown.extend(["#", fragment]));
    shown
}

/// Names and passwords in front of the host let somebody in as well.
fn without_password(path: &str) -> String {
    let Some((scheme, behind)) = path.split_once("://") else { return path.to_owned() };
    let end = behind.find('/').unwrap_or(behind.len());
    let (authority, rest) = behind.split_at(end);
    match authority.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://[redacted]@{host}{rest}"),
        None => path.to_owned(),
    }
}

fn side(message: &Json<'_>, body: Option<&Json<'_>>) -> Message {
    let header = |header: &Json<'_>| {
        let name = text(header, "name");
        let is_secret = SECRET_HEADERS.iter().any(|secret| secret.eq_ignore_ascii_case(name));
        let value = if is_secret { REDACTED } else { text(header, "value").as_bytes() };
        (name.to_owned(), value.to_vec())
    };
    let content = body.and_then(|body| {
        let text = field(body, "text").and_then(plain)?;
        let packed = field(body, "encoding").and_then(plain) == Some("base64");
        let decoded = packed.then(|| STANDARD.decode(text).ok()).flatten();
        Some(decoded.unwrap_or_else(|| text.as_bytes().to_vec()))
    });
    let told =
        body.and_then(|body| number(field(body, "size"))).or(number(field(message, "bodySize")));
    let bytes = told.filter(|bytes| *bytes >= 0.0).map(|bytes| bytes as u64);
    let there = content.as_ref().map(|body| body.len() as u64);
    let body = content.map(|mut body| {
        body.truncate(EXCHANGE_BODY_BYTES_MAX);
        body
    });
    Message {
        headers: list(message, "headers").iter().map(header).collect(),
        body,
        bytes: there.max(bytes),
    }
}

/// What has no column: parts of the time, the address of the server, the kind of content.
fn attributes(entry: &Json<'_>, response: Option<&Json<'_>>) -> Vec<Attribute> {
    let mut found = Vec::new();
    let mut add = |key: &str, value: AttributeValue| {
        let (tag, text) = (value.value_type().tag(), value.to_text());
        found.push(Attribute { key: key.to_owned(), tag, text });
    };
    if let Some(Kind::Object(timings)) = field(entry, "timings").map(|timings| &timings.kind) {
        for (name, value) in timings {
            if let Some(nanos) = nanos(Some(value)) {
                add(&format!("har.timing.{name}_ns"), AttributeValue::Int(nanos));
            }
        }
    }
    let texts = [
        ("network.peer.address", text(entry, "serverIPAddress")),
        ("har.pageref", text(entry, "pageref")),
        ("har.comment", text(entry, "comment")),
        ("har.error", response.map_or("", |response| text(response, "_error"))),
        ("har.redirect_url", response.map_or("", |response| text(response, "redirectURL"))),
    ];
    for (key, value) in texts {
        if !value.is_empty() {
            add(key, AttributeValue::Text(value.to_owned()));
        }
    }
    found
}
