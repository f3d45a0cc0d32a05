//! Claims of volumes: bound as soon as they are seen, to nothing, as no volume
//! is simulated.

use serde_json::{Value, json};

use super::{
    Look,
    object::{self, Kind, text},
};

pub(super) fn look(claim: &Value) -> Look {
    let mut look = Look::default();
    if !object::is_deleting(claim) && matches!(text(claim, "/status/phase"), "" | "Pending") {
        let spec = &claim["spec"];
        let status = json!({
            "phase": "Bound", "accessModes": spec["accessModes"], "capacity": spec["resources"]["requests"],
        });
        look.set_status(Kind::Claim, claim, status, &[]);
    }
    look
}
