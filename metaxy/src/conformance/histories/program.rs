//! A random program: the features that it defines, and how a developer changes them.
//!
//! What proptest makes are sketches, numbers without any rule between them. Here they become
//! definitions that form a graph; a choice that a graph would not allow is replaced by the nearest
//! one that it does, so that every sketch means something and a smaller sketch a smaller program.

use super::rows::Value;
use crate::spec::{
    ColumnSpec, FeatureDefinition, FeatureDep, FeatureSpec, FieldDep, FieldDeps, FieldSpec,
    FieldsMapping, Lineage, Origin,
};
use crate::{ColumnType, FeatureGraph, FeatureKey, FieldKey, ScalarType};
use proptest::collection::vec;
use proptest::prelude::*;
use std::fmt;

/// Keys whose tables and labels are easy to mix up.
const KEYS: [&str; 6] = ["a", "b/c", "b-d", "b/e_f", "g", "g/h"];
/// Keys of fields, of one and of two parts: `x` is a suffix of `a/x`, and `z` of none.
const FIELDS: [&str; 5] = ["x", "y", "a/x", "b/y", "z"];
/// The field whose data version the user supplies: [`content_version`].
pub(crate) const CONTENT_FIELD: &str = "z";
/// The ids of roots, one or both of them; most share one, so that upstreams can be added.
const IDS: [&[&str]; 6] = [&["i"], &["i"], &["i"], &["j j"], &["i", "j j"], &["j j", "i"]];

/// The id that an expansion adds.
pub(crate) const CHILD: &str = "i child";

/// Upstreams that share no ids multiply their records.
const MOST_IDS: usize = 3;

/// What a feature is computed from, and how.
#[derive(Clone, Debug)]
pub(crate) struct DepSketch {
    upstream: u8,
    mapping: MappingSketch,
    renames_id: bool,
    renames_column: bool,
    /// 0: everything comes along, 1: nothing, 2: the column.
    select: u8,
    kind: KindSketch,
}

/// What a dependency is besides: plain, unless lineages are asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct KindSketch {
    /// 0: one record each, 1 to 3: groups, 4: groups on ids, 5: children.
    lineage: u8,
    optional: bool,
    /// 0: none, others: over the column or an id.
    filter: u8,
}

#[derive(Clone, Debug)]
pub(crate) enum MappingSketch {
    ByName,
    BySuffix,
    Excluding(u8),
    All,
    None,
    /// Own field, upstream field.
    Specific(Vec<(u8, u8)>),
}

#[derive(Clone, Debug)]
pub(crate) struct FieldSketch {
    key: u8,
    code_version: u8,
    deps: FieldDepsSketch,
}

#[derive(Clone, Debug)]
pub(crate) enum FieldDepsSketch {
    Mapped,
    All,
    /// Upstream and its field, or all of its fields.
    Explicit(Vec<(u8, Option<u8>)>),
}

#[derive(Clone, Debug)]
pub(crate) struct FeatureSketch {
    deps: Vec<DepSketch>,
    ids: u8,
    fields: Vec<FieldSketch>,
}

/// What a developer does to a program.
#[derive(Clone, Debug)]
pub(crate) enum Edit {
    CodeVersion {
        feature: u8,
        field: u8,
        version: u8,
    },
    AddField {
        feature: u8,
        field: FieldSketch,
    },
    RemoveField {
        feature: u8,
        field: u8,
    },
    FieldDeps {
        feature: u8,
        field: u8,
        deps: FieldDepsSketch,
    },
    Mapping {
        feature: u8,
        dep: u8,
        mapping: MappingSketch,
    },
    AddUpstream {
        feature: u8,
        dep: DepSketch,
    },
    RemoveUpstream {
        feature: u8,
        dep: u8,
    },
    /// An upstream becomes optional or required, and gets a filter or loses it.
    Kind {
        feature: u8,
        dep: u8,
        optional: bool,
        filter: u8,
    },
    /// A field gets another name.
    Rename {
        feature: u8,
        field: u8,
    },
}

