//! What an API server's refusal means and what to do about it. One place
//! decides which failures are retried, waited for, reported or passed over, so
//! that none of them can loop.

use std::{fmt, time::Duration};

use serde::Deserialize;

use crate::write::Action;

/// Longest message that is kept: servers quote whole objects in them.
const MESSAGE_BYTES_MAX: usize = 1024;
/// Longest Retry-After that is obeyed: more would be an outage by one header.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(300);
/// The wait after a 429 that names none: a server that sheds load asks for 1 s.
const RETRY_AFTER_DEFAULT: Duration = Duration::from_secs(1);

/// A failed request, as the server described it (`meta/v1.Status`).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} ({code}{})", Reason(.reason))]
pub struct ApiError {
    /// The HTTP status.
    pub code: u16,
    /// The machine-readable reason; empty where the server gives none.
    pub reason: String,
    /// For people.
    pub message: String,
    /// What exactly was wrong.
    pub causes: Vec<Cause>,
    /// The resource or kind that it is about, where the server says.
    pub about_kind: String,
    /// The object that it is about, where the server says.
    pub about_name: String,
    /// When to come back, where the server says.
    pub retry_after: Option<Duration>,
}

/// One entry of `details.causes`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct Cause {
    /// `FieldValueInvalid`, `NamespaceTerminating`, …
    pub reason: String,
    /// For people.
    pub message: String,
    /// The path of a field.
    pub field: String,
}

/// What was being done when the server refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doing {
    /// A get, list or watch.
    Read,
    /// [`Action::Create`]
    Create,
    /// [`Action::Apply`]
    Apply,
    /// [`Action::Delete`]
    Delete,
    /// [`Action::Status`]
    Status,
    /// [`Action::Metadata`]
    Metadata,
}

impl From<&Action> for Doing {
    fn from(action: &Action) -> Self {
        match action {
            Action::Create { .. } => Self::Create,
            Action::Apply { .. } => Self::Apply,
            Action::Delete { .. } => Self::Delete,
            Action::Status { .. } | Action::ClearStatus { .. } => Self::Status,
            Action::Metadata { .. } => Self::Metadata,
        }
    }
}

/// What a refusal means for who asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The object has changed since it was looked at: look again.
    Stale,
    /// The object is not there (any more).
    Gone,
    /// The server does not serve the kind, or the namespace is missing: wait
    /// for discovery, retry slowly.
    Missing,
    /// 401, 403: whoever grants permissions has to act. Retried slowly.
    Forbidden,
    /// Its namespace is going: nothing is to be done and nobody to be told.
    Terminating,
    /// The object is being deleted and takes no finalizer: nothing to do.
    TooLate,
    /// A field that cannot change: in vain until the input changes, unless the
    /// policy says to make the object anew.
    Immutable,
    /// Refused for what it says: in vain until the input changes.
    Invalid,
    /// The resource version is too old for a watch or a list: list anew.
    Expired,
    /// Come back, not before so long.
    Busy(Duration),
    /// Another manager has set a field, and it is not to be taken from it: in vain
    /// until the object changes.
    Taken,
    /// Anything else, as a crash, a time-out or a webhook's refusal: with a
    /// growing delay.
    Retry,
}

impl ApiError {
    /// Reads an answer with an error status. `retry_after` is the header.
    pub fn read(code: u16, retry_after: Option<&str>, body: &[u8]) -> Self {
        let status = serde_json::from_slice::<Status>(body).unwrap_or_else(|_| Status {
            message: String::from_utf8_lossy(body).trim().to_owned(),
            ..Status::default()
        });
        let header = retry_after.and_then(|seconds| seconds.trim().parse().ok());
        let details = status.details.unwrap_or_default();
        let seconds = header.or((details.retry_after_seconds > 0).then_some(details.retry_after_seconds));
        Self {
            code,
            reason: status.reason,
            message: shortened(status.message, code),
            causes: details.causes,
            about_kind: details.kind,
            about_name: details.name,
            retry_after: seconds.map(|seconds| Duration::from_secs(seconds).min(RETRY_AFTER_MAX)),
        }
    }

