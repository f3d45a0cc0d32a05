//! The four patches: JSON, merge, strategic merge, and server-side apply.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::update::Change;
use super::writing::{self, Author, FieldValidation};
use super::{Answer, Call, Name, WriteOptions, create};
use crate::document::{self, Document, Format};
use crate::go_print::GoPrint;
use crate::kinds::Kind;
use crate::managed::{self, ApplyError};
use crate::merge_patch;
use crate::meta;
use crate::patch;
use crate::server::State;
use crate::status_error::{ApiError, Cause, Subject};
use crate::strategic;

pub(crate) const APPLY: &str = "application/apply-patch+yaml";
const STRATEGIC: &str = "application/strategic-merge-patch+json";

pub(super) fn patch(
    state: &mut State,
    kind: &Arc<Kind>,
    name: &Name<'_>,
    subresource: Option<&str>,
    call: &Call,
) -> Result<Answer, ApiError> {
    let options = WriteOptions::parse(call, "PatchOptions")?;
    if options.force && call.content_type != APPLY {
        let cause = Cause::forbidden("force", "may not be specified for non-apply patch");
        return Err(writing::options_error("PatchOptions", &[cause]));
    }
    let target = Target { kind, name, subresource, call, options: &options };
    match call.content_type.as_str() {
        APPLY => apply(state, &target),
        "application/json-patch+json" => {
            let operations = patch::json_operations(&call.body)?;
            let repeated = Document::read(&call.body, Format::Json).map(|document| document.complaints(&[]));
            let repeated = repeated.unwrap_or_default().iter().map(|said| format!("json patch {said}")).collect();
            let edit = Edit { repeated, quoted: None, typed: false };
            modify(state, &target, edit, |live| patch::json(live, &operations))
        }
        "application/merge-patch+json" => {
            let document = patch::document(&call.body, "map[string]interface {}", Value::is_object)?;
            if document.value.is_null() {
                return Err(ApiError::bad_request("Invalid JSON Patch"));
            }
            let edit = Edit { repeated: document.complaints(&[]), quoted: None, typed: false };
            modify(state, &target, edit, |live| {
                merge_patch::merge(live, &document.value);
                Ok(())
            })
        }
        STRATEGIC => match &kind.builtin {
            None => Err(unsupported(kind)),
            Some(builtin) => {
                let document =
                    patch::document(&call.body, "map[string]interface {}", Value::is_object).map_err(without_prefix)?;
                let quoted = Some(GoPrint(&document.value).to_string());
                let edit = Edit { repeated: document.complaints(&[]), quoted, typed: true };
                modify(state, &target, edit, |live| strategic::merge(live, &document.value, builtin))
            }
        },
        _ => Err(unsupported(kind)),
    }
}

/// What is patched, and how.
struct Target<'a> {
    kind: &'a Arc<Kind>,
    name: &'a Name<'a>,
    subresource: Option<&'a str>,
    call: &'a Call,
    options: &'a WriteOptions,
}

/// What the patches differ in besides what they do.
struct Edit {
    /// What there is to say of the patch's own fields.
    repeated: Vec<String>,
    /// What a refusal quotes; the patched object where this is nothing.
    quoted: Option<String>,
    /// The outcome has the kind's type, whatever it says.
    typed: bool,
}

