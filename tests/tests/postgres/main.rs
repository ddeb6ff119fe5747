//! What is of Postgres alone: types, turns of writers, timeouts, broken connections, pools and schemas.

mod hashes;
mod servers;
mod statements;
mod types;
mod wire;
mod writers;

use metaxy::prelude::*;
use metaxy::{FeatureGraph, Store};
use metaxy_tests::databases::Database;

/// A root.
#[derive(Clone, Debug, Feature, PartialEq)]
#[metaxy(key = "pg/video")]
struct Video {
    #[metaxy(id)]
    id: String,
    path: String,
    #[metaxy(field)]
    frames: DataVersion,
}

/// Computed from it.
#[derive(Clone, Debug, Feature, PartialEq)]
#[metaxy(key = "pg/crop", deps(Video))]
struct Crop {
    #[metaxy(id)]
    id: String,
    #[metaxy(field)]
    frames: DataVersion,
}

/// What a job gets.
#[derive(Row)]
struct Source {
    id: String,
    path: String,
}

fn graph() -> FeatureGraph {
    FeatureGraph::of::<Crop>().expect("a graph")
}

async fn open(database: &Database) -> Store {
    open_at(&database.url()).await
}

async fn open_at(url: &str) -> Store {
    Store::open(url).graph(graph()).create_tables(true).await.expect("a store")
}

fn video(id: impl std::fmt::Display, version: &str) -> Video {
    Video { id: id.to_string(), path: format!("/{id}"), frames: DataVersion::new(version) }
}

fn videos(n: u32, version: &str) -> Vec<Video> {
    (0..n).map(|id| video(format_args!("{id:06}"), version)).collect()
}

/// Computes all crops that are missing; how many.
async fn compute(store: &Store) -> metaxy::Result<u64> {
    let mut jobs = store.resolve_update::<Crop>().await?.jobs::<Source>();
    let mut out = store.writer::<Crop>();
    while let Some(job) = jobs.try_next().await? {
        assert_eq!(job.input().path, format!("/{}", job.input().id));
        let crop = Crop { id: job.input().id.clone(), frames: DataVersion::default() };
        out.push(job.done(crop)?).await?;
    }
    Ok(out.commit().await?.rows)
}
