//! The machine, explored: all states of two objects, their hosts, the `Canary` and a
//! process that may die between any two writes, whatever order things happen in.

use std::{
    collections::{HashMap, HashSet},
    sync::LazyLock,
};

use proptest::prelude::*;
use serde_json::json;

use super::{
    mark::{Fares, Report},
    *,
};
use crate::{
    id::{GroupKind, InstanceId, Lineage, Place},
    kind::KindVersion,
    write::Action,
};

/// The clock stands still; what passes is the age of what is kept.
const NOW: Duration = Duration::from_secs(100);
const PASSES: Duration = Duration::from_secs(5);
const STABLE: &str = "stable";
const TRIED: &str = "tried";

fn spec(more: &serde_json::Value) -> Spec {
    let mut spec = json!({ "lineage": "site", "kind": "Site.example.dev", "to": "next",
        "steps": [{ "percent": 50, "holdSeconds": 10 }, { "percent": 100 }] });
    more.as_object().unwrap().iter().for_each(|(name, value)| spec[name] = value.clone());
    Spec::parse(&spec).unwrap()
}

/// One that goes by its steps, and the same where a person wants to be done with it.
static SPECS: LazyLock<[Spec; 2]> = LazyLock::new(|| [false, true].map(|promote| spec(&json!({ "promote": promote }))));

/// One that goes in the first step, and one that goes in the second.
fn members() -> [Member; 2] {
    let uids = (0..).map(|number: u32| Uid::new(&format!("uid-{number}")));
    let find = |soon: bool| uids.clone().find(|uid| (bucket(uid) < 5_000) == soon).unwrap();
    [true, false].map(|soon| Member {
        uid: find(soon),
        place: Place { kind: GroupKind::new("example.dev/v1", "Site"), namespace: "a".into(), name: "b".into() },
        at: At::Home,
        mark: None,
        chosen: true,
        rests: false,
        wish: 1,
        report: None,
    })
}

/// All that there is: what the API keeps, and what one process does.
#[derive(Debug, Clone, PartialEq, Eq)]
struct World {
    status: Status,
    generation: i64,
    promote: bool,
    deleting: bool,
    stable: &'static str,
    members: [Member; 2],
    watched: Watched,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Event {
    /// The process decides, and writes the status.
    Say,
    /// It does the first or the second of its moves.
    Move(usize),
    /// Whoever serves an object looks at it.
    Look(usize),
    TimePasses,
    /// Another process takes over.
    Dies,
    /// A person changes the spec.
    Edit,
    Delete,
    /// A person lets the stable instance serve what is tried.
    Replace,
}

/// Those that happen by themselves.
const FAIR: [Event; 6] =
    [Event::Say, Event::Move(0), Event::Move(1), Event::Look(0), Event::Look(1), Event::TimePasses];
const OTHERS: [Event; 4] = [Event::Dies, Event::Edit, Event::Delete, Event::Replace];

impl World {
    fn new() -> Self {
        Self {
            status: Status::default(),
            generation: 1,
            promote: false,
            deleting: false,
            stable: STABLE,
            members: members(),
            watched: Watched::default(),
        }
    }

    fn decide(&self) -> (Decision, Watched) {
        let mut watched = self.watched.clone();
        let decision = decide(
            &Input {
                spec: &SPECS[usize::from(self.promote)],
                generation: self.generation,
                deleting: self.deleting,
                status: &self.status,
                members: &self.members,
                stable: self.stable,
                may: Ok(()),
                now: NOW,
            },
            &mut watched,
        );
        (decision, watched)
    }

