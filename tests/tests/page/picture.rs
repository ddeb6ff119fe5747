//! The picture in the README: the features of the example with a chosen field, made anew by every run
//! and written to `docs/look.png` when `METAXY_PICTURE` is set.

use super::features::{File, Freshness, Index, Overview, Text};
use super::{Browser, field};
use metaxy::look::{Look, State};
use metaxy::spec::FeatureDefinition;
use metaxy::{FeatureGraph, FeatureKey};
use std::path::Path;

/// The example's features under the project that they have there.
fn example() -> FeatureGraph {
    let graph = FeatureGraph::of::<(File, Text, Index, Freshness, Overview)>().unwrap();
    let here = |d: &FeatureDefinition| FeatureDefinition {
        project: "metaxy-examples".to_owned(),
        ..d.clone()
    };
    FeatureGraph::build(graph.iter().map(here).collect()).unwrap()
}

#[test]
fn picture_of_the_readme() {
    let graph = example();
    let key = |key: &str| FeatureKey::new(key).unwrap();
    let there = |records| State { records: Some(records), ..State::default() };
    let look = Look::new(&graph)
        .title("Files")
        .state(&key("files/file"), there(412))
        .state(&key("files/text"), State { new: 3, stale: 12, ..there(409) })
        .state(&key("files/index"), there(412))
        .state(&key("files/freshness"), there(412))
        .state(&key("files/overview"), State { blocked: 12, waiting: 3, ..there(409) });
    let mut browser = Browser::start(1280, 720);
    browser.open(&look.html());
    let symbols = field(&mut browser, "files/index.symbols");
    browser.click(&symbols);
    let folder = tempfile::tempdir().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let path = match std::env::var_os("METAXY_PICTURE") {
        Some(_) => root.join("docs").join("look.png"),
        None => folder.path().join("look.png"),
    };
    browser.screenshot(&path);
    let size = std::fs::metadata(&path).unwrap().len();
    assert!((10_000..200_000).contains(&size), "{size} bytes");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}
