//! What follows from built-in kinds being Go structs: what the real server's
//! decoder takes and how it complains, what a field that was never set reads
//! like, and in which one form times and quantities are written.

use serde_json::{Map, Number, Value};

use super::{Kind, Node, NodeId, Other, Schema};
use crate::document::json_type;
use crate::go_time::{self, Layout};
use crate::quantity::Quantity;

/// How Go holds a field, which says what becomes of it when it has no value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Zero {
    /// A pointer: what is given is kept, and nothing is nothing.
    #[default]
    Kept,
    /// Its zero value is the same as nothing.
    Hidden,
    /// It is written although it is not set.
    Shown,
    /// A pointer that is written although it leads nowhere.
    Null,
}

/// Types that Go writes in a way of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Form {
    #[default]
    Plain,
    Time,
    MicroTime,
    Quantity,
    IntOrString,
    /// Any JSON, kept as it is.
    Raw,
}

impl Form {
    /// The form of a component, by its name.
    pub(super) fn of(component: &str) -> Self {
        match component.rsplit('.').next() {
            Some("Time") => Self::Time,
            Some("MicroTime") => Self::MicroTime,
            Some("Quantity") => Self::Quantity,
            Some("IntOrString") => Self::IntOrString,
            Some("RawExtension" | "FieldsV1" | "JSON") => Self::Raw,
            _ => Self::Plain,
        }
    }
}

/// Where a value stands, as the decoder's errors say it.
#[derive(Clone, Copy)]
struct Place<'a> {
    /// The innermost struct.
    of: &'a str,
    /// The fields that lead there, without keys and indices.
    path: &'a str,
}

impl Schema {
    /// Reads the object as the kind's struct would, and leaves what the struct
    /// would write. Does nothing to a custom resource.
    ///
    /// # Errors
    /// In the words of Go's decoder.
    pub(crate) fn read_struct(&self, value: &mut Value) -> Result<(), String> {
        if !self.builtin {
            return Ok(());
        }
        self.read(self.root, value, Place { of: "", path: "" })
    }

    /// The object that nobody has written anything to: what a create is
    /// compared with to find what it wrote.
    pub(crate) fn unwritten(&self) -> Value {
        self.zero(self.root)
    }

    fn read(&self, id: NodeId, value: &mut Value, place: Place<'_>) -> Result<(), String> {
        let node = self.node(id);
        match node.form {
            Form::Plain => {}
            Form::Raw => return Ok(()),
            Form::Time => return read_time(value, Layout::Seconds),
            Form::MicroTime => return read_time(value, Layout::Micros),
            Form::Quantity => return read_quantity(value),
            Form::IntOrString => return read_int_or_string(value, place),
        }
        if value.is_null() {
            *value = self.zero(id);
            return Ok(());
        }
        match (node.kind, &mut *value) {
            (Kind::Object, Value::Object(fields)) if node.fields.is_empty() => match node.other {
                Other::Typed(inner) => fields.values_mut().try_for_each(|value| self.read(inner, value, place)),
                _ => Ok(()),
            },
            (Kind::Object, Value::Object(fields)) => self.read_fields(node, fields, place),
            (Kind::Array, Value::Array(items)) => match node.items {
                Some(inner) => items.iter_mut().try_for_each(|item| self.read(inner, item, place)),
                None => Ok(()),
            },
            (Kind::String, Value::String(text)) if node.is_bytes() => check_base64(text),
            (Kind::String, Value::String(_)) | (Kind::Boolean, Value::Bool(_)) | (Kind::Any, _) => Ok(()),
            (Kind::Number, Value::Number(_)) => Ok(()),
            (Kind::Integer, Value::Number(number)) if holds(node, number) => Ok(()),
            (Kind::Integer, Value::Number(number)) => {
                Err(misfit(&format!("number {number}"), place, &self.go_type(id)))
            }
            (_, value) => Err(misfit(json_type(value), place, &self.go_type(id))),
        }
    }

