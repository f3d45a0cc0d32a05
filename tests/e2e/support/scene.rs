//! Where one test plays: a namespace, a plugins folder and the names that keep
//! its hosts apart from those of other tests.

use std::{
    fs,
    ops::Deref,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use serde_json::{Value, json};
use tempfile::{Builder, TempDir};
use trimtab_harness::{ControlPlane, eventually};

use super::{Api, Host, SOON, plugins};

/// The kinds of the plugins, as their files under `plugins/`.
pub const SITE: &str = "examples/site/crd.yaml";
pub const BENCH: &str = "fixtures/bench/crd.yaml";
pub const MISBEHAVE: &str = "fixtures/misbehave/crd.yaml";
/// The kind of the host's reports.
pub const REPORTS: &str = "../deploy/crds/plugins.yaml";

/// One test's own.
pub struct Scene {
    plane: Plane,
    folder: TempDir,
    kept: TempDir,
    /// As the admin.
    pub api: Api,
    /// Its namespace, which holds its Leases too.
    pub namespace: String,
    /// The name of its installation.
    pub installation: String,
}

enum Plane {
    Shared(&'static ControlPlane),
    Own(Box<ControlPlane>),
}

impl Deref for Plane {
    type Target = ControlPlane;

    fn deref(&self) -> &ControlPlane {
        match self {
            Self::Shared(plane) => plane,
            Self::Own(plane) => plane,
        }
    }
}

impl Scene {
    /// A namespace of the control plane that all tests share. Its hosts watch
    /// no other namespace.
    pub async fn new() -> Self {
        Self::of(Plane::Shared(ControlPlane::shared().await)).await
    }

    /// A control plane of its own, for what is seen in the whole cluster.
    pub async fn alone() -> Self {
        Self::on(ControlPlane::start().await).await
    }

    /// On a control plane that differs from the usual one.
    pub async fn on(plane: ControlPlane) -> Self {
        Self::of(Plane::Own(Box::new(plane))).await
    }

    async fn of(plane: Plane) -> Self {
        static INSTALLATIONS: AtomicU32 = AtomicU32::new(0);
        let installation = format!("e2e-{}", INSTALLATIONS.fetch_add(1, Ordering::Relaxed));
        let (api, namespace) = (Api::new(plane.client().await), plane.namespace().await);
        let folder = TempDir::with_prefix("trimtab-plugins-").expect("there is room for a folder");
        let kept = TempDir::with_prefix("trimtab-kept-").expect("there is room for a folder");
        Self { plane, folder, kept, api, namespace, installation }
    }

    /// The control plane.
    pub fn plane(&self) -> &ControlPlane {
        &self.plane
    }

    /// Applies a CustomResourceDefinition and waits until it is served.
    pub fn define(&self, file: &str) {
        let file = plugins::source(file);
        let file = file.to_str().expect("the clone's path is text");
        self.plane.kubectl(&["apply", "--server-side", "--force-conflicts", "-f", file]);
        self.plane.kubectl(&["wait", "--for=condition=Established", "-f", file]);
    }

    /// Applies an object with kubectl.
    pub fn apply(&self, object: &Value) {
        let file = Builder::new().suffix(".json").tempfile().expect("there is room for a file");
        fs::write(file.path(), object.to_string()).expect("the file is ours");
        let file = file.path().to_str().expect("its path is text");
        self.plane.kubectl(&["apply", "-n", &self.namespace, "-f", file]);
    }

    /// Sets up what many tests begin with: Sites, a plugin that serves them, and
    /// anna, whose page is "one".
    pub async fn set_up_anna(&self) {
        self.define(SITE);
        self.copy("raw", "raw.wasm");
        self.create_site("anna", "one").await;
    }

    /// The same with a host that has served her page.
    pub async fn serving_anna(&self) -> Host {
        self.set_up_anna().await;
        let host = self.host().await;
        self.page_is("anna", "one").await;
        host
    }

    /// The plugins folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Copies a built plugin into the plugins folder, as `cp` would.
    pub fn copy(&self, plugin: &str, to: &str) {
        let to = self.place(to);
        fs::copy(plugins::file(plugin), to).expect("the folder is ours");
    }

    /// Writes a file into the plugins folder.
    pub fn write(&self, to: &str, content: impl AsRef<[u8]>) {
        fs::write(self.place(to), content).expect("the folder is ours");
    }

    /// Removes a file from the plugins folder.
    pub fn remove(&self, name: &str) {
        fs::remove_file(self.place(name)).expect("it is there");
    }

    fn place(&self, name: &str) -> PathBuf {
        let place = self.folder().join(name);
        fs::create_dir_all(place.parent().expect("it lies in the folder")).expect("the folder is ours");
        place
    }

    /// Starts a host of this test's namespace.
    pub async fn host(&self) -> Host {
        self.host_with(&self.plane.kubeconfig(), &["--namespaces", &self.namespace]).await
    }

    /// Starts a host with these flags besides the ones of this test.
    pub async fn host_with(&self, kubeconfig: &Path, flags: &[&str]) -> Host {
        self.host_in(&[], kubeconfig, flags).await
    }

    /// Starts a host with these variables in its environment too.
    pub async fn host_in(&self, environment: &[(&str, &str)], kubeconfig: &Path, flags: &[&str]) -> Host {
        let text = |path: &Path| path.to_str().expect("the path is text").to_owned();
        // One cache for all, so that a plugin is compiled once.
        let cache = text(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("compiled"));
        let (plugins, kubeconfig) = (text(self.folder()), text(kubeconfig));
        // The host makes its folder itself, as nobody else may enter it.
        let keep = text(&self.kept.path().join("own"));
        let own = [
            ["--plugins", &plugins],
            ["--kubeconfig", &kubeconfig],
            ["--cache", &cache],
            ["--keep", &keep],
            ["--installation", &self.installation],
            ["--lease-namespace", &self.namespace],
        ];
        let args = ["run"].iter().chain(own.as_flattened()).chain(flags).map(|&arg| arg.to_owned());
        // A flag goes before it.
        let environment = [environment, &[("TRIMTAB_ADMIN_ADDRESS", "127.0.0.1:0")]].concat();
        Host::start(&args.collect::<Vec<_>>(), &environment, self.plane.process_group()).await
    }

    /// The path of an object in this test's namespace, or of a whole collection:
    /// `at("example.dev/v1", "sites", "anna")`, `at("v1", "configmaps", "")`.
    pub fn at(&self, api_version: &str, plural: &str, name: &str) -> String {
        let root = if api_version.contains('/') { "apis" } else { "api" };
        let path = format!("/{root}/{api_version}/namespaces/{}/{plural}/{name}", self.namespace);
        path.trim_end_matches('/').to_owned()
    }

    /// The path of a Site.
    pub fn site(&self, name: &str) -> String {
        self.at("example.dev/v1", "sites", name)
    }

    /// The path of a ConfigMap.
    pub fn config_map(&self, name: &str) -> String {
        self.at("v1", "configmaps", name)
    }

    /// The path of a Misbehave.
    pub fn misbehave(&self, name: &str) -> String {
        self.at("fixtures.trimtab.dev/v1", "misbehaves", name)
    }

    /// Makes a Site with a page.
    pub async fn create_site(&self, name: &str, page: &str) {
        let site = json!({
            "apiVersion": "example.dev/v1", "kind": "Site", "metadata": { "name": name },
            "spec": { "host": format!("{name}.example.dev"), "page": page },
        });
        self.api.create(&self.site(""), &site).await;
    }

    /// Makes a Misbehave with a mode, which names it where it may.
    pub async fn create_misbehave(&self, name: &str, mode: &str) {
        let object = json!({
            "apiVersion": "fixtures.trimtab.dev/v1", "kind": "Misbehave", "metadata": { "name": name },
            "spec": { "mode": mode },
        });
        self.api.create(&self.misbehave(""), &object).await;
    }

    /// Changes a Site's page.
    pub async fn edit_page(&self, name: &str, page: &str) {
        self.api.merge(&self.site(name), &json!({ "spec": { "page": page } })).await;
    }

    /// Waits until a Site's page is served.
    pub async fn page_is(&self, name: &str, page: &str) {
        let path = self.config_map(name);
        eventually(&format!("the page of {name} is {page:?}"), SOON, async || {
            (self.api.get(&path).await?["data"]["index.html"] == page).then_some(())
        })
        .await;
    }

    /// Waits until an object looks as `seen` wants it.
    pub async fn sees<T>(&self, what: &str, path: &str, seen: impl Fn(&Value) -> Option<T>) -> T {
        eventually(what, SOON, async || seen(&self.api.get(path).await?)).await
    }

    /// Waits until there is nothing at a path. Kubernetes' garbage collector
    /// looks for new kinds every 30 s, and collects for no owner of another one.
    pub async fn gone(&self, path: &str) {
        eventually(&format!("{path} is gone"), 3 * SOON, async || self.api.get(path).await.is_none().then_some(()))
            .await;
    }

    /// The host's condition of an object, once it has this reason.
    pub async fn condition(&self, path: &str, reason: &str) -> Value {
        self.sees(&format!("{path} has the condition {reason}"), path, |object| {
            let mut conditions = object["status"]["conditions"].as_array()?.iter();
            conditions.find(|it| it["type"] == "Reconciled" && it["reason"] == reason).cloned()
        })
        .await
    }

    /// The Events about an object with this reason, once there is one.
    pub async fn event(&self, name: &str, reason: &str) -> Value {
        let path = self.at("events.k8s.io/v1", "events", "");
        eventually(&format!("an Event {reason} about {name}"), SOON, async || {
            let mut events = self.api.list(&path).await.into_iter();
            events.find(|event| event["regarding"]["name"] == name && event["reason"] == reason)
        })
        .await
    }
}
