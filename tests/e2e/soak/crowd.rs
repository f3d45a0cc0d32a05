//! People: each has objects of their own, but for the notes, which others keep on the
//! same objects and their children.

use fastrand::Rng;
use futures::{StreamExt, stream};
use serde_json::json;

use super::{INSTANCES, NOTE, Soak, locked, pause};

/// How many there are.
pub const PEOPLE: usize = 8;

/// Edits until it is over.
pub async fn edit(soak: &Soak, rng: &mut Rng) {
    let people = (0..PEOPLE).map(|person| (person, rng.fork())).collect::<Vec<_>>();
    stream::iter(people)
        .for_each_concurrent(PEOPLE, async |(person, mut rng)| {
            let mut edition = 0;
            while !soak.is_over() {
                edition += 1;
                // Whose text is one's own has a note of another person's.
                let own = rng.usize(0..soak.wanted.len() / PEOPLE) * PEOPLE + person;
                let anothers = own - person + (person + 1) % PEOPLE;
                match rng.u32(0..10) {
                    0..4 => text(soak, own, format!("text {edition} of {person}")).await,
                    4..6 => note(soak, anothers, format!("note {edition} of {person}")).await,
                    6 => child_note(soak, own, format!("child note {edition} of {person}")).await,
                    7 => spoil(soak, own).await,
                    _ => relocate(soak, own, rng.usize(0..INSTANCES.len())).await,
                }
                pause(&mut rng, 100..600).await;
            }
        })
        .await;
}

async fn text(soak: &Soak, number: usize, text: String) {
    let (path, field) = of(soak, number, |object| (soak.path(object), object.kind.text()));
    soak.api.merge(&path, &json!({ "spec": { field: text } })).await;
    locked(&soak.wanted[number]).text = text;
    soak.count("edits of objects");
}

async fn note(soak: &Soak, number: usize, note: String) {
    let path = of(soak, number, |object| soak.path(object));
    soak.api.merge(&path, &json!({ "metadata": { "annotations": { NOTE: note } } })).await;
    locked(&soak.wanted[number]).note = note;
    soak.count("notes on objects by others");
}

async fn child_note(soak: &Soak, number: usize, note: String) {
    let path = of(soak, number, |object| soak.scene.config_map(&object.name));
    soak.api.merge(&path, &json!({ "metadata": { "annotations": { NOTE: note } } })).await;
    locked(&soak.wanted[number]).child_note = note;
    soak.count("notes on children");
}

/// Overwrites what the plugin wants in a child.
async fn spoil(soak: &Soak, number: usize) {
    let path = of(soak, number, |object| soak.scene.config_map(&object.name));
    soak.api.merge(&path, &json!({ "data": { "index.html": "spoiled" } })).await;
    soak.count("children spoiled");
}

async fn relocate(soak: &Soak, number: usize, instance: usize) {
    let path = of(soak, number, |object| soak.path(object));
    let label = json!({ "trimtab.dev/instance-id": INSTANCES[instance] });
    soak.api.merge(&path, &json!({ "metadata": { "labels": label } })).await;
    locked(&soak.wanted[number]).instance = instance;
    soak.count("moves between instances");
}

fn of<T>(soak: &Soak, number: usize, get: impl Fn(&super::Wanted) -> T) -> T {
    get(&locked(&soak.wanted[number]))
}
