//! Upstreams that a record can do without.

use super::*;
use metaxy::ScalarType::Int64;

fn root(name: &str) -> FeatureBuilder {
    FeatureBuilder::new(name).id("i", Int64).field("x")
}

fn of(deps: [DepBuilder; 2]) -> FeatureBuilder {
    let feature = FeatureBuilder::new("d").id("i", Int64).field("x");
    deps.into_iter().fold(feature, FeatureBuilder::dep)
}

fn row(i: i64, x: &str) -> Value {
    json!({ "i": i, "x": x })
}

#[tokio::test]
async fn what_is_absent_is_hashed_as_the_empty_text() {
    let deps = || [DepBuilder::new("a"), DepBuilder::new("b").optional()];
    let world = world([root("a"), root("b"), of(deps())]);
    world.sync("a", &[row(1, "1"), row(2, "2")]).await;
    let (counts, rows) = world.call("d", ResolveOptions::default()).await;
    assert_eq!(counts.new, 2);
    let expected = hash("x|__metaxy_initial__|a.x|1|b.x|");
    assert_eq!(rows[0]["metaxy_provenance_by_field"], json!({ "x": expected }));
    world.compute("d").await;
    world.sync("b", &[row(2, "new"), row(3, "nobody's")]).await;
    let stale = [json!([2, "stale", { "x": "upstream" }])];
    assert_eq!(world.increment("d", &["i"]).await, stale);
    world.compute("d").await;

    // What it did without comes and goes; an outdated one has to be computed first.
    let bumped = FieldBuilder::new("x").code_version("2");
    let b = FeatureBuilder::new("b").id("i", Int64).field(bumped);
    let bumped = world.under([root("a"), b, of(deps())]);
    assert_eq!(bumped.increment("d", &["i"]).await, [json!([2, "blocked", "b is stale"])]);
    world.sync("b", &[]).await;
    let stale = [json!([2, "stale", { "x": "upstream" }])];
    assert_eq!(world.increment("d", &["i"]).await, stale);
}

#[tokio::test]
async fn any_of_several_is_enough() {
    let deps = [DepBuilder::new("a").optional(), DepBuilder::new("b").optional()];
    let world = world([root("a"), root("b"), of(deps)]);
    world.sync("a", &[row(1, "1"), row(2, "2")]).await;
    world.sync("b", &[row(2, "2"), row(3, "3")]).await;
    let new = [json!([1, "new"]), json!([2, "new"]), json!([3, "new"])];
    assert_eq!(world.increment("d", &["i"]).await, new);
    world.compute("d").await;
    world.sync("a", &[row(1, "1")]).await;
    world.sync("b", &[row(2, "2")]).await;
    let expected = [json!([2, "stale", { "x": "upstream" }]), json!([3, "orphaned", "gone"])];
    assert_eq!(world.increment("d", &["i"]).await, expected);
}

/// What is optional is not to blame for an orphan.
#[tokio::test]
async fn a_filter_excludes_and_the_required_upstream_decides() {
    let deps = || [DepBuilder::new("a").filter("i < 3"), DepBuilder::new("b").optional()];
    let world =
        world([root("a"), root("b"), of([DepBuilder::new("a"), DepBuilder::new("b").optional()])]);
    world.sync("a", &[row(2, "2"), row(3, "3"), row(4, "4")]).await;
    world.sync("b", &[row(3, "3")]).await;
    world.compute("d").await;
    world.sync("b", &[]).await;
    world.sync("a", &[row(2, "2"), row(3, "3")]).await;
    let filtered = world.under([root("a"), root("b"), of(deps())]);
    let expected = [json!([3, "orphaned", "excluded"]), json!([4, "orphaned", "gone"])];
    assert_eq!(filtered.increment("d", &["i"]).await, expected);
}
