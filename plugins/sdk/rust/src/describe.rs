//! What a plugin says of itself, see description.schema.json of the contract.
//! The attributes [`composite`](crate::composite) and
//! [`decorator`](crate::decorator) write it.

use serde::{Serialize, Serializer, ser::SerializeMap};

use crate::Resource;

/// A kind at one version.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KindRef {
    /// `apps/v1`
    pub api_version: &'static str,
    /// `Deployment`
    pub kind: &'static str,
}

impl KindRef {
    /// That of a type.
    pub const fn of<R: Resource>() -> Self {
        Self { api_version: R::API_VERSION, kind: R::KIND }
    }
}

/// How a child that differs is brought up to date.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Update {
    /// By applying the difference.
    InPlace,
    /// By deleting it and making a new one.
    Recreate,
    /// Not until someone deletes it.
    OnDelete,
    /// By applying the difference, to a few at a time. How many, and when one is
    /// ready, the plugin's policy says.
    RollingInPlace,
    /// By deleting it and making a new one, a few at a time.
    RollingRecreate,
}

/// A kind that answers may contain.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Child {
    /// Which.
    #[serde(flatten)]
    pub of: KindRef,
    /// How it is brought up to date.
    pub update: Update,
}

/// A kind that look-ups may name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Read {
    /// Which.
    #[serde(flatten)]
    pub of: KindRef,
    /// Only there; absent: everywhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<&'static str>,
}

/// What a plugin is to its objects.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// It owns their life and their status.
    Composite,
    /// It adds to what somebody else owns.
    Decorator,
}

/// A kind that a plugin reconciles.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Object {
    /// Which.
    #[serde(flatten)]
    pub of: KindRef,
    /// Which of those, as `kubectl -l` takes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label_selector: Option<&'static str>,
    /// The same for annotations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub annotation_selector: Option<&'static str>,
}

/// The description of a plugin.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Description {
    /// What it is to its objects.
    pub role: Role,
    /// What it reconciles.
    pub objects: &'static [Object],
    /// What it owns.
    pub children: &'static [Child],
    /// What it looks up.
    pub reads: &'static [Read],
    /// Whether it is asked before an object goes.
    pub finalizes: bool,
    /// How often every object is looked at, if at all.
    pub resync_seconds: Option<u32>,
}

impl Serialize for Description {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("role", &self.role)?;
        map.serialize_entry("objects", self.objects)?;
        map.serialize_entry("children", self.children)?;
        map.serialize_entry("reads", self.reads)?;
        map.serialize_entry("finalizes", &self.finalizes)?;
        if let Some(seconds) = self.resync_seconds {
            map.serialize_entry("resyncSeconds", &seconds)?;
        }
        map.end()
    }
}
