//! Kubeconfig files for the admin and for whom the admin impersonates.

use std::path::PathBuf;

use serde_json::{Value, json};

/// Where the API server is and who speaks to it.
pub struct Access<'a> {
    /// `https://127.0.0.1:…`
    pub server: String,
    /// The certificate that the server made for itself.
    pub certificate: PathBuf,
    /// The admin's bearer token.
    pub token: &'static str,
    /// User and groups to speak as instead.
    pub as_whom: Option<(&'a str, &'a [&'a str])>,
}

impl Access<'_> {
    /// The kubeconfig, with one context.
    pub fn kubeconfig(&self) -> Value {
        let mut user = json!({ "token": self.token });
        if let Some((name, groups)) = self.as_whom {
            user["as"] = json!(name);
            user["as-groups"] = json!(groups);
        }
        json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{
                "name": "test",
                "cluster": { "server": self.server, "certificate-authority": self.certificate },
            }],
            "users": [{ "name": "test", "user": user }],
            "contexts": [{ "name": "test", "context": { "cluster": "test", "user": "test" } }],
            "current-context": "test",
        })
    }
}
