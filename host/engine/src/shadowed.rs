//! What has been seen of one generation that only shadows: for each object how its answer
//! differed from the serving one's when it was asked last, with some of the diffs, and
//! what its calls cost beside the serving one's.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::Bound,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::Serialize;
use trimtab_core::{
    difference::{Difference, Kind},
    hash::Hash,
    id::{Key, Place},
    promotion::{
        gate::Tally,
        shadow::{Seen, Shadow},
    },
};
use trimtab_wasm::Cost;

/// Objects that are compared: as many as a generation on probation is judged by. Of very
/// many that differ in many ways, what is told makes some 60 MB.
const OBJECTS_MAX: usize = 10_000;
/// Objects whose diffs are kept, and what is kept of one: 2 MB for what people may read.
const DIFFS_MAX: usize = 128;
const DIFF_BYTES_MAX: usize = 16 << 10;
/// Differences that are told of one object.
const TOLD_MAX: usize = 20;
const TOLD_BYTES_MAX: usize = 300;
/// Calls whose cost is known: of fewer, the hundredth is none.
const COSTS_MAX: usize = 1000;
/// Objects for which the serving one is called in a second only because it shadows.
const ROUND_MAX: usize = 100;
/// What it waited for may be there by then.
const WAITED: Duration = Duration::from_secs(30);

/// One generation that shadows, or did last in its slot.
#[derive(Debug)]
pub struct Shadowed {
    /// The hash by which a person accepts it.
    pub generation: Hash,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    objects: BTreeMap<Place, Compared>,
    diffs: usize,
    /// When an object was compared for the first time last.
    newest: Duration,
    /// The last object that was asked for, where a round is under way.
    asked: Option<Place>,
    /// It had been asked for all objects.
    has_gone_round: bool,
    calls: u64,
    dropped: u64,
    serving: Costs,
    shadow: Costs,
}

/// What came of the last comparison for one object.
#[derive(Debug, Default)]
pub struct Compared {
    /// In which ways it differs, each once.
    pub kinds: Vec<Kind>,
    /// Each difference, in a line.
    pub told: Vec<String>,
    /// How it fails, where that is its own fault.
    pub failing: Option<String>,
    /// What it would change though the policy does not name it.
    pub outside: Option<String>,
    /// The diff, as `kubectl diff` reads.
    pub diff: Option<String>,
    /// When that was.
    pub at: Duration,
}

/// Time on the way through a guest, in microseconds, and memory of the latest calls.
#[derive(Debug, Default)]
struct Costs(VecDeque<(u64, u64)>);

/// What people are shown of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ShadowView {
    /// The hash by which it can be accepted.
    pub generation: String,
    /// Objects for which it was asked.
    pub tried: usize,
    /// Objects that it would change.
    pub changing: usize,
    /// Objects for which it fails.
    pub failing: usize,
    /// Objects by each way in which they differ.
    pub differences: BTreeMap<&'static str, usize>,
    /// Its calls, and those that were left out as the host was busy.
    pub calls: u64,
    /// See `calls`.
    pub dropped: u64,
    /// Of the latest calls.
    pub cost: CostView,
    /// Of those of the serving one for the same requests.
    pub serving_cost: CostView,
}

/// What calls cost.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CostView {
    /// Half of the calls take no longer.
    pub p50_us: u64,
    /// Of a hundred, one takes longer.
    pub p99_us: u64,
    /// The most memory that one took.
    pub memory_peak_bytes: u64,
}

/// What there is to say of one that shadows, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShadowReport {
    /// All in all.
    #[serde(flatten)]
    pub shadow: ShadowView,
    /// It shadows no more: it was served, found worse, or replaced.
    pub over: bool,
    /// The objects that differ, or the one that was asked for.
    pub objects: Vec<ShadowedObject>,
}

/// One object that differs, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShadowedObject {
    /// `Site.example.dev a/anna`
    pub object: String,
    /// Each difference, in a line.
    pub differences: Vec<String>,
    /// The diff, where it is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diff: Option<String>,
}

impl Compared {
    /// What differs at a moment, under a policy, and how it fails, if it does.
    pub fn new(differences: &[Difference], failing: Option<String>, shadow: &Shadow, at: Duration) -> Self {
        let mut kinds = differences.iter().map(|it| it.kind).collect::<Vec<_>>();
        kinds.sort();
        kinds.dedup();
        let failing = failing.map(|why| cut(&why, TOLD_BYTES_MAX));
        let told = differences.iter().take(TOLD_MAX).map(|it| match (&failing, it.kind) {
            (Some(why), Kind::Failed) => format!("{it}: {why}"),
            _ => cut(&it.to_string(), TOLD_BYTES_MAX),
        });
        let told = told.collect();
        let outside = differences.iter().find(|it| !shadow.allows(it));
        let outside = outside.map(|it| cut(&it.to_string(), TOLD_BYTES_MAX));
        Self { kinds, told, failing, outside, diff: None, at }
    }

