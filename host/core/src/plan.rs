//! The plan: from what is observed and what should be to the list of writes
//! that lead from one to the other. Empty when nothing differs.

mod turns;

use std::{
    cell::LazyCell,
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use serde_json::{Map, Value, json};

use self::turns::Turns;
use crate::{
    answer::Desired,
    covers::covers,
    description::Update,
    fixed::{FixedPoints, child_intent},
    grants::{Grants, Verb},
    hash::Hash,
    id::{GroupKind, Lineage, Place, Uid},
    inherit::Inherit,
    intent::Intent,
    kind::Kind,
    marks,
    object::{Meta, Object},
    ownership::{Additions, Owner, Whose, is_free},
    rollout::{self, Progress, Rolling, Rollout},
    schema::Schema,
    write::{Action, Seen, Write},
};

/// One declared kind of children, with what is known of it today.
#[derive(Debug, Clone)]
pub struct ChildSpec {
    /// The kind, as discovery knows it.
    pub kind: Arc<Kind>,
    /// The version that the description names: `v1` of `apps/v1`.
    pub version: String,
    /// The method in force: the policy's, else the description's.
    pub update: Update,
    /// How it rolls, where that is the method.
    pub rolling: Rolling,
    /// Whether what lies at a desired place and belongs to nobody is taken over:
    /// the policy says so.
    pub adopt: bool,
    /// The schema of that version; [`Schema::unknown`] where there is none.
    pub schema: Arc<Schema>,
}

/// What a plan is made from.
#[derive(Clone, Copy)]
pub struct Input<'a> {
    /// The object that the children belong to.
    pub owner: &'a Owner<'a>,
    /// The declared kinds; children of other kinds are left alone.
    pub kinds: &'a [ChildSpec],
    /// What the answer asks for, as [`crate::answer::check`] gave it for the
    /// same kinds.
    pub desired: &'a [Desired],
    /// What the cache holds under the owner's uid, without what another made and the
    /// policy does not let us inherit.
    pub children: &'a [Arc<Object>],
    /// What the cache holds at a place, in the kind's declared version. Asked
    /// only for desired places where none of `children` lies.
    pub at: &'a dyn Fn(&ChildSpec, &Place) -> Option<Arc<Object>>,
    /// What is taken over from who had the owner before.
    pub inherit: &'a Inherit,
    /// What earlier writes for this key have taught.
    pub fixed: &'a FixedPoints,
    /// The owner goes, or is let go: what is not desired is deleted as ever, and
    /// nothing is made or changed.
    pub ending: bool,
    /// The revisions, where a kind rolls.
    pub rollout: Option<&'a Rollout>,
}

/// What is to be done, and what stands in the way of the rest.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Plan {
    /// Deletes first, then creates and updates in the order of the answer.
    pub writes: Vec<Write>,
    /// Desired places that are taken by what is not ours.
    pub conflicts: Vec<Conflict>,
    /// Desired places whose present object must be gone first.
    pub waiting: Vec<Waiting>,
    /// How far the rollout is, where a kind rolls.
    pub progress: Option<Progress>,
}

/// A desired place that someone else's object takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The place.
    pub place: Place,
    /// Whose the object there is, for people.
    pub whose: String,
}

/// A desired place that is not free yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// The place.
    pub place: Place,
    /// What has to happen first.
    pub why: &'static str,
}

impl Plan {
    /// Nothing to write and nothing in the way.
    pub fn is_settled(&self) -> bool {
        self.writes.is_empty() && self.conflicts.is_empty() && self.waiting.is_empty()
    }

    /// The children that are deleted and that nothing takes the place of; but for
    /// revisions, which the host keeps for itself, and kinds of which none may be deleted.
    pub fn lost(&self, grants: &Grants) -> Vec<&Uid> {
        let made_anew = self.waiting.iter().map(|waiting| &waiting.place).collect::<HashSet<_>>();
        let lost = self.writes.iter().filter_map(|write| match &write.action {
            Action::Delete { seen } if !made_anew.contains(&write.place) => Some((&write.place.kind, &seen.uid)),
            _ => None,
        });
        let counts = |kind: &GroupKind| *kind != rollout::kind_of_revisions() && grants.may(Verb::Delete, kind).is_ok();
        lost.filter(|(kind, _)| counts(kind)).map(|(_, uid)| uid).collect()
    }
}

