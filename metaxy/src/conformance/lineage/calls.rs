//! Calls with options: which records are answered, in which order, and which are declared stale.

use super::*;
use crate::store::Failed;
use ScalarType::{Int64, Text};
use futures::StreamExt;
use std::time::Duration;

fn features() -> [FeatureBuilder; 2] {
    let a = FeatureBuilder::new("a").id("i", Int64).nullable_column("size", Int64).field("x");
    let d = FeatureBuilder::new("d").id("i", Int64).nullable_column("size", Int64).field("x");
    [a, d.dep("a")]
}

/// Six records, by size: 2 and 5, 1 and 4, 6; the size of 3 is not known.
fn rows(x: &str) -> Vec<Value> {
    let sizes = [(1, Some(1)), (2, Some(0)), (3, None), (4, Some(1)), (5, Some(0)), (6, Some(2))];
    sizes.map(|(i, size)| json!({ "i": i, "size": size, "x": x })).into()
}

/// A store with six records in `a`, none of which was computed.
async fn six(engine: &dyn Engine) -> World {
    let world = world(engine, features()).await;
    world.sync("a", &rows("1")).await;
    world
}

/// The ids that a call answers, in the order in which they come.
async fn ids(update: Update<AnyFeature>) -> Vec<i64> {
    rows_of(update).await.iter().filter_map(|row| row["i"].as_i64()).collect()
}

/// Whoever asks again after the end is told again.
pub(crate) async fn streams_stay_at_their_end(engine: &dyn Engine) {
    let world = six(engine).await;
    let read = async |feature: &str| {
        let read = world.store.read_of(&key(feature));
        read.batches().await.expect("rows")
    };
    let update = async || world.update("d").await.expect("an increment").batches();
    let increment = update().await;
    world.compute("d").await;
    let nothing = update().await;
    for mut batches in [read("a").await, read("d").await, increment, nothing] {
        while batches.try_next().await.expect("a batch").is_some() {}
        for _ in 0..3 {
            assert!(batches.next().await.is_none());
        }
    }
}

pub(crate) async fn shards_are_disjoint_complete_and_stable(engine: &dyn Engine) {
    let world = six(engine).await;
    let shards = async || {
        let mut shards = Vec::new();
        for index in 0..3 {
            let mut shard = ids(world.update("d").shard(index, 3)).await;
            shard.sort_unstable();
            shards.push(shard);
        }
        shards
    };
    // Decided by the ids alone, so that the numbers are the same on every engine and for ever.
    let expected = [vec![6], vec![5], vec![1, 2, 3, 4]];
    assert_eq!(shards().await, expected, "when they are new");
    world.compute("d").await;
    world.sync("a", &rows("2")).await;
    assert_eq!(shards().await, expected, "and when they are stale");
    let counts = world.update("d").shard(2, 3).counts().await.expect("counts");
    assert_eq!((counts.stale, counts.unchanged, counts.orphaned), (4, 0, 0));
    let all = world.update("d").shard(0, 1);
    assert_eq!(ids(all).await.len(), 6);
    let none = world.update("d").shard(3, 3).await.expect_err("a refusal");
    assert_eq!(
        none.to_string(),
        "a shard cannot be number 3 of 3: shards are counted from 0, and there is at least one"
    );
}

pub(crate) async fn shards_of_an_expansion_are_of_parents(engine: &dyn Engine) {
    let [a, _] = features();
    let frame = FeatureBuilder::new("frame").id("i", Int64).id("n", Int64).field("x");
    let frame = frame.dep(DepBuilder::new("a").select::<&str>([]).expansion(["i"]));
    let world = world(engine, [a, frame]).await;
    world.sync("a", &rows("1")).await;
    let mut all = Vec::new();
    for index in 0..2 {
        all.extend(ids(world.update("frame").shard(index, 2)).await);
    }
    all.sort_unstable();
    assert_eq!(all, [1, 2, 3, 4, 5, 6]);
}

