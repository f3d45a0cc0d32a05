//! What a client is warned of: versions that will go away.

use serde_json::Value;

use crate::kinds;

/// The warning of a built-in kind.
pub(crate) fn of_builtin(group: &str, kind: &str) -> Option<String> {
    (group.is_empty() && kind == "Endpoints")
        .then(|| "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice".to_owned())
}

/// The warning of one version of a definition: its own words, or which version
/// to use instead.
pub(crate) fn of_version(definition: &Value, version: &Value) -> Option<String> {
    if version["deprecated"] != true {
        return None;
    }
    if let Some(own) = version["deprecationWarning"].as_str() {
        return Some(own.to_owned());
    }
    let spec = &definition["spec"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (group, kind, name) = (text(&spec["group"]), text(&spec["names"]["kind"]), text(&version["name"]));
    let versions = spec["versions"].as_array().into_iter().flatten();
    let better = versions
        .filter(|other| other["served"] == true && other["deprecated"] != true)
        .map(|other| text(&other["name"]))
        .filter(|other| kinds::rank(other) > kinds::rank(&name))
        .max_by_key(|other| kinds::rank(other));
    let instead = better.map(|better| format!("; use {group}/{better} {kind}")).unwrap_or_default();
    Some(format!("{group}/{name} {kind} is deprecated{instead}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_deprecated_version_names_a_better_one() {
        let version = |name: &str, deprecated: bool| json!({ "name": name, "served": true, "deprecated": deprecated });
        let definition = |versions: &[Value]| {
            json!({
                "spec": { "group": "demo.dev", "names": { "kind": "Site" }, "versions": versions },
            })
        };
        let old = version("v1beta1", true);
        let both = definition(&[version("v1", false), version("v1alpha1", false), old.clone()]);
        let said = of_version(&both, &old).unwrap();
        assert_eq!(said, "demo.dev/v1beta1 Site is deprecated; use demo.dev/v1 Site");
        assert_eq!(
            of_version(&definition(std::slice::from_ref(&old)), &old).unwrap(),
            "demo.dev/v1beta1 Site is deprecated"
        );
        assert_eq!(of_version(&both, &version("v1", false)), None);
        let own = json!({ "name": "v1", "deprecated": true, "deprecationWarning": "go away" });
        assert_eq!(of_version(&both, &own).unwrap(), "go away");
    }
}