    fn read_fields(&self, node: &Node, fields: &mut Map<String, Value>, place: Place<'_>) -> Result<(), String> {
        let of = node.name.as_deref().map_or("", |name| name.rsplit('.').next().unwrap_or(name));
        for (name, &id) in &node.fields {
            let path = if place.path.is_empty() { name.clone() } else { format!("{}.{name}", place.path) };
            let zero = self.node(id).zero;
            match fields.get_mut(name) {
                Some(value) if !value.is_null() => {
                    self.read(id, value, Place { of, path: &path })?;
                    if zero == Zero::Hidden && is_zero(value) {
                        fields.remove(name);
                    }
                }
                _ if zero == Zero::Shown => {
                    fields.insert(name.clone(), self.zero(id));
                }
                _ if zero == Zero::Null => {
                    fields.insert(name.clone(), Value::Null);
                }
                _ => {
                    fields.remove(name);
                }
            }
        }
        Ok(())
    }

    /// What a type reads like that was never set.
    pub(super) fn zero(&self, id: NodeId) -> Value {
        let node = self.node(id);
        match (node.form, node.kind) {
            (Form::Quantity, _) => Value::from("0"),
            (Form::IntOrString, _) | (Form::Plain, Kind::Integer | Kind::Number) => Value::from(0),
            (Form::Plain, Kind::String) if !node.is_bytes() => Value::from(""),
            (Form::Plain, Kind::Boolean) => Value::from(false),
            (Form::Plain, Kind::Object) if !node.fields.is_empty() => {
                let shown = |(name, &id): (&String, &NodeId)| match self.node(id).zero {
                    Zero::Shown => Some((name.clone(), self.zero(id))),
                    Zero::Null => Some((name.clone(), Value::Null)),
                    Zero::Kept | Zero::Hidden => None,
                };
                Value::Object(node.fields.iter().filter_map(shown).collect())
            }
            _ => Value::Null,
        }
    }

    /// The type as Go calls it.
    fn go_type(&self, id: NodeId) -> String {
        let node = self.node(id);
        if let Some(name) = &node.name {
            return name.clone();
        }
        let inner = |id: Option<NodeId>| id.map_or_else(|| "interface {}".to_owned(), |id| self.go_type(id));
        match (node.kind, node.format.as_deref()) {
            (Kind::Array, _) => format!("[]{}", inner(node.items)),
            (Kind::Object, _) => match node.other {
                Other::Typed(id) => format!("map[string]{}", self.go_type(id)),
                _ => "map[string]interface {}".to_owned(),
            },
            (Kind::String, Some("byte")) => "[]uint8".to_owned(),
            (Kind::String, _) => "string".to_owned(),
            (Kind::Boolean, _) => "bool".to_owned(),
            (Kind::Integer, Some("int32")) => "int32".to_owned(),
            (Kind::Integer, _) => "int64".to_owned(),
            (Kind::Number, _) => "float64".to_owned(),
            _ if node.form == Form::Quantity => "resource.Quantity".to_owned(),
            _ => "interface {}".to_owned(),
        }
    }
}

/// Whether a field that hides its zero value has it.
fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
    }
}

fn holds(node: &Node, number: &Number) -> bool {
    match node.format.as_deref() {
        Some("int32") => number.as_i64().is_some_and(|number| i32::try_from(number).is_ok()),
        _ => number.is_i64(),
    }
}

fn misfit(found: &str, place: Place<'_>, wanted: &str) -> String {
    let Place { of, path } = place;
    let into = if path.is_empty() { "value".to_owned() } else { format!("struct field {of}.{path}") };
    format!("json: cannot unmarshal {found} into Go {into} of type {wanted}")
}

fn read_time(value: &mut Value, layout: Layout) -> Result<(), String> {
    match value {
        Value::Null => Ok(()),
        Value::String(text) => {
            *value = Value::from(go_time::normal(text, layout)?);
            Ok(())
        }
        other => Err(format!("json: cannot unmarshal {} into Go value of type string", json_type(other))),
    }
}

fn read_quantity(value: &mut Value) -> Result<(), String> {
    let quantity = match &*value {
        Value::Null => "0".parse::<Quantity>(),
        Value::String(text) => text.parse(),
        other => other.to_string().parse(),
    };
    *value = Value::from(quantity.map_err(|error| error.to_string())?.to_string());
    Ok(())
}

fn read_int_or_string(value: &mut Value, place: Place<'_>) -> Result<(), String> {
    match value {
        Value::String(_) => Ok(()),
        Value::Number(number) if number.as_i64().is_some_and(|number| i32::try_from(number).is_ok()) => Ok(()),
        Value::Number(number) => Err(misfit(&format!("number {number}"), place, "int32")),
        Value::Null => {
            *value = Value::from(0);
            Ok(())
        }
        other => Err(misfit(json_type(other), place, "int32")),
    }
}

