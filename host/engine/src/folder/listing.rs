//! One look at the names in the plugins folder, without their contents: the
//! modules and policies at the top and in the folder of each instance, and what
//! else lies there.

use std::{
    collections::BTreeMap,
    fs::{self, Metadata},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

use trimtab_core::id::{InstanceId, SlotId, Stem};

/// The files that are taken up; each is a slot or a slot's policy, so that more
/// are the work of a mistaken path.
pub const FILES_MAX: usize = 1_000;

/// What lies in the folder.
#[derive(Debug, Default)]
pub struct Listing {
    /// The modules and policies.
    pub files: BTreeMap<PathBuf, File>,
    /// What is left alone, and why.
    pub ignored: BTreeMap<PathBuf, String>,
}

/// A module or a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// The slot that its name stands for.
    pub slot: SlotId,
    /// Which of the two.
    pub role: Role,
    /// Which content.
    pub stamp: Stamp,
}

/// What a file is by its ending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// `.wasm`
    Module,
    /// `.toml`
    Policy,
}

/// What a content has of its own, short of reading it. Equal stamps of a file
/// that was not written to lately mean equal contents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Its length.
    pub bytes: u64,
    inode: (u64, u64),
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// Of a file.
    pub fn of(metadata: &Metadata) -> Self {
        Self {
            bytes: metadata.len(),
            inode: (metadata.dev(), metadata.ino()),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// When it was written to or replaced last, since the Unix epoch.
    pub fn touched(&self) -> Duration {
        let (seconds, nanoseconds) = self.modified.max(self.changed);
        Duration::new(seconds.try_into().unwrap_or_default(), nanoseconds.try_into().unwrap_or_default())
    }
}

impl Listing {
    /// Looks at the folder. One that is not there holds nothing; any other
    /// trouble is an error, for a volume that hiccups has not lost its files.
    pub fn read(folder: &Path) -> io::Result<Self> {
        let mut listing = Self::default();
        match fs::metadata(folder) {
            Ok(metadata) if metadata.is_dir() => {
                listing.read_instance(folder, &InstanceId::default_instance(), true)?
            }
            Ok(_) => listing.ignore(folder, "the plugins folder is no folder"),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                listing.ignore(folder, "there is no such folder yet; it is taken up when it appears");
            }
            Err(error) => return Err(error),
        }
        Ok(listing)
    }

    fn read_instance(&mut self, folder: &Path, instance: &InstanceId, top: bool) -> io::Result<()> {
        let mut paths = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
        paths.sort_unstable();
        for path in paths {
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
                self.ignore(&path, "its name is not UTF-8");
                continue;
            };
            // The kubelet's own, in each mounted ConfigMap: `..data` and what it links to.
            if name.starts_with("..") {
                continue;
            }
            if name.starts_with('.') {
                self.ignore(&path, "its name begins with a dot");
                continue;
            }
            match fs::metadata(&path) {
                Ok(metadata) if metadata.is_dir() && top => match InstanceId::new(name) {
                    Ok(instance) => self.read_instance(&path, &instance, false)?,
                    Err(error) => self.ignore(&path, error),
                },
                Ok(metadata) if metadata.is_dir() => self.ignore(&path, "a folder in an instance's folder"),
                Ok(metadata) if metadata.is_file() => self.file(&path, name, instance, &metadata),
                Ok(_) => self.ignore(&path, "it is no file"),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    if path.is_symlink() {
                        self.ignore(&path, "a link to nothing");
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn file(&mut self, path: &Path, name: &str, instance: &InstanceId, metadata: &Metadata) {
        let (stem, role) = match name.rsplit_once('.') {
            Some((stem, "wasm")) => (stem, Role::Module),
            Some((stem, "toml")) => (stem, Role::Policy),
            _ => return self.ignore(path, "neither a module (.wasm) nor a policy (.toml)"),
        };
        if self.files.len() >= FILES_MAX {
            return self.ignore(path, format_args!("the folder holds more than {FILES_MAX} modules and policies"));
        }
        match Stem::new(stem) {
            Ok(stem) => {
                let slot = SlotId { instance: instance.clone(), stem };
                self.files.insert(path.to_owned(), File { slot, role, stamp: Stamp::of(metadata) });
            }
            Err(error) => self.ignore(path, error),
        }
    }

    fn ignore(&mut self, path: &Path, why: impl ToString) {
        self.ignored.insert(path.to_owned(), why.to_string());
    }
}
