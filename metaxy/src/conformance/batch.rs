//! Rows as JSON to Arrow batches and back, so that tests can say and compare them in one line.

use crate::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, MapArray, NullArray,
    RecordBatch, StringArray, StringBuilder, StructArray,
};
use crate::arrow::buffer::{NullBuffer, OffsetBuffer};
use crate::arrow::datatypes::{
    DataType, Field, Float64Type, Int64Type, Schema, TimeUnit, TimestampMicrosecondType,
};
use crate::store::BatchStream;
use futures::TryStreamExt;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// A batch of these rows, which are objects.
///
/// Columns stand in the order in which they are first named. Texts, integers, other numbers and
/// truth values become columns of their type, objects maps from text to text; a column without any
/// value has no type.
///
/// # Panics
/// If a row is no object, or a value has no such type.
#[must_use]
pub fn batch(rows: &[Value]) -> RecordBatch {
    let rows: Vec<&Map<String, Value>> =
        rows.iter().map(|row| row.as_object().expect("a row is an object")).collect();
    let mut names: Vec<&String> = Vec::new();
    for name in rows.iter().flat_map(|row| row.keys()) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let columns = names.into_iter().map(|name| {
        let values: Vec<&Value> =
            rows.iter().map(|row| row.get(name).unwrap_or(&Value::Null)).collect();
        (name.as_str(), column(&values))
    });
    batch_of(columns)
}

/// A batch of these columns, all of which may hold NULL.
///
/// # Panics
/// If they have different lengths.
#[must_use]
pub fn batch_of<'a>(columns: impl IntoIterator<Item = (&'a str, ArrayRef)>) -> RecordBatch {
    let (fields, arrays): (Vec<Field>, Vec<ArrayRef>) = columns
        .into_iter()
        .map(|(name, array)| (Field::new(name, array.data_type().clone(), true), array))
        .unzip();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).expect("columns of one length")
}

fn column(values: &[&Value]) -> ArrayRef {
    match values.iter().find(|value| !value.is_null()) {
        None => Arc::new(NullArray::new(values.len())),
        Some(Value::String(_)) => {
            Arc::new(values.iter().map(|value| value.as_str()).collect::<StringArray>())
        }
        Some(Value::Number(number)) if number.is_i64() => {
            Arc::new(values.iter().map(|value| value.as_i64()).collect::<Int64Array>())
        }
        Some(Value::Number(_)) => {
            Arc::new(values.iter().map(|value| value.as_f64()).collect::<Float64Array>())
        }
        Some(Value::Bool(_)) => {
            Arc::new(values.iter().map(|value| value.as_bool()).collect::<BooleanArray>())
        }
        Some(Value::Object(_)) => map(values),
        Some(other @ (Value::Array(_) | Value::Null)) => panic!("no column holds {other}"),
    }
}

fn map(values: &[&Value]) -> ArrayRef {
    let mut keys = StringBuilder::new();
    let mut texts = StringBuilder::new();
    let mut lengths = Vec::new();
    for value in values {
        let entries = value.as_object();
        for (key, text) in entries.into_iter().flatten() {
            keys.append_value(key);
            texts.append_option(text.as_str());
        }
        lengths.push(entries.map_or(0, Map::len));
    }
    let fields =
        vec![Field::new("key", DataType::Utf8, false), Field::new("value", DataType::Utf8, true)];
    let entries = StructArray::new(
        fields.into(),
        vec![Arc::new(keys.finish()), Arc::new(texts.finish())],
        None,
    );
    let field = Arc::new(Field::new("entries", entries.data_type().clone(), false));
    let valid = NullBuffer::from_iter(values.iter().map(|value| value.is_object()));
    let offsets = OffsetBuffer::from_lengths(lengths);
    Arc::new(MapArray::new(field, offsets, entries, Some(valid), false))
}

/// The rows of batches, in order.
#[must_use]
pub fn rows(batches: &[RecordBatch]) -> Vec<Value> {
    let mut rows = Vec::new();
    for batch in batches {
        for row in 0..batch.num_rows() {
            let schema = batch.schema();
            let cells = schema.fields().iter().zip(batch.columns());
            let cells = cells.map(|(field, column)| (field.name().clone(), cell(column, row)));
            rows.push(Value::Object(cells.collect()));
        }
    }
    rows
}

/// All rows of a stream, sorted by their text.
///
/// # Panics
/// If the stream ends with an error.
pub async fn collect(stream: BatchStream) -> Vec<Value> {
    let batches: Vec<RecordBatch> = stream.try_collect().await.expect("a stream without errors");
    sorted(rows(&batches))
}

/// Rows in the order of their texts: stores promise none.
#[must_use]
pub fn sorted(mut rows: Vec<Value>) -> Vec<Value> {
    rows.sort_by_key(Value::to_string);
    rows
}

/// These members of each row.
#[must_use]
pub fn only(rows: &[Value], names: &[&str]) -> Vec<Value> {
    let rows = rows.iter().map(|row| {
        let cells = names.iter().map(|name| ((*name).to_owned(), row[*name].clone()));
        Value::Object(cells.collect())
    });
    sorted(rows.collect())
}

fn cell(array: &ArrayRef, row: usize) -> Value {
    if array.is_null(row) {
        return Value::Null;
    }
    match array.data_type() {
        DataType::Utf8 => json!(array.as_string::<i32>().value(row)),
        DataType::Boolean => json!(array.as_boolean().value(row)),
        DataType::Float32 | DataType::Float64 => {
            let numbers = arrow::compute::cast(array, &DataType::Float64).expect("a number");
            json!(numbers.as_primitive::<Float64Type>().value(row))
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            json!(array.as_primitive::<TimestampMicrosecondType>().value(row))
        }
        DataType::List(_) => {
            let items = array.as_list::<i32>().value(row);
            (0..items.len()).map(|item| cell(&items, item)).collect()
        }
        DataType::Map(_, _) => {
            let entries = array.as_map().value(row);
            let (keys, values) = (entries.column(0), entries.column(1));
            let pairs = (0..entries.len())
                .map(|i| (keys.as_string::<i32>().value(i).to_owned(), cell(values, i)));
            Value::Object(sorted_members(pairs))
        }
        DataType::Struct(fields) => {
            let columns = fields.iter().zip(array.as_struct().columns());
            let members = columns.map(|(field, column)| (field.name().clone(), cell(column, row)));
            Value::Object(sorted_members(members))
        }
        other if other.is_integer() => {
            let numbers = arrow::compute::cast(array, &DataType::Int64).expect("a small number");
            json!(numbers.as_primitive::<Int64Type>().value(row))
        }
        other => panic!("no test reads {other}"),
    }
}

fn sorted_members(members: impl Iterator<Item = (String, Value)>) -> Map<String, Value> {
    let mut members: Vec<_> = members.collect();
    members.sort_by(|(a, _), (b, _)| a.cmp(b));
    members.into_iter().collect()
}