    /// What it means for who was `doing` that.
    pub fn class(&self, doing: Doing) -> Class {
        match self.code {
            401 => Class::Forbidden,
            403 if self.has_cause("NamespaceTerminating") => Class::Terminating,
            403 => Class::Forbidden,
            404 if doing != Doing::Create && self.is_about_an_object() => Class::Gone,
            404 => Class::Missing,
            409 if doing == Doing::Status && self.has_cause("FieldManagerConflict") => Class::Taken,
            409 => Class::Stale,
            410 => Class::Expired,
            422 => self.unprocessable(doing),
            429 => Class::Busy(self.retry_after.unwrap_or(RETRY_AFTER_DEFAULT)),
            400 | 405 | 406 | 413 | 415 => {
                if self.is_denied() {
                    Class::Retry
                } else {
                    Class::Invalid
                }
            }
            // An intent that its kind's schema cannot hold, such as two entries
            // of one key in a list, comes as an internal error.
            500 if self.message.contains("failed to create typed patch object") => Class::Invalid,
            _ => self.retry_after.map_or(Class::Retry, Class::Busy),
        }
    }

    fn unprocessable(&self, doing: Doing) -> Class {
        let about = |field: &str| self.causes.iter().any(|cause| cause.field == field);
        if self.is_denied() {
            Class::Retry
        } else if about("metadata.uid") {
            // An object of that name has taken the place of the one that was seen.
            Class::Stale
        } else if doing == Doing::Metadata && about("metadata.finalizers") {
            Class::TooLate
        } else if matches!(doing, Doing::Apply) && self.causes.iter().any(Cause::is_immutability) {
            Class::Immutable
        } else {
            Class::Invalid
        }
    }

    /// Whether it is an object that is not found, not its namespace or its kind.
    fn is_about_an_object(&self) -> bool {
        !self.about_name.is_empty() && self.about_kind != "namespaces"
    }

    /// Whether an admission webhook or policy refused: what they refuse depends
    /// on more than the request.
    fn is_denied(&self) -> bool {
        let denied = |message: &str| message.contains("denied the request") || message.contains("denied request");
        denied(&self.message) || self.causes.iter().any(|cause| denied(&cause.message))
    }

    fn has_cause(&self, reason: &str) -> bool {
        self.causes.iter().any(|cause| cause.reason == reason)
    }
}

impl Cause {
    /// Whether it says that a field cannot change. There is no reason code for
    /// that; these are the words of Kubernetes' own kinds.
    fn is_immutability(&self) -> bool {
        ["immutable", "may not change", "cannot change", "fields other than"]
            .iter()
            .any(|words| self.message.contains(words))
    }
}

impl Class {
    /// Whether trying again is in vain until the object or the plugin changes.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Immutable | Self::Invalid | Self::Taken)
    }

    /// Whether nobody needs to hear of it.
    pub fn is_quiet(self) -> bool {
        matches!(self, Self::Stale | Self::Gone | Self::Terminating | Self::TooLate)
    }

    /// The word that metrics use: one for each class, whatever it carries.
    pub fn word(self) -> &'static str {
        match self {
            Self::Stale => "Stale",
            Self::Gone => "Gone",
            Self::Missing => "Missing",
            Self::Forbidden => "Forbidden",
            Self::Terminating => "Terminating",
            Self::TooLate => "TooLate",
            Self::Immutable => "Immutable",
            Self::Invalid => "Invalid",
            Self::Expired => "Expired",
            Self::Busy(_) => "Busy",
            Self::Taken => "Taken",
            Self::Retry => "Retry",
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Status {
    reason: String,
    message: String,
    details: Option<Details>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Details {
    name: String,
    kind: String,
    causes: Vec<Cause>,
    retry_after_seconds: u64,
}

struct Reason<'a>(&'a str);

impl fmt::Display for Reason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, " {}", self.0) }
    }
}

