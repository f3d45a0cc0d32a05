//! What the server answers when it refuses: the `Status` object, word for word
//! as kube-apiserver writes it, because clients decide by its reason and causes.

use serde_json::{Map, Value, json};

use crate::schema::FieldError;

/// One field that was refused, as it appears in `details.causes`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cause {
    pub reason: &'static str,
    pub message: String,
    pub field: String,
}

impl From<FieldError> for Cause {
    fn from(error: FieldError) -> Self {
        Self { reason: error.reason, message: error.message, field: error.field }
    }
}

impl Cause {
    /// A value that is not allowed; `value` is quoted as the server quotes it.
    pub fn invalid(field: impl Into<String>, value: impl Into<Value>, detail: &str) -> Self {
        let value: Value = value.into();
        Self { reason: "FieldValueInvalid", message: format!("Invalid value: {value}: {detail}"), field: field.into() }
    }

    pub fn required(field: impl Into<String>, detail: &str) -> Self {
        let message = if detail.is_empty() { "Required value".to_owned() } else { format!("Required value: {detail}") };
        Self { reason: "FieldValueRequired", message, field: field.into() }
    }

    pub fn duplicate(field: impl Into<String>, value: impl Into<Value>) -> Self {
        let value: Value = value.into();
        Self { reason: "FieldValueDuplicate", message: format!("Duplicate value: {value}"), field: field.into() }
    }

    /// A reference that leads nowhere.
    pub fn not_found(field: impl Into<String>, value: impl Into<Value>) -> Self {
        let value: Value = value.into();
        Self { reason: "FieldValueNotFound", message: format!("Not found: {value}"), field: field.into() }
    }

    pub fn unsupported(field: impl Into<String>, value: &Value, supported: &[&str]) -> Self {
        let supported: Vec<String> = supported.iter().map(|one| format!("{one:?}")).collect();
        let message = format!("Unsupported value: {value}: supported values: {}", supported.join(", "));
        Self { reason: "FieldValueNotSupported", message, field: field.into() }
    }

    pub fn forbidden(field: impl Into<String>, detail: &str) -> Self {
        Self { reason: "FieldValueForbidden", message: format!("Forbidden: {detail}"), field: field.into() }
    }

    fn to_json(&self) -> Value {
        json!({ "reason": self.reason, "message": self.message, "field": self.field })
    }
}

/// The group and resource (or kind) and name that an error speaks of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub group: &'a str,
    /// A plural resource, or a kind where the server says the kind.
    pub what: &'a str,
    pub name: &'a str,
}

impl Subject<'_> {
    /// `sites.demo.dev`, or `configmaps` for the core group.
    fn qualified(&self) -> String {
        if self.group.is_empty() { self.what.to_owned() } else { format!("{}.{}", self.what, self.group) }
    }

    fn details(&self) -> Map<String, Value> {
        let fields = [("name", self.name), ("group", self.group), ("kind", self.what)];
        fields
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(key, value)| (key.to_owned(), Value::from(value)))
            .collect()
    }
}

/// A refused request.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct ApiError {
    pub code: u16,
    /// Empty where the server gives none.
    pub reason: &'static str,
    pub message: String,
    pub details: Option<Map<String, Value>>,
    /// Answered as bare text, not as a `Status`: a path that no API owns.
    pub plain: bool,
    /// What there is to say all the same.
    pub warnings: Vec<String>,
}

