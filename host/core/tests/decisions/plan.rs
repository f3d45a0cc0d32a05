//! The plan, applied to a model of the server.

use proptest::prelude::*;
use serde_json::{Value, json};
use trimtab_core::{
    answer::Desired,
    fixed::FixedPoints,
    id::{GroupKind, InstanceId, Place},
    marks,
    plan::{Input, Plan, plan},
    write::{Action, Write},
};

use crate::{
    given::{World, config_map},
    server::Server,
};

/// The methods, by the kind that the plugin declared with each.
const IN_PLACE: (&str, &str) = ("apps/v1", "Deployment");
const RECREATE: (&str, &str) = ("batch/v1", "Job");
const ON_DELETE: (&str, &str) = ("v1", "Note");

fn child((api_version, kind): (&str, &str), name: &str, spec: &str) -> Value {
    json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": name}, "spec": {"say": spec}})
}

fn place((api_version, kind): (&str, &str), name: &str) -> Place {
    Place { kind: GroupKind::new(api_version, kind), namespace: "n".into(), name: name.into() }
}

fn desired(world: &World, children: &[Value]) -> Vec<Desired> {
    world.check(children).unwrap().children
}

fn planned(world: &World, server: &Server, children: &[Value], fixed: &FixedPoints) -> Plan {
    plan(&Input {
        owner: &world.owner(),
        kinds: &world.kinds,
        desired: &desired(world, children),
        children: &server.children("u1"),
        at: &|spec, place| server.at(spec, place),
        inherit: &world.inherit,
        fixed,
        ending: world.object.meta.deleting,
        rollout: None,
    })
}

/// Does all writes of a plan; each must find what it was planned for.
fn carry_out(plan: &Plan, server: &mut Server, fixed: &mut FixedPoints) {
    for write in &plan.writes {
        let answer = server.write(write).unwrap();
        fixed.learn(write, answer.as_ref());
    }
}

/// One look: plan and carry out.
fn look(world: &World, server: &mut Server, children: &[Value], fixed: &mut FixedPoints) -> Plan {
    let plan = planned(world, server, children, fixed);
    carry_out(&plan, server, fixed);
    plan
}

/// A server on which these children have been made.
fn made(world: &World, children: &[Value]) -> Server {
    let mut server = Server::default();
    look(world, &mut server, children, &mut FixedPoints::default());
    server
}

fn fresh() -> FixedPoints {
    FixedPoints::default()
}

/// What a plan does, in words.
fn words(plan: &Plan) -> Vec<String> {
    let word = |write: &Write| match write.action {
        Action::Create { .. } => format!("create {}", write.place),
        Action::Apply { .. } => format!("apply {}", write.place),
        Action::Delete { .. } => format!("delete {}", write.place),
        _ => format!("{write:?}"),
    };
    plan.writes.iter().map(word).collect()
}

#[test]
fn a_child_is_made_with_all_marks_and_then_rests() {
    let world = World::site();
    let children = [config_map("x", json!({"k": "v"}))];
    let first = planned(&world, &Server::default(), &children, &fresh());
    let [Write { action: Action::Create { body }, version, manager, .. }] = first.writes.as_slice() else {
        panic!("{first:?}")
    };
    assert_eq!((version.as_str(), manager.as_str()), ("v1", "trimtab/site"));
    assert_eq!(body["data"], json!({"k": "v"}));
    assert_eq!(body["metadata"]["labels"], json!({"trimtab.dev/plugin": "site"}));
    assert_eq!(body["metadata"]["ownerReferences"][0]["uid"], "u1");
    assert!(body["metadata"]["annotations"][marks::INTENT].is_string());
    assert!(planned(&world, &made(&world, &children), &children, &fresh()).is_settled());
}

