//! [`FeatureGraph`]: definitions go in, all mistakes come out at once, or a graph in which every
//! field knows its parents.
//!
//! Nothing here reads a store or knows SQL; what a definition looks like is decided in
//! [`spec`](crate::spec), and the hashes are made in [`version`](crate::version).

mod check;
mod error;
mod lint;
mod parents;
#[cfg(test)]
mod tests;
mod topo;

pub(crate) use check::{is_id_type, projects};
pub use error::{FeatureSite, GraphError, GraphErrors};
pub use lint::{GraphLint, Usage};
pub use parents::ParentField;

use crate::def::FeatureDef;
use crate::error::{Error, Result};
use crate::feature::FeatureSet;
use crate::key::{FeatureKey, FieldKey};
use crate::nearest::nearest;
use crate::registry;
use crate::spec::{FeatureDefinition, FeatureSpec, FieldDeps, FieldsMapping, Origin};
use crate::version::GraphVersions;
use indexmap::IndexMap;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use topo::Topology;

/// Features, what each is computed from, and their versions.
///
/// A graph is checked as a whole when it is built and never changes afterwards; a clone is cheap.
#[derive(Clone)]
pub struct FeatureGraph {
    inner: Arc<Inner>,
}

struct Inner {
    /// In topological order.
    nodes: IndexMap<FeatureKey, Node>,
    /// Over the positions in `nodes`.
    topology: Topology,
    /// By the length of the hashes.
    versions: Mutex<BTreeMap<usize, Arc<GraphVersions>>>,
}

struct Node {
    definition: Arc<FeatureDefinition>,
    /// Per field of the spec.
    parents: Vec<FieldParents>,
}

/// The parents of one field, sorted by label; the same ones twice.
struct FieldParents {
    refs: Vec<ParentField>,
    /// Position in the graph, and of the field in its spec.
    positions: Vec<(usize, usize)>,
}

impl FeatureGraph {
    /// Builds a graph of these features, whose order does not matter.
    ///
    /// # Errors
    /// Everything that is wrong with them, at once.
    pub fn build(definitions: Vec<FeatureDefinition>) -> Result<Self, GraphErrors> {
        Self::from_shared(definitions.into_iter().map(Arc::new).collect())
    }

    fn from_shared(mut definitions: Vec<Arc<FeatureDefinition>>) -> Result<Self, GraphErrors> {
        // By text, since ties in the topological order are broken that way.
        definitions.sort_by(|a, b| a.spec.key.as_str().cmp(b.spec.key.as_str()));
        let mut errors = Vec::new();
        check::unique(&mut definitions, &mut errors);
        // What others have recorded is called as it was called there.
        let is_declared = |d: &&FeatureDefinition| {
            matches!(d.origin, Origin::Source { .. } | Origin::SpecFile { .. })
        };
        let declared = definitions.iter().map(|d| &**d).filter(is_declared);
        errors.extend(projects(declared));

        let by_key: IndexMap<FeatureKey, Arc<FeatureDefinition>> =
            definitions.into_iter().map(|d| (d.spec.key.clone(), d)).collect();
        check::tables(&by_key, &mut errors);
        let sorted = Topology::new(by_key.len(), edges(&by_key));
        check::acyclic(&by_key, &sorted, &mut errors);

        let order = sorted.order().into_iter().filter_map(|i| by_key.get_index(i));
        let by_key: IndexMap<_, _> = order.map(|(key, d)| (key.clone(), Arc::clone(d))).collect();
        let topology = Topology::new(by_key.len(), edges(&by_key));

        let mut nodes = IndexMap::with_capacity(by_key.len());
        for (key, definition) in &by_key {
            let upstreams: Vec<parents::Upstream<'_>> = (definition.spec.deps.iter())
                .filter_map(|dep| {
                    let (position, _, upstream) = by_key.get_full(&dep.feature)?;
                    Some((position, dep, &upstream.spec))
                })
                .collect();
            check::feature(definition, &by_key, &mut errors);
            let parents = (definition.spec.fields.iter())
                .map(|field| {
                    let mut unresolved = Vec::new();
                    let positions =
                        parents::resolve(field, &definition.spec, &upstreams, &mut unresolved);
                    check::resolved(definition, field, unresolved, &by_key, &mut errors);
                    let refs = positions.iter().map(|(up, i)| {
                        let upstream = &by_key[*up].spec;
                        ParentField::new(&upstream.key, &upstream.fields[*i])
                    });
                    FieldParents { refs: refs.collect(), positions }
                })
                .collect();
            nodes.insert(key.clone(), Node { definition: Arc::clone(definition), parents });
        }

        if errors.is_empty() {
            Ok(Self { inner: Arc::new(Inner { nodes, topology, versions: Mutex::default() }) })
        } else {
            Err(GraphErrors::new(errors))
        }
    }

