//! What must be so in the end.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde_json::{Value, json};
use trimtab_harness::eventually;

use super::{INSTANCES, Kind, NOTE, Soak, Wanted, builds, collection, locked, probe};
use crate::support::{SOON, Scene};

/// For so long nothing may be written in the end.
const QUIET: Duration = Duration::from_secs(3);
/// The collections of children, with what they are of.
const CHILDREN: [(&str, &str); 3] = [("v1", "configmaps"), ("v1", "services"), ("apps/v1", "deployments")];
/// A Site whose page is at a foreign place.
const TEMPTED: &str = "tempted";
/// A foreign ConfigMap with our label.
const LABELLED: &str = "labelled";

/// What was there before anything happened.
pub struct Oracle {
    /// What nobody may touch, by its path.
    foreign: BTreeMap<String, Value>,
    /// The children's uids, by plural and name.
    uids: BTreeMap<(&'static str, String), Value>,
}

impl Oracle {
    /// Plants what is foreign, and waits until all is right for the first time.
    pub async fn before(soak: &Soak, patience: Duration) -> Self {
        probe::put(&soak.scene).await;
        let foreign = plant(&soak.scene).await;
        let mut oracle = Self { foreign, uids: BTreeMap::new() };
        eventually("each object is served", patience, async || oracle.right(soak).await).await;
        oracle.uids = uids(&children(soak).await);
        oracle
    }

    /// Whether all is as it has to be, asked without haste: there is much to read.
    pub async fn right(&self, soak: &Soak) -> Option<()> {
        tokio::time::sleep(Duration::from_millis(500)).await;
        self.wrong(soak).await.is_empty().then_some(())
    }

    /// All that is not as it has to be.
    pub async fn wrong(&self, soak: &Soak) -> Vec<String> {
        let mut wrong = Vec::new();
        for (path, before) in &self.foreign {
            let now = soak.api.get(path).await.unwrap_or_default();
            if now["metadata"]["resourceVersion"] != before["metadata"]["resourceVersion"] {
                wrong.push(format!("{path} is foreign, and was touched: {now}"));
            }
        }
        let children = children(soak).await;
        let mut objects = BTreeMap::new();
        for kind in [Kind::Site, Kind::Page] {
            for object in soak.api.list(&collection(&soak.scene, kind)).await {
                objects.insert(text(&object["metadata"]["name"]).to_owned(), object);
            }
        }
        for wanted in &soak.wanted {
            let wanted = locked(wanted);
            let object = objects.get(&wanted.name).unwrap_or(&Value::Null);
            check(&wanted, object, &children).into_iter().for_each(|why| wrong.push(format!("{}: {why}", wanted.name)));
        }
        let names = soak.wanted.iter().map(|wanted| locked(wanted).name.clone()).collect::<BTreeSet<_>>();
        let others = ["probe", TEMPTED, LABELLED];
        let odd = children.keys().filter(|(_, name)| !names.contains(name) && !others.contains(&name.as_str()));
        wrong.extend(odd.map(|(plural, name)| format!("{plural} {name} is nobody's")));
        let uids = uids(&children);
        let anew = self.uids.iter().filter(|(at, uid)| uids.get(*at) != Some(uid));
        wrong.extend(anew.map(|((plural, name), _)| format!("{plural} {name} was made anew")));
        wrong
    }

