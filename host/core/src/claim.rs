//! Who may reconcile a kind: in one instance, the composites of a kind share
//! one lineage, and one file serves each version. Whoever came first keeps it,
//! so that restarts and leaders agree; names decide only where nobody was.
//! Decorators share a kind with all others; of one lineage of them, one file
//! serves each kind, as no mark says which of two versions an object is given in.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use crate::{
    description::Role,
    id::{GroupKind, InstanceId, Lineage, SlotId},
};

/// What one lineage holds: a kind in an instance.
pub type Seat = (InstanceId, GroupKind);

/// A slot with a valid description, and what it wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The slot.
    pub slot: SlotId,
    /// The kind that it reconciles.
    pub kind: GroupKind,
    /// The version in which it wants its objects.
    pub version: String,
    /// What it is to them.
    pub role: Role,
    /// Whether it serves at the moment.
    pub serving: bool,
}

/// A slot that may not have what it claims.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The slot.
    pub slot: SlotId,
    /// The kind that it claims.
    pub kind: GroupKind,
    /// Who has it.
    pub by: Incumbent,
}

/// Who has what was claimed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incumbent {
    /// Another lineage reconciles the kind.
    Lineage(Lineage),
    /// Another file of the same lineage serves the same version.
    Slot {
        /// That file's slot.
        slot: SlotId,
        /// The version of both.
        version: String,
    },
    /// Another file of the same decorator serves the kind.
    Decorator(SlotId),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { slot, kind, by } = self;
        let instance = &slot.instance;
        let place = if instance.is_default() { "the default instance".into() } else { format!("instance {instance}") };
        match by {
            Incumbent::Lineage(first) => write!(
                f,
                "{kind} in {place} is reconciled by lineage {first}, so {slot} is refused: \
                 remove one of them or move it into another instance's folder"
            ),
            Incumbent::Slot { slot: first, version } => write!(
                f,
                "version {version} of {kind} in {place} is served by {first}, so {slot} is refused: remove one of them"
            ),
            Incumbent::Decorator(first) => {
                write!(f, "{kind} in {place} is decorated by {first}, so {slot} is refused: remove one of them")
            }
        }
    }
}

/// Who has what, and who is refused.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Claims {
    /// The lineage of each kind and instance, to be remembered as incumbents.
    pub holders: BTreeMap<Seat, Lineage>,
    /// In the order of their slots.
    pub refused: Vec<Refused>,
}

