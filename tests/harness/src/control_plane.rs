//! The control plane: started, waited for, used, broken and mended.

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, ensure};
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, Client, Config,
    api::PostParams,
    config::{KubeConfigOptions, Kubeconfig},
};
use tokio::sync::OnceCell;
use trimtab_guard::{Group, Process};

use crate::{eventually, kubeconfig::Access};

/// Generous: a start takes 3 s on an idle machine, but tests build beside it, and a server
/// that comes back reconciles its roles among the requests of all who have waited.
const START: Duration = Duration::from_secs(300);
/// Grants all: its group is system:masters.
const TOKEN: &str = "trimtab-test";

/// How a control plane differs from the usual one.
#[derive(Clone, Copy, Default)]
pub struct Options<'a> {
    /// Controllers of kube-controller-manager to run besides the garbage
    /// collector and the one that empties namespaces.
    pub controllers: &'a [&'a str],
    /// More flags for kube-apiserver.
    pub apiserver_flags: &'a [&'a str],
}

/// etcd, kube-apiserver and kube-controller-manager, gone when it is dropped.
pub struct ControlPlane {
    binaries: PathBuf,
    apiserver_args: Vec<String>,
    etcd_args: Vec<String>,
    port: u16,
    apiserver: Mutex<Option<Process>>,
    etcd: Mutex<Option<Process>>,
    /// Kept for its drop.
    _manager: Mutex<Option<Process>>,
    namespaces: AtomicU32,
    /// Where the processes keep their data and logs.
    folder: PathBuf,
    /// Dropped last: it removes the folder.
    group: Group,
}

impl ControlPlane {
    /// The admin's bearer token.
    pub const TOKEN: &'static str = TOKEN;

    /// Starts one with garbage collection and namespace deletion.
    ///
    /// # Panics
    /// Where it does not start: a test never skips silently.
    pub async fn start() -> Self {
        Self::start_with(Options::default()).await
    }

    /// Starts one with `options`. Panics where it does not start.
    pub async fn start_with(options: Options<'_>) -> Self {
        Self::try_start(options).await.unwrap_or_else(|error| panic!("no control plane to test against: {error:#}"))
    }

