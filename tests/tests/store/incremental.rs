//! Resolves that look at what has changed, and everything that makes them look at all records. That they
//! answer like others is in the random histories.

use crate::deleting::fill_family;
use crate::features::{Crop, Video, compute_crops, crop, graph, video};
use metaxy::ScalarType::{Int64, Text};
use metaxy::arrow::array::RecordBatch;
use metaxy::builder::{DepBuilder, FeatureBuilder, FieldBuilder};
use metaxy::prelude::*;
use metaxy::store::Failed;
use metaxy::{Counts, FeatureGraph};
use metaxy_tests::batch::batch;
use metaxy_tests::flow::{self, compute, increment, key, write};
use metaxy_tests::place::Place;
use serde_json::{Value, json};

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
    resolve_of(store, "example/crop").await
}

async fn resolve_of(store: &Store, feature: &str) -> Counts {
    let increment = store.resolve_update_of(&key(feature)).await.expect("an increment");
    let counts = increment.counts();
    let rows = increment.batches().map_ok(|batch| batch.num_rows()).try_collect::<Vec<_>>();
    let rows: usize = rows.await.expect("an increment").into_iter().sum();
    assert_eq!(rows as u64, counts.new + counts.stale + counts.orphaned + counts.blocked);
    counts
}

/// How far the tables were read by the resolve that is remembered.
fn marks(place: &Place) -> Vec<Value> {
    place.query("SELECT next_row AS n FROM metaxy_system__watermarks ORDER BY table_name")
}

/// What a store finds that looks at all records.
async fn of_all_records(place: &Place) -> Counts {
    resolve(&place.open(&graph()).await.expect("a store")).await
}

/// Rows of an increment without what comes along, which is no column of a crop.
fn crops_of(rows: &RecordBatch) -> RecordBatch {
    let own = (0..rows.num_columns()).filter(|i| rows.schema().field(*i).name() != "path");
    rows.project(&own.collect::<Vec<_>>()).expect("columns that are there")
}

async fn change(place: &Place, ids: impl Iterator<Item = u32>) {
    let store = place.open(&graph()).await.expect("a store");
    let videos: Vec<_> = ids.map(|n| video(&format!("{n:03}"), "2", "1")).collect();
    store.sync(videos).partial(true).await.expect("a sync");
}

/// Changes a crop as nobody does, which no number tells. Who finds it has looked at its row.
fn rewrite_unnoticed(place: &Place, id: &str) {
    place.execute(&format!(
        "UPDATE example__crop SET metaxy_feature_version = 'other' WHERE video_id = '{id}'"
    ));
}

#[tokio::test]
async fn records_that_nothing_happened_to_are_not_looked_at() {
    let place = resolved().await;
    rewrite_unnoticed(&place, "050");
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
    out.push(&crops_of(&some).slice(0, 40)).await.expect("good rows");
    out.commit().await.expect("a commit");
    drop(jobs);
    assert_eq!(resolve(&store).await.stale, 20);
    assert_eq!(resolve(&store).await.stale, 20);
    drop(store);
    assert_eq!(marks(&place), [json!({ "n": 140 }), json!({ "n": 160 })]);
    rewrite_unnoticed(&place, "099");
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
        // Who writes without a token may change rows without their times.
        "INSERT INTO example__video SELECT * REPLACE (NULL AS metaxy_write_token)
         FROM example__video WHERE video_id = '007';
         UPDATE example__crop SET metaxy_feature_version = 'other' WHERE video_id = '050'",
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
    let none = Vec::<Value>::new();
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

#[tokio::test]
async fn records_of_the_feature_itself_are_looked_at() {
    let place = resolved().await;
    let store = open(&place).await;
    store.delete(&[crop("007")]).await.expect("a deletion");
    drop(store);
    rewrite_unnoticed(&place, "050");
    let found = resolve(&open(&place).await).await;
    assert_eq!((found.new, found.unchanged, found.unchanged_older), (1, 99, 0));
}

#[tokio::test]
async fn counts_are_those_of_all_records() {
    let place = resolved().await;
    let store = open(&place).await;
    // Deleted with its crop, before all records are looked at.
    store.delete(&[crop("010")]).await.expect("a deletion");
    store.delete(&[video("010", "1", "1")]).await.expect("a deletion");
    drop(store);
    for id in ["020", "021", "022"] {
        rewrite_unnoticed(&place, id);
    }
    place.execute(
        "INSERT INTO example__video SELECT * REPLACE (
             '700' AS video_id, 'other' AS metaxy_feature_version
         ) FROM example__video WHERE video_id = '007';
         DELETE FROM metaxy_system__watermarks",
    );
    let whole = resolve(&open(&place).await).await;
    assert_eq!((whole.waiting, whole.unchanged, whole.unchanged_older), (1, 99, 3));
    assert_eq!(marks(&place).len(), 2);

    change(&place, [10, 20, 30, 31].into_iter()).await;
    let all = of_all_records(&place).await;
    rewrite_unnoticed(&place, "050");
    let found = resolve(&open(&place).await).await;
    assert_eq!(found, all, "without a look at the row that is another one");
    assert_eq!((found.new, found.stale, found.waiting), (1, 3, 1));
    assert_eq!((found.unchanged, found.unchanged_older), (96, 2));
}

