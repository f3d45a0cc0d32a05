//! Hooks in Metacontroller's shapes, by the cases that all languages share.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::cell::RefCell;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use trimtab::{Plugin, metacontroller::Hooks, prelude::*, testing::TestCx};

const CASES: &str = include_str!("../../metacontroller.cases.json");

macro_rules! kinds {
    ($($kind:ident = $api_version:literal $name:literal $($scope:ident)?;)*) => {$(
        #[derive(Deserialize, Resource)]
        #[resource(api_version = $api_version, kind = $name $(, $scope)?)]
        struct $kind { metadata: Metadata }
    )*};
}

kinds! {
    Page = "example.dev/v1" "Page";
    StatefulSet = "apps/v1" "StatefulSet";
    ConfigMap = "v1" "ConfigMap";
    Deployment = "apps/v1" "Deployment";
    Secret = "v1" "Secret";
    Namespace = "v1" "Namespace" cluster_scoped;
    NetworkPolicy = "networking.k8s.io/v1" "NetworkPolicy";
}

#[derive(Serialize, Deserialize)]
struct Synced(Value);
#[derive(Serialize, Deserialize)]
struct Finalized(Value);
#[derive(Serialize, Deserialize)]
struct Decorated(Value);

// The functions stand for their attributes: each case brings hooks of its own.
#[trimtab::composite(children(ConfigMap, Deployment = "recreate"), reads(Secret, Namespace, NetworkPolicy))]
fn synced(page: Json<Page>, cx: &Cx) -> Result<Answer<Synced>> {
    Hooks::new(|_: Value| Ok(json!({}))).composite(page, cx)
}

#[trimtab::composite(children(ConfigMap, Deployment), reads(Secret, Namespace, NetworkPolicy), finalizes)]
fn finalized(page: Json<Page>, cx: &Cx) -> Result<Answer<Finalized>> {
    Hooks::new(|_: Value| Ok(json!({}))).composite(page, cx)
}

#[trimtab::decorator(objects(StatefulSet), children(ConfigMap, Deployment), reads(Secret, Namespace, NetworkPolicy))]
fn decorated(object: Object, cx: &Cx) -> Result<Answer<Decorated>> {
    Hooks::new(|_: Value| Ok(json!({}))).decorator(object, cx)
}

/// What a case observes besides its object.
fn observed(case: &Value) -> TestCx {
    let config = case.get("config").cloned().unwrap_or(json!({}));
    let mut cx = Cx::test().with_config(config);
    if case["finalizing"] == true {
        cx = cx.being_deleted();
    }
    for child in list(&case["children"]) {
        cx = cx.child(Json::<ConfigMap>::new(child));
    }
    for object in list(&case["objects"]) {
        cx = match object["kind"].as_str().unwrap() {
            "Secret" => cx.with(Json::<Secret>::new(object)),
            "Namespace" => cx.with(Json::<Namespace>::new(object)),
            other => panic!("no case had a {other} yet"),
        };
    }
    for (selector, found) in case["selecting"].as_object().into_iter().flatten() {
        let of = |kind: &str| list(found).into_iter().filter(move |object| object["kind"] == kind).collect::<Vec<_>>();
        cx = cx.selecting(selector, of("Secret").into_iter().map(Json::<Secret>::new));
        cx = cx.selecting(selector, of("Namespace").into_iter().map(Json::<Namespace>::new));
        cx = cx.selecting(selector, of("NetworkPolicy").into_iter().map(Json::<NetworkPolicy>::new));
    }
    cx
}

fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