    /// The one that all tests of one binary share, each in its own namespace.
    pub async fn shared() -> &'static Self {
        static SHARED: OnceCell<ControlPlane> = OnceCell::const_new();
        SHARED.get_or_init(Self::start).await
    }

    async fn try_start(options: Options<'_>) -> anyhow::Result<Self> {
        let binaries = binaries()?;
        let folder = tempfile::Builder::new().prefix("trimtab-control-plane-").tempdir()?.keep();
        let group = Group::with_folder(&folder)?;
        let [client_port, peer_port, port] = free_ports()?;
        let etcd = format!("http://127.0.0.1:{client_port}");
        let peer = format!("http://127.0.0.1:{peer_port}");
        let etcd_args = [
            "--data-dir=etcd".to_owned(),
            "--unsafe-no-fsync".into(),
            "--log-level=warn".into(),
            format!("--listen-client-urls={etcd}"),
            format!("--advertise-client-urls={etcd}"),
            format!("--listen-peer-urls={peer}"),
            format!("--initial-advertise-peer-urls={peer}"),
            format!("--initial-cluster=default={peer}"),
        ];

        make_key(&folder.join("service-accounts.key"))?;
        std::fs::write(folder.join("tokens.csv"), format!("{TOKEN},admin,admin,system:masters\n"))?;
        let control_plane = Self {
            apiserver_args: apiserver_args(port, &etcd, options.apiserver_flags),
            etcd_args: etcd_args.to_vec(),
            binaries,
            port,
            apiserver: Mutex::new(None),
            etcd: Mutex::new(None),
            _manager: Mutex::new(None),
            namespaces: AtomicU32::new(0),
            folder,
            group,
        };
        control_plane.run_etcd();
        control_plane.start_apiserver().await;
        control_plane.start_manager(options.controllers)?;
        Ok(control_plane)
    }

    fn start_manager(&self, more: &[&str]) -> anyhow::Result<()> {
        let controllers = [&["garbage-collector-controller", "namespace-controller"], more].concat().join(",");
        let args = [
            format!("--kubeconfig={}", self.kubeconfig().display()),
            format!("--controllers={controllers}"),
            "--leader-elect=false".into(),
            "--use-service-account-credentials=false".into(),
            "--secure-port=0".into(),
        ];
        let manager = self.group.start(&self.binaries.join("kube-controller-manager"), &args, &self.folder)?;
        *self._manager.lock().expect("no holder panics") = Some(manager);
        Ok(())
    }

    /// The folder with `kube-apiserver`, `kubectl` and the others.
    pub fn binaries(&self) -> &Path {
        &self.binaries
    }

    /// The process group of the control plane. What a test starts in it is
    /// killed with it, however the test ends.
    pub fn process_group(&self) -> i32 {
        self.group.id()
    }

    /// A client of the admin. One for each test: a client lives on the runtime
    /// that made it.
    pub async fn client(&self) -> Client {
        client_of(self.access(None)).await
    }

    /// A client of someone else, to be given rights by RBAC.
    pub async fn client_as(&self, user: &str, groups: &[&str]) -> Client {
        client_of(self.access(Some((user, groups)))).await
    }

    /// The path of the admin's kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.written("admin.kubeconfig", None)
    }

    /// The path of a kubeconfig of someone else.
    pub fn kubeconfig_as(&self, user: &str, groups: &[&str]) -> PathBuf {
        self.written(&format!("{}.kubeconfig", user.replace(['/', ':'], "-")), Some((user, groups)))
    }

    /// Runs kubectl as the admin and returns what it prints.
    ///
    /// # Panics
    /// With its errors, where it fails.
    pub fn kubectl(&self, args: &[&str]) -> String {
        let mut command = Command::new(self.binaries.join("kubectl"));
        command.arg("--kubeconfig").arg(self.kubeconfig()).args(args);
        let output = command.output().expect("kubectl was built with the others");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "kubectl {}: {error}", args.join(" "));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Makes a namespace of its own for a test and returns its name.
    pub async fn namespace(&self) -> String {
        let name = format!("test-{}", self.namespaces.fetch_add(1, Ordering::Relaxed));
        let namespaces = Api::<Namespace>::all(self.client().await);
        let namespace = Namespace {
            metadata: kube::api::ObjectMeta { name: Some(name.clone()), ..Default::default() },
            ..Default::default()
        };
        namespaces.create(&PostParams::default(), &namespace).await.expect("the admin may make namespaces");
        name
    }

    /// Kills kube-apiserver, as a crash would.
    pub fn stop_apiserver(&self) {
        if let Some(mut process) = self.apiserver().take() {
            process.kill().expect("our own child can be killed");
        }
    }

    /// Starts kube-apiserver, on the same port and data as before, and waits
    /// until it is ready.
    pub async fn start_apiserver(&self) {
        let program = self.binaries.join("kube-apiserver");
        let process = self.group.start(&program, &self.apiserver_args, &self.folder).expect("the binary was built");
        *self.apiserver() = Some(process);
        eventually("kube-apiserver is ready", START, || self.ready()).await;
    }

    /// Kills etcd, as a crash would.
    pub fn stop_etcd(&self) {
        if let Some(mut process) = self.etcd().take() {
            process.kill().expect("our own child can be killed");
        }
    }

    /// Starts etcd, on the same port and data as before, and waits until the API
    /// server is ready again.
    pub async fn start_etcd(&self) {
        self.run_etcd();
        eventually("kube-apiserver is ready again", START, async || {
            // Its port is nobody's while it is away; who has borrowed it gives it back.
            let ended = self.etcd().as_mut()?.check().is_err();
            if ended {
                self.run_etcd();
            }
            self.ready().await
        })
        .await;
    }

    fn run_etcd(&self) {
        let process = self.group.start(&self.binaries.join("etcd"), &self.etcd_args, &self.folder);
        *self.etcd() = Some(process.expect("the binary was built"));
    }

    /// Stops kube-apiserver where it is: connections stay open, nothing answers.
    pub fn pause_apiserver(&self) {
        self.apiserver().as_ref().expect("it runs").pause().expect("our own child can be stopped");
    }

    /// Lets it go on after [`ControlPlane::pause_apiserver`].
    pub fn resume_apiserver(&self) {
        self.apiserver().as_ref().expect("it runs").resume().expect("our own child can go on");
    }

    /// Ready, and the namespace that every cluster has is there.
    async fn ready(&self) -> Option<()> {
        self.apiserver().as_mut()?.check().unwrap_or_else(|error| panic!("{error:#}"));
        if !self.certificate().exists() {
            return None;
        }
        let client = client_of(self.access(None)).await;
        let readyz = http::Request::get("/readyz").body(Vec::new()).expect("it is a path");
        client.request_text(readyz).await.ok()?;
        Api::<Namespace>::all(client).get("default").await.ok().map(|_| ())
    }

    fn etcd(&self) -> MutexGuard<'_, Option<Process>> {
        self.etcd.lock().expect("no holder panics")
    }

    fn apiserver(&self) -> MutexGuard<'_, Option<Process>> {
        self.apiserver.lock().expect("no holder panics")
    }

    fn certificate(&self) -> PathBuf {
        self.folder.join("certificates/apiserver.crt")
    }

    fn access<'a>(&self, as_whom: Option<(&'a str, &'a [&'a str])>) -> Access<'a> {
        let server = format!("https://127.0.0.1:{}", self.port);
        Access { server, certificate: self.certificate(), token: TOKEN, as_whom }
    }

    fn written(&self, name: &str, as_whom: Option<(&str, &[&str])>) -> PathBuf {
        let path = self.folder.join(name);
        // Moved into place whole: another test may be reading the one before.
        let file = tempfile::NamedTempFile::new_in(&self.folder).expect("the folder is ours");
        std::fs::write(file.path(), self.access(as_whom).kubeconfig().to_string()).expect("the file is ours");
        file.persist(&path).expect("the folder is ours");
        path
    }
}

