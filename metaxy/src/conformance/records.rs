//! The record scenarios of the golden file, replayed on every engine step by step: what Python 0.1.11
//! gave is what we give, record by record, down to the provenance of every field.
//!
//! A scenario passes; or it differs on purpose, and is listed in [`DIFFERS`] with our answer. A list
//! that has become wrong in either direction fails.

use crate::conformance::batch::{batch, collect, rows, sorted};
use crate::conformance::{Engine, golden};
use crate::spec::FeatureDefinition;
use crate::store::{Settings, Update};
use crate::{Error, FeatureGraph, FeatureKey, HashAlgorithm, Store};
use futures::TryStreamExt;
use serde_json::{Value, json};

/// Turns Python's answers to the steps of a scenario into ours.
type Ours = fn(&mut [Value], HashAlgorithm);

/// Scenarios whose answers differ on purpose, with what turns Python's answers into ours.
const DIFFERS: [(&str, Ours); 13] = [
    ("root_then_simple_child", h06_stale_when_it_is_stored),
    ("root_resolve_update_diff", no_samples_no_diff),
    ("null_required_upstream_version", null_versions_are_refused),
    ("multi_id_join_on_intersection", h04_compared_on_all_ids),
    ("code_version_bump", h06_stale_and_not_new),
    ("null_id_values", h03_null_ids_are_refused),
    ("temp_column_collision", h11_every_parent_is_hashed),
    ("aggregation_on", h08_one_row_per_group),
    ("aggregation_default_on_id_columns", h08_one_row_per_group),
    ("aggregation_null_upstream_version", null_versions_of_members_are_refused),
    ("aggregation_null_id", h03_null_ids_of_members_are_refused),
    ("expansion", h01_the_seal_of_a_parent_is_orphaned),
    ("filters_and_predicates", h16_filters_of_a_call_select),
];

/// What is stored and computed again without a comparison is stale, not new; and there are the orphans
/// that the step before has found.
fn h06_stale_when_it_is_stored(outputs: &mut [Value], _: HashAlgorithm) {
    let records = outputs[7]["new"].as_array_mut().expect("Python's answer");
    let (new, stale) = std::mem::take(records).into_iter().partition(|row| row["id"] == "4");
    (outputs[7]["new"], outputs[7]["stale"]) = (Value::Array(new), Value::Array(stale));
    assert_eq!(outputs[7]["orphaned"], json!([]), "Python's answer");
    outputs[7]["orphaned"] = outputs[6]["orphaned"].clone();
}

/// What is orphaned is the parent, by its seal; data versions are the children's, each has its own.
fn h01_the_seal_of_a_parent_is_orphaned(outputs: &mut [Value], _: HashAlgorithm) {
    let orphan = &mut outputs[6]["orphaned"][0];
    assert_eq!(orphan["metaxy_data_version"], orphan["metaxy_provenance"], "Python's answer");
    orphan["metaxy_data_version_by_field"] = json!({});
    orphan["metaxy_data_version"] = Value::Null;
}

/// What a call's filter hides is neither new nor orphaned.
fn h16_filters_of_a_call_select(outputs: &mut [Value], _: HashAlgorithm) {
    let n = |rows: &Value| rows.as_array().map(Vec::len);
    assert_eq!(n(&outputs[4]["new"]), Some(2), "Python's answer");
    outputs[4]["new"] = json!([]);
    assert_eq!(n(&outputs[5]["orphaned"]), Some(2), "Python's answer");
    outputs[5]["orphaned"] = json!([]);
}

/// Python raises as well, with another text.
fn no_samples_no_diff(outputs: &mut [Value], _: HashAlgorithm) {
    assert_eq!(outputs[2]["error"], "ValueError");
    outputs[2] = json!({
        "error": "`a/root` has no upstream that it could be compared with; `store.sync(samples)` \
                  compares samples with what is stored"
    });
}

/// A version that is missing where it is given is not found out downstream: nothing of the write is
/// in the store.
fn null_versions_are_refused(outputs: &mut [Value], _: HashAlgorithm) {
    outputs[0] = json!({
        "error": "cannot write `a/root`: row 0 (id = 1) has no data version for field `x`"
    });
    outputs[1] = json!({ "new": [], "stale": [], "orphaned": [] });
}

