//! [`Writer`] and [`BatchWriter`]: records on their way into the store.
//!
//! Both stage what they are given and append it with [`commit`](Writer::commit): all rows at once
//! and with one time. What is not committed was never there.

use crate::column::IdValue;
use crate::error::{Error, Result};
use crate::feature::Feature;
use crate::increment::{Done, Origin, Outcome, id_names, show_ids};
use crate::key::FeatureKey;
use crate::spec::{ColumnSpec, FeatureDefinition};
use crate::store::Store;
use crate::store::backend::{Failure, FeatureContext, Layout, WriteOptions, WriteSession, Written};
use crate::store::stage::{
    Stager, Types, WriteError, is_version, layout, seals_schema, staged_schema, write_error,
};
use arrow::array::{
    Array, ArrayRef, AsArray, Date32Array, Int64Array, RecordBatch, StringArray, UInt64Array,
};
use arrow::datatypes::{DataType, Schema};
use metaxy_sql::system;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The rows that a typed writer turns into one batch.
const ROWS_PER_BATCH: usize = 8_192;

/// What a writer did since it was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Committed {
    /// The records that were written.
    pub rows: u64,
    /// Of an expansion, the parents whose children are complete, also those without any.
    pub parents: u64,
    /// The commits.
    pub commits: u64,
    /// The commits that wrote nothing because they are in the store already, by their token.
    pub repeated: u64,
    /// The records that could not be computed, `ids: error`; they come again with the next increment.
    pub failed: Vec<String>,
    /// The time that the last commit gave its rows, in microseconds since 1970-01-01 UTC.
    pub time: Option<i64>,
}

impl Committed {
    fn add(&mut self, written: Written) {
        self.repeated += u64::from(written.repeated);
        if written.rows > 0 || written.seals > 0 {
            self.rows += written.rows;
            self.parents += written.seals;
            self.commits += 1;
            self.time = written.time;
        }
    }
}

impl fmt::Display for Committed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} written", self.rows)?;
        if self.parents > 0 {
            write!(f, " for {} parents", self.parents)?;
        }
        if self.repeated > 0 {
            write!(f, ", {} commits were there already", self.repeated)?;
        }
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
    write: Write,
    commit_every: Option<usize>,
    /// Those that wait to be staged.
    records: Vec<F>,
    /// Of each record; children of one parent share one.
    origins: Vec<Arc<Origin>>,
    /// That of all records of a root.
    of_root: Arc<Origin>,
    seals: Vec<SealRow>,
    uncommitted: usize,
}

/// A parent whose children are all there.
struct SealRow {
    parent: Vec<IdValue>,
    children: i64,
    origin: Arc<Origin>,
}

/// What both writers have: the write, once it has begun, and what is kept with its next commit.
struct Write {
    store: Store,
    key: FeatureKey,
    options: WriteOptions,
    open: Option<Open>,
    failures: Vec<Failure>,
    /// Records that took so long to compute since the last commit; of an expansion, parents.
    n_computed: u64,
    took: Duration,
    committed: Committed,
}

/// A write that has begun.
struct Open {
    feature: FeatureContext,
    layout: Layout,
    session: Box<dyn WriteSession>,
}

impl Write {
    fn new(store: Store, key: FeatureKey) -> Self {
        Self {
            store,
            key,
            options: WriteOptions::default(),
            open: None,
            failures: Vec::new(),
            n_computed: 0,
            took: Duration::ZERO,
            committed: Committed::default(),
        }
    }

    async fn begin(&mut self, feature: FeatureContext, layout: Layout) -> Result<&mut Open> {
        self.options.check()?;
        let backend = &self.store.backend;
        let session = backend.write(feature.clone(), layout.clone(), self.options.clone()).await?;
        Ok(self.open.insert(Open { feature, layout, session }))
    }

