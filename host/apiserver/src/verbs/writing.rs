//! What create, update and patch share: the options of a write, the decoding of
//! its body, the field manager, and the checks before anything is stored.

use std::sync::Arc;

use serde_json::Value;

use super::Call;
use crate::builtin_rules;
use crate::crd;
use crate::go_values;
use crate::kinds::Kind;
use crate::managed::Writer;
use crate::meta;
use crate::server::State;
use crate::status_error::{ApiError, Cause, Subject};

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
            let cause = unsupported("dryRun", &Value::from(dry_run), &["All"]);
            return Err(options_error(options, &[cause]));
        }
        let fields = match call.query.get("fieldValidation") {
            None | Some("Warn") => FieldValidation::Warn,
            Some("Strict") => FieldValidation::Strict,
            Some("Ignore") => FieldValidation::Ignore,
            Some(other) => {
                let cause = unsupported("fieldValidation", &Value::from(other), &["Ignore", "Strict", "Warn"]);
                return Err(options_error(options, &[cause]));
            }
        };
        Ok(Self {
            dry_run: !dry_run.is_empty(),
            manager: call.query.get("fieldManager").unwrap_or(&call.agent).to_owned(),
            force: call.query.flag("force"),
            fields,
        })
    }
}

fn unsupported(field: &str, value: &Value, supported: &[&str]) -> Cause {
    let supported: Vec<String> = supported.iter().map(|one| format!("{one:?}")).collect();
    Cause {
        reason: "FieldValueNotSupported",
        message: format!("Unsupported value: {value}: supported values: {}", supported.join(", ")),
        field: field.to_owned(),
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
    versions: Vec<String>,
    now: String,
}

impl<'a> Author<'a> {
    pub fn new(state: &State, kind: &Kind, options: &'a WriteOptions, subresource: Option<&'a str>) -> Self {
        let reset_fields: &[&str] = match subresource {
            None if kind.status => &["status"],
            // A custom kind's status endpoint changes nothing else.
            Some("status") if kind.custom.is_some() => &["metadata", "spec"],
            Some("status") => &["spec", "metadata.labels"],
            _ => &[],
        };
        let qualified = |version: &String| match kind.at.group.as_str() {
            "" => version.clone(),
            group => format!("{group}/{version}"),
        };
        let versions = match kind.custom {
            Some(_) => state.registry.versions_of(&kind.at).iter().map(qualified).collect(),
            None => Vec::new(),
        };
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

/// The body of a create or an update as an object of the kind.
pub(super) fn decode(kind: &Kind, call: &Call) -> Result<Value, ApiError> {
    let unrecognized = |why: &str| {
        ApiError::bad_request(format!("the object provided is unrecognized (must be of type {}): {why}", kind.kind))
    };
    if !matches!(call.content_type.as_str(), "" | "application/json") {
        return Err(ApiError::unsupported_media_type(&[
            "application/json",
            "application/yaml",
            "application/vnd.kubernetes.protobuf",
        ]));
    }
    let mut value: Value = serde_json::from_slice(&call.body)
        .map_err(|error| unrecognized(&format!("couldn't get version/kind; json parse error: {error}")))?;
    if !value.is_object() {
        return Err(unrecognized("couldn't get version/kind; json parse error: not an object"));
    }
    check_type(kind, &mut value, &unrecognized)?;
    builtin_rules::check_micro_times(kind, &value)?;
    Ok(value)
}

/// Built-in kinds may leave their type out; custom ones may not.
fn check_type(kind: &Kind, value: &mut Value, unrecognized: &dyn Fn(&str) -> ApiError) -> Result<(), ApiError> {
    let api_version = kind.api_version();
    let given = (value["apiVersion"].as_str().unwrap_or_default(), value["kind"].as_str().unwrap_or_default());
    if kind.custom.is_some() {
        if given.1.is_empty() {
            return Err(unrecognized("Object 'Kind' is missing"));
        }
        if given.0 != api_version {
            return Err(ApiError::bad_request(format!(
                "the API version in the data ({}) does not match the expected API version ({api_version})",
                given.0
            )));
        }
        if given.1 != kind.kind {
            let name = meta::text(value, "name").to_owned();
            let subject = Subject { group: &kind.at.group, what: given.1, name: &name };
            let cause = Cause::invalid("kind", given.1, &format!("must be {}", kind.kind));
            return Err(ApiError::invalid(subject, &[cause]));
        }
        return Ok(());
    }
    let wrong_version = !given.0.is_empty() && given.0 != api_version;
    let wrong_kind = !given.1.is_empty() && given.1 != kind.kind;
    if wrong_version || wrong_kind {
        let version = given.0.rsplit('/').next().unwrap_or_default();
        return Err(ApiError::bad_request(format!(
            "{} in version {version:?} cannot be handled as a {}: no kind {:?} is registered for version {:?}",
            given.1, kind.kind, given.1, given.0
        )));
    }
    value["apiVersion"] = Value::from(api_version);
    value["kind"] = Value::from(kind.kind.as_str());
    Ok(())
}

/// Takes out what the schema does not know, and says so as the client wants it.
pub(super) fn prune(kind: &Kind, value: &mut Value, options: &WriteOptions) -> Result<Vec<String>, ApiError> {
    let unknown = match options.fields {
        FieldValidation::Ignore => Vec::new(),
        FieldValidation::Warn | FieldValidation::Strict => kind.schema.unknown_fields(value),
    };
    let said: Vec<String> = unknown.iter().map(|field| format!("unknown field {field:?}")).collect();
    if options.fields == FieldValidation::Strict && !said.is_empty() {
        return Err(ApiError::bad_request(format!(
            "{} in version {:?} cannot be handled as a {}: strict decoding error: {}",
            kind.kind,
            kind.version,
            kind.kind,
            said.join(", ")
        )));
    }
    kind.schema.prune(value);
    Ok(said)
}

/// Fills in what the kind has by default.
pub(super) fn default(kind: &Kind, value: &mut Value) {
    if let Some(builtin) = &kind.builtin {
        go_values::drop_empty(&builtin.components, &builtin.component, value);
    }
    kind.schema.default(value);
    if kind.builtin.is_some() {
        builtin_rules::default(kind, value);
    }
}

/// The rules of the kind; those of the metadata are checked before.
pub(super) fn validate(
    state: &State,
    kind: &Arc<Kind>,
    new: &Value,
    live: Option<&Value>,
    subresource: Option<&str>,
    mut causes: Vec<Cause>,
) -> Result<(), ApiError> {
    let mut found = match subresource {
        Some("status") if kind.custom.is_some() => kind.schema.validate_status(new),
        _ => kind.schema.validate(new),
    };
    if kind.custom.is_none() {
        builtin_rules::keep_real(kind, &mut found)?;
        causes.extend(builtin_rules::validate(kind, new, live));
    }
    causes.extend(found.into_iter().map(Cause::from));
    if crd::is_definition(&kind.at) {
        causes.extend(crd::validate(state, new));
    }
    if causes.is_empty() {
        return Ok(());
    }
    Err(ApiError::invalid(kind.kind_subject(meta::text(new, "name")), &causes))
}
