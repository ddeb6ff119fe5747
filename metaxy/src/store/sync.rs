//! [`Sync`]: brings a root up to date with samples.
//!
//! Samples are staged in the store and compared there (H17): what is stored never leaves it.

use crate::error::{Error, Result};
use crate::feature::Feature;
use crate::increment::{AnyFeature, Counts, Outcome};
use crate::key::FeatureKey;
use crate::store::Store;
use crate::store::backend::{
    BatchStream, FeatureContext, Layout, SampleSource, SyncOptions, WriteOptions, Written,
};
use crate::store::stage::{Stager, Types, layout};
use crate::store::writer::{check_versions, staged, typed_layout};
use arrow::array::RecordBatch;
use futures::StreamExt;
use futures::future::BoxFuture;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// The records of a root as they should be.
#[derive(Debug)]
pub struct Samples<F = AnyFeature>(Kind<F>);

#[derive(Debug)]
enum Kind<F> {
    Records(Vec<F>),
    Batches(Vec<RecordBatch>),
    File(PathBuf),
}

impl<F> Samples<F> {
    /// The rows of a file that the engine can read: Parquet, CSV or JSON.
    ///
    /// It has the columns of the feature, and for each field a column of its name with the version.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self(Kind::File(path.into()))
    }
}

impl<F: Feature> From<Vec<F>> for Samples<F> {
    fn from(records: Vec<F>) -> Self {
        Self(Kind::Records(records))
    }
}

impl<F> From<Vec<RecordBatch>> for Samples<F> {
    fn from(batches: Vec<RecordBatch>) -> Self {
        Self(Kind::Batches(batches))
    }
}

impl<F> From<RecordBatch> for Samples<F> {
    fn from(batch: RecordBatch) -> Self {
        Self(Kind::Batches(vec![batch]))
    }
}

/// What a [`Sync`] found and did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SyncReport {
    /// The number of records of each class, before anything was written.
    pub counts: Counts,
    /// What was written.
    pub written: Written,
}

impl fmt::Display for SyncReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}; {} written, {} deleted",
            self.counts, self.written.rows, self.written.deleted
        )?;
        if self.written.repeated {
            f.write_str("; it was written before")?;
        }
        Ok(())
    }
}

/// A sync that has not begun; `.await` it.
#[must_use = "a sync begins with `.await`"]
#[derive(Debug)]
pub struct Sync<F = AnyFeature> {
    store: Store,
    key: FeatureKey,
    samples: Samples<F>,
    options: SyncOptions,
}

impl<F> Sync<F> {
    pub(crate) fn new(store: Store, key: FeatureKey, samples: Samples<F>) -> Self {
        let options = SyncOptions {
            complete: true,
            delete_orphans: false,
            dry_run: false,
            write: WriteOptions::default(),
        };
        Self { store, key, samples, options }
    }

    /// The samples are some of the records: those that they lack are left alone and are nobody's
    /// orphans.
    pub fn partial(mut self, partial: bool) -> Self {
        self.options.complete = !partial;
        self
    }

    /// Whether records that the samples lack are marked as deleted. By default they are counted.
    pub fn delete_orphans(mut self, delete: bool) -> Self {
        self.options.delete_orphans = delete;
        self
    }

    /// Whether to count only and write nothing.
    pub fn dry_run(mut self, dry_run: bool) -> Self {
        self.options.dry_run = dry_run;
        self
    }

    /// A name for the run, kept with every row.
    pub fn materialization_id(mut self, id: impl Into<String>) -> Self {
        self.options.write.materialization_id = Some(id.into());
        self
    }

    /// A name for this sync: one that has been written under it before writes nothing, so that it can
    /// be called again after a crash. A name that is not used for anything else.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.options.write.token = Some(token.into());
        self
    }

    fn root(&self) -> Result<FeatureContext> {
        let feature = self.store.feature(&self.key)?;
        if !feature.is_root() {
            return Err(Error::WrongKind {
                feature: self.key.clone(),
                problem: "is computed from upstreams and has no samples",
                fix: "`store.resolve_update()` finds what to compute",
            });
        }
        Ok(feature)
    }

    /// Runs over staged batches.
    #[tracing::instrument(skip_all, fields(feature = %self.key))]
    async fn run(
        self,
        feature: FeatureContext,
        layout: Layout,
        staged: BatchStream,
    ) -> Result<SyncReport> {
        let (counts, written) =
            self.store.backend.sync(feature, layout, staged, self.options).await?;
        tracing::debug!(%counts, "synced");
        Ok(SyncReport { counts, written })
    }

    /// Runs over rows that are not records of this program.
    async fn run_untyped(mut self) -> Result<SyncReport> {
        let feature = self.root()?;
        let kind = std::mem::replace(&mut self.samples.0, Kind::Batches(Vec::new()));
        let (mut batches, types): (BatchStream, Types) = match kind {
            Kind::File(path) => (
                self.store.backend.read_samples(feature.clone(), SampleSource::File(path)).await?,
                Types::Converted,
            ),
            Kind::Batches(batches) => {
                (futures::stream::iter(batches.into_iter().map(Ok)).boxed(), Types::Exact)
            }
            Kind::Records(_) => return Err(Error::internal("typed samples without a type")),
        };
        let Some(first) = batches.next().await.transpose()? else {
            let layout = layout(&feature, &arrow::datatypes::Schema::empty())?;
            return self.run(feature, layout, crate::increment::no_batches()).await;
        };
        let layout = layout(&feature, &first.schema())?;
        let all = futures::stream::iter([Ok(first)]).chain(batches);
        let (owner, plan) = (feature.clone(), layout.clone());
        let staged = all
            .map(move |batch| {
                let stager = Stager { feature: &owner, layout: &plan, types };
                stager.stage(&batch?)
            })
            .boxed();
        self.run(feature, layout, staged).await
    }
}

impl<F: Feature> Sync<F> {
    async fn run_typed(mut self) -> Result<SyncReport> {
        let records = match self.samples.0 {
            Kind::Records(records) => records,
            other => {
                self.samples = Samples(other);
                return self.run_untyped().await;
            }
        };
        self.samples = Samples(Kind::Batches(Vec::new()));
        let feature = self.root()?;
        let layout = typed_layout::<F>(&feature)?;
        let mut rows = Vec::with_capacity(records.len());
        let mut origins = Vec::with_capacity(records.len());
        for (row, record) in records.into_iter().enumerate() {
            let outcome = Outcome::of_root(&feature, record, row)?;
            if let Outcome::Record { record, origin } = outcome {
                check_versions(&feature, &layout, &record, &origin, row)?;
                rows.push(record);
                origins.push(Arc::new(origin));
            }
        }
        let batch = staged(&feature, &layout, &rows, &origins)?;
        self.run(feature, layout, futures::stream::iter([Ok(batch)]).boxed()).await
    }
}

impl<F: Feature> IntoFuture for Sync<F> {
    type Output = Result<SyncReport>;
    type IntoFuture = BoxFuture<'static, Result<SyncReport>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run_typed())
    }
}

impl IntoFuture for Sync<AnyFeature> {
    type Output = Result<SyncReport>;
    type IntoFuture = BoxFuture<'static, Result<SyncReport>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run_untyped())
    }
}
