//! More than one store: copies, and stores that fall back on others.

use crate::deleting::{BORN, children, family, family_on};
use crate::features::{
    Crop, FaceDetection, Source, Video, compute_crops, crop, graph, memory, video,
};
use metaxy::builder::{DepBuilder, FeatureBuilder, GraphBuilder};
use metaxy::store::Settings;
use metaxy::{Counts, FeatureGraph, HashAlgorithm, Store};
use metaxy_tests::batch::{batch, collect, only};
use metaxy_tests::flow::{compute, counts, delete, increment, key, open, read, write};
use metaxy_tests::place::Place;
use serde_json::{Value, json};

async fn history(store: &Store, feature: &str) -> Vec<Value> {
    let read = store.read_of(&key(feature)).history(true).tombstones(true).other_versions(true);
    collect(read.batches().await.expect("a read")).await
}

async fn filled() -> Store {
    let store = memory().await;
    store.sync(vec![video("a", "1", "1"), video("b", "1", "1")]).await.expect("a sync");
    compute_crops(&store).await;
    store.sync(vec![video("a", "2", "1")]).delete_orphans(true).await.expect("a sync");
    store
}

#[tokio::test]
async fn a_copy_is_the_same_and_can_be_repeated() {
    let (from, to) = (filled().await, memory().await);
    let copied = from.copy_to(&to).await.expect("a copy");
    let told: Vec<_> = copied.iter().map(ToString::to_string).collect();
    assert_eq!(told, ["example/video: 4 copied", "example/crop: 2 copied"]);
    for feature in ["example/video", "example/crop"] {
        assert_eq!(history(&from, feature).await, history(&to, feature).await);
    }
    assert_eq!(counts(&from, "example/crop").await, counts(&to, "example/crop").await);

    let again = from.copy_to(&to).only::<(Video, Crop)>().await.expect("a copy");
    assert!(again.iter().all(|copied| copied.rows == 0), "{again:?}");
    // What came since is all that is copied then.
    from.sync(vec![video("c", "1", "1")]).partial(true).await.expect("a sync");
    let copied = from.copy_to(&to).features([key("example/video")]).await.expect("a copy");
    assert_eq!((copied.len(), copied[0].rows), (1, 1));
    assert_eq!(read(&from, "example/video").await, read(&to, "example/video").await);
}

#[tokio::test]
async fn a_copy_needs_the_same_settings() {
    let from = filled().await;
    let to = Store::open("duckdb::memory:").graph(graph()).create_tables(true);
    let to = to.hash_algorithm(HashAlgorithm::Md5).await.expect("a store");
    let Settings { hash_algorithm, .. } = from.settings();
    let expected = format!("hash_algorithm is {hash_algorithm} in one store and md5 in the other");
    let error = from.copy_to(&to).await.expect_err("a refusal").to_string();
    assert!(error.contains(&expected), "{error}");
    let opened = Store::open("duckdb::memory:").graph(graph()).fallback(to).await;
    let error = opened.expect_err("a refusal").to_string();
    assert!(error.contains("md5"), "{error}");
}

#[tokio::test]
async fn a_copy_into_a_store_that_may_make_no_tables() {
    let (from, place) = (filled().await, Place::new());
    drop(place.open(&graph()).await.expect("a store"));
    let to = Store::open(place.url()).graph(graph()).await.expect("a store");
    let error = from.copy_to(&to).await.expect_err("a refusal").to_string();
    assert!(error.contains("create_tables"), "{error}");
}

#[tokio::test]
async fn a_store_falls_back_on_another() {
    let production = filled().await;
    let store = Store::open("duckdb::memory:").graph(graph()).create_tables(true);
    let store = store.fallback(production.clone()).await.expect("a store");
    let videos = read(&store, "example/video").await;
    assert_eq!(videos, read(&production, "example/video").await);
    assert_eq!(videos.len(), 1);
    assert_eq!(counts(&store, "example/crop").await.new, 1, "its own crops are missing");
    drop(production);

    // The crops are computed here, from videos that are there.
    assert_eq!(compute_crops(&store).await, 1);
    assert!(counts(&store, "example/crop").await.is_up_to_date());
    assert_eq!(read(&store, "example/crop").await.len(), 1);
    assert_eq!(counts(&store, "example/face_detection").await.new, 1);
    let increment = store.resolve_update::<FaceDetection>().await.expect("an increment");
    assert_eq!(increment.counts().new, 1);
    drop(increment);

    // A table here hides all that is there.
    store.sync(vec![video("z", "1", "1")]).await.expect("a sync");
    assert_eq!(read(&store, "example/video").await.len(), 1);
    let of_crop = counts(&store, "example/crop").await;
    assert_eq!((of_crop.new, of_crop.orphaned), (1, 1));
}

