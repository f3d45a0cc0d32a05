//! What a plugin answered, checked whole before anything of it is written:
//! what an answer leaves out is deleted, so half an answer must not be acted on.

use std::{collections::HashSet, sync::Arc, time::Duration};

use serde_json::{Map, Value};

use crate::{
    decorate::{Decoration, Keys},
    description::Role,
    grants::{Denied, Grants},
    hash::Hash,
    id::{GroupKind, Place, split_api_version},
    intent::hash_of,
    ownership::Owner,
    plan::ChildSpec,
    selector::{Selector, is_label_name, is_label_value},
};

/// Longest reason of an Event that the server takes.
const EVENT_REASON_BYTES_MAX: usize = 128;

/// Most Events of one answer: one for each kind of children that a description
/// may declare. Whoever has more to say writes a log.
const EVENTS_MAX: usize = 32;

/// Metadata that only the server sets. Plugins that answer with what they were
/// given, or with typed objects, send them along.
const SERVER_SET: [&str; 8] = [
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// An answer as it came: texts that nobody has read yet.
#[derive(Debug)]
pub struct Given<'a, S> {
    /// The children, each as JSON.
    pub children: &'a [S],
    /// The status as JSON.
    pub status: Option<&'a str>,
    /// Labels of the object to set, or with no value to remove.
    pub labels: Vec<(String, Option<String>)>,
    /// The same for its annotations.
    pub annotations: Vec<(String, Option<String>)>,
    /// Events for people.
    pub events: Vec<Event>,
    /// Look again after so many milliseconds.
    pub requeue_after_ms: Option<u32>,
    /// The finalizer may go.
    pub finalized: bool,
    /// Room to grow, as JSON.
    pub extra: Option<&'a str>,
}

/// What an answer is held to.
#[derive(Clone, Copy)]
pub struct Terms<'a> {
    /// What the plugin is to the object.
    pub role: Role,
    /// The object that was reconciled.
    pub owner: &'a Owner<'a>,
    /// The kinds that the description declares.
    pub kinds: &'a [ChildSpec],
    /// What description and policy allow.
    pub grants: &'a Grants,
    /// The namespaces that the host serves; none: all.
    pub namespaces: &'a [String],
    /// What each child's labels must match, where the object says which children are
    /// its.
    pub selector: Option<&'a Selector>,
    /// The most children that an answer may name.
    pub children_max: usize,
}

impl Terms<'_> {
    fn serves(&self, namespace: &str) -> bool {
        self.namespaces.is_empty() || self.namespaces.iter().any(|served| served == namespace)
    }
}

/// A checked answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The whole of what should be.
    pub children: Vec<Desired>,
    /// What it says of the status.
    pub status: StatusIntent,
    /// What it says of the object's labels and annotations.
    pub decoration: Decoration,
    /// Events for people.
    pub events: Vec<Event>,
    /// When to look again, even if nothing has changed.
    pub requeue_after: Option<Duration>,
    /// The finalizer may go.
    pub finalized: bool,
}

impl Answer {
    /// That nothing is to be left: what the host says for a plugin that is not
    /// asked before its object goes.
    pub fn finalized() -> Self {
        Self {
            children: vec![],
            status: StatusIntent::Keep,
            decoration: Decoration::default(),
            events: vec![],
            requeue_after: None,
            finalized: true,
        }
    }
}

/// A child that should be.
#[derive(Debug, Clone, PartialEq)]
pub struct Desired {
    /// Where; the namespace is defaulted from the owner.
    pub place: Place,
    /// Which of [`Terms::kinds`] it is of.
    pub kind: usize,
    /// What the plugin asks for, without what only the server sets.
    pub body: Value,
    /// The hash of `body`.
    pub hash: Hash,
    /// The revision of its object that wants it, where its kind rolls.
    pub revision: Option<Arc<str>>,
}

/// What an answer says of its object's status.
#[derive(Debug, Clone, PartialEq)]
pub enum StatusIntent {
    /// Nothing: it stays as it is.
    Keep,
    /// This is the whole of what the plugin has to say.
    Set(Map<String, Value>),
}

