//! Roots: samples from structs, batches and files against what is stored.

use crate::features::{Video, memory, video};
use metaxy::prelude::*;
use metaxy::store::Samples;
use metaxy_tests::batch::{batch, only};
use metaxy_tests::flow::{key, read};
use metaxy_tests::place::Place;
use serde_json::{Value, json};

const VIDEO: &str = "example/video";

#[tokio::test]
async fn complete_samples_orphan_what_they_lack() {
    let store = memory().await;
    let report = store.sync(vec![video("a", "1", "1"), video("b", "1", "1")]).await;
    let report = report.expect("a sync");
    assert_eq!(
        report.to_string(),
        "2 new, 0 stale, 0 orphaned, 0 blocked, 0 unchanged; 2 written, 0 deleted"
    );
    let samples = || vec![video("b", "2", "1"), video("c", "1", "1")];
    let dry = store.sync(samples()).delete_orphans(true).dry_run(true).await.expect("a sync");
    assert_eq!((dry.counts.new, dry.counts.stale, dry.counts.orphaned), (1, 1, 1));
    assert_eq!((dry.written.rows, dry.written.deleted, dry.written.time), (0, 0, None));
    assert_eq!(read(&store, VIDEO).await.len(), 2, "a dry run writes nothing");

    let report = store.sync(samples()).await.expect("a sync");
    assert_eq!(report.counts, dry.counts);
    assert_eq!((report.written.rows, report.written.deleted), (2, 0), "nothing is deleted unasked");
    assert_eq!(read(&store, VIDEO).await.len(), 3);

    let report = store.sync(samples()).delete_orphans(true).await.expect("a sync");
    assert_eq!((report.counts.orphaned, report.counts.unchanged), (1, 2));
    assert_eq!((report.written.rows, report.written.deleted), (0, 1));
    let ids = only(&read(&store, VIDEO).await, &["video_id"]);
    assert_eq!(ids, [json!({ "video_id": "b" }), json!({ "video_id": "c" })]);

    let again = store.sync(samples()).delete_orphans(true).await.expect("a sync");
    assert!(again.counts.is_up_to_date());
    assert_eq!(again.written.time, None);
}

#[tokio::test]
async fn partial_samples_orphan_nothing() {
    let store = memory().await;
    store.sync(vec![video("a", "1", "1"), video("b", "1", "1")]).await.expect("a sync");
    let report = store.sync(vec![video("b", "2", "1")]).partial(true).delete_orphans(true).await;
    let report = report.expect("a sync");
    assert_eq!((report.counts.stale, report.counts.orphaned), (1, 0));
    assert_eq!(report.counts.unchanged, 0, "what the samples lack is not looked at");
    assert_eq!(report.written.deleted, 0);
    assert_eq!(read(&store, VIDEO).await.len(), 2);
}

#[tokio::test]
async fn no_samples_at_all() {
    let store = memory().await;
    store.sync(vec![video("a", "1", "1")]).await.expect("a sync");
    let none = store.sync(Vec::<Video>::new()).await.expect("a sync");
    assert_eq!((none.counts.orphaned, none.written.deleted), (1, 0));
    let none = store.sync_of(&key(VIDEO), Vec::new()).delete_orphans(true).await.expect("a sync");
    assert_eq!((none.counts.orphaned, none.written.deleted), (1, 1));
    assert_eq!(read(&store, VIDEO).await, Vec::<Value>::new());
}

#[tokio::test]
async fn a_new_code_version_of_a_root_is_stale() {
    let store = memory().await;
    store.sync(vec![video("a", "1", "1")]).await.expect("a sync");
    let definition = |code_version: &str| {
        let field = |key: &str, version: &str| json!({ "key": key, "code_version": version });
        json!({ "key": VIDEO, "id_columns": ["video_id"],
                "fields": [field("audio", "1"), field("frames", code_version)] })
    };
    let bumped = store.with_graph(metaxy_tests::flow::graph(&[definition("2")]));
    let sample = json!({ "video_id": "a", "path": "p", "audio": "1", "frames": "1" });
    let report = bumped.sync_of(&key(VIDEO), batch(&[sample])).await.expect("a sync");
    assert_eq!((report.counts.stale, report.written.rows), (1, 1));
}

