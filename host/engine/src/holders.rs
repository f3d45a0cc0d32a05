//! Whether somebody still serves an instance of which this process is not the leader:
//! what waits for a hold of it asks its Lease.

use std::{collections::BTreeMap, time::Duration};

use tokio::sync::Mutex;
use trimtab_cluster::lease::Sightings;
use trimtab_core::{
    env::Env,
    id::{InstanceId, Lineage},
};

/// For so long it is good, for all objects that wait, that somebody serves: as often as its holder
/// renews a Lease.
pub const FRESH: Duration = Duration::from_secs(2);

/// Asks the Leases of others.
pub struct Holders {
    leases: Sightings,
    /// At most one entry for each instance and lineage that was waited for just now.
    asked: Mutex<BTreeMap<(InstanceId, Lineage), Asked>>,
}

#[derive(Clone, Copy)]
struct Asked {
    at: Duration,
    serves: bool,
}

impl Holders {
    /// Has asked for none yet.
    pub fn new(leases: Sightings) -> Self {
        Self { leases, asked: Mutex::default() }
    }

    /// Whether a host may be serving an instance with a lineage. What cannot be told is
    /// no reason to act for what another holds.
    pub async fn may_serve(&self, env: &dyn Env, instance: &InstanceId, lineage: &Lineage) -> bool {
        // Held while it asks, so that of all who wait one does.
        let mut asked = self.asked.lock().await;
        let now = env.elapsed();
        let key = (instance.clone(), lineage.clone());
        // That nobody serves it holds at the moment alone: somebody may begin to.
        if asked.get(&key).is_some_and(|asked| asked.serves && now.saturating_sub(asked.at) < FRESH) {
            return true;
        }
        // Who asks no more for as long as a few answers hold begins anew, and so waits
        // the longer.
        asked.retain(|_, asked| now.saturating_sub(asked.at) < 8 * FRESH);
        self.leases.keep(|seen| seen == instance || asked.keys().any(|(asked, _)| asked == seen));
        let serves = self.leases.may_be_served(instance, lineage).await.unwrap_or_else(|error| {
            tracing::debug!(%instance, %error, "whether anybody serves the instance cannot be told");
            true
        });
        asked.insert(key, Asked { at: env.elapsed(), serves });
        serves
    }
}
