//! Which rows a read gives.

use crate::features::{Video, memory, video};
use metaxy::prelude::*;
use metaxy::{Error, Store};
use metaxy_tests::batch::{collect, only};
use metaxy_tests::flow::{self, delete, key, write};
use serde_json::{Value, json};

fn root(y: &str) -> Value {
    json!({ "key": "a", "id_columns": ["id"],
            "fields": ["x", {"key": "y", "code_version": y}] })
}

fn row(id: &str, x: &str) -> Value {
    json!({ "id": id, "metaxy_provenance_by_field": {"x": x, "y": "1"} })
}

async fn write_at(store: &Store, id: &str, x: &str) -> i64 {
    let mut out = store.batch_writer(&key("a"));
    out.push(&metaxy_tests::batch::batch(&[row(id, x)])).await.expect("good rows");
    out.commit().await.expect("a commit").time.expect("a time")
}

/// A story: 1 is written, 2 is written, 1 again, 2 is deleted, the definition changes, 3 is written.
/// The store under today's definition, and the times.
async fn story() -> (Store, [i64; 5]) {
    let store = flow::memory(&flow::graph(&[root("1")])).await;
    let first = write_at(&store, "1", "a").await;
    let second = write_at(&store, "2", "a").await;
    let third = write_at(&store, "1", "b").await;
    let ids = metaxy_tests::batch::batch(&[json!({ "id": "2" })]);
    store.delete_of(&key("a"), &[ids]).await.expect("a deletion");
    let fourth = flow::time_of_deletion(&store, "a").await;
    let store = store.with_graph(flow::graph(&[root("2")]));
    let fifth = write_at(&store, "3", "a").await;
    (store, [first, second, third, fourth, fifth])
}

/// Id, version and whether it is a tombstone.
fn rows(rows: &[Value]) -> Vec<(String, String, bool)> {
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let mut rows: Vec<_> = rows
        .iter()
        .map(|row| {
            let x = &row["metaxy_provenance_by_field"]["x"];
            (text(&row["id"]), text(x), !row["metaxy_deleted_at"].is_null())
        })
        .collect();
    rows.sort();
    rows
}

macro_rules! assert_read {
    ($store:expr $(, $option:ident = $value:expr)*; $($row:expr),*) => {{
        let read = $store.read_of(&key("a"))$(.$option($value))*;
        let found = rows(&collect(read.batches().await.expect("a read")).await);
        let expected: Vec<(&str, &str, bool)> = vec![$($row),*];
        let found: Vec<_> = found.iter().map(|(i, x, t)| (i.as_str(), x.as_str(), *t)).collect();
        assert_eq!(found, expected);
    }};
}

#[tokio::test]
async fn the_latest_row_of_each_record() {
    let (store, _) = story().await;
    assert_read!(store; ("3", "a", false));
    let before = store.with_graph(flow::graph(&[root("1")]));
    assert_read!(before; ("1", "b", false));
}

#[tokio::test]
async fn rows_that_another_definition_wrote() {
    let (store, _) = story().await;
    assert_read!(store, other_versions = true; ("1", "b", false), ("3", "a", false));
}

#[tokio::test]
async fn marks_of_deleted_records() {
    let (store, _) = story().await;
    assert_read!(store, tombstones = true; ("3", "a", false));
    assert_read!(store, tombstones = true, other_versions = true;
        ("1", "b", false), ("2", "a", true), ("3", "a", false));
}

#[tokio::test]
async fn every_row_that_a_record_had() {
    let (store, _) = story().await;
    assert_read!(store, history = true; ("3", "a", false));
    assert_read!(store, history = true, other_versions = true;
        ("1", "a", false), ("1", "b", false), ("2", "a", false), ("3", "a", false));
    assert_read!(store, history = true, other_versions = true, tombstones = true;
        ("1", "a", false), ("1", "b", false), ("2", "a", false), ("2", "a", true),
        ("3", "a", false));
}

#[tokio::test]
async fn as_it_was_at_a_time() {
    let (store, [first, second, third, fourth, fifth]) = story().await;
    let store = store.with_graph(flow::graph(&[root("1")]));
    assert_read!(store, as_of = first - 1;);
    assert_read!(store, as_of = first; ("1", "a", false));
    assert_read!(store, as_of = third - 1; ("1", "a", false), ("2", "a", false));
    assert_read!(store, as_of = third; ("1", "b", false), ("2", "a", false));
    assert_read!(store, as_of = fourth; ("1", "b", false));
    assert_read!(store, as_of = fourth, tombstones = true; ("1", "b", false), ("2", "a", true));
    assert_read!(store, as_of = fifth, other_versions = true; ("1", "b", false), ("3", "a", false));
    assert_read!(store, as_of = second, history = true; ("1", "a", false), ("2", "a", false));
}

