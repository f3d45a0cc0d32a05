//! Revisions: what tells one template from another, and the ControllerRevisions
//! in which StatefulSets and DaemonSets keep theirs.

use serde_json::{Value, json};
use trimtab_core::hash::Hash;

use super::{
    change::Change,
    cluster::Cluster,
    object::{self, Kind, number},
};

/// The letters that names made from hashes have: no vowels, so no words.
const LETTERS: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
const HASH_LETTERS: usize = 10;
const HISTORY_DEFAULT: i64 = 10;

/// What tells one template from another, as part of a name.
pub(super) fn hash(template: &Value) -> String {
    let hash = Hash::of([template.to_string().as_bytes()]);
    let letters = hash.as_bytes().iter().take(HASH_LETTERS);
    letters.map(|byte| char::from(LETTERS[usize::from(*byte) % LETTERS.len()])).collect()
}

/// The revisions of a StatefulSet or DaemonSet.
pub(super) struct Revisions<'a> {
    /// The oldest first.
    known: Vec<&'a Value>,
    owner: &'a Value,
    kind: Kind,
    /// The name of the newest.
    pub update: String,
}

impl<'a> Revisions<'a> {
    pub fn of(kind: Kind, owner: &'a Value, cluster: &'a Cluster) -> Self {
        let mut known = cluster.controlled_by(owner, Kind::ControllerRevision).collect::<Vec<_>>();
        known.sort_by_key(|revision| number(revision, "/revision"));
        let update = format!("{}-{}", object::name(owner), hash(&owner["spec"]["template"]));
        Self { known, owner, kind, update }
    }

    /// The template of a revision.
    pub fn template(&self, name: &str) -> Option<&'a Value> {
        let revision = self.known.iter().find(|revision| object::name(revision) == name)?;
        revision["data"]["spec"].get("template")
    }

    /// Makes the newest one, or makes an older one the newest again, and
    /// forgets those beyond the limit that are not in use.
    pub fn keep(&self, in_use: &[&str]) -> Vec<Change> {
        let newest = self.known.last().and_then(|last| number(last, "/revision")).unwrap_or_default();
        let mut changes = Vec::new();
        match self.known.iter().find(|revision| object::name(revision) == self.update) {
            None => changes.push(Change::Create(Kind::ControllerRevision, self.make(newest + 1))),
            Some(known) if number(known, "/revision") < Some(newest) => {
                let mut again: Value = (*known).clone();
                again["revision"] = Value::from(newest + 1);
                changes.push(Change::Update(Kind::ControllerRevision, again));
            }
            Some(_) => {}
        }
        let limit = number(self.owner, "/spec/revisionHistoryLimit").unwrap_or(HISTORY_DEFAULT);
        let unused = |name: &str| name != self.update && !in_use.contains(&name);
        let unused = self.known.iter().filter(|revision| unused(object::name(revision))).collect::<Vec<_>>();
        let surplus = unused.len().saturating_sub(usize::try_from(limit).unwrap_or_default());
        let forgotten = unused[..surplus].iter();
        changes.extend(forgotten.map(|it| Change::Delete(Kind::ControllerRevision, (**it).clone(), None)));
        changes
    }

    fn make(&self, number: i64) -> Value {
        let template = &self.owner["spec"]["template"];
        let mut metadata = object::template_metadata(template);
        metadata.retain(|field, _| field == "labels");
        metadata.extend(self.owner["metadata"].get("annotations").map(|it| ("annotations".to_owned(), it.clone())));
        let hash = self.update.rsplit('-').next().unwrap_or_default();
        // Each of the two controllers has a name of its own for it.
        let label = if self.kind == Kind::StatefulSet { HASH_LABEL } else { REVISION_LABEL };
        object::label(&mut metadata, label, hash);
        metadata.insert("name".into(), self.update.as_str().into());
        let mut revision = object::owned(Kind::ControllerRevision, self.kind, self.owner, metadata);
        let mut template = template.clone();
        template["$patch"] = Value::from("replace");
        revision["data"] = json!({ "spec": { "template": template } });
        revision["revision"] = Value::from(number);
        revision
    }
}

/// What tells the revisions of a StatefulSet apart.
const HASH_LABEL: &str = "controller.kubernetes.io/hash";
/// Which revision a pod was made from; and the same of a DaemonSet's revision.
pub(super) const REVISION_LABEL: &str = "controller-revision-hash";
