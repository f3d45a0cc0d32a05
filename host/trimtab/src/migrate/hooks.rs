//! Where a controller's hooks are, and how long a call of them may take.

use std::{collections::BTreeSet, time::Duration};

use serde_json::Value;
use trimtab_core::{limits::Limits, origin::Origin};

use super::controller::Wrong;

/// Metacontroller's time for a hook that names none.
const HOOK_TIMEOUT: Duration = Duration::from_secs(10);
/// What a call takes beside its hooks.
const BESIDE_HOOKS: Duration = Duration::from_secs(1);

/// Where the hooks are, and how long a call may take.
#[derive(Default)]
pub struct Hooks {
    pub origins: BTreeSet<Origin>,
    pub wall: Duration,
    pub customizes: bool,
    pub finalizes: bool,
}

/// The hooks of a controller, and what is wrong with them.
pub fn hooks(controller: &Value, wrong: &mut Wrong<'_>) -> Hooks {
    let hooks = &controller["spec"]["hooks"];
    if hooks["sync"].is_null() {
        wrong.at("spec.hooks", "a sync hook is wanted");
    }
    let mut timeouts = [Duration::ZERO; 3];
    let mut found = Hooks {
        customizes: hooks["customize"].is_object(),
        finalizes: hooks["finalize"].is_object(),
        ..Hooks::default()
    };
    for (at, name) in
        ["sync", "finalize", "customize"].into_iter().enumerate().filter(|(_, name)| hooks[name].is_object())
    {
        let webhook = &hooks[name]["webhook"];
        let path = format!("spec.hooks.{name}.webhook");
        match origin(webhook) {
            Some(origin) => _ = found.origins.insert(origin),
            None => wrong.at(&path, "a url of http or https, or a service with name and namespace, is wanted"),
        }
        let timeout = match &webhook["timeout"] {
            Value::Null => Some(HOOK_TIMEOUT),
            timeout => timeout.as_str().and_then(duration),
        };
        match timeout {
            Some(timeout) => timeouts[at] = timeout,
            None => wrong.at(&format!("{path}.timeout"), "a time is wanted, such as 10s or 1m30s"),
        }
    }
    let [sync, finalize, customize] = timeouts;
    found.wall = sync.max(finalize) + customize + BESIDE_HOOKS;
    if found.wall > Limits::CEILING.wall {
        let most = Limits::CEILING.wall.as_secs();
        wrong.at(
            "spec.hooks",
            format!("the hooks of one call may take {} s, and a call at most {most} s", found.wall.as_secs()),
        );
    }
    found
}

fn origin(webhook: &Value) -> Option<Origin> {
    if let Some(url) = webhook["url"].as_str() {
        let host = url.find("://")? + 3;
        let end = url[host..].find(['/', '?']).map_or(url.len(), |at| host + at);
        return Origin::parse(&url[..end]);
    }
    let service = &webhook["service"];
    let protocol = service["protocol"].as_str().unwrap_or("http");
    let port = service["port"].as_u64().unwrap_or(80);
    Origin::parse(&format!("{protocol}://{}.{}:{port}", service["name"].as_str()?, service["namespace"].as_str()?))
}

/// A time as Go writes it, and so the server: `10s`, `1m30s`.
fn duration(text: &str) -> Option<Duration> {
    let is_number = |c: char| c.is_ascii_digit() || c == '.';
    let (mut seconds, mut rest) = (0.0, text);
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.find(|c| !is_number(c))?);
        let (unit, next) = after.split_at(after.find(is_number).unwrap_or(after.len()));
        let scale = match unit {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 0.001,
            _ => return None,
        };
        seconds += number.parse::<f64>().ok()? * scale;
        rest = next;
    }
    Duration::try_from_secs_f64(seconds).ok().filter(|duration| !duration.is_zero())
}
