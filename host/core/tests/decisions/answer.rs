//! What an answer must be, each rule broken once.

use std::time::Duration;

use serde_json::{Value, json};
use trimtab_core::{
    answer::{Event, Given, StatusIntent},
    description::Role,
};

use crate::given::{World, config_map, given};

/// The message that refuses an answer of these children.
#[track_caller]
fn refused(world: &World, children: &[Value]) -> String {
    world.check(children).expect_err("must be refused").to_string()
}

/// The message that refuses a ConfigMap with this metadata.
#[track_caller]
fn refused_with(metadata: Value) -> String {
    refused(&World::site(), &[json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})])
}

#[test]
fn a_good_answer_is_taken_whole() {
    let world = World::site();
    let texts = [config_map("x", json!({"k": "v"})).to_string()];
    let event = Event { warning: true, reason: "Slow2".into(), message: "it takes long".into() };
    let mut whole = given(&texts);
    whole.status = Some(r#"{"ready":true}"#);
    whole.events = vec![event.clone()];
    whole.requeue_after_ms = Some(1500);
    whole.finalized = true;
    whole.extra = Some("{}");

    let answer = world.check_given(whole).unwrap();
    assert_eq!(answer.children[0].place.to_string(), "ConfigMap n/x");
    assert_eq!(answer.children[0].body["metadata"], json!({"name": "x", "namespace": "n"}));
    let StatusIntent::Set(status) = answer.status else { panic!("the status was left out") };
    assert_eq!(Value::Object(status), json!({"ready": true}));
    assert_eq!(answer.events, [event]);
    assert_eq!(answer.requeue_after, Some(Duration::from_millis(1500)));
    assert!(answer.finalized);
}

#[test]
fn an_absent_status_is_told_from_an_empty_one() {
    let world = World::site();
    assert_eq!(world.check(&[]).unwrap().status, StatusIntent::Keep);
    let mut empty = given(&[]);
    empty.status = Some("{}");
    assert_eq!(world.check_given(empty).unwrap().status, StatusIntent::Set(serde_json::Map::new()));
}

#[test]
fn what_only_the_server_sets_is_dropped_so_that_an_observed_child_may_be_answered() {
    let world = World::site();
    let metadata = json!({"name": "x", "uid": "u", "resourceVersion": "5", "generation": 1, "managedFields": [],
        "creationTimestamp": null, "ownerReferences": [], "labels": {"a": "b"}});
    let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata,
        "spec": {"replicas": 1}, "status": {"replicas": 1}});
    let answer = world.check(&[deployment]).unwrap();
    assert_eq!(
        answer.children[0].body,
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"replicas": 1},
            "metadata": {"name": "x", "namespace": "n", "labels": {"a": "b"}}})
    );
}

#[test]
fn broken_json_is_refused_with_its_position() {
    let texts = [config_map("x", json!({})).to_string(), "{\n  \"kind\": }".to_owned()];
    let error = World::site().check_given(given(&texts)).unwrap_err().to_string();
    assert_eq!(error, "child 1 is not JSON: expected value at line 2 column 11");
    let mut status = given(&[]);
    status.status = Some("null");
    let error = World::site().check_given(status).unwrap_err().to_string();
    assert_eq!(error, "the answer's status is no JSON object: answer with {…}");
}

#[test]
fn a_child_must_say_what_it_is() {
    let world = World::site();
    assert_eq!(refused(&world, &[json!({})]), "child 0 has no apiVersion: each child needs one");
    assert_eq!(refused(&world, &[json!({"apiVersion": "v1"})]), "child 0 has no kind: each child needs one");
    let bare = json!({"apiVersion": "v1", "kind": "ConfigMap"});
    assert_eq!(refused(&world, &[bare]), "child 0 (ConfigMap) has no metadata: each child needs one");
    assert_eq!(refused_with(json!({})), "child 0 (ConfigMap) has no metadata.name: each child needs one");
    assert!(refused_with(json!({"generateName": "x-"})).contains("has a generateName: give it a name"));
    assert!(
        refused_with(json!({"name": "x", "labels": 5})).contains("metadata.labels of ConfigMap n/x is no JSON object")
    );
}

#[test]
fn a_name_cannot_lead_a_request_to_another_path() {
    for name in ["..", ".", "a/b", "../../secrets/x", "a%2fb"] {
        assert!(refused_with(json!({"name": name})).contains("must be neither"), "{name}");
    }
}

#[test]
fn kinds_that_are_not_declared_or_not_granted_are_refused() {
    let world = World::site();
    let of =
        |api_version: &str, kind: &str| json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": "x"}});
    assert_eq!(
        refused(&world, &[of("v1", "Pod")]),
        "child 0 (Pod) may not be written: kind Pod is not among the children of the description: declare it there"
    );
    assert_eq!(
        refused(&world, &[of("apps/v1beta1", "Deployment")]),
        "child 0 (Deployment.apps) is in version v1beta1: the description declares v1"
    );
    assert!(refused(&world, &[of("v1", "Secret")]).contains("kind Secret is not granted"));
}

#[test]
fn a_child_lies_where_its_owner_does_unless_the_policy_grants_another_place() {
    let (elsewhere, zone) = (in_namespace("m"), zone());
    assert_eq!(
        refused(&World::site(), std::slice::from_ref(&elsewhere)),
        "ConfigMap m/x may not be written: namespace m is not granted: \
         add elsewhere = [\"m\"] under [grants] in the plugin's policy"
    );
    assert!(refused(&World::site(), std::slice::from_ref(&zone)).contains("kind Zone.demo.dev is not granted"));
    let granted = World::site().under("[grants]\nelsewhere = [\"m\"]\nwrites = [\"Zone.demo.dev\"]");
    let places = granted.check(&[elsewhere, zone]).unwrap().children.into_iter().map(|child| child.place.to_string());
    assert_eq!(places.collect::<Vec<_>>(), ["ConfigMap m/x", "Zone.demo.dev x"]);
}

