//! What is refused, and what is left of it.

use crate::{TEXT, Target, Version, named, on_every_database, plain, work};
use metaxy::builder::FeatureBuilder;
use metaxy::migrate::{Engine, Layout, MigrationError, Migrations, State};
use metaxy::{Error, FeatureGraph, HashAlgorithm, ScalarType};
use metaxy_tests::flow;
use serde_json::json;
use std::fs;

on_every_database! {
    a_file_that_was_applied_stays_as_it_is,
    a_migration_that_fails_is_not_applied,
    a_store_in_another_engine_is_refused,
}

fn refused(result: Result<impl std::fmt::Debug, Error>) -> String {
    match result.expect_err("a refusal") {
        Error::Migration(error) => {
            assert!(matches!(*error, MigrationError::Refused { .. }), "{error}");
            error.to_string()
        }
        error => panic!("{error}"),
    }
}

async fn a_file_that_was_applied_stays_as_it_is(target: &Target) {
    let mut migrations = target.migrations(Layout::Plain);
    migrations.add(&Version::First.graph(), named("first")).expect("files");
    migrations.add(&Version::Added.graph(), named("second")).expect("files");
    // Before it is applied anybody may change it.
    let first = target.dir().join("0001_first.sql");
    let text = fs::read_to_string(&first).expect("a text");
    fs::write(&first, format!("{text}\n-- edited\n")).expect("a file");
    let migrations = Migrations::open(target.dir()).expect("a folder");
    migrations.apply(target.url(), false).await.expect("an application");

    fs::write(&first, &text).expect("a file");
    let migrations = Migrations::open(target.dir()).expect("a folder");
    let error = migrations.apply(target.url(), false).await.expect_err("an edit").to_string();
    assert!(error.contains("0001") || error.contains("migration 1 (`first`)"), "{error}");
    assert!(error.contains("changed since"), "{error}");
    let status = migrations.status(target.url()).await.expect("a status");
    let states: Vec<State> = status.iter().map(|line| line.state).collect();
    assert_eq!(states, [State::Edited, State::Applied]);

    fs::remove_file(&first).expect("a file");
    let error = Migrations::open(target.dir()).expect_err("a way back to nothing").to_string();
    assert!(error.contains("the migration that it undoes is missing"), "{error}");
    fs::remove_file(target.dir().join("0001_first.down.sql")).expect("a file");
    let migrations = Migrations::open(target.dir()).expect("a folder");
    let error = migrations.apply(target.url(), false).await.expect_err("a gap").to_string();
    assert!(
        error.contains("migration 1 (`first`) was applied") && error.contains("no such file"),
        "{error}"
    );
    let status = migrations.status(target.url()).await.expect("a status");
    assert_eq!(status[0].state, State::Missing);
}

async fn a_migration_that_fails_is_not_applied(target: &Target) {
    let mut migrations = target.migrations(Layout::Plain);
    migrations.add(&Version::First.graph(), named("first")).expect("files");
    let path = target.dir().join("0001_first.sql");
    let text = fs::read_to_string(&path).expect("a text");
    fs::write(&path, format!("{text}\nSELECT * FROM nowhere;\n")).expect("a file");
    let broken = Migrations::open(target.dir()).expect("a folder");
    let error = broken.apply(target.url(), false).await.expect_err("no such table").to_string();
    assert!(error.contains("migration 1 (`first`) failed") && error.contains("nowhere"), "{error}");
    match target.engine {
        Engine::ClickHouse => assert!(error.contains("applying it again does the rest"), "{error}"),
        _ => {
            assert!(error.contains("nothing of it is left"), "{error}");
            assert_eq!(target.table_names().await, [""; 0]);
        }
    }
    fs::write(&path, &text).expect("a file");
    let mended = Migrations::open(target.dir()).expect("a folder");
    mended.apply(target.url(), false).await.expect("an application");
    work(&target.open(&Version::First.graph()).await, 0).await;
}

async fn a_store_in_another_engine_is_refused(target: &Target) {
    let other = if target.engine == Engine::DuckDb { Engine::Postgres } else { Engine::DuckDb };
    let settings = other.default_settings();
    let mut migrations = Migrations::new(target.dir(), other, Layout::Plain, settings);
    migrations.add(&Version::First.graph(), named("first")).expect("files");
    let error =
        migrations.apply(target.url(), false).await.expect_err("another engine").to_string();
    assert!(error.contains(&format!("are for {other}")), "{error}");
    assert!(error.contains(&format!("the store is in {}", target.engine)), "{error}");
}

