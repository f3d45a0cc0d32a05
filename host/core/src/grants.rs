//! What a plugin may read and write: what its description asks for, without
//! the kinds that would give it power over the cluster, unless its policy
//! names them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use crate::{
    description::{Description, ReadKind},
    id::{GroupKind, Place},
    policy::Policy,
    rollout,
    selector::is_subdomain,
};

const SECRET: &str = "Secret";
/// The one version that it has.
pub const SECRET_VERSION: &str = "v1";

/// In a policy's `elsewhere`: all namespaces.
pub(crate) const EVERYWHERE: &str = "*";

/// The grants of one generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grants {
    objects: Vec<GroupKind>,
    reads: Vec<ReadKind>,
    granted_reads: BTreeSet<GroupKind>,
    writes: BTreeSet<GroupKind>,
    granted_writes: BTreeSet<GroupKind>,
    elsewhere: BTreeSet<String>,
    verbs: BTreeMap<GroupKind, BTreeSet<Verb>>,
    secrets: BTreeSet<SecretName>,
}

/// One Secret.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SecretName {
    /// Where it lies.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl SecretName {
    /// Its kind.
    pub fn kind() -> GroupKind {
        GroupKind::new(SECRET_VERSION, SECRET)
    }

    /// Reads `namespace/name`.
    pub fn parse(text: &str) -> Option<Self> {
        let (namespace, name) = text.split_once('/')?;
        let fits = is_subdomain(namespace) && !namespace.contains('.') && is_subdomain(name);
        fits.then(|| Self { namespace: namespace.into(), name: name.into() })
    }
}

impl fmt::Display for SecretName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// What may be done to a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verb {
    /// It is made.
    Create,
    /// It is changed.
    Update,
    /// It is deleted. What goes with its owner goes by Kubernetes' own hand.
    Delete,
}

impl Verb {
    /// Each of them by its name.
    const NAMES: [(&str, Self); 3] = [("create", Self::Create), ("update", Self::Update), ("delete", Self::Delete)];

    /// The one of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::NAMES.into_iter().find_map(|(known, verb)| (known == name).then_some(verb))
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::NAMES.into_iter().find_map(|(name, verb)| (verb == *self).then_some(name));
        f.write_str(name.expect("each has a name"))
    }
}

/// Why a plugin may not do what it wants.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The description does not ask for it.
    #[error("{what} is not among the {list} of the description: declare it there")]
    NotDeclared {
        /// The kind, with version and namespace where they matter.
        what: String,
        /// `children` or `reads`.
        list: &'static str,
    },
    /// The description asks, but nobody has granted it.
    #[error("kind {kind} is not granted: add {key} = [\"{kind}\"] under [grants] in the plugin's policy")]
    NotGranted {
        /// The kind.
        kind: GroupKind,
        /// `reads` or `writes`.
        key: &'static str,
    },
    /// Of Secrets some may be read, and this is none of them.
    #[error("Secret {0} is not granted: add \"{0}\" to secrets under [grants] in the plugin's policy")]
    NotGrantedSecret(SecretName),
    /// The policy says what may be done to children of the kind, and this is not in it.
    #[error(
        "to {verb} a {kind} is not granted: name \"{verb}\" beside the kind under [grants.verbs] in the plugin's policy"
    )]
    NotGrantedVerb {
        /// The kind.
        kind: GroupKind,
        /// What was to be done.
        verb: Verb,
    },
    /// A child would lie in another namespace than its object.
    #[error("namespace {0} is not granted: add elsewhere = [\"{0}\"] under [grants] in the plugin's policy")]
    NotGrantedThere(String),
}

impl Grants {
    /// What the description asks for and the policy grants.
    pub fn new(description: &Description, policy: &Policy) -> Self {
        let rolls = description.children.iter().any(|child| policy.update_of(child).is_rolling());
        let revisions = rolls.then(rollout::kind_of_revisions);
        Self {
            objects: description.objects.iter().map(|object| object.kind.clone()).collect(),
            reads: description.reads.clone(),
            granted_reads: policy.reads.clone(),
            writes: description.children.iter().map(|child| child.kind.clone()).chain(revisions).collect(),
            granted_writes: policy.writes.clone(),
            elsewhere: policy.elsewhere.clone(),
            verbs: policy.verbs.clone(),
            secrets: policy.secrets.clone(),
        }
    }

    /// Whether a look-up may name one object: as [`Grants::may_read`] says, or as a
    /// Secret that is granted by its name.
    pub fn may_get(&self, kind: &GroupKind, version: &str, namespace: Option<&str>, name: &str) -> Result<(), Denied> {
        let granted = self.may_read(kind, version, namespace);
        if self.secrets.is_empty() || !is_secret(kind) || version != SECRET_VERSION || granted.is_ok() {
            return granted;
        }
        let one = SecretName { namespace: namespace.unwrap_or_default().into(), name: name.into() };
        if self.secrets.contains(&one) { Ok(()) } else { Err(Denied::NotGrantedSecret(one)) }
    }

