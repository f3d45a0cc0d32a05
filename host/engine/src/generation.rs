//! A generation: one content, config and policy of a slot, loaded, with what it has
//! done so far.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use trimtab_cluster::{spec::WatchSpec, store::Store};
use trimtab_core::{
    deletions::Deletions,
    description::{Description, Role},
    grants::Grants,
    hash::Hash,
    id::{Cluster, GroupKind, Key, Lineage, SlotId},
    kind::Kind,
    object::{Meta, Object},
    ownership::is_made_by,
    pace::Pace,
    plan::ChildSpec,
    policy::Policy,
    quarantine::Quarantine,
};
use trimtab_wasm::{Plugin, Wasm};

use crate::{
    first_use::FirstUses, folder::Source, needs::Needs, observed::Observed, shadowed::Shadowed, triggers::owner_key,
};

/// A file that passed every check that needs no cluster.
pub struct Loaded {
    /// Its place in the folder.
    pub slot: SlotId,
    /// What it was loaded from.
    pub source: Source,
    /// Whose version it is.
    pub lineage: Lineage,
    /// The hash of content, config and policy.
    pub identity: Hash,
    /// The same without what a person has said of it: what it is known by when it is
    /// found bad, or to delete too much.
    pub unconfirmed: Hash,
    /// What can be called.
    pub plugin: Arc<Plugin>,
    /// What it says of itself.
    pub description: Description,
    /// What its operator says of it.
    pub policy: Policy,
    /// The config as JSON, as it is given to each call.
    pub config: Arc<str>,
    /// What it may read and write.
    pub grants: Grants,
    /// How many children it has deleted of late, and whether it is held for that.
    pub deletions: Mutex<Deletions>,
    /// Whether it fails for all of its objects.
    pub quarantine: Mutex<Quarantine>,
    /// How its objects fare, while it is on probation.
    pub observed: Observed,
    /// What it has put into the log of late.
    pub logged: Mutex<Pace>,
    /// What was seen of it, while it only shadows.
    pub shadowed: Arc<Shadowed>,
    /// What its slot has looked up without having declared it.
    pub first_uses: Arc<FirstUses>,
}

/// A loaded generation whose kinds have been found in the cluster.
pub struct Generation {
    /// Unique in the process and growing.
    pub number: u64,
    /// What was loaded.
    pub loaded: Arc<Loaded>,
    /// What it needs.
    pub needs: Needs,
}

impl Loaded {
    /// Loads a file and asks it what it is. The error names the file and what to do.
    /// `outside` is what holds the rest of its config.
    pub async fn new(
        wasm: &Arc<Wasm>,
        slot: SlotId,
        source: &Source,
        outside: Option<&Object>,
        first_uses: Arc<FirstUses>,
    ) -> Result<Self, String> {
        let policy = match &source.policy {
            Some(text) => Policy::parse(text).map_err(|error| format!("{slot}.toml: {error}"))?,
            None => Policy::default(),
        };
        let bytes = source.read().map_err(|error| format!("{}: {error}", source.module.display()))?;
        let file = source.module.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let plugin = wasm.load(&file, bytes).await.map_err(|error| error.to_string())?;
        let plugin = plugin.with_http(&policy.http).map_err(|error| format!("{slot}.toml: grants.http: {error}"))?;
        let mut outside_identity = None;
        let mut config: Arc<str> = policy.config.as_str().into();
        if let Some((from, object)) = policy.config_from.as_ref().zip(outside) {
            let merged = from.merge(&policy.config, object);
            config = merged.map_err(|error| format!("{}: {error}", object.meta.place))?.into();
            outside_identity = Some(from.identity(&config, object));
        }
        let identity = |policy: &Policy| {
            let own = policy.generation(source.content);
            outside_identity.map_or(own, |outside| Hash::of([own.as_bytes(), outside.as_bytes()]))
        };
        let described = plugin.describe(config.clone(), &policy.limits).await.outcome;
        // What it says may quote its config.
        let told = |why: String| match policy.config_from.as_ref().filter(|from| from.secret) {
            Some(from) => format!("why is not told, as its config lies in {from}"),
            None => why,
        };
        let described = described.map_err(|error| format!("{file}: describe: {}", told(error.to_string())))?;
        let description = Description::parse(&described).map_err(|errors| {
            let errors = errors.iter().map(ToString::to_string).collect::<Vec<_>>();
            format!("{file}: its description is not valid: {}", told(errors.join("; ")))
        })?;
        let grants = Grants::new(&description, &policy);
        grants.may_reconcile().map_err(|denied| format!("{file}: {denied}"))?;
        if policy.inherit.lineage.as_ref() == Some(&slot.stem.lineage()) {
            return Err(format!("{slot}.toml: inherit.lineage: it is its own, name the plugin that this one replaces"));
        }
        let written = policy.verbs.keys().try_for_each(|kind| grants.may_write(kind));
        written.map_err(|denied| format!("{slot}.toml: grants.verbs: {denied}"))?;
        for (key, kinds) in [("adopt", &policy.adopt), ("inherit.children", &policy.inherit.children)] {
            let adopted = kinds.iter().try_for_each(|kind| grants.may_adopt(kind));
            adopted.map_err(|denied| format!("{slot}.toml: {key}: {denied}"))?;
        }
        if policy.children_selector.is_some() {
            if description.role == Role::Decorator {
                return Err(format!("{slot}.toml: children_selector: only a composite owns what its object selects"));
            }
            let written = description.children.iter().filter(|child| grants.may_write(&child.kind).is_ok());
            let adopted = written.map(|child| &child.kind).try_for_each(|kind| grants.may_adopt(kind));
            adopted.map_err(|denied| format!("{slot}.toml: children_selector: {denied}"))?;
        }
        let unconfirmed = identity(&policy.unconfirmed());
        Ok(Self {
            lineage: slot.stem.lineage(),
            identity: identity(&policy),
            unconfirmed,
            deletions: Mutex::new(Deletions::new(policy.deletions.clone(), unconfirmed)),
            quarantine: Mutex::default(),
            observed: Observed::default(),
            logged: Mutex::default(),
            shadowed: Arc::new(Shadowed::new(unconfirmed)),
            slot,
            source: source.clone(),
            plugin,
            description,
            policy,
            config,
            grants,
            first_uses,
        })
    }
}

