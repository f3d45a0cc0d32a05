//! Which files are scenarios.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};

/// The files that are named, and those in the folders that are named which look
/// like scenarios, in the order of their names.
pub fn find(paths: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        let found = fs::metadata(path).with_context(|| path.display().to_string())?;
        if !found.is_dir() {
            files.push(path.clone());
            continue;
        }
        let before = files.len();
        walk(path, &mut files)?;
        if files.len() == before {
            bail!("{} holds no scenario: no .yaml file in it has steps", path.display());
        }
    }
    Ok(files)
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let entries = fs::read_dir(folder).and_then(|entries| entries.collect::<Result<Vec<_>, _>>());
    let mut entries = entries.with_context(|| folder.display().to_string())?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let (path, name) = (entry.path(), entry.file_name());
        // Version control, and what builds leave.
        if name.to_string_lossy().starts_with('.') || name == "target" {
            continue;
        }
        if path.is_dir() {
            walk(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml") {
            let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            if text.lines().any(|line| line.starts_with("steps:")) {
                files.push(path);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_gives_the_files_that_have_steps() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            path
        };
        let b = write("b.yaml", "plugins: {}\nsteps: []\n");
        let a = write("a/a.yml", "steps:\n");
        write("crd.yaml", "spec: { steps: 1 }\n");
        write("steps.txt", "steps: []\n");
        write("target/c.yaml", "steps: []\n");
        assert_eq!(find(&[folder.path().to_owned()]).unwrap(), [a, b]);
    }

    #[test]
    fn what_is_not_there_and_a_folder_without_scenarios_are_errors() {
        let folder = tempfile::tempdir().unwrap();
        assert!(find(&[folder.path().to_owned()]).unwrap_err().to_string().contains("holds no scenario"));
        assert!(find(&[folder.path().join("none.yaml")]).is_err());
    }
}