    /// What an event leaves; none where it cannot happen.
    fn step(&self, event: Event, bad: [bool; 2]) -> Option<Self> {
        let mut next = self.clone();
        match event {
            Event::Say => {
                let (decision, watched) = self.decide();
                (next.status, next.watched) = (decision.status, watched);
            }
            Event::Move(which) => {
                let (decision, _) = self.decide();
                let &(index, what) = decision.moves.get(which)?;
                let attempt = self.status.attempt;
                let member = &mut next.members[index];
                member.report = None;
                let back = what == Move::Home;
                let mark = || Mark {
                    canary: "c".into(),
                    attempt,
                    from: String::new(),
                    well: true,
                    wish: 1,
                    since: String::new(),
                    back,
                };
                (member.at, member.mark) = match what {
                    Move::Away => (At::Away, Some(mark())),
                    Move::Home => (At::Home, Some(mark())),
                    Move::Unmark => (member.at, None),
                };
            }
            Event::Look(index) => {
                let member = &mut next.members[index];
                let fails = member.at == At::Away && bad[index];
                let badly = || Fares::Badly { for_good: false, why: "it traps".into() };
                let fares = if fails { badly() } else { Fares::Well };
                let build = if member.at == At::Home { self.stable } else { TRIED };
                member.mark.as_ref()?;
                member.report = Some(Report { build: build.into(), fares });
            }
            Event::TimePasses => {
                let earlier = |at: &mut Duration| *at = at.saturating_sub(PASSES).max(NOW - 3 * PASSES);
                earlier(&mut next.watched.newest);
                next.watched.failing.values_mut().for_each(earlier);
                next.watched.steady.iter_mut().for_each(|(_, at)| earlier(at));
            }
            Event::Dies => next.watched = Watched::default(),
            Event::Edit if self.generation == 1 => next.generation = 2,
            Event::Delete => next.deleting = true,
            Event::Replace => next.stable = TRIED,
            Event::Edit => return None,
        }
        Some(next)
    }

    fn name(&self) -> String {
        format!("{self:?}")
    }

