//! [`PostgresConnection`]: statements of a store over a connection of a pool.

use super::decode::Decoder;
use super::oid::PgType;
use super::{Place, encode, errors};
use crate::error::{Error, Result};
use crate::store::backend::BatchStream;
use crate::store::sql::plan::{TableColumn, TableInfo, Tables};
use crate::store::sql::{self, Access, check_column};
use arrow::array::RecordBatch;
use futures::future::{BoxFuture, Either, FutureExt, select};
use futures::stream::StreamExt;
use metaxy_sql::ast::Statement;
use metaxy_sql::dialect::Postgres as Sql;
use metaxy_sql::{Dialect, HashAlgorithm, Ident, print};
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Executor, Row};
use std::collections::{BTreeSet, HashMap};
use std::pin::pin;
use std::sync::Arc;
use tokio::sync::mpsc;

/// So long a change of a table waits for those who read it.
const LOCK_TIMEOUT: &str = "5s";

/// How many batches wait for a reader: enough to keep both sides busy.
const BATCHES_AHEAD: usize = 4;

/// A temporary table with so many rows is analyzed before it is read: nobody else does it.
const ROWS_WORTH_ANALYZING: u64 = 1_000;

/// A connection of a store.
pub(super) struct PostgresConnection {
    /// Gone when it was given back or broke.
    connection: Option<PoolConnection<sqlx::Postgres>>,
    place: Arc<Place>,
    in_transaction: bool,
    /// What sets the connection as it was before, where it is one of somebody else's pool.
    restore: Option<String>,
    /// The temporary tables that may be there.
    temporary: BTreeSet<String>,
    /// Whether somebody's statements were run, which may have made more of them.
    ran_script: bool,
    /// Temporary tables that have got rows since they were analyzed.
    grown: HashMap<String, u64>,
    /// The columns of tables that rows are appended to.
    columns: HashMap<String, HashMap<String, PgType>>,
}

impl PostgresConnection {
    pub(super) fn new(connection: PoolConnection<sqlx::Postgres>, place: Arc<Place>) -> Self {
        Self {
            connection: Some(connection),
            place,
            in_transaction: false,
            restore: None,
            temporary: BTreeSet::new(),
            ran_script: false,
            grown: HashMap::new(),
            columns: HashMap::new(),
        }
    }

    /// Takes note of how a connection of somebody else's pool is set, and sets it, in one go. Whoever gives up
    /// in the middle of it gives up the connection.
    pub(super) async fn lend(&mut self, lend: String) -> Result<()> {
        let rows = self.look_up(lend).await?;
        let row = rows.first().ok_or_else(|| Error::internal("settings have values"))?;
        self.restore = Some(row.try_get(0).map_err(errors::of)?);
        Ok(())
    }

    /// The connection, for something in the middle of which nothing else can be done with it.
    fn hold(&mut self) -> Result<Held> {
        let connection = self.connection.take().ok_or_else(|| {
            errors::database(
                "an earlier call over this connection was cancelled or failed; repeat it",
            )
        })?;
        Ok(Held(Some(connection)))
    }

