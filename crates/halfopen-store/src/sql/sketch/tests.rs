use proptest::prelude::*;

use super::*;

/// The error that the documents name.
const ERROR: f64 = 1.0 / 256.0;

fn sketch(values: &[f64]) -> Sketch {
    let mut sketch = Sketch::default();
    values.iter().for_each(|value| {
        sketch.add(*value);
    });
    sketch
}

fn exact(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted[rank.clamp(1, sorted.len()) - 1]
}

fn values() -> impl Strategy<Value = Vec<f64>> {
    let value = prop_oneof![
        8 => (-12.0f64..12.0).prop_map(|power| 10f64.powf(power)),
        2 => (-9.0f64..9.0).prop_map(|power| -(10f64.powf(power))),
        1 => Just(0.0),
        1 => Just(-0.0),
    ];
    prop::collection::vec(value, 1..700)
}

proptest! {
    #[test]
    fn quantiles_are_as_near_as_promised(values in values(), share in 0.0f64..=1.0) {
        let (wanted, got) = (exact(&values, share), sketch(&values).quantile(share).expect("some"));
        let allowed = match values.len() <= EXACT_VALUES_MAX {
            true => 0.0,
            false => wanted.abs() * ERROR + 1e-12,
        };
        prop_assert!((got - wanted).abs() <= allowed, "{got} in place of {wanted}");
    }

    #[test]
    fn it_is_the_same_however_rows_are_divided(values in values(), cut in 0.0f64..1.0) {
        let (one, other) = values.split_at((cut * values.len() as f64) as usize);
        let mut merged = sketch(one);
        merged.merge(&sketch(other));
        let whole = sketch(&values);
        for share in [0.0, 0.01, 0.5, 0.95, 0.99, 1.0] {
            prop_assert_eq!(merged.quantile(share), whole.quantile(share));
        }
    }

    #[test]
    fn it_is_read_back(values in values()) {
        let whole = sketch(&values);
        let mut bytes = Vec::new();
        whole.write(&mut bytes);
        prop_assert_eq!(Sketch::read(&bytes), Some(whole));
    }

    #[test]
    fn what_is_no_sketch_is_refused(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        if let Some(read) = Sketch::read(&bytes) {
            // Nothing to hold on to but that it ends.
            let _ = read.bytes();
        }
    }
}

#[test]
fn odd_values_have_a_place() {
    assert_eq!(sketch(&[]).quantile(0.5), None);
    assert_eq!(sketch(&[f64::NAN]).quantile(0.5), None);
    assert_eq!(sketch(&[7.0]).quantile(0.0), Some(7.0));
    let mut many: Vec<f64> = vec![1.0; EXACT_VALUES_MAX];
    many.extend([f64::INFINITY, f64::NAN, f64::NEG_INFINITY, f64::MAX, f64::MIN_POSITIVE]);
    let many = sketch(&many);
    assert_eq!(many.quantile(0.0), Some(f64::NEG_INFINITY));
    assert_eq!(many.quantile(0.5), Some(1.0 + 0.5 / 128.0));
    assert_eq!(many.quantile(1.0), Some(f64::INFINITY));
}

#[test]
fn memory_is_counted_as_it_grows() {
    let mut sketch = Sketch::default();
    let counted: usize = (0..10_000).map(|n| sketch.add(f64::from(n) * 1e3)).sum();
    // The list of few values, which is gone, was counted as well.
    assert_eq!(counted, sketch.bytes() + EXACT_VALUES_MAX * size_of::<f64>());
}
