//! What is known of each object of a canary: looked up again only in those that have
//! changed, since it takes reading the whole of them.

use std::{collections::HashMap, mem, sync::Arc};

use trimtab_core::{canary::Member, id::Uid, object::Object};

use super::seen::{Canary, Seen};

/// The objects of one canary.
#[derive(Default)]
pub struct Members {
    /// The generations of the spec and of the plugin by which they were looked at.
    by: (i64, u64),
    /// With the resource version that each had.
    known: HashMap<Uid, (u64, Member)>,
}

impl Members {
    /// What is known of these objects, in their order.
    pub fn of(&mut self, canary: &Canary, seen: &Seen<'_>, objects: &[Arc<Object>]) -> Vec<Member> {
        let by = (canary.object.meta.generation, seen.generation.number);
        let mut before = mem::take(&mut self.known);
        if mem::replace(&mut self.by, by) != by {
            before.clear();
        }
        let member = |object: &Arc<Object>| {
            let meta = &object.meta;
            let known = before.remove(&meta.uid).filter(|(version, _)| *version == meta.resource_version);
            known.map_or_else(|| seen.member(&canary.object.meta.uid, object), |(_, member)| member)
        };
        let members = objects.iter().map(member).collect::<Vec<_>>();
        let versions = objects.iter().map(|object| object.meta.resource_version);
        self.known = members
            .iter()
            .zip(versions)
            .map(|(member, version)| (member.uid.clone(), (version, member.clone())))
            .collect();
        members
    }
}
