//! What is recorded of the definitions that write, and what is done with it.

use crate::features::{compute_crops, graph, video};
use metaxy_tests::batch::batch;
use metaxy_tests::flow::{self, compute, key, memory, read, write};
use metaxy_tests::place::Place;
use serde_json::{Value, json};

#[tokio::test]
async fn definitions_are_recorded_once() {
    let place = Place::new();
    let store = place.open(&graph()).await.expect("a store");
    let versions = graph().versions(16);
    for n in 0..3 {
        store.sync(vec![video("a", &n.to_string(), "1")]).await.expect("a sync");
        compute_crops(&store).await;
    }
    drop(store);
    let rows =
        place.query("SELECT * FROM metaxy_system__field_versions ORDER BY feature_key, field");
    let row = |feature: &str, field: &str, code_version: &str, parents: Value| {
        let of = versions.feature(&key(feature)).expect("versions");
        json!({
            "feature_key": feature,
            "metaxy_feature_version": of.feature_version,
            "field": field,
            "field_version": of.fields[&metaxy::FieldKey::new(field).expect("a key")],
            "code_version": code_version,
            "parents": parents.to_string(),
            "id_columns": "[\"video_id\"]",
        })
    };
    let initial = "__metaxy_initial__";
    assert_eq!(
        rows,
        [
            row("example/crop", "audio", initial, json!(["example/video.audio"])),
            row("example/crop", "frames", initial, json!(["example/video.frames"])),
            row("example/video", "audio", "1", json!([])),
            row("example/video", "frames", "1", json!([])),
        ]
    );
}

/// Nothing is recorded of a definition that has written nothing.
#[tokio::test]
async fn a_write_of_nothing_records_nothing() {
    let place = Place::new();
    let store = place.open(&graph()).await.expect("a store");
    store.sync(Vec::<crate::features::Video>::new()).await.expect("a sync");
    let mut out = store.writer::<crate::features::Video>();
    out.commit().await.expect("a commit of nothing");
    drop((out, store));
    let tables = place.query("SELECT count(*) AS n FROM metaxy_system__field_versions");
    assert_eq!(tables, [json!({ "n": 0 })]);
}

fn root(ids: &Value) -> Value {
    json!({ "key": "a", "id_columns": ids, "fields": ["x"] })
}

fn child(ids: &Value) -> Value {
    json!({ "key": "b", "id_columns": ids, "fields": ["x"], "deps": [{"feature": "a"}] })
}

/// Rows of other ids cannot be compared with records of today, whatever is asked.
#[tokio::test]
async fn other_id_columns_are_an_error_that_names_both() {
    let (before, today) = (json!(["id", "part"]), json!(["id"]));
    let store = memory(&flow::graph(&[root(&before), child(&before)])).await;
    let row = |id: &str, part: &str| json!({ "id": id, "part": part, "metaxy_provenance_by_field": {"x": "1"} });
    write(&store, "a", &[row("1", "1"), row("1", "2")]).await.expect("good rows");
    compute(&store, "b").await;

    let changed = store.with_graph(flow::graph(&[root(&today), child(&today)]));
    let refusal = |feature: &str| {
        format!(
            "`{feature}` has the id columns [\"id\"], but its table was written with \
             [\"id\",\"part\"]; records with other ids need a migration, resolving cannot compare \
             them"
        )
    };
    let (a, b) = (key("a"), key("b"));
    let sample = || batch(&[row("1", "1")]);
    let errors = [
        write(&changed, "a", &[row("1", "1")]).await.map(drop).expect_err("a write"),
        changed.sync_of(&a, sample()).await.map(drop).expect_err("a sync"),
        changed.sync_of(&a, sample()).dry_run(true).await.map(drop).expect_err("a dry run"),
        changed.read_of(&a).batches().await.map(drop).expect_err("a read"),
        changed.delete_of(&a, &[sample()]).await.map(drop).expect_err("a deletion"),
    ];
    for error in errors {
        assert_eq!(error.to_string(), refusal("a"));
    }
    let errors = [
        changed.resolve_update_of(&b).await.map(drop).expect_err("a resolve"),
        changed.count_update_of(&b).await.map(drop).expect_err("counts"),
        changed.delete_orphans_of(&b).await.map(drop).expect_err("a deletion"),
    ];
    for error in errors {
        assert_eq!(error.to_string(), refusal("b"));
    }
    assert_eq!(read(&store, "a").await.len(), 2, "nothing has happened");
}

/// The ids of an upstream count as well, also where the feature's own have stayed.
#[tokio::test]
async fn other_id_columns_of_an_upstream_are_named() {
    let store = memory(&flow::graph(&[root(&json!(["id", "part"]))])).await;
    let row = json!({ "id": "1", "part": "1", "metaxy_provenance_by_field": {"x": "1"} });
    write(&store, "a", &[row]).await.expect("good rows");
    let changed = store.with_graph(flow::graph(&[root(&json!(["id"])), child(&json!(["id"]))]));
    let error = changed.count_update_of(&key("b")).await.expect_err("counts");
    assert!(error.to_string().starts_with("`a` has the id columns [\"id\"], but"), "{error}");
}
