//! Each way in which the marks of an object, and what serves, lead to a slot or to none.

use proptest::{option, prelude::*, sample::subsequence};
use serde_json::json;

use super::*;
use crate::{id::Stem, object::Object, selector::Selector};

const KEY: &str = marks::INSTANCE_LABEL;

fn serving(instance: &str, stem: &str, version: &str) -> Serving {
    Serving {
        slot: slot(instance, stem),
        role: Role::Composite,
        object: ObjectKind {
            kind: GroupKind::new("example.com/v1", "Site"),
            version: version.into(),
            selector: None,
            annotations: None,
        },
        retired: false,
        instance_key: InstanceKey::default(),
        generation: 7,
    }
}

fn slot(instance: &str, stem: &str) -> SlotId {
    SlotId { instance: InstanceId::new(instance).unwrap(), stem: Stem::new(stem).unwrap() }
}

/// A Site with labels, and optionally a version mark and a history.
fn site(labels: &[(&str, &str)], mark: Option<&str>, created: Option<&str>, status: Option<&str>) -> Object {
    let entry = |version: &str, manager: &str, subresource: &str| json!({"manager": manager, "apiVersion": format!("example.com/{version}"), "subresource": subresource, "time": "2026-01-01T00:00:00Z"});
    let created = created.map(|version| entry(version, "kubectl", ""));
    let status = status.map(|version| entry(version, "trimtab/site/status", "status"));
    let text = json!({"metadata": {
        "name": "a", "namespace": "b", "uid": "u", "resourceVersion": "1",
        "labels": labels.iter().copied().collect::<std::collections::BTreeMap<_, _>>(),
        "annotations": mark.map(|mark| json!({marks::VERSION: mark})),
        "managedFields": created.into_iter().chain(status).collect::<Vec<_>>(),
    }});
    Object::parse(&text.to_string(), "example.com/v1", "Site").unwrap()
}

fn lineage() -> Lineage {
    Lineage::new("site").unwrap()
}

fn table(versions: &[&str], idle: &[&str]) -> Table {
    let servings = versions.iter().map(|version| serving("", &format!("site@{version}"), version));
    Table::new(servings, idle.iter().map(|stem| slot("", stem)))
}

/// `version`, `version+mark` where a mark is to be written, or the refusal.
fn to(table: &Table, object: &Object) -> String {
    match table.route(object, &lineage()) {
        Route::Serve { selected: false, mark: None, .. } => "not selected".into(),
        Route::Serve { version, mark: None, .. } => version,
        Route::Serve { version, mark: Some(mark), .. } => format!("{version}+{mark}"),
        Route::Unserved(why) => why.to_string(),
    }
}

#[test]
fn an_object_goes_to_the_instance_that_its_label_names_exactly() {
    let table = Table::new([serving("", "site", "v1"), serving("canary", "site", "v1")], []);
    let instance = |object: &Object| match table.route(object, &lineage()) {
        Route::Serve { slot, .. } => slot.to_string(),
        Route::Unserved(why) => why.to_string(),
    };
    assert_eq!(instance(&site(&[], None, None, None)), "site");
    assert_eq!(instance(&site(&[(KEY, "")], None, None, None)), "site");
    assert_eq!(instance(&site(&[(KEY, "canary")], None, None, None)), "canary/site");
    let nowhere = "no plugin of lineage site serves Site.example.com in instance \"Canary\"";
    assert_eq!(instance(&site(&[(KEY, "Canary")], None, None, None)), nowhere);
}

#[test]
fn an_unmarked_object_is_served_by_the_default_instance_only() {
    let table = Table::new([serving("canary", "site", "v1")], []);
    let none = "no plugin of lineage site serves Site.example.com in the default instance";
    assert_eq!(to(&table, &site(&[], None, None, None)), none);
}

#[test]
fn each_slot_looks_for_its_instance_where_its_policy_says() {
    let instance_key = InstanceKey::parse("example.com/shard").unwrap();
    let elsewhere = Serving { instance_key, ..serving("blue", "site@v2", "v2") };
    let alone = Table::new([elsewhere.clone()], []);
    let table = Table::new([serving("", "site", "v1"), serving("green", "site", "v1"), elsewhere], []);
    let shard = ("example.com/shard", "blue");
    assert_eq!(to(&table, &site(&[], None, None, None)), "v1");
    assert_eq!(to(&table, &site(&[(KEY, "green")], None, None, None)), "v1");
    let both = "it is marked for blue/site@v2 and for green/site, which have different instance keys: remove one mark";
    assert_eq!(to(&table, &site(&[(KEY, "green"), shard], None, None, None)), both);
    assert_eq!(to(&alone, &site(&[shard], None, None, None)), "v2");
    assert_eq!(to(&table, &site(&[shard], None, None, None)), "v2", "a mark goes before the lack of another");
}

