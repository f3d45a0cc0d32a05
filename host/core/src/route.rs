//! Which slot serves an object: a pure look-up in an immutable table, made at
//! the moment of work. The owner of the slots builds a new table for every
//! change and publishes it whole.
//!
//! Two marks on the object decide: that of its instance, and where several
//! versions of a kind are served in one instance, the sticky annotation
//! `trimtab.dev/version`. managedFields alone could not: a scale, an edit in
//! the preferred version or a no-op apply changes them.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, HashMap},
};

use crate::{
    description::{ObjectKind, Role},
    id::{GroupKind, InstanceId, Lineage, SlotId, split_api_version},
    instance::InstanceKey,
    marks,
    object::{Meta, Object},
};

/// A slot that serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Serving {
    /// Which slot; it tells the instance and the lineage.
    pub slot: SlotId,
    /// What it is to its objects.
    pub role: Role,
    /// One of the kinds that it reconciles: in which version, and which objects.
    pub object: ObjectKind,
    /// It selects none of them any more.
    pub retired: bool,
    /// Where its objects say that they are its instance's.
    pub instance_key: InstanceKey,
    /// The generation that serves in it.
    pub generation: u64,
}

/// Where an object goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// To this slot.
    Serve {
        /// The slot.
        slot: SlotId,
        /// The generation that serves in it.
        generation: u64,
        /// The version in which the plugin is given the object.
        version: String,
        /// The version mark that must be on the object before anything else
        /// happens to it; absent: nothing is to be written.
        mark: Option<String>,
        /// Whether the slot selects the object: what it does not is left alone, or
        /// is let go where it was selected before.
        selected: bool,
    },
    /// Nowhere, and nothing of it is touched.
    Unserved(Unserved),
}

/// Why no slot serves an object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unserved {
    /// No slot of the lineage serves the kind in the object's instance.
    #[error("no plugin of lineage {lineage} serves {kind} in {}", named(.instance))]
    NoSlot {
        /// The lineage that was asked for.
        lineage: Lineage,
        /// The object's kind.
        kind: GroupKind,
        /// The object's instance mark.
        instance: String,
    },
    /// It bears a mark that another slot looks at, and none for this lineage that
    /// would count besides.
    #[error("it is marked for {0}, which looks at another instance key")]
    Marked(SlotId),
    /// Slots that look for their instance in different places all find it.
    #[error("it is marked for {one} and for {other}, which have different instance keys: remove one mark")]
    TwoInstances {
        /// One of the slots.
        one: SlotId,
        /// One of another instance.
        other: SlotId,
    },
    /// Another lineage serves the object, from which this one inherits.
    #[error("lineage {0} has it, from which it is taken over once that one serves it no more")]
    Predecessor(Lineage),
    /// The object is not selected any more, and another lineage inherits it.
    #[error("lineage {0} takes it over")]
    Successor(Lineage),
    /// The object belongs to a version that no slot serves at the moment.
    #[error("it belongs to version {version}, and only {} is served", .served.join(", "))]
    VersionNotServed {
        /// The version that the object's mark or its history names.
        version: String,
        /// The versions served.
        served: Vec<String>,
    },
}

fn named(instance: &str) -> String {
    if instance.is_empty() { "the default instance".into() } else { format!("instance {instance:?}") }
}

/// Who serves what.
#[derive(Debug, Clone, Default)]
pub struct Table {
    kinds: HashMap<GroupKind, Vec<Serving>>,
    idle: BTreeSet<(InstanceId, Lineage)>,
    awaited: Vec<(SlotId, InstanceKey)>,
}

impl Table {
    /// The table of these slots. `idle` are those that lie in the folder and do
    /// not serve, be it that they are loaded just now, wait for a kind or were
    /// refused (but not those whose version another file serves). They count:
    /// a version must not take the objects of another whose plugin is late,
    /// as at the host's start, or broken.
    pub fn new(serving: impl IntoIterator<Item = Serving>, idle: impl IntoIterator<Item = SlotId>) -> Self {
        let mut kinds = HashMap::<GroupKind, Vec<Serving>>::new();
        for serving in serving {
            kinds.entry(serving.object.kind.clone()).or_default().push(serving);
        }
        for servings in kinds.values_mut() {
            servings.sort_by(|a, b| a.slot.cmp(&b.slot));
        }
        let idle = idle.into_iter().map(|slot| (slot.instance, slot.stem.lineage())).collect();
        Self { kinds, idle, awaited: Vec::new() }
    }

