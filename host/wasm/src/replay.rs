//! A call made again from its record: what it was told comes from the tape, and
//! nothing is asked of anybody. The same generation gives the same bytes. Another
//! one may ask for something else than the tape holds: that is a difference, which
//! is told, and no crash.

use std::{
    collections::BTreeMap,
    fmt::Display,
    sync::{Arc, Mutex},
};

use tokio::task::JoinHandle;
use trimtab_core::object::Object;

use crate::{
    called::{Called, LookUp},
    contract::{KindRef, Response},
    lookup::{Lookup, Refusal},
    tape::{Exchange, Head, RealTime, Tape, Told},
};

/// What came of a replay.
#[derive(Debug)]
pub struct Replayed {
    /// The call, as if it had been made.
    pub called: Called<Response>,
    /// What it asked for that the record does not hold, or holds otherwise.
    pub differences: Vec<String>,
}

/// Plays the tape of one call.
#[derive(Debug)]
pub(crate) struct Player {
    look_ups: BTreeMap<LookUp, Told>,
    /// Which kinds lie in namespaces.
    namespaced: BTreeMap<KindRef, bool>,
    has_real_time: bool,
    left: Mutex<Left>,
}

/// What has not been played yet.
#[derive(Debug)]
struct Left {
    http: Vec<Option<Exchange>>,
    time: RealTime,
    differences: Vec<String>,
    /// Who still compares a body with the one that was sent.
    comparing: Vec<JoinHandle<()>>,
}

impl Player {
    pub fn new(tape: &Tape) -> Self {
        let mut time = tape.time.clone().unwrap_or_default();
        // Taken from the end.
        time.monotonic_ns.reverse();
        time.wall_ns.reverse();
        let http = tape.http.iter().cloned().map(Some).collect();
        Self {
            look_ups: tape.look_ups.iter().filter_map(|asked| Some((asked.look_up()?, asked.told.clone()))).collect(),
            namespaced: tape.look_ups.iter().map(|asked| (asked.of.clone(), asked.namespaced)).collect(),
            has_real_time: tape.time.is_some(),
            left: Mutex::new(Left { http, time, differences: Vec::new(), comparing: Vec::new() }),
        }
    }

    /// Whether the clocks were real.
    pub fn has_real_time(&self) -> bool {
        self.has_real_time
    }

    pub fn monotonic(&self) -> Option<u64> {
        self.left().time.monotonic_ns.pop()
    }

    pub fn wall(&self) -> Option<u64> {
        self.left().time.wall_ns.pop()
    }

    /// The first exchange with such a request that has not been played.
    pub fn exchange(&self, asked: &Head) -> Result<Exchange, String> {
        let mut left = self.left();
        let found = left.http.iter_mut().find(|exchange| exchange.as_ref().is_some_and(|it| it.asked == *asked));
        if let Some(exchange) = found.and_then(Option::take) {
            return Ok(exchange);
        }
        let next = left.http.iter().flatten().next();
        let why = match next {
            Some(Exchange { asked: recorded, .. }) if recorded.to_string() == asked.to_string() => {
                format!("asked {asked} with other headers than the record has")
            }
            Some(Exchange { asked: recorded, .. }) => format!("asked {asked} where the record has {recorded}"),
            None => format!("asked {asked} where the record has no more requests"),
        };
        left.differences.push(why.clone());
        Err(why)
    }

    pub fn differs(&self, what: impl Display) {
        self.left().differences.push(what.to_string());
    }

    pub fn compares(&self, task: JoinHandle<()>) {
        self.left().comparing.push(task);
    }

    /// Once the call is over: all differences. What was recorded and not asked for
    /// is one, too, but for a look-up: less was looked at, and the answer tells.
    pub async fn finish(&self) -> Vec<String> {
        let comparing = std::mem::take(&mut self.left().comparing);
        for task in comparing {
            // It is cut off with the call; then there is no whole body to compare.
            _ = task.await;
        }
        let mut left = self.left();
        let unasked = left.http.iter().flatten().map(|exchange| format!("did not ask {}", exchange.asked));
        let unasked = unasked.collect::<Vec<_>>();
        left.differences.extend(unasked);
        std::mem::take(&mut left.differences)
    }

    fn left(&self) -> std::sync::MutexGuard<'_, Left> {
        self.left.lock().expect("no holder panics")
    }
}

impl Lookup for Player {
    fn find(&self, wanted: &LookUp) -> Result<Vec<Arc<Object>>, Refusal> {
        match self.look_ups.get(wanted) {
            Some(Told::Found(texts)) => {
                let objects = texts.iter().map(|text| object(&wanted.of, text));
                objects.collect::<Result<_, _>>().map_err(Refusal::NotReady)
            }
            Some(Told::Denied(why)) => Err(Refusal::Denied(why.clone())),
            Some(Told::NotReady(why)) => Err(Refusal::NotReady(why.clone())),
            None => {
                let why = format!("looked up {wanted}, which the record does not hold");
                self.differs(&why);
                // Told that there is none, it would go on with what was never so.
                Err(Refusal::NotReady(why))
            }
        }
    }

    fn in_namespaces(&self, of: &KindRef) -> bool {
        self.namespaced.get(of).copied().unwrap_or(true)
    }
}

/// The object, with the very text that was given.
fn object(of: &KindRef, text: &Arc<str>) -> Result<Arc<Object>, String> {
    let object = Object::parse(text, &of.api_version, &of.kind);
    let object = object.map_err(|error| format!("the record's {} cannot be read: {error}", of.kind))?;
    Ok(Arc::new(Object { text: text.clone(), ..object }))
}
