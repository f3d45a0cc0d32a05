//! What create, update and patch share: the options of a write, the decoding of
//! its body, the field manager, and the checks before anything is stored.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::Call;
use crate::builtin_rules;
use crate::crd;
use crate::document::{self, Document, Format};
use crate::go_print::GoPrint;
use crate::kinds::Kind;
use crate::managed::Writer;
use crate::meta;
use crate::schema::{FieldError, Schema};
use crate::server::State;
use crate::status_error::{ApiError, Cause, Subject};

/// 2^53: up to here a float holds every whole number.
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;

/// The longest name that a manager may have.
const MANAGER_BYTES_MAX: usize = 128;

/// What is done about fields that the schema does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FieldValidation {
    Ignore,
    Warn,
    Strict,
}

/// The query parameters of a write.
#[derive(Debug, Clone)]
pub(crate) struct WriteOptions {
    pub dry_run: bool,
    pub manager: String,
    pub force: bool,
    pub fields: FieldValidation,
}

impl WriteOptions {
    /// `options` is the kind under which the server reports mistakes.
    pub fn parse(call: &Call, options: &str) -> Result<Self, ApiError> {
        let dry_run: Vec<&str> = call.query.all("dryRun").filter(|value| !value.is_empty()).collect();
        if dry_run.iter().any(|value| *value != "All") {
            let cause = Cause::unsupported("dryRun", &Value::from(dry_run), &["All"]);
            return Err(options_error(options, &[cause]));
        }
        let fields = match call.query.get("fieldValidation") {
            None | Some("Warn") => FieldValidation::Warn,
            Some("Strict") => FieldValidation::Strict,
            Some("Ignore") => FieldValidation::Ignore,
            Some(other) => {
                let cause =
                    Cause::unsupported("fieldValidation", &Value::from(other), &["", "Ignore", "Strict", "Warn"]);
                return Err(options_error(options, &[cause]));
            }
        };
        let manager = call.query.get("fieldManager").unwrap_or(&call.agent);
        if manager.len() > MANAGER_BYTES_MAX {
            let message = format!("Too long: may not be more than {MANAGER_BYTES_MAX} bytes");
            let cause = Cause { reason: "FieldValueTooLong", message, field: "fieldManager".to_owned() };
            return Err(options_error(options, &[cause]));
        }
        Ok(Self { dry_run: !dry_run.is_empty(), manager: manager.to_owned(), force: call.query.flag("force"), fields })
    }
}

pub(super) fn options_error(options: &str, causes: &[Cause]) -> ApiError {
    ApiError::invalid(Subject { group: "meta.k8s.io", what: options, name: "" }, causes)
}

/// Who writes, as managed fields record it. The borrowed parts live here.
pub(crate) struct Author<'a> {
    manager: &'a str,
    api_version: String,
    subresource: Option<&'a str>,
    reset_fields: &'static [&'static str],
    versions: Vec<(String, Arc<Schema>)>,
    now: String,
}

impl<'a> Author<'a> {
    pub fn new(state: &State, kind: &Kind, options: &'a WriteOptions, subresource: Option<&'a str>) -> Self {
        let reset_fields: &[&str] = match subresource {
            None if kind.status => &["status"],
            // A custom kind's status endpoint changes nothing else.
            Some("status") if kind.custom.is_some() => &["metadata", "spec"],
            Some("status") => &["spec", "metadata.labels"],
            Some("finalize") => &["status"],
            _ => &[],
        };
        let versions = match kind.custom {
            Some(_) => state.registry.versions_of(&kind.at),
            None => Vec::new(),
        };
        let versions = versions.iter().map(|kind| (kind.api_version(), Arc::clone(&kind.schema))).collect();
        Self {
            manager: &options.manager,
            api_version: kind.api_version(),
            subresource,
            reset_fields,
            versions,
            now: state.now_text(),
        }
    }

