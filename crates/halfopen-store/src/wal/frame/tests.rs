use proptest::prelude::*;

use super::*;
use arrow::array::{ArrayRef, DictionaryArray, Int64Array, StringArray};
use arrow::datatypes::Int32Type;
use std::sync::Arc;

fn part(texts: &[String], numbers: &[Option<i64>], marks: bool) -> Part {
    let rows = texts.len().min(numbers.len());
    let words: DictionaryArray<Int32Type> = texts[..rows].iter().map(|t| &t[..]).collect();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("text", Arc::new(StringArray::from(texts[..rows].to_vec()))),
        ("word", Arc::new(words)),
        ("number", Arc::new(Int64Array::from(numbers[..rows].to_vec()))),
    ];
    let fingerprints = (0..rows as u128).map(|row| row << 70 | 7).filter(|_| marks).collect();
    let rows = RecordBatch::try_from_iter_with_nullable(
        columns.into_iter().map(|(name, column)| (name, column, true)),
    );
    Part { table: Table::Logs, rows: rows.expect("columns of one length"), fingerprints }
}

fn read(bytes: &[u8]) -> Result<(u64, Vec<Part>), BadFrame> {
    let head = Head::read(bytes)?;
    head.check(&bytes[HEAD_BYTES..])?;
    Ok((head.sequence, head.parts(&bytes[HEAD_BYTES..])?))
}

fn parts() -> impl Strategy<Value = Vec<Part>> {
    let one = (
        proptest::collection::vec(".{0,40}", 1..40),
        proptest::collection::vec(proptest::option::of(any::<i64>()), 1..40),
        any::<bool>(),
    );
    proptest::collection::vec(one.prop_map(|(t, n, marks)| part(&t, &n, marks)), 0..4)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn what_is_encoded_is_decoded(parts in parts(), sequence: u64) {
        let mut frame = Frame::encode(&parts).expect("a small write");
        let (read_sequence, decoded) = read(frame.seal(sequence)).expect("a whole frame");
        prop_assert_eq!(read_sequence, sequence);
        prop_assert_eq!(decoded.len(), parts.len());
        for (one, other) in parts.iter().zip(&decoded) {
            prop_assert_eq!(one.table, other.table);
            prop_assert_eq!(&one.rows, &other.rows);
            prop_assert_eq!(&one.fingerprints, &other.fingerprints);
        }
    }

    #[test]
    fn a_flipped_bit_or_a_missing_byte_is_noticed(
        parts in parts(), place: usize, bit in 0..8,
    ) {
        let mut frame = Frame::encode(&parts).expect("a small write");
        let mut bytes = frame.seal(1).to_vec();
        let place = place % bytes.len();
        let short = read(&bytes[..place]).map(|_| ());
        prop_assert_eq!(short, Err(BadFrame::Short));
        bytes[place] ^= 1_u8 << bit;
        prop_assert!(read(&bytes).is_err());
    }

    #[test]
    fn bytes_of_anybody_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut framed = MAGIC.to_vec();
        framed.extend_from_slice(&bytes);
        prop_assert!(read(&framed).is_err());
        prop_assert!(read(&bytes).is_err());
    }
}
