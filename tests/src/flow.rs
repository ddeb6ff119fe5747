//! What tests do with a store again and again, in one call each: [`metaxy::conformance::flow`], and stores
//! by their address.

pub use metaxy::conformance::flow::*;

use metaxy::store::OpenStore;
use metaxy::{FeatureGraph, Store};

/// A store in memory.
///
/// # Panics
/// If it cannot be opened.
pub async fn memory(graph: &FeatureGraph) -> Store {
    let store = Store::open("duckdb::memory:").graph(graph.clone()).create_tables(true);
    store.await.expect("a store")
}

/// Begins to open a new store of an engine, with tables made as they are needed, that hashes like all
/// of them. On a server it is in a database of its own, which is gone with the one that the address names.
///
/// # Panics
/// If there is no server.
pub async fn opening(url: &str, graph: &FeatureGraph) -> OpenStore {
    #[cfg(feature = "servers")]
    let url = &crate::databases::another(url).await;
    let store = Store::open(url).graph(graph.clone()).create_tables(true);
    match url.starts_with("postgres:") {
        // It would hash in its own way, and could not be compared with the others.
        #[cfg(feature = "servers")]
        true => store.install_xxhash(true).hash_algorithm(metaxy::HashAlgorithm::XxHash64),
        _ => store,
    }
}

/// A new store of an engine, as [`opening`] opens it.
///
/// # Panics
/// If it cannot be opened.
pub async fn open(url: &str, graph: &FeatureGraph) -> Store {
    opening(url, graph).await.await.expect("a store")
}