    /// The Secrets that are granted by name.
    pub fn secrets(&self) -> impl Iterator<Item = &SecretName> {
        self.secrets.iter()
    }

    /// Whether a look-up may name this kind in this namespace (none for what
    /// is cluster-scoped): a kind that the description declares as it is declared
    /// there, another one wherever the policy grants it.
    pub fn may_read(&self, kind: &GroupKind, version: &str, namespace: Option<&str>) -> Result<(), Denied> {
        let declared = |read: &ReadKind| {
            read.kind == *kind
                && read.version == version
                && read.namespace.as_deref().is_none_or(|only| namespace == Some(only))
        };
        if self.is_granted_undeclared(kind) {
            return Ok(());
        }
        if !self.reads.iter().any(declared) {
            let inside = namespace.map(|namespace| format!(" in namespace {namespace}")).unwrap_or_default();
            return Err(Denied::NotDeclared { what: format!("{kind} at version {version}{inside}"), list: "reads" });
        }
        if is_secret(kind) && !self.granted_reads.contains(kind) {
            return Err(Denied::NotGranted { kind: kind.clone(), key: "reads" });
        }
        Ok(())
    }

    /// Whether the policy grants to read a kind of which the description does not
    /// speak: it is watched from its first look-up on.
    pub fn is_granted_undeclared(&self, kind: &GroupKind) -> bool {
        self.granted_reads.contains(kind) && !self.reads.iter().any(|read| read.kind == *kind)
    }

    /// The kinds that may be read though the description does not speak of them.
    pub fn granted_undeclared(&self) -> impl Iterator<Item = &GroupKind> {
        self.granted_reads.iter().filter(|kind| self.is_granted_undeclared(kind))
    }

    /// Whether an answer may contain a child of this kind.
    pub fn may_write(&self, kind: &GroupKind) -> Result<(), Denied> {
        if !self.writes.contains(kind) {
            return Err(Denied::NotDeclared { what: format!("kind {kind}"), list: "children" });
        }
        if is_power(kind) && !self.granted_writes.contains(kind) {
            return Err(Denied::NotGranted { kind: kind.clone(), key: "writes" });
        }
        Ok(())
    }

    /// Whether that may be done to a child of a kind that may be written.
    pub fn may(&self, verb: Verb, kind: &GroupKind) -> Result<(), Denied> {
        match self.verbs.get(kind) {
            Some(verbs) if !verbs.contains(&verb) => Err(Denied::NotGrantedVerb { kind: kind.clone(), verb }),
            _ => Ok(()),
        }
    }

    /// Whether a child may lie at `child` if its object lies at `object`: another
    /// namespace has to be granted, and so has each kind that lies in none.
    pub fn may_place(&self, object: &Place, child: &Place) -> Result<(), Denied> {
        if object.may_be_named_by(child) {
            return Ok(());
        }
        if child.namespace.is_empty() {
            let granted = self.granted_writes.contains(&child.kind);
            let denied = || Denied::NotGranted { kind: child.kind.clone(), key: "writes" };
            return if granted { Ok(()) } else { Err(denied()) };
        }
        let granted = [EVERYWHERE, &child.namespace].iter().any(|namespace| self.elsewhere.contains(*namespace));
        if granted { Ok(()) } else { Err(Denied::NotGrantedThere(child.namespace.to_string())) }
    }

    /// Whether children of this kind may be taken over: the plugin must declare
    /// them, and is then given what was in them, and may have them deleted.
    pub fn may_adopt(&self, kind: &GroupKind) -> Result<(), Denied> {
        self.may_write(kind)?;
        if is_secret(kind) && !self.granted_reads.contains(kind) {
            return Err(Denied::NotGranted { kind: kind.clone(), key: "reads" });
        }
        Ok(())
    }

    /// Whether the plugin may be given the objects that it reconciles, and have
    /// its host write their status: a kind that is only read on a grant is not
    /// got by reconciling it.
    pub fn may_reconcile(&self) -> Result<(), Denied> {
        match self.objects.iter().find(|kind| is_secret(kind) && !self.granted_reads.contains(kind)) {
            Some(secret) => Err(Denied::NotGranted { kind: secret.clone(), key: "reads" }),
            None => Ok(()),
        }
    }
}

/// The kind whose content is secret.
fn is_secret(kind: &GroupKind) -> bool {
    kind.group.is_empty() && &*kind.kind == SECRET
}

