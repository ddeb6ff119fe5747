//! The hazards of the Python implementation that ours does not have, each a test by its name.
//!
//! The numbers are those of the table in the design; where a scenario of the golden file shows the
//! hazard, `records.rs` asserts our answer to it as well.

use crate::arrow::array::{
    ArrayRef, RecordBatch, StringArray, TimestampMicrosecondArray, UInt32Array,
};
use crate::arrow::compute::take_record_batch;
use crate::builder::{DepBuilder, FeatureBuilder};
use crate::conformance::batch::{batch, batch_of, collect, only};
use crate::conformance::flow::{
    compute, counts, delete, graph, increment, key, read, time_of_deletion, write,
};
use crate::conformance::foreign::changed;
use crate::conformance::{Engine, Foreign, Outcome, md5, open};
use crate::{FeatureGraph, ScalarType, Store};
use serde_json::{Value, json};
use std::sync::Arc;

/// What an engine says whose tables nobody else can reach.
const NOBODY_ELSE: Outcome = Outcome::NotApplicable { lacks: "`Engine::foreign`" };

/// A root `a` of the fields `x` and `y`.
fn root() -> Value {
    json!({ "key": "a", "id_columns": ["id"], "fields": ["x", "y"] })
}

/// A feature with these fields on one upstream.
fn on(key: &str, upstream: &str, fields: &Value) -> Value {
    json!({ "key": key, "id_columns": ["id"], "fields": fields, "deps": [{"feature": upstream}] })
}

/// Rows of `a`: ids and the versions of both fields.
fn records(rows: &[(&str, &str, &str)]) -> Vec<Value> {
    let rows = rows
        .iter()
        .map(|(id, x, y)| json!({ "id": id, "metaxy_provenance_by_field": { "x": x, "y": y } }));
    rows.collect()
}

/// A batch with other values in a column.
fn with_column(batch: &RecordBatch, name: &str, values: &ArrayRef) -> RecordBatch {
    let schema = batch.schema();
    let columns = schema.fields().iter().zip(batch.columns());
    batch_of(columns.map(|(field, column)| match field.name() == name {
        true => (name, Arc::clone(values)),
        false => (field.name().as_str(), Arc::clone(column)),
    }))
}

async fn sync(store: &Store, rows: &[Value]) {
    store.sync_of(&key("a"), batch(rows)).await.expect("a sync");
}

/// The stale fields of each record, with the reasons.
async fn stale_fields(store: &Store, feature: &str) -> Vec<Value> {
    only(&increment(store, feature).await, &["id", "metaxy_status", "metaxy_stale_fields"])
}

/// Videos and their frames.
fn frames() -> [Value; 3] {
    [
        json!({ "key": "video", "id_columns": ["vid"], "fields": ["f"] }),
        json!({ "key": "frame", "id_columns": ["vid", "n"], "fields": ["f"],
            "deps": [{"feature": "video", "lineage": {"type": "expansion", "on": ["vid"]}}] }),
        json!({ "key": "face", "id_columns": ["vid", "n"], "fields": ["f"],
            "deps": [{"feature": "frame"}] }),
    ]
}

fn videos(versions: &[(&str, &str)]) -> RecordBatch {
    let row =
        |(vid, f): &(&str, &str)| json!({ "vid": vid, "metaxy_provenance_by_field": {"f": f} });
    batch(&versions.iter().map(row).collect::<Vec<_>>())
}

/// Rows of the children `numbers` of a parent that an increment has.
fn children(parent: &Value, numbers: &[i64]) -> RecordBatch {
    let columns = ["vid", "metaxy_provenance_by_field", "metaxy_try"];
    let row = |n: &i64| {
        let mut row = only(std::slice::from_ref(parent), &columns).remove(0);
        row["n"] = json!(n);
        row
    };
    batch(&numbers.iter().map(row).collect::<Vec<_>>())
}

/// The seal that says how many children there are.
fn seal(parent: &Value, n_children: usize) -> RecordBatch {
    let columns = ["vid", "metaxy_provenance_by_field", "metaxy_try"];
    let mut row = only(std::slice::from_ref(parent), &columns).remove(0);
    row["metaxy_children"] = json!(n_children);
    batch(&[row])
}

/// Writes the children of a parent and its seal in one commit.
async fn expand(store: &Store, parent: &Value, numbers: &[i64]) {
    let mut out = store.batch_writer(&key("frame"));
    if !numbers.is_empty() {
        out.push(&children(parent, numbers)).await.expect("good rows");
    }
    out.seal(&seal(parent, numbers.len())).await.expect("a good seal");
    out.commit().await.expect("a commit");
}

async fn numbers(store: &Store, feature: &str) -> Vec<i64> {
    let rows = read(store, feature).await;
    let mut numbers: Vec<i64> =
        rows.iter().map(|row| row["n"].as_i64().expect("a number")).collect();
    numbers.sort_unstable();
    numbers
}

pub(crate) async fn h01_a_try_that_was_not_finished_is_not_done(engine: &dyn Engine) {
    let store = open(engine, &graph(&frames())).await;
    store.sync_of(&key("video"), videos(&[("1", "a"), ("2", "b")])).await.expect("a sync");
    let parents = increment(&store, "frame").await;
    assert_eq!(only(&parents, &["vid", "metaxy_status"]).len(), 2);
    assert!(parents.iter().all(|row| row.get("n").is_none()), "a parent has no id of a child");

    // The job dies after three of ten children.
    let mut out = store.batch_writer(&key("frame"));
    out.push(&children(&parents[0], &[0, 1, 2])).await.expect("good rows");
    out.commit().await.expect("a commit");
    assert_eq!(counts(&store, "frame").await.new, 2, "both parents are still to be expanded");
    assert_eq!(numbers(&store, "frame").await, Vec::<i64>::new());
    assert_eq!(counts(&store, "face").await.new, 0, "downstream sees sealed children alone");

    // Another one makes fewer, and there are no others.
    let parents = increment(&store, "frame").await;
    let mut out = store.batch_writer(&key("frame"));
    out.push(&children(&parents[0], &[0, 1])).await.expect("good rows");
    out.seal(&seal(&parents[0], 2)).await.expect("a good seal");
    // A video without frames is done as well.
    out.seal(&seal(&parents[1], 0)).await.expect("a good seal");
    out.commit().await.expect("a commit");
    assert_eq!(numbers(&store, "frame").await, [0, 1]);
    let done = counts(&store, "frame").await;
    assert!(done.is_up_to_date(), "{done}");
    assert_eq!((done.unchanged, done.unsealed), (2, 0));
    assert_eq!(counts(&store, "face").await.new, 2);
}