fn apiserver_args(port: u16, etcd: &str, more: &[&str]) -> Vec<String> {
    let args = [
        &format!("--etcd-servers={etcd}"),
        &format!("--secure-port={port}"),
        "--bind-address=127.0.0.1",
        // Nobody's (RFC 5737): a machine without a route has no other, and one of the
        // loopback is refused every ten seconds where the server writes it down.
        "--advertise-address=192.0.2.1",
        "--cert-dir=certificates",
        "--token-auth-file=tokens.csv",
        "--authorization-mode=RBAC",
        "--service-account-issuer=https://trimtab.test",
        "--service-account-key-file=service-accounts.key",
        "--service-account-signing-key-file=service-accounts.key",
        // So many that no address that was given back is drawn again.
        "--service-cluster-ip-range=10.0.0.0/12",
        // No controller makes the default ServiceAccounts that it asks for.
        "--disable-admission-plugins=ServiceAccount",
    ];
    args.iter().chain(more).map(|&arg| arg.to_owned()).collect()
}

/// The folder with `kube-apiserver`, `kubectl` and the others, as the build
/// script prints it; its progress goes to our own standard error, since the
/// first build takes minutes.
pub fn binaries() -> anyhow::Result<PathBuf> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../control-plane/build.sh");
    let output = Command::new(&script).stderr(Stdio::inherit()).output();
    let output = output.with_context(|| format!("{} does not run; it needs bash", script.display()))?;
    ensure!(output.status.success(), "{} failed; it says above what it needs", script.display());
    Ok(PathBuf::from(String::from_utf8(output.stdout)?.trim()))
}

/// Ports that are free now, held until all are found so that they differ.
fn free_ports<const N: usize>() -> anyhow::Result<[u16; N]> {
    let listeners = (0..N).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<Result<Vec<_>, _>>()?;
    let ports = listeners.iter().map(|listener| Ok(listener.local_addr()?.port()));
    let ports = ports.collect::<anyhow::Result<Vec<_>>>()?;
    Ok(ports.try_into().expect("one port for each listener"))
}

fn make_key(path: &Path) -> anyhow::Result<()> {
    let output = Command::new("openssl").args(["genrsa", "-out"]).arg(path).arg("2048").output();
    let output = output.context("openssl makes the key of the service accounts: install it")?;
    ensure!(output.status.success(), "openssl genrsa: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

async fn client_of(access: Access<'_>) -> Client {
    let kubeconfig = serde_json::from_value::<Kubeconfig>(access.kubeconfig()).expect("it is a kubeconfig");
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
    let mut config = config.expect("the kubeconfig is our own");
    // A test wants to see what the server answers, not what a third try does.
    config.default_retry = false;
    Client::try_from(config).expect("the server's certificate is well formed")
}