#[tokio::test]
async fn columns_stand_in_order() {
    let store = memory().await;
    store.sync(vec![video("a", "1", "1")]).await.expect("a sync");
    let read = flow::read(&store, "example/video").await;
    let columns: Vec<&String> = read[0].as_object().expect("an object").keys().collect();
    assert_eq!(columns[..2], ["video_id", "path"]);
    assert_eq!(columns[2..], metaxy_sql::system::COLUMNS);
}

#[tokio::test]
async fn structs_one_by_one_and_all_at_once() {
    let store = memory().await;
    let n = 10_000;
    let videos: Vec<Video> = (0..n).map(|n| video(&n.to_string(), "1", &n.to_string())).collect();
    store.sync(videos.clone()).await.expect("a sync");
    let mut all = store.read::<Video>().rows().await.expect("records");
    all.sort_by_key(|video| video.video_id.parse::<u32>().expect("a number"));
    let versions = |video: &Video| {
        let of = |version: &DataVersion| version.as_str().map(str::to_owned);
        (video.video_id.clone(), video.path.clone(), of(&video.audio), of(&video.frames))
    };
    let expected: Vec<_> = videos.iter().map(versions).collect();
    assert_eq!(all.iter().map(versions).collect::<Vec<_>>(), expected);

    let mut stream = store.read::<Video>().stream().await.expect("a stream");
    let mut n_streamed = 0;
    while stream.try_next().await.expect("a record").is_some() {
        n_streamed += 1;
    }
    assert_eq!(n_streamed, n);
}

/// A value that came out of a read is not an override when it is written again.
#[tokio::test]
async fn what_was_read_is_no_override() {
    let store = memory().await;
    store.sync(vec![video("a", "1", "1")]).await.expect("a sync");
    crate::features::compute_crops(&store).await;
    let stored = store.read::<crate::features::Crop>().rows().await.expect("records").remove(0);
    assert!(stored.audio.as_str().is_some());

    store.sync(vec![video("a", "2", "1")]).await.expect("a sync");
    let increment = store.resolve_update::<crate::features::Crop>().await.expect("an increment");
    let mut jobs = increment.jobs::<crate::features::Source>();
    let job = jobs.try_next().await.expect("a stream").expect("a job");
    let mut out = store.writer::<crate::features::Crop>();
    out.push(job.done(stored.clone()).expect("the same record")).await.expect("a good record");
    out.commit().await.expect("a commit");
    let after = store.read::<crate::features::Crop>().rows().await.expect("records").remove(0);
    assert_ne!(after.audio.as_str(), stored.audio.as_str(), "as computed, and not as it was read");
    assert_eq!(after.frames.as_str(), stored.frames.as_str());
}

/// A struct that another program's rows do not fit is an error of the stream, with the row's column.
#[tokio::test]
async fn rows_that_do_not_fit_a_struct() {
    #[derive(Debug, Feature)]
    #[metaxy(key = "a")]
    struct Narrow {
        #[metaxy(id)]
        id: String,
        size: i32,
        #[metaxy(field)]
        x: DataVersion,
    }

    let wide = json!({ "key": "a", "id_columns": ["id"], "fields": ["x"] });
    let store = flow::memory(&flow::graph(&[wide])).await;
    let row = json!({ "id": "1", "size": "large", "metaxy_provenance_by_field": {"x": "1"} });
    write(&store, "a", &[row]).await.expect("good rows");
    let store = store.with_graph(FeatureGraph::of::<Narrow>().expect("a graph"));
    let error = store.read::<Narrow>().rows().await.expect_err("another type");
    assert!(matches!(error, Error::Row(_)), "{error}");
    assert_eq!(error.to_string(), "column `size` of `Narrow` cannot be read");
    let cause = std::error::Error::source(&error).expect("a cause").to_string();
    assert!(cause.contains("Utf8") && cause.contains("Int32"), "{cause}");
}

#[tokio::test]
async fn a_deletion_of_nothing() {
    let store = flow::memory(&flow::graph(&[root("1")])).await;
    assert_eq!(delete(&store, "a", &[json!({ "id": "1" })]).await, 0, "no table");
    write(&store, "a", &[row("1", "1")]).await.expect("good rows");
    assert_eq!(delete(&store, "a", &[json!({ "id": "2" })]).await, 0);
    let report = store.delete_of(&key("a"), &[]).await.expect("a deletion");
    assert_eq!(report.to_string(), "a: 0 records deleted");
    let left = only(&flow::read(&store, "a").await, &["id"]);
    assert_eq!(left, [json!({ "id": "1" })]);
}
