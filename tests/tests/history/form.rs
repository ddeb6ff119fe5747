//! The table of pushes as another program sees it, and as another program makes it.

use super::{feature, opening, texts};
use metaxy::builder::FieldBuilder;
use metaxy::{FeatureGraph, Store};
use metaxy_tests::golden;
use serde_json::Value;

/// The features of the golden file's storage.
fn graph() -> FeatureGraph {
    let definition = |row: &Value, index: usize| {
        let spec = row["feature_spec"].as_str().expect("a spec");
        let spec = metaxy::spec::FeatureSpec::from_json_text(spec).expect("a spec");
        metaxy::spec::FeatureDefinition {
            spec,
            project: "golden".to_owned(),
            columns: None,
            schema: serde_json::json!({}),
            type_path: row["feature_class_path"].as_str().expect("a path").to_owned(),
            origin: metaxy::spec::Origin::SpecFile { index },
        }
    };
    let rows = rows();
    FeatureGraph::build(rows.iter().enumerate().map(|(i, row)| definition(row, i)).collect())
        .expect("a graph")
}

/// The rows that Python has written.
fn rows() -> Vec<Value> {
    let rows = &golden::load()["duckdb_storage"]["struct (default)"]["feature_versions_rows"];
    rows.as_array().expect("rows").clone()
}

const COLUMNS: [&str; 11] = [
    "project",
    "feature_key",
    "metaxy_feature_version",
    "metaxy_definition_version",
    "recorded_at",
    "feature_spec",
    "feature_schema",
    "feature_class_path",
    "metaxy_project_version",
    "tags",
    "deleted_at",
];

/// Python's rows of three pushes as a statement: both features, the second one with the first changed
/// and without the other, and the first again, of which every row is there twice. `time` prints a
/// number of microseconds in this year, `text` a text.
fn inserts(time: impl Fn(u32) -> String, text: impl Fn(&str) -> String) -> String {
    let mut values = Vec::new();
    let mut push = |at: u32, version: &str, rows: &[Value]| {
        for row in rows {
            let value = |column: &str| match column {
                "recorded_at" => time(at),
                "feature_schema" => text("{\"title\": \"T\"}"),
                "metaxy_project_version" => text(version),
                "deleted_at" => "NULL".to_owned(),
                _ => text(row[column].as_str().expect("a text")),
            };
            values.push(format!("({})", COLUMNS.map(value).join(", ")));
        }
    };
    let rows = rows();
    let mut changed = rows[0].clone();
    changed["metaxy_definition_version"] = "ffffffff".into();
    let spec = changed["feature_spec"].as_str().expect("a spec");
    changed["feature_spec"] = spec.replacen("__metaxy_initial__", "2", 1).into();
    push(1, "4a4122e5", &rows);
    push(2, "eeeeeeee", &[changed]);
    // Two processes at once.
    push(3, "4a4122e5", &rows);
    push(4, "4a4122e5", &rows);
    let columns = COLUMNS.join(", ");
    let values = values.join(", ");
    format!("INSERT INTO metaxy_system__feature_versions ({columns}) VALUES {values}")
}

/// What is read of Python's rows, and what is appended to them.
async fn continues_what_python_began(store: Store) {
    let history = store.history().await.expect("a history");
    let short = |entry: &metaxy::history::HistoryEntry| {
        let [added, changed, removed] =
            [&entry.added, &entry.changed, &entry.removed].map(|keys| texts(keys).join(" "));
        format!("{} {}: +{added} ~{changed} -{removed}", entry.time % 10, entry.version)
    };
    let expected =
        ["3 4a4122e5: +b ~a/root -", "2 eeeeeeee: + ~a/root -b", "1 4a4122e5: +a/root b ~ -"];
    assert_eq!(history.iter().map(short).collect::<Vec<_>>(), expected);
    assert_eq!((&*history[0].tags["git"], history[0].n_features), ("abc", 2));
    assert_eq!(history[0].tags["metaxy"], "{\"version\": \"0.1.11\"}");

    let latest = store.pushed_graph("latest").await.expect("a graph");
    let versions = latest.versions(8);
    for (key, of) in versions.features() {
        let row = rows().into_iter().find(|row| row["feature_key"] == key.as_str()).expect("a row");
        assert_eq!(row["metaxy_feature_version"], of.feature_version);
    }
    let before = store.pushed_graph("eeeeeeee").await.expect("a graph");
    assert_eq!((before.len(), latest.len()), (1, 2));

    // The schema of the rows is not that of this test, which is another definition.
    let pushed = store.push().tag("git", "def").await.expect("a push");
    assert_eq!(texts(&pushed.projects[0].changed), ["a/root", "b"]);
    assert_eq!(pushed.projects[0].before.as_deref(), Some("4a4122e5"));
    assert!(store.push().await.expect("a push").is_unchanged());
    let one = FeatureGraph::builder()
        .project("golden")
        .feature(feature("a/root", "1", &[]).field(FieldBuilder::new("y")))
        .build()
        .expect("a graph");
    let pushed = store.with_graph(one).push().await.expect("a push");
    assert_eq!(texts(&pushed.projects[0].removed), ["b"]);
}

