//! Keeps the report objects of the slots equal to what the slots are, where their
//! kind is defined. As everything here it goes by states: what is reported is
//! compared with what should be, so that a restart or another leader needs no memory.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use trimtab_cluster::reports::{ByName, Failed, Reports};
use trimtab_core::id::{InstanceId, SlotId, Stem};

use crate::{
    memory::Counts,
    view::{PluginView, SlotView},
    workshop::Workshop,
};

/// Between two looks: how old a report may be. Each routes all objects to count them.
const INTERVAL: Duration = Duration::from_secs(10);
/// So many looks find what somebody else has done to the reports.
const LOOKS_BETWEEN_LISTS: u32 = 6;

/// Writes the reports.
pub struct Reporting {
    /// What is reported of.
    pub shop: Arc<Workshop>,
    /// Where it is.
    pub reports: Reports,
}

/// What was done last.
#[derive(Default)]
struct Reported {
    /// The reports as they were then.
    said: ByName,
    /// Looks until all of them are read again.
    looks: u32,
    /// The last look met an error, which was told.
    failed: bool,
}

impl Reporting {
    /// Reports until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let mut reported = Reported::default();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = tokio::time::sleep(INTERVAL) => {}
            }
            if self.shop.settings.dry_run || self.shop.discovery.known().get(&Reports::kind()).is_none() {
                continue;
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = self.look(&mut reported) => {}
            }
        }
    }

    async fn look(&self, reported: &mut Reported) {
        let wanted = self.wanted();
        let said = wanted.iter().map(|(name, (_, status))| (name.clone(), status.clone())).collect::<ByName>();
        reported.looks = reported.looks.saturating_sub(1);
        if reported.looks > 0 && reported.said == said {
            return;
        }
        match self.bring_about(&wanted).await {
            Ok(()) => *reported = Reported { said, looks: LOOKS_BETWEEN_LISTS, failed: false },
            Err(error) => {
                if !reported.failed {
                    tracing::info!(%error, "the reports of the plugins cannot be kept; see `kubectl get plugins`");
                }
                (reported.looks, reported.failed) = (0, true);
            }
        }
    }

    /// The reports of the slots of all instances that this process leads, by name.
    fn wanted(&self) -> BTreeMap<String, (SlotId, Value)> {
        let mut counts = self.shop.counts();
        let view = self.shop.published.view.load_full();
        let wanted = view.iter().filter_map(|slot| {
            let id = SlotId { instance: InstanceId::new(&slot.instance_id).ok()?, stem: Stem::new(&slot.stem).ok()? };
            let objects = counts.remove(&slot.path()).unwrap_or_default();
            let status = status(&PluginView { slot: slot.clone(), objects });
            self.shop.leading.leads(&id.instance).then(|| (self.reports.name(&id), (id, status)))
        });
        wanted.collect()
    }

    /// Writes what differs. A report that is refused keeps none of the others; the last
    /// refusal is told.
    async fn bring_about(&self, wanted: &BTreeMap<String, (SlotId, Value)>) -> Result<(), Failed> {
        let there = self.reports.all().await?;
        let mut refused = None;
        for (name, (slot, status)) in wanted {
            if there.get(name) != Some(status) {
                refused = refusal(self.reports.put(slot, status).await)?.or(refused);
            }
        }
        for (name, status) in there.iter().filter(|(name, _)| !wanted.contains_key(*name)) {
            if self.is_left(status).await? {
                refused = refusal(self.reports.remove(name).await)?.or(refused);
            }
        }
        refused.map_or(Ok(()), Err)
    }

    /// Whether a report is of a slot that is gone: of an instance that is led here, or,
    /// where the default one is, of one that nobody leads any more.
    async fn is_left(&self, status: &Value) -> Result<bool, Failed> {
        let leads = |instance: &InstanceId| self.shop.leading.leads(instance);
        match InstanceId::new(status["instance"].as_str().unwrap_or_default()) {
            Ok(instance) if leads(&instance) => Ok(true),
            Ok(instance) if leads(&InstanceId::default_instance()) => Ok(!self.reports.is_led(&instance).await?),
            _ => Ok(false),
        }
    }
}

/// A refusal; any other error would meet the next request, too.
fn refusal(done: Result<(), Failed>) -> Result<Option<Failed>, Failed> {
    match done {
        Err(refused) if refused.is_refusal() => Ok(Some(refused)),
        done => done.map(|()| None),
    }
}

/// What is reported of a slot.
fn status(view: &PluginView) -> Value {
    let PluginView { slot, objects: Counts { settled, waiting, failing, other } } = view;
    let SlotView { instance_id, lineage, state, reason, identity, kind, version, .. } = slot;
    let mut status = json!({
        "file": slot.path(), "instance": instance_id, "lineage": lineage, "state": state, "reason": reason,
        "kind": kind, "version": version, "identity": identity,
        "objects": settled + waiting + failing + other, "settled": settled, "waiting": waiting, "failing": failing,
    });
    // As the server keeps it.
    status.as_object_mut().expect("it was made as one").retain(|_, value| !value.is_null());
    status
}
