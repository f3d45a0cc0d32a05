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
mod tests {
    use proptest::{option, prelude::*, sample::subsequence};
    use serde_json::json;

    use super::*;
    use crate::{id::Stem, object::Object, selector::Selector};

    const KEY: &str = marks::INSTANCE_LABEL;

    fn serving(instance: &str, stem: &str, version: &str) -> Serving {
        Serving {
            slot: slot(instance, stem),
            role: Role::Composite,
            object: ObjectKind {
                kind: GroupKind::new("example.com/v1", "Site"),
                version: version.into(),
                selector: None,
                annotations: None,
            },
            retired: false,
            instance_key: InstanceKey::default(),
            generation: 7,
        }
    }

    fn slot(instance: &str, stem: &str) -> SlotId {
        SlotId { instance: InstanceId::new(instance).unwrap(), stem: Stem::new(stem).unwrap() }
    }

    /// A Site with labels, and optionally a version mark and a history.
    fn site(labels: &[(&str, &str)], mark: Option<&str>, created: Option<&str>, status: Option<&str>) -> Object {
        let entry = |version: &str, manager: &str, subresource: &str| json!({"manager": manager, "apiVersion": format!("example.com/{version}"), "subresource": subresource, "time": "2026-01-01T00:00:00Z"});
        let created = created.map(|version| entry(version, "kubectl", ""));
        let status = status.map(|version| entry(version, "trimtab/site/status", "status"));
        let text = json!({"metadata": {
            "name": "a", "namespace": "b", "uid": "u", "resourceVersion": "1",
            "labels": labels.iter().copied().collect::<std::collections::BTreeMap<_, _>>(),
            "annotations": mark.map(|mark| json!({marks::VERSION: mark})),
            "managedFields": created.into_iter().chain(status).collect::<Vec<_>>(),
        }});
        Object::parse(&text.to_string(), "example.com/v1", "Site").unwrap()
    }

    fn lineage() -> Lineage {
        Lineage::new("site").unwrap()
    }

    fn table(versions: &[&str], idle: &[&str]) -> Table {
        let servings = versions.iter().map(|version| serving("", &format!("site@{version}"), version));
        Table::new(servings, idle.iter().map(|stem| slot("", stem)))
    }

    /// `version`, `version+mark` where a mark is to be written, or the refusal.
    fn to(table: &Table, object: &Object) -> String {
        match table.route(object, &lineage()) {
            Route::Serve { selected: false, mark: None, .. } => "not selected".into(),
            Route::Serve { version, mark: None, .. } => version,
            Route::Serve { version, mark: Some(mark), .. } => format!("{version}+{mark}"),
            Route::Unserved(why) => why.to_string(),
        }
    }

    #[test]
    fn an_object_goes_to_the_instance_that_its_label_names_exactly() {
        let table = Table::new([serving("", "site", "v1"), serving("canary", "site", "v1")], []);
        let instance = |object: &Object| match table.route(object, &lineage()) {
            Route::Serve { slot, .. } => slot.to_string(),
            Route::Unserved(why) => why.to_string(),
        };
        assert_eq!(instance(&site(&[], None, None, None)), "site");
        assert_eq!(instance(&site(&[(KEY, "")], None, None, None)), "site");
        assert_eq!(instance(&site(&[(KEY, "canary")], None, None, None)), "canary/site");
        let nowhere = "no plugin of lineage site serves Site.example.com in instance \"Canary\"";
        assert_eq!(instance(&site(&[(KEY, "Canary")], None, None, None)), nowhere);
    }

    #[test]
    fn an_unmarked_object_is_served_by_the_default_instance_only() {
        let table = Table::new([serving("canary", "site", "v1")], []);
        let none = "no plugin of lineage site serves Site.example.com in the default instance";
        assert_eq!(to(&table, &site(&[], None, None, None)), none);
    }

    #[test]
    fn each_slot_looks_for_its_instance_where_its_policy_says() {
        let instance_key = InstanceKey::parse("example.com/shard").unwrap();
        let elsewhere = Serving { instance_key, ..serving("blue", "site@v2", "v2") };
        let alone = Table::new([elsewhere.clone()], []);
        let table = Table::new([serving("", "site", "v1"), serving("green", "site", "v1"), elsewhere], []);
        let shard = ("example.com/shard", "blue");
        assert_eq!(to(&table, &site(&[], None, None, None)), "v1");
        assert_eq!(to(&table, &site(&[(KEY, "green")], None, None, None)), "v1");
        let both =
            "it is marked for blue/site@v2 and for green/site, which have different instance keys: remove one mark";
        assert_eq!(to(&table, &site(&[(KEY, "green"), shard], None, None, None)), both);
        assert_eq!(to(&alone, &site(&[shard], None, None, None)), "v2");
        assert_eq!(to(&table, &site(&[shard], None, None, None)), "v2", "a mark goes before the lack of another");
    }

