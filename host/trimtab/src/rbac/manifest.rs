//! Rights as manifests. Names are quoted: `null`, `on` and `1e3` are DNS labels
//! that YAML would read as something else.

use std::fmt;

use super::rights::{Rights, Verbs, rules};

/// What is printed.
pub struct Manifests<'a> {
    /// Where the service account lies.
    pub namespace: &'a str,
    /// Its name.
    pub account: &'a str,
    /// Where the Leases lie.
    pub lease_namespace: &'a str,
    /// Their names.
    pub leases: Vec<String>,
    /// The rest.
    pub rights: &'a Rights,
}

impl fmt::Display for Manifests<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { namespace, account, rights, .. } = self;
        for kind in &rights.guessed {
            writeln!(f, "# The resource of {kind} is guessed: give its CustomResourceDefinition with --apply.")?;
        }
        writeln!(f, "apiVersion: v1\nkind: ServiceAccount")?;
        writeln!(f, "metadata: {{ name: {account:?}, namespace: {namespace:?} }}")?;
        writeln!(
            f,
            "---\n# One Lease for each instance-id: watched and replaced by its name, and read
# for any id, since objects may be marked for one that nobody serves. And the
# reports of the plugins, where their kind is defined."
        )?;
        self.head(f, "Role", &format!("{account}-leases"), Some(self.lease_namespace))?;
        writeln!(f, "rules:")?;
        rule(f, "coordination.k8s.io", &["leases"], &["get", "create"], &[])?;
        let names = self.leases.iter().map(String::as_str).collect::<Vec<_>>();
        rule(f, "coordination.k8s.io", &["leases"], &["watch", "update"], &names)?;
        rule(f, "trimtab.dev", &["plugins"], &["list", "create", "patch", "delete"], &[])?;
        self.binding(f, "Role", &format!("{account}-leases"), Some(self.lease_namespace))?;
        for (namespace, configs) in &rights.configs {
            writeln!(f, "---\n# What holds plugins' configs, by name.")?;
            let name = format!("{account}-configs");
            self.head(f, "Role", &name, Some(namespace))?;
            writeln!(f, "rules:")?;
            for (plural, names) in configs {
                let names = names.iter().map(String::as_str).collect::<Vec<_>>();
                rule(f, "", &[plural], &["list", "watch"], &names)?;
            }
            self.binding(f, "Role", &name, Some(namespace))?;
        }
        // Names of cluster-wide objects tell accounts of other namespaces apart.
        let name = format!("{namespace}:{account}");
        if !rights.cluster.is_empty() {
            self.role(f, "ClusterRole", &name, None, &rights.cluster)?;
        }
        for (namespace, verbs) in &rights.namespaces {
            self.role(f, "Role", &name, Some(namespace.as_str()), verbs)?;
        }
        Ok(())
    }
}

impl Manifests<'_> {
    fn role(
        &self,
        f: &mut fmt::Formatter<'_>,
        kind: &str,
        name: &str,
        namespace: Option<&str>,
        verbs: &Verbs,
    ) -> fmt::Result {
        writeln!(f, "---")?;
        self.head(f, kind, name, namespace)?;
        writeln!(f, "rules:")?;
        for (group, resources, verbs) in rules(verbs) {
            rule(f, group, &resources, &verbs, &[])?;
        }
        self.binding(f, kind, name, namespace)
    }

    fn head(&self, f: &mut fmt::Formatter<'_>, kind: &str, name: &str, namespace: Option<&str>) -> fmt::Result {
        let namespace = namespace.map(|namespace| format!(", namespace: {namespace:?}")).unwrap_or_default();
        writeln!(f, "apiVersion: rbac.authorization.k8s.io/v1\nkind: {kind}")?;
        writeln!(f, "metadata: {{ name: {name:?}{namespace} }}")
    }

    fn binding(&self, f: &mut fmt::Formatter<'_>, kind: &str, name: &str, namespace: Option<&str>) -> fmt::Result {
        writeln!(f, "---")?;
        self.head(f, &format!("{kind}Binding"), name, namespace)?;
        writeln!(f, "roleRef: {{ apiGroup: rbac.authorization.k8s.io, kind: {kind}, name: {name:?} }}")?;
        writeln!(f, "subjects:")?;
        writeln!(f, "  - {{ kind: ServiceAccount, name: {:?}, namespace: {:?} }}", self.account, self.namespace)
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
        rights.namespaces.entry("1e3".into()).or_default().entry(target).or_default().insert("list");
        let leases = vec!["trimtab-on".to_owned()];
        let manifests = Manifests { namespace: "null", account: "on", lease_namespace: "0x1", leases, rights: &rights };
        let text = manifests.to_string();
        for (word, times) in [("null", 3), ("on", 3), ("0x1", 2), ("1e3", 2), ("no", 1), ("trimtab-on", 1)] {
            assert_eq!(text.matches(&format!("{word:?}")).count(), times, "{word} in\n{text}");
        }
    }
}
