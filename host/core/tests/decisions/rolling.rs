//! Rolling updates, look by look on a model of the server: some ConfigMaps that
//! say what their object says, and are ready when somebody says so.

use std::{collections::BTreeMap, sync::Arc};

use proptest::prelude::*;
use serde_json::{Value, json};
use trimtab_core::{
    answer::Desired,
    description::Update,
    fixed::FixedPoints,
    id::{GroupKind, Place},
    marks,
    plan::{ChildSpec, Input, Plan, plan},
    rollout::{Check, Counts, Marked, MaxUnavailable, Revision, Rolling, Rollout, keep},
    write::Action,
};

use crate::{
    given::{World, config_map, kind},
    server::Server,
};

/// The object, its server, and the kinds: those of the plugin and that of revisions.
struct Scene {
    world: World,
    server: Server,
    children: usize,
}

impl Scene {
    fn new(children: usize, update: Update, max: u32) -> Self {
        let mut world = World::site();
        let ready = vec![Check::read(&json!({"type": "Ready"})).unwrap()];
        let config_maps = &mut world.kinds[0];
        config_maps.update = update;
        config_maps.rolling = Rolling { max_unavailable: MaxUnavailable::Count(max), ready };
        let revisions = Arc::new(kind("apps/v1", "ControllerRevision", true, false));
        world.kinds.push(ChildSpec { kind: revisions, update: Update::InPlace, ..world.kinds[1].clone() });
        Self { world, server: Server::default(), children }
    }

    fn place(at: usize) -> Place {
        Place { kind: GroupKind::new("v1", "ConfigMap"), namespace: "n".into(), name: format!("c{at}").into() }
    }

    fn wanted(&self, say: &Value) -> Vec<Desired> {
        let child = |at| config_map(&format!("c{at}"), json!({ "say": say }));
        self.world.check(&(0..self.children).map(child).collect::<Vec<_>>()).unwrap().children
    }

    /// One look at an object that says `say`, as the engine makes it.
    fn look(&mut self, say: &str) -> Plan {
        let (world, paths) = (&self.world, ["spec".to_owned()]);
        let owner = world.owner();
        let children = self.server.children("u1");
        let before = children.iter().filter_map(|child| Revision::read(child)).map(|it| (it.name.clone(), it));
        let before = before.collect::<BTreeMap<_, _>>();
        let object = json!({ "spec": { "say": say } });
        let latest = Revision::latest(&owner, &object, &paths, &before);
        let mut desired = self.wanted(&object["spec"]["say"]);
        let marked = Marked::of(&owner, &world.kinds, &children, &desired);
        let earlier = marked.behind.iter().filter_map(|name| before.get(*name)).map(|revision| {
            let object = revision.restore(&object, &paths);
            let wanted = self.wanted(&object["spec"]["say"]).into_iter();
            let marked = wanted.map(|it| Desired { revision: Some(revision.name.as_str().into()), ..it });
            (revision.name.clone(), marked.map(|it| (it.place.clone(), it)).collect())
        });
        let rollout = Rollout { kept: before.contains_key(&latest.name), earlier: earlier.collect() };
        desired.iter_mut().for_each(|it| it.revision = Some(latest.name.as_str().into()));
        desired.extend(keep(&owner, world.kinds.len() - 1, &latest, &before, &marked));
        let plan = plan(&Input {
            owner: &owner,
            kinds: &world.kinds,
            desired: &desired,
            children: &children,
            at: &|spec, place| self.server.at(spec, place),
            inherit: &world.inherit,
            fixed: &FixedPoints::default(),
            ending: false,
            rollout: Some(&rollout),
        });
        plan.writes.iter().for_each(|write| _ = self.server.write(write).unwrap());
        plan
    }

    fn is_ready(&mut self, at: usize) {
        let condition = json!({ "conditions": [{ "type": "Ready", "status": "True" }] });
        if self.server.read(&Self::place(at)).is_some() {
            self.server.edit(&Self::place(at), |fields| _ = fields.insert("status".into(), condition));
        }
    }

    /// Looks until nothing is written.
    fn settle(&mut self, say: &str) -> Plan {
        for _ in 0..10 {
            let plan = self.look(say);
            if plan.writes.is_empty() {
                return plan;
            }
        }
        panic!("it does not settle");
    }

    /// Everything on `say`, and ready.
    fn rolled_out(mut self, say: &str) -> Self {
        self.settle(say);
        (0..self.children).for_each(|at| self.is_ready(at));
        self.settle(say);
        self
    }

    /// What each child says, and how many of those that say `say` or nothing are not ready.
    fn said(&self, say: &str) -> (Vec<String>, usize) {
        let read = |at| self.server.read(&Self::place(at)).map(|it| it.value()).unwrap_or_default();
        let all = (0..self.children).map(read).collect::<Vec<_>>();
        let word = |child: &Value| child["data"]["say"].as_str().unwrap_or_default().to_owned();
        let away = all.iter().filter(|child| child.get("status").is_none() && [say, ""].contains(&&*word(child)));
        (all.iter().map(word).collect(), away.count())
    }