pub(crate) async fn orders_put_null_last_and_ids_decide_ties(engine: &dyn Engine) {
    let world = six(engine).await;
    let update = || world.update("d");
    assert_eq!(ids(update().order_by("size")).await, [2, 5, 1, 4, 6, 3]);
    assert_eq!(ids(update().order_by_desc("size")).await, [6, 1, 4, 2, 5, 3]);
    assert_eq!(ids(update().order_by("size").order_by_desc("i")).await, [5, 2, 4, 1, 6, 3]);
    assert_eq!(ids(update().order_by_desc("i")).await, [6, 5, 4, 3, 2, 1]);
}

pub(crate) async fn a_limit_comes_after_the_order_and_the_counts(engine: &dyn Engine) {
    let world = six(engine).await;
    let largest = || world.update("d").order_by_desc("size").limit(2);
    assert_eq!(ids(largest()).await, [6, 1]);
    assert_eq!(largest().await.expect("an increment").counts().new, 6);
    assert_eq!(ids(world.update("d").limit(2)).await, [1, 2], "by ids without an order");
    assert_eq!(ids(world.update("d").limit(0)).await, Vec::<i64>::new());
    assert_eq!(ids(world.update("d").limit(100)).await.len(), 6);
    let filtered = world.update("d").filter(&key("a"), "size = 1").order_by_desc("i").limit(1);
    let filtered = filtered.await.expect("an increment");
    assert_eq!(filtered.counts().new, 2, "those that are selected");

    // Orphans are not told of, even if there is room.
    world.compute("d").await;
    world.delete("a", &[json!({ "i": 1 })]).await;
    world.add("a", &[json!({ "i": 2, "size": 0, "x": "2" })]).await;
    let stale = [json!([2, "stale", { "x": "upstream" }])];
    assert_eq!(answers(world.update("d").limit(5), &["i"]).await, stale);
}

pub(crate) async fn filters_of_a_call_look_at_the_row_of_an_upstream(engine: &dyn Engine) {
    let world = six(engine).await;
    let filter = |text: &str| world.update("d").filter(&key("a"), text);
    assert_eq!(ids(filter("size IN (0, 2)").order_by("i")).await, [2, 5, 6]);
    assert_eq!(ids(filter("size <> 0").order_by("i")).await, [1, 4, 6], "NULL is not answered");
    assert_eq!(ids(filter("size IS NULL")).await, [3]);
    assert_eq!(ids(filter("size = 1").filter(&key("a"), "i > 1")).await, [4], "all have to hold");
    assert_eq!(ids(world.update("d").global_filter("i = 5")).await, [5]);
    let all = sorted(rows_of(world.update("d")).await);
    let one = rows_of(filter("i = 5")).await;
    assert_eq!(one, all[4..5], "hashed like without a filter");
}

pub(crate) async fn filters_over_stored_records_see_what_is_stored(engine: &dyn Engine) {
    let world = six(engine).await;
    let first = world.update("d").filter(&key("a"), "i <= 3").await.expect("an increment");
    let batches: Vec<_> = first.to_compute().try_collect().await.expect("batches");
    let mut out = world.store.batch_writer(&key("d")).materialization_id("run 1");
    for batch in &batches {
        out.push(batch).await.expect("good rows");
    }
    out.commit().await.expect("a commit");
    let target = |text: &str| world.update("d").target_filter(text);
    let counts = target("metaxy_materialization_id = 'run 1'").counts().await.expect("counts");
    assert_eq!((counts.new, counts.unchanged), (0, 3));
    // What is not stored has its ids and nothing else.
    assert_eq!(ids(target("size IS NULL").order_by("i")).await, [4, 5, 6]);
    assert_eq!(ids(target("i > 4").order_by("i")).await, [5, 6]);
}

/// Computes `d` with data versions of its own.
async fn with_own_versions(engine: &dyn Engine) -> World {
    let world = six(engine).await;
    let mut rows = rows_of(world.update("d")).await;
    for row in &mut rows {
        row["metaxy_data_version_by_field"] = json!({ "x": "of the content" });
    }
    let columns = ["i", "size", "metaxy_provenance_by_field", "metaxy_data_version_by_field"];
    let rows = crate::conformance::batch::only(&rows, &columns);
    flow::write(&world.store, "d", &rows).await.expect("good rows");
    assert!(world.counts("d").await.is_up_to_date());
    world
}

