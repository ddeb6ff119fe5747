//! The JSON form of a spec, as the Python implementation writes it.
//!
//! Members come in the order of Python's models, since a recorded spec is stored unsorted; the
//! versions sort them. Reading is in `read`.

use super::{FeatureDep, FeatureSpec, FieldDep, FieldDeps, FieldSpec, FieldsMapping, Lineage};
use crate::key::FieldKey;
use crate::pyjson;
use serde_json::{Value, json};

/// In place of a list of fields: all of them.
pub(super) const ALL: &str = "__METAXY_ALL_DEP__";

impl FeatureSpec {
    /// The spec as Python's `model_dump(mode="json")` gives it.
    ///
    /// A field that was renamed appears under its first name, the one that stored rows carry.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "key": self.key.as_str(),
            "id_columns": self.id_columns,
            "deps": self.deps.iter().map(dep).collect::<Vec<_>>(),
            "fields": self.fields.iter().map(field).collect::<Vec<_>>(),
            "metadata": self.metadata,
            "description": self.description,
        })
    }

    /// The text that the spec version hashes: `json.dumps(spec, sort_keys=True)`.
    #[must_use]
    pub fn canonical_json(&self) -> String {
        pyjson::canonical(&self.to_json())
    }
}

fn dep(dep: &FeatureDep) -> Value {
    let rename = dep.rename.as_ref().map(|pairs| {
        let pairs = pairs.iter().map(|(from, to)| (from.clone(), Value::from(to.as_str())));
        Value::Object(pairs.collect())
    });
    json!({
        "feature": dep.feature.as_str(),
        "select": dep.select,
        "rename": rename,
        "fields_mapping": {"mapping": mapping(&dep.fields_mapping)},
        "sql_filters": dep.filters,
        "lineage": {"relationship": lineage(&dep.lineage)},
        "optional": dep.optional,
    })
}

fn mapping(mapping: &FieldsMapping) -> Value {
    match mapping {
        FieldsMapping::Default { match_suffix, exclude } => json!({
            "type": "default",
            "match_suffix": match_suffix,
            "exclude_fields": keys(exclude),
        }),
        FieldsMapping::Specific(fields) => {
            // The values are sets in Python: lists of parts, sorted, none twice.
            let fields = fields.iter().map(|(field, upstream)| {
                let mut upstream: Vec<_> = upstream.iter().collect();
                upstream.sort();
                upstream.dedup();
                let upstream = upstream.iter().map(|key| Value::from_iter(key.parts()));
                (field.to_string(), Value::from_iter(upstream))
            });
            json!({"type": "specific", "mapping": Value::Object(fields.collect())})
        }
        FieldsMapping::All => json!({"type": "all"}),
        FieldsMapping::None => json!({"type": "none"}),
    }
}

fn lineage(lineage: &Lineage) -> Value {
    match lineage {
        Lineage::Identity => json!({"type": "1:1"}),
        Lineage::Aggregation { on } => json!({"type": "N:1", "on": on}),
        Lineage::Expansion { on, id_generation_pattern } => json!({
            "type": "1:N",
            "on": on,
            "id_generation_pattern": id_generation_pattern,
        }),
    }
}

fn field(field: &FieldSpec) -> Value {
    let deps = match &field.deps {
        FieldDeps::Mapped => json!([]),
        FieldDeps::All => json!(ALL),
        FieldDeps::Fields(deps) => deps.iter().map(field_dep).collect(),
    };
    json!({
        "key": field.wire_key().as_str(),
        "code_version": field.code_version,
        "deps": deps,
    })
}

fn field_dep(dep: &FieldDep) -> Value {
    json!({
        "feature": dep.feature.as_str(),
        "fields": dep.fields.as_ref().map_or(json!(ALL), |fields| keys(fields)),
    })
}

fn keys(keys: &[FieldKey]) -> Value {
    keys.iter().map(FieldKey::as_str).collect()
}
