//! What the binary or a simulation tells the engine; validated before it comes here.

use std::{collections::BTreeSet, time::Duration};

use trimtab_core::{id::InstanceId, instance::InstanceKey};

/// How one engine serves one cluster.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Which instances are served; none: all that the folder has.
    pub instances: Option<BTreeSet<InstanceId>>,
    /// Where objects say which instance serves them, unless a plugin's policy says
    /// otherwise.
    pub instance_key: InstanceKey,
    /// The watched namespaces; empty for all, with cluster-wide watches.
    pub namespaces: Vec<String>,
    /// The installation: part of the names of its Leases.
    pub installation: String,
    /// Where the Leases lie.
    pub lease_namespace: String,
    /// Who this process is, in Leases and Events: unique among all replicas.
    pub identity: String,
    /// Objects worked on at once.
    pub workers: usize,
    /// What the latest calls may take that are kept to be looked at and made again.
    pub calls_bytes: usize,
    /// Plans are logged and nothing is written; no Lease is taken.
    pub dry_run: bool,
}

/// The bytes of the latest calls that are kept, where nobody says otherwise: thousands
/// of small ones, or the largest that a plugin may be given.
pub const CALLS_BYTES: usize = 16 << 20;

/// How long a swap or a take-over waits between two looks at stores that are
/// not synced yet. Only a safety net: changes of health wake the waiting.
pub const RECHECK: Duration = Duration::from_secs(1);

impl Settings {
    /// Whether this process serves an instance.
    pub fn serves(&self, instance: &InstanceId) -> bool {
        self.instances.as_ref().is_none_or(|served| served.contains(instance))
    }

    /// The label selector that lets the server leave out the objects of other
    /// instances, where exactly one is served.
    pub fn object_selector(&self, key: &InstanceKey) -> Option<String> {
        let only = self.instances.as_ref().filter(|served| served.len() == 1)?.first()?;
        key.selector(only)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn serving(instances: Option<&[&str]>) -> Settings {
        Settings {
            instances: instances.map(|ids| ids.iter().map(|id| InstanceId::new(id).unwrap()).collect()),
            instance_key: InstanceKey::default(),
            namespaces: vec![],
            installation: "trimtab".into(),
            lease_namespace: "default".into(),
            identity: "me".into(),
            workers: 1,
            calls_bytes: 0,
            dry_run: false,
        }
    }

    #[test]
    fn the_server_filters_where_one_instance_is_served() {
        let selector = |instances| serving(instances).object_selector(&InstanceKey::parse("x/id").unwrap());
        assert_eq!(selector(None), None);
        assert_eq!(selector(Some(&["a", "b"])), None);
        assert_eq!(selector(Some(&["a"])).as_deref(), Some("x/id=a"));
        assert_eq!(selector(Some(&[""])).as_deref(), Some("!x/id"));
    }
}
