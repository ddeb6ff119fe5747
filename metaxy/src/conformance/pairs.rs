//! Two engines side by side: what is written in one and copied to the other is the same there, byte by
//! byte, and so is what is computed from it.

use super::flow::{compute, counts, delete, graph, increment, key, write};
use super::{Engine, SETTINGS, batch};
use crate::store::{Settings, Store};
use metaxy_sql::HashAlgorithm;
use serde_json::{Value, json};

/// The features that are compared, upstream first.
const FEATURES: [&str; 5] = ["a", "note", "child", "leaf", "all"];

fn features() -> [Value; 5] {
    let id = json!(["id"]);
    let parts = json!(["id", "part"]);
    let expansion = json!({"type": "expansion", "on": ["id"], "id_generation_pattern": null});
    let aggregation = json!({"type": "aggregation", "on": ["id"]});
    [
        json!({ "key": "a", "id_columns": id, "fields": ["x", "y"] }),
        json!({ "key": "note", "id_columns": id, "fields": ["z"] }),
        json!({ "key": "child", "id_columns": parts, "fields": ["x"],
            "deps": [{"feature": "a", "select": [], "lineage": expansion}] }),
        json!({ "key": "leaf", "id_columns": parts, "fields": ["x"],
            "deps": [{"feature": "child", "select": []}] }),
        json!({ "key": "all", "id_columns": id, "fields": ["x", "z"], "deps": [
            {"feature": "leaf", "select": ["part"], "lineage": aggregation},
            {"feature": "note", "select": ["text"], "optional": true},
        ]}),
    ]
}

/// Checks that two engines agree: rows, tombstones and seals that one has written and the other one has
/// copied, with all versions and provenances, and what is to be computed from them, with every algorithm
/// that both of them have; with MD5, also what each computes, and what one reads, resolves and computes
/// that falls back on the other.
///
/// # Panics
/// If they do not.
pub async fn agree(from: &dyn Engine, to: &dyn Engine) {
    let both = |algorithm: &HashAlgorithm| from.hashes(*algorithm) && to.hashes(*algorithm);
    for hash_algorithm in HashAlgorithm::ALL.into_iter().filter(both) {
        let settings = Settings { hash_algorithm, ..SETTINGS };
        agree_with(from, to, settings).await;
    }
}

async fn agree_with(from: &dyn Engine, to: &dyn Engine, settings: Settings) {
    let (graph, hash_algorithm) = (graph(&features()), settings.hash_algorithm);
    let there = from.open(graph.clone(), settings).await.expect("a store");
    fill(&there).await;

    // A copy is the same, and a second one finds nothing that is missing.
    let copy = to.open(graph.clone(), settings).await.expect("a store");
    let copied = there.copy_to(&copy).await.expect("a copy");
    assert!(copied.iter().map(|copied| copied.rows).sum::<u64>() > 0);
    let again = there.copy_to(&copy).await.expect("a copy");
    assert!(again.iter().all(|copied| copied.rows == 0), "{again:?}");
    for feature in FEATURES {
        assert_eq!(history(&copy, feature).await, history(&there, feature).await, "{feature}");
    }
    same_increments(&there, &copy).await;
    if hash_algorithm != SETTINGS.hash_algorithm {
        return;
    }

    // One that falls back reads and resolves the same, and computes from what is there.
    let here = to.open(graph, settings).await.expect("a store");
    let here = here.with_fallback(there.clone()).expect("two stores that hash alike");
    for feature in FEATURES {
        assert_eq!(latest(&here, feature).await, latest(&there, feature).await, "{feature}");
    }

    // What changes there and what is computed in each of the three has the same versions.
    let a = row("2", "new", "2");
    write(&there, "a", std::slice::from_ref(&a)).await.expect("good rows");
    write(&copy, "a", &[a]).await.expect("good rows");
    for store in [&there, &copy] {
        expand(store).await;
        for feature in ["leaf", "all"] {
            compute(store, feature).await;
        }
    }
    same_increments(&there, &copy).await;
    let of_all = compute(&here, "all").await;
    assert!(of_all.new > 0, "it has a table of its own: {of_all}");
    for feature in FEATURES {
        let expected = versions(&there, feature).await;
        assert!(!expected.is_empty(), "{feature}");
        assert_eq!(versions(&copy, feature).await, expected, "{feature}");
        assert_eq!(versions(&here, feature).await, expected, "{feature}");
    }
}

