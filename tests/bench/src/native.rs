//! The plugin's logic as a native function of the same signature: texts in,
//! texts out.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::site::{self, Spec, Status};

/// What it answers.
pub struct Answer {
    /// JSON texts.
    pub children: Vec<String>,
    /// JSON text.
    pub status: String,
}

/// The metadata that the SDK reads too.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Metadata {
    name: String,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    uid: String,
    generation: i64,
}

#[derive(Deserialize)]
struct Site {
    metadata: Metadata,
    spec: Spec,
}

#[derive(Serialize)]
struct ConfigMap<'a> {
    #[serde(rename = "apiVersion")]
    api_version: &'static str,
    kind: &'static str,
    metadata: Named<'a>,
    data: &'a BTreeMap<String, String>,
}

#[derive(Serialize)]
struct Named<'a> {
    name: &'a str,
}

/// What should be of a Site. It looks at none of its children, as the plugin
/// does not.
pub fn reconcile(site: &str) -> serde_json::Result<Answer> {
    let Site { metadata, spec } = serde_json::from_str(site)?;
    let Metadata { name, generation, .. } = metadata;
    let children = site::files(&name, generation, &spec.page).into_iter().map(|(name, data)| {
        let metadata = Named { name: &name };
        serde_json::to_string(&ConfigMap { api_version: "v1", kind: "ConfigMap", metadata, data: &data })
    });
    let status = Status { ready: true, observed_generation: generation };
    Ok(Answer { children: children.collect::<Result<_, _>>()?, status: serde_json::to_string(&status)? })
}
