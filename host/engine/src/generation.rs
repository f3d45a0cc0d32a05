//! A generation: one content, config and policy of a slot, loaded, and what it
//! needs of the cluster.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use trimtab_cluster::{
    discovery::{Discovery, Kinds},
    spec::WatchSpec,
    store::Store,
};
use trimtab_core::{
    deletions::Deletions,
    description::{Description, ObjectKind, ReadKind, Role, Update},
    exclusive,
    grants::Grants,
    hash::Hash,
    id::{Cluster, GroupKind, Key, Lineage, SlotId, split_api_version},
    instance::InstanceKey,
    kind::Kind,
    marks,
    object::{Meta, Object},
    ownership::is_made_by,
    plan::ChildSpec,
    policy::Policy,
    rollout::{self, Rolling},
    schema::Schema,
    selector::Selector,
};
use trimtab_wasm::{KindRef, Plugin, Wasm};

use crate::{first_use::FirstUses, folder::Source, observed::Observed, settings::Settings, triggers::owner_key};

/// A file that passed every check that needs no cluster.
pub struct Loaded {
    /// Its place in the folder.
    pub slot: SlotId,
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
    /// How its objects fare, while it is on probation.
    pub observed: Observed,
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

/// The kinds of a description as the server serves them.
pub struct Needs {
    /// Where its objects say that they are its instance's.
    pub instance_key: InstanceKey,
    /// The kinds of the objects, in the order of the description.
    pub objects: Vec<ObjectNeeds>,
    /// The kinds of the children, in the order of the description; where one of
    /// them rolls, after them that of the revisions.
    pub children: Vec<ChildSpec>,
    /// Whether a kind of children rolls.
    pub rolls: bool,
    /// The same as the plugin names them.
    pub child_refs: Vec<KindRef>,
    /// All watches, the objects' among them.
    pub watches: BTreeSet<WatchSpec>,
}

/// A kind of objects as the server serves it.
pub struct ObjectNeeds {
    /// The kind.
    pub kind: Arc<Kind>,
    /// The declared version.
    pub version: String,
    /// The schema of that version.
    pub schema: Arc<Schema>,
    /// What shows the objects.
    pub watches: Vec<WatchSpec>,
    /// The server leaves out what the plugin does not select, so that what it
    /// holds must carry a mark to be seen when it is no longer selected.
    pub filtered: bool,
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
            observed: Observed::default(),
            slot,
            plugin,
            description,
            policy,
            config,
            grants,
            first_uses,
        })
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

impl Needs {
    /// Finds the kinds of a description in the cluster; the error says what is
    /// missing and is shown as the reason why the slot is pending.
    pub async fn find(
        loaded: &Loaded,
        kinds: &Kinds,
        discovery: &Discovery,
        settings: &Settings,
    ) -> Result<Self, String> {
        let finder = Finder { kinds, discovery, settings };
        let instance_key = loaded.policy.instance_key.as_ref().unwrap_or(&settings.instance_key);
        let mut objects = Vec::new();
        for wanted in &loaded.description.objects {
            objects.push(finder.object(wanted, loaded, instance_key).await?);
        }
        let mut watches = objects.iter().flat_map(|object| &object.watches).cloned().collect::<BTreeSet<_>>();

        // What the policy denies is not even watched: Secrets, say, stay out of this process.
        let mut children = Vec::new();
        for child in &loaded.description.children {
            let kind = finder.kind(&child.kind, &child.version)?;
            let inherit = loaded.policy.inherit.children.contains(&child.kind);
            if loaded.grants.may_write(&child.kind).is_ok() {
                // What is inherited, or may be adopted, carries no mark that the server
                // could select it by.
                let unmarked = inherit || loaded.policy.children_selector.is_some();
                let labels = (!unmarked).then_some(marks::PLUGIN_LABEL);
                watches.extend(finder.watches(&kind, &child.version, labels, None)?);
            }
            children.push(ChildSpec {
                schema: finder.schema(&child.kind, &child.version).await?,
                kind,
                version: child.version.clone(),
                update: loaded.policy.update_of(child),
                rolling: loaded.policy.rolling_of(child),
                adopt: loaded.policy.adopt.contains(&child.kind),
            });
        }
        let child_refs = children.iter().map(child_ref).collect();
        let rolls = children.iter().any(|spec| spec.update.is_rolling());
        if rolls {
            let revisions = finder.revisions(&objects, &children).await?;
            watches.extend(finder.watches(&revisions.kind, &revisions.version, Some(marks::PLUGIN_LABEL), None)?);
            children.push(revisions);
        }
        let may_read = |read: &&ReadKind| loaded.grants.may_read(&read.kind, &read.version, read.namespace.as_deref());
        for read in loaded.description.reads.iter().filter(|read| may_read(read).is_ok()) {
            let kind = finder.kind(&read.kind, &read.version)?;
            watches.extend(finder.watches(&kind, &read.version, None, read.namespace.as_deref())?);
        }
        Ok(Self { instance_key: instance_key.clone(), child_refs, rolls, objects, children, watches })
    }

    /// The watches that show all of a kind. The error says why there can be none.
    pub fn watches_of(
        id: &GroupKind,
        version: &str,
        discovery: &Discovery,
        settings: &Settings,
    ) -> Result<Vec<WatchSpec>, String> {
        let finder = Finder { kinds: &discovery.known(), discovery, settings };
        finder.watches(&*finder.kind(id, version)?, version, None, None)
    }

