//! [`Memory`]: a store in memory, `memory:`, in plain Rust.
//!
//! It needs no database and no cargo feature, which makes it good for unit tests of one's own: every
//! call of a [`Store`](super::Store) works on it but reading files. Two stores that are opened as
//! `memory:` share nothing, and clones of one share everything.
//!
//! ```
//! use metaxy::prelude::*;
//!
//! #[derive(Feature)]
//! #[metaxy(key = "example/page")]
//! struct Page {
//!     #[metaxy(id)]
//!     url: String,
//!     #[metaxy(field)]
//!     text: DataVersion,
//! }
//!
//! # fn main() -> metaxy::Result<()> {
//! let graph = FeatureGraph::of::<Page>()?;
//! let store = metaxy::blocking::wait(Store::open("memory:").graph(graph))?;
//! let page = Page { url: "https://example.org".into(), text: DataVersion::of("Hello") };
//! let report = metaxy::blocking::wait(store.sync(vec![page]))?;
//! assert_eq!(report.counts.new, 1);
//! # Ok(()) }
//! ```
//!
//! It is also the definition of correct, which every other engine is compared with, so it is made to
//! be read: no SQL, nothing fast, and each rule is written once, in the order of its story:
//!
//! 1. the row of a record is its latest, of an expansion among the children of the seal in force; a
//!    tombstone is a row; and a row may be outdated for who reads it (`memory/rows.rs`);
//! 2. rows of upstreams are filtered, grouped and joined, and give the records that should be there,
//!    with their provenance (`memory/expected.rs`);
//! 3. what should be there and what is there give the class of each record, and why
//!    (`memory/compare.rs`);
//! 4. what is written carries one time and keeps the data versions of what did not change
//!    (`memory/writes.rs`, `memory/deletions.rs`, `memory/upkeep.rs`).
//!
//! Not here: what a call may say and what a row may hold, which the store checks for all engines.

mod batches;
mod compare;
mod deletions;
mod expected;
mod filters;
mod hash;
mod planned;
mod pushes;
mod rows;
mod rule;
mod upkeep;
mod value;
mod writes;

#[doc(hidden)]
pub use rule::Rule;

use crate::error::{Error, Result};
use crate::increment::{Counts, no_batches};
use crate::key::FeatureKey;
use crate::store::Settings;
use crate::store::backend::{
    Backend, BatchStream, Delete, DeleteOptions, Deleted, Export, ExportFuture, Failure,
    FeatureContext, Layout, Measured, Planned, PushRequest, PushedRow, PushedRows, ReadOptions,
    RebaseOptions, Rebased, ResolveOptions, Resolved, SampleSource, SyncOptions, VacuumOptions,
    WriteOptions, WriteSession, Written,
};
use crate::store::filters::over_rows;
use arrow::array::RecordBatch;
use batches::Staged;
use futures::future::{BoxFuture, FutureExt};
use futures::stream::{StreamExt, TryStreamExt};
use metaxy_sql::HashAlgorithm;
use rows::{State, View, not_later};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A store in memory; a clone is the same store.
#[derive(Clone)]
pub struct Memory {
    settings: Settings,
    without: Option<Rule>,
    state: Arc<Mutex<State>>,
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Memory {
    /// A store without rows that hashes like this.
    #[must_use]
    pub fn new(hash_algorithm: HashAlgorithm, hash_truncation_length: usize) -> Self {
        Self::with_settings(Settings { hash_algorithm, hash_truncation_length })
    }

    pub(crate) fn with_settings(settings: Settings) -> Self {
        Self { settings, without: None, state: Arc::default() }
    }

    /// The same store without one of the rules that make it correct: for tests of tests.
    #[doc(hidden)]
    #[must_use]
    pub fn without(self, rule: Rule) -> Self {
        Self { without: Some(rule), ..self }
    }

    /// Asks what is there: all of it, as it is between two writes.
    fn ask<T>(
        &self,
        feature: FeatureContext,
        question: impl FnOnce(&View<'_>) -> Result<T>,
    ) -> Result<T> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        question(&View { state: &state, feature, without: self.without })
    }

    /// Changes what is there: whole, or not at all if it fails.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> Result<T>) -> Result<T> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut after = state.clone();
        let answer = change(&mut after)?;
        *state = after;
        Ok(answer)
    }
}

/// An answer that is known already.
fn known<'a, T: Send + 'a>(answer: Result<T>) -> BoxFuture<'a, Result<T>> {
    futures::future::ready(answer).boxed()
}

/// A batch as a stream; nothing if it has no rows.
fn stream(batch: RecordBatch) -> BatchStream {
    if batch.num_rows() == 0 {
        return no_batches();
    }
    futures::stream::iter([Ok(batch)]).boxed()
}

impl Backend for Memory {
    fn settings(&self) -> Settings {
        self.settings
    }

