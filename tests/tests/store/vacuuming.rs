//! Superseded rows that are removed, and what stays the same.

use crate::deleting::{children, family_on};
use metaxy::Store;
use metaxy_tests::batch::{batch, collect};
use metaxy_tests::flow::{compute, counts, delete, graph, increment, key, open, read, write};
use metaxy_tests::on_every_engine;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

on_every_engine! {
    what_is_read_stays,
    some_rows_can_stay,
    former_tries_go_away_whole,
    rows_without_a_try_go_away_when_they_are_superseded,
}

fn features() -> [Value; 2] {
    [
        json!({ "key": "a", "id_columns": ["id"], "fields": ["x"] }),
        json!({ "key": "b", "id_columns": ["id"], "fields": ["x"], "deps": [{"feature": "a"}] }),
    ]
}

fn row(id: &str, x: &str) -> Value {
    json!({ "id": id, "metaxy_provenance_by_field": { "x": x } })
}

async fn put(store: &Store, id: &str, x: &str) -> i64 {
    let mut out = store.batch_writer(&key("a"));
    out.push(&batch(&[row(id, x)])).await.expect("good rows");
    out.commit().await.expect("a commit").time.expect("a time")
}

async fn everything(store: &Store) -> Vec<Value> {
    let all = store.read_of(&key("a")).history(true).other_versions(true).tombstones(true);
    match all.batches().await {
        Ok(batches) => collect(batches).await,
        Err(_) => Vec::new(),
    }
}

/// Of 1 three rows, of 2 one and a mark, of 3 one.
async fn history(engine: &str) -> (Store, Vec<i64>) {
    let store = open(engine, &graph(&features())).await;
    let mut times = Vec::new();
    for (id, x) in [("1", "1"), ("1", "2"), ("2", "1"), ("1", "3"), ("3", "1")] {
        times.push(put(&store, id, x).await);
    }
    compute(&store, "b").await;
    assert_eq!(delete(&store, "a", &[json!({ "id": "2" })]).await, 1);
    (store, times)
}

async fn what_is_read_stays(engine: &str) {
    let (store, _) = history(engine).await;
    let before = (read(&store, "a").await, increment(&store, "b").await);
    let vacuum = store.vacuum_of(&key("a"));
    let dry = vacuum.clone().dry_run(true).await.expect("a count");
    assert_eq!(dry.to_string(), "a: 3 rows would be removed");
    assert_eq!(everything(&store).await.len(), 6, "nothing was done");
    let report = vacuum.clone().await.expect("a vacuum");
    assert_eq!(report.to_string(), "a: 3 rows removed");
    let left = everything(&store).await;
    assert_eq!(left.len(), 3, "one of each record: {left:#?}");
    assert_eq!((read(&store, "a").await, increment(&store, "b").await), before);
    assert_eq!(vacuum.await.expect("a vacuum").rows_removed, 0);
    // The mark has stayed: the record comes back as it was.
    let back = store.undelete_of(&key("a"), &[batch(&[json!({ "id": "2" })])]).await;
    assert_eq!(back.expect("an undeletion").rows, 1);
    assert!(counts(&store, "b").await.is_up_to_date());
}

async fn some_rows_can_stay(engine: &str) {
    let (store, times) = history(engine).await;
    let of = |keep| store.vacuum_of(&key("a")).keep(keep).dry_run(true);
    assert_eq!(of(0).await.expect("a count").rows_removed, 3, "never the last one");
    assert_eq!(of(2).await.expect("a count").rows_removed, 1);
    assert_eq!(of(3).await.expect("a count").rows_removed, 0);
    let before = |time| store.vacuum_of(&key("a")).before(time).dry_run(true);
    assert_eq!(before(times[0]).await.expect("a count").rows_removed, 0);
    assert_eq!(before(times[0] + 1).await.expect("a count").rows_removed, 1);
    assert_eq!(before(times[3]).await.expect("a count").rows_removed, 3);
    let older = |age| store.vacuum_of(&key("a")).older_than(age).dry_run(true);
    assert_eq!(older(Duration::from_secs(3_600)).await.expect("a count").rows_removed, 0);
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert_eq!(older(Duration::from_millis(1)).await.expect("a count").rows_removed, 3);
    assert_eq!(older(Duration::MAX).await.expect("a count").rows_removed, 0);
}

/// Of an expansion a former try goes away with its seal; the one in force stays, with what was deleted
/// of it, and so do rows without a try as long as they count.
async fn former_tries_go_away_whole(engine: &str) {
    let store = family_on(engine).await;
    let one = [batch(&[json!({ "id": "1", "part": 1 })])];
    assert_eq!(store.delete_of(&key("child"), &one).await.expect("a deletion").records(), 1);
    let two = [batch(&[json!({ "id": "2" })])];
    assert_eq!(store.delete_of(&key("child"), &two).await.expect("a deletion").records(), 3);
    let seen = || async {
        (
            read(&store, "child").await,
            increment(&store, "leaf").await,
            counts(&store, "child").await,
            counts(&store, "leaf").await,
        )
    };
    let before = seen().await;
    let of = |keep| store.vacuum_of(&key("child")).keep(keep);
    assert_eq!(of(3).dry_run(true).await.expect("a count").rows_removed, 0);
    // Of 1 the former seal with two children; of 2 that one, and the seal before its deletion.
    assert_eq!(of(2).dry_run(true).await.expect("a count").rows_removed, 3);
    assert_eq!(of(1).before(0).dry_run(true).await.expect("a count").rows_removed, 0);
    assert_eq!(of(1).await.expect("a vacuum").rows_removed, 7);
    assert_eq!(seen().await, before);
    assert_eq!(of(1).await.expect("a vacuum").rows_removed, 0);
    let back = store.undelete_of(&key("child"), &two).await.expect("an undeletion");
    assert_eq!((back.seals, back.rows), (1, 0), "its children have stayed");
    let left = ["10", "12", "20", "21", "22", "30", "31"];
    assert_eq!(children(&store, "child").await, left);
    let all = store.read_of(&key("child")).history(true).tombstones(true).batches().await;
    let all = collect(all.expect("rows")).await;
    let tries: BTreeSet<_> = all.iter().map(|row| row["metaxy_try"].as_i64()).collect();
    assert_eq!(tries, BTreeSet::from([None, Some(20)]));
}

