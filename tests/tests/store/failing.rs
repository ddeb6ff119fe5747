//! Records that could not be computed, and writes that are done again.

use crate::features::{Crop, Source, Video, compute_crops, crop, graph, open, video};
use futures::TryStreamExt;
use metaxy::prelude::*;
use metaxy::store::{Failed, Failure};
use metaxy_tests::flow::{key, read, stored};
use metaxy_tests::on_every_engine;
use metaxy_tests::place::Place;
use std::time::Duration;

on_every_engine! {
    failures_are_kept_until_the_record_is_written,
    failures_go_with_a_record_that_is_removed,
    what_failed_is_left_out_or_tried_again,
    batches_of_failures,
    a_write_with_a_token_is_done_once,
    a_sync_with_a_token_is_done_once,
}

const CROP: &str = "example/crop";

/// The jobs of crops, by the ids of their videos.
async fn jobs(store: &Store) -> Vec<metaxy::Job<Crop, Source>> {
    let jobs = store.resolve_update::<Crop>().await.expect("an increment").jobs::<Source>();
    let mut jobs: Vec<_> = jobs.try_collect().await.expect("jobs");
    jobs.sort_by(|a, b| a.input().video_id.cmp(&b.input().video_id));
    jobs
}

async fn fail_all(store: &Store, why: &str) -> metaxy::store::Committed {
    let mut out = store.writer::<Crop>().materialization_id("run 7");
    for job in jobs(store).await {
        out.push(job.failed(why)).await.expect("a failure");
    }
    out.commit().await.expect("a commit")
}

async fn failures_are_kept_until_the_record_is_written(engine: &str) {
    let store = open(engine).await;
    store.sync(vec![video("a", "1", "1"), video("b", "1", "1")]).await.expect("a sync");
    assert_eq!(store.failures::<Crop>().await.expect("failures"), Vec::<Failure>::new());
    // There is nothing else to commit.
    let committed = fail_all(&store, "no codec 'x'").await;
    assert_eq!(committed.failed, ["video_id = a: no codec 'x'", "video_id = b: no codec 'x'"]);
    assert_eq!((committed.rows, committed.commits), (0, 0));
    fail_all(&store, "again").await;

    let failures = store.failures_of(&key(CROP)).await.expect("failures");
    let told: Vec<_> = failures.iter().map(ToString::to_string).collect();
    assert_eq!(told, ["a: no codec 'x'", "b: no codec 'x'", "a: again", "b: again"]);
    assert!(failures.iter().all(|f| f.time > 0 && !f.provenance.is_empty()));
    assert_eq!(failures[0].materialization_id.as_deref(), Some("run 7"));

    let mut out = store.writer::<Crop>();
    let job = jobs(&store).await.remove(1);
    out.push(job.done(crop("b")).expect("the record")).await.expect("the record");
    out.commit().await.expect("a commit");
    let failures = store.failures::<Crop>().await.expect("failures");
    assert!(failures.iter().all(|failure| failure.ids == ["a"]), "{failures:?}");
    assert_eq!(failures.len(), 2);
}

/// Of a record that is removed with all of its rows nothing is known any more.
async fn failures_go_with_a_record_that_is_removed(engine: &str) {
    let store = open(engine).await;
    let videos = |version: &str| ["a", "b", "c"].map(|id| video(id, version, "1")).to_vec();
    store.sync(videos("1")).await.expect("a sync");
    compute_crops(&store).await;
    store.sync(videos("2")).await.expect("a sync");
    fail_all(&store, "no").await;
    let failed = async || -> Vec<String> {
        let failures = store.failures::<Crop>().await.expect("failures");
        failures.into_iter().flat_map(|failure| failure.ids).collect()
    };
    store.delete(&[crop("a")]).await.expect("a deletion");
    assert_eq!(failed().await, ["a", "b", "c"], "it can come back");
    let hard = store.delete(&[crop("b"), crop("never")]).hard(true);
    store.delete(&[crop("b")]).hard(true).dry_run(true).await.expect("a count");
    assert_eq!(failed().await.len(), 3);
    hard.await.expect("a deletion");
    assert_eq!(failed().await, ["a", "c"]);
}

async fn what_failed_is_left_out_or_tried_again(engine: &str) {
    let store = open(engine).await;
    store.sync(vec![video("a", "1", "1")]).await.expect("a sync");
    fail_all(&store, "no").await;
    let new = |failed| {
        let update = store.update::<Crop>().failed(failed);
        async move { update.counts().await.expect("counts").new }
    };
    assert_eq!(new(Failed::Include).await, 1);
    assert_eq!(new(Failed::LeaveOut).await, 0);
    let retried = |attempts, after| {
        let update = store.update::<Crop>().retry_failed(attempts, after);
        async move { update.counts().await.expect("counts").new }
    };
    assert_eq!(retried(2, Duration::ZERO).await, 1);
    assert_eq!(retried(1, Duration::ZERO).await, 0, "once was enough");
    assert_eq!(retried(2, Duration::from_secs(3600)).await, 0, "it failed just now");
    // With other inputs it is another matter.
    store.sync(vec![video("a", "2", "1")]).await.expect("a sync");
    assert_eq!(new(Failed::LeaveOut).await, 1);
}