    /// The same where of the idle slots these, of other instances than the default one,
    /// look at these marks: as it is not known yet what they reconcile, a composite
    /// leaves alone what bears such a mark.
    pub fn awaiting(self, awaited: impl IntoIterator<Item = (SlotId, InstanceKey)>) -> Self {
        let awaited = awaited.into_iter().filter(|(slot, _)| !slot.instance.is_default()).collect();
        Self { awaited, ..self }
    }

    /// Whether another table leaves objects to slots to which this one leaves none.
    pub fn awaits_no_more(&self, before: &Self) -> bool {
        before.awaited.iter().any(|awaited| !self.awaited.contains(awaited))
    }

    /// The slot that serves an object for a lineage.
    pub fn route(&self, object: &Object, lineage: &Lineage) -> Route {
        let mut served = match self.marked_for(object, lineage) {
            Ok(served) => served,
            Err(unserved) => return Route::Unserved(unserved),
        };
        served.sort_by_key(|serving| Reverse(version_rank(&serving.object.version)));
        let preferred = served[0];

        // The mark and the history of an object tell of its composite.
        let decorates = preferred.role == Role::Decorator;
        let idle = self.is_idle(&preferred.slot.instance, lineage);
        let is_alone = decorates || (served.len() == 1 && !idle);
        let chosen = if is_alone { Ok(preferred) } else { choose(&object.meta, lineage, &served, idle) };
        let serving = match chosen {
            Ok(serving) => serving,
            Err(version) => {
                let served = served.iter().map(|serving| serving.object.version.clone()).collect();
                return Route::Unserved(Unserved::VersionNotServed { version, served });
            }
        };
        let version = &serving.object.version;
        let selected = !serving.retired && serving.object.selects(object);
        let unmarked = served.len() > 1 && !decorates && object.meta.mark(marks::VERSION).is_none();
        Route::Serve {
            slot: serving.slot.clone(),
            generation: serving.generation,
            version: version.clone(),
            mark: (unmarked && selected).then(|| version.clone()),
            selected,
        }
    }

    /// Whether a lineage lies in an instance's folder without serving, for now or not.
    pub fn is_idle(&self, instance: &InstanceId, lineage: &Lineage) -> bool {
        self.idle.contains(&(instance.clone(), lineage.clone()))
    }

    /// The lineages that a change of an object of this kind wakes, whatever its
    /// instance was or is: each once, in order.
    pub fn lineages_for(&self, kind: &GroupKind) -> BTreeSet<Lineage> {
        self.kinds.get(kind).into_iter().flatten().map(|serving| serving.slot.stem.lineage()).collect()
    }

    /// The slots of the object's instance, at least one. A mark goes before the lack of
    /// another one; and as of composites an object has one alone, all that find it
    /// theirs must mean the same instance, whatever their lineages.
    fn marked_for(&self, object: &Object, lineage: &Lineage) -> Result<Vec<&Serving>, Unserved> {
        let kind = &object.meta.place.kind;
        let is_its = |serving: &&Serving| serving.instance_key.of(object) == serving.slot.instance.as_str();
        let mut served = self.of(kind, lineage).filter(is_its).collect::<Vec<_>>();
        let Some(first) = served.first() else {
            let mark = self.of(kind, lineage).next().map(|serving| serving.instance_key.of(object));
            let instance = mark.unwrap_or_default().into_owned();
            return Err(Unserved::NoSlot { lineage: lineage.clone(), kind: kind.clone(), instance });
        };
        let owns = first.role == Role::Composite;
        let is_rival =
            |serving: &&Serving| serving.slot.stem.lineage() == *lineage || (owns && serving.role == Role::Composite);
        let all = self.kinds.get(kind).into_iter().flatten();
        let mut rivals = all.filter(|serving| !serving.slot.instance.is_default()).filter(is_rival).filter(is_its);
        let is_awaited = |(slot, key): &&(SlotId, InstanceKey)| {
            owns && slot.instance != first.slot.instance && key.of(object) == slot.instance.as_str()
        };
        if let Some((slot, _)) = self.awaited.iter().find(is_awaited) {
            return Err(Unserved::Marked(slot.clone()));
        }
        let Some(marked) = rivals.next() else { return Ok(served) };
        served.retain(|serving| !serving.slot.instance.is_default());
        let Some(first) = served.first() else { return Err(Unserved::Marked(marked.slot.clone())) };
        let other = [marked].into_iter().chain(rivals).find(|other| other.slot.instance != first.slot.instance);
        match other {
            Some(other) => Err(Unserved::TwoInstances { one: first.slot.clone(), other: other.slot.clone() }),
            None => Ok(served),
        }
    }

