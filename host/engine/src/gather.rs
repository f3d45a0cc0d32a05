//! What one look finds before anything is called: the object, who serves it and
//! its children, or why there is nothing to do.

use std::sync::Arc;

use trimtab_cluster::store::Store;
use trimtab_core::{
    decorate,
    description::Role,
    fingerprint::{Fingerprint, Look, fingerprint},
    hash::Hash,
    id::{InstanceId, Key, Place},
    inherit::Inherit,
    marks,
    object::Object,
    ownership::belongs_to,
    route::Unserved,
    status,
};

use crate::{
    generation::{Generation, Loaded},
    leading::Leading,
    serving::{Found, Serving},
    slot::unhealthy,
};

/// All that a run is decided on.
#[derive(Clone)]
pub struct Job {
    /// Who serves the object.
    pub generation: Arc<Generation>,
    /// Its instance.
    pub instance: InstanceId,
    /// The object, in the version that the plugin wants.
    pub object: Arc<Object>,
    /// The version mark that it must be given before anything else.
    pub mark: Option<String>,
    /// What belongs to it, of the declared kinds in their declared versions; where
    /// it is only collected, no more than that.
    pub children: Vec<Arc<Object>>,
    /// The plugin does not select it any more: what was added to it is taken back.
    pub leaving: bool,
    /// It is being deleted or let go, and the plugin is to be asked. Where it is not,
    /// the host collects what Kubernetes does not.
    pub finalizing: bool,
    /// What its predecessor has left is its to take.
    inherits: bool,
}

/// Why nothing is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Idle {
    /// The object does not exist (any more).
    Gone,
    /// It is being deleted, and no one waits for the plugin.
    Deleting,
    /// No slot of the lineage serves it.
    Unserved(Unserved),
    /// The plugin does not select it, and has left nothing there.
    NotSelected,
    /// Its annotation says so.
    Paused,
    /// Another process leads its instance, or none does.
    Standby,
    /// A watch is not synced: the key is turned away until it is.
    Unsynced(String),
    /// The watch of its version lacks what is known of it from another one; the
    /// event that brings it wakes the key.
    Behind,
}

impl Idle {
    /// The word that metrics use.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::Deleting => "deleting",
            Self::Unserved(_) => "unserved",
            Self::NotSelected => "not-selected",
            Self::Paused => "paused",
            Self::Standby => "standby",
            Self::Unsynced(_) => "unsynced",
            Self::Behind => "behind",
        }
    }

    /// Why, where the word does not say it all.
    pub fn reason(&self) -> Option<String> {
        match self {
            Self::Unserved(why) => Some(why.to_string()),
            Self::Unsynced(why) => Some(why.clone()),
            Self::Standby => Some("another process leads its instance, or none does".into()),
            Self::Paused => Some(format!("its annotation {} says so", marks::PAUSED)),
            Self::NotSelected => Some("the plugin's selectors do not match it".into()),
            Self::Behind => Some("the watch of its version has not caught up with another's".into()),
            Self::Gone | Self::Deleting => None,
        }
    }
}

/// Where a look gathers from.
pub struct Sources<'a> {
    pub store: &'a Store,
    pub leading: &'a Leading,
    pub serving: &'a Serving,
}

