//! The store's promises: first one by one, then under random interleavings of
//! watches, lists and write-backs, held against the server's own history.

mod interleavings;
mod promises;

use std::sync::{Arc, Mutex};

use trimtab_core::{id::GroupKind, object::Object};

use super::*;

type Told = (WatchSpec, Option<Arc<Object>>, Option<Arc<Object>>);

/// Hears what the store tells and plays it back.
#[derive(Default)]
struct Listener {
    changes: Mutex<Vec<Told>>,
    health: Mutex<Vec<Health>>,
}

impl Notify for Listener {
    fn changed(&self, change: &Change<'_>) {
        let told = (change.spec.clone(), change.old.cloned(), change.new.cloned());
        self.changes.lock().unwrap().push(told);
    }

    fn health(&self, _: &WatchSpec, health: &Health) {
        self.health.lock().unwrap().push(health.clone());
    }
}

impl Listener {
    /// What has been told since the last call, as `name@version>name@version`.
    fn told(&self) -> Vec<String> {
        let short = |object: Option<Arc<Object>>| {
            object.map_or("-".into(), |o| format!("{}@{}", o.meta.place.name, o.meta.resource_version))
        };
        let told = std::mem::take(&mut *self.changes.lock().unwrap());
        told.into_iter().map(|(_, old, new)| format!("{}>{}", short(old), short(new))).collect()
    }
}

fn kind() -> GroupKind {
    GroupKind::new("v1", "ConfigMap")
}

fn spec(labels: Option<&str>) -> WatchSpec {
    WatchSpec { kind: kind(), version: "v1".into(), namespace: None, labels: labels.map(Into::into), name: None }
}

fn text(name: &str, uid: &str, version: u64, labels: &[(&str, &str)]) -> String {
    let labels = labels.iter().copied().collect::<std::collections::BTreeMap<_, _>>();
    serde_json::json!({
        "metadata": {"name": name, "namespace": "ns", "uid": uid, "resourceVersion": version.to_string(), "labels": labels},
        "data": {"at": version.to_string()},
    })
    .to_string()
}

fn object(text: &str) -> Arc<Object> {
    Arc::new(Object::parse(text, "v1", "ConfigMap").unwrap())
}

fn list(intake: &Intake, version: u64, items: &[String]) {
    intake.begin();
    intake.dated(version).unwrap();
    items.iter().for_each(|item| intake.listed(item));
    intake.finish();
}

/// What a watch holds, as `name@version`.
fn held(store: &Store, spec: &WatchSpec) -> Vec<String> {
    let objects = store.list(spec);
    objects.iter().map(|o| format!("{}@{}", o.meta.place.name, o.meta.resource_version)).collect()
}
