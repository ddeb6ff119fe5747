//! The two graphs of the paper's Table 1, and the two moments at which their leaf is resolved.
//!
//! `simple` is a root of two fields and a leaf of one; `wide` is two roots of four fields and a leaf of
//! two. `new` is the first resolve of the leaf; `stale` is the one after a tenth of the records got other
//! audio in the first root.

use clap::ValueEnum;
use metaxy::prelude::*;
use serde::{Deserialize, Serialize};

/// A graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Graph {
    /// One root of two fields, a leaf of one
    Simple,
    /// Two roots of four fields, a leaf of two
    Wide,
}

/// When its leaf is resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Phase {
    /// For the first time
    New,
    /// After a tenth of the records changed in one field of one root
    Stale,
}

impl Graph {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Simple => "simple",
            Self::Wide => "wide",
        }
    }
}

impl Phase {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Stale => "stale",
        }
    }

    /// How many records the increment has.
    pub(crate) const fn increment(self, records: usize) -> usize {
        match self {
            Self::New => records,
            Self::Stale => records / 10,
        }
    }
}

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
            async fn add(store: &Store, all: std::ops::Range<usize>, audio: &str) -> metaxy::Result<()> {
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

/// Opens a store with both graphs.
pub(crate) async fn open(url: &str, create_tables: bool) -> metaxy::Result<Store> {
    let graph = FeatureGraph::of::<(SimpleLeaf, WideLeaf)>()?;
    Store::open(url).graph(graph).create_tables(create_tables).await
}

/// Fills an empty store, so that the next resolve is the one that is measured.
pub(crate) async fn fill(
    store: &Store,
    graph: Graph,
    phase: Phase,
    records: usize,
) -> metaxy::Result<()> {
    match graph {
        Graph::Simple => SimpleRoot::add(store, 0..records, "a").await?,
        Graph::Wide => {
            WideA::add(store, 0..records, "a").await?;
            WideB::add(store, 0..records, "a").await?;
        }
    }
    if phase == Phase::New {
        return Ok(());
    }
    let leaf = leaf(graph)?;
    let mut batches = store.resolve_update_of(&leaf).await?.to_compute();
    let mut out = store.batch_writer(&leaf);
    while let Some(batch) = batches.try_next().await? {
        out.push(&batch).await?;
    }
    out.commit().await?;
    match graph {
        Graph::Simple => SimpleRoot::add(store, 0..records / 10, "b").await,
        Graph::Wide => WideA::add(store, 0..records / 10, "b").await,
    }
}

/// Resolves the leaf and reads the increment to its end, as Arrow batches; the number of its rows.
pub(crate) async fn resolve(store: &Store, graph: Graph) -> metaxy::Result<usize> {
    let mut batches = store.resolve_update_of(&leaf(graph)?).await?.batches();
    let mut rows = 0;
    while let Some(batch) = batches.try_next().await? {
        rows += batch.num_rows();
    }
    Ok(rows)
}

fn leaf(graph: Graph) -> metaxy::Result<metaxy::FeatureKey> {
    Ok(metaxy::FeatureKey::new(match graph {
        Graph::Simple => "simple/leaf",
        Graph::Wide => "wide/leaf",
    })?)
}

/// The statement that resolves the leaf.
pub(crate) async fn statement(store: &Store, graph: Graph) -> metaxy::Result<String> {
    Ok(store.update_of(&leaf(graph)?).sql().await?.unwrap_or_default())
}
