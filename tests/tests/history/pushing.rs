//! What a push appends, and what the history of pushes says of it.

use super::{code_version, feature, graph, open, opening, several, texts};
use metaxy::history::{HistoryEntry, Pushed};
use metaxy::spec::{FeatureDefinition, Origin};
use metaxy::{Error, FeatureGraph, Store};
use metaxy_tests::flow::{self, key};
use metaxy_tests::on_every_engine;
use serde_json::json;

on_every_engine! {
    a_push_is_done_once,
    h19_the_latest_push_decides,
    h19_what_is_removed_is_not_there,
    a_dry_run_changes_nothing,
    tags_are_kept,
    pushes_at_once_take_turns,
    one_push_of_several_projects,
    what_changed_upstream_in_another_project_is_appended,
    a_push_makes_a_definition_known,
    other_ids_are_pushed_before_anything_is_written,
}

/// What a push says of the only project.
fn only(pushed: &Pushed) -> [Vec<&str>; 4] {
    assert_eq!(pushed.projects.len(), 1, "{pushed}");
    let of = &pushed.projects[0];
    [&of.added, &of.changed, &of.removed, &of.unchanged].map(|keys| texts(keys))
}

async fn push(store: &Store) -> Pushed {
    store.push().await.expect("a push")
}

async fn history(store: &Store) -> Vec<HistoryEntry> {
    store.history().await.expect("a history")
}

fn two() -> FeatureGraph {
    graph([feature("a", "1", &[]), feature("b", "1", &["a"])])
}

async fn a_push_is_done_once(engine: &str) {
    let store = open(engine, &two()).await;
    assert!(history(&store).await.is_empty());
    let first = push(&store).await;
    assert_eq!(only(&first), [vec!["a", "b"], vec![], vec![], vec![]]);
    assert_eq!(first.projects[0].before, None);
    let again = push(&store).await;
    assert!(again.is_unchanged() && again.time.is_none(), "{again}");
    assert_eq!(only(&again), [vec![], vec![], vec![], vec!["a", "b"]]);
    let after = &first.projects[0].after;
    assert_eq!(again.projects[0].before.as_ref(), Some(after));
    let history = history(&store).await;
    assert_eq!(history.len(), 1);
    assert_eq!((&history[0].version, Some(history[0].time)), (after, first.time));
    assert_eq!((history[0].n_features, texts(&history[0].added)), (2, vec!["a", "b"]));
}

async fn h19_the_latest_push_decides(engine: &str) {
    let a = graph([feature("a", "1", &[])]);
    let store = open(engine, &a).await;
    let first = push(&store).await;
    let b = store.with_graph(graph([feature("a", "2", &[])]));
    assert_eq!(only(&push(&b).await), [vec![], vec!["a"], vec![], vec![]]);
    assert_eq!(only(&push(&store).await), [vec![], vec!["a"], vec![], vec![]]);

    let history = history(&store).await;
    let versions: Vec<&str> = history.iter().map(|entry| entry.version.as_str()).collect();
    let version = first.projects[0].after.as_str();
    assert_eq!((history.len(), versions[0], versions[2]), (3, version, version));
    assert!(history.is_sorted_by(|a, b| a.time > b.time), "times of pushes increase: {history:?}");
    let latest = store.pushed_graph("latest").await.expect("a graph");
    assert_eq!(code_version(&latest, "a"), "1");
    assert!(push(&store).await.is_unchanged());
    assert_eq!(store.history().limit(2).await.expect("a history").len(), 2);
    assert!(store.history().project("q").await.expect("a history").is_empty());
}

async fn h19_what_is_removed_is_not_there(engine: &str) {
    let store = open(engine, &two()).await;
    push(&store).await;
    let one = store.with_graph(graph([feature("a", "1", &[])]));
    assert_eq!(only(&push(&one).await), [vec![], vec![], vec!["b"], vec!["a"]]);
    let latest = store.pushed_graph("latest").await.expect("a graph");
    assert_eq!(latest.len(), 1);
    let error = store.lock([key("b")]).await.expect_err("it is removed").to_string();
    assert!(error.contains("the feature `b` is not among the pushed ones"), "{error}");
    assert!(push(&one).await.is_unchanged());

    // It comes back.
    assert_eq!(only(&push(&store).await), [vec!["b"], vec![], vec![], vec!["a"]]);
    assert_eq!(store.pushed_graph("latest").await.expect("a graph").len(), 2);
    let history = history(&store).await;
    let changes = history.iter().map(|e| (texts(&e.added), texts(&e.changed), texts(&e.removed)));
    let expected = [
        (vec!["b"], vec![], vec![]),
        (vec![], vec![], vec!["b"]),
        (vec!["a", "b"], vec![], vec![]),
    ];
    assert_eq!(changes.collect::<Vec<_>>(), expected);
}

