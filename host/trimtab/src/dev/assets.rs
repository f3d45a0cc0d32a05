//! A real control plane from a folder of binaries, laid out as
//! `KUBEBUILDER_ASSETS` is: kube-apiserver and etcd, and where it lies there too,
//! kube-controller-manager.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::Request;
use ring::{
    rand::SystemRandom,
    signature::{self, EcdsaKeyPair, KeyPair},
};
use tokio::net::TcpStream;
use trimtab_cluster::{Client, connect};
use trimtab_core::env::Env;
use trimtab_guard::{Group, Process};

use crate::os_env::OsEnv;

/// A start takes 3 s on an idle machine.
const START: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(50);
/// The controllers of a controller manager that workloads and their ends need.
/// Service accounts are not among them, as their admission is off.
const CONTROLLERS: &str = "garbage-collector-controller,namespace-controller,deployment-controller,\
replicaset-controller,statefulset-controller,daemonset-controller,job-controller,cronjob-controller,\
ttl-after-finished-controller,disruption-controller";

/// Its processes, gone when this is dropped.
pub struct ControlPlane {
    binaries: PathBuf,
    state: PathBuf,
    address: SocketAddr,
    token: String,
    processes: Vec<Process>,
    group: Group,
}

impl ControlPlane {
    /// Starts etcd and kube-apiserver.
    pub fn start(binaries: &Path, address: SocketAddr, state: &Path) -> anyhow::Result<Self> {
        let [etcd, apiserver] = ["etcd", "kube-apiserver"].map(|name| binaries.join(name));
        for program in [&etcd, &apiserver] {
            if !program.is_file() {
                bail!("--assets {}: there is no {} in it", binaries.display(), program.display());
            }
        }
        // The processes run in another folder.
        let absolute = |path: &Path| fs::canonicalize(path).with_context(|| format!("looking for {}", path.display()));
        let (etcd, apiserver) = (absolute(&etcd)?, absolute(&apiserver)?);
        let token = format!("{:016x}{:016x}", OsEnv.random(), OsEnv.random());
        fs::write(state.join("tokens.csv"), format!("{token},admin,admin,system:masters\n"))?;
        let (private, public) = signing_keys()?;
        fs::write(state.join("service-accounts.key"), private)?;
        fs::write(state.join("service-accounts.pub"), public)?;
        let [client, peer] = free_ports()?.map(|port| format!("http://127.0.0.1:{port}"));
        let group = Group::new()?;
        let processes = vec![
            group.start(&etcd, &etcd_args(&client, &peer), state)?,
            group.start(&apiserver, &apiserver_args(address, &client), state)?,
        ];
        Ok(Self { binaries: binaries.to_owned(), state: state.to_owned(), address, token, processes, group })
    }

    /// Where its programs lie.
    pub fn binaries(&self) -> &Path {
        &self.binaries
    }

    /// Whoever has it may do everything.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// What the server shows, made by itself.
    pub fn certificate(&self) -> PathBuf {
        self.state.join("certificates/apiserver.crt")
    }

