//! [`Backend`]: what an engine does for a [`Store`](super::Store).
//!
//! Requests name a feature within its graph and say what is wanted; how that becomes SQL, or
//! anything else, is the engine's affair. Answers are Arrow batches in the layouts that are
//! described here, the same for every engine. [`Memory`](super::memory::Memory) is the shortest
//! engine, and where a text leaves a doubt, its answer is the right one.
//!
//! # What is stored
//!
//! A feature has a table, by [`FeatureKey::table_name`], with its ids, its columns and the columns of
//! [`metaxy_sql::system::COLUMNS`]. Rows are only ever appended, but by hard deletions and vacuums.
//!
//! - *Order*: rows of one record are ordered by their time (that of deletion, else of update), then
//!   marks after others, then by write token. The last of them is *the* row of the record; a mark of
//!   deletion, a *tombstone*, is a row like any other. **First the latest row, then any test of it**: a
//!   row that a filter, a version or a tombstone hides never makes an older one visible.
//! - Rows that lack an id are no records.
//! - *Outdated*: a row is outdated for who reads some fields of it, if the definition that wrote it
//!   ([`system::DEFINITIONS`](metaxy_sql::system::DEFINITIONS)) gave one of these another code version
//!   or other parents than today's, or is not recorded. The first row under a definition records it.
//! - Tables may come from the Python implementation: without [`WRITE_TOKEN`] and [`TRY`] columns, and
//!   with per-field versions in a STRUCT. They are read as they are, and may be refused for writing.
//!
//! [`WRITE_TOKEN`]: metaxy_sql::system::WRITE_TOKEN
//! [`TRY`]: metaxy_sql::system::TRY
//!
//! # Expansions
//!
//! One upstream record, the *parent*, gives any number of records of an expansion
//! ([`FeatureContext::is_expansion`]). Its table has a column [`TRY`], and there is a table of *seals*,
//! [`metaxy_sql::system::seals`]: rows about parents, with a try and the number of its children. Seals
//! have the order of rows, and tombstones.
//!
//! - Rows without a try, which other programs write, *imply* a seal of their parent: as late as the
//!   latest of them, of all of them, and a tombstone if all of their children are deleted.
//! - The latest seal of a parent, whatever it is, is *in force*. It is *pending* if it is no tombstone
//!   and fewer children than it says have a row of that try.
//! - The children of a parent are the latest rows, per child, of the try of the seal in force: none if
//!   that is a tombstone or pending. For readers, downstream, deletions and kept data versions no
//!   other children exist; their times do not matter.
//! - In everything that compares, the record of an expansion is the parent.
//!
//! # Changes
//!
//! Each call that changes something does so whole or not at all, also when its future is dropped, and
//! sees all changes that have returned before. An engine without transactions (ClickHouse) appends whole
//! batches, and orders its steps so that a call that was cut off does no harm and can be repeated. All that one call appends to a table carries one time,
//! which is the clock's but later than anything in the table, and one write token: random, not
//! negative. With `dry_run` a call answers what it would do and changes nothing.
//!
//! Tables that are missing are made only if the store may; else they are an error
//! ([`Error::NoTable`], [`Error::TableLacksColumns`], [`Error::NoSystemTable`]). A table that was written
//! with other id columns is refused by all calls ([`Error::OtherIds`]); so is a filter that cannot be
//! read, or names no column ([`Error::Filter`]).
//!
//! [`Error::NoTable`]: crate::Error::NoTable
//! [`Error::TableLacksColumns`]: crate::Error::TableLacksColumns
//! [`Error::NoSystemTable`]: crate::Error::NoSystemTable
//! [`Error::OtherIds`]: crate::Error::OtherIds
//! [`Error::Filter`]: crate::Error::Filter
//!
//! # What the store does before
//!
//! It checks that a feature is of the kind that a call needs (a root is synced and never resolved), what
//! staged rows hold (no NULL in an id, known columns of the right types, versions for all fields), that
//! somebody signs a rebase, and that two stores hash alike. An engine checks what only its tables can
//! tell.

