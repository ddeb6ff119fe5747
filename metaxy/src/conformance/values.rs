//! Values that engines see in different ways are kept as they are, or refused: never changed without a word.

use crate::builder::FeatureBuilder;
use crate::conformance::batch::batch_of;
use crate::conformance::flow::{graph, key, read};
use crate::conformance::{Engine, open};
use crate::error::Error;
use crate::graph::FeatureGraph;
use crate::store::{Store, WriteError};
use arrow::array::{
    ArrayRef, AsArray, Date32Array, Float64Array, Int64Array, ListBuilder, MapBuilder, RecordBatch,
    StringArray, StringBuilder, TimestampMicrosecondArray, TimestampNanosecondArray,
};
use arrow::datatypes::{DataType, Int64Type};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use chrono::{DateTime, NaiveDate};
use futures::TryStreamExt;
use metaxy_sql::types::text_map;
use metaxy_sql::{ColumnType, ScalarType};
use serde_json::json;
use std::sync::Arc;

/// What the column is called that a value is in.
const COLUMN: &str = "a value";

fn a_row(id: i64, column: &str, value: ArrayRef) -> RecordBatch {
    batch_of([
        ("id", Arc::new(Int64Array::from(vec![id])) as ArrayRef),
        (column, value),
        ("x", Arc::new(StringArray::from(vec!["1"]))),
    ])
}

fn with_column(ty: impl Into<ColumnType>) -> FeatureGraph {
    let feature = FeatureBuilder::new("a").id("id", ScalarType::Int64).field("x");
    let feature = feature.nullable_column(COLUMN, ty);
    FeatureGraph::builder().feature(feature).build().expect("a graph")
}

fn shown(array: &ArrayRef, row: usize) -> String {
    // All times are UTC, whose name nobody knows who writes texts.
    let array = match array.data_type() {
        DataType::Timestamp(unit, Some(_)) => {
            &arrow::compute::cast(array, &DataType::Timestamp(*unit, None)).expect("a time")
        }
        _ => array,
    };
    let options = FormatOptions::new().with_null("NULL");
    let formatter = ArrayFormatter::try_new(array.as_ref(), &options).expect("a column of a store");
    formatter.value(row).to_string()
}

/// The value that the record with an id has; none if there is no such record.
async fn stored(store: &Store, id: i64) -> Option<String> {
    let batches = match store.read_of(&key("a")).batches().await {
        Ok(batches) => batches.try_collect::<Vec<_>>().await.expect("batches"),
        Err(Error::NoTable { .. }) => Vec::new(),
        Err(error) => panic!("{error}"),
    };
    batches.iter().find_map(|batch| {
        let column = |name: &str| batch.column_by_name(name).expect(name);
        let ids = column("id").as_primitive::<Int64Type>();
        let row = ids.values().iter().position(|found| *found == id)?;
        Some(shown(column(COLUMN), row))
    })
}

/// Each of these is there afterwards as it was given, or it was refused by an error that names the column,
/// and nothing is there. Those that are `safe` are kept by every engine.
async fn are_kept_or_refused(
    engine: &dyn Engine,
    ty: impl Into<ColumnType>,
    values: Vec<(ArrayRef, bool)>,
) {
    let store = open(engine, &with_column(ty)).await;
    for (id, (value, is_safe)) in (0..).zip(values) {
        let given = shown(&value, 0);
        let written = store.sync_of(&key("a"), a_row(id, COLUMN, value)).partial(true).await;
        let stored = stored(&store, id).await;
        match written {
            Ok(_) => assert_eq!(stored.as_deref(), Some(given.as_str())),
            Err(Error::CannotKeep { column, .. }) => {
                assert!(!is_safe, "{given} is refused");
                assert_eq!((column.as_str(), stored), (COLUMN, None), "{given}");
            }
            Err(error) => panic!("{given}: {error}"),
        }
    }
}

/// An empty list is no NULL, and an entry with an empty text is no missing entry.
pub(crate) async fn lists_and_maps_are_kept_or_refused(engine: &dyn Engine) {
    let list = |items: Option<&[Option<&str>]>| {
        let mut list = ListBuilder::new(StringBuilder::new());
        match items {
            Some(items) => list.append_value(items.iter().copied()),
            None => list.append_null(),
        }
        Arc::new(list.finish()) as ArrayRef
    };
    let lists = vec![
        (list(Some(&[])), true),
        (list(Some(&[Some("")])), true),
        (list(Some(&[Some("b"), None, Some("a")])), true),
        (list(None), false),
    ];
    are_kept_or_refused(engine, ColumnType::List(ScalarType::Text), lists).await;
    let map = |entries: Option<&[(&str, &str)]>| {
        let mut map = MapBuilder::new(None, StringBuilder::new(), StringBuilder::new());
        for (key, value) in entries.into_iter().flatten() {
            map.keys().append_value(key);
            map.values().append_value(value);
        }
        map.append(entries.is_some()).expect("as many keys as values");
        let map: ArrayRef = Arc::new(map.finish());
        arrow::compute::cast(&map, &text_map()).expect("a map of texts")
    };
    let maps = vec![
        (map(Some(&[])), true),
        (map(Some(&[("", "")])), true),
        (map(Some(&[("a", ""), ("b", "x")])), true),
        (map(None), false),
    ];
    are_kept_or_refused(engine, ColumnType::TextMap, maps).await;
}