impl Sources<'_> {
    /// Gathers what a look at `key` needs.
    pub fn gather(&self, key: &Key) -> Result<Job, Idle> {
        let newest = self.newest(key).ok_or(Idle::Gone)?;
        let Found { generation, mark, selected, inherits } =
            self.serving.find(&newest, &key.lineage).map_err(Idle::Unserved)?;
        let instance = generation.loaded.slot.instance.clone();

        let place = &key.place;
        let version = &generation.needs.object(&place.kind).version;
        let object = self.store.get(&place.kind, version, &place.namespace, &place.name);
        let object = object.filter(|object| object.meta.uid == newest.meta.uid).ok_or(Idle::Behind)?;
        if self.store.behind(&place.kind, version, &place.namespace, &place.name) {
            return Err(Idle::Behind);
        }
        if object.meta.is_paused() {
            return Err(Idle::Paused);
        }
        if !self.leading.leads(&instance) {
            return Err(Idle::Standby);
        }
        if let Some(why) = unhealthy(self.store, &generation.needs.watches) {
            return Err(Idle::Unsynced(why));
        }
        let inherit = if inherits { &generation.loaded.policy.inherit } else { Inherit::nothing() };
        let held = inherit.holds(&object.meta, &key.lineage.finalizer());
        if object.meta.deleting && !held {
            return Err(Idle::Deleting);
        }
        let description = &generation.loaded.description;
        let finalizes = description.finalizes && held;
        let mut children = self.children(generation, inherit, &object);
        if object.meta.deleting && !finalizes {
            children.retain(|child| !place.may_be_named_by(&child.meta.place));
        }
        // A composite owns the object's life: where it does not want to be asked, the
        // object and its children are left as they are, unless it is retired. A
        // decorator takes back what it has added to what is somebody else's; one that
        // finalizes has said itself which children stay.
        let retire = generation.loaded.policy.retire;
        let has_added = || {
            let ours = |child: &Arc<Object>| belongs_to(&child.meta, &object.meta.uid, &key.lineage);
            let counts = !description.finalizes || retire.is_some();
            let says = || retire.is_some() && status::withdraw(&object, &key.lineage).is_some();
            decorate::holds(&object.meta, &key.lineage) || (counts && children.iter().any(ours)) || says()
        };
        let lets_go = description.role == Role::Decorator || retire.is_some();
        let leaving = !selected && (finalizes || (lets_go && has_added()));
        if !selected && !leaving && !object.meta.deleting {
            return Err(Idle::NotSelected);
        }
        Ok(Job {
            instance,
            mark: mark.filter(|_| !object.meta.deleting && !leaving),
            children,
            leaving,
            finalizing: finalizes && (object.meta.deleting || leaving),
            inherits,
            generation: generation.clone(),
            object,
        })
    }

    /// The generation that is to be asked what the job's is asked, if there is one and it
    /// can be: not for what goes, as only one can say when it may.
    pub fn shadow(&self, job: &Job) -> Option<&Arc<Generation>> {
        let shadow = self.serving.shadows.get(&job.generation.loaded.slot)?;
        let ends = job.leaving || job.object.meta.deleting;
        (!ends && unhealthy(self.store, &shadow.needs.watches).is_none()).then_some(shadow)
    }

    /// The same job as it would be that generation's.
    pub fn beside(&self, job: &Job, shadow: &Arc<Generation>) -> Option<Job> {
        let Place { kind, namespace, name } = &job.object.meta.place;
        let known = shadow.loaded.description.object(kind);
        let object = match known.filter(|known| known.version != *job.object.meta.version) {
            // What it does not select, it does not watch in its version either: that it is left is told.
            Some(known) if known.selects(&job.object) => self.store.get(kind, &known.version, namespace, name)?,
            _ => job.object.clone(),
        };
        let inherit = if job.inherits { &shadow.loaded.policy.inherit } else { Inherit::nothing() };
        let children = self.children(shadow, inherit, &object);
        Some(Job { generation: shadow.clone(), object, children, mark: None, finalizing: false, ..job.clone() })
    }

    /// The object in whichever version is the newest: a mark that was written
    /// through one version is seen there first.
    pub fn newest(&self, key: &Key) -> Option<Arc<Object>> {
        let generations = self.serving.of_lineage(&key.lineage);
        let versions = generations.filter_map(|generation| generation.loaded.description.object(&key.place.kind));
        let versions = versions.map(|object| &object.version);
        let found = versions
            .filter_map(|version| self.store.get(&key.place.kind, version, &key.place.namespace, &key.place.name));
        found.max_by_key(|object| object.meta.resource_version)
    }

    fn children(&self, generation: &Generation, inherit: &Inherit, owner: &Object) -> Vec<Arc<Object>> {
        let declared = |child: &Object| {
            generation
                .needs
                .children
                .iter()
                .any(|spec| spec.kind.id == child.meta.place.kind && spec.version == *child.meta.version)
        };
        // Others may have made some for the same object, and look after those themselves.
        let (lineage, uid) = (&generation.loaded.lineage, &owner.meta.uid);
        let its = |child: &Object| belongs_to(&child.meta, uid, lineage) || inherit.takes(child, uid);
        let mut children = self.store.children(&owner.meta.uid);
        children.retain(|child| declared(child) && its(child));
        children
    }
}

impl Job {
    /// Whether its generation's plugin wants the object at all.
    pub fn is_selected(&self) -> bool {
        let Loaded { policy, description, .. } = &*self.generation.loaded;
        let kind = description.object(&self.object.meta.place.kind);
        policy.retire.is_none() && kind.is_some_and(|kind| kind.selects(&self.object))
    }

    /// What of others it may take.
    pub fn inherit(&self) -> &Inherit {
        if self.inherits { &self.generation.loaded.policy.inherit } else { Inherit::nothing() }
    }

    /// The fingerprint of all that the plugin is given, look-ups among it; but for
    /// the object's status, where the policy says so.
    pub fn fingerprint(&self, looks: &[Look]) -> Fingerprint {
        let ignores_status = self.generation.loaded.policy.work.ignore_status_changes;
        let object = if ignores_status { self.object.body } else { self.object.content };
        self.fingerprint_of(object, looks)
    }

    /// The same without the object's status: what a failure rests on, since the
    /// report of a failure goes to the status and must not be a reason to try again.
    pub fn cause(&self, looks: &[Look]) -> Fingerprint {
        self.fingerprint_of(self.object.body, looks)
    }

    fn fingerprint_of(&self, object: Hash, looks: &[Look]) -> Fingerprint {
        let children = self.children.iter().map(AsRef::as_ref);
        fingerprint(self.generation.loaded.identity, object, self.finalizing, children, looks)
    }
}
