//! Names and values of every kind go through a store as they are.

use crate::ScalarType;
use crate::builder::FeatureBuilder;
use crate::conformance::batch::{batch, batch_of, only};
use crate::conformance::flow::{compute, counts, delete, graph, increment, key, read, write};
use crate::conformance::texts::{self, HURTFUL};
use crate::conformance::{Engine, Outcome, open};
use crate::error::Error;
use crate::graph::FeatureGraph;
use crate::store::WriteError;
use arrow::array::{ArrayRef, AsArray, Float32Array, Float64Array, Int64Array, UInt64Array};
use arrow::datatypes::{Float32Type, Float64Type, Int64Type, UInt64Type};
use futures::TryStreamExt;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// How many sets of random names and values each engine is given.
const CASES: usize = 16;

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

fn name(longest: usize) -> impl Strategy<Value = String> {
    texts::random(1..8).prop_filter("names of ours, and the address of a row", move |name| {
        let lower = name.to_lowercase();
        let is_ours = lower.starts_with("metaxy_") || lower == "rowid";
        !name.is_empty() && !is_ours && name.len() <= longest
    })
}

fn version() -> impl Strategy<Value = String> {
    texts::random(1..8).prop_filter("versions that are told apart", |version| {
        !version.is_empty() && !version.contains('|')
    })
}

