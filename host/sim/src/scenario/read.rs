//! From the text of a scenario to its steps, checked as a whole before anything
//! is played.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use jiff::SignedDuration;
use serde_json::Value;

use super::{Action, Expect, Expected, Manifest, Outcome, Plugins, Reference, Scenario, Step, Unusable};
use crate::located::{self, At, Cursor, Malformed, Tree};

/// The longest that a scenario lets pass in one step: a simulated day is a
/// quarter of a million requests of an idle host, which are all kept.
const ADVANCE_MAX: Duration = Duration::from_secs(24 * 3600);

/// What each level may have; `scenario.schema.json` says the same.
const TOP: &[&str] = &["name", "plugins", "workloads", "steps"];
const VERBS: &[&str] =
    &["apply", "patch", "label", "annotate", "delete", "ready", "failed", "advance", "swap", "expect"];
const EXPECT: &[&str] = &["objects", "exact", "absent", "conditions", "events", "writes", "settled"];
const CONDITION: &[&str] = &["status", "reason", "message"];
const EVENT: &[&str] = &["reason", "type", "message"];

/// Reads a scenario and the manifests that it names.
pub fn scenario(path: &Path) -> Result<Scenario, Unusable> {
    let (file, text) = load(path)?;
    let mut documents = located::read(&file, &text)?;
    if documents.len() != 1 {
        let (line, column, path, what) = (1, 1, String::new(), "a scenario is one document".to_owned());
        return Err(Malformed { file, line, column, path, what }.into());
    }
    let document = documents.remove(0);
    let reader = Reader { folder: path.parent().unwrap_or(Path::new("")) };
    let top = Cursor::top(&file, &document);
    let fields = top.fields(TOP)?;
    let [Some(plugins), Some(steps)] = ["plugins", "steps"].map(|field| fields.get(field)) else {
        return Err(top.wrong("a scenario has plugins and steps").into());
    };
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Scenario {
        name: fields.get("name").map_or(Ok(stem), |name| name.text().map(str::to_owned))?,
        plugins: reader.plugins(plugins)?,
        workloads: fields.get("workloads").map_or(Ok(false), Cursor::flag)?,
        steps: steps.items()?.iter().map(|step| reader.step(step)).collect::<Result<_, _>>()?,
        text,
        file: file.clone(),
    })
}

fn load(path: &Path) -> Result<(Arc<str>, Arc<str>), Unusable> {
    let file = path.display().to_string();
    let text = fs::read_to_string(path).map_err(|error| Unusable::Io { file: file.clone(), error })?;
    Ok((file.into(), text.into()))
}

/// Reads what lies beside one file.
struct Reader<'a> {
    folder: &'a Path,
}

impl Reader<'_> {
    fn plugins(&self, plugins: &Cursor<'_>) -> Result<Plugins, Malformed> {
        let entries = plugins.entries()?.into_iter();
        entries.map(|(entry, file)| Ok((self.name(&entry.key, &file)?, self.file(&file)?))).collect()
    }

    /// A name in the plugins folder.
    fn name(&self, name: &str, at: &Cursor<'_>) -> Result<String, Malformed> {
        if name.ends_with(".wasm") || name.ends_with(".toml") {
            return Ok(name.to_owned());
        }
        Err(at.wrong("a file of the plugins folder is a module (.wasm) or a policy (.toml)"))
    }

    /// A file that is there.
    fn file(&self, file: &Cursor<'_>) -> Result<PathBuf, Malformed> {
        let path = self.folder.join(file.text()?);
        match fs::metadata(&path) {
            Ok(found) if found.is_file() => Ok(path),
            Ok(_) => Err(file.wrong(format_args!("{} is no file", path.display()))),
            Err(error) => Err(file.wrong(format_args!("{} cannot be read: {error}", path.display()))),
        }
    }

    fn step(&self, step: &Cursor<'_>) -> Result<Step, Unusable> {
        let fields = step.fields(VERBS)?;
        let mut verbs = fields.iter();
        let (Some((verb, value)), None) = (verbs.next(), verbs.next()) else {
            return Err(step.wrong(format_args!("a step is one of {}", VERBS.join(", "))).into());
        };
        let line = step.node.at.line;
        Ok(Step { line, action: self.action(verb, value)? })
    }

    fn action(&self, verb: &str, value: &Cursor<'_>) -> Result<Action, Unusable> {
        Ok(match verb {
            "apply" => Action::Apply(self.manifests(value)?),
            "patch" => Action::Patch(changes(value)?),
            "label" => Action::Label(changes(value)?),
            "annotate" => Action::Annotate(changes(value)?),
            "delete" => Action::Delete(references(value)?.into_iter().map(|(of, _)| of).collect()),
            "ready" => report(value, Outcome::Ready)?,
            "failed" => report(value, Outcome::Failed)?,
            "advance" => Action::Advance(duration(value)?),
            "swap" => Action::Swap(self.swap(value)?.into_iter().collect()),
            _ => Action::Expect(expect(value)?),
        })
    }

    fn swap(&self, files: &Cursor<'_>) -> Result<Vec<(String, Option<PathBuf>)>, Malformed> {
        let read = |file: &Cursor<'_>| match &file.node.tree {
            Tree::Scalar(Value::Null) => Ok(None),
            _ => self.file(file).map(Some),
        };
        let entries = files.entries()?.into_iter();
        entries.map(|(entry, file)| Ok((self.name(&entry.key, &file)?, read(&file)?))).collect()
    }

    /// A file of manifests, an object, or a list of these.
    fn manifests(&self, value: &Cursor<'_>) -> Result<Vec<Manifest>, Unusable> {
        match &value.node.tree {
            Tree::List(_) => {
                let lists = value.items()?.iter().map(|item| self.manifests(item)).collect::<Result<Vec<_>, _>>()?;
                Ok(lists.into_iter().flatten().collect())
            }
            Tree::Map(_) => Ok(vec![manifest(value)?]),
            Tree::Scalar(_) => {
                let path = self.file(value)?;
                let (file, text) = load(&path)?;
                let documents = located::read(&file, &text)?;
                let manifests = documents.iter().map(|document| manifest(&Cursor::top(&file, document)));
                Ok(manifests.collect::<Result<_, _>>()?)
            }
        }
    }
}

