//! [`Column`]: which Rust types a column can hold, and how their values become Arrow arrays.
//!
//! In: iterators over values, or Arrow arrays of whatever width an engine chose. Out: arrays of
//! exactly the type that [`ColumnType::to_arrow`] names, or values. Not here: the table that maps
//! column types to databases (`metaxy_sql::types`), and rows made of columns ([`crate::row`]).

mod id;
mod read;
mod text;

pub use self::id::{IdColumn, IdValue};
pub(crate) use self::read::{range, texts};
#[doc(hidden)]
pub use self::text::{decode_text, encode_text};
use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, ListArray, MapArray, PrimitiveArray,
    StringArray, StructArray,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{self as types, DataType, Field, Fields};
use metaxy_sql::{ColumnType, ScalarType};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A Rust type whose values can be stored in a column.
///
/// Implemented for `bool`, the integers up to 64 bits, `f32`, `f64`, `String`, `Vec<u8>` (bytes),
/// `Vec` of any other single value, `Option`, `BTreeMap<String, String>`, and, behind the cargo
/// features of the same names, the types of `chrono`, `uuid` and `json`. `#[derive(Column)]` adds
/// newtypes of these and enums without data, which are stored as text. A `DateTime<Utc>` is cut to
/// its microsecond, as no engine keeps more.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be stored in a column",
    label = "expected a type that implements `Column`",
    note = "a newtype or an enum without data becomes one with `#[derive(metaxy::Column)]`",
    note = "a member of type `DataVersion` is a field of the feature: mark it `#[metaxy(field)]`"
)]
pub trait Column: Sized + 'static {
    /// The type of the column.
    const TYPE: ColumnType;

    /// Whether the column may hold NULL.
    const NULLABLE: bool = false;

    /// Why a column of this type makes no sense, if it does not; the derives ask.
    #[doc(hidden)]
    const PROBLEM: Option<&'static str> = None;

    /// Makes an array of [`TYPE`](Self::TYPE); `None` becomes NULL.
    fn encode(values: &mut dyn Iterator<Item = Option<&Self>>) -> ArrayRef;

    /// The values of an array; NULL becomes `None`.
    ///
    /// Wider and narrower integers, the large and view forms of text and bytes, and timestamps of
    /// other units are read too: engines choose them as they like.
    ///
    /// # Errors
    /// [`DecodeError`] if the array has another type or a value does not fit.
    fn decode(array: &dyn Array) -> Result<Vec<Option<Self>>, DecodeError>;
}

/// A value that can be an item of a list column.
///
/// `Vec<u8>` is not a list but bytes, so the item decides what a `Vec` of it is. Everything has a
/// default that suits a single value.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be stored in a list column",
    label = "expected a single value that is never NULL"
)]
pub trait ListItem: Column {
    /// The type of a column of `Vec<Self>`.
    #[doc(hidden)]
    const LIST: ColumnType = match Self::TYPE {
        ColumnType::Scalar(item) if !Self::NULLABLE => ColumnType::List(item),
        _ => panic!("a list column holds single values that are never NULL"),
    };

    /// Makes an array of [`LIST`](Self::LIST).
    #[doc(hidden)]
    fn encode_list(values: &mut dyn Iterator<Item = Option<&[Self]>>) -> ArrayRef {
        let mut items = Vec::new();
        let mut lengths = Vec::new();
        let mut valid = Vec::new();
        for value in values {
            let list = value.unwrap_or_default();
            items.extend(list);
            lengths.push(list.len());
            valid.push(value.is_some());
        }
        let items = Self::encode(&mut items.into_iter().map(Some));
        let field = Arc::new(Field::new_list_field(items.data_type().clone(), true));
        let offsets = OffsetBuffer::from_lengths(lengths);
        Arc::new(ListArray::new(field, offsets, items, some_nulls(valid)))
    }

    /// The values of an array of [`LIST`](Self::LIST).
    ///
    /// # Errors
    /// As [`Column::decode`]; rows in the error are those of the list.
    #[doc(hidden)]
    fn decode_list(array: &dyn Array) -> Result<Vec<Option<Vec<Self>>>, DecodeError> {
        let lists = read::lists(array, Self::LIST)?;
        let offsets = lists.value_offsets();
        let mut items = Self::decode(lists.values())
            .map_err(|error| error.in_row(|item| read::row_of(offsets, item)))?;
        (0..lists.len())
            .map(|row| {
                if lists.is_null(row) {
                    return Ok(None);
                }
                items[range(offsets, row)]
                    .iter_mut()
                    .map(|item| item.take().ok_or(DecodeError::Null { row }))
                    .collect::<Result<_, _>>()
                    .map(Some)
            })
            .collect()
    }
}