use crate::error::{Error, Result};
use crate::graph::FeatureGraph;
use crate::increment::{Counts, Reason};
use crate::key::FeatureKey;
use crate::plan::Todo;
use crate::spec::{ColumnSpec, FeatureDefinition, FeatureDep, Lineage};
use crate::store::Settings;
use crate::version::{FeatureVersions, GraphVersions};
use arrow::array::RecordBatch;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use metaxy_sql::Ident;
use metaxy_sql::literal::check_text;
use metaxy_sql::plan::Hash;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Batches, one after the other; an error ends them.
pub type BatchStream = BoxStream<'static, Result<RecordBatch>>;

/// A feature in its graph, with its versions: what every request names.
#[derive(Clone, Debug)]
pub struct FeatureContext {
    graph: FeatureGraph,
    key: FeatureKey,
    versions: Arc<GraphVersions>,
    hash: Hash,
}

impl FeatureContext {
    /// A feature of a graph.
    ///
    /// # Errors
    /// When the graph does not have it, or it has a name or a code version that no engine can keep.
    pub fn new(graph: &FeatureGraph, key: &FeatureKey, hash: Hash) -> Result<Self> {
        let definition = graph.expect(key)?;
        let columns = definition.columns.iter().flatten().map(|column| &column.name);
        for name in definition.spec.id_columns.iter().chain(columns) {
            Ident::new(name)?;
        }
        for field in &definition.spec.fields {
            check_text(&field.code_version)?;
        }
        Ok(Self {
            graph: graph.clone(),
            key: key.clone(),
            versions: graph.versions(hash.length as usize),
            hash,
        })
    }

    /// Another feature of the same graph.
    ///
    /// # Errors
    /// When the graph does not have it.
    pub fn of(&self, key: &FeatureKey) -> Result<Self> {
        Self::new(&self.graph, key, self.hash)
    }

    /// The graph.
    #[must_use]
    pub fn graph(&self) -> &FeatureGraph {
        &self.graph
    }

    /// The key of the feature.
    #[must_use]
    pub fn key(&self) -> &FeatureKey {
        &self.key
    }

    /// How the store hashes.
    #[must_use]
    pub fn hash(&self) -> Hash {
        self.hash
    }

    /// The definition of the feature.
    ///
    /// # Panics
    /// Never: the graph was asked when this was made.
    #[must_use]
    pub fn definition(&self) -> &FeatureDefinition {
        self.graph.get(&self.key).expect("a context names a feature of its graph")
    }

    /// The versions of the feature.
    ///
    /// # Panics
    /// Never: a graph has the versions of each of its features.
    #[must_use]
    pub fn versions(&self) -> &FeatureVersions {
        self.versions.feature(&self.key).expect("a graph has versions for each of its features")
    }

    /// The version of the feature's project.
    #[must_use]
    pub fn project_version(&self) -> &str {
        self.versions.project(&self.definition().project)
    }

    /// Whether the feature has no upstream.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.definition().spec.deps.is_empty()
    }

    /// The places among the ids that upstreams give; the others it adds itself, if it expands one.
    #[must_use]
    pub fn parent_ids(&self) -> Vec<usize> {
        let spec = &self.definition().spec;
        if spec.deps.is_empty() {
            return (0..spec.id_columns.len()).collect();
        }
        let gives = |dep: &FeatureDep, id: &String| match &dep.lineage {
            Lineage::Identity => self
                .graph
                .get(&dep.feature)
                .is_some_and(|d| d.spec.id_columns.iter().any(|there| dep.renamed(there) == id)),
            Lineage::Aggregation { on } => on.as_ref().is_none_or(|on| on.contains(id)),
            Lineage::Expansion { on, .. } => on.contains(id),
        };
        let ids = spec.id_columns.iter().enumerate();
        ids.filter(|(_, id)| spec.deps.iter().any(|dep| gives(dep, id))).map(|(i, _)| i).collect()
    }

    /// Whether one upstream record gives any number of records here: they are written as children
    /// of their parent, in tries that are sealed.
    #[must_use]
    pub fn is_expansion(&self) -> bool {
        self.parent_ids().len() < self.definition().spec.id_columns.len()
    }

    /// The ids by which its records are compared: of an expansion, those of the parent.
    pub(crate) fn record_ids(&self) -> Vec<String> {
        let ids = &self.definition().spec.id_columns;
        self.parent_ids().into_iter().map(|place| ids[place].clone()).collect()
    }

    /// Refuses an upstream whose records are not the parents that the feature expands.
    pub(crate) fn check_parent(&self, dep: &FeatureDep) -> Result<()> {
        let Lineage::Expansion { on, .. } = &dep.lineage else { return Ok(()) };
        let on: BTreeSet<&str> = on.iter().map(String::as_str).collect();
        let ids = &self.graph.expect(&dep.feature)?.spec.id_columns;
        if on == ids.iter().map(|id| dep.renamed(id)).collect() {
            return Ok(());
        }
        let what = format!(
            "the parent of an expansion is one record: `on` has to name all ids of `{}`",
            dep.feature
        );
        Err(Error::NotSupportedYet { feature: self.key.clone(), what })
    }

    /// The keys of its fields in by-field columns, in the order of the definition.
    #[must_use]
    pub fn field_names(&self) -> Vec<String> {
        self.definition().spec.fields.iter().map(|f| f.wire_key().struct_key()).collect()
    }
}

