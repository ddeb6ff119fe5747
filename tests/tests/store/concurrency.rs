//! Streams and writers side by side, and what is left of those that are dropped.

use crate::features::{Crop, Source, Video, compute_crops, crop, graph, video};
use crate::opening::is_free;
use metaxy::Store;
use metaxy::prelude::*;
use metaxy_tests::flow::{counts, key, read, write};
use metaxy_tests::place::Place;
use serde_json::json;
use std::time::{Duration, Instant};

fn videos(ids: impl IntoIterator<Item = u32>) -> Vec<Video> {
    ids.into_iter().map(|id| video(&format!("{id:06}"), "1", "1")).collect()
}

/// More rows than wait for a reader, so that a stream is really open between two batches.
const MANY: u32 = 30_000;

#[tokio::test]
async fn two_open_streams_and_a_writer() {
    let place = Place::new();
    let store = place.open(&graph()).await.expect("a store");
    store.sync(videos(0..MANY)).await.expect("a sync");

    let mut jobs = store.resolve_update::<Crop>().await.expect("an increment").jobs::<Source>();
    let mut records = store.read::<Video>().stream().await.expect("a stream");
    let mut out = store.writer::<Crop>().commit_every(5_000);
    let mut n_read = 0;
    while let Some(job) = jobs.try_next().await.expect("a job") {
        let record = crop(&job.input().video_id);
        out.push(job.done(record).expect("the same record")).await.expect("a good record");
        n_read += u32::from(records.try_next().await.expect("a record").is_some());
        // Another root write in the middle is nothing that open streams see.
        if n_read == MANY / 2 {
            store.sync(videos(MANY..MANY + 10)).partial(true).await.expect("a sync");
        }
    }
    assert!(records.try_next().await.expect("an end").is_none());
    assert_eq!((n_read, out.commit().await.expect("a commit").rows), (MANY, u64::from(MANY)));
    assert_eq!(counts(&store, "example/crop").await.new, 10);
}