    /// Commits what is staged, and what is kept with it.
    async fn commit(&mut self) -> Result<()> {
        let Some(open) = &mut self.open else { return self.keep_failures().await };
        // First, since the commit clears the failures of what it writes.
        if !self.failures.is_empty() {
            open.session.fail(self.failures.clone()).await?;
            self.failures.clear();
        }
        // The time was spent whether or not the records are then written.
        if self.n_computed > 0 && !self.took.is_zero() {
            open.session.measure(self.n_computed, self.took).await?;
            self.took = Duration::ZERO;
        }
        self.n_computed = 0;
        let written = open.session.commit().await?;
        self.committed.add(written);
        Ok(())
    }

    /// Keeps failures where there is nothing else.
    async fn keep_failures(&mut self) -> Result<()> {
        if !self.failures.is_empty() {
            self.options.check()?;
            let (feature, failures) = (self.store.feature(&self.key)?, self.failures.clone());
            self.store.backend.fail(feature, failures, self.options.clone()).await?;
            self.failures.clear();
        }
        Ok(())
    }
}

/// The options that both writers have.
macro_rules! options {
    () => {
        /// A name for the run, kept with every row.
        #[must_use]
        pub fn materialization_id(mut self, id: impl Into<String>) -> Self {
            self.write.options.materialization_id = Some(id.into());
            self
        }

        /// A name for this write, so that it can be done again after a crash: a commit that has been
        /// written under the same name, by its number from the first on, writes nothing. What is pushed
        /// has to be the same as well, and the name is used for nothing else.
        #[must_use]
        pub fn token(mut self, token: impl Into<String>) -> Self {
            self.write.options.token = Some(token.into());
            self
        }

        /// Says how long it took to compute what was pushed since the last commit, or a part of it: it
        /// adds up, and is kept with the next commit. [Plans](crate::plan) go by it.
        pub fn took(&mut self, duration: Duration) {
            self.write.took += duration;
        }
    };
}

impl<F> fmt::Debug for Writer<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer")
            .field("feature", &self.write.key)
            .field("uncommitted", &self.uncommitted)
            .field("committed", &self.write.committed)
            .finish_non_exhaustive()
    }
}

impl<F: Feature> Writer<F> {
    pub(crate) fn new(store: Store, key: FeatureKey) -> Self {
        Self {
            write: Write::new(store, key),
            commit_every: None,
            records: Vec::new(),
            origins: Vec::new(),
            of_root: Arc::new(Origin::of_root()),
            seals: Vec::new(),
            uncommitted: 0,
        }
    }

    options! {}

    /// Commits by itself whenever this many records wait, so that a crash loses no more than that.
    /// The children of one parent are never split.
    #[must_use]
    pub fn commit_every(mut self, records: usize) -> Self {
        self.commit_every = Some(records.max(1));
        self
    }

    /// Takes a record.
    ///
    /// # Errors
    /// When a record is refused ([`WriteError`] says which and why), or the store fails. What a store cannot
    /// keep in a column is found out when records are staged, some thousand together, so that the record
    /// which is refused may be one that was pushed before; the others are kept.
    pub async fn push(&mut self, item: impl Into<Item<F>>) -> Result<()> {
        if self.write.open.is_none() {
            let feature = self.write.store.feature(&self.write.key)?;
            let layout = typed_layout::<F>(&feature)?;
            self.write.begin(feature, layout).await?;
        }
        let open = self.write.open.as_ref().expect("it was just opened");
        let feature = &open.feature;
        let row = usize::try_from(self.write.committed.rows).unwrap_or_default() + self.uncommitted;
        let outcome = match item.into().0 {
            Source::Done(outcome) => outcome,
            Source::Record(record) if feature.is_root() => {
                check_versions(feature, &open.layout, &record, &self.of_root, row)?;
                self.records.push(record);
                self.origins.push(Arc::clone(&self.of_root));
                return self.added(1).await;
            }
            Source::Record(_) => return Err(write_error(feature, WriteError::WithoutJob)),
        };
        // A record that is refused takes no other one with it.
        match outcome {
            Outcome::Failed { record, failure } => {
                let error = &failure.error;
                tracing::warn!(feature = %self.write.key, record, error, "a record failed");
                self.write.committed.failed.push(format!("{record}: {error}"));
                self.write.failures.push(failure);
                Ok(())
            }
            Outcome::Record { record, origin } => {
                check_versions(feature, &open.layout, &record, &origin, row)?;
                self.records.push(record);
                self.origins.push(Arc::new(origin));
                self.added(1).await
            }
            Outcome::Children { records, parent, origin } => {
                for (i, record) in records.iter().enumerate() {
                    check_versions(feature, &open.layout, record, &origin, row + i)?;
                }
                let origin = Arc::new(origin);
                let n = records.len();
                let children = i64::try_from(n).unwrap_or(i64::MAX);
                self.origins.extend(records.iter().map(|_| Arc::clone(&origin)));
                self.records.extend(records);
                self.seals.push(SealRow { parent, children, origin });
                self.added(n.max(1)).await
            }
        }
    }

