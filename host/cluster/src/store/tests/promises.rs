//! One promise, one test.

use super::*;

fn setup(labels: &[Option<&str>]) -> (Arc<Listener>, Arc<Store>, Vec<Intake>) {
    let listener = Arc::new(Listener::default());
    let store = Store::new(listener.clone());
    let intakes = labels.iter().map(|labels| store.open(&spec(*labels))).collect();
    (listener, store, intakes)
}

#[test]
fn a_relist_yields_deletions_of_what_vanished() {
    let (listener, store, watch) = setup(&[None]);
    list(&watch[0], 5, &[text("a", "1", 3, &[]), text("b", "2", 4, &[])]);
    assert_eq!(listener.told(), ["->a@3", "->b@4"]);
    list(&watch[0], 9, &[text("b", "2", 4, &[]), text("c", "3", 8, &[])]);
    assert_eq!(listener.told(), ["->c@8", "a@3>-"]);
    assert_eq!(held(&store, &spec(None)), ["b@4", "c@8"]);
}

#[test]
fn a_relist_keeps_what_was_written_back_after_it_was_served() {
    let (_, store, watch) = setup(&[None]);
    list(&watch[0], 5, &[]);
    watch[0].begin();
    watch[0].dated(6).unwrap();
    store.put(object(&text("a", "1", 7, &[])));
    watch[0].finish();
    assert_eq!(held(&store, &spec(None)), ["a@7"]);
    list(&watch[0], 8, &[]);
    assert!(store.is_empty(), "the next list is newer than the write, and lacks it");
}

#[test]
fn an_older_list_and_a_late_event_do_not_undo_a_write_back() {
    let (_, store, watch) = setup(&[None]);
    list(&watch[0], 5, &[text("a", "1", 3, &[])]);
    store.put(object(&text("a", "1", 9, &[])));
    watch[0].shown(&text("a", "1", 7, &[]));
    list(&watch[0], 8, &[text("a", "1", 7, &[])]);
    assert_eq!(held(&store, &spec(None)), ["a@9"]);
}

#[test]
fn a_late_answer_does_not_bring_back_what_the_watch_has_shown_as_deleted() {
    let (_, store, watch) = setup(&[None]);
    list(&watch[0], 5, &[text("a", "1", 3, &[])]);
    watch[0].unshown(&text("a", "1", 8, &[]));
    store.put(object(&text("a", "1", 7, &[])));
    assert!(store.is_empty());
}

#[test]
fn a_late_answer_does_not_bring_back_what_a_list_lacks() {
    let (_, store, watch) = setup(&[None]);
    list(&watch[0], 9, &[]);
    store.put(object(&text("a", "1", 7, &[])));
    assert!(store.is_empty());
}

#[test]
fn what_we_deleted_does_not_come_back_by_an_event_that_was_under_way() {
    let (_, store, watch) = setup(&[None]);
    list(&watch[0], 5, &[text("a", "1", 3, &[])]);
    store.put(object(&text("a", "1", 7, &[])));
    let place = store.list(&spec(None))[0].meta.place.clone();
    store.remove(&place, &Uid::new("1"));
    watch[0].shown(&text("a", "1", 6, &[]));
    watch[0].shown(&text("a", "1", 7, &[]));
    assert!(store.is_empty());
    watch[0].unshown(&text("a", "1", 8, &[]));
    watch[0].shown(&text("a", "2", 9, &[]));
    assert_eq!(held(&store, &spec(None)), ["a@9"], "another object of that name is another object");
    assert_eq!(store.read().partition(&spec(None)).kept_out(), 0);
}

#[test]
fn what_we_deleted_does_not_come_back_by_a_list_that_was_served_before() {
    let (_, store, watch) = setup(&[None]);
    list(&watch[0], 5, &[]);
    store.put(object(&text("a", "1", 7, &[])));
    watch[0].begin();
    watch[0].dated(8).unwrap();
    let place = store.list(&spec(None))[0].meta.place.clone();
    store.remove(&place, &Uid::new("1"));
    watch[0].listed(&text("a", "1", 7, &[]));
    watch[0].finish();
    assert!(store.is_empty());
}

#[test]
fn an_object_that_leaves_one_selector_while_another_has_it_stays() {
    let (listener, store, watch) = setup(&[Some("side=left"), None]);
    list(&watch[0], 5, &[text("a", "1", 3, &[("side", "left")])]);
    list(&watch[1], 5, &[text("a", "1", 3, &[("side", "left")])]);
    listener.told();
    watch[0].unshown(&text("a", "1", 6, &[("side", "right")]));
    assert_eq!(listener.told(), ["a@3>-"]);
    assert!(held(&store, &spec(Some("side=left"))).is_empty());
    assert_eq!(held(&store, &spec(None)), ["a@3"]);
    assert!(store.get(&kind(), "v1", "ns", "a").is_some());
}

