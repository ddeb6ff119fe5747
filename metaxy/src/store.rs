//! [`Store`]: a graph over a database. Opening one, writing, reading, resolving.
//!
//! `Store` is one type for all engines. What it does is the same everywhere and lives here and in
//! the modules below: checking rows, typed rows to batches and back, reports. How it is done in a
//! database lives behind [`Backend`].

pub mod backend;
mod buffered;
#[cfg(feature = "clickhouse")]
mod clickhouse;
mod copy;
mod delete;
#[cfg(feature = "duckdb")]
mod duckdb;
mod fallback;
mod filters;
pub(crate) mod hashing;
pub mod memory;
pub(crate) mod open;
#[cfg(feature = "postgres")]
mod postgres;
mod provenance;
mod read;
mod rebase;
#[cfg(feature = "sql")]
pub(crate) mod sql;
pub(crate) mod stage;
mod sync;
mod update;
mod writer;

pub use backend::{
    Backend, BatchStream, Delete, Deleted, Failed, Failure, Measured, ReadOptions, Rebased,
    WriteOptions, Written,
};
pub use buffered::{Buffered, BufferedWriter};
pub use copy::{Copied, Copy};
// No part of the interface: our benchmark runs statements of its own, which need the same functions.
#[cfg(feature = "duckdb")]
#[doc(hidden)]
pub use self::duckdb::register_duckdb_functions;
pub use delete::{DeleteOrphans, DeleteReport, Deletion, Undeletion, Vacuum, VacuumReport};
#[cfg(feature = "cli")]
pub(crate) use open::without_secrets;
pub use open::{Compat, OpenStore, Settings};
pub use read::Read;
pub use rebase::Rebase;
pub use stage::WriteError;
pub use sync::{Samples, Sync, SyncReport};
pub use update::Update;
pub use writer::{BatchWriter, Committed, Item, Writer};

use crate::error::{Error, Result};
use crate::feature::Feature;
use crate::graph::FeatureGraph;
use crate::increment::{AnyFeature, Counts, Increment};
use crate::key::FeatureKey;
use backend::FeatureContext;
use std::fmt;
use std::sync::Arc;

/// A graph of features over a database that keeps their records.
///
/// A clone is cheap and shares the connection; a store can be used from many tasks at once.
#[derive(Clone)]
pub struct Store {
    pub(crate) backend: Arc<dyn Backend>,
    graph: FeatureGraph,
    fallbacks: Arc<[Store]>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("backend", &self.backend).field("graph", &self.graph).finish()
    }
}

impl Store {
    /// Begins to open a store: `duckdb:path/to/file.duckdb`, `duckdb::memory:` (both with settings of
    /// DuckDB, if any are wanted: `?memory_limit=4GB&threads=2&temp_directory=/scratch`),
    /// `postgres://user@host/database`, `clickhouse://user:password@host:8123/database` (`?secure=true`
    /// encrypts, other parameters are settings that come with each query), or, without any database,
    /// `memory:` ([`memory`]).
    ///
    /// ```no_run
    /// # use metaxy::{FeatureGraph, Store};
    /// # async fn f() -> metaxy::Result<()> {
    /// let store =
    ///     Store::open("duckdb:meta.duckdb").graph(FeatureGraph::linked()?).create_tables(true).await?;
    /// # Ok(()) }
    /// ```
    pub fn open(url: impl Into<String>) -> OpenStore {
        OpenStore::new(url.into())
    }

    /// Begins to open a store over a pool of connections to Postgres, which are given back to it as
    /// they were.
    ///
    /// A call takes a connection for as long as it runs, and a stream for as long as it is read.
    #[cfg(feature = "postgres")]
    pub fn from_pool(pool: sqlx::postgres::PgPool) -> OpenStore {
        OpenStore::of_pool(pool)
    }

    /// Begins to open a store in the database of a ClickHouse client; settings of the client come with
    /// each query, below those that the store relies on.
    #[cfg(feature = "clickhouse")]
    pub fn from_client(client: ::clickhouse::Client) -> OpenStore {
        OpenStore::of_client(client)
    }

