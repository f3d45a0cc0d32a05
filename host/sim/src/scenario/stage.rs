//! The files that a scenario's plugins folder comes to hold, read and compiled
//! once, however often it is played.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use trimtab_core::{
    hash::Hash,
    id::{InstanceId, SlotId, Stem},
    limits::Limits,
    policy,
};
use trimtab_engine::folder::{Folder, Source};
use trimtab_wasm::{Config, Mode, Wasm};

use super::{Plugins, Scenario, Unusable};
use crate::clock::simulate;

/// Calls at once: more than all workers of all hosts of a world make.
const IN_FLIGHT: u32 = 16;

/// What the folders of a scenario are made of.
#[derive(Debug)]
pub struct Stage {
    compiled: PathBuf,
    modules: BTreeMap<PathBuf, Hash>,
    policies: BTreeMap<PathBuf, Arc<str>>,
}

impl Stage {
    /// Reads and compiles all that the scenario names. Code that was compiled
    /// before is found in `compiled`. A module that the host will refuse is no
    /// error: that it refuses it may be what is tested.
    pub fn set(scenario: &Scenario, compiled: &Path) -> Result<Self, Unusable> {
        let mut stage = Self { compiled: compiled.to_owned(), modules: BTreeMap::new(), policies: BTreeMap::new() };
        let wasm = stage.wasm()?;
        for folder in scenario.folders() {
            for (name, file) in &folder {
                check_name(name)?;
                stage.take(&wasm, file)?;
            }
        }
        Ok(stage)
    }

    fn take(&mut self, wasm: &Arc<Wasm>, file: &Path) -> Result<(), Unusable> {
        let unreadable = |error| Unusable::Io { file: file.display().to_string(), error };
        if is_policy(file) {
            let text = fs::read_to_string(file).map_err(unreadable)?;
            if policy::named_module(&text).ok().flatten().is_some() {
                let why = "a policy of a scenario names no module; name it under plugins instead";
                return Err(Unusable::Plugin(format!("{}: {why}", file.display())));
            }
            self.policies.insert(file.to_owned(), text.into());
        } else if !self.modules.contains_key(file) {
            let bytes = fs::read(file).map_err(unreadable)?;
            self.modules.insert(file.to_owned(), Hash::of([&bytes[..]]));
            // Now, and not in each world: compiling takes longer than a run.
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            drop(simulate(wasm.load(&name, bytes.into())));
        }
        Ok(())
    }

    /// An engine for the worlds of one thread: worlds on other threads do not
    /// share its limits.
    pub fn wasm(&self) -> Result<Arc<Wasm>, Unusable> {
        let config = Config { cache_dir: self.compiled.clone(), in_flight: IN_FLIGHT, mode: Mode::Simulate };
        Wasm::new(config).map_err(|error| Unusable::Plugin(error.to_string()))
    }

    /// The folder that holds these files, which are among those of the scenario.
    pub fn folder(&self, plugins: &Plugins) -> Folder {
        self.folder_with(plugins, |policy| policy)
    }

    /// The same folder, all of whose plugins count as new ones: their policies
    /// say of their logs what makes no difference.
    pub fn folder_anew(&self, plugins: &Plugins) -> Folder {
        self.folder_with(plugins, |policy| Some(with_other_limit(policy.as_deref().unwrap_or_default()).into()))
    }

    fn folder_with(&self, plugins: &Plugins, of: impl Fn(Option<Arc<str>>) -> Option<Arc<str>>) -> Folder {
        let modules = plugins.iter().filter(|(name, _)| !name.ends_with(POLICY));
        let slots = modules.filter_map(|(name, module)| {
            let slot = slot(name).ok()?;
            let policy = plugins.get(&format!("{}{POLICY}", name.strip_suffix(MODULE)?));
            let policy = of(policy.and_then(|file| self.policies.get(file)).cloned());
            let content = *self.modules.get(module)?;
            Some((slot, Source { module: module.clone(), content, policy, unreadable: None }))
        });
        Folder { slots: slots.collect(), read: true, ..Folder::default() }
    }
}

/// The policy with one line of the log less. One that cannot be read stays as it is.
fn with_other_limit(policy: &str) -> String {
    let Ok(mut table) = policy.parse::<toml::Table>() else { return policy.to_owned() };
    let limits = table.entry("limits").or_insert_with(|| toml::Table::new().into());
    if let Some(limits) = limits.as_table_mut() {
        let lines = limits.get("log_lines").and_then(toml::Value::as_integer);
        let lines = lines.unwrap_or_else(|| Limits::DEFAULT.log_lines.into());
        limits.insert("log_lines".to_owned(), (lines - 1).max(1).into());
    }
    table.to_string()
}

const MODULE: &str = ".wasm";
const POLICY: &str = ".toml";

fn is_policy(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension == "toml")
}

fn check_name(name: &str) -> Result<(), Unusable> {
    slot(name).map(drop).map_err(|why| Unusable::Plugin(format!("plugins: {name}: {why}")))
}

/// `site.wasm`, or `canary/site.wasm` for the instance canary.
fn slot(name: &str) -> Result<SlotId, String> {
    let (instance, file) = name.split_once('/').unwrap_or(("", name));
    let stem = file.strip_suffix(MODULE).or_else(|| file.strip_suffix(POLICY)).unwrap_or(file);
    let instance = InstanceId::new(instance).map_err(|error| error.to_string())?;
    Ok(SlotId { instance, stem: Stem::new(stem).map_err(|error| error.to_string())? })
}

#[cfg(test)]
mod tests {
    use trimtab_core::policy::Policy;

    use super::*;

    #[test]
    fn a_policy_with_another_limit_makes_another_generation_that_does_the_same() {
        for text in ["", "[config]\na = 1\n", "[limits]\nlog_lines = 7\ncpu_ms = 5\n"] {
            let (before, after) = (Policy::parse(text).unwrap(), Policy::parse(&with_other_limit(text)).unwrap());
            let generation = |policy: &Policy| policy.generation(Hash::default());
            assert_ne!(generation(&before), generation(&after));
            assert_eq!((before.config, before.limits.cpu), (after.config, after.limits.cpu));
        }
    }

    #[test]
    fn a_name_in_the_folder_is_a_slot_of_its_instance() {
        assert!(slot("site.wasm").unwrap().instance.is_default());
        assert_eq!(slot("canary/site@v2.wasm").unwrap().instance.as_str(), "canary");
        assert!(slot("Site.wasm").is_err());
    }
}