#[tokio::test]
async fn a_name_for_the_run_is_kept() {
    let store = memory().await;
    let report = store.sync(vec![video("a", "1", "1")]).materialization_id("it's run 'one'; --");
    report.await.expect("a sync");
    assert_eq!(read(&store, VIDEO).await[0]["metaxy_materialization_id"], "it's run 'one'; --");
}

/// What the files of the next tests hold: ids and versions that look like numbers, dates and truth
/// values, and are texts.
fn samples() -> Vec<Value> {
    let row = |id: &str, path: &str, audio: &str, frames: &str| json!({ "video_id": id, "path": path, "audio": audio, "frames": frames });
    vec![
        row("007", "a, \"quoted\" path", "0012", "1e5"),
        row("2024-01-01", "/tmp/b", "2024-01-01 10:00:00", "true"),
        row("1_000", "é\u{1F3A5}", "0x10", "3.10"),
    ]
}

async fn synced_from(file: &std::path::Path) -> Vec<Value> {
    let store = memory().await;
    let report = store.sync::<Video>(Samples::file(file)).await.expect("a sync");
    assert_eq!(report.written.rows, 3);
    let again = store.sync_of(&key(VIDEO), Samples::file(file)).await.expect("a sync");
    assert_eq!((again.counts.unchanged, again.written.rows), (3, 0));
    let rows = read(&store, VIDEO).await;
    let rows = rows.iter().map(|row| {
        let versions = &row["metaxy_data_version_by_field"];
        json!({ "video_id": row["video_id"], "path": row["path"],
                "audio": versions["audio"], "frames": versions["frames"] })
    });
    metaxy_tests::batch::sorted(rows.collect())
}

fn expected() -> Vec<Value> {
    metaxy_tests::batch::sorted(samples())
}

#[tokio::test]
async fn samples_from_csv() {
    let place = Place::new();
    for (name, separator) in [("it's a file.csv", ","), ("samples.TSV", "\t")] {
        let mut text = ["video_id", "path", "audio", "frames"].join(separator) + "\n";
        for row in samples() {
            let cells = ["video_id", "path", "audio", "frames"].map(|name| {
                format!("\"{}\"", row[name].as_str().expect("a text").replace('"', "\"\""))
            });
            text += &(cells.join(separator) + "\n");
        }
        std::fs::write(place.path(name), text).expect("a file");
        assert_eq!(synced_from(&place.path(name)).await, expected());
    }
}

#[tokio::test]
async fn samples_from_csv_without_quotes() {
    let place = Place::new();
    let text = "frames,audio,video_id,path\n1e5,0012,007,p\n2e5,0013,008,q\n1e6,0014,009,r\n";
    std::fs::write(place.path("a.csv"), text).expect("a file");
    let rows = synced_from(&place.path("a.csv")).await;
    assert_eq!(
        only(&rows, &["video_id", "audio", "frames"]),
        [
            json!({ "video_id": "007", "audio": "0012", "frames": "1e5" }),
            json!({ "video_id": "008", "audio": "0013", "frames": "2e5" }),
            json!({ "video_id": "009", "audio": "0014", "frames": "1e6" }),
        ]
    );
}

#[tokio::test]
async fn samples_from_json() {
    let place = Place::new();
    std::fs::write(place.path("a.json"), Value::from(samples()).to_string()).expect("a file");
    assert_eq!(synced_from(&place.path("a.json")).await, expected());
    let lines: Vec<String> = samples().iter().map(Value::to_string).collect();
    for name in ["a.jsonl", "a.ndjson"] {
        std::fs::write(place.path(name), lines.join("\n")).expect("a file");
        assert_eq!(synced_from(&place.path(name)).await, expected());
    }
}

#[tokio::test]
async fn samples_from_parquet() {
    let place = Place::new();
    let file = place.path("a.parquet");
    let rows = samples().into_iter().map(|row| {
        let text = |name: &str| row[name].as_str().expect("a text").replace('\'', "''");
        format!(
            "('{}', '{}', '{}', '{}')",
            text("video_id"),
            text("path"),
            text("audio"),
            text("frames")
        )
    });
    let rows = rows.collect::<Vec<_>>().join(", ");
    place.execute(&format!(
        "COPY (SELECT * FROM (VALUES {rows}) AS s(video_id, path, audio, frames)) TO '{}'",
        file.display()
    ));
    assert_eq!(synced_from(&file).await, expected());
}

