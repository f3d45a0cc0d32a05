//! What the owner of the slots shows to the rest of the engine, and how the
//! rest wakes it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use arc_swap::ArcSwap;
use tokio::sync::{Notify, oneshot};
use trimtab_core::id::{Key, SlotId};

use crate::{serving::Serving, shadowed::Shadowed, view::SlotView};

/// What others may see of the slots, and how they wake their owner.
#[derive(Default)]
pub struct Published {
    /// What serves.
    pub serving: ArcSwap<Serving>,
    /// What people are shown.
    pub view: ArcSwap<Vec<SlotView>>,
    /// What was seen of the generation that shadows in each slot, or did last.
    pub shadowed: ArcSwap<BTreeMap<SlotId, Arc<Shadowed>>>,
    /// To be poked when the health of a watch, or who leads, has changed.
    pub changed: Notify,
    /// Keys that were looked at while a watch was not synced. At most one entry
    /// for each object and lineage.
    turned_away: Mutex<BTreeSet<Key>>,
    /// Slots that people want to be rolled back: as many as ask at once.
    rollbacks: Mutex<Vec<Rollback>>,
}

/// A wish to roll a slot back, and who waits for what comes of it.
pub struct Rollback {
    /// The slot's path.
    pub slot: String,
    /// What was begun, or why not.
    pub answer: oneshot::Sender<Result<String, String>>,
}

impl Published {
    /// The key is added again when all watches of its lineage are synced.
    pub fn turn_away(&self, key: Key) {
        self.turned_away().insert(key);
        // It may have recovered between the look and now.
        self.changed.notify_one();
    }

    /// Takes out the keys that may come in now.
    pub fn let_in(&self, may: impl Fn(&Key) -> bool) -> Vec<Key> {
        self.turned_away().extract_if(.., |key| may(key)).collect()
    }

    /// Asks for a rollback.
    pub fn roll_back(&self, slot: &str) -> oneshot::Receiver<Result<String, String>> {
        let (answer, answered) = oneshot::channel();
        self.rollbacks().push(Rollback { slot: slot.to_owned(), answer });
        self.changed.notify_one();
        answered
    }

    /// Takes out what was asked for.
    pub fn take_rollbacks(&self) -> Vec<Rollback> {
        std::mem::take(&mut self.rollbacks())
    }

    fn rollbacks(&self) -> MutexGuard<'_, Vec<Rollback>> {
        self.rollbacks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn turned_away(&self) -> MutexGuard<'_, BTreeSet<Key>> {
        self.turned_away.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
