//! Plans that change what is stored already: deletions and their undoing, vacuums, rebases.
//!
//! Which records are meant is found out first and kept in a table of the connection, with the ids
//! `id0..`; then one statement per table acts upon them.

use super::{Hash, Records, Stamp};
use crate::filter::Filter;

/// Which records of a table are meant.
#[derive(Clone, Debug, PartialEq)]
pub struct Meant {
    /// The table.
    pub records: Records,
    /// Which.
    pub by: MeantBy,
    /// Whether any row that a record ever had counts, or only that of a record that exists.
    pub ever: bool,
}

/// What names records.
#[derive(Clone, Debug, PartialEq)]
pub enum MeantBy {
    /// A table whose columns `id0..` hold their ids.
    Ids(String),
    /// A table whose columns `id0..` hold the ids of their parents.
    Parents(String),
    /// A condition on their row.
    Filter(Filter),
}

/// Which orphans of an increment are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Orphans {
    /// The table that holds the increment.
    pub increment: String,
    /// How many ids its records have.
    pub n_ids: usize,
    /// What became of their inputs: see [`super::orphan`].
    pub causes: Vec<i8>,
    /// Not those whose ids are in the columns `id0..` of this table.
    pub but: Option<String>,
}

/// Seals to append: copies of those that are in force.
#[derive(Clone, Debug, PartialEq)]
pub struct SealCopies {
    /// The table of the children.
    pub records: Records,
    /// All columns of the table of the seals, by name.
    pub columns: Vec<String>,
    /// Of which, and with what difference.
    pub of: SealCopy,
    /// What the copies carry.
    pub stamp: Stamp,
}

/// What a copy of a seal is for.
#[derive(Clone, Debug, PartialEq)]
pub enum SealCopy {
    /// To delete the parents whose ids are in this table.
    Tombstone(String),
    /// To bring back the parents whose ids are in this table.
    Undelete(String),
    /// To take away the children whose ids are in this table, all of whose rows are to be removed.
    Without(String),
    /// To give parents today's definition: those in this table of [`Rebased`] ones, with these fields.
    Rebase(String, Vec<String>),
}

/// Deleted records to bring back: their rows as they were, appended again.
#[derive(Clone, Debug, PartialEq)]
pub struct Undelete {
    /// The table.
    pub records: Records,
    /// All of its columns, by name.
    pub columns: Vec<String>,
    /// Which; a condition is one on the tombstone.
    pub by: MeantBy,
    /// What the rows carry.
    pub stamp: Stamp,
}

/// Superseded rows to remove.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vacuum {
    /// The table.
    pub records: Records,
    /// How many of the latest rows of a record stay, or of the latest seals of a parent.
    pub keep: u64,
    /// Only what is older than this, in microseconds since 1970-01-01 UTC.
    pub before: Option<i64>,
}

/// Which records of an increment are given today's definition.
#[derive(Clone, Debug, PartialEq)]
pub struct Rebased {
    /// The table of the records, or of the children of the parents that they are.
    pub records: Records,
    /// The table that holds the increment, with unchanged records that another definition wrote.
    pub increment: String,
    /// How many fields there are.
    pub n_fields: usize,
    /// Stale records as well all of whose stale fields have no other than these reasons: a sum of
    /// the bits of [`super::reason`].
    pub accepted: i8,
    /// Only records whose row fulfils this; of a parent, its seal, or the latest row of an implied
    /// one.
    pub filter: Option<Filter>,
    /// Only records whose ids are in this table.
    pub among: Option<String>,
}

/// Records of a root to append again as they are, with their fields under other names.
#[derive(Clone, Debug, PartialEq)]
pub struct Restated {
    /// The table.
    pub records: Records,
    /// The keys that the fields have in the by-field columns.
    pub stored: Vec<String>,
    /// How texts are hashed.
    pub hash: Hash,
}

/// Records to append again with today's definition: of parents, their children.
#[derive(Clone, Debug, PartialEq)]
pub struct Rebase {
    /// The table.
    pub records: Records,
    /// All of its columns, by name.
    pub columns: Vec<String>,
    /// The table of those that are [`Rebased`].
    pub rebased: String,
    /// The fields, by their keys in the by-field columns, in the order of the increment's.
    pub fields: Vec<String>,
    /// The keys that they have in the rows as these are.
    pub stored: Vec<String>,
    /// Whether a data version that is the provenance goes on to be it; else it stays.
    pub follows: bool,
    /// What the rows carry.
    pub stamp: Stamp,
    /// How texts are hashed.
    pub hash: Hash,
}
