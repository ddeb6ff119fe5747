//! [`Picture`]: what is shown, decided once: features, fields, edges, and what is marked about them.
//!
//! A graph and the options go in. With a difference, what was removed is added from the graph before;
//! old and new together may have cycles, so nothing here or after it may rely on an order.

use super::{Around, Difference, Direction, Look, Mark, State};
use crate::graph::FeatureGraph;
use crate::key::{FeatureKey, FieldKey};
use crate::spec::{FeatureDefinition, FeatureDep, FieldSpec, INITIAL_CODE_VERSION, Lineage};
use crate::version::GraphVersions;
use indexmap::IndexMap;
use std::collections::{BTreeSet, HashSet, VecDeque};
use std::sync::Arc;

pub(super) struct Picture<'a> {
    pub title: String,
    pub direction: Direction,
    pub shows_fields: bool,
    pub shows_versions: bool,
    pub shows_code_versions: bool,
    pub features: Vec<Feature<'a>>,
    /// One per upstream of a feature that is shown itself.
    pub links: Vec<Link<'a>>,
    pub edges: Vec<Edge>,
}

pub(super) struct Feature<'a> {
    pub definition: &'a FeatureDefinition,
    pub version: Option<String>,
    pub fields: Vec<Field<'a>>,
    pub state: Option<State>,
    pub mark: Option<Mark>,
}

pub(super) struct Field<'a> {
    pub spec: &'a FieldSpec,
    pub version: Option<String>,
    /// What it is computed from, shown or not.
    pub parents: Vec<String>,
    pub mark: Option<Mark>,
}

pub(super) struct Link<'a> {
    pub upstream: usize,
    pub downstream: usize,
    pub dep: &'a FeatureDep,
    /// Added or removed, if anything.
    pub mark: Option<Mark>,
}

/// A line of the drawing: between two fields, or between two features.
pub(super) struct Edge {
    pub link: usize,
    /// The position of the field; `None` is the feature.
    pub from: Option<usize>,
    pub to: Option<usize>,
    /// Added or removed, if anything.
    pub mark: Option<Mark>,
}

impl Feature<'_> {
    pub(super) fn key(&self) -> &str {
        self.definition.spec.key.as_str()
    }

    /// The key in two parts, the last one alone.
    pub(super) fn split_key(&self) -> (&str, &str) {
        let key = self.key();
        key.split_at(key.rfind('/').map_or(0, |slash| slash + 1))
    }
}

impl Field<'_> {
    /// The code version, if somebody has written one.
    pub(super) fn code_version(&self) -> Option<&str> {
        Some(self.spec.code_version.as_str()).filter(|version| *version != INITIAL_CODE_VERSION)
    }
}

impl Link<'_> {
    /// The relation as a class of the drawing, and in short; nothing for one to one.
    pub(super) fn relation(&self) -> (&'static str, Option<&'static str>) {
        match self.dep.lineage {
            Lineage::Identity => ("identity", None),
            Lineage::Aggregation { .. } => ("aggregation", Some("N:1")),
            Lineage::Expansion { .. } => ("expansion", Some("1:N")),
        }
    }

    pub(super) fn is_filtered(&self) -> bool {
        self.dep.filters.as_ref().is_some_and(|filters| !filters.is_empty())
    }
}

impl<'a> Picture<'a> {
    pub(super) fn of(look: &'a Look<'_>) -> Self {
        let length = look.hash_truncation_length;
        let (graph, difference) = (look.graph, look.difference.as_ref());
        let sides = Sides {
            now: (graph, graph.versions(length)),
            before: difference.map(|d| (&d.before, d.before.versions(length))),
            difference,
        };

        let mut all: IndexMap<&FeatureKey, &FeatureDefinition> = IndexMap::new();
        for definition in sides.graphs().flat_map(FeatureGraph::iter) {
            all.entry(&definition.spec.key).or_insert(definition);
        }
        let shown = shown(&all, &look.around);
        let features: Vec<Feature<'a>> = (all.iter())
            .filter(|(key, _)| shown.contains(*key))
            .map(|(key, definition)| sides.feature(definition, look.states.get(key).copied()))
            .collect();
        let mut picture = Self {
            title: look.title.clone().unwrap_or_else(|| project(&features)),
            direction: look.direction,
            shows_fields: look.fields,
            shows_versions: look.versions,
            shows_code_versions: look.code_versions,
            features,
            links: Vec::new(),
            edges: Vec::new(),
        };
        picture.connect(&sides);
        picture
    }