    #[test]
    fn of_two_lineages_that_look_at_different_marks_one_has_the_object_or_neither_has() {
        let instance_key = InstanceKey::parse("example.com/shard").unwrap();
        let elsewhere = Serving { instance_key, ..serving("blue", "blog", "v1") };
        let (one, green) = (serving("", "site", "v1"), serving("green", "site", "v1"));
        let blog = Lineage::new("blog").unwrap();
        let shard = ("example.com/shard", "blue");
        let table = Table::new([one.clone(), green.clone(), elsewhere.clone()], []);
        let plain = site(&[], None, None, None);
        assert_eq!(to(&table, &plain), "v1");
        assert!(matches!(table.route(&plain, &blog), Route::Unserved(Unserved::NoSlot { .. })));
        let sharded = site(&[shard], None, None, None);
        assert_eq!(to(&table, &sharded), "it is marked for blue/blog, which looks at another instance key");
        assert!(matches!(table.route(&sharded, &blog), Route::Serve { .. }));
        let torn = site(&[(KEY, "green"), shard], None, None, None);
        for lineage in [&lineage(), &blog] {
            let route = table.route(&torn, lineage);
            assert!(matches!(route, Route::Unserved(Unserved::TwoInstances { .. })), "{lineage}: {route:?}");
        }
        let loading =
            Table::new([one.clone(), green], []).awaiting([(slot("blue", "blog"), elsewhere.instance_key.clone())]);
        assert_eq!(to(&loading, &plain), "v1");
        assert_eq!(to(&loading, &sharded), "it is marked for blue/blog, which looks at another instance key");
        assert!(matches!(loading.route(&torn, &lineage()), Route::Unserved(_)));
        assert!(table.awaits_no_more(&loading) && !loading.awaits_no_more(&table));
        let decorator = Serving { role: Role::Decorator, ..elsewhere };
        let beside = Table::new([one, decorator], []);
        assert_eq!(to(&beside, &sharded), "v1", "decorators share");
        assert!(matches!(beside.route(&sharded, &blog), Route::Serve { .. }));
    }

    #[test]
    fn one_version_takes_every_object_and_needs_no_mark() {
        let table = table(&["v1"], &[]);
        for object in
            [site(&[], None, None, None), site(&[], None, Some("v2"), Some("v2")), site(&[], Some("v2"), None, None)]
        {
            assert_eq!(to(&table, &object), "v1");
        }
    }

    #[test]
    fn with_several_versions_the_mark_decides_and_history_does_not() {
        let table = table(&["v1", "v2"], &[]);
        assert_eq!(to(&table, &site(&[], Some("v1"), Some("v2"), Some("v2"))), "v1");
        assert_eq!(to(&table, &site(&[], Some("v2"), Some("v1"), Some("v1"))), "v2");
        assert_eq!(
            to(&table, &site(&[], Some("v3"), Some("v1"), None)),
            "it belongs to version v3, and only v2, v1 is served"
        );
    }

    #[test]
    fn an_unmarked_object_among_several_versions_is_marked_by_its_history() {
        let table = table(&["v1", "v2"], &[]);
        assert_eq!(to(&table, &site(&[], None, Some("v1"), None)), "v1+v1");
        assert_eq!(to(&table, &site(&[], None, Some("v2"), None)), "v2+v2");
        assert_eq!(to(&table, &site(&[], None, Some("v2"), Some("v1"))), "v1+v1");
        assert_eq!(to(&table, &site(&[], None, Some("v1alpha1"), None)), "v2+v2", "not served: the preferred one");
        assert_eq!(to(&table, &site(&[], None, None, None)), "v2+v2");
    }

    #[test]
    fn an_object_that_the_slot_does_not_select_by_labels_and_annotations_is_not_marked() {
        let mut selecting = serving("", "site@v2", "v2");
        selecting.object.selector = Some(Selector::parse("tier=web").unwrap());
        selecting.object.annotations = Some(Selector::parse("trimtab.dev/version=v2").unwrap());
        let table = Table::new([serving("", "site", "v1"), selecting], []);
        assert_eq!(to(&table, &site(&[], Some("v2"), None, None)), "not selected");
        assert_eq!(to(&table, &site(&[("tier", "web")], None, Some("v2"), None)), "not selected");
        assert_eq!(to(&table, &site(&[("tier", "web")], Some("v2"), None, None)), "v2");
    }