impl Loaded {
    /// Whether its config comes from a Secret.
    pub fn has_secret_config(&self) -> bool {
        self.policy.config_from.as_ref().is_some_and(|from| from.secret)
    }
}

impl Generation {
    /// The lineage whose objects it takes over.
    pub fn inherits(&self) -> Option<&Lineage> {
        self.loaded.policy.inherit.lineage.as_ref()
    }

    /// All that it watches: what it has declared, and what it has looked up besides.
    pub fn watches(&self) -> impl Iterator<Item = WatchSpec> {
        let Loaded { grants, first_uses, .. } = &*self.loaded;
        let undeclared = first_uses.watches().into_iter().filter(|spec| grants.is_granted_undeclared(&spec.kind));
        self.needs.watches.iter().cloned().chain(undeclared)
    }

    /// Whether its answers rest on its inputs alone. Where it may ask others, equal
    /// inputs are no reason not to call it.
    pub fn rests_on_inputs(&self) -> bool {
        self.loaded.policy.http.is_empty()
    }

    /// The keys of all objects that it may serve, and of those that may be gone
    /// and have left something behind.
    pub fn keys(&self, store: &Store) -> impl Iterator<Item = Key> {
        let objects = self.needs.objects.iter().flat_map(|object| &object.watches).flat_map(|spec| store.list(spec));
        let objects = objects.map(|object| Key {
            cluster: Cluster::local(),
            place: object.meta.place.clone(),
            lineage: self.loaded.lineage.clone(),
        });
        let collected = store.collected().into_iter().filter(|child| self.makes(child));
        let owners = collected.filter_map(|child| owner_key(&child.meta)).collect::<BTreeSet<_>>();
        objects.chain(owners)
    }

    /// The kinds of its children that may lie where Kubernetes does not collect them.
    pub fn collects(&self) -> impl Iterator<Item = &GroupKind> {
        let Policy { elsewhere, writes, .. } = &self.loaded.policy;
        let from_namespaces = self.needs.objects.iter().any(|object| object.kind.namespaced);
        let children = self.needs.declared().iter().map(|child| &*child.kind).filter(move |_| from_namespaces);
        let lies_elsewhere =
            move |kind: &&Kind| if kind.namespaced { !elsewhere.is_empty() } else { writes.contains(&kind.id) };
        children.filter(lies_elsewhere).map(|kind| &kind.id)
    }

    /// What it has deleted of late.
    pub fn deletions(&self) -> MutexGuard<'_, Deletions> {
        self.loaded.deletions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it is called at all.
    pub fn quarantine(&self) -> MutexGuard<'_, Quarantine> {
        self.loaded.quarantine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many children of its lineage and instance there are.
    pub fn children(&self, store: &Store) -> usize {
        let declared = &self.needs.watches;
        let children = declared.iter().flat_map(|spec| store.list(spec));
        children.filter(|child| self.makes(child)).count()
    }

    /// Whether it is one of its lineage and instance to which a child belongs.
    pub fn makes(&self, child: &Object) -> bool {
        let Meta { place, version, .. } = &child.meta;
        let declared = |spec: &ChildSpec| spec.kind.id == place.kind && spec.version == **version;
        is_made_by(&child.meta, &self.loaded.lineage)
            && self.needs.children.iter().any(declared)
            && self.needs.instance_key.of(child) == self.loaded.slot.instance.as_str()
    }
}
