//! What the host gives to guests: `trimtab:plugin/host`, and the state of one
//! call that stands behind it.

use std::{collections::BTreeMap, sync::Arc};

use trimtab_core::{object::Object, selector::Selector};
use wasmtime::{StoreContextMut, component::Linker};
use wasmtime_wasi::{WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtxView, WasiHttpView};

use crate::{
    called::{LookUp, Wanted},
    contract::{KindRef, Level},
    http::{self, Http},
    limits::{LOOK_UP_BYTES_MAX, LOOK_UPS_MAX, Limiter, PART_BYTES_MAX},
    lookup::{Lookup, Refusal},
    stop::Stop,
    tape::{Asked, SharedTape, Told},
    time,
    wasi::{SharedLog, Wasi},
};

const INTERFACE: &str = "trimtab:plugin/host@0.1.0";

/// The state of one call.
pub(crate) struct State {
    pub limiter: Limiter,
    pub log: SharedLog,
    pub wasi: Wasi,
    pub http: Http,
    pub look_ups: LookUps,
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        self.wasi.view()
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        self.http.view(self.wasi.table())
    }
}

/// What a call has looked up. Asked again, the same is answered: a decision
/// must not rest on two states of one object.
pub(crate) struct LookUps {
    lookup: Arc<dyn Lookup>,
    tape: SharedTape,
    pub answers: BTreeMap<LookUp, Option<Vec<Arc<Object>>>>,
}

impl LookUps {
    pub fn new(lookup: Arc<dyn Lookup>, tape: SharedTape) -> Self {
        Self { lookup, tape, answers: BTreeMap::new() }
    }

    fn find(&mut self, mut wanted: LookUp) -> Result<Result<Vec<Arc<Object>>, String>, Stop> {
        let namespaced = self.lookup.in_namespaces(&wanted.of);
        wanted.namespace = wanted.namespace.filter(|_| namespaced);
        if let Some(Some(answer)) = self.answers.get(&wanted) {
            return Ok(Ok(answer.clone()));
        }
        if self.answers.len() >= LOOK_UPS_MAX {
            return Err(Stop::LookUps);
        }
        let told = self.lookup.find(&wanted);
        self.record(&wanted, namespaced, &told);
        match told {
            Ok(answer) => {
                self.answers.insert(wanted, Some(answer.clone()));
                Ok(Ok(answer))
            }
            Err(Refusal::NotReady(why)) => {
                self.answers.insert(wanted, None);
                Err(Stop::Waiting(why))
            }
            Err(Refusal::Denied(why)) => Ok(Err(why)),
        }
    }

    fn record(&self, wanted: &LookUp, namespaced: bool, told: &Result<Vec<Arc<Object>>, Refusal>) {
        let told = match told {
            Ok(objects) => Told::Found(objects.iter().map(|object| object.text.clone()).collect()),
            Err(Refusal::NotReady(why)) => Told::NotReady(why.clone()),
            Err(Refusal::Denied(why)) => Told::Denied(why.clone()),
        };
        self.tape.lock().expect("no holder panics").looked_up(Asked::new(wanted, namespaced, told));
    }
}

/// `result<option<json>, string>` as `get` gives it.
type Found = Result<Option<Arc<str>>, String>;
/// `result<list<json>, string>` as `select` gives it.
type Selected = Result<Vec<Arc<str>>, String>;

/// Everything that a plugin may import.
pub(crate) fn linker(engine: &wasmtime::Engine) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    http::add_to_linker(&mut linker)?;
    time::add_to_linker(&mut linker, |state: &mut State| state.wasi.clock())?;
    let mut host = linker.instance(INTERFACE)?;
    host.func_wrap("log", log)?;
    host.func_wrap("get", get)?;
    host.func_wrap("select", select)?;
    Ok(linker)
}

fn log(mut store: StoreContextMut<'_, State>, (level, message): (Level, String)) -> wasmtime::Result<()> {
    store.data_mut().log.lock().expect("no holder panics").push(level, &message);
    Ok(())
}

fn get(
    mut store: StoreContextMut<'_, State>,
    (of, namespace, name): (KindRef, Option<Arc<str>>, Arc<str>),
) -> wasmtime::Result<(Found,)> {
    if name.len() > LOOK_UP_BYTES_MAX {
        return Ok((Err(too_long("name", LOOK_UP_BYTES_MAX)),));
    }
    if let Some(what) = names_too_much(&of, namespace.as_deref()) {
        return Ok((Err(too_long(what, PART_BYTES_MAX)),));
    }
    let found = store.data_mut().look_ups.find(LookUp { of, namespace, wanted: Wanted::Named(name) })?;
    Ok((found.map(|objects| objects.first().map(|object| object.text.clone())),))
}

fn select(
    mut store: StoreContextMut<'_, State>,
    (of, namespace, selector, limit): (KindRef, Option<Arc<str>>, Option<String>, u32),
) -> wasmtime::Result<(Selected,)> {
    let selector = selector.unwrap_or_default();
    if selector.len() > LOOK_UP_BYTES_MAX {
        return Ok((Err(too_long("label selector", LOOK_UP_BYTES_MAX)),));
    }
    if let Some(what) = names_too_much(&of, namespace.as_deref()) {
        return Ok((Err(too_long(what, PART_BYTES_MAX)),));
    }
    let labels = match Selector::parse(&selector) {
        Ok(labels) => labels,
        Err(error) => return Ok((Err(format!("the label selector: {error}")),)),
    };
    let found = store.data_mut().look_ups.find(LookUp { of, namespace, wanted: Wanted::Selected { labels, limit } })?;
    Ok((found.map(|objects| objects.iter().map(|object| object.text.clone()).collect()),))
}

/// What of a look-up's kind and place is longer than any name may be: also what is denied
/// is kept, with the others of its call.
fn names_too_much(of: &KindRef, namespace: Option<&str>) -> Option<&'static str> {
    let parts = [
        ("cluster", of.cluster.as_deref()),
        ("apiVersion", Some(&*of.api_version)),
        ("kind", Some(&*of.kind)),
        ("namespace", namespace),
    ];
    let too_long = |(_, part): &(_, Option<&str>)| part.is_some_and(|part| part.len() > PART_BYTES_MAX);
    parts.into_iter().find(too_long).map(|(what, _)| what)
}

fn too_long(what: &str, most: usize) -> String {
    format!("the {what} of a look-up has at most {most} bytes")
}
