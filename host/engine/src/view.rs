//! What people are shown of the slots: `/plugins` as JSON.

use serde::Serialize;

use crate::{memory::Counts, shadowed::ShadowView};

/// The state of a slot in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum SlotState {
    /// A generation serves.
    Serving,
    /// The last good generation serves again, as what the folder holds was found bad.
    RolledBack,
    /// It fails for every object, and is called for one at a time.
    Quarantined,
    /// Something is missing that may come by itself.
    Pending,
    /// The file, or the one that has what it claims, must change before it can serve.
    Refused,
}

/// One slot, with the objects that it serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PluginView {
    /// The slot.
    #[serde(flatten)]
    pub slot: SlotView,
    /// How many of its objects are in which state.
    pub objects: Counts,
}

/// One slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SlotView {
    /// Empty for the default instance.
    pub instance_id: String,
    /// The file's name without its ending.
    pub stem: String,
    /// The name up to `@`.
    pub lineage: String,
    /// In one word.
    pub state: SlotState,
    /// Why it is not serving what the folder holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What the folder holds was refused; the last good generation may serve all the same.
    pub refused: bool,
    /// The number of the serving generation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// The hash of its content, config and policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    /// What it reconciles.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// In which version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// It is on its way and waits for this process alone, or for a first list.
    #[serde(skip)]
    pub starting: bool,
    /// Another generation is on its way.
    pub candidate: bool,
    /// That one only shadows what serves: what it would do otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shadow: Option<ShadowView>,
    /// What serves is new, and makes way for the one before it if it does worse.
    pub probation: bool,
    /// Generations that still finish calls.
    pub draining: usize,
}

impl SlotView {
    /// Its place in the folder: `site`, `canary/site@v2`.
    pub fn path(&self) -> String {
        if self.instance_id.is_empty() { self.stem.clone() } else { format!("{}/{}", self.instance_id, self.stem) }
    }
}
