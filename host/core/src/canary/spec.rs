//! What a `Canary` asks for: which objects move from which instance to which, in which
//! steps, and what is tolerated on the way.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{
    hash::Hash,
    id::{BadId, GroupKind, InstanceId, Lineage, Uid},
    object::Object,
    policy::group_kind,
    promotion::Terms,
    selector::{BadSelector, Selector},
};

/// The whole of the objects, in hundredths.
const ALL_PERCENT: u8 = 100;

/// The spec of a `Canary`, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// Whose objects.
    pub lineage: Lineage,
    /// Which of its kinds.
    pub kind: GroupKind,
    /// The instance that they come from, and return to.
    pub from: InstanceId,
    /// The instance that is tried.
    pub to: InstanceId,
    /// Which of them may be moved.
    pub objects: Chosen,
    /// One after the other; at least one.
    pub steps: Vec<Step>,
    /// What is tolerated, in the terms of every other new generation.
    pub terms: Terms,
    /// Nothing more is moved for now.
    pub paused: bool,
    /// All are moved now, whatever the steps say.
    pub promote: bool,
}

/// One step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Step {
    /// Hundredths of the objects.
    pub percent: u8,
    /// How long all must have done well.
    #[serde(rename = "holdSeconds", default)]
    hold_s: u32,
}

impl Step {
    /// So many hundredths, for so long.
    pub fn new(percent: u8, hold_s: u32) -> Self {
        Self { percent, hold_s }
    }

    /// How long all must have done well.
    pub fn hold(self) -> Duration {
        Duration::from_secs(self.hold_s.into())
    }
}

/// Which objects may be moved: those that meet all that is said; all where nothing is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Chosen {
    namespaces: Vec<String>,
    names: Vec<String>,
    selector: Selector,
}

impl Chosen {
    /// Whether an object is one of them.
    pub fn takes(&self, object: &Object) -> bool {
        let place = &object.meta.place;
        let of_namespace = self.namespaces.is_empty() || self.namespaces.iter().any(|it| **it == *place.namespace);
        let is_named = |name: &String| match name.split_once('/') {
            Some((namespace, name)) => *place.namespace == *namespace && *place.name == *name,
            None => *place.name == **name,
        };
        let named = self.names.is_empty() || self.names.iter().any(is_named);
        of_namespace && named && self.selector.matches(|name| object.meta.label(name))
    }
}

/// Why a spec cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum BadSpec {
    /// It is of another form than its definition says.
    #[error("the spec cannot be read: {0}")]
    Form(#[from] serde_json::Error),
    /// A name that cannot be one.
    #[error("{0}")]
    Id(#[from] BadId),
    /// No kind.
    #[error("kind: {0:?} is no kind: write Kind.group, such as Site.example.dev")]
    Kind(String),
    /// No selector.
    #[error("objects.selector: {0}")]
    Selector(#[from] BadSelector),
    /// Nothing would be moved.
    #[error("from and to are the same instance: name in `to` the one that is tried")]
    SameInstance,
    /// Nothing says how many.
    #[error("steps: there is none: say how many objects are moved, such as [{{percent: 10, holdSeconds: 600}}]")]
    NoStep,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    lineage: String,
    kind: String,
    #[serde(default)]
    from: String,
    to: String,
    #[serde(default)]
    objects: Objects,
    steps: Vec<Step>,
    tolerated_percent: Option<usize>,
    #[serde(default)]
    paused: bool,
    #[serde(default)]
    promote: bool,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Objects {
    namespaces: Vec<String>,
    names: Vec<String>,
    selector: String,
}

impl Spec {
    /// Reads the spec of a `Canary`.
    pub fn parse(spec: &Value) -> Result<Self, BadSpec> {
        let written = Written::deserialize(spec)?;
        let (from, to) = (InstanceId::new(&written.from)?, InstanceId::new(&written.to)?);
        if from == to {
            return Err(BadSpec::SameInstance);
        }
        if written.steps.is_empty() {
            return Err(BadSpec::NoStep);
        }
        let Objects { namespaces, names, selector } = written.objects;
        let selector = if selector.is_empty() { Selector::default() } else { Selector::parse(&selector)? };
        let terms = Terms::default();
        let tolerated_percent = written.tolerated_percent.unwrap_or(terms.tolerated_percent);
        Ok(Self {
            lineage: Lineage::new(&written.lineage)?,
            kind: group_kind(&written.kind).ok_or(BadSpec::Kind(written.kind))?,
            from,
            to,
            objects: Chosen { namespaces, names, selector },
            steps: written.steps,
            terms: Terms { tolerated_percent, ..terms },
            paused: written.paused,
            promote: written.promote,
        })
    }

    /// Of a spec that cannot be read as a whole, what it takes to judge what was moved and
    /// to bring it back: nothing more is chosen.
    pub fn parse_for_return(spec: &Value) -> Result<Self, BadSpec> {
        let mut rest = Map::new();
        for name in ["lineage", "kind", "from", "to"] {
            rest.extend(spec.get(name).map(|value| (name.to_owned(), value.clone())));
        }
        rest.insert("objects".into(), json!({ "names": [""] }));
        rest.insert("steps".into(), json!([{ "percent": 0 }]));
        Self::parse(&rest.into())
    }

    /// What a step asks for; none where all of them are over.
    pub(super) fn step(&self, number: usize) -> Option<Step> {
        let step = self.steps.get(number)?;
        Some(if self.promote { Step::new(ALL_PERCENT, 0) } else { *step })
    }

    /// How many hundredths are moved where all steps are over.
    pub(super) fn last_percent(&self) -> u8 {
        let last = self.steps.last().map_or(ALL_PERCENT, |step| step.percent);
        if self.promote { ALL_PERCENT } else { last }
    }
}

/// The lower the number, the sooner an object is moved: with so many parts of ten
/// thousand. It rests on the object alone, so that who is in at 10 % is in at 20 %.
pub fn bucket(uid: &Uid) -> u16 {
    let hash = Hash::of([uid.as_str().as_bytes()]);
    let [high, low, ..] = *hash.as_bytes() else { unreachable!("a hash has sixteen bytes") };
    let part = u32::from(u16::from_be_bytes([high, low])) * 10_000 / 65_536;
    u16::try_from(part).expect("it is less than ten thousand")
}
