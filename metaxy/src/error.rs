//! [`Error`]: everything that can go wrong, in one type.

use crate::graph::GraphErrors;
use crate::key::KeyError;
use crate::nearest::hint;
use crate::registry::NothingLinked;
use crate::row::RowError;
use crate::spec::SpecErrors;

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
    /// No feature is linked into this program.
    #[error(transparent)]
    NothingLinked(#[from] NothingLinked),
    /// A spec, or a spec file, has mistakes; all are listed.
    #[error(transparent)]
    Spec(#[from] SpecErrors),
    /// A feature is not in the graph.
    #[error("there is no feature `{feature}` in the graph{}", hint(nearest.as_deref()))]
    UnknownFeature {
        /// The key that was asked for.
        feature: String,
        /// A key that is there and looks alike.
        nearest: Option<String>,
    },
}

impl Error {
    /// Whether the same call may succeed later without any change: a lock, a lost connection.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        false
    }
}
