//! Discovery, watches and the store against the API in memory, on paused time:
//! what they need of a server, the one of the simulation has.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

#[path = "cluster_common.rs"]
mod common;

use std::time::Duration;

use common::{Scene, config_map, define, definition, request, spec, undefine};
use serde_json::{Value, json};
use trimtab_apiserver::ApiServer;
use trimtab_cluster::{connect, spec::Health};

const SOON: Duration = Duration::from_secs(30);
const SERVED: Duration = Duration::from_secs(5);
const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";

#[tokio::test(start_paused = true)]
async fn objects_are_followed_across_a_compaction() {
    let server = ApiServer::new(trimtab_apiserver::Config::default());
    let client = connect::service(server.clone()).client;
    let all = spec("v1", "ConfigMap", "default", None);
    let scene = Scene::start(&client);
    scene.watch(&[&all]);
    scene.until_health(&all, SOON, Health::is_synced).await;
    request(&client, "POST", CONFIG_MAPS, &config_map("a", "left", "1")).await;
    scene.until("an addition", SOON, |_| scene.names(&all).contains(&"a".into()).then_some(())).await;

    server.compact();
    request(&client, "POST", CONFIG_MAPS, &config_map("b", "left", "1")).await;
    request(&client, "DELETE", &format!("{CONFIG_MAPS}/a"), &Value::Null).await;
    let seen = || scene.names(&all).contains(&"b".into()) && !scene.names(&all).contains(&"a".into());
    scene.until("what came after the compaction", SOON * 2, |_| seen().then_some(())).await;
    scene.watches.relist(&all).await.unwrap();
    assert!(seen());
}

#[tokio::test(start_paused = true)]
async fn a_kind_is_served_when_it_comes_and_emptied_when_it_goes() {
    let server = ApiServer::new(trimtab_apiserver::Config::default());
    let client = connect::service(server).client;
    let group = "memory.trimtab.test";
    let sites = spec(&format!("{group}/v1"), "Site", "default", None);
    let scene = Scene::start(&client);
    scene.watch(&[&sites]);
    scene.until_health(&sites, SOON, |health| *health == Health::Missing).await;
    define(&client, &definition(group, &["v1", "v2"], "red")).await;
    scene.until_health(&sites, SERVED, Health::is_synced).await;
    let kind = scene.discovery.kinds().borrow().get(&sites.kind).cloned().unwrap();
    assert_eq!((kind.preferred(), kind.metadata_version()), ("v2", "v1"));
    let site = json!({"apiVersion": format!("{group}/v1"), "kind": "Site", "metadata": {"name": "a"}});
    request(&client, "POST", &format!("/apis/{group}/v1/namespaces/default/sites"), &site).await;
    scene.until("the object", SOON, |_| (scene.names(&sites) == ["a"]).then_some(())).await;
    scene.discovery.openapi(group, "v1").await.unwrap();
    undefine(&client, group).await;
    scene.until_health(&sites, SOON, |health| *health == Health::Missing).await;
    assert!(scene.store.is_empty());
}
