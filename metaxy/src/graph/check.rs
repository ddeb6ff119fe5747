//! What a graph has to fulfil: one function per subject, each of which adds to the list of errors.
//!
//! A rule about columns holds as far as they are known: a spec file names only ids, `select` and
//! `rename`, and what it leaves open shows when data comes.

use super::error::{FeatureSite, GraphError};
use super::parents::Unresolved;
use super::topo::Topology;
use crate::filter;
use crate::key::{FeatureKey, FieldKey};
use crate::nearest::nearest;
use crate::spec::{self, FeatureDefinition, FeatureDep, FieldSpec, Lineage};
use indexmap::IndexMap;
use metaxy_sql::{ColumnType, ScalarType};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How the names of system columns begin.
pub(super) const SYSTEM_COLUMNS: &str = "metaxy_";

/// How the names of system tables begin.
pub(super) const SYSTEM_TABLES: &str = "metaxy_system__";

type Features = IndexMap<FeatureKey, Arc<FeatureDefinition>>;
type Errors = Vec<GraphError>;

/// A key belongs to one feature. Of several, the first is kept, so that the rest can be checked.
pub(super) fn unique(sorted: &mut Vec<Arc<FeatureDefinition>>, errors: &mut Errors) {
    for same_key in sorted.chunk_by(|a, b| a.spec.key == b.spec.key).filter(|c| c.len() > 1) {
        errors.push(GraphError::DuplicateKey {
            key: same_key[0].spec.key.clone(),
            origins: same_key.iter().map(|d| d.origin.clone()).collect(),
        });
    }
    sorted.dedup_by(|a, b| a.spec.key == b.spec.key);
}

/// A project has a name that a spec file or a lock file can say.
pub(crate) fn projects<'a>(
    definitions: impl Iterator<Item = &'a FeatureDefinition>,
) -> impl Iterator<Item = GraphError> {
    let mut by_project: BTreeMap<&str, Vec<&FeatureDefinition>> = BTreeMap::new();
    for definition in definitions {
        by_project.entry(&definition.project).or_default().push(definition);
    }
    by_project.into_iter().filter_map(|(project, features)| {
        let reason = spec::check_project(project).err()?;
        let features = features.into_iter().map(FeatureSite::of).collect();
        Some(GraphError::Project { project: project.to_owned(), reason, features })
    })
}

/// A table belongs to one feature, and none to a system table.
pub(super) fn tables(features: &Features, errors: &mut Errors) {
    let mut by_table: BTreeMap<String, Vec<&FeatureDefinition>> = BTreeMap::new();
    for definition in features.values() {
        let table = definition.spec.key.table_name();
        if table.starts_with(SYSTEM_TABLES) {
            errors.push(GraphError::ReservedKey { feature: FeatureSite::of(definition) });
        }
        by_table.entry(table).or_default().push(definition);
    }
    for (table, features) in by_table {
        if features.len() > 1 {
            let features = features.into_iter().map(FeatureSite::of).collect();
            errors.push(GraphError::TableCollision { table, features });
        }
    }
}

/// No feature is computed from itself, near or far.
pub(super) fn acyclic(features: &Features, topology: &Topology, errors: &mut Errors) {
    for path in topology.cycles() {
        let path = path.into_iter().map(|i| FeatureSite::of(&features[i])).collect();
        errors.push(GraphError::Cycle { path });
    }
}

/// Everything that concerns one feature and what it is computed from, apart from parents of fields.
pub(super) fn feature(definition: &FeatureDefinition, features: &Features, errors: &mut Errors) {
    columns(definition, errors);
    field_names(definition, errors);
    first_names(definition, errors);

    let deps = &definition.spec.deps;
    let mut edges = Vec::with_capacity(deps.len());
    for (i, dep) in deps.iter().enumerate() {
        let Some(upstream) = features.get(&dep.feature) else {
            let nearest = nearest(dep.feature.as_str(), features.keys().map(FeatureKey::as_str));
            errors.push(GraphError::MissingUpstream {
                feature: FeatureSite::of(definition),
                upstream: dep.feature.clone(),
                nearest: nearest.and_then(|key| FeatureKey::new(key).ok()),
            });
            continue;
        };
        let edge = Edge { feature: definition, dep, upstream };
        let earlier = deps[..i].iter().filter(|other| other.feature == dep.feature).count();
        match earlier {
            0 => {}
            1 => {
                let (feature, upstream) = edge.sites();
                errors.push(GraphError::DuplicateUpstream { feature, upstream });
                continue;
            }
            _ => continue,
        }
        renames(&edge, errors);
        select(&edge, errors);
        filters(&edge, errors);
        lineage(&edge, errors);
        id_types(&edge, errors);
        edges.push(edge);
    }
    // What is missing could give an id.
    if edges.len() == deps.len() {
        ids_are_given(definition, &edges, errors);
    }
    column_collisions(definition, &edges, errors);
}