/// An Event that the plugin wants people to see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Warning or Normal.
    pub warning: bool,
    /// CamelCase, at most 128 bytes.
    pub reason: String,
    /// One sentence.
    pub message: String,
}

/// Why an answer is refused. `child` names it by kind, namespace and name, or
/// by its number where it has none.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message says what its fields are")]
pub enum AnswerError {
    #[error("{part} is not JSON: {error}")]
    Malformed { part: String, error: serde_json::Error },
    #[error("{part} is no JSON object: answer with {{…}}")]
    NotAnObject { part: String },
    #[error("the answer has {found} children: at most {max} are allowed, raise limits.children in the policy")]
    TooMany { found: usize, max: usize },
    #[error("{child} has no {field}: each child needs one")]
    Lacks { child: String, field: &'static str },
    #[error("{child} has a generateName: give it a name, by which it can be found again")]
    GenerateName { child: String },
    #[error("{child} has the {field} {found:?}: it must be neither \".\" nor \"..\" and contain no '/' and no '%'")]
    BadName { child: String, field: &'static str, found: String },
    #[error("{child} is in version {found}: the description declares {declared}")]
    OtherVersion { child: String, found: String, declared: String },
    #[error("{child} may not be written: {denied}")]
    Denied { child: String, denied: Denied },
    #[error("{child} is in the answer twice")]
    Twice { child: String },
    #[error("{child} lies in a namespace that this host does not serve: start it with --namespaces {namespace}, too")]
    NotServed { child: String, namespace: String },
    #[error("{child} has no namespace: its owner is cluster-scoped, so the answer must name one")]
    NoNamespace { child: String },
    #[error("{child} has a namespace, but its kind is cluster-scoped: leave it out")]
    NamespaceOfClusterScoped { child: String },
    #[error("{child} sets {field}: that is the host's, leave it out")]
    HostSets { child: String, field: String },
    #[error("{child} does not match {selector}, by which its object selects its children: give it labels that do")]
    Unselected { child: String, selector: String },
    #[error("the answer sets labels or annotations of its object: only decorators do, answer with none")]
    NotADecorator,
    #[error("the answer sets the {part} {key:?} twice")]
    KeyTwice { part: &'static str, key: String },
    #[error("the answer sets the {part} {key:?}: that is the host's, leave it out")]
    HostsKey { part: &'static str, key: String },
    #[error("the answer sets the {part} {key:?} to {value:?}: {rule}")]
    BadKey { part: &'static str, key: String, value: String, rule: &'static str },
    #[error(
        "the answer sets labels or annotations by which the object would no longer be selected: \
         let the description select it by others"
    )]
    Deselects,
    #[error("the answer has {found} events: at most {EVENTS_MAX} are taken, log the rest")]
    TooManyEvents { found: usize },
    #[error("the event reason {found:?} is not usable: CamelCase letters and digits, at most 128 bytes")]
    EventReason { found: String },
    #[error("the answer's extra has {key:?}, which this host does not know: leave it out or update the host")]
    UnknownExtra { key: String },
}

/// Checks an answer; an error refuses the whole of it.
pub fn check<S: AsRef<str>>(given: Given<'_, S>, terms: &Terms<'_>) -> Result<Answer, AnswerError> {
    if terms.role != Role::Decorator && !(given.labels.is_empty() && given.annotations.is_empty()) {
        return Err(AnswerError::NotADecorator);
    }
    if given.events.len() > EVENTS_MAX {
        return Err(AnswerError::TooManyEvents { found: given.events.len() });
    }
    if let Some(event) = given.events.iter().find(|event| !is_reason(&event.reason)) {
        return Err(AnswerError::EventReason { found: event.reason.clone() });
    }
    if let Some(extra) = given.extra
        && let Some((key, _)) = object("the answer's extra", extra)?.into_iter().next()
    {
        return Err(AnswerError::UnknownExtra { key });
    }
    Ok(Answer {
        children: children(given.children, terms)?,
        status: match given.status {
            Some(text) => StatusIntent::Set(object("the answer's status", text)?),
            None => StatusIntent::Keep,
        },
        decoration: Decoration {
            labels: keys("labels", given.labels, terms)?,
            annotations: keys("annotations", given.annotations, terms)?,
        },
        events: given.events,
        requeue_after: given.requeue_after_ms.map(|ms| Duration::from_millis(ms.into())),
        finalized: given.finalized,
    })
}

/// Checks the labels or annotations that an answer sets.
fn keys(field: &str, given: Vec<(String, Option<String>)>, terms: &Terms<'_>) -> Result<Keys, AnswerError> {
    let part = if field == "labels" { "label" } else { "annotation" };
    let mut keys = Keys::new();
    for (key, value) in given {
        let is_value = value.as_deref().is_none_or(|value| part == "annotation" || is_label_value(value));
        if terms.owner.instance_key.is_set_by_host(field, &key) {
            return Err(AnswerError::HostsKey { part, key });
        }
        if !is_label_name(&key) || !is_value {
            let rule = "a name is an optional DNS subdomain and a slash, then at most 63 letters, digits and inner \
                        '-', '_', '.'; a label's value is of such characters, too";
            return Err(AnswerError::BadKey { part, key, value: value.unwrap_or_default(), rule });
        }
        if keys.contains_key(&key) {
            return Err(AnswerError::KeyTwice { part, key });
        }
        keys.insert(key, value);
    }
    Ok(keys)
}

fn is_reason(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_uppercase())
        && text.len() <= EVENT_REASON_BYTES_MAX
        && text.chars().all(|c| c.is_ascii_alphanumeric())
}

fn object(part: &str, text: &str) -> Result<Map<String, Value>, AnswerError> {
    match serde_json::from_str(text) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Err(AnswerError::NotAnObject { part: part.into() }),
        Err(error) => Err(AnswerError::Malformed { part: part.into(), error }),
    }
}

