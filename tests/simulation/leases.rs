//! What a Lease says of its instance, and when.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::time::Duration;

use serde_json::Value;
use trimtab_sim::{World, simulate};

use crate::{
    SEED,
    site::{DEFINITION, DEFINITIONS},
    stage::STAGE,
};

const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/default/leases/trimtab-trimtab";
/// Much less than lies between two renewals.
const A_MOMENT: Duration = Duration::from_millis(300);

#[test]
fn a_file_that_comes_or_goes_is_told_in_the_lease_at_once() {
    let wasm = STAGE.wasm();
    simulate(async {
        let mut world = World::new(SEED, None, wasm);
        let definition = serde_saphyr::from_str::<Value>(DEFINITION).unwrap();
        world.api.create(DEFINITIONS, &definition).await.unwrap();
        let one = STAGE.folder(&[("", "site.wasm")]);
        let mut two = one.clone();
        two.slots.extend([STAGE.slot("", "other", "mirror.wasm", None)]);
        world.put_folder(one.clone());
        world.start_host();
        world.settle().await.unwrap();
        for (folder, lineages) in [(two, r#"["other","site"]"#), (one, r#"["site"]"#)] {
            // At whatever time since the last renewal.
            for _ in 0..5 {
                world.put_folder(folder.clone());
                world.pass(A_MOMENT).await.unwrap();
                let lease = world.api.get(LEASE).await.unwrap();
                assert_eq!(lease["metadata"]["annotations"]["trimtab.dev/lineages"], lineages);
            }
        }
    });
}
