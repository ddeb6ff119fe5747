//! Arrays as engines hand them out -> arrays of exactly the type of the column.

use super::DecodeError;
use arrow::array::{Array, ArrayRef, AsArray, ListArray, PrimitiveArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{self as types, DataType, Field, TimeUnit};
use metaxy_sql::{ColumnType, ScalarType};
use std::ops::Range;
use std::sync::Arc;

/// An array of exactly `scalar.to_arrow()`; an array of a related type is cast, value by value.
pub(super) fn scalars(array: &dyn Array, scalar: ScalarType) -> Result<ArrayRef, DecodeError> {
    let (expected, found) = (scalar.to_arrow(), array.data_type());
    let array = array.slice(0, array.len());
    if *found == expected {
        return Ok(array);
    }
    if !is_readable_as(found, scalar) {
        return Err(wrong_type(found, ColumnType::Scalar(scalar)));
    }
    if let DataType::Timestamp(unit, _) = found {
        return microseconds(&array, *unit);
    }
    let values =
        cast(&array, &expected).map_err(|_| wrong_type(found, ColumnType::Scalar(scalar)))?;
    // A cast turns what does not fit into NULL.
    match (0..array.len()).find(|&row| array.is_valid(row) && values.is_null(row)) {
        None => Ok(values),
        Some(row) => Err(DecodeError::Value {
            row,
            reason: format!("the value of type {found} does not fit into {scalar}"),
        }),
    }
}

/// Whether arrays of this type may hold values of the scalar; each value is still checked.
fn is_readable_as(found: &DataType, scalar: ScalarType) -> bool {
    use DataType as D;
    use ScalarType as S;
    match scalar {
        S::Bool => false,
        S::Int8 | S::Int16 | S::Int32 | S::Int64 | S::UInt8 | S::UInt16 | S::UInt32 | S::UInt64 => {
            // Postgres has no unsigned 64 bits, its numeric arrives as a decimal.
            found.is_integer() || matches!(found, D::Decimal128(_, 0) | D::Decimal256(_, 0))
        }
        S::Float32 => false,
        S::Float64 => *found == D::Float32,
        // ClickHouse hands out text as bytes, unless told otherwise.
        S::Text | S::Uuid | S::Json | S::Bytes => match found {
            D::Dictionary(_, values) => is_text_or_bytes(values),
            other => is_text_or_bytes(other),
        },
        S::Date => *found == D::Date64,
        S::Timestamp => matches!(found, D::Timestamp(_, _)),
        _ => false,
    }
}

fn is_text_or_bytes(found: &DataType) -> bool {
    use DataType as D;
    matches!(
        found,
        D::Utf8 | D::LargeUtf8 | D::Utf8View | D::Binary | D::LargeBinary | D::BinaryView
    )
}

/// Timestamps of any unit at microseconds; a time zone is a way to show them and changes no value.
///
/// Arrow's own cast would have to know the time zone by name.
fn microseconds(array: &ArrayRef, unit: TimeUnit) -> Result<ArrayRef, DecodeError> {
    let scaled = |values: &[i64], scale: fn(i64) -> Option<i64>| {
        let micros = values.iter().enumerate().map(|(row, &value)| match array.is_null(row) {
            true => Ok(None),
            false => scale(value).map(Some).ok_or_else(|| DecodeError::Value {
                row,
                reason: "the time is out of range at microseconds".to_owned(),
            }),
        });
        micros.collect::<Result<PrimitiveArray<types::TimestampMicrosecondType>, _>>()
    };
    let micros = match unit {
        TimeUnit::Second => {
            scaled(array.as_primitive::<types::TimestampSecondType>().values(), |seconds| {
                seconds.checked_mul(1_000_000)
            })
        }
        TimeUnit::Millisecond => {
            scaled(array.as_primitive::<types::TimestampMillisecondType>().values(), |millis| {
                millis.checked_mul(1_000)
            })
        }
        TimeUnit::Microsecond => {
            scaled(array.as_primitive::<types::TimestampMicrosecondType>().values(), Some)
        }
        TimeUnit::Nanosecond => {
            scaled(array.as_primitive::<types::TimestampNanosecondType>().values(), |nanos| {
                Some(nanos.div_euclid(1_000))
            })
        }
    }?;
    Ok(Arc::new(micros.with_data_type(ScalarType::Timestamp.to_arrow())))
}

/// Lists with 32-bit offsets; their items are left as they are.
pub(super) fn lists(array: &dyn Array, expected: ColumnType) -> Result<ListArray, DecodeError> {
    match array.data_type() {
        DataType::List(_) => Ok(array.as_list::<i32>().clone()),
        found @ (DataType::LargeList(item) | DataType::FixedSizeList(item, _)) => {
            let item = Field::new_list_field(item.data_type().clone(), true);
            cast(&array.slice(0, array.len()), &DataType::List(Arc::new(item)))
                .map(|lists| lists.as_list::<i32>().clone())
                .map_err(|_| wrong_type(found, expected))
        }
        found => Err(wrong_type(found, expected)),
    }
}

/// The texts of an array of text in any form.
pub(crate) fn texts(array: &dyn Array) -> Result<StringArray, DecodeError> {
    Ok(scalars(array, ScalarType::Text)?.as_string::<i32>().clone())
}

/// Turns what the engine stored into values, and says in which row one is bad.
pub(super) fn parsed<S, T>(
    values: impl Iterator<Item = Option<S>>,
    parse: impl Fn(S) -> Result<T, String>,
) -> Result<Vec<Option<T>>, DecodeError> {
    let parse_row = |(row, value): (usize, Option<S>)| {
        value.map(&parse).transpose().map_err(|reason| DecodeError::Value { row, reason })
    };
    values.enumerate().map(parse_row).collect()
}

/// The items of a row of lists or maps.
pub(crate) fn range(offsets: &[i32], row: usize) -> Range<usize> {
    offset(offsets[row])..offset(offsets[row + 1])
}

/// The row to which an item of lists or maps belongs.
pub(super) fn row_of(offsets: &[i32], item: usize) -> usize {
    offsets.partition_point(|&start| offset(start) <= item).saturating_sub(1)
}

fn offset(offset: i32) -> usize {
    usize::try_from(offset).expect("Arrow checks that offsets are not negative")
}

fn wrong_type(found: &DataType, expected: ColumnType) -> DecodeError {
    DecodeError::Type { expected, found: found.clone() }
}