/// Why an array could not be read; the error around it names the column.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The array has another type.
    #[error("expected {expected}, found {found}")]
    Type {
        /// The type of the column.
        expected: ColumnType,
        /// The type of the array.
        found: DataType,
    },
    /// A NULL where the Rust type has none.
    #[error("NULL in row {row}; only an `Option` can hold it")]
    Null {
        /// The row within the batch, from 0.
        row: usize,
    },
    /// A value that the Rust type does not have.
    #[error("row {row}: {reason}")]
    Value {
        /// The row within the batch, from 0.
        row: usize,
        /// What is wrong with the value.
        reason: String,
    },
}

impl DecodeError {
    /// The same error, for an array whose values belong to rows of another one.
    fn in_row(self, row_of: impl FnOnce(usize) -> usize) -> Self {
        match self {
            Self::Type { .. } => self,
            Self::Null { row } => Self::Null { row: row_of(row) },
            Self::Value { row, reason } => Self::Value { row: row_of(row), reason },
        }
    }
}

// Impls for single types are not recommended: the text of the trait says it shorter than a list that
// depends on cargo features.
macro_rules! primitives {
    ($($ty:ty => $scalar:ident, $arrow:ident;)*) => {$(
        #[diagnostic::do_not_recommend]
        impl Column for $ty {
            const TYPE: ColumnType = ColumnType::Scalar(ScalarType::$scalar);

            fn encode(values: &mut dyn Iterator<Item = Option<&Self>>) -> ArrayRef {
                Arc::new(values.map(Option::<&Self>::copied).collect::<PrimitiveArray<types::$arrow>>())
            }

            fn decode(array: &dyn Array) -> Result<Vec<Option<Self>>, DecodeError> {
                let array = read::scalars(array, ScalarType::$scalar)?;
                Ok(array.as_primitive::<types::$arrow>().iter().collect())
            }
        }
    )*};
}

primitives! {
    i8 => Int8, Int8Type;
    i16 => Int16, Int16Type;
    i32 => Int32, Int32Type;
    i64 => Int64, Int64Type;
    u8 => UInt8, UInt8Type;
    u16 => UInt16, UInt16Type;
    u32 => UInt32, UInt32Type;
    u64 => UInt64, UInt64Type;
    f32 => Float32, Float32Type;
    f64 => Float64, Float64Type;
}

#[diagnostic::do_not_recommend]
impl Column for bool {
    const TYPE: ColumnType = ColumnType::Scalar(ScalarType::Bool);

    fn encode(values: &mut dyn Iterator<Item = Option<&Self>>) -> ArrayRef {
        Arc::new(values.map(Option::<&Self>::copied).collect::<BooleanArray>())
    }

    fn decode(array: &dyn Array) -> Result<Vec<Option<Self>>, DecodeError> {
        let array = read::scalars(array, ScalarType::Bool)?;
        Ok(array.as_boolean().iter().collect())
    }
}

#[diagnostic::do_not_recommend]
impl Column for String {
    const TYPE: ColumnType = ColumnType::Scalar(ScalarType::Text);

    fn encode(values: &mut dyn Iterator<Item = Option<&Self>>) -> ArrayRef {
        Arc::new(values.map(|value| value.map(Self::as_str)).collect::<StringArray>())
    }

    fn decode(array: &dyn Array) -> Result<Vec<Option<Self>>, DecodeError> {
        let array = read::scalars(array, ScalarType::Text)?;
        Ok(array.as_string::<i32>().iter().map(|value| value.map(Self::from)).collect())
    }
}

impl<T: Column> Column for Option<T> {
    const TYPE: ColumnType = T::TYPE;
    const NULLABLE: bool = true;
    const PROBLEM: Option<&'static str> = match T::NULLABLE {
        true => Some("an `Option` of an `Option` has two values for one NULL"),
        false => T::PROBLEM,
    };

    fn encode(values: &mut dyn Iterator<Item = Option<&Self>>) -> ArrayRef {
        T::encode(&mut values.map(|value| value.and_then(Option::as_ref)))
    }

    fn decode(array: &dyn Array) -> Result<Vec<Option<Self>>, DecodeError> {
        Ok(T::decode(array)?.into_iter().map(Some).collect())
    }
}

