//! What plugins may look up: the store, as far as the description asks or the
//! policy grants, and the watches are synced.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use trimtab_cluster::{discovery::Discovery, spec::WatchSpec, store::Store};
use trimtab_core::{
    fingerprint::{self, Look},
    hash::Hash,
    id::{GroupKind, Place, split_api_version},
    object::Object,
};
use trimtab_wasm::{KindRef, LookUp, Lookup, Refusal, Wanted};

use crate::{generation::Generation, needs::Needs, published::Published, readers::Trigger, settings::Settings};

/// The look-ups of one call.
pub struct StoreLookup {
    /// What is known of the cluster.
    pub store: Arc<Store>,
    /// Who asks.
    pub generation: Arc<Generation>,
    /// Which kinds there are.
    pub discovery: Arc<Discovery>,
    /// Which of it is served.
    pub settings: Arc<Settings>,
    /// The owner of the slots, who has what is needed for the first time watched.
    pub published: Arc<Published>,
}

impl StoreLookup {
    /// The watches that show all of what is asked for: of them, each must be synced.
    fn watches(&self, kind: &GroupKind, version: &str, asked: &LookUp) -> Result<Vec<WatchSpec>, Refusal> {
        let all_served = asked.namespace.is_none() && matches!(asked.wanted, Wanted::Selected { .. });
        let shows = |spec: &WatchSpec| {
            let covers = spec.namespace.is_none() || spec.namespace == asked.namespace || all_served;
            let names = match &asked.wanted {
                Wanted::Named(name) => spec.name.as_ref().is_none_or(|only| only == name),
                Wanted::Selected { .. } => spec.name.is_none(),
            };
            spec.kind == *kind && &*spec.version == version && spec.labels.is_none() && covers && names
        };
        let Generation { loaded, needs, .. } = &*self.generation;
        if !loaded.grants.is_granted_undeclared(kind) {
            return Ok(needs.watches.iter().filter(|spec| shows(spec)).cloned().collect());
        }
        let watches = Needs::watches_of(kind, version, &self.discovery, &self.settings).map_err(Refusal::NotReady)?;
        if loaded.first_uses.need(&watches) {
            self.published.changed.notify_one();
        }
        Ok(watches.into_iter().filter(shows).collect())
    }
}

impl Lookup for StoreLookup {
    fn find(&self, asked: &LookUp) -> Result<Vec<Arc<Object>>, Refusal> {
        let (kind, version) = of(asked);
        let namespace = asked.namespace.as_deref();
        let grants = &self.generation.loaded.grants;
        let granted = match &asked.wanted {
            Wanted::Named(name) => grants.may_get(&kind, version, namespace, name),
            Wanted::Selected { .. } => grants.may_read(&kind, version, namespace),
        };
        granted.map_err(|denied| Refusal::Denied(denied.to_string()))?;
        let watches = self.watches(&kind, version, asked)?;
        if watches.is_empty() {
            let inside = namespace.map_or_else(|| "without a namespace".into(), |name| format!("in namespace {name}"));
            return Err(Refusal::Denied(format!("{kind} {inside} is not served by this host")));
        }
        let mut healths = watches.iter().map(|spec| (spec, self.store.health(spec)));
        if let Some((spec, health)) = healths.find(|(_, health)| !health.is_synced()) {
            return Err(Refusal::NotReady(format!("the watch of {spec} is not ready: {health}")));
        }
        let unreadable = match &asked.wanted {
            Wanted::Named(name) => {
                self.store.unreadable(&kind, version, Some(namespace.unwrap_or_default()), Some(name))
            }
            Wanted::Selected { .. } => self.store.unreadable(&kind, version, namespace, None),
        };
        if let Some((place, why)) = unreadable {
            return Err(Refusal::NotReady(format!("{place} cannot be read: {why}")));
        }
        Ok(find(&self.store, asked))
    }

    fn in_namespaces(&self, of: &KindRef) -> bool {
        self.discovery.known().get(&GroupKind::new(&of.api_version, &of.kind)).is_none_or(|kind| kind.namespaced)
    }
}

/// What a look-up would find now, as far as watches show it.
pub fn find(store: &Store, asked: &LookUp) -> Vec<Arc<Object>> {
    let (kind, version) = of(asked);
    let namespace = asked.namespace.as_deref();
    match &asked.wanted {
        Wanted::Named(name) => store.get(&kind, version, namespace.unwrap_or_default(), name).into_iter().collect(),
        Wanted::Selected { labels, limit } => store.select(&kind, version, namespace, labels, *limit as usize),
    }
}

/// What a run looked up, and the hash of what it was told; none where the look-up
/// ended it.
pub type LookedUp = BTreeMap<LookUp, Option<Hash>>;

/// The same with hashes in place of the objects.
pub fn looked_up(answers: &BTreeMap<LookUp, Option<Vec<Arc<Object>>>>) -> LookedUp {
    answers.iter().map(|(asked, answer)| (asked.clone(), answer.as_deref().map(hash))).collect()
}

/// What a run was told, for the fingerprint of what it rests on.
pub fn told(looked_up: &LookedUp) -> Vec<Look> {
    let look = |(asked, found): (&LookUp, &Option<Hash>)| Look {
        asked: asked.to_string(),
        found: found.unwrap_or_else(|| hash(&[])),
    };
    looked_up.iter().map(look).collect()
}

