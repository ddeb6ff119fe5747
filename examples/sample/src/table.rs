//! What a table holds, and what it can be asked.

use crate::Time;

/// One high water.
pub struct Entry {
    /// Where.
    pub harbour: String,
    /// When.
    pub time: Time,
    /// How high, in metres above chart datum.
    pub height: f64,
}

/// Entries in the order of time.
pub struct Table {
    /// The entries.
    pub entries: Vec<Entry>,
}

impl Table {
    /// The first entry that is still to come.
    pub fn next_high(&self) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.time.is_ahead())
    }
}
