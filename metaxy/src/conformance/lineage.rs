//! Lineages, orphans, edited definitions and calls, case by case and on every engine.
//!
//! What Python gets wrong is in `hazards.rs`, what a store in memory is asked as a backend in
//! `memory/`; histories that nobody thought of are in `properties/`.

pub(super) mod calls;
pub(super) mod causes;
pub(super) mod definitions;
pub(super) mod explaining;
pub(super) mod groups;
pub(super) mod optional;
pub(super) mod plans;

use crate::builder::{DepBuilder, FeatureBuilder, FieldBuilder, GraphBuilder};
use crate::conformance::batch::{batch, rows, sorted};
use crate::conformance::flow::{self, key};
use crate::conformance::{Engine, md5 as hash, open};
use crate::increment::AnyFeature;
use crate::store::Update;
use crate::{Counts, FeatureGraph, ScalarType, Store};
use futures::TryStreamExt;
use serde_json::{Value, json};

/// A store under some definitions, and what tests ask of it.
struct World {
    store: Store,
}

fn graph(features: impl IntoIterator<Item = FeatureBuilder>) -> FeatureGraph {
    let builder = features.into_iter().fold(FeatureGraph::builder(), GraphBuilder::feature);
    builder.build().expect("a graph")
}

async fn world(engine: &dyn Engine, features: impl IntoIterator<Item = FeatureBuilder>) -> World {
    World { store: open(engine, &graph(features)).await }
}

impl World {
    /// The same records under other definitions.
    fn under(&self, features: impl IntoIterator<Item = FeatureBuilder>) -> Self {
        Self { store: self.store.with_graph(graph(features)) }
    }

    /// Makes a root hold these records and no others.
    async fn sync(&self, root: &str, samples: &[Value]) {
        let batches = if samples.is_empty() { Vec::new() } else { vec![batch(samples)] };
        let sync = self.store.sync_of(&key(root), batches).delete_orphans(true);
        sync.await.expect("a sync");
    }

    /// Adds records to a root, or changes them.
    async fn add(&self, root: &str, samples: &[Value]) {
        self.store.sync_of(&key(root), batch(samples)).partial(true).await.expect("a sync");
    }

    async fn compute(&self, feature: &str) -> Counts {
        flow::compute(&self.store, feature).await
    }

    async fn counts(&self, feature: &str) -> Counts {
        flow::counts(&self.store, feature).await
    }

    async fn delete(&self, feature: &str, ids: &[Value]) -> u64 {
        flow::delete(&self.store, feature, ids).await
    }

    fn update(&self, feature: &str) -> Update<AnyFeature> {
        self.store.update_of(&key(feature))
    }

    /// Each record of an increment: these members, then its status, and why.
    async fn increment(&self, feature: &str, members: &[&str]) -> Vec<Value> {
        sorted(answers(self.update(feature), members).await)
    }

    /// These members of every record that is read.
    async fn read(&self, feature: &str, members: &[&str]) -> Vec<Value> {
        let rows = flow::read(&self.store, feature).await;
        let row = |row: &Value| members.iter().map(|name| row[*name].clone()).collect();
        sorted(rows.iter().map(row).collect())
    }
}

/// The rows of a call, in the order in which they come.
async fn rows_of(update: Update<AnyFeature>) -> Vec<Value> {
    let increment = update.await.expect("an increment");
    let batches: Vec<_> = increment.batches().try_collect().await.expect("batches");
    rows(&batches)
}

/// Each record of a call in the order in which they come: these members, then its status, and why.
async fn answers(update: Update<AnyFeature>, members: &[&str]) -> Vec<Value> {
    let row = |row: &Value| {
        let mut short: Vec<Value> = members.iter().map(|name| row[*name].clone()).collect();
        short.push(row["metaxy_status"].clone());
        let why = ["metaxy_stale_fields", "metaxy_cause"].map(|name| row[name].clone());
        short.extend(why.into_iter().find(|why| !why.is_null()));
        Value::Array(short)
    };
    rows_of(update).await.iter().map(row).collect()
}
