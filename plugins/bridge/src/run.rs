//! One run: customize, then sync or finalize, as Metacontroller calls them.

use serde_json::{Value, json};

use crate::{
    answer::{self, Answer},
    config::Config,
    controller::{Role, Version},
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

/// Asks the hooks about one object.
pub fn run(
    config: &Config,
    object: &str,
    children: &[Group],
    finalizing: bool,
    post: Post<'_>,
    cache: &dyn Cache,
) -> Result<Answer, Failure> {
    let object = parse(object)?;
    let hooks = &config.controller.hooks;
    let (name, asked) = match &hooks.finalize {
        Some(finalize) if finalizing => ("finalize", finalize),
        _ => ("sync", &hooks.sync),
    };
    let related = match &hooks.customize {
        None => json!({}),
        Some(customize) => {
            // Of a decorator, too, this hook calls its object the parent.
            let request = json!({ "controller": config.manifest, "parent": object });
            let answer = hook::ask("customize", customize, &request, post)?;
            related::find(config, &answer, &object, asked.version, cache)?
        }
    };
    let (object_word, children_word) = words(&config.controller.role);
    let request = json!({
        "controller": config.manifest,
        object_word: object,
        children_word: shown(children, &object, asked.version)?,
        "related": related,
        "finalizing": finalizing,
    });
    let answer = hook::ask(name, asked, &request, post)?;
    answer::read(&config.controller.role, name, children_word, &answer, &object)
}

/// What a hook calls its object and what is made for it.
fn words(role: &Role) -> (&'static str, &'static str) {
    match role {
        Role::Composite { .. } => ("parent", "children"),
        Role::Decorator { .. } => ("object", "attachments"),
    }
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
