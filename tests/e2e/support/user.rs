//! Whom a host runs as, where the admin will not do.

use std::path::PathBuf;

use serde_json::json;

use super::Scene;

/// Someone with rights in the test's namespace alone.
pub struct User<'a> {
    scene: &'a Scene,
    name: String,
}

impl<'a> User<'a> {
    /// Someone with [these rights](User::may).
    pub fn new(scene: &'a Scene, resources: &[&str]) -> Self {
        let user = Self { scene, name: format!("user-of-{}", scene.namespace) };
        user.may(resources);
        let (namespace, name) = (&*scene.namespace, &*user.name);
        let kubectl = |args: &[&str]| scene.plane().kubectl(args);
        kubectl(&["create", "rolebinding", "host", "--role=host", &format!("--user={name}"), "-n", namespace]);
        user
    }

    /// A kubeconfig with the user's token.
    pub fn kubeconfig(&self) -> PathBuf {
        self.scene.plane().kubeconfig_as(&self.name, &["system:authenticated"])
    }

    /// Sets what may be listed and written, beside Leases and Events.
    pub fn may(&self, resources: &[&str]) {
        self.may_and_see(resources, &[]);
    }

    /// Sets what may be listed and written, and what may only be listed.
    pub fn may_and_see(&self, resources: &[&str], seen: &[&str]) {
        let resources = resources.iter().flat_map(|resource| [(*resource).to_owned(), format!("{resource}/status")]);
        let resources = resources.chain(["leases".into(), "events".into()]).collect::<Vec<_>>();
        let mut rules = vec![json!({ "apiGroups": ["*"], "resources": resources, "verbs": ["*"] })];
        if !seen.is_empty() {
            rules.push(json!({ "apiGroups": ["*"], "resources": seen, "verbs": ["get", "list", "watch"] }));
        }
        let role = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
            "metadata": { "name": "host", "namespace": self.scene.namespace }, "rules": rules,
        });
        self.scene.apply(&role);
    }
}
