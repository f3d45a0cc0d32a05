//! The commands and their flags, and nothing that acts on them.

mod canary;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand};
use trimtab_core::instance::InstanceKey;
use trimtab_sim::explore::Disturbance;

pub use self::canary::{Canary, NamedArgs, StartArgs};
use crate::init::Language;

/// A Kubernetes controller host: drop a .wasm into a folder and it serves.
#[derive(Parser, Debug)]
#[command(version, about, long_about = None)]
pub struct Cli {
    /// What is logged: a level, or tracing directives such as `info,trimtab_engine=debug`; by default `info`, of `dev` `warn`, of `test` nothing.
    #[arg(long, global = true, env = "TRIMTAB_LOG", value_name = "DIRECTIVES")]
    pub log: Option<String>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Serve a cluster with the plugins of a folder.
    Run(RunArgs),
    /// An API in memory and a host against it, to write plugins with no cluster.
    Dev(DevArgs),
    /// The story of the host, each line of it checked as it is told.
    Demo(DemoArgs),
    /// Play scenarios: tests of plugins that need no cluster.
    Test(TestArgs),
    /// Make recorded calls again, with any plugin, and say what it answers otherwise.
    Replay(ReplayArgs),
    /// Make the project of a plugin, which builds and passes its tests.
    Init(InitArgs),
    /// Print the least RBAC that a host of these plugins needs, as manifests.
    Rbac(RbacArgs),
    /// Move controllers of another host here.
    #[command(subcommand)]
    Migrate(Migrate),
    /// List the plugins of a running host: which serve, how many objects, and why not.
    Plugins(PluginsArgs),
    /// Say of an object which plugin of a running host serves it, how its last run went, or why none does.
    Why(WhyArgs),
    /// Have a plugin of a running host go back to the build, config and policy that served before and were good.
    Rollback(RollbackArgs),
    /// Say what a new generation that shadows would do otherwise than the one that serves, with its diffs.
    Shadow(ShadowArgs),
    /// Move a share of a plugin's objects to another instance and watch how they do: makes and edits a `Canary`.
    #[command(subcommand)]
    Canary(Canary),
    /// Take away the finalizers of plugins that no host serves any more.
    Release(ReleaseArgs),
    /// Say whether a file is a plugin, what it says of itself and what it would be allowed.
    Check(CheckArgs),
    /// Compile a plugin; the host runs this as a child process, so that a bad file harms nobody.
    #[command(hide = true)]
    Compile(CompileArgs),
}

/// What `run` and `dev` share: how a plugins folder is served.
#[derive(Args, Debug, Clone)]
pub struct ServeArgs {
    /// Serve only these instance-ids, separated by commas; the empty string is the default instance.
    #[arg(long, env = "TRIMTAB_INSTANCES", value_delimiter = ',', value_name = "IDS")]
    pub instances: Option<Vec<String>>,
    /// The label that says which instance serves an object, or `annotation:NAME`; a plugin's policy may name another.
    #[arg(long, env = "TRIMTAB_INSTANCE_KEY", default_value = trimtab_core::marks::INSTANCE_LABEL, value_parser = InstanceKey::parse, value_name = "KEY")]
    pub instance_key: InstanceKey,
    /// Watch only these namespaces, so that no cluster rights are needed.
    #[arg(long, env = "TRIMTAB_NAMESPACES", value_delimiter = ',', value_name = "NAMES")]
    pub namespaces: Vec<String>,
    /// The name of this installation; hosts with the same name share its Leases.
    #[arg(long, env = "TRIMTAB_INSTALLATION", default_value = "trimtab", value_name = "NAME")]
    pub installation: String,
    /// How many objects are worked on at once.
    #[arg(long, env = "TRIMTAB_WORKERS", default_value_t = crate::wiring::WORKERS, value_parser = clap::value_parser!(u16).range(1..=1024), value_name = "N")]
    pub workers: u16,
    /// What the latest calls may take in memory that can be downloaded and made again with `trimtab replay`; failures have half of it.
    #[arg(long, env = "TRIMTAB_CALLS_BYTES", default_value_t = trimtab_engine::CALLS_BYTES, value_name = "BYTES")]
    pub calls_bytes: usize,
    /// Where compiled code is kept; a local disk, readable by this user alone.
    #[arg(long, env = "TRIMTAB_CACHE", value_name = "DIR")]
    pub cache: Option<PathBuf>,
    /// Where what is good and what was found bad is kept for the next process: as the folder of --cache, by default `kept` beside that. `dev` keeps nothing.
    #[arg(long, env = "TRIMTAB_KEEP", value_name = "DIR")]
    pub keep: Option<PathBuf>,
    /// Where /healthz, /readyz, /metrics, /plugins, /why, /shadow, /calls and /rollback are served; port 0 takes a free one and logs it. By default 127.0.0.1:8080, of `dev` a free port.
    #[arg(long, env = "TRIMTAB_ADMIN_ADDRESS", value_name = "ADDRESS")]
    pub admin_address: Option<SocketAddr>,
    /// A file with the token that /plugins, /why, /shadow, /calls and /rollback ask for; without it they answer on loopback alone.
    #[arg(long, env = "TRIMTAB_ADMIN_TOKEN_FILE", value_name = "FILE")]
    pub admin_token_file: Option<PathBuf>,
    /// How long a SIGTERM may take: work in flight is finished and the Leases are released within it.
    #[arg(long, env = "TRIMTAB_SHUTDOWN_GRACE", default_value = "25s", value_parser = duration, value_name = "DURATION")]
    pub shutdown_grace: Duration,
}

