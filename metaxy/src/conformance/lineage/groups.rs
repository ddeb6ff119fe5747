//! Aggregations: what a group is, what is hashed over it, and when it has to wait.

use super::*;
use ScalarType::{Int64, Text};

/// Readings with an id of their own; the sensor is a column like any other.
fn reading(code_version: &str) -> FeatureBuilder {
    let v = FieldBuilder::new("v").code_version(code_version);
    let reading = FeatureBuilder::new("reading").id("n", Int64).nullable_column("sensor", Text);
    reading.nullable_column("file", Text).field(v)
}

fn sensor(dep: DepBuilder) -> FeatureBuilder {
    FeatureBuilder::new("sensor").id("sensor", Text).field("v").dep(dep)
}

fn by_sensor() -> DepBuilder {
    DepBuilder::new("reading").aggregation(["sensor"])
}

fn row(n: i64, sensor: &str, v: &str) -> Value {
    json!({ "n": n, "sensor": sensor, "file": format!("/{n}"), "v": v })
}

/// The provenance of a group whose members have these values.
fn group(values: &str) -> Value {
    json!({ "v": hash(&format!("v|__metaxy_initial__|reading.v|{}", hash(values))) })
}

const PROVENANCE: &str = "metaxy_provenance_by_field";

pub(crate) async fn all_ids_name_the_group_by_default(engine: &dyn Engine) {
    let reading = FeatureBuilder::new("reading").id("sensor", Text).id("n", Int64).field("v");
    let world = world(engine, [reading, sensor(DepBuilder::new("reading").aggregation_on_ids())]);
    let world = world.await;
    let row = |sensor: &str, n: i64| json!({ "sensor": sensor, "n": n, "v": format!("v{n}") });
    world.sync("reading", &[row("a", 10), row("a", 9), row("b", 1)]).await;
    let expected = [json!(["a", group("v9|v10"), "new"]), json!(["b", group("v1"), "new"])];
    assert_eq!(world.increment("sensor", &["sensor", PROVENANCE]).await, expected);
    world.compute("sensor").await;
    assert!(world.counts("sensor").await.is_up_to_date());
}

pub(crate) async fn a_column_names_the_group(engine: &dyn Engine) {
    let world = world(engine, [reading("1"), sensor(by_sensor())]).await;
    let nobodys = json!({ "n": 4, "sensor": null, "file": null, "v": "z" });
    world.sync("reading", &[row(1, "a", "x"), row(2, "b", "y"), row(3, "a", "z"), nobodys]).await;
    let expected = [json!(["a", group("x|z"), "new"]), json!(["b", group("y"), "new"])];
    assert_eq!(world.increment("sensor", &["sensor", PROVENANCE]).await, expected);
    world.compute("sensor").await;
    // A member comes.
    world.add("reading", &[row(5, "b", "new")]).await;
    let stale = [json!(["b", "stale", { "v": "upstream" }])];
    assert_eq!(world.increment("sensor", &["sensor"]).await, stale);
}

pub(crate) async fn a_column_of_another_name_names_the_group(engine: &dyn Engine) {
    let by_place = DepBuilder::new("reading").rename("sensor", "place").aggregation(["place"]);
    let place = FeatureBuilder::new("place").id("place", Text).field("v").dep(by_place);
    let world = world(engine, [reading("1"), place]).await;
    world.sync("reading", &[row(1, "a", "x"), row(2, "b", "y"), row(3, "a", "z")]).await;
    let expected = [json!(["a", group("x|z"), "new"]), json!(["b", group("y"), "new"])];
    assert_eq!(world.increment("place", &["place", PROVENANCE]).await, expected);
    world.compute("place").await;
    world.add("reading", &[row(2, "c", "y2")]).await;
    let expected = [json!(["b", "orphaned", "excluded"]), json!(["c", "new"])];
    assert_eq!(world.increment("place", &["place"]).await, expected);
}

pub(crate) async fn several_columns_name_the_group(engine: &dyn Engine) {
    let by_both = DepBuilder::new("reading").aggregation(["file", "sensor"]);
    let both = FeatureBuilder::new("both").id("sensor", Text).id("file", Text).field("v");
    let world = world(engine, [reading("1"), both.dep(by_both)]).await;
    let row = |n: i64, sensor: &str, file: &str| json!({ "n": n, "sensor": sensor, "file": file, "v": format!("v{n}") });
    // Not what one gets by joining the two texts.
    world.sync("reading", &[row(1, "a", "bc"), row(2, "ab", "c"), row(3, "a", "bc")]).await;
    let expected =
        [json!(["a", "bc", group("v1|v3"), "new"]), json!(["ab", "c", group("v2"), "new"])];
    assert_eq!(world.increment("both", &["sensor", "file", PROVENANCE]).await, expected);
}

