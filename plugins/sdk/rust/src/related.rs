//! What a customize hook asks for: rules, and the look-ups that they come to.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::{
    Cx, Error, Result,
    describe::{KindRef, Read},
};

const NAMESPACE: KindRef = KindRef { api_version: "v1", kind: "Namespace" };

/// One of `relatedResources`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Rule {
    api_version: String,
    resource: String,
    label_selector: Option<LabelSelector>,
    namespace_selector: Option<LabelSelector>,
    namespace: Option<String>,
    #[serde(default)]
    names: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct LabelSelector {
    match_labels: BTreeMap<String, String>,
    match_expressions: Vec<Requirement>,
}

#[derive(Deserialize)]
struct Requirement {
    key: String,
    operator: String,
    #[serde(default)]
    values: Vec<String>,
}

impl Rule {
    /// The kind that it means, among those that the plugin reads.
    pub(crate) fn kind(&self, reads: &[Read]) -> Result<KindRef> {
        let meant = reads.iter().map(|read| read.of).find(|of| {
            of.api_version == self.api_version
                && (plural(of.kind) == self.resource || of.kind.to_lowercase() == self.resource)
        });
        meant.ok_or_else(|| {
            let reads: Vec<_> = reads.iter().map(|read| format!("{}/{}", read.of.api_version, read.of.kind)).collect();
            let Self { api_version, resource, .. } = self;
            let reads = reads.join(", ");
            Error::retry(format!("customize asks for {resource} of {api_version}, which is none of the reads: {reads}"))
        })
    }

    /// The objects that it asks for, in the namespace of the object unless it says
    /// otherwise.
    pub(crate) fn find(&self, of: KindRef, object: &Value, cx: &Cx) -> Result<Vec<String>> {
        let Some(selector) = &self.namespace_selector else {
            let home = object["metadata"]["namespace"].as_str();
            let namespace = self.namespace.as_deref().or(home).filter(|namespace| !namespace.is_empty());
            return self.find_in(of, namespace, cx);
        };
        let namespaces = cx.host.select(NAMESPACE, None, &selector.text()?).map_err(Error::retry)?;
        let mut found = Vec::new();
        for text in namespaces {
            let namespace = name(&text)?;
            found.extend(self.find_in(of, Some(&namespace), cx)?);
        }
        Ok(found)
    }

    fn find_in(&self, of: KindRef, namespace: Option<&str>, cx: &Cx) -> Result<Vec<String>> {
        if self.names.is_empty() {
            let labels = self.label_selector.as_ref().map_or(Ok(String::new()), LabelSelector::text)?;
            return cx.host.select(of, namespace, &labels).map_err(Error::retry);
        }
        let mut found = Vec::new();
        if namespace.is_some() {
            for name in &self.names {
                found.extend(cx.host.get(of, namespace, name).map_err(Error::retry)?);
            }
        } else {
            for text in cx.host.select(of, None, "").map_err(Error::retry)? {
                if self.names.contains(&name(&text)?) {
                    found.push(text);
                }
            }
        }
        Ok(found)
    }
}

fn name(text: &str) -> Result<String> {
    let object = serde_json::from_str::<Value>(text)?;
    Ok(object["metadata"]["name"].as_str().unwrap_or_default().to_owned())
}

/// The plural of a kind, as the API conventions make it.
fn plural(kind: &str) -> String {
    let name = kind.to_lowercase();
    let ends_in = |endings: &[&str]| endings.iter().any(|ending| name.ends_with(ending));
    if ends_in(&["s", "x", "z", "ch", "sh"]) {
        return format!("{name}es");
    }
    match name.strip_suffix('y') {
        Some(stem) if !stem.is_empty() && !stem.ends_with(['a', 'e', 'i', 'o', 'u']) => format!("{stem}ies"),
        _ => format!("{name}s"),
    }
}

impl LabelSelector {
    /// As `kubectl -l` takes it; the empty one matches all.
    fn text(&self) -> Result<String> {
        let equal = self.match_labels.iter().map(|(key, value)| Ok(format!("{key}={value}")));
        let others = self.match_expressions.iter().map(|Requirement { key, operator, values }| {
            let values = values.join(", ");
            match operator.as_str() {
                "In" => Ok(format!("{key} in ({values})")),
                "NotIn" => Ok(format!("{key} notin ({values})")),
                "Exists" => Ok(key.clone()),
                "DoesNotExist" => Ok(format!("!{key}")),
                other => Err(Error::retry(format!(
                    "a selector has the operator {other:?}; expected In, NotIn, Exists or DoesNotExist"
                ))),
            }
        });
        Ok(equal.chain(others).collect::<Result<Vec<_>>>()?.join(","))
    }
}