#[tokio::test]
async fn outdated_rows_of_a_fallback_block_as_everywhere() {
    let production = memory().await;
    production.sync(vec![video("a", "1", "1")]).await.expect("a sync");
    let jobs = production.resolve_update::<Crop>().await.expect("an increment");
    let mut jobs = jobs.jobs::<Source>();
    let mut out = production.writer::<Crop>();
    while let Some(job) = jobs.try_next().await.expect("a job") {
        out.push(job.done(crop("a")).expect("the record")).await.expect("the record");
    }
    out.commit().await.expect("a commit");
    let bumped = graph().with_code_version("example/crop.frames", "2").expect("a graph");
    let store = Store::open("duckdb::memory:").graph(bumped).create_tables(true);
    let store = store.fallback(production).await.expect("a store");
    let faces = counts(&store, "example/face_detection").await;
    assert_eq!((faces.new, faces.waiting), (0, 1), "the definition of its crop came along");
}

/// From every engine to every engine.
const WAYS: [(&str, &str); 4] = [
    ("memory:", "memory:"),
    ("memory:", "duckdb::memory:"),
    ("duckdb::memory:", "memory:"),
    ("duckdb::memory:", "duckdb::memory:"),
];

#[tokio::test]
async fn an_expansion_is_copied_with_its_seals() {
    for (from, to) in WAYS {
        let from = family_on(from).await;
        // Marks of a child and of a parent, and a parent that came back.
        let delete = async |ids: Value| {
            let deleted = from.delete_of(&key("child"), &[batch(&[ids])]).cascade(true).await;
            deleted.expect("a deletion").records()
        };
        assert_eq!(delete(json!({ "id": "1", "part": 1 })).await, 1);
        assert_eq!(delete(json!({ "id": "2" })).await, 3);
        assert_eq!(delete(json!({ "id": "3" })).await, 2);
        let three = [batch(&[json!({ "id": "3" })])];
        assert_eq!(from.undelete_of(&key("child"), &three).await.expect("it is back").rows, 2);

        let to = open(to, from.graph()).await;
        let copied = from.copy_to(&to).await.expect("a copy");
        assert_eq!(copied.len(), 3);
        for feature in ["a", "child", "leaf"] {
            assert_eq!(history(&from, feature).await, history(&to, feature).await, "{feature}");
        }
        for feature in ["child", "leaf"] {
            assert_eq!(counts(&from, feature).await, counts(&to, feature).await, "{feature}");
            assert_eq!(read(&from, feature).await, read(&to, feature).await, "{feature}");
        }
        let of_child = counts(&to, "child").await;
        assert_eq!((of_child.new, of_child.unchanged, of_child.unsealed), (1, 2, 1), "{of_child}");
        for (from, to) in [(&from, &to), (&to, &from)] {
            let again = from.copy_to(to).await.expect("a copy");
            assert!(again.iter().all(|copied| copied.rows == 0), "{again:?}");
        }
        // The copy goes on by itself.
        let two = [batch(&[json!({ "id": "2" })])];
        assert_eq!(to.undelete_of(&key("child"), &two).await.expect("it is back").seals, 1);
        assert!(counts(&to, "child").await.is_up_to_date());
    }
}

/// That a parent has no children is known as well, and that a table has no rows.
#[tokio::test]
async fn seals_are_copied_without_children() {
    for (from, to) in WAYS {
        let graph = metaxy_tests::flow::graph(&family());
        let from = open(from, &graph).await;
        let row = json!({ "id": "1", "metaxy_provenance_by_field": { "x": "1" } });
        write(&from, "a", &[row]).await.expect("a good row");
        let columns = ["id", "metaxy_try", "metaxy_provenance_by_field"];
        let mut seals = only(&increment(&from, "child").await, &columns);
        let mut none = seals.clone();
        none[0]["part"] = json!(0);
        seals[0]["metaxy_children"] = json!(0);
        let mut out = from.batch_writer(&key("child"));
        out.push(&batch(&none).slice(0, 0)).await.expect("no rows");
        out.seal(&batch(&seals)).await.expect("a good seal");
        out.commit().await.expect("a commit");

        let to = open(to, &graph).await;
        for expected in [[1, 1], [0, 0]] {
            let copied = from.copy_to(&to).await.expect("a copy");
            assert_eq!(copied.iter().map(|copied| copied.rows).collect::<Vec<_>>(), expected);
        }
        let of_child = counts(&to, "child").await;
        assert!(of_child.is_up_to_date(), "{of_child}");
        assert_eq!((of_child.unchanged, of_child.unsealed), (1, 0), "{of_child}");
        assert_eq!(read(&to, "child").await, Vec::<Value>::new());
        // The same of a store that has them from elsewhere.
        let store = Store::open("duckdb::memory:").graph(graph).create_tables(true);
        let store = store.fallback(to).await.expect("a store");
        assert_eq!(counts(&store, "leaf").await, Counts::default());
    }
}

