//! Holds a call to its memory. Always on: there is no setting that turns it off.

use trimtab_core::limits::{CORE_INSTANCES_MAX, MEMORIES_MAX, TABLES_MAX};
use wasmtime::ResourceLimiter;

use crate::stop::Stop;

/// The different look-ups that one call may make: each becomes a trigger, or
/// one for each value that its selector asks for, that the host remembers for as
/// long as the object lives; so as many as an answer may have children.
pub const LOOK_UPS_MAX: usize = 1000;
/// The name or the selector of one look-up: the longest name is 253 bytes long
/// (RFC 1123), and a selector that asks for more values than fit is better two.
pub(crate) const LOOK_UP_BYTES_MAX: usize = 4096;
/// Each other part of a look-up: a group is as long as a name, and has a version behind it.
pub(crate) const PART_BYTES_MAX: usize = 512;
/// Elements of one table: a Go plugin with all Kubernetes types has 30,000
/// functions. 64 calls × 8 tables × 8 bytes × this are 400 MB of address space.
pub(crate) const TABLE_ELEMENTS_MAX: usize = 100_000;

/// Sums up what a store's memories and tables hold. wasmtime's own limiter
/// bounds each memory by itself, so four of them would hold four times as much.
#[derive(Debug)]
pub(crate) struct Limiter {
    limit_bytes: u64,
    held_bytes: u64,
}

impl Limiter {
    pub fn new(limit_bytes: u64) -> Self {
        Self { limit_bytes, held_bytes: 0 }
    }

    /// Memories and tables never shrink: what is held is the peak.
    pub fn peak_bytes(&self) -> u64 {
        self.held_bytes
    }

    /// An overrun traps at once. Told that it cannot grow, a guest would end in
    /// some `unreachable` of its own that names no cause.
    fn grow(&mut self, bytes: usize, within_maximum: bool) -> wasmtime::Result<bool> {
        let held = self.held_bytes.saturating_add(bytes as u64);
        if held > self.limit_bytes {
            return Err(Stop::Memory.into());
        }
        // Beyond its own maximum a growth fails by itself and holds nothing.
        if within_maximum {
            self.held_bytes = held;
        }
        Ok(within_maximum)
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        self.grow(desired - current, maximum.is_none_or(|maximum| desired <= maximum))
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let bytes = (desired - current).saturating_mul(size_of::<usize>());
        self.grow(bytes, maximum.is_none_or(|maximum| desired <= maximum))
    }

    fn instances(&self) -> usize {
        CORE_INSTANCES_MAX as usize
    }

    fn memories(&self) -> usize {
        MEMORIES_MAX as usize
    }

    fn tables(&self) -> usize {
        TABLES_MAX as usize
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
