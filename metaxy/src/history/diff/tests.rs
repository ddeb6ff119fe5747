//! Diffs of small graphs, as text and as JSON.

use super::*;
use crate::builder::{DepBuilder, FeatureBuilder, FieldBuilder, GraphBuilder};
use metaxy_sql::ScalarType::{Int64, Text};

fn graph(features: impl IntoIterator<Item = FeatureBuilder>) -> FeatureGraph {
    let builder = FeatureGraph::builder().project("p");
    features.into_iter().fold(builder, GraphBuilder::feature).build().unwrap()
}

fn feature(key: &str) -> FeatureBuilder {
    FeatureBuilder::new(key).id("id", Text)
}

fn field(key: &str, code_version: &str) -> FieldBuilder {
    FieldBuilder::new(key).code_version(code_version)
}

/// video -> crop -> face, and video -> sound by `audio` alone.
fn before() -> Vec<FeatureBuilder> {
    vec![
        feature("video")
            .column("path", Text)
            .field(field("audio", "1"))
            .field(field("frames", "1")),
        feature("crop").dep("video").field(field("audio", "1")).field(field("frames", "1")),
        feature("face").dep(DepBuilder::new("crop").select::<&str>([])).field(field("frames", "1")),
        feature("sound").dep("video").field(field("audio", "1")),
        feature("old").field("x"),
    ]
}

fn diff(after: Vec<FeatureBuilder>) -> GraphDiff {
    GraphDiff::with_length(&graph(before()), &graph(after), 8)
}

#[test]
fn the_same() {
    let diff = diff(before());
    assert!(diff.is_empty());
    assert_eq!(diff.to_string(), "no difference\n");
    assert_eq!(diff, GraphDiff::default());
}

/// Another code version: what is downstream of that field, and nothing else, changes because of it.
#[test]
fn a_code_version() {
    let mut after = before();
    after[0] = feature("video")
        .column("path", Text)
        .field(field("audio", "1"))
        .field(field("frames", "2"));
    insta::assert_snapshot!(diff(after));
}

/// Two causes: a field with one of its own does not hide behind what is upstream of it, and what is
/// further down is told of both.
#[test]
fn a_cause_downstream_of_a_cause() {
    let mut after = before();
    after[0] = feature("video")
        .column("path", Text)
        .field(field("audio", "2"))
        .field(field("frames", "2"));
    after[1] = feature("crop").dep("video").field(field("audio", "1")).field(field("frames", "2"));
    insta::assert_snapshot!(diff(after));
}

#[test]
fn everything_at_once() {
    let after = vec![
        feature("video")
            .description("Raw videos.")
            .metadata("owner", "ada")
            .column("path", Int64)
            .nullable_column("length", Int64)
            .field(field("audio", "1"))
            .field(field("frames", "1"))
            .field(field("subtitles", "1")),
        feature("crop")
            .project("q")
            .dep(DepBuilder::new("video").optional().select(["path"]).filter("length > 3"))
            .field(FieldBuilder::new("frames").code_version("1").dep("video", ["audio"])),
        FeatureBuilder::new("face")
            .id("id", Text)
            .id("n", Int64)
            .dep(DepBuilder::new("crop").select::<&str>([]).expansion(["id"]))
            .dep(DepBuilder::new("new"))
            .field(field("frames", "1")),
        feature("sound").dep("video").field(field("audio", "1")),
        feature("new").field("x"),
    ];
    let diff = diff(after);
    insta::assert_snapshot!("everything", diff);
    insta::assert_snapshot!("everything_as_json", serde_json::to_string_pretty(&diff).unwrap());
}

/// A field under a new name is the same field.
#[test]
fn a_rename() {
    let mut after = before();
    after[0] = feature("video")
        .column("path", Text)
        .field(field("sound", "1").renamed_from("audio"))
        .field(field("frames", "1"));
    assert_eq!(diff(after).to_string(), "no difference\n");
}

/// Of a spec file nothing is known of columns: they are not said to be gone.
#[test]
fn unknown_columns() {
    let spec =
        r#"{"project": "p", "features": [{"key": "old", "id_columns": ["id"], "fields": ["x"]}]}"#;
    let spec = FeatureGraph::from_spec_json(spec).unwrap();
    let built = graph([feature("old").column("path", Text).field("x")]);
    assert_eq!(GraphDiff::between(&spec, &built), GraphDiff::default());
}
