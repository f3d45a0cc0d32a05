//! What the owner of the slots shows to the rest of the engine, and how the
//! rest wakes it.

use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

use arc_swap::ArcSwap;
use tokio::sync::Notify;
use trimtab_core::id::Key;

use crate::{serving::Serving, view::SlotView};

/// What others may see of the slots, and how they wake their owner.
#[derive(Default)]
pub struct Published {
    /// What serves.
    pub serving: ArcSwap<Serving>,
    /// What people are shown.
    pub view: ArcSwap<Vec<SlotView>>,
    /// To be poked when the health of a watch, or who leads, has changed.
    pub changed: Notify,
    /// Keys that were looked at while a watch was not synced. At most one entry
    /// for each object and lineage.
    turned_away: Mutex<BTreeSet<Key>>,
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

    fn turned_away(&self) -> MutexGuard<'_, BTreeSet<Key>> {
        self.turned_away.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