    /// Does something with the connection. It is given up where it may be in the middle of something:
    /// when the call is cancelled, or its error is not one that the server has told.
    async fn with<T>(
        &mut self,
        act: impl AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T> {
        let mut held = self.hold()?;
        let connection = held.0.as_mut().ok_or_else(|| Error::internal("a connection is held"))?;
        let result = act(connection).await;
        if matches!(
            result,
            Ok(_) | Err(sqlx::Error::Database(_) | sqlx::Error::ColumnDecode { .. })
        ) {
            self.connection = held.0.take();
        }
        result.map_err(errors::of)
    }

    /// Runs statements.
    async fn run(&mut self, sql: String) -> Result<u64> {
        tracing::debug!(sql, "statement");
        self.with(async |connection: &mut PgConnection| {
            let done = connection.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await?;
            Ok(done.rows_affected())
        })
        .await
    }

    /// The rows of a query of ours about tables: few, and of types that are known.
    pub(super) async fn look_up(&mut self, sql: String) -> Result<Vec<PgRow>> {
        tracing::debug!(sql, "statement");
        self.with(async |connection: &mut PgConnection| {
            connection.fetch_all(sqlx::raw_sql(AssertSqlSafe(sql))).await
        })
        .await
    }

    /// The types of the columns of a query: those that its NULLs have where it gives no rows.
    async fn types(&mut self, sql: &str, n_columns: usize) -> Result<Vec<PgType>> {
        let names: Vec<String> = (0..n_columns).map(|i| format!("c{i}")).collect();
        let types: Vec<String> =
            names.iter().map(|name| format!("pg_typeof(q.{name})::oid::bigint")).collect();
        let sql = format!(
            "SELECT {}\nFROM (SELECT 1) AS o\nLEFT JOIN (SELECT * FROM (\n{sql}\n) AS i LIMIT 0) AS q \
             ({}) ON TRUE",
            types.join(", "),
            names.join(", "),
        );
        let rows = self.look_up(sql).await?;
        let row = rows.first().ok_or_else(|| Error::internal("a query has types"))?;
        let ty = |i| {
            let oid: i64 = row.try_get(i).map_err(errors::of)?;
            type_of(oid)
        };
        (0..n_columns).map(ty).collect()
    }

    /// Analyzes temporary tables that have got many rows: plans go by what is known of tables.
    async fn analyze(&mut self) -> Result<()> {
        let grown: Vec<String> = (self.grown.iter())
            .filter(|(_, rows)| **rows >= ROWS_WORTH_ANALYZING)
            .map(|(table, _)| table.clone())
            .collect();
        for table in grown {
            self.grown.remove(&table);
            self.run(format!("ANALYZE {}", quoted(&table)?)).await?;
        }
        Ok(())
    }

    /// Makes a table that all see, unless another program has made it in the meantime.
    async fn create_table(&mut self, table: &Ident, sql: String) -> Result<u64> {
        self.run(format!("SELECT pg_advisory_xact_lock({})", self.place.lock(""))).await?;
        if !self.tables_of(&[table.as_str().to_owned()]).await?.is_empty() {
            return Ok(0);
        }
        self.run(sql).await
    }

    /// Makes functions, unless they are there.
    pub(super) async fn install(&mut self, functions: &str) -> Result<()> {
        // Two programs that replace one function at the same time get in each other's way.
        let lock = self.place.lock("");
        let sql = format!("BEGIN; SELECT pg_advisory_xact_lock({lock});\n{functions};\nCOMMIT");
        self.in_transaction = true;
        self.run(sql).await?;
        self.in_transaction = false;
        Ok(())
    }

    async fn change(&mut self, statement: Statement) -> Result<u64> {
        let mut sql = print(&statement, &Sql)?;
        match &statement {
            Statement::CreateTable { table, temporary: false, .. } => {
                return self.create_table(table, sql).await;
            }
            Statement::CreateTable { table, temporary: true, .. } => {
                self.temporary.insert(table.as_str().to_owned());
            }
            Statement::CreateTemporaryAs { table, .. } => {
                self.temporary.insert(table.as_str().to_owned());
                self.analyze().await?;
                let rows = self.run(sql).await?;
                self.grown.insert(table.as_str().to_owned(), rows);
                return Ok(rows);
            }
            Statement::AddColumn { table, .. } => {
                self.columns.remove(table.as_str());
                self.grown.remove(table.as_str());
                // Who reads the table may be the one who waits here, and all who come later wait behind.
                sql = format!("SET LOCAL lock_timeout = '{LOCK_TIMEOUT}';\n{sql}");
            }
            Statement::DropTemporary { table } => {
                self.columns.remove(table.as_str());
                self.grown.remove(table.as_str());
            }
            _ => self.analyze().await?,
        }
        self.run(sql).await
    }

    async fn tables_of(&mut self, names: &[String]) -> Result<Tables> {
        let mut tables = Tables::new();
        if names.is_empty() {
            return Ok(tables);
        }
        let quoted = names.iter().map(|name| Sql.quote_text(name));
        let quoted = quoted.collect::<Result<Vec<_>, _>>()?.join(", ");
        // What is visible is what a name without a schema means.
        let sql = format!(
            "SELECT c.relname::text, a.attname::text, format_type(a.atttypid, a.atttypmod)\n\
             FROM pg_class AS c\n\
             LEFT JOIN pg_attribute AS a\n    \
             ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped\n\
             WHERE c.relname IN ({quoted}) AND c.relkind IN ('r', 'p', 'v', 'm', 'f')\n    \
             AND pg_table_is_visible(c.oid)\n\
             ORDER BY c.relname, a.attnum"
        );
        for row in self.look_up(sql).await? {
            let text = |i: usize| row.try_get::<Option<String>, _>(i).map_err(errors::of);
            let Some(table) = text(0)? else { continue };
            let info: &mut TableInfo = tables.entry(table.clone()).or_default();
            if let (Some(column), Some(ty)) = (text(1)?, text(2)?) {
                check_column(&Sql, &table, &column)?;
                // It holds the same values.
                let ty = if ty.starts_with("character varying") { "text".to_owned() } else { ty };
                info.columns.insert(column, TableColumn::new(&Sql, ty));
            }
        }
        Ok(tables)
    }

    /// The types of the columns of a table, by name.
    async fn columns_of(&mut self, table: &str) -> Result<&HashMap<String, PgType>> {
        if !self.columns.contains_key(table) {
            let sql = format!(
                "SELECT attname::text, atttypid::bigint\nFROM pg_attribute\n\
                 WHERE attrelid = {}::regclass AND attnum > 0 AND NOT attisdropped",
                Sql.quote_text(&quoted(table)?)?
            );
            let mut columns = HashMap::new();
            for row in self.look_up(sql).await? {
                let (name, oid): (String, i64) =
                    (row.try_get(0).map_err(errors::of)?, row.try_get(1).map_err(errors::of)?);
                columns.insert(name, type_of(oid)?);
            }
            self.columns.insert(table.to_owned(), columns);
        }
        Ok(&self.columns[table])
    }

    /// Appends rows.
    async fn copy_in(&mut self, table: &str, rows: &RecordBatch) -> Result<()> {
        if rows.num_rows() == 0 {
            return Ok(());
        }
        let types = self.columns_of(table).await?;
        let schema = rows.schema();
        let (mut names, mut of_columns) = (Vec::new(), Vec::new());
        for field in schema.fields() {
            let name = field.name();
            let ty = types.get(name).ok_or_else(|| {
                errors::database(format!("`{table}` has no column `{name}` to append to"))
            })?;
            names.push(quoted(name)?);
            of_columns.push(*ty);
        }
        let chunks = encode::encode(rows, &of_columns)?;
        let names = names.join(", ");
        let sql = format!("COPY {} ({names}) FROM STDIN (FORMAT binary)", quoted(table)?);
        tracing::debug!(sql, n_rows = rows.num_rows(), "statement");
        self.with(async |connection: &mut PgConnection| {
            let mut copy = connection.copy_in_raw(&sql).await?;
            for chunk in chunks {
                copy.send(chunk).await?;
            }
            copy.finish().await
        })
        .await?;
        if table.starts_with('@') {
            *self.grown.entry(table.to_owned()).or_default() += rows.num_rows() as u64;
        }
        Ok(())
    }

    /// Gives the rows of a query, with these names of columns, batch by batch, until nobody takes them.
    pub(super) async fn copy_out(
        &mut self,
        sql: &str,
        names: &[String],
        taker: &mut Taker,
    ) -> Result<()> {
        self.analyze().await?;
        let types = self.types(sql, names.len()).await?;
        let columns: Vec<_> = names.iter().cloned().zip(types).collect();
        let sql = format!("COPY (\n{sql}\n) TO STDOUT (FORMAT binary)");
        tracing::debug!(sql, "statement");
        // Whatever ends it early leaves the connection in the middle of the rows.
        let mut held = self.hold()?;
        let connection = held.0.as_mut().ok_or_else(|| Error::internal("a connection is held"))?;
        let mut chunks = connection.copy_out_raw(&sql).await.map_err(errors::of)?;
        let mut decoder = Decoder::new(&columns);
        while let Some(chunk) = chunks.next().await {
            if let Some(batch) = decoder.take(&chunk.map_err(errors::of)?)?
                && !taker.take(batch).await
            {
                return Ok(());
            }
        }
        drop(chunks);
        self.connection = held.0.take();
        if let Some(batch) = decoder.finish()? {
            taker.take(batch).await;
        }
        Ok(())
    }

    /// The rows of a query, as they come, over a task that owns this connection.
    pub(super) fn stream_text(mut self, sql: String, names: Vec<String>) -> BatchStream {
        let (sender, receiver) = mpsc::channel(BATCHES_AHEAD);
        let task = tokio::spawn(async move {
            let mut taker = Taker::Reader(sender.clone());
            let copied = {
                let copying = pin!(self.copy_out(&sql, &names, &mut taker));
                // Without a reader it is given up at once, and its connection closed: the first rows may be
                // long in coming.
                match select(copying, pin!(sender.closed())).await {
                    Either::Left((copied, _)) => copied,
                    Either::Right(_) => Ok(()),
                }
            };
            if let Err(error) = copied {
                // Without a reader nobody is left to be told.
                let _ = sender.send(Err(error)).await;
            }
        });
        sql::sent(receiver, task, ())
    }
}

/// Who takes batches as they come.
pub(super) enum Taker {
    /// Somebody who wants all of them.
    List(Vec<RecordBatch>),
    /// Somebody who reads at their own pace, and may stop.
    Reader(mpsc::Sender<Result<RecordBatch>>),
}

impl Taker {
    /// Whether more are wanted.
    async fn take(&mut self, batch: RecordBatch) -> bool {
        match self {
            Self::List(batches) => {
                batches.push(batch);
                true
            }
            Self::Reader(reader) => reader.send(Ok(batch)).await.is_ok(),
        }
    }
}

/// A connection in the middle of something: when it is dropped like that, it is closed.
struct Held(Option<PoolConnection<sqlx::Postgres>>);

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(connection) = self.0.take() {
            drop(connection.detach());
        }
    }
}

