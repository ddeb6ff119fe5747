//! [`Sync`]: brings a root up to date with samples.
//!
//! Samples are staged in the store and compared there (H17): what is stored never leaves it.

use crate::data_version::DataVersion;
use crate::error::{Error, Result};
use crate::feature::Feature;
use crate::increment::{AnyFeature, Counts, Origin};
use crate::key::FeatureKey;
use crate::store::Store;
use crate::store::backend::{
    BatchStream, FeatureContext, Layout, SampleSource, SyncOptions, WriteOptions, Written,
};
use crate::store::stage::{Stager, Types, WriteError, as_texts, layout, write_error};
use crate::store::writer::{check_versions, staged, typed_layout};
use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::{Field, Schema};
use futures::StreamExt;
use futures::future::BoxFuture;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// The records of a root as they should be.
#[derive(Debug)]
pub struct Samples<F = AnyFeature> {
    kind: Kind<F>,
    /// Columns that have another name in the feature, `(there, here)`.
    renamed: Vec<(String, String)>,
    /// Where the versions of fields come from, if not from a column of the field's name.
    versions: Vec<(String, VersionFrom)>,
}

#[derive(Debug)]
enum Kind<F> {
    Records(Vec<F>),
    Batches(Vec<RecordBatch>),
    Stream(Stream),
    File(PathBuf),
    Table(String),
}

/// Batches that are still on their way.
struct Stream(BatchStream);

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stream")
    }
}

#[derive(Debug)]
enum VersionFrom {
    Column(String),
    Constant,
}

impl<F> From<Kind<F>> for Samples<F> {
    fn from(kind: Kind<F>) -> Self {
        Self { kind, renamed: Vec::new(), versions: Vec::new() }
    }
}

impl<F> Samples<F> {
    /// The rows of a file that the engine can read: Parquet, CSV or JSON.
    ///
    /// It has the columns of the feature, and for each field a column of its name with the version.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Kind::File(path.into()).into()
    }

    /// Rows as they come from somewhere else, which may know fewer types than columns have: values are
    /// converted, as those of a [`file`](Self::file) are, if nothing of them is lost. A time without a
    /// zone is one of UTC, and a number is never taken for a time.
    pub fn stream(batches: BatchStream) -> Self {
        Kind::Stream(Stream(batches)).into()
    }

    /// The rows of a table or view of the same database that Metaxy does not know: `raw_videos`,
    /// `schema.raw_videos`.
    ///
    /// It has the columns of the feature, and for each field a column of its name with the version;
    /// [`rename`](Self::rename), [`version`](Self::version) and [`constant`](Self::constant) say where
    /// it differs.
    pub fn table(name: impl Into<String>) -> Self {
        Kind::Table(name.into()).into()
    }

    /// The column `here` of the feature is called `there` in the samples.
    #[must_use]
    pub fn rename(mut self, there: impl Into<String>, here: impl Into<String>) -> Self {
        self.renamed.push((there.into(), here.into()));
        self
    }

    /// The version of a field is in a column that has another name than the field: a time of change,
    /// a checksum.
    #[must_use]
    pub fn version(mut self, field: impl Into<String>, column: impl Into<String>) -> Self {
        self.versions.push((field.into(), VersionFrom::Column(column.into())));
        self
    }

    /// A field has no version that could change: it is there, as
    /// [`DataVersion::constant`](crate::DataVersion::constant) says.
    #[must_use]
    pub fn constant(mut self, field: impl Into<String>) -> Self {
        self.versions.push((field.into(), VersionFrom::Constant));
        self
    }
}

