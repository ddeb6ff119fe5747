//! What is said of one record: its state and why, what happened to it, what belongs to it elsewhere.

use super::*;
use crate::Reason;
use crate::explain::{Explanation, State, name_of};
use ScalarType::{Int64, Text};

fn doc() -> FeatureBuilder {
    FeatureBuilder::new("doc").id("id", Text).column("topic", Text).field("text").field("image")
}

fn of_doc() -> DepBuilder {
    DepBuilder::new("doc").select::<&str>([])
}

/// Reads the text alone.
fn words() -> FeatureBuilder {
    let words = FieldBuilder::new("words").dep("doc", ["text"]);
    FeatureBuilder::new("words").id("id", Text).field(words).dep(of_doc())
}

fn topic() -> FeatureBuilder {
    let docs = DepBuilder::new("doc").aggregation(["topic"]);
    FeatureBuilder::new("topic").id("topic", Text).field("all").dep(docs)
}

fn page() -> FeatureBuilder {
    let dep = of_doc().expansion(["id"]);
    FeatureBuilder::new("page").id("id", Text).id("n", Int64).field("text").dep(dep)
}

fn row(id: &str, text: &str, image: &str) -> Value {
    json!({ "id": id, "topic": "cats", "text": text, "image": image })
}

async fn filled(engine: &dyn Engine, features: impl IntoIterator<Item = FeatureBuilder>) -> World {
    let world = world(engine, features).await;
    world.sync("doc", &[row("a", "t", "i"), row("b", "t", "i")]).await;
    world
}

impl World {
    async fn explain(&self, feature: &str, ids: &[(&str, &str)]) -> Explanation {
        self.store.explain(&key(feature), ids).await.expect("an explanation")
    }

    /// The state of the only record that is meant.
    async fn state(&self, feature: &str, ids: &[(&str, &str)]) -> State {
        let explanation = self.explain(feature, ids).await;
        assert_eq!(explanation.records.len(), 1, "{explanation:?}");
        explanation.records[0].state
    }
}

/// Each feature that is related, with its records and their states.
fn related(of: &[crate::explain::Related]) -> Vec<String> {
    let record = |r: &crate::explain::Explained| format!("{}: {}", name_of(&r.ids), r.state);
    let line = |related: &crate::explain::Related| {
        let mut records: Vec<String> = related.records.iter().map(record).collect();
        records.sort();
        format!("{} [{}]", related.feature, records.join("; "))
    };
    of.iter().map(line).collect()
}

pub(crate) async fn a_record_that_is_as_it_should_be(engine: &dyn Engine) {
    let world = filled(engine, [doc(), words()]).await;
    world.compute("words").await;
    let words = world.explain("words", &[("id", "a")]).await;
    assert_eq!(words.records.len(), 1);
    assert_eq!(
        (words.records[0].state, words.records[0].name().as_str()),
        (State::UpToDate, "id = a")
    );
    assert!(words.records[0].stale.is_empty() && words.records[0].cause.is_none());
    assert_eq!(world.state("doc", &[("id", "b")]).await, State::UpToDate);
    // Without ids all records are meant.
    assert_eq!(world.explain("words", &[]).await.records.len(), 2);
}

pub(crate) async fn a_stale_record_says_what_changed_upstream(engine: &dyn Engine) {
    let world = filled(engine, [doc(), words()]).await;
    world.compute("words").await;
    world.add("doc", &[row("a", "edited", "edited")]).await;
    let explanation = world.explain("words", &[("id", "a")]).await;
    let record = &explanation.records[0];
    assert_eq!(record.state, State::Stale);
    let stale = &record.stale[0];
    assert_eq!((stale.field.as_str(), &*stale.reasons), ("words", &[Reason::Upstream][..]));
    assert_ne!(stale.old.as_ref(), Some(&stale.new));
    // The image has changed as well, and nothing here reads it.
    assert_eq!(stale.changes.len(), 1);
    let change = &stale.changes[0];
    assert_eq!((change.feature.as_str(), change.field.as_str()), ("doc", "text"));
    assert_eq!(change.before.as_deref(), Some("t"));
    assert_eq!(change.after.as_deref(), Some("edited"));
    assert_eq!(name_of(&change.ids), "id = a");
    assert!(change.at > record.updated_at);
    assert!(change.feature_version.is_some());
    assert_eq!(world.state("words", &[("id", "b")]).await, State::UpToDate);
}