    fn is_change(&self) -> bool {
        self.kinds.iter().any(|kind| kind.is_change())
    }

    /// Whether a shadow may be found worse for it.
    fn weighs(&self) -> bool {
        self.is_change() || self.failing.is_some() || self.outside.is_some()
    }
}

impl Shadowed {
    /// Nothing seen yet.
    pub fn new(generation: Hash) -> Self {
        Self { generation, state: Mutex::default() }
    }

    /// Forgets all that was seen: what it is compared with is another one.
    pub fn start(&self) {
        *self.state() = State::default();
    }

    /// Whether it is to be asked for an object though nothing of that has changed.
    pub fn wants(&self, place: &Place, now: Duration) -> bool {
        let state = self.state();
        match state.objects.get(place) {
            None => state.objects.len() < OBJECTS_MAX,
            Some(compared) => compared.kinds.contains(&Kind::Waits) && now.saturating_sub(compared.at) >= WAITED,
        }
    }

    /// The next objects to be asked for, of those that it has not been and could be.
    pub fn round(&self, untried: &BTreeMap<Place, Key>) -> Vec<Key> {
        let mut state = self.state();
        // What it waited for may never come.
        state.has_gone_round |= untried.keys().all(|place| state.objects.contains_key(place));
        let from = state.asked.take().map_or(Bound::Unbounded, Bound::Excluded);
        let next = untried.range((from, Bound::Unbounded)).take(ROUND_MAX).collect::<Vec<_>>();
        // From the beginning again, where that was the end.
        state.asked = next.last().filter(|_| next.len() == ROUND_MAX).map(|(place, _)| (*place).clone());
        next.into_iter().map(|(_, key)| key.clone()).collect()
    }

    /// Whether there was a moment at which it had been asked for all objects.
    pub fn has_gone_round(&self) -> bool {
        self.state().has_gone_round
    }

    /// Takes note of a comparison, and of what both calls have cost.
    pub fn note(&self, place: &Place, mut compared: Compared, costs: Option<(&Cost, &Cost)>) {
        let mut guard = self.state();
        let state = &mut *guard;
        if let Some((serving, shadow)) = costs {
            state.calls += 1;
            state.serving.push(serving);
            state.shadow.push(shadow);
        }
        if !state.objects.contains_key(place) {
            if state.objects.len() == OBJECTS_MAX && !state.makes_room_for(&compared) {
                return;
            }
            state.newest = compared.at;
        }
        let before = state.objects.remove(place);
        state.diffs -= usize::from(before.is_some_and(|before| before.diff.is_some()));
        compared.diff = compared.diff.filter(|_| state.diffs < DIFFS_MAX).map(|diff| cut(&diff, DIFF_BYTES_MAX));
        state.diffs += usize::from(compared.diff.is_some());
        state.objects.insert(place.clone(), compared);
    }

    /// Whether the diff of an object would be kept.
    pub fn keeps_diff(&self, place: &Place) -> bool {
        let state = self.state();
        state.diffs < DIFFS_MAX || state.objects.get(place).is_some_and(|it| it.diff.is_some())
    }

    /// A call was left out.
    pub fn dropped(&self) {
        self.state().dropped += 1;
    }

    /// An object tells nothing any more: it is gone.
    pub fn forget(&self, place: &Place) {
        let mut state = self.state();
        let before = state.objects.remove(place);
        state.diffs -= usize::from(before.is_some_and(|before| before.diff.is_some()));
    }

    /// What it is judged by.
    pub fn seen(&self, now: Duration) -> Seen {
        let state = self.state();
        let example = |(place, compared): (&Place, &Compared)| format!("{place}: {}", compared.told.join(", "));
        let failing = state.objects.iter().filter_map(|(place, it)| Some((place, it.failing.as_ref()?)));
        let outside = state.objects.iter().find_map(|(place, it)| Some(format!("{place}: {}", it.outside.as_ref()?)));
        Seen {
            tally: Tally {
                tried: state.objects.len(),
                failing: failing.clone().count(),
                example: failing.clone().next().map(|(place, why)| format!("{place}: {why}")),
                // Until it has gone round, what was tried is a sample, however long it takes.
                quiet: if state.has_gone_round { now.saturating_sub(state.newest) } else { Duration::ZERO },
            },
            changing: state.objects.values().filter(|it| it.is_change()).count(),
            example: state.objects.iter().find(|(_, it)| it.is_change()).map(example),
            outside,
        }
    }