    /// What is known of a kind of objects.
    pub fn object(&self, kind: &GroupKind) -> &ObjectNeeds {
        let object = self.objects.iter().find(|object| object.kind.id == *kind);
        object.expect("a key is routed to a generation by a kind that it reconciles")
    }
}

impl Needs {
    /// The kinds that the description declares as children.
    pub fn declared(&self) -> &[ChildSpec] {
        &self.children[..self.child_refs.len()]
    }
}

fn child_ref(child: &ChildSpec) -> KindRef {
    KindRef {
        cluster: None,
        api_version: child.kind.api_version(&child.version).into(),
        kind: child.kind.id.kind.clone(),
    }
}

struct Finder<'a> {
    kinds: &'a Kinds,
    discovery: &'a Discovery,
    settings: &'a Settings,
}

impl Finder<'_> {
    fn kind(&self, id: &GroupKind, version: &str) -> Result<Arc<Kind>, String> {
        if !self.kinds.is_known() {
            return Err("the server has not said yet which kinds it serves".into());
        }
        let kind = self
            .kinds
            .get(id)
            .ok_or_else(|| format!("the server serves no kind {id}; create its CustomResourceDefinition"))?;
        if kind.version(version).is_none() {
            let served = kind.versions.iter().map(|version| version.name.as_str()).collect::<Vec<_>>().join(", ");
            return Err(format!("the server serves {id} as {served} but not as {version}"));
        }
        Ok(kind.clone())
    }

    /// A decorator's objects are somebody else's and may be many, such as all Pods:
    /// those that its label selector leaves out are not even sent. What it holds
    /// is watched by its mark beside.
    async fn object(
        &self,
        wanted: &ObjectKind,
        loaded: &Loaded,
        instance_key: &InstanceKey,
    ) -> Result<ObjectNeeds, String> {
        let kind = self.kind(&wanted.kind, &wanted.version)?;
        let of_instance = self.settings.object_selector(instance_key);
        let decorates = loaded.description.role == Role::Decorator;
        let selected = wanted.selector.as_ref().filter(|_| decorates).map(Selector::to_string);
        let filtered = selected.is_some();
        let labels = of_instance.into_iter().chain(selected).collect::<Vec<_>>().join(",");
        let labels = Some(labels).filter(|labels| !labels.is_empty());
        let mut watches = self.watches(&kind, &wanted.version, labels.as_deref(), None)?;
        if filtered {
            watches.extend(self.watches(&kind, &wanted.version, Some(&loaded.lineage.decorator_mark()), None)?);
        }
        if labels.is_some() && loaded.policy.exclusive {
            let held = exclusive::held_by(&loaded.lineage, &loaded.slot.instance);
            watches.extend(self.watches(&kind, &wanted.version, Some(&held), None)?);
        }
        let schema = self.schema(&wanted.kind, &wanted.version).await?;
        Ok(ObjectNeeds { kind, version: wanted.version.clone(), schema, watches, filtered })
    }

    /// The kind that keeps the revisions of an object, as a child of the host's own.
    async fn revisions(&self, objects: &[ObjectNeeds], declared: &[ChildSpec]) -> Result<ChildSpec, String> {
        let (id, version) = (rollout::kind_of_revisions(), split_api_version(rollout::API_VERSION).1);
        if let Some(object) = objects.iter().find(|object| !object.kind.namespaced) {
            let kind = &object.kind.id;
            return Err(format!("{kind} lies in no namespace, where its revisions could be kept: let no child roll"));
        }
        if declared.iter().any(|spec| spec.kind.id == id) {
            return Err(format!("{id} is a kind of children: the host's own would be among them, let no child roll"));
        }
        Ok(ChildSpec {
            kind: self.kind(&id, version)?,
            version: version.to_owned(),
            update: Update::InPlace,
            rolling: Rolling::default(),
            adopt: false,
            schema: self.schema(&id, version).await?,
        })
    }

    async fn schema(&self, id: &GroupKind, version: &str) -> Result<Arc<Schema>, String> {
        let doc = self.discovery.openapi(&id.group, version).await;
        let doc = doc.map_err(|error| format!("the schema of {id} cannot be read: {error}"))?;
        Ok(doc.schema(&id.kind))
    }

    fn watches(
        &self,
        kind: &Kind,
        version: &str,
        labels: Option<&str>,
        only: Option<&str>,
    ) -> Result<Vec<WatchSpec>, String> {
        let watch = |namespace: Option<&str>| WatchSpec {
            kind: kind.id.clone(),
            version: version.into(),
            namespace: namespace.map(Into::into),
            labels: labels.map(Into::into),
            name: None,
        };
        match (kind.namespaced, only, &self.settings.namespaces[..]) {
            (true, Some(only), []) => Ok(vec![watch(Some(only))]),
            (_, None, []) | (false, _, []) => Ok(vec![watch(None)]),
            (false, ..) => Err(format!("{} lies outside namespaces, and only some namespaces are served", kind.id)),
            (true, Some(only), served) if served.iter().any(|name| name == only) => Ok(vec![watch(Some(only))]),
            (true, Some(only), _) => Err(format!("the namespace {only} is not served")),
            (true, None, served) => Ok(served.iter().map(|name| watch(Some(name))).collect()),
        }
    }
}
