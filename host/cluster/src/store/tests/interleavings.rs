//! Random histories of a server, shown by two watches with delays, repetitions
//! and relists, while the host writes and takes in its answers early or late.

use std::collections::{BTreeMap, HashMap};

use proptest::prelude::*;

use super::*;

/// What can happen next.
#[derive(Debug, Clone)]
enum Step {
    /// Someone writes an object: makes it where it is absent.
    Write { name: u8, left: bool, right: bool, ours: Answer },
    /// Someone deletes an object.
    Delete { name: u8, ours: bool },
    /// A watch shows what it has not shown yet, up to so many events.
    Show { watch: u8, events: u8 },
    /// A watch shows the last event once more.
    Repeat { watch: u8 },
    /// A watch asks for a list and is answered as of now.
    Serve { watch: u8 },
    /// The answer to the list, or a part of it, is taken in.
    Take { watch: u8, items: u8 },
    /// The answer to an earlier write of ours arrives.
    Answer { which: u8 },
}

/// What becomes of the answer to a write.
#[derive(Debug, Clone, Copy)]
enum Answer {
    Theirs,
    AtOnce,
    Late,
}

#[derive(Clone)]
struct State {
    uid: u64,
    version: u64,
    left: bool,
    right: bool,
}

/// One entry of the server's history: an object before and after.
struct Entry {
    version: u64,
    name: u8,
    before: Option<State>,
    after: Option<State>,
}

struct List {
    version: u64,
    items: Vec<String>,
    taken: usize,
}

struct World {
    listener: Arc<Listener>,
    store: Arc<Store>,
    intakes: [Intake; 2],
    specs: [WatchSpec; 2],
    objects: BTreeMap<u8, State>,
    history: Vec<Entry>,
    /// How far each watch has got in the history.
    shown: [usize; 2],
    lists: [Option<List>; 2],
    last: [Option<(bool, String)>; 2],
    late: Vec<Arc<Object>>,
    version: u64,
    /// The newest answer taken in for each uid.
    floor: HashMap<u64, u64>,
    /// What we deleted while a watch held it. To another watch it can still
    /// come and go, as it did on the server.
    deleted: Vec<(WatchSpec, u64)>,
}

fn labelled(name: u8, state: &State) -> String {
    let labels = [("left", state.left), ("right", state.right)];
    let labels = labels.iter().filter(|(_, on)| *on).map(|(label, _)| (*label, "")).collect::<Vec<_>>();
    text(&format!("o{name}"), &state.uid.to_string(), state.version, &labels)
}

fn selected(watch: usize, state: Option<&State>) -> bool {
    state.is_some_and(|state| if watch == 0 { state.left } else { state.right })
}

impl World {
    fn new() -> Self {
        let listener = Arc::new(Listener::default());
        let store = Store::new(listener.clone());
        let specs = [spec(Some("left")), spec(Some("right"))];
        let intakes = [store.open(&specs[0]), store.open(&specs[1])];
        for intake in &intakes {
            list(intake, 1, &[]);
        }
        Self {
            listener,
            store,
            intakes,
            specs,
            objects: BTreeMap::new(),
            history: Vec::new(),
            shown: [0, 0],
            lists: [None, None],
            last: [None, None],
            late: Vec::new(),
            version: 1,
            floor: HashMap::new(),
            deleted: Vec::new(),
        }
    }

    fn apply(&mut self, step: &Step) {
        match *step {
            Step::Write { name, left, right, ours } => self.write(name, left, right, ours),
            Step::Delete { name, ours } => self.delete(name, ours),
            Step::Show { watch, events } => {
                if self.lists[watch as usize].is_none() {
                    (0..events).for_each(|_| self.show(watch as usize));
                }
            }
            Step::Repeat { watch } => {
                if let Some((present, text)) = &self.last[watch as usize] {
                    let intake = &self.intakes[watch as usize];
                    let _ = if *present { intake.shown(text) } else { intake.unshown(text) };
                }
            }
            Step::Serve { watch } => self.serve(watch as usize),
            Step::Take { watch, items } => self.take(watch as usize, items as usize),
            Step::Answer { which } => {
                if !self.late.is_empty() {
                    let object = self.late.remove(which as usize % self.late.len());
                    self.answer(object);
                }
            }
        }
    }