impl ApiError {
    fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), details: None, plain: false, warnings: Vec::new() }
    }

    fn with(mut self, details: Map<String, Value>) -> Self {
        self.details = Some(details);
        self
    }

    pub fn with_warnings(mut self, warnings: &[String]) -> Self {
        self.warnings.extend_from_slice(warnings);
        self
    }

    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    pub fn unauthorized() -> Self {
        Self::new(401, "Unauthorized", "Unauthorized")
    }

    /// An error that the server lets through unclassified.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(500, "", message)
    }

    /// An error that the server says to be its own.
    pub fn internal_error(why: &str) -> Self {
        let causes = Value::from(vec![json!({ "message": why })]);
        let details = Map::from_iter([("causes".to_owned(), causes)]);
        Self::new(500, "InternalError", format!("Internal error occurred: {why}")).with(details)
    }

    pub fn not_found(subject: Subject<'_>) -> Self {
        let message = format!("{} {:?} not found", subject.qualified(), subject.name);
        Self::new(404, "NotFound", message).with(subject.details())
    }

    /// A resource or subresource that the server does not have.
    pub fn no_such_resource() -> Self {
        Self::new(404, "NotFound", "the server could not find the requested resource").with(Map::new())
    }

    /// A path outside of every served group and version.
    pub fn no_such_path() -> Self {
        Self { plain: true, ..Self::new(404, "NotFound", "404 page not found") }
    }

    pub fn method_not_allowed() -> Self {
        let message = "the server does not allow this method on the requested resource";
        Self::new(405, "MethodNotAllowed", message).with(Map::new())
    }

    pub fn not_acceptable(message: impl Into<String>) -> Self {
        Self::new(406, "NotAcceptable", message)
    }

    /// A media type that no handler of the path has.
    pub fn no_representation(available: &[&str]) -> Self {
        let message = format!("406: Not Acceptable\n\nAvailable representations: {}", available.join(", "));
        Self::new(406, "NotAcceptable", message).with(Map::new())
    }

    pub fn unsupported_media_type(accepted: &[&str]) -> Self {
        let message = format!(
            "the body of the request was in an unknown format - accepted media types include: {}",
            accepted.join(", ")
        );
        Self::new(415, "UnsupportedMediaType", message)
    }

    /// A patch of no kind that there is.
    pub fn unknown_media_type() -> Self {
        Self::new(415, "UnsupportedMediaType", "415: Unsupported Media Type").with(Map::new())
    }

    pub fn too_large(limit_bytes: usize) -> Self {
        Self::new(413, "RequestEntityTooLarge", format!("Request entity too large: limit is {limit_bytes}"))
    }

    /// A request that took too long to arrive.
    pub fn timed_out() -> Self {
        let message = "Timeout: request did not complete within the allotted timeout";
        Self::new(504, "Timeout", message).with(Map::new())
    }

    /// `deleting`: what is there is on its way out.
    pub fn already_exists(subject: Subject<'_>, deleting: bool) -> Self {
        let prefix = if deleting { "object is being deleted: " } else { "" };
        let message = format!("{prefix}{} {:?} already exists", subject.qualified(), subject.name);
        Self::new(409, "AlreadyExists", message).with(subject.details())
    }

    pub fn conflict(subject: Subject<'_>, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {} {:?}: {why}", subject.qualified(), subject.name);
        Self::new(409, "Conflict", message).with(subject.details())
    }

    /// The optimistic lock: the object moved on since it was read.
    pub fn modified(subject: Subject<'_>) -> Self {
        Self::conflict(
            subject,
            "the object has been modified; please apply your changes to the latest version and try again",
        )
    }

    /// Fields that other managers hold; one cause for each (manager, field).
    pub fn field_conflicts<'a>(message: String, conflicts: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let causes: Vec<Value> = conflicts
            .map(|(manager, field)| {
                json!({ "reason": "FieldManagerConflict", "message": format!("conflict with {manager}"), "field": field })
            })
            .collect();
        let details = Map::from_iter([("causes".to_owned(), Value::from(causes))]);
        Self::new(409, "Conflict", message).with(details)
    }

    pub fn forbidden(subject: Subject<'_>, why: &str) -> Self {
        let message = format!("{} {:?} is forbidden: {why}", subject.qualified(), subject.name);
        Self::new(403, "Forbidden", message).with(subject.details())
    }

    pub fn namespace_terminating(subject: Subject<'_>, namespace: &str) -> Self {
        let why = format!("unable to create new content in namespace {namespace} because it is being terminated");
        let cause = Cause {
            reason: "NamespaceTerminating",
            message: format!("namespace {namespace} is being terminated"),
            field: "metadata.namespace".to_owned(),
        };
        let mut error = Self::forbidden(subject, &why);
        error.add_causes(&[cause]);
        error
    }

    /// An eviction that a disruption budget does not allow now.
    pub fn disruption_refused(why: &str) -> Self {
        let message = "Cannot evict pod as it would violate the pod's disruption budget.";
        let causes = json!([{ "reason": "DisruptionBudget", "message": why }]);
        let details = [("causes".to_owned(), causes), ("retryAfterSeconds".to_owned(), Value::from(10))];
        Self::new(429, "TooManyRequests", message).with(Map::from_iter(details))
    }

    /// Refused fields; `subject.what` is the kind.
    pub fn invalid(subject: Subject<'_>, causes: &[Cause]) -> Self {
        // The server lists each distinct failure once in the message and every one in the causes.
        let mut lines: Vec<String> = Vec::with_capacity(causes.len());
        for cause in causes {
            let line = format!("{}: {}", cause.field, cause.message);
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
        let why = match lines.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let message = format!("{} {:?} is invalid: {why}", subject.qualified(), subject.name);
        let mut error = Self::new(422, "Invalid", message).with(subject.details());
        error.add_causes(causes);
        error
    }

    /// A JSON patch that does not apply.
    pub fn patch_failed() -> Self {
        let message = "the server rejected our request due to an error in our request";
        Self::new(422, "Invalid", message).with(Map::new())
    }

    /// History is gone: the client must list again.
    pub fn expired(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message)
    }

    /// A resourceVersion that this server has not reached.
    pub fn too_new(asked: u64, current: u64) -> Self {
        let message = format!("Timeout: Too large resource version: {asked}, current: {current}");
        let details = json!({
            "causes": [{ "reason": "ResourceVersionTooLarge", "message": "Too large resource version" }],
            "retryAfterSeconds": 1,
        });
        let Value::Object(details) = details else { unreachable!("a literal object") };
        Self::new(504, "Timeout", message).with(details)
    }

    fn add_causes(&mut self, causes: &[Cause]) {
        let causes: Vec<Value> = causes.iter().map(Cause::to_json).collect();
        self.details.get_or_insert_default().insert("causes".to_owned(), Value::from(causes));
    }

    /// The `Status` object.
    pub fn to_status(&self) -> Value {
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "code": self.code,
        });
        if !self.reason.is_empty() {
            status["reason"] = Value::from(self.reason);
        }
        if let Some(details) = &self.details {
            status["details"] = Value::Object(details.clone());
        }
        status
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invalid_field_reads_as_kube_apiserver_writes_it() {
        let subject = Subject { group: "demo.dev", what: "Site", name: "b" };
        let error = ApiError::invalid(subject, &[Cause::required("spec.image", "")]);
        let expected = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": "Site.demo.dev \"b\" is invalid: spec.image: Required value",
            "reason": "Invalid", "code": 422,
            "details": { "name": "b", "group": "demo.dev", "kind": "Site", "causes": [
                { "reason": "FieldValueRequired", "message": "Required value", "field": "spec.image" }] },
        });
        assert_eq!(error.to_status(), expected);
    }

    #[test]
    fn a_failure_reported_twice_is_said_once_and_listed_twice() {
        let subject = Subject { group: "", what: "ConfigMap", name: "a" };
        let cause = Cause::invalid("metadata.uid", "xx", "field is immutable");
        let status = ApiError::invalid(subject, &[cause.clone(), cause]).to_status();
        assert_eq!(
            status["message"],
            "ConfigMap \"a\" is invalid: metadata.uid: Invalid value: \"xx\": field is immutable"
        );
        assert_eq!(status["details"]["causes"].as_array().map(Vec::len), Some(2));
    }
}
