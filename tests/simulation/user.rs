//! What people do with Sites: a list of actions from a seed. Where they lead is
//! known without a host, and does not hang on how far one has got: so it can
//! be said what must be there in the end.

use std::{fmt, time::Duration};

use serde_json::{Value, json};
use trimtab_core::marks;
use trimtab_engine::folder::Folder;
use trimtab_sim::{Api, SplitMix, World};

use crate::{
    site::{CONFIG_MAPS, HELD_BACK, SERVICES, SITES, name, site},
    stage::STAGE,
};

const SITES_V2: &str = "/apis/example.dev/v2/namespaces/default/sites";
const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";

/// One action and when it is done.
#[derive(Debug, Clone)]
pub struct Step {
    /// The age of the world.
    pub at: Duration,
    /// What is done.
    pub action: Action,
}

/// What people do. What cannot be done, as editing a Site that is gone, is passed over.
#[derive(Debug, Clone, Copy)]
pub enum Action {
    Create {
        site: usize,
        version: Version,
    },
    /// Through the first version: which entry of managedFields has made an object
    /// can no longer be told after edits through several.
    Edit {
        site: usize,
        draw: u32,
    },
    EditStatus {
        site: usize,
    },
    Delete {
        site: usize,
    },
    Move {
        site: usize,
        held_back: bool,
    },
    Mark {
        site: usize,
        version: Version,
    },
    DeleteChild {
        site: usize,
        child: &'static str,
    },
    EditChild {
        site: usize,
        edit: Edit,
    },
    Folder(Files),
}

/// An API version of Sites.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    V1,
    V2,
}

/// What somebody does to a child by hand.
#[derive(Debug, Clone, Copy)]
pub enum Edit {
    Page,
    NoPage,
    Replicas,
    Selector,
    Label,
    NoMark,
}

/// What the plugins folder holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Files {
    /// The first version's file of the default instance.
    pub default: File,
    /// The same of the other instance.
    pub held_back: Option<File>,
    /// Whether each has the second version's file, too. That one is never
    /// alone: then whether a host sees it in time would decide who serves what.
    pub v2: bool,
}

/// One module, or what is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum File {
    Site,
    Next,
    /// `Site` with a config, which it does not look at.
    Configured,
    /// No module at all.
    Garbage,
    /// A module for another host.
    OtherWorld,
    /// A good module with a policy that is none.
    BadPolicy,
}

const CHILDREN: [&str; 3] = [CONFIG_MAPS, SERVICES, DEPLOYMENTS];
const EDITS: [Edit; 6] = [Edit::Page, Edit::NoPage, Edit::Replicas, Edit::Selector, Edit::Label, Edit::NoMark];
const FILES: [File; 6] = [File::Site, File::Next, File::Configured, File::Garbage, File::OtherWorld, File::BadPolicy];

impl Files {
    /// With which each object can be served.
    pub fn last(v2: bool) -> Self {
        Self { default: File::Next, held_back: Some(File::Site), v2 }
    }

    fn folder(self) -> Folder {
        let of = |instance, file: File| STAGE.slot(instance, "site", file.module(), file.policy());
        let v2 = |instance| self.v2.then(|| STAGE.slot(instance, "site@v2", "site-v2.wasm", None));
        let mut slots = vec![of("", self.default)];
        slots.extend(v2(""));
        if let Some(file) = self.held_back {
            slots.push(of(HELD_BACK, file));
            slots.extend(v2(HELD_BACK));
        }
        Folder { slots: slots.into_iter().collect(), read: true, ..Folder::default() }
    }
}

impl File {
    fn module(self) -> &'static str {
        match self {
            Self::Site | Self::Configured | Self::BadPolicy => "site.wasm",
            Self::Next => "site-next.wasm",
            Self::Garbage => "garbage.wasm",
            Self::OtherWorld => "other-world.wasm",
        }
    }

    fn policy(self) -> Option<&'static str> {
        match self {
            Self::Configured => Some("[config]\ncolour = \"red\"\n"),
            Self::BadPolicy => Some("colour = 1\n"),
            _ => None,
        }
    }
}

impl Version {
    fn text(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
        }
    }

    fn sites(self) -> &'static str {
        match self {
            Self::V1 => SITES,
            Self::V2 => SITES_V2,
        }
    }
}

/// What people do in a case of that seed, in the order of time, and the files
/// that they put into the folder in the end.
pub fn draw(seed: u64, sites: usize, steps: usize, until: Duration) -> (Vec<Step>, Files) {
    let random = SplitMix::new(seed, u64::from_le_bytes(*b"people\0\0"));
    // With a second version in the end, or without one ever: marks that say
    // which version serves an object stay when that version goes.
    let dice = Dice { v2: random.next().is_multiple_of(2), random, sites };
    let steps = (0..steps).map(|_| Step { at: dice.random.below(until), action: dice.action() });
    let mut steps = steps.collect::<Vec<_>>();
    steps.sort_by_key(|step| step.at);
    (steps, Files::last(dice.v2))
}

struct Dice {
    random: SplitMix,
    sites: usize,
    v2: bool,
}

impl Dice {
    fn below(&self, limit: usize) -> usize {
        (self.random.next() % limit as u64) as usize
    }

    fn of<T: Copy>(&self, these: &[T]) -> T {
        these[self.below(these.len())]
    }

