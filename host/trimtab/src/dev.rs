//! `trimtab dev`: an API in memory and a host against it, until a signal.

use std::{net::SocketAddr, path::Path};

use anyhow::Context;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use trimtab_apiserver::{ApiServer, Config};
use trimtab_cluster::connect;

use crate::{
    cli::DevArgs,
    local::Local,
    os_env::OsEnv,
    wiring::{self, Runtimes},
};

/// Serves until a signal.
pub fn main(args: DevArgs) -> anyhow::Result<()> {
    let runtimes = Runtimes::start()?;
    let wasm = runtimes.wasm(args.serve.cache.as_deref(), args.serve.workers)?;
    runtimes.host.block_on(async {
        let api = ApiServer::new(Config { seed: trimtab_core::env::Env::random(&OsEnv), ..Config::default() });
        let listener = TcpListener::bind(args.listen).await;
        let listener = listener
            .with_context(|| format!("--listen {} cannot be listened on; port 0 takes a free one", args.listen))?;
        let address = listener.local_addr().context("asking for the bound address")?;
        write_kubeconfig(&args.kubeconfig, address)?;

        let local = Local::new(api.clone());
        for file in &args.apply {
            let count = local.apply_file(file).await?;
            println!("applied {count} objects from {}", file.display());
        }
        std::fs::create_dir_all(&args.serve.plugins)
            .with_context(|| format!("making the plugins folder {}", args.serve.plugins.display()))?;
        println!("an API in memory listens on http://{address}");
        println!("look:     kubectl --kubeconfig {} get all", args.kubeconfig.display());
        println!("plugins:  copy .wasm files into {}", args.serve.plugins.display());
        println!("stop:     Ctrl-C");

        let stop = CancellationToken::new();
        let served = tokio::spawn(api.clone().serve(listener, stop.clone().cancelled_owned()));
        let settings = wiring::settings(&args.serve, "default".into(), false)?;
        let done = wiring::serve(&args.serve, settings, connect::service(api).client, wasm, stop.clone()).await;
        stop.cancel();
        served.await.context("the API's task")?.context("serving the API")?;
        done
    })
}

/// Writes a kubeconfig that leads to the API: kubectl needs nothing else.
fn write_kubeconfig(file: &Path, address: SocketAddr) -> anyhow::Result<()> {
    let config = serde_json::json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "trimtab-dev",
        "clusters": [{ "name": "trimtab-dev", "cluster": { "server": format!("http://{address}") } }],
        "users": [{ "name": "trimtab-dev", "user": {} }],
        "contexts": [{ "name": "trimtab-dev", "context": { "cluster": "trimtab-dev", "user": "trimtab-dev" } }],
    });
    std::fs::write(file, format!("{config:#}\n")).with_context(|| format!("writing {}", file.display()))
}
