//! Batches of a caller -> staged batches, or an error that says which row is wrong.
//!
//! Columns are found by name and never by position (H12). Everything that can be said of one row
//! without the others is checked here, so that an engine sees good rows only; what takes all rows,
//! ids that occur twice, is checked where they are staged.

use crate::error::{Error, Result};
use crate::graph::is_id_type;
use crate::spec::ColumnSpec;
use crate::store::backend::{FeatureContext, Layout};
use arrow::array::{
    Array, ArrayRef, AsArray, GenericStringArray, MapArray, OffsetSizeTrait, RecordBatch,
    StringArray, StringBuilder, StructArray, UInt32Array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use metaxy_sql::{ColumnType, system};
use std::sync::Arc;

/// Why rows were not written. Nothing of the write is in the store.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// Columns that the feature does not have, or has and the rows lack.
    #[error("{}", columns_message(.unknown, .missing, .expected))]
    Columns {
        /// In the rows alone.
        unknown: Vec<String>,
        /// In the feature alone.
        missing: Vec<String>,
        /// All that the feature has.
        expected: Vec<String>,
    },
    /// A column of another type.
    #[error("column `{column}` is {found}, expected {expected}")]
    Type {
        /// The column.
        column: String,
        /// Its type in the rows.
        found: String,
        /// Its type in the feature.
        expected: String,
    },
    /// A number where a time is needed, or a time where a number is.
    #[error(
        "column `{column}` is {found}, expected {expected}, and nothing says what is counted since when; \
         convert it where the rows come from, as `to_timestamp(..)` and `epoch(..)` do in SQL, or write \
         times as texts like 2024-01-31T12:00:00Z"
    )]
    NumberForTime {
        /// The column.
        column: String,
        /// Its type in the rows.
        found: String,
        /// Its type in the feature.
        expected: String,
    },
    /// A value that the column would not keep as it is.
    #[error("row {row} has {value} in the column `{column}`, which {expected} cannot keep exactly")]
    Inexact {
        /// The column.
        column: String,
        /// The row of its batch, from 0.
        row: usize,
        /// The value.
        value: String,
        /// The type of the column in the feature.
        expected: String,
    },
    /// NULL where a value is needed.
    #[error(
        "{count} rows have NULL in the {what} column `{column}`, the first of them row {row}; \
         a record needs a value there"
    )]
    Null {
        /// `id` or `not nullable`.
        what: &'static str,
        /// The column.
        column: String,
        /// The first such row of its batch, from 0.
        row: usize,
        /// How many such rows the batch has.
        count: usize,
    },
    /// A text with a NUL character, which not every engine can keep.
    #[error(
        "row {row} ({id}) has a NUL character in the column `{column}`, which no text in a store may \
         hold; remove it, or keep such values as bytes"
    )]
    Nul {
        /// The column.
        column: String,
        /// The row of its batch, from 0.
        row: usize,
        /// Its ids.
        id: String,
    },
    /// One record more than once in a write.
    #[error("{count} rows have the same id {id}; a record can be written once in a write")]
    DuplicateId {
        /// The ids, `name = value`.
        id: String,
        /// How often they occur.
        count: u64,
    },
    /// Rows of a feature with upstreams without what `resolve_update` gave them.
    #[error(
        "the rows have no column `metaxy_provenance_by_field`; write what `resolve_update` returned, \
         with columns added, so that it is known what each record was computed from"
    )]
    NoProvenance,
    /// Rows of a root without versions.
    #[error(
        "the rows have neither a column `metaxy_provenance_by_field` nor a text column for each of \
         the fields: {}", .fields.join(", ")
    )]
    NoVersions {
        /// The fields.
        fields: Vec<String>,
    },
    /// A version for a field that the feature does not have.
    #[error("row {row} has a version for `{field}`, which is no field; the fields are {}", .fields.join(", "))]
    UnknownField {
        /// The row of its batch, from 0.
        row: usize,
        /// The unknown field.
        field: String,
        /// The fields.
        fields: Vec<String>,
    },
    /// No version for a field.
    #[error("row {row} ({id}) has no {what} for field `{field}`")]
    MissingVersion {
        /// The row of its batch, from 0.
        row: usize,
        /// The ids, `name = value`.
        id: String,
        /// `provenance` or `data version`.
        what: &'static str,
        /// The field.
        field: String,
    },
    /// A version that would make two different histories look alike.
    #[error(
        "row {row} ({id}) has the data version {version:?} for field `{field}`; it may not be empty \
         nor contain `|`, which separates versions in what is hashed, nor NUL"
    )]
    BadVersion {
        /// The row of its batch, from 0.
        row: usize,
        /// The ids, `name = value`.
        id: String,
        /// The field.
        field: String,
        /// The version.
        version: String,
    },
    /// A row of an increment that is not for writing.
    #[error("row {row} ({id}) is {status}; only new and stale records are written")]
    NotWritable {
        /// The row of its batch, from 0.
        row: usize,
        /// The ids, `name = value`.
        id: String,
        /// Its class.
        status: String,
    },
    /// A struct that is another definition of the feature than the graph's.
    #[error(
        "the struct has the fields {found:?}, but the feature has {expected:?} in the graph of this \
         store; open the store with a graph of this struct"
    )]
    OtherDefinition {
        /// The fields of the struct.
        found: Vec<String>,
        /// The fields of the feature in the graph.
        expected: Vec<String>,
    },
    /// One parent more than once among the seals of a write.
    #[error(
        "{count} seals are about the same parent {id}; all children of a parent belong into one try, \
         which is sealed once"
    )]
    SealedTwice {
        /// The ids of the parent, `name = value`.
        id: String,
        /// How often they occur.
        count: u64,
    },
    /// Rows of an expansion that do not say of which try they are.
    #[error(
        "the rows have no column `metaxy_try`; they are children of a parent, so take the column along \
         from the row of the increment that they were computed from, or, when a child is amended, from \
         `read`"
    )]
    NoTry,
    /// Seals that do not say how many children there are.
    #[error(
        "the seals have no column `metaxy_children`; add to the rows of the increment how many children \
         each parent has, as Int64"
    )]
    NoChildren,
    /// A number that cannot be less than 0.
    #[error("row {row} ({id}) has {value} in the column `{column}`, which is never negative")]
    Negative {
        /// The row of its batch, from 0.
        row: usize,
        /// The ids, `name = value`.
        id: String,
        /// The column.
        column: String,
        /// The number.
        value: i64,
    },
    /// Seals of an expansion before anything says which types the ids of children have.
    #[error(
        "nothing says which types the columns {} have; push rows of children before the first seal, \
         none will do, or declare the columns of the feature", .columns.iter().map(|column| format!("`{column}`")).collect::<Vec<_>>().join(", ")
    )]
    UnknownTypes {
        /// The ids of children.
        columns: Vec<String>,
    },
    /// Seals of a feature whose records have no parent.
    #[error(
        "the feature is no expansion, so there is nothing to seal; push its rows, and nothing else"
    )]
    NoExpansion,
    /// Failures whose number is not that of the texts.
    #[error("{rows} rows failed, but there are {found} texts; give one for each, or one for all")]
    ErrorTexts {
        /// The rows.
        rows: usize,
        /// The texts.
        found: usize,
    },
    /// Rows that lack what a field is computed from.
    #[error(
        "row {row} has no data version of `{upstream}` for its field `{field}`, which is required"
    )]
    NoInput {
        /// The row of its batch, from 0.
        row: usize,
        /// The upstream.
        upstream: String,
        /// Its field.
        field: String,
    },
    /// One record for a job of an expansion.
    #[error(
        "the job is about a parent, which has any number of records here: \
         `job.children(records)` takes all of them at once"
    )]
    IsExpansion,
    /// Children for a job that is about one record.
    #[error("the job is about one record and not about children: `job.done(record)` takes it")]
    OneRecord,
    /// A child of another parent than the job's.
    #[error("the record {record} belongs to the parent {found}, but the job is about {expected}")]
    OtherParent {
        /// The ids of the record.
        record: String,
        /// The ids of its parent.
        found: String,
        /// The ids of the job.
        expected: String,
    },
    /// A plain struct for a feature with upstreams.
    #[error(
        "a record of a feature with upstreams is written with the job that it came from: \
         `out.push(job.done(record)?)`"
    )]
    WithoutJob,
    /// The result of a job for another record.
    #[error("the record has the id {found}, but the job is about {expected}")]
    OtherRecord {
        /// The ids of the record.
        found: String,
        /// The ids of the job.
        expected: String,
    },
}

