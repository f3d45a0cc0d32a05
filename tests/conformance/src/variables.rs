//! The `$names` of transcripts: where a case takes place, and what the server
//! has said so far.

use std::collections::HashMap;
use std::sync::LazyLock;

use regex::{Captures, Regex};
use serde_json::Value;

/// `$name` or `$name.object`.
static VARIABLE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\$([a-z0-9]+)(?:\.([a-z0-9-]+))?").expect("a literal pattern"));

/// The values of one play.
pub(crate) struct Variables {
    values: HashMap<String, String>,
    /// What the names of objects begin with that all cases share.
    prefix: String,
}

impl Variables {
    /// Those that say where: `$ns`, `$group`, and paths that begin so.
    pub fn new(namespace: &str) -> Self {
        let group = format!("{namespace}.conformance.dev");
        let namespaced = |api: &str| format!("{api}/namespaces/{namespace}");
        let values = HashMap::from([
            ("ns".to_owned(), namespace.to_owned()),
            ("core".to_owned(), namespaced("/api/v1")),
            ("apps".to_owned(), namespaced("/apis/apps/v1")),
            ("batch".to_owned(), namespaced("/apis/batch/v1")),
            ("things".to_owned(), format!("{}/things", namespaced(&format!("/apis/{group}/v1")))),
            ("crds".to_owned(), "/apis/apiextensions.k8s.io/v1/customresourcedefinitions".to_owned()),
            ("custom".to_owned(), format!("/apis/{group}")),
            ("group".to_owned(), group),
        ]);
        Self { values, prefix: format!("{namespace}-") }
    }

    /// Puts the values in; a `$name` that stands for nothing stays (`$patch`).
    pub fn fill(&self, text: &str) -> String {
        let value = |found: &Captures<'_>| {
            let (whole, name) = (&found[0], &found[1]);
            if let Some(value) = self.values.get(&whole[1..]) {
                return value.clone();
            }
            match self.values.get(name) {
                Some(value) => format!("{value}{}", &whole[1 + name.len()..]),
                None => whole.to_owned(),
            }
        };
        VARIABLE.replace_all(text, value).into_owned()
    }

    /// Remembers what an answer says: `$rv` and `$continue` are of the last
    /// one; `$rv.a`, `$uid.a` and `$rv0.a` (the first version) of object `a`,
    /// or of `$ns-a`.
    pub fn learn(&mut self, body: &Value) {
        let text = |field: &str| body["metadata"][field].as_str().filter(|text| !text.is_empty());
        let mut set = |name: String, value: &str| self.values.insert(name, value.to_owned());
        if let Some(token) = text("continue") {
            set("continue".to_owned(), token);
        }
        let Some(version) = text("resourceVersion") else { return };
        set("rv".to_owned(), version);
        let (Some(name), Some(uid)) = (text("name"), text("uid")) else { return };
        let name = name.strip_prefix(&self.prefix).unwrap_or(name);
        set(format!("rv.{name}"), version);
        set(format!("uid.{name}"), uid);
        self.values.entry(format!("rv0.{name}")).or_insert_with(|| version.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_stands_for_nothing_stays() {
        let mut variables = Variables::new("c1");
        variables.learn(&json!({ "metadata": { "name": "a", "uid": "u", "resourceVersion": "5" } }));
        assert_eq!(variables.fill("$core/pods?v=$rv.a"), "/api/v1/namespaces/c1/pods?v=5");
        assert_eq!(variables.fill("$patch things.$group $rv.b"), "$patch things.c1.conformance.dev 5.b");
    }
}