/// What the staged batches of a write hold: ids `id0..`, other columns `c0..`, and per field the
/// provenance `p0..` and the data version `d0..`, as text; the latter NULL where none is given. In a
/// write of children a last column `try` (Int64) follows, NULL in rows that belong to no try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The id columns.
    pub ids: Vec<ColumnSpec>,
    /// The other columns.
    pub columns: Vec<ColumnSpec>,
    /// The keys of the fields in by-field columns.
    pub fields: Vec<String>,
    /// For an expansion, the places of the ids that name the parent.
    pub parents: Option<Vec<usize>>,
}

/// What [`Backend::resolve`] is asked for. By default: everything.
///
/// Filters, shards and limits select which records are answered, and never what they are computed
/// from or compared with. A call that selects reports no orphans.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ResolveOptions {
    /// Whether the records are wanted, or only their numbers.
    pub rows: bool,
    /// Upstreams, and a filter over the columns that each has here (after `rename`): a record is
    /// answered if the row that it is computed from fulfils it, a group if one of its members does.
    pub filters: Vec<(FeatureKey, String)>,
    /// Filters that the rows of every upstream have to fulfil, like `filters`.
    pub global_filters: Vec<String>,
    /// Filters over the stored records: a record that is not stored has its ids, and NULL elsewhere.
    pub target_filters: Vec<String>,
    /// Filters over the stored records: where one holds, a record that would be unchanged is stale,
    /// with the reason `forced` for each field.
    pub stale_if: Vec<String>,
    /// Whether every stored record that can be computed is stale, with the reason `forced`.
    pub skip_comparison: bool,
    /// The n-th of so many shards: each record is in exactly one, always the same.
    pub shard: Option<(u64, u64)>,
    /// The columns of the increment that the records to compute are ordered by, and whether the
    /// largest come first; NULL comes last; ids decide ties.
    pub order_by: Vec<(String, bool)>,
    /// At most so many records to compute, and no others. Counts are those of all that are selected.
    pub limit: Option<u64>,
    /// What is done about records that have failed with the inputs that they have today.
    pub failed: Failed,
}

impl Default for ResolveOptions {
    fn default() -> Self {
        Self {
            rows: true,
            filters: Vec::new(),
            global_filters: Vec::new(),
            target_filters: Vec::new(),
            stale_if: Vec::new(),
            skip_comparison: false,
            shard: None,
            order_by: Vec::new(),
            limit: None,
            failed: Failed::Include,
        }
    }
}

impl ResolveOptions {
    /// Whether some records are not answered: then there are no orphans.
    #[must_use]
    pub fn selects(&self) -> bool {
        !self.filters.is_empty()
            || !self.global_filters.is_empty()
            || !self.target_filters.is_empty()
            || self.shard.is_some()
            || self.limit.is_some()
    }
}

/// What a resolve does about new and stale records that have failed. A failure counts for the inputs
/// that the record had then: with others it is tried again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failed {
    /// They are answered like all others.
    #[default]
    Include,
    /// They are neither answered nor counted as new or stale.
    LeaveOut,
    /// They are answered if they have failed fewer than `attempts` times, the last time no later than
    /// `before` (microseconds since 1970-01-01 UTC).
    Retry {
        /// Fewer failures than this.
        attempts: u64,
        /// The last failure at this time or earlier.
        before: i64,
    },
}

