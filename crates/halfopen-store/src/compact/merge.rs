//! Merges the rows of sorted segments into new ones, a few thousand rows at a time.
//!
//! Memory: each input holds one batch and one page of each column, the output one encoded row
//! group for each segment that is written at the same time; [`MERGE_BYTES`] in all.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use halfopen_model::{Table, UnixNanos, schema};
use parquet::errors::ParquetError;

use super::collapse::{ALIKE_MAX, Alike, Comparing};
use super::input::{Input, Key, times};
use super::pick::pick;
use super::plan::{Aim, INPUTS_MAX, Slice, hour_of};
use crate::crash::{Crash, CrashPoint};
use crate::gather::Pick;
use crate::segment::open::OpenSegment;
use crate::segment::promote::Promotion;
use crate::segment::write::{
    CHUNK_ROWS, Effort, Origin, ROW_GROUP_ROWS, SegmentWriter, WRITE_BYTES, WrittenSegment,
};

/// Slices whose segments are written at the same time; more are written in further passes.
const SLICES_AT_ONCE: usize = 2;
/// Batches that may be held before rows are written out.
const SLOTS_MAX: usize = 3 * INPUTS_MAX;
/// What a batch of an input takes, with the pages that it is decoded from.
const INPUT_BYTES: usize = 3 * 1024 * 1024;
/// Memory of a merge at most.
pub(crate) const MERGE_BYTES: usize = SLOTS_MAX * INPUT_BYTES + SLICES_AT_ONCE * WRITE_BYTES;
const _: () = assert!(MERGE_BYTES <= 144 * 1024 * 1024);

/// What is merged, and how.
pub(crate) struct Merge<'a> {
    pub(crate) table: Table,
    pub(crate) node: &'a str,
    pub(crate) now: UnixNanos,
    /// How often the rows will have been merged.
    pub(crate) level: u32,
    pub(crate) inputs: &'a [OpenSegment],
    pub(crate) crash: Crash,
    /// Set when the process wants to end.
    pub(crate) stop: &'a AtomicBool,
}

/// Rows of one slice of time, on their way into segments.
pub(crate) struct Target {
    pub(crate) slice: Slice,
    /// Rows that it will have at most.
    pub(crate) rows: u64,
    /// Where its segments are written, with the id of each.
    pub(crate) places: Vec<(i64, String)>,
}

/// A segment that was written.
pub(crate) struct Merged {
    pub(crate) id: i64,
    pub(crate) file: String,
    pub(crate) written: WrittenSegment,
}

/// Why a merge ended early.
#[derive(Debug)]
pub(crate) enum Ended {
    /// The process wants to end.
    Stopped,
    /// It failed.
    Failed(ParquetError),
}

impl From<ParquetError> for Ended {
    fn from(error: ParquetError) -> Ended {
        Ended::Failed(error)
    }
}

impl From<arrow::error::ArrowError> for Ended {
    fn from(error: arrow::error::ArrowError) -> Ended {
        Ended::Failed(error.into())
    }
}

/// How many rows each slice of time has.
pub(crate) fn slices(
    table: Table,
    inputs: &[OpenSegment],
    aim: &Aim,
) -> Result<BTreeMap<Slice, u64>, ParquetError> {
    let mut hours: BTreeMap<i64, u64> = BTreeMap::new();
    for open in inputs {
        let info = open.info();
        let first = hour_of(info.range.from);
        if first == hour_of(info.range.to.shifted(-1)) {
            *hours.entry(first).or_default() += info.rows;
        } else {
            times(table, open, &mut |time| *hours.entry(hour_of(time)).or_default() += 1)?;
        }
    }
    let mut slices = BTreeMap::new();
    for (hour, rows) in hours {
        *slices.entry(aim.slice(hour, rows)).or_default() += rows;
    }
    Ok(slices)
}

