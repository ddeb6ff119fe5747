//! A folder with one database, which stores open and which SQL of the test can look into.

use crate::batch;
use duckdb::Connection;
use metaxy::store::OpenStore;
use metaxy::{FeatureGraph, Store};
use serde_json::Value;
use std::path::PathBuf;
use tempfile::TempDir;

/// A database file of a test's own, gone when this is dropped.
#[derive(Debug)]
pub struct Place {
    folder: TempDir,
}

impl Default for Place {
    fn default() -> Self {
        Self::new()
    }
}

impl Place {
    /// A place without a database.
    ///
    /// # Panics
    /// If no temporary folder can be made.
    #[must_use]
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder") }
    }

    /// A file in the folder.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The address of the database.
    #[must_use]
    pub fn url(&self) -> String {
        format!("duckdb:{}", self.path("meta.duckdb").display())
    }

    /// Begins to open the database, with tables made as they are needed.
    pub fn open(&self, graph: &FeatureGraph) -> OpenStore {
        Store::open(self.url()).graph(graph.clone()).create_tables(true)
    }

    /// Runs statements of a test's own, as another program would.
    ///
    /// DuckDB must not have a file open twice, so no store may be open here.
    ///
    /// # Panics
    /// If they fail.
    pub fn execute(&self, statements: &str) {
        self.connection().execute_batch(statements).expect(statements);
    }

    /// The rows of a query of a test's own; again with no store open.
    ///
    /// # Panics
    /// If it fails.
    #[must_use]
    pub fn query(&self, sql: &str) -> Vec<Value> {
        let connection = self.connection();
        let mut statement = connection.prepare(sql).expect(sql);
        let batches: Vec<_> = statement.query_arrow([]).expect(sql).collect();
        batch::rows(&batches)
    }

    fn connection(&self) -> Connection {
        Connection::open(self.path("meta.duckdb")).expect("a database")
    }
}
