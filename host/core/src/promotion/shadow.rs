//! What a new generation has to show before it serves: for a while it is asked what the
//! serving one is asked, and what it would do otherwise is compared with what the policy
//! lets it. Nothing of that is written.

use std::time::Duration;

use toml::{Table, Value};

use super::{
    Terms,
    gate::{self, Tally, Verdict},
};
use crate::{
    difference::{Difference, Kind, What},
    id::GroupKind,
    policy::{PolicyError, flag, group_kind, whole_number, wrong},
};

/// Its part of the table `[rollout]` of a policy.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Shadow {
    /// How long it shadows, once all objects have been asked for.
    pub lasts: Duration,
    /// It shadows until a person accepts it.
    pub until_accepted: bool,
    /// So many objects it may change; none: any number.
    pub changes_max: Option<usize>,
    /// It may change nothing but these; none: anything.
    pub fields: Option<Vec<Field>>,
}

/// A field, and all that lies in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Of children of this kind; none: of the object itself.
    kind: Option<GroupKind>,
    path: String,
}

/// What has been seen of a generation that shadows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Seen {
    /// The objects that it was asked for, and for which it fails.
    pub tally: Tally,
    /// The objects that it would change.
    pub changing: usize,
    /// One of these, and how.
    pub example: Option<String>,
    /// One in which it would change what the policy does not name, and that.
    pub outside: Option<String>,
}

/// As for a probation: a day.
const SECONDS_MAX: u64 = 86_400;
const CHANGES_MAX: u64 = 1_000_000;
const FIELD: &str = "a list of fields: of children as \"Deployment.apps spec.template\", of the object itself as \
                     \"status.phase\" or \"metadata.labels\"";

impl Shadow {
    /// The keys that it takes of the table.
    pub(super) const KEYS: [&str; 4] =
        ["shadow_seconds", "shadow_until_accepted", "shadow_changes_max", "shadow_fields"];

    pub(super) fn read(table: &Table) -> Result<Option<Self>, PolicyError> {
        let [seconds, until_accepted, changes_max, fields] = Self::KEYS.map(|key| (key, table.get(key)));
        let key = |name: &str| format!("rollout.{name}");
        let number = |(name, value): (&str, Option<&Value>), least: u64, most: u64| {
            value.map(|value| whole_number(&key(name), value, least..=most)).transpose()
        };
        let (lasts, changes) = (number(seconds, 1, SECONDS_MAX)?, number(changes_max, 0, CHANGES_MAX)?);
        let until_accepted = until_accepted.1.map_or(Ok(false), |value| flag(&key(until_accepted.0), value))?;
        if lasts.is_none() && !until_accepted {
            let Some((name, value)) = [changes_max, fields].into_iter().find_map(|(name, it)| Some((name, it?))) else {
                return Ok(None);
            };
            return wrong(&key(name), value, "only beside shadow_seconds, or shadow_until_accepted = true");
        }
        Ok(Some(Self {
            lasts: Duration::from_secs(lasts.unwrap_or_default()),
            until_accepted,
            changes_max: changes.map(|most| usize::try_from(most).unwrap_or(usize::MAX)),
            fields: fields.1.map(|value| Field::read_all(&key(fields.0), value)).transpose()?,
        }))
    }

    /// Whether it may differ in such a way: only in fields that are named, where any are.
    pub fn allows(&self, difference: &Difference) -> bool {
        let Some(fields) = &self.fields else { return true };
        match difference.kind {
            // The same is wanted, and done otherwise.
            Kind::Changed if difference.fields.is_empty() => false,
            Kind::Changed | Kind::Status | Kind::Marks => {
                let is_named = |path: &String| fields.iter().any(|field| field.covers(&difference.what, path));
                difference.fields.iter().all(is_named)
            }
            kind => !kind.is_change(),
        }
    }
}

impl Field {
    fn read_all(key: &str, value: &Value) -> Result<Vec<Self>, PolicyError> {
        let items = value.as_array().map_or(&[][..], Vec::as_slice).iter();
        let fields = items.map(|item| item.as_str().and_then(Self::parse)).collect::<Option<Vec<_>>>();
        fields.filter(|_| value.is_array()).map_or_else(|| wrong(key, value, FIELD), Ok)
    }

    fn parse(text: &str) -> Option<Self> {
        let (kind, path) = match text.split_once(' ') {
            Some((kind, path)) => (Some(group_kind(kind)?), path),
            None => (None, text),
        };
        let root =
            |root: &str| path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']));
        let fits = !path.is_empty() && !path.contains(' ');
        let known = kind.is_some() || ["status", "metadata.labels", "metadata.annotations"].into_iter().any(root);
        (fits && known).then(|| Self { kind, path: path.to_owned() })
    }

    fn covers(&self, what: &What, path: &str) -> bool {
        let is_of = match what {
            What::Child(place) => self.kind.as_ref() == Some(&place.kind),
            What::Object => self.kind.is_none(),
        };
        let rest = path.strip_prefix(self.path.as_str());
        is_of && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    }
}

