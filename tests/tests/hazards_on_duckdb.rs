//! Hazards of the Python implementation that ours does not have, where only DuckDB is asked: what stands in
//! its tables, and which statements it runs. All others are in `metaxy::conformance`.

use metaxy_tests::batch::{batch, sorted};
use metaxy_tests::flow::{graph, key};
use metaxy_tests::place::Place;
use serde_json::json;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

#[tokio::test]
async fn h13_what_was_removed_is_not_kept_in_clear() {
    let place = Place::new();
    let store = place
        .open(&graph(&[json!({ "key": "a", "id_columns": ["id"], "fields": ["x"] })]))
        .await
        .expect("a store");
    let row = json!({ "id": "1", "metaxy_provenance_by_field": {"x": "1"} });
    store.sync_of(&key("a"), batch(&[row])).await.expect("a sync");
    let hard = store.delete_of(&key("a"), &[batch(&[json!({"id": "1"})])]).hard(true).await;
    assert_eq!(hard.expect("a deletion").records(), 1);
    drop(store);
    let noted = place.query("SELECT feature_key, ids_md5 FROM metaxy_system__removed");
    // The MD5 of `1:1,`.
    let hash = place.query("SELECT md5('1:1,') AS hash");
    assert_eq!(noted, [json!({ "feature_key": "a", "ids_md5": hash[0]["hash"] })]);
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

    // No statement that looks at the table answers with its rows: it goes into another table, into one
    // number, or says whether there is any row.
    let seen = statements.0.lock().expect("statements")[seen_before..].to_vec();
    let looks_at_it =
        |sql: &&String| sql.contains("\"h17__root\"") && !sql.contains("pragma_table_info(");
    let about: Vec<&String> = seen.iter().filter(looks_at_it).collect();
    assert!(about.len() >= 3, "{seen:#?}");
    for sql in about {
        let answers_with_rows = sql.starts_with("SELECT") || sql.starts_with("WITH");
        let is_one_number = sql.starts_with("SELECT\n    max(") && !sql.contains("GROUP BY");
        let is_any_row = sql.starts_with("SELECT\n    1 AS") && sql.ends_with("LIMIT 1");
        assert!(!answers_with_rows || is_one_number || is_any_row, "{sql}");
    }

    let again = store.sync_of(&key("h17/root"), samples(3, 5_001)).await.expect("a sync");
    assert_eq!((again.counts.unchanged, again.written.rows), (5_001, 0));
    drop(store);
    let rows = place.query("SELECT count(*) AS n FROM h17__root");
    assert_eq!(sorted(rows), [json!({ "n": 5_004 })]);
}
