//! Bad rows: each is refused with a text that says which and why, and nothing of the write is stored.

use crate::features::{Crop, Source, Video, crop, memory, open, video};
use metaxy::arrow::array::{
    ArrayRef, Int8Array, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampNanosecondArray, UInt32Array, UInt64Array,
};
use metaxy::prelude::*;
use metaxy::{Error, Store};
use metaxy_tests::batch::{batch, batch_of};
use metaxy_tests::flow::{self, increment, key, read, write};
use serde_json::{Value, json};
use std::sync::Arc;

/// A feature whose columns are of some types, and a root.
#[derive(Debug, Feature)]
#[metaxy(key = "refusals/clip")]
struct Clip {
    #[metaxy(id)]
    id: i64,
    length: i64,
    note: Option<String>,
    at: Option<chrono::DateTime<chrono::Utc>>,
    #[metaxy(field)]
    x: DataVersion,
    #[metaxy(field)]
    y: DataVersion,
}

const CLIP: &str = "refusals/clip";

async fn clips() -> Store {
    flow::memory(&FeatureGraph::of::<Clip>().expect("a graph")).await
}

fn clip(id: i64) -> Value {
    json!({ "id": id, "length": 1, "note": "n", "at": null,
            "metaxy_provenance_by_field": { "x": "1", "y": "1" } })
}

/// The refusals of a writer and of a sync, which are the same, of a root that stays as it is.
async fn refused(feature: &str, store: &Store, batches: &[RecordBatch]) -> String {
    let before = read(store, feature).await;
    let mut out = store.batch_writer(&key(feature));
    let written = async {
        for batch in batches {
            out.push(batch).await?;
        }
        out.commit().await
    };
    let by_writer = written.await.expect_err("a refusal").to_string();
    let by_sync = store.sync_of(&key(feature), batches.to_vec()).await.expect_err("a refusal");
    assert_eq!(by_writer, by_sync.to_string());
    assert_eq!(read(store, feature).await, before, "something was written");
    by_writer
}

/// The refusal of rows of `Clip`.
async fn refused_clips(rows: &[Value]) -> String {
    let store = clips().await;
    write(&store, CLIP, &[clip(100)]).await.expect("good rows");
    refused(CLIP, &store, &[batch(rows)]).await
}

fn with(mut row: Value, name: &str, value: Value) -> Value {
    row[name] = value;
    row
}

#[tokio::test]
async fn an_id_twice_in_a_write() {
    let store = clips().await;
    let expected = "cannot write `refusals/clip`: 2 rows have the same id id = 7; a record can be \
                    written once in a write";
    let one = [batch(&[clip(6), clip(7), clip(7)])];
    assert_eq!(refused(CLIP, &store, &one).await, expected);
    let across = [batch(&[clip(6), clip(7)]), batch(&[clip(8)]), batch(&[clip(7)])];
    assert_eq!(refused(CLIP, &store, &across).await, expected);
    // In two writes it is one record, written again.
    write(&store, CLIP, &[clip(7)]).await.expect("good rows");
    write(&store, CLIP, &[clip(7)]).await.expect("good rows");
    assert_eq!(read(&store, CLIP).await.len(), 1);
}

#[tokio::test]
async fn an_id_of_two_columns_twice_in_a_write() {
    let features = [json!({ "key": "a", "id_columns": ["vid", "scene"], "fields": ["x"] })];
    let store = flow::memory(&flow::graph(&features)).await;
    let row = |scene: &str| json!({ "vid": "v", "scene": scene, "metaxy_provenance_by_field": {"x": "1"} });
    let rows = batch(&[row("a"), row("b"), row("b"), row("b")]);
    assert_eq!(
        refused("a", &store, &[rows]).await,
        "cannot write `a`: 3 rows have the same id vid = v, scene = b; a record can be written once \
         in a write"
    );
}

