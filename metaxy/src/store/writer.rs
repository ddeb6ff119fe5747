//! [`Writer`] and [`BatchWriter`]: records on their way into the store.
//!
//! Both stage what they are given and append it with [`commit`](Writer::commit): all rows at once
//! and with one time. What is not committed was never there.

use crate::column::IdValue;
use crate::error::Result;
use crate::feature::Feature;
use crate::increment::{Done, Outcome};
use crate::key::FeatureKey;
use crate::spec::{ColumnSpec, FeatureDefinition};
use crate::store::Store;
use crate::store::backend::{FeatureContext, Layout, WriteOptions, WriteSession, Written};
use crate::store::stage::{Stager, Types, WriteError, layout, staged_schema, write_error};
use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::Schema;
use std::fmt;
use std::sync::Arc;

/// The rows that a typed writer turns into one batch.
const ROWS_PER_BATCH: usize = 8_192;

/// What a writer did since it was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Committed {
    /// The records that were written.
    pub rows: u64,
    /// The commits.
    pub commits: u64,
    /// The records that could not be computed, `ids: error`; they come again with the next increment.
    pub failed: Vec<String>,
    /// The time that the last commit gave its rows, in microseconds since 1970-01-01 UTC.
    pub time: Option<i64>,
}

impl Committed {
    fn add(&mut self, written: Written) {
        if written.rows > 0 {
            self.rows += written.rows;
            self.commits += 1;
            self.time = written.time;
        }
    }
}

impl fmt::Display for Committed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} written", self.rows)?;
        if !self.failed.is_empty() {
            write!(f, ", {} failed", self.failed.len())?;
        }
        Ok(())
    }
}

/// What a [`Writer`] takes: the outcome of a job, or, for a root, a record.
#[derive(Debug)]
pub struct Item<F>(Source<F>);

#[derive(Debug)]
enum Source<F> {
    Done(Outcome<F>),
    Record(F),
}

impl<F: Feature> From<Done<F>> for Item<F> {
    fn from(done: Done<F>) -> Self {
        Self(Source::Done(done.0))
    }
}

impl<F: Feature> From<F> for Item<F> {
    fn from(record: F) -> Self {
        Self(Source::Record(record))
    }
}

/// Writes records of a feature, from structs.
///
/// For a feature with upstreams it takes what jobs gave ([`Job::done`](crate::Job::done)), so that
/// what a record was computed from is never lost on the way; for a root it takes records.
pub struct Writer<F> {
    store: Store,
    key: FeatureKey,
    options: WriteOptions,
    commit_every: Option<usize>,
    open: Option<Open>,
    records: Vec<F>,
    provenances: Vec<Vec<String>>,
    uncommitted: usize,
    committed: Committed,
}

/// A write that has begun.
struct Open {
    feature: FeatureContext,
    layout: Layout,
    session: Box<dyn WriteSession>,
}

impl<F> fmt::Debug for Writer<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer")
            .field("feature", &self.key)
            .field("uncommitted", &self.uncommitted)
            .field("committed", &self.committed)
            .finish_non_exhaustive()
    }
}

impl<F: Feature> Writer<F> {
    pub(crate) fn new(store: Store, key: FeatureKey) -> Self {
        Self {
            store,
            key,
            options: WriteOptions::default(),
            commit_every: None,
            open: None,
            records: Vec::new(),
            provenances: Vec::new(),
            uncommitted: 0,
            committed: Committed::default(),
        }
    }

    /// Commits by itself whenever this many records wait, so that a crash loses no more than that.
    #[must_use]
    pub fn commit_every(mut self, records: usize) -> Self {
        self.commit_every = Some(records.max(1));
        self
    }

    /// A name for the run, kept with every row.
    #[must_use]
    pub fn materialization_id(mut self, id: impl Into<String>) -> Self {
        self.options.materialization_id = Some(id.into());
        self
    }

