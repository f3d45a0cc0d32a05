//! Custom kinds of random schemas: in a namespace or of the whole cluster, with
//! one version or two that share most of their fields, with `status` and
//! `scale` or without.

use fastrand::Rng;
use serde_json::{Value, json};

use super::draw::percent;
use super::shape::{Field, Shape};
use super::sketch::Target;

/// A random kind: what to write through each of its versions, and its definition.
pub(super) struct Custom {
    pub targets: Vec<Target>,
    pub things: Value,
}

/// What a version of a kind knows.
struct Version {
    name: &'static str,
    spec: Shape,
    status: Shape,
    smaller: bool,
}

impl Custom {
    pub fn random(rng: &mut Rng) -> Self {
        let cluster = percent(rng, 20);
        let (has_status, has_scale) = (percent(rng, 70), percent(rng, 30));
        let (mut spec, mut status) = (Shape::random_object(rng, 0), Shape::random_object(rng, 1));
        if has_scale {
            for object in [&mut spec, &mut status] {
                add(object, field("replicas", Shape::Whole(0, 5)));
            }
        }
        let mut versions = vec![Version { name: "v1", spec, status, smaller: false }];
        if percent(rng, 30) {
            versions.push(smaller(&versions[0], rng));
        }
        // The version that is stored has room for all; which of them it is does not follow from its name.
        if percent(rng, 50) {
            versions.reverse();
            versions.iter_mut().zip(["v1", "v2"]).for_each(|(version, name)| version.name = name);
        }
        let stored = if versions.len() > 1 && versions[0].smaller { "v2" } else { "v1" };
        let definition = |version: &Version| {
            let fields = vec![field("spec", version.spec.clone()), field("status", version.status.clone())];
            let mut definition = json!({
                "name": version.name,
                "storage": version.name == stored,
                "schema": Shape::Object { fields, atomic: false }.schema(),
                "subresources": {},
            });
            if has_status {
                definition["subresources"]["status"] = json!({});
            }
            if has_scale {
                definition["subresources"]["scale"] =
                    json!({ "specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas" });
            }
            definition
        };
        let things = json!({
            "scope": if cluster { "Cluster" } else { "Namespaced" },
            "versions": versions.iter().map(definition).collect::<Vec<_>>(),
        });
        let target = |version: Version| Target {
            kind: "Thing".to_owned(),
            api_version: format!("$group/{}", version.name),
            path: match (cluster, version.name) {
                (true, name) => format!("$custom/{name}/things"),
                (false, "v1") => "$things".to_owned(),
                (false, name) => format!("$custom/{name}/namespaces/$ns/things"),
            },
            body: Shape::Object { fields: vec![field("spec", version.spec)], atomic: false },
            status: has_status.then_some(version.status),
            custom: true,
            fixed: false,
            kept: false,
            scaled: has_scale,
            cluster,
            names: Vec::new(),
        };
        Self { targets: versions.into_iter().map(target).collect(), things }
    }
}

/// Another version of a kind, which lacks a field of the first.
fn smaller(first: &Version, rng: &mut Rng) -> Version {
    let mut spec = first.spec.clone();
    if let Shape::Object { fields, .. } = &mut spec {
        let lost = rng.usize(..fields.len());
        if !fields[lost].required && fields[lost].name != "replicas" {
            fields.remove(lost);
        }
    }
    Version { name: "v2", spec, status: first.status.clone(), smaller: true }
}

fn field(name: &str, shape: Shape) -> Field {
    Field { name: name.to_owned(), shape, required: false, default: None, nullable: false }
}

fn add(object: &mut Shape, field: Field) {
    if let Shape::Object { fields, .. } = object {
        fields.push(field);
    }
}