    pub fn writer(&self) -> Writer<'_> {
        Writer {
            manager: self.manager,
            api_version: &self.api_version,
            subresource: self.subresource,
            reset_fields: self.reset_fields,
            versions: &self.versions,
            now: &self.now,
        }
    }
}

/// What was written, as its kind holds it.
pub(super) struct Decoded {
    pub object: Value,
    /// What there is to say of it.
    pub warnings: Vec<String>,
    /// See [`gives_empty`].
    pub gives_empty: bool,
}

/// Whether what is written gives a list or a map and nothing in it, and the kind's
/// generation counts that.
pub(super) fn gives_empty(kind: &Kind, value: &Value) -> bool {
    builtin_rules::counts_empty(kind) && kind.schema.gives_empty(value)
}

/// The body of a create or an update as an object of the kind.
pub(super) fn decode(state: &State, kind: &Kind, call: &Call, options: &WriteOptions) -> Result<Decoded, ApiError> {
    let unrecognized = |why: &str| {
        let body = document::quoted(&call.body);
        ApiError::bad_request(format!(
            "the object provided is unrecognized (must be of type {}): {why} ({body})",
            kind.kind
        ))
    };
    let format = format(call)?;
    let no_type = |why: &str| unrecognized(&format!("couldn't get version/kind; json parse error: {why}"));
    let mut document = Document::read(&call.body, format)
        .map_err(|error| if error.starts_with("yaml") { unrecognized(&error) } else { no_type(&error) })?;
    match &document.value {
        Value::Object(_) => {}
        Value::Null => document.value = Value::Object(Map::new()),
        other => {
            return Err(no_type(&format!(
                "json: cannot unmarshal {} into Go value of type struct {{ APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" }}",
                document::json_type(other)
            )));
        }
    }
    if kind.custom.is_some() {
        check_custom_type(kind, &document.value, |why| {
            unrecognized(&format!("{why} in '{}'", String::from_utf8_lossy(&call.body)))
        })?;
    } else {
        check_type(state, kind, &mut document.value)?;
    }
    read(kind, document, Vec::new(), options)
}

/// In what the body of a create or an update is written.
pub(super) fn format(call: &Call) -> Result<Format, ApiError> {
    match call.content_type.as_str() {
        "" | "application/json" => Ok(Format::Json),
        "application/yaml" => Ok(Format::Yaml),
        _ => Err(ApiError::unsupported_media_type(&[
            "application/json",
            "application/yaml",
            "application/vnd.kubernetes.protobuf",
        ])),
    }
}

/// An object that the kind cannot hold.
fn not_handled(kind: &Kind, why: &str) -> ApiError {
    let Kind { kind, version, .. } = kind;
    ApiError::bad_request(format!("{kind} in version {version:?} cannot be handled as a {kind}: {why}"))
}

/// Custom kinds may not leave their type out.
fn check_custom_type(kind: &Kind, value: &Value, unrecognized: impl Fn(&str) -> ApiError) -> Result<(), ApiError> {
    let api_version = kind.api_version();
    let (given_version, given_kind) =
        (value["apiVersion"].as_str().unwrap_or_default(), value["kind"].as_str().unwrap_or_default());
    if given_kind.is_empty() {
        return Err(unrecognized("Object 'Kind' is missing"));
    }
    if given_version != api_version {
        return Err(ApiError::bad_request(format!(
            "the API version in the data ({given_version}) does not match the expected API version ({api_version})"
        )));
    }
    if given_kind != kind.kind {
        let name = meta::text(value, "name").to_owned();
        let subject = Subject { group: &kind.at.group, what: given_kind, name: &name };
        let cause = Cause::invalid("kind", given_kind, &format!("must be {}", kind.kind));
        return Err(ApiError::invalid(subject, &[cause]));
    }
    Ok(())
}

