//! What happens to a world besides what happens to its requests.

use serde_json::json;
use tokio::time::Instant;

use super::{Broken, RESTART, World};
use crate::{api::Refused, fault::What, wire::Happening};

const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/default/leases";

impl World {
    pub(super) async fn happen(&mut self, happening: Happening) -> Result<(), Broken> {
        match happening {
            Happening::Died(process) => self.bury(process),
            Happening::Fault(What::LeaseDeleted) => self.lose_lease(true).await?,
            Happening::Fault(What::LeaseTaken) => self.lose_lease(false).await?,
            Happening::Fault(What::Restarted) => {
                let instances = self.stop_host().await;
                self.start_host_of(instances);
            }
            Happening::Fault(What::WallClockStep { process, by_s }) => self.env(process).step_wall(by_s),
            Happening::Fault(What::ClockRate { process, ppm }) => self.env(process).set_rate(ppm),
            Happening::Fault(what) => unreachable!("{what} happens on the wire"),
        }
        Ok(())
    }

    /// Another process is started after a while, unless this one was stopped anyhow.
    fn bury(&mut self, process: u32) {
        tracing::info!(process, "died");
        let Some(at) = self.hosts.iter().position(|host| host.process == process) else { return };
        let host = self.hosts.remove(at);
        self.restarts.push_back((Instant::now() + RESTART, host.instances.clone()));
    }

    /// The first Lease there is goes, or gets another holder.
    async fn lose_lease(&mut self, deleted: bool) -> Result<(), Refused> {
        let leases = self.api.get(LEASES).await?;
        let Some(lease) = leases["items"].get(0) else { return Ok(()) };
        let path = format!("{LEASES}/{}", lease["metadata"]["name"].as_str().unwrap_or_default());
        if deleted {
            self.api.delete(&path).await?;
        } else {
            self.api.merge(&path, &json!({ "spec": { "holderIdentity": "stranger" } })).await?;
        }
        self.traffic.audit.lease_lost(lease, deleted, self.clock.elapsed());
        Ok(())
    }
}
