//! The API that `trimtab dev` works on: one in memory in this process, behind a
//! port, or a real kube-apiserver.

use std::{net::SocketAddr, path::Path};

use anyhow::Context;
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use trimtab_apiserver::{ApiServer, Config};
use trimtab_cluster::{Client, connect};
use trimtab_core::env::Env;

use super::assets::ControlPlane;
use crate::os_env::OsEnv;

/// An API that is served.
pub struct Api {
    /// A client of it.
    pub client: Client,
    /// Where it listens.
    pub address: String,
    /// What kubectl needs.
    pub kubeconfig: Value,
    /// A real controller manager works on it.
    pub has_controllers: bool,
    served: Served,
}

enum Served {
    InMemory { task: JoinHandle<std::io::Result<()>>, stop: CancellationToken },
    Real(Box<ControlPlane>),
}

impl Api {
    /// In memory.
    pub async fn in_memory(listen: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(listen).await.with_context(|| cannot_listen(listen))?;
        let address = listener.local_addr().context("asking for the bound address")?;
        let server = ApiServer::new(Config { seed: OsEnv.random(), ..Config::default() });
        let stop = CancellationToken::new();
        let task = tokio::spawn(server.clone().serve(listener, stop.clone().cancelled_owned()));
        let address = format!("http://{address}");
        Ok(Self {
            client: connect::service(server).client,
            // Some clients take no plain HTTP where certificates are to be checked.
            kubeconfig: kubeconfig(json!({ "server": address, "insecure-skip-tls-verify": true }), json!({})),
            address,
            has_controllers: false,
            served: Served::InMemory { task, stop },
        })
    }

    /// With the binaries of a folder, which keep their data and logs in `state`.
    pub async fn real(binaries: &Path, listen: SocketAddr, state: &Path) -> anyhow::Result<Self> {
        // Asked now, it is told clearly, and not by the last lines of a log.
        let listener = TcpListener::bind(listen).await.with_context(|| cannot_listen(listen))?;
        let address = listener.local_addr().context("asking for the bound address")?;
        drop(listener);
        let mut plane = ControlPlane::start(binaries, address, state)?;
        let cluster = json!({ "server": format!("https://{address}"), "certificate-authority": plane.certificate() });
        let kubeconfig = kubeconfig(cluster, json!({ "token": plane.token() }));
        let own = state.join("admin.kubeconfig");
        std::fs::write(&own, kubeconfig.to_string()).with_context(|| format!("writing {}", own.display()))?;
        let client = plane.ready(&own).await?;
        let has_controllers = plane.start_controllers(&own)?;
        let address = format!("https://{address}");
        Ok(Self { client, address, kubeconfig, has_controllers, served: Served::Real(Box::new(plane)) })
    }

    /// The folder of a real control plane that lacks the controller manager,
    /// which nothing stands in for where it collects garbage.
    pub fn lacks_controllers(&self) -> Option<&Path> {
        match &self.served {
            Served::Real(plane) if !self.has_controllers => Some(plane.binaries()),
            Served::Real(_) | Served::InMemory { .. } => None,
        }
    }

    /// Ends it, and what it keeps.
    pub async fn end(self) -> anyhow::Result<()> {
        match self.served {
            Served::InMemory { task, stop } => {
                stop.cancel();
                task.await.context("the API's task")?.context("serving the API")
            }
            Served::Real(plane) => {
                drop(plane);
                Ok(())
            }
        }
    }
}

fn cannot_listen(address: SocketAddr) -> String {
    format!("--listen {address} cannot be listened on; port 0 takes a free one")
}

/// The name of cluster, user and context, by which a file is known as ours.
pub const NAME: &str = "trimtab-dev";

fn kubeconfig(cluster: Value, user: Value) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": NAME,
        "clusters": [{ "name": NAME, "cluster": cluster }],
        "users": [{ "name": NAME, "user": user }],
        "contexts": [{ "name": NAME, "context": { "cluster": NAME, "user": NAME } }],
    })
}