/// What this library has appended at last, seen by another program: a row and a tombstone.
fn check_rows(found: &[Vec<Option<String>>], after: usize) {
    let golden = rows();
    let own = &found[after..after + 2];
    for (row, golden) in own.iter().zip(&golden) {
        let is = |i: usize| row[i].as_deref().expect("a text");
        for i in [0, 1, 2, 5, 7] {
            assert_eq!(is(i), golden[COLUMNS[i]].as_str().expect("a text"), "{}", COLUMNS[i]);
        }
        assert_eq!(is(6), "{}");
        let version = env!("CARGO_PKG_VERSION");
        let tags = format!(r#"{{"git": "def", "metaxy": "{{\"version\": \"{version}\"}}"}}"#);
        assert_eq!((is(9), &row[10]), (&*tags, &None));
    }
    let [removed, last] = [&found[after + 2], &found[after + 3]];
    let (removed, last) = if removed[10].is_some() { (removed, last) } else { (last, removed) };
    assert_eq!((removed[1].as_deref(), last[1].as_deref()), (Some("b"), Some("a/root")));
    assert_eq!(removed[10], removed[4], "it is removed when the push was made");
    assert_eq!(removed[4], last[4], "a push has one time");
    assert_eq!(removed[8], own[0][8], "it keeps the version of the project that had it");
    assert_eq!(removed[5], own[1][5]);
    assert!(own[0][4] < last[4] && found[after - 1][4] < own[0][4]);
}

#[cfg(feature = "duckdb")]
mod in_duckdb {
    use super::*;
    use metaxy_tests::place::Place;

    #[tokio::test]
    async fn a_table_of_python() {
        let place = Place::new();
        let ddl = &golden::load()["duckdb_storage"]["struct (default)"]["duckdb_ddl"];
        let ddl = ddl["metaxy_system__feature_versions"].as_str().expect("a statement").to_owned();
        place.execute(&ddl);
        let time = |n| format!("TIMESTAMP '2026-01-01 00:00:00.00000{n}'");
        place.execute(&inserts(time, |text| format!("'{}'", text.replace('\'', "''"))));
        continues_what_python_began(opening(&place.url(), &graph()).await.expect("a store")).await;
        check_rows(&all(&place), 7);

        // A table of ours has the same columns.
        let types = |place: &Place| -> Vec<String> {
            let rows = place.query("DESCRIBE metaxy_system__feature_versions");
            rows.iter()
                .map(|row| format!("{} {}", row["column_name"], row["column_type"]))
                .collect()
        };
        let own = Place::new();
        let store = opening(&own.url(), &graph()).await.expect("a store");
        store.push().tag("git", "def").await.expect("a push");
        drop(store);
        assert_eq!(types(&own), types(&place));
        let versions = "SELECT count(*) AS n FROM metaxy_system__field_versions";
        assert_eq!(own.query(versions)[0]["n"], 4, "definitions are recorded as by a write");
    }

    fn all(place: &Place) -> Vec<Vec<Option<String>>> {
        let texts = COLUMNS.map(|column| format!("{column}::VARCHAR AS {column}"));
        let rows = place.query(&format!(
            "SELECT {} FROM metaxy_system__feature_versions ORDER BY recorded_at, feature_key",
            texts.join(", ")
        ));
        let text = |value: &Value| value.as_str().map(str::to_owned);
        rows.iter().map(|row| COLUMNS.map(|column| text(&row[column])).into()).collect()
    }
}

#[cfg(feature = "servers")]
mod on_servers {
    use super::*;
    use metaxy_tests::databases::Database;

    async fn all(database: &Database, concat: &str) -> Vec<Vec<Option<String>>> {
        let query = format!(
            "SELECT {concat} FROM metaxy_system__feature_versions ORDER BY recorded_at, feature_key"
        );
        let rows = database.texts(&query).await;
        let text = |text: &str| (text != "<none>").then(|| text.to_owned());
        rows.iter().map(|row| row.split('\u{1}').map(text).collect()).collect()
    }

    #[tokio::test]
    async fn a_table_of_python_in_postgres() {
        let database = Database::postgres().await;
        database
            .execute(
                "CREATE TABLE metaxy_system__feature_versions (project text, feature_key text, \
                 metaxy_feature_version text, metaxy_definition_version text, recorded_at timestamp, \
                 feature_spec text, feature_schema text, feature_class_path text, \
                 metaxy_project_version text, tags text, deleted_at timestamp)",
            )
            .await;
        let time = |n| format!("TIMESTAMP '2026-01-01 00:00:00.00000{n}'");
        let insert = inserts(time, |text| format!("'{}'", text.replace('\'', "''")));
        database.execute(&insert).await;
        let store = opening(&database.url(), &graph()).await.expect("a store");
        continues_what_python_began(store).await;
        let columns = COLUMNS.map(|column| format!("coalesce({column}::text, '<none>')"));
        let concat = format!("concat_ws(E'\\x01', {})", columns.join(", "));
        check_rows(&all(&database, &concat).await, 7);
    }

    #[tokio::test]
    async fn a_table_of_python_in_clickhouse() {
        let database = Database::clickhouse().await;
        database
            .execute(
                "CREATE TABLE metaxy_system__feature_versions (project String, feature_key String, \
                 metaxy_feature_version String, metaxy_definition_version String, \
                 recorded_at DateTime64(6), feature_spec String, feature_schema String, \
                 feature_class_path String, metaxy_project_version LowCardinality(String), \
                 tags String, deleted_at Nullable(DateTime64(6))) \
                 ENGINE = MergeTree ORDER BY (project, feature_key)",
            )
            .await;
        let time = |n| format!("fromUnixTimestamp64Micro(176722560000000{n})");
        let text = |text: &str| format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"));
        database.execute(&inserts(time, text)).await;
        let store = opening(&database.url(), &graph()).await.expect("a store");
        continues_what_python_began(store).await;
        let columns = COLUMNS.map(|column| format!("ifNull(toString({column}), '<none>')"));
        let concat = format!("concat({})", columns.join(", '\\x01', "));
        check_rows(&all(&database, &concat).await, 7);
    }
}
