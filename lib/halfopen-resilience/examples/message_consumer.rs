//! A consumer of messages, as from Kafka, AMQP or NATS: the context comes in the headers of the
//! message, bounds the work, and goes on with the messages that follow from it.

use halfopen_resilience::wire::{Outgoing, read_list, write_list};
use halfopen_resilience::{Chance, RequestContext};
use std::time::Duration;
use tokio::time::Instant;
use tracing::Instrument;

/// Messages without a deadline are worked on this long.
const LONGEST: Duration = Duration::from_secs(30);

struct Message {
    headers: Vec<(String, Vec<u8>)>,
    body: String,
}

/// Works on one message; `None` when nobody waits for it any more.
async fn consume(message: Message, chance: &Chance) -> Option<Message> {
    let now = Instant::now();
    let context = read_list(&message.headers, now).or_begin(chance);
    if context.is_spent(now) {
        tracing::warn!(id = %context.id(), "not begun: its deadline has passed");
        return None;
    }
    let context = context.until(now + LONGEST);
    let deadline = context.deadline().unwrap_or(now + LONGEST);
    let span = context.span("invoices");
    let work = context.scope(write_invoice(message.body)).instrument(span);
    tokio::time::timeout_at(deadline, work).await.ok()
}

/// Clients called from here inherit deadline and retry budget; log lines carry the id.
async fn write_invoice(order: String) -> Message {
    tracing::info!("writing the invoice");
    let mut headers = Vec::new();
    if let Some(context) = RequestContext::current() {
        let granted = context.grant().map_or(0, |grant| grant.lend());
        write_list(&Outgoing { context: &context, granted }, &mut headers, Instant::now());
    }
    Message { headers, body: format!("invoice for {order}") }
}

#[tokio::main]
async fn main() {
    let headers = vec![
        ("x-request-id".to_owned(), b"order-7".to_vec()),
        ("halfopen-context".to_owned(), b"d=5000;a=1;b=2".to_vec()),
    ];
    let message = Message { headers, body: "order 7".to_owned() };
    let invoice = consume(message, &Chance::of_this_process()).await;
    let headers = invoice.map(|invoice| (invoice.headers.len(), invoice.body));
    tracing::info!(?headers, "done");
}