fn h03_null_ids_are_refused(outputs: &mut [Value], _: HashAlgorithm) {
    let nothing = json!({ "new": [], "stale": [], "orphaned": [] });
    outputs[0] = json!({
        "error": "cannot write `a/root`: 1 rows have NULL in the id column `id`, the first of them \
                  row 0; a record needs a value there"
    });
    outputs[1] = nothing.clone();
    outputs[2] = nothing;
}

/// A group is one record, and what comes along is what names it.
fn h08_one_row_per_group(outputs: &mut [Value], _: HashAlgorithm) {
    let mut n_reduced = 0;
    for output in outputs.iter_mut().skip(1).filter(|output| output.is_object()) {
        for class in ["new", "stale", "orphaned"] {
            let Some(rows) = output[class].as_array_mut() else { continue };
            for row in rows.iter_mut() {
                let members = row.as_object_mut().expect("an object");
                members.retain(|name, _| name == "sensor" || VERSIONS.contains(&name.as_str()));
            }
            let n_rows = rows.len();
            rows.dedup();
            n_reduced += n_rows - rows.len();
        }
    }
    assert!(n_reduced > 0, "Python gives a row for each member");
}

fn null_versions_of_members_are_refused(outputs: &mut [Value], _: HashAlgorithm) {
    outputs[0] = json!({
        "error": "cannot write `s/read`: row 1 (sensor = a, n = 2) has no data version for field `v`"
    });
    outputs[1] = json!({ "new": [], "stale": [], "orphaned": [] });
}

fn h03_null_ids_of_members_are_refused(outputs: &mut [Value], _: HashAlgorithm) {
    outputs[0] = json!({
        "error": "cannot write `s/read`: 1 rows have NULL in the id column `n`, the first of them \
                  row 1; a record needs a value there"
    });
    outputs[1] = json!({ "new": [], "stale": [], "orphaned": [] });
}

/// Nothing is stale that was just written, and the scene that was deleted is orphaned.
fn h04_compared_on_all_ids(outputs: &mut [Value], _: HashAlgorithm) {
    assert_eq!(outputs[3]["stale"].as_array().map(Vec::len), Some(2), "Python's answer");
    outputs[3]["stale"] = json!([]);
    let scene_b = outputs[2]["new"][1].clone();
    assert_eq!(scene_b["scene"], "b");
    outputs[5]["stale"] = json!([]);
    outputs[5]["orphaned"] = json!([scene_b]);
    // The version that wrote it, which Python gives with every orphan.
    outputs[5]["orphaned"][0]["metaxy_feature_version"] = json!("84744061");
}

/// What has to be computed again after a bump is stale, not new.
fn h06_stale_and_not_new(outputs: &mut [Value], _: HashAlgorithm) {
    let records = outputs[4]["new"].take();
    assert_eq!(records.as_array().map(Vec::len), Some(3), "Python's answer");
    outputs[4]["new"] = json!([]);
    outputs[4]["stale"] = records;
}

/// Python hashes `a_b.c` for `a.b_c` as well; these are the hashes of
/// `w|__metaxy_initial__|a.b_c|FROM_A|a_b.c|FROM_AB` and of that hash.
fn h11_every_parent_is_hashed(outputs: &mut [Value], algorithm: HashAlgorithm) {
    let (field, record) = match algorithm {
        HashAlgorithm::XxHash32 => ("42136340", "41195424"),
        HashAlgorithm::Md5 => ("45b70a54", "16d56ed8"),
        other => panic!("the golden file has no answer for {other}"),
    };
    let row = &mut outputs[2]["new"][0];
    for column in ["metaxy_provenance_by_field", "metaxy_data_version_by_field"] {
        assert_ne!(row[column]["w"], field, "Python's answer");
        row[column]["w"] = json!(field);
    }
    for column in ["metaxy_provenance", "metaxy_data_version"] {
        row[column] = json!(record);
    }
}

/// What every answer holds of a record, apart from ids and columns.
const VERSIONS: [&str; 4] = [
    "metaxy_provenance_by_field",
    "metaxy_provenance",
    "metaxy_data_version_by_field",
    "metaxy_data_version",
];

