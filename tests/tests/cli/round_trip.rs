//! What `resolve` gives is taken back by `write`, in every format and by every engine.

use crate::life::{scenes, video};
use crate::place::Place;
use arrow_ipc::reader::{FileReader, StreamReader};
use arrow_ipc::writer::{FileWriter, StreamWriter};
use metaxy::arrow::array::{ArrayRef, RecordBatch, UInt32Array};
use metaxy::arrow::datatypes::{DataType, Field, Schema};
use metaxy_tests::databases::Database;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Value, json};
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

/// The rows of a file, with a column added, in another one of the same format.
fn add_faces(from: &Path, to: &Path) {
    let open = || File::open(from).expect("a file");
    let format = from.extension().and_then(|ending| ending.to_str()).expect("an ending");
    let batches: Vec<RecordBatch> = match format {
        "arrow" => {
            FileReader::try_new(open(), None).expect("Arrow").map(|b| b.expect("a batch")).collect()
        }
        "arrows" => StreamReader::try_new(open(), None)
            .expect("Arrow")
            .map(|b| b.expect("a batch"))
            .collect(),
        _ => {
            let reader = ParquetRecordBatchReaderBuilder::try_new(open()).expect("Parquet");
            reader.build().expect("Parquet").map(|b| b.expect("a batch")).collect()
        }
    };
    let batches: Vec<RecordBatch> = batches
        .into_iter()
        .map(|batch| {
            let mut fields: Vec<Arc<Field>> = batch.schema().fields().iter().cloned().collect();
            fields.push(Arc::new(Field::new("num_faces", DataType::UInt32, true)));
            let mut columns = batch.columns().to_vec();
            columns.push(Arc::new(UInt32Array::from(vec![3; batch.num_rows()])) as ArrayRef);
            RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).expect("a batch")
        })
        .collect();
    let schema = batches[0].schema();
    let file = File::create(to).expect("a file");
    match format {
        "arrow" => {
            let mut writer = FileWriter::try_new(file, &schema).expect("a writer");
            batches.iter().for_each(|batch| writer.write(batch).expect("room"));
            writer.finish().expect("room");
        }
        "arrows" => {
            let mut writer = StreamWriter::try_new(file, &schema).expect("a writer");
            batches.iter().for_each(|batch| writer.write(batch).expect("room"));
            writer.finish().expect("room");
        }
        _ => {
            let mut writer = ArrowWriter::try_new(file, schema, None).expect("a writer");
            batches.iter().for_each(|batch| writer.write(batch).expect("room"));
            writer.close().expect("room");
        }
    }
}

fn counts(place: &Place, feature: &str) -> Value {
    let status = place.run(&format!("status {feature} --format json")).json();
    let state = &status["features"][feature];
    json!([state["state"], state["counts"]["new"], state["counts"]["unchanged"]])
}

