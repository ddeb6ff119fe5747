//! The JSON form of a spec, as the Python implementation writes it.
//!
//! Members come in the order of Python's models, since a recorded spec is stored unsorted; the
//! versions sort them. Reading is in `read`.

use super::{FeatureDep, FeatureSpec, FieldDep, FieldDeps, FieldSpec, FieldsMapping, Lineage};
use crate::key::FieldKey;
use crate::pyjson;
use serde_json::Value;

/// In place of a list of fields: all of them.
pub(super) const ALL: &str = "__METAXY_ALL_DEP__";

impl FeatureSpec {
    /// The spec as Python's `model_dump(mode="json")` gives it.
    ///
    /// A field that was renamed appears under its first name, the one that stored rows carry.
    #[must_use]
    pub fn to_json(&self) -> Value {
        object([
            ("key", self.key.as_str().into()),
            ("id_columns", texts(&self.id_columns)),
            ("deps", self.deps.iter().map(dep).collect()),
            ("fields", self.fields.iter().map(field).collect()),
            ("metadata", self.metadata.clone().into()),
            ("description", self.description.as_deref().into()),
        ])
    }

    /// The text that the spec version hashes: `json.dumps(spec, sort_keys=True)`.
    #[must_use]
    pub fn canonical_json(&self) -> String {
        pyjson::canonical(&self.to_json())
    }
}

fn dep(dep: &FeatureDep) -> Value {
    let rename = |pairs: &Vec<(String, String)>| {
        let pairs = pairs.iter().map(|(from, to)| (from.clone(), to.as_str().into()));
        Value::Object(pairs.collect())
    };
    object([
        ("feature", dep.feature.as_str().into()),
        ("select", dep.select.as_deref().map(texts).into()),
        ("rename", dep.rename.as_ref().map(rename).into()),
        ("fields_mapping", object([("mapping", mapping(&dep.fields_mapping))])),
        ("sql_filters", dep.filters.as_deref().map(texts).into()),
        ("lineage", object([("relationship", lineage(&dep.lineage))])),
        ("optional", dep.optional.into()),
    ])
}

fn mapping(mapping: &FieldsMapping) -> Value {
    match mapping {
        FieldsMapping::Default { match_suffix, exclude } => object([
            ("type", "default".into()),
            ("match_suffix", (*match_suffix).into()),
            ("exclude_fields", keys(exclude)),
        ]),
        FieldsMapping::Specific(fields) => {
            // The values are sets in Python: lists of parts, sorted, none twice.
            let fields = fields.iter().map(|(field, upstream)| {
                let mut upstream: Vec<_> = upstream.iter().collect();
                upstream.sort();
                upstream.dedup();
                let upstream = upstream.iter().map(|key| Value::from_iter(key.parts()));
                (field.to_string(), upstream.collect())
            });
            object([("type", "specific".into()), ("mapping", Value::Object(fields.collect()))])
        }
        FieldsMapping::All => object([("type", "all".into())]),
        FieldsMapping::None => object([("type", "none".into())]),
    }
}

fn lineage(lineage: &Lineage) -> Value {
    match lineage {
        Lineage::Identity => object([("type", "1:1".into())]),
        Lineage::Aggregation { on } => {
            object([("type", "N:1".into()), ("on", on.as_deref().map(texts).into())])
        }
        Lineage::Expansion { on, id_generation_pattern } => object([
            ("type", "1:N".into()),
            ("on", texts(on)),
            ("id_generation_pattern", id_generation_pattern.as_deref().into()),
        ]),
    }
}

fn field(field: &FieldSpec) -> Value {
    let deps = match &field.deps {
        FieldDeps::Mapped => Value::Array(Vec::new()),
        FieldDeps::All => ALL.into(),
        FieldDeps::Fields(deps) => deps.iter().map(field_dep).collect(),
    };
    object([
        ("key", field.wire_key().as_str().into()),
        ("code_version", field.code_version.as_str().into()),
        ("deps", deps),
    ])
}

fn field_dep(dep: &FieldDep) -> Value {
    let fields = dep.fields.as_deref().map_or_else(|| ALL.into(), keys);
    object([("feature", dep.feature.as_str().into()), ("fields", fields)])
}

/// `json!` would copy every value once more on each level.
fn object<const N: usize>(members: [(&str, Value); N]) -> Value {
    Value::Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

fn texts(texts: &[String]) -> Value {
    texts.iter().map(String::as_str).collect()
}

fn keys(keys: &[FieldKey]) -> Value {
    keys.iter().map(FieldKey::as_str).collect()
}