#[tokio::test]
async fn calls_that_ask_for_less_leave_nothing_behind() {
    let place = resolved().await;
    change(&place, 97..100).await;
    let store = open(&place).await;
    for limited in 0..2 {
        let update = store.update::<Crop>().limit(1);
        let increment = update.await.expect("an increment");
        assert_eq!(increment.counts().stale, 3 - limited);
        let mut jobs = increment.to_compute();
        let mut out = store.batch_writer(&key("example/crop"));
        while let Some(rows) = jobs.try_next().await.expect("a batch") {
            out.push(&crops_of(&rows)).await.expect("good rows");
        }
        assert_eq!(out.commit().await.expect("a commit").rows, 1);
    }
    for update in [
        store.update::<Crop>().shard(0, 2),
        store.update::<Crop>().order_by("video_id"),
        store.update::<Crop>().filter_on::<Video>("video_id < '050'"),
        store.update::<Crop>().global_filter("video_id < '050'"),
        store.update::<Crop>().target_filter("video_id < '050'"),
        store.update::<Crop>().stale_if("video_id = '050'"),
        store.update::<Crop>().skip_comparison(true),
        store.update::<Crop>().failed(Failed::LeaveOut),
    ] {
        let increment = update.await.expect("an increment");
        increment.batches().try_collect::<Vec<_>>().await.expect("an increment");
    }
    drop(store);
    assert_eq!(marks(&place), [json!({ "n": 100 }), json!({ "n": 100 })]);
    rewrite_unnoticed(&place, "050");
    let found = resolve(&open(&place).await).await;
    assert_eq!((found.stale, found.unchanged, found.unchanged_older), (1, 99, 0));
}

#[tokio::test]
async fn another_definition_is_noticed() {
    let crop = |audio: FieldBuilder, dep: DepBuilder| {
        let crop = FeatureBuilder::new("example/crop").id("video_id", Text);
        let crop = crop.field(audio).field("frames").dep(dep);
        FeatureGraph::builder().definition(Video::definition()).feature(crop).build()
    };
    let audio = || FieldBuilder::new("audio");
    let of_both = audio().dep("example/video", ["audio", "frames"]);
    let videos = || DepBuilder::new("example/video");
    for (graph, stale, orphaned) in [
        (crop(audio().code_version("2"), videos()), 100, 0),
        (crop(of_both, videos()), 100, 0),
        (crop(audio(), videos().filter("video_id < '050'")), 0, 50),
    ] {
        let place = resolved().await;
        let store = place.open(&graph.expect("a graph")).incremental(0.5).await.expect("a store");
        let found = resolve(&store).await;
        assert_eq!((found.stale, found.orphaned), (stale, orphaned));
        drop(store);
        assert!(resolve(&open(&place).await).await.is_up_to_date());
    }
}