/// Waits until a condition holds: threads that are told to end need a moment.
async fn soon(mut condition: impl FnMut() -> bool) -> bool {
    let until = Instant::now() + Duration::from_secs(20);
    while Instant::now() < until {
        if condition() {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    false
}

/// Every connection keeps the file open, so that one that leaked would keep it locked.
#[tokio::test]
async fn dropped_streams_and_writers_leave_nothing_open() {
    let place = Place::new();
    let store = place.open(&graph()).await.expect("a store");
    store.sync(videos(0..MANY)).await.expect("a sync");

    for take_one in [false, true] {
        let mut jobs = store.resolve_update::<Crop>().await.expect("an increment").jobs::<Source>();
        let mut records = store.read::<Video>().stream().await.expect("a stream");
        let mut batches = store.read_of(&key("example/video")).batches().await.expect("a stream");
        let mut out = store.writer::<Crop>();
        if take_one {
            let job = jobs.try_next().await.expect("a stream").expect("a job");
            let record = crop(&job.input().video_id);
            out.push(job.done(record).expect("the same record")).await.expect("a good record");
            records.try_next().await.expect("a stream").expect("a record");
            batches.try_next().await.expect("a stream").expect("a batch");
        }
    }
    // A call that is given up before it has an answer.
    let sync = store.sync(videos(0..MANY)).into_future();
    assert!(tokio::time::timeout(Duration::from_micros(1), sync).await.is_err(), "it takes longer");

    assert_eq!(read(&store, "example/crop").await, Vec::<serde_json::Value>::new());
    assert_eq!(compute_crops(&store).await, u64::from(MANY), "nothing is locked");
    drop(store);
    assert!(soon(|| is_free(&place)).await, "something has kept the file open");
    let left = place.query(
        "SELECT table_name FROM duckdb_tables() WHERE temporary OR NOT regexp_matches(table_name, \
         '^(example__|metaxy_system__)')",
    );
    assert_eq!(left, Vec::<serde_json::Value>::new());
}

/// An interruption is of the call that was given up, and of no other over the same database.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn calls_that_are_given_up_do_no_harm_to_others() {
    let place = Place::new();
    let store = place.open(&graph()).await.expect("a store");
    store.sync(videos(0..2_000)).await.expect("a sync");
    let others = async {
        for n in 0..40_u64 {
            let id = format!("other {n}");
            let report = store.sync(vec![video(&id, "1", "1")]).partial(true).await;
            assert_eq!(report.expect("a sync").written.rows, 1);
            assert_eq!(counts(&store, "example/crop").await.new, 2_001 + n);
        }
    };
    let given_up = async {
        for wait in (0..).map(|n| Duration::from_micros(n % 20 * 500)) {
            let _ = tokio::time::timeout(wait, store.count_update::<Crop>()).await;
            let _ = tokio::time::timeout(wait, store.read::<Video>().rows()).await;
            let sync = store.sync(videos(0..50)).partial(true).dry_run(true).into_future();
            let _ = tokio::time::timeout(wait, sync).await;
        }
    };
    futures::future::select(std::pin::pin!(others), std::pin::pin!(given_up)).await;
    assert_eq!(counts(&store, "example/crop").await.new, 2_040);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_tasks_write_and_read_one_store() {
    let place = Place::new();
    let store = place.open(&graph()).await.expect("a store");
    let writers = (0..6_u32).map(|task| {
        let store = store.clone();
        tokio::spawn(async move {
            let mut times = Vec::new();
            for n in 0..10 {
                let mut out = store.writer::<Video>();
                // A record of the task's own, and one that all tasks write.
                out.push(video(&format!("{task}-{n}"), "1", "1")).await.expect("a record");
                out.push(video("shared", &format!("{task}-{n}"), "1")).await.expect("a record");
                times.extend(out.commit().await.expect("a commit").time);
            }
            times
        })
    });
    let writers: Vec<_> = writers.collect();
    let readers = (0..3).map(|_| {
        let store: Store = store.clone();
        tokio::spawn(async move {
            let mut seen = 0;
            for _ in 0..15 {
                let rows = read(&store, "example/video").await;
                assert!(rows.len() >= seen, "records do not go away");
                seen = rows.len();
                let shared = rows.iter().filter(|row| row["video_id"] == "shared").count();
                assert!(shared <= 1, "one record is one row");
                assert!(rows.is_empty() || shared == 1, "a write is seen whole or not at all");
            }
        })
    });
    let readers: Vec<_> = readers.collect();
    let mut times = Vec::new();
    for writer in writers {
        times.extend(writer.await.expect("a task"));
    }
    for reader in readers {
        reader.await.expect("a task");
    }
    assert_eq!(read(&store, "example/video").await.len(), 61);
    times.sort_unstable();
    assert_eq!(times.len(), 60);
    assert!(times.is_sorted_by(|a, b| a < b), "two writes have one time: {times:?}");

    // Those that see the same increment write the same records; the last one counts.
    let tasks: Vec<_> = (0..4)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { compute_crops(&store).await })
        })
        .collect();
    for task in tasks {
        assert!(task.await.expect("a task") <= 61);
    }
    let of_crop = counts(&store, "example/crop").await;
    assert!(of_crop.is_up_to_date(), "{of_crop}");
    assert_eq!(read(&store, "example/crop").await.len(), 61);
    drop(store);
    let rows = place.query("SELECT count(*) AS n FROM metaxy_system__field_versions");
    assert_eq!(rows, [json!({ "n": 4 })], "each definition is recorded once");
}

/// A runtime with one thread is enough: what blocks has threads of its own.
#[tokio::test(flavor = "current_thread")]
async fn one_thread_is_enough() {
    let store = crate::features::memory().await;
    store.sync(videos(0..10)).await.expect("a sync");
    assert_eq!(compute_crops(&store).await, 10);
}