fn children<S: AsRef<str>>(texts: &[S], terms: &Terms<'_>) -> Result<Vec<Desired>, AnswerError> {
    if texts.len() > terms.children_max {
        return Err(AnswerError::TooMany { found: texts.len(), max: terms.children_max });
    }
    let children = texts.iter().enumerate().map(|(at, text)| child(&format!("child {at}"), text.as_ref(), terms));
    let children = children.collect::<Result<Vec<_>, _>>()?;

    let mut places = HashSet::with_capacity(children.len());
    match children.iter().find(|child| !places.insert(&child.place)) {
        Some(twice) => Err(AnswerError::Twice { child: twice.place.to_string() }),
        None => Ok(children),
    }
}

/// Checks one child; `number` names it until it is known by its place.
fn child(number: &str, text: &str, terms: &Terms<'_>) -> Result<Desired, AnswerError> {
    let mut body = object(number, text)?;
    let (kind, id) = declared(number, &body, terms)?;
    let mut metadata = match body.remove("metadata") {
        Some(Value::Object(metadata)) => metadata,
        _ => return Err(AnswerError::Lacks { child: format!("{number} ({id})"), field: "metadata" }),
    };
    let spec = &terms.kinds[kind];
    let mut place = Place { kind: id, namespace: "".into(), name: name(number, spec, &metadata)?.into() };
    place.namespace = namespace(&place, spec, &metadata, terms)?.into();
    let placed = terms.grants.may_place(&terms.owner.meta.place, &place);
    placed.map_err(|denied| AnswerError::Denied { child: place.to_string(), denied })?;

    metadata.retain(|field, value| !SERVER_SET.contains(&field.as_str()) && !value.is_null());
    refuse_what_the_host_sets(&place.to_string(), &mut metadata, terms.owner)?;
    let label = |name: &str| metadata.get("labels").and_then(|labels| labels.get(name)?.as_str());
    if let Some(selector) = terms.selector.filter(|selector| !selector.matches(label)) {
        return Err(AnswerError::Unselected { child: place.to_string(), selector: selector.to_string() });
    }
    if spec.kind.namespaced {
        metadata.insert("namespace".into(), (*place.namespace).into());
    }
    // With a status of its own to write, the server ignores it here.
    if spec.kind.version(&spec.version).is_some_and(|version| version.status) {
        body.remove("status");
    }
    body.insert("metadata".into(), metadata.into());
    let body = Value::Object(body);
    Ok(Desired { place, kind, hash: hash_of(&body), body, revision: None })
}