#[test]
fn of_two_lineages_that_look_at_different_marks_one_has_the_object_or_neither_has() {
    let instance_key = InstanceKey::parse("example.com/shard").unwrap();
    let elsewhere = Serving { instance_key, ..serving("blue", "blog", "v1") };
    let (one, green) = (serving("", "site", "v1"), serving("green", "site", "v1"));
    let blog = Lineage::new("blog").unwrap();
    let shard = ("example.com/shard", "blue");
    let table = Table::new([one.clone(), green.clone(), elsewhere.clone()], []);
    let plain = site(&[], None, None, None);
    assert_eq!(to(&table, &plain), "v1");
    assert!(matches!(table.route(&plain, &blog), Route::Unserved(Unserved::NoSlot { .. })));
    let sharded = site(&[shard], None, None, None);
    assert_eq!(to(&table, &sharded), "it is marked for blue/blog, which looks at another instance key");
    assert!(matches!(table.route(&sharded, &blog), Route::Serve { .. }));
    let torn = site(&[(KEY, "green"), shard], None, None, None);
    for lineage in [&lineage(), &blog] {
        let route = table.route(&torn, lineage);
        assert!(matches!(route, Route::Unserved(Unserved::TwoInstances { .. })), "{lineage}: {route:?}");
    }
    let loading =
        Table::new([one.clone(), green], []).awaiting([(slot("blue", "blog"), elsewhere.instance_key.clone())]);
    assert_eq!(to(&loading, &plain), "v1");
    assert_eq!(to(&loading, &sharded), "it is marked for blue/blog, which looks at another instance key");
    assert!(matches!(loading.route(&torn, &lineage()), Route::Unserved(_)));
    assert!(table.awaits_no_more(&loading) && !loading.awaits_no_more(&table));
    let decorator = Serving { role: Role::Decorator, ..elsewhere };
    let beside = Table::new([one, decorator], []);
    assert_eq!(to(&beside, &sharded), "v1", "decorators share");
    assert!(matches!(beside.route(&sharded, &blog), Route::Serve { .. }));
}

#[test]
fn one_version_takes_every_object_and_needs_no_mark() {
    let table = table(&["v1"], &[]);
    for object in
        [site(&[], None, None, None), site(&[], None, Some("v2"), Some("v2")), site(&[], Some("v2"), None, None)]
    {
        assert_eq!(to(&table, &object), "v1");
    }
}

#[test]
fn with_several_versions_the_mark_decides_and_history_does_not() {
    let table = table(&["v1", "v2"], &[]);
    assert_eq!(to(&table, &site(&[], Some("v1"), Some("v2"), Some("v2"))), "v1");
    assert_eq!(to(&table, &site(&[], Some("v2"), Some("v1"), Some("v1"))), "v2");
    assert_eq!(
        to(&table, &site(&[], Some("v3"), Some("v1"), None)),
        "it belongs to version v3, and only v2, v1 is served"
    );
}

#[test]
fn an_unmarked_object_among_several_versions_is_marked_by_its_history() {
    let table = table(&["v1", "v2"], &[]);
    assert_eq!(to(&table, &site(&[], None, Some("v1"), None)), "v1+v1");
    assert_eq!(to(&table, &site(&[], None, Some("v2"), None)), "v2+v2");
    assert_eq!(to(&table, &site(&[], None, Some("v2"), Some("v1"))), "v1+v1");
    assert_eq!(to(&table, &site(&[], None, Some("v1alpha1"), None)), "v2+v2", "not served: the preferred one");
    assert_eq!(to(&table, &site(&[], None, None, None)), "v2+v2");
}

#[test]
fn an_object_that_the_slot_does_not_select_by_labels_and_annotations_is_not_marked() {
    let mut selecting = serving("", "site@v2", "v2");
    selecting.object.selector = Some(Selector::parse("tier=web").unwrap());
    selecting.object.annotations = Some(Selector::parse("trimtab.dev/version=v2").unwrap());
    let table = Table::new([serving("", "site", "v1"), selecting], []);
    assert_eq!(to(&table, &site(&[], Some("v2"), None, None)), "not selected");
    assert_eq!(to(&table, &site(&[("tier", "web")], None, Some("v2"), None)), "not selected");
    assert_eq!(to(&table, &site(&[("tier", "web")], Some("v2"), None, None)), "v2");
}

