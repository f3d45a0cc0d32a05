//! What is read, and what each broken rule is called.

use serde_json::json;

use super::*;

fn full() -> Value {
    json!({
        "role": "composite",
        "objects": [{"apiVersion": "example.com/v1", "kind": "Site", "labelSelector": "tier in (b,a)"}],
        "children": [{"apiVersion": "apps/v1", "kind": "Deployment", "update": "recreate"}, {"apiVersion": "v1", "kind": "ConfigMap"}],
        "reads": [{"apiVersion": "v1", "kind": "Secret", "namespace": "tls"}, {"apiVersion": "v1", "kind": "Secret"}],
        "fieldPaths": ["spec.template"],
        "finalizes": true,
        "resyncSeconds": 60,
    })
}

fn errors(change: impl FnOnce(&mut Value)) -> Vec<String> {
    let mut value = full();
    change(&mut value);
    let errors = Description::parse(&value.to_string()).expect_err("a rule is broken");
    errors.iter().map(ToString::to_string).collect()
}

#[test]
fn all_that_the_schema_allows_is_read() {
    let description = Description::parse(&full().to_string()).unwrap();
    let object = description.object(&GroupKind::new("example.com/v1", "Site")).unwrap();
    assert_eq!((description.role, &*object.version), (Role::Composite, "v1"));
    assert_eq!(object.selector.as_ref().unwrap().to_string(), "tier in (a,b)");
    assert_eq!(description.child(&GroupKind::new("apps/v1", "Deployment")).unwrap().update, Update::Recreate);
    assert_eq!(description.child(&GroupKind::new("v1", "ConfigMap")).unwrap().update, Update::InPlace);
    assert_eq!(description.child(&GroupKind::new("v1", "Secret")), None);
    assert_eq!(description.reads[0].namespace.as_deref(), Some("tls"));
    assert_eq!(description.field_paths, ["spec.template"]);
    assert!(description.finalizes);
    assert_eq!(description.resync, Some(Duration::from_secs(60)));
}

#[test]
fn the_least_that_the_schema_requires_is_enough() {
    let least = r#"{"role":"composite","objects":[{"apiVersion":"v1","kind":"Pod","labelSelector":""}]}"#;
    let description = Description::parse(least).unwrap();
    assert_eq!((&description.objects[0].selector, &description.objects[0].annotations), (&None, &None));
    assert!(description.children.is_empty() && !description.finalizes && description.resync.is_none());
}

