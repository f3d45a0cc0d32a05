//! What lies in the folder: good builds in several languages, and for a while bad ones.

use std::path::Path;

use fastrand::Rng;

use super::{INSTANCES, Soak, WRONG, pause};
use crate::support::Scene;

/// Of the lineage `site`, by instance, in the end.
const SITES: [&str; 3] = ["site", "site-next", "site-next"];
/// Of the lineage `page`, by instance, in the end.
const PAGES: [&str; 3] = ["page-js", "page-go", "page"];
/// All builds of the lineage `page`.
const LANGUAGES: [&str; 4] = ["page", "page-js", "page-go", "page-c"];
/// A plugin that has the description of the lineage `site`, and none of its sense.
const MIRROR: &str = r#"
[config]
FAULTS
[config.describe]
role = "composite"
objects = [{ apiVersion = "example.dev/v1", kind = "Site" }]
children = [
    { apiVersion = "v1", kind = "ConfigMap" },
    { apiVersion = "v1", kind = "Service" },
    { apiVersion = "apps/v1", kind = "Deployment" },
]
"#;
/// What it does to all objects, and how that is counted.
const TRAPS: (&str, &str) = ("faults = { '*' = 'trap' }", "builds that trap");
const OVERRUNS: (&str, &str) = ("faults = { '*' = 'loop' }", "builds that overrun");

/// The build that a Site's status names in the end.
pub fn site_build(instance: usize) -> &'static str {
    if SITES[instance] == "site" { "1" } else { "2" }
}

/// The image that a Page's Deployment has in the end: its policy says it.
pub fn page_image(instance: usize) -> String {
    format!("docker.io/library/nginx:last-{instance}")
}

/// Leaves in the folder what is to serve in the end.
pub fn put_good_ones(scene: &Scene) {
    for instance in 0..INSTANCES.len() {
        put_site(scene, instance, SITES[instance]);
        put_page(scene, instance, PAGES[instance], &page_image(instance));
    }
}

/// The module first: what the other one had for a policy says nothing to it.
fn put_site(scene: &Scene, instance: usize, build: &str) {
    scene.copy(build, &within(instance, "site.wasm"));
    let policy = within(instance, "site.toml");
    if Path::new(scene.folder()).join(&policy).exists() {
        scene.remove(&policy);
    }
}

fn put_page(scene: &Scene, instance: usize, build: &str, image: &str) {
    scene.write(&within(instance, "page.toml"), format!("config = {{ image = \"{image}\" }}\n"));
    scene.copy(build, &within(instance, "page.wasm"));
}

fn within(instance: usize, file: &str) -> String {
    format!("{}/{file}", INSTANCES[instance]).trim_start_matches('/').to_owned()
}

/// Swaps until it is over.
pub async fn swap(soak: &Soak, rng: &mut Rng) {
    let mut edition = 0;
    while !soak.is_over() {
        pause(rng, 500..3_000).await;
        let instance = rng.usize(0..INSTANCES.len());
        edition += 1;
        match rng.u32(0..8) {
            0..2 => {
                put_site(&soak.scene, instance, ["site", "site-next"][rng.usize(0..2)]);
                soak.count("good builds of sites");
            }
            2..4 => {
                let image = format!("docker.io/library/nginx:{edition}");
                put_page(&soak.scene, instance, LANGUAGES[rng.usize(0..LANGUAGES.len())], &image);
                soak.count("good builds of pages");
            }
            4 => bad_site(soak, rng, instance, TRAPS).await,
            5 => bad_site(soak, rng, instance, OVERRUNS).await,
            6 => bad_site(soak, rng, instance, (&format!("wish = '{WRONG}'"), "builds that answer wrong")).await,
            _ => {
                soak.scene.write(&within(instance, "page.wasm"), format!("no module {edition}"));
                soak.count("files that are none");
            }
        }
    }
}

/// Drops a bad build where a good one serves, and mends it after a while: before it is
/// rolled back, or after.
async fn bad_site(soak: &Soak, rng: &mut Rng, instance: usize, (faults, what): (&str, &'static str)) {
    let limits = "[limits]\ncpu_ms = 50\n";
    // The policy first: without it, the module describes nothing and is refused.
    soak.scene.write(&within(instance, "site.toml"), MIRROR.replace("FAULTS", faults) + limits);
    soak.scene.copy("mirror", &within(instance, "site.wasm"));
    soak.count(what);
    pause(rng, 2_000..10_000).await;
    put_site(&soak.scene, instance, SITES[instance]);
}
