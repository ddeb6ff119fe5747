//! Features of other projects, which are known by a lock file: their tables are read, and nothing else
//! is done to them.

use crate::{TEXT, Target, named, on_every_database, plain};
use metaxy::builder::{FeatureBuilder, FieldBuilder};
use metaxy::history::LockFile;
use metaxy::migrate::{Engine, Layout, Migrations, Options, Schema};
use metaxy::spec::FeatureDefinition;
use metaxy::{FeatureGraph, HashAlgorithm};
use metaxy_tests::flow::{compute, counts, key, read, write};
use serde_json::json;
use std::fs;
use tempfile::TempDir;

on_every_database! {
    rows_of_a_fallback_stay_visible,
    a_rebase_reads_tables_of_other_projects,
    another_hash_reads_a_root_of_another_project,
}

/// The project `media`: a root, and what is computed from it.
fn media() -> FeatureGraph {
    let raw = FeatureBuilder::new("media/raw").id("id", TEXT).column("path", TEXT).field("frames");
    let video = FeatureBuilder::new("media/video").id("id", TEXT).dep(plain("media/raw"));
    let graph = FeatureGraph::builder().project("media").feature(raw);
    graph.feature(video.field("frames")).build().expect("a graph")
}

/// The same, of which nobody knows the columns: what the Python implementation locks.
fn without_columns(graph: &FeatureGraph) -> FeatureGraph {
    let definitions = graph.iter().cloned();
    let definitions = definitions.map(|d| FeatureDefinition { columns: None, ..d });
    FeatureGraph::build(definitions.collect()).expect("a graph")
}

/// The project `faces`, whose only feature is computed from one of the other project, with a field that
/// nobody reads or without.
fn faces(media: &FeatureGraph, up: &str, more: bool) -> FeatureGraph {
    let lock = LockFile::of(media, [key(up)], 16).expect("a lock file");
    let mut crop = FeatureBuilder::new("faces/crop").id("id", TEXT).dep(plain(up)).field("frames");
    if more {
        crop = crop.field(FieldBuilder::new("more").dep(up, ["frames"]));
    }
    let graph = FeatureGraph::builder().project("faces").feature(crop).lock(&lock);
    graph.build().expect("a graph")
}

/// A program that declares the features of both.
fn both() -> FeatureGraph {
    let faces = faces(&media(), "media/video", false);
    let own = faces.iter().filter(|definition| !definition.is_external()).cloned();
    FeatureGraph::build(media().iter().cloned().chain(own).collect()).expect("a graph")
}

fn folder(engine: Engine) -> (TempDir, Migrations) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let settings = engine.default_settings();
    let migrations = Migrations::new(folder.path(), engine, Layout::Plain, settings);
    (folder, migrations)
}

/// What was refused.
fn refused(migrations: &Migrations, graph: &FeatureGraph, options: Options) -> String {
    migrations.next(graph, options).expect_err("a refusal").to_string()
}

#[test]
fn they_get_no_table() {
    for engine in Engine::ALL {
        for media in [media(), without_columns(&media())] {
            let graph = faces(&media, "media/video", false);
            let (folder, mut migrations) = folder(engine);
            migrations.add(&graph, named("first")).expect("files");
            let up = fs::read_to_string(folder.path().join("0001_first.sql")).expect("a text");
            assert!(up.contains("faces__crop") && !up.contains("media__"), "{up}");
            migrations.check(&graph).expect("files that fit");
            let schema = Schema::of(&graph, engine, engine.default_settings()).expect("a schema");
            assert!(schema.table_names().any(|name| name == "faces__crop"));
            assert!(!schema.table_names().any(|name| name.starts_with("media__")));
        }
    }
}

#[test]
fn a_table_that_went_to_another_project_is_not_dropped() {
    for engine in Engine::ALL {
        let (_folder, mut migrations) = folder(engine);
        migrations.add(&both(), named("first")).expect("files");
        let today = faces(&media(), "media/video", false);
        let next = migrations.next(&today, named("theirs").drops(true)).expect("a migration");
        assert!(next.is_empty(), "{:?}", next.steps());
        let note = "the table `media__video` of `media/video` belongs to the project `media` now";
        assert!(next.notes().iter().any(|said| said.contains(note)), "{:?}", next.notes());
        assert_eq!(migrations.write(&next).expect("a schema").len(), 1);
        let names: Vec<&str> = migrations.schema().table_names().collect();
        assert!(!names.iter().any(|name| name.starts_with("media__")), "{names:?}");
        // And it is nobody's here when nothing is computed from it any more.
        let crop = FeatureBuilder::new("faces/crop").id("id", TEXT).field("frames");
        let alone = FeatureGraph::builder().project("faces").feature(crop).build();
        let next = migrations.next(&alone.expect("a graph"), named("alone").drops(true));
        let next = next.expect("a migration");
        assert!(next.is_empty(), "{:?}", next.steps());
    }
}

