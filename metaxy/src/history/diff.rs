//! [`GraphDiff`]: what is different between two graphs, and what changes because of it.
//!
//! Both graphs are compared in their wire form, in which fields have their first names: a field that
//! was only renamed is the same one. Not here: what it costs to compute what changes.

mod show;
#[cfg(test)]
mod tests;

use crate::graph::{FeatureGraph, ParentField};
use crate::key::FeatureKey;
use crate::spec::{FeatureSpec, FieldSpec};
use crate::version::{DEFAULT_HASH_TRUNCATION_LENGTH, GraphVersions};
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// What is different between two graphs.
///
/// # As JSON
///
/// ```json
/// {
///   "added": ["a/new"],
///   "removed": ["a/old"],
///   "changed": [{
///     "feature": "a/b",
///     "version": ["4a4122e5..", "8b29b200.."],
///     "fields_added": ["x"],
///     "fields_removed": ["y"],
///     "fields_changed": [{
///       "field": "z",
///       "version": ["..", ".."],
///       "code_version": ["1", "2"],
///       "parents_added": ["a/c.x"],
///       "parents_removed": []
///     }],
///     "upstreams_added": ["a/c"],
///     "upstreams_removed": [],
///     "upstreams_changed": [{
///       "feature": "a/d",
///       "changes": [{ "what": "optional", "before": false, "after": true }]
///     }],
///     "changes": [{ "what": "id_columns", "before": ["id"], "after": ["id", "n"] }]
///   }],
///   "affected": [{
///     "feature": "a/e", "field": "f", "version": ["..", ".."], "because_of": ["a/b.z"]
///   }]
/// }
/// ```
///
/// Pairs are before and after. `code_version` is `null` where it is the same. What `changes` are about:
/// of a feature `id_columns`, `columns`, `description`, `metadata`, `project` and `schema` (only where its columns
/// are the same); of an upstream the members of its JSON form, `lineage`, `sql_filters`, `select` and so on.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct GraphDiff {
    /// The features that are only in the second graph.
    pub added: Vec<FeatureKey>,
    /// The features that are only in the first graph.
    pub removed: Vec<FeatureKey>,
    /// The features that say something else of themselves, in topological order.
    pub changed: Vec<ChangedFeature>,
    /// The fields whose version is another one only because of what is upstream, in topological order.
    pub affected: Vec<AffectedField>,
}

/// A feature that says something else of itself.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ChangedFeature {
    /// The feature.
    pub feature: FeatureKey,
    /// Its version before and after; both may be the same.
    pub version: (String, String),
    /// The fields that it did not have.
    pub fields_added: Vec<String>,
    /// The fields that it does not have any more.
    pub fields_removed: Vec<String>,
    /// The fields with another code version or other parents.
    pub fields_changed: Vec<ChangedField>,
    /// The features that it was not computed from.
    pub upstreams_added: Vec<FeatureKey>,
    /// The features that it is not computed from any more.
    pub upstreams_removed: Vec<FeatureKey>,
    /// The upstreams of which it takes something else.
    pub upstreams_changed: Vec<ChangedUpstream>,
    /// What else is different.
    pub changes: Vec<Change>,
}

/// A field with another code version or other parents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ChangedField {
    /// The field.
    pub field: String,
    /// Its version before and after.
    pub version: (String, String),
    /// Its code version before and after, if it is another one.
    pub code_version: Option<(String, String)>,
    /// The upstream fields that it was not computed from, as `feature/key.field/key`.
    pub parents_added: Vec<String>,
    /// The upstream fields that it is not computed from any more.
    pub parents_removed: Vec<String>,
}

/// An upstream of which a feature takes something else.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ChangedUpstream {
    /// The upstream.
    pub feature: FeatureKey,
    /// What is different.
    pub changes: Vec<Change>,
}

/// Something that has another value.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Change {
    /// What it is.
    pub what: String,
    /// Before.
    pub before: Value,
    /// After.
    pub after: Value,
}

/// A field whose version is another one only because of what is upstream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct AffectedField {
    /// The feature.
    pub feature: FeatureKey,
    /// The field.
    pub field: String,
    /// Its version before and after.
    pub version: (String, String),
    /// The fields that are the cause, near or far upstream, as `feature/key.field/key`: each has another
    /// code version or other parents.
    pub because_of: Vec<String>,
}

