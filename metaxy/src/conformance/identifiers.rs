//! Names and values of every kind go through a store as they are.

use metaxy::Error;
use metaxy::conformance::texts;
use metaxy::store::WriteError;
use metaxy_tests::batch::{batch, only};
use metaxy_tests::flow::{compute, counts, delete, graph, key, memory, open, read, write};
use metaxy_tests::on_every_engine;
use proptest::prelude::*;
use serde_json::{Value, json};

/// A root and a child that brings its column along, with names and values of the generator's.
#[derive(Clone, Debug)]
struct Case {
    id_column: String,
    column: String,
    here: String,
    ids: Vec<String>,
    values: Vec<String>,
    versions: Vec<String>,
    code_version: String,
    run: String,
}

fn name() -> impl Strategy<Value = String> {
    texts::random(1..8).prop_filter("names of ours, and the address of a row", |name| {
        let lower = name.to_lowercase();
        !name.is_empty() && !lower.starts_with("metaxy_") && lower != "rowid"
    })
}

fn version() -> impl Strategy<Value = String> {
    texts::random(1..8).prop_filter("versions that are told apart", |version| {
        !version.is_empty() && !version.contains('|')
    })
}

fn case() -> impl Strategy<Value = Case> {
    let names = (name(), name(), name()).prop_filter("three columns", |(a, b, c)| {
        let [a, b, c] = [a, b, c].map(|name| name.to_lowercase());
        a != b && b != c && a != c
    });
    let ids = proptest::collection::btree_set(texts::random(0..6), 2..4);
    let values = proptest::collection::vec(texts::random(0..6), 4);
    let versions = proptest::collection::vec(version(), 4);
    (names, ids, values, versions, version(), texts::random(0..6)).prop_map(
        |((id_column, column, here), ids, values, versions, code_version, run)| Case {
            id_column,
            column,
            here,
            ids: ids.into_iter().collect(),
            values,
            versions,
            code_version,
            run,
        },
    )
}

impl Case {
    fn features(&self) -> [Value; 2] {
        let field = |key: &str| json!({ "key": key, "code_version": self.code_version });
        [
            json!({ "key": "a", "id_columns": [self.id_column], "fields": [field("x")] }),
            json!({ "key": "b", "id_columns": [self.id_column], "fields": [field("y")],
                    "deps": [{"feature": "a", "rename": {(self.column.clone()): self.here}}] }),
        ]
    }

    fn rows(&self) -> Vec<Value> {
        let rows = self.ids.iter().enumerate().map(|(i, id)| {
            json!({
                (self.id_column.clone()): id,
                (self.column.clone()): self.values[i],
                "metaxy_provenance_by_field": {"x": self.versions[i]},
            })
        });
        rows.collect()
    }