#[test]
fn each_broken_rule_names_the_place_what_was_found_and_what_is_allowed() {
    let kind = || json!({"apiVersion": "v1", "kind": "Pod"});
    let cases: Vec<(&str, Value, &str)> = vec![
        ("/role", json!("owner"), r#"$.role: found "owner", allowed: "composite", "decorator""#),
        ("/objects", json!([]), "$.objects: found 0 kinds, allowed: exactly one kind"),
        (
            "/objects",
            json!([kind(), {"apiVersion": "v1", "kind": "Service"}]),
            "$.objects: found 2 kinds, allowed: exactly one kind",
        ),
        ("/objects", json!({}), "$.objects: found an object, allowed: a list"),
        ("/objects/0", json!(7), "$.objects[0]: found 7, allowed: an object"),
        (
            "/objects/0/apiVersion",
            json!("a/b/c"),
            r#"$.objects[0].apiVersion: found "a/b/c", allowed: "version" or "group/version", such as "apps/v1""#,
        ),
        (
            "/objects/0/apiVersion",
            json!("/v1"),
            r#"$.objects[0].apiVersion: found "/v1", allowed: "version" or "group/version", such as "apps/v1""#,
        ),
        (
            "/objects/0/kind",
            json!("site"),
            r#"$.objects[0].kind: found "site", allowed: a kind in CamelCase, such as "Deployment""#,
        ),
        (
            "/objects/0/labelSelector",
            json!("a in"),
            r#"$.objects[0].labelSelector: found "a in", allowed: a label's key: an optional DNS subdomain and a slash, then a name of at most 63 bytes"#,
        ),
        ("/objects/0/labelSelector", json!(1), "$.objects[0].labelSelector: found 1, allowed: a text"),
        (
            "/children/0/update",
            json!("rolling"),
            r#"$.children[0].update: found "rolling", allowed: "in-place", "recreate", "on-delete", "rolling-in-place", "rolling-recreate""#,
        ),
        (
            "/children/0",
            json!({"apiVersion": "v1", "kind": "ConfigMap"}),
            "$.children[1]: found ConfigMap a second time, allowed: each kind once, at one version",
        ),
        (
            "/children/0",
            json!({"apiVersion": "example.com/v2", "kind": "Site"}),
            "$.children[0]: found Site.example.com, the kind of the object itself, allowed: other kinds: children would get children without end",
        ),
        (
            "/reads/0",
            json!({"apiVersion": "v1", "kind": "Secret"}),
            "$.reads[1]: found Secret a second time, allowed: each kind once for a version and namespace",
        ),
        (
            "/reads/0/namespace",
            json!("A"),
            r#"$.reads[0].namespace: found "A", allowed: a namespace's name (a DNS label); leave it out for all namespaces"#,
        ),
        (
            "/children/0",
            json!({"apiVersion": "v1", "kind": "Pod", "maxUnavailable": "0%"}),
            r#"$.children[0].maxUnavailable: found "0%", allowed: a whole number from 1 to 10000, or a percentage from "1%" to "100%""#,
        ),
        (
            "/children/0",
            json!({"apiVersion": "v1", "kind": "Pod", "ready": [{"status": "True"}]}),
            "$.children[0].ready[0]: found an object, allowed: a condition: {type, status, reason}, of which only the type must be there",
        ),
        (
            "/fieldPaths",
            json!(["metadata.generation"]),
            r#"$.fieldPaths[0]: found "metadata.generation", allowed: a field such as "spec" or "spec.template", of neither metadata nor status"#,
        ),
        ("/fieldPaths", json!([]), "$.fieldPaths: found 0 fields, allowed: 1 to 16"),
        ("/finalizes", json!("yes"), r#"$.finalizes: found "yes", allowed: true or false"#),
        ("/resyncSeconds", json!(0), "$.resyncSeconds: found 0, allowed: a whole number of seconds from 1 to 604800"),
        (
            "/resyncSeconds",
            json!(604_801),
            "$.resyncSeconds: found 604801, allowed: a whole number of seconds from 1 to 604800",
        ),
        (
            "/resyncSeconds",
            json!(1.5),
            "$.resyncSeconds: found 1.5, allowed: a whole number of seconds from 1 to 604800",
        ),
    ];
    for (pointer, broken, message) in cases {
        let errors = errors(|value| *value.pointer_mut(pointer).expect("the pointer names a field") = broken.clone());
        assert_eq!(errors, [message], "{pointer} = {broken}");
    }
}

#[test]
fn a_decorator_names_several_kinds_each_once_and_selects_by_annotations_too() {
    let kind = |kind: &str| json!({"apiVersion": "v1", "kind": kind, "annotationSelector": "team"});
    let decorator = |objects: Value| json!({"role": "decorator", "objects": objects}).to_string();
    let description = Description::parse(&decorator(json!([kind("Pod"), kind("Service")]))).unwrap();
    assert_eq!((description.role, description.objects.len()), (Role::Decorator, 2));
    assert_eq!(description.objects[1].annotations.as_ref().unwrap().to_string(), "team");
    let error = |objects| Description::parse(&decorator(objects)).unwrap_err()[0].to_string();
    assert_eq!(error(json!([])), "$.objects: found 0 kinds, allowed: 1 to 32 kinds");
    let twice = "$.objects[1]: found Pod a second time, allowed: each kind once, at one version";
    assert_eq!(error(json!([kind("Pod"), kind("Pod")])), twice);
}

#[test]
fn a_missing_key_is_named() {
    let without = |key: &'static str| errors(move |value| _ = value.as_object_mut().unwrap().remove(key));
    assert_eq!(without("role"), [r#"$.role: found nothing, allowed: "composite", "decorator""#]);
    assert_eq!(without("objects"), ["$.objects: found nothing, allowed: a list of exactly one kind"]);
}

#[test]
fn unknown_keys_are_refused_at_every_depth() {
    for (pointer, path) in [
        ("", "$.color"),
        ("/objects/0", "$.objects[0].color"),
        ("/children/1", "$.children[1].color"),
        ("/reads/0", "$.reads[0].color"),
    ] {
        let errors = errors(|value| value.pointer_mut(pointer).unwrap()["color"] = json!("red"));
        assert_eq!(errors.len(), 1);
        assert!(errors[0].starts_with(&format!("{path}: found an unknown key, allowed: ")), "{}", errors[0]);
    }
}

#[test]
fn lists_longer_than_their_limit_are_refused() {
    let kinds =
        |max: usize| (0..=max).map(|at| json!({"apiVersion": "v1", "kind": format!("K{at}")})).collect::<Vec<_>>();
    assert_eq!(
        errors(|value| value["children"] = kinds(CHILDREN_MAX).into()),
        ["$.children: found 33 kinds, allowed: at most 32"]
    );
    assert_eq!(
        errors(|value| value["reads"] = kinds(READS_MAX).into()),
        ["$.reads: found 33 kinds, allowed: at most 32"]
    );
}

#[test]
fn all_broken_rules_are_reported_at_once() {
    let broken = r#"{"role":1,"objects":[{"kind":"x"}],"children":[{"apiVersion":"v1"}],"more":0}"#;
    let paths = Description::parse(broken).unwrap_err().into_iter().map(|error| error.path).collect::<Vec<_>>();
    assert_eq!(paths, ["$.more", "$.role", "$.objects[0].apiVersion", "$.objects[0].kind", "$.children[0].kind"]);
}

#[test]
fn what_is_no_json_is_refused_with_its_position() {
    let error = &Description::parse("{\"role\":").unwrap_err()[0];
    assert_eq!(error.to_string(), "$: found EOF while parsing a value at line 1 column 8, allowed: a JSON object");
}

#[test]
fn the_rules_here_are_those_of_the_published_schema() {
    let schema: Value = serde_json::from_str(include_str!("../../../../wit/next/description.schema.json")).unwrap();
    let properties = &schema["properties"];
    assert_eq!(properties["role"]["enum"], json!(Role::NAMES.map(|(name, _)| name)));
    assert_eq!(properties["objects"]["maxItems"], OBJECTS_MAX);
    assert_eq!(properties["children"]["maxItems"], CHILDREN_MAX);
    assert_eq!(properties["reads"]["maxItems"], READS_MAX);
    assert_eq!(properties["resyncSeconds"]["maximum"], RESYNC_SECONDS_MAX);
    assert_eq!(properties["fieldPaths"]["maxItems"], rollout::FIELD_PATHS_MAX);
    assert_eq!(properties["children"]["items"]["properties"]["ready"]["maxItems"], rollout::CHECKS_MAX);
    let names = Update::NAMES.map(|(name, _)| name);
    assert_eq!(properties["children"]["items"]["properties"]["update"]["enum"], json!(names));
    let mut keys = properties.as_object().unwrap().keys().map(String::as_str).collect::<Vec<_>>();
    keys.sort_unstable();
    assert_eq!(keys, ["children", "fieldPaths", "finalizes", "objects", "reads", "resyncSeconds", "role"]);
}