fn columns_message(unknown: &[String], missing: &[String], expected: &[String]) -> String {
    let list = |names: &[String]| format!("`{}`", names.join("`, `"));
    let mut parts = Vec::new();
    if !unknown.is_empty() {
        parts.push(format!("unknown columns {}", list(unknown)));
    }
    if !missing.is_empty() {
        parts.push(format!("missing columns {}", list(missing)));
    }
    format!("{}; the feature has {}", parts.join(" and "), list(expected))
}

/// How strictly types are taken. No value is ever changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Types {
    /// As they are; integers may be narrower than the column.
    Exact,
    /// Whatever can be converted without loss: files know fewer types than columns.
    Converted,
}

/// The layout of writes of a feature: by its definition, or, where that knows no types, by the
/// first batch.
pub(crate) fn layout(feature: &FeatureContext, schema: &Schema) -> Result<Layout> {
    let definition = feature.definition();
    let ids = &definition.spec.id_columns;
    let fields = feature.field_names();
    let all: Vec<ColumnSpec> = match &definition.columns {
        Some(columns) => columns.clone(),
        None => {
            let mut columns = Vec::new();
            for field in schema.fields() {
                let name = field.name();
                let is_version = definition.spec.deps.is_empty()
                    && !schema.fields().iter().any(|f| f.name() == system::PROVENANCE_BY_FIELD)
                    && fields.contains(name);
                if is_ours(name) || is_version {
                    continue;
                }
                let ty = ColumnType::from_arrow(field.data_type()).ok_or_else(|| {
                    write_error(
                        feature,
                        WriteError::Type {
                            column: name.clone(),
                            found: field.data_type().to_string(),
                            expected: "a type that a column can have".to_owned(),
                        },
                    )
                })?;
                let is_id = ids.contains(name);
                if is_id && !is_id_type(ty) {
                    return Err(write_error(
                        feature,
                        WriteError::Type {
                            column: name.clone(),
                            found: ty.to_string(),
                            expected: "an integer, a text, a date or a UUID, as every id is"
                                .to_owned(),
                        },
                    ));
                }
                let nullable = !is_id;
                columns.push(ColumnSpec { name: name.clone(), ty, nullable });
            }
            columns
        }
    };
    let id = |name: &String| all.iter().find(|column| column.name == *name).cloned();
    let missing: Vec<String> = ids.iter().filter(|name| id(name).is_none()).cloned().collect();
    if !missing.is_empty() {
        let expected = ids.clone();
        return Err(write_error(
            feature,
            WriteError::Columns { unknown: Vec::new(), missing, expected },
        ));
    }
    Ok(Layout {
        ids: ids.iter().filter_map(id).collect(),
        columns: all.iter().filter(|column| !ids.contains(&column.name)).cloned().collect(),
        fields,
        parents: feature.is_expansion().then(|| feature.parent_ids()),
    })
}

