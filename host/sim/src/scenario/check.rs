//! Whether what is expected is so, and what an author is told where it is not.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    Expect, Expected, Reference,
    cluster::{Cluster, Undone},
    diff::{self, Rest},
    normal,
    update::Edit,
};
use crate::located::{At, Node, Tree};

/// The longest value that is shown whole.
const SHOWN_CHARS_MAX: usize = 400;

/// One thing that is not as expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// The file in which the expectation stands.
    pub file: Arc<str>,
    /// Where in it.
    pub line: u64,
    /// What it is about: an object and a field of it, mostly.
    pub what: String,
    /// What was expected and what was found; none where `what` says it all.
    pub values: Option<(String, String)>,
    /// Whether recording mends it.
    pub recorded: bool,
}

/// What came of an expectation.
#[derive(Debug, Default)]
pub struct Checked {
    /// What is not as expected.
    pub mismatches: Vec<Mismatch>,
    /// What would make the scenario expect what was found.
    pub edits: Vec<Edit>,
}

/// Checks one expectation.
pub struct Check<'a> {
    /// The scenario's file.
    pub file: Arc<str>,
    /// The objects.
    pub cluster: &'a mut Cluster,
    /// Where the findings go.
    pub checked: Checked,
}

impl Check<'_> {
    /// Checks all that needs no more time to pass.
    pub async fn check(&mut self, expect: &Expect, writes: u64) -> Result<(), Undone> {
        for expected in &expect.objects {
            self.object(expected, Rest::Free).await?;
        }
        for expected in &expect.exact {
            self.object(expected, Rest::Nothing).await?;
        }
        for (of, at) in &expect.absent {
            if self.cluster.find(of).await?.is_some() {
                self.differs(at, of.to_string(), "absent", "there", false);
            }
        }
        for expected in &expect.conditions {
            self.conditions(expected).await?;
        }
        for expected in &expect.events {
            self.events(expected).await?;
        }
        if let Some((expected, at)) = expect.writes.as_ref().filter(|(expected, _)| *expected != writes) {
            self.differs(at, "writes".to_owned(), &expected.to_string(), &writes.to_string(), true);
            self.checked.edits.push(Edit::scalar(at, &json!(writes)));
        }
        Ok(())
    }

    async fn object(&mut self, expected: &Expected, rest: Rest) -> Result<(), Undone> {
        let of = &expected.of;
        let Some(found) = self.cluster.find(of).await? else {
            return self.missing(of, &expected.at).await;
        };
        let found = if rest == Rest::Nothing { normal::plain(found) } else { found };
        let differences = diff::differences(&expected.node, &found, rest);
        if rest == Rest::Nothing && !differences.is_empty() {
            self.checked.edits.push(Edit::value(expected, found.clone()));
        }
        for difference in differences {
            let what = format!("{of} {}", difference.path);
            let (expected, found) = (show(difference.expected.as_ref()), show(difference.found.as_ref()));
            self.differs(&difference.at, what.trim_end().to_owned(), &expected, &found, rest == Rest::Nothing);
        }
        Ok(())
    }

    async fn missing(&mut self, of: &Reference, at: &At) -> Result<(), Undone> {
        let others = match &self.cluster.neighbours(of).await?[..] {
            [] => format!("no {} is there", of.kind),
            names => format!("absent; there are {}", names.join(", ")),
        };
        self.differs(at, of.to_string(), "there", &others, false);
        Ok(())
    }

    async fn conditions(&mut self, expected: &Expected) -> Result<(), Undone> {
        let of = &expected.of;
        let Some(object) = self.cluster.find(of).await? else { return self.missing(of, &expected.at).await };
        let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let Tree::Map(entries) = &expected.node.tree else { return Ok(()) };
        for entry in entries {
            let what = format!("{of} condition {}", entry.key);
            let Some(condition) = conditions.iter().find(|condition| condition["type"] == entry.key) else {
                let types = conditions.iter().filter_map(|condition| condition["type"].as_str()).collect::<Vec<_>>();
                let there = if types.is_empty() { "there are none".to_owned() } else { types.join(", ") };
                self.differs(&entry.key_at, what, "there", &format!("absent; {there}"), false);
                continue;
            };
            let found = match &entry.node.tree {
                Tree::Map(_) => condition,
                Tree::Scalar(_) | Tree::List(_) => &condition["status"],
            };
            for difference in diff::differences(&as_status(&entry.node), found, Rest::Free) {
                let said = condition["message"].as_str().filter(|message| !message.is_empty());
                let said = said.map_or(String::new(), |message| format!("; it says: {message}"));
                let found = format!("{}{said}", show(difference.found.as_ref()));
                let path = if difference.path.is_empty() { "status" } else { &difference.path };
                let what = format!("{what} {path}");
                self.differs(&difference.at, what, &show(difference.expected.as_ref()), &found, false);
            }
        }
        Ok(())
    }

    async fn events(&mut self, expected: &Expected) -> Result<(), Undone> {
        let of = &expected.of;
        let refused = |refused| Undone::Refused { of: of.to_string(), refused };
        let events = self.cluster.events(Some(of)).await.map_err(refused)?;
        let events = events
            .iter()
            .map(|event| json!({ "reason": event["reason"], "type": event["type"], "message": event["note"] }));
        let events = events.collect::<Vec<_>>();
        let Tree::List(items) = &expected.node.tree else { return Ok(()) };
        for item in items {
            let fits = |event: &Value| match &item.tree {
                Tree::Map(_) => diff::differences(item, event, Rest::Free).is_empty(),
                Tree::Scalar(reason) => event["reason"] == *reason,
                Tree::List(_) => false,
            };
            if !events.iter().any(fits) {
                let told = events.iter().map(Value::to_string).collect::<Vec<_>>();
                let told = if told.is_empty() { "no Event".to_owned() } else { told.join(", ") };
                self.differs(&item.at, format!("{of} event"), &item.value().to_string(), &told, false);
            }
        }
        Ok(())
    }

    fn differs(&mut self, at: &At, what: String, expected: &str, found: &str, recorded: bool) {
        let values = Some((expected.to_owned(), found.to_owned()));
        self.checked.mismatches.push(Mismatch { file: self.file.clone(), line: at.line, what, values, recorded });
    }
}

/// YAML reads an unquoted `True` as a boolean; a condition's status is a text.
fn as_status(node: &Node) -> Node {
    let tree = match &node.tree {
        Tree::Scalar(Value::Bool(true)) => Tree::Scalar("True".into()),
        Tree::Scalar(Value::Bool(false)) => Tree::Scalar("False".into()),
        Tree::Map(entries) => {
            let read = |entry: &crate::located::Entry| match &*entry.key {
                "status" => crate::located::Entry { node: as_status(&entry.node), ..entry.clone() },
                _ => entry.clone(),
            };
            Tree::Map(entries.iter().map(read).collect())
        }
        tree => tree.clone(),
    };
    Node { at: node.at.clone(), tree }
}

fn show(value: Option<&Value>) -> String {
    let text = value.map_or_else(|| "nothing".to_owned(), Value::to_string);
    match text.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((end, _)) => format!("{}… ({} characters)", &text[..end], text.chars().count()),
        None => text,
    }
}