/// Batches of samples under the names of the feature.
fn named(
    feature: &FeatureContext,
    renamed: &[(String, String)],
    versions: &[(String, VersionFrom)],
    batch: &RecordBatch,
) -> Result<RecordBatch> {
    if renamed.is_empty() && versions.is_empty() {
        return Ok(batch.clone());
    }
    let fields = feature.field_names();
    let declared = feature.definition().columns.as_ref();
    let schema = batch.schema();
    let find = |name: &String| {
        batch.column_by_name(name).ok_or_else(|| {
            let expected = schema.fields().iter().map(|field| field.name().clone()).collect();
            let (unknown, missing) = (Vec::new(), vec![name.clone()]);
            write_error(feature, WriteError::Columns { unknown, missing, expected })
        })
    };
    for (there, _) in renamed {
        find(there)?;
    }
    let mut columns: Vec<(String, ArrayRef)> = Vec::new();
    for (field, from) in versions {
        if !fields.contains(field) {
            let (feature, field) = (feature.key().clone(), field.clone());
            return Err(Error::UnknownField { feature, field, nearest: None });
        }
        let version: ArrayRef = match from {
            VersionFrom::Column(column) => Arc::new(as_texts(find(column)?)?),
            VersionFrom::Constant => {
                let constant = DataVersion::constant();
                let text = constant.as_str().unwrap_or_default();
                Arc::new(StringArray::from(vec![text; batch.num_rows()]))
            }
        };
        columns.push((field.clone(), version));
    }
    for (field, array) in schema.fields().iter().zip(batch.columns()) {
        let there = field.name();
        let here = renamed.iter().find(|(name, _)| name == there).map_or(there, |(_, here)| here);
        let is_version = |(_, from): &(String, VersionFrom)| matches!(from, VersionFrom::Column(c) if c == there);
        let is_column = declared.is_none_or(|all| all.iter().any(|column| column.name == *here));
        // A version of another name is no column, unless the feature has one of that name.
        if versions.iter().any(is_version) && !is_column || columns.iter().any(|(c, _)| c == here) {
            continue;
        }
        columns.push((here.clone(), Arc::clone(array)));
    }
    let (fields, arrays): (Vec<Field>, Vec<ArrayRef>) = columns
        .into_iter()
        .map(|(name, array)| (Field::new(name, array.data_type().clone(), true), array))
        .unzip();
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?)
}

impl<F: Feature> From<Vec<F>> for Samples<F> {
    fn from(records: Vec<F>) -> Self {
        Kind::Records(records).into()
    }
}

impl<F> From<Vec<RecordBatch>> for Samples<F> {
    fn from(batches: Vec<RecordBatch>) -> Self {
        Kind::Batches(batches).into()
    }
}

impl<F> From<RecordBatch> for Samples<F> {
    fn from(batch: RecordBatch) -> Self {
        Kind::Batches(vec![batch]).into()
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

    /// The samples are some of the records: those that they lack are not compared, and no more than their ids is
    /// read. They are nobody's orphans, and are counted nowhere.
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
        self.options.write.check()?;
        let (counts, written) =
            self.store.backend.sync(feature, layout, staged, self.options).await?;
        tracing::debug!(%counts, "synced");
        Ok(SyncReport { counts, written })
    }

    /// Runs over rows that are not records of this program.
    async fn run_untyped(mut self) -> Result<SyncReport> {
        let feature = self.root()?;
        let kind = std::mem::replace(&mut self.samples.kind, Kind::Batches(Vec::new()));
        let (mut batches, types): (BatchStream, Types) = match kind {
            Kind::File(path) => (
                self.store.backend.read_samples(feature.clone(), SampleSource::File(path)).await?,
                Types::Converted,
            ),
            Kind::Table(name) => (
                self.store.backend.read_samples(feature.clone(), SampleSource::Table(name)).await?,
                Types::Converted,
            ),
            Kind::Stream(Stream(batches)) => (batches, Types::Converted),
            Kind::Batches(batches) => {
                (futures::stream::iter(batches.into_iter().map(Ok)).boxed(), Types::Exact)
            }
            Kind::Records(_) => return Err(Error::internal("typed samples without a type")),
        };
        let Samples { renamed, versions, .. } =
            std::mem::replace(&mut self.samples, Kind::Batches(Vec::new()).into());
        let of = feature.clone();
        batches = batches.map(move |batch| named(&of, &renamed, &versions, &batch?)).boxed();
        let Some(first) = batches.next().await.transpose()? else {
            let layout = layout(&feature, &Schema::empty())?;
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
        let kind = std::mem::replace(&mut self.samples.kind, Kind::Batches(Vec::new()));
        let records = match kind {
            Kind::Records(records) => records,
            other => {
                self.samples.kind = other;
                return self.run_untyped().await;
            }
        };
        let feature = self.root()?;
        let layout = typed_layout::<F>(&feature)?;
        let origin = Arc::new(Origin::of_root());
        for (row, record) in records.iter().enumerate() {
            check_versions(&feature, &layout, record, &origin, row)?;
        }
        let origins = vec![origin; records.len()];
        let batch = staged(&feature, &layout, &records, &origins)?;
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