pub(crate) fn write_error(feature: &FeatureContext, reason: WriteError) -> Error {
    Error::Write { feature: feature.key().clone(), reason }
}

/// Whether a column is one of ours, of a table or of an increment. Others that begin as ours do are
/// no columns of anything.
fn is_ours(name: &str) -> bool {
    use crate::increment as i;
    system::COLUMNS.contains(&name)
        || [i::STATUS, i::STALE_FIELDS, i::STORED_PROVENANCE, i::STORED_VERSION, i::CAUSE, i::TRY]
            .contains(&name)
}

/// The schema of staged batches.
pub(crate) fn staged_schema(layout: &Layout) -> Arc<Schema> {
    let typed = |prefix: &'static str, columns: &[ColumnSpec]| -> Vec<Field> {
        let field = |(i, c): (usize, &ColumnSpec)| {
            Field::new(format!("{prefix}{i}"), c.ty.to_arrow(), true)
        };
        columns.iter().enumerate().map(field).collect()
    };
    let mut fields = typed("id", &layout.ids);
    fields.extend(typed("c", &layout.columns));
    for prefix in ["p", "d"] {
        fields.extend(
            (0..layout.fields.len())
                .map(|i| Field::new(format!("{prefix}{i}"), DataType::Utf8, true)),
        );
    }
    if layout.parents.is_some() {
        fields.push(Field::new("try", DataType::Int64, true));
    }
    Arc::new(Schema::new(fields))
}

/// The schema of staged seals; there are none without parents.
pub(crate) fn seals_schema(layout: &Layout) -> Arc<Schema> {
    let places = layout.parents.iter().flatten().enumerate();
    let mut fields: Vec<Field> = places
        .map(|(i, place)| Field::new(format!("id{i}"), layout.ids[*place].ty.to_arrow(), true))
        .collect();
    fields.extend(["try", "children"].map(|name| Field::new(name, DataType::Int64, true)));
    let provenance = |i| Field::new(format!("p{i}"), DataType::Utf8, true);
    fields.extend((0..layout.fields.len()).map(provenance));
    Arc::new(Schema::new(fields))
}

/// Turns batches of a caller into staged ones.
#[derive(Debug)]
pub(crate) struct Stager<'a> {
    pub(crate) feature: &'a FeatureContext,
    pub(crate) layout: &'a Layout,
    pub(crate) types: Types,
}

