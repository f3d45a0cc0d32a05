//! The kind `Mirror`, whose plugin wants for an object what the object says, and
//! where that and its children lie.

use std::error::Error;

use serde_json::{Value, json};
use trimtab_sim::World;

use crate::site::DEFINITIONS;

const DEFINITION: &str = include_str!("../../plugins/fixtures/mirror/crd.yaml");
pub const MIRRORS: &str = "/apis/fixtures.trimtab.dev/v1/namespaces/default/mirrors";
/// What the plugin says of itself, as a composite with ConfigMaps: the end of a policy.
pub const DESCRIBE: &str = r#"
    [config.describe]
    role = "composite"
    objects = [{ apiVersion = "fixtures.trimtab.dev/v1", kind = "Mirror" }]
    children = [{ apiVersion = "v1", kind = "ConfigMap" }]
"#;
pub const NAMESPACES: &str = "/api/v1/namespaces";
/// In another namespace than the objects.
pub const SHARED: &str = "/api/v1/namespaces/shared/configmaps";

/// Makes the kind known.
pub async fn define(world: &World) -> Result<(), Box<dyn Error>> {
    world.api.create(DEFINITIONS, &serde_saphyr::from_str::<Value>(DEFINITION)?).await?;
    Ok(())
}

/// The same, and the namespace of [`SHARED`].
pub async fn define_and_share(world: &World) -> Result<(), Box<dyn Error>> {
    define(world).await?;
    world.api.create(NAMESPACES, &json!({ "metadata": { "name": "shared" } })).await?;
    Ok(())
}