    /// All features that are linked into this program.
    ///
    /// The linker leaves out a crate that nothing names: `use my_features as _;` brings it in. Every
    /// program does well to have a test that builds this graph.
    ///
    /// # Errors
    /// [`Error::NothingLinked`] if there is no feature; [`Error::Graph`] with all mistakes, two
    /// definitions of one key included.
    pub fn linked() -> Result<Self> {
        let defs = registry::linked();
        if defs.is_empty() {
            return Err(Error::NothingLinked(registry::NothingLinked));
        }
        Ok(Self::of_defs(&defs)?)
    }

    /// These features and everything upstream of them, whatever else is linked into the program.
    ///
    /// # Errors
    /// All mistakes.
    pub fn of<S: FeatureSet>() -> Result<Self, GraphErrors> {
        Self::of_defs(&registry::with_upstream(S::defs()))
    }

    fn of_defs(defs: &[&FeatureDef]) -> Result<Self, GraphErrors> {
        Self::build(defs.iter().map(|def| def.to_definition()).collect())
    }

    /// The number of features.
    #[must_use]
    pub fn len(&self) -> usize {
        self.inner.nodes.len()
    }

    /// Whether there is no feature at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.inner.nodes.is_empty()
    }

    /// The definition of a feature, if it is in the graph.
    #[must_use]
    pub fn get(&self, key: &FeatureKey) -> Option<&FeatureDefinition> {
        self.inner.nodes.get(key).map(|node| &*node.definition)
    }

    /// The definition of a feature.
    ///
    /// # Errors
    /// [`Error::UnknownFeature`] with the nearest key that there is.
    pub fn expect(&self, key: &FeatureKey) -> Result<&FeatureDefinition> {
        self.get(key).ok_or_else(|| self.unknown_feature(key.as_str()))
    }

    pub(crate) fn unknown_feature(&self, key: &str) -> Error {
        let nearest = nearest(key, self.keys().map(FeatureKey::as_str)).map(str::to_owned);
        Error::UnknownFeature { feature: key.to_owned(), nearest }
    }

    /// The definitions in topological order: the upstreams of a feature come before it.
    ///
    /// It is the wire format's order: a depth-first walk that takes ties by key.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &FeatureDefinition> {
        self.inner.nodes.values().map(|node| &*node.definition)
    }

    /// The keys in topological order.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &FeatureKey> {
        self.inner.nodes.keys()
    }

    /// What the feature is computed from, in topological order; nothing for an unknown feature.
    #[must_use]
    pub fn upstreams(&self, key: &FeatureKey) -> Vec<&FeatureDefinition> {
        self.reached(key, Topology::upstreams)
    }

    /// What is computed from the feature, in topological order; nothing for an unknown feature.
    #[must_use]
    pub fn downstreams(&self, key: &FeatureKey) -> Vec<&FeatureDefinition> {
        self.reached(key, Topology::downstreams)
    }

    /// Everything that the feature is computed from, near and far, without the feature itself.
    #[must_use]
    pub fn all_upstreams(&self, key: &FeatureKey) -> Vec<&FeatureDefinition> {
        self.reached(key, Topology::all_upstreams)
    }

    /// Everything that is computed from the feature, near and far, without the feature itself.
    #[must_use]
    pub fn all_downstreams(&self, key: &FeatureKey) -> Vec<&FeatureDefinition> {
        self.reached(key, Topology::all_downstreams)
    }

    fn reached(
        &self,
        key: &FeatureKey,
        walk: fn(&Topology, usize) -> Vec<usize>,
    ) -> Vec<&FeatureDefinition> {
        let Some(position) = self.inner.nodes.get_index_of(key) else { return Vec::new() };
        let reached = walk(&self.inner.topology, position).into_iter();
        reached.map(|i| &*self.inner.nodes[i].definition).collect()
    }

    /// The features by the longest way to a root: roots first, then what needs only roots, and so on.
    /// Features of one level do not depend on each other.
    #[must_use]
    pub fn levels(&self) -> Vec<Vec<&FeatureDefinition>> {
        let mut level_of = Vec::with_capacity(self.len());
        let mut levels: Vec<Vec<&FeatureDefinition>> = Vec::new();
        for (position, definition) in self.iter().enumerate() {
            let upstreams = self.inner.topology.upstreams(position).into_iter();
            let level: usize = upstreams.map(|up| level_of[up] + 1).max().unwrap_or(0);
            level_of.push(level);
            if level == levels.len() {
                levels.push(Vec::new());
            }
            levels[level].push(definition);
        }
        levels
    }

    /// The upstream fields that a field is computed from, sorted by label; nothing for a root or an
    /// unknown field.
    #[must_use]
    pub fn parents(&self, feature: &FeatureKey, field: &FieldKey) -> &[ParentField] {
        let parents = self.inner.nodes.get(feature).and_then(|node| {
            let position = parents::position(&node.definition.spec, field)?;
            Some(&node.parents[position].refs[..])
        });
        parents.unwrap_or_default()
    }

    /// The same by positions: of features in the graph, of fields in their specs.
    pub(crate) fn parent_positions(&self, feature: usize, field: usize) -> &[(usize, usize)] {
        &self.inner.nodes[feature].parents[field].positions
    }

    /// The spec with first names in place of today's, in references to other features too: the form
    /// in which it is hashed and recorded, so that readers of stored rows find their names in it.
    #[must_use]
    pub fn wire_spec(&self, key: &FeatureKey) -> Option<Cow<'_, FeatureSpec>> {
        self.inner.nodes.get_index_of(key).map(|position| self.wire_spec_at(position))
    }

    pub(crate) fn wire_spec_at(&self, position: usize) -> Cow<'_, FeatureSpec> {
        let spec = &self.inner.nodes[position].definition.spec;
        let is_renamed = |spec: &FeatureSpec| spec.fields.iter().any(|f| f.renamed_from.is_some());
        let upstreams = self.inner.topology.upstreams(position);
        if !is_renamed(spec)
            && !upstreams.iter().any(|up| is_renamed(&self.inner.nodes[*up].definition.spec))
        {
            return Cow::Borrowed(spec);
        }
        let own = spec;
        let mut spec = own.clone();
        let wire = |spec: Option<&FeatureSpec>, name: &mut FieldKey| {
            let position = spec.and_then(|spec| Some((spec, parents::position(spec, name)?)));
            if let Some((spec, i)) = position {
                *name = spec.fields[i].wire_key().clone();
            }
        };
        for field in &mut spec.fields {
            wire(Some(own), &mut field.key);
            field.renamed_from = None;
            if let FieldDeps::Fields(deps) = &mut field.deps {
                for dep in deps {
                    let upstream = self.get(&dep.feature).map(|d| &d.spec);
                    dep.fields.iter_mut().flatten().for_each(|name| wire(upstream, name));
                }
            }
        }
        for dep in &mut spec.deps {
            let upstream = self.get(&dep.feature).map(|d| &d.spec);
            match &mut dep.fields_mapping {
                FieldsMapping::Default { exclude, .. } => {
                    exclude.iter_mut().for_each(|name| wire(upstream, name));
                }
                FieldsMapping::Specific(fields) => {
                    for (field, names) in fields {
                        wire(Some(own), field);
                        names.iter_mut().for_each(|name| wire(upstream, name));
                    }
                }
                FieldsMapping::All | FieldsMapping::None => {}
            }
        }
        Cow::Owned(spec)
    }

    /// All versions, truncated to this length, computed on first use.
    ///
    /// The length is a setting of a store; whoever reads one from the outside checks it against
    /// [`MIN_HASH_TRUNCATION_LENGTH`](crate::version::MIN_HASH_TRUNCATION_LENGTH).
    #[must_use]
    pub fn versions(&self, hash_truncation_length: usize) -> Arc<GraphVersions> {
        let mut versions = self.inner.versions.lock().unwrap_or_else(PoisonError::into_inner);
        let versions = versions
            .entry(hash_truncation_length)
            .or_insert_with(|| Arc::new(GraphVersions::compute(self, hash_truncation_length)));
        Arc::clone(versions)
    }

    /// The same graph with another code version for one field, `example/video.audio`: what would be
    /// stale if it were changed?
    ///
    /// # Errors
    /// [`Error::UnknownFeature`], [`Error::UnknownField`] or, if the code version contains `|`,
    /// [`Error::Graph`].
    pub fn with_code_version(&self, field: &str, code_version: &str) -> Result<Self> {
        let Some((feature, name)) = field.split_once('.') else {
            return Err(Error::NotAField { text: field.to_owned() });
        };
        let node = FeatureKey::new(feature).ok().and_then(|key| self.inner.nodes.get(&key));
        let Some(node) = node else { return Err(self.unknown_feature(feature)) };
        let mut definition = FeatureDefinition::clone(&node.definition);
        let key = FieldKey::new(name).ok();
        let Some(position) = key.and_then(|key| parents::position(&definition.spec, &key)) else {
            let fields = definition.spec.fields.iter().map(|f| f.key.as_str());
            return Err(Error::UnknownField {
                nearest: nearest(name, fields).map(str::to_owned),
                feature: definition.spec.key,
                field: name.to_owned(),
            });
        };
        let field = &mut definition.spec.fields[position];
        if code_version.contains('|') {
            return Err(Error::Graph(GraphErrors::new(vec![GraphError::CodeVersion {
                field: field.key.clone(),
                feature: FeatureSite::of(&definition),
                code_version: code_version.to_owned(),
            }])));
        }
        field.code_version = code_version.to_owned();
        let changed = Arc::new(definition);
        let definitions = self.inner.nodes.values().map(|node| &node.definition);
        let is_changed = |d: &FeatureDefinition| d.spec.key == changed.spec.key;
        let definitions = definitions.map(|d| Arc::clone(if is_changed(d) { &changed } else { d }));
        Ok(Self::from_shared(definitions.collect())?)
    }

    /// What is allowed and hardly ever meant, each with its fix; [`build`](Self::build) does not
    /// refuse it.
    #[must_use]
    pub fn lints(&self) -> Vec<GraphLint> {
        lint::lints(self)
    }

    /// The project of the graph, if all its features but external ones are of one.
    #[must_use]
    pub fn project(&self) -> Option<&str> {
        let own = self.iter().filter(|d| !d.is_external());
        let mut projects = own.map(|d| d.project.as_str());
        let first = projects.next()?;
        projects.all(|project| project == first).then_some(first)
    }
}

