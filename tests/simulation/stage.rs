//! The modules that the worlds' plugins folders hold, copied and compiled once.
#![allow(clippy::unwrap_used, reason = "where it cannot be set up, no test can run")]

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, LazyLock},
};

use tempfile::TempDir;
use tracing_subscriber::{EnvFilter, filter::LevelFilter};
use trimtab_core::{
    hash::Hash,
    id::{InstanceId, SlotId, Stem},
};
use trimtab_engine::folder::{Folder, Source};
use trimtab_sim::simulate;
use trimtab_wasm::{Config, Mode, Wasm};

const BUILT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../plugins/target/plugins");
const MODULES: [&str; 5] = ["site.wasm", "site-next.wasm", "site-v2.wasm", "other-world.wasm", "mirror.wasm"];
/// What lies in a folder now and then and is no module.
const GARBAGE: &str = "garbage.wasm";

/// Calls at once: more than all workers of all hosts of a world make.
const IN_FLIGHT: u32 = 16;

/// Where the modules and their compiled code lie.
pub struct Stage {
    modules: TempDir,
    compiled: PathBuf,
}

/// One for all tests.
pub static STAGE: LazyLock<Stage> = LazyLock::new(Stage::new);

impl Stage {
    fn new() -> Self {
        // Not even errors, unless they are asked for: refused files are a part of what is tried.
        let shown = EnvFilter::builder().with_default_directive(LevelFilter::OFF.into()).from_env_lossy();
        tracing_subscriber::fmt().with_env_filter(shown).with_test_writer().init();
        let modules = tempfile::tempdir().unwrap();
        let compiled = modules.path().join("compiled");
        let stage = Self { modules, compiled };
        let wasm = stage.wasm();
        for name in MODULES {
            let from = Path::new(BUILT).join(name);
            let bytes = fs::read(&from)
                .unwrap_or_else(|error| panic!("{}: {error}; build the plugins with plugins/build.sh", from.display()));
            fs::write(stage.path(name), &bytes).unwrap();
            // Now and not in each world: compiling takes longer than a run. What
            // is refused is refused after it.
            drop(simulate(wasm.load(name, bytes.into())));
        }
        fs::write(stage.path(GARBAGE), "no module").unwrap();
        stage
    }

    fn path(&self, module: &str) -> PathBuf {
        self.modules.path().join(module)
    }

    /// An engine for one world: worlds on other threads do not share its limits.
    pub fn wasm(&self) -> Arc<Wasm> {
        let config = Config { cache_dir: self.compiled.clone(), in_flight: IN_FLIGHT, mode: Mode::Simulate };
        Wasm::new(config).unwrap()
    }

    /// A folder with these modules in these instances, all as the lineage `site`.
    pub fn folder(&self, modules: &[(&str, &str)]) -> Folder {
        let slots = modules.iter().map(|(instance, module)| self.slot(instance, "site", module, None));
        Folder { slots: slots.collect(), read: true, ..Folder::default() }
    }

    /// One file of a folder.
    pub fn slot(&self, instance: &str, stem: &str, module: &str, policy: Option<&str>) -> (SlotId, Source) {
        let path = self.path(module);
        let content = Hash::of([&fs::read(&path).unwrap()[..]]);
        let slot = SlotId { instance: InstanceId::new(instance).unwrap(), stem: Stem::new(stem).unwrap() };
        (slot, Source { module: path, content, policy: policy.map(Into::into), unreadable: None })
    }
}
