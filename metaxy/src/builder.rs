//! Features made at run time: a [`FeatureBuilder`] each, put together by a [`GraphBuilder`].
//!
//! ```
//! use metaxy::builder::{DepBuilder, FeatureBuilder, FieldBuilder};
//! use metaxy::{FeatureGraph, ScalarType};
//!
//! let graph = FeatureGraph::builder()
//!     .project("example")
//!     .feature(
//!         FeatureBuilder::new("example/video")
//!             .id("video_id", ScalarType::Text)
//!             .column("path", ScalarType::Text)
//!             .field(FieldBuilder::new("audio").code_version("1"))
//!             .field("frames"),
//!     )
//!     .feature(
//!         FeatureBuilder::new("example/faces")
//!             .id("video_id", ScalarType::Text)
//!             .dep(DepBuilder::new("example/video").select(["path"]))
//!             .field(FieldBuilder::new("faces").dep("example/video", ["frames"])),
//!     )
//!     .build()?;
//! assert_eq!(graph.len(), 2);
//! # Ok::<_, metaxy::graph::GraphErrors>(())
//! ```
//!
//! Keys are plain texts here and are checked by [`GraphBuilder::build`], together with all the rest,
//! so that nothing has to be unwrapped on the way.

use crate::graph::{self, FeatureGraph, FeatureSite, GraphError, GraphErrors};
use crate::history::LockFile;
use crate::key::{FeatureKey, FieldKey, KeyError};
use crate::schema;
use crate::spec::{
    ColumnSpec, FeatureDefinition, FeatureDep, FeatureSpec, FieldDep, FieldDeps, FieldSpec,
    FieldsMapping, INITIAL_CODE_VERSION, Lineage, Origin,
};
use metaxy_sql::ColumnType;
use serde_json::{Map, Value};
use std::collections::HashSet;
use std::panic::Location;

/// The project of features that name none, in a graph that names none.
pub(crate) const DEFAULT_PROJECT: &str = "default";

impl FeatureGraph {
    /// Makes a graph of features that are only known at run time.
    pub fn builder() -> GraphBuilder {
        GraphBuilder::default()
    }
}

/// Collects features; see the [module](self) for an example.
#[derive(Clone, Debug, Default)]
#[must_use = "nothing is checked before `build`"]
pub struct GraphBuilder {
    project: Option<String>,
    features: Vec<FeatureBuilder>,
    definitions: Vec<FeatureDefinition>,
    pub(crate) lock: LockFile,
}

impl GraphBuilder {
    /// The project of the features that do not name another one; `default` without this.
    pub fn project(mut self, project: impl Into<String>) -> Self {
        self.project = Some(project.into());
        self
    }

    /// Adds a feature.
    pub fn feature(mut self, feature: FeatureBuilder) -> Self {
        self.features.push(feature);
        self
    }

    /// Adds a feature that is defined already, by a struct for instance.
    pub fn definition(mut self, definition: FeatureDefinition) -> Self {
        self.definitions.push(definition);
        self
    }

    /// Builds the graph.
    ///
    /// # Errors
    /// Everything that is wrong with the features, at once.
    pub fn build(self) -> Result<FeatureGraph, GraphErrors> {
        let project = self.project.as_deref().unwrap_or(DEFAULT_PROJECT);
        let mut definitions = self.definitions;
        let mut errors = Vec::new();
        let mut broken = HashSet::new();
        let mut is_key_lost = false;
        for feature in self.features {
            let n_errors = errors.len();
            match feature.finish(project, &mut errors) {
                Some(definition) => {
                    let is_gap = |error: &GraphError| matches!(error, GraphError::Key { .. });
                    if errors[n_errors..].iter().any(is_gap) {
                        broken.insert(definition.spec.key.clone());
                    }
                    definitions.push(definition);
                }
                None => is_key_lost = true,
            }
        }
        if errors.is_empty() {
            return FeatureGraph::locked(definitions, &self.lock);
        }
        let definitions = self.lock.merge(definitions, &mut errors);
        errors.extend(graph::other_mistakes(definitions, &broken, is_key_lost));
        Err(GraphErrors::new(errors))
    }
}

/// A feature.
#[derive(Clone, Debug)]
#[must_use = "a feature does nothing until it is part of a graph"]
pub struct FeatureBuilder {
    key: String,
    project: Option<String>,
    description: Option<String>,
    metadata: Map<String, Value>,
    ids: Vec<ColumnSpec>,
    columns: Vec<ColumnSpec>,
    fields: Vec<FieldBuilder>,
    deps: Vec<DepBuilder>,
    origin: Origin,
}

