//! [`DuckDbConnection`]: statements of a store on blocking threads.

use super::database::Link;
use super::{database_error, for_each_batch, in_utc, on_thread, rows, texts};
use crate::error::{Error, Result};
use crate::store::backend::BatchStream;
use crate::store::sql::plan::{TableColumn, TableInfo, Tables};
use crate::store::sql::{self, Access, check_column};
use arrow::array::RecordBatch;
use duckdb::Connection;
use futures::future::{BoxFuture, FutureExt};
use futures::stream::StreamExt;
use metaxy_sql::ast::Statement;
use metaxy_sql::dialect::DuckDb as DuckDbDialect;
use metaxy_sql::{Dialect, Ident, print};
use std::collections::HashSet;
use tokio::sync::{OwnedMutexGuard, mpsc};
use tokio::task::JoinHandle;

/// How many batches wait for a reader: enough to keep both sides busy.
const BATCHES_AHEAD: usize = 4;

/// Beyond so many tables all columns of the database are looked through. It is the faster way then, but the
/// first such query of a process binds every view of DuckDB's own, which takes as long as opening a file.
const MANY_TABLES: usize = 64;

/// Up to so many rows it makes no difference whether most records have one.
const FEW_ROWS: u64 = 50_000;

/// A connection, and the turn to write if it has it. They are dropped in this order: who comes next
/// finds what was not committed gone.
struct Work {
    link: Link,
    turn: Option<OwnedMutexGuard<()>>,
}

/// A connection of a store.
pub(super) struct DuckDbConnection {
    /// Gone while a thread works with it; lost with a call that was cancelled.
    work: Option<Work>,
}

impl DuckDbConnection {
    pub(super) fn new(link: Link) -> Self {
        Self { work: Some(Work { link, turn: None }) }
    }

    fn take(&mut self) -> Result<Work> {
        self.work.take().ok_or_else(|| Error::Database {
            engine: "DuckDB",
            message: "an earlier call of this write was cancelled; begin a new one".to_owned(),
        })
    }

    /// Does something on a thread.
    async fn with<T: Send + 'static>(
        &mut self,
        act: impl FnOnce(&mut Work) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let mut work = self.take()?;
        let (work, result) = on_thread(move || {
            let result = act(&mut work);
            Ok((work, result))
        })
        .await?;
        self.work = Some(work);
        result
    }

    /// The rows of a statement whose text is made on the thread that runs it.
    pub(super) fn stream_of(
        mut self,
        make: impl FnOnce(&Connection) -> Result<String> + Send + 'static,
    ) -> Result<BatchStream> {
        let work = self.take()?;
        let (sender, receiver) = mpsc::channel(BATCHES_AHEAD);
        let thread = tokio::task::spawn_blocking(move || {
            let give = || -> Result<()> {
                let sql = make(&work.link)?;
                for_each_batch(&work.link, &sql, |batch| {
                    Ok(sender.blocking_send(in_utc(&batch)).is_ok())
                })
            };
            if let Err(error) = give() {
                // Without a reader nobody is left to be told.
                let _ = sender.blocking_send(Err(error));
            }
        });
        Ok(received(receiver, thread))
    }
}

/// The batches that a thread sends. One that dies ends them with an error: what is missing must not
/// look like the end.
fn received(receiver: mpsc::Receiver<Result<RecordBatch>>, thread: JoinHandle<()>) -> BatchStream {
    futures::stream::unfold((receiver, Some(thread)), |(mut receiver, mut thread)| async move {
        if let Some(batch) = receiver.recv().await {
            return Some((batch, (receiver, thread)));
        }
        match thread.take()?.await {
            Ok(()) => None,
            Err(_) => Some((Err(Error::internal("a database thread died")), (receiver, None))),
        }
    })
    // Whoever asks again is told again.
    .fuse()
    .boxed()
}

impl sql::Connection for DuckDbConnection {
    fn tables<'a>(&'a mut self, names: &'a [String]) -> BoxFuture<'a, Result<Tables>> {
        let names = names.to_vec();
        self.with(move |work| tables(&work.link, &names)).boxed()
    }

    fn mostly_once<'a>(
        &'a mut self,
        tables: &'a [(String, Vec<String>)],
    ) -> BoxFuture<'a, Result<Vec<bool>>> {
        let tables = tables.to_vec();
        self.with(move |work| mostly_once(&work.link, &tables)).boxed()
    }

    fn begin<'a>(&'a mut self, access: Access<'a>) -> BoxFuture<'a, Result<()>> {
        async move {
            let mut work = self.take()?;
            if let Access::Write(_) | Access::Dry(_) = access {
                work.turn = Some(work.link.writing().lock_owned().await);
            }
            self.work = Some(work);
            self.with(|work| work.link.begin()).await
        }
        .boxed()
    }

    fn commit(&mut self) -> BoxFuture<'_, Result<()>> {
        self.with(|work| {
            work.link.commit()?;
            work.turn = None;
            Ok(())
        })
        .boxed()
    }

    fn rollback(&mut self) -> BoxFuture<'_, Result<()>> {
        self.with(|work| {
            let ended = work.link.rollback();
            work.turn = None;
            ended
        })
        .boxed()
    }

    fn execute(&mut self, statement: Statement) -> BoxFuture<'_, Result<u64>> {
        self.with(move |work| work.link.execute(&statement)).boxed()
    }

    fn script(&mut self, sql: String) -> BoxFuture<'_, Result<()>> {
        self.with(move |work| work.link.script(&sql)).boxed()
    }

    fn rows(&mut self, query: Statement) -> BoxFuture<'_, Result<Vec<RecordBatch>>> {
        self.with(move |work| rows(&work.link, &print(&query, &DuckDbDialect)?)).boxed()
    }

    fn stream(self: Box<Self>, query: Statement) -> BoxFuture<'static, Result<BatchStream>> {
        async move { self.stream_of(move |_| Ok(print(&query, &DuckDbDialect)?)) }.boxed()
    }

    fn append<'a>(&'a mut self, table: &'a str, rows: RecordBatch) -> BoxFuture<'a, Result<()>> {
        let table = table.to_owned();
        self.with(move |work| {
            // Names of temporary tables begin with what no other table does.
            let appender = match table.starts_with('@') {
                true => work.link.appender_to_catalog_and_db(&table, "temp", "main"),
                false => work.link.appender(&table),
            };
            let mut appender = appender.map_err(database_error)?;
            appender.append_record_batch(rows).map_err(database_error)?;
            appender.flush().map_err(database_error)
        })
        .boxed()
    }
}

