//! [`DefPtr`]: how one definition points at another. The only `unsafe` code of the definitions.

use super::FeatureDef;
use std::fmt;

/// A `&'static FeatureDef` behind which the compiler does not look.
///
/// A constant of reference type is looked through when it is checked. Two features that depend on
/// each other would then be a cycle of the compiler's own, forty lines long, before the walk in
/// [`crate::check`] could name the path.
#[derive(Clone, Copy)]
pub struct DefPtr(*const FeatureDef);

// SAFETY: the pointer comes from a shared reference for `'static` (see `new`, the only way to make
// one) to a type that is `Sync`, and is only ever read.
unsafe impl Send for DefPtr {}
// SAFETY: as above.
unsafe impl Sync for DefPtr {}

impl DefPtr {
    /// Points at a definition.
    #[must_use]
    pub const fn new(def: &'static FeatureDef) -> Self {
        Self(def)
    }

    /// The definition.
    #[must_use]
    pub const fn get(self) -> &'static FeatureDef {
        // SAFETY: `new` is the only constructor, so this is a `&'static FeatureDef`.
        unsafe { &*self.0 }
    }
}

impl fmt::Debug for DefPtr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Only the key: definitions may point at each other in a cycle.
        write!(f, "DefPtr(`{}`)", self.get().key)
    }
}
