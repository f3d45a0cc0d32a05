//! get, list and the start of a watch.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::{Answer, Call, Name};
use crate::kinds::Kind;
use crate::selector::{FieldSelector, LabelSelector};
use crate::server::{ApiServer, State};
use crate::status_error::{ApiError, Cause, Subject};
use crate::storage::{Stored, in_namespace};
use crate::view;
use crate::watch::{Filter, Start, Watch, WatchOptions};

pub(super) fn get(state: &State, kind: &Kind, name: &Name<'_>, call: &Call) -> Result<Answer, ApiError> {
    let representation = call.representation()?;
    version(call, "resourceVersion")?;
    let stored = state
        .storage
        .get(&kind.at, &name.key())
        .ok_or_else(|| ApiError::not_found(kind.resource_subject(name.name)))?;
    Ok(Answer::json(200, view::text(kind, &stored, representation)))
}

/// The selectors of a list, a watch or a deletecollection.
pub(super) fn filter(kind: &Kind, namespace: Option<&str>, call: &Call) -> Result<Filter, ApiError> {
    Ok(Filter {
        namespace: namespace.map(str::to_owned),
        labels: LabelSelector::parse(call.query.get("labelSelector").unwrap_or_default())?,
        fields: FieldSelector::parse(
            call.query.get("fieldSelector").unwrap_or_default(),
            kind.namespaced,
            &kind.selectable,
            kind.custom.is_some(),
        )?,
    })
}

pub(super) fn list(state: &mut State, kind: &Kind, namespace: Option<&str>, call: &Call) -> Result<Answer, ApiError> {
    let representation = call.representation()?;
    let filter = filter(kind, namespace, call)?;
    let limit = call.query.number::<usize>("limit")?.filter(|limit| *limit > 0);
    let wanted = wanted_version(state, call)?;
    let page = match call.query.get("continue") {
        Some(token) => Page::parse(token)?,
        None => Page { version: wanted, after: None },
    };
    let latest = state.storage.version();
    let (objects, version) = snapshot(state, kind, page.version, latest)?;
    let matching = in_namespace(&objects, namespace)
        .skip_while(|(key, _)| page.after.as_ref().is_some_and(|after| *key <= after))
        .filter(|(_, stored)| filter.matches(stored));
    let mut items: Vec<Arc<Stored>> = Vec::new();
    let mut last_key = None;
    let mut left = 0_usize;
    for (key, stored) in matching {
        if limit.is_some_and(|limit| items.len() == limit) {
            left += 1;
        } else {
            items.push(Arc::clone(stored));
            last_key = Some(key.clone());
        }
    }
    let mut metadata = json!({ "resourceVersion": version.to_string() });
    if kind.custom.is_some() {
        // A custom list is no Go struct: it says that it goes no further.
        metadata["continue"] = Value::from("");
    }
    if let (true, Some(after)) = (left > 0, last_key) {
        metadata["continue"] = Value::from(Page { version: Some(version), after: Some(after) }.token());
        if filter.labels.is_empty() && filter.fields.is_empty() {
            metadata["remainingItemCount"] = Value::from(left);
        }
    }
    Ok(Answer::json(200, view::list(kind, &items, &metadata, representation)))
}

/// The version that `resourceVersionMatch=Exact` asks for; any other request is
/// answered with the latest state, which is never older than what it accepts.
fn wanted_version(state: &State, call: &Call) -> Result<Option<u64>, ApiError> {
    let asked = version(call, "resourceVersion")
        .map_err(|error| ApiError::bad_request(format!("invalid resource version: {}", error.message)))?;
    let latest = state.storage.version();
    match (asked, call.query.get("resourceVersionMatch")) {
        (Some(asked), _) if asked > latest => Err(ApiError::too_new(asked, latest)),
        (Some(asked), Some("Exact")) if asked > 0 => Ok(Some(asked)),
        (Some(0), Some("Exact")) => Err(list_options_error(
            "resourceVersionMatch",
            "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"",
        )),
        (None, Some(_)) => Err(list_options_error(
            "resourceVersionMatch",
            "resourceVersionMatch is forbidden unless resourceVersion is provided",
        )),
        // A page of an older client: it means the same list from the start.
        _ => Ok(None),
    }
}

