//! The Lease as an object: its name, what is read out of it, and what a write
//! changes. Fields and annotations that are not ours stay as they are.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde_json::{Map, Value, json};
use trimtab_core::{
    election::{Proposal, Record},
    hash::Hash,
    id::{GroupKind, InstanceId, Lineage, Stem},
    promotion::Rejected,
};

use crate::time::micro_time;

/// The version of all that this release writes as marks: labels, annotations, and what
/// Leases say. It grows where an older release would misread them.
const FORMAT: u32 = 1;
/// With which of them a Lease was written: a release that knows only older ones must not
/// take it. Who wants it to, takes this away.
const FORMAT_ANNOTATION: &str = "trimtab.dev/format";
/// The id of the instance: a name has no room for each of them.
const INSTANCE: &str = "trimtab.dev/instance-id";
/// Which lineage has which kind: JSON, `{"Site.demo.dev": "site"}`.
const INCUMBENTS: &str = "trimtab.dev/incumbents";
/// All lineages that have a file in the instance's folder: a JSON list. Whose
/// finalizers may be taken away is decided by it.
pub const LINEAGES: &str = "trimtab.dev/lineages";
/// What was found bad in which slot, so that no other process tries it, the oldest
/// first: JSON, `{"site": [["<generation>", "<why>"]]}`.
const REJECTED: &str = "trimtab.dev/rejected";
/// Which generation serves in which slot whose builds shadow first, so that no other process
/// lets one serve that its leader has not: JSON, `{"site": "<generation>"}`.
const PASSED: &str = "trimtab.dev/passed";
/// What the annotation has room for: slots, generations of each, and some words on each
/// make up half of what all annotations may have.
const SLOTS_MAX: usize = 64;
const REJECTED_MAX: usize = 4;
const WHY_CHARS_MAX: usize = 120;

/// `trimtab-<installation>`; other instances than the default one are told
/// apart by a hash, since an id may hold what a name may not.
pub fn name(installation: &str, instance: &InstanceId) -> String {
    if instance.is_default() {
        return format!("trimtab-{installation}");
    }
    let hash = Hash::of([instance.as_str().as_bytes()]).to_string();
    format!("trimtab-{installation}-{}", &hash[..16])
}

/// A Lease as it was stored.
#[derive(Debug, Clone)]
pub struct Lease {
    object: Value,
    record: Record,
}

impl Lease {
    /// Reads the server's answer; none: it is no Lease.
    pub fn parse(text: &[u8]) -> Option<Self> {
        Self::of(serde_json::from_slice(text).ok()?)
    }

    /// Reads an object; none: it is no Lease.
    pub fn of(object: Value) -> Option<Self> {
        let resource_version = object["metadata"]["resourceVersion"].as_str()?.parse().ok()?;
        let spec = &object["spec"];
        let format = object["metadata"]["annotations"][FORMAT_ANNOTATION].as_str();
        let record = Record {
            resource_version,
            holder: spec["holderIdentity"].as_str().unwrap_or_default().to_owned(),
            transitions: spec["leaseTransitions"].as_u64().and_then(|count| count.try_into().ok()).unwrap_or_default(),
            is_newer: format.is_some_and(|format| !format.parse().is_ok_and(|format: u32| format <= FORMAT)),
        };
        Some(Self { object, record })
    }

    /// What the election needs of it.
    pub fn record(&self) -> Record {
        self.record.clone()
    }

    /// Which lineage has which kind. What cannot be read is left out: somebody
    /// else has written it, and names decide where nothing is recorded.
    pub fn incumbents(&self) -> BTreeMap<GroupKind, Lineage> {
        let text = self.object["metadata"]["annotations"][INCUMBENTS].as_str().unwrap_or("{}");
        let recorded = serde_json::from_str::<BTreeMap<String, String>>(text).unwrap_or_default();
        let read = |(kind, lineage): (String, String)| {
            let (kind, group) = kind.split_once('.').unwrap_or((&kind, ""));
            Some((GroupKind { group: group.into(), kind: kind.into() }, Lineage::new(&lineage).ok()?))
        };
        recorded.into_iter().filter_map(read).collect()
    }

    /// Whether the instance's folder has a file of a lineage. As long as nothing is
    /// recorded, that cannot be denied.
    pub fn may_have(&self, lineage: &Lineage) -> bool {
        let recorded = read_lineages(self.object["metadata"]["annotations"].get(LINEAGES));
        self.record.is_newer
            || recorded.is_none_or(|lineages| lineages.iter().any(|recorded| recorded == lineage.as_str()))
    }