    /// For people.
    pub fn view(&self) -> ShadowView {
        let state = self.state();
        let mut differences = BTreeMap::new();
        for kind in state.objects.values().flat_map(|it| &it.kinds) {
            *differences.entry(kind.word()).or_default() += 1;
        }
        ShadowView {
            generation: self.generation.to_string(),
            tried: state.objects.len(),
            changing: state.objects.values().filter(|it| it.is_change()).count(),
            failing: state.objects.values().filter(|it| it.failing.is_some()).count(),
            differences,
            calls: state.calls,
            dropped: state.dropped,
            cost: state.shadow.view(),
            serving_cost: state.serving.view(),
        }
    }

    /// The objects that differ and whose diffs are kept, or the one that is asked for, if
    /// it was compared.
    pub fn objects(&self, only: Option<&Place>) -> Vec<ShadowedObject> {
        let state = self.state();
        let is_told = |(place, it): &(&Place, &Compared)| match only {
            Some(only) => *place == only,
            None => !it.kinds.is_empty(),
        };
        let told = state.objects.iter().filter(is_told).take(DIFFS_MAX);
        let object = |(place, it): (&Place, &Compared)| ShadowedObject {
            object: place.to_string(),
            differences: it.told.clone(),
            diff: it.diff.clone(),
        };
        told.map(object).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change is complete before the guard goes, so a panic elsewhere leaves nothing half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// One that is judged by how it differs takes the place of one that is not: what was
    /// seen to differ counts.
    fn makes_room_for(&mut self, compared: &Compared) -> bool {
        let harmless = self.objects.iter().find(|(_, it)| !it.weighs() && compared.weighs());
        let Some(harmless) = harmless.map(|(place, _)| place.clone()) else { return false };
        let before = self.objects.remove(&harmless);
        self.diffs -= usize::from(before.is_some_and(|before| before.diff.is_some()));
        true
    }
}

impl ShadowView {
    /// In a line.
    pub fn summary(&self) -> String {
        let Self { generation, tried, changing, failing, .. } = self;
        format!(
            "shadows what serves: of {tried} objects, it would change {changing} and fails for {failing}; see trimtab \
             shadow, and to have it served at once, say in the policy: rollout.accepted = \"{generation}\""
        )
    }
}

impl Costs {
    fn push(&mut self, cost: &Cost) {
        if self.0.len() == COSTS_MAX {
            self.0.pop_front();
        }
        let took = (cost.instantiate + cost.call).as_micros();
        self.0.push_back((u64::try_from(took).unwrap_or(u64::MAX), cost.memory_peak_bytes));
    }

    fn view(&self) -> CostView {
        let mut times = self.0.iter().map(|(took, _)| *took).collect::<Vec<_>>();
        times.sort_unstable();
        let at = |hundredth: usize| times.get(times.len().saturating_sub(1) * hundredth / 100).copied();
        CostView {
            p50_us: at(50).unwrap_or_default(),
            p99_us: at(99).unwrap_or_default(),
            memory_peak_bytes: self.0.iter().map(|(_, bytes)| *bytes).max().unwrap_or_default(),
        }
    }
}

/// No more than so many bytes of a text, which says so.
fn cut(text: &str, bytes: usize) -> String {
    if text.len() <= bytes { text.to_owned() } else { format!("{}…", &text[..text.floor_char_boundary(bytes)]) }
}

#[cfg(test)]
mod tests {
    use trimtab_core::{
        difference::What,
        id::{Cluster, GroupKind, Lineage},
        promotion::{Terms, gate},
    };

    use super::*;

    fn place(number: usize) -> Place {
        Place { kind: GroupKind::new("v1", "ConfigMap"), namespace: "a".into(), name: format!("{number:05}").into() }
    }

    fn key(number: usize) -> Key {
        Key { cluster: Cluster::local(), place: place(number), lineage: Lineage::new("x").unwrap() }
    }

    fn compared(kinds: &[Kind]) -> Compared {
        let difference = |kind: &Kind| Difference { kind: *kind, what: What::Object, fields: Vec::new() };
        let differences = kinds.iter().map(difference).collect::<Vec<_>>();
        Compared {
            diff: Some("x".repeat(2 * DIFF_BYTES_MAX)),
            ..Compared::new(&differences, None, &Shadow::default(), NOW)
        }
    }

    const NOW: Duration = Duration::from_secs(9);