impl DepSketch {
    /// All of a feature.
    fn on(upstream: u8) -> Self {
        let (renames_id, renames_column, select) = (false, false, 0);
        let (mapping, kind) = (MappingSketch::ByName, KindSketch::default());
        Self { upstream, mapping, renames_id, renames_column, select, kind }
    }
}

impl FieldSketch {
    fn called(key: u8) -> Self {
        Self { key, code_version: 0, deps: FieldDepsSketch::Mapped }
    }
}

impl FeatureSketch {
    /// A feature of one field.
    fn plain(upstream: Option<u8>) -> Self {
        let deps = upstream.into_iter().map(DepSketch::on).collect();
        Self { deps, ids: 0, fields: vec![FieldSketch::called(0)] }
    }
}

/// Two roots, and a feature of the first.
pub(crate) fn two_roots_and_a_child() -> Vec<FeatureSketch> {
    vec![FeatureSketch::plain(None), FeatureSketch::plain(None), FeatureSketch::plain(Some(0))]
}

/// The child comes to depend on the second root too.
pub(crate) fn second_root_is_added() -> Edit {
    Edit::AddUpstream { feature: 1, dep: DepSketch::on(1) }
}

/// The first root gets a second field.
pub(crate) fn field_is_added() -> Edit {
    Edit::AddField { feature: 0, field: FieldSketch::called(1) }
}

fn mapping() -> impl Strategy<Value = MappingSketch> {
    prop_oneof![
        3 => Just(MappingSketch::ByName),
        1 => Just(MappingSketch::BySuffix),
        1 => (0..5_u8).prop_map(MappingSketch::Excluding),
        1 => Just(MappingSketch::All),
        1 => Just(MappingSketch::None),
        1 => vec((0..5_u8, 0..5_u8), 1..4).prop_map(MappingSketch::Specific),
    ]
}

fn kind(has_lineages: bool) -> BoxedStrategy<KindSketch> {
    if !has_lineages {
        return Just(KindSketch::default()).boxed();
    }
    let lineage = prop_oneof![3 => Just(0_u8), 2 => 1..=4_u8, 2 => Just(5)];
    let filter = prop_oneof![3 => Just(0_u8), 1 => 1..6_u8];
    (lineage, prop::bool::weighted(0.3), filter)
        .prop_map(|(lineage, optional, filter)| KindSketch { lineage, optional, filter })
        .boxed()
}

fn dep(has_lineages: bool) -> impl Strategy<Value = DepSketch> {
    let renames = (prop::bool::weighted(0.2), prop::bool::weighted(0.2));
    (0..6_u8, mapping(), renames, 0..3_u8, kind(has_lineages)).prop_map(
        |(upstream, mapping, (renames_id, renames_column), select, kind)| DepSketch {
            upstream,
            mapping,
            renames_id,
            renames_column,
            select,
            kind,
        },
    )
}

fn field_deps() -> impl Strategy<Value = FieldDepsSketch> {
    prop_oneof![
        4 => Just(FieldDepsSketch::Mapped),
        1 => Just(FieldDepsSketch::All),
        2 => vec((0..3_u8, prop::option::weighted(0.8, 0..5_u8)), 1..3)
            .prop_map(FieldDepsSketch::Explicit),
    ]
}

fn field() -> impl Strategy<Value = FieldSketch> {
    (0..5_u8, 0..3_u8, field_deps()).prop_map(|(key, code_version, deps)| FieldSketch {
        key,
        code_version,
        deps,
    })
}

fn feature(has_lineages: bool) -> impl Strategy<Value = FeatureSketch> {
    (vec(dep(has_lineages), 0..4), 0..6_u8, vec(field(), 1..4))
        .prop_map(|(deps, ids, fields)| FeatureSketch { deps, ids, fields })
}

/// Programs of three features or more, but not more than so many, nor than there are names.
pub(crate) fn sketches(
    has_lineages: bool,
    at_most: usize,
) -> impl Strategy<Value = Vec<FeatureSketch>> {
    vec(feature(has_lineages), 3..=KEYS.len().min(at_most))
}

