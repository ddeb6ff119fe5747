//! [`Increment`]: the answer of `resolve_update`, as batches or as jobs.
//!
//! The batches have the ids of the feature, the columns that come along from upstreams, the
//! by-field system columns that a write takes back, and what is said about each record:
//!
//! | column | type | for | what |
//! |---|---|---|---|
//! | [`STATUS`] | Utf8 | all | `new`, `stale`, `orphaned` or `blocked` |
//! | `metaxy_provenance_by_field` | Map | all | expected; stored for orphans |
//! | `metaxy_provenance` | Utf8 | all | the hash over it |
//! | `metaxy_data_version_by_field` | Map | all | what a write keeps or sets unless told otherwise |
//! | `metaxy_data_version` | Utf8 | all | the hash over it |
//! | [`STALE_FIELDS`] | Map | stale | field -> reasons, joined by `,` |
//! | [`STORED_PROVENANCE`] | Map | not new | what is stored |
//! | [`STORED_VERSION`] | Utf8 | not new | the feature version that wrote it |
//! | [`CAUSE`] | Utf8 | orphaned, blocked | what became of the upstream record; what is awaited |
//!
//! Of a feature that expands an upstream, a row is about a parent: it has the ids of the parent alone,
//! and a column [`TRY`] (Int64), which the children and their seal take along.

use crate::column::IdValue;
use crate::data_version::DataVersion;
use crate::error::{Error, Result};
use crate::feature::Feature;
use crate::key::FeatureKey;
use crate::row::Row;
use crate::spec::ColumnSpec;
use crate::store::backend::{BatchStream, Failure, FeatureContext, Resolved};
use crate::store::stage::{WriteError, write_error};
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch, StringArray};
use arrow::compute::filter_record_batch;
use arrow::datatypes as types;
use futures::stream::{BoxStream, StreamExt, TryStreamExt};
use metaxy_sql::{ColumnType, ScalarType, system};
use std::collections::VecDeque;
use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// The class of a record: `new`, `stale`, `orphaned` or `blocked`.
pub const STATUS: &str = "metaxy_status";
/// Which fields of a stale record are stale, and why.
pub const STALE_FIELDS: &str = "metaxy_stale_fields";
/// The provenances that are stored.
pub const STORED_PROVENANCE: &str = "metaxy_stored_provenance_by_field";
/// The feature version that wrote the stored row.
pub const STORED_VERSION: &str = "metaxy_stored_feature_version";
/// Why a record is orphaned or blocked.
pub const CAUSE: &str = "metaxy_cause";

/// In increments of an expansion: the number of the attempt at expanding the parent, which its
/// children and its seal carry.
pub const TRY: &str = system::TRY;
/// In a seal: how many children the parent has.
pub const CHILDREN: &str = system::CHILDREN;

/// The number of records of each class; of an expansion, the number of parents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// To be computed for the first time.
    pub new: u64,
    /// To be computed again.
    pub stale: u64,
    /// Whose input is gone.
    pub orphaned: u64,
    /// There, but their input is itself to be computed again first.
    pub blocked: u64,
    /// Not there yet, and their input is itself to be computed again first. Not in the batches.
    pub waiting: u64,
    /// Up to date. Not in the batches.
    pub unchanged: u64,
    /// Those of `unchanged` that an older definition wrote.
    pub unchanged_older: u64,
    /// Of an expansion, the parents that are there without a seal: another program wrote their
    /// children, and nobody knows whether they are all of them. Counted in their class as well.
    pub unsealed: u64,
}

impl Counts {
    /// Whether nothing is to be done: no record is new, stale, orphaned, blocked or waiting.
    #[must_use]
    pub fn is_up_to_date(&self) -> bool {
        self.new + self.stale + self.orphaned + self.blocked + self.waiting == 0
    }

    /// The number of records to compute.
    #[must_use]
    pub fn to_compute(&self) -> u64 {
        self.new + self.stale
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} new, {} stale, {} orphaned, {} blocked, {} unchanged",
            self.new, self.stale, self.orphaned, self.blocked, self.unchanged
        )?;
        if self.unchanged_older > 0 {
            write!(f, " ({} by an older definition)", self.unchanged_older)?;
        }
        if self.waiting > 0 {
            write!(f, ", {} waiting", self.waiting)?;
        }
        if self.unsealed > 0 {
            write!(f, ", {} unsealed", self.unsealed)?;
        }
        Ok(())
    }
}