/// An answer as the cases write it.
fn written<S: Plugin>(answer: &Answer<S>, expected: &Value) -> Value {
    let children = list(&expected["children"]);
    let desired = children.iter().filter_map(|child| {
        let name = child["metadata"]["name"].as_str().unwrap();
        Some(answer.desired::<Json<ConfigMap>>(name)?.into_value())
    });
    let desired: Vec<_> = desired.collect();
    assert_eq!(answer.desired_children(), desired.len());
    let mut written = json!({
        "children": desired,
        "status": answer.desired_status(),
        "requeueAfterMs": answer.requeues_after().map(|delay| delay.as_millis() as u64),
        "finalized": answer.is_finalized(),
    });
    for (key, marks) in [("labels", answer.desired_labels()), ("annotations", answer.desired_annotations())] {
        if !marks.is_empty() {
            written[key] = json!(marks);
        }
    }
    written
}

fn assert_case<S: Plugin + DeserializeOwned>(case: &Value, run: impl Fn(&Hooks<'_>, &Cx) -> Result<Answer<S>>) {
    let name = &case["name"];
    let asked = RefCell::new(Value::Null);
    let hook = |name: &'static str| {
        let asked = &asked;
        move |request: Value| {
            let mut request = request;
            request["hook"] = json!(name);
            asked.replace(request);
            Ok(case[name].clone())
        }
    };
    let mut hooks = Hooks::new(hook("sync"));
    if case.get("finalize").is_some() {
        hooks = hooks.finalize(hook("finalize"));
    }
    if let Some(customized) = case.get("customize") {
        hooks = hooks.customize(move |_: Value| Ok(customized));
    }
    let outcome = run(&hooks, &observed(case));
    if let Some(error) = case["error"].as_str() {
        let told = outcome.unwrap_err().to_string();
        assert!(told.contains(error), "{name}: {told}");
        return;
    }
    assert_eq!(written(&outcome.unwrap(), &case["answer"]), case["answer"], "{name}");
    if let Some(expected) = case.get("asked") {
        assert_eq!(*asked.borrow(), *expected, "{name}");
    }
}

#[test]
fn each_case_is_served_as_in_every_language() {
    let cases: Vec<Value> = serde_json::from_str(CASES).unwrap();
    for case in &cases {
        let parent = || serde_json::from_value::<Json<Page>>(case["object"].clone()).unwrap();
        if case["role"] == "decorator" {
            let object = || serde_json::from_value::<Json<StatefulSet>>(case["object"].clone()).unwrap();
            assert_case::<Decorated>(case, |hooks, cx| hooks.decorator(Object::of(&object()), cx));
        } else if case.get("finalize").is_some() {
            assert_case::<Finalized>(case, |hooks, cx| hooks.composite(parent(), cx));
        } else {
            assert_case::<Synced>(case, |hooks, cx| hooks.composite(parent(), cx));
        }
    }
}

#[test]
fn requests_and_responses_may_have_types_of_their_own() {
    #[derive(Deserialize)]
    struct Request {
        parent: Page,
    }
    #[derive(Serialize)]
    struct Response {
        status: Value,
    }
    let sync = |request: Request| Ok(Response { status: json!({ "name": request.parent.metadata.name }) });
    let page = || Json::<Page>::new(json!({ "metadata": { "name": "a" } }));
    let answer: Answer<Synced> = Hooks::new(sync).composite(page(), &Cx::test()).unwrap();
    assert_eq!(answer.desired_status().unwrap().0, json!({ "name": "a" }));

    let answer: Result<Answer<Synced>> = Hooks::new(|(): ()| Ok(())).composite(page(), &Cx::test());
    assert!(answer.unwrap_err().to_string().starts_with("the request is not as sync takes it: "));
    let answer: Result<Answer<Synced>> =
        Hooks::new(|_: Value| Ok(json!({ "children": "web" }))).composite(page(), &Cx::test());
    assert!(
        answer.unwrap_err().to_string().starts_with("sync returned what is no response: invalid type: string \"web\"")
    );
}

#[test]
fn a_finalize_hook_and_the_attribute_say_the_same() {
    let page = Json::<Page>::new(json!({ "metadata": { "name": "a" } }));
    let told = finalized(page, &Cx::test()).unwrap_err().to_string();
    assert!(told.contains("a finalize hook needs `finalizes`"), "{told}");
}
