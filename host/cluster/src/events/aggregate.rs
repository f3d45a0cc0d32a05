//! What repeats is one Event with a count, written again now and then. A value:
//! it knows no clock and writes nothing.

use std::{collections::BTreeMap, time::Duration};

use trimtab_core::id::Uid;

use super::Note;

/// What has not repeated for so long is another story the next time: as long
/// as client-go counts together.
const WINDOW: Duration = Duration::from_secs(600);
/// A repeated Event is written again at most this often.
const PAUSE: Duration = Duration::from_secs(30);
/// Different Events of one object within the window: a plugin that puts a
/// counter into its messages would otherwise fill the server.
const PER_OBJECT_MAX: u32 = 25;
/// Different Events within the window in all. At some 1.5 kB each, 6 MB.
const ENTRIES_MAX: usize = 4096;

/// An Event to be written: as a new one where the count is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// What happened.
    pub note: Note,
    /// The Event's name.
    pub name: String,
    /// How often.
    pub count: u32,
    /// The last time, by the wall clock.
    pub last: Duration,
}

/// There are too many different Events, of the object or in all.
#[derive(Debug, PartialEq, Eq)]
pub struct Full;

/// What happened within the window.
#[derive(Debug, Default)]
pub struct Aggregate {
    /// Ordered, so that a simulation's requests come in one order.
    entries: BTreeMap<Note, Entry>,
    of_object: BTreeMap<Uid, u32>,
    swept: Duration,
}

#[derive(Debug)]
struct Entry {
    name: String,
    count: u32,
    written: u32,
    last: Duration,
    /// On the clock that only grows.
    seen: Duration,
    write_at: Duration,
}

impl Aggregate {
    /// Takes in a note. Returned is what is to be written at once: the first
    /// of its kind. `name` is the Event's, if it becomes one.
    pub fn take(&mut self, note: Note, name: String, now: Duration, wall: Duration) -> Result<Option<Due>, Full> {
        self.forget_old(now);
        if let Some(entry) = self.entries.get_mut(&note) {
            entry.count = entry.count.saturating_add(1);
            (entry.last, entry.seen) = (wall, now);
            return Ok(None);
        }
        let of_object = self.of_object.get(&note.uid).copied().unwrap_or_default();
        if self.entries.len() >= ENTRIES_MAX || of_object >= PER_OBJECT_MAX {
            return Err(Full);
        }
        self.of_object.insert(note.uid.clone(), of_object + 1);
        let due = Due { note: note.clone(), name: name.clone(), count: 1, last: wall };
        self.entries.insert(note, Entry { name, count: 1, written: 1, last: wall, seen: now, write_at: now + PAUSE });
        Ok(Some(due))
    }

    /// What has repeated since it was written, and may be written again. From
    /// now on it counts as written.
    pub fn due(&mut self, now: Duration) -> Vec<Due> {
        let ready = self.entries.iter_mut().filter(|(_, entry)| entry.count > entry.written && entry.write_at <= now);
        ready
            .map(|(note, entry)| {
                entry.written = entry.count;
                entry.write_at = entry.seen + PAUSE;
                Due { note: note.clone(), name: entry.name.clone(), count: entry.count, last: entry.last }
            })
            .collect()
    }

    /// The next of this kind is a first one.
    pub fn forget(&mut self, note: &Note) {
        if self.entries.remove(note).is_some() {
            release(&mut self.of_object, &note.uid);
        }
    }

    /// Not at each note: it looks at all.
    fn forget_old(&mut self, now: Duration) {
        if now < self.swept + PAUSE {
            return;
        }
        self.swept = now;
        let Self { entries, of_object, .. } = self;
        entries.retain(|note, entry| {
            let stays = entry.seen + WINDOW > now || entry.count > entry.written;
            if !stays {
                release(of_object, &note.uid);
            }
            stays
        });
    }
}

fn release(of_object: &mut BTreeMap<Uid, u32>, uid: &Uid) {
    if let Some(count) = of_object.get_mut(uid) {
        *count -= 1;
        if *count == 0 {
            of_object.remove(uid);
        }
    }
}

#[cfg(test)]
mod tests {
    use trimtab_core::{
        id::{InstanceId, Lineage},
        object::Object,
    };

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn note(uid: &str, message: &str) -> Note {
        let text = format!(r#"{{"metadata":{{"name":"a","namespace":"n","uid":"{uid}","resourceVersion":"1"}}}}"#);
        let object = Object::parse(&text, "demo.dev/v1", "Site").expect("an object");
        let lineage = Lineage::new("site").expect("a lineage");
        Note::new(&object.meta, &lineage, &InstanceId::default_instance(), true, "Failed", message)
    }

    fn take(aggregate: &mut Aggregate, note: &Note, now: Duration) -> Result<Option<Due>, Full> {
        aggregate.take(note.clone(), format!("a.{}", now.as_secs()), now, now)
    }

    #[test]
    fn the_first_is_written_at_once_and_repeats_as_a_count_after_a_pause() {
        let mut aggregate = Aggregate::default();
        let note = note("u", "no");
        let first = take(&mut aggregate, &note, SECOND).expect("room").expect("it is new");
        assert_eq!((first.count, first.name.as_str()), (1, "a.1"));
        assert_eq!(take(&mut aggregate, &note, SECOND * 2), Ok(None));
        assert_eq!(take(&mut aggregate, &note, SECOND * 3), Ok(None));
        assert_eq!(aggregate.due(SECOND * 30), []);
        let due = aggregate.due(SECOND * 31);
        assert_eq!(due, [Due { count: 3, last: SECOND * 3, ..first }]);
        assert_eq!(aggregate.due(Duration::MAX), [], "nothing has repeated since");
    }

    #[test]
    fn what_repeats_after_the_window_is_a_first_one_again() {
        let mut aggregate = Aggregate::default();
        let note = note("u", "no");
        take(&mut aggregate, &note, SECOND).expect("room");
        assert!(take(&mut aggregate, &note, SECOND * 500).expect("room").is_none());
        aggregate.due(SECOND * 500);
        assert!(take(&mut aggregate, &note, SECOND * 1200).expect("room").is_some());
    }

    #[test]
    fn an_object_whose_messages_all_differ_is_cut_off_and_no_other() {
        let mut aggregate = Aggregate::default();
        let mut last = Ok(None);
        for count in 0..=PER_OBJECT_MAX {
            last = take(&mut aggregate, &note("u", &format!("try {count}")), SECOND);
        }
        assert_eq!(last, Err(Full));
        assert!(take(&mut aggregate, &note("v", "no"), SECOND).expect("room").is_some());
        let later = SECOND + WINDOW;
        assert!(take(&mut aggregate, &note("u", "later"), later).expect("room").is_some());
    }

    #[test]
    fn what_could_not_be_written_makes_room_and_is_a_first_one_again() {
        let mut aggregate = Aggregate::default();
        let note = note("u", "no");
        take(&mut aggregate, &note, SECOND).expect("room");
        aggregate.forget(&note);
        assert!(aggregate.of_object.is_empty());
        assert!(take(&mut aggregate, &note, SECOND * 2).expect("room").is_some());
    }

    #[test]
    fn in_all_there_are_no_more_than_the_limit() {
        let mut aggregate = Aggregate::default();
        for count in 0..ENTRIES_MAX {
            take(&mut aggregate, &note(&format!("u{count}"), "no"), SECOND).expect("room");
        }
        assert_eq!(take(&mut aggregate, &note("another", "no"), SECOND), Err(Full));
    }
}
