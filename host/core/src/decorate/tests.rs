//! One decorator by itself, and several that want different things.

use proptest::{option, prelude::*};

use super::*;
use crate::{id::GroupKind, kind::KindVersion, marks};

fn kind() -> Kind {
    Kind {
        id: GroupKind::new("v1", "Namespace"),
        plural: "namespaces".into(),
        namespaced: false,
        versions: vec![KindVersion { name: "v1".into(), status: true, verbs: vec![] }],
        storage: None,
    }
}

fn lineage(name: &str) -> Lineage {
    Lineage::new(name).unwrap()
}

fn object(metadata: Value) -> Object {
    let mut whole = json!({"metadata": {"name": "a", "uid": "u", "resourceVersion": "7"}});
    metadata.as_object().unwrap().iter().for_each(|(name, value)| whole["metadata"][name] = value.clone());
    Object::parse(&whole.to_string(), "v1", "Namespace").unwrap()
}

fn labels<const N: usize>(labels: [(&str, Option<&str>); N]) -> Decoration {
    let labels = labels.map(|(key, value)| (key.to_owned(), value.map(str::to_owned)));
    Decoration { labels: labels.into(), ..Decoration::default() }
}

/// The object after a merge patch of its metadata.
fn patched(object: &Object, write: &Write) -> Object {
    let Action::Metadata { seen, patch } = &write.action else { panic!("{write}") };
    assert_eq!(seen.resource_version, object.meta.resource_version);
    let mut whole = object.value();
    json_patch::merge(&mut whole["metadata"], &Value::Object(patch.clone()));
    whole["metadata"]["resourceVersion"] = json!((seen.resource_version + 1).to_string());
    Object::parse(&whole.to_string(), "v1", "Namespace").unwrap()
}

/// The object once a lineage has nothing more to write, what it yielded, and how
/// many writes that took.
fn decorated(mut object: Object, name: &str, wanted: &Decoration) -> (Object, Vec<String>, usize) {
    for writes in 0..4 {
        let step = decide(&object, &kind(), &lineage(name), wanted);
        match step.write {
            None => return (object, step.yielded, writes),
            Some(write) => object = patched(&object, &write),
        }
    }
    panic!("it does not settle: {}", object.text)
}

fn label<'a>(object: &'a Object, name: &str) -> Option<&'a str> {
    object.meta.label(name)
}

#[test]
fn what_is_wanted_is_set_in_one_write_and_taken_back_when_it_no_longer_is() {
    let wanted = Decoration {
        labels: [("tier".into(), Some("web".into())), ("old".into(), None)].into(),
        annotations: [("note".into(), Some("é".repeat(200)))].into(),
    };
    let (set, yielded, writes) = decorated(object(json!({"labels": {"old": "1", "x": "y"}})), "team", &wanted);
    assert_eq!((label(&set, "tier"), label(&set, "old"), label(&set, "x")), (Some("web"), None, Some("y")));
    assert_eq!((yielded.len(), writes), (0, 1));
    let (back, _, writes) = decorated(set, "team", &Decoration::default());
    assert_eq!(back.value()["metadata"]["labels"], json!({"x": "y"}));
    assert_eq!((&back.value()["metadata"]["annotations"], writes), (&json!({}), 1));
}

#[test]
fn a_value_that_was_there_before_is_not_taken_back() {
    let (object, _, writes) = decorated(object(json!({"labels": {"a": "1"}})), "team", &labels([("a", Some("1"))]));
    assert_eq!(writes, 0);
    let (object, _, writes) = decorated(object, "team", &Decoration::default());
    assert_eq!((label(&object, "a"), writes), (Some("1"), 0));
}

