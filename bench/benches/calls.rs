//! What a call takes in a process that has made many, without what is done once: opening a store,
//! starting a process.

use criterion::{Criterion, criterion_group, criterion_main};
use metaxy_bench::graphs::{self, Graph, Phase};
use std::hint::black_box;
use tokio::runtime::Runtime;

/// Records in the stores that are resolved.
const RECORDS: usize = 10_000;

/// A graph of a thousand features: checked, and its versions computed.
fn graph(c: &mut Criterion) {
    c.bench_function("graph of 1,000 features", |b| {
        b.iter(|| graphs::features(black_box(Graph::Many)).expect("a sound graph"));
    });
    c.bench_function("versions of 1,000 features", |b| {
        b.iter_batched(
            || graphs::features(Graph::Many).expect("a sound graph"),
            |graph| graph.versions(64),
            criterion::BatchSize::LargeInput,
        );
    });
}

/// A resolve in an open store, to the last Arrow batch.
fn resolve(c: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    for graph in [Graph::Simple, Graph::Wide] {
        for phase in [Phase::New, Phase::Stale, Phase::Incremental] {
            let folder = tempfile::tempdir().expect("a folder");
            let url = format!("duckdb:{}", folder.path().join("meta.duckdb").display());
            let store = runtime
                .block_on(async {
                    let store = graphs::open(&url, graph, phase, true).await?;
                    graphs::fill(&store, graph, phase, RECORDS).await?;
                    Ok::<_, metaxy::Error>(store)
                })
                .expect("a store");
            let name = format!("resolve {} {} of {RECORDS}", graph.name(), phase.name());
            c.bench_function(&name, |b| {
                b.iter(|| runtime.block_on(graphs::resolve(&store, graph)).expect("an increment"));
            });
        }
    }
}

criterion_group!(calls, graph, resolve);
criterion_main!(calls);
