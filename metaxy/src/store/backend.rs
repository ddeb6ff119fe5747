//! [`Backend`]: what an engine does for a [`Store`](super::Store).
//!
//! Requests name a feature within its graph and say what is wanted; how that becomes SQL, or
//! anything else, is the engine's affair. Answers are Arrow batches in the layouts that are
//! described here, the same for every engine.

use crate::error::Result;
use crate::graph::FeatureGraph;
use crate::increment::{Counts, Reason};
use crate::key::FeatureKey;
use crate::spec::{ColumnSpec, FeatureDefinition, FeatureDep, Lineage};
use crate::store::Settings;
use crate::version::{FeatureVersions, GraphVersions};
use arrow::array::RecordBatch;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use metaxy_sql::plan::Hash;
use std::fmt;
use std::sync::Arc;

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
    /// When the graph does not have it.
    pub fn new(graph: &FeatureGraph, key: &FeatureKey, hash: Hash) -> Result<Self> {
        graph.expect(key)?;
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

/// How a root is brought up to date.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SyncOptions {
    /// Whether records that the samples lack are orphaned.
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

/// An engine that keeps records.
///
/// It is given everything that it needs with each request and keeps no graph of its own.
pub trait Backend: fmt::Debug + Send + Sync {
    /// The settings that the store was created with.
    fn settings(&self) -> Settings;

    /// Classifies the records of a feature that has upstreams, in one pass.
    ///
    /// `foreign` are upstreams whose records are in other stores, with those records: they take the
    /// place of tables that are not here.
    fn resolve(
        &self,
        feature: FeatureContext,
        options: ResolveOptions,
        foreign: Vec<(FeatureKey, Export)>,
    ) -> BoxFuture<'_, Result<Resolved>>;

    /// Those of some features that have a table here.
    fn stored(&self, features: Vec<FeatureKey>) -> BoxFuture<'_, Result<Vec<FeatureKey>>> {
        drop((features,));
        unbuilt("stored")
    }

    /// The rows of a feature: ids, columns and system columns, by their names.
    fn read(
        &self,
        feature: FeatureContext,
        options: ReadOptions,
    ) -> BoxFuture<'_, Result<BatchStream>>;

    /// Begins a write.
    fn write(
        &self,
        feature: FeatureContext,
        layout: Layout,
        options: WriteOptions,
    ) -> BoxFuture<'_, Result<Box<dyn WriteSession>>>;

    /// Compares samples, in the layout of a write, with the records of a root and appends what
    /// differs.
    fn sync(
        &self,
        feature: FeatureContext,
        layout: Layout,
        samples: BatchStream,
        options: SyncOptions,
    ) -> BoxFuture<'_, Result<(Counts, Written)>>;

    /// Deletes records, and on request what is computed from them; one line per feature, the first
    /// of them the feature's own. Records that are not there are left alone.
    fn delete(
        &self,
        feature: FeatureContext,
        which: Delete,
        options: DeleteOptions,
    ) -> BoxFuture<'_, Result<Vec<Deleted>>>;

    /// Brings back deleted records as they were; those that are not deleted are left alone.
    fn undelete(
        &self,
        feature: FeatureContext,
        which: Delete,
        options: WriteOptions,
    ) -> BoxFuture<'_, Result<Written>> {
        drop((feature, which, options));
        unbuilt("undelete")
    }

    /// Removes superseded rows; gives their number.
    fn vacuum(
        &self,
        feature: FeatureContext,
        options: VacuumOptions,
    ) -> BoxFuture<'_, Result<u64>> {
        drop((feature, options));
        unbuilt("vacuum")
    }

    /// Gives rows of former definitions today's, where the output is the same.
    fn rebase(
        &self,
        feature: FeatureContext,
        options: RebaseOptions,
    ) -> BoxFuture<'_, Result<Written>> {
        drop((feature, options));
        unbuilt("rebase")
    }

    /// What is noted of the rebases of a feature, the latest last.
    fn rebases(&self, feature: FeatureContext) -> BoxFuture<'_, Result<Vec<Rebased>>> {
        drop((feature,));
        unbuilt("rebases")
    }

    /// Keeps failures. A later write of the record clears them.
    fn fail(
        &self,
        feature: FeatureContext,
        failures: Vec<Failure>,
        options: WriteOptions,
    ) -> BoxFuture<'_, Result<()>> {
        drop((feature, failures, options));
        unbuilt("fail")
    }

    /// The failures that were not cleared, the latest last.
    fn failures(&self, feature: FeatureContext) -> BoxFuture<'_, Result<Vec<Failure>>> {
        drop((feature,));
        unbuilt("failures")
    }

    /// Everything that is stored of a feature.
    fn export(&self, feature: FeatureContext) -> BoxFuture<'_, Result<Export>> {
        drop((feature,));
        unbuilt("export")
    }

    /// Appends the rows of another store as they are, but for those that are here already; gives the
    /// number of rows and seals that were appended.
    fn import(&self, feature: FeatureContext, from: Export) -> BoxFuture<'_, Result<u64>> {
        drop((feature, from));
        unbuilt("import")
    }

    /// The rows of a file, or of a table or view that is not ours, with samples of a root, with the
    /// columns that it has: texts and versions as they are written there.
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
    fn seal(&mut self, parents: RecordBatch) -> BoxFuture<'_, Result<()>> {
        drop(parents);
        unbuilt("seal")
    }

    /// Appends all staged rows at once, with one time, and begins anew.
    fn commit(&mut self) -> BoxFuture<'_, Result<Written>>;
}

/// Until every engine has it.
fn unbuilt<'a, T: Send + 'a>(what: &'static str) -> BoxFuture<'a, Result<T>> {
    use futures::FutureExt;
    async move { Err(crate::error::Error::internal(format!("`{what}` is not built"))) }.boxed()
}
