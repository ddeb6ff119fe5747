//! The hazards of the Python implementation that ours does not have, each a test by its name.
//!
//! The numbers are those of the table in the design; where a scenario of the golden file shows the
//! hazard, `golden_records.rs` asserts our answer to it as well.

use metaxy::{FeatureGraph, Store};
use metaxy_tests::batch::{batch, collect, only, sorted};
use metaxy_tests::flow::{
    compute, counts, delete, graph, increment, key, memory, read, time_of_deletion, write,
};
use metaxy_tests::place::Place;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

/// A root `a` of the fields `x` and `y`.
fn root() -> Value {
    json!({ "key": "a", "id_columns": ["id"], "fields": ["x", "y"] })
}

/// A feature with these fields on one upstream.
fn on(key: &str, upstream: &str, fields: &Value) -> Value {
    json!({ "key": key, "id_columns": ["id"], "fields": fields, "deps": [{"feature": upstream}] })
}

/// Rows of `a`: ids and the versions of both fields.
fn records(rows: &[(&str, &str, &str)]) -> Vec<Value> {
    let rows = rows
        .iter()
        .map(|(id, x, y)| json!({ "id": id, "metaxy_provenance_by_field": { "x": x, "y": y } }));
    rows.collect()
}

async fn sync(store: &Store, rows: &[Value]) {
    store.sync_of(&key("a"), batch(rows)).await.expect("a sync");
}

/// The stale fields of each record, with the reasons.
async fn stale_fields(store: &Store, feature: &str) -> Vec<Value> {
    only(&increment(store, feature).await, &["id", "metaxy_status", "metaxy_stale_fields"])
}

#[tokio::test]
async fn h03_null_ids_are_refused() {
    let features = [json!({ "key": "a", "id_columns": ["id", "part"], "fields": ["x"] })];
    let store = memory(&graph(&features)).await;
    let row = |id: Value, part: Value| json!({ "id": id, "part": part, "metaxy_provenance_by_field": {"x": "1"} });
    let rows = [
        row(json!("1"), json!(1)),
        row(json!("2"), Value::Null),
        row(json!("3"), json!(1)),
        row(json!("4"), Value::Null),
    ];
    let expected = "cannot write `a`: 2 rows have NULL in the id column `part`, the first of them row \
                    1; a record needs a value there";
    let error = write(&store, "a", &rows).await.expect_err("a refusal");
    assert_eq!(error.to_string(), expected);
    let error = store.sync_of(&key("a"), batch(&rows)).await.expect_err("a refusal");
    assert_eq!(error.to_string(), expected);
    assert_eq!(read(&store, "a").await, Vec::<Value>::new(), "nothing of it is in the store");

    let good = [row(json!("1"), json!(1))];
    assert_eq!(write(&store, "a", &good).await.expect("good rows"), 1);
}

/// In Python's tables such rows can stand already: they are nobody's record.
#[tokio::test]
async fn h03_null_ids_of_other_programs_do_not_come_back_for_ever() {
    let features = [root(), on("b", "a", &json!(["x"]))];
    let place = Place::new();
    let store = place.open(&graph(&features)).await.expect("a store");
    sync(&store, &records(&[("1", "1", "1")])).await;
    drop(store);
    place.execute(
        "ALTER TABLE a ALTER id DROP NOT NULL;
         INSERT INTO a BY NAME SELECT * REPLACE (NULL AS id) FROM a;
         INSERT INTO a BY NAME SELECT * REPLACE (NULL AS id) FROM a WHERE id IS NOT NULL",
    );
    let store = place.open(&graph(&features)).await.expect("a store");
    assert_eq!(compute(&store, "b").await.new, 1);
    let left = counts(&store, "b").await;
    assert!(left.is_up_to_date(), "{left}");
}

