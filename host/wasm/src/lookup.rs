//! The one thing that a plugin may ask for while it runs: objects of the cache.

use std::sync::Arc;

use trimtab_core::object::Object;

use crate::{called::LookUp, contract::KindRef};

/// Answers look-ups from a cache, without waiting: a guest holds a core while
/// it is asked.
pub trait Lookup: Send + Sync + 'static {
    /// What there is, in order of namespace and name; nothing where the cache is
    /// sure that there is none.
    fn find(&self, wanted: &LookUp) -> Result<Vec<Arc<Object>>, Refusal>;

    /// Whether objects of a kind lie in namespaces. Where they do not, a namespace
    /// that a guest names is passed over: it need not know the scope of each kind.
    fn in_namespaces(&self, _: &KindRef) -> bool {
        true
    }
}

/// Why a look-up has no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The cache cannot be sure. The run ends as waiting; the guest does not
    /// learn of it, lest it take the object for absent.
    NotReady(String),
    /// The description or the policy does not allow it. The guest is told.
    Denied(String),
}

/// For calls that may not look anything up.
pub(crate) struct NoLookups;

impl Lookup for NoLookups {
    fn find(&self, _: &LookUp) -> Result<Vec<Arc<Object>>, Refusal> {
        Err(Refusal::Denied("a plugin may look things up in reconcile only".to_owned()))
    }
}
