//! Rows that migrations move: what comes out is what computing from scratch gives.

use crate::{TEXT, Target, named, on_every_database, plain};
use futures::TryStreamExt;
use metaxy::arrow::array::{ArrayRef, Int64Array, RecordBatch};
use metaxy::builder::{FeatureBuilder, FieldBuilder};
use metaxy::migrate::{Engine, Layout, Migrations};
use metaxy::store::Settings;
use metaxy::{FeatureGraph, FieldKey, HashAlgorithm, ScalarType, Store};
use metaxy_tests::batch::{batch, batch_of, only};
use metaxy_tests::flow::{compute, counts, key, read};
use serde_json::{Value, json};

on_every_database! {
    a_rebase_gives_unchanged_records_the_version_of_today,
    a_renamed_field_is_computed_by_nobody_again,
    another_hash_is_what_would_have_been_computed,
}

/// The names that some fields have.
#[derive(Clone, Copy)]
struct Names {
    /// Of the root.
    frames: &'static str,
    /// Computed from it.
    pictures: &'static str,
    /// Whether there are fields that nobody reads.
    more: bool,
}

const BEFORE: Names = Names { frames: "frames", pictures: "pictures", more: true };

fn graph(names: Names) -> FeatureGraph {
    let more = |feature: FeatureBuilder, up: &str, fields: [&str; 1]| match names.more {
        true => feature.field(FieldBuilder::new("more").dep(up, fields)),
        false => feature,
    };
    let video = FeatureBuilder::new("v").id("id", TEXT).field("audio").field(names.frames);
    let crop = FeatureBuilder::new("crop").id("id", TEXT).dep(plain("v")).field("audio");
    let crop = crop.field(FieldBuilder::new(names.pictures).dep("v", [names.frames]));
    let crop = more(crop, "v", ["audio"]);
    let chunk = FeatureBuilder::new("chunk").id("id", TEXT).id("n", ScalarType::Int64);
    let chunk = chunk.dep(plain("crop").expansion(["id"]));
    let chunk = chunk.field(FieldBuilder::new("x").dep("crop", [names.pictures]));
    let chunk = more(chunk, "crop", ["audio"]);
    let leaf = FeatureBuilder::new("leaf").id("id", TEXT).id("n", ScalarType::Int64);
    let leaf = leaf.dep(plain("chunk")).field(FieldBuilder::new("y").dep("chunk", ["x"]));
    let graph = FeatureGraph::builder().feature(video).feature(crop).feature(chunk);
    graph.feature(leaf).build().expect("a graph")
}

/// The root as it should be; the frames of `c` have this version.
async fn sync(store: &Store, frames: &str, c: &str) -> u64 {
    let video = |id: &str| {
        let version = if id == "c" { c } else { "1" };
        let mut row = json!({ "id": id, "audio": id });
        row[frames] = json!(version);
        row
    };
    let videos: Vec<Value> = ["a", "b", "c"].map(video).into();
    let report = store.sync_of(&key("v"), vec![batch(&videos)]).await.expect("a sync");
    report.counts.stale
}

async fn compute_all(store: &Store) {
    compute(store, "crop").await;
    let chunk = key("chunk");
    let increment = store.resolve_update_of(&chunk).await.expect("an increment");
    let parents: Vec<RecordBatch> = increment.to_compute().try_collect().await.expect("batches");
    let mut out = store.batch_writer(&chunk);
    for parents in parents {
        let ours = ["id", "metaxy_try", "metaxy_provenance_by_field"];
        let ours = || ours.map(|name| (name, parents.column_by_name(name).expect(name).clone()));
        let n = |n: i64| -> ArrayRef {
            std::sync::Arc::new(Int64Array::from(vec![n; parents.num_rows()]))
        };
        for part in 0..2 {
            out.push(&batch_of(ours().into_iter().chain([("n", n(part))]))).await.expect("rows");
        }
        out.seal(&batch_of(ours().into_iter().chain([("metaxy_children", n(2))])))
            .await
            .expect("seals");
    }
    out.commit().await.expect("a commit");
    compute(store, "leaf").await;
}

const COMPUTED: [&str; 3] = ["crop", "chunk", "leaf"];

