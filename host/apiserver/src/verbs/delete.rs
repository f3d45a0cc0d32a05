//! delete and deletecollection: preconditions, propagation, finalizers.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use super::writing::WriteOptions;
use super::{Answer, Call, Name, read};
use crate::builtin_rules;
use crate::crd;
use crate::kinds::Kind;
use crate::meta;
use crate::server::{State, kube_time};
use crate::status_error::{ApiError, Cause};
use crate::storage::{Stored, in_namespace};
use crate::view::{self, Representation};

/// Holds an object until its dependents are gone.
pub(crate) const FOREGROUND: &str = "foregroundDeletion";
/// Holds an object until its dependents no longer name it.
pub(crate) const ORPHAN: &str = "orphan";

/// Namespaces that every cluster needs.
const IMMORTAL: [&str; 3] = ["default", "kube-public", "kube-system"];

/// What becomes of the dependents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Propagation {
    /// As the finalizers of the object say, which is background without any.
    Unstated,
    Background,
    Foreground,
    Orphan,
}

/// The body and the query of a deletion.
#[derive(Debug)]
struct DeleteOptions {
    dry_run: bool,
    propagation: Propagation,
    grace_seconds: Option<i64>,
    uid: Option<String>,
    resource_version: Option<String>,
}

impl DeleteOptions {
    fn parse(call: &Call) -> Result<Self, ApiError> {
        let dry_run = WriteOptions::parse(call, "DeleteOptions")?.dry_run;
        let body: Value = if call.body.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&call.body).map_err(|error| {
                ApiError::bad_request(format!("couldn't get version/kind; json parse error: {error}"))
            })?
        };
        check_type(&body)?;
        let orphan = body["orphanDependents"].as_bool();
        let policy = body["propagationPolicy"].as_str().or_else(|| call.query.get("propagationPolicy"));
        if let (Some(policy), Some(_)) = (policy, orphan) {
            let wrong = "orphanDependents and deletionPropagation cannot be both set";
            let cause = Cause::invalid("propagationPolicy", policy, wrong);
            return Err(super::writing::options_error("DeleteOptions", &[cause]));
        }
        let propagation = match (policy, orphan) {
            (Some("Background"), _) | (None, Some(false)) => Propagation::Background,
            (Some("Foreground"), _) => Propagation::Foreground,
            (Some("Orphan"), _) | (None, Some(true)) => Propagation::Orphan,
            (None, None) => Propagation::Unstated,
            (Some(other), _) => {
                let cause = Cause {
                    reason: "FieldValueNotSupported",
                    message: format!(
                        "Unsupported value: {other:?}: supported values: \"Foreground\", \"Background\", \"Orphan\", \"nil\""
                    ),
                    field: "propagationPolicy".to_owned(),
                };
                return Err(super::writing::options_error("DeleteOptions", &[cause]));
            }
        };
        let text = |pointer| body.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        Ok(Self {
            dry_run: dry_run || body["dryRun"].as_array().is_some_and(|values| !values.is_empty()),
            propagation,
            grace_seconds: body["gracePeriodSeconds"].as_i64().or(call.query.number("gracePeriodSeconds")?),
            uid: text("/preconditions/uid"),
            resource_version: text("/preconditions/resourceVersion"),
        })
    }

    fn check(&self, kind: &Kind, name: &str, stored: &Stored) -> Result<(), ApiError> {
        let conflict = |why: String| Err(ApiError::conflict(kind.kind_subject(name), &why));
        if let Some(uid) = self.uid.as_ref().filter(|uid| *uid != stored.uid()) {
            return conflict(format!(
                "the UID in the precondition ({uid}) does not match the UID in record ({}). The object might have been deleted and then recreated",
                stored.uid()
            ));
        }
        let live = stored.resource_version.to_string();
        if let Some(version) = self.resource_version.as_ref().filter(|version| **version != live) {
            return conflict(format!(
                "the ResourceVersion in the precondition ({version}) does not match the ResourceVersion in record ({live}). The object might have been modified"
            ));
        }
        Ok(())
    }
}

/// A body says nothing of its type, or that it is options for a deletion.
fn check_type(body: &Value) -> Result<(), ApiError> {
    match (body["apiVersion"].as_str(), body["kind"].as_str()) {
        (_, None | Some("DeleteOptions")) => Ok(()),
        (version, Some(kind)) => Err(ApiError::bad_request(format!(
            "no kind {kind:?} is registered for version {:?} in scheme \"pkg/runtime/scheme.go:111\"",
            version.unwrap_or_default()
        ))),
    }
}

