//! Plays a case on both servers and compares.

use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Context;
use kube::Client;

use crate::case::Case;
use crate::compare::{Difference, differences};
use crate::exceptions::Exception;
use crate::play::play;
use crate::server::Server;

/// The real server, and as many in memory as there are cases.
pub struct Runner {
    real: Server,
    prefix: &'static str,
    played: AtomicUsize,
    exceptions: Vec<Exception>,
}

/// What came of a case.
pub struct Outcome {
    /// Empty where both servers say the same.
    pub differences: Vec<Difference>,
}

impl Runner {
    /// Compares with the server behind `client`, in namespaces that begin so.
    #[must_use]
    pub fn new(client: Client, prefix: &'static str) -> Self {
        Self { real: Server::real(client), prefix, played: AtomicUsize::new(0), exceptions: Vec::new() }
    }

    /// Passes over what differs by these.
    #[must_use]
    pub fn except(mut self, exceptions: Vec<Exception>) -> Self {
        self.exceptions = exceptions;
        self
    }

    /// Plays a case on both, in a namespace and a group that no other play has.
    ///
    /// # Errors
    /// Where a server gives no answer, or the case cannot be prepared.
    pub async fn run(&self, case: &Case) -> anyhow::Result<Outcome> {
        let namespace = format!("{}{}", self.prefix, self.played.fetch_add(1, Ordering::Relaxed));
        let memory = Server::in_memory();
        let memory = play(case, &memory, &namespace, &[]).await;
        let memory = memory.with_context(|| format!("{:?} in memory", case.case))?;
        let real = play(case, &self.real, &namespace, &memory).await;
        let real = real.with_context(|| format!("{:?} on the real server", case.case))?;
        let mut found = Vec::new();
        for (index, (real, memory)) in real.iter().zip(&memory).enumerate() {
            let request = &case.steps[index];
            found.extend(differences(real, memory).into_iter().map(|(path, real, memory)| Difference {
                step: index + 1,
                request: request.to_string(),
                path,
                real,
                memory,
            }));
        }
        found.retain(|difference| !self.exceptions.iter().any(|known| known.covers(&case.case, difference)));
        Ok(Outcome { differences: found })
    }
}