/// Settles the claims. An incumbent that is remembered (in the instance's
/// Lease) keeps its kind while it claims it or has a file in `unknown`: those
/// in the folder whose description is not known, since they are being loaded
/// or cannot be. Otherwise the kind is free.
pub fn settle(incumbents: &BTreeMap<Seat, Lineage>, claims: &[Claim], unknown: &BTreeSet<SlotId>) -> Claims {
    let mut order = claims.iter().collect::<Vec<_>>();
    order.sort_by_key(|claim| (!claim.serving, &claim.slot));
    let may_claim = |(instance, kind): &Seat, lineage: &Lineage| {
        let theirs = |slot: &SlotId| slot.instance == *instance && slot.stem.lineage() == *lineage;
        claims.iter().any(|claim| theirs(&claim.slot) && claim.kind == *kind && claim.role == Role::Composite)
            || unknown.iter().any(theirs)
    };
    let holders = incumbents.iter().filter(|(seat, lineage)| may_claim(seat, lineage));
    let holders = holders.map(|(seat, lineage)| (seat.clone(), lineage.clone())).collect();
    let mut settled = Claims { holders, refused: Vec::new() };
    let mut versions = BTreeMap::<(Seat, &str), &SlotId>::new();
    let mut decorators = BTreeMap::<(Seat, Lineage), &SlotId>::new();
    for Claim { slot, kind, version, role, serving: _ } in order {
        let seat = (slot.instance.clone(), kind.clone());
        let lineage = slot.stem.lineage();
        if *role == Role::Decorator {
            let first = *decorators.entry((seat, lineage)).or_insert(slot);
            if first != slot {
                let by = Incumbent::Decorator(first.clone());
                settled.refused.push(Refused { slot: slot.clone(), kind: kind.clone(), by });
            }
            continue;
        }
        let holder = settled.holders.entry(seat.clone()).or_insert_with(|| lineage.clone());
        let by = if *holder != lineage {
            Incumbent::Lineage(holder.clone())
        } else {
            let first = *versions.entry((seat, version)).or_insert(slot);
            if first == slot {
                continue;
            }
            Incumbent::Slot { slot: first.clone(), version: version.clone() }
        };
        settled.refused.push(Refused { slot: slot.clone(), kind: kind.clone(), by });
    }
    settled.refused.sort_by(|a, b| a.slot.cmp(&b.slot));
    settled
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Stem;

    fn slot(text: &str) -> SlotId {
        let (instance, stem) = text.split_once('/').unwrap_or(("", text));
        SlotId { instance: InstanceId::new(instance).unwrap(), stem: Stem::new(stem).unwrap() }
    }

    fn claim(text: &str, kind: &str, version: &str, serving: bool) -> Claim {
        let (kind, role) = (GroupKind::new("example.com/v1", kind), Role::Composite);
        Claim { slot: slot(text), kind, version: version.into(), role, serving }
    }

    fn decorator(text: &str, version: &str) -> Claim {
        Claim { role: Role::Decorator, ..claim(text, "Site", version, false) }
    }

    fn seat(instance: &str, kind: &str) -> Seat {
        (InstanceId::new(instance).unwrap(), GroupKind::new("example.com/v1", kind))
    }

    fn held(lineage: &str) -> BTreeMap<Seat, Lineage> {
        [(seat("", "Site"), Lineage::new(lineage).unwrap())].into()
    }

    fn refused(incumbents: &BTreeMap<Seat, Lineage>, claims: &[Claim]) -> Vec<String> {
        settle(incumbents, claims, &BTreeSet::new()).refused.iter().map(|refused| refused.slot.to_string()).collect()
    }

    #[test]
    fn the_incumbent_keeps_the_kind_whatever_the_names() {
        let claims = [claim("blog", "Site", "v1", false), claim("site", "Site", "v1", false)];
        assert_eq!(refused(&held("site"), &claims), ["blog"]);
        assert_eq!(refused(&held("blog"), &claims), ["site"]);
    }

    #[test]
    fn who_serves_is_an_incumbent_too() {
        let claims = [claim("blog", "Site", "v1", false), claim("site", "Site", "v1", true)];
        assert_eq!(refused(&BTreeMap::new(), &claims), ["blog"]);
    }

    #[test]
    fn names_decide_where_nobody_was_whatever_the_order_of_arrival() {
        let claims = [claim("site", "Site", "v1", false), claim("blog", "Site", "v1", false)];
        assert_eq!(refused(&BTreeMap::new(), &claims), ["site"]);
    }

    #[test]
    fn an_incumbent_that_is_still_loading_keeps_its_kind_and_one_whose_file_has_gone_does_not() {
        let claims = [claim("blog", "Site", "v1", false)];
        let loading = settle(&held("site"), &claims, &[slot("site@v2")].into());
        assert_eq!(loading.refused[0].by, Incumbent::Lineage(Lineage::new("site").unwrap()));
        let gone = settle(&held("site"), &claims, &[slot("canary/site")].into());
        assert_eq!((gone.refused, gone.holders), (vec![], held("blog")));
    }

    #[test]
    fn an_incumbent_that_now_claims_another_kind_gives_the_first_one_up() {
        let claims = [claim("blog", "Site", "v1", false), claim("site", "Page", "v1", true)];
        assert!(refused(&held("site"), &claims).is_empty());
    }

    #[test]
    fn versions_of_one_lineage_and_lineages_of_two_instances_stand_side_by_side() {
        let claims = [
            claim("site", "Site", "v1", true),
            claim("site@v2", "Site", "v2", false),
            claim("canary/blog", "Site", "v1", false),
        ];
        let settled = settle(&held("site"), &claims, &BTreeSet::new());
        assert_eq!(settled.refused, []);
        assert_eq!(settled.holders[&seat("canary", "Site")].as_str(), "blog");
    }

    #[test]
    fn of_two_files_for_one_version_the_one_that_serves_stays() {
        let claims = [claim("site", "Site", "v1", false), claim("site@copy", "Site", "v1", true)];
        let settled = settle(&held("site"), &claims, &BTreeSet::new());
        assert_eq!(
            settled.refused[0].to_string(),
            "version v1 of Site.example.com in the default instance is served by site@copy, \
             so site is refused: remove one of them"
        );
    }

    #[test]
    fn decorators_share_a_kind_with_each_other_and_with_its_composite() {
        let claims = [claim("site", "Site", "v1", true), decorator("audit", "v1"), decorator("team", "v2")];
        let settled = settle(&held("audit"), &claims, &BTreeSet::new());
        assert_eq!((settled.refused, settled.holders), (vec![], held("site")));
    }

    #[test]
    fn of_two_files_of_one_decorator_one_serves_whatever_their_versions() {
        let settled =
            settle(&BTreeMap::new(), &[decorator("team@b", "v2"), decorator("team@a", "v1")], &BTreeSet::new());
        let refused = settled.refused.iter().map(ToString::to_string).collect::<Vec<_>>();
        let message = "Site.example.com in the default instance is decorated by team@a, so team@b is refused: \
                       remove one of them";
        assert_eq!(refused, [message]);
    }

    #[test]
    fn the_refusal_names_the_first_lineage_and_what_to_do() {
        let claims = [claim("canary/site", "Site", "v1", true), claim("canary/blog", "Site", "v1", false)];
        let settled = settle(&BTreeMap::new(), &claims, &BTreeSet::new());
        assert_eq!(
            settled.refused[0].to_string(),
            "Site.example.com in instance canary is reconciled by lineage site, so canary/blog is refused: \
             remove one of them or move it into another instance's folder"
        );
    }

    #[test]
    fn the_same_claims_are_settled_the_same_way_again() {
        let claims = [claim("site", "Site", "v1", false), claim("blog", "Site", "v1", false)];
        let first = settle(&BTreeMap::new(), &claims, &BTreeSet::new());
        assert_eq!(settle(&first.holders, &claims, &BTreeSet::new()), first);
    }
}
