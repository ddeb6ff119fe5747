//! Rows as Arrow, on their way in and out: what ClickHouse writes becomes the types of
//! [`ScalarType::to_arrow`](metaxy_sql::ScalarType::to_arrow), and the other way round.
//!
//! | column | as it comes | what is made of it |
//! |---|---|---|
//! | texts, bytes | `Binary`: ClickHouse has one type for both | `Utf8` where all of a batch is UTF-8 |
//! | UUIDs | 16 bytes | text |
//! | maps | entries of any names | those of `text_map` |
//! | lists | items of any names | `List(item)` |
//! | lists and maps next to rows that have none | a union with NULL | the list or map, or NULL |
//!
//! What ClickHouse would change without a word is refused on its way in: days and points in time outside
//! of the years 1900 to 2299, and lists and maps that are NULL, which it would make empty. A map of
//! versions by field may be absent: to read a key of it is the same.

use super::errors;
use crate::error::{Error, Result};
use arrow::array::{
    Array, ArrayRef, AsArray, Date32Array, FixedSizeBinaryArray, ListArray, MapArray, RecordBatch,
    StringArray, StructArray, TimestampMicrosecondArray, UInt64Array, new_empty_array,
};
use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer};
use arrow::compute::{cast, filter};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use arrow_ipc::reader::StreamDecoder;
use arrow_ipc::writer::StreamWriter;
use bytes::Bytes;
use metaxy_sql::types::text_map;
use metaxy_sql::{ColumnType, ScalarType, system};
use std::sync::Arc;

/// How ClickHouse writes and reads Arrow: settings that come with each query.
pub(super) const SETTINGS: &[(&str, &str)] = &[
    ("output_format_arrow_string_as_string", "0"),
    ("output_format_arrow_low_cardinality_as_dictionary", "0"),
    // Lists of UUIDs cannot be written otherwise.
    ("output_format_arrow_uuid_as_fixed_byte_array", "1"),
    // The way is compressed as a whole.
    ("output_format_arrow_compression_method", "none"),
    // By name only.
    ("input_format_arrow_allow_missing_columns", "0"),
    ("input_format_null_as_default", "0"),
];

/// The first and the last day that a column can hold, and the microseconds from the beginning of the
/// first to the end of the last.
const DAYS: (i32, i32) = (-25_567, 120_529);
const MICROS: (i64, i64) = (-25_567 * 86_400_000_000, 120_530 * 86_400_000_000 - 1);

/// Rows out of the bytes of an answer.
#[derive(Default)]
pub(super) struct Decoder {
    decoder: StreamDecoder,
    bytes: Buffer,
}

impl Decoder {
    /// More bytes. Those before have to be used up.
    pub(super) fn push(&mut self, bytes: Bytes) {
        self.bytes = Buffer::from(bytes);
    }

    /// The next rows that the bytes hold in full.
    pub(super) fn next(&mut self) -> Result<Option<RecordBatch>> {
        while !self.bytes.is_empty() {
            let decoded = self.decoder.decode(&mut self.bytes);
            // An error of the server cuts the answer off; the client tells it where it can.
            let decoded = decoded.map_err(|error| broken(&error))?;
            if let Some(batch) = decoded.filter(|batch| batch.num_rows() > 0) {
                return canonical(&batch).map(Some);
            }
        }
        Ok(None)
    }

    /// The answer is over: it has to be whole.
    pub(super) fn finish(&mut self) -> Result<()> {
        self.decoder.finish().map_err(|error| broken(&error))
    }
}

fn broken(error: &arrow::error::ArrowError) -> Error {
    errors::database(format!("the answer breaks off: {error}"))
}

/// A batch in the types that leave a store.
fn canonical(batch: &RecordBatch) -> Result<RecordBatch> {
    let columns = batch.columns().iter().map(canonical_array).collect::<Result<Vec<_>>>()?;
    let fields = batch.schema();
    let fields = fields.fields().iter().zip(&columns);
    let fields: Vec<_> = fields
        .map(|(field, column)| Field::new(field.name(), column.data_type().clone(), true))
        .collect();
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}

