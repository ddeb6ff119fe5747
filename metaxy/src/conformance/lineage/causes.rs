//! Why a record is orphaned, and which orphans are deleted when one asks for that.

use super::*;
use ScalarType::{Int64, Text};

fn root() -> FeatureBuilder {
    FeatureBuilder::new("a").id("i", Int64).column("size", Int64).field("x")
}

/// A feature on `a`, and on what else is said.
fn on_a(key: &str, more: impl IntoIterator<Item = DepBuilder>) -> FeatureBuilder {
    let feature = FeatureBuilder::new(key).id("i", Int64).field("x").dep(a());
    more.into_iter().fold(feature, FeatureBuilder::dep)
}

fn a() -> DepBuilder {
    DepBuilder::new("a").select::<&str>([])
}

fn row(i: i64, size: i64) -> Value {
    json!({ "i": i, "size": size, "x": "1" })
}

pub(crate) async fn gone_when_the_upstream_record_was_deleted(engine: &dyn Engine) {
    let world = world(engine, [root(), on_a("d", [])]).await;
    world.sync("a", &[row(1, 1), row(2, 2)]).await;
    world.compute("d").await;
    world.delete("a", &[json!({ "i": 1 })]).await;
    assert_eq!(world.increment("d", &["i"]).await, [json!([1, "orphaned", "gone"])]);

    // It comes back, and there is nothing to do.
    world.add("a", &[row(1, 1)]).await;
    assert!(world.counts("d").await.is_up_to_date());
}

pub(crate) async fn gone_without_any_row_that_says_so(engine: &dyn Engine) {
    let world = world(engine, [root(), on_a("d", [])]).await;
    world.sync("a", &[row(1, 1), row(2, 2)]).await;
    world.compute("d").await;
    let hard = world.store.delete_where_of(&key("a"), "i = 1").hard(true);
    assert_eq!(hard.await.expect("a deletion").rows_removed(), 1);
    assert_eq!(world.increment("d", &["i"]).await, [json!([1, "orphaned", "gone"])]);
}

pub(crate) async fn gone_when_all_members_of_a_group_are(engine: &dyn Engine) {
    let group = DepBuilder::new("a").aggregation(["size"]);
    let d = FeatureBuilder::new("d").id("size", Int64).field("x").dep(group);
    let world = world(engine, [root(), d]).await;
    world.sync("a", &[row(1, 1), row(2, 1), row(3, 2)]).await;
    world.compute("d").await;
    world.delete("a", &[json!({ "i": 1 }), json!({ "i": 3 })]).await;
    let expected = [json!([1, "stale", { "x": "upstream" }]), json!([2, "orphaned", "gone"])];
    assert_eq!(world.increment("d", &["size"]).await, expected);
}

/// Nothing is left that could tell of what the groups were.
pub(crate) async fn a_hard_cascade_takes_groups_as_well(engine: &dyn Engine) {
    let group = DepBuilder::new("a").aggregation(["size"]);
    let d = FeatureBuilder::new("d").id("size", Int64).field("x").dep(group);
    let of_d = DepBuilder::new("d").select::<&str>([]);
    let e = FeatureBuilder::new("e").id("size", Int64).field("x").dep(of_d);
    let world = world(engine, [root(), d, e]).await;
    world.sync("a", &[row(1, 1), row(2, 1), row(3, 2), row(4, 3)]).await;
    world.compute("d").await;
    world.compute("e").await;
    // Somebody else's orphan stays: it was one before.
    world.store.delete_of(&key("a"), &[batch(&[json!({ "i": 4 })])]).await.expect("a deletion");
    let records = [json!({ "i": 1 }), json!({ "i": 3 })];
    let deletion = world.store.delete_of(&key("a"), &[batch(&records)]);
    let report = deletion.hard(true).history(true).cascade(true).await.expect("a deletion");
    let lines = "a: 2 records deleted, 2 rows removed\nd: 1 record deleted, 1 row removed\n\
                 e: 1 record deleted, 1 row removed";
    assert_eq!(report.to_string(), lines);
    for feature in ["d", "e"] {
        let left = flow::read(&world.store, feature).await;
        let left: Vec<&Value> = left.iter().map(|row| &row["size"]).collect();
        assert_eq!(left, [1, 3], "{feature}");
    }
}

pub(crate) async fn excluded_by_a_filter(engine: &dyn Engine) {
    let filtered = || {
        let dep = a().filter("size < 3");
        FeatureBuilder::new("d").id("i", Int64).field("x").dep(dep)
    };
    let world = world(engine, [root(), filtered()]).await;
    world.sync("a", &[row(1, 1), row(2, 2), row(3, 3)]).await;
    assert_eq!(world.compute("d").await.new, 2);
    // The record is there, with another value.
    world.add("a", &[json!({ "i": 1, "size": 7, "x": "2" })]).await;
    assert_eq!(world.increment("d", &["i"]).await, [json!([1, "orphaned", "excluded"])]);
    // A record that is deleted is gone, whatever the filter would have said.
    world.delete("a", &[json!({ "i": 1 })]).await;
    assert_eq!(world.increment("d", &["i"]).await, [json!([1, "orphaned", "gone"])]);
}