#[test]
fn what_is_no_longer_desired_is_deleted_before_anything_is_made() {
    let world = World::site();
    let server = made(&world, &[config_map("x", json!({})), config_map("y", json!({}))]);
    let plan = planned(&world, &server, &[config_map("a", json!({})), config_map("y", json!({}))], &fresh());
    assert_eq!(words(&plan), ["delete ConfigMap n/x", "create ConfigMap n/a"]);
    let seen = server.read(&place(("v1", "ConfigMap"), "x")).unwrap().meta;
    let Action::Delete { seen: precondition } = &plan.writes[0].action else { panic!() };
    assert_eq!((&precondition.uid, precondition.resource_version), (&seen.uid, seen.resource_version));
}

#[test]
fn an_edited_child_is_put_right_in_place_and_what_others_added_stays() {
    let world = World::site();
    for method in [IN_PLACE, RECREATE] {
        let children = [child(method, "x", "hello")];
        let mut server = made(&world, &children);
        server.edit(&place(method, "x"), |fields| fields["spec"]["say"] = json!("edited"));
        assert_eq!(look(&world, &mut server, &children, &mut fresh()).writes.len(), 1);
        let live = server.read(&place(method, "x")).unwrap().value();
        assert_eq!((&live["spec"]["say"], &live["more"]["theirs"]), (&json!("hello"), &json!(1)));
        assert!(planned(&world, &server, &children, &fresh()).is_settled());
    }
}

#[test]
fn a_field_that_is_no_longer_desired_is_taken_away() {
    let world = World::site();
    let mut server = made(&world, &[config_map("x", json!({"a": "1", "b": "2"}))]);
    let plan = look(&world, &mut server, &[config_map("x", json!({"a": "1"}))], &mut fresh());
    assert_eq!(words(&plan), ["apply ConfigMap n/x"]);
    assert_eq!(server.read(&plan.writes[0].place).unwrap().value()["data"], json!({"a": "1"}));
}

#[test]
fn a_recreated_child_is_deleted_now_and_made_when_it_is_gone() {
    let world = World::site();
    let mut server = made(&world, &[child(RECREATE, "x", "old")]);
    server.linger(&place(RECREATE, "x"), false);
    let children = [child(RECREATE, "x", "new")];
    let plan = look(&world, &mut server, &children, &mut fresh());
    assert_eq!(words(&plan), ["delete Job.batch n/x"]);
    assert_eq!(plan.waiting.len(), 1);
    let while_it_goes = planned(&world, &server, &children, &fresh());
    assert_eq!((words(&while_it_goes), while_it_goes.waiting[0].why), (vec![], "it is being deleted"));
    server.collect(|_| false);
    assert_eq!(words(&look(&world, &mut server, &children, &mut fresh())), ["create Job.batch n/x"]);
}

#[test]
fn a_move_to_another_instance_recreates_nothing() {
    let mut world = World::site();
    let children = [child(RECREATE, "x", "hello"), child(IN_PLACE, "x", "hello")];
    let mut server = made(&world, &children);
    for (instance, label) in [("canary", Some("canary")), ("", None)] {
        world.instance = InstanceId::new(instance).unwrap();
        let plan = look(&world, &mut server, &children, &mut fresh());
        assert_eq!(words(&plan), ["apply Job.batch n/x", "apply Deployment.apps n/x"]);
        assert_eq!(server.read(&place(RECREATE, "x")).unwrap().meta.label(marks::INSTANCE_LABEL), label);
    }
}

#[test]
fn a_recreated_child_that_lost_its_mark_gets_it_back_if_it_is_as_desired() {
    let world = World::site();
    let children = [child(RECREATE, "x", "hello")];
    let lose = |server: &mut Server, say: &str| {
        server.edit(&place(RECREATE, "x"), |fields| {
            fields["metadata"]["annotations"].as_object_mut().unwrap().remove(marks::INTENT);
            fields["spec"]["say"] = json!(say);
        });
    };
    let mut server = made(&world, &children);
    lose(&mut server, "hello");
    assert_eq!(words(&planned(&world, &server, &children, &fresh())), ["apply Job.batch n/x"]);
    lose(&mut server, "something else");
    assert_eq!(words(&planned(&world, &server, &children, &fresh())), ["delete Job.batch n/x"]);
}

