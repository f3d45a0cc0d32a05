//! Makes a case smaller as long as both servers still differ on it.

use serde_json::Value;

use super::draw::pointers;
use crate::case::{Case, Step};
use crate::runner::Runner;

/// How often a smaller case is tried: a few minutes with a real server.
const TRIES_MAX: usize = 200;

/// The smallest case that is found.
pub async fn shrink(runner: &Runner, case: Case) -> Case {
    let mut search = Search { runner, best: case, tries: 0 };
    search.cut_steps().await;
    search.cut_bodies().await;
    search.best
}

struct Search<'a> {
    runner: &'a Runner,
    best: Case,
    tries: usize,
}

impl Search<'_> {
    /// Whether a smaller case still differs; then it is the best so far.
    async fn take(&mut self, case: Case) -> bool {
        if self.tries >= TRIES_MAX {
            return false;
        }
        self.tries += 1;
        let differs = self.runner.run(&case).await.is_ok_and(|outcome| !outcome.differences.is_empty());
        if differs {
            self.best = case;
        }
        differs
    }

    /// Leaves steps out: large pieces first, then single ones.
    async fn cut_steps(&mut self) {
        if let Ok(outcome) = self.runner.run(&self.best).await
            && let Some(first) = outcome.differences.iter().map(|difference| difference.step).min()
        {
            let mut case = self.best.clone();
            case.steps.truncate(first);
            self.take(case).await;
        }
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
            // What says which object it is stays: without it, another thing would differ.
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