    /// Takes a record.
    ///
    /// # Errors
    /// When the record is refused ([`WriteError`] says why), or the store fails.
    pub async fn push(&mut self, item: impl Into<Item<F>>) -> Result<()> {
        if self.open.is_none() {
            let feature = self.store.feature(&self.key)?;
            let layout = typed_layout::<F>(&feature)?;
            let session =
                self.store.backend.write(feature.clone(), layout.clone(), self.options.clone());
            let session = session.await?;
            self.open = Some(Open { feature, layout, session });
        }
        let open = self.open.as_ref().expect("it was just opened");
        let feature = &open.feature;
        let row = usize::try_from(self.committed.rows).unwrap_or_default() + self.uncommitted;
        let outcome = match item.into().0 {
            Source::Done(outcome) => outcome,
            Source::Record(record) if feature.is_root() => Outcome::of_root(feature, record, row)?,
            Source::Record(_) => return Err(write_error(feature, WriteError::WithoutJob)),
        };
        match outcome {
            Outcome::Failed { record, error } => {
                tracing::warn!(feature = %self.key, record, error, "a record failed");
                self.committed.failed.push(format!("{record}: {error}"));
            }
            Outcome::Record { record, provenances } => {
                // A record that is refused takes no other one with it.
                check_versions(feature, &open.layout, &record, &provenances, row)?;
                self.records.push(record);
                self.provenances.push(provenances);
                self.uncommitted += 1;
                if self.records.len() >= ROWS_PER_BATCH {
                    self.flush().await?;
                }
                if self.commit_every.is_some_and(|every| self.uncommitted >= every) {
                    self.commit_pending().await?;
                }
            }
        }
        Ok(())
    }

    /// Stages the structs that wait.
    async fn flush(&mut self) -> Result<()> {
        if self.records.is_empty() {
            return Ok(());
        }
        let Some(open) = &mut self.open else { return Ok(()) };
        let records = std::mem::take(&mut self.records);
        let provenances = std::mem::take(&mut self.provenances);
        let batch = staged(&open.feature, &open.layout, &records, &provenances)?;
        open.session.stage(batch).await
    }

    async fn commit_pending(&mut self) -> Result<()> {
        self.flush().await?;
        if let Some(open) = &mut self.open {
            let written = open.session.commit().await?;
            self.committed.add(written);
            self.uncommitted = 0;
        }
        Ok(())
    }

    /// Appends everything that was pushed and not committed yet, and says what was written in all.
    ///
    /// # Errors
    /// When the rows are refused as a whole (an id twice), or the store fails; nothing of them is
    /// then in the store.
    #[tracing::instrument(skip_all, fields(feature = %self.key))]
    pub async fn commit(&mut self) -> Result<Committed> {
        self.commit_pending().await?;
        Ok(self.committed.clone())
    }
}

impl<F> Drop for Writer<F> {
    fn drop(&mut self) {
        if self.uncommitted > 0 && !std::thread::panicking() {
            tracing::warn!(
                feature = %self.key,
                rows = self.uncommitted,
                "a writer was dropped with rows that were not committed; they were not written"
            );
        }
    }
}

/// The layout of a feature's structs.
pub(crate) fn typed_layout<F: Feature>(feature: &FeatureContext) -> Result<Layout> {
    // A program may hold several definitions of one key; the struct has to be the graph's.
    let fields = |definition: &FeatureDefinition| -> Vec<String> {
        definition.spec.fields.iter().map(|field| field.key.to_string()).collect()
    };
    let (found, expected) = (fields(&F::definition()), fields(feature.definition()));
    if found != expected {
        return Err(write_error(feature, WriteError::OtherDefinition { found, expected }));
    }
    let of_graph = layout(feature, &Schema::empty())?;
    let columns = F::columns();
    let names = |columns: &mut dyn Iterator<Item = &ColumnSpec>| -> Vec<String> {
        columns.map(|column| column.name.clone()).collect()
    };
    let found = names(&mut columns.iter());
    let expected = names(&mut of_graph.ids.iter().chain(&of_graph.columns));
    if found != expected {
        let unknown = found.iter().filter(|name| !expected.contains(name)).cloned().collect();
        let missing = expected.iter().filter(|name| !found.contains(name)).cloned().collect();
        return Err(write_error(feature, WriteError::Columns { unknown, missing, expected }));
    }
    let mut ids = columns;
    let columns = ids.split_off(of_graph.ids.len());
    Ok(Layout { ids, columns, ..of_graph })
}

/// Refuses a version that would make two histories look alike.
pub(crate) fn check_versions<F: Feature>(
    feature: &FeatureContext,
    layout: &Layout,
    record: &F,
    provenances: &[String],
    row: usize,
) -> Result<()> {
    let versions = record.data_versions().into_iter().zip(provenances).enumerate();
    for (k, (given, provenance)) in versions {
        let version = given.as_given().unwrap_or(provenance);
        if version.is_empty() || version.contains('|') {
            return Err(write_error(
                feature,
                WriteError::BadVersion {
                    row,
                    id: show_ids(feature, &record.ids()),
                    field: layout.fields[k].clone(),
                    version: version.to_owned(),
                },
            ));
        }
    }
    Ok(())
}

