//! What a run observes besides its object.

use std::{cell::OnceCell, collections::BTreeMap};

use serde::{Deserialize, de::DeserializeOwned};

use crate::{Error, Resource, Result, describe::KindRef};

/// How loud a line in the log is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Level {
    /// For those who work on the plugin.
    Debug,
    /// For those who run it.
    Info,
    /// Something is odd.
    Warn,
    /// Something failed.
    Error,
}

/// What a run may ask of the one who called it: the host, or a test.
pub(crate) trait Host {
    fn log(&self, level: Level, message: &str);
    fn get(&self, of: KindRef, namespace: Option<&str>, name: &str) -> Result<Option<String>, String>;
    fn select(&self, of: KindRef, namespace: Option<&str>, selector: &str) -> Result<Vec<String>, String>;
}

/// The observed children of one kind. Most runs look at few of them, so each is
/// read when it is asked for.
#[derive(Default)]
pub(crate) struct Group {
    pub(crate) api_version: String,
    pub(crate) kind: String,
    pub(crate) objects: Vec<String>,
    /// Where each lies in `objects`, by namespace and name.
    pub(crate) index: OnceCell<BTreeMap<(String, String), usize>>,
}

/// What a run observes besides its object.
pub struct Cx {
    pub(crate) host: Box<dyn Host>,
    pub(crate) cluster: String,
    pub(crate) instance_id: Option<String>,
    pub(crate) now: String,
    pub(crate) config: String,
    /// Of the object.
    pub(crate) namespace: Option<String>,
    /// A group for each declared kind; none in a test that gave no children.
    pub(crate) children: Vec<Group>,
    pub(crate) all_kinds_are_grouped: bool,
    pub(crate) finalizing: bool,
}

impl Cx {
    /// The object of that name in the object's namespace, or of a kind without
    /// namespaces, as the host's cache has it. The run is repeated when it
    /// changes, and also when it appears.
    pub fn get<R: Resource + DeserializeOwned>(&self, name: impl AsRef<str>) -> Result<Option<R>> {
        match &self.namespace {
            None if R::NAMESPACED => Err(Error::retry(format!(
                "which {} {:?}? The object has no namespace, so name one with get_in",
                R::KIND,
                name.as_ref()
            ))),
            namespace => self.look_up(namespace.as_deref(), name.as_ref()),
        }
    }

    /// The object of that name in another namespace.
    pub fn get_in<R: Resource + DeserializeOwned>(
        &self,
        namespace: impl AsRef<str>,
        name: impl AsRef<str>,
    ) -> Result<Option<R>> {
        self.look_up(Some(namespace.as_ref()), name.as_ref())
    }

    /// The objects of a kind in the object's namespace, or of a kind without
    /// namespaces, whose labels a selector matches, such as `tier in (web, edge)`;
    /// the empty one matches all. In order of name, as the host's cache has them.
    /// The run is repeated when one of them changes, appears or goes.
    ///
    /// An object without a namespace selects everywhere.
    pub fn select<R: Resource + DeserializeOwned>(&self, selector: impl AsRef<str>) -> Result<Vec<R>> {
        self.look_up_all(self.namespace.as_deref(), selector.as_ref())
    }

    /// The same in another namespace.
    pub fn select_in<R: Resource + DeserializeOwned>(
        &self,
        namespace: impl AsRef<str>,
        selector: impl AsRef<str>,
    ) -> Result<Vec<R>> {
        self.look_up_all(Some(namespace.as_ref()), selector.as_ref())
    }

    /// The same in all namespaces that the host serves, in order of namespace and name.
    pub fn select_everywhere<R: Resource + DeserializeOwned>(&self, selector: impl AsRef<str>) -> Result<Vec<R>> {
        self.look_up_all(None, selector.as_ref())
    }

    fn look_up_all<R: Resource + DeserializeOwned>(&self, namespace: Option<&str>, selector: &str) -> Result<Vec<R>> {
        let namespace = namespace.filter(|_| R::NAMESPACED);
        let found = self.host.select(KindRef::of::<R>(), namespace, selector).map_err(Error::retry)?;
        let read =
            |text: &String| serde_json::from_str(text).map_err(|error| unreadable::<R>(&identity(text).1, &error));
        found.iter().map(read).collect()
    }