/// Why a field of a record is stale; several reasons can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Reason {
    /// Its code version or its parent fields are others than when the record was written.
    Code,
    /// The record was written without the field.
    Added,
    /// What it is computed from has changed: an upstream's data version, or in a root the value.
    Upstream,
    /// The call said so: a staleness predicate holds, or nothing was to be compared.
    Forced,
}

impl Reason {
    /// The name in batches.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Code => "code",
            Self::Added => "added",
            Self::Upstream => "upstream",
            Self::Forced => "forced",
        }
    }

    pub(crate) fn parse(name: &str) -> Option<Self> {
        [Self::Code, Self::Added, Self::Upstream, Self::Forced]
            .into_iter()
            .find(|reason| reason.name() == name)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A field of a record that has to be computed again.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StaleField {
    /// The key of the field in by-field columns.
    pub field: String,
    /// Why, at least one reason.
    pub reasons: Vec<Reason>,
    /// The provenance that is stored, if there is one.
    pub old: Option<String>,
    /// The provenance that is expected.
    pub new: String,
}

/// Whether a job is about a record that is not there yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// To be computed for the first time.
    New,
    /// To be computed again.
    Stale,
}

/// Stands for "some feature", when its type is not known: it was named by key.
#[derive(Debug)]
pub enum AnyFeature {}

/// Which records of a feature are new, stale, orphaned or blocked.
///
/// The counts are known; the records are still on their way out of the store. An increment that is
/// dropped stops that.
pub struct Increment<F = AnyFeature> {
    feature: FeatureContext,
    counts: Counts,
    batches: BatchStream,
    of: PhantomData<fn() -> F>,
}

impl<F> fmt::Debug for Increment<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Increment")
            .field("feature", self.feature.key())
            .field("counts", &self.counts)
            .finish_non_exhaustive()
    }
}

impl<F> Increment<F> {
    pub(crate) fn new(feature: FeatureContext, resolved: Resolved) -> Self {
        let Resolved { counts, batches } = resolved;
        Self { feature, counts, batches, of: PhantomData }
    }

    /// The feature.
    #[must_use]
    pub fn key(&self) -> &FeatureKey {
        self.feature.key()
    }

    /// The number of records of each class.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// The records of all classes but those that are unchanged or waiting, in the layout of
    /// [this module](self).
    #[must_use]
    pub fn batches(self) -> BatchStream {
        self.batches
    }

    /// The records to compute: those that are new or stale, in the layout of [this module](self).
    #[must_use]
    pub fn to_compute(self) -> BatchStream {
        self.batches
            .and_then(|batch| futures::future::ready(writable(&batch)))
            .try_filter(|batch| futures::future::ready(batch.num_rows() > 0))
            .boxed()
    }
}

impl<F: Feature> Increment<F> {
    /// One job per record that is new or stale, with what it is computed from.
    #[must_use]
    pub fn jobs<I: Row>(self) -> Jobs<F, I> {
        Jobs {
            feature: Arc::new(self.feature),
            batches: self.batches,
            ready: VecDeque::new(),
            of: PhantomData,
        }
    }
}

/// The rows of a batch that are for writing.
fn writable(batch: &RecordBatch) -> Result<RecordBatch> {
    let status = text_column(batch, STATUS)?;
    let keep: BooleanArray =
        status.iter().map(|status| Some(matches!(status, Some("new" | "stale")))).collect();
    Ok(filter_record_batch(batch, &keep)?)
}

fn text_column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a StringArray> {
    batch
        .column_by_name(name)
        .and_then(|column| column.as_string_opt::<i32>())
        .ok_or_else(|| Error::internal(format!("an increment has no text column `{name}`")))
}

/// The jobs of an increment, as a stream.
pub struct Jobs<F, I> {
    feature: Arc<FeatureContext>,
    batches: BatchStream,
    ready: VecDeque<Job<F, I>>,
    of: PhantomData<fn() -> (F, I)>,
}

impl<F, I> fmt::Debug for Jobs<F, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jobs").field("feature", self.feature.key()).finish_non_exhaustive()
    }
}

