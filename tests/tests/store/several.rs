//! More than one store: copies, and stores that fall back on others.

use crate::features::{
    Crop, FaceDetection, Source, Video, compute_crops, crop, graph, memory, video,
};
use metaxy::store::Settings;
use metaxy::{HashAlgorithm, Store};
use metaxy_tests::batch::collect;
use metaxy_tests::flow::{counts, key, read};
use metaxy_tests::place::Place;
use serde_json::Value;

async fn history(store: &Store, feature: &str) -> Vec<Value> {
    let read = store.read_of(&key(feature)).history(true).tombstones(true).other_versions(true);
    collect(read.batches().await.expect("a read")).await
}

async fn filled() -> Store {
    let store = memory().await;
    store.sync(vec![video("a", "1", "1"), video("b", "1", "1")]).await.expect("a sync");
    compute_crops(&store).await;
    store.sync(vec![video("a", "2", "1")]).delete_orphans(true).await.expect("a sync");
    store
}

#[tokio::test]
async fn a_copy_is_the_same_and_can_be_repeated() {
    let (from, to) = (filled().await, memory().await);
    let copied = from.copy_to(&to).await.expect("a copy");
    let told: Vec<_> = copied.iter().map(ToString::to_string).collect();
    assert_eq!(told, ["example/video: 4 copied", "example/crop: 2 copied"]);
    for feature in ["example/video", "example/crop"] {
        assert_eq!(history(&from, feature).await, history(&to, feature).await);
    }
    assert_eq!(counts(&from, "example/crop").await, counts(&to, "example/crop").await);

    let again = from.copy_to(&to).only::<(Video, Crop)>().await.expect("a copy");
    assert!(again.iter().all(|copied| copied.rows == 0), "{again:?}");
    // What came since is all that is copied then.
    from.sync(vec![video("c", "1", "1")]).partial(true).await.expect("a sync");
    let copied = from.copy_to(&to).features([key("example/video")]).await.expect("a copy");
    assert_eq!((copied.len(), copied[0].rows), (1, 1));
    assert_eq!(read(&from, "example/video").await, read(&to, "example/video").await);
}

#[tokio::test]
async fn a_copy_needs_the_same_settings() {
    let from = filled().await;
    let to = Store::open("duckdb::memory:").graph(graph()).create_tables(true);
    let to = to.hash_algorithm(HashAlgorithm::Md5).await.expect("a store");
    let Settings { hash_algorithm, .. } = from.settings();
    let expected = format!("hash_algorithm is {hash_algorithm} in one store and md5 in the other");
    let error = from.copy_to(&to).await.expect_err("a refusal").to_string();
    assert!(error.contains(&expected), "{error}");
    let opened = Store::open("duckdb::memory:").graph(graph()).fallback(to).await;
    let error = opened.expect_err("a refusal").to_string();
    assert!(error.contains("md5"), "{error}");
}

#[tokio::test]
async fn a_copy_into_a_store_that_may_make_no_tables() {
    let (from, place) = (filled().await, Place::new());
    drop(place.open(&graph()).await.expect("a store"));
    let to = Store::open(place.url()).graph(graph()).await.expect("a store");
    let error = from.copy_to(&to).await.expect_err("a refusal").to_string();
    assert!(error.contains("create_tables"), "{error}");
}

#[tokio::test]
async fn a_store_falls_back_on_another() {
    let production = filled().await;
    let store = Store::open("duckdb::memory:").graph(graph()).create_tables(true);
    let store = store.fallback(production.clone()).await.expect("a store");
    let videos = read(&store, "example/video").await;
    assert_eq!(videos, read(&production, "example/video").await);
    assert_eq!(videos.len(), 1);
    assert_eq!(counts(&store, "example/crop").await.new, 1, "its own crops are missing");
    drop(production);

    // The crops are computed here, from videos that are there.
    assert_eq!(compute_crops(&store).await, 1);
    assert!(counts(&store, "example/crop").await.is_up_to_date());
    assert_eq!(read(&store, "example/crop").await.len(), 1);
    assert_eq!(counts(&store, "example/face_detection").await.new, 1);
    let increment = store.resolve_update::<FaceDetection>().await.expect("an increment");
    assert_eq!(increment.counts().new, 1);
    drop(increment);

    // A table here hides all that is there.
    store.sync(vec![video("z", "1", "1")]).await.expect("a sync");
    assert_eq!(read(&store, "example/video").await.len(), 1);
    let of_crop = counts(&store, "example/crop").await;
    assert_eq!((of_crop.new, of_crop.orphaned), (1, 1));
}

#[tokio::test]
async fn outdated_rows_of_a_fallback_block_as_everywhere() {
    let production = memory().await;
    production.sync(vec![video("a", "1", "1")]).await.expect("a sync");
    let jobs = production.resolve_update::<Crop>().await.expect("an increment");
    let mut jobs = jobs.jobs::<Source>();
    let mut out = production.writer::<Crop>();
    while let Some(job) = jobs.try_next().await.expect("a job") {
        out.push(job.done(crop("a")).expect("the record")).await.expect("the record");
    }
    out.commit().await.expect("a commit");
    let bumped = graph().with_code_version("example/crop.frames", "2").expect("a graph");
    let store = Store::open("duckdb::memory:").graph(bumped).create_tables(true);
    let store = store.fallback(production).await.expect("a store");
    let faces = counts(&store, "example/face_detection").await;
    assert_eq!((faces.new, faces.waiting), (0, 1), "the definition of its crop came along");
}
