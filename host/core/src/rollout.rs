//! Rolling updates: which fields of an object make a revision, how many children
//! may be on their way from an earlier revision to the latest at once, and when one
//! has arrived. The turn of each child is decided in `plan`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::{
    answer::Desired,
    hash::Hash,
    id::{GroupKind, Place},
    intent::{Intent, hash_of},
    marks,
    object::Object,
    ownership::Owner,
    plan::ChildSpec,
};

/// The kind that keeps revisions.
pub const API_VERSION: &str = "apps/v1";
const KIND: &str = "ControllerRevision";

/// Field paths in one description: a revision is a part of an object.
pub const FIELD_PATHS_MAX: usize = 16;
/// Status checks for one kind of children.
pub const CHECKS_MAX: usize = 8;
/// What may be said of `max-unavailable`.
pub const MAX_UNAVAILABLE: &str = "a whole number from 1 to 10000, or a percentage from \"1%\" to \"100%\"";
/// What may be said of a check.
pub const CHECK: &str = "a condition: {type, status, reason}, of which only the type must be there";

/// How the children of a kind are moved.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rolling {
    /// How many may be missing or not ready at once.
    pub max_unavailable: MaxUnavailable,
    /// Conditions that a child must have to be ready.
    pub ready: Vec<Check>,
}

/// A number of children, or a part of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MaxUnavailable {
    /// So many.
    Count(u32),
    /// So many of a hundred, rounded down, and never none.
    Percent(u32),
}

/// A condition in a child's status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// Its type.
    pub condition: String,
    /// Its status: `True` where nothing else is said.
    pub status: String,
    /// Its reason; none: any.
    pub reason: Option<String>,
}

impl Default for MaxUnavailable {
    fn default() -> Self {
        Self::Count(1)
    }
}

impl MaxUnavailable {
    /// Reads a number, or a percentage as text.
    pub fn read(value: &Value) -> Option<Self> {
        let number = |number: u64, max| u32::try_from(number).ok().filter(|number| (1..=max).contains(number));
        match value {
            Value::Number(count) => number(count.as_u64()?, 10_000).map(Self::Count),
            Value::String(text) => number(text.strip_suffix('%')?.parse().ok()?, 100).map(Self::Percent),
            _ => None,
        }
    }

    /// How many of so many.
    pub fn of(self, children: usize) -> usize {
        match self {
            Self::Count(count) => count as usize,
            Self::Percent(percent) => (children * percent as usize / 100).max(1),
        }
    }
}

impl Check {
    /// Reads a condition as an object.
    pub fn read(value: &Value) -> Option<Self> {
        let fields = value.as_object()?;
        let known =
            fields.iter().all(|(name, field)| ["type", "status", "reason"].contains(&&**name) && field.is_string());
        let text = |name: &str| fields.get(name).and_then(Value::as_str).map(str::to_owned);
        let condition = text("type").filter(|condition| known && !condition.is_empty())?;
        Some(Self { condition, status: text("status").unwrap_or_else(|| "True".into()), reason: text("reason") })
    }

    fn holds(&self, status: &Value) -> bool {
        let mut conditions = status["conditions"].as_array().into_iter().flatten();
        conditions.any(|it| {
            it["type"] == *self.condition
                && it["status"] == *self.status
                && self.reason.as_ref().is_none_or(|reason| it["reason"] == **reason)
        })
    }
}

impl Rolling {
    /// Whether a child that reads as it should has arrived: what works on it has
    /// seen its generation, where it says that, and all checks hold.
    pub fn is_ready(&self, child: &Value) -> bool {
        let observed = child["status"]["observedGeneration"].as_i64();
        let seen = observed.is_none_or(|observed| child["metadata"]["generation"].as_i64().unwrap_or(0) <= observed);
        seen && self.ready.iter().all(|check| check.holds(&child["status"]))
    }
}

