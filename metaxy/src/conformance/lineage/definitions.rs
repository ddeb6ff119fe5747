//! Definitions that are edited: what no version sees, and fields that have another name.

use super::*;
use ScalarType::{Int64, Text};

fn root() -> FeatureBuilder {
    FeatureBuilder::new("a").id("i", Int64).column("size", Int64).field("x")
}

fn on(dep: DepBuilder) -> [FeatureBuilder; 2] {
    [root(), FeatureBuilder::new("d").id("i", Int64).field("x").dep(dep)]
}

fn a() -> DepBuilder {
    DepBuilder::new("a").select::<&str>([])
}

fn row(i: i64) -> Value {
    json!({ "i": i, "size": i, "x": "1" })
}

/// Other definitions of the same version: nothing that is stored tells that there was an edit.
fn edited(world: &World, features: impl IntoIterator<Item = FeatureBuilder>) -> World {
    let other = world.under(features);
    let version = |world: &World| {
        let versions = world.store.graph().versions(16);
        versions.feature(&key("d")).expect("versions").feature_version.clone()
    };
    assert_eq!(version(world), version(&other), "no version sees the edit");
    other
}

pub(crate) async fn an_edited_filter_changes_who_is_there(engine: &dyn Engine) {
    let world = world(engine, on(a().filter("size < 3"))).await;
    world.sync("a", &[row(1), row(2), row(3)]).await;
    assert_eq!(world.compute("d").await.new, 2);
    let world = edited(&world, on(a().filter("size > 1")));
    let expected = [json!([1, "orphaned", "excluded"]), json!([3, "new"])];
    assert_eq!(world.increment("d", &["i"]).await, expected);
    assert_eq!(world.counts("d").await.unchanged, 1);
    world.compute("d").await;
    world.store.delete_orphans_of(&key("d")).await.expect("a deletion");
    assert!(world.counts("d").await.is_up_to_date());
    // What was excluded and deleted is new when it is taken back in.
    let world = edited(&world, on(a()));
    assert_eq!(world.increment("d", &["i"]).await, [json!([1, "new"])]);
}

pub(crate) async fn an_edited_lineage_makes_stale_what_it_changes(engine: &dyn Engine) {
    let world = world(engine, on(a())).await;
    world.sync("a", &[row(1), row(2)]).await;
    world.compute("d").await;
    // A group of one is hashed once more.
    let world = edited(&world, on(DepBuilder::new("a").aggregation(["i"])));
    let stale = [1, 2].map(|i| json!([i, "stale", { "x": "upstream" }]));
    assert_eq!(world.increment("d", &["i"]).await, stale);
    world.compute("d").await;
    assert!(world.counts("d").await.is_up_to_date());
    // And by another column there are other groups.
    let by_size = DepBuilder::new("a").rename("i", "n").rename("size", "i").aggregation(["i"]);
    let world = edited(&world, on(by_size));
    assert!(world.counts("d").await.is_up_to_date(), "the same members by other names");
    world.add("a", &[json!({ "i": 2, "size": 1, "x": "moved" })]).await;
    let expected = [json!([1, "stale", { "x": "upstream" }]), json!([2, "orphaned", "excluded"])];
    assert_eq!(world.increment("d", &["i"]).await, expected);
}

pub(crate) async fn an_upstream_becomes_optional_and_required_again(engine: &dyn Engine) {
    let features = |b: DepBuilder| {
        let [a, d] = on(a());
        [a, FeatureBuilder::new("b").id("i", Int64).field("x"), d.dep(b)]
    };
    let b = || DepBuilder::new("b");
    let world = world(engine, features(b())).await;
    world.sync("a", &[row(1), row(2)]).await;
    world.sync("b", &[json!({ "i": 1, "x": "1" })]).await;
    assert_eq!(world.compute("d").await.new, 1);
    let optional = edited(&world, features(b().optional()));
    assert_eq!(optional.increment("d", &["i"]).await, [json!([2, "new"])]);
    assert_eq!(optional.counts("d").await.unchanged, 1);
    optional.compute("d").await;
    let required = edited(&optional, features(b()));
    assert_eq!(required.increment("d", &["i"]).await, [json!([2, "orphaned", "missing"])]);
}

