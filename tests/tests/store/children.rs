//! Expansions: the children of a parent are written in a try and exist once it is sealed.

use futures::TryStreamExt;
use metaxy::Error;
use metaxy::arrow::array::{ArrayRef, Int64Array, RecordBatch};
use metaxy::arrow::compute::concat_batches;
use metaxy::prelude::*;
use metaxy_tests::batch::{batch, only};
use metaxy_tests::flow::{counts, increment, key, open, read};
use metaxy_tests::on_every_engine;
use metaxy_tests::place::Place;
use serde_json::{Value, json};
use std::sync::Arc;

on_every_engine! {
    children_are_written_and_sealed_at_once,
    children_of_another_time_are_gone,
    commit_every_never_splits_a_parent,
    a_job_of_an_expansion_is_about_the_parent,
    failures_go_with_a_parent_that_is_removed,
    a_parent_is_sealed_once_in_a_commit,
    batches_of_children_exist_with_their_seal,
    children_without_their_seal_are_no_write_that_was_done,
    a_seal_that_promises_more_is_pending,
    an_amended_child_stays_in_its_try,
    bad_children_and_seals,
    seals_of_a_feature_without_types_come_after_rows,
    forced_fields_lose_their_data_versions,
}

#[derive(Clone, Debug, Feature, PartialEq)]
#[metaxy(key = "children/video")]
struct Video {
    #[metaxy(id)]
    id: i64,
    path: String,
    #[metaxy(field)]
    frames: DataVersion,
}

#[derive(Clone, Debug, Feature, PartialEq)]
#[metaxy(key = "children/face", deps(Video(lineage = expansion(on(id)))))]
struct Face {
    #[metaxy(id)]
    id: i64,
    #[metaxy(id)]
    face: u32,
    #[metaxy(field)]
    box_of: DataVersion,
    size: Option<i64>,
}

#[derive(Clone, Debug, Row)]
struct Input {
    id: i64,
    path: String,
}

const FACE: &str = "children/face";

fn graph() -> FeatureGraph {
    FeatureGraph::of::<Face>().expect("a graph")
}

fn video(id: i64, version: &str) -> Video {
    Video { id, path: format!("/{id}"), frames: DataVersion::new(version) }
}

fn face(id: i64, face: u32) -> Face {
    Face { id, face, box_of: DataVersion::default(), size: None }
}

async fn store(engine: &str, videos: &[i64]) -> Store {
    filled(open(engine, &graph()).await, videos).await
}

async fn filled(store: Store, videos: &[i64]) -> Store {
    let videos: Vec<_> = videos.iter().map(|id| video(*id, "1")).collect();
    store.sync(videos).await.expect("a sync");
    store
}

async fn jobs(store: &Store) -> Vec<metaxy::Job<Face, Input>> {
    let jobs = store.resolve_update::<Face>().await.expect("an increment").jobs::<Input>();
    let mut jobs: Vec<_> = jobs.try_collect().await.expect("jobs");
    jobs.sort_by_key(|job| job.input().id);
    jobs
}

/// Writes so many faces of each video.
async fn expand(store: &Store, n: impl Fn(i64) -> u32) -> metaxy::store::Committed {
    let mut out = store.writer::<Face>();
    for job in jobs(store).await {
        let id = job.input().id;
        assert_eq!(job.input().path, format!("/{id}"));
        let faces: Vec<_> = (0..n(id)).map(|i| face(id, i)).collect();
        out.push(job.children(faces).expect("faces of the video")).await.expect("good faces");
    }
    out.commit().await.expect("a commit")
}

async fn faces(store: &Store) -> Vec<Value> {
    only(&read(store, FACE).await, &["id", "face"])
}

fn pairs(pairs: &[(i64, u32)]) -> Vec<Value> {
    let rows = pairs.iter().map(|(id, face)| json!({ "id": id, "face": face }));
    only(&rows.collect::<Vec<_>>(), &["id", "face"])
}

async fn children_are_written_and_sealed_at_once(engine: &str) {
    let store = store(engine, &[1, 2]).await;
    // The second has none, which is a result as well.
    let committed = expand(&store, |id| if id == 1 { 3 } else { 0 }).await;
    assert_eq!((committed.rows, committed.parents, committed.commits), (3, 2, 1));
    assert_eq!(committed.to_string(), "3 written for 2 parents");
    assert_eq!(faces(&store).await, pairs(&[(1, 0), (1, 1), (1, 2)]));
    assert!(counts(&store, FACE).await.is_up_to_date());
}