#[tokio::test]
async fn typed_records_with_one_id() {
    let store = memory().await;
    let expected = "cannot write `example/video`: 2 rows have the same id video_id = a; a record \
                    can be written once in a write";
    let twice = || vec![video("a", "1", "1"), video("a", "2", "2")];
    let error = store.sync(twice()).await.expect_err("a refusal");
    assert_eq!(error.to_string(), expected);
    let mut out = store.writer::<Video>();
    for record in twice() {
        out.push(record).await.expect("found out with the commit");
    }
    assert_eq!(out.commit().await.expect_err("a refusal").to_string(), expected);
    assert_eq!(read(&store, "example/video").await, Vec::<Value>::new());
}

#[tokio::test]
async fn null_where_a_value_is_needed() {
    let rows =
        [clip(1), with(clip(2), "length", Value::Null), with(clip(3), "length", Value::Null)];
    assert_eq!(
        refused_clips(&rows).await,
        "cannot write `refusals/clip`: 2 rows have NULL in the not nullable column `length`, the \
         first of them row 1; a record needs a value there"
    );
}

#[tokio::test]
async fn wrong_types() {
    for (row, expected) in [
        (with(clip(1), "id", json!("one")), "column `id` is Utf8, expected Int64"),
        (with(clip(1), "length", json!("long")), "column `length` is Utf8, expected Int64"),
        (with(clip(1), "length", json!(1.5)), "column `length` is Float64, expected Int64"),
        (with(clip(1), "note", json!(5)), "column `note` is Int64, expected Utf8"),
        (with(clip(1), "note", json!({"a": "b"})), "expected Utf8"),
        (
            with(clip(1), "metaxy_provenance_by_field", json!("1")),
            "column `metaxy_provenance_by_field` is Utf8, expected Map<Utf8, Utf8> or a struct of \
             Utf8",
        ),
    ] {
        let refusal = refused_clips(&[row]).await;
        assert!(refusal.starts_with("cannot write `refusals/clip`: column `"), "{refusal}");
        assert!(refusal.ends_with(expected), "{refusal}");
    }
}

/// Narrower integers fit; wider ones are refused, whatever their values are.
#[tokio::test]
async fn integers_of_another_width() {
    let store = clips().await;
    let rows = |id: i64, length: ArrayRef| {
        let good = batch(&[clip(id)]);
        let schema = good.schema();
        let columns = schema.fields().iter().zip(good.columns());
        batch_of(columns.map(|(field, array)| match field.name().as_str() {
            "length" => ("length", Arc::clone(&length)),
            name => (leak(name), Arc::clone(array)),
        }))
    };
    let narrow: [ArrayRef; 3] = [
        Arc::new(Int8Array::from(vec![-1])),
        Arc::new(Int32Array::from(vec![-1])),
        Arc::new(UInt32Array::from(vec![u32::MAX])),
    ];
    for (id, length) in narrow.into_iter().enumerate() {
        let samples = rows(i64::try_from(id).expect("a small number"), length);
        store.sync_of(&key(CLIP), samples).partial(true).await.expect("a sync");
    }
    let mut lengths: Vec<_> =
        read(&store, CLIP).await.iter().filter_map(|row| row["length"].as_i64()).collect();
    lengths.sort_unstable();
    assert_eq!(lengths, [-1, -1, i64::from(u32::MAX)]);
    let wide: ArrayRef = Arc::new(UInt64Array::from(vec![1]));
    assert_eq!(
        refused(CLIP, &store, &[rows(7, wide)]).await,
        "cannot write `refusals/clip`: column `length` is UInt64, expected Int64"
    );
}

