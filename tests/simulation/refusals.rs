//! Writes that the server refuses or does not answer, through the whole host:
//! how often each is tried, whom it is told, that nothing else suffers, and that
//! all comes right once the server relents.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::{error::Error, time::Duration};

use serde_json::{Value, json};
use trimtab_sim::{Entry, Instead, Refusal, World, simulate};

use crate::{
    SEED,
    site::{CONFIG_MAPS, DEFINITION, DEFINITIONS, SERVICES, SITES, site},
    stage::STAGE,
};

const SITE: &str = "site-00";
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
/// Longer than the back-off that eleven minutes of refusals lead to.
const PATIENCE: Duration = Duration::from_secs(900);

/// What is refused: the creation of a child, its change, or the status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Of {
    Create,
    Apply,
    Status,
}

impl Of {
    /// The object whose writes are refused.
    fn path(self) -> String {
        match self {
            Self::Create | Self::Apply => format!("{CONFIG_MAPS}/{SITE}"),
            Self::Status => format!("{SITES}/{SITE}/status"),
        }
    }
}

/// One refusal and what it deserves.
struct Case {
    what: &'static str,
    instead: Instead,
    /// What the metric calls it.
    class: &'static str,
    /// The reason of the condition and of the Event; none where nobody need hear of it.
    told: Option<&'static str>,
    /// When it is tried again.
    again: Again,
}

#[derive(PartialEq, Eq)]
enum Again {
    /// Less and less often.
    Slowly,
    /// The same, beginning with the pause that was asked for.
    AfterPause,
    /// The same, but each try takes until it is given up.
    InVain,
    /// Not before something changes.
    OnChange,
}

fn refused(code: u16, message: &str, details: &Value) -> Instead {
    let body = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code,
        "message": message, "details": details });
    Instead::Answer { code, retry_after_s: None, body }
}

fn cause(reason: &str, field: &str, message: &str) -> Value {
    let causes = [json!({ "reason": reason, "field": field, "message": message })];
    json!({ "name": SITE, "kind": "configmaps", "causes": causes })
}

fn busy(code: u16, seconds: u32) -> Instead {
    Instead::Answer { code, retry_after_s: Some(seconds), body: "try again later".into() }
}

fn cases(of: Of) -> Vec<Case> {
    use Again::{AfterPause, InVain, OnChange, Slowly};
    let case = |what, instead, class, told, again| Case { what, instead, class, told, again };
    let (failed, waiting, none) = (Some("WriteFailed"), Some("Waiting"), json!({}));
    let namespace = json!({ "name": "default", "kind": "namespaces" });
    let terminating = cause("NamespaceTerminating", "metadata.namespace", "it is being terminated");
    let immutable = cause("FieldValueInvalid", "data", "Invalid value: {}: field is immutable when `immutable` is set");
    let invalid = cause("FieldValueInvalid", "metadata.labels", "Invalid value: \"a label\": no");
    // What is immutable can be neither mended nor made anew by a retry.
    let unchangeable = if of == Of::Apply { "Immutable" } else { "Invalid" };
    vec![
        case("401", refused(401, "Unauthorized", &none), "Forbidden", failed, Slowly),
        case("403", refused(403, "configmaps is forbidden", &none), "Forbidden", failed, Slowly),
        case("403, terminating", refused(403, "is being terminated", &terminating), "Terminating", None, Slowly),
        case("404, unserved", refused(404, "404 page not found", &none), "Missing", waiting, Slowly),
        case("404, no namespace", refused(404, "namespaces not found", &namespace), "Missing", waiting, Slowly),
        case("409", refused(409, "the object has been modified", &none), "Stale", None, Slowly),
        case("410", refused(410, "it is gone", &none), "Expired", failed, Slowly),
        case("422", refused(422, "it is invalid", &invalid), "Invalid", failed, OnChange),
        case("422, immutable", refused(422, "it is invalid", &immutable), unchangeable, failed, OnChange),
        case("422, a policy's", refused(422, "policy 'p' denied request: no", &none), "Retry", failed, Slowly),
        case("400, a webhook's", refused(400, "webhook \"w\" denied the request: no", &none), "Retry", failed, Slowly),
        case("429", busy(429, 7), "Busy", waiting, AfterPause),
        case("503, busy", busy(503, 1), "Busy", waiting, AfterPause),
        case("500", refused(500, "etcdserver: request timed out", &none), "Retry", failed, Slowly),
        case(
            "500, duplicate keys",
            refused(500, "failed to create typed patch object: duplicate entries for key", &none),
            "Invalid",
            failed,
            OnChange,
        ),
        case("silence", Instead::Silence, "Retry", failed, InVain),
    ]
}