/// What [`Backend::plan`] says of a feature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// The feature.
    pub feature: FeatureKey,
    /// What is to be done with upstreams as they are.
    pub now: Todo,
    /// What is to be done once they are computed.
    pub then: Todo,
}

/// What [`Backend::resolve`] gives.
pub struct Resolved {
    /// The number of records of each class.
    pub counts: Counts,
    /// The increment, in the layout of [`crate::increment`]; nothing if only counts were asked for.
    pub batches: BatchStream,
}

impl fmt::Debug for Resolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolved").field("counts", &self.counts).finish_non_exhaustive()
    }
}

/// Which rows [`Backend::read`] gives. By default: the latest row of each live record, if its
/// definition agrees with today's on all fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReadOptions {
    /// Filters over the columns of the feature: rows that fulfil all of them.
    pub filters: Vec<String>,
    /// All rows of a record and not only the latest.
    pub history: bool,
    /// Also rows that another definition wrote.
    pub other_versions: bool,
    /// Also tombstones.
    pub tombstones: bool,
    /// As the table was at this time, in microseconds since 1970-01-01 UTC.
    pub as_of: Option<i64>,
}

/// How rows are written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WriteOptions {
    /// The caller's name for the run; kept with every row.
    pub materialization_id: Option<String>,
    /// The caller's name for the write: a commit whose token and number are in the table already
    /// writes nothing.
    pub token: Option<String>,
}

impl WriteOptions {
    /// Refuses names that no engine can keep.
    ///
    /// # Errors
    /// When one holds a NUL character.
    pub(crate) fn check(&self) -> Result<()> {
        for name in self.materialization_id.iter().chain(&self.token) {
            check_text(name)?;
        }
        Ok(())
    }
}

/// How a root is brought up to date.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SyncOptions {
    /// Whether records that the samples lack are orphaned; else they are not looked at.
    pub complete: bool,
    /// Whether orphaned records are deleted.
    pub delete_orphans: bool,
    /// Whether anything is written at all.
    pub dry_run: bool,
    /// How rows are written.
    pub write: WriteOptions,
}

/// What a write did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Written {
    /// The rows that were appended.
    pub rows: u64,
    /// The seals that were appended: parents of an expansion whose children are complete.
    pub seals: u64,
    /// The tombstones that were appended.
    pub deleted: u64,
    /// Whether nothing was appended because the write is there already, by its token and number.
    pub repeated: bool,
    /// The time that all of them carry, in microseconds since 1970-01-01 UTC; `None` if there are none.
    pub time: Option<i64>,
}

/// Which records [`Backend::delete`] deletes.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Delete {
    /// Those with these ids: batches of columns `id0..`. Of an expansion they may be the ids of
    /// parents alone, in the order of [`FeatureContext::parent_ids`]: then all their children are
    /// meant, and the seal.
    Ids(Vec<RecordBatch>),
    /// Those whose row fulfils a filter over the columns of the feature.
    Filter(String),
    /// Those that a resolve finds orphaned.
    Orphans {
        /// Also those of which no upstream has a trace: they may not have been computed yet.
        missing: bool,
    },
}

/// How records are deleted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeleteOptions {
    /// Whether every row of the records is removed, and not only marked: nothing can be undone then.
    pub hard: bool,
    /// Whether a record is meant if any row that it ever had is: also one that is deleted already.
    pub history: bool,
    /// Whether what is computed from the records, near and far, is deleted as well: the records
    /// that this deletion orphans, and no others.
    pub cascade: bool,
    /// Whether to count only and change nothing.
    pub dry_run: bool,
    /// How tombstones are written.
    pub write: WriteOptions,
}

/// What a deletion did to a feature.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Deleted {
    /// The feature.
    pub feature: FeatureKey,
    /// The records (of an expansion: children) that were there and are not any more.
    pub records: u64,
    /// The rows that were removed; 0 if they were marked only.
    pub rows_removed: u64,
}

/// Which rows [`Backend::vacuum`] removes: superseded ones. The latest row of a record stays, be it
/// a tombstone, and so does every row of the seal that is in force and of tries that are not sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct VacuumOptions {
    /// How many rows of each record stay, at least 1: its latest ones.
    pub keep: u64,
    /// Only rows that were written before this time, in microseconds since 1970-01-01 UTC.
    pub before: Option<i64>,
    /// Whether to count only and change nothing.
    pub dry_run: bool,
}