/// Changes, most of them of code versions.
pub(crate) fn edits(has_lineages: bool) -> BoxedStrategy<Edit> {
    let (feature, nth) = (0..6_u8, 0..3_u8);
    let plain = prop_oneof![
        5 => (feature.clone(), nth.clone(), 0..3_u8)
            .prop_map(|(feature, field, version)| Edit::CodeVersion { feature, field, version }),
        2 => (feature.clone(), field()).prop_map(|(feature, field)| Edit::AddField { feature, field }),
        2 => (feature.clone(), nth.clone())
            .prop_map(|(feature, field)| Edit::RemoveField { feature, field }),
        2 => (feature.clone(), nth.clone(), field_deps())
            .prop_map(|(feature, field, deps)| Edit::FieldDeps { feature, field, deps }),
        2 => (feature.clone(), nth.clone(), mapping())
            .prop_map(|(feature, dep, mapping)| Edit::Mapping { feature, dep, mapping }),
        5 => (feature.clone(), dep(has_lineages)).prop_map(|(feature, dep)| Edit::AddUpstream { feature, dep }),
        2 => (feature.clone(), nth.clone())
            .prop_map(|(feature, dep)| Edit::RemoveUpstream { feature, dep }),
        1 => (feature.clone(), nth.clone()).prop_map(|(feature, field)| Edit::Rename { feature, field }),
    ];
    if !has_lineages {
        return plain.boxed();
    }
    prop_oneof![
        5 => plain,
        2 => (feature, nth, any::<bool>(), 0..6_u8).prop_map(
            |(feature, dep, optional, filter)| Edit::Kind { feature, dep, optional, filter }
        ),
    ]
    .boxed()
}

/// The definitions of a program, and the graph that they form.
#[derive(Clone)]
pub(crate) struct Program {
    definitions: Vec<FeatureDefinition>,
    pub(crate) graph: FeatureGraph,
}

impl Program {
    /// The program of a sketch.
    pub(crate) fn new(sketches: &[FeatureSketch]) -> Self {
        let mut definitions = Vec::new();
        for (index, sketch) in sketches.iter().enumerate() {
            let mut spec = empty(index);
            for dep in sketch.deps.iter().filter(|_| index > 0) {
                let upstream: &FeatureDefinition = nth(&definitions, dep.upstream);
                if spec.deps.iter().any(|dep| dep.feature == upstream.spec.key) {
                    continue;
                }
                spec.deps.push(dep_on(upstream, dep));
                if ids(&spec, &definitions, 0).len() > MOST_IDS {
                    spec.deps.pop();
                }
            }
            spec.id_columns = ids(&spec, &definitions, sketch.ids);
            let all = [&definitions[..], &[definition(index, spec.clone())]].concat();
            if FeatureGraph::build(all).is_err() {
                // The lineages do not go together: one record for each it is then.
                for dep in &mut spec.deps {
                    (dep.lineage, dep.optional) = (Lineage::Identity, false);
                }
                while ids(&spec, &definitions, 0).len() > MOST_IDS {
                    spec.deps.pop();
                }
                spec.id_columns = ids(&spec, &definitions, sketch.ids);
                // A column that one brings may be the id of another.
                let all = [&definitions[..], &[definition(index, spec.clone())]].concat();
                if FeatureGraph::build(all).is_err() {
                    spec.deps.truncate(1);
                    spec.id_columns = ids(&spec, &definitions, sketch.ids);
                }
            }
            for field in &sketch.fields {
                add_field(&mut spec, field, &definitions);
            }
            definitions.push(definition(index, spec));
        }
        Self::settled(definitions).expect("a feature whose fields depend on everything is valid")
    }

