//! Hash algorithms: those that Postgres has, and those that are made on request.

use super::{Crop, Video, compute, graph, videos};
use metaxy::prelude::*;
use metaxy::{HashAlgorithm, Store};
use metaxy_tests::databases::Database;

/// What a store hashes to, record by record.
async fn provenances(store: &Store) -> Vec<String> {
    store.sync(videos(40, "1")).await.expect("a sync");
    assert_eq!(compute(store).await.expect("crops"), 40);
    let batches = store.read_of(&Crop::key()).batches().await.expect("batches");
    let mut rows: Vec<String> = metaxy_tests::batch::collect(batches)
        .await
        .iter()
        .map(|row| format!("{} {}", row["id"], row["metaxy_provenance"]))
        .collect();
    rows.sort();
    rows
}

#[tokio::test]
async fn every_algorithm_hashes_as_it_does_elsewhere() {
    for algorithm in [
        HashAlgorithm::Md5,
        HashAlgorithm::Sha256,
        HashAlgorithm::XxHash32,
        HashAlgorithm::XxHash64,
    ] {
        let memory = Store::open("memory:").graph(graph()).hash_algorithm(algorithm);
        let expected = provenances(&memory.await.expect("a store")).await;
        let database = Database::postgres().await;
        let store = Store::open(database.url()).graph(graph()).create_tables(true);
        let store = store.hash_algorithm(algorithm).install_xxhash(true);
        assert_eq!(provenances(&store.await.expect("a store")).await, expected, "{algorithm}");
    }
}

/// All lengths, so that every way through the functions is gone; with characters of several bytes.
#[tokio::test]
async fn the_functions_of_xxhash_are_those_of_everybody() {
    let database = Database::postgres().await;
    let store = Store::open(database.url()).graph(graph()).install_xxhash(true);
    store.await.expect("a store");
    let text: String = "a\u{e4}\u{1F980}z0|\u{7f}\u{ff}".chars().cycle().take(80).collect();
    for n in 0..80 {
        let prefix: String = text.chars().take(n).collect();
        let hashes =
            format!("SELECT metaxy_xxhash32('{prefix}') || ' ' || metaxy_xxhash64('{prefix}')");
        let [short, long] = [
            u64::from(xxhash_rust::xxh32::xxh32(prefix.as_bytes(), 0)),
            xxhash_rust::xxh64::xxh64(prefix.as_bytes(), 0),
        ];
        assert_eq!(database.texts(&hashes).await, [format!("{short} {long}")], "{prefix}");
    }
}

#[tokio::test]
async fn an_algorithm_that_is_not_there_names_what_makes_it() {
    let database = Database::postgres().await;
    let open = |algorithm| {
        let store = Store::open(database.url()).graph(graph()).create_tables(true);
        store.hash_algorithm(algorithm)
    };
    for algorithm in [HashAlgorithm::XxHash32, HashAlgorithm::XxHash64] {
        let error = open(algorithm).await.expect_err("no function").to_string();
        assert!(error.contains("install_xxhash(true)"), "{error}");
    }
    let error = open(HashAlgorithm::Xxh3_64).await.expect_err("no function").to_string();
    assert!(error.contains("`md5`"), "{error}");
    // Nothing was made: another algorithm can still be chosen.
    let store = open(HashAlgorithm::Sha256).await.expect("a store");
    store.sync(videos(1, "1")).await.expect("a sync");
    assert_eq!(store.read::<Video>().rows().await.expect("records").len(), 1);
}