/// Structs as a staged batch.
pub(crate) fn staged<F: Feature>(
    feature: &FeatureContext,
    layout: &Layout,
    records: &[F],
    provenances: &[Vec<String>],
) -> Result<RecordBatch> {
    let n_fields = layout.fields.len();
    let mut computed: Vec<Vec<&str>> = vec![Vec::with_capacity(records.len()); n_fields];
    let mut given: Vec<Vec<Option<&str>>> = vec![Vec::with_capacity(records.len()); n_fields];
    let is_root = feature.is_root();
    for (record, provenances) in records.iter().zip(provenances) {
        let versions = record.data_versions().into_iter().zip(provenances);
        for (k, (version, provenance)) in versions.enumerate() {
            computed[k].push(provenance);
            // In a root the value is the provenance; elsewhere a value of the user's is an override.
            given[k].push(version.as_given().filter(|_| !is_root));
        }
    }
    let mut arrays = F::encode(records);
    let computed = computed.into_iter().map(StringArray::from);
    let given = given.into_iter().map(StringArray::from);
    arrays.extend(computed.chain(given).map(|column| Arc::new(column) as ArrayRef));
    Ok(RecordBatch::try_new(staged_schema(layout), arrays)?)
}

fn show_ids(feature: &FeatureContext, ids: &[IdValue]) -> String {
    let names = &feature.definition().spec.id_columns;
    let pairs = names.iter().zip(ids).map(|(name, id)| format!("{name} = {id}"));
    pairs.collect::<Vec<_>>().join(", ")
}

/// Writes batches to a feature.
///
/// For a feature with upstreams the rows are those of its increment, with the feature's own columns
/// added; `metaxy_provenance_by_field` says what each was computed from. For a root that column, or
/// one text column per field, holds the versions. Columns are found by name.
pub struct BatchWriter {
    store: Store,
    key: FeatureKey,
    options: WriteOptions,
    open: Option<Open>,
    committed: Committed,
}

impl fmt::Debug for BatchWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchWriter")
            .field("feature", &self.key)
            .field("committed", &self.committed)
            .finish_non_exhaustive()
    }
}

impl BatchWriter {
    pub(crate) fn new(store: Store, key: FeatureKey) -> Self {
        let (options, committed) = (WriteOptions::default(), Committed::default());
        Self { store, key, options, open: None, committed }
    }

    /// A name for the run, kept with every row.
    #[must_use]
    pub fn materialization_id(mut self, id: impl Into<String>) -> Self {
        self.options.materialization_id = Some(id.into());
        self
    }

    /// Takes rows.
    ///
    /// # Errors
    /// When a row is refused ([`WriteError`] says which and why), or the store fails.
    pub async fn push(&mut self, batch: &RecordBatch) -> Result<()> {
        if self.open.is_none() {
            let feature = self.store.feature(&self.key)?;
            let layout = layout(&feature, &batch.schema())?;
            // Rows that are refused leave nothing behind, so they are looked at before anything is
            // made.
            let stager = Stager { feature: &feature, layout: &layout, types: Types::Exact };
            stager.stage(&batch.slice(0, 0))?;
            let session =
                self.store.backend.write(feature.clone(), layout.clone(), self.options.clone());
            let session = session.await?;
            self.open = Some(Open { feature, layout, session });
        }
        let open = self.open.as_mut().expect("it was just opened");
        let stager = Stager { feature: &open.feature, layout: &open.layout, types: Types::Exact };
        let staged = stager.stage(batch)?;
        open.session.stage(staged).await
    }

    /// Appends everything that was pushed and not committed yet, and says what was written in all.
    ///
    /// # Errors
    /// When the rows are refused as a whole (an id twice), or the store fails; nothing of them is
    /// then in the store.
    #[tracing::instrument(skip_all, fields(feature = %self.key))]
    pub async fn commit(&mut self) -> Result<Committed> {
        if let Some(open) = &mut self.open {
            let written = open.session.commit().await?;
            self.committed.add(written);
        }
        Ok(self.committed.clone())
    }
}
