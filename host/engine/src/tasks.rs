//! Named tasks, so that one that ends by itself ends the process with its name
//! instead of leaving the rest to serve without it.

use std::{collections::HashMap, future::Future};

use tokio::task::{Id, JoinError, JoinSet};

/// A task ended though nobody stopped it: a fault of ours.
#[derive(Debug, thiserror::Error)]
#[error("the task {task:?} ended unexpectedly: {why}")]
pub struct TaskEnded {
    task: &'static str,
    why: String,
}

/// What a task ends with: nothing, or perhaps an error.
pub trait End {
    /// The same as one type for all tasks of a set.
    fn into_result(self) -> Result<(), String>;
}

impl End for () {
    fn into_result(self) -> Result<(), String> {
        Ok(())
    }
}

impl<E: std::error::Error> End for Result<(), E> {
    fn into_result(self) -> Result<(), String> {
        self.map_err(|error| error.to_string())
    }
}

/// A set of named tasks; dropped, it aborts them.
#[derive(Default)]
pub struct Tasks {
    set: JoinSet<Result<(), String>>,
    names: HashMap<Id, &'static str>,
}

impl Tasks {
    /// Starts one. Its error, if it can have any, says why it had to end.
    pub fn start<T: End>(&mut self, name: &'static str, task: impl Future<Output = T> + Send + 'static) {
        let id = self.set.spawn(async move { task.await.into_result() }).id();
        self.names.insert(id, name);
    }

    /// Returns when any of them has ended.
    pub async fn any_ended(&mut self) -> TaskEnded {
        match self.set.join_next_with_id().await {
            Some(ended) => self.ended(ended),
            None => std::future::pending().await,
        }
    }

    /// Returns when all of them have ended, as they were told to.
    pub async fn all_ended(&mut self) {
        while let Some(ended) = self.set.join_next_with_id().await {
            if !matches!(ended, Ok((_, Ok(())))) {
                let ended = self.ended(ended);
                tracing::error!(%ended, "while stopping");
            }
        }
    }

    fn ended(&self, ended: Result<(Id, Result<(), String>), JoinError>) -> TaskEnded {
        let (id, why) = match ended {
            Ok((id, Ok(()))) => (id, "it returned".into()),
            Ok((id, Err(why))) => (id, why),
            Err(error) => (error.id(), error.to_string()),
        };
        TaskEnded { task: self.names.get(&id).copied().unwrap_or("unnamed"), why }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_panics_is_named() {
        let mut tasks = Tasks::default();
        tasks.start("waits", std::future::pending::<()>());
        tasks.start::<()>("breaks", async { panic!("on purpose") });
        let ended = tasks.any_ended().await.to_string();
        assert!(ended.contains("\"breaks\"") && ended.contains("on purpose"), "{ended}");
    }

    #[tokio::test]
    async fn a_task_that_returns_too_early_is_named() {
        let mut tasks = Tasks::default();
        tasks.start("leaves", async {});
        assert_eq!(tasks.any_ended().await.to_string(), "the task \"leaves\" ended unexpectedly: it returned");
    }
}