fn one(ty: ScalarType, id: ScalarType) -> FeatureGraph {
    let video = FeatureBuilder::new("v").id("id", id).column("x", ty).field("audio");
    FeatureGraph::builder().feature(video).build().expect("a graph")
}

#[test]
fn what_is_no_widening_is_refused() {
    use ScalarType as S;
    let folder = tempfile::tempdir().expect("a folder");
    for (from, to) in
        [(S::Int64, S::Int32), (S::Int32, S::UInt64), (S::Text, S::Json), (S::Int64, S::Float64)]
    {
        for engine in Engine::ALL {
            let settings = engine.default_settings();
            let mut migrations = Migrations::new(
                folder.path().join(format!("{engine}{from}{to}")),
                engine,
                Layout::Plain,
                settings,
            );
            migrations.add(&one(from, TEXT), named("first")).expect("files");
            let error = refused(migrations.add(&one(to, TEXT), named("second")));
            assert!(error.contains(&format!("`x` of `v` is {from} and would be {to}")), "{error}");
            assert!(error.contains("that is no widening"), "{error}");
        }
    }
}

#[test]
fn ids_widen_where_the_engine_can() {
    for engine in Engine::ALL {
        let folder = tempfile::tempdir().expect("a folder");
        let settings = engine.default_settings();
        let mut migrations = Migrations::new(folder.path(), engine, Layout::Plain, settings);
        migrations.add(&one(TEXT, ScalarType::Int32), named("first")).expect("files");
        let second = migrations.add(&one(TEXT, ScalarType::Int64), named("second"));
        match engine {
            Engine::ClickHouse => {
                let error = refused(second);
                assert!(error.contains("in the order of their ids"), "{error}");
            }
            _ => assert_eq!(second.expect("files").len(), 3),
        }
    }
}

#[test]
fn other_ids_are_other_records() {
    let folder = tempfile::tempdir().expect("a folder");
    let engine = Engine::DuckDb;
    let mut migrations =
        Migrations::new(folder.path(), engine, Layout::Plain, engine.default_settings());
    let graph = |id: &str| {
        let video = FeatureBuilder::new("v").id(id, TEXT).field("audio");
        FeatureGraph::builder().feature(video).build().expect("a graph")
    };
    migrations.add(&graph("id"), named("first")).expect("files");
    let error = refused(migrations.add(&graph("name"), named("second")));
    assert!(
        error.contains("`v` had the id columns") && error.contains("key of its own"),
        "{error}"
    );
}

#[test]
fn names_of_engines_layouts_and_migrations() {
    let error = "mysql".parse::<Engine>().expect_err("no engine").to_string();
    assert_eq!(error, "`mysql` is no engine; expected `duckdb`, `postgres` or `clickhouse`");
    assert_eq!("clickhouse".parse::<Engine>().expect("an engine"), Engine::ClickHouse);
    let error = "flyway".parse::<Layout>().expect_err("no layout").to_string();
    assert_eq!(
        error,
        "`flyway` is no layout of migrations; expected `sqlx`, `refinery` or `plain`"
    );
    let folder = tempfile::tempdir().expect("a folder");
    let engine = Engine::DuckDb;
    let mut migrations =
        Migrations::new(folder.path(), engine, Layout::Plain, engine.default_settings());
    for name in ["", "../x", "a b", "A", "_a", "a.down", "a\nb", "é"] {
        let error = migrations.add(&Version::First.graph(), named(name)).expect_err("no name");
        assert!(error.to_string().contains("cannot be the name of a migration"), "{error}");
    }
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0, "nothing was written");
}

#[test]
fn folders_that_do_not_fit_together() {
    let engine = Engine::Postgres;
    let new = || {
        let folder = tempfile::tempdir().expect("a folder");
        let mut migrations =
            Migrations::new(folder.path(), engine, Layout::Plain, engine.default_settings());
        migrations.add(&Version::First.graph(), named("first")).expect("files");
        folder
    };
    let problem = |change: &dyn Fn(&std::path::Path)| {
        let folder = new();
        change(folder.path());
        Migrations::open(folder.path()).expect_err("a problem").to_string()
    };
    let write = |name: &'static str, text: &'static str| {
        move |dir: &std::path::Path| fs::write(dir.join(name), text).expect("a file")
    };
    let error = problem(&write("0002_other.sql", ""));
    assert!(error.contains("after a merge") && error.contains("is 2"), "{error}");
    let error = problem(&write("0001_other.sql", ""));
    assert!(error.contains("has the same version"), "{error}");
    let error = problem(&write("V1__x.sql", ""));
    assert!(error.contains("in the layout `plain` files are called `0001_name.sql`"), "{error}");
    let error = problem(&write("metaxy.schema.json", "{"));
    assert!(error.contains("metaxy.schema.json"), "{error}");
    let error = problem(&|dir| {
        let path = dir.join("metaxy.schema.json");
        let text = fs::read_to_string(&path).expect("a text").replace("\"Utf8\"", "\"Utf9\"");
        fs::write(path, text).expect("a file");
    });
    assert!(error.contains("`Utf9` is no type"), "{error}");
    let error = problem(&|dir| {
        let path = dir.join("metaxy.schema.json");
        let text = fs::read_to_string(&path).expect("a text");
        fs::write(path, text.replace("\"format\": 1", "\"format\": 7")).expect("a file");
    });
    assert!(error.contains("it has the format 7, expected 1"), "{error}");
    let error = Migrations::open("/nowhere at all").expect_err("no folder").to_string();
    assert!(error.contains("/nowhere at all"), "{error}");
}