#[tokio::test]
async fn ids_of_all_kinds_are_copied() {
    use metaxy::ScalarType::{Int64, Uuid};
    let features = [
        FeatureBuilder::new("a").id("u", Uuid).id("n", Int64).field("x"),
        FeatureBuilder::new("b")
            .id("u", Uuid)
            .id("n", Int64)
            .id("m", Uuid)
            .field("x")
            .dep(DepBuilder::new("a").expansion(["u", "n"])),
    ];
    let graph = features.into_iter().fold(FeatureGraph::builder(), GraphBuilder::feature);
    let graph = graph.build().expect("a graph");
    let u = "6ba7b810-9dad-11d1-80b4-00c04fd430c8";
    for (from, to) in WAYS {
        let from = open(from, &graph).await;
        let sample = json!({ "u": u.to_uppercase(), "n": -1, "x": "1" });
        from.sync_of(&key("a"), batch(&[sample])).await.expect("a sync");
        let columns = ["u", "n", "metaxy_try", "metaxy_provenance_by_field"];
        let parents = only(&increment(&from, "b").await, &columns);
        let with = |column: &str, value: Value| {
            let mut rows = parents.clone();
            rows.iter_mut().for_each(|row| row[column] = value.clone());
            batch(&rows)
        };
        let mut out = from.batch_writer(&key("b"));
        out.push(&with("m", json!(u))).await.expect("good rows");
        out.seal(&with("metaxy_children", json!(1))).await.expect("good seals");
        out.commit().await.expect("a commit");

        let to = open(to, &graph).await;
        for expected in [[1, 2], [0, 0]] {
            let copied = from.copy_to(&to).await.expect("a copy");
            assert_eq!(copied.iter().map(|copied| copied.rows).collect::<Vec<_>>(), expected);
        }
        assert_eq!(history(&from, "b").await, history(&to, "b").await);
        assert_eq!(only(&read(&to, "b").await, &["u", "m"]), [json!({ "u": u, "m": u })]);
        assert!(counts(&to, "b").await.is_up_to_date());
        assert_eq!(delete(&to, "b", &[json!({ "u": u, "n": -1, "m": u })]).await, 1);
    }
}

/// What is computed from children of another store.
#[tokio::test]
async fn a_store_falls_back_on_an_expansion() {
    for (there, here) in WAYS {
        let production = family_on(there).await;
        let graph = production.graph().clone();
        let store = Store::open(here).graph(graph.clone()).create_tables(true);
        let store = store.fallback(production.clone()).await.expect("a store");
        assert_eq!(children(&store, "child").await, BORN);
        assert_eq!(compute(&store, "leaf").await.new, 8);
        let of_leaf = counts(&store, "leaf").await;
        assert!(of_leaf.is_up_to_date(), "{of_leaf}");

        // A child that is deleted there, and a parent, are gone here.
        assert_eq!(delete(&production, "child", &[json!({ "id": "1", "part": 1 })]).await, 1);
        let two = [batch(&[json!({ "id": "2" })])];
        assert_eq!(production.delete_of(&key("child"), &two).await.expect("it").records(), 3);
        let orphans = increment(&store, "leaf").await;
        assert_eq!(orphans.len(), 4);
        for orphan in &orphans {
            assert_eq!(orphan["metaxy_status"], "orphaned");
            assert_eq!(orphan["metaxy_cause"], "gone");
        }
        production.undelete_of(&key("child"), &two).await.expect("they are back");
        assert_eq!(counts(&store, "leaf").await.orphaned, 1);

        let bumped = graph.with_code_version("child.x", "2").expect("a graph");
        let of_leaf = counts(&store.with_graph(bumped), "leaf").await;
        assert_eq!((of_leaf.blocked, of_leaf.orphaned), (7, 1), "{of_leaf}");

        // Here the parents are missing: they are in no table of this store.
        let of_child = counts(&store, "child").await;
        assert_eq!((of_child.new, of_child.unsealed), (3, 0), "{of_child}");
    }
}
