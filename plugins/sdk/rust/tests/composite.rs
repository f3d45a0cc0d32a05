//! What the attribute says of a plugin, and what a function sees and answers.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};
use trimtab::{Outcome, prelude::*, testing};

#[derive(Clone, Serialize, Deserialize, Resource)]
#[resource(api_version = "example.dev/v1", kind = "Site")]
struct Site {
    metadata: Metadata,
    page: String,
}

#[derive(Serialize, Deserialize, Resource)]
#[resource(api_version = "v1", kind = "ConfigMap")]
struct ConfigMap {
    metadata: Metadata,
    #[serde(default)]
    data: BTreeMap<String, String>,
}

#[derive(Serialize, Deserialize, Resource)]
#[resource(api_version = "v1", kind = "Secret")]
struct Secret {
    metadata: Metadata,
}

#[derive(Debug, Serialize, Deserialize, Resource)]
#[resource(api_version = "v1", kind = "Node", cluster_scoped)]
struct Node {
    metadata: Metadata,
}

#[derive(Serialize)]
struct SiteStatus {
    published: bool,
}

/// Every option of the attribute, and every way through the context.
#[trimtab::composite(
    children(ConfigMap = "recreate", Secret),
    reads(Secret, Node, ConfigMap = "kube-system"),
    selector = "tier in (web, edge)",
    resync = "10m",
    finalizes
)]
fn reconcile(site: Site, cx: &Cx) -> Result<Answer<SiteStatus>> {
    if cx.finalizing() {
        return Ok(answer().finalized());
    }
    let _key: Secret = cx.get("key")?.or_wait("the key")?;
    let size: usize = site.page.parse()?;
    if size > 9 {
        return Err(Error::terminal("too large").after(Duration::from_secs(1)));
    }
    cx.log(Level::Info, format!("{size} files"));
    let published = cx.child::<ConfigMap>(site.name()).is_some_and(|map| map.data.contains_key("index.html"));
    let page = ConfigMap {
        metadata: Metadata::named(site.name()).label("app", "site"),
        data: BTreeMap::from([("index.html".to_owned(), site.page.clone())]),
    };
    Ok(answer().child(page).warn("Odd", "a warning").status(SiteStatus { published }))
}

fn site(page: &str) -> Site {
    Site { metadata: Metadata::named("a"), page: page.to_owned() }
}

fn key() -> Secret {
    Secret { metadata: Metadata::named("key") }
}

#[test]
fn the_description_is_what_the_attribute_says() {
    let expected = json!({
        "role": "composite",
        "objects": [{ "apiVersion": "example.dev/v1", "kind": "Site", "labelSelector": "tier in (web, edge)" }],
        "children": [
            { "apiVersion": "v1", "kind": "ConfigMap", "update": "recreate" },
            { "apiVersion": "v1", "kind": "Secret", "update": "in-place" },
        ],
        "reads": [
            { "apiVersion": "v1", "kind": "Secret" },
            { "apiVersion": "v1", "kind": "Node" },
            { "apiVersion": "v1", "kind": "ConfigMap", "namespace": "kube-system" },
        ],
        "finalizes": true,
        "resyncSeconds": 600,
    });
    assert_eq!(testing::description::<SiteStatus>(), expected);
}

#[test]
fn what_is_missing_is_waited_for() {
    let error = reconcile(site("1"), &Cx::test()).unwrap_err();
    assert_eq!((error.outcome(), error.to_string()), (Outcome::Waiting, "waiting for the key".to_owned()));
}

#[test]
fn a_selection_finds_what_the_test_says_and_else_nothing() -> Result<()> {
    let cx = Cx::test().selecting("tier=web", [key()]);
    let names = |found: Vec<Secret>| found.into_iter().map(|secret| secret.metadata.name).collect::<Vec<_>>();
    assert_eq!(names(cx.select("tier=web")?), [key().metadata.name]);
    assert_eq!(names(cx.select_everywhere("tier=db")?), [""; 0]);
    Ok(())
}

#[test]
fn any_standard_error_becomes_a_retry_with_its_message() {
    let error = reconcile(site("many"), &Cx::test().with(key())).unwrap_err();
    assert_eq!((error.outcome(), error.to_string()), (Outcome::Retry, "invalid digit found in string".to_owned()));
}

