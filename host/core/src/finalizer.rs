//! The write that gives an object our finalizer or takes it away. It is needed as
//! long as somebody has something to do before the object goes: its plugin, or
//! the host, which collects what Kubernetes does not.

use serde_json::{Map, json};

use crate::{
    id::Lineage,
    inherit::Inherit,
    kind::Kind,
    object::Meta,
    write::{Action, Seen, Write},
};

/// The write that brings our finalizer up to date, if one is missing; those that
/// it inherits go with it. Needed:
/// before anything is made that rests on it. Not needed: after all else, since
/// the object may go with it.
///
/// Finalizers are one list for all who set them, and one manager with two
/// partial applies loses the first; so they go by merge patch of the whole
/// list, fenced by the resource version that it was read at.
pub fn decide(object: &Meta, kind: &Kind, lineage: &Lineage, inherit: &Inherit, needed: bool) -> Option<Write> {
    let ours = lineage.finalizer();
    // On an object that is being deleted the server takes no new finalizer.
    if needed && object.deleting {
        return None;
    }
    let before = object.finalizers.iter().map(|finalizer| &**finalizer).collect::<Vec<_>>();
    let mut finalizers = before.clone();
    finalizers.retain(|finalizer| !inherit.finalizers.contains(*finalizer) && (needed || *finalizer != ours));
    if needed && !finalizers.contains(&&*ours) {
        finalizers.push(&ours);
    }
    if finalizers == before {
        return None;
    }
    Some(Write {
        place: object.place.clone(),
        version: kind.metadata_version().to_owned(),
        manager: lineage.metadata_manager(),
        action: Action::Metadata {
            seen: Seen::of(object),
            patch: Map::from_iter([("finalizers".to_owned(), json!(finalizers))]),
        },
    })
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::{id::GroupKind, kind::KindVersion, object::Object};

    fn decided(deleting: bool, finalizers: &[&str], needed: bool) -> Option<Value> {
        let mut metadata =
            json!({"name": "a", "namespace": "n", "uid": "u", "resourceVersion": "7", "finalizers": finalizers});
        if deleting {
            metadata["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        }
        let object = Object::parse(&json!({ "metadata": metadata }).to_string(), "demo.dev/v2", "Site").unwrap();
        let inherit = Inherit { finalizers: ["left/behind".to_owned()].into(), ..Inherit::default() };
        let version = |name: &str| KindVersion { name: name.into(), status: true, verbs: vec![] };
        let kind = Kind {
            id: GroupKind::new("demo.dev/v1", "Site"),
            plural: "sites".into(),
            namespaced: true,
            versions: vec![version("v2"), version("v1")],
            storage: Some("v1".into()),
        };
        let write = decide(&object.meta, &kind, &Lineage::new("site").unwrap(), &inherit, needed)?;
        assert_eq!(write.version, "v1", "metadata goes through the storage version");
        match write.action {
            Action::Metadata { seen, patch } => {
                assert_eq!(seen.resource_version, 7);
                Some(patch["finalizers"].clone())
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_object_gets_a_needed_finalizer_beside_those_of_others_once() {
        assert_eq!(decided(false, &["other"], true), Some(json!(["other", "trimtab.dev/site"])));
        assert_eq!(decided(false, &["trimtab.dev/site"], true), None);
    }

    #[test]
    fn it_goes_when_it_is_needed_no_more_and_those_of_others_stay() {
        assert_eq!(decided(true, &["trimtab.dev/site", "other"], false), Some(json!(["other"])));
        assert_eq!(decided(true, &["trimtab.dev/site"], true), None);
        assert_eq!(decided(false, &["trimtab.dev/site"], false), Some(json!([])));
        assert_eq!(decided(false, &["other"], false), None);
    }

    #[test]
    fn an_object_that_is_being_deleted_gets_no_finalizer() {
        assert_eq!(decided(true, &[], true), None);
    }

    #[test]
    fn an_inherited_finalizer_makes_room_for_ours_and_holds_a_deleted_object_in_its_stead() {
        assert_eq!(decided(false, &["left/behind", "other"], true), Some(json!(["other", "trimtab.dev/site"])));
        assert_eq!(decided(false, &["left/behind", "trimtab.dev/site"], true), Some(json!(["trimtab.dev/site"])));
        assert_eq!(decided(true, &["left/behind"], true), None);
        assert_eq!(decided(true, &["left/behind", "other"], false), Some(json!(["other"])));
    }
}
