//! The rules of a definition, as far as its authors meet them, in the words of
//! the real server.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{is_established, structural, version_name, versions};
use crate::meta;
use crate::schema::Schema;
use crate::status_error::Cause;

const API_APPROVED: &str = "api-approved.kubernetes.io";
const COLUMN_TYPES: [&str; 5] = ["boolean", "date", "integer", "number", "string"];

/// What may not change, the more so once objects may have been written.
pub(crate) fn validate_change(new: &Value, live: &Value) -> Vec<Cause> {
    let always = ["/spec/group", "/spec/names/plural"];
    let once_established = ["/spec/scope", "/spec/names/kind"];
    let fixed = if is_established(live) { &once_established[..] } else { &[] };
    let at = |object: &Value, place: &str| object.pointer(place).cloned().unwrap_or_default();
    let changed = fixed.iter().chain(&always).filter(|place| at(new, place) != at(live, place));
    let cause = |place: &&str| {
        let field = place.trim_start_matches('/').replace('/', ".");
        Cause::invalid(field, at(new, place), "field is immutable")
    };
    changed.map(cause).collect()
}

/// Everything that is wrong with a definition.
pub(crate) fn validate(new: &Value) -> Vec<Cause> {
    let spec = &new["spec"];
    let mut causes = Vec::from_iter(check_name(new));
    causes.extend(check_group(new));
    check_scope(&spec["scope"], &mut causes);
    if spec["preserveUnknownFields"] == true {
        let wrong =
            "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead";
        causes.push(Cause::invalid("spec.preserveUnknownFields", true, wrong));
    }
    causes.extend(check_versions(new));
    causes.extend(check_names(&spec["names"]));
    causes.extend(check_conversion(&spec["conversion"]));
    let stored = &new["status"]["storedVersions"];
    let storage = versions(new).filter(|version| version["storage"] == true).last().map_or("", version_name);
    match stored.as_array() {
        None => {
            causes.push(Cause::invalid("status.storedVersions", Value::Null, "must have at least one stored version"))
        }
        Some(versions) if !storage.is_empty() && !versions.iter().any(|one| one == storage) => {
            let wrong = format!("must have the storage version {storage}");
            causes.push(Cause::invalid("status.storedVersions", stored.clone(), &wrong));
        }
        Some(_) => {}
    }
    causes
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn check_name(new: &Value) -> Option<Cause> {
    let (group, plural) = (text(&new["spec"]["group"]), text(&new["spec"]["names"]["plural"]));
    let name = meta::text(new, "name");
    let wrong = "must be spec.names.plural+\".\"+spec.group";
    (name != format!("{plural}.{group}")).then(|| Cause::invalid("metadata.name", name, wrong))
}

fn check_group(new: &Value) -> Vec<Cause> {
    let group = text(&new["spec"]["group"]);
    let mut causes = Vec::new();
    if group.is_empty() {
        causes.push(Cause::required("spec.group", ""));
    } else if let Some(wrong) = meta::subdomain_fault(group) {
        causes.push(Cause::invalid("spec.group", group, &wrong));
    } else if !group.contains('.') {
        causes.push(Cause::invalid("spec.group", group, "should be a domain with at least one dot"));
    }
    let protected = ["k8s.io", "kubernetes.io"].into_iter().any(|of| group == of || group.ends_with(&format!(".{of}")));
    if protected && text(&new["metadata"]["annotations"][API_APPROVED]).is_empty() {
        let field = format!("metadata.annotations[{API_APPROVED}]");
        let why = format!(
            "protected groups must have approval annotation {API_APPROVED:?}, see https://github.com/kubernetes/enhancements/pull/1111"
        );
        causes.push(Cause::required(field, &why));
    }
    causes
}

fn check_scope(scope: &Value, causes: &mut Vec<Cause>) {
    match text(scope) {
        "" => causes.push(Cause::required("spec.scope", "")),
        "Namespaced" | "Cluster" => {}
        _ => causes.push(Cause::unsupported("spec.scope", scope, &["Cluster", "Namespaced"])),
    }
}

/// What all versions share stands once and is named without a version.
struct Shared<'a> {
    field: &'a str,
    path: &'a str,
}

const SCHEMA: Shared<'_> = Shared { field: "schema", path: "spec.validation" };
const SUBRESOURCES: Shared<'_> = Shared { field: "subresources", path: "spec.subresources" };
const COLUMNS: Shared<'_> = Shared { field: "additionalPrinterColumns", path: "spec.additionalPrinterColumns" };
const SELECTABLE: Shared<'_> = Shared { field: "selectableFields", path: "spec.selectableFields" };

