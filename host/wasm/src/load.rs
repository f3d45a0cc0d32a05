//! From a dropped file to something that can be called: compiled or found in
//! the cache, mapped, and checked against the contract.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher},
    io::Write,
    sync::Arc,
};

use tempfile::NamedTempFile;
use tokio::sync::Semaphore;
use trimtab_core::hash::Hash;
use wasmtime::{Engine, component::Linker};

use crate::{
    cache::{COMPILED, Cache, CacheError},
    compile::{CompileError, compile_bytes, compile_in_child},
    config::{CompileCommand, Config, Mode},
    engine::{self, Metering, Ticker},
    host::{self, State},
    plugin::{Plugin, map},
};

/// Raised when the same module and engine come to give other code: when what
/// makes components of modules changes.
const CACHE_FORMAT: u32 = 2;

/// Why plugins cannot be loaded at all.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The cache of compiled code.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// The engine refuses this machine.
    #[error("the WebAssembly engine cannot be started: {0}")]
    Engine(String),
}

/// Why a file is not served. Names the file, what was found, what is expected.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {cause}")]
pub struct LoadError {
    /// The file, as it was named.
    pub file: String,
    /// What is wrong.
    pub cause: LoadCause,
}

/// What keeps a file from being served.
#[derive(Debug, thiserror::Error)]
pub enum LoadCause {
    /// It could not be compiled.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// Its code could not be kept.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// It does not fit the contract, or the host's bounds for a component.
    #[error("{0}")]
    Mismatch(String),
}

/// Loads plugins, and holds what all their calls share.
pub struct Wasm {
    pub(crate) engine: Engine,
    pub(crate) linker: Linker<State>,
    cache: Cache,
    pub(crate) mode: Mode,
    metering: Metering,
    /// Calls at once; the pool has room for no more.
    pub(crate) in_flight: Arc<Semaphore>,
    /// Guests that run at once.
    pub(crate) running: Arc<Semaphore>,
    /// Where calls are bounded by clocks.
    pub(crate) ticker: Option<Ticker>,
}

impl Wasm {
    /// What it takes to load and call plugins.
    pub fn new(config: Config) -> Result<Arc<Self>, StartError> {
        let (metering, running) = match &config.mode {
            Mode::Serve(serve) => (Metering::Epochs, serve.running),
            Mode::Simulate => (Metering::Fuel, 1),
        };
        let cache = Cache::open(&config.cache_dir, COMPILED)?;
        let failed = |error: wasmtime::Error| StartError::Engine(format!("{error:#}"));
        let engine = engine::serving(metering, config.in_flight).map_err(failed)?;
        let ticker = match metering {
            Metering::Epochs => {
                let engine = engine.clone();
                let ticker = Ticker::start(move || engine.increment_epoch());
                Some(ticker.map_err(|error| StartError::Engine(error.to_string()))?)
            }
            Metering::Fuel => None,
        };
        Ok(Arc::new(Self {
            linker: host::linker(&engine).map_err(failed)?,
            engine,
            cache,
            mode: config.mode,
            metering,
            in_flight: Arc::new(Semaphore::new(config.in_flight as usize)),
            running: Arc::new(Semaphore::new(running)),
            ticker,
        }))
    }

    /// Makes a plugin of a file's content. It has been checked against the
    /// contract, but not been called.
    pub async fn load(self: &Arc<Self>, file: &str, bytes: Arc<[u8]>) -> Result<Arc<Plugin>, LoadError> {
        let loaded = match &self.mode {
            Mode::Serve(serve) => self.load_with_child(file, &bytes, &serve.compile).await,
            Mode::Simulate => self.load_here(file, &bytes),
        };
        loaded.map_err(|cause| LoadError { file: file.to_owned(), cause })
    }

    /// Reading, hashing and mapping take milliseconds for a large module, so
    /// they do not happen on the threads that keep Leases.
    async fn load_with_child(
        self: &Arc<Self>,
        file: &str,
        bytes: &Arc<[u8]>,
        command: &CompileCommand,
    ) -> Result<Arc<Plugin>, LoadCause> {
        let (this, name, module) = (self.clone(), file.to_owned(), bytes.clone());
        let found = blocking(move || this.find(&name, &module)).await?;
        if let Some(plugin) = found {
            return Ok(plugin);
        }
        let (input, output) = (self.scratch(bytes)?, self.scratch(&[])?);
        compile_in_child(command, input.path(), output.path()).await?;
        let (this, name, module) = (self.clone(), file.to_owned(), bytes.clone());
        blocking(move || this.keep(&name, &module, output)).await
    }

    fn load_here(self: &Arc<Self>, file: &str, bytes: &[u8]) -> Result<Arc<Plugin>, LoadCause> {
        if let Some(plugin) = self.find(file, bytes)? {
            return Ok(plugin);
        }
        let code = compile_bytes(bytes, self.metering).map_err(CompileError::Refused)?;
        let written = self.scratch(&code)?;
        self.keep(file, bytes, written)
    }

    /// Keeps what has just been compiled, and makes a plugin of it.
    fn keep(self: &Arc<Self>, file: &str, bytes: &[u8], code: NamedTempFile) -> Result<Arc<Plugin>, LoadCause> {
        let path = self.cache.insert(self.key(bytes), code).map_err(|error| self.cache.failed(error))?;
        let component = map(&self.engine, &path).map_err(|error| LoadCause::Mismatch(format!("{error:#}")))?;
        Plugin::new(self, file, &component).map_err(LoadCause::Mismatch)
    }

    /// What was compiled before. A host that was built otherwise may have left code
    /// that this one cannot use, though both name their engines alike.
    fn find(self: &Arc<Self>, file: &str, bytes: &[u8]) -> Result<Option<Arc<Plugin>>, LoadCause> {
        let failed = |error| self.cache.failed(error);
        let Some(path) = self.cache.find(self.key(bytes)).map_err(failed)? else { return Ok(None) };
        match map(&self.engine, &path) {
            Ok(component) => Plugin::new(self, file, &component).map(Some).map_err(LoadCause::Mismatch),
            Err(error) => {
                tracing::warn!(path = %path.display(), error = %format!("{error:#}"), "compiled code does not fit this host; it is made anew");
                self.cache.remove(&path).map_err(failed)?;
                Ok(None)
            }
        }
    }

    fn scratch(&self, content: &[u8]) -> Result<NamedTempFile, CacheError> {
        let made = self.cache.scratch().and_then(|mut file| file.write_all(content).map(|()| file));
        made.map_err(|error| self.cache.failed(error))
    }

    /// Content, engine and format: where one differs, the code does.
    fn key(&self, bytes: &[u8]) -> Hash {
        let mut engine = DefaultHasher::new();
        self.engine.precompile_compatibility_hash().hash(&mut engine);
        Hash::of([bytes, &engine.finish().to_le_bytes(), &CACHE_FORMAT.to_le_bytes()])
    }
}

impl std::fmt::Debug for Wasm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wasm").field("mode", &self.mode).finish_non_exhaustive()
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(failed) => std::panic::resume_unwind(failed.into_panic()),
    }
}