/// A time is kept to the microsecond; one that is finer is not cut.
#[tokio::test]
async fn times_that_are_too_fine() {
    let store = clips().await;
    let rows = |nanos: i64| {
        let good = batch(&[clip(1)]);
        let at: ArrayRef =
            Arc::new(TimestampNanosecondArray::from(vec![nanos]).with_timezone("UTC"));
        let schema = good.schema();
        let columns = schema.fields().iter().zip(good.columns());
        batch_of(columns.map(|(field, array)| match field.name().as_str() {
            "at" => ("at", Arc::clone(&at)),
            name => (leak(name), Arc::clone(array)),
        }))
    };
    assert_eq!(
        refused(CLIP, &store, &[rows(1_700_000_000_000_000_001)]).await,
        "cannot write `refusals/clip`: row 0 has 2023-11-14T22:13:20.000000001Z in the column `at`, \
         which Timestamp cannot keep exactly"
    );
    let mut out = store.batch_writer(&key(CLIP));
    out.push(&rows(1_700_000_000_123_456_000)).await.expect("a whole microsecond");
    out.commit().await.expect("a commit");
    assert_eq!(read(&store, CLIP).await[0]["at"], json!(1_700_000_000_123_456_i64));
}

/// A name that lives as long as a test.
fn leak(name: &str) -> &'static str {
    Box::leak(name.to_owned().into_boxed_str())
}

#[tokio::test]
async fn data_versions_that_cannot_be_told_apart() {
    let of = |version: &str| json!({ "x": "1", "y": version });
    for version in ["", "a|b", "|"] {
        let bad = with(clip(7), "metaxy_provenance_by_field", of(version));
        assert_eq!(
            refused_clips(&[clip(1), bad]).await,
            format!(
                "cannot write `refusals/clip`: row 1 (id = 7) has the data version {version:?} for \
                 field `y`; it may not be empty nor contain `|`, which separates versions in what is \
                 hashed, nor NUL"
            )
        );
        let bad = with(clip(7), "metaxy_data_version_by_field", of(version));
        let refusal = refused_clips(&[bad]).await;
        assert!(
            refusal.contains(&format!("the data version {version:?} for field `y`")),
            "{refusal}"
        );
    }
}

#[tokio::test]
async fn data_versions_of_structs_that_cannot_be_told_apart() {
    let store = memory().await;
    for version in ["", "a|b"] {
        let expected = format!(
            "cannot write `example/video`: row 1 (video_id = b) has the data version {version:?} \
             for field `frames`; it may not be empty nor contain `|`, which separates versions in \
             what is hashed, nor NUL"
        );
        let samples = vec![video("a", "1", "1"), video("b", "1", version)];
        let error = store.sync(samples).await.expect_err("a refusal");
        assert_eq!(error.to_string(), expected);
        let mut out = store.writer::<Video>();
        out.push(video("a", "1", "1")).await.expect("a good record");
        let error = out.push(video("b", "1", version)).await.expect_err("a refusal");
        assert_eq!(error.to_string(), expected);
    }
    assert_eq!(read(&store, "example/video").await, Vec::<Value>::new());
}

/// The caller may go on after a refusal, and then all but the refused record is written.
#[tokio::test]
async fn a_record_that_is_refused_takes_no_other_with_it() {
    let store = memory().await;
    let mut out = store.writer::<Video>();
    let mut refused = 0;
    for n in 0..10_000 {
        let version = if n == 5_000 { "a|b" } else { "1" };
        refused += usize::from(out.push(video(&n.to_string(), "1", version)).await.is_err());
    }
    assert_eq!(refused, 1);
    assert_eq!(out.commit().await.expect("a commit").rows, 9_999);
    let n_rows = store.read::<Video>().rows().await.expect("records").len();
    assert_eq!(n_rows, 9_999);
}