    #[test]
    fn a_decorator_is_given_the_version_that_it_declares_whatever_the_mark_says() {
        let decorator = Serving { role: Role::Decorator, ..serving("", "site", "v1") };
        let table = Table::new([decorator], [slot("", "site@next")]);
        assert_eq!(to(&table, &site(&[], Some("v2"), Some("v2"), None)), "v1");
    }

    #[test]
    fn while_a_slot_of_the_lineage_is_idle_no_other_version_takes_its_objects() {
        let table = table(&["v1"], &["site@next"]);
        assert_eq!(to(&table, &site(&[], Some("v2"), None, None)), "it belongs to version v2, and only v1 is served");
        assert_eq!(to(&table, &site(&[], None, Some("v2"), None)), "it belongs to version v2, and only v1 is served");
        assert_eq!(to(&table, &site(&[], None, Some("v2"), Some("v1"))), "v1");
        assert_eq!(to(&table, &site(&[], None, Some("v1"), None)), "v1");
        assert_eq!(to(&table, &site(&[], None, None, None)), "v1");
    }

    #[test]
    fn an_idle_slot_of_another_instance_or_lineage_changes_nothing() {
        let table = Table::new([serving("", "site", "v1")], [slot("canary", "site"), slot("", "other")]);
        assert_eq!(to(&table, &site(&[], Some("v2"), None, None)), "v1");
    }

    #[test]
    fn before_a_second_version_serves_unmarked_objects_are_settled() {
        let mark = |object: Object| settling_mark(&object.meta, &lineage(), "v1", "v2");
        assert_eq!(mark(site(&[], Some("v2"), None, None)), None);
        assert_eq!(mark(site(&[], None, Some("v2"), None)).as_deref(), Some("v1"));
        assert_eq!(mark(site(&[], None, None, Some("v2"))).as_deref(), Some("v2"));
        assert_eq!(mark(site(&[], None, None, Some("v1alpha1"))).as_deref(), Some("v1"));
    }

    #[test]
    fn versions_are_preferred_in_kubernetes_order() {
        let mut versions =
            ["v1alpha2", "v10", "foo1", "v1beta1", "v2", "v11beta2", "v11alpha2", "v1", "bar", "v12alpha1"];
        versions.sort_by_key(|version| Reverse(version_rank(version)));
        assert_eq!(
            versions,
            ["v10", "v2", "v1", "v11beta2", "v1beta1", "v12alpha1", "v11alpha2", "v1alpha2", "bar", "foo1"]
        );
    }

    #[test]
    fn a_change_of_an_object_wakes_each_lineage_of_its_kind_once() {
        let table =
            Table::new([serving("", "site", "v1"), serving("canary", "site", "v1"), serving("x", "blog", "v1")], []);
        let woken = table.lineages_for(&GroupKind::new("example.com/v1", "Site"));
        assert_eq!(woken, [Lineage::new("blog").unwrap(), lineage()].into());
        assert!(table.lineages_for(&GroupKind::new("v1", "Site")).is_empty());
    }

    const VERSIONS: [&str; 4] = ["v1", "v2", "v1beta1", "next"];

    fn versions() -> impl Strategy<Value = Vec<&'static str>> {
        subsequence(VERSIONS.to_vec(), 1..=VERSIONS.len())
    }

    fn version() -> impl Strategy<Value = Option<&'static str>> {
        option::of(proptest::sample::select(&VERSIONS[..]))
    }

    proptest! {
        #[test]
        fn once_marked_an_object_stays_with_its_version_whatever_else_is_served(
            first in versions(), then in versions(), created in version(), status in version(), later in version(), idle: bool,
        ) {
            let idle = if idle { &["site@idle"][..] } else { &[] };
            let before = site(&[], None, created, status);
            if let Route::Serve { version, mark: Some(mark), .. } = table(&first, idle).route(&before, &lineage()) {
                prop_assert_eq!(&version, &mark);
                let after = site(&[], Some(&mark), later, later);
                if then.contains(&mark.as_str()) {
                    prop_assert_eq!(to(&table(&then, idle), &after), mark);
                }
            }
        }

        #[test]
        fn an_object_that_one_version_served_stays_with_it_when_a_second_arrives(
            pair in Just(VERSIONS.to_vec()).prop_shuffle(), created in version(), has_status: bool,
        ) {
            let (alone, arriving) = (pair[0], pair[1]);
            let object = site(&[], None, created, has_status.then_some(alone));
            prop_assert_eq!(to(&table(&[alone], &[]), &object), alone);
            let mark = settling_mark(&object.meta, &lineage(), alone, arriving);
            let marked = site(&[], mark.as_deref(), created, has_status.then_some(alone));
            prop_assert_eq!(to(&table(&[alone, arriving], &[]), &marked), alone);
        }
    }
}
