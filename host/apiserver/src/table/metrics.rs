//! The targets of a HorizontalPodAutoscaler, each as `current/target`.

use serde_json::Value;

use super::read::{list, scalar, text};

/// How many are shown.
const SHOWN_MAX: usize = 2;

pub(super) fn targets(autoscaler: &Value) -> String {
    let specs = list(autoscaler, "/spec/metrics");
    if specs.is_empty() {
        return "<none>".to_owned();
    }
    let statuses = list(autoscaler, "/status/currentMetrics");
    let all: Vec<String> = specs
        .iter()
        .enumerate()
        .map(|(index, spec)| target(spec, statuses.get(index).unwrap_or(&Value::Null)))
        .collect();
    let shown = all[..all.len().min(SHOWN_MAX)].join(", ");
    if all.len() > SHOWN_MAX { format!("{shown} + {} more...", all.len() - SHOWN_MAX) } else { shown }
}

fn target(spec: &Value, status: &Value) -> String {
    let unknown = || "<unknown>".to_owned();
    let (field, is_resource) = match text(spec, "/type") {
        "External" => ("external", false),
        "Pods" => ("pods", false),
        "Object" => ("object", false),
        "Resource" => ("resource", true),
        "ContainerResource" => ("containerResource", true),
        _ => return "<unknown type>".to_owned(),
    };
    let wanted = |what: &str| scalar(&spec[field], &format!("/target/{what}"));
    let current = |what: &str| scalar(&status[field], &format!("/current/{what}")).unwrap_or_else(unknown);
    let prefix = if is_resource { format!("{}: ", text(&spec[field], "/name")) } else { String::new() };
    if let Some(average) = wanted("averageValue") {
        let suffix = if is_resource || field == "pods" { "" } else { " (avg)" };
        return format!("{prefix}{}/{average}{suffix}", current("averageValue"));
    }
    if is_resource {
        let percent =
            |value: Option<String>, instead: &str| value.map_or(instead.to_owned(), |value| format!("{value}%"));
        let now = scalar(&status[field], "/current/averageUtilization");
        return format!("{prefix}{}/{}", percent(now, "<unknown>"), percent(wanted("averageUtilization"), "<auto>"));
    }
    format!("{}/{}", current("value"), wanted("value").unwrap_or_default())
}
