//! Children by their object's own selector: what is taken, what is given back, and
//! that it comes to rest.

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};
use trimtab_core::{
    adoption::{Claims, NoSelector, SelectorField, claims},
    id::InstanceId,
    marks,
    object::Object,
    ownership::is_free,
    selector::Selector,
    write::{Action, Write},
};

use crate::given::{World, config_map};

fn web() -> Selector {
    Selector::parse("app=web").unwrap()
}

/// A ConfigMap `n/x` with this metadata besides.
fn there(metadata: &Value) -> Arc<Object> {
    let mut object = json!({ "metadata": { "name": "x", "namespace": "n", "uid": "c", "resourceVersion": "7" } });
    json_patch::merge(&mut object["metadata"], metadata);
    Arc::new(Object::parse(&object.to_string(), "v1", "ConfigMap").unwrap())
}

/// What a look at the object takes and gives back, if that is all there is.
fn look(world: &World, child: &Arc<Object>) -> Claims {
    let owner = world.owner();
    let (mut children, mut selected) = (vec![child.clone()], vec![child.clone()]);
    children.retain(|child| owner.owns(&child.meta));
    selected.retain(|child| web().matches(|name| child.meta.label(name)));
    claims(&owner, &web(), &world.kinds, &children, &selected)
}

/// The child after the one write of these, if there is one.
fn after(claims: &Claims, child: &Arc<Object>) -> Arc<Object> {
    let Some(Write { action, place, .. }) = claims.adopt.iter().chain(&claims.release).next() else {
        return child.clone();
    };
    let Action::Metadata { seen, patch } = action else { panic!("{action:?}") };
    assert_eq!((place, seen.resource_version), (&child.meta.place, 7), "it is fenced by what was seen");
    let mut whole = child.value();
    json_patch::merge(&mut whole["metadata"], &Value::Object(patch.clone()));
    Arc::new(Object::parse(&whole.to_string(), "v1", "ConfigMap").unwrap())
}

fn reference(uid: &str, controller: bool) -> Value {
    json!({ "apiVersion": "v1", "kind": "Some", "name": "some", "uid": uid, "controller": controller })
}

#[test]
fn what_is_selected_and_free_becomes_a_child_and_keeps_all_that_it_has() {
    let mut world = World::site();
    world.instance = InstanceId::new("canary").unwrap();
    let found =
        there(&json!({ "labels": { "app": "web", "theirs": "x" }, "ownerReferences": [reference("o", false)] }));
    let taken = after(&look(&world, &found), &found);
    assert!(world.owner().owns(&taken.meta));
    assert_eq!(taken.meta.label("theirs"), Some("x"));
    assert_eq!(taken.meta.label(marks::INSTANCE_LABEL), Some("canary"));
    assert_eq!(taken.meta.owners.len(), 2);
    assert_eq!(taken.meta.mark(marks::INTENT), None, "nothing is known of what it was made from");
}

#[test]
fn what_is_another_instances_or_another_owners_is_not_taken() {
    let world = World::site();
    for metadata in [
        json!({ "labels": { "app": "web", marks::INSTANCE_LABEL: "canary" } }),
        json!({ "labels": { "app": "web", marks::PLUGIN_LABEL: "site" } }),
        json!({ "labels": { "app": "web" }, "ownerReferences": [reference("o", true)] }),
        json!({ "labels": { "app": "web" }, "deletionTimestamp": "2026-01-01T00:00:00Z" }),
        json!({ "labels": { "app": "web" }, "namespace": "m" }),
        json!({ "labels": { "app": "db" } }),
    ] {
        assert_eq!(look(&world, &there(&metadata)), Claims::default(), "{metadata}");
    }
}

#[test]
fn each_child_that_is_answered_must_be_selected() {
    let mut world = World::site();
    world.selector = Some(web());
    let labelled = |labels: Value| {
        let mut child = config_map("x", json!({}));
        child["metadata"]["labels"] = labels;
        world.check(&[child]).map(|_| ()).map_err(|refused| refused.to_string())
    };
    assert_eq!(labelled(json!({ "app": "web", "more": "y" })), Ok(()));
    let refused =
        "ConfigMap n/x does not match app=web, by which its object selects its children: give it labels that do";
    for labels in [json!({ "app": "db" }), json!({}), Value::Null] {
        assert_eq!(labelled(labels), Err(refused.to_owned()));
    }
}

#[test]
fn an_object_that_selects_nothing_or_everything_is_told_so() {
    let field = SelectorField::parse("spec.selector").unwrap();
    let of = |spec: Value| {
        let object = json!({ "metadata": { "name": "a", "uid": "u", "resourceVersion": "1" }, "spec": spec });
        field.of(&Object::parse(&object.to_string(), "demo.dev/v1", "Site").unwrap())
    };
    assert_eq!(of(json!({ "selector": { "matchLabels": { "app": "web" } } })), Ok(web()));
    for empty in [json!({}), json!({ "selector": null }), json!({ "selector": { "matchLabels": {} } })] {
        assert_eq!(of(empty), Err(NoSelector::Empty("spec.selector".into())));
    }
    let bad = of(json!({ "selector": { "app": "web" } })).unwrap_err().to_string();
    assert!(bad.starts_with("its spec.selector: \"app\" is not a label selector"), "{bad}");
    for text in ["", "spec.", "spec..selector", "spec[0]"] {
        assert_eq!(SelectorField::parse(text), None, "{text}");
    }
}

proptest! {
    #[test]
    fn one_write_at_most_is_made_of_what_is_ours_or_nobodys_and_then_none(
        app in prop::option::of(prop_oneof!["web", "db"]),
        lineage in prop::option::of(prop_oneof!["site", "blog"]),
        controller in prop::option::of(prop_oneof!["u1", "u2"]),
        deleting in any::<bool>(),
    ) {
        let world = World::site();
        let labels = [("app", app.clone()), (marks::PLUGIN_LABEL, lineage.clone())];
        let labels = labels.into_iter().filter_map(|(name, value)| Some((name, value?))).collect::<Vec<_>>();
        let mut metadata = json!({ "labels": labels.into_iter().collect::<std::collections::BTreeMap<_, _>>() });
        if let Some(uid) = &controller {
            metadata["ownerReferences"] = json!([reference(uid, true)]);
        }
        if deleting {
            metadata["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        }
        let before = there(&metadata);
        let first = look(&world, &before);
        let now = after(&first, &before);
        let (was_ours, was_free) = (world.owner().owns(&before.meta), is_free(&before.meta));
        let selected = app.as_deref() == Some("web");
        let (takes, gives) = (was_free && selected, was_ours && !selected && !deleting);
        prop_assert_eq!((first.adopt.len(), first.release.len()), (usize::from(takes), usize::from(gives)));
        prop_assert_eq!(world.owner().owns(&now.meta), takes || (was_ours && !gives));
        prop_assert_eq!(is_free(&now.meta), gives || (was_free && !takes));
        prop_assert_eq!(look(&world, &now), Claims::default());
    }
}
