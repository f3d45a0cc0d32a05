//! `trimtab run`: serve a real cluster.

use anyhow::{Context, bail};
use tokio_util::sync::CancellationToken;
use trimtab_cluster::connect;

use crate::{
    cli::RunArgs,
    wiring::{self, Runtimes},
};

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
        wiring::serve(&args.serve, settings, connection.client, wasm, CancellationToken::new()).await
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
