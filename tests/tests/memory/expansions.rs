//! Any number of records for each upstream record, and the seals that say how many.

use super::*;
use metaxy::ScalarType::Int64;
use metaxy::arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch};
use metaxy::arrow::datatypes::Int64Type;
use metaxy_tests::batch::batch_of;

fn features() -> [FeatureBuilder; 3] {
    let frame = FeatureBuilder::new("frame").id("v", Int64).id("f", Int64).field("x");
    let on_frame = FeatureBuilder::new("face").id("v", Int64).id("f", Int64).field("x");
    [
        FeatureBuilder::new("video").id("v", Int64).field("x"),
        frame.dep(DepBuilder::new("video").expansion(["v"])),
        on_frame.dep("frame"),
    ]
}

fn video(v: i64, x: &str) -> Value {
    json!({ "v": v, "x": x })
}

/// What is to be expanded: the parents of one increment.
async fn parents(world: &World) -> RecordBatch {
    let increment = world.store.resolve_update_of(&key("frame")).await.expect("an increment");
    let batches: Vec<_> = increment.to_compute().try_collect().await.expect("batches");
    assert_eq!(batches.len(), 1, "there is something to do");
    batches[0].clone()
}

/// Writes children of the parents of an increment, and seals for so many; without a number a worker
/// dies before that.
async fn expand(world: &World, parents: &RecordBatch, frames: &[i64], sealed: Option<i64>) {
    let mut out = world.store.batch_writer(&key("frame"));
    let column = |name: &str| parents.column_by_name(name).expect("a column").clone();
    for frame in frames {
        let n = parents.num_rows();
        let f: ArrayRef = Arc::new(Int64Array::from(vec![*frame; n]));
        let columns = ["v", "metaxy_try", "metaxy_provenance_by_field"];
        let columns = columns.map(|name| (name, column(name)));
        out.push(&batch_of(columns.into_iter().chain([("f", f)]))).await.expect("children");
    }
    if let Some(n_children) = sealed {
        let children: ArrayRef = Arc::new(Int64Array::from(vec![n_children; parents.num_rows()]));
        let schema = parents.schema();
        let columns = schema.fields().iter().map(|field| field.name().as_str());
        let columns = columns.zip(parents.columns().iter().cloned());
        let seals = batch_of(columns.chain([("metaxy_children", children)]));
        out.seal(&seals).await.expect("seals");
    }
    out.commit().await.expect("a commit");
}

async fn frames(world: &World) -> Vec<Value> {
    world.read("frame", &["v", "f"]).await
}

#[tokio::test]
async fn a_parent_without_children_is_done() {
    let world = world(features());
    world.sync("video", &[video(1, "a")]).await;
    let job = parents(&world).await;
    assert!(job.column_by_name("f").is_none(), "the parent is the record");
    assert!(
        job.column_by_name("metaxy_try").expect("tries").as_primitive::<Int64Type>().value(0) >= 0
    );
    expand(&world, &job, &[], Some(0)).await;
    let counts = world.counts("frame").await;
    assert_eq!((counts.unchanged, counts.unsealed), (1, 0));
    assert!(counts.is_up_to_date());
}

#[tokio::test]
async fn a_worker_that_dies_leaves_nothing() {
    let world = world(features());
    world.sync("video", &[video(1, "a")]).await;
    let job = parents(&world).await;
    // Before the seal.
    expand(&world, &job, &[1, 2], None).await;
    assert_eq!(world.counts("frame").await.new, 1);
    assert_eq!(frames(&world).await, Vec::<Value>::new());
    // With a seal and without some children.
    let job = parents(&world).await;
    expand(&world, &job, &[1], Some(2)).await;
    assert_eq!(world.counts("frame").await.new, 1);
    assert_eq!(frames(&world).await, Vec::<Value>::new());
    // The rest comes later.
    expand(&world, &job, &[2], None).await;
    assert!(world.counts("frame").await.is_up_to_date());
    assert_eq!(frames(&world).await, [json!([1, 1]), json!([1, 2])]);
}