#[test]
fn a_graph_without_types_has_no_tables() {
    let graph = flow::graph(&[json!({ "key": "a", "id_columns": ["id"], "fields": ["x"] })]);
    let engine = Engine::DuckDb;
    let migrations = Migrations::new("nowhere", engine, Layout::Plain, engine.default_settings());
    let error = refused(migrations.next(&graph, named("first")).map(|_| ()));
    assert!(error.contains("the types of the columns of `a` are not known"), "{error}");
}

#[test]
fn another_hash_comes_alone_and_has_to_be_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let engine = Engine::Postgres;
    let mut settings = engine.default_settings();
    let mut migrations = Migrations::new(folder.path(), engine, Layout::Plain, settings);
    let graph = |code: &str| {
        let video = FeatureBuilder::new("v").id("id", TEXT).field("x");
        let field = metaxy::builder::FieldBuilder::new("x").code_version(code);
        let crop = FeatureBuilder::new("c").id("id", TEXT).dep(plain("v")).field(field);
        FeatureGraph::builder().feature(video).feature(crop).build().expect("a graph")
    };
    migrations.add(&graph("1"), named("first")).expect("files");
    settings.hash_algorithm = HashAlgorithm::Xxh3_64;
    let error = migrations
        .next_settings(&graph("1"), settings, named("hash"))
        .and_then(|next| migrations.write(&next))
        .expect_err("no hash");
    assert!(error.to_string().contains("the engine cannot compute it"), "{error}");
    settings.hash_algorithm = HashAlgorithm::Sha256;
    let error = refused(
        migrations
            .next_settings(&graph("2"), settings, named("hash"))
            .and_then(|next| migrations.write(&next)),
    );
    assert!(error.contains("by a migration that does nothing else"), "{error}");
    // That one has no SQL, and is known all the same.
    let written = migrations.add(&graph("2"), named("code")).expect("a schema");
    assert!(written.len() == 1 && written[0].ends_with("metaxy.schema.json"), "{written:?}");
    assert_eq!(migrations.add(&graph("2"), named("code")).expect("nothing").len(), 0);
    let mut migrations = Migrations::open(folder.path()).expect("a folder");
    migrations
        .next_settings(&graph("2"), settings, named("hash"))
        .and_then(|next| migrations.write(&next))
        .expect("files");
}

#[test]
fn hashes_that_are_too_short_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let engine = Engine::DuckDb;
    let mut settings = engine.default_settings();
    let mut migrations = Migrations::new(folder.path(), engine, Layout::Plain, settings);
    migrations.add(&Version::First.graph(), named("first")).expect("files");
    settings.hash_truncation_length = 7;
    let error = migrations.next_settings(&Version::First.graph(), settings, named("short"));
    let expected = "hash_truncation_length cannot be 7: it is at least 8";
    assert_eq!(error.expect_err("a refusal").to_string(), expected);
    let folder = tempfile::tempdir().expect("a folder");
    let mut migrations = Migrations::new(folder.path(), engine, Layout::Plain, settings);
    let error = migrations.add(&Version::First.graph(), named("first")).expect_err("a refusal");
    assert_eq!(error.to_string(), expected);
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0, "nothing was written");
}

