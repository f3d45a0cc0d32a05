//! The rules of field ownership, one by one.

use super::*;

fn applied(live: Option<&Value>, manager: &str, spec: Value) -> Value {
    apply(&schema(), live, &thing(spec), &writer(manager), false).expect("no conflict")
}

fn forced(live: &Value, manager: &str, spec: Value) -> Value {
    apply(&schema(), Some(live), &thing(spec), &writer(manager), true).expect("forced")
}

fn refused(live: Option<&Value>, manager: &str, spec: Value) -> ApplyError {
    apply(&schema(), live, &thing(spec), &writer(manager), false).expect_err("refused")
}

fn updated(live: Option<&Value>, manager: &str, spec: Value) -> Value {
    let mut new = live.cloned().unwrap_or_else(|| thing(json!({})));
    new["spec"] = spec;
    update(&schema(), live, new, &writer(manager))
}

#[test]
fn an_applier_owns_what_it_applied_and_nothing_else() {
    let live = applied(None, "m", json!({"host": "x", "m": {"a": "1"}, "ports": [{"port": 80}]}));
    assert_eq!(
        live["metadata"]["managedFields"],
        json!([{
            "manager": "m", "operation": "Apply", "apiVersion": "t.example/v1",
            "time": "2026-01-01T00:00:00Z", "fieldsType": "FieldsV1",
            "fieldsV1": {"f:spec": {
                "f:host": {},
                "f:m": {"f:a": {}},
                "f:ports": {"k:{\"port\":80,\"protocol\":\"TCP\"}": {".": {}, "f:port": {}}},
            }},
        }])
    );
}

#[test]
fn an_update_owns_the_fields_on_the_way_too() {
    let live = updated(None, "u", json!({"host": "x", "m": {"a": "1"}, "tags": ["a"]}));
    assert_eq!(
        owned_by(&live, "u"),
        json!({"f:spec": {
            ".": {}, "f:host": {}, "f:m": {".": {}, "f:a": {}},
            "f:tags": {".": {}, "v:\"a\"": {}},
        }})
    );
}

#[test]
fn what_is_atomic_is_owned_as_one() {
    let live = applied(None, "m", json!({"atom": {"a": 1, "b": 2}, "args": ["1"], "free": {"l": [1]}}));
    assert_eq!(owned_by(&live, "m"), json!({"f:spec": {"f:atom": {}, "f:args": {}, "f:free": {"f:l": {}}}}));
}

#[test]
fn nobody_owns_what_names_the_object_or_is_the_servers() {
    let mut object = thing(json!({"host": "x"}));
    object["metadata"] = json!({
        "name": "a", "namespace": "n", "uid": "u", "resourceVersion": "1", "generation": 1,
        "creationTimestamp": "2026-01-01T00:00:00Z", "labels": {"l": "1"},
    });
    let live = apply(&schema(), None, &object, &writer("m"), false).expect("no conflict");
    let expected = json!({"f:metadata": {"f:labels": {"f:l": {}}}, "f:spec": {"f:host": {}}});
    assert_eq!(owned_by(&live, "m"), expected);
}

#[test]
fn a_repeated_apply_changes_not_a_bit() {
    let spec = json!({"host": "x", "tags": ["b", "a"], "ports": [{"port": 80}]});
    let live = applied(None, "m", spec.clone());
    let later = Writer { now: "2027-01-01T00:00:00Z", ..writer("m") };
    let again = apply(&schema(), Some(&live), &thing(spec), &later, false).expect("no conflict");
    assert_eq!(again.to_string(), live.to_string());
}

#[test]
fn who_applies_what_is_already_there_owns_it_too_but_never_changed_it() {
    let live = applied(None, "m1", json!({"host": "x"}));
    let shared = applied(Some(&live), "m2", json!({"host": "x"}));
    assert_eq!(owned_by(&shared, "m1"), owned_by(&shared, "m2"));
    let entries = &shared["metadata"]["managedFields"];
    assert_eq!(entries[0]["manager"], "m2", "an entry without a time sorts first");
    assert!(entries[0].get("time").is_none());
    assert_eq!(without_managers(shared), without_managers(live));
}

