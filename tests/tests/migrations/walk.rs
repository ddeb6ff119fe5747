//! A walk over several versions of a project.

use crate::{TEXT, Target, Version, named, on_every_database, plain, work};
use futures::TryStreamExt;
use metaxy::arrow::array::RecordBatch;
use metaxy::builder::FeatureBuilder;
use metaxy::migrate::{Engine, Layout, Migrations, State};
use metaxy::{FeatureGraph, Store};
use metaxy_tests::flow::{self, key};
use serde_json::json;

on_every_database! {
    a_store_works_after_each_version,
    tables_are_those_that_the_store_would_make,
    it_goes_down_and_up_again,
    drops_are_done_when_asked_for,
    what_is_dropped_can_be_made_again,
    what_is_null_stands_in_the_way_back,
    a_dry_run_changes_nothing,
    a_store_that_made_its_own_tables_goes_over,
}

async fn a_store_works_after_each_version(target: &Target) {
    let mut migrations = target.migrations(Layout::Sqlx);
    for (round, version) in Version::ALL.into_iter().enumerate() {
        let graph = version.graph();
        let written = migrations.add(&graph, named("next")).expect("files");
        match version {
            // Nothing has to be done, and the schema alone says what the fields are called.
            Version::Renamed => assert_eq!(written.len(), 1, "{version:?}"),
            _ => assert_eq!(written.len(), 3, "{version:?}"),
        }
        let migrations = Migrations::open(target.dir()).expect("a folder");
        migrations.check(&graph).expect("files that fit");
        let applied = migrations.apply(target.url(), false).await.expect("an application");
        assert_eq!(applied.len(), usize::from(written.len() > 1), "{version:?}");
        work(&target.open(&graph).await, round).await;
        let again = migrations.apply(target.url(), false).await.expect("nothing");
        assert_eq!(again, []);
    }
    let status = migrations.status(target.url()).await.expect("a status");
    assert_eq!(status.len(), 4);
    assert!(status.iter().all(|line| line.state == State::Applied && line.applied_at.is_some()));
}

/// A store that may make tables, and one that got them by migrations, have the same ones.
async fn tables_are_those_that_the_store_would_make(target: &Target) {
    let other = target.another().await;
    let mut migrations = target.migrations(Layout::Plain);
    for (round, version) in [Version::First, Version::Added].into_iter().enumerate() {
        let graph = version.graph();
        migrations.add(&graph, named("next")).expect("files");
        migrations.apply(target.url(), false).await.expect("an application");
        let store: Store = other.opening(&graph).create_tables(true).await.expect("a store");
        work(&store, round).await;
        drop(store);
        let (made, grown) = (target.tables().await, other.tables().await);
        // What a store has when it is needed: these tables are made by the very same statements.
        let later = [
            "metaxy_system__migrations",
            "metaxy_system__removed",
            "metaxy_system__rebases",
            "metaxy_system__durations",
        ];
        let made: Vec<String> = (made.into_iter())
            .filter(|line| !later.iter().any(|table| line.starts_with(table)))
            .collect();
        assert_eq!(made, grown, "{version:?}");
        assert!(grown.iter().any(|line| line.starts_with("metaxy_system__seals__m__chunk")));
    }
}

async fn it_goes_down_and_up_again(target: &Target) {
    let mut migrations = target.migrations(Layout::Plain);
    // A wider type cannot be made narrow again there.
    let versions = match target.engine {
        Engine::ClickHouse => [Version::First, Version::Added].to_vec(),
        _ => [Version::First, Version::Added, Version::Widened].to_vec(),
    };
    let mut tables = Vec::new();
    for version in &versions {
        migrations.add(&version.graph(), named("next")).expect("files");
        migrations.apply(target.url(), false).await.expect("an application");
        tables.push(target.tables().await);
    }
    let graph = versions.last().expect("a version").graph();
    work(&target.open(&graph).await, 0).await;
    for (n, tables) in tables.iter().enumerate().rev().skip(1) {
        let undone = migrations.revert(target.url(), 1, false).await.expect("a way back");
        assert_eq!(undone.len(), 1);
        assert_eq!(target.tables().await, *tables, "{n}");
    }
    let dry = migrations.revert(target.url(), 9, true).await.expect("a way back");
    assert_eq!(dry.iter().map(|done| done.version).collect::<Vec<_>>(), [1]);
    migrations.revert(target.url(), 9, false).await.expect("a way back");
    assert_eq!(target.table_names().await, ["metaxy_system__migrations"]);

    let applied = migrations.apply(target.url(), false).await.expect("an application");
    assert_eq!(applied.len(), versions.len());
    assert_eq!(target.tables().await, tables[tables.len() - 1]);
    work(&target.open(&graph).await, 1).await;
}

async fn drops_are_done_when_asked_for(target: &Target) {
    let mut migrations = target.migrations(Layout::Plain);
    for version in [Version::Added, Version::Removed] {
        migrations.add(&version.graph(), named("next")).expect("files");
    }
    migrations.apply(target.url(), false).await.expect("an application");
    let graph = Version::Removed.graph();
    assert!(target.table_names().await.contains(&"m__face".to_owned()), "it stays unasked");
    work(&target.open(&graph).await, 0).await;

    let written = migrations.add(&graph, named("drops").drops(true)).expect("files");
    assert_eq!(written.len(), 3);
    migrations.apply(target.url(), false).await.expect("an application");
    let tables = target.tables().await;
    assert!(!tables.iter().any(|line| line.starts_with("m__face")), "{tables:#?}");
    assert!(!tables.iter().any(|line| line.starts_with("m__crop.size")), "{tables:#?}");
    work(&target.open(&graph).await, 1).await;

    let error = migrations.revert(target.url(), 1, false).await.expect_err("it is gone");
    let error = error.to_string();
    assert!(error.contains("cannot be undone") && error.contains("are gone"), "{error}");
    assert_eq!(target.tables().await, tables);
    let status = migrations.status(target.url()).await.expect("a status");
    assert!(status.iter().all(|line| line.state == State::Applied));
}

