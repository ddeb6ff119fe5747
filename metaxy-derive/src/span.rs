//! The user's position with the macro's context: carets land on the user's token, while lints such
//! as `forbid(unsafe_code)` and local names stay those of the macro.

use proc_macro2::{Ident, Span};
use syn::Path;

/// The place of a span, for generated tokens.
pub(crate) fn at(span: Span) -> Span {
    Span::mixed_site().located_at(span)
}

/// The last segment of a path: the name of the item that it leads to.
pub(crate) fn last(path: &Path) -> &Ident {
    &path.segments.last().expect("a parsed path has a segment").ident
}

/// `quote!` whose own tokens have the macro's context: its local names are not the user's.
macro_rules! mixed {
    ($($tokens:tt)*) => {
        ::quote::quote_spanned!(::proc_macro2::Span::mixed_site()=> $($tokens)*)
    };
}

pub(crate) use mixed;
