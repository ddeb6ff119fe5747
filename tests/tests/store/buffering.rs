//! One writer for many producers, and provenances of rows that were joined elsewhere.

use crate::features::memory;
use futures::future::join_all;
use metaxy::Error;
use metaxy::arrow::array::RecordBatch;
use metaxy_tests::batch::{batch, rows};
use metaxy_tests::flow::{self, increment, key, read, write};
use serde_json::{Value, json};
use std::time::Duration;

const VIDEO: &str = "example/video";

fn one(id: &str) -> RecordBatch {
    batch(&[json!({ "video_id": id, "path": "/", "audio": "1", "frames": "1" })])
}

#[tokio::test]
async fn many_producers_and_few_commits() {
    let store = memory().await;
    let hour = Duration::from_secs(3600);
    let writer = store.buffered_writer(&key(VIDEO)).rows(40).every(hour).queue(2);
    let writer = writer.materialization_id("run 7").await.expect("a writer");
    let pushes = (0..100).map(|i| {
        let writer = writer.clone();
        tokio::spawn(async move { writer.push(one(&format!("v{i}"))).await })
    });
    for pushed in join_all(pushes).await {
        pushed.expect("a task").expect("good rows");
    }
    assert_eq!(writer.flush().await.expect("a commit").rows, 100);
    writer.push(one("last")).await.expect("good rows");
    let committed = writer.clone().close().await.expect("a commit");
    assert_eq!((committed.rows, committed.commits), (101, 4));
    let error = writer.push(one("later")).await.expect_err("a refusal");
    assert!(matches!(error, Error::WriterClosed { .. }), "{error}");
    let found = read(&store, VIDEO).await;
    assert_eq!(found.len(), 101);
    assert_eq!(found[0]["metaxy_materialization_id"], "run 7");
}

#[tokio::test]
async fn rows_do_not_wait_for_ever() {
    let store = memory().await;
    let writer = store.buffered_writer(&key(VIDEO)).every(Duration::from_millis(50));
    let writer = writer.await.expect("a writer");
    writer.push(one("a")).await.expect("good rows");
    let committed = async {
        while read(&store, VIDEO).await.is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), committed).await.expect("a commit in time");
    // What is there when the last handle goes is committed as well.
    writer.push(one("b")).await.expect("good rows");
    drop(writer);
    let committed = async {
        while read(&store, VIDEO).await.len() < 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), committed).await.expect("a commit in time");
}

#[tokio::test]
async fn refused_rows_are_their_producers_alone() {
    let store = memory().await;
    let writer = store.buffered_writer(&key(VIDEO)).await.expect("a writer");
    writer.push(one("a")).await.expect("good rows");
    let bad = batch(&[json!({ "video_id": null, "path": "/", "audio": "1", "frames": "1" })]);
    assert!(matches!(writer.push(bad).await, Err(Error::Write { .. })));
    assert_eq!(writer.close().await.expect("a commit").rows, 1);
}

#[tokio::test]
async fn a_commit_that_fails_is_told_to_everybody() {
    let store = memory().await;
    let writer = store.buffered_writer(&key(VIDEO)).await.expect("a writer");
    let other = writer.clone();
    writer.push(one("a")).await.expect("good rows");
    other.push(one("a")).await.expect("rows that are good alone");
    let expected = "a buffered write of `example/video` failed, 2 rows are not in the store: cannot \
                    write `example/video`: 2 rows have the same id video_id = a";
    for error in [
        writer.flush().await.expect_err("a failure"),
        other.push(one("b")).await.expect_err("a failure"),
        other.close().await.expect_err("a failure"),
        writer.push(one("c")).await.expect_err("a failure"),
    ] {
        assert!(error.to_string().starts_with(expected), "{error}");
    }
    assert_eq!(read(&store, VIDEO).await, Vec::<Value>::new());
    let unknown = store.buffered_writer(&key("no/such")).await;
    assert!(matches!(unknown, Err(Error::UnknownFeature { .. })));
}

/// What is computed outside of the store is what the store computes.
#[tokio::test]
async fn provenances_are_those_of_resolve() {
    let features = [
        json!({ "key": "up/a", "id_columns": ["id"], "fields": ["x", "y"] }),
        json!({ "key": "b", "id_columns": ["id"], "fields": ["x"] }),
        json!({ "key": "c", "id_columns": ["id"], "fields": ["x", "z"],
                "deps": [{ "feature": "up/a" }, { "feature": "b", "optional": true }] }),
    ];
    let store = flow::memory(&flow::graph(&features)).await;
    let row =
        |id: &str, versions: Value| json!({ "id": id, "metaxy_provenance_by_field": versions });
    let a = [row("1", json!({ "x": "a1", "y": "a2" })), row("2", json!({ "x": "a3", "y": "a4" }))];
    write(&store, "up/a", &a).await.expect("good rows");
    write(&store, "b", &[row("1", json!({ "x": "b1" }))]).await.expect("good rows");
    let resolved = increment(&store, "c").await;

    let joined = [
        json!({ "id": "1", "metaxy_data_version_by_field__up_a": { "x": "a1", "y": "a2" },
                "metaxy_data_version_by_field__b": { "x": "b1" } }),
        json!({ "id": "2", "metaxy_data_version_by_field__up_a": { "x": "a3", "y": "a4" },
                "metaxy_data_version_by_field__b": null }),
    ];
    let computed = store.compute_provenance(&key("c"), &batch(&joined)).expect("good rows");
    let names = computed.schema().fields().iter().map(|f| f.name().clone()).collect::<Vec<_>>();
    assert_eq!(
        names,
        [
            "id",
            "metaxy_provenance_by_field",
            "metaxy_provenance",
            "metaxy_data_version_by_field",
            "metaxy_data_version"
        ]
    );
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let computed_rows = metaxy_tests::batch::only(&rows(std::slice::from_ref(&computed)), &names);
    assert_eq!(computed_rows, metaxy_tests::batch::only(&resolved, &names));
    let mut out = store.batch_writer(&key("c"));
    out.push(&computed).await.expect("good rows");
    out.commit().await.expect("a commit");
    assert!(flow::counts(&store, "c").await.is_up_to_date());

    let refused = |row: Value| {
        let rows = batch(&[row]);
        store.compute_provenance(&key("c"), &rows).expect_err("a refusal").to_string()
    };
    let mut lacks = joined[0].clone();
    lacks["metaxy_data_version_by_field__up_a"] = json!({ "x": "a1" });
    let error = refused(lacks);
    assert!(error.contains("row 0 has no data version of `up/a` for its field `y`"), "{error}");
    let error = refused(json!({ "id": "1" }));
    assert!(error.contains("missing columns `metaxy_data_version_by_field__up_a`"), "{error}");
    let error = store.compute_provenance(&key("b"), &batch(&joined)).expect_err("a refusal");
    assert!(error.to_string().contains("has no upstream"), "{error}");
}
