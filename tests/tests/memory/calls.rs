//! What a call selects, and that it changes nothing else.

use super::*;
use metaxy::ScalarType::Int64;

fn features() -> [FeatureBuilder; 2] {
    let root = FeatureBuilder::new("a").id("i", Int64).column("size", Int64).field("x");
    [root, FeatureBuilder::new("d").id("i", Int64).column("size", Int64).field("x").dep("a")]
}

fn rows(x: &str) -> Vec<Value> {
    (1..=6).map(|i| json!({ "i": i, "size": i % 3, "x": x })).collect()
}

async fn ids(world: &World, options: ResolveOptions) -> Vec<i64> {
    let (_, rows) = world.call("d", options).await;
    rows.iter().filter_map(|row| row["i"].as_i64()).collect()
}

#[tokio::test]
async fn filters_limits_orders_and_shards_select() {
    let world = world(features());
    world.sync("a", &rows("1")).await;
    let all = world.call("d", ResolveOptions::default()).await.1;
    let filtered = options(|o| o.filters = vec![(key("a"), "size = 1".to_owned())]);
    let (counts, some) = world.call("d", filtered).await;
    assert_eq!(counts.new, 2);
    assert_eq!(some, [all[0].clone(), all[3].clone()], "they are what they are without a filter");

    let largest = options(|o| {
        o.order_by = vec![("size".to_owned(), true)];
        o.limit = Some(3);
    });
    let (counts, _) = world.call("d", largest.clone()).await;
    assert_eq!(counts.new, 6, "all that are selected are counted");
    assert_eq!(ids(&world, largest).await, [2, 5, 1]);

    let mut in_shards = Vec::new();
    for shard in 0..3 {
        in_shards.extend(ids(&world, options(|o| o.shard = Some((shard, 3)))).await);
    }
    in_shards.sort_unstable();
    assert_eq!(in_shards, [1, 2, 3, 4, 5, 6], "each is in one of them");
}

#[tokio::test]
async fn a_call_can_declare_records_stale() {
    let world = world(features());
    world.sync("a", &rows("1")).await;
    world.compute("d").await;
    let forced = options(|o| o.stale_if = vec!["size = 0".to_owned()]);
    let (counts, found) = world.call("d", forced).await;
    assert_eq!((counts.stale, counts.unchanged), (2, 4));
    assert_eq!(found[0]["metaxy_stale_fields"], json!({ "x": "forced" }));
    let (counts, _) = world.call("d", options(|o| o.skip_comparison = true)).await;
    assert_eq!((counts.stale, counts.unchanged), (6, 0));
    let (counts, _) =
        world.call("d", options(|o| o.target_filters = vec!["i > 4".to_owned()])).await;
    assert_eq!(counts.unchanged, 2);
}

#[tokio::test]
async fn failures_count_for_the_inputs_that_the_record_had() {
    let world = world(features());
    world.sync("a", &rows("1")).await;
    let increment = world.store.resolve_update_of(&key("d")).await.expect("an increment");
    let batches: Vec<_> = increment.to_compute().try_collect().await.expect("batches");
    let mut out = world.store.batch_writer(&key("d"));
    out.fail(&batches[0].slice(0, 2), &["no memory"]).expect("failures");
    out.commit().await.expect("a commit");
    let leave_out = || options(|o| o.failed = Failed::LeaveOut);
    assert_eq!(ids(&world, leave_out()).await, [3, 4, 5, 6]);
    let retry = |attempts, before| options(|o| o.failed = Failed::Retry { attempts, before });
    assert_eq!(ids(&world, retry(2, i64::MAX)).await.len(), 6);
    assert_eq!(ids(&world, retry(2, 0)).await.len(), 4);
    assert_eq!(ids(&world, retry(1, i64::MAX)).await.len(), 4);

    world.sync("a", &rows("2")).await;
    assert_eq!(ids(&world, leave_out()).await.len(), 6, "with other inputs they are tried again");
    world.compute("d").await;
    let left = world.memory.failures(world.feature("d")).await.expect("failures");
    assert_eq!(left, [], "a write clears them");
}
