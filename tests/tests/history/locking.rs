//! Lock files that are made of what is pushed, and graphs that take them in.

use super::{feature, graph, open, opening};
use metaxy::history::LockFile;
use metaxy::prelude::*;
use metaxy::{FeatureKey, ScalarType};
use metaxy_tests::flow::{self, key};
use metaxy_tests::on_every_engine;
use serde_json::json;

on_every_engine! {
    a_feature_of_another_project_is_read_by_lock_file,
    what_is_pushed_has_to_agree,
}

/// The project `media`: a root and what is computed from it.
fn media(code_version: &str) -> FeatureGraph {
    FeatureGraph::builder()
        .project("media")
        .feature(
            feature("media/raw", code_version, &[]).column("path", ScalarType::Text).field("audio"),
        )
        .feature(feature("media/video", "1", &["media/raw"]).column("path", ScalarType::Text))
        .build()
        .expect("a graph")
}

/// Another team's, with what is used of it.
#[derive(Feature)]
#[metaxy(key = "media/video", project = "media")]
struct Video {
    #[metaxy(id)]
    id: String,
    #[metaxy(field)]
    x: DataVersion,
}

#[derive(Feature)]
#[metaxy(key = "faces/crop", project = "faces", deps(Video))]
struct Crop {
    #[metaxy(id)]
    id: String,
    #[metaxy(field, deps(Video::x))]
    faces: DataVersion,
}

/// One team pushes and writes; another one, who knows the first by its lock file alone, reads and
/// computes, by key and by struct.
async fn a_feature_of_another_project_is_read_by_lock_file(engine: &str) {
    let theirs = open(engine, &media("1")).await;
    theirs.push().await.expect("a push");
    let row = json!({
        "id": "1", "path": "/1", "metaxy_provenance_by_field": { "x": "1", "audio": "1" }
    });
    flow::write(&theirs, "media/raw", &[row]).await.expect("a write");
    assert_eq!(flow::compute(&theirs, "media/video").await.new, 1);

    let lock = theirs.lock([key("media/video")]).await.expect("a lock file");
    let keys: Vec<&str> = lock.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(keys, ["media/raw", "media/video"]);
    // It goes through the file.
    let lock = LockFile::parse(&lock.to_string()).expect("a lock file");

    let crop = feature("faces/crop", "1", &[]).dep("media/video");
    let by_key = FeatureGraph::builder().project("faces").feature(crop).lock(&lock).build();
    let by_struct = FeatureGraph::of::<Crop>().expect("a graph").with_lock(&lock);
    for graph in [by_key, by_struct] {
        let graph = graph.expect("a graph");
        assert_eq!(graph.project(), Some("faces"));
        let definition = graph.get(&key("media/raw")).expect("a feature");
        let columns: Vec<&str> =
            definition.columns.iter().flatten().map(|column| column.name.as_str()).collect();
        assert_eq!(columns, ["id", "path"]);
        let store = theirs.with_graph(graph);
        // Without the definition upstream the records would be blocked.
        assert_eq!(flow::counts(&store, "faces/crop").await.new, 1);
        let pushed = store.push().await.expect("a push");
        assert_eq!(pushed.projects.len(), 1);
        assert_eq!(pushed.projects[0].project, "faces");
    }
    let without = theirs.with_graph(FeatureGraph::of::<Crop>().expect("a graph"));
    assert_eq!(flow::counts(&without, "faces/crop").await.new, 0, "the struct is not the other");
    let lock = theirs.lock([key("faces/crop")]).without_project("media").await.expect("a lock");
    assert_eq!(lock.len(), 1);
}

async fn what_is_pushed_has_to_agree(engine: &str) {
    let graph = |code_version: &str| {
        let crop = feature("faces/crop", "1", &["media/raw"]).project("faces");
        graph([feature("media/raw", code_version, &[]).project("media"), crop])
    };
    let store = open(engine, &graph("1")).await;
    store.push().all_projects(true).await.expect("a push");
    store.with_graph(graph("2")).push().project("media").await.expect("a push");
    let error = store.lock([key("faces/crop")]).await.expect_err("it is outdated").to_string();
    assert!(error.contains("`faces/crop` was pushed with the version "), "{error}");
    assert!(error.contains("push its project `faces` again"), "{error}");
    let error = store.lock([key("media/row")]).await.expect_err("no such feature").to_string();
    assert!(error.contains("`media/row` is not among the pushed ones"), "{error}");
    assert!(error.contains("the nearest is `media/raw`"), "{error}");
}

/// The text of a file, for who wants to see one.
#[test]
fn the_form_of_the_file() {
    let spec = feature("media/video", "7", &["media/raw"])
        .metadata("owner", "ada")
        .metadata("nothing", serde_json::Value::Null)
        .description("Videos.");
    let graph = FeatureGraph::builder()
        .project("media")
        .feature(feature("media/raw", "1", &[]).field("audio/en"))
        .feature(spec)
        .build()
        .expect("a graph");
    let lock = LockFile::of(&graph, [key("media/video")], 8).expect("a lock file");
    let text = lock.to_string();
    insta::assert_snapshot!(text);
    let back = LockFile::parse(&text).expect("a lock file");
    assert_eq!(back.to_string(), text);
    let of = |lock: &LockFile, name: &str| lock.get(&key(name)).expect("a feature").version.clone();
    assert_eq!(of(&back, "media/video"), of(&lock, "media/video"));
    assert_eq!(LockFile::default().to_string(), "# Generated by `metaxy lock`.\n\n[features]\n");
    assert!(LockFile::parse("# nothing\n").expect("a lock file").is_empty());
}

