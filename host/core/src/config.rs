//! The part of a plugin's config that lies in the cluster: in a ConfigMap or a
//! Secret that its policy names. No error of this tells a value: it may be a
//! secret.

use std::{collections::BTreeMap, fmt};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::{Map, Value as Json};
use toml::{Table, Value};

use crate::{
    hash::Hash,
    id::{GroupKind, Lineage},
    object::{Meta, Object},
    policy::{PolicyError, known_only, wrong},
    selector::is_subdomain,
};

const KEYS: &[&str] = &["config_map", "secret", "namespace", "key"];

/// Where it lies.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConfigFrom {
    /// In a Secret, not in a ConfigMap.
    pub secret: bool,
    /// Of the object.
    pub name: String,
    /// Of the object; absent: that of the host's Leases.
    pub namespace: Option<String>,
    /// The one key whose value is the config, as YAML or JSON; absent: each key of
    /// the object is one of the config, with its text.
    pub key: Option<String>,
}

/// Why an object holds no config.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// It has other data than its kind has.
    #[error("its data cannot be read")]
    Data,
    /// The key that the policy names is not there.
    #[error("it has no key {0}: add it, or change config_from.key")]
    NoKey(String),
    /// A value of a Secret that is no text.
    #[error("its key {0} is not UTF-8 text")]
    NoText(String),
    /// The key's value is no YAML.
    #[error("its key {key} is neither YAML nor JSON, see line {line}")]
    Syntax {
        /// Which.
        key: String,
        /// Of the value, counted from 1.
        line: u64,
    },
    /// The key's value is a list or a scalar.
    #[error("its key {0} holds no mapping")]
    NoMapping(String),
}

impl fmt::Display for ConfigFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.kind().kind)?;
        self.namespace.iter().try_for_each(|namespace| write!(f, "{namespace}/"))?;
        f.write_str(&self.name)
    }
}

impl ConfigFrom {
    /// Reads the table of a policy.
    pub(crate) fn read(table: &Table) -> Result<Self, PolicyError> {
        known_only("config_from", table, KEYS)?;
        let text = |name: &str, accepted: &str, fits: fn(&str) -> bool| {
            let read = |value: &Value| match value.as_str().filter(|text| fits(text)) {
                Some(text) => Ok(text.to_owned()),
                None => wrong(&format!("config_from.{name}"), value, accepted),
            };
            table.get(name).map(read).transpose()
        };
        let config_map = text("config_map", "the name of a ConfigMap", is_subdomain)?;
        let secret = text("secret", "the name of a Secret", is_subdomain)?;
        let is_secret = secret.is_some();
        let name = match (config_map, secret) {
            (Some(name), None) | (None, Some(name)) => name,
            _ => {
                return wrong("config_from", &Value::Table(table.clone()), "either config_map or secret, with a name");
            }
        };
        Ok(Self {
            secret: is_secret,
            name,
            namespace: text("namespace", "the name of a namespace", |name| Lineage::new(name).is_ok())?,
            key: text("key", "a key of the object, such as \"config.yaml\"", is_key)?,
        })
    }

    /// The kind of the object.
    pub fn kind(&self) -> GroupKind {
        GroupKind::new("v1", if self.secret { "Secret" } else { "ConfigMap" })
    }

    /// The config: what the object says over what the policy says, key by key.
    pub fn merge(&self, policy: &str, object: &Object) -> Result<String, ConfigError> {
        let said = self.said(object)?;
        let mut config: Map<String, Json> = serde_json::from_str(policy).map_err(|_| ConfigError::Data)?;
        config.extend(said);
        Ok(Json::Object(config).to_string())
    }

    /// What tells one state of the config from another. A Secret's is not made from
    /// its values, since it is shown: few guesses would find a short one.
    pub fn identity(&self, merged: &str, object: &Object) -> Hash {
        let Meta { uid, resource_version, .. } = &object.meta;
        let state = [uid.as_str().as_bytes(), &resource_version.to_le_bytes()];
        if self.secret { Hash::of(state) } else { Hash::of([merged.as_bytes()]) }
    }

    /// Whether two states of the object hold the same, whatever else has changed.
    pub fn is_said_again(&self, before: &Object, now: &Object) -> bool {
        before.meta.uid == now.meta.uid && self.said(before) == self.said(now)
    }

    fn said(&self, object: &Object) -> Result<Map<String, Json>, ConfigError> {
        #[derive(Deserialize)]
        struct Data {
            #[serde(default)]
            data: Option<BTreeMap<String, String>>,
        }
        let Data { data } = serde_json::from_str(&object.text).map_err(|_| ConfigError::Data)?;
        let data = data.unwrap_or_default();
        let Some(key) = &self.key else {
            let said = data.into_iter().map(|(key, value)| Ok((key.clone(), self.text(&key, value)?.into())));
            return said.collect();
        };
        let value = data.get(key).ok_or_else(|| ConfigError::NoKey(key.clone()))?;
        let value = self.text(key, value.clone())?;
        let syntax = |error: serde_saphyr::Error| {
            let line = error.location().map_or(1, |location| location.line());
            ConfigError::Syntax { key: key.clone(), line }
        };
        match serde_saphyr::from_str(&value).map_err(syntax)? {
            Json::Object(said) => Ok(said),
            Json::Null => Ok(Map::new()),
            _ => Err(ConfigError::NoMapping(key.clone())),
        }
    }