pub(crate) async fn an_edited_selection_makes_nothing_stale(engine: &dyn Engine) {
    let features = |dep: DepBuilder| {
        let d = FeatureBuilder::new("d").id("i", Int64).nullable_column("size", Int64).field("x");
        [root(), d.dep(dep)]
    };
    let world = world(engine, features(DepBuilder::new("a"))).await;
    world.sync("a", &[row(1)]).await;
    world.compute("d").await;
    let without = edited(&world, features(a()));
    assert!(without.counts("d").await.is_up_to_date());
    world.add("a", &[json!({ "i": 1, "size": 8, "x": "1" }), row(2)]).await;
    assert_eq!(world.increment("d", &["i", "size"]).await, [json!([2, 2, "new"])]);
    assert_eq!(without.increment("d", &["i", "size"]).await, [json!([2, null, "new"])]);
}

pub(crate) async fn an_upstream_that_no_field_reads_decides_who_is_there(engine: &dyn Engine) {
    let features = |required: bool| {
        let [a, d] = on(a());
        let d = if required { d.dep(DepBuilder::new("b").no_fields()) } else { d };
        [a, FeatureBuilder::new("b").id("i", Int64).field("x"), d]
    };
    let world = world(engine, features(true)).await;
    world.sync("a", &[row(1), row(2)]).await;
    world.sync("b", &[json!({ "i": 1, "x": "1" })]).await;
    assert_eq!(world.compute("d").await.new, 1);
    world.add("b", &[json!({ "i": 1, "x": "2" })]).await;
    assert!(world.counts("d").await.is_up_to_date(), "its values are not read");
    let world = edited(&world, features(false));
    assert_eq!(world.increment("d", &["i"]).await, [json!([2, "new"])]);
}

/// `d` with a field, and `e` that reads it.
fn read_by_e(field: FieldBuilder, name: &str) -> [FeatureBuilder; 3] {
    let [a, d] = [root(), FeatureBuilder::new("d").id("i", Int64).dep(a())];
    let e = FeatureBuilder::new("e").id("i", Int64).dep("d");
    [a, d.field(field).field("other"), e.field(FieldBuilder::new("of_d").dep("d", [name]))]
}

fn sound() -> [FeatureBuilder; 3] {
    read_by_e(FieldBuilder::new("sound"), "sound")
}

fn speech(code_version: Option<&str>) -> [FeatureBuilder; 3] {
    let field = FieldBuilder::new("speech").renamed_from("sound");
    let field = match code_version {
        Some(code_version) => field.code_version(code_version),
        None => field,
    };
    read_by_e(field, "speech")
}

/// `d` with a data version of its own, and `e`, both computed.
async fn with_sound(engine: &dyn Engine) -> World {
    let world = world(engine, sound()).await;
    world.sync("a", &[row(1)]).await;
    let increment = world.update("d");
    let mut rows = rows_of(increment).await;
    rows[0]["metaxy_data_version_by_field"] = json!({ "sound": "of the content" });
    let columns = ["i", "metaxy_provenance_by_field", "metaxy_data_version_by_field"];
    let rows = crate::conformance::batch::only(&rows, &columns);
    flow::write(&world.store, "d", &rows).await.expect("good rows");
    world.compute("e").await;
    world
}

pub(crate) async fn a_renamed_field_makes_nothing_stale(engine: &dyn Engine) {
    let before = with_sound(engine).await;
    let after = before.under(speech(None));
    for feature in ["d", "e"] {
        let counts = after.counts(feature).await;
        assert!(counts.is_up_to_date(), "{feature}: {counts}");
        assert_eq!(counts.unchanged, 1);
    }
    let versions = ["metaxy_data_version_by_field", "metaxy_provenance_by_field"];
    assert_eq!(after.read("d", &versions).await, before.read("d", &versions).await);
    // The other field is computed again, and this one is carried over.
    after.add("a", &[row(2)]).await;
    assert_eq!(after.compute("d").await.new, 1);
    assert_eq!(after.compute("e").await.new, 1);
    let first = &after.read("d", &["i", "metaxy_data_version_by_field"]).await[0];
    assert_eq!(first[1]["sound"], "of the content");
}

