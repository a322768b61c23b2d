//! `quantile(x, share)`: a statement says `quantile_of(quantile_sketch(x), share)` for it, so that
//! several quantiles of one column share one pass and one sketch.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BinaryBuilder, BooleanArray, Float64Array,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Float64Type, Int64Type};
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{
    Accumulator, AggregateUDFImpl, ColumnarValue, EmitTo, GroupsAccumulator, ScalarFunctionArgs,
    ScalarUDFImpl, Signature, Volatility,
};

use super::sketch::Sketch;

/// What a statement says for the sketch of a column.
pub(super) const SKETCH: &str = "quantile_sketch";
/// What it says for a quantile of a sketch.
pub(super) const OF_SKETCH: &str = "quantile_of";

/// `quantile_sketch(numbers)`: bytes.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct QuantileSketch {
    signature: Signature,
}

/// `quantile_of(sketch, share)`: the quantile, a double.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct QuantileOf {
    signature: Signature,
}

impl QuantileSketch {
    pub(super) fn new() -> QuantileSketch {
        QuantileSketch { signature: Signature::numeric(1, Volatility::Immutable) }
    }
}

impl QuantileOf {
    pub(super) fn new() -> QuantileOf {
        let types = vec![DataType::Binary, DataType::Float64];
        QuantileOf { signature: Signature::exact(types, Volatility::Immutable) }
    }
}

impl AggregateUDFImpl for QuantileSketch {
    fn name(&self) -> &str {
        SKETCH
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Binary)
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let name = format_state_name(args.name, "sketch");
        Ok(vec![Arc::new(Field::new(name, DataType::Binary, true))])
    }

    fn accumulator(&self, _: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(One::default()))
    }

    fn groups_accumulator_supported(&self, _: AccumulatorArgs) -> bool {
        true
    }

    fn create_groups_accumulator(&self, _: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(Groups::default()))
    }
}

impl ScalarUDFImpl for QuantileOf {
    fn name(&self) -> &str {
        OF_SKETCH
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.number_rows;
        let columns: Vec<ArrayRef> =
            args.args.iter().map(|arg| arg.to_array(rows)).collect::<Result<_>>()?;
        let [sketches, shares] = columns.as_slice() else {
            return exec_err!("quantile() takes numbers and a share");
        };
        let sketches = sketches.as_binary::<i32>();
        let shares = shares.as_primitive::<Float64Type>();
        let quantile = |row: usize| {
            if sketches.is_null(row) || shares.is_null(row) {
                return Ok(None);
            }
            let share = shares.value(row);
            if !(0.0..=1.0).contains(&share) {
                return exec_err!("quantile() takes a share between 0 and 1, not {share}");
            }
            Ok(read(sketches.value(row))?.quantile(share))
        };
        let quantiles: Float64Array = (0..rows).map(quantile).collect::<Result<_>>()?;
        Ok(ColumnarValue::Array(Arc::new(quantiles)))
    }
}

fn read(bytes: &[u8]) -> Result<Sketch> {
    match Sketch::read(bytes) {
        Some(sketch) => Ok(sketch),
        None => exec_err!("quantile_of() takes what quantile_sketch() makes"),
    }
}

/// Gives each number and its row to `take`.
fn each_number(values: &ArrayRef, mut take: impl FnMut(usize, f64)) -> Result<()> {
    let whole = values.null_count() == 0;
    if let (Some(numbers), true) = (values.as_primitive_opt::<Int64Type>(), whole) {
        numbers.values().iter().enumerate().for_each(|(row, number)| take(row, *number as f64));
        return Ok(());
    }
    let numbers = cast(values, &DataType::Float64)?;
    let numbers = numbers.as_primitive::<Float64Type>();
    let valid = (0..numbers.len()).filter(|row| numbers.is_valid(*row));
    valid.for_each(|row| take(row, numbers.value(row)));
    Ok(())
}

/// Gives each sketch and its row to `take`.
fn each_sketch(values: &[ArrayRef], mut take: impl FnMut(usize, &Sketch)) -> Result<()> {
    let [sketches] = values else { return exec_err!("a sketch is one value") };
    let sketches = sketches.as_binary::<i32>();
    for row in (0..sketches.len()).filter(|row| sketches.is_valid(*row)) {
        take(row, &read(sketches.value(row))?);
    }
    Ok(())
}

/// The sketch of all rows.
#[derive(Debug, Default)]
struct One(Sketch);

impl One {
    fn bytes(&self) -> ScalarValue {
        let mut bytes = Vec::new();
        self.0.write(&mut bytes);
        ScalarValue::Binary(Some(bytes))
    }
}

impl Accumulator for One {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let [values] = values else { return exec_err!("{SKETCH}() takes numbers") };
        each_number(values, |_, number| {
            self.0.add(number);
        })
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(self.bytes())
    }

    fn size(&self) -> usize {
        size_of::<One>() + self.0.bytes()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.bytes()])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        each_sketch(states, |_, sketch| self.0.merge(sketch))
    }
}

/// The sketches of groups.
#[derive(Debug, Default)]
struct Groups {
    sketches: Vec<Sketch>,
    /// Memory of their values.
    bytes: usize,
}

impl Groups {
    fn room(&mut self, groups: usize) {
        self.sketches.resize_with(groups.max(self.sketches.len()), Sketch::default);
    }

    fn take(&mut self, emit: EmitTo) -> BinaryArray {
        let mut array = BinaryBuilder::new();
        let mut bytes = Vec::new();
        for sketch in emit.take_needed(&mut self.sketches) {
            bytes.clear();
            sketch.write(&mut bytes);
            array.append_value(&bytes);
        }
        self.bytes = self.sketches.iter().map(Sketch::bytes).sum();
        array.finish()
    }
}

impl GroupsAccumulator for Groups {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        filter: Option<&BooleanArray>,
        groups: usize,
    ) -> Result<()> {
        let [values] = values else { return exec_err!("{SKETCH}() takes numbers") };
        self.room(groups);
        let Groups { sketches, bytes } = self;
        match filter {
            None => each_number(values, |row, number| {
                *bytes += sketches[group_indices[row]].add(number);
            }),
            Some(filter) => each_number(values, |row, number| {
                if filter.is_valid(row) && filter.value(row) {
                    *bytes += sketches[group_indices[row]].add(number);
                }
            }),
        }
    }

    fn evaluate(&mut self, emit: EmitTo) -> Result<ArrayRef> {
        Ok(Arc::new(self.take(emit)))
    }

    fn state(&mut self, emit: EmitTo) -> Result<Vec<ArrayRef>> {
        Ok(vec![Arc::new(self.take(emit))])
    }

    fn merge_batch(
        &mut self,
        states: &[ArrayRef],
        group_indices: &[usize],
        groups: usize,
    ) -> Result<()> {
        self.room(groups);
        let sketches = &mut self.sketches;
        each_sketch(states, |row, sketch| sketches[group_indices[row]].merge(sketch))?;
        self.bytes = self.sketches.iter().map(Sketch::bytes).sum();
        Ok(())
    }

    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        filter: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        let rows = values.first().map_or(0, |values| values.len());
        let mut single = Groups::default();
        let each: Vec<usize> = (0..rows).collect();
        single.update_batch(values, &each, filter, rows)?;
        single.state(EmitTo::All)
    }

    fn size(&self) -> usize {
        self.sketches.capacity() * size_of::<Sketch>() + self.bytes
    }
}
