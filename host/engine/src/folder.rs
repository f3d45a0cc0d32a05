//! The plugins folder: which files lie in it, as slots. Changes are noticed by
//! the kernel's notifications, which are only hints, and by a slow poll, since
//! a network file system sends none.
//!
//! The folder says what should be served; what is served is the slots' matter.
//! A file counts once it holds still (see `steady`), so that one half-copied is
//! never loaded, and a folder that vanished serves nothing and deletes nothing.

mod hints;
mod listing;
mod slots;
mod steady;

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::{
    sync::watch,
    task::spawn_blocking,
    time::{Instant, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;
use trimtab_core::{hash::Hash, id::SlotId};

use self::{
    hints::Hints,
    listing::Listing,
    steady::{At, SETTLE, Steady, read_bytes},
};

/// How often the folder is looked at without a hint. A look lists a few names;
/// ten seconds are what a person waits for a file on a network volume.
pub const POLL: Duration = Duration::from_secs(10);
/// How long the first message waits for files that are just being copied.
const FIRST_WAIT: Duration = Duration::from_secs(2);
/// The largest module that is read: three times what Python's takes.
pub const MODULE_BYTES_MAX: u64 = 128 << 20;
/// The largest policy that is read: what fits into a ConfigMap.
pub const POLICY_BYTES_MAX: u64 = 1 << 20;

/// What the folder holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Folder {
    /// The files that are to be served.
    pub slots: BTreeMap<SlotId, Source>,
    /// What lies there besides, and why it is left alone.
    pub ignored: BTreeMap<PathBuf, String>,
    /// The folder has been looked at, found or not.
    pub read: bool,
}

/// The files of one slot, as they were when they held still.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The module.
    pub module: PathBuf,
    /// The hash of the module's bytes.
    pub content: Hash,
    /// The text of the policy, where there is one.
    pub policy: Option<Arc<str>>,
    /// Why the module or its policy cannot be used, where that is known already.
    pub unreadable: Option<String>,
}

/// Why a module cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It was known when the folder was looked at.
    #[error("{0}")]
    Unreadable(String),
    /// The operating system says why.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    /// Another look at the folder will find it.
    #[error("it has changed since the folder was looked at, and is taken up when it holds still")]
    Changed,
}

impl Source {
    /// The module's bytes: those that were hashed, or none.
    pub fn read(&self) -> Result<Arc<[u8]>, ReadError> {
        if let Some(why) = &self.unreadable {
            return Err(ReadError::Unreadable(why.clone()));
        }
        let bytes = read_bytes(&self.module, MODULE_BYTES_MAX)?;
        if Hash::of([&bytes[..]]) == self.content { Ok(bytes.into()) } else { Err(ReadError::Changed) }
    }
}

/// The contents of a folder as messages, and the task that sends them.
pub fn follow(folder: &Path) -> (watch::Receiver<Arc<Folder>>, Follower) {
    let (sender, receiver) = watch::channel(Arc::default());
    (receiver, Follower { folder: folder.to_owned(), sender, poll: POLL })
}

/// Looks at a folder and tells what it holds.
#[derive(Debug)]
pub struct Follower {
    folder: PathBuf,
    sender: watch::Sender<Arc<Folder>>,
    poll: Duration,
}

impl Follower {
    /// Follows the folder until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let start = Instant::now();
        let (mut hints, mut steady) = (Hints::default(), Steady::default());
        let mut told = false;
        loop {
            let looked_at = Instant::now();
            let folder = self.folder.clone();
            let wall = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
            let at = At { now: start.elapsed(), wall };
            // A hanging network volume holds up this one task and nothing else.
            let blocking = spawn_blocking(move || {
                hints.watch(&folder);
                let look = Listing::read(&folder).map(|listing| steady.look(&folder, listing, at, &hints.open()));
                (hints, steady, look)
            });
            let look;
            (hints, steady, look) = match blocking.await {
                Ok(looked) => looked,
                Err(error) if error.is_cancelled() => return,
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            };
            let next = match look {
                Ok((_, true)) if !told && start.elapsed() < FIRST_WAIT => SETTLE,
                Ok((folder, moving)) => {
                    self.tell(folder);
                    told = true;
                    if moving { SETTLE } else { self.poll }
                }
                Err(error) => {
                    tracing::warn!(folder = %self.folder.display(), %error, "cannot be looked at, so nothing changes");
                    self.poll
                }
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                // A file that is being written gives a hint with each write.
                () = hints.next() => sleep_until(looked_at + SETTLE).await,
                () = sleep(next) => {}
            }
        }
    }

    /// Tells what the folder holds, if that is news.
    fn tell(&self, folder: Folder) {
        let before = self.sender.borrow().clone();
        for (path, why) in folder.ignored.iter().filter(|(path, why)| before.ignored.get(*path) != Some(*why)) {
            tracing::warn!(path = %path.display(), why, "ignored in the plugins folder");
        }
        if *before != folder {
            self.sender.send_replace(Arc::new(folder));
        }
    }
}

#[cfg(test)]
mod tests;
