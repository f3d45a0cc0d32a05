//! One undisturbed run of a scenario, with all that it expects checked, and
//! what an author is shown where it fails.

use std::{sync::Arc, time::Duration};

use serde_json::Value;
use trimtab_wasm::Wasm;

use super::{
    Action, Expect, Scenario, Step,
    check::{Check, Checked, Mismatch},
    cluster::{Cluster, Undone},
    lines::Lines,
    player::{Player, Stuck},
    stage::Stage,
    update::Edit,
};
use crate::{clock::simulate, located::At, log::Entry, world::SETTLED};

/// Of what is shown with a failure: enough to see what led to it.
const EVENTS_SHOWN: usize = 8;
const LINES_SHOWN: usize = 12;
const WRITES_SHOWN: usize = 12;

/// What came of a run.
#[derive(Debug)]
pub struct Ran {
    /// The step at which it failed, if it did; none of those after it was played.
    pub failure: Option<Failure>,
    /// What would make the scenario expect what was found.
    pub edits: Vec<Edit>,
    /// The writes of the host, without those of Leases and Events.
    pub writes: usize,
    /// How much time passed in the world.
    pub simulated: Duration,
}

/// A step that failed.
#[derive(Debug)]
pub struct Failure {
    /// Where the step stands.
    pub line: u64,
    /// What it does.
    pub title: String,
    /// What is wrong.
    pub mismatches: Vec<Mismatch>,
    /// What else was so, under headings.
    pub context: Vec<(&'static str, Vec<String>)>,
}

/// Plays a scenario. To record, all is played and what differs is left as
/// edits; what no edit can mend fails all the same.
pub fn run(scenario: &Scenario, stage: &Stage, wasm: Arc<Wasm>, seed: u64, record: bool) -> Ran {
    let lines = Lines::default();
    lines.hear(|| {
        simulate(async {
            let player = Player::new(scenario, stage, wasm, seed, None);
            Run { scenario, player, lines: &lines, record, since: Duration::ZERO }.run().await
        })
    })
}

struct Run<'a> {
    scenario: &'a Scenario,
    player: Player<'a>,
    lines: &'a Lines,
    record: bool,
    /// When what is counted began.
    since: Duration,
}

