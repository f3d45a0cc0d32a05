//! A thousand Sites on a real kube-apiserver, served by Trimtab and by a
//! controller on kube-rs in turn: from nothing to settled, an edit of each, and
//! a restart with nothing to do. What the controller's process costs, and what
//! it asks the API server to write.
//!
//!     cargo bench --package trimtab-bench --bench settle [-- --trimtab BINARY]
#![forbid(unsafe_code)]

mod audit;
mod cluster;
mod side;

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use trimtab_bench::report::{Samples, Table, figure};

use self::{
    audit::Writes,
    cluster::Cluster,
    side::{Running, Side},
};

/// Sites, as in the figures that other controllers are known by.
const SITES: usize = 1_000;
/// Rounds in which each side is measured once: A B A B.
const ROUNDS: usize = 3;
/// What a settled Site needs written: two ConfigMaps and a status.
const WRITES_NEEDED: usize = 3 * SITES;

fn main() -> anyhow::Result<()> {
    let trimtab = match given_binary() {
        Some(binary) => binary,
        None => built_binary()?,
    };
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(measure(trimtab))
}

/// Another build of the host to be measured.
fn given_binary() -> Option<PathBuf> {
    env::args().skip_while(|arg| arg != "--trimtab").nth(1).map(PathBuf::from)
}

/// The host's binary is no dependency of this package: cargo has no stable way
/// to say so. Built together with this package it has the same dependencies,
/// and only its own crate is left to build: but some build scripts ask to be run
/// again where what cargo says of a package, here of this one, has changed.
fn built_binary() -> anyhow::Result<PathBuf> {
    let packages = ["--package", "trimtab", "--package", "trimtab-bench"];
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--release", "--bin", "trimtab"]).args(packages);
    let of_package = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
    env::vars().filter(|(name, _)| of_package(name)).for_each(|(name, _)| {
        build.env_remove(name);
    });
    let status = build.status()?;
    ensure!(status.success(), "the host does not build");
    let this = env::current_exe()?;
    let release = this.parent().and_then(Path::parent).context("cargo puts benchmarks into release/deps")?;
    Ok(release.join("trimtab"))
}

