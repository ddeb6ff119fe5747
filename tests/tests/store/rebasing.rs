//! Records that are given today's definition without being computed again.

use crate::deleting::{children, family, family_on};
use metaxy::store::Rebased;
use metaxy::{Error, Reason, Store};
use metaxy_tests::batch::{batch, collect, only};
use metaxy_tests::flow::{compute, counts, delete, graph, key, open, read, stored, write};
use metaxy_tests::on_every_engine;
use serde_json::{Value, json};

on_every_engine! {
    unchanged_records_get_the_version_of_today,
    a_code_version_is_accepted_by_somebody,
    a_root_is_not_rebased,
    parents_are_rebased_with_their_children,
}

fn root() -> Value {
    json!({ "key": "a", "id_columns": ["id"], "fields": ["x", "y"] })
}

/// `b`, whose fields have these code versions, and `c` on it.
fn with(fields: &[(&str, &str)]) -> metaxy::FeatureGraph {
    let fields: Vec<Value> = fields
        .iter()
        .map(|(key, code)| {
            json!({ "key": key, "code_version": code,
                "deps": [{"feature": "a", "fields": [key]}] })
        })
        .collect();
    graph(&[
        root(),
        json!({ "key": "b", "id_columns": ["id"], "fields": fields, "deps": [{"feature": "a"}] }),
        json!({ "key": "c", "id_columns": ["id"], "deps": [{"feature": "b", "select": []}],
            "fields": [{"key": "x", "deps": [{"feature": "b", "fields": ["x"]}]}] }),
    ])
}

fn row(id: &str, x: &str) -> Value {
    json!({ "id": id, "metaxy_provenance_by_field": { "x": x, "y": "1" } })
}

async fn computed(engine: &str) -> Store {
    let store = open(engine, &with(&[("x", "1"), ("y", "1")])).await;
    write(&store, "a", &[row("1", "1"), row("2", "2"), row("3", "3")]).await.expect("good rows");
    compute(&store, "b").await;
    compute(&store, "c").await;
    store
}

async fn with_other_versions(store: &Store) -> Vec<Value> {
    let rows = store.read_of(&key("b")).other_versions(true).batches().await.expect("rows");
    collect(rows).await
}

/// A field that goes away changes nothing of the others: they are unchanged, under another version.
async fn unchanged_records_get_the_version_of_today(engine: &str) {
    let store = computed(engine).await;
    let before = with_other_versions(&store).await;
    let store = store.with_graph(with(&[("x", "1")]));
    let of_b = counts(&store, "b").await;
    assert_eq!((of_b.unchanged, of_b.unchanged_older), (3, 3), "{of_b}");

    let dry = store.rebase_of(&key("b")).dry_run(true).await.expect("a count");
    assert_eq!((dry.rows, dry.time), (3, None));
    assert_eq!(counts(&store, "b").await.unchanged_older, 3, "nothing was done");
    assert_eq!(store.rebases_of(&key("b")).await.expect("lines"), []);

    let written = store.rebase_of(&key("b")).await.expect("a rebase");
    assert_eq!((written.rows, written.deleted), (3, 0));
    let of_b = counts(&store, "b").await;
    assert_eq!((of_b.unchanged, of_b.unchanged_older), (3, 0), "{of_b}");
    assert!(counts(&store, "c").await.is_up_to_date());
    let after = with_other_versions(&store).await;
    assert_eq!(
        only(&after, &["id", "metaxy_created_at"]),
        only(&before, &["id", "metaxy_created_at"])
    );
    for row in &after {
        let stored = before.iter().find(|before| before["id"] == row["id"]).expect("it was there");
        for maps in ["metaxy_provenance_by_field", "metaxy_data_version_by_field"] {
            assert_eq!(row[maps], json!({ "x": stored[maps]["x"] }), "removed fields leave");
        }
        assert_ne!(row["metaxy_feature_version"], stored["metaxy_feature_version"]);
    }
    // What is computed by today's definition is hashed in the same way.
    write(&store, "a", &[row("4", "1")]).await.expect("good rows");
    compute(&store, "b").await;
    assert_eq!(store.rebase_of(&key("b")).await.expect("nothing").rows, 0);
    let noted = store.rebases_of(&key("b")).await.expect("lines");
    assert_eq!(noted.len(), 1, "a rebase of nothing is not noted");
    assert_eq!((noted[0].rows, Some(noted[0].time)), (3, written.time));
}

