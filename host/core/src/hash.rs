//! Content hashes: what tells equal inputs from changed ones.

use std::fmt;

use sha2::{Digest, Sha256};

/// The first 16 bytes of a SHA-256: short enough to keep for every object,
/// long enough that two contents never meet.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Hash([u8; 16]);

/// A hash in the making, part by part.
#[derive(Clone, Default)]
pub struct Hasher(Sha256);

impl Hasher {
    /// Takes in one more part. Each is preceded by its length, so that
    /// `["ab", "c"]` and `["a", "bc"]` differ.
    pub fn part(&mut self, part: &[u8]) {
        self.0.update((part.len() as u64).to_le_bytes());
        self.0.update(part);
    }

    /// The hash of the parts one after another.
    pub fn hash(self) -> Hash {
        let mut short = [0; 16];
        short.copy_from_slice(&self.0.finalize()[..16]);
        Hash(short)
    }
}

impl Hash {
    /// The hash of the parts one after another.
    pub fn of<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut hasher = Hasher::default();
        parts.into_iter().for_each(|part| hasher.part(part));
        hasher.hash()
    }

    /// Reads what [`fmt::Display`] writes: 32 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.as_bytes();
        if digits.len() != 32 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        let mut hash = [0; 16];
        for (byte, pair) in hash.iter_mut().zip(text.as_bytes().chunks(2)) {
            *byte = u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(Self(hash))
    }

    /// The 16 bytes, to be hashed again as a part of something larger.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_read_back_from_its_text_and_from_no_other() {
        let hash = Hash::of([&b"ab"[..]]);
        assert_eq!(Hash::parse(&hash.to_string()), Some(hash));
        for wrong in ["", "ab", &"+1".repeat(16), &"é".repeat(16), &"0".repeat(33)] {
            assert_eq!(Hash::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_same_bytes_cut_elsewhere_hash_differently() {
        assert_ne!(Hash::of([&b"ab"[..], b"c"]), Hash::of([&b"a"[..], b"bc"]));
        assert_eq!(Hash::of([&b"ab"[..], b"c"]), Hash::of([&b"ab"[..], b"c"]));
    }
}
