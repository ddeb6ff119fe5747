//! One record for each group of upstream records.

use super::*;
use metaxy::ScalarType::{Int64, Text};

fn readings(code_version: &str) -> FeatureBuilder {
    FeatureBuilder::new("reading")
        .id("n", Int64)
        .column("sensor", Text)
        .field(FieldBuilder::new("v").code_version(code_version))
}

fn per_sensor() -> FeatureBuilder {
    let dep = DepBuilder::new("reading").aggregation(["sensor"]);
    FeatureBuilder::new("per_sensor").id("sensor", Text).field("v").dep(dep)
}

fn reading(n: i64, sensor: &str, v: &str) -> Value {
    json!({ "n": n, "sensor": sensor, "v": v })
}

/// The version of a group, and what is hashed over it.
fn expected(values: &str) -> String {
    hash(&format!("v|__metaxy_initial__|reading.v|{}", hash(values)))
}

#[tokio::test]
async fn values_are_hashed_in_the_order_of_ids() {
    let world = world([readings("1"), per_sensor()]);
    world
        .sync("reading", &[reading(10, "a", "x"), reading(9, "a", "y"), reading(-1, "a", "z")])
        .await;
    let (counts, rows) = world.call("per_sensor", ResolveOptions::default()).await;
    assert_eq!((counts.new, rows.len()), (1, 1));
    assert_eq!(rows[0]["metaxy_provenance_by_field"], json!({ "v": expected("z|y|x") }));
    assert_eq!(rows[0].get("n"), None, "only what names the group comes along");
    world.compute("per_sensor").await;
    assert!(world.counts("per_sensor").await.is_up_to_date());

    world.sync("reading", &[reading(10, "a", "x"), reading(9, "a", "y")]).await;
    let stale = [json!(["a", "stale", { "v": "upstream" }])];
    assert_eq!(world.increment("per_sensor", &["sensor"]).await, stale);
}

#[tokio::test]
async fn members_without_a_value_are_skipped() {
    let world = world([readings("1"), per_sensor()]);
    world.sync("reading", &[reading(2, "a", "x")]).await;
    let today = world.read("reading", &["metaxy_feature_version"]).await[0][0].clone();
    let foreign = |n: i64, sensor: &str| {
        json!({ "n": n, "sensor": sensor, "metaxy_data_version_by_field": {},
            "metaxy_feature_version": today })
    };
    assert_eq!(world.import("reading", &[foreign(1, "a"), foreign(3, "b")]).await, 2);
    let (counts, rows) = world.call("per_sensor", ResolveOptions::default()).await;
    assert_eq!(
        (counts.new, counts.waiting),
        (1, 1),
        "a group without any value cannot be computed"
    );
    assert_eq!(rows[0]["metaxy_provenance_by_field"], json!({ "v": expected("x") }));
}

#[tokio::test]
async fn a_group_that_lost_its_members_is_excluded_or_gone() {
    let world = world([readings("1"), per_sensor()]);
    world
        .sync("reading", &[reading(1, "a", "x"), reading(2, "b", "y"), reading(3, "c", "z")])
        .await;
    world.compute("per_sensor").await;
    // One moves, one is deleted.
    world.sync("reading", &[reading(1, "c", "x2"), reading(3, "c", "z")]).await;
    let found = world.increment("per_sensor", &["sensor"]).await;
    let expected = [
        json!(["a", "orphaned", "excluded"]),
        json!(["b", "orphaned", "gone"]),
        json!(["c", "stale", { "v": "upstream" }]),
    ];
    assert_eq!(found, expected);
    let deleted = world.store.delete_orphans_of(&key("per_sensor")).await.expect("a deletion");
    assert_eq!(deleted.records(), 2);
}

#[tokio::test]
async fn one_outdated_member_blocks_its_group() {
    let world = world([readings("1"), per_sensor()]);
    world
        .sync("reading", &[reading(1, "a", "x"), reading(2, "a", "y"), reading(3, "b", "z")])
        .await;
    world.compute("per_sensor").await;
    let bumped = world.under([readings("2"), per_sensor()]);
    let rows = batch(&[reading(1, "a", "x"), reading(3, "b", "z")]);
    bumped.store.sync_of(&key("reading"), rows).partial(true).await.expect("a sync");
    let blocked = [json!(["a", "blocked", "reading is stale"])];
    assert_eq!(bumped.increment("per_sensor", &["sensor"]).await, blocked);
}