    /// Goes on after an outcome with so many records: stages and commits what has become enough.
    async fn added(&mut self, records: usize) -> Result<()> {
        self.uncommitted += records;
        self.write.n_computed += 1;
        if self.records.len().max(self.seals.len()) >= ROWS_PER_BATCH {
            self.flush().await?;
        }
        if self.commit_every.is_some_and(|every| self.uncommitted >= every) {
            self.commit_pending().await?;
        }
        Ok(())
    }

    /// Stages the structs that wait. They wait until they are: a call that fails or is cancelled loses none.
    async fn flush(&mut self) -> Result<()> {
        let Some(open) = &mut self.write.open else { return Ok(()) };
        if !self.records.is_empty() {
            let done = match staged(&open.feature, &open.layout, &self.records, &self.origins) {
                Ok(batch) => open.session.stage(batch).await,
                Err(error) => Err(error),
            };
            if let Err(error) = done {
                self.refuse(&error);
                return Err(error);
            }
            self.records.clear();
            self.origins.clear();
        }
        if !self.seals.is_empty() {
            open.session.seal(staged_seals(&open.layout, &self.seals)?).await?;
            self.seals.clear();
        }
        Ok(())
    }

    /// Takes out the record that an error names, so that it takes no other with it; of an expansion all
    /// children of its parent, which are there together or not at all.
    fn refuse(&mut self, error: &Error) {
        let (Error::Write { reason: WriteError::Nul { row, .. }, .. }
        | Error::CannotKeep { row, .. }) = error
        else {
            return;
        };
        let Some(origin) = self.origins.get(*row).map(Arc::clone) else { return };
        let before = self.records.len();
        match self.write.open.as_ref().is_some_and(|open| open.feature.is_expansion()) {
            true => {
                let mut origins = self.origins.iter();
                self.records.retain(|_| origins.next().is_some_and(|of| !Arc::ptr_eq(of, &origin)));
                self.origins.retain(|of| !Arc::ptr_eq(of, &origin));
                self.seals.retain(|seal| !Arc::ptr_eq(&seal.origin, &origin));
            }
            false => {
                self.records.remove(*row);
                self.origins.remove(*row);
            }
        }
        self.uncommitted -= before - self.records.len();
    }

    async fn commit_pending(&mut self) -> Result<()> {
        self.flush().await?;
        self.write.commit().await?;
        self.uncommitted = 0;
        Ok(())
    }

    /// Appends everything that was pushed and not committed yet, and says what was written in all.
    ///
    /// # Errors
    /// When a record is refused, as by [`push`](Self::push): a second commit writes the others. When the rows
    /// are refused as a whole (an id twice), or the store fails. Nothing of them is then in the store.
    #[tracing::instrument(skip_all, fields(feature = %self.write.key))]
    pub async fn commit(&mut self) -> Result<Committed> {
        self.commit_pending().await?;
        Ok(self.write.committed.clone())
    }
}

