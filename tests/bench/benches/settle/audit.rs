//! The API server's own account of who asked for which write.

use std::{
    fs::File,
    io::{BufRead, BufReader, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use anyhow::Context;
use serde::Deserialize;
use serde_json::json;
use tempfile::TempDir;

/// Requests to write, answered since they were last counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Writes {
    /// Of Sites and ConfigMaps.
    pub workload: usize,
    /// Of these, refused.
    pub refused: usize,
    /// Of everything else: Leases, Events.
    pub others: usize,
}

impl Writes {
    /// Both.
    pub fn and(self, other: Self) -> Self {
        Self {
            workload: self.workload + other.workload,
            refused: self.refused + other.refused,
            others: self.others + other.others,
        }
    }
}

/// Where the server writes its audit log, and what it is to write there.
pub struct Audit {
    folder: TempDir,
}

impl Audit {
    /// A folder with a policy: every write, without its content.
    pub fn new() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let verbs = ["create", "update", "patch", "delete", "deletecollection"];
        let policy = json!({
            "apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"],
            "rules": [{ "level": "Metadata", "verbs": verbs }, { "level": "None" }],
        });
        std::fs::write(folder.path().join("policy.json"), policy.to_string())?;
        Ok(Self { folder })
    }

    /// What makes kube-apiserver keep it.
    pub fn flags(&self) -> [String; 2] {
        let path = |name| self.folder.path().join(name).display().to_string();
        [format!("--audit-policy-file={}", path("policy.json")), format!("--audit-log-path={}", self.log().display())]
    }

    /// A reader of what is logged from now on about one user.
    pub fn follow(&self, user: &str) -> Follower {
        Follower { log: self.log(), user: user.to_owned(), read: 0 }
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("audit.log")
    }
}

/// Reads the log on from where it stopped.
pub struct Follower {
    log: PathBuf,
    user: String,
    read: u64,
}

/// One line of the log, as far as it is read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    impersonated_user: Option<User>,
    object_ref: Option<Reference>,
    response_status: Option<Response>,
}

#[derive(Deserialize)]
struct User {
    username: String,
}

#[derive(Deserialize)]
struct Reference {
    resource: String,
}

#[derive(Deserialize)]
struct Response {
    code: u16,
}

impl Follower {
    /// What is new.
    pub fn writes(&mut self) -> anyhow::Result<Writes> {
        let mut writes = Writes::default();
        let mut log = BufReader::new(open(&self.log)?);
        log.seek(SeekFrom::Start(self.read))?;
        let mut line = String::new();
        // A line without its end is still being written: it is read next time.
        while log.read_line(&mut line)? > 0 && line.ends_with('\n') {
            self.read += line.len() as u64;
            let entry = serde_json::from_str::<Entry>(&line).with_context(|| format!("audit log: {line}"))?;
            writes = writes.and(self.count(&entry));
            line.clear();
        }
        Ok(writes)
    }

    fn count(&self, entry: &Entry) -> Writes {
        let (Some(user), Some(object)) = (&entry.impersonated_user, &entry.object_ref) else {
            return Writes::default();
        };
        if user.username != self.user {
            return Writes::default();
        }
        if !matches!(object.resource.as_str(), "sites" | "configmaps") {
            return Writes { others: 1, ..Writes::default() };
        }
        let refused = entry.response_status.as_ref().is_some_and(|status| status.code >= 400);
        Writes { workload: 1, refused: refused.into(), others: 0 }
    }
}

fn open(log: &Path) -> anyhow::Result<File> {
    File::open(log).with_context(|| format!("{}: the API server keeps no audit log", log.display()))
}
