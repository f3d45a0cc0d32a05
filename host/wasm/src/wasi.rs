//! WASI 0.2 as guests see it: all of it links, and there is nothing behind it.
//! No files, no environment, no sockets (`http` is the one way out, where a policy
//! grants it); the one argument is the plugin's
//! name (Go reads it at start); stdout and stderr go to the call's log; time is
//! virtual (`time`), and chance comes from one seed.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use bytes::Bytes;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{
    WasiCtx, WasiCtxBuilder, WasiCtxView, async_trait,
    cli::{IsTerminal, StdoutStream},
    p2::{OutputStream, Pollable, StreamResult},
};

use crate::{
    contract::Level,
    log::{LINE_BYTES_MAX, Log},
    tape::Seed,
    time::{MonotonicClock, Time},
};

/// Streams, sockets and pollables that one call may hold. A guest without files
/// and connections needs a dozen.
const RESOURCES_MAX: usize = 1000;

/// What one request for random bytes may ask for: seeds, not data.
const RANDOM_BYTES_MAX: u64 = 64 << 10;

/// What one write to stdout may hold: what WASI's streams commonly permit.
const WRITE_BYTES_MAX: usize = 64 << 10;

/// The log of one call, shared with the guest's streams.
pub(crate) type SharedLog = Arc<Mutex<Log>>;

/// WASI's state in one call, made when the guest first asks for it: most Rust
/// guests never do.
pub(crate) struct Wasi {
    name: Arc<str>,
    time: Time,
    seed: Seed,
    stdout: Stdio,
    stderr: Stdio,
    denied: Arc<AtomicU64>,
    made: Option<Box<WasiCtx>>,
    table: ResourceTable,
}

impl Wasi {
    /// For a guest of that name and the time of its call. All that is random comes
    /// from the seed.
    pub fn new(name: Arc<str>, time: Time, seed: Seed, log: &SharedLog) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(RESOURCES_MAX);
        Self {
            name,
            time,
            seed,
            stdout: Stdio::new(Level::Info, log),
            stderr: Stdio::new(Level::Warn, log),
            denied: Arc::default(),
            made: None,
            table,
        }
    }

    pub fn view(&mut self) -> WasiCtxView<'_> {
        if self.made.is_none() {
            self.made = Some(Box::new(self.make()));
        }
        let ctx = self.made.as_mut().expect("made above");
        WasiCtxView { ctx, table: &mut self.table }
    }

    pub fn table(&mut self) -> &mut ResourceTable {
        &mut self.table
    }

    pub fn clock(&mut self) -> MonotonicClock<'_> {
        MonotonicClock { time: &self.time, table: &mut self.table }
    }

    fn make(&self) -> WasiCtx {
        let denied = self.denied.clone();
        let mut ctx = WasiCtxBuilder::new();
        ctx.arg(&*self.name)
            .stdout(self.stdout.clone())
            .stderr(self.stderr.clone())
            .wall_clock(self.time.clone())
            .max_random_size(RANDOM_BYTES_MAX)
            .socket_addr_check(move |_, _| {
                denied.fetch_add(1, Relaxed);
                Box::pin(async { false })
            });
        // What is insecure tells nothing of the rest.
        let mut chance = StdRng::from_seed(self.seed.0);
        let mut insecure = [0; 32];
        chance.fill_bytes(&mut insecure);
        ctx.insecure_random(StdRng::from_seed(insecure))
            .insecure_random_seed(u128::from(chance.next_u64()) << 64 | u128::from(chance.next_u64()))
            .secure_random(chance);
        ctx.build()
    }

    /// Connections that were tried and denied.
    pub fn denied(&self) -> u64 {
        self.denied.load(Relaxed)
    }

    /// Logs what stdout and stderr hold of lines without an end.
    pub fn finish(&self) {
        self.stdout.finish();
        self.stderr.finish();
    }
}

/// One of the guest's two streams, cut into lines.
#[derive(Clone)]
struct Stdio {
    level: Level,
    log: SharedLog,
    /// A line without its end so far, shorter than [`LINE_BYTES_MAX`].
    line: Arc<Mutex<Vec<u8>>>,
}

impl Stdio {
    fn new(level: Level, log: &SharedLog) -> Self {
        Self { level, log: log.clone(), line: Arc::default() }
    }

    fn push(&self, bytes: &[u8]) {
        let mut line = self.line.lock().expect("no holder panics");
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            // A line that is too long is cut, not dropped: the next piece of it
            // is a line of its own.
            for piece in piece.chunks(LINE_BYTES_MAX) {
                line.extend_from_slice(piece);
                if line.ends_with(b"\n") || line.len() >= LINE_BYTES_MAX {
                    self.log_line(&std::mem::take(&mut *line));
                }
            }
        }
    }

    fn finish(&self) {
        let rest = std::mem::take(&mut *self.line.lock().expect("no holder panics"));
        if !rest.is_empty() {
            self.log_line(&rest);
        }
    }

    fn log_line(&self, line: &[u8]) {
        let text = String::from_utf8_lossy(line);
        self.log.lock().expect("no holder panics").push(self.level, text.trim_end_matches(['\r', '\n']));
    }
}

impl IsTerminal for Stdio {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Stdio {
    /// WASI 0.3's way to write. It is not linked, so nobody gets here.
    fn async_stream(&self) -> Box<dyn tokio::io::AsyncWrite + Send + Sync> {
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl OutputStream for Stdio {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.push(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_BYTES_MAX)
    }
}

#[async_trait]
impl Pollable for Stdio {
    async fn ready(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(writes: &[&[u8]]) -> Vec<String> {
        let log: SharedLog = Arc::new(Mutex::new(Log::new(100)));
        let stdout = Stdio::new(Level::Info, &log);
        writes.iter().for_each(|bytes| stdout.push(bytes));
        stdout.finish();
        let log = log.lock().unwrap();
        log.lines().map(|line| line.text.clone()).collect()
    }

    #[test]
    fn what_is_written_piece_by_piece_is_logged_line_by_line() {
        assert_eq!(written(&[b"one li", b"ne\nand ano", b"ther\r\n\nend"]), ["one line", "and another", "", "end"]);
        assert_eq!(written(&[b"\xff\n"]), ["\u{fffd}"]);
        assert!(written(&[]).is_empty());
    }

    #[test]
    fn a_line_without_end_is_cut_and_never_held_whole() {
        let lines = written(&[&[b'x'; 3 * LINE_BYTES_MAX + 1]]);
        assert_eq!(
            lines.iter().map(String::len).collect::<Vec<_>>(),
            [LINE_BYTES_MAX, LINE_BYTES_MAX, LINE_BYTES_MAX, 1]
        );
    }
}
