//! What the tests are about: a Site `n/a` (or a cluster-scoped Tenant `a`) and
//! a plugin `site` that declares children of several kinds.

use std::sync::Arc;

use serde_json::{Value, json};
use trimtab_core::{
    answer::{self, Answer, AnswerError, Given, Terms},
    description::{Description, Role, Update},
    grants::Grants,
    id::{Cluster, GroupKind, InstanceId, Lineage},
    inherit::Inherit,
    instance::InstanceKey,
    kind::{Kind, KindVersion},
    object::Object,
    ownership::Owner,
    plan::ChildSpec,
    policy::Policy,
    rollout::Rolling,
    schema::Schema,
    selector::Selector,
};

/// All that an [`Owner`] borrows, and the terms of the plugin.
pub struct World {
    pub cluster: Cluster,
    pub kind: Kind,
    pub object: Object,
    pub lineage: Lineage,
    pub instance: InstanceId,
    pub instance_key: InstanceKey,
    pub kinds: Vec<ChildSpec>,
    pub grants: Grants,
    /// What is taken over from who had the owner before.
    pub inherit: Inherit,
    /// The served ones; none: all.
    pub namespaces: Vec<String>,
    /// What each child must match.
    pub selector: Option<Selector>,
    description: Description,
}

pub fn kind(api_version: &str, kind: &str, namespaced: bool, status: bool) -> Kind {
    let version = api_version.rsplit('/').next().unwrap().to_owned();
    Kind {
        id: GroupKind::new(api_version, kind),
        plural: format!("{}s", kind.to_lowercase()),
        namespaced,
        versions: vec![KindVersion { name: version, status, verbs: vec![] }],
        storage: None,
    }
}

fn spec(api_version: &str, name: &str, namespaced: bool, update: Update) -> ChildSpec {
    let kind = kind(api_version, name, namespaced, name == "Deployment");
    ChildSpec {
        version: kind.preferred().into(),
        kind: Arc::new(kind),
        update,
        rolling: Rolling::default(),
        adopt: false,
        schema: Arc::new(Schema::unknown()),
    }
}

impl World {
    /// A world whose owner is the given object.
    fn of(kind: Kind, object: Value) -> Self {
        let api_version = kind.api_version(kind.preferred());
        let declared = [
            ("v1", "ConfigMap", true, Update::InPlace),
            ("apps/v1", "Deployment", true, Update::InPlace),
            ("batch/v1", "Job", true, Update::Recreate),
            ("v1", "Note", true, Update::OnDelete),
            ("v1", "Secret", true, Update::InPlace),
            ("demo.dev/v1", "Zone", false, Update::InPlace),
        ];
        let children = declared.map(|(api_version, kind, ..)| json!({"apiVersion": api_version, "kind": kind}));
        let description = json!({"role": "composite", "children": children,
            "objects": [{"apiVersion": api_version, "kind": &*kind.id.kind}]});
        let description = Description::parse(&description.to_string()).unwrap();
        Self {
            cluster: Cluster::local(),
            object: Object::parse(&object.to_string(), &api_version, &kind.id.kind).unwrap(),
            kind,
            lineage: Lineage::new("site").unwrap(),
            instance: InstanceId::default_instance(),
            instance_key: InstanceKey::default(),
            kinds: declared
                .map(|(api_version, kind, namespaced, update)| spec(api_version, kind, namespaced, update))
                .into(),
            grants: Grants::new(&description, &Policy::default()),
            inherit: Inherit::default(),
            namespaces: vec![],
            selector: None,
            description,
        }
    }

    /// The same under another policy.
    pub fn under(self, policy: &str) -> Self {
        Self { grants: Grants::new(&self.description, &Policy::parse(policy).unwrap()), ..self }
    }

    /// The Site `n/a`, uid `u1`.
    pub fn site() -> Self {
        Self::site_with(json!({}))
    }

    /// The Site `n/a` with more metadata.
    pub fn site_with(more: Value) -> Self {
        let mut metadata = json!({"name": "a", "namespace": "n", "uid": "u1", "resourceVersion": "1", "generation": 3});
        more.as_object().unwrap().iter().for_each(|(name, value)| metadata[name] = value.clone());
        Self::of(kind("demo.dev/v1", "Site", true, true), json!({ "metadata": metadata }))
    }

    /// The cluster-scoped Tenant `a`.
    pub fn tenant() -> Self {
        let metadata = json!({"name": "a", "uid": "u1", "resourceVersion": "1"});
        Self::of(kind("demo.dev/v1", "Tenant", false, true), json!({ "metadata": metadata }))
    }

    pub fn owner(&self) -> Owner<'_> {
        Owner {
            cluster: &self.cluster,
            kind: &self.kind,
            meta: &self.object.meta,
            lineage: &self.lineage,
            instance: &self.instance,
            instance_key: &self.instance_key,
        }
    }

    /// Checks an answer of these children that says nothing else.
    pub fn check(&self, children: &[Value]) -> Result<Answer, AnswerError> {
        let texts = children.iter().map(Value::to_string).collect::<Vec<_>>();
        self.check_given(given(&texts))
    }

    pub fn check_given(&self, given: Given<'_, String>) -> Result<Answer, AnswerError> {
        self.check_as(Role::Composite, given)
    }

    pub fn check_as(&self, role: Role, given: Given<'_, String>) -> Result<Answer, AnswerError> {
        let (kinds, grants, namespaces) = (&self.kinds, &self.grants, &self.namespaces);
        answer::check(
            given,
            &Terms {
                role,
                owner: &self.owner(),
                kinds,
                grants,
                namespaces,
                selector: self.selector.as_ref(),
                children_max: 5,
            },
        )
    }
}

/// An answer of these children that says nothing else.
pub fn given(children: &[String]) -> Given<'_, String> {
    Given {
        children,
        status: None,
        labels: vec![],
        annotations: vec![],
        events: vec![],
        requeue_after_ms: None,
        finalized: false,
        extra: None,
    }
}

pub fn config_map(name: &str, data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})
}
