//! The way back to what served before, through the stages of any candidate: it takes the
//! place of what the folder holds, and as soon as it serves, or cannot, that is taken up
//! as if it had just come.

use std::time::Duration;

use trimtab_cluster::store::Store;
use trimtab_core::promotion::File;

use super::{Slot, policy_of};
use crate::{configs::Outside, folder::Source};

/// What is kept waits for a first list as long as that takes, and for anything else so
/// long: then the folder's turn has come.
const GIVEN_UP_AFTER: Duration = Duration::from_secs(60);

/// On the way back.
pub struct Back {
    /// What the folder holds.
    pub file: Source,
    /// A person wants it: in place of what serves, and for good.
    pub by_hand: bool,
    /// What served when it began.
    before: Option<u64>,
    /// When it began (`Env::elapsed`).
    since: Duration,
}

impl Slot {
    /// Begins to put back what was kept.
    pub fn go_back(&mut self, kept: Source, by_hand: bool, now: Duration) {
        let file = std::mem::replace(&mut self.source, kept);
        let policy = policy_of(&self.source);
        self.outside = Outside::of(&policy);
        self.inherits = policy.inherit.lineage;
        self.instance_key = policy.instance_key;
        let before = self.serving.as_ref().map(|serving| serving.number);
        self.back = Some(Back { file, by_hand, before, since: now });
        self.renew();
    }

    /// Takes up what the folder holds, once what was kept serves or cannot.
    pub fn end_of_back(&mut self, store: &Store, now: Duration) {
        let Some(back) = &self.back else { return };
        let serves = self.serving.as_ref().is_some_and(|serving| Some(serving.number) != back.before);
        let late = now.saturating_sub(back.since) >= GIVEN_UP_AFTER && !self.is_starting(store);
        if !serves && !late && self.candidate.is_some() {
            return;
        }
        self.back_in_vain = !serves;
        self.give_up_back();
    }

    /// Takes up what the folder holds though what was kept could serve.
    pub fn give_up_back(&mut self) {
        let file = self.back.take().map(|back| back.file);
        file.iter().for_each(|file| self.take(file));
    }

    /// Whether nothing serves, as what the folder holds was found bad, and it was not
    /// tried yet to put something back.
    pub fn is_left_with_nothing(&self) -> bool {
        let nothing = self.serving.is_none() && self.candidate.is_none() && self.back.is_none();
        nothing && self.promotion.file() == File::Rejected && !self.back_in_vain
    }

    /// Whether its policy wants no probation, and so nothing to make way for.
    pub fn needs_no_way_back(&self) -> bool {
        !policy_of(&self.source).rollout.rollback
    }
}