async fn measure(trimtab: PathBuf) -> anyhow::Result<()> {
    let cluster = Cluster::start().await?;
    // Kept for all rounds: the first compiles the plugin, the others find it.
    let sides = [Side::trimtab(trimtab)?, Side::peer()];
    let mut figures: [[Figures; Phase::ALL.len()]; 2] = Default::default();
    for round in 1..=ROUNDS {
        for (side, figures) in sides.iter().zip(&mut figures) {
            eprintln!("round {round} of {ROUNDS}: {}", side.name);
            let phases = run(&cluster, side).await.with_context(|| side.name)?;
            figures.iter_mut().zip(phases).for_each(|(figures, cost)| figures.add(&cost));
        }
    }
    for phase in Phase::ALL {
        report(phase, &sides, [&figures[0][phase as usize], &figures[1][phase as usize]]);
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum Phase {
    Settle,
    Edit,
    Restart,
}

impl Phase {
    const ALL: [Self; 3] = [Self::Settle, Self::Edit, Self::Restart];

    fn title(self) -> String {
        match self {
            Self::Settle => format!("{SITES} Sites, from the controller's start to all settled"),
            Self::Edit => format!("an edit of each of {SITES} Sites, from the first to all settled"),
            Self::Restart => format!("a restart with {SITES} settled Sites, until all have been looked at"),
        }
    }
}

/// What one phase cost.
struct Cost {
    wall: Duration,
    cpu: Duration,
    compiling: Duration,
    writes: Writes,
    anonymous_kib: u64,
    resident_kib: u64,
}

/// One side, through all phases. It begins and ends with an empty namespace.
async fn run(cluster: &Cluster, side: &Side) -> anyhow::Result<[Cost; 3]> {
    cluster.create(SITES).await?;
    let kubeconfig = cluster.kubeconfig(side.user);

    let began = Instant::now();
    let mut running = side.start(&kubeconfig, cluster.process_group(), SITES)?;
    let settle = phase(cluster, &mut running, began, true).await?;

    let edit = phase(cluster, &mut running, cluster.edit(SITES).await?, true).await?;

    let before = cluster.versions().await?;
    running.stop().await?;
    cluster.writes_of(side.user)?;
    let began = Instant::now();
    let mut running = side.start(&kubeconfig, cluster.process_group(), SITES)?;
    let restart = phase(cluster, &mut running, began, false).await?;
    ensure!(cluster.versions().await? == before, "the restart has moved resource versions");
    running.stop().await?;

    cluster.empty().await?;
    Ok([settle, edit, restart])
}

/// Waits until the phase that began then is through, and for what the
/// controller still writes after that.
async fn phase(cluster: &Cluster, running: &mut Running, began: Instant, settles: bool) -> anyhow::Result<Cost> {
    let used = running.accounted();
    if settles {
        cluster.settled(SITES).await?
    } else {
        running.all_seen().await?
    }
    let wall = began.elapsed();
    let writes = cluster.writes_until_quiet(running.user()).await?;
    if settles {
        cluster.verify(SITES).await?;
    }
    let usage = running.usage()?;
    Ok(Cost {
        wall,
        cpu: usage.cpu - used.cpu,
        compiling: usage.children_cpu - used.children_cpu,
        writes,
        anonymous_kib: usage.anonymous_kib,
        resident_kib: usage.resident_kib,
    })
}

/// The figures of one side and one phase.
#[derive(Default)]
struct Figures {
    wall: Samples,
    cpu: Samples,
    compiling: Samples,
    writes: Samples,
    refused: Samples,
    others: Samples,
    anonymous: Samples,
    resident: Samples,
}

impl Figures {
    fn add(&mut self, cost: &Cost) {
        self.wall.add(cost.wall.as_secs_f64());
        self.cpu.add(cost.cpu.as_secs_f64());
        self.compiling.add(cost.compiling.as_secs_f64());
        self.writes.add(cost.writes.workload as f64);
        self.refused.add(cost.writes.refused as f64);
        self.others.add(cost.writes.others as f64);
        self.anonymous.add(cost.anonymous_kib as f64 / 1024.0);
        self.resident.add(cost.resident_kib as f64 / 1024.0);
    }
}

fn report(phase: Phase, sides: &[Side; 2], figures: [&Figures; 2]) {
    let [ours, peers] = figures;
    let mut table = Table::new(
        format!("{}; {ROUNDS} rounds: least (median)", phase.title()),
        &["", sides[0].name, sides[1].name, "ratio of the least"],
    );
    let mut row = |name: &str, of: fn(&Figures) -> &Samples| {
        let both = |samples: &Samples| format!("{} ({})", figure(samples.least()), figure(samples.median()));
        table.row(name, [both(of(ours)), both(of(peers)), ratio(of(ours).least(), of(peers).least())]);
    };
    row("wall s", |figures| &figures.wall);
    row("CPU s of the process", |figures| &figures.cpu);
    row("CPU s of compiling, beside it", |figures| &figures.compiling);
    row("writes of Sites and ConfigMaps", |figures| &figures.writes);
    row("  of them refused", |figures| &figures.refused);
    row("other writes: Leases, Events", |figures| &figures.others);
    row("anonymous memory MiB", |figures| &figures.anonymous);
    row("resident memory MiB", |figures| &figures.resident);
    table.print();
    if !matches!(phase, Phase::Restart) {
        println!("  the work needs {WRITES_NEEDED} writes");
    }
}

/// Of what the other side has none, there is no ratio.
fn ratio(ours: f64, theirs: f64) -> String {
    if theirs == 0.0 { "-".into() } else { figure(ours / theirs) }
}