#[test]
fn on_delete_never_updates() {
    let world = World::site();
    let mut server = made(&world, &[child(ON_DELETE, "x", "old")]);
    assert!(planned(&world, &server, &[child(ON_DELETE, "x", "new")], &fresh()).is_settled());
    assert_eq!(words(&look(&world, &mut server, &[], &mut fresh())), ["delete Note n/x"]);
    assert_eq!(words(&planned(&world, &server, &[child(ON_DELETE, "x", "new")], &fresh())), ["create Note n/x"]);
}

#[test]
fn for_an_owner_that_goes_nothing_is_made_or_updated_but_the_undesired_is_deleted() {
    let world = World::site();
    let server = made(&world, &[config_map("x", json!({})), config_map("y", json!({"a": "1"}))]);
    let going = World::site_with(json!({"deletionTimestamp": "2026-01-01T00:00:00Z"}));
    let plan = planned(&going, &server, &[config_map("y", json!({"a": "2"})), config_map("z", json!({}))], &fresh());
    assert_eq!(words(&plan), ["delete ConfigMap n/x"]);
}

#[test]
fn children_of_an_earlier_object_are_waited_for() {
    let mut earlier = World::site();
    earlier.object.meta.uid = trimtab_core::id::Uid::new("u0");
    let children = [config_map("x", json!({}))];
    let mut server = made(&earlier, &children);
    let world = World::site();
    let plan = planned(&world, &server, &children, &fresh());
    assert_eq!((words(&plan), plan.waiting.len()), (vec![], 1));
    server.collect(|uid| uid == "u0");
    assert_eq!(words(&planned(&world, &server, &children, &fresh())), ["create ConfigMap n/x"]);
}

#[test]
fn what_is_not_ours_is_a_conflict_that_names_whose_and_does_not_stop_the_others() {
    let world = World::site();
    let mut server = Server::default();
    server.put(&place(("v1", "ConfigMap"), "x"), "v1", json!({}));
    let plan = planned(&world, &server, &[config_map("x", json!({})), config_map("y", json!({}))], &fresh());
    assert_eq!(words(&plan), ["create ConfigMap n/y"]);
    assert_eq!(plan.conflicts[0].whose, "it belongs to nobody (`adopt` in the plugin's policy takes it over)");
}

/// A world whose policy adopts all kinds, and a server with these at their places.
fn adopting(there: &[((&str, &str), Value)]) -> (World, Server) {
    let mut world = World::site();
    world.kinds.iter_mut().for_each(|spec| spec.adopt = true);
    let mut server = Server::default();
    for (kind, fields) in there {
        server.put(&place(*kind, "x"), kind.0, fields.clone());
    }
    (world, server)
}

#[test]
fn what_belongs_to_nobody_is_taken_over_in_place_where_the_policy_says_so() {
    for method in [IN_PLACE, RECREATE] {
        let (world, mut server) = adopting(&[(method, json!({"spec": {"say": "old"}}))]);
        let before = server.read(&place(method, "x")).unwrap();
        let children = [child(method, "x", "hello")];
        let plan = look(&world, &mut server, &children, &mut fresh());
        let [Write { action: Action::Apply { seen, .. }, .. }] = plan.writes.as_slice() else { panic!("{plan:?}") };
        assert_eq!((&seen.uid, seen.resource_version), (&before.meta.uid, before.meta.resource_version));
        let live = server.read(&place(method, "x")).unwrap();
        assert_eq!((&live.value()["spec"]["say"], &live.value()["more"]["theirs"]), (&json!("hello"), &json!(1)));
        assert_eq!(live.meta.controller().unwrap().uid.as_str(), "u1");
        assert!(planned(&world, &server, &children, &fresh()).is_settled());
    }
}

#[test]
fn what_is_never_updated_is_taken_over_as_it_is() {
    let (world, mut server) = adopting(&[(ON_DELETE, json!({"spec": {"say": "old"}}))]);
    let children = [child(ON_DELETE, "x", "hello")];
    let plan = look(&world, &mut server, &children, &mut fresh());
    let [Write { action: Action::Apply { body, .. }, .. }] = plan.writes.as_slice() else { panic!("{plan:?}") };
    assert_eq!((body.get("spec"), &body["metadata"]["ownerReferences"][0]["uid"]), (None, &json!("u1")));
    assert_eq!(body["metadata"]["annotations"].get(marks::INTENT), None, "it does not show what is wished");
    assert!(planned(&world, &server, &children, &fresh()).is_settled());
    assert_eq!(words(&planned(&world, &server, &[], &fresh())), ["delete Note n/x"]);
}

