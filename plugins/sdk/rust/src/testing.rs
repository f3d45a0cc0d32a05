//! Tests of a plugin's function as it is, without WebAssembly: what it observes
//! is made by hand, and its answer is looked into.
//!
//! ```
//! # use serde::{Deserialize, Serialize};
//! # use trimtab::prelude::*;
//! # #[derive(Deserialize, Resource)]
//! # #[resource(api_version = "example.dev/v1", kind = "Site")]
//! # struct Site { metadata: Metadata }
//! # #[derive(Serialize, Deserialize, Resource)]
//! # #[resource(api_version = "v1", kind = "ConfigMap")]
//! # struct ConfigMap { metadata: Metadata }
//! # #[derive(Serialize)]
//! # struct SiteStatus { published: bool }
//! #[trimtab::composite(children(ConfigMap))]
//! fn reconcile(site: Site, cx: &Cx) -> Result<Answer<SiteStatus>> {
//!     let published = cx.child::<ConfigMap>(site.name()).is_some();
//!     Ok(answer().child(ConfigMap { metadata: Metadata::named(site.name()) }).status(SiteStatus { published }))
//! }
//!
//! let site = || Site { metadata: Metadata::named("a") };
//! let first = reconcile(site(), &Cx::test())?;
//! assert!(!first.desired_status().unwrap().published);
//!
//! let page = first.desired::<ConfigMap>("a").unwrap();
//! let second = reconcile(site(), &Cx::test().child(page))?;
//! assert!(second.desired_status().unwrap().published);
//! # Ok::<(), trimtab::Error>(())
//! ```

use std::{collections::BTreeMap, ops::Deref, time::Duration};

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{
    Answer, Cx, Event, Level, Object, Observed, Plugin, Resource,
    context::{Group, Host},
    describe::KindRef,
    resource::to_json,
};

/// The namespace of the object and of what names no other.
const NAMESPACE: &str = "default";

/// What a function under test observes; made by [`Cx::test`], taken as a [`Cx`].
pub struct TestCx(Cx, Objects);

impl Cx {
    /// An object in the namespace `default`, with no children, in which every
    /// look-up finds nothing.
    pub fn test() -> TestCx {
        let cx = Self {
            host: Box::new(Objects::default()),
            cluster: "test".to_owned(),
            instance_id: None,
            now: "2000-01-01T00:00:00Z".to_owned(),
            config: "{}".to_owned(),
            namespace: Some(NAMESPACE.to_owned()),
            children: Vec::new(),
            all_kinds_are_grouped: false,
            finalizing: false,
        };
        TestCx(cx, Objects::default())
    }
}

impl Deref for TestCx {
    type Target = Cx;

    fn deref(&self) -> &Cx {
        &self.0
    }
}

impl TestCx {
    /// An object that look-ups find.
    pub fn with<R: Resource + Serialize>(mut self, object: R) -> Self {
        let namespace = object.namespace().or(R::NAMESPACED.then_some(NAMESPACE)).map(str::to_owned);
        let place = (R::API_VERSION, R::KIND, namespace, object.name().to_owned());
        self.1.named.insert(place, to_json(&object));
        self.0.host = Box::new(self.1.clone());
        self
    }

    /// What a selection of that kind by that very selector finds, those without a
    /// namespace in whichever it names; any other one finds nothing.
    pub fn selecting<R: Resource + Serialize>(mut self, selector: &str, objects: impl IntoIterator<Item = R>) -> Self {
        let found = objects.into_iter().map(|object| to_json(&object)).collect();
        self.1.selected.insert((R::API_VERSION, R::KIND, selector.to_owned()), found);
        self.0.host = Box::new(self.1.clone());
        self
    }

    /// An observed child.
    pub fn child<R: Resource + Serialize>(mut self, child: R) -> Self {
        let mut object: Value = serde_json::from_str(&to_json(&child)).expect("to_json writes JSON");
        if R::NAMESPACED && child.namespace().is_none() {
            object["metadata"]["namespace"] = NAMESPACE.into();
        }
        let groups = &mut self.0.children;
        let at = groups.iter().position(|group| group.kind == R::KIND && group.api_version == R::API_VERSION);
        let at = at.unwrap_or_else(|| {
            let (api_version, kind) = (R::API_VERSION.to_owned(), R::KIND.to_owned());
            groups.push(Group { api_version, kind, ..Group::default() });
            groups.len() - 1
        });
        groups[at].objects.push(object.to_string());
        groups[at].index.take();
        self
    }