#[test]
fn a_child_that_may_not_be_created_is_tried_and_told_as_it_deserves_and_made_in_the_end() {
    try_all(Of::Create);
}

#[test]
fn a_child_that_may_not_be_changed_is_tried_and_told_as_it_deserves_and_changed_in_the_end() {
    try_all(Of::Apply);
}

#[test]
fn a_status_that_may_not_be_written_is_tried_and_told_as_it_deserves_and_written_in_the_end() {
    try_all(Of::Status);
}

#[test]
fn a_watch_whose_connection_died_silently_is_noticed_within_45_seconds() {
    let wasm = STAGE.wasm();
    simulate(async {
        let mut world = World::new(SEED, None, wasm);
        start(&mut world).await.unwrap();
        let page = format!("{CONFIG_MAPS}/{SITE}");
        world.refuse(Some(Refusal { path: "/configmaps".into(), reads: true, instead: Instead::Silence }));
        world.api.delete(&page).await.unwrap();
        world.pass(SECOND).await.unwrap();
        world.refuse(None);
        world.pass(SECOND).await.unwrap();
        assert!(world.api.get(&page).await.is_err(), "the host has not seen it go");
        world.pass(45 * SECOND).await.unwrap();
        world.api.get(&page).await.unwrap();
    });
}

#[test]
fn a_server_that_is_silent_for_a_minute_stops_the_writing_and_loses_nothing() {
    let wasm = STAGE.wasm();
    simulate(async {
        let mut world = World::new(SEED, None, wasm);
        start(&mut world).await.unwrap();
        let page = format!("{CONFIG_MAPS}/{SITE}");
        let before = world.api.get(&page).await.unwrap();
        world.refuse(Some(Refusal { path: "/".into(), reads: true, instead: Instead::Silence }));
        edit(&world, "other").await.unwrap();
        let since = world.clock().elapsed();
        world.pass(MINUTE).await.unwrap();
        assert_eq!(world.log().writes_since(since), [], "the watches are dead, and then the Lease is over");
        world.refuse(None);
        world.pass(MINUTE).await.unwrap();
        world.settle().await.unwrap();
        let page = world.api.get(&page).await.unwrap();
        assert_eq!(page["data"]["index.html"], "other");
        assert_eq!(page["metadata"]["uid"], before["metadata"]["uid"]);
    });
}

/// A host that has settled one Site.
async fn start(world: &mut World) -> Result<(), Box<dyn Error>> {
    set_up(world).await?;
    world.start_host();
    Ok(world.settle().await?)
}

async fn set_up(world: &World) -> Result<(), Box<dyn Error>> {
    world.api.create(DEFINITIONS, &serde_saphyr::from_str::<Value>(DEFINITION)?).await?;
    world.api.create(SITES, &site(0)).await?;
    world.put_folder(STAGE.folder(&[("", "site.wasm")]));
    Ok(())
}

fn try_all(of: Of) {
    for case in cases(of) {
        let wasm = STAGE.wasm();
        let played = simulate(async {
            let mut world = World::new(SEED, None, wasm);
            play(&mut world, of, &case).await
        });
        played.unwrap_or_else(|error| panic!("{of:?} refused with {}, seed {SEED}: {error}", case.what));
    }
}

async fn play(world: &mut World, of: Of, case: &Case) -> Result<(), Box<dyn Error>> {
    let api = world.api.clone();
    let refusal = Refusal { path: of.path(), reads: false, instead: case.instead.clone() };
    if of == Of::Apply {
        start(world).await?;
        world.refuse(Some(refusal));
        edit(world, "other").await?;
    } else {
        set_up(world).await?;
        world.refuse(Some(refusal));
        world.start_host();
    }
    let since = world.clock().elapsed();
    world.pass(11 * MINUTE).await?;

    check_tries(&tries(world, of, since), case)?;
    check_what_is_told(world, of, case).await?;
    // A server that wants no requests gets none for the others either.
    if of != Of::Status && case.class != "Busy" {
        api.get(&format!("{SERVICES}/{SITE}")).await?;
    }

    world.refuse(None);
    if case.again == Again::OnChange {
        edit(world, "yet another").await?;
    }
    world.pass(PATIENCE).await?;
    world.settle().await?;
    let site = api.get(&format!("{SITES}/{SITE}")).await?;
    let page = api.get(&format!("{CONFIG_MAPS}/{SITE}")).await?;
    let settled = condition(&site).is_some_and(|it| it["reason"] == "Settled");
    if !settled || page["data"]["index.html"] != site["spec"]["page"] {
        return Err(format!("the server has relented, and yet {site} and {page} are not settled").into());
    }
    Ok(())
}