#[test]
fn a_decorator_is_given_the_version_that_it_declares_whatever_the_mark_says() {
    let decorator = Serving { role: Role::Decorator, ..serving("", "site", "v1") };
    let table = Table::new([decorator], [slot("", "site@next")]);
    assert_eq!(to(&table, &site(&[], Some("v2"), Some("v2"), None)), "v1");
}

#[test]
fn while_a_slot_of_the_lineage_is_idle_no_other_version_takes_its_objects() {
    let table = table(&["v1"], &["site@next"]);
    assert_eq!(to(&table, &site(&[], Some("v2"), None, None)), "it belongs to version v2, and only v1 is served");
    assert_eq!(to(&table, &site(&[], None, Some("v2"), None)), "it belongs to version v2, and only v1 is served");
    assert_eq!(to(&table, &site(&[], None, Some("v2"), Some("v1"))), "v1");
    assert_eq!(to(&table, &site(&[], None, Some("v1"), None)), "v1");
    assert_eq!(to(&table, &site(&[], None, None, None)), "v1");
}

#[test]
fn an_idle_slot_of_another_instance_or_lineage_changes_nothing() {
    let table = Table::new([serving("", "site", "v1")], [slot("canary", "site"), slot("", "other")]);
    assert_eq!(to(&table, &site(&[], Some("v2"), None, None)), "v1");
}

#[test]
fn before_a_second_version_serves_unmarked_objects_are_settled() {
    let mark = |object: Object| settling_mark(&object.meta, &lineage(), "v1", "v2");
    assert_eq!(mark(site(&[], Some("v2"), None, None)), None);
    assert_eq!(mark(site(&[], None, Some("v2"), None)).as_deref(), Some("v1"));
    assert_eq!(mark(site(&[], None, None, Some("v2"))).as_deref(), Some("v2"));
    assert_eq!(mark(site(&[], None, None, Some("v1alpha1"))).as_deref(), Some("v1"));
}

#[test]
fn versions_are_preferred_in_kubernetes_order() {
    let mut versions = ["v1alpha2", "v10", "foo1", "v1beta1", "v2", "v11beta2", "v11alpha2", "v1", "bar", "v12alpha1"];
    versions.sort_by_key(|version| Reverse(version_rank(version)));
    assert_eq!(
        versions,
        ["v10", "v2", "v1", "v11beta2", "v1beta1", "v12alpha1", "v11alpha2", "v1alpha2", "bar", "foo1"]
    );
}

#[test]
fn a_change_of_an_object_wakes_each_lineage_of_its_kind_once() {
    let table =
        Table::new([serving("", "site", "v1"), serving("canary", "site", "v1"), serving("x", "blog", "v1")], []);
    let woken = table.lineages_for(&GroupKind::new("example.com/v1", "Site"));
    assert_eq!(woken, [Lineage::new("blog").unwrap(), lineage()].into());
    assert!(table.lineages_for(&GroupKind::new("v1", "Site")).is_empty());
}

const VERSIONS: [&str; 4] = ["v1", "v2", "v1beta1", "next"];

fn versions() -> impl Strategy<Value = Vec<&'static str>> {
    subsequence(VERSIONS.to_vec(), 1..=VERSIONS.len())
}

fn version() -> impl Strategy<Value = Option<&'static str>> {
    option::of(proptest::sample::select(&VERSIONS[..]))
}

proptest! {
    #[test]
    fn once_marked_an_object_stays_with_its_version_whatever_else_is_served(
        first in versions(), then in versions(), created in version(), status in version(), later in version(), idle: bool,
    ) {
        let idle = if idle { &["site@idle"][..] } else { &[] };
        let before = site(&[], None, created, status);
        if let Route::Serve { version, mark: Some(mark), .. } = table(&first, idle).route(&before, &lineage()) {
            prop_assert_eq!(&version, &mark);
            let after = site(&[], Some(&mark), later, later);
            if then.contains(&mark.as_str()) {
                prop_assert_eq!(to(&table(&then, idle), &after), mark);
            }
        }
    }

    #[test]
    fn an_object_that_one_version_served_stays_with_it_when_a_second_arrives(
        pair in Just(VERSIONS.to_vec()).prop_shuffle(), created in version(), has_status: bool,
    ) {
        let (alone, arriving) = (pair[0], pair[1]);
        let object = site(&[], None, created, has_status.then_some(alone));
        prop_assert_eq!(to(&table(&[alone], &[]), &object), alone);
        let mark = settling_mark(&object.meta, &lineage(), alone, arriving);
        let marked = site(&[], mark.as_deref(), created, has_status.then_some(alone));
        prop_assert_eq!(to(&table(&[alone, arriving], &[]), &marked), alone);
    }
}