#[test]
fn a_write_back_that_changes_a_label_moves_the_object_between_selectors_at_once() {
    let (listener, store, watch) = setup(&[Some("side=left"), Some("side=right")]);
    list(&watch[0], 5, &[text("a", "1", 3, &[("side", "left")])]);
    list(&watch[1], 5, &[]);
    listener.told();
    store.put(object(&text("a", "1", 7, &[("side", "right")])));
    assert!(held(&store, &spec(Some("side=left"))).is_empty());
    assert_eq!(held(&store, &spec(Some("side=right"))), ["a@7"]);
    watch[0].shown(&text("a", "1", 6, &[("side", "left")]));
    assert!(held(&store, &spec(Some("side=left"))).is_empty(), "the event is older than the write");
    watch[0].unshown(&text("a", "1", 7, &[("side", "left")]));
    watch[1].shown(&text("a", "1", 7, &[("side", "right")]));
    assert_eq!(held(&store, &spec(Some("side=right"))), ["a@7"]);
    assert_eq!(store.read().partition(&spec(Some("side=left"))).kept_out(), 0);
}

#[test]
fn a_changed_default_at_the_same_resource_version_is_taken_in() {
    let (listener, store, watch) = setup(&[None]);
    list(&watch[0], 5, &[text("a", "1", 3, &[])]);
    listener.told();
    list(&watch[0], 5, &[text("a", "1", 3, &[("by", "default")])]);
    assert_eq!(listener.told(), ["a@3>a@3"]);
    assert_eq!(store.list(&spec(None))[0].meta.label("by"), Some("default"));
}

#[test]
fn a_list_that_is_older_than_what_was_shown_is_refused_whole() {
    let (_, store, watch) = setup(&[None]);
    list(&watch[0], 5, &[text("a", "1", 3, &[])]);
    watch[0].unshown(&text("a", "1", 8, &[]));
    watch[0].begin();
    assert_eq!(watch[0].dated(7), Err(StaleList { listed: 7 }));
    watch[0].listed(&text("a", "1", 3, &[]));
    watch[0].finish();
    assert!(store.is_empty());
}

#[test]
fn an_object_of_another_uid_under_the_same_name_is_a_deletion_and_an_addition() {
    let (listener, store, watch) = setup(&[None]);
    list(&watch[0], 5, &[text("a", "1", 3, &[])]);
    listener.told();
    watch[0].shown(&text("a", "2", 7, &[]));
    assert_eq!(listener.told(), ["a@3>-", "->a@7"]);
    store.put(object(&text("a", "1", 6, &[])));
    assert_eq!(store.list(&spec(None))[0].meta.uid, Uid::new("2"));
}

