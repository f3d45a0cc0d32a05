//! What the server warns of although it takes it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::{is_set, pod_warnings};
use crate::kinds::Kind;
use crate::meta;

/// What a write was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrote {
    New,
    /// A change that the generation counts.
    Counted,
    /// Another change, or none.
    Uncounted,
}

/// What there is to say of an object that was written.
pub(crate) fn warnings(kind: &Kind, object: &Value, wrote: Wrote) -> Vec<String> {
    let mut said = Vec::new();
    if kind.custom.is_some() {
        said.extend(meta::finalizers(object).iter().filter(|name| !name.contains('/') && !is_standard(name)).map(|name| {
            format!("metadata.finalizers: {name:?}: prefer a domain-qualified finalizer name to avoid accidental conflicts with other finalizer writers")
        }));
        return said;
    }
    if wrote == Wrote::New {
        said.extend(pod_warnings::of_name(kind, object));
    }
    // Pods themselves change too often.
    if wrote == Wrote::New || (wrote == Wrote::Counted && kind.kind != "Pod") {
        said.extend(pod_warnings::of_pods(kind, object));
    }
    match kind.kind.as_str() {
        "Secret" if object["type"] == "kubernetes.io/tls" && !holds_pem(&object["data"]["tls.crt"]) => {
            said.push("tls: failed to find any PEM data in certificate input".to_owned());
        }
        "Ingress" if is_set(&object["metadata"]["annotations"]["kubernetes.io/ingress.class"]) => {
            said.push(
                "annotation \"kubernetes.io/ingress.class\" is deprecated, please use 'spec.ingressClassName' instead"
                    .to_owned(),
            );
        }
        _ => {}
    }
    said
}

fn is_standard(finalizer: &str) -> bool {
    matches!(finalizer, "orphan" | "foregroundDeletion")
}

fn holds_pem(data: &Value) -> bool {
    let decoded = STANDARD.decode(data.as_str().unwrap_or_default()).unwrap_or_default();
    String::from_utf8_lossy(&decoded).contains("-----BEGIN")
}