/// The kinds through which whoever writes them gets more than he was given:
/// credentials and those who hold them, RBAC, and what the API server itself
/// runs through (webhooks and admission policies, CRDs, aggregated APIs).
fn is_power(kind: &GroupKind) -> bool {
    const GROUPS: [&str; 4] =
        ["rbac.authorization.k8s.io", "admissionregistration.k8s.io", "apiextensions.k8s.io", "apiregistration.k8s.io"];
    is_secret(kind) || (kind.group.is_empty() && &*kind.kind == "ServiceAccount") || GROUPS.contains(&&*kind.group)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn description() -> Description {
        Description::parse(
            r#"{"role":"composite","objects":[{"apiVersion":"example.com/v1","kind":"Site"}],
            "children":[{"apiVersion":"apps/v1","kind":"Deployment"},{"apiVersion":"v1","kind":"Secret"},
                {"apiVersion":"v1","kind":"ServiceAccount"},{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"Role"},
                {"apiVersion":"admissionregistration.k8s.io/v1","kind":"ValidatingWebhookConfiguration"},
                {"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition"}],
            "reads":[{"apiVersion":"v1","kind":"Secret"},{"apiVersion":"v1","kind":"ConfigMap","namespace":"shared"}]}"#,
        )
        .unwrap()
    }

    fn grants(policy: &str) -> Grants {
        Grants::new(&description(), &Policy::parse(policy).unwrap())
    }

    #[test]
    fn without_a_policy_declared_children_are_writable_but_not_those_that_give_power() {
        let grants = grants("");
        assert_eq!(grants.may_write(&GroupKind::new("apps/v1", "Deployment")), Ok(()));
        let refused = description().children.into_iter().filter(|child| grants.may_write(&child.kind).is_err());
        let refused = refused.map(|child| child.kind.kind.to_string()).collect::<Vec<_>>();
        let power = ["Secret", "ServiceAccount", "Role", "ValidatingWebhookConfiguration", "CustomResourceDefinition"];
        assert_eq!(refused, power);
    }

    #[test]
    fn children_in_other_namespaces_or_in_none_are_granted_one_by_one() {
        let place = |kind: &str, namespace: &str| Place {
            kind: GroupKind::new("v1", kind),
            namespace: namespace.into(),
            name: "a".into(),
        };
        let may = |policy: &str, child: &Place| grants(policy).may_place(&place("Site", "n"), child);
        let (own, other, none) = (place("ConfigMap", "n"), place("ConfigMap", "m"), place("Namespace", ""));
        assert_eq!(may("", &own), Ok(()));
        assert_eq!(
            may("", &other).unwrap_err().to_string(),
            "namespace m is not granted: add elsewhere = [\"m\"] under [grants] in the plugin's policy"
        );
        assert_eq!(may("[grants]\nelsewhere = [\"m\"]", &other), Ok(()));
        assert_eq!(may("[grants]\nelsewhere = [\"*\"]", &other), Ok(()));
        assert!(may("[grants]\nelsewhere = [\"*\"]", &none).is_err(), "what lies in no namespace is granted by kind");
        assert_eq!(may("[grants]\nwrites = [\"Namespace\"]", &none), Ok(()));
        assert_eq!(grants("").may_place(&place("Tenant", ""), &other), Ok(()), "Kubernetes allows a reference to it");
    }

    #[test]
    fn a_kind_that_is_granted_but_not_declared_stays_denied() {
        let error =
            grants("[grants]\nwrites = [\"ConfigMap\"]").may_write(&GroupKind::new("v1", "ConfigMap")).unwrap_err();
        assert_eq!(error.to_string(), "kind ConfigMap is not among the children of the description: declare it there");
    }

    #[test]
    fn the_policy_grants_kind_by_kind_and_the_message_says_how() {
        let role = GroupKind::new("rbac.authorization.k8s.io/v1", "Role");
        let error = grants("[grants]\nwrites = [\"Secret\"]").may_write(&role).unwrap_err();
        assert_eq!(
            error.to_string(),
            "kind Role.rbac.authorization.k8s.io is not granted: \
             add writes = [\"Role.rbac.authorization.k8s.io\"] under [grants] in the plugin's policy"
        );
        assert_eq!(grants("[grants]\nwrites = [\"Role.rbac.authorization.k8s.io\"]").may_write(&role), Ok(()));
    }

    #[test]
    fn declared_reads_are_granted_except_secrets() {
        let config_map = GroupKind::new("v1", "ConfigMap");
        let secret = GroupKind::new("v1", "Secret");
        assert_eq!(grants("").may_read(&config_map, "v1", Some("shared")), Ok(()));
        assert!(matches!(grants("").may_read(&secret, "v1", Some("a")), Err(Denied::NotGranted { key: "reads", .. })));
        assert_eq!(grants("[grants]\nreads = [\"Secret\"]").may_read(&secret, "v1", Some("a")), Ok(()));
        let written_only = grants("[grants]\nwrites = [\"Secret\"]");
        assert!(written_only.may_read(&secret, "v1", Some("a")).is_err(), "a grant to write is none to read");
    }

    #[test]
    fn a_secret_is_granted_by_its_name_and_no_other_and_none_is_selected() {
        let secret = SecretName::kind();
        let grants = grants("[grants]\nsecrets = [\"a/one\"]");
        let may = |namespace: &str, name: &str| grants.may_get(&secret, "v1", Some(namespace), name);
        assert_eq!(may("a", "one"), Ok(()));
        assert!(may("b", "one").is_err());
        let said = may("a", "two").unwrap_err().to_string();
        assert_eq!(said, "Secret a/two is not granted: add \"a/two\" to secrets under [grants] in the plugin's policy");
        assert!(grants.may_read(&secret, "v1", Some("a")).is_err());
        assert!(grants.may_reconcile().is_ok() && grants.may_adopt(&secret).is_err());
    }

    #[test]
    fn a_read_is_held_to_its_declared_version_and_namespace() {
        let grants = grants("");
        let config_map = GroupKind::new("v1", "ConfigMap");
        for (version, namespace) in [("v2", Some("shared")), ("v1", Some("other")), ("v1", None)] {
            let error = grants.may_read(&config_map, version, namespace).unwrap_err();
            assert!(matches!(error, Denied::NotDeclared { list: "reads", .. }), "{error}");
        }
        let pod = grants.may_read(&GroupKind::new("v1", "Pod"), "v1", Some("a")).unwrap_err();
        assert_eq!(
            pod.to_string(),
            "Pod at version v1 in namespace a is not among the reads of the description: declare it there"
        );
    }

    #[test]
    fn a_kind_that_is_granted_and_not_declared_may_be_read_and_a_declared_one_only_as_declared() {
        let grants = grants("[grants]\nreads = [\"Pod\", \"ConfigMap\"]");
        let [pod, config_map, secret] = ["Pod", "ConfigMap", "Secret"].map(|kind| GroupKind::new("v1", kind));
        assert_eq!(grants.may_read(&pod, "v1", Some("a")), Ok(()));
        assert_eq!(grants.may_read(&config_map, "v1", Some("shared")), Ok(()));
        assert!(grants.may_read(&config_map, "v1", Some("other")).is_err(), "it is declared for one namespace");
        assert!(grants.may_read(&secret, "v1", Some("a")).is_err());
        assert_eq!(grants.granted_undeclared().collect::<Vec<_>>(), [&pod]);
    }

    #[test]
    fn where_the_policy_names_verbs_for_a_kind_these_and_no_others_are_granted() {
        let grants = grants("[grants.verbs]\n\"Deployment.apps\" = [\"create\", \"update\"]");
        let deployment = GroupKind::new("apps/v1", "Deployment");
        assert_eq!(grants.may(Verb::Update, &deployment), Ok(()));
        assert_eq!(
            grants.may(Verb::Delete, &deployment).unwrap_err().to_string(),
            "to delete a Deployment.apps is not granted: \
             name \"delete\" beside the kind under [grants.verbs] in the plugin's policy"
        );
        assert_eq!(grants.may(Verb::Delete, &GroupKind::new("v1", "ConfigMap")), Ok(()));
    }

    #[test]
    fn secrets_are_not_got_by_taking_them_over() {
        let may = |policy: &str, kind| grants(policy).may_adopt(&GroupKind::new("v1", kind));
        assert!(matches!(
            may("[grants]\nwrites = [\"Secret\"]", "Secret"),
            Err(Denied::NotGranted { key: "reads", .. })
        ));
        assert_eq!(may("[grants]\nwrites = [\"Secret\"]\nreads = [\"Secret\"]", "Secret"), Ok(()));
        assert!(matches!(may("", "ConfigMap"), Err(Denied::NotDeclared { list: "children", .. })));
    }

    #[test]
    fn secrets_are_not_got_by_reconciling_them() {
        let description =
            Description::parse(r#"{"role":"composite","objects":[{"apiVersion":"v1","kind":"Secret"}]}"#).unwrap();
        assert!(Grants::new(&description, &Policy::default()).may_reconcile().is_err());
        let policy = Policy::parse("[grants]\nreads = [\"Secret\"]").unwrap();
        assert_eq!(Grants::new(&description, &policy).may_reconcile(), Ok(()));
        assert_eq!(grants("").may_reconcile(), Ok(()));
    }
}
