//! The four patches: JSON, merge, strategic merge, and server-side apply.

use std::sync::Arc;

use serde_json::Value;

use super::update::Change;
use super::writing::{self, Author};
use super::{Answer, Call, Name, WriteOptions, create};
use crate::builtin_rules;
use crate::kinds::Kind;
use crate::managed::{self, ApplyError};
use crate::meta;
use crate::patch;
use crate::server::State;
use crate::status_error::{ApiError, Cause, Subject};

const STRATEGIC: &str = "application/strategic-merge-patch+json";

pub(super) fn patch(
    state: &mut State,
    kind: &Arc<Kind>,
    name: &Name<'_>,
    subresource: Option<&str>,
    call: &Call,
) -> Result<Answer, ApiError> {
    let options = WriteOptions::parse(call, "PatchOptions")?;
    match call.content_type.as_str() {
        "application/apply-patch+yaml" => apply(state, kind, name, subresource, call, &options),
        "application/json-patch+json" => {
            let patch = patch::json_operations(&call.body)?;
            modify(state, kind, name, subresource, call, &options, |live| patch::json(live, &patch))
        }
        "application/merge-patch+json" => {
            let patch = body(call)?;
            modify(state, kind, name, subresource, call, &options, |live| {
                json_patch::merge(live, &patch);
                Ok(())
            })
        }
        STRATEGIC if kind.builtin.is_some() => {
            let patch = body(call)?;
            modify(state, kind, name, subresource, call, &options, |live| {
                patch::strategic(live, &patch, kind.builtin.as_ref())
            })
        }
        _ => Err(unsupported(kind)),
    }
}

fn unsupported(kind: &Kind) -> ApiError {
    if kind.builtin.is_some() {
        return ApiError::unknown_media_type();
    }
    ApiError::unsupported_media_type(&[
        "application/json-patch+json",
        "application/merge-patch+json",
        "application/apply-patch+yaml",
    ])
}

fn body(call: &Call) -> Result<Value, ApiError> {
    serde_json::from_slice(&call.body).map_err(|error| ApiError::bad_request(format!("error decoding patch: {error}")))
}

/// A patch that is made of the live object.
fn modify(
    state: &mut State,
    kind: &Arc<Kind>,
    name: &Name<'_>,
    subresource: Option<&str>,
    call: &Call,
    options: &WriteOptions,
    patch: impl FnOnce(&mut Value) -> Result<(), ApiError>,
) -> Result<Answer, ApiError> {
    let (_, live) =
        state.view(kind, &name.key()).ok_or_else(|| ApiError::not_found(kind.resource_subject(name.name)))?;
    let mut new = live.clone();
    patch(&mut new)?;
    check_identity(kind, name, &new)?;
    builtin_rules::check_micro_times(kind, &new)?;
    let warnings = writing::prune(kind, &mut new, options)?;
    writing::default(kind, &mut new);
    let author = Author::new(state, kind, options, subresource);
    let new = managed::update(&kind.schema, Some(&live), new, &author.writer());
    let change = Change { kind, name, subresource, options, must_be_versioned: true };
    let (code, object) = change.store(state, &live, new).map_err(unfit_patch)?;
    Ok(Answer::object(call, code, &object)?.with_warnings(warnings))
}

/// What a built-in kind cannot hold is here the patch's fault: the server says
/// so without naming the object.
fn unfit_patch(error: ApiError) -> ApiError {
    if error.reason != "BadRequest" {
        return error;
    }
    let cause = Cause::invalid("patch", "", &error.message);
    ApiError::invalid(Subject { group: "", what: "", name: "" }, &[cause])
}

/// A patch may not make another object of it.
fn check_identity(kind: &Kind, name: &Name<'_>, new: &Value) -> Result<(), ApiError> {
    let mut causes = Vec::new();
    let given = meta::text(new, "name");
    if given != name.name {
        return Err(ApiError::bad_request(format!(
            "the name of the object ({given}) does not match the name on the URL ({})",
            name.name
        )));
    }
    if new["apiVersion"] != kind.api_version() {
        causes.push(Cause::invalid(
            "apiVersion",
            new["apiVersion"].clone(),
            &format!("must be {}", kind.api_version()),
        ));
    }
    if new["kind"] != kind.kind {
        causes.push(Cause::invalid("kind", new["kind"].clone(), &format!("must be {}", kind.kind)));
    }
    if causes.is_empty() {
        return Ok(());
    }
    Err(ApiError::invalid(kind.kind_subject(name.name), &causes))
}

