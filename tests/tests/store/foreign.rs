//! Expansions whose children other programs wrote: rows without a try, that no seal is about.

use crate::deleting::{children, family};
use metaxy::Store;
use metaxy_tests::batch::{batch, collect, only};
use metaxy_tests::flow::{compute, counts, graph, increment, key, open, read, write};
use metaxy_tests::place::Place;
use serde_json::{Value, json};

/// A database that another program writes to as well, and the store whose answers are looked at: the
/// database itself, or a copy on some engine.
struct World {
    place: Place,
    copy: Option<Store>,
}

impl World {
    async fn new(engine: Option<&str>) -> Self {
        let place = Place::new();
        let store = place.open(&graph(&family())).await.expect("a store");
        let row = |id: &str| json!({ "id": id, "metaxy_provenance_by_field": { "x": id } });
        write(&store, "a", &["1", "2", "3"].map(row)).await.expect("good rows");
        drop(store);
        let copy = match engine {
            Some(engine) => Some(open(engine, &graph(&family())).await),
            None => None,
        };
        let world = Self { place, copy };
        world.copied().await;
        world
    }

    async fn copied(&self) {
        if let Some(copy) = &self.copy {
            let store = self.place.open(&graph(&family())).await.expect("a store");
            store.copy_to(copy).await.expect("a copy");
        }
    }

    async fn store(&self) -> Store {
        match &self.copy {
            Some(copy) => copy.clone(),
            None => self.place.open(&graph(&family())).await.expect("a store"),
        }
    }

    /// Another program adds children: parent, number, and what it was computed from.
    async fn foreign(&self, rows: &[(&str, i64, &str)]) {
        let row = |(id, part, x): &(&str, i64, &str)| {
            format!(
                "('{id}', {part}, MAP {{'x': '{x}'}}, '{x}', MAP {{'x': '{x}'}}, '{x}', 'theirs', \
                 'theirs', now(), now(), NULL, NULL)"
            )
        };
        self.place.execute(&format!(
            "CREATE TABLE IF NOT EXISTS child (id VARCHAR, part BIGINT, \
               metaxy_provenance_by_field MAP(VARCHAR, VARCHAR), metaxy_provenance VARCHAR, \
               metaxy_data_version_by_field MAP(VARCHAR, VARCHAR), metaxy_data_version VARCHAR, \
               metaxy_feature_version VARCHAR, metaxy_project_version VARCHAR, \
               metaxy_created_at TIMESTAMPTZ, metaxy_updated_at TIMESTAMPTZ, \
               metaxy_deleted_at TIMESTAMPTZ, metaxy_materialization_id VARCHAR);
             INSERT INTO child BY NAME SELECT * FROM (VALUES {}) AS v(id, part, \
               metaxy_provenance_by_field, metaxy_provenance, metaxy_data_version_by_field, \
               metaxy_data_version, metaxy_feature_version, metaxy_project_version, \
               metaxy_created_at, metaxy_updated_at, metaxy_deleted_at, metaxy_materialization_id)",
            rows.iter().map(row).collect::<Vec<_>>().join(", ")
        ));
        self.copied().await;
    }
}

/// All children that exist, whoever wrote them.
async fn all_children(store: &Store) -> Vec<String> {
    let rows = store.read_of(&key("child")).other_versions(true).batches().await.expect("rows");
    let rows = collect(rows).await;
    let name = |row: &Value| format!("{}{}", row["id"].as_str().expect("an id"), row["part"]);
    let mut all: Vec<String> = rows.iter().map(name).collect();
    all.sort();
    all
}

/// Writes one child of each parent that lacks some, in a sealed try.
async fn expand(store: &Store, part: i64) {
    let columns = ["id", "metaxy_try", "metaxy_provenance_by_field"];
    let parents = only(&increment(store, "child").await, &columns);
    let with = |column: &str, value: i64| {
        let mut rows = parents.clone();
        rows.iter_mut().for_each(|row| row[column] = json!(value));
        batch(&rows)
    };
    let mut out = store.batch_writer(&key("child"));
    out.push(&with("part", part)).await.expect("good rows");
    out.seal(&with("metaxy_children", 1)).await.expect("good seals");
    out.commit().await.expect("a commit");
}

