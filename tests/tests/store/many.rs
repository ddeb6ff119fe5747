//! So many records that DuckDB finds their latest rows in another way, by what its statistics say of ids; and
//! so many tables that it finds their columns in another way.

use crate::features::{Crop, compute_crops, graph, video};
use metaxy::Counts;
use metaxy::prelude::*;
use metaxy_tests::batch::batch;
use metaxy_tests::flow::{delete, graph as graph_of, key, memory};
use metaxy_tests::place::Place;
use serde_json::json;

/// More than so few that it does not matter.
const MANY: u32 = 60_000;

async fn sync(store: &Store, ids: std::ops::Range<u32>, audio: &str) {
    let videos: Vec<_> = ids.map(|n| video(&format!("{n:06}"), audio, "1")).collect();
    store.sync(videos).partial(true).await.expect("a sync");
}

async fn resolved(store: &Store) -> (Counts, bool) {
    let sql = store.update::<Crop>().sql().await.expect("a statement").expect("there are tables");
    let increment = store.update::<Crop>().await.expect("an increment");
    (increment.counts(), sql.contains("NOT hash("))
}

#[tokio::test]
async fn the_latest_rows_are_the_same_however_they_are_found() {
    let place = Place::new();
    let store = place.open(&graph()).await.expect("a store");
    sync(&store, 0..MANY, "1").await;
    let (counts, by_numbers) = resolved(&store).await;
    assert_eq!((counts.new, by_numbers), (u64::from(MANY), true));
    assert_eq!(compute_crops(&store).await, u64::from(MANY));

    // Changed, changed back, changed twice, deleted, deleted and there again.
    sync(&store, 0..300, "2").await;
    sync(&store, 0..100, "1").await;
    sync(&store, 100..200, "3").await;
    let ids = |of: std::ops::Range<u32>| {
        of.map(|n| json!({ "video_id": format!("{n:06}") })).collect::<Vec<_>>()
    };
    assert_eq!(delete(&store, "example/video", &ids(1_000..1_100)).await, 100);
    sync(&store, 1_050..1_100, "1").await;
    let (counts, by_numbers) = resolved(&store).await;
    let found = (counts.new, counts.stale, counts.orphaned, counts.unchanged);
    assert_eq!((found, by_numbers), ((0, 200, 50, u64::from(MANY) - 250), true));

    // Where most records have many rows, it would take longer.
    for audio in ["4", "5"] {
        sync(&store, 0..MANY, audio).await;
    }
    let (counts, by_numbers) = resolved(&store).await;
    let sql = store.update::<Crop>().sql().await.expect("a statement").expect("there are tables");
    assert_eq!((counts.stale, by_numbers), (u64::from(MANY), true), "{sql}");
    assert_eq!(sql.matches("NOT hash(").count(), 1, "of the crops alone: {sql}");
}

#[tokio::test]
async fn the_tables_of_many_features_are_found() {
    let root =
        |n: u32| json!({ "key": format!("many/f{n}"), "id_columns": ["id"], "fields": ["x"] });
    let leaf = |n: u32| {
        json!({ "key": format!("many/g{n}"), "id_columns": ["id"], "fields": ["y"],
                "deps": [{ "feature": format!("many/f{n}") }] })
    };
    let features: Vec<_> = (0..70).map(root).chain((0..70).map(leaf)).collect();
    let store = memory(&graph_of(&features)).await;
    for n in 0..70 {
        let row = json!({ "id": "a", "metaxy_provenance_by_field": { "x": format!("{n}") } });
        let report = store.sync_of(&key(&format!("many/f{n}")), batch(&[row])).await;
        assert_eq!(report.expect("a sync").written.rows, 1);
    }
    assert_eq!(store.plan().await.expect("a plan").to_compute(), 70);
}
