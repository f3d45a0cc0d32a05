//! `trimtab replay FILE --with PLUGIN.wasm`: makes recorded calls again, with the
//! plugin that answered or with another one, and says what it answers otherwise.
//! Nothing is asked of anybody: all that a call is told is in its record.

mod compare;
mod scenario;

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use anyhow::Context;
use trimtab_core::{
    description::{Description, Role},
    limits::Limits,
    policy::Policy,
};
use trimtab_sim::simulate;
use trimtab_wasm::{Config, Ending, Mode, Plugin, Record, Wasm};

use crate::{cli::ReplayArgs, wiring};

/// Some answer differs.
const DIFFERENT: u8 = 1;
/// Some record could not be played.
const UNUSABLE: u8 = 2;

/// Plays all that was asked for. Zero: all answers are those of the records; one:
/// some are not; two: some could not be played.
pub fn main(args: &ReplayArgs) -> ExitCode {
    match replay(args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(DIFFERENT),
        Err(error) => {
            eprintln!("trimtab: {error:#}");
            ExitCode::from(UNUSABLE)
        }
    }
}

fn replay(args: &ReplayArgs) -> anyhow::Result<bool> {
    let compiled = args.cache.clone().map_or_else(wiring::default_cache, Ok)?;
    let policy = policy(args)?;
    let plugin = load(&args.with, compiled.clone())?;
    anyhow::ensure!(args.scenario.is_none() || args.files.len() == 1, "--scenario writes one file: give it one record");
    let mut same = true;
    for file in &args.files {
        let text = fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
        let record = Record::parse(&text).with_context(|| file.display().to_string())?;
        let (ending, differences) = play(&plugin, &record, policy.as_ref());
        let compared = compare::compare(&record, &ending, &differences);
        println!("{}: {}", file.display(), compared.summary);
        compared.lines.iter().for_each(|line| println!("  {line}"));
        same &= compared.is_same;
        if let Some(to) = &args.scenario {
            let role = role(&plugin, &record, policy.as_ref())?;
            scenario::write(to, &scenario::Call { record: &record, ending: &ending, role }, args, &compiled)?;
            println!("{}: a scenario, to be played with trimtab test", to.display());
        }
    }
    Ok(same)
}

/// Guests as in a simulation: bounded by fuel, so that a slow machine changes nothing.
fn load(file: &Path, cache_dir: PathBuf) -> anyhow::Result<Arc<Plugin>> {
    let bytes: Arc<[u8]> = fs::read(file).with_context(|| format!("{} cannot be read", file.display()))?.into();
    let wasm = Wasm::new(Config { cache_dir, in_flight: 1, mode: Mode::Simulate });
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    Ok(simulate(wasm.context("starting the WebAssembly engine")?.load(&name, bytes))?)
}

/// The policy that is named, or the one beside the plugin.
fn policy(args: &ReplayArgs) -> anyhow::Result<Option<Policy>> {
    let Some(file) = policy_file(args) else { return Ok(None) };
    let text = fs::read_to_string(&file).with_context(|| format!("{} cannot be read", file.display()))?;
    Policy::parse(&text).map(Some).with_context(|| file.display().to_string())
}

fn policy_file(args: &ReplayArgs) -> Option<PathBuf> {
    let beside = args.with.with_extension("toml");
    args.policy.clone().or_else(|| beside.exists().then_some(beside))
}

/// What the plugin is, under the config that it is given.
fn role(plugin: &Plugin, record: &Record, policy: Option<&Policy>) -> anyhow::Result<Role> {
    let config = given(record, policy).request.config;
    let described = simulate(plugin.describe(config, &limits(policy))).outcome.context("describe")?;
    let description = Description::parse(&described);
    let description = description.map_err(|_| anyhow::anyhow!("its description is not valid; see trimtab check"))?;
    Ok(description.role)
}

/// A policy that says all of its config replaces the record's; what lies in the
/// cluster the record alone knows.
fn given(record: &Record, policy: Option<&Policy>) -> Record {
    let mut given = record.clone();
    if let Some(policy) = policy.filter(|policy| policy.config_from.is_none()) {
        given.request.config = policy.config.as_str().into();
    }
    given
}

fn limits(policy: Option<&Policy>) -> Limits {
    policy.map_or(Limits::DEFAULT, |policy| policy.limits)
}

fn play(plugin: &Plugin, record: &Record, policy: Option<&Policy>) -> (Ending, Vec<String>) {
    let replayed = simulate(plugin.replay(&given(record, policy), &limits(policy)));
    (Ending::of(&replayed.called.outcome), replayed.differences)
}
