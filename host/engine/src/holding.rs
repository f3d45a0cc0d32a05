//! The hold of an exclusive plugin's instance on an object, see `core::exclusive`:
//! taken before anything else is done, and let go when the object is another's.
//!
//! Within one process the queue gives a key to one worker at a time, whatever instance,
//! version or generation serves it: where this process leads the holder, too, no call of
//! that one is under way while the key is looked at.

use std::time::Duration;

use trimtab_cluster::gate::{Ticket, WriteError};
use trimtab_core::{
    api_error::Class,
    exclusive,
    id::{InstanceId, Key},
    object::Object,
    route::Unserved,
    write::Write,
};

use crate::{
    gather::{Job, Sources},
    generation::Loaded,
    queue::Done,
    reconcile::Run,
    serving::Serving,
    trouble::Trouble,
    workshop::Workshop,
};

/// Between two tries to let an object go, where the first may have been lost on its way.
const SOON: Duration = Duration::from_secs(2);
/// The same, where it was refused and somebody has to act.
const LATER: Duration = Duration::from_secs(60);

impl Run<'_> {
    /// Sees to it that this instance holds the object, if its plugin is exclusive;
    /// whether that took a write. The error is that another one may be acting for it.
    pub async fn hold(&mut self) -> Result<bool, Trouble> {
        let Job { generation, instance, object, .. } = self.job;
        let (meta, kind, lineage) = (&object.meta, &self.needs().kind, &self.key.lineage);
        let write = match (generation.loaded.policy.exclusive, exclusive::holder(meta, lineage)) {
            (true, Some(holder)) if holder == instance.as_str() => return Ok(false),
            (true, Some(holder)) => {
                // What is no id is nobody's.
                if let Ok(holder) = InstanceId::new(holder)
                    && !self.shop.leading.leads(&holder)
                    && self.shop.holders.may_serve(&*self.shop.env, &holder, lineage).await
                {
                    return Err(Trouble::HeldBy(holder));
                }
                exclusive::take(meta, kind, lineage, instance)
            }
            (true, None) => exclusive::take(meta, kind, lineage, instance),
            (false, Some(holder)) if holder == instance.as_str() => exclusive::let_go(meta, kind, lineage),
            (false, _) => return Ok(false),
        };
        self.write(&write).await
    }

    /// Ends when somebody else may call an exclusive plugin for the object.
    pub async fn lost(&self) {
        let loaded = &self.job.generation.loaded;
        if !loaded.policy.exclusive {
            return std::future::pending().await;
        }
        self.shop.leading.lost(&loaded.slot).await;
    }

    /// What a call was that came to no end because of that.
    pub fn deposed(&self) -> Trouble {
        let Job { instance, object, .. } = self.job;
        let error = Box::new(WriteError::NotLeading(instance.clone()));
        Trouble::Write { place: object.meta.place.clone(), error }
    }
}

impl Workshop {
    /// Takes the hold of an instance that this process leads off an object that is not
    /// its own any more. Nobody's call is under way: the key is being looked at.
    pub async fn let_go(&self, key: &Key, serving: &Serving) -> Done {
        let sources = Sources { store: &self.store, leading: &self.leading, serving };
        let Some(object) = sources.newest(key) else { return Done::Forget };
        let Some((ticket, write)) = self.to_let_go(key, serving, &object) else { return Done::Forget };
        let answer = self.gate.write(&ticket, &write).await;
        self.wrote(key, &ticket.instance, &write, &answer);
        match answer.map_err(|error| error.class()) {
            // What was met wakes the key, and so does being the leader again.
            Ok(_) | Err(Class::Stale | Class::Gone) => Done::Forget,
            Err(Class::Busy(pause)) => Done::After(pause),
            Err(Class::Retry) => Done::After(SOON),
            Err(_) => Done::After(LATER),
        }
    }

    /// The write, and by what right: the object is marked for another instance, or the
    /// plugin does not select it any more and has nothing there to take back.
    fn to_let_go(&self, key: &Key, serving: &Serving, object: &Object) -> Option<(Ticket, Write)> {
        let holder = exclusive::holder(&object.meta, &key.lineage)?;
        let generation = serving.of_lineage(&key.lineage).find(|generation| {
            let Loaded { slot, description, .. } = &*generation.loaded;
            slot.instance.as_str() == holder && description.object(&key.place.kind).is_some()
        })?;
        // Who is only not served just now, as while another version is being loaded, is held.
        let is_left = || match serving.find(object, &key.lineage) {
            Ok(found) => !found.selected,
            Err(why) => matches!(why, Unserved::Successor(_)),
        };
        let slot = &generation.loaded.slot;
        let is_anothers = generation.needs.instance_key.of(object) != holder;
        if !(is_anothers || is_left()) || !self.leading.leads(&slot.instance) || self.settings.dry_run {
            return None;
        }
        let ticket = Ticket {
            key: key.clone(),
            instance: slot.instance.clone(),
            uid: object.meta.uid.clone(),
            slot: slot.clone(),
            generation: generation.number,
            account: generation.loaded.policy.service_account.clone(),
        };
        Some((ticket, exclusive::let_go(&object.meta, &generation.needs.object(&key.place.kind).kind, &key.lineage)))
    }
}
