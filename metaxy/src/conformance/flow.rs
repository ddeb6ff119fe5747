//! What tests do with a store again and again, in one call each.

use crate::conformance::{batch, golden};
use crate::store::memory::Memory;
use crate::{Counts, Error, FeatureGraph, FeatureKey, Store};
use futures::TryStreamExt;
use serde_json::Value;
use std::sync::Arc;

/// A key.
///
/// # Panics
/// If the text is none.
#[must_use]
pub fn key(text: &str) -> FeatureKey {
    FeatureKey::new(text).expect("a key")
}

/// The graph of features in the short form of the golden file.
///
/// # Panics
/// If they form none.
#[must_use]
pub fn graph(features: &[Value]) -> FeatureGraph {
    let definitions = features.iter().enumerate().map(|(i, short)| golden::definition(short, i));
    FeatureGraph::build(definitions.collect()).expect("a graph")
}

/// Appends these rows to a feature, whatever it holds.
///
/// # Errors
/// When they are refused.
pub async fn write(store: &Store, feature: &str, rows: &[Value]) -> Result<u64, Error> {
    let mut out = store.batch_writer(&key(feature));
    out.push(&batch::batch(rows)).await?;
    Ok(out.commit().await?.rows)
}

/// Writes all that a feature lacks, as if it had been computed; the counts before.
///
/// # Panics
/// If the store fails.
pub async fn compute(store: &Store, feature: &str) -> Counts {
    let key = key(feature);
    let increment = store.resolve_update_of(&key).await.expect("an increment");
    let counts = increment.counts();
    let mut batches = increment.to_compute();
    let mut out = store.batch_writer(&key);
    while let Some(batch) = batches.try_next().await.expect("a batch") {
        out.push(&batch).await.expect("good rows");
    }
    assert_eq!(out.commit().await.expect("a commit").rows, counts.to_compute());
    counts
}

/// The records that a feature lacks or has too many.
///
/// # Panics
/// If the store fails.
pub async fn increment(store: &Store, feature: &str) -> Vec<Value> {
    let increment = store.resolve_update_of(&key(feature)).await.expect("an increment");
    batch::collect(increment.batches()).await
}

/// How many records there are of each class.
///
/// # Panics
/// If the store fails.
pub async fn counts(store: &Store, feature: &str) -> Counts {
    store.count_update_of(&key(feature)).await.expect("counts")
}

/// The records of a feature; none if it has no table.
///
/// # Panics
/// If the store fails.
pub async fn read(store: &Store, feature: &str) -> Vec<Value> {
    match store.read_of(&key(feature)).batches().await {
        Ok(batches) => batch::collect(batches).await,
        Err(Error::NoTable { .. }) => Vec::new(),
        Err(error) => panic!("{error}"),
    }
}

/// Marks the records with these ids as deleted; how many there were.
///
/// # Panics
/// If the store fails.
pub async fn delete(store: &Store, feature: &str, ids: &[Value]) -> u64 {
    store.delete_of(&key(feature), &[batch::batch(ids)]).await.expect("a deletion").records()
}

/// The number of rows and seals that are stored of a feature, of all times: those that a copy has.
///
/// # Panics
/// If the store fails.
pub async fn stored(store: &Store, feature: &str) -> u64 {
    let memory = Arc::new(Memory::with_settings(store.settings()));
    let copy = Store::with_backend(memory, store.graph().clone());
    let copied = store.copy_to(&copy).features([key(feature)]).await.expect("a copy");
    copied.iter().map(|copied| copied.rows).sum()
}

/// The time of the latest deletion that a mark of the feature tells of.
///
/// # Panics
/// If there is none, or the store fails.
pub async fn time_of_deletion(store: &Store, feature: &str) -> i64 {
    let read = store.read_of(&key(feature)).tombstones(true).other_versions(true);
    let rows = batch::collect(read.batches().await.expect("rows")).await;
    rows.iter().filter_map(|row| row["metaxy_deleted_at"].as_i64()).max().expect("a mark")
}
