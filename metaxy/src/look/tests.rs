//! Trees, flowcharts and drawings of a small graph whose texts are hard on every form.

use super::{Difference, Direction, Look, Mark, State};
use crate::builder::{DepBuilder, FeatureBuilder, FieldBuilder};
use crate::graph::FeatureGraph;
use crate::key::{FeatureKey, FieldKey};
use crate::spec::{FeatureDefinition, Origin};
use metaxy_sql::ScalarType::{Int64, Text};
use std::time::Instant;

/// Ends every kind of text that it may stand in, and moves the cursor.
const NASTY: &str = "1\"]--><b>'`#;&\\\n\u{1b}[31m🎬\u{202e}</script>]]>";

fn feature(key: &str) -> FeatureBuilder {
    FeatureBuilder::new(key).id("id", Text)
}

/// Videos and subtitles; frames are crops of both; faces of frames; a summary of faces.
fn media() -> FeatureGraph {
    media_with("2")
}

fn media_with(code_version: &str) -> FeatureGraph {
    let boxes = FieldBuilder::new("boxes").code_version(code_version);
    let crop = DepBuilder::new("media/crop").filter("size > 3").expansion(["id"]);
    let graph = FeatureGraph::builder()
        .feature(
            feature("video")
                .description(NASTY)
                .field(FieldBuilder::new("sound").code_version(NASTY)),
        )
        .feature(feature("subtitles").field("text"))
        .feature(
            feature("media/crop")
                .column("size", Int64)
                .dep("video")
                .dep(DepBuilder::new("subtitles").no_fields().optional())
                .field(FieldBuilder::new("sound").dep("video", ["sound"])),
        )
        .feature(
            feature("media/faces")
                .id("n", Int64)
                .dep(crop)
                .field(boxes.dep_on_all_of("media/crop")),
        )
        .feature(
            feature("media/summary")
                .dep(DepBuilder::new("media/faces").aggregation(["id"]))
                .dep("video")
                .field(FieldBuilder::new("people").deps_all()),
        )
        .build()
        .unwrap();
    // A store may have been told any project by another program.
    let recorded = |definition: &FeatureDefinition| FeatureDefinition {
        project: "p & \"q\"".to_owned(),
        origin: Origin::Recorded,
        ..definition.clone()
    };
    FeatureGraph::build(graph.iter().map(recorded).collect()).unwrap()
}

fn key(text: &str) -> FeatureKey {
    FeatureKey::new(text).unwrap()
}

/// With everything that can be said.
fn full(graph: &FeatureGraph) -> Look<'_> {
    let state = State { records: Some(12_345), new: 3, blocked: 1_000, ..State::default() };
    Look::new(graph).versions(true).hash_truncation_length(8).state(&key("media/faces"), state)
}

/// The graph of today beside one with another code version, another field and another feature.
fn difference(now: &FeatureGraph) -> Difference {
    let before = media_with("1");
    let mut definitions: Vec<_> = before.iter().cloned().collect();
    definitions[0].spec.fields.push(crate::spec::FieldSpec::new(FieldKey::new("old").unwrap()));
    let old = FeatureGraph::builder().feature(feature("gone").dep("video").field("f"));
    let old = definitions.into_iter().fold(old, crate::builder::GraphBuilder::definition);
    let mut difference = Difference::with(old.build().unwrap());
    let fields =
        [("media/faces", "boxes", Mark::Changed), ("media/summary", "people", Mark::Upstream)];
    for (feature, field, mark) in fields {
        difference.features.insert(key(feature), mark);
        difference.fields.insert((key(feature), FieldKey::new(field).unwrap()), mark);
    }
    assert!(now.get(&key("gone")).is_none());
    difference
}

