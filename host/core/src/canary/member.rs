//! One object, as far as a canary goes: where it is served, whose mark it bears, and
//! whether anything is shown by it.

use super::{
    Spec,
    mark::{self, Fares, Mark, Report},
};
use crate::{
    id::{Place, Uid},
    instance::InstanceKey,
    object::Object,
};

/// One object, as far as a canary goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Which it is.
    pub uid: Uid,
    /// For people.
    pub place: Place,
    /// Where it is served.
    pub at: At,
    /// What this canary has written on it.
    pub mark: Option<Mark>,
    /// It may be moved: the spec chooses it and the plugin selects it.
    pub chosen: bool,
    /// Nobody looks at it: it is paused, or not selected any more.
    pub rests: bool,
    /// Its generation.
    pub wish: i64,
    /// How it fares since it was marked.
    pub report: Option<Report>,
}

/// Where an object is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum At {
    /// Where it came from.
    Home,
    /// Where it is tried.
    Away,
    /// In a third instance, by somebody's wish.
    Elsewhere,
}

impl Member {
    /// What there is to know of an object; `selected`: by the plugin.
    pub fn of(object: &Object, canary: &Uid, spec: &Spec, key: &InstanceKey, selected: bool) -> Self {
        let meta = &object.meta;
        let instance = key.of(object);
        let at = match () {
            () if instance == spec.from.as_str() => At::Home,
            () if instance == spec.to.as_str() => At::Away,
            () => At::Elsewhere,
        };
        let mark = Mark::of(meta);
        // What another one has moved is that one's until it is back.
        let (mark, is_free) = match mark {
            Some(mark) if mark.canary != canary.as_str() => (None, false),
            mark => (mark, true),
        };
        Self {
            uid: meta.uid.clone(),
            place: meta.place.clone(),
            at,
            chosen: selected && is_free && !meta.deleting && !meta.is_paused() && spec.objects.takes(object),
            rests: !selected || meta.deleting || meta.is_paused(),
            wish: meta.generation,
            report: mark.as_ref().and_then(|_| mark::report(object)),
            mark,
        }
    }

    /// Whether it was moved in this attempt, and is there.
    pub(super) fn is_moved(&self, attempt: i64) -> bool {
        self.at == At::Away && self.mark.as_ref().is_some_and(|mark| mark.attempt == attempt && !mark.back)
    }

    /// Whether the build is judged by it: it was well, and wishes the same as then.
    pub(super) fn counts(&self, attempt: i64) -> bool {
        let fits = |mark: &Mark| mark.well && mark.wish == self.wish;
        self.is_moved(attempt) && self.mark.as_ref().is_some_and(fits)
    }

    /// Whether it does well where the build is judged by it.
    pub(super) fn proves(&self, attempt: i64) -> bool {
        self.counts(attempt) && self.report.as_ref().is_some_and(|report| report.fares == Fares::Well)
    }

    /// Whether nothing more is to be learned by waiting.
    pub(super) fn is_tried(&self) -> bool {
        self.rests || self.report.is_some()
    }

    /// Whether it is waited for: moved and not looked at, or back and not well again.
    pub(super) fn is_awaited(&self) -> bool {
        let failing = || self.report.as_ref().is_none_or(|report| matches!(report.fares, Fares::Badly { .. }));
        let Some(mark) = self.mark.as_ref().filter(|_| !self.rests) else { return false };
        match self.at {
            At::Away => self.report.is_none(),
            At::Home => mark.back && failing(),
            At::Elsewhere => false,
        }
    }
}