pub(crate) async fn excluded_when_the_members_moved(engine: &dyn Engine) {
    let group = DepBuilder::new("a").aggregation(["size"]);
    let d = FeatureBuilder::new("d").id("size", Int64).field("x").dep(group);
    let world = world(engine, [root(), d]).await;
    world.sync("a", &[row(1, 1), row(2, 2)]).await;
    world.compute("d").await;
    world.add("a", &[json!({ "i": 1, "size": 2, "x": "moved" })]).await;
    let expected = [json!([1, "orphaned", "excluded"]), json!([2, "stale", { "x": "upstream" }])];
    assert_eq!(world.increment("d", &["size"]).await, expected);
    // Where it is now does not matter to the group that it left.
    world.delete("a", &[json!({ "i": 1 })]).await;
    assert_eq!(world.increment("d", &["size"]).await, [json!([1, "orphaned", "excluded"])]);
}

/// The features `b` on `a`, and `d` on `a` alone or on both.
fn with_b(reads_b: bool) -> [FeatureBuilder; 3] {
    let b = reads_b.then(|| DepBuilder::new("b").no_fields());
    [root(), on_a("b", []), on_a("d", b)]
}

pub(crate) async fn missing_when_a_required_upstream_was_never_computed(engine: &dyn Engine) {
    let world = world(engine, with_b(false)).await;
    world.sync("a", &[row(1, 1), row(2, 2)]).await;
    world.compute("d").await;

    let world = world.under(with_b(true));
    let missing = [json!([1, "orphaned", "missing"]), json!([2, "orphaned", "missing"])];
    assert_eq!(world.increment("d", &["i"]).await, missing, "without a table of it");
    let deleted = world.store.delete_orphans_of(&key("d")).await.expect("a deletion");
    assert_eq!(deleted.records(), 0, "a stage that has not run yet deletes nothing");

    let increment = world.update("b").filter(&key("a"), "i = 1").await.expect("an increment");
    let batches: Vec<_> = increment.to_compute().try_collect().await.expect("batches");
    let mut out = world.store.batch_writer(&key("b"));
    out.push(&batches[0]).await.expect("good rows");
    out.commit().await.expect("a commit");
    assert_eq!(world.increment("d", &["i"]).await, missing[1..], "with a table of it");
    world.compute("b").await;
    assert!(world.counts("d").await.is_up_to_date());
}

/// `a` has the record, `b` has lost it.
pub(crate) async fn one_upstream_that_knows_decides(engine: &dyn Engine) {
    let world = world(engine, with_b(true)).await;
    world.sync("a", &[row(1, 1), row(2, 2)]).await;
    world.compute("b").await;
    world.compute("d").await;
    world.delete("b", &[json!({ "i": 1 })]).await;
    assert_eq!(world.increment("d", &["i"]).await, [json!([1, "orphaned", "gone"])]);
    // Of two that lack it, one lacks any trace: the other one decides.
    let c = FeatureBuilder::new("c").id("i", Int64).field("x");
    let [a, b, d] = with_b(true);
    let world = world.under([a, b, c, d.dep(DepBuilder::new("c").no_fields())]);
    let expected = [json!([1, "orphaned", "gone"]), json!([2, "orphaned", "missing"])];
    assert_eq!(world.increment("d", &["i"]).await, expected);
}

pub(crate) async fn deleted_only_when_it_is_known_why(engine: &dyn Engine) {
    let text = FeatureBuilder::new("b").id("i", Int64).column("kind", Text).field("x");
    let features = |b: Option<DepBuilder>| [root(), text.clone(), on_a("d", b)];
    let world = world(engine, features(None)).await;
    let ids: Vec<Value> = (1..=4).map(|i| row(i, 0)).collect();
    world.sync("a", &ids).await;
    world.compute("d").await;

    // 1 stays, 2 is left out, 3 was deleted, and of 4 nothing is known.
    let b = |i: i64, kind: &str| json!({ "i": i, "kind": kind, "x": "1" });
    world.sync("b", &[b(1, "good"), b(2, "bad"), b(3, "good")]).await;
    world.delete("b", &[json!({ "i": 3 })]).await;
    let on_good = DepBuilder::new("b").select::<&str>([]).filter("kind = 'good'").no_fields();
    let world = world.under(features(Some(on_good)));
    let expected = [
        json!([2, "orphaned", "excluded"]),
        json!([3, "orphaned", "gone"]),
        json!([4, "orphaned", "missing"]),
    ];
    assert_eq!(world.increment("d", &["i"]).await, expected);

    let orphans = || world.store.delete_orphans_of(&key("d"));
    let dry = orphans().dry_run(true).await.expect("a deletion");
    assert_eq!(dry.records(), 2);
    assert_eq!(orphans().await.expect("a deletion").records(), 2);
    assert_eq!(world.increment("d", &["i"]).await, expected[2..]);
    assert_eq!(orphans().await.expect("a deletion").records(), 0, "and never by itself");
    assert_eq!(orphans().missing(true).await.expect("a deletion").records(), 1);
    assert_eq!(world.read("d", &["i"]).await, [json!([1])]);
    assert!(world.counts("d").await.is_up_to_date());
}
