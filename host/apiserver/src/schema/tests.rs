use serde_json::{Map, json};

use super::*;

/// The schema of a custom resource that has one field for each rule. What is
/// expected of it below is what kube-apiserver 1.36 answered.
fn thing() -> Schema {
    let schema = serde_json::from_str(include_str!("tests/thing.schema.json")).expect("JSON");
    Schema::from_crd(&schema).expect("a readable schema")
}

fn object(spec: Value) -> Value {
    json!({"apiVersion": "t.example/v1", "kind": "Thing", "metadata": {"name": "a"}, "spec": spec})
}

fn errors_of(spec: Value) -> Vec<String> {
    let mut errors: Vec<_> = thing().validate(&object(spec)).iter().map(FieldError::to_string).collect();
    errors.sort();
    errors
}

fn pruned(spec: Value) -> Value {
    let mut object = object(spec);
    thing().prune(&mut object);
    object["spec"].clone()
}

fn defaulted(spec: Value) -> Value {
    let mut object = object(spec);
    thing().default(&mut object);
    object["spec"].clone()
}

#[test]
fn unknown_fields_go_and_the_rest_stays() {
    let mut resource = object(json!({"host": "x", "zz": 1, "ports": [{"port": 1, "q": 2}]}));
    resource["extra"] = json!(1);
    resource["metadata"]["labels"] = json!({"any": "label"});
    resource["metadata"]["foo"] = json!(1);
    let schema = thing();
    assert_eq!(schema.unknown_fields(&resource), ["extra", "metadata.foo", "spec.ports[0].q", "spec.zz"]);
    schema.prune(&mut resource);
    let mut expected = object(json!({"host": "x", "ports": [{"port": 1}]}));
    expected["metadata"]["labels"] = json!({"any": "label"});
    assert_eq!(resource, expected);
    assert!(schema.unknown_fields(&resource).is_empty());
}

#[test]
fn what_is_declared_free_keeps_all() {
    let free = json!({"free": {"a": {"b": [1, {"c": 2}]}}});
    assert_eq!(pruned(free.clone()), free);
}

#[test]
fn additional_properties_true_keeps_names_and_empties_the_objects_under_them() {
    let any = json!({"any": {"k": {"z": 1}, "n": 1}});
    assert_eq!(pruned(any), json!({"any": {"k": {}, "n": 1}}));
}

#[test]
fn an_embedded_resource_keeps_its_type_and_metadata() {
    let embedded = json!({"tmpl": {
        "apiVersion": "v1", "kind": "Q", "metadata": {"name": "n"}, "spec": {"q": 1, "z": 2},
    }});
    assert_eq!(
        pruned(embedded),
        json!({"tmpl": {"apiVersion": "v1", "kind": "Q", "metadata": {"name": "n"}, "spec": {"q": 1}}})
    );
}

#[test]
fn a_null_goes_unless_it_may_be_one_or_has_a_default() {
    let nulls = json!({"opt": null, "dnull": null, "sub": null, "m": {"a": null}, "free": {"x": null}});
    assert_eq!(pruned(nulls), json!({"opt": null, "dnull": null, "m": {}, "free": {"x": null}}));
}

#[test]
fn defaults_fill_what_is_absent_or_an_illegal_null() {
    assert_eq!(defaulted(json!({})), json!({"replicas": 2, "dnull": "d"}));
    assert_eq!(
        defaulted(json!({"replicas": 1, "dnull": null, "opt": null})),
        json!({"replicas": 1, "dnull": "d", "opt": null})
    );
    assert_eq!(defaulted(json!({"ports": [{"port": 1}]}))["ports"], json!([{"port": 1, "protocol": "TCP"}]));
}

#[test]
fn defaults_are_not_filled_into_what_is_not_there() {
    let mut bare = json!({"apiVersion": "t.example/v1", "kind": "Thing"});
    thing().default(&mut bare);
    assert!(bare.get("spec").is_none());
}