    /// What was found bad in a slot.
    pub fn rejected(&self, slot: &Stem) -> Vec<Rejected> {
        let recorded = read_rejected(&self.object["metadata"]["annotations"]).remove(slot.as_str()).unwrap_or_default();
        let read = |(generation, why): (String, String)| Some(Rejected { generation: Hash::parse(&generation)?, why });
        recorded.into_iter().filter_map(read).collect()
    }

    /// Which generation the leader lets serve in a slot, where that has to shadow first.
    pub fn passed(&self, slot: &Stem) -> Option<Hash> {
        let text = self.object["metadata"]["annotations"][PASSED].as_str()?;
        let passed = serde_json::from_str::<BTreeMap<String, String>>(text).ok()?;
        Hash::parse(passed.get(slot.as_str())?)
    }
}

fn read_lineages(annotation: Option<&Value>) -> Option<Vec<String>> {
    serde_json::from_str(annotation?.as_str()?).ok()
}

type RejectedBySlot = BTreeMap<String, Vec<(String, String)>>;

/// What an annotation says; what cannot be read is left out.
fn read_rejected(annotations: &Value) -> RejectedBySlot {
    annotations[REJECTED].as_str().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

/// What was there and what is added. Only room runs out: who takes the Lease may not have
/// read yet what its last holder has found.
fn with_rejected(mut all: RejectedBySlot, added: &BTreeMap<Stem, Vec<Rejected>>) -> RejectedBySlot {
    for (slot, rejected) in added {
        let slot = all.entry(slot.to_string()).or_default();
        for Rejected { generation, why } in &rejected[rejected.len().saturating_sub(REJECTED_MAX)..] {
            let generation = generation.to_string();
            if slot.iter().all(|(known, _)| *known != generation) {
                slot.push((generation, why.chars().take(WHY_CHARS_MAX).collect()));
            }
        }
        slot.drain(..slot.len().saturating_sub(REJECTED_MAX));
    }
    let is_ours = |slot: &String| added.keys().any(|ours| ours.as_str() == *slot);
    let (ours, others) = all.keys().cloned().partition::<Vec<_>, _>(is_ours);
    for slot in others.into_iter().chain(ours).take(all.len().saturating_sub(SLOTS_MAX)) {
        all.remove(&slot);
    }
    all
}

/// What the leader of an instance records.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recorded {
    /// Which lineage has which kind.
    pub incumbents: BTreeMap<GroupKind, Lineage>,
    /// All lineages that have a file.
    pub lineages: BTreeSet<Lineage>,
    /// What was found bad in which slot, the oldest first; what is there already stays.
    pub rejected: BTreeMap<Stem, Vec<Rejected>>,
    /// What serves in which slot, of those whose builds shadow first.
    pub passed: BTreeMap<Stem, Hash>,
}

/// What a write changes.
pub struct Change<'a> {
    /// The Lease's name.
    pub name: &'a str,
    /// Whose Lease it is.
    pub instance: &'a InstanceId,
    /// What the elector wants.
    pub proposal: &'a Proposal,
    /// How long it holds.
    pub lease: Duration,
    /// The wall clock, for people to read.
    pub now: Duration,
    /// To be recorded, see [`Change::annotate`]; none: as it was.
    pub recorded: Option<&'a Recorded>,
}