    fn look_up<R: Resource + DeserializeOwned>(&self, namespace: Option<&str>, name: &str) -> Result<Option<R>> {
        let namespace = namespace.filter(|_| R::NAMESPACED);
        let found = self.host.get(KindRef::of::<R>(), namespace, name).map_err(Error::retry)?;
        let read = |text: String| serde_json::from_str(&text).map_err(|error| unreadable::<R>(name, &error));
        found.map(read).transpose()
    }

    /// The observed child of that name, if there is one.
    ///
    /// # Panics
    /// If the kind is not declared, or the child is not of the shape of `R`: both
    /// are faults of the plugin.
    pub fn child<R: Resource + DeserializeOwned>(&self, name: impl AsRef<str>) -> Option<R> {
        let namespace = self.namespace.as_deref().filter(|_| R::NAMESPACED);
        self.child_in(namespace.unwrap_or_default(), name)
    }

    /// The observed child of that name in another namespace, for an object that
    /// has none itself.
    ///
    /// # Panics
    /// As [`Cx::child`] does.
    pub fn child_in<R: Resource + DeserializeOwned>(
        &self,
        namespace: impl AsRef<str>,
        name: impl AsRef<str>,
    ) -> Option<R> {
        let group = self.group::<R>()?;
        let at = *group.index().get(&(namespace.as_ref().to_owned(), name.as_ref().to_owned()))?;
        Some(group.read(at))
    }

    /// All observed children of a kind, in order of namespace and name.
    ///
    /// # Panics
    /// As [`Cx::child`] does.
    pub fn children<R: Resource + DeserializeOwned>(&self) -> impl Iterator<Item = R> {
        self.group::<R>().into_iter().flat_map(|group| (0..group.objects.len()).map(|at| group.read(at)))
    }

    /// The observed children of a kind as JSON.
    pub(crate) fn texts(&self, of: KindRef) -> &[String] {
        let mut groups = self.children.iter();
        let group = groups.find(|group| group.kind == of.kind && group.api_version == of.api_version);
        group.map_or(&[], |group| &group.objects)
    }

    fn group<R: Resource>(&self) -> Option<&Group> {
        let group = self.children.iter().find(|group| group.kind == R::KIND && group.api_version == R::API_VERSION);
        if group.is_none() && self.all_kinds_are_grouped {
            panic!("{} {} is not declared as a child, so none are observed", R::API_VERSION, R::KIND);
        }
        group
    }

    /// The config that the policy gives this plugin, `{}` without one.
    pub fn config<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_str(&self.config).map_err(|error| Error::retry(format!("the plugin's config: {error}")))
    }

    /// The time of this run, RFC 3339 in UTC. There is no other clock.
    pub fn now(&self) -> &str {
        &self.now
    }

    /// The object is being deleted: undo what its children's deletion does not,
    /// and answer [`finalized`](crate::Answer::finalized) when it is done.
    pub fn finalizing(&self) -> bool {
        self.finalizing
    }

    /// The instance that serves the object; none: the default one.
    pub fn instance_id(&self) -> Option<&str> {
        self.instance_id.as_deref()
    }

    /// The cluster of the object.
    pub fn cluster(&self) -> &str {
        &self.cluster
    }

    /// A line in the host's log, beside the object's name.
    pub fn log(&self, level: Level, message: impl AsRef<str>) {
        self.host.log(level, message.as_ref());
    }
}

impl Group {
    fn index(&self) -> &BTreeMap<(String, String), usize> {
        self.index.get_or_init(|| self.objects.iter().enumerate().map(|(at, text)| (identity(text), at)).collect())
    }

    fn read<R: Resource + DeserializeOwned>(&self, at: usize) -> R {
        let text = &self.objects[at];
        serde_json::from_str(text).unwrap_or_else(|error| panic!("{}", unreadable::<R>(&identity(text).1, &error)))
    }
}

/// The namespace and name of an object, the rest of it skipped.
fn identity(text: &str) -> (String, String) {
    #[derive(Deserialize)]
    struct Object {
        metadata: Identity,
    }
    #[derive(Deserialize)]
    struct Identity {
        #[serde(default)]
        namespace: String,
        name: String,
    }
    let Object { metadata } =
        serde_json::from_str(text).unwrap_or_else(|error| panic!("the host gave a child without a name: {error}"));
    (metadata.namespace, metadata.name)
}

fn unreadable<R: Resource>(name: &str, error: &serde_json::Error) -> Error {
    Error::retry(format!("the {} {name:?} is not of the expected shape: {error}", R::KIND))
}