fn canonical_array(array: &ArrayRef) -> Result<ArrayRef> {
    Ok(match array.data_type() {
        // What is not UTF-8 stays what it is.
        DataType::Binary => {
            cast_strict(array, &DataType::Utf8).unwrap_or_else(|_| Arc::clone(array))
        }
        DataType::FixedSizeBinary(16) => Arc::new(uuids(array.as_fixed_size_binary())),
        DataType::Timestamp(_, _) => cast(array, &ScalarType::Timestamp.to_arrow())?,
        DataType::Union(_, _) => canonical_array(&without_union(array)?)?,
        DataType::Dictionary(_, values) => canonical_array(&cast(array, values)?)?,
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            let items = canonical_array(list.values())?;
            let field = Arc::new(Field::new_list_field(items.data_type().clone(), true));
            let nulls = list.nulls().cloned();
            Arc::new(ListArray::try_new(field, list.offsets().clone(), items, nulls)?)
        }
        DataType::Map(_, _) => {
            let map = array.as_map();
            let text = |array| cast_strict(&canonical_array(array)?, &DataType::Utf8);
            let (keys, values) = (text(map.keys())?, text(map.values())?);
            text_map_of(map.offsets().clone(), keys, values, map.nulls().cloned())?
        }
        _ => Arc::clone(array),
    })
}

/// A cast that fails where a value has no counterpart.
fn cast_strict(array: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    let options = arrow::compute::CastOptions { safe: false, ..Default::default() };
    Ok(arrow::compute::cast_with_options(array, to, &options)?)
}

/// The one kind of values of a variant, absent where there is none: so come lists and maps, which cannot
/// be absent by themselves, next to rows that have none.
fn without_union(array: &ArrayRef) -> Result<ArrayRef> {
    let union = array.as_union();
    let DataType::Union(fields, _) = array.data_type() else { return Ok(Arc::clone(array)) };
    let mut kinds = fields.iter().filter(|(_, field)| *field.data_type() != DataType::Null);
    let (Some((kind, _)), None) = (kinds.next(), kinds.next()) else {
        return Err(errors::database("a column has values of several types"));
    };
    let place = |row: usize| {
        (union.type_id(row) == kind)
            .then(|| u64::try_from(union.value_offset(row)).unwrap_or_default())
    };
    let places: UInt64Array = (0..union.len()).map(place).collect();
    Ok(arrow::compute::take(union.child(kind), &places, None)?)
}

fn uuids(array: &FixedSizeBinaryArray) -> StringArray {
    let text = |bytes: &[u8]| {
        let hex = hex::encode(bytes);
        [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
    };
    array.iter().map(|bytes| bytes.map(text)).collect()
}

fn text_map_of(
    offsets: OffsetBuffer<i32>,
    keys: ArrayRef,
    values: ArrayRef,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef> {
    let ty = text_map();
    let DataType::Map(entries, sorted) = &ty else { return Ok(new_empty_array(&ty)) };
    let DataType::Struct(fields) = entries.data_type() else { return Ok(new_empty_array(&ty)) };
    let structs = StructArray::try_new(fields.clone(), vec![keys, values], None)?;
    Ok(Arc::new(MapArray::try_new(Arc::clone(entries), offsets, structs, nulls, *sorted)?))
}

/// Rows as ClickHouse reads them; an error says what it would not keep.
pub(super) fn storable_rows(rows: &RecordBatch) -> Result<RecordBatch> {
    let schema = rows.schema();
    let columns = schema.fields().iter().zip(rows.columns());
    let columns = columns.map(|(field, array)| storable(field.name(), array));
    let columns = columns.collect::<Result<Vec<_>>>()?;
    let fields = schema.fields().iter().zip(&columns);
    let fields: Vec<_> = fields
        .map(|(field, array)| Field::new(field.name(), array.data_type().clone(), true))
        .collect();
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}

/// The bytes of rows of one schema for an INSERT, in pieces of at most so many rows.
pub(super) fn encode(
    rows: &[RecordBatch],
    at_once: usize,
) -> Result<impl Iterator<Item = Result<Vec<u8>>>> {
    let schema = rows.first().map_or_else(|| Arc::new(Schema::empty()), RecordBatch::schema);
    let mut writer = StreamWriter::try_new(Vec::new(), &schema)?;
    let pieces = rows.iter().flat_map(move |rows| {
        let from = (0..rows.num_rows()).step_by(at_once);
        from.map(move |from| rows.slice(from, at_once.min(rows.num_rows() - from)))
    });
    Ok(pieces.map(Some).chain([None]).map(move |piece| {
        match piece {
            Some(rows) => writer.write(&rows)?,
            None => writer.finish()?,
        }
        Ok(std::mem::take(writer.get_mut()))
    }))
}

/// What ClickHouse would change without a word.
fn cannot_keep(column: &str, row: usize, problem: String) -> Error {
    let (engine, column) = (errors::NAME, column.to_owned());
    Error::CannotKeep { engine, column, row, record: format!("row {row}"), problem }
}

/// An array as ClickHouse reads it.
fn storable(column: &str, array: &ArrayRef) -> Result<ArrayRef> {
    let no_null = |array: &ArrayRef, what: &str| {
        let is_ours = column.starts_with(system::PREFIX);
        let problem = || {
            format!(
                "a {what} that is NULL, which would be read as an empty one; write an empty one, or \
                 declare the column without `Option`"
            )
        };
        let nulls = array.nulls().filter(|nulls| nulls.null_count() > 0 && !is_ours);
        let row = nulls.and_then(|nulls| nulls.iter().position(|is_there| !is_there));
        row.map_or(Ok(()), |row| Err(cannot_keep(column, row, problem())))
    };
    let in_range = |what: &str, row: Option<usize>| {
        let problem = || format!("{what} outside of the years 1900 to 2299");
        row.map_or(Ok(()), |row| Err(cannot_keep(column, row, problem())))
    };
    Ok(match array.data_type() {
        DataType::Date32 => {
            let days: &Date32Array = array.as_primitive();
            let is_outside = |day: i32| day < DAYS.0 || day > DAYS.1;
            in_range("a day", days.iter().position(|day| day.is_some_and(is_outside)))?;
            Arc::clone(array)
        }
        DataType::Timestamp(_, _) => {
            let array =
                cast(array, &DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())))?;
            let times: &TimestampMicrosecondArray = array.as_primitive();
            let is_outside = |time: i64| time < MICROS.0 || time > MICROS.1;
            let row = times.iter().position(|time| time.is_some_and(is_outside));
            in_range("a point in time", row)?;
            array
        }
        DataType::LargeUtf8 | DataType::Utf8View => cast(array, &DataType::Utf8)?,
        DataType::LargeBinary | DataType::BinaryView => cast(array, &DataType::Binary)?,
        DataType::List(item) | DataType::LargeList(item) => {
            no_null(array, "list")?;
            let ty = match ColumnType::from_arrow(array.data_type()) {
                Some(ty) => ty.to_arrow(),
                None => DataType::List(Arc::clone(item)),
            };
            let list = cast(array, &ty)?;
            let list = list.as_list::<i32>();
            let items = storable(column, list.values()).map_err(|error| match error {
                // It is the list of the row that holds the item.
                Error::CannotKeep { row: item, problem, .. } => {
                    let ends = list.offsets().iter().skip(1);
                    let row =
                        ends.filter(|end| usize::try_from(**end).is_ok_and(|end| end <= item));
                    cannot_keep(column, row.count(), problem)
                }
                error => error,
            })?;
            let field = Arc::new(Field::new_list_field(items.data_type().clone(), true));
            Arc::new(ListArray::try_new(field, list.offsets().clone(), items, None)?)
        }
        DataType::Map(_, _) => {
            no_null(array, "map")?;
            let map = cast(array, &text_map())?;
            let map = map.as_map();
            without_null_values(map)?
        }
        _ => Arc::clone(array),
    })
}

