//! What `trimtab dev` shows: plugins with state and generation, how many objects
//! are settled or fail, the build, and the last Events. From a picture of all
//! that to lines, for a terminal or one by one.

use std::collections::{BTreeMap, VecDeque};

use serde_json::Value;
use trimtab_core::id::Lineage;
use trimtab_engine::{Counts, SlotState, SlotView};

use crate::screen::one_line;

/// Events that are kept in sight.
const EVENTS_SHOWN: usize = 6;

/// What is seen at one moment.
#[derive(Default, Clone)]
pub struct Picture {
    /// What stands above all.
    pub head: Vec<String>,
    /// The plugins.
    pub slots: Vec<SlotView>,
    /// Their objects.
    pub objects: BTreeMap<Lineage, Counts>,
    /// How the build of the plugin's source is.
    pub build: Option<String>,
    /// The last Events, the newest last.
    pub events: VecDeque<String>,
}

impl Picture {
    /// One more Event.
    pub fn add_event(&mut self, line: String) {
        if self.events.len() == EVENTS_SHOWN {
            self.events.pop_front();
        }
        self.events.push_back(line);
    }

    /// As lines of a region.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![String::new()];
        lines.extend(self.head.iter().cloned());
        lines.push(String::new());
        if self.slots.is_empty() {
            lines.push("no plugins yet".into());
        }
        let width = self.slots.iter().map(|slot| title(slot).chars().count()).max().unwrap_or_default();
        for slot in &self.slots {
            let title = title(slot);
            lines.push(format!("{title:width$}  {}", self.slot(slot)));
        }
        lines.extend(self.build.iter().map(|build| format!("build: {build}")));
        if !self.events.is_empty() {
            lines.push(String::new());
            lines.extend(self.events.iter().cloned());
        }
        lines
    }

    /// What is new since another picture, line by line. Counts are told when
    /// all have come to rest, as each look changes them.
    pub fn news(&self, before: &Self) -> Vec<String> {
        let mut lines = Vec::new();
        for slot in &self.slots {
            let old = before.slots.iter().find(|old| title(old) == title(slot));
            if old.is_none_or(|old| state(old) != state(slot)) {
                lines.push(format!("plugin {}: {}", title(slot), state(slot)));
            }
        }
        let gone = before.slots.iter().filter(|old| self.slots.iter().all(|slot| title(slot) != title(old)));
        lines.extend(gone.map(|old| format!("plugin {}: gone", title(old))));
        for (lineage, counts) in &self.objects {
            if before.objects.get(lineage) != Some(counts) && counts.other == 0 {
                lines.push(format!("objects of {lineage}: {}", told(counts)));
            }
        }
        if self.build != before.build {
            lines.extend(self.build.iter().map(|build| format!("build: {}", one_line(build))));
        }
        lines
    }

    fn slot(&self, slot: &SlotView) -> String {
        let objects = Lineage::new(&slot.lineage).ok().and_then(|lineage| self.objects.get(&lineage));
        match objects {
            Some(counts) => format!("{}; {}", state(slot), told(counts)),
            None => state(slot),
        }
    }
}

fn title(slot: &SlotView) -> String {
    if slot.instance_id.is_empty() { slot.stem.clone() } else { format!("{}/{}", slot.instance_id, slot.stem) }
}

fn state(slot: &SlotView) -> String {
    let state = match slot.state {
        SlotState::Serving => "serving",
        SlotState::RolledBack => "rolled back",
        SlotState::Quarantined => "quarantined",
        SlotState::Pending => "pending",
        SlotState::Refused => "refused",
    };
    let mut text = state.to_owned();
    if let (Some(kind), Some(version)) = (&slot.kind, &slot.version) {
        text = format!("{text} {kind} at {version}");
    }
    if let (Some(generation), Some(identity)) = (slot.generation, &slot.identity) {
        let short = identity.get(..8).unwrap_or(identity);
        text = format!("{text}, generation {generation} ({short})");
    }
    if let Some(why) = &slot.reason {
        let what = if slot.refused && slot.state == SlotState::Serving { "newest file refused: " } else { "" };
        text = format!("{text}: {what}{}", one_line(why));
    }
    text
}