pub(crate) async fn h02_what_a_new_try_lacks_is_gone(engine: &dyn Engine) {
    let store = open(engine, &graph(&frames())).await;
    store.sync_of(&key("video"), videos(&[("1", "a")])).await.expect("a sync");
    let first = increment(&store, "frame").await.remove(0);
    expand(&store, &first, &(0..10).collect::<Vec<_>>()).await;
    compute(&store, "face").await;
    assert_eq!(numbers(&store, "face").await.len(), 10);

    store.sync_of(&key("video"), videos(&[("1", "b")])).await.expect("a sync");
    let again = increment(&store, "frame").await.remove(0);
    assert_eq!(again["metaxy_stale_fields"], json!({"f": "upstream"}));
    // Two workers expand it at once: the seal that comes last is in force.
    let at_once = increment(&store, "frame").await.remove(0);
    assert_ne!(again["metaxy_try"], at_once["metaxy_try"]);
    expand(&store, &at_once, &(0..12).collect::<Vec<_>>()).await;
    expand(&store, &again, &[0, 1, 2, 3]).await;
    assert_eq!(numbers(&store, "frame").await, [0, 1, 2, 3], "no ghosts");
    let faces = counts(&store, "face").await;
    assert_eq!((faces.stale, faces.orphaned), (4, 6));
    let orphans = increment(&store, "face").await;
    let orphans = orphans.iter().filter(|row| row["metaxy_status"] == "orphaned");
    assert!(orphans.clone().all(|row| row["metaxy_cause"] == "gone"), "{orphans:?}");

    // A child is deleted, and another one amended.
    assert_eq!(delete(&store, "frame", &[json!({"vid": "1", "n": 0})]).await, 1);
    let amended = read(&store, "frame").await;
    let amended = amended.iter().filter(|row| row["n"] == 1).cloned().collect::<Vec<_>>();
    let columns = ["vid", "n", "metaxy_provenance_by_field", "metaxy_try"];
    let mut amended = only(&amended, &columns);
    amended[0]["metaxy_data_version_by_field"] = json!({"f": "looked at"});
    write(&store, "frame", &amended).await.expect("good rows");
    assert_eq!(numbers(&store, "frame").await, [1, 2, 3]);
    assert!(counts(&store, "frame").await.is_up_to_date(), "the parent was expanded whole");

    // The parent is deleted, with everything.
    delete(&store, "video", &[json!({"vid": "1"})]).await;
    let orphan = increment(&store, "frame").await;
    assert_eq!(
        only(&orphan, &["vid", "metaxy_status", "metaxy_cause"]),
        [json!({"vid": "1", "metaxy_status": "orphaned", "metaxy_cause": "gone"})]
    );
    store.delete_orphans_of(&key("frame")).await.expect("a deletion");
    assert_eq!(numbers(&store, "frame").await, Vec::<i64>::new());
    assert!(counts(&store, "frame").await.is_up_to_date());
}

pub(crate) async fn h04_mixed_granularity_is_compared_on_all_ids(engine: &dyn Engine) {
    let features = [
        json!({ "key": "scene", "id_columns": ["vid", "scene"], "fields": ["s"] }),
        json!({ "key": "video", "id_columns": ["vid"], "fields": ["v"] }),
        json!({ "key": "shot", "id_columns": ["vid", "scene"], "fields": ["x"],
            "deps": [{"feature": "scene"}, {"feature": "video"}] }),
    ];
    let store = open(engine, &graph(&features)).await;
    let scene = |vid: &str, scene: i64, version: &str| json!({ "vid": vid, "scene": scene, "metaxy_provenance_by_field": {"s": version} });
    let video = |vid: &str, version: &str| json!({ "vid": vid, "metaxy_provenance_by_field": {"v": version} });
    let scenes = [scene("1", 1, "a"), scene("1", 2, "a"), scene("2", 1, "a")];
    store.sync_of(&key("scene"), batch(&scenes)).await.expect("a sync");
    store.sync_of(&key("video"), batch(&[video("1", "a"), video("2", "a")])).await.expect("a sync");
    assert_eq!(compute(&store, "shot").await.new, 3);
    assert!(counts(&store, "shot").await.is_up_to_date(), "nothing is stale for ever");

    // A new scene of a known video is new, a changed video makes all its scenes stale.
    store.sync_of(&key("scene"), batch(&[scene("1", 3, "a")])).partial(true).await.expect("a sync");
    store.sync_of(&key("video"), batch(&[video("2", "b")])).partial(true).await.expect("a sync");
    let found = counts(&store, "shot").await;
    assert_eq!((found.new, found.stale, found.unchanged), (1, 1, 2));
    delete(&store, "scene", &[json!({"vid": "1", "scene": 2})]).await;
    assert_eq!(counts(&store, "shot").await.orphaned, 1, "a scene that was deleted is told");
}

/// Readings of sensors, and what is made of all readings of a sensor.
fn sensors() -> [Value; 2] {
    [
        json!({ "key": "reading", "id_columns": ["sensor", "n"], "fields": ["v"] }),
        json!({ "key": "sensor", "id_columns": ["sensor"], "fields": ["v"],
            "deps": [{"feature": "reading", "lineage": {"type": "aggregation", "on": ["sensor"]}}] }),
    ]
}

fn reading(sensor: &str, n: &Value, version: &str) -> Value {
    json!({ "sensor": sensor, "n": n, "metaxy_provenance_by_field": {"v": version} })
}