    /// The program of these definitions; where they form no graph, a feature's fields depend on
    /// everything that is upstream of it. Nothing if even that does not help.
    fn settled(mut definitions: Vec<FeatureDefinition>) -> Option<Self> {
        for end in 1..=definitions.len() {
            if FeatureGraph::build(definitions[..end].to_vec()).is_err() {
                for field in &mut definitions[end - 1].spec.fields {
                    field.deps = FieldDeps::All;
                }
                FeatureGraph::build(definitions[..end].to_vec()).ok()?;
            }
        }
        let graph = FeatureGraph::build(definitions.clone()).ok()?;
        Some(Self { definitions, graph })
    }

    /// The program after a change; nothing if the change means nothing here.
    pub(crate) fn edited(&self, edit: &Edit) -> Option<Self> {
        let mut definitions = self.definitions.clone();
        let place = |feature: u8| usize::from(feature) % self.definitions.len();
        let field_place = |feature: u8, field: u8| {
            usize::from(field) % self.definitions[place(feature)].spec.fields.len()
        };
        match edit {
            Edit::CodeVersion { feature, field, version } => {
                let spec = &mut definitions[place(*feature)].spec;
                spec.fields[field_place(*feature, *field)].code_version = code_version(*version);
            }
            Edit::AddField { feature, field } => {
                let (before, rest) = definitions.split_at_mut(place(*feature));
                add_field(&mut rest[0].spec, field, before);
            }
            Edit::RemoveField { feature, field } => {
                let fields = &mut definitions[place(*feature)].spec.fields;
                if fields.len() == 1 {
                    return None;
                }
                fields.remove(field_place(*feature, *field));
            }
            Edit::FieldDeps { feature, field, deps } => {
                let (before, rest) = definitions.split_at_mut(place(*feature));
                let deps = field_deps_of(deps, &rest[0].spec, before);
                rest[0].spec.fields[field_place(*feature, *field)].deps = deps;
            }
            Edit::Mapping { feature, dep, mapping } => {
                let deps = &mut definitions[place(*feature)].spec.deps;
                if deps.is_empty() {
                    return None;
                }
                let dep = usize::from(*dep) % deps.len();
                deps[dep].fields_mapping = mapping_of(mapping);
            }
            Edit::AddUpstream { feature, dep } => {
                // The first feature has none before it; of the others, the first that fits.
                let feature = 1 + usize::from(*feature) % (definitions.len() - 1);
                return (0..feature).find_map(|n| {
                    let mut definitions = definitions.clone();
                    let upstream = &definitions[(usize::from(dep.upstream) + n) % feature];
                    let dep = dep_on(upstream, dep);
                    definitions[feature].spec.deps.push(dep);
                    Self::settled(definitions).filter(Self::adds_children_alone)
                });
            }
            Edit::Kind { feature, dep, optional, filter } => {
                let (before, rest) = definitions.split_at_mut(place(*feature));
                let deps = &mut rest[0].spec.deps;
                if deps.is_empty() {
                    return None;
                }
                let dep = usize::from(*dep) % deps.len();
                let upstream = before.iter().find(|d| d.spec.key == deps[dep].feature)?;
                deps[dep].optional = *optional;
                deps[dep].filters = filter_of(*filter, upstream, &deps[dep]);
            }
            Edit::Rename { feature, field } => {
                let fields = &mut definitions[place(*feature)].spec.fields;
                let field = &mut fields[field_place(*feature, *field)];
                if field.renamed_from.is_none() {
                    field.renamed_from = Some(field.key.clone());
                    field.key = FieldKey::new(format!("{}/now", field.key)).ok()?;
                }
            }
            Edit::RemoveUpstream { feature, dep } => {
                let deps = &mut definitions[place(*feature)].spec.deps;
                if deps.is_empty() {
                    return None;
                }
                deps.remove(usize::from(*dep) % deps.len());
            }
        }
        let ids = |program: &Self| -> Vec<Vec<String>> {
            program.keys().iter().map(|key| program.spec(key).id_columns.clone()).collect()
        };
        // A table keeps its ids.
        Self::settled(definitions)
            .filter(|after| after.definitions != self.definitions && ids(after) == ids(self))
            .filter(Self::adds_children_alone)
    }

