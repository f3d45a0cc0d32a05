//! Time and chance of the operating system.

use std::time::{Duration, SystemTime};

use rustix::time::{ClockId, clock_gettime};
use trimtab_core::env::Env;

/// The real clock and the kernel's randomness.
#[derive(Debug, Clone, Copy)]
pub struct OsEnv;

impl Env for OsEnv {
    fn wall(&self) -> Duration {
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
    }

    fn elapsed(&self) -> Duration {
        // CLOCK_BOOTTIME and not CLOCK_MONOTONIC: a suspended leader must find its Lease expired.
        let at = clock_gettime(ClockId::Boottime);
        Duration::new(at.tv_sec.unsigned_abs(), u32::try_from(at.tv_nsec).unwrap_or_default())
    }

    fn random(&self) -> u64 {
        let mut bytes = [0; 8];
        rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
            .expect("eight bytes of randomness are to be had once the machine is up");
        u64::from_le_bytes(bytes)
    }
}
