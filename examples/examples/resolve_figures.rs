//! How long `resolve_update` takes on the two graphs of the paper's Table 1.
//!
//! `simple` is a root of two fields and a leaf of one; `wide` is two roots of four fields and a leaf
//! of two. `new` is the first resolve of the leaf; `stale` is the one after a tenth of the records
//! got other audio in one root. Every round works on a fresh database file; the time is that of the
//! call until its last batch, on an open store. `cargo run --release --example resolve_figures`,
//! with numbers of records as arguments (default: 10000 100000).

use metaxy::prelude::*;
use std::time::{Duration, Instant};

/// Rounds per cell; the median is shown.
const ROUNDS: usize = 5;

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

#[derive(Row)]
struct Input {
    id: String,
}

/// The time of one resolve, with its rows read to the end, and their number.
async fn resolve<F: Feature>(store: &Store) -> metaxy::Result<(Duration, usize)> {
    let start = Instant::now();
    let mut batches = store.resolve_update::<F>().await?.batches();
    let mut rows = 0;
    while let Some(batch) = batches.try_next().await? {
        rows += batch.num_rows();
    }
    Ok((start.elapsed(), rows))
}

/// Computes everything that is to be computed.
async fn compute<F: Feature>(store: &Store, record: fn(String) -> F) -> metaxy::Result<()> {
    let mut jobs = store.resolve_update::<F>().await?.jobs::<Input>();
    let mut out = store.writer::<F>();
    while let Some(job) = jobs.try_next().await? {
        let id = job.input().id.clone();
        out.push(job.done(record(id))?).await?;
    }
    out.commit().await?;
    Ok(())
}

async fn round(graph: &str, n: usize) -> metaxy::Result<[Duration; 2]> {
    let folder = std::env::temp_dir().join(format!("metaxy-figures-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder for the database");
    let url = format!("duckdb:{}", folder.join(format!("{graph}-{n}.duckdb")).display());
    let features = FeatureGraph::of::<(SimpleLeaf, WideLeaf)>()?;
    let store = Store::open(url).graph(features).create_tables(true).await?;
    let all = 0..n;
    let tenth = 0..n / 10;
    let (new, stale);
    if graph == "simple" {
        store.sync(all.map(|n| SimpleRoot::record(n, "a")).collect::<Vec<_>>()).await?;
        new = resolve::<SimpleLeaf>(&store).await?;
        compute(&store, |id| SimpleLeaf { id, summary: DataVersion::default() }).await?;
        let bumped: Vec<_> = tenth.map(|n| SimpleRoot::record(n, "b")).collect();
        store.sync(bumped).partial(true).await?;
        stale = resolve::<SimpleLeaf>(&store).await?;
    } else {
        store.sync(all.clone().map(|n| WideA::record(n, "a")).collect::<Vec<_>>()).await?;
        store.sync(all.map(|n| WideB::record(n, "a")).collect::<Vec<_>>()).await?;
        new = resolve::<WideLeaf>(&store).await?;
        let leaf =
            |id| WideLeaf { id, scene: DataVersion::default(), summary: DataVersion::default() };
        compute(&store, leaf).await?;
        let bumped: Vec<_> = tenth.map(|n| WideA::record(n, "b")).collect();
        store.sync(bumped).partial(true).await?;
        stale = resolve::<WideLeaf>(&store).await?;
    }
    assert_eq!((new.1, stale.1), (n, n / 10), "the increments are what was changed");
    drop(store);
    std::fs::remove_dir_all(&folder).expect("the folder is ours");
    Ok([new.0, stale.0])
}

#[tokio::main]
async fn main() -> metaxy::Result<()> {
    let sizes: Vec<usize> = std::env::args().skip(1).filter_map(|n| n.parse().ok()).collect();
    let sizes = if sizes.is_empty() { vec![10_000, 100_000] } else { sizes };
    println!("graph   records     new [ms]  stale [ms]   (median of {ROUNDS})");
    for graph in ["simple", "wide"] {
        for &n in &sizes {
            let mut times = [Vec::new(), Vec::new()];
            for _ in 0..ROUNDS {
                for (times, time) in times.iter_mut().zip(round(graph, n).await?) {
                    times.push(time);
                }
            }
            let median = |times: &mut Vec<Duration>| {
                times.sort();
                times[times.len() / 2].as_secs_f64() * 1_000.0
            };
            let [new, stale] = &mut times;
            println!("{graph:<7} {n:>9} {:>10.1} {:>11.1}", median(new), median(stale));
        }
    }
    Ok(())
}
