//! The kubeconfig that leads to the API: written at the start, removed at the
//! end, and never in place of somebody's own.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use serde_json::Value;

use super::api::NAME;

/// A written file. Dropped, it is gone.
pub struct Kubeconfig {
    path: PathBuf,
    text: String,
}

impl Kubeconfig {
    /// Writes it, unless there is another one.
    pub fn write(path: &Path, content: &Value) -> anyhow::Result<Self> {
        match fs::read_to_string(path) {
            // Every one of ours has its name as the current context.
            Ok(text) if !text.contains(&format!("\"current-context\": \"{NAME}\"")) => {
                bail!("{} is there and was not written by trimtab dev: name another --kubeconfig", path.display())
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("looking at {}", path.display()));
            }
            Ok(_) | Err(_) => {}
        }
        let text = format!("{content:#}\n");
        write_private(path, &text).with_context(|| format!("writing {}", path.display()))?;
        Ok(Self { path: path.to_owned(), text })
    }
}

/// Writes what only its owner may read, as it may hold a key.
fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    // One that was there keeps the mode it had.
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    file.write_all(text.as_bytes())
}

impl Drop for Kubeconfig {
    fn drop(&mut self) {
        // Another process may have written its own there meanwhile.
        if fs::read_to_string(&self.path).is_ok_and(|text| text == self.text) {
            // It may be gone just now, and then nothing is left to do.
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_foreign_kubeconfig_is_left_alone_and_an_own_one_goes_at_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config");
        let content = json!({ "current-context": NAME });
        fs::write(&path, "current-context: prod\n").unwrap();
        let error = Kubeconfig::write(&path, &content).err().unwrap().to_string();
        assert!(error.contains("was not written by trimtab dev"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "current-context: prod\n");

        fs::remove_file(&path).unwrap();
        let left = Kubeconfig::write(&path, &content).unwrap();
        std::mem::forget(left);
        let again = Kubeconfig::write(&path, &content).unwrap();
        assert!(path.exists(), "one that a killed process left is written anew");
        drop(again);
        assert!(!path.exists());
    }

    #[test]
    fn only_its_owner_reads_it_and_one_written_over_it_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config");
        let of = |server: &str| json!({ "current-context": NAME, "server": server });
        fs::write(&path, of("killed").to_string().replace(':', ": ")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let first = Kubeconfig::write(&path, &of("first")).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let second = Kubeconfig::write(&path, &of("second")).unwrap();
        drop(first);
        assert!(path.exists(), "it is the other one's");
        drop(second);
        assert!(!path.exists());
    }
}
