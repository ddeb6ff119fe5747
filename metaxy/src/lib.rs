//! Record-level feature metadata for multimodal pipelines.
//!
//! Pipelines over video, audio, images and documents spend GPU hours per record. When one algorithm
//! or one input changes, only the records and the fields that really depend on it should be computed
//! again. Metaxy keeps a version for every *field* of every *record* of every *feature*, derived from
//! the code version of the field and the versions of exactly the upstream fields that it declares.
//! One query inside the store then tells which records are new, stale or orphaned, and because of
//! which fields, before anything is computed.
//!
//! Features are structs. The compiler checks what they say about each other:
//!
//! ```
//! use metaxy::prelude::*;
//!
//! /// Raw videos, as ingested.
//! #[derive(Feature)]
//! #[metaxy(key = "example/video")]
//! pub struct Video {
//!     #[metaxy(id)]
//!     pub video_id: String,
//!     pub path: String, // a column
//!     #[metaxy(field, code_version = "1")]
//!     pub audio: DataVersion, // a field
//!     #[metaxy(field, code_version = "1")]
//!     pub frames: DataVersion,
//! }
//!
//! #[derive(Feature)]
//! #[metaxy(key = "example/face_detection", deps(Video))]
//! pub struct FaceDetection {
//!     #[metaxy(id)]
//!     pub video_id: String,
//!     #[metaxy(field, code_version = "1", deps(Video::frames))]
//!     pub faces: DataVersion,
//!     pub num_faces: u32,
//! }
//!
//! /// What a detection is computed from.
//! #[derive(Row)]
//! struct Input {
//!     video_id: String,
//!     path: String,
//! }
//!
//! # fn detect(_: &str) -> Vec<()> { vec![()] }
//! # #[cfg(feature = "duckdb")]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> metaxy::Result<()> {
//! let graph = FeatureGraph::of::<FaceDetection>()?;
//! let store = Store::open("duckdb::memory:").graph(graph).create_tables(true).await?;
//!
//! // A root is compared with the records as they should be, inside the store.
//! let video = |id: &str, frames: &str| Video {
//!     video_id: id.into(),
//!     path: format!("/videos/{id}.mp4"),
//!     audio: DataVersion::constant(),
//!     frames: DataVersion::of(frames),
//! };
//! let report = store.sync(vec![video("a", "first cut"), video("b", "first cut")]).await?;
//! assert_eq!(report.counts.new, 2);
//!
//! // Every other feature says which records it lacks, and takes them back with their provenance.
//! let increment = store.resolve_update::<FaceDetection>().await?;
//! assert_eq!(increment.counts().new, 2);
//! let mut out = store.writer::<FaceDetection>().commit_every(1_000);
//! let mut jobs = increment.jobs::<Input>();
//! while let Some(job) = jobs.try_next().await? {
//!     let faces = detect(&job.input().path);
//!     let record = FaceDetection {
//!         video_id: job.input().video_id.clone(),
//!         faces: DataVersion::default(), // as computed from what it depends on
//!         num_faces: faces.len() as u32,
//!     };
//!     out.push(job.done(record)?).await?;
//! }
//! out.commit().await?;
//!
//! // New sound, same frames: no face has to be detected again.
//! let mut again = video("a", "first cut");
//! again.audio = DataVersion::new("remixed");
//! let report = store.sync(vec![again]).partial(true).await?;
//! assert_eq!(report.counts.stale, 1);
//! assert!(store.count_update::<FaceDetection>().await?.is_up_to_date());
//! # Ok(()) }
//! # #[cfg(not(feature = "duckdb"))]
//! # fn main() {}
//! ```
//!
//! # Where to look
//!
//! - [`Feature`](derive@Feature), the derive, documents all options.
//! - [`FeatureGraph`] is the graph of features, with its versions.
//! - [`Store`] is a graph over a database: [`sync`](Store::sync),
//!   [`resolve_update`](Store::resolve_update), [`writer`](Store::writer), [`read`](Store::read).
//! - [`Store::update`] is a resolve with options: filters, shards, an order, a limit, failures.
//! - [`Store::plan`] says what is to be done in all features, and what a change would cost.
//! - [`Store::explain`] says of one record why it is as it is, and what belongs to it in other features.
//! - [`Store::delete`], [`Store::delete_orphans`], [`Store::undelete`], [`Store::vacuum`] and
//!   [`Store::rebase`] are for what is no longer wanted, or no longer as it was.
//! - [`Job::done`], [`Job::children`] and [`Job::failed`] are what becomes of a record to compute.
//! - [`history`] is what was pushed, when, and what it changed; and lock files for features of other
//!   projects.
//! - [`store::memory`] is a store without a database, for unit tests.
//! - `migrate` turns the difference between two graphs into files of SQL, and applies them.
//! - [`filter`] is the language of filters, in declarations and in calls.
//! - [`increment`] describes what a resolve gives, as Arrow batches and as jobs.
//! - [`look`] shows a graph: as a tree, as Mermaid, DOT or SVG, and as a page.
//! - [`blocking`] is all of it without `async`.
//!
//! # Cargo features
//!
//! | feature | what |
//! |---|---|
//! | `duckdb` (default) | the embedded store; links a `libduckdb`. Without it there is `memory:` |
//! | `postgres` | stores in Postgres: `postgres://..`, or a pool of your own (`Store::from_pool`) |
//! | `clickhouse` | stores in ClickHouse: `clickhouse://..`, or a client of your own (`Store::from_client`) |
//! | `tls` | encrypted connections to servers |
//! | `bundled` | compiles DuckDB from source instead |
//! | `chrono`, `uuid`, `json` | column types of these crates |
//! | `cli` | `cli`, the command line with your features, and the binaries `metaxy` and `cargo-metaxy` |
//! | `conformance` | [`conformance`]: the tests of an engine of your own |

// What the derives emit names the crate as users do.
extern crate self as metaxy;

#[doc(hidden)]
pub mod __private;
mod awaited;
pub mod blocking;
pub mod builder;
#[doc(hidden)]
pub mod check;
#[cfg(feature = "cli")]
pub mod cli;
pub mod column;
#[cfg(feature = "conformance")]
pub mod conformance;
mod data_version;
mod def;
pub mod error;
pub mod explain;
mod feature;
pub mod filter;
pub mod graph;
pub mod history;
pub mod increment;
pub mod key;
pub mod look;
#[cfg(feature = "sql")]
pub mod migrate;
mod nearest;
pub mod plan;
pub mod prelude;
pub mod pyjson;
pub mod registry;
pub mod row;
mod schema;
pub mod spec;
pub mod store;
pub mod version;

/// Arrow, in the version that batches have.
pub use ::arrow;
#[cfg(feature = "clickhouse")]
pub use ::clickhouse;
pub use column::{Column, DecodeError, IdColumn, IdValue};
pub use data_version::DataVersion;
pub use def::{ColumnRef, FieldRef};
pub use error::{Error, Result};
pub use feature::{Feature, FeatureSet};
pub use graph::FeatureGraph;
pub use increment::{Counts, Done, Increment, Job, Reason, StaleField, Status};
pub use key::{FeatureKey, FieldKey};
pub use metaxy_derive::{Column, Feature, Row};
pub use metaxy_sql::{ColumnType, HashAlgorithm, ScalarType};
pub use plan::Plan;
pub use row::{Row, RowError};
#[cfg(feature = "postgres")]
pub use sqlx;
pub use store::{BatchStream, Compat, Samples, Store, WriteError};

/// The snippets of the README, as documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