#[test]
fn what_somebody_has_changed_since_is_theirs_and_is_told() {
    let (mut set, ..) = decorated(object(json!({})), "team", &labels([("a", Some("1"))]));
    for change in [json!("2"), Value::Null] {
        let mut whole = set.value();
        json_patch::merge(&mut whole["metadata"]["labels"], &json!({ "a": change }));
        set = Object::parse(&whole.to_string(), "v1", "Namespace").unwrap();
        let (after, yielded, writes) = decorated(set.clone(), "team", &labels([("a", Some("1"))]));
        assert_eq!((yielded, writes), (vec!["label \"a\"".to_owned()], 0), "{}", after.text);
        let (after, ..) = decorated(set.clone(), "team", &Decoration::default());
        assert_eq!(label(&after, "a"), change.as_str(), "nor is it taken back");
    }
}

#[test]
fn a_new_wish_replaces_what_was_left() {
    let (one, ..) = decorated(object(json!({})), "team", &labels([("a", Some("1"))]));
    let (two, yielded, _) = decorated(one, "team", &labels([("a", Some("2"))]));
    assert_eq!((label(&two, "a"), yielded.len()), (Some("2"), 0));
}

#[test]
fn release_takes_all_that_is_ours_and_nothing_else() {
    let marked = object(json!({"finalizers": ["other", "trimtab.dev/team"], "labels": {"x": "y"}}));
    let held = patched(&marked, &hold(&marked.meta, &kind(), &lineage("team")).unwrap());
    assert_eq!(hold(&held.meta, &kind(), &lineage("team")), None);
    let (set, ..) = decorated(held, "team", &labels([("a", Some("1"))]));
    let (set, ..) = decorated(set, "other", &labels([("b", Some("1"))]));
    let released = patched(&set, &release(&set, &kind(), &lineage("team"), &Inherit::default()).unwrap());
    assert!(!holds(&released.meta, &lineage("team")) && holds(&released.meta, &lineage("other")));
    assert_eq!(release(&released, &kind(), &lineage("team"), &Inherit::default()), None);
    let metadata = &released.value()["metadata"];
    assert_eq!((&metadata["finalizers"], &metadata["labels"]), (&json!(["other"]), &json!({"x": "y", "b": "1"})));
}

#[test]
fn an_object_that_is_being_deleted_is_not_decorated() {
    let going = object(json!({"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["other"]}));
    assert_eq!(decide(&going, &kind(), &lineage("team"), &labels([("a", Some("1"))])), Decorated::default());
    assert_eq!(hold(&going.meta, &kind(), &lineage("team")), None);
}

fn wish() -> impl Strategy<Value = Decoration> {
    let value = || option::of(prop_oneof![Just("1".to_owned()), Just("2".to_owned())]);
    let keys = || proptest::collection::btree_map("[abc]", value(), 0..3);
    (keys(), keys()).prop_map(|(labels, annotations)| Decoration { labels, annotations })
}

proptest! {
    /// Each of them looks again whenever anything has changed.
    #[test]
    fn decorators_that_want_different_things_come_to_rest(
        wishes in proptest::collection::vec(wish(), 1..4), there in proptest::collection::btree_map("[abc]", "[12]", 0..3),
    ) {
        let mut object = object(json!({ "labels": there.clone(), "annotations": there.clone() }));
        let mut writes = 0;
        loop {
            let before = writes;
            for (at, wish) in wishes.iter().enumerate() {
                let (after, _, more) = decorated(object, &format!("d{at}"), wish);
                (object, writes) = (after, writes + more);
            }
            prop_assert!(writes <= 2 * wishes.len() * 6, "{}", object.text);
            if before == writes {
                break;
            }
        }
        for at in 0..wishes.len() {
            let lineage = lineage(&format!("d{at}"));
            if let Some(write) = release(&object, &kind(), &lineage, &Inherit::default()) {
                object = patched(&object, &write);
            }
            prop_assert!(!holds(&object.meta, &lineage));
        }
        let left = object.value()["metadata"]["annotations"].to_string();
        prop_assert!(!left.contains(marks::DECORATOR_PREFIX), "{left}");
    }
}