#[test]
fn a_child_lies_in_no_namespace_that_the_host_does_not_serve() {
    let mut world = World::site().under("[grants]\nelsewhere = [\"*\"]");
    world.namespaces = vec!["n".to_owned(), "m".to_owned()];
    assert!(world.check(&[in_namespace("m")]).is_ok());
    assert_eq!(
        refused(&world, &[in_namespace("o")]),
        "ConfigMap x in \"o\" lies in a namespace that this host does not serve: start it with --namespaces o, too"
    );
}

fn in_namespace(namespace: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "namespace": namespace}})
}

fn zone() -> Value {
    json!({"apiVersion": "demo.dev/v1", "kind": "Zone", "metadata": {"name": "x"}})
}

#[test]
fn a_cluster_scoped_owner_names_the_namespace_of_each_child() {
    let tenant = World::tenant();
    let mut child = config_map("x", json!({}));
    assert!(refused(&tenant, std::slice::from_ref(&child)).contains("so the answer must name one"));
    child["metadata"]["namespace"] = json!("m");
    assert_eq!(tenant.check(&[child]).unwrap().children[0].place.to_string(), "ConfigMap m/x");
    let mut zone = zone();
    assert_eq!(tenant.check(std::slice::from_ref(&zone)).unwrap().children[0].place.to_string(), "Zone.demo.dev x");
    zone["metadata"]["namespace"] = json!("m");
    assert!(refused(&tenant, &[zone]).contains("its kind is cluster-scoped: leave it out"));
}

#[test]
fn no_child_is_answered_twice() {
    let child = config_map("x", json!({}));
    let mut same = child.clone();
    same["metadata"]["namespace"] = json!("n");
    assert_eq!(refused(&World::site(), &[child, same]), "ConfigMap n/x is in the answer twice");
}

#[test]
fn the_marks_of_the_host_are_not_the_plugins_to_set() {
    let annotation = json!({"name": "x", "annotations": {"trimtab.dev/owner": "me"}});
    let field = r#"ConfigMap n/x sets metadata.annotations["trimtab.dev/owner"]: that is the host's, leave it out"#;
    assert_eq!(refused_with(annotation), field);
    assert!(refused_with(json!({"name": "x", "labels": {"trimtab.dev/plugin": "other"}})).contains("the host's"));
    assert!(refused_with(json!({"name": "x", "ownerReferences": [{"uid": "u1"}]})).contains("the host's"));
}

#[test]
fn an_answer_has_no_more_children_than_allowed() {
    let children = (0..6).map(|at| config_map(&format!("x{at}"), json!({}))).collect::<Vec<_>>();
    assert!(World::site().check(&children[..5]).is_ok());
    assert!(refused(&World::site(), &children).contains("has 6 children: at most 5"));
}

#[test]
fn a_decorator_sets_labels_and_annotations_that_are_neither_the_hosts_nor_unusable() {
    let world = World::site();
    let check = |labels: &[(&str, Option<&str>)], annotations: &[(&str, Option<&str>)]| {
        let owned = |pairs: &[(&str, Option<&str>)]| {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), value.map(str::to_owned))).collect()
        };
        let given = Given { labels: owned(labels), annotations: owned(annotations), ..given(&[]) };
        world.check_as(Role::Decorator, given).map_err(|error| error.to_string())
    };
    let answer = check(&[("x.dev/a", Some("1")), ("b", None)], &[("note", Some("any text: é"))]).unwrap();
    assert_eq!((answer.decoration.labels.len(), answer.decoration.annotations.len()), (2, 1));
    for key in ["trimtab.dev/plugin", "trimtab.dev/instance-id", "decorator.trimtab.dev/site"] {
        assert!(check(&[(key, Some("x"))], &[]).unwrap_err().contains("that is the host's"), "{key}");
        assert!(check(&[], &[(key, None)]).unwrap_err().contains("that is the host's"), "{key}");
    }
    assert!(check(&[("a", Some("1")), ("a", None)], &[]).unwrap_err().contains("the label \"a\" twice"));
    assert!(check(&[("a b", None)], &[]).unwrap_err().contains("a name is"));
    assert!(check(&[("a", Some("two words"))], &[]).unwrap_err().contains("to \"two words\""));
}

#[test]
fn what_a_composite_may_not_say_is_refused() {
    let world = World::site();
    let mut labels = given(&[]);
    labels.labels = vec![("a".into(), None)];
    assert!(world.check_given(labels).unwrap_err().to_string().contains("only decorators do"));
    let mut extra = given(&[]);
    extra.extra = Some(r#"{"later":1}"#);
    assert!(world.check_given(extra).unwrap_err().to_string().contains("\"later\", which this host does not know"));
    let mut many = given(&[]);
    many.events = vec![Event { warning: false, reason: "Said".into(), message: "m".into() }; 33];
    assert!(world.check_given(many).unwrap_err().to_string().contains("has 33 events: at most 32"));
    for reason in ["", "no camel", "lower", &"X".repeat(129)] {
        let mut events = given(&[]);
        events.events = vec![Event { warning: false, reason: reason.into(), message: "m".into() }];
        assert!(world.check_given(events).unwrap_err().to_string().contains("event reason"), "{reason}");
    }
}