impl FeatureBuilder {
    /// A feature with this key. Errors name the line of this call.
    #[track_caller]
    pub fn new(key: impl Into<String>) -> Self {
        let place = Location::caller();
        Self {
            key: key.into(),
            project: None,
            description: None,
            metadata: Map::new(),
            ids: Vec::new(),
            columns: Vec::new(),
            fields: Vec::new(),
            deps: Vec::new(),
            origin: Origin::Source { file: place.file().to_owned(), line: place.line() },
        }
    }

    /// The project it belongs to, if it is another one than the graph's.
    pub fn project(mut self, project: impl Into<String>) -> Self {
        self.project = Some(project.into());
        self
    }

    /// What the feature is.
    pub fn description(mut self, text: impl Into<String>) -> Self {
        self.description = Some(text.into());
        self
    }

    /// Adds an entry to the metadata of the feature; no version of a record depends on it.
    pub fn metadata(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.metadata.insert(name.into(), value.into());
        self
    }

    /// Adds an id column; at least one is needed.
    pub fn id(mut self, name: impl Into<String>, ty: impl Into<ColumnType>) -> Self {
        self.ids.push(ColumnSpec { name: name.into(), ty: ty.into(), nullable: false });
        self
    }

    /// Adds a column that every record has.
    pub fn column(mut self, name: impl Into<String>, ty: impl Into<ColumnType>) -> Self {
        self.columns.push(ColumnSpec { name: name.into(), ty: ty.into(), nullable: false });
        self
    }

    /// Adds a column that may hold NULL.
    pub fn nullable_column(mut self, name: impl Into<String>, ty: impl Into<ColumnType>) -> Self {
        self.columns.push(ColumnSpec { name: name.into(), ty: ty.into(), nullable: true });
        self
    }

    /// Adds a field: its key, or a [`FieldBuilder`]. A feature without fields has one, `default`.
    pub fn field(mut self, field: impl Into<FieldBuilder>) -> Self {
        self.fields.push(field.into());
        self
    }

    /// Adds an upstream: its key, or a [`DepBuilder`].
    pub fn dep(mut self, dep: impl Into<DepBuilder>) -> Self {
        self.deps.push(dep.into());
        self
    }

    /// `None` if the key is none.
    fn finish(self, project: &str, errors: &mut Vec<GraphError>) -> Option<FeatureDefinition> {
        let mut keys = Keys { feature: &self.key, origin: &self.origin, errors };
        let key = keys.check(FeatureKey::new(&self.key));
        let mut fields: Vec<FieldSpec> =
            self.fields.into_iter().filter_map(|field| field.finish(&mut keys)).collect();
        let deps = self.deps.into_iter().filter_map(|dep| dep.finish(&mut keys)).collect();
        let key = key?;
        if fields.is_empty() {
            fields.extend(FieldKey::new("default").map(FieldSpec::new));
        }
        for field in fields.iter().filter(|field| field.code_version.contains('|')) {
            errors.push(GraphError::CodeVersion {
                feature: FeatureSite { key: key.clone(), origin: self.origin.clone() },
                field: field.key.clone(),
                code_version: field.code_version.clone(),
            });
        }
        let id_columns = self.ids.iter().map(|id| id.name.clone()).collect();
        let columns: Vec<_> = self.ids.into_iter().chain(self.columns).collect();
        let properties = columns.iter().map(schema::Property::from);
        let schema = schema::of(key.as_str(), self.description.as_deref(), properties);
        Some(FeatureDefinition {
            spec: FeatureSpec {
                key,
                id_columns,
                deps,
                fields,
                metadata: self.metadata,
                description: self.description,
            },
            project: self.project.unwrap_or_else(|| project.to_owned()),
            columns: Some(columns),
            schema,
            type_path: String::new(),
            origin: self.origin,
        })
    }
}

/// A field.
#[derive(Clone, Debug)]
#[must_use = "a field does nothing until it is part of a feature"]
pub struct FieldBuilder {
    key: String,
    code_version: Option<String>,
    deps: FieldDepsBuilder,
    renamed_from: Option<String>,
}

#[derive(Clone, Debug)]
enum FieldDepsBuilder {
    All,
    Fields(Vec<(String, Option<Vec<String>>)>),
}