/// Which rows [`Backend::rebase`] gives today's definition, and who says so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RebaseOptions {
    /// Besides records whose provenance is what it would be today: stale ones all of whose stale
    /// fields have these reasons alone. Their data versions stay.
    pub accept: Vec<Reason>,
    /// Of those, only records whose stored row fulfils this filter; of an expansion, the seal of the
    /// parent, or the latest row of one that is implied.
    pub filter: Option<String>,
    /// Who accepts it.
    pub by: String,
    /// Why the output would be the same.
    pub reason: String,
    /// Whether to count only and change nothing.
    pub dry_run: bool,
}

/// What is noted of a rebase.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rebased {
    /// The feature.
    pub feature: FeatureKey,
    /// The version that the records have since.
    pub feature_version: String,
    /// How many rows, and seals of an expansion, were appended.
    pub rows: u64,
    /// The reasons that were accepted; none if only provenances that are equal were rebased.
    pub accepted: Vec<Reason>,
    /// Who accepted it.
    pub by: String,
    /// Why the output would be the same.
    pub reason: String,
    /// When, in microseconds since 1970-01-01 UTC.
    pub time: i64,
}

/// How long records took to compute.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Measured {
    /// The feature.
    pub feature: FeatureKey,
    /// The version of the feature that they were computed for.
    pub feature_version: String,
    /// How many records; of an expansion, how many parents.
    pub records: u64,
    /// How long they took, all together.
    pub took: Duration,
    /// When it was said, in microseconds since 1970-01-01 UTC.
    pub time: i64,
}

/// A record that could not be computed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failure {
    /// The record: its ids (of an expansion, its parent's) as texts, in order.
    pub ids: Vec<String>,
    /// The hash over what it would have been computed from.
    pub provenance: String,
    /// What went wrong.
    pub error: String,
    /// When, in microseconds since 1970-01-01 UTC.
    pub time: i64,
    /// The caller's name for the run.
    pub materialization_id: Option<String>,
}

impl Failure {
    /// A failure that is to be reported; the store gives it its time.
    #[must_use]
    pub fn new(ids: Vec<String>, provenance: String, error: String) -> Self {
        Self { ids, provenance, error, time: 0, materialization_id: None }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.ids.join(", "), self.error)
    }
}

/// A row of the table of pushes ([`system::PUSHES`](metaxy_sql::system::PUSHES)): a feature in a push, or
/// that it was found to be removed. Other programs write such rows too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PushedRow {
    /// The project.
    pub project: String,
    /// The key of the feature.
    pub feature: String,
    /// The version of the feature.
    pub feature_version: String,
    /// The version of its definition.
    pub definition_version: String,
    /// When it was pushed, in microseconds since 1970-01-01 UTC.
    pub time: i64,
    /// Its spec, as JSON; empty in a [summary](PushedRows::Summary).
    pub spec: String,
    /// Its JSON schema, as JSON; empty in a summary.
    pub schema: String,
    /// Where its type lives.
    pub class_path: String,
    /// The version of the project; in a tombstone the last one that had the feature, so that readers
    /// who know nothing of tombstones do not take it for a member of the next.
    pub project_version: String,
    /// A JSON object of texts.
    pub tags: String,
    /// When the feature was found to be removed: the row is then a tombstone.
    pub deleted_at: Option<i64>,
}

/// Which rows [`Backend::pushed`] gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PushedRows {
    /// All of them, without specs and schemas.
    Summary,
    /// Those of some projects at some times, whole.
    Whole(Vec<(String, i64)>),
}

/// What [`Backend::push`] appends.
#[derive(Clone, Debug)]
pub struct PushRequest {
    /// The features whose definitions are recorded, as by a write.
    pub features: Vec<FeatureContext>,
    /// The rows; the engine gives all of them one time, and tombstones the same one.
    pub rows: Vec<PushedRow>,
    /// The latest time in the table that the rows were made for; `None` if it had no rows.
    pub after: Option<i64>,
}

