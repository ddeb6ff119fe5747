//! [`Deletion`], [`DeleteOrphans`], [`Undeletion`], [`Vacuum`]: records and rows that go away, and
//! that come back.
//!
//! A soft deletion, the default, appends a mark and keeps the history; a hard one removes every row
//! that the record ever had and leaves a line that says that it was there, so that what was computed
//! from it is known to be orphaned.

use crate::awaited::awaited;
use crate::error::{Error, Result};
use crate::feature::Feature;
use crate::key::FeatureKey;
use crate::spec::ColumnSpec;
use crate::store::backend::{
    Delete, DeleteOptions, Deleted, FeatureContext, VacuumOptions, WriteOptions, Written,
};
use crate::store::stage::{Stager, Types, layout};
use crate::store::{Store, writer};
use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What a deletion did: a line per feature.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeleteReport {
    /// The feature that was named, then those downstream in which something was deleted, each after
    /// what it is computed from.
    pub features: Vec<Deleted>,
}

impl DeleteReport {
    /// The number of records of the feature that was named that are not there any more.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.features.first().map_or(0, |deleted| deleted.records)
    }

    /// The number of records that are not there any more, in all features.
    #[must_use]
    pub fn all_records(&self) -> u64 {
        self.features.iter().map(|deleted| deleted.records).sum()
    }

    /// The number of rows that a hard deletion removed, in all features.
    #[must_use]
    pub fn rows_removed(&self) -> u64 {
        self.features.iter().map(|deleted| deleted.rows_removed).sum()
    }

    /// The line of a feature, if there is one.
    #[must_use]
    pub fn of(&self, key: &FeatureKey) -> Option<&Deleted> {
        self.features.iter().find(|deleted| deleted.feature == *key)
    }
}

impl fmt::Display for DeleteReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, deleted) in self.features.iter().enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            write!(f, "{deleted}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Deleted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} deleted", self.feature, counted(self.records, "record"))?;
        if self.rows_removed > 0 {
            write!(f, ", {} removed", counted(self.rows_removed, "row"))?;
        }
        Ok(())
    }
}

fn counted(n: u64, what: &str) -> String {
    let plural = if n == 1 { "" } else { "s" };
    format!("{n} {what}{plural}")
}

/// What names records, before it is known what the feature looks like.
#[derive(Debug)]
enum Named {
    /// Batches with ids, or what was wrong with the records that they were made of.
    Ids(Result<Vec<RecordBatch>>),
    Filter(String),
}

impl Named {
    fn records<F: Feature>(store: &Store, records: &[F]) -> Self {
        let batch = || {
            let feature = store.feature(&F::key())?;
            let ids = writer::typed_layout::<F>(&feature)?.ids;
            let field = |id: &ColumnSpec| Field::new(&id.name, id.ty.to_arrow(), true);
            let schema = Schema::new(ids.iter().map(field).collect::<Vec<_>>());
            let mut arrays = F::encode(records);
            arrays.truncate(ids.len());
            Ok(vec![RecordBatch::try_new(Arc::new(schema), arrays)?])
        };
        Self::Ids(batch())
    }

    /// As engines take it.
    fn staged(self, feature: &FeatureContext) -> Result<Delete> {
        match self {
            Self::Filter(filter) => Ok(Delete::Filter(filter)),
            Self::Ids(batches) => Ok(Delete::Ids(staged_ids(feature, &batches?)?)),
        }
    }
}

/// Batches of ids, in the layout of a deletion: those of records or, if no batch has others, those of
/// the parents of an expansion.
fn staged_ids(feature: &FeatureContext, batches: &[RecordBatch]) -> Result<Vec<RecordBatch>> {
    let Some(first) = batches.first() else { return Ok(Vec::new()) };
    let ids = &feature.definition().spec.id_columns;
    let schema = first.schema();
    let has = |id: &String| schema.column_with_name(id).is_some();
    let parents: Vec<&String> = feature.parent_ids().into_iter().map(|i| &ids[i]).collect();
    let are_parents = feature.is_expansion()
        && parents.iter().all(|id| has(id))
        && !ids.iter().any(|id| has(id) && !parents.contains(&id));
    let mut layout = if are_parents {
        layout_of_parents(feature, &schema, &parents)?
    } else {
        layout(feature, &schema)?
    };
    layout.parents = None;
    let stager = Stager { feature, layout: &layout, types: Types::Exact };
    batches.iter().map(|batch| stager.stage_ids(batch)).collect()
}

