//! One object that nothing but its hosts' own troubles concerns: how long its edits
//! take to be served.

use std::{
    fmt,
    time::{Duration, Instant},
};

use fastrand::Rng;
use serde_json::{Value, json};
use trimtab_harness::eventually;

use super::{Soak, pause};
use crate::support::Scene;

/// A host that is stopped for longer than a Lease, then an API server that has to start
/// on a busy machine, then a Lease that runs out, and a fresh list of all.
const STARVED_AFTER: Duration = Duration::from_secs(300);
const POLICY: &str = r#"
[config.describe]
role = "composite"
objects = [{ apiVersion = "fixtures.trimtab.dev/v1", kind = "Mirror" }]
children = [{ apiVersion = "v1", kind = "ConfigMap" }]
"#;

/// How long its edits took.
pub struct Waits(Vec<Duration>);

impl Waits {
    /// Fails if there was none, or one that took too long.
    pub fn check(&self) {
        assert!(self.0.iter().max().is_some_and(|most| *most < STARVED_AFTER), "{self}");
    }
}

impl fmt::Display for Waits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut sorted = self.0.clone();
        sorted.sort();
        let at = |percent: usize| sorted.get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1)));
        let [p50, p90, most] = [50, 90, 100].map(|percent| at(percent).copied().unwrap_or_default());
        write!(
            f,
            "{} edits of one object were served after {p50:.1?} (p50), {p90:.1?} (p90), {most:.1?} (most)",
            sorted.len()
        )
    }
}

/// Lets the plugin serve it alone.
pub async fn put(scene: &Scene) {
    scene.write("mirror.toml", POLICY);
    scene.copy("mirror", "mirror.wasm");
    let object = json!({ "apiVersion": "fixtures.trimtab.dev/v1", "kind": "Mirror",
        "metadata": { "name": "probe" }, "spec": wish(0) });
    scene.api.create(&scene.at("fixtures.trimtab.dev/v1", "mirrors", ""), &object).await;
}

/// Edits it and waits, again and again until it is over.
pub async fn watch(soak: &Soak, rng: &mut Rng) -> Waits {
    let (object, child) =
        (soak.scene.at("fixtures.trimtab.dev/v1", "mirrors", "probe"), soak.scene.config_map("probe"));
    let mut waits = Vec::new();
    for edition in 1.. {
        if soak.is_over() {
            break;
        }
        soak.api.merge(&object, &json!({ "spec": wish(edition) })).await;
        let began = Instant::now();
        eventually("the edit of the probe is served", 2 * STARVED_AFTER, async || {
            (soak.api.get(&child).await?["data"]["edition"] == *edition.to_string()).then_some(())
        })
        .await;
        waits.push(began.elapsed());
        pause(rng, 200..800).await;
    }
    Waits(waits)
}

fn wish(edition: usize) -> Value {
    let data = json!({ "edition": edition.to_string() });
    json!({ "children": [{ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "probe" }, "data": data }] })
}
