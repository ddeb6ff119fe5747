//! [`Literal`]: a value inside a statement, escaped by the dialect in one place.

use crate::error::{Error, Reason, Result};

/// A constant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Literal {
    /// NULL, of whatever type the place asks for.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// An integer.
    Int(i128),
    /// Text; holds anything but NUL characters, which no engine of ours can store.
    Text(String),
    /// A day, counted from 1970-01-01.
    Date(i32),
    /// A point in time: microseconds since 1970-01-01 UTC.
    Timestamp(i64),
}

/// Refuses texts that no statement and no column of text can hold.
///
/// # Errors
/// When it holds a NUL character.
pub fn check_text(text: &str) -> Result<()> {
    if text.contains('\0') {
        return Err(Error::new(Reason::Text { problem: "it holds a NUL character" }));
    }
    Ok(())
}
