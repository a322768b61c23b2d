//! Sets of requests, one bit for each.

/// Requests in one word of a set.
pub(crate) const WORD_BITS: usize = 64;

/// A set of requests. Sets that are combined have one length.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Bits {
    words: Vec<u64>,
}

impl Bits {
    /// The empty set, with room for `requests`.
    pub(crate) fn new(requests: usize) -> Bits {
        Bits { words: vec![0; requests.div_ceil(WORD_BITS)] }
    }

    /// The set of these.
    pub(crate) fn of(requests: usize, members: impl IntoIterator<Item = usize>) -> Bits {
        let mut bits = Bits::new(requests);
        members.into_iter().for_each(|member| bits.set(member));
        bits
    }

    pub(crate) fn set(&mut self, request: usize) {
        self.words[request / WORD_BITS] |= 1 << (request % WORD_BITS);
    }

    /// Adds those of some words, from a word on.
    pub(crate) fn add_words(&mut self, from: usize, words: &[u64]) {
        self.words[from..].iter_mut().zip(words).for_each(|(word, more)| *word |= more);
    }

    pub(crate) fn has(&self, request: usize) -> bool {
        self.words[request / WORD_BITS] >> (request % WORD_BITS) & 1 == 1
    }

    pub(crate) fn count(&self) -> u64 {
        self.words.iter().map(|word| u64::from(word.count_ones())).sum()
    }

    /// How many are in the first `words` words.
    pub(crate) fn count_in(&self, words: usize) -> u64 {
        self.words[..words].iter().map(|word| u64::from(word.count_ones())).sum()
    }

    /// How many are in both.
    pub(crate) fn common(&self, other: &Bits) -> u64 {
        let pairs = self.words.iter().zip(&other.words);
        pairs.map(|(a, b)| u64::from((a & b).count_ones())).sum()
    }

    /// Those in both.
    pub(crate) fn and(&self, other: &Bits) -> Bits {
        let pairs = self.words.iter().zip(&other.words);
        Bits { words: pairs.map(|(a, b)| a & b).collect() }
    }

    /// Those in here and not in the other.
    pub(crate) fn without(&self, other: &Bits) -> Bits {
        let pairs = self.words.iter().zip(&other.words);
        Bits { words: pairs.map(|(a, b)| a & !b).collect() }
    }

    /// Adds those of the other.
    pub(crate) fn add(&mut self, other: &Bits) {
        self.words.iter_mut().zip(&other.words).for_each(|(a, b)| *a |= b);
    }

    /// The members in order.
    pub(crate) fn members(&self) -> impl Iterator<Item = usize> + '_ {
        self.words.iter().enumerate().flat_map(|(index, word)| {
            let mut rest = *word;
            std::iter::from_fn(move || {
                (rest != 0).then(|| {
                    let bit = rest.trailing_zeros() as usize;
                    rest &= rest - 1;
                    index * WORD_BITS + bit
                })
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_combine_as_sets_do() {
        let (a, b) = (Bits::of(200, [0, 63, 64, 199]), Bits::of(200, [63, 64, 100]));
        assert_eq!((a.count(), a.common(&b)), (4, 2));
        assert_eq!(a.without(&b).members().collect::<Vec<_>>(), [0, 199]);
        assert_eq!(a.and(&b).members().collect::<Vec<_>>(), [63, 64]);
        let mut both = a.clone();
        both.add(&b);
        assert!(both.has(100) && !both.has(101) && both.count() == 5);
    }
}