pub(crate) async fn h08_a_group_is_one_record(engine: &dyn Engine) {
    let store = open(engine, &graph(&sensors())).await;
    let readings = [
        reading("a", &json!(1), "1"),
        reading("a", &json!(2), "2"),
        reading("a", &json!(3), "3"),
        reading("b", &json!(1), "1"),
    ];
    store.sync_of(&key("reading"), batch(&readings)).await.expect("a sync");
    assert_eq!(compute(&store, "sensor").await.new, 2, "a record for each group");
    assert!(counts(&store, "sensor").await.is_up_to_date());
    // One member changes, one is deleted, a group goes.
    delete(&store, "reading", &[json!({"sensor": "a", "n": 3}), json!({"sensor": "b", "n": 1})])
        .await;
    let rows = increment(&store, "sensor").await;
    assert_eq!(
        only(&rows, &["sensor", "metaxy_status", "metaxy_cause"]),
        [
            json!({"sensor": "a", "metaxy_status": "stale", "metaxy_cause": null}),
            json!({"sensor": "b", "metaxy_status": "orphaned", "metaxy_cause": "gone"}),
        ]
    );
}

pub(crate) async fn h08_the_members_of_a_group_come_as_lists(engine: &dyn Engine) {
    let one = FeatureBuilder::new("one").id("sensor", ScalarType::Text);
    let one = one.id("number", ScalarType::Int64).column("file", ScalarType::Text).field("value");
    let readings = DepBuilder::new("one").aggregation(["sensor"]).select(["number", "file"]);
    let all = FeatureBuilder::new("all").id("sensor", ScalarType::Text).field("value");
    let all = all.dep(readings.rename("file", "files"));
    let graph = FeatureGraph::builder().feature(one).feature(all).build().expect("a graph");
    let store = open(engine, &graph).await;
    let reading = |sensor: &str, number: i64, file: &str| json!({ "sensor": sensor, "number": number, "file": file, "value": "1" });
    let readings = [
        reading("a", 10, "ten"),
        reading("a", 9, "nine"),
        reading("b", 1, "one"),
        reading("a", 1, "a one"),
    ];
    store.sync_of(&key("one"), batch(&readings)).await.expect("a sync");
    assert_eq!(
        only(&increment(&store, "all").await, &["sensor", "number", "files"]),
        [
            json!({ "sensor": "a", "number": [1, 9, 10], "files": ["a one", "nine", "ten"] }),
            json!({ "sensor": "b", "number": [1], "files": ["one"] }),
        ],
        "in the order of the ids"
    );
}

pub(crate) async fn h08_records_that_share_a_group_bring_its_members_once(engine: &dyn Engine) {
    let features = [
        json!({ "key": "reading", "id_columns": ["sensor", "n"], "fields": ["v"] }),
        json!({ "key": "ratio", "id_columns": ["sensor", "n"], "fields": ["v"], "deps": [
            {"feature": "reading", "rename": {"name": "own name"}},
            {"feature": "copy", "lineage": {"type": "aggregation", "on": ["sensor"]}, "select": ["name"]},
        ]}),
        json!({ "key": "copy", "id_columns": ["sensor", "n"], "fields": ["v"] }),
    ];
    let store = open(engine, &graph(&features)).await;
    for feature in ["reading", "copy"] {
        let row = |n: i64| {
            json!({ "sensor": "a", "n": n, "name": format!("of {n}"),
                "metaxy_provenance_by_field": {"v": "1"} })
        };
        let rows = [row(2), row(1)];
        store.sync_of(&key(feature), batch(&rows)).await.expect("a sync");
    }
    let rows = increment(&store, "ratio").await;
    assert_eq!(
        only(&rows, &["n", "name"]),
        [json!({"n": 1, "name": ["of 1", "of 2"]}), json!({"n": 2, "name": ["of 1", "of 2"]})]
    );
}

pub(crate) async fn h09_groups_are_ordered_by_value_and_by_bytes(engine: &dyn Engine) {
    // The hash over the members tells their order: `v1|v9|v10` for numbers, and for texts
    // `10 < 9 < B < _ < a < é`, which is that of their bytes.
    let with_ids = |ids: &[Value]| -> Vec<Value> {
        let reading = |id: &Value| {
            let version = id.as_str().map_or_else(|| id.to_string(), str::to_owned);
            reading("a", id, &format!("v{version}"))
        };
        ids.iter().map(reading).collect()
    };
    let cases = [
        (vec![json!(10), json!(9), json!(1)], "v1|v9|v10"),
        (["é", "a", "_", "B", "9", "10"].map(|id| json!(id)).to_vec(), "v10|v9|vB|v_|va|vé"),
    ];
    for (ids, in_order) in cases {
        let store = open(engine, &graph(&sensors())).await;
        store.sync_of(&key("reading"), batch(&with_ids(&ids))).await.expect("a sync");
        let value = md5(in_order);
        let expected = md5(&format!("v|__metaxy_initial__|reading.v|{value}"));
        let rows = increment(&store, "sensor").await;
        assert_eq!(rows[0]["metaxy_provenance_by_field"], json!({ "v": expected }), "{in_order}");
    }
}

pub(crate) async fn h14_an_upstream_without_a_table_is_empty(engine: &dyn Engine) {
    let on_both = |optional: bool| {
        let more = json!({"key": "more", "id_columns": ["id"], "fields": ["z"]});
        let b = json!({ "key": "b", "id_columns": ["id"], "fields": ["x"],
            "deps": [{"feature": "a"}, {"feature": "more", "optional": optional}] });
        graph(&[root(), more, b])
    };
    let store = open(engine, &on_both(false)).await;
    assert!(counts(&store, "b").await.is_up_to_date(), "neither has a table");
    sync(&store, &records(&[("1", "1", "1"), ("2", "1", "1")])).await;
    assert!(counts(&store, "b").await.is_up_to_date(), "a required one without a table is empty");

    let store = store.with_graph(on_both(true));
    assert_eq!(compute(&store, "b").await.new, 2);
    assert!(counts(&store, "b").await.is_up_to_date());
    // Its first row makes one record stale.
    let row = json!({ "id": "2", "metaxy_provenance_by_field": {"z": "1"} });
    store.sync_of(&key("more"), batch(&[row])).await.expect("a sync");
    assert_eq!(
        stale_fields(&store, "b").await,
        [json!({ "id": "2", "metaxy_status": "stale", "metaxy_stale_fields": {"x": "upstream"} })]
    );
}