#[test]
fn the_messages_of_an_errors_sources_are_kept() {
    #[derive(Debug)]
    struct Outer(std::num::ParseIntError);
    impl std::fmt::Display for Outer {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("the number of pages")
        }
    }
    impl std::error::Error for Outer {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&self.0)
        }
    }
    let error = Error::from("x".parse::<i32>().map_err(Outer).unwrap_err());
    assert_eq!(error.to_string(), "the number of pages: invalid digit found in string");
}

#[test]
fn what_cannot_be_is_terminal() {
    let error = reconcile(site("10"), &Cx::test().with(key())).unwrap_err();
    assert_eq!((error.outcome(), error.to_string()), (Outcome::Terminal, "too large".to_owned()));
}

#[test]
fn a_child_is_written_with_its_kind_and_seen_again() -> Result<()> {
    let first = reconcile(site("1"), &Cx::test().with(key()))?;
    let page: ConfigMap = first.desired("a").or_wait("the page")?;
    assert_eq!(page.metadata.labels["app"], "site");
    assert!(!first.desired_status().or_wait("a status")?.published);
    assert_eq!(first.events()[0].reason, "Odd");

    let second = reconcile(site("1"), &Cx::test().with(key()).child(page))?;
    assert!(second.desired_status().or_wait("a status")?.published);
    Ok(())
}

#[test]
fn a_finalizing_run_may_let_its_object_go() -> Result<()> {
    assert!(reconcile(site("1"), &Cx::test().being_deleted())?.is_finalized());
    Ok(())
}

#[test]
fn children_given_as_json_take_kind_and_version_from_their_type() {
    let answer = answer::<SiteStatus>().child_json::<Secret>(json!({ "metadata": { "name": "b" } }));
    assert!(answer.desired::<Secret>("b").is_some());
    assert!(answer.desired::<ConfigMap>("b").is_none());
}

#[test]
fn look_ups_go_to_the_objects_namespace_unless_another_is_named() -> Result<()> {
    let elsewhere = Secret { metadata: Metadata { namespace: Some("other".to_owned()), ..Metadata::named("s") } };
    let cx = Cx::test().with(elsewhere).with(Node { metadata: Metadata::named("n") });
    assert!(cx.get::<Secret>("s")?.is_none());
    assert!(cx.get_in::<Secret>("other", "s")?.is_some());
    assert!(cx.get::<Node>("n")?.is_some(), "a kind without namespaces is found from any");
    Ok(())
}

#[test]
fn an_object_of_another_shape_is_an_error_that_names_it() {
    #[derive(Debug, Deserialize, Resource)]
    #[resource(api_version = "v1", kind = "Node", cluster_scoped)]
    struct Odd {
        metadata: Metadata,
        #[serde(rename = "spec")]
        _spec: u32,
    }
    let cx = Cx::test().with(Node { metadata: Metadata::named("n") });
    let error = cx.get::<Odd>("n").unwrap_err().to_string();
    assert!(error.starts_with("the Node \"n\" is not of the expected shape: missing field `spec`"), "{error}");
}

#[test]
fn children_of_one_kind_come_in_order_and_by_name() {
    let named = |name: &str| ConfigMap { metadata: Metadata::named(name), data: BTreeMap::new() };
    let cx: &Cx = &Cx::test().child(named("a")).child(named("b")).child(key());
    assert_eq!(cx.children::<ConfigMap>().map(|map| map.metadata.name).collect::<Vec<_>>(), ["a", "b"]);
    assert!(cx.child::<ConfigMap>("b").is_some());
    assert!(cx.child::<ConfigMap>("key").is_none(), "another kind's child is not found");

    let elsewhere = Metadata { namespace: Some("other".to_owned()), ..Metadata::named("a") };
    let cx: &Cx = &Cx::test().child(ConfigMap { metadata: elsewhere, data: BTreeMap::new() });
    assert!(cx.child::<ConfigMap>("a").is_none());
    assert!(cx.child_in::<ConfigMap>("other", "a").is_some());
}

#[test]
fn the_config_the_time_and_the_instance_are_those_of_the_run() -> Result<()> {
    #[derive(Deserialize)]
    struct Config {
        image: String,
    }
    let cx = Cx::test().with_config(json!({ "image": "nginx" })).at("2026-01-02T03:04:05Z").served_by("canary");
    assert_eq!(cx.config::<Config>()?.image, "nginx");
    assert_eq!((cx.now(), cx.instance_id()), ("2026-01-02T03:04:05Z", Some("canary")));
    assert!(Cx::test().config::<Config>().is_err_and(|error| error.to_string().contains("missing field `image`")));
    Ok(())
}
