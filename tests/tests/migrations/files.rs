//! The files as they are written, offline.

use crate::{Version, named};
use metaxy::builder::FeatureBuilder;
use metaxy::migrate::{Engine, Layout, Migrations, Schema};
use metaxy::{FeatureGraph, ScalarType};
use std::fs;
use std::path::Path;
use tempfile::TempDir;

fn folder(engine: Engine, layout: Layout) -> (TempDir, Migrations) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let migrations = Migrations::new(folder.path(), engine, layout, engine.default_settings());
    (folder, migrations)
}

fn all(dir: &Path, keep: impl Fn(&str) -> bool) -> String {
    let mut names: Vec<String> = (fs::read_dir(dir).expect("a folder"))
        .map(|entry| entry.expect("a file").file_name().into_string().expect("a name"))
        .filter(|name| keep(name))
        .collect();
    names.sort();
    let text = |name: &String| {
        format!("===== {name}\n{}", fs::read_to_string(dir.join(name)).expect("a text"))
    };
    names.iter().map(text).collect::<Vec<_>>().join("\n")
}

#[test]
fn files_for_each_engine() {
    for engine in Engine::ALL {
        let (folder, mut migrations) = folder(engine, Layout::Plain);
        for version in Version::ALL {
            let options = named("next").because(format!("version {version:?}"));
            migrations.add(&version.graph(), options).expect("files");
        }
        let drops = named("drops").drops(true).because("nobody\nreads it\u{2028}any more");
        migrations.add(&Version::Removed.graph(), drops).expect("files");
        let name = engine.to_string().to_lowercase();
        insta::assert_snapshot!(name.clone(), all(folder.path(), |file| file.ends_with(".sql")));
        let findings = migrations.lint().expect("findings");
        let findings: Vec<String> = findings.iter().map(ToString::to_string).collect();
        insta::assert_snapshot!(format!("{name}_lint"), findings.join("\n"));
    }
}

#[test]
fn rows_are_moved_by_statements() {
    let graph = |fields: &[&str]| {
        let video = FeatureBuilder::new("v").id("id", ScalarType::Text).field("x");
        let mut crop = FeatureBuilder::new("c").id("id", ScalarType::Text).dep("v");
        for field in fields {
            crop = crop.field(*field);
        }
        FeatureGraph::builder().feature(video).feature(crop).build().expect("a graph")
    };
    for engine in Engine::ALL {
        let (folder, mut migrations) = folder(engine, Layout::Plain);
        migrations.add(&graph(&["x", "y"]), named("first")).expect("files");
        migrations.add(&graph(&["x"]), named("less").rebase(true)).expect("files");
        let name = format!("{}_rebase", engine.to_string().to_lowercase());
        insta::assert_snapshot!(name, all(folder.path(), |file| file.starts_with("0002")));
    }
}

#[test]
fn the_schema_is_read_as_it_is_written() {
    let (folder, mut migrations) = folder(Engine::Postgres, Layout::Refinery);
    let graph = Version::First.graph();
    let written = migrations.add(&graph, named("first")).expect("files");
    let names: Vec<_> = written.iter().filter_map(|path| path.file_name()?.to_str()).collect();
    assert_eq!(names, ["V1__first.sql", "metaxy.schema.json"]);
    insta::assert_snapshot!("schema", all(folder.path(), |file| file.ends_with(".json")));
    let mut again = Migrations::open(folder.path()).expect("a folder");
    assert_eq!((again.engine(), again.layout()), (Engine::Postgres, Layout::Refinery));
    again.check(&graph).expect("files that fit");
    assert_eq!(again.add(&graph, named("nothing")).expect("no files").len(), 0);
    let more = again.add(&Version::Added.graph(), named("second")).expect("files");
    assert!(more[0].ends_with("V2__second.sql"), "{more:?}");
}

#[test]
fn sqlx_has_times_and_each_is_later() {
    let (_folder, mut migrations) = folder(Engine::DuckDb, Layout::Sqlx);
    migrations.add(&Version::First.graph(), named("first")).expect("files");
    migrations.add(&Version::Added.graph(), named("second")).expect("files");
    let all: Vec<(u64, &str)> = migrations.iter().collect();
    assert!(all[0].0 > 20_260_101_000_000 && all[1].0 > all[0].0, "{all:?}");
    assert_eq!((all[0].1, all[1].1), ("first", "second"));
}

#[test]
fn a_check_names_features_and_the_command() {
    let (_folder, mut migrations) = folder(Engine::DuckDb, Layout::Plain);
    migrations.add(&Version::First.graph(), named("first")).expect("files");
    let error = migrations.check(&Version::Widened.graph()).expect_err("a difference").to_string();
    for part in [
        "`m/crop`, `m/face`, `m/video`",
        "adds the column `title` to `m__video`",
        "makes the table `m__face` for the feature `m/face`",
        "widens the column `size` of `m__crop` from Int32 to Int64",
        "metaxy migrate generate <name>",
    ] {
        assert!(error.contains(part), "{part}: {error}");
    }
}

#[test]
fn a_schema_needs_no_database() {
    for engine in Engine::ALL {
        let schema = Schema::of(&Version::First.graph(), engine, engine.default_settings());
        assert_eq!(schema.expect("a schema").engine(), engine);
    }
}
