//! Makes a case smaller as long as both servers still differ on it in the same way.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use super::draw::pointers;
use crate::case::{Case, Step};
use crate::compare::Difference;
use crate::runner::Runner;

/// Places in lists move as steps are left out.
static PLACE: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\[\d+\]").expect("a literal pattern"));
/// How often a smaller case is tried: a few minutes with a real server.
const TRIES_MAX: usize = 200;

/// The smallest case that is found with the same first difference. The case is
/// returned as it is where it does not differ when it is played again.
pub async fn shrink(runner: &Runner, case: Case) -> Case {
    let outcome = runner.run(&case).await;
    let Some(first) = outcome.ok().and_then(|outcome| outcome.differences.into_iter().next()) else { return case };
    let mut search = Search { runner, sought: Sort::of(&first), best: case, tries: 0 };
    search.cut_steps(first.step).await;
    search.cut_bodies().await;
    search.best
}

/// What makes two differences the same one: less may be asked before, and
/// something else must not be found instead.
#[derive(PartialEq, Eq)]
struct Sort {
    request: String,
    path: String,
    codes: Option<(Option<Value>, Option<Value>)>,
}

impl Sort {
    fn of(difference: &Difference) -> Self {
        let Difference { request, path, real, memory, .. } = difference;
        let codes = (path == "code").then(|| (real.clone(), memory.clone()));
        Self { request: request.clone(), path: PLACE.replace_all(path, "[]").into_owned(), codes }
    }
}

struct Search<'a> {
    runner: &'a Runner,
    sought: Sort,
    best: Case,
    tries: usize,
}

impl Search<'_> {
    /// Whether a smaller case differs first in the same way; then it is the best so far.
    async fn take(&mut self, case: Case) -> bool {
        if self.tries >= TRIES_MAX {
            return false;
        }
        self.tries += 1;
        let first = self.runner.run(&case).await.ok().and_then(|outcome| outcome.differences.into_iter().next());
        let differs = first.is_some_and(|first| Sort::of(&first) == self.sought);
        if differs {
            self.best = case;
        }
        differs
    }

    /// Leaves steps out: large pieces first, then single ones.
    async fn cut_steps(&mut self, first: usize) {
        let mut case = self.best.clone();
        case.steps.truncate(first);
        self.take(case).await;
        let mut size = self.best.steps.len() / 2;
        while size > 0 {
            let mut at = 0;
            while at < self.best.steps.len() {
                let mut case = self.best.clone();
                case.steps.drain(at..(at + size).min(case.steps.len()));
                if case.steps.is_empty() || !self.take(case).await {
                    at += size;
                }
            }
            size /= 2;
        }
    }

    /// Leaves out what bodies say, and what the schema of the custom kind says.
    async fn cut_bodies(&mut self) {
        if !self.best.steps.iter().any(uses_things) {
            let mut case = self.best.clone();
            case.things = None;
            self.take(case).await;
        }
        for index in 0..self.best.steps.len() {
            let Step::Send(send) = &self.best.steps[index] else { continue };
            let mut paths = Vec::new();
            if let Some(body) = &send.body {
                pointers(body, String::new(), &mut paths);
            }
            // Without what says which object it is, another thing would differ.
            paths.retain(|path| !matches!(path.as_str(), "/metadata" | "/metadata/name" | "/apiVersion" | "/kind"));
            for path in paths {
                let mut case = self.best.clone();
                if let Step::Send(send) = &mut case.steps[index]
                    && send.body.as_mut().is_some_and(|body| remove(body, &path))
                {
                    self.take(case).await;
                }
            }
        }
    }
}

fn uses_things(step: &Step) -> bool {
    matches!(step, Step::Send(send) if send.send.contains("$things") || send.send.contains("$custom"))
}

fn remove(value: &mut Value, path: &str) -> bool {
    let Some((parent, key)) = path.rsplit_once('/') else { return false };
    let key = key.replace("~1", "/").replace("~0", "~");
    match value.pointer_mut(parent) {
        Some(Value::Object(fields)) => fields.remove(&key).is_some(),
        Some(Value::Array(items)) => {
            key.parse().ok().filter(|index| *index < items.len()).map(|index: usize| items.remove(index)).is_some()
        }
        _ => false,
    }
}
