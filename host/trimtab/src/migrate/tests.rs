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

const DECORATOR: &str = "
apiVersion: metacontroller.k8s.io/v1alpha1
kind: DecoratorController
metadata:
  name: audit.site
  uid: 0c9d
  annotations: { kubectl.kubernetes.io/last-applied-configuration: '{}', owner: ann }
spec:
  resources:
    - { apiVersion: example.dev/v1, resource: sites, labelSelector: { matchLabels: { tier: web } }, ignoreStatusChanges: true }
    - { apiVersion: v1, resource: namespaces, annotationSelector: { matchAnnotations: { audit: 'yes' } } }
  attachments:
    - { apiVersion: v1, resource: configmaps, updateStrategy: { method: InPlace } }
  hooks:
    sync: { webhook: { url: 'http://hooks.example:8080/sync' } }
    finalize: { webhook: { url: 'http://hooks.example:8080/finalize' } }
";

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
ignoreStatusChanges = true
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
annotations = "!metacontroller.k8s.io/decorator-controller"
children = ["Deployment.apps", "Secret"]
finalizers = ["metacontroller.io/compositecontroller-site"]

[limits]
wall_ms = 11000

[work]
ignore_status_changes = true
"#;
    assert_eq!(printed, expected);
    assert!(Policy::parse(&printed).is_ok(), "{:?}", Policy::parse(&printed));
}

#[test]
fn a_decorator_becomes_a_policy_that_inherits_what_its_own_annotation_names() {
    let printed = migrated(&[DECORATOR, DEFINITION]).unwrap();
    let policy = Policy::parse(&printed).unwrap();
    assert!(
        printed.starts_with("# audit-site.toml, beside bridge.wasm\n# not carried over: spec.resources[].ignoreStatusChanges: said of some"),
        "{printed}"
    );
    let inherit = "[inherit]\nannotations = \"metacontroller.k8s.io/decorator-controller=audit.site\"\n\
                   children = [\"ConfigMap\"]\nfinalizers = [\"metacontroller.io/decoratorcontroller-audit.site\"]\n";
    assert!(printed.contains(inherit), "{printed}");
    let config = serde_json::from_str::<Value>(&policy.config).unwrap();
    assert_eq!(config["cluster_scoped"], serde_json::json!(["namespaces"]));
    assert_eq!(
        config["controller"]["metadata"],
        serde_json::json!({ "name": "audit.site", "annotations": { "owner": "ann" } })
    );
    assert_eq!(config["controller"]["spec"]["resources"][0]["labelSelector"]["matchLabels"]["tier"], "web");

    // Decorators share their objects with each other and with a composite; names they do not share.
    assert!(migrated(&[CONTROLLER, DECORATOR, &DECORATOR.replace("audit.site", "other"), DEFINITION]).is_ok());
    let error = migrated(&[CONTROLLER, &DECORATOR.replace("audit.site", "site"), DEFINITION]).unwrap_err();
    assert!(error.contains("metadata.name: another controller makes a file of that name"), "{error}");
    let error = migrated(&[&DECORATOR.replace("InPlace", "RollingInPlace"), DEFINITION]).unwrap_err();
    assert!(
        error.contains("spec.attachments[0].updateStrategy.method: a decorator has no \"RollingInPlace\""),
        "{error}"
    );
}

#[test]
fn parents_that_select_their_children_themselves_go_on_doing_so() {
    let selects = |text: &str| {
        let policy = Policy::parse(&migrated(&[text, DEFINITION]).unwrap()).unwrap();
        policy.children_selector.is_some()
    };
    assert!(!selects(CONTROLLER) && !selects(DECORATOR));
    assert!(selects(&CONTROLLER.replace("generateSelector: true", "generateSelector: false")));
    assert!(selects(&CONTROLLER.replace("  generateSelector: true\n", "")));
}

#[test]
fn a_set_may_come_from_a_cluster_as_it_is() {
    let live = "\n  resourceVersion: '7'\n  generation: 1\n  managedFields: [{ manager: kubectl }]\n";
    let live =
        |text: &str| text.replacen("metadata:\n", &format!("metadata:{live}"), 1) + "\nstatus: { observed: 1 }\n";
    let list = [live(DECORATOR), live(DEFINITION)].map(|it| it.trim().replace('\n', "\n    "));
    let printed = migrated(&[&format!("kind: List\nitems:\n  - {}", list.join("\n  - "))]).unwrap();
    let as_written = migrated(&[DECORATOR, DEFINITION]).unwrap();
    let status = "# not carried over: status: the server's own\n";
    assert_eq!(printed.replace(status, ""), as_written);
}