async fn batches_of_failures(engine: &str) {
    let store = open(engine).await;
    store.sync(vec![video("a", "1", "1"), video("b", "1", "1")]).await.expect("a sync");
    let increment = store.resolve_update_of(&key(CROP)).await.expect("an increment");
    let mut batches: Vec<_> = increment.to_compute().try_collect().await.expect("batches");
    let rows = batches.remove(0);
    let mut out = store.batch_writer(&key(CROP));
    let error = out.fail(&rows, &["a", "b", "c"]).expect_err("a refusal").to_string();
    assert!(error.contains("2 rows failed, but there are 3 texts"), "{error}");
    out.fail(&rows, &["no disk"]).expect("failures");
    let committed = out.commit().await.expect("a commit");
    assert_eq!(committed.failed.len(), 2);
    let failures = store.failures::<Crop>().await.expect("failures");
    let mut ids: Vec<_> = failures.iter().map(|failure| failure.ids[0].as_str()).collect();
    ids.sort_unstable();
    assert_eq!(ids, ["a", "b"]);
    let left_out = store.update::<Crop>().failed(Failed::LeaveOut).counts().await.expect("counts");
    assert_eq!(left_out.new, 0, "its provenance is that of the increment");
}

async fn a_write_with_a_token_is_done_once(engine: &str) {
    let store = open(engine).await;
    store.sync(vec![video("a", "1", "1"), video("b", "1", "1")]).await.expect("a sync");
    for round in 0..2 {
        let mut out = store.writer::<Crop>().commit_every(1).token("job 12");
        for job in all_jobs(&store).await {
            let record = crop(&job.input().video_id);
            out.push(job.done(record).expect("the record")).await.expect("the record");
        }
        let committed = out.commit().await.expect("a commit");
        if round == 0 {
            assert_eq!((committed.rows, committed.commits, committed.repeated), (2, 2, 0));
        } else {
            assert_eq!((committed.rows, committed.commits, committed.repeated), (0, 0, 2));
            assert_eq!(committed.to_string(), "0 written, 2 commits were there already");
        }
    }
    let mut other = store.writer::<Crop>().token("job 13");
    for job in all_jobs(&store).await {
        let record = crop(&job.input().video_id);
        other.push(job.done(record).expect("the record")).await.expect("the record");
    }
    assert_eq!(other.commit().await.expect("a commit").rows, 2);
    assert_eq!(stored(&store, CROP).await, 4);
}

/// Jobs of all crops, also of those that are there.
async fn all_jobs(store: &Store) -> Vec<metaxy::Job<Crop, Source>> {
    let update = store.update::<Crop>().skip_comparison(true).order_by("video_id");
    update.await.expect("an increment").jobs::<Source>().try_collect().await.expect("jobs")
}

async fn a_sync_with_a_token_is_done_once(engine: &str) {
    let store = open(engine).await;
    let sync = |version: &'static str| {
        let sync = store.sync(vec![video("a", version, "1")]).token("import 1");
        async move { sync.await.expect("a sync") }
    };
    let first = sync("1").await;
    assert_eq!((first.written.rows, first.written.repeated), (1, false));
    let second = sync("2").await;
    assert_eq!((second.written.rows, second.written.repeated), (0, true));
    assert!(second.to_string().ends_with("; it was written before"), "{second}");
    let rows = store.read::<Video>().rows().await.expect("rows");
    assert_eq!(rows[0].audio.as_str(), Some("1"));
}

#[tokio::test]
async fn failures_without_a_table_to_keep_them() {
    let place = Place::new();
    let store = place.open(&graph()).await.expect("a store");
    store.sync(vec![video("a", "1", "1")]).await.expect("a sync");
    compute_crops(&store).await;
    store.sync(vec![video("a", "2", "1")]).await.expect("a sync");
    drop(store);
    place.execute("DROP TABLE metaxy_system__failures");
    let store = Store::open(place.url()).graph(graph()).await.expect("a store");
    assert_eq!(store.failures::<Crop>().await.expect("failures"), Vec::<Failure>::new());
    let mut out = store.writer::<Crop>();
    out.push(jobs(&store).await.remove(0).failed("no")).await.expect("a failure");
    let error = out.commit().await.expect_err("a refusal").to_string();
    assert!(
        error.contains("`metaxy_system__failures`") && error.contains("create_tables"),
        "{error}"
    );
    // Without failures nothing needs the table.
    assert_eq!(compute_crops(&store).await, 1);
    assert_eq!(read(&store, CROP).await.len(), 1);
}