impl Stager<'_> {
    fn error(&self, reason: WriteError) -> Error {
        write_error(self.feature, reason)
    }

    /// Checks a batch and lays it out.
    pub(crate) fn stage(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        self.check_names(batch)?;
        let mut arrays = self.columns(batch, &self.layout.ids)?;
        for (column, array) in self.layout.ids.iter().zip(&arrays) {
            self.no_nulls("id", column, array)?;
        }
        self.check_status(batch)?;
        let others = self.columns(batch, &self.layout.columns)?;
        for (column, array) in self.layout.columns.iter().zip(&others) {
            if !column.nullable {
                self.no_nulls("not nullable", column, array)?;
            }
        }
        arrays.extend(others);
        let provenances = self.provenances(batch)?;
        let data_versions = self.data_versions(batch)?;
        arrays.extend(provenances.into_iter().map(|array| Arc::new(array) as ArrayRef));
        arrays.extend(data_versions.into_iter().map(|array| Arc::new(array) as ArrayRef));
        if self.layout.parents.is_some() {
            let Some(tries) = self.numbers(batch, system::TRY)? else {
                return Err(self.error(WriteError::NoTry));
            };
            arrays.push(tries);
        }
        Ok(RecordBatch::try_new(staged_schema(self.layout), arrays)?)
    }

    /// Checks seals and lays them out: rows of an increment, with the number of children.
    pub(crate) fn seal(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let Some(places) = &self.layout.parents else {
            return Err(self.error(WriteError::NoExpansion));
        };
        let parents: Vec<ColumnSpec> =
            places.iter().map(|place| self.layout.ids[*place].clone()).collect();
        let missing: Vec<String> = parents
            .iter()
            .filter(|id| batch.column_by_name(&id.name).is_none())
            .map(|id| id.name.clone())
            .collect();
        if !missing.is_empty() {
            let expected = parents.into_iter().map(|id| id.name).collect();
            return Err(self.error(WriteError::Columns { unknown: Vec::new(), missing, expected }));
        }
        let mut arrays = self.columns(batch, &parents)?;
        for (column, array) in parents.iter().zip(&arrays) {
            self.no_nulls("id", column, array)?;
        }
        self.check_status(batch)?;
        let absent = [
            (system::TRY, "try", WriteError::NoTry),
            (system::CHILDREN, "number", WriteError::NoChildren),
        ];
        for (name, what, absent) in absent {
            let Some(numbers) = self.numbers(batch, name)? else { return Err(self.error(absent)) };
            let ty = ColumnType::Scalar(metaxy_sql::ScalarType::Int64);
            let column = ColumnSpec { name: name.to_owned(), ty, nullable: false };
            self.no_nulls(what, &column, &numbers)?;
            arrays.push(numbers);
        }
        let provenances = self.provenances(batch)?;
        arrays.extend(provenances.into_iter().map(|array| Arc::new(array) as ArrayRef));
        Ok(RecordBatch::try_new(seals_schema(self.layout), arrays)?)
    }

    /// A column of numbers that are never negative; nothing if there is no such column.
    fn numbers(&self, batch: &RecordBatch, name: &str) -> Result<Option<ArrayRef>> {
        let Some(array) = batch.column_by_name(name) else { return Ok(None) };
        let expected = ColumnType::Scalar(metaxy_sql::ScalarType::Int64);
        if !fits(array.data_type(), expected) {
            return Err(self.error(WriteError::Type {
                column: name.to_owned(),
                found: array.data_type().to_string(),
                expected: expected.to_string(),
            }));
        }
        let array = arrow::compute::cast(array, &DataType::Int64)?;
        for (row, value) in array.as_primitive::<arrow::datatypes::Int64Type>().iter().enumerate() {
            if let Some(value) = value.filter(|value| *value < 0) {
                let (id, column) = (self.id(batch, row), name.to_owned());
                return Err(self.error(WriteError::Negative { row, id, column, value }));
            }
        }
        Ok(Some(array))
    }

    /// Whether a root's versions come as one text column per field.
    fn has_version_columns(&self, batch: &RecordBatch) -> bool {
        self.feature.is_root() && batch.column_by_name(system::PROVENANCE_BY_FIELD).is_none()
    }

    fn check_names(&self, batch: &RecordBatch) -> Result<()> {
        let known = || self.layout.ids.iter().chain(&self.layout.columns);
        let schema = batch.schema();
        let versions = self.has_version_columns(batch);
        let unknown: Vec<String> = schema
            .fields()
            .iter()
            .map(|field| field.name())
            .filter(|name| !is_ours(name))
            .filter(|name| !(versions && self.layout.fields.contains(name)))
            .filter(|name| !known().any(|column| column.name == **name))
            .cloned()
            .collect();
        let missing: Vec<String> = known()
            .filter(|column| batch.column_by_name(&column.name).is_none())
            .map(|column| column.name.clone())
            .collect();
        if unknown.is_empty() && missing.is_empty() {
            return Ok(());
        }
        let expected = known().map(|column| column.name.clone()).collect();
        Err(self.error(WriteError::Columns { unknown, missing, expected }))
    }

    fn columns(&self, batch: &RecordBatch, columns: &[ColumnSpec]) -> Result<Vec<ArrayRef>> {
        columns
            .iter()
            .map(|column| {
                let array = batch.column_by_name(&column.name).expect("names were checked");
                if !is_bytes(column.ty) {
                    self.no_nul(&column.name, array, |row| self.id(batch, row))?;
                }
                self.converted(column, array)
            })
            .collect()
    }

    /// Values in the type of their column. A time without a zone is one of UTC.
    fn converted(&self, column: &ColumnSpec, array: &ArrayRef) -> Result<ArrayRef> {
        let (found, expected) = (array.data_type(), column.ty.to_arrow());
        if *found == expected {
            return Ok(Arc::clone(array));
        }
        let names = || (column.name.clone(), found.to_string(), column.ty.to_string());
        let wrong = || {
            let (column, found, expected) = names();
            self.error(WriteError::Type { column, found, expected })
        };
        if self.types == Types::Exact && !fits(found, column.ty) {
            return Err(wrong());
        }
        // To Arrow a time is a number, of days or of parts of a second.
        let (value, wanted) = (value_type(found), value_type(&expected));
        if value.is_numeric() && wanted.is_temporal() || value.is_temporal() && wanted.is_numeric()
        {
            let (column, found, expected) = names();
            return Err(self.error(WriteError::NumberForTime { column, found, expected }));
        }
        let array = &arrow::compute::cast(array, &without_names(found))?;
        let options = CastOptions { safe: false, ..CastOptions::default() };
        let converted = cast_with_options(array, &without_names(&expected), &options);
        let converted = converted.map_err(|_| match first_text_of_no_time(array, &expected) {
            Some(text) => self.error(WriteError::Type {
                column: column.name.clone(),
                found: format!("{found} with `{text}`"),
                expected: format!("{}, as 2024-01-31T12:00:00Z", column.ty),
            }),
            None => wrong(),
        })?;
        self.nothing_lost(column, array, &converted)?;
        Ok(arrow::compute::cast(&converted, &expected)?)
    }

    /// A number or a time that was converted is the same when it is converted back. A text is read,
    /// and may be written in more than one way; of a time it has no parts of a microsecond.
    fn nothing_lost(
        &self,
        column: &ColumnSpec,
        array: &ArrayRef,
        converted: &ArrayRef,
    ) -> Result<()> {
        let found = array.data_type();
        let inexact = |row: usize| {
            self.error(WriteError::Inexact {
                column: column.name.clone(),
                row,
                value: describe_value(array, row),
                expected: column.ty.to_string(),
            })
        };
        if is_time(converted.data_type())
            && let Some(texts) = texts(array)?
        {
            let row = texts.into_iter().find(|(_, text)| has_parts_of_a_microsecond(text));
            return row.map_or(Ok(()), |(row, _)| Err(inexact(row)));
        }
        let value = value_type(found);
        if !(value.is_numeric() || matches!(value, DataType::Timestamp(_, _))) {
            return Ok(());
        }
        let back = arrow::compute::cast(converted, found)?;
        if back.to_data() == array.to_data() {
            return Ok(());
        }
        let differs = |row: &usize| back.slice(*row, 1).to_data() != array.slice(*row, 1).to_data();
        Err(inexact((0..array.len()).find(differs).unwrap_or_default()))
    }

    /// The ids of rows that are to be deleted, in the layout of a stage.
    pub(crate) fn stage_ids(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let ids = &self.layout.ids;
        let missing: Vec<String> = ids
            .iter()
            .filter(|id| batch.column_by_name(&id.name).is_none())
            .map(|id| id.name.clone())
            .collect();
        if !missing.is_empty() {
            let expected = ids.iter().map(|id| id.name.clone()).collect();
            return Err(self.error(WriteError::Columns { unknown: Vec::new(), missing, expected }));
        }
        let arrays = self.columns(batch, ids)?;
        for (column, array) in ids.iter().zip(&arrays) {
            self.no_nulls("id", column, array)?;
        }
        let fields = staged_schema(self.layout).fields()[..ids.len()].to_vec();
        Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?)
    }

    fn no_nulls(&self, what: &'static str, column: &ColumnSpec, array: &ArrayRef) -> Result<()> {
        let has_nulls = array.null_count() > 0;
        match (0..array.len()).find(|row| has_nulls && array.is_null(*row)) {
            None => Ok(()),
            Some(row) => Err(self.error(WriteError::Null {
                what,
                column: column.name.clone(),
                row,
                count: array.null_count(),
            })),
        }
    }

    /// Refuses texts that not every engine can keep, of a row with these ids.
    pub(crate) fn no_nul(
        &self,
        column: &str,
        array: &ArrayRef,
        id: impl FnOnce(usize) -> String,
    ) -> Result<()> {
        match row_with_nul(array) {
            None => Ok(()),
            Some(row) => {
                let (column, id) = (column.to_owned(), id(row).replace('\0', "\\0"));
                Err(self.error(WriteError::Nul { column, row, id }))
            }
        }
    }

    /// The ids of a row, for messages.
    fn id(&self, batch: &RecordBatch, row: usize) -> String {
        let names = self.layout.ids.iter().map(|column| column.name.as_str());
        describe_ids(names.filter_map(|name| Some((name, batch.column_by_name(name)?))), row)
    }

    /// Rows of an increment that are orphaned or blocked are not for writing.
    fn check_status(&self, batch: &RecordBatch) -> Result<()> {
        let Some(status) = batch.column_by_name(crate::increment::STATUS) else { return Ok(()) };
        let status = self.text(crate::increment::STATUS, status)?;
        for (row, value) in status.iter().enumerate() {
            if let Some(value @ ("orphaned" | "blocked")) = value {
                let (id, status) = (self.id(batch, row), value.to_owned());
                return Err(self.error(WriteError::NotWritable { row, id, status }));
            }
        }
        Ok(())
    }

    fn provenances(&self, batch: &RecordBatch) -> Result<Vec<StringArray>> {
        let is_root = self.feature.is_root();
        let arrays = match batch.column_by_name(system::PROVENANCE_BY_FIELD) {
            Some(column) => self.by_field(system::PROVENANCE_BY_FIELD, column)?,
            None if is_root => self.version_columns(batch)?,
            None => return Err(self.error(WriteError::NoProvenance)),
        };
        for (field, array) in self.layout.fields.iter().zip(&arrays) {
            if array.null_count() == 0 && are_versions(array) {
                continue;
            }
            for (row, value) in array.iter().enumerate() {
                let Some(value) = value else {
                    let what = if is_root { "data version" } else { "provenance" };
                    let (id, field) = (self.id(batch, row), field.clone());
                    return Err(self.error(WriteError::MissingVersion { row, id, what, field }));
                };
                self.check_version(batch, row, field, value)?;
            }
        }
        Ok(arrays)
    }

    fn version_columns(&self, batch: &RecordBatch) -> Result<Vec<StringArray>> {
        let fields = &self.layout.fields;
        let columns: Option<Vec<&ArrayRef>> =
            fields.iter().map(|field| batch.column_by_name(field)).collect();
        let Some(columns) = columns else {
            return Err(self.error(WriteError::NoVersions { fields: fields.clone() }));
        };
        columns.into_iter().zip(fields).map(|(array, field)| self.text(field, array)).collect()
    }

    fn text(&self, column: &str, array: &ArrayRef) -> Result<StringArray> {
        let wrong = || {
            self.error(WriteError::Type {
                column: column.to_owned(),
                found: array.data_type().to_string(),
                expected: "Utf8".to_owned(),
            })
        };
        let is_text = is_text(array.data_type()) || *array.data_type() == DataType::Null;
        if !is_text && self.types == Types::Exact {
            return Err(wrong());
        }
        as_texts(array).map_err(|_| wrong())
    }

    /// A version that is written stays injective in what is hashed over it (wire format, 2.1).
    fn check_version(
        &self,
        batch: &RecordBatch,
        row: usize,
        field: &str,
        version: &str,
    ) -> Result<()> {
        if !is_version(version) {
            return Err(self.error(WriteError::BadVersion {
                row,
                id: self.id(batch, row),
                field: field.to_owned(),
                version: version.to_owned(),
            }));
        }
        Ok(())
    }

    /// The data versions that the caller gives; NULL where it gives none.
    fn data_versions(&self, batch: &RecordBatch) -> Result<Vec<StringArray>> {
        let fields = &self.layout.fields;
        let Some(column) = batch.column_by_name(system::DATA_VERSION_BY_FIELD) else {
            return Ok(vec![StringArray::new_null(batch.num_rows()); fields.len()]);
        };
        let given = self.by_field(system::DATA_VERSION_BY_FIELD, column)?;
        for (field, versions) in fields.iter().zip(&given) {
            if are_versions(versions) {
                continue;
            }
            for (row, version) in versions.iter().enumerate() {
                if let Some(version) = version {
                    self.check_version(batch, row, field, version)?;
                }
            }
        }
        Ok(given)
    }

    /// A map or a struct as one array of texts per field.
    fn by_field(&self, name: &str, column: &ArrayRef) -> Result<Vec<StringArray>> {
        let fields = &self.layout.fields;
        let unknown = |row: usize, field: &str| {
            self.error(WriteError::UnknownField {
                row,
                field: field.to_owned(),
                fields: fields.clone(),
            })
        };
        if let Some(columns) = column.as_struct_opt() {
            for member in columns.fields() {
                if !fields.contains(member.name()) {
                    return Err(unknown(0, member.name()));
                }
            }
            return fields
                .iter()
                .map(|field| match columns.column_by_name(field) {
                    None => Ok(StringArray::new_null(columns.len())),
                    Some(values) => {
                        let values = self.text(name, values)?;
                        let value = |row| {
                            (columns.is_valid(row) && values.is_valid(row))
                                .then(|| values.value(row))
                        };
                        Ok((0..columns.len()).map(value).collect())
                    }
                })
                .collect();
        }
        let Some(maps) = column.as_map_opt() else {
            return Err(self.error(WriteError::Type {
                column: name.to_owned(),
                found: column.data_type().to_string(),
                expected: format!("{} or a struct of Utf8", ColumnType::TextMap),
            }));
        };
        let (keys, values) = (self.text(name, maps.keys())?, self.text(name, maps.values())?);
        let offsets = maps.value_offsets();
        // Of each field, where its values are among those of all maps.
        let mut by_field: Vec<Vec<Option<u32>>> = vec![vec![None; maps.len()]; fields.len()];
        for row in 0..maps.len() {
            if maps.is_null(row) {
                continue;
            }
            let entries = offset(offsets[row])..offset(offsets[row + 1]);
            for entry in entries {
                let key = keys.value(entry);
                let place = fields.iter().position(|field| field == key);
                let place = place.ok_or_else(|| unknown(row, key))?;
                by_field[place][row] = u32::try_from(entry).ok();
            }
        }
        let texts = |places: Vec<Option<u32>>| -> Result<StringArray> {
            let texts = arrow::compute::take(&values, &UInt32Array::from(places), None)?;
            Ok(texts.as_string::<i32>().clone())
        };
        by_field.into_iter().map(texts).collect()
    }
}

