//! Relational plans: what a statement has to find out, in relations and without a word of SQL.
//!
//! What goes in: tables, the columns that identify records, the fields that are versioned and how
//! their versions are derived. What comes out of [`crate::lower`]: SQL. What is *not* here: what a
//! feature is, or where a plan comes from.
//!
//! The plan of a resolve, the only long one, has a text form ([`std::fmt::Display`]) for people and for
//! snapshots.

mod change;

pub use change::{
    Meant, MeantBy, Orphans, Rebase, Rebased, Restated, SealCopies, SealCopy, Undelete, Vacuum,
};

use crate::filter::Filter;
use crate::types::ColumnType;
use std::fmt;

/// The hash algorithms that the wire format knows and a store of ours can compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HashAlgorithm {
    /// xxHash, 64 bits, seed 0, as an unsigned decimal number.
    XxHash64,
    /// xxHash, 32 bits, seed 0, as an unsigned decimal number.
    XxHash32,
    /// XXH3, 64 bits, seed 0, as an unsigned decimal number.
    Xxh3_64,
    /// MD5, as 32 lower-case hexadecimal digits.
    Md5,
    /// SHA-256, as 64 lower-case hexadecimal digits.
    Sha256,
}

impl HashAlgorithm {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::XxHash64, Self::XxHash32, Self::Xxh3_64, Self::Md5, Self::Sha256];

    /// The name in settings, the one of the wire format.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::XxHash64 => "xxhash64",
            Self::XxHash32 => "xxhash32",
            Self::Xxh3_64 => "xxh3_64",
            Self::Md5 => "md5",
            Self::Sha256 => "sha256",
        }
    }

    /// Whether a hash is an unsigned number of at most 64 bits, rendered in decimal digits.
    #[must_use]
    pub const fn is_number(self) -> bool {
        matches!(self, Self::XxHash64 | Self::XxHash32 | Self::Xxh3_64)
    }
}

impl fmt::Display for HashAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How texts are hashed: the algorithm, and how many characters of the result are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hash {
    /// The algorithm.
    pub algorithm: HashAlgorithm,
    /// The number of leading characters that are kept.
    pub length: u32,
}

/// The ids of a record as one text that no other ids give: of each its number of characters, `:`,
/// the text and `,`. Integers, texts, UUIDs and dates are the texts that Arrow's casts give.
#[must_use]
pub fn ids_text<'a>(ids: impl IntoIterator<Item = &'a str>) -> String {
    let one = |id: &str| format!("{}:{id},", id.chars().count());
    ids.into_iter().map(one).collect()
}

/// The ids that [`ids_text`] made a text of; `None` if it did not make this one.
#[must_use]
pub fn ids_of_text(mut text: &str) -> Option<Vec<String>> {
    let mut ids = Vec::new();
    while !text.is_empty() {
        let (length, rest) = text.split_once(':')?;
        let length: usize = length.parse().ok()?;
        let end = rest.char_indices().nth(length)?.0;
        ids.push(rest[..end].to_owned());
        text = rest[end..].strip_prefix(',')?;
    }
    Some(ids)
}

/// How a table keeps a text per field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ByField {
    /// As a map from text to text.
    Map,
    /// As a struct with these members: tables of the Python implementation have it.
    Struct(Vec<String>),
}

/// A stored table that keeps the whole history of records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Records {
    /// The table.
    pub table: String,
    /// The name under which its definitions are recorded.
    pub key: String,
    /// The columns that identify a record.
    pub ids: Vec<String>,
    /// The version of today's definition, which rows written today carry.
    pub version: String,
    /// How provenances are kept.
    pub provenance: ByField,
    /// How data versions are kept.
    pub data_version: ByField,
    /// Whether rows carry a write token.
    pub has_token: bool,
    /// What is likely of its rows.
    pub statistics: Statistics,
    /// Whether no other definition than today's is recorded: none has to be asked what it says.
    pub sole_definition: bool,
    /// For records that are children of a parent: which of them exist.
    pub seals: Option<Seals>,
}

/// What is likely of the rows of a table: how they are read may depend on it, which they are does not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Most records have one row.
    pub mostly_once: bool,
    /// There are so few rows that a database may read them with fewer threads than it has.
    pub few: bool,
}

/// What says which children of a parent exist: those of the try that was sealed last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seals {
    /// The table of the seals; `None` if there is none yet.
    pub table: Option<String>,
    /// The places of the parent's ids among those of a record.
    pub parents: Vec<usize>,
    /// Whether rows carry the number of their try; in tables of other programs they do not.
    pub has_try: bool,
}