    fn write(&mut self, name: u8, left: bool, right: bool, ours: Answer) {
        self.version += 1;
        let before = self.objects.get(&name).cloned();
        let uid = before.as_ref().map_or(self.version, |state| state.uid);
        let after = State { uid, version: self.version, left, right };
        self.objects.insert(name, after.clone());
        let answer = object(&labelled(name, &after));
        self.history.push(Entry { version: self.version, name, before, after: Some(after) });
        match ours {
            Answer::Theirs => {}
            Answer::AtOnce => self.answer(answer),
            Answer::Late => self.late.push(answer),
        }
    }

    fn delete(&mut self, name: u8, ours: bool) {
        let Some(before) = self.objects.get(&name).cloned() else { return };
        if ours {
            // Writes of one key do not overlap: the answers to earlier ones are in.
            let uid = Uid::new(&before.uid.to_string());
            let (answers, others) = std::mem::take(&mut self.late).into_iter().partition(|late| late.meta.uid == uid);
            self.late = others;
            Vec::into_iter(answers).for_each(|answer| self.answer(answer));
            // The precondition: what is deleted is what was seen.
            let seen = self.store.get(&kind(), "v1", "ns", &format!("o{name}"));
            if seen.is_none_or(|seen| seen.meta.resource_version != before.version) {
                return;
            }
        }
        self.objects.remove(&name);
        self.version += 1;
        self.history.push(Entry { version: self.version, name, before: Some(before.clone()), after: None });
        if ours {
            let gone = object(&labelled(name, &before));
            let holds = |spec: &&WatchSpec| self.store.list(spec).iter().any(|held| held.meta.uid == gone.meta.uid);
            self.deleted.extend(self.specs.iter().filter(holds).map(|spec| (spec.clone(), before.uid)));
            self.store.remove(&gone.meta.place, &gone.meta.uid);
        }
    }

    fn answer(&mut self, object: Arc<Object>) {
        self.store.put(object.clone());
        let uid = object.meta.uid.as_str().parse().unwrap();
        let held = self.store.get(&kind(), "v1", "ns", &object.meta.place.name);
        if held.is_some_and(|held| held.meta.resource_version == object.meta.resource_version) {
            let floor = self.floor.entry(uid).or_default();
            *floor = object.meta.resource_version.max(*floor);
        }
    }

    /// The watch's next event, if it has one for it.
    fn show(&mut self, watch: usize) {
        let Some(entry) = self.history.get(self.shown[watch]) else { return };
        self.shown[watch] += 1;
        let intake = &self.intakes[watch];
        let (before, after) = (entry.before.as_ref(), entry.after.as_ref());
        match (selected(watch, before), selected(watch, after)) {
            (_, true) => {
                let text = labelled(entry.name, after.unwrap());
                intake.shown(&text);
                self.last[watch] = Some((true, text));
            }
            (true, false) => {
                // The server sends the state before, at the version of the change.
                let text = labelled(entry.name, &State { version: entry.version, ..before.unwrap().clone() });
                intake.unshown(&text);
                self.last[watch] = Some((false, text));
            }
            (false, false) => intake.advance(entry.version),
        }
    }

    fn serve(&mut self, watch: usize) {
        let items = self.objects.iter().filter(|(_, state)| selected(watch, Some(state)));
        let items = items.map(|(name, state)| labelled(*name, state)).collect();
        self.intakes[watch].begin();
        self.lists[watch] = Some(List { version: self.version, items, taken: 0 });
    }

