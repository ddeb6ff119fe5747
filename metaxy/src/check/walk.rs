//! One walk over everything upstream of a feature; the checks that need one share it.

use super::is_same_feature;
use crate::def::{DefPtr, FeatureDef};

/// How many features a walk looks at; the runtime looks at all.
const LIMIT: usize = 512;

/// Slots of the table of seen keys: a power of two, at most half full.
const SLOTS: usize = 1024;

/// What a walk found.
#[derive(Clone, Copy, Debug)]
pub struct Walk {
    /// Two features of one key.
    pub(super) one_key_twice: Option<(DefPtr, DefPtr)>,
    /// Whether the feature is upstream of itself.
    pub(super) is_cyclic: bool,
}

/// Walks over everything upstream of a feature.
///
/// Linear in the number of features and dependencies: a graph of a thousand features has a thousand
/// such walks, each in constant evaluation.
#[must_use]
pub const fn walk(def: &'static FeatureDef) -> Walk {
    let start = DefPtr::new(def);
    let mut walk = Walk { one_key_twice: None, is_cyclic: false };
    let mut seen = [None::<DefPtr>; SLOTS];
    let mut todo = [start; LIMIT];
    let mut n_todo = 1;
    let mut n_done = 0;
    insert(&mut seen, start);
    while n_done < n_todo {
        let deps = todo[n_done].get().deps;
        n_done += 1;
        let mut i = 0;
        while i < deps.len() {
            let upstream = deps[i].feature;
            i += 1;
            if upstream.get().is_broken {
                continue;
            }
            match insert(&mut seen, upstream) {
                Some(earlier) if is_same_feature(earlier.get(), upstream.get()) => {
                    walk.is_cyclic |= is_same_feature(upstream.get(), def);
                }
                Some(earlier) => {
                    if walk.one_key_twice.is_none() {
                        walk.one_key_twice = Some((earlier, upstream));
                    }
                }
                None if n_todo == LIMIT => return walk,
                None => {
                    todo[n_todo] = upstream;
                    n_todo += 1;
                }
            }
        }
    }
    walk
}

/// Puts a feature into the table, or gives the one of the same key that is there.
const fn insert(seen: &mut [Option<DefPtr>; SLOTS], feature: DefPtr) -> Option<DefPtr> {
    let hash = feature.get().key_hash;
    let mut slot = hash as usize % SLOTS;
    while let Some(earlier) = seen[slot] {
        // Two keys of one hash would be a key used twice to this walk: compare the texts as well.
        if earlier.get().key_hash == hash
            && super::message::same(earlier.get().key, feature.get().key)
        {
            return Some(earlier);
        }
        slot = (slot + 1) % SLOTS;
    }
    seen[slot] = Some(feature);
    None
}
