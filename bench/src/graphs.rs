//! The two graphs of the paper's Table 1, one of a thousand features, and the moments at which they are
//! resolved.
//!
//! `simple` is a root of two fields and a leaf of one; `wide` is two roots of four fields and a leaf of
//! two. `many` is the root of `simple` and 999 features, each of which reads two earlier ones; all of them
//! are planned at once. `new` is the first resolve of the leaf; `stale` is the one after a tenth of the
//! records got other audio in the first root, `few` after a thousandth did. `incremental` is as `few`, in a
//! store that has resolved before and looks at what has changed since. `versions` is as `stale`, with twenty
//! older rows of each record in each root.

use clap::ValueEnum;
use metaxy::builder::{DepBuilder, FeatureBuilder, FieldBuilder};
use metaxy::graph::GraphErrors;
use metaxy::prelude::*;
use metaxy::{FeatureKey, ScalarType};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// A graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Graph {
    /// One root of two fields, a leaf of one
    Simple,
    /// Two roots of four fields, a leaf of two
    Wide,
    /// A thousand features in one plan
    Many,
}

/// When its leaf is resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// For the first time
    New,
    /// After a tenth of the records changed in one field of one root
    Stale,
    /// After a thousandth did
    Few,
    /// The same in a store that looks at what has changed since it was resolved before
    Incremental,
    /// As `stale`, with twenty older rows of each record
    Versions,
}

impl Graph {
    /// Its name in tables and in files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Simple => "simple",
            Self::Wide => "wide",
            Self::Many => "many",
        }
    }
}

impl Phase {
    /// Its name in tables and in files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Stale => "stale",
            Self::Few => "few",
            Self::Versions => "versions",
            Self::Incremental => "incremental",
        }
    }

    /// How many records of a leaf are to be computed.
    const fn changed(self, records: usize) -> usize {
        match self {
            Self::New => records,
            Self::Stale | Self::Versions => records / 10,
            Self::Few | Self::Incremental => records / 1_000,
        }
    }
}

/// How many records are to be computed, in all features that are looked at.
pub(crate) const fn increment(graph: Graph, phase: Phase, records: usize) -> usize {
    match graph {
        Graph::Simple | Graph::Wide => phase.changed(records),
        Graph::Many => phase.changed(records) * (MANY - 1),
    }
}

/// How many features the graph of many has, its root included.
const MANY: usize = 1_000;

/// How many older rows each record has in a root with versions.
const VERSIONS: usize = 20;

/// Records that are written in one call.
const AT_ONCE: usize = 250_000;

macro_rules! root {
    ($name:ident, $key:literal, $($field:ident),+) => {
        #[derive(Feature)]
        #[metaxy(key = $key)]
        struct $name {
            #[metaxy(id)]
            id: String,
            $(#[metaxy(field, code_version = "1")] $field: DataVersion,)+
        }

        impl $name {
            /// Record number `n`; the audio can be another.
            fn record(n: usize, audio: &str) -> Self {
                Self {
                    id: format!("record-{n:08}"),
                    $($field: match stringify!($field) {
                        "audio" => DataVersion::new(format!("{audio}{n}")),
                        other => DataVersion::new(format!("{other}{n}")),
                    },)+
                }
            }

            /// Adds the records of these numbers, or changes them.
            async fn add(store: &Store, all: Range<usize>, audio: &str) -> metaxy::Result<()> {
                for from in all.clone().step_by(AT_ONCE) {
                    let some = from..all.end.min(from + AT_ONCE);
                    let records: Vec<_> = some.map(|n| Self::record(n, audio)).collect();
                    store.sync(records).partial(true).await?;
                }
                Ok(())
            }
        }
    };
}

root!(SimpleRoot, "simple/root", audio, frames);
root!(WideA, "wide/a", audio, frames, text, meta);
root!(WideB, "wide/b", audio, frames, text, meta);

#[derive(Feature)]
#[metaxy(key = "simple/leaf", deps(SimpleRoot))]
struct SimpleLeaf {
    #[metaxy(id)]
    id: String,
    #[metaxy(field, code_version = "1", deps(SimpleRoot::audio))]
    summary: DataVersion,
}

#[derive(Feature)]
#[metaxy(key = "wide/leaf", deps(WideA, WideB))]
struct WideLeaf {
    #[metaxy(id)]
    id: String,
    #[metaxy(
        field,
        code_version = "1",
        deps(WideA::audio, WideA::frames, WideB::audio, WideB::frames)
    )]
    scene: DataVersion,
    #[metaxy(field, code_version = "1", deps(WideA::text, WideA::meta, WideB::text, WideB::meta))]
    summary: DataVersion,
}

/// A graph.
///
/// # Errors
/// None, as long as the graphs here are sound.
pub fn features(graph: Graph) -> Result<FeatureGraph, GraphErrors> {
    match graph {
        Graph::Simple => FeatureGraph::of::<(SimpleLeaf,)>(),
        Graph::Wide => FeatureGraph::of::<(WideLeaf,)>(),
        Graph::Many => {
            let key = |n: usize| match n {
                0 => SimpleRoot::key().to_string(),
                n => format!("many/f{n}"),
            };
            let root = FeatureGraph::builder().definition(SimpleRoot::definition());
            let all = (1..MANY).fold(root, |all, n| {
                let mut feature = FeatureBuilder::new(key(n))
                    .id("id", ScalarType::Text)
                    .field(FieldBuilder::new("value").code_version("1"))
                    .dep(DepBuilder::new(key(n / 2)));
                if n / 3 != n / 2 {
                    feature = feature.dep(DepBuilder::new(key(n / 3)));
                }
                all.feature(feature)
            });
            all.build()
        }
    }
}

