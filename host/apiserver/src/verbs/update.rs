//! update, and the second half of every patch: what may change through which
//! endpoint, the optimistic lock, the generation, and the last step of a
//! deletion that waited for finalizers.

use std::sync::Arc;

use serde_json::{Value, json};

use super::writing::{self, Author};
use super::{Answer, Call, Name, WriteOptions, Written, create};
use crate::builtin_rules::{self, Wrote};
use crate::crd;
use crate::kinds::Kind;
use crate::managed;
use crate::meta;
use crate::server::State;
use crate::status_error::{ApiError, Cause};
use crate::storage::Stored;
use crate::view;

pub(super) fn update(
    state: &mut State,
    kind: &Arc<Kind>,
    name: &Name<'_>,
    subresource: Option<&str>,
    call: &Call,
) -> Result<Answer, ApiError> {
    let options = WriteOptions::parse(call, "UpdateOptions")?;
    let writing::Decoded { object: mut new, warnings, gives_empty } = writing::decode(state, kind, call, &options)?;
    check_name(name, &mut new)?;
    let Some((stored, live)) = state.view(kind, &name.key()) else {
        if subresource.is_some() || !builtin_rules::created_by_update(kind) {
            return Err(ApiError::not_found(kind.resource_subject(name.name)).with_warnings(&warnings));
        }
        let version = meta::text(&new, "resourceVersion").to_owned();
        if !version.is_empty() && version.parse::<u64>().is_err() {
            return Err(ApiError::internal(format!("strconv.ParseUint: parsing {version:?}: invalid syntax")));
        }
        let mut created = create::accept(state, kind, name.namespace, new, &options)?;
        if options.dry_run && !version.is_empty() {
            created.object["metadata"]["resourceVersion"] = Value::from(version);
        }
        return Ok(Answer::written(call, 201, created)?.with_warnings(warnings));
    };
    check_uid(kind, name, &new, &stored)?;
    writing::default(kind, &mut new);
    let author = Author::new(state, kind, &options, subresource);
    let new = managed::update(&kind.schema, Some(&live), new, &author.writer());
    let change = Change { kind, name, subresource, options: &options, gives_empty };
    let (code, written) = change.store(state, &live, new).map_err(|error| error.with_warnings(&warnings))?;
    Ok(Answer::written(call, code, written)?.with_warnings(warnings))
}

fn check_name(name: &Name<'_>, new: &mut Value) -> Result<(), ApiError> {
    let given = meta::text(new, "name");
    if given.is_empty() {
        return Err(ApiError::bad_request(format!(
            "the name of the object ({} based on URL) was undeterminable: name must be provided",
            name.name
        )));
    }
    if given != name.name {
        return Err(ApiError::bad_request(format!(
            "the name of the object ({given}) does not match the name on the URL ({})",
            name.name
        )));
    }
    let namespace = meta::text(new, "namespace");
    match name.namespace {
        Some(expected) if namespace.is_empty() => {
            meta::of_mut(new).insert("namespace".to_owned(), Value::from(expected));
            Ok(())
        }
        Some(expected) if namespace != expected => Err(ApiError::bad_request(format!(
            "the namespace of the object ({namespace}) does not match the namespace on the URL ({expected})"
        ))),
        _ => Ok(()),
    }
}

/// A uid in the body of an update is a precondition.
fn check_uid(kind: &Kind, name: &Name<'_>, new: &Value, stored: &Stored) -> Result<(), ApiError> {
    let uid = meta::text(new, "uid");
    if uid.is_empty() || uid == stored.uid() {
        return Ok(());
    }
    let group = if kind.at.group.is_empty() { String::new() } else { format!("{}/", kind.at.group) };
    let why = format!(
        "StorageError: invalid object, Code: 4, Key: /registry/{group}{}/{}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
        kind.at.resource,
        name.key(),
        stored.uid()
    );
    Err(ApiError::conflict(kind.resource_subject(name.name), &why))
}