#[test]
fn what_is_no_longer_applied_goes_with_its_last_owner() {
    let live = applied(None, "m1", json!({"host": "x", "mode": "a", "sub": {"a": 1}, "m": {"k": "1"}}));
    let live = applied(Some(&live), "m2", json!({"mode": "a", "m": {"l": "2"}}));
    let live = applied(Some(&live), "m1", json!({"host": "x"}));
    assert_eq!(live["spec"], json!({"host": "x", "mode": "a", "m": {"l": "2"}}));
    let live = applied(Some(&live), "m2", json!({}));
    assert_eq!(live["spec"], json!({"host": "x"}));
}

#[test]
fn what_loses_all_it_had_but_is_still_applied_becomes_null() {
    let live = applied(None, "m", json!({"host": "x", "sub": {"a": 1}}));
    let live = applied(Some(&live), "m", json!({"host": "x", "sub": {}}));
    assert_eq!(live["spec"], json!({"host": "x", "sub": null}));
}

#[test]
fn what_nobody_owned_stays() {
    let mut live = applied(None, "m", json!({"host": "x"}));
    live["spec"]["replicas"] = json!(2);
    let live = applied(Some(&live), "m", json!({"mode": "a"}));
    assert_eq!(live["spec"], json!({"mode": "a", "replicas": 2}));
}

#[test]
fn an_item_stays_as_long_as_someone_owns_a_part_of_it() {
    let live = applied(None, "m1", json!({"ports": [{"port": 1}, {"port": 2, "name": "n"}]}));
    let live = applied(Some(&live), "m2", json!({"ports": [{"port": 2}]}));
    let live = applied(Some(&live), "m1", json!({"host": "x"}));
    assert_eq!(live["spec"]["ports"], json!([{"port": 2}]));
}

#[test]
fn a_conflict_names_the_other_manager_and_the_field() {
    let live = updated(None, "kubectl-client-side-apply", json!({"replicas": 1}));
    let error = refused(Some(&live), "m", json!({"replicas": 3}));
    assert_eq!(
        error.to_string(),
        "Apply failed with 1 conflict: conflict with \"kubectl-client-side-apply\" \
         using t.example/v1: .spec.replicas"
    );
    assert_eq!(
        error,
        ApplyError::Conflict(vec![Conflict {
            manager: "\"kubectl-client-side-apply\" using t.example/v1".to_owned(),
            field: ".spec.replicas".to_owned(),
        }])
    );
}

#[test]
fn several_conflicts_are_listed_by_manager() {
    let live = applied(None, "m1", json!({"host": "x", "ports": [{"port": 80, "name": "n"}]}));
    let live = updated(Some(&live), "u", {
        let mut spec = live["spec"].clone();
        spec["tags"] = json!(["a"]);
        spec["replicas"] = json!(1);
        spec
    });
    let ports = json!([{"port": 80, "name": "m"}]);
    let error = refused(Some(&live), "m2", json!({"host": "y", "replicas": 2, "ports": ports}));
    assert_eq!(
        error.to_string(),
        "Apply failed with 3 conflicts: conflicts with \"m1\":\n- .spec.host\n\
         - .spec.ports[port=80,protocol=\"TCP\"].name\n\
         conflicts with \"u\" using t.example/v1:\n- .spec.replicas"
    );
}

#[test]
fn force_takes_what_conflicts_and_leaves_the_rest() {
    let live = applied(None, "m1", json!({"host": "x", "mode": "a"}));
    let live = forced(&live, "m2", json!({"host": "y", "mode": "a"}));
    assert_eq!(live["spec"]["host"], "y");
    assert_eq!(owned_by(&live, "m1"), json!({"f:spec": {"f:mode": {}}}));
    assert_eq!(owned_by(&live, "m2"), json!({"f:spec": {"f:host": {}, "f:mode": {}}}));
}