#[test]
fn a_null_that_apply_left_is_not_pruned_by_defaulting() {
    assert_eq!(defaulted(json!({"sub": null}))["sub"], json!(null));
    assert_eq!(
        errors_of(json!({"host": "x", "sub": null})),
        ["spec.sub: Invalid value: \"null\": spec.sub in body must be of type object: \"null\""]
    );
}

#[test]
fn a_valid_object_breaks_nothing() {
    let spec = json!({
        "host": "abc", "mode": "a", "replicas": 5, "ratio": 0.75, "port": "http", "opt": null,
        "m": {"a": "1", "b": "2"}, "tags": ["a", "b"], "args": ["1"], "when": {"x": 1},
        "ports": [{"port": 1, "protocol": "TCP"}, {"port": 1, "protocol": "UDP"}],
    });
    assert_eq!(errors_of(spec), [""; 0]);
}

#[test]
fn each_broken_rule_is_reported_in_the_servers_words() {
    let invalid = |field: &str, value: &str, rule: &str| {
        format!("spec.{field}: Invalid value: {value}: spec.{field} in body {rule}")
    };
    let wrong = |field: &str, expected: &str, found: &str| {
        let rule = format!("must be of type {expected}: \"{found}\"");
        invalid(field, &format!("\"{found}\""), &rule)
    };
    let cases = [
        (json!({}), "spec.host: Required value".to_owned()),
        (json!({"host": ""}), invalid("host", "\"\"", "should be at least 1 chars long")),
        (json!({"host": "A"}), invalid("host", "\"A\"", "should match '^[a-z]+$'")),
        (json!({"host": "abcdefghijklm"}), "spec.host: Too long: may not be more than 10 bytes".to_owned()),
        (json!({"host": 5}), wrong("host", "string", "integer")),
        (json!({"replicas": "1"}), wrong("replicas", "integer", "string")),
        (json!({"replicas": 0}), invalid("replicas", "0", "should be greater than or equal to 1")),
        (json!({"replicas": 6}), invalid("replicas", "6", "should be less than or equal to 5")),
        (json!({"ratio": 0.5}), invalid("ratio", "0.5", "should be greater than 0.5")),
        (json!({"ratio": 0}), invalid("ratio", "0", "should be greater than 0")),
        (json!({"mode": "c"}), "spec.mode: Unsupported value: \"c\": supported values: \"a\", \"b\"".to_owned()),
        (json!({"m": {"a": "1", "b": "1", "c": "1"}}), "spec.m: Too many: 3: must have at most 2 items".to_owned()),
        (json!({"m": {"a": 1}}), wrong("m.a", "string", "integer")),
        (json!({"args": []}), invalid("args", "0", "should have at least 1 items")),
        (json!({"args": ["1", "2", "3"]}), "spec.args: Too many: 3: must have at most 2 items".to_owned()),
        (json!({"tags": ["a", "a", "a"]}), "spec.tags[1]: Duplicate value: \"a\"".to_owned()),
        (
            json!({"ports": [{"port": 1, "protocol": "TCP"}, {"port": 1, "protocol": "TCP"}]}),
            "spec.ports[1]: Duplicate value: {\"port\":1,\"protocol\":\"TCP\"}".to_owned(),
        ),
        (json!({"ports": [{"name": "n"}]}), "spec.ports[0].port: Required value".to_owned()),
        (json!({"tmpl": {"apiVersion": "v1"}}), "spec.tmpl.kind: Required value".to_owned()),
        (
            json!({"when": {"x": 1, "y": 1}}),
            "<nil>: Invalid value: \"\": \"spec.when\" must validate one and only one schema \
             (oneOf). Found 2 valid alternatives"
                .to_owned(),
        ),
    ];
    for (mut spec, expected) in cases {
        if spec != json!({}) && spec.get("host").is_none() {
            spec["host"] = json!("x");
        }
        assert_eq!(errors_of(spec), [expected]);
    }
}

