//! The store in memory, case by case: what its rules say of groups, expansions, optional upstreams and
//! calls. It is what other engines are compared with, so here each answer is written down.

mod calls;
mod expansions;
mod groups;
mod optional;
mod upkeep;

use futures::TryStreamExt;
use metaxy::builder::{DepBuilder, FeatureBuilder, FieldBuilder, GraphBuilder};
use metaxy::store::backend::{Backend, Export, Failed, FeatureContext, ResolveOptions};
use metaxy::store::memory::Memory;
use metaxy::{Counts, FeatureGraph, HashAlgorithm, Store};
use metaxy_sql::plan::Hash;
use metaxy_tests::batch::{batch, collect, rows, sorted};
use metaxy_tests::flow::key;
use serde_json::{Value, json};
use std::sync::Arc;

/// A store in memory, seen as users see it and as engines are asked.
struct World {
    memory: Memory,
    store: Store,
}

fn graph(features: impl IntoIterator<Item = FeatureBuilder>) -> FeatureGraph {
    features
        .into_iter()
        .fold(FeatureGraph::builder(), GraphBuilder::feature)
        .build()
        .expect("a graph")
}

fn world(features: impl IntoIterator<Item = FeatureBuilder>) -> World {
    let memory = Memory::new(HashAlgorithm::Md5, 8);
    let store = Store::with_backend(Arc::new(memory.clone()), graph(features));
    World { memory, store }
}

/// The hash of a text as the stores here make it.
fn hash(text: &str) -> String {
    use md5::Digest;
    hex::encode(md5::Md5::digest(text))[..8].to_owned()
}

impl World {
    /// The same rows under other definitions.
    fn under(&self, features: impl IntoIterator<Item = FeatureBuilder>) -> Self {
        Self { memory: self.memory.clone(), store: self.store.with_graph(graph(features)) }
    }

    fn feature(&self, feature: &str) -> FeatureContext {
        let hash = Hash { algorithm: HashAlgorithm::Md5, length: 8 };
        FeatureContext::new(self.store.graph(), &key(feature), hash).expect("a feature")
    }

    /// Brings a root up to date with these rows, and deletes all others.
    async fn sync(&self, root: &str, samples: &[Value]) {
        let batches = if samples.is_empty() { Vec::new() } else { vec![batch(samples)] };
        let sync = self.store.sync_of(&key(root), batches).delete_orphans(true);
        sync.await.expect("a sync");
    }

    async fn counts(&self, feature: &str) -> Counts {
        self.store.count_update_of(&key(feature)).await.expect("counts")
    }

    /// The answer of a call: counts, and rows in the order in which they come.
    async fn call(&self, feature: &str, options: ResolveOptions) -> (Counts, Vec<Value>) {
        let resolved = self.memory.resolve(self.feature(feature), options, Vec::new()).await;
        let resolved = resolved.expect("an increment");
        let batches: Vec<_> = resolved.batches.try_collect().await.expect("batches");
        (resolved.counts, rows(&batches))
    }

    /// Each record of an increment: these members, then status, and why.
    async fn increment(&self, feature: &str, ids: &[&str]) -> Vec<Value> {
        let (_, rows) = self.call(feature, ResolveOptions::default()).await;
        let row = |row: &Value| {
            let mut short: Vec<Value> = ids.iter().map(|id| row[*id].clone()).collect();
            short.push(row["metaxy_status"].clone());
            let why = match &row["metaxy_stale_fields"] {
                Value::Null => row["metaxy_cause"].clone(),
                fields => fields.clone(),
            };
            if !why.is_null() {
                short.push(why);
            }
            Value::Array(short)
        };
        sorted(rows.iter().map(row).collect())
    }

    /// Writes all that a feature lacks, as if it had been computed.
    async fn compute(&self, feature: &str) -> u64 {
        let increment = self.store.resolve_update_of(&key(feature)).await.expect("an increment");
        let mut out = self.store.batch_writer(&key(feature));
        let mut batches = increment.to_compute();
        while let Some(batch) = batches.try_next().await.expect("a batch") {
            out.push(&batch).await.expect("good rows");
        }
        out.commit().await.expect("a commit").rows
    }

    /// These members of all rows that are read.
    async fn read(&self, feature: &str, members: &[&str]) -> Vec<Value> {
        let batches = self.store.read_of(&key(feature)).batches().await.expect("a read");
        let rows = collect(batches).await;
        let row = |row: &Value| members.iter().map(|name| row[*name].clone()).collect();
        sorted(rows.iter().map(row).collect())
    }

    /// Rows of another program, as they are in its store.
    async fn import(&self, feature: &str, foreign: &[Value]) -> u64 {
        let rows = Box::pin(futures::stream::iter([Ok(batch(foreign))]));
        let seals = Box::pin(futures::stream::empty());
        let export = Export { definitions: Vec::new(), rows, seals };
        self.memory.import(self.feature(feature), export).await.expect("an import")
    }

    async fn delete(&self, feature: &str, ids: &[Value]) -> u64 {
        let report = self.store.delete_of(&key(feature), &[batch(ids)]).await;
        report.expect("a deletion").records()
    }
}

/// What a call can ask for.
fn options(change: impl FnOnce(&mut ResolveOptions)) -> ResolveOptions {
    let mut options = ResolveOptions::default();
    change(&mut options);
    options
}
