//! A program that links no feature; it names none, so this file has to be a program of its own.

use metaxy::FeatureGraph;

#[test]
fn an_empty_registry_says_what_to_write() {
    let error = FeatureGraph::linked().unwrap_err().to_string();
    assert!(error.contains("`use my_features as _;`"), "{error}");
}