/// Plans the writes of one run. Neither status nor finalizers: see `status`
/// and `finalizer`.
pub fn plan(input: &Input<'_>) -> Plan {
    let named = input.owner.additions(true);
    let elsewhere = LazyCell::new(|| input.owner.additions(false));
    let ours = own_children(input);
    let mut plan = Plan::default();
    let mut applies = Vec::new();
    let children = input.desired.iter().map(|desired| {
        let may_name = input.owner.meta.place.may_be_named_by(&desired.place);
        let additions = if may_name { &named } else { &*elsewhere };
        Child { input, additions, desired, spec: &input.kinds[desired.kind] }
    });
    let children = children.collect::<Vec<_>>();
    let turns = input.rollout.map(|rollout| Turns::of(rollout, &children, &ours)).unwrap_or_default();
    plan.progress.clone_from(&turns.progress);
    for child in &children {
        let desired = child.desired;
        let live = ours.get(&desired.place).map(|(_, live)| live);
        let step = match (turns.held(&desired.place), live) {
            (Some(held), live) => child.step_while_held(held, live.map(AsRef::as_ref)),
            (None, Some(live)) => child.step_from_ours(live),
            (None, None) => child.step_from((input.at)(child.spec, &desired.place).as_deref()),
        };
        match step {
            Step::Nothing => {}
            Step::Apply(write) => applies.push(write),
            Step::Recreate(write) => {
                plan.writes.push(write);
                plan.waiting.push(Waiting { place: desired.place.clone(), why: "it is being deleted to be made anew" });
            }
            Step::Wait(why) => plan.waiting.push(Waiting { place: desired.place.clone(), why }),
            Step::Conflict(whose) => plan.conflicts.push(Conflict { place: desired.place.clone(), whose }),
        }
    }
    plan.writes.extend(undesired(input, &ours));
    plan.writes.append(&mut applies);
    plan
}

/// The observed children that are ours, of declared kinds, by their place.
type Ours<'a> = BTreeMap<&'a Place, (&'a ChildSpec, &'a Arc<Object>)>;

fn own_children<'a>(input: &Input<'a>) -> Ours<'a> {
    let ours = input.children.iter().filter_map(|child| {
        let spec = input.kinds.iter().find(|spec| spec.kind.id == child.meta.place.kind)?;
        let inherited = input.inherit.takes(child, &input.owner.meta.uid);
        let ours = inherited || input.owner.whose(&child.meta) == Whose::Ours;
        ours.then_some((&child.meta.place, (spec, child)))
    });
    ours.collect()
}

/// Deletes what is ours and no longer desired. What is being deleted already
/// needs no second request.
fn undesired<'a>(input: &'a Input<'_>, ours: &'a Ours<'_>) -> impl Iterator<Item = Write> + 'a {
    let desired = input.desired.iter().map(|desired| &desired.place).collect::<HashSet<_>>();
    let gone = ours.iter().filter(move |(place, (_, live))| !desired.contains(**place) && !live.meta.deleting);
    gone.map(|(_, (spec, live))| delete(input.owner, spec, &live.meta))
}

fn delete(owner: &Owner<'_>, spec: &ChildSpec, live: &Meta) -> Write {
    write(owner, spec, &live.place, Action::Delete { seen: Seen::of(live) })
}

fn write(owner: &Owner<'_>, spec: &ChildSpec, place: &Place, action: Action) -> Write {
    Write { place: place.clone(), version: spec.version.clone(), manager: owner.lineage.manager(), action }
}

/// One desired child, while its step is decided.
#[derive(Clone, Copy)]
struct Child<'a> {
    input: &'a Input<'a>,
    additions: &'a Additions,
    desired: &'a Desired,
    spec: &'a ChildSpec,
}

/// What one desired child needs.
enum Step {
    Nothing,
    Apply(Write),
    Recreate(Write),
    Wait(&'static str),
    Conflict(String),
}

impl Child<'_> {
    /// The step from what lies at the place and was not among the children.
    fn step_from(&self, live: Option<&Object>) -> Step {
        if self.input.ending {
            return Step::Nothing;
        }
        let Some(live) = live else { return self.apply(|body| Action::Create { body }) };
        match self.input.owner.whose(&live.meta) {
            Whose::Other(_) if self.spec.adopt && is_free(&live.meta) => self.adopt(live),
            Whose::Other(whose) => Step::Conflict(whose),
            Whose::Earlier => Step::Wait("it belongs to an earlier object of its owner's name and is being collected"),
            Whose::Ours => self.step_from_ours(live),
        }
    }

    fn step_from_ours(&self, live: &Object) -> Step {
        if self.input.ending {
            Step::Nothing
        } else if live.meta.deleting {
            Step::Wait("it is being deleted")
        } else if self.input.inherit.takes(live, &self.input.owner.meta.uid) {
            self.adopt(live)
        } else {
            match self.update(live) {
                Step::Nothing => self.supersede(live),
                step => step,
            }
        }
    }