/// The texts of one name in a column of maps or structs; NULL where a row has none.
pub(crate) fn texts_by_name(
    feature: &FeatureContext,
    column: &str,
    array: &ArrayRef,
    name: &str,
) -> Result<StringArray> {
    let text = |array: &ArrayRef| -> Result<StringArray> {
        Ok(arrow::compute::cast(array, &DataType::Utf8)?.as_string::<i32>().clone())
    };
    if let Some(members) = array.as_struct_opt() {
        let Some(values) = members.column_by_name(name) else {
            return Ok(StringArray::new_null(members.len()));
        };
        let values = text(values)?;
        let is_there = |row: &usize| members.is_valid(*row) && values.is_valid(*row);
        let value = |row: usize| is_there(&row).then(|| values.value(row));
        return Ok((0..members.len()).map(value).collect());
    }
    let Some(maps) = array.as_map_opt() else {
        return Err(write_error(
            feature,
            WriteError::Type {
                column: column.to_owned(),
                found: array.data_type().to_string(),
                expected: format!("{} or a struct of Utf8", ColumnType::TextMap),
            },
        ));
    };
    let (keys, values) = (text(maps.keys())?, text(maps.values())?);
    let offsets = maps.value_offsets();
    let value = |row: usize| {
        let mut entries = offset(offsets[row])..offset(offsets[row + 1]);
        let entry = entries.find(|entry| maps.is_valid(row) && keys.value(*entry) == name)?;
        values.is_valid(entry).then(|| values.value(entry))
    };
    Ok((0..maps.len()).map(value).collect())
}