#[test]
fn what_belongs_to_someone_is_a_conflict_even_where_the_policy_adopts() {
    let owner = json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "b", "uid": "u9", "controller": true});
    for metadata in [
        json!({"ownerReferences": [owner]}),
        json!({"labels": {marks::PLUGIN_LABEL: "blog"}}),
        json!({"labels": {marks::PLUGIN_LABEL: "site"}}),
        json!({"annotations": {marks::OWNER: "of another release"}}),
        json!({"annotations": {marks::INTENT: "x"}}),
        json!({"deletionTimestamp": "2026-01-01T00:00:00Z"}),
    ] {
        let (world, server) = adopting(&[(IN_PLACE, json!({ "metadata": metadata }))]);
        let plan = planned(&world, &server, &[child(IN_PLACE, "x", "hello")], &fresh());
        assert_eq!((words(&plan), plan.conflicts.len()), (vec![], 1), "{metadata}");
    }
}

/// A world that inherits, or not, and a server with what another controller made
/// under its owner.
fn inheriting(inherit: bool) -> (World, Server) {
    let mut world = World::site();
    if inherit {
        world.inherit.children = world.kinds.iter().map(|spec| spec.kind.id.clone()).collect();
    }
    let mut server = Server::default();
    let owner = json!({"apiVersion": "demo.dev/v1", "kind": "Site", "name": "a", "uid": "u1", "controller": true});
    for kind in [IN_PLACE, RECREATE, ON_DELETE] {
        let fields = json!({"metadata": {"ownerReferences": [owner]}, "spec": {"say": "old"}});
        server.put(&place(kind, "x"), kind.0, fields);
    }
    (world, server)
}

#[test]
fn what_another_controller_made_under_the_owner_is_inherited_in_place_where_the_policy_says_so() {
    let (world, mut server) = inheriting(true);
    let children = [IN_PLACE, RECREATE, ON_DELETE].map(|kind| child(kind, "x", "hello"));
    let uids = |server: &Server| {
        [IN_PLACE, RECREATE, ON_DELETE].map(|kind| server.read(&place(kind, "x")).unwrap().meta.uid.clone())
    };
    let before = uids(&server);
    let plan = look(&world, &mut server, &children, &mut fresh());
    assert_eq!(words(&plan), ["apply Deployment.apps n/x", "apply Job.batch n/x", "apply Note n/x"]);
    assert_eq!(uids(&server), before);
    let Action::Apply { body, .. } = &plan.writes[2].action else { panic!("{plan:?}") };
    assert_eq!(body.get("spec"), None, "what is never updated is only made ours");
    assert!(planned(&world, &server, &children, &fresh()).is_settled());
}

#[test]
fn what_is_inherited_and_not_desired_goes_and_without_the_policy_it_is_not_ours() {
    let (world, server) = inheriting(true);
    let goes = ["delete Note n/x", "delete Deployment.apps n/x", "delete Job.batch n/x"];
    assert_eq!(words(&planned(&world, &server, &[], &fresh())), goes);
    let (world, server) = inheriting(false);
    assert!(planned(&world, &server, &[], &fresh()).is_settled());
    let plan = planned(&world, &server, &[child(IN_PLACE, "x", "hello")], &fresh());
    assert_eq!((words(&plan), plan.conflicts.len()), (vec![], 1));
}

#[test]
fn children_of_kinds_that_are_not_declared_are_left_alone() {
    let mut world = World::site();
    let server = made(&world, &[config_map("x", json!({}))]);
    world.kinds.retain(|spec| *spec.kind.id.kind != *"ConfigMap");
    assert!(planned(&world, &server, &[], &fresh()).is_settled());
}

