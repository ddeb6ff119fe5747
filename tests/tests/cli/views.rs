//! SQL for people without Rust: it says what `read` and `resolve` say.

use crate::life::{scenes, video};
use crate::place::Place;
use metaxy_tests::databases::Database;
use serde_json::{Value, json};

const FEATURES: [&str; 4] = ["demo/video", "demo/crop", "demo/scene", "demo/summary"];

/// A store in which something of everything is to be done. It hashes with what the database has itself.
fn place(url: &str) -> Place {
    let place = Place::new(url);
    place.configure(&format!(
        "store = \"dev\"\n[stores.dev]\nurl = {url:?}\ncreate_tables = true\nhash_algorithm = \"md5\"\n"
    ));
    let videos: Vec<Value> = ["a", "b", "c", "d"].map(|id| video(id, 10.0, "f1")).into();
    place.lines("videos.jsonl", &videos);
    place.run("sync demo/video videos.jsonl").ok();
    let add = |feature: &str, limit: usize, compute: &dyn Fn(&Value) -> Vec<Value>| {
        let resolve = format!("resolve {feature} --order-by video_id --limit {limit} --rows jsonl");
        let rows: Vec<Value> = place.run(&resolve).rows().iter().flat_map(compute).collect();
        place.lines("computed.jsonl", &rows);
        place.run(&format!("write {feature} computed.jsonl")).ok();
    };
    add("demo/crop", 3, &|row| {
        let mut row = row.clone();
        row["num_faces"] = json!(1);
        vec![row]
    });
    add("demo/scene", 3, &scenes);
    add("demo/summary", 2, &|row| {
        let mut row = row.clone();
        row["text"] = json!("two scenes");
        vec![row]
    });
    // One is stale, one an orphan, one comes from a scene that is gone.
    place.lines(
        "again.jsonl",
        &[video("a", 10.0, "f2"), video("c", 0.5, "f1"), video("d", 10.0, "f1")],
    );
    place.run("sync demo/video again.jsonl --delete-orphans").ok();
    place
}

/// The text of a value as a database writes it.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    }
}

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}

/// What the program says of the records of a feature, and of what is to do.
fn expected(place: &Place, feature: &str) -> (Vec<String>, Vec<String>) {
    let of = |rows: Vec<Value>, columns: &[&str]| {
        let line =
            |row: &Value| columns.iter().map(|c| text(&row[*c])).collect::<Vec<_>>().join(" ");
        sorted(rows.iter().map(line).collect())
    };
    let records = place.run(&format!("read {feature} --rows jsonl")).rows();
    let records = of(records, &["video_id", "metaxy_data_version"]);
    if feature == "demo/video" {
        return (records, Vec::new());
    }
    let mut to_do = place.run(&format!("resolve {feature} --rows jsonl")).rows();
    for row in &mut to_do {
        let fields = row["metaxy_stale_fields"].as_object().cloned().unwrap_or_default();
        let reasons: Vec<String> =
            fields.iter().map(|(field, why)| format!("{field}={}", text(why))).collect();
        row["reasons"] = json!(reasons.join(";"));
        if row["metaxy_status"] == "blocked" {
            row["metaxy_cause"] = Value::Null;
        }
    }
    let columns = ["video_id", "metaxy_status", "metaxy_provenance", "metaxy_cause", "reasons"];
    (records, of(to_do, &columns))
}

/// The field of each feature with upstreams.
fn field(feature: &str) -> &'static str {
    match feature {
        "demo/crop" => "face",
        "demo/scene" => "frames",
        _ => "summary",
    }
}

/// Queries of the views, as one text for each row; with what a text of a map is called, and what
/// makes a text that is never NULL.
fn queries(feature: &str, map_get: &str, text: &str) -> (String, String) {
    let table = feature.replace('/', "__");
    let field = field(feature);
    let reason = map_get.replace("{}", "metaxy_stale_fields").replace("[]", field);
    (
        format!("SELECT {text}(video_id || ' ' || metaxy_data_version) FROM \"{table}__current\""),
        format!(
            "SELECT {text}(video_id || ' ' || metaxy_status || ' ' || metaxy_provenance || ' ' || \
             coalesce(metaxy_cause, '-') || ' ' || coalesce('{field}=' || {reason}, '')) \
             FROM \"{table}__to_do\""
        ),
    )
}