    fn version(&self) -> Version {
        if self.v2 && self.below(2) == 0 { Version::V2 } else { Version::V1 }
    }

    fn action(&self) -> Action {
        let site = self.below(self.sites);
        match self.below(20) {
            0..=4 => Action::Edit { site, draw: self.random.next() as u32 },
            5..=7 => Action::Create { site, version: self.version() },
            8 | 9 => Action::Delete { site },
            10 | 11 => Action::Move { site, held_back: self.below(2) == 0 },
            12 => Action::Mark { site, version: self.version() },
            13 | 14 => Action::DeleteChild { site, child: self.of(&CHILDREN) },
            15 | 16 => Action::EditChild { site, edit: self.of(&EDITS) },
            17 => Action::EditStatus { site },
            _ => Action::Folder(Files {
                default: self.of(&FILES),
                held_back: (self.below(3) > 0).then(|| self.of(&FILES)),
                v2: self.v2 && self.below(2) == 0,
            }),
        }
    }
}

impl Action {
    /// The Site that it is about.
    pub fn site(&self) -> Option<usize> {
        match *self {
            Self::Create { site, .. }
            | Self::Edit { site, .. }
            | Self::EditStatus { site }
            | Self::Delete { site }
            | Self::Move { site, .. }
            | Self::Mark { site, .. }
            | Self::DeleteChild { site, .. }
            | Self::EditChild { site, .. } => Some(site),
            Self::Folder(_) => None,
        }
    }

    /// Does it. What is refused is passed over: it is in each run of the same
    /// actions, or it is about a child, which the host makes what it should be.
    pub async fn act(self, world: &World) {
        if let Self::Folder(files) = self {
            world.put_folder(files.folder());
            return;
        }
        if let Err(refused) = self.ask(&world.api).await {
            tracing::info!(%refused, "passed over");
        }
    }

    async fn ask(self, api: &Api) -> Result<Value, trimtab_sim::Refused> {
        let at = |path: &str| self.site().map_or_else(String::new, |site| format!("{path}/{}", name(site)));
        match self {
            Self::Create { site: number, version } => {
                let mut object = site(number);
                if version == Version::V2 {
                    object["apiVersion"] = json!("example.dev/v2");
                    object["spec"]["pages"] = json!([{ "file": "about.html", "text": "us" }]);
                    object["metadata"]["annotations"] = json!({ marks::VERSION: "v2" });
                }
                api.create(version.sites(), &object).await
            }
            Self::Edit { draw, .. } => {
                let spec = match draw % 3 {
                    0 => json!({ "page": format!("page {draw}") }),
                    1 => json!({ "replicas": draw % 9 }),
                    _ => json!({ "host": format!("{draw}.example.dev"), "page": "the same" }),
                };
                api.merge(&at(SITES), &json!({ "spec": spec })).await
            }
            Self::EditStatus { .. } => {
                let status = json!({ "status": { "url": "by hand", "build": "by hand" } });
                api.merge(&format!("{}/status", at(SITES)), &status).await
            }
            Self::Delete { .. } => api.delete(&at(SITES)).await,
            Self::Move { held_back, .. } => {
                let instance = held_back.then_some(HELD_BACK);
                api.merge(&at(SITES), &json!({ "metadata": { "labels": { marks::INSTANCE_LABEL: instance } } })).await
            }
            Self::Mark { version, .. } => {
                let mark = |text: &str| json!({ "metadata": { "annotations": { marks::VERSION: text } } });
                // A host may have marked it already: whose the mark is must not hang on that.
                api.merge(&at(SITES), &mark("none yet")).await?;
                api.merge(&at(SITES), &mark(version.text())).await
            }
            Self::DeleteChild { child, .. } => api.delete(&at(child)).await,
            Self::EditChild { edit, .. } => {
                let (path, patch) = edit.patch();
                api.merge(&at(path), &patch).await
            }
            Self::Folder(_) => Ok(Value::Null),
        }
    }
}

impl Edit {
    /// All of it is what a plugin asks for in another way, so that it is put right.
    fn patch(self) -> (&'static str, Value) {
        match self {
            Self::Page => (CONFIG_MAPS, json!({ "data": { "index.html": "by hand" } })),
            Self::NoPage => (CONFIG_MAPS, json!({ "data": { "index.html": null } })),
            Self::Replicas => (DEPLOYMENTS, json!({ "spec": { "replicas": 77 } })),
            Self::Selector => (SERVICES, json!({ "spec": { "selector": { "app": "by-hand" } } })),
            Self::Label => (CONFIG_MAPS, json!({ "metadata": { "labels": { "app": "by-hand" } } })),
            Self::NoMark => (CONFIG_MAPS, json!({ "metadata": { "labels": { marks::PLUGIN_LABEL: null } } })),
        }
    }
}

/// Which build must have written the status of a Site in the end.
pub fn build(site: &Value) -> &'static str {
    let metadata = &site["metadata"];
    if metadata["annotations"][marks::VERSION] == "v2" {
        "v2"
    } else if metadata["labels"][marks::INSTANCE_LABEL] == HELD_BACK {
        "1"
    } else {
        "2"
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at {:.3} s: {:?}", self.at.as_secs_f64(), self.action)
    }
}
