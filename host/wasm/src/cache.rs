//! What is made once and found again on disk: compiled code, above all. Mapping it
//! means running it, so nothing is given out that this user has not written, whole and
//! unchanged: the folder is ours alone, a file is named once it is on the disk, and its
//! name carries the checksum of its content (a changed byte is mapped without a
//! complaint).

use std::{
    cmp::Reverse,
    collections::BTreeMap,
    fs::{self, DirBuilder, File},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use rustix::process::geteuid;
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;
use trimtab_core::hash::Hash;

/// Compiled code. A plugin's is 0.1 MB (C) to 36 MB (Python): room for thirty of the
/// large ones.
pub(crate) const COMPILED: Holds = Holds { what: "compiled code", ending: ".cwasm", bytes_max: 1 << 30 };

/// What a process that was killed leaves is older than any compilation lasts.
const SCRATCH_AGE_MAX: Duration = Duration::from_secs(3600);

const SCRATCH: &str = ".scratch-";

/// Why the cache cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// Others could have written what would be run.
    #[error("the folder {path} {fault}; it must be a folder of this user that no one else may enter (mode 0700)")]
    NotOurs {
        /// The folder.
        path: String,
        /// What is wrong with it.
        fault: String,
    },
    /// Reading or writing failed.
    #[error("the folder {path} cannot be used: {error}")]
    Io {
        /// The folder.
        path: String,
        /// What the system says.
        error: io::Error,
    },
}

/// What a folder holds.
#[derive(Debug, Clone, Copy)]
pub struct Holds {
    /// For people.
    pub what: &'static str,
    /// What the files' names end with, the dot included.
    pub ending: &'static str,
    /// Files beyond this are unlinked, the least recently used first.
    pub bytes_max: u64,
}

/// A folder of files that are found by their keys.
#[derive(Debug)]
pub struct Cache {
    dir: PathBuf,
    holds: Holds,
}

impl Cache {
    /// The cache in `dir`, which is made if it is not there.
    pub fn open(dir: &Path, holds: Holds) -> Result<Self, CacheError> {
        let cache = Self { dir: dir.to_owned(), holds };
        cache.check_owner()?;
        cache.sweep().map_err(|error| cache.failed(error))?;
        Ok(cache)
    }