#[tokio::test]
async fn a_seal_is_of_the_write_of_its_children() {
    let place = Place::new();
    let store = filled(place.open(&graph()).await.expect("a store"), &[1, 2]).await;
    expand(&store, |id| if id == 1 { 3 } else { 0 }).await;
    drop(store);

    let rows = place.query(
        "SELECT DISTINCT metaxy_try AS t, epoch_us(metaxy_updated_at) AS at, metaxy_write_token AS w, \
         metaxy_feature_version AS v, metaxy_provenance AS p FROM children__face",
    );
    let seals = place.query(
        "SELECT metaxy_try AS t, epoch_us(metaxy_updated_at) AS at, metaxy_write_token AS w, \
         metaxy_feature_version AS v, metaxy_provenance AS p \
         FROM \"metaxy_system__seals__children__face\" WHERE metaxy_children = 3 AND id = 1",
    );
    assert_eq!(rows.len(), 1);
    assert_eq!(rows, seals, "a seal is of the time and the write of its children");
}

async fn children_of_another_time_are_gone(engine: &str) {
    let store = store(engine, &[1, 2]).await;
    expand(&store, |_| 3).await;
    store.sync(vec![video(1, "2")]).partial(true).await.expect("a sync");
    let committed = expand(&store, |_| 1).await;
    assert_eq!((committed.rows, committed.parents), (1, 1));
    assert_eq!(faces(&store).await, pairs(&[(1, 0), (2, 0), (2, 1), (2, 2)]));
    assert!(counts(&store, FACE).await.is_up_to_date());
}

async fn commit_every_never_splits_a_parent(engine: &str) {
    let store = store(engine, &[1, 2, 3]).await;
    let mut out = store.writer::<Face>().commit_every(2);
    for job in jobs(&store).await {
        let id = job.input().id;
        out.push(job.children((0..3).map(|i| face(id, i))).expect("faces")).await.expect("faces");
    }
    // Each parent is more than two records, and there is nothing left to commit.
    let committed = out.commit().await.expect("a commit");
    assert_eq!((committed.rows, committed.parents, committed.commits), (9, 3, 3));
}

async fn a_job_of_an_expansion_is_about_the_parent(engine: &str) {
    let store = store(engine, &[1, 2]).await;
    let mut both = jobs(&store).await;
    let job = both.remove(0);
    assert_eq!(job.ids(), [metaxy::IdValue::Int(1)]);
    let error = job.done(face(1, 0)).expect_err("a refusal").to_string();
    assert!(error.contains("`job.children(records)`"), "{error}");

    let error = both.remove(0).children([face(2, 0), face(1, 7)]).expect_err("a refusal");
    assert_eq!(
        error.to_string(),
        "cannot write `children/face`: the record id = 1, face = 7 belongs to the parent id = 1, but \
         the job is about id = 2"
    );
}

/// It is parents that fail, and they are forgotten with their children.
async fn failures_go_with_a_parent_that_is_removed(engine: &str) {
    let store = store(engine, &[1, 2]).await;
    expand(&store, |_| 2).await;
    store.sync(vec![video(1, "2"), video(2, "2")]).await.expect("a sync");
    let mut out = store.writer::<Face>();
    for job in jobs(&store).await {
        out.push(job.failed("no")).await.expect("a failure");
    }
    out.commit().await.expect("a commit");
    let failed = async || -> Vec<String> {
        let failures = store.failures::<Face>().await.expect("failures");
        failures.into_iter().flat_map(|failure| failure.ids).collect()
    };
    store.delete(&[face(1, 0)]).hard(true).await.expect("a deletion");
    assert_eq!(failed().await, ["1", "2"], "its parent still has another child");
    let parent = [batch(&[json!({ "id": 1 })])];
    store.delete_of(&key(FACE), &parent).hard(true).await.expect("a deletion");
    assert_eq!(failed().await, ["2"]);
}

async fn a_parent_is_sealed_once_in_a_commit(engine: &str) {
    let store = store(engine, &[1]).await;
    let mut out = store.writer::<Face>();
    for n in 0..2 {
        let job = jobs(&store).await.remove(0);
        out.push(job.children([face(1, n)]).expect("a face")).await.expect("a face");
    }
    let error = out.commit().await.expect_err("a refusal").to_string();
    assert!(error.contains("2 seals are about the same parent id = 1"), "{error}");
    assert_eq!(read(&store, FACE).await, Vec::<Value>::new());
}

/// The increment of faces as one batch.
async fn to_compute(store: &Store) -> RecordBatch {
    let increment = store.resolve_update_of(&key(FACE)).await.expect("an increment");
    let batches: Vec<_> = increment.to_compute().try_collect().await.expect("batches");
    concat_batches(&batches[0].schema(), &batches).expect("one batch")
}

fn with(batch: &RecordBatch, columns: &[(&str, ArrayRef)]) -> RecordBatch {
    let schema = batch.schema();
    let old = schema.fields().iter().zip(batch.columns());
    let old = old.map(|(field, column)| (field.name().as_str(), Arc::clone(column)));
    let kept = old.filter(|(name, _)| !columns.iter().any(|(new, _)| new == name));
    let new = columns.iter().map(|(name, column)| (*name, Arc::clone(column)));
    metaxy_tests::batch::batch_of(kept.chain(new).collect::<Vec<_>>())
}

