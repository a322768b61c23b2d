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
    /// Open addressing: the upper half of a hash, then a code; [`FREE`] where there is none. Half
    /// of them at most are taken.
    slots: Vec<u64>,
}

/// A slot without a code: no code is [`NONE`].
const FREE: u64 = u64::MAX;

/// What stands in the slot of a code.
fn slot_of(hash: u64, code: u32) -> u64 {
    hash & !u64::from(u32::MAX) | u64::from(code)
}

impl Default for Words {
    fn default() -> Words {
        Words {
            buffer: String::new(),
            ends: Vec::new(),
            hashes: Vec::new(),
            slots: vec![FREE; SLOTS_MIN],
        }
    }
}

impl Words {
    pub(crate) fn new() -> Words {
        Words::default()
    }

    /// The text of a code; empty for [`NONE`].
    pub(crate) fn text(&self, code: u32) -> &str {
        self.place(code).map_or("", |place| &self.buffer[place])
    }

    fn place(&self, code: u32) -> Option<std::ops::Range<usize>> {
        let end = *self.ends.get(code as usize)?;
        Some(if code == 0 { 0 } else { self.ends[code as usize - 1] }..end)
    }

    /// Whether a code is that of a text.
    fn is_of(&self, code: u32, text: &str) -> bool {
        let known = self.place(code).and_then(|place| self.buffer.as_bytes().get(place));
        known == Some(text.as_bytes())
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

    /// The codes of texts, new where they are seen for the first time, [`NONE`] where there is
    /// none. Looks at all places in memory before it needs the first one, so that it waits for
    /// many at once.
    pub(crate) fn codes<'t>(
        &mut self,
        texts: impl Iterator<Item = Option<&'t str>> + Clone,
        codes: &mut Vec<u32>,
    ) {
        let guesses = self.guesses(texts.clone());
        codes.clear();
        for (text, guess) in texts.zip(guesses) {
            codes.push(match text {
                None => NONE,
                Some(text) if self.is_of(guess, text) => guess,
                Some(text) => self.code(text),
            });
        }
    }

    /// The codes of texts that are known, [`NONE`] for all others; looked up as
    /// [`Words::codes`] does.
    pub(crate) fn known<'t>(
        &self,
        texts: impl Iterator<Item = Option<&'t str>> + Clone,
        codes: &mut Vec<u32>,
    ) {
        let guesses = self.guesses(texts.clone());
        codes.clear();
        codes.extend(texts.zip(guesses).map(|(text, guess)| match text {
            None => NONE,
            Some(text) if self.is_of(guess, text) => guess,
            Some(text) => self.find(text).unwrap_or(NONE),
        }));
    }

    /// What stands at the first place of each text: mostly its code.
    fn guesses<'t>(&self, texts: impl Iterator<Item = Option<&'t str>>) -> Vec<u32> {
        let mask = self.slots.len() - 1;
        let mut hashes: Vec<u64> = texts.map(|text| text.map_or(0, hash_text)).collect();
        for hash in &mut hashes {
            let there = self.slots[*hash as usize & mask];
            *hash = if slot_of(*hash, 0) == slot_of(there, 0) { there } else { FREE };
        }
        hashes.into_iter().map(|there| there as u32).collect()
    }

    /// The code, or the free slot at which the search ended.
    fn probe(&self, text: &str, hash: u64) -> Result<u32, usize> {
        let mask = self.slots.len() - 1;
        let mut slot = hash as usize & mask;
        loop {
            let there = self.slots[slot];
            if there == FREE {
                return Err(slot);
            }
            // The hash decides nearly always, so that one look into memory is enough to go on.
            let code = there as u32;
            if there == slot_of(hash, code) && self.is_of(code, text) {
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
        self.slots[slot] = slot_of(hash, code);
        if self.ends.len() * 2 > self.slots.len() {
            self.grow();
        }
        code
    }

    fn grow(&mut self) {
        let mask = self.slots.len() * 2 - 1;
        let mut slots = vec![FREE; mask + 1];
        for (code, hash) in self.hashes.iter().enumerate() {
            let mut slot = *hash as usize & mask;
            while slots[slot] != FREE {
                slot = (slot + 1) & mask;
            }
            slots[slot] = slot_of(*hash, code as u32);
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
        for (text, code) in texts.iter().zip(codes.iter().copied()) {
            assert_eq!((words.text(code), words.find(text)), (text.as_str(), Some(code)));
        }
        assert_eq!((words.find("value-2500"), words.text(NONE)), (None, ""));
        assert_eq!(words.code(""), 2_500);
        let asked = texts[2_400..2_600].iter().map(|text| Some(text.as_str()));
        let asked = asked.chain([None, Some("new"), Some("new"), Some("")]);
        let (mut found, mut known) = (Vec::new(), Vec::new());
        words.known(asked.clone(), &mut known);
        assert_eq!(known[..200], codes[2_400..2_600]);
        assert_eq!(known[200..], [NONE, NONE, NONE, 2_500]);
        words.codes(asked, &mut found);
        assert_eq!(found[..200], codes[2_400..2_600]);
        assert_eq!(found[200..], [NONE, 2_501, 2_501, 2_500]);
    }
}