impl GraphDiff {
    /// What is different in `after`, with versions of the length that a new store has.
    #[must_use]
    pub fn between(before: &FeatureGraph, after: &FeatureGraph) -> Self {
        Self::with_length(before, after, DEFAULT_HASH_TRUNCATION_LENGTH)
    }

    /// The same with versions of another length: the
    /// [`hash_truncation_length`](crate::store::Settings::hash_truncation_length) of a store.
    #[must_use]
    pub fn with_length(before: &FeatureGraph, after: &FeatureGraph, length: usize) -> Self {
        let (before, after) = (Side::new(before, length), Side::new(after, length));
        let mut diff = Self::default();
        let is_in = |side: &Side<'_>, key: &FeatureKey| side.graph.get(key).is_some();
        diff.added = after.graph.keys().filter(|key| !is_in(&before, key)).cloned().collect();
        diff.removed = before.graph.keys().filter(|key| !is_in(&after, key)).cloned().collect();
        // The causes of every field that has another version.
        let mut causes: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for key in after.graph.keys().filter(|key| is_in(&before, key)) {
            let (Some(old), Some(new)) = (before.feature(key), after.feature(key)) else {
                continue;
            };
            let mut changed = changed(key, &old, &new);
            for (name, field) in &new.fields {
                let label = format!("{key}.{name}");
                let Some(was) = old.fields.get(name) else {
                    causes.insert(label.clone(), [label].into());
                    continue;
                };
                let own = changed_field(name, was, field);
                let upstream = field.parents.iter().filter_map(|parent| causes.get(parent));
                let mut of: BTreeSet<String> = upstream.flatten().cloned().collect();
                match own {
                    Some(own) => {
                        changed.fields_changed.push(own);
                        of.insert(label.clone());
                    }
                    None if was.version == field.version => continue,
                    None => diff.affected.push(AffectedField {
                        feature: key.clone(),
                        field: name.clone(),
                        version: (was.version.clone(), field.version.clone()),
                        because_of: of.iter().cloned().collect(),
                    }),
                }
                causes.insert(label, of);
            }
            if !changed.is_empty() {
                diff.changed.push(changed);
            }
        }
        diff
    }

    /// Whether both graphs say the same.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }
}

impl ChangedFeature {
    fn is_empty(&self) -> bool {
        self.fields_added.is_empty()
            && self.fields_removed.is_empty()
            && self.fields_changed.is_empty()
            && self.upstreams_added.is_empty()
            && self.upstreams_removed.is_empty()
            && self.upstreams_changed.is_empty()
            && self.changes.is_empty()
    }
}

/// One of the two graphs.
struct Side<'a> {
    graph: &'a FeatureGraph,
    versions: std::sync::Arc<GraphVersions>,
}

/// A feature in its wire form.
struct Feature {
    spec: FeatureSpec,
    project: String,
    schema: Value,
    version: String,
    /// By first name, in the order of declaration.
    fields: indexmap::IndexMap<String, Field>,
}

/// A field and what its version is made of.
struct Field {
    code_version: String,
    /// As `feature/key.field/key`, with first names.
    parents: BTreeSet<String>,
    version: String,
}

impl<'a> Side<'a> {
    fn new(graph: &'a FeatureGraph, length: usize) -> Self {
        Self { graph, versions: graph.versions(length) }
    }

    fn feature(&self, key: &FeatureKey) -> Option<Feature> {
        let definition = self.graph.get(key)?;
        let versions = self.versions.feature(key)?;
        let field = |field: &FieldSpec| {
            let parents = self.graph.parents(key, &field.key).iter().map(ParentField::label);
            let of = Field {
                code_version: field.code_version.clone(),
                parents: parents.collect(),
                version: versions.fields.get(&field.key).cloned().unwrap_or_default(),
            };
            (field.wire_key().to_string(), of)
        };
        Some(Feature {
            spec: self.graph.wire_spec(key)?.into_owned(),
            project: definition.project.clone(),
            schema: definition.schema.clone(),
            version: versions.feature_version.clone(),
            fields: definition.spec.fields.iter().map(field).collect(),
        })
    }
}

fn changed_field(name: &str, was: &Field, is: &Field) -> Option<ChangedField> {
    let code_version = (was.code_version != is.code_version)
        .then(|| (was.code_version.clone(), is.code_version.clone()));
    if code_version.is_none() && was.parents == is.parents {
        return None;
    }
    Some(ChangedField {
        field: name.to_owned(),
        version: (was.version.clone(), is.version.clone()),
        code_version,
        parents_added: is.parents.difference(&was.parents).cloned().collect(),
        parents_removed: was.parents.difference(&is.parents).cloned().collect(),
    })
}