#[test]
fn an_object_that_cannot_be_read_is_neither_stale_nor_absent() {
    let (listener, store, watch) = setup(&[None]);
    list(&watch[0], 5, &[text("a", "1", 3, &[])]);
    listener.told();
    watch[0].shown(r#"{"metadata":{"name":"a","namespace":"ns","uid":"1","resourceVersion":"x"}}"#);
    assert_eq!(listener.told(), ["a@3>-"]);
    assert!(store.get(&kind(), "v1", "ns", "a").is_none());
    let (place, why) = store.unreadable(&kind(), "v1", Some("ns"), Some("a")).unwrap();
    assert_eq!((&*place.name, &*why), ("a", r#"resourceVersion "x" is not a number"#));
    assert!(store.unreadable(&kind(), "v1", None, None).is_some());
    assert_eq!(store.unreadable(&kind(), "v1", Some("ns"), Some("b")), None);
    watch[0].shown(&text("a", "1", 8, &[]));
    assert_eq!(store.unreadable(&kind(), "v1", Some("ns"), Some("a")), None);
    watch[0].shown(r#"{"metadata":{"name":"b","namespace":"ns"}}"#);
    assert_eq!(store.unreadable_len(), 1);
    list(&watch[0], 9, &[]);
    assert_eq!(store.unreadable_len(), 0, "the list shows that it is gone");
}

#[test]
fn a_selection_is_of_one_namespace_or_of_all_and_in_order() {
    let (_, store, watch) = setup(&[None]);
    let other = text("z", "4", 5, &[("tier", "web")]).replace(r#""ns""#, r#""another""#);
    let texts = [("a", "web"), ("b", "db"), ("c", "web")];
    let mut texts = texts.map(|(name, tier)| text(name, name, 4, &[("tier", tier)])).to_vec();
    texts.push(other);
    list(&watch[0], 5, &texts);
    let selected = |namespace, labels, limit| {
        let labels = Selector::parse(labels).unwrap();
        let objects = store.select(&kind(), "v1", namespace, &labels, limit);
        objects.iter().map(|object| object.meta.place.name.to_string()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(selected(Some("ns"), "tier=web", 9), "a c");
    assert_eq!(selected(None, "tier=web", 9), "z a c");
    assert_eq!(selected(None, "tier=web", 2), "z a");
    assert_eq!(selected(None, "tier in (db)", 9), "b");
    assert_eq!(selected(Some("nowhere"), "", 9), "");
}

#[test]
fn a_write_in_another_version_is_known_until_the_watch_shows_it() {
    let (_, store, watch) = setup(&[None]);
    list(&watch[0], 5, &[text("a", "1", 3, &[])]);
    let other = Object::parse(&text("a", "1", 7, &[]), "v2", "ConfigMap").unwrap();
    store.put(Arc::new(other));
    assert!(store.behind(&kind(), "v1", "ns", "a"));
    watch[0].shown(&text("a", "1", 6, &[]));
    assert!(store.behind(&kind(), "v1", "ns", "a"));
    watch[0].shown(&text("a", "1", 7, &[]));
    assert!(!store.behind(&kind(), "v1", "ns", "a"));
}

#[test]
fn children_are_found_by_controller_and_by_owner_mark_and_only_while_they_name_the_owner() {
    let (_, store, watch) = setup(&[None]);
    let child = |name: &str, version: u64, metadata: serde_json::Value| {
        let mut value: serde_json::Value = serde_json::from_str(&text(name, name, version, &[])).unwrap();
        let fields = metadata.as_object().unwrap().clone();
        value["metadata"].as_object_mut().unwrap().extend(fields);
        value.to_string()
    };
    let reference = |controller: bool| {
        serde_json::json!({"ownerReferences": [
            {"apiVersion": "v1", "kind": "Site", "name": "s", "uid": "owner", "controller": controller}]})
    };
    let mark = serde_json::json!({"annotations": {"trimtab.dev/owner": r#"{"uid":"owner"}"#}});
    let bad_mark = serde_json::json!({"annotations": {"trimtab.dev/owner": "owner"}});
    list(
        &watch[0],
        9,
        &[
            child("marked", 1, mark),
            child("controlled", 2, reference(true)),
            child("referenced", 3, reference(false)),
            child("garbled", 4, bad_mark),
        ],
    );
    let names = || {
        let children = store.children(&Uid::new("owner"));
        children.iter().map(|child| child.meta.place.name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(names(), ["controlled", "marked"]);
    watch[0].shown(&child("controlled", 10, reference(false)));
    assert_eq!(names(), ["marked"]);
    watch[0].unshown(&child("marked", 11, reference(false)));
    assert!(names().is_empty());
}

#[test]
fn a_kind_that_vanishes_is_emptied_and_what_is_no_longer_watched_is_forgotten_without_a_word() {
    let (listener, store, mut watch) = setup(&[None, Some("side")]);
    list(&watch[0], 5, &[text("a", "1", 3, &[("side", "left")])]);
    list(&watch[1], 5, &[text("a", "1", 3, &[("side", "left")])]);
    listener.told();
    watch[0].empty();
    assert_eq!((listener.told(), store.len()), (vec!["a@3>-".to_owned()], 1));
    drop(watch.pop());
    assert_eq!((listener.told(), store.len()), (vec![], 0));
}

#[test]
fn opening_a_spec_again_disables_the_intake_of_before() {
    let (_, store, watch) = setup(&[None]);
    let again = store.open(&spec(None));
    list(&watch[0], 5, &[text("a", "1", 3, &[])]);
    assert_eq!((store.len(), store.health(&spec(None))), (0, Health::Starting));
    drop(watch);
    list(&again, 5, &[text("a", "1", 3, &[])]);
    assert_eq!((store.len(), store.health(&spec(None))), (1, Health::Synced));
}

#[test]
fn health_is_told_once_for_each_change() {
    let (listener, _, watch) = setup(&[None]);
    watch[0].health(Health::Starting);
    watch[0].health(Health::Failing("away".into()));
    watch[0].health(Health::Failing("away".into()));
    list(&watch[0], 1, &[]);
    assert_eq!(*listener.health.lock().unwrap(), [Health::Failing("away".into()), Health::Synced]);
}
