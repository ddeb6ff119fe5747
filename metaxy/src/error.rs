//! [`Error`]: everything that can go wrong, in one type.

use crate::graph::GraphErrors;
use crate::key::KeyError;
use crate::row::RowError;

/// A result with Metaxy's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong. The texts name feature, field, column or row, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A text is no feature or field key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The definitions do not form a graph; all mistakes are listed.
    #[error(transparent)]
    Graph(#[from] GraphErrors),
    /// Rows do not fit the struct that they are read into.
    #[error(transparent)]
    Row(#[from] RowError),
}

impl Error {
    /// Whether the same call may succeed later without any change: a lock, a lost connection.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        false
    }
}