/// A strategic patch that cannot be read is refused without saying that it is a patch.
fn without_prefix(mut error: ApiError) -> ApiError {
    if let Some(rest) = error.message.strip_prefix("error decoding patch: ") {
        error.message = rest.to_owned();
    }
    error
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

/// A patch that is made of the live object.
fn modify(
    state: &mut State,
    target: &Target<'_>,
    edit: Edit,
    patch: impl FnOnce(&mut Value) -> Result<(), ApiError>,
) -> Result<Answer, ApiError> {
    let Target { kind, name, subresource, call, options } = *target;
    let (_, live) =
        state.view(kind, &name.key()).ok_or_else(|| ApiError::not_found(kind.resource_subject(name.name)))?;
    let mut new = live.clone();
    patch(&mut new)?;
    if edit.typed {
        new["apiVersion"] = live["apiVersion"].clone();
        new["kind"] = live["kind"].clone();
    }
    let quoted = |new: &Value| edit.quoted.clone().unwrap_or_else(|| new.to_string());
    check_type(state, kind, name, &mut new, quoted)?;
    let shown = new.clone();
    let decoded = writing::read(kind, Document::of(new), edit.repeated, options);
    let writing::Decoded { object: mut new, warnings, gives_empty } =
        decoded.map_err(|error| unfit_patch(&error, quoted(&shown)))?;
    check_place(name, &new)?;
    writing::default(kind, &mut new);
    let author = Author::new(state, kind, options, subresource);
    let new = managed::update(&kind.schema, Some(&live), new, &author.writer());
    let change = Change { kind, name, subresource, options, gives_empty };
    let (code, written) = change.store(state, &live, new).map_err(|error| error.with_warnings(&warnings))?;
    Ok(Answer::written(call, code, written)?.with_warnings(warnings))
}

/// What a kind cannot hold is here the patch's fault: the server says so with
/// what was patched, and without its name.
fn unfit_patch(error: &ApiError, quoted: String) -> ApiError {
    let why = error.message.split_once(": ").map_or(error.message.as_str(), |(_, why)| why);
    let cause = Cause::invalid("patch", quoted, why);
    ApiError::invalid(Subject { group: "", what: "", name: "" }, &[cause])
}

/// A patch may not make an object of another type of it.
fn check_type(
    state: &State,
    kind: &Kind,
    name: &Name<'_>,
    new: &mut Value,
    quoted: impl Fn(&Value) -> String,
) -> Result<(), ApiError> {
    if kind.builtin.is_some() {
        let shown = new.clone();
        return writing::check_type(state, kind, new).map_err(|error| unfit_patch(&error, quoted(&shown)));
    }
    let (api_version, of) = (kind.api_version(), new["kind"].as_str().unwrap_or_default().to_owned());
    if of.is_empty() {
        let error = ApiError::bad_request(format!("unrecognized: Object 'Kind' is missing in '{new}'"));
        return Err(unfit_patch(&error, quoted(new)));
    }
    let given = new["apiVersion"].as_str().unwrap_or_default();
    let group = given.split_once('/').map_or("", |(group, _)| group);
    let subject = Subject { group, what: &of, name: name.name };
    let mut causes = Vec::new();
    if given != api_version {
        causes.push(Cause::invalid("apiVersion", given, &format!("must be {api_version}")));
    }
    if of != kind.kind {
        causes.push(Cause::invalid("kind", of.as_str(), &format!("must be {}", kind.kind)));
    }
    if causes.is_empty() { Ok(()) } else { Err(ApiError::invalid(subject, &causes)) }
}

/// Server-side apply, which creates what is not there.
fn apply(state: &mut State, target: &Target<'_>) -> Result<Answer, ApiError> {
    let Target { kind, name, subresource, call, options } = *target;
    if call.query.get("fieldManager").is_none() {
        let cause = Cause::required("fieldManager", "is required for apply patch");
        return Err(writing::options_error("PatchOptions", &[cause]));
    }
    let (applied, warnings) = read_applied(call, options)?;
    check_applied(kind, name, &applied)?;
    let live = state.view(kind, &name.key()).map(|(_, live)| live);
    let author = Author::new(state, kind, options, subresource);
    let Some(live) = live else {
        if subresource.is_some() {
            return Err(ApiError::not_found(kind.resource_subject(name.name)));
        }
        check_absent(kind, name, &applied)?;
        let mut new = merged(kind, None, &applied, &author, options.force)?;
        writing::settle(kind, &applied, &mut new)?;
        let shares_labels = create::shares_labels(&applied);
        let created = create::store(state, kind, name.namespace, new, shares_labels, options)?;
        return Ok(Answer::written(call, 201, created)?.with_warnings(warnings));
    };
    let mut new = merged(kind, Some(&live), &applied, &author, options.force)?;
    let gives_empty = writing::gives_empty(kind, &new);
    writing::settle(kind, &applied, &mut new)?;
    let change = Change { kind, name, subresource, options, gives_empty };
    let (code, written) = change.store(state, &live, new).map_err(|error| error.with_warnings(&warnings))?;
    Ok(Answer::written(call, code, written)?.with_warnings(warnings))
}

/// The body of an apply, and what there is to say of it.
fn read_applied(call: &Call, options: &WriteOptions) -> Result<(Value, Vec<String>), ApiError> {
    let refused = |why: &str| ApiError::bad_request(format!("error decoding YAML: {why}"));
    let document = Document::read(&call.body, Format::Yaml)
        .map_err(|why| refused(&format!("error converting YAML to JSON: {why}")))?;
    let said = match options.fields {
        FieldValidation::Ignore => Vec::new(),
        FieldValidation::Warn | FieldValidation::Strict => document.complaints(&[]),
    };
    if options.fields == FieldValidation::Strict && !said.is_empty() {
        let lines = said.join("\n  ");
        let why = format!("error converting YAML to JSON: yaml: unmarshal errors:\n  {lines}");
        return Err(ApiError::bad_request(format!("error strict decoding YAML: {why}")));
    }
    match document.value {
        Value::Object(_) => Ok((document.value, said)),
        Value::Null => Ok((Value::Object(Map::new()), said)),
        other => Err(refused(&format!(
            "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal {} into Go value of type map[string]interface {{}}",
            document::json_type(&other)
        ))),
    }
}

fn merged(
    kind: &Kind,
    live: Option<&Value>,
    applied: &Value,
    author: &Author<'_>,
    force: bool,
) -> Result<Value, ApiError> {
    managed::apply(&kind.schema, live, applied, &author.writer(), force).map_err(not_applied)
}

/// Why an apply is refused, as an answer.
pub(crate) fn not_applied(error: ApplyError) -> ApiError {
    let message = error.to_string();
    match error {
        ApplyError::Conflict(conflicts) => {
            let conflicts = conflicts.iter().map(|one| (one.manager.as_str(), one.field.as_str()));
            ApiError::field_conflicts(message, conflicts)
        }
        ApplyError::BadRequest(_) => ApiError::bad_request(message),
        ApplyError::Typed(_) => ApiError::internal(message),
    }
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
    check_given_place(name, applied)
}

/// The path says which object it is: a patch may say no other.
fn check_place(name: &Name<'_>, new: &Value) -> Result<(), ApiError> {
    if meta::text(new, "name").is_empty() {
        return Err(undeterminable(name));
    }
    check_given_place(name, new)
}

fn undeterminable(name: &Name<'_>) -> ApiError {
    ApiError::bad_request(format!(
        "the name of the object ({} based on URL) was undeterminable: name must be provided",
        name.name
    ))
}

/// What the body says of its place must be what the path says.
fn check_given_place(name: &Name<'_>, applied: &Value) -> Result<(), ApiError> {
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
        return Err(undeterminable(name));
    }
    let uid = meta::text(applied, "uid");
    if uid.is_empty() {
        return Ok(());
    }
    let why = format!("uid mismatch: the provided object specified uid {uid}, and no existing object was found");
    Err(ApiError::conflict(kind.resource_subject(name.name), &why))
}