#[test]
fn an_update_takes_what_it_changes_and_frees_what_it_removes() {
    let live = applied(None, "m", json!({"host": "x", "mode": "a", "m": {"k": "1"}}));
    let live = updated(Some(&live), "u", json!({"host": "y", "m": {"k": "1"}}));
    assert_eq!(owned_by(&live, "m"), json!({"f:spec": {"f:m": {"f:k": {}}}}));
    assert_eq!(owned_by(&live, "u"), json!({"f:spec": {"f:host": {}}}));
}

#[test]
fn an_update_that_changes_nothing_leaves_no_trace() {
    let live = applied(None, "m", json!({"host": "x"}));
    assert_eq!(updated(Some(&live), "u", live["spec"].clone()), live);
}

#[test]
fn updates_of_one_manager_are_one_entry_for_each_version_and_subresource() {
    let live = updated(None, "u", json!({"host": "x"}));
    let live = updated(Some(&live), "u", json!({"host": "x", "mode": "a"}));
    let mut new = live.clone();
    new["status"] = json!({"phase": "p"});
    let live = update(&schema(), Some(&live), new, &status_writer("u"));
    let mut new = live.clone();
    new["spec"]["opt"] = json!("o");
    let v2 = Writer { api_version: "t.example/v2", ..writer("u") };
    let live = update(&schema(), Some(&live), new, &v2);
    let entries = live["metadata"]["managedFields"].as_array().expect("a list");
    let shown: Vec<_> = entries
        .iter()
        .map(|entry| (entry["apiVersion"].as_str(), entry["subresource"].as_str(), &entry["fieldsV1"]))
        .collect();
    assert_eq!(
        shown,
        [
            (Some("t.example/v1"), None, &json!({"f:spec": {".": {}, "f:host": {}, "f:mode": {}}})),
            (Some("t.example/v1"), Some("status"), &json!({"f:status": {".": {}, "f:phase": {}}})),
            (Some("t.example/v2"), None, &json!({"f:spec": {"f:opt": {}}})),
        ]
    );
}

#[test]
fn each_endpoint_owns_only_what_it_can_change() {
    let mut object = thing(json!({"host": "x"}));
    object["status"] = json!({"phase": "p"});
    let live = apply(&schema(), None, &object, &writer("m"), false).expect("no conflict");
    assert_eq!(owned_by(&live, "m"), json!({"f:spec": {"f:host": {}}}));

    object["spec"]["host"] = json!("another");
    object["status"]["phase"] = json!("q");
    let live = apply(&schema(), Some(&live), &object, &status_writer("s"), false);
    let live = live.expect("the status endpoint meets no conflict in spec");
    assert_eq!(owned_by(&live, "s"), json!({"f:status": {"f:phase": {}}}));
}

#[test]
fn a_conflict_names_the_subresource() {
    let mut object = thing(json!({}));
    object["status"] = json!({"phase": "p"});
    let live = apply(&schema(), None, &object, &status_writer("s"), false).expect("no conflict");
    object["status"]["phase"] = json!("q");
    let error = apply(&schema(), Some(&live), &object, &status_writer("t"), false);
    assert_eq!(
        error.expect_err("a conflict").to_string(),
        "Apply failed with 1 conflict: conflict with \"s\" with subresource \"status\": \
         .status.phase"
    );
}

#[test]
fn a_write_undone_by_the_endpoints_reset_leaves_the_times_alone() {
    let live = applied(None, "m", json!({"host": "x"}));
    let mut object = thing(json!({"host": "x"}));
    object["status"] = json!({"phase": "p"});
    let later = Writer { now: "2027-01-01T00:00:00Z", ..writer("m") };
    let mut new = apply(&schema(), Some(&live), &object, &later, false).expect("no conflict");
    new.as_object_mut().expect("an object").remove("status");
    assert_ne!(new, live, "the time has moved");
    keep_times(&live, &mut new);
    assert_eq!(new, live);

    let mut new = applied(Some(&live), "m", json!({"host": "y"}));
    let expected = new.clone();
    keep_times(&live, &mut new);
    assert_eq!(new, expected, "a real change keeps its time");
}

