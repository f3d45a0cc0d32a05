//! How many children a generation may delete in a minute. A wrong answer can be
//! made good as long as what it takes away is little; so beyond that the generation
//! is held, however healthy it looks, until a person says that it is meant.

use std::{
    collections::{HashSet, VecDeque},
    time::Duration,
};

use toml::Table;

use crate::{
    hash::Hash,
    id::Uid,
    policy::{PolicyError, whole_number, wrong},
};

/// What is counted together.
const WINDOW: Duration = Duration::from_secs(60);

/// The table `[deletions]` of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowance {
    /// Children that may be deleted in a minute however few there are.
    pub least: usize,
    /// Hundredths of the lineage's children that may be, where that is more.
    pub percent: usize,
    /// The generation that may delete what it likes, since a person has said so; as it
    /// is called without this very line.
    pub confirmed: Option<Hash>,
}

const LEAST_MAX: u64 = 100_000;
const KNOWN: &str = "least, percent, confirmed";

impl Default for Allowance {
    fn default() -> Self {
        Self { least: 10, percent: 10, confirmed: None }
    }
}

impl Allowance {
    /// Reads the table.
    pub(crate) fn read(table: &Table) -> Result<Self, PolicyError> {
        let mut allowance = Self::default();
        for (name, value) in table {
            let key = format!("deletions.{name}");
            let count =
                |max| whole_number(&key, value, 0..=max).map(|count| usize::try_from(count).unwrap_or(usize::MAX));
            match name.as_str() {
                "least" => allowance.least = count(LEAST_MAX)?,
                "percent" => allowance.percent = count(100)?,
                "confirmed" => match value.as_str().and_then(Hash::parse) {
                    Some(generation) => allowance.confirmed = Some(generation),
                    None => {
                        return wrong(
                            &key,
                            value,
                            "the generation that is held, as the condition of its objects names it: 32 hexadecimal digits",
                        );
                    }
                },
                _ => return Err(PolicyError::UnknownKey { key, known: KNOWN.into() }),
            }
        }
        Ok(allowance)
    }
}

/// What one generation has deleted of late, and whether it is held.
#[derive(Debug)]
pub struct Deletions {
    allowance: Allowance,
    /// What has to be confirmed where it is meant.
    generation: Hash,
    /// Within the last minute, in the order of time. At most what is allowed.
    recent: VecDeque<(Duration, Uid)>,
    /// The same, to be found by uid.
    known: HashSet<Uid>,
    /// How many children the lineage had when they were last counted.
    children: Option<(Duration, usize)>,
    held: Option<Held>,
    /// What a generation made that had to make way for this one.
    pardoned: HashSet<Uid>,
}

/// A generation that would have deleted too much, and deletes nothing any more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "held: {wanted} children would be deleted within a minute, and at most {allowed} may be; if that is meant, \
     say in the policy: deletions.confirmed = \"{generation}\""
)]
pub struct Held {
    /// What would have been deleted within a minute.
    pub wanted: usize,
    /// What may be.
    pub allowed: usize,
    /// What has to be confirmed.
    pub generation: Hash,
}

impl Deletions {
    /// With nothing deleted yet. `generation` is what a person would confirm.
    pub fn new(allowance: Allowance, generation: Hash) -> Self {
        let (recent, known, pardoned) = (VecDeque::new(), HashSet::new(), HashSet::new());
        Self { allowance, generation, recent, known, children: None, held: None, pardoned }
    }

    /// What a generation made that was found bad: taking it away is what a rollback is
    /// for, and does not count.
    pub fn pardon(&mut self, made: impl IntoIterator<Item = Uid>) {
        self.pardoned.extend(made);
    }

    /// Asks whether `lost` may be deleted now, and takes note of them if so. What has
    /// been asked for within the last minute is not counted twice, since a delete may
    /// fail and be tried again. `children` counts what the lineage has; it is asked at
    /// most once a minute, as that may take a while.
    pub fn ask(&mut self, now: Duration, lost: &[&Uid], children: impl FnOnce() -> usize) -> Result<(), Held> {
        let lost = lost.iter().filter(|uid| !self.pardoned.contains(**uid)).collect::<Vec<_>>();
        if lost.is_empty() || self.allowance.confirmed == Some(self.generation) {
            return Ok(());
        }
        if let Some(held) = &self.held {
            return Err(held.clone());
        }
        let passed = |at: Duration| now.saturating_sub(at) >= WINDOW;
        while let Some((_, uid)) = self.recent.pop_front_if(|(at, _)| passed(*at)) {
            self.known.remove(&uid);
        }
        let fresh =
            lost.iter().filter(|uid| !self.known.contains(***uid)).map(|uid| (**uid).clone()).collect::<Vec<_>>();
        let wanted = self.recent.len() + fresh.len();
        let allowed = self.allowed(wanted, now, children);
        if wanted > allowed {
            let held = Held { wanted, allowed, generation: self.generation };
            self.held = Some(held.clone());
            return Err(held);
        }
        self.known.extend(fresh.iter().cloned());
        self.recent.extend(fresh.into_iter().map(|uid| (now, uid)));
        Ok(())
    }

