//! Versions of fields, features and projects: SHA-256 over the graph, in the wire format.
//!
//! What goes in is a graph in topological order, what comes out are texts. Each field is hashed
//! once, after its parents; a hash goes into the next one already truncated.

use crate::graph::FeatureGraph;
use crate::key::{FeatureKey, FieldKey};
use crate::pyjson;
use indexmap::IndexMap;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// The length to which a new store truncates hashes.
pub const DEFAULT_HASH_TRUNCATION_LENGTH: usize = 16;

/// The shortest length to which hashes may be truncated.
pub const MIN_HASH_TRUNCATION_LENGTH: usize = 8;

/// The version of a project without features.
const EMPTY_PROJECT: &str = "empty";

/// All versions of a graph, truncated to one length.
#[derive(Debug)]
pub struct GraphVersions {
    features: IndexMap<FeatureKey, FeatureVersions>,
    projects: BTreeMap<String, String>,
}

/// The versions of one feature.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FeatureVersions {
    /// Over the versions of all its fields; rows are stamped with it.
    pub feature_version: String,
    /// Over its own code versions alone, whatever happens upstream.
    pub feature_code_version: String,
    /// Over the spec, description and metadata included.
    pub spec_version: String,
    /// Over the spec and the schema.
    pub definition_version: String,
    /// Per field (by its name of today, in the order of declaration): over its code version and
    /// the versions of its parents.
    pub fields: IndexMap<FieldKey, String>,
}

impl GraphVersions {
    pub(crate) fn compute(graph: &FeatureGraph, length: usize) -> Self {
        let hash = Hash { length };
        let mut field_versions: Vec<Vec<String>> = Vec::with_capacity(graph.len());
        let mut features = IndexMap::with_capacity(graph.len());
        for (position, definition) in graph.iter().enumerate() {
            let spec = &definition.spec;
            let versions: Vec<String> = (spec.fields.iter().enumerate())
                .map(|(i, field)| {
                    let parents = graph.parent_positions(position, i);
                    let own =
                        [spec.key.as_str(), ".", field.wire_key().as_str(), &field.code_version];
                    let parents = parents.iter().map(|(up, i)| field_versions[*up][*i].as_str());
                    hash.of(own.into_iter().chain(parents))
                })
                .collect();

            // By text: the order of the keys themselves, by parts, is another one.
            let mut sorted: Vec<_> = spec.fields.iter().zip(&versions).collect();
            sorted.sort_by_key(|(field, _)| field.wire_key().as_str());
            let feature_version =
                hash.of(sorted.iter().flat_map(|(f, version)| [f.wire_key().as_str(), version]));
            let feature_code_version =
                hash.of(sorted.iter().flat_map(|(f, _)| [f.wire_key().as_str(), &f.code_version]));
            let spec_version = hash.of([graph.wire_spec_at(position).canonical_json().as_str()]);
            let schema = pyjson::canonical(&definition.schema);
            let definition_version = hash.of([spec_version.as_str(), schema.as_str()]);

            let fields = spec.fields.iter().map(|f| f.key.clone()).zip(versions.iter().cloned());
            features.insert(
                spec.key.clone(),
                FeatureVersions {
                    feature_version,
                    feature_code_version,
                    spec_version,
                    definition_version,
                    fields: fields.collect(),
                },
            );
            field_versions.push(versions);
        }

        let mut members: BTreeMap<&str, BTreeMap<&FeatureKey, &str>> = BTreeMap::new();
        for (definition, versions) in graph.iter().zip(features.values()) {
            let members = members.entry(&definition.project).or_default();
            members.insert(&definition.spec.key, &versions.definition_version);
        }
        let projects = members.into_iter().map(|(project, members)| {
            let parts = members.into_iter().flat_map(|(key, version)| [key.as_str(), version]);
            (project.to_owned(), hash.of(parts))
        });
        let projects = projects.collect();
        Self { features, projects }
    }

    /// The versions of a feature, if it is in the graph.
    #[must_use]
    pub fn feature(&self, key: &FeatureKey) -> Option<&FeatureVersions> {
        self.features.get(key)
    }

    /// All features in topological order.
    pub fn features(&self) -> impl ExactSizeIterator<Item = (&FeatureKey, &FeatureVersions)> {
        self.features.iter()
    }

    /// The version of a project; `empty` if the graph has no feature of it.
    #[must_use]
    pub fn project(&self, project: &str) -> &str {
        self.projects.get(project).map_or(EMPTY_PROJECT, String::as_str)
    }

    /// The projects of the graph and their versions, by name.
    pub fn projects(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.projects.iter().map(|(project, version)| (project.as_str(), version.as_str()))
    }
}

/// SHA-256 of texts put one after the other, as lower-case hex of at most `length` characters.
struct Hash {
    length: usize,
}

impl Hash {
    fn of<'a>(&self, parts: impl IntoIterator<Item = &'a str>) -> String {
        let mut hasher = Sha256::new();
        for part in parts {
            hasher.update(part.as_bytes());
        }
        let mut text = hex::encode(hasher.finalize());
        text.truncate(self.length);
        text
    }
}