    #[test]
    fn all_objects_are_asked_for_a_few_at_a_time_until_each_was_compared() {
        let shadowed = Shadowed::new(Hash::default());
        let untried = || {
            let all = (0..250).map(key).filter(|key| shadowed.wants(&key.place, NOW));
            all.map(|key| (key.place.clone(), key)).collect::<BTreeMap<_, _>>()
        };
        let mut rounds = Vec::new();
        while !shadowed.has_gone_round() {
            let round = shadowed.round(&untried());
            // One object is left out at first, as the host is busy.
            let tried = round.iter().filter(|key| key.place != place(7) || rounds.len() > 2);
            tried.for_each(|key| shadowed.note(&key.place, compared(&[]), None));
            rounds.push(round.len());
        }
        assert_eq!(rounds, [100, 100, 50, 1, 0]);
    }

    #[test]
    fn of_very_many_objects_those_that_differ_are_kept() {
        let shadowed = Shadowed::new(Hash::default());
        (0..OBJECTS_MAX).for_each(|number| shadowed.note(&place(number), compared(&[Kind::Events]), None));
        shadowed.note(&place(OBJECTS_MAX), compared(&[Kind::Events]), None);
        assert_eq!((shadowed.seen(NOW).tally.tried, shadowed.seen(NOW).changing), (OBJECTS_MAX, 0));
        shadowed.note(&place(OBJECTS_MAX + 1), compared(&[Kind::Deletes]), None);
        assert_eq!((shadowed.seen(NOW).tally.tried, shadowed.seen(NOW).changing), (OBJECTS_MAX, 1));
    }

    #[test]
    fn however_many_wait_the_round_ends() {
        let shadowed = Shadowed::new(Hash::default());
        let mut now = NOW;
        while !shadowed.has_gone_round() && now < NOW + 3 * WAITED {
            let untried = (0..4_000).map(key).filter(|key| shadowed.wants(&key.place, now));
            for key in shadowed.round(&untried.map(|key| (key.place.clone(), key)).collect()) {
                shadowed.note(&key.place, Compared { at: now, ..compared(&[Kind::Waits]) }, None);
            }
            now += Duration::from_secs(1);
        }
        assert!(shadowed.has_gone_round(), "all were asked for, some of them again");
    }

    #[test]
    fn before_all_were_asked_for_a_few_that_fail_are_a_sample() {
        let shadowed = Shadowed::new(Hash::default());
        for number in 0..10 {
            let failing = (number == 0).then(|| "it traps".to_owned());
            shadowed.note(&place(number), Compared { failing, ..compared(&[]) }, None);
        }
        let later = NOW + Duration::from_secs(60);
        let worse = || matches!(gate::judge(&shadowed.seen(later).tally, &Terms::default()), gate::Verdict::Worse(_));
        assert!(!worse(), "the others have still to be tried");
        shadowed.round(&BTreeMap::new());
        assert!(worse());
    }

    #[test]
    fn what_waits_is_asked_for_again_after_a_while_and_what_is_gone_tells_nothing() {
        let shadowed = Shadowed::new(Hash::default());
        shadowed.note(&place(1), compared(&[Kind::Waits]), None);
        assert!(!shadowed.wants(&place(1), NOW) && shadowed.wants(&place(1), NOW + WAITED));
        assert_eq!(shadowed.seen(NOW).changing, 0, "waiting is no change");
        shadowed.note(&place(1), compared(&[Kind::Changed]), None);
        assert!(!shadowed.wants(&place(1), NOW + WAITED));
        assert_eq!((shadowed.seen(NOW).changing, shadowed.seen(NOW).tally.tried), (1, 1));
        shadowed.forget(&place(1));
        assert_eq!(shadowed.seen(NOW).tally.tried, 0);
    }

    #[test]
    fn only_so_many_diffs_are_kept_and_only_so_much_of_each() {
        let shadowed = Shadowed::new(Hash::default());
        for round in 0..2 {
            for number in 0..DIFFS_MAX + 20 {
                shadowed.note(&place(number), compared(&[Kind::Creates]), None);
            }
            let state = shadowed.state();
            let kept = state.objects.values().filter_map(|it| it.diff.as_ref());
            assert_eq!((kept.clone().count(), state.diffs), (DIFFS_MAX, DIFFS_MAX), "round {round}");
            assert!(kept.clone().all(|diff| diff.len() <= DIFF_BYTES_MAX + "…".len()));
        }
        assert_eq!(shadowed.view().differences[Kind::Creates.word()], DIFFS_MAX + 20, "all are counted");
        assert_eq!(shadowed.objects(Some(&place(DIFFS_MAX + 1)))[0].differences, ["creates"]);
    }
}
