mod properties;
mod rules;

use serde_json::{Value, json};

use super::*;

/// The schema that all of these tests write to: one field for each way to merge.
fn schema() -> Schema {
    let schema = include_str!("../schema/tests/thing.schema.json");
    Schema::from_crd(&serde_json::from_str(schema).expect("JSON")).expect("a readable schema")
}

fn thing(spec: Value) -> Value {
    json!({"apiVersion": "t.example/v1", "kind": "Thing", "metadata": {"name": "a"}, "spec": spec})
}

/// A manager that writes to the main endpoint at the first second of some minute.
fn writer(manager: &str) -> Writer<'_> {
    Writer {
        manager,
        api_version: "t.example/v1",
        subresource: None,
        reset_fields: &["status"],
        versions: &[],
        now: "2026-01-01T00:00:00Z",
    }
}

fn status_writer(manager: &str) -> Writer<'_> {
    Writer { subresource: Some("status"), reset_fields: &["metadata", "spec"], ..writer(manager) }
}

/// What `managedFields` say that a manager owns, by either operation.
fn owned_by(object: &Value, manager: &str) -> Value {
    let entries = object["metadata"]["managedFields"].as_array().into_iter().flatten();
    let mut entries = entries.filter(|entry| entry["manager"] == manager);
    let fields = entries.next().map_or(Value::Null, |entry| entry["fieldsV1"].clone());
    assert!(entries.next().is_none(), "{manager} has one entry");
    fields
}

fn without_managers(mut object: Value) -> Value {
    Managers::default().set_on(&mut object);
    object
}

/// A request as kube-apiserver 1.36.3 got it, and what it answered. The object
/// that it met is the one that the step before left; `create` starts anew.
struct Step {
    step: Value,
}

impl Step {
    fn text(&self, name: &str) -> &str {
        self.step[name].as_str().unwrap_or_default()
    }

    /// Writes as the server's handlers do around these functions.
    fn replay(&self, schema: &Schema, live: Option<&Value>) -> Result<Value, Value> {
        let to_status = !self.step["subresource"].is_null();
        let writer = if to_status { status_writer } else { writer };
        let mut writer = writer(self.text("manager"));
        writer.now = self.text("now");
        let mut body = self.step["body"].clone();
        let mut object = if self.text("op") == "apply" {
            apply(schema, live, &body, &writer, self.step["force"] == true)
                .map_err(|error| json!({"error": error.to_string()}))?
        } else {
            schema.prune(&mut body);
            schema.default(&mut body);
            update(schema, live, body, &writer)
        };
        schema.default(&mut object);
        reset(live, &mut object, to_status);
        if let Some(live) = live {
            keep_times(live, &mut object);
        }
        let errors = match to_status {
            true => schema.validate_status(&object),
            false => schema.validate(&object),
        };
        if !errors.is_empty() {
            let mut errors: Vec<_> = errors.iter().map(ToString::to_string).collect();
            errors.sort();
            return Err(json!({"invalid": errors}));
        }
        schema.prune(&mut object);
        schema.tidy_metadata(&mut object);
        Ok(object)
    }
}

/// Puts back what the endpoint cannot change.
fn reset(live: Option<&Value>, object: &mut Value, to_status: bool) {
    let kept: &[&str] = if to_status { &["metadata", "spec"] } else { &["status"] };
    let managers = object["metadata"]["managedFields"].clone();
    for name in kept {
        match live.and_then(|live| live.get(*name)) {
            Some(value) => object[*name] = value.clone(),
            None => {
                object.as_object_mut().expect("an object").remove(*name);
            }
        }
    }
    object["metadata"]["managedFields"] = managers;
}

#[test]
fn a_recorded_session_with_a_real_server_repeats_itself() {
    let schema = schema();
    let mut live: Option<Value> = None;
    let session = include_str!("tests/kube-apiserver.jsonl");
    for (index, line) in session.lines().enumerate() {
        let step = Step { step: serde_json::from_str(line).expect("JSON") };
        if step.step["create"] == true {
            live = None;
        }
        match step.replay(&schema, live.as_ref()) {
            Err(refused) => {
                for (kind, found) in refused.as_object().expect("an object") {
                    assert_eq!(*found, step.step[kind], "step {index}");
                }
            }
            Ok(found) => {
                let expected = &step.step["result"];
                let named = |object: &Value| {
                    // Set by the storage on creation, and no part of this.
                    let mut object = object.clone();
                    for name in ["uid", "namespace"] {
                        object["metadata"].as_object_mut().expect("metadata").remove(name);
                    }
                    object
                };
                let (found, recorded) = (named(&found), named(expected));
                assert!(same(&found, &recorded), "step {index}:\n{found:#}\n{recorded:#}");
                live = Some(expected.clone());
            }
        }
    }
}