#[test]
fn an_int_or_string_is_one_of_the_two() {
    assert_eq!(errors_of(json!({"host": "x", "port": 80})), [""; 0]);
    let errors = errors_of(json!({"host": "x", "port": true}));
    assert!(
        errors.contains(
            &"spec.port: Invalid value: \"boolean\": spec.port in body must be of type \
          integer,string: \"boolean\""
                .to_owned()
        )
    );
    assert!(
        errors.contains(
            &"<nil>: Invalid value: \"\": \"spec.port\" must validate at least one schema (anyOf)".to_owned()
        )
    );
}

#[test]
fn a_format_is_named_in_place_of_the_type() {
    let schema = json!({"properties": {
        "time": {"type": "string", "format": "date-time"},
        "count": {"type": "integer", "format": "int32"},
    }});
    let schema = Schema::from_crd(&schema).expect("readable");
    let errors_of = |value: Value| -> Vec<_> { schema.validate(&value).iter().map(ToString::to_string).collect() };
    let wrong = |field: &str, expected: &str, found: &str| {
        format!("{field}: Invalid value: \"{found}\": {field} in body must be of type {expected}: \"{found}\"")
    };
    for time in ["2026-01-01T00:00:00Z", "2026-01-01T00:00:00.5Z", "2026-01-01T00:00:00+02:00"] {
        assert_eq!(errors_of(json!({"time": time, "count": 1})), [""; 0]);
    }
    for time in ["", "x", "2026-01-01", "2026-01-01 00:00:00Z", "2026-13-01T00:00:00Z"] {
        assert_eq!(errors_of(json!({"time": time})), [wrong("time", "date-time", time)]);
    }
    assert_eq!(errors_of(json!({"time": 5})), [wrong("time", "date-time", "int64")]);
    assert_eq!(errors_of(json!({"time": true})), [wrong("time", "date-time", "")]);
    assert_eq!(errors_of(json!({"count": "5"})), [wrong("count", "integer", "string")]);
    let out_of_format =
        "<nil>: Invalid value: \"\": Checked value must be of type integer with format int32 in count".to_owned();
    assert_eq!(errors_of(json!({"count": 2.5})), [wrong("count", "int32", "float64"), out_of_format.clone()]);
    assert_eq!(errors_of(json!({"count": 3_000_000_000_i64})), [out_of_format]);
}

#[test]
fn a_status_write_is_held_to_the_status_alone() {
    let mut thing = object(json!({}));
    thing["status"] = json!({"phase": 1, "conditions": [{"status": "T"}]});
    let errors: Vec<_> = self::thing().validate_status(&thing).iter().map(FieldError::to_string).collect();
    assert_eq!(
        errors,
        [
            "status.conditions[0].type: Required value",
            "status.phase: Invalid value: \"integer\": phase in body must be of type string: \
             \"integer\"",
        ]
    );
}

#[test]
fn what_is_empty_in_metadata_is_as_good_as_absent() {
    let mut thing = object(json!({"tmpl": {"metadata": {"labels": {}, "name": "n"}}, "m": {}}));
    thing["metadata"]["annotations"] = json!({});
    thing["metadata"]["finalizers"] = json!([]);
    self::thing().tidy_metadata(&mut thing);
    assert_eq!(thing, object(json!({"tmpl": {"metadata": {"name": "n"}}, "m": {}})));
}

#[test]
fn a_schema_that_cannot_be_read_says_where() {
    let error = |schema: Value| Schema::from_crd(&schema).expect_err("unreadable");
    let wrong_type = json!({"properties": {"spec": {"properties": {"a": {"type": "text"}}}}});
    assert_eq!(error(wrong_type), "spec: a: unknown type `text`");
    let keyless = json!({"properties": {"l": {"type": "array", "x-kubernetes-list-type": "map"}}});
    assert_eq!(error(keyless), "l: a list of type map needs x-kubernetes-list-map-keys");
    assert!(error(json!({"properties": {"a": {"pattern": "("}}})).starts_with("a: pattern: "));
    assert_eq!(error(json!({"properties": {"a": {"$ref": "#/x/Y"}}})), "a: `Y`: a CRD's schema may not use $ref");
}