#[test]
fn an_applier_is_the_same_in_every_version() {
    let live = applied(None, "m", json!({"host": "x", "mode": "a"}));
    let v2 = Writer { api_version: "t.example/v2", ..writer("m") };
    let live = apply(&schema(), Some(&live), &thing(json!({"host": "x"})), &v2, false);
    let live = live.expect("no conflict");
    assert_eq!(live["spec"], json!({"host": "x"}));
    let entries = live["metadata"]["managedFields"].as_array().expect("a list");
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0]["apiVersion"], "t.example/v2");
}

#[test]
fn what_is_owned_in_a_version_that_is_gone_is_forgotten() {
    let v0 = Writer { api_version: "t.example/v0", ..writer("old") };
    let live = apply(&schema(), None, &thing(json!({"host": "x"})), &v0, false).expect("created");
    let versions = [("t.example/v1".to_owned(), Arc::new(schema()))];
    let now = Writer { versions: &versions, ..writer("m") };
    let live = apply(&schema(), Some(&live), &thing(json!({"host": "y"})), &now, false);
    let live = live.expect("no conflict with a manager of the past");
    assert_eq!(owned_by(&live, "old"), Value::Null);
    assert_eq!(owned_by(&live, "m"), json!({"f:spec": {"f:host": {}}}));
}

#[test]
fn an_object_applied_for_the_first_time_was_owned_by_its_past() {
    let mut untracked = thing(json!({"host": "x", "mode": "a"}));
    untracked["metadata"]["uid"] = json!("u");
    let error = refused(Some(&untracked), "m", json!({"host": "y"}));
    assert_eq!(
        error.to_string(),
        "Apply failed with 1 conflict: conflict with \"before-first-apply\" using t.example/v1: \
         .spec.host"
    );
}

#[test]
fn an_object_that_is_not_tracked_is_not_tracked_by_an_update() {
    let mut untracked = thing(json!({"host": "x"}));
    untracked["metadata"]["uid"] = json!("u");
    let live = updated(Some(&untracked), "u", json!({"host": "y"}));
    assert!(live["metadata"].get("managedFields").is_none());
}

#[test]
fn an_empty_entry_ends_tracking_and_an_empty_list_does_not() {
    let mut live = applied(None, "m", json!({"host": "x"}));
    live["metadata"]["uid"] = json!("u");
    let reset = |managers: Value| {
        let mut new = live.clone();
        new["metadata"]["managedFields"] = managers;
        update(&schema(), Some(&live), new, &writer("u"))["metadata"]["managedFields"].clone()
    };
    assert_eq!(reset(json!([{}])), Value::Null);
    assert_eq!(reset(json!([])), live["metadata"]["managedFields"]);
}

#[test]
fn managed_fields_of_an_update_count_unless_they_are_nonsense() {
    let live = applied(None, "m", json!({"host": "x"}));
    let mut new = live.clone();
    new["metadata"]["managedFields"][0]["manager"] = json!("renamed");
    let renamed = update(&schema(), Some(&live), new, &writer("u"));
    assert_eq!(owned_by(&renamed, "renamed"), json!({"f:spec": {"f:host": {}}}));

    let mut new = live.clone();
    new["metadata"]["managedFields"][0]["fieldsType"] = json!("FieldsV9");
    assert_eq!(update(&schema(), Some(&live), new, &writer("u")), live);
}

#[test]
fn what_is_applied_may_not_state_its_managers() {
    let mut object = thing(json!({"host": "x"}));
    object["metadata"]["managedFields"] = json!([]);
    let error = apply(&schema(), None, &object, &writer("m"), false).expect_err("refused");
    assert_eq!(error, ApplyError::BadRequest("metadata.managedFields must be nil".to_owned()));
}

