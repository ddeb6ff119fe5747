//! What several tests share.

#[cfg(feature = "servers")]
pub mod databases;
#[cfg(feature = "engines")]
pub mod engines;
#[cfg(feature = "engines")]
pub mod flow;
#[cfg(feature = "duckdb")]
pub mod place;

pub use metaxy::conformance::{batch, golden};

/// Runs what is asynchronous in a test that is not.
///
/// # Panics
/// If the system gives none.
#[cfg(feature = "engines")]
#[must_use]
pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}
