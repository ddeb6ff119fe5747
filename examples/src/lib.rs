//! A pipeline over the files of a folder: what it knows of each file is a record of a feature.
//!
//! ```text
//! files/file ─┬─ content ────┬─> files/text ───┬─> files/overview
//!             │              └─> files/index ──┘
//!             └─ attributes ───> files/freshness
//! ```
//!
//! [`features`] declares that graph, [`scan`] reads the folder, [`compute`] holds the algorithms and
//! knows nothing of stores, [`pipeline`] brings them together, and [`report`] prints what a run did.
//! [`demo`] edits a scratch copy of a folder and runs the pipeline after each edit.

pub mod compute;
pub mod demo;
pub mod features;
pub mod pipeline;
pub mod report;
pub mod scan;

use std::path::{Path, PathBuf};

/// Whatever goes wrong ends the program with its message, so one type for all is enough here.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// A result with [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The root of this repository: a folder of real files that everybody who runs an example has.
#[must_use]
pub fn repository() -> PathBuf {
    let member = Path::new(env!("CARGO_MANIFEST_DIR"));
    member.parent().expect("the examples are a folder of the repository").to_owned()
}
