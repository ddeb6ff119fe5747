//! The history of graphs in a store: what is pushed, when, and what it changed.
//!
//! - [`Store::push`] records the graph in the store, and says what is different since the last push.
//! - [`Store::history`] lists pushes, [`Store::pushed_graph`] gives the graph of one of them back.
//! - [`GraphDiff`] compares two graphs: features, fields, and which fields downstream change because
//!   of it.
//! - [`LockFile`] keeps definitions of other projects in a file, [`Store::lock`] makes one.
//!
//! [`Store::push`]: crate::Store::push
//! [`Store::history`]: crate::Store::history
//! [`Store::pushed_graph`]: crate::Store::pushed_graph
//! [`Store::lock`]: crate::Store::lock
//!
//! # What is kept
//!
//! A row per feature and push in `metaxy_system__feature_versions`, in the form of the Python
//! implementation: both read what the other has written. A push is what its project was from then on:
//!
//! - *The latest push decides*, not the version: after A, B and A the graph is A (H19).
//! - A push of another version of the project names all of its features. One that is not named any more
//!   gets a row with `deleted_at`, a *tombstone*, which keeps the version of the project that had it. The
//!   Python implementation does not look at tombstones and still finds such a feature by its key.
//! - Where the version of the project is the same, and features upstream in other projects are not, only
//!   features whose own version changed are appended.
//! - A push of what is there already appends nothing, and rows that say it again (two processes of Python
//!   at once) are no push of their own.
//!
//! Rows are appended as a whole, in turns, and with a time that is later than that of any other push. In
//! ClickHouse, which has no such turns, two pushes at the same moment may both be there: the later one
//! decides.
//!
//! The table may also have been made by `SQLAlchemy` definitions of the Python implementation, whose
//! primary key (project, feature, definition) refuses that a definition is ever pushed again: so it
//! refuses every second push.
//!
//! ```
//! # use metaxy::builder::FeatureBuilder;
//! # use metaxy::{FeatureGraph, ScalarType, Store};
//! # use metaxy::history::GraphDiff;
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> metaxy::Result<()> {
//! let video = || FeatureBuilder::new("example/video").id("video_id", ScalarType::Text);
//! let graph = FeatureGraph::builder().project("example").feature(video().field("audio")).build()?;
//! let store = Store::open("memory:").graph(graph).await?;
//! println!("{}", store.push().tag("git", "4b825dc").await?);
//!
//! let graph = FeatureGraph::builder().project("example").feature(video().field("frames")).build()?;
//! let diff = GraphDiff::between(&store.pushed_graph("latest").await?, &graph);
//! assert_eq!(
//!     diff.to_string(),
//!     "~ example/video\n\
//!      \x20   + field frames\n\
//!      \x20   - field audio\n"
//! );
//! # Ok(()) }
//! ```

mod diff;
mod error;
mod lock;
mod log;
mod push;
mod pushed;

pub use diff::{AffectedField, Change, ChangedFeature, ChangedField, ChangedUpstream, GraphDiff};
pub use error::HistoryError;
pub use lock::{Lock, LockError, LockFile, LockedFeature};
pub use log::HistoryEntry;
pub use push::{Push, Pushed, PushedProject};
pub use pushed::{At, History, PushedGraph};