#[test]
fn what_does_not_fit_the_schema_is_no_patch() {
    let problem = |spec: Value| {
        let error = refused(None, "m", spec).to_string();
        let (prefix, problem) = error.split_once("): ").expect("a prefix");
        assert_eq!(prefix, "failed to create typed patch object (/a; t.example/v1, Kind=Thing");
        problem.to_owned()
    };
    let twice = json!({"ports": [{"port": 80}, {"port": 80, "protocol": "TCP"}]});
    assert_eq!(problem(twice), ".spec.ports: duplicate entries for key [port=80,protocol=\"TCP\"]");
    assert_eq!(problem(json!({"tags": ["a", "a"]})), ".spec.tags: duplicate entries for key [=\"a\"]");
    assert_eq!(problem(json!({"zz": 1})), ".spec.zz: field not declared in schema");
    assert_eq!(
        problem(json!({"host": 5, "sub": "x", "tags": "x", "replicas": "1"})),
        "errors:\n  .spec.host: expected string, got &value.valueUnstructured{Value:5}\n  \
         .spec.replicas: expected numeric (int or float), got string\n  \
         .spec.sub: expected map, got &{x}\n  .spec.tags: expected list, got &{x}"
    );
}

#[test]
fn the_applied_order_rules_and_what_only_lives_keeps_its_place() {
    let live = applied(None, "m1", json!({"tags": ["a", "b", "c", "d"]}));
    let live = applied(Some(&live), "m2", json!({"tags": ["d", "e", "b"]}));
    assert_eq!(live["spec"]["tags"], json!(["a", "c", "d", "e", "b"]));
}

#[test]
fn an_item_that_lives_twice_is_owned_as_one_and_may_be_replaced() {
    let twice = json!([{"port": 1, "name": "p"}, {"port": 1, "protocol": "TCP", "name": "q"}]);
    let live = updated(None, "u", json!({"ports": twice}));
    let step = "k:{\"port\":1,\"protocol\":\"TCP\"}";
    assert_eq!(owned_by(&live, "u")["f:spec"]["f:ports"][step], json!({}));
    let live = forced(&live, "m", json!({"ports": [{"port": 1, "name": "r"}]}));
    assert_eq!(live["spec"]["ports"], json!([{"port": 1, "name": "r"}]));
}

#[test]
fn the_oldest_of_many_updates_become_ancient_changes() {
    let mut live = updated(None, "u0", json!({"host": "x"}));
    for number in 1..=11 {
        let mut new = live.clone();
        new["metadata"]["labels"][format!("l{number}")] = json!("1");
        live = update(&schema(), Some(&live), new, &writer(&format!("u{number}")));
    }
    let managers: Vec<_> = live["metadata"]["managedFields"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|entry| entry["manager"].as_str().expect("a name"))
        .collect();
    assert_eq!(managers, ["ancient-changes", "u11", "u2", "u3", "u4", "u5", "u6", "u7", "u8", "u9"]);
    assert_eq!(
        owned_by(&live, "ancient-changes"),
        json!({
            "f:metadata": {"f:labels": {".": {}, "f:l1": {}, "f:l10": {}}},
            "f:spec": {".": {}, "f:host": {}},
        })
    );
}

#[test]
fn an_object_of_which_nothing_is_known_merges_its_maps_and_replaces_its_lists() {
    let free = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let schema = Schema::from_crd(&free).expect("readable");
    let apply = |live: Option<&Value>, manager, spec| {
        apply(&schema, live, &thing(spec), &writer(manager), true).expect("forced")
    };
    let live = apply(None, "m1", json!({"a": {"b": 1}, "l": [{"x": 1}]}));
    let live = apply(Some(&live), "m2", json!({"a": {"c": 2}, "l": [{"y": 2}]}));
    assert_eq!(live["spec"], json!({"a": {"b": 1, "c": 2}, "l": [{"y": 2}]}));
}
