//! What hooks are sent and what is made of their answers, with no WebAssembly.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::{cell::RefCell, time::Duration};

use bridge::{
    answer::Answer,
    config::Config,
    hook::{Failure, Reply},
    related::Cache,
    run::{Group, run},
};
use serde_json::{Value, json};

fn config(spec: Value) -> Value {
    json!({
        "kinds": { "sites.example.dev": "Site", "pods": "Pod", "secrets": "Secret", "nodes": "Node",
            "namespaces": "Namespace" },
        "cluster_scoped": ["nodes", "namespaces"],
        "related": ["v1/secrets", "v1/nodes", "v1/namespaces"],
        "controller": { "kind": "CompositeController", "metadata": { "name": "site" }, "spec": spec },
    })
}

/// The config of a decorator of two kinds.
fn decorator(change: &dyn Fn(&mut Value)) -> Value {
    let mut spec = json!({
        "resources": [
            { "apiVersion": "example.dev/v1", "resource": "sites", "labelSelector": { "matchLabels": { "tier": "web" } } },
            { "apiVersion": "v1", "resource": "nodes", "annotationSelector": {
                "matchAnnotations": { "a": "b" }, "matchExpressions": [{ "key": "c", "operator": "Exists" }] } },
        ],
        "attachments": [{ "apiVersion": "v1", "resource": "pods", "updateStrategy": { "method": "InPlace" } }],
        "hooks": { "sync": { "webhook": { "url": "http://hook/sync" } } },
    });
    change(&mut spec);
    let mut config = config(spec);
    config["controller"]["kind"] = json!("DecoratorController");
    config
}

fn spec() -> Value {
    json!({
        "parentResource": { "apiVersion": "example.dev/v1", "resource": "sites" },
        "childResources": [{ "apiVersion": "v1", "resource": "pods" }],
        "hooks": { "sync": { "webhook": { "url": "http://hook/sync" } } },
    })
}

/// A cache that says what it was asked.
#[derive(Default)]
struct Asked(RefCell<Vec<String>>);

impl Cache for Asked {
    fn get(&self, _: &str, kind: &str, namespace: Option<&str>, name: &str) -> Result<Option<String>, String> {
        self.0.borrow_mut().push(format!("get {kind} {namespace:?} {name}"));
        Ok(Some(json!({ "metadata": { "namespace": namespace, "name": name } }).to_string()))
    }

    fn select(&self, _: &str, kind: &str, namespace: Option<&str>, labels: &str) -> Result<Vec<String>, String> {
        self.0.borrow_mut().push(format!("select {kind} {namespace:?} {labels}"));
        let named = |(namespace, name)| json!({ "metadata": { "namespace": namespace, "name": name } }).to_string();
        let everywhere = [("one", "tls"), ("two", "tls"), ("two", "other")];
        if kind == "Namespace" {
            return Ok(["n", "two"].map(|name| named(("", name))).into());
        }
        Ok(if labels.is_empty() { everywhere.map(named).into() } else { Vec::new() })
    }
}

const PARENT: &str = r#"{"metadata":{"name":"a","namespace":"n","uid":"u1","generation":3}}"#;
const CLUSTER_PARENT: &str = r#"{"metadata":{"name":"a","uid":"u1"}}"#;

