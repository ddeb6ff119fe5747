//! The vectors that the Python implementation, version 0.1.11, has produced: definitions and what
//! they hash to. The file is read here and compared by the tests.

use crate::spec::{FeatureDefinition, FeatureSpec, Origin};
use serde_json::{Map, Value, json};

/// The whole file.
///
/// # Panics
/// If the file is not what the tests expect.
#[must_use]
pub fn load() -> Value {
    serde_json::from_str(include_str!("golden/python-0.1.11.json")).expect("valid JSON")
}

/// The spec JSON of an entry of `features`, which holds the arguments of Python's constructors.
///
/// A `doc` is left out: it is part of the class and not of its spec.
#[must_use]
pub fn spec_json(short: &Value) -> Value {
    let deps = short["deps"].as_array().into_iter().flatten().map(dep);
    json!({
        "key": short["key"],
        "id_columns": short["id_columns"],
        "deps": deps.collect::<Vec<_>>(),
        "fields": short["fields"],
        "metadata": short["metadata"],
        "description": short["description"],
    })
}

fn dep(short: &Value) -> Value {
    let mut dep = short.as_object().cloned().unwrap_or_default();
    if let Some(mapping) = dep.remove("fields_mapping") {
        dep.insert("fields_mapping".to_owned(), json!({ "mapping": mapping }));
    }
    if let Some(mut lineage) = dep.remove("lineage") {
        lineage["type"] = match lineage["type"].as_str() {
            Some("aggregation") => "N:1".into(),
            Some("expansion") => "1:N".into(),
            _ => "1:1".into(),
        };
        dep.insert("lineage".to_owned(), json!({ "relationship": lineage }));
    }
    dep.into()
}

/// The definition that Python makes of an entry of `features`: a docstring becomes the description,
/// if there is no other.
///
/// # Panics
/// If the spec cannot be read.
#[must_use]
pub fn definition(short: &Value, index: usize) -> FeatureDefinition {
    let mut spec = FeatureSpec::from_json(&spec_json(short)).expect("a spec");
    let doc = short["doc"].as_str().map(clean_doc);
    spec.description = spec.description.or(doc);
    FeatureDefinition {
        spec,
        project: "golden".to_owned(),
        columns: None,
        schema: Map::new().into(),
        type_path: String::new(),
        origin: Origin::SpecFile { index },
    }
}

/// Python's `inspect.cleandoc`: all lines but the first lose the indentation that they share.
fn clean_doc(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let indent = |line: &&str| line.len() - line.trim_start().len();
    let rest = lines.iter().skip(1).filter(|line| !line.trim().is_empty());
    let shared = rest.map(indent).min().unwrap_or(0);
    let lines = lines.iter().enumerate().map(|(i, line)| match i {
        0 => line.trim_start(),
        _ => line.get(shared..).unwrap_or_default(),
    });
    lines.collect::<Vec<_>>().join("\n").trim_matches('\n').to_owned()
}