pub(crate) async fn h16_filters_of_a_call_select_and_change_nothing(engine: &dyn Engine) {
    let store = open(engine, &graph(&sensors())).await;
    let readings =
        [reading("a", &json!(1), "1"), reading("a", &json!(2), "2"), reading("b", &json!(1), "1")];
    store.sync_of(&key("reading"), batch(&readings)).await.expect("a sync");
    let all = increment(&store, "sensor").await;
    let update = || store.update_of(&key("sensor"));
    let part = update().filter(&key("reading"), "n = 2").await.expect("an increment");
    assert_eq!(part.counts().new, 1);
    let part = collect(part.batches()).await;
    assert_eq!(part, all[..1], "a group is answered whole, and hashed as ever");

    compute(&store, "sensor").await;
    delete(&store, "reading", &[json!({"sensor": "b", "n": 1})]).await;
    let counts = update().filter(&key("reading"), "n = 2").counts().await.expect("counts");
    assert_eq!((counts.unchanged, counts.orphaned), (1, 0), "what is hidden is not orphaned");
    let counts = update().target_filter("sensor = 'b'").counts().await.expect("counts");
    assert_eq!((counts.new, counts.orphaned), (0, 0), "and what is hidden is not new");
    assert_eq!(update().counts().await.expect("counts").orphaned, 1);
}

pub(crate) async fn h16_a_call_forces_nothing_that_is_blocked(engine: &dyn Engine) {
    let root = |code: &str| json!({ "key": "a", "id_columns": ["id"], "fields": [{"key": "x", "code_version": code}] });
    let definitions = |code: &str| graph(&[root(code), on("b", "a", &json!(["x", "z"]))]);
    let store = open(engine, &definitions("1")).await;
    let sample = json!({ "id": "1", "metaxy_provenance_by_field": {"x": "1"} });
    store.sync_of(&key("a"), batch(&[sample])).await.expect("a sync");
    let mut rows = increment(&store, "b").await;
    rows[0]["metaxy_data_version_by_field"] = json!({"x": "of the content"});
    let rows = only(&rows, &["id", "metaxy_provenance_by_field", "metaxy_data_version_by_field"]);
    write(&store, "b", &rows).await.expect("good rows");

    let store = store.with_graph(definitions("2"));
    let blocked = increment(&store, "b").await;
    assert_eq!(blocked[0]["metaxy_status"], "blocked");
    let forced = store.update_of(&key("b")).skip_comparison(true).await.expect("an increment");
    assert_eq!(collect(forced.batches()).await, blocked, "its versions are those that are stored");
}

pub(crate) async fn h03_null_ids_are_refused(engine: &dyn Engine) {
    let features = [json!({ "key": "a", "id_columns": ["id", "part"], "fields": ["x"] })];
    let store = open(engine, &graph(&features)).await;
    let row = |id: Value, part: Value| json!({ "id": id, "part": part, "metaxy_provenance_by_field": {"x": "1"} });
    let rows = [
        row(json!("1"), json!(1)),
        row(json!("2"), Value::Null),
        row(json!("3"), json!(1)),
        row(json!("4"), Value::Null),
    ];
    let expected = "cannot write `a`: 2 rows have NULL in the id column `part`, the first of them row \
                    1; a record needs a value there";
    let error = write(&store, "a", &rows).await.expect_err("a refusal");
    assert_eq!(error.to_string(), expected);
    let error = store.sync_of(&key("a"), batch(&rows)).await.expect_err("a refusal");
    assert_eq!(error.to_string(), expected);
    assert_eq!(read(&store, "a").await, Vec::<Value>::new(), "nothing of it is in the store");

    let good = [row(json!("1"), json!(1))];
    assert_eq!(write(&store, "a", &good).await.expect("good rows"), 1);
}

/// In tables of others such rows can stand already: they are nobody's record.
pub(crate) async fn h03_null_ids_of_other_programs_do_not_come_back_for_ever(engine: &dyn Engine) {
    let features = graph(&[root(), on("b", "a", &json!(["x"]))]);
    let (like, samples) = (open(engine, &features).await, records(&[("1", "1", "1")]));
    let theirs = changed(&like, "a", &samples, |row| {
        let rows = take_record_batch(&row, &UInt32Array::from(vec![0; 3])).expect("a row");
        let ids: ArrayRef = Arc::new(StringArray::from(vec![Some("1"), None, None]));
        with_column(&rows, "id", &ids)
    });
    let theirs = theirs.await;
    let store = open(engine, &features).await;
    let store = store.with_fallback(theirs.clone()).expect("a store");
    assert_eq!(compute(&store, "b").await.new, 1);
    let left = counts(&store, "b").await;
    assert!(left.is_up_to_date(), "{left}");

    // A copy leaves them where they are.
    let copied = theirs.copy_to(&store).features([key("a")]).await.expect("a copy");
    assert_eq!(copied[0].rows, 1);
    assert_eq!(read(&store, "a").await.len(), 1);
    assert!(counts(&store, "b").await.is_up_to_date());
}

/// The same of rows that stand in a table of the database itself.
pub(crate) async fn h03_null_ids_in_a_table_do_not_come_back_for_ever(
    engine: &dyn Engine,
) -> Outcome {
    let features = [root(), on("b", "a", &json!(["x"]))];
    let store = open(engine, &graph(&features)).await;
    sync(&store, &records(&[("1", "1", "1")])).await;
    let a = key("a");
    let Some(store) = engine.foreign(store, &a, Foreign::NullIds) else { return NOBODY_ELSE };
    let store = store.await;
    assert_eq!(compute(&store, "b").await.new, 1);
    let left = counts(&store, "b").await;
    assert!(left.is_up_to_date(), "{left}");
    assert_eq!(read(&store, "a").await.len(), 1);
    Outcome::Held
}

