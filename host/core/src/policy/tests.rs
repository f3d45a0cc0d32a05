//! Every key once, and each way to get one wrong.

use super::*;
use crate::backoff::Curve;

fn error(text: &str) -> String {
    Policy::parse(text).expect_err(text).to_string()
}

#[test]
fn an_empty_policy_is_that_of_a_plugin_without_one() {
    assert_eq!(Policy::parse("").unwrap(), Policy::default());
    assert_eq!(Policy::default().config, "{}");
}

#[test]
fn every_key_is_read() {
    let policy = Policy::parse(
        r#"
        module = "site@next.wasm"
        adopt = ["Deployment.apps"]
        instance_key = "annotation:numaflow.numaproj.io/instance"
        service_account = "team-a/writer"
        exclusive = true
        config_from = { config_map = "site", namespace = "shared", key = "config.yaml" }
        [config]
        image = "nginx"
        replicas = 3
        since = 2026-01-02
        weights = [0.5, 1]
        [config.nested]
        on = true
        [limits]
        memory_mib = 128
        cpu_ms = 500
        wall_ms = 60000
        request_mib = 1
        answer_mib = 8
        children = 10
        log_lines = 1000
        [work]
        concurrency = 4
        calls_per_second = 50
        cpu_ms_per_second = 250
        log_lines_per_second = 20
        resync_seconds = 300
        ignore_status_changes = true
        backoff_first_ms = 100
        backoff_longest_seconds = 60
        [deletions]
        least = 5
        percent = 50
        confirmed = "0123456789abcdef0123456789abcdef"
        [rollout]
        rollback = false
        probation_seconds = 60
        tolerated_percent = 5
        accepted = "0123456789abcdef0123456789abcdef"
        [grants]
        reads = ["Secret"]
        writes = ["Role.rbac.authorization.k8s.io", "Secret"]
        elsewhere = ["shared"]
        http = ["http://hooks.kubeflow:80", "https://10.0.0.1:8443"]
        secrets = ["team/db", "team/tls.key"]
        verbs = { PersistentVolumeClaim = ["create", "update"] }
        [inherit]
        children = ["Service"]
        finalizers = ["example.com/site"]
        lineage = "page"
        [update]
        "Deployment.apps" = "recreate"
        Service = "on-delete"
        Pod = { method = "rolling-recreate", max_unavailable = "25%", ready = [{ type = "Ready" }] }
        "#,
    )
    .unwrap();
    assert_eq!(policy.module.as_deref(), Some("site@next.wasm"));
    let from = policy.config_from.as_ref().map(ToString::to_string);
    assert_eq!(from.as_deref(), Some("ConfigMap shared/site"));
    assert_eq!(policy.service_account, Account::parse("team-a/writer"));
    assert_eq!(policy.instance_key, Some(InstanceKey::Annotation("numaflow.numaproj.io/instance".into())));
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&policy.config).unwrap(),
        serde_json::json!({"image": "nginx", "replicas": 3, "since": "2026-01-02", "weights": [0.5, 1], "nested": {"on": true}})
    );
    let expected = Limits {
        memory_bytes: 128 * MIB,
        cpu: Duration::from_millis(500),
        wall: Duration::from_secs(60),
        request_bytes: MIB,
        answer_bytes: 8 * MIB,
        children: 10,
        log_lines: 1000,
    };
    assert_eq!(policy.limits, expected);
    let work = Work {
        concurrency: Some(4),
        calls_per_second: Some(50),
        cpu_per_second: Some(Duration::from_millis(250)),
        log_lines_per_second: 20,
        resync: Some(Duration::from_secs(300)),
        ignore_status_changes: true,
        backoff: Curve { first: Duration::from_millis(100), longest: Duration::from_secs(60) },
    };
    assert_eq!(policy.work, work);
    let confirmed = Hash::parse("0123456789abcdef0123456789abcdef");
    assert_eq!(policy.deletions, Allowance { least: 5, percent: 50, confirmed });
    let probation = Duration::from_secs(60);
    assert_eq!(
        policy.rollout,
        Terms { shadow: None, rollback: false, probation, tolerated_percent: 5, accepted: confirmed }
    );
    assert_eq!(policy.reads, [GroupKind::new("v1", "Secret")].into());
    let role = GroupKind::new("rbac.authorization.k8s.io/v1", "Role");
    assert_eq!(policy.writes, [role, GroupKind::new("v1", "Secret")].into());
    assert_eq!(policy.elsewhere, ["shared".to_owned()].into());
    assert_eq!(policy.secrets.iter().map(ToString::to_string).collect::<Vec<_>>(), ["team/db", "team/tls.key"]);
    let claim = GroupKind::new("v1", "PersistentVolumeClaim");
    assert_eq!(policy.verbs, [(claim, [Verb::Create, Verb::Update].into())].into());
    let origins = ["http://hooks.kubeflow:80", "https://10.0.0.1:8443"];
    assert_eq!(policy.http, origins.iter().filter_map(|text| Origin::parse(text)).collect());
    assert!(policy.exclusive);
    assert_eq!(policy.adopt, [GroupKind::new("apps/v1", "Deployment")].into());
    assert_eq!(policy.inherit.children, [GroupKind::new("v1", "Service")].into());
    assert_eq!(policy.inherit.finalizers, ["example.com/site".to_owned(), "trimtab.dev/page".to_owned()].into());
    assert_eq!(policy.inherit.lineage, Some(Lineage::new("page").unwrap()));
    let child = |api_version, kind| {
        let (kind, version) = (GroupKind::new(api_version, kind), "v1".to_owned());
        ChildKind { kind, version, update: Update::InPlace, rolling: Rolling::default() }
    };
    assert_eq!(policy.update_of(&child("apps/v1", "Deployment")), Update::Recreate);
    assert_eq!(policy.update_of(&child("v1", "Service")), Update::OnDelete);
    assert_eq!(policy.rolling_of(&child("v1", "Service")), Rolling::default());
    assert_eq!(policy.update_of(&child("v1", "Pod")), Update::RollingRecreate);
    let ready = vec![Check::read(&serde_json::json!({"type": "Ready"})).unwrap()];
    let rolling = Rolling { max_unavailable: MaxUnavailable::Percent(25), ready };
    assert_eq!(policy.rolling_of(&child("v1", "Pod")), rolling);
}