#[test]
fn on_duckdb() {
    let place = place("duckdb:meta.duckdb");
    let said: Vec<_> = FEATURES.map(|feature| expected(&place, feature)).into();
    let views = place.run("compile --views --dialect duckdb").ok();
    let database = duckdb::Connection::open(place.path("meta.duckdb")).expect("a database");
    database.execute_batch(&views).expect("views");
    let rows = |sql: &str| {
        let mut statement = database.prepare(sql).expect("a query");
        let rows = statement.query_map([], |row| row.get::<_, String>(0)).expect("rows");
        sorted(rows.map(|row| row.expect("a text")).collect())
    };
    let mut classes = Vec::new();
    for (feature, (records, to_do)) in FEATURES.iter().zip(said) {
        let (current, doing) = queries(feature, "{}['[]']", "");
        assert_eq!(rows(&current), records, "{feature}");
        if *feature != "demo/video" {
            assert_eq!(rows(&doing), to_do, "{feature}");
        }
        classes.extend(to_do.iter().filter_map(|row| row.split(' ').nth(1).map(str::to_owned)));
    }
    classes.sort();
    classes.dedup();
    assert_eq!(classes, ["new", "orphaned", "stale"], "something of everything");
    // Views can be made again.
    database.execute_batch(&views).expect("views");
}

#[tokio::test]
async fn on_postgres() {
    let database = Database::postgres().await;
    let url = database.url();
    let work = move || {
        let place = place(&url);
        let said: Vec<_> = FEATURES.map(|feature| expected(&place, feature)).into();
        (said, place.run("compile --views --dialect postgres").ok())
    };
    let (said, views) = tokio::task::spawn_blocking(work).await.expect("what the program says");
    database.execute(&views).await;
    for (feature, (records, to_do)) in FEATURES.iter().zip(said) {
        let (current, doing) = queries(feature, "({} ->> '[]')", "");
        assert_eq!(sorted(database.texts(&current).await), records, "{feature}");
        if *feature != "demo/video" {
            assert_eq!(sorted(database.texts(&doing).await), to_do, "{feature}");
        }
    }
}

#[tokio::test]
async fn on_clickhouse() {
    let database = Database::clickhouse().await;
    let url = database.url();
    let work = move || {
        let place = place(&url);
        let said: Vec<_> = FEATURES.map(|feature| expected(&place, feature)).into();
        let views = "compile --views --dialect clickhouse --hash-algorithm md5 --format json";
        (said, place.run(views).json())
    };
    let (said, views) = tokio::task::spawn_blocking(work).await.expect("what the program says");
    for view in views["views"].as_array().expect("views") {
        database.execute(view["sql"].as_str().expect("a text")).await;
    }
    for (feature, (records, to_do)) in FEATURES.iter().zip(said) {
        let (current, doing) = queries(feature, "nullIf({}['[]'], '')", "assumeNotNull");
        assert_eq!(sorted(database.texts(&current).await), records, "{feature}");
        if *feature != "demo/video" {
            assert_eq!(sorted(database.texts(&doing).await), to_do, "{feature}");
        }
    }
}

/// Without a store nothing is connected to.
#[test]
fn the_statement_of_tables_that_are_not_there() {
    let place = Place::new("postgres://nobody@127.0.0.1:1/none");
    for dialect in ["duckdb", "postgres", "clickhouse"] {
        let sql = place.run(&format!("sql demo/crop --dialect {dialect}")).ok();
        insta::assert_snapshot!(format!("sql_{dialect}"), sql);
    }
    let limited =
        place.run("sql demo/crop --dialect duckdb --limit 7 --filter 'demo/video: path IS NULL'");
    assert!(limited.ok().contains("LIMIT 7"));
}
