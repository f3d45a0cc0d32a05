//! A `Backup` makes a Job each time that its `run` is switched on.
//!
//! It has a bug: nobody may be looking while the switch is on. `trimtab test
//! --explore` finds it. Without the bug, `runs` says how many there are to be.

use serde::{Deserialize, Serialize};
use trimtab::{prelude::*, serde_json::Value};

#[derive(Deserialize, Resource)]
#[resource(api_version = "example.dev/v1", kind = "Backup")]
struct Backup {
    metadata: Metadata,
    spec: BackupSpec,
    status: Option<BackupStatus>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct BackupSpec {
    run: bool,
    runs: u32,
}

#[derive(Deserialize, Serialize, Default)]
#[serde(default)]
struct BackupStatus {
    runs: u32,
    running: bool,
}

#[derive(Deserialize, Resource)]
#[resource(api_version = "batch/v1", kind = "Job")]
struct Job {
    metadata: Metadata,
}

/// A policy turns the bug off.
#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    fixed: bool,
}

#[trimtab::composite(children(Job))]
fn reconcile(backup: Backup, cx: &Cx) -> Result<Answer<BackupStatus>> {
    let (name, spec) = (backup.name(), &backup.spec);
    let before = backup.status.as_ref();
    let (ran, running) = before.map_or((0, false), |status| (status.runs, status.running));
    // The bug: this counts the changes that were seen. Where the switch goes on
    // and off between two looks there is nothing to see, and no backup.
    let switched_on = u32::from(spec.run && !running);
    let runs = if cx.config::<Config>()?.fixed { spec.runs } else { ran + switched_on };
    let mut answer = answer();
    for run in 1..=runs {
        answer = answer.child_json::<Job>(job(&format!("{name}-{run}")));
    }
    Ok(answer.status(BackupStatus { runs, running: spec.run }))
}

fn job(name: &str) -> Value {
    let containers = json!([{ "name": "backup", "image": "backup" }]);
    json!({
        "metadata": { "name": name },
        "spec": { "template": { "spec": { "containers": containers, "restartPolicy": "Never" } } },
    })
}
