//! `trimtab release`: takes away the finalizers of lineages that nothing serves any
//! more, so that no object is held for ever by a plugin that is gone. It asks and
//! writes as a person with kubectl does, and says what.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use anyhow::{Context, bail};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use trimtab_cluster::{
    connect,
    discovery::{Discovery, Kinds},
    lease::LINEAGES,
};
use trimtab_core::{
    decorate, finalizer,
    id::Lineage,
    inherit::Inherit,
    kind::Kind,
    marks,
    object::{Meta, Object},
    write::{Action, Write},
};

use crate::{cli::ReleaseArgs, local::Local, wiring::Runtimes};

/// Objects in one answer of a list, as the host itself asks for.
const PAGE_OBJECTS: u32 = 500;
/// How long the server may take to say which kinds it has.
const DISCOVERED: Duration = Duration::from_secs(30);
/// Who has not renewed a Lease for so long is gone: twenty times its duration.
const GONE: Duration = Duration::from_secs(300);

const LEASES: &str = "/apis/coordination.k8s.io/v1/leases";

/// Releases what nothing serves.
pub fn main(args: ReleaseArgs) -> anyhow::Result<()> {
    let wanted = args.lineages.iter().map(|name| Lineage::new(name)).collect::<Result<BTreeSet<_>, _>>()?;
    let runtimes = Runtimes::start()?;
    runtimes.host.block_on(async {
        let connection = match &args.kubeconfig {
            Some(file) => connect::kubeconfig(file).await,
            None => connect::infer().await,
        }
        .context("connecting to the cluster")?;
        let discovery = Discovery::new(connection.client.clone());
        let release = Release { api: Local::new(connection.client), marks: args.marks, dry_run: args.dry_run };
        let served = release.served(!wanted.is_empty()).await?;
        if let Some((lineage, holder)) = wanted.iter().find_map(|lineage| served.get_key_value(lineage)) {
            bail!("{lineage} is served by {holder}: take its file out of the plugins folder, or stop that host, first");
        }
        let stop = CancellationToken::new();
        let mut kinds = discovery.kinds();
        let running = tokio::spawn({
            let stop = stop.clone();
            async move { discovery.run(stop).await }
        });
        let known = tokio::time::timeout(DISCOVERED, kinds.wait_for(|kinds| kinds.is_known())).await;
        let known = known.context("the server does not say which kinds it has")??.clone();
        let is_wanted =
            |lineage: &Lineage| !served.contains_key(lineage) && (wanted.is_empty() || wanted.contains(lineage));
        let released = release.all(&known, &is_wanted).await;
        stop.cancel();
        running.await.context("the discovery broke")?;
        println!("{} objects released{}", released?, if args.dry_run { " (not really: --dry-run)" } else { "" });
        Ok(())
    })
}

struct Release {
    api: Local,
    marks: bool,
    dry_run: bool,
}

impl Release {
    /// The lineages that are served, and by whom, as the Leases of all hosts say. A
    /// host that has just let go of its Lease may be back soon, so it counts, unless
    /// the lineages to release are `named`.
    async fn served(&self, named: bool) -> anyhow::Result<BTreeMap<Lineage, String>> {
        let leases = self.api.get(LEASES).await?.context("the server serves no Leases")?;
        let now = Timestamp::now();
        let ours = |lease: &&Value| lease["metadata"]["annotations"][marks::INSTANCE_LABEL].is_string();
        let leases = leases["items"].as_array().into_iter().flatten().filter(ours);
        let mut lineages = BTreeMap::new();
        for lease in leases.filter(|lease| is_recent(lease, now)) {
            let holder = lease["spec"]["holderIdentity"].as_str().unwrap_or_default();
            if named && holder.is_empty() {
                continue;
            }
            let said = lease["metadata"]["annotations"][LINEAGES].as_str().map(serde_json::from_str::<Vec<String>>);
            let Some(Ok(names)) = said else {
                let name = lease["metadata"]["name"].as_str().unwrap_or_default();
                bail!(
                    "the Lease {name} does not say yet which lineages {holder} serves: run this again in some seconds"
                );
            };
            let names = names.iter().filter_map(|name| Lineage::new(name).ok());
            let holder = if holder.is_empty() { "a host that stopped within the last minutes" } else { holder };
            lineages.extend(names.map(|lineage| (lineage, holder.to_owned())));
        }
        Ok(lineages)
    }

    /// Looks at the objects of all kinds.
    async fn all(&self, kinds: &Kinds, is_wanted: &impl Fn(&Lineage) -> bool) -> anyhow::Result<usize> {
        let mut released = 0;
        for kind in kinds.iter() {
            let can = |verb: &str| {
                let version = kind.version(kind.metadata_version());
                version.is_some_and(|version| version.verbs.iter().any(|known| known == verb))
            };
            if can("list") && can("patch") {
                released += self.of_kind(kind, is_wanted).await?;
            }
        }
        Ok(released)
    }

