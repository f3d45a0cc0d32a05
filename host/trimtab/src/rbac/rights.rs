//! Which verbs a host uses on which resources for the plugins it serves. A
//! decision about values: nothing here asks a server or prints.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::bail;
use trimtab_cluster::lease;
use trimtab_core::{
    account::Account,
    description::Description,
    grants::{Grants, SecretName, Verb},
    id::{GroupKind, InstanceId, Lineage},
    rollout,
};

/// What keeps the cache of a kind: a list, and what follows it.
const CACHED: [&str; 2] = ["list", "watch"];
/// A write that meets a conflict is followed by a look past the cache.
const LOOKED_AT: [&str; 1] = ["get"];
/// What is written to a child: applies, of which the first makes it, and its
/// deletion.
const WRITTEN: [(Verb, &[&str]); 3] =
    [(Verb::Create, &["create", "patch"]), (Verb::Update, &["patch"]), (Verb::Delete, &["delete"])];

/// One plugin, as far as rights go.
pub struct Plugin {
    pub instance: InstanceId,
    pub lineage: Lineage,
    pub description: Description,
    pub grants: Grants,
    /// What holds the rest of its config.
    pub config: Option<Named>,
    /// As whom its writes are made, if not as the host.
    pub account: Option<Account>,
    /// Of every kind that the description names.
    pub resources: Vec<Resource>,
}

/// One object by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    pub namespace: String,
    /// The resource, of the core group.
    pub plural: &'static str,
    pub name: String,
}

impl Plugin {
    fn resource(&self, kind: &GroupKind) -> Option<&Resource> {
        self.resources.iter().find(|resource| resource.kind == *kind)
    }

    fn is_namespaced(&self, kind: &GroupKind) -> bool {
        self.resource(kind).is_some_and(|resource| resource.namespaced)
    }
}

/// A kind as the API server's paths, and so its rules, name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    pub kind: GroupKind,
    pub plural: String,
    pub namespaced: bool,
    /// Nothing that was given defines it.
    pub guessed: bool,
}

/// Group and resource, with the subresource: `apps`, `deployments/status`.
pub type Target = (String, String);

/// The verbs on each resource.
pub type Verbs = BTreeMap<Target, BTreeSet<&'static str>>;

/// What one account may do, by where it may do it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Allowed {
    /// In the whole cluster.
    pub cluster: Verbs,
    /// In single namespaces.
    pub namespaces: BTreeMap<String, Verbs>,
}

/// What a host needs.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Rights {
    /// What it does itself.
    pub host: Allowed,
    /// What is written as plugins' own accounts, which it impersonates.
    pub accounts: BTreeMap<Account, Allowed>,
    /// Single objects that are watched, by namespace and resource.
    pub by_name: BTreeMap<String, BTreeMap<&'static str, BTreeSet<String>>>,
    /// Kinds whose plurals were guessed.
    pub guessed: BTreeSet<String>,
    instances: BTreeSet<InstanceId>,
}