/// Flags of `trimtab run`.
#[derive(Args, Debug)]
pub struct RunArgs {
    /// The plugins folder.
    #[arg(long, env = "TRIMTAB_PLUGINS", value_name = "DIR")]
    pub plugins: PathBuf,
    /// How the folder is served.
    #[command(flatten)]
    pub serve: ServeArgs,
    /// The kubeconfig; without it KUBECONFIG, ~/.kube/config or the pod's own account.
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Where the Leases lie: by default the pod's namespace, else `default`; required with --namespaces outside a pod.
    #[arg(long, env = "TRIMTAB_LEASE_NAMESPACE", value_name = "NAMESPACE")]
    pub lease_namespace: Option<String>,
    /// Print what would be written; take no Lease and write nothing.
    #[arg(long)]
    pub dry_run: bool,
}

/// Flags of `trimtab dev`.
#[derive(Args, Debug)]
pub struct DevArgs {
    /// The plugins folder; with --build, by default one that goes at the end.
    #[arg(long, env = "TRIMTAB_PLUGINS", value_name = "DIR")]
    pub plugins: Option<PathBuf>,
    /// How the folder is served.
    #[command(flatten)]
    pub serve: ServeArgs,
    /// Where the API listens; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS")]
    pub listen: SocketAddr,
    /// Where a kubeconfig for it is written, to be removed at the end; by default in a folder of its own.
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Manifests to apply at the start: a JSON or YAML file or a folder of them, repeatable.
    #[arg(long, value_name = "FILE|DIR")]
    pub apply: Vec<PathBuf>,
    /// A real kube-apiserver and etcd, and kube-controller-manager if it is there, in place of the API in memory.
    #[arg(long, value_name = "DIR")]
    pub assets: Option<PathBuf>,
    /// The source of a plugin: a save builds it and puts it into the plugins folder.
    #[arg(long, value_name = "DIR")]
    pub build: Option<PathBuf>,
    /// What builds it; by default `cargo plugin`, `npm run build` or `make`, by the Cargo.toml, package.json or Makefile there.
    #[arg(long, value_name = "COMMAND", requires = "build")]
    pub build_command: Option<String>,
    /// How long the pods of workloads take until they are ready.
    #[arg(long, default_value = "1s", value_parser = duration, value_name = "DURATION")]
    pub ready_after: Duration,
}

/// Flags of `trimtab init`.
#[derive(Args, Debug)]
pub struct InitArgs {
    /// The plugin's name, a DNS label, and that of its folder in the current one.
    pub name: String,
    /// The language it is written in.
    #[arg(long, value_enum, default_value_t = Language::Rust)]
    pub lang: Language,
    /// The SDK for Rust: the path of its crate, or a version; by default that of the checkout that this is run in or was built in.
    #[arg(long, value_name = "PATH|VERSION")]
    pub sdk: Option<String>,
}