impl FieldBuilder {
    /// A field with this key, whose parents the mappings of the upstreams give.
    pub fn new(key: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            code_version: None,
            deps: FieldDepsBuilder::Fields(Vec::new()),
            renamed_from: None,
        }
    }

    /// The word for the algorithm; may not contain `|`.
    pub fn code_version(mut self, code_version: impl Into<String>) -> Self {
        self.code_version = Some(code_version.into());
        self
    }

    /// Depends on these fields of an upstream, and no longer on what mappings give.
    pub fn dep<F: Into<String>>(
        self,
        feature: impl Into<String>,
        fields: impl IntoIterator<Item = F>,
    ) -> Self {
        self.add_dep(feature.into(), Some(texts(fields)))
    }

    /// Depends on all fields of an upstream, and no longer on what mappings give.
    pub fn dep_on_all_of(self, feature: impl Into<String>) -> Self {
        self.add_dep(feature.into(), None)
    }

    /// Depends on all fields of all upstreams.
    pub fn deps_all(mut self) -> Self {
        self.deps = FieldDepsBuilder::All;
        self
    }

    /// The first name of the field, under which its data versions are stored.
    pub fn renamed_from(mut self, key: impl Into<String>) -> Self {
        self.renamed_from = Some(key.into());
        self
    }

    fn add_dep(mut self, feature: String, fields: Option<Vec<String>>) -> Self {
        match &mut self.deps {
            // All of them are more than these.
            FieldDepsBuilder::All => {}
            FieldDepsBuilder::Fields(deps) => deps.push((feature, fields)),
        }
        self
    }

    fn finish(self, keys: &mut Keys<'_>) -> Option<FieldSpec> {
        let key = keys.check(FieldKey::new(&self.key));
        let deps = match self.deps {
            FieldDepsBuilder::All => FieldDeps::All,
            FieldDepsBuilder::Fields(deps) if deps.is_empty() => FieldDeps::Mapped,
            FieldDepsBuilder::Fields(deps) => {
                let deps = deps.into_iter().filter_map(|(feature, fields)| {
                    let fields = fields.map(|fields| keys.fields(&fields));
                    let feature = keys.check(FeatureKey::new(feature))?;
                    Some(FieldDep { feature, fields })
                });
                FieldDeps::Fields(deps.collect())
            }
        };
        let first_name = self.renamed_from.and_then(|name| keys.check(FieldKey::new(name)));
        Some(FieldSpec {
            key: key?,
            code_version: self.code_version.unwrap_or_else(|| INITIAL_CODE_VERSION.to_owned()),
            deps,
            renamed_from: first_name,
        })
    }
}

impl From<&str> for FieldBuilder {
    fn from(key: &str) -> Self {
        Self::new(key)
    }
}

/// An upstream.
#[derive(Clone, Debug)]
#[must_use = "an upstream does nothing until it is part of a feature"]
pub struct DepBuilder {
    feature: String,
    optional: bool,
    select: Option<Vec<String>>,
    rename: Vec<(String, String)>,
    filters: Vec<String>,
    lineage: Lineage,
    mapping: MappingBuilder,
}

#[derive(Clone, Debug)]
enum MappingBuilder {
    Default { match_suffix: bool, exclude: Vec<String> },
    Specific(Vec<(String, Vec<String>)>),
    All,
    None,
}

impl DepBuilder {
    /// A required upstream with all its columns, one record here for each record there, and fields
    /// mapped by name.
    pub fn new(feature: impl Into<String>) -> Self {
        Self {
            feature: feature.into(),
            optional: false,
            select: None,
            rename: Vec::new(),
            filters: Vec::new(),
            lineage: Lineage::Identity,
            mapping: MappingBuilder::Default { match_suffix: false, exclude: Vec::new() },
        }
    }

    /// A record exists without a row of this upstream, too.
    pub fn optional(mut self) -> Self {
        self.optional = true;
        self
    }

    /// The columns that come along, by their names upstream; ids always do. Of a group, each is a list over
    /// its members, in the order of their ids.
    pub fn select<C: Into<String>>(mut self, columns: impl IntoIterator<Item = C>) -> Self {
        self.select = Some(texts(columns));
        self
    }

    /// Gives a column of the upstream another name here.
    pub fn rename(mut self, column: impl Into<String>, name: impl Into<String>) -> Self {
        self.rename.push((column.into(), name.into()));
        self
    }

    /// Takes only the records for which this holds; columns have their names here. Several filters
    /// have to hold together.
    pub fn filter(mut self, filter: impl Into<String>) -> Self {
        self.filters.push(filter.into());
        self
    }