impl Shared<'_> {
    /// The paths under which this part of the versions is checked, each with it.
    fn parts<'d>(&self, definition: &'d Value) -> Vec<(String, &'d Value, &'d Value)> {
        let all: Vec<&Value> = versions(definition).collect();
        let alike = all.windows(2).all(|pair| pair[0].get(self.field) == pair[1].get(self.field));
        if alike && let Some(first) = all.first() {
            return vec![(self.path.to_owned(), &first[self.field], first)];
        }
        let path = |index| format!("spec.versions[{index}].{}", self.field);
        all.into_iter().enumerate().map(|(index, version)| (path(index), &version[self.field], version)).collect()
    }
}

fn check_versions(definition: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    for (index, version) in versions(definition).enumerate() {
        let name = version_name(version);
        let field = format!("spec.versions[{index}].name");
        if name.is_empty() {
            causes.push(Cause::required(field, ""));
        } else if let Some(wrong) = meta::dns1035_fault(name) {
            causes.push(Cause::invalid(field, name, &wrong));
            if index == 0 {
                causes.push(Cause::invalid("spec.version", name, &wrong));
            }
        }
        if version["schema"]["openAPIV3Schema"].is_null() {
            causes.push(Cause::required(format!("spec.versions[{index}].schema.openAPIV3Schema"), ""));
        }
    }
    for (path, schema, _) in SCHEMA.parts(definition) {
        let schema = &schema["openAPIV3Schema"];
        if !schema.is_null() {
            causes.extend(check_schema(schema, &format!("{path}.openAPIV3Schema")));
        }
    }
    for (path, subresources, _) in SUBRESOURCES.parts(definition) {
        causes.extend(check_scale(&subresources["scale"], &format!("{path}.scale")));
    }
    for (path, columns, _) in COLUMNS.parts(definition) {
        causes.extend(check_columns(columns, &path));
    }
    for (path, fields, version) in SELECTABLE.parts(definition) {
        causes.extend(check_selectable(fields, &version["schema"]["openAPIV3Schema"], &path));
    }
    let names: Vec<&str> = versions(definition).map(version_name).collect();
    let unique: BTreeSet<&str> = names.iter().copied().collect();
    if unique.len() < names.len() {
        causes.push(wrong_versions(definition, "must contain unique version names"));
    }
    if versions(definition).filter(|version| version["storage"] == true).count() != 1 {
        let wrong = "must have exactly one version marked as storage version";
        causes.push(wrong_versions(definition, wrong));
    }
    causes
}

/// Something that is wrong with the versions together, which the server quotes
/// in its own form, without what they share.
fn wrong_versions(definition: &Value, wrong: &str) -> Cause {
    let show = |version: &Value| {
        format!(
            "{{\"Name\":{},\"Served\":{},\"Storage\":{},\"Deprecated\":{},\"DeprecationWarning\":{},\"Schema\":null,\"Subresources\":null,\"AdditionalPrinterColumns\":null,\"SelectableFields\":null}}",
            version["name"],
            version["served"],
            version["storage"],
            version["deprecated"].as_bool().unwrap_or(false),
            version["deprecationWarning"]
        )
    };
    let shown = match definition["spec"]["versions"].as_array() {
        None => "null".to_owned(),
        Some(versions) => format!("[{}]", versions.iter().map(show).collect::<Vec<_>>().join(",")),
    };
    Cause {
        reason: "FieldValueInvalid",
        message: format!("Invalid value: {shown}: {wrong}"),
        field: "spec.versions".to_owned(),
    }
}

fn check_schema(schema: &Value, path: &str) -> Vec<Cause> {
    let causes = structural::check(schema, path);
    if !causes.is_empty() {
        return causes;
    }
    // Whatever the rules let through must still be readable.
    Schema::from_crd(schema).err().map(|wrong| Cause::invalid(path, "", &wrong)).into_iter().collect()
}

fn check_scale(scale: &Value, path: &str) -> Vec<Cause> {
    let mut causes = Vec::new();
    if !scale.is_object() {
        return causes;
    }
    for (field, under, needed) in
        [("specReplicasPath", "spec", true), ("statusReplicasPath", "status", true), ("labelSelectorPath", "", false)]
    {
        let (given, field) = (text(&scale[field]), format!("{path}.{field}"));
        let below = |of: &str| given.strip_prefix(&format!(".{of}.")).is_some_and(|rest| !rest.is_empty());
        if given.is_empty() {
            causes.extend(needed.then(|| Cause::required(field, "")));
        } else if !is_simple_path(given) {
            causes.push(Cause::invalid(field, given, "must be a simple json path starting with ."));
        } else if !under.is_empty() && !below(under) {
            causes.push(Cause::invalid(field, given, &format!("should be a json path under .{under}")));
        } else if under.is_empty() && !below("spec") && !below("status") {
            causes.push(Cause::invalid(field, given, "should be a json path under either .spec or .status"));
        }
    }
    causes
}

