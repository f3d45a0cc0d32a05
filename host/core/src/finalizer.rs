//! When an object carries our finalizer: as long as its plugin wants to be
//! asked before it goes, and has not yet answered that it may.

use serde_json::{Map, json};

use crate::{
    id::Lineage,
    kind::Kind,
    object::Meta,
    write::{Action, Seen, Write},
};

/// The write that brings our finalizer up to date, if one is needed. Before a
/// run with `finalized: false`, so that nothing is made before the finalizer
/// is there; after it with what the answer says.
///
/// Finalizers are one list for all who set them, and one manager with two
/// partial applies loses the first; so they go by merge patch of the whole
/// list, fenced by the resource version that it was read at.
pub fn decide(object: &Meta, kind: &Kind, lineage: &Lineage, finalizes: bool, finalized: bool) -> Option<Write> {
    let ours = lineage.finalizer();
    let present = object.finalizers.iter().any(|finalizer| **finalizer == *ours);
    // On an object that is being deleted the server takes no new finalizer.
    let wanted = finalizes && if object.deleting { present && !finalized } else { true };
    if wanted == present {
        return None;
    }
    let mut finalizers = object.finalizers.iter().map(|finalizer| &**finalizer).collect::<Vec<_>>();
    if wanted {
        finalizers.push(&ours);
    } else {
        finalizers.retain(|finalizer| *finalizer != ours);
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

    fn decided(deleting: bool, finalizers: &[&str], finalizes: bool, finalized: bool) -> Option<Value> {
        let mut metadata =
            json!({"name": "a", "namespace": "n", "uid": "u", "resourceVersion": "7", "finalizers": finalizers});
        if deleting {
            metadata["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        }
        let object = Object::parse(&json!({ "metadata": metadata }).to_string(), "demo.dev/v2", "Site").unwrap();
        let version = |name: &str| KindVersion { name: name.into(), status: true, verbs: vec![] };
        let kind = Kind {
            id: GroupKind::new("demo.dev/v1", "Site"),
            plural: "sites".into(),
            namespaced: true,
            versions: vec![version("v2"), version("v1")],
            storage: Some("v1".into()),
        };
        let write = decide(&object.meta, &kind, &Lineage::new("site").unwrap(), finalizes, finalized)?;
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
    fn an_object_gets_the_finalizer_of_a_plugin_that_finalizes_beside_those_of_others() {
        assert_eq!(decided(false, &["other"], true, false), Some(json!(["other", "trimtab.dev/site"])));
        assert_eq!(decided(false, &["trimtab.dev/site"], true, false), None);
        assert_eq!(decided(false, &["trimtab.dev/site"], true, true), None, "only a deleted object is let go");
    }

    #[test]
    fn it_goes_when_the_plugin_is_done_or_no_longer_finalizes() {
        assert_eq!(decided(true, &["trimtab.dev/site", "other"], true, true), Some(json!(["other"])));
        assert_eq!(decided(true, &["trimtab.dev/site"], true, false), None);
        assert_eq!(decided(true, &["trimtab.dev/site"], false, false), Some(json!([])));
        assert_eq!(decided(false, &["trimtab.dev/site"], false, false), Some(json!([])));
    }

    #[test]
    fn an_object_that_is_being_deleted_gets_no_finalizer() {
        assert_eq!(decided(true, &[], true, false), None);
    }
}
