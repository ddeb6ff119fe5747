//! Every type of a column, NULL and lists among them, through binary COPY and back; and how each is
//! kept.

use metaxy::prelude::*;
use metaxy::{FeatureGraph, Store};
use metaxy_tests::databases::Database;
use std::collections::BTreeMap;

#[derive(Clone, Debug, Feature, PartialEq)]
#[metaxy(key = "types/all")]
struct All {
    #[metaxy(id)]
    id: i64,
    truth: Option<bool>,
    int8: Option<i8>,
    int16: Option<i16>,
    int32: Option<i32>,
    int64: Option<i64>,
    uint8: Option<u8>,
    uint16: Option<u16>,
    uint32: Option<u32>,
    uint64: Option<u64>,
    float32: Option<f32>,
    float64: Option<f64>,
    text: Option<String>,
    bytes: Option<Vec<u8>>,
    day: Option<chrono::NaiveDate>,
    time: Option<chrono::DateTime<chrono::Utc>>,
    uuid: Option<uuid::Uuid>,
    json: Option<serde_json::Value>,
    entries: Option<BTreeMap<String, String>>,
    texts: Option<Vec<String>>,
    numbers: Option<Vec<u64>>,
    floats: Option<Vec<f32>>,
    truths: Option<Vec<bool>>,
    small: Option<Vec<i16>>,
    days: Option<Vec<chrono::NaiveDate>>,
    times: Option<Vec<chrono::DateTime<chrono::Utc>>>,
    uuids: Option<Vec<uuid::Uuid>>,
    #[metaxy(field)]
    x: DataVersion,
}

#[derive(Clone, Debug, Feature, PartialEq)]
#[metaxy(key = "types/child", deps(All(select(int8, uint64, texts, entries))))]
struct Child {
    #[metaxy(id)]
    id: i64,
    #[metaxy(field)]
    x: DataVersion,
}

#[derive(Debug, PartialEq, Row)]
struct Brought {
    id: i64,
    int8: Option<i8>,
    uint64: Option<u64>,
    texts: Option<Vec<String>>,
    entries: Option<BTreeMap<String, String>>,
}

fn day(year: i32, month: u32, day: u32) -> chrono::NaiveDate {
    chrono::NaiveDate::from_ymd_opt(year, month, day).expect("a day")
}

fn time(micros: i64) -> chrono::DateTime<chrono::Utc> {
    chrono::DateTime::from_timestamp_micros(micros).expect("a time")
}