/// A scenario while it is replayed.
struct Replay<'a> {
    engine: &'a dyn Engine,
    shorts: Vec<Value>,
    settings: (HashAlgorithm, usize),
    store: Store,
}

fn definitions(shorts: &[Value]) -> Vec<FeatureDefinition> {
    shorts.iter().enumerate().map(|(index, short)| golden::definition(short, index)).collect()
}

async fn empty_store(
    engine: &dyn Engine,
    settings: (HashAlgorithm, usize),
    graph: FeatureGraph,
) -> Store {
    let (hash_algorithm, hash_truncation_length) = settings;
    let settings = Settings { hash_algorithm, hash_truncation_length };
    engine.open(graph, settings).await.expect("a store")
}

impl<'a> Replay<'a> {
    async fn new(engine: &'a dyn Engine, scenario: &Value, algorithm: HashAlgorithm) -> Self {
        let shorts = scenario["features"].as_array().expect("features").clone();
        let graph = FeatureGraph::build(definitions(&shorts)).expect("a graph");
        let length = scenario["hash_truncation_length"].as_u64().expect("a length");
        let settings = (algorithm, usize::try_from(length).expect("a small length"));
        let store = empty_store(engine, settings, graph).await;
        Self { engine, shorts, settings, store }
    }

    /// What a step gives, in the form of the golden file; an error of ours is an answer too.
    async fn step(&mut self, step: &Value) -> Value {
        let result = match step["op"].as_str() {
            Some("resolve_update") if step["samples"].is_array() => self.sync(step).await,
            Some("resolve_update") => self.resolve(step).await,
            Some("write") => self.write(step).await,
            Some("read") => self.read(step).await,
            Some("delete") => self.delete(step).await,
            Some("redefine") => self.redefine(step),
            other => panic!("an unknown step {other:?}"),
        };
        result.unwrap_or_else(|error| json!({ "error": error.to_string() }))
    }

    fn key(&self, step: &Value) -> FeatureKey {
        FeatureKey::new(step["feature"].as_str().expect("a feature")).expect("a key")
    }

    fn ids(&self, key: &FeatureKey) -> Vec<&str> {
        let definition = self.store.graph().get(key).expect("a feature");
        definition.spec.id_columns.iter().map(String::as_str).collect()
    }

    /// The class of each sample is found out one by one, its versions by writing it elsewhere.
    async fn sync(&self, step: &Value) -> Result<Value, Error> {
        let key = self.key(step);
        let ids = self.ids(&key);
        let samples = step["samples"].as_array().expect("a list of rows");
        let scratch = empty_store(self.engine, self.settings, self.store.graph().clone()).await;
        scratch.sync_of(&key, batch(samples)).await?;
        let written = self.read_rows(&scratch, &key, false).await?;
        let stored = match self.read_rows(&self.store, &key, false).await {
            Err(Error::NoTable { .. }) => Vec::new(),
            stored => stored?,
        };

        let is = |row: &Value, sample: &Value| ids.iter().all(|id| row[*id] == sample[*id]);
        let (mut new, mut stale) = (Vec::new(), Vec::new());
        for sample in samples {
            let one = batch(std::slice::from_ref(sample));
            let report = self.store.sync_of(&key, one).partial(true).dry_run(true).await?;
            let mut row = written.iter().find(|row| is(row, sample)).expect("a sample").clone();
            row.as_object_mut().expect("an object").remove("metaxy_feature_version");
            match (report.counts.new, report.counts.stale) {
                (1, 0) => new.push(row),
                (0, 1) => stale.push(row),
                (0, 0) => {}
                counts => panic!("one sample cannot be {counts:?}"),
            }
        }
        let lost = stored.iter().filter(|row| !samples.iter().any(|sample| is(row, sample)));
        let orphaned: Vec<Value> = lost.cloned().collect();

        let report = self.store.sync_of(&key, batch(samples));
        let report = report.dry_run(step["then_write"].is_null()).await?;
        let counts = (report.counts.new, report.counts.stale, report.counts.orphaned);
        assert_eq!(counts, (new.len() as u64, stale.len() as u64, orphaned.len() as u64));
        Ok(json!({ "new": sorted(new), "stale": sorted(stale), "orphaned": sorted(orphaned) }))
    }