#[test]
fn a_child_that_the_server_writes_in_another_way_is_not_applied_again() {
    let world = World::site();
    let children = [config_map("x", json!({"cpu": "1000m"}))];
    let (mut server, mut fixed) = (Server::default(), fresh());
    look(&world, &mut server, &children, &mut fixed);
    assert!(planned(&world, &server, &children, &fixed).is_settled());

    // A restart forgets; one apply that changes nothing teaches it again.
    let before = server.read(&place(("v1", "ConfigMap"), "x")).unwrap();
    let mut restarted = fresh();
    assert_eq!(words(&look(&world, &mut server, &children, &mut restarted)), ["apply ConfigMap n/x"]);
    assert_eq!(server.read(&before.meta.place).unwrap().meta.resource_version, before.meta.resource_version);
    assert!(planned(&world, &server, &children, &restarted).is_settled());

    server.edit(&before.meta.place, |fields| fields["data"]["cpu"] = json!("2"));
    assert_eq!(words(&planned(&world, &server, &children, &restarted)), ["apply ConfigMap n/x"]);
}

/// What lies at a place before the plan is made.
#[derive(Debug, Clone, Copy, PartialEq)]
enum There {
    Nothing,
    Ours { said: u8, edited: bool, deleting: bool },
    Earlier,
    OtherOwner,
    OtherLineage,
    Unmarked,
}

impl There {
    fn is_foreign(self) -> bool {
        matches!(self, Self::OtherOwner | Self::OtherLineage | Self::Unmarked)
    }
}

/// One place: its method, what lies there, what is desired.
type Spot = ((&'static str, &'static str), There, Option<u8>);

fn any_there() -> impl Strategy<Value = There> {
    prop_oneof![
        2 => Just(There::Nothing),
        5 => (0..3u8, any::<bool>(), prop::bool::weighted(0.2))
            .prop_map(|(said, edited, deleting)| There::Ours { said, edited, deleting }),
        1 => Just(There::Earlier),
        1 => Just(There::OtherOwner),
        1 => Just(There::OtherLineage),
        1 => Just(There::Unmarked),
    ]
}

fn any_spots(methods: &'static [(&'static str, &'static str)]) -> impl Strategy<Value = Vec<Spot>> {
    let method = prop::sample::select(methods);
    prop::collection::vec((method, any_there(), prop::option::weighted(0.7, 0..3u8)), 0..5)
}

fn name(at: usize) -> String {
    format!("x{at}")
}

/// `1000m` is what the server writes in another way.
fn wish(method: (&str, &str), at: usize, said: u8) -> Value {
    child(method, &name(at), ["hello", "bye", "1000m"][usize::from(said)])
}

fn wishes(spots: &[Spot]) -> Vec<Value> {
    let wished = spots.iter().enumerate();
    wished.filter_map(|(at, (method, _, said))| said.map(|said| wish(*method, at, said))).collect()
}

/// A server on which each spot is as described.
fn arranged(spots: &[Spot]) -> Server {
    let mut server = Server::default();
    for (at, (method, there, _)) in spots.iter().enumerate() {
        let place = place(*method, &name(at));
        let mut maker = World::site();
        let said = if let There::Ours { said, .. } = there { *said } else { 0 };
        match there {
            There::Earlier => maker.object.meta.uid = trimtab_core::id::Uid::new("u0"),
            There::OtherLineage => maker.lineage = trimtab_core::id::Lineage::new("blog").unwrap(),
            There::OtherOwner => {
                maker.object.meta.place.name = "b".into();
                maker.object.meta.uid = trimtab_core::id::Uid::new("u2");
            }
            There::Nothing | There::Ours { .. } | There::Unmarked => {}
        }
        match there {
            There::Nothing => {}
            There::Unmarked => server.put(&place, method.0, json!({"spec": {"say": "hello"}})),
            _ => {
                let input = desired(&maker, &[wish(*method, at, said)]);
                let plan = plan(&Input {
                    owner: &maker.owner(),
                    kinds: &maker.kinds,
                    desired: &input,
                    children: &[],
                    at: &|_, _| None,
                    inherit: &maker.inherit,
                    fixed: &fresh(),
                    ending: false,
                    rollout: None,
                });
                carry_out(&plan, &mut server, &mut fresh());
            }
        }
        if let There::Ours { edited, deleting, .. } = there {
            if *edited {
                server.edit(&place, |fields| fields["spec"]["say"] = json!("edited"));
            }
            if *deleting {
                server.linger(&place, true);
            }
        }
    }
    server
}