#[tokio::test]
async fn h05_a_bump_elsewhere_orphans_nothing() {
    let d = |b: &str, a: &str| {
        on("d", "a", &json!([{"key": "a", "code_version": a}, {"key": "b", "code_version": b}]))
    };
    let e = json!({ "key": "e", "id_columns": ["id"], "deps": [{"feature": "d"}],
        "fields": [{"key": "of_a", "deps": [{"feature": "d", "fields": ["a"]}]}] });
    let store = memory(&graph(&[root(), d("1", "1"), e.clone()])).await;
    sync(&store, &records(&[("1", "1", "1"), ("2", "2", "2")])).await;
    compute(&store, "d").await;
    compute(&store, "e").await;

    let bumped = store.with_graph(graph(&[root(), d("2", "1"), e.clone()]));
    let of_e = counts(&bumped, "e").await;
    assert_eq!((of_e.unchanged, of_e.orphaned, of_e.blocked), (2, 0, 0), "{of_e}");
    assert_eq!(counts(&bumped, "d").await.stale, 2);
    compute(&bumped, "d").await;
    assert!(counts(&bumped, "e").await.is_up_to_date());

    // What it does read blocks it until it is computed again.
    let bumped = store.with_graph(graph(&[root(), d("2", "2"), e]));
    let of_e = increment(&bumped, "e").await;
    let expected =
        |id| json!({ "id": id, "metaxy_status": "blocked", "metaxy_cause": "d is stale" });
    let columns = ["id", "metaxy_status", "metaxy_cause"];
    assert_eq!(only(&of_e, &columns), [expected("1"), expected("2")]);
}

#[tokio::test]
async fn h06_a_bump_is_stale_with_its_reason() {
    let b = |z: &str| on("b", "a", &json!(["x", {"key": "z", "code_version": z}]));
    let store = memory(&graph(&[root(), b("1")])).await;
    sync(&store, &records(&[("1", "1", "1"), ("2", "2", "2")])).await;
    compute(&store, "b").await;

    let store = store.with_graph(graph(&[root(), b("2")]));
    let expected = |id, reasons: Value| json!({ "id": id, "metaxy_status": "stale", "metaxy_stale_fields": reasons });
    assert_eq!(
        stale_fields(&store, "b").await,
        [expected("1", json!({"z": "code"})), expected("2", json!({"z": "code"}))]
    );
    // A value that has changed as well is told apart from the bump.
    sync(&store, &records(&[("1", "1", "1"), ("2", "new", "2")])).await;
    assert_eq!(
        stale_fields(&store, "b").await,
        [
            expected("1", json!({"z": "code"})),
            expected("2", json!({"x": "upstream", "z": "code,upstream"})),
        ]
    );
    compute(&store, "b").await;
    assert!(counts(&store, "b").await.is_up_to_date());
}

/// Two fields, of which `a` has a data version of its own, and a reader of `a`.
async fn with_reader() -> (Store, impl Fn(Value) -> FeatureGraph) {
    let definitions = |fields: Value| {
        let e = json!({ "key": "e", "id_columns": ["id"], "deps": [{"feature": "d"}],
            "fields": [{"key": "of_a", "deps": [{"feature": "d", "fields": ["a"]}]}] });
        graph(&[root(), on("d", "a", &fields), e])
    };
    let store = memory(&definitions(json!(["a", "b"]))).await;
    sync(&store, &records(&[("1", "1", "1")])).await;
    let mut rows = increment(&store, "d").await;
    rows[0]["metaxy_data_version_by_field"] = json!({"a": "of the content"});
    let rows = only(&rows, &["id", "metaxy_provenance_by_field", "metaxy_data_version_by_field"]);
    write(&store, "d", &rows).await.expect("good rows");
    compute(&store, "e").await;
    (store, definitions)
}

#[tokio::test]
async fn h07_an_added_field_is_stale_alone() {
    let (store, definitions) = with_reader().await;
    let before = read(&store, "d").await[0]["metaxy_data_version_by_field"].clone();
    let store = store.with_graph(definitions(json!(["a", "b", "c"])));
    assert_eq!(
        stale_fields(&store, "d").await,
        [json!({ "id": "1", "metaxy_status": "stale", "metaxy_stale_fields": {"c": "added"} })]
    );
    assert!(counts(&store, "e").await.is_up_to_date(), "it does not read the new field");
    assert_eq!(read(&store, "d").await, Vec::<Value>::new(), "nothing outdated is read");

    compute(&store, "d").await;
    assert!(counts(&store, "d").await.is_up_to_date());
    assert!(counts(&store, "e").await.is_up_to_date());
    let after = read(&store, "d").await[0]["metaxy_data_version_by_field"].clone();
    assert_eq!(after["a"], "of the content", "what is not stale keeps its data version");
    assert_eq!(after["b"], before["b"]);
}

