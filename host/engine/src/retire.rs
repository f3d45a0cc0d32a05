//! Letting an object of a retired plugin go whose children stay: they become
//! nobody's, then nothing that the lineage has said of the object is left, and last
//! it is held no more. Each is read from what is still there.

use trimtab_core::{decorate, id::GroupKind, retire, write::Write};

use crate::{
    reconcile::{Ended, Run, unheard},
    trouble::{Again, Trouble},
};

impl Run<'_> {
    /// One look at such an object. The plugin is not asked.
    pub async fn orphan(mut self) -> Result<Ended, Trouble> {
        let mut troubles = Vec::new();
        let writes = self.orphans();
        for write in &writes {
            troubles.extend(self.write(write).await.err());
        }
        if let Some(trouble) = Trouble::worst(troubles) {
            return Err(trouble);
        }
        if !writes.is_empty() {
            return Ok(Ended::Wrote { requeue_after: None });
        }
        let (object, lineage) = (&self.job.object, &self.key.lineage);
        let release = decorate::release(object, &self.needs().kind, lineage, self.job.inherit());
        let wrote = match self.withdraw().await {
            Err(trouble) if trouble.again() == Again::OnChange => {
                self.shop.tell(self.key, self.job, vec![unheard(&trouble)]);
                false
            }
            withdrawn => withdrawn?,
        };
        match release.filter(|_| !wrote) {
            Some(write) => _ = self.write(&write).await?,
            None if wrote => {}
            None => return Ok(Ended::Settled { requeue_after: None }),
        }
        Ok(Ended::Wrote { requeue_after: None })
    }

    fn orphans(&self) -> Vec<Write> {
        let owner = self.owner();
        let needs = &self.job.generation.needs;
        let of_kind = |kind: &GroupKind| needs.children.iter().find(|spec| spec.kind.id == *kind);
        let ours = self.job.children.iter().filter(|child| owner.owns(&child.meta));
        ours.filter_map(|child| Some(retire::orphan(&owner, of_kind(&child.meta.place.kind)?, child))).collect()
    }
}
