//! Texts as numbers: each text is stored once, everything else works on its code.
//!
//! **Invariant:** a lookup allocates nothing, and codes are given in order of first sight, so the
//! same evidence always yields the same codes.

use std::hash::{BuildHasherDefault, Hasher};

/// "No text", and in other tables "no row": never given as a code.
pub(crate) const NONE: u32 = u32::MAX;

/// Odd constant with well spread bits: the fraction of the golden ratio (Knuth, TAOCP 3, 6.4).
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// Slots that a new table has; a power of two.
const SLOTS_MIN: usize = 64;

fn fold(left: u64, right: u64) -> u64 {
    let product = u128::from(left) * u128::from(right);
    (product as u64) ^ ((product >> 64) as u64)
}

/// Hashes by folding 64 x 64 bit products, eight bytes a step. Not for keys of which somebody
/// could gain by making them collide across processes: codes never leave one answer.
#[derive(Clone, Copy, Default)]
pub(crate) struct FoldHasher(u64);

impl Hasher for FoldHasher {
    fn write(&mut self, bytes: &[u8]) {
        let (chunks, rest) = bytes.as_chunks::<8>();
        for chunk in chunks {
            self.write_u64(u64::from_le_bytes(*chunk));
        }
        let mut last = [0_u8; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.write_u64(u64::from_le_bytes(last) ^ ((bytes.len() as u64) << 56));
    }

    fn write_u32(&mut self, value: u32) {
        self.write_u64(u64::from(value));
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = fold(self.0 ^ value ^ SPREAD, SPREAD | 1);
    }

    fn finish(&self) -> u64 {
        fold(self.0, SPREAD)
    }
}

/// A map with the hash above.
pub(crate) type FoldMap<K, V> = std::collections::HashMap<K, V, BuildHasherDefault<FoldHasher>>;

fn hash_text(text: &str) -> u64 {
    let mut hasher = FoldHasher::default();
    hasher.write(text.as_bytes());
    hasher.finish()
}

/// All texts of one answer.
pub(crate) struct Words {
    /// All texts, one after the other.
    buffer: String,
    /// Where each text ends in the buffer.
    ends: Vec<usize>,
    /// The hash of each text.
    hashes: Vec<u64>,
    /// Open addressing: codes, [`NONE`] where free. Half of them at most are taken.
    slots: Vec<u32>,
}

impl Default for Words {
    fn default() -> Words {
        Words {
            buffer: String::new(),
            ends: Vec::new(),
            hashes: Vec::new(),
            slots: vec![NONE; SLOTS_MIN],
        }
    }
}

impl Words {
    pub(crate) fn new() -> Words {
        Words::default()
    }

    /// The text of a code; empty for [`NONE`].
    pub(crate) fn text(&self, code: u32) -> &str {
        let code = code as usize;
        let Some(end) = self.ends.get(code) else { return "" };
        let begin = if code == 0 { 0 } else { self.ends[code - 1] };
        &self.buffer[begin..*end]
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The code of a text that is known.
    pub(crate) fn find(&self, text: &str) -> Option<u32> {
        self.probe(text, hash_text(text)).ok()
    }

    /// The code of a text, new when it is seen for the first time.
    pub(crate) fn code(&mut self, text: &str) -> u32 {
        let hash = hash_text(text);
        match self.probe(text, hash) {
            Ok(code) => code,
            Err(slot) => self.insert(text, hash, slot),
        }
    }

    /// The code, or the free slot at which the search ended.
    fn probe(&self, text: &str, hash: u64) -> Result<u32, usize> {
        let mask = self.slots.len() - 1;
        let mut slot = hash as usize & mask;
        loop {
            let code = self.slots[slot];
            if code == NONE {
                return Err(slot);
            }
            if self.hashes[code as usize] == hash && self.text(code) == text {
                return Ok(code);
            }
            slot = (slot + 1) & mask;
        }
    }

    fn insert(&mut self, text: &str, hash: u64, slot: usize) -> u32 {
        let code = self.ends.len() as u32;
        self.buffer.push_str(text);
        self.ends.push(self.buffer.len());
        self.hashes.push(hash);
        self.slots[slot] = code;
        if self.ends.len() * 2 > self.slots.len() {
            self.grow();
        }
        code
    }

    fn grow(&mut self) {
        let mask = self.slots.len() * 2 - 1;
        let mut slots = vec![NONE; mask + 1];
        for (code, hash) in self.hashes.iter().enumerate() {
            let mut slot = *hash as usize & mask;
            while slots[slot] != NONE {
                slot = (slot + 1) & mask;
            }
            slots[slot] = code as u32;
        }
        self.slots = slots;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_have_one_code_and_come_back() {
        let mut words = Words::new();
        let texts: Vec<String> = (0..5_000).map(|n| format!("value-{}", n % 2_500)).collect();
        let codes: Vec<u32> = texts.iter().map(|text| words.code(text)).collect();
        assert_eq!(codes[..2_500], codes[2_500..]);
        for (text, code) in texts.iter().zip(codes) {
            assert_eq!((words.text(code), words.find(text)), (text.as_str(), Some(code)));
        }
        assert_eq!((words.find("value-2500"), words.text(NONE)), (None, ""));
        assert_eq!(words.code(""), 2_500);
    }
}
