//! Taking what an object's own selector selects and belongs to nobody, and giving
//! back what it selects no more, before the plugin is asked: it is given only what
//! bears our marks, and never what is on its way out.

use std::sync::Arc;

use trimtab_cluster::gate::WriteError;
use trimtab_core::{
    adoption::{self, Claims},
    id::Place,
    object::Object,
    selector::Selector,
};
use trimtab_wasm::{LookUp, Wanted};

use crate::{lookups, reconcile::Run, trouble::Trouble};

impl Run<'_> {
    /// By which labels the object selects its children, where the policy says that it
    /// does. What goes, or is let go, neither takes nor gives back.
    pub fn selector(&self) -> Result<Option<Selector>, Trouble> {
        let field = self.job.generation.loaded.policy.children_selector.as_ref().filter(|_| !self.is_ending());
        field.map(|field| field.of(&self.job.object)).transpose().map_err(Trouble::Selector)
    }

    /// Takes and gives back; whether anything was written. Then the next look sees it.
    pub async fn claim(&mut self) -> Result<bool, Trouble> {
        let Some(selector) = self.selector()? else { return Ok(false) };
        let selected = self.selected(&selector);
        let kinds = self.job.generation.needs.declared();
        let Claims { adopt, mut release } =
            adoption::claims(&self.owner(), &selector, kinds, &self.job.children, &selected);
        // Whoever is made the child of an object that is gone is deleted as garbage.
        if !adopt.is_empty() && self.is_there().await? {
            release.extend(adopt);
        }
        let (mut wrote, mut troubles) = (false, Vec::new());
        for write in &release {
            match self.write(write).await {
                Ok(changed) => wrote |= changed,
                Err(trouble) => troubles.push(trouble),
            }
        }
        Trouble::worst(troubles).map_or(Ok(wrote), Err)
    }

    /// What is selected, of the kinds that may be written. It is remembered as looked
    /// up, so that what comes to be selected later wakes the key.
    fn selected(&mut self, selector: &Selector) -> Vec<Arc<Object>> {
        let grants = &self.job.generation.loaded.grants;
        let needs = &self.job.generation.needs;
        let namespace = &self.job.object.meta.place.namespace;
        let namespace = (!namespace.is_empty()).then(|| namespace.clone());
        let kinds = needs.declared().iter().zip(&needs.child_refs);
        let mut selected = Vec::new();
        for (_, of) in kinds.filter(|(spec, _)| grants.may_write(&spec.kind.id).is_ok()) {
            let wanted = Wanted::Selected { labels: selector.clone(), limit: u32::MAX };
            let asked = LookUp { of: of.clone(), namespace: namespace.clone(), wanted };
            let found = lookups::find(&self.shop.store, &asked);
            selected.extend(found.iter().cloned());
            self.memory.looked_up.extend(lookups::looked_up(&[(asked, Some(found))].into()));
        }
        selected
    }

    /// Whether the server, too, has the object, and nobody has deleted it.
    async fn is_there(&self) -> Result<bool, Trouble> {
        let meta = &self.job.object.meta;
        let failed = |place: &Place, error: WriteError| Trouble::Write { place: place.clone(), error: Box::new(error) };
        let live = self.shop.gate.live(&meta.place, &meta.version).await;
        let live = live.map_err(|error| failed(&meta.place, error))?;
        Ok(live.is_some_and(|live| live.meta.uid == meta.uid && !live.meta.deleting))
    }
}