/// What is found out when records are staged, too.
#[tokio::test]
async fn a_text_that_is_refused_takes_no_other_with_it() {
    for engine in ["memory:", "duckdb::memory:"] {
        let store = open(engine).await;
        let mut out = store.writer::<Video>();
        let mut refused = Vec::new();
        for n in 0..10_000 {
            let path = if n == 5_000 { "a\0b".to_owned() } else { String::new() };
            let pushed = out.push(Video { path, ..video(&n.to_string(), "1", "1") }).await;
            refused.extend(pushed.err().map(|error| error.to_string()));
        }
        let expected = "cannot write `example/video`: row 5000 (video_id = 5000) has a NUL character in \
                        the column `path`, which no text in a store may hold; remove it, or keep such \
                        values as bytes";
        assert_eq!(refused, [expected]);
        assert_eq!(out.commit().await.expect("a commit").rows, 9_999);

        out.push(Video { path: "\0".to_owned(), ..video("bad", "1", "1") }).await.expect("later");
        out.push(video("good", "1", "1")).await.expect("a good record");
        let error = out.commit().await.expect_err("a refusal").to_string();
        assert!(error.contains("(video_id = bad) has a NUL character"), "{error}");
        assert_eq!(out.commit().await.expect("the other").rows, 10_000);
        assert_eq!(store.read::<Video>().rows().await.expect("records").len(), 10_000);
    }
}

/// The children of a parent are there together or not at all.
#[tokio::test]
async fn a_child_that_is_refused_takes_those_of_its_parent_with_it() {
    for engine in ["memory:", "duckdb::memory:"] {
        let graph = FeatureGraph::of::<Word>().expect("a graph");
        let store = flow::open(engine, &graph).await;
        let texts = ["a", "b", "c"].map(|id| Text { id: id.to_owned(), x: DataVersion::new("1") });
        store.sync(texts.to_vec()).await.expect("a sync");
        let expand = async |bad: &'static str, out: &mut metaxy::store::Writer<Word>| {
            let increment = store.resolve_update::<Word>().await.expect("an increment");
            let mut jobs = increment.jobs::<TextId>();
            let mut n = 0;
            while let Some(job) = jobs.try_next().await.expect("a job") {
                let id = job.input().id.clone();
                let words = (0..3).map(|place| Word {
                    id: id.clone(),
                    place,
                    word: if id == bad && place == 1 { "\0".to_owned() } else { "w".to_owned() },
                    x: DataVersion::default(),
                });
                out.push(job.children(words).expect("its children")).await.expect("children");
                n += 1;
            }
            n
        };
        let mut out = store.writer::<Word>();
        assert_eq!(expand("b", &mut out).await, 3);
        let error = out.commit().await.expect_err("a refusal").to_string();
        assert!(error.contains("id = b, place = 1) has a NUL character"), "{error}");
        let committed = out.commit().await.expect("the others");
        assert_eq!((committed.rows, committed.parents), (6, 2));
        assert_eq!(expand("", &mut out).await, 1);
        let committed = out.commit().await.expect("the last");
        assert_eq!((committed.rows, committed.parents), (9, 3));
    }
}

#[derive(Clone, Debug, Feature)]
#[metaxy(key = "refusals/text")]
struct Text {
    #[metaxy(id)]
    id: String,
    #[metaxy(field)]
    x: DataVersion,
}

#[derive(Debug, Row)]
struct TextId {
    id: String,
}

#[derive(Debug, Feature)]
#[metaxy(key = "refusals/word", deps(Text(lineage = expansion(on(id)))))]
struct Word {
    #[metaxy(id)]
    id: String,
    #[metaxy(id)]
    place: i64,
    word: String,
    #[metaxy(field)]
    x: DataVersion,
}

