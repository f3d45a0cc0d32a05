//! Configs of plugins that lie in the cluster: the ConfigMaps and Secrets that
//! policies name, each watched by its name, in a store of their own, so that no
//! look-up of a plugin finds them there.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};

use trimtab_cluster::{
    Client,
    discovery::Discovery,
    spec::{Health, WatchSpec},
    store::{Change, Notify, Store},
    watches::Watches,
};
use trimtab_core::{config::ConfigFrom, env::Env, hash::Hash, id::SlotId, object::Object, policy::Policy};

use crate::{published::Published, slot::Slot};

/// All that policies name, by watches.
pub struct Configs {
    store: Arc<Store>,
    /// Run by the engine.
    pub watches: Arc<Watches>,
    /// Where the Leases lie, and what names no namespace.
    namespace: String,
    wanted: Mutex<BTreeSet<WatchSpec>>,
}

/// What of a slot's config lies in the cluster.
pub struct Outside {
    from: ConfigFrom,
    /// What was there last: what is served rests on it.
    pub seen: Option<Arc<Object>>,
    /// The content that was compared with it last: not at each look anew.
    compared: Option<Hash>,
    /// Why it is not known what is there now.
    pub missing: Option<Missing>,
}

/// Why there is no config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// For people.
    pub why: String,
    /// The first list is under way.
    pub starting: bool,
}

/// Wakes the owner of the slots, who looks at the store himself.
struct Wake(Arc<Published>);

impl Notify for Wake {
    fn changed(&self, _: &Change<'_>) {
        self.0.changed.notify_one();
    }

    fn health(&self, _: &WatchSpec, _: &Health) {
        self.0.changed.notify_one();
    }
}

impl Configs {
    /// Nothing is watched before a slot asks for it.
    pub fn new(
        client: Client,
        discovery: &Discovery,
        env: Arc<dyn Env>,
        published: Arc<Published>,
        namespace: &str,
    ) -> Arc<Self> {
        let store = Store::new(Arc::new(Wake(published)));
        let watches = Watches::new(client, store.clone(), discovery.kinds(), env);
        Arc::new(Self { store, watches, namespace: namespace.into(), wanted: Mutex::default() })
    }

    /// Brings what the slots know of their configs up to date: one whose config has
    /// changed has a new candidate, and one whose config is gone keeps what it has.
    pub fn take(&self, slots: &mut BTreeMap<SlotId, Slot>) {
        self.watch(slots.values().filter_map(|slot| Some(self.spec(&slot.outside.as_ref()?.from))).collect());
        for (id, slot) in slots {
            let Some(outside) = &mut slot.outside else { continue };
            match self.find(&outside.from) {
                Ok(object) => {
                    outside.missing = None;
                    let compared = outside.compared.replace(object.content) == Some(object.content);
                    if !compared && !outside.says(&object) {
                        outside.seen = Some(object);
                        slot.renew();
                    }
                }
                Err(missing) => outside.miss(id, missing, slot.serving.is_some()),
            }
        }
    }

    fn watch(&self, specs: BTreeSet<WatchSpec>) {
        let mut wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        if *wanted != specs {
            self.watches.set(specs.clone());
            *wanted = specs;
        }
    }

    fn spec(&self, from: &ConfigFrom) -> WatchSpec {
        WatchSpec {
            kind: from.kind(),
            version: "v1".into(),
            namespace: Some(self.namespace(from).into()),
            labels: None,
            name: Some(from.name.as_str().into()),
        }
    }

    fn namespace<'a>(&'a self, from: &'a ConfigFrom) -> &'a str {
        from.namespace.as_deref().unwrap_or(&self.namespace)
    }

    fn find(&self, from: &ConfigFrom) -> Result<Arc<Object>, Missing> {
        let (kind, namespace, name) = (from.kind(), self.namespace(from), &from.name);
        let missing = |why: String, starting| Missing { why: format!("{kind} {namespace}/{name} {why}"), starting };
        match self.store.health(&self.spec(from)) {
            Health::Synced => {
                let found = self.store.get(&kind, "v1", namespace, name);
                found.ok_or_else(|| missing("holds its config and does not exist: create it".into(), false))
            }
            health => {
                Err(missing(format!("holds its config and cannot be read: {health}"), health == Health::Starting))
            }
        }
    }
}

impl Outside {
    /// What a policy says of it.
    pub fn of(policy: &Policy) -> Option<Self> {
        let from = policy.config_from.clone()?;
        Some(Self { from, seen: None, compared: None, missing: None })
    }

    /// The same place, whatever else has changed.
    pub fn is_from(&self, other: &Self) -> bool {
        self.from == other.from
    }

    /// Whether the config is the same in this state of the object.
    fn says(&self, object: &Object) -> bool {
        self.seen.as_deref().is_some_and(|seen| self.from.is_said_again(seen, object))
    }

    fn miss(&mut self, slot: &SlotId, missing: Missing, serves: bool) {
        if serves && !missing.starting && self.missing.as_ref() != Some(&missing) {
            tracing::warn!(%slot, why = missing.why, "the last config goes on");
        }
        self.missing = Some(missing);
    }
}
