//! Which upstream fields a field is computed from (section 1 of the wire format's reference).
//!
//! Fields are matched by their first names, so that a rename changes nothing; a name that a
//! developer writes is today's, but the first one is understood as well. The graph has seen to it
//! that no field's first name is another's name of today.

use crate::key::{FeatureKey, FieldKey};
use crate::spec::{FeatureDep, FeatureSpec, FieldDeps, FieldSpec, FieldsMapping};
use std::fmt;

/// An upstream field that a field is computed from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct ParentField {
    /// The feature.
    pub feature: FeatureKey,
    /// The field's name today.
    pub field: FieldKey,
    /// The field's first name: the one in hashes, labels and by-field maps. Differs from `field`
    /// only after a rename.
    pub wire_field: FieldKey,
}

impl ParentField {
    pub(super) fn new(feature: &FeatureKey, field: &FieldSpec) -> Self {
        Self {
            feature: feature.clone(),
            field: field.key.clone(),
            wire_field: field.wire_key().clone(),
        }
    }

    /// `feature/key.field/key` with the field's first name: the label in every pre-image.
    #[must_use]
    pub fn label(&self) -> String {
        format!("{}.{}", self.feature, self.wire_field)
    }
}

/// `feature/key.field/key` with the field's name of today.
impl fmt::Display for ParentField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.feature, self.field)
    }
}

/// Why a field has no parents, or not all that it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unresolved {
    /// The field names a feature that its own does not depend on.
    Undeclared(FeatureKey),
    /// The field names a field that the upstream does not have.
    UnknownField(FeatureKey, FieldKey),
    /// The feature has upstreams, but no mapping gives the field a parent.
    NoParents,
}

/// An upstream that is in the graph, with its position there.
pub(super) type Upstream<'a> = (usize, &'a FeatureDep, &'a FeatureSpec);

/// The parents of a field, as (feature, field) positions, sorted by label, none twice.
pub(super) fn resolve(
    field: &FieldSpec,
    feature: &FeatureSpec,
    upstreams: &[Upstream<'_>],
    unresolved: &mut Vec<Unresolved>,
) -> Vec<(usize, usize)> {
    let n_unresolved = unresolved.len();
    let mut parents: Vec<(usize, usize)> = Vec::new();
    match &field.deps {
        FieldDeps::All => {
            for (up, _, spec) in upstreams {
                parents.extend((0..spec.fields.len()).map(|i| (*up, i)));
            }
        }
        FieldDeps::Fields(deps) => {
            for dep in deps {
                if !feature.deps.iter().any(|d| d.feature == dep.feature) {
                    unresolved.push(Unresolved::Undeclared(dep.feature.clone()));
                    continue;
                }
                // An upstream that is declared but missing is reported for the feature as a whole.
                let Some((up, _, spec)) =
                    upstreams.iter().find(|(_, d, _)| d.feature == dep.feature)
                else {
                    continue;
                };
                match &dep.fields {
                    None => parents.extend((0..spec.fields.len()).map(|i| (*up, i))),
                    Some(names) => {
                        for name in names {
                            match position(spec, name) {
                                Some(i) => parents.push((*up, i)),
                                None => unresolved.push(Unresolved::UnknownField(
                                    dep.feature.clone(),
                                    name.clone(),
                                )),
                            }
                        }
                    }
                }
            }
        }
        FieldDeps::Mapped => {
            for (up, dep, spec) in upstreams {
                parents
                    .extend(mapped(field, &dep.fields_mapping, spec).into_iter().map(|i| (*up, i)));
            }
        }
    }
    let all_known = upstreams.len() == feature.deps.len();
    if parents.is_empty()
        && !feature.deps.is_empty()
        && all_known
        && unresolved.len() == n_unresolved
    {
        unresolved.push(Unresolved::NoParents);
    }
    let spec_of = |up: usize| upstreams.iter().find(|(i, ..)| *i == up).map(|(.., spec)| *spec);
    parents.sort_by_cached_key(|(up, i)| {
        spec_of(*up).map(|spec| format!("{}.{}", spec.key, spec.fields[*i].wire_key()))
    });
    parents.dedup();
    parents
}

/// The field of this name of today, or else of this first name.
pub(super) fn position(spec: &FeatureSpec, name: &FieldKey) -> Option<usize> {
    let position = |of: fn(&FieldSpec) -> &FieldKey| spec.fields.iter().position(|f| of(f) == name);
    position(|f| &f.key).or_else(|| position(FieldSpec::wire_key))
}

fn is_called(field: &FieldSpec, name: &FieldKey) -> bool {
    field.key == *name || field.wire_key() == name
}

/// What the mapping of one upstream gives for a field that names no parents of its own.
fn mapped(field: &FieldSpec, mapping: &FieldsMapping, upstream: &FeatureSpec) -> Vec<usize> {
    let all = 0..upstream.fields.len();
    match mapping {
        FieldsMapping::All => all.collect(),
        FieldsMapping::None => Vec::new(),
        FieldsMapping::Specific(fields) => {
            let listed = fields.iter().filter(|(name, _)| is_called(field, name));
            // Names that the upstream does not have are no error in the wire format.
            listed
                .flat_map(|(_, names)| names.iter().filter_map(|n| position(upstream, n)))
                .collect()
        }
        FieldsMapping::Default { match_suffix, exclude } => {
            let candidates: Vec<_> = all
                .filter(|i| !exclude.iter().any(|x| is_called(&upstream.fields[*i], x)))
                .collect();
            let matched: Vec<_> = candidates
                .iter()
                .copied()
                .filter(|i| {
                    let above = upstream.fields[*i].wire_key();
                    above == field.wire_key() || *match_suffix && ends_with(above, field.wire_key())
                })
                .collect();
            if matched.is_empty() { candidates } else { matched }
        }
    }
}

/// Whether the last parts of a key are those of another: `audio/english` ends with `english`.
fn ends_with(key: &FieldKey, suffix: &FieldKey) -> bool {
    let mut parts = key.parts().rev();
    suffix.parts().rev().all(|part| parts.next() == Some(part))
}