/// Names and types of ids and columns.
fn columns(definition: &FeatureDefinition, errors: &mut Errors) {
    let feature = || FeatureSite::of(definition);
    let ids = &definition.spec.id_columns;
    if ids.is_empty() {
        errors.push(GraphError::NoIdColumn { feature: feature() });
    }

    let columns = definition.columns.as_deref().unwrap_or_default();
    let is_column = |id: &String| columns.iter().any(|c| c.name == *id);
    let mut by_name: BTreeMap<String, Vec<String>> = BTreeMap::new();
    // An id is listed in both places, which makes it no duplicate.
    let unlisted_ids = ids.iter().filter(|id| !is_column(id));
    for name in columns.iter().map(|c| &c.name).chain(unlisted_ids) {
        by_name.entry(name.to_ascii_lowercase()).or_default().push(name.clone());
        if name.starts_with(SYSTEM_COLUMNS) {
            errors.push(GraphError::ReservedName { feature: feature(), name: name.clone() });
        }
    }
    for (i, id) in ids.iter().enumerate() {
        let is_listed_once = columns.iter().filter(|c| c.name == *id).count() == 1;
        if is_listed_once && ids[..i].contains(id) {
            by_name.entry(id.to_ascii_lowercase()).or_default().push(id.clone());
        }
    }
    for columns in by_name.into_values().filter(|names| names.len() > 1) {
        errors.push(GraphError::DuplicateColumn { feature: feature(), columns });
    }

    if definition.columns.is_none() {
        return;
    }
    for id in ids {
        let Some(column) = columns.iter().find(|c| c.name == *id) else {
            let nearest = nearest(id, columns.iter().map(|c| c.name.as_str())).map(str::to_owned);
            let column = id.clone();
            errors.push(GraphError::UnknownIdColumn { feature: feature(), column, nearest });
            continue;
        };
        if !is_id_type(column.ty) {
            let (column, ty) = (id.clone(), column.ty);
            errors.push(GraphError::IdColumnType { feature: feature(), column, ty });
        } else if column.nullable {
            errors.push(GraphError::NullableIdColumn { feature: feature(), column: id.clone() });
        }
    }
}

/// Floats are left out because equal values need not be equal, lists because engines disagree about
/// joining on them.
pub(crate) fn is_id_type(ty: ColumnType) -> bool {
    use ScalarType as S;
    matches!(
        ty,
        ColumnType::Scalar(
            S::Int8
                | S::Int16
                | S::Int32
                | S::Int64
                | S::UInt8
                | S::UInt16
                | S::UInt32
                | S::UInt64
                | S::Text
                | S::Date
                | S::Uuid
        )
    )
}

/// Keys of fields, and their names in the by-field columns.
fn field_names(definition: &FeatureDefinition, errors: &mut Errors) {
    let feature = || FeatureSite::of(definition);
    let fields = &definition.spec.fields;
    let mut by_struct_key: BTreeMap<String, Vec<&FieldSpec>> = BTreeMap::new();
    for (i, field) in fields.iter().enumerate() {
        match fields[..i].iter().filter(|other| other.key == field.key).count() {
            0 => by_struct_key.entry(field.wire_key().struct_key()).or_default().push(field),
            1 => errors
                .push(GraphError::DuplicateField { feature: feature(), field: field.key.clone() }),
            _ => {}
        }
        if field.key.as_str().starts_with(SYSTEM_COLUMNS) {
            let name = field.key.to_string();
            errors.push(GraphError::ReservedName { feature: feature(), name });
        }
    }
    for (struct_key, fields) in by_struct_key {
        // Fields with the very same first name are a mistake of `renamed_from`.
        if fields.iter().any(|field| field.wire_key() != fields[0].wire_key()) {
            let fields = fields.iter().map(|field| field.key.clone()).collect();
            let feature = feature();
            errors.push(GraphError::StructKeyCollision { feature, struct_key, fields });
        }
    }
}

