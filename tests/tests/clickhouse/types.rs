//! Every type of a column goes in and comes out as it was, and what ClickHouse cannot keep is refused.

use metaxy::prelude::*;
use metaxy_tests::databases::Database;
use std::collections::BTreeMap;

#[derive(Clone, Debug, Feature, PartialEq)]
#[metaxy(key = "types/all")]
struct All {
    #[metaxy(id)]
    id: i32,
    truth: bool,
    int8: i8,
    int64: i64,
    uint16: u16,
    uint64: u64,
    float32: f32,
    float64: f64,
    text: String,
    bytes: Vec<u8>,
    day: chrono::NaiveDate,
    time: chrono::DateTime<chrono::Utc>,
    uuid: uuid::Uuid,
    json: serde_json::Value,
    maybe_text: Option<String>,
    maybe_int: Option<u64>,
    maybe_time: Option<chrono::DateTime<chrono::Utc>>,
    maybe_uuid: Option<uuid::Uuid>,
    maybe_bytes: Option<Vec<u8>>,
    texts: Vec<String>,
    numbers: Vec<u16>,
    days: Vec<chrono::NaiveDate>,
    uuids: Vec<uuid::Uuid>,
    entries: BTreeMap<String, String>,
    #[metaxy(field)]
    x: DataVersion,
}

#[derive(Clone, Debug, Feature, PartialEq)]
#[metaxy(key = "types/child", deps(All))]
struct Child {
    #[metaxy(id)]
    id: i32,
    #[metaxy(field)]
    x: DataVersion,
}

#[derive(Clone, Debug, PartialEq, Row)]
struct Brought {
    id: i32,
    uint64: u64,
    float64: f64,
    bytes: Vec<u8>,
    time: chrono::DateTime<chrono::Utc>,
    uuid: uuid::Uuid,
    maybe_uuid: Option<uuid::Uuid>,
    uuids: Vec<uuid::Uuid>,
    entries: BTreeMap<String, String>,
}

fn day(year: i32, month: u32, day: u32) -> chrono::NaiveDate {
    chrono::NaiveDate::from_ymd_opt(year, month, day).expect("a day")
}

fn time(micros: i64) -> chrono::DateTime<chrono::Utc> {
    chrono::DateTime::from_timestamp_micros(micros).expect("a time")
}

fn records() -> Vec<All> {
    let entries = [("a", "1"), ("it's", "\""), ("", "")];
    let one = All {
        id: 1,
        truth: true,
        int8: i8::MIN,
        int64: i64::MIN,
        uint16: u16::MAX,
        uint64: u64::MAX,
        float32: f32::MIN_POSITIVE,
        float64: 0.1 + 0.2,
        text: "it's \"\u{1F980}\"\n\\ $1 {x:String} ?".to_owned(),
        bytes: vec![0, 255, b'\'', 92],
        day: day(2299, 12, 31),
        time: time(1_700_000_000_123_456),
        uuid: uuid::Uuid::from_u128(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff),
        json: serde_json::json!({"a": [1, null, "x"]}),
        maybe_text: Some("NULL".to_owned()),
        maybe_int: Some(u64::MAX),
        maybe_time: Some(time(0)),
        maybe_uuid: Some(uuid::Uuid::nil()),
        maybe_bytes: Some(vec![128]),
        texts: vec!["a".to_owned(), String::new(), "b".to_owned()],
        numbers: vec![1, 2, 3],
        days: vec![day(2024, 2, 29)],
        uuids: vec![uuid::Uuid::max(), uuid::Uuid::from_u128(7)],
        entries: entries.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
        x: DataVersion::constant(),
    };
    let other = All {
        id: 2,
        truth: false,
        float64: f64::NEG_INFINITY,
        text: String::new(),
        bytes: Vec::new(),
        day: day(1900, 1, 1),
        time: time(-1),
        json: serde_json::Value::Null,
        maybe_text: None,
        maybe_int: None,
        maybe_time: None,
        maybe_uuid: None,
        maybe_bytes: None,
        texts: Vec::new(),
        numbers: Vec::new(),
        days: Vec::new(),
        uuids: Vec::new(),
        entries: BTreeMap::new(),
        ..one.clone()
    };
    vec![one, other]
}

