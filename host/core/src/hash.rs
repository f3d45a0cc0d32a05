//! Content hashes: what tells equal inputs from changed ones.

use std::fmt;

use sha2::{Digest, Sha256};

/// The first 16 bytes of a SHA-256: short enough to keep for every object,
/// long enough that two contents never meet.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Hash([u8; 16]);

impl Hash {
    /// The hash of the parts one after another. Each part is preceded by its
    /// length, so that `["ab", "c"]` and `["a", "bc"]` differ.
    pub fn of<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut hasher = Sha256::new();
        for part in parts {
            hasher.update((part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        let mut short = [0; 16];
        short.copy_from_slice(&hasher.finalize()[..16]);
        Self(short)
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
    fn the_same_bytes_cut_elsewhere_hash_differently() {
        assert_ne!(Hash::of([&b"ab"[..], b"c"]), Hash::of([&b"a"[..], b"bc"]));
        assert_eq!(Hash::of([&b"ab"[..], b"c"]), Hash::of([&b"ab"[..], b"c"]));
    }
}