/// A first name belongs to one field for ever, since stored rows carry it.
fn first_names(definition: &FeatureDefinition, errors: &mut Errors) {
    let feature = || FeatureSite::of(definition);
    let fields = &definition.spec.fields;
    let renamed = |key: &FieldKey| fields.iter().find(|f| f.key == *key)?.renamed_from.as_ref();

    let mut exchanged: Vec<FieldKey> = Vec::new();
    for field in fields {
        let Some(first_name) = &field.renamed_from else { continue };
        if *first_name == field.key {
            let (feature, field) = (feature(), field.key.clone());
            errors.push(GraphError::RenamedFromItself { feature, field });
            continue;
        }
        if exchanged.contains(&field.key) || !fields.iter().any(|f| f.key == *first_name) {
            continue;
        }
        // The name is held: by a field that was itself renamed, and so on, until the walk comes back
        // to this field, or ends at one that was not.
        let mut path = vec![field.key.clone()];
        let mut next = Some(first_name);
        while let Some(name) = next.filter(|name| !path.contains(name)) {
            path.push(name.clone());
            next = renamed(name);
        }
        if next == Some(&field.key) {
            exchanged.extend(path.iter().cloned());
            errors.push(GraphError::FirstNamesExchanged { feature: feature(), fields: path });
        } else {
            errors.push(GraphError::FirstNameHeld {
                feature: feature(),
                field: field.key.clone(),
                first_name: first_name.clone(),
            });
        }
    }

    let mut by_first_name: BTreeMap<&FieldKey, Vec<FieldKey>> = BTreeMap::new();
    for field in fields {
        if let Some(first_name) = &field.renamed_from {
            by_first_name.entry(first_name).or_default().push(field.key.clone());
        }
    }
    for (first_name, fields) in by_first_name.into_iter().filter(|(_, fields)| fields.len() > 1) {
        let first_name = first_name.clone();
        errors.push(GraphError::FirstNameTwice { feature: feature(), first_name, fields });
    }
}

/// A feature and one that it is computed from.
struct Edge<'a> {
    feature: &'a FeatureDefinition,
    dep: &'a FeatureDep,
    upstream: &'a FeatureDefinition,
}

impl Edge<'_> {
    fn sites(&self) -> (FeatureSite, FeatureSite) {
        (FeatureSite::of(self.feature), FeatureSite::of(self.upstream))
    }

    fn ids(&self) -> &[String] {
        &self.feature.spec.id_columns
    }

    fn is_id(&self, column: &str) -> bool {
        self.ids().iter().any(|id| id == column)
    }

    /// The ids of the upstream by their names here.
    fn upstream_ids(&self) -> impl Iterator<Item = &str> {
        self.upstream.spec.id_columns.iter().map(|id| self.dep.renamed(id))
    }

    /// The columns of the upstream by their names here, ids included, if they are known.
    fn upstream_columns(&self) -> Option<Vec<&str>> {
        let columns = self.upstream.columns.as_ref()?;
        Some(columns.iter().map(|column| self.dep.renamed(&column.name)).collect())
    }

    /// The columns on which the upstream meets the other ones, by their names here.
    fn join_columns(&self) -> Vec<&str> {
        match &self.dep.lineage {
            Lineage::Identity => self.upstream_ids().collect(),
            Lineage::Aggregation { on } => {
                on.as_deref().unwrap_or(self.ids()).iter().map(String::as_str).collect()
            }
            Lineage::Expansion { on, .. } => on.iter().map(String::as_str).collect(),
        }
    }

    /// Whether the upstream decides the id of a record.
    fn decides(&self, id: &str) -> bool {
        self.join_columns().contains(&id)
    }

    /// Whether the feature may add ids that no upstream decides.
    fn adds_ids(&self) -> bool {
        matches!(self.dep.lineage, Lineage::Expansion { .. })
    }

    /// The columns that are known to come along, ids included. Of an aggregation the group does, and
    /// what is selected.
    fn brought(&self) -> Vec<&str> {
        let mut brought = self.join_columns();
        if matches!(self.dep.lineage, Lineage::Aggregation { .. }) {
            brought.extend(self.dep.select.iter().flatten().map(String::as_str));
        }
        if !matches!(self.dep.lineage, Lineage::Aggregation { .. }) {
            brought.extend(self.upstream_ids());
            match (&self.dep.select, self.upstream_columns()) {
                (Some(select), _) => brought.extend(select.iter().map(String::as_str)),
                (None, Some(columns)) => brought.extend(columns),
                (None, None) => brought.extend(self.dep.renames().map(|(_, to)| to)),
            }
        }
        brought.sort_unstable();
        brought.dedup();
        brought
    }
}