fn without(batch: &RecordBatch, name: &str) -> RecordBatch {
    let mut batch = batch.clone();
    let place = batch.schema().index_of(name).expect("a column");
    batch.remove_column(place);
    batch
}

/// One face of each parent: rows of the increment, with the feature's own columns.
fn one_face_each(parents: &RecordBatch) -> RecordBatch {
    let n = parents.num_rows();
    let number = |value: i64| -> ArrayRef { Arc::new(Int64Array::from(vec![value; n])) };
    let face: ArrayRef = Arc::new(metaxy::arrow::array::UInt32Array::from(vec![0; n]));
    let rows = with(parents, &[("face", face), ("size", number(7))]);
    without(&rows, "path")
}

fn seals(parents: &RecordBatch, children: i64) -> RecordBatch {
    let n: ArrayRef = Arc::new(Int64Array::from(vec![children; parents.num_rows()]));
    with(parents, &[("metaxy_children", n)])
}

async fn batches_of_children_exist_with_their_seal(engine: &str) {
    let store = store(engine, &[1, 2]).await;
    let parents = to_compute(&store).await;
    let mut out = store.batch_writer(&key(FACE));
    out.push(&one_face_each(&parents)).await.expect("good rows");
    assert_eq!(out.commit().await.expect("a commit").rows, 2);
    assert_eq!(read(&store, FACE).await, Vec::<Value>::new(), "nothing says that they are all");
    assert_eq!(counts(&store, FACE).await.new, 2);

    out.seal(&seals(&parents, 1)).await.expect("good seals");
    let committed = out.commit().await.expect("a commit");
    assert_eq!((committed.rows, committed.parents, committed.commits), (2, 2, 2));
    assert_eq!(faces(&store).await, pairs(&[(1, 0), (2, 0)]));
    assert!(counts(&store, FACE).await.is_up_to_date());
}

/// As after a crash between the two, where there are no transactions.
async fn children_without_their_seal_are_no_write_that_was_done(engine: &str) {
    let store = store(engine, &[1, 2]).await;
    let parents = to_compute(&store).await;
    let mut out = store.batch_writer(&key(FACE)).token("a write");
    out.push(&one_face_each(&parents)).await.expect("good rows");
    assert_eq!(out.commit().await.expect("a commit").rows, 2);
    for repeated in [0, 1] {
        let mut out = store.batch_writer(&key(FACE)).token("a write");
        out.push(&one_face_each(&parents)).await.expect("the same rows");
        out.seal(&seals(&parents, 1)).await.expect("good seals");
        assert_eq!(out.commit().await.expect("a commit").repeated, repeated);
        assert_eq!(faces(&store).await, pairs(&[(1, 0), (2, 0)]));
        assert!(counts(&store, FACE).await.is_up_to_date());
    }
}

async fn a_seal_that_promises_more_is_pending(engine: &str) {
    let store = store(engine, &[1]).await;
    let parents = to_compute(&store).await;
    let mut out = store.batch_writer(&key(FACE));
    out.push(&one_face_each(&parents)).await.expect("good rows");
    out.seal(&seals(&parents, 2)).await.expect("good seals");
    out.commit().await.expect("a commit");
    assert_eq!(read(&store, FACE).await, Vec::<Value>::new());
    assert_eq!(counts(&store, FACE).await.new, 1, "as if nothing had been written");
}

async fn an_amended_child_stays_in_its_try(engine: &str) {
    let store = store(engine, &[1]).await;
    expand(&store, |_| 2).await;
    let batches = store.read_of(&key(FACE)).batches().await.expect("a read");
    let batches: Vec<_> = batches.try_collect().await.expect("batches");
    let rows = concat_batches(&batches[0].schema(), &batches).expect("one batch").slice(0, 1);
    let size: ArrayRef = Arc::new(Int64Array::from(vec![70]));
    let mut out = store.batch_writer(&key(FACE));
    out.push(&with(&rows, &[("size", size)])).await.expect("good rows");
    out.commit().await.expect("a commit");
    let found = read(&store, FACE).await;
    assert_eq!(found.len(), 2);
    assert_eq!(found.iter().filter(|row| row["size"] == json!(70)).count(), 1);
    assert!(counts(&store, FACE).await.is_up_to_date());
}