impl<F: Feature, I: Row> Jobs<F, I> {
    /// The next job; `None` when all are done.
    ///
    /// # Errors
    /// When the store fails, or a row does not fit `I`.
    pub async fn try_next(&mut self) -> Result<Option<Job<F, I>>> {
        self.next().await.transpose()
    }

    fn accept(&mut self, batch: &RecordBatch) -> Result<()> {
        let batch = writable(batch)?;
        if batch.num_rows() == 0 {
            // Without the table of an upstream its columns have no type, and there are no jobs.
            return Ok(());
        }
        let definition = self.feature.definition();
        let ids = ids_of(&batch, &id_names(&self.feature), definition.columns.as_deref())?;
        let tries = if self.feature.is_expansion() { Some(tries_of(&batch)?) } else { None };
        let inputs = I::decode(&batch)?;
        let status = text_column(&batch, STATUS)?;
        let names = self.feature.field_names();
        let record_provenance = text_column(&batch, system::PROVENANCE)?;
        let column = |name: &str| by_field(&batch, name, &names);
        let provenance = column(system::PROVENANCE_BY_FIELD)?;
        let stored = column(STORED_PROVENANCE)?;
        let reasons = column(STALE_FIELDS)?;
        for (row, (input, ids)) in inputs.into_iter().zip(ids).enumerate() {
            let cell = |columns: &[Vec<Option<String>>], k: usize| columns[k][row].clone();
            let mut provenances = Vec::with_capacity(names.len());
            let mut stale = Vec::new();
            for (k, name) in names.iter().enumerate() {
                let provenance = cell(&provenance, k).ok_or_else(|| {
                    Error::internal(format!("a job has no provenance for `{name}`"))
                })?;
                if let Some(reasons) = cell(&reasons, k) {
                    stale.push(StaleField {
                        field: name.clone(),
                        reasons: reasons.split(',').filter_map(Reason::parse).collect(),
                        old: cell(&stored, k),
                        new: provenance.clone(),
                    });
                }
                provenances.push(provenance);
            }
            let is_forced = |field: &&StaleField| field.reasons.contains(&Reason::Forced);
            let forced = stale.iter().filter(is_forced).map(|field| field.field.clone());
            let forced: Vec<String> = forced.collect();
            let forced = (0..names.len()).filter(|k| forced.contains(&names[*k])).collect();
            let attempt = tries.as_ref().map(|tries| tries.value(row));
            self.ready.push_back(Job {
                feature: Arc::clone(&self.feature),
                status: if status.value(row) == "new" { Status::New } else { Status::Stale },
                ids,
                input,
                stale,
                origin: Origin { provenances, forced, attempt },
                provenance: record_provenance.value(row).to_owned(),
                of: PhantomData,
            });
        }
        Ok(())
    }
}

impl<F, I> Unpin for Jobs<F, I> {}

impl<F: Feature, I: Row> futures::Stream for Jobs<F, I> {
    type Item = Result<Job<F, I>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(job) = self.ready.pop_front() {
                return Poll::Ready(Some(Ok(job)));
            }
            match self.batches.poll_next_unpin(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error))),
                Poll::Ready(Some(Ok(batch))) => {
                    if let Err(error) = self.accept(&batch) {
                        return Poll::Ready(Some(Err(error)));
                    }
                }
            }
        }
    }
}

/// A record to compute, and the only way to write it: [`done`](Self::done) carries over what it
/// was computed from.
#[must_use = "a job that is dropped comes again with the next increment"]
pub struct Job<F, I> {
    feature: Arc<FeatureContext>,
    status: Status,
    ids: Vec<IdValue>,
    input: I,
    stale: Vec<StaleField>,
    origin: Origin,
    /// The hash over the provenances of its fields.
    provenance: String,
    of: PhantomData<fn() -> F>,
}

/// What a record was computed from, on its way to the store.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    /// Per field; none in a root.
    pub(crate) provenances: Vec<String>,
    /// The places of fields that were to be computed again whatever is stored: what is stored is not
    /// kept.
    pub(crate) forced: Vec<usize>,
    /// Of children, the number of the attempt at expanding their parent.
    pub(crate) attempt: Option<i64>,
}

impl Origin {
    /// That of a record of a root, which is its own source.
    pub(crate) fn of_root() -> Self {
        Self { provenances: Vec::new(), forced: Vec::new(), attempt: None }
    }