#[test]
fn each_error_names_the_key_what_was_found_and_what_is_accepted() {
    for (text, message) in [
        (
            "color = 1",
            "color: unknown key, known are config, config_from, module, instance_key, service_account, limits, work, deletions, rollout, grants, adopt, children_selector, inherit, exclusive, retire, update",
        ),
        (
            "children_selector = \"spec..selector\"",
            "children_selector: found \"spec..selector\", accepted: the path of a field, such as \"spec.selector\"",
        ),
        (
            "adopt = [\"Service\"]\nchildren_selector = \"spec.selector\"",
            "adopt: found a list, accepted: nothing beside children_selector, by which alone children are taken over",
        ),
        ("exclusive = \"yes\"", "exclusive: found \"yes\", accepted: true or false"),
        ("retire = true", "retire: found true, accepted: \"orphan\" or \"clean-up\""),
        ("[inherit]\nkinds = []", "inherit.kinds: unknown key, known are children, annotations, finalizers, lineage"),
        (
            "[inherit]\nannotations = \"a=b=c\"",
            "inherit.annotations: found \"a=b=c\", accepted: a selector as kubectl takes it, such as \"example.com/made-by=site\"",
        ),
        ("config = 1", "config: found 1, accepted: a table: [config]"),
        ("[config]\na = [1, inf]", "config.a[1]: found inf, accepted: a finite number"),
        (
            "module = \"../x.wasm\"",
            "module: found \"../x.wasm\", accepted: the name of a .wasm file in the same folder",
        ),
        ("module = \"site\"", "module: found \"site\", accepted: the name of a .wasm file in the same folder"),
        (
            "instance_key = \"a b\"",
            "instance_key: found \"a b\", accepted: the name of a label, or \"annotation:NAME\"",
        ),
        (
            "service_account = \"admin\"",
            "service_account: found \"admin\", accepted: a service account as \"namespace/name\"",
        ),
        ("[limits]\nmemory_mib = 257", "limits.memory_mib: found 257, accepted: a whole number from 1 to 256"),
        ("[limits]\ncpu_ms = -1", "limits.cpu_ms: found -1, accepted: a whole number from 1 to 10000"),
        ("[limits]\nwall_ms = \"1s\"", "limits.wall_ms: found \"1s\", accepted: a whole number from 10 to 60000"),
        ("[limits]\nchildren = 0", "limits.children: found 0, accepted: a whole number from 1 to 10000"),
        (
            "[limits]\nmemory = 1",
            "limits.memory: unknown key, known are memory_mib, cpu_ms, wall_ms, request_mib, answer_mib, children, log_lines",
        ),
        ("[work]\nignore_status_changes = 1", "work.ignore_status_changes: found 1, accepted: true or false"),
        ("[work]\ncpu_ms_per_second = 9", "work.cpu_ms_per_second: found 9, accepted: a whole number from 10 to 64000"),
        ("[work]\nconcurrency = 0", "work.concurrency: found 0, accepted: a whole number from 1 to 1024"),
        (
            "[work]\nworkers = 1",
            "work.workers: unknown key, known are concurrency, calls_per_second, cpu_ms_per_second, log_lines_per_second, resync_seconds, ignore_status_changes, backoff_first_ms, backoff_longest_seconds",
        ),
        ("[grants]\nsecrets = [\"db\"]", "grants.secrets: found \"db\", accepted: a Secret as \"namespace/name\""),
        (
            "[grants.verbs]\nPod = [\"patch\"]",
            "grants.verbs.\"Pod\": found \"patch\", accepted: \"create\", \"update\" or \"delete\"",
        ),
        ("[deletions]\npercent = 101", "deletions.percent: found 101, accepted: a whole number from 0 to 100"),
        (
            "[deletions]\nconfirmed = true",
            "deletions.confirmed: found true, accepted: the generation that is held, as the condition of its objects names it: 32 hexadecimal digits",
        ),
        ("[rollout]\nrollback = 1", "rollout.rollback: found 1, accepted: true or false"),
        (
            "[rollout]\nprobation_seconds = 0",
            "rollout.probation_seconds: found 0, accepted: a whole number from 1 to 86400",
        ),
        (
            "[rollout]\naccepted = \"it\"",
            "rollout.accepted: found \"it\", accepted: the generation that was rolled back, as its slot's reason names it: 32 hexadecimal digits",
        ),
        (
            "[rollout]\nsteps = 1",
            "rollout.steps: unknown key, known are rollback, probation_seconds, tolerated_percent, accepted, shadow_seconds, shadow_until_accepted, shadow_changes_max, shadow_fields",
        ),
        ("[deletions]\nmost = 1", "deletions.most: unknown key, known are least, percent, confirmed"),
        ("[grants]\nread = []", "grants.read: unknown key, known are reads, secrets, writes, verbs, elsewhere, http"),
        (
            "[grants]\nelsewhere = [\"Shared\"]",
            "grants.elsewhere: found \"Shared\", accepted: the name of a namespace, or \"*\" for all",
        ),
        (
            "[grants]\nhttp = [\"hooks:80\"]",
            "grants.http: found \"hooks:80\", accepted: \"http://host:port\" or \"https://host:port\"",
        ),
        ("[grants]\nreads = \"Secret\"", "grants.reads: found \"Secret\", accepted: a list of kinds"),
        (
            "[grants]\nwrites = [\"secrets\"]",
            "grants.writes: found \"secrets\", accepted: a kind as \"Kind\" (core group) or \"Kind.group\", such as \"Deployment.apps\"",
        ),
        (
            "[update]\n\"apps/Deployment\" = \"recreate\"",
            "update.\"apps/Deployment\": found a key that is no kind, accepted: a kind as \"Kind\" (core group) or \"Kind.group\", such as \"Deployment.apps\"",
        ),
        (
            "[update]\nService = \"rolling\"",
            "update.\"Service\": found \"rolling\", accepted: \"in-place\", \"recreate\", \"on-delete\", \"rolling-in-place\", \"rolling-recreate\"",
        ),
        (
            "[update]\nService = { max_unavailable = 0 }",
            "update.\"Service\".max_unavailable: found 0, accepted: a whole number from 1 to 10000, or a percentage from \"1%\" to \"100%\"",
        ),
        (
            "[update]\nService = { method = 1 }",
            "update.\"Service\".method: found 1, accepted: \"in-place\", \"recreate\", \"on-delete\", \"rolling-in-place\", \"rolling-recreate\"",
        ),
        (
            "[update]\nService = { pace = 1 }",
            "update.\"Service\".pace: unknown key, known are method, max_unavailable, ready",
        ),
    ] {
        assert_eq!(error(text), message);
    }
}

