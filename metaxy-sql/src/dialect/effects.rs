//! What a change of a table does to those who use it, beyond the change.

/// A change of a table, as far as databases differ in what it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// Makes an index.
    MakeIndex,
    /// Removes a column.
    DropColumn,
    /// Adds a column.
    AddColumn,
    /// Lets a column hold NULL.
    AllowNull,
    /// Forbids a column to hold NULL.
    ForbidNull,
    /// Gives a column another type.
    ChangeType,
    /// Anything else.
    Other,
}

/// What it does, in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Others wait for it, or it for others.
    Locks(&'static str),
    /// It reads or writes all rows of the table.
    Rewrites(&'static str),
}

/// Of a database in which nobody waits.
pub(super) const fn without_locks(change: Change) -> &'static [Effect] {
    match change {
        Change::MakeIndex | Change::ForbidNull => &[Effect::Rewrites("all rows are read")],
        Change::ChangeType => &[Effect::Rewrites("the column is written again")],
        Change::DropColumn | Change::AddColumn | Change::AllowNull | Change::Other => &[],
    }
}
