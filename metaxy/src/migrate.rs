//! Migrations: files of SQL that bring the tables of a store from one graph to the next.
//!
//! A store that is opened with `.create_tables(true)` makes its tables and columns as they are needed.
//! A team that looks at what happens to its database before it happens keeps [`Migrations`] instead: a
//! folder of files, and beside them `metaxy.schema.json`, which says what the last of them has left. From
//! the difference between that and today's graph the next one is made, offline and without a driver.
//!
//! | step | in | out |
//! |---|---|---|
//! | [`Schema::of`] | a graph, an engine, settings | the tables that `create_tables` would make |
//! | [`Migration::between`] | two schemas, [`Options`] | steps, or all that no migration can do |
//! | [`Migrations::add`] | the same, for a folder | files in a [`Layout`] |
//! | [`Migrations::check`] | a folder, a graph | whether they fit |
//! | [`Migrations::lint`] | a folder | what destroys, locks or rewrites |
//! | [`Migrations::apply`], [`Migrations::revert`], [`Migrations::status`] | a folder, a store | |
//!
//! ```
//! use metaxy::builder::FeatureBuilder;
//! use metaxy::migrate::{Engine, Layout, Migrations, Options};
//! use metaxy::{FeatureGraph, ScalarType};
//!
//! let video = FeatureBuilder::new("example/video").id("video_id", ScalarType::Text).field("audio");
//! let graph = FeatureGraph::builder().feature(video).build()?;
//! # let folder = std::env::temp_dir().join(format!("metaxy-migrate-{}", std::process::id()));
//! # let _ = std::fs::remove_dir_all(&folder);
//! let settings = Engine::DuckDb.default_settings();
//! let mut migrations = Migrations::new(&folder, Engine::DuckDb, Layout::Plain, settings);
//! let written = migrations.add(&graph, Options::new("first"))?;
//! assert_eq!(written.len(), 3); // up, down, and the schema
//! migrations.check(&graph)?;
//! # std::fs::remove_dir_all(&folder).expect("a folder");
//! # Ok::<_, metaxy::Error>(())
//! ```
//!
//! # What a change becomes
//!
//! | change | migration |
//! |---|---|
//! | a new feature | its table, and of an expansion that of its seals |
//! | a new column | the column; older rows have NULL in it |
//! | a column may be NULL | the column |
//! | a wider type: a larger integer or float, `uuid` or `json` as text | the type, with its values |
//! | any other type, other ids | refused |
//! | a field with `renamed_from` | nothing: by-field maps and hashes keep the first name |
//! | a field with another name, [`Options::renamed`] | rows under the new name, where nothing else changed |
//! | another code version, other parents | nothing: records are stale, and computed again |
//! | a feature or a column that is gone | nothing, or, with [`Options::drops`], its removal |
//! | another version of a feature whose records stay as they are | nothing, or, with [`Options::rebase`], a rebase |
//! | another hash | rows with the new hash, where they were up to date |
//! | a feature of another project, out of a [lock file](crate::history::LockFile) | nothing: that project makes its table |
//!
//! What becomes nothing is written to `metaxy.schema.json` alone: the next migration begins with it.
//!
//! The table of a feature goes with all that the store keeps of it, so that another one of its key can be
//! made. Those of other projects are never dropped, also not those that were this project's before. What
//! moves rows may have to read them, and says so; and a store hashes in one way, so that another hash is for
//! a program that declares the features of all of its projects.
//!
//! What undoes a migration fails, and changes nothing, where rows hold what was impossible before: a
//! number that is too large, or NULL. What cannot be undone says so when it is tried.
//!
//! A store that has made its own tables so far goes over to migrations by [`Migrations::adopt`].
//!
//! # Who applies them
//!
//! [`Migrations::apply`] keeps what it has applied in `metaxy_system__migrations`, or a tool does that
//! of its own accord: for files in the layout `sqlx`, `sqlx::migrate!` in its `_sqlx_migrations`. The two
//! do not look at each other's table: use one of them for a database, and stay with it. Each migration is
//! applied in a transaction by DuckDB and Postgres. ClickHouse has none: what a migration has done before
//! it failed stays, and applying it again does the rest.
//!
//! Statements for ClickHouse that move rows rely on the settings that each query of a store has
//! ([`metaxy_sql::dialect::CLICKHOUSE_SETTINGS`]) and on temporary tables, so on one session. Those for
//! DuckDB rely on the hash functions of the store if it hashes with xxHash, which only metaxy has.

mod apply;
mod error;
mod files;
mod lint;
mod moves;
mod render;
mod schema;
mod steps;

pub use apply::{Applied, State, Status};
pub use error::MigrationError;
pub use files::{Layout, Migrations};
pub use lint::{Danger, Finding};
pub use schema::{Engine, Schema};
pub use steps::{Migration, Options, Step};
