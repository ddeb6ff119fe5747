//! Tide tables: when the water comes, and how high.
//!
//! See the [guide](../docs/guide.md).

mod parse;
mod table;
mod time;

pub use parse::parse;
pub use table::{Entry, Table};
pub use time::Time;
