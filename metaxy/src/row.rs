//! [`Row`]: structs to and from record batches, column by column and by name.
//!
//! The codecs are what a derive makes one constant of per member. Each names the bound on the
//! member's type once, in its constructor; everything else goes through function pointers, so that
//! a type that cannot be stored is one error and not five.

use crate::column::{Column, DecodeError, IdColumn, IdValue, ListItem, range, texts};
use crate::data_version::{DataVersion, VersionMember};
use crate::def::{ColumnDef, FeatureDef, FieldDef};
use crate::spec::ColumnSpec;
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use metaxy_sql::ColumnType;

/// A struct that can be read from the rows of a record batch.
///
/// Implemented by [`#[derive(Row)]`](derive@crate::Row), and for every feature.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be read from rows",
    label = "expected a type that derives `Row` or `Feature`",
    note = "add `#[derive(metaxy::Row)]` to `{Self}`"
)]
pub trait Row: Sized {
    /// Reads the rows of a batch; columns are found by name, and others are ignored.
    ///
    /// # Errors
    /// [`RowError`] if a column is missing, has another type, or holds a value that the member
    /// cannot.
    fn decode(batch: &RecordBatch) -> Result<Vec<Self>, RowError>;

    /// The columns that it reads; ids first in a feature.
    #[must_use]
    fn columns() -> Vec<ColumnSpec>;
}

/// Why rows could not be read from a batch.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("column `{column}` of `{row_type}` cannot be read")]
pub struct RowError {
    row_type: &'static str,
    column: &'static str,
    #[source]
    reason: RowErrorReason,
}

/// What is wrong with a column.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RowErrorReason {
    /// It is not there.
    #[error("there is no such column among `{}`", .found.join("`, `"))]
    Missing {
        /// The columns of the batch.
        found: Vec<String>,
    },
    /// It is there, but cannot be read.
    #[error(transparent)]
    Decode(#[from] DecodeError),
}

impl RowError {
    /// The column in question.
    #[must_use]
    pub fn column(&self) -> &str {
        self.column
    }

    /// What is wrong with it.
    #[must_use]
    pub fn reason(&self) -> &RowErrorReason {
        &self.reason
    }
}

/// The column in which a feature's data versions travel.
pub(crate) const DATA_VERSIONS: &str = "metaxy_data_version_by_field";

/// A batch that is being read.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    row_type: &'static str,
    batch: &'a RecordBatch,
}

impl<'a> Rows<'a> {
    /// Begins to read rows of a type with this name.
    #[must_use]
    pub fn new(row_type: &'static str, batch: &'a RecordBatch) -> Self {
        Self { row_type, batch }
    }

    /// As many rows as the batch has; each call of `row` takes one cell of each column.
    ///
    /// # Errors
    /// None: what can fail has been decoded by then. It is what the derived method ends with.
    pub fn collect<R>(self, mut row: impl FnMut() -> R) -> Result<Vec<R>, RowError> {
        Ok((0..self.batch.num_rows()).map(|_| row()).collect())
    }

    fn column<T>(
        self,
        column: &'static str,
        decode: impl FnOnce(&dyn Array) -> Result<Vec<T>, RowErrorReason>,
    ) -> Result<Cells<T>, RowError> {
        let cells = match self.batch.column_by_name(column) {
            Some(array) => decode(array),
            None => Err(RowErrorReason::Missing {
                found: self.batch.schema().fields().iter().map(|f| f.name().clone()).collect(),
            }),
        };
        match cells {
            Ok(cells) => Ok(Cells(cells.into_iter())),
            Err(reason) => Err(RowError { row_type: self.row_type, column, reason }),
        }
    }
}

/// The values of one column that have not been taken yet.
#[derive(Debug)]
pub struct Cells<T>(std::vec::IntoIter<T>);

impl<T> Cells<T> {
    /// The next value.
    ///
    /// # Panics
    /// If more are taken than the batch has rows, which [`Rows::collect`] does not.
    pub fn take(&mut self) -> T {
        self.0.next().expect("a decoded column has as many values as its batch has rows")
    }
}

/// How a member that is a column is stored.
#[derive(Debug)]
pub struct ColumnCodec<T> {
    def: ColumnDef,
    encode: Encode<T>,
    decode: Decode<T>,
}