    fn adds_children_alone(&self) -> bool {
        let mut specs = self.definitions.iter().map(|definition| &definition.spec);
        specs.all(|spec| adds_children_alone(spec, &self.definitions))
    }

    /// The features in topological order.
    pub(crate) fn keys(&self) -> Vec<FeatureKey> {
        self.graph.keys().cloned().collect()
    }

    pub(crate) fn key(&self, feature: u8) -> FeatureKey {
        nth(&self.definitions, feature).spec.key.clone()
    }

    pub(crate) fn spec(&self, key: &FeatureKey) -> &FeatureSpec {
        &self.graph.get(key).expect("all programs have all features").spec
    }

    pub(crate) fn is_root(&self, key: &FeatureKey) -> bool {
        self.spec(key).deps.is_empty()
    }

    /// The ids by which increments name records: of an expansion those of the parent.
    pub(crate) fn record_names(&self, key: &FeatureKey) -> Vec<String> {
        let mut names = self.spec(key).id_columns.clone();
        names.retain(|name| !self.is_expansion(key) || name != CHILD);
        names
    }

    /// An upstream of a feature, and a condition over the columns that it has there.
    pub(crate) fn upstream_condition(
        &self,
        key: &FeatureKey,
        (dep, sketch): (u8, u8),
    ) -> Option<(FeatureKey, String)> {
        let dep = nth(&self.spec(key).deps, dep);
        let filter = filter_of(sketch, self.graph.get(&dep.feature)?, dep)?.pop()?;
        Some((dep.feature.clone(), filter))
    }

    /// A condition over an id that all upstreams of a feature have.
    pub(crate) fn common_condition(&self, key: &FeatureKey) -> Option<String> {
        let deps = &self.spec(key).deps;
        let has = |dep: &FeatureDep, id: &String| {
            self.spec(&dep.feature).id_columns.iter().any(|there| dep.renamed(there) == id)
        };
        let mut ids = self.spec(key).id_columns.iter();
        let id = ids.find(|id| deps.iter().all(|dep| has(dep, id)))?;
        condition(4, id, id)
    }

    /// A condition over the stored records of a feature; of an expansion, over parents.
    pub(crate) fn stored_condition(&self, key: &FeatureKey, sketch: u8) -> Option<String> {
        if sketch == 6 {
            return Some("metaxy_provenance IS NOT NULL AND metaxy_deleted_at IS NULL".to_owned());
        }
        let names = self.record_names(key);
        let id = names.first()?;
        let own = &self.columns(key).last()?.name;
        condition(if self.is_expansion(key) && sketch > 0 { 4 } else { sketch }, own, id)
    }

    /// A column of the increments of a feature.
    pub(crate) fn order_column(&self, key: &FeatureKey, n: u8) -> String {
        let mut columns = self.record_names(key);
        for dep in &self.spec(key).deps {
            let upstream = self.columns(&dep.feature).last().expect("a column");
            let own = dep.renamed(&upstream.name);
            let comes = dep.select.as_ref().is_none_or(|select| select.iter().any(|c| c == own));
            if comes && !matches!(dep.lineage, Lineage::Aggregation { .. }) {
                columns.insert(0, own.to_owned());
            }
        }
        nth(&columns, n).clone()
    }

    /// Whether a feature, or one that is computed from it, is grouped by what may change.
    pub(crate) fn is_grouped(&self, key: &FeatureKey) -> bool {
        let downstream = self.graph.all_downstreams(key);
        let mut deps = downstream.iter().flat_map(|definition| &definition.spec.deps);
        deps.any(|dep| matches!(dep.lineage, Lineage::Aggregation { .. }))
    }

    /// One of the features whose records are children, if there are any.
    pub(crate) fn expansion(&self, n: u8) -> Option<FeatureKey> {
        let mut keys = self.keys();
        keys.retain(|key| self.is_expansion(key));
        (!keys.is_empty()).then(|| nth(&keys, n).clone())
    }

