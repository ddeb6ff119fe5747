//! [`Errors`]: collects what is wrong, so that one run shows all of it.

use proc_macro2::{Span, TokenStream};
use std::fmt::Display;
use std::thread;

/// The errors of one derive.
///
/// Parsers take it first, return what they could read, and go on. Whoever made it calls
/// [`finish`](Self::finish); dropping it unread would lose errors and is a bug.
#[derive(Debug)]
pub(crate) struct Errors {
    found: Option<Vec<syn::Error>>,
}

impl Errors {
    pub(crate) fn new() -> Self {
        Self { found: Some(Vec::new()) }
    }

    /// Records an error at a span; a span of several tokens loses all but the first on stable.
    pub(crate) fn at(&mut self, span: Span, message: impl Display) {
        self.push(syn::Error::new(span, message));
    }

    /// Records an error under all of these tokens.
    pub(crate) fn under(&mut self, tokens: impl quote::ToTokens, message: impl Display) {
        self.push(syn::Error::new_spanned(tokens, message));
    }

    pub(crate) fn push(&mut self, error: syn::Error) {
        self.found.get_or_insert_default().push(error);
    }

    /// The value, or `None` with the error recorded.
    pub(crate) fn ok<T>(&mut self, result: syn::Result<T>) -> Option<T> {
        result.map_err(|error| self.push(error)).ok()
    }

    pub(crate) fn len(&self) -> usize {
        self.found.as_ref().map_or(0, Vec::len)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The errors as tokens; none of them is no tokens.
    pub(crate) fn finish(mut self) -> TokenStream {
        let found = self.found.take().unwrap_or_default();
        found.iter().map(syn::Error::to_compile_error).collect()
    }
}

impl Drop for Errors {
    fn drop(&mut self) {
        if self.found.is_some() && !thread::panicking() {
            panic!("`Errors` was dropped unread");
        }
    }
}

/// `` `a`, `b` or `c` ``.
pub(crate) fn alternatives(names: &[impl AsRef<str>]) -> String {
    match names {
        [] => "nothing".to_owned(),
        [only] => format!("`{}`", only.as_ref()),
        [first @ .., last] => {
            let first: Vec<_> = first.iter().map(|name| format!("`{}`", name.as_ref())).collect();
            format!("{} or `{}`", first.join(", "), last.as_ref())
        }
    }
}

/// What to say after "unknown ..": the name that was likely meant, and what there is.
pub(crate) fn instead(unknown: &str, known: &[impl AsRef<str>]) -> String {
    match nearest(unknown, known) {
        Some(name) => format!("did you mean `{name}`?"),
        None if known.is_empty() => "there is none".to_owned(),
        None => format!("expected {}", alternatives(known)),
    }
}

/// The known name that a typing mistake most likely stands for.
fn nearest<'a>(unknown: &str, known: &'a [impl AsRef<str>]) -> Option<&'a str> {
    known
        .iter()
        .map(|name| (distance(unknown, name.as_ref()), name.as_ref()))
        .min()
        .filter(|&(distance, name)| distance <= name.len().max(3) / 3)
        .map(|(_, name)| name)
}

/// How many characters have to be inserted, removed, replaced or swapped with their neighbour.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<_>, Vec<_>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i][j] = match (i, j) {
                (0, n) | (n, 0) => n,
                _ => {
                    let replace = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                    let mut best = replace.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
                    if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                        best = best.min(rows[i - 2][j - 2] + 1);
                    }
                    best
                }
            };
        }
    }
    rows[a.len()][b.len()]
}