pub(crate) async fn h05_a_bump_elsewhere_orphans_nothing(engine: &dyn Engine) {
    let d = |b: &str, a: &str| {
        on("d", "a", &json!([{"key": "a", "code_version": a}, {"key": "b", "code_version": b}]))
    };
    let e = json!({ "key": "e", "id_columns": ["id"], "deps": [{"feature": "d"}],
        "fields": [{"key": "of_a", "deps": [{"feature": "d", "fields": ["a"]}]}] });
    let store = open(engine, &graph(&[root(), d("1", "1"), e.clone()])).await;
    sync(&store, &records(&[("1", "1", "1"), ("2", "2", "2")])).await;
    compute(&store, "d").await;
    compute(&store, "e").await;

    let bumped = store.with_graph(graph(&[root(), d("2", "1"), e.clone()]));
    let of_e = counts(&bumped, "e").await;
    assert_eq!((of_e.unchanged, of_e.orphaned, of_e.blocked), (2, 0, 0), "{of_e}");
    assert_eq!(counts(&bumped, "d").await.stale, 2);
    compute(&bumped, "d").await;
    assert!(counts(&bumped, "e").await.is_up_to_date());

    // What it does read blocks it until it is computed again.
    let bumped = store.with_graph(graph(&[root(), d("2", "2"), e]));
    let of_e = increment(&bumped, "e").await;
    let expected =
        |id| json!({ "id": id, "metaxy_status": "blocked", "metaxy_cause": "d is stale" });
    let columns = ["id", "metaxy_status", "metaxy_cause"];
    assert_eq!(only(&of_e, &columns), [expected("1"), expected("2")]);
}

pub(crate) async fn h06_a_bump_is_stale_with_its_reason(engine: &dyn Engine) {
    let b = |z: &str| on("b", "a", &json!(["x", {"key": "z", "code_version": z}]));
    let store = open(engine, &graph(&[root(), b("1")])).await;
    sync(&store, &records(&[("1", "1", "1"), ("2", "2", "2")])).await;
    compute(&store, "b").await;

    let store = store.with_graph(graph(&[root(), b("2")]));
    let expected = |id, reasons: Value| json!({ "id": id, "metaxy_status": "stale", "metaxy_stale_fields": reasons });
    assert_eq!(
        stale_fields(&store, "b").await,
        [expected("1", json!({"z": "code"})), expected("2", json!({"z": "code"}))]
    );
    // A value that has changed as well is told apart from the bump.
    sync(&store, &records(&[("1", "1", "1"), ("2", "new", "2")])).await;
    assert_eq!(
        stale_fields(&store, "b").await,
        [
            expected("1", json!({"z": "code"})),
            expected("2", json!({"x": "upstream", "z": "code,upstream"})),
        ]
    );
    compute(&store, "b").await;
    assert!(counts(&store, "b").await.is_up_to_date());
}

/// Two fields, of which `a` has a data version of its own, and a reader of `a`.
async fn with_reader(engine: &dyn Engine) -> (Store, impl Fn(Value) -> FeatureGraph) {
    let definitions = |fields: Value| {
        let e = json!({ "key": "e", "id_columns": ["id"], "deps": [{"feature": "d"}],
            "fields": [{"key": "of_a", "deps": [{"feature": "d", "fields": ["a"]}]}] });
        graph(&[root(), on("d", "a", &fields), e])
    };
    let store = open(engine, &definitions(json!(["a", "b"]))).await;
    sync(&store, &records(&[("1", "1", "1")])).await;
    let mut rows = increment(&store, "d").await;
    rows[0]["metaxy_data_version_by_field"] = json!({"a": "of the content"});
    let rows = only(&rows, &["id", "metaxy_provenance_by_field", "metaxy_data_version_by_field"]);
    write(&store, "d", &rows).await.expect("good rows");
    compute(&store, "e").await;
    (store, definitions)
}

pub(crate) async fn h07_an_added_field_is_stale_alone(engine: &dyn Engine) {
    let (store, definitions) = with_reader(engine).await;
    let before = read(&store, "d").await[0]["metaxy_data_version_by_field"].clone();
    let store = store.with_graph(definitions(json!(["a", "b", "c"])));
    assert_eq!(
        stale_fields(&store, "d").await,
        [json!({ "id": "1", "metaxy_status": "stale", "metaxy_stale_fields": {"c": "added"} })]
    );
    assert!(counts(&store, "e").await.is_up_to_date(), "it does not read the new field");
    assert_eq!(read(&store, "d").await, Vec::<Value>::new(), "nothing outdated is read");

    compute(&store, "d").await;
    assert!(counts(&store, "d").await.is_up_to_date());
    assert!(counts(&store, "e").await.is_up_to_date());
    let after = read(&store, "d").await[0]["metaxy_data_version_by_field"].clone();
    assert_eq!(after["a"], "of the content", "what is not stale keeps its data version");
    assert_eq!(after["b"], before["b"]);
}

pub(crate) async fn h07_a_removed_field_makes_nothing_stale(engine: &dyn Engine) {
    let (store, definitions) = with_reader(engine).await;
    let store = store.with_graph(definitions(json!(["a"])));
    let of_d = counts(&store, "d").await;
    assert!(of_d.is_up_to_date(), "{of_d}");
    assert_eq!((of_d.unchanged, of_d.unchanged_older), (1, 1));
    assert!(counts(&store, "e").await.is_up_to_date());
    assert_eq!(read(&store, "d").await.len(), 1, "it is still read");
}

pub(crate) async fn h07_an_added_field_of_a_root_is_stale_alone(engine: &dyn Engine) {
    let narrow = json!({ "key": "a", "id_columns": ["id"], "fields": ["x"] });
    let b = json!({ "key": "b", "id_columns": ["id"], "deps": [{"feature": "a"}],
        "fields": [{"key": "of_x", "deps": [{"feature": "a", "fields": ["x"]}]}] });
    let store = open(engine, &graph(&[narrow, b.clone()])).await;
    let row = json!({ "id": "1", "metaxy_provenance_by_field": {"x": "1"} });
    sync(&store, &[row]).await;
    compute(&store, "b").await;

    let store = store.with_graph(graph(&[root(), b]));
    let samples = batch(&records(&[("1", "1", "1")]));
    let report = store.sync_of(&key("a"), samples).await.expect("a sync");
    assert_eq!((report.counts.stale, report.written.rows), (1, 1));
    assert!(counts(&store, "b").await.is_up_to_date());
}