pub(crate) async fn without_a_comparison_all_is_forced(engine: &dyn Engine) {
    let world = with_own_versions(engine).await;
    world.add("a", &[json!({ "i": 1, "size": 1, "x": "2" })]).await;
    world.add("a", &[json!({ "i": 7, "size": 1, "x": "1" })]).await;
    let all = || world.update("d").skip_comparison(true);
    let found = sorted(answers(all(), &["i"]).await);
    assert_eq!(found[0], json!([1, "stale", { "x": "upstream,forced" }]));
    for (i, row) in (2..=6).zip(&found[1..6]) {
        assert_eq!(*row, json!([i, "stale", { "x": "forced" }]));
    }
    assert_eq!(found[6..], [json!([7, "new"])]);
    let counts = all().counts().await.expect("counts");
    assert_eq!((counts.new, counts.stale, counts.unchanged), (1, 6, 0));
    // What was computed again is not what is stored: its version is not kept.
    for row in rows_of(all()).await {
        assert_eq!(row["metaxy_data_version_by_field"], row["metaxy_provenance_by_field"]);
    }
}

pub(crate) async fn a_condition_can_force_records(engine: &dyn Engine) {
    let world = with_own_versions(engine).await;
    let forced = || world.update("d").stale_if("size = 2").stale_if("i = 1");
    let found = sorted(answers(forced(), &["i"]).await);
    let expected = [1, 6].map(|i| json!([i, "stale", { "x": "forced" }]));
    assert_eq!(found, expected, "one of them is enough");
    let counts = forced().counts().await.expect("counts");
    assert_eq!((counts.stale, counts.unchanged), (2, 4));
    for row in rows_of(forced()).await {
        assert_eq!(row["metaxy_data_version_by_field"], row["metaxy_provenance_by_field"]);
    }
    assert!(world.counts("d").await.is_up_to_date(), "the next call knows nothing of it");
    let none = world.update("d").stale_if("metaxy_updated_at < '2000-01-01'");
    assert_eq!(none.counts().await.expect("counts").stale, 0);
    // It does not make anything of what cannot be computed.
    world.delete("a", &[json!({ "i": 1 })]).await;
    let found = sorted(answers(forced(), &["i"]).await);
    assert_eq!(found, [json!([1, "orphaned", "gone"]), expected[1].clone()]);
}

pub(crate) async fn a_condition_can_force_parents(engine: &dyn Engine) {
    let a = FeatureBuilder::new("a").id("i", Int64).field("x");
    let frame =
        FeatureBuilder::new("frame").id("i", Int64).id("n", Int64).nullable_column("text", Text);
    let frame = frame.field("x").dep(DepBuilder::new("a").expansion(["i"]));
    let world = world(engine, [a, frame]).await;
    world.sync("a", &[json!({ "i": 1, "x": "1" }), json!({ "i": 2, "x": "1" })]).await;
    let increment = world.update("frame").await.expect("an increment");
    let batches: Vec<_> = increment.to_compute().try_collect().await.expect("batches");
    let mut parents = crate::conformance::batch::rows(&batches);
    parents.iter_mut().for_each(|parent| parent["metaxy_children"] = json!(0));
    let mut out = world.store.batch_writer(&key("frame")).materialization_id("run 1");
    out.seal(&batch(&parents)).await.expect("good seals");
    out.commit().await.expect("a commit");
    assert!(world.counts("frame").await.is_up_to_date());
    let forced = world.update("frame").stale_if("i = 2");
    assert_eq!(answers(forced, &["i"]).await, [json!([2, "stale", { "x": "forced" }])]);
    let forced = world.update("frame").stale_if("metaxy_materialization_id = 'run 1'");
    assert_eq!(forced.counts().await.expect("counts").stale, 2);
    let error = world.update("frame").stale_if("text = 'a'").await.expect_err("a refusal");
    assert!(error.to_string().contains("text"), "a parent has no column of children: {error}");
}