    /// Whether one upstream record gives any number of records.
    pub(crate) fn is_expansion(&self, key: &FeatureKey) -> bool {
        let deps = &self.spec(key).deps;
        // One that was added later adds no id to a table that has rows: it gives a record each.
        let adds = self.spec(key).id_columns.iter().any(|id| id == CHILD)
            && deps.iter().any(|dep| matches!(dep.lineage, Lineage::Expansion { .. }));
        // Where an upstream has such an id as well, it gives it.
        let gives = |dep: &FeatureDep| match &dep.lineage {
            Lineage::Identity => {
                self.spec(&dep.feature).id_columns.iter().any(|id| dep.renamed(id) == CHILD)
            }
            Lineage::Aggregation { on } => {
                on.as_ref().is_none_or(|on| on.iter().any(|c| c == CHILD))
            }
            Lineage::Expansion { on, .. } => on.iter().any(|c| c == CHILD),
        };
        adds && !deps.iter().any(gives)
    }

    /// The columns, ids first; the last one is the feature's own.
    pub(crate) fn columns(&self, key: &FeatureKey) -> &[ColumnSpec] {
        let definition = self.graph.get(key).expect("all programs have all features");
        definition.columns.as_deref().expect("columns are declared")
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for key in self.keys() {
            let spec = self.spec(&key);
            write!(f, "\n    {key} ({})", spec.id_columns.join(", "))?;
            for dep in &spec.deps {
                let optional = if dep.optional { "?" } else { "" };
                write!(f, " <- {}{optional}", dep.feature)?;
                match &dep.lineage {
                    Lineage::Identity => {}
                    Lineage::Aggregation { on } => write!(f, " grouped on {on:?}")?,
                    Lineage::Expansion { .. } => f.write_str(" expanded")?,
                }
                for filter in dep.filters.iter().flatten() {
                    write!(f, " where {filter}")?;
                }
                for (from, to) in dep.renames() {
                    write!(f, " {from}>{to}")?;
                }
                if let Some(select) = &dep.select {
                    write!(f, " select {select:?}")?;
                }
            }
            for field in &spec.fields {
                let parents = self.graph.parents(&key, &field.key).iter();
                let parents: Vec<_> = parents.map(crate::graph::ParentField::label).collect();
                let code_version = field.code_version.replace("__metaxy_initial__", "0");
                write!(f, "\n        {} code {code_version}", field.key)?;
                if !parents.is_empty() {
                    write!(f, " of {}", parents.join(", "))?;
                }
            }
        }
        Ok(())
    }
}

fn nth<T>(items: &[T], n: u8) -> &T {
    &items[usize::from(n) % items.len()]
}

fn field_key(key: u8) -> FieldKey {
    FieldKey::new(nth(&FIELDS, key)).expect("a key")
}

fn code_version(version: u8) -> String {
    match version {
        0 => crate::spec::INITIAL_CODE_VERSION.to_owned(),
        version => version.to_string(),
    }
}

fn empty(index: usize) -> FeatureSpec {
    FeatureSpec {
        key: FeatureKey::new(KEYS[index]).expect("a key"),
        id_columns: Vec::new(),
        deps: Vec::new(),
        fields: Vec::new(),
        metadata: serde_json::Map::new(),
        description: None,
    }
}

/// Whether a column holds numbers: ids by their first letter, and the features' own columns, which may
/// be the ids of a group, and of a root that was one.
pub(crate) fn is_number(column: &str) -> bool {
    column.starts_with('i') || column.starts_with("value of")
}

fn definition(index: usize, spec: FeatureSpec) -> FeatureDefinition {
    let id = |name: &String| ColumnSpec {
        name: name.clone(),
        ty: ColumnType::Scalar(if is_number(name) { ScalarType::Int64 } else { ScalarType::Text }),
        nullable: false,
    };
    let mut columns: Vec<_> = spec.id_columns.iter().map(id).collect();
    // A name that has to be quoted, and that no other feature has.
    let (name, ty) = (format!("value of {index}"), ColumnType::Scalar(ScalarType::Int64));
    columns.push(ColumnSpec { name, ty, nullable: true });
    FeatureDefinition {
        spec,
        project: "p".to_owned(),
        columns: Some(columns),
        schema: serde_json::Map::new().into(),
        type_path: String::new(),
        origin: Origin::SpecFile { index },
    }
}