/// What today's definition says of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldDefinition {
    /// The key of the field in the by-field columns.
    pub name: String,
    /// Its code version.
    pub code_version: String,
    /// The fields that it is computed from, in the canonical text of the definitions' table.
    pub parents: String,
}

/// A field whose provenance is computed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// What today's definition says.
    pub definition: FieldDefinition,
    /// The first part of what is hashed.
    pub label: String,
    /// The values that are hashed with it, in order.
    pub parts: Vec<Part>,
}

/// One value of an input, as it is hashed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The text before it.
    pub label: String,
    /// The input, by its index.
    pub input: usize,
    /// The key of the field in the input's data versions.
    pub field: String,
}

/// A relation that records are computed from.
#[derive(Clone, Debug, PartialEq)]
pub struct Input {
    /// The table; `None` if there is none yet, which counts as empty.
    pub records: Option<Records>,
    /// The name in messages.
    pub key: String,
    /// The columns of its table that it is joined on, each with the index of the target's id that it
    /// equals.
    pub on: Vec<(String, usize)>,
    /// Whether rows that agree on these columns are a group, and give one row together.
    pub grouped: bool,
    /// Whether a record exists without a row of it.
    pub optional: bool,
    /// Which of its rows count at all, over the columns of its table.
    pub filter: Option<Filter>,
    /// Which of its rows are asked for: a record is answered if one of those that it is computed
    /// from is.
    pub asked: Option<Filter>,
    /// The fields that are read from it, as today's definition has them.
    pub reads: Vec<FieldDefinition>,
    /// The columns that come along, by their names in the table; from a group, each as a list over
    /// its members, in the order of their ids.
    pub columns: Vec<String>,
    /// What its own records are computed from, where that is simple: names what a blocked record
    /// waits for.
    pub sources: Vec<Source>,
}

/// What the records of an [`Input`] are computed from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The table; `None` if there is none yet.
    pub records: Option<Records>,
    /// For each of its ids the index of the input's id that it equals.
    pub ids: Vec<usize>,
    /// The fields that the input reads from it.
    pub reads: Vec<FieldDefinition>,
}

/// Which records of a target are new, stale or orphaned.
#[derive(Clone, Debug, PartialEq)]
pub struct Resolve {
    /// The records that are compared.
    pub target: Target,
    /// What they should be.
    pub expected: Expected,
    /// The definitions' table, if there is one.
    pub definitions: Option<String>,
    /// How texts are hashed.
    pub hash: Hash,
    /// Whether the rows are wanted, or only their numbers.
    pub rows: bool,
    /// Whether the database goes on with the rows: it then renders hashes as texts, and makes those
    /// over all fields. A reader can do both where it costs less, and for its rows alone.
    pub texts: bool,
    /// The table of records whose history was removed, if there is one.
    pub removed: Option<String>,
    /// Which records are answered, and how they are judged.
    pub call: Call,
    /// What is known of an earlier resolve: only what has changed since then is looked at.
    pub since: Option<Since>,
    /// Whether the rows include records that wait: a later resolve has to look at them again.
    pub waiting: bool,
}

/// What the first statement of a resolve has found, where there are two: see [`crate::lower::classify`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Classified {
    /// The table that keeps its answer.
    pub table: String,
    /// The classes that it has counted any records of.
    pub classes: Vec<Class>,
    /// Whether another definition than today's wrote any of the stale ones.
    pub outdated: bool,
}

/// What an earlier resolve of all records has found, of which nothing has changed but that rows were
/// appended to the tables. The answer is that of a whole resolve, but only records that a later row is
/// about and those that were not unchanged then are looked at.
///
/// Plain features alone are resolved like this: each upstream is there and has all ids of the target, no
/// groups, no expansions, and a call that asks for everything. The dialect has to find the latest rows by
/// address ([`LatestRows::ByAddress`](crate::dialect::LatestRows)), and addresses have to grow with what is
/// appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Since {
    /// The table with the ids (`id0`, ..) of all records that were not unchanged then.
    pub pending: String,
    /// The smallest address that a later row of the target's table has.
    pub target: i64,
    /// The same for the table of each input.
    pub inputs: Vec<i64>,
    /// How many records were unchanged then.
    pub unchanged: i64,
    /// How many of them another definition had written.
    pub unchanged_older: i64,
}