    /// Waits until nobody writes any more.
    pub async fn rests(&self, soak: &Soak) {
        let same = async || {
            let before = versions(soak).await;
            tokio::time::sleep(QUIET).await;
            (before == versions(soak).await).then_some(())
        };
        eventually("nobody writes any more", 4 * SOON, same).await;
    }
}

/// What of an object and its children is not as people and its build want it.
fn check(wanted: &Wanted, object: &Value, children: &BTreeMap<(&'static str, String), Value>) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut is = |what: &str, found: &Value, expected: &Value| {
        if found != expected {
            wrong.push(format!("{what} is {found}, not {expected}"));
        }
    };
    let Wanted { kind, instance, .. } = *wanted;
    is("the text", &object["spec"][kind.text()], &json!(wanted.text));
    is("the note", &object["metadata"]["annotations"][NOTE], &json!(wanted.note));
    is("the mark", &object["metadata"]["labels"]["trimtab.dev/instance-id"], &json!(INSTANCES[instance]));
    is("what is observed", &object["status"]["observedGeneration"], &object["metadata"]["generation"]);
    let child = |plural| children.get(&(plural, wanted.name.clone())).unwrap_or(&Value::Null);
    for (_, plural) in CHILDREN {
        let labels = &child(plural)["metadata"]["labels"];
        is(plural, &labels["trimtab.dev/plugin"], &json!(kind.stem()));
        let mark = labels["trimtab.dev/instance-id"].as_str().unwrap_or_default();
        is(&format!("the mark of {plural}"), &json!(mark), &json!(INSTANCES[instance]));
    }
    let page = child("configmaps");
    is("the page", &page["data"]["index.html"], &json!(wanted.text));
    if wanted.child_note != "child note 0" {
        is("the note on the page", &page["metadata"]["annotations"][NOTE], &json!(wanted.child_note));
    }
    match kind {
        Kind::Site => {
            is("the build", &object["status"]["build"], &json!(builds::site_build(instance)));
            is("the build of the page", &page["data"]["build"], &json!(builds::site_build(instance)));
        }
        Kind::Page => {
            let container = &child("deployments")["spec"]["template"]["spec"]["containers"][0];
            is("the image", &container["image"], &json!(builds::page_image(instance)));
        }
    }
    wrong
}

/// Foreign objects at places, and with names and marks, that tempt.
async fn plant(scene: &Scene) -> BTreeMap<String, Value> {
    let maps = scene.config_map("");
    let config_map = |name: &str| json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name } });
    let landlord = scene.api.create(&maps, &config_map("landlord")).await;
    let reference = |controller: bool, of: &Value, kind: &str, version: &str| {
        json!([{ "apiVersion": version, "kind": kind, "name": of["metadata"]["name"],
            "uid": of["metadata"]["uid"], "controller": controller }])
    };
    let site = scene.api.fetch(&scene.site("site-0000")).await;
    let mut controlled = config_map(TEMPTED);
    controlled["metadata"]["ownerReferences"] = reference(true, &landlord, "ConfigMap", "v1");
    let mut labelled = config_map(LABELLED);
    labelled["metadata"]["labels"] = json!({ "trimtab.dev/plugin": "site", "trimtab.dev/instance-id": "blue" });
    let mut owned = config_map("owned");
    owned["metadata"]["ownerReferences"] = reference(false, &site, "Site", "example.dev/v1");
    for foreign in [controlled, labelled, owned, config_map("site-9999")] {
        scene.api.create(&maps, &foreign).await;
    }
    let mut tempted = Wanted::new(0).object();
    tempted["metadata"]["name"] = TEMPTED.into();
    scene.api.create(&scene.site(""), &tempted).await;
    let nobodys = json!({ "apiVersion": "example.dev/v1", "kind": "Site",
        "metadata": { "name": "nobodys", "labels": { "trimtab.dev/instance-id": "nobody" } },
        "spec": { "host": "a.example.dev" } });
    scene.api.create(&scene.site(""), &nobodys).await;

    let names = ["landlord", TEMPTED, LABELLED, "owned", "site-9999"].map(|name| scene.config_map(name));
    let mut foreign = BTreeMap::new();
    for path in names.into_iter().chain([scene.site("nobodys")]) {
        foreign.insert(path.clone(), scene.api.fetch(&path).await);
    }
    foreign
}

/// What bears a lineage's mark, by plural and name.
async fn children(soak: &Soak) -> BTreeMap<(&'static str, String), Value> {
    let mut all = BTreeMap::new();
    for (version, plural) in CHILDREN {
        for child in
            soak.api.list(&format!("{}?labelSelector=trimtab.dev/plugin", soak.scene.at(version, plural, ""))).await
        {
            all.insert((plural, text(&child["metadata"]["name"]).to_owned()), child);
        }
    }
    all
}

fn uids(children: &BTreeMap<(&'static str, String), Value>) -> BTreeMap<(&'static str, String), Value> {
    children.iter().map(|(at, child)| (at.clone(), child["metadata"]["uid"].clone())).collect()
}

async fn versions(soak: &Soak) -> BTreeMap<String, Value> {
    let of = |object: &Value| object["metadata"]["resourceVersion"].clone();
    let all = children(soak).await;
    let mut versions =
        all.iter().map(|((plural, name), child)| (format!("{plural}/{name}"), of(child))).collect::<BTreeMap<_, _>>();
    for kind in [Kind::Site, Kind::Page] {
        for object in soak.api.list(&collection(&soak.scene, kind)).await {
            versions.insert(format!("{}/{}", kind.stem(), object["metadata"]["name"]), of(&object));
        }
    }
    versions
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
