//! A call that a host has recorded, made again in this process: with no WebAssembly
//! between a debugger and the plugin's function.
//!
//! ```no_run
//! # use serde::{Deserialize, Serialize};
//! # use trimtab::prelude::*;
//! # #[derive(Deserialize, Resource)]
//! # #[resource(api_version = "example.dev/v1", kind = "Site")]
//! # struct Site { metadata: Metadata }
//! # #[derive(Serialize)]
//! # struct SiteStatus {}
//! # #[trimtab::composite()]
//! # fn reconcile(site: Site, _cx: &Cx) -> Result<Answer<SiteStatus>> { Ok(answer()) }
//! // curl -s localhost:8080/calls/17 > call.json
//! let call = trimtab::replay::Call::read("call.json")?;
//! let answer = call.answer::<SiteStatus>()?;
//! # Ok::<(), trimtab::Error>(())
//! ```

use std::{collections::BTreeSet, fs, path::Path};

use serde::Deserialize;
use serde_json::Value;

use crate::{
    Answer, Cx, Error, Level, Observed, Plugin, Result,
    context::{Group, Host},
    describe::KindRef,
};

/// The version of the records that are read.
const VERSION: u32 = 1;

/// A recorded call.
#[derive(Clone, Debug, Deserialize)]
pub struct Call {
    version: u32,
    request: Request,
    tape: Tape,
    ending: Value,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    cluster: String,
    #[serde(default)]
    instance_id: Option<String>,
    now: String,
    config: String,
    object: String,
    children: Vec<Children>,
    finalizing: bool,
}

#[derive(Clone, Debug, Deserialize)]
struct Children {
    of: Of,
    objects: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Of {
    api_version: String,
    kind: String,
}

/// What the plugin was told besides; its chance and its clocks it does not have here.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Tape {
    #[serde(default)]
    look_ups: Vec<LookUp>,
}

#[derive(Clone, Debug, Deserialize)]
struct LookUp {
    of: Of,
    #[serde(default)]
    namespace: Option<String>,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    selector: Option<String>,
    told: Told,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Told {
    Found(Vec<String>),
    Denied(String),
    NotReady(String),
}

impl Call {
    /// Reads a file that `/calls/ID` has given.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let named = |error: &dyn std::fmt::Display| Error::terminal(format!("{}: {error}", path.display()));
        Self::parse(&fs::read_to_string(path).map_err(|error| named(&error))?).map_err(|error| named(&error))
    }

    /// The same of a text.
    pub fn parse(text: &str) -> Result<Self> {
        let no_record = |error| Error::terminal(format!("it is no record of a call: {error}"));
        let call: Self = serde_json::from_str(text).map_err(no_record)?;
        if call.version != VERSION {
            let version = call.version;
            return Err(Error::terminal(format!("it is a record of version {version}; this SDK reads {VERSION}")));
        }
        Ok(call)
    }

    /// What came of it when it was recorded: `answered`, `failed` or `stopped`, as JSON.
    pub fn ending(&self) -> &Value {
        &self.ending
    }

    /// Calls the plugin's function with what was recorded. A look-up that the record
    /// does not hold is an error; the log goes to standard error.
    pub fn answer<P: Plugin>(&self) -> Result<Answer<P>> {
        let request = self.request.clone();
        let object = P::Object::read(&request.object)?;
        let cx = Cx {
            host: Box::new(self.tape.clone()),
            cluster: request.cluster,
            instance_id: request.instance_id,
            now: request.now,
            config: request.config,
            namespace: object.namespace().map(str::to_owned),
            children: request.children.into_iter().map(Group::from).collect(),
            all_kinds_are_grouped: true,
            finalizing: request.finalizing,
        };
        P::reconcile(object, &cx)
    }
}

impl From<Children> for Group {
    fn from(Children { of, objects }: Children) -> Self {
        Self { api_version: of.api_version, kind: of.kind, objects, ..Self::default() }
    }
}

impl Tape {
    fn told(&self, of: KindRef, what: &str, is_it: impl Fn(&LookUp) -> bool) -> Result<Vec<String>, String> {
        let mut asked = self.look_ups.iter().filter(|it| it.of.api_version == of.api_version && it.of.kind == of.kind);
        match asked.find(|asked| is_it(asked)).map(|asked| &asked.told) {
            Some(Told::Found(objects)) => Ok(objects.clone()),
            Some(Told::Denied(why) | Told::NotReady(why)) => Err(why.clone()),
            None => Err(format!("the record holds no look-up of {} {} {what}", of.api_version, of.kind)),
        }
    }
}

impl Host for Tape {
    fn log(&self, level: Level, message: &str) {
        eprintln!("{level:?}: {message}");
    }

    fn get(&self, of: KindRef, namespace: Option<&str>, name: &str) -> Result<Option<String>, String> {
        // Of a kind without namespaces none is recorded, whichever was named.
        let lies_there = |it: &LookUp| it.namespace.is_none() || it.namespace.as_deref() == namespace;
        let found = self.told(of, name, |it| it.name.as_deref() == Some(name) && lies_there(it))?;
        Ok(found.into_iter().next())
    }

    fn select(&self, of: KindRef, namespace: Option<&str>, selector: &str) -> Result<Vec<String>, String> {
        let wanted = requirements(selector);
        let is_it = |it: &LookUp| {
            it.namespace.as_deref() == namespace && it.selector.as_deref().map(requirements).as_ref() == Some(&wanted)
        };
        self.told(of, &format!("with {selector:?}"), is_it)
    }
}

/// The requirements of a selector, each written in one way: a host records them as it
/// understands them, in an order of its own.
fn requirements(selector: &str) -> BTreeSet<String> {
    let mut depth = 0;
    let parts = selector.split(|letter| {
        depth += i32::from(letter == '(') - i32::from(letter == ')');
        letter == ',' && depth == 0
    });
    parts.map(requirement).filter(|requirement| !requirement.is_empty()).collect()
}

fn requirement(text: &str) -> String {
    let Some((head, values)) = text.split_once('(') else {
        return text.replace("==", "=").split_whitespace().collect();
    };
    let values = values.trim_end().trim_end_matches(')').split(',').map(str::trim).collect::<BTreeSet<_>>();
    let head = head.split_whitespace().collect::<Vec<_>>();
    match (&head[..], values.first()) {
        ([key, "in"], Some(value)) if values.len() == 1 => format!("{key}={value}"),
        ([key, "notin"], Some(value)) if values.len() == 1 => format!("{key}!={value}"),
        _ => format!("{head:?}{values:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_is_the_same_however_it_is_written() {
        let same = [
            (" app = web , tier==edge", "tier=edge,app=web"),
            ("tier in (web, edge)", "tier in (edge,web)"),
            ("tier in (web)", "tier=web"),
            ("tier notin ( web ),!old", "!old,tier!=web"),
            ("", ""),
        ];
        for (one, other) in same {
            assert_eq!(requirements(one), requirements(other), "{one}");
        }
        for (one, other) in [("a=b", "a!=b"), ("a in (b,c)", "a notin (b,c)"), ("a", "!a"), ("a", "")] {
            assert_ne!(requirements(one), requirements(other), "{one}");
        }
    }
}
