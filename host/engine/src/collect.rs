//! What objects leave behind where Kubernetes collects nothing: children that may
//! not name their owner. An owner with our finalizer has them deleted before it
//! goes; whose finalizer somebody has taken away, or whose last child was written
//! too late, is missed here.

use std::{sync::Arc, time::Duration};

use trimtab_cluster::gate::Ticket;
use trimtab_core::{
    grants::Verb,
    id::{Key, Uid},
    object::Object,
    ownership::{collected_for, is_made_by},
    write::{Action, Seen, Write},
};

use crate::{gather::Sources, generation::Generation, slot::unhealthy, workshop::Workshop};

/// When an owner that could not be asked for, or a child that could not be
/// deleted, is tried again: as soon as a watch that is refused.
const RETRY: Duration = Duration::from_secs(30);

/// A child whose owner seems to be gone.
struct Left {
    child: Arc<Object>,
    /// The owner that its mark names.
    owner: Uid,
    /// Who served it, and deletes it.
    by: Arc<Generation>,
}

impl Workshop {
    /// Deletes what a former object at the key's place has left behind, and says
    /// when to look again where that failed. The cache alone is never enough to
    /// call an owner gone: the server is asked.
    pub async fn collect(&self, key: &Key) -> Option<Duration> {
        let left = self.left_behind(key);
        let version = &left.first()?.by.loaded.description.object(&key.place.kind)?.version;
        let live = match self.gate.live(&key.place, version).await {
            Ok(live) => live.map(|live| live.meta.uid),
            Err(error) => {
                tracing::info!(%key, %error, "whether the owner of what is left is gone cannot be told");
                return Some(RETRY);
            }
        };
        let mut again = None;
        for Left { child, owner, by } in left.into_iter().filter(|left| live.as_ref() != Some(&left.owner)) {
            let write = Write {
                place: child.meta.place.clone(),
                version: child.meta.version.to_string(),
                manager: key.lineage.manager(),
                action: Action::Delete { seen: Seen::of(&child.meta) },
            };
            if self.settings.dry_run {
                println!("{key}: would {write}");
                continue;
            }
            let slot = by.loaded.slot.clone();
            let ticket = Ticket {
                key: key.clone(),
                instance: slot.instance.clone(),
                uid: owner,
                slot,
                generation: by.number,
                account: by.loaded.policy.service_account.clone(),
            };
            let answer = self.gate.write(&ticket, &write).await;
            self.wrote(key, &ticket.instance, &write, &answer);
            match answer {
                Ok(_) => tracing::info!(%key, place = %write.place, "collected: its owner is gone"),
                Err(_) => again = Some(RETRY),
            }
        }
        again
    }

    /// Children of former objects at the key's place, as the cache has them, of
    /// the instances that this process leads.
    fn left_behind(&self, key: &Key) -> Vec<Left> {
        let mut children = self.store.collected_for(&key.place);
        children.retain(|child| !child.meta.deleting && is_made_by(&child.meta, &key.lineage));
        if children.is_empty() {
            return Vec::new();
        }
        let serving = self.published.serving.load_full();
        let sources = Sources { store: &self.store, leading: &self.leading, serving: &serving };
        let present = sources.newest(key).map(|object| object.meta.uid.clone());
        let left = children.into_iter().filter_map(|child| {
            let owner = Uid::new(&collected_for(&child.meta)?.uid);
            let by = serving.of_lineage(&key.lineage).find(|generation| generation.makes(&child))?.clone();
            let gone = present.as_ref() != Some(&owner);
            if let Err(denied) = by.loaded.grants.may(Verb::Delete, &child.meta.place.kind) {
                tracing::info!(place = %child.meta.place, %denied, "its owner may be gone, and it stays");
                return None;
            }
            (gone && self.leading.leads(&by.loaded.slot.instance)).then_some(Left { child, owner, by })
        });
        let left = left.collect::<Vec<_>>();
        if left.iter().any(|left| unhealthy(&self.store, &left.by.needs.watches).is_some()) {
            self.published.turn_away(key.clone());
            return Vec::new();
        }
        left
    }
}