/// Merges the inputs into `targets`; `folder` makes a path of a file's name. Identical rows that
/// were left out are counted in `collapsed`.
pub(crate) fn merge(
    merge: &Merge<'_>,
    targets: &[Target],
    folder: &dyn Fn(&str) -> std::path::PathBuf,
    collapsed: &mut u64,
) -> Result<Vec<Merged>, Ended> {
    let mut merged = Vec::new();
    let paths: Vec<Vec<_>> = targets
        .iter()
        .map(|target| target.places.iter().map(|(_, file)| folder(file)).collect())
        .collect();
    for first in (0..targets.len()).step_by(SLICES_AT_ONCE) {
        let mut pass = Pass::begin(merge, targets, &paths, first)?;
        pass.run()?;
        *collapsed += pass.collapsed;
        merged.extend(pass.finish()?);
    }
    Ok(merged)
}

/// One pass over the inputs.
struct Pass<'a> {
    merge: &'a Merge<'a>,
    schema: SchemaRef,
    inputs: Vec<Input>,
    /// Batches that picks refer to; the first ones are those of the inputs.
    slots: Vec<RecordBatch>,
    /// The slot of each input's current batch.
    slot_of: Vec<usize>,
    heap: BinaryHeap<Reverse<(Key, usize, usize)>>,
    outputs: Vec<Output<'a>>,
    comparing: Comparing,
    alike: Vec<Alike>,
    collapsed: u64,
    picked: usize,
    all: &'a [Target],
    /// The place of the first output among all targets.
    first: usize,
}

/// The segments of one target.
struct Output<'a> {
    target: &'a Target,
    paths: &'a [std::path::PathBuf],
    promotion: Arc<Promotion>,
    writer: Option<SegmentWriter<'a>>,
    picks: Vec<Pick>,
    rows_each: u64,
    done: Vec<Merged>,
}