/// A file as `tomlkit` writes it, with what else Python puts there.
const PYTHON: &str = r#"# Generated by `metaxy lock`.

[features]
[features."media/video"]
[features."media/video".data]
feature_class_path = "media.features.Video"
feature_schema = "{\"properties\": {\"id\": {\"title\": \"Id\", \"type\": \"string\"}}, \"title\": \"Video\"}"
project = "media"

[features."media/video".data.spec]
deps = []
id_columns = ["id"]
key = "media/video"

[[features."media/video".data.spec.fields]]
code_version = "__metaxy_initial__"
deps = []
key = "audio"

[[features."media/video".data.spec.fields]]
code_version = "__metaxy_initial__"
deps = []
key = "frames"

[features."media/video".data.spec.metadata]

[features."media/video".info]
definition_version = "00000000"
version = "fb3c2831"

[features."media/video".info.version_by_field]
audio = "46ac598e"
frames = "96665143"
"#;

fn with(text: &str) -> Result<FeatureGraph, metaxy::graph::GraphErrors> {
    let lock = LockFile::parse(text).expect("a lock file");
    let crop = feature("faces/crop", "1", &["media/video"]);
    FeatureGraph::builder().project("faces").feature(crop).lock(&lock).build()
}

#[test]
fn a_file_of_python_is_read() {
    let graph = with(PYTHON).expect("a graph");
    let video = graph.get(&key("media/video")).expect("a feature");
    assert_eq!((&*video.type_path, &video.columns), ("media.features.Video", &None));
    assert!(video.is_external());
}

#[test]
fn versions_are_computed_again() {
    for (from, to, version) in [
        ("\"fb3c2831\"", "\"fb3c2832\"", "fb3c2832"),
        ("\"46ac598e\"", "\"46ac598f\"", "46ac598f"),
        ("\"fb3c2831\"", "\"\"", ""),
    ] {
        let error = with(&PYTHON.replace(from, to)).expect_err("another version").to_string();
        let expected = format!(
            "the version {version} of `media/video` (lock file) is locked, but the definitions that are \
             there give "
        );
        let computed = error.strip_prefix(&expected).expect(&error);
        let (computed, fix) = computed.split_once("; ").expect(&error);
        assert!(computed.bytes().all(|b| b.is_ascii_hexdigit()), "{error}");
        assert_eq!(fix, "make the lock file anew, or undo what was changed in it");
    }
    let changed = PYTHON.replace("key = \"audio\"\n", "key = \"sound\"\n");
    let error = with(&changed).expect_err("another field").to_string();
    assert!(error.contains("the version fb3c2831 of `media/video`"), "{error}");
}

#[test]
fn what_is_no_lock_file_is_said_where() {
    for (text, expected) in [
        ("features = 3", "this is no lock file: "),
        ("[features.\"a\".info]\nversion = \"1\"", "missing field"),
        (
            &PYTHON.replace("key = \"media/video\"", "key = \"media/clip\"") as &str,
            "`media/clip` under the key `media/video`",
        ),
        (&PYTHON.replace("id_columns", "id_colums"), "unknown member `id_colums`"),
    ] {
        let error = LockFile::parse(text).expect_err("no lock file").to_string();
        assert!(error.contains(expected), "{error}");
    }
}

/// What stands for a feature of another project has to be like it.
#[test]
fn a_struct_is_held_to_what_it_stands_for() {
    let lock = LockFile::parse(PYTHON).expect("a lock file");
    let declared = |project: &str, id: &str, field: &str| {
        let video = metaxy::builder::FeatureBuilder::new("media/video")
            .project(project)
            .id(id, ScalarType::Text)
            .column("path", ScalarType::Text)
            .field(field);
        FeatureGraph::builder().feature(video).lock(&lock).build()
    };
    let graph = declared("media", "id", "frames").expect("a graph");
    let columns = graph.get(&key("media/video")).expect("a feature").columns.as_ref();
    assert_eq!(columns.map(Vec::len), Some(2), "its columns are all that is known of them");
    for (project, id, field, expected) in [
        (
            "faces",
            "id",
            "frames",
            "is declared in the project `faces`, but the lock file has it in `media`; give one of them \
             another key, or, if it stands for the other, `project = \"media\"`",
        ),
        ("media", "no", "frames", "has the ids `no`, which are `id`"),
        ("media", "id", "sound", "has the field `sound`, which is not there in the lock file"),
    ] {
        let error = declared(project, id, field).expect_err("it is another").to_string();
        assert!(error.contains(expected), "{error}");
    }
}

/// All of it at once, with the mistakes of the graph.
#[test]
fn mistakes_are_told_together() {
    let lock = LockFile::parse(PYTHON).expect("a lock file");
    let crop = feature("faces/crop", "1", &["media/missing", "media/video"]);
    let builder = FeatureGraph::builder().feature(crop).feature(feature("media/video", "1", &[]));
    let error = builder.lock(&lock).build().expect_err("two mistakes").to_string();
    assert!(
        error.contains("media/missing") && error.contains("is declared in the project"),
        "{error}"
    );
}

#[tokio::test]
async fn a_store_opens_with_a_lock_file() {
    let graph = with(PYTHON).expect("a graph");
    let store = opening("memory:", &graph).await.expect("a store");
    let keys: Vec<&FeatureKey> = store.graph().keys().collect();
    assert_eq!(keys.len(), 2);
}
