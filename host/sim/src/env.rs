//! Time and chance as one host process of a world knows them.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
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

/// The environment of one host process: clocks of its own, and chance of its own.
#[derive(Debug)]
pub struct SimEnv {
    clock: Clock,
    hands: Mutex<Hands>,
    random: SplitMix,
}

/// What a machine's clocks showed when they were last touched.
#[derive(Debug, Clone, Copy)]
struct Hands {
    /// The age of the world then.
    at: Duration,
    elapsed: Duration,
    wall: Duration,
    /// By how many millionths they are faster than the world's clock since.
    ppm: i32,
}

impl SimEnv {
    /// For the process of that number. Each runs on a machine that was started
    /// at another time: two processes cannot compare their elapsed times.
    pub fn new(clock: Clock, seed: u64, process: u32) -> Self {
        let random = SplitMix::new(seed, process.into());
        let booted = random.below(Duration::from_secs(1_000_000));
        let at = clock.elapsed();
        let hands = Hands { at, elapsed: booted + at, wall: clock.wall(), ppm: 0 };
        Self { clock, hands: Mutex::new(hands), random }
    }

    /// Both clocks run faster by so many millionths from now on.
    pub fn set_rate(&self, ppm: i32) {
        *self.hands() = Hands { ppm, ..self.now() };
    }

    /// The clock on the wall is set by so many seconds.
    pub fn step_wall(&self, by_s: i64) {
        let now = self.now();
        let by = Duration::from_secs(by_s.unsigned_abs());
        let wall = if by_s < 0 { now.wall.saturating_sub(by) } else { now.wall + by };
        *self.hands() = Hands { wall, ..now };
    }

    /// The hands as they stand now.
    fn now(&self) -> Hands {
        let Hands { at, elapsed, wall, ppm } = *self.hands();
        let now = self.clock.elapsed();
        let passed = (now - at).mul_f64(1.0 + f64::from(ppm) / 1e6);
        Hands { at: now, elapsed: elapsed + passed, wall: wall + passed, ppm }
    }

    fn hands(&self) -> MutexGuard<'_, Hands> {
        // Each change is one assignment, so a panic elsewhere leaves nothing half done.
        self.hands.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Env for SimEnv {
    fn wall(&self) -> Duration {
        self.now().wall
    }

    fn elapsed(&self) -> Duration {
        self.now().elapsed
    }

    fn random(&self) -> u64 {
        self.random.next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::simulate;

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

    #[test]
    fn each_machine_has_clocks_of_its_own_and_only_the_one_on_the_wall_is_set() {
        simulate(async {
            let clock = Clock::start();
            let (fast, other) = (SimEnv::new(clock, 1, 1), SimEnv::new(clock, 1, 2));
            let (began, walls) = (fast.elapsed(), fast.wall());
            assert_ne!(began, other.elapsed());
            assert_eq!(walls, other.wall());
            fast.set_rate(10_000);
            tokio::time::sleep(Duration::from_secs(1000)).await;
            // Tokio's timers are a millisecond coarse.
            let passed_cs = |from: Duration, to: Duration| (to - from).as_millis() / 10;
            assert_eq!(passed_cs(began, fast.elapsed()), 101_000);
            fast.step_wall(-3600);
            assert_eq!(passed_cs(began, fast.elapsed()), 101_000);
            assert_eq!(passed_cs(fast.wall(), walls + Duration::from_secs(1010)), 360_000);
        });
    }
}