#[test]
fn what_is_no_toml_is_refused_with_its_line() {
    let message = error("[config]\na = 1\nb = = 2\n");
    assert!(message.starts_with("line 3: "), "{message}");
}

#[test]
fn the_module_is_known_although_something_else_is_wrong() {
    assert_eq!(named_module("module = \"a.wasm\"\ncolor = 1").unwrap().as_deref(), Some("a.wasm"));
    assert_eq!(named_module("color = 1").unwrap(), None);
    assert!(named_module("module = 1").is_err() && named_module("module").is_err());
}

#[test]
fn a_comment_makes_no_new_generation_and_every_setting_does() {
    let content = Hash::of([&b"module"[..]]);
    let generation = |text: &str| Policy::parse(text).unwrap().generation(content);
    let base = generation("[config]\na = 1\n");
    assert_eq!(base, generation("# why\n[config]\na   =   1\n"));
    assert_ne!(base, Policy::parse("[config]\na = 1\n").unwrap().generation(Hash::default()));
    for other in [
        "[config]\na = 2\n",
        "[config]\na = 1\n[grants]\nhttp = [\"http://hooks:80\"]\n",
        "[config]\na = 1\n[limits]\ncpu_ms = 7\n",
        "[config]\na = 1\n[grants]\nreads = [\"Secret\"]\n",
        "[config]\na = 1\n[grants]\nwrites = [\"Secret\"]\n",
        "[config]\na = 1\n[grants]\nelsewhere = [\"*\"]\n",
        "[config]\na = 1\n[update]\nService = \"recreate\"\n",
        "adopt = [\"Service\"]\n[config]\na = 1\n",
        "children_selector = \"spec.selector\"\n[config]\na = 1\n",
        "[config]\na = 1\n[inherit]\nchildren = [\"Service\"]\n",
        "[config]\na = 1\n[inherit]\nannotations = \"a=b\"\n",
    ] {
        assert_ne!(base, generation(other), "{other}");
    }
}

#[test]
fn a_generation_that_is_confirmed_is_another_one_that_names_the_first() {
    let policy = |text: &str| Policy::parse(text).unwrap();
    let first = policy("[deletions]\nleast = 5\n");
    let name = first.generation(Hash::default());
    let confirmed = policy(&format!("[deletions]\nleast = 5\nconfirmed = \"{name}\"\n"));
    assert_ne!(confirmed.generation(Hash::default()), name);
    assert_eq!(confirmed.unconfirmed(), first);
}

#[test]
fn the_policys_update_strategy_goes_before_the_descriptions() {
    let child = ChildKind {
        kind: GroupKind::new("v1", "Service"),
        version: "v1".into(),
        update: Update::InPlace,
        rolling: Rolling::default(),
    };
    assert_eq!(Policy::default().update_of(&child), Update::InPlace);
    let policy = Policy::parse("[update]\nService = \"on-delete\"").unwrap();
    assert_eq!(policy.update_of(&child), Update::OnDelete);
}