pub(crate) async fn h10_system_columns_of_upstreams_stay_there(engine: &dyn Engine) {
    let roots = ["p", "q", "r"]
        .map(|key| json!({ "key": key, "id_columns": ["id"], "fields": [format!("of_{key}")] }));
    let deps: Vec<Value> = ["p", "q", "r"].map(|key| json!({"feature": key})).into();
    let d = json!({ "key": "d", "id_columns": ["id"], "fields": ["z"], "deps": deps });
    let mut features = roots.to_vec();
    features.push(d);
    let store = open(engine, &graph(&features)).await;
    for root in ["p", "q", "r"] {
        let row = |id: &str, version: &str| {
            let field = format!("of_{root}");
            json!({ "id": id, root: "kept", "metaxy_provenance_by_field": {field: version} })
        };
        write(&store, root, &[row("1", "1"), row("2", "2")]).await.expect("good rows");
        // A tombstone and a row after it, so that there is something to leak.
        delete(&store, root, &[json!({"id": "1"}), json!({"id": "2"})]).await;
        write(&store, root, &[row("1", "3")]).await.expect("good rows");
    }
    let rows = increment(&store, "d").await;
    assert_eq!(rows.len(), 1);
    let columns: Vec<&String> = rows[0].as_object().expect("an object").keys().collect();
    let (ours, users): (Vec<&String>, Vec<&String>) =
        columns.into_iter().partition(|name| name.starts_with("metaxy_"));
    assert_eq!(users, ["id", "p", "q", "r"]);
    assert_eq!(
        ours,
        [
            "metaxy_status",
            "metaxy_provenance_by_field",
            "metaxy_provenance",
            "metaxy_data_version_by_field",
            "metaxy_data_version",
            "metaxy_stale_fields",
            "metaxy_stored_provenance_by_field",
            "metaxy_stored_feature_version",
            "metaxy_cause",
        ]
    );
    compute(&store, "d").await;
    assert!(counts(&store, "d").await.is_up_to_date());
    let rows = read(&store, "d").await;
    let columns: Vec<&String> = rows[0].as_object().expect("an object").keys().collect();
    assert_eq!(columns[..4], ["id", "p", "q", "r"]);
    assert_eq!(columns[4..], metaxy_sql::system::COLUMNS);
}

pub(crate) async fn h11_parents_with_similar_names_are_told_apart(engine: &dyn Engine) {
    let features = [
        json!({ "key": "a", "id_columns": ["id"], "fields": ["b_c"] }),
        json!({ "key": "a_b", "id_columns": ["id"], "fields": ["c"] }),
        json!({ "key": "d", "id_columns": ["id"], "fields": ["w"],
                "deps": [{"feature": "a"}, {"feature": "a_b"}] }),
    ];
    let store = open(engine, &graph(&features)).await;
    let of_a = |version: &str| json!({ "id": "1", "metaxy_provenance_by_field": {"b_c": version} });
    let of_ab = |version: &str| json!({ "id": "1", "metaxy_provenance_by_field": {"c": version} });
    write(&store, "a", &[of_a("1")]).await.expect("good rows");
    write(&store, "a_b", &[of_ab("1")]).await.expect("good rows");
    compute(&store, "d").await;
    // Each of the two is seen, also when they change places.
    write(&store, "a", &[of_a("2")]).await.expect("good rows");
    assert_eq!(compute(&store, "d").await.stale, 1);
    write(&store, "a_b", &[of_ab("2")]).await.expect("good rows");
    assert_eq!(compute(&store, "d").await.stale, 1);
    write(&store, "a", &[of_a("1")]).await.expect("good rows");
    let first = increment(&store, "d").await;
    write(&store, "a", &[of_a("2")]).await.expect("good rows");
    write(&store, "a_b", &[of_ab("1")]).await.expect("good rows");
    let second = increment(&store, "d").await;
    let provenance = "metaxy_provenance";
    assert_ne!(first[0][provenance], second[0][provenance]);
}

pub(crate) async fn h12_columns_are_found_by_name(engine: &dyn Engine) {
    let store = open(engine, &graph(&[root()])).await;
    let versions = json!({ "x": "1", "y": "1" });
    let first =
        json!({ "id": "1", "p": "of p", "q": "of q", "metaxy_provenance_by_field": versions });
    write(&store, "a", &[first]).await.expect("good rows");
    let other_order =
        json!({ "q": "of q", "metaxy_provenance_by_field": versions, "p": "of p", "id": "2" });
    write(&store, "a", &[other_order]).await.expect("good rows");
    for row in read(&store, "a").await {
        assert_eq!((&row["p"], &row["q"]), (&json!("of p"), &json!("of q")));
    }
}

/// With a definition that knows its columns a write has to have them, and no others.
pub(crate) async fn h12_unknown_and_missing_columns_are_listed(engine: &dyn Engine) {
    let clip = FeatureBuilder::new("h12/clip").id("id", ScalarType::Text).field("x");
    let clip = clip.column("path", ScalarType::Text).column("duration", ScalarType::Float64);
    let graph = FeatureGraph::builder().feature(clip).build().expect("a graph");
    let store = open(engine, &graph).await;
    let row = json!({ "id": "1", "pth": "p", "length": 1.0, "x": "1" });
    let error = write(&store, "h12/clip", &[row]).await.expect_err("a refusal");
    assert_eq!(
        error.to_string(),
        "cannot write `h12/clip`: unknown columns `pth`, `length` and missing columns `path`, \
         `duration`; the feature has `id`, `path`, `duration`"
    );
    let by_position = json!({ "a": "1", "b": "p", "c": 1.0, "d": "1" });
    let error = store.sync_of(&key("h12/clip"), batch(&[by_position])).await;
    assert_eq!(
        error.expect_err("a refusal").to_string(),
        "cannot write `h12/clip`: unknown columns `a`, `b`, `c`, `d` and missing columns `id`, \
         `path`, `duration`; the feature has `id`, `path`, `duration`"
    );
    assert_eq!(read(&store, "h12/clip").await, Vec::<Value>::new());
    let clip = json!({ "id": "1", "path": "p", "duration": 1.0, "x": "1" });
    store.sync_of(&key("h12/clip"), batch(&[clip])).await.expect("a sync");
}