#[tokio::test]
async fn children_that_a_parent_no_longer_has_are_gone() {
    let world = world(features());
    world.sync("video", &[video(1, "a")]).await;
    expand(&world, &parents(&world).await, &[1, 2, 3], Some(3)).await;
    world.compute("face").await;
    world.sync("video", &[video(1, "b")]).await;
    assert_eq!(world.increment("frame", &["v"]).await, [json!([1, "stale", { "x": "upstream" }])]);
    expand(&world, &parents(&world).await, &[2, 4], Some(2)).await;
    assert_eq!(frames(&world).await, [json!([1, 2]), json!([1, 4])]);
    let expected = [
        json!([1, 1, "orphaned", "gone"]),
        json!([1, 2, "stale", { "x": "upstream" }]),
        json!([1, 3, "orphaned", "gone"]),
        json!([1, 4, "new"]),
    ];
    assert_eq!(world.increment("face", &["v", "f"]).await, expected);
}

#[tokio::test]
async fn of_two_workers_the_later_one_decides() {
    let world = world(features());
    world.sync("video", &[video(1, "a")]).await;
    let (first, second) = (parents(&world).await, parents(&world).await);
    expand(&world, &second, &[1], Some(1)).await;
    expand(&world, &first, &[7, 8], Some(2)).await;
    assert_eq!(frames(&world).await, [json!([1, 7]), json!([1, 8])]);
    // A child that comes late, of a try that is not in force, takes the place of none.
    expand(&world, &second, &[7], None).await;
    assert_eq!(frames(&world).await, [json!([1, 7]), json!([1, 8])]);
    let wrong = world.memory.clone().without(metaxy::store::memory::Rule::SealsBeforeLatest);
    let wrong = World {
        store: Store::with_backend(Arc::new(wrong.clone()), graph(features())),
        memory: wrong,
    };
    assert_eq!(frames(&wrong).await, [json!([1, 8])]);
}

#[tokio::test]
async fn children_are_deleted_one_by_one_and_parents_as_a_whole() {
    let world = world(features());
    world.sync("video", &[video(1, "a"), video(2, "a")]).await;
    expand(&world, &parents(&world).await, &[1, 2, 3], Some(3)).await;
    world.compute("face").await;
    assert_eq!(world.delete("frame", &[json!({ "v": 1, "f": 2 })]).await, 1);
    let hard = world.store.delete_of(&key("frame"), &[batch(&[json!({ "v": 1, "f": 3 })])]);
    let report = hard.hard(true).await.expect("a deletion");
    assert_eq!((report.records(), report.rows_removed()), (1, 1));
    assert!(world.counts("frame").await.is_up_to_date(), "nothing is pending because of that");
    let left = [json!([1, 1]), json!([2, 1]), json!([2, 2]), json!([2, 3])];
    assert_eq!(frames(&world).await, left);
    let gone = [json!([1, 2, "orphaned", "gone"]), json!([1, 3, "orphaned", "gone"])];
    assert_eq!(world.increment("face", &["v", "f"]).await, gone);

    let ids = batch(&[json!({ "v": 2 })]);
    let deleted = world.store.delete_of(&key("frame"), std::slice::from_ref(&ids)).await;
    assert_eq!(deleted.expect("a deletion").records(), 3);
    assert_eq!(world.counts("frame").await.new, 1);
    world.store.undelete_of(&key("frame"), &[ids]).await.expect("it comes back");
    assert!(world.counts("frame").await.is_up_to_date());
    assert_eq!(frames(&world).await, left);
}

/// Rows of a program that knows no seals.
#[tokio::test]
async fn rows_without_a_try_seal_their_parent() {
    let world = world(features());
    world.sync("video", &[video(1, "a")]).await;
    let expected = world.call("frame", ResolveOptions::default()).await.1[0].clone();
    let foreign = |f: i64| {
        json!({ "v": 1, "f": f, "metaxy_feature_version": "theirs", "metaxy_updated_at": null,
            "metaxy_provenance_by_field": expected["metaxy_provenance_by_field"],
            "metaxy_data_version_by_field": { "x": "theirs" } })
    };
    world.import("frame", &[foreign(1), foreign(2)]).await;
    let counts = world.counts("frame").await;
    assert_eq!((counts.unchanged, counts.unchanged_older, counts.unsealed), (1, 1, 1));
    assert_eq!(world.counts("face").await.waiting, 2, "nobody knows what made them");
    world.sync("video", &[video(1, "b")]).await;
    expand(&world, &parents(&world).await, &[2], Some(1)).await;
    assert_eq!(frames(&world).await, [json!([1, 2])]);
    assert_eq!(world.counts("frame").await.unsealed, 0);
}
