//! [`SpecErrors`]: everything that is wrong with a spec or a spec file.

use crate::graph::GraphError;
use crate::key::KeyError;
use crate::nearest::hint;
use std::fmt;

/// All mistakes of a spec or of a spec file; at least one.
#[derive(Clone, Debug, PartialEq)]
pub struct SpecErrors {
    errors: Vec<SpecError>,
    graph: Vec<GraphError>,
}

impl SpecErrors {
    pub(crate) fn new(errors: Vec<SpecError>, graph: Vec<GraphError>) -> Self {
        debug_assert!(!errors.is_empty(), "an error without a mistake");
        Self { errors, graph }
    }

    /// For what is no JSON at all.
    pub(crate) fn text(reason: String) -> Self {
        let problem = SpecProblem::Json { reason };
        let error =
            SpecError { index: None, feature: None, field: None, path: String::new(), problem };
        Self::new(vec![error], Vec::new())
    }

    /// What could not be read.
    #[must_use]
    pub fn specs(&self) -> &[SpecError] {
        &self.errors
    }

    /// What could be read, but does not fit together. Features that could not be read as a whole
    /// are left out of this.
    #[must_use]
    pub fn graph(&self) -> &[GraphError] {
        &self.graph
    }

    /// All texts.
    pub fn messages(&self) -> impl Iterator<Item = String> {
        let specs = self.errors.iter().map(ToString::to_string);
        specs.chain(self.graph.iter().map(ToString::to_string))
    }
}

impl std::error::Error for SpecErrors {}

/// One mistake: its own text. Several: their number, then one per line.
impl fmt::Display for SpecErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.errors.len() + self.graph.len() {
            1 => self.messages().try_for_each(|message| f.write_str(&message)),
            n => {
                write!(f, "{n} mistakes:")?;
                self.messages().try_for_each(|message| write!(f, "\n- {message}"))
            }
        }
    }
}

/// One mistake of a spec and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SpecError {
    /// The position of the feature in its file, from 0.
    pub index: Option<usize>,
    /// The key of the feature, if it could be read.
    pub feature: Option<String>,
    /// The key of the field, if the mistake is in one.
    pub field: Option<String>,
    /// The way to the member from the feature, `fields[0].deps`; empty for the feature itself.
    pub path: String,
    /// What is wrong.
    pub problem: SpecProblem,
}

impl fmt::Display for SpecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut place = match (&self.feature, self.index) {
            (Some(key), Some(index)) => vec![format!("feature `{key}` (features[{index}])")],
            (Some(key), None) => vec![format!("feature `{key}`")],
            (None, Some(index)) => vec![format!("features[{index}]")],
            (None, None) => Vec::new(),
        };
        place.extend(self.field.as_ref().map(|field| format!("field `{field}`")));
        if !self.path.is_empty() {
            place.push(format!("`{}`", self.path));
        }
        if !place.is_empty() {
            write!(f, "{}: ", place.join(", "))?;
        }
        write!(f, "{}", self.problem)
    }
}

/// What is wrong with a member of a spec.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpecProblem {
    /// The text is no JSON.
    #[error("{reason}")]
    Json {
        /// Why not, with line and column.
        reason: String,
    },
    /// A member is needed.
    #[error("`{name}` is missing; {fix}")]
    Missing {
        /// Its name.
        name: &'static str,
        /// What to write.
        fix: &'static str,
    },
    /// There is no member of this name.
    #[error("unknown member `{name}`{}; expected one of {}", hint(nearest.as_deref()), list(expected))]
    Unknown {
        /// The name that was found.
        name: String,
        /// A name that there is and that looks alike.
        nearest: Option<String>,
        /// All names that there are.
        expected: &'static [&'static str],
    },
    /// A value is of another kind.
    #[error("expected {expected}, found `{found}`{}", fix.as_ref().map_or(String::new(), |fix| format!("; {fix}")))]
    Type {
        /// What belongs there.
        expected: &'static str,
        /// The beginning of what is there.
        found: String,
        /// What to write.
        fix: Option<String>,
    },
    /// The member `type` is missing.
    #[error("`type` is missing; expected one of {}", list(expected))]
    NoType {
        /// What it may be.
        expected: &'static [&'static str],
    },
    /// A text is none of those that there are.
    #[error("`{found}` is unknown; expected {}{}", if expected.len() == 1 { "" } else { "one of " }, list(expected))]
    Value {
        /// The text that was found.
        found: String,
        /// All texts that there are.
        expected: &'static [&'static str],
    },
    /// A key breaks the grammar.
    #[error(transparent)]
    Key(KeyError),
    /// A name of the project breaks the grammar.
    #[error("`{found}` is not a project: {reason}")]
    Project {
        /// What was found.
        found: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Two names of one member are both there.
    #[error("`{name}` is another name of `{other}`, and both are given; remove one")]
    Twice {
        /// One name.
        name: &'static str,
        /// The other one.
        other: &'static str,
    },
}

fn list(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