type Encode<T> = for<'i, 'a> fn(&'i mut (dyn Iterator<Item = Option<&'a T>> + 'i)) -> ArrayRef;
type Decode<T> = fn(&dyn Array) -> Result<Vec<Option<T>>, DecodeError>;

impl<T> ColumnCodec<T> {
    /// A column of this name.
    ///
    /// # Panics
    /// If a column of this type makes no sense; in a constant that is a compile error.
    #[must_use]
    #[track_caller]
    pub const fn new(name: &'static str, description: Option<&'static str>) -> Self
    where
        T: Column,
    {
        if let Some(problem) = T::PROBLEM {
            panic!("{}", problem);
        }
        let def = ColumnDef { name, ty: T::TYPE, nullable: T::NULLABLE, description };
        Self { def, encode: T::encode, decode: T::decode }
    }

    /// The column as plain data.
    #[must_use]
    pub const fn def(&self) -> ColumnDef {
        self.def
    }

    /// The array of the member that `get` borrows.
    pub fn encode<R>(&self, rows: &[R], get: fn(&R) -> &T) -> ArrayRef {
        (self.encode)(&mut rows.iter().map(|row| Some(get(row))))
    }

    /// The values of the column.
    ///
    /// # Errors
    /// As [`Row::decode`].
    pub fn decode(&self, rows: Rows<'_>) -> Result<Cells<T>, RowError> {
        rows.column(self.def.name, |array| {
            let values = (self.decode)(array)?.into_iter().enumerate();
            let values = values.map(|(row, value)| value.ok_or(DecodeError::Null { row }));
            Ok(values.collect::<Result<_, _>>()?)
        })
    }
}

/// How a member that is an id is stored.
#[derive(Debug)]
pub struct IdCodec<T> {
    /// As any other column.
    pub column: ColumnCodec<T>,
    to_id: fn(&T) -> IdValue,
}

impl<T> IdCodec<T> {
    /// An id column of this name.
    #[must_use]
    #[track_caller]
    pub const fn new(name: &'static str, description: Option<&'static str>) -> Self
    where
        T: IdColumn,
    {
        Self { column: ColumnCodec::new(name, description), to_id: T::to_id }
    }

    /// The value as something to compare and to show.
    pub fn to_id(&self, value: &T) -> IdValue {
        (self.to_id)(value)
    }
}

/// How a member that is a field is stored.
#[derive(Debug)]
pub struct FieldCodec<T> {
    def: FieldDef,
    version: fn(&T) -> &DataVersion,
    member: fn(DataVersion) -> T,
}

impl<T> FieldCodec<T> {
    /// A field.
    #[must_use]
    pub const fn new(def: FieldDef) -> Self
    where
        T: VersionMember,
    {
        Self { def, version: T::version, member: T::member }
    }

    /// The field as plain data.
    #[must_use]
    pub const fn def(&self) -> FieldDef {
        self.def
    }

    /// The version in the member.
    pub fn version<'a>(&self, member: &'a T) -> &'a DataVersion {
        (self.version)(member)
    }

    /// The versions of the field: [`DataVersion::default()`] where a row has none.
    ///
    /// # Errors
    /// As [`Row::decode`].
    pub fn decode(&self, rows: Rows<'_>) -> Result<Cells<T>, RowError> {
        rows.column(DATA_VERSIONS, |array| {
            let versions = by_field(array, &self.def.struct_key())?;
            Ok(versions.into_iter().map(self.member).collect())
        })
    }
}

/// How the one member of a newtype is stored.
#[derive(Debug)]
pub struct InnerCodec<T> {
    column: ColumnCodec<T>,
}

impl<T> InnerCodec<T> {
    /// As the type of the member says.
    #[must_use]
    #[track_caller]
    #[allow(clippy::new_without_default, reason = "not every `T` has one")]
    pub const fn new() -> Self
    where
        T: Column,
    {
        Self { column: ColumnCodec::new("", None) }
    }

    /// The type of the column.
    #[must_use]
    pub const fn ty(&self) -> ColumnType {
        self.column.def.ty
    }

    /// Whether the column may hold NULL.
    #[must_use]
    pub const fn is_nullable(&self) -> bool {
        self.column.def.nullable
    }

    /// The array of the members that `get` borrows.
    pub fn encode<R>(
        &self,
        values: &mut dyn Iterator<Item = Option<&R>>,
        get: fn(&R) -> &T,
    ) -> ArrayRef {
        (self.column.encode)(&mut values.map(|value| value.map(get)))
    }

    /// The values of an array.
    ///
    /// # Errors
    /// As [`Column::decode`].
    pub fn decode<R>(
        &self,
        array: &dyn Array,
        wrap: fn(T) -> R,
    ) -> Result<Vec<Option<R>>, DecodeError> {
        let values = (self.column.decode)(array)?.into_iter();
        Ok(values.map(|value| value.map(wrap)).collect())
    }
}

/// `&T` of an id column type; see `InnerItem`.
pub trait InnerId {
    /// The value as something to compare and to show.
    fn inner_id(self) -> IdValue;
}

impl<T: IdColumn> InnerId for &T {
    fn inner_id(self) -> IdValue {
        self.to_id()
    }
}

/// `&T` of a type that can be an item of a list.
///
/// A newtype has the same abilities as its member, so its impls have a bound on the member's type.
/// A bound without parameters would be an error where it does not hold; one on `for<'a> &'a T`
/// merely leaves the impl out.
pub trait InnerItem {}

impl<T: ListItem> InnerItem for &T {}

/// The columns that these definitions describe.
#[must_use]
pub fn column_specs(columns: &[ColumnDef]) -> Vec<ColumnSpec> {
    columns.iter().map(ColumnDef::to_spec).collect()
}

/// The columns of a feature, ids first.
#[must_use]
pub fn feature_columns(def: &FeatureDef) -> Vec<ColumnSpec> {
    def.ids.iter().chain(def.columns).map(ColumnDef::to_spec).collect()
}

/// The versions of one field: from a map, or from a struct as Python's stores have it.
fn by_field(array: &dyn Array, struct_key: &str) -> Result<Vec<DataVersion>, DecodeError> {
    let version = |values: &StringArray, i: usize| {
        values.is_valid(i).then(|| DataVersion::stored(values.value(i)))
    };
    if let Some(columns) = array.as_struct_opt() {
        let values = columns.column_by_name(struct_key).map(|values| texts(values)).transpose()?;
        let version = |row| match &values {
            Some(values) if columns.is_valid(row) => version(values, row).unwrap_or_default(),
            _ => DataVersion::default(),
        };
        return Ok((0..columns.len()).map(version).collect());
    }
    let maps = array.as_map_opt().ok_or_else(|| DecodeError::Type {
        expected: ColumnType::TextMap,
        found: array.data_type().clone(),
    })?;
    let (keys, values) = (texts(maps.keys())?, texts(maps.values())?);
    let offsets = maps.value_offsets();
    let in_row = |row: usize| {
        let entry = range(offsets, row).find(|&entry| keys.value(entry) == struct_key);
        entry.filter(|_| maps.is_valid(row)).and_then(|entry| version(&values, entry))
    };
    Ok((0..maps.len()).map(|row| in_row(row).unwrap_or_default()).collect())
}
