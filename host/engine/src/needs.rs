//! What a generation needs of the cluster: the kinds of its description as the server
//! serves them, their schemas, and the watches that show their objects.

use std::{collections::BTreeSet, sync::Arc};

use trimtab_cluster::{
    discovery::{Discovery, Kinds},
    spec::WatchSpec,
};
use trimtab_core::{
    description::{ObjectKind, ReadKind, Role, Update},
    exclusive,
    grants::{SECRET_VERSION, SecretName},
    id::{GroupKind, split_api_version},
    instance::InstanceKey,
    kind::Kind,
    marks,
    plan::ChildSpec,
    rollout::{self, Rolling},
    schema::Schema,
    selector::Selector,
};
use trimtab_wasm::KindRef;

use crate::{generation::Loaded, settings::Settings};

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
        for SecretName { namespace, name } in loaded.grants.secrets() {
            let kind = finder.kind(&SecretName::kind(), SECRET_VERSION)?;
            let one = |spec| WatchSpec { name: Some((&**name).into()), ..spec };
            watches.extend(finder.watches(&kind, SECRET_VERSION, None, Some(namespace))?.into_iter().map(one));
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
