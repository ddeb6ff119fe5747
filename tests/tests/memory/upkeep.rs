//! What comes back, what goes for good, and what goes from one store to another.

use super::*;
use metaxy::ScalarType::{Date, Int64, Text, Uuid};
use metaxy::store::backend::ReadOptions;
use metaxy::store::memory::Rule;
use metaxy::{ColumnType, Reason};

fn features(code_version: &str) -> [FeatureBuilder; 2] {
    let x = FieldBuilder::new("x").code_version(code_version);
    let root = FeatureBuilder::new("a").id("i", Int64).field("x");
    [root, FeatureBuilder::new("d").id("i", Int64).field(x).dep("a")]
}

fn row(i: i64, x: &str) -> Value {
    json!({ "i": i, "x": x })
}

#[tokio::test]
async fn a_removed_record_leaves_a_trace() {
    let world = world(features("1"));
    world.sync("a", &[row(1, "1"), row(2, "2")]).await;
    world.compute("d").await;
    let hard = world.store.delete_of(&key("a"), &[batch(&[json!({ "i": 1 })])]).hard(true);
    let report = hard.cascade(true).await.expect("a deletion");
    let lines: Vec<_> = report.features.iter().map(|l| (l.feature.as_str(), l.records)).collect();
    assert_eq!(lines, [("a", 1), ("d", 1)]);
    assert_eq!(world.read("d", &["i"]).await, [json!([2])]);
    assert!(world.counts("d").await.is_up_to_date());
}

#[tokio::test]
async fn what_was_deleted_comes_back_as_it_was() {
    let world = world(features("1"));
    world.sync("a", &[row(1, "1"), row(2, "2")]).await;
    world.compute("d").await;
    let before = world.read("d", &["i", "metaxy_data_version", "metaxy_created_at"]).await;
    let ids = [batch(&[json!({ "i": 1 }), json!({ "i": 9 })])];
    assert_eq!(world.store.delete_of(&key("d"), &ids).await.expect("a deletion").records(), 1);
    assert_eq!(world.counts("d").await.new, 1);
    world.store.undelete_of(&key("d"), &ids).await.expect("it comes back");
    assert_eq!(world.read("d", &["i", "metaxy_data_version", "metaxy_created_at"]).await, before);
    let all = world.store.read_of(&key("d")).history(true).tombstones(true);
    assert_eq!(collect(all.batches().await.expect("rows")).await.len(), 4);
    let removed = world.store.vacuum_of(&key("d")).await.expect("a vacuum");
    assert_eq!(format!("{removed:?}").matches('2').count(), 1, "the row and its tombstone");
}

#[tokio::test]
async fn a_rebase_accepts_what_it_is_told() {
    let old = world(features("1"));
    old.sync("a", &[row(1, "1"), row(2, "2")]).await;
    old.compute("d").await;
    let new = old.under(features("2"));
    assert_eq!(new.counts("d").await.stale, 2);
    let rebase = || new.store.rebase_of(&key("d")).by("ada").because("a rename");
    assert_eq!(rebase().await.expect("a rebase").rows, 0, "nothing is claimed by itself");
    let before = old.read("d", &["metaxy_data_version_by_field"]).await;
    assert_eq!(rebase().accept(Reason::Code).await.expect("a rebase").rows, 2);
    assert!(new.counts("d").await.is_up_to_date());
    assert_eq!(new.read("d", &["metaxy_data_version_by_field"]).await, before);
    let noted = new.store.rebases_of(&key("d")).await.expect("a list");
    assert_eq!((noted.len(), noted[0].rows, noted[0].by.as_str()), (1, 2, "ada"));
}

#[tokio::test]
async fn a_write_that_is_repeated_writes_nothing() {
    let world = world(features("1"));
    for _ in 0..2 {
        let mut out = world.store.batch_writer(&key("a")).token("run 7");
        out.push(&batch(&[row(1, "1")])).await.expect("rows");
        out.commit().await.expect("a commit");
        out.push(&batch(&[row(2, "1")])).await.expect("rows");
        out.commit().await.expect("a commit");
    }
    let all = world.store.read_of(&key("a")).history(true).batches().await.expect("rows");
    assert_eq!(collect(all).await.len(), 2);
}

#[tokio::test]
async fn a_table_goes_to_another_store_once() {
    let types = || {
        let feature = FeatureBuilder::new("a").id("i", Int64).id("day", Date).id("u", Uuid);
        [feature.column("tags", ColumnType::List(Text)).column("m", ColumnType::TextMap).field("x")]
    };
    use metaxy::arrow::array::{ArrayRef, Int32Array, ListArray};
    use metaxy::arrow::compute::cast;
    use metaxy::arrow::datatypes::DataType;
    let days: ArrayRef = Arc::new(Int32Array::from(vec![19_000, 19_001]));
    let days = cast(&days, &DataType::Date32).expect("days");
    let tags = || {
        ListArray::from_iter_primitive::<metaxy::arrow::datatypes::Int64Type, _, _>([
            Some(vec![Some(1), Some(2)]),
            Some(vec![]),
        ])
    };
    let tags = cast(&tags(), &ColumnType::List(Text).to_arrow()).expect("texts");
    let plain = batch(&[
        json!({ "i": 1, "u": "6BA7B810-9DAD-11D1-80B4-00C04FD430C8", "m": { "k": "v" }, "x": "1" }),
        json!({ "i": 2, "u": "6ba7b8119dad11d180b400c04fd430c8", "m": {}, "x": "1" }),
    ]);
    let schema = plain.schema();
    let columns =
        schema.fields().iter().map(|f| f.name().as_str()).zip(plain.columns().iter().cloned());
    let samples = metaxy_tests::batch::batch_of(columns.chain([("day", days), ("tags", tags)]));
    let here = world(types());
    here.store.sync_of(&key("a"), samples.clone()).await.expect("a sync");
    let again = here.store.sync_of(&key("a"), samples).await.expect("a sync");
    assert_eq!(again.counts.unchanged, 2);

    let there = world(types());
    for expected in [2, 0] {
        let export = here.memory.export(here.feature("a")).await.expect("an export");
        assert_eq!(there.memory.import(there.feature("a"), export).await.expect("rows"), expected);
    }
    let read = async |world: &World| -> Vec<_> {
        let rows = world.memory.read(world.feature("a"), ReadOptions::default()).await;
        rows.expect("a read").try_collect::<Vec<_>>().await.expect("rows")
    };
    assert_eq!(read(&here).await, read(&there).await);
    let u = "6ba7b810-9dad-11d1-80b4-00c04fd430c8";
    let uuids = read(&there).await[0].column_by_name("u").expect("a column").clone();
    assert!(format!("{uuids:?}").contains(u), "a UUID is written in one way");
}

/// Tests of tests rely on it: without a rule the answer is another one.
#[tokio::test]
async fn a_store_without_a_rule_is_wrong() {
    let wrong = Memory::new(HashAlgorithm::Md5, 8).without(Rule::Tombstones);
    let store = Store::with_backend(Arc::new(wrong.clone()), graph(features("1")));
    let world = World { memory: wrong, store };
    world.sync("a", &[row(1, "1")]).await;
    world.delete("a", &[json!({ "i": 1 })]).await;
    assert_eq!(world.read("a", &["i"]).await, [json!([1])]);
}