    async fn check(&self) {
        let store = memory(&graph(&self.features())).await;
        let sync = store.sync_of(&key("a"), batch(&self.rows())).materialization_id(&self.run);
        let n = self.ids.len() as u64;
        assert_eq!(sync.await.expect("a sync").written.rows, n);
        let stored = read(&store, "a").await;
        let columns = [&self.id_column, &self.column, "metaxy_provenance_by_field"].map(|c| c);
        assert_eq!(only(&stored, &columns), only(&self.rows(), &columns));
        assert!(stored.iter().all(|row| row["metaxy_materialization_id"] == json!(self.run)));

        assert_eq!(compute(&store, "b").await.new, n);
        assert!(counts(&store, "b").await.is_up_to_date());
        let brought = read(&store, "b").await.into_iter().map(|mut row| {
            // By the name that the column has upstream, it is the root's row.
            row[self.column.as_str()] = row[self.here.as_str()].take();
            row
        });
        let columns = [self.id_column.as_str(), self.column.as_str()];
        assert_eq!(only(&brought.collect::<Vec<_>>(), &columns), only(&self.rows(), &columns));

        let again = store.sync_of(&key("a"), batch(&self.rows())).await.expect("a sync");
        assert_eq!(again.counts.unchanged, n);
        let first = json!({ (self.id_column.clone()): self.ids[0] });
        assert_eq!(delete(&store, "a", &[first]).await, 1);
        assert_eq!(counts(&store, "b").await.orphaned, 1);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn names_and_values_go_through_a_store(case in case()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(case.check());
    }
}

/// The names of the parts of our own statements, and of tables that they stage, are free for features.
#[tokio::test]
async fn features_that_are_called_as_parts_of_statements() {
    for (a, b) in [
        ("current", "expected"),
        ("expected", "current"),
        ("classified", "own"),
        ("own", "classified"),
        ("in0", "in1"),
        ("trace0", "repeated"),
        ("s", "u"),
        ("metaxy_stage", "metaxy_increment"),
        ("select", "from"),
    ] {
        let features = [
            json!({ "key": a, "id_columns": ["row"], "fields": ["x"] }),
            json!({ "key": "need0_0", "id_columns": ["row"], "fields": ["class"],
                    "deps": [{"feature": a}] }),
            json!({ "key": b, "id_columns": ["row"], "fields": ["id0"],
                    "deps": [{"feature": "need0_0"}] }),
        ];
        let store = memory(&graph(&features)).await;
        let row = |id: &str, x: &str| json!({ "row": id, "version": "kept", "metaxy_provenance_by_field": {"x": x} });
        let of_a = [row("1", "1"), row("2", "1")];
        store.sync_of(&key(a), batch(&of_a)).await.expect("a sync");
        assert_eq!(compute(&store, "need0_0").await.new, 2, "{a}");
        assert_eq!(compute(&store, b).await.new, 2, "{b}");
        write(&store, a, &[row("2", "2")]).await.expect("good rows");
        assert_eq!(delete(&store, a, &[json!({ "row": "1" })]).await, 1);
        let of_middle = counts(&store, "need0_0").await;
        assert_eq!((of_middle.stale, of_middle.orphaned), (1, 1), "{a}");
        let deleted = store.delete_orphans_of(&key("need0_0")).await.expect("a deletion");
        assert_eq!(deleted.records(), 1, "{a}");
        compute(&store, "need0_0").await;
        let of_b = counts(&store, b).await;
        assert_eq!((of_b.stale, of_b.orphaned), (1, 1), "{b}");
        assert_eq!(read(&store, b).await.len(), 2, "{b}");
    }
}

on_every_engine! { nul_is_refused }

/// Not every engine has texts with a NUL character: none takes them, and all say the same.
async fn nul_is_refused(url: &str) {
    let root = |column: &str, code_version: &str| {
        let field = json!({ "key": "x", "code_version": code_version });
        graph(&[json!({ "key": "a", "id_columns": [column], "fields": [field] })])
    };
    let row = |column: &str| json!({ column: "1", "metaxy_provenance_by_field": {"x": "1"} });
    let refusal = |error: Error| {
        assert!(matches!(error, Error::Sql(_)), "{error}");
        error.to_string()
    };

    let store = open(url, &root("i\0d", "1")).await;
    let error = write(&store, "a", &[row("i\0d")]).await.expect_err("a name");
    assert_eq!(refusal(error), "`i\\0d` cannot be an identifier: it holds a NUL character");

    let of_text = "a text value cannot be stored: it holds a NUL character";
    let store = open(url, &root("id", "1\0")).await;
    let error = write(&store, "a", &[row("id")]).await.expect_err("a code version");
    assert_eq!(refusal(error), of_text);

    let store = open(url, &root("id", "1")).await;
    let sync = store.sync_of(&key("a"), batch(&[row("id")])).materialization_id("a\0b");
    assert_eq!(refusal(sync.await.expect_err("a name of a run")), of_text);

    let good = json!({ "id": "1", "note": "n", "metaxy_provenance_by_field": {"x": "1"} });
    let bad = |name: &str, value: Value| {
        let mut row = good.clone();
        row[name] = value;
        row
    };
    for (column, value) in [("id", json!("a\0")), ("note", json!("\0"))] {
        let error = write(&store, "a", &[good.clone(), bad(column, value)]).await;
        let Err(Error::Write { reason: WriteError::Nul { column: found, row: 1 }, .. }) = error
        else {
            panic!("{column}: {error:?}")
        };
        assert_eq!(found, column);
    }
    let version = bad("metaxy_provenance_by_field", json!({ "x": "1\0" }));
    let error = write(&store, "a", &[version]).await.expect_err("a version");
    assert!(error.to_string().contains("\"1\\0\""), "{error}");
    assert_eq!(read(&store, "a").await, Vec::<Value>::new());
}
