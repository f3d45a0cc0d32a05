//! What a list or a watch may be asked with, and which of these do not go
//! together.

use super::Call;
use crate::request::Query;
use crate::status_error::{ApiError, Cause, Subject};

const MATCH: &str = "resourceVersionMatch";

/// The query parameters of a list or a watch.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ListOptions {
    /// None where all are wanted.
    pub limit: Option<usize>,
    pub continues: Option<String>,
    /// None where none is given, which is not the same as 0.
    pub version: Option<u64>,
    pub version_match: Option<Match>,
    /// Of a watch: what exists comes first.
    pub initial_events: bool,
    pub bookmarks: bool,
    pub timeout_seconds: Option<u64>,
}

/// Which version a list may be of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Match {
    Exact,
    NotOlderThan,
}

impl ListOptions {
    pub fn parse(call: &Call, watch: bool) -> Result<Self, ApiError> {
        let query = &call.query;
        let limit: Option<i64> = query.number("limit")?;
        let timeout_seconds: Option<i64> = query.number("timeoutSeconds")?;
        let causes = if watch { watch_causes(query) } else { list_causes(query) };
        if !causes.is_empty() {
            let subject = Subject { group: "meta.k8s.io", what: "ListOptions", name: "" };
            return Err(ApiError::invalid(subject, &causes));
        }
        let version = version(query).map_err(|error| match watch {
            true => error,
            false => ApiError::bad_request(format!("invalid resource version: {}", error.message)),
        })?;
        let from_nothing = version.unwrap_or_default() == 0;
        let asked = query.get("sendInitialEvents").map(|_| query.flag("sendInitialEvents"));
        Ok(Self {
            limit: limit.and_then(|limit| usize::try_from(limit).ok()).filter(|limit| *limit > 0),
            continues: query.get("continue").map(str::to_owned),
            version,
            version_match: match query.get(MATCH) {
                Some("Exact") => Some(Match::Exact),
                Some(_) => Some(Match::NotOlderThan),
                None => None,
            },
            initial_events: asked.unwrap_or(from_nothing),
            bookmarks: query.flag("allowWatchBookmarks"),
            timeout_seconds: timeout_seconds.and_then(|seconds| u64::try_from(seconds).ok()).filter(|it| *it > 0),
        })
    }
}

/// The version that a get, a list or a watch asks for.
pub(super) fn version(query: &Query) -> Result<Option<u64>, ApiError> {
    let key = "resourceVersion";
    let Some(text) = query.get(key) else { return Ok(None) };
    text.parse().map(Some).map_err(|_| {
        ApiError::internal(format!(
            "{key}: Invalid value: {text:?}: strconv.ParseUint: parsing {text:?}: invalid syntax"
        ))
    })
}

fn unsupported(found: &str, supported: &str) -> Cause {
    let message = format!("Unsupported value: {found:?}: supported values: {supported}");
    Cause { reason: "FieldValueNotSupported", message, field: MATCH.to_owned() }
}

fn list_causes(query: &Query) -> Vec<Cause> {
    let mut causes = Vec::new();
    let asked = query.get("resourceVersion");
    if let Some(found) = query.get(MATCH) {
        if asked.is_none() {
            causes
                .push(Cause::forbidden(MATCH, "resourceVersionMatch is forbidden unless resourceVersion is provided"));
        }
        if query.get("continue").is_some() {
            causes.push(Cause::forbidden(MATCH, "resourceVersionMatch is forbidden when continue is provided"));
        }
        match found {
            "Exact" if asked == Some("0") => causes
                .push(Cause::forbidden(MATCH, "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"")),
            "Exact" | "NotOlderThan" => {}
            _ => causes.push(unsupported(found, "\"Exact\", \"NotOlderThan\", \"\"")),
        }
    }
    if query.get("sendInitialEvents").is_some() {
        causes.push(Cause::forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"));
    }
    causes
}

fn watch_causes(query: &Query) -> Vec<Cause> {
    let mut causes = Vec::new();
    let found = query.get(MATCH);
    if query.get("sendInitialEvents").is_some() {
        if found != Some("NotOlderThan") {
            let why = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
            causes.push(Cause::forbidden(MATCH, why));
        }
    } else if found.is_some() {
        let why = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided";
        causes.push(Cause::forbidden(MATCH, why));
    }
    if let Some(found) = found.filter(|found| *found != "NotOlderThan") {
        causes.push(unsupported(found, "\"NotOlderThan\""));
    }
    if query.get("continue").is_some() {
        causes.push(Cause::forbidden(MATCH, "resourceVersionMatch is forbidden when continue is provided"));
    }
    causes
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::Method;

    use super::*;
    use crate::accept::Accept;
    use crate::view::Representation;

    fn parse(query: &str, watch: bool) -> Result<ListOptions, ApiError> {
        let call = Call {
            method: Method::GET,
            query: Query::parse(query),
            content_type: String::new(),
            accept: Accept::default(),
            representation: Representation::Whole,
            if_none_match: String::new(),
            agent: String::new(),
            body: Bytes::new(),
        };
        ListOptions::parse(&call, watch)
    }

    #[test]
    fn a_watch_from_nothing_begins_with_what_exists() {
        assert!(parse("watch=1", true).unwrap().initial_events);
        assert!(parse("watch=1&resourceVersion=0", true).unwrap().initial_events);
        assert!(!parse("watch=1&resourceVersion=7", true).unwrap().initial_events);
        let asked = "watch=1&sendInitialEvents=false&resourceVersionMatch=NotOlderThan";
        assert!(!parse(asked, true).unwrap().initial_events);
    }

    #[test]
    fn a_limit_below_one_is_none() {
        assert_eq!(parse("limit=-1", false).unwrap().limit, None);
        assert_eq!(parse("limit=0", false).unwrap().limit, None);
        assert_eq!(parse("limit=x", false).unwrap_err().code, 400);
        assert_eq!(parse("timeoutSeconds=x", false).unwrap_err().code, 400);
    }

    #[test]
    fn what_does_not_go_together_is_refused_with_every_cause() {
        for (query, watch, causes) in [
            ("resourceVersionMatch=Exact", false, 1),
            ("resourceVersionMatch=Nope", false, 2),
            ("resourceVersion=0&resourceVersionMatch=Exact", false, 1),
            ("resourceVersion=5&resourceVersionMatch=Exact&continue=x", false, 1),
            ("sendInitialEvents=true", false, 1),
            ("sendInitialEvents=true", true, 1),
            ("sendInitialEvents=true&resourceVersionMatch=Exact", true, 2),
            ("resourceVersionMatch=NotOlderThan", true, 1),
        ] {
            let error = parse(query, watch).unwrap_err();
            let found = error.details.unwrap()["causes"].as_array().unwrap().len();
            assert_eq!((error.code, found), (422, causes), "{query}");
        }
    }
}