    /// What a field was computed from; in a root its version, if it has one.
    pub(crate) fn provenance<'a>(&'a self, k: usize, version: &'a DataVersion) -> Option<&'a str> {
        self.provenances.get(k).map(String::as_str).or_else(|| version.as_str())
    }
}

impl<F, I: fmt::Debug> fmt::Debug for Job<F, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job")
            .field("feature", self.feature.key())
            .field("status", &self.status)
            .field("input", &self.input)
            .field("stale", &self.stale)
            .finish_non_exhaustive()
    }
}

impl<F: Feature, I> Job<F, I> {
    /// What the record is computed from.
    pub fn input(&self) -> &I {
        &self.input
    }

    /// Whether the record is there already.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status
    }

    /// The ids of the record, in the order of the feature's id columns; of an expansion, those of the
    /// parent.
    #[must_use]
    pub fn ids(&self) -> &[IdValue] {
        &self.ids
    }

    /// The fields of a stale record that have to be computed again; the others may be kept as they
    /// are.
    #[must_use]
    pub fn stale(&self) -> &[StaleField] {
        &self.stale
    }

    /// The record as it was computed.
    ///
    /// # Errors
    /// When it has other ids than the job, or the job is about the parent of any number of records.
    pub fn done(self, record: F) -> Result<Done<F>> {
        if self.feature.is_expansion() {
            return Err(write_error(&self.feature, WriteError::IsExpansion));
        }
        let found = record.ids();
        if found != self.ids {
            let names = id_names(&self.feature);
            let (found, expected) = (show_ids(&names, &found), show_ids(&names, &self.ids));
            return Err(write_error(&self.feature, WriteError::OtherRecord { found, expected }));
        }
        Ok(Done(Outcome::Record { record, origin: self.origin }))
    }

    /// All records that the parent of the job gives; there may be none.
    ///
    /// They are written at once, and from then on they are the children of the parent: those of earlier
    /// times that are not among them are gone.
    ///
    /// # Errors
    /// When one of them belongs to another parent, or the job is about one record and not about a
    /// parent.
    pub fn children(self, records: impl IntoIterator<Item = F>) -> Result<Done<F>> {
        if !self.feature.is_expansion() {
            return Err(write_error(&self.feature, WriteError::OneRecord));
        }
        let places = self.feature.parent_ids();
        let records: Vec<F> = records.into_iter().collect();
        for record in &records {
            let ids = record.ids();
            if !places.iter().map(|place| &ids[*place]).eq(&self.ids) {
                let names = id_names(&self.feature);
                let found: Vec<_> = places.iter().map(|place| ids[*place].clone()).collect();
                let reason = WriteError::OtherParent {
                    record: show_ids(&self.feature.definition().spec.id_columns, &ids),
                    found: show_ids(&names, &found),
                    expected: show_ids(&names, &self.ids),
                };
                return Err(write_error(&self.feature, reason));
            }
        }
        Ok(Done(Outcome::Children { records, parent: self.ids, origin: self.origin }))
    }

    /// The record could not be computed.
    ///
    /// Nothing is written but the failure, which [`failures`](crate::Store::failures) tells; the
    /// record comes again with the next increment, unless that is told to leave failures out.
    pub fn failed(self, error: impl fmt::Display) -> Done<F> {
        let record = show_ids(&id_names(&self.feature), &self.ids);
        let ids = self.ids.iter().map(ToString::to_string).collect();
        let failure = Failure::new(ids, self.provenance, error.to_string());
        Done(Outcome::Failed { record, failure })
    }
}

/// `name = value, ..` of one record, for messages.
pub(crate) fn show_ids(names: &[String], ids: &[IdValue]) -> String {
    let pairs = names.iter().zip(ids).map(|(name, id)| format!("{name} = {id}"));
    pairs.collect::<Vec<_>>().join(", ")
}

/// The ids by which increments name records: of an expansion those of the parent.
pub(crate) fn id_names(feature: &FeatureContext) -> Vec<String> {
    let ids = &feature.definition().spec.id_columns;
    feature.parent_ids().into_iter().map(|place| ids[place].clone()).collect()
}

fn tries_of(batch: &RecordBatch) -> Result<Int64Array> {
    let tries = batch.column_by_name(TRY).and_then(|column| column.as_primitive_opt());
    let tries = tries.filter(|tries: &&Int64Array| tries.null_count() == 0).cloned();
    tries.ok_or_else(|| Error::internal(format!("an increment has no numbers `{TRY}`")))
}

