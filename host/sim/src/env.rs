//! Time and chance as one host process of a world knows them.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use trimtab_core::env::Env;

use crate::clock::Clock;

/// SplitMix64: small, and good enough to choose delays and identities.
#[derive(Debug)]
pub struct SplitMix(AtomicU64);

impl SplitMix {
    /// A stream of its own for each part of a world.
    pub fn new(seed: u64, part: u64) -> Self {
        let of_part = Self(AtomicU64::new(part)).next();
        Self(AtomicU64::new(seed ^ of_part))
    }

    /// The next number.
    pub fn next(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut mixed = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A duration below `limit`, in whole microseconds.
    pub fn below(&self, limit: Duration) -> Duration {
        Duration::from_micros(self.next() % u64::try_from(limit.as_micros()).unwrap_or(u64::MAX).max(1))
    }
}

/// The environment of one host process: the world's clock, and chance of its own.
#[derive(Debug)]
pub struct SimEnv {
    clock: Clock,
    booted: Duration,
    random: SplitMix,
}

impl SimEnv {
    /// For the process of that number. Each runs on a machine that was started
    /// at another time: two processes cannot compare their elapsed times.
    pub fn new(clock: Clock, seed: u64, process: u32) -> Self {
        let random = SplitMix::new(seed, process.into());
        Self { clock, booted: random.below(Duration::from_secs(1_000_000)), random }
    }
}

impl Env for SimEnv {
    fn wall(&self) -> Duration {
        self.clock.wall()
    }

    fn elapsed(&self) -> Duration {
        self.booted + self.clock.elapsed()
    }

    fn random(&self) -> u64 {
        self.random.next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_gives_the_published_numbers() {
        let numbers = SplitMix(AtomicU64::new(1_234_567));
        let first = [numbers.next(), numbers.next(), numbers.next()];
        assert_eq!(first, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn parts_of_one_seed_draw_other_numbers_and_the_same_ones_again() {
        let draw = |part| SplitMix::new(7, part).next();
        assert_ne!(draw(1), draw(2));
        assert_eq!(draw(1), draw(1));
    }
}
