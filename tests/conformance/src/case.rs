//! What a transcript says: cases of steps, as they stand in YAML.

use std::fmt;
use std::path::Path;

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One thing that must be the same on both servers.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// A sentence: what this case is about.
    pub case: String,
    /// A version of a custom kind `Thing` in the group `$group`, installed
    /// before the first step; or its `scope` and `versions`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub things: Option<Value>,
    /// What is done, in order.
    pub steps: Vec<Step>,
}

/// One step of a case.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Step {
    /// Reads what an open watch has to tell.
    Read(Read),
    /// Sends a request, or opens a watch.
    Send(Send),
}

/// A request.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Send {
    /// Method and path: `GET $core/configmaps/a`.
    pub send: String,
    /// The content type, or a short name of one (see [`Send::content_type`]).
    #[serde(default, rename = "as", skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// The `Accept` header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accept: Option<String>,
    /// The `User-Agent` header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// The body, sent as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Value>,
    /// The body as it stands, where JSON will not do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Sent again until the answer is like this: for what the real server does
    /// a moment later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Until>,
    /// The real server comes to this a moment later, and the other at once: it
    /// is asked again until both say the same.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub later: bool,
    /// Opens a watch under this name; its events are read by later steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watch: Option<String>,
}

/// What an answer has to be like.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Until {
    /// The status code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<u16>,
    /// A part of the body; each item of a list is like one of the answer's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Value>,
}

/// Events to be read from a watch.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Read {
    /// The name that the watch was opened under.
    pub read: String,
    /// How many events; the end of the stream counts as one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<usize>,
    /// Up to the first event about the object of this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
}

impl Case {
    /// How many of its steps write.
    #[must_use]
    pub fn writes(&self) -> usize {
        self.steps.iter().filter(|step| matches!(step, Step::Send(send) if !send.send.starts_with("GET "))).count()
    }
}

impl Send {
    /// The content type that is sent; without a body, none.
    pub(crate) fn content_type(&self) -> Option<&str> {
        let short = self.content.as_deref().or((self.body.is_some() || self.text.is_some()).then_some("json"))?;
        Some(match short {
            "json" => "application/json",
            "yaml" => "application/yaml",
            "merge" => "application/merge-patch+json",
            "json-patch" => "application/json-patch+json",
            "strategic" => "application/strategic-merge-patch+json",
            "apply" => "application/apply-patch+yaml",
            other => other,
        })
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(read) => write!(f, "read {}", read.read),
            Self::Send(send) => match &send.content {
                Some(content) => write!(f, "{} as {content}", send.send),
                None => write!(f, "{}", send.send),
            },
        }
    }
}

/// As it would stand in a transcript: YAML, as JSON is.
impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "- case: {}", self.case)?;
        if let Some(things) = &self.things {
            writeln!(f, "  things: {things}")?;
        }
        write!(f, "  steps:")?;
        for step in &self.steps {
            let fields = serde_json::to_value(step).map_err(|_| fmt::Error)?;
            let first = if matches!(step, Step::Read(_)) { "read" } else { "send" };
            write!(f, "\n  - {first}: {}", fields[first].as_str().unwrap_or_default())?;
            for (name, value) in fields.as_object().into_iter().flatten().filter(|(name, _)| *name != first) {
                write!(f, "\n    {name}: {value}")?;
            }
        }
        Ok(())
    }
}

/// All cases of a folder, by file and in their order.
///
/// # Errors
/// Where a file cannot be read, is no transcript, or two cases share a name.
pub fn read_folder(folder: &Path) -> anyhow::Result<Vec<Case>> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("{} cannot be listed", folder.display()))?;
    let mut files = entries.map(|entry| Ok(entry?.path())).collect::<anyhow::Result<Vec<_>>>()?;
    files.sort();
    let mut cases = Vec::new();
    for file in files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "yaml")) {
        let here = parse(&std::fs::read_to_string(file)?);
        cases.extend(here.with_context(|| format!("{} is no transcript", file.display()))?);
    }
    let mut names: Vec<&str> = cases.iter().map(|case| case.case.as_str()).collect();
    names.sort_unstable();
    let twice = names.windows(2).find(|pair| pair[0] == pair[1]);
    ensure!(twice.is_none(), "two cases are called {:?}", twice.map(|pair| pair[0]).unwrap_or_default());
    Ok(cases)
}

/// By way of JSON values, so that `y` is a text and what is wrong has a name.
fn parse(text: &str) -> anyhow::Result<Vec<Case>> {
    let options = serde_saphyr::options! { strict_booleans: true };
    let values: Vec<Value> = serde_saphyr::from_str_with_options(text, options)?;
    let case = |value: Value| {
        let name = value["case"].to_string();
        serde_json::from_value(value).with_context(|| format!("the case {name}"))
    };
    values.into_iter().map(case).collect()
}