#[tokio::test]
async fn h07_a_removed_field_makes_nothing_stale() {
    let (store, definitions) = with_reader().await;
    let store = store.with_graph(definitions(json!(["a"])));
    let of_d = counts(&store, "d").await;
    assert!(of_d.is_up_to_date(), "{of_d}");
    assert_eq!((of_d.unchanged, of_d.unchanged_older), (1, 1));
    assert!(counts(&store, "e").await.is_up_to_date());
    assert_eq!(read(&store, "d").await.len(), 1, "it is still read");
}

#[tokio::test]
async fn h07_an_added_field_of_a_root_is_stale_alone() {
    let narrow = json!({ "key": "a", "id_columns": ["id"], "fields": ["x"] });
    let b = json!({ "key": "b", "id_columns": ["id"], "deps": [{"feature": "a"}],
        "fields": [{"key": "of_x", "deps": [{"feature": "a", "fields": ["x"]}]}] });
    let store = memory(&graph(&[narrow, b.clone()])).await;
    let row = json!({ "id": "1", "metaxy_provenance_by_field": {"x": "1"} });
    sync(&store, &[row]).await;
    compute(&store, "b").await;

    let store = store.with_graph(graph(&[root(), b]));
    let samples = batch(&records(&[("1", "1", "1")]));
    let report = store.sync_of(&key("a"), samples).await.expect("a sync");
    assert_eq!((report.counts.stale, report.written.rows), (1, 1));
    assert!(counts(&store, "b").await.is_up_to_date());
}

#[tokio::test]
async fn h10_system_columns_of_upstreams_stay_there() {
    let roots = ["p", "q", "r"]
        .map(|key| json!({ "key": key, "id_columns": ["id"], "fields": [format!("of_{key}")] }));
    let deps: Vec<Value> = ["p", "q", "r"].map(|key| json!({"feature": key})).into();
    let d = json!({ "key": "d", "id_columns": ["id"], "fields": ["z"], "deps": deps });
    let mut features = roots.to_vec();
    features.push(d);
    let place = Place::new();
    let store = place.open(&graph(&features)).await.expect("a store");
    for root in ["p", "q", "r"] {
        let row = |id: &str, version: &str| {
            let field = format!("of_{root}");
            json!({ "id": id, root: "kept", "metaxy_provenance_by_field": {field: version} })
        };
        write(&store, root, &[row("1", "1"), row("2", "2")]).await.expect("good rows");
        // A tombstone and a row after it, so that there is something to leak.
        delete(&store, root, &[json!({"id": "1"}), json!({"id": "2"})]).await;
        write(&store, root, &[row("1", "3")]).await.expect("good rows");
    }
    let rows = increment(&store, "d").await;
    assert_eq!(rows.len(), 1);
    let columns: Vec<&String> = rows[0].as_object().expect("an object").keys().collect();
    let (ours, users): (Vec<&String>, Vec<&String>) =
        columns.into_iter().partition(|name| name.starts_with("metaxy_"));
    assert_eq!(users, ["id", "p", "q", "r"]);
    assert_eq!(
        ours,
        [
            "metaxy_status",
            "metaxy_provenance_by_field",
            "metaxy_provenance",
            "metaxy_data_version_by_field",
            "metaxy_data_version",
            "metaxy_stale_fields",
            "metaxy_stored_provenance_by_field",
            "metaxy_stored_feature_version",
            "metaxy_cause",
        ]
    );
    compute(&store, "d").await;
    assert!(counts(&store, "d").await.is_up_to_date());
    drop(store);
    let columns = place.query(
        "SELECT column_name AS c FROM duckdb_columns() WHERE table_name = 'd' ORDER BY column_index",
    );
    let columns: Vec<&str> = columns.iter().filter_map(|row| row["c"].as_str()).collect();
    assert_eq!(columns[..4], ["id", "p", "q", "r"]);
    assert_eq!(columns[4..], metaxy_sql::system::COLUMNS);
}