/// A change of a living object, from an update or a patch.
pub(super) struct Change<'a> {
    pub kind: &'a Arc<Kind>,
    pub name: &'a Name<'a>,
    pub subresource: Option<&'a str>,
    pub options: &'a WriteOptions,
    /// See [`writing::gives_empty`].
    pub gives_empty: bool,
}

impl Change<'_> {
    /// Stores the new object, which is decoded, defaulted and has its managed fields.
    pub fn store(&self, state: &mut State, live: &Value, new: Value) -> Result<(u16, Written), ApiError> {
        let (code, mut written) = self.write(state, live, new)?;
        let counted = builtin_rules::counted_at(self.kind);
        let counted = written.object.pointer(counted) != live.pointer(counted);
        let wrote = if counted { Wrote::Counted } else { Wrote::Uncounted };
        written.warnings = builtin_rules::warnings(self.kind, &written.object, wrote);
        Ok((code, written))
    }

    fn write(&self, state: &mut State, live: &Value, mut new: Value) -> Result<(u16, Written), ApiError> {
        let kind = self.kind;
        self.check_version(live, &new)?;
        meta::keep(&mut new, live);
        self.keep_other_half(live, &mut new);
        let mut unlike_read = kind.schema.pass_protobuf(&mut new);
        self.count_generation(live, &mut new);
        if kind.custom.is_none() {
            builtin_rules::prepare_change(state, kind, &mut new, live)?;
            unlike_read |= writing::default_filled_in(kind, &mut new);
        }
        if crd::is_definition(&kind.at) && self.subresource.is_none() {
            crd::prepare(&mut new, Some(live));
        }
        managed::keep_times(live, &mut new);
        let key = self.name.key();
        if !unlike_read && self.changes_nothing(state, live, &new) {
            return Ok((200, Written::of(view::not_stored(kind, new))));
        }
        writing::validate(kind, &new, Some(live), self.subresource, meta::validate_change(&new, live))?;
        if self.options.dry_run {
            return Ok((200, Written::of(view::not_stored(kind, new))));
        }
        if is_released(kind, &new) {
            // What watches are told last is what was stored, finalizer and all.
            if let Some(stored) = state.storage.get(kind.place(), &key) {
                state.remove(kind.place(), &key, stored.object());
            }
            return Ok((200, Written::of(new)));
        }
        let (stored, object) = state.put(kind.place(), &key, view::to_storage(kind, new));
        stored.set_unlike_read(unlike_read);
        if crd::is_definition(&self.kind.at) {
            crd::accept(state, &key);
        }
        Ok((200, Written::stored(kind, &stored, view::read(kind, object))))
    }

    /// What counts is what is stored: that may lack what reading adds, by
    /// default, and have what this version has no place for. What reads otherwise
    /// than it is stored is written anew by each write: the server compares with
    /// its cache first.
    fn changes_nothing(&self, state: &State, live: &Value, new: &Value) -> bool {
        let Some(stored) = state.storage.get(self.kind.place(), &self.name.key()) else { return false };
        if self.kind.custom.is_none() {
            return new == live && !stored.is_unlike_read();
        }
        let stored = stored.object();
        stored == view::to_storage(self.kind, new.clone()) && stored == view::rewritten(self.kind, stored.clone())
    }

    fn check_version(&self, live: &Value, new: &Value) -> Result<(), ApiError> {
        let subject = self.kind.resource_subject(self.name.name);
        let given = meta::text(new, "resourceVersion");
        if given.is_empty() || given == "0" {
            if !builtin_rules::must_be_versioned(self.kind) {
                return Ok(());
            }
            let cause = Cause::invalid("metadata.resourceVersion", 0, "must be specified for an update");
            return Err(ApiError::invalid(subject, &[cause]));
        }
        if given.parse::<u64>().is_err() {
            let message = format!("strconv.ParseUint: parsing {given:?}: invalid syntax");
            return Err(ApiError::internal(message));
        }
        if given != meta::text(live, "resourceVersion") {
            return Err(ApiError::modified(subject));
        }
        Ok(())
    }

    /// What this endpoint does not change stays as it is: the status here, all
    /// but the status there.
    fn keep_other_half(&self, live: &Value, new: &mut Value) {
        let keep = |new: &mut Value, field: &str| match live.get(field) {
            Some(value) => new[field] = value.clone(),
            None => {
                new.as_object_mut().map(|object| object.remove(field));
            }
        };
        match self.subresource {
            None if self.kind.is("", "namespaces") => {
                keep(new, "spec");
                keep(new, "status");
            }
            Some("finalize") => {
                let finalizers = new["spec"]["finalizers"].take();
                let managers = new["metadata"]["managedFields"].take();
                *new = live.clone();
                if managers.is_array() {
                    new["metadata"]["managedFields"] = managers;
                }
                let any = finalizers.as_array().is_some_and(|all| !all.is_empty());
                new["spec"] = if any { json!({ "finalizers": finalizers }) } else { json!({}) };
            }
            None if self.kind.status => keep(new, "status"),
            Some("status") if self.kind.custom.is_some() => {
                let (status, managers) = (new.get("status").cloned(), new["metadata"].get("managedFields").cloned());
                *new = live.clone();
                new.as_object_mut().map(|object| object.remove("status"));
                if let Some(status) = status {
                    new["status"] = status;
                }
                let metadata = meta::of_mut(new);
                metadata.remove("managedFields");
                metadata.extend(managers.map(|managers| ("managedFields".to_owned(), managers)));
            }
            Some("status") => {
                keep(new, "spec");
                let metadata = meta::of_mut(new);
                metadata.remove("labels");
                metadata.extend(live["metadata"].get("labels").map(|labels| ("labels".to_owned(), labels.clone())));
            }
            _ => {}
        }
    }

    /// The generation counts what is neither metadata nor, where that is a
    /// subresource, status.
    fn count_generation(&self, live: &Value, new: &mut Value) {
        // A priority class counts its making only.
        if !self.kind.counts_generation || self.kind.is("scheduling.k8s.io", "priorityclasses") {
            return;
        }
        let counted = |object: &Value| {
            let fields = object.as_object().cloned().unwrap_or_default();
            let wanted = |field: &str| {
                let named = matches!(field, "metadata" | "apiVersion" | "kind");
                !named && (field != "status" || !self.kind.status)
            };
            fields.into_iter().filter(|(field, _)| wanted(field)).collect::<Vec<_>>()
        };
        let also = match self.kind.kind.as_str() {
            "Deployment" if self.kind.custom.is_none() => "annotations",
            "EndpointSlice" if self.kind.custom.is_none() => "labels",
            _ => "",
        };
        let noted = |object: &Value| object["metadata"].get(also).cloned();
        let changed = counted(live) != counted(new) || noted(live) != noted(new) || self.gives_empty;
        // What is written through its status counts for nothing there.
        let elsewhere = self.subresource == Some("status") && self.kind.builtin.is_some();
        if changed && !elsewhere {
            let generation = live["metadata"]["generation"].as_i64().unwrap_or(0);
            new["metadata"]["generation"] = Value::from(generation + 1);
        }
    }
}

/// Whether the object was only waiting for its last finalizer.
pub(crate) fn is_released(kind: &Kind, object: &Value) -> bool {
    let deleting = object["metadata"].get("deletionTimestamp").is_some();
    let grace = object["metadata"]["deletionGracePeriodSeconds"].as_i64().unwrap_or(0);
    let held_by_spec = kind.is("", "namespaces")
        && object["spec"]["finalizers"].as_array().is_some_and(|finalizers| !finalizers.is_empty());
    deleting && grace == 0 && !held_by_spec && meta::finalizers(object).is_empty()
}
