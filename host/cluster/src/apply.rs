//! How each write is said in HTTP, and what the server's answer leaves.

use std::sync::Arc;

use http::{Method, Request};
use kube::client::Body;
use serde_json::{Value, json};
use trimtab_core::{
    kind::Kind,
    object::{BadObject, Object},
    write::{Action, Seen, Write},
};

use crate::request::{build, collection, encoded};

const APPLY: &str = "application/apply-patch+yaml";
const MERGE: &str = "application/merge-patch+json";
const JSON: &str = "application/json";

/// The request that a write is. The object's name may come from a plugin.
pub fn request(kind: &Kind, write: &Write) -> Request<Body> {
    let path = path(kind, write);
    let manager = encoded(&write.manager);
    match &write.action {
        Action::Create { body } => {
            // An apply makes what is absent and merges into what is there. A
            // resource version that no object can have any more makes the
            // server refuse the second (409): what exists is never touched.
            let body = preconditioned(body.clone(), json!({ "resourceVersion": "1" }));
            build(Method::PATCH, &format!("{path}?fieldManager={manager}"), APPLY, Some(&body))
        }
        Action::Apply { seen, body } => {
            let body = preconditioned(body.clone(), precondition(seen));
            build(Method::PATCH, &format!("{path}?fieldManager={manager}&force=true"), APPLY, Some(&body))
        }
        Action::Status { seen, status } => {
            let body = json!({
                "apiVersion": kind.api_version(&write.version),
                "kind": *write.place.kind.kind,
                "metadata": { "name": *write.place.name },
                "status": status,
            });
            let body = preconditioned(body, precondition(seen));
            build(Method::PATCH, &format!("{path}/status?fieldManager={manager}&force=true"), APPLY, Some(&body))
        }
        Action::Metadata { seen, patch } => {
            let body = preconditioned(json!({ "metadata": patch }), precondition(seen));
            build(Method::PATCH, &format!("{path}?fieldManager={manager}"), MERGE, Some(&body))
        }
        Action::Delete { seen } => {
            let body = json!({
                "apiVersion": "v1",
                "kind": "DeleteOptions",
                "propagationPolicy": "Background",
                "preconditions": precondition(seen),
            });
            build(Method::DELETE, &path, JSON, Some(&body))
        }
    }
}

/// The path of the object that is written.
pub fn path(kind: &Kind, write: &Write) -> String {
    format!("{}/{}", collection(kind, &write.version, &write.place.namespace), encoded(&write.place.name))
}

/// Whether a name can be a part of a path: the API takes no others (and a
/// proxy on the way might read more into them).
pub fn is_path_segment(name: &str) -> bool {
    !matches!(name, "" | "." | "..") && !name.contains(['/', '%'])
}

fn precondition(seen: &Seen) -> Value {
    json!({ "uid": seen.uid.as_str(), "resourceVersion": seen.resource_version.to_string() })
}

fn preconditioned(mut body: Value, precondition: Value) -> Value {
    if let (Some(metadata), Value::Object(fields)) = (body["metadata"].as_object_mut(), precondition) {
        metadata.extend(fields);
    }
    body
}

/// What is left of an object after a write.
pub enum Left {
    /// It is there, like this.
    There(Arc<Object>),
    /// It is gone.
    Gone,
}

/// Reads the answer to a write.
pub fn left(kind: &Kind, write: &Write, answer: &[u8]) -> Result<Left, BadObject> {
    let text = str::from_utf8(answer).map_err(|_| BadObject::Missing("UTF-8"))?;
    let deletes = matches!(write.action, Action::Delete { .. });
    // What is deleted at once is answered by a Status.
    if deletes && is_status(text) {
        return Ok(Left::Gone);
    }
    let object = Object::parse(text, &kind.api_version(&write.version), &write.place.kind.kind)?;
    // With finalizers or a grace period it stays and says that it is deleted;
    // an answer without that is the last look at what is gone.
    Ok(if deletes && !object.meta.deleting { Left::Gone } else { Left::There(Arc::new(object)) })
}

fn is_status(text: &str) -> bool {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Kind<'a> {
        kind: Option<&'a str>,
        api_version: Option<&'a str>,
    }
    serde_json::from_str::<Kind<'_>>(text)
        .is_ok_and(|answer| answer.kind == Some("Status") && answer.api_version == Some("v1"))
}
