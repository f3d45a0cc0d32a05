//! Which contents hold still. A file is taken when its stamp has not changed
//! for [`SETTLE`], nobody is known to be writing to it, and it hashes to the
//! same at two looks that far apart. Until then what was there before counts,
//! also where a file has vanished: many ways to replace one remove it first.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use trimtab_core::hash::Hash;

use super::{
    Folder, MODULE_BYTES_MAX, POLICY_BYTES_MAX,
    listing::{File, Listing, Role, Stamp},
    slots,
};

/// The time between two looks at a file that may be changing: several times
/// what a disk takes for the next block of a copy, and a blink for a person.
pub const SETTLE: Duration = Duration::from_millis(100);
/// A file that the kernel says somebody writes to is taken all the same after
/// so long without a change, since the word that it was closed may be lost.
const OPEN_QUIET: Duration = Duration::from_secs(10);
/// At the first look, a file untouched for so long holds still: a restart does
/// not wait for what has lain there for weeks.
const OLD: Duration = Duration::from_secs(2);

/// The time of a look.
#[derive(Debug, Clone, Copy)]
pub struct At {
    /// Since any fixed point, never going back.
    pub now: Duration,
    /// The wall clock, since the Unix epoch.
    pub wall: Duration,
}

/// What a file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// Of its bytes; of its stamp where they cannot be read.
    pub hash: Hash,
    /// Its text, for a policy.
    pub text: Option<Arc<str>>,
    /// Why it cannot be read.
    pub trouble: Option<String>,
}

/// All files of the folder, as far as they hold still.
#[derive(Debug, Default)]
pub struct Steady {
    files: BTreeMap<PathBuf, Held>,
    folder: Folder,
    looked: bool,
}

/// One file.
#[derive(Debug)]
pub struct Held {
    /// The file at the last look.
    pub file: File,
    /// What it held when it held still last.
    pub steady: Option<Content>,
    /// On its way to be the next steady content; none only beside one.
    motion: Option<Motion>,
}

#[derive(Debug, Clone, Copy)]
enum Motion {
    /// Its stamp has been the same since then.
    Stamped { since: Duration },
    /// It hashed to this then, and nothing has changed since.
    Hashed { since: Duration, hash: Hash },
    /// It has been gone since then.
    Gone { since: Duration },
}

impl Held {
    /// Whether something else may become of it.
    pub fn is_moving(&self) -> bool {
        self.motion.is_some()
    }

    /// Takes in what a look found, and says whether the file is to be kept.
    fn look(&mut self, path: &Path, found: Option<&File>, now: Duration, open: bool) -> bool {
        let Some(found) = found else {
            let since = match self.motion {
                Some(Motion::Gone { since }) => since,
                _ => now,
            };
            self.motion = Some(Motion::Gone { since });
            return now - since < SETTLE && self.steady.is_some();
        };
        let same = self.file.stamp == found.stamp;
        self.file = found.clone();
        self.motion = match self.motion {
            _ if !same => Some(Motion::Stamped { since: now }),
            None => None,
            Some(Motion::Gone { .. }) => Some(Motion::Stamped { since: now }),
            Some(Motion::Stamped { since }) if now - since >= if open { OPEN_QUIET } else { SETTLE } => {
                let hashed = read(path, &self.file).map(|content| Motion::Hashed { since: now, hash: content.hash });
                Some(hashed.unwrap_or(Motion::Stamped { since: now }))
            }
            Some(Motion::Hashed { since, hash }) if now - since >= SETTLE => match read(path, &self.file) {
                Some(content) if content.hash == hash => {
                    self.steady = Some(content);
                    None
                }
                _ => Some(Motion::Stamped { since: now }),
            },
            waiting => waiting,
        };
        true
    }
}

impl Steady {
    /// Takes in a look, with the files known to be written to. Returns what the
    /// folder holds, and whether another look is needed soon.
    pub fn look(&mut self, root: &Path, listing: Listing, at: At, open: &BTreeSet<PathBuf>) -> (Folder, bool) {
        self.files.retain(|path, held| held.look(path, listing.files.get(path), at.now, open.contains(path)));
        for (path, file) in &listing.files {
            if !self.files.contains_key(path) {
                let old = !self.looked && file.stamp.touched() + OLD < at.wall && !open.contains(path);
                let steady = if old { read(path, file) } else { None };
                let motion = steady.is_none().then_some(Motion::Stamped { since: at.now });
                self.files.insert(path.clone(), Held { file: file.clone(), steady, motion });
            }
        }
        self.looked = true;
        self.folder = slots::assemble(root, &self.files, listing.ignored, &self.folder);
        (self.folder.clone(), self.files.values().any(Held::is_moving))
    }
}

/// Reads a file that is as the stamp says before and after; none if it is not.
fn read(path: &Path, file: &File) -> Option<Content> {
    let stamp = || fs::metadata(path).map(|metadata| Stamp::of(&metadata));
    let max = match file.role {
        Role::Module => MODULE_BYTES_MAX,
        Role::Policy => POLICY_BYTES_MAX,
    };
    let unreadable = |why: String| {
        let hash = Hash::of([format!("{:?}", file.stamp).as_bytes()]);
        Some(Content { hash, text: None, trouble: Some(why) })
    };
    if file.stamp.bytes > max {
        return unreadable(format!("it is {} bytes large, at most {max} are read", file.stamp.bytes));
    }
    let bytes = match read_bytes(path, max) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => return unreadable(format!("it cannot be read: {error}")),
    };
    if stamp().ok()? != file.stamp || bytes.len() as u64 != file.stamp.bytes {
        return None;
    }
    let hash = Hash::of([&bytes[..]]);
    match file.role {
        Role::Module => Some(Content { hash, text: None, trouble: None }),
        Role::Policy => match String::from_utf8(bytes) {
            Ok(text) => Some(Content { hash, text: Some(text.into()), trouble: None }),
            Err(error) => unreadable(format!("it is not UTF-8: {error}")),
        },
    }
}

/// The bytes of a file, but no more than `max`.
pub fn read_bytes(path: &Path, max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(max).read_to_end(&mut bytes)?;
    Ok(bytes)
}
