//! Rollbacks that people ask for: during a probation at once, after it to what is kept.

use std::sync::Arc;

use tokio::sync::oneshot;
use trimtab_core::{
    id::SlotId,
    promotion::{File, Observation},
};

use super::{Slots, promote::BY_HAND};
use crate::{generation::Generation, published::Rollback};

/// What somebody who asked is to be told.
pub(super) struct Answer {
    to: oneshot::Sender<Result<String, String>>,
    begun: Result<String, String>,
}

impl Answer {
    /// Who asked may have gone meanwhile.
    pub fn send(self) {
        _ = self.to.send(self.begun);
    }
}

impl Slots {
    /// Does what was asked for; what is to be answered once it is kept, and whose objects
    /// are to be looked at.
    pub(super) fn roll_back_by_hand(&mut self) -> (Vec<Answer>, Vec<Arc<Generation>>) {
        let (mut answers, mut woken) = (Vec::new(), Vec::new());
        for Rollback { slot, answer } in self.published.take_rollbacks() {
            let id = self.slots.keys().find(|id| id.to_string() == slot).cloned();
            let begun = match id {
                Some(id) => self.go_back_by_hand(&id).map(|(said, generations)| {
                    tracing::warn!(slot = %id, said, "rolled back by hand");
                    woken.extend(generations);
                    said
                }),
                None => Err(format!("there is no slot {slot:?}: `trimtab plugins` lists them, as INSTANCE/PLUGIN")),
            };
            answers.push(Answer { to: answer, begun });
        }
        (answers, woken)
    }

    fn go_back_by_hand(&mut self, id: &SlotId) -> Result<(String, Vec<Arc<Generation>>), String> {
        let slot = &self.slots[id];
        let Some(serving) = slot.serving.clone().filter(|_| self.rooms.leading.leads(&id.instance)) else {
            return Err("this process does not serve it, or does not lead its instance: ask the one that does".into());
        };
        let serves = serving.loaded.unconfirmed;
        if slot.accepts(serves) {
            return Err("its policy says that it serves whatever is found (rollout.accepted, or rollback = false): \
                        change that, or put back the file that served before"
                .into());
        }
        if slot.back.is_some() {
            return Err("it is on the way back already".into());
        }
        if let Some(last_good) = &slot.last_good {
            let said = format!("{} serves again in place of {serves}", last_good.loaded.unconfirmed);
            return Ok((said, self.observe(id, &Observation::Disowned(BY_HAND))));
        }
        if slot.promotion.file() == File::Rejected {
            return Err("it is rolled back already".into());
        }
        let is_before = |generation| generation != serves && slot.promotion.why_rejected(generation).is_none();
        let mut kept = self.kept.get(id).into_iter().flat_map(|record| &record.good);
        let kept = kept.find(|kept| is_before(kept.generation()));
        let source =
            kept.zip(self.rooms.keep.as_ref()).and_then(|(kept, keep)| Some((kept.generation(), keep.source(kept)?)));
        let Some((generation, source)) = source else {
            return Err("nothing that served here before and was good is kept: put back its file".into());
        };
        let now = self.rooms.env.elapsed();
        self.slots.get_mut(id).expect("it is there").go_back(source, true, now);
        Ok((format!("{generation} is being loaded, and takes the place of {serves}"), Vec::new()))
    }
}