    /// The plugin's config.
    pub fn with_config(mut self, config: Value) -> Self {
        self.0.config = config.to_string();
        self
    }

    /// The instance that serves the object.
    pub fn served_by(mut self, id: &str) -> Self {
        self.0.instance_id = Some(id.to_owned());
        self
    }

    /// The time of the run.
    pub fn at(mut self, now: &str) -> Self {
        self.0.now = now.to_owned();
        self
    }

    /// The object is being deleted.
    pub fn being_deleted(mut self) -> Self {
        self.0.finalizing = true;
        self
    }
}

type Place = (&'static str, &'static str, Option<String>, String);

/// What look-ups find; the log goes to standard error, which tests capture.
#[derive(Clone, Default)]
struct Objects {
    named: BTreeMap<Place, String>,
    /// By apiVersion, kind and selector.
    selected: BTreeMap<(&'static str, &'static str, String), Vec<String>>,
}

impl Host for Objects {
    fn log(&self, level: Level, message: &str) {
        eprintln!("{level:?}: {message}");
    }

    fn get(&self, of: KindRef, namespace: Option<&str>, name: &str) -> Result<Option<String>, String> {
        let place = |namespace: Option<&str>| {
            self.named.get(&(of.api_version, of.kind, namespace.map(str::to_owned), name.to_owned()))
        };
        // A kind without namespaces is found whichever is named, as by the host.
        Ok(place(namespace).or_else(|| place(None)).cloned())
    }

    fn select(&self, of: KindRef, namespace: Option<&str>, selector: &str) -> Result<Vec<String>, String> {
        let lies_there = |text: &&String| {
            let object: Value = serde_json::from_str(text).expect("to_json writes JSON");
            let lies_in = object["metadata"]["namespace"].as_str();
            namespace.is_none() || lies_in.is_none() || lies_in == namespace
        };
        let selected = self.selected.get(&(of.api_version, of.kind, selector.to_owned()));
        Ok(selected.into_iter().flatten().filter(lies_there).cloned().collect())
    }
}

impl Object {
    /// What a decorator of several kinds is given for an object.
    pub fn of<R: Resource + Serialize>(object: &R) -> Self {
        Self::read(&to_json(object)).expect("to_json writes apiVersion, kind and metadata")
    }
}

/// What a plugin says of itself: `description::<SiteStatus>()`.
pub fn description<P: Plugin>() -> Value {
    serde_json::to_value(P::DESCRIPTION).expect("a description is made of strings, lists and numbers")
}

/// Looking into an answer.
impl<S> Answer<S> {
    /// The desired child of that name.
    ///
    /// # Panics
    /// If it is not of the shape of `R`.
    pub fn desired<R: Resource + DeserializeOwned>(&self, name: &str) -> Option<R> {
        let objects = self.children.iter().map(|text| serde_json::from_str::<Value>(text).expect("children are JSON"));
        let mut matching = objects.filter(|object| {
            object["apiVersion"] == R::API_VERSION && object["kind"] == R::KIND && object["metadata"]["name"] == name
        });
        matching.next().map(|object| serde_json::from_value(object).expect("the child is of its kind's shape"))
    }

    /// How many children are desired.
    pub fn desired_children(&self) -> usize {
        self.children.len()
    }

    /// The desired status.
    pub fn desired_status(&self) -> Option<&S> {
        self.status.as_ref()
    }

    /// The labels that are to be set, or removed.
    pub fn desired_labels(&self) -> &BTreeMap<String, Option<String>> {
        &self.labels
    }

    /// The annotations that are to be set, or removed.
    pub fn desired_annotations(&self) -> &BTreeMap<String, Option<String>> {
        &self.annotations
    }

    /// The events.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// When it is looked at again, even if nothing changes.
    pub fn requeues_after(&self) -> Option<Duration> {
        self.requeue_after
    }

    /// Whether the object may go.
    pub fn is_finalized(&self) -> bool {
        self.finalized
    }
}