/// An object says what it is; whether the rest fits its kind is the API's to say.
fn manifest(object: &Cursor<'_>) -> Result<Manifest, Malformed> {
    let fields = object.any_fields()?;
    for name in ["apiVersion", "kind"] {
        fields.get(name).ok_or_else(|| object.wrong(format_args!("the object has no {name}")))?.text()?;
    }
    let nameless = || object.wrong("the object has no metadata.name");
    let metadata = fields.get("metadata").ok_or_else(nameless)?.any_fields()?;
    metadata.get("name").ok_or_else(nameless)?.text()?;
    Ok(Manifest { file: object.file().clone(), object: object.node.value(), node: object.node.clone() })
}

fn reference(text: &str, at: &Cursor<'_>) -> Result<Reference, Malformed> {
    text.parse().map_err(|error| at.wrong(error))
}

/// One name or a list of them, each with its place.
fn references(value: &Cursor<'_>) -> Result<Vec<(Reference, At)>, Malformed> {
    let one = |item: &Cursor<'_>| Ok((reference(item.text()?, item)?, item.node.at.clone()));
    match &value.node.tree {
        Tree::List(_) => value.items()?.iter().map(one).collect(),
        _ => Ok(vec![one(value)?]),
    }
}

fn report(value: &Cursor<'_>, outcome: Outcome) -> Result<Action, Malformed> {
    Ok(Action::Report(references(value)?.into_iter().map(|(of, _)| of).collect(), outcome))
}

fn changes(value: &Cursor<'_>) -> Result<Vec<(Reference, Value)>, Malformed> {
    let change = |(entry, change): (&located::Entry, Cursor<'_>)| {
        change.entries()?;
        Ok((reference(&entry.key, &change)?, change.node.value()))
    };
    value.entries()?.into_iter().map(change).collect()
}

fn duration(value: &Cursor<'_>) -> Result<Duration, Malformed> {
    let read = value.text()?.parse::<SignedDuration>().ok().and_then(|time| Duration::try_from(time).ok());
    match read {
        Some(time) if time > ADVANCE_MAX => Err(value.wrong("a step lets a day pass at most")),
        Some(time) => Ok(time),
        None => Err(value.wrong("a duration is wanted, such as 90s or 1h30m")),
    }
}

fn expect(value: &Cursor<'_>) -> Result<Expect, Malformed> {
    let fields = value.fields(EXPECT)?;
    let objects = |name: &str, check: fn(&Cursor<'_>) -> Result<(), Malformed>| match fields.get(name) {
        Some(field) => expected(field, check),
        None => Ok(Vec::new()),
    };
    let absent = fields.get("absent").map_or(Ok(Vec::new()), references)?;
    let writes = fields.get("writes").map(|field| Ok((field.count()?, field.node.at.clone()))).transpose()?;
    let settled = fields.get("settled").map(|field| Ok((field.flag()?, field.node.at.clone()))).transpose()?;
    Ok(Expect {
        objects: objects("objects", |object| object.entries().map(drop))?,
        exact: objects("exact", |_| Ok(()))?,
        absent,
        conditions: objects("conditions", conditions)?,
        events: objects("events", events)?,
        writes,
        settled,
    })
}

