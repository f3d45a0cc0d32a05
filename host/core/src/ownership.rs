//! Whose a child is: the marks that say so, and how they are read. Nothing that
//! carries another's mark is ever written; what carries none, only to take it over.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    hash::Hash,
    id::{Cluster, GroupKind, InstanceId, Lineage, Place, Uid, join_api_version, split_api_version},
    instance::InstanceKey,
    intent::hash_of,
    kind::Kind,
    marks,
    object::Meta,
};

/// The object that children belong to, with all that they inherit from it.
#[derive(Debug, Clone, Copy)]
pub struct Owner<'a> {
    /// The cluster that it lives in.
    pub cluster: &'a Cluster,
    /// Its kind: the owner reference names the preferred version.
    pub kind: &'a Kind,
    /// What was observed of it.
    pub meta: &'a Meta,
    /// Who makes its children.
    pub lineage: &'a Lineage,
    /// The instance that serves it: children inherit the mark.
    pub instance: &'a InstanceId,
    /// Where that mark stands.
    pub instance_key: &'a InstanceKey,
}

impl Owner<'_> {
    /// What the host adds to each child of this owner that may name it, or to
    /// each that may not: those the host collects, by the mark alone.
    pub fn additions(&self, may_name: bool) -> Additions {
        let mut body = json!({ "metadata": {
            "labels": { marks::PLUGIN_LABEL: self.lineage.as_str() },
            "annotations": { marks::OWNER: self.mark().to_string() },
        }});
        if may_name {
            body["metadata"]["ownerReferences"] = json!([{
                "apiVersion": join_api_version(&self.kind.id.group, self.kind.preferred()),
                "kind": *self.kind.id.kind,
                "name": *self.meta.place.name,
                "uid": self.meta.uid.as_str(),
                "controller": true,
                "blockOwnerDeletion": false,
            }]);
        }
        if !self.instance.is_default() {
            body["metadata"][self.instance_key.field()][self.instance_key.name()] = self.instance.as_str().into();
        }
        Additions { hash: hash_of(&body), body }
    }

    /// The mark that its children carry.
    pub fn mark(&self) -> OwnerMark {
        let place = &self.meta.place;
        OwnerMark {
            cluster: self.cluster.as_str().into(),
            group: (*place.kind.group).into(),
            kind: (*place.kind.kind).into(),
            namespace: (*place.namespace).into(),
            name: (*place.name).into(),
            uid: self.meta.uid.as_str().into(),
            lineage: self.lineage.as_str().into(),
        }
    }

    /// Whose an existing object is, seen from this owner and its lineage.
    pub fn whose(&self, child: &Meta) -> Whose {
        let made_here = is_made_by(child, self.lineage);
        if belongs_to(child, &self.meta.uid, self.lineage) {
            Whose::Ours
        } else if made_here && self.is_named_by(child) {
            Whose::Earlier
        } else {
            Whose::Other(whose(child))
        }
    }

    /// Whether an existing object is a child of this owner, made by its lineage.
    pub fn owns(&self, child: &Meta) -> bool {
        belongs_to(child, &self.meta.uid, self.lineage)
    }

    /// Whether a child of ours is the host's to collect: it may not name its owner.
    pub fn collects(&self, child: &Meta) -> bool {
        !self.meta.place.may_be_named_by(&child.place) && self.owns(child)
    }

    /// Whether a child names an owner of this kind, namespace and name.
    fn is_named_by(&self, child: &Meta) -> bool {
        let own = &self.meta.place;
        match (child.controller(), owner_mark(child)) {
            (Some(controller), _) => {
                split_api_version(&controller.api_version).0 == &*own.kind.group
                    && *controller.kind == *own.kind.kind
                    && *controller.name == *own.name
                    && (own.namespace.is_empty() || own.namespace == child.place.namespace)
            }
            (None, Some(mark)) => OwnerMark { uid: self.meta.uid.as_str().into(), ..mark } == self.mark(),
            (None, None) => false,
        }
    }
}