impl Change<'_> {
    /// The whole object to be written, from what it was last.
    pub fn of(&self, last: Option<&Lease>) -> Value {
        let mut object = match (self.proposal.on, last) {
            (Some(_), Some(last)) => last.object.clone(),
            // A Lease that was deleted is made again with what it said.
            (_, last) => json!({
                "apiVersion": "coordination.k8s.io/v1",
                "kind": "Lease",
                "metadata": {
                    "name": self.name,
                    "annotations": last.map_or(json!({}), |last| last.object["metadata"]["annotations"].clone()),
                },
            }),
        };
        self.annotate(&mut object["metadata"]);
        self.specify(&mut object["spec"]);
        object
    }

    fn annotate(&self, metadata: &mut Value) {
        let annotations = fields(&mut metadata["annotations"]);
        annotations.insert(FORMAT_ANNOTATION.into(), json!(FORMAT.to_string()));
        annotations.insert(INSTANCE.into(), json!(self.instance.as_str()));
        let Some(Recorded { incumbents, lineages, rejected, passed }) = self.recorded else { return };
        let lineages = lineages.iter().map(Lineage::as_str);
        if self.proposal.acquires {
            // What the last holder said is still to be read. That nothing is said denies nothing.
            if let Some(there) = read_lineages(annotations.get(LINEAGES)) {
                let all = there.iter().map(String::as_str).chain(lineages).collect::<BTreeSet<_>>();
                annotations.insert(LINEAGES.into(), json!(json!(all).to_string()));
            }
        } else {
            annotations.insert(LINEAGES.into(), json!(json!(lineages.collect::<Vec<_>>()).to_string()));
            let recorded = incumbents.iter().map(|(kind, lineage)| (kind.to_string(), lineage.as_str()));
            let recorded = recorded.collect::<BTreeMap<_, _>>();
            annotations.insert(INCUMBENTS.into(), json!(json!(recorded).to_string()));
            if !rejected.is_empty() {
                let known = read_rejected(&Value::Object(annotations.clone()));
                annotations.insert(REJECTED.into(), json!(json!(with_rejected(known, rejected)).to_string()));
            }
            annotations.remove(PASSED);
            if !passed.is_empty() {
                let passed = passed.iter().map(|(slot, hash)| (slot.as_str(), hash.to_string()));
                let passed = passed.collect::<BTreeMap<_, _>>();
                annotations.insert(PASSED.into(), json!(json!(passed).to_string()));
            }
        }
    }

    fn specify(&self, spec: &mut Value) {
        let spec = fields(spec);
        let now = micro_time(self.now);
        let Proposal { holder, acquires, transitions, .. } = self.proposal;
        if *acquires {
            spec.insert("acquireTime".into(), json!(now));
        }
        if holder.is_empty() {
            spec.remove("holderIdentity");
        } else {
            spec.insert("holderIdentity".into(), json!(holder));
        }
        spec.insert("renewTime".into(), json!(now));
        spec.insert("leaseDurationSeconds".into(), json!(self.lease.as_secs().max(1)));
        spec.insert("leaseTransitions".into(), json!(transitions));
    }
}