/// The by-field columns of a batch as maps from text to text: other programs write structs.
#[cfg(feature = "sql")]
pub(crate) fn text_maps(batch: &RecordBatch) -> Result<RecordBatch> {
    let names = [system::PROVENANCE_BY_FIELD, system::DATA_VERSION_BY_FIELD];
    let mut fields = Vec::new();
    let mut columns = Vec::new();
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        let members = column.as_struct_opt().filter(|_| names.contains(&field.name().as_str()));
        let Some(members) = members else {
            fields.push(Arc::clone(field));
            columns.push(Arc::clone(column));
            continue;
        };
        let keys: Vec<String> = members.fields().iter().map(|f| f.name().clone()).collect();
        let mut texts = Vec::new();
        for values in members.columns() {
            let text = arrow::compute::cast(values, &DataType::Utf8)?;
            texts.push(text.as_string::<i32>().clone());
        }
        let map = text_map_array(
            &keys,
            members.len(),
            |row| members.is_valid(row),
            |k, row| texts[k].is_valid(row).then(|| texts[k].value(row)),
        );
        fields.push(Arc::new(Field::new(field.name(), map.data_type().clone(), true)));
        columns.push(map);
    }
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}

/// A map per row, from the names whose value is there; NULL where a row has none.
pub(crate) fn text_map_array<'a>(
    names: &[String],
    n_rows: usize,
    has_map: impl Fn(usize) -> bool,
    value: impl Fn(usize, usize) -> Option<&'a str>,
) -> ArrayRef {
    let mut keys = StringBuilder::new();
    let mut values = StringBuilder::new();
    let mut lengths = Vec::with_capacity(n_rows);
    let mut valid = Vec::with_capacity(n_rows);
    for row in 0..n_rows {
        let mut length = 0;
        if has_map(row) {
            for (k, name) in names.iter().enumerate() {
                if let Some(value) = value(k, row) {
                    keys.append_value(name);
                    values.append_value(value);
                    length += 1;
                }
            }
        }
        lengths.push(length);
        valid.push(has_map(row));
    }
    let DataType::Map(entry, _) = metaxy_sql::types::text_map() else {
        unreachable!("a text map is a map")
    };
    let DataType::Struct(fields) = entry.data_type().clone() else {
        unreachable!("the entries of a map are structs")
    };
    let entries =
        StructArray::new(fields, vec![Arc::new(keys.finish()), Arc::new(values.finish())], None);
    let offsets = OffsetBuffer::from_lengths(lengths);
    Arc::new(MapArray::new(entry, offsets, entries, Some(NullBuffer::from(valid)), false))
}