/// Of tables, whether one of the ids has about as many values as there are rows, by the statistics that DuckDB
/// keeps of columns. Where there are few rows it does not matter.
fn mostly_once(connection: &Connection, tables: &[(String, Vec<String>)]) -> Result<Vec<bool>> {
    let mut columns = Vec::new();
    for (table, ids) in tables {
        let table = DuckDbDialect.quote_ident(&Ident::new(table)?)?;
        columns.push(format!("(SELECT count(*) FROM {table})::VARCHAR"));
        for id in ids {
            let id = DuckDbDialect.quote_ident(&Ident::new(id)?)?;
            columns.push(format!("coalesce((SELECT stats({id}) FROM {table} LIMIT 1), '')"));
        }
    }
    if columns.is_empty() {
        return Ok(Vec::new());
    }
    let found = texts(connection, &format!("SELECT {}", columns.join(", ")))?;
    let mut found = found.into_iter().flatten();
    let mut next = || found.next().unwrap_or_default();
    let of_table = |(_, ids): &(String, Vec<String>)| {
        let rows = next().parse::<u64>().unwrap_or_default();
        let values = ids.iter().filter_map(|_| {
            let statistics = next();
            let (_, number) = statistics.split_once("[Approx Unique: ")?;
            number.split(']').next()?.parse::<u64>().ok()
        });
        let values = values.max().unwrap_or_default();
        rows > FEW_ROWS && rows - values.min(rows) <= rows / 5
    };
    Ok(tables.iter().map(of_table).collect())
}

/// Those of some tables that are there, with their columns.
fn tables(connection: &Connection, names: &[String]) -> Result<Tables> {
    let here = "database_name = current_database() AND schema_name = current_schema()";
    let list = |names: &[String]| -> Result<String> {
        let names = names.iter().map(|name| DuckDbDialect.quote_text(name));
        Ok(names.collect::<Result<Vec<_>, _>>()?.join(", "))
    };
    let listed = list(names)?;
    let sql = format!(
        "SELECT table_name, estimated_size::VARCHAR FROM duckdb_tables() \
         WHERE {here} AND table_name IN ({listed}) \
         UNION ALL SELECT view_name, '' FROM duckdb_views() WHERE {here} AND view_name IN ({listed})"
    );
    let (mut found, mut small) = (Vec::new(), HashSet::new());
    for row in texts(connection, &sql)? {
        if let [table, rows] = row.as_slice() {
            if rows.parse::<u64>().is_ok_and(|rows| rows <= FEW_ROWS) {
                small.insert(table.clone());
            }
            found.push(table.clone());
        }
    }
    if found.is_empty() {
        return Ok(Tables::new());
    }
    // A name is read in which no quote can be written.
    let can_be_named = !found.iter().any(|name| name.contains('"'));
    let sql = if found.len() > MANY_TABLES || !can_be_named {
        format!(
            "SELECT column_index::VARCHAR, table_name, column_name, data_type FROM duckdb_columns() \
             WHERE {here} AND table_name IN ({})",
            list(&found)?
        )
    } else {
        let columns = found.iter().map(|name| {
            let text = DuckDbDialect.quote_text(name)?;
            let quoted =
                DuckDbDialect.quote_text(&DuckDbDialect.quote_ident(&Ident::new(name)?)?)?;
            Ok(format!("SELECT cid::VARCHAR, {text}, name, type FROM pragma_table_info({quoted})"))
        });
        columns.collect::<Result<Vec<_>>>()?.join(" UNION ALL ")
    };
    let mut tables = Tables::new();
    let mut columns = texts(connection, &sql)?;
    // To let DuckDB sort so few rows takes as long as to find them.
    columns.sort_by_key(|column| column[0].parse::<u64>().ok());
    for row in columns {
        if let [_, table, column, ty] = row.as_slice() {
            check_column(&DuckDbDialect, table, column)?;
            let table: &mut TableInfo = tables.entry(table.clone()).or_default();
            table.columns.insert(column.clone(), TableColumn::new(&DuckDbDialect, ty.clone()));
        }
    }
    for (table, info) in &mut tables {
        info.is_small = small.contains(table);
    }
    Ok(tables)
}