fn shortened(mut message: String, code: u16) -> String {
    if message.is_empty() {
        return format!("the server answered {code} and gave no reason");
    }
    if message.len() > MESSAGE_BYTES_MAX {
        message.truncate(message.floor_char_boundary(MESSAGE_BYTES_MAX));
        message.push('…');
    }
    message
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn class(code: u16, doing: Doing, message: &str, causes: serde_json::Value) -> Class {
        let body =
            json!({"kind": "Status", "message": message, "details": {"causes": causes, "name": "d", "kind": "x"}});
        ApiError::read(code, None, body.to_string().as_bytes()).class(doing)
    }

    #[test]
    fn each_refusal_gets_what_it_deserves() {
        let none = json!([]);
        let immutable = json!([{"reason": "FieldValueInvalid", "message": "Invalid value: {}: field is immutable", "field": "spec.selector"}]);
        let uid = json!([{"reason": "FieldValueInvalid", "message": "Invalid value: \"z\": field is immutable", "field": "metadata.uid"}]);
        let finalizers = json!([{"reason": "FieldValueForbidden", "field": "metadata.finalizers",
            "message": "Forbidden: no new finalizers can be added if the object is being deleted"}]);
        let managed =
            json!([{"reason": "FieldManagerConflict", "message": "conflict with \"m\"", "field": ".status.a"}]);
        let terminating = json!([{"reason": "NamespaceTerminating", "message": "is being terminated"}]);
        let cases = [
            (401, Doing::Apply, "Unauthorized", &none, Class::Forbidden),
            (403, Doing::Apply, "forbidden", &none, Class::Forbidden),
            (403, Doing::Create, "forbidden", &terminating, Class::Terminating),
            (404, Doing::Delete, "not found", &none, Class::Gone),
            (409, Doing::Apply, "the object has been modified", &none, Class::Stale),
            (409, Doing::Status, "Apply failed with 1 conflict", &managed, Class::Taken),
            (410, Doing::Read, "too old", &none, Class::Expired),
            (422, Doing::Apply, "is invalid", &immutable, Class::Immutable),
            (422, Doing::Create, "is invalid", &immutable, Class::Invalid),
            (422, Doing::Apply, "is invalid", &uid, Class::Stale),
            (422, Doing::Metadata, "is invalid", &finalizers, Class::TooLate),
            (422, Doing::Apply, "is invalid", &none, Class::Invalid),
            (
                422,
                Doing::Apply,
                "ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no",
                &none,
                Class::Retry,
            ),
            (400, Doing::Apply, "admission webhook \"w\" denied the request: no", &none, Class::Retry),
            (400, Doing::Apply, "bad request", &none, Class::Invalid),
            (429, Doing::Apply, "too many", &none, Class::Busy(Duration::from_secs(1))),
            (500, Doing::Apply, "failed to create typed patch object (/d): duplicate entries", &none, Class::Invalid),
            (500, Doing::Apply, "etcdserver: request timed out", &none, Class::Retry),
            (503, Doing::Apply, "unavailable", &none, Class::Retry),
        ];
        for (code, doing, message, causes, expected) in cases {
            assert_eq!(class(code, doing, message, causes.clone()), expected, "{code} {doing:?} {message}");
        }
    }

    #[test]
    fn a_missing_kind_or_namespace_is_no_missing_object() {
        let unserved = ApiError::read(404, None, b"404 page not found\n");
        assert_eq!(unserved.class(Doing::Delete), Class::Missing);
        assert_eq!(unserved.to_string(), "404 page not found (404)");
        let body = json!({"message": "namespaces \"n\" not found", "details": {"name": "n", "kind": "namespaces"}});
        let namespace = ApiError::read(404, None, body.to_string().as_bytes());
        assert_eq!(namespace.class(Doing::Apply), Class::Missing);
    }

    #[test]
    fn retry_after_is_obeyed_from_header_or_body_but_not_for_ever() {
        let busy = |header, body: &[u8]| ApiError::read(429, header, body).class(Doing::Apply);
        assert_eq!(busy(Some("7"), b"{}"), Class::Busy(Duration::from_secs(7)));
        assert_eq!(busy(None, br#"{"details":{"retryAfterSeconds":3}}"#), Class::Busy(Duration::from_secs(3)));
        assert_eq!(busy(Some("99999999"), b""), Class::Busy(RETRY_AFTER_MAX));
        let unavailable = ApiError::read(503, Some("2"), b"").class(Doing::Apply);
        assert_eq!(unavailable, Class::Busy(Duration::from_secs(2)));
    }

    #[test]
    fn a_message_that_quotes_the_whole_object_is_cut_between_characters() {
        let error = ApiError::read(500, None, "é".repeat(5000).as_bytes());
        assert!(error.message.len() <= MESSAGE_BYTES_MAX + '…'.len_utf8());
        assert_eq!(ApiError::read(502, None, b"").to_string(), "the server answered 502 and gave no reason (502)");
    }
}
