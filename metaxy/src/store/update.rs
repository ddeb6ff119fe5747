//! [`Update`]: a resolve with options: which records are answered, in which order, how many.
//!
//! Options never change what a record is computed from or compared with.

use crate::error::{Error, Result};
use crate::feature::Feature;
use crate::increment::{Counts, Increment};
use crate::key::FeatureKey;
use crate::store::Store;
use crate::store::backend::{Failed, ResolveOptions};
use futures::future::BoxFuture;
use std::marker::PhantomData;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A resolve that has not begun; `.await` it for the increment, or ask for its
/// [`counts`](Self::counts).
///
/// A call that selects records, by filters, a shard or a limit, tells of no orphans.
#[must_use = "a resolve begins with `.await` or `counts`"]
#[derive(Debug)]
pub struct Update<F> {
    store: Store,
    key: FeatureKey,
    options: ResolveOptions,
    of: PhantomData<fn() -> F>,
}

impl<F> Update<F> {
    pub(crate) fn new(store: Store, key: FeatureKey) -> Self {
        Self { store, key, options: ResolveOptions::default(), of: PhantomData }
    }

    /// What is asked for, all at once.
    #[cfg(feature = "cli")]
    pub(crate) fn with(mut self, options: ResolveOptions) -> Self {
        self.options = options;
        self
    }

    /// Only records whose row of an upstream fulfils a condition over the columns that it has here,
    /// `duration > 3 AND path IS NOT NULL`; of a group, one of its rows.
    pub fn filter(mut self, upstream: &FeatureKey, condition: impl Into<String>) -> Self {
        self.options.filters.push((upstream.clone(), condition.into()));
        self
    }

    /// [`filter`](Self::filter) for an upstream that is named by its type.
    pub fn filter_on<U: Feature>(self, condition: impl Into<String>) -> Self {
        self.filter(&U::key(), condition)
    }

    /// Only records whose rows of all upstreams fulfil a condition; each has to have its columns.
    pub fn global_filter(mut self, condition: impl Into<String>) -> Self {
        self.options.global_filters.push(condition.into());
        self
    }

    /// Only records whose stored row fulfils a condition over its columns, system columns included; a
    /// record that is not stored has NULL in all but its ids.
    pub fn target_filter(mut self, condition: impl Into<String>) -> Self {
        self.options.target_filters.push(condition.into());
        self
    }

    /// Records whose stored row fulfils a condition are stale, with the reason
    /// [`Forced`](crate::Reason::Forced): `metaxy_updated_at < '2026-01-01'`.
    pub fn stale_if(mut self, condition: impl Into<String>) -> Self {
        self.options.stale_if.push(condition.into());
        self
    }

    /// Whether all stored records that can be computed are stale, with the reason
    /// [`Forced`](crate::Reason::Forced).
    pub fn skip_comparison(mut self, skip: bool) -> Self {
        self.options.skip_comparison = skip;
        self
    }

    /// The shard `index` of `count`, from 0: each record is in one of them, always the same.
    pub fn shard(mut self, index: u64, count: u64) -> Self {
        self.options.shard = Some((index, count));
        self
    }

    /// The records to compute in the order of a column of the increment, the smallest first, NULL
    /// last; further calls decide ties, then ids do.
    pub fn order_by(mut self, column: impl Into<String>) -> Self {
        self.options.order_by.push((column.into(), false));
        self
    }

    /// [`order_by`](Self::order_by), the largest first; NULL is last here too.
    pub fn order_by_desc(mut self, column: impl Into<String>) -> Self {
        self.options.order_by.push((column.into(), true));
        self
    }

    /// At most so many records to compute, and no others; counts are those of all that are selected.
    pub fn limit(mut self, records: u64) -> Self {
        self.options.limit = Some(records);
        self
    }

    /// What is done about records that have failed with the inputs that they have today.
    pub fn failed(mut self, failed: Failed) -> Self {
        self.options.failed = failed;
        self
    }

    /// Records that have failed are answered if they did so fewer than `attempts` times, the last time
    /// at least so long ago.
    pub fn retry_failed(self, attempts: u64, after: Duration) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let before = now.saturating_sub(after).as_micros();
        let before = i64::try_from(before).unwrap_or(i64::MAX);
        self.failed(Failed::Retry { attempts, before })
    }

    /// The number of records of each class; no record leaves the store.
    ///
    /// # Errors
    /// As for the increment.
    pub async fn counts(mut self) -> Result<Counts> {
        self.options.rows = false;
        Ok(self.run().await?.counts())
    }

    /// The statement that finds the increment in the tables that are there, to be read or run by hand;
    /// nothing if there are none, or if the store has no SQL. Its answer has numbers for classes and
    /// reasons, and the numbers of records of each class first.
    ///
    /// # Errors
    /// As for the increment, and when an upstream is in a fallback: its records come into the statement
    /// from outside.
    pub async fn sql(self) -> Result<Option<String>> {
        let feature = self.store.with_upstreams(&self.key)?;
        self.check()?;
        if let Some((upstream, _)) = self.store.elsewhere(&feature).await?.first() {
            let what = format!("the statement of a resolve where `{upstream}` is in a fallback");
            return Err(Error::NotSupportedYet { feature: self.key, what });
        }
        self.store.backend.resolve_sql(feature, self.options).await
    }

    fn check(&self) -> Result<()> {
        match self.options.shard {
            Some((index, count)) if index >= count => Err(Error::Setting {
                setting: "a shard",
                value: format!("number {index} of {count}"),
                problem: "shards are counted from 0, and there is at least one",
            }),
            _ => Ok(()),
        }
    }

    #[tracing::instrument(name = "resolve", skip_all, fields(feature = %self.key))]
    async fn run(self) -> Result<Increment<F>> {
        let feature = self.store.with_upstreams(&self.key)?;
        self.check()?;
        let foreign = self.store.foreign(&feature).await?;
        let resolved = self.store.backend.resolve(feature.clone(), self.options, foreign).await?;
        tracing::debug!(counts = %resolved.counts, "resolved");
        Ok(Increment::new(feature, resolved))
    }
}

impl<F: 'static> IntoFuture for Update<F> {
    type Output = Result<Increment<F>>;
    type IntoFuture = BoxFuture<'static, Result<Increment<F>>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}
