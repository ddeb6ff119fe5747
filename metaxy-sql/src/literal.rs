//! [`Literal`]: a value inside a statement, escaped by the dialect in one place.

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