/// Everything that a store holds of a feature, for another store: rows as they are.
pub struct Export {
    /// What is recorded of its definitions: per row the texts of
    /// [`metaxy_sql::system::definitions::COLUMNS`] after the first.
    pub definitions: Vec<Vec<String>>,
    /// All rows with all of their columns, by name.
    pub rows: BatchStream,
    /// All seals: the ids of parents and system columns, by name; nothing but for an expansion.
    pub seals: BatchStream,
}

impl fmt::Debug for Export {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Export").field("definitions", &self.definitions).finish_non_exhaustive()
    }
}

/// An export that has not begun: it holds nothing of its store until it is awaited.
pub type ExportFuture = BoxFuture<'static, Result<Export>>;

/// An engine that keeps records.
///
/// It is given everything that it needs with each request and keeps no graph of its own: programs with
/// different definitions share its tables. See the [module](self) for what all methods rely on.
pub trait Backend: fmt::Debug + Send + Sync {
    /// The settings that the store was created with: all versions in it are hashes of this kind.
    fn settings(&self) -> Settings;

    /// Classifies the records of a feature that has upstreams, in one pass and over one snapshot.
    ///
    /// What should be there is made of the records that the upstreams have: `rename`, filters, lineage
    /// and joins as the definition says. Each record that should be there or is gets the first class
    /// that fits:
    /// - *orphaned*: it is there and should not be;
    /// - *blocked* or, if it is not there, *waiting*: what it would be made of is outdated, or a
    ///   required upstream has no data version for it;
    /// - *new*: it is not there;
    /// - *stale*: a field is missing, or was made of something else than it would be today;
    /// - *unchanged*.
    ///
    /// The answer has orphaned, blocked, new and stale records in the layout of [`crate::increment`];
    /// of an expansion these are parents, each with a try of its own, random and not negative. An
    /// upstream without a table is empty, and so is the feature itself.
    ///
    /// `foreign` are upstreams, and upstreams of these, whose records are in other stores, with those
    /// records and definitions: they take the place of tables that are not here. They are begun one after
    /// the other, each when the one before has been read: another store may have few connections.
    fn resolve(
        &self,
        feature: FeatureContext,
        options: ResolveOptions,
        foreign: Vec<(FeatureKey, ExportFuture)>,
    ) -> BoxFuture<'_, Result<Resolved>>;

    /// What is to be done in these features, which are in topological order, if they are computed one
    /// after the other.
    ///
    /// `now` is what a resolve says. For `then`, each upstream that is planned is taken to have been
    /// computed: its new and stale records, as its own `then` has them, are as [`write`](Self::write)
    /// would append them, with the expected provenance as the data version of all fields that are new
    /// or stale, and with the columns that they had, or NULL. Of an expansion nothing is computed, since
    /// nobody knows how many children there will be; orphans stay. Of a root, records that another
    /// definition wrote are stale with the reason `code`, and their data versions differ afterwards.
    ///
    /// Changes nothing, and needs no right to.
    fn plan(&self, features: Vec<FeatureContext>) -> BoxFuture<'_, Result<Vec<Planned>>>;

    /// Those of some features that have a table here, in the same order. A table without rows counts: it
    /// hides what a fallback has.
    fn stored(&self, features: Vec<FeatureKey>) -> BoxFuture<'_, Result<Vec<FeatureKey>>>;

    /// The rows of a feature, in any order: ids, columns and system columns, by their names; of an
    /// expansion the try as well, so that a child that is amended stays in it.
    ///
    /// Filters, versions and tombstones are tests of the latest row of a record. With `as_of` rows and
    /// seals of later times do not exist. With `history` every row is tested by itself, and seals decide
    /// nothing. It is an error if there is no table.
    fn read(
        &self,
        feature: FeatureContext,
        options: ReadOptions,
    ) -> BoxFuture<'_, Result<BatchStream>>;

    /// The number of rows that [`read`](Self::read) gives; no row leaves the engine.
    fn count(&self, feature: FeatureContext, options: ReadOptions) -> BoxFuture<'_, Result<u64>>;

    /// The statement that [`resolve`](Self::resolve) runs, for people to read and to run: over the tables
    /// that are there. Nothing where there is no table to ask, or no SQL.
    fn resolve_sql(
        &self,
        feature: FeatureContext,
        options: ResolveOptions,
    ) -> BoxFuture<'_, Result<Option<String>>>;

