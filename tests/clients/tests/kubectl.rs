//! kubectl against both servers: the same command lines have to print the same.
//! Each file of `kubectl/` is a scenario in a namespace of its own; its
//! paragraphs are shell commands that run one after the other.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::path::{Path, PathBuf};

use trimtab_clients::{Servers, differences, normal};

fn scenarios() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("kubectl");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut scenarios: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|end| end == "sh")).collect();
    scenarios.sort();
    scenarios
}

/// The paragraphs without their comments.
fn steps(scenario: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(scenario).unwrap();
    let paragraphs = text
        .split("\n\n")
        .map(|paragraph| paragraph.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n"));
    paragraphs.filter(|step| !step.trim().is_empty()).collect()
}

/// What differs when a scenario is played on both servers.
fn play(servers: &Servers, scenario: &Path) -> (usize, Vec<String>) {
    let name = scenario.file_stem().unwrap().to_string_lossy().into_owned();
    let run = |script: &str| {
        servers.run(|side| {
            let mut shell = side.command("bash");
            shell.args(["-c", script]).current_dir(scenario.parent().unwrap()).env("NAMESPACE", &name);
            shell
        })
    };
    let own = "kubectl create namespace $NAMESPACE >/dev/null && kubectl config set-context --current --namespace $NAMESPACE >/dev/null";
    let (memory, real) = run(own);
    assert_eq!((memory.as_str(), real.as_str()), ("", ""), "{name}");
    let steps = steps(scenario);
    let found = steps.iter().filter_map(|step| {
        let (memory, real) = run(step);
        let lines = differences(&normal(&memory), &normal(&real))?;
        Some(format!("{name}: {step}\n{lines}"))
    });
    let found = found.collect();
    (steps.len(), found)
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_prints_the_same_with_both_servers() {
    let servers = Servers::start().await;
    let only = std::env::var("SCENARIO").unwrap_or_default();
    let (mut steps, mut found) = (0, Vec::new());
    for scenario in scenarios().iter().filter(|path| path.to_string_lossy().contains(&only)) {
        let (played, differing) = tokio::task::block_in_place(|| play(&servers, scenario));
        steps += played;
        found.extend(differing);
    }
    println!("{steps} commands of kubectl were compared");
    assert!(steps > 0 && found.is_empty(), "{} of {steps} commands differ:\n{}", found.len(), found.join("\n"));
}