    /// Takes away what the lineage that had the child before has left in it and
    /// nobody else wants: its manager applies nothing any more. What is never
    /// updated keeps that, as all that it has.
    fn supersede(&self, live: &Object) -> Step {
        let manager = self.input.inherit.lineage.as_ref().map(Lineage::manager);
        let left = |manager: &String| live.meta.former.iter().any(|former| **former == **manager);
        match manager.filter(left) {
            Some(manager) if self.spec.update != Update::OnDelete => {
                let action = Action::Apply { seen: Seen::of(&live.meta), body: named_only(&self.desired.body) };
                let own = write(self.input.owner, self.spec, &self.desired.place, action);
                Step::Apply(Write { manager, ..own })
            }
            _ => Step::Nothing,
        }
    }

    /// Until its turn comes a child is only put right, as what it was made from.
    fn step_while_held(&self, held: Option<&Desired>, live: Option<&Object>) -> Step {
        let step = held.zip(live).map(|(desired, live)| Child { desired, ..*self }.step_from_ours(live));
        match step {
            Some(step @ Step::Apply(_)) => step,
            _ => Step::Wait("its turn in the rollout has not come"),
        }
    }

    /// Takes over what belongs to nobody, or is inherited, where it lies, whatever the method: making
    /// it anew would be a loss. Where it is never updated it is only made ours, with
    /// no mark of an intent that it does not show.
    fn adopt(&self, live: &Object) -> Step {
        let seen = Seen::of(&live.meta);
        let body = match self.spec.update {
            Update::OnDelete => with_additions(named_only(&self.desired.body), self.additions),
            _ => self.body(),
        };
        Step::Apply(write(self.input.owner, self.spec, &self.desired.place, Action::Apply { seen, body }))
    }

    fn update(&self, live: &Object) -> Step {
        if self.rests(live) {
            return Step::Nothing;
        }
        let (intent, mark) = (self.intent(), live.meta.mark(marks::INTENT));
        let covered = || self.covered_by(&live.value());
        let apply = || self.apply(|body| Action::Apply { seen: Seen::of(&live.meta), body });
        match self.spec.update {
            Update::OnDelete => Step::Nothing,
            Update::InPlace | Update::RollingInPlace => apply(),
            // What was made from this very wish is put right in place: whether
            // it reads differently because somebody edited it or because the
            // server writes it in another way, making it anew would not help.
            _ if mark.map_or_else(covered, |mark| intent.same_desired(mark)) => apply(),
            Update::Recreate | Update::RollingRecreate => {
                Step::Recreate(delete(self.input.owner, self.spec, &live.meta))
            }
        }
    }

    /// Whether nothing is to be done for it.
    fn rests(&self, live: &Object) -> bool {
        let text = self.intent().to_string();
        self.input.fixed.holds(&self.desired.place, child_intent(&text), live.body)
            || (live.meta.mark(marks::INTENT) == Some(&text) && self.covered_by(&live.value()))
    }

    fn intent(&self) -> Intent {
        let additions = match &self.desired.revision {
            Some(revision) => Hash::of([self.additions.hash.as_bytes(), revision.as_bytes()]),
            None => self.additions.hash,
        };
        Intent { desired: self.desired.hash, additions }
    }

    /// Compared in two parts, so that a settled child is never put together.
    fn covered_by(&self, live: &Value) -> bool {
        let schema = &self.spec.schema;
        let marked = |revision: &Arc<str>| live["metadata"]["annotations"][marks::REVISION] == **revision;
        covers(schema, live, &self.desired.body)
            && covers(schema, live, &self.additions.body)
            && self.desired.revision.as_ref().is_none_or(marked)
    }

    fn apply(&self, action: impl FnOnce(Value) -> Action) -> Step {
        Step::Apply(write(self.input.owner, self.spec, &self.desired.place, action(self.body())))
    }

    /// The whole intent: what the plugin asks for, what the host adds, and the
    /// mark of both.
    fn body(&self) -> Value {
        let mut body = with_additions(self.desired.body.clone(), self.additions);
        let annotations = &mut body["metadata"]["annotations"];
        annotations[marks::INTENT] = self.intent().to_string().into();
        if let Some(revision) = &self.desired.revision {
            annotations[marks::REVISION] = (**revision).into();
        }
        body
    }
}

/// Nothing of a body but which object it is.
fn named_only(body: &Value) -> Value {
    let metadata = ["name", "namespace"].into_iter().filter_map(|field| Some((field, body["metadata"].get(field)?)));
    let metadata = metadata.map(|(field, value)| (field.to_owned(), value.clone())).collect::<Map<_, _>>();
    json!({ "apiVersion": body["apiVersion"], "kind": body["kind"], "metadata": metadata })
}

fn with_additions(mut body: Value, additions: &Additions) -> Value {
    let metadata = &mut body["metadata"];
    for field in ["labels", "annotations"] {
        if let Value::Object(added) = &additions.body["metadata"][field] {
            added.iter().for_each(|(key, value)| metadata[field][key] = value.clone());
        }
    }
    if let Some(references) = additions.body["metadata"].get("ownerReferences") {
        metadata["ownerReferences"] = references.clone();
    }
    body
}
