//! Rolling updates, as far as a run has to do something for them: what the earlier
//! revisions want is asked for, and those in use are kept.

use std::collections::BTreeMap;

use trimtab_core::{
    answer::{Answer, Desired},
    id::Place,
    rollout::{Marked, Revision, Rollout, keep, kind_of_revisions},
};

use crate::reconcile::Run;

impl Run<'_> {
    /// Gives the answer what keeps the revisions, and its children their mark; none
    /// where nothing rolls, or where the object goes and nothing is changed.
    pub async fn roll(&mut self, answer: &mut Answer) -> Option<Rollout> {
        let job = self.job;
        let needs = &job.generation.needs;
        if !needs.rolls || job.object.meta.deleting || job.leaving {
            return None;
        }
        let kind = needs.declared().len();
        let paths = &job.generation.loaded.description.field_paths;
        let object = job.object.value();
        let before = self.kept_revisions();
        let latest = Revision::latest(&self.owner(), &object, paths, &before);
        let marked = Marked::of(&self.owner(), &needs.children, &job.children, &answer.children);
        let mut earlier = BTreeMap::new();
        for revision in marked.behind.iter().filter_map(|name| before.get(*name)) {
            let wanted = self.wanted_by(revision, &revision.restore(&object, paths).to_string()).await;
            earlier.insert(revision.name.clone(), wanted);
        }
        let rolls = |desired: &&mut Desired| needs.children[desired.kind].update.is_rolling();
        for desired in answer.children.iter_mut().filter(rolls) {
            desired.revision = Some(latest.name.as_str().into());
        }
        answer.children.extend(keep(&self.owner(), kind, &latest, &before, &marked));
        Some(Rollout { kept: before.contains_key(&latest.name), earlier })
    }

    fn kept_revisions(&self) -> BTreeMap<String, Revision> {
        let owner = self.owner();
        let kept = self.job.children.iter().filter(|child| child.meta.place.kind == kind_of_revisions());
        let kept = kept.filter(|child| owner.owns(&child.meta) && !child.meta.deleting);
        kept.filter_map(|child| Revision::read(child)).map(|revision| (revision.name.clone(), revision)).collect()
    }

    /// What the plugin wants of the object as it was. Where it does not say, the
    /// children of that revision stay as they are until their turn comes: an
    /// earlier revision must not hold up the one that mends it.
    async fn wanted_by(&mut self, revision: &Revision, object: &str) -> BTreeMap<Place, Desired> {
        match self.ask(object.into()).await {
            Ok((answer, _)) => {
                let marked = |desired| Desired { revision: Some(revision.name.as_str().into()), ..desired };
                answer.children.into_iter().map(marked).map(|desired| (desired.place.clone(), desired)).collect()
            }
            Err(trouble) => {
                tracing::info!(key = %self.key, revision = revision.name, %trouble, "an earlier revision says nothing");
                BTreeMap::new()
            }
        }
    }
}
