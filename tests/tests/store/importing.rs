//! Tables that are there already, as samples of a root.

use metaxy::prelude::*;
use metaxy::{Samples, Store};
use metaxy_tests::batch::only;
use metaxy_tests::flow::{key, read};
use metaxy_tests::place::Place;
use serde_json::json;

#[derive(Clone, Debug, Feature, PartialEq)]
#[metaxy(key = "importing/video")]
struct Video {
    #[metaxy(id)]
    video_id: String,
    path: Option<String>,
    #[metaxy(field)]
    audio: DataVersion,
    #[metaxy(field)]
    frames: DataVersion,
}

const VIDEO: &str = "importing/video";

async fn store(place: &Place, sql: &str) -> Store {
    place.execute(sql);
    place.open(&FeatureGraph::of::<Video>().expect("a graph")).await.expect("a store")
}

async fn refused(place: &Place, sql: &str, samples: Samples<Video>) -> String {
    let store = store(place, sql).await;
    store.sync::<Video>(samples).await.expect_err("a refusal").to_string()
}

#[tokio::test]
async fn a_table_without_a_column_of_ours() {
    let place = Place::new();
    let sql = "CREATE SCHEMA raw; \
               CREATE TABLE raw.\"my videos\" AS SELECT * FROM (VALUES \
               (7, '/7', 'x1', TIMESTAMP '2026-01-01'), (8, NULL, 'x2', TIMESTAMP '2026-01-02')) \
               AS v(vid, path, audio, changed_at)";
    let store = store(&place, sql).await;
    let samples = || {
        Samples::table("raw.my videos").rename("vid", "video_id").version("frames", "changed_at")
    };
    let report = store.sync_of(&key(VIDEO), samples()).await.expect("a sync");
    assert_eq!(report.counts.new, 2);
    let found = only(&read(&store, VIDEO).await, &["video_id", "path"]);
    assert_eq!(
        found,
        [json!({ "video_id": "7", "path": "/7" }), json!({ "video_id": "8", "path": null })]
    );
    let rows = store.read::<Video>().filter("video_id = '7'").rows().await.expect("rows");
    assert_eq!(rows[0].audio.as_str(), Some("x1"));
    assert!(rows[0].frames.as_str().expect("a version").starts_with("2026-01-01"));
    // Typed or by key, it is the same.
    let report = store.sync::<Video>(samples_of_type()).await.expect("a sync");
    assert_eq!(report.counts.unchanged, 2);
}

fn samples_of_type() -> Samples<Video> {
    Samples::table("raw.my videos").rename("vid", "video_id").version("frames", "changed_at")
}

#[tokio::test]
async fn a_view_with_a_dot_and_constants() {
    let place = Place::new();
    let sql = "CREATE VIEW \"v.1\" AS SELECT 'a' AS video_id, NULL::VARCHAR AS path";
    let store = store(&place, sql).await;
    let samples = Samples::table("v.1").constant("audio").constant("frames");
    let report = store.sync_of(&key(VIDEO), samples).await.expect("a sync");
    assert_eq!(report.counts.new, 1);
    let rows = store.read::<Video>().rows().await.expect("rows");
    assert_eq!(rows[0].audio, DataVersion::constant());
}

#[tokio::test]
async fn bad_tables_are_refused() {
    let columns = "'1' AS audio, '1' AS frames, NULL::VARCHAR AS path";
    let cases = [
        ("SELECT 1", Samples::table("nowhere"), "there is no table or view `nowhere`"),
        (
            &format!("CREATE TABLE t AS SELECT NULL::VARCHAR AS video_id, {columns}"),
            Samples::table("t"),
            "1 rows have NULL in the id column `video_id`",
        ),
        (
            &format!("CREATE TABLE t AS SELECT 'a' AS video_id, {columns} FROM range(2)"),
            Samples::table("t"),
            "2 rows have the same id video_id = a",
        ),
        (
            &format!("CREATE TABLE t AS SELECT 'a' AS video_id, 1 AS more, {columns}"),
            Samples::table("t"),
            "unknown columns `more`",
        ),
        (
            &format!("CREATE TABLE t AS SELECT 'a' AS video_id, {columns}"),
            Samples::table("t").rename("vid", "video_id"),
            "missing columns `vid`",
        ),
        (
            &format!("CREATE TABLE t AS SELECT 'a' AS video_id, {columns}"),
            Samples::table("t").constant("smell"),
            "there is no field `smell`",
        ),
        (
            &format!("CREATE TABLE t AS SELECT 'a' AS video_id, NULL::INTEGER AS tag, {columns}"),
            Samples::table("t").version("audio", "tag"),
            "has no data version for field `audio`",
        ),
        (
            "CREATE TABLE t AS SELECT 'a' AS video_id, NULL::VARCHAR AS path",
            Samples::table("t"),
            "nor a text column for each of the fields: audio, frames",
        ),
    ];
    for (sql, samples, expected) in cases {
        let place = Place::new();
        let error = refused(&place, sql, samples).await;
        assert!(error.contains(expected), "{error}");
    }
}