/// What a spot holds in the end.
fn check_end(world: &World, server: &Server, start: &Server, at: usize, spot: &Spot) -> Result<(), TestCaseError> {
    let (method, there, said) = spot;
    let place = place(*method, &name(at));
    let end = server.read(&place);
    if there.is_foreign() {
        prop_assert_eq!(end.unwrap().text, start.read(&place).unwrap().text);
        return Ok(());
    }
    let kept = *method == ON_DELETE && matches!(there, There::Ours { deleting: false, .. });
    match (said, end) {
        (None, end) => prop_assert!(end.is_none(), "{place} is still there"),
        (Some(_), Some(end)) if kept => prop_assert_eq!(end.text, start.read(&place).unwrap().text),
        (Some(said), Some(end)) => {
            let wanted = wish(*method, at, *said)["spec"]["say"].as_str().unwrap().replace("1000m", "1");
            prop_assert_eq!(&end.value()["spec"]["say"], &json!(wanted));
            prop_assert_eq!(world.owner().whose(&end.meta), trimtab_core::ownership::Whose::Ours);
        }
        (Some(_), None) => prop_assert!(false, "{place} lacks"),
    }
    Ok(())
}

proptest! {
    #[test]
    fn a_plan_that_was_carried_out_leaves_nothing_to_do(spots in any_spots(&[IN_PLACE])) {
        let world = World::site();
        let (mut server, mut fixed, wishes) = (arranged(&spots), fresh(), wishes(&spots));
        look(&world, &mut server, &wishes, &mut fixed);
        prop_assert_eq!(words(&planned(&world, &server, &wishes, &fixed)), Vec::<String>::new());
    }

    #[test]
    fn a_few_looks_lead_from_anywhere_to_what_is_desired(spots in any_spots(&[IN_PLACE, RECREATE, ON_DELETE])) {
        let world = World::site();
        let (start, mut fixed, wishes) = (arranged(&spots), fresh(), wishes(&spots));
        let mut server = start.clone();
        // Delete or wait; make; rest.
        for _ in 0..2 {
            look(&world, &mut server, &wishes, &mut fixed);
            server.collect(|uid| uid == "u0");
        }
        let rest = planned(&world, &server, &wishes, &fixed);
        prop_assert_eq!((words(&rest), rest.waiting), (vec![], vec![]));
        for (at, spot) in spots.iter().enumerate() {
            check_end(&world, &server, &start, at, spot)?;
        }
    }

    #[test]
    fn a_plan_touches_nothing_that_is_not_owned(spots in any_spots(&[IN_PLACE, RECREATE, ON_DELETE])) {
        let world = World::site();
        let server = arranged(&spots);
        let plan = planned(&world, &server, &wishes(&spots), &fresh());
        for write in &plan.writes {
            let at = write.place.name[1..].parse::<usize>().unwrap();
            let there = spots[at].1;
            match (&write.action, server.read(&write.place)) {
                (Action::Create { .. }, None) => prop_assert_eq!(there, There::Nothing),
                (Action::Apply { seen, .. } | Action::Delete { seen }, Some(live)) => {
                    prop_assert!(matches!(there, There::Ours { deleting: false, .. }), "{:?}", there);
                    prop_assert_eq!(&seen.uid, &live.meta.uid);
                    prop_assert_eq!(seen.resource_version, live.meta.resource_version);
                }
                (action, live) => prop_assert!(false, "{action:?} on {live:?}"),
            }
        }
        let taken = spots.iter().filter(|(_, there, said)| there.is_foreign() && said.is_some()).count();
        prop_assert_eq!(plan.conflicts.len(), taken);
    }
}