#[test]
fn what_has_to_be_read_has_to_be_known() {
    for engine in Engine::ALL {
        let unknown = without_columns(&media());
        let (_folder, mut migrations) = folder(engine);
        migrations.add(&faces(&unknown, "media/raw", true), named("first")).expect("files");
        let today = faces(&unknown, "media/raw", false);
        let reason = "told by the table of `media/raw` of the project `media`, the types of whose \
                      columns are not known";
        let error = refused(&migrations, &today, named("less").rebase(true));
        assert!(error.contains(reason), "{error}");
        migrations.add(&today, named("less")).expect("a schema");
        let mut settings = migrations.settings();
        settings.hash_algorithm = HashAlgorithm::Sha256;
        let error = migrations.next_settings(&today, settings, named("sha")).expect_err("no types");
        assert!(error.to_string().contains(reason), "{error}");
        let options = named("names").renamed("media/raw", "frames", "pictures");
        let error = refused(&migrations, &today, options);
        assert!(error.contains("whose own migrations rename its fields"), "{error}");
    }
}

/// The records of the other project would keep the old one.
#[test]
fn another_hash_is_for_all_that_is_computed() {
    for engine in Engine::ALL {
        let (_folder, mut migrations) = folder(engine);
        let graph = faces(&media(), "media/video", false);
        migrations.add(&graph, named("first")).expect("files");
        let mut settings = migrations.settings();
        settings.hash_algorithm = HashAlgorithm::Sha256;
        let error =
            migrations.next_settings(&graph, settings, named("sha")).expect_err("a refusal");
        let error = error.to_string();
        for part in [
            "the records of `media/video` of the project `media` would keep the old hash",
            "those of `faces/crop`",
            "with a program that declares the features of both projects",
        ] {
            assert!(error.contains(part), "{part}: {error}");
        }
    }
}

/// Records of the other project, in a database where it makes its own tables.
async fn started(target: &Target) {
    let theirs = target.opening(&media()).create_tables(true).await.expect("a store");
    let rows = ["a", "b"].map(
        |id| json!({ "id": id, "path": "/", "metaxy_provenance_by_field": { "frames": "1" } }),
    );
    write(&theirs, "media/raw", &rows).await.expect("rows");
    assert_eq!(compute(&theirs, "media/video").await.new, 2);
}

async fn rows_of_a_fallback_stay_visible(target: &Target) {
    let theirs = target.another().await;
    started(&theirs).await;
    let graph = faces(&media(), "media/video", false);
    let mut migrations = target.migrations(Layout::Plain);
    migrations.add(&graph, named("first")).expect("files");
    migrations.apply(target.url(), false).await.expect("an application");
    let fallback = theirs.open(&graph).await;
    let store = target.opening(&graph).fallback(fallback).await.expect("a store");
    assert_eq!(read(&store, "media/video").await.len(), 2);
    assert_eq!(compute(&store, "faces/crop").await.new, 2);
    assert!(counts(&store, "faces/crop").await.is_up_to_date());
}

async fn a_rebase_reads_tables_of_other_projects(target: &Target) {
    let before = faces(&media(), "media/video", true);
    let mut migrations = target.migrations(Layout::Plain);
    migrations.add(&before, named("first")).expect("files");
    migrations.apply(target.url(), false).await.expect("an application");
    started(target).await;
    let store = target.open(&before).await;
    assert_eq!(compute(&store, "faces/crop").await.new, 2);
    drop(store);

    let today = faces(&media(), "media/video", false);
    let next = migrations.next(&today, named("less").rebase(true)).expect("a migration");
    for table in ["media__video", "media__raw"] {
        let note = format!("it reads the table `{table}` of ");
        assert!(next.notes().iter().any(|said| said.starts_with(&note)), "{:?}", next.notes());
    }
    migrations.write(&next).expect("files");
    let before = counts(&target.open(&today).await, "faces/crop").await;
    assert_eq!((before.unchanged, before.unchanged_older), (2, 2));
    migrations.apply(target.url(), false).await.expect("an application");
    let store = target.open(&today).await;
    let after = counts(&store, "faces/crop").await;
    assert_eq!((after.unchanged, after.unchanged_older), (2, 0));
    assert_eq!(store.rebases_of(&key("faces/crop")).await.expect("notes")[0].rows, 2);
    assert_eq!(store.rebases_of(&key("media/video")).await.expect("notes"), []);
}

async fn another_hash_reads_a_root_of_another_project(target: &Target) {
    let graph = faces(&media(), "media/raw", false);
    let mut migrations = target.migrations(Layout::Plain);
    migrations.add(&graph, named("first")).expect("files");
    migrations.apply(target.url(), false).await.expect("an application");
    started(target).await;
    let store = target.open(&graph).await;
    assert_eq!(compute(&store, "faces/crop").await.new, 2);
    drop(store);

    let mut settings = migrations.settings();
    settings.hash_algorithm = HashAlgorithm::Sha256;
    settings.hash_truncation_length = 32;
    let next = migrations.next_settings(&graph, settings, named("sha")).expect("a migration");
    let note = "it reads the table `media__raw` of `media/raw` of the project `media`";
    assert!(next.notes().iter().any(|said| said.contains(note)), "{:?}", next.notes());
    migrations.write(&next).expect("files");
    migrations.apply(target.url(), false).await.expect("an application");
    let store = target.open(&graph).await;
    assert_eq!(store.settings(), settings);
    let after = counts(&store, "faces/crop").await;
    assert_eq!((after.stale, after.unchanged, after.unchanged_older), (0, 2, 0));
}