    fn allowed(&mut self, wanted: usize, now: Duration, children: impl FnOnce() -> usize) -> usize {
        let Allowance { least, percent, .. } = self.allowance;
        if wanted <= least {
            return least;
        }
        let counted = self.children.filter(|(at, _)| now.saturating_sub(*at) < WINDOW);
        let (_, children) = *self.children.insert(counted.unwrap_or_else(|| (now, children())));
        least.max(children * percent / 100)
    }

    /// Why it is held, if it is.
    pub fn held(&self) -> Option<&Held> {
        self.held.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uids(range: std::ops::Range<u32>) -> Vec<Uid> {
        range.map(|number| Uid::new(&format!("uid-{number}"))).collect()
    }

    fn ask(deletions: &mut Deletions, seconds: u64, lost: &[Uid], children: usize) -> Result<(), Held> {
        deletions.ask(Duration::from_secs(seconds), &lost.iter().collect::<Vec<_>>(), || children)
    }

    fn deletions() -> Deletions {
        Deletions::new(Allowance::default(), Hash::of([&b"it"[..]]))
    }

    #[test]
    fn ten_may_go_in_a_minute_however_few_there_are_and_a_tenth_of_many() {
        assert_eq!(ask(&mut deletions(), 0, &uids(0..10), 0), Ok(()));
        assert_eq!(ask(&mut deletions(), 0, &uids(0..11), 109).unwrap_err().allowed, 10);
        assert_eq!(ask(&mut deletions(), 0, &uids(0..50), 500), Ok(()));
        assert_eq!(ask(&mut deletions(), 0, &uids(0..51), 500).unwrap_err().wanted, 51);
    }

    #[test]
    fn what_went_more_than_a_minute_ago_does_not_count() {
        let mut deletions = deletions();
        assert_eq!(ask(&mut deletions, 0, &uids(0..10), 0), Ok(()));
        assert_eq!(ask(&mut deletions, 60, &uids(10..20), 0), Ok(()));
        assert!(ask(&mut deletions, 119, &uids(20..21), 0).is_err());
    }

    #[test]
    fn a_delete_that_is_tried_again_counts_once() {
        let mut deletions = deletions();
        for second in 0..20 {
            assert_eq!(ask(&mut deletions, second, &uids(0..10), 0), Ok(()));
        }
    }

    #[test]
    fn what_is_held_stays_so_until_it_is_confirmed() {
        let mut held = deletions();
        let why = ask(&mut held, 0, &uids(0..11), 0).unwrap_err();
        assert_eq!(ask(&mut held, 600, &uids(20..21), 10_000), Err(why.clone()), "no time and no size mends it");
        assert_eq!(ask(&mut held, 601, &[], 0), Ok(()), "what deletes nothing goes on");
        let confirmed = Allowance { confirmed: Some(why.generation), ..Allowance::default() };
        assert_eq!(ask(&mut Deletions::new(confirmed.clone(), why.generation), 0, &uids(0..99), 0), Ok(()));
        let another = Hash::of([&b"another"[..]]);
        assert!(
            ask(&mut Deletions::new(confirmed, another), 0, &uids(0..99), 0).is_err(),
            "it was said of that one only"
        );
    }

    #[test]
    fn what_a_bad_generation_has_made_may_go_and_nothing_else_for_that() {
        let mut deletions = deletions();
        deletions.pardon(uids(0..100));
        assert_eq!(ask(&mut deletions, 0, &uids(0..110), 0), Ok(()));
        assert!(ask(&mut deletions, 1, &uids(100..111), 0).is_err());
        assert_eq!(ask(&mut deletions, 2, &uids(50..60), 0), Ok(()), "also while it is held");
    }

    #[test]
    fn the_lineages_children_are_counted_once_a_minute() {
        let mut deletions = deletions();
        let mut counted = 0;
        for (at, uid) in uids(0..40).iter().enumerate() {
            let now = Duration::from_secs(at as u64);
            deletions
                .ask(now, &[uid], || {
                    counted += 1;
                    1_000
                })
                .unwrap();
        }
        assert_eq!(counted, 1);
    }
}