#[tokio::test]
async fn a_root_without_a_data_version() {
    let bad = with(clip(7), "metaxy_provenance_by_field", json!({ "x": "1" }));
    let expected = "cannot write `refusals/clip`: row 1 (id = 7) has no data version for field `y`";
    assert_eq!(refused_clips(&[clip(1), bad]).await, expected);
    let bad = with(clip(7), "metaxy_provenance_by_field", json!({ "x": "1", "y": null }));
    assert_eq!(refused_clips(&[clip(1), bad]).await, expected);
    let bad = with(clip(7), "metaxy_provenance_by_field", Value::Null);
    assert_eq!(
        refused_clips(&[clip(1), bad]).await,
        "cannot write `refusals/clip`: row 1 (id = 7) has no data version for field `x`"
    );
    let mut bad = clip(7);
    bad.as_object_mut().expect("an object").remove("metaxy_provenance_by_field");
    assert_eq!(
        refused_clips(&[bad]).await,
        "cannot write `refusals/clip`: the rows have neither a column `metaxy_provenance_by_field` \
         nor a text column for each of the fields: x, y"
    );
}

#[tokio::test]
async fn a_root_with_a_default_data_version() {
    let store = memory().await;
    let expected = "cannot write `example/video`: row 1 (video_id = b) has no data version for \
                    field `audio`";
    let bad = || Video { audio: DataVersion::default(), ..video("b", "1", "1") };
    let error = store.sync(vec![video("a", "1", "1"), bad()]).await.expect_err("a refusal");
    assert_eq!(error.to_string(), expected);
    let mut out = store.writer::<Video>();
    out.push(video("a", "1", "1")).await.expect("a good record");
    assert_eq!(out.push(bad()).await.expect_err("a refusal").to_string(), expected);
    drop(out);
    assert_eq!(read(&store, "example/video").await, Vec::<Value>::new());
}

#[tokio::test]
async fn a_version_for_no_field() {
    let versions = json!({ "x": "1", "y": "1", "z": "1" });
    let bad = with(clip(7), "metaxy_provenance_by_field", versions);
    assert_eq!(
        refused_clips(&[clip(1), bad]).await,
        "cannot write `refusals/clip`: row 1 has a version for `z`, which is no field; the fields \
         are x, y"
    );
}

/// Columns that begin as ours do and are none of ours are unknown ones.
#[tokio::test]
async fn a_column_that_looks_like_ours() {
    assert_eq!(
        refused_clips(&[with(clip(1), "metaxy_note", json!("lost"))]).await,
        "cannot write `refusals/clip`: unknown columns `metaxy_note`; the feature has `id`, \
         `length`, `note`, `at`"
    );
}

#[tokio::test]
async fn rows_of_a_feature_with_upstreams_without_provenance() {
    let store = memory().await;
    store.sync(vec![video("a", "1", "1")]).await.expect("a sync");
    let row = json!({ "video_id": "a" });
    assert_eq!(
        write(&store, "example/crop", &[row]).await.expect_err("a refusal").to_string(),
        "cannot write `example/crop`: the rows have no column `metaxy_provenance_by_field`; write \
         what `resolve_update` returned, with columns added, so that it is known what each record \
         was computed from"
    );
    let row = json!({ "video_id": "a", "metaxy_provenance_by_field": { "audio": "1" } });
    assert_eq!(
        write(&store, "example/crop", &[row]).await.expect_err("a refusal").to_string(),
        "cannot write `example/crop`: row 0 (video_id = a) has no provenance for field `frames`"
    );
    let mut out = store.writer::<Crop>();
    assert_eq!(
        out.push(crop("a")).await.expect_err("a refusal").to_string(),
        "cannot write `example/crop`: a record of a feature with upstreams is written with the job \
         that it came from: `out.push(job.done(record)?)`"
    );
    assert_eq!(read(&store, "example/crop").await, Vec::<Value>::new());
}

#[tokio::test]
async fn a_job_is_about_one_record() {
    let store = memory().await;
    store.sync(vec![video("a", "1", "1")]).await.expect("a sync");
    let mut jobs = store.resolve_update::<Crop>().await.expect("an increment").jobs::<Source>();
    let job = jobs.try_next().await.expect("a stream").expect("a job");
    assert_eq!(
        job.done(crop("b")).expect_err("a refusal").to_string(),
        "cannot write `example/crop`: the record has the id video_id = b, but the job is about \
         video_id = a"
    );
}