fn round_trip(url: &str) {
    let place = Place::new(url);
    let first = json!({
        "video_id": "ä \"quoted\" |", "path": null, "duration": 1e300, "audio": "a", "frames": "f",
    });
    let samples: Vec<Value> =
        [first].into_iter().chain((1..5).map(|n| video(&n.to_string(), 10.0, "f1"))).collect();
    place.lines("videos.jsonl", &samples);
    place.run("sync demo/video videos.jsonl").ok();
    assert_eq!(counts(&place, "demo/crop"), json!(["to_do", 5, 0]));

    // One record less is left with each format.
    for (done, format) in ["arrow", "arrows", "parquet"].iter().enumerate() {
        let (from, to) = (format!("crops.{format}"), format!("done.{format}"));
        place.run(&format!("resolve demo/crop --order-by video_id --limit 1 -o {from}")).ok();
        add_faces(&place.path(&from), &place.path(&to));
        place.run(&format!("write demo/crop {to}")).ok();
        assert_eq!(counts(&place, "demo/crop"), json!(["to_do", 4 - done, done + 1]), "{format}");
    }
    // The rest goes through pipes.
    let rows = place.run("resolve demo/crop --to-compute --rows jsonl").rows();
    let computed = rows.into_iter().map(|mut row| {
        row["num_faces"] = json!(3);
        format!("{row}\n")
    });
    place.pipe("write demo/crop -", &computed.collect::<String>()).ok();
    assert_eq!(counts(&place, "demo/crop"), json!(["up_to_date", 0, 5]));
    let crops = place.run("read demo/crop --columns video_id,num_faces --rows jsonl").rows();
    assert!(crops.contains(&json!({ "video_id": "ä \"quoted\" |", "num_faces": 3 })), "{crops:?}");

    // What was read can be written elsewhere, times and all.
    for format in ["jsonl", "parquet"] {
        place.run(&format!("read demo/video -o videos-read.{format}")).ok();
        let again =
            place.run(&format!("write demo/video videos-read.{format} --format json")).json();
        assert_eq!(again["rows"], 5, "{format}");
    }
    assert_eq!(counts(&place, "demo/crop"), json!(["up_to_date", 0, 5]));

    // Children, and the word that these are all.
    place.run("resolve demo/scene -o parents.jsonl").ok();
    let rows: Vec<Value> = place.read("parents.jsonl").iter().flat_map(scenes).collect();
    place.lines("scenes.jsonl", &rows);
    let written = place.run("write demo/scene scenes.jsonl --commit-every 2 --format json").json();
    assert_eq!((&written["rows"], &written["parents"]), (&json!(10), &json!(5)));
    assert_eq!(counts(&place, "demo/scene"), json!(["up_to_date", 0, 5]));

    let sql = place.run("sql demo/summary").ok();
    assert!(sql.contains("demo__scene") && sql.ends_with(";\n"), "{sql}");
}

#[test]
fn in_duckdb() {
    round_trip("duckdb:meta.duckdb");
}

#[tokio::test]
async fn in_postgres() {
    let database = Database::postgres().await;
    let url = database.url();
    tokio::task::spawn_blocking(move || round_trip(&url)).await.expect("a round trip");
}

#[tokio::test]
async fn in_clickhouse() {
    let database = Database::clickhouse().await;
    let url = database.url();
    tokio::task::spawn_blocking(move || round_trip(&url)).await.expect("a round trip");
}

/// A table that is there already, as the samples of a root.
#[test]
fn a_table_is_imported() {
    let place = Place::duckdb();
    let database = duckdb::Connection::open(place.path("meta.duckdb")).expect("a database");
    let table = "CREATE TABLE raw AS SELECT * FROM (VALUES ('a', '/a', 3.0::DOUBLE, 'x1'), \
                 ('b', NULL, 4.0::DOUBLE, 'x2')) AS v(vid, path, duration, checksum)";
    database.execute_batch(table).expect("a table");
    drop(database);
    let import = "import demo/video --table raw --rename vid=video_id --version-of frames=checksum \
                  --constant audio --format json";
    assert_eq!(place.run(&format!("{import} --dry-run")).json()["rows"], 0);
    assert_eq!(place.run(import).json()["rows"], 2);
    assert_eq!(place.run(import).json()["rows"], 0);
    assert_eq!(counts(&place, "demo/crop"), json!(["to_do", 2, 0]));
}

/// Features of a spec file declare no columns: these are what the rows have.
#[test]
fn features_of_a_spec_file() {
    let place = Place::duckdb();
    let spec = json!({ "project": "p", "features": [
        { "key": "doc", "id_columns": ["id"], "fields": ["text"] },
        { "key": "words", "id_columns": ["id"], "deps": ["doc"], "fields": ["words"] },
    ]});
    place.write("features.json", &spec.to_string());
    place.lines(
        "docs.jsonl",
        &[
            json!({ "id": 1, "lang": null, "text": "t1" }),
            json!({ "id": 2, "lang": "de", "text": "t1" }),
        ],
    );
    place.run("sync doc docs.jsonl --spec features.json").ok();
    let rows = place.run("resolve words --rows jsonl --spec features.json").rows();
    assert_eq!(rows.len(), 2);
    let computed: Vec<Value> = rows
        .into_iter()
        .map(|mut row| {
            row["n"] = json!(7);
            row
        })
        .collect();
    place.lines("words.jsonl", &computed);
    place.run("write words words.jsonl --without lang --spec features.json").ok();
    let columns = "read words --columns id,n --rows jsonl --spec features.json";
    assert_eq!(place.run(columns).rows(), [json!({ "id": 1, "n": 7 }), json!({ "id": 2, "n": 7 })]);
}