fn offset(value: i32) -> usize {
    usize::try_from(value).expect("offsets of an array are never negative")
}

/// Whether a text can be a version: something, in one piece, that every engine keeps.
pub(crate) fn is_version(text: &str) -> bool {
    !text.is_empty() && !text.contains(['|', '\0'])
}

/// Whether all texts of an array can be versions; those that are NULL are none. It looks at the bytes of
/// all of them at once, in which a character is found as what it is.
fn are_versions(array: &StringArray) -> bool {
    let bytes = bytes_of(array);
    let offsets = array.value_offsets();
    let is_something = |row: usize| array.is_null(row) || offsets[row] < offsets[row + 1];
    !bytes.contains(&b'|') && !bytes.contains(&0) && (0..array.len()).all(is_something)
}

/// The bytes of all texts of an array, one after the other.
fn bytes_of<O: OffsetSizeTrait>(array: &GenericStringArray<O>) -> &[u8] {
    let offsets = array.value_offsets();
    &array.value_data()[offsets[0].as_usize()..offsets[array.len()].as_usize()]
}

/// The first row that has a text with a NUL character, in a list or map of it as well.
fn row_with_nul(array: &ArrayRef) -> Option<usize> {
    fn of_texts<O: OffsetSizeTrait>(array: &GenericStringArray<O>) -> Option<usize> {
        // Nearly always there is none, which is seen faster in all texts at once.
        let may_be = bytes_of(array).contains(&0);
        array.iter().position(|text| may_be && text.is_some_and(|text| text.contains('\0')))
    }
    match array.data_type() {
        DataType::Utf8 => of_texts(array.as_string::<i32>()),
        DataType::LargeUtf8 => of_texts(array.as_string::<i64>()),
        DataType::Utf8View => {
            array.as_string_view().iter().position(|text| text.is_some_and(|t| t.contains('\0')))
        }
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            row_with_nul(list.values())?;
            (0..list.len()).find(|row| row_with_nul(&list.value(*row)).is_some())
        }
        DataType::Map(_, _) => {
            let map = array.as_map();
            let is_in = |entries: &StructArray| {
                entries.columns().iter().any(|column| row_with_nul(column).is_some())
            };
            let may_be = is_in(map.entries());
            (0..map.len()).find(|row| may_be && is_in(&map.value(*row)))
        }
        _ => None,
    }
}

