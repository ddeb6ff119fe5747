//! Graphs that are read back out of a store.

use super::{code_version, feature, graph, open};
use metaxy::builder::{DepBuilder, FieldBuilder};
use metaxy::history::{At, GraphDiff};
use metaxy::spec::Origin;
use metaxy::{FeatureGraph, ScalarType};
use metaxy_tests::flow::key;
use metaxy_tests::on_every_engine;

on_every_engine! {
    a_graph_comes_back_as_it_was,
    by_version_number_and_time,
    upstreams_of_other_projects_are_those_of_the_time,
    what_cannot_be_built_is_named,
}

/// Names, texts, filters and all kinds of lineage survive.
async fn a_graph_comes_back_as_it_was(engine: &str) {
    let all = graph([
        feature("a/é-free".replace('é', "e").as_str(), "1|2".replace('|', ".").as_str(), &[])
            .description("A \"text\" – with 'all' \\ sorts\nof characters")
            .metadata("owner", "ada")
            .metadata("n", 1.0)
            .column("length", ScalarType::Int64)
            .nullable_column("place", ScalarType::Text)
            .field(FieldBuilder::new("audio/en").code_version("1")),
        feature("b", "1", &[]).id("n", ScalarType::Int64).dep(
            DepBuilder::new("a/e-free").rename("length", "len").filter("len > 3").expansion(["id"]),
        ),
        feature("c", "1", &[]).dep(DepBuilder::new("b").aggregation(["id"])),
        feature("d", "1", &[]).dep(DepBuilder::new("a/e-free").optional().select(["place"])),
    ]);
    let store = open(engine, &all).await;
    store.push().await.expect("a push");
    let back = store.pushed_graph("latest").await.expect("a graph");
    assert_eq!(GraphDiff::between(&all, &back), GraphDiff::default());
    for (was, is) in all.iter().zip(back.iter()) {
        assert_eq!((&was.spec, &was.schema, &was.columns), (&is.spec, &is.schema, &is.columns));
        assert_eq!(is.origin, Origin::Recorded);
    }
    let versions = |graph: &FeatureGraph| graph.versions(8).project("p").to_owned();
    assert_eq!(versions(&back), versions(&all));
    // What was read back is what is there.
    assert!(store.with_graph(back).push().await.expect("a push").is_unchanged());
}

async fn by_version_number_and_time(engine: &str) {
    let of = |version: &str| graph([feature("a", version, &[])]);
    let store = open(engine, &of("1")).await;
    let mut pushes = Vec::new();
    for version in ["1", "2", "3"] {
        pushes.push(store.with_graph(of(version)).push().await.expect("a push"));
    }
    let time = |i: usize| pushes[i].time.expect("a time");
    let version = |i: usize| At::from(pushes[i].projects[0].after.clone());
    for (at, expected) in [
        (At::Latest, "3"),
        (At::from("latest~1"), "2"),
        (At::from(2), "1"),
        (version(1), "2"),
        (version(2), "3"),
        (At::Time(time(0)), "1"),
        (At::Time(time(2) - 1), "2"),
        (At::Time(i64::MAX), "3"),
    ] {
        let found = store.pushed_graph(at.clone()).await.expect("a graph");
        assert_eq!(code_version(&found, "a"), expected, "{at:?}");
    }
    for (at, text) in [
        (
            At::Ago(3),
            "the push 3 before the latest is not among the pushes of this store; `p` has 3",
        ),
        (At::Ago(usize::MAX), "is not among the pushes"),
        (At::from("0000"), "the version `0000` is not among the pushes"),
        (At::Time(time(0) - 1), "a push until "),
    ] {
        let error = store.pushed_graph(at).await.expect_err("no such push").to_string();
        assert!(error.contains(text), "{error}");
    }
    let error =
        store.pushed_graph("latest").project("q").await.expect_err("no project").to_string();
    assert!(error.contains("`q` has 0"), "{error}");
}

async fn upstreams_of_other_projects_are_those_of_the_time(engine: &str) {
    let q = |version: &str| {
        FeatureGraph::builder()
            .project("q")
            .feature(feature("q/a", version, &[]))
            .feature(feature("q/b", "1", &["q/a"]))
            .feature(feature("q/other", version, &[]))
            .build()
            .expect("a graph")
    };
    let both = |p: &str| {
        let own = feature("p/c", p, &["q/b"]);
        let others = [feature("q/a", "1", &[]), feature("q/b", "1", &["q/a"])];
        graph([own].into_iter().chain(others.map(|feature| feature.project("q"))))
    };
    let store = open(engine, &q("1")).await;
    store.push().await.expect("a push");
    store.with_graph(both("1")).push().project("p").await.expect("a push");
    store.with_graph(q("2")).push().await.expect("a push");
    store.with_graph(both("2")).push().project("p").await.expect("a push");
    store.with_graph(q("3")).push().await.expect("a push");

    let error = store.pushed_graph("latest").await.expect_err("two projects").to_string();
    assert!(error.contains("there are several projects, `p`, `q`"), "{error}");
    for (at, own, upstream) in [("latest", "2", "3"), ("latest~1", "1", "1")] {
        let found = store.pushed_graph(at).project("p").await.expect("a graph");
        // Of the other project there is what is upstream, and it is not the project's own.
        assert_eq!(found.len(), 3, "{at}");
        assert_eq!(code_version(&found, "p/c"), own, "{at}");
        assert_eq!(code_version(&found, "q/a"), upstream, "{at}");
        assert_eq!(found.project(), Some("p"));
        let external = found.get(&key("q/a")).expect("a feature").origin.to_string();
        assert_eq!(external, "project `q`, recorded in the store");
        let diff = GraphDiff::between(&found, &both("2"));
        assert_eq!(diff.changed.iter().any(|of| of.feature == key("q/a")), upstream != "1");
        // So a push of it pushes that project alone.
        let pushed = store.with_graph(found).push().dry_run(true).await.expect("a push");
        assert_eq!(pushed.projects.len(), 1, "{pushed}");
    }
}

async fn what_cannot_be_built_is_named(engine: &str) {
    let own = feature("p/c", "1", &["q/b"]);
    let store = open(engine, &graph([own, feature("q/b", "1", &[]).project("q")])).await;
    store.push().project("p").await.expect("a push");
    let error = store.pushed_graph("latest").await.expect_err("no upstream").to_string();
    assert!(
        error.contains(
            "`p/c` is computed from `q/b`, which was in no push at that time; push the \
                        project of `q/b`"
        ),
        "{error}"
    );
    assert!(error.contains("the graph of the project `p` as it was pushed at 2"), "{error}");
    // As soon as it is pushed, the push that is in force can be built.
    store.push().project("q").await.expect("a push");
    assert_eq!(store.pushed_graph("latest").project("p").await.expect("a graph").len(), 2);
}