/// Files that may have been applied are never written over.
#[tokio::test]
async fn what_is_in_a_folder_stays_there() {
    let target = Target::duckdb();
    let graph = Version::First.graph();
    target.migrations(Layout::Plain).add(&graph, named("first")).expect("files");
    let (up, schema) =
        (target.dir().join("0001_first.sql"), target.dir().join("metaxy.schema.json"));
    let [text, json] = [&up, &schema].map(|path| fs::read_to_string(path).expect("a text"));
    let problems = async |expected: &str| {
        let mut migrations = target.migrations(Layout::Plain);
        let added = migrations.add(&Version::Added.graph(), named("first")).map(drop);
        let adopted = Migrations::adopt(target.dir(), target.url(), &graph, Layout::Plain).await;
        for result in [added, adopted.map(drop)] {
            let error = result.expect_err("a refusal").to_string();
            assert!(error.contains(expected), "{expected}: {error}");
        }
        assert_eq!(fs::read_to_string(&up).expect("a text"), text);
    };
    problems("has a schema and 1 migrations already").await;
    fs::write(&schema, "{").expect("a file");
    problems("metaxy.schema.json").await;
    assert_eq!(fs::read_to_string(&schema).expect("a text"), "{");
    fs::remove_file(&schema).expect("a file");
    problems("bring it back from version control").await;
    assert!(!schema.exists() && Migrations::are_in(&target.dir()));
    let error = Migrations::open(target.dir()).expect_err("no schema").to_string();
    assert!(error.contains("no `metaxy.schema.json` that says what they leave"), "{error}");
    fs::write(&schema, json).expect("a file");

    // Two that began with the same.
    let open = || Migrations::open(target.dir()).expect("a folder");
    let (mut one, mut other) = (open(), open());
    one.add(&Version::Added.graph(), named("second")).expect("files");
    let second = fs::read_to_string(target.dir().join("0002_second.sql")).expect("a text");
    let error = other.add(&Version::Widened.graph(), named("second")).expect_err("it is there");
    assert!(error.to_string().contains("was added in the meantime"), "{error}");
    let now = fs::read_to_string(target.dir().join("0002_second.sql")).expect("a text");
    assert_eq!(now, second);
}

#[test]
fn fields_that_are_renamed_have_to_be_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let engine = Engine::DuckDb;
    let mut migrations =
        Migrations::new(folder.path(), engine, Layout::Plain, engine.default_settings());
    migrations.add(&Version::First.graph(), named("first")).expect("files");
    let graph = Version::Renamed.graph();
    for (before, today, problem) in [
        ("frame", "pictures", "there was no field `frame` in `m/crop`"),
        ("frames", "picture", "there is no field `picture` in `m/crop`"),
        ("frames", "pictures", "has `renamed_from`, so that nothing has to move"),
    ] {
        let options = named("names").renamed("m/crop", before, today);
        let error = refused(migrations.add(&graph, options));
        assert!(error.contains(problem), "{error}");
    }
}

/// Also those that came without SQL.
#[test]
fn fields_that_were_added_can_be_renamed() {
    let folder = tempfile::tempdir().expect("a folder");
    let engine = Engine::DuckDb;
    let settings = engine.default_settings();
    let mut migrations = Migrations::new(folder.path(), engine, Layout::Plain, settings);
    let graph = |fields: &[&str]| {
        let video = FeatureBuilder::new("v").id("id", TEXT);
        let video = fields.iter().fold(video, |video, field| video.field(*field));
        FeatureGraph::builder().feature(video).build().expect("a graph")
    };
    migrations.add(&graph(&["x"]), named("first")).expect("files");
    assert_eq!(migrations.add(&graph(&["x", "y"]), named("more")).expect("a schema").len(), 1);
    let mut migrations = Migrations::open(folder.path()).expect("a folder");
    let options = named("names").renamed("v", "y", "z");
    assert_eq!(migrations.add(&graph(&["x", "z"]), options).expect("files").len(), 3);
}

#[tokio::test]
async fn a_store_in_memory_has_no_tables() {
    let folder = tempfile::tempdir().expect("a folder");
    let engine = Engine::DuckDb;
    let mut migrations =
        Migrations::new(folder.path(), engine, Layout::Plain, engine.default_settings());
    migrations.add(&Version::First.graph(), named("first")).expect("files");
    let error = migrations.apply("memory:", false).await.expect_err("no tables").to_string();
    assert!(error.contains("no tables that could be migrated"), "{error}");
    let error = migrations.apply("mysql://x", false).await.expect_err("no engine").to_string();
    assert!(error.contains("it should look like"), "{error}");
}

/// Refinery knows no way back.
#[tokio::test]
async fn without_a_file_nothing_is_undone() {
    let target = Target::duckdb();
    let mut migrations = target.migrations(Layout::Refinery);
    migrations.add(&Version::First.graph(), named("first")).expect("files");
    migrations.apply(target.url(), false).await.expect("an application");
    let error = migrations.revert(target.url(), 1, false).await.expect_err("no file").to_string();
    assert!(error.contains("the layout `refinery` knows none"), "{error}");
}
