//! Compiles relational plans to SQL for DuckDB, Postgres and ClickHouse.
//!
//! | stage | from | to | where |
//! |---|---|---|---|
//! | lower | [`plan`] | [`ast`] | [`lower`] |
//! | print | [`ast`] | text | [`print()`], asking a [`Dialect`] |
//!
//! The crate does no I/O and knows no database driver. It knows tables of records, not features:
//! plans are made elsewhere. Every stage can be printed and tested alone.

pub mod ast;
pub mod dialect;
pub mod error;
pub mod filter;
pub mod functions;
pub mod ident;
pub mod literal;
pub mod lower;
pub mod plan;
mod print;
pub mod system;
pub mod types;

pub use dialect::Dialect;
pub use error::{Error, Result};
pub use ident::Ident;
pub use literal::Literal;
pub use plan::HashAlgorithm;
pub use print::{print, print_alone, print_steps};
pub use types::{ColumnType, ScalarType};