async fn children_without_a_try(engine: Option<&str>) {
    let world = World::new(engine).await;
    let store = world.store().await;
    let parents = increment(&store, "child").await;
    drop(store);
    let expected = |id: &str| {
        let parent = parents.iter().find(|row| row["id"] == id).expect("a parent");
        parent["metaxy_provenance_by_field"]["x"].as_str().expect("a hash").to_owned()
    };
    let (one, two) = (expected("1"), expected("2"));
    world.foreign(&[("1", 0, &one), ("1", 1, &one), ("2", 0, "old")]).await;

    let store = world.store().await;
    let found = counts(&store, "child").await;
    assert_eq!((found.new, found.stale, found.unchanged), (1, 1, 1), "{found}");
    assert_eq!((found.unchanged_older, found.unsealed), (1, 2), "nobody says that they are all");
    assert_eq!(all_children(&store).await, ["10", "11", "20"]);
    assert_eq!(read(&store, "child").await, Vec::<Value>::new(), "their definition is not known");
    assert_eq!(counts(&store, "leaf").await.waiting, 3);

    // A parent goes with its children, and comes back with them.
    let parent = [batch(&[json!({ "id": "1" })])];
    let deleted = store.delete_of(&key("child"), &parent).await.expect("a deletion");
    assert_eq!(deleted.records(), 2);
    assert_eq!(all_children(&store).await, ["20"]);
    let found = counts(&store, "child").await;
    assert_eq!((found.new, found.stale, found.unsealed), (2, 1, 1), "{found}");
    let back = store.undelete_of(&key("child"), &parent).await.expect("an undeletion");
    assert_eq!((back.rows, back.seals), (2, 0));
    let found = counts(&store, "child").await;
    assert_eq!((found.new, found.stale, found.unchanged, found.unsealed), (1, 1, 1, 2), "{found}");

    // A sealed try takes the place of their rows.
    expand(&store, 5).await;
    assert_eq!(all_children(&store).await, ["10", "11", "25", "35"]);
    let found = counts(&store, "child").await;
    assert_eq!((found.unchanged, found.unsealed), (3, 1), "{found}");
    assert!(found.is_up_to_date());
    assert_eq!(children(&store, "child").await, ["25", "35"]);
    drop(store);

    // And rows that they write later take its place in turn, together with those of before.
    world.foreign(&[("2", 7, &two)]).await;
    let store = world.store().await;
    assert_eq!(all_children(&store).await, ["10", "11", "20", "27", "35"]);
    let found = counts(&store, "child").await;
    assert_eq!((found.stale, found.unchanged, found.unsealed), (1, 2, 2), "{found}");

    // What they computed from the same is ours, if we say so.
    let written = store.rebase_of(&key("child")).await.expect("a rebase");
    assert_eq!((written.rows, written.seals), (2, 0));
    assert_eq!(children(&store, "child").await, ["10", "11", "35"]);
    let found = counts(&store, "child").await;
    assert_eq!((found.stale, found.unchanged, found.unchanged_older), (1, 2, 0), "{found}");
    assert_eq!(found.unsealed, 2, "nobody knows that better than before");
    assert_eq!(compute(&store, "leaf").await.new, 3);
    expand(&store, 9).await;
    assert_eq!(children(&store, "child").await, ["10", "11", "29", "35"]);
    assert_eq!(counts(&store, "child").await.unsealed, 1);

    let hard = store.delete_of(&key("child"), &parent).hard(true).cascade(true).await;
    let hard = hard.expect("a deletion");
    assert_eq!((hard.records(), hard.all_records()), (2, 4));
    // Per child: theirs, the mark, the row that came back, and the rebased one.
    assert_eq!(hard.rows_removed(), 8 + 2);
    assert_eq!(all_children(&store).await, ["29", "35"]);
}

/// Python's tables can keep versions as a STRUCT: they are read, deleted from and copied.
#[tokio::test]
async fn children_in_a_table_with_structs() {
    let world = World::new(None).await;
    world.foreign(&[("1", 0, "old"), ("1", 1, "old"), ("2", 0, "old")]).await;
    world.place.execute(
        "ALTER TABLE child ALTER metaxy_provenance_by_field \
           TYPE STRUCT(x VARCHAR) USING {'x': metaxy_provenance};
         ALTER TABLE child ALTER metaxy_data_version_by_field \
           TYPE STRUCT(x VARCHAR) USING {'x': metaxy_data_version};",
    );
    let store = world.store().await;
    for engine in ["memory:", "duckdb::memory:"] {
        let copy = open(engine, store.graph()).await;
        store.copy_to(&copy).await.expect("a copy");
        assert_eq!(counts(&copy, "child").await, counts(&store, "child").await);
        assert_eq!(all_children(&copy).await, ["10", "11", "20"]);
    }
    let found = counts(&store, "child").await;
    assert_eq!((found.new, found.stale, found.unsealed), (1, 2, 2), "{found}");
    let parent = [batch(&[json!({ "id": "1" })])];
    assert_eq!(store.delete_of(&key("child"), &parent).await.expect("it").records(), 2);
    let found = counts(&store, "child").await;
    assert_eq!((found.new, found.stale, found.unsealed), (2, 1, 1), "{found}");
    let rebase = store.rebase_of(&key("child")).await.expect_err("a refusal").to_string();
    assert!(rebase.contains("STRUCT"), "{rebase}");
}

#[tokio::test]
async fn children_without_a_try_in_their_own_table() {
    children_without_a_try(None).await;
}

#[tokio::test]
async fn children_without_a_try_copied_to_duckdb() {
    children_without_a_try(Some("duckdb::memory:")).await;
}

#[tokio::test]
async fn children_without_a_try_copied_to_memory() {
    children_without_a_try(Some("memory:")).await;
}
