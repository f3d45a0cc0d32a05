//! The status: the answer and the host's condition as one.

use serde_json::{Map, Value, json};
use trimtab_core::{
    answer::StatusIntent,
    description::Role,
    fixed::FixedPoints,
    kind::Kind,
    object::Object,
    plan::{Conflict, Plan},
    schema::Schema,
    status::{self, Input, NoStatus, Verdict, reason},
    write::{Action, Write},
};

use crate::given::{World, kind};

/// The schema of a Site whose status has these fields.
fn schema(status: Value) -> Schema {
    let site = json!({
        "type": "object",
        "x-kubernetes-group-version-kind": [{"group": "demo.dev", "version": "v1", "kind": "Site"}],
        "properties": {"status": {"type": "object", "properties": status}},
    });
    let doc = json!({"components": {"schemas": {"Site": site}}});
    Schema::from_openapi(&doc.to_string(), "demo.dev", "v1", "Site").unwrap()
}

fn full() -> Schema {
    let text = || json!({"type": "string"});
    let condition = json!({"type": "object", "properties": {"type": text(), "status": text(), "reason": text(),
        "message": text(), "lastTransitionTime": text(), "observedGeneration": {"type": "integer"}}});
    schema(json!({
        "ready": {"type": "boolean"},
        "observedGeneration": {"type": "integer"},
        "conditions": {"type": "array", "items": condition,
            "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    }))
}

/// The Site with this status, of which our manager owns these fields.
fn site(status: Value, owned: Value) -> Object {
    let mut text = World::site().object.value();
    text["status"] = status;
    text["metadata"]["managedFields"] = json!([{"manager": "trimtab/site/status", "operation": "Apply",
        "apiVersion": "demo.dev/v1", "subresource": "status", "fieldsV1": {"f:status": owned}}]);
    Object::parse(&text.to_string(), "demo.dev/v1", "Site").unwrap()
}

/// What was applied: the whole of it is owned, in the form of managedFields.
fn applied(status: &Value) -> Object {
    let mut owned = Map::new();
    for (name, value) in status.as_object().unwrap() {
        let items = value.as_array().into_iter().flatten().map(|item| {
            let fields = item.as_object().unwrap().keys().map(|name| (format!("f:{name}"), json!({})));
            (format!("k:{}", json!({"type": item["type"]})), Value::Object(fields.collect()))
        });
        owned.insert(format!("f:{name}"), Value::Object(items.collect()));
    }
    site(status.clone(), owned.into())
}

fn settled() -> Verdict {
    Verdict::of_plan(&Plan::default())
}

fn set(status: Value) -> StatusIntent {
    match status {
        Value::Object(status) => StatusIntent::Set(status),
        other => panic!("{other} is no status"),
    }
}

fn decide(object: &Object, schema: &Schema, answer: &StatusIntent, verdict: &Verdict) -> Option<Value> {
    let written = write(object, schema, answer, verdict, &FixedPoints::default())?;
    assert_eq!((written.manager.as_str(), written.version.as_str()), ("trimtab/site/status", "v1"));
    match written.action {
        Action::Status { status, .. } => Some(status.into()),
        other => panic!("{other:?} is no status"),
    }
}

fn write(
    object: &Object,
    schema: &Schema,
    answer: &StatusIntent,
    verdict: &Verdict,
    fixed: &FixedPoints,
) -> Option<Write> {
    let world = World::site();
    let (kind, lineage, role) = (&world.kind, &world.lineage, Role::Composite);
    status::decide(&Input {
        object,
        kind,
        lineage,
        role,
        schema,
        answer,
        verdict,
        sign: None,
        now: "2026-02-02T00:00:00Z",
        fixed,
    })
    .unwrap()
}

#[test]
fn an_answer_is_written_with_the_hosts_condition_and_then_rests() {
    let answer = set(json!({"ready": true}));
    let status = decide(&World::site().object, &full(), &answer, &settled()).unwrap();
    assert_eq!(
        status,
        json!({
            "ready": true,
            "observedGeneration": 3,
            "conditions": [{"type": "Reconciled", "status": "True", "reason": "Settled", "observedGeneration": 3,
                "message": "all children are as desired", "lastTransitionTime": "2026-02-02T00:00:00Z"},
                {"type": "Ready", "status": "True", "reason": "ChildrenReady", "observedGeneration": 3,
                "message": "all children are ready", "lastTransitionTime": "2026-02-02T00:00:00Z"}],
        })
    );
    assert_eq!(decide(&applied(&status), &full(), &answer, &settled()), None);
}

#[test]
fn a_failed_run_keeps_the_last_answer_and_nothing_of_what_others_say() {
    let condition = json!({"type": "Reconciled", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"});
    let live = json!({"ready": true, "theirs": 1, "conditions": [{"type": "Other", "status": "True"}, condition]});
    let owned = json!({"f:ready": {}, "f:conditions": {"k:{\"type\":\"Reconciled\"}": {"f:type": {}, "f:status": {}}}});
    let failed = Verdict::not(reason::PLUGIN_FAILED, "it trapped".into());
    let status = decide(&site(live, owned), &full(), &StatusIntent::Keep, &failed).unwrap();
    assert_eq!(status["ready"], true);
    assert_eq!(status.get("theirs"), None);
    let types = status["conditions"].as_array().unwrap().iter().map(|it| &it["type"]).collect::<Vec<_>>();
    assert_eq!(types, ["Reconciled", "Ready"]);
    assert_eq!(status["conditions"][0]["status"], "False");
    assert_eq!(status["conditions"][0]["reason"], "PluginFailed");
    assert_eq!(status["conditions"][0]["lastTransitionTime"], "2026-02-02T00:00:00Z");
}

/// The conditions of a type that a run leaves, as status and reason.
fn said(object: &Object, answer: &StatusIntent, verdict: &Verdict, condition: &str) -> Vec<(String, String)> {
    let status = decide(object, &full(), answer, verdict).unwrap();
    let text = |it: &Value, name: &str| it[name].as_str().unwrap_or_default().to_owned();
    let conditions = status["conditions"].as_array().unwrap().iter().filter(|it| it["type"] == condition);
    conditions.map(|it| (text(it, "status"), text(it, "reason"))).collect()
}

#[test]
fn an_object_is_ready_when_all_is_written_and_its_children_are() {
    let object = World::site().object;
    let ready = |verdict: &Verdict| said(&object, &set(json!({})), verdict, "Ready").remove(0);
    let unready = Verdict { unready: vec!["Deployment.apps a/web: not yet".into()], ..settled() };
    let failed = Verdict::not(reason::PLUGIN_FAILED, "it trapped".into());
    assert_eq!(ready(&settled()), ("True".into(), "ChildrenReady".into()));
    assert_eq!(ready(&unready), ("False".into(), "ChildrenNotReady".into()));
    assert_eq!(ready(&failed), ("False".into(), "NotReconciled".into()));
}

#[test]
fn a_readiness_that_somebody_else_keeps_is_left_to_him() {
    let his = json!({"conditions": [{"type": "Ready", "status": "True", "reason": "Probed"}]});
    let object = site(his, json!({}));
    assert_eq!(said(&object, &set(json!({})), &settled(), "Ready"), []);
    // He may have taken the host's over, which still owns what he has said as it did.
    let owned = json!({"f:conditions": {r#"k:{"type":"Ready"}"#: {"f:type": {}, "f:status": {}}}});
    let taken = site(object.value()["status"].take(), owned);
    assert_eq!(said(&taken, &set(json!({})), &settled(), "Ready"), []);
}

#[test]
fn a_plugins_own_readiness_is_left_to_it_also_while_it_gives_no_answer() {
    let own = json!({"type": "Ready", "status": "False", "reason": "Starting"});
    let answer = set(json!({"conditions": [own]}));
    let theirs = [("False".to_owned(), "Starting".to_owned())];
    let object = World::site().object;
    assert_eq!(said(&object, &answer, &settled(), "Ready"), theirs);
    let status = decide(&object, &full(), &answer, &settled()).unwrap();
    let failed = Verdict::not(reason::PLUGIN_FAILED, "it trapped".into());
    assert_eq!(said(&applied(&status), &StatusIntent::Keep, &failed, "Ready"), theirs);
    // What the host said before, and a plugin that answers what it was given, do not freeze it.
    let hosts = decide(&object, &full(), &set(json!({})), &settled()).unwrap();
    let not = [("False".to_owned(), "NotReconciled".to_owned())];
    assert_eq!(said(&applied(&hosts), &StatusIntent::Keep, &failed, "Ready"), not);
    assert_eq!(said(&object, &set(hosts), &failed, "Ready"), not);
}

#[test]
fn the_transition_time_stays_while_the_status_does() {
    let old = json!({"type": "Reconciled", "status": "True", "reason": "Settled", "message": "before",
        "lastTransitionTime": "2026-01-01T00:00:00Z"});
    let status = decide(&applied(&json!({"conditions": [old]})), &full(), &StatusIntent::Keep, &settled()).unwrap();
    assert_eq!(status["conditions"][0]["lastTransitionTime"], "2026-01-01T00:00:00Z");
    assert_ne!(status["conditions"][0]["message"], "before");
}

#[test]
fn the_plugins_conditions_stand_beside_the_hosts_and_an_echo_of_it_does_not() {
    let echo = json!({"type": "Reconciled", "status": "Unknown"});
    let ready = json!({"type": "Ready", "status": "True"});
    let answer = set(json!({"conditions": [echo, ready]}));
    let status = decide(&World::site().object, &full(), &answer, &settled()).unwrap();
    let types = status["conditions"].as_array().unwrap().iter().map(|it| it["type"].clone());
    assert_eq!(types.collect::<Vec<_>>(), ["Ready", "Reconciled"]);
    assert_eq!(status["conditions"][1]["status"], "True");
}

#[test]
fn a_field_that_is_no_longer_answered_is_taken_away_and_an_empty_answer_clears_ours() {
    let bare = schema(json!({"ready": {"type": "boolean"}, "url": {"type": "string"}}));
    let live = applied(&json!({"ready": true, "url": "x"}));
    assert_eq!(decide(&live, &bare, &set(json!({"ready": true})), &settled()), Some(json!({"ready": true})));
    assert_eq!(decide(&live, &bare, &set(json!({})), &settled()), Some(json!({})));
    assert_eq!(decide(&live, &bare, &StatusIntent::Keep, &settled()), None);
    let theirs = site(json!({"ready": true}), json!({}));
    assert_eq!(decide(&theirs, &bare, &set(json!({})), &settled()), None, "nothing of ours is there to clear");
}

#[test]
fn a_schema_without_conditions_gets_none_and_no_generation_for_a_run_that_failed() {
    let bare = schema(json!({"ready": {}, "observedGeneration": {"type": "integer"}}));
    let failed = Verdict::not(reason::PLUGIN_FAILED, "it trapped".into());
    assert_eq!(decide(&World::site().object, &bare, &StatusIntent::Keep, &failed), None);
    let status = decide(&World::site().object, &bare, &set(json!({"ready": true})), &settled());
    assert_eq!(status, Some(json!({"ready": true, "observedGeneration": 3})));
    let texts = schema(json!({"conditions": {"type": "array", "items": {"type": "string"}}}));
    assert_eq!(decide(&World::site().object, &texts, &StatusIntent::Keep, &settled()), None);
}

#[test]
fn only_fields_that_the_conditions_schema_declares_are_written() {
    let item = json!({"type": "object", "properties": {"type": {"type": "string"}, "status": {"type": "string"}}});
    let small = schema(json!({"conditions": {"type": "array", "items": item}}));
    let status = decide(&World::site().object, &small, &StatusIntent::Keep, &settled());
    assert_eq!(status, Some(json!({"conditions": [{"type": "Reconciled", "status": "True"}]})));
}

#[test]
fn a_status_that_the_server_writes_in_another_way_is_applied_once() {
    let answer = set(json!({"ready": "1000m"}));
    let mut fixed = FixedPoints::default();
    let first = write(&World::site().object, &Schema::unknown(), &answer, &settled(), &fixed).unwrap();
    let live = applied(&json!({"ready": "1"}));
    assert!(write(&live, &Schema::unknown(), &answer, &settled(), &fixed).is_some());
    fixed.learn(&first, Some(&live));
    assert_eq!(write(&live, &Schema::unknown(), &answer, &settled(), &fixed), None);
    let edited = applied(&json!({"ready": "2"}));
    assert!(write(&edited, &Schema::unknown(), &answer, &settled(), &fixed).is_some());
}

/// What a decorator of the Site writes into its status, and whether with force.
fn decorated(object: &Object, answer: &StatusIntent) -> Option<(Value, bool)> {
    let world = World::site();
    let write = status::decide(&Input {
        object,
        kind: &world.kind,
        lineage: &world.lineage,
        role: Role::Decorator,
        schema: &full(),
        answer,
        verdict: &settled(),
        sign: None,
        now: "",
        fixed: &FixedPoints::default(),
    });
    match write.unwrap()?.action {
        Action::Status { status, force, .. } => Some((status.into(), force)),
        other => panic!("{other:?} is no status"),
    }
}

#[test]
fn a_decorator_says_what_it_answers_and_no_more_and_takes_nothing_from_others() {
    let theirs = site(json!({"ready": true}), json!({}));
    assert_eq!(decorated(&theirs, &StatusIntent::Keep), None);
    assert_eq!(decorated(&theirs, &set(json!({}))), None);
    let audited = json!({"audited": true});
    assert_eq!(decorated(&theirs, &set(audited.clone())), Some((audited.clone(), false)));
    let both = site(json!({"ready": true, "audited": true}), json!({"f:audited": {}}));
    assert_eq!(decorated(&both, &set(audited)), None);
    assert_eq!(decorated(&both, &set(json!({}))), Some((json!({}), false)));
}

#[test]
fn a_status_for_a_kind_without_the_subresource_is_refused_and_none_is_fine() {
    let world = World::site();
    let without: Kind = kind("demo.dev/v1", "Site", true, false);
    let decide = |answer: &StatusIntent| {
        status::decide(&Input {
            object: &world.object,
            kind: &without,
            lineage: &world.lineage,
            role: Role::Composite,
            schema: &full(),
            answer,
            verdict: &settled(),
            sign: None,
            now: "",
            fixed: &FixedPoints::default(),
        })
    };
    let refused: NoStatus = decide(&set(json!({"ready": true}))).unwrap_err();
    assert!(refused.to_string().contains("Site.demo.dev in version v1 has no status subresource"));
    assert_eq!(decide(&StatusIntent::Keep), Ok(None));
}

#[test]
fn a_verdict_names_three_conflicts_counts_the_rest_and_is_cut_where_a_character_ends() {
    let world = World::site();
    let conflict = || Conflict { place: world.object.meta.place.clone(), whose: "it is theirs".into() };
    let plan = Plan { conflicts: (0..5).map(|_| conflict()).collect(), ..Plan::default() };
    let verdict = Verdict::of_plan(&plan);
    assert_eq!((verdict.reconciled, verdict.reason), (false, reason::CONFLICT));
    assert_eq!(verdict.message.matches("is not ours").count(), 3);
    assert!(verdict.message.ends_with("; and 2 more"));

    let long = Verdict::not(reason::PLUGIN_FAILED, "é".repeat(4000).replacen('é', "x", 1));
    let status = decide(&world.object, &full(), &StatusIntent::Keep, &long).unwrap();
    assert_eq!(status["conditions"][0]["message"].as_str().unwrap().len(), 1023);
}