/// What became of a job, for the writer.
#[must_use = "push it to a writer"]
#[derive(Debug)]
pub struct Done<F>(pub(crate) Outcome<F>);

#[derive(Debug)]
pub(crate) enum Outcome<F> {
    Record { record: F, origin: Origin },
    Children { records: Vec<F>, parent: Vec<IdValue>, origin: Origin },
    Failed { record: String, failure: Failure },
}

/// The ids of each row.
pub(crate) fn ids_of(
    batch: &RecordBatch,
    names: &[String],
    columns: Option<&[ColumnSpec]>,
) -> Result<Vec<Vec<IdValue>>> {
    let mut rows = vec![Vec::with_capacity(names.len()); batch.num_rows()];
    for name in names {
        let array = batch
            .column_by_name(name)
            .ok_or_else(|| Error::internal(format!("an increment has no id column `{name}`")))?;
        let is_uuid = columns.into_iter().flatten().any(|column| {
            column.name == *name && column.ty == ColumnType::Scalar(ScalarType::Uuid)
        });
        for (row, id) in rows.iter_mut().zip(id_values(array, is_uuid)?) {
            row.push(id);
        }
    }
    Ok(rows)
}

fn id_values(array: &ArrayRef, is_uuid: bool) -> Result<Vec<IdValue>> {
    use types::DataType as D;
    macro_rules! primitive {
        ($ty:ty, $variant:ident) => {
            array
                .as_primitive::<$ty>()
                .values()
                .iter()
                .map(|value| IdValue::$variant((*value).into()))
                .collect()
        };
    }
    Ok(match array.data_type() {
        D::Int8 => primitive!(types::Int8Type, Int),
        D::Int16 => primitive!(types::Int16Type, Int),
        D::Int32 => primitive!(types::Int32Type, Int),
        D::Int64 => primitive!(types::Int64Type, Int),
        D::UInt8 => primitive!(types::UInt8Type, UInt),
        D::UInt16 => primitive!(types::UInt16Type, UInt),
        D::UInt32 => primitive!(types::UInt32Type, UInt),
        D::UInt64 => primitive!(types::UInt64Type, UInt),
        D::Date32 => primitive!(types::Date32Type, Date),
        D::FixedSizeBinary(16) => {
            let bytes = array.as_fixed_size_binary();
            let uuid = |row| IdValue::Uuid(bytes.value(row).try_into().expect("16 bytes"));
            (0..array.len()).map(uuid).collect()
        }
        _ => {
            let text = arrow::compute::cast(array, &D::Utf8)?;
            let text = text.as_string::<i32>();
            let value = |row| {
                let text = text.value(row);
                match is_uuid.then(|| uuid_bytes(text)).flatten() {
                    Some(bytes) => IdValue::Uuid(bytes),
                    None => IdValue::Text(text.to_owned()),
                }
            };
            (0..array.len()).map(value).collect()
        }
    })
}

fn uuid_bytes(text: &str) -> Option<[u8; 16]> {
    hex::decode(text.replace('-', "")).ok()?.try_into().ok()
}

/// A map column as one list of texts per field.
fn by_field(
    batch: &RecordBatch,
    name: &str,
    fields: &[String],
) -> Result<Vec<Vec<Option<String>>>> {
    let maps = batch
        .column_by_name(name)
        .and_then(|column| column.as_map_opt())
        .ok_or_else(|| Error::internal(format!("an increment has no map column `{name}`")))?;
    let keys = maps.keys().as_string::<i32>();
    let values = maps.values().as_string::<i32>();
    let mut columns = vec![vec![None; maps.len()]; fields.len()];
    for row in (0..maps.len()).filter(|&row| maps.is_valid(row)) {
        let offset = |i: usize| usize::try_from(maps.value_offsets()[i]).unwrap_or_default();
        for entry in offset(row)..offset(row + 1) {
            let place = fields.iter().position(|field| field == keys.value(entry));
            if let Some(place) = place.filter(|_| values.is_valid(entry)) {
                columns[place][row] = Some(values.value(entry).to_owned());
            }
        }
    }
    Ok(columns)
}

/// A stream of nothing.
pub(crate) fn no_batches() -> BoxStream<'static, Result<RecordBatch>> {
    futures::stream::empty().boxed()
}
