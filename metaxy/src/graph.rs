//! Placeholder that the graph replaces.

/// All mistakes of a graph.
#[derive(Debug, thiserror::Error)]
#[error("placeholder")]
pub struct GraphErrors;