    async fn resolve(&self, step: &Value) -> Result<Value, Error> {
        let key = self.key(step);
        let ids = self.ids(&key);
        let mut update = self.store.update_of(&key);
        for (upstream, filters) in step["filters"].as_object().into_iter().flatten() {
            let upstream = FeatureKey::new(upstream).expect("a key");
            for condition in conditions(filters) {
                update = update.filter(&upstream, condition);
            }
        }
        let update = conditions(&step["global_filters"]).fold(update, Update::global_filter);
        let update = conditions(&step["target_filters"]).fold(update, Update::target_filter);
        let update = conditions(&step["staleness_predicates"]).fold(update, Update::stale_if);
        let increment = update.skip_comparison(step["skip_comparison"] == json!(true)).await?;
        let counts = increment.counts();
        let all = collect(increment.batches()).await;
        assert!(all.iter().all(|row| row.get("metaxy_deleted_at").is_none()), "H10");
        let of_class = |class: &str| {
            let rows = all.iter().filter(|row| row["metaxy_status"] == class);
            let told = ["metaxy_status", "metaxy_stale_fields", "metaxy_cause"];
            let stored = ["metaxy_stored_provenance_by_field", "metaxy_stored_feature_version"];
            let rows = rows.cloned().map(|mut row| {
                let members = row.as_object_mut().expect("an object");
                let version = members.get("metaxy_stored_feature_version").cloned();
                for name in told.into_iter().chain(stored) {
                    members.remove(name).expect("a column of an increment");
                }
                members.remove("metaxy_try");
                if class == "orphaned" {
                    members.retain(|name, _| {
                        ids.contains(&name.as_str()) || VERSIONS.contains(&name.as_str())
                    });
                    members.insert("metaxy_feature_version".to_owned(), version.into());
                }
                row
            });
            sorted(rows.map(in_order).collect())
        };
        let (new, stale, orphaned) = (of_class("new"), of_class("stale"), of_class("orphaned"));
        let found = (new.len() as u64, stale.len() as u64, orphaned.len() as u64);
        assert_eq!(found, (counts.new, counts.stale, counts.orphaned));
        assert_eq!((counts.blocked, counts.waiting), (0, 0), "no scenario has such records");

        if !step["then_write"].is_null() {
            self.compute(&key, &step["explode"]).await?;
        }
        Ok(json!({ "new": new, "stale": stale, "orphaned": orphaned }))
    }

    /// Writes what a feature lacks, as if it had been computed. Of an expansion, a parent has a child for
    /// each value of a column.
    async fn compute(&self, key: &FeatureKey, explode: &Value) -> Result<(), Error> {
        let mut batches = self.store.resolve_update_of(key).await?.to_compute();
        let mut out = self.store.batch_writer(key);
        while let Some(parents) = batches.try_next().await? {
            let Some(column) = explode[0].as_str() else {
                out.push(&parents).await?;
                continue;
            };
            let values = explode[1].as_array().expect("a list of values");
            let with = |name: &str, value: &Value| {
                let mut rows = rows(std::slice::from_ref(&parents));
                rows.iter_mut().for_each(|row| row[name] = value.clone());
                batch(&rows)
            };
            for value in values {
                out.push(&with(column, value)).await?;
            }
            out.seal(&with("metaxy_children", &json!(values.len()))).await?;
        }
        out.commit().await?;
        Ok(())
    }

    async fn write(&self, step: &Value) -> Result<Value, Error> {
        let mut out = self.store.batch_writer(&self.key(step));
        out.push(&batch(step["rows"].as_array().expect("a list of rows"))).await?;
        out.commit().await?;
        Ok(Value::Null)
    }

    async fn read(&self, step: &Value) -> Result<Value, Error> {
        let key = self.key(step);
        let of_all_versions = step["with_feature_history"] == json!(true);
        let read = self.store.read_of(&key).other_versions(of_all_versions);
        let read = read.history(step["with_sample_history"] == json!(true));
        Ok(json!({ "rows": self.plain(&key, collect(read.batches().await?).await) }))
    }

