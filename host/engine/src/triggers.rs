//! From a change in the store to the keys that it wakes. What the change was
//! goes no further: a look sees the state, not the event.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use trimtab_cluster::{
    spec::{Health, WatchSpec},
    store::{Change, Notify},
};
use trimtab_core::{
    id::{Cluster, Key, Lineage},
    marks,
    object::Meta,
    ownership::OwnerMark,
};

use crate::{
    memory::Memory,
    published::Published,
    queue::{Priority, Queue},
};

/// Wakes keys. It is called by the store's tasks and only touches the queue,
/// which holds each key once however often it is added.
pub struct Triggers {
    queue: Arc<Queue>,
    memory: Arc<Memory>,
    published: Arc<Published>,
    /// The watches whose first list has been taken in.
    synced: Mutex<BTreeSet<WatchSpec>>,
}

impl Triggers {
    /// Of one engine.
    pub fn new(queue: Arc<Queue>, memory: Arc<Memory>, published: Arc<Published>) -> Arc<Self> {
        Arc::new(Self { queue, memory, published, synced: Mutex::default() })
    }

    fn synced(&self) -> MutexGuard<'_, BTreeSet<WatchSpec>> {
        self.synced.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self, object: &Meta, priority: Priority) {
        let serving = self.published.serving.load();
        for lineage in serving.table.lineages_for(&object.place.kind) {
            let key = Key { cluster: Cluster::local(), place: object.place.clone(), lineage };
            self.queue.add(key, priority);
        }
        if let Some(owner) = owner_key(object) {
            for heir in serving.heirs_of(&owner.lineage) {
                self.queue.add(Key { lineage: heir.loaded.lineage.clone(), ..owner.clone() }, priority);
            }
            self.queue.add(owner, priority);
        }
        for owner in serving.heirs(object) {
            self.queue.add(owner, priority);
        }
        for reader in self.memory.readers(object) {
            self.queue.add(reader, priority);
        }
    }
}

impl Notify for Triggers {
    fn changed(&self, change: &Change<'_>) {
        // What a list brings may be all the cluster at once, and waits behind what people do.
        let synced = self.synced().contains(change.spec);
        let priority = if synced { Priority::Normal } else { Priority::Low };
        for object in [change.old, change.new].into_iter().flatten() {
            self.wake(&object.meta, priority);
        }
        if !self.published.serving.load().settling.is_empty() {
            self.published.changed.notify_one(); // it may have been the last mark that was waited for
        }
    }

    fn health(&self, spec: &WatchSpec, health: &Health) {
        if health.is_synced() {
            self.synced().insert(spec.clone());
            // Where it shows nothing of what was looked up, no change would wake them.
            for key in self.memory.unanswered() {
                self.queue.add(key, Priority::Low);
            }
        } else {
            self.synced().remove(spec);
        }
        self.published.changed.notify_one();
    }
}

/// The key of the object that a child belongs to, by the child's own marks.
pub fn owner_key(child: &Meta) -> Option<Key> {
    let lineage = Lineage::new(child.label(marks::PLUGIN_LABEL)?).ok()?;
    let place = OwnerMark::parse(child.mark(marks::OWNER)?)?.place();
    Some(Key { cluster: Cluster::local(), place, lineage })
}
