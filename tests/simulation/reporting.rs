//! The reports of the plugins, over crashes and changes of leader: in the end each is
//! what its slot is, and then nothing is written any more.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::{error::Error, time::Duration};

use serde_json::{Value, json};
use trimtab_core::hash::Hash;
use trimtab_sim::{
    Instead, Refusal, World,
    fault::{Fault, What, When},
    simulate,
};

use crate::{
    QUIET_SHORTLY, SEED,
    site::{DEFINITION, DEFINITIONS, HELD_BACK, SITES, last_writes, site},
    stage::STAGE,
};

const REPORT: &str = include_str!("../../deploy/crds/plugins.yaml");
const REPORTS: &str = "/apis/trimtab.dev/v1alpha1/namespaces/default/plugins";

/// Until it is found that nobody leads an instance any more: it is looked for each
/// minute, and its Lease must be seen twice.
const ABANDONED: Duration = Duration::from_secs(150);

/// Each report's file, state and objects.
async fn reported(world: &World) -> Result<Vec<Value>, Box<dyn Error>> {
    let list = world.api.get(REPORTS).await?;
    let reports = list["items"].as_array().into_iter().flatten().map(|report| &report["status"]);
    let mut all = reports.map(|it| json!([it["file"], it["state"], it["objects"]])).collect::<Vec<_>>();
    all.sort_by_key(Value::to_string);
    Ok(all)
}

async fn play(world: &mut World) -> Result<(), Box<dyn Error>> {
    for definition in [DEFINITION, REPORT] {
        world.api.create(DEFINITIONS, &serde_saphyr::from_str::<Value>(definition)?).await?;
    }
    for number in 0..2 {
        world.api.create(SITES, &site(number)).await?;
    }
    world.put_folder(STAGE.folder(&[("", "site.wasm"), (HELD_BACK, "other-world.wasm")]));
    world.start_host();
    world.start_host();
    world.settle().await?;
    let first = reported(world).await?;
    if first != [json!(["held-back/site", "Refused", 0]), json!(["site", "Serving", 2])] {
        return Err(format!("{first:?}").into());
    }
    world.put_folder(STAGE.folder(&[("", "site-next.wasm")]));
    world.pass(ABANDONED).await?;
    world.settle().await?;
    let then = reported(world).await?;
    if then != [json!(["site", "Serving", 2])] {
        return Err(format!("{then:?}").into());
    }
    let settled = world.clock().elapsed();
    world.pass(QUIET_SHORTLY).await?;
    match world.log().writes_since(settled).first() {
        Some(write) => Err(format!("it was settled, and yet it wrote:\n{write}").into()),
        None => Ok(()),
    }
}

fn run(fault: Option<Fault>) -> usize {
    let wasm = STAGE.wasm();
    simulate(async {
        let mut world = World::new(SEED, fault.clone(), wasm);
        if let Err(why) = play(&mut world).await {
            panic!("{fault:?}: {why}\n{}", last_writes(&world));
        }
        world.log().writes_since(Duration::ZERO).len()
    })
}

#[test]
fn each_slot_has_a_report_of_what_it_is_wherever_a_leader_dies() {
    for write in 1..=run(None) {
        run(Some(Fault { when: When::Write(write), what: What::CrashAfter }));
    }
}

#[test]
fn a_report_that_is_refused_keeps_no_other_from_being_written() {
    let wasm = STAGE.wasm();
    simulate(async {
        let mut world = World::new(SEED, None, wasm);
        for definition in [DEFINITION, REPORT] {
            world.api.create(DEFINITIONS, &serde_saphyr::from_str::<Value>(definition).unwrap()).await.unwrap();
        }
        // That of held-back/site, whose name comes first.
        let hash = Hash::of([format!("{HELD_BACK}/site").as_bytes()]).to_string();
        let body = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 403 });
        let instead = Instead::Answer { code: 403, retry_after_s: None, body };
        let path = format!("/plugins/site.{}", &hash[..8]);
        world.refuse(Some(Refusal { path, reads: false, instead }));
        world.put_folder(STAGE.folder(&[("", "site.wasm"), (HELD_BACK, "other-world.wasm")]));
        world.start_host();
        // It is tried again and again.
        world.pass(QUIET_SHORTLY).await.unwrap();
        assert_eq!(reported(&world).await.unwrap(), [json!(["site", "Serving", 0])]);
        world.refuse(None);
        world.settle().await.unwrap();
        assert_eq!(reported(&world).await.unwrap().len(), 2, "and it comes when it may");
    });
}
