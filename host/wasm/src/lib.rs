//! Loads and calls plugins: the only crate that knows wasmtime, and no type of
//! it leaves.
//!
//! A dropped file is made a component ([`componentize`]) and compiled in a
//! child process ([`compile`]), whose result is kept in a cache ([`cache`]) and
//! mapped ([`load`]). Each call ([`call`]) gets a fresh instance, under limits
//! that are always on ([`limits`]), on a runtime that guests have to themselves
//! ([`turn`]).
#![deny(unsafe_code)] // allowed once, where compiled code is mapped: `load::map`

mod called;
mod config;
mod contract;
mod limits;
mod log;
mod lookup;
mod stop;

pub use called::{CallError, Called, Cost, LookUp};
pub use config::{COMPILE_WALL, CompileCommand, Config, Mode, Serve};
pub use contract::{Event, Failure, Group, KindRef, Level, Outcome, Request, Response};
pub use limits::Limits;
pub use log::{LINE_BYTES_MAX, Line, Log};
pub use lookup::{Lookup, Refusal};