/// The texts of a status column are understood in whatever form they come.
#[tokio::test]
async fn orphans_and_blocked_records_are_not_for_writing() {
    let store = memory().await;
    store.sync(vec![video("a", "1", "1"), video("b", "1", "1")]).await.expect("a sync");
    crate::features::compute_crops(&store).await;
    let only_a = store.sync(vec![video("a", "1", "1")]).delete_orphans(true);
    only_a.await.expect("a sync");
    let rows = increment(&store, "example/crop").await;
    assert_eq!(rows.len(), 1);
    let status: ArrayRef = Arc::new(metaxy::arrow::array::LargeStringArray::from(vec!["orphaned"]));
    let row = json!({ "video_id": "b",
        "metaxy_provenance_by_field": rows[0]["metaxy_provenance_by_field"] });
    let plain = batch(&[row]);
    let columns = [
        ("video_id", Arc::clone(plain.column(0))),
        ("metaxy_provenance_by_field", Arc::clone(plain.column(1))),
        ("metaxy_status", status),
    ];
    let mut out = store.batch_writer(&key("example/crop"));
    assert_eq!(
        out.push(&batch_of(columns)).await.expect_err("a refusal").to_string(),
        "cannot write `example/crop`: row 0 (video_id = b) is orphaned; only new and stale records \
         are written"
    );
}

#[tokio::test]
async fn calls_that_are_meant_for_other_features() {
    let store = memory().await;
    assert_eq!(
        store.resolve_update::<Video>().await.expect_err("a root").to_string(),
        "`example/video` has no upstream that it could be compared with; `store.sync(samples)` \
         compares samples with what is stored"
    );
    assert_eq!(
        store.sync(vec![crop("a")]).await.expect_err("no root").to_string(),
        "`example/crop` is computed from upstreams and has no samples; `store.resolve_update()` \
         finds what to compute"
    );
    let error = store.count_update_of(&key("example/corp")).await.expect_err("no feature");
    assert!(matches!(error, Error::UnknownFeature { .. }));
    assert_eq!(
        error.to_string(),
        "there is no feature `example/corp` in the graph, the nearest is `example/crop`"
    );
}

#[tokio::test]
async fn ids_to_delete_are_checked_like_others() {
    let store = clips().await;
    write(&store, CLIP, &[clip(1)]).await.expect("good rows");
    let ids = |name: &str, array: ArrayRef| batch_of([(leak(name), array)]);
    let number: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None]));
    let text: ArrayRef = Arc::new(StringArray::from(vec!["one"]));
    for (batch, expected) in [
        (ids("id", text), "column `id` is Utf8, expected Int64"),
        (ids("idd", Arc::clone(&number)), "missing columns `id`; the feature has `id`"),
        (
            ids("id", number),
            "1 rows have NULL in the id column `id`, the first of them row 1; a record needs a \
             value there",
        ),
    ] {
        let error = store.delete_of(&key(CLIP), &[batch]).await.expect_err("a refusal");
        assert_eq!(error.to_string(), format!("cannot write `refusals/clip`: {expected}"));
    }
    assert_eq!(read(&store, CLIP).await.len(), 1);
}

#[tokio::test]
async fn a_column_that_hides_the_address_of_rows() {
    let features = [json!({ "key": "a", "id_columns": ["RowId"], "fields": ["x"] })];
    let store = flow::memory(&flow::graph(&features)).await;
    let row = json!({ "RowId": "1", "metaxy_provenance_by_field": { "x": "1" } });
    assert_eq!(
        write(&store, "a", &[row]).await.expect_err("a refusal").to_string(),
        "the table `a` cannot have a column `RowId`: DuckDB gives the address of a row under this \
         name; call it something else, `#[metaxy(name = \"..\")]` in a struct"
    );
    assert_eq!(read(&store, "a").await, Vec::<Value>::new());
}