/// Where a right is needed.
enum Scope<'a> {
    Cluster,
    Namespaces(&'a [String]),
    One(&'a str),
}

impl Rights {
    /// The rights of all plugins together, in these namespaces alone, or in the
    /// whole cluster where none is named.
    pub fn of(plugins: &[Plugin], namespaces: &[String]) -> anyhow::Result<Self> {
        let mut rights = Self::default();
        for plugin in plugins {
            rights.instances.insert(plugin.instance.clone());
            rights.add_plugin(plugin, namespaces)?;
        }
        let events = ("events.k8s.io".to_owned(), "events".to_owned());
        rights.host.add(&scope(namespaces), &events, ["create", "patch"]);
        Ok(rights)
    }

    /// The names of the Leases that are held, one for each instance.
    pub fn leases(&self, installation: &str) -> Vec<String> {
        self.instances.iter().map(|instance| lease::name(installation, instance)).collect()
    }

    fn add_plugin(&mut self, plugin: &Plugin, namespaces: &[String]) -> anyhow::Result<()> {
        let Description { objects, children, reads, .. } = &plugin.description;
        if let Some(Named { namespace, plural, name }) = &plugin.config {
            let configs = self.by_name.entry(namespace.clone()).or_default();
            configs.entry(plural).or_default().insert(name.clone());
        }
        for SecretName { namespace, name } in plugin.grants.secrets() {
            if !namespaces.is_empty() && !namespaces.contains(namespace) {
                bail!("{} may read the Secret {namespace}/{name}, which is not in one of --namespaces", plugin.lineage);
            }
            let secrets = self.by_name.entry(namespace.clone()).or_default();
            secrets.entry("secrets").or_default().insert(name.clone());
        }
        let served = scope(namespaces);
        for object in objects {
            let (target, status) = self.named(plugin, &object.kind, namespaces)?;
            self.host.add(&served, &target, CACHED);
            self.host.add(&served, &target, LOOKED_AT);
            // The mark of the version that serves, the finalizer, and a decorator's
            // labels: a plugin that finalizes no more still has to take away what an
            // earlier one put there.
            let writer = self.writer(plugin);
            writer.add(&served, &target, ["patch"]);
            writer.add(&served, &status, ["patch"]);
        }
        // Where children roll, the host writes their revisions like a child.
        let revisions = rollout::kind_of_revisions();
        let written = children.iter().map(|child| &child.kind).chain([&revisions]);
        for kind in written.filter(|kind| plugin.grants.may_write(kind).is_ok()) {
            let (target, _) = self.named(plugin, kind, namespaces)?;
            self.host.add(&served, &target, CACHED);
            self.host.add(&served, &target, LOOKED_AT);
            for (verb, rights) in WRITTEN {
                if plugin.grants.may(verb, kind).is_ok() {
                    self.writer(plugin).add(&served, &target, rights.iter().copied());
                }
            }
        }
        let granted = |kind, version: &str, only: Option<&str>| plugin.grants.may_read(kind, version, only).is_ok();
        for read in reads.iter().filter(|read| granted(&read.kind, &read.version, read.namespace.as_deref())) {
            let (target, _) = self.named(plugin, &read.kind, namespaces)?;
            // A role of one namespace gives no right to what lies in none.
            match read.namespace.as_deref().filter(|_| plugin.is_namespaced(&read.kind)) {
                Some(only) if !namespaces.is_empty() && !namespaces.iter().any(|namespace| namespace == only) => {
                    bail!("{} reads in the namespace {only}, which is not among --namespaces", plugin.lineage);
                }
                Some(only) => self.host.add(&Scope::One(only), &target, CACHED),
                None => self.host.add(&served, &target, CACHED),
            }
        }
        for kind in plugin.grants.granted_undeclared() {
            let (target, _) = self.named(plugin, kind, namespaces)?;
            self.host.add(&served, &target, CACHED);
        }
        Ok(())
    }

    /// The targets of a kind and of its status.
    fn named(&mut self, plugin: &Plugin, kind: &GroupKind, namespaces: &[String]) -> anyhow::Result<(Target, Target)> {
        let Some(resource) = plugin.resource(kind) else { bail!("{}: {kind} was not looked up", plugin.lineage) };
        if !resource.namespaced && !namespaces.is_empty() {
            bail!("{}: {kind} lies outside namespaces: it cannot be served with --namespaces", plugin.lineage);
        }
        if resource.guessed {
            self.guessed.insert(kind.to_string());
        }
        let target = |resource: String| (kind.group.to_string(), resource);
        Ok((target(resource.plural.clone()), target(format!("{}/status", resource.plural))))
    }

    /// Who writes for a plugin.
    fn writer(&mut self, plugin: &Plugin) -> &mut Allowed {
        match &plugin.account {
            Some(account) => self.accounts.entry(account.clone()).or_default(),
            None => &mut self.host,
        }
    }
}

impl Allowed {
    fn add(&mut self, scope: &Scope<'_>, target: &Target, verbs: impl IntoIterator<Item = &'static str> + Clone) {
        let add = |to: &mut Verbs| to.entry(target.clone()).or_default().extend(verbs.clone());
        match scope {
            Scope::Cluster => add(&mut self.cluster),
            Scope::Namespaces(names) => {
                names.iter().for_each(|name| add(self.namespaces.entry(name.clone()).or_default()));
            }
            Scope::One(name) => add(self.namespaces.entry((*name).to_owned()).or_default()),
        }
    }
}

fn scope(namespaces: &[String]) -> Scope<'_> {
    if namespaces.is_empty() { Scope::Cluster } else { Scope::Namespaces(namespaces) }
}

/// Rules with the same group and verbs, merged: group, resources, verbs.
pub fn rules(verbs: &Verbs) -> Vec<(&str, Vec<&str>, Vec<&str>)> {
    let mut merged = BTreeMap::<(&str, Vec<&str>), Vec<&str>>::new();
    for ((group, resource), verbs) in verbs {
        let verbs = ORDER.into_iter().filter(|verb| verbs.contains(verb)).collect();
        merged.entry((group, verbs)).or_default().push(resource);
    }
    merged.into_iter().map(|((group, verbs), resources)| (group, resources, verbs)).collect()
}