/// Built-in kinds may leave their type out.
pub(super) fn check_type(state: &State, kind: &Kind, value: &mut Value) -> Result<(), ApiError> {
    let api_version = kind.api_version();
    let given = |field: &str, own: &str| {
        let given = value[field].as_str().unwrap_or_default();
        if given.is_empty() { own.to_owned() } else { given.to_owned() }
    };
    let (given_version, given_kind) = (given("apiVersion", &api_version), given("kind", &kind.kind));
    if given_version != api_version || given_kind != kind.kind {
        return Err(wrong_type(state, kind, &given_version, &given_kind));
    }
    value["apiVersion"] = Value::from(api_version);
    value["kind"] = Value::from(kind.kind.as_str());
    Ok(())
}

fn wrong_type(state: &State, kind: &Kind, given_version: &str, given_kind: &str) -> ApiError {
    let (group, version) = given_version.split_once('/').unwrap_or(("", given_version));
    let known = state.registry.in_version(group, version).any(|one| one.custom.is_none() && one.kind == given_kind);
    let internal = kind.at.group.split('.').next().filter(|group| !group.is_empty()).unwrap_or("core");
    let why = if known {
        format!("converting ({version}.{given_kind}) to ({internal}.{}): unknown conversion", kind.kind)
    } else {
        format!(
            "no kind {given_kind:?} is registered for version {given_version:?} in scheme \"pkg/runtime/scheme.go:111\""
        )
    };
    ApiError::bad_request(format!("{given_kind} in version {version:?} cannot be handled as a {}: {why}", kind.kind))
}

/// Reads a document as the kind would: takes out what the schema does not know,
/// and says so as the client wants it. `said` is what there is to say already.
pub(super) fn read(
    kind: &Kind,
    mut document: Document<'_>,
    mut said: Vec<String>,
    options: &WriteOptions,
) -> Result<Decoded, ApiError> {
    // An empty list of managers is no list where structs are written, but one
    // that was given: it ends the tracking.
    if kind.builtin.is_some() && document.value.pointer("/metadata/managedFields") == Some(&json!([])) {
        document.value["metadata"]["managedFields"] = json!([{}]);
    }
    let unknown = kind.schema.prune(&mut document.value);
    if options.fields == FieldValidation::Ignore {
        said.clear();
    } else if kind.custom.is_some() {
        // What a definition's schema does not know is found later, by name.
        said.extend(document.complaints(&[]));
        said.extend(unknown.iter().map(|field| format!("unknown field {field:?}")));
    } else {
        said.extend(document.complaints(&unknown));
    }
    let value = &mut document.value;
    let gives_empty = gives_empty(kind, value);
    kind.schema.read_struct(value).map_err(|why| not_handled(kind, &why))?;
    if let Some(custom) = &kind.custom {
        whole_numbers(value);
        let metadata = value.get_mut("metadata").filter(|metadata| !metadata.is_null());
        metadata
            .map_or(Ok(()), |metadata| custom.metadata.read_struct(metadata))
            .map_err(|why| not_handled(kind, &why))?;
    }
    if options.fields == FieldValidation::Strict && !said.is_empty() {
        let lines: Vec<String> = said
            .iter()
            .map(|one| if one.starts_with("line ") { format!("yaml: unmarshal errors:\n  {one}") } else { one.clone() })
            .collect();
        return Err(not_handled(kind, &format!("strict decoding error: {}", lines.join(", "))));
    }
    Ok(Decoded { object: document.value, warnings: said, gives_empty })
}