#[tokio::test]
async fn h11_parents_with_similar_names_are_told_apart() {
    let features = [
        json!({ "key": "a", "id_columns": ["id"], "fields": ["b_c"] }),
        json!({ "key": "a_b", "id_columns": ["id"], "fields": ["c"] }),
        json!({ "key": "d", "id_columns": ["id"], "fields": ["w"],
                "deps": [{"feature": "a"}, {"feature": "a_b"}] }),
    ];
    let store = memory(&graph(&features)).await;
    let of_a = |version: &str| json!({ "id": "1", "metaxy_provenance_by_field": {"b_c": version} });
    let of_ab = |version: &str| json!({ "id": "1", "metaxy_provenance_by_field": {"c": version} });
    write(&store, "a", &[of_a("1")]).await.expect("good rows");
    write(&store, "a_b", &[of_ab("1")]).await.expect("good rows");
    compute(&store, "d").await;
    // Each of the two is seen, also when they change places.
    write(&store, "a", &[of_a("2")]).await.expect("good rows");
    assert_eq!(compute(&store, "d").await.stale, 1);
    write(&store, "a_b", &[of_ab("2")]).await.expect("good rows");
    assert_eq!(compute(&store, "d").await.stale, 1);
    write(&store, "a", &[of_a("1")]).await.expect("good rows");
    let first = increment(&store, "d").await;
    write(&store, "a", &[of_a("2")]).await.expect("good rows");
    write(&store, "a_b", &[of_ab("1")]).await.expect("good rows");
    let second = increment(&store, "d").await;
    let provenance = "metaxy_provenance";
    assert_ne!(first[0][provenance], second[0][provenance]);
}

#[tokio::test]
async fn h12_columns_are_found_by_name() {
    let store = memory(&graph(&[root()])).await;
    let versions = json!({ "x": "1", "y": "1" });
    let first =
        json!({ "id": "1", "p": "of p", "q": "of q", "metaxy_provenance_by_field": versions });
    write(&store, "a", &[first]).await.expect("good rows");
    let other_order =
        json!({ "q": "of q", "metaxy_provenance_by_field": versions, "p": "of p", "id": "2" });
    write(&store, "a", &[other_order]).await.expect("good rows");
    for row in read(&store, "a").await {
        assert_eq!((&row["p"], &row["q"]), (&json!("of p"), &json!("of q")));
    }
}

/// With a definition that knows its columns a write has to have them, and no others.
#[tokio::test]
async fn h12_unknown_and_missing_columns_are_listed() {
    use metaxy::prelude::*;

    #[derive(Feature)]
    #[metaxy(key = "h12/clip")]
    struct Clip {
        #[metaxy(id)]
        id: String,
        path: String,
        duration: f64,
        #[metaxy(field)]
        x: DataVersion,
    }

    let store = memory(&FeatureGraph::of::<Clip>().expect("a graph")).await;
    let row = json!({ "id": "1", "pth": "p", "length": 1.0, "x": "1" });
    let error = write(&store, "h12/clip", &[row]).await.expect_err("a refusal");
    assert_eq!(
        error.to_string(),
        "cannot write `h12/clip`: unknown columns `pth`, `length` and missing columns `path`, \
         `duration`; the feature has `id`, `path`, `duration`"
    );
    let by_position = json!({ "a": "1", "b": "p", "c": 1.0, "d": "1" });
    let error = store.sync_of(&key("h12/clip"), batch(&[by_position])).await;
    assert_eq!(
        error.expect_err("a refusal").to_string(),
        "cannot write `h12/clip`: unknown columns `a`, `b`, `c`, `d` and missing columns `id`, \
         `path`, `duration`; the feature has `id`, `path`, `duration`"
    );
    assert_eq!(read(&store, "h12/clip").await, Vec::<Value>::new());
    let clip = Clip {
        id: "1".to_owned(),
        path: "p".to_owned(),
        duration: 1.0,
        x: DataVersion::constant(),
    };
    store.sync(vec![clip]).await.expect("a sync");
}

