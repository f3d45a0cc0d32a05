//! The objects that cannot be moved: each is tried again by itself, less and less often,
//! and holds up no other.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use trimtab_core::{
    id::{Place, Uid},
    object::Object,
};

/// After the first refusal; each further one waits for twice as long.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// Those of one canary.
#[derive(Default)]
pub struct Stuck(BTreeMap<Uid, Refused>);

struct Refused {
    place: Place,
    why: String,
    /// When it is tried again (`Env::elapsed`).
    again: Duration,
    pause: Duration,
}

impl Stuck {
    /// Forgets those that are not to be moved any more.
    pub fn retain<'a>(&mut self, moved: impl Iterator<Item = &'a Uid>) {
        if !self.0.is_empty() {
            let moved = moved.collect::<BTreeSet<_>>();
            self.0.retain(|uid, _| moved.contains(uid));
        }
    }

    /// Whether a move of the object was refused.
    pub fn has(&self, uid: &Uid) -> bool {
        self.0.contains_key(uid)
    }

    /// Whether it is time to move an object.
    pub fn may_be_tried(&self, uid: &Uid, now: Duration) -> bool {
        self.0.get(uid).is_none_or(|refused| refused.again <= now)
    }

    /// A move was refused.
    pub fn put(&mut self, object: &Object, why: String, now: Duration) {
        let before = self.0.get(&object.meta.uid).map(|refused| refused.pause * 2);
        let pause = before.unwrap_or(PAUSE_MIN).min(PAUSE_MAX);
        let refused = Refused { place: object.meta.place.clone(), why, again: now.saturating_add(pause), pause };
        self.0.insert(object.meta.uid.clone(), refused);
    }

    /// An object was moved.
    pub fn free(&mut self, uid: &Uid) {
        self.0.remove(uid);
    }

    /// How many there are, and why. What was refused once is not worth a word: it may have
    /// been changed by somebody meanwhile.
    pub fn told(&self) -> Option<String> {
        let mut stuck = self.0.values().filter(|refused| refused.pause > PAUSE_MIN).peekable();
        let Refused { place, why, .. } = stuck.peek()?;
        let such_as = format!("such as {place}: {why}");
        Some(format!("{} objects cannot be moved, {such_as}", stuck.count()))
    }
}