impl<'a> Pass<'a> {
    fn begin(
        merge: &'a Merge<'a>,
        targets: &'a [Target],
        paths: &'a [Vec<std::path::PathBuf>],
        first: usize,
    ) -> Result<Pass<'a>, Ended> {
        let schema = schema_of(merge.table, merge.inputs);
        let inputs: Result<Vec<_>, _> =
            merge.inputs.iter().map(|open| Input::open(merge.table, open, &schema)).collect();
        let mut pass = Pass {
            merge,
            inputs: inputs?,
            slots: Vec::new(),
            slot_of: vec![0; merge.inputs.len()],
            heap: BinaryHeap::new(),
            outputs: Vec::new(),
            comparing: Comparing::default(),
            alike: Vec::new(),
            collapsed: 0,
            picked: 0,
            all: targets,
            first,
            schema,
        };
        for input in 0..pass.inputs.len() {
            pass.next_batch(input)?;
        }
        let promotion = Arc::new(Promotion::choose(merge.table, &pass.slots));
        pass.outputs = targets
            .iter()
            .zip(paths)
            .skip(first)
            .take(SLICES_AT_ONCE)
            .map(|(target, paths)| Output {
                target,
                paths,
                promotion: Arc::clone(&promotion),
                writer: None,
                picks: Vec::new(),
                rows_each: target.rows.div_ceil(target.places.len().max(1) as u64),
                done: Vec::new(),
            })
            .collect();
        Ok(pass)
    }

    fn next_batch(&mut self, input: usize) -> Result<(), Ended> {
        if self.inputs[input].advance()? {
            self.slot_of[input] = self.slots.len();
            self.slots.push(self.inputs[input].rows().clone());
            self.heap.push(Reverse((self.inputs[input].key(0), input, 0)));
        }
        Ok(())
    }

    fn run(&mut self) -> Result<(), Ended> {
        let mut key: Option<Key> = None;
        while let Some(Reverse((next, input, row))) = self.heap.pop() {
            if key.as_ref() != Some(&next) || self.alike.len() >= ALIKE_MAX {
                self.settle(key.as_ref())?;
                if self.picked >= CHUNK_ROWS || self.slots.len() >= SLOTS_MAX {
                    self.flush()?;
                }
                key = Some(next);
            }
            self.alike.push(Alike { slot: self.slot_of[input], row, input });
            if row + 1 < self.inputs[input].rows().num_rows() {
                let next = self.inputs[input].key(row + 1);
                self.heap.push(Reverse((next, input, row + 1)));
            } else {
                self.next_batch(input)?;
            }
        }
        self.settle(key.as_ref())?;
        self.flush()
    }

    /// Hands rows of one key to their output.
    fn settle(&mut self, key: Option<&Key>) -> Result<(), Ended> {
        let Some(key) = key else { return Ok(()) };
        // An hour comes before its day: rows of an hour with segments of its own go there.
        let target = match self.all.len() {
            1 => Some(0),
            _ => self.all.iter().position(|target| target.slice.holds(key.time)),
        };
        let output = target.and_then(|target| target.checked_sub(self.first));
        let Some(output) = output.filter(|output| *output < self.outputs.len()) else {
            self.alike.clear();
            return Ok(());
        };
        let before = self.alike.len();
        self.comparing.collapse(self.merge.table, &self.slots, &mut self.alike)?;
        self.collapsed += (before - self.alike.len()) as u64;
        self.picked += self.alike.len();
        let picks = self.alike.drain(..).map(|alike| (alike.slot, alike.row));
        self.outputs[output].picks.extend(picks);
        Ok(())
    }

    /// Writes what was picked, and lets go of batches that are used up. Called between keys.
    fn flush(&mut self) -> Result<(), Ended> {
        if self.merge.stop.load(Ordering::Relaxed) {
            return Err(Ended::Stopped);
        }
        for output in &mut self.outputs {
            let picks = std::mem::take(&mut output.picks);
            for picks in picks.chunks(CHUNK_ROWS) {
                let rows = pick(&self.schema, &self.slots, picks)?;
                output.write(self.merge, &rows)?;
            }
        }
        self.merge.crash.at(CrashPoint::CompactHalf);
        self.picked = 0;
        self.comparing.clear();
        let held: Vec<RecordBatch> = self.inputs.iter().map(|input| input.rows().clone()).collect();
        self.slot_of = (0..held.len()).collect();
        self.slots = held;
        Ok(())
    }

    fn finish(self) -> Result<Vec<Merged>, Ended> {
        let mut merged = Vec::new();
        for mut output in self.outputs {
            output.end_segment()?;
            merged.append(&mut output.done);
        }
        Ok(merged)
    }
}

impl<'a> Output<'a> {
    fn write(&mut self, merge: &'a Merge<'a>, rows: &RecordBatch) -> Result<(), Ended> {
        let begun = self.done.len();
        let is_last = begun + 1 >= self.paths.len();
        if !is_last && self.writer.as_ref().is_some_and(|w| w.rows() >= self.rows_each) {
            self.end_segment()?;
        }
        if self.writer.is_none() {
            let path: &'a Path = &self.paths[self.done.len()];
            let origin = Origin {
                table: merge.table,
                node: merge.node,
                sealed_at: merge.now,
                level: merge.level,
            };
            let writer = SegmentWriter::create(
                origin,
                Effort::Compact(Arc::clone(&self.promotion)),
                rows.schema_ref(),
                ROW_GROUP_ROWS,
                path,
            )?;
            self.writer = Some(writer);
        }
        if let Some(writer) = &mut self.writer {
            writer.write(rows)?;
        }
        Ok(())
    }

    fn end_segment(&mut self) -> Result<(), Ended> {
        if let Some(writer) = self.writer.take() {
            let (id, file) = self.target.places[self.done.len()].clone();
            self.done.push(Merged { id, file, written: writer.finish()? });
        }
        Ok(())
    }
}

/// The columns of the table that any input has.
fn schema_of(table: Table, inputs: &[OpenSegment]) -> SchemaRef {
    let present = |name: &str| {
        inputs.iter().any(|open| open.footer.schema().column_with_name(name).is_some())
    };
    let whole = schema::schema(table);
    let fields = whole.fields().iter().filter(|field| present(field.name())).cloned();
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}