impl<F> Drop for Writer<F> {
    fn drop(&mut self) {
        if self.uncommitted > 0 && !std::thread::panicking() {
            tracing::warn!(
                feature = %self.write.key,
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

/// Refuses a record of a root that lacks a version, and a version that would make two histories look
/// alike.
pub(crate) fn check_versions<F: Feature>(
    feature: &FeatureContext,
    layout: &Layout,
    record: &F,
    origin: &Origin,
    row: usize,
) -> Result<()> {
    for (k, given) in record.data_versions().into_iter().enumerate() {
        let version = given.as_given().or_else(|| origin.provenance(k, given));
        if version.is_some_and(is_version) {
            continue;
        }
        let id = show_ids(&feature.definition().spec.id_columns, &record.ids());
        let field = layout.fields[k].clone();
        let reason = match version {
            Some(version) => WriteError::BadVersion { row, id, field, version: version.to_owned() },
            None => WriteError::MissingVersion { row, id, what: "data version", field },
        };
        return Err(write_error(feature, reason));
    }
    Ok(())
}

/// Structs as a staged batch.
pub(crate) fn staged<F: Feature>(
    feature: &FeatureContext,
    layout: &Layout,
    records: &[F],
    origins: &[Arc<Origin>],
) -> Result<RecordBatch> {
    let n_fields = layout.fields.len();
    let mut computed: Vec<Vec<Option<&str>>> = vec![Vec::with_capacity(records.len()); n_fields];
    let mut given: Vec<Vec<Option<&str>>> = vec![Vec::with_capacity(records.len()); n_fields];
    let is_root = feature.is_root();
    for (record, origin) in records.iter().zip(origins) {
        for (k, version) in record.data_versions().into_iter().enumerate() {
            let provenance = origin.provenance(k, version);
            computed[k].push(provenance);
            // In a root the value is the provenance; elsewhere a value of the user's is an override.
            // What was computed again without need is no longer what is stored.
            let forced = provenance.filter(|_| origin.forced.contains(&k));
            given[k].push(version.as_given().filter(|_| !is_root).or(forced));
        }
    }
    let mut arrays = F::encode(records);
    let stager = Stager { feature, layout, types: Types::Exact };
    for (column, array) in layout.ids.iter().chain(&layout.columns).zip(&arrays) {
        let id = |row: usize| show_ids(&feature.definition().spec.id_columns, &records[row].ids());
        stager.no_nul(&column.name, array, id)?;
    }
    let computed = computed.into_iter().map(StringArray::from);
    let given = given.into_iter().map(StringArray::from);
    arrays.extend(computed.chain(given).map(|column| Arc::new(column) as ArrayRef));
    if layout.parents.is_some() {
        let tries: Int64Array = origins.iter().map(|origin| origin.attempt).collect();
        arrays.push(Arc::new(tries));
    }
    Ok(RecordBatch::try_new(staged_schema(layout), arrays)?)
}

/// Seals as a staged batch.
fn staged_seals(layout: &Layout, seals: &[SealRow]) -> Result<RecordBatch> {
    let schema = seals_schema(layout);
    let n_ids = schema.fields().len() - 2 - layout.fields.len();
    let mut arrays = Vec::with_capacity(schema.fields().len());
    for (i, field) in schema.fields()[..n_ids].iter().enumerate() {
        let values: Vec<&IdValue> = seals.iter().map(|seal| &seal.parent[i]).collect();
        arrays.push(id_array(&values, field.data_type())?);
    }
    let tries: Int64Array = seals.iter().map(|seal| seal.origin.attempt).collect();
    let children: Int64Array = seals.iter().map(|seal| Some(seal.children)).collect();
    arrays.extend([tries, children].map(|column| Arc::new(column) as ArrayRef));
    for k in 0..layout.fields.len() {
        let provenance = |seal: &SealRow| Some(seal.origin.provenances[k].clone());
        let column: StringArray = seals.iter().map(provenance).collect();
        arrays.push(Arc::new(column));
    }
    Ok(RecordBatch::try_new(schema, arrays)?)
}

/// Ids as a column of a type that they came from.
fn id_array(values: &[&IdValue], ty: &DataType) -> Result<ArrayRef> {
    let integer = |value: &&IdValue| match value {
        IdValue::Int(value) => Some(i128::from(*value)),
        IdValue::UInt(value) => Some(i128::from(*value)),
        IdValue::Date(days) => Some(i128::from(*days)),
        IdValue::Text(_) | IdValue::Uuid(_) => None,
    };
    let integers: Option<Vec<i128>> = values.iter().map(integer).collect();
    let array: ArrayRef = match (integers, ty) {
        (Some(integers), DataType::UInt64) => {
            let number = |value: i128| u64::try_from(value).ok();
            Arc::new(integers.into_iter().map(number).collect::<UInt64Array>())
        }
        (Some(integers), DataType::Date32) => {
            let days = |value: i128| i32::try_from(value).ok();
            Arc::new(integers.into_iter().map(days).collect::<Date32Array>())
        }
        (Some(integers), _) => {
            let number = |value: i128| i64::try_from(value).ok();
            Arc::new(integers.into_iter().map(number).collect::<Int64Array>())
        }
        (None, _) => {
            Arc::new(values.iter().map(|id| Some(id.to_string())).collect::<StringArray>())
        }
    };
    Ok(arrow::compute::cast(&array, ty)?)
}

/// Writes batches to a feature.
///
/// For a feature with upstreams the rows are those of its increment, with the feature's own columns
/// added; `metaxy_provenance_by_field` says what each was computed from. For a root that column, or
/// one text column per field, holds the versions. Columns are found by name.
pub struct BatchWriter {
    write: Write,
}

impl fmt::Debug for BatchWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchWriter")
            .field("feature", &self.write.key)
            .field("committed", &self.write.committed)
            .finish_non_exhaustive()
    }
}

impl BatchWriter {
    pub(crate) fn new(store: Store, key: FeatureKey) -> Self {
        Self { write: Write::new(store, key) }
    }

    options! {}

    /// Takes rows; those of an expansion have the column `metaxy_try`.
    ///
    /// # Errors
    /// When a row is refused ([`WriteError`] says which and why), or the store fails.
    pub async fn push(&mut self, batch: &RecordBatch) -> Result<()> {
        if self.write.open.is_none() {
            let feature = self.write.store.feature(&self.write.key)?;
            let layout = layout(&feature, &batch.schema())?;
            // Rows that are refused leave nothing behind, so they are looked at before anything is
            // made.
            let stager = Stager { feature: &feature, layout: &layout, types: Types::Exact };
            stager.stage(&batch.slice(0, 0))?;
            self.write.begin(feature, layout).await?;
        }
        let open = self.write.open.as_mut().expect("it was just opened");
        let stager = Stager { feature: &open.feature, layout: &open.layout, types: Types::Exact };
        let staged = stager.stage(batch)?;
        if !open.feature.is_expansion() {
            self.write.n_computed += batch.num_rows() as u64;
        }
        open.session.stage(staged).await
    }

    /// Says of parents of an expansion that their children are complete: those that were pushed with
    /// the same `metaxy_try`, in this commit or before.
    ///
    /// The rows are those of the increment, with a column `metaxy_children` (Int64): how many children
    /// each parent has, which may be none. A parent without a seal is not there, and comes again with
    /// the next increment.
    ///
    /// # Errors
    /// When a row is refused ([`WriteError`] says which and why), or the store fails. Where neither the
    /// definition nor rows that were pushed say which types the ids of children have, that is an error
    /// too.
    pub async fn seal(&mut self, parents: &RecordBatch) -> Result<()> {
        if self.write.open.is_none() {
            let feature = self.write.store.feature(&self.write.key)?;
            if !feature.is_expansion() {
                return Err(write_error(&feature, WriteError::NoExpansion));
            }
            let definition = feature.definition();
            if definition.columns.is_none() {
                let parents = feature.parent_ids();
                let ids = definition.spec.id_columns.iter().enumerate();
                let children = ids.filter(|(place, _)| !parents.contains(place));
                let columns = children.map(|(_, name)| name.clone()).collect();
                return Err(write_error(&feature, WriteError::UnknownTypes { columns }));
            }
            let layout = layout(&feature, &Schema::empty())?;
            let stager = Stager { feature: &feature, layout: &layout, types: Types::Exact };
            stager.seal(&parents.slice(0, 0))?;
            self.write.begin(feature, layout).await?;
        }
        let open = self.write.open.as_mut().expect("it was just opened");
        let stager = Stager { feature: &open.feature, layout: &open.layout, types: Types::Exact };
        let staged = stager.seal(parents)?;
        self.write.n_computed += parents.num_rows() as u64;
        open.session.seal(staged).await
    }

    /// Says of rows of the increment that they could not be computed, and why: one text for each, or
    /// one for all. Kept with the next [`commit`](Self::commit).
    ///
    /// # Errors
    /// When the rows lack their ids or `metaxy_provenance`, or the number of texts fits neither.
    pub fn fail(&mut self, rows: &RecordBatch, errors: &[impl AsRef<str>]) -> Result<()> {
        let feature = self.write.store.feature(&self.write.key)?;
        let n = rows.num_rows();
        if errors.len() != n && errors.len() != 1 {
            let found = errors.len();
            return Err(write_error(&feature, WriteError::ErrorTexts { rows: n, found }));
        }
        let texts = |name: &str| -> Result<StringArray> {
            let array = rows.column_by_name(name).ok_or_else(|| {
                let mut expected = id_names(&feature);
                expected.push(system::PROVENANCE.to_owned());
                let (unknown, missing) = (Vec::new(), vec![name.to_owned()]);
                write_error(&feature, WriteError::Columns { unknown, missing, expected })
            })?;
            Ok(arrow::compute::cast(array, &DataType::Utf8)?.as_string().clone())
        };
        let names = id_names(&feature);
        let ids = names.iter().map(|name| texts(name)).collect::<Result<Vec<_>>>()?;
        let provenance = texts(system::PROVENANCE)?;
        let named = ids.iter().zip(names.iter().map(String::as_str));
        for (array, name) in named.chain([(&provenance, system::PROVENANCE)]) {
            if let Some(row) = (0..n).find(|row| array.is_null(*row)) {
                let (column, count) = (name.to_owned(), array.null_count());
                let reason = WriteError::Null { what: "failure's", column, row, count };
                return Err(write_error(&feature, reason));
            }
        }
        for row in 0..n {
            let error = errors[if errors.len() == 1 { 0 } else { row }].as_ref();
            let ids: Vec<String> = ids.iter().map(|array| array.value(row).to_owned()).collect();
            let record = names.iter().zip(&ids).map(|(name, id)| format!("{name} = {id}"));
            let record = record.collect::<Vec<_>>().join(", ");
            self.write.committed.failed.push(format!("{record}: {error}"));
            let provenance = provenance.value(row).to_owned();
            self.write.failures.push(Failure::new(ids, provenance, error.to_owned()));
        }
        Ok(())
    }

    /// Appends everything that was pushed and not committed yet, and says what was written in all.
    ///
    /// # Errors
    /// When the rows are refused as a whole (an id twice, a parent sealed twice), or the store fails;
    /// nothing of them is then in the store.
    #[tracing::instrument(skip_all, fields(feature = %self.write.key))]
    pub async fn commit(&mut self) -> Result<Committed> {
        self.write.commit().await?;
        Ok(self.write.committed.clone())
    }
}