/// The layout of a batch that has the ids of parents, and lacks the others.
fn layout_of_parents(
    feature: &FeatureContext,
    schema: &Schema,
    parents: &[&String],
) -> Result<crate::store::backend::Layout> {
    let column = |id: &&String| {
        let declared = feature.definition().columns.iter().flatten().find(|c| c.name == **id);
        let field = schema.field_with_name(id)?;
        let found = || metaxy_sql::ColumnType::from_arrow(field.data_type());
        let ty = declared
            .map(|column| column.ty)
            .or_else(found)
            .ok_or_else(|| Error::internal(format!("no id is a {}", field.data_type())))?;
        Ok(ColumnSpec { name: (*id).clone(), ty, nullable: false })
    };
    Ok(crate::store::backend::Layout {
        ids: parents.iter().map(column).collect::<Result<_>>()?,
        columns: Vec::new(),
        fields: Vec::new(),
        parents: None,
    })
}

/// Refuses a cascade that would not see all that is downstream as it is.
async fn check_cascade(store: &Store, key: &FeatureKey, options: &DeleteOptions) -> Result<()> {
    if !options.cascade {
        return Ok(());
    }
    let downstream = store.graph().all_downstreams(key);
    let keys: Vec<FeatureKey> = downstream.iter().map(|d| d.spec.key.clone()).collect();
    store.needs_upstreams_here(&keys, "a cascade").await
}

/// A deletion of records that has not begun; `.await` it.
#[must_use = "records are deleted by `.await`"]
#[derive(Debug)]
pub struct Deletion {
    store: Store,
    key: FeatureKey,
    named: Named,
    options: DeleteOptions,
}

/// The options that all deletions have.
macro_rules! options {
    ($($options:ident).+) => {
        /// Whether every row that the records ever had is removed, and not only marked.
        ///
        /// That cannot be undone. What stays is a line that says that there was a record, so that
        /// what was computed from it is orphaned because it is `gone`; a group all of whose members
        /// were removed is `missing`.
        pub fn hard(mut self, hard: bool) -> Self {
            self.$($options).+.hard = hard;
            self
        }

        /// Whether what is computed from the records, near and far, is deleted as well: whatever
        /// this deletion orphans, and nothing else.
        pub fn cascade(mut self, cascade: bool) -> Self {
            self.$($options).+.cascade = cascade;
            self
        }

        /// Whether to count only and change nothing.
        pub fn dry_run(mut self, dry_run: bool) -> Self {
            self.$($options).+.dry_run = dry_run;
            self
        }

        /// A name for the run, kept with every mark.
        pub fn materialization_id(mut self, id: impl Into<String>) -> Self {
            self.$($options).+.write.materialization_id = Some(id.into());
            self
        }
    };
}

impl Deletion {
    fn new(store: Store, key: FeatureKey, named: Named) -> Self {
        Self { store, key, named, options: DeleteOptions::default() }
    }

    options!(options);

    /// Whether a record is meant if any row that it ever had is: also one that is deleted already.
    /// With [`hard`](Self::hard) nothing of it stays.
    pub fn history(mut self, history: bool) -> Self {
        self.options.history = history;
        self
    }

    #[tracing::instrument(skip_all, fields(feature = %self.key))]
    async fn run(self) -> Result<DeleteReport> {
        let feature = self.store.feature(&self.key)?;
        let which = self.named.staged(&feature)?;
        check_cascade(&self.store, &self.key, &self.options).await?;
        self.options.write.check()?;
        let features = self.store.backend.delete(feature, which, self.options).await?;
        Ok(DeleteReport { features })
    }
}

awaited!(Deletion => DeleteReport);

/// A deletion of orphans that has not begun; `.await` it.
#[must_use = "orphans are deleted by `.await`"]
#[derive(Debug)]
pub struct DeleteOrphans {
    store: Store,
    key: FeatureKey,
    missing: bool,
    options: DeleteOptions,
}

impl DeleteOrphans {
    fn new(store: Store, key: FeatureKey) -> Self {
        Self { store, key, missing: false, options: DeleteOptions::default() }
    }

    /// Whether to delete those too of which an upstream has no trace: it may not have been computed
    /// yet.
    pub fn missing(mut self, missing: bool) -> Self {
        self.missing = missing;
        self
    }

    options!(options);

