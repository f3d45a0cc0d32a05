use std::fs;

use trimtab_core::policy::Policy;

use super::*;

const CONTROLLER: &str = "
apiVersion: metacontroller.k8s.io/v1alpha1
kind: CompositeController
metadata: { name: site }
spec:
  generateSelector: true
  resyncPeriodSeconds: 30
  parentResource: { apiVersion: example.dev/v1, resource: sites, ignoreStatusChanges: true }
  childResources:
    - { apiVersion: apps/v1, resource: deployments, updateStrategy: { method: InPlace } }
    - { apiVersion: v1, resource: secrets }
  hooks:
    sync: { webhook: { url: 'http://hooks.example:8080/sync', timeout: 5s, etag: { enabled: true } } }
    finalize: { version: v2, webhook: { service: { name: hooks, namespace: example }, path: /finalize } }
";

const DEFINITION: &str = include_str!("../../../../plugins/examples/site/crd.yaml");

/// What a set of manifests comes to.
fn migrated(texts: &[&str]) -> Result<String, String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("set.yaml");
    fs::write(&file, texts.join("\n---\n")).unwrap();
    let manifests = manifests::read_all(&[file]).map_err(|error| error.to_string())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let kinds = runtime.block_on(kinds(&manifests)).unwrap();
    let migrated = all(&manifests, &kinds).map_err(|error| error.to_string())?;
    Ok(migrated.iter().map(ToString::to_string).collect())
}

#[test]
fn a_controller_becomes_the_policy_of_a_bridge_and_what_is_lost_is_said() {
    let printed = migrated(&[CONTROLLER, DEFINITION]).unwrap();
    let expected = r#"# site.toml, beside bridge.wasm
# not carried over: spec.hooks.sync.webhook.etag: answers are not kept, so there is nothing to compare
# not carried over: spec.parentResource.ignoreStatusChanges: the hook is asked also when another one changes a parent's status
module = "bridge.wasm"

[config.controller]
apiVersion = "metacontroller.k8s.io/v1alpha1"
kind = "CompositeController"

[config.controller.metadata]
name = "site"

[config.controller.spec]
generateSelector = true
resyncPeriodSeconds = 30

[[config.controller.spec.childResources]]
apiVersion = "apps/v1"
resource = "deployments"

[config.controller.spec.childResources.updateStrategy]
method = "InPlace"

[[config.controller.spec.childResources]]
apiVersion = "v1"
resource = "secrets"

[config.controller.spec.hooks.finalize]
version = "v2"

[config.controller.spec.hooks.finalize.webhook]
path = "/finalize"

[config.controller.spec.hooks.finalize.webhook.service]
name = "hooks"
namespace = "example"

[config.controller.spec.hooks.sync.webhook]
timeout = "5s"
url = "http://hooks.example:8080/sync"

[config.controller.spec.parentResource]
apiVersion = "example.dev/v1"
resource = "sites"

[config.kinds]
"deployments.apps" = "Deployment"
secrets = "Secret"
"sites.example.dev" = "Site"

[grants]
http = ["http://hooks.example:80", "http://hooks.example:8080"]
reads = ["Secret"]
writes = ["Secret"]

[inherit]
children = ["Deployment.apps", "Secret"]
finalizers = ["metacontroller.io/compositecontroller-site"]

[limits]
wall_ms = 11000
"#;
    assert_eq!(printed, expected);
    assert!(Policy::parse(&printed).is_ok(), "{:?}", Policy::parse(&printed));
}

#[test]
fn what_cannot_be_served_is_told_with_its_place_and_nothing_is_migrated() {
    let with = |from: &str, to: &str| migrated(&[&CONTROLLER.replace(from, to), DEFINITION]).unwrap_err();
    for (error, what) in [
        (with("generateSelector", "generateSelectors"), "spec.generateSelectors: the bridge knows no such field"),
        (with("timeout: 5s", "timeout: soon"), "spec.hooks.sync.webhook.timeout: a number with ms, s or m is wanted"),
        (with("method: InPlace", "method: Sideways"), "this host has no update \"Sideways\""),
        (with("timeout: 5s", "timeout: 2m"), "the hooks of one call may take 121 s, and a call at most 60 s"),
        (with("url: 'http:", "url: 'ftp:"), "spec.hooks.sync.webhook: a url of http or https"),
        (with("CompositeController", "DecoratorController"), "kind: the bridge does not serve DecoratorControllers"),
        (
            with("CompositeController", "MapController"),
            "kind: a CompositeController of metacontroller.k8s.io is wanted",
        ),
        (migrated(&[CONTROLLER]).unwrap_err(), "the kind of sites of example.dev/v1 is not known"),
        (migrated(&[DEFINITION]).unwrap_err(), "there is no CompositeController in these files"),
        (migrated(&[CONTROLLER, CONTROLLER, DEFINITION]).unwrap_err(), "site has the same parents"),
        (migrated(&["module = \"bridge.wasm\""]).unwrap_err(), "an object is wanted"),
    ] {
        assert!(error.contains(what) && error.contains("set.yaml") | error.contains("these files"), "{error}");
    }
}