fn check_base64(text: &str) -> Result<(), String> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    let body = text.trim_end_matches('=');
    let padding = text.len() - body.len();
    let fault = match body.bytes().position(|byte| !good(byte)) {
        Some(at) => Some(at),
        None if padding > 2 => Some(body.len()),
        None if !text.len().is_multiple_of(4) => Some(text.len() / 4 * 4),
        None => None,
    };
    fault.map_or(Ok(()), |at| Err(format!("illegal base64 data at input byte {at}")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::kinds::Registry;

    fn read(group: &str, resource: &str, mut object: serde_json::Value) -> Result<serde_json::Value, String> {
        let kind = Registry::builtin().find(group, "v1", resource).unwrap();
        kind.schema.read_struct(&mut object)?;
        Ok(object)
    }

    #[test]
    fn an_unwritten_deployment_has_its_structs_and_no_more() {
        let kind = Registry::builtin().find("apps", "v1", "deployments").unwrap();
        assert_eq!(
            kind.schema.unwritten(),
            json!({
                "metadata": {}, "status": {},
                "spec": { "selector": null, "strategy": {},
                          "template": { "metadata": {}, "spec": { "containers": null } } },
            })
        );
    }

    #[test]
    fn empty_fields_go_and_structs_and_pointers_stay() {
        let pod = json!({ "metadata": { "labels": {} }, "spec": {
            "nodeSelector": {}, "containers": [], "hostname": "", "shareProcessNamespace": false,
            "volumes": [{ "name": "v", "emptyDir": {} }] } });
        let read = read("", "pods", pod).unwrap();
        let volumes = json!([{ "name": "v", "emptyDir": {} }]);
        let spec = json!({ "containers": [], "volumes": volumes, "shareProcessNamespace": false });
        assert_eq!(read, json!({ "metadata": {}, "spec": spec, "status": {} }));
    }

    #[test]
    fn what_is_always_written_shows_its_zero_value() {
        let conditions = json!([{ "type": "Available", "status": "True" }]);
        let read = read("apps", "deployments", json!({ "status": { "conditions": conditions } })).unwrap();
        assert_eq!(
            read["status"]["conditions"][0],
            json!({ "type": "Available", "status": "True", "lastTransitionTime": null, "lastUpdateTime": null })
        );
    }

    #[test]
    fn quantities_and_times_have_one_form() {
        let claim = json!({ "spec": { "resources": { "requests": { "storage": "1024Mi", "x": 0.5 } } } });
        let claim = read("", "persistentvolumeclaims", claim).unwrap();
        assert_eq!(claim["spec"]["resources"]["requests"], json!({ "storage": "1Gi", "x": "500m" }));
        let event = json!({ "lastTimestamp": "2026-01-01T01:00:00.7+01:00", "eventTime": null });
        let event = read("", "events", event).unwrap();
        assert_eq!(event["lastTimestamp"], "2026-01-01T00:00:00Z");
        assert_eq!(event["eventTime"], json!(null));
    }

    #[test]
    fn a_misfit_is_named_by_its_struct_and_path() {
        for (resource, object, message) in [
            (
                "deployments",
                json!({ "spec": { "replicas": "3" } }),
                "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32",
            ),
            (
                "deployments",
                json!({ "spec": { "replicas": 3_000_000_000_u64 } }),
                "json: cannot unmarshal number 3000000000 into Go struct field DeploymentSpec.spec.replicas of type int32",
            ),
            (
                "deployments",
                json!({ "spec": { "template": [] } }),
                "json: cannot unmarshal array into Go struct field DeploymentSpec.spec.template of type v1.PodTemplateSpec",
            ),
            (
                "deployments",
                json!({ "metadata": { "labels": ["a"] } }),
                "json: cannot unmarshal array into Go struct field ObjectMeta.metadata.labels of type map[string]string",
            ),
            (
                "deployments",
                json!({ "spec": { "template": { "spec": { "containers": [{ "args": [1] }] } } } }),
                "json: cannot unmarshal number into Go struct field Container.spec.template.spec.containers.args of type string",
            ),
        ] {
            assert_eq!(read("apps", resource, object).unwrap_err(), message);
        }
        let data = json!({ "binaryData": { "x": "!!" } });
        assert_eq!(read("", "configmaps", data).unwrap_err(), "illegal base64 data at input byte 0");
    }
}