    fn all_home(&self) -> bool {
        self.members.iter().all(|member| member.at == At::Home && member.mark.is_none())
    }
}

struct Explored {
    worlds: HashMap<String, World>,
    ways: HashMap<String, Vec<(Event, String)>>,
}

/// All worlds, and where each event leads; every step is checked as it is made.
fn explore(bad: [bool; 2]) -> Explored {
    let (mut worlds, mut ways) = (HashMap::new(), HashMap::<_, Vec<_>>::new());
    let mut open = vec![World::new()];
    while let Some(world) = open.pop() {
        let name = world.name();
        if worlds.contains_key(&name) {
            continue;
        }
        for event in FAIR.into_iter().chain(OTHERS) {
            let Some(next) = world.step(event, bad).filter(|next| *next != world) else { continue };
            holds(&world, event, &next, bad);
            ways.entry(name.clone()).or_default().push((event, next.name()));
            open.push(next);
        }
        worlds.insert(name, world);
    }
    Explored { worlds, ways }
}

/// What holds of each step.
fn holds(before: &World, event: Event, after: &World, bad: [bool; 2]) {
    let context = format!("{before:?}\n{event:?}\n{after:?}");
    let (was, is) = (&before.status, &after.status);
    for (from, to) in before.members.iter().zip(&after.members) {
        if from.at == At::Home && to.at == At::Away {
            let moves = matches!(was.phase, Phase::Progressing | Phase::Passed);
            assert!(moves && !before.deleting, "it goes there as the status says\n{context}");
            assert!(bucket(&to.uid) < u16::from(was.percent) * 100, "its turn has come\n{context}");
        }
    }
    if was.phase.is_over() && !is.phase.is_over() {
        assert!(before.deleting || before.generation != was.observed_generation, "it is not tried again\n{context}");
    }
    if is.step > was.step {
        let moved = || before.members.iter().filter(|member| member.is_moved(was.attempt));
        assert!(moved().all(Member::is_tried), "all have been looked at\n{context}");
        let fails = |member: &Member| matches!(&member.report, Some(Report { fares: Fares::Badly { .. }, .. }));
        assert!(!moved().any(fails), "none of them fails\n{context}");
        let (_, since) = before.watched.steady.unwrap();
        assert!(NOW - since >= HOLD_MIN, "for long enough\n{context}");
    }
    if is.phase == Phase::RollingBack {
        assert!(bad.contains(&true), "a good one does not go back\n{context}");
    }
    let ended = |phase| matches!(phase, Phase::RolledBack | Phase::Promoted);
    if ended(is.phase) && !ended(was.phase) {
        assert!(after.all_home(), "all are back\n{context}");
    }
    if event == Event::Say && before.decide().0.is_gone {
        assert!(after.all_home(), "nothing is left\n{context}");
    }
}

impl Explored {
    /// Whether what happens by itself leads from each world that `from` takes to one that
    /// `to` takes.
    fn always_leads(&self, from: impl Fn(&World) -> bool, to: impl Fn(&World) -> bool) {
        // Backwards from where it ends, so that each world is looked at once.
        let mut before = HashMap::<&str, Vec<&str>>::new();
        for (name, ways) in &self.ways {
            for (_, next) in ways.iter().filter(|(event, _)| FAIR.contains(event)) {
                before.entry(next).or_default().push(name);
            }
        }
        let mut open = self.worlds.values().filter(|world| to(world)).map(World::name).collect::<Vec<_>>();
        let mut leads = HashSet::new();
        while let Some(name) = open.pop() {
            if leads.insert(name.clone()) {
                open.extend(before.get(&*name).into_iter().flatten().map(|name| (*name).to_owned()));
            }
        }
        let stuck = self.worlds.values().find(|world| from(world) && !leads.contains(&world.name()));
        assert_eq!(stuck, None);
        assert!(self.worlds.values().any(from), "there is none to begin with");
    }
}

#[test]
fn a_good_one_passes_and_stays_until_the_stable_one_is_the_same() {
    let explored = explore([false, false]);
    assert!(explored.worlds.len() > 500, "only {} worlds", explored.worlds.len());
    let goes_on = |world: &World| !world.deleting && world.stable == STABLE;
    let ended = |world: &World| world.status.phase == Phase::Passed || world.status.phase == Phase::Promoted;
    explored.always_leads(goes_on, |world| ended(world) && !world.deleting);
    let same = |world: &World| !world.deleting && world.stable == TRIED;
    explored.always_leads(same, |world| world.status.phase == Phase::Promoted && world.all_home());
}

#[test]
fn a_bad_one_goes_back_whichever_object_shows_it() {
    for bad in [[true, false], [false, true], [true, true]] {
        let explored = explore(bad);
        let tries = |world: &World| !world.deleting && world.stable == STABLE;
        explored.always_leads(tries, |world| {
            matches!(world.status.phase, Phase::RolledBack | Phase::Promoted) && world.all_home()
        });
    }
}

#[test]
fn a_deleted_one_leaves_nothing_behind() {
    for bad in [[false, false], [true, false], [false, true]] {
        explore(bad).always_leads(|world| world.deleting, |world| world.decide().0.is_gone && world.all_home());
    }
}

fn decided(spec: &Spec, world: &World, may: Result<(), &str>, now_s: u64, watched: &mut Watched) -> Decision {
    let now = Duration::from_secs(now_s);
    let World { status, generation, deleting, stable, members, .. } = world;
    let input = Input { spec, generation: *generation, deleting: *deleting, status, members, stable, may, now };
    decide(&input, watched)
}

#[test]
fn what_is_missing_is_said_and_nothing_is_moved() {
    let (mut world, mut watched, spec) = (World::new(), Watched::default(), spec(&json!({})));
    let decision = decided(&spec, &world, Err("nobody serves next"), 0, &mut watched);
    assert_eq!((decision.status.phase, &*decision.status.message), (Phase::Pending, "nobody serves next"));
    world.status = Status { phase: Phase::Progressing, attempt: 1, percent: 50, ..Status::default() };
    let decision = decided(&spec, &world, Err("nobody serves next"), 0, &mut watched);
    assert_eq!((decision.status.phase, decision.moves.len()), (Phase::Progressing, 0));
}

#[test]
fn objects_that_nobody_serves_any_more_go_back() {
    let (mut world, mut watched, spec) = (World::new(), Watched::default(), spec(&json!({})));
    for event in [Event::Say, Event::Move(0)] {
        world = world.step(event, [false, false]).unwrap();
    }
    let mut phase = |now| decided(&spec, &world, Err("nobody serves next"), now, &mut watched).status.phase;
    assert_eq!([phase(100), phase(159), phase(160)], [Phase::Progressing, Phase::Progressing, Phase::RollingBack]);
}

#[test]
fn a_paused_one_moves_nothing_and_its_time_stands_still() {
    let (mut world, mut watched) = (World::new(), Watched::default());
    for event in [Event::Say, Event::Move(0), Event::Look(0)] {
        world = world.step(event, [false, false]).unwrap();
    }
    let (going, paused) = (spec(&json!({})), spec(&json!({ "paused": true })));
    let mut step = |spec, now| decided(spec, &world, Ok(()), now, &mut watched).status.step;
    assert_eq!(
        [step(&going, 0), step(&paused, 9), step(&going, 11), step(&going, 20), step(&going, 21)],
        [0, 0, 0, 0, 1]
    );
}

#[test]
fn promoted_by_a_person_all_are_moved_at_once_and_still_judged() {
    let mut world = World { promote: true, ..World::new() };
    world = world.step(Event::Say, [false, true]).unwrap();
    assert_eq!((world.status.percent, world.decide().0.moves.len()), (100, 2));
    for event in [Event::Move(0), Event::Move(0), Event::Look(0), Event::Look(1)] {
        world = world.step(event, [false, true]).unwrap();
    }
    let mut watched = Watched::default();
    let mut phase = |now| decided(&SPECS[1], &world, Ok(()), now, &mut watched).status.phase;
    assert_eq!([phase(0), phase(5)], [Phase::Progressing, Phase::RollingBack]);
}

#[test]
fn who_failed_before_or_wishes_something_else_by_now_is_no_blame() {
    for spoil in [|mark: &mut Mark| mark.well = false, |mark: &mut Mark| mark.wish = 0] {
        let (mut world, mut watched) = (World::new(), Watched::default());
        for event in [Event::Say, Event::Move(0), Event::Look(0)] {
            world = world.step(event, [true, true]).unwrap();
        }
        let mut marked = world.members.iter_mut().filter_map(|member| member.mark.as_mut());
        spoil(marked.next().unwrap());
        let phases = [0, 60, 120].map(|now| decided(&spec(&json!({})), &world, Ok(()), now, &mut watched).status.phase);
        assert!(!phases.contains(&Phase::RollingBack), "{phases:?}");
    }
}

/// One object is moved, and what the host says of it is this.
fn moved(report: Option<Report>) -> World {
    let mut world = World::new();
    for event in [Event::Say, Event::Move(0)] {
        world = world.step(event, [false, false]).unwrap();
    }
    let member = world.members.iter_mut().find(|member| member.at == At::Away).unwrap();
    member.report = report;
    world
}

fn report(build: &str, fares: Fares) -> Option<Report> {
    Some(Report { build: build.into(), fares })
}

#[test]
fn an_object_that_fails_with_both_builds_does_not_hold_up_the_promotion() {
    let mut world = moved(report(TRIED, Fares::Badly { for_good: false, why: "as ever".into() }));
    world.members.iter_mut().filter_map(|member| member.mark.as_mut()).for_each(|mark| mark.well = false);
    world.stable = TRIED;
    let decision = decided(&spec(&json!({})), &world, Ok(()), 0, &mut Watched::default());
    assert_eq!(decision.status.phase, Phase::Promoting);
}

#[test]
fn objects_that_nobody_looks_at_fail_when_nothing_else_comes_either() {
    let (world, mut watched) = (moved(None), Watched::default());
    let mut phase = |now| decided(&spec(&json!({})), &world, Ok(()), now, &mut watched).status.phase;
    assert_eq!([phase(0), phase(59)], [Phase::Progressing; 2]);
    assert_eq!([phase(60), phase(66)], [Phase::RollingBack; 2]);
}

#[test]
fn an_object_that_is_back_is_let_go_when_it_is_well_or_nothing_more_is_to_be_expected() {
    let badly = Fares::Badly { for_good: false, why: "as ever".into() };
    for (report, lets_go_at) in [(report(STABLE, Fares::Well), 0), (report(STABLE, badly), 60), (None, 60)] {
        let (mut world, mut watched) = (moved(report), Watched::default());
        world.status.phase = Phase::RollingBack;
        let member = world.members.iter_mut().find(|member| member.at == At::Away).unwrap();
        member.at = At::Home;
        member.mark.as_mut().unwrap().back = true;
        let mut moves = |now| decided(&spec(&json!({})), &world, Ok(()), now, &mut watched).moves.len();
        let first = [0, 59, 60].into_iter().find(|now| moves(*now) == 1);
        assert_eq!(first, Some(lets_go_at));
    }
}

#[test]
fn a_step_in_which_nothing_was_shown_does_not_end() {
    let badly = Fares::Badly { for_good: false, why: "as ever".into() };
    for fares in [Fares::Unknown, badly] {
        let mut world = moved(report(TRIED, fares));
        world.members.iter_mut().filter_map(|member| member.mark.as_mut()).for_each(|mark| mark.well = false);
        let mut watched = Watched::default();
        let status = [0, 600].map(|now| decided(&spec(&json!({})), &world, Ok(()), now, &mut watched).status);
        assert_eq!((status[1].phase, status[1].step), (Phase::Progressing, 0));
        assert!(status[1].message.contains("nothing is shown"), "{}", status[1].message);
    }
    let (none, mut watched) = (spec(&json!({ "objects": { "names": ["nobody"] } })), Watched::default());
    let mut world = World::new();
    world.members.iter_mut().for_each(|member| member.chosen = false);
    world = world.step(Event::Say, [false, false]).unwrap();
    let step = [0, 600].map(|now| decided(&none, &world, Ok(()), now, &mut watched).status.step);
    assert_eq!(step, [0, 0], "no object is chosen");
}

#[test]
fn what_is_wished_while_objects_go_back_begins_nothing() {
    let mut world = moved(report(TRIED, Fares::Well));
    (world.status.phase, world.generation) = (Phase::RollingBack, 2);
    for event in [Event::Say, Event::Move(0), Event::Look(0), Event::Look(1), Event::Move(0), Event::Say, Event::Say] {
        world = world.step(event, [false, false]).unwrap_or(world);
    }
    assert_eq!((world.status.phase, world.all_home()), (Phase::RolledBack, true));
    world.generation = 3;
    let phase = |spec: &Spec| decided(spec, &world, Ok(()), 0, &mut Watched::default()).status.phase;
    assert_eq!(phase(&spec(&json!({ "paused": true }))), Phase::Pending, "nor does what is paused");
    assert_eq!(phase(&spec(&json!({}))), Phase::Progressing);
}

#[test]
fn what_a_spec_says_wrong_is_told() {
    for (field, value, told) in [
        ("to", json!(""), "same instance"),
        ("kind", json!("site.example.dev"), "is no kind"),
        ("steps", json!([]), "holdSeconds: 600"),
        ("lineage", json!("A b"), "A b"),
        ("objects", json!({ "selector": "a in" }), "objects.selector"),
    ] {
        let mut spec =
            json!({ "lineage": "site", "kind": "Site.example.dev", "to": "next", "steps": [{ "percent": 1 }] });
        spec[field] = value;
        let error = Spec::parse(&spec).unwrap_err().to_string();
        assert!(error.contains(told), "{error}");
    }
}

fn object(name: &str, labels: &serde_json::Value, annotations: &serde_json::Value) -> Object {
    let metadata = json!({ "name": name, "namespace": "a", "uid": "u", "resourceVersion": "7", "generation": 3,
        "labels": labels, "annotations": annotations });
    let status = json!({ "conditions": [{ "type": "Reconciled", "status": "True", "message": "all is well" }] });
    let text = json!({ "metadata": metadata, "status": status }).to_string();
    Object::parse(&text, "example.dev/v1", "Site").unwrap()
}

#[test]
fn objects_are_chosen_by_namespace_name_and_selector_together() {
    let takes = |objects: &serde_json::Value| {
        spec(&json!({ "objects": objects })).objects.takes(&object("b", &json!({ "tier": "free" }), &json!({})))
    };
    for objects in [json!({}), json!({ "namespaces": ["a"], "names": ["x", "b"], "selector": "tier=free" })] {
        assert!(takes(&objects), "{objects}");
    }
    for objects in [json!({ "namespaces": ["b"] }), json!({ "names": ["c"] }), json!({ "selector": "tier!=free" })] {
        assert!(!takes(&objects), "{objects}");
    }
    assert!(takes(&json!({ "names": ["a/b"] })) && !takes(&json!({ "names": ["b/b"] })));
}

#[test]
fn a_move_is_one_fenced_write_of_both_marks_and_its_host_signs_what_it_saw() {
    let (spec, canary, key) = (spec(&json!({})), Uid::new("c"), InstanceKey::default());
    let v1 = KindVersion { name: "v1".into(), status: true, verbs: vec![] };
    let id = GroupKind::new("example.dev/v1", "Site");
    let kind = Kind { id, plural: "sites".into(), namespaced: true, versions: vec![v1], storage: None };
    let mover = Mover { spec: &spec, canary: &canary, attempt: 1, kind: &kind, key: &key, now: "now" };
    let metadata = |write: Write| match write.action {
        Action::Metadata { seen, patch } if seen.resource_version == 7 => serde_json::Value::from(patch),
        other => panic!("{other:?}"),
    };
    let home = object("b", &json!({}), &json!({}));
    let away = mover.write(&home, Move::Away);
    assert!(mark::is_move(&away, &key) && !mark::is_move(&away, &InstanceKey::parse("other").unwrap()));
    let away = metadata(away);
    assert_eq!(away["labels"], json!({ "trimtab.dev/instance-id": "next" }));

    let moved = object("b", &away["labels"], &away["annotations"]);
    assert_eq!(mark::report(&moved), None, "what it says is of before");
    let build = crate::hash::Hash::of([&b"build"[..]]);
    let signed = format!("all is well{}", mark::sign(&moved.meta, build, true).unwrap());
    let signed_as = |status: &str, reason: &str, blamed| {
        let signed = format!("it is refused{}", mark::sign(&moved.meta, build, blamed).unwrap());
        let mut object = moved.value();
        object["status"]["conditions"][0] =
            json!({ "type": "Reconciled", "status": status, "reason": reason, "message": signed });
        Object::parse(&object.to_string(), "example.dev/v1", "Site").unwrap()
    };
    let looked_at = moved.text.replace("all is well", &signed);
    let looked_at = Object::parse(&looked_at, "example.dev/v1", "Site").unwrap();
    assert_eq!(mark::report(&looked_at), Some(Report { build: mark::short(build), fares: Fares::Well }));
    let failed = signed_as("False", "WriteFailed", false);
    assert_eq!(mark::report(&failed).unwrap().fares, Fares::Unknown, "no fault of the build");
    let failed = signed_as("False", "WriteFailed", true);
    assert!(matches!(mark::report(&failed).unwrap().fares, Fares::Badly { for_good: false, .. }));
    let member = |canary: &str| Member::of(&looked_at, &Uid::new(canary), &spec, &key, true);
    assert!(member("c").counts(1), "it was well before");
    let another = member("d");
    assert_eq!((another.mark, another.chosen), (None, false), "it is another canary's");

    let home = metadata(mover.write(&looked_at, Move::Home));
    assert_eq!(home["labels"], json!({ "trimtab.dev/instance-id": null }));
    let text = looked_at.text.replace("\"next\"", "null");
    let mut back = serde_json::from_str::<serde_json::Value>(&text).unwrap();
    back["metadata"]["annotations"] = home["annotations"].clone();
    back["metadata"]["labels"] = json!({});
    let back = Object::parse(&back.to_string(), "example.dev/v1", "Site").unwrap();
    assert_eq!(mark::report(&back), None, "the canary's sign is void");
    let is_returning = |instance: &str| mark::is_returning(&back.meta, &InstanceId::new(instance).unwrap());
    assert_eq!(["", "third"].map(is_returning), [true, false], "what goes with it was agreed to for its home alone");
    let unmarked = metadata(mover.write(&back, Move::Unmark));
    assert_eq!(unmarked, json!({ "annotations": { "trimtab.dev/canary": null } }));
    assert_eq!(Lineage::new("site").unwrap(), spec.lineage);
}

proptest! {
    #[test]
    fn who_is_in_at_a_percent_is_in_at_a_higher_one(uids in prop::collection::btree_set("[a-f0-9]{8}", 1..60), low in 1..100_u8, more in 0..100_u8) {
        let members = uids.iter().map(|uid| Member { uid: Uid::new(uid), ..members()[0].clone() }).collect::<Vec<_>>();
        let taken = |percent: u8| {
            let spec = spec(&json!({ "steps": [{ "percent": percent }] }));
            let status = Status { phase: Phase::Progressing, attempt: 1, percent, ..Status::default() };
            let input = Input { spec: &spec, generation: 1, deleting: false, status: &status, members: &members,
                stable: STABLE, may: Ok(()), now: NOW };
            to_move(&input, &status).into_iter().collect::<BTreeSet<_>>()
        };
        let high = low.saturating_add(more).min(100);
        prop_assert!(taken(low).is_subset(&taken(high)));
        prop_assert!(!taken(low).is_empty(), "one is tried at least");
        prop_assert_eq!(taken(100).len(), members.len());
    }

    #[test]
    fn a_percent_takes_about_as_many_as_it_says(seed in any::<u64>(), percent in 1..100_u16) {
        let all = 2_000;
        let taken = (0..all).filter(|number| bucket(&Uid::new(&format!("{seed}-{number}"))) < percent * 100).count();
        let expected = f64::from(all) * f64::from(percent) / 100.0;
        let deviation = (expected * (1.0 - f64::from(percent) / 100.0)).sqrt();
        prop_assert!((taken as f64 - expected).abs() < 6.0 * deviation + 1.0, "{taken} of {all} at {percent} %");
    }
}
