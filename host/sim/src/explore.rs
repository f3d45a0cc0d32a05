//! Plays a scenario again and again, each time with one thing going wrong, and
//! says where it comes to another end than undisturbed.
//!
//! What is tried follows from the undisturbed run: a crash just before and just
//! after each write, a plugin that is swapped at each write, and for each step
//! and each kind that the host watches, a view that is stale while it happens
//! and one that never shows it. These are the three ways in which controllers
//! fail: at intermediate states, at stale states, and at states that nobody saw.
//! A plugin whose answer depends on nothing but what is there now passes all.
//!
//! Expectations are checked by the undisturbed run alone: a disturbed one may be
//! anywhere between, but has to come to the same end.

mod disturbance;
mod end;
mod story;

use std::{sync::Arc, time::Duration};

use trimtab_wasm::Wasm;

pub use self::disturbance::{Disturbance, NoDisturbance};
use self::{end::End, story::story};
use crate::{
    clock::simulate,
    fault::{Fault, What, When},
    scenario::{Action, Player, Plugins, REST, Scenario, Stage, Stuck, Undone, swap},
    world::Broken,
};

/// How long a view is stale or hidden: when it ends, the step at which it began
/// has come to rest and the next one has begun.
const UNSEEN: Duration = REST.saturating_add(Duration::from_secs(2));

/// Plays one scenario with disturbances.
pub struct Explorer<'a> {
    scenario: &'a Scenario,
    stage: &'a Stage,
    seed: u64,
    undisturbed: Course,
}

/// What a run went through.
struct Course {
    end: End,
    /// The step in which each write was made, without those of Leases.
    writes: Vec<usize>,
    /// The kinds that the host watches, by their plural names.
    watched: Vec<String>,
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
        let unexplored = Course { end: End::default(), writes: Vec::new(), watched: Vec::new(), story: Vec::new() };
        let mut explorer = Self { scenario, stage, seed, undisturbed: unexplored };
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
            for resource in watched.iter().filter(|_| !changes_nothing) {
                all.push(Disturbance::Stale { step: index + 1, resource: resource.clone() });
                all.push(Disturbance::Hidden { step: index + 1, resource: resource.clone() });
            }
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
            let Ok(undisturbed) = self.play(wasm.clone(), None, fewer) else { break };
            if let Some(finding) = self.wrong(disturbance, wasm, fewer, &undisturbed.end) {
                return Some(finding);
            }
        }
        Some(whole)
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
            if let Some(what) = disturbance.and_then(|disturbance| disturbance.unseen_at(index + 1, UNSEEN)) {
                let now = player.world.clock().elapsed();
                player.world.disturb([Fault { when: When::At(now), what }]);
                // Nothing of the step may be seen, so it comes a moment later.
                player.world.pass(Duration::from_millis(1)).await.map_err(|broken| Wrong::stuck(index, broken))?;
            }
            if matches!(step.action, Action::Expect(_)) {
                continue;
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
                let plugins = self.plugins_at(*self.undisturbed.writes.get(write.checked_sub(1)?)?);
                at(*write, What::Swapped(Arc::new(self.stage.folder_anew(&plugins))))
            }
            Disturbance::EarlySwap(write) => {
                let plugins = self.next_swap(*self.undisturbed.writes.get(write.checked_sub(1)?)?)?;
                at(*write, What::Swapped(Arc::new(self.stage.folder(&plugins))))
            }
            Disturbance::Stale { .. } | Disturbance::Hidden { .. } => None,
        }
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

    /// The plugins folder after the next swap that the scenario itself makes.
    fn next_swap(&self, after: usize) -> Option<Plugins> {
        let is_swap = |index: &usize| matches!(self.scenario.steps[*index].action, Action::Swap(_));
        let next = (after + 1..self.scenario.steps.len()).find(is_swap)?;
        Some(self.plugins_at(next))
    }

    fn course(&self, player: &Player<'_>, end: End, story: Vec<String>) -> Course {
        let entries = player.world.log().entries();
        let writes = entries.iter().filter(|entry| entry.writes() && !entry.is_about_a_lease());
        let step_at = |at: Duration| {
            let begun = player.began.iter().rev().find(|(_, began)| *began <= at);
            begun.map_or(0, |(step, _)| *step)
        };
        let mut watched = entries.iter().filter_map(|entry| entry.watches().map(str::to_owned)).collect::<Vec<_>>();
        watched.sort();
        watched.dedup();
        watched.retain(|resource| !NOT_OF_PLUGINS.contains(&&**resource));
        Course { end, writes: writes.map(|entry| step_at(entry.at)).collect(), watched, story }
    }
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
