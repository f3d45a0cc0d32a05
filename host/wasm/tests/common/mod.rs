//! What the tests share: the fixtures, a runtime for guests, and look-ups.
#![allow(dead_code, reason = "each test program uses its own part")]

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tempfile::TempDir;
use tokio::runtime::Runtime;
use trimtab_core::{limits::Limits, object::Object};
use trimtab_wasm::{
    COMPILE_WALL, Called, CompileCommand, Config, Group, KindRef, LoadError, LookUp, Lookup, Mode, Plugin, Record,
    Refusal, Request, Response, Serve, Wanted, Wasm,
};

/// Small, so that tests reach it.
pub const IN_FLIGHT: u32 = 16;

/// What `plugins/build.sh` has built.
pub fn fixture(name: &str) -> Arc<[u8]> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../../plugins/target/plugins/{name}.wasm"));
    let read = fs::read(&path);
    read.unwrap_or_else(|error| panic!("{}: {error}; run plugins/build.sh first", path.display())).into()
}

/// The compiler, in a process of its own.
pub fn compiler(args: &[&str]) -> CompileCommand {
    let program = std::env::current_exe().unwrap().parent().unwrap().with_file_name("examples").join("compile");
    assert!(program.exists(), "{} is missing; run cargo build -p trimtab-wasm --examples", program.display());
    CompileCommand { program, args: args.iter().map(Into::into).collect(), wall: COMPILE_WALL }
}

/// A host for plugins, with a runtime for them alone.
pub struct Guests {
    pub wasm: Arc<Wasm>,
    pub cache: PathBuf,
    temporary: Option<TempDir>,
    runtime: Option<Runtime>,
}

impl Guests {
    pub fn new(running: usize) -> Self {
        Self::with_compiler(running, compiler(&[]))
    }

    pub fn with_compiler(running: usize, compile: CompileCommand) -> Self {
        let private = fs::Permissions::from_mode(0o700);
        let temporary = tempfile::Builder::new().permissions(private).tempdir().unwrap();
        let (runtime, mode) = serve(running, compile);
        let mut guests = Self::in_folder(temporary.path().to_owned(), mode);
        (guests.runtime, guests.temporary) = (Some(runtime), Some(temporary));
        guests
    }

    /// With a cache that outlives the tests: large guests take seconds to compile.
    pub fn kept(running: usize) -> Self {
        let (runtime, mode) = serve(running, compiler(&[]));
        let mut guests = Self::in_folder(kept(), mode);
        guests.runtime = Some(runtime);
        guests
    }

    /// As a simulation, with the same cache.
    pub fn simulated() -> Self {
        Self::simulated_in(&kept())
    }

    /// As a simulation, with another's cache.
    pub fn simulated_in(cache: &Path) -> Self {
        Self::in_folder(cache.to_owned(), Mode::Simulate)
    }

    fn in_folder(cache: PathBuf, mode: Mode) -> Self {
        let config = Config { cache_dir: cache.clone(), in_flight: IN_FLIGHT, mode };
        Self { wasm: Wasm::new(config).unwrap(), cache, temporary: None, runtime: None }
    }

    pub async fn load(&self, file: &str, bytes: Arc<[u8]>) -> Result<Arc<Plugin>, LoadError> {
        self.wasm.load(file, bytes).await
    }

    pub async fn plugin(&self, name: &str) -> Arc<Plugin> {
        self.load(&format!("{name}.wasm"), fixture(name)).await.unwrap_or_else(|error| panic!("{error}"))
    }
}

fn serve(running: usize, compile: CompileCommand) -> (Runtime, Mode) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(running).enable_all().build().unwrap();
    let mode = Mode::Serve(Serve { guests: runtime.handle().clone(), running, compile });
    (runtime, mode)
}

fn kept() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("compiled")
}

impl Drop for Guests {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Limits that an endless or hoarding guest reaches soon.
pub fn tight() -> Limits {
    Limits { cpu: Duration::from_millis(50), memory_bytes: 32 << 20, ..Limits::DEFAULT }
}

pub fn request(name: &str, spec: &str) -> Request {
    let object = format!(r#"{{"metadata":{{"name":"{name}","namespace":"default"}},"spec":{spec}}}"#);
    let of = KindRef { cluster: None, api_version: "v1".into(), kind: "ConfigMap".into() };
    let child = |name| format!(r#"{{"metadata":{{"name":"{name}"}}}}"#).into();
    let children = if name == "raw" { vec![] } else { vec![Group { of, objects: vec![child("one"), child("two")] }] };
    Request {
        cluster: "here".into(),
        instance_id: Some("canary".into()),
        now: "2026-01-02T03:04:05Z".into(),
        config: r#"{"replicas":3}"#.into(),
        object: object.into(),
        children,
        finalizing: true,
        extra: "{}".into(),
    }
}

pub fn misbehave(mode: &str) -> Request {
    request("it", &format!(r#"{{"mode":"{mode}","name":"wanted"}}"#))
}

/// A synced cache with nothing in it.
pub struct Absent;

impl Lookup for Absent {
    fn find(&self, _: &LookUp) -> Result<Vec<Arc<Object>>, Refusal> {
        Ok(Vec::new())
    }
}

/// A cache with one Secret.
pub struct One(Arc<Object>);

impl One {
    pub fn new() -> Self {
        let text = r#"{"metadata":{"name":"wanted","namespace":"default","uid":"u","resourceVersion":"1","labels":{"tier":"web"}}}"#;
        Self(Arc::new(Object::parse(text, "v1", "Secret").unwrap()))
    }
}

impl Lookup for One {
    fn find(&self, wanted: &LookUp) -> Result<Vec<Arc<Object>>, Refusal> {
        let found = match &wanted.wanted {
            Wanted::Named(name) => *name == self.0.meta.place.name,
            Wanted::Selected { labels, .. } => labels.matches(|name| self.0.meta.label(name)),
        };
        Ok(found.then(|| self.0.clone()).into_iter().collect())
    }
}

/// A cache that is still being filled.
pub struct NotSynced;

impl Lookup for NotSynced {
    fn find(&self, wanted: &LookUp) -> Result<Vec<Arc<Object>>, Refusal> {
        Err(Refusal::NotReady(format!("{} {} is not synced yet", wanted.of.api_version, wanted.of.kind)))
    }
}

/// A policy that grants nothing.
pub struct Forbidden;

impl Lookup for Forbidden {
    fn find(&self, wanted: &LookUp) -> Result<Vec<Arc<Object>>, Refusal> {
        Err(Refusal::Denied(format!("{}s are not granted", wanted.of.kind)))
    }
}

/// The call, written down.
pub fn recorded(plugin: &Plugin, request: Request, mut called: Called<Response>) -> Record {
    let record = Record::new(plugin.name(), "1".to_owned(), request, &mut called);
    let read = Record::parse(&record.text()).unwrap();
    assert!(!record.tape.cut, "{record:?}");
    assert_eq!(read.text(), record.text());
    read
}

/// That the plugin answers as it did when it was recorded, byte for byte.
pub async fn assert_replays(plugin: &Plugin, record: &Record, limits: &Limits, what: &str) {
    let mut replayed = plugin.replay(record, limits).await;
    assert!(replayed.differences.is_empty(), "{what}: {:?}", replayed.differences);
    let again = Record::new(plugin.name(), "1".to_owned(), record.request.clone(), &mut replayed.called);
    assert_eq!(again.ending, record.ending, "{what}");
    assert_eq!(again.log, record.log, "{what}");
}
