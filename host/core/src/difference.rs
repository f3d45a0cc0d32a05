//! What two generations do otherwise for one object: of their checked answers and the
//! plans that follow from these, both made against the same state. For people, a child
//! of the one beside that of the other reads as `kubectl diff` does.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde_json::{Map, Value, json};
use similar::TextDiff;

use crate::{
    answer::{Answer, Desired, StatusIntent},
    decorate::{Decoration, Keys},
    id::Place,
    plan::Plan,
    rollout::kind_of_revisions,
    write::Action,
};

/// In which way they differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// It gives no answer.
    Failed,
    /// It waits for something, or gives no answer by no fault of its own.
    Waits,
    /// It asks others over the network for what the first has not asked.
    Asks,
    /// It does not select the object any more.
    Deselects,
    /// It makes a child.
    Creates,
    /// It wants a child no more.
    Deletes,
    /// It makes a child anew.
    Recreates,
    /// It wants a child otherwise.
    Changed,
    /// It wants a child where something of somebody else's lies.
    Conflicts,
    /// It says something else in the status.
    Status,
    /// It wants other labels or annotations of the object.
    Marks,
    /// It is asked before its objects go, or is not any more: a finalizer on all of them.
    Finalizers,
    /// It tells other Events.
    Events,
    /// It asks to look again at another time.
    Requeues,
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// In which way.
    pub kind: Kind,
    /// Of what.
    pub what: What,
    /// The fields, where it is one of fields: `spec.ports[0].port`.
    pub fields: Vec<String>,
}

/// What differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// The object itself.
    Object,
    /// A child.
    Child(Place),
}

impl Kind {
    /// In a word, for metrics and people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Failed => "fails",
            Self::Waits => "waits",
            Self::Asks => "asks",
            Self::Deselects => "deselects",
            Self::Creates => "creates",
            Self::Deletes => "deletes",
            Self::Recreates => "recreates",
            Self::Changed => "changes",
            Self::Conflicts => "conflicts",
            Self::Status => "status",
            Self::Marks => "labels",
            Self::Finalizers => "finalizers",
            Self::Events => "events",
            Self::Requeues => "requeues",
        }
    }

    /// Whether something else would be written. A failure writes nothing of its own, and
    /// is judged by itself.
    pub fn is_change(self) -> bool {
        !matches!(self, Self::Failed | Self::Waits | Self::Asks | Self::Events | Self::Requeues)
    }
}

impl Difference {
    /// One of the object itself.
    pub fn of_object(kind: Kind) -> Self {
        Self { kind, what: What::Object, fields: Vec::new() }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.word())?;
        if let What::Child(place) = &self.what {
            write!(f, " {place}")?;
        }
        if self.fields.is_empty() { Ok(()) } else { write!(f, " ({})", self.fields.join(", ")) }
    }
}

/// What one generation does.
#[derive(Clone, Copy)]
pub struct Side<'a> {
    /// What it wants.
    pub answer: &'a Answer,
    /// What that comes to.
    pub plan: &'a Plan,
}

/// All that `other` does otherwise than `serving`; nothing where they answer the same
/// under the same policy.
pub fn differences(serving: Side<'_>, other: Side<'_>) -> Vec<Difference> {
    let of_fields = |kind, fields| Difference { fields, ..Difference::of_object(kind) };
    let mut found = children(serving, other);
    let (a, b) = (serving.answer, other.answer);
    let status = fields(&status(&a.status), &status(&b.status));
    if !status.is_empty() || a.status != b.status {
        found.push(of_fields(Kind::Status, status));
    }
    let marks = fields(&marks(&a.decoration), &marks(&b.decoration));
    if !marks.is_empty() {
        found.push(of_fields(Kind::Marks, marks));
    }
    let rest = [(Kind::Events, a.events != b.events), (Kind::Requeues, a.requeue_after != b.requeue_after)];
    found.extend(rest.into_iter().filter(|(_, differs)| *differs).map(|(kind, _)| Difference::of_object(kind)));
    found
}