/// The order in which verbs are written.
const ORDER: [&str; 6] = ["get", "list", "watch", "create", "patch", "delete"];

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use trimtab_core::policy::Policy;

    use super::*;

    fn plugin(instance: &str, description: Value, policy: &str) -> Plugin {
        let description = Description::parse(&description.to_string()).unwrap();
        let grants = Grants::new(&description, &Policy::parse(policy).unwrap());
        let named = |kind: &GroupKind, plural: &str, namespaced| Resource {
            kind: kind.clone(),
            plural: plural.into(),
            namespaced,
            guessed: false,
        };
        let all = [
            ("example.dev/v1", "Site", "sites", true),
            ("example.dev/v1", "Zone", "zones", false),
            ("v1", "ConfigMap", "configmaps", true),
            ("v1", "Secret", "secrets", true),
            ("apps/v1", "ControllerRevision", "controllerrevisions", true),
        ];
        let resources =
            all.map(|(version, kind, plural, inside)| named(&GroupKind::new(version, kind), plural, inside));
        Plugin {
            instance: InstanceId::new(instance).unwrap(),
            lineage: Lineage::new("site").unwrap(),
            description,
            grants,
            config: None,
            account: None,
            resources: resources.into(),
        }
    }

    fn site(version: &str) -> Value {
        json!({ "role": "composite", "objects": [{ "apiVersion": format!("example.dev/{version}"), "kind": "Site" }] })
    }

    fn verbs(rights: &Rights, group: &str, resource: &str) -> Vec<&'static str> {
        let found = rights.host.cluster.get(&(group.to_owned(), resource.to_owned()));
        let found = found.cloned().unwrap_or_default();
        ORDER.into_iter().filter(|verb| found.contains(verb)).collect()
    }

    #[test]
    fn a_finalizer_of_an_earlier_plugin_can_always_be_taken_away() {
        let rights = Rights::of(&[plugin("", site("v1"), "")], &[]).unwrap();
        assert_eq!(verbs(&rights, "example.dev", "sites"), ["get", "list", "watch", "patch"]);
        assert_eq!(verbs(&rights, "example.dev", "sites/status"), ["patch"]);
    }

    #[test]
    fn what_the_policy_denies_gives_no_right() {
        let mut description = site("v1");
        description["children"] = json!([{ "apiVersion": "v1", "kind": "Secret" }]);
        description["reads"] = json!([{ "apiVersion": "v1", "kind": "Secret" }]);
        let denied = Rights::of(&[plugin("", description.clone(), "")], &[]).unwrap();
        assert!(verbs(&denied, "", "secrets").is_empty());
        let granted = "[grants]\nwrites = [\"Secret\"]";
        let granted = Rights::of(&[plugin("", description, granted)], &[]).unwrap();
        assert_eq!(verbs(&granted, "", "secrets"), ["get", "list", "watch", "create", "patch", "delete"]);
    }

    #[test]
    fn a_kind_that_only_the_policy_names_may_be_read_and_not_written() {
        let granted = |kind| format!("[grants]\nreads = [\"{kind}\"]");
        let rights = Rights::of(&[plugin("", site("v1"), &granted("ConfigMap"))], &[]).unwrap();
        assert_eq!(verbs(&rights, "", "configmaps"), CACHED);
    }

    #[test]
    fn where_children_roll_their_revisions_are_written() {
        let mut description = site("v1");
        description["children"] = json!([{ "apiVersion": "v1", "kind": "ConfigMap" }]);
        let rights = |policy| Rights::of(&[plugin("", description.clone(), policy)], &[]).unwrap();
        assert!(verbs(&rights(""), "apps", "controllerrevisions").is_empty());
        let rolling = rights("[update]\nConfigMap = \"rolling-in-place\"");
        let all = ["get", "list", "watch", "create", "patch", "delete"];
        assert_eq!(verbs(&rolling, "apps", "controllerrevisions"), all);
    }

    #[test]
    fn a_look_up_in_one_namespace_gives_rights_there_alone() {
        let mut description = site("v1");
        description["reads"] = json!([{ "apiVersion": "v1", "kind": "ConfigMap", "namespace": "shared" }]);
        let plugins = [plugin("", description, "")];
        let rights = Rights::of(&plugins, &[]).unwrap();
        assert!(verbs(&rights, "", "configmaps").is_empty());
        let target = (String::new(), "configmaps".to_owned());
        assert_eq!(rights.host.namespaces["shared"][&target], CACHED.into());
        let error = Rights::of(&plugins, &["a".into()]).unwrap_err();
        assert!(error.to_string().contains("shared"), "{error}");
    }

    #[test]
    fn a_look_up_outside_namespaces_gives_rights_in_the_cluster() {
        let mut description = site("v1");
        description["reads"] = json!([{ "apiVersion": "example.dev/v1", "kind": "Zone", "namespace": "shared" }]);
        let rights = Rights::of(&[plugin("", description, "")], &[]).unwrap();
        assert_eq!(verbs(&rights, "example.dev", "zones"), CACHED);
        assert!(rights.host.namespaces.is_empty());
    }

    #[test]
    fn in_namespaces_nothing_is_asked_of_the_cluster() {
        let namespaces = ["a".to_owned(), "b".to_owned()];
        let rights = Rights::of(&[plugin("", site("v1"), "")], &namespaces).unwrap();
        assert!(rights.host.cluster.is_empty());
        assert_eq!(rights.host.namespaces.keys().collect::<Vec<_>>(), ["a", "b"]);
        let outside = json!({ "role": "composite", "objects": [{ "apiVersion": "example.dev/v1", "kind": "Zone" }] });
        let error = Rights::of(&[plugin("", outside, "")], &namespaces).unwrap_err();
        assert!(error.to_string().contains("outside namespaces"), "{error}");
    }

    #[test]
    fn what_is_written_as_an_account_is_that_accounts_right_and_not_the_hosts() {
        let mut description = site("v1");
        description["children"] = json!([{ "apiVersion": "v1", "kind": "ConfigMap" }]);
        let account = Account::parse("team/writer");
        let rights = Rights::of(&[Plugin { account: account.clone(), ..plugin("", description, "") }], &[]).unwrap();
        assert_eq!(verbs(&rights, "", "configmaps"), ["get", "list", "watch"]);
        assert_eq!(verbs(&rights, "example.dev", "sites"), ["get", "list", "watch"]);
        let target = |group: &str, resource: &str| (group.to_owned(), resource.to_owned());
        let expected = [
            (target("", "configmaps"), ["create", "patch", "delete"].into()),
            (target("example.dev", "sites"), ["patch"].into()),
            (target("example.dev", "sites/status"), ["patch"].into()),
        ];
        assert_eq!(rights.accounts[&account.unwrap()].cluster, expected.into());
    }

    #[test]
    fn of_what_is_done_to_children_only_what_the_policy_names_is_a_right() {
        let mut description = site("v1");
        description["children"] = json!([{ "apiVersion": "v1", "kind": "ConfigMap" }]);
        let of = |granted: &str| {
            let policy = format!("[grants.verbs]\nConfigMap = {granted}");
            let rights = Rights::of(&[plugin("", description.clone(), &policy)], &[]).unwrap();
            verbs(&rights, "", "configmaps")
        };
        assert_eq!(of(r#"["create", "update"]"#), ["get", "list", "watch", "create", "patch"]);
        assert_eq!(of(r#"["update"]"#), ["get", "list", "watch", "patch"]);
        assert_eq!(of("[]"), ["get", "list", "watch"]);
    }

    #[test]
    fn of_configs_only_the_named_ones_may_be_read() {
        let named = |plural, name: &str| Named { namespace: "a".into(), plural, name: name.into() };
        let with = |config| Plugin { config: Some(config), ..plugin("", site("v1"), "") };
        let plugins =
            [with(named("configmaps", "one")), with(named("configmaps", "two")), with(named("secrets", "one"))];
        let rights = Rights::of(&plugins, &[]).unwrap();
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<BTreeSet<_>>();
        let configs = [("configmaps", names(&["one", "two"])), ("secrets", names(&["one"]))].into();
        assert_eq!(rights.by_name, [("a".to_owned(), configs)].into());
        assert!(verbs(&rights, "", "secrets").is_empty());
    }

    #[test]
    fn there_is_a_lease_for_each_instance() {
        let plugins = [plugin("", site("v1"), ""), plugin("canary", site("v1"), "")];
        let leases = Rights::of(&plugins, &[]).unwrap().leases("demo");
        assert_eq!(leases.len(), 2);
        assert_eq!(leases[0], "trimtab-demo");
        assert!(leases[1].starts_with("trimtab-demo-"));
    }
}
