//! What plugins may look up: the store, as far as the description asks, the
//! policy grants and the watches are synced.

use std::{collections::BTreeSet, sync::Arc};

use trimtab_cluster::store::Store;
use trimtab_core::{
    id::{GroupKind, Place, split_api_version},
    object::Object,
};
use trimtab_wasm::{LookUp, Lookup, Refusal};

use crate::generation::Generation;

/// The look-ups of one call.
pub struct StoreLookup {
    store: Arc<Store>,
    generation: Arc<Generation>,
}

impl StoreLookup {
    /// For one call of a generation.
    pub fn new(store: Arc<Store>, generation: Arc<Generation>) -> Arc<Self> {
        Arc::new(Self { store, generation })
    }
}

impl Lookup for StoreLookup {
    fn get(&self, wanted: &LookUp) -> Result<Option<Arc<Object>>, Refusal> {
        let (_, version) = split_api_version(&wanted.of.api_version);
        let kind = GroupKind::new(&wanted.of.api_version, &wanted.of.kind);
        let namespace = wanted.namespace.as_deref();
        self.generation
            .loaded
            .grants
            .may_read(&kind, version, namespace)
            .map_err(|denied| Refusal::Denied(denied.to_string()))?;
        let specs = self.generation.needs.watches.iter().filter(|spec| {
            let covers = spec.namespace.is_none() || spec.namespace.as_deref() == namespace;
            spec.kind == kind && &*spec.version == version && spec.labels.is_none() && covers
        });
        let mut healths = specs.map(|spec| (spec, self.store.health(spec))).peekable();
        if healths.peek().is_none() {
            let inside = namespace.map_or_else(|| "without a namespace".into(), |name| format!("in namespace {name}"));
            return Err(Refusal::Denied(format!("{kind} {inside} is not served by this host")));
        }
        if let Some((spec, health)) = healths.find(|(_, health)| !health.is_synced()) {
            return Err(Refusal::NotReady(format!("the watch of {spec} is not ready: {health}")));
        }
        let namespace = namespace.unwrap_or_default();
        if let Some(why) = self.store.unreadable(&kind, version, namespace, &wanted.name) {
            return Err(Refusal::NotReady(format!("{kind} {namespace}/{} cannot be read: {why}", wanted.name)));
        }
        Ok(self.store.get(&kind, version, namespace, &wanted.name))
    }
}

/// The place that a look-up names: what it is woken by.
pub fn place(look_up: &LookUp) -> Place {
    Place {
        kind: GroupKind::new(&look_up.of.api_version, &look_up.of.kind),
        namespace: look_up.namespace.clone().unwrap_or_default(),
        name: look_up.name.clone(),
    }
}

/// The places of many look-ups, each once.
pub fn places<'a>(look_ups: impl IntoIterator<Item = &'a LookUp>) -> BTreeSet<Place> {
    look_ups.into_iter().map(place).collect()
}