/// Whether an array of one type can be written to a column of another without any loss.
fn fits(found: &DataType, expected: ColumnType) -> bool {
    use DataType as D;
    let Some(found_type) = ColumnType::from_arrow(found) else { return *found == D::Null };
    let expected = expected.to_arrow();
    if found_type.to_arrow() == expected {
        return true;
    }
    let narrower: &[DataType] = match expected {
        D::Int16 => &[D::Int8, D::UInt8],
        D::Int32 => &[D::Int8, D::UInt8, D::Int16, D::UInt16],
        D::Int64 => &[D::Int8, D::UInt8, D::Int16, D::UInt16, D::Int32, D::UInt32],
        D::UInt16 => &[D::UInt8],
        D::UInt32 => &[D::UInt8, D::UInt16],
        D::UInt64 => &[D::UInt8, D::UInt16, D::UInt32],
        D::Float64 => &[D::Float32],
        _ => &[],
    };
    narrower.contains(found)
}

/// The type of single values: of a list, that of its items.
fn value_type(ty: &DataType) -> &DataType {
    match ty {
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            item.data_type()
        }
        other => other,
    }
}

/// Whether a column holds bytes, which come as texts from where there is one type for both.
fn is_bytes(ty: ColumnType) -> bool {
    use metaxy_sql::ScalarType::Bytes;
    matches!(ty, ColumnType::Scalar(Bytes) | ColumnType::List(Bytes))
}

fn is_text(ty: &DataType) -> bool {
    matches!(ty, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

/// The same type with an offset in place of the name of a time zone: UTC needs no table of zones.
pub(crate) fn without_names(ty: &DataType) -> DataType {
    match ty {
        DataType::Timestamp(unit, Some(_)) => DataType::Timestamp(*unit, Some("+00:00".into())),
        DataType::List(item) => {
            let item = item.as_ref().clone();
            let ty = without_names(item.data_type());
            DataType::List(Arc::new(item.with_data_type(ty)))
        }
        other => other.clone(),
    }
}

/// Values of any type as texts.
pub(crate) fn as_texts(array: &ArrayRef) -> Result<StringArray, ArrowError> {
    let array = arrow::compute::cast(array, &without_names(array.data_type()))?;
    Ok(arrow::compute::cast(&array, &DataType::Utf8)?.as_string::<i32>().clone())
}

/// Whether values are points in time, or lists of them.
fn is_time(ty: &DataType) -> bool {
    matches!(value_type(ty), DataType::Timestamp(_, _))
}

/// The texts of an array of texts, or of lists of them, with their rows.
fn texts(array: &ArrayRef) -> Result<Option<Vec<(usize, String)>>, ArrowError> {
    if !is_text(value_type(array.data_type())) {
        return Ok(None);
    }
    let of = |texts: &StringArray, row: Option<usize>| {
        let texts = texts.iter().enumerate();
        let text = |(i, text): (usize, Option<&str>)| Some((row.unwrap_or(i), text?.to_owned()));
        texts.filter_map(text).collect::<Vec<_>>()
    };
    if is_text(array.data_type()) {
        return Ok(Some(of(arrow::compute::cast(array, &DataType::Utf8)?.as_string(), None)));
    }
    let item = Arc::new(Field::new_list_field(DataType::Utf8, true));
    let lists = arrow::compute::cast(array, &DataType::List(item))?;
    let lists = lists.as_list::<i32>();
    let rows = (0..lists.len()).filter(|row| lists.is_valid(*row));
    Ok(Some(rows.flat_map(|row| of(lists.value(row).as_string(), Some(row))).collect()))
}

/// The first text that is no point in time, where one is needed.
fn first_text_of_no_time(array: &ArrayRef, expected: &DataType) -> Option<String> {
    if !is_time(expected) {
        return None;
    }
    let is_no_time = |text: &str| {
        arrow::compute::kernels::cast_utils::string_to_datetime(&chrono::Utc, text).is_err()
    };
    texts(array).ok()??.into_iter().map(|(_, text)| text).find(|text| is_no_time(text))
}

/// Whether the text of a time has digits after the sixth of a second, other than 0.
fn has_parts_of_a_microsecond(text: &str) -> bool {
    let (_, fraction) = text.split_once('.').unwrap_or_default();
    let digits = fraction.bytes().take_while(u8::is_ascii_digit);
    digits.skip(6).any(|digit| digit != b'0')
}

/// `name = value, ..` of one row, for messages.
pub(crate) fn describe_ids<'a>(
    columns: impl IntoIterator<Item = (&'a str, &'a ArrayRef)>,
    row: usize,
) -> String {
    let pairs =
        columns.into_iter().map(|(name, array)| format!("{name} = {}", describe_value(array, row)));
    pairs.collect::<Vec<_>>().join(", ")
}

/// A value, for messages.
fn describe_value(array: &ArrayRef, row: usize) -> String {
    let value = array.slice(row, 1);
    if value.is_null(0) {
        return "NULL".to_owned();
    }
    // The name of a time zone is nothing that can be shown without a table of all of them.
    let (value, zone) = match value.data_type() {
        DataType::Timestamp(unit, Some(_)) => {
            (arrow::compute::cast(&value, &DataType::Timestamp(*unit, None)), "Z")
        }
        _ => (Ok(value), ""),
    };
    let options = FormatOptions::default();
    let shown = value.as_ref().map(|value| {
        ArrayFormatter::try_new(value, &options).map(|f| f.value(0).to_string() + zone)
    });
    match shown {
        Ok(Ok(text)) => text,
        _ => "a value that cannot be shown".to_owned(),
    }
}
