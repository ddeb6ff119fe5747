//! What a database is asked when SQL is printed for it.
//!
//! A dialect answers questions; nobody asks which dialect it is. Defaults are the answers of
//! standard SQL, a file below `dialect/` holds what differs, with the manual's address.

mod duckdb;

pub use duckdb::DuckDb;

use crate::error::{Error, Reason, Result};
use crate::functions::Function;
use crate::ident::Ident;
use crate::types::ColumnType;
use std::fmt;

/// The questions.
pub trait Dialect: fmt::Debug + Send + Sync {
    /// The name in messages.
    fn name(&self) -> &'static str;

    /// The template of a function's spelling (see [`crate::functions`]); empty if there is none.
    fn function(&self, function: Function) -> &'static str;

    /// The name of a column type.
    fn column_type(&self, ty: ColumnType) -> String;

    /// The name of a type for small numbers.
    fn code_type(&self) -> &'static str {
        "SMALLINT"
    }

    /// The pseudo-column that is unique for each row of a stored table within one statement.
    fn row_address(&self) -> Option<&'static str> {
        None
    }

    /// The longest identifier that is kept whole, in bytes.
    fn max_ident_bytes(&self) -> Option<usize> {
        None
    }

    /// An identifier between quotes.
    ///
    /// # Errors
    /// When the database would cut it.
    fn quote_ident(&self, ident: &Ident) -> Result<String> {
        let name = ident.as_str();
        if self.max_ident_bytes().is_some_and(|max| name.len() > max) {
            return Err(Error::new(Reason::Identifier {
                name: name.to_owned(),
                problem: "it is longer than the database keeps",
            })
            .with_hint(format!("{} cuts names silently; choose a shorter one", self.name())));
        }
        Ok(format!("\"{}\"", name.replace('"', "\"\"")))
    }

    /// A text between quotes.
    ///
    /// # Errors
    /// When it holds a NUL character: not every engine can store one.
    fn quote_text(&self, text: &str) -> Result<String> {
        if text.contains('\0') {
            return Err(Error::new(Reason::Text { problem: "it holds a NUL character" }));
        }
        Ok(format!("'{}'", text.replace('\'', "''")))
    }

    /// A point in time, from microseconds since 1970-01-01 UTC.
    fn timestamp(&self, micros: i64) -> String;
}
