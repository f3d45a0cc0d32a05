//! Questions that are asked by creating an object which nobody stores: may
//! this be done, and who is asking. Here there is one user, who may do all.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::kinds::{GroupResource, Kind};
use crate::schema::Schema;
use crate::server::State;
use crate::status_error::{ApiError, Cause, Subject};
use crate::verbs::{Answer, Call};

const AUTHORIZATION: &str = "authorization.k8s.io";
const AUTHENTICATION: &str = "authentication.k8s.io";

/// Group, kind, whether it is asked within a namespace.
const REVIEWS: [(&str, &str, bool); 5] = [
    (AUTHENTICATION, "SelfSubjectReview", false),
    (AUTHORIZATION, "LocalSubjectAccessReview", true),
    (AUTHORIZATION, "SelfSubjectAccessReview", false),
    (AUTHORIZATION, "SelfSubjectRulesReview", false),
    (AUTHORIZATION, "SubjectAccessReview", false),
];

/// The kinds of these questions, as discovery lists them.
pub(crate) fn kinds() -> Vec<Kind> {
    let anything = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
    let schema = Arc::new(Schema::from_crd(&anything).expect("the schema above is one"));
    let kind = |(group, kind, namespaced): (&str, &str, bool)| {
        let singular = kind.to_lowercase();
        Kind {
            id: 0,
            at: GroupResource::new(group, &format!("{singular}s")),
            version: "v1".to_owned(),
            kind: kind.to_owned(),
            list_kind: format!("{kind}List"),
            singular,
            short_names: Vec::new(),
            categories: Vec::new(),
            namespaced,
            verbs: vec!["create".to_owned()],
            status: false,
            scale: None,
            actions: Vec::new(),
            counts_generation: false,
            schema: Arc::clone(&schema),
            selectable: Vec::new(),
            custom: None,
            builtin: None,
            deprecation: None,
            stored_at: None,
        }
    };
    REVIEWS.into_iter().map(kind).collect()
}

/// Answers a question.
pub(crate) fn create(state: &State, kind: &Kind, call: &Call) -> Result<Answer, ApiError> {
    let asked: Value = serde_json::from_slice(&call.body)
        .map_err(|error| ApiError::bad_request(format!("the {} is not readable: {error}", kind.kind)))?;
    let spec = &asked["spec"];
    let mut metadata = asked["metadata"].as_object().cloned().unwrap_or_default();
    let status = match kind.kind.as_str() {
        "SelfSubjectReview" => {
            metadata = Map::from_iter([("creationTimestamp".to_owned(), Value::from(state.now_text()))]);
            let user = json!({ "username": "admin", "groups": ["system:masters", "system:authenticated"] });
            json!({ "userInfo": user })
        }
        "SelfSubjectRulesReview" => {
            if spec["namespace"].as_str().unwrap_or_default().is_empty() {
                return Err(ApiError::bad_request("no namespace on request"));
            }
            json!({
                "resourceRules": [{ "verbs": ["*"], "apiGroups": ["*"], "resources": ["*"] }],
                "nonResourceRules": [{ "verbs": ["*"], "nonResourceURLs": ["*"] }],
                "incomplete": false,
            })
        }
        _ => {
            check_attributes(kind, spec)?;
            json!({ "allowed": true })
        }
    };
    let spec = if spec.is_null() || kind.kind == "SelfSubjectRulesReview" { json!({}) } else { spec.clone() };
    let answer = json!({
        "kind": kind.kind, "apiVersion": kind.api_version(), "metadata": metadata, "spec": spec, "status": status,
    });
    Answer::object(call, 201, &answer)
}

/// What is asked about is one thing, and for others it is said who.
fn check_attributes(kind: &Kind, spec: &Value) -> Result<(), ApiError> {
    let (resource, path) = (spec.get("resourceAttributes"), spec.get("nonResourceAttributes"));
    let cause = match (resource, path) {
        (None, None) => Some(Cause::invalid(
            "spec.resourceAttributes",
            Value::Null,
            "exactly one of nonResourceAttributes or resourceAttributes must be specified",
        )),
        (Some(_), Some(path)) => Some(Cause::invalid(
            "spec.nonResourceAttributes",
            path.clone(),
            "cannot be specified in combination with resourceAttributes",
        )),
        _ if kind.kind != "SelfSubjectAccessReview" && spec["user"].is_null() && spec["groups"].is_null() => {
            Some(Cause::invalid("spec.user", "", "at least one of user or group must be specified"))
        }
        _ => None,
    };
    let subject = Subject { group: &kind.at.group, what: "", name: "" };
    cause.map_or(Ok(()), |cause| Err(ApiError::invalid(subject, &[cause])))
}
