//! Optional upstreams: what is absent is free, what is there counts.

use super::*;
use ScalarType::{Int64, Text};

fn root(key: &str, code_version: &str) -> FeatureBuilder {
    let x = FieldBuilder::new("x").code_version(code_version);
    FeatureBuilder::new(key).id("i", Int64).nullable_column(format!("of_{key}"), Text).field(x)
}

fn on(deps: impl IntoIterator<Item = DepBuilder>) -> FeatureBuilder {
    let d = FeatureBuilder::new("d").id("i", Int64).field("x");
    let d = d.nullable_column("of_a", Text).nullable_column("of_b", Text);
    deps.into_iter().fold(d, FeatureBuilder::dep)
}

/// `a` is required, `b` is not.
fn features(code_of_b: &str, b: DepBuilder) -> [FeatureBuilder; 3] {
    [root("a", "1"), root("b", code_of_b), on([DepBuilder::new("a"), b.optional()])]
}

fn b() -> DepBuilder {
    DepBuilder::new("b")
}

fn row(key: &str, i: i64, x: &str) -> Value {
    let mut row = json!({ "i": i, "x": x });
    row[format!("of_{key}")] = json!(format!("{key}{i}"));
    row
}

fn rows(key: &str, ids: &[i64]) -> Vec<Value> {
    ids.iter().map(|i| row(key, *i, "1")).collect()
}

fn provenance(of_a: &str, of_b: &str) -> Value {
    json!({ "x": hash(&format!("x|__metaxy_initial__|a.x|{of_a}|b.x|{of_b}")) })
}

pub(crate) async fn absent_ones_are_hashed_as_the_empty_text(engine: &dyn Engine) {
    let world = world(engine, features("1", b())).await;
    world.sync("a", &rows("a", &[1, 2])).await;
    world.sync("b", &rows("b", &[2, 3])).await;
    let expected = [
        json!([1, "a1", null, provenance("1", ""), "new"]),
        json!([2, "a2", "b2", provenance("1", "1"), "new"]),
    ];
    let members = ["i", "of_a", "of_b", "metaxy_provenance_by_field"];
    assert_eq!(world.increment("d", &members).await, expected);
    world.compute("d").await;
    assert!(world.counts("d").await.is_up_to_date());
}

pub(crate) async fn what_comes_and_what_goes_makes_stale(engine: &dyn Engine) {
    let world = world(engine, features("1", b())).await;
    world.sync("a", &rows("a", &[1, 2])).await;
    world.compute("d").await;
    let stale = |i: i64| json!([i, "stale", { "x": "upstream" }]);
    world.sync("b", &rows("b", &[1, 7])).await;
    assert_eq!(world.increment("d", &["i"]).await, [stale(1)]);
    world.compute("d").await;
    world.add("b", &[row("b", 1, "2")]).await;
    assert_eq!(world.increment("d", &["i"]).await, [stale(1)]);
    world.compute("d").await;
    world.delete("b", &[json!({ "i": 1 })]).await;
    assert_eq!(world.increment("d", &["i"]).await, [stale(1)], "and nothing is orphaned");
    world.compute("d").await;
    assert!(world.counts("d").await.is_up_to_date());
    let hard = world.store.delete_where_of(&key("b"), "i >= 1").history(true).hard(true);
    assert!(hard.await.expect("a deletion").rows_removed() > 0);
    assert!(world.counts("d").await.is_up_to_date());
}

pub(crate) async fn an_outdated_row_blocks(engine: &dyn Engine) {
    let world = world(engine, features("1", b())).await;
    world.sync("a", &rows("a", &[1, 2])).await;
    world.sync("b", &rows("b", &[2, 3])).await;
    world.compute("d").await;
    let world = world.under(features("2", b()));
    world.add("a", &rows("a", &[3, 4])).await;
    let expected = [json!([2, "blocked", "b is stale"]), json!([4, "new"])];
    assert_eq!(world.increment("d", &["i"]).await, expected);
    assert_eq!(world.counts("d").await.waiting, 1, "a record that is not there yet waits");
    // Where `d` reads nothing of it, it may be as old as it likes.
    let unread = world.under(features("2", b().no_fields()));
    assert_eq!(unread.counts("d").await.blocked, 0);
    world.add("b", &rows("b", &[2, 3])).await;
    let counts = world.counts("d").await;
    assert_eq!((counts.new, counts.blocked, counts.unchanged), (2, 0, 2));
}

pub(crate) async fn a_filter_makes_a_row_absent(engine: &dyn Engine) {
    let world = world(engine, features("1", b().filter("of_b <> 'b1'"))).await;
    world.sync("a", &rows("a", &[1, 2])).await;
    world.sync("b", &rows("b", &[1, 2])).await;
    let expected = [
        json!([1, null, provenance("1", ""), "new"]),
        json!([2, "b2", provenance("1", "1"), "new"]),
    ];
    let members = ["i", "of_b", "metaxy_provenance_by_field"];
    assert_eq!(world.increment("d", &members).await, expected);
}