    fn resolve(
        &self,
        feature: FeatureContext,
        options: ResolveOptions,
        foreign: Vec<(FeatureKey, ExportFuture)>,
    ) -> BoxFuture<'_, Result<Resolved>> {
        async move {
            let mut elsewhere = Vec::new();
            for (key, export) in foreign {
                elsewhere.push((feature.of(&key)?, upkeep::collected(export.await?).await?));
            }
            let question = |view: &View<'_>| {
                let answer = view.resolve(&options)?;
                let mut batches = no_batches();
                // Who asks for numbers alone is told as well of a column that is not there.
                if options.rows || !options.order_by.is_empty() {
                    let increment = stream(view.increment(&answer, &options)?);
                    batches = if options.rows { increment } else { batches };
                }
                Ok(Resolved { counts: answer.counts, batches })
            };
            if elsewhere.is_empty() {
                return self.ask(feature, question);
            }
            // Their records stand in a copy, in place of what is here under these keys.
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner).clone();
            for (upstream, export) in elsewhere {
                state.tables.remove(upstream.key());
                upkeep::import(&mut state, &upstream, export)?;
            }
            question(&View { state: &state, feature, without: self.without })
        }
        .boxed()
    }

    fn plan(&self, features: Vec<FeatureContext>) -> BoxFuture<'_, Result<Vec<Planned>>> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        known(planned::plan(&state, features, self.without))
    }

    fn stored(&self, features: Vec<FeatureKey>) -> BoxFuture<'_, Result<Vec<FeatureKey>>> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let stored = features.into_iter().filter(|key| state.tables.contains_key(key));
        known(Ok(stored.collect()))
    }

    fn read(
        &self,
        feature: FeatureContext,
        options: ReadOptions,
    ) -> BoxFuture<'_, Result<BatchStream>> {
        known(self.ask(feature, |view| Ok(stream(read(view, &options)?))))
    }

    fn count(&self, feature: FeatureContext, options: ReadOptions) -> BoxFuture<'_, Result<u64>> {
        known(self.ask(feature, |view| Ok(read(view, &options)?.num_rows() as u64)))
    }

    fn resolve_sql(
        &self,
        _feature: FeatureContext,
        _options: ResolveOptions,
    ) -> BoxFuture<'_, Result<Option<String>>> {
        known(Ok(None))
    }

    fn write(
        &self,
        feature: FeatureContext,
        layout: Layout,
        options: WriteOptions,
    ) -> BoxFuture<'_, Result<Box<dyn WriteSession>>> {
        let (rows, seals) = Default::default();
        let store = self.clone();
        let session = Session { store, feature, layout, options, rows, seals, commits: 0 };
        known(Ok(Box::new(session) as Box<dyn WriteSession>))
    }

    fn sync(
        &self,
        feature: FeatureContext,
        layout: Layout,
        samples: BatchStream,
        options: SyncOptions,
    ) -> BoxFuture<'_, Result<(Counts, Written)>> {
        async move {
            let batches: Vec<RecordBatch> = samples.try_collect().await?;
            self.change(|state| {
                let before = state.clone();
                let view = View { state: &before, feature, without: self.without };
                let mut staged = Vec::new();
                for batch in &batches {
                    staged.extend(view.staged(batch, &layout)?);
                }
                writes::sync(state, &view, &layout, staged, &options)
            })
        }
        .boxed()
    }

    fn delete(
        &self,
        feature: FeatureContext,
        which: Delete,
        options: DeleteOptions,
    ) -> BoxFuture<'_, Result<Vec<Deleted>>> {
        known(self.change(|state| {
            let mut after = state.clone();
            let lines = deletions::delete(&mut after, &feature, self.without, &which, &options)?;
            if !options.dry_run {
                *state = after;
            }
            Ok(lines)
        }))
    }

    fn undelete(
        &self,
        feature: FeatureContext,
        which: Delete,
        options: WriteOptions,
    ) -> BoxFuture<'_, Result<Written>> {
        let without = self.without;
        known(self.change(|state| deletions::undelete(state, &feature, without, &which, &options)))
    }

    fn vacuum(
        &self,
        feature: FeatureContext,
        options: VacuumOptions,
    ) -> BoxFuture<'_, Result<u64>> {
        let without = self.without;
        known(self.change(|state| deletions::vacuum(state, &feature, without, options)))
    }

    fn rebase(
        &self,
        feature: FeatureContext,
        options: RebaseOptions,
    ) -> BoxFuture<'_, Result<Written>> {
        let without = self.without;
        known(self.change(|state| upkeep::rebase(state, &feature, without, &options)))
    }

    fn rebases(&self, feature: FeatureContext) -> BoxFuture<'_, Result<Vec<Rebased>>> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let rebases = state.rebases.iter().filter(|rebase| rebase.feature == *feature.key());
        known(Ok(rebases.cloned().collect()))
    }

    fn fail(
        &self,
        feature: FeatureContext,
        failures: Vec<Failure>,
        options: WriteOptions,
    ) -> BoxFuture<'_, Result<()>> {
        known(self.change(|state| {
            upkeep::fail(state, &feature, failures, &options);
            Ok(())
        }))
    }

    fn failures(&self, feature: FeatureContext) -> BoxFuture<'_, Result<Vec<Failure>>> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut failures = state.failures.get(feature.key()).cloned().unwrap_or_default();
        failures.sort_by_key(|failure| failure.time);
        known(Ok(failures))
    }

    fn measure(
        &self,
        feature: FeatureContext,
        records: u64,
        took: Duration,
        _: WriteOptions,
    ) -> BoxFuture<'_, Result<()>> {
        known(self.change(|state| {
            state.measured.push(Measured {
                feature: feature.key().clone(),
                feature_version: feature.versions().feature_version.clone(),
                records,
                took,
                time: writes::now(),
            });
            Ok(())
        }))
    }

    fn measured(&self, features: Vec<FeatureKey>) -> BoxFuture<'_, Result<Vec<Measured>>> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let all = state.measured.iter().rev();
        known(Ok(all.filter(|one| features.contains(&one.feature)).cloned().collect()))
    }

    fn export(&self, feature: FeatureContext) -> BoxFuture<'_, Result<Export>> {
        known(self.ask(feature, upkeep::export))
    }

    fn import(&self, feature: FeatureContext, from: Export) -> BoxFuture<'_, Result<u64>> {
        async move {
            let from = upkeep::collected(from).await?;
            self.change(|state| upkeep::import(state, &feature, from))
        }
        .boxed()
    }

    fn pushed(&self, which: PushedRows) -> BoxFuture<'_, Result<Vec<PushedRow>>> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        known(Ok(pushes::pushed(&state, &which)))
    }

    fn push(&self, push: PushRequest) -> BoxFuture<'_, Result<Option<i64>>> {
        known(self.change(|state| pushes::push(state, push)))
    }

    fn read_samples(
        &self,
        feature: FeatureContext,
        _from: SampleSource,
    ) -> BoxFuture<'_, Result<BatchStream>> {
        known(Err(Error::WrongKind {
            feature: feature.key().clone(),
            problem: "is in memory, where no file or table can be read",
            fix: "read it, and give `store.sync(..)` records or batches",
        }))
    }
}

