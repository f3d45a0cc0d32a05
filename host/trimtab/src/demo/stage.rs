//! Where the story plays: an API in memory, a plugins folder, and a host
//! between the two, all in this process.

use std::{path::PathBuf, sync::Arc};

use anyhow::{Context, bail};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{task::JoinHandle, time::Instant};
use tokio_util::sync::CancellationToken;
use trimtab_apiserver::{ApiServer, Config};
use trimtab_cluster::connect;
use trimtab_engine::{Engine, Parts, SlotState, TaskEnded, folder};

use super::{LOOK_EVERY, PATIENCE};
use crate::{
    cli::DemoArgs,
    local::Local,
    manifests,
    os_env::OsEnv,
    wiring::{self, Runtimes},
};

/// The kinds of the children, as paths.
const CHILDREN: [&str; 3] = [
    "/apis/apps/v1/namespaces/default/deployments",
    "/api/v1/namespaces/default/services",
    "/api/v1/namespaces/default/configmaps",
];

/// The stage, with everything running.
pub struct Stage {
    /// The API, as a person's client sees it.
    pub api: Local,
    examples: PathBuf,
    folder: TempDir,
    engine: Arc<Engine>,
    running: JoinHandle<Result<(), TaskEnded>>,
    following: JoinHandle<()>,
    stop: CancellationToken,
}

impl Stage {
    /// Sets it: the definition and three Sites are there, the folder is empty.
    pub async fn set(runtimes: &Runtimes, args: &DemoArgs) -> anyhow::Result<Self> {
        let server = ApiServer::new(Config::default());
        let client = connect::service(server).client;
        let api = Local::new(client.clone());
        let files = ["crd.yaml", "samples.yaml"].map(|file| args.manifests.join(file));
        api.apply_all(&manifests::read_all(&files)?).await?;
        let folder = tempfile::tempdir().context("making a plugins folder")?;
        let (contents, follower) = folder::follow(folder.path());
        let engine = Engine::new(Parts {
            settings: wiring::own_settings(),
            client,
            wasm: runtimes.wasm(None, wiring::WORKERS)?,
            folder: contents,
            env: Arc::new(OsEnv),
            keep: None,
        });
        let stop = CancellationToken::new();
        let running = {
            let (engine, stop) = (engine.clone(), stop.clone());
            async move { engine.run(stop).await }
        };
        let following = follower.run(stop.clone());
        Ok(Self {
            api,
            examples: args.examples.clone(),
            folder,
            engine,
            running: tokio::spawn(running),
            following: tokio::spawn(following),
            stop,
        })
    }

    /// Ends it, as a SIGTERM would.
    pub async fn strike(self) -> anyhow::Result<()> {
        self.stop.cancel();
        self.following.await.context("the folder's task")?;
        self.running.await.context("the host's task")?.context("the host")
    }

    /// Copies a built example into the folder, as a person would.
    pub fn drop_in(&self, example: &str, name: &str) -> anyhow::Result<()> {
        let from = self.examples.join(example);
        let bytes =
            std::fs::read(&from).with_context(|| format!("reading {}; `make plugins` builds it", from.display()))?;
        self.write(name, &bytes)
    }

    /// Writes a file into the folder.
    pub fn write(&self, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
        let to = self.folder.path().join(name);
        let parent = to.parent().context("a file lies in a folder")?;
        std::fs::create_dir_all(parent).with_context(|| format!("making {}", parent.display()))?;
        std::fs::write(&to, bytes).with_context(|| format!("writing {}", to.display()))
    }

    /// Prints a line once it is true, and fails if it does not become so.
    pub async fn check(&self, line: &str, holds: impl AsyncFn() -> anyhow::Result<bool>) -> anyhow::Result<()> {
        let until = Instant::now() + PATIENCE;
        while !holds().await.with_context(|| line.trim().to_owned())? {
            if self.running.is_finished() {
                bail!("the host ended while waited for: {}", line.trim());
            }
            if Instant::now() > until {
                bail!("not so after {PATIENCE:?}: {}; slots: {:#?}", line.trim(), self.engine.slots());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        println!("{line}");
        Ok(())
    }

    /// Waits until a slot of the default instance serves.
    pub async fn serving(&self, stem: &str) -> anyhow::Result<()> {
        self.check(&format!("  {stem} serves"), async || {
            Ok(self.slot(stem).is_some_and(|(state, _)| state == SlotState::Serving))
        })
        .await
    }

    /// Why the newest file of a slot of the default instance is refused.
    pub fn refusal(&self, stem: &str) -> Option<String> {
        self.slot(stem)?.1
    }

    fn slot(&self, stem: &str) -> Option<(SlotState, Option<String>)> {
        let slots = self.engine.slots();
        let slot = slots.iter().find(|slot| slot.instance_id.is_empty() && slot.stem == stem)?;
        Some((slot.state, slot.reason.clone().filter(|_| slot.refused)))
    }

    /// The path of a Site.
    pub fn path(&self, site: &str) -> String {
        format!("/apis/example.dev/v1/namespaces/default/sites/{site}")
    }

    /// A Site.
    pub async fn site(&self, site: &str) -> anyhow::Result<Value> {
        self.api.get(&self.path(site)).await?.with_context(|| format!("there is no Site {site}"))
    }

    /// Edits a Site's spec.
    pub async fn edit(&self, site: &str, spec: Value) -> anyhow::Result<()> {
        self.api.merge(&self.path(site), &json!({ "spec": spec })).await.map(drop)
    }

    /// Which build of the plugin wrote a Site's status last.
    pub async fn build(&self, site: &str) -> anyhow::Result<Option<String>> {
        Ok(self.site(site).await?["status"]["build"].as_str().map(str::to_owned))
    }

    /// The page that a Site's ConfigMap holds.
    pub async fn page(&self, site: &str) -> anyhow::Result<Option<String>> {
        let map = self.api.get(&format!("{}/{site}", CHILDREN[2])).await?;
        Ok(map.and_then(|map| map["data"]["index.html"].as_str().map(str::to_owned)))
    }

    /// The uids of a Site's children.
    pub async fn children(&self, site: &str) -> anyhow::Result<Vec<String>> {
        let mut uids = Vec::new();
        for kind in CHILDREN {
            let child = self.api.get(&format!("{kind}/{site}")).await?;
            uids.extend(child.and_then(|child| child["metadata"]["uid"].as_str().map(str::to_owned)));
        }
        Ok(uids)
    }
}