fn dep_on(upstream: &FeatureDefinition, sketch: &DepSketch) -> FeatureDep {
    let columns = upstream.columns.as_deref().expect("columns are declared");
    let own = columns.last().expect("a column").name.clone();
    let mut rename = Vec::new();
    if sketch.renames_id {
        let id = &upstream.spec.id_columns[0];
        // The type goes by the first letter.
        let here = format!("{id}2");
        if !upstream.spec.id_columns.contains(&here) {
            rename.push((id.clone(), here));
        }
    }
    if sketch.renames_column {
        rename.push((own.clone(), format!("{own}, renamed")));
    }
    let mut dep = FeatureDep::new(upstream.spec.key.clone());
    dep.rename = (!rename.is_empty()).then_some(rename);
    dep.select = match sketch.select {
        0 => None,
        1 => Some(Vec::new()),
        _ => Some(vec![dep.renamed(&own).to_owned()]),
    };
    dep.fields_mapping = mapping_of(&sketch.mapping);
    let ids: Vec<String> =
        upstream.spec.id_columns.iter().map(|id| dep.renamed(id).to_owned()).collect();
    let column = dep.renamed(&own).to_owned();
    dep.lineage = match sketch.kind.lineage {
        1 if ids.len() > 1 => Lineage::Aggregation { on: Some(ids[1..].to_vec()) },
        1 | 2 => Lineage::Aggregation { on: Some(vec![column]) },
        3 => Lineage::Aggregation { on: Some(vec![ids[0].clone(), column]) },
        4 => Lineage::Aggregation { on: None },
        // A child has no children of its own here: the added id has one name.
        5 if !ids.iter().any(|id| id == CHILD) => {
            Lineage::Expansion { on: ids, id_generation_pattern: None }
        }
        _ => Lineage::Identity,
    };
    dep.optional = sketch.kind.optional;
    dep.filters = filter_of(sketch.kind.filter, upstream, &dep);
    dep
}

/// A filter over the column or the first id of an upstream.
fn filter_of(sketch: u8, upstream: &FeatureDefinition, dep: &FeatureDep) -> Option<Vec<String>> {
    let columns = upstream.columns.as_deref().expect("columns are declared");
    let own = dep.renamed(&columns.last().expect("a column").name);
    let id = dep.renamed(&upstream.spec.id_columns[0]);
    condition(sketch, own, id).map(|condition| vec![condition])
}

/// A condition over a column of numbers, or over an id.
fn condition(sketch: u8, column: &str, id: &str) -> Option<String> {
    Some(match sketch {
        1 => format!("\"{column}\" < 3"),
        2 => format!("\"{column}\" <> 1"),
        3 => format!("\"{column}\" IN (0, 2) OR \"{column}\" IS NULL"),
        4 if is_number(id) => format!("\"{id}\" > 1"),
        4 => format!("\"{id}\" LIKE 'p%'"),
        5 => format!("NOT \"{column}\" = 2"),
        _ => return None,
    })
}

/// Whether some values fulfil one of these conditions: an understanding of them that no engine has a
/// part in.
pub(crate) fn fulfils(condition: &str, value: impl Fn(&str) -> Value) -> bool {
    let (is_negated, condition) = match condition.strip_prefix("NOT ") {
        Some(rest) => (true, rest),
        None => (false, condition),
    };
    let (column, test) = condition.trim_start_matches('"').split_once("\" ").expect("a column");
    // Nothing is unknown here: columns without a value are no part of these histories.
    let (number, text) = match value(column) {
        Value::Int(number) => (number, String::new()),
        Value::Text(text) => (0, text),
        Value::Null => panic!("`{column}` has no value"),
    };
    let holds = match test {
        "< 3" => number < 3,
        "<> 1" => number != 1,
        "= 2" => number == 2,
        "> 1" => number > 1,
        "LIKE 'p%'" => text.starts_with('p'),
        test if test.starts_with("IN (0, 2)") => number == 0 || number == 2,
        test => panic!("what `{test}` means is not known here"),
    };
    holds != is_negated
}

