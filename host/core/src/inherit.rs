//! What the controller that a plugin replaces has left: children under the same
//! objects, and a finalizer on these. The policy names them, since nothing in the
//! cluster tells a controller that is gone from one that is at work. Where that was
//! a plugin, too, its lineage is enough: what it made and left bears its marks.

use std::{collections::BTreeSet, sync::LazyLock};

use crate::{
    id::{GroupKind, Lineage, Uid},
    marks,
    object::{Meta, Object},
    ownership::{belongs_to, is_unmarked},
    selector::{Selector, is_subdomain},
};

/// What a policy lets its plugin inherit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Inherit {
    /// Kinds of children that are ours where their controller reference is our
    /// object and no plugin has marked them, whoever made them.
    pub children: BTreeSet<GroupKind>,
    /// Which of these, by the annotations that they carry: where several controllers
    /// make children for the same objects, some mark theirs.
    pub annotations: Selector,
    /// Finalizers that our own takes the place of, the lineage's among them.
    pub finalizers: BTreeSet<String>,
    /// Another plugin, whose objects are ours with all that it left there as soon as
    /// it serves them no more.
    pub lineage: Option<Lineage>,
}

impl Inherit {
    /// Where others are still there themselves.
    pub fn nothing() -> &'static Self {
        static NOTHING: LazyLock<Inherit> = LazyLock::new(Inherit::default);
        &NOTHING
    }

    /// Whether an object waits for us: for our own finalizer or for one of these.
    pub fn holds(&self, object: &Meta, ours: &str) -> bool {
        object.finalizers.iter().any(|held| **held == *ours || self.finalizers.contains(&**held))
    }

    /// Whether an existing object is a child of the owner with that uid which is
    /// ours to take over.
    pub fn takes(&self, child: &Object, owner: &Uid) -> bool {
        let Object { meta, .. } = child;
        let of_lineage = |lineage| belongs_to(meta, owner, lineage);
        let controlled = || meta.controller().is_some_and(|controller| controller.uid == *owner);
        self.lineage.as_ref().is_some_and(of_lineage)
            || (self.children.contains(&meta.place.kind)
                && is_unmarked(meta)
                && controlled()
                && (self.annotations.is_empty() || self.annotations.matches(|name| child.annotation(name))))
    }

    /// Reads the name of a finalizer that another controller may have left.
    /// Those of Kubernetes and of plugins are served by who has set them.
    pub fn finalizer(text: &str) -> Option<String> {
        let (domain, name) = text.split_once('/')?;
        let served = ["kubernetes.io", "k8s.io", marks::PREFIX.trim_end_matches('/')];
        let taken = served
            .iter()
            .any(|own| domain.strip_suffix(own).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')));
        (is_subdomain(domain) && !name.is_empty() && !taken).then(|| text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_child_is_taken_from_the_controller_whose_annotation_it_carries_and_from_no_other() {
        let owner = json!({ "apiVersion": "v1", "kind": "Namespace", "name": "n", "uid": "u1", "controller": true });
        let child = |annotations: Value| {
            let metadata = json!({ "name": "x", "uid": "c", "resourceVersion": "1",
                "ownerReferences": [owner], "annotations": annotations });
            Object::parse(&json!({ "metadata": metadata }).to_string(), "v1", "ConfigMap").unwrap()
        };
        let takes = |annotations: &str, child: &Object| {
            let inherit = Inherit {
                children: [GroupKind::new("v1", "ConfigMap")].into(),
                annotations: Selector::parse(annotations).unwrap(),
                ..Inherit::default()
            };
            ["u1", "u2"].map(|uid| inherit.takes(child, &Uid::new(uid)))
        };
        let (of_a, of_nobody) = (child(json!({ "left.dev/by": "a" })), child(json!({})));
        for (annotations, takes_of_a, takes_of_nobody) in [
            ("", true, true),
            ("left.dev/by=a", true, false),
            ("left.dev/by=b", false, false),
            ("!left.dev/by", false, true),
        ] {
            assert_eq!(takes(annotations, &of_a), [takes_of_a, false], "{annotations}");
            assert_eq!(takes(annotations, &of_nobody), [takes_of_nobody, false], "{annotations}");
        }
    }

    #[test]
    fn finalizers_of_kubernetes_and_of_plugins_are_not_inherited() {
        let left = "metacontroller.io/compositecontroller-site";
        assert_eq!(Inherit::finalizer(left).as_deref(), Some(left));
        assert!(Inherit::finalizer("notk8s.io/x").is_some());
        for text in ["foregroundDeletion", "kubernetes.io/pvc-protection", "batch.k8s.io/x", "trimtab.dev/site", "a/"] {
            assert_eq!(Inherit::finalizer(text), None, "{text}");
        }
    }
}