pub(crate) async fn h13_a_soft_delete_revives_no_older_row(engine: &dyn Engine) {
    let features = [root(), on("b", "a", &json!(["x"]))];
    let store = open(engine, &graph(&features)).await;
    write(&store, "a", &records(&[("1", "1", "1"), ("2", "1", "1")])).await.expect("good rows");
    write(&store, "a", &records(&[("1", "2", "2")])).await.expect("good rows");
    compute(&store, "b").await;
    let before = read(&store, "a").await;
    let of_1 = |rows: &[Value]| rows.iter().find(|row| row["id"] == "1").cloned();

    assert_eq!(delete(&store, "a", &[json!({"id": "1"})]).await, 1);
    let ids = only(&read(&store, "a").await, &["id"]);
    assert_eq!(ids, [json!({"id": "2"})], "the older row does not come back");
    let rows = increment(&store, "b").await;
    let columns = ["id", "metaxy_status", "metaxy_cause"];
    let gone = json!({ "id": "1", "metaxy_status": "orphaned", "metaxy_cause": "gone" });
    assert_eq!(only(&rows, &columns), [gone]);

    // The tombstone is a row of its own, with a time of its own.
    let all = store.read_of(&key("a")).tombstones(true).batches().await.expect("a read");
    let tombstone = of_1(&collect(all).await).expect("a tombstone");
    let live = of_1(&before).expect("the row before");
    let time = |row: &Value, name: &str| row[name].as_i64();
    assert_eq!(tombstone["metaxy_updated_at"], live["metaxy_updated_at"]);
    assert!(time(&tombstone, "metaxy_deleted_at") > time(&live, "metaxy_updated_at"));
    assert_eq!(tombstone["metaxy_provenance_by_field"], live["metaxy_provenance_by_field"]);
    assert_ne!(tombstone["metaxy_write_token"], live["metaxy_write_token"]);

    // Deleting again, or what never was, changes nothing.
    assert_eq!(delete(&store, "a", &[json!({"id": "1"}), json!({"id": "9"})]).await, 0);

    // A record that is written again is there again, and is the same one downstream.
    write(&store, "a", &records(&[("1", "2", "2")])).await.expect("good rows");
    assert_eq!(read(&store, "a").await.len(), 2);
    assert!(counts(&store, "b").await.is_up_to_date());
}

pub(crate) async fn h13_history_keeps_every_row(engine: &dyn Engine) {
    let store = open(engine, &graph(&[root()])).await;
    write(&store, "a", &records(&[("1", "1", "1")])).await.expect("good rows");
    write(&store, "a", &records(&[("1", "2", "2")])).await.expect("good rows");
    delete(&store, "a", &[json!({"id": "1"})]).await;
    write(&store, "a", &records(&[("1", "3", "3")])).await.expect("good rows");
    let read = store.read_of(&key("a")).history(true).tombstones(true);
    let mut rows = collect(read.batches().await.expect("a read")).await;
    let time = |row: &Value| {
        row["metaxy_deleted_at"].as_i64().or(row["metaxy_updated_at"].as_i64()).expect("a time")
    };
    rows.sort_by_key(time);
    let story: Vec<_> = rows
        .iter()
        .map(|row| (&row["metaxy_provenance_by_field"]["x"], row["metaxy_deleted_at"].is_null()))
        .collect();
    assert_eq!(
        story,
        [(&json!("1"), true), (&json!("2"), true), (&json!("2"), false), (&json!("3"), true)]
    );
    let times: Vec<i64> = rows.iter().map(time).collect();
    assert!(times.is_sorted_by(|a, b| a < b), "{times:?}");
}

/// In Python a hard delete lets the row before come back, and what follows from the record looks as if
/// its upstream had never been computed.
pub(crate) async fn h13_a_hard_deletion_revives_nothing_and_leaves_a_trace(engine: &dyn Engine) {
    let features = [root(), on("b", "a", &json!(["x"])), on("c", "b", &json!(["x"]))];
    let store = open(engine, &graph(&features)).await;
    for x in ["1", "2", "3"] {
        sync(&store, &records(&[("1", x, "1"), ("2", "1", "1")])).await;
    }
    compute(&store, "b").await;
    compute(&store, "c").await;

    let hard = store.delete_of(&key("a"), &[batch(&[json!({"id": "1"})])]).hard(true).await;
    let hard = hard.expect("a deletion");
    assert_eq!((hard.records(), hard.rows_removed()), (1, 3));
    assert_eq!(only(&read(&store, "a").await, &["id"]), [json!({ "id": "2" })]);
    let history = store.read_of(&key("a")).history(true).batches().await.expect("rows");
    assert_eq!(only(&collect(history).await, &["id"]), [json!({ "id": "2" })], "no row is left");

    let of_b = only(&increment(&store, "b").await, &["id", "metaxy_status", "metaxy_cause"]);
    assert_eq!(of_b, [json!({ "id": "1", "metaxy_status": "orphaned", "metaxy_cause": "gone" })]);
    let report = store.delete_orphans_of(&key("b")).cascade(true).await.expect("a deletion");
    assert_eq!(report.to_string(), "b: 1 record deleted\nc: 1 record deleted");
    for feature in ["b", "c"] {
        assert!(counts(&store, feature).await.is_up_to_date(), "{feature}");
    }
}