fn told(counts: &Counts) -> String {
    let of =
        [(counts.settled, "settled"), (counts.waiting, "waiting"), (counts.failing, "failing"), (counts.other, "busy")];
    let of = of.into_iter().filter(|(count, name)| *count > 0 || *name == "settled");
    of.map(|(count, name)| format!("{count} {name}")).collect::<Vec<_>>().join(", ")
}

/// An Event as a line, once for each time it is told.
pub fn event_line(event: &Value) -> String {
    let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let at = ["/series/lastObservedTime", "/eventTime", "/deprecatedLastTimestamp", "/metadata/creationTimestamp"];
    let at = at.into_iter().map(text).find(|time| !time.is_empty()).unwrap_or_default();
    let time = at.get(11..19).unwrap_or(at);
    let (kind, name, reason) = (text("/regarding/kind"), text("/regarding/name"), text("/reason"));
    let warning = if text("/type") == "Warning" { " (warning)" } else { "" };
    let times = event.pointer("/series/count").and_then(Value::as_u64);
    let times = times.map(|times| format!(" (×{times})")).unwrap_or_default();
    let note = one_line(text("/note"));
    one_line(&format!("{time} {kind}/{name} {reason}{warning}: {note}{times}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn slot(state: SlotState, generation: Option<u64>, reason: Option<&str>) -> SlotView {
        SlotView {
            instance_id: "canary".into(),
            stem: "site".into(),
            lineage: "site".into(),
            state,
            reason: reason.map(str::to_owned),
            refused: reason.is_some(),
            generation,
            identity: generation.map(|_| "0123456789abcdef".into()),
            kind: generation.map(|_| "Site.example.dev".into()),
            version: generation.map(|_| "v1".into()),
            starting: false,
            candidate: false,
            shadow: None,
            probation: false,
            draining: 0,
        }
    }

    #[test]
    fn a_slot_is_told_when_its_state_changes_and_not_again() {
        let pending = Picture { slots: vec![slot(SlotState::Pending, None, None)], ..Picture::default() };
        assert_eq!(pending.news(&Picture::default()), ["plugin canary/site: pending"]);
        let serving = Picture { slots: vec![slot(SlotState::Serving, Some(1), None)], ..Picture::default() };
        let told = ["plugin canary/site: serving Site.example.dev at v1, generation 1 (01234567)"];
        assert_eq!(serving.news(&pending), told);
        assert!(serving.news(&serving.clone()).is_empty());
        assert_eq!(Picture::default().news(&serving), ["plugin canary/site: gone"]);
        let refused = slot(SlotState::Serving, Some(1), Some("no WebAssembly"));
        let refused = Picture { slots: vec![refused], ..Picture::default() };
        assert!(refused.news(&serving)[0].ends_with("newest file refused: no WebAssembly"));
        let long = slot(SlotState::Refused, None, Some("what\nand where"));
        assert!(Picture { slots: vec![long], ..Picture::default() }.news(&serving)[0].ends_with(": what"));
    }

    #[test]
    fn counts_are_told_when_all_have_come_to_rest() {
        let with = |counts| Picture { objects: [(Lineage::new("site").unwrap(), counts)].into(), ..Picture::default() };
        let busy = with(Counts { settled: 1, other: 2, ..Counts::default() });
        assert!(busy.news(&Picture::default()).is_empty());
        let rest = with(Counts { settled: 2, failing: 1, ..Counts::default() });
        assert_eq!(rest.news(&busy), ["objects of site: 2 settled, 1 failing"]);
    }

    #[test]
    fn an_event_is_one_line() {
        let event = json!({
            "eventTime": "2026-01-02T03:04:05.000000Z", "type": "Warning", "reason": "Conflict", "note": "not ours",
            "regarding": { "kind": "Site", "name": "anna" }, "series": { "count": 3 },
        });
        assert_eq!(event_line(&event), "03:04:05 Site/anna Conflict (warning): not ours (×3)");
        let event =
            json!({ "reason": "Odd", "note": "first\nsecond", "regarding": { "kind": "Site", "name": "a\u{1b}b" } });
        assert_eq!(event_line(&event), " Site/a\u{fffd}b Odd: first");
    }

    #[test]
    fn only_the_newest_events_stay_in_sight() {
        let mut picture = Picture::default();
        (0..10).for_each(|number| picture.add_event(number.to_string()));
        assert_eq!(picture.events, (4..10).map(|number| number.to_string()).collect::<Vec<_>>());
    }
}