pub(crate) async fn without_its_first_name_a_field_is_another_one(engine: &dyn Engine) {
    let world = with_sound(engine).await;
    let world = world.under(read_by_e(FieldBuilder::new("speech"), "speech"));
    let added = [json!([1, "stale", { "speech": "added" }])];
    assert_eq!(world.increment("d", &["i"]).await, added);
    assert_eq!(world.increment("e", &["i"]).await, [json!([1, "blocked", "d is stale"])]);
}

pub(crate) async fn a_renamed_field_can_be_bumped(engine: &dyn Engine) {
    let world = with_sound(engine).await.under(speech(Some("2")));
    let stale = [json!([1, "stale", { "sound": "code" }])];
    assert_eq!(world.increment("d", &["i"]).await, stale, "under its first name");
    assert_eq!(world.increment("e", &["i"]).await, [json!([1, "blocked", "d is stale"])]);
    world.compute("d").await;
    assert!(world.counts("d").await.is_up_to_date());
    let stale = [json!([1, "stale", { "of_d": "upstream" }])];
    assert_eq!(world.increment("e", &["i"]).await, stale);
    world.compute("e").await;
    // The new name can be given up again.
    let world = world.under(read_by_e(FieldBuilder::new("sound").code_version("2"), "sound"));
    assert!(world.counts("d").await.is_up_to_date());
    assert!(world.counts("e").await.is_up_to_date());
}

pub(crate) async fn a_renamed_field_of_a_root_stays_what_it_was(engine: &dyn Engine) {
    let features = |field: FieldBuilder, name: &str| {
        let a = FeatureBuilder::new("a").id("i", Int64).nullable_column("path", Text).field(field);
        let d = FeatureBuilder::new("d").id("i", Int64).dep(a_of_path());
        [a, d.field(FieldBuilder::new("y").dep("a", [name]))]
    };
    let world = world(engine, features(FieldBuilder::new("sound"), "sound")).await;
    world.sync("a", &[json!({ "i": 1, "path": "p", "sound": "1" })]).await;
    world.compute("d").await;
    let renamed = FieldBuilder::new("speech").renamed_from("sound");
    let world = world.under(features(renamed, "speech"));
    assert!(world.counts("d").await.is_up_to_date());
    let versions = |version: &str| {
        let by_field = json!({ "sound": version });
        batch(&[json!({ "i": 1, "path": "p", "metaxy_provenance_by_field": by_field })])
    };
    let report = world.store.sync_of(&key("a"), versions("1")).await.expect("a sync");
    assert_eq!((report.counts.unchanged, report.counts.stale), (1, 0));
    let report = world.store.sync_of(&key("a"), versions("2")).await.expect("a sync");
    assert_eq!(report.counts.stale, 1);
    assert_eq!(world.increment("d", &["i"]).await, [json!([1, "stale", { "y": "upstream" }])]);
}

fn a_of_path() -> DepBuilder {
    DepBuilder::new("a").select::<&str>([])
}

pub(crate) async fn a_parent_that_is_several_records_is_refused(engine: &dyn Engine) {
    let scene = FeatureBuilder::new("scene").id("i", Int64).id("scene", Int64).field("x");
    let frame = FeatureBuilder::new("frame").id("i", Int64).id("n", Int64).field("x");
    let frame = frame.dep(DepBuilder::new("scene").expansion(["i"]));
    let world = world(engine, [scene, frame]).await;
    world.sync("scene", &[json!({ "i": 1, "scene": 1, "x": "1" })]).await;
    let error = world.update("frame").await.expect_err("a refusal");
    assert_eq!(
        error.to_string(),
        "not supported yet: the parent of an expansion is one record: `on` has to name all ids of \
         `scene` (feature `frame`)"
    );
}
