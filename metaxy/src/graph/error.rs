//! [`GraphErrors`]: everything that is wrong with a set of features, with the line of each.

use crate::key::{FeatureKey, FieldKey};
use crate::nearest::hint;
use crate::spec::{FeatureDefinition, Origin};
use std::fmt;

/// All mistakes of a graph; at least one.
#[derive(Clone, Debug, PartialEq)]
pub struct GraphErrors {
    errors: Vec<GraphError>,
}

impl GraphErrors {
    pub(crate) fn new(errors: Vec<GraphError>) -> Self {
        debug_assert!(!errors.is_empty(), "an error without a mistake");
        Self { errors }
    }

    /// The mistakes, in the order of the features.
    pub fn iter(&self) -> std::slice::Iter<'_, GraphError> {
        self.errors.iter()
    }

    /// How many there are.
    #[expect(clippy::len_without_is_empty, reason = "there is at least one")]
    #[must_use]
    pub fn len(&self) -> usize {
        self.errors.len()
    }
}

impl<'a> IntoIterator for &'a GraphErrors {
    type Item = &'a GraphError;
    type IntoIter = std::slice::Iter<'a, GraphError>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl std::error::Error for GraphErrors {}

/// One mistake: its own text. Several: their number, then one per line.
impl fmt::Display for GraphErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.errors[..] {
            [error] => write!(f, "{error}"),
            errors => {
                write!(f, "the feature graph has {} mistakes:", errors.len())?;
                errors.iter().try_for_each(|error| write!(f, "\n- {error}"))
            }
        }
    }
}

/// A feature and where it was declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeatureSite {
    /// The feature.
    pub key: FeatureKey,
    /// Where it was declared.
    pub origin: Origin,
}

impl FeatureSite {
    pub(super) fn of(definition: &FeatureDefinition) -> Self {
        Self { key: definition.spec.key.clone(), origin: definition.origin.clone() }
    }
}

impl fmt::Display for FeatureSite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` ({})", self.key, self.origin)
    }
}

/// What is wrong with a feature, or with several together.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum GraphError {
    /// A feature depends on one that is not in the graph.
    #[error("{feature} depends on `{upstream}`, which is not in the graph{}", hint(nearest.as_ref().map(FeatureKey::as_str)))]
    MissingUpstream {
        /// The feature with the dependency.
        feature: FeatureSite,
        /// What is not there.
        upstream: FeatureKey,
        /// A key that is there and looks alike.
        nearest: Option<FeatureKey>,
    },
    /// Features depend on each other.
    #[error("{}", cycle(path))]
    Cycle {
        /// Each feature depends on the next one, the last one on the first.
        path: Vec<FeatureSite>,
    },
    /// Several features have one key.
    #[error("the key `{key}` is used by {} features: {}", origins.len(), list(origins))]
    DuplicateKey {
        /// The key.
        key: FeatureKey,
        /// Where the features were declared.
        origins: Vec<Origin>,
    },
    /// A field names a feature that its own does not depend on.
    #[error(
        "field `{field}` of {feature} depends on a field of `{upstream}`, which is not among the feature's dependencies; add it to them"
    )]
    UndeclaredUpstream {
        /// The feature with the field.
        feature: FeatureSite,
        /// The field.
        field: FieldKey,
        /// What is not declared.
        upstream: FeatureKey,
    },
    /// A field names a field that the upstream does not have.
    #[error("field `{field}` of {feature} depends on `{upstream}.{unknown}`, but {upstream} has no such field{}", hint(nearest.as_ref().map(FieldKey::as_str)))]
    UnknownField {
        /// The feature with the field.
        feature: FeatureSite,
        /// The field.
        field: FieldKey,
        /// The upstream.
        upstream: FeatureSite,
        /// What it does not have.
        unknown: FieldKey,
        /// A field that it has and that looks alike.
        nearest: Option<FieldKey>,
    },
    /// A feature has upstreams, but one of its fields depends on nothing.
    #[error(
        "field `{field}` of {feature} has no parents: no upstream's mapping gives it one; name its parents in its deps, or change a mapping"
    )]
    NoParents {
        /// The feature with the field.
        feature: FeatureSite,
        /// The field.
        field: FieldKey,
    },
}

fn list<T: fmt::Display>(items: &[T]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn cycle(path: &[FeatureSite]) -> String {
    match path {
        [feature] => format!("{feature} depends on itself"),
        path => {
            let first = path.first().map_or(String::new(), |site| format!("`{}`", site.key));
            let path: Vec<_> = path.iter().map(ToString::to_string).collect();
            format!("features depend on each other in a cycle: {} -> {first}", path.join(" -> "))
        }
    }
}