/// Which of the declared kinds a child is of.
fn declared(number: &str, body: &Map<String, Value>, terms: &Terms<'_>) -> Result<(usize, GroupKind), AnswerError> {
    let text = |field: &'static str| match body.get(field).and_then(Value::as_str) {
        Some(text) if !text.is_empty() => Ok(text),
        _ => Err(AnswerError::Lacks { child: number.into(), field }),
    };
    let (api_version, kind) = (text("apiVersion")?, text("kind")?);
    let id = GroupKind::new(api_version, kind);
    let child = format!("{number} ({id})");
    if let Err(denied) = terms.grants.may_write(&id) {
        return Err(AnswerError::Denied { child, denied });
    }
    let found = split_api_version(api_version).1;
    match terms.kinds.iter().position(|spec| spec.kind.id == id) {
        Some(at) if terms.kinds[at].version == found => Ok((at, id)),
        Some(at) => {
            Err(AnswerError::OtherVersion { child, found: found.into(), declared: terms.kinds[at].version.clone() })
        }
        None => {
            let what = format!("kind {id}");
            Err(AnswerError::Denied { child, denied: Denied::NotDeclared { what, list: "children" } })
        }
    }
}

fn name<'a>(number: &str, spec: &ChildSpec, metadata: &'a Map<String, Value>) -> Result<&'a str, AnswerError> {
    let child = || format!("{number} ({})", spec.kind.id);
    if metadata.get("generateName").is_some_and(|value| !value.is_null() && value != "") {
        return Err(AnswerError::GenerateName { child: child() });
    }
    let name = metadata.get("name").and_then(Value::as_str).unwrap_or_default();
    if name.is_empty() {
        return Err(AnswerError::Lacks { child: child(), field: "metadata.name" });
    }
    in_a_path(name).ok_or_else(|| AnswerError::BadName { child: child(), field: "name", found: name.into() })
}

/// The text, if it can be one segment of a request's path and no more.
fn in_a_path(text: &str) -> Option<&str> {
    (!matches!(text, "." | "..") && !text.contains(['/', '%'])).then_some(text)
}

fn namespace<'a>(
    place: &Place,
    spec: &ChildSpec,
    metadata: &'a Map<String, Value>,
    terms: &Terms<'a>,
) -> Result<&'a str, AnswerError> {
    let child = || place.to_string();
    let own = &*terms.owner.meta.place.namespace;
    let given = metadata.get("namespace").and_then(Value::as_str).filter(|namespace| !namespace.is_empty());
    match (spec.kind.namespaced, given) {
        (true, None) if own.is_empty() => Err(AnswerError::NoNamespace { child: child() }),
        (true, None) => Ok(own),
        (true, Some(given)) if in_a_path(given).is_none() => {
            Err(AnswerError::BadName { child: child(), field: "namespace", found: given.into() })
        }
        (true, Some(given)) if !terms.serves(given) => {
            Err(AnswerError::NotServed { child: format!("{place} in {given:?}"), namespace: given.into() })
        }
        (true, Some(given)) => Ok(given),
        (false, Some(_)) => Err(AnswerError::NamespaceOfClusterScoped { child: child() }),
        (false, None) => Ok(""),
    }
}

fn refuse_what_the_host_sets(
    child: &str,
    metadata: &mut Map<String, Value>,
    owner: &Owner<'_>,
) -> Result<(), AnswerError> {
    let refuse = |field: String| Err(AnswerError::HostSets { child: child.into(), field });
    match metadata.remove("ownerReferences") {
        Some(Value::Array(owners)) if owners.is_empty() => {}
        Some(_) => return refuse("metadata.ownerReferences".into()),
        None => {}
    }
    for field in ["labels", "annotations"] {
        match metadata.get(field) {
            Some(Value::Object(pairs)) => {
                let hosts = |key: &&String| owner.instance_key.is_set_by_host(field, key);
                if let Some(key) = pairs.keys().find(hosts) {
                    return refuse(format!("metadata.{field}[{key:?}]"));
                }
            }
            Some(_) => return Err(AnswerError::NotAnObject { part: format!("metadata.{field} of {child}") }),
            None => {}
        }
    }
    Ok(())
}
