//! What a graph has to fulfil: one function per rule, each of which adds to the list of errors.

use super::error::{FeatureSite, GraphError};
use super::parents::Unresolved;
use super::topo::Topology;
use crate::key::{FeatureKey, FieldKey};
use crate::nearest::nearest;
use crate::spec::{FeatureDefinition, FieldSpec};
use indexmap::IndexMap;
use std::sync::Arc;

type Features = IndexMap<FeatureKey, Arc<FeatureDefinition>>;

/// A key belongs to one feature. Of several, the first is kept, so that the rest can be checked.
pub(super) fn unique(sorted: &mut Vec<Arc<FeatureDefinition>>, errors: &mut Vec<GraphError>) {
    for same_key in sorted.chunk_by(|a, b| a.spec.key == b.spec.key).filter(|c| c.len() > 1) {
        errors.push(GraphError::DuplicateKey {
            key: same_key[0].spec.key.clone(),
            origins: same_key.iter().map(|d| d.origin.clone()).collect(),
        });
    }
    sorted.dedup_by(|a, b| a.spec.key == b.spec.key);
}

/// No feature is computed from itself, near or far.
pub(super) fn acyclic(features: &Features, topology: &Topology, errors: &mut Vec<GraphError>) {
    for path in topology.cycles() {
        let path = path.into_iter().map(|i| FeatureSite::of(&features[i])).collect();
        errors.push(GraphError::Cycle { path });
    }
}

/// Everything that concerns one feature and what it is computed from.
pub(super) fn feature(
    definition: &FeatureDefinition,
    features: &Features,
    errors: &mut Vec<GraphError>,
) {
    for dep in &definition.spec.deps {
        if !features.contains_key(&dep.feature) {
            let nearest = nearest(dep.feature.as_str(), features.keys().map(FeatureKey::as_str));
            errors.push(GraphError::MissingUpstream {
                feature: FeatureSite::of(definition),
                upstream: dep.feature.clone(),
                nearest: nearest.and_then(|key| FeatureKey::new(key).ok()),
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
    errors: &mut Vec<GraphError>,
) {
    let (feature, field) = (FeatureSite::of(definition), field.key.clone());
    for unresolved in unresolved {
        let (feature, field) = (feature.clone(), field.clone());
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
