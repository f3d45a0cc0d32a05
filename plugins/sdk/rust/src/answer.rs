//! What should be: the answer of a run.

use std::{collections::BTreeMap, fmt, time::Duration};

use serde::Serialize;
use serde_json::{Value, json};

use crate::{Cx, Resource, Result, describe::Description, object::Observed, resource::to_json};

/// A plugin, known by the type of its status. The attributes
/// [`composite`](crate::composite) and [`decorator`](crate::decorator) implement it.
pub trait Plugin: Serialize + Sized {
    /// What it reconciles.
    type Object: Observed;
    /// What it says of itself.
    const DESCRIPTION: Description;

    /// The function under the attribute.
    fn reconcile(object: Self::Object, cx: &Cx) -> Result<Answer<Self>>;
}

/// Implemented for a status type and each kind of child that its plugin declares.
#[diagnostic::on_unimplemented(
    message = "`{C}` is not declared as a child",
    label = "not among the `children(…)` of the plugin's attribute",
    note = "add it there: `children(…, {C})`"
)]
pub trait Owns<C> {}

/// Implemented for the status type of a decorator: it sets labels and annotations.
#[diagnostic::on_unimplemented(
    message = "only a decorator sets labels and annotations of its object",
    note = "a composite's object belongs to whoever made it; see `trimtab::decorator`"
)]
pub trait Decorates {}

/// Something that happened to the object, for those who describe it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Event {
    /// A warning, or for information.
    pub warning: bool,
    /// CamelCase.
    pub reason: String,
    /// A sentence.
    pub message: String,
}

/// What should be. Children that are observed and not in it are deleted; without
/// a status, the status stays as it is.
#[must_use = "an answer does something only when it is returned"]
pub struct Answer<S> {
    pub(crate) children: Vec<String>,
    pub(crate) status: Option<S>,
    pub(crate) labels: BTreeMap<String, Option<String>>,
    pub(crate) annotations: BTreeMap<String, Option<String>>,
    pub(crate) events: Vec<Event>,
    pub(crate) requeue_after: Option<Duration>,
    pub(crate) finalized: bool,
}

/// So that a test may expect an error; the status needs no `Debug` for that.
impl<S> fmt::Debug for Answer<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { children, status: _, labels, annotations, events, requeue_after, finalized } = self;
        f.debug_struct("Answer")
            .field("children", children)
            .field("labels", labels)
            .field("annotations", annotations)
            .field("events", events)
            .field("requeue_after", requeue_after)
            .field("finalized", finalized)
            .finish_non_exhaustive()
    }
}

/// An answer without children.
pub fn answer<S>() -> Answer<S> {
    Answer {
        children: Vec::new(),
        status: None,
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        events: Vec::new(),
        requeue_after: None,
        finalized: false,
    }
}

impl<S> Answer<S> {
    /// One child. Without a namespace it lies in that of the object.
    ///
    /// # Panics
    /// If it cannot be written as JSON.
    pub fn child<C: Resource + Serialize>(mut self, child: C) -> Self
    where
        S: Owns<C>,
    {
        self.children.push(to_json(&child));
        self
    }

    /// Several children of one kind.
    ///
    /// # Panics
    /// If one cannot be written as JSON.
    pub fn children<C: Resource + Serialize>(mut self, children: impl IntoIterator<Item = C>) -> Self
    where
        S: Owns<C>,
    {
        self.children.extend(children.into_iter().map(|child| to_json(&child)));
        self
    }

    /// One child of a declared kind as JSON; `apiVersion` and `kind` are those of
    /// `C` and need not be written.
    ///
    /// # Panics
    /// If it is no JSON object.
    pub fn child_json<C: Resource>(mut self, mut child: Value) -> Self
    where
        S: Owns<C>,
    {
        assert!(child.is_object(), "a child is a JSON object, this {} is {child}", C::KIND);
        child["apiVersion"] = json!(C::API_VERSION);
        child["kind"] = json!(C::KIND);
        self.children.push(child.to_string());
        self
    }

    /// The whole status. Keep times out of it: a status that differs each time is
    /// written each time.
    pub fn status(mut self, status: S) -> Self {
        self.status = Some(status);
        self
    }

    /// A label of the object. What no answer sets any more is removed again.
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self
    where
        S: Decorates,
    {
        self.labels.insert(name.into(), Some(value.into()));
        self
    }

    /// That the object has no such label.
    pub fn without_label(mut self, name: impl Into<String>) -> Self
    where
        S: Decorates,
    {
        self.labels.insert(name.into(), None);
        self
    }

    /// An annotation of the object. What no answer sets any more is removed again.
    pub fn annotation(mut self, name: impl Into<String>, value: impl Into<String>) -> Self
    where
        S: Decorates,
    {
        self.annotations.insert(name.into(), Some(value.into()));
        self
    }

    /// That the object has no such annotation.
    pub fn without_annotation(mut self, name: impl Into<String>) -> Self
    where
        S: Decorates,
    {
        self.annotations.insert(name.into(), None);
        self
    }

    /// An Event on the object.
    pub fn event(self, reason: impl Into<String>, message: impl Into<String>) -> Self {
        self.happened(false, reason.into(), message.into())
    }

    /// An Event of type Warning on the object.
    pub fn warn(self, reason: impl Into<String>, message: impl Into<String>) -> Self {
        self.happened(true, reason.into(), message.into())
    }

    fn happened(mut self, warning: bool, reason: String, message: String) -> Self {
        self.events.push(Event { warning, reason, message });
        self
    }

    /// When to look again, even if nothing changes.
    pub fn requeue_after(mut self, delay: Duration) -> Self {
        self.requeue_after = Some(delay);
        self
    }

    /// While [finalizing](Cx::finalizing): nothing is left to do, the object may go.
    pub fn finalized(mut self) -> Self {
        self.finalized = true;
        self
    }
}
