//! Values that engines see in different ways are kept as they are, or refused: never changed without a word.

use crate::builder::FeatureBuilder;
use crate::conformance::batch::batch_of;
use crate::conformance::flow::{graph, key, read};
use crate::conformance::{Engine, open};
use crate::error::Error;
use crate::graph::FeatureGraph;
use crate::store::{Samples, Store, WriteError};
use arrow::array::{
    Array, ArrayRef, AsArray, Date32Array, Float64Array, Int32Array, Int64Array, ListArray,
    ListBuilder, MapBuilder, RecordBatch, StringArray, StringBuilder, TimestampMicrosecondArray,
    TimestampNanosecondArray, TimestampSecondArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Int64Type};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use chrono::{DateTime, NaiveDate};
use futures::{StreamExt, TryStreamExt};
use metaxy_sql::types::text_map;
use metaxy_sql::{ColumnType, ScalarType, system};
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

/// Nothing says what a number counts and since when: as a time it is refused, and a time as a number, also
/// where types are converted. A time without a zone is one of UTC, and a text can be a time.
pub(crate) async fn numbers_are_no_times(engine: &dyn Engine) {
    let samples = |id: i64, value: ArrayRef| {
        Samples::stream(futures::stream::iter([Ok(a_row(id, COLUMN, value))]).boxed())
    };
    let list = |values: ArrayRef| -> ArrayRef {
        let item = Arc::new(Field::new_list_field(values.data_type().clone(), true));
        let offsets = OffsetBuffer::from_lengths([values.len()]);
        Arc::new(ListArray::new(item, offsets, values, None))
    };
    let number = || Arc::new(Int64Array::from(vec![1_704_067_200])) as ArrayRef;
    let time = || Arc::new(TimestampSecondArray::from(vec![1_704_067_200])) as ArrayRef;
    let refused: [(ColumnType, ArrayRef); 7] = [
        (ScalarType::Timestamp.into(), number()),
        (ScalarType::Timestamp.into(), Arc::new(Float64Array::from(vec![1.5]))),
        (ScalarType::Date.into(), Arc::new(Int32Array::from(vec![19_723]))),
        (ScalarType::Int64.into(), time()),
        (ScalarType::Int32.into(), Arc::new(Date32Array::from(vec![19_723]))),
        (ColumnType::List(ScalarType::Timestamp), list(number())),
        (ColumnType::List(ScalarType::Int64), list(time())),
    ];
    for (ty, value) in refused {
        let store = open(engine, &with_column(ty)).await;
        let found = value.data_type().to_string();
        let error = store.sync_of(&key("a"), samples(1, value)).await.expect_err("a number");
        let Error::Write { reason: WriteError::NumberForTime { column, .. }, .. } = &error else {
            panic!("{error}")
        };
        assert_eq!(column, COLUMN);
        let text = error.to_string();
        assert!(text.contains(&found) && text.contains(&ty.to_string()), "{text}");
        assert!(text.contains("to_timestamp(..)"), "{text}");
    }

    let text = |text: &str| Arc::new(StringArray::from(vec![text])) as ArrayRef;
    let day: ArrayRef = Arc::new(Date32Array::from(vec![19_723]));
    let in_tokyo = TimestampSecondArray::from(vec![1_704_067_200]).with_timezone("Asia/Tokyo");
    let store = open(engine, &with_column(ScalarType::Timestamp)).await;
    let taken = [
        time(),
        Arc::new(in_tokyo),
        day,
        text("2024-01-01T00:00:00Z"),
        text("2024-01-01 00:00:00"),
        text("2024-01-01T01:00:00.000000000+01:00"),
    ];
    for (id, value) in (0..).zip(taken) {
        let written = store.sync_of(&key("a"), samples(id, value)).partial(true).await;
        written.expect("a time");
        let stored = stored(&store, id).await;
        assert_eq!(stored.as_deref(), Some("2024-01-01T00:00:00"), "{id}");
    }
    let between = TimestampNanosecondArray::from(vec![1]);
    for value in [text("2024-01-01T00:00:00.1234567Z"), Arc::new(between)] {
        let error = store.sync_of(&key("a"), samples(10, value)).partial(true).await;
        let error = error.expect_err("a part of a microsecond");
        let is_inexact =
            matches!(&error, Error::Write { reason: WriteError::Inexact { row: 0, .. }, .. });
        assert!(is_inexact, "{error}");
    }
    // As batches are taken, which convert less, it is the same without a zone.
    store.sync_of(&key("a"), a_row(11, COLUMN, time())).partial(true).await.expect("a time");
    assert_eq!(stored(&store, 11).await.as_deref(), Some("2024-01-01T00:00:00"));
    // A list of times without a zone, and a time as a version.
    let store = open(engine, &with_column(ColumnType::List(ScalarType::Timestamp))).await;
    let zoned = TimestampSecondArray::from(vec![1_704_067_200]).with_timezone("UTC");
    let row = batch_of([
        ("id", number()),
        (COLUMN, list(time())),
        ("changed", Arc::new(zoned) as ArrayRef),
    ]);
    let samples = Samples::stream(futures::stream::iter([Ok(row)]).boxed());
    store.sync_of(&key("a"), samples.version("x", "changed")).await.expect("a list of times");
    let rows = read(&store, "a").await;
    let version = &rows[0][system::DATA_VERSION_BY_FIELD]["x"];
    assert_eq!(version, "2024-01-01T00:00:00Z");
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
