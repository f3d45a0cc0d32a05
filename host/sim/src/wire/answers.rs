//! What the wire answers in the server's place.

use bytes::Bytes;
use serde_json::{Value, json};

use super::traffic::FromApi;
use crate::{fault::Outage, refusal};

/// A refusal by a server that is in trouble.
pub(super) fn refused(by: Outage) -> FromApi {
    let message = "the simulation wants it";
    match by {
        Outage::Busy(seconds) => {
            let mut status = status(429, "TooManyRequests", message);
            status["details"] = json!({ "retryAfterSeconds": seconds });
            refusal::answer(429, Some(seconds), &status)
        }
        Outage::Internal => refusal::answer(500, None, &status(500, "InternalError", message)),
        Outage::Unavailable => refusal::answer(503, None, &status(503, "ServiceUnavailable", message)),
    }
}

/// The refusal of a write that met another state.
pub(super) fn conflict() -> FromApi {
    let message = "the object has been modified; please apply your changes to the latest version and try again";
    refusal::answer(409, None, &status(409, "Conflict", message))
}

/// The last event of a watch whose history is gone.
pub(super) fn expired() -> Bytes {
    let status = status(410, "Expired", "too old resource version");
    Bytes::from(format!("{}\n", json!({ "type": "ERROR", "object": status })))
}

fn status(code: u16, reason: &str, message: &str) -> Value {
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code,
    })
}
