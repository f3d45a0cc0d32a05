//! `trimtab dev`: an API, what a cluster does with workloads, and a host, in one
//! process and until a signal; and what of it all is to be seen.

mod api;
mod assets;
mod build;
mod kubeconfig;
mod view;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use futures::{FutureExt, StreamExt, stream::BoxStream};
use serde_json::Value;
use tokio::{sync::watch, task::JoinSet};
use tokio_util::sync::CancellationToken;
use trimtab_engine::Engine;
use trimtab_sim::{
    feed::{self, Told},
    workloads::{self, Workloads},
};

use self::{
    api::Api,
    build::Source,
    kubeconfig::Kubeconfig,
    view::{Picture, event_line},
};
use crate::{
    cli::DevArgs,
    local::Local,
    manifests,
    screen::Screen,
    signals,
    wiring::{self, Host, Runtimes},
};

const EVENTS: &str = "/apis/events.k8s.io/v1/events";
/// How often what is shown is brought up to date: a person sees no lag.
const LOOK: Duration = Duration::from_millis(100);
/// How often it is asked whether all has started. It is measured by this.
const READY_LOOK: Duration = Duration::from_millis(2);

/// Serves until a signal. `began` is when the process was started.
pub fn main(args: DevArgs, began: Instant, screen: Screen) -> anyhow::Result<()> {
    // What is wrong with what was given is told before anything is started.
    let manifests = manifests::read_all(&args.apply)?;
    let source = args.build.as_deref().map(|folder| Source::new(folder, args.build_command.clone())).transpose()?;
    let state =
        tempfile::Builder::new().prefix("trimtab-dev-").tempdir().context("making a folder for what is kept")?;
    let plugins = match (&args.plugins, &source) {
        (Some(plugins), _) => plugins.clone(),
        (None, Some(_)) => state.path().join("plugins"),
        (None, None) => bail!("--plugins DIR says which plugins are served, or --build DIR from which source"),
    };
    // A build fills it; without one, a folder that is not there is a slip of the pen.
    if source.is_none() && !plugins.is_dir() {
        bail!("--plugins {}: there is no such folder; make it, or mend the name", plugins.display());
    }
    std::fs::create_dir_all(&plugins).with_context(|| format!("making the plugins folder {}", plugins.display()))?;
    let runtimes = Runtimes::start()?;
    let wasm = runtimes.wasm(args.serve.cache.as_deref(), args.serve.workers)?;
    runtimes.host.block_on(async {
        let stop = CancellationToken::new();
        let signals = tokio::spawn(signals::watch(stop.clone()));
        let starting = async {
            let api = start_api(&args, state.path()).await?;
            let file = args.kubeconfig.clone().unwrap_or_else(|| state.path().join("kubeconfig"));
            let kubeconfig = Kubeconfig::write(&file, &api.kubeconfig)?;
            Local::new(api.client.clone()).apply_all(&manifests).await?;
            let settings = wiring::settings(&args.serve, "default".into(), false)?;
            let host = Host::new(&args.serve, &plugins, 0, settings, api.client.clone(), wasm, None).await?;
            anyhow::Ok((api, file, kubeconfig, host))
        };
        let started = tokio::select! {
            started = starting => Some(started?),
            () = stop.cancelled() => None,
        };
        // Whoever stops it while it starts needs nothing more.
        let Some((api, file, _kubeconfig, host)) = started else { return Ok(()) };
        let head = head(&api, &file, &plugins, manifests.len());
        let (engine, events) = (host.engine.clone(), feed::follow(api.client.clone(), EVENTS).boxed());
        let beside = Beside::start(&args, &api, source, &plugins, &screen, &stop);
        let show = Show { engine, screen: screen.clone(), head, began, build: beside.says.clone() };
        let shown = tokio::spawn(show.run(events));
        let done = host.run(stop.clone()).await;
        stop.cancel();
        shown.abort();
        beside.tasks.join_all().await;
        screen.leave();
        signals.abort();
        api.end().await?;
        done
    })
}