fn expected(field: &Cursor<'_>, check: fn(&Cursor<'_>) -> Result<(), Malformed>) -> Result<Vec<Expected>, Malformed> {
    let one = |(entry, cursor): (&located::Entry, Cursor<'_>)| {
        check(&cursor)?;
        Ok(Expected { of: reference(&entry.key, &cursor)?, at: entry.key_at.clone(), node: cursor.node.clone() })
    };
    field.entries()?.into_iter().map(one).collect()
}

/// `Ready: "True"`, or a map of what is expected of the condition.
fn conditions(of: &Cursor<'_>) -> Result<(), Malformed> {
    for (_, condition) in of.entries()? {
        match &condition.node.tree {
            Tree::Scalar(Value::String(_) | Value::Bool(_)) => {}
            _ => drop(condition.fields(CONDITION)?),
        }
    }
    Ok(())
}

/// Reasons, or maps of what is expected of an Event.
fn events(of: &Cursor<'_>) -> Result<(), Malformed> {
    for event in of.items()? {
        match &event.node.tree {
            Tree::Scalar(Value::String(_)) => {}
            _ => drop(event.fields(EVENT)?),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// What is said of a scenario with that text, in a folder that holds `crd.yaml`.
    fn refusal(text: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("crd.yaml"), "kind: A\nmetadata: { name: a }\n").unwrap();
        let path = folder.path().join("a.yaml");
        fs::write(&path, text).unwrap();
        let error = scenario(&path).unwrap_err().to_string();
        error.replace(&format!("{}/", folder.path().display()), "")
    }

    fn steps(steps: &str) -> String {
        refusal(&format!("plugins: {{}}\nsteps:\n{steps}"))
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place_and_path() {
        let cases = [
            ("  - aply: a", "a.yaml:3:5: steps[0]: there is no field \"aply\" here; is \"apply\" meant?"),
            ("  - delete: nothing", "a.yaml:3:13: steps[0].delete: \"nothing\" names no object; Kind/name, "),
            ("  - advance: 5", "a.yaml:3:14: steps[0].advance: a text is wanted and 5 is there"),
            ("  - advance: soon", "a.yaml:3:14: steps[0].advance: a duration is wanted, such as 90s or 1h30m"),
            ("  - advance: 48h", "a.yaml:3:14: steps[0].advance: a step lets a day pass at most"),
            ("  - { ready: A/a, failed: A/a }", "a.yaml:3:5: steps[0]: a step is one of apply, patch, "),
            ("  - expect:\n      writes: many", "a.yaml:4:15: steps[0].expect.writes: a whole number is wanted"),
            (
                "  - expect:\n      object: {}",
                "a.yaml:4:7: steps[0].expect: there is no field \"object\" here; is \"objects\"",
            ),
            (
                "  - expect: { events: { A/a: [{ raeson: b }] } }",
                "a.yaml:3:33: steps[0].expect.events.A/a[0]: there is no",
            ),
            ("  - patch: { A/a: 1 }", "a.yaml:3:19: steps[0].patch.A/a: a map is wanted and 1 is there"),
            ("  - apply: { kind: A }", "a.yaml:3:12: steps[0].apply: the object has no apiVersion"),
            ("  - apply: crd.yaml", "crd.yaml:1:1: the object has no apiVersion"),
            ("  - apply: none.yaml", "a.yaml:3:12: steps[0].apply: none.yaml cannot be read: No such file"),
            ("  - swap: { site.exe: null }", "a.yaml:3:23: steps[0].swap.site.exe: a file of the plugins folder is"),
        ];
        for (text, expected) in cases {
            let said = steps(text);
            assert!(said.starts_with(expected), "{said}\n{expected}");
        }
    }

    #[test]
    fn a_scenario_is_one_document_with_plugins_and_steps() {
        assert_eq!(refusal("steps: []\n"), "a.yaml:1:1: a scenario has plugins and steps");
        assert_eq!(refusal(""), "a.yaml:1:1: a scenario is one document");
        assert!(refusal("plugins: [\n").contains(": it is no YAML: "));
        let missing = refusal("plugins: { a.wasm: gone.wasm }\nsteps: []\n");
        assert!(missing.starts_with("a.yaml:1:20: plugins.a.wasm: gone.wasm cannot be read: "), "{missing}");
    }

    #[test]
    fn the_schema_has_the_same_fields() {
        let schema: Value = serde_json::from_str(include_str!("scenario.schema.json")).unwrap();
        let parts = [("", TOP), ("/$defs/step", VERBS), ("/$defs/expect", EXPECT)];
        for (part, fields) in parts.into_iter().chain([("/$defs/condition", CONDITION), ("/$defs/event", EVENT)]) {
            let properties = schema.pointer(&format!("{part}/properties")).and_then(Value::as_object).unwrap();
            let (mut known, mut fields) = (properties.keys().collect::<Vec<_>>(), fields.to_vec());
            known.sort();
            fields.sort_unstable();
            assert_eq!(json!(known), json!(fields), "{part}");
        }
    }
}
