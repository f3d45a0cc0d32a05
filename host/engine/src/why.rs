//! Why an object is as it is, for people: which of the plugins serves it or why none
//! does, how its last run ended, what that wrote and looked up, and when the next is.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde::Serialize;
use trimtab_core::{
    id::{Cluster, GroupKind, Key, Place},
    kind::Kind,
    ownership,
};

use crate::{
    gather::{Job, Sources},
    lookups,
    memory::{Counts, Remembered},
    workshop::Workshop,
};

/// What is known of one object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Why {
    /// `Site.example.dev a/anna`
    pub object: String,
    /// Whose child it is, where a watch shows it as one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub child: Option<String>,
    /// What each lineage that reconciles its kind has to do with it.
    pub plugins: Vec<Looked>,
}

/// What one lineage has to do with an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
#[serde(rename_all = "camelCase")]
pub struct Looked {
    /// The lineage.
    pub lineage: String,
    /// In one word: `settled`, `waiting`, `failing`, `queued`, or why it is not called,
    /// as the metric `trimtab_skipped` has it.
    pub state: String,
    /// Why, where there is more to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The file that serves it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slot: Option<String>,
    /// The number of the generation that does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// Children that the plugin is given.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub children: Vec<String>,
    /// What the last run looked up, and whether it was there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub looked_up: Vec<String>,
    /// What the last run that wrote has written, and what came of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub wrote: Vec<String>,
    /// When that was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wrote_seconds_ago: Option<u64>,
    /// Failures in a row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failures: Option<u32>,
    /// When it is looked at again though nothing changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_look_in_seconds: Option<u64>,
}

impl Workshop {
    /// Why an object is as it is. `kind` is what kubectl takes: a kind or a resource, in
    /// any case, with its group behind a dot where it is not clear. The error says what
    /// is wrong with that.
    pub fn why(&self, kind: &str, namespace: Option<&str>, name: &str) -> Result<Why, String> {
        let kind = self.kind(kind)?;
        let place = place(&kind, namespace, name);
        let namespace = &*place.namespace;
        let shown =
            kind.versions.iter().filter_map(|version| self.store.get(&place.kind, &version.name, namespace, name));
        let child = shown.map(|shown| shown.meta.clone()).find(|meta| !ownership::is_unmarked(meta));
        let child = child.as_ref().map(ownership::whose);
        let lineages = self.published.serving.load().table.lineages_for(&place.kind);
        let key = |lineage| Key { cluster: Cluster::local(), place: place.clone(), lineage };
        let plugins = lineages.into_iter().map(|lineage| self.looked(&key(lineage))).collect();
        Ok(Why { object: place.to_string(), child, plugins })
    }

    /// The place of an object that is asked about so.
    pub fn place(&self, kind: &str, namespace: Option<&str>, name: &str) -> Result<Place, String> {
        self.kind(kind).map(|kind| place(&kind, namespace, name))
    }

    /// How many objects each file serves, by its place in the folder, and how they are.
    pub fn counts(&self) -> BTreeMap<String, Counts> {
        let serving = self.published.serving.load_full();
        let sources = Sources { store: &self.store, leading: &self.leading, serving: &serving };
        let mut counts = BTreeMap::<String, Counts>::new();
        for (key, counted) in self.memory.each() {
            let Some(object) = sources.newest(&key) else { continue };
            if let Ok(found) = serving.find(&object, &key.lineage)
                && found.selected
            {
                *counts.entry(found.generation.loaded.slot.to_string()).or_default() += counted;
            }
        }
        counts
    }

    /// The one kind that is meant: of several, the one that a plugin reconciles or makes.
    fn kind(&self, text: &str) -> Result<Arc<Kind>, String> {
        let known = self.discovery.known();
        let fits = |kind: &&Arc<Kind>| {
            let named = |name: &str| {
                text.eq_ignore_ascii_case(name) || text.eq_ignore_ascii_case(&format!("{name}.{}", kind.id.group))
            };
            named(&kind.id.kind) || named(&kind.plural)
        };
        let all = known.iter().filter(fits).collect::<Vec<_>>();
        let serving = self.published.serving.load();
        let ours = serving.generations.values().flat_map(|generation| {
            let objects = generation.needs.objects.iter().map(|object| &object.kind.id);
            objects.chain(generation.needs.children.iter().map(|child| &child.kind.id))
        });
        let ours = ours.collect::<BTreeSet<&GroupKind>>();
        let served = all.iter().copied().filter(|kind| ours.contains(&kind.id)).collect::<Vec<_>>();
        match (&served[..], &all[..]) {
            ([one], _) | ([], [one]) => Ok((*one).clone()),
            ([], []) => Err(format!("the server serves no kind {text:?}")),
            (several, all) => {
                let several = if several.is_empty() { all } else { several };
                let names = several.iter().map(|kind| kind.id.to_string()).collect::<Vec<_>>().join(", ");
                Err(format!("{text:?} may be any of {names}: name one of them"))
            }
        }
    }

    fn looked(&self, key: &Key) -> Looked {
        let serving = self.published.serving.load_full();
        let sources = Sources { store: &self.store, leading: &self.leading, serving: &serving };
        let lineage = key.lineage.to_string();
        match (sources.gather(key), self.memory.peek(key)) {
            (Err(idle), memory) => {
                Looked { lineage, state: idle.word().into(), reason: idle.reason(), ..self.remembered(memory) }
            }
            (Ok(job), None) => Looked { lineage, state: "queued".into(), ..found(&job) },
            (Ok(job), Some(memory)) => {
                let (state, reason) = self.state(&job, &memory);
                let Looked { slot, generation, children, .. } = found(&job);
                Looked {
                    lineage,
                    state: state.into(),
                    reason,
                    slot,
                    generation,
                    children,
                    ..self.remembered(Some(memory))
                }
            }
        }
    }

    fn state(&self, job: &Job, memory: &Remembered) -> (&'static str, Option<String>) {
        let looks = lookups::now(&self.store, &memory.looked_up);
        match &memory.failed {
            Some(failed) if failed.cause == job.cause(&looks) => {
                (if failed.waiting { "waiting" } else { "failing" }, Some(failed.why.to_string()))
            }
            None if memory.settled == Some(job.fingerprint(&looks)) => ("settled", None),
            _ => ("queued", None),
        }
    }

    fn remembered(&self, memory: Option<Remembered>) -> Looked {
        let Some(Remembered { looked_up, failed, wrote, due, .. }) = memory else { return Looked::default() };
        let now = self.env.elapsed();
        let next = failed.as_ref().map_or(due, |failed| failed.until);
        Looked {
            looked_up: lookups::listed(&self.store, &looked_up),
            wrote_seconds_ago: (!wrote.writes.is_empty()).then(|| now.saturating_sub(wrote.run).as_secs()),
            wrote: wrote.writes.iter().map(ToString::to_string).collect(),
            failures: failed.map(|failed| failed.count),
            next_look_in_seconds: next.map(|at| at.saturating_sub(now).as_secs()),
            ..Looked::default()
        }
    }
}

fn place(kind: &Kind, namespace: Option<&str>, name: &str) -> Place {
    let namespace = if kind.namespaced { namespace.unwrap_or("default") } else { "" };
    Place { kind: kind.id.clone(), namespace: namespace.into(), name: name.into() }
}

fn found(job: &Job) -> Looked {
    Looked {
        slot: Some(job.generation.loaded.slot.to_string()),
        generation: Some(job.generation.number),
        children: job.children.iter().map(|child| child.meta.place.to_string()).collect(),
        ..Looked::default()
    }
}