fn renames(edge: &Edge<'_>, errors: &mut Errors) {
    let renames: Vec<_> = edge.dep.renames().collect();
    if renames.is_empty() {
        return;
    }
    let (feature, upstream) = edge.sites();
    let is_renamed = |column: &str| renames.iter().any(|(from, _)| *from == column);
    let ids = edge.upstream.spec.id_columns.iter();
    let columns = edge.upstream.columns.iter().flatten();
    let names: Vec<_> = ids.chain(columns.map(|c| &c.name)).map(String::as_str).collect();

    for (i, (from, to)) in renames.iter().copied().enumerate() {
        let (feature, upstream) = (feature.clone(), upstream.clone());
        if to.starts_with(SYSTEM_COLUMNS) {
            errors.push(GraphError::ReservedName { feature, name: to.to_owned() });
        } else if renames[..i].iter().any(|(other, _)| *other == from) {
            errors.push(GraphError::RenamedTwice { feature, upstream, column: from.to_owned() });
        } else if edge.upstream.columns.is_some() && !names.contains(&from) {
            let nearest = nearest(from, names.iter().copied()).map(str::to_owned);
            let (option, column) = ("rename", from.to_owned());
            errors.push(GraphError::UnknownColumn { feature, upstream, option, column, nearest });
        } else if renames[..i].iter().any(|(_, other)| *other == to)
            || names.contains(&to) && !is_renamed(to)
        {
            let (from, to) = (from.to_owned(), to.to_owned());
            errors.push(GraphError::RenameOnto { feature, upstream, from, to });
        }
    }
}

fn select(edge: &Edge<'_>, errors: &mut Errors) {
    let columns = edge.upstream_columns();
    for column in edge.dep.select.iter().flatten() {
        let (feature, upstream) = edge.sites();
        let renamed = edge.dep.renamed(column);
        if renamed != column && edge.dep.original(column) == column {
            let (column, renamed) = (column.clone(), renamed.to_owned());
            errors.push(GraphError::SelectBeforeRename { feature, upstream, column, renamed });
        } else if column.starts_with(SYSTEM_COLUMNS) {
            errors.push(GraphError::ReservedName { feature, name: column.clone() });
        } else if let Some(columns) = &columns
            && !columns.contains(&column.as_str())
        {
            let nearest = nearest(column, columns.iter().copied()).map(str::to_owned);
            let (option, column) = ("select", column.clone());
            errors.push(GraphError::UnknownColumn { feature, upstream, option, column, nearest });
        }
    }
}

/// Every filter can be read, over the columns of the upstream by their names here.
fn filters(edge: &Edge<'_>, errors: &mut Errors) {
    for error in filter::mistakes(edge.dep, edge.upstream.columns.as_deref()) {
        let (feature, upstream) = edge.sites();
        errors.push(GraphError::Filter { feature, upstream, error });
    }
}

/// The ids of a feature and those of an upstream have to go together.
fn lineage(edge: &Edge<'_>, errors: &mut Errors) {
    let (lineage, on) = match &edge.dep.lineage {
        Lineage::Identity => {
            let foreign = edge.upstream_ids().filter(|id| !edge.is_id(id));
            let columns: Vec<_> = foreign.map(str::to_owned).collect();
            if !columns.is_empty() {
                let (feature, upstream) = edge.sites();
                errors.push(GraphError::IdentityIds { feature, upstream, columns });
            }
            return;
        }
        Lineage::Aggregation { on } => ("aggregation", on.as_deref()),
        Lineage::Expansion { on, .. } => ("expansion", Some(on.as_slice())),
    };
    let (feature, upstream) = edge.sites();
    if let Some(on) = on
        && (on.is_empty() || on.iter().enumerate().any(|(i, column)| on[..i].contains(column)))
    {
        let (feature, upstream) = (feature.clone(), upstream.clone());
        errors.push(GraphError::OnIsBad { feature, upstream, lineage });
    }
    let columns = edge.upstream_columns();
    for column in on.unwrap_or(edge.ids()) {
        let (feature, upstream) = (feature.clone(), upstream.clone());
        if !edge.is_id(column) {
            let nearest = nearest(column, edge.ids().iter().map(String::as_str));
            let (column, nearest) = (column.clone(), nearest.map(str::to_owned));
            errors.push(GraphError::OnIsNoId { feature, upstream, lineage, column, nearest });
        } else if let Some(columns) = &columns
            && !columns.contains(&column.as_str())
        {
            let nearest = nearest(column, columns.iter().copied()).map(str::to_owned);
            let column = column.clone();
            errors.push(GraphError::OnIsNoColumn { feature, upstream, lineage, column, nearest });
        }
    }
    if let Lineage::Expansion { on, .. } = &edge.dep.lineage
        && !edge.ids().is_empty()
        && edge.ids().iter().all(|id| on.contains(id))
    {
        errors.push(GraphError::ExpansionAddsNoId { feature, upstream });
    }
}