/// What a call asks for beyond everything.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Call {
    /// Whether some records are not answered; then there are no orphans.
    pub selects: bool,
    /// Which stored records, over the columns of the target's table.
    pub target: Option<Filter>,
    /// Which stored records are stale whatever they are computed from, over the same columns; one of
    /// these has to hold.
    pub stale_if: Vec<Filter>,
    /// Whether all of them are.
    pub skip_comparison: bool,
    /// The n-th of so many shards.
    pub shard: Option<(u64, u64)>,
    /// The order of the rows to compute, and whether the largest come first.
    pub order_by: Vec<(OrderBy, bool)>,
    /// At most so many rows to compute, and no others.
    pub limit: Option<u64>,
    /// What leaves out records that have failed.
    pub failures: Option<Failures>,
    /// Which unchanged records the rows include.
    pub unchanged: Unchanged,
}

/// Which unchanged records are among the rows of a resolve.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unchanged {
    /// None.
    #[default]
    None,
    /// Those that another definition wrote.
    Older,
    /// All.
    All,
}

/// A value that the rows of an increment are ordered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderBy {
    /// An id.
    Id(usize),
    /// A column that comes along: of an input, by its place there.
    Brought(usize, usize),
    /// The class.
    Class,
}

/// Which failed records are left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failures {
    /// The table of the failures.
    pub table: String,
    /// The name of the target in it.
    pub key: String,
    /// Those with fewer failures are not left out if the last one is no later than this, in
    /// microseconds since 1970-01-01 UTC.
    pub retry: Option<(u64, i64)>,
}

/// The records that are compared with what they should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The table; `None` if there is none yet.
    pub records: Option<Records>,
    /// The names of its ids; of children, those of the parent, which is what is compared.
    pub ids: Vec<String>,
    /// The fields, in the order of the definition.
    pub fields: Vec<Field>,
}

/// What records should be.
#[derive(Clone, Debug, PartialEq)]
pub enum Expected {
    /// What follows from the rows of other tables.
    Inputs(Vec<Input>),
    /// What the caller says: a staged table.
    Samples {
        /// The staged table, laid out by [`Stage`].
        stage: String,
        /// Whether records that it lacks are orphaned; else they are not looked at.
        complete: bool,
    },
}

/// The layout of a staged table: ids `id0..`, columns `c0..`, and per field the provenance `p0..`
/// and the data version `d0..`, in the order of the definition. Where no data version is given it is
/// NULL, and the append decides: the stored one if the field is unchanged, else the provenance. Rows
/// of children have a column `try`. The last column is `hash`, that over the provenances.
///
/// Its names are generated, so that no column of a user can collide with them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    /// The table.
    pub table: String,
    /// The types of the ids.
    pub ids: Vec<ColumnType>,
    /// The types of the columns.
    pub columns: Vec<ColumnType>,
    /// The number of fields.
    pub n_fields: usize,
    /// Whether rows are children of a parent and say of which try.
    pub tries: bool,
}

/// Rows of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Read {
    /// The table.
    pub records: Records,
    /// The columns that are given, by name, in order.
    pub columns: Vec<String>,
    /// Which rows.
    pub scope: Scope,
    /// Of these, which; over the columns of the table.
    pub filter: Option<Filter>,
    /// The definitions' table, if there is one.
    pub definitions: Option<String>,
    /// Today's fields: a row is given if it was written by a definition that agrees on them.
    pub fields: Vec<FieldDefinition>,
}

/// Which rows a [`Read`] gives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// All rows of a record and not only the latest.
    pub history: bool,
    /// Also rows that another definition wrote.
    pub other_versions: bool,
    /// Also tombstones.
    pub tombstones: bool,
    /// Nothing later than this, in microseconds since 1970-01-01 UTC.
    pub as_of: Option<i64>,
}

/// Staged rows to append to a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Append {
    /// The table.
    pub records: Records,
    /// The columns, in the order of the stage's.
    pub columns: Vec<String>,
    /// The fields, by their keys in the by-field columns, in the order of the stage's.
    pub fields: Vec<String>,
    /// For a root, whose provenances do not tell of a code version: what says whether a stored row
    /// is of today's.
    pub root: Option<RootFields>,
    /// Where the rows are.
    pub from: AppendFrom,
    /// What every row carries.
    pub stamp: Stamp,
    /// How texts are hashed.
    pub hash: Hash,
}

