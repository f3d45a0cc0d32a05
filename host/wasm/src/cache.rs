//! Compiled code on disk. Mapping it means running it, so nothing is mapped
//! that this user has not written, whole and unchanged: the folder is ours
//! alone, a file is named once it is on the disk, and its name carries the
//! checksum of its content (a changed byte is mapped without a complaint).

use std::{
    fs::{self, DirBuilder, File},
    io::{self, Read},
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use rustix::process::geteuid;
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;
use trimtab_core::hash::Hash;

/// Files beyond this are unlinked, the least recently used first. A compiled
/// plugin is 0.1 MB (C) to 36 MB (Python): room for thirty of the large ones.
const BYTES_MAX: u64 = 1 << 30;

/// What a process that was killed leaves is older than any compilation lasts.
const SCRATCH_AGE_MAX: Duration = Duration::from_secs(3600);

const ENDING: &str = ".cwasm";
const SCRATCH: &str = ".scratch-";

/// Why the cache cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// Others could have written what would be run.
    #[error("the cache folder {path} {fault}; it must be a folder of this user that no one else may enter (mode 0700)")]
    NotOurs {
        /// The folder.
        path: String,
        /// What is wrong with it.
        fault: String,
    },
    /// Reading or writing failed.
    #[error("the cache folder {path} cannot be used: {error}")]
    Io {
        /// The folder.
        path: String,
        /// What the system says.
        error: io::Error,
    },
}

/// A folder of compiled code.
#[derive(Debug)]
pub(crate) struct Cache {
    dir: PathBuf,
    bytes_max: u64,
}

impl Cache {
    /// The cache in `dir`, which is made if it is not there.
    pub fn open(dir: &Path) -> Result<Self, CacheError> {
        let cache = Self { dir: dir.to_owned(), bytes_max: BYTES_MAX };
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

    pub fn failed(&self, error: io::Error) -> CacheError {
        CacheError::Io { path: self.dir.display().to_string(), error }
    }

    /// The file of that key, if there is one and it is as it was written.
    pub fn find(&self, key: Hash) -> io::Result<Option<PathBuf>> {
        let prefix = format!("{key}-");
        for entry in self.entries()? {
            let Some(sum) = entry.name.strip_prefix(&prefix).and_then(|rest| rest.strip_suffix(ENDING)) else {
                continue;
            };
            let file = match File::open(&entry.path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                opened => opened?,
            };
            if checksum(&file)? == sum && is_ours(&file)? {
                // Marks it as used; what was not used longest goes first.
                file.set_modified(SystemTime::now())?;
                return Ok(Some(entry.path));
            }
            tracing::warn!(path = %entry.path.display(), "compiled code was changed on disk; it is made anew");
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
        let path = self.dir.join(format!("{key}-{}{ENDING}", checksum(&file)?));
        written.persist(&path).map_err(|error| error.error)?;
        File::open(&self.dir)?.sync_all()?;
        self.evict(&path)?;
        Ok(path)
    }

    /// Unlinks code that is of no use.
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
            if held <= self.bytes_max {
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
    use std::io::Write;

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
        let cache = Cache::open(dir.path()).unwrap();
        let path = insert(&cache, key("a"), b"code");
        assert_eq!(cache.find(key("a")).unwrap(), Some(path));
        assert_eq!(cache.find(key("b")).unwrap(), None);
    }

    #[test]
    fn a_changed_byte_is_never_served() {
        let dir = ours();
        let cache = Cache::open(dir.path()).unwrap();
        let path = insert(&cache, key("a"), b"code");
        fs::write(&path, b"cade").unwrap();
        assert_eq!(cache.find(key("a")).unwrap(), None);
        assert!(!path.exists());
    }

    #[test]
    fn a_file_that_others_may_write_is_never_served() {
        let dir = ours();
        let cache = Cache::open(dir.path()).unwrap();
        let path = insert(&cache, key("a"), b"code");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        assert_eq!(cache.find(key("a")).unwrap(), None);
    }

    #[test]
    fn a_folder_that_others_may_enter_is_refused() {
        let dir = ours();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let error = Cache::open(dir.path()).unwrap_err();
        assert!(error.to_string().contains("has mode 0755"), "{error}");
    }

    #[test]
    fn a_symbolic_link_to_a_folder_is_refused() {
        let dir = ours();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(dir.path(), &link).unwrap();
        let error = Cache::open(&link).unwrap_err();
        assert!(error.to_string().contains("is no folder"), "{error}");
    }

    #[test]
    fn the_least_recently_used_goes_first_when_room_is_short() {
        let dir = ours();
        let cache = Cache { bytes_max: 10, ..Cache::open(dir.path()).unwrap() };
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
        let cache = Cache::open(dir.path()).unwrap();
        let (old, _) = cache.scratch().unwrap().keep().unwrap();
        old.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        let young = cache.scratch().unwrap();
        Cache::open(dir.path()).unwrap();
        let left: Vec<_> = cache.entries().unwrap().into_iter().map(|entry| entry.path).collect();
        assert_eq!(left, [young.path()]);
    }
}
