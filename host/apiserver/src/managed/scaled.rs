//! Who owns an object's replica count, as its `scale` subresource sees it: the
//! count stands at another place there, in another version.

use std::collections::BTreeMap;

use serde_json::Value;

use super::entries::{Identity, Managers, Operation, Owned};
use crate::fields::FieldSet;

/// The apiVersion of every `Scale`.
pub(crate) const SCALE_VERSION: &str = "autoscaling/v1";
/// Where the count stands there.
const COUNT_IN_SCALE: &str = "spec.replicas";

/// Where each version of a kind has its replica count; none where it has no `scale`.
pub(crate) type CountPaths = BTreeMap<String, Option<String>>;

/// Puts the owners of an object's count onto its scale.
pub(crate) fn own_scale(object: &Value, paths: &CountPaths, scale: &mut Value) {
    let managers = Managers::of(object).unwrap_or_default().0.into_iter();
    let owners = managers.filter_map(|(id, owned)| {
        has_count(&owned, paths).then(|| {
            let version = SCALE_VERSION.to_owned();
            let set = FieldSet::of_fields(&[COUNT_IN_SCALE]);
            (in_version(id, SCALE_VERSION), Owned { version, set, time: owned.time })
        })
    });
    Managers(owners.collect()).set_on(scale);
}

/// Puts the owners of a scale's count onto its object, whose managers are those
/// of `live`. As the server tells managers apart by version, all but appliers
/// lose the count to an entry of its own, which does not know its time.
pub(crate) fn own_object(live: &Value, paths: &CountPaths, scale: &Value, api_version: &str, object: &mut Value) {
    let mut scalers = Managers::of(scale).unwrap_or_default().0;
    let mut managers = BTreeMap::new();
    for (id, mut owned) in Managers::of(live).unwrap_or_default().0 {
        let Some(path) = paths.get(&owned.version) else { continue };
        if has_count(&owned, paths) && scalers.remove(&id).is_none() {
            let path = path.iter().map(String::as_str).collect::<Vec<_>>();
            owned.set = owned.set.difference(&FieldSet::of_fields(&path));
        }
        if !owned.set.is_empty() {
            managers.insert(id, owned);
        }
    }
    let count = FieldSet::of_fields(&[COUNT_IN_SCALE]);
    let path = paths.get(api_version).cloned().flatten().unwrap_or_default();
    for (id, owned) in scalers {
        if !owned.set.intersection(&count).is_empty() {
            let set = FieldSet::of_fields(&[&path]);
            managers.insert(id, Owned { version: api_version.to_owned(), set, time: None });
        }
    }
    Managers(managers).set_on(object);
}

fn has_count(owned: &Owned, paths: &CountPaths) -> bool {
    let path = paths.get(&owned.version).and_then(Option::as_deref);
    path.is_some_and(|path| !owned.set.intersection(&FieldSet::of_fields(&[path])).is_empty())
}

fn in_version(id: Identity, version: &str) -> Identity {
    match id.operation {
        Operation::Apply => id,
        Operation::Update => Identity { version: version.to_owned(), ..id },
    }
}