    /// Begins a write: nothing is there before its first commit, not even a table.
    fn write(
        &self,
        feature: FeatureContext,
        layout: Layout,
        options: WriteOptions,
    ) -> BoxFuture<'_, Result<Box<dyn WriteSession>>>;

    /// Compares samples, in the layout of a write, with the records of a root and appends what
    /// differs: new records, and stale ones, of which a field has another provenance, another data
    /// version where one is given, or another code version. Records that complete samples lack are
    /// orphaned, their input is gone; a tombstone is appended for each if that is asked for.
    ///
    /// It gives the counts from before, and what it did. Samples with one id twice are refused.
    fn sync(
        &self,
        feature: FeatureContext,
        layout: Layout,
        samples: BatchStream,
        options: SyncOptions,
    ) -> BoxFuture<'_, Result<(Counts, Written)>>;

    /// Deletes records, and on request what is computed from them; one line per feature, the first
    /// of them the feature's own, the others only if something was deleted there. Records that are not
    /// there are left alone. All features are changed in one transaction.
    ///
    /// - Soft: a tombstone for each record, a copy of its row that keeps its try. Of parents a tombstone of
    ///   the seal; where that is implied, of each child.
    /// - Hard: all rows of the records, of all times and tries; of parents their seals too, and the children
    ///   of former tries. Of single children the seal in force is appended again with fewer children.
    ///   For each record that had rows the MD5 of its ids is kept
    ///   ([`system::REMOVED`](metaxy_sql::system::REMOVED)), and its failures are forgotten.
    /// - With `cascade`, features downstream follow, each after all that it is computed from: the records that
    ///   are orphaned then and were not before, their input gone or excluded.
    fn delete(
        &self,
        feature: FeatureContext,
        which: Delete,
        options: DeleteOptions,
    ) -> BoxFuture<'_, Result<Vec<Deleted>>>;

    /// Brings back deleted records as they were; those that are not deleted are left alone.
    ///
    /// For each record that is meant and whose latest row is a tombstone, that row is appended again
    /// without the mark; a filter is one over tombstones. Of parents it is their seal, where that is a
    /// tombstone, or all deleted children of an implied one. Orphans are not deleted: none of them is
    /// brought back.
    fn undelete(
        &self,
        feature: FeatureContext,
        which: Delete,
        options: WriteOptions,
    ) -> BoxFuture<'_, Result<Written>>;

    /// Removes superseded rows; gives their number. Nothing that is read or resolved changes, but for
    /// times past.
    ///
    /// Of an expansion it is seals that are superseded, and counted with the rows of tries that no seal
    /// names any more. An implied seal goes with its rows.
    fn vacuum(&self, feature: FeatureContext, options: VacuumOptions)
    -> BoxFuture<'_, Result<u64>>;

    /// Gives rows of former definitions today's, where the output is the same: unchanged records that
    /// another version wrote, and stale ones that are accepted.
    ///
    /// Their rows are appended again with today's versions, today's expected provenance for today's
    /// fields, and the data versions that they have (where none: the provenance); all else is as it was,
    /// the time of creation and the run too. Of an expansion it is the existing children, in the try that
    /// they have, and the seal, unless it is implied. The definition is recorded as by a write, and a
    /// rebase that appended something is noted.
    fn rebase(
        &self,
        feature: FeatureContext,
        options: RebaseOptions,
    ) -> BoxFuture<'_, Result<Written>>;

    /// What is noted of the rebases of a feature, the latest last.
    fn rebases(&self, feature: FeatureContext) -> BoxFuture<'_, Result<Vec<Rebased>>>;

    /// Keeps failures, all with the time of now. A later write of the record, or of the seal of the parent,
    /// clears them, and so does a hard deletion.
    fn fail(
        &self,
        feature: FeatureContext,
        failures: Vec<Failure>,
        options: WriteOptions,
    ) -> BoxFuture<'_, Result<()>>;

    /// The failures that were not cleared, the latest last; none if there is nowhere to keep them.
    fn failures(&self, feature: FeatureContext) -> BoxFuture<'_, Result<Vec<Failure>>>;

