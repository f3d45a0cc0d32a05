//! Plays a scenario again and again, each time with one thing going wrong, and
//! says where it comes to another end than undisturbed.
//!
//! What is tried follows from the undisturbed run: a crash just before and just
//! after each write, a plugin that is swapped at each write, for each step and
//! each kind that the host watches a view that is stale while it happens, and for
//! each event one that never shows it. These are the three ways in which
//! controllers fail: at intermediate states, at stale states, and at states that
//! nobody saw. A plugin whose answer depends on nothing but what is there now
//! passes all.
//!
//! What even such a plugin would fail at is no finding: a plugin that the scenario
//! takes away has seen what happened before, and an early swap takes none away.
//!
//! Expectations are checked by the undisturbed run alone: a disturbed one may be
//! anywhere between, but has to come to the same end.

mod disturbance;
mod end;
mod story;

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
    time::Duration,
};

use trimtab_wasm::Wasm;

pub use self::disturbance::{Disturbance, NoDisturbance};
use self::{disturbance::watches, end::End, story::story};
use crate::{
    clock::simulate,
    fault::{Fault, Stream, What, When},
    log::Entry,
    scenario::{Action, Player, Plugins, REST, Scenario, Stage, Step, Stuck, Undone, swap},
    world::Broken,
};

/// How long a view is stale or hidden: when it ends, the step in which it began
/// has come to rest and the next one has begun.
const UNSEEN: Duration = REST.saturating_add(Duration::from_secs(2));

/// Plays one scenario with disturbances.
pub struct Explorer<'a> {
    scenario: &'a Scenario,
    stage: &'a Stage,
    seed: u64,
    undisturbed: Course,
    /// The ends of the first so many steps, played undisturbed when they are needed.
    ends: Vec<OnceLock<Option<End>>>,
}

/// What a run went through.
#[derive(Default)]
struct Course {
    end: End,
    /// The step in which each write was made, without those of Leases.
    writes: Vec<usize>,
    /// The kinds that the host watches, by their plural names, and how many events
    /// of each were shown.
    watched: BTreeMap<String, usize>,
    /// What happened, in order.
    story: Vec<String>,
}

/// What a disturbance has led to.
#[derive(Debug, Clone)]
pub struct Finding {
    /// What was done.
    pub disturbance: Disturbance,
    /// What is wrong in the end.
    pub wrong: Wrong,
    /// What happened, as far as it takes to go wrong.
    pub story: Vec<String>,
}

/// What is wrong at the end of a disturbed run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wrong {
    /// Objects are not as they are undisturbed, each difference a line.
    Differs(Vec<String>),
    /// A plugin's objects are left over, and maybe others differ.
    Leaked(Vec<String>),
    /// It never stops writing.
    Restless(String),
    /// It did not come to an end.
    Stuck(String),
}

impl<'a> Explorer<'a> {
    /// Plays the scenario undisturbed, as all others are compared with it. The
    /// error says why it came to no end.
    pub fn new(scenario: &'a Scenario, stage: &'a Stage, wasm: Arc<Wasm>, seed: u64) -> Result<Self, Wrong> {
        let ends = scenario.steps.iter().map(|_| OnceLock::new()).collect();
        let mut explorer = Self { scenario, stage, seed, undisturbed: Course::default(), ends };
        let course = explorer.play(wasm, None, scenario.steps.len());
        explorer.undisturbed = course.map_err(|(wrong, _)| wrong)?;
        Ok(explorer)
    }

    /// All that is to be tried.
    pub fn disturbances(&self) -> Vec<Disturbance> {
        let Course { writes, watched, .. } = &self.undisturbed;
        let mut all = Vec::new();
        for (index, step) in writes.iter().enumerate() {
            let write = index + 1;
            all.extend([Disturbance::CrashBefore(write), Disturbance::CrashAfter(write), Disturbance::Swap(write)]);
            if self.next_swap(*step).is_some() {
                all.push(Disturbance::EarlySwap(write));
            }
        }
        for (index, step) in self.scenario.steps.iter().enumerate() {
            let changes_nothing = matches!(step.action, Action::Expect(_) | Action::Advance(_) | Action::Swap(_));
            for resource in watched.keys().filter(|_| !changes_nothing) {
                all.push(Disturbance::Stale { step: index + 1, resource: resource.clone() });
            }
        }
        for (resource, events) in watched {
            all.extend((1..=*events).map(|event| Disturbance::Hidden { event, resource: resource.clone() }));
        }
        all
    }

