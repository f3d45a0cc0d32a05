//! The kubeconfig that leads to the API: written at the start, removed at the
//! end, and never in place of somebody's own.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use serde_json::Value;

use super::api::NAME;

/// A written file. Dropped, it is gone.
pub struct Kubeconfig {
    path: PathBuf,
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
        fs::write(path, format!("{content:#}\n")).with_context(|| format!("writing {}", path.display()))?;
        Ok(Self { path: path.to_owned() })
    }
}

impl Drop for Kubeconfig {
    fn drop(&mut self) {
        // It may be gone already, and then nothing is left to do.
        let _ = fs::remove_file(&self.path);
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
}
