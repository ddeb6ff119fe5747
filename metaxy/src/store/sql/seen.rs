//! [`Seen`]: whether an id may have been staged twice, without asking the database.
//!
//! It keeps a hash of the ids of each row. While all hashes differ, so do all ids; where two are equal,
//! or there are too many to keep, the database has to look, which groups all rows that are staged.

use crate::error::Result;
use crate::store::backend::Layout;
use arrow::array::{ArrayRef, RecordBatch};
use arrow::row::{RowConverter, SortField};
use metaxy_sql::{ColumnType, ScalarType};
use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};

/// So many hashes are kept, in at most some 300 MB.
const MAX_ROWS: usize = 1 << 24;

/// The ids of the rows that were staged.
pub(super) struct Seen {
    /// Makes equal bytes of equal ids. There is none where a database may take two texts for the same
    /// id: UUIDs can be written in more than one way.
    converter: Option<RowConverter>,
    n_ids: usize,
    hashes: HashSet<u64, BuildHasherDefault<AsItIs>>,
    may_repeat: bool,
}

impl Seen {
    pub(super) fn new(layout: &Layout) -> Result<Self> {
        let is_uuid = layout.ids.iter().any(|id| id.ty == ColumnType::Scalar(ScalarType::Uuid));
        let fields = layout.ids.iter().map(|id| SortField::new(id.ty.to_arrow())).collect();
        let converter = if is_uuid { None } else { Some(RowConverter::new(fields)?) };
        let n_ids = layout.ids.len();
        Ok(Self { converter, n_ids, hashes: HashSet::default(), may_repeat: is_uuid })
    }

    /// Whether an id may be there twice.
    pub(super) fn may_repeat(&self) -> bool {
        self.may_repeat
    }

    /// Looks at rows in the layout of a stage: the ids are their first columns.
    pub(super) fn add(&mut self, rows: &RecordBatch) -> Result<()> {
        let Some(converter) = self.converter.as_ref().filter(|_| !self.may_repeat) else {
            return Ok(());
        };
        let ids: Vec<ArrayRef> = rows.columns()[..self.n_ids].to_vec();
        let ids = converter.convert_columns(&ids)?;
        self.hashes.reserve(ids.num_rows());
        let mut hashes = ids.iter().map(|id| xxhash_rust::xxh3::xxh3_64(id.as_ref()));
        self.may_repeat = !hashes.all(|hash| self.hashes.insert(hash));
        if self.hashes.len() > MAX_ROWS {
            self.may_repeat = true;
        }
        if self.may_repeat {
            self.hashes = HashSet::default();
        }
        Ok(())
    }
}

/// A hash is one already.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxhash_rust::xxh3::xxh3_64(bytes);
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}