    fn check_owner(&self) -> Result<(), CacheError> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&self.dir);
        made.map_err(|error| self.failed(error))?;
        let found = fs::symlink_metadata(&self.dir).map_err(|error| self.failed(error))?;
        let fault = if !found.is_dir() {
            "is no folder".to_owned()
        } else if found.uid() != geteuid().as_raw() {
            format!("belongs to user {}", found.uid())
        } else if found.mode() & 0o077 != 0 {
            format!("has mode {:04o}", found.mode() & 0o7777)
        } else {
            return Ok(());
        };
        Err(CacheError::NotOurs { path: self.dir.display().to_string(), fault })
    }

    /// What the system says, with the folder that it says it of.
    pub fn failed(&self, error: io::Error) -> CacheError {
        CacheError::Io { path: self.dir.display().to_string(), error }
    }

    /// The file of that key, if there is one and it is as it was written; of several,
    /// the latest.
    pub fn find(&self, key: Hash) -> io::Result<Option<PathBuf>> {
        let found = self.peek(key)?;
        if let Some(path) = &found {
            // Marks it as used; what was not used longest goes first.
            File::open(path)?.set_modified(SystemTime::now())?;
        }
        Ok(found)
    }

    /// The same, which does not count as its use.
    pub fn peek(&self, key: Hash) -> io::Result<Option<PathBuf>> {
        for entry in self.of(key)? {
            let Some((_, sum)) = self.key_and_sum(&entry.name) else { continue };
            let file = match File::open(&entry.path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                opened => opened?,
            };
            if checksum(&file)? == sum && is_ours(&file)? {
                return Ok(Some(entry.path));
            }
            let (path, what) = (entry.path.display(), self.holds.what);
            tracing::warn!(%path, what, "it was changed on disk, and is not used");
            remove_if_there(&entry.path)?;
        }
        Ok(None)
    }

    /// A file to work on, which vanishes if it is not inserted.
    pub fn scratch(&self) -> io::Result<NamedTempFile> {
        let mode = fs::Permissions::from_mode(0o600);
        tempfile::Builder::new().prefix(SCRATCH).permissions(mode).tempfile_in(&self.dir)
    }

    /// Gives a written file its name: key and checksum appear with the content,
    /// in one step, after the content has reached the disk.
    pub fn insert(&self, key: Hash, written: NamedTempFile) -> io::Result<PathBuf> {
        // Opened anew: the child has written through its own handle.
        let file = File::open(written.path())?;
        file.sync_all()?;
        let path = self.dir.join(format!("{key}-{}{}", checksum(&file)?, self.holds.ending));
        written.persist(&path).map_err(|error| error.error)?;
        File::open(&self.dir)?.sync_all()?;
        self.evict(&path)?;
        Ok(path)
    }

    /// The same, in place of what the key had before: whoever dies on the way leaves
    /// either.
    pub fn replace(&self, key: Hash, content: &[u8]) -> io::Result<PathBuf> {
        let mut scratch = self.scratch()?;
        scratch.write_all(content)?;
        let path = self.insert(key, scratch)?;
        for entry in self.of(key)?.iter().filter(|entry| entry.path != path) {
            remove_if_there(&entry.path)?;
        }
        Ok(path)
    }

    /// All keys that there are files of, each with when that was used last.
    pub fn keys(&self) -> io::Result<BTreeMap<Hash, SystemTime>> {
        let entries = self.entries()?;
        Ok(entries.iter().filter_map(|entry| Some((self.key_and_sum(&entry.name)?.0, entry.used))).collect())
    }

    /// Unlinks what a key has.
    pub fn remove_all(&self, key: Hash) -> io::Result<()> {
        self.of(key)?.iter().try_for_each(|entry| remove_if_there(&entry.path))
    }

    /// The files of a key, the latest first.
    fn of(&self, key: Hash) -> io::Result<Vec<Entry>> {
        let mut entries = self.entries()?;
        entries.retain(|entry| self.key_and_sum(&entry.name).is_some_and(|(its, _)| its == key));
        entries.sort_by_key(|entry| Reverse(entry.used));
        Ok(entries)
    }

    fn key_and_sum<'a>(&self, name: &'a str) -> Option<(Hash, &'a str)> {
        let (key, sum) = name.strip_suffix(self.holds.ending)?.split_once('-')?;
        Some((Hash::parse(key)?, sum))
    }

    /// Unlinks a file that is of no use.
    pub fn remove(&self, path: &Path) -> io::Result<()> {
        remove_if_there(path)
    }

    /// Unlinks the least recently used until the rest fits. Code that is mapped
    /// stays readable for who maps it.
    fn evict(&self, newest: &Path) -> io::Result<()> {
        let mut entries = self.entries()?;
        let mut held: u64 = entries.iter().map(|entry| entry.bytes).sum();
        entries.sort_by_key(|entry| entry.used);
        for entry in entries.iter().filter(|entry| entry.path != newest) {
            if held <= self.holds.bytes_max {
                break;
            }
            remove_if_there(&entry.path)?;
            held -= entry.bytes;
        }
        Ok(())
    }

    /// Unlinks what killed processes left behind.
    fn sweep(&self) -> io::Result<()> {
        for entry in self.entries()?.into_iter().filter(|entry| entry.name.starts_with(SCRATCH)) {
            if entry.used.elapsed().is_ok_and(|age| age > SCRATCH_AGE_MAX) {
                remove_if_there(&entry.path)?;
            }
        }
        Ok(())
    }

    fn entries(&self) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            // Another host on this folder may have unlinked it meanwhile.
            let Ok(metadata) = entry.metadata() else { continue };
            let Ok(name) = entry.file_name().into_string() else { continue };
            if !metadata.is_file() {
                continue;
            }
            entries.push(Entry { path: entry.path(), name, bytes: metadata.len(), used: metadata.modified()? });
        }
        Ok(entries)
    }
}