async fn edit(world: &World, page: &str) -> Result<(), trimtab_sim::Refused> {
    world.api.merge(&format!("{SITES}/{SITE}"), &json!({ "spec": { "page": page } })).await.map(drop)
}

/// When the refused write was tried: the first time at zero.
fn tries(world: &World, of: Of, since: Duration) -> Vec<Duration> {
    let path = of.path();
    let is_it = |entry: &Entry| entry.path.split('?').next() == Some(&path);
    let tries = world.log().writes_since(since).into_iter().filter(is_it).map(|entry| entry.at).collect::<Vec<_>>();
    let first = tries.first().copied().unwrap_or_default();
    tries.into_iter().map(|at| at - first).collect()
}

fn check_tries(tries: &[Duration], case: &Case) -> Result<(), String> {
    if let Instead::Answer { retry_after_s: Some(pause_s), .. } = case.instead
        && tries.windows(2).any(|two| two[1] - two[0] < Duration::from_secs(pause_s.into()))
    {
        return Err(format!("{pause_s} s were asked for: {tries:?}"));
    }
    let in_minute = |minute: u32| {
        let whole = MINUTE * minute..MINUTE * (minute + 1);
        tries.iter().filter(|at| whole.contains(at)).count()
    };
    let allowed = |minute| match (&case.again, minute) {
        (Again::Slowly | Again::AfterPause, 0) => 2..=15,
        // The children that the first look has made are news, and begin the delays anew.
        (Again::AfterPause, 1) => 0..=2,
        (Again::Slowly | Again::AfterPause, _) => 0..=1,
        (Again::InVain, 0) => 2..=15,
        // Each try lasts 5 s, and as long as the delays are shorter than that, it is all that lasts.
        (Again::InVain, _) => 0..=5,
        (Again::OnChange, 0) => 1..=2,
        (Again::OnChange, _) => 0..=0,
    };
    match (0..10).find(|&minute| !allowed(minute).contains(&in_minute(minute))) {
        Some(minute) => Err(format!("{} tries in minute {minute}: {tries:?}", in_minute(minute))),
        None => Ok(()),
    }
}

/// The condition, where the status can be written at all; the Event; the metric.
async fn check_what_is_told(world: &World, of: Of, case: &Case) -> Result<(), Box<dyn Error>> {
    let site = world.api.get(&format!("{SITES}/{SITE}")).await?;
    let condition = condition(&site);
    let reason = condition.map(|it| it["reason"].clone());
    // A busy server takes no status either.
    if of != Of::Status && case.class != "Busy" {
        let unchanged = if of == Of::Apply { Some("Settled") } else { None };
        if reason != case.told.or(unchanged).map(Value::from) {
            return Err(format!("the condition is {condition:?}").into());
        }
    }
    let events = world.api.get("/apis/events.k8s.io/v1/namespaces/default/events").await?;
    let events = events["items"].as_array().into_iter().flatten();
    let told = events.clone().filter(|event| event["regarding"]["name"] == SITE).map(|event| &event["reason"]);
    if told.collect::<Vec<_>>() != case.told.map(Value::from).iter().collect::<Vec<_>>() {
        return Err(format!("the Events are {:?}", events.collect::<Vec<_>>()).into());
    }
    let metrics = world.metrics().concat();
    let counted = format!("trimtab_writes_total{{instance_id=\"\",lineage=\"site\",result=\"{}\"}}", case.class);
    match metrics.lines().any(|line| line.starts_with(&counted)) {
        true => Ok(()),
        false => Err(format!("{counted} is not among\n{metrics}").into()),
    }
}

/// The host's condition.
fn condition(site: &Value) -> Option<&Value> {
    site["status"]["conditions"].as_array()?.iter().find(|it| it["type"] == "Reconciled")
}
