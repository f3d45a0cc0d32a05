//! `trimtab run`: serve a real cluster.

use anyhow::{Context, bail};
use tokio_util::sync::CancellationToken;
use trimtab_cluster::connect;

use crate::{
    cli::RunArgs,
    signals,
    wiring::{self, Host, Runtimes},
};

/// Where the admin interface listens by default.
const ADMIN_PORT: u16 = 8080;

/// Serves until a signal.
pub fn main(args: RunArgs) -> anyhow::Result<()> {
    let runtimes = Runtimes::start()?;
    let wasm = runtimes.wasm(args.serve.cache.as_deref(), args.serve.workers)?;
    runtimes.host.block_on(async {
        let connection = match &args.kubeconfig {
            Some(file) => connect::kubeconfig(file).await,
            None => connect::infer().await,
        }
        .context("connecting to the cluster")?;
        tracing::info!(server = connection.server, "connected");
        let namespace = lease_namespace(&args, connection.pod_namespace.as_deref())?;
        let settings = wiring::settings(&args.serve, namespace, args.dry_run)?;
        let keep = (!args.dry_run).then(|| wiring::keep(&args.serve, &args.plugins)).transpose()?;
        let host = Host::new(&args.serve, &args.plugins, ADMIN_PORT, settings, connection.client, wasm, keep).await?;
        let stop = CancellationToken::new();
        let signals = tokio::spawn(signals::watch(stop.clone()));
        let done = host.run(stop).await;
        signals.abort();
        done
    })
}

/// The kubeconfig's namespace is never taken: two people's hosts of one
/// installation would each lead in a namespace of their own.
fn lease_namespace(args: &RunArgs, pod: Option<&str>) -> anyhow::Result<String> {
    match (&args.lease_namespace, pod) {
        (Some(namespace), _) => Ok(namespace.clone()),
        (None, Some(pod)) => Ok(pod.to_owned()),
        (None, None) if args.serve.namespaces.is_empty() => Ok("default".into()),
        (None, None) => bail!(
            "--lease-namespace is required with --namespaces outside a pod: name one that this host may write Leases in"
        ),
    }
}