impl<T: ListItem> Column for Vec<T> {
    const TYPE: ColumnType = T::LIST;

    fn encode(values: &mut dyn Iterator<Item = Option<&Self>>) -> ArrayRef {
        T::encode_list(&mut values.map(|value| value.map(Self::as_slice)))
    }

    fn decode(array: &dyn Array) -> Result<Vec<Option<Self>>, DecodeError> {
        T::decode_list(array)
    }
}

macro_rules! list_items {
    ($($ty:ty)*) => {$(
        #[diagnostic::do_not_recommend]
        impl ListItem for $ty {}
    )*};
}

list_items! { bool i8 i16 i32 i64 u16 u32 u64 f32 f64 String Vec<u8> }

/// A `Vec<u8>` is bytes.
#[diagnostic::do_not_recommend]
impl ListItem for u8 {
    const LIST: ColumnType = ColumnType::Scalar(ScalarType::Bytes);

    fn encode_list(values: &mut dyn Iterator<Item = Option<&[Self]>>) -> ArrayRef {
        Arc::new(values.collect::<BinaryArray>())
    }

    fn decode_list(array: &dyn Array) -> Result<Vec<Option<Vec<Self>>>, DecodeError> {
        let array = read::scalars(array, ScalarType::Bytes)?;
        Ok(array.as_binary::<i32>().iter().map(|value| value.map(<[u8]>::to_vec)).collect())
    }
}

#[diagnostic::do_not_recommend]
impl Column for BTreeMap<String, String> {
    const TYPE: ColumnType = ColumnType::TextMap;

    fn encode(values: &mut dyn Iterator<Item = Option<&Self>>) -> ArrayRef {
        let (mut keys, mut texts) = (Vec::new(), Vec::new());
        let mut lengths = Vec::new();
        let mut valid = Vec::new();
        for value in values {
            lengths.push(value.map_or(0, Self::len));
            valid.push(value.is_some());
            for (key, text) in value.into_iter().flatten() {
                keys.push(Some(key));
                texts.push(Some(text));
            }
        }
        let DataType::Map(entries, sorted) = Self::TYPE.to_arrow() else {
            unreachable!("a text map is a map in Arrow")
        };
        let DataType::Struct(fields) = entries.data_type() else {
            unreachable!("the entries of a map are a struct in Arrow")
        };
        let texts =
            vec![String::encode(&mut keys.into_iter()), String::encode(&mut texts.into_iter())];
        let texts = StructArray::new(Fields::clone(fields), texts, None);
        let offsets = OffsetBuffer::from_lengths(lengths);
        Arc::new(MapArray::new(entries, offsets, texts, some_nulls(valid), sorted))
    }

    fn decode(array: &dyn Array) -> Result<Vec<Option<Self>>, DecodeError> {
        let found = array.data_type();
        let maps = (ColumnType::from_arrow(found) == Some(Self::TYPE))
            .then(|| array.as_map_opt())
            .flatten()
            .ok_or_else(|| DecodeError::Type { expected: Self::TYPE, found: found.clone() })?;
        let offsets = maps.value_offsets();
        let keys = read::scalars(maps.keys(), ScalarType::Text)?;
        let values = read::scalars(maps.values(), ScalarType::Text)?;
        let (keys, values) = (keys.as_string::<i32>(), values.as_string::<i32>());
        (0..maps.len())
            .map(|row| {
                if maps.is_null(row) {
                    return Ok(None);
                }
                range(offsets, row)
                    .map(|entry| match values.is_valid(entry) {
                        true => Ok((keys.value(entry).to_owned(), values.value(entry).to_owned())),
                        false => Err(DecodeError::Null { row }),
                    })
                    .collect::<Result<_, _>>()
                    .map(Some)
            })
            .collect()
    }
}

#[cfg(feature = "chrono")]
mod chrono_types {
    use super::*;
    use chrono::{DateTime, NaiveDate, Utc};

    list_items! { NaiveDate DateTime<Utc> }