/// An upstream row of an older definition is fit to be read as long as what is recorded of it agrees.
#[tokio::test]
async fn what_is_said_of_definitions_later_is_noticed() {
    let place = resolved().await;
    place.execute(
        "UPDATE example__video SET metaxy_feature_version = 'older' WHERE video_id = '007';
         INSERT INTO metaxy_system__field_versions
         SELECT * REPLACE ('older' AS metaxy_feature_version) FROM metaxy_system__field_versions
         WHERE feature_key = 'example/video'",
    );
    assert!(resolve(&open(&place).await).await.is_up_to_date());
    place.execute(
        "UPDATE metaxy_system__field_versions SET code_version = '7'
         WHERE metaxy_feature_version = 'older'",
    );
    assert_eq!(resolve(&open(&place).await).await.blocked, 1);
}

#[tokio::test]
async fn a_member_that_leaves_its_group_is_noticed() {
    let place = Place::new();
    let one = json!({ "key": "one", "id_columns": ["n"], "fields": ["x"] });
    let group = json!({ "key": "group", "id_columns": ["g"], "fields": ["x"], "deps": [{
        "feature": "one", "select": [], "lineage": { "type": "aggregation", "on": ["g"] },
    }] });
    let graph = flow::graph(&[one, group]);
    let store = place.open(&graph).incremental(0.5).await.expect("a store");
    let member = |n: i64, g: i64| {
        let x = n.to_string();
        json!({ "n": n, "g": g, "metaxy_provenance_by_field": { "x": x } })
    };
    let members: Vec<Value> = (0..100).map(|n| member(n, n / 4)).collect();
    write(&store, "one", &members).await.expect("good rows");
    compute(&store, "group").await;
    assert!(resolve_of(&store, "group").await.is_up_to_date());
    write(&store, "one", &[member(0, 20)]).await.expect("good rows");
    let found = resolve_of(&store, "group").await;
    assert_eq!((found.stale, found.unchanged), (2, 23), "that which it leaves, too");
}

/// A try without children is a seal and no row.
#[tokio::test]
async fn children_that_are_sealed_away_are_noticed() {
    let place = Place::new();
    let part = |key| FeatureBuilder::new(key).id("id", Text).id("part", Int64).field("x");
    let graph = FeatureGraph::builder()
        .feature(FeatureBuilder::new("a").id("id", Text).column("n", Int64).field("x"))
        .feature(part("child").dep(DepBuilder::new("a").expansion(["id"])))
        .feature(part("leaf").dep(DepBuilder::new("child")));
    let graph = graph.build().expect("a graph");
    let store = place.open(&graph).incremental(0.9).await.expect("a store");
    fill_family(&store).await;
    assert!(resolve_of(&store, "leaf").await.is_up_to_date());
    write(&store, "a", &[json!({ "id": "1", "n": 1, "metaxy_provenance_by_field": { "x": "7" } })])
        .await
        .expect("a good row");
    let parents = increment(&store, "child").await;
    let parent = parents.iter().find(|row| row["id"] == "1").expect("a stale parent");
    let provenance = &parent["metaxy_provenance_by_field"];
    let seal = json!({
        "id": "1", "metaxy_provenance_by_field": provenance, "metaxy_try": 30, "metaxy_children": 0,
    });
    let mut out = store.batch_writer(&key("child"));
    out.seal(&batch(&[seal])).await.expect("a good seal");
    out.commit().await.expect("a commit");
    assert_eq!(resolve_of(&store, "leaf").await.orphaned, 3);
}

#[tokio::test]
async fn tables_without_write_tokens_are_looked_at_as_a_whole() {
    let place = resolved().await;
    place.execute("ALTER TABLE example__video DROP COLUMN metaxy_write_token");
    for _ in 0..2 {
        assert!(resolve(&open(&place).await).await.is_up_to_date());
    }
    rewrite_unnoticed(&place, "050");
    assert_eq!(resolve(&open(&place).await).await.unchanged_older, 1);
}
