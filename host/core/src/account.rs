//! As whom a plugin's writes are made, where its policy names somebody: a service
//! account, whose own RBAC then holds for the plugin by itself.

use std::fmt;

use crate::{id::Lineage, selector::is_subdomain};

/// A service account.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Account {
    /// Where it lies.
    pub namespace: String,
    /// What it is called.
    pub name: String,
}

impl Account {
    /// Reads `namespace/name`.
    pub fn parse(text: &str) -> Option<Self> {
        let (namespace, name) = text.split_once('/')?;
        // A namespace follows the rule of lineages: a DNS label.
        let fits = Lineage::new(namespace).is_ok() && is_subdomain(name);
        fits.then(|| Self { namespace: namespace.to_owned(), name: name.to_owned() })
    }

    /// The user that the API server knows it as; its groups the server adds itself.
    pub fn user(&self) -> String {
        format!("system:serviceaccount:{}:{}", self.namespace, self.name)
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_a_namespace_and_a_name_and_nothing_that_could_name_another_user() {
        let account = Account::parse("team-a/site.writer").unwrap();
        assert_eq!(account.user(), "system:serviceaccount:team-a:site.writer");
        assert_eq!(account.to_string(), "team-a/site.writer");
        for wrong in ["site", "/site", "a/", "a/b/c", "a/b:c", "a:b/c", "system:admin", "A/b", "a/b c"] {
            assert_eq!(Account::parse(wrong), None, "{wrong}");
        }
    }
}