async fn start_api(args: &DevArgs, state: &Path) -> anyhow::Result<Api> {
    match &args.assets {
        Some(binaries) => Api::real(binaries, args.listen, state).await,
        None => Api::in_memory(args.listen).await,
    }
}

/// What a person needs to know to use it.
fn head(api: &Api, kubeconfig: &Path, plugins: &Path, applied: usize) -> Vec<String> {
    let mut lines = vec![
        format!("api:        {}", api.address),
        format!("kubeconfig: {}", kubeconfig.display()),
        format!("plugins:    {}", plugins.display()),
    ];
    if applied > 0 {
        lines.push(format!("applied:    {applied} objects"));
    }
    if let Some(binaries) = api.lacks_controllers() {
        lines.push(format!(
            "note:       {} has no kube-controller-manager, so nothing collects garbage: children stay when their \
             owner goes, and a deleted namespace does not go",
            binaries.display(),
        ));
    }
    lines.push(format!("look:       kubectl --kubeconfig {} get all -A", kubeconfig.display()));
    lines.push("stop:       Ctrl-C".into());
    lines
}

/// What runs beside the host.
struct Beside {
    tasks: JoinSet<()>,
    says: watch::Receiver<Option<String>>,
}

impl Beside {
    /// The simulation of workloads, and the builds.
    fn start(
        args: &DevArgs,
        api: &Api,
        source: Option<Source>,
        plugins: &Path,
        screen: &Screen,
        stop: &CancellationToken,
    ) -> Self {
        let mut tasks = JoinSet::new();
        let settings = workloads::Settings {
            ready_after: args.ready_after,
            controllers: !api.has_controllers,
            ..workloads::Settings::new(Arc::new(jiff::Timestamp::now))
        };
        tasks.spawn(Workloads::new(api.client.clone(), settings).run(stop.clone()));
        let (tell, says) = watch::channel(None);
        if let Some(source) = source {
            tasks.spawn(source.follow(PathBuf::from(plugins), screen.clone(), tell, stop.clone()));
        }
        Self { tasks, says }
    }
}

/// Shows what happens.
struct Show {
    engine: Arc<Engine>,
    screen: Screen,
    head: Vec<String>,
    began: Instant,
    build: watch::Receiver<Option<String>>,
}

impl Show {
    async fn run(self, mut events: BoxStream<'static, Told>) {
        if !self.screen.is_terminal() {
            self.head.iter().for_each(|line| self.screen.say(line));
        }
        let mut picture = Picture { head: self.head.clone(), ..Picture::default() };
        let mut is_ready = false;
        loop {
            let before = picture.clone();
            let becomes_ready = !is_ready && self.engine.ready().is_ok();
            is_ready |= becomes_ready;
            picture.slots = self.engine.slots().to_vec();
            picture.objects = self.engine.objects();
            picture.build = self.build.borrow().clone();
            while let Some(Some(told)) = events.next().now_or_never() {
                self.tell(told, &mut picture);
            }
            let ready = becomes_ready.then(|| format!("ready:      in {} ms", self.began.elapsed().as_millis()));
            picture.head.extend(ready.clone());
            if self.screen.is_terminal() {
                self.screen.draw(picture.lines());
            } else {
                picture.news(&before).iter().chain(&ready).for_each(|line| self.screen.say(line));
            }
            tokio::time::sleep(if is_ready { LOOK } else { READY_LOOK }).await;
        }
    }

    fn tell(&self, told: Told, picture: &mut Picture) {
        let events: Vec<Value> = match told {
            Told::Listed(events, _) => events,
            Told::Is(event) => vec![event],
            Told::Gone(_) => Vec::new(),
        };
        for line in events.iter().map(event_line) {
            if !self.screen.is_terminal() {
                self.screen.say(&line);
            }
            picture.add_event(line);
        }
    }
}