fn children(serving: Side<'_>, other: Side<'_>) -> Vec<Difference> {
    let (wanted, wanted_by_other) = (by_place(serving.answer), by_place(other.answer));
    let (does, other_does) = (Planned::of(serving.plan), Planned::of(other.plan));
    let planned = serving.plan.writes.iter().chain(&other.plan.writes).map(|write| &write.place);
    let places = wanted.keys().chain(wanted_by_other.keys()).copied().chain(planned);
    // Revisions are the host's own affair.
    let places = places.filter(|place| place.kind != kind_of_revisions()).collect::<BTreeSet<_>>();
    let deletes_more = |place: &Place| other_does.deletes.contains(place) && !does.deletes.contains(place);
    let child = |place: &Place| {
        let (kind, fields) = match (wanted.get(place), wanted_by_other.get(place)) {
            (Some(_), None) => (Kind::Deletes, Vec::new()),
            (None, Some(_)) if other_does.conflicts.contains(place) => (Kind::Conflicts, Vec::new()),
            (None, Some(_)) => (Kind::Creates, Vec::new()),
            (Some(before), Some(after)) => {
                let fields = fields(&before.body, &after.body);
                let kind = if other_does.conflicts.contains(place) && !does.conflicts.contains(place) {
                    Kind::Conflicts
                } else if deletes_more(place) {
                    Kind::Recreates
                } else if !fields.is_empty() || does.words.get(place) != other_does.words.get(place) {
                    Kind::Changed
                } else {
                    return None;
                };
                (kind, fields)
            }
            // What neither wants is deleted by whoever takes it for its own.
            (None, None) if deletes_more(place) => (Kind::Deletes, Vec::new()),
            (None, None) if does.words.get(place) == other_does.words.get(place) => return None,
            (None, None) => (Kind::Changed, Vec::new()),
        };
        Some(Difference { kind, what: What::Child(place.clone()), fields })
    };
    places.into_iter().filter_map(child).collect()
}

fn by_place(answer: &Answer) -> BTreeMap<&Place, &Desired> {
    answer.children.iter().map(|child| (&child.place, child)).collect()
}

/// What a plan does, by place: an answer may have thousands of children.
struct Planned<'a> {
    conflicts: BTreeSet<&'a Place>,
    deletes: BTreeSet<&'a Place>,
    /// What is done there first, in a word.
    words: BTreeMap<&'a Place, &'static str>,
}

impl<'a> Planned<'a> {
    fn of(plan: &'a Plan) -> Self {
        let deletes = plan.writes.iter().filter(|write| matches!(write.action, Action::Delete { .. }));
        Self {
            conflicts: plan.conflicts.iter().map(|conflict| &conflict.place).collect(),
            deletes: deletes.map(|write| &write.place).collect(),
            // From the end: of two at one place, the first one stays.
            words: plan.writes.iter().rev().map(|write| (&write.place, write.action.word())).collect(),
        }
    }
}

fn status(intent: &StatusIntent) -> Value {
    match intent {
        StatusIntent::Keep => Value::Null,
        StatusIntent::Set(status) => json!({ "status": status }),
    }
}

fn marks(decoration: &Decoration) -> Value {
    let keys = |keys: &Keys| keys.iter().map(|(key, value)| (key.clone(), json!(value))).collect::<Map<_, _>>();
    json!({ "metadata": { "labels": keys(&decoration.labels), "annotations": keys(&decoration.annotations) } })
}

/// The paths of all that differs: the innermost fields, or those that only one of them
/// has.
pub fn fields(a: &Value, b: &Value) -> Vec<String> {
    let mut found = Vec::new();
    compare(String::new(), Some(a), Some(b), &mut found);
    found
}