    fn connect(&mut self, sides: &Sides<'a>) {
        let features = self.features.iter().enumerate();
        let positions: IndexMap<&FeatureKey, usize> =
            features.map(|(i, feature)| (&feature.definition.spec.key, i)).collect();
        for (downstream, feature) in self.features.iter().enumerate() {
            let key = &feature.definition.spec.key;
            for (dep, mark) in sides.deps(key) {
                let Some(upstream) = positions.get(&dep.feature).copied() else { continue };
                let link = self.links.len();
                self.links.push(Link { upstream, downstream, dep, mark });
                let mut n_edges = 0;
                for (to, field) in feature.fields.iter().enumerate().filter(|_| self.shows_fields) {
                    for (from, parent) in self.features[upstream].fields.iter().enumerate() {
                        let ends = (&dep.feature, &parent.spec.key, key, &field.spec.key);
                        if let Some(mark) = sides.edge(ends) {
                            self.edges.push(Edge { link, from: Some(from), to: Some(to), mark });
                            n_edges += 1;
                        }
                    }
                }
                if n_edges == 0 {
                    self.edges.push(Edge { link, from: None, to: None, mark });
                }
            }
        }
    }

    /// The links that lead away from a feature, or to it.
    pub(super) fn links_of(&self, feature: usize, down: bool) -> impl Iterator<Item = &Link<'a>> {
        self.links
            .iter()
            .filter(move |link| feature == if down { link.upstream } else { link.downstream })
    }
}