#[derive(Debug, Feature)]
#[metaxy(key = "syncing/clip")]
struct Clip {
    #[metaxy(id)]
    id: i32,
    size: u64,
    ratio: Option<f64>,
    tags: Vec<String>,
    more: std::collections::BTreeMap<String, String>,
    at: Option<chrono::NaiveDate>,
    #[metaxy(field)]
    x: DataVersion,
}

/// Types of columns are those of the struct, whatever a file says.
#[tokio::test]
async fn columns_of_files_are_converted() {
    let place = Place::new();
    let graph = FeatureGraph::of::<Clip>().expect("a graph");
    let json = r#"[{"id": 1, "size": 10, "ratio": 2, "tags": ["001", "b"], "more": {"k": "007"},
                    "at": "2024-02-29", "x": "1"},
                   {"id": 2, "size": 20, "ratio": null, "tags": [], "more": {}, "at": null,
                    "x": 2}]"#;
    std::fs::write(place.path("a.json"), json).expect("a file");
    let csv = "id,size,ratio,tags,more,at,x\n\
               1,10,2,\"['001', 'b']\",\"{k=007}\",2024-02-29,1\n\
               2,20,,[],{},,2\n";
    std::fs::write(place.path("a.csv"), csv).expect("a file");
    for name in ["a.json", "a.csv"] {
        let store = metaxy_tests::flow::memory(&graph).await;
        let samples = Samples::file(place.path(name));
        store.sync::<Clip>(samples).await.expect(name);
        let mut clips = store.read::<Clip>().rows().await.expect("records");
        clips.sort_by_key(|clip| clip.id);
        let [first, second] = clips.as_slice() else { panic!("two records") };
        assert_eq!((first.id, first.size, first.ratio), (1, 10, Some(2.0)), "{name}");
        assert_eq!(first.tags, ["001", "b"], "{name}");
        assert_eq!(first.more["k"], "007", "{name}");
        assert_eq!(first.at, chrono::NaiveDate::from_ymd_opt(2024, 2, 29), "{name}");
        assert_eq!(second.ratio, None, "{name}");
        assert_eq!((second.tags.len(), second.more.len(), second.at), (0, 0, None), "{name}");
        assert_eq!(second.x.as_str(), Some("2"), "{name}");
    }
}

/// A number that the column cannot keep is refused, and not rounded.
#[tokio::test]
async fn numbers_of_files_are_not_rounded() {
    let place = Place::new();
    let graph = FeatureGraph::of::<Clip>().expect("a graph");
    let refused = async |json: &str| {
        std::fs::write(place.path("a.json"), json).expect("a file");
        let store = metaxy_tests::flow::memory(&graph).await;
        let error = store.sync::<Clip>(Samples::file(place.path("a.json"))).await;
        error.expect_err(json).to_string()
    };
    let row = |id: &str, size: &str| {
        format!(
            r#"{{"id": {id}, "size": {size}, "ratio": 1, "tags": [], "more": {{"a": "b"}},
                "at": "2024-01-01", "x": "1"}}"#
        )
    };
    assert_eq!(
        refused(&format!("[{}, {}]", row("1", "1.0"), row("2", "3.7"))).await,
        "cannot write `syncing/clip`: row 1 has 3.7 in the column `size`, which UInt64 cannot keep \
         exactly"
    );
    assert_eq!(
        refused(&row("3000000000", "1")).await,
        "cannot write `syncing/clip`: column `id` is Int64, expected Int32"
    );
}

#[derive(Debug, Feature)]
#[metaxy(key = "syncing/shot")]
struct Shot {
    #[metaxy(id)]
    id: i32,
    taken_at: chrono::DateTime<chrono::Utc>,
    more: Vec<chrono::DateTime<chrono::Utc>>,
    #[metaxy(field)]
    x: DataVersion,
}