fn case(longest: usize) -> impl Strategy<Value = Case> {
    let name = || name(longest);
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

    async fn check(&self, engine: &dyn Engine) {
        let store = open(engine, &graph(&self.features())).await;
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

pub(crate) async fn random_names_and_values_go_through(engine: &dyn Engine) {
    let config = Config { failure_persistence: None, ..Config::default() };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let cases = case(engine.longest_name().unwrap_or(usize::MAX));
    for _ in 0..CASES {
        let case = cases.new_tree(&mut runner).expect("a case").current();
        eprintln!("{case:?}");
        case.check(engine).await;
    }
}

/// Each of the texts is the name of a column, an id, a value in all columns, a version, and a constant of a
/// filter.
pub(crate) async fn texts_that_hurt_go_through(engine: &dyn Engine) {
    let features = [
        json!({ "key": "a", "id_columns": [HURTFUL[0]], "fields": ["x"] }),
        json!({ "key": "b", "id_columns": [HURTFUL[0]], "fields": ["y"], "deps": [{"feature": "a"}] }),
    ];
    let store = open(engine, &graph(&features)).await;
    let n = HURTFUL.len();
    let row = |i: usize| {
        let columns = HURTFUL.iter().enumerate();
        let columns = columns.map(|(j, name)| ((*name).to_owned(), json!(HURTFUL[(i + j) % n])));
        let mut row: Value = Value::Object(columns.collect());
        row["metaxy_provenance_by_field"] = json!({ "x": HURTFUL[i] });
        row
    };
    let rows: Vec<Value> = (0..n).map(row).collect();
    store.sync_of(&key("a"), batch(&rows)).await.expect("a sync");
    let expected = only(&rows, &HURTFUL);
    assert_eq!(only(&read(&store, "a").await, &HURTFUL), expected);
    assert_eq!(compute(&store, "b").await.new, n as u64);
    assert!(counts(&store, "b").await.is_up_to_date());
    assert_eq!(only(&read(&store, "b").await, &HURTFUL), expected);

    for (i, text) in HURTFUL.iter().enumerate() {
        let (name, value) = (HURTFUL[i].replace('"', "\"\""), text.replace('\'', "''"));
        let found = store.read_of(&key("a")).filter(format!("\"{name}\" = '{value}'"));
        let found = found.batches().await.unwrap_or_else(|error| panic!("{text:?}: {error}"));
        let found = crate::conformance::batch::collect(found).await;
        // Column `i` holds text `i` in the first row.
        assert_eq!(only(&found, &HURTFUL), only(&rows[..1], &HURTFUL), "{text:?}");
    }
    let all: Vec<Value> = HURTFUL.iter().map(|text| json!({ (HURTFUL[0]): text })).collect();
    assert_eq!(delete(&store, "a", &all).await, n as u64);
    assert_eq!(counts(&store, "b").await.orphaned, n as u64);
}

/// Names of sixty bytes are no problem anywhere: of features, fields and columns, and of what a store keeps
/// about a feature of such a name.
pub(crate) async fn names_of_sixty_bytes_go_through(engine: &dyn Engine) {
    let name = |first: &str| format!("{first}{}", "n".repeat(60 - first.len()));
    let (a, b, id, column, field) = (name("a"), name("b"), name("i"), name("c"), name("f"));
    // What comes first in both is the same.
    let (frames, faces, n) = (name("d"), format!("{}o", &name("d")[..59]), name("m"));
    let expansion = |key: &str| {
        json!({ "key": key, "id_columns": [id, n], "fields": [field],
                "deps": [{"feature": a, "lineage": {"type": "expansion", "on": [id]}}] })
    };
    let features = [
        json!({ "key": a, "id_columns": [id], "fields": [field] }),
        json!({ "key": b, "id_columns": [id], "fields": [field], "deps": [{"feature": a}] }),
        expansion(&frames),
        expansion(&faces),
    ];
    let store = open(engine, &graph(&features)).await;
    let rows = [json!({ (id.clone()): "1", (column.clone()): "c", (field): "1" })];
    store.sync_of(&key(&a), batch(&rows)).await.expect("a sync");
    assert_eq!(compute(&store, &b).await.new, 1);
    assert!(counts(&store, &b).await.is_up_to_date());
    let columns = [id.as_str(), column.as_str()];
    assert_eq!(only(&read(&store, &b).await, &columns), only(&rows, &columns));
    for (expansion, n_children) in [(&frames, 1), (&faces, 2)] {
        let parents = increment(&store, expansion).await;
        assert_eq!(parents.len(), 1, "{expansion}");
        let parent = only(&parents, &[&id, "metaxy_provenance_by_field", "metaxy_try"]).remove(0);
        let with = |name: &str, value: i64| {
            let mut row = parent.clone();
            row[name] = json!(value);
            row
        };
        let children: Vec<Value> = (0..n_children).map(|i| with(&n, i)).collect();
        let mut out = store.batch_writer(&key(expansion));
        out.push(&batch(&children)).await.expect("good rows");
        out.seal(&batch(&[with("metaxy_children", n_children)])).await.expect("a good seal");
        out.commit().await.expect("a commit");
    }
    assert_eq!(read(&store, &frames).await.len(), 1);
    assert_eq!(read(&store, &faces).await.len(), 2);
    assert!(counts(&store, &frames).await.is_up_to_date());
    assert_eq!(delete(&store, &a, &[json!({ (id.clone()): "1" })]).await, 1);
    assert_eq!(counts(&store, &b).await.orphaned, 1);
}

/// What is longer than the engine can keep is refused before a table is made, and not cut.
pub(crate) async fn names_that_are_too_long_are_refused(engine: &dyn Engine) -> Outcome {
    let Some(longest) = engine.longest_name() else {
        return Outcome::NotApplicable { lacks: "`Engine::longest_name`" };
    };
    for n in [longest, longest + 1] {
        let name = |first: &str| format!("{first}{}", "n".repeat(n - 1));
        let (a, i, c) = (name("a"), name("i"), name("c"));
        for (a, id, column) in [(a.as_str(), "i", "c"), ("a", &i, "c"), ("a", "i", &c)] {
            let feature = FeatureBuilder::new(a).id(id, ScalarType::Text).field("x");
            let feature = feature.column(column, ScalarType::Text);
            let graph = FeatureGraph::builder().feature(feature).build().expect("a graph");
            let store = open(engine, &graph).await;
            let row = [json!({ (id): "1", (column): "1", "x": "1" })];
            let written = store.sync_of(&key(a), batch(&row)).await;
            if n == longest {
                assert_eq!(written.expect("a sync").written.rows, 1);
                assert_eq!(only(&read(&store, a).await, &[id, column]), only(&row, &[id, column]));
                continue;
            }
            let error = written.expect_err("a name that is too long").to_string();
            let long = [a, id, column].into_iter().find(|name| name.len() > longest);
            assert!(error.contains(long.expect("one of the three")), "{error}");
        }
    }
    Outcome::Held
}

/// An id of two thousand bytes goes through everywhere; one of ten thousand does as well, or is refused
/// before anything of its write is there, by an error that says what is too long.
pub(crate) async fn long_ids_go_through_or_are_refused(engine: &dyn Engine) {
    // Of hashes, so that nothing makes it shorter.
    let id = |n: usize| {
        let parts = (0..).map(|i: u32| hex::encode(Sha256::digest(i.to_le_bytes())));
        parts.flat_map(|part| part.chars().collect::<Vec<_>>()).take(n).collect::<String>()
    };
    let features = [
        json!({ "key": "a", "id_columns": ["id"], "fields": ["x"] }),
        json!({ "key": "b", "id_columns": ["id"], "fields": ["y"], "deps": [{"feature": "a"}] }),
    ];
    let row = |id: &str| json!({ "id": id, "metaxy_provenance_by_field": {"x": "1"} });
    let store = open(engine, &graph(&features)).await;
    let mut rows = vec![row(&id(2_000))];
    store.sync_of(&key("a"), batch(&rows)).await.expect("a sync");
    let long = [row("short"), row(&id(10_000))];
    match write(&store, "a", &long).await {
        Ok(_) => rows.extend(long),
        Err(error) => {
            let error = error.to_string();
            assert!(error.contains("ids") && error.contains("bytes"), "{error}");
        }
    }
    assert_eq!(compute(&store, "b").await.new, rows.len() as u64);
    assert!(counts(&store, "b").await.is_up_to_date());
    assert_eq!(only(&read(&store, "b").await, &["id"]), only(&rows, &["id"]));
    let all = only(&rows, &["id"]);
    assert_eq!(delete(&store, "a", &all).await, rows.len() as u64);
    assert_eq!(counts(&store, "b").await.orphaned, rows.len() as u64);
}

/// Numbers at the edges of their types are those that were written, bit for bit where it matters.
pub(crate) async fn numbers_at_the_edges_go_through(engine: &dyn Engine) {
    let n = 8;
    let doubles = [
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        -0.0,
        f64::MAX,
        f64::MIN_POSITIVE,
        5e-324,
        0.1 + 0.2,
    ];
    let floats = [
        f32::NAN,
        f32::INFINITY,
        f32::NEG_INFINITY,
        -0.0,
        f32::MAX,
        f32::MIN_POSITIVE,
        1e-45,
        16_777_216.0,
    ];
    let ints = [i64::MIN, i64::MAX, 0, -1, 1, i64::MIN + 1, i64::MAX - 1, 1 << 53];
    let whole = [u64::MIN, u64::MAX, 1, 2, u64::MAX - 1, 1 << 63, (1 << 63) - 1, 1 << 53];
    let a = FeatureBuilder::new("a").id("i", ScalarType::Int64).field("x");
    let a = a.column("double", ScalarType::Float64).column("float", ScalarType::Float32);
    let a = a.column("int", ScalarType::Int64).column("whole", ScalarType::UInt64);
    let b = FeatureBuilder::new("b").id("i", ScalarType::Int64).field("x").dep("a");
    let graph = FeatureGraph::builder().feature(a).feature(b).build().expect("a graph");
    let store = open(engine, &graph).await;
    let x: Vec<Value> = (0..n).map(|i| json!({ "x": i.to_string() })).collect();
    let x = Arc::clone(batch(&x).column(0));
    let columns: [(&str, ArrayRef); 6] = [
        ("i", Arc::new(Int64Array::from_iter_values(0..n))),
        ("double", Arc::new(Float64Array::from_iter_values(doubles))),
        ("float", Arc::new(Float32Array::from_iter_values(floats))),
        ("int", Arc::new(Int64Array::from_iter_values(ints))),
        ("whole", Arc::new(UInt64Array::from_iter_values(whole))),
        ("x", x),
    ];
    let sync = store.sync_of(&key("a"), batch_of(columns)).await.expect("a sync");
    assert_eq!(sync.written.rows, 8);
    let read = store.read_of(&key("a")).batches().await.expect("rows");
    let increment = store.resolve_update_of(&key("b")).await.expect("an increment").batches();
    for stream in [read, increment] {
        let batches: Vec<_> = stream.try_collect().await.expect("batches");
        let mut n_rows = 0;
        for batch in &batches {
            let column = |name: &str| batch.column_by_name(name).expect(name);
            for row in 0..batch.num_rows() {
                let i = column("i").as_primitive::<Int64Type>().value(row) as usize;
                let double = column("double").as_primitive::<Float64Type>().value(row);
                let float = column("float").as_primitive::<Float32Type>().value(row);
                // Which of the many NaNs it is does not matter.
                let is_same = double.to_bits() == doubles[i].to_bits();
                assert!(is_same || double.is_nan() && doubles[i].is_nan(), "{i}: {double:e}");
                let is_same = float.to_bits() == floats[i].to_bits();
                assert!(is_same || float.is_nan() && floats[i].is_nan(), "{i}: {float:e}");
                assert_eq!(column("int").as_primitive::<Int64Type>().value(row), ints[i]);
                assert_eq!(column("whole").as_primitive::<UInt64Type>().value(row), whole[i]);
                n_rows += 1;
            }
        }
        assert_eq!(n_rows, n);
    }
}

/// The names of the parts of our own statements, and of tables that they stage, are free for features.
pub(crate) async fn features_may_be_called_as_parts_of_statements(engine: &dyn Engine) {
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
        let store = open(engine, &graph(&features)).await;
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

/// Not every engine has texts with a NUL character: none takes them, and all say the same.
pub(crate) async fn nul_is_refused(engine: &dyn Engine) {
    let root = |column: &str, code_version: &str| {
        let field = json!({ "key": "x", "code_version": code_version });
        graph(&[json!({ "key": "a", "id_columns": [column], "fields": [field] })])
    };
    let row = |column: &str| json!({ column: "1", "metaxy_provenance_by_field": {"x": "1"} });
    let refusal = |error: Error| {
        assert!(matches!(error, Error::Sql(_)), "{error}");
        error.to_string()
    };

    let store = open(engine, &root("i\0d", "1")).await;
    let error = write(&store, "a", &[row("i\0d")]).await.expect_err("a name");
    assert_eq!(refusal(error), "`i\\0d` cannot be an identifier: it holds a NUL character");

    let of_text = "a text value cannot be stored: it holds a NUL character";
    let store = open(engine, &root("id", "1\0")).await;
    let error = write(&store, "a", &[row("id")]).await.expect_err("a code version");
    assert_eq!(refusal(error), of_text);

    let store = open(engine, &root("id", "1")).await;
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
        let Err(Error::Write { reason: WriteError::Nul { column: found, row: 1, .. }, .. }) = error
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
