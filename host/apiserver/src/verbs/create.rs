//! create, and the create that an apply of an absent object is.

use std::sync::Arc;

use serde_json::{Value, json};

use super::writing::{self, Author};
use super::{Answer, Call, WriteOptions, Written};
use crate::builtin_rules::{self, Wrote};
use crate::crd;
use crate::kinds::{GroupResource, Kind};
use crate::managed;
use crate::meta;
use crate::server::State;
use crate::status_error::ApiError;
use crate::view;

pub(super) fn create(
    state: &mut State,
    kind: &Arc<Kind>,
    namespace: Option<&str>,
    call: &Call,
) -> Result<Answer, ApiError> {
    let options = WriteOptions::parse(call, "CreateOptions")?;
    let writing::Decoded { object: new, warnings, .. } = writing::decode(state, kind, call, &options)?;
    let given = meta::text(&new, "namespace");
    if !given.is_empty() && Some(given) != namespace {
        return Err(ApiError::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    if !matches!(meta::text(&new, "resourceVersion"), "" | "0") {
        return Err(ApiError::internal("resourceVersion should not be set on objects to be created"));
    }
    let created = accept(state, kind, namespace, new, &options).map_err(|error| error.with_warnings(&warnings))?;
    Ok(Answer::written(call, 201, created)?.with_warnings(warnings))
}

/// Stores a new object that is decoded.
pub(super) fn accept(
    state: &mut State,
    kind: &Arc<Kind>,
    namespace: Option<&str>,
    mut new: Value,
    options: &WriteOptions,
) -> Result<Written, ApiError> {
    if let Some(namespace) = namespace {
        meta::of_mut(&mut new).insert("namespace".to_owned(), Value::from(namespace));
    }
    // Nobody says when an object is deleted before it is there.
    let metadata = meta::of_mut(&mut new);
    for field in ["deletionTimestamp", "deletionGracePeriodSeconds"] {
        metadata.remove(field);
    }
    let shares_labels = shares_labels(&new);
    let author = Author::new(state, kind, options, None);
    writing::default(kind, &mut new);
    let new = managed::update(&kind.schema, None, new, &author.writer());
    store(state, kind, namespace, new, shares_labels, options)
}

/// Whether labels that an object has by default are one map with those that they
/// come from, in the server's memory: what is added to those is added to both. An
/// object whose name is generated is copied before that.
pub(super) fn shares_labels(written: &Value) -> bool {
    let own = written["metadata"]["labels"].as_object().is_some_and(|labels| !labels.is_empty());
    !own && !meta::text(written, "name").is_empty()
}

/// Stores a new object that is decoded, defaulted and has its managed fields.
pub(super) fn store(
    state: &mut State,
    kind: &Arc<Kind>,
    namespace: Option<&str>,
    mut new: Value,
    shares_labels: bool,
    options: &WriteOptions,
) -> Result<Written, ApiError> {
    admit(state, kind, namespace, &new)?;
    let (uid, now) = (state.ids.uid(), state.now_text());
    meta::start(&mut new, namespace, uid, now);
    name(state, &mut new);
    reset_status(kind, &mut new);
    if kind.counts_generation {
        new["metadata"]["generation"] = Value::from(1);
    }
    let mut unlike_read = false;
    if kind.custom.is_none() {
        builtin_rules::prepare_new(state, kind, shares_labels, &mut new)?;
        unlike_read = writing::default_filled_in(kind, &mut new);
    }
    if crd::is_definition(&kind.at) {
        crd::prepare(&mut new, None);
    }
    writing::validate(kind, &new, None, None, meta::validate_new(kind, &new))?;
    unlike_read |= kind.schema.pass_protobuf(&mut new);
    let name = meta::text(&new, "name").to_owned();
    let key = super::Name { namespace, name: &name }.key();
    if let Some(present) = state.storage.get(kind.place(), &key) {
        return Err(ApiError::already_exists(kind.resource_subject(&name), present.is_deleting()));
    }
    let warnings = builtin_rules::warnings(kind, &new, Wrote::New);
    if options.dry_run {
        return Ok(Written { warnings, ..Written::of(view::not_stored(kind, new)) });
    }
    let (stored, created) = state.put(kind.place(), &key, view::to_storage(kind, new));
    stored.set_unlike_read(unlike_read);
    if crd::is_definition(&kind.at) {
        crd::accept(state, &key);
    }
    Ok(Written { warnings, ..Written::stored(kind, &stored, view::read(kind, created)) })
}

/// A new object says nothing of its status, where that is a subresource. Nodes
/// are made by their kubelets, which know it.
fn reset_status(kind: &Kind, new: &mut Value) {
    if !kind.status || kind.is("", "nodes") {
        return;
    }
    match kind.builtin.as_ref().and_then(|builtin| builtin.unwritten.get("status")) {
        Some(unwritten) => new["status"] = unwritten.clone(),
        None => {
            new.as_object_mut().map(|object| object.remove("status"));
        }
    }
}

fn name(state: &mut State, new: &mut Value) {
    let base = meta::text(new, "generateName").to_owned();
    if meta::text(new, "name").is_empty() && !base.is_empty() {
        let name = state.ids.name(&base);
        meta::of_mut(new).insert("name".to_owned(), Value::from(name));
    }
}

/// Whether something may be created here at all.
fn admit(state: &State, kind: &Kind, namespace: Option<&str>, new: &Value) -> Result<(), ApiError> {
    if kind.custom.as_ref().is_some_and(|custom| custom.terminating) {
        let why = "create not allowed while custom resource definition is terminating";
        return Err(ApiError::forbidden(kind.resource_subject(meta::text(new, "name")), why));
    }
    let Some(namespace) = namespace else { return Ok(()) };
    let namespaces = GroupResource::new("", "namespaces");
    let subject = crate::status_error::Subject { group: "", what: "namespaces", name: namespace };
    let stored = state.storage.get(&namespaces, namespace).ok_or_else(|| ApiError::not_found(subject))?;
    if stored.is_deleting() {
        let name = meta::text(new, "name");
        return Err(ApiError::namespace_terminating(kind.resource_subject(name), namespace));
    }
    Ok(())
}

/// Puts a namespace there before the first request.
pub(crate) fn namespace(state: &mut State, name: &str) {
    let kind = state.registry.find("", "v1", "namespaces").expect("a built-in kind");
    let mut new = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } });
    let (uid, now) = (state.ids.uid(), state.now_text());
    meta::start(&mut new, None, uid, now);
    writing::default(&kind, &mut new);
    builtin_rules::prepare_new(state, &kind, false, &mut new).expect("a namespace is refused nothing");
    state.put(kind.place(), name, new);
}