/// Judges a generation that shadows: by the objects that it fails for, as on probation,
/// and by what it would change.
pub fn judge(seen: &Seen, terms: &Terms) -> Verdict {
    let Some(shadow) = &terms.shadow else { return Verdict::Well };
    if let worse @ Verdict::Worse(_) = gate::judge(&seen.tally, terms) {
        return worse;
    }
    if let Some(outside) = &seen.outside {
        return Verdict::Worse(format!("it would change what rollout.shadow_fields does not name: {outside}"));
    }
    match shadow.changes_max {
        Some(most) if seen.changing > most => {
            let such_as = seen.example.as_ref().map(|example| format!(", such as {example}")).unwrap_or_default();
            let changing = seen.changing;
            Verdict::Worse(format!("it would change {changing} objects, rollout.shadow_changes_max is {most}{such_as}"))
        }
        _ => Verdict::Well,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{difference, id::Place};

    fn read(text: &str) -> Result<Option<Shadow>, String> {
        Shadow::read(&text.parse().unwrap()).map_err(|error| error.to_string())
    }

    fn difference(kind: Kind, what: What, fields: &[&str]) -> Difference {
        Difference { kind, what, fields: fields.iter().map(|field| (*field).to_owned()).collect() }
    }

    fn child(kind: &str) -> What {
        let kind = GroupKind { group: "apps".into(), kind: kind.into() };
        What::Child(Place { kind, namespace: "a".into(), name: "x".into() })
    }

    #[test]
    fn a_policy_without_a_word_of_it_has_no_shadow_and_a_budget_needs_one() {
        assert_eq!(read("probation_seconds = 3"), Ok(None));
        let shadow = read("shadow_seconds = 60\nshadow_changes_max = 5").unwrap().unwrap();
        assert_eq!((shadow.lasts.as_secs(), shadow.changes_max, shadow.until_accepted), (60, Some(5), false));
        assert!(read("shadow_until_accepted = true").unwrap().unwrap().until_accepted);
        let refused = ["shadow_changes_max = 5", "shadow_fields = []", "shadow_seconds = 0"];
        refused.iter().for_each(|text| assert!(read(text).unwrap_err().starts_with("rollout.shadow_"), "{text}"));
        for field in ["spec.replicas", "Deployment.apps", "status phase", "a b c", ""] {
            let refused = read(&format!("shadow_seconds = 60\nshadow_fields = [{field:?}]"));
            assert!(refused.unwrap_err().contains("a list of fields"), "{field}");
        }
    }

    #[test]
    fn only_what_is_named_may_change() {
        let fields = "shadow_seconds = 60\nshadow_fields = [\"Deployment.apps spec.template\", \"status\"]";
        let shadow = read(fields).unwrap().unwrap();
        let allows = |kind, what, fields: &[&str]| shadow.allows(&difference(kind, what, fields));
        assert!(allows(Kind::Changed, child("Deployment"), &["spec.template.spec.containers[0].image"]));
        assert!(allows(Kind::Status, What::Object, &["status.phase"]));
        assert!(allows(Kind::Events, What::Object, &[]), "no change of the cluster");
        assert!(!allows(Kind::Changed, child("Deployment"), &["spec.template.x", "spec.replicas"]), "one is not");
        assert!(!allows(Kind::Changed, child("Deployment"), &["spec.templates"]), "another field");
        assert!(!allows(Kind::Changed, child("StatefulSet"), &["spec.template.x"]), "another kind");
        assert!(!allows(Kind::Deletes, child("Deployment"), &[]), "it is no field");
        assert!(!allows(Kind::Changed, child("Deployment"), &[]), "the same is wanted, and made otherwise");
        assert!(!allows(Kind::Finalizers, What::Object, &[]));
        assert!(!allows(Kind::Marks, What::Object, &["metadata.labels.a"]));
        assert!(Shadow::default().allows(&difference(Kind::Deletes, child("Deployment"), &[])), "nothing is said");
    }

    #[test]
    fn a_key_with_a_dot_is_no_part_of_another() {
        let differing = |key: &str| difference::fields(&json!({ "data": {} }), &json!({ "data": { key: "x" } }));
        let read = |field: &str| read(&format!("shadow_seconds = 1\nshadow_fields = [{field:?}]")).unwrap().unwrap();
        let config_map = || {
            let kind = GroupKind::new("v1", "ConfigMap");
            What::Child(Place { kind, namespace: "a".into(), name: "x".into() })
        };
        for (field, key, allowed) in [
            ("ConfigMap data.app", "app", true),
            ("ConfigMap data.app", "app.properties", false),
            (r#"ConfigMap data["app.properties"]"#, "app.properties", true),
            ("ConfigMap data", "app.properties", true),
        ] {
            let difference = Difference { kind: Kind::Changed, what: config_map(), fields: differing(key) };
            assert_eq!(read(field).allows(&difference), allowed, "{field}: {difference}");
        }
    }

    #[test]
    fn it_is_worse_if_it_fails_or_changes_more_than_it_may() {
        let shadow = Shadow { changes_max: Some(1), ..Shadow::default() };
        let terms = Terms { shadow: Some(shadow), ..Terms::default() };
        let why = |seen: Seen| match judge(&seen, &terms) {
            Verdict::Worse(why) => why,
            Verdict::Well => String::new(),
        };
        let quiet = Duration::from_secs(60);
        let tally = |failing| Tally { tried: 9, failing, example: None, quiet };
        assert!(why(Seen { tally: tally(5), ..Seen::default() }).contains("it fails for 5"));
        assert_eq!(why(Seen { changing: 1, tally: tally(0), ..Seen::default() }), "");
        let example = Some("Site a/b: deletes ConfigMap a/c".to_owned());
        assert!(
            why(Seen { changing: 2, example, ..Seen::default() })
                .contains("2 objects, rollout.shadow_changes_max is 1")
        );
        assert!(why(Seen { outside: Some("Site a/b".into()), ..Seen::default() }).contains("shadow_fields"));
    }
}
