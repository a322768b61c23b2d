//! Codes of gift cards, and the two generations of code that read them.
//!
//! A code looks like `GC:book-nook:4411-9027:5000`: prefix, brand, serial, worth in cents. The
//! first generation takes it apart at the colons. The second was written for one brand and makes
//! an assumption that other cards break; which one depends on [`Reader`].

use crate::failure::Failure;

/// Brands of gift cards. All but the first break an assumption of one reader of the second
/// generation.
pub(crate) const BRANDS: [&str; 6] =
    ["acme", "book-nook", "studio54", "o'malley", "crème", "northwindandsons"];

/// The longest brand that fits the column which [`Reader::FixedWidth`] has in mind.
const FIXED_WIDTH_BYTES: usize = 12;

/// The code that reads gift cards.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Reader {
    /// The first generation: reads them all.
    First,
    /// Expects the currency as a fifth part, which no card in circulation has.
    Currency,
    /// Takes dashes for colons, as on printed cards.
    Dashes,
    /// Takes the first digit for the begin of the serial.
    FirstDigit,
    /// Takes quotes for quoting.
    Quotes,
    /// Takes bytes for letters.
    Ascii,
    /// Has room for a brand of a fixed width.
    FixedWidth,
}

/// A card that was read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct GiftCard {
    pub(crate) brand: String,
    pub(crate) serial: String,
    pub(crate) cents: u64,
}

impl Reader {
    /// The reader of the second generation that fails for this brand, or for all (`None`).
    pub(crate) fn that_breaks(brand: Option<&str>) -> Option<Reader> {
        match brand {
            None => Some(Reader::Currency),
            Some("book-nook") => Some(Reader::Dashes),
            Some("studio54") => Some(Reader::FirstDigit),
            Some("o'malley") => Some(Reader::Quotes),
            Some("crème") => Some(Reader::Ascii),
            Some("northwindandsons") => Some(Reader::FixedWidth),
            Some(_) => None,
        }
    }

    /// Reads a code.
    pub(crate) fn read(self, code: &str) -> Result<GiftCard, Failure> {
        let parts: Vec<&str> = code.split(':').collect();
        let [prefix, brand, serial, cents, rest @ ..] = parts.as_slice() else {
            return Err(unreadable(format!("found {} parts of 4", parts.len())));
        };
        if *prefix != "GC" {
            return Err(unreadable(format!("unknown prefix {prefix:?}")));
        }
        self.check(brand, rest)?;
        let cents = cents.parse().map_err(|_| unreadable(format!("{cents:?} is no amount")))?;
        Ok(GiftCard { brand: (*brand).to_owned(), serial: (*serial).to_owned(), cents })
    }

    /// What the second generation takes for granted.
    fn check(self, brand: &str, rest: &[&str]) -> Result<(), Failure> {
        match self {
            Reader::Currency if rest.is_empty() => Err(unreadable("no currency".to_owned())),
            Reader::Dashes if brand.contains('-') => {
                Err(unreadable("found 5 parts of 4".to_owned()))
            }
            Reader::FirstDigit if brand.contains(|c: char| c.is_ascii_digit()) => {
                Err(unreadable("the serial begins inside the brand".to_owned()))
            }
            Reader::Quotes if !brand.matches('\'').count().is_multiple_of(2) => {
                Err(unreadable("a quote is not closed".to_owned()))
            }
            Reader::Ascii if !brand.is_ascii() => {
                Err(unreadable("byte 0xc3 is no letter".to_owned()))
            }
            Reader::FixedWidth if brand.len() > FIXED_WIDTH_BYTES => {
                Err(unreadable(format!("brand exceeds {FIXED_WIDTH_BYTES} bytes")))
            }
            _ => Ok(()),
        }
    }
}

fn unreadable(detail: String) -> Failure {
    Failure::exception("GiftCardFormatError", format!("gift card not readable: {detail}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(brand: &str) -> String {
        format!("GC:{brand}:4411-9027:5000")
    }

    #[test]
    fn the_first_generation_reads_every_brand() {
        for brand in BRANDS {
            let card = Reader::First.read(&code(brand)).expect("a good code");
            assert_eq!((card.brand.as_str(), card.cents), (brand, 5_000));
            assert_eq!(card.serial, "4411-9027");
        }
        for refused in ["", "GC", "XX:acme:1:5000", "GC:acme:1:much"] {
            assert!(Reader::First.read(refused).is_err(), "{refused}");
        }
    }

    #[test]
    fn each_reader_of_the_second_generation_fails_for_its_brand_and_no_other() {
        for broken in BRANDS {
            let Some(reader) = Reader::that_breaks(Some(broken)) else { continue };
            for brand in BRANDS {
                assert_eq!(
                    reader.read(&code(brand)).is_err(),
                    brand == broken,
                    "{reader:?} {brand}"
                );
            }
        }
        let all = Reader::that_breaks(None).expect("there is one");
        assert!(BRANDS.iter().all(|brand| all.read(&code(brand)).is_err()));
    }
}
