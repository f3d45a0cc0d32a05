//! How each write is said in HTTP, and what the server's answer leaves.

use std::sync::Arc;

use http::{HeaderName, HeaderValue, Method, Request};
use kube::client::Body;
use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::{Map, Value, json};
use trimtab_core::{
    account::Account,
    id::Place,
    kind::Kind,
    object::{BadObject, Object},
    write::{Action, Seen, Write},
};

use crate::request::{build, collection, encoded};

const APPLY: &str = "application/apply-patch+yaml";
const MERGE: &str = "application/merge-patch+json";
const JSON: &str = "application/json";
/// Who is meant to make a request; the API server asks whether the sender may say so
/// (Kubernetes' "User impersonation").
const IMPERSONATE: HeaderName = HeaderName::from_static("impersonate-user");

/// The request that a write is, made as `account` where there is one. The object's name
/// may come from a plugin.
pub fn request(kind: &Kind, write: &Write, account: Option<&Account>) -> Request<Body> {
    let mut request = said(kind, write);
    if let Some(account) = account {
        let user = HeaderValue::try_from(account.user()).expect("its parts are names of DNS");
        request.headers_mut().insert(IMPERSONATE, user);
    }
    request
}

fn said(kind: &Kind, write: &Write) -> Request<Body> {
    let path = path(kind, &write.version, &write.place);
    let manager = encoded(&write.manager);
    match &write.action {
        Action::Create { body } => {
            // An apply makes what is absent and merges into what is there. A
            // resource version that no object can have any more makes the
            // server refuse the second (409): what exists is never touched.
            let fenced = Fenced { body, uid: None, resource_version: 1 };
            build(Method::PATCH, &format!("{path}?fieldManager={manager}"), APPLY, &fenced)
        }
        Action::Apply { seen, body } => {
            build(Method::PATCH, &format!("{path}?fieldManager={manager}&force=true"), APPLY, &Fenced::by(seen, body))
        }
        Action::Status { seen, status, force } => {
            let body = StatusBody {
                api_version: kind.api_version(&write.version),
                kind: &write.place.kind.kind,
                metadata: json!({ "name": *write.place.name, "uid": seen.uid.as_str(), "resourceVersion": version(seen) }),
                status,
            };
            build(Method::PATCH, &format!("{path}/status?fieldManager={manager}&force={force}"), APPLY, &body)
        }
        Action::ClearStatus { seen } => {
            let body = json!({ "metadata": {}, "status": null });
            build(Method::PATCH, &format!("{path}/status?fieldManager={manager}"), MERGE, &Fenced::by(seen, &body))
        }
        Action::Metadata { seen, patch } => {
            let body = json!({ "metadata": patch });
            build(Method::PATCH, &format!("{path}?fieldManager={manager}"), MERGE, &Fenced::by(seen, &body))
        }
        Action::Delete { seen } => {
            let body = json!({
                "apiVersion": "v1",
                "kind": "DeleteOptions",
                "propagationPolicy": "Background",
                "preconditions": { "uid": seen.uid.as_str(), "resourceVersion": version(seen) },
            });
            build(Method::DELETE, &path, JSON, &body)
        }
    }
}

/// An object with a precondition in its metadata. Written as it is sent, and
/// not put together before: bodies are large, and there is one in each write.
struct Fenced<'a> {
    body: &'a Value,
    uid: Option<&'a str>,
    resource_version: u64,
}

impl<'a> Fenced<'a> {
    fn by(seen: &'a Seen, body: &'a Value) -> Self {
        Self { body, uid: Some(seen.uid.as_str()), resource_version: seen.resource_version }
    }
}

impl Serialize for Fenced<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Value::Object(fields) = self.body else { return self.body.serialize(serializer) };
        serializer.collect_map(fields.iter().map(|(name, value)| {
            let metadata = value.as_object().filter(|_| name == "metadata");
            (name, metadata.map_or(Part::Given(value), |metadata| Part::Metadata(metadata, self)))
        }))
    }
}

/// A field of a [`Fenced`] object.
enum Part<'a> {
    Given(&'a Value),
    Metadata(&'a Map<String, Value>, &'a Fenced<'a>),
}

impl Serialize for Part<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (metadata, fence) = match self {
            Part::Given(value) => return value.serialize(serializer),
            Part::Metadata(metadata, fence) => (metadata, fence),
        };
        let given = metadata.iter().filter(|(name, _)| !matches!(name.as_str(), "uid" | "resourceVersion"));
        let mut map = serializer.serialize_map(None)?;
        given.into_iter().try_for_each(|(name, value)| map.serialize_entry(name, value))?;
        if let Some(uid) = fence.uid {
            map.serialize_entry("uid", uid)?;
        }
        map.serialize_entry("resourceVersion", &fence.resource_version.to_string())?;
        map.end()
    }
}

/// What is applied to a status: nothing but that and whose it is.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StatusBody<'a> {
    api_version: String,
    kind: &'a str,
    metadata: Value,
    status: &'a Map<String, Value>,
}

/// The path of an object.
pub fn path(kind: &Kind, version: &str, place: &Place) -> String {
    format!("{}/{}", collection(kind, version, &place.namespace), encoded(&place.name))
}

/// Whether a name can be a part of a path: the API takes no others (and a
/// proxy on the way might read more into them).
pub fn is_path_segment(name: &str) -> bool {
    !matches!(name, "" | "." | "..") && !name.contains(['/', '%'])
}

fn version(seen: &Seen) -> String {
    seen.resource_version.to_string()
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