pub(crate) async fn a_stale_group_says_which_members(engine: &dyn Engine) {
    let world = filled(engine, [doc(), topic()]).await;
    world.compute("topic").await;
    world.add("doc", &[row("c", "t", "i"), row("b", "t", "edited")]).await;
    let explanation = world.explain("topic", &[("topic", "cats")]).await;
    let mut changes: Vec<_> = explanation.records[0].stale[0]
        .changes
        .iter()
        .map(|c| (name_of(&c.ids), c.field.as_str(), c.before.as_deref(), c.after.as_deref()))
        .collect();
    changes.sort();
    assert_eq!(
        changes,
        [
            ("id = b".to_owned(), "image", Some("i"), Some("edited")),
            ("id = c".to_owned(), "image", None, Some("i")),
            ("id = c".to_owned(), "text", None, Some("t")),
        ]
    );
}

pub(crate) async fn a_code_version(engine: &dyn Engine) {
    let world = filled(engine, [doc(), words()]).await;
    world.compute("words").await;
    let field = FieldBuilder::new("words").code_version("2").dep("doc", ["text"]);
    let edited = FeatureBuilder::new("words").id("id", Text).field(field).dep(of_doc());
    let world = world.under([doc(), edited]);
    let explanation = world.explain("words", &[("id", "a")]).await;
    let stale = &explanation.records[0].stale[0];
    assert_eq!((&*stale.reasons, stale.changes.len()), (&[Reason::Code][..], 0));
}

pub(crate) async fn new_orphaned_blocked_and_deleted(engine: &dyn Engine) {
    let seen = FeatureBuilder::new("seen").id("id", Text).field("seen");
    let seen = seen.dep(DepBuilder::new("words").select::<&str>([]));
    let world = filled(engine, [doc(), words(), seen]).await;
    assert_eq!(world.state("words", &[("id", "a")]).await, State::New);
    world.compute("words").await;
    world.compute("seen").await;
    world.delete("doc", &[json!({ "id": "a" })]).await;
    assert_eq!(world.state("doc", &[("id", "a")]).await, State::Deleted);
    let words_of_a = world.explain("words", &[("id", "a")]).await;
    assert_eq!(words_of_a.records[0].state, State::Orphaned);
    assert_eq!(words_of_a.records[0].cause.as_deref(), Some("gone"));

    let field = FieldBuilder::new("words").code_version("2").dep("doc", ["text"]);
    let edited = FeatureBuilder::new("words").id("id", Text).field(field).dep(of_doc());
    let seen = FeatureBuilder::new("seen").id("id", Text).field("seen");
    let seen = seen.dep(DepBuilder::new("words").select::<&str>([]));
    let world = world.under([doc(), edited, seen]);
    let seen = world.explain("seen", &[("id", "b")]).await;
    assert_eq!(seen.records[0].state, State::Blocked);
    assert_eq!(seen.records[0].cause.as_deref(), Some("words is stale"));
}

pub(crate) async fn a_timeline(engine: &dyn Engine) {
    let world = filled(engine, [doc()]).await;
    world.add("doc", &[row("a", "t", "edited")]).await;
    world.delete("doc", &[json!({ "id": "a" })]).await;
    world.add("doc", &[row("a", "t", "edited")]).await;
    let timeline = world.explain("doc", &[("id", "a")]).await.timeline;
    let short: Vec<_> = timeline.iter().map(|e| (e.is_deletion, e.changed.join(","))).collect();
    let expected = [(false, "image,text"), (false, "image"), (true, ""), (false, "")];
    assert_eq!(short, expected.map(|(is_deletion, changed)| (is_deletion, changed.to_owned())));
    assert!(timeline.is_sorted_by(|a, b| a.time < b.time));
    assert!(timeline.iter().all(|event| event.feature_version.is_some()));
}