/// The rows that a read asks for.
fn read(view: &View<'_>, options: &ReadOptions) -> Result<RecordBatch> {
    view.check_ids()?;
    let Some(table) = view.table() else {
        let (feature, table) = (view.key().clone(), view.key().table_name());
        return Err(Error::NoTable { feature, table });
    };
    let columns = view.columns();
    view.check_columns(columns.keys())?;
    let filters = over_rows(&view.feature, &options.filters, view)?;
    let mut rows: Vec<_> = match options.history {
        true => table.rows.iter().filter(|row| not_later(row, options.as_of)).collect(),
        false => view.standing(options.as_of, true).into_values().collect(),
    };
    let all = view.all_fields();
    rows.retain(|row| {
        (options.tombstones || !row.is_tombstone())
            && (options.other_versions || !view.is_outdated(row, &all))
            && filters::hold_for(&filters, row)
    });
    view.batch_of_rows(&rows, &columns)
}

/// Rows on their way into a store in memory.
struct Session {
    store: Memory,
    feature: FeatureContext,
    layout: Layout,
    options: WriteOptions,
    rows: Vec<Staged>,
    seals: Vec<Staged>,
    /// How often it was committed.
    commits: u64,
}

impl WriteSession for Session {
    fn stage(&mut self, rows: RecordBatch) -> BoxFuture<'_, Result<()>> {
        let staged = self.store.ask(self.feature.clone(), |view| view.staged(&rows, &self.layout));
        known(staged.map(|rows| self.rows.extend(rows)))
    }

    fn seal(&mut self, parents: RecordBatch) -> BoxFuture<'_, Result<()>> {
        let staged =
            self.store.ask(self.feature.clone(), |view| view.staged_seals(&parents, &self.layout));
        known(staged.map(|seals| self.seals.extend(seals)))
    }

    fn fail(&mut self, failures: Vec<Failure>) -> BoxFuture<'_, Result<()>> {
        self.store.fail(self.feature.clone(), failures, self.options.clone())
    }

    fn measure(&mut self, records: u64, took: Duration) -> BoxFuture<'_, Result<()>> {
        self.store.measure(self.feature.clone(), records, took, self.options.clone())
    }

    fn commit(&mut self) -> BoxFuture<'_, Result<Written>> {
        let staged = (&*self.rows, &*self.seals);
        let (layout, options, commit) = (&self.layout, &self.options, self.commits);
        let written = self.store.change(|state| {
            let before = state.clone();
            let (feature, without) = (self.feature.clone(), self.store.without);
            let view = View { state: &before, feature, without };
            writes::commit(state, &view, layout, staged, options, commit)
        });
        // What is refused stays staged.
        if written.is_ok() {
            self.rows.clear();
            self.seals.clear();
            self.commits += 1;
        }
        known(written)
    }
}
