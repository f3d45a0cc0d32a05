//! The kernel's notifications about the folder: when to look, and which files
//! somebody is writing to. None of it is relied upon.

use std::{
    collections::BTreeSet,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode, ModifyKind, RenameMode},
};
use tokio::sync::Notify;

/// Files known to be written to; more are not kept, and then only hold still by
/// the clock. More than a folder's worth would be the work of a mistaken path.
const OPEN_MAX: usize = 1_000;

/// Hints about one folder.
#[derive(Default)]
pub struct Hints {
    shared: Arc<Shared>,
    /// What is watched, and the device and inode that it was then: a folder
    /// that was replaced must be watched anew.
    watched: Option<(RecommendedWatcher, (u64, u64))>,
}

#[derive(Default)]
struct Shared {
    changed: Notify,
    open: Mutex<BTreeSet<PathBuf>>,
}

impl Hints {
    /// Sees to it that the folder is watched, if it can be.
    pub fn watch(&mut self, folder: &Path) {
        let Ok(is) = std::fs::metadata(folder).map(|metadata| (metadata.dev(), metadata.ino())) else {
            self.watched = None;
            return;
        };
        if self.watched.as_ref().is_some_and(|(_, was)| *was == is) {
            return;
        }
        self.watched = None;
        self.shared.open().clear();
        let shared = self.shared.clone();
        let watcher = notify::recommended_watcher(move |event| shared.noticed(event));
        let watching = watcher.and_then(|mut watcher| {
            watcher.watch(folder, RecursiveMode::Recursive)?;
            Ok(watcher)
        });
        match watching {
            Ok(watcher) => self.watched = Some((watcher, is)),
            Err(error) => tracing::debug!(folder = %folder.display(), %error, "not watched, only polled"),
        }
    }

    /// Returns when something may have changed since it returned last.
    pub async fn next(&self) {
        self.shared.changed.notified().await;
    }

    /// The files that somebody has written to and not closed.
    pub fn open(&self) -> BTreeSet<PathBuf> {
        self.shared.open().clone()
    }
}

impl Shared {
    fn open(&self) -> MutexGuard<'_, BTreeSet<PathBuf>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn noticed(&self, event: notify::Result<Event>) {
        let Ok(event) = event else {
            self.open().clear();
            return self.changed.notify_one();
        };
        let mut open = self.open();
        match event.kind {
            // Our own reading: to look because of it would be to look for ever.
            EventKind::Access(kind) if kind != AccessKind::Close(AccessMode::Write) => return,
            EventKind::Modify(ModifyKind::Data(_)) => {
                let room = OPEN_MAX.saturating_sub(open.len());
                open.extend(event.paths.iter().take(room).cloned());
            }
            // Events were lost, and who closed what is not known.
            _ if event.need_rescan() => open.clear(),
            EventKind::Access(_)
            | EventKind::Remove(_)
            | EventKind::Modify(ModifyKind::Name(RenameMode::From | RenameMode::To)) => {
                event.paths.iter().for_each(|path| _ = open.remove(path));
            }
            _ => {}
        }
        self.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use notify::event::{CreateKind, DataChange, Flag, RemoveKind};

    use super::*;

    fn open_after(events: &[(EventKind, &str)]) -> Vec<String> {
        let shared = Shared::default();
        for (kind, path) in events {
            shared.noticed(Ok(Event::new(*kind).add_path(path.into())));
        }
        shared.open().iter().map(|path| path.display().to_string()).collect()
    }

    const WRITTEN: EventKind = EventKind::Modify(ModifyKind::Data(DataChange::Any));
    const CLOSED: EventKind = EventKind::Access(AccessKind::Close(AccessMode::Write));

    #[test]
    fn a_file_is_open_from_its_first_write_until_it_is_closed_removed_or_replaced() {
        let created = EventKind::Create(CreateKind::File);
        assert_eq!(open_after(&[(created, "a"), (WRITTEN, "a"), (WRITTEN, "b"), (CLOSED, "a")]), ["b"]);
        assert_eq!(open_after(&[(created, "a")]), [""; 0], "a link is created and never closed");
        assert_eq!(open_after(&[(WRITTEN, "a"), (EventKind::Remove(RemoveKind::File), "a")]), [""; 0]);
        let moved = EventKind::Modify(ModifyKind::Name(RenameMode::To));
        assert_eq!(open_after(&[(WRITTEN, "a"), (moved, "a")]), [""; 0]);
    }

    #[test]
    fn lost_events_leave_nothing_open() {
        let shared = Shared::default();
        shared.noticed(Ok(Event::new(WRITTEN).add_path("a".into())));
        shared.noticed(Ok(Event::new(EventKind::Other).set_flag(Flag::Rescan)));
        assert!(shared.open().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn reading_a_file_is_no_hint() {
        let hints = Hints::default();
        for kind in [AccessKind::Open(AccessMode::Any), AccessKind::Close(AccessMode::Read), AccessKind::Read] {
            hints.shared.noticed(Ok(Event::new(EventKind::Access(kind)).add_path("a".into())));
        }
        assert!(tokio::time::timeout(super::super::POLL, hints.next()).await.is_err());
        hints.shared.noticed(Ok(Event::new(CLOSED).add_path("a".into())));
        hints.next().await;
    }
}