    fn take(&mut self, watch: usize, items: usize) {
        let Some(list) = &mut self.lists[watch] else { return };
        let intake = &self.intakes[watch];
        if list.taken == 0 {
            intake.dated(list.version).unwrap();
        }
        let rest = list.items.iter().skip(list.taken).take(items).map(|item| intake.listed(item)).count();
        list.taken += rest;
        if list.taken == list.items.len() {
            intake.finish();
            let version = list.version;
            self.shown[watch] = self.history.partition_point(|entry| entry.version <= version);
            self.lists[watch] = None;
        }
    }

    fn check_that_nothing_goes_back(&self) {
        for spec in &self.specs {
            for object in self.store.list(spec) {
                let uid: u64 = object.meta.uid.as_str().parse().unwrap();
                let floor = self.floor.get(&uid).copied().unwrap_or_default();
                assert!(object.meta.resource_version >= floor, "{} is behind {floor}", object.text);
                assert!(!self.deleted.contains(&(spec.clone(), uid)), "{} was deleted by us", object.text);
            }
        }
    }

    /// What was told, added up, is what is held.
    fn check_what_was_told(&self) {
        let mut told: BTreeMap<(WatchSpec, String), u64> = BTreeMap::new();
        for (spec, old, new) in &*self.listener.changes.lock().unwrap() {
            let key = |object: &Arc<Object>| (spec.clone(), object.meta.uid.to_string());
            let removed = old.as_ref().map(|old| told.remove(&key(old)));
            assert_ne!(removed, Some(None), "an update or a removal of what was never added");
            if let Some(new) = new {
                assert_eq!(told.insert(key(new), new.meta.resource_version), None, "added twice");
            }
        }
        let held = self.specs.iter().flat_map(|spec| {
            let objects = self.store.list(spec).into_iter();
            objects.map(|object| ((spec.clone(), object.meta.uid.to_string()), object.meta.resource_version))
        });
        assert_eq!(told, held.collect());
    }

    fn check_the_end(&self) {
        for (watch, spec) in self.specs.iter().enumerate() {
            let truth = self.objects.iter().filter(|(_, state)| selected(watch, Some(state)));
            let truth = truth.map(|(name, state)| format!("o{name}@{}", state.version)).collect::<Vec<_>>();
            assert_eq!(held(&self.store, spec), truth, "{spec}");
            assert_eq!(self.store.read().partition(spec).kept_out(), 0, "{spec}");
        }
    }
}

fn step() -> impl Strategy<Value = Step> {
    let name = 0..3u8;
    let watch = 0..2u8;
    let ours = prop_oneof![Just(Answer::Theirs), Just(Answer::AtOnce), Just(Answer::Late)];
    prop_oneof![
        4 => (name.clone(), any::<bool>(), any::<bool>(), ours)
            .prop_map(|(name, left, right, ours)| Step::Write { name, left, right, ours }),
        2 => (name, any::<bool>()).prop_map(|(name, ours)| Step::Delete { name, ours }),
        4 => (watch.clone(), 1..4u8).prop_map(|(watch, events)| Step::Show { watch, events }),
        1 => watch.clone().prop_map(|watch| Step::Repeat { watch }),
        1 => watch.clone().prop_map(|watch| Step::Serve { watch }),
        3 => (watch, 0..3u8).prop_map(|(watch, items)| Step::Take { watch, items }),
        2 => any::<u8>().prop_map(|which| Step::Answer { which }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn the_store_never_goes_behind_a_write_back_and_ends_as_the_server_is(
        steps in proptest::collection::vec(step(), 1..60),
        relist in any::<bool>(),
    ) {
        let mut world = World::new();
        for step in &steps {
            world.apply(step);
            world.check_that_nothing_goes_back();
            world.check_what_was_told();
        }
        for watch in 0..2 {
            world.take(watch, usize::MAX);
            if relist {
                world.serve(watch);
                world.take(watch, usize::MAX);
            }
            while world.shown[watch] < world.history.len() {
                world.show(watch);
            }
        }
        while !world.late.is_empty() {
            world.apply(&Step::Answer { which: 0 });
        }
        world.check_what_was_told();
        world.check_the_end();
    }
}