/// What is stored of each record, and what it would be had it been computed from scratch.
async fn assert_from_scratch(store: &Store, frames: &str, c: &str) {
    let settings = store.settings();
    let memory = Store::open("memory:").graph(store.graph().clone());
    let memory = memory.hash_algorithm(settings.hash_algorithm);
    let memory =
        memory.hash_truncation_length(settings.hash_truncation_length).await.expect("a store");
    sync(&memory, frames, c).await;
    compute_all(&memory).await;
    for feature in COMPUTED {
        let columns = [
            "id",
            "n",
            "metaxy_provenance_by_field",
            "metaxy_provenance",
            "metaxy_data_version_by_field",
            "metaxy_data_version",
            "metaxy_feature_version",
        ];
        let (found, expected) = (read(store, feature).await, read(&memory, feature).await);
        assert_eq!(sorted(only(&found, &columns)), sorted(only(&expected, &columns)), "{feature}");
        assert!(!found.is_empty());
    }
}

fn sorted(mut rows: Vec<Value>) -> Vec<Value> {
    rows.sort_by_key(|row| format!("{}{}", row["id"], row["n"]));
    rows
}

async fn started(target: &Target) -> (Migrations, Store) {
    let mut migrations = target.migrations(Layout::Sqlx);
    let graph = graph(BEFORE);
    migrations.add(&graph, named("first")).expect("files");
    migrations.apply(target.url(), false).await.expect("an application");
    let store = target.open(&graph).await;
    sync(&store, "frames", "1").await;
    compute_all(&store).await;
    (migrations, store)
}

async fn older(store: &Store) -> Vec<u64> {
    let mut all = Vec::new();
    for feature in COMPUTED {
        let counts = counts(store, feature).await;
        assert!(counts.is_up_to_date(), "{feature}: {counts}");
        all.push(counts.unchanged_older);
    }
    all
}

async fn a_rebase_gives_unchanged_records_the_version_of_today(target: &Target) {
    let (mut migrations, store) = started(target).await;
    drop(store);
    let today = graph(Names { more: false, ..BEFORE });
    let written = migrations.add(&today, named("nothing")).expect("a schema");
    assert!(written.len() == 1 && written[0].ends_with("metaxy.schema.json"), "{written:?}");
    let missing = migrations.next(&today, named("nothing")).expect("a migration");
    assert!(missing.notes().iter().any(|note| note.contains("rebase")), "{:?}", missing.notes());

    let options = named("less").rebase(true).because("nobody reads `more`\nDROP TABLE v;");
    assert_eq!(migrations.add(&today, options).expect("files").len(), 3);
    for _ in 0..2 {
        migrations.apply(target.url(), false).await.expect("an application");
        let store = target.open(&today).await;
        assert_eq!(older(&store).await, [0, 0, 0]);
        let noted = store.rebases_of(&key("crop")).await.expect("notes");
        assert_eq!(noted.iter().map(|note| note.rows).collect::<Vec<_>>(), [3]);
        assert!(noted[0].reason.contains("nobody reads"), "{}", noted[0].reason);
        let noted = store.rebases_of(&key("chunk")).await.expect("notes");
        assert_eq!(noted.iter().map(|note| note.rows).collect::<Vec<_>>(), [6 + 3], "and seals");
        assert_from_scratch(&store, "frames", "1").await;
        drop(store);

        migrations.revert(target.url(), 1, false).await.expect("a way back");
        let store = target.open(&today).await;
        assert_eq!(older(&store).await, [3, 3, 0]);
        assert_eq!(store.rebases_of(&key("crop")).await.expect("notes"), []);
    }
}

