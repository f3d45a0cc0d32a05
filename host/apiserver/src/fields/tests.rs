use proptest::prelude::*;
use serde_json::json;

use super::*;

fn set_of(fields: &Value) -> FieldSet {
    FieldSet::decode(fields).expect("a well-formed set")
}

fn deployment_fields() -> Value {
    json!({
        "f:metadata": {"f:labels": {".": {}, "f:app": {}}, "f:finalizers": {"v:\"a/b\"": {}}},
        "f:spec": {"f:template": {"f:spec": {"f:containers": {
            "k:{\"name\":\"web\"}": {".": {}, "f:image": {}, "f:ports": {
                "k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}},
            }},
        }}}},
    })
}

#[test]
fn a_set_is_written_as_it_was_read() {
    assert_eq!(set_of(&deployment_fields()).encode(), deployment_fields());
}

#[test]
fn members_of_a_level_are_listed_before_those_below() {
    assert_eq!(
        set_of(&deployment_fields()).paths(),
        [
            ".metadata.labels",
            ".metadata.finalizers[=\"a/b\"]",
            ".metadata.labels.app",
            ".spec.template.spec.containers[name=\"web\"]",
            ".spec.template.spec.containers[name=\"web\"].image",
            ".spec.template.spec.containers[name=\"web\"].ports[containerPort=80,protocol=\"TCP\"]",
            ".spec.template.spec.containers[name=\"web\"]\
             .ports[containerPort=80,protocol=\"TCP\"].containerPort",
        ]
    );
}

#[test]
fn the_order_of_a_keys_fields_does_not_matter() {
    let one = set_of(&json!({"k:{\"a\":1,\"b\":\"x\"}": {}}));
    let other = set_of(&json!({"k:{\"b\":\"x\",\"a\":1}": {}}));
    assert_eq!(one, other);
}

#[test]
fn numbers_sort_as_numbers() {
    let set = set_of(&json!({"v:443": {}, "v:80": {}, "v:8080": {}}));
    assert_eq!(set.paths(), ["[=80]", "[=443]", "[=8080]"]);
}

#[test]
fn a_path_of_an_unknown_sort_is_skipped_and_a_broken_one_refused() {
    assert!(set_of(&json!({"z:new": {}})).is_empty());
    assert!(FieldSet::decode(&json!({"nocolon": {}})).is_err());
    assert!(FieldSet::decode(&json!({"k:{": {}})).is_err());
    assert!(FieldSet::decode(&json!([])).is_err());
}

#[test]
fn taking_away_a_parent_leaves_its_children_unless_asked_to_recurse() {
    let set = set_of(&json!({"f:a": {".": {}, "f:b": {}}}));
    let parent = FieldSet::of_fields(&["a"]);
    assert_eq!(set.difference(&parent).paths(), [".a.b"]);
    assert!(set.recursive_difference(&parent).is_empty());
    assert_eq!(set.recursive_difference(&FieldSet::of_fields(&["a.b"])).paths(), [".a"]);
}

#[test]
fn a_set_keeps_no_branch_that_leads_nowhere() {
    let set = FieldSet::of_fields(&["a.b.c"]);
    assert_eq!(set.difference(&set), FieldSet::default());
    assert_eq!(set.intersection(&FieldSet::of_fields(&["a.b.d"])), FieldSet::default());
}

fn any_set() -> impl Strategy<Value = FieldSet> {
    let step = prop_oneof![
        "[ab]".prop_map(|name| PathElement::field(&name)),
        (0..3_i64).prop_map(|n| PathElement::Value(Scalar(json!(n)))),
        (0..2_i64, "[xy]").prop_map(|(port, name)| {
            let fields = [("port", json!(port)), ("name", json!(name))];
            PathElement::key(fields.map(|(k, v)| (k.to_owned(), Scalar(v))).to_vec())
        }),
    ];
    let path = prop::collection::vec(step, 1..4);
    prop::collection::vec(path, 0..8).prop_map(|paths| {
        let mut set = FieldSet::default();
        for path in paths {
            set.insert(&path);
        }
        set
    })
}

proptest! {
    #[test]
    fn any_set_survives_its_written_form(set in any_set()) {
        prop_assert_eq!(set_of(&set.encode()), set);
    }

    #[test]
    fn difference_and_intersection_part_a_set(a in any_set(), b in any_set()) {
        let (left, common) = (a.difference(&b), a.intersection(&b));
        prop_assert_eq!(left.union(&common), a.clone());
        prop_assert!(left.intersection(&b).is_empty());
        prop_assert_eq!(common.clone(), b.intersection(&a));
        prop_assert!(common.difference(&b).is_empty());
    }

    #[test]
    fn a_union_has_what_either_has_and_no_more(a in any_set(), b in any_set()) {
        let union = a.union(&b);
        prop_assert_eq!(&union, &b.union(&a));
        prop_assert_eq!(union.difference(&a), b.difference(&a));
    }
}