/// Runs with hooks that answer in turn; returns what they were sent, too.
fn ran(
    config: &Value,
    parent: &str,
    finalizing: bool,
    replies: &[(u16, &str)],
) -> (Result<Answer, Failure>, Vec<Value>, Vec<String>) {
    let config = Config::read(&config.to_string()).unwrap();
    let pod = json!({ "metadata": { "name": "p", "namespace": "n" } });
    let children = [Group { api_version: "v1".into(), kind: "Pod".into(), objects: vec![pod.to_string()] }];
    let (sent, cache) = (RefCell::new(Vec::new()), Asked::default());
    let post = |url: &str, body: &[u8], timeout: Duration| {
        assert_eq!(timeout, Duration::from_secs(10), "Metacontroller's own");
        let (status, body_back) = replies[sent.borrow().len()];
        sent.borrow_mut().push(json!({ "url": url, "body": serde_json::from_slice::<Value>(body).unwrap() }));
        let headers = vec![("retry-after".to_owned(), "7".to_owned()), ("location".to_owned(), "http://x/".to_owned())];
        Ok(Reply { status, headers, body: body_back.as_bytes().to_vec() })
    };
    let answer = run(&config, parent, &children, finalizing, &post, &cache);
    (answer, sent.into_inner(), cache.0.into_inner())
}

#[test]
fn the_description_follows_from_the_controller() {
    let mut spec = spec();
    spec["parentResource"]["labelSelector"] = json!({
        "matchLabels": { "tier": "web" },
        "matchExpressions": [{ "key": "zone", "operator": "In", "values": ["a", "b"] }, { "key": "old", "operator": "DoesNotExist" }],
    });
    spec["parentResource"]["revisionHistory"] = json!({ "fieldPaths": ["spec.template"] });
    let conditions = json!([{ "type": "Ready", "status": "True" }]);
    spec["childResources"][0]["updateStrategy"] =
        json!({ "method": "RollingRecreate", "statusChecks": { "conditions": conditions } });
    spec["resyncPeriodSeconds"] = json!(30);
    spec["hooks"]["finalize"] = spec["hooks"]["sync"].clone();
    let description = Config::read(&config(spec).to_string()).unwrap().description().unwrap();
    let expected = json!({
        "role": "composite",
        "objects": [{ "apiVersion": "example.dev/v1", "kind": "Site", "labelSelector": "tier=web,zone in (a,b),!old" }],
        "children": [{ "apiVersion": "v1", "kind": "Pod", "update": "rolling-recreate", "ready": conditions }],
        "reads": [{ "apiVersion": "v1", "kind": "Secret" }, { "apiVersion": "v1", "kind": "Node" },
            { "apiVersion": "v1", "kind": "Namespace" }],
        "fieldPaths": ["spec.template"],
        "finalizes": true,
        "resyncSeconds": 30,
    });
    assert_eq!(description, expected);
}

#[test]
fn a_decorators_description_has_all_its_kinds_with_their_selectors() {
    let description = Config::read(&decorator(&|_| ()).to_string()).unwrap().description().unwrap();
    assert_eq!(description["role"], "decorator");
    let objects = json!([
        { "apiVersion": "example.dev/v1", "kind": "Site", "labelSelector": "tier=web" },
        { "apiVersion": "v1", "kind": "Node", "annotationSelector": "a=b,c" },
    ]);
    assert_eq!(description["objects"], objects);
    assert_eq!(description["children"], json!([{ "apiVersion": "v1", "kind": "Pod", "update": "in-place" }]));
}