/// However a file or a table writes a time, without a zone it is one of UTC; a number is no time.
#[tokio::test]
async fn times_of_files_and_tables_are_what_they_say() {
    let place = Place::new();
    let graph = FeatureGraph::of::<Shot>().expect("a graph");
    let expected = chrono::DateTime::from_timestamp(1_704_067_200, 0).expect("a time");
    let synced = async |samples: Samples<Shot>| {
        let store = place.open(&graph).await.expect("a store");
        let held = store.read::<Shot>().rows().await.unwrap_or_default();
        if !held.is_empty() {
            store.delete(&held).hard(true).await.expect("a deletion");
        }
        store.sync::<Shot>(samples).await?;
        Ok::<_, metaxy::Error>(store.read::<Shot>().rows().await.expect("records").remove(0))
    };
    for text in ["2024-01-01T00:00:00Z", "2024-01-01 00:00:00", "2024-01-01T02:00:00+02:00"] {
        let json = format!(r#"[{{"id": 1, "taken_at": "{text}", "more": ["{text}"], "x": "1"}}]"#);
        std::fs::write(place.path("a.json"), json).expect("a file");
        std::fs::write(place.path("a.csv"), format!("id,taken_at,more,x\n1,{text},[{text}],1\n"))
            .expect("a file");
        for name in ["a.json", "a.csv"] {
            let shot = synced(Samples::file(place.path(name))).await.expect(name);
            assert_eq!(shot.taken_at, expected, "{name}: {text}");
            assert_eq!(shot.more, [expected], "{name}: {text}");
        }
    }
    place.execute(
        "CREATE TABLE plain AS SELECT 1 AS id, TIMESTAMP '2024-01-01' AS taken_at, \
         [TIMESTAMP '2024-01-01'] AS more, '1' AS x; \
         CREATE TABLE nanos AS SELECT * REPLACE (taken_at::TIMESTAMP_NS AS taken_at) FROM plain; \
         CREATE TABLE counted AS SELECT * REPLACE (1704067200 AS taken_at) FROM plain;",
    );
    for table in ["plain", "nanos"] {
        let shot = synced(Samples::table(table).version("x", "taken_at")).await.expect(table);
        assert_eq!((shot.taken_at, shot.more), (expected, vec![expected]), "{table}");
        assert_eq!(shot.x.as_str(), Some("2024-01-01T00:00:00"), "{table}");
    }
    let json = r#"{"id": 1, "taken_at": 1704067200, "more": [], "x": "1"}"#;
    std::fs::write(place.path("a.json"), json).expect("a file");
    std::fs::write(place.path("a.csv"), "id,taken_at,more,x\n1,1704067200,[],1\n").expect("a file");
    for samples in [
        Samples::file(place.path("a.json")),
        Samples::file(place.path("a.csv")),
        Samples::table("counted"),
    ] {
        let error = synced(samples).await.expect_err("a number").to_string();
        assert!(error.contains("column `taken_at` is Int"), "{error}");
        assert!(error.contains("expected Timestamp"), "{error}");
        assert!(error.contains("or write times as texts like 2024-01-31T12:00:00Z"), "{error}");
    }
}

#[tokio::test]
async fn files_that_hold_no_rows() {
    let place = Place::new();
    let store = memory().await;
    let sync = async |name: &str| {
        let samples = Samples::file(place.path(name));
        let error = store.sync::<Video>(samples).await.expect_err(name).to_string();
        error.replace(&place.path("").display().to_string(), "")
    };
    assert_eq!(sync("none.csv").await, "cannot read rows from `none.csv`: there is no such file");
    std::fs::write(place.path("a.xlsx"), "").expect("a file");
    assert_eq!(
        sync("a.xlsx").await,
        "cannot read rows from `a.xlsx`: its name ends in none of parquet, csv, tsv, json, jsonl, \
         ndjson"
    );
    std::fs::write(place.path("a.parquet"), "no parquet").expect("a file");
    assert!(sync("a.parquet").await.starts_with("DuckDB: "));
    std::fs::write(place.path("a.csv"), "video_id,path\nx,y\n").expect("a file");
    assert_eq!(
        sync("a.csv").await,
        "cannot write `example/video`: the rows have neither a column `metaxy_provenance_by_field` \
         nor a text column for each of the fields: audio, frames"
    );
    assert_eq!(read(&store, VIDEO).await, Vec::<Value>::new());
}