fn records() -> Vec<All> {
    let nothing = All {
        id: i64::MIN,
        truth: None,
        int8: None,
        int16: None,
        int32: None,
        int64: None,
        uint8: None,
        uint16: None,
        uint32: None,
        uint64: None,
        float32: None,
        float64: None,
        text: None,
        bytes: None,
        day: None,
        time: None,
        uuid: None,
        json: None,
        entries: None,
        texts: None,
        numbers: None,
        floats: None,
        truths: None,
        small: None,
        days: None,
        times: None,
        uuids: None,
        x: DataVersion::constant(),
    };
    let empty = All {
        id: 0,
        truth: Some(false),
        int8: Some(i8::MIN),
        int16: Some(i16::MIN),
        int32: Some(i32::MIN),
        int64: Some(i64::MIN),
        uint8: Some(0),
        uint16: Some(0),
        uint32: Some(0),
        uint64: Some(0),
        float32: Some(f32::MIN_POSITIVE),
        float64: Some(f64::NEG_INFINITY),
        text: Some(String::new()),
        bytes: Some(Vec::new()),
        day: Some(day(1, 1, 1)),
        time: Some(time(-1)),
        uuid: Some(uuid::Uuid::nil()),
        json: Some(serde_json::Value::Null),
        entries: Some(BTreeMap::new()),
        texts: Some(Vec::new()),
        numbers: Some(Vec::new()),
        floats: Some(Vec::new()),
        truths: Some(Vec::new()),
        small: Some(Vec::new()),
        days: Some(Vec::new()),
        times: Some(Vec::new()),
        uuids: Some(Vec::new()),
        ..nothing.clone()
    };
    let full = All {
        id: i64::MAX,
        truth: Some(true),
        int8: Some(i8::MAX),
        int16: Some(i16::MAX),
        int32: Some(i32::MAX),
        int64: Some(i64::MAX),
        uint8: Some(u8::MAX),
        uint16: Some(u16::MAX),
        uint32: Some(u32::MAX),
        uint64: Some(u64::MAX),
        float32: Some(f32::MAX),
        float64: Some(0.1 + 0.2),
        text: Some("it's \"\u{1F980}\"\n\\ $1 \u{feff}".to_owned()),
        bytes: Some(vec![0, 255, b'\'', 92]),
        day: Some(day(9999, 12, 31)),
        time: Some(time(1_700_000_000_123_456)),
        uuid: Some(uuid::Uuid::max()),
        json: Some(serde_json::json!({"b": [1, null, "x"], "a": 1.50})),
        entries: Some([("it's", "\""), ("", "")].map(|(k, v)| (k.into(), v.into())).into()),
        texts: Some(vec!["a".to_owned(), String::new(), "{\"b\", NULL}".to_owned()]),
        numbers: Some(vec![u64::MAX, 0, 10_000]),
        floats: Some(vec![0.5, -0.5]),
        truths: Some(vec![true, false]),
        small: Some(vec![1, -1]),
        days: Some(vec![day(2024, 2, 29)]),
        times: Some(vec![time(1)]),
        uuids: Some(vec![uuid::Uuid::max(), uuid::Uuid::nil()]),
        ..nothing.clone()
    };
    vec![nothing, empty, full]
}

#[tokio::test]
async fn every_column_type_comes_back_as_it_was() {
    let database = Database::postgres().await;
    let graph = FeatureGraph::of::<Child>().expect("a graph");
    let store = Store::open(database.url()).graph(graph).create_tables(true);
    let store = store.await.expect("a store");
    store.sync(records()).await.expect("a sync");
    let mut rows = store.read::<All>().rows().await.expect("records");
    rows.sort_by_key(|row| row.id);
    let x = |row: All| All { x: DataVersion::default(), ..row };
    assert_eq!(
        rows.into_iter().map(x).collect::<Vec<_>>(),
        records().into_iter().map(x).collect::<Vec<_>>()
    );

    let increment = store.resolve_update::<Child>().await.expect("an increment");
    let jobs: Vec<_> = increment.jobs::<Brought>().try_collect().await.expect("jobs");
    let mut inputs: Vec<_> = jobs.iter().map(metaxy::Job::input).collect();
    inputs.sort_by_key(|input| input.id);
    assert_eq!(inputs.len(), 3);
    for (input, record) in inputs.into_iter().zip(records()) {
        let All { id, int8, uint64, texts, entries, .. } = record;
        assert_eq!(*input, Brought { id, int8, uint64, texts, entries });
    }

    let again = store.sync(records()).await.expect("a sync");
    assert_eq!((again.counts.unchanged, again.written.rows), (3, 0));
    let mut out = store.writer::<All>();
    for record in records() {
        out.push(record).await.expect("a good record");
    }
    assert_eq!(out.commit().await.expect("a commit").rows, 3);
}

