//! The limits that one call of a plugin runs under. They are always on; a
//! policy may move them, but never past the ceilings, from which the memory
//! that the host sets aside is computed.

use std::time::Duration;

/// One mebibyte.
pub const MIB: u64 = 1 << 20;

/// What one call may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Summed over all linear memories and tables of the component.
    pub memory_bytes: u64,
    /// Processor time of the guest, by the thread's clock: a pod that is
    /// throttled does not make its plugins guilty.
    pub cpu: Duration,
    /// Time on the wall, waits for a permit to run included.
    pub wall: Duration,
    /// All texts that go in.
    pub request_bytes: u64,
    /// All texts that come back.
    pub answer_bytes: u64,
    /// Children in one answer.
    pub children: u32,
    /// Lines that are kept of what one call logs: the newest, as they tell why
    /// it ended. The others are counted.
    pub log_lines: u32,
}

impl Limits {
    /// What a call may use where its policy says nothing. A request must hold
    /// one object and its children, each of up to 1.5 MiB in etcd and typically
    /// a thousandth of that; a decision over them takes milliseconds.
    pub const DEFAULT: Self = Self {
        memory_bytes: 64 * MIB,
        cpu: Duration::from_secs(1),
        wall: Duration::from_secs(10),
        request_bytes: 16 * MIB,
        answer_bytes: 4 * MIB,
        children: 1_000,
        log_lines: 100,
    };

    /// The most that a policy may ask for. The pool reserves memory for this
    /// many bytes in each call in flight, and a drain waits for one wall limit.
    pub const CEILING: Self = Self {
        memory_bytes: 256 * MIB,
        cpu: Duration::from_secs(10),
        wall: Duration::from_secs(60),
        request_bytes: 64 * MIB,
        answer_bytes: 32 * MIB,
        children: 10_000,
        log_lines: 1_000,
    };

    /// The least that a policy may ask for: under it, no language's runtime
    /// gets as far as the first line of a plugin.
    pub const FLOOR: Self = Self {
        memory_bytes: MIB,
        cpu: Duration::from_millis(1),
        wall: Duration::from_millis(10),
        request_bytes: MIB,
        answer_bytes: MIB,
        children: 1,
        log_lines: 1,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Core instances in one component: a Python component has 14, with room for
/// twice as many.
pub const CORE_INSTANCES_MAX: u32 = 32;
/// Linear memories in one component: Python and QuickJS have one of their own
/// and one in the WASI adapter.
pub const MEMORIES_MAX: u32 = 4;
/// Tables in one component, for the same ones.
pub const TABLES_MAX: u32 = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_lie_between_the_floor_and_the_ceiling() {
        let values = |l: Limits| {
            [
                l.memory_bytes.into(),
                l.cpu.as_nanos(),
                l.wall.as_nanos(),
                l.request_bytes.into(),
                l.answer_bytes.into(),
                l.children.into(),
                l.log_lines.into(),
            ]
        };
        let lesser_first = values(Limits::FLOOR).into_iter().zip(values(Limits::DEFAULT)).zip(values(Limits::CEILING));
        for (at, ((floor, default), ceiling)) in lesser_first.enumerate() {
            assert!(floor < default && default < ceiling, "limit {at}");
        }
    }
}