/// Values that are joined on have one type.
fn id_types(edge: &Edge<'_>, errors: &mut Errors) {
    let ty = |definition: &FeatureDefinition, name: &str| {
        let column = definition.columns.as_ref()?.iter().find(|column| column.name == name)?;
        Some(column.ty)
    };
    for column in edge.join_columns() {
        let types = (ty(edge.feature, column), ty(edge.upstream, edge.dep.original(column)));
        if let (Some(ty), Some(upstream_ty)) = types
            && ty != upstream_ty
        {
            let (feature, upstream) = edge.sites();
            let column = column.to_owned();
            errors.push(GraphError::IdTypesDiffer { feature, column, ty, upstream, upstream_ty });
        }
    }
}

/// Every record of a feature has all its ids: the required upstreams give them together, or, where
/// all are optional and any of them can be the only one, each alone.
fn ids_are_given(definition: &FeatureDefinition, edges: &[Edge<'_>], errors: &mut Errors) {
    if edges.is_empty() {
        return;
    }
    let all_optional = edges.iter().all(|edge| edge.dep.optional);
    for id in &definition.spec.id_columns {
        // What an upstream decides, the feature does not add, even where the upstream has no record.
        let is_added = !edges.iter().any(|edge| edge.decides(id));
        let gives = |edge: &Edge<'_>| edge.decides(id) || is_added && edge.adds_ids();
        if all_optional {
            for edge in edges.iter().filter(|edge| !gives(edge)) {
                let (feature, upstream) = edge.sites();
                let column = id.clone();
                errors.push(GraphError::IdNotGivenByOptional { feature, upstream, column });
            }
        } else if !edges.iter().any(|edge| !edge.dep.optional && gives(edge)) {
            let feature = FeatureSite::of(definition);
            errors.push(GraphError::IdNotGiven { feature, column: id.clone() });
        }
    }
}

/// A column that several upstreams bring is one that they are joined on.
fn column_collisions(definition: &FeatureDefinition, edges: &[Edge<'_>], errors: &mut Errors) {
    let mut by_name: BTreeMap<&str, Vec<&Edge<'_>>> = BTreeMap::new();
    for edge in edges {
        for column in edge.brought() {
            by_name.entry(column).or_default().push(edge);
        }
    }
    for (column, edges) in by_name {
        let is_joined = edges.iter().all(|edge| edge.join_columns().contains(&column));
        if edges.len() > 1 && !is_joined {
            errors.push(GraphError::ColumnCollision {
                feature: FeatureSite::of(definition),
                column: column.to_owned(),
                upstreams: edges.iter().map(|edge| FeatureSite::of(edge.upstream)).collect(),
            });
        }
    }
}

/// Every field finds its parents.
pub(super) fn resolved(
    definition: &FeatureDefinition,
    field: &FieldSpec,
    unresolved: Vec<Unresolved>,
    features: &Features,
    errors: &mut Errors,
) {
    for unresolved in unresolved {
        let (feature, field) = (FeatureSite::of(definition), field.key.clone());
        errors.push(match unresolved {
            Unresolved::Undeclared(upstream) => {
                GraphError::UndeclaredUpstream { feature, field, upstream }
            }
            Unresolved::UnknownField(upstream, unknown) => {
                let upstream = &features[&upstream];
                let fields = upstream.spec.fields.iter().map(|f| f.key.as_str());
                let nearest = nearest(unknown.as_str(), fields).and_then(|k| FieldKey::new(k).ok());
                let upstream = FeatureSite::of(upstream);
                GraphError::UnknownField { feature, field, upstream, unknown, nearest }
            }
            Unresolved::NoParents => GraphError::NoParents { feature, field },
        });
    }
}