#[tokio::test]
async fn columns_are_kept_in_the_types_that_postgres_has() {
    let database = Database::postgres().await;
    let graph = FeatureGraph::of::<Child>().expect("a graph");
    let store = Store::open(database.url()).graph(graph).create_tables(true);
    store.await.expect("a store").sync(records()).await.expect("a sync");
    let types = "SELECT attname || ' ' || format_type(atttypid, atttypmod) || CASE WHEN \
                 attcollation = '\"C\"'::regcollation THEN ' C' ELSE '' END FROM pg_attribute \
                 WHERE attrelid = 'types__all'::regclass AND attnum > 0 ORDER BY attnum LIMIT 32";
    assert_eq!(
        database.texts(types).await,
        [
            "id bigint",
            "truth boolean",
            "int8 smallint",
            "int16 smallint",
            "int32 integer",
            "int64 bigint",
            "uint8 smallint",
            "uint16 integer",
            "uint32 bigint",
            "uint64 numeric(20,0)",
            "float32 real",
            "float64 double precision",
            "text text C",
            "bytes bytea",
            "day date",
            "time timestamp with time zone",
            "uuid uuid",
            "json json",
            "entries jsonb",
            "texts text[] C",
            "numbers numeric(20,0)[]",
            "floats real[]",
            "truths boolean[]",
            "small smallint[]",
            "days date[]",
            "times timestamp with time zone[]",
            "uuids uuid[]",
            "metaxy_provenance_by_field jsonb",
            "metaxy_provenance text C",
            "metaxy_data_version_by_field jsonb",
            "metaxy_data_version text C",
            "metaxy_feature_version text C",
        ]
    );
    // Postgres itself understands them as they were meant.
    let full = "SELECT concat_ws(' ', uint64, float64, day, time AT TIME ZONE 'UTC', uuid, \
                texts[3], entries ->> 'it''s', numbers) FROM types__all WHERE truth";
    assert_eq!(
        database.texts(full).await,
        ["18446744073709551615 0.30000000000000004 9999-12-31 2023-11-14 22:13:20.123456 \
          ffffffff-ffff-ffff-ffff-ffffffffffff {\"b\", NULL} \" {18446744073709551615,0,10000}"]
    );
}

/// A root over a table that another program has made.
#[derive(Clone, Debug, Feature, PartialEq)]
#[metaxy(key = "types/theirs")]
struct Theirs {
    #[metaxy(id)]
    id: i64,
    taken_at: chrono::DateTime<chrono::Utc>,
    #[metaxy(field)]
    x: DataVersion,
}

/// A time without a zone is one of UTC, whatever the zone of the session; a number is no time.
#[tokio::test]
async fn times_of_tables_of_others_are_what_they_say() {
    let database = Database::postgres().await;
    let name = database.texts("SELECT current_database()::text").await.remove(0);
    database.execute(&format!("ALTER DATABASE {name} SET timezone = 'Asia/Tokyo'")).await;
    let graph = FeatureGraph::of::<Theirs>().expect("a graph");
    let store = Store::open(database.url()).graph(graph).create_tables(true);
    let store = store.await.expect("a store");
    for (table, taken_at) in [
        ("plain", "TIMESTAMP '2023-11-14 22:13:20.123456'"),
        ("zoned", "TIMESTAMPTZ '2023-11-15 07:13:20.123456+09'"),
    ] {
        let sql = format!("CREATE TABLE {table} AS SELECT 1 AS id, {taken_at} AS taken_at");
        database.execute(&sql).await;
        let samples = metaxy::Samples::table(table).version("x", "taken_at");
        store.sync::<Theirs>(samples).await.expect(table);
        let row = store.read::<Theirs>().rows().await.expect("records").remove(0);
        store.delete(std::slice::from_ref(&row)).hard(true).await.expect("a deletion");
        assert_eq!(row.taken_at, time(1_700_000_000_123_456), "{table}");
        assert_eq!(row.x.as_str(), Some("2023-11-14T22:13:20.123456Z"), "{table}");
    }
    database
        .execute("CREATE TABLE counted AS SELECT 1 AS id, 1700000000 AS taken_at, 1 AS x")
        .await;
    let error = store.sync::<Theirs>(metaxy::Samples::table("counted")).await;
    let error = error.expect_err("a number").to_string();
    assert!(error.contains("column `taken_at` is Int32, expected Timestamp"), "{error}");
}
