//! One episode: a case of many writes to a few kinds by three managers, under
//! watches that see all of it.

use std::sync::Arc;

use fastrand::Rng;
use serde_json::json;

use super::custom::Custom;
use super::draw::{draw, one_of, percent};
use super::garbage;
use super::sketch::{self, Target};
use super::writes::{OWNER, object, operation, with_body, with_metadata};
use crate::case::{Case, Read, Send, Step};

/// Drawn writes in one episode: enough for managers to meet, few enough to read.
const OPERATIONS: usize = 40;
/// Built-in kinds of an episode, besides the custom one.
const BUILTIN_KINDS: usize = 2;
const NAMES: [&str; 2] = ["a", "b"];

/// Draws episodes from a seed.
#[derive(Clone)]
pub struct Generator {
    builtin: Arc<Vec<Target>>,
}

impl Generator {
    /// One that draws for the built-in kinds of a table of sketches.
    ///
    /// # Errors
    /// Where the text is no such table.
    pub fn new(sketches: &str) -> anyhow::Result<Self> {
        Ok(Self { builtin: Arc::new(sketch::read(sketches)?) })
    }

    /// The episode of a seed.
    #[must_use]
    pub fn episode(&self, seed: u64) -> Case {
        let mut rng = Rng::with_seed(seed);
        if percent(&mut rng, 15) { garbage::episode(seed, &mut rng) } else { self.writes(seed, &mut rng) }
    }

    fn writes(&self, seed: u64, rng: &mut Rng) -> Case {
        let Custom { mut targets, things } = Custom::random(rng);
        targets.iter_mut().for_each(|target| target.names = NAMES.map(str::to_owned).to_vec());
        for index in 0..BUILTIN_KINDS {
            let mut target = one_of(rng, &self.builtin).clone();
            if targets.iter().all(|other| other.path != target.path) {
                let prefix = if target.shared() { "$ns-" } else { "" };
                target.names = NAMES.map(|name| format!("{prefix}{name}{index}")).to_vec();
                targets.push(target);
            }
        }
        let owner = json!({ "metadata": { "name": OWNER } });
        let mut steps = vec![Step::Send(with_body("POST $core/configmaps".to_owned(), None, owner))];
        for (index, target) in targets.iter().enumerate().filter(|(_, target)| !target.shared()) {
            let watch = |name: &str, more: &str| {
                let line = format!("GET {}?watch=1&resourceVersion=$rv{more}", target.path);
                Step::Send(Send { send: line, watch: Some(format!("{name}{index}")), ..Send::default() })
            };
            let all = send(format!("GET {}", target.path));
            steps.extend([all, watch("all", ""), watch("some", "&labelSelector=a%3D1")]);
        }
        let first = targets.iter().filter(|target| target.api_version != "$group/v2");
        for (target, name) in first.flat_map(|target| target.names.iter().map(move |name| (target, name))) {
            let first = with_metadata(target, object(target, name, draw(&target.body, rng)), rng);
            steps.push(Step::Send(with_body(format!("POST {}", target.path), None, first)));
        }
        for _ in 0..OPERATIONS {
            let target = one_of(rng, &targets);
            steps.push(Step::Send(operation(target, rng)));
        }
        for (index, target) in targets.iter().enumerate() {
            end(&mut steps, index, target, rng);
        }
        Case { case: format!("drawn from seed {seed}"), things: Some(things), steps }
    }
}

/// What is left of a target's objects, and what watches have seen of them: up
/// to a last object, which all of them see.
fn end(steps: &mut Vec<Step>, index: usize, target: &Target, rng: &mut Rng) {
    if target.shared() {
        steps.extend(target.names.iter().map(|name| send(format!("GET {}/{name}", target.path))));
        return;
    }
    let name = format!("last{index}");
    let mut last = object(target, &name, draw(&target.body, rng));
    last["metadata"]["labels"] = json!({ "a": "1" });
    steps.push(send(format!("GET {}", target.path)));
    steps.push(Step::Send(with_body(format!("POST {}", target.path), None, last)));
    for watch in ["all", "some"] {
        steps.push(Step::Read(Read { read: format!("{watch}{index}"), events: None, to: Some(name.clone()) }));
    }
}

fn send(line: String) -> Step {
    Step::Send(Send { send: line, ..Send::default() })
}