/// The records with these ids fail.
async fn fail(world: &World, condition: &str) {
    let increment = world.update("d").filter(&key("a"), condition).await.expect("an increment");
    let batches: Vec<_> = increment.to_compute().try_collect().await.expect("batches");
    let mut out = world.store.batch_writer(&key("d"));
    for batch in &batches {
        out.fail(batch, &["no memory"]).expect("failures");
    }
    out.commit().await.expect("a commit");
}

pub(crate) async fn failures_are_left_out(engine: &dyn Engine) {
    let world = six(engine).await;
    fail(&world, "i <= 2").await;
    let left_out = || world.update("d").failed(Failed::LeaveOut);
    assert_eq!(ids(left_out().order_by("i")).await, [3, 4, 5, 6]);
    assert_eq!(left_out().counts().await.expect("counts").new, 4);
    assert_eq!(ids(left_out().order_by("i").limit(1)).await, [3], "before the limit");
    assert_eq!(world.counts("d").await.new, 6, "who does not ask is told of all");
}

pub(crate) async fn failures_are_tried_again(engine: &dyn Engine) {
    let world = six(engine).await;
    fail(&world, "i <= 2").await;
    fail(&world, "i = 2").await;
    let retried = async |attempts: u64, after: Duration| {
        ids(world.update("d").retry_failed(attempts, after).order_by("i")).await
    };
    let hour = Duration::from_secs(3600);
    assert_eq!(retried(3, Duration::ZERO).await, [1, 2, 3, 4, 5, 6]);
    assert_eq!(retried(2, Duration::ZERO).await, [1, 3, 4, 5, 6], "2 has failed twice");
    assert_eq!(retried(1, Duration::ZERO).await, [3, 4, 5, 6]);
    assert_eq!(retried(3, hour).await, [3, 4, 5, 6], "they have failed just now");
}

pub(crate) async fn other_inputs_are_another_matter(engine: &dyn Engine) {
    let world = six(engine).await;
    fail(&world, "i <= 2").await;
    world.add("a", &[json!({ "i": 1, "size": 1, "x": "2" })]).await;
    let left_out = || world.update("d").failed(Failed::LeaveOut).order_by("i");
    assert_eq!(ids(left_out()).await, [1, 3, 4, 5, 6]);
    world.add("a", &[json!({ "i": 1, "size": 1, "x": "1" })]).await;
    assert_eq!(ids(left_out()).await, [3, 4, 5, 6], "and the former inputs the former one");
}

pub(crate) async fn a_success_clears_failures(engine: &dyn Engine) {
    let world = six(engine).await;
    fail(&world, "i <= 2").await;
    let failures = async || {
        let failures = world.store.failures_of(&key("d")).await.expect("failures");
        let mut ids: Vec<String> = failures.iter().map(|f| f.ids.join(",")).collect();
        ids.sort();
        ids
    };
    assert_eq!(failures().await, ["1", "2"]);
    let some = world.update("d").filter(&key("a"), "i = 1").await.expect("an increment");
    let batches: Vec<_> = some.to_compute().try_collect().await.expect("batches");
    let mut out = world.store.batch_writer(&key("d"));
    out.push(&batches[0]).await.expect("good rows");
    out.commit().await.expect("a commit");
    assert_eq!(failures().await, ["2"]);
    // Forced, it is computed again although it had failed before.
    let forced = world.update("d").stale_if("i = 1").failed(Failed::LeaveOut).order_by("i");
    assert_eq!(ids(forced).await, [1, 3, 4, 5, 6]);
}

pub(crate) async fn unknown_names_are_refused(engine: &dyn Engine) {
    let world = six(engine).await;
    let told = async |update: Update<AnyFeature>| {
        update.counts().await.expect_err("a refusal").to_string()
    };
    let b = told(world.update("d").filter(&key("b"), "i = 1")).await;
    assert!(b.contains("`b`"), "{b}");
    for update in [
        world.update("d").filter(&key("a"), "sise = 1"),
        world.update("d").global_filter("sise = 1"),
        world.update("d").target_filter("sise = 1"),
        world.update("d").stale_if("sise = 1"),
        world.update("d").order_by("sise"),
    ] {
        let error = told(update).await;
        assert!(error.contains("`sise`"), "{error}");
    }
}
