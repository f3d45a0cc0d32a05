//! Which instance may act for an object of a plugin that reaches outside the cluster.
//!
//! What a plugin does elsewhere carries no resource version that could fence it, so an
//! object that is moved between instances must not be acted for by two. A label on it
//! names the instance that holds it. It is set before the first call, and taken off by
//! that instance alone, when the object is no more its own and no call is under way;
//! another one overwrites it when nobody serves the instance any more. Each of these is
//! one write of metadata, fenced by what was seen, so of two that want it one has it.

use serde_json::{Map, Value, json};

use crate::{
    id::{InstanceId, Lineage},
    kind::Kind,
    object::Meta,
    write::{Action, Seen, Write},
};

/// The instance that holds an object for a lineage: an id, as long as nobody has
/// tampered with it.
pub fn holder<'a>(object: &'a Meta, lineage: &Lineage) -> Option<&'a str> {
    object.label(&lineage.hold_mark())
}

/// The label selector of what an instance holds, also of what is no more its own.
pub fn held_by(lineage: &Lineage, instance: &InstanceId) -> String {
    format!("{}={instance}", lineage.hold_mark())
}

/// The write by which an instance takes an object, from another one or from nobody.
pub fn take(object: &Meta, kind: &Kind, lineage: &Lineage, instance: &InstanceId) -> Write {
    write(object, kind, lineage, instance.as_str().into())
}

/// The write after which nobody holds an object.
pub fn let_go(object: &Meta, kind: &Kind, lineage: &Lineage) -> Write {
    write(object, kind, lineage, Value::Null)
}

/// What a write does to a hold and to nothing else: it gives it to an instance, or to
/// nobody (null); none: it is no such write.
pub fn moves<'a>(write: &'a Write, lineage: &Lineage) -> Option<&'a Value> {
    let Action::Metadata { patch, .. } = &write.action else { return None };
    let only = |fields: &'a Map<String, Value>, name: &str| fields.get(name).filter(|_| fields.len() == 1);
    only(only(patch, "labels")?.as_object()?, &lineage.hold_mark())
}

fn write(object: &Meta, kind: &Kind, lineage: &Lineage, holder: Value) -> Write {
    Write {
        place: object.place.clone(),
        version: kind.metadata_version().to_owned(),
        manager: lineage.metadata_manager(),
        action: Action::Metadata {
            seen: Seen::of(object),
            patch: Map::from_iter([("labels".to_owned(), json!({ lineage.hold_mark(): holder }))]),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{id::GroupKind, kind::KindVersion, object::Object, selector::Selector};

    const MARK: &str = "exclusive.trimtab.dev/site";

    fn lineage() -> Lineage {
        Lineage::new("site").unwrap()
    }

    fn kind() -> Kind {
        let v1 = KindVersion { name: "v1".into(), status: true, verbs: vec![] };
        let id = GroupKind::new("demo.dev/v1", "Site");
        Kind { id, plural: "sites".into(), namespaced: true, versions: vec![v1], storage: None }
    }

    fn object(labels: &Value) -> Object {
        let metadata = json!({ "name": "a", "namespace": "n", "uid": "u", "resourceVersion": "7", "labels": labels });
        Object::parse(&json!({ "metadata": metadata }).to_string(), "demo.dev/v1", "Site").unwrap()
    }

    fn instance(id: &str) -> InstanceId {
        InstanceId::new(id).unwrap()
    }

    #[test]
    fn the_default_instance_holds_by_a_label_without_a_value() {
        let held = object(&json!({ MARK: "" }));
        assert_eq!(holder(&held.meta, &lineage()), Some(""));
        assert_eq!(holder(&object(&json!({})).meta, &lineage()), None);
    }

    #[test]
    fn what_an_instance_holds_is_selected_by_its_id_alone() {
        for (id, other) in [("", "blue"), ("blue", ""), ("blue", "green")] {
            let selector = Selector::parse(&held_by(&lineage(), &instance(id))).unwrap();
            let matches = |holder: &str| selector.matches(|name| (name == MARK).then_some(holder));
            assert!(matches(id) && !matches(other), "{id:?}");
            assert!(!selector.matches(|_| None::<&str>), "{id:?} and what nobody holds");
        }
    }

    #[test]
    fn a_hold_is_taken_and_let_go_by_a_fenced_write_of_nothing_else() {
        let object = object(&json!({ MARK: "green", "team": "a" }));
        let taken = take(&object.meta, &kind(), &lineage(), &instance("blue"));
        assert_eq!(moves(&taken, &lineage()), Some(&json!("blue")));
        assert_eq!(moves(&let_go(&object.meta, &kind(), &lineage()), &lineage()), Some(&Value::Null));
        let Action::Metadata { seen, patch } = &taken.action else { panic!("{taken:?}") };
        assert_eq!((seen.resource_version, patch.len()), (7, 1));
        assert_eq!(moves(&taken, &Lineage::new("other").unwrap()), None);
        let mut more = taken.clone();
        let Action::Metadata { patch, .. } = &mut more.action else { panic!("{more:?}") };
        patch.insert("annotations".into(), json!({ "a": "b" }));
        assert_eq!(moves(&more, &lineage()), None);
    }
}