    /// One run with that disturbance, and what it leads to. What goes wrong is
    /// tried again with ever fewer steps, and the least of them is told.
    pub fn explore(&self, disturbance: &Disturbance, wasm: &Arc<Wasm>) -> Option<Finding> {
        let steps = self.scenario.steps.len();
        let whole = self.wrong(disturbance, wasm, steps, &self.undisturbed.end)?;
        for fewer in 1..steps {
            if matches!(self.scenario.steps[fewer - 1].action, Action::Expect(_)) {
                continue;
            }
            let Some(end) = self.end_of(fewer, wasm) else { break };
            if let Some(finding) = self.wrong(disturbance, wasm, fewer, end) {
                return Some(finding);
            }
        }
        Some(whole)
    }

    /// The end of the first steps, undisturbed; none where they come to none.
    fn end_of(&self, steps: usize, wasm: &Arc<Wasm>) -> Option<&End> {
        let end = || self.play(wasm.clone(), None, steps).ok().map(|course| course.end);
        self.ends[steps].get_or_init(end).as_ref()
    }

    fn wrong(&self, disturbance: &Disturbance, wasm: &Arc<Wasm>, steps: usize, end: &End) -> Option<Finding> {
        let found = |wrong, story| Some(Finding { disturbance: disturbance.clone(), wrong, story });
        match self.play(wasm.clone(), Some(disturbance), steps) {
            Ok(course) => {
                let (differences, leaked) = course.end.differences(end);
                match (differences.is_empty(), leaked) {
                    (true, _) => None,
                    (false, false) => found(Wrong::Differs(differences), course.story),
                    (false, true) => found(Wrong::Leaked(differences), course.story),
                }
            }
            Err((wrong, story)) => found(wrong, story),
        }
    }

    /// Plays the first steps; a run that is cut short tells what happened too.
    fn play(
        &self,
        wasm: Arc<Wasm>,
        disturbance: Option<&Disturbance>,
        steps: usize,
    ) -> Result<Course, (Wrong, Vec<String>)> {
        simulate(async {
            let faults = disturbance.and_then(|disturbance| self.fault(disturbance));
            let mut player = Player::new(self.scenario, self.stage, wasm, self.seed, faults);
            let played = self.play_steps(&mut player, disturbance, steps).await;
            let story = story(self.scenario, &player, disturbance);
            match played {
                Ok(end) => Ok(self.course(&player, end, story)),
                Err(wrong) => Err((wrong, story)),
            }
        })
    }

    async fn play_steps(
        &self,
        player: &mut Player<'_>,
        disturbance: Option<&Disturbance>,
        steps: usize,
    ) -> Result<End, Wrong> {
        player.begin().await.map_err(|broken| Wrong::stuck(0, broken))?;
        for (index, step) in self.scenario.steps.iter().enumerate().take(steps) {
            if let Some(what) = disturbance.and_then(|disturbance| disturbance.stale_at(index + 1, UNSEEN)) {
                let now = player.world.clock().elapsed();
                player.world.disturb([Fault { when: When::At(now), what }]);
                // Nothing of the step may be seen, so it comes a moment later.
                player.world.pass(Duration::from_millis(1)).await.map_err(|broken| Wrong::stuck(index, broken))?;
            }
            if matches!(step.action, Action::Expect(_)) {
                continue;
            }
            if disturbance.is_some() && takes_away(&step.action) {
                // Whom the plugin served, it has seen: later, nobody would.
                player.world.settle().await.map_err(|broken| Wrong::stuck(index, broken))?;
            }
            match player.play(index, &step.action).await {
                // A disturbed host may not have made yet what is edited: whoever does so waits for it.
                Err(Stuck::Undone(Undone::Missing(_))) if disturbance.is_some() => {
                    player.world.settle().await.map_err(|broken| Wrong::stuck(index, broken))?;
                    player.play(index, &step.action).await.map_err(|stuck| Wrong::stuck(index, stuck))?;
                }
                played => played.map_err(|stuck| Wrong::stuck(index, stuck))?,
            }
        }
        player.world.settle().await.map_err(|broken| Wrong::stuck(steps.saturating_sub(1), broken))?;
        End::of(&player.cluster).await.map_err(|refused| Wrong::Stuck(refused.to_string()))
    }