fn compare(path: String, a: Option<&Value>, b: Option<&Value>, found: &mut Vec<String>) {
    let below = |key: &str| match (path.is_empty(), key.contains('.')) {
        (_, true) => format!("{path}[{key:?}]"),
        (true, false) => key.to_owned(),
        (false, false) => format!("{path}.{key}"),
    };
    match (a, b) {
        (a, b) if a == b => {}
        (Some(Value::Object(a)), Some(Value::Object(b))) => {
            let keys = a.keys().chain(b.keys()).collect::<BTreeSet<_>>();
            keys.into_iter().for_each(|key| compare(below(key), a.get(key), b.get(key), found));
        }
        (Some(Value::Array(a)), Some(Value::Array(b))) if a.len() == b.len() => {
            let items = a.iter().zip(b).enumerate();
            items.for_each(|(at, (a, b))| compare(format!("{path}[{at}]"), Some(a), Some(b), found));
        }
        // Of what only one has, too, it is the fields that are named.
        (Some(Value::Object(one)), None | Some(Value::Null)) | (None | Some(Value::Null), Some(Value::Object(one)))
            if !one.is_empty() =>
        {
            let is_first = matches!(a, Some(Value::Object(_)));
            for (key, value) in one {
                let (a, b) = if is_first { (Some(value), None) } else { (None, Some(value)) };
                compare(below(key), a, b, found);
            }
        }
        _ => found.push(path),
    }
}