/// Whether an existing object is a child of the owner with that uid and was
/// made by that lineage.
///
/// It must be named by the owner's controller reference *and* a mark of the
/// lineage, so that what another controller makes under the same owner is left
/// alone. The label may be lost if the annotation is there, and the reference
/// if both are: then the object gets back what it lost. A reference to another
/// owner outweighs every mark, since the server's garbage collector acts on it.
pub fn belongs_to(child: &Meta, owner: &Uid, lineage: &Lineage) -> bool {
    let names_both = |mark: OwnerMark| mark.uid == owner.as_str() && mark.lineage == lineage.as_str();
    let marked = || owner_mark(child).is_some_and(names_both);
    let label = child.label(marks::PLUGIN_LABEL);
    let made_here = label.map_or_else(marked, |label| label == lineage.as_str());
    let owned = match child.controller() {
        Some(controller) => controller.uid == *owner,
        None => label.is_some() && marked(),
    };
    made_here && owned
}

/// Whether an object says that this lineage made it.
pub fn is_made_by(child: &Meta, lineage: &Lineage) -> bool {
    child.label(marks::PLUGIN_LABEL) == Some(lineage.as_str())
}

/// Whether an existing object belongs to nobody and stays: it has no controller
/// reference, no mark of a plugin, not even one that cannot be read, and is not
/// being deleted.
pub fn is_free(object: &Meta) -> bool {
    is_unmarked(object) && object.controller().is_none() && !object.deleting
}

/// Whether no plugin has marked an object.
pub fn is_unmarked(object: &Meta) -> bool {
    object.label(marks::PLUGIN_LABEL).is_none()
        && [marks::OWNER, marks::INTENT].iter().all(|mark| object.mark(mark).is_none())
}

/// Whose a child is that may not name its owner. Kubernetes does not collect it:
/// the host does, by the mark, unless somebody else controls it by now.
pub fn collected_for(child: &Meta) -> Option<OwnerMark> {
    let mark = owner_mark(child).filter(|_| child.controller().is_none())?;
    (!mark.place().may_be_named_by(&child.place)).then_some(mark)
}

fn owner_mark(child: &Meta) -> Option<OwnerMark> {
    child.mark(marks::OWNER).and_then(OwnerMark::parse)
}

/// What the marks of an existing object say of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whose {
    /// It belongs to this owner and was made by this lineage.
    Ours,
    /// It belonged to an earlier object of the owner's name and is about to be
    /// collected.
    Earlier,
    /// It is someone else's; the text says whose, for people.
    Other(String),
}

/// What the host adds to each child of one owner.
#[derive(Debug, Clone, PartialEq)]
pub struct Additions {
    /// `{"metadata": {...}}` with labels, annotations and owner references, but
    /// for the mark of the intent.
    pub body: Value,
    /// The hash of that.
    pub hash: Hash,
}

/// The annotation [`marks::OWNER`]: says where a child belongs also where an
/// owner reference cannot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnerMark {
    /// Empty for the cluster that the child lies in.
    pub cluster: String,
    /// The owner's group; empty for the core group.
    pub group: String,
    /// The owner's kind.
    pub kind: String,
    /// Empty for a cluster-scoped owner.
    pub namespace: String,
    /// The owner's name.
    pub name: String,
    /// The owner's uid.
    pub uid: String,
    /// Who made the child: several lineages may serve one object.
    pub lineage: String,
}

impl OwnerMark {
    /// Reads the annotation. What is no mark names no owner.
    pub fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// Where the owner lies.
    pub fn place(&self) -> Place {
        let kind = GroupKind { group: (*self.group).into(), kind: (*self.kind).into() };
        Place { kind, namespace: (*self.namespace).into(), name: (*self.name).into() }
    }
}

impl fmt::Display for OwnerMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