    /// A store over an engine of one's own.
    #[must_use]
    pub fn with_backend(backend: Arc<dyn Backend>, graph: FeatureGraph) -> Self {
        Self { backend, graph, fallbacks: Arc::new([]) }
    }

    /// The same store, which reads another one for features that have no table here, after those that it has
    /// already: [`OpenStore::fallback`] for a store that is open.
    ///
    /// # Errors
    /// When the two do not hash alike.
    pub fn with_fallback(&self, store: Self) -> Result<Self> {
        fallback::check_settings(self.settings(), store.settings())?;
        let fallbacks = self.fallbacks.iter().cloned().chain([store]).collect();
        Ok(Self { fallbacks, ..self.clone() })
    }

    /// The graph.
    #[must_use]
    pub fn graph(&self) -> &FeatureGraph {
        &self.graph
    }

    /// The same database under another graph: another definition of the same features, for instance.
    #[must_use]
    pub fn with_graph(&self, graph: FeatureGraph) -> Self {
        Self { graph, ..self.clone() }
    }

    /// The settings that the store was created with.
    #[must_use]
    pub fn settings(&self) -> Settings {
        self.backend.settings()
    }

    pub(crate) fn backend(&self) -> &dyn Backend {
        &*self.backend
    }

    pub(crate) fn feature(&self, key: &FeatureKey) -> Result<FeatureContext> {
        FeatureContext::new(&self.graph, key, self.backend.settings().hash())
    }

    /// Finds which records of a feature are new, stale, orphaned or blocked, and because of which
    /// fields: in the store, in one pass. [`update`](Self::update) is the same with options.
    ///
    /// # Errors
    /// When `F` has no upstream ([`sync`](Self::sync) compares those), or the store fails.
    pub async fn resolve_update<F: Feature>(&self) -> Result<Increment<F>> {
        self.update::<F>().await
    }

    /// [`resolve_update`](Self::resolve_update) for a feature that is named by its key.
    ///
    /// # Errors
    /// As [`resolve_update`](Self::resolve_update), and when the graph does not have the feature.
    pub async fn resolve_update_of(&self, key: &FeatureKey) -> Result<Increment<AnyFeature>> {
        self.update_of(key).await
    }

    /// The number of records of each class; no record leaves the store.
    ///
    /// # Errors
    /// As [`resolve_update_of`](Self::resolve_update_of).
    pub async fn count_update_of(&self, key: &FeatureKey) -> Result<Counts> {
        self.update_of(key).counts().await
    }

    /// The number of records of each class; no record leaves the store.
    ///
    /// # Errors
    /// As [`resolve_update`](Self::resolve_update).
    pub async fn count_update<F: Feature>(&self) -> Result<Counts> {
        self.update::<F>().counts().await
    }

    /// A resolve with options: filters, shards, limits, what is done about failures.
    ///
    /// ```no_run
    /// # use metaxy::prelude::*;
    /// # use metaxy::increment::Increment;
    /// # async fn f<FaceDetection: Feature>(store: &Store) -> metaxy::Result<()> {
    /// let increment: Increment<FaceDetection> =
    ///     store.update::<FaceDetection>().shard(0, 8).order_by("path").limit(1_000).await?;
    /// # Ok(()) }
    /// ```
    pub fn update<F: Feature>(&self) -> Update<F> {
        Update::new(self.clone(), F::key())
    }

    /// [`update`](Self::update) for a feature that is named by its key.
    pub fn update_of(&self, key: &FeatureKey) -> Update<AnyFeature> {
        Update::new(self.clone(), key.clone())
    }

    /// The records that could not be computed, the latest last; a record that is written later is none
    /// of them any more.
    ///
    /// # Errors
    /// When the graph does not have the feature, or the store fails.
    pub async fn failures<F: Feature>(&self) -> Result<Vec<Failure>> {
        self.failures_of(&F::key()).await
    }

