//! [`Read`]: the records of a feature, as batches or as structs.

use crate::error::Result;
use crate::feature::Feature;
use crate::key::FeatureKey;
use crate::store::Store;
use crate::store::backend::{BatchStream, ReadOptions};
use futures::stream::{BoxStream, StreamExt, TryStreamExt};
use std::marker::PhantomData;

/// A read that has not begun: [`batches`](Self::batches), [`rows`](Self::rows) or
/// [`count`](Self::count) begin it.
///
/// By default it gives the latest row of each record that is not deleted, if today's definition
/// agrees with the one that wrote it on all fields: nothing outdated is ever read.
///
/// A feature that has no table in the store is read from the first
/// [fallback](crate::store::OpenStore::fallback) that has one; a table here, even an empty one, hides
/// all that is there.
#[derive(Debug)]
#[must_use = "a read begins with `batches`, `rows`, `stream` or `count`"]
pub struct Read<F> {
    store: Store,
    key: FeatureKey,
    options: ReadOptions,
    of: PhantomData<fn() -> F>,
}

impl<F> Read<F> {
    pub(crate) fn new(store: Store, key: FeatureKey) -> Self {
        Self { store, key, options: ReadOptions::default(), of: PhantomData }
    }

    /// Only rows that fulfil a condition over the columns of the feature, system columns included:
    /// `duration > 3 AND path LIKE '/videos/%'`. With several, all of them.
    pub fn filter(mut self, condition: impl Into<String>) -> Self {
        self.options.filters.push(condition.into());
        self
    }

    /// All rows that a record ever had, and not only its latest.
    pub fn history(mut self, history: bool) -> Self {
        self.options.history = history;
        self
    }

    /// Also rows that another definition of the feature wrote.
    pub fn other_versions(mut self, other_versions: bool) -> Self {
        self.options.other_versions = other_versions;
        self
    }

    /// Also the marks of records that were deleted: rows with a `metaxy_deleted_at`.
    pub fn tombstones(mut self, tombstones: bool) -> Self {
        self.options.tombstones = tombstones;
        self
    }

    /// The records as they were at a time, in microseconds since 1970-01-01 UTC: what was written
    /// later is left out.
    pub fn as_of(mut self, micros: i64) -> Self {
        self.options.as_of = Some(micros);
        self
    }

    /// The records as Arrow batches: ids, columns and system columns, by name.
    ///
    /// # Errors
    /// When the feature has no table, or the store fails.
    #[tracing::instrument(skip_all, fields(feature = %self.key))]
    pub async fn batches(self) -> Result<BatchStream> {
        let feature = self.store.feature(&self.key)?;
        self.holder().await?.backend.read(feature, self.options.clone()).await
    }

    /// The number of records; none of them leaves the store.
    ///
    /// # Errors
    /// As [`batches`](Self::batches).
    #[tracing::instrument(skip_all, fields(feature = %self.key))]
    pub async fn count(self) -> Result<u64> {
        let feature = self.store.feature(&self.key)?;
        self.holder().await?.backend.count(feature, self.options.clone()).await
    }

    /// The store that has the table.
    async fn holder(&self) -> Result<&Store> {
        let fallback = match self.store.fallbacks.is_empty() {
            true => None,
            false => self.store.holder(&self.key).await?,
        };
        Ok(fallback.unwrap_or(&self.store))
    }
}

impl<F: Feature> Read<F> {
    /// The records as structs, one after the other.
    ///
    /// # Errors
    /// As [`batches`](Self::batches); a value that does not fit its member is an error of the
    /// stream.
    pub async fn stream(self) -> Result<BoxStream<'static, Result<F>>> {
        let batches = self.batches().await?;
        let rows = batches
            .and_then(|batch| futures::future::ready(F::decode(&batch).map_err(Into::into)))
            .map_ok(|rows| futures::stream::iter(rows.into_iter().map(Ok)))
            .try_flatten();
        Ok(rows.boxed())
    }

    /// The records as structs, all at once.
    ///
    /// # Errors
    /// As [`batches`](Self::batches), or when a value does not fit its member.
    pub async fn rows(self) -> Result<Vec<F>> {
        self.stream().await?.try_collect().await
    }
}