#[test]
fn what_rolls_keeps_its_status_checks_and_its_fields_and_a_check_of_any_status_is_told() {
    let rolling = CONTROLLER.replace(
        "method: InPlace",
        "method: RollingInPlace, statusChecks: { conditions: [{ type: Ready, status: 'True' }, { type: Done }] }",
    );
    let rolling = rolling.replace("ignoreStatusChanges: true", "revisionHistory: { fieldPaths: [spec.template] }");
    let printed = migrated(&[&rolling, DEFINITION]).unwrap();
    let told =
        "# not carried over: spec.childResources[0].updateStrategy.statusChecks.conditions[1].status: none is said";
    assert!(printed.contains(told), "{printed}");
    let config = serde_json::from_str::<Value>(&Policy::parse(&printed).unwrap().config).unwrap();
    let spec = &config["controller"]["spec"];
    assert_eq!(spec["parentResource"]["revisionHistory"]["fieldPaths"][0], "spec.template");
    assert_eq!(spec["childResources"][0]["updateStrategy"]["statusChecks"]["conditions"][0]["type"], "Ready");
}

#[test]
fn a_hooks_time_is_read_as_the_server_writes_it() {
    let wall_ms = |timeout: &str| {
        let printed = migrated(&[&CONTROLLER.replace("timeout: 5s", &format!("timeout: {timeout}")), DEFINITION]);
        Policy::parse(&printed?).map(|policy| policy.limits.wall.as_millis()).map_err(|error| error.to_string())
    };
    // With a second beside the hooks; the other one has ten.
    assert_eq!(["10s", "0.5m", "30s500ms", "0m45s"].map(wall_ms), [Ok(11_000), Ok(31_000), Ok(31_500), Ok(46_000)]);
    for wrong in ["10", "s", "1d", "0s", "1..5s"] {
        assert!(wall_ms(wrong).unwrap_err().contains("a time is wanted"), "{wrong}");
    }
}

#[test]
fn a_set_that_is_migrated_again_is_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let controllers = folder.path().join("set.yaml");
    fs::write(&controllers, [CONTROLLER, DECORATOR, DEFINITION].join("\n---\n")).unwrap();
    let into = folder.path().join("plugins");
    fs::create_dir(&into).unwrap();
    let manifests = manifests::read_all(&[controllers]).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let set = all(&manifests, &runtime.block_on(kinds(&manifests)).unwrap()).unwrap();
    let written = |at: usize| write(&into, &set[at]).unwrap();
    let first = written(0);
    assert!(first.contains("site.toml: written\n  not carried over: spec.hooks.sync.webhook.etag"), "{first}");
    assert!(written(0).ends_with("site.toml: is there already, as it would be written"));
    fs::write(into.join("site.toml"), "# completed by hand\n").unwrap();
    assert!(written(0).ends_with("is there already, and says something else: left as it is"));
    assert_eq!(fs::read_to_string(into.join("site.toml")).unwrap(), "# completed by hand\n");
    assert!(written(1).contains("audit-site.toml: written"), "the rest goes on");
}

#[test]
fn what_cannot_be_served_is_told_with_its_place_and_nothing_is_migrated() {
    let with = |from: &str, to: &str| migrated(&[&CONTROLLER.replace(from, to), DEFINITION]).unwrap_err();
    for (error, what) in [
        (with("generateSelector", "generateSelectors"), "spec.generateSelectors: the bridge knows no such field"),
        (with("timeout: 5s", "timeout: soon"), "spec.hooks.sync.webhook.timeout: a time is wanted"),
        (with("method: InPlace", "method: Sideways"), "updateStrategy.method: a composite has no \"Sideways\""),
        (
            with("ignoreStatusChanges: true", "revisionHistory: { fieldPaths: [metadata.labels] }"),
            "$.fieldPaths[0]: found",
        ),
        (with("apps/v1, resource: deployments", "example.dev/v1, resource: sites"), "the kind of the object itself"),
        (with("timeout: 5s", "timeout: 2m"), "the hooks of one call may take 121 s, and a call at most 60 s"),
        (with("url: 'http:", "url: 'ftp:"), "spec.hooks.sync.webhook: a url of http or https"),
        (with("CompositeController", "DecoratorController"), "spec.parentResource: the bridge knows no such field"),
        (with("CompositeController", "ControllerRevision"), "kind: Metacontroller's own record"),
        (with("CompositeController", "MapController"), "kind: a controller of metacontroller.k8s.io is wanted"),
        (migrated(&[CONTROLLER]).unwrap_err(), "the kind of sites of example.dev/v1 is not known"),
        (migrated(&[DEFINITION]).unwrap_err(), "there is no CompositeController and no DecoratorController"),
        (migrated(&[CONTROLLER, CONTROLLER, DEFINITION]).unwrap_err(), "site has the same parents"),
        (migrated(&["module = \"bridge.wasm\""]).unwrap_err(), "an object is wanted"),
    ] {
        assert!(error.contains(what) && error.contains("set.yaml") | error.contains("these files"), "{error}");
    }
}