/// A feature of the same key that has other ids has nothing to do with the one before.
async fn what_is_dropped_can_be_made_again(target: &Target) {
    let kept = || FeatureBuilder::new("kept").id("id", TEXT).field("x");
    let graph = |id: &str| {
        let video = FeatureBuilder::new("video").id(id, TEXT).field("frames");
        let crop = FeatureBuilder::new("crop").id(id, TEXT).dep(plain("video")).field("frames");
        let graph = FeatureGraph::builder().feature(kept()).feature(video).feature(crop);
        graph.build().expect("a graph")
    };
    let without = FeatureGraph::builder().feature(kept()).build().expect("a graph");
    let mut migrations = target.migrations(Layout::Plain);
    for (round, id) in ["id", "name"].into_iter().enumerate() {
        let today = graph(id);
        migrations.add(&today, named("made")).expect("files");
        migrations.apply(target.url(), false).await.expect("an application");
        let store = target.open(&today).await;
        store.push().await.expect("a push");
        let video = |value: &str| {
            let mut row = json!({ "metaxy_provenance_by_field": { "frames": round.to_string() } });
            row[id] = json!(value);
            row
        };
        let videos = ["a", "b", "c"].map(video);
        flow::write(&store, "video", &videos).await.expect("rows");
        let crop = key("crop");
        assert_eq!(store.failures_of(&crop).await.expect("failures"), [], "of those before");
        let increment = store.resolve_update_of(&crop).await.expect("an increment");
        let work: Vec<RecordBatch> = increment.to_compute().try_collect().await.expect("batches");
        let mut out = store.batch_writer(&crop);
        out.fail(&work[0].slice(0, 1), &["no"]).expect("a failure");
        out.push(&work[0].slice(1, work[0].num_rows() - 1)).await.expect("rows");
        out.commit().await.expect("a commit");
        assert_eq!(store.failures_of(&crop).await.expect("failures").len(), 1);
        assert_eq!(flow::read(&store, "video").await.len(), 3);
        assert!(!flow::read(&store, "crop").await.is_empty());
        drop(store);
        migrations.add(&without, named("dropped").drops(true)).expect("files");
        migrations.apply(target.url(), false).await.expect("an application");
        assert!(!target.table_names().await.contains(&"crop".to_owned()));
    }
}

async fn what_is_null_stands_in_the_way_back(target: &Target) {
    let mut migrations = target.migrations(Layout::Plain);
    for version in [Version::Widened, Version::Removed] {
        migrations.add(&version.graph(), named("next")).expect("files");
    }
    migrations.apply(target.url(), false).await.expect("an application");
    // Nothing writes sizes any more.
    work(&target.open(&Version::Removed.graph()).await, 0).await;
    let tables = target.tables().await;
    let error = migrations.revert(target.url(), 1, false).await.expect_err("sizes that are NULL");
    let error = error.to_string();
    assert!(error.to_uppercase().contains("NULL"), "{error}");
    assert_eq!(error.contains("cannot be undone"), target.engine == Engine::ClickHouse, "{error}");
    assert_eq!(target.tables().await, tables);
    let status = migrations.status(target.url()).await.expect("a status");
    assert!(status.iter().all(|line| line.state == State::Applied));
}

async fn a_dry_run_changes_nothing(target: &Target) {
    let mut migrations = target.migrations(Layout::Plain);
    migrations.add(&Version::First.graph(), named("first")).expect("files");
    migrations.add(&Version::Added.graph(), named("second")).expect("files");
    let dry = migrations.apply(target.url(), true).await.expect("a dry run");
    assert_eq!(dry.iter().map(|done| done.name.as_str()).collect::<Vec<_>>(), ["first", "second"]);
    assert_eq!(target.table_names().await, [""; 0]);
    let status = migrations.status(target.url()).await.expect("a status");
    assert!(status.iter().all(|line| line.state == State::Pending && line.applied_at.is_none()));
}

async fn a_store_that_made_its_own_tables_goes_over(target: &Target) {
    let graph = Version::First.graph();
    let store = target.opening(&graph).create_tables(true).await.expect("a store");
    work(&store, 0).await;
    drop(store);
    let adopt = || Migrations::adopt(target.dir(), target.url(), &graph, Layout::Plain);
    let mut migrations = adopt().await.expect("a folder");
    let error = adopt().await.expect_err("once is enough").to_string();
    assert!(error.contains("has a schema and 0 migrations already"), "{error}");

    // What it has not needed so far is what is missing.
    let missing = migrations.next(&graph, named("rest")).expect("a migration");
    let tables: Vec<&str> = missing.steps().iter().map(|step| step.summary.as_str()).collect();
    assert_eq!(tables.len(), 3, "{tables:?}");
    let widened = Version::Widened.graph();
    migrations.add(&widened, named("rest")).expect("files");
    let migrations = Migrations::open(target.dir()).expect("a folder");
    migrations.apply(target.url(), false).await.expect("an application");
    work(&target.open(&widened).await, 1).await;
    migrations.check(&widened).expect("files that fit");
}
