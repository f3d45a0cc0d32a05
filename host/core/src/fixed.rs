//! What the server's answers taught: states that applying an intent once more
//! would not change, although they read differently. A server may write a
//! quantity in another way, default the elements of an atomic list or keep a
//! field to itself; without this memory each look would apply again.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value};

use crate::{
    hash::Hash,
    id::Place,
    intent::hash_of,
    marks,
    object::Object,
    write::{Action, Write},
};

/// The memory of one key. The engine keeps it beside the key's fingerprint,
/// gives it to the plan and shows it the answers to its writes. It holds one
/// entry for each child and one for the status, so it is bounded as answers
/// are; what a restart loses costs one apply that changes nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FixedPoints(HashMap<Place, (Hash, Hash)>);

impl FixedPoints {
    /// Learns from the answer to a write; `None` where it has none, as a
    /// delete. Whatever the server answers to an apply is what becomes of that
    /// intent: the same apply on that very state would change nothing. Whether this one
    /// has changed nothing already, so that no event will tell of it, is returned.
    pub fn learn(&mut self, write: &Write, answer: Option<&Object>) -> bool {
        let learned = match (&write.action, answer) {
            (Action::Create { body } | Action::Apply { body, .. }, Some(answer)) => {
                let mark = body["metadata"]["annotations"][marks::INTENT].as_str();
                // What is no wish for its content teaches nothing of one.
                let Some(mark) = mark else { return false };
                Some((child_intent(mark), answer.body))
            }
            (Action::Status { status, .. }, Some(answer)) => Some((status_intent(status), answer.content)),
            (Action::Metadata { .. } | Action::ClearStatus { .. }, _) => return false,
            _ => None,
        };
        match learned {
            Some(learned) => self.0.insert(write.place.clone(), learned),
            None => self.0.remove(&write.place),
        };
        let (Action::Apply { seen, .. } | Action::Status { seen, .. }) = &write.action else { return false };
        answer.is_some_and(|answer| answer.meta.resource_version == seen.resource_version)
    }

    /// Whether applying the intent to that state is known to change nothing.
    pub(crate) fn holds(&self, place: &Place, intent: Hash, live: Hash) -> bool {
        self.0.get(place) == Some(&(intent, live))
    }
}

/// An intent for a child, by the mark that it carries.
pub(crate) fn child_intent(mark: &str) -> Hash {
    Hash::of([mark.as_bytes()])
}

/// An intent for a status, by its content.
pub(crate) fn status_intent(status: &Map<String, Value>) -> Hash {
    let fields = status.iter().map(|(name, field)| (name, hash_of(field))).collect::<BTreeMap<_, _>>();
    Hash::of(fields.iter().flat_map(|(name, field)| [name.as_bytes(), field.as_bytes()]))
}