    /// Keeps how long so many records took to compute, with the time of now.
    fn measure(
        &self,
        feature: FeatureContext,
        records: u64,
        took: Duration,
        options: WriteOptions,
    ) -> BoxFuture<'_, Result<()>>;

    /// The latest durations of some features, the latest first; none if there is nowhere to keep them.
    fn measured(&self, features: Vec<FeatureKey>) -> BoxFuture<'_, Result<Vec<Measured>>>;

    /// Everything that is stored of a feature: rows and seals of all times as they are. It is an error
    /// if there is no table; one without rows has one batch without rows, which tells its columns.
    ///
    /// Every child that an exported seal promises is among the rows.
    fn export(&self, feature: FeatureContext) -> BoxFuture<'_, Result<Export>>;

    /// Appends the rows and seals of another store as they are, with their times and tokens, and records
    /// the definitions that wrote them; gives the number of rows and seals that were appended.
    ///
    /// What is here already is left out: a row, or a seal, with the same ids, times of update and
    /// deletion, write token, feature version and try. Definitions with other id columns are refused.
    /// Failures, removed records and notes of rebases stay where they are.
    fn import(&self, feature: FeatureContext, from: Export) -> BoxFuture<'_, Result<u64>>;

    /// Rows of the table of pushes, in any order; none if there is no table.
    fn pushed(&self, which: PushedRows) -> BoxFuture<'_, Result<Vec<PushedRow>>>;

    /// Appends a push and gives its time, which is the clock's but later than anything in the table; or
    /// gives `None` and changes nothing, if anything is there that is later than
    /// [`after`](PushRequest::after): pushes take turns, with each other and with writes to the features.
    ///
    /// Definitions are recorded even if there is no row to append. One that was recorded with other id
    /// columns, for a feature that has no table, is forgotten: no row relies on it. With a table the push
    /// is refused ([`Error::OtherIds`]).
    ///
    /// Where processes cannot take turns (ClickHouse), two pushes at once may both be appended, each as a
    /// whole.
    fn push(&self, push: PushRequest) -> BoxFuture<'_, Result<Option<i64>>>;

    /// The rows of a file, or of a table or view that is not ours, with samples of a root, with the
    /// columns that it has: texts and versions as they are written there. An engine that cannot read
    /// such a thing says so.
    fn read_samples(
        &self,
        feature: FeatureContext,
        from: SampleSource,
    ) -> BoxFuture<'_, Result<BatchStream>>;
}

/// Where samples are that the engine reads itself.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SampleSource {
    /// In a file: Parquet, CSV or JSON.
    File(std::path::PathBuf),
    /// In a table or view of the database.
    Table(String),
}

/// Rows on their way into a store. What is not committed when it is dropped was never there.
pub trait WriteSession: Send {
    /// Takes rows in the layout of the write.
    fn stage(&mut self, rows: RecordBatch) -> BoxFuture<'_, Result<()>>;

    /// Takes seals, of an expansion: the ids of parents `id0..` in the order of
    /// [`FeatureContext::parent_ids`], `try` and `children` (Int64), and per field the provenance
    /// `p0..`.
    fn seal(&mut self, parents: RecordBatch) -> BoxFuture<'_, Result<()>>;

    /// [`Backend::fail`] for the feature of the write, which needs no other connection than the write has.
    fn fail(&mut self, failures: Vec<Failure>) -> BoxFuture<'_, Result<()>>;

    /// [`Backend::measure`] likewise.
    fn measure(&mut self, records: u64, took: Duration) -> BoxFuture<'_, Result<()>>;

    /// Appends all staged rows and seals at once, with one time and token, and begins anew; what is
    /// refused stays staged, and nothing of it is there.
    ///
    /// The table is made if it is missing, with a column for each of the layout. A record that is staged
    /// twice is refused, and so is a parent that is sealed twice. A field has the data version that is
    /// given; without one, that of the record that is there, if its provenance is the same (and in a root
    /// its definition not outdated); else its provenance. The failures of the records, of an expansion
    /// those of the parents that are sealed, are forgotten.
    ///
    /// If the write is named ([`WriteOptions::token`]), the number of its n-th commit is made of the name
    /// and n, and a commit whose number is in the table writes nothing; one with seals, if it is in theirs.
    fn commit(&mut self) -> BoxFuture<'_, Result<Written>>;
}
