//! [`HistoryError`]: what a history cannot answer.

use crate::graph::GraphErrors;
use crate::key::{FeatureKey, KeyError};
use crate::nearest::hint;
use crate::spec::SpecErrors;

/// What a history of pushes cannot answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HistoryError {
    /// Several projects, and nobody said which.
    #[error("there are several projects, `{}`; name one with `.project(\"..\")`{or}", .projects.join("`, `"))]
    SeveralProjects {
        /// The projects.
        projects: Vec<String>,
        /// What else can be called.
        or: &'static str,
    },
    /// A project of which the graph has no feature.
    #[error("the graph has no feature of the project `{project}`; it has those of `{}`", .found.join("`, `"))]
    NoProject {
        /// The project.
        project: String,
        /// Those that it has.
        found: Vec<String>,
    },
    /// Nothing was pushed that is meant.
    #[error("{what} is not among the pushes of this store; {found}")]
    NoPush {
        /// What was asked for.
        what: String,
        /// What there is, or what to do.
        found: String,
    },
    /// A feature that was never pushed, or was removed.
    #[error("the feature `{feature}` is not among the pushed ones{}; push the project that it belongs to", hint(nearest.as_deref()))]
    NotPushed {
        /// The feature.
        feature: FeatureKey,
        /// A key that is there and looks alike.
        nearest: Option<String>,
    },
    /// The upstream of a pushed feature was in no push at that time.
    #[error(
        "the graph of the project `{project}` {when} cannot be built: `{feature}` is computed from \
         `{upstream}`, which was in no push at that time; push the project of `{upstream}`"
    )]
    MissingUpstream {
        /// The project whose graph was asked for.
        project: String,
        /// Of when.
        when: String,
        /// The feature.
        feature: FeatureKey,
        /// What it is computed from.
        upstream: FeatureKey,
    },
    /// Pushed definitions that do not fit together.
    #[error("the graph of the project `{project}` {when} cannot be built: {source}")]
    Graph {
        /// The project whose graph was asked for.
        project: String,
        /// Of when.
        when: String,
        /// What is wrong.
        source: GraphErrors,
    },
    /// The version that was pushed is not the one that the definitions give.
    #[error(
        "`{feature}` was pushed with the version {pushed}, but with what is upstream today it has \
         {computed}; push its project `{project}` again"
    )]
    Outdated {
        /// The feature.
        feature: FeatureKey,
        /// Its project.
        project: String,
        /// As it was pushed.
        pushed: String,
        /// As it is computed.
        computed: String,
    },
    /// A row that has no feature key.
    #[error("a row of `{}` cannot be read: {source}", metaxy_sql::system::PUSHES)]
    Key {
        /// What is wrong with it.
        source: KeyError,
    },
    /// A row whose spec or schema cannot be read.
    #[error(
        "what was pushed of `{feature}` for the project `{project}` {when} cannot be read: {source}"
    )]
    Row {
        /// The feature.
        feature: FeatureKey,
        /// The project.
        project: String,
        /// When it was pushed.
        when: String,
        /// What is wrong with it.
        source: SpecErrors,
    },
    /// A tag that a push cannot have.
    #[error("a push cannot have the tag `{tag}`: {problem}")]
    Tag {
        /// The tag.
        tag: String,
        /// What is wrong with it.
        problem: &'static str,
    },
}