    fn of(&self, kind: &GroupKind, lineage: &Lineage) -> impl Iterator<Item = &Serving> {
        self.kinds.get(kind).into_iter().flatten().filter(|serving| serving.slot.stem.lineage() == *lineage)
    }
}

/// The mark to write on an object before the slot of a second version turns
/// ready: unmarked objects belong to the version that wrote their status last,
/// else to the one that was alone so far. None where there is a mark.
pub fn settling_mark(object: &Meta, lineage: &Lineage, alone_so_far: &str, arriving: &str) -> Option<String> {
    if object.mark(marks::VERSION).is_some() {
        return None;
    }
    let written = version_of(object, status_in(object, lineage));
    Some(written.filter(|version| [alone_so_far, arriving].contains(version)).unwrap_or(alone_so_far).to_owned())
}

/// The slot of an object where not only one version can be meant: its mark
/// decides; without one its history does, the version that wrote its status
/// before the one in which it was made. What tells nothing goes to the version
/// that Kubernetes would prefer among those served. The error is the version
/// that is meant and not served.
fn choose<'a>(object: &Meta, lineage: &Lineage, served: &[&'a Serving], idle: bool) -> Result<&'a Serving, String> {
    let find = |version: &str| served.iter().copied().find(|serving| serving.object.version == version);
    if let Some(mark) = object.mark(marks::VERSION) {
        return find(mark).ok_or_else(|| mark.to_owned());
    }
    let history = [status_in(object, lineage), object.created_in.as_deref()].map(|entry| version_of(object, entry));
    let known = history.into_iter().flatten().collect::<Vec<_>>();
    if let Some(serving) = known.iter().find_map(|version| find(version)) {
        return Ok(serving);
    }
    match known.first() {
        // It may be the idle neighbour's: better late than by another version.
        Some(version) if idle => Err((*version).to_owned()),
        _ => Ok(served[0]),
    }
}

/// The apiVersion in which the lineage wrote the object's status last.
fn status_in<'a>(object: &'a Meta, lineage: &Lineage) -> Option<&'a str> {
    object.status_of(lineage).map(|written| &*written.api_version)
}

/// The version in an apiVersion of the object's own group.
fn version_of<'a>(object: &Meta, api_version: Option<&'a str>) -> Option<&'a str> {
    let (group, version) = split_api_version(api_version?);
    (group == &*object.place.kind.group).then_some(version)
}

/// Kubernetes' order of versions: `v2` over `v1` over `v1beta2` over
/// `v1alpha1` over what follows no such pattern, those by name.
fn version_rank(version: &str) -> (u8, u32, u32, Reverse<&str>) {
    let pattern = || {
        let rest = version.strip_prefix('v')?;
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (major, stage) = (rest[..digits].parse().ok()?, &rest[digits..]);
        let staged = |rank, name| Some((rank, major, stage.strip_prefix(name)?.parse().ok()?));
        if stage.is_empty() { Some((3, major, 0)) } else { staged(2, "beta").or_else(|| staged(1, "alpha")) }
    };
    let (stage, major, minor) = pattern().unwrap_or((0, 0, 0));
    (stage, major, minor, Reverse(version))
}

#[cfg(test)]
mod tests;