/// A child, as far as a rollout is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It is what an earlier answer wanted.
    Earlier {
        /// And has arrived.
        ready: bool,
    },
    /// It is what the latest answer wants.
    Moved {
        /// And has arrived.
        ready: bool,
    },
    /// It is to be made, or is going.
    Missing,
}

/// Which children may start to move now, by their places in `states`: as many as
/// keep those that are on their way within the limit. Earlier ones that are broken
/// go first and at once, since a broken one must not hold up what mends it; ready
/// ones only while no more than `max` are missing or broken in all.
pub fn moves(states: &[State], max: usize) -> BTreeSet<usize> {
    let away = |state: &&State| matches!(state, State::Missing | State::Moved { ready: false });
    let away = states.iter().filter(away).count();
    let earlier = |is: bool| {
        let places = states.iter().enumerate();
        places.filter(move |(_, state)| **state == State::Earlier { ready: is }).map(|(place, _)| place)
    };
    let broken = earlier(false).count();
    let ready = earlier(true).take(max.saturating_sub(away + broken));
    earlier(false).take(max.saturating_sub(away)).chain(ready).collect()
}

/// One value of the fields that make a revision.
#[derive(Debug, Clone, PartialEq)]
pub struct Revision {
    /// The name of the object that keeps it, and its mark on children.
    pub name: String,
    /// Grows with each revision of an object.
    number: u64,
    /// The fields' values by their paths; absent ones are left out.
    fields: Map<String, Value>,
}

impl Revision {
    /// That of the object as it is now; `before` are those that are kept.
    pub fn latest(owner: &Owner<'_>, object: &Value, paths: &[String], before: &BTreeMap<String, Self>) -> Self {
        let value = |path: &String| Some((path.clone(), pointed(object, path)?.clone()));
        let fields = paths.iter().filter_map(value).collect::<Map<_, _>>();
        let named = hash_of(&json!([owner.meta.uid.as_str(), fields]));
        let name = format!("{}-{named}", owner.lineage);
        let newest = before.values().map(|revision| revision.number).max().unwrap_or(0);
        let number = before.get(&name).map_or(newest + 1, |known| known.number);
        Self { name, number, fields }
    }

    /// One that is kept.
    pub fn read(kept: &Object) -> Option<Self> {
        let mut value = kept.value();
        let Value::Object(fields) = value["data"]["fields"].take() else { return None };
        Some(Self { name: kept.meta.place.name.to_string(), number: value["revision"].as_u64()?, fields })
    }

    /// The object as it was in this revision.
    pub fn restore(&self, object: &Value, paths: &[String]) -> Value {
        let mut object = object.clone();
        for path in paths {
            put(&mut object, path, self.fields.get(path));
        }
        object
    }

    /// What keeps it: a child of the host's own. `kind` is its place among those
    /// that are planned.
    fn desired(&self, owner: &Owner<'_>, kind: usize) -> Desired {
        let namespace = &owner.meta.place.namespace;
        let body = json!({
            "apiVersion": API_VERSION,
            "kind": KIND,
            "metadata": { "name": self.name, "namespace": **namespace },
            "revision": self.number,
            "data": { "fields": self.fields },
        });
        let place = Place { kind: kind_of_revisions(), namespace: namespace.clone(), name: self.name.as_str().into() };
        Desired { place, kind, hash: hash_of(&body), body, revision: None }
    }
}

/// The kind that keeps revisions.
pub fn kind_of_revisions() -> GroupKind {
    GroupKind::new(API_VERSION, KIND)
}

fn pointed<'a>(object: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(object, |value, field| value.get(field))
}

fn put(object: &mut Value, path: &str, value: Option<&Value>) {
    let (parent, field) = path.rsplit_once('.').map_or((None, path), |(parent, field)| (Some(parent), field));
    let mut at = object;
    for step in parent.into_iter().flat_map(|parent| parent.split('.')) {
        let Value::Object(fields) = at else { return };
        at = fields.entry(step).or_insert_with(|| json!({}));
    }
    let Value::Object(fields) = at else { return };
    match value {
        Some(value) => _ = fields.insert(field.to_owned(), value.clone()),
        None => _ = fields.remove(field),
    }
}