/// Server-side apply, which creates what is not there.
fn apply(
    state: &mut State,
    kind: &Arc<Kind>,
    name: &Name<'_>,
    subresource: Option<&str>,
    call: &Call,
    options: &WriteOptions,
) -> Result<Answer, ApiError> {
    if call.query.get("fieldManager").is_none() {
        let cause = Cause::required("fieldManager", "is required for apply patch");
        return Err(writing::options_error("PatchOptions", &[cause]));
    }
    let applied: Value = serde_json::from_slice(&call.body)
        .map_err(|error| ApiError::bad_request(format!("error decoding YAML: {error}")))?;
    check_applied(kind, name, &applied)?;
    builtin_rules::check_micro_times(kind, &applied)?;
    let live = state.view(kind, &name.key()).map(|(_, live)| live);
    let author = Author::new(state, kind, options, subresource);
    let Some(live) = live else {
        if subresource.is_some() {
            return Err(ApiError::not_found(kind.resource_subject(name.name)));
        }
        check_absent(kind, name, &applied)?;
        let mut new = merged(kind, None, &applied, &author, options.force)?;
        writing::default(kind, &mut new);
        let created = create::store(state, kind, name.namespace, new, options)?;
        return Answer::object(call, 201, &created);
    };
    let mut new = merged(kind, Some(&live), &applied, &author, options.force)?;
    writing::default(kind, &mut new);
    let change = Change { kind, name, subresource, options, must_be_versioned: true };
    let (code, object) = change.store(state, &live, new)?;
    Answer::object(call, code, &object)
}

fn merged(
    kind: &Kind,
    live: Option<&Value>,
    applied: &Value,
    author: &Author<'_>,
    force: bool,
) -> Result<Value, ApiError> {
    managed::apply(&kind.schema, live, applied, &author.writer(), force).map_err(|error| {
        let message = error.to_string();
        match error {
            ApplyError::Conflict(conflicts) => {
                let conflicts = conflicts.iter().map(|one| (one.manager.as_str(), one.field.as_str()));
                ApiError::field_conflicts(message, conflicts)
            }
            ApplyError::BadRequest(_) => ApiError::bad_request(message),
            ApplyError::Typed(_) => ApiError::internal(message),
        }
    })
}

fn check_applied(kind: &Kind, name: &Name<'_>, applied: &Value) -> Result<(), ApiError> {
    let (api_version, of) = (applied["apiVersion"].as_str(), applied["kind"].as_str());
    if of != Some(&kind.kind) || api_version != Some(&kind.api_version()) {
        let api_version = api_version.unwrap_or("/");
        let shown = if api_version.contains('/') { api_version.to_owned() } else { format!("/{api_version}") };
        let message = format!("invalid object type: {shown}, Kind={}", of.unwrap_or_default());
        return Err(ApiError::bad_request(message));
    }
    if !applied["metadata"]["managedFields"].is_null() {
        return Err(ApiError::bad_request("metadata.managedFields must be nil"));
    }
    check_place(name, applied)
}

/// The path says which object it is: the body may say no other.
fn check_place(name: &Name<'_>, applied: &Value) -> Result<(), ApiError> {
    let (given, namespace) = (meta::text(applied, "name"), meta::text(applied, "namespace"));
    if !given.is_empty() && given != name.name {
        return Err(ApiError::bad_request(format!(
            "the name of the object ({given}) does not match the name on the URL ({})",
            name.name
        )));
    }
    if !namespace.is_empty() && Some(namespace) != name.namespace {
        return Err(ApiError::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    Ok(())
}

/// What is created must say its name, and cannot have a uid already.
fn check_absent(kind: &Kind, name: &Name<'_>, applied: &Value) -> Result<(), ApiError> {
    if meta::text(applied, "name").is_empty() {
        return Err(ApiError::bad_request(format!(
            "the name of the object ({} based on URL) was undeterminable: name must be provided",
            name.name
        )));
    }
    let uid = meta::text(applied, "uid");
    if uid.is_empty() {
        return Ok(());
    }
    let why = format!("uid mismatch: the provided object specified uid {uid}, and no existing object was found");
    Err(ApiError::conflict(kind.resource_subject(name.name), &why))
}
