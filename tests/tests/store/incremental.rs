//! Resolves that look at what has changed, and everything that makes them look at all records. That they
//! answer like others is in the random histories.

use crate::features::{Crop, Video, compute_crops, crop, graph, video};
use metaxy::Counts;
use metaxy::prelude::*;
use metaxy_tests::flow::key;
use metaxy_tests::place::Place;
use serde_json::json;

/// A file with 100 videos and their crops, which a store has resolved as a whole.
async fn resolved() -> Place {
    let place = Place::new();
    let store = open(&place).await;
    let videos = (0..100).map(|n| video(&format!("{n:03}"), "1", "1"));
    store.sync(videos.collect::<Vec<_>>()).await.expect("a sync");
    compute_crops(&store).await;
    assert!(resolve(&store).await.is_up_to_date());
    drop(store);
    assert_eq!(marks(&place), [json!({ "n": 100 }), json!({ "n": 100 })]);
    place
}

async fn open(place: &Place) -> Store {
    place.open(&graph()).incremental(0.5).await.expect("a store")
}

/// Resolves crops and reads the increment to its end.
async fn resolve(store: &Store) -> Counts {
    let increment = store.resolve_update::<Crop>().await.expect("an increment");
    let counts = increment.counts();
    let rows = increment.batches().map_ok(|batch| batch.num_rows()).try_collect::<Vec<_>>();
    let rows: usize = rows.await.expect("an increment").into_iter().sum();
    assert_eq!(rows as u64, counts.new + counts.stale + counts.orphaned + counts.blocked);
    counts
}

/// How far the tables were read by the resolve that is remembered.
fn marks(place: &Place) -> Vec<serde_json::Value> {
    place.query("SELECT next_row AS n FROM metaxy_system__watermarks ORDER BY table_name")
}

/// What a store finds that looks at all records.
async fn of_all_records(place: &Place) -> Counts {
    resolve(&place.open(&graph()).await.expect("a store")).await
}

async fn change(place: &Place, ids: impl Iterator<Item = u32>) {
    let store = place.open(&graph()).await.expect("a store");
    let videos: Vec<_> = ids.map(|n| video(&format!("{n:03}"), "2", "1")).collect();
    store.sync(videos).partial(true).await.expect("a sync");
}

#[tokio::test]
async fn records_that_nothing_happened_to_are_not_looked_at() {
    let place = resolved().await;
    // Nobody does this. It shows which rows are read.
    place.execute(
        "UPDATE example__crop SET metaxy_feature_version = 'other' WHERE video_id = '050'",
    );
    change(&place, 98..101).await;
    let found = resolve(&open(&place).await).await;
    assert_eq!((found.new, found.stale, found.unchanged, found.unchanged_older), (1, 2, 98, 0));
    let all = of_all_records(&place).await;
    assert_eq!((all.new, all.stale, all.blocked + all.unchanged_older), (1, 2, 1));
    // It is remembered once; what was found then is looked at again, and what came later.
    assert_eq!(marks(&place), [json!({ "n": 100 }), json!({ "n": 100 })]);
    let store = open(&place).await;
    compute_crops(&store).await;
    let found = resolve(&store).await;
    assert_eq!((found.unchanged, found.is_up_to_date()), (101, true));
}

#[tokio::test]
async fn records_that_were_not_unchanged_are_looked_at_again() {
    let place = resolved().await;
    change(&place, 0..60).await;
    // More than half: all records are looked at. Less than half are left as they were.
    assert_eq!(resolve(&open(&place).await).await.stale, 60);
    assert_eq!(marks(&place), [json!({ "n": 100 }), json!({ "n": 100 })]);
    let store = open(&place).await;
    let mut jobs = store.resolve_update::<Crop>().await.expect("an increment").batches();
    let mut out = store.batch_writer(&key("example/crop"));
    let some = jobs.try_next().await.expect("a batch").expect("60 records");
    // What comes along is no column of a crop.
    let own = (0..some.num_columns()).filter(|i| some.schema().field(*i).name() != "path");
    let some = some.project(&own.collect::<Vec<_>>()).expect("columns that are there");
    out.push(&some.slice(0, 40)).await.expect("good rows");
    out.commit().await.expect("a commit");
    drop(jobs);
    assert_eq!(resolve(&store).await.stale, 20);
    assert_eq!(resolve(&store).await.stale, 20);
    drop(store);
    assert_eq!(marks(&place), [json!({ "n": 140 }), json!({ "n": 160 })]);
    place.execute("UPDATE example__crop SET metaxy_feature_version = 'x' WHERE video_id = '099'");
    let found = resolve(&open(&place).await).await;
    assert_eq!((found.stale, found.unchanged, found.unchanged_older), (20, 80, 0));
}

#[tokio::test]
async fn whatever_else_happens_is_noticed() {
    for what in [
        // Rows of another program.
        "INSERT INTO example__video SELECT * REPLACE (
             NULL AS metaxy_write_token, now() AS metaxy_updated_at,
             MAP {'audio': '7', 'frames': '1'} AS metaxy_data_version_by_field
         ) FROM example__video WHERE video_id = '007'",
        // Rows that are gone.
        "DELETE FROM example__video WHERE video_id = '007'",
        "DELETE FROM example__crop WHERE video_id = '007'",
        // Rows that are others, at the same place or not.
        "UPDATE example__video SET metaxy_updated_at = now(),
         metaxy_data_version_by_field = MAP {'audio': '7', 'frames': '1'} WHERE video_id = '007'",
        "UPDATE example__crop SET metaxy_deleted_at = now() WHERE video_id = '007'",
        // Another word about rows that were written before.
        "UPDATE metaxy_system__field_versions SET code_version = '7'
         WHERE feature_key = 'example/video'",
        // Another row in the place of one that is gone.
        "DELETE FROM example__crop WHERE video_id = '007';
         CHECKPOINT;
         INSERT INTO example__crop SELECT * REPLACE ('700' AS video_id, now() AS metaxy_updated_at)
         FROM example__crop WHERE video_id = '008'",
    ] {
        let place = resolved().await;
        place.execute(what);
        let all = of_all_records(&place).await;
        assert_eq!(resolve(&open(&place).await).await, all, "{what}");
        change(&place, 1..3).await;
        let all = of_all_records(&place).await;
        assert_eq!(resolve(&open(&place).await).await, all, "{what}, and a change");
    }
}

#[tokio::test]
async fn what_the_store_removes_is_forgotten() {
    let none = Vec::<serde_json::Value>::new();
    let place = resolved().await;
    let store = open(&place).await;
    change_in(&store).await;
    store.vacuum::<Video>().await.expect("a vacuum");
    drop(store);
    assert_eq!(marks(&place), none);

    let place = resolved().await;
    let store = open(&place).await;
    store.delete(&[crop("007")]).hard(true).await.expect("a deletion");
    drop(store);
    assert_eq!(marks(&place), none);
    assert_eq!(resolve(&open(&place).await).await, of_all_records(&place).await);
}

async fn change_in(store: &Store) {
    store.sync(vec![video("000", "2", "1")]).partial(true).await.expect("a sync");
}

#[tokio::test]
async fn a_store_that_only_reads_keeps_nothing() {
    let place = resolved().await;
    change(&place, 0..60).await;
    let open = || place.open(&graph()).create_tables(false).read_only(true).incremental(0.5);
    assert_eq!(resolve(&open().await.expect("a store")).await.stale, 60);
    assert_eq!(marks(&place), [json!({ "n": 100 }), json!({ "n": 100 })]);
}
