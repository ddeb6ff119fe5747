//! Versions of fields, features and projects: SHA-256 over the graph, in the wire format.
//!
//! What goes in is a graph in topological order, what comes out are texts. Each field is hashed
//! once, after its parents; a hash goes into the next one already truncated.

use crate::graph::FeatureGraph;
use crate::key::{FeatureKey, FieldKey};
use crate::pyjson;
use indexmap::IndexMap;
use sha2::{Digest, Sha256};
use std::cell::Cell;
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
    /// How many hashes were made: a test holds it to one per field.
    #[cfg(test)]
    n_hashes: usize,
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
        let hash = Hash { length, n_hashes: Cell::new(0) };
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
        let own = graph.iter().zip(features.values()).filter(|(d, _)| !d.is_external());
        for (definition, versions) in own {
            let members = members.entry(&definition.project).or_default();
            members.insert(&definition.spec.key, &versions.definition_version);
        }
        let projects = members.into_iter().map(|(project, members)| {
            let parts = members.into_iter().flat_map(|(key, version)| [key.as_str(), version]);
            (project.to_owned(), hash.of(parts))
        });
        let projects = projects.collect();
        Self {
            features,
            projects,
            #[cfg(test)]
            n_hashes: hash.n_hashes.get(),
        }
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

    /// The version of a project; `empty` if the graph has no feature of it, but external ones.
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
    n_hashes: Cell<usize>,
}

impl Hash {
    fn of<'a>(&self, parts: impl IntoIterator<Item = &'a str>) -> String {
        self.n_hashes.set(self.n_hashes.get() + 1);
        let mut hasher = Sha256::new();
        for part in parts {
            hasher.update(part.as_bytes());
        }
        let mut text = [0; 64];
        hex::encode_to_slice(hasher.finalize(), &mut text).expect("SHA-256 has 32 bytes");
        let length = self.length.min(text.len());
        text[..length].iter().copied().map(char::from).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builder::{FeatureBuilder, FieldBuilder, GraphBuilder};
    use crate::spec::{FeatureDefinition, FeatureDep, FeatureSpec, FieldSpec, Origin};
    use metaxy_sql::ScalarType::Text;
    use std::time::Instant;

    fn sha256(text: &str, length: usize) -> String {
        let mut text = hex::encode(Sha256::digest(text));
        text.truncate(length);
        text
    }

    fn feature(key: &str) -> FeatureBuilder {
        FeatureBuilder::new(key).id("id", Text)
    }

    fn graph<const N: usize>(features: [FeatureBuilder; N]) -> FeatureGraph {
        features.into_iter().fold(FeatureGraph::builder(), GraphBuilder::feature).build().unwrap()
    }

    fn key(text: &str) -> FeatureKey {
        FeatureKey::new(text).unwrap()
    }

    /// The worked example of the wire format's reference.
    #[test]
    fn worked_example() {
        let graph = graph([feature("media/video").field("audio").field("frames")]);
        let versions = graph.versions(8);
        let video = versions.feature(&key("media/video")).unwrap();
        assert_eq!(video.fields.values().collect::<Vec<_>>(), ["46ac598e", "96665143"]);
        assert_eq!(video.feature_version, "fb3c2831");
        assert_eq!(video.fields[0], sha256("media/video.audio__metaxy_initial__", 8));
    }

    /// Features of a project are sorted by the parts of their keys, fields by the text of theirs.
    #[test]
    fn orders() {
        let field = |key: &str| FieldBuilder::new(key).code_version(key);
        let graph = graph([
            feature("a-b"),
            feature("a/b").field(field("a0")).field(field("a/z")).field(field("a-z")),
        ]);
        let versions = graph.versions(64);
        let definition =
            |feature: &str| &versions.feature(&key(feature)).unwrap().definition_version;
        let text = format!("a/b{}a-b{}", definition("a/b"), definition("a-b"));
        assert_eq!(versions.project("default"), sha256(&text, 64));
        let code_version = &versions.feature(&key("a/b")).unwrap().feature_code_version;
        assert_eq!(*code_version, sha256("a-za-za/za/za0a0", 64));
    }

    /// Only the features of a project count, and a feature without fields hashes nothing.
    #[test]
    fn projects_and_empty_features() {
        let empty = FeatureDefinition {
            spec: FeatureSpec {
                key: key("none"),
                id_columns: vec!["id".to_owned()],
                deps: Vec::new(),
                fields: Vec::new(),
                metadata: serde_json::Map::new(),
                description: None,
            },
            project: "q".to_owned(),
            columns: None,
            schema: serde_json::json!({}),
            type_path: String::new(),
            origin: Origin::Recorded,
        };
        let graph =
            FeatureGraph::builder().project("p").feature(feature("a")).definition(empty).build();
        let graph = graph.unwrap();
        let versions = graph.versions(8);
        let none = versions.feature(&key("none")).unwrap();
        assert_eq!(none.feature_version, "e3b0c442");
        assert_eq!(versions.project("q"), sha256(&format!("none{}", none.definition_version), 8));
        assert_eq!(versions.project("r"), "empty");
        assert_eq!(versions.projects().count(), 2);
        assert_eq!(graph.project(), None);
    }

    #[test]
    fn versions_are_computed_once_per_length() {
        let graph = graph([feature("a")]);
        let again = graph.clone();
        assert!(std::sync::Arc::ptr_eq(&graph.versions(16), &again.versions(16)));
        let long = graph.versions(100);
        assert_eq!(long.feature(&key("a")).unwrap().feature_version.len(), 64);
    }

    /// Forty layers of fifty features, each computed from all fields of three of the layer before:
    /// 3^40 ways from the last layer to the first, and yet one hash per field.
    #[test]
    fn every_field_is_hashed_once() {
        const LAYERS: usize = 40;
        const WIDTH: usize = 50;
        let name = |layer: usize, i: usize| key(&format!("layer_{layer}/feature_{}", i % WIDTH));
        let field = |key| FieldSpec::new(FieldKey::new(key).unwrap());
        let definitions: Vec<_> = (0..LAYERS * WIDTH)
            .map(|n| {
                let (layer, i) = (n / WIDTH, n % WIDTH);
                let deps = (0..3).filter(|_| layer > 0);
                FeatureDefinition {
                    spec: FeatureSpec {
                        key: name(layer, i),
                        id_columns: vec!["id".to_owned()],
                        deps: deps.map(|d| FeatureDep::new(name(layer - 1, i + d))).collect(),
                        // Nothing of this name is upstream, which gives all fields.
                        fields: ["x", "y"].map(|x| field(format!("{x}_{layer}"))).into(),
                        metadata: serde_json::Map::new(),
                        description: None,
                    },
                    project: "p".to_owned(),
                    columns: None,
                    schema: serde_json::json!({}),
                    type_path: String::new(),
                    origin: Origin::Recorded,
                }
            })
            .collect();
        let start = Instant::now();
        let graph = FeatureGraph::build(definitions).unwrap();
        let built = start.elapsed();
        let versions = graph.versions(16);
        println!(
            "{} features in {LAYERS} layers: built in {built:?}, versions in {:?}",
            graph.len(),
            start.elapsed() - built
        );
        let last = &graph.parents(&name(LAYERS - 1, 0), &FieldKey::new("x_39").unwrap());
        assert_eq!(last.len(), 6);
        // Two fields, then feature, code, spec and definition version; one for the project.
        assert_eq!(versions.n_hashes, graph.len() * (2 + 4) + 1);
    }
}
