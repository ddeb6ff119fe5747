//! Compiles relational plans to SQL for DuckDB, Postgres and ClickHouse.

pub mod types;

pub use types::{ColumnType, ScalarType};