/// Flags of `trimtab rbac`.
#[derive(Args, Debug)]
pub struct RbacArgs {
    /// The plugins folder.
    #[arg(value_name = "DIR")]
    pub plugins: PathBuf,
    /// Only these instance-ids, separated by commas; the empty string is the default instance.
    #[arg(long, value_delimiter = ',', value_name = "IDS")]
    pub instances: Option<Vec<String>>,
    /// Only these namespaces, so that no cluster rights are needed.
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    pub namespaces: Vec<String>,
    /// Who is given the rights.
    #[arg(long, default_value = "trimtab-system/trimtab", value_name = "NAMESPACE/NAME")]
    pub service_account: String,
    /// Where the Leases lie: by default the service account's namespace.
    #[arg(long, value_name = "NAMESPACE")]
    pub lease_namespace: Option<String>,
    /// The name of the installation, which the Leases bear.
    #[arg(long, default_value = "trimtab", value_name = "NAME")]
    pub installation: String,
    /// The definitions of the plugins' kinds, which say how their resources are called: a file or a folder, repeatable.
    #[arg(long, value_name = "FILE|DIR")]
    pub apply: Vec<PathBuf>,
    /// Where compiled code is kept; a local disk, readable by this user alone.
    #[arg(long, env = "TRIMTAB_CACHE", value_name = "DIR")]
    pub cache: Option<PathBuf>,
}

/// Where controllers come from.
#[derive(Subcommand, Debug)]
pub enum Migrate {
    /// Print the policies with which the bridge serves Metacontroller's controllers, and what of them is lost.
    Metacontroller(MigrateArgs),
}

/// Flags of `trimtab migrate metacontroller`.
#[derive(Args, Debug)]
pub struct MigrateArgs {
    /// The controllers, and the CustomResourceDefinitions of their kinds: files, and folders of them.
    #[arg(required = true, value_name = "FILE|DIR")]
    pub files: Vec<PathBuf>,
    /// Write each policy into this folder in place of printing it; a file that is there is left as it is.
    #[arg(long, value_name = "DIR")]
    pub into: Option<PathBuf>,
}

/// Flags of `trimtab release`.
#[derive(Args, Debug)]
pub struct ReleaseArgs {
    /// Only this lineage, repeatable; by default all that no Lease names.
    #[arg(long = "lineage", value_name = "LINEAGE")]
    pub lineages: Vec<String>,
    /// Take away what decorators have set on objects, too: labels, annotations and marks.
    #[arg(long)]
    pub marks: bool,
    /// Say what would be done, and do nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// The kubeconfig; without it KUBECONFIG, ~/.kube/config or the pod's own account.
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
}

/// Which running host is asked, and how the answer is printed.
#[derive(Args, Debug)]
pub struct AskArgs {
    /// The host's admin interface, as `kubectl port-forward` makes one of a pod's, too.
    #[arg(long = "admin", env = "TRIMTAB_ADMIN_ADDRESS", default_value = "127.0.0.1:8080", value_name = "HOST:PORT")]
    pub address: String,
    /// A file with the token that it was started with.
    #[arg(long, env = "TRIMTAB_ADMIN_TOKEN_FILE", value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Print the answer as it comes.
    #[arg(long)]
    pub json: bool,
}

/// Flags of `trimtab plugins`.
#[derive(Args, Debug)]
pub struct PluginsArgs {
    /// Which host.
    #[command(flatten)]
    pub ask: AskArgs,
}

/// Flags of `trimtab why`.
#[derive(Args, Debug)]
pub struct WhyArgs {
    /// The object: `Site/anna`, or with its group, `sites.example.dev/anna`.
    #[arg(value_name = "KIND/NAME")]
    pub object: String,
    /// Its namespace.
    #[arg(long, short, default_value = "default", value_name = "NAMESPACE")]
    pub namespace: String,
    /// Which host.
    #[command(flatten)]
    pub ask: AskArgs,
}

/// Flags of `trimtab rollback`.
#[derive(Args, Debug)]
pub struct RollbackArgs {
    /// The slot, as its file lies in the plugins folder, without its ending: `site`, `canary/site`.
    #[arg(value_name = "SLOT")]
    pub slot: String,
    /// Which host: the one that leads the plugin's instance.
    #[command(flatten)]
    pub ask: AskArgs,
}

/// Flags of `trimtab shadow`.
#[derive(Args, Debug)]
pub struct ShadowArgs {
    /// The file's place in the plugins folder, without its ending: `site`, `canary/site`.
    pub slot: String,
    /// Only this object: `Site/anna`.
    #[arg(value_name = "KIND/NAME")]
    pub object: Option<String>,
    /// Its namespace.
    #[arg(long, short, default_value = "default", value_name = "NAMESPACE")]
    pub namespace: String,
    /// Which host.
    #[command(flatten)]
    pub ask: AskArgs,
}

