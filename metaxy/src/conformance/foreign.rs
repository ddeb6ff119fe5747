//! Rows as only another program would have written them, for every engine: they stand in a store in
//! memory, from which others copy, or on which they fall back.

use crate::Store;
use crate::arrow::array::RecordBatch;
use crate::conformance::batch::batch;
use crate::conformance::flow::key;
use crate::store::backend::{Backend, Export, FeatureContext};
use crate::store::memory::Memory;
use futures::{StreamExt, TryStreamExt};
use metaxy_sql::plan::Hash;
use serde_json::Value;
use std::sync::Arc;

/// A store in memory that hashes like another. A root has these samples there, but their rows were
/// changed after they were written.
///
/// # Panics
/// If the store fails.
pub(super) async fn changed(
    like: &Store,
    root: &str,
    samples: &[Value],
    change: fn(RecordBatch) -> RecordBatch,
) -> Store {
    let (key, graph, settings) = (key(root), like.graph(), like.settings());
    let length = settings.hash_truncation_length;
    let memory = || Arc::new(Memory::new(settings.hash_algorithm, length));
    let (before, after) = (memory(), memory());
    let store = Store::with_backend(before.clone(), graph.clone());
    store.sync_of(&key, batch(samples)).await.expect("a sync");

    let length = u32::try_from(length).expect("a length");
    let hash = Hash { algorithm: settings.hash_algorithm, length };
    let feature = FeatureContext::new(graph, &key, hash).expect("a feature");
    let mut export: Export = before.export(feature.clone()).await.expect("an export");
    export.rows = export.rows.map_ok(change).boxed();
    after.import(feature, export).await.expect("an import");
    Store::with_backend(after, graph.clone())
}

/// What another program does to the table of a feature: past the store, and without its checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Foreign {
    /// It adds two more rows for each that is there, with NULL in the first id column; before that it
    /// changes the table so that NULL is possible.
    NullIds,
    /// It adds one more row for each that is there, the same but for the columns
    /// `metaxy_created_at` and `metaxy_updated_at`, which are so many microseconds after 1970 began.
    WrittenAt(i64),
}