async fn a_dry_run_changes_nothing(engine: &str) {
    let store = open(engine, &two()).await;
    let would = store.push().dry_run(true).await.expect("a push");
    assert_eq!(only(&would), [vec!["a", "b"], vec![], vec![], vec![]]);
    assert!(would.dry_run && would.time.is_none());
    assert!(history(&store).await.is_empty());
    push(&store).await;
    let one = store.with_graph(graph([feature("a", "2", &[])]));
    let would = one.push().dry_run(true).await.expect("a push");
    assert_eq!(only(&would), [vec![], vec!["a"], vec!["b"], vec![]]);
    assert_eq!(history(&store).await.len(), 1);
}

async fn tags_are_kept(engine: &str) {
    let store = open(engine, &two()).await;
    let value = "a \"quoted\" é\\\n'text'";
    store.push().tag("git", "abc").tag("why", value).await.expect("a push");
    let history = history(&store).await;
    let tags = &history[0].tags;
    let version = format!(r#"{{"version": "{}"}}"#, env!("CARGO_PKG_VERSION"));
    assert_eq!((&*tags["git"], &*tags["why"], &*tags["metaxy"]), ("abc", value, &*version));
    for (tag, problem) in [("metaxy", "which implementation"), ("", "no name")] {
        let error = store.push().tag(tag, "x").await.expect_err("refused").to_string();
        assert!(error.contains(problem), "{error}");
    }
}

async fn pushes_at_once_take_turns(engine: &str) {
    // The same graph many times, by several stores.
    let stores = several(engine, &two(), 4).await;
    let tasks: Vec<_> = (0..12)
        .map(|i| {
            let store = stores[i % stores.len()].clone();
            tokio::spawn(async move { push(&store).await })
        })
        .collect();
    let mut n_appended = 0;
    for task in tasks {
        n_appended += usize::from(task.await.expect("a push").time.is_some());
    }
    assert_eq!(n_appended, 1, "one of them is the first");
    assert_eq!(history(&stores[0]).await.len(), 1);

    // Different graphs: each is a push of its own, with a time of its own.
    let tasks: Vec<_> = (0..8)
        .map(|i| {
            let graph = graph([feature("a", &format!("v{i}"), &[])]);
            let store = stores[i % stores.len()].with_graph(graph);
            tokio::spawn(async move { push(&store).await })
        })
        .collect();
    let mut pushes = Vec::new();
    for task in tasks {
        pushes.push(task.await.expect("a push"));
    }
    pushes.sort_by_key(|pushed| std::cmp::Reverse(pushed.time));
    let history = history(&stores[0]).await;
    assert_eq!(history.len(), 1 + 8);
    // Each says what it was made after.
    for (entry, pushed) in history.iter().zip(&pushes) {
        assert_eq!((Some(entry.time), &entry.version), (pushed.time, &pushed.projects[0].after));
    }
    for (entry, pushed) in history[1..].iter().zip(&pushes) {
        assert_eq!(Some(&entry.version), pushed.projects[0].before.as_ref());
    }
}

/// `q/b` is computed from `p/a`.
fn two_projects(code_version: &str) -> FeatureGraph {
    let b = feature("q/b", "1", &["p/a"]).project("q");
    graph([feature("p/a", code_version, &[]), b])
}

async fn one_push_of_several_projects(engine: &str) {
    let store = open(engine, &two_projects("1")).await;
    let error = store.push().await.expect_err("two projects").to_string();
    assert!(error.contains("there are several projects, `p`, `q`"), "{error}");
    let error = store.push().project("r").await.expect_err("no project").to_string();
    assert!(error.contains("no feature of the project `r`; it has those of `p`, `q`"), "{error}");

    let pushed = store.push().project("q").await.expect("a push");
    assert_eq!(only(&pushed), [vec!["q/b"], vec![], vec![], vec![]]);
    let pushed = store.push().all_projects(true).await.expect("a push");
    let of = |i: usize| (pushed.projects[i].project.as_str(), texts(&pushed.projects[i].added));
    assert_eq!([of(0), of(1)], [("p", vec!["p/a"]), ("q", vec![])]);
    let history = history(&store).await;
    let projects: Vec<&str> = history.iter().map(|entry| entry.project.as_str()).collect();
    assert_eq!(projects, ["p", "q"]);
}

/// The version of a project is made of its own definitions, that of a feature of all upstream.
async fn what_changed_upstream_in_another_project_is_appended(engine: &str) {
    let store = open(engine, &two_projects("1")).await;
    store.push().all_projects(true).await.expect("a push");
    let store = store.with_graph(two_projects("2"));
    let pushed = store.push().all_projects(true).await.expect("a push");
    let of = |i: usize| (texts(&pushed.projects[i].changed), pushed.projects[i].before.as_ref());
    assert_eq!(of(0).0, ["p/a"]);
    assert_eq!(of(1), (vec!["q/b"], Some(&pushed.projects[1].after)));
    let again = store.push().all_projects(true).await.expect("a push");
    assert!(again.is_unchanged() && again.time.is_none(), "{again}");
}

/// Rows that carry a version are judged by its definition, whoever wrote them.
async fn a_push_makes_a_definition_known(engine: &str) {
    let store = open(engine, &graph([feature("a", "1", &[])])).await;
    flow::write(&store, "a", &[json!({ "id": "1", "metaxy_provenance_by_field": { "x": "1" } })])
        .await
        .expect("a write");
    let a2 = store.with_graph(graph([feature("a", "2", &[])]));
    push(&a2).await;
    // A definition that is pushed and not written with is no definition of the row.
    assert!(flow::read(&a2, "a").await.is_empty());
    assert_eq!(flow::read(&store, "a").await.len(), 1);
    let error = a2.with_graph(other_ids()).push().await.expect_err("it has rows");
    assert!(matches!(error, Error::OtherIds { .. }), "{error}");
    assert_eq!(history(&store).await.len(), 1);
    assert_eq!(flow::read(&store, "a").await.len(), 1);
}

fn other_ids() -> FeatureGraph {
    graph([feature("a", "1", &[]).id("n", metaxy::ScalarType::Int64)])
}

async fn other_ids_are_pushed_before_anything_is_written(engine: &str) {
    let store = open(engine, &graph([feature("a", "1", &[])])).await;
    push(&store).await;
    let store = store.with_graph(other_ids());
    push(&store).await;
    let row = json!({ "id": "1", "n": 1, "metaxy_provenance_by_field": { "x": "1" } });
    flow::write(&store, "a", &[row]).await.expect("no row relies on the former ids");
    assert_eq!(flow::read(&store, "a").await.len(), 1);
}

/// A store that only reads, or may make no tables, says so.
#[tokio::test]
async fn what_may_not_be_written_is_not() {
    let graph = two();
    for engine in engines_with_tables() {
        let store = opening(engine, &graph).create_tables(false).await.expect("a store");
        let error = store.push().await.expect_err("it may make no table").to_string();
        assert!(error.contains("open it with `.create_tables(true)`"), "{error}");
        assert!(store.history().await.expect("a history").is_empty());
        let error = store.pushed_graph("latest").await.expect_err("nothing is there").to_string();
        assert!(error.contains("nothing was ever pushed to it"), "{error}");
    }
}

fn engines_with_tables() -> Vec<&'static str> {
    if cfg!(feature = "duckdb") { vec!["duckdb::memory:"] } else { Vec::new() }
}

/// A graph that is read back has the names that it was pushed with, which are not pushed again.
#[tokio::test]
async fn a_project_has_a_name_that_files_can_say() {
    let recorded = FeatureDefinition {
        project: "my__pkg".to_owned(),
        origin: Origin::Recorded,
        ..two().get(&key("a")).expect("a feature").clone()
    };
    let store = open("memory:", &FeatureGraph::build(vec![recorded]).expect("a graph")).await;
    let error = store.push().await.expect_err("it has another name").to_string();
    assert!(error.contains("`my__pkg` is not a project: `__` is reserved"), "{error}");
    assert!(error.contains("it is that of `a` (recorded in the store)"), "{error}");
    assert!(history(&store).await.is_empty());
}
