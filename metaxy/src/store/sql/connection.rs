//! [`Engine`] and [`Connection`]: what a store asks of a database.
//!
//! Statements arrive as trees; an engine prints them with its dialect and runs them. What a statement
//! is good for, and in which order statements run, is none of its business.

use crate::error::{Error, Result};
use crate::store::backend::{BatchStream, FeatureContext};
use crate::store::sql::plan::Tables;
use arrow::array::RecordBatch;
use futures::future::{BoxFuture, FutureExt};
#[cfg(any(feature = "duckdb", feature = "postgres"))]
use futures::stream::StreamExt;
use metaxy_sql::ast::Statement;
use metaxy_sql::plan::Statistics;
use metaxy_sql::{Dialect, HashAlgorithm};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
#[cfg(any(feature = "duckdb", feature = "postgres"))]
use tokio::{sync::mpsc, task::JoinHandle};

/// A database that a store can be in.
pub(crate) trait Engine: fmt::Debug + Send + Sync {
    /// How it writes SQL, and what messages call it.
    fn dialect(&self) -> Arc<dyn Dialect>;

    /// A connection for one call, or for one write.
    fn connect(&self) -> BoxFuture<'_, Result<Box<dyn Connection>>>;

    /// The rows of a file with samples, as [`Backend::read_samples`] gives them; a server has none.
    ///
    /// [`Backend::read_samples`]: crate::store::Backend::read_samples
    fn read_file(
        &self,
        feature: FeatureContext,
        path: PathBuf,
    ) -> BoxFuture<'_, Result<BatchStream>> {
        let _ = feature;
        let problem = format!(
            "{} reads no files of this machine; open it with a store in DuckDB, or load it into a table",
            self.dialect().name()
        );
        async move { Err(Error::File { path, problem }) }.boxed()
    }

    /// The rows of a table that is not ours, which may be named with what it is in.
    fn read_table(&self, name: String) -> BoxFuture<'_, Result<BatchStream>>;
}

/// What a transaction is for. DuckDB needs no list of tables.
#[cfg_attr(not(any(feature = "postgres", feature = "clickhouse")), allow(dead_code))]
#[derive(Clone, Copy, Debug)]
#[cfg_attr(
    not(feature = "clickhouse"),
    expect(dead_code, reason = "not every engine asks which tables are written to")
)]
pub(crate) enum Access<'a> {
    /// Reading: all of it sees one snapshot, where the engine has such a thing.
    Read,
    /// Writing to the tables of some features. Whoever writes to one of them waits for its turn, and
    /// keeps it until the end: times of later turns are later.
    Write(&'a [String]),
    /// The same for what is done only to see what it does, and taken back in every case. An engine that
    /// cannot take it back does it to copies.
    Dry(&'a [String]),
}

impl<'a> Access<'a> {
    /// Writing, or a dry run of it.
    pub(crate) fn writing(tables: &'a [String], is_dry: bool) -> Self {
        if is_dry { Self::Dry(tables) } else { Self::Write(tables) }
    }
}

/// A connection to a database.
///
/// When it is dropped, what was not committed was never there, and its temporary tables are gone. A
/// call whose future is dropped leaves a connection that refuses all calls.
pub(crate) trait Connection: Send {
    /// Those of some tables that are there, with their columns in order.
    fn tables<'a>(&'a mut self, names: &'a [String]) -> BoxFuture<'a, Result<Tables>>;

    /// Refuses a way to hash that the database lacks.
    fn check_algorithm(&mut self, algorithm: HashAlgorithm) -> BoxFuture<'_, Result<()>> {
        let _ = algorithm;
        futures::future::ready(Ok(())).boxed()
    }

    /// What is likely of the rows of tables, which come with their ids, as far as the database can tell without
    /// reading them.
    fn statistics<'a>(
        &'a mut self,
        tables: &'a [(String, Vec<String>)],
    ) -> BoxFuture<'a, Result<Vec<Statistics>>> {
        futures::future::ready(Ok(vec![Statistics::default(); tables.len()])).boxed()
    }

    /// Begins a transaction.
    fn begin<'a>(&'a mut self, access: Access<'a>) -> BoxFuture<'a, Result<()>>;

    /// Ends a transaction: what was done in it is there for all.
    fn commit(&mut self) -> BoxFuture<'_, Result<()>>;

    /// Ends a transaction: what was done in it was never there, if the engine can do that. ClickHouse
    /// cannot: no order of statements may do harm that ends after any of them.
    fn rollback(&mut self) -> BoxFuture<'_, Result<()>>;

    /// Runs a statement; gives the number of rows that it appended or removed.
    fn execute(&mut self, statement: Statement) -> BoxFuture<'_, Result<u64>>;

    /// Runs the statements of a text that somebody has written, one after the other.
    fn script(&mut self, sql: String) -> BoxFuture<'_, Result<()>>;

    /// The rows of a query that gives few of them.
    fn rows(&mut self, query: Statement) -> BoxFuture<'_, Result<Vec<RecordBatch>>>;

    /// The rows of a query, as they come. The rows of its first SELECT come first.
    fn stream(self: Box<Self>, query: Statement) -> BoxFuture<'static, Result<BatchStream>>;

    /// Appends rows to a table, temporary or not: a column for each of the table's, in order and by
    /// the same names. Rows for a temporary table may wait here until something else is asked.
    fn append<'a>(&'a mut self, table: &'a str, rows: RecordBatch) -> BoxFuture<'a, Result<()>>;

    /// Waits until no statement appends rows with this token, for somebody who has gone: what he has left is
    /// there then or not. Where transactions take turns nobody has to be waited for.
    fn ended(&mut self, token: i64) -> BoxFuture<'_, Result<()>> {
        let _ = token;
        futures::future::ready(Ok(())).boxed()
    }

    /// Waits until all rows that were appended are in their table. Other calls do so by themselves; but what
    /// is tried again when it fails should not begin with rows, which cannot be sent again.
    fn arrive(&mut self) -> BoxFuture<'_, Result<()>> {
        futures::future::ready(Ok(())).boxed()
    }
}

/// The batches that a task sends, with what has to be dropped with them. A task that dies ends them with an
/// error: what is missing must not look like the end. Whoever asks again after the end is told again.
#[cfg(any(feature = "duckdb", feature = "postgres"))]
pub(crate) fn sent(
    receiver: mpsc::Receiver<Result<RecordBatch>>,
    task: JoinHandle<()>,
    with: impl Send + 'static,
) -> BatchStream {
    let state = (receiver, Some(task), with);
    futures::stream::unfold(state, |(mut receiver, mut task, with)| async move {
        if let Some(batch) = receiver.recv().await {
            return Some((batch, (receiver, task, with)));
        }
        match task.take()?.await {
            Ok(()) => None,
            Err(_) => {
                let died = Error::internal("a task that reads rows died");
                Some((Err(died), (receiver, None, with)))
            }
        }
    })
    .fuse()
    .boxed()
}

/// Ends the transaction of a connection: commits what was done, or takes it back.
pub(crate) async fn end<T>(connection: &mut dyn Connection, done: Result<T>) -> Result<T> {
    match done {
        Ok(value) => {
            connection.commit().await?;
            Ok(value)
        }
        Err(error) => {
            // The first error is the one to tell.
            let _ = connection.rollback().await;
            Err(error)
        }
    }
}

/// The same, but nothing stays of what was done only to see what it does.
pub(crate) async fn end_dry<T>(connection: &mut dyn Connection, done: Result<T>) -> Result<T> {
    let ended = connection.rollback().await;
    let value = done?;
    ended?;
    Ok(value)
}
