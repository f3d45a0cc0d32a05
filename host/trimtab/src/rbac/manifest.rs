//! Rights as manifests. Names are quoted: `null`, `on` and `1e3` are DNS labels
//! that YAML would read as something else.

use std::{collections::BTreeSet, fmt};

use trimtab_core::account::Account;

use super::rights::{Allowed, Rights, rules};

/// What is printed.
pub struct Manifests<'a> {
    /// The host's own account.
    pub account: &'a Account,
    /// Where the Leases lie.
    pub lease_namespace: &'a str,
    /// Their names.
    pub leases: Vec<String>,
    /// The rest.
    pub rights: &'a Rights,
}

impl fmt::Display for Manifests<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { account, rights, .. } = self;
        for kind in &rights.guessed {
            writeln!(f, "# The resource of {kind} is guessed: give its CustomResourceDefinition with --apply.")?;
        }
        service_account(f, account)?;
        self.leases(f)?;
        self.by_name(f)?;
        allowed(f, account, &rights.host)?;
        self.impersonation(f)?;
        for (account, writes) in &rights.accounts {
            writeln!(f, "---\n# As whom a plugin's writes are made.")?;
            service_account(f, account)?;
            allowed(f, account, writes)?;
        }
        Ok(())
    }
}

impl Manifests<'_> {
    fn leases(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "---\n# One Lease for each instance-id: watched and replaced by its name, and read
# for any id, since objects may be marked for one that nobody serves. And the
# reports of the plugins and the canaries, where their kinds are defined."
        )?;
        let role = Role {
            kind: "Role",
            name: &format!("{}-leases", self.account.name),
            namespace: Some(self.lease_namespace),
        };
        role.head(f)?;
        rule(f, "coordination.k8s.io", &["leases"], &["get", "create"], &[])?;
        let names = self.leases.iter().map(String::as_str).collect::<Vec<_>>();
        rule(f, "coordination.k8s.io", &["leases"], &["watch", "update"], &names)?;
        rule(f, "trimtab.dev", &["plugins"], &["list", "create", "patch", "delete"], &[])?;
        rule(f, "trimtab.dev", &["canaries"], &["list", "watch", "patch"], &[])?;
        rule(f, "trimtab.dev", &["canaries/status"], &["patch"], &[])?;
        role.binding(f, self.account)
    }

    fn by_name(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (namespace, resources) in &self.rights.by_name {
            writeln!(f, "---\n# What plugins' configs rest on, and the Secrets that they may read, by name.")?;
            let role =
                Role { kind: "Role", name: &format!("{}-by-name", self.account.name), namespace: Some(namespace) };
            role.head(f)?;
            for (plural, names) in resources {
                let names = names.iter().map(String::as_str).collect::<Vec<_>>();
                rule(f, "", &[plural], &["list", "watch"], &names)?;
            }
            role.binding(f, self.account)?;
        }
        Ok(())
    }

    fn impersonation(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let namespaces = self.rights.accounts.keys().map(|account| &account.namespace).collect::<BTreeSet<_>>();
        for namespace in namespaces {
            writeln!(f, "---\n# Plugins' own accounts, by name: their writes are made as these.")?;
            let name = format!("{}:{}:plugins", self.account.namespace, self.account.name);
            let role = Role { kind: "Role", name: &name, namespace: Some(namespace) };
            role.head(f)?;
            let accounts = self.rights.accounts.keys().filter(|account| account.namespace == *namespace);
            let names = accounts.map(|account| account.name.as_str()).collect::<Vec<_>>();
            rule(f, "", &["serviceaccounts"], &["impersonate"], &names)?;
            role.binding(f, self.account)?;
        }
        Ok(())
    }
}

fn service_account(f: &mut fmt::Formatter<'_>, Account { namespace, name }: &Account) -> fmt::Result {
    writeln!(f, "apiVersion: v1\nkind: ServiceAccount")?;
    writeln!(f, "metadata: {{ name: {name:?}, namespace: {namespace:?} }}")
}

/// Names of cluster-wide objects tell accounts of other namespaces apart.
fn allowed(f: &mut fmt::Formatter<'_>, account: &Account, allowed: &Allowed) -> fmt::Result {
    let name = format!("{}:{}", account.namespace, account.name);
    let cluster = (!allowed.cluster.is_empty()).then_some(("ClusterRole", None, &allowed.cluster));
    let namespaces = allowed.namespaces.iter().map(|(namespace, verbs)| ("Role", Some(namespace.as_str()), verbs));
    for (kind, namespace, verbs) in cluster.into_iter().chain(namespaces) {
        writeln!(f, "---")?;
        let role = Role { kind, name: &name, namespace };
        role.head(f)?;
        for (group, resources, verbs) in rules(verbs) {
            rule(f, group, &resources, &verbs, &[])?;
        }
        role.binding(f, account)?;
    }
    Ok(())
}

/// A Role or ClusterRole, whose rules follow its head.
struct Role<'a> {
    kind: &'a str,
    name: &'a str,
    namespace: Option<&'a str>,
}

impl Role<'_> {
    fn head(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.metadata(f, self.kind)?;
        writeln!(f, "rules:")
    }

    fn metadata(&self, f: &mut fmt::Formatter<'_>, kind: &str) -> fmt::Result {
        let Self { name, namespace, .. } = self;
        let namespace = namespace.map(|namespace| format!(", namespace: {namespace:?}")).unwrap_or_default();
        writeln!(f, "apiVersion: rbac.authorization.k8s.io/v1\nkind: {kind}")?;
        writeln!(f, "metadata: {{ name: {name:?}{namespace} }}")
    }

    fn binding(&self, f: &mut fmt::Formatter<'_>, to: &Account) -> fmt::Result {
        let Self { kind, name, .. } = self;
        writeln!(f, "---")?;
        self.metadata(f, &format!("{kind}Binding"))?;
        writeln!(f, "roleRef: {{ apiGroup: rbac.authorization.k8s.io, kind: {kind}, name: {name:?} }}")?;
        writeln!(f, "subjects:")?;
        writeln!(f, "  - {{ kind: ServiceAccount, name: {:?}, namespace: {:?} }}", to.name, to.namespace)
    }
}

fn rule(f: &mut fmt::Formatter<'_>, group: &str, resources: &[&str], verbs: &[&str], names: &[&str]) -> fmt::Result {
    writeln!(f, "  - apiGroups: [{group:?}]")?;
    writeln!(f, "    resources: {resources:?}")?;
    if !names.is_empty() {
        writeln!(f, "    resourceNames: {names:?}")?;
    }
    writeln!(f, "    verbs: [{}]", verbs.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_yaml_would_read_as_something_else_are_quoted() {
        let mut rights = Rights::default();
        let target = ("example.dev".to_owned(), "no".to_owned());
        rights.host.namespaces.entry("1e3".into()).or_default().entry(target).or_default().insert("list");
        let leases = vec!["trimtab-on".to_owned()];
        let account = Account { namespace: "null".into(), name: "on".into() };
        let manifests = Manifests { account: &account, lease_namespace: "0x1", leases, rights: &rights };
        let text = manifests.to_string();
        for (word, times) in [("null", 3), ("on", 3), ("0x1", 2), ("1e3", 2), ("no", 1), ("trimtab-on", 1)] {
            assert_eq!(text.matches(&format!("{word:?}")).count(), times, "{word} in\n{text}");
        }
    }
}
