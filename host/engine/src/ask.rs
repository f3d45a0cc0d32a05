//! Asking the plugin: what it is given, and whether what it says may be acted on.

use std::{collections::BTreeMap, sync::Arc};

use trimtab_core::{
    answer::{self, Answer, AnswerError, Given, Terms},
    object::Object,
};
use trimtab_wasm::{Called, Cost, Group, LookUp, Record, Request, Response};

use crate::{
    gather::Job,
    lookups::{self, StoreLookup},
    reconcile::Run,
    trouble::Trouble,
};

/// A call that came to an answer, as another generation can be asked it again.
pub struct Recorded {
    /// The call.
    pub record: Arc<Record>,
    /// What it was told of the cache.
    pub looked_up: BTreeMap<LookUp, Option<Vec<Arc<Object>>>>,
    /// What it has cost.
    pub cost: Cost,
}

impl Run<'_> {
    /// Calls the plugin, with the object as it is or was, and checks what it says.
    pub async fn ask(&mut self, object: Arc<str>) -> Result<(Answer, Recorded), Trouble> {
        let (called, record) = tokio::select! {
            biased;
            called = self.call(object) => called,
            () = self.lost() => return Err(self.deposed()),
        };
        self.shop.called(self.key, self.job, &called);
        self.memory.looked_up.extend(lookups::looked_up(&called.looked_up));
        let answer = self.check(called.outcome?)?;
        Ok((answer, Recorded { record, looked_up: called.looked_up, cost: called.cost }))
    }

    async fn call(&self, object: Arc<str>) -> (Called<Response>, Arc<Record>) {
        let loaded = &self.job.generation.loaded;
        let request = self.request(object, self.shop.now_text().into());
        let mut called = loaded.plugin.reconcile(request.clone(), self.lookup(), &loaded.policy.limits).await;
        let record = self.shop.calls.keep(self.key, self.job, request, &mut called);
        (called, record)
    }

    /// What the plugin is given.
    pub fn request(&self, object: Arc<str>, now: Arc<str>) -> Request {
        let Job { generation, instance, children, finalizing, .. } = self.job;
        let groups = generation.needs.children.iter().zip(&generation.needs.child_refs).map(|(spec, of)| {
            let mut objects = children.iter().filter(|child| child.meta.place.kind == spec.kind.id).collect::<Vec<_>>();
            objects.sort_by(|a, b| a.meta.place.cmp(&b.meta.place));
            Group { of: of.clone(), objects: objects.into_iter().map(|child| child.text.clone()).collect() }
        });
        Request {
            cluster: self.key.cluster.as_str().into(),
            instance_id: (!instance.is_default()).then(|| instance.as_str().into()),
            now,
            config: generation.loaded.config.clone(),
            object,
            children: groups.collect(),
            finalizing: *finalizing,
            extra: "{}".into(),
        }
    }

    /// What it may look up.
    pub fn lookup(&self) -> Arc<StoreLookup> {
        Arc::new(StoreLookup {
            store: self.shop.store.clone(),
            generation: self.job.generation.clone(),
            discovery: self.shop.discovery.clone(),
            settings: self.shop.settings.clone(),
            published: self.shop.published.clone(),
        })
    }

    /// Whether an answer may be acted on.
    pub fn check(&self, response: Response) -> Result<Answer, Trouble> {
        let given = Given {
            children: &response.children,
            status: response.status.as_deref(),
            labels: response.labels,
            annotations: response.annotations,
            events: response.events.into_iter().map(event).collect(),
            requeue_after_ms: response.requeue_after_ms,
            finalized: response.finalized,
            extra: response.extra.as_deref(),
        };
        let selector = self.selector()?;
        let terms = Terms {
            role: self.role(),
            owner: &self.owner(),
            kinds: self.job.generation.needs.declared(),
            grants: &self.job.generation.loaded.grants,
            namespaces: &self.shop.settings.namespaces,
            selector: selector.as_ref(),
            children_max: self.job.generation.loaded.policy.limits.children as usize,
        };
        let answer = answer::check(given, &terms).map_err(Trouble::Answer)?;
        let kind = self.job.generation.loaded.description.object(&self.key.place.kind);
        let stays = kind.is_none_or(|kind| answer.decoration.keeps_selected(&self.job.object, kind));
        if stays || self.is_ending() { Ok(answer) } else { Err(Trouble::Answer(AnswerError::Deselects)) }
    }
}

fn event(event: trimtab_wasm::Event) -> answer::Event {
    answer::Event { warning: event.warning, reason: event.reason, message: event.message }
}