async fn store(database: &Database) -> Store {
    let graph = FeatureGraph::of::<Child>().expect("a graph");
    Store::open(database.url()).graph(graph).create_tables(true).await.expect("a store")
}

fn sorted(mut rows: Vec<All>) -> Vec<All> {
    rows.sort_by_key(|row| row.id);
    rows.into_iter().map(|row| All { x: DataVersion::constant(), ..row }).collect()
}

#[tokio::test]
async fn every_column_type_comes_back_as_it_was() {
    let database = Database::clickhouse().await;
    let store = store(&database).await;
    store.sync(records()).await.expect("a sync");
    let rows = store.read::<All>().rows().await.expect("records");
    assert_eq!(sorted(rows), records());

    let increment = store.resolve_update::<Child>().await.expect("an increment");
    let jobs: Vec<_> = increment.jobs::<Brought>().try_collect().await.expect("jobs");
    let mut inputs: Vec<Brought> = jobs.iter().map(|job| job.input().clone()).collect();
    inputs.sort_by_key(|input| input.id);
    for (brought, record) in inputs.iter().zip(records()) {
        let expected = Brought {
            id: record.id,
            uint64: record.uint64,
            float64: record.float64,
            bytes: record.bytes,
            time: record.time,
            uuid: record.uuid,
            maybe_uuid: record.maybe_uuid,
            uuids: record.uuids,
            entries: record.entries,
        };
        assert_eq!(*brought, expected);
    }

    // The same samples are the same records, and a table that is there has their types.
    let again = store.sync(records()).await.expect("a sync");
    assert_eq!((again.counts.unchanged, again.written.rows), (2, 0));
    let copy = metaxy_tests::flow::open("memory:", store.graph()).await;
    store.copy_to(&copy).await.expect("a copy");
    assert_eq!(sorted(copy.read::<All>().rows().await.expect("records")), records());
}

#[tokio::test]
async fn what_would_be_changed_without_a_word_is_refused() {
    let database = Database::clickhouse().await;
    let store = store(&database).await;
    let record = records().remove(0);
    for (record, what) in [
        (All { day: day(2300, 1, 1), ..record.clone() }, "a day"),
        (All { day: day(1899, 12, 31), ..record.clone() }, "a day"),
        (All { days: vec![day(1, 1, 1)], ..record.clone() }, "a day"),
        (All { time: time(-2_208_988_800_000_001), ..record.clone() }, "a point in time"),
        (
            All { maybe_time: Some(time(10_413_792_000_000_000)), ..record.clone() },
            "a point in time",
        ),
    ] {
        let error = store.sync(vec![record]).await.expect_err("it cannot be kept").to_string();
        assert!(error.contains(what) && error.contains("1900 to 2299"), "{error}");
        let column = ["`day`", "`days`", "`time`", "`maybe_time`"];
        assert!(column.iter().any(|column| error.contains(column)), "{error}");
    }
    store.sync(vec![record]).await.expect("a sync");
}

#[tokio::test]
async fn a_record_that_cannot_be_kept_takes_no_other_with_it() {
    let database = Database::clickhouse().await;
    let store = store(&database).await;
    let record = records().remove(0);
    let days =
        |id| if id == 6 { vec![day(2024, 1, 1), day(1, 1, 1)] } else { vec![day(2024, 1, 1); 3] };
    let mut out = store.writer::<All>();
    for id in 0..10 {
        out.push(All { id, days: days(id), ..record.clone() }).await.expect("a record");
    }
    let error = out.commit().await.expect_err("a day that cannot be kept").to_string();
    assert!(error.contains("`days` of row 6 (id = 6) holds a day outside"), "{error}");
    assert_eq!(out.commit().await.expect("the others").rows, 9);
    assert_eq!(store.read::<All>().rows().await.expect("records").len(), 9);
}
