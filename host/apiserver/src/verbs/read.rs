//! get, list and the start of a watch.

use std::borrow::Cow;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::list_options::{self, ListOptions, Match};
use super::{Answer, Call, Name};
use crate::field_selector::FieldSelector;
use crate::kinds::Kind;
use crate::selector::LabelSelector;
use crate::server::{ApiServer, State};
use crate::status_error::ApiError;
use crate::storage::{Objects, Stored, in_namespace};
use crate::view::{self, Representation};
use crate::watch::{Filter, Start, Watch, WatchOptions};

pub(super) fn get(state: &State, kind: &Kind, name: &Name<'_>, call: &Call) -> Result<Answer, ApiError> {
    let asked = list_options::version(&call.query)?.unwrap_or_default();
    if asked > state.storage.version() {
        return Err(ApiError::too_new(asked, state.storage.version()));
    }
    let stored = state
        .storage
        .get(kind.place(), &name.key())
        .ok_or_else(|| ApiError::not_found(kind.resource_subject(name.name)))?;
    Ok(Answer::json(200, view::text(kind, &stored, call.representation, state.now)))
}

/// The selectors of a list, a watch or a deletecollection.
pub(super) fn filter(kind: &Kind, namespace: Option<&str>, call: &Call) -> Result<Filter, ApiError> {
    Ok(Filter {
        namespace: namespace.map(str::to_owned),
        labels: LabelSelector::parse(call.query.get("labelSelector").unwrap_or_default())?,
        fields: FieldSelector::parse(call.query.get("fieldSelector").unwrap_or_default(), kind)?,
    })
}

pub(super) fn list(state: &mut State, kind: &Kind, namespace: Option<&str>, call: &Call) -> Result<Answer, ApiError> {
    let options = ListOptions::parse(call, false)?;
    let filter = filter(kind, namespace, call)?;
    let latest = state.storage.version();
    let now = state.now;
    let page = Page::of(&options, latest)?;
    let (objects, version) = snapshot(state, kind, page.version, latest)?;
    let rest = in_namespace(&objects, namespace)
        .skip_while(|stored| page.after.as_deref().is_some_and(|after| *stored.key <= *after));
    let mut items: Vec<Arc<Stored>> = Vec::new();
    // A full page is not the last if anything is left, whether it matches or not.
    let mut left = 0_usize;
    for stored in rest {
        if page.limit.is_some_and(|limit| items.len() == limit) {
            left += usize::from(!filter.fields.is_one_name());
        } else if filter.matches(stored) {
            items.push(Arc::clone(stored));
        }
    }
    let mut metadata = json!({ "resourceVersion": version.to_string() });
    if kind.custom.is_some() && call.representation == Representation::Whole {
        // A custom list is no Go struct: it says that it goes no further.
        metadata["continue"] = Value::from("");
    }
    if let (true, Some(last)) = (left > 0, items.last()) {
        metadata["continue"] = Value::from(token(version, &last.key));
        if filter.labels.is_empty() && filter.fields.is_empty() {
            metadata["remainingItemCount"] = Value::from(left);
        }
    }
    Ok(Answer::json(200, view::list(kind, &items, &metadata, call.representation, now)))
}

/// The objects at a version, or now; copied only where they are of old.
#[allow(clippy::mutable_key_type, reason = "the keys of objects do not change")]
fn snapshot<'a>(
    state: &'a mut State,
    kind: &Kind,
    version: Option<u64>,
    latest: u64,
) -> Result<(Cow<'a, Objects>, u64), ApiError> {
    let collection = state.storage.collection(kind.place());
    let Some(version) = version.filter(|version| *version != latest) else {
        return Ok((Cow::Borrowed(collection.objects()), latest));
    };
    let objects = collection.at(version).ok_or_else(|| {
        ApiError::expired(
            "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.",
        )
    })?;
    Ok((Cow::Owned(objects), version))
}

/// What part of a list is wanted, and as of when.
struct Page {
    /// None for now.
    version: Option<u64>,
    /// After this key.
    after: Option<String>,
    limit: Option<usize>,
}

impl Page {
    fn of(options: &ListOptions, latest: u64) -> Result<Self, ApiError> {
        if let Some(token) = &options.continues {
            let (version, after) = parse_token(token)?;
            if options.version.unwrap_or_default() > 0 {
                return Err(ApiError::bad_request("specifying resource version is not allowed when using continue"));
            }
            return Ok(Self { version: Some(version), after: Some(after), limit: options.limit });
        }
        let asked = options.version.unwrap_or_default();
        if asked > latest {
            return Err(ApiError::too_new(asked, latest));
        }
        // A page of a version that is named without a rule is of that version.
        let exact = options.version_match == Some(Match::Exact)
            || (options.version_match.is_none() && options.limit.is_some() && asked > 0);
        // Version 0 asks for the cache, which has no pages.
        let from_cache = options.version == Some(0) && options.version_match.is_none();
        Ok(Self { version: exact.then_some(asked), after: None, limit: options.limit.filter(|_| !from_cache) })
    }
}

/// From where a list goes on: a key, as of a version.
fn token(version: u64, after: &str) -> String {
    URL_SAFE_NO_PAD.encode(json!({ "v": "meta.k8s.io/v1", "rv": version, "start": after }).to_string())
}

fn parse_token(token: &str) -> Result<(u64, String), ApiError> {
    let refused = || ApiError::bad_request("invalid continue token: continue key is not valid");
    let bytes = URL_SAFE_NO_PAD.decode(token.trim_end_matches('=')).map_err(|_| refused())?;
    if let Some(first) = bytes.first().filter(|first| **first != b'{') {
        let first = char::from(*first);
        return Err(ApiError::bad_request(format!(
            "invalid continue token: continue key is not valid: invalid character {first:?} looking for beginning of value"
        )));
    }
    let token: Value = serde_json::from_slice(&bytes).map_err(|_| refused())?;
    let after = token["start"].as_str().ok_or_else(refused)?.to_owned();
    Ok((token["rv"].as_u64().ok_or_else(refused)?, after))
}

pub(super) fn watch(
    server: &ApiServer,
    state: &mut State,
    kind: &Arc<Kind>,
    namespace: Option<&str>,
    name: Option<&str>,
    call: &Call,
) -> Result<Answer, ApiError> {
    if call.accept.prefers_yaml() {
        return Err(ApiError::not_acceptable(
            "only the following media types are accepted: application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch",
        ));
    }
    let options = ListOptions::parse(call, true)?;
    let asked = options.version.unwrap_or_default();
    let start = match (options.initial_events, asked) {
        (true, asked) => Start::InitialEvents { at_least: asked },
        (false, 0) => Start::Now,
        (false, asked) => Start::After(asked),
    };
    let mut filter = filter(kind, namespace, call)?;
    if let Some(name) = name {
        filter.fields.add_name(name);
    }
    let options = WatchOptions {
        filter,
        start,
        bookmarks: options.bookmarks,
        timeout_seconds: options.timeout_seconds,
        representation: call.representation,
    };
    Ok(Answer::Watch(Box::new(Watch::start(server.clone(), state, Arc::clone(kind), options))))
}
