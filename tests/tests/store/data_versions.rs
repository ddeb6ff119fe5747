//! Which data version a row gets: the one that is given; outside of the stale set the one that is
//! stored; else the provenance.

use metaxy_tests::batch::batch;
use metaxy_tests::flow::{counts, graph, increment, key, memory, read, write};
use serde_json::{Value, json};

const X: &str = "metaxy_data_version_by_field";

fn root(code_version: &str) -> Value {
    json!({ "key": "a", "id_columns": ["id"], "fields": [{ "key": "x", "code_version": code_version }] })
}

#[tokio::test]
async fn the_same_value_keeps_its_data_version() {
    let store = memory(&graph(&[root("1")])).await;
    write(
        &store,
        "a",
        &[json!({ "id": 1, "metaxy_provenance_by_field": {"x": "v"}, X: {"x": "given"} })],
    )
    .await
    .expect("good rows");
    write(&store, "a", &[json!({ "id": 1, "x": "v" })]).await.expect("good rows");
    assert_eq!(read(&store, "a").await[0][X], json!({ "x": "given" }));
}

/// The value of a root does not tell of a code version, but a data version that was given for the
/// work of other code says nothing of what is there now.
#[tokio::test]
async fn other_code_keeps_no_data_version_of_a_root() {
    let store = memory(&graph(&[root("1")])).await;
    write(
        &store,
        "a",
        &[json!({ "id": 1, "metaxy_provenance_by_field": {"x": "v"}, X: {"x": "given"} })],
    )
    .await
    .expect("good rows");
    let store = store.with_graph(graph(&[root("2")]));
    write(&store, "a", &[json!({ "id": 1, "x": "v" })]).await.expect("good rows");
    assert_eq!(read(&store, "a").await[0][X], json!({ "x": "v" }));
}

/// An upstream got a field that its rows lack: what is computed from it is blocked, and what is said
/// of it is what is stored.
#[tokio::test]
async fn a_blocked_record_has_its_data_versions() {
    let child = json!({ "key": "b", "id_columns": ["id"], "deps": [{ "feature": "a" }], "fields": [{ "key": "y" }] });
    let upstream = |fields: &[&str]| json!({ "key": "a", "id_columns": ["id"], "fields": fields.iter().map(|f| json!({ "key": f })).collect::<Vec<_>>() });
    let store = memory(&graph(&[upstream(&["p"]), child.clone()])).await;
    write(&store, "a", &[json!({ "id": 1, "p": "v" })]).await.expect("good rows");
    let mut row = increment(&store, "b").await.remove(0);
    let row = row.as_object_mut().expect("an object");
    row.insert(X.to_owned(), json!({ "y": "given" }));
    row.retain(|name, value| !value.is_null() && name != "p");
    write(&store, "b", &[Value::Object(row.clone())]).await.expect("good rows");

    let store = store.with_graph(graph(&[upstream(&["p", "q"]), child]));
    assert_eq!(counts(&store, "b").await.blocked, 1);
    let blocked = increment(&store, "b").await.remove(0);
    assert_eq!(blocked["metaxy_cause"], "a is stale");
    assert_eq!(blocked[X], json!({ "y": "given" }));
    assert!(blocked["metaxy_data_version"].is_string(), "{blocked}");
}

/// What downstream sees is the data version, so that a new one is not passed over because the value
/// is the same.
#[tokio::test]
async fn a_sync_takes_a_given_data_version_with_the_same_value() {
    let store = memory(&graph(&[root("1")])).await;
    let sample = |version: &str| {
        batch(&[json!({ "id": 1, "metaxy_provenance_by_field": {"x": "v"}, X: {"x": version} })])
    };
    for (version, stale) in [("first", 0), ("second", 1), ("second", 0)] {
        let report = store.sync_of(&key("a"), sample(version)).await.expect("a sync");
        assert_eq!(report.counts.stale, stale, "{version}");
        assert_eq!(read(&store, "a").await[0][X], json!({ "x": version }));
    }
    let plain = batch(&[json!({ "id": 1, "x": "v" })]);
    let report = store.sync_of(&key("a"), plain).await.expect("a sync");
    assert_eq!(report.counts.stale, 0, "nothing is given, and the value is the same");
}