fn components() -> Map<String, Value> {
    let reference = |name: &str| json!({"allOf": [{"$ref": format!("#/components/schemas/{name}")}]});
    let components = json!({
        "Deployment": {"type": "object", "properties": {
            "apiVersion": {"type": "string"}, "kind": {"type": "string"},
            "spec": {"default": {}, "allOf": [{"$ref": "#/components/schemas/Spec"}]},
        }},
        "Spec": {"type": "object", "required": ["ports"], "properties": {
            "ports": {
                "type": "array", "items": reference("Port"), "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["containerPort", "protocol"],
            },
            "nested": reference("Spec"),
            "raw": {"type": "object"},
            "quantity": reference("Quantity"),
            "selector": {
                "allOf": [{"$ref": "#/components/schemas/Port"}], "x-kubernetes-map-type": "atomic",
            },
        }},
        "Port": {"type": "object", "properties": {
            "containerPort": {"type": "integer", "default": 0},
            "protocol": {"type": "string", "default": "TCP"},
        }},
        "Quantity": {"oneOf": [{"type": "string"}, {"type": "number"}]},
    });
    components.as_object().expect("an object").clone()
}

#[test]
fn components_may_refer_to_themselves() {
    let schema = Schema::from_openapi(&components(), "Deployment").expect("readable");
    let deep = json!({"spec": {"ports": [], "nested": {"ports": [], "nested": {"ports": 1}}}});
    let errors: Vec<_> = schema.validate(&deep).iter().map(FieldError::to_string).collect();
    assert_eq!(
        errors,
        ["spec.nested.nested.ports: Invalid value: \"integer\": spec.nested.nested.ports in body \
          must be of type array: \"integer\""]
    );
}

#[test]
fn a_missing_component_is_named() {
    let error = Schema::from_openapi(&components(), "Pod").expect_err("there is none");
    assert_eq!(error, "`Pod`: no such component");
}

#[test]
fn what_stands_beside_a_reference_counts_for_that_place_only() {
    let schema = Schema::from_openapi(&components(), "Spec").expect("readable");
    let root = schema.map_of(schema.root()).expect("a map");
    let selector = schema.map_of(root.declared("selector").expect("declared")).expect("a map");
    assert!(selector.atomic);
    let ports = schema.list_of(root.declared("ports").expect("declared")).expect("a list");
    assert!(!schema.map_of(ports.items).expect("a map").atomic);
}

#[test]
fn an_object_of_which_openapi_says_nothing_keeps_all() {
    let schema = Schema::from_openapi(&components(), "Spec").expect("readable");
    let mut spec = json!({"ports": [], "raw": {"a": {"b": 1}}, "quantity": "1", "zz": 1});
    schema.prune(&mut spec);
    assert_eq!(spec, json!({"ports": [], "raw": {"a": {"b": 1}}, "quantity": "1"}));
    assert!(schema.validate(&spec).is_empty());
}

#[test]
fn a_kind_of_which_nothing_is_known_is_left_alone() {
    let free = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let schema = Schema::from_crd(&free).expect("readable");
    let mut value = json!({"a": {"b": [1, {"c": null}]}, "d": null});
    let before = value.clone();
    schema.prune(&mut value);
    schema.default(&mut value);
    assert_eq!(value, before);
    assert!(schema.validate(&value).is_empty());
}

#[test]
fn a_number_equals_itself_however_it_is_written() {
    assert!(same(&json!({"a": [1]}), &json!({"a": [1.0]})));
    assert!(!same(&json!(9_007_199_254_740_993_i64), &json!(9_007_199_254_740_992_i64)));
    assert!(!same(&json!(1), &json!("1")));
}