    async fn of_kind(&self, kind: &Kind, is_wanted: &impl Fn(&Lineage) -> bool) -> anyhow::Result<usize> {
        let api_version = kind.api_version(kind.metadata_version());
        let collection = path(kind, "");
        let (mut released, mut next) = (0, String::new());
        loop {
            let page = self.api.get(&format!("{collection}?limit={PAGE_OBJECTS}&continue={next}")).await?;
            // A kind may go while it is looked at.
            let Some(page) = page else { return Ok(released) };
            for item in page["items"].as_array().into_iter().flatten() {
                let object = Object::parse(&item.to_string(), &api_version, &kind.id.kind)?;
                released += usize::from(self.object(kind, object, is_wanted).await?);
            }
            match page["metadata"]["continue"].as_str().filter(|token| !token.is_empty()) {
                Some(token) => next = token.to_owned(),
                None => return Ok(released),
            }
        }
    }

    /// Releases an object from each lineage that holds it and is to let it go.
    async fn object(&self, kind: &Kind, object: Object, is_wanted: &impl Fn(&Lineage) -> bool) -> anyhow::Result<bool> {
        let mut object = Some(object);
        let mut released = false;
        let holders = object.iter().flat_map(|object| holders(&object.meta)).filter(|lineage| is_wanted(lineage));
        for lineage in holders.collect::<Vec<_>>() {
            let Some(now) = object.take() else { break };
            let write = match self.marks {
                true => decorate::release(&now, kind, &lineage, &Inherit::default()),
                false => finalizer::decide(&now.meta, kind, &lineage, &Inherit::default(), false),
            };
            object = match write {
                Some(write) => {
                    released = true;
                    self.write(kind, &lineage, now, &write).await?
                }
                None => Some(now),
            };
        }
        Ok(released)
    }

    /// Writes, and returns the object as it is then; none: it is gone.
    async fn write(
        &self,
        kind: &Kind,
        lineage: &Lineage,
        object: Object,
        write: &Write,
    ) -> anyhow::Result<Option<Object>> {
        let Action::Metadata { seen, patch } = &write.action else { bail!("{write} is no change of metadata") };
        let place = &write.place;
        println!(
            "{}{place}: what {lineage} holds it by",
            if self.dry_run { "would take from " } else { "taking from " }
        );
        if self.dry_run {
            return Ok(Some(object));
        }
        let mut metadata = json!(patch);
        metadata["uid"] = seen.uid.as_str().into();
        metadata["resourceVersion"] = seen.resource_version.to_string().into();
        let path = format!("{}/{}", path(kind, &place.namespace), place.name);
        let answer = self.api.merge(&path, &json!({ "metadata": metadata })).await;
        let answer = answer.with_context(|| format!("{place}: run it again if the object has changed meanwhile"))?;
        let object = Object::parse(&answer.to_string(), &kind.api_version(&write.version), &place.kind.kind)?;
        // Nothing that is being deleted outlives its last finalizer.
        Ok(Some(object).filter(|object| !object.meta.deleting || !object.meta.finalizers.is_empty()))
    }
}

/// The lineages that have left something on an object that holds it or is to be
/// taken back.
fn holders(object: &Meta) -> BTreeSet<Lineage> {
    let finalizers = object.finalizers.iter().filter_map(|held| held.strip_prefix(marks::PREFIX));
    let labels = object.labels.iter().map(|(name, _)| name);
    let names = labels.chain(object.marks.iter().map(|(name, _)| name));
    let decorators = names.filter_map(|name| name.strip_prefix(marks::DECORATOR_PREFIX));
    finalizers.chain(decorators).filter_map(|name| Lineage::new(name).ok()).collect()
}

/// Whether a Lease was renewed not long ago. A host that died may come back, and a
/// clock may be wrong, so it is given more time than by another host.
fn is_recent(lease: &Value, now: Timestamp) -> bool {
    let renewed = lease["spec"]["renewTime"].as_str().and_then(|time| time.parse::<Timestamp>().ok());
    renewed.is_some_and(|renewed| now.duration_since(renewed) < GONE.try_into().expect("minutes fit"))
}

/// The path of a kind's objects, in a namespace or in all.
fn path(kind: &Kind, namespace: &str) -> String {
    let root = if kind.id.group.is_empty() { "api" } else { "apis" };
    let version = kind.api_version(kind.metadata_version());
    match namespace {
        "" => format!("/{root}/{version}/{}", kind.plural),
        _ => format!("/{root}/{version}/namespaces/{namespace}/{}", kind.plural),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_counts_until_its_holder_has_been_silent_for_long_and_by_a_clock_that_is_ahead_too() {
        let now: Timestamp = "2026-01-01T00:10:00Z".parse().unwrap();
        let renewed_at = |time: &str| is_recent(&json!({ "spec": { "renewTime": time } }), now);
        assert!(renewed_at("2026-01-01T00:09:00.000000Z"));
        assert!(renewed_at("2026-01-01T00:20:00.000000Z"));
        assert!(!renewed_at("2026-01-01T00:04:00.000000Z"));
        assert!(!is_recent(&json!({}), now));
    }

    #[test]
    fn whoever_has_left_a_finalizer_or_a_mark_is_a_holder_and_nobody_else() {
        let metadata = json!({ "name": "a", "uid": "u", "resourceVersion": "1",
            "finalizers": ["trimtab.dev/site", "other.dev/x", "trimtab.dev/Not-One"],
            "labels": { "decorator.trimtab.dev/team": "", "trimtab.dev/plugin": "maker" },
            "annotations": { "decorator.trimtab.dev/audit": "{}" } });
        let object = Object::parse(&json!({ "metadata": metadata }).to_string(), "v1", "ConfigMap").unwrap();
        let holders = holders(&object.meta).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(holders, ["audit", "site", "team"]);
    }
}
