//! What a canary writes on the objects that it moves, and what their hosts answer.
//!
//! The mark names the canary and where the object came from, and is set and taken with the
//! instance mark in one fenced write: the way back needs no memory. Who serves a marked
//! object adds a sign to its condition: a hash of the mark, and which build looked at it.
//! So an object that nobody has looked at since it was moved is told from one that is
//! well, in one process as in two.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::{
    hash::Hash,
    id::{InstanceId, Lineage},
    instance::InstanceKey,
    kind::Kind,
    marks,
    object::{Meta, Object},
    status::{RECONCILED, reason},
    write::{Action, Seen, Write},
};

/// Of a hash, so many digits tell one from another.
const DIGITS: usize = 8;
/// In a sign: the build is not to blame.
const UNBLAMED: &str = ", no fault of it";

/// The annotation on an object that a canary has moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The uid of the `Canary`.
    pub canary: String,
    /// Which attempt of it: the generation of the spec that began it.
    pub attempt: i64,
    /// The instance that the object came from.
    pub from: String,
    /// Whether it was well there. Who failed before is no blame.
    pub well: bool,
    /// The object's generation then. Who wishes something else by now is none either.
    pub wish: i64,
    /// When it was moved.
    pub since: String,
    /// It was moved back, and has not been looked at there yet.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub back: bool,
}

impl Mark {
    /// The mark of an object, if there is one that can be read.
    pub fn of(object: &Meta) -> Option<Self> {
        serde_json::from_str(object.mark(marks::CANARY)?).ok()
    }

    fn text(&self) -> String {
        json!(self).to_string()
    }
}

/// Whether an object comes back from a canary to this instance: what is deleted of it then
/// is what the canary has made, and was agreed to with the way back. In any other instance,
/// where somebody has put it meanwhile, nothing was.
pub fn is_returning(object: &Meta, instance: &InstanceId) -> bool {
    Mark::of(object).is_some_and(|mark| mark.back && mark.from == instance.as_str())
}

/// What the host adds to the condition of an object that a canary has marked, where
/// `build` serves it; `blamed`: what is wrong, if anything is, is that build's fault.
pub fn sign(object: &Meta, build: Hash, blamed: bool) -> Option<String> {
    let mark = object.mark(marks::CANARY)?;
    let unblamed = if blamed { "" } else { UNBLAMED };
    Some(format!(" (canary {} by {}{unblamed})", short(Hash::of([mark.as_bytes()])), short(build)))
}

/// How a build is named in a sign.
pub fn short(hash: Hash) -> String {
    hash.to_string()[..DIGITS].to_owned()
}

/// How an object fares, as whoever serves it has said since its mark was set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Which build looked at it.
    pub build: String,
    /// What came of it.
    pub fares: Fares,
}

/// What came of a look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fares {
    /// It got through.
    Well,
    /// It did not, by nobody's fault.
    Unknown,
    /// It failed.
    Badly {
        /// No retry mends it.
        for_good: bool,
        /// In these words.
        why: String,
    },
}

#[derive(Deserialize)]
struct Told<'a> {
    #[serde(borrow)]
    status: Option<Status<'a>>,
}

#[derive(Deserialize)]
struct Status<'a> {
    #[serde(borrow, default)]
    conditions: Vec<Condition<'a>>,
}

#[derive(Deserialize)]
struct Condition<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    status: Cow<'a, str>,
    #[serde(borrow, default)]
    reason: Cow<'a, str>,
    #[serde(borrow, default)]
    message: Cow<'a, str>,
    #[serde(rename = "observedGeneration")]
    observed_generation: Option<i64>,
}

/// What the host says of an object; none while it has not looked at it as it is marked now.
pub fn report(object: &Object) -> Option<Report> {
    let mark = object.meta.mark(marks::CANARY)?;
    let condition = condition(object)?;
    let at = condition.message.rfind(" (canary ")?;
    let (message, sign) = condition.message.split_at(at);
    let (seen, build) = sign.strip_prefix(" (canary ")?.strip_suffix(')')?.split_once(" by ")?;
    if seen != short(Hash::of([mark.as_bytes()])) {
        return None;
    }
    let (build, blamed) = build.strip_suffix(UNBLAMED).map_or((build, true), |build| (build, false));
    Some(Report { build: build.to_owned(), fares: fares(&condition, message, blamed) })
}

/// Whether an object is well as it is now, as far as its condition says.
pub(super) fn is_well(object: &Object) -> bool {
    let is_of_now =
        |condition: &Condition<'_>| condition.observed_generation.is_none_or(|it| it == object.meta.generation);
    condition(object).filter(is_of_now).is_some_and(|it| fares(&it, &it.message, true) == Fares::Well)
}

fn condition(object: &Object) -> Option<Condition<'_>> {
    let told = serde_json::from_str::<Told<'_>>(&object.text).ok()?;
    told.status?.conditions.into_iter().find(|condition| condition.kind == RECONCILED)
}

fn fares(condition: &Condition<'_>, message: &str, blamed: bool) -> Fares {
    let badly = |for_good| Fares::Badly { for_good, why: message.to_owned() };
    match &*condition.reason {
        _ if condition.status == "True" => Fares::Well,
        // That it would delete so much needs no second look.
        reason::DELETIONS_HELD => badly(true),
        // What the object itself says wrong is its owner's.
        reason::WAITING | reason::SELECTOR_REFUSED => Fares::Unknown,
        _ if !blamed => Fares::Unknown,
        _ => badly(false),
    }
}

/// The write that moves an object to an instance and marks it, or, where it stays where it
/// is, takes the mark off.
pub(super) fn write(
    object: &Meta,
    kind: &Kind,
    lineage: &Lineage,
    key: &InstanceKey,
    to: Option<(&InstanceId, &Mark)>,
) -> Write {
    let mark = to.map_or(Value::Null, |(_, mark)| mark.text().into());
    let mut patch = Map::from_iter([("annotations".to_owned(), json!({ marks::CANARY: mark }))]);
    if let Some((to, _)) = to {
        let value = if to.is_default() { Value::Null } else { to.as_str().into() };
        let field = patch.entry(key.field()).or_insert_with(|| json!({}));
        field[key.name()] = value;
    }
    Write {
        place: object.place.clone(),
        version: kind.metadata_version().to_owned(),
        manager: lineage.metadata_manager(),
        action: Action::Metadata { seen: Seen::of(object), patch },
    }
}

/// Whether a write is one of these and nothing else.
pub fn is_move(write: &Write, key: &InstanceKey) -> bool {
    let Action::Metadata { patch, .. } = &write.action else { return false };
    let mut written = patch.iter().flat_map(|(field, names)| {
        names.as_object().into_iter().flat_map(|names| names.keys()).map(move |name| (field.as_str(), name.as_str()))
    });
    let is_known = |(field, name): (&str, &str)| {
        (field, name) == ("annotations", marks::CANARY) || (field, name) == (key.field(), key.name())
    };
    written.all(is_known) && patch.get("annotations").is_some_and(|names| names.get(marks::CANARY).is_some())
}
