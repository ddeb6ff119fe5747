//! The features that are linked into this program, collected by `inventory`.
//!
//! Out: definitions, sorted, so that nothing depends on the order in which the linker saw them. Not
//! here: whether they form a graph ([`crate::graph`]).

use crate::def::FeatureDef;
use std::collections::HashSet;

/// One derived feature; each derive submits its own.
#[derive(Debug)]
pub struct Registration(pub &'static FeatureDef);

inventory::collect!(Registration);

/// No feature is linked into this program.
///
/// A crate that nothing in the program names is left out by the linker, with all its features.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no feature is linked into this program; a crate that nothing names is left out, so name the one with the features: `use my_features as _;`"
)]
pub struct NothingLinked;

/// Every derived feature in this program, sorted by key and then by type.
#[must_use]
pub fn linked() -> Vec<&'static FeatureDef> {
    sorted(inventory::iter::<Registration>.into_iter().map(|registration| registration.0).collect())
}

/// These features and everything upstream of them, each once, sorted by key and then by type.
///
/// Two definitions of one key stay two; whether that is an error is for the graph to say.
#[must_use]
pub fn with_upstream(roots: Vec<&'static FeatureDef>) -> Vec<&'static FeatureDef> {
    let mut seen = HashSet::new();
    let mut todo = roots;
    let mut found = Vec::new();
    while let Some(def) = todo.pop() {
        // A definition is a static: it is the same one if it is at the same place.
        if seen.insert(std::ptr::from_ref(def)) {
            found.push(def);
            todo.extend(def.deps.iter().map(|dep| dep.feature.get()));
        }
    }
    sorted(found)
}

fn sorted(mut defs: Vec<&'static FeatureDef>) -> Vec<&'static FeatureDef> {
    defs.sort_by_cached_key(|def| (def.feature_key(), def.type_path(), def.file, def.line));
    defs
}