impl Drop for PostgresConnection {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        let mut held = Held(Some(connection));
        let mut clean = Vec::new();
        if self.in_transaction {
            clean.push("ROLLBACK".to_owned());
        }
        match &self.restore {
            // Nobody knows what of it is there now and was not before: it is closed.
            Some(_) if self.ran_script => return,
            Some(restore) => {
                // Others may be its owner's.
                let ours = self.temporary.iter().filter_map(|table| quoted(table).ok());
                clean.extend(ours.map(|table| format!("DROP TABLE IF EXISTS {table}")));
                clean.push(restore.clone());
            }
            None if self.ran_script || !self.temporary.is_empty() => {
                clean.push("DISCARD TEMP".to_owned());
            }
            None => {}
        }
        if clean.is_empty() {
            drop(held.0.take());
            return;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let clean = clean.join("; ");
        runtime.spawn(async move {
            let Some(connection) = held.0.as_mut() else { return };
            if connection.execute(sqlx::raw_sql(AssertSqlSafe(clean))).await.is_ok() {
                // It goes back to the pool.
                drop(held.0.take());
            }
        });
    }
}

impl sql::Connection for PostgresConnection {
    fn check_algorithm(&mut self, algorithm: HashAlgorithm) -> BoxFuture<'_, Result<()>> {
        async move {
            let function = match algorithm {
                algorithm if Sql.has_algorithm(algorithm) => return Ok(()),
                HashAlgorithm::XxHash32 => "metaxy_xxhash32(text)",
                HashAlgorithm::XxHash64 => "metaxy_xxhash64(text)",
                _ => {
                    return Err(Error::Setting {
                        setting: "hash_algorithm",
                        value: algorithm.to_string(),
                        problem: "Postgres cannot compute it; take `md5`, `sha256`, or `xxhash32` \
                                  with `.install_xxhash(true)`",
                    });
                }
            };
            let sql = format!("SELECT to_regprocedure('{function}') IS NOT NULL");
            let rows = self.look_up(sql).await?;
            let row = rows.first().ok_or_else(|| Error::internal("a question has an answer"))?;
            if row.try_get::<bool, _>(0).map_err(errors::of)? {
                return Ok(());
            }
            Err(Error::Setting {
                setting: "hash_algorithm",
                value: algorithm.to_string(),
                problem: "Postgres has no function for it; open the store with \
                          `.install_xxhash(true)`, which makes one, or take `md5` or `sha256`",
            })
        }
        .boxed()
    }

    fn tables<'a>(&'a mut self, names: &'a [String]) -> BoxFuture<'a, Result<Tables>> {
        self.tables_of(names).boxed()
    }

    fn begin<'a>(&'a mut self, access: Access<'a>) -> BoxFuture<'a, Result<()>> {
        async move {
            let mut sql = match access {
                // One snapshot for all of it.
                Access::Read => "BEGIN ISOLATION LEVEL REPEATABLE READ".to_owned(),
                // What came before the turn is seen once it is there.
                Access::Write(_) | Access::Dry(_) => {
                    "BEGIN ISOLATION LEVEL READ COMMITTED".to_owned()
                }
            };
            self.in_transaction = true;
            if let Access::Write(tables) = access {
                let mut locks: Vec<i64> =
                    tables.iter().map(|table| self.place.lock(table)).collect();
                // In one order everywhere: nobody waits for one who waits for them.
                locks.sort_unstable();
                locks.dedup();
                for lock in locks {
                    sql += &format!(";\nSELECT pg_advisory_xact_lock({lock})");
                }
            }
            self.run(sql).await.map(drop)
        }
        .boxed()
    }

    fn commit(&mut self) -> BoxFuture<'_, Result<()>> {
        async move {
            self.run("COMMIT".to_owned()).await?;
            self.in_transaction = false;
            Ok(())
        }
        .boxed()
    }

    fn rollback(&mut self) -> BoxFuture<'_, Result<()>> {
        async move {
            self.run("ROLLBACK".to_owned()).await?;
            self.in_transaction = false;
            // What was made since the beginning is not there any more.
            self.columns.clear();
            self.grown.clear();
            Ok(())
        }
        .boxed()
    }

    fn execute(&mut self, statement: Statement) -> BoxFuture<'_, Result<u64>> {
        self.change(statement).boxed()
    }

    fn script(&mut self, sql: String) -> BoxFuture<'_, Result<()>> {
        async move {
            // Nobody knows what is in it.
            self.ran_script = true;
            self.columns.clear();
            self.run(sql).await.map(drop)
        }
        .boxed()
    }

    fn rows(&mut self, query: Statement) -> BoxFuture<'_, Result<Vec<RecordBatch>>> {
        async move {
            let (sql, names) = (print(&query, &Sql)?, names_of(&query));
            let mut taker = Taker::List(Vec::new());
            self.copy_out(&sql, &names, &mut taker).await?;
            Ok(match taker {
                Taker::List(batches) => batches,
                Taker::Reader(_) => Vec::new(),
            })
        }
        .boxed()
    }

    fn stream(self: Box<Self>, query: Statement) -> BoxFuture<'static, Result<BatchStream>> {
        async move { Ok(self.stream_text(print(&query, &Sql)?, names_of(&query))) }.boxed()
    }

    fn append<'a>(&'a mut self, table: &'a str, rows: RecordBatch) -> BoxFuture<'a, Result<()>> {
        async move { self.copy_in(table, &rows).await }.boxed()
    }
}

/// The names of the columns of a query.
fn names_of(query: &Statement) -> Vec<String> {
    let Statement::Query(query) = query else { return Vec::new() };
    let columns = query.union_all.iter().take(1).flat_map(|select| &select.columns);
    columns.map(|(_, name)| name.as_str().to_owned()).collect()
}

fn quoted(name: &str) -> Result<String> {
    Ok(Sql.quote_ident(&Ident::new(name)?)?)
}

fn type_of(oid: i64) -> Result<PgType> {
    u32::try_from(oid).ok().and_then(PgType::of).ok_or_else(|| {
        errors::database(format!("a column has a type that cannot be read (number {oid})"))
    })
}
