//! Every graph of the golden file hashes to what Python made of it.

use metaxy::spec::{FeatureDefinition, FeatureSpec, Origin};
use metaxy::{FeatureGraph, FeatureKey, FieldKey};
use metaxy_tests::golden;
use serde_json::Value;

const PROJECT: &str = "golden";

fn entries() -> Vec<Value> {
    let golden = golden::load();
    let entries = golden["graph"].as_array().expect("a list of graphs");
    assert!(entries.len() >= 14, "the golden file has lost graphs");
    entries.clone()
}

/// The features of an entry as Python recorded them, schemas included.
fn definitions(entry: &Value) -> Vec<FeatureDefinition> {
    let features = entry["expected"].as_object().expect("features by key").values().enumerate();
    features
        .map(|(index, expected)| FeatureDefinition {
            spec: FeatureSpec::from_json_text(text(&expected["spec_json"])).expect("a spec"),
            project: PROJECT.to_owned(),
            columns: None,
            schema: serde_json::from_str(text(&expected["feature_schema_json"])).expect("a schema"),
            type_path: String::new(),
            origin: Origin::SpecFile { index },
        })
        .collect()
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

fn texts(value: &Value) -> Vec<&str> {
    value.as_array().expect("a list").iter().map(text).collect()
}

fn length(entry: &Value) -> usize {
    entry["hash_truncation_length"].as_u64().expect("a length").try_into().expect("a small one")
}

#[test]
fn versions_parents_and_names() {
    for entry in entries() {
        let name = text(&entry["name"]);
        let graph = FeatureGraph::build(definitions(&entry)).expect(name);
        let versions = graph.versions(length(&entry));
        for (key, expected) in entry["expected"].as_object().expect("features by key") {
            let key = FeatureKey::new(key).expect("a key");
            let actual = versions.feature(&key).expect("versions of the feature");
            let field_versions = expected["field_versions"].as_object().expect("an object");
            assert_eq!(actual.fields.len(), field_versions.len(), "{name}: {key}");
            for (field, version) in field_versions {
                let field = FieldKey::new(field).expect("a key");
                assert_eq!(actual.fields[&field], text(version), "{name}: {key}.{field}");
                let parents: Vec<_> = graph
                    .parents(&key, &field)
                    .iter()
                    .map(metaxy::graph::ParentField::label)
                    .collect();
                let expected = texts(&expected["parent_fields"][field.as_str()]);
                assert_eq!(parents, expected, "{name}: parents of {key}.{field}");
            }
            for (version, member) in [
                (&actual.feature_version, "feature_version"),
                (&actual.feature_code_version, "feature_code_version"),
                (&actual.spec_version, "feature_spec_version_of_definition"),
                (&actual.definition_version, "feature_definition_version"),
                (&key.table_name(), "table_name"),
            ] {
                assert_eq!(version, text(&expected[member]), "{name}: {member} of {key}");
            }
        }
        let projects: Vec<_> = versions.projects().collect();
        let expected = entry["project_versions"].as_object().expect("an object");
        let expected: Vec<_> = expected.iter().map(|(p, v)| (p.as_str(), text(v))).collect();
        assert_eq!(projects, expected, "{name}");
        assert_eq!(graph.project(), Some(PROJECT), "{name}");
        let order: Vec<_> = graph.keys().map(FeatureKey::as_str).collect();
        assert_eq!(order, texts(&entry["topological_order"]), "{name}");
    }
}

#[test]
fn the_constructors_give_the_same_specs() {
    for entry in entries() {
        let name = text(&entry["name"]);
        for (index, short) in entry["features"].as_array().expect("a list").iter().enumerate() {
            let definition = golden::definition(short, index);
            let expected = &entry["expected"][definition.spec.key.as_str()];
            assert_eq!(definition.spec.canonical_json(), text(&expected["spec_json"]), "{name}");
        }
    }
}

/// A docstring is part of the definition's spec and not of the class's own.
#[test]
fn spec_versions_of_classes() {
    for entry in entries() {
        let name = text(&entry["name"]);
        let shorts = entry["features"].as_array().expect("a list").iter().enumerate();
        let without_doc = shorts.map(|(index, short)| {
            let mut short = short.clone();
            short["doc"] = Value::Null;
            golden::definition(&short, index)
        });
        let graph = FeatureGraph::build(without_doc.collect()).expect(name);
        for (key, versions) in graph.versions(length(&entry)).features() {
            let expected = &entry["expected"][key.as_str()]["feature_spec_version_of_class_spec"];
            assert_eq!(versions.spec_version, text(expected), "{name}: {key}");
        }
    }
}

/// The features with which records were recorded are accepted as well.
#[test]
fn graphs_of_record_scenarios_are_valid() {
    let golden = golden::load();
    for scenario in golden["records"].as_array().expect("a list of scenarios") {
        let shorts = scenario["features"].as_array().expect("a list").iter().enumerate();
        let definitions = shorts.map(|(index, short)| golden::definition(short, index));
        FeatureGraph::build(definitions.collect())
            .unwrap_or_else(|errors| panic!("{}: {errors}", text(&scenario["name"])));
    }
}

/// A spec is recorded with its members in Python's order.
#[test]
fn recorded_specs_are_written_as_they_were() {
    let golden = golden::load();
    for (mode, storage) in golden["duckdb_storage"].as_object().expect("modes") {
        for row in storage["feature_versions_rows"].as_array().expect("rows") {
            let recorded = text(&row["feature_spec"]);
            let spec = FeatureSpec::from_json_text(recorded).expect(mode);
            assert_eq!(metaxy::pyjson::in_order(&spec.to_json()), recorded, "{mode}");
        }
    }
}
