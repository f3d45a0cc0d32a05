//! A `Tenant` lives in the region that a ConfigMap `defaults` names.
//!
//! It has a bug: what it saw at its first look it never asks again, and a cache
//! may show the past. `trimtab test --explore` finds it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use trimtab::prelude::*;

#[derive(Deserialize, Resource)]
#[resource(api_version = "example.dev/v1", kind = "Tenant")]
struct Tenant {
    metadata: Metadata,
    status: Option<TenantStatus>,
}

#[derive(Deserialize, Serialize)]
struct TenantStatus {
    region: Option<String>,
}

#[derive(Deserialize, Resource)]
#[resource(api_version = "v1", kind = "ConfigMap")]
struct ConfigMap {
    metadata: Metadata,
    #[serde(default)]
    data: BTreeMap<String, String>,
}

/// A policy turns the bug off.
#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    fixed: bool,
}

#[trimtab::composite(children(ConfigMap), reads(ConfigMap))]
fn reconcile(tenant: Tenant, cx: &Cx) -> Result<Answer<TenantStatus>> {
    let mut defaults = cx.get::<ConfigMap>("defaults")?.or_wait("the ConfigMap defaults")?;
    let default = defaults.data.remove("region").or_wait("a region in the ConfigMap defaults")?;
    // The bug: where the cache is behind, this is a region that `defaults` named
    // before the tenant was made, and it stays.
    let chosen = tenant.status.as_ref().and_then(|status| status.region.clone());
    let region = chosen.filter(|_| !cx.config::<Config>().is_ok_and(|config| config.fixed)).unwrap_or(default);
    Ok(answer()
        .child_json::<ConfigMap>(json!({ "metadata": { "name": tenant.name() }, "data": { "region": region } }))
        .status(TenantStatus { region: Some(region) }))
}
