//! `trimtab check FILE.wasm`: what the host would make of a file, with no cluster.

use std::{path::PathBuf, sync::Arc};

use anyhow::{Context, bail};
use trimtab_core::{
    description::{Description, Role},
    grants::Grants,
    id::Stem,
    policy::Policy,
};
use trimtab_wasm::Wasm;

use crate::{cli::CheckArgs, wiring::Runtimes};

/// Prints what the file is; an error says why it would be refused.
pub fn main(args: CheckArgs) -> anyhow::Result<()> {
    let name = args.file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let stem = name.strip_suffix(".wasm").with_context(|| format!("{name}: plugins are files that end in .wasm"))?;
    let stem = Stem::new(stem).with_context(|| name.clone())?;
    let policy = policy(&args)?;

    let runtimes = Runtimes::start()?;
    let wasm = runtimes.wasm(None, 1)?;
    runtimes.host.block_on(async {
        let bytes: Arc<[u8]> =
            std::fs::read(&args.file).with_context(|| format!("reading {}", args.file.display()))?.into();
        let size = bytes.len();
        let (description, imports) = describe(&wasm, &name, bytes, &policy).await?;
        let grants = Grants::new(&description, &policy);
        println!("{name} is a plugin of lineage {} ({} KiB)", stem.lineage(), size.div_ceil(1024));
        print!("{}", report(&description, &grants, &imports));
        match grants.may_reconcile() {
            Ok(()) => Ok(()),
            Err(denied) => bail!("{name}: {denied}"),
        }
    })
}

/// What a plugin says of itself, and what it imports.
pub async fn describe(
    wasm: &Arc<Wasm>,
    name: &str,
    bytes: Arc<[u8]>,
    policy: &Policy,
) -> anyhow::Result<(Description, Vec<String>)> {
    let plugin = wasm.load(name, bytes).await?;
    let described = plugin.describe(policy.config.as_str().into(), &policy.limits).await;
    let described = described.outcome.with_context(|| format!("{name}: describe"))?;
    let description = Description::parse(&described).map_err(|errors| {
        let errors = errors.iter().map(|error| format!("\n  {error}")).collect::<String>();
        anyhow::anyhow!("{name}: its description is not valid:{errors}")
    })?;
    Ok((description, plugin.imports().to_vec()))
}

fn policy(args: &CheckArgs) -> anyhow::Result<Policy> {
    let beside: PathBuf = args.file.with_extension("toml");
    let file = match &args.policy {
        Some(file) => file,
        None if beside.exists() => &beside,
        None => return Ok(Policy::default()),
    };
    let text = std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    Policy::parse(&text).with_context(|| file.display().to_string())
}

fn report(description: &Description, grants: &Grants, imports: &[String]) -> String {
    let verb = match description.role {
        Role::Composite => "reconciles ",
        Role::Decorator => "decorates  ",
    };
    let mut lines = Vec::new();
    for object in &description.objects {
        lines.push(format!("{verb} {} at {}", object.kind, object.version));
        if let Some(selector) = &object.selector {
            lines.push(format!("            only those that match {selector}"));
        }
        if let Some(selector) = &object.annotations {
            lines.push(format!("            only those whose annotations match {selector}"));
        }
    }
    for child in &description.children {
        let allowed =
            grants.may_write(&child.kind).map_or_else(|denied| format!("NOT ALLOWED: {denied}"), |()| "allowed".into());
        lines.push(format!("writes      {} at {}, {}: {allowed}", child.kind, child.version, child.update));
    }
    for read in &description.reads {
        let allowed = grants.may_read(&read.kind, &read.version, read.namespace.as_deref());
        let allowed = allowed.map_or_else(|denied| format!("NOT ALLOWED: {denied}"), |()| "allowed".into());
        lines.push(format!("reads       {} at {}: {allowed}", read.kind, read.version));
    }
    lines.push(format!("finalizes   {}", if description.finalizes { "yes" } else { "no" }));
    lines.extend(imports.iter().map(|import| format!("imports     {import}")));
    lines.into_iter().map(|line| line + "\n").collect()
}