fn row(id: &str, x: &str, y: &str) -> Value {
    json!({ "id": id, "path": format!("/é/{id}'\\"), "metaxy_provenance_by_field": {"x": x, "y": y} })
}

/// Three records of `a`, two of them with notes, everything computed; then a record is gone, and a note is
/// new.
async fn fill(store: &Store) {
    let rows = [row("1", "1", "1"), row("2", "é", "2"), row("3", "1", "3")];
    write(store, "a", &rows).await.expect("good rows");
    let note = |id: &str, z: &str| json!({ "id": id, "text": "\"", "metaxy_provenance_by_field": {"z": z} });
    write(store, "note", &[note("1", "1"), note("2", "'")]).await.expect("good rows");
    expand(store).await;
    for feature in ["leaf", "all"] {
        compute(store, feature).await;
    }
    assert_eq!(delete(store, "a", &[json!({ "id": "3" })]).await, 1);
    write(store, "note", &[note("1", "2")]).await.expect("good rows");
    write(store, "note", &[note("2", "'")]).await.expect("good rows");
}

/// Gives every parent that is to be expanded two children, and seals it.
async fn expand(store: &Store) {
    let parents = increment(store, "child").await;
    let is_job = |row: &&Value| row["metaxy_status"] == "new" || row["metaxy_status"] == "stale";
    let parents: Vec<&Value> = parents.iter().filter(is_job).collect();
    let columns = ["id", "metaxy_provenance_by_field", "metaxy_try"];
    let with = |parent: &Value, name: &str, value: i64| {
        let mut row = batch::only(std::slice::from_ref(parent), &columns).remove(0);
        row[name] = json!(value);
        row
    };
    let children = parents.iter().flat_map(|row| [with(row, "part", 1), with(row, "part", 2)]);
    let children: Vec<Value> = children.collect();
    let seals: Vec<Value> = parents.iter().map(|row| with(row, "metaxy_children", 2)).collect();
    let mut out = store.batch_writer(&key("child"));
    out.push(&batch::batch(&children)).await.expect("good rows");
    out.seal(&batch::batch(&seals)).await.expect("good seals");
    out.commit().await.expect("a commit");
}

/// All rows that were ever written, whole.
async fn history(store: &Store, feature: &str) -> Vec<Value> {
    let read = store.read_of(&key(feature)).history(true).tombstones(true).other_versions(true);
    batch::collect(read.batches().await.expect("rows")).await
}

/// The records, whole.
async fn latest(store: &Store, feature: &str) -> Vec<Value> {
    batch::collect(store.read_of(&key(feature)).batches().await.expect("rows")).await
}

/// The records, without what depends on when and by whom they were written.
async fn versions(store: &Store, feature: &str) -> Vec<Value> {
    let rows = latest(store, feature).await.into_iter().map(|mut row| {
        let members = row.as_object_mut().expect("an object");
        for name in ["created_at", "updated_at", "write_token", "materialization_id", "try"] {
            members.remove(&format!("metaxy_{name}"));
        }
        row
    });
    batch::sorted(rows.collect())
}

async fn same_increments(one: &Store, other: &Store) {
    for feature in ["child", "leaf", "all"] {
        assert_eq!(counts(one, feature).await, counts(other, feature).await, "{feature}");
        let of = async |store: &Store| {
            let mut rows = increment(store, feature).await;
            // A try is another one each time.
            rows.iter_mut().for_each(|row| {
                row.as_object_mut().expect("an object").remove("metaxy_try");
            });
            batch::sorted(rows)
        };
        assert_eq!(of(one).await, of(other).await, "{feature}");
    }
}
