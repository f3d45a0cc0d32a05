//! One run: customize, then sync or finalize, as Metacontroller calls them.

use serde_json::{Value, json};

use crate::{
    config::{Config, Version},
    hook::{self, Failure, Post, Shown},
    related::{self, Cache},
};

/// What the host has observed of one kind of children.
#[derive(Debug)]
pub struct Group {
    /// `apps/v1`
    pub api_version: String,
    /// `Deployment`
    pub kind: String,
    /// Each as JSON.
    pub objects: Vec<String>,
}

/// What comes of a run.
#[derive(Debug, PartialEq)]
pub struct Answer {
    /// Each as JSON.
    pub children: Vec<String>,
    /// The whole of it.
    pub status: Value,
    /// When to look again.
    pub requeue_after_ms: Option<u32>,
    /// The parent may go.
    pub finalized: bool,
}

/// Asks the hooks about one parent.
pub fn run(
    config: &Config,
    parent: &str,
    children: &[Group],
    finalizing: bool,
    post: Post<'_>,
    cache: &dyn Cache,
) -> Result<Answer, Failure> {
    let parent = parse(parent)?;
    let hooks = &config.spec.hooks;
    let (name, asked) = match &hooks.finalize {
        Some(finalize) if finalizing => ("finalize", finalize),
        _ => ("sync", &hooks.sync),
    };
    let related = match &hooks.customize {
        None => json!({}),
        Some(customize) => {
            let request = json!({ "controller": config.manifest, "parent": parent });
            let answer = hook::ask("customize", customize, &request, post)?;
            related::find(config, &answer, &parent, asked.version(), cache)?
        }
    };
    let request = json!({
        "controller": config.manifest,
        "parent": parent,
        "children": shown(children, &parent, asked.version())?,
        "related": related,
        "finalizing": finalizing,
    });
    let answer = hook::ask(name, asked, &request, post)?;
    if !answer.is_object() {
        return Err(format!("the {name} hook answers {}: it is to answer an object", hook::what(&answer)).into());
    }
    Ok(Answer {
        children: hook::children(config, &answer, &parent)?,
        status: hook::status(&answer, &parent)?,
        requeue_after_ms: hook::resync_after_ms(&answer),
        finalized: answer["finalized"] == true,
    })
}

fn shown(groups: &[Group], parent: &Value, version: Version) -> Result<Value, Failure> {
    let mut shown = Shown::default();
    for Group { api_version, kind, objects } in groups {
        shown.kind(api_version, kind);
        for object in objects {
            shown.put(api_version, kind, parse(object)?, parent, version);
        }
    }
    Ok(shown.into_value())
}

fn parse(object: &str) -> Result<Value, Failure> {
    serde_json::from_str(object).map_err(|error| format!("the host gave no JSON: {error}").into())
}
