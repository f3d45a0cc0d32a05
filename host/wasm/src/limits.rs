//! What one call may use. Always on: there is no setting that turns one off.

use std::time::Duration;

use wasmtime::ResourceLimiter;

use crate::stop::Stop;

/// What one call may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// All linear memories and tables together.
    pub memory_bytes: usize,
    /// Time on a core.
    pub cpu: Duration,
    /// Time from its start to its end, waits for a core included.
    pub wall: Duration,
    /// All texts of the request together.
    pub request_bytes: usize,
    /// All of the answer, and each single message to the host.
    pub answer_bytes: usize,
    /// The newest lines of its log that are kept.
    pub log_lines: usize,
    /// The different objects that it may look up: each becomes a trigger that
    /// the host remembers for as long as the object lives.
    pub look_ups: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes: 64 << 20,
            cpu: Duration::from_secs(1),
            wall: Duration::from_secs(10),
            request_bytes: 16 << 20,
            answer_bytes: 4 << 20,
            log_lines: 100,
            look_ups: 1000,
        }
    }
}

/// Core instances of one component: Python has 14, QuickJS 9 to 11.
pub(crate) const INSTANCES_MAX: usize = 32;
/// Linear memories of one component: QuickJS has 2.
pub(crate) const MEMORIES_MAX: usize = 4;
/// Tables of one component: all tool-chains tried have at most 2.
pub(crate) const TABLES_MAX: usize = 8;
/// Elements of one table: a Go plugin with all Kubernetes types has 30,000
/// functions. 64 calls × 8 tables × 8 bytes × this are 400 MB of address space.
pub(crate) const TABLE_ELEMENTS_MAX: usize = 100_000;

/// Sums up what a store's memories and tables hold. wasmtime's own limiter
/// bounds each memory by itself, so four of them would hold four times as much.
#[derive(Debug)]
pub(crate) struct Limiter {
    limit_bytes: usize,
    held_bytes: usize,
}

impl Limiter {
    pub fn new(limit_bytes: usize) -> Self {
        Self { limit_bytes, held_bytes: 0 }
    }

    /// Memories and tables never shrink: what is held is the peak.
    pub fn peak_bytes(&self) -> usize {
        self.held_bytes
    }

    /// An overrun traps at once. Told that it cannot grow, a guest would end in
    /// some `unreachable` of its own that names no cause.
    fn grow(&mut self, bytes: usize) -> wasmtime::Result<bool> {
        let held = self.held_bytes.saturating_add(bytes);
        if held > self.limit_bytes {
            return Err(Stop::Memory.into());
        }
        self.held_bytes = held;
        Ok(true)
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        // Beyond its own maximum a growth fails by itself and holds nothing.
        if maximum.is_some_and(|maximum| desired > maximum) { Ok(false) } else { self.grow(desired - current) }
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let bytes = (desired - current).saturating_mul(size_of::<usize>());
        if maximum.is_some_and(|maximum| desired > maximum) { Ok(false) } else { self.grow(bytes) }
    }

    fn instances(&self) -> usize {
        INSTANCES_MAX
    }

    fn memories(&self) -> usize {
        MEMORIES_MAX
    }

    fn tables(&self) -> usize {
        TABLES_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memories_and_tables_are_summed_up() {
        let mut limiter = Limiter::new(1000);
        assert!(limiter.memory_growing(0, 400, None).unwrap());
        assert!(limiter.memory_growing(0, 400, None).unwrap());
        assert!(limiter.table_growing(0, 25, None).unwrap());
        assert_eq!(limiter.peak_bytes(), 1000);
        assert!(limiter.memory_growing(400, 401, None).is_err());
        assert!(limiter.table_growing(25, 26, None).is_err());
        assert_eq!(limiter.peak_bytes(), 1000);
    }

    #[test]
    fn a_growth_beyond_its_own_maximum_fails_and_holds_nothing() {
        let mut limiter = Limiter::new(1000);
        assert!(!limiter.memory_growing(0, 400, Some(300)).unwrap());
        assert_eq!(limiter.peak_bytes(), 0);
    }
}