/// A column that is added meanwhile is nothing that an open stream sees, and nothing that a write
/// that has begun stumbles over.
#[tokio::test]
async fn a_column_is_added_under_an_open_stream() {
    let place = Place::new();
    let features = metaxy_tests::flow::graph(&[
        json!({ "key": "a", "id_columns": ["id"], "fields": ["x"] }),
        json!({ "key": "b", "id_columns": ["id"], "fields": ["x"], "deps": [{"feature": "a"}] }),
    ]);
    let store = place.open(&features).await.expect("a store");
    let row = |id: u32| json!({ "id": id, "metaxy_provenance_by_field": {"x": "1"} });
    let rows: Vec<_> = (0..MANY).map(row).collect();
    write(&store, "a", &rows).await.expect("good rows");

    let mut records = store.read_of(&key("a")).batches().await.expect("a stream");
    let mut increment =
        store.resolve_update_of(&key("b")).await.expect("an increment").to_compute();
    let mut n_read = records.try_next().await.expect("a stream").expect("a batch").num_rows();
    let first = increment.try_next().await.expect("a stream").expect("a batch");
    let mut n_new = first.num_rows();
    // A write that has begun, with the columns of before.
    let mut begun = store.batch_writer(&key("a"));
    begun.push(&metaxy_tests::batch::batch(&[row(MANY)])).await.expect("good rows");

    let mut wider = row(MANY + 1);
    wider["note"] = json!("new");
    assert_eq!(write(&store, "a", &[wider]).await.expect("good rows"), 1);
    assert_eq!(begun.commit().await.expect("a commit").rows, 1);

    while let Some(batch) = records.try_next().await.expect("a batch") {
        assert!(batch.column_by_name("note").is_none());
        n_read += batch.num_rows();
    }
    while let Some(batch) = increment.try_next().await.expect("a batch") {
        n_new += batch.num_rows();
    }
    assert_eq!((n_read, n_new), (MANY as usize, MANY as usize));
    let now = read(&store, "a").await;
    assert_eq!(now.len(), MANY as usize + 2);
    assert_eq!(now.iter().filter(|row| row["note"] == "new").count(), 1);
}

/// A process that ends in the middle of a write leaves what it had committed.
#[tokio::test]
async fn a_process_that_dies_leaves_what_it_had_committed() {
    let place = Place::new();
    let status = std::process::Command::new(env!("CARGO_BIN_EXE_die"))
        .arg(place.url())
        .status()
        .expect("a process");
    assert!(!status.success(), "it died");
    let features = [json!({ "key": "a", "id_columns": ["id"], "fields": ["x"] })];
    let store = place.open(&metaxy_tests::flow::graph(&features)).await.expect("a store");
    let ids = metaxy_tests::batch::only(&read(&store, "a").await, &["id"]);
    assert_eq!(ids, [json!({ "id": 1 })]);
    let more = json!({ "id": 2, "metaxy_provenance_by_field": {"x": "1"} });
    write(&store, "a", &[more]).await.expect("good rows");
    assert_eq!(read(&store, "a").await.len(), 2);
}

/// Writers that replace all records at once, deletions that take all of them, and readers: nobody
/// ever sees half of a commit.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_commit_is_ever_seen_torn() {
    const N: u32 = 50;
    let place = Place::new();
    let features = metaxy_tests::flow::graph(&[
        json!({ "key": "a", "id_columns": ["id"], "fields": ["x"] }),
        json!({ "key": "b", "id_columns": ["id"], "fields": ["x"], "deps": [{"feature": "a"}] }),
    ]);
    let store = place.open(&features).await.expect("a store");
    let rows = |x: String| -> Vec<serde_json::Value> {
        let row = |id| json!({ "id": id, "metaxy_provenance_by_field": {"x": x} });
        (0..N).map(row).collect()
    };
    write(&store, "a", &rows("0".to_owned())).await.expect("good rows");
    let writers = (0..3_u32).map(|task| {
        let store = store.clone();
        tokio::spawn(async move {
            for n in 0..8 {
                write(&store, "a", &rows(format!("{task}-{n}"))).await.expect("good rows");
                if n % 3 == task % 3 {
                    let all = store.delete_where_of(&key("a"), "id >= 0");
                    let all = all.await.expect("a deletion").records();
                    assert!(all == 0 || all == u64::from(N), "{all} of {N} were there");
                    store.undelete_where_of(&key("a"), "id >= 0").await.expect("an undeletion");
                }
                store.vacuum_of(&key("a")).keep(2).await.expect("a vacuum");
            }
        })
    });
    let writers: Vec<_> = writers.collect();
    let readers = (0..3).map(|_| {
        let store = store.clone();
        tokio::spawn(async move {
            for _ in 0..25 {
                let seen = read(&store, "a").await;
                assert!(seen.is_empty() || seen.len() == N as usize, "{} rows", seen.len());
                let versions: std::collections::BTreeSet<String> =
                    seen.iter().map(|row| row["metaxy_provenance_by_field"].to_string()).collect();
                assert!(versions.len() <= 1, "rows of two commits: {versions:?}");
                let of_b = counts(&store, "b").await;
                assert!(of_b.new == 0 || of_b.new == u64::from(N), "{of_b}");
            }
        })
    });
    let readers: Vec<_> = readers.collect();
    for task in writers.into_iter().chain(readers) {
        task.await.expect("a task");
    }
    assert_eq!(read(&store, "a").await.len(), N as usize);
}

