//! Resolves with options: which records are answered, in which order.

use crate::features::{Crop, Source, Video, compute_crops, graph, open, video};
use futures::TryStreamExt;
use metaxy::prelude::*;
use metaxy::{Increment, Reason};
use metaxy_tests::flow::{counts, key};
use metaxy_tests::on_every_engine;

on_every_engine! {
    order_and_limit,
    shards_are_all_records_once,
    filters_select_and_tell_of_no_orphans,
    records_can_be_declared_stale,
    reads_with_a_filter,
}

async fn ids(increment: Increment<Crop>) -> Vec<String> {
    let jobs: Vec<_> = increment.jobs::<Source>().try_collect().await.expect("jobs");
    jobs.iter().map(|job| job.input().video_id.clone()).collect()
}

async fn four(engine: &str) -> Store {
    let store = open(engine).await;
    let videos = ["a", "b", "c", "d"].map(|id| video(id, "1", "1"));
    store.sync(videos.to_vec()).await.expect("a sync");
    store
}

async fn order_and_limit(engine: &str) {
    let store = four(engine).await;
    let update = store.update::<Crop>().order_by_desc("path").limit(3);
    let increment = update.await.expect("an increment");
    assert_eq!(increment.counts().new, 4, "counts are those of all");
    assert_eq!(ids(increment).await, ["d", "c", "b"]);
    let increment = store.update::<Crop>().order_by("path").await.expect("an increment");
    assert_eq!(ids(increment).await, ["a", "b", "c", "d"]);
}

async fn shards_are_all_records_once(engine: &str) {
    let store = four(engine).await;
    let mut all = Vec::new();
    for index in 0..3 {
        all.extend(ids(store.update::<Crop>().shard(index, 3).await.expect("a shard")).await);
    }
    all.sort_unstable();
    assert_eq!(all, ["a", "b", "c", "d"]);
    for (index, count) in [(3, 3), (0, 0)] {
        let error = store.update::<Crop>().shard(index, count).await.expect_err("a refusal");
        let expected = format!(
            "a shard cannot be number {index} of {count}: shards are counted from 0, and there is at \
             least one"
        );
        assert_eq!(error.to_string(), expected);
    }
}

async fn filters_select_and_tell_of_no_orphans(engine: &str) {
    let store = four(engine).await;
    compute_crops(&store).await;
    store
        .sync(vec![video("a", "2", "1"), video("b", "2", "1")])
        .delete_orphans(true)
        .await
        .expect("it");
    let all = counts(&store, "example/crop").await;
    assert_eq!((all.stale, all.orphaned), (2, 2));
    let update = || store.update::<Crop>();
    let found = update().filter_on::<Video>("path LIKE '%a.mp4'").counts().await.expect("counts");
    assert_eq!((found.stale, found.orphaned), (1, 0));
    let found = update().global_filter("video_id = 'b'").counts().await.expect("counts");
    assert_eq!((found.stale, found.orphaned), (1, 0));
    let found = update().target_filter("video_id IN ('a', 'x')").counts().await.expect("counts");
    assert_eq!((found.stale, found.orphaned), (1, 0));
    let error = update().filter(&key("example/crop"), "TRUE").await.expect_err("a refusal");
    assert!(error.to_string().contains("`example/crop` has no upstream `example/crop`"), "{error}");
    let error = update().filter_on::<Video>("no_such = 1").await.expect_err("a refusal");
    assert!(error.to_string().contains("no_such"), "{error}");
}

async fn records_can_be_declared_stale(engine: &str) {
    let store = four(engine).await;
    compute_crops(&store).await;
    let increment = store.update::<Crop>().stale_if("video_id = 'c'").await.expect("an increment");
    assert_eq!((increment.counts().stale, increment.counts().unchanged), (1, 3));
    let jobs: Vec<_> = increment.jobs::<Source>().try_collect().await.expect("jobs");
    assert!(jobs[0].stale().iter().all(|field| field.reasons == [Reason::Forced]));
    let all = store.update::<Crop>().skip_comparison(true).counts().await.expect("counts");
    assert_eq!(all.stale, 4);
}

async fn reads_with_a_filter(engine: &str) {
    let store = four(engine).await;
    let rows = store.read::<Video>().filter("video_id > 'b'").filter("path NOT LIKE '%d.mp4'");
    let rows = rows.rows().await.expect("rows");
    assert_eq!(rows.iter().map(|row| row.video_id.as_str()).collect::<Vec<_>>(), ["c"]);
    assert!(store.read::<Video>().filter("nothing = 1").rows().await.is_err());
}

#[test]
fn options_without_async() {
    use metaxy::blocking::{iter, wait};
    let store = Store::open("duckdb::memory:").graph(graph()).create_tables(true);
    let store = wait(store).expect("a store");
    wait(store.sync(vec![video("a", "1", "1")])).expect("a sync");
    let increment = wait(store.update::<Crop>().limit(1)).expect("an increment");
    assert_eq!(iter(increment.jobs::<Source>()).count(), 1);
    assert_eq!(wait(store.update::<Crop>().counts()).expect("counts").new, 1);
}
