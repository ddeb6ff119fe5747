//! [`Error`]: what a plan asks for and a database, or SQL itself, cannot give.

use std::fmt;

/// A result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a plan cannot be compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    reason: Reason,
    hint: Option<String>,
}

/// The kinds of [`Error`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// A name that no database, or not this one, takes as an identifier.
    Identifier {
        /// The name.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A text value that no database can hold.
    Text {
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Something that this dialect has no way to say.
    Unsupported {
        /// What was asked for.
        what: String,
        /// The dialect.
        dialect: &'static str,
    },
}

impl Error {
    pub(crate) fn new(reason: Reason) -> Self {
        Self { reason, hint: None }
    }

    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// What went wrong, as data.
    #[must_use]
    pub fn reason(&self) -> &Reason {
        &self.reason
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reason {
            Reason::Identifier { name, problem } => {
                write!(f, "`{}` cannot be an identifier: {problem}", name.escape_debug())?;
            }
            Reason::Text { problem } => write!(f, "a text value cannot be stored: {problem}")?,
            Reason::Unsupported { what, dialect } => write!(f, "{dialect} cannot do this: {what}")?,
        }
        match &self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}