async fn a_code_version_is_accepted_by_somebody(engine: &str) {
    let store = computed(engine).await;
    // Another data version than the provenance: it has to stay.
    let mut own = with_other_versions(&store).await;
    own.retain(|row| row["id"] == "1");
    own[0]["metaxy_data_version_by_field"] = json!({ "x": "mine", "y": "1" });
    let columns = ["id", "metaxy_provenance_by_field", "metaxy_data_version_by_field"];
    write(&store, "b", &only(&own, &columns)).await.expect("good rows");
    compute(&store, "c").await;

    let store = store.with_graph(with(&[("x", "2"), ("y", "1")]));
    write(&store, "a", &[row("2", "new")]).await.expect("good rows");
    assert_eq!(counts(&store, "b").await.stale, 3);
    assert_eq!(store.rebase_of(&key("b")).await.expect("nothing").rows, 0);

    let rebase = || store.rebase_of(&key("b")).accept(Reason::Code);
    for nobody in
        [rebase(), rebase().by("ada"), rebase().because("!"), rebase().by(" ").because("x")]
    {
        let error = nobody.await.expect_err("nobody");
        assert_eq!(
            error.to_string(),
            "a rebase of `b` that accepts stale records says who accepts them, and why their \
             output would be the same; add `.by(\"..\")` and `.because(\"..\")`"
        );
    }
    let signed = || rebase().by("ada \"l\"").because("it's only renamed");
    assert_eq!(signed().only("id = '3'").dry_run(true).await.expect("a count").rows, 1);
    let error = signed().only("idd = '3'").await.expect_err("no column");
    assert!(matches!(error, Error::Filter { .. }), "{error}");
    assert_eq!(signed().only("id = '3'").await.expect("a rebase").rows, 1);
    let written = signed().await.expect("a rebase");
    assert_eq!(written.rows, 1, "the value of 2 is new as well: that was not accepted");
    let of_b = counts(&store, "b").await;
    assert_eq!((of_b.stale, of_b.unchanged, of_b.unchanged_older), (1, 2, 0), "{of_b}");
    let one =
        read(&store, "b").await.into_iter().find(|row| row["id"] == "1").expect("it is there");
    assert_eq!(one["metaxy_data_version_by_field"]["x"], "mine");
    let of_c = counts(&store, "c").await;
    assert_eq!((of_c.blocked, of_c.unchanged), (1, 2), "nothing has changed for it: {of_c}");

    let noted: Vec<Rebased> = store.rebases_of(&key("b")).await.expect("lines");
    assert_eq!(noted.len(), 2);
    assert_eq!((noted[1].rows, Some(noted[1].time)), (1, written.time));
    assert_eq!(noted[1].accepted, [Reason::Code]);
    assert_eq!((&*noted[1].by, &*noted[1].reason), ("ada \"l\"", "it's only renamed"));
    assert_eq!(store.rebases_of(&key("c")).await.expect("lines"), []);

    assert_eq!(signed().accept(Reason::Upstream).await.expect("a rebase").rows, 1);
    assert!(counts(&store, "b").await.is_up_to_date());
    assert!(counts(&store, "c").await.is_up_to_date(), "the data version has stayed");
}

async fn a_root_is_not_rebased(engine: &str) {
    let store = computed(engine).await;
    let error = store.rebase_of(&key("a")).await.expect_err("a root");
    assert!(matches!(error, Error::WrongKind { .. }), "{error}");
    let empty = open(engine, &with(&[("x", "1")])).await;
    assert_eq!(empty.rebase_of(&key("b")).await.expect("nothing").rows, 0);
    let batches = [batch(&[json!({ "id": "1" })])];
    assert_eq!(empty.delete_of(&key("b"), &batches).await.expect("nothing").records(), 0);
}

/// Of an expansion parents are rebased, by their seals, and with them the children that exist.
async fn parents_are_rebased_with_their_children(engine: &str) {
    let store = family_on(engine).await;
    let one = [json!({ "id": "1", "part": 1 })];
    assert_eq!(delete(&store, "child", &one).await, 1);
    assert_eq!(delete(&store, "leaf", &one).await, 1);
    let before = read(&store, "child").await;
    let mut features = family();
    features[1]["fields"] = json!([{ "key": "x", "code_version": "2" }]);
    let store = store.with_graph(graph(&features));
    let of_child = counts(&store, "child").await;
    assert_eq!((of_child.stale, of_child.unsealed), (3, 1), "{of_child}");
    assert_eq!(read(&store, "child").await, Vec::<Value>::new());
    assert_eq!(counts(&store, "leaf").await.blocked, 7);

    let rebase = store.rebase_of(&key("child")).accept(Reason::Code).by("ada").because("same");
    let first = rebase.clone().only("id = '1'").await.expect("a rebase");
    assert_eq!((first.seals, first.rows), (1, 2), "what is deleted stays deleted");
    assert_eq!(children(&store, "child").await, ["10", "12"]);
    let dry = rebase.clone().dry_run(true).await.expect("a count");
    assert_eq!((dry.seals, dry.rows, dry.time), (1, 5, None), "3 has no seal that could be copied");
    let written = rebase.clone().await.expect("a rebase");
    assert_eq!((written.seals, written.rows), (dry.seals, dry.rows));

    let of_child = counts(&store, "child").await;
    assert!(of_child.is_up_to_date(), "{of_child}");
    assert_eq!((of_child.unchanged, of_child.unchanged_older, of_child.unsealed), (3, 0, 1));
    let stays = ["id", "part", "metaxy_try", "metaxy_created_at", "metaxy_data_version_by_field"];
    let after = read(&store, "child").await;
    assert_eq!(only(&after, &stays), only(&before, &stays));
    let of_leaf = counts(&store, "leaf").await;
    assert!(of_leaf.is_up_to_date(), "nothing has changed for it: {of_leaf}");
    assert_eq!(of_leaf.unchanged, 7);
    let noted = store.rebases_of(&key("child")).await.expect("lines");
    assert_eq!(noted.iter().map(|line| line.rows).collect::<Vec<_>>(), [3, 6]);
    let again = rebase.clone().await.expect("nothing");
    assert_eq!((again.seals, again.rows), (0, 0));
    assert_eq!(stored(&store, "child").await, 12 + 1 + 4 + 3 + 6, "nothing was removed");
}