    fn text(&self, key: &str, value: String) -> Result<String, ConfigError> {
        if !self.secret {
            return Ok(value);
        }
        let bytes = STANDARD.decode(value).map_err(|_| ConfigError::Data)?;
        String::from_utf8(bytes).map_err(|_| ConfigError::NoText(key.to_owned()))
    }
}

/// A key of a ConfigMap or a Secret.
fn is_key(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::policy::Policy;

    fn from(table: &str) -> ConfigFrom {
        Policy::parse(&format!("config_from = {{ {table} }}")).unwrap().config_from.unwrap()
    }

    fn object(kind: &str, resource_version: u32, data: &Json) -> Object {
        let version = resource_version.to_string();
        let metadata = json!({ "name": "site", "namespace": "a", "uid": "u", "resourceVersion": version });
        Object::parse(&json!({ "metadata": metadata, "data": data }).to_string(), "v1", kind).unwrap()
    }

    fn merged(table: &str, kind: &str, data: &Json) -> Result<Json, ConfigError> {
        let merged = from(table).merge(r#"{"tier":"small","image":"nginx"}"#, &object(kind, 1, data))?;
        Ok(serde_json::from_str(&merged).unwrap())
    }

    #[test]
    fn each_key_of_a_config_map_goes_over_that_of_the_policy() {
        let data = json!({ "tier": "large", "rate": "5" });
        let all = merged(r#"config_map = "site""#, "ConfigMap", &data).unwrap();
        assert_eq!(all, json!({ "tier": "large", "image": "nginx", "rate": "5" }));
        let nothing = merged(r#"config_map = "site""#, "ConfigMap", &Json::Null).unwrap();
        assert_eq!(nothing, json!({ "tier": "small", "image": "nginx" }));
    }

    #[test]
    fn one_key_is_read_as_yaml_or_json() {
        let table = r#"config_map = "site", key = "config.yaml""#;
        for text in ["defaults:\n  replicas: 2\n", r#"{ "defaults": { "replicas": 2 } }"#] {
            let data = json!({ "config.yaml": text, "other": "left out" });
            let config = merged(table, "ConfigMap", &data).unwrap();
            assert_eq!(config, json!({ "tier": "small", "image": "nginx", "defaults": { "replicas": 2 } }));
        }
        assert_eq!(merged(table, "ConfigMap", &json!({ "config.yaml": "" })).unwrap()["tier"], "small");
    }

    #[test]
    fn a_secret_is_decoded_and_no_error_tells_what_is_in_it() {
        let encoded = |text: &[u8]| json!({ "token": STANDARD.encode(text) });
        let config = merged(r#"secret = "site""#, "Secret", &encoded(b"hush")).unwrap();
        assert_eq!(config["token"], "hush");
        let key = r#"secret = "site", key = "token""#;
        let errors = [
            merged(key, "Secret", &encoded(b"a: 1\nhush: [")),
            merged(key, "Secret", &encoded(b"hush")),
            merged(key, "Secret", &encoded(b"hush\xff")),
            merged(key, "Secret", &json!({ "token": "hush?" })),
            merged(key, "Secret", &json!({ "hush": 5 })),
            merged(r#"secret = "site", key = "other""#, "Secret", &encoded(b"hush")),
        ];
        let errors = errors.map(|error| error.unwrap_err().to_string());
        assert!(errors.iter().all(|error| !error.contains("hush")), "{errors:?}");
        assert!(errors[0].ends_with("see line 2"), "{}", errors[0]);
    }

    #[test]
    fn a_secrets_identity_follows_its_state_and_not_its_values() {
        let (from, one, two) = (from(r#"secret = "s""#), json!({ "a": "eA==" }), json!({ "a": "eQ==" }));
        let identity = |version, data| {
            let object = object("Secret", version, data);
            from.identity(&from.merge("{}", &object).unwrap(), &object)
        };
        assert_eq!(identity(1, &one), identity(1, &two));
        assert_ne!(identity(1, &one), identity(2, &one));
    }

    #[test]
    fn what_names_no_object_is_refused_with_what_is_accepted() {
        let refused = |table: &str| Policy::parse(&format!("config_from = {{ {table} }}")).unwrap_err().to_string();
        assert!(refused("").contains("either config_map or secret"));
        assert!(refused(r#"config_map = "a", secret = "b""#).contains("either config_map or secret"));
        assert!(refused(r#"config_map = "A_b""#).starts_with("config_from.config_map: found"));
        assert!(refused(r#"secret = "a", namespace = "a/b""#).contains("the name of a namespace"));
        assert!(refused(r#"secret = "a", key = "a/b""#).contains("config.yaml"));
        assert!(refused(r#"secret = "a", optional = true"#).contains("unknown key"));
    }
}
