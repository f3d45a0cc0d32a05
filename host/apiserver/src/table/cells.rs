//! The columns and cells of built-in kinds. The real server has them in Go
//! code, one function for each kind; here each is a row of a `printer`.

mod network;
mod rest;
mod storage;
mod workloads;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::age;
use super::read::{or, selector, text};
use crate::kinds::Kind;

/// A kind's columns, and its cells in the same order.
type Printer = (&'static [&'static str], fn(&Value, Timestamp) -> Vec<Value>);

fn printer(kind: &str) -> Printer {
    let printers = [workloads::printer, network::printer, storage::printer, rest::printer];
    // The real server has no printer for the others.
    printers.into_iter().find_map(|printer| printer(kind)).unwrap_or((&["Name", "Created At:date"], |object, _| {
        vec![name(object), json!(text(object, "/metadata/creationTimestamp"))]
    }))
}

pub(super) fn columns(kind: &Kind) -> &'static [&'static str] {
    printer(&kind.kind).0
}

pub(super) fn of(kind: &Kind, object: &Value, now: Timestamp) -> Vec<Value> {
    (printer(&kind.kind).1)(object, now)
}

fn name(object: &Value) -> Value {
    json!(text(object, "/metadata/name"))
}

fn created(object: &Value, now: Timestamp) -> Value {
    json!(age::since(text(object, "/metadata/creationTimestamp"), now))
}

fn or_none(shown: &str) -> Value {
    json!(or(shown, "<none>"))
}

fn shown_selector(object: &Value, pointer: &str) -> Value {
    or_none(&selector(object, pointer))
}