/// Two values as YAML, line by line, under a heading, as `kubectl diff` shows them.
/// Nothing where they are the same.
pub fn unified(heading: &str, serving: Option<&Value>, other: Option<&Value>) -> String {
    let yaml = |value: Option<&Value>| {
        // A value of JSON is one of YAML.
        value.map_or_else(String::new, |value| serde_saphyr::to_string(value).unwrap_or_else(|_| value.to_string()))
    };
    let (before, after) = (yaml(serving), yaml(other));
    let diff = TextDiff::from_lines(&before, &after);
    diff.unified_diff().header(&format!("serving {heading}"), &format!("shadow {heading}")).to_string()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::{
        hash::Hash,
        id::{GroupKind, Uid},
        write::{Seen, Write},
    };

    fn place(name: &str) -> Place {
        Place { kind: GroupKind::new("v1", "ConfigMap"), namespace: "a".into(), name: name.into() }
    }

    fn answer(children: &[(&str, Value)]) -> Answer {
        let child = |(name, body): &(&str, Value)| Desired {
            place: place(name),
            kind: 0,
            body: body.clone(),
            hash: Hash::default(),
            revision: None,
        };
        Answer { children: children.iter().map(child).collect(), finalized: false, ..Answer::finalized() }
    }

    fn plan(writes: &[(&str, &str)]) -> Plan {
        let seen = || Seen { uid: Uid::new("u"), resource_version: 1 };
        let write = |(name, action): &(&str, &str)| Write {
            place: place(name),
            version: "v1".into(),
            manager: "m".into(),
            action: match *action {
                "delete" => Action::Delete { seen: seen() },
                _ => Action::Apply { seen: seen(), body: Value::Null },
            },
        };
        Plan { writes: writes.iter().map(write).collect(), ..Plan::default() }
    }

    fn told(serving: (&Answer, &Plan), other: (&Answer, &Plan)) -> Vec<String> {
        let side = |(answer, plan)| Side { answer, plan };
        differences(side(serving), side(other)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn each_child_that_is_wanted_otherwise_is_told() {
        let serving =
            answer(&[("same", json!({ "a": 1 })), ("gone", json!({})), ("other", json!({ "data": { "x": "1" } }))]);
        let other =
            answer(&[("same", json!({ "a": 1 })), ("new", json!({})), ("other", json!({ "data": { "x": "2" } }))]);
        let (settled, changes) = (plan(&[]), plan(&[("gone", "delete"), ("new", "apply"), ("other", "apply")]));
        let expected = ["deletes ConfigMap a/gone", "creates ConfigMap a/new", "changes ConfigMap a/other (data.x)"];
        assert_eq!(told((&serving, &settled), (&other, &changes)), expected);
        let anew = plan(&[("other", "delete")]);
        assert!(
            told((&serving, &settled), (&other, &anew)).contains(&"recreates ConfigMap a/other (data.x)".to_owned())
        );
    }

    #[test]
    fn what_is_said_of_the_object_is_compared_too() {
        let serving = Answer { status: StatusIntent::Keep, ..answer(&[]) };
        let status = StatusIntent::Set(json!({ "phase": "Ready" }).as_object().unwrap().clone());
        let labels = Keys::from([("tier".to_owned(), Some("web".to_owned()))]);
        let other = Answer {
            status,
            decoration: Decoration { labels, ..Decoration::default() },
            requeue_after: Some(Duration::from_secs(1)),
            ..answer(&[])
        };
        let settled = plan(&[]);
        let expected = ["status (status.phase)", "labels (metadata.labels.tier)", "requeues"];
        assert_eq!(told((&serving, &settled), (&other, &settled)), expected);
        let silent = Answer { status: StatusIntent::Set(Map::new()), ..answer(&[]) };
        assert_eq!(told((&serving, &settled), (&silent, &settled)), ["status (status)"], "it clears it");
    }

    #[test]
    fn a_plan_that_does_something_else_with_the_same_answer_is_told() {
        let same = answer(&[("x", json!({ "a": 1 }))]);
        assert_eq!(told((&same, &plan(&[])), (&same, &plan(&[("x", "apply")]))), ["changes ConfigMap a/x"]);
        assert_eq!(told((&same, &plan(&[])), (&same, &plan(&[("left", "delete")]))), ["deletes ConfigMap a/left"]);
    }

    #[test]
    fn a_child_that_is_deleted_and_made_at_once_is_made_anew_and_told_once() {
        let same = answer(&[("x", json!({ "a": 1 }))]);
        let (settled, anew) = (plan(&[]), plan(&[("x", "delete"), ("x", "apply")]));
        assert_eq!(told((&same, &settled), (&same, &anew)), ["recreates ConfigMap a/x"]);
        let only_deleted = plan(&[("x", "delete")]);
        assert!(told((&same, &anew), (&same, &only_deleted)).is_empty(), "what is done first is compared");
    }

    #[test]
    fn a_diff_reads_like_that_of_kubectl() {
        let (a, b) = (json!({ "data": { "k": "1", "same": "x" } }), json!({ "data": { "k": "2", "same": "x" } }));
        let text = unified("ConfigMap a/x", Some(&a), Some(&b));
        assert!(text.starts_with("--- serving ConfigMap a/x\n+++ shadow ConfigMap a/x\n@@"), "{text}");
        assert!(text.contains("\n-  k: \"1\"\n+  k: \"2\"\n") && text.contains("\n   same: x"), "{text}");
        assert_eq!(unified("x", Some(&a), Some(&a)), "");
        assert!(unified("x", None, Some(&a)).contains("\n+data:"), "all of it is new");
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf =
            prop_oneof![Just(Value::Null), any::<bool>().prop_map(Value::from), "[a-c]{0,2}".prop_map(Value::from)];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::btree_map("[a-c]{1,2}", inner, 0..3)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn values_differ_in_some_field_exactly_if_they_differ(a in value(), b in value()) {
            let is_same = a == b || (a.is_null() && b.is_null());
            prop_assert_eq!(fields(&a, &b).is_empty(), is_same);
            prop_assert_eq!(fields(&a, &b), fields(&b, &a));
            prop_assert!(fields(&a, &a).is_empty());
            prop_assert_eq!(unified("x", Some(&a), Some(&a)), "");
        }

        #[test]
        fn equal_answers_make_no_difference(bodies in prop::collection::vec(value(), 0..4), writes in any::<bool>()) {
            let names = ["a", "b", "c", "d"];
            let children = names.into_iter().zip(bodies).collect::<Vec<_>>();
            let writes = if writes { plan(&[("a", "apply"), ("e", "delete")]) } else { plan(&[]) };
            let answer = answer(&children);
            prop_assert!(told((&answer, &writes), (&answer, &writes)).is_empty());
        }
    }
}
