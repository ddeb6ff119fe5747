//! [`Error`]: everything that can go wrong, in one type.

use crate::filter::FilterError;
use crate::graph::GraphErrors;
use crate::history::{HistoryError, LockError};
use crate::key::{FeatureKey, KeyError};
use crate::nearest::hint;
use crate::registry::NothingLinked;
use crate::row::RowError;
use crate::spec::SpecErrors;
use crate::store::WriteError;
use std::path::PathBuf;
use std::sync::Arc;

/// A result with Metaxy's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong. The texts name feature, field, column or row, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A text is no feature or field key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The definitions do not form a graph; all mistakes are listed.
    #[error(transparent)]
    Graph(#[from] GraphErrors),
    /// Rows do not fit the struct that they are read into.
    #[error(transparent)]
    Row(#[from] RowError),
    /// No feature is linked into this program.
    #[error(transparent)]
    NothingLinked(#[from] NothingLinked),
    /// A spec, or a spec file, has mistakes; all are listed.
    #[error(transparent)]
    Spec(#[from] SpecErrors),
    /// The history of pushes has no answer.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// A lock file cannot be read or made.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A feature is not in the graph.
    #[error("there is no feature `{feature}` in the graph{}", hint(nearest.as_deref()))]
    UnknownFeature {
        /// The key that was asked for.
        feature: String,
        /// A key that is there and looks alike.
        nearest: Option<String>,
    },
    /// A feature does not have a field.
    #[error("there is no field `{field}` in the feature `{feature}`{}", hint(nearest.as_deref()))]
    UnknownField {
        /// The feature.
        feature: FeatureKey,
        /// The key that was asked for.
        field: String,
        /// A field that is there and looks alike.
        nearest: Option<String>,
    },
    /// A text does not name a field of a feature.
    #[error("`{text}` names no field; write feature and field with a dot, `example/video.audio`")]
    NotAField {
        /// The text.
        text: String,
    },
    /// Rows were refused; nothing of the write is in the store.
    #[error("cannot write `{feature}`: {reason}")]
    Write {
        /// The feature.
        feature: FeatureKey,
        /// What is wrong with the rows.
        reason: WriteError,
    },
    /// A declaration or a call whose meaning is not built yet. Nothing was computed with another meaning.
    #[error("not supported yet: {what} (feature `{feature}`)")]
    NotSupportedYet {
        /// The feature.
        feature: FeatureKey,
        /// What is not supported.
        what: String,
    },
    /// A call that is meant for features with upstreams, or for those without.
    #[error("`{feature}` {problem}; {fix}")]
    WrongKind {
        /// The feature.
        feature: FeatureKey,
        /// What it is.
        problem: &'static str,
        /// What to call instead.
        fix: &'static str,
    },
    /// A rebase that accepts differences, but does not say who accepts them and why.
    #[error(
        "a rebase of `{feature}` that accepts stale records says who accepts them, and why their \
         output would be the same; add `.by(\"..\")` and `.because(\"..\")`"
    )]
    NobodyAccepts {
        /// The feature.
        feature: FeatureKey,
    },
    /// A feature has no table in the store.
    #[error(
        "`{feature}` has no table `{table}` in this store; write to it first, with \
         `.create_tables(true)` when the store is opened"
    )]
    NoTable {
        /// The feature.
        feature: FeatureKey,
        /// The table.
        table: String,
    },
    /// The store has none of the tables in which it keeps definitions and settings.
    #[error(
        "this store has no table `{table}`; open it with `.create_tables(true)` before anything \
         is written"
    )]
    NoSystemTable {
        /// The table.
        table: String,
    },
    /// A table lacks columns that the feature has today.
    #[error(
        "the table `{table}` of `{feature}` lacks the columns `{}`; add them to the table, or open \
         the store with `.create_tables(true)`", .columns.join("`, `")
    )]
    TableLacksColumns {
        /// The feature.
        feature: FeatureKey,
        /// The table.
        table: String,
        /// The columns.
        columns: Vec<String>,
    },
    /// A column that the engine cannot tell from something of its own.
    #[error(
        "the table `{table}` cannot have a column `{column}`: {engine} gives the address of a row \
         under this name; call it something else, `#[metaxy(name = \"..\")]` in a struct"
    )]
    ReservedColumn {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// The engine.
        engine: &'static str,
    },
    /// A table was written with other id columns than the feature has today.
    #[error(
        "`{feature}` has the id columns {today}, but its table was written with {recorded}; records \
         with other ids need a migration, resolving cannot compare them"
    )]
    OtherIds {
        /// The feature.
        feature: FeatureKey,
        /// Today's, as a JSON list.
        today: String,
        /// Those of the table, as a JSON list.
        recorded: String,
    },
    /// Two upstreams bring a column of one name.
    #[error(
        "the column `{column}` comes to `{feature}` twice; take it from one upstream only with \
         `select(..)`, or give it another name with `rename(..)`"
    )]
    ColumnTwice {
        /// The feature.
        feature: FeatureKey,
        /// The column.
        column: String,
    },
    /// A filter is meant for an upstream that the feature does not have.
    #[error("`{feature}` has no upstream `{upstream}` that a filter could be about")]
    NoUpstream {
        /// The feature.
        feature: FeatureKey,
        /// What was named.
        upstream: FeatureKey,
    },
    /// Rows cannot be ordered by a column that they do not have.
    #[error("the increment of `{feature}` has no column `{column}`; it has `{}`", .found.join("`, `"))]
    NoColumn {
        /// The feature.
        feature: FeatureKey,
        /// The column.
        column: String,
        /// Those that it has.
        found: Vec<String>,
    },
    /// A store was made with other settings than it is opened with.
    #[error(
        "the store was created with {setting} {stored}, but it is opened with {requested}; leave \
         the setting out, or open another store"
    )]
    OtherSettings {
        /// The setting.
        setting: &'static str,
        /// As it was created.
        stored: String,
        /// As it is opened.
        requested: String,
    },
    /// A table or view with samples that is not there.
    #[error("there is no table or view `{table}` in this database that samples could be read from")]
    NoSamples {
        /// The name that was given.
        table: String,
    },
    /// A commit of a buffered writer failed: everybody who uses it is told.
    #[error("a buffered write of `{feature}` failed, {rows} rows are not in the store: {source}")]
    Buffered {
        /// The feature.
        feature: FeatureKey,
        /// How many rows and seals waited for the commit that failed.
        rows: u64,
        /// What went wrong.
        source: Arc<Self>,
    },
    /// A buffered writer that somebody has closed.
    #[error("the buffered writer of `{feature}` is closed; begin a new one")]
    WriterClosed {
        /// The feature.
        feature: FeatureKey,
    },
    /// Two stores whose records cannot be compared.
    #[error(
        "{setting} is {here} in one store and {there} in the other, so that their versions cannot be \
         compared; create both with the same settings"
    )]
    UnlikeStores {
        /// The setting.
        setting: &'static str,
        /// In the store that was called.
        here: String,
        /// In the other one.
        there: String,
    },
    /// A store of another program that does not say how it hashes.
    #[error(
        "the store was made by the Python implementation, which does not record how it hashes; open \
         it with `.compat(Compat::Python)`, or name `hash_algorithm` and `hash_truncation_length`"
    )]
    UnknownSettings,
    /// A setting that no store has.
    #[error("{setting} cannot be {value}: {problem}")]
    Setting {
        /// The setting.
        setting: &'static str,
        /// The value.
        value: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// An address that names no store.
    #[error("`{url}` names no store: {problem}")]
    Url {
        /// The address, without secrets.
        url: String,
        /// What is wrong with it, and what an address looks like.
        problem: String,
    },
    /// A store that is to be read only, and is not there.
    #[error(
        "there is no store in `{place}` that could be read; open it without `.read_only(true)` first"
    )]
    NoStore {
        /// Where it should be.
        place: String,
    },
    /// A write to a store that is read only.
    #[error("the store was opened with `.read_only(true)`: nothing can be written to it")]
    ReadOnly,
    /// A file that this process has open for reading is to be opened for writing.
    #[error(
        "this process has the database `{path}` open with `.read_only(true)`; drop that store \
         before one is opened that writes, or open the one that writes first"
    )]
    OpenForReading {
        /// The file.
        path: String,
    },
    /// The database is in use by another process.
    #[error(
        "the database `{path}` is in use by {}; DuckDB lets one process write: \
         wait for it or end it, and share one `Store` within a process",
        holder(*.pid)
    )]
    Locked {
        /// The file.
        path: String,
        /// The process, if the engine said which.
        pid: Option<u32>,
    },
    /// A server cannot be reached, or the connection to it broke.
    #[error("{engine} cannot be reached: {message}; see that it runs, and repeat the call")]
    Unreachable {
        /// The engine.
        engine: &'static str,
        /// What went wrong.
        message: String,
    },
    /// Another transaction was in the way.
    #[error("{engine}: {message}; nothing was changed, repeat the call")]
    Conflict {
        /// The engine.
        engine: &'static str,
        /// What it said.
        message: String,
    },
    /// A value that the engine would change, or lose, without a word; nothing was written.
    #[error(
        "`{column}` of {record} holds {problem}; nothing was written ({engine} cannot keep it)"
    )]
    CannotKeep {
        /// The engine.
        engine: &'static str,
        /// The column.
        column: String,
        /// The row of its batch, from 0.
        row: usize,
        /// The row and, where they are known, its ids.
        record: String,
        /// The value, and what to do.
        problem: String,
    },
    /// A file that is not there or cannot be read as rows.
    #[error("cannot read rows from `{}`: {problem}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A blocking call where it would stop an async runtime.
    #[error(
        "`metaxy::blocking` was called inside an async runtime, which it would stop; use \
         `metaxy::Store` and `.await` there"
    )]
    BlockingInsideRuntime,
    /// The system gives no threads for an async runtime.
    #[error("no async runtime can be started for `metaxy::blocking`")]
    Runtime {
        /// What the system said.
        source: std::io::Error,
    },
    /// A filter of a call cannot be read, or does not fit the columns of the feature.
    #[error("a filter on `{feature}` cannot be used: {source}")]
    Filter {
        /// The feature whose columns it is about.
        feature: FeatureKey,
        /// What is wrong with it, and where.
        source: Box<FilterError>,
    },
    /// A text cannot be read as statements of SQL.
    #[error("this cannot be read as SQL: {problem}")]
    Script {
        /// What is wrong with it.
        problem: String,
    },
    /// Migrations cannot be made, or not applied.
    #[cfg(feature = "sql")]
    #[error(transparent)]
    Migration(#[from] Box<crate::migrate::MigrationError>),
    /// The database reported an error.
    #[error("{engine}: {message}")]
    Database {
        /// The engine.
        engine: &'static str,
        /// What it said.
        message: String,
    },
    /// A plan cannot be said in the engine's SQL.
    #[error(transparent)]
    Sql(#[from] metaxy_sql::Error),
    /// Arrow data does not fit together.
    #[error(transparent)]
    Arrow(#[from] arrow::error::ArrowError),
    /// A mistake in this library.
    #[error("a bug in metaxy, please report it: {0}")]
    Internal(String),
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another process".to_owned(), |pid| format!("the process {pid}"))
}

impl Error {
    /// Whether the same call may succeed later without any change: a lock, a lost connection.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Locked { .. } | Self::Unreachable { .. } | Self::Conflict { .. })
    }

    /// A selected column of a group's members that would be a list of lists.
    pub(crate) fn no_list(feature: &FeatureKey, upstream: &FeatureKey, column: &str) -> Self {
        Self::NotSupportedYet {
            feature: feature.clone(),
            what: format!(
                "the column `{column}` of `{upstream}` in a group: it would be a list of lists or maps; \
                 leave it out of `select`"
            ),
        }
    }

    pub(crate) fn internal(what: impl Into<String>) -> Self {
        Self::Internal(what.into())
    }
}