    fn revisions(&self) -> usize {
        self.server.children("u1").iter().filter(|child| &*child.meta.place.kind.kind == "ControllerRevision").count()
    }
}

fn counts(plan: &Plan) -> (usize, usize, usize) {
    let Counts { all, latest, moving } = plan.progress.as_ref().unwrap().counts;
    (all, latest, moving)
}

#[test]
fn a_revision_is_kept_before_any_child_carries_its_name_and_all_are_made_at_once() {
    let mut scene = Scene::new(3, Update::RollingInPlace, 1);
    let first = scene.look("a");
    assert_eq!(first.writes.len(), 1);
    assert_eq!(&*first.writes[0].place.kind.kind, "ControllerRevision");
    assert_eq!(scene.look("a").writes.len(), 3);
    let marked = scene.server.read(&Scene::place(0)).unwrap();
    assert_eq!(marked.meta.mark(marks::REVISION), Some(&*first.writes[0].place.name));
}

#[test]
fn children_are_moved_one_by_one_in_the_order_of_the_answer_as_they_become_ready() {
    let mut scene = Scene::new(3, Update::RollingInPlace, 1).rolled_out("a");
    let paused = scene.settle("b");
    assert_eq!(scene.said("b"), (vec!["b".into(), "a".into(), "a".into()], 1));
    assert_eq!((counts(&paused), paused.waiting.len()), ((3, 1, 0), 2));
    assert_eq!(paused.progress.unwrap().waits_for, Some(Scene::place(0)));
    scene.is_ready(0);
    assert_eq!(counts(&scene.look("b")), (3, 1, 1));
    scene.is_ready(1);
    scene.settle("b");
    scene.is_ready(2);
    assert_eq!(counts(&scene.settle("b")), (3, 3, 0));
    assert_eq!(scene.revisions(), 1, "the one that nobody uses any more is deleted");
}

#[test]
fn a_change_in_the_middle_takes_all_to_the_newest_and_keeps_what_is_in_use() {
    let mut scene = Scene::new(3, Update::RollingInPlace, 1).rolled_out("a");
    scene.settle("b");
    scene.settle("c");
    assert_eq!(scene.said("c").0, ["c", "a", "a"], "what never became ready is mended first");
    assert_eq!(scene.revisions(), 2, "the first and the newest");
    for at in 0..3 {
        scene.is_ready(at);
        scene.settle("c");
    }
    assert_eq!((scene.said("c").0, scene.revisions()), (vec!["c".to_owned(); 3], 1));
}

#[test]
fn who_waits_for_his_turn_is_held_to_what_he_was_made_from() {
    let mut scene = Scene::new(2, Update::RollingInPlace, 1).rolled_out("a");
    scene.settle("b");
    scene.server.edit(&Scene::place(1), |fields| fields["data"]["say"] = json!("edited"));
    scene.settle("b");
    assert_eq!(scene.said("b").0, ["b", "a"]);
}

#[test]
fn a_rolling_recreation_deletes_one_makes_it_and_goes_on_when_it_is_ready() {
    let mut scene = Scene::new(2, Update::RollingRecreate, 1).rolled_out("a");
    scene.look("b");
    let deleted = scene.look("b");
    assert!(matches!(deleted.writes[..], [ref write] if matches!(write.action, Action::Delete { .. })), "{deleted:?}");
    scene.settle("b");
    assert_eq!(scene.said("b").0, ["b", "a"]);
    scene.is_ready(0);
    scene.settle("b");
    assert_eq!(scene.said("b").0, ["b", "b"]);
}

proptest! {
    #[test]
    fn no_more_than_allowed_are_away_whatever_happens_and_all_arrive(
        children in 1usize..6, max in 1u32..3, recreate: bool,
        events in prop::collection::vec(prop_oneof![(0usize..6).prop_map(Ok), "[a-d]".prop_map(Err)], 0..25),
    ) {
        let update = if recreate { Update::RollingRecreate } else { Update::RollingInPlace };
        let mut scene = Scene::new(children, update, max).rolled_out("a");
        let mut say = "a".to_owned();
        // What happens, and then children that all become ready.
        let calm = (0..3 * children).map(|at| Ok(at % children));
        for event in events.into_iter().chain(calm) {
            match event {
                Ok(at) => scene.is_ready(at),
                Err(other) => say = other,
            }
            let away = scene.said(&say).1;
            scene.look(&say);
            let allowed = away.max(max as usize);
            prop_assert!(scene.said(&say).1 <= allowed, "{:?}", scene.said(&say));
            scene.look(&say);
            prop_assert!(scene.said(&say).1 <= allowed, "{:?}", scene.said(&say));
        }
        scene.settle(&say);
        prop_assert_eq!(scene.said(&say).0, vec![say; children]);
        prop_assert_eq!(scene.revisions(), 1);
    }
}