/// A map without its keys that have no value: to read one of these is the same.
fn without_null_values(map: &MapArray) -> Result<ArrayRef> {
    let is_there = |row: usize| map.nulls().is_none_or(|nulls| nulls.is_valid(row));
    let is_kept = |row: usize, item: usize| is_there(row) && map.values().is_valid(item);
    let (offsets, keys) = keep_items(map.offsets(), map.keys(), is_kept)?;
    let (_, values) = keep_items(map.offsets(), map.values(), is_kept)?;
    let entries =
        vec![Field::new("key", DataType::Utf8, false), Field::new("value", DataType::Utf8, false)];
    let structs = StructArray::try_new(entries.into(), vec![keys, values], None)?;
    let field = Arc::new(Field::new("entries", structs.data_type().clone(), false));
    Ok(Arc::new(MapArray::try_new(field, offsets, structs, None, false)?))
}

/// Those items of lists that are to be kept, by row and place.
fn keep_items(
    offsets: &OffsetBuffer<i32>,
    items: &ArrayRef,
    is_kept: impl Fn(usize, usize) -> bool,
) -> Result<(OffsetBuffer<i32>, ArrayRef)> {
    let mut kept = vec![false; items.len()];
    let mut lengths = Vec::with_capacity(offsets.len());
    for (row, bounds) in offsets.windows(2).enumerate() {
        let place = |offset: i32| usize::try_from(offset).unwrap_or_default();
        let range = place(bounds[0])..place(bounds[1]);
        let mut length = 0;
        for (item, kept) in range.clone().zip(&mut kept[range]) {
            *kept = is_kept(row, item);
            length += usize::from(*kept);
        }
        lengths.push(length);
    }
    let kept = arrow::array::BooleanArray::new(BooleanBuffer::from(kept), None);
    Ok((OffsetBuffer::from_lengths(lengths), filter(items, &kept)?))
}
