//! Cycles: found by the walk of every feature in one, reported once, with the path.

use super::is_same_feature;
use super::message::Message;
use super::walk::Walk;
use crate::def::{DefPtr, FeatureDef};

/// How long a path may be to be written out.
const LIMIT: usize = 64;

/// The feature does not depend on itself by way of this upstream.
///
/// Every feature and every dependency of a cycle finds it; only the feature with the smallest key
/// reports it, so that one cycle is one error.
#[track_caller]
pub const fn acyclic(def: &'static FeatureDef, dep: usize, walk: &Walk) {
    if !walk.is_cyclic {
        return;
    }
    // Depth first; `next[i]` is the upstream of `path[i]` to try next.
    let mut path = [DefPtr::new(def); LIMIT];
    let mut next = [0; LIMIT];
    let mut depth = 1;
    path[1] = def.deps[dep].feature;
    // No path leads back to the start over a feature from which none did.
    let mut dead = [DefPtr::new(def); 4 * LIMIT];
    let mut n_dead = 0;
    while depth > 0 {
        let here = path[depth].get();
        if is_same_feature(here, def) {
            if is_smallest_of(def, &path, depth) {
                report(&path, depth)
            }
            return;
        }
        let is_dead_end = next[depth] == here.deps.len()
            || depth + 1 == LIMIT
            || contains(&dead, n_dead, here)
            || contains(&path, depth, here);
        if is_dead_end {
            if n_dead < dead.len() {
                dead[n_dead] = path[depth];
                n_dead += 1;
            }
            depth -= 1;
        } else {
            let upstream = here.deps[next[depth]].feature;
            next[depth] += 1;
            depth += 1;
            path[depth] = upstream;
            next[depth] = 0;
        }
    }
}

const fn contains(features: &[DefPtr], len: usize, feature: &FeatureDef) -> bool {
    let mut i = 0;
    while i < len {
        if is_same_feature(features[i].get(), feature) {
            return true;
        }
        i += 1;
    }
    false
}

const fn is_smallest_of(def: &FeatureDef, path: &[DefPtr], len: usize) -> bool {
    let mut i = 1;
    while i < len {
        if is_less(path[i].get().key, def.key) {
            return false;
        }
        i += 1;
    }
    true
}

const fn is_less(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut i = 0;
    while i < a.len() && i < b.len() {
        if a[i] != b[i] {
            return a[i] < b[i];
        }
        i += 1;
    }
    a.len() < b.len()
}

#[track_caller]
const fn report(path: &[DefPtr], last: usize) -> ! {
    let mut message = Message::new().text("features depend on each other in a cycle: ");
    let mut i = 0;
    while i <= last {
        if i > 0 {
            message = message.text(" -> ");
        }
        message = message.name(path[i].get().type_name);
        i += 1;
    }
    message.panic()
}