fn mapping_of(sketch: &MappingSketch) -> FieldsMapping {
    match sketch {
        MappingSketch::ByName => FieldsMapping::default(),
        MappingSketch::BySuffix => {
            FieldsMapping::Default { match_suffix: true, exclude: Vec::new() }
        }
        MappingSketch::Excluding(field) => {
            FieldsMapping::Default { match_suffix: false, exclude: vec![field_key(*field)] }
        }
        MappingSketch::All => FieldsMapping::All,
        MappingSketch::None => FieldsMapping::None,
        MappingSketch::Specific(pairs) => FieldsMapping::Specific(
            pairs.iter().map(|(own, theirs)| (field_key(*own), vec![field_key(*theirs)])).collect(),
        ),
    }
}

/// Whether no id but the one of children is added: where an upstream goes, an expansion would add
/// what it gave.
fn adds_children_alone(spec: &FeatureSpec, definitions: &[FeatureDefinition]) -> bool {
    let is_group_on_ids = |dep: &FeatureDep| dep.lineage == Lineage::Aggregation { on: None };
    let given = ids(spec, definitions, 0);
    spec.deps.is_empty()
        || spec.deps.iter().any(is_group_on_ids)
        || spec.id_columns.iter().all(|id| given.contains(id))
}

/// The ids that the upstreams give together; for a root, those of the sketch.
fn ids(spec: &FeatureSpec, definitions: &[FeatureDefinition], sketch: u8) -> Vec<String> {
    let mut ids: Vec<String> = Vec::new();
    for dep in &spec.deps {
        let upstream = definitions.iter().find(|d| d.spec.key == dep.feature);
        let upstream = upstream.into_iter().flat_map(|upstream| &upstream.spec.id_columns);
        let given: Vec<String> = match &dep.lineage {
            Lineage::Identity => upstream.map(|id| dep.renamed(id).to_owned()).collect(),
            // By default a group has all ids of the feature, whatever they are.
            Lineage::Aggregation { on } => on.clone().unwrap_or_default(),
            Lineage::Expansion { on, .. } => on.iter().cloned().chain([CHILD.to_owned()]).collect(),
        };
        for id in given {
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
    }
    if spec.deps.is_empty() {
        return nth(&IDS, sketch).iter().map(|id| (*id).to_owned()).collect();
    }
    if sketch % 2 == 1 {
        ids.reverse();
    }
    ids
}

fn add_field(spec: &mut FeatureSpec, sketch: &FieldSketch, before: &[FeatureDefinition]) {
    let key = field_key(sketch.key);
    if spec.fields.iter().any(|field| field.key == key) {
        return;
    }
    let mut field = FieldSpec::new(key);
    field.code_version = code_version(sketch.code_version);
    field.deps = field_deps_of(&sketch.deps, spec, before);
    spec.fields.push(field);
}

fn field_deps_of(
    sketch: &FieldDepsSketch,
    spec: &FeatureSpec,
    before: &[FeatureDefinition],
) -> FieldDeps {
    match sketch {
        _ if spec.deps.is_empty() => FieldDeps::Mapped,
        FieldDepsSketch::Mapped => FieldDeps::Mapped,
        FieldDepsSketch::All => FieldDeps::All,
        FieldDepsSketch::Explicit(fields) => FieldDeps::Fields(
            fields
                .iter()
                .map(|(dep, field)| {
                    let feature = nth(&spec.deps, *dep).feature.clone();
                    let upstream = before.iter().find(|d| d.spec.key == feature);
                    let fields = &upstream.expect("upstreams come before").spec.fields;
                    let fields = field.map(|field| vec![nth(fields, field).key.clone()]);
                    FieldDep { feature, fields }
                })
                .collect(),
        ),
    }
}