/// What is wrong between features of which some are broken already, as far as it does not follow
/// from what is missing in these. `is_key_lost` says that there are features without a key.
pub(crate) fn other_mistakes(
    definitions: Vec<FeatureDefinition>,
    broken: &HashSet<FeatureKey>,
    is_key_lost: bool,
) -> Vec<GraphError> {
    // An upstream that is broken can leave the features after it without fields or columns.
    let downstream_of_broken: HashSet<FeatureKey> = (definitions.iter())
        .filter(|d| d.spec.deps.iter().any(|dep| broken.contains(&dep.feature)))
        .map(|d| d.spec.key.clone())
        .collect();
    let is_sound = |key: &FeatureKey| !broken.contains(key) && !downstream_of_broken.contains(key);
    let is_known = |error: &GraphError| match error {
        GraphError::Cycle { .. }
        | GraphError::DuplicateKey { .. }
        | GraphError::Project { .. }
        | GraphError::TableCollision { .. } => true,
        GraphError::MissingUpstream { .. } => !is_key_lost,
        error => error.features().into_iter().all(&is_sound),
    };
    match FeatureGraph::build(definitions) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.into_iter().filter(is_known).collect(),
    }
}

/// (upstream, downstream) positions, leaving out upstreams that are not there.
fn edges(
    features: &IndexMap<FeatureKey, Arc<FeatureDefinition>>,
) -> impl Iterator<Item = (usize, usize)> {
    features.values().enumerate().flat_map(move |(downstream, definition)| {
        let upstreams = definition.spec.deps.iter();
        upstreams.filter_map(move |dep| Some((features.get_index_of(&dep.feature)?, downstream)))
    })
}

impl fmt::Debug for FeatureGraph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FeatureGraph").field(&self.keys().collect::<Vec<_>>()).finish()
    }
}