    /// [`failures`](Self::failures) for a feature that is named by its key.
    ///
    /// # Errors
    /// As [`failures`](Self::failures).
    pub async fn failures_of(&self, key: &FeatureKey) -> Result<Vec<Failure>> {
        self.backend.failures(self.feature(key)?).await
    }

    /// A writer that many small producers share: it commits by number of rows or by time.
    ///
    /// ```no_run
    /// # use metaxy::{FeatureKey, prelude::*};
    /// # async fn f(store: &Store, batch: metaxy::arrow::array::RecordBatch) -> metaxy::Result<()> {
    /// let key = FeatureKey::new("example/video")?;
    /// let writer = store.buffered_writer(&key).rows(10_000).await?;
    /// let producer = writer.clone();
    /// producer.push(batch).await?;
    /// println!("{}", writer.close().await?);
    /// # Ok(()) }
    /// ```
    pub fn buffered_writer(&self, key: &FeatureKey) -> Buffered {
        Buffered::new(self.clone(), key.clone())
    }

    /// Says what rows are computed from that the caller joined himself, and not `resolve_update`.
    ///
    /// For each upstream `a/b` they have a column `metaxy_data_version_by_field__a_b` (a map or a
    /// struct of texts); those are taken away and `metaxy_provenance_by_field`, `metaxy_provenance`,
    /// `metaxy_data_version_by_field` and `metaxy_data_version` are added, so that a
    /// [`batch_writer`](Self::batch_writer) takes the rows. An optional upstream may be NULL.
    ///
    /// # Errors
    /// When the feature has no upstream, a column is missing, or a row lacks what it is computed from.
    pub fn compute_provenance(
        &self,
        key: &FeatureKey,
        rows: &arrow::array::RecordBatch,
    ) -> Result<arrow::array::RecordBatch> {
        provenance::compute(&self.with_upstreams(key)?, rows)
    }

    /// Copies the records of features into another store, with all of their history.
    pub fn copy_to(&self, other: &Self) -> Copy {
        Copy::new(self.clone(), other.clone())
    }

    /// Those of some features that have a table in this store itself, in the same order.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn stored(&self, features: Vec<FeatureKey>) -> Result<Vec<FeatureKey>> {
        self.backend.stored(features).await
    }

    fn with_upstreams(&self, key: &FeatureKey) -> Result<FeatureContext> {
        let feature = self.feature(key)?;
        if feature.is_root() {
            return Err(Error::WrongKind {
                feature: key.clone(),
                problem: "has no upstream that it could be compared with",
                fix: "`store.sync(samples)` compares samples with what is stored",
            });
        }
        Ok(feature)
    }

    /// Reads the records of a feature.
    pub fn read<F: Feature>(&self) -> Read<F> {
        Read::new(self.clone(), F::key())
    }

    /// Reads the records of a feature that is named by its key, as batches.
    pub fn read_of(&self, key: &FeatureKey) -> Read<AnyFeature> {
        Read::new(self.clone(), key.clone())
    }

    /// Compares samples of a root with what is stored, and appends what differs.
    ///
    /// The samples are the records as they should be, all of them unless
    /// [`partial`](Sync::partial) says otherwise.
    pub fn sync<F: Feature>(&self, samples: impl Into<Samples<F>>) -> Sync<F> {
        Sync::new(self.clone(), F::key(), samples.into())
    }

    /// [`sync`](Self::sync) for a root that is named by its key.
    pub fn sync_of(&self, key: &FeatureKey, samples: impl Into<Samples>) -> Sync {
        Sync::new(self.clone(), key.clone(), samples.into())
    }

    /// Writes records of a feature: for a feature with upstreams, the outcomes of its jobs.
    pub fn writer<F: Feature>(&self) -> Writer<F> {
        Writer::new(self.clone(), F::key())
    }

    /// Writes batches to a feature that is named by its key: rows of an increment with columns
    /// added, or for a root rows with versions.
    pub fn batch_writer(&self, key: &FeatureKey) -> BatchWriter {
        BatchWriter::new(self.clone(), key.clone())
    }
}
