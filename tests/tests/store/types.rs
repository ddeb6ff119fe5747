//! Every type that a column can have goes into the store and out of it, as a record and as what
//! comes along into a job.

use metaxy::prelude::*;
use metaxy_tests::place::Place;
use std::collections::BTreeMap;

/// A newtype.
#[derive(Clone, Column, Debug, PartialEq)]
struct Seconds(f64);

/// Written as text.
#[derive(Clone, Copy, Column, Debug, PartialEq)]
enum Kind {
    Raw,
    VeryLong,
}

macro_rules! columns {
    ($($name:ident: $ty:ty = $first:expr, $second:expr;)*) => {
        #[derive(Clone, Debug, Feature, PartialEq)]
        #[metaxy(key = "types/all")]
        struct All {
            #[metaxy(id)]
            id: i32,
            $($name: $ty,)*
            #[metaxy(field)]
            x: DataVersion,
        }

        #[derive(Clone, Debug, PartialEq, Row)]
        struct Brought {
            id: i32,
            $($name: $ty,)*
        }

        /// Two records, of large and of small values.
        fn records() -> Vec<All> {
            vec![
                All { id: 1, $($name: $first,)* x: DataVersion::constant() },
                All { id: 2, $($name: $second,)* x: DataVersion::constant() },
            ]
        }

        fn brought(all: &All) -> Brought {
            let all = all.clone();
            Brought { id: all.id, $($name: all.$name),* }
        }
    };
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn day(year: i32, month: u32, day: u32) -> chrono::NaiveDate {
    chrono::NaiveDate::from_ymd_opt(year, month, day).expect("a day")
}

fn time(micros: i64) -> chrono::DateTime<chrono::Utc> {
    chrono::DateTime::from_timestamp_micros(micros).expect("a time")
}

columns! {
    truth: bool = true, false;
    int8: i8 = i8::MAX, i8::MIN;
    int16: i16 = i16::MAX, i16::MIN;
    int32: i32 = i32::MAX, i32::MIN;
    int64: i64 = i64::MAX, i64::MIN;
    uint8: u8 = u8::MAX, 0;
    uint16: u16 = u16::MAX, 0;
    uint32: u32 = u32::MAX, 0;
    uint64: u64 = u64::MAX, 0;
    float32: f32 = f32::MAX, f32::MIN_POSITIVE;
    float64: f64 = 0.1 + 0.2, f64::NEG_INFINITY;
    text: String = "it's \"\u{1F980}\"\n\\ $1".to_owned(), String::new();
    bytes: Vec<u8> = vec![0, 255, b'\'', 92], Vec::new();
    day: chrono::NaiveDate = day(9999, 12, 31), day(1, 1, 1);
    time: chrono::DateTime<chrono::Utc> = time(1_700_000_000_123_456), time(-1);
    uuid: uuid::Uuid = uuid::Uuid::max(), uuid::Uuid::from_u128(7);
    json: serde_json::Value = serde_json::json!({"a": [1, null, "x"]}), serde_json::Value::Null;
    newtype: Seconds = Seconds(1.5), Seconds(-0.0);
    unit: Kind = Kind::VeryLong, Kind::Raw;
    maybe_text: Option<String> = Some("NULL".to_owned()), None;
    maybe_int: Option<u64> = Some(u64::MAX), None;
    maybe_time: Option<chrono::DateTime<chrono::Utc>> = Some(time(0)), None;
    maybe_uuid: Option<uuid::Uuid> = Some(uuid::Uuid::nil()), None;
    maybe_unit: Option<Kind> = Some(Kind::Raw), None;
    maybe_list: Option<Vec<i64>> = Some(vec![]), None;
    texts: Vec<String> = vec!["a".to_owned(), String::new(), "b".to_owned()], vec![];
    numbers: Vec<u16> = vec![1, 2, 3], vec![];
    floats: Vec<f32> = vec![0.5, -0.5], vec![];
    truths: Vec<bool> = vec![true, false], vec![];
    days: Vec<chrono::NaiveDate> = vec![day(2024, 2, 29)], vec![];
    times: Vec<chrono::DateTime<chrono::Utc>> = vec![time(1)], vec![];
    uuids: Vec<uuid::Uuid> = vec![uuid::Uuid::max(), uuid::Uuid::nil()], vec![];
    entries: BTreeMap<String, String> = map(&[("a", "1"), ("it's", "\"")]), map(&[]);
    maybe_entries: Option<BTreeMap<String, String>> = Some(map(&[("", "")])), None;
}

#[derive(Clone, Debug, Feature, PartialEq)]
#[metaxy(key = "types/child", deps(All))]
struct Child {
    #[metaxy(id)]
    id: i32,
    #[metaxy(field)]
    x: DataVersion,
}

#[tokio::test]
async fn every_column_type_comes_back_as_it_was() {
    let place = Place::new();
    let graph = FeatureGraph::of::<Child>().expect("a graph");
    let store = place.open(&graph).await.expect("a store");
    store.sync(records()).await.expect("a sync");
    // Once more through a file that is closed.
    drop(store);
    let store = place.open(&graph).await.expect("a store");

    let mut rows = store.read::<All>().rows().await.expect("records");
    rows.sort_by_key(|row| row.id);
    let rows: Vec<Brought> = rows.iter().map(brought).collect();
    let expected: Vec<Brought> = records().iter().map(brought).collect();
    assert_eq!(rows, expected);

    let increment = store.resolve_update::<Child>().await.expect("an increment");
    let jobs: Vec<_> = increment.jobs::<Brought>().try_collect().await.expect("jobs");
    let mut inputs: Vec<Brought> = jobs.iter().map(|job| job.input().clone()).collect();
    inputs.sort_by_key(|input| input.id);
    assert_eq!(inputs, expected);

    // The same samples are the same records, and a table that is there has their types.
    let again = store.sync(records()).await.expect("a sync");
    assert_eq!((again.counts.unchanged, again.written.rows), (2, 0));
    let mut out = store.writer::<All>();
    for record in records() {
        out.push(record).await.expect("a good record");
    }
    assert_eq!(out.commit().await.expect("a commit").rows, 2);
}

/// Batches that came out of a store go into another one as they are.
#[tokio::test]
async fn every_column_type_comes_back_as_a_batch() {
    let graph = FeatureGraph::of::<Child>().expect("a graph");
    let first = metaxy_tests::flow::memory(&graph).await;
    first.sync(records()).await.expect("a sync");
    let read = first.read_of(&All::key()).batches().await.expect("a read");
    let batches: Vec<_> = read.try_collect().await.expect("batches");
    let second = metaxy_tests::flow::memory(&graph).await;
    second.sync_of(&All::key(), batches.clone()).await.expect("a sync");
    let mut out = second.batch_writer(&All::key());
    for batch in &batches {
        out.push(batch).await.expect("good rows");
    }
    out.commit().await.expect("a commit");
    let mut rows = second.read::<All>().rows().await.expect("records");
    rows.sort_by_key(|row| row.id);
    let rows: Vec<Brought> = rows.iter().map(brought).collect();
    assert_eq!(rows, records().iter().map(brought).collect::<Vec<Brought>>());
}

macro_rules! ids {
    ($($test:ident: $ty:ty = $($value:expr),*;)*) => {$(
        #[tokio::test]
        async fn $test() {
            #[derive(Clone, Debug, Feature, PartialEq)]
            #[metaxy(key = "types/root")]
            struct Root {
                #[metaxy(id)]
                id: $ty,
                #[metaxy(field)]
                x: DataVersion,
            }

            #[derive(Clone, Debug, Feature, PartialEq)]
            #[metaxy(key = "types/leaf", deps(Root))]
            struct Leaf {
                #[metaxy(id)]
                id: $ty,
                #[metaxy(field)]
                x: DataVersion,
            }

            #[derive(Row)]
            struct Input {
                id: $ty,
            }

            let graph = FeatureGraph::of::<Leaf>().expect("a graph");
            let store = metaxy_tests::flow::memory(&graph).await;
            let ids: Vec<$ty> = vec![$($value),*];
            let root = |id: &$ty| Root { id: id.clone(), x: DataVersion::constant() };
            let roots: Vec<Root> = ids.iter().map(root).collect();
            store.sync(roots.clone()).await.expect("a sync");
            let increment = store.resolve_update::<Leaf>().await.expect("an increment");
            let mut jobs = increment.jobs::<Input>();
            let mut out = store.writer::<Leaf>();
            while let Some(job) = jobs.try_next().await.expect("a job") {
                let leaf = Leaf { id: job.input().id.clone(), x: DataVersion::default() };
                out.push(job.done(leaf).expect("the same id")).await.expect("a good record");
            }
            assert_eq!(out.commit().await.expect("a commit").rows, ids.len() as u64);
            let counts = store.count_update::<Leaf>().await.expect("counts");
            assert_eq!((counts.unchanged, counts.is_up_to_date()), (ids.len() as u64, true));
            let read = store.read::<Leaf>().rows().await.expect("records");
            let mut read: Vec<String> = read.iter().map(|leaf| format!("{:?}", leaf.id)).collect();
            let mut expected: Vec<String> = ids.iter().map(|id| format!("{id:?}")).collect();
            read.sort();
            expected.sort();
            assert_eq!(read, expected);
            let deleted = store.delete(&roots[..1]).await.expect("a deletion").records();
            assert_eq!(deleted, 1);
            assert_eq!(store.count_update::<Leaf>().await.expect("counts").orphaned, 1);
        }
    )*};
}

/// A newtype that is an id.
#[derive(Clone, Column, Debug, PartialEq)]
struct Number(u64);

ids! {
    ids_of_8_bits: i8 = i8::MIN, 0, i8::MAX;
    ids_of_16_bits: i16 = i16::MIN, 0, i16::MAX;
    ids_of_32_bits: i32 = i32::MIN, 0, i32::MAX;
    ids_of_64_bits: i64 = i64::MIN, 0, i64::MAX;
    ids_of_8_bits_without_a_sign: u8 = 0, u8::MAX;
    ids_of_16_bits_without_a_sign: u16 = 0, u16::MAX;
    ids_of_32_bits_without_a_sign: u32 = 0, u32::MAX;
    ids_of_64_bits_without_a_sign: u64 = 0, u64::MAX;
    ids_of_text: String = String::new(), " ".to_owned(), "a|b".to_owned(), "A".to_owned(),
        "a".to_owned(), "e\u{301}".to_owned(), "\u{e9}".to_owned();
    ids_of_days: chrono::NaiveDate = day(1, 1, 1), day(1969, 12, 31), day(2024, 2, 29);
    ids_of_uuids: uuid::Uuid = uuid::Uuid::nil(), uuid::Uuid::from_u128(1 << 127), uuid::Uuid::max();
    ids_of_a_newtype: Number = Number(0), Number(u64::MAX);
}