#[test]
fn a_decorators_hooks_are_shown_object_and_attachments_and_set_labels_annotations_and_status() {
    let customize = json!({ "webhook": { "url": "http://hook/customize" } });
    let config = decorator(&|spec| spec["hooks"]["customize"] = customize.clone());
    let reply = json!({
        "labels": { "a": "b", "gone": null, "decorator.trimtab.dev/site": "" },
        "annotations": { "c": "d" },
        "status": { "seen": true },
        "attachments": [{ "kind": "Pod", "metadata": { "name": "p", "annotations": null } }],
    });
    let (answer, sent, _) = ran(&config, PARENT, false, &[(200, "{}"), (200, &reply.to_string())]);
    let answer = answer.unwrap();
    assert_eq!(sent[0]["body"]["parent"]["metadata"]["name"], "a", "what customize calls it");
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&sent[1]["body"]), ["attachments", "controller", "finalizing", "object", "related"]);
    assert_eq!(keys(&sent[1]["body"]["attachments"]["Pod.v1"]), ["p"]);
    assert_eq!(answer.labels, [("a".to_owned(), Some("b".to_owned())), ("gone".to_owned(), None)]);
    assert_eq!(answer.annotations, [("c".to_owned(), Some("d".to_owned()))]);
    assert_eq!(answer.status, Some(json!({ "seen": true })), "as it was answered");
    let child = serde_json::from_str::<Value>(&answer.children[0]).unwrap();
    assert_eq!(child["metadata"]["annotations"], json!({ "metacontroller.k8s.io/decorator-controller": "site" }));

    let (answer, _, _) = ran(&decorator(&|_| ()), PARENT, false, &[(200, "{}")]);
    assert_eq!(answer.unwrap().status, None, "no status leaves it");
    let (answer, _, _) = ran(&decorator(&|_| ()), PARENT, false, &[(200, r#"{"labels":{"a":1}}"#)]);
    assert!(answer.unwrap_err().message.contains("labels in which \"a\" is a number"));
}

#[test]
fn a_child_is_answered_as_it_was_shown_without_what_the_host_has_put_there() {
    let shown = json!({ "kind": "Pod", "metadata": {
        "name": "p",
        "labels": { "trimtab.dev/plugin": "site", "own": "yes", "nottrimtab.dev/x": "y" },
        "annotations": { "trimtab.dev/intent": "1" },
        "ownerReferences": [{ "uid": "u1", "controller": true }, { "uid": "u9" }],
    } });
    let reply = json!({ "children": [shown, null, "none"] }).to_string();
    let (answer, _, _) = ran(&config(spec()), PARENT, false, &[(200, &reply)]);
    let children = answer.unwrap().children;
    let metadata = json!({ "name": "p", "labels": { "own": "yes", "nottrimtab.dev/x": "y" }, "annotations": {},
        "ownerReferences": [{ "uid": "u9" }] });
    assert_eq!(serde_json::from_str::<Value>(&children[0]).unwrap()["metadata"], metadata);
    assert_eq!(children[1..], ["\"none\""], "the host refuses that: it is not as if there were none");
}

#[test]
fn what_the_config_lacks_or_does_not_know_is_named() {
    let error = |change: &dyn Fn(&mut Value)| {
        let mut config = config(spec());
        change(&mut config);
        Config::read(&config.to_string()).and_then(|config| config.description()).unwrap_err()
    };
    assert_eq!(
        error(&|it| it["kinds"] = json!({})),
        "config.kinds lacks \"sites.example.dev\": add the kind of sites of example.dev/v1"
    );
    assert!(error(&|it| it["controller"]["spec"]["colour"] = json!(1)).contains("unknown field `colour`"));
    assert!(error(&|it| it["controller"]["kind"] = json!("MapController")).contains("\"MapController\""));
    assert!(
        error(&|it| it["controller"]["spec"]["hooks"]["sync"]["webhook"] = json!({}))
            .contains("either a url or a service")
    );
}

#[test]
fn a_hooks_time_is_read_as_the_server_writes_it() {
    let timeout = |text: &str| {
        let mut spec = spec();
        spec["hooks"]["sync"]["webhook"]["timeout"] = json!(text);
        let config = Config::read(&config(spec).to_string())?;
        config.controller.hooks.sync.timeout()
    };
    assert_eq!(timeout("1m30s").unwrap(), Duration::from_secs(90));
    assert_eq!(timeout("500ms").unwrap(), Duration::from_millis(500));
    assert!(timeout("soon").unwrap_err().contains("found \"soon\""));
}

#[test]
fn children_are_keyed_as_the_hooks_version_has_it() {
    let key = |parent: &str, version: &str| {
        let mut spec = spec();
        spec["hooks"]["sync"]["version"] = json!(version);
        let (_, sent, _) = ran(&config(spec), parent, false, &[(200, "{}")]);
        sent[0]["body"]["children"]["Pod.v1"].as_object().unwrap().keys().next().unwrap().clone()
    };
    assert_eq!([key(PARENT, "v1"), key(PARENT, "v2"), key(CLUSTER_PARENT, "v1")], ["p", "n/p", "n/p"]);
}

#[test]
fn an_answer_becomes_children_status_and_times() {
    let mut spec = spec();
    spec["generateSelector"] = json!(true);
    let reply =
        r#"{"status":{"ready":true},"children":[{"kind":"Pod","metadata":{"name":"p"}}],"resyncAfterSeconds":1.5}"#;
    let (answer, _, _) = ran(&config(spec), PARENT, false, &[(200, reply)]);
    let answer = answer.unwrap();
    assert_eq!(answer.status, Some(json!({ "ready": true, "observedGeneration": 3 })));
    assert_eq!((answer.requeue_after_ms, answer.finalized), (Some(1500), false));
    let child = serde_json::from_str::<Value>(&answer.children[0]).unwrap();
    assert_eq!(child["metadata"]["labels"]["controller-uid"], "u1");
    let (answer, _, _) = ran(&config(self::spec()), PARENT, false, &[(200, r#"{"status":null}"#)]);
    assert_eq!(answer.unwrap().status, Some(json!({})), "no status wipes it");
}

#[test]
fn a_service_is_called_by_its_name_and_finalize_goes_to_its_own_hook() {
    let mut spec = spec();
    let service = json!({ "name": "hooks", "namespace": "kubeflow", "port": 8080 });
    spec["hooks"]["finalize"] = json!({ "webhook": { "service": service, "path": "/finalize" } });
    let (answer, sent, _) = ran(&config(spec), PARENT, true, &[(200, r#"{"finalized":true}"#)]);
    assert!(answer.unwrap().finalized);
    assert_eq!(sent[0]["url"], "http://hooks.kubeflow:8080/finalize");
    assert_eq!(sent[0]["body"]["finalizing"], true);
}

#[test]
fn customize_looks_up_by_name_or_label_in_the_parents_namespace() {
    let mut spec = spec();
    spec["hooks"]["customize"] = json!({ "webhook": { "url": "http://hook/customize" } });
    let asks = |rule: Value| {
        let reply = json!({ "relatedResources": [rule] }).to_string();
        ran(&config(spec.clone()), PARENT, false, &[(200, &reply), (200, "{}")])
    };
    let (_, sent, asked) = asks(json!({ "apiVersion": "v1", "resource": "secrets", "names": ["tls"] }));
    assert_eq!(asked, ["get Secret Some(\"n\") tls"]);
    assert_eq!(sent[1]["body"]["related"]["Secret.v1"]["tls"]["kind"], "Secret");
    let (_, sent, asked) =
        asks(json!({ "apiVersion": "v1", "resource": "nodes", "labelSelector": { "matchLabels": { "a": "b" } } }));
    assert_eq!(
        (asked, &sent[1]["body"]["related"]),
        (vec!["select Node None a=b".to_owned()], &json!({ "Node.v1": {} }))
    );
    let (answer, _, _) =
        asks(json!({ "apiVersion": "v1", "resource": "secrets", "names": ["tls"], "labelSelector": {} }));
    assert!(answer.unwrap_err().message.contains("it is one of them"));
    let (answer, _, _) = asks(json!({ "apiVersion": "v1", "resource": "pods" }));
    assert!(answer.unwrap_err().message.contains("add \"v1/pods\" to config.related"));
    let (answer, _, _) = asks(json!({ "apiVersion": "v1", "resource": "secrets", "namespace": "other" }));
    assert!(answer.unwrap_err().message.contains("a parent in n relates to that namespace only"));
}

#[test]
fn customize_looks_into_the_namespaces_that_a_selector_matches() {
    let mut spec = spec();
    spec["hooks"]["customize"] = json!({ "webhook": { "url": "http://hook/customize" } });
    let asks = |parent: &str, more: Value| {
        let mut rule = json!({ "apiVersion": "v1", "resource": "secrets",
            "namespaceSelector": { "matchLabels": { "team": "web" } } });
        more.as_object().unwrap().iter().for_each(|(field, value)| rule[field] = value.clone());
        let reply = json!({ "relatedResources": [rule] }).to_string();
        let (answer, _, asked) = ran(&config(spec.clone()), parent, false, &[(200, &reply), (200, "{}")]);
        (answer.map(|_| ()).map_err(|failure| failure.message), asked)
    };
    let namespaces = "select Namespace None team=web".to_owned();
    let selects = |namespace: &str| format!("select Secret Some({namespace:?}) ");
    let (_, asked) = asks(CLUSTER_PARENT, json!({}));
    assert_eq!(asked, [namespaces.clone(), selects("n"), selects("two")]);
    let (_, asked) = asks(PARENT, json!({}));
    assert_eq!(asked, [namespaces.clone(), selects("n")], "a parent in a namespace relates to that one");
    let (_, asked) = asks(CLUSTER_PARENT, json!({ "names": ["tls"] }));
    assert_eq!(asked, [namespaces, "get Secret Some(\"n\") tls".into(), "get Secret Some(\"two\") tls".into()]);
    let (refused, _) = asks(CLUSTER_PARENT, json!({ "namespace": "n" }));
    assert!(refused.unwrap_err().contains("names one, too"));
    let (refused, _) = asks(CLUSTER_PARENT, json!({ "resource": "nodes" }));
    assert!(refused.unwrap_err().contains("they lie in none"));
}

#[test]
fn by_name_alone_an_object_without_a_namespace_relates_to_those_in_all_of_them() {
    let mut spec = spec();
    spec["hooks"]["customize"] = json!({ "webhook": { "url": "http://hook/customize" } });
    let asks = |rule: Value| {
        let reply = json!({ "relatedResources": [rule] }).to_string();
        let (_, sent, asked) = ran(&config(spec.clone()), CLUSTER_PARENT, false, &[(200, &reply), (200, "{}")]);
        let related = sent[1]["body"]["related"].as_object().unwrap().values().next().unwrap().clone();
        (asked, related.as_object().unwrap().keys().cloned().collect::<Vec<_>>())
    };
    let secret = |namespace: Value| json!({ "apiVersion": "v1", "resource": "secrets", "names": ["tls"], "namespace": namespace });
    let (asked, found) = asks(secret(Value::Null));
    assert_eq!(
        (asked, found),
        (vec!["select Secret None ".to_owned()], vec!["one/tls".to_owned(), "two/tls".to_owned()])
    );
    let (asked, found) = asks(secret(json!("one")));
    assert_eq!((asked, found), (vec!["get Secret Some(\"one\") tls".to_owned()], vec!["one/tls".to_owned()]));
    let (asked, _) = asks(json!({ "apiVersion": "v1", "resource": "nodes", "names": ["n1"] }));
    assert_eq!(asked, ["get Node None n1"]);
}

#[test]
fn what_is_no_answer_is_a_failure_that_says_what_came() {
    let failed = |status, body| ran(&config(spec()), PARENT, false, &[(status, body)]).0.unwrap_err();
    assert_eq!(failed(429, "").retry_after, Some(Duration::from_secs(7)));
    assert_eq!(failed(500, "it broke").message, "the sync hook http://hook/sync answers 500, it says \"it broke\"");
    assert!(failed(302, "").message.contains("answers 302 and points to http://x/"));
    assert!(failed(200, "<html>").message.contains("no JSON"));
    assert!(failed(200, "[]").message.contains("it is to answer an object"));
    assert!(failed(200, r#"{"children":{}}"#).message.contains("children that are no list"));
    assert!(failed(200, r#"{"status":1}"#).message.contains("a status that is no object"));
}
