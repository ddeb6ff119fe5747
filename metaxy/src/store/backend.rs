//! [`Backend`]: what an engine does for a [`Store`](super::Store).
//!
//! Requests name a feature within its graph and say what is wanted; how that becomes SQL, or
//! anything else, is the engine's affair. Answers are Arrow batches in the layouts that are
//! described here, the same for every engine.

use crate::error::Result;
use crate::graph::FeatureGraph;
use crate::increment::Counts;
use crate::key::FeatureKey;
use crate::spec::{ColumnSpec, FeatureDefinition};
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

    /// The keys of its fields in by-field columns, in the order of the definition.
    #[must_use]
    pub fn field_names(&self) -> Vec<String> {
        self.definition().spec.fields.iter().map(|f| f.wire_key().struct_key()).collect()
    }
}

/// What the staged batches of a write hold: ids `id0..`, other columns `c0..`, and per field the
/// provenance `p0..` and the data version `d0..`, as text; the latter NULL where none is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The id columns.
    pub ids: Vec<ColumnSpec>,
    /// The other columns.
    pub columns: Vec<ColumnSpec>,
    /// The keys of the fields in by-field columns.
    pub fields: Vec<String>,
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReadOptions {
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
    /// The tombstones that were appended.
    pub deleted: u64,
    /// The time that all of them carry, in microseconds since 1970-01-01 UTC; `None` if there are none.
    pub time: Option<i64>,
}

/// Which records [`Backend::delete`] marks as deleted.
#[derive(Debug)]
#[non_exhaustive]
pub enum Delete {
    /// Those with these ids: batches of columns `id0..`.
    Ids(Vec<RecordBatch>),
    /// Those that a resolve finds orphaned.
    Orphans {
        /// Also those of which no upstream has a trace: they may not have been computed yet.
        missing: bool,
    },
}

/// An engine that keeps records.
///
/// It is given everything that it needs with each request and keeps no graph of its own.
pub trait Backend: fmt::Debug + Send + Sync {
    /// The settings that the store was created with.
    fn settings(&self) -> Settings;

    /// Classifies the records of a feature that has upstreams, in one pass.
    fn resolve(&self, feature: FeatureContext, rows: bool) -> BoxFuture<'_, Result<Resolved>>;

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

    /// Marks records as deleted; those that are already are left alone.
    fn delete(
        &self,
        feature: FeatureContext,
        which: Delete,
        options: WriteOptions,
    ) -> BoxFuture<'_, Result<Written>>;

    /// The rows of a file with samples of a root, with the columns that it has: texts and versions
    /// as they are written there.
    fn read_file(
        &self,
        feature: FeatureContext,
        path: std::path::PathBuf,
    ) -> BoxFuture<'_, Result<BatchStream>>;
}

/// Rows on their way into a store. What is not committed when it is dropped was never there.
pub trait WriteSession: Send {
    /// Takes rows in the layout of the write.
    fn stage(&mut self, rows: RecordBatch) -> BoxFuture<'_, Result<()>>;

    /// Appends all staged rows at once, with one time, and begins anew.
    fn commit(&mut self) -> BoxFuture<'_, Result<Written>>;
}
