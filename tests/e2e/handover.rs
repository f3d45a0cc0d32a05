//! A rolling restart while people edit: how long it is from the leader's SIGTERM to the
//! first write of the one that stood by, and how long anybody waits for his edit.
//! Figures, which come from `make bench`, are all that depends on the clock here: that
//! nobody waits a second longer than usual is held in simulated time.

use std::{
    env,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use futures::{StreamExt, stream};
use serde_json::Value;
use trimtab_harness::eventually;

use crate::support::{Host, SOON, Scene};

/// What a machine that builds beside it may take for what takes a tenth of a second.
const HANDED_OVER_WITHIN: Duration = Duration::from_secs(5);
const PEOPLE: usize = 4;
/// How exactly times are told.
const LOOK: Duration = Duration::from_millis(4);

fn size(variable: &str, otherwise: usize) -> usize {
    env::var(variable).map_or(otherwise, |text| text.parse().expect("a number"))
}

/// The median and the most.
fn figures(times: impl IntoIterator<Item = Duration>) -> (Duration, Duration) {
    let mut times = times.into_iter().collect::<Vec<_>>();
    times.sort();
    (times.get(times.len() / 2).copied().unwrap_or_default(), times.last().copied().unwrap_or_default())
}

async fn warm(scene: &Scene) -> Host {
    let host = scene.host().await;
    host.becomes("raw", "Serving").await;
    host
}

async fn is_served(scene: &Scene, name: &str, page: &str) {
    let path = scene.config_map(name);
    while scene.api.get(&path).await.is_none_or(|child| child["data"]["index.html"] != page) {
        tokio::time::sleep(LOOK).await;
    }
}

/// Edits objects and waits for each, until all hosts were replaced: when each edit was
/// made, and how long it took.
async fn edit(scene: &Scene, person: usize, objects: usize, over: &AtomicBool) -> Vec<(Instant, Duration)> {
    let mut edits = Vec::new();
    for edition in 0.. {
        if over.load(Ordering::Relaxed) {
            break;
        }
        let name = format!("site-{:04}", (edition * PEOPLE + person) % objects);
        let page = format!("edition {edition} of {person}");
        scene.edit_page(&name, &page).await;
        let began = Instant::now();
        let served = tokio::time::timeout(2 * SOON, is_served(scene, &name, &page)).await;
        served.unwrap_or_else(|_| panic!("{name} waits for ever for {page}"));
        edits.push((began, began.elapsed()));
    }
    edits
}

/// Replaces the leader by the one that stands by, and that one by a new one: when each
/// leader was told to end, and how long it was to the other's first write.
async fn replace(scene: &Scene, hosts: &mut [Host; 2], rounds: usize) -> Vec<(Instant, Duration)> {
    let [leader, standby] = hosts;
    let writes = async |host: &Host| host.metric("trimtab_writes_total", &[]).await;
    let mut handovers = Vec::new();
    for _ in 0..rounds {
        // Time for edits that nothing disturbs.
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(writes(standby).await, 0.0, "who stands by writes nothing");
        let told = Instant::now();
        leader.terminate();
        while writes(standby).await == 0.0 {
            tokio::time::sleep(LOOK).await;
        }
        handovers.push((told, told.elapsed()));
        assert_eq!(leader.ends_within(SOON).await.code(), Some(0));
        *leader = std::mem::replace(standby, warm(scene).await);
    }
    handovers
}

#[tokio::test]
async fn a_rolling_restart_under_load_loses_no_edit() {
    let (objects, rounds) = (size("OBJECTS", 40), size("ROUNDS", 2));
    let scene = Scene::new().await;
    scene.set_up_anna().await;
    for object in 0..objects {
        scene.create_site(&format!("site-{object:04}"), "first").await;
    }
    let leader = warm(&scene).await;
    eventually("each has its page", SOON + Duration::from_millis(50) * objects as u32, async || {
        (scene.api.list(&scene.config_map("")).await.len() > objects).then_some(())
    })
    .await;
    let mut hosts = [leader, warm(&scene).await];

    let over = AtomicBool::new(false);
    let edits = Mutex::new(Vec::new());
    let people = stream::iter(0..PEOPLE).for_each_concurrent(PEOPLE, async |person| {
        let more = edit(&scene, person, objects, &over).await;
        edits.lock().unwrap_or_else(PoisonError::into_inner).extend(more);
    });
    let replaced = async {
        let handovers = replace(&scene, &mut hosts, rounds).await;
        over.store(true, Ordering::Relaxed);
        handovers
    };
    let (handovers, ()) = tokio::join!(replaced, people);
    let edits = edits.into_inner().unwrap_or_else(PoisonError::into_inner);

    let (median, most) = figures(handovers.iter().map(|(_, took)| *took));
    println!(
        "{objects} objects, {rounds} leaders replaced: first write {median:.0?} (p50), {most:.0?} (most) after SIGTERM"
    );
    // Whose edit was under way when a leader was told to end, or came before the other one wrote.
    let meets = |(began, took): &(Instant, Duration)| {
        handovers.iter().any(|(told, lasted)| *began < *told + *lasted && *told < *began + *took)
    };
    let (met, usual) = edits.into_iter().partition::<Vec<_>, _>(meets);
    let [met, usual] = [met, usual].map(|edits| (edits.len(), figures(edits.into_iter().map(|(_, took)| took))));
    println!("served: {} edits in {:.0?} (p50), {:.0?} (most) as usual", usual.0, usual.1.0, usual.1.1);
    println!("        {} in {:.0?} (p50), {:.0?} (most) over a hand-over", met.0, met.1.0, met.1.1);
    assert!(most < HANDED_OVER_WITHIN, "a hand-over took {most:?}");
    assert_eq!(scene.api.fetch(&scene.config_map("anna")).await["data"]["index.html"], Value::from("one"));
}
