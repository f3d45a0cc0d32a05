//! Manifests: files of objects in YAML or JSON, read so that whatever is wrong
//! with one can be told with file, line, column and the path of the field.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context;
use serde_json::Value;
use trimtab_sim::located::{self, Malformed, Node, Tree};

/// The endings of manifests in a folder.
const ENDINGS: [&str; 3] = ["yaml", "yml", "json"];
/// What others need to be there is applied before them.
const FIRST: [&str; 2] = ["Namespace", "CustomResourceDefinition"];

/// An object and where each part of it stands.
pub struct Manifest {
    file: Arc<str>,
    node: Node,
    /// The object.
    pub object: Value,
}

impl Manifest {
    /// The text at a pointer, or what is wrong with the manifest without it.
    pub fn text(&self, path: &str) -> Result<&str, Malformed> {
        let found = path.split('.').try_fold(&self.object, |value, step| value.get(step));
        match found {
            Some(Value::String(text)) if !text.is_empty() => Ok(text),
            None => Err(self.wrong(path, format!("an object needs {path}"))),
            Some(other) => Err(self.wrong(path, format!("a text is wanted and {other} is there"))),
        }
    }

    /// What is wrong at a field, or at the nearest part of its path that is there.
    pub fn wrong(&self, path: &str, what: impl Into<String>) -> Malformed {
        let at = &self.node.deepest(path).at;
        let (file, path) = (self.file.clone(), path.to_owned());
        Malformed { file, line: at.line, column: at.column, path, what: what.into() }
    }
}

/// The objects of all files, and of the files in all folders; those that others
/// need first, else in their order.
pub fn read_all(paths: &[PathBuf]) -> anyhow::Result<Vec<Manifest>> {
    let mut manifests = Vec::new();
    for path in paths {
        for file in files(path)? {
            manifests.extend(read(&file)?);
        }
    }
    let rank = |manifest: &Manifest| FIRST.iter().position(|kind| manifest.object["kind"] == *kind);
    manifests.sort_by_key(|manifest| rank(manifest).unwrap_or(FIRST.len()));
    Ok(manifests)
}

/// A file as it is; of a folder its manifests, by name.
fn files(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let cannot = || format!("{} cannot be read", path.display());
    if !fs::metadata(path).with_context(cannot)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = fs::read_dir(path).with_context(cannot)?;
    let mut files = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>().with_context(cannot)?;
    let is_manifest = |file: &PathBuf| {
        file.is_file() && file.extension().is_some_and(|ending| ENDINGS.iter().any(|known| ending == *known))
    };
    files.retain(is_manifest);
    files.sort();
    Ok(files)
}

fn read(path: &Path) -> anyhow::Result<Vec<Manifest>> {
    let file: Arc<str> = path.display().to_string().into();
    let text = fs::read_to_string(path).with_context(|| format!("{file} cannot be read"))?;
    let documents = located::read(&file, &text)?;
    let objects = documents.into_iter().flat_map(items).map(|node| {
        let manifest = Manifest { file: file.clone(), object: node.value(), node };
        match &manifest.node.tree {
            Tree::Map(_) => Ok(manifest),
            Tree::Scalar(_) | Tree::List(_) => {
                Err(manifest.wrong("", "an object is wanted: a map with kind and metadata"))
            }
        }
    });
    Ok(objects.collect::<Result<_, _>>()?)
}

/// The objects of a `List`, else the document itself.
fn items(document: Node) -> Vec<Node> {
    let is_list = document.value()["kind"] == "List";
    match document.tree {
        Tree::Map(entries) if is_list => {
            let items = entries.into_iter().find(|entry| entry.key == "items").map(|entry| entry.node.tree);
            if let Some(Tree::List(items)) = items { items } else { Vec::new() }
        }
        tree => vec![Node { at: document.at, tree }],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> anyhow::Result<Vec<Manifest>> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.yaml");
        fs::write(&file, text).unwrap();
        read_all(&[file])
    }

    #[test]
    fn what_others_need_comes_first_and_lists_are_taken_apart() {
        let text = "kind: Site\n---\nkind: List\nitems:\n  - kind: CustomResourceDefinition\n  - kind: Other\n---\nkind: Namespace\n";
        let kinds = read_text(text).unwrap();
        let kinds = kinds.iter().map(|manifest| manifest.object["kind"].as_str().unwrap()).collect::<Vec<_>>();
        assert_eq!(kinds, ["Namespace", "CustomResourceDefinition", "Site", "Other"]);
    }

    #[test]
    fn what_is_wrong_names_file_line_column_and_field() {
        let manifest = read_text("kind: Site\n---\nkind: Site\nmetadata:\n  name: 7\n").unwrap().remove(1);
        let error = manifest.text("metadata.name").unwrap_err().to_string();
        assert!(error.ends_with("a.yaml:5:9: metadata.name: a text is wanted and 7 is there"), "{error}");
        let error = manifest.text("metadata.namespace").unwrap_err().to_string();
        assert!(error.contains("a.yaml:") && error.ends_with("an object needs metadata.namespace"), "{error}");
        let error = read_text("- a\n").err().unwrap().to_string();
        assert!(error.contains("a.yaml:1:1: an object is wanted"), "{error}");
    }
}