/// Staged seals to append to their table. They are staged in ids `id0..`, `try`, `children`, and per
/// field the provenance `p0..`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seal {
    /// The table of the seals.
    pub table: String,
    /// The columns that identify a parent.
    pub ids: Vec<String>,
    /// The fields, by their keys in the by-field columns, in the order of the stage's.
    pub fields: Vec<String>,
    /// The staged table.
    pub stage: String,
    /// What every seal carries: the same as the children.
    pub stamp: Stamp,
    /// How texts are hashed.
    pub hash: Hash,
}

/// Staged rows to append as they are, but for those that the table has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merge {
    /// The table.
    pub table: String,
    /// The staged table; it has the columns under the same names.
    pub stage: String,
    /// The columns.
    pub columns: Vec<String>,
    /// Those of them that name a record; no row of the stage lacks one.
    pub ids: Vec<String>,
    /// The others that two rows have in common if they are the same; NULL is a value here.
    pub same: Vec<String>,
}

/// The fields of a root, and where its former definitions are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootFields {
    /// Today's fields, in the order of the stage's.
    pub fields: Vec<FieldDefinition>,
    /// The definitions' table, if there is one.
    pub definitions: Option<String>,
}

/// Which staged rows an [`Append`] takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AppendFrom {
    /// All of them.
    Stage(String),
    /// Those that a [`Resolve`] against the stage found new or stale.
    Increment {
        /// The staged table.
        stage: String,
        /// The table that holds the increment.
        increment: String,
    },
}

/// What every row of a write carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The version of the definition.
    pub version: String,
    /// The version of the project.
    pub project_version: String,
    /// The time of the write.
    pub time: Time,
    /// The caller's name for the run.
    pub materialization_id: Option<String>,
    /// The number of the write.
    pub token: i64,
}

/// What the latest rows of a table would be if an increment were computed.
#[derive(Clone, Debug, PartialEq)]
pub struct AsComputed {
    /// The table; `None` if there is none yet.
    pub records: Option<Records>,
    /// The columns that identify a record.
    pub ids: Vec<String>,
    /// All columns of the rows, ids included, with their types as far as they are known.
    pub columns: Vec<(String, Option<ColumnType>)>,
    /// The table that holds the increment.
    pub increment: String,
    /// The fields, by their keys in the by-field columns, in the order of the increment's.
    pub fields: Vec<String>,
    /// Whether the data versions of what is computed are the caller's: they are taken to differ from all
    /// that are stored.
    pub values_change: bool,
    /// What every computed row carries.
    pub stamp: Stamp,
    /// How texts are hashed.
    pub hash: Hash,
}

/// When something is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Time {
    /// At this time, in microseconds since 1970-01-01 UTC.
    At(i64),
    /// When the statement runs, and later than anything in these tables.
    After(Vec<String>),
}

/// Records of a table to mark as deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tombstone {
    /// The table.
    pub records: Records,
    /// All of its columns, by name.
    pub columns: Vec<String>,
    /// A table whose columns `id0..` hold the ids.
    pub ids: String,
    /// When the ids come from an increment: the causes (see [`orphan`]) of the orphans to take.
    pub orphans: Option<Vec<i8>>,
    /// When.
    pub time: Time,
    /// The caller's name for the run.
    pub materialization_id: Option<String>,
    /// The number of the write.
    pub token: i64,
}

/// The classes of a [`Resolve`], as numbers in its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(i8)]
pub enum Class {
    /// There is a record, and nothing that it could be computed from.
    Orphaned = 1,
    /// There is a record, and what it is computed from is itself outdated.
    Blocked = 2,
    /// There is no record, and what it would be computed from is itself outdated.
    Waiting = 3,
    /// There is no record yet.
    New = 4,
    /// There is a record, computed from something else.
    Stale = 5,
    /// There is a record, computed from what it would be computed from today.
    Unchanged = 6,
}

impl Class {
    /// The class of a number in a result.
    #[must_use]
    pub const fn from_code(code: i8) -> Option<Self> {
        Some(match code {
            1 => Self::Orphaned,
            2 => Self::Blocked,
            3 => Self::Waiting,
            4 => Self::New,
            5 => Self::Stale,
            6 => Self::Unchanged,
            _ => return None,
        })
    }
}

/// The bits that say why a field is stale, added up in a result.
pub mod reason {
    /// The code version or the parent fields are others than those of the recorded definition.
    pub const CODE: i8 = 1;
    /// Nothing is stored for the field.
    pub const ADDED: i8 = 2;
    /// The values it is computed from differ.
    pub const UPSTREAM: i8 = 4;
    /// The caller says so.
    pub const FORCED: i8 = 8;
}