/// What a feature says of itself, but for the fields that it still has.
fn changed(key: &FeatureKey, old: &Feature, new: &Feature) -> ChangedFeature {
    let only_in = |a: &Feature, b: &Feature| -> Vec<String> {
        a.fields.keys().filter(|name| !b.fields.contains_key(*name)).cloned().collect()
    };
    let upstreams = |of: &Feature| -> BTreeSet<FeatureKey> {
        of.spec.deps.iter().map(|dep| dep.feature.clone()).collect()
    };
    let (were, are) = (upstreams(old), upstreams(new));
    ChangedFeature {
        feature: key.clone(),
        version: (old.version.clone(), new.version.clone()),
        fields_added: only_in(new, old),
        fields_removed: only_in(old, new),
        fields_changed: Vec::new(),
        upstreams_added: are.difference(&were).cloned().collect(),
        upstreams_removed: were.difference(&are).cloned().collect(),
        upstreams_changed: changed_upstreams(&old.spec, &new.spec),
        changes: changes(old, new),
    }
}

fn changed_upstreams(old: &FeatureSpec, new: &FeatureSpec) -> Vec<ChangedUpstream> {
    let (old, new) = (old.to_json(), new.to_json());
    let deps =
        |spec: &Value| spec.get("deps").and_then(Value::as_array).cloned().unwrap_or_default();
    let (old, new) = (deps(&old), deps(&new));
    let mut changed = Vec::new();
    for dep in &new {
        let name = |dep: &Value| dep.get("feature").and_then(Value::as_str).map(str::to_owned);
        let was = old.iter().find(|was| name(was) == name(dep));
        let (Some(Value::Object(was)), Value::Object(is)) = (was, dep) else { continue };
        let key = name(dep).and_then(|name| FeatureKey::new(name).ok());
        let changes: Vec<Change> = is
            .iter()
            .filter_map(|(what, after)| {
                let before = was.get(what).unwrap_or(&Value::Null);
                change(what, before.clone(), after.clone())
            })
            .collect();
        if let Some(feature) = key
            && !changes.is_empty()
        {
            changed.push(ChangedUpstream { feature, changes });
        }
    }
    changed
}

fn changes(old: &Feature, new: &Feature) -> Vec<Change> {
    let text = |text: &String| Value::from(text.as_str());
    let description = |of: &Feature| of.spec.description.as_ref().map_or(Value::Null, text);
    let ids = |of: &Feature| of.spec.id_columns.iter().map(String::as_str).collect::<Value>();
    let metadata = |of: &Feature| Value::Object(of.spec.metadata.clone());
    // Without a schema, nothing is known of columns.
    let (were, are) = (columns(old), columns(new));
    let columns = were.clone().zip(are.clone()).and_then(|(was, is)| change("columns", was, is));
    let is_schema = were.is_some() && are.is_some() && columns.is_none();
    let schema = is_schema.then(|| change("schema", old.schema.clone(), new.schema.clone()));
    let all = [
        change("project", text(&old.project), text(&new.project)),
        change("id_columns", ids(old), ids(new)),
        columns,
        change("description", description(old), description(new)),
        change("metadata", metadata(old), metadata(new)),
        schema.flatten().filter(|_| description(old) == description(new)),
    ];
    all.into_iter().flatten().collect()
}

fn change(what: &str, before: Value, after: Value) -> Option<Change> {
    (before != after).then(|| Change { what: what.to_owned(), before, after })
}

/// The columns of a schema and their types as texts, or, if they are of another program, their schemas;
/// its system columns are left out.
fn columns(of: &Feature) -> Option<Value> {
    let properties = of.schema.get("properties")?.as_object()?;
    let known = crate::schema::columns(&of.schema, &of.spec.id_columns);
    let columns: Map<String, Value> = match known {
        Some(known) => known
            .into_iter()
            .map(|column| {
                let optional = if column.nullable { "?" } else { "" };
                (column.name, format!("{}{optional}", column.ty).into())
            })
            .collect(),
        None => (properties.iter())
            .filter(|(name, _)| !name.starts_with(metaxy_sql::system::PREFIX))
            .map(|(name, schema)| (name.clone(), schema.clone()))
            .collect(),
    };
    Some(Value::Object(columns))
}