/// Parents that are expanded again and again, to other numbers of children, and deleted: a reader sees
/// all children of one try of a parent, or none.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_half_expansion_is_ever_seen() {
    let place = Place::new();
    let features = metaxy_tests::flow::graph(&[
        json!({ "key": "a", "id_columns": ["id"], "fields": ["x"] }),
        json!({ "key": "child", "id_columns": ["id", "part"], "fields": ["x"],
            "deps": [{"feature": "a", "lineage": {"type": "expansion", "on": ["id"],
                "id_generation_pattern": null}}] }),
    ]);
    let store = place.open(&features).await.expect("a store");
    let row = |id: i64| json!({ "id": id, "metaxy_provenance_by_field": {"x": "1"} });
    write(&store, "a", &[row(1), row(2)]).await.expect("good rows");
    let parents = metaxy_tests::flow::increment(&store, "child").await;
    assert_eq!(parents.len(), 2);

    let writers = (0..2_i64).map(|task| {
        let (store, parents) = (store.clone(), parents.clone());
        tokio::spawn(async move {
            for n in 0..10_i64 {
                // As many children as the try says: 3 to 22.
                let attempt = 3 + 2 * n + task;
                for parent in &parents {
                    let with = |more: &[(&str, i64)]| {
                        let columns = ["id", "metaxy_provenance_by_field"];
                        let mut row =
                            metaxy_tests::batch::only(std::slice::from_ref(parent), &columns)
                                .remove(0);
                        row["metaxy_try"] = json!(attempt);
                        more.iter().for_each(|(column, value)| row[*column] = json!(value));
                        row
                    };
                    let rows: Vec<_> = (0..attempt).map(|part| with(&[("part", part)])).collect();
                    let (first, second) = rows.split_at(1);
                    let mut out = store.batch_writer(&key("child"));
                    let push = metaxy_tests::batch::batch;
                    // A commit before the seal: its children are nobody's yet.
                    out.push(&push(first)).await.expect("good rows");
                    out.commit().await.expect("a commit");
                    out.push(&push(second)).await.expect("good rows");
                    let seal = with(&[("metaxy_children", attempt)]);
                    out.seal(&push(&[seal])).await.expect("a good seal");
                    out.commit().await.expect("a commit");
                }
                if n % 4 == task {
                    let one = metaxy_tests::batch::batch(&[json!({ "id": 1 })]);
                    store.delete_of(&key("child"), &[one]).await.expect("a deletion");
                }
                store.vacuum_of(&key("child")).keep(2).await.expect("a vacuum");
            }
        })
    });
    let writers: Vec<_> = writers.collect();
    let readers = (0..2).map(|_| {
        let store = store.clone();
        tokio::spawn(async move {
            for _ in 0..25 {
                let rows = match store.read_of(&key("child")).batches().await {
                    Ok(batches) => metaxy_tests::batch::collect(batches).await,
                    Err(metaxy::Error::NoTable { .. }) => continue,
                    Err(error) => panic!("{error}"),
                };
                for id in [1, 2] {
                    let tries: Vec<i64> = rows
                        .iter()
                        .filter(|row| row["id"] == id)
                        .map(|row| row["metaxy_try"].as_i64().expect("a try"))
                        .collect();
                    let whole = tries.first().is_none_or(|first| {
                        tries.iter().all(|of| of == first) && tries.len() as i64 == *first
                    });
                    assert!(whole, "children of {id} by their tries: {tries:?}");
                }
            }
        })
    });
    let readers: Vec<_> = readers.collect();
    for task in writers.into_iter().chain(readers) {
        task.await.expect("a task");
    }
    assert!(!read(&store, "child").await.is_empty());
}