/// In Python a soft delete rewrites the row, with the time that it had: two rows of one key tie.
pub(crate) async fn h13_a_soft_deletion_has_a_time_of_its_own(engine: &dyn Engine) {
    let store = open(engine, &graph(&[root(), on("b", "a", &json!(["x"]))])).await;
    let mut out = store.batch_writer(&key("a"));
    out.push(&batch(&records(&[("1", "1", "1"), ("2", "1", "1")]))).await.expect("good rows");
    let written = out.commit().await.expect("a commit").time.expect("a time");
    compute(&store, "b").await;
    assert_eq!(delete(&store, "a", &[json!({"id": "1"})]).await, 1);
    let deleted = time_of_deletion(&store, "a").await;
    assert!(written < deleted);
    let all = store.read_of(&key("a")).history(true).tombstones(true).batches().await;
    let all = collect(all.expect("rows")).await;
    let times: Vec<(Value, Value)> = all
        .iter()
        .filter(|row| row["id"] == "1")
        .map(|row| (row["metaxy_updated_at"].clone(), row["metaxy_deleted_at"].clone()))
        .collect();
    assert_eq!(times.len(), 2, "the row has stayed as it was: {times:?}");
    assert!(times.contains(&(json!(written), Value::Null)));
    assert!(times.contains(&(json!(written), json!(deleted))));
    // As of the time between, it is there.
    let then = store.read_of(&key("a")).as_of(deleted - 1).batches().await.expect("rows");
    assert_eq!(collect(then).await.len(), 2);
    assert_eq!(counts(&store, "b").await.orphaned, 1);
    // A record that is written again is there again, and can be deleted again.
    write(&store, "a", &records(&[("1", "1", "1")])).await.expect("good rows");
    assert!(counts(&store, "b").await.is_up_to_date());
    assert_eq!(delete(&store, "a", &[json!({"id": "1"})]).await, 1);
}

/// When the rows of [`h15_a_row_from_the_future_is_followed`] say that they were written.
const FUTURE: i64 = 4_102_444_800_000_000;

pub(crate) async fn h15_a_row_from_the_future_is_followed(engine: &dyn Engine) {
    let store = open(engine, &graph(&[root()])).await;
    let samples = records(&[("1", "1", "1"), ("2", "1", "1")]);
    let theirs = changed(&store, "a", &samples, |rows| {
        let times = TimestampMicrosecondArray::from(vec![FUTURE; rows.num_rows()]);
        let times: ArrayRef = Arc::new(times.with_timezone("UTC"));
        with_column(&rows, "metaxy_updated_at", &times)
    });
    theirs.await.copy_to(&store).await.expect("a copy");

    // The clock stands still, as far as the table can tell: every write is later all the same.
    for n in 1..=3 {
        let rows = records(&[("1", &format!("{n} later"), "1")]);
        let mut out = store.batch_writer(&key("a"));
        out.push(&batch(&rows)).await.expect("good rows");
        assert_eq!(out.commit().await.expect("a commit").time, Some(FUTURE + n));
        let now = read(&store, "a").await;
        let row = now.iter().find(|row| row["id"] == "1").expect("a record");
        assert_eq!(row["metaxy_provenance_by_field"]["x"], format!("{n} later"));
    }
    assert_eq!(delete(&store, "a", &[json!({"id": "1"})]).await, 1);
    assert_eq!(time_of_deletion(&store, "a").await, FUTURE + 4);
    // A write after a tombstone counts from the tombstone.
    let report = store.sync_of(&key("a"), batch(&records(&[("1", "back", "1"), ("2", "1", "1")])));
    assert_eq!(report.await.expect("a sync").written.time, Some(FUTURE + 5));
    assert_eq!(read(&store, "a").await.len(), 2);
}

/// The same of rows that stand in a table of the database itself.
pub(crate) async fn h15_a_row_from_the_future_in_a_table_is_followed(
    engine: &dyn Engine,
) -> Outcome {
    let store = open(engine, &graph(&[root()])).await;
    sync(&store, &records(&[("1", "1", "1"), ("2", "1", "1")])).await;
    let (a, change) = (key("a"), Foreign::WrittenAt(FUTURE));
    let Some(store) = engine.foreign(store, &a, change) else { return NOBODY_ELSE };
    let store = store.await;
    let mut out = store.batch_writer(&a);
    out.push(&batch(&records(&[("1", "later", "1")]))).await.expect("good rows");
    assert_eq!(out.commit().await.expect("a commit").time, Some(FUTURE + 1));
    let now = read(&store, "a").await;
    assert_eq!(now.len(), 2);
    let row = now.iter().find(|row| row["id"] == "1").expect("a record");
    assert_eq!(row["metaxy_provenance_by_field"]["x"], "later");
    assert_eq!(delete(&store, "a", &[json!({"id": "1"})]).await, 1);
    assert_eq!(time_of_deletion(&store, "a").await, FUTURE + 2);
    Outcome::Held
}

pub(crate) async fn h15_times_of_writes_increase_strictly(engine: &dyn Engine) {
    let store = open(engine, &graph(&[root()])).await;
    let mut times = Vec::new();
    for n in 0..20 {
        let mut out = store.batch_writer(&key("a"));
        out.push(&batch(&records(&[("1", &n.to_string(), "1")]))).await.expect("good rows");
        times.extend(out.commit().await.expect("a commit").time);
    }
    assert_eq!(times.len(), 20);
    assert!(times.is_sorted_by(|a, b| a < b), "{times:?}");
}

pub(crate) async fn h17_samples_are_compared_with_what_is_stored(engine: &dyn Engine) {
    let features = graph(&[json!({ "key": "a", "id_columns": ["id"], "fields": ["x"] })]);
    let store = open(engine, &features).await;
    let samples = |changed: i64, n: i64| {
        let rows = (0..n).map(|id| {
            let version = if id < changed { "new" } else { "old" };
            json!({ "id": id, "metaxy_provenance_by_field": {"x": version} })
        });
        batch(&rows.collect::<Vec<_>>())
    };
    store.sync_of(&key("a"), samples(0, 50)).await.expect("a sync");
    let report = store.sync_of(&key("a"), samples(3, 51)).await.expect("a sync");
    assert_eq!((report.counts.new, report.counts.stale, report.counts.unchanged), (1, 3, 47));
    assert_eq!((report.written.rows, report.written.deleted), (4, 0), "only what differs");
    let fewer = store.sync_of(&key("a"), samples(3, 40)).dry_run(true).await.expect("a sync");
    assert_eq!(fewer.counts.orphaned, 11);
    assert_eq!(read(&store, "a").await.len(), 51, "nothing is deleted unasked");
}