struct Entry {
    path: PathBuf,
    name: String,
    bytes: u64,
    used: SystemTime,
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

fn is_ours(file: &File) -> io::Result<bool> {
    let found = file.metadata()?;
    Ok(found.is_file() && found.uid() == geteuid().as_raw() && found.mode() & 0o022 == 0)
}

/// The SHA-256 of the content, in hexadecimal.
fn checksum(mut file: &File) -> io::Result<String> {
    let (mut hasher, mut buffer) = (Sha256::new(), vec![0; 64 << 10]);
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            read => hasher.update(&buffer[..read]),
        }
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn insert(cache: &Cache, key: Hash, content: &[u8]) -> PathBuf {
        let mut file = cache.scratch().unwrap();
        file.write_all(content).unwrap();
        cache.insert(key, file).unwrap()
    }

    fn key(text: &str) -> Hash {
        Hash::of([text.as_bytes()])
    }

    fn ours() -> tempfile::TempDir {
        let mode = fs::Permissions::from_mode(0o700);
        tempfile::Builder::new().permissions(mode).tempdir().unwrap()
    }

    #[test]
    fn what_is_inserted_is_found_by_its_key_alone() {
        let dir = ours();
        let cache = Cache::open(dir.path(), COMPILED).unwrap();
        let path = insert(&cache, key("a"), b"code");
        assert_eq!(cache.find(key("a")).unwrap(), Some(path));
        assert_eq!(cache.find(key("b")).unwrap(), None);
    }

    #[test]
    fn what_is_replaced_is_found_no_more() {
        let dir = ours();
        let cache = Cache::open(dir.path(), COMPILED).unwrap();
        insert(&cache, key("b"), b"other");
        insert(&cache, key("a"), b"old");
        let path = cache.replace(key("a"), b"new").unwrap();
        assert_eq!((cache.find(key("a")).unwrap(), cache.entries().unwrap().len()), (Some(path), 2));
        cache.remove_all(key("a")).unwrap();
        assert_eq!(cache.keys().unwrap().into_keys().collect::<Vec<_>>(), [key("b")]);
    }

    #[test]
    fn a_changed_byte_is_never_served() {
        let dir = ours();
        let cache = Cache::open(dir.path(), COMPILED).unwrap();
        let path = insert(&cache, key("a"), b"code");
        fs::write(&path, b"cade").unwrap();
        assert_eq!(cache.find(key("a")).unwrap(), None);
        assert!(!path.exists());
    }

    #[test]
    fn a_file_that_others_may_write_is_never_served() {
        let dir = ours();
        let cache = Cache::open(dir.path(), COMPILED).unwrap();
        let path = insert(&cache, key("a"), b"code");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        assert_eq!(cache.find(key("a")).unwrap(), None);
    }

    #[test]
    fn a_folder_that_others_may_enter_is_refused() {
        let dir = ours();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let error = Cache::open(dir.path(), COMPILED).unwrap_err();
        assert!(error.to_string().contains("has mode 0755"), "{error}");
    }

    #[test]
    fn a_symbolic_link_to_a_folder_is_refused() {
        let dir = ours();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(dir.path(), &link).unwrap();
        let error = Cache::open(&link, COMPILED).unwrap_err();
        assert!(error.to_string().contains("is no folder"), "{error}");
    }

    #[test]
    fn the_least_recently_used_goes_first_when_room_is_short() {
        let dir = ours();
        let cache = Cache::open(dir.path(), Holds { bytes_max: 10, ..COMPILED }).unwrap();
        let long_ago = SystemTime::UNIX_EPOCH;
        let a = insert(&cache, key("a"), b"aaaa");
        let b = insert(&cache, key("b"), b"bbbb");
        File::open(&a).unwrap().set_modified(long_ago).unwrap();
        File::open(&b).unwrap().set_modified(long_ago + Duration::from_secs(1)).unwrap();
        cache.find(key("a")).unwrap().unwrap();
        let c = insert(&cache, key("c"), b"cccc");
        assert!(a.exists() && !b.exists() && c.exists());
    }

    #[test]
    fn what_a_killed_process_left_is_swept_and_what_another_works_on_is_not() {
        let dir = ours();
        let cache = Cache::open(dir.path(), COMPILED).unwrap();
        let (old, _) = cache.scratch().unwrap().keep().unwrap();
        old.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        let young = cache.scratch().unwrap();
        Cache::open(dir.path(), COMPILED).unwrap();
        let left: Vec<_> = cache.entries().unwrap().into_iter().map(|entry| entry.path).collect();
        assert_eq!(left, [young.path()]);
    }
}