pub(crate) async fn up_and_down_across_all_features(engine: &dyn Engine) {
    let seen = FeatureBuilder::new("seen").id("id", Text).field("seen");
    let seen = seen.dep(DepBuilder::new("words").select::<&str>([]));
    let world = filled(engine, [doc(), words(), topic(), seen]).await;
    world.compute("words").await;
    world.compute("topic").await;
    let doc = world.explain("doc", &[("id", "a")]).await;
    assert!(doc.upstream.is_empty());
    assert_eq!(
        related(&doc.downstream),
        ["words [id = a: up to date]", "seen [id = a: new]", "topic [topic = cats: up to date]"]
    );
    let seen = world.explain("seen", &[("id", "a")]).await;
    assert_eq!(related(&seen.upstream), ["words [id = a: up to date]", "doc [id = a: up to date]"]);
    let topic = world.explain("topic", &[("topic", "cats")]).await;
    assert_eq!(related(&topic.upstream), ["doc [id = a: up to date; id = b: up to date]"]);
}

pub(crate) async fn children_of_a_parent(engine: &dyn Engine) {
    let world = filled(engine, [doc(), page()]).await;
    let fresh = world.explain("page", &[("id", "a")]).await;
    assert_eq!((fresh.records[0].state, fresh.records[0].name().as_str()), (State::New, "id = a"));

    let parents: Vec<Value> = flow::increment(&world.store, "page").await;
    let parents: Vec<Value> = parents.into_iter().filter(|row| row["id"] == "a").collect();
    let child = |n: i64| {
        let mut child = parents[0].clone();
        child["n"] = json!(n);
        child
    };
    let mut out = world.store.batch_writer(&key("page"));
    out.push(&batch(&[child(1), child(2)])).await.expect("children");
    let mut sealed = parents[0].clone();
    sealed["metaxy_children"] = json!(2);
    out.seal(&batch(&[sealed])).await.expect("a seal");
    out.commit().await.expect("a commit");
    let pages = world.explain("page", &[("id", "a")]).await;
    let mut states: Vec<_> = pages.records.iter().map(|r| (r.name(), r.state)).collect();
    states.sort();
    let up_to_date = |n: i64| (format!("id = a, n = {n}"), State::UpToDate);
    assert_eq!(states, [up_to_date(1), up_to_date(2)]);
    assert_eq!(related(&pages.upstream), ["doc [id = a: up to date]"]);
    world.add("doc", &[row("a", "edited", "i")]).await;
    assert_eq!(world.state("page", &[("id", "a"), ("n", "2")]).await, State::Stale);
    let doc = world.explain("doc", &[("id", "a")]).await;
    assert_eq!(related(&doc.downstream), ["page [id = a, n = 1: stale; id = a, n = 2: stale]"]);
}

pub(crate) async fn names_and_values_that_need_quotes(engine: &dyn Engine) {
    let odd = FeatureBuilder::new("odd").id("the id", Text).field("x");
    let more = FeatureBuilder::new("more").id("the id", Text).field("x");
    let more = more.dep(DepBuilder::new("odd").select::<&str>([]));
    let world = world(engine, [odd, more]).await;
    let id = "it's \"the\" \u{1F980} \\ id";
    world
        .sync("odd", &[json!({ "the id": id, "x": "1" }), json!({ "the id": "1", "x": "1" })])
        .await;
    for id in [id, "1"] {
        let explanation = world.explain("more", &[("the id", id)]).await;
        assert_eq!(explanation.records[0].state, State::New, "{id}");
        assert_eq!(explanation.records[0].ids, [("the id".to_owned(), id.to_owned())]);
        assert_eq!(explanation.upstream[0].records.len(), 1);
    }
}

pub(crate) async fn ids_that_are_not_there(engine: &dyn Engine) {
    let filled = filled(engine, [doc(), words()]).await;
    filled.compute("words").await;
    assert!(filled.explain("words", &[("id", "nobody")]).await.records.is_empty());
    let error = filled.store.explain(&key("words"), &[("di", "a")]).await.expect_err("no such id");
    assert!(error.to_string().contains("`di`") && error.to_string().contains("`id`"), "{error}");

    let root = FeatureBuilder::new("number").id("n", Int64).field("x");
    let numbers = world(engine, [root]).await;
    numbers.sync("number", &[json!({ "n": 1, "x": "1" }), json!({ "n": 2, "x": "1" })]).await;
    assert_eq!(numbers.explain("number", &[("n", "1")]).await.records.len(), 1);
    // A value is a value, and no part of a condition.
    let both = numbers.store.explain(&key("number"), &[("n", "1 OR TRUE")]).await;
    let error = both.expect_err("no number").to_string();
    assert!(error.contains("'1 OR TRUE'"), "{error}");
}
