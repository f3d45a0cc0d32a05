//! Loads and calls plugins: the only crate that knows wasmtime, and no type of
//! it leaves.
//!
//! A dropped file is made a component (`componentize`) and compiled in a child
//! process (`compile`), whose result is kept on disk (`cache`), mapped and
//! checked (`load`, `plugin`). Each call (`call`) gets a fresh instance under
//! limits that are always on (`limits`), takes turns on the cores with others
//! (`turn`), and may ask the host for little (`host`, `lookup`, `wasi`, `time`, `http`). What it is told goes onto a `tape`; with the request and the answer that
//! is a `record`, and from one the call can be made again (`replay`).
#![deny(unsafe_code)] // allowed once, where compiled code is mapped: `plugin::map`

mod cache;
mod call;
mod called;
mod compile;
mod componentize;
mod config;
mod contract;
mod draft;
mod engine;
mod host;
mod http;
mod limits;
mod load;
mod log;
mod lookup;
mod plugin;
mod record;
mod replay;
mod stop;
mod tape;
mod time;
mod turn;
mod wasi;

pub use cache::{Cache, CacheError, Holds};
pub use called::{CallError, Called, Cost, LookUp, Wanted};
pub use compile::{CompileError, CompileLimits, compile};
pub use config::{COMPILE_WALL, CompileCommand, Config, Mode, Serve};
pub use contract::{Event, Failure, Group, KindRef, Level, Outcome, Request, Response};
pub use limits::LOOK_UPS_MAX;
pub use load::{LoadCause, LoadError, StartError, Wasm};
pub use log::{LINE_BYTES_MAX, Line, Log};
pub use lookup::{Lookup, Refusal};
pub use plugin::Plugin;
pub use record::{BadRecord, Ending, Record, RedactionKey};
pub use replay::Replayed;
pub use tape::{Asked, Body, Came, End, Exchange, Fault, Head, RealTime, Seed, Tape, Told, Which};