/// Why a record has nothing that it could be computed from, as numbers in a result.
pub mod orphan {
    /// There is no trace of it in at least one input, and it was deleted in none.
    pub const MISSING: i8 = 1;
    /// It was deleted in an input.
    pub const GONE: i8 = 2;
    /// It is there in an input, but a filter leaves it out, or it belongs to another group now.
    pub const EXCLUDED: i8 = 3;
}

/// What blocks a record, per input, as numbers in a result.
pub mod block {
    /// Nothing.
    pub const FREE: i8 = 0;
    /// The row is stale there.
    pub const STALE: i8 = 1;
    /// The row is blocked there.
    pub const BLOCKED: i8 = 2;
    /// The row is orphaned there.
    pub const ORPHANED: i8 = 3;
    /// The row lacks the data version of a field that is read.
    pub const NO_VERSION: i8 = 4;
}

impl fmt::Display for Resolve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "resolve, hash {} cut to {}", self.hash.algorithm, self.hash.length)?;
        match &self.target.records {
            Some(records) => writeln!(f, "  current: {records}")?,
            None => writeln!(f, "  current: nothing")?,
        }
        if let Some(since) = &self.since {
            writeln!(
                f,
                "  since: target row {}, input rows {:?}, not unchanged then: {}; unchanged then: {}, of \
                 them by another definition {}",
                since.target, since.inputs, since.pending, since.unchanged, since.unchanged_older,
            )?;
        }
        match &self.expected {
            Expected::Samples { stage, complete } => {
                let kind = if *complete { "complete" } else { "partial" };
                writeln!(f, "  expected: {kind} samples in {stage}")?;
            }
            Expected::Inputs(inputs) => {
                for (i, input) in inputs.iter().enumerate() {
                    write!(f, "  input {i}: ")?;
                    match &input.records {
                        Some(records) => write!(f, "{records}")?,
                        None => write!(f, "{} has no table", input.key)?,
                    }
                    let on = input.on.iter().map(|(column, id)| format!("{column} = id {id}"));
                    write!(f, " on {}", on.collect::<Vec<_>>().join(", "))?;
                    write!(f, "{}", if input.grouped { ", grouped" } else { "" })?;
                    writeln!(f, "{}", if input.optional { ", optional" } else { "" })?;
                    for (what, filter) in [("where", &input.filter), ("asked", &input.asked)] {
                        if let Some(filter) = filter {
                            writeln!(f, "    {what} {filter}")?;
                        }
                    }
                    for field in &input.reads {
                        writeln!(f, "    reads {field}")?;
                    }
                    if !input.columns.is_empty() {
                        writeln!(f, "    brings {}", input.columns.join(", "))?;
                    }
                    for source in &input.sources {
                        match &source.records {
                            Some(records) => writeln!(f, "    from {records}")?,
                            None => writeln!(f, "    from a table that is not there")?,
                        }
                    }
                }
            }
        }
        for field in &self.target.fields {
            write!(
                f,
                "  field {} = hash({}|{}",
                field.definition, field.label, field.definition.code_version
            )?;
            for part in &field.parts {
                write!(f, "|{}|<input {} {}>", part.label, part.input, part.field)?;
            }
            writeln!(f, ")")?;
        }
        if self.call != Call::default() {
            writeln!(f, "  {:?}", self.call)?;
        }
        Ok(())
    }
}

impl fmt::Display for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "latest of {} by ({}), today {}", self.table, self.ids.join(", "), self.version)?;
        if self.sole_definition {
            write!(f, " and never another")?;
        }
        Ok(())
    }
}

impl fmt::Display for FieldDefinition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (code {}, parents {})", self.name, self.code_version, self.parents)
    }
}

#[cfg(test)]
mod tests {
    use super::{ids_of_text, ids_text};

    #[test]
    fn ids_come_back_out_of_their_text() {
        for ids in [vec![], vec![""], vec!["a,1:b", "ü:"], vec!["7", "", "x"]] {
            let text = ids_text(ids.iter().copied());
            assert_eq!(ids_of_text(&text).expect("ids"), ids, "{text}");
        }
        for text in ["a", "1:ab,", "2:a,", "1:a"] {
            assert_eq!(ids_of_text(text), None, "{text}");
        }
    }
}
