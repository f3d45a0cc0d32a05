//! The peer: a controller on kube-rs that does what the plugin and its host do.
//! It keeps both kinds in stores, writes by server-side apply, and writes only
//! what its stores do not hold already.
//!
//!     peer KUBECONFIG SITES
//!
//! It says `all seen` when it has been through so many Sites.
#![forbid(unsafe_code)]

use std::{
    collections::{BTreeMap, HashSet},
    env,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::{Context as _, bail};
use futures::{
    FutureExt, StreamExt,
    future::{BoxFuture, Shared},
};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Client, Config, ResourceExt,
    api::{Patch, PatchParams},
    config::{KubeConfigOptions, Kubeconfig},
    core::ObjectMeta,
    runtime::{
        WatchStreamExt,
        controller::{self, Action, Controller},
        reflector::{self, ObjectRef, Store},
        watcher,
    },
};
use serde_json::json;
use trimtab_bench::site::{self, Site, Status};

/// Marks its children, so that only these are watched.
const LABEL: (&str, &str) = ("app", "peer");
/// Field manager of its writes.
const MANAGER: &str = "peer";
/// Sites at once: as many as Trimtab's workers.
const CONCURRENCY: u16 = 16;
const RETRY: Duration = Duration::from_secs(1);

struct Context {
    client: Client,
    children: Store<ConfigMap>,
    /// Waited for by one task for all: each waiter of the store's own signal
    /// may miss it.
    children_ready: Shared<BoxFuture<'static, ()>>,
    seen: Mutex<HashSet<String>>,
    sites: usize,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args: Vec<String> = env::args().skip(1).collect();
    let [kubeconfig, sites] = args.as_slice() else { bail!("usage: peer KUBECONFIG SITES") };
    let kubeconfig = Kubeconfig::read_from(Path::new(kubeconfig))?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    let client = Client::try_from(config)?;

    let labels = watcher::Config::default().labels(&format!("{}={}", LABEL.0, LABEL.1));
    let (children, writer) = reflector::store();
    let owned = watcher(Api::<ConfigMap>::all(client.clone()), labels).reflect(writer).touched_objects();
    let waiting = children.clone();
    let context = Context {
        client: client.clone(),
        children_ready: async move { waiting.wait_until_ready().await.expect("the controller fills it") }
            .boxed()
            .shared(),
        children,
        seen: Mutex::default(),
        sites: sites.parse().context("SITES is a number")?,
    };

    let resource = site::resource();
    Controller::new_with(Api::<Site>::all_with(client, &resource), watcher::Config::default(), resource)
        .owns_stream(owned)
        .with_config(controller::Config::default().concurrency(CONCURRENCY))
        .run(reconcile, |_, _, _| Action::requeue(RETRY), Arc::new(context))
        .for_each(async |done| {
            if let Err(error) = done {
                eprintln!("peer: {error}");
            }
        })
        .await;
    Ok(())
}

async fn reconcile(site: Arc<Site>, context: Arc<Context>) -> kube::Result<Action> {
    context.children_ready.clone().await;
    let (name, namespace) = (site.name_any(), site.namespace().unwrap_or_default());
    let generation = site.metadata.generation.unwrap_or_default();
    for (child, data) in site::files(&name, generation, &site.spec.page) {
        let live = context.children.get(&ObjectRef::new(&child).within(&namespace));
        if live.is_none_or(|live| live.data.as_ref() != Some(&data)) {
            let child = desired(&site, child, data);
            let api = Api::<ConfigMap>::namespaced(context.client.clone(), &namespace);
            let apply = PatchParams::apply(MANAGER).force();
            api.patch(&child.name_any(), &apply, &Patch::Apply(&child)).await?;
        }
    }
    let status = Status { ready: true, observed_generation: generation };
    if site.status.as_ref() != Some(&status) {
        let api = Api::<Site>::namespaced_with(context.client.clone(), &namespace, &site::resource());
        let body = json!({ "apiVersion": site::API_VERSION, "kind": "Site", "status": status });
        api.patch_status(&name, &PatchParams::apply(MANAGER).force(), &Patch::Apply(body)).await?;
    }
    context.saw(name);
    Ok(Action::await_change())
}

fn desired(site: &Site, name: String, data: BTreeMap<String, String>) -> ConfigMap {
    let owner = kube::Resource::controller_owner_ref(site, &site::resource());
    ConfigMap {
        metadata: ObjectMeta {
            name: Some(name),
            labels: Some(BTreeMap::from([(LABEL.0.to_owned(), LABEL.1.to_owned())])),
            owner_references: owner.map(|owner| vec![owner]),
            ..ObjectMeta::default()
        },
        data: Some(data),
        ..ConfigMap::default()
    }
}

impl Context {
    fn saw(&self, site: String) {
        let mut seen = self.seen.lock().expect("no holder panics");
        if seen.insert(site) && seen.len() == self.sites {
            println!("all seen");
        }
    }
}