/// Opens a store with a graph.
///
/// # Errors
/// What opening a store says.
pub async fn open(
    url: &str,
    graph: Graph,
    phase: Phase,
    create_tables: bool,
) -> metaxy::Result<Store> {
    let store = Store::open(url).graph(features(graph)?).create_tables(create_tables);
    match phase {
        Phase::Incremental => store.incremental(0.1).await,
        _ => store.await,
    }
}

/// Fills an empty store, so that the next resolve is the one that is measured.
///
/// # Errors
/// What the store says.
pub async fn fill(store: &Store, graph: Graph, phase: Phase, records: usize) -> metaxy::Result<()> {
    if phase == Phase::Versions {
        for version in 0..VERSIONS {
            add(store, graph, 0..records, &format!("v{version}-")).await?;
        }
    }
    add(store, graph, 0..records, "a").await?;
    if phase == Phase::New {
        return Ok(());
    }
    let keys: Vec<FeatureKey> = store.graph().keys().cloned().collect();
    let roots = roots(graph);
    for key in keys.iter().filter(|key| !roots.contains(key)) {
        compute(store, key).await?;
    }
    if phase == Phase::Incremental {
        // What this one finds is what the next one begins with.
        resolve(store, graph).await?;
    }
    let changed = 0..phase.changed(records);
    match graph {
        Graph::Simple | Graph::Many => SimpleRoot::add(store, changed, "b").await,
        Graph::Wide => WideA::add(store, changed, "b").await,
    }
}

fn roots(graph: Graph) -> Vec<FeatureKey> {
    match graph {
        Graph::Simple | Graph::Many => vec![SimpleRoot::key()],
        Graph::Wide => vec![WideA::key(), WideB::key()],
    }
}

/// Adds records to all roots, or changes their audio.
async fn add(
    store: &Store,
    graph: Graph,
    records: Range<usize>,
    audio: &str,
) -> metaxy::Result<()> {
    match graph {
        Graph::Simple | Graph::Many => SimpleRoot::add(store, records, audio).await,
        Graph::Wide => {
            WideA::add(store, records.clone(), audio).await?;
            WideB::add(store, records, audio).await
        }
    }
}

/// Writes what is to be computed.
pub(crate) async fn compute(store: &Store, key: &FeatureKey) -> metaxy::Result<()> {
    let mut batches = store.resolve_update_of(key).await?.to_compute();
    let mut out = store.batch_writer(key);
    while let Some(batch) = batches.try_next().await? {
        out.push(&batch).await?;
    }
    out.commit().await.map(drop)
}

/// Resolves the leaf and reads the increment to its end, as Arrow batches; the number of its rows. Of
/// many features: plans them all, and says how many records are to be computed.
///
/// # Errors
/// What the store says.
pub async fn resolve(store: &Store, graph: Graph) -> metaxy::Result<usize> {
    let Some(leaf) = leaf(graph) else {
        let to_compute = store.plan().await?.to_compute();
        return Ok(usize::try_from(to_compute).unwrap_or(usize::MAX));
    };
    let mut batches = store.resolve_update_of(&leaf).await?.batches();
    let mut rows = 0;
    while let Some(batch) = batches.try_next().await? {
        rows += batch.num_rows();
    }
    Ok(rows)
}

/// The feature that is resolved, unless all are planned.
pub(crate) fn leaf(graph: Graph) -> Option<FeatureKey> {
    match graph {
        Graph::Simple => Some(SimpleLeaf::key()),
        Graph::Wide => Some(WideLeaf::key()),
        Graph::Many => None,
    }
}

/// The statement that resolves the leaf.
pub(crate) async fn statement(store: &Store, graph: Graph) -> metaxy::Result<String> {
    match leaf(graph) {
        Some(leaf) => Ok(store.update_of(&leaf).sql().await?.unwrap_or_default()),
        None => Ok(String::new()),
    }
}

/// Changes records in all ways that a resolve tells apart: some twice, some deleted in a root, some of
/// these added again, some deleted in the leaf.
#[cfg(test)]
pub(crate) async fn stir(store: &Store, graph: Graph, phase: Phase) -> metaxy::Result<()> {
    let between =
        |low: usize, high: usize| format!("id >= 'record-{low:08}' AND id < 'record-{high:08}'");
    match graph {
        Graph::Simple | Graph::Many => SimpleRoot::add(store, 500..700, "c").await?,
        Graph::Wide => WideB::add(store, 500..700, "c").await?,
    }
    for root in roots(graph) {
        store.delete_where_of(&root, between(900, 1_100)).await?;
    }
    add(store, graph, 1_000..1_050, "d").await?;
    add(store, graph, 600..650, "e").await?;
    if let Some(leaf) = leaf(graph).filter(|_| phase != Phase::New) {
        store.delete_where_of(&leaf, between(1_300, 1_400)).await?;
    }
    Ok(())
}
