//! What a plugin says of itself, see description.schema.json of the contract.
//! The attribute [`composite`](crate::composite) writes it.

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

/// The description of a composite.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Description {
    /// What it reconciles.
    pub object: KindRef,
    /// Which of those, as `kubectl -l` takes it.
    pub selector: Option<&'static str>,
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
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Object {
            #[serde(flatten)]
            of: KindRef,
            #[serde(skip_serializing_if = "Option::is_none")]
            label_selector: Option<&'static str>,
        }

        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("role", "composite")?;
        map.serialize_entry("objects", &[Object { of: self.object, label_selector: self.selector }])?;
        map.serialize_entry("children", self.children)?;
        map.serialize_entry("reads", self.reads)?;
        map.serialize_entry("finalizes", &self.finalizes)?;
        if let Some(seconds) = self.resync_seconds {
            map.serialize_entry("resyncSeconds", &seconds)?;
        }
        map.end()
    }
}
