//! What outlives a process of the slots of one plugins folder: the good generations of
//! each, with their bytes, and what was found bad. It lies in a folder of this user
//! alone, so that what was found out is known to the next process, also where the last
//! one died before it could tell anybody.
//!
//! A module is written before what names it, and each file whole or not at all: so
//! whoever dies on the way leaves what was there before, and a module too many.

use std::{
    collections::BTreeSet,
    fs, io,
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use trimtab_core::{hash::Hash, id::SlotId, promotion::Rejected};
use trimtab_wasm::{Cache, CacheError, Holds};

use crate::{folder::Source, generation::Loaded};

/// Good generations of a slot: the one that serves, or did last, and the one before it,
/// to which a person may go back.
const GOOD_MAX: usize = 2;
/// A file that returns within it was only away, as with a volume that is mounted anew;
/// after it, what comes is a new one that nothing is known of.
const AWAY_MAX: Duration = Duration::from_secs(3600);
/// What another plugins folder has left is unlinked when nobody has asked for so long.
const UNUSED_MAX: Duration = Duration::from_secs(30 * 24 * 3600);
/// A module that nothing names may be one that another process is about to name.
const UNNAMED_MAX: Duration = Duration::from_secs(3600);

/// What is kept is bounded by the slots, not by bytes.
const MODULES: Holds = Holds { what: "a kept module", ending: ".wasm", bytes_max: u64::MAX };
const RECORDS: Holds = Holds { what: "what is kept of a slot", ending: ".json", bytes_max: u64::MAX };

/// The keep folder, for one plugins folder.
#[derive(Debug)]
pub struct Keep {
    modules: Cache,
    records: Cache,
    plugins: String,
}

/// What is kept of a slot.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Record {
    /// Whose it is, as the folder is shared by all plugins folders of this user.
    plugins: String,
    slot: String,
    /// The latest first.
    pub good: Vec<Kept>,
    /// What was found bad, the oldest first, and what was found.
    rejected: Vec<(Hex, String)>,
    /// When its file was found to be gone (seconds of `Env::wall`).
    gone_s: Option<u64>,
}

/// A good generation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kept {
    generation: Hex,
    content: Hex,
    policy: Option<Arc<str>>,
}

/// A hash as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Hex(Hash);

impl Serialize for Hex {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        Hash::parse(&text).map(Self).ok_or_else(|| D::Error::custom("no hash"))
    }
}

impl Keep {
    /// The folder, which is made if it is not there, for these plugins.
    pub fn open(dir: &Path, plugins: &Path) -> Result<Self, CacheError> {
        let plugins = plugins.canonicalize().unwrap_or_else(|_| plugins.to_owned()).display().to_string();
        // The outer one is checked, too: who may rename what is in it may put in his own.
        Cache::open(dir, RECORDS)?;
        let keep = Self {
            modules: Cache::open(&dir.join("modules"), MODULES)?,
            records: Cache::open(&dir.join("slots"), RECORDS)?,
            plugins,
        };
        // Another process may be at it, too.
        if let Err(error) = keep.evict() {
            tracing::warn!(error = %keep.records.failed(error), "what nobody needs is not taken from the keep folder");
        }
        Ok(keep)
    }

    /// What is kept of a slot. What cannot be read is as if it were not there.
    pub(crate) fn read(&self, slot: &SlotId) -> Record {
        let nothing = || Record { plugins: self.plugins.clone(), slot: slot.to_string(), ..Record::default() };
        let key = self.key(slot);
        let read = self.records.find(key).and_then(|path| path.map(fs::read).transpose());
        match read {
            Ok(Some(text)) => {
                let record = serde_json::from_slice::<Record>(&text);
                record.ok().filter(|record| record.is_of(&self.plugins, slot)).unwrap_or_else(nothing)
            }
            Ok(None) => nothing(),
            Err(error) => {
                tracing::warn!(%slot, error = %self.records.failed(error), "what is kept cannot be read");
                nothing()
            }
        }
    }

    /// Keeps this of a slot.
    pub(crate) fn write(&self, slot: &SlotId, record: &Record) -> io::Result<()> {
        let text = serde_json::to_vec(record)?;
        unhurried(|| self.records.replace(self.key(slot), &text))?;
        Ok(())
    }

    /// Sees to it that a module is there before it is named.
    pub(crate) fn stage(&self, source: &Source) -> io::Result<()> {
        unhurried(|| {
            if self.modules.find(source.content)?.is_none() {
                let bytes = source.read().map_err(io::Error::other)?;
                self.modules.replace(source.content, &bytes)?;
            }
            Ok(())
        })
    }

    /// A good generation's files; none where they are not there any more.
    pub(crate) fn source(&self, kept: &Kept) -> Option<Source> {
        let module = unhurried(|| self.modules.find(kept.content.0)).ok()??;
        Some(Source { module, content: kept.content.0, policy: kept.policy.clone(), unreadable: None })
    }