/// The graph of today and, with a difference, the one before it.
struct Sides<'a> {
    now: (&'a FeatureGraph, Arc<GraphVersions>),
    before: Option<(&'a FeatureGraph, Arc<GraphVersions>)>,
    difference: Option<&'a Difference>,
}

type Ends<'k> = (&'k FeatureKey, &'k FieldKey, &'k FeatureKey, &'k FieldKey);

impl<'a> Sides<'a> {
    /// Today's first: what is in both is shown as it is today.
    fn graphs(&self) -> impl Iterator<Item = &'a FeatureGraph> {
        [Some(self.now.0), self.before.as_ref().map(|side| side.0)].into_iter().flatten()
    }

    fn feature(&self, definition: &'a FeatureDefinition, state: Option<State>) -> Feature<'a> {
        let key = &definition.spec.key;
        let now = self.now.0.get(key).is_some();
        let before = self.before.as_ref().and_then(|(graph, _)| graph.get(key));
        let old_fields = before.map_or(&[][..], |before| &before.spec.fields);
        let is_in = |fields: &[FieldSpec], field: &FieldSpec| {
            fields.iter().any(|other| other.wire_key() == field.wire_key())
        };
        let fields = &definition.spec.fields;
        let removed = old_fields.iter().filter(|field| !is_in(fields, field));
        let only = |field: &FieldSpec| match (now, self.before.is_some()) {
            (false, _) => Some(Mark::Removed),
            (true, true) if !is_in(old_fields, field) => Some(Mark::Added),
            (true, _) => None,
        };
        Feature {
            definition,
            version: self.versions().find_map(|v| Some(v.feature(key)?.feature_version.clone())),
            fields: (fields.iter().map(|field| (field, only(field))))
                .chain(removed.map(|field| (field, Some(Mark::Removed))))
                .map(|(field, mark)| self.field(key, field, mark))
                .collect(),
            state,
            mark: self.difference.and_then(|difference| {
                let unnamed = match (before, now) {
                    (None, _) => Some(Mark::Added),
                    (_, false) => Some(Mark::Removed),
                    (Some(_), true) => None,
                };
                difference.features.get(key).copied().or(unnamed)
            }),
        }
    }

    fn field(&self, feature: &FeatureKey, spec: &'a FieldSpec, mark: Option<Mark>) -> Field<'a> {
        let version = |v: &GraphVersions| v.feature(feature)?.fields.get(&spec.key).cloned();
        let has = |graph: &&FeatureGraph| {
            let definition = graph.get(feature);
            definition.is_some_and(|d| d.spec.fields.iter().any(|field| field.key == spec.key))
        };
        let side = self.graphs().find(has);
        let parents = side.map_or(&[][..], |graph| graph.parents(feature, &spec.key));
        let named = |d: &Difference| d.fields.get(&(feature.clone(), spec.key.clone())).copied();
        Field {
            spec,
            version: self.versions().find_map(version),
            parents: parents.iter().map(ToString::to_string).collect(),
            mark: self.difference.and_then(named).or(mark),
        }
    }

    fn versions(&self) -> impl Iterator<Item = &GraphVersions> {
        [Some(&self.now), self.before.as_ref()]
            .into_iter()
            .flatten()
            .map(|(_, versions)| &**versions)
    }

    /// The upstreams of a feature on both sides, each as it is today if it is one today.
    fn deps(&self, key: &FeatureKey) -> Vec<(&'a FeatureDep, Option<Mark>)> {
        let of = |graph: &'a FeatureGraph| graph.get(key).map_or(&[][..], |d| &d.spec.deps);
        let now = of(self.now.0);
        let Some((graph, _)) = &self.before else {
            return now.iter().map(|dep| (dep, None)).collect();
        };
        let before = of(graph);
        let is_in = |deps: &[FeatureDep], dep: &FeatureDep| {
            deps.iter().any(|other| other.feature == dep.feature)
        };
        let now_marked = now.iter().map(|dep| (dep, (!is_in(before, dep)).then_some(Mark::Added)));
        let removed = before.iter().filter(|dep| !is_in(now, dep));
        now_marked.chain(removed.map(|dep| (dep, Some(Mark::Removed)))).collect()
    }

    /// Whether the second field is computed from the first, on either side; and if on one alone, which.
    fn edge(&self, ends: Ends<'_>) -> Option<Option<Mark>> {
        let (upstream, parent, feature, field) = ends;
        let has = |graph: &FeatureGraph| {
            let parents = graph.parents(feature, field);
            parents.iter().any(|p| p.feature == *upstream && p.field == *parent)
        };
        match (has(self.now.0), self.before.as_ref().map(|(graph, _)| has(graph))) {
            (true, Some(false)) => Some(Some(Mark::Added)),
            (true, _) => Some(None),
            (false, Some(true)) => Some(Some(Mark::Removed)),
            (false, _) => None,
        }
    }
}

/// What is near enough to one of the features that are asked for; everything if none is.
fn shown(
    all: &IndexMap<&FeatureKey, &FeatureDefinition>,
    around: &[Around],
) -> HashSet<FeatureKey> {
    if around.is_empty() {
        return all.keys().copied().cloned().collect();
    }
    let mut upstreams: IndexMap<&FeatureKey, Vec<&FeatureKey>> = IndexMap::new();
    let mut downstreams: IndexMap<&FeatureKey, Vec<&FeatureKey>> = IndexMap::new();
    for (key, definition) in all {
        for dep in &definition.spec.deps {
            upstreams.entry(key).or_default().push(&dep.feature);
            downstreams.entry(&dep.feature).or_default().push(key);
        }
    }
    let mut shown = HashSet::new();
    for Around { feature, up, down } in around {
        for (next, steps) in [(&upstreams, up), (&downstreams, down)] {
            let mut seen = HashSet::from([feature]);
            let mut to_visit = VecDeque::from([(feature, 0)]);
            while let Some((key, distance)) = to_visit.pop_front() {
                if steps.is_some_and(|steps| distance == steps) {
                    continue;
                }
                for near in next.get(key).into_iter().flatten() {
                    if seen.insert(near) {
                        to_visit.push_back((near, distance + 1));
                    }
                }
            }
            shown.extend(seen.into_iter().cloned());
        }
    }
    shown
}

/// The projects of the features, which are one as a rule.
fn project(features: &[Feature<'_>]) -> String {
    let projects: BTreeSet<&str> = features.iter().map(|f| f.definition.project.as_str()).collect();
    projects.into_iter().collect::<Vec<_>>().join(", ")
}