pub(super) fn delete(state: &mut State, kind: &Arc<Kind>, name: &Name<'_>, call: &Call) -> Result<Answer, ApiError> {
    let options = DeleteOptions::parse(call)?;
    let warnings = Vec::from_iter(warning(kind, options.propagation));
    match delete_by(state, kind, name, call, &options) {
        Ok(answer) => Ok(answer.with_warnings(warnings)),
        Err(error) => Err(error.with_warnings(&warnings)),
    }
}

fn delete_by(
    state: &mut State,
    kind: &Arc<Kind>,
    name: &Name<'_>,
    call: &Call,
    options: &DeleteOptions,
) -> Result<Answer, ApiError> {
    let key = name.key();
    let stored =
        state.storage.get(kind.place(), &key).ok_or_else(|| ApiError::not_found(kind.resource_subject(name.name)))?;
    if kind.is("", "namespaces") && IMMORTAL.contains(&name.name) {
        return Err(ApiError::forbidden(kind.resource_subject(name.name), "this namespace may not be deleted"));
    }
    options.check(kind, name.name, &stored)?;
    let removed = || {
        let mut details = json!({ "name": name.name, "kind": kind.at.resource, "uid": stored.uid() });
        if !kind.at.group.is_empty() {
            details["group"] = Value::from(kind.at.group.as_str());
        }
        let status =
            json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details });
        Answer::json(200, view::to_bytes(&status))
    };
    let deletion = Deletion { propagation: options.propagation, grace_seconds: options.grace_seconds };
    match fate(kind, &stored, deletion, state.now) {
        Fate::Gone { mut last, .. } if builtin_rules::answers_with_deleted(kind) => {
            if !options.dry_run {
                remove_or_mark(state, kind, &key, deletion);
                // The object is answered as its deletion left it.
                last["metadata"]["resourceVersion"] = Value::from(state.storage.version().to_string());
            }
            Answer::object(call, 200, &last)
        }
        Fate::Gone { .. } if options.dry_run => Ok(removed()),
        Fate::Marked(object) if options.dry_run => Answer::object(call, 200, &object),
        _ => {
            remove_or_mark(state, kind, &key, deletion);
            match state.view(kind, &key) {
                Some((_, marked)) => Answer::object(call, 200, &marked),
                None => Ok(removed()),
            }
        }
    }
}

/// What a client that does not say what becomes of a job's pods should know.
fn warning(kind: &Kind, propagation: Propagation) -> Option<String> {
    (kind.is("batch", "jobs") && propagation == Propagation::Unstated).then(|| {
        "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them or set propagationPolicy=Orphan to suppress this warning".to_owned()
    })
}

/// How an object is deleted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deletion {
    pub propagation: Propagation,
    /// How long a pod may take to end; its own wish where this is not given.
    pub grace_seconds: Option<i64>,
}

impl From<Propagation> for Deletion {
    fn from(propagation: Propagation) -> Self {
        Self { propagation, grace_seconds: None }
    }
}

/// What a deletion makes of an object.
enum Fate {
    /// It goes, after having been marked where that is seen.
    Gone {
        last: Value,
        marked: bool,
    },
    /// It is being deleted already, and nothing more is to be said.
    Unchanged,
    Marked(Value),
}

fn fate(kind: &Kind, stored: &Stored, deletion: Deletion, now: Timestamp) -> Fate {
    let mut object = stored.object();
    let mut finalizers = meta::finalizers(&object);
    match deletion.propagation {
        Propagation::Unstated if kind.is("batch", "jobs") || kind.is("", "replicationcontrollers") => {
            swap(&mut finalizers, FOREGROUND, ORPHAN);
        }
        Propagation::Unstated => {}
        Propagation::Background => finalizers.retain(|one| one != FOREGROUND && one != ORPHAN),
        Propagation::Foreground => swap(&mut finalizers, ORPHAN, FOREGROUND),
        Propagation::Orphan => swap(&mut finalizers, FOREGROUND, ORPHAN),
    }
    let is_definition = crd::is_definition(&kind.at);
    if is_definition && !finalizers.iter().any(|one| one == crd::CLEANUP_FINALIZER) {
        finalizers.push(crd::CLEANUP_FINALIZER.to_owned());
    }
    let changed = finalizers != meta::finalizers(&object);
    meta::set_finalizers(&mut object, &finalizers);
    if kind.is("", "pods") {
        return pod_fate(object, stored, deletion.grace_seconds, changed, now);
    }
    if finalizers.is_empty() && !kind.is("", "namespaces") {
        return Fate::Gone { last: stored.object(), marked: false };
    }
    if stored.is_deleting() && !changed {
        return Fate::Unchanged;
    }
    mark(kind, &mut object, stored, now);
    if is_definition {
        crd::mark_terminating(&mut object, &kube_time(now));
    }
    Fate::Marked(object)
}

