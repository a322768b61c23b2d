//! Columns of fixed-size values.

use std::mem;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, FixedSizeBinaryArray, PrimitiveArray};
use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer, ScalarBuffer};
use arrow::datatypes::{ArrowPrimitiveType, DataType};

use super::Column;

/// Which rows have a value. Costs nothing as long as all have one.
#[derive(Default)]
pub(crate) struct Validity {
    /// Rows so far.
    rows: usize,
    /// One flag per row, once a row was null.
    valid: Option<Vec<bool>>,
}

impl Validity {
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    #[inline]
    pub(crate) fn push(&mut self, is_valid: bool) {
        if let Some(valid) = &mut self.valid {
            valid.push(is_valid);
        } else if !is_valid {
            let mut valid = vec![true; self.rows];
            valid.push(false);
            self.valid = Some(valid);
        }
        self.rows += 1;
    }

    pub(crate) fn truncate(&mut self, rows: usize) {
        self.rows = self.rows.min(rows);
        if let Some(valid) = &mut self.valid {
            valid.truncate(rows);
        }
    }

    pub(crate) fn take(&mut self) -> Option<NullBuffer> {
        self.rows = 0;
        let valid = self.valid.take()?;
        Some(NullBuffer::new(BooleanBuffer::from(valid))).filter(|nulls| nulls.null_count() > 0)
    }
}

/// Numbers, times and durations.
pub(crate) struct Numbers<T: ArrowPrimitiveType> {
    data_type: DataType,
    values: Vec<T::Native>,
    validity: Validity,
}

impl<T: ArrowPrimitiveType> Numbers<T> {
    pub(crate) fn new(data_type: DataType) -> Self {
        Numbers { data_type, values: Vec::new(), validity: Validity::default() }
    }

    /// Whether this row was set.
    pub(crate) fn has(&self, row: usize) -> bool {
        self.values.len() > row
    }

    #[inline]
    pub(crate) fn set(&mut self, row: usize, value: T::Native) {
        self.pad(row);
        self.values.push(value);
        self.validity.push(true);
    }

    #[inline]
    fn pad(&mut self, rows: usize) {
        while self.values.len() < rows {
            self.values.push(T::Native::default());
            self.validity.push(false);
        }
    }
}

impl<T: ArrowPrimitiveType> Column for Numbers<T> {
    fn truncate(&mut self, rows: usize) {
        self.values.truncate(rows);
        self.validity.truncate(rows);
    }

    fn take(&mut self, rows: usize) -> Option<ArrayRef> {
        if self.values.is_empty() {
            return None;
        }
        self.pad(rows);
        let values = ScalarBuffer::from(mem::take(&mut self.values));
        let array = PrimitiveArray::<T>::new(values, self.validity.take());
        Some(Arc::new(array.with_data_type(self.data_type.clone())))
    }
}

/// Ids and other bytes of one size.
#[derive(Default)]
pub(crate) struct Fixed<const N: usize> {
    bytes: Vec<u8>,
    validity: Validity,
}

impl<const N: usize> Fixed<N> {
    #[inline]
    pub(crate) fn set(&mut self, row: usize, value: [u8; N]) {
        self.pad(row);
        self.bytes.extend_from_slice(&value);
        self.validity.push(true);
    }

    /// Sets the row only when there is a value.
    pub(crate) fn set_some(&mut self, row: usize, value: Option<[u8; N]>) {
        if let Some(value) = value {
            self.set(row, value);
        }
    }

    #[inline]
    fn pad(&mut self, rows: usize) {
        while self.validity.rows() < rows {
            self.bytes.extend_from_slice(&[0; N]);
            self.validity.push(false);
        }
    }
}

impl<const N: usize> Column for Fixed<N> {
    fn truncate(&mut self, rows: usize) {
        self.bytes.truncate(rows * N);
        self.validity.truncate(rows);
    }

    fn take(&mut self, rows: usize) -> Option<ArrayRef> {
        if self.validity.rows() == 0 {
            return None;
        }
        self.pad(rows);
        let bytes = Buffer::from_vec(mem::take(&mut self.bytes));
        Some(Arc::new(FixedSizeBinaryArray::new(N as i32, bytes, self.validity.take())))
    }
}

/// Truth values.
#[derive(Default)]
pub(crate) struct Booleans {
    values: Vec<bool>,
    validity: Validity,
}

impl Booleans {
    pub(crate) fn set(&mut self, row: usize, value: bool) {
        self.pad(row);
        self.values.push(value);
        self.validity.push(true);
    }

    fn pad(&mut self, rows: usize) {
        while self.values.len() < rows {
            self.values.push(false);
            self.validity.push(false);
        }
    }
}

impl Column for Booleans {
    fn truncate(&mut self, rows: usize) {
        self.values.truncate(rows);
        self.validity.truncate(rows);
    }

    fn take(&mut self, rows: usize) -> Option<ArrayRef> {
        if self.values.is_empty() {
            return None;
        }
        self.pad(rows);
        let values = BooleanBuffer::from(mem::take(&mut self.values));
        Some(Arc::new(BooleanArray::new(values, self.validity.take())))
    }
}