/// Rows of other programs go away when a seal has taken their place.
async fn rows_without_a_try_go_away_when_they_are_superseded(engine: &str) {
    let store = family_on(engine).await;
    let deleted = store.delete_of(&key("a"), &[batch(&[json!({ "id": "3" })])]).await;
    assert_eq!(deleted.expect("a deletion").records(), 1);
    write(&store, "a", &[row("3", "another")]).await.expect("good rows");
    let parents = increment(&store, "child").await;
    let stale: Vec<&Value> = parents.iter().filter(|row| row["id"] == "3").collect();
    let [parent] = stale.as_slice() else { panic!("{parents:#?}") };
    let columns = ["id", "metaxy_try", "metaxy_provenance_by_field"];
    let mut seal = metaxy_tests::batch::only(std::slice::from_ref(*parent), &columns).remove(0);
    seal["metaxy_children"] = json!(0);
    let mut out = store.batch_writer(&key("child"));
    let mut child = seal.clone();
    child.as_object_mut().expect("a row").remove("metaxy_children");
    child["part"] = json!(9);
    seal["metaxy_children"] = json!(1);
    out.push(&batch(&[child])).await.expect("a good row");
    out.seal(&batch(&[seal])).await.expect("a good seal");
    out.commit().await.expect("a commit");
    let before = read(&store, "child").await;
    // Two tries with a seal and two children each, and two rows without.
    let vacuum = store.vacuum_of(&key("child"));
    assert_eq!(vacuum.await.expect("a vacuum").rows_removed, 3 + 3 + 2);
    assert_eq!(read(&store, "child").await, before);
    assert_eq!(children(&store, "child").await, ["10", "11", "12", "20", "21", "22", "39"]);
}

#[derive(Clone, Debug)]
enum Step {
    Write(Vec<(u8, u8)>),
    Delete(Vec<u8>),
    Undelete(Vec<u8>),
    Compute,
    Vacuum(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let ids = || prop::collection::vec(0..4_u8, 1..4);
    prop_oneof![
        4 => prop::collection::btree_map(0..4_u8, 0..3_u8, 1..4)
            .prop_map(|rows| Step::Write(rows.into_iter().collect())),
        2 => ids().prop_map(Step::Delete),
        1 => ids().prop_map(Step::Undelete),
        1 => Just(Step::Compute),
        2 => (1..4_u64).prop_map(Step::Vacuum),
    ]
}

async fn run(engine: &str, steps: Vec<Step>) {
    let store = open(engine, &graph(&features())).await;
    write(&store, "a", &[row("0", "0")]).await.expect("good rows");
    compute(&store, "b").await;
    for step in steps {
        let batch_of = |ids: &[u8]| {
            let ids = ids.iter().map(|id| json!({ "id": id.to_string() }));
            batch(&ids.collect::<Vec<_>>())
        };
        match step {
            Step::Write(rows) => {
                let rows: Vec<Value> =
                    rows.iter().map(|(id, x)| row(&id.to_string(), &x.to_string())).collect();
                write(&store, "a", &rows).await.expect("good rows");
            }
            Step::Delete(ids) => {
                store.delete_of(&key("a"), &[batch_of(&ids)]).await.expect("a deletion");
            }
            Step::Undelete(ids) => {
                store.undelete_of(&key("a"), &[batch_of(&ids)]).await.expect("an undeletion");
            }
            Step::Compute => {
                compute(&store, "b").await;
            }
            Step::Vacuum(keep) => {
                let history = everything(&store).await;
                let before = (
                    read(&store, "a").await,
                    read(&store, "b").await,
                    increment(&store, "b").await,
                    counts(&store, "b").await,
                );
                let report = store.vacuum_of(&key("a")).keep(keep).await.expect("a vacuum");
                let after = (
                    read(&store, "a").await,
                    read(&store, "b").await,
                    increment(&store, "b").await,
                    counts(&store, "b").await,
                );
                assert_eq!(before, after);
                let left = everything(&store).await;
                assert_eq!(left.len() as u64 + report.rows_removed, history.len() as u64);
                for id in ["0", "1", "2", "3"] {
                    let of =
                        |rows: &[Value]| rows.iter().filter(|row| row["id"] == *id).count() as u64;
                    assert_eq!(of(&left), of(&history).min(keep), "{id}");
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]
    #[test]
    fn nothing_that_counts_is_ever_removed(steps in prop::collection::vec(step(), 1..14)) {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(run("memory:", steps.clone()));
        runtime.block_on(run("duckdb::memory:", steps));
    }
}