    #[diagnostic::do_not_recommend]
    impl Column for NaiveDate {
        const TYPE: ColumnType = ColumnType::Scalar(ScalarType::Date);

        fn encode(values: &mut dyn Iterator<Item = Option<&Self>>) -> ArrayRef {
            let days = values.map(|value| value.copied().map(types::Date32Type::from_naive_date));
            Arc::new(days.collect::<PrimitiveArray<types::Date32Type>>())
        }

        fn decode(array: &dyn Array) -> Result<Vec<Option<Self>>, DecodeError> {
            let array = read::scalars(array, ScalarType::Date)?;
            read::parsed(array.as_primitive::<types::Date32Type>().iter(), |days| {
                types::Date32Type::to_naive_date_opt(days)
                    .ok_or_else(|| format!("day {days} after 1970-01-01 is out of range"))
            })
        }
    }

    /// At microseconds: that is what every engine keeps. What the clock says beyond them is cut, while
    /// rows of Arrow and of files that have more are refused: their writer may mean it.
    #[diagnostic::do_not_recommend]
    impl Column for DateTime<Utc> {
        const TYPE: ColumnType = ColumnType::Scalar(ScalarType::Timestamp);

        fn encode(values: &mut dyn Iterator<Item = Option<&Self>>) -> ArrayRef {
            let micros = values.map(|value| value.map(Self::timestamp_micros));
            let micros: PrimitiveArray<types::TimestampMicrosecondType> = micros.collect();
            Arc::new(micros.with_data_type(Self::TYPE.to_arrow()))
        }

        fn decode(array: &dyn Array) -> Result<Vec<Option<Self>>, DecodeError> {
            let array = read::scalars(array, ScalarType::Timestamp)?;
            read::parsed(array.as_primitive::<types::TimestampMicrosecondType>().iter(), |micros| {
                Self::from_timestamp_micros(micros)
                    .ok_or_else(|| format!("{micros} us after 1970-01-01 are out of range"))
            })
        }
    }
}

#[cfg(feature = "uuid")]
mod uuid_types {
    use super::*;
    use uuid::Uuid;

    list_items! { Uuid }

    #[diagnostic::do_not_recommend]
    impl Column for Uuid {
        const TYPE: ColumnType = ColumnType::Scalar(ScalarType::Uuid);

        fn encode(values: &mut dyn Iterator<Item = Option<&Self>>) -> ArrayRef {
            let mut buffer = Self::encode_buffer();
            let mut texts = arrow::array::StringBuilder::new();
            for value in values {
                texts
                    .append_option(value.map(|uuid| &*uuid.hyphenated().encode_lower(&mut buffer)));
            }
            Arc::new(texts.finish())
        }

        fn decode(array: &dyn Array) -> Result<Vec<Option<Self>>, DecodeError> {
            if let Some(bytes) = array.as_fixed_size_binary_opt() {
                return read::parsed(bytes.iter(), |bytes| {
                    Self::from_slice(bytes).map_err(|error| error.to_string())
                });
            }
            let array = read::scalars(array, ScalarType::Uuid)?;
            read::parsed(array.as_string::<i32>().iter(), |text| {
                text.parse().map_err(|error| format!("`{text}` is no UUID: {error}"))
            })
        }
    }
}

#[cfg(feature = "json")]
mod json_types {
    use super::*;
    use serde_json::Value;

    list_items! { Value }

    #[diagnostic::do_not_recommend]
    impl Column for Value {
        const TYPE: ColumnType = ColumnType::Scalar(ScalarType::Json);

        fn encode(values: &mut dyn Iterator<Item = Option<&Self>>) -> ArrayRef {
            Arc::new(values.map(|value| value.map(Self::to_string)).collect::<StringArray>())
        }

        fn decode(array: &dyn Array) -> Result<Vec<Option<Self>>, DecodeError> {
            let array = read::scalars(array, ScalarType::Json)?;
            read::parsed(array.as_string::<i32>().iter(), |text| {
                serde_json::from_str(text).map_err(|error| format!("no JSON: {error}"))
            })
        }
    }
}

/// No buffer at all where nothing is NULL: readers then skip the test.
fn some_nulls(valid: Vec<bool>) -> Option<NullBuffer> {
    Some(NullBuffer::from(valid)).filter(|nulls| nulls.null_count() > 0)
}

#[cfg(test)]
mod tests;