#[tokio::test]
async fn h13_a_soft_delete_revives_no_older_row() {
    let features = [root(), on("b", "a", &json!(["x"]))];
    let store = memory(&graph(&features)).await;
    write(&store, "a", &records(&[("1", "1", "1"), ("2", "1", "1")])).await.expect("good rows");
    write(&store, "a", &records(&[("1", "2", "2")])).await.expect("good rows");
    compute(&store, "b").await;
    let before = read(&store, "a").await;
    let of_1 = |rows: &[Value]| rows.iter().find(|row| row["id"] == "1").cloned();

    assert_eq!(delete(&store, "a", &[json!({"id": "1"})]).await, 1);
    let ids = only(&read(&store, "a").await, &["id"]);
    assert_eq!(ids, [json!({"id": "2"})], "the older row does not come back");
    let rows = increment(&store, "b").await;
    let columns = ["id", "metaxy_status", "metaxy_cause"];
    let gone = json!({ "id": "1", "metaxy_status": "orphaned", "metaxy_cause": "gone" });
    assert_eq!(only(&rows, &columns), [gone]);

    // The tombstone is a row of its own, with a time of its own.
    let all = store.read_of(&key("a")).tombstones(true).batches().await.expect("a read");
    let tombstone = of_1(&collect(all).await).expect("a tombstone");
    let live = of_1(&before).expect("the row before");
    let time = |row: &Value, name: &str| row[name].as_i64();
    assert_eq!(tombstone["metaxy_updated_at"], live["metaxy_updated_at"]);
    assert!(time(&tombstone, "metaxy_deleted_at") > time(&live, "metaxy_updated_at"));
    assert_eq!(tombstone["metaxy_provenance_by_field"], live["metaxy_provenance_by_field"]);
    assert_ne!(tombstone["metaxy_write_token"], live["metaxy_write_token"]);

    // Deleting again, or what never was, changes nothing.
    assert_eq!(delete(&store, "a", &[json!({"id": "1"}), json!({"id": "9"})]).await, 0);

    // A record that is written again is there again, and is the same one downstream.
    write(&store, "a", &records(&[("1", "2", "2")])).await.expect("good rows");
    assert_eq!(read(&store, "a").await.len(), 2);
    assert!(counts(&store, "b").await.is_up_to_date());
}

#[tokio::test]
async fn h13_history_keeps_every_row() {
    let store = memory(&graph(&[root()])).await;
    write(&store, "a", &records(&[("1", "1", "1")])).await.expect("good rows");
    write(&store, "a", &records(&[("1", "2", "2")])).await.expect("good rows");
    delete(&store, "a", &[json!({"id": "1"})]).await;
    write(&store, "a", &records(&[("1", "3", "3")])).await.expect("good rows");
    let read = store.read_of(&key("a")).history(true).tombstones(true);
    let mut rows = collect(read.batches().await.expect("a read")).await;
    let time = |row: &Value| {
        row["metaxy_deleted_at"].as_i64().or(row["metaxy_updated_at"].as_i64()).expect("a time")
    };
    rows.sort_by_key(time);
    let story: Vec<_> = rows
        .iter()
        .map(|row| (&row["metaxy_provenance_by_field"]["x"], row["metaxy_deleted_at"].is_null()))
        .collect();
    assert_eq!(
        story,
        [(&json!("1"), true), (&json!("2"), true), (&json!("2"), false), (&json!("3"), true)]
    );
    let times: Vec<i64> = rows.iter().map(time).collect();
    assert!(times.is_sorted_by(|a, b| a < b), "{times:?}");
}

#[tokio::test]
async fn h15_a_row_from_the_future_is_followed() {
    let place = Place::new();
    let features = graph(&[root()]);
    let store = place.open(&features).await.expect("a store");
    write(&store, "a", &records(&[("1", "1", "1"), ("2", "1", "1")])).await.expect("good rows");
    drop(store);
    place.execute("UPDATE a SET metaxy_updated_at = TIMESTAMPTZ '2100-01-01 00:00:00+00'");
    let future = 4_102_444_800_000_000;

    // The clock stands still, as far as the table can tell: every write is later all the same.
    let store = place.open(&features).await.expect("a store");
    for n in 1..=3 {
        let rows = records(&[("1", &format!("{n} later"), "1")]);
        let mut out = store.batch_writer(&key("a"));
        out.push(&batch(&rows)).await.expect("good rows");
        assert_eq!(out.commit().await.expect("a commit").time, Some(future + n));
        let now = read(&store, "a").await;
        let row = now.iter().find(|row| row["id"] == "1").expect("a record");
        assert_eq!(row["metaxy_provenance_by_field"]["x"], format!("{n} later"));
    }
    assert_eq!(delete(&store, "a", &[json!({"id": "1"})]).await, 1);
    assert_eq!(time_of_deletion(&store, "a").await, future + 4);
    // A write after a tombstone counts from the tombstone.
    let report = store.sync_of(&key("a"), batch(&records(&[("1", "back", "1"), ("2", "1", "1")])));
    assert_eq!(report.await.expect("a sync").written.time, Some(future + 5));
    assert_eq!(read(&store, "a").await.len(), 2);
}

