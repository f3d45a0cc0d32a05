//! Label selectors as `kubectl -l` takes them: equality, sets and existence; and as
//! objects say them (`said`).

mod said;

use std::{collections::BTreeSet, fmt};

use crate::id::LABEL_BYTES_MAX;

/// Longest DNS subdomain: what may stand before the slash of a label's key.
const PREFIX_BYTES_MAX: usize = 253;

/// Requirements on labels, all of which must hold. Two texts that mean the
/// same give equal selectors.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Selector(BTreeSet<Requirement>);

/// Why a text is no label selector.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is not {wanted}")]
pub struct BadSelector {
    /// The part of the text that cannot be read.
    pub found: String,
    /// What would be right in its place.
    pub wanted: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Requirement {
    key: String,
    rule: Rule,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Rule {
    Exists,
    Absent,
    In(BTreeSet<String>),
    NotIn(BTreeSet<String>),
}

const WANTED: &str = "a requirement such as `a=b`, `a!=b`, `a in (b,c)`, `a notin (b,c)`, `a` or `!a`";
const WANTED_KEY: &str = "a label's key: an optional DNS subdomain and a slash, then a name of at most 63 bytes";
const WANTED_VALUE: &str = "a label's value: letters, digits and inner '-', '_', '.', at most 63 bytes";

impl Selector {
    /// Reads a selector; the empty text selects everything.
    pub fn parse(text: &str) -> Result<Self, BadSelector> {
        if text.trim().is_empty() {
            return Ok(Self(BTreeSet::new()));
        }
        split_outside_parentheses(text)
            .into_iter()
            .map(|part| Requirement::parse(part.trim()))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Whether it selects everything.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Labels of which everything that is selected has one: the key and values of
    /// one requirement. None where no requirement names values, as in `a` or `a!=b`.
    pub fn pairs(&self) -> Option<impl Iterator<Item = (&str, &str)>> {
        self.0.iter().find_map(|Requirement { key, rule }| match rule {
            Rule::In(values) => Some(values.iter().map(|value| (key.as_str(), value.as_str()))),
            _ => None,
        })
    }

    /// Whether an object whose label values `label` tells is selected. As in
    /// Kubernetes, `a!=b` and `a notin (b)` select what has no label `a`.
    pub fn matches<V: AsRef<str>>(&self, label: impl Fn(&str) -> Option<V>) -> bool {
        self.0.iter().all(|requirement| {
            let value = label(&requirement.key);
            match &requirement.rule {
                Rule::Exists => value.is_some(),
                Rule::Absent => value.is_none(),
                Rule::In(values) => value.is_some_and(|value| values.contains(value.as_ref())),
                Rule::NotIn(values) => value.is_none_or(|value| !values.contains(value.as_ref())),
            }
        })
    }
}

/// The canonical text, as the API server takes it: sorted, nothing twice.
impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts = self.0.iter().map(Requirement::to_string).collect::<Vec<_>>();
        f.write_str(&texts.join(","))
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = &self.key;
        let join = |values: &BTreeSet<String>| values.iter().map(String::as_str).collect::<Vec<_>>().join(",");
        match &self.rule {
            Rule::Exists => write!(f, "{key}"),
            Rule::Absent => write!(f, "!{key}"),
            Rule::In(values) if values.len() == 1 => write!(f, "{key}={}", join(values)),
            Rule::NotIn(values) if values.len() == 1 => write!(f, "{key}!={}", join(values)),
            Rule::In(values) => write!(f, "{key} in ({})", join(values)),
            Rule::NotIn(values) => write!(f, "{key} notin ({})", join(values)),
        }
    }
}

impl Requirement {
    fn parse(text: &str) -> Result<Self, BadSelector> {
        let new = |text: &str, rule| Ok(Self { key: key(text)?, rule });
        if let Some(absent) = text.strip_prefix('!') {
            return new(absent, Rule::Absent);
        }
        if let Some((left, right)) = text.split_once("!=") {
            return new(left, Rule::NotIn([value(right)?].into()));
        }
        if let Some((left, right)) = text.split_once("==").or_else(|| text.split_once('=')) {
            return new(left, Rule::In([value(right)?].into()));
        }
        let Some((head, values)) = text.split_once('(') else { return new(text, Rule::Exists) };
        let bad = || BadSelector { found: text.into(), wanted: WANTED };
        let values = values.strip_suffix(')').filter(|values| !values.trim().is_empty()).ok_or_else(bad)?;
        let values = values.split(',').map(value).collect::<Result<_, _>>()?;
        match head.split_whitespace().collect::<Vec<_>>()[..] {
            [left, "in"] => new(left, Rule::In(values)),
            [left, "notin"] => new(left, Rule::NotIn(values)),
            _ => Err(bad()),
        }
    }
}

fn key(text: &str) -> Result<String, BadSelector> {
    let text = text.trim();
    if is_label_name(text) {
        Ok(text.to_owned())
    } else {
        Err(BadSelector { found: text.into(), wanted: if text.is_empty() { WANTED } else { WANTED_KEY } })
    }
}

fn value(text: &str) -> Result<String, BadSelector> {
    let text = text.trim();
    if is_label_value(text) {
        Ok(text.to_owned())
    } else {
        Err(BadSelector { found: text.into(), wanted: WANTED_VALUE })
    }
}

/// Whether `text` may name a label or an annotation: a name, with or without a
/// prefix.
pub(crate) fn is_label_name(text: &str) -> bool {
    let (prefix, name) = text.split_once('/').map_or((None, text), |(prefix, name)| (Some(prefix), name));
    prefix.is_none_or(is_subdomain) && !name.is_empty() && is_label_value(name)
}

/// Whether `text` may be the value of a label.
pub(crate) fn is_label_value(text: &str) -> bool {
    let edge = |c: Option<char>| c.is_none_or(|c| c.is_ascii_alphanumeric());
    text.len() <= LABEL_BYTES_MAX
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        && edge(text.chars().next())
        && edge(text.chars().last())
}

/// Whether `text` is a DNS subdomain (RFC 1123), as groups and prefixes are.
pub(crate) fn is_subdomain(text: &str) -> bool {
    text.len() <= PREFIX_BYTES_MAX && text.split('.').all(|label| crate::id::Lineage::new(label).is_ok())
}

fn split_outside_parentheses(text: &str) -> Vec<&str> {
    let mut inside = false;
    text.split(|c: char| {
        match c {
            '(' => inside = true,
            ')' => inside = false,
            _ => {}
        }
        c == ',' && !inside
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(selector: &str, labels: &[(&str, &str)]) -> bool {
        let selector = Selector::parse(selector).unwrap();
        selector.matches(|name| labels.iter().find(|(key, _)| *key == name).map(|(_, value)| *value))
    }

    #[test]
    fn each_form_selects_as_kubectl_does() {
        let web = &[("app", "web"), ("tier", "")][..];
        for yes in [
            "",
            "app",
            "app=web",
            "app == web",
            "!other",
            "app!=db",
            "other!=x",
            "app in (db, web)",
            "other notin (a)",
            "tier=",
        ] {
            assert!(matches(yes, web), "{yes}");
        }
        for no in ["other", "app=db", "!app", "app!=web", "app in (db)", "app notin (web,db)", "app=web,other"] {
            assert!(!matches(no, web), "{no}");
        }
    }

    #[test]
    fn texts_that_mean_the_same_have_one_canonical_text() {
        let canonical = |text| Selector::parse(text).unwrap().to_string();
        assert_eq!(canonical("b in (y , x, y),a==1 , !c"), "a=1,b in (x,y),!c");
        assert_eq!(canonical("a in (1)"), canonical("a = 1"));
        assert_eq!(canonical("x.io/a notin (1)"), "x.io/a!=1");
        assert_eq!(canonical("  "), "");
    }

    #[test]
    fn pairs_are_those_of_a_requirement_that_names_values() {
        let pairs = |text: &str| {
            let selector = Selector::parse(text).unwrap();
            selector.pairs().map(|pairs| pairs.map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>())
        };
        assert_eq!(pairs("a=1"), Some(vec!["a=1".into()]));
        assert_eq!(pairs("a,b in (x,y)"), Some(vec!["b=x".into(), "b=y".into()]));
        assert_eq!(pairs("a,!b,c!=1"), None);
        assert_eq!(pairs(""), None);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for (text, found) in [
            ("a in (b", "a in (b"),
            ("a within (b)", "a within (b)"),
            ("a in ()", "a in ()"),
            ("a,,b", ""),
            ("a=b c", "b c"),
            ("a > 1", "a > 1"),
            ("/a=b", "/a"),
            ("Upper.io/a", "Upper.io/a"),
            ("a=-b", "-b"),
        ] {
            assert_eq!(Selector::parse(text).unwrap_err().found, found, "{text}");
        }
    }

    proptest! {
        #[test]
        fn the_canonical_text_reads_back_as_the_same_selector(text in "(!?[ab]|[ab](=|==|!=)[xy]?|[ab] (in|notin) \\([xyz](,[xyz]){0,2}\\))(,[ab]=[xy]){0,2}") {
            let selector = Selector::parse(&text).unwrap();
            prop_assert_eq!(Selector::parse(&selector.to_string()).unwrap(), selector);
        }

        #[test]
        fn no_text_panics(text in ".{0,40}") {
            let _ = Selector::parse(&text);
        }
    }
}