/// What a run that looks up the same would be told now.
pub fn now(store: &Store, looked_up: &LookedUp) -> Vec<Look> {
    looked_up.keys().map(|asked| Look { asked: asked.to_string(), found: hash(&find(store, asked)) }).collect()
}

/// What a run looked up, for people, and how much of it there is now.
pub fn listed(store: &Store, looked_up: &LookedUp) -> Vec<String> {
    let listed = looked_up.iter().map(|(asked, found)| match found {
        Some(_) => format!("{asked}: {} found", find(store, asked).len()),
        None => format!("{asked}: no answer yet"),
    });
    listed.collect()
}

/// Whether a run would be told something else now. What changes before a key is
/// among the readers wakes nobody, so whoever has put it there asks this.
pub fn moved(store: &Store, looked_up: &LookedUp) -> bool {
    let mut told = looked_up.iter().filter_map(|(asked, found)| Some((asked, found.as_ref()?)));
    told.any(|(asked, found)| hash(&find(store, asked)) != *found)
}

fn hash(objects: &[Arc<Object>]) -> Hash {
    fingerprint::found(objects.iter().map(AsRef::as_ref))
}

/// What the look-ups are woken by, each once.
pub fn triggers(looked_up: &LookedUp) -> BTreeSet<Trigger> {
    looked_up.iter().flat_map(|(asked, found)| triggers_of(asked, found.is_some())).collect()
}

fn triggers_of(asked: &LookUp, answered: bool) -> Vec<Trigger> {
    let (kind, _) = of(asked);
    let namespace = asked.namespace.clone();
    let labels = match &asked.wanted {
        Wanted::Named(name) => {
            let namespace = namespace.unwrap_or_default();
            return vec![Trigger::Place(Place { kind, namespace, name: name.clone() })];
        }
        Wanted::Selected { labels, .. } => labels,
    };
    match labels.pairs().filter(|_| answered) {
        Some(pairs) => pairs.map(|(name, value)| Trigger::label(&kind, namespace.as_ref(), name, value)).collect(),
        // What stood in the way of an answer may have any labels.
        None => vec![Trigger::Kind { kind, namespace }],
    }
}

fn of(asked: &LookUp) -> (GroupKind, &str) {
    let (_, version) = split_api_version(&asked.of.api_version);
    (GroupKind::new(&asked.of.api_version, &asked.of.kind), version)
}

#[cfg(test)]
mod tests {
    use trimtab_cluster::{
        spec::Health,
        store::{Change, Notify},
    };
    use trimtab_core::selector::Selector;

    use super::*;

    struct Nobody;

    impl Notify for Nobody {
        fn changed(&self, _: &Change<'_>) {}
        fn health(&self, _: &WatchSpec, _: &Health) {}
    }

    fn asked(wanted: Wanted) -> LookUp {
        let of = KindRef { cluster: None, api_version: "v1".into(), kind: "Secret".into() };
        LookUp { of, namespace: Some("a".into()), wanted }
    }

    /// What a run would have been told at this moment.
    fn told_by(store: &Store, asked: &LookUp) -> LookedUp {
        looked_up(&[(asked.clone(), Some(find(store, asked)))].into())
    }

    #[test]
    fn what_changes_while_a_run_is_on_its_way_is_seen_at_its_end() {
        let labels = Selector::parse("tier=web").unwrap();
        for wanted in [Wanted::Named("x".into()), Wanted::Selected { labels, limit: 9 }] {
            let store = Store::new(Arc::new(Nobody));
            let kind = GroupKind::new("v1", "Secret");
            let spec = WatchSpec { kind, version: "v1".into(), namespace: None, labels: None, name: None };
            let watch = store.open(&spec);
            let asked = asked(wanted);
            let absent = told_by(&store, &asked);
            assert!(!moved(&store, &absent));

            let text =
                r#"{"metadata":{"name":"x","namespace":"a","uid":"u","resourceVersion":"5","labels":{"tier":"web"}}}"#;
            watch.shown(text);
            assert!(moved(&store, &absent), "{asked}");
            assert_ne!(now(&store, &absent), told(&absent));
            let present = told_by(&store, &asked);
            assert!(!moved(&store, &present) && now(&store, &present) == told(&present));
        }
    }

    #[test]
    fn a_selection_that_was_not_answered_is_woken_by_whatever_is_of_its_kind() {
        let asked = asked(Wanted::Selected { labels: Selector::parse("tier=web").unwrap(), limit: 9 });
        let kind = GroupKind::new("v1", "Secret");
        let namespace = Some("a".into());
        let answered = triggers(&[(asked.clone(), Some(hash(&[])))].into());
        assert_eq!(answered, [Trigger::label(&kind, namespace.as_ref(), "tier", "web")].into());
        assert_eq!(triggers(&[(asked, None)].into()), [Trigger::Kind { kind, namespace }].into());
    }

    #[test]
    fn a_look_up_that_ended_its_run_is_not_asked_again_for_what_is_half_listed() {
        let store = Store::new(Arc::new(Nobody));
        let ended = LookedUp::from([(asked(Wanted::Named("x".into())), None)]);
        assert!(!moved(&store, &ended));
    }
}
