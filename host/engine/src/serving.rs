//! The one table that says which generation serves: immutable, swapped whole,
//! so that a look reads one state of it from beginning to end.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use trimtab_cluster::spec::WatchSpec;
use trimtab_core::{
    id::{Cluster, GroupKind, InstanceId, Key, Lineage, Place, SlotId},
    object::{Meta, Object},
    ownership::is_unmarked,
    route::{Route, Table, Unserved, settling_mark},
};

use crate::generation::{Generation, Loaded};

/// What serves at one moment.
#[derive(Default)]
pub struct Serving {
    /// From an object to a slot.
    pub table: Table,
    /// The generations that the table names, by number.
    pub generations: BTreeMap<u64, Arc<Generation>>,
    /// What only shadows the generation that serves in its slot.
    pub shadows: BTreeMap<SlotId, Arc<Generation>>,
    /// Slots that do not serve yet, by the lineage that they inherit from.
    pub heirs_to_come: Vec<(Lineage, SlotId)>,
    /// All that is watched for each instance, also for what is on its way or kept at hand.
    pub watches: BTreeMap<InstanceId, BTreeSet<WatchSpec>>,
    /// Second versions that wait for the marks of the first one's objects.
    pub settling: Vec<Settling>,
}

/// A version that is about to be served beside another one. Until then, each
/// unmarked object is given a mark, so that its version does not change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settling {
    /// Whose objects.
    pub instance: InstanceId,
    /// Whose versions.
    pub lineage: Lineage,
    /// The version that served alone.
    pub alone: String,
    /// The version that comes.
    pub arriving: String,
}

/// Who serves an object.
pub struct Found<'a> {
    /// The generation.
    pub generation: &'a Arc<Generation>,
    /// The version mark that the object must be given first.
    pub mark: Option<String>,
    /// Whether the plugin selects the object.
    pub selected: bool,
    /// Whether what its predecessor has left there is its to take.
    pub inherits: bool,
}

impl Serving {
    /// The generation that serves an object for a lineage.
    pub fn find(&self, object: &Object, lineage: &Lineage) -> Result<Found<'_>, Unserved> {
        match self.table.route(object, lineage) {
            Route::Serve { slot, generation, mark, selected, .. } => {
                let its = |settling: &&Settling| settling.lineage == *lineage && settling.instance == slot.instance;
                let settled = self.settling.iter().find(its);
                let mark = settled.map_or(mark, |to| settling_mark(&object.meta, lineage, &to.alone, &to.arriving));
                let generation = &self.generations[&generation];
                self.is_its(object, generation, selected)?;
                let former = generation.loaded.policy.inherit.lineage.as_ref();
                let served = |former: &Lineage| matches!(self.table.route(object, former), Route::Serve { .. });
                let inherits = selected || !former.is_some_and(served);
                Ok(Found { generation, mark, selected, inherits })
            }
            Route::Unserved(why) => Err(why),
        }
    }

    /// Whose a child is that carries no mark: the keys of those that would inherit it
    /// from the controller that made it, by the owner that it names.
    pub fn heirs<'a>(&'a self, child: &'a Meta) -> impl Iterator<Item = Key> + 'a {
        let owner = child.controller().filter(|_| is_unmarked(child));
        owner.into_iter().flat_map(move |owner| {
            let kind = GroupKind::new(&owner.api_version, &owner.kind);
            self.generations.values().filter_map(move |generation| {
                let inherits = generation.loaded.policy.inherit.children.contains(&child.place.kind);
                let needs = generation.needs.objects.iter().find(|needs| needs.kind.id == kind).filter(|_| inherits)?;
                let namespace = if needs.kind.namespaced { child.place.namespace.clone() } else { "".into() };
                let place = Place { kind: kind.clone(), namespace, name: (*owner.name).into() };
                Some(Key { cluster: Cluster::local(), place, lineage: generation.loaded.lineage.clone() })
            })
        })
    }

    /// Whether an object is served by this generation and not by one that it takes it
    /// over from, or gives it to: as long as the one selects it, the other waits, and
    /// the one does not let go of what the other is about to take.
    fn is_its(&self, object: &Object, generation: &Generation, selected: bool) -> Result<(), Unserved> {
        let Loaded { slot, lineage, policy, .. } = &*generation.loaded;
        let selects = |lineage: &Lineage| match self.table.route(object, lineage) {
            Route::Serve { selected, .. } => selected,
            Route::Unserved(Unserved::NoSlot { .. } | Unserved::Marked(_)) => {
                self.table.is_idle(&slot.instance, lineage)
            }
            Route::Unserved(_) => true,
        };
        if let Some(former) = policy.inherit.lineage.as_ref().filter(|former| selects(former)) {
            return Err(Unserved::Predecessor(former.clone()));
        }
        if selected {
            return Ok(());
        }
        let to_come = self.heirs_to_come.iter().find(|(of, heir)| of == lineage && heir.instance == slot.instance);
        // What is being deleted waits for none who may never come to serve.
        let to_come = to_come.filter(|_| !object.meta.deleting);
        let heir = self.heirs_of(lineage).find(|heir| selects(&heir.loaded.lineage));
        let heir =
            heir.map(|heir| heir.loaded.lineage.clone()).or_else(|| to_come.map(|(_, heir)| heir.stem.lineage()));
        heir.map_or(Ok(()), |heir| Err(Unserved::Successor(heir)))
    }

    /// All generations that inherit from a lineage.
    pub fn heirs_of<'a>(&'a self, lineage: &'a Lineage) -> impl Iterator<Item = &'a Arc<Generation>> {
        let inherits = |heir: &Generation| heir.loaded.policy.inherit.lineage.as_ref() == Some(lineage);
        self.generations.values().filter(move |heir| inherits(heir))
    }

    /// All generations of a lineage: of all its instances and versions.
    pub fn of_lineage<'a>(&'a self, lineage: &'a Lineage) -> impl Iterator<Item = &'a Arc<Generation>> {
        self.generations.values().filter(move |generation| generation.loaded.lineage == *lineage)
    }

    /// All generations that serve in an instance.
    pub fn of_instance<'a>(&'a self, instance: &'a InstanceId) -> impl Iterator<Item = &'a Arc<Generation>> {
        self.generations.values().filter(move |generation| generation.loaded.slot.instance == *instance)
    }
}