    #[tracing::instrument(skip_all, fields(feature = %self.key))]
    async fn run(self) -> Result<DeleteReport> {
        let feature = self.store.with_upstreams(&self.key)?;
        let which = Delete::Orphans { missing: self.missing };
        self.store
            .needs_upstreams_here(std::slice::from_ref(&self.key), "deleting orphans")
            .await?;
        check_cascade(&self.store, &self.key, &self.options).await?;
        self.options.write.check()?;
        let features = self.store.backend.delete(feature, which, self.options).await?;
        Ok(DeleteReport { features })
    }
}

awaited!(DeleteOrphans => DeleteReport);

/// Deleted records that are to come back; `.await` it.
#[must_use = "records are brought back by `.await`"]
#[derive(Debug)]
pub struct Undeletion {
    store: Store,
    key: FeatureKey,
    named: Named,
    options: WriteOptions,
}

impl Undeletion {
    fn new(store: Store, key: FeatureKey, named: Named) -> Self {
        Self { store, key, named, options: WriteOptions::default() }
    }

    /// A name for the run, kept with every row.
    pub fn materialization_id(mut self, id: impl Into<String>) -> Self {
        self.options.materialization_id = Some(id.into());
        self
    }

    #[tracing::instrument(skip_all, fields(feature = %self.key))]
    async fn run(self) -> Result<Written> {
        let feature = self.store.feature(&self.key)?;
        let which = self.named.staged(&feature)?;
        self.options.check()?;
        self.store.backend.undelete(feature, which, self.options).await
    }
}

awaited!(Undeletion => Written);

/// What a vacuum did, or would do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct VacuumReport {
    /// The feature.
    pub feature: FeatureKey,
    /// The rows that were removed; of an expansion, rows and seals.
    pub rows_removed: u64,
    /// Whether they are still there.
    pub dry_run: bool,
}

impl fmt::Display for VacuumReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let would = if self.dry_run { "would be " } else { "" };
        write!(f, "{}: {} {would}removed", self.feature, counted(self.rows_removed, "row"))
    }
}

/// A vacuum that has not begun; `.await` it.
#[must_use = "a vacuum begins with `.await`"]
#[derive(Clone, Debug)]
pub struct Vacuum {
    store: Store,
    key: FeatureKey,
    options: VacuumOptions,
}

impl Vacuum {
    fn new(store: Store, key: FeatureKey) -> Self {
        Self { store, key, options: VacuumOptions { keep: 1, before: None, dry_run: false } }
    }

    /// How many rows of each record stay, its latest ones; at least, and by default, 1. Of an
    /// expansion, how many tries of each parent.
    pub fn keep(mut self, keep: u64) -> Self {
        self.options.keep = keep.max(1);
        self
    }

    /// Only rows that were written before this time, in microseconds since 1970-01-01 UTC.
    pub fn before(mut self, micros: i64) -> Self {
        self.options.before = Some(micros);
        self
    }

    /// Only rows that were written longer ago than this, by the clock of this machine.
    pub fn older_than(self, age: Duration) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let before = now.saturating_sub(age).as_micros();
        self.before(i64::try_from(before).unwrap_or(i64::MAX))
    }

    /// Whether to count only and remove nothing. A vacuum can be cloned: first once like this, then
    /// in earnest.
    pub fn dry_run(mut self, dry_run: bool) -> Self {
        self.options.dry_run = dry_run;
        self
    }

    #[tracing::instrument(skip_all, fields(feature = %self.key))]
    async fn run(self) -> Result<VacuumReport> {
        let feature = self.store.feature(&self.key)?;
        let rows_removed = self.store.backend.vacuum(feature, self.options).await?;
        Ok(VacuumReport { feature: self.key, rows_removed, dry_run: self.options.dry_run })
    }
}

awaited!(Vacuum => VacuumReport);

/// Deletions, their undoing, and vacuums.
impl Store {
    /// Marks records as deleted: those with the ids of these.
    ///
    /// A deleted record is neither read nor counted on by downstream features; its history stays,
    /// unless the deletion is [`hard`](Deletion::hard). Records that are not there, or deleted
    /// already, are left alone.
    ///
    /// ```no_run
    /// # use metaxy::{prelude::*, Store};
    /// # async fn f<Video: Feature>(store: &Store, videos: &[Video]) -> metaxy::Result<()> {
    /// let report = store.delete(videos).cascade(true).dry_run(true).await?;
    /// println!("{report}");
    /// # Ok(()) }
    /// ```
    pub fn delete<F: Feature>(&self, records: &[F]) -> Deletion {
        Deletion::new(self.clone(), F::key(), Named::records(self, records))
    }