async fn bad_children_and_seals(engine: &str) {
    let store = store(engine, &[1, 2]).await;
    let parents = to_compute(&store).await;
    let numbers = |values: [Option<i64>; 2]| -> ArrayRef {
        Arc::new(values.into_iter().collect::<Int64Array>())
    };
    let rows = one_face_each(&parents);
    let pushed = [
        (without(&rows, "metaxy_try"), "the rows have no column `metaxy_try`"),
        (with(&rows, &[("metaxy_try", numbers([Some(1), Some(-1)]))]), "row 1 (id = "),
        (
            with(
                &rows,
                &[("metaxy_try", Arc::clone(rows.column_by_name("metaxy_status").expect("it")))],
            ),
            "expected Int64",
        ),
    ];
    for (rows, expected) in pushed {
        let error = store.batch_writer(&key(FACE)).push(&rows).await.expect_err("a refusal");
        assert!(error.to_string().contains(expected), "{error}");
    }
    let good = seals(&parents, 0);
    let sealed = [
        (parents.clone(), "the seals have no column `metaxy_children`"),
        (without(&good, "metaxy_try"), "the rows have no column `metaxy_try`"),
        (without(&good, "id"), "missing columns `id`"),
        (without(&good, "metaxy_provenance_by_field"), "no column `metaxy_provenance_by_field`"),
        (
            with(&good, &[("metaxy_try", numbers([Some(1), None]))]),
            "1 rows have NULL in the try column",
        ),
        (
            with(&good, &[("id", numbers([Some(1), None]))]),
            "1 rows have NULL in the id column `id`",
        ),
        (seals(&parents, -1), "which is never negative"),
    ];
    for (seals, expected) in sealed {
        let error = store.batch_writer(&key(FACE)).seal(&seals).await.expect_err("a refusal");
        assert!(error.to_string().contains(expected), "{error}");
    }
    let error =
        store.batch_writer(&key("children/video")).seal(&good).await.expect_err("a refusal");
    assert!(error.to_string().contains("the feature is no expansion"), "{error}");
    let no_table = store.read_of(&key(FACE)).batches().await.err().expect("an error");
    assert!(
        matches!(no_table, Error::NoTable { .. }),
        "what is refused makes no table: {no_table}"
    );
}

async fn seals_of_a_feature_without_types_come_after_rows(engine: &str) {
    let features = [
        json!({ "key": "a", "id_columns": ["id"], "fields": ["x"] }),
        json!({ "key": "b", "id_columns": ["id", "n"], "fields": ["x"],
                "deps": [{ "feature": "a", "lineage": { "type": "expansion", "on": ["id"] } }] }),
    ];
    let graph = metaxy_tests::flow::graph(&features);
    let store = open(engine, &graph).await;
    let rows = [json!({ "id": "v", "metaxy_provenance_by_field": { "x": "1" } })];
    metaxy_tests::flow::write(&store, "a", &rows).await.expect("good rows");
    let found = increment(&store, "b").await;
    assert_eq!(found.len(), 1);
    assert!(found[0]["metaxy_try"].is_i64() && found[0].get("n").is_none(), "{}", found[0]);
    let mut out = store.batch_writer(&key("b"));
    let seal = json!({ "id": "v", "metaxy_provenance_by_field": { "x": "1" }, "metaxy_try": 5,
                       "metaxy_children": 0 });
    let error =
        out.seal(&batch(std::slice::from_ref(&seal))).await.expect_err("a refusal").to_string();
    assert!(error.contains("nothing says which types the columns `n` have"), "{error}");
    let row =
        json!({ "id": "v", "n": 1, "metaxy_provenance_by_field": { "x": "1" }, "metaxy_try": 5 });
    out.push(&batch(&[row]).slice(0, 0)).await.expect("no rows");
    out.seal(&batch(&[seal])).await.expect("a good seal");
    assert_eq!(out.commit().await.expect("a commit").parents, 1);
}

/// What is computed again without need is new to everybody downstream.
async fn forced_fields_lose_their_data_versions(engine: &str) {
    let store = store(engine, &[1]).await;
    let mut out = store.writer::<Face>();
    let job = jobs(&store).await.remove(0);
    let mut first = face(1, 0);
    first.box_of = DataVersion::new("mine");
    out.push(job.children([first]).expect("a face")).await.expect("a face");
    out.commit().await.expect("a commit");

    let versions = |rows: Vec<Value>| rows[0]["metaxy_data_version_by_field"]["box_of"].clone();
    assert_eq!(versions(read(&store, FACE).await), json!("mine"));
    let update = store.update::<Face>().skip_comparison(true).await.expect("an increment");
    assert_eq!(update.counts().stale, 1);
    let mut jobs: Vec<_> = update.jobs::<Input>().try_collect().await.expect("jobs");
    let job = jobs.remove(0);
    assert_eq!(job.stale()[0].reasons, [metaxy::Reason::Forced]);
    let expected = job.stale()[0].new.clone();
    let mut out = store.writer::<Face>();
    out.push(job.children([face(1, 0)]).expect("a face")).await.expect("a face");
    out.commit().await.expect("a commit");
    assert_eq!(versions(read(&store, FACE).await), json!(expected));
}
