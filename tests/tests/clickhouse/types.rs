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

/// A root over a table that another program has made.
#[derive(Clone, Debug, Feature, PartialEq)]
#[metaxy(key = "types/theirs")]
struct Theirs {
    #[metaxy(id)]
    id: i32,
    time: chrono::DateTime<chrono::Utc>,
    maybe_time: Option<chrono::DateTime<chrono::Utc>>,
    millis: chrono::DateTime<chrono::Utc>,
    nanos: chrono::DateTime<chrono::Utc>,
    day: chrono::NaiveDate,
    kind: String,
    address: String,
    older_address: String,
    large: String,
    uuid: uuid::Uuid,
    hash: Vec<u8>,
    code: String,
    times: Vec<chrono::DateTime<chrono::Utc>>,
    kinds: Vec<String>,
    entries: BTreeMap<String, String>,
    #[metaxy(field)]
    x: DataVersion,
    #[metaxy(field)]
    y: DataVersion,
}

/// What ClickHouse hands out as numbers and bytes is taken for what it is.
#[tokio::test]
async fn samples_of_a_table_are_what_their_types_say() {
    let database = Database::clickhouse().await;
    let graph = FeatureGraph::of::<Theirs>().expect("a graph");
    let store = Store::open(database.url()).graph(graph).create_tables(true);
    let store = store.await.expect("a store");
    database
        .execute(
            "CREATE TABLE theirs (id Int32, time DateTime('Asia/Tokyo'), \
             maybe_time Nullable(DateTime), millis DateTime64(3, 'Asia/Tokyo'), \
             nanos DateTime64(9), day Date, kind Enum8('it''s (a, ' = 1, 'b' = 2), address IPv6, \
             older_address IPv4, large Int128, uuid UUID, hash FixedString(16), \
             code FixedString(2), times Array(DateTime('UTC')), kinds Array(Enum16('a' = 1)), \
             entries Map(LowCardinality(String), Enum8('c' = 1)), x DateTime('UTC'), y UUID, \
             more DateTime ALIAS time) ORDER BY id",
        )
        .await;
    database
        .execute(
            "INSERT INTO theirs SELECT 1, toDateTime('2023-11-14 22:13:20', 'UTC'), NULL, \
             toDateTime64('2023-11-14 22:13:20.123', 3, 'UTC'), \
             toDateTime64('2023-11-14 22:13:20.123456', 9, 'UTC'), '2024-02-29', 1, '2001:db8::1', \
             '192.168.0.1', toInt128('170141183460469231731687303715884105727'), \
             '00112233-4455-6677-8899-aabbccddeeff', unhex('00112233445566778899aabbccddee00'), \
             'ab', [toDateTime(0, 'UTC')], ['a'], map('k', 'c'), \
             toDateTime('2023-11-14 22:13:20', 'UTC'), '00112233-4455-6677-8899-aabbccddeeff'",
        )
        .await;
    let samples = || metaxy::Samples::table("theirs");
    store.sync::<Theirs>(samples()).await.expect("a sync");
    let mut rows = store.read::<Theirs>().rows().await.expect("records");
    let row = rows.pop().expect("a record");
    let uuid = "00112233-4455-6677-8899-aabbccddeeff";
    assert_eq!(row.x.as_str(), Some("2023-11-14T22:13:20Z"));
    assert_eq!(row.y.as_str(), Some(uuid));
    let hash = uuid.replace('-', "").replace("ff", "00");
    let expected = Theirs {
        id: 1,
        time: time(1_700_000_000_000_000),
        maybe_time: None,
        millis: time(1_700_000_000_123_000),
        nanos: time(1_700_000_000_123_456),
        day: day(2024, 2, 29),
        kind: "it's (a, ".to_owned(),
        address: "2001:db8::1".to_owned(),
        older_address: "192.168.0.1".to_owned(),
        large: i128::MAX.to_string(),
        uuid: uuid.parse().expect("a UUID"),
        hash: hex::decode(hash).expect("bytes"),
        code: "ab".to_owned(),
        times: vec![time(0)],
        kinds: vec!["a".to_owned()],
        entries: [("k".to_owned(), "c".to_owned())].into(),
        x: row.x.clone(),
        y: row.y.clone(),
    };
    assert_eq!(row, expected);
    let again = store.sync::<Theirs>(samples()).await.expect("a sync");
    assert_eq!((again.counts.unchanged, again.written.rows), (1, 0));

    // A time between two microseconds is not cut, and a number is no time.
    database.execute("ALTER TABLE theirs UPDATE nanos = nanos + toIntervalNanosecond(1) WHERE 1 SETTINGS mutations_sync = 2").await;
    let error = store.sync::<Theirs>(samples()).await.expect_err("parts of a microsecond");
    assert!(error.to_string().contains("`nanos`, which Timestamp cannot keep exactly"), "{error}");
    database
        .execute("CREATE VIEW seconds AS SELECT * REPLACE (1700000000 AS time) FROM theirs")
        .await;
    let error =
        store.sync::<Theirs>(metaxy::Samples::table("seconds")).await.expect_err("a number");
    assert!(error.to_string().contains("column `time` is UInt32, expected Timestamp"), "{error}");
}
