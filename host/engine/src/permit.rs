//! What the gate asks before each write: does this generation still serve the
//! object, and may it write that?

use std::sync::Arc;

use serde_json::Value;
use trimtab_cluster::{
    gate::{Permit, Ticket},
    store::Store,
};
use trimtab_core::{
    canary::mark,
    exclusive,
    policy::Policy,
    write::{Action, Write},
};

use crate::{generation::Loaded, published::Published};

/// The route once more, and the grants.
pub struct RouteAndGrants {
    store: Arc<Store>,
    published: Arc<Published>,
}

impl RouteAndGrants {
    /// Of one engine.
    pub fn new(store: Arc<Store>, published: Arc<Published>) -> Arc<Self> {
        Arc::new(Self { store, published })
    }
}

impl Permit for RouteAndGrants {
    fn permit(&self, ticket: &Ticket, write: &Write) -> Result<(), String> {
        let serving = self.published.serving.load();
        let gone = || format!("generation {} no longer serves {}", ticket.generation, ticket.key.place);
        let generation = serving.generations.get(&ticket.generation).ok_or_else(gone)?;
        let place = &ticket.key.place;
        let grants = &generation.loaded.grants;
        if mark::is_move(write, &generation.needs.instance_key) && write.place == *place {
            // The object may be in the other instance, and out of sight of what is served.
            return Ok(());
        }
        let version = &generation.loaded.description.object(&place.kind).ok_or_else(gone)?.version;
        let object = self.store.get(&place.kind, version, &place.namespace, &place.name);
        let object = object.filter(|object| object.meta.uid == ticket.uid);
        if let Some(verb) = write.action.verb().filter(|_| write.place != *place) {
            grants.may(verb, &write.place.kind).map_err(|denied| denied.to_string())?;
        }
        if object.is_none() && collects(ticket, write) {
            return grants.may_write(&write.place.kind).map_err(|denied| denied.to_string());
        }
        let object = object.ok_or_else(gone)?;
        let Loaded { slot, policy, .. } = &*generation.loaded;
        let is_held = exclusive::holder(&object.meta, &ticket.key.lineage) == Some(slot.instance.as_str());
        let moves_hold = exclusive::moves(write, &ticket.key.lineage).filter(|_| write.place == *place);
        if is_held && moves_hold == Some(&Value::Null) {
            // It is let go for whoever is routed to it now.
            return Ok(());
        }
        if policy.exclusive && !is_held && moves_hold.is_none() && !matches!(write.action, Action::Status { .. }) {
            return Err(format!("{place} is not held by {:?}", slot.instance));
        }
        let now = serving.find(&object, &ticket.key.lineage).map_err(|why| why.to_string())?;
        if now.generation.number != ticket.generation {
            return Err(gone());
        }
        if !now.selected && matches!(write.action, Action::Create { .. } | Action::Apply { .. }) {
            return Err(format!("{place} is no longer selected"));
        }
        match &write.action {
            Action::Create { .. } | Action::Apply { .. } => {
                let placed = grants.may_write(&write.place.kind).and_then(|()| grants.may_place(place, &write.place));
                placed.map_err(|denied| denied.to_string())
            }
            Action::Delete { .. } => grants.may_write(&write.place.kind).map_err(|denied| denied.to_string()),
            Action::Metadata { .. } if write.place != *place && gives_or_takes(policy, now.selected) => {
                grants.may_write(&write.place.kind).map_err(|denied| denied.to_string())
            }
            Action::Status { .. } | Action::ClearStatus { .. } | Action::Metadata { .. } => match write.place == *place
            {
                true => Ok(()),
                false => Err(format!("{} is not the object itself", write.place)),
            },
        }
    }
}

/// Whether a policy lets the metadata of a child be written for an object that is, or is
/// not, selected: it is given back by who is retired, and by its object's own selector
/// it is also taken.
fn gives_or_takes(policy: &Policy, selected: bool) -> bool {
    policy.retire.is_some() || (selected && policy.children_selector.is_some())
}

/// Whether a child is deleted that only the host collects. Where its owner is gone,
/// there is nothing to route by.
fn collects(ticket: &Ticket, write: &Write) -> bool {
    matches!(write.action, Action::Delete { .. }) && !ticket.key.place.may_be_named_by(&write.place)
}