    async fn read_rows(
        &self,
        store: &Store,
        key: &FeatureKey,
        other_versions: bool,
    ) -> Result<Vec<Value>, Error> {
        let read = store.read_of(key).other_versions(other_versions).batches().await?;
        Ok(self.plain(key, collect(read).await))
    }

    /// Rows without what differs with the time or the program.
    fn plain(&self, key: &FeatureKey, rows: Vec<Value>) -> Vec<Value> {
        let definition = self.store.graph().get(key).expect("a feature");
        let versions = self.store.graph().versions(self.settings.1);
        let rows = rows.into_iter().map(|mut row| {
            let members = row.as_object_mut().expect("an object");
            let project = members.remove("metaxy_project_version");
            if members["metaxy_feature_version"]
                == json!(versions.feature(key).expect("versions").feature_version)
            {
                assert_eq!(project, Some(json!(versions.project(&definition.project))));
            }
            for name in
                ["created_at", "updated_at", "deleted_at", "materialization_id", "write_token"]
            {
                members.remove(&format!("metaxy_{name}")).expect("a system column");
            }
            members.remove("metaxy_try");
            in_order(row)
        });
        sorted(rows.collect())
    }

    async fn delete(&self, step: &Value) -> Result<Value, Error> {
        let key = self.key(step);
        let [condition] = &conditions(&step["filters"]).collect::<Vec<_>>()[..] else {
            panic!("one filter")
        };
        let read = self.store.read_of(&key).filter(condition).batches().await?;
        let n_rows = collect(read).await.len() as u64;
        let deletion = self.store.delete_where_of(&key, condition);
        let report = deletion.hard(step["soft"] != json!(true)).await?;
        assert_eq!(report.records(), n_rows);
        Ok(Value::Null)
    }

    fn redefine(&mut self, step: &Value) -> Result<Value, Error> {
        for (key, short) in step["replace"].as_object().expect("features by key") {
            let place = self.shorts.iter().position(|old| old["key"] == json!(key));
            self.shorts[place.expect("a feature")] = short.clone();
        }
        let graph = FeatureGraph::build(definitions(&self.shorts))?;
        self.store = self.store.with_graph(graph);
        Ok(Value::Null)
    }
}

/// Filters of the golden file, `[op, column, value]`, in the language of ours.
fn conditions(filters: &Value) -> impl Iterator<Item = String> {
    let text = |value: &Value| value.to_string().replace('"', "'");
    filters.as_array().into_iter().flatten().map(move |filter| {
        let column = filter[1].as_str().expect("a column");
        match (filter[0].as_str(), filter[2].as_array()) {
            (Some("eq"), None) => format!("{column} = {}", text(&filter[2])),
            (Some("in"), Some(values)) => {
                let values: Vec<String> = values.iter().map(text).collect();
                format!("{column} IN ({})", values.join(", "))
            }
            _ => panic!("an unknown filter {filter}"),
        }
    })
}

/// An object with its members in one order.
fn in_order(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.into_iter().collect();
            members.sort_by(|(a, _), (b, _)| a.cmp(b));
            members.into_iter().map(|(name, value)| (name, in_order(value))).collect()
        }
        Value::Array(items) => items.into_iter().map(in_order).collect(),
        other => other,
    }
}

/// Python's answer, without what depends on its classes or its engine.
///
/// We look up nothing about an orphan of a feature with upstreams but ids and versions.
fn expected(output: &Value, short: &Value) -> Value {
    let mut output = output.clone();
    let Some(members) = output.as_object_mut() else { return output };
    members.remove("new_columns");
    let is_root = short["deps"].is_null();
    let is_id = |name: &String| {
        short["id_columns"].as_array().is_some_and(|ids| ids.iter().any(|id| id == name))
    };
    for (class, rows) in members.iter_mut() {
        let Some(rows) = rows.as_array_mut() else { continue };
        for row in rows.iter_mut() {
            let members = row.as_object_mut().expect("an object");
            members.remove("metaxy_project_version");
            if class == "orphaned" && !is_root {
                members.retain(|name, _| {
                    is_id(name)
                        || VERSIONS.contains(&name.as_str())
                        || name == "metaxy_feature_version"
                });
            }
            *row = in_order(row.take());
        }
        *rows = sorted(std::mem::take(rows));
    }
    output
}