    /// [`delete`](Self::delete) for a feature that is named by its key: the records with the ids of
    /// these rows. Of an expansion they may be the ids of parents alone; then all of their children
    /// are meant.
    ///
    /// Rows that lack an id column, or a value in one, are an error.
    pub fn delete_of(&self, key: &FeatureKey, ids: &[RecordBatch]) -> Deletion {
        Deletion::new(self.clone(), key.clone(), Named::Ids(Ok(ids.to_vec())))
    }

    /// Marks the records as deleted whose row fulfils a filter over the columns of the feature, and
    /// `metaxy_created_at`, `metaxy_updated_at`, `metaxy_deleted_at`, `metaxy_materialization_id`,
    /// `metaxy_feature_version`, `metaxy_project_version`, `metaxy_provenance` and
    /// `metaxy_data_version`.
    pub fn delete_where<F: Feature>(&self, filter: impl Into<String>) -> Deletion {
        self.delete_where_of(&F::key(), filter)
    }

    /// [`delete_where`](Self::delete_where) for a feature that is named by its key.
    pub fn delete_where_of(&self, key: &FeatureKey, filter: impl Into<String>) -> Deletion {
        Deletion::new(self.clone(), key.clone(), Named::Filter(filter.into()))
    }

    /// Marks the orphaned records of a feature as deleted: those whose upstream record was deleted,
    /// or is left out by a filter.
    ///
    /// Those of which an upstream has no trace stay, unless
    /// [`missing`](DeleteOrphans::missing) is set: it may not have been computed yet.
    pub fn delete_orphans<F: Feature>(&self) -> DeleteOrphans {
        self.delete_orphans_of(&F::key())
    }

    /// [`delete_orphans`](Self::delete_orphans) for a feature that is named by its key.
    pub fn delete_orphans_of(&self, key: &FeatureKey) -> DeleteOrphans {
        DeleteOrphans::new(self.clone(), key.clone())
    }

    /// Brings back deleted records as they were; those that are not deleted are left alone.
    pub fn undelete<F: Feature>(&self, records: &[F]) -> Undeletion {
        Undeletion::new(self.clone(), F::key(), Named::records(self, records))
    }

    /// [`undelete`](Self::undelete) for a feature that is named by its key, as in
    /// [`delete_of`](Self::delete_of). The ids of parents bring back their seal and all children: that is
    /// one seal for a parent that was deleted as a whole.
    pub fn undelete_of(&self, key: &FeatureKey, ids: &[RecordBatch]) -> Undeletion {
        Undeletion::new(self.clone(), key.clone(), Named::Ids(Ok(ids.to_vec())))
    }

    /// Brings back the deleted records whose mark fulfils a filter, as in
    /// [`delete_where`](Self::delete_where).
    pub fn undelete_where<F: Feature>(&self, filter: impl Into<String>) -> Undeletion {
        self.undelete_where_of(&F::key(), filter)
    }

    /// [`undelete_where`](Self::undelete_where) for a feature that is named by its key.
    pub fn undelete_where_of(&self, key: &FeatureKey, filter: impl Into<String>) -> Undeletion {
        Undeletion::new(self.clone(), key.clone(), Named::Filter(filter.into()))
    }

    /// Removes rows that newer ones have superseded. What is read and what is resolved stays the
    /// same; what was, as of a time past, does not.
    ///
    /// ```no_run
    /// # use metaxy::{prelude::*, Store};
    /// # async fn f<Video: Feature>(store: &Store) -> metaxy::Result<()> {
    /// let vacuum = store.vacuum::<Video>().older_than(std::time::Duration::from_secs(30 * 86_400));
    /// println!("{}", vacuum.clone().dry_run(true).await?);
    /// vacuum.await?;
    /// # Ok(()) }
    /// ```
    pub fn vacuum<F: Feature>(&self) -> Vacuum {
        self.vacuum_of(&F::key())
    }

    /// [`vacuum`](Self::vacuum) for a feature that is named by its key.
    pub fn vacuum_of(&self, key: &FeatureKey) -> Vacuum {
        Vacuum::new(self.clone(), key.clone())
    }
}
