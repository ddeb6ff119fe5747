//! What the compiler checks of a feature, beyond what one struct shows.
//!
//! A derive emits one `const _: () = check::..(..);` per fact, spanned on the token that it is
//! about. The functions read the static definitions of the feature and of what is upstream of it;
//! a panic is the error message. Types (is it a feature, does the field exist, can it be stored) are
//! not checked here: bounds and name resolution do that.
//!
//! | check | about | token |
//! |---|---|---|
//! | [`keys`](fn@keys) | the grammar of keys | the feature's key |
//! | [`keys_upstream`] | one key, one feature, among everything upstream | the feature's key |
//! | [`once`] | an upstream that is listed twice under two names | the second one |
//! | [`acyclic`] | cycles, with their path | the upstream, from the smallest key |
//! | [`ids`](fn@ids) | ids that an upstream shares, or fails to share | the upstream |
//! | [`renamed`] | a new name that the upstream already has | the new name |
//! | [`on`] | columns that name a group or a parent | the column |
//! | [`listed`] | a field of a feature that is no upstream | the feature in `Feature::field` |
//!
//! Walks are bounded; where a bound is reached they are silent. So they are where a derive has
//! reported errors already. [`crate::graph`] checks everything again at run time and stays the
//! authority.

mod cycle;
mod ids;
mod keys;
mod message;
mod walk;

pub use self::cycle::acyclic;
pub use self::ids::{ids, on, renamed};
pub use self::keys::{keys, keys_upstream};
pub use self::walk::{Walk, walk};
use crate::def::{DefPtr, FeatureDef};
use message::{Message, same};

/// An upstream is listed once, whatever alias it goes by.
#[track_caller]
pub const fn once(def: &FeatureDef, dep: usize) {
    let upstream = def.deps[dep].feature.get();
    let mut i = 0;
    while i < dep {
        let earlier = def.deps[i].feature.get();
        if !upstream.is_broken && is_same_feature(earlier, upstream) {
            Message::new()
                .name(upstream.type_name)
                .text(" is listed twice in the `deps(...)` of ")
                .name(def.type_name)
                .panic()
        }
        i += 1;
    }
}

/// A feature whose field another field is computed from is an upstream.
#[track_caller]
pub const fn listed(def: &FeatureDef, feature: DefPtr) {
    let feature = feature.get();
    let mut i = 0;
    while i < def.deps.len() {
        if is_same_feature(def.deps[i].feature.get(), feature) {
            return;
        }
        i += 1;
    }
    if !feature.is_broken {
        Message::new()
            .name(feature.type_name)
            .text(" is not in the `deps(...)` of ")
            .name(def.type_name)
            .panic()
    }
}

/// Two features may have one key, and pointers cannot be compared in a constant.
const fn is_same_feature(a: &FeatureDef, b: &FeatureDef) -> bool {
    a.key_hash == b.key_hash
        && a.line == b.line
        && same(a.key, b.key)
        && same(a.type_name, b.type_name)
        && same(a.module, b.module)
        && same(a.file, b.file)
}
