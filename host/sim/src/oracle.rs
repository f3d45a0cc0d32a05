//! What must hold of each write while a world runs (`audit`), and after a
//! disturbed run: the objects of the cluster are those of the undisturbed run.
//! When something was written, by whom and in how many steps may differ; what
//! is there may not.

pub(crate) mod audit;
mod normal;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use trimtab_core::marks;

use self::normal::normal;
use crate::api::{Api, Refused};

/// What differs between any two runs: who leads since when, and how often
/// something was told.
const NOT_COMPARED: [&str; 2] = ["/apis/coordination.k8s.io/v1/leases", "/apis/events.k8s.io/v1/events"];
const CORE_EVENTS: &str = "/api/v1/events";

/// All objects of a cluster without what differs between any two runs. Equal
/// where the clusters came to the same end.
#[derive(Debug, Clone, PartialEq)]
pub struct End(BTreeMap<String, Value>);

impl End {
    /// The state of a cluster now.
    pub async fn of(api: &Api) -> Result<Self, Refused> {
        let all = api.everything().await?;
        let compared = all.into_iter().filter(|(path, _)| path != CORE_EVENTS && !NOT_COMPARED.contains(&&**path));
        let compared = compared.map(|(path, object)| (place(&path, &object), object)).collect::<Vec<_>>();
        let uid = |object: &Value| object["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
        let uids = compared.iter().map(|(place, object)| (uid(object), place.clone())).collect();
        Ok(Self(compared.into_iter().map(|(place, object)| (place, normal(object, &uids))).collect()))
    }

    /// Each field that is not what it is in the other, as one line.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let places = self.0.keys().chain(other.0.keys()).collect::<BTreeSet<_>>();
        let mut lines = Vec::new();
        for place in places {
            compare(place, self.0.get(place), other.0.get(place), &mut lines);
        }
        lines
    }
}

fn compare(at: &str, is: Option<&Value>, should_be: Option<&Value>, lines: &mut Vec<String>) {
    match (is, should_be) {
        (is, should_be) if is == should_be => {}
        (Some(Value::Object(is)), Some(Value::Object(should_be))) => {
            for field in is.keys().chain(should_be.keys().filter(|field| !is.contains_key(*field))) {
                compare(&format!("{at} {field}"), is.get(field), should_be.get(field), lines);
            }
        }
        (is, should_be) => {
            let show = |value: Option<&Value>| value.map_or_else(|| "nothing".to_owned(), Value::to_string);
            lines.push(format!("{at} is {} and should be {}", show(is), show(should_be)));
        }
    }
}

/// The resource version of each object that no plugin made and that is of none
/// of the resources `served`, by their plural names: what a host must not touch.
pub async fn foreign(api: &Api, served: &[&str]) -> Result<BTreeMap<String, String>, Refused> {
    let all = api.everything().await?;
    let foreign = all.into_iter().filter(|(path, object)| {
        let ours = object["metadata"]["labels"].get(marks::PLUGIN_LABEL).is_some();
        let resource = path.rsplit('/').next().unwrap_or_default();
        !ours && !served.contains(&resource) && path != CORE_EVENTS && !NOT_COMPARED.contains(&&**path)
    });
    let version = |object: &Value| object["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned();
    Ok(foreign.map(|(path, object)| (place(&path, &object), version(&object))).collect())
}

fn place(path: &str, object: &Value) -> String {
    let part = |field| object["metadata"][field].as_str().unwrap_or_default();
    format!("{path} {}/{}", part("namespace"), part("name"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn end(object: Value) -> End {
        End(BTreeMap::from([("a".to_owned(), normal(object, &BTreeMap::new()))]))
    }

    fn object(uid: &str, at: &str, content: &str) -> Value {
        json!({
            "metadata": { "name": "a", "uid": uid, "resourceVersion": uid, "creationTimestamp": at,
                          "managedFields": [{ "manager": "m", "time": at }] },
            "status": { "content": content, "conditions": [{ "type": "Reconciled", "lastTransitionTime": at }] },
        })
    }

    #[test]
    fn when_and_in_how_many_steps_something_was_written_makes_no_difference() {
        assert_eq!(end(object("1", "then", "x")), end(object("2", "later", "x")));
    }

    #[test]
    fn other_content_and_a_missing_object_make_one() {
        let (one, other) = (end(object("1", "then", "x")), end(object("1", "then", "y")));
        assert_eq!(one.differences(&other).len(), 1);
        assert_eq!(one.differences(&End(BTreeMap::new())).len(), 1);
        assert_eq!(one.differences(&one), Vec::<String>::new());
    }
}