/// The years 1900 to 2299 are kept by every engine.
pub(crate) async fn days_and_times_are_kept_or_refused(engine: &dyn Engine) {
    let day = |year, month, day| NaiveDate::from_ymd_opt(year, month, day).expect("a day");
    let is_safe = |day: NaiveDate| (day.to_string().as_str() >= "1900") && day < self::day(2300);
    let days = [
        day(1, 1, 1),
        day(1582, 10, 10),
        day(1899, 12, 31),
        day(1900, 1, 1),
        day(1969, 12, 31),
        day(2299, 12, 31),
        day(2300, 1, 1),
        day(9999, 12, 31),
    ];
    let array = |day: NaiveDate| {
        let since = (day - DateTime::UNIX_EPOCH.date_naive()).num_days();
        let since = i32::try_from(since).expect("a day of our era");
        (Arc::new(Date32Array::from(vec![since])) as ArrayRef, is_safe(day))
    };
    are_kept_or_refused(engine, ScalarType::Date, days.map(array).into()).await;

    let last = |day: NaiveDate| {
        let micros = day.and_hms_micro_opt(23, 59, 59, 999_999).expect("a time");
        let micros = micros.and_utc().timestamp_micros();
        let array = TimestampMicrosecondArray::from(vec![micros]).with_timezone("UTC");
        (Arc::new(array) as ArrayRef, is_safe(day))
    };
    are_kept_or_refused(engine, ScalarType::Timestamp, days.map(last).into()).await;
}

fn day(year: i32) -> NaiveDate {
    NaiveDate::from_ymd_opt(year, 1, 1).expect("a day")
}

/// Times are kept to the microsecond: one that is between two of them is refused, not rounded.
pub(crate) async fn parts_of_a_microsecond_are_refused(engine: &dyn Engine) {
    let store = open(engine, &with_column(ScalarType::Timestamp)).await;
    let time = |nanos: i64| {
        let array = TimestampNanosecondArray::from(vec![nanos]).with_timezone("UTC");
        a_row(nanos, COLUMN, Arc::new(array))
    };
    let whole = 1_700_000_000_123_456_000;
    store.sync_of(&key("a"), time(whole)).partial(true).await.expect("whole microseconds");
    let found = stored(&store, whole).await;
    assert_eq!(found.as_deref(), Some("2023-11-14T22:13:20.123456"));
    for part in [1, 500, 999] {
        let error = store.sync_of(&key("a"), time(whole + part)).partial(true).await;
        let error = error.expect_err("a part of a microsecond");
        let Error::Write { reason: WriteError::Inexact { column, row: 0, .. }, .. } = &error else {
            panic!("{error}")
        };
        assert_eq!(column, COLUMN);
        assert_eq!(stored(&store, whole + part).await, None);
    }
}

/// Equal floats need not be one record: they are refused as ids, also where nobody has declared the types of
/// columns.
pub(crate) async fn floats_are_no_ids(engine: &dyn Engine) {
    let untyped = [json!({ "key": "a", "id_columns": ["id"], "fields": ["x"] })];
    let store = open(engine, &graph(&untyped)).await;
    let row = |id: ArrayRef| {
        batch_of([("id", id), ("x", Arc::new(StringArray::from(vec!["1"])) as ArrayRef)])
    };
    let float = row(Arc::new(Float64Array::from(vec![1.0])));
    let error = store.sync_of(&key("a"), float).await.expect_err("an id that is a float");
    let Error::Write { reason: WriteError::Type { column, found, .. }, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!((column.as_str(), found.as_str()), ("id", "Float64"));
    assert!(error.to_string().contains("an integer, a text, a date or a UUID"), "{error}");
    assert_eq!(read(&store, "a").await.len(), 0);
    // Nothing of it is left that an id of another type would meet.
    let whole = row(Arc::new(Int64Array::from(vec![1])));
    store.sync_of(&key("a"), whole).await.expect("an id that is a number");
    assert_eq!(read(&store, "a").await.len(), 1);
}