#[tokio::test]
async fn h15_times_of_writes_increase_strictly() {
    let store = memory(&graph(&[root()])).await;
    let mut times = Vec::new();
    for n in 0..20 {
        let mut out = store.batch_writer(&key("a"));
        out.push(&batch(&records(&[("1", &n.to_string(), "1")]))).await.expect("good rows");
        times.extend(out.commit().await.expect("a commit").time);
    }
    assert_eq!(times.len(), 20);
    assert!(times.is_sorted_by(|a, b| a < b), "{times:?}");
}

/// The texts of the statements that stores have run.
#[derive(Clone, Default)]
struct Statements(Arc<Mutex<Vec<String>>>);

impl tracing::Subscriber for Statements {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target().starts_with("metaxy")
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        struct Sql(String);
        impl tracing::field::Visit for Sql {
            fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                if field.name() == "sql" {
                    write!(self.0, "{value:?}").expect("writing to a string");
                }
            }

            fn record_str(&mut self, field: &tracing::field::Field, value: &str) {
                if field.name() == "sql" {
                    self.0.push_str(value);
                }
            }
        }
        let mut sql = Sql(String::new());
        event.record(&mut sql);
        if !sql.0.is_empty() {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(sql.0);
        }
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

#[tokio::test]
async fn h17_a_root_is_compared_in_the_store() {
    let statements = Statements::default();
    tracing::subscriber::set_global_default(statements.clone()).expect("the only subscriber");

    let features = graph(&[json!({ "key": "h17/root", "id_columns": ["id"], "fields": ["x"] })]);
    let place = Place::new();
    let store = place.open(&features).await.expect("a store");
    let samples = |changed: i64, n: i64| {
        let rows = (0..n).map(|id| {
            let version = if id < changed { "new" } else { "old" };
            json!({ "id": id, "metaxy_provenance_by_field": {"x": version} })
        });
        batch(&rows.collect::<Vec<_>>())
    };
    let report = store.sync_of(&key("h17/root"), samples(0, 5_000)).await.expect("a sync");
    assert_eq!((report.counts.new, report.written.rows), (5_000, 5_000));

    let seen_before = statements.0.lock().expect("statements").len();
    let report = store.sync_of(&key("h17/root"), samples(3, 5_001)).await.expect("a sync");
    let counts = report.counts;
    assert_eq!((counts.new, counts.stale, counts.unchanged), (1, 3, 4_997));
    assert_eq!((report.written.rows, report.written.deleted), (4, 0), "only what differs");

    // No statement that looks at the table answers with its rows: it goes into another table, or
    // into one number.
    let seen = statements.0.lock().expect("statements")[seen_before..].to_vec();
    let about: Vec<&String> = seen.iter().filter(|sql| sql.contains("\"h17__root\"")).collect();
    assert!(about.len() >= 3, "{seen:#?}");
    for sql in about {
        let answers_with_rows = sql.starts_with("SELECT") || sql.starts_with("WITH");
        let is_one_number = sql.starts_with("SELECT\n    max(") && !sql.contains("GROUP BY");
        assert!(!answers_with_rows || is_one_number, "{sql}");
    }

    let again = store.sync_of(&key("h17/root"), samples(3, 5_001)).await.expect("a sync");
    assert_eq!((again.counts.unchanged, again.written.rows), (5_001, 0));
    drop(store);
    let rows = place.query("SELECT count(*) AS n FROM h17__root");
    assert_eq!(sorted(rows), [json!({ "n": 5_004 })]);
}
