//! Dictionaries of columns, looked through once.

use arrow::array::{Array, StringArray};

use crate::intern::NONE;

/// A lookup that has not been made yet.
pub(crate) const UNSEEN: u32 = NONE - 1;

/// Where a dictionary lies in memory, which tells it from all others that are alive.
pub(crate) fn owner_of(values: &StringArray) -> [usize; 3] {
    let texts = values.value_data().as_ptr() as usize;
    [texts, values.value_offsets().as_ptr() as usize, values.len()]
}

/// What the values of a dictionary led to. Codes are local to a row group, and all batches of a
/// row group share one dictionary: it is looked through once.
#[derive(Default)]
pub(crate) struct Codes {
    /// Where the dictionary lies; batches outlive both passes.
    owner: [usize; 3],
    cells: Vec<u32>,
}

impl Codes {
    /// The cells of a dictionary, [`UNSEEN`] where nothing was looked up yet.
    pub(crate) fn of(&mut self, values: &StringArray) -> &mut [u32] {
        let owner = owner_of(values);
        if self.owner != owner {
            self.owner = owner;
            self.cells.clear();
            self.cells.resize(values.len(), UNSEEN);
        }
        &mut self.cells
    }
}
