//! [`Store`]: a graph over a database. Opening one, writing, reading, resolving.
//!
//! `Store` is one type for all engines. What it does is the same everywhere and lives here and in
//! the modules below: checking rows, typed rows to batches and back, reports. How it is done in a
//! database lives behind [`Backend`].

pub mod backend;
mod delete;
#[cfg(feature = "duckdb")]
mod duckdb;
pub(crate) mod hashing;
pub mod memory;
mod open;
#[cfg(feature = "duckdb")]
mod plan;
mod read;
mod rebase;
#[cfg(feature = "duckdb")]
mod rows;
pub(crate) mod stage;
mod sync;
mod writer;

pub use backend::{
    Backend, BatchStream, Delete, Deleted, ReadOptions, Rebased, WriteOptions, Written,
};
pub use delete::{DeleteOrphans, DeleteReport, Deletion, Undeletion, Vacuum, VacuumReport};
pub use open::{Compat, OpenStore, Settings};
pub use read::Read;
pub use rebase::Rebase;
pub use stage::WriteError;
pub use sync::{Samples, Sync, SyncReport};
pub use writer::{BatchWriter, Committed, Item, Writer};

use crate::error::{Error, Result};
use crate::feature::Feature;
use crate::graph::FeatureGraph;
use crate::increment::{AnyFeature, Counts, Increment};
use crate::key::FeatureKey;
use backend::{FeatureContext, ResolveOptions};
use std::fmt;
use std::sync::Arc;

/// A graph of features over a database that keeps their records.
///
/// A clone is cheap and shares the connection; a store can be used from many tasks at once.
#[derive(Clone)]
pub struct Store {
    backend: Arc<dyn Backend>,
    graph: FeatureGraph,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("backend", &self.backend).field("graph", &self.graph).finish()
    }
}

impl Store {
    /// Begins to open a store: `duckdb:path/to/file.duckdb`, `duckdb::memory:`, or, without any
    /// database, `memory:` ([`memory`]).
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

    /// A store over an engine of one's own.
    #[must_use]
    pub fn with_backend(backend: Arc<dyn Backend>, graph: FeatureGraph) -> Self {
        Self { backend, graph }
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

    pub(crate) fn feature(&self, key: &FeatureKey) -> Result<FeatureContext> {
        FeatureContext::new(&self.graph, key, self.backend.settings().hash())
    }

    /// Finds which records of a feature are new, stale, orphaned or blocked, and because of which
    /// fields: in the store, in one pass.
    ///
    /// # Errors
    /// When `F` has no upstream ([`sync`](Self::sync) compares those), or the store fails.
    pub async fn resolve_update<F: Feature>(&self) -> Result<Increment<F>> {
        self.resolve(&F::key()).await
    }

    /// [`resolve_update`](Self::resolve_update) for a feature that is named by its key.
    ///
    /// # Errors
    /// As [`resolve_update`](Self::resolve_update), and when the graph does not have the feature.
    pub async fn resolve_update_of(&self, key: &FeatureKey) -> Result<Increment<AnyFeature>> {
        self.resolve(key).await
    }

    #[tracing::instrument(skip_all, fields(feature = %key))]
    async fn resolve<F>(&self, key: &FeatureKey) -> Result<Increment<F>> {
        let feature = self.with_upstreams(key)?;
        let options = ResolveOptions::default();
        let resolved = self.backend.resolve(feature.clone(), options, Vec::new()).await?;
        tracing::debug!(counts = %resolved.counts, "resolved");
        Ok(Increment::new(feature, resolved))
    }

    /// The number of records of each class; no record leaves the store.
    ///
    /// # Errors
    /// As [`resolve_update_of`](Self::resolve_update_of).
    #[tracing::instrument(skip_all, fields(feature = %key))]
    pub async fn count_update_of(&self, key: &FeatureKey) -> Result<Counts> {
        let feature = self.with_upstreams(key)?;
        let options = ResolveOptions { rows: false, ..ResolveOptions::default() };
        Ok(self.backend.resolve(feature, options, Vec::new()).await?.counts)
    }

    /// The number of records of each class; no record leaves the store.
    ///
    /// # Errors
    /// As [`resolve_update`](Self::resolve_update).
    pub async fn count_update<F: Feature>(&self) -> Result<Counts> {
        self.count_update_of(&F::key()).await
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