/// The objects at a version, or now.
fn snapshot(
    state: &mut State,
    kind: &Kind,
    version: Option<u64>,
    latest: u64,
) -> Result<(BTreeMap<String, Arc<Stored>>, u64), ApiError> {
    let collection = state.storage.collection(&kind.at);
    let Some(version) = version.filter(|version| *version != latest) else {
        return Ok((collection.objects().clone(), latest));
    };
    let objects = collection.at(version).ok_or_else(|| {
        ApiError::expired(
            "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.",
        )
    })?;
    Ok((objects, version))
}

/// Where a list goes on: after a key, as of a version.
struct Page {
    version: Option<u64>,
    after: Option<String>,
}

impl Page {
    fn token(&self) -> String {
        let token = json!({ "v": "meta.k8s.io/v1", "rv": self.version, "start": self.after });
        URL_SAFE_NO_PAD.encode(token.to_string())
    }

    fn parse(token: &str) -> Result<Self, ApiError> {
        let refused = || ApiError::bad_request("invalid continue token: continue key is not valid");
        let bytes = URL_SAFE_NO_PAD.decode(token.trim_end_matches('=')).map_err(|_| refused())?;
        let token: Value = serde_json::from_slice(&bytes).map_err(|_| refused())?;
        let after = token["start"].as_str().ok_or_else(refused)?.to_owned();
        let version = token["rv"].as_u64().ok_or_else(refused)?;
        Ok(Self { version: Some(version), after: Some(after) })
    }
}

/// A resourceVersion parameter.
fn version(call: &Call, key: &str) -> Result<Option<u64>, ApiError> {
    let Some(text) = call.query.get(key) else { return Ok(None) };
    text.parse().map(Some).map_err(|_| {
        ApiError::internal(format!(
            "{key}: Invalid value: {text:?}: strconv.ParseUint: parsing {text:?}: invalid syntax"
        ))
    })
}

fn list_options_error(field: &str, why: &str) -> ApiError {
    let subject = Subject { group: "meta.k8s.io", what: "ListOptions", name: "" };
    ApiError::invalid(subject, &[Cause::forbidden(field, why)])
}

pub(super) fn watch(
    server: &ApiServer,
    state: &mut State,
    kind: &Arc<Kind>,
    namespace: Option<&str>,
    call: &Call,
) -> Result<Answer, ApiError> {
    let filter = filter(kind, namespace, call)?;
    let asked = version(call, "resourceVersion")?.unwrap_or(0);
    let initial = call.query.get("sendInitialEvents").is_some().then(|| call.query.flag("sendInitialEvents"));
    if initial.is_some() && call.query.get("resourceVersionMatch") != Some("NotOlderThan") {
        return Err(list_options_error(
            "resourceVersionMatch",
            "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
        ));
    }
    if initial.is_none() && call.query.get("resourceVersionMatch").is_some() {
        return Err(list_options_error(
            "resourceVersionMatch",
            "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
        ));
    }
    let bookmarks = call.query.flag("allowWatchBookmarks");
    let start = match (initial, asked) {
        (Some(true), _) => Start::InitialEvents { marked: bookmarks },
        // From nowhere: what exists comes first, as additions.
        (None, 0) => Start::InitialEvents { marked: false },
        (Some(false), 0) => Start::Now,
        (_, asked) => Start::After(asked),
    };
    let options = WatchOptions {
        filter,
        start,
        bookmarks,
        timeout_seconds: call.query.number("timeoutSeconds")?.filter(|seconds| *seconds > 0),
        representation: call.representation()?,
    };
    let watch = Watch::start(server.clone(), state, Arc::clone(kind), options);
    Ok(Answer::Watch(Box::new(watch)))
}