impl Run<'_> {
    async fn run(mut self) -> Ran {
        let mut edits = Vec::new();
        let mut failure = None;
        if let Err(broken) = self.player.begin().await {
            failure = Some(self.failure(1, "start".to_owned(), vec![said(self.scenario, 1, broken.to_string())]).await);
        }
        self.since = self.player.world.clock().elapsed();
        let steps = if failure.is_none() { &self.scenario.steps[..] } else { &[] };
        for (index, step) in steps.iter().enumerate() {
            match self.step(index, step).await {
                Ok(found) => edits.extend(found),
                Err(mismatches) => {
                    failure = Some(self.failure(step.line, step.title(), mismatches).await);
                    break;
                }
            }
        }
        let writes = self.player.writes_since(Duration::ZERO).len();
        Ran { failure, edits, writes, simulated: self.player.world.clock().elapsed() }
    }

    async fn step(&mut self, index: usize, step: &Step) -> Result<Vec<Edit>, Vec<Mismatch>> {
        if let Action::Expect(expect) = &step.action {
            let checked = self.expect(expect).await.map_err(|stuck| self.stuck(step, &stuck))?;
            let mended = self.record && checked.mismatches.iter().all(|mismatch| mismatch.recorded);
            return if checked.mismatches.is_empty() || mended { Ok(checked.edits) } else { Err(checked.mismatches) };
        }
        self.player.play(index, &step.action).await.map_err(|stuck| self.stuck(step, &stuck))?;
        Ok(Vec::new())
    }

    async fn expect(&mut self, expect: &Expect) -> Result<Checked, Stuck> {
        let writes = self.player.writes_since(self.since).len() as u64;
        let (file, cluster) = (self.scenario.file.clone(), &mut self.player.cluster);
        let mut check = Check { file, cluster, checked: Checked::default() };
        check.check(expect, writes).await?;
        let mut checked = check.checked;
        if let Some((settled, at)) = &expect.settled {
            checked.mismatches.extend(self.settled(*settled, at).await?);
        }
        self.since = self.player.world.clock().elapsed();
        Ok(checked)
    }

    /// Whether nothing is written for a minute more.
    async fn settled(&mut self, expected: bool, at: &At) -> Result<Option<Mismatch>, Stuck> {
        let from = self.player.world.clock().elapsed();
        self.player.world.pass(SETTLED).await?;
        let writes = self.player.writes_since(from);
        let found = writes.first().map_or("nothing was written for a minute".to_owned(), |write| {
            format!("{} writes in a minute; the first: {}", writes.len(), write.in_short())
        });
        Ok((writes.is_empty() != expected).then(|| Mismatch {
            file: self.scenario.file.clone(),
            line: at.line,
            what: "settled".to_owned(),
            values: Some((expected.to_string(), found)),
            recorded: false,
        }))
    }

    /// What could not be done, by the lines of the manifest where those are known.
    fn stuck(&self, step: &Step, stuck: &Stuck) -> Vec<Mismatch> {
        if let (Action::Apply(manifests), Stuck::Undone(Undone::Refused { of, refused })) = (&step.action, stuck)
            && let Some(manifest) = manifests.iter().find(|manifest| manifest.title() == *of)
        {
            let causes = refused.answer()["details"]["causes"].as_array().into_iter().flatten();
            let causes = causes.map(|cause| {
                let field = cause["field"].as_str().unwrap_or_default();
                let message = cause["message"].as_str().unwrap_or_default();
                let at = &manifest.node.deepest(field).at;
                let what = format!("{of} {field}: {message}");
                Mismatch { file: manifest.file.clone(), line: at.line, what, values: None, recorded: false }
            });
            let causes = causes.collect::<Vec<_>>();
            if !causes.is_empty() {
                return causes;
            }
            let message = refused.answer()["message"].as_str().unwrap_or_default();
            let what = format!("{of}: {message}");
            let (file, line) = (manifest.file.clone(), manifest.node.at.line);
            return vec![Mismatch { file, line, what, values: None, recorded: false }];
        }
        vec![said(self.scenario, step.line, stuck.to_string())]
    }

    async fn failure(&self, line: u64, title: String, mismatches: Vec<Mismatch>) -> Failure {
        let cluster = &self.player.cluster;
        let writes = self.player.writes_since(Duration::ZERO);
        let writes = writes.iter().skip(writes.len().saturating_sub(WRITES_SHOWN)).map(Entry::in_short).collect();
        let context = [
            ("plugins that do not serve what lies in the folder", self.idle_slots()),
            ("conditions that are not True", conditions(cluster).await),
            ("last Events", events(cluster).await),
            ("last lines of plugins and host", self.lines.newest(LINES_SHOWN)),
            ("last writes of the host", writes),
        ];
        let context = context.into_iter().filter(|(_, lines)| !lines.is_empty()).collect();
        Failure { line, title, mismatches, context }
    }

    fn idle_slots(&self) -> Vec<String> {
        let slots = self.player.world.slots();
        let slots = slots.iter().flat_map(|slots| slots.iter());
        slots.filter_map(|slot| slot.reason.as_ref().map(|reason| format!("{}: {reason}", slot.stem))).collect()
    }
}

fn said(scenario: &Scenario, line: u64, what: String) -> Mismatch {
    Mismatch { file: scenario.file.clone(), line, what, values: None, recorded: false }
}

async fn conditions(cluster: &Cluster) -> Vec<String> {
    let objects = cluster.everything().await.unwrap_or_default();
    let mut lines = Vec::new();
    for (object, _) in &objects {
        let conditions = object["status"]["conditions"].as_array().into_iter().flatten();
        for condition in conditions.filter(|condition| condition["status"] == "False") {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let (kind, name) = (text(&object["kind"]), text(&object["metadata"]["name"]));
            let [of, reason, message] = ["type", "reason", "message"].map(|field| text(&condition[field]));
            lines.push(format!("{kind}/{name} {of}: {reason}: {message}"));
        }
    }
    lines
}

async fn events(cluster: &Cluster) -> Vec<String> {
    let events = cluster.events(None).await.unwrap_or_default();
    let newest = events.iter().skip(events.len().saturating_sub(EVENTS_SHOWN));
    let line = |event: &Value| {
        let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let (kind, name) = (text("/regarding/kind"), text("/regarding/name"));
        format!("{kind}/{name} {} {}: {}", text("/type"), text("/reason"), text("/note"))
    };
    newest.map(line).collect()
}
