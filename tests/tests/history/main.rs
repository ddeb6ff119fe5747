//! Pushes of graphs, what is read back of them, and lock files, on every engine.

mod form;
mod graphs;
mod locking;
mod pushing;

use metaxy::builder::{FeatureBuilder, FieldBuilder, GraphBuilder};
use metaxy::store::OpenStore;
use metaxy::{FeatureGraph, FeatureKey, HashAlgorithm, ScalarType, Store};

/// A feature of the field `x` with this code version, on these upstreams.
fn feature(key: &str, code_version: &str, upstreams: &[&str]) -> FeatureBuilder {
    let feature = FeatureBuilder::new(key)
        .id("id", ScalarType::Text)
        .field(FieldBuilder::new("x").code_version(code_version));
    upstreams.iter().fold(feature, |feature, upstream| feature.dep(*upstream))
}

/// A graph of the project `p`.
fn graph(features: impl IntoIterator<Item = FeatureBuilder>) -> FeatureGraph {
    let builder = FeatureGraph::builder().project("p");
    features.into_iter().fold(builder, GraphBuilder::feature).build().expect("a graph")
}

/// A store that every engine can open.
fn opening(engine: &str, graph: &FeatureGraph) -> OpenStore {
    let store = Store::open(engine).graph(graph.clone()).create_tables(true);
    store.hash_algorithm(HashAlgorithm::Md5).hash_truncation_length(8)
}

async fn open(engine: &str, graph: &FeatureGraph) -> Store {
    opening(engine, graph).await.expect("a store")
}

/// Several stores over one database: of their own where there is a server.
async fn several(engine: &str, graph: &FeatureGraph, n: usize) -> Vec<Store> {
    let first = open(engine, graph).await;
    let mut stores = vec![first.clone()];
    while stores.len() < n {
        let is_server = engine.contains("://");
        stores.push(if is_server { open(engine, graph).await } else { first.clone() });
    }
    stores
}

fn texts(keys: &[FeatureKey]) -> Vec<&str> {
    keys.iter().map(FeatureKey::as_str).collect()
}

/// The definition of a field that a graph has.
fn code_version(graph: &FeatureGraph, feature: &str) -> String {
    let key = FeatureKey::new(feature).expect("a key");
    graph.get(&key).expect("a feature").spec.fields[0].code_version.clone()
}
