//! A `Database` becomes a StatefulSet and, once, a Job that makes its schema.
//!
//! It has a bug of the kind that Kubernetes controllers have most: it takes what
//! is there for a sign of how far it got. `trimtab test --explore` finds it.

use serde::{Deserialize, Serialize};
use trimtab::{prelude::*, serde_json::Value};

#[derive(Deserialize, Resource)]
#[resource(api_version = "example.dev/v1", kind = "Database")]
struct Database {
    metadata: Metadata,
}

#[derive(Deserialize, Resource)]
#[resource(api_version = "apps/v1", kind = "StatefulSet")]
struct StatefulSet {
    metadata: Metadata,
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

#[derive(Serialize)]
struct DatabaseStatus {
    schema: &'static str,
}

#[trimtab::composite(children(StatefulSet, Job))]
fn reconcile(database: Database, cx: &Cx) -> Result<Answer<DatabaseStatus>> {
    let name = database.name();
    let is_new = cx.child::<StatefulSet>(name).is_none();
    let has_job = cx.child::<Job>(name).is_some();
    let answer = answer().child_json::<StatefulSet>(server(name));
    // The bug: a host that dies between the two writes leaves a StatefulSet, and
    // then the database is not new any more and never gets its schema.
    if is_new || has_job || cx.config::<Config>()?.fixed {
        return Ok(answer.child_json::<Job>(schema(name)).status(DatabaseStatus { schema: "made" }));
    }
    Ok(answer.status(DatabaseStatus { schema: "none" }))
}

fn server(name: &str) -> Value {
    let labels = json!({ "app": name });
    json!({
        "metadata": { "name": name },
        "spec": {
            "serviceName": name,
            "selector": { "matchLabels": labels },
            "template": { "metadata": { "labels": labels }, "spec": { "containers": [{ "name": "sql", "image": "sql" }] } },
        },
    })
}

fn schema(name: &str) -> Value {
    let containers = json!([{ "name": "schema", "image": "sql" }]);
    json!({
        "metadata": { "name": name },
        "spec": { "template": { "spec": { "containers": containers, "restartPolicy": "Never" } } },
    })
}