/// What a plan must know of revisions.
#[derive(Debug, Clone, PartialEq)]
pub struct Rollout {
    /// Whether the latest one is kept: before that, no child may carry its name, or
    /// nobody could tell later what it was made from.
    pub kept: bool,
    /// What earlier revisions want, by their names and by place.
    pub earlier: BTreeMap<String, BTreeMap<Place, Desired>>,
}

/// The children whose turn may not have come: of kinds that roll, by place.
#[derive(Debug, Default)]
pub struct Marked<'a> {
    /// All revisions that children are marked with.
    pub all: BTreeSet<&'a str>,
    /// Those that are still wanted by a child that is not what the latest answer wants.
    pub behind: BTreeSet<&'a str>,
}

impl<'a> Marked<'a> {
    /// Reads the marks of an owner's children.
    pub fn of(
        owner: &Owner<'_>,
        kinds: &[ChildSpec],
        children: &'a [std::sync::Arc<Object>],
        desired: &[Desired],
    ) -> Self {
        let hashes = desired.iter().map(|desired| (&desired.place, desired.hash)).collect::<BTreeMap<_, _>>();
        let mut marked = Self::default();
        for child in children.iter().map(|child| &child.meta) {
            let rolls = kinds.iter().any(|spec| spec.kind.id == child.place.kind && spec.update.is_rolling());
            let Some(revision) = child.mark(marks::REVISION).filter(|_| rolls && owner.owns(child)) else { continue };
            marked.all.insert(revision);
            let wanted = hashes.get(&child.place);
            if wanted.is_some_and(|wanted| !is_made_from(child.mark(marks::INTENT), *wanted)) {
                marked.behind.insert(revision);
            }
        }
        marked
    }
}

/// Whether a child's mark says that it was made from a wish.
pub(crate) fn is_made_from(mark: Option<&str>, desired: Hash) -> bool {
    let intent = Intent { desired, additions: Hash::default() };
    mark.is_some_and(|mark| intent.same_desired(mark))
}

/// What keeps the revisions that are in use: the latest, and those that children
/// are marked with. Others are not wanted, and so deleted.
pub fn keep(
    owner: &Owner<'_>,
    kind: usize,
    latest: &Revision,
    before: &BTreeMap<String, Revision>,
    marked: &Marked<'_>,
) -> Vec<Desired> {
    let earlier = before.values().filter(|known| known.name != latest.name && marked.all.contains(&*known.name));
    std::iter::once(latest).chain(earlier).map(|revision| revision.desired(owner, kind)).collect()
}

/// How far a rollout is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Children of kinds that roll.
    pub all: usize,
    /// Those that are what the latest answer wants.
    pub latest: usize,
    /// Those that start to move now.
    pub moving: usize,
}