    /// The fault that is known before the run begins.
    fn fault(&self, disturbance: &Disturbance) -> Option<Fault> {
        let at = |write: usize, what| Some(Fault { when: When::Write(write), what });
        match disturbance {
            Disturbance::CrashBefore(write) => at(*write, What::CrashBefore),
            Disturbance::CrashAfter(write) => at(*write, What::CrashAfter),
            Disturbance::Swap(write) => {
                let plugins = self.plugins_at(self.step_of(*write)?);
                at(*write, What::Swapped(Arc::new(self.stage.folder_anew(&plugins))))
            }
            Disturbance::EarlySwap(write) => {
                let plugins = self.next_swap(self.step_of(*write)?)?;
                at(*write, What::Swapped(Arc::new(self.stage.folder(&plugins))))
            }
            Disturbance::Hidden { event, resource } => {
                Some(Fault { when: When::Event(*event), what: watches(resource, Stream::Hidden(UNSEEN)) })
            }
            Disturbance::Stale { .. } => None,
        }
    }

    /// The step in which the undisturbed run makes a write.
    fn step_of(&self, write: usize) -> Option<usize> {
        self.undisturbed.writes.get(write.checked_sub(1)?).copied()
    }

    /// The plugins folder while a step is played.
    fn plugins_at(&self, step: usize) -> Plugins {
        let mut plugins = self.scenario.plugins.clone();
        for step in &self.scenario.steps[..=step] {
            if let Action::Swap(files) = &step.action {
                swap(&mut plugins, files);
            }
        }
        plugins
    }

    /// The plugins folder with what the next swap of the scenario itself puts
    /// there, where it puts something.
    fn next_swap(&self, after: usize) -> Option<Plugins> {
        let swapped = |step: &Step| match &step.action {
            Action::Swap(files) => Some(files.clone()),
            _ => None,
        };
        let mut files = self.scenario.steps.iter().skip(after + 1).find_map(swapped)?;
        files.retain(|_, file| file.is_some());
        let mut plugins = self.plugins_at(after);
        swap(&mut plugins, &files);
        (plugins != self.plugins_at(after)).then_some(plugins)
    }

    fn course(&self, player: &Player<'_>, end: End, story: Vec<String>) -> Course {
        let entries = player.world.log().entries();
        let writes = entries.iter().filter(|entry| entry.writes() && !entry.is_about_a_lease());
        let step_at = |at: Duration| {
            let begun = player.began.iter().rev().find(|(_, began)| *began <= at);
            begun.map_or(0, |(step, _)| *step)
        };
        let shown = player.world.events();
        let watched = entries.iter().filter_map(Entry::watches).filter(|resource| !NOT_OF_PLUGINS.contains(resource));
        let watched = watched.map(|resource| (resource.to_owned(), shown.get(resource).copied().unwrap_or_default()));
        let watched = watched.collect();
        Course { end, writes: writes.map(|entry| step_at(entry.at)).collect(), watched, story }
    }
}

/// Whether it takes a plugin away.
fn takes_away(action: &Action) -> bool {
    matches!(action, Action::Swap(files) if files.values().any(Option::is_none))
}

/// What the host watches for itself.
const NOT_OF_PLUGINS: [&str; 2] = ["leases", "customresourcedefinitions"];

impl Wrong {
    /// What it means that a step, by its index, came to no end.
    fn stuck(step: usize, why: impl Into<Stuck>) -> Self {
        match why.into() {
            Stuck::Broken(Broken::Restless(last)) => Self::Restless(last.in_short()),
            why => Self::Stuck(format!("step {}: {why}", step + 1)),
        }
    }
}

impl std::fmt::Debug for Explorer<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Explorer").field("scenario", &self.scenario.file).finish_non_exhaustive()
    }
}
