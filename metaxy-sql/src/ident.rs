//! [`Ident`]: a name for a table or a column.
//!
//! An `Ident` is checked when it is made and quoted by `print`, and nowhere else.

use crate::error::{Error, Reason, Result};
use std::fmt;

/// A name for a table, a column or an alias, in any script.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ident(String);

impl Ident {
    /// Takes any text that databases accept between quotes.
    ///
    /// # Errors
    /// When the name is empty or holds a NUL character.
    pub fn new(name: impl Into<String>) -> Result<Self> {
        let name = name.into();
        let problem = if name.is_empty() {
            "it is empty"
        } else if name.contains('\0') {
            "it holds a NUL character"
        } else {
            return Ok(Self(name));
        };
        Err(Error::new(Reason::Identifier { name, problem }))
    }

    /// A name that this crate generates.
    pub(crate) fn generated(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// The name, unquoted.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Ident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.0)
    }
}

impl fmt::Display for Ident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