    fn key(&self, slot: &SlotId) -> Hash {
        Hash::of([self.plugins.as_bytes(), slot.to_string().as_bytes()])
    }

    /// What went while no process looked is gone since now, at the latest.
    pub(crate) fn sweep(&self, is_there: impl Fn(&str) -> bool, wall: Duration) -> io::Result<()> {
        unhurried(|| {
            for (key, _) in self.records.keys()? {
                let Some(record) = self.peek(key)? else { continue };
                if record.plugins == self.plugins && record.gone_s.is_none() && !is_there(&record.slot) {
                    self.records.replace(key, &serde_json::to_vec(&record.goes(wall))?)?;
                }
            }
            Ok(())
        })
    }

    fn peek(&self, key: Hash) -> io::Result<Option<Record>> {
        let text = self.records.peek(key)?.map(fs::read).transpose()?;
        Ok(text.and_then(|text| serde_json::from_slice(&text).ok()))
    }

    /// Unlinks what nobody will ask for.
    fn evict(&self) -> io::Result<()> {
        let (now, wall) = (SystemTime::now(), SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default());
        let age = |used: SystemTime| now.duration_since(used).unwrap_or_default();
        let mut named = BTreeSet::new();
        for (key, used) in self.records.keys()? {
            let record = self.peek(key)?;
            let stays = |record: &Record| match record.gone_s {
                Some(gone_s) => wall.saturating_sub(Duration::from_secs(gone_s)) < UNUSED_MAX,
                None => record.plugins == self.plugins || age(used) < UNUSED_MAX,
            };
            match record.filter(stays) {
                Some(record) => named.extend(record.good.iter().map(|kept| kept.content.0)),
                None => self.records.remove_all(key)?,
            }
        }
        for (content, used) in self.modules.keys()? {
            if !named.contains(&content) && age(used) > UNNAMED_MAX {
                self.modules.remove_all(content)?;
            }
        }
        Ok(())
    }
}

impl Record {
    fn is_of(&self, plugins: &str, slot: &SlotId) -> bool {
        self.plugins == plugins && self.slot == slot.to_string()
    }

    /// What was found bad.
    pub fn rejected(&self) -> impl Iterator<Item = Rejected> {
        self.rejected.iter().map(|(generation, why)| Rejected { generation: generation.0, why: why.clone() })
    }

    /// What has become of the slot: what is good now, where that is known and its module
    /// is there, and all that was found bad.
    pub fn becomes(&self, good: Option<&Loaded>, rejected: &[Rejected]) -> Self {
        let is_bad = |kept: &Kept| rejected.iter().any(|rejected| rejected.generation == kept.generation.0);
        let latest = good.map(Kept::of);
        let before = self.good.iter().filter(|kept| latest.as_ref().is_none_or(|it| it.generation != kept.generation));
        // What a person has said of a generation that serves all the same is his matter.
        let before = before.filter(|kept| !is_bad(kept)).cloned();
        Self {
            good: latest.clone().into_iter().chain(before).take(GOOD_MAX).collect(),
            rejected: rejected.iter().map(|it| (Hex(it.generation), it.why.clone())).collect(),
            gone_s: None,
            ..self.clone()
        }
    }

    /// Its file is gone.
    pub fn goes(&self, wall: Duration) -> Self {
        Self { gone_s: Some(wall.as_secs()), ..self.clone() }
    }

    /// Its file is there, and was away for so long perhaps that nothing is known of what
    /// comes.
    pub fn returns(mut self, wall: Duration) -> Self {
        let away = self.gone_s.take().map(|gone_s| wall.saturating_sub(Duration::from_secs(gone_s)));
        if away.is_some_and(|away| away > AWAY_MAX) {
            self.good.clear();
        }
        self
    }
}

impl Kept {
    fn of(loaded: &Loaded) -> Self {
        let Loaded { unconfirmed, source, .. } = loaded;
        Self { generation: Hex(*unconfirmed), content: Hex(source.content), policy: source.policy.clone() }
    }

    /// Which one it is.
    pub fn generation(&self) -> Hash {
        self.generation.0
    }

    /// Whether it was made from the same files.
    pub fn is_from(&self, source: &Source) -> bool {
        self.is_module(source) && self.policy == source.policy
    }

    /// Whether it was made from the same module.
    pub fn is_module(&self, source: &Source) -> bool {
        self.content.0 == source.content
    }
}

/// What waits for a disk, on a thread that the others do without meanwhile. In a
/// simulation there is one, and its time stands still.
fn unhurried<T>(work: impl FnOnce() -> T) -> T {
    use tokio::runtime::{Handle, RuntimeFlavor};
    match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}

#[cfg(test)]
mod tests;