fn fields(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = json!({});
    }
    value.as_object_mut().expect("it has just been made one")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change_of(proposal: &Proposal, recorded: Option<&Recorded>, last: Option<&Lease>) -> Value {
        let instance = InstanceId::new("canary").expect("an id");
        let now = Duration::from_millis(1_000_000_000_007);
        let lease = Duration::from_secs(15);
        Change { name: "l", instance: &instance, proposal, lease, now, recorded }.of(last)
    }

    fn proposal(on: Option<u64>, holder: &str) -> Proposal {
        Proposal { on, holder: holder.into(), acquires: on.is_none(), transitions: 2 }
    }

    #[test]
    fn the_default_instance_gives_the_plain_name_and_an_odd_id_a_name_that_can_be_one() {
        assert_eq!(name("trimtab", &InstanceId::default_instance()), "trimtab-trimtab");
        let odd = name("trimtab", &InstanceId::new("A_b.c").expect("an id"));
        assert!(
            odd.starts_with("trimtab-trimtab-") && odd.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        );
        assert_ne!(odd, name("trimtab", &InstanceId::new("A_b.d").expect("an id")));
    }

    #[test]
    fn a_write_keeps_what_others_have_put_there() {
        let text = br#"{"metadata":{"resourceVersion":"7","annotations":{"a":"b"},"labels":{"c":"d"}},"spec":{"strategy":"x","holderIdentity":"old"}}"#;
        let last = Lease::parse(text).expect("a Lease");
        let record = Record { resource_version: 7, holder: "old".into(), transitions: 0, is_newer: false };
        assert_eq!(last.record(), record);
        let written = change_of(&proposal(Some(7), "new"), None, Some(&last));
        assert_eq!(written["metadata"]["labels"]["c"], "d");
        assert_eq!(
            written["metadata"]["annotations"],
            json!({"a": "b", "trimtab.dev/format": "1", "trimtab.dev/instance-id": "canary"})
        );
        assert_eq!(written["spec"]["strategy"], "x");
        assert_eq!(written["spec"]["holderIdentity"], "new");
        assert_eq!(written["spec"]["renewTime"], "2001-09-09T01:46:40.007000Z");
        assert_eq!(written["spec"]["acquireTime"], Value::Null);
        let released = change_of(&proposal(Some(7), ""), None, Some(&last));
        assert!(released["spec"].get("holderIdentity").is_none(), "an absent holder is none");
    }

    #[test]
    fn a_lease_says_with_which_marks_it_was_written_and_a_later_version_is_newer() {
        let is_newer = |format: Value| {
            let object =
                json!({ "metadata": { "resourceVersion": "7", "annotations": { FORMAT_ANNOTATION: format } } });
            Lease::of(object).expect("a Lease").record.is_newer
        };
        let mut own = change_of(&proposal(None, "me"), Some(&Recorded::default()), None);
        own["metadata"]["resourceVersion"] = json!("7");
        assert!(!Lease::of(own).expect("a Lease").record.is_newer);
        assert!(!is_newer(Value::Null) && !is_newer(json!(FORMAT.to_string())));
        assert!(
            is_newer(json!((FORMAT + 1).to_string())) && is_newer(json!("2.0")),
            "what it cannot read is newer, too"
        );
    }

    #[test]
    fn what_was_found_bad_is_added_to_what_others_have_found_and_the_oldest_goes_first() {
        let slot = Stem::new("site").expect("a name");
        let bad = |number: u8| Rejected { generation: Hash::of([&[number][..]]), why: format!("number {number}") };
        let write = |last: Option<&Lease>, numbers: std::ops::Range<u8>| {
            let rejected = [(slot.clone(), numbers.map(bad).collect())].into();
            let renews = Proposal { acquires: false, ..proposal(last.map(|last| last.record.resource_version), "me") };
            let mut written = change_of(&renews, Some(&Recorded { rejected, ..Recorded::default() }), last);
            written["metadata"]["resourceVersion"] = json!("1");
            Lease::of(written).expect("a Lease")
        };
        let one = write(None, 0..1);
        assert_eq!(one.rejected(&slot), [bad(0)]);
        let two = write(Some(&one), 1..2);
        assert_eq!(two.rejected(&slot), [bad(0), bad(1)]);
        assert_eq!(write(Some(&two), 0..0).rejected(&slot), [bad(0), bad(1)], "who knows of none takes none away");
        let full = write(Some(&two), 0..20);
        assert_eq!(full.rejected(&slot), (16..20).map(bad).collect::<Vec<_>>());
        assert_eq!(write(Some(&full), 0..20).rejected(&slot), full.rejected(&slot), "and then it stays");
        assert!(full.rejected(&Stem::new("other").expect("a name")).is_empty());
    }

    #[test]
    fn incumbents_are_read_as_they_were_written_also_after_a_deletion() {
        let kinds = [("demo.dev/v1", "Site"), ("v1", "Pod")].map(|(version, kind)| GroupKind::new(version, kind));
        let incumbents = kinds.into_iter().map(|kind| (kind, Lineage::new("site").expect("a lineage"))).collect();
        let lineages = [Lineage::new("team").expect("a lineage")].into();
        let recorded = Recorded { incumbents, lineages, ..Recorded::default() };
        let renews = Proposal { acquires: false, ..proposal(None, "me") };
        let mut written = change_of(&renews, Some(&recorded), None);
        assert_eq!(written["metadata"]["annotations"][LINEAGES], r#"["team"]"#);
        written["metadata"]["resourceVersion"] = json!("8");
        let stored = Lease::of(written).expect("a Lease");
        assert_eq!(stored.incumbents(), recorded.incumbents);
        let again = change_of(&proposal(None, "me"), None, Some(&stored));
        assert!(again["metadata"].get("resourceVersion").is_none());
        assert_eq!(again["metadata"]["annotations"], stored.object["metadata"]["annotations"]);
    }

    #[test]
    fn who_takes_a_lease_adds_his_lineages_and_leaves_the_rest_to_be_read() {
        let text = br#"{"metadata":{"resourceVersion":"7","annotations":{"trimtab.dev/lineages":"[\"old\"]","trimtab.dev/incumbents":"x"}}}"#;
        let last = Lease::parse(text).expect("a Lease");
        let lineages: BTreeSet<_> = [Lineage::new("new").expect("a lineage")].into();
        let recorded = Recorded { lineages, ..Recorded::default() };
        let takes = Proposal { acquires: true, ..proposal(Some(7), "me") };
        let taken = change_of(&takes, Some(&recorded), Some(&last));
        assert_eq!(taken["metadata"]["annotations"][LINEAGES], r#"["new","old"]"#);
        assert_eq!(taken["metadata"]["annotations"][INCUMBENTS], "x");
        let made = change_of(&proposal(None, "me"), Some(&recorded), None);
        assert_eq!(made["metadata"]["annotations"].get(LINEAGES), None, "that nothing is said denies nothing");
    }

    #[test]
    fn what_someone_else_wrote_into_the_annotation_names_no_incumbent() {
        let text = br#"{"metadata":{"resourceVersion":"7","annotations":{"trimtab.dev/incumbents":"oops"}}}"#;
        assert!(Lease::parse(text).expect("a Lease").incumbents().is_empty());
        assert!(Lease::parse(b"{}").is_none());
    }
}