fn is_simple_path(path: &str) -> bool {
    let good = |c: char| c.is_alphanumeric() || "._-[]\\/'\"".contains(c);
    path.starts_with('.') && path.chars().all(good)
}

fn check_columns(columns: &Value, path: &str) -> Vec<Cause> {
    let mut causes = Vec::new();
    for (index, column) in columns.as_array().into_iter().flatten().enumerate() {
        let field = |of: &str| format!("{path}[{index}].{of}");
        if text(&column["name"]).is_empty() {
            causes.push(Cause::required(field("name"), ""));
        }
        match text(&column["type"]) {
            "" => causes.push(Cause::required(field("type"), &format!("must be one of {}", COLUMN_TYPES.join(",")))),
            given if !COLUMN_TYPES.contains(&given) => {
                let wrong = format!("must be one of {}", COLUMN_TYPES.join(","));
                causes.push(Cause::invalid(field("type"), given, &wrong));
            }
            _ => {}
        }
        match text(&column["jsonPath"]) {
            "" => causes.push(Cause::required(field("JSONPath"), "")),
            given if !given.starts_with('.') => {
                causes.push(Cause::invalid(field("JSONPath"), given, "must be a simple json path starting with ."));
            }
            _ => {}
        }
    }
    causes
}

/// What objects are selected by is a plain field of the schema.
fn check_selectable(fields: &Value, schema: &Value, path: &str) -> Vec<Cause> {
    let mut causes = Vec::new();
    for (index, field) in fields.as_array().into_iter().flatten().enumerate() {
        let (given, at) = (text(&field["jsonPath"]), format!("{path}[{index}].jsonPath"));
        if given.is_empty() {
            causes.push(Cause::required(at, ""));
            continue;
        }
        let steps = given.trim_start_matches('.').split('.');
        let found = steps.fold(schema, |schema, step| &schema["properties"][step]);
        let kind = text(&found["type"]);
        if found.is_null() {
            causes.push(Cause::invalid(at, given, "is an invalid path: does not refer to a valid field"));
        } else if !matches!(kind, "string" | "boolean" | "integer") {
            let wrong = "is an invalid path: must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed.";
            causes.push(Cause::invalid(at, given, wrong));
        }
    }
    causes
}

fn check_names(names: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let mut check = |field: &str, mixed_case: bool| {
        let (given, path) = (text(&names[field]), format!("spec.names.{field}"));
        if given.is_empty() {
            causes.push(Cause::required(path, ""));
            return;
        }
        let checked = if mixed_case { given.to_lowercase() } else { given.to_owned() };
        if let Some(wrong) = meta::dns1035_fault(&checked) {
            let wrong =
                if mixed_case { format!("may have mixed case, but should otherwise match: {wrong}") } else { wrong };
            causes.push(Cause::invalid(path, given, &wrong));
        }
    };
    check("plural", false);
    check("singular", false);
    check("kind", true);
    check("listKind", true);
    for (field, items) in [("shortNames", &names["shortNames"]), ("categories", &names["categories"])] {
        for (index, item) in items.as_array().into_iter().flatten().enumerate() {
            if let Some(wrong) = meta::dns1035_fault(text(item)) {
                causes.push(Cause::invalid(format!("spec.names.{field}[{index}]"), item.clone(), &wrong));
            }
        }
    }
    let kind = text(&names["kind"]);
    if !kind.is_empty() && names["kind"] == names["listKind"] {
        causes.push(Cause::invalid("spec.names.listKind", kind, "kind and listKind may not be the same"));
    }
    causes
}

fn check_conversion(conversion: &Value) -> Vec<Cause> {
    let strategy = &conversion["strategy"];
    match text(strategy) {
        "" | "None" => Vec::new(),
        // Said rather than served wrongly: nothing here could call a webhook.
        "Webhook" => {
            let wrong = "this server converts only by the strategy None";
            vec![Cause::invalid("spec.conversion.strategy", strategy.clone(), wrong)]
        }
        _ => vec![Cause::unsupported("spec.conversion.strategy", strategy, &["None", "Webhook"])],
    }
}