/// A pod that runs somewhere is given time to end; its kubelet then deletes it
/// without any.
fn pod_fate(mut object: Value, stored: &Stored, asked: Option<i64>, changed: bool, now: Timestamp) -> Fate {
    let before = object["metadata"]["deletionGracePeriodSeconds"].as_i64();
    let grace = match before {
        Some(before) if stored.is_deleting() => match asked {
            Some(asked) if asked < before => asked.max(0),
            _ if changed => before,
            _ => return Fate::Unchanged,
        },
        _ => grace_of(&object, asked),
    };
    if !stored.is_deleting() {
        count_generation(meta::of_mut(&mut object));
    }
    let started = object["metadata"]["deletionTimestamp"].as_str().and_then(|text| text.parse::<Timestamp>().ok());
    let started = started.map_or(now, |end| end - SignedDuration::from_secs(before.unwrap_or(0)));
    let end = started + SignedDuration::from_secs(grace);
    let metadata = meta::of_mut(&mut object);
    metadata.insert("deletionTimestamp".to_owned(), Value::from(kube_time(end)));
    metadata.insert("deletionGracePeriodSeconds".to_owned(), Value::from(grace));
    if grace == 0 && meta::finalizers(&object).is_empty() {
        return Fate::Gone { last: object, marked: true };
    }
    Fate::Marked(object)
}

/// How long a pod has to end: nothing where there is nothing to be ended.
fn grace_of(pod: &Value, asked: Option<i64>) -> i64 {
    let runs = pod["spec"]["nodeName"].as_str().is_some_and(|node| !node.is_empty());
    let ended = matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
    if !runs || ended {
        return 0;
    }
    let wanted = asked.or_else(|| pod["spec"]["terminationGracePeriodSeconds"].as_i64()).unwrap_or(0);
    if wanted < 0 { 1 } else { wanted }
}

/// Removes an object, or marks it as being deleted where something holds it.
pub(crate) fn remove_or_mark(state: &mut State, kind: &Arc<Kind>, key: &str, deletion: impl Into<Deletion>) {
    let Some(stored) = state.storage.get(kind.place(), key) else {
        return;
    };
    match fate(kind, &stored, deletion.into(), state.now) {
        Fate::Gone { last, marked } => {
            if marked {
                state.put(kind.place(), key, last.clone());
            }
            state.remove(kind.place(), key, last);
        }
        Fate::Unchanged => {
            // Nothing is to be done, but the server stores what it has read.
            let before = stored.object();
            let read = view::rewritten(kind, before.clone());
            if read != before {
                state.put(kind.place(), key, read);
            }
        }
        Fate::Marked(object) => {
            state.put(kind.place(), key, view::rewritten(kind, object));
        }
    }
}

fn mark(kind: &Kind, object: &mut Value, stored: &Stored, now: Timestamp) {
    if stored.is_deleting() {
        return;
    }
    let metadata = meta::of_mut(object);
    metadata.insert("deletionTimestamp".to_owned(), Value::from(kube_time(now)));
    if kind.is("", "namespaces") {
        object["status"]["phase"] = Value::from("Terminating");
        return;
    }
    if crd::is_definition(&kind.at) {
        return;
    }
    metadata.insert("deletionGracePeriodSeconds".to_owned(), Value::from(0));
    count_generation(metadata);
}

fn count_generation(metadata: &mut Map<String, Value>) {
    if let Some(generation) = metadata.get("generation").and_then(Value::as_i64).filter(|number| *number > 0) {
        metadata.insert("generation".to_owned(), Value::from(generation + 1));
    }
}

fn swap(finalizers: &mut Vec<String>, out: &str, into: &str) {
    finalizers.retain(|one| one != out);
    if !finalizers.iter().any(|one| one == into) {
        finalizers.push(into.to_owned());
    }
}

pub(super) fn collection(
    state: &mut State,
    kind: &Arc<Kind>,
    namespace: Option<&str>,
    call: &Call,
) -> Result<Answer, ApiError> {
    let options = DeleteOptions::parse(call)?;
    let filter = read::filter(kind, namespace, call)?;
    let collection = state.storage.collection(kind.place());
    let items: Vec<Arc<Stored>> =
        in_namespace(collection.objects(), namespace).filter(|stored| filter.matches(stored)).cloned().collect();
    let mut metadata = json!({ "resourceVersion": state.storage.version().to_string() });
    if kind.custom.is_some() && call.representation == Representation::Whole {
        metadata["continue"] = Value::from("");
    }
    for stored in &items {
        let name = stored.key.rsplit('/').next().unwrap_or_default();
        options.check(kind, name, stored)?;
        if !options.dry_run {
            let deletion = Deletion { propagation: options.propagation, grace_seconds: options.grace_seconds };
            remove_or_mark(state, kind, &stored.key, deletion);
        }
    }
    Ok(Answer::json(200, view::list(kind, &items, &metadata, call.representation, state.now)))
}