    /// One record here for each group of records there that agree in these columns. Of the members only
    /// what is [selected](Self::select) comes along.
    pub fn aggregation<C: Into<String>>(mut self, on: impl IntoIterator<Item = C>) -> Self {
        self.lineage = Lineage::Aggregation { on: Some(texts(on)) };
        self
    }

    /// One record here for each group of records there that agree in the ids of the feature.
    pub fn aggregation_on_ids(mut self) -> Self {
        self.lineage = Lineage::Aggregation { on: None };
        self
    }

    /// Any number of records here for each record there, which these columns name: all its ids.
    pub fn expansion<C: Into<String>>(mut self, on: impl IntoIterator<Item = C>) -> Self {
        self.lineage = Lineage::Expansion { on: texts(on), id_generation_pattern: None };
        self
    }

    /// Maps fields by suffix as well: `english` depends on `audio/english`.
    pub fn by_suffix(mut self) -> Self {
        let exclude = match self.mapping {
            MappingBuilder::Default { exclude, .. } => exclude,
            _ => Vec::new(),
        };
        self.mapping = MappingBuilder::Default { match_suffix: true, exclude };
        self
    }

    /// Maps fields by name, but never these of the upstream.
    pub fn exclude<F: Into<String>>(mut self, fields: impl IntoIterator<Item = F>) -> Self {
        let match_suffix =
            matches!(self.mapping, MappingBuilder::Default { match_suffix: true, .. });
        self.mapping = MappingBuilder::Default { match_suffix, exclude: texts(fields) };
        self
    }

    /// Every field that names no parents depends on all fields of this upstream.
    pub fn all_fields(mut self) -> Self {
        self.mapping = MappingBuilder::All;
        self
    }

    /// No field depends on this upstream unless it says so.
    pub fn no_fields(mut self) -> Self {
        self.mapping = MappingBuilder::None;
        self
    }

    /// This field depends on these fields of the upstream; fields that are not named in such a call
    /// depend on none.
    pub fn specific<F: Into<String>>(
        mut self,
        field: impl Into<String>,
        upstream_fields: impl IntoIterator<Item = F>,
    ) -> Self {
        let entry = (field.into(), texts(upstream_fields));
        match &mut self.mapping {
            MappingBuilder::Specific(entries) => entries.push(entry),
            mapping => *mapping = MappingBuilder::Specific(vec![entry]),
        }
        self
    }

    fn finish(self, keys: &mut Keys<'_>) -> Option<FeatureDep> {
        let feature = keys.check(FeatureKey::new(&self.feature));
        let fields_mapping = match self.mapping {
            MappingBuilder::Default { match_suffix, exclude } => {
                FieldsMapping::Default { match_suffix, exclude: keys.fields(&exclude) }
            }
            MappingBuilder::Specific(entries) => {
                let entries = entries.into_iter().filter_map(|(field, upstream)| {
                    let upstream = keys.fields(&upstream);
                    Some((keys.check(FieldKey::new(field))?, upstream))
                });
                FieldsMapping::Specific(entries.collect())
            }
            MappingBuilder::All => FieldsMapping::All,
            MappingBuilder::None => FieldsMapping::None,
        };
        let mut dep = FeatureDep {
            rename: (!self.rename.is_empty()).then_some(self.rename),
            fields_mapping,
            filters: (!self.filters.is_empty()).then_some(self.filters),
            lineage: self.lineage,
            optional: self.optional,
            ..FeatureDep::new(feature?)
        };
        // A spec lists the names after the renaming.
        let select = self.select.map(|columns| {
            columns.iter().map(|column| dep.renamed(column).to_owned()).collect::<Vec<_>>()
        });
        dep.select = select;
        Some(dep)
    }
}

impl From<&str> for DepBuilder {
    fn from(feature: &str) -> Self {
        Self::new(feature)
    }
}

/// Turns texts into keys and keeps what went wrong.
struct Keys<'e> {
    feature: &'e str,
    origin: &'e Origin,
    errors: &'e mut Vec<GraphError>,
}

impl Keys<'_> {
    fn check<K>(&mut self, key: Result<K, KeyError>) -> Option<K> {
        let keep = |error| {
            let (feature, origin) = (self.feature.to_owned(), self.origin.clone());
            self.errors.push(GraphError::Key { feature, origin, error });
        };
        key.map_err(keep).ok()
    }

    fn fields(&mut self, keys: &[String]) -> Vec<FieldKey> {
        keys.iter().filter_map(|key| self.check(FieldKey::new(key))).collect()
    }
}

fn texts<T: Into<String>>(items: impl IntoIterator<Item = T>) -> Vec<String> {
    items.into_iter().map(Into::into).collect()
}
