//! What several tests share.

#[cfg(feature = "duckdb")]
pub mod batch;
#[cfg(feature = "duckdb")]
mod engines;
#[cfg(feature = "duckdb")]
pub mod flow;
pub mod golden;
#[cfg(feature = "duckdb")]
pub mod nasty;
#[cfg(feature = "duckdb")]
pub mod place;