fn all_optional() -> [FeatureBuilder; 3] {
    let deps = [DepBuilder::new("a").optional(), b().optional()];
    [root("a", "1"), root("b", "1"), on(deps)]
}

pub(crate) async fn all_optional_joins_in_both_directions(engine: &dyn Engine) {
    let world = world(engine, all_optional()).await;
    assert!(world.counts("d").await.is_up_to_date(), "neither has a table");
    world.sync("a", &rows("a", &[1, 2])).await;
    assert_eq!(world.counts("d").await.new, 2, "one has none");
    world.sync("b", &rows("b", &[2, 3])).await;
    let expected = [
        json!([1, "a1", null, provenance("1", ""), "new"]),
        json!([2, "a2", "b2", provenance("1", "1"), "new"]),
        json!([3, null, "b3", provenance("", "1"), "new"]),
    ];
    let members = ["i", "of_a", "of_b", "metaxy_provenance_by_field"];
    assert_eq!(world.increment("d", &members).await, expected);
    world.compute("d").await;

    world.delete("a", &[json!({ "i": 1 }), json!({ "i": 2 })]).await;
    world.delete("b", &[json!({ "i": 3 })]).await;
    let expected = [
        json!([1, "orphaned", "gone"]),
        json!([2, "stale", { "x": "upstream" }]),
        json!([3, "orphaned", "gone"]),
    ];
    assert_eq!(world.increment("d", &["i"]).await, expected);
    world.store.delete_orphans_of(&key("d")).await.expect("a deletion");
    world.compute("d").await;
    assert!(world.counts("d").await.is_up_to_date());
}

pub(crate) async fn three_optional_ones_find_each_other(engine: &dyn Engine) {
    let names = ["a", "b", "c"];
    let mut features: Vec<FeatureBuilder> = names.map(|name| root(name, "1")).into();
    let deps = names.map(|name| DepBuilder::new(name).optional());
    features.push(on(deps).nullable_column("of_c", Text));
    let world = world(engine, features).await;
    world.sync("a", &rows("a", &[1, 4])).await;
    world.sync("b", &rows("b", &[2, 3])).await;
    world.sync("c", &rows("c", &[3, 4, 5])).await;
    let expected = [
        json!([1, "a1", null, null, "new"]),
        json!([2, null, "b2", null, "new"]),
        json!([3, null, "b3", "c3", "new"]),
        json!([4, "a4", null, "c4", "new"]),
        json!([5, null, null, "c5", "new"]),
    ];
    let members = ["i", "of_a", "of_b", "of_c"];
    assert_eq!(world.increment("d", &members).await, expected, "each record once");
}

pub(crate) async fn a_group_can_be_optional(engine: &dyn Engine) {
    let note = FeatureBuilder::new("note").id("n", Int64).column("i", Int64).field("x");
    let d = FeatureBuilder::new("d")
        .id("i", Int64)
        .field("x")
        .dep(DepBuilder::new("a").select::<&str>([]));
    let d = d.dep(DepBuilder::new("note").aggregation(["i"]).optional());
    let world = world(engine, [root("a", "1"), note, d]).await;
    world.sync("a", &rows("a", &[1, 2])).await;
    let notes = |notes: &[(i64, i64, &str)]| -> Vec<Value> {
        notes.iter().map(|(n, i, x)| json!({ "n": n, "i": i, "x": x })).collect()
    };
    world.sync("note", &notes(&[(1, 2, "p"), (2, 2, "q"), (3, 9, "r")])).await;
    let provenance = |of_notes: &str| json!({ "x": hash(&format!("x|__metaxy_initial__|a.x|1|note.x|{of_notes}")) });
    let expected = [json!([1, provenance(""), "new"]), json!([2, provenance(&hash("p|q")), "new"])];
    let members = ["i", "metaxy_provenance_by_field"];
    assert_eq!(world.increment("d", &members).await, expected);
    world.compute("d").await;
    world.sync("note", &notes(&[(4, 1, "s")])).await;
    let stale = [1, 2].map(|i| json!([i, "stale", { "x": "upstream" }]));
    assert_eq!(world.increment("d", &["i"]).await, stale);
}

/// What a record can do without says nothing about why it is orphaned.
pub(crate) async fn an_optional_upstream_is_not_to_blame(engine: &dyn Engine) {
    let required_c = || {
        let [a, b, d] = features("1", b());
        let c = FeatureBuilder::new("c").id("i", Int64).field("x");
        [a, b, c, d.dep(DepBuilder::new("c").no_fields())]
    };
    let world = world(engine, features("1", b())).await;
    world.sync("a", &rows("a", &[1])).await;
    world.sync("b", &rows("b", &[1])).await;
    world.compute("d").await;
    world.delete("b", &[json!({ "i": 1 })]).await;
    let world = world.under(required_c());
    assert_eq!(world.increment("d", &["i"]).await, [json!([1, "orphaned", "missing"])]);
}
