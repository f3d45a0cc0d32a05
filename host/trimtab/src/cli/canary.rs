//! The flags of `trimtab canary`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// What is done with a canary.
#[derive(Subcommand, Debug)]
pub enum Canary {
    /// Begin to move a share of a plugin's objects to another instance.
    Start(Box<StartArgs>),
    /// Print how far a canary is, and why.
    Status(NamedArgs),
    /// Move all that may be moved, now.
    Promote(NamedArgs),
    /// Move nothing more; what does worse still goes back.
    Pause(NamedArgs),
    /// Go on after a pause.
    Resume(NamedArgs),
    /// Move all objects back and delete the canary.
    Abort(NamedArgs),
}

/// Which canary, and where it lies.
#[derive(Args, Debug)]
pub struct NamedArgs {
    /// Its name.
    pub name: String,
    /// Its namespace: that of the hosts' Leases.
    #[arg(short, long, default_value = "default", value_name = "NAMESPACE")]
    pub namespace: String,
    /// The kubeconfig; without it KUBECONFIG, ~/.kube/config or the pod's own account.
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
}

/// What a new canary is to do.
#[derive(Args, Debug)]
pub struct StartArgs {
    /// Which it is to be.
    #[command(flatten)]
    pub named: NamedArgs,
    /// The plugin: its file's name up to `@`.
    #[arg(long)]
    pub lineage: String,
    /// What it reconciles, as Kind.group.
    #[arg(long)]
    pub kind: String,
    /// The instance that the objects come from; by default the default one.
    #[arg(long, default_value = "", value_name = "ID")]
    pub from: String,
    /// The instance that is tried.
    #[arg(long, value_name = "ID")]
    pub to: String,
    /// One step, repeatable: how many hundredths of the objects, and for how many seconds these must do well.
    #[arg(long = "step", required = true, value_name = "PERCENT[:SECONDS]", value_parser = step)]
    pub steps: Vec<(u8, Option<u32>)>,
    /// Only objects with these labels, as for `kubectl -l`.
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    pub selector: Option<String>,
    /// Only objects in these namespaces.
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    pub namespaces: Vec<String>,
    /// Only these objects, as NAME or NAMESPACE/NAME.
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    pub names: Vec<String>,
    /// How many hundredths may fail that did not before.
    #[arg(long, value_parser = clap::value_parser!(u8).range(..=100), value_name = "PERCENT")]
    pub tolerated_percent: Option<u8>,
    /// The installation whose hosts carry it out.
    #[arg(long, env = "TRIMTAB_INSTALLATION", default_value = "trimtab", value_name = "NAME")]
    pub installation: String,
}

fn step(text: &str) -> Result<(u8, Option<u32>), String> {
    let (percent, hold) = text.split_once(':').map_or((text, None), |(percent, hold)| (percent, Some(hold)));
    let wrong = || format!("{text:?} is no step: wanted is one such as 10 or 10:600, of 1 to 100 hundredths");
    let percent = percent.parse().ok().filter(|percent| (1..=100).contains(percent)).ok_or_else(wrong)?;
    Ok((percent, hold.map(|hold| hold.parse().map_err(|_| wrong())).transpose()?))
}

#[cfg(test)]
mod tests {
    use super::step;

    #[test]
    fn a_step_is_a_percentage_and_perhaps_a_time() {
        assert_eq!((step("10"), step("100:600")), (Ok((10, None)), Ok((100, Some(600)))));
        for wrong in ["0", "101", "x", "10:", "10:x", ""] {
            assert!(step(wrong).is_err(), "{wrong}");
        }
    }
}