async fn a_renamed_field_is_computed_by_nobody_again(target: &Target) {
    let (mut migrations, store) = started(target).await;
    // One record is stale when the migration comes, and stays it.
    assert_eq!(sync(&store, "frames", "2").await, 1);
    drop(store);
    let names = Names { frames: "pixels", pictures: "images", ..BEFORE };
    let today = graph(names);
    let options =
        named("names").renamed("v", "frames", "pixels").renamed("crop", "pictures", "images");
    migrations.add(&today, options).expect("files");
    for _ in 0..2 {
        migrations.apply(target.url(), false).await.expect("an application");
        let store = target.open(&today).await;
        assert_eq!(sync(&store, "pixels", "2").await, 0, "the root is what it was");
        for feature in COMPUTED {
            let counts = counts(&store, feature).await;
            // What is computed from the stale record waits for it.
            let waits = counts.stale + counts.blocked;
            let of_c = if feature == "leaf" { 2 } else { 1 };
            assert_eq!((waits, counts.new, counts.orphaned), (of_c, 0, 0), "{feature}: {counts}");
            assert_eq!(counts.unchanged, 2 * of_c, "{feature}: {counts}");
        }
        drop(store);
        migrations.revert(target.url(), 1, false).await.expect("a way back");
        let store = target.open(&graph(BEFORE)).await;
        assert_eq!(sync(&store, "frames", "2").await, 0);
        assert_eq!(counts(&store, "crop").await.stale, 1);
    }
    migrations.apply(target.url(), false).await.expect("an application");
    let store = target.open(&today).await;
    compute_all(&store).await;
    assert_eq!(older(&store).await, [0, 0, 0]);
    assert_from_scratch(&store, "pixels", "2").await;
}

async fn another_hash_is_what_would_have_been_computed(target: &Target) {
    let (mut migrations, store) = started(target).await;
    let before = store.settings();
    drop(store);
    let today = graph(BEFORE);
    let mut settings: Settings = before;
    settings.hash_algorithm = HashAlgorithm::Sha256;
    settings.hash_truncation_length = 32;
    migrations
        .next_settings(&today, settings, named("sha"))
        .and_then(|next| migrations.write(&next))
        .expect("files");
    for _ in 0..2 {
        migrations.apply(target.url(), false).await.expect("an application");
        let store = target.open(&today).await;
        assert_eq!(store.settings(), settings);
        assert_eq!(sync(&store, "frames", "1").await, 0);
        older(&store).await;
        assert_from_scratch(&store, "frames", "1").await;
        drop(store);
        migrations.revert(target.url(), 1, false).await.expect("a way back");
        let store = target.open(&today).await;
        assert_eq!(store.settings(), before);
        older(&store).await;
        assert_from_scratch(&store, "frames", "1").await;
    }
    // The next one goes on from there.
    let next = migrations.next(&today, named("next")).expect("nothing");
    assert!(next.is_empty(), "{:?}", next.steps());
}

/// What a rebase could do is not lost by what is done before it is asked for.
#[test]
fn a_rebase_can_be_asked_for_later() {
    let folder = tempfile::tempdir().expect("a folder");
    let engine = Engine::DuckDb;
    let settings = engine.default_settings();
    let mut migrations = Migrations::new(folder.path(), engine, Layout::Plain, settings);
    migrations.add(&graph(BEFORE), named("first")).expect("files");
    let less = graph(Names { more: false, ..BEFORE });
    let other = FeatureBuilder::new("other").id("id", TEXT).field("x");
    let other = FeatureGraph::builder().feature(other).build().expect("a graph");
    let definitions = || less.iter().chain(other.iter()).cloned();
    let more = FeatureGraph::build(definitions().collect()).expect("a graph");
    migrations.add(&more, named("other")).expect("files");
    let leaf = definitions().map(|mut definition| {
        if definition.spec.key == key("leaf") {
            definition.spec.fields[0].key = FieldKey::new("z").expect("a key");
        }
        definition
    });
    let today = FeatureGraph::build(leaf.collect()).expect("a graph");
    migrations.add(&today, named("names").renamed("leaf", "y", "z")).expect("files");
    let mut migrations = Migrations::open(folder.path()).expect("a folder");
    let rebase = migrations.next(&today, named("rebase").rebase(true)).expect("a migration");
    let features: Vec<&String> = rebase.steps().iter().flat_map(|step| &step.features).collect();
    assert_eq!(features, ["crop", "chunk"]);
    migrations.write(&rebase).expect("files");
    let next = migrations.next(&today, named("next").rebase(true)).expect("a migration");
    assert!(next.is_empty() && !next.changes_schema(), "{:?}", next.steps());
}