/// Custom objects are kept as JSON, in which Go writes a whole number without
/// its point.
fn whole_numbers(value: &mut Value) {
    match value {
        Value::Number(number) if number.is_f64() => {
            let whole = number.as_f64().filter(|number| number.fract() == 0.0 && number.abs() < WHOLE_MAX);
            // Below the bound a float holds every whole number.
            #[allow(clippy::cast_possible_truncation, reason = "whole and below 2^53")]
            if let Some(whole) = whole {
                *value = Value::from(whole as i64);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(whole_numbers),
        Value::Object(fields) => fields.values_mut().for_each(whole_numbers),
        _ => {}
    }
}

/// What server-side apply made of an object, as the kind would hold it.
pub(super) fn settle(kind: &Kind, applied: &Value, value: &mut Value) -> Result<(), ApiError> {
    kind.schema.read_struct(value).map_err(|why| {
        let (namespace, name) = (meta::text(applied, "namespace"), meta::text(applied, "name"));
        let of = format!("{}/{}, Kind={}", kind.at.group, kind.version, kind.kind);
        ApiError::internal(format!(
            "failed to convert new object ({namespace}/{name}; {of}) to proper version: unable to convert unstructured object to {of}: {why}"
        ))
    })?;
    if kind.custom.is_some() {
        whole_numbers(value);
    }
    default(kind, value);
    Ok(())
}

/// Fills in what the kind has by default.
pub(super) fn default(kind: &Kind, value: &mut Value) {
    kind.schema.default(value);
    if kind.builtin.is_some() {
        builtin_rules::default(kind, value);
    }
}

/// What the server filled in is stored without defaults, and read with them.
/// Tells whether there are any.
pub(super) fn default_filled_in(kind: &Kind, value: &mut Value) -> bool {
    let filled_in = value.clone();
    default(kind, value);
    *value != filled_in
}

/// The type of a value as Go holds JSON.
fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::String(_) => "string",
        Value::Bool(_) => "bool",
        Value::Number(_) => "float64",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

/// What the scale of a custom kind reads must be a number of pods.
fn check_scaled(kind: &Kind, new: &Value) -> Vec<Cause> {
    let Some(paths) = kind.scale.as_ref().filter(|_| kind.custom.is_some()) else { return Vec::new() };
    let check = |path: &String| {
        let misfit = |found: &Value, wanted: &str| {
            let (shown, of) = (GoPrint(found), go_type(found));
            let why = format!("{path} accessor error: {shown} is of the type {of}, expected {wanted}");
            Some(Cause::invalid(path, 0, &why))
        };
        let mut value = new;
        for step in path.trim_start_matches('.').split('.') {
            value = match value {
                Value::Object(fields) => fields.get(step)?,
                Value::Null => return None,
                other => return misfit(other, "map[string]interface{}"),
            };
        }
        match value.as_i64() {
            Some(number) if number < 0 => Some(Cause::invalid(path, number, "should be a non-negative integer")),
            Some(_) => None,
            None => misfit(value, "int64"),
        }
    };
    [&paths.spec, &paths.status].into_iter().filter_map(check).collect()
}

/// The rules of the kind; those of the metadata are checked before.
pub(super) fn validate(
    kind: &Arc<Kind>,
    new: &Value,
    live: Option<&Value>,
    subresource: Option<&str>,
    mut causes: Vec<Cause>,
) -> Result<(), ApiError> {
    causes.extend(check_scaled(kind, new));
    let mut found = match subresource {
        Some("status") if kind.custom.is_some() => kind.schema.validate_status(new),
        _ => kind.schema.validate(new),
    };
    if kind.custom.is_none() {
        causes.extend(builtin_rules::validate(kind, new, live));
        builtin_rules::keep_real(&mut found);
        let said = |error: &FieldError| causes.iter().any(|cause| cause.field == error.field);
        // A definition has its own rules for what is required.
        found.retain(|error| !said(error) && !crd::is_definition(&kind.at));
    }
    if kind.custom.is_some() && kind.schema.has_expressions() {
        if found.iter().any(FieldError::blocks) {
            found.push(FieldError::unchecked());
        } else {
            found.extend(kind.schema.check_expressions(new, live));
        }
    }
    causes.extend(found.into_iter().map(Cause::from));
    causes.extend(meta::validate_finalizers(kind, new));
    if crd::is_definition(&kind.at) {
        causes.extend(crd::validate(new));
        causes.extend(live.map(|live| crd::validate_change(new, live)).unwrap_or_default());
    }
    if causes.is_empty() {
        return Ok(());
    }
    Err(ApiError::invalid(kind.kind_subject(meta::text(new, "name")), &causes))
}