/// What people are told of a rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// How far it is.
    pub counts: Counts,
    /// What it waits for, where nothing moves.
    pub waits_for: Option<Place>,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_part_of_the_children_is_rounded_down_and_never_none() {
        let read = |value: Value| MaxUnavailable::read(&value).map(|max| (max.of(3), max.of(10)));
        assert_eq!(read(json!(2)), Some((2, 2)));
        assert_eq!(read(json!("25%")), Some((1, 2)));
        assert_eq!(read(json!("100%")), Some((3, 10)));
        for wrong in [json!(0), json!("0%"), json!("101%"), json!("2"), json!(1.5), json!(null)] {
            assert_eq!(read(wrong.clone()), None, "{wrong}");
        }
    }

    #[test]
    fn a_child_is_ready_when_its_generation_is_seen_and_its_conditions_are_met() {
        let check = |value: Value| Check::read(&value).unwrap();
        let rolling = Rolling {
            ready: vec![
                check(json!({"type": "Available"})),
                check(json!({"type": "Odd", "status": "False", "reason": "Even"})),
            ],
            ..Rolling::default()
        };
        let child = |observed: i64, odd: &str, reason: &str| {
            json!({"metadata": {"generation": 2}, "status": {"observedGeneration": observed, "conditions": [
                {"type": "Available", "status": "True"}, {"type": "Odd", "status": odd, "reason": reason}]}})
        };
        assert!(rolling.is_ready(&child(2, "False", "Even")));
        assert!(!rolling.is_ready(&child(1, "False", "Even")));
        assert!(!rolling.is_ready(&child(2, "True", "Even")));
        assert!(!rolling.is_ready(&child(2, "False", "Else")));
        assert!(!rolling.is_ready(&json!({})) && Rolling::default().is_ready(&json!({})));
        assert_eq!(Check::read(&json!({"type": "A", "state": "True"})), None);
    }

    #[test]
    fn broken_children_move_before_ready_ones() {
        let [ready, broken, moved] =
            [State::Earlier { ready: true }, State::Earlier { ready: false }, State::Moved { ready: false }];
        assert_eq!(moves(&[ready, broken, ready], 1), [1].into());
        assert_eq!(moves(&[ready, broken, ready], 2), [0, 1].into());
        assert_eq!(moves(&[ready, broken, moved], 1), [].into(), "one is on its way");
        assert_eq!(moves(&[broken, broken, ready], 1), [0].into());
    }

    #[test]
    fn an_object_is_restored_field_by_field() {
        let paths = ["spec.template".to_owned(), "metadata.labels".to_owned()];
        let fields = json!({"spec.template": {"image": "old"}});
        let revision = Revision { name: "r".into(), number: 1, fields: fields.as_object().unwrap().clone() };
        let now = json!({"metadata": {"name": "a", "labels": {"x": "y"}}, "spec": {"replicas": 3, "template": {"image": "new"}}});
        let then = json!({"metadata": {"name": "a"}, "spec": {"replicas": 3, "template": {"image": "old"}}});
        assert_eq!(revision.restore(&now, &paths), then);
        assert_eq!(
            revision.restore(&json!({}), &paths),
            json!({"metadata": {}, "spec": {"template": {"image": "old"}}})
        );
    }

    proptest! {
        #[test]
        fn never_more_than_allowed_are_on_their_way_and_all_arrive(
            children in 1usize..12, broken: u16, max in 1usize..5, events in prop::collection::vec((0usize..12, any::<bool>()), 0..80),
        ) {
            let mut states = (0..children).map(|at| State::Earlier { ready: broken & (1 << at) == 0 }).collect::<Vec<_>>();
            let away = |states: &[State]| states.iter().filter(|it| matches!(it, State::Missing | State::Moved { ready: false })).count();
            // What happens to children, then children that all become ready in the end.
            let calm = (0..2 * children * children).map(|at| (at % children, true));
            for (at, ready) in events.into_iter().chain(calm) {
                let is_ready = |state: &State| matches!(state, State::Earlier { ready: true } | State::Moved { ready: true });
                let before = states.iter().filter(|state| is_ready(state)).count();
                for place in moves(&states, max) {
                    let is_earlier = matches!(states[place], State::Earlier { .. });
                    prop_assert!(is_earlier);
                    states[place] = State::Moved { ready: false };
                }
                prop_assert!(away(&states) <= max);
                let still = states.iter().filter(|state| is_ready(state)).count();
                prop_assert!(still >= before.min(children.saturating_sub(max)), "{before} became {still}");
                if let Some(State::Moved { ready: is }) = states.get_mut(at).filter(|_| ready) {
                    *is = true;
                }
            }
            let is_left = states.iter().any(|state| matches!(state, State::Earlier { .. }));
            prop_assert!(!is_left);
        }
    }
}
