//! `GET /api/v1/refusals`: what was refused and cut, for the operator.

use std::sync::Arc;

use axum::extract::State;

use super::{Answer, Api, json};
use crate::guard::audit::{Audit, Port, Reason, Refused};
use crate::wire::{RefusalV1, RefusalsV1, RefusedV1, TimeV1, Version};

pub(super) async fn list(State(api): State<Arc<Api>>) -> Answer {
    json(&refusals(&api.guard.audit))
}

fn refusals(audit: &Audit) -> RefusalsV1 {
    let mut counts = Vec::new();
    for port in Port::ALL {
        for reason in Reason::ALL {
            let count = audit.count(port, reason);
            if count > 0 {
                let (port, reason) = (port.name().to_owned(), reason.name().to_owned());
                counts.push(RefusedV1 { port, reason, count });
            }
        }
    }
    RefusalsV1 { v: Version::THIS, counts, recent: audit.recent().iter().map(one).collect() }
}

fn one(refused: &Refused) -> RefusalV1 {
    RefusalV1 {
        time: TimeV1(refused.at),
        port: refused.port.name().to_owned(),
        reason: refused.reason.name().to_owned(),
        peer: refused.peer.to_string(),
        token: refused.token.as_deref().map(str::to_owned),
    }
}
