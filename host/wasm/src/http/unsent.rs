//! What the host keeps of requests until they are sent, and they may never be: none
//! of it is the guest's memory, so it is bounded here. A call holds 1,000 resources
//! at most; if all of them are headers, that is 32 MiB, and 64 requests with all
//! texts and a body that nobody reads are 14 MiB.

use wasmtime::{
    StoreContextMut,
    component::{Linker, Resource},
    format_err,
};
use wasmtime_wasi_http::{
    FieldMap, WasiHttpView as _,
    p2::{
        bindings::http::types::{HostOutgoingRequest as _, Method},
        types::{HostOutgoingRequest, HostOutgoingResponse},
    },
};

use super::REQUESTS_MAX;
use crate::host::State;

/// The requests that one call may make: each that it may send, and some that are
/// refused.
const MADE_MAX: u32 = 4 * REQUESTS_MAX;
/// A method, an authority or a path with its query: what servers take of each.
const TEXT_BYTES_MAX: usize = 8 << 10;
/// The headers of one request, with what a map of them takes: twice the most that
/// servers take.
pub const FIELDS_BYTES_MAX: usize = 32 << 10;
/// What is held of a body until it is read is at most three times this.
pub const BODY_CHUNK_BYTES: usize = 64 << 10;

/// The interface whose functions are replaced, by the very name that wasmtime has for
/// it: another one would stand beside it.
pub const TYPES: &str = "wasi:http/types@0.2.12";

/// What a setter says of a text that it does not take.
type Set = (Result<(), ()>,);

/// Puts these in the place of wasmtime's own, and then calls those.
pub fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    let mut types = linker.instance(TYPES)?;
    types.func_wrap("[constructor]outgoing-request", make)?;
    types.func_wrap("[constructor]outgoing-response", answer)?;
    types.func_wrap("[method]outgoing-request.set-method", set_method)?;
    types.func_wrap("[method]outgoing-request.set-path-with-query", set_path)?;
    types.func_wrap("[method]outgoing-request.set-authority", set_authority)?;
    linker.allow_shadowing(false);
    Ok(())
}

fn make(
    mut store: StoreContextMut<'_, State>,
    (headers,): (Resource<FieldMap>,),
) -> wasmtime::Result<(Resource<HostOutgoingRequest>,)> {
    let state = store.data_mut();
    if state.http.made == MADE_MAX {
        return Err(format_err!("a call makes at most {MADE_MAX} HTTP requests"));
    }
    state.http.made += 1;
    Ok((state.http().new(headers)?,))
}

/// A response keeps what is written into its body until it is given to whoever asked,
/// and nobody asks a plugin by HTTP.
fn answer(
    _: StoreContextMut<'_, State>,
    _: (Resource<FieldMap>,),
) -> wasmtime::Result<(Resource<HostOutgoingResponse>,)> {
    Err(format_err!("a plugin serves no HTTP: it makes no responses"))
}

fn set_method(
    mut store: StoreContextMut<'_, State>,
    (request, method): (Resource<HostOutgoingRequest>, Method),
) -> wasmtime::Result<Set> {
    match &method {
        Method::Other(text) if text.len() > TEXT_BYTES_MAX => Ok((Err(()),)),
        _ => Ok((store.data_mut().http().set_method(request, method)?,)),
    }
}

fn set_path(
    mut store: StoreContextMut<'_, State>,
    (request, path): (Resource<HostOutgoingRequest>, Option<String>),
) -> wasmtime::Result<Set> {
    if is_too_long(path.as_deref()) {
        return Ok((Err(()),));
    }
    Ok((store.data_mut().http().set_path_with_query(request, path)?,))
}

fn set_authority(
    mut store: StoreContextMut<'_, State>,
    (request, authority): (Resource<HostOutgoingRequest>, Option<String>),
) -> wasmtime::Result<Set> {
    if is_too_long(authority.as_deref()) {
        return Ok((Err(()),));
    }
    Ok((store.data_mut().http().set_authority(request, authority)?,))
}

fn is_too_long(text: Option<&str>) -> bool {
    text.is_some_and(|text| text.len() > TEXT_BYTES_MAX)
}
