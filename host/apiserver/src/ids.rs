//! What a server draws at random: uids and the ends of generated names. Drawn
//! from a seed and a count, so that a simulated run repeats to the letter.

use sha2::{Digest, Sha256};

/// What kube-apiserver uses: no vowels, no look-alikes.
const NAME_LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
const NAME_SUFFIX_LENGTH: usize = 5;
/// A name with its suffix must stay a label: 63 less the five drawn.
const NAME_BASE_LENGTH_MAX: usize = 58;

#[derive(Debug)]
pub(crate) struct Ids {
    seed: u64,
    drawn: u64,
}

impl Ids {
    pub fn new(seed: u64) -> Self {
        Self { seed, drawn: 0 }
    }

    fn draw(&mut self) -> [u8; 32] {
        self.drawn += 1;
        let mut hash = Sha256::new();
        hash.update(self.seed.to_le_bytes());
        hash.update(self.drawn.to_le_bytes());
        hash.finalize().into()
    }

    /// A random (version 4) UUID.
    pub fn uid(&mut self) -> String {
        let mut bytes = self.draw();
        bytes[6] = (bytes[6] & 0x0f) | 0x40;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        let hex: String = bytes[..16].iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
    }

    /// A name for `metadata.generateName`.
    pub fn name(&mut self, base: &str) -> String {
        let mut end = base.len().min(NAME_BASE_LENGTH_MAX);
        while !base.is_char_boundary(end) {
            end -= 1;
        }
        let drawn = self.draw();
        let suffix = drawn[..NAME_SUFFIX_LENGTH]
            .iter()
            .map(|byte| char::from(NAME_LETTERS[usize::from(*byte) % NAME_LETTERS.len()]));
        base[..end].chars().chain(suffix).collect()
    }

    /// A number below `bound`, for addresses and ports.
    pub fn below(&mut self, bound: u32) -> u32 {
        let drawn = self.draw();
        u32::from_le_bytes([drawn[0], drawn[1], drawn[2], drawn[3]]) % bound
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_draws_the_same_twice_and_another_differs() {
        let draw = |seed| {
            let mut ids = Ids::new(seed);
            (ids.uid(), ids.name("web-"))
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
        let (uid, name) = draw(7);
        assert_eq!((uid.len(), &uid[14..15]), (36, "4"));
        assert!(name.starts_with("web-") && name.len() == 9, "{name}");
    }
}