pub(crate) async fn selected_columns_come_as_lists(engine: &dyn Engine) {
    let dep = by_sensor().rename("file", "files").select(["n", "file"]);
    let world = world(engine, [reading("1"), sensor(dep)]).await;
    let without_file = json!({ "n": 2, "sensor": "a", "file": null, "v": "y" });
    world.sync("reading", &[row(10, "a", "x"), without_file, row(1, "b", "z")]).await;
    let expected = [
        json!(["a", [2, 10], [null, "/10"], group("y|x"), "new"]),
        json!(["b", [1], ["/1"], group("z"), "new"]),
    ];
    let found = world.increment("sensor", &["sensor", "n", "files", PROVENANCE]).await;
    assert_eq!(found, expected, "NULL keeps its place");
}

pub(crate) async fn a_group_is_joined_with_another_upstream(engine: &dyn Engine) {
    let info = FeatureBuilder::new("info").id("sensor", Text).column("owner", Text).field("w");
    let d = sensor(by_sensor()).column("owner", Text).dep("info");
    let world = world(engine, [reading("1"), info, d]).await;
    world.sync("reading", &[row(1, "a", "x"), row(2, "a", "y"), row(3, "b", "z")]).await;
    let info =
        |sensor: &str, w: &str| json!({ "sensor": sensor, "owner": format!("{sensor}'s"), "w": w });
    world.sync("info", &[info("a", "1"), info("c", "1")]).await;
    let text = format!("v|__metaxy_initial__|info.w|1|reading.v|{}", hash("x|y"));
    let expected = [json!(["a", "a's", { "v": hash(&text) }, "new"])];
    let found = world.increment("sensor", &["sensor", "owner", PROVENANCE]).await;
    assert_eq!(found, expected, "both have to be there");
    world.compute("sensor").await;
    world.add("info", &[info("a", "2")]).await;
    let stale = [json!(["a", "stale", { "v": "upstream" }])];
    assert_eq!(world.increment("sensor", &["sensor"]).await, stale);
    world.delete("info", &[json!({ "sensor": "a" })]).await;
    let gone = [json!(["a", "orphaned", "gone"])];
    assert_eq!(world.increment("sensor", &["sensor"]).await, gone);
}

pub(crate) async fn what_a_filter_leaves_out_is_no_member(engine: &dyn Engine) {
    let dep = by_sensor().filter("n < 10");
    let world = world(engine, [reading("1"), sensor(dep)]).await;
    world.sync("reading", &[row(1, "a", "x"), row(10, "a", "y"), row(11, "b", "z")]).await;
    let expected = [json!(["a", group("x"), "new"])];
    assert_eq!(world.increment("sensor", &["sensor", PROVENANCE]).await, expected);
    world.compute("sensor").await;
    world.add("reading", &[row(10, "a", "other"), row(12, "a", "new")]).await;
    assert!(world.counts("sensor").await.is_up_to_date());
    world.delete("reading", &[json!({ "n": 1 })]).await;
    let orphaned = world.increment("sensor", &["sensor"]).await;
    assert_eq!(orphaned, [json!(["a", "orphaned", "gone"])]);
}

pub(crate) async fn an_outdated_member_blocks_its_group(engine: &dyn Engine) {
    let world = world(engine, [reading("1"), sensor(by_sensor())]).await;
    world.sync("reading", &[row(1, "a", "x"), row(2, "a", "y"), row(3, "b", "z")]).await;
    world.compute("sensor").await;
    let world = world.under([reading("2"), sensor(by_sensor())]);
    world.add("reading", &[row(1, "a", "x"), row(3, "b", "z"), row(4, "c", "z")]).await;
    let expected = [json!(["a", "blocked", "reading is stale"]), json!(["c", "new"])];
    assert_eq!(world.increment("sensor", &["sensor"]).await, expected);
    world.add("reading", &[row(2, "a", "y")]).await;
    let counts = world.counts("sensor").await;
    assert_eq!((counts.new, counts.blocked, counts.unchanged), (1, 0, 2));
}

pub(crate) async fn an_outdated_member_that_is_left_out_blocks_nothing(engine: &dyn Engine) {
    let features = |code: &str| [reading(code), sensor(by_sensor().filter("n < 10"))];
    let world = world(engine, features("1")).await;
    world.sync("reading", &[row(1, "a", "x"), row(10, "a", "y")]).await;
    world.compute("sensor").await;
    let world = world.under(features("2"));
    world.add("reading", &[row(1, "a", "x")]).await;
    assert!(world.counts("sensor").await.is_up_to_date());
}