#[test]
fn trees() {
    let graph = media();
    insta::assert_snapshot!("tree", full(&graph).tree());
    insta::assert_snapshot!("tree_up", Look::new(&graph).direction(Direction::Up).tree());
    insta::assert_snapshot!("tree_features", Look::new(&graph).fields(false).tree());
    insta::assert_snapshot!("tree_diff", Look::new(&graph).difference(difference(&graph)).tree());
}

#[test]
fn flowcharts_of_mermaid() {
    let graph = media();
    insta::assert_snapshot!("mermaid", full(&graph).mermaid());
    let features = Look::new(&graph).fields(false).direction(Direction::Down);
    insta::assert_snapshot!("mermaid_features", features.mermaid());
    let diff = Look::new(&graph).difference(difference(&graph));
    insta::assert_snapshot!("mermaid_diff", diff.mermaid());
}

#[test]
fn graphs_of_graphviz() {
    let graph = media();
    insta::assert_snapshot!("dot", full(&graph).dot());
    let diff = Look::new(&graph).difference(difference(&graph)).direction(Direction::Left);
    insta::assert_snapshot!("dot_diff", diff.dot());
}

#[test]
fn only_what_is_near() {
    let graph = media();
    let shown = |feature: &str, up, down| {
        let look = Look::new(&graph).fields(false).around(&key(feature), up, down).unwrap();
        super::Picture::of(&look).features.iter().map(|f| f.key().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(shown("media/crop", Some(0), Some(0)), ["media/crop"]);
    assert_eq!(
        shown("media/crop", Some(1), Some(1)),
        ["subtitles", "video", "media/crop", "media/faces"]
    );
    assert_eq!(
        shown("media/faces", None, Some(0)),
        ["subtitles", "video", "media/crop", "media/faces"]
    );
    assert_eq!(shown("media/faces", Some(0), None), ["media/faces", "media/summary"]);
    let error = Look::new(&graph).around(&key("media/face"), None, None).unwrap_err();
    assert!(error.to_string().contains("media/faces"), "{error}");
}

/// Every form of every choice is XML that a parser takes, with one path per edge and no text that is
/// markup.
#[test]
fn svg_is_well_formed() {
    let graph = media();
    let directions = [Direction::Right, Direction::Down, Direction::Left, Direction::Up];
    for direction in directions {
        for fields in [true, false] {
            let look = full(&graph).fields(fields).direction(direction).title(NASTY);
            for look in [look.clone(), look.difference(difference(&graph))] {
                let svg = look.svg();
                let document = roxmltree::Document::parse(&svg).unwrap();
                let classes = |class: &str| {
                    let nodes = document.descendants();
                    let has = |n: &roxmltree::Node<'_, '_>| {
                        n.attribute("class").is_some_and(|c| c.split(' ').any(|c| c == class))
                    };
                    nodes.filter(has).count()
                };
                let picture = super::Picture::of(&look);
                assert_eq!(classes("edge"), picture.edges.len());
                assert_eq!(classes("card"), picture.features.len());
                assert!(
                    !document
                        .descendants()
                        .any(|n| n.has_tag_name("b") || n.has_tag_name("script"))
                );
                assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
                assert!(!svg.contains("var("), "a colour is missing");
            }
        }
    }
}

/// Lines end at the sides of their rows, and downstream is where it was asked to be.
#[test]
fn cards_and_lines_are_in_their_places() {
    let graph = media();
    for (direction, before) in [
        (Direction::Right, [1.0, 0.0]),
        (Direction::Left, [-1.0, 0.0]),
        (Direction::Down, [0.0, 1.0]),
        (Direction::Up, [0.0, -1.0]),
    ] {
        let look = Look::new(&graph).direction(direction);
        let picture = super::Picture::of(&look);
        let layout = super::layout::Layout::of(&picture);
        for link in &picture.links {
            let (from, to) = (layout.cards[link.upstream], layout.cards[link.downstream]);
            let way = (to.x - from.x) * before[0] + (to.y - from.y) * before[1];
            assert!(way > 60.0, "{direction:?}: {way}");
        }
        for (i, one) in layout.cards.iter().enumerate() {
            for other in &layout.cards[..i] {
                let apart = one.x >= other.x + other.width
                    || other.x >= one.x + one.width
                    || one.y >= other.y + other.height
                    || other.y >= one.y + one.height;
                assert!(apart, "{direction:?}: two cards lie over each other");
            }
            assert!(one.x >= 0.0 && one.x + one.width <= layout.width);
            assert!(one.y >= 0.0 && one.y + one.height <= layout.height);
        }
    }
    let look = Look::new(&graph);
    let picture = super::Picture::of(&look);
    let layout = super::layout::Layout::of(&picture);
    for (edge, path) in picture.edges.iter().zip(&layout.paths) {
        let link = &picture.links[edge.link];
        let from = layout.cards[link.upstream];
        let y = from.y + edge.from.map_or(23.0, |field| 46.0 + 24.0 * field as f64 + 12.0);
        let start = format!("M{} {}", from.x + from.width, y);
        assert!(path.starts_with(&start), "{path} does not start with {start}");
    }
}

/// What ends a script, or a template, ends nothing.
#[test]
fn texts_cannot_leave_the_data_of_the_page() {
    let graph = media();
    let html = full(&graph).title("{{data}}</title><script>alert(1)</script>").html();
    assert_eq!(html.matches("</script>").count(), 2);
    assert_eq!(html.matches("<script").count(), 2);
    assert!(html.contains("<title>{{data}}&lt;/title&gt;"));
    let (_, data) = html.split_once("id=\"data\">").unwrap();
    let (data, _) = data.split_once("</script>").unwrap();
    let data: serde_json::Value = serde_json::from_str(data).unwrap();
    let features = data["features"].as_array().unwrap();
    let video = features.iter().find(|feature| feature["key"] == "video").unwrap();
    assert_eq!(video["description"], NASTY);
}

#[test]
fn an_empty_graph_has_a_picture() {
    let graph = FeatureGraph::build(Vec::new()).unwrap();
    let look = Look::new(&graph);
    assert_eq!(look.tree(), "");
    assert_eq!(look.mermaid(), "flowchart LR\n");
    roxmltree::Document::parse(&look.svg()).unwrap();
    assert!(look.html().contains("\"features\":[]"));
}

/// Two graphs may depend on each other in opposite ways: together they have a cycle.
#[test]
fn a_difference_may_go_round() {
    let pair = |above: &str, below: &str| {
        let builder = FeatureGraph::builder().feature(feature(above).field("f"));
        builder.feature(feature(below).dep(above).field("f")).build().unwrap()
    };
    let (now, before) = (pair("a", "b"), pair("b", "a"));
    let look = Look::new(&now).difference(Difference::with(before));
    insta::assert_snapshot!("tree_cycle", look.tree());
    roxmltree::Document::parse(&look.svg()).unwrap();
}

#[test]
fn a_large_graph_is_drawn_in_time() {
    let name = |i: usize| format!("stage_{}/step_{}", i / 20, i % 20);
    let builder = (0..300).fold(FeatureGraph::builder(), |builder, i| {
        let step =
            ["a", "b", "c", "d", "e"].iter().fold(feature(&name(i)), |f, name| f.field(*name));
        let near = (i >= 20).then(|| (i / 20 - 1) * 20 + (i * 7) % 20);
        let far = (i >= 60 && i % 3 == 0).then(|| i - 60);
        builder.feature(near.into_iter().chain(far).fold(step, |f, up| f.dep(name(up).as_str())))
    });
    let graph = builder.build().unwrap();
    let start = Instant::now();
    let svg = Look::new(&graph).svg();
    println!("{} features: {:?}, {} KiB", graph.len(), start.elapsed(), svg.len() / 1024);
    // A second without optimisation and with other programs at work takes some.
    assert!(start.elapsed().as_secs() < 8, "{:?}", start.elapsed());
}