/// Flags of `trimtab demo`.
#[derive(Args, Debug)]
pub struct DemoArgs {
    /// The folder that holds the built example plugins.
    #[arg(long, value_name = "DIR")]
    pub examples: PathBuf,
    /// The folder of the example's manifests.
    #[arg(long, value_name = "DIR")]
    pub manifests: PathBuf,
}

/// Flags of `trimtab test`.
#[derive(Args, Debug)]
pub struct TestArgs {
    /// Scenarios, and folders in which they lie.
    #[arg(default_value = ".", value_name = "FILE|DIR")]
    pub paths: Vec<PathBuf>,
    /// Play each again and again, with one thing going wrong each time, and say where it ends otherwise.
    #[arg(long, conflicts_with = "update")]
    pub explore: bool,
    /// Explore this disturbance alone, such as crash-after:12; repeatable.
    #[arg(long, requires = "explore", value_name = "DISTURBANCE")]
    pub only: Vec<Disturbance>,
    /// Chooses all that is left to chance; one seed gives one run.
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub seed: u64,
    /// Write what was found into exact expectations and numbers of writes.
    #[arg(long)]
    pub update: bool,
    /// Write the results there, as JUnit's XML.
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Play only scenarios whose name contains this.
    #[arg(long, value_name = "TEXT")]
    pub filter: Option<String>,
    /// Where compiled code is kept; a local disk, readable by this user alone.
    #[arg(long, env = "TRIMTAB_CACHE", value_name = "DIR")]
    pub cache: Option<PathBuf>,
}

/// Flags of `trimtab replay`.
#[derive(Args, Debug)]
pub struct ReplayArgs {
    /// Records of calls: what a host gives at /calls/ID of its admin interface.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// The plugin that is to answer.
    #[arg(long, value_name = "FILE.wasm")]
    pub with: PathBuf,
    /// Its policy; by default the .toml beside it.
    #[arg(long, value_name = "FILE.toml")]
    pub policy: Option<PathBuf>,
    /// Write the call as a scenario for `trimtab test`, expecting what the plugin answers.
    #[arg(long, value_name = "FILE.yaml")]
    pub scenario: Option<PathBuf>,
    /// Where compiled code is kept; a local disk, readable by this user alone.
    #[arg(long, env = "TRIMTAB_CACHE", value_name = "DIR")]
    pub cache: Option<PathBuf>,
}

/// Flags of `trimtab check`.
#[derive(Args, Debug)]
pub struct CheckArgs {
    /// The plugin.
    #[arg(value_name = "FILE.wasm")]
    pub file: PathBuf,
    /// Its policy; by default the .toml beside it.
    #[arg(long, value_name = "FILE.toml")]
    pub policy: Option<PathBuf>,
}

/// Arguments of the compile child.
#[derive(Args, Debug)]
pub struct CompileArgs {
    /// The dropped file.
    pub input: PathBuf,
    /// Where its machine code goes.
    pub output: PathBuf,
}

/// A year: more is a slip, and timers that add it to the time overflow.
const DURATION_MAX_MS: u64 = 365 * 24 * 3600 * 1000;

/// `25s`, `1m`, `500ms`.
fn duration(text: &str) -> Result<Duration, String> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let wanted = || format!("{text:?} is no duration: a number and ms, s or m are wanted, such as 25s");
    let number: u64 = number.parse().map_err(|_| wanted())?;
    let unit_ms = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        _ => return Err(wanted()),
    };
    let ms = number.checked_mul(unit_ms).filter(|ms| *ms <= DURATION_MAX_MS);
    ms.map(Duration::from_millis).ok_or_else(|| format!("{text:?} is too long: at most a year is waited"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flags_are_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn a_duration_names_its_unit() {
        assert_eq!(duration("25s"), Ok(Duration::from_secs(25)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert!(duration("25").is_err());
        assert!(duration("s").is_err());
        assert!(duration("525600m").is_ok());
        for long in ["525601m", "18446744073709551615m", "18446744073709551615ms"] {
            assert!(duration(long).unwrap_err().contains("at most a year"), "{long}");
        }
    }

    #[test]
    fn the_empty_string_is_an_instance() {
        let cli = Cli::parse_from(["trimtab", "run", "--plugins", "p", "--instances", ",canary"]);
        let Command::Run(run) = cli.command else { panic!("{cli:?}") };
        assert_eq!(run.serve.instances, Some(vec![String::new(), "canary".into()]));
    }
}