    /// Waits until the API is ready.
    pub async fn ready(&mut self, kubeconfig: &Path) -> anyhow::Result<Client> {
        let until = Instant::now() + START;
        loop {
            self.processes.iter_mut().try_for_each(Process::check)?;
            // A client that finds nobody says so in the log, so that is seen first.
            if TcpStream::connect(self.address).await.is_ok()
                && self.certificate().exists()
                && let Ok(connection) = connect::kubeconfig(kubeconfig).await
                && is_ready(&connection.client).await
            {
                return Ok(connection.client);
            }
            if Instant::now() > until {
                bail!("kube-apiserver is not ready after {START:?}; its log is in {}", self.state.display());
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Starts the controller manager, if there is one.
    pub fn start_controllers(&mut self, kubeconfig: &Path) -> anyhow::Result<bool> {
        let program = self.binaries.join("kube-controller-manager");
        if !program.is_file() {
            return Ok(false);
        }
        let args = [
            format!("--kubeconfig={}", kubeconfig.display()),
            format!("--controllers={CONTROLLERS}"),
            "--leader-elect=false".into(),
            "--use-service-account-credentials=false".into(),
            "--secure-port=0".into(),
        ];
        let program = fs::canonicalize(&program).with_context(|| format!("looking for {}", program.display()))?;
        self.processes.push(self.group.start(&program, &args, &self.state)?);
        Ok(true)
    }
}

/// Ready, and with the namespace that every cluster has.
async fn is_ready(client: &Client) -> bool {
    for path in ["/readyz", "/api/v1/namespaces/default"] {
        let request = Request::get(path).body(Vec::new().into()).expect("it is a path");
        if !client.send(request).await.is_ok_and(|answer| answer.status().is_success()) {
            return false;
        }
    }
    true
}

fn etcd_args(client: &str, peer: &str) -> Vec<String> {
    vec![
        "--data-dir=etcd".into(),
        // What it keeps is gone with this process.
        "--unsafe-no-fsync".into(),
        "--log-level=warn".into(),
        format!("--listen-client-urls={client}"),
        format!("--advertise-client-urls={client}"),
        format!("--listen-peer-urls={peer}"),
        format!("--initial-advertise-peer-urls={peer}"),
        format!("--initial-cluster=default={peer}"),
    ]
}

fn apiserver_args(address: SocketAddr, etcd: &str) -> Vec<String> {
    let args = [
        &format!("--etcd-servers={etcd}"),
        &format!("--secure-port={}", address.port()),
        &format!("--bind-address={}", address.ip()),
        // Nobody's (RFC 5737): a machine without a route has no other, and one of the
        // loopback is refused every ten seconds where the server writes it down.
        "--advertise-address=192.0.2.1",
        "--cert-dir=certificates",
        "--token-auth-file=tokens.csv",
        "--authorization-mode=RBAC",
        "--service-account-issuer=https://trimtab.dev",
        "--service-account-key-file=service-accounts.pub",
        "--service-account-signing-key-file=service-accounts.key",
        "--service-cluster-ip-range=10.96.0.0/16",
        // No controller makes the default ServiceAccounts that it asks for.
        "--disable-admission-plugins=ServiceAccount",
    ];
    args.iter().map(|&arg| arg.to_owned()).collect()
}

/// What stands before the point of a public key on the curve P-256, as the
/// certificates' standard writes it (SubjectPublicKeyInfo, RFC 5480).
const P256_KEY_INFO: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// The keys that the tokens of service accounts are signed with and checked by.
fn signing_keys() -> anyhow::Result<(String, String)> {
    let (algorithm, random) = (&signature::ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
    let failed = |why: String| anyhow::anyhow!("making the keys of the service accounts: {why}");
    let private = EcdsaKeyPair::generate_pkcs8(algorithm, &random).map_err(|error| failed(error.to_string()))?;
    let pair = EcdsaKeyPair::from_pkcs8(algorithm, private.as_ref(), &random);
    let pair = pair.map_err(|error| failed(error.to_string()))?;
    let public = [&P256_KEY_INFO[..], pair.public_key().as_ref()].concat();
    Ok((pem("PRIVATE KEY", private.as_ref()), pem("PUBLIC KEY", &public)))
}

fn pem(what: &str, der: &[u8]) -> String {
    format!("-----BEGIN {what}-----\n{}\n-----END {what}-----\n", STANDARD.encode(der))
}

/// Ports that are free now, held until all are found so that they differ.
fn free_ports<const N: usize>() -> anyhow::Result<[u16; N]> {
    let listeners = (0..N).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<Result<Vec<_>, _>>()?;
    let ports = listeners.iter().map(|listener| Ok(listener.local_addr()?.port()));
    let ports = ports.collect::<std::io::Result<Vec<_>>>().context("looking for free ports")?;
    Ok(ports.try_into().expect("one port for each listener"))
}
