//! Joins the rooms: from flags to an engine that can be run.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, bail};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use trimtab_cluster::Client;
use trimtab_core::{env::Env, id::InstanceId, instance::InstanceKey};
use trimtab_engine::{
    CALLS_BYTES, Engine, Keep, Parts, Settings,
    folder::{self, Follower},
};
use trimtab_wasm::{COMPILE_WALL, CompileCommand, Config, Mode, Serve, Wasm};

use crate::{admin::Admin, cli::ServeArgs, os_env::OsEnv};

/// Calls at once, running or waiting for their turn on a core, for each
/// worker: a worker waits for one call at a time, and a swap describes a few
/// more.
const CALLS_BESIDE_WORKERS: u32 = 4;

/// Objects worked on at once, where no flag says otherwise.
pub const WORKERS: u16 = 16;

/// The runtimes: one for the host, one for guests alone, so that whatever a
/// guest does, a Lease is renewed in time.
pub struct Runtimes {
    /// Watches, Leases, writes, the admin interface.
    pub host: Runtime,
    guests: Runtime,
    cores: usize,
}

impl Runtimes {
    /// Starts both.
    pub fn start() -> anyhow::Result<Self> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let build = |name: &str, threads: usize| {
            let mut builder = tokio::runtime::Builder::new_multi_thread();
            builder.worker_threads(threads).thread_name(name).enable_all().build()
        };
        Ok(Self {
            host: build("host", cores.max(2)).context("starting the host's threads")?,
            guests: build("guests", cores).context("starting the guests' threads")?,
            cores,
        })
    }

    /// The plugins' engine. The compile child is this program itself.
    pub fn wasm(&self, cache: Option<&Path>, workers: u16) -> anyhow::Result<Arc<Wasm>> {
        let program = std::env::current_exe().context("finding this program, which is also the compile child")?;
        let compile = CompileCommand { program, args: vec!["compile".into()], wall: COMPILE_WALL };
        let config = Config {
            cache_dir: cache.map_or_else(default_cache, |cache| Ok(cache.to_owned()))?,
            in_flight: u32::from(workers) + CALLS_BESIDE_WORKERS,
            mode: Mode::Serve(Serve { guests: self.guests.handle().clone(), running: self.cores, compile }),
        };
        Wasm::new(config).context("starting the WebAssembly engine")
    }
}

/// A host, joined and about to run.
pub struct Host {
    /// Its engine.
    pub engine: Arc<Engine>,
    admin: Admin,
    follower: Follower,
    shutdown_grace: Duration,
}

impl Host {
    /// Joins one for a plugins folder, with the admin interface beside it: on
    /// this port, where no flag says otherwise.
    pub async fn new(
        args: &ServeArgs,
        plugins: &Path,
        admin_port: u16,
        settings: Settings,
        client: Client,
        wasm: Arc<Wasm>,
        keep: Option<Keep>,
    ) -> anyhow::Result<Self> {
        let env: Arc<dyn Env> = Arc::new(OsEnv);
        let local = SocketAddr::from((Ipv4Addr::LOCALHOST, admin_port));
        let admin = Admin::bind(args.admin_address.unwrap_or(local), args.admin_token_file.as_deref()).await?;
        let (folder, follower) = folder::follow(plugins);
        let engine = Engine::new(Parts { settings, client, wasm, folder, env, keep });
        Ok(Self { engine, admin, follower, shutdown_grace: args.shutdown_grace })
    }

    /// Serves until `stop`.
    pub async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        let Self { engine, admin, follower, shutdown_grace } = self;
        let background = CancellationToken::new();
        let admin = tokio::spawn(admin.serve(engine.clone(), background.clone()));
        let follower = tokio::spawn(follower.run(background.clone()));
        let grace = async {
            stop.cancelled().await;
            tokio::time::sleep(shutdown_grace).await;
        };
        let done = tokio::select! {
            done = engine.run(stop.clone()) => done.context("the engine"),
            () = grace => Err(anyhow::anyhow!(
                "work in flight did not end within --shutdown-grace {shutdown_grace:?}; its Leases expire by themselves",
            )),
        };
        background.cancel();
        follower.await.context("the plugins folder's task")?;
        admin.await.context("the admin interface's task")??;
        done
    }
}

/// The settings that flags give.
pub fn settings(args: &ServeArgs, lease_namespace: String, dry_run: bool) -> anyhow::Result<Settings> {
    Ok(Settings {
        instances: instances(args.instances.as_deref())?,
        instance_key: args.instance_key.clone(),
        namespaces: args.namespaces.clone(),
        installation: args.installation.clone(),
        lease_namespace,
        identity: identity(),
        workers: args.workers.into(),
        calls_bytes: args.calls_bytes,
        dry_run,
    })
}

/// The ids that `--instances` names; none: all.
pub fn instances<T: FromIterator<InstanceId>>(ids: Option<&[String]>) -> anyhow::Result<Option<T>> {
    let ids = ids.map(|ids| ids.iter().map(|id| InstanceId::new(id)).collect());
    ids.transpose().context("--instances")
}

/// The settings where there are no flags: everything, of an API of one's own.
pub fn own_settings() -> Settings {
    Settings {
        instances: None,
        instance_key: InstanceKey::default(),
        namespaces: Vec::new(),
        installation: "trimtab".into(),
        lease_namespace: "default".into(),
        identity: identity(),
        workers: WORKERS.into(),
        calls_bytes: CALLS_BYTES,
        dry_run: false,
    }
}

/// `hostname_random`, as others name themselves in Leases: the host's name for
/// people, the rest so that a restarted pod is another holder.
fn identity() -> String {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    format!("{host}_{:016x}", OsEnv.random())
}

/// The folder of what outlives a process.
pub fn keep(args: &ServeArgs, plugins: &Path) -> anyhow::Result<Keep> {
    let beside = |cache: PathBuf| cache.with_file_name("kept");
    let cache = || args.cache.clone().map_or_else(default_cache, Ok);
    let dir = args.keep.clone().map_or_else(|| cache().map(beside), Ok)?;
    Keep::open(&dir, plugins).context("--keep")
}

/// Where compiled code is kept, unless a flag says where.
pub fn default_cache() -> anyhow::Result<PathBuf> {
    let home = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = home.or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache")));
    match home {
        Some(cache) => Ok(cache.join("trimtab").join("compiled")),
        None => bail!("no folder for compiled code: give --cache, or set XDG_CACHE_HOME or HOME"),
    }
}