fn algorithm(name: &str) -> HashAlgorithm {
    HashAlgorithm::ALL.into_iter().find(|known| known.name() == name).expect("an algorithm")
}

fn scenarios() -> Vec<Value> {
    let golden = golden::load();
    let scenarios = golden["records"].as_array().expect("a list of scenarios");
    assert!(scenarios.len() >= 19, "the golden file has lost scenarios");
    scenarios.clone()
}

fn name(scenario: &Value) -> &str {
    scenario["name"].as_str().expect("a name")
}

/// Replays a scenario with one algorithm; differences fail.
async fn replay(engine: &dyn Engine, scenario: &Value, algorithm_name: &str) {
    let algorithm = algorithm(algorithm_name);
    // Where Python's engines disagree, there is an answer of each.
    let outputs = &scenario["outputs"][algorithm_name];
    let outputs = outputs.as_array().or_else(|| outputs["duckdb"].as_array());
    let mut outputs = outputs.expect("outputs").clone();
    if let Some((_, ours)) = DIFFERS.iter().find(|(differs, _)| *differs == name(scenario)) {
        ours(&mut outputs, algorithm);
    }
    let mut replay = Replay::new(engine, scenario, algorithm).await;
    for (n, step) in scenario["steps"].as_array().expect("steps").iter().enumerate() {
        let ours = replay.step(step).await;
        let short = replay.shorts.iter().find(|short| short["key"] == step["feature"]);
        let expected = expected(&outputs[n], short.unwrap_or(&Value::Null));
        assert!(
            in_order(ours.clone()) == in_order(expected.clone()),
            "{} with {algorithm}, step {n}: {step}\nours:   {ours:#}\nPython: {expected:#}",
            name(scenario)
        );
    }
}

pub(crate) async fn every_scenario_gives_pythons_answers(engine: &dyn Engine) {
    let scenarios = scenarios();
    for (listed, _) in DIFFERS {
        assert!(scenarios.iter().any(|s| name(s) == listed), "there is no scenario `{listed}`");
    }
    let mut n_replayed = 0;
    for scenario in &scenarios {
        for algorithm in scenario["outputs"].as_object().expect("outputs by algorithm").keys() {
            n_replayed += 1;
            if engine.hashes(self::algorithm(algorithm)) {
                replay(engine, scenario, algorithm).await;
            }
        }
    }
    assert!(n_replayed >= 74, "only {n_replayed} replays");
}

/// Each input goes through the function of the engine that every provenance goes through: the hash
/// over a record is the hash of its values, joined by `|`.
pub(crate) async fn hash_primitives_go_through_the_engine(engine: &dyn Engine) {
    let golden = golden::load();
    let vectors = golden["hash_primitives"].as_array().expect("vectors");
    assert!(vectors.len() >= 6, "the golden file has lost vectors");
    for algorithm in HashAlgorithm::ALL.into_iter().filter(|known| engine.hashes(*known)) {
        for vector in vectors {
            let input = vector["input"].as_str().expect("a text");
            // A feature without fields hashes the empty text, which is no version.
            let values: Vec<&str> = input.split('|').filter(|value| !value.is_empty()).collect();
            let fields: Vec<String> = (0..values.len()).map(|i| format!("f{i:02}")).collect();
            let short = json!({ "key": "root", "id_columns": ["id"], "fields": fields });
            let graph = FeatureGraph::build(definitions(&[short])).expect("a graph");
            let key = FeatureKey::new("root").expect("a key");
            let store = empty_store(engine, (algorithm, 64), graph).await;
            let versions: Value =
                fields.iter().cloned().zip(values.iter().map(|value| json!(value))).collect();
            let row = json!({ "id": 1, "metaxy_provenance_by_field": versions });
            store.sync_of(&key, batch(&[row])).await.expect("a sync");
            let read = collect(store.read_of(&key).batches().await.expect("a read")).await;
            let expected = &vector[algorithm.name()];
            assert!(expected.is_string(), "the golden file has no {algorithm}");
            assert_eq!(read[0]["metaxy_provenance"], *expected, "{algorithm} of {input:?}");
            assert_eq!(read[0]["metaxy_data_version"], *expected, "{algorithm} of {input:?}");
        }
    }
}