/// Whose an object is, for the message of a conflict.
pub fn whose(object: &Meta) -> String {
    let lineage = object.label(marks::PLUGIN_LABEL);
    let by = lineage.map(|lineage| format!(", made by the plugin {lineage}")).unwrap_or_default();
    if let Some(owner) = object.controller() {
        return format!("it is controlled by {} {} (uid {}){by}", owner.kind, owner.name, owner.uid);
    }
    match owner_mark(object) {
        Some(mark) => format!("it belongs to {} {} (uid {}){by}", mark.kind, mark.name, mark.uid),
        None if is_free(object) => "it belongs to nobody (`adopt` in the plugin's policy takes it over)".into(),
        None => format!("it has no controller{by}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{kind::KindVersion, object::Object};

    fn kind() -> Kind {
        let version = |name: &str| KindVersion { name: name.into(), status: true, verbs: vec![] };
        Kind {
            id: GroupKind::new("demo.dev/v1", "Site"),
            plural: "sites".into(),
            namespaced: true,
            versions: vec![version("v2"), version("v1")],
            storage: None,
        }
    }

    fn site() -> Meta {
        let text = r#"{"metadata":{"name":"a","namespace":"n","uid":"u1","resourceVersion":"1"}}"#;
        Object::parse(text, "demo.dev/v1", "Site").unwrap().meta
    }

    /// A ConfigMap `n/x` with these labels, annotations and references.
    fn child(labels: Value, annotations: Value, owners: Value) -> Meta {
        let metadata = json!({"name": "x", "namespace": "n", "uid": "c", "resourceVersion": "1",
            "labels": labels, "annotations": annotations, "ownerReferences": owners});
        Object::parse(&json!({ "metadata": metadata }).to_string(), "v1", "ConfigMap").unwrap().meta
    }

    fn with_owner<T>(instance: &str, test: impl FnOnce(&Owner<'_>) -> T) -> T {
        let (cluster, lineage, instance) =
            (Cluster::local(), Lineage::new("site").unwrap(), InstanceId::new(instance).unwrap());
        test(&Owner {
            cluster: &cluster,
            kind: &kind(),
            meta: &site(),
            lineage: &lineage,
            instance: &instance,
            instance_key: &InstanceKey::default(),
        })
    }

    fn whose_is(labels: Value, annotations: Value, owners: Value) -> Whose {
        with_owner("", |owner| owner.whose(&child(labels, annotations, owners)))
    }

    fn reference(name: &str, uid: &str) -> Value {
        json!([{"apiVersion": "demo.dev/v1", "kind": "Site", "name": name, "uid": uid, "controller": true}])
    }

    #[test]
    fn what_the_host_adds_makes_a_child_ours() {
        with_owner("canary", |owner| {
            let metadata = &owner.additions(true).body["metadata"];
            let child =
                child(metadata["labels"].clone(), metadata["annotations"].clone(), metadata["ownerReferences"].clone());
            assert_eq!(owner.whose(&child), Whose::Ours);
            assert_eq!(child.label(marks::INSTANCE_LABEL), Some("canary"));
            let reference = child.controller().unwrap();
            assert_eq!(&*reference.api_version, "demo.dev/v2", "the preferred version");
            assert_eq!(metadata["ownerReferences"][0]["blockOwnerDeletion"], false);
        });
    }

    #[test]
    fn the_default_instance_leaves_no_mark_on_children() {
        let additions = with_owner("", |owner| owner.additions(true));
        assert_eq!(additions.body["metadata"]["labels"], json!({"trimtab.dev/plugin": "site"}));
        assert_ne!(additions.hash, with_owner("canary", |owner| owner.additions(true)).hash);
    }

    #[test]
    fn a_child_that_lost_its_label_or_its_reference_is_still_ours() {
        let mark = json!({marks::OWNER: with_owner("", |owner| owner.mark().to_string())});
        assert_eq!(whose_is(json!({}), mark.clone(), reference("a", "u1")), Whose::Ours);
        assert_eq!(whose_is(json!({"trimtab.dev/plugin": "site"}), mark, json!([])), Whose::Ours);
    }

    #[test]
    fn a_child_in_another_namespace_is_ours_and_collected_by_its_marks_alone() {
        let mark = json!({marks::OWNER: with_owner("", |owner| owner.mark().to_string())});
        let mut elsewhere = child(json!({"trimtab.dev/plugin": "site"}), mark.clone(), json!([]));
        assert_eq!(collected_for(&elsewhere), None, "it may get its reference back");
        elsewhere.place.namespace = "m".into();
        with_owner("", |owner| {
            assert_eq!(owner.whose(&elsewhere), Whose::Ours);
            assert_eq!(collected_for(&elsewhere).map(|mark| mark.place()), Some(owner.meta.place.clone()));
            assert!(owner.additions(false).body["metadata"].get("ownerReferences").is_none());
        });
        let mut controlled = child(json!({}), mark, reference("b", "u2"));
        controlled.place.namespace = "m".into();
        assert_eq!(collected_for(&controlled), None);
    }

    #[test]
    fn what_another_lineage_made_for_the_same_owner_is_not_ours_though_its_label_is_lost() {
        let mark = json!({marks::OWNER: with_owner("", |owner| {
            OwnerMark { lineage: "blog".into(), ..owner.mark() }.to_string()
        })});
        assert!(matches!(whose_is(json!({}), mark, reference("a", "u1")), Whose::Other(_)));
    }

    #[test]
    fn what_someone_else_made_under_our_owner_is_not_ours() {
        assert!(matches!(whose_is(json!({}), json!({}), reference("a", "u1")), Whose::Other(_)));
    }

    #[test]
    fn an_annotation_alone_makes_nothing_ours() {
        let mark = with_owner("", |owner| owner.mark().to_string());
        assert!(matches!(whose_is(json!({}), json!({marks::OWNER: mark}), json!([])), Whose::Other(_)));
    }

    #[test]
    fn children_of_an_earlier_object_of_the_same_name_are_told_apart() {
        let label = json!({"trimtab.dev/plugin": "site"});
        assert_eq!(whose_is(label.clone(), json!({}), reference("a", "u0")), Whose::Earlier);
        let mark = with_owner("", |owner| OwnerMark { uid: "u0".into(), ..owner.mark() }.to_string());
        assert_eq!(whose_is(label, json!({marks::OWNER: mark}), json!([])), Whose::Earlier);
    }

    #[test]
    fn another_lineage_another_owner_or_no_mark_is_not_ours_and_says_whose() {
        let other_lineage = whose_is(json!({"trimtab.dev/plugin": "blog"}), json!({}), reference("a", "u1"));
        assert_eq!(other_lineage, Whose::Other("it is controlled by Site a (uid u1), made by the plugin blog".into()));
        let label = json!({"trimtab.dev/plugin": "site"});
        let other_owner = whose_is(label.clone(), json!({}), reference("b", "u2"));
        assert_eq!(other_owner, Whose::Other("it is controlled by Site b (uid u2), made by the plugin site".into()));
        assert_eq!(
            whose_is(json!({}), json!({}), json!([])),
            Whose::Other("it belongs to nobody (`adopt` in the plugin's policy takes it over)".into())
        );
    }

    #[test]
    fn a_controller_reference_outweighs_the_annotation() {
        let mark = with_owner("", |owner| owner.mark().to_string());
        let label = json!({"trimtab.dev/plugin": "site"});
        assert!(matches!(whose_is(label, json!({marks::OWNER: mark}), reference("b", "u2")), Whose::Other(_)));
    }

    #[test]
    fn an_owner_mark_is_read_as_it_was_written() {
        let mark = with_owner("", |owner| owner.mark());
        assert_eq!(OwnerMark::parse(&mark.to_string()), Some(mark));
        assert_eq!(OwnerMark::parse("not a mark"), None);
    }
}
