//! Connections to a cluster: from a kubeconfig, from within a pod, or over any
//! tower service.
//!
//! kube's own retries are off: they repeat a request up to 15 times unseen,
//! where a watch, a gate and an elector each have their own idea of when to ask
//! again and must hear of each failure. There is no read time-out on the
//! connection either, as a watch is silent for as long as nothing changes; each
//! caller puts a deadline on its own request.

use std::{path::Path, time::Duration};

use http::{Request, Response};
use kube::{
    Client, Config,
    client::Body,
    config::{InClusterError, KubeConfigOptions, Kubeconfig, KubeconfigError},
};
use tower::{BoxError, Service};

/// How long a TCP and TLS handshake may take. Twice what a lost SYN costs at
/// the third attempt, and less than an elector's renew deadline of 10 s.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(7);

/// How long the kernel may refuse to take a request's bytes: only a dead link
/// with a full send buffer does.
const WRITE_TIMEOUT: Duration = Duration::from_secs(15);

/// A connection, and what is known of where it leads.
#[derive(Clone)]
pub struct Connection {
    /// The client that all requests go through.
    pub client: Client,
    /// The server's address, for people to read.
    pub server: String,
    /// The namespace of the pod that this process runs in, if it does.
    pub pod_namespace: Option<String>,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Neither way of finding a cluster worked.
    #[error(
        "no cluster to connect to: no usable kubeconfig ({kubeconfig}) and not in a pod ({in_cluster}); set KUBECONFIG, write ~/.kube/config, or run in a pod with a service account"
    )]
    NoCluster {
        /// What is wrong with the kubeconfig.
        kubeconfig: KubeconfigError,
        /// What a pod would have.
        in_cluster: InClusterError,
    },
    /// A kubeconfig that was named cannot be used.
    #[error(
        "the kubeconfig {path} cannot be used: {source}; check the file, its current-context and the files that it names"
    )]
    Kubeconfig {
        /// Which file.
        path: String,
        /// What is wrong with it.
        source: KubeconfigError,
    },
    /// The configuration was read, but makes no client.
    #[error(
        "no client for {server}: {source}; check the cluster's certificate-authority and proxy-url and the user's credentials"
    )]
    Client {
        /// Where it was to lead.
        server: String,
        /// What is wrong.
        source: kube::Error,
    },
}

/// Connects as kubectl would (`KUBECONFIG`, then `~/.kube/config`), or else as
/// the service account of the pod that this process runs in.
pub async fn infer() -> Result<Connection, ConnectError> {
    match Config::from_kubeconfig(&KubeConfigOptions::default()).await {
        Ok(config) => connect(config, None),
        Err(kubeconfig) => {
            let config =
                Config::incluster().map_err(|in_cluster| ConnectError::NoCluster { kubeconfig, in_cluster })?;
            let namespace = config.default_namespace.clone();
            connect(config, Some(namespace))
        }
    }
}

/// Connects as one kubeconfig file says, with its current context.
pub async fn kubeconfig(path: &Path) -> Result<Connection, ConnectError> {
    let unusable = |source| ConnectError::Kubeconfig { path: path.display().to_string(), source };
    let file = Kubeconfig::read_from(path).map_err(unusable)?;
    let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.map_err(unusable)?;
    connect(config, None)
}

/// Connects over any service that answers HTTP requests as an API server does.
/// Must be called on a tokio runtime: the client buffers requests on a task.
pub fn service<S, B>(service: S) -> Connection
where
    S: Service<Request<Body>, Response = Response<B>> + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    // The client's default namespace is never used: each request names its own.
    Connection { client: Client::new(service, "default"), server: "in this process".into(), pod_namespace: None }
}

fn connect(mut config: Config, pod_namespace: Option<String>) -> Result<Connection, ConnectError> {
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    config.write_timeout = Some(WRITE_TIMEOUT);
    config.read_timeout = None;
    config.default_retry = false;
    let server = config.cluster_url.to_string();
    let client = Client::try_from(config).map_err(|source| ConnectError::Client { server: server.clone(), source })?;
    Ok(Connection { client, server, pod_namespace })
}
