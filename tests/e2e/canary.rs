//! A canary on a real cluster, from the resource alone: a bad build's objects come back by
//! themselves, and a good build's stay until the stable instance serves it, too.
//! `OBJECTS=200` is the run that figures come from.

use std::{
    collections::BTreeMap,
    env,
    process::Command,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use trimtab_harness::eventually;

use crate::support::{SOON, Scene};

const CANARIES: &str = "../deploy/crds/canaries.yaml";
const MIRROR: &str = "fixtures/mirror/crd.yaml";
const POLICY: &str = r#"
[rollout]
probation_seconds = 5
[config.describe]
role = "composite"
objects = [{ apiVersion = "fixtures.trimtab.dev/v1", kind = "Mirror" }]
children = [{ apiVersion = "v1", kind = "ConfigMap" }]
"#;
const TRAPS: &str = "[config.faults]\n\"*\" = \"trap\"\n";
const NEXT: &str = "[config.other]\n";

/// Where an object says which instance serves it.
const MARK: &str = "trimtab.dev/instance-id";

struct Stage {
    scene: Scene,
    canary: String,
    patience: Duration,
}

impl Stage {
    async fn objects(&self) -> Vec<Value> {
        self.scene.api.list(&self.scene.at("fixtures.trimtab.dev/v1", "mirrors", "")).await
    }

    /// What `trimtab canary` prints.
    fn trimtab(&self, args: &[&str]) -> String {
        let kubeconfig = self.scene.plane().kubeconfig();
        let mut command = Command::new(env!("CARGO_BIN_EXE_trimtab"));
        command
            .arg("canary")
            .args(args)
            .args(["next", "-n", &self.scene.namespace])
            .arg("--kubeconfig")
            .arg(kubeconfig);
        let output = command.output().expect("cargo has built it");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("it prints text")
    }

    /// How many objects are in the instance that is tried.
    async fn away(&self) -> usize {
        self.objects().await.iter().filter(|object| object["metadata"]["labels"][MARK] == "next").count()
    }

    async fn becomes(&self, phase: &str) -> Value {
        eventually(&format!("the canary is {phase}"), self.patience, async || {
            let canary = self.scene.api.get(&self.canary).await?;
            (canary["status"]["phase"] == phase).then_some(canary)
        })
        .await
    }

    async fn children(&self) -> BTreeMap<String, String> {
        let text = |child: &Value, field: &str| child["metadata"][field].as_str().unwrap_or_default().to_owned();
        let selected = format!("{}?labelSelector=trimtab.dev/plugin%3Dmirror", self.scene.at("v1", "configmaps", ""));
        let children = self.scene.api.list(&selected).await;
        children.iter().map(|child| (text(child, "name"), text(child, "uid"))).collect()
    }

    /// How long it takes from the first report of a failure until all objects are back.
    async fn goes_back_within(&self) -> Duration {
        let failed = async || {
            let objects = self.objects().await;
            objects.iter().any(|object| object["status"].to_string().contains("PluginFailed")).then(Instant::now)
        };
        let failed = eventually("an object fails", self.patience, failed).await;
        eventually("all are back", self.patience, async || (self.away().await == 0).then_some(())).await;
        failed.elapsed()
    }
}

#[tokio::test]
async fn a_bad_canary_goes_back_by_itself_and_a_good_one_stays_until_it_is_promoted() {
    let objects = env::var("OBJECTS").map_or(6, |text| text.parse::<usize>().expect("a number"));
    let scene = Scene::new().await;
    [CANARIES, MIRROR].into_iter().for_each(|file| scene.define(file));
    for object in 0..objects {
        let name = format!("m{object:03}");
        let children = [json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name } })];
        let mirror = json!({ "apiVersion": "fixtures.trimtab.dev/v1", "kind": "Mirror",
            "metadata": { "name": name }, "spec": { "children": children } });
        scene.api.create(&scene.at("fixtures.trimtab.dev/v1", "mirrors", ""), &mirror).await;
    }
    scene.write("mirror.toml", POLICY);
    scene.copy("mirror", "mirror.wasm");
    scene.write("next/mirror.toml", format!("{POLICY}{TRAPS}"));
    scene.copy("mirror", "next/mirror.wasm");
    let _host = scene.host().await;
    let canary = scene.at("trimtab.dev/v1alpha1", "canaries", "next");
    let patience = 3 * SOON + Duration::from_millis(200 * objects as u64);
    let stage = Stage { scene, canary, patience };
    let scene = &stage.scene;
    let all = async || (stage.children().await.len() == objects).then_some(());
    eventually("all children are made", patience, all).await;
    let before = stage.children().await;

    stage.trimtab(&[
        "start",
        "--lineage",
        "mirror",
        "--kind",
        "Mirror.fixtures.trimtab.dev",
        "--to",
        "next",
        "--installation",
        &scene.installation,
        "--step",
        "100:10",
    ]);
    println!("{objects} objects are back {:?} after the first failure was told", stage.goes_back_within().await);
    let back = stage.becomes("RolledBack").await;
    assert!(back["status"]["message"].as_str().is_some_and(|why| why.contains("trap")), "{back}");
    assert_eq!(stage.children().await, before);

    scene.write("next/mirror.toml", format!("{POLICY}{NEXT}"));
    scene.api.merge(&stage.canary, &json!({ "spec": { "toleratedPercent": 0 } })).await;
    stage.becomes("Passed").await;
    assert_eq!((stage.away().await, stage.children().await), (objects, before.clone()));
    let told = stage.trimtab(&["status"]);
    assert!(told.contains("next: Passed") && told.contains(&format!("{objects} moved")), "{told}");
    let table = scene.plane().kubectl(&["get", "canaries", "-n", &scene.namespace]);
    for word in ["LINEAGE", "PHASE", "MOVED", "mirror", "Passed"] {
        assert!(table.contains(word), "{table}");
    }

    scene.write("mirror.toml", format!("{POLICY}{NEXT}"));
    stage.becomes("Promoted").await;
    assert_eq!((stage.away().await, stage.children().await), (0, before));
    stage.trimtab(&["abort"]);
    scene.gone(&stage.canary).await;
}
