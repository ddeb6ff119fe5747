//! [`GraphLint`]: what is allowed in a graph and hardly ever meant.

use super::FeatureGraph;
use super::error::FeatureSite;
use crate::filter;
use crate::spec::{FeatureDefinition, FeatureDep, Lineage};
use std::fmt;

/// Something in a graph that is no mistake, but gives other results than it seems to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GraphLint {
    /// A feature keeps a copy of an upstream's column, and one downstream decides by it.
    ///
    /// No version covers a column: when the original changes, the copy and all that was decided by
    /// it stay as they are, and nothing becomes stale.
    CopyDecides {
        /// The feature with the copy.
        feature: FeatureSite,
        /// The column.
        column: String,
        /// The feature with the original.
        upstream: FeatureSite,
        /// The feature that decides by the copy.
        downstream: FeatureSite,
        /// What it does with it.
        usage: Usage,
    },
}

/// What a feature does with a column of an upstream, apart from reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usage {
    /// It names the groups of an aggregation.
    Group,
    /// A filter looks at it.
    Filter,
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Group => "groups by it",
            Self::Filter => "filters by it",
        })
    }
}

impl fmt::Display for GraphLint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::CopyDecides { feature, column, upstream, downstream, usage } = self;
        write!(
            f,
            "{feature} keeps a copy of the column `{column}` that it selects from {upstream}, and \
             {downstream} {usage}; no version sees that column, so the copy stays as it is when the \
             original changes; let `{}` depend on `{}` and take the column from there, or let \
             a field of `{}` depend on what decides it",
            downstream.key, upstream.key, feature.key,
        )
    }
}

/// All lints, in the order of the features that decide.
pub(super) fn lints(graph: &FeatureGraph) -> Vec<GraphLint> {
    let mut lints = Vec::new();
    for downstream in graph.iter() {
        for dep in &downstream.spec.deps {
            let Some(feature) = graph.get(&dep.feature) else { continue };
            for (column, usage) in decides_by(dep, feature) {
                lints.extend(originals(graph, feature, &column).map(|upstream| {
                    GraphLint::CopyDecides {
                        feature: FeatureSite::of(feature),
                        column: column.clone(),
                        upstream: FeatureSite::of(upstream),
                        downstream: FeatureSite::of(downstream),
                        usage,
                    }
                }));
            }
        }
    }
    lints
}

/// The columns of an upstream, by their names there, that decide which of its records belong where.
fn decides_by(dep: &FeatureDep, upstream: &FeatureDefinition) -> Vec<(String, Usage)> {
    let mut columns = Vec::new();
    if let Lineage::Aggregation { on: Some(on) } = &dep.lineage {
        columns.extend(on.iter().map(|here| (dep.original(here).to_owned(), Usage::Group)));
    }
    // The graph was built, so that its filters can be read.
    if let Ok(Some(declared)) = filter::declared(dep, upstream.columns.as_deref()) {
        let declared = filter::upstream(dep, &declared);
        columns.extend(declared.columns().into_iter().map(|c| (c.to_owned(), Usage::Filter)));
    }
    columns
}

/// Where a feature selects a column from under the name that it has itself. An id is no copy: it
/// says which record it is.
fn originals<'a>(
    graph: &'a FeatureGraph,
    feature: &'a FeatureDefinition,
    column: &'a str,
) -> impl Iterator<Item = &'a FeatureDefinition> {
    let is_id = feature.spec.id_columns.iter().any(|id| id == column);
    // What a spec file does not list may be there: something downstream names it.
    let columns = feature.columns.as_deref();
    let is_own = columns.is_none_or(|columns| columns.iter().any(|c| c.name == column));
    let deps = feature.spec.deps.iter().filter(move |dep| {
        let mut selected = dep.select.iter().flatten();
        is_own && !is_id && selected.any(|selected| selected == column)
    });
    deps.filter_map(|dep| graph.get(&dep.feature))
}
