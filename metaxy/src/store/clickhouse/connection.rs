//! [`ClickHouseConnection`]: statements of one call, in a session if it has temporary tables.

use super::rows::{Decoder, encode, storable_rows};
use super::{ClickHouse, errors};
use crate::error::{Error, Result};
use crate::store::backend::BatchStream;
use crate::store::sql::plan::{TableColumn, TableInfo, Tables};
use crate::store::sql::{self, Access, check_column};
use arrow::array::{Array, ArrayRef, RecordBatch};
use bytes::Bytes;
use clickhouse::Client;
use clickhouse::query::BytesCursor;
use futures::future::{BoxFuture, FutureExt};
use futures::stream::StreamExt;
use metaxy_sql::ast::Statement;
use metaxy_sql::dialect::ClickHouse as Sql;
use metaxy_sql::{Dialect, Ident, lower, print_steps, system};
use sqlparser::dialect::ClickHouseDialect;
use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::OwnedMutexGuard;

/// How long the server keeps the temporary tables of a connection that says nothing, in seconds: the
/// longest that it allows unless it was told otherwise.
const SESSION_SECONDS: &str = "3600";

/// How many rows are sent at once.
const ROWS_AT_ONCE: usize = 65_536;

/// So many rows, or bytes of them, are worth an INSERT: each makes a part, a part costs milliseconds,
/// and many parts have to be merged.
const ROWS_OF_INSERT: usize = 262_144;
const BYTES_OF_INSERT: usize = 64 << 20;
/// Rows that come slowly are sent after so long, so that the server does not take the session for one that
/// nobody uses.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// A connection of a call, which is a number of requests.
pub(super) struct ClickHouseConnection {
    engine: ClickHouse,
    /// What temporary tables live in, once there are any.
    session: Option<Session>,
    /// What a writer has its turn for.
    turns: Vec<OwnedMutexGuard<()>>,
    /// In a dry run, the tables of which there are copies that hide them.
    copies: Option<BTreeSet<String>>,
    /// Rows on their way to a temporary table, which nobody else sees: they are sent when they are enough,
    /// or before anything else is asked.
    waiting: Waiting,
}

/// Rows for one table, of one schema.
#[derive(Default)]
struct Waiting {
    table: String,
    rows: Vec<RecordBatch>,
    since: Option<Instant>,
    is_lost: bool,
}

impl Waiting {
    fn takes(&self, table: &str, rows: &RecordBatch) -> bool {
        let is_like = |first: &RecordBatch| self.table == table && first.schema() == rows.schema();
        self.rows.first().is_none_or(is_like)
    }

    fn is_enough(&self) -> bool {
        let bytes = |rows: &RecordBatch| -> usize {
            let of = |array: &ArrayRef| array.to_data().get_slice_memory_size().unwrap_or_default();
            rows.columns().iter().map(of).sum()
        };
        self.since.is_some_and(|since| since.elapsed() >= LONGEST_WAIT)
            || self.rows.iter().map(RecordBatch::num_rows).sum::<usize>() >= ROWS_OF_INSERT
            || self.rows.iter().map(bytes).sum::<usize>() >= BYTES_OF_INSERT
    }
}

/// A session of the server; dropped, it ends, with its temporary tables.
struct Session {
    client: Client,
}

impl Session {
    fn new(client: &Client) -> Self {
        let random = || RandomState::new().hash_one("session");
        let client = client
            .clone()
            .with_setting("session_id", format!("metaxy-{:016x}{:016x}", random(), random()))
            .with_setting("session_timeout", SESSION_SECONDS);
        Self { client }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // Without a runtime the server ends it by itself, later.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let client = self.client.clone().with_setting("close_session", "1");
            runtime.spawn(async move {
                // A statement whose answer nobody reads any more takes a moment to end.
                for wait in [50, 200, 1_000, 5_000] {
                    let ended = client.query_raw("SELECT 1 FORMAT Null").execute().await;
                    if ended.is_ok() {
                        break;
                    }
                    tokio::time::sleep(Duration::from_millis(wait)).await;
                }
            });
        }
    }
}

impl ClickHouseConnection {
    pub(super) fn new(engine: ClickHouse) -> Self {
        let (session, copies, waiting) = (None, None, Waiting::default());
        Self { engine, session, turns: Vec::new(), copies, waiting }
    }

    /// The client, in the session if there is one.
    fn client(&self) -> &Client {
        self.session.as_ref().map_or(&self.engine.client, |session| &session.client)
    }

    /// The client in a session.
    fn in_session(&mut self) -> &Client {
        let client = &self.engine.client;
        &self.session.get_or_insert_with(|| Session::new(client)).client
    }

    fn send(&self, sql: &str) -> Result<BytesCursor> {
        tracing::debug!(sql, "statement");
        // The text is complete: nothing in it stands for a value that is bound.
        self.client().query_raw(sql).fetch_bytes("ArrowStream").map_err(errors::of)
    }

    /// Runs a statement; gives the number of rows that it appended.
    async fn run(&self, sql: &str) -> Result<u64> {
        tracing::debug!(sql, "statement");
        // The summary is right only at the end.
        let query = self.client().query_raw(sql).with_setting("wait_end_of_query", "1");
        let mut cursor = query.fetch_bytes("TSV").map_err(errors::of)?;
        cursor.collect().await.map_err(errors::of)?;
        Ok(cursor.summary().and_then(clickhouse::QuerySummary::written_rows).unwrap_or_default())
    }

    /// The rows of a query that gives few.
    async fn batches(&self, sql: &str) -> Result<Vec<RecordBatch>> {
        let (mut rows, first) = self.begin_rows(sql).await?;
        let mut batches: Vec<_> = first.into_iter().collect();
        while let Some(batch) = rows.next().await? {
            batches.push(batch);
        }
        Ok(batches)
    }

    /// The rows of a query and the first of them. A way to the server that was kept open from an
    /// earlier request may be closed at the other end, which is seen only now: to ask again does no
    /// harm, since nothing was changed.
    async fn begin_rows(&self, sql: &str) -> Result<(Rows, Option<RecordBatch>)> {
        for is_last in [false, true] {
            let mut rows = Rows { cursor: self.send(sql)?, decoder: Decoder::default() };
            match rows.next().await {
                Err(Error::Unreachable { .. }) if !is_last => {}
                other => return other.map(|first| (rows, first)),
            }
        }
        Err(Error::internal("a second try is the last"))
    }

    /// The rows of a query whose columns are all texts.
    pub(super) async fn text_rows(&self, sql_text: &str) -> Result<Vec<Vec<String>>> {
        Ok(sql::text_rows(&self.batches(sql_text).await?))
    }

    /// The rows of a query, as they come; an error before the first is one of this call.
    pub(super) async fn stream_text(self: Box<Self>, sql: String) -> Result<BatchStream> {
        let (rows, first) = self.begin_rows(&sql).await?;
        // The connection lives as long as its rows.
        let rest = futures::stream::unfold(Some((rows, self)), |rows| async move {
            let (mut rows, connection) = rows?;
            match rows.next().await {
                Ok(batch) => Some((Ok(batch?), Some((rows, connection)))),
                Err(error) => Some((Err(error), None)),
            }
        });
        // Whoever asks again after the end is told again.
        Ok(futures::stream::iter(first.map(Ok)).chain(rest).fuse().boxed())
    }

    /// Appends rows of one schema to a table.
    async fn insert(&self, table: &Ident, rows: &[RecordBatch]) -> Result<()> {
        let Some(first) = rows.first() else { return Ok(()) };
        let schema = first.schema();
        let dialect = self.dialect();
        let columns =
            schema.fields().iter().map(|field| dialect.quote_ident(&Ident::new(field.name())?));
        let columns = columns.collect::<Result<Vec<_>, _>>()?.join(", ");
        let sql =
            format!("INSERT INTO {} ({columns}) FORMAT ArrowStream", dialect.quote_ident(table)?);
        let n_rows: usize = rows.iter().map(RecordBatch::num_rows).sum();
        tracing::debug!(sql, n_rows, "statement");
        let mut insert = self.client().insert_formatted_with(sql);
        for piece in encode(rows, ROWS_AT_ONCE)? {
            insert.send(Bytes::from(piece?)).await.map_err(errors::of)?;
        }
        insert.end().await.map_err(errors::of)
    }

    /// Sends the rows that wait. If that fails or is cancelled, nobody knows which of them have arrived:
    /// nothing goes on without them, or with some of them twice.
    async fn send_waiting(&mut self) -> Result<()> {
        if self.waiting.is_lost {
            return Err(lost());
        }
        if !self.waiting.rows.is_empty() {
            self.waiting.is_lost = true;
            self.insert(&Ident::new(&self.waiting.table)?, &self.waiting.rows).await?;
            self.waiting = Waiting::default();
        }
        Ok(())
    }

    /// In a dry run, a copy of a table that may be changed: from now on the session sees it
    /// and not the table.
    async fn hide(&mut self, table: &Ident) -> Result<()> {
        if self.copies.is_none() || is_temporary(table.as_str()) {
            return Ok(());
        }
        let copies = self.copies.get_or_insert_default();
        if !copies.insert(table.as_str().to_owned()) {
            return Ok(());
        }
        let dialect = Arc::clone(&self.engine.dialect);
        let name = dialect.quote_ident(table)?;
        let layout = dialect.table_layout(&[], true);
        // Without the database it would be a copy of itself.
        let from = format!("{}.{name}", dialect.quote_ident(&self.engine.database)?);
        self.in_session();
        self.run(&format!("CREATE TEMPORARY TABLE {name} AS {from}{layout}")).await?;
        self.run(&format!("INSERT INTO {name}\nSELECT * FROM {from}")).await?;
        Ok(())
    }

    /// How statements about a table are written; a copy is on this machine.
    fn dialect_of(&self, table: &Ident) -> Arc<Sql> {
        let is_copy = self.copies.as_ref().is_some_and(|all| all.contains(table.as_str()));
        if is_copy { Arc::new(self.engine.dialect.of_copies()) } else { self.dialect() }
    }

    fn dialect(&self) -> Arc<Sql> {
        Arc::clone(&self.engine.dialect)
    }

    /// Runs a statement in as many requests as it takes; gives the number of rows that it appended.
    async fn run_steps(&self, statement: &Statement, dialect: &Sql) -> Result<u64> {
        let mut rows = 0;
        for step in print_steps(statement, dialect)? {
            // Somebody else may have made a table in the meantime, as we would have.
            rows += self.run(&step).await?;
        }
        Ok(rows)
    }

    fn text(&self, query: &Statement) -> Result<String> {
        Ok(print_steps(query, &*self.engine.dialect)?.concat())
    }

    /// Runs a statement that changes something.
    async fn change(&mut self, mut statement: Statement) -> Result<u64> {
        self.send_waiting().await?;
        match &mut statement {
            Statement::CreateTable { table, temporary, .. } => {
                // What a dry run makes is its own.
                if let Some(copies) = &mut self.copies {
                    copies.insert(table.as_str().to_owned());
                    *temporary = true;
                }
                if *temporary {
                    self.in_session();
                }
            }
            Statement::CreateTemporaryAs { .. } => {
                self.in_session();
            }
            Statement::DropTemporary { .. } if self.session.is_none() => return Ok(0),
            Statement::Insert { table, .. } => {
                let table = table.clone();
                self.hide(&table).await?;
            }
            Statement::AddColumn { table, .. } => {
                let table = table.clone();
                self.hide(&table).await?;
                return self.run_steps(&statement, &self.dialect_of(&table)).await;
            }
            Statement::Delete { table, .. } => {
                let table = table.clone();
                self.hide(&table).await?;
                return self.remove(&table, statement).await;
            }
            Statement::Query(_)
            | Statement::DropTemporary { .. }
            | Statement::ChangeType { .. }
            | Statement::ChangeNull { .. }
            | Statement::DropColumn { .. }
            | Statement::DropTable { .. }
            | Statement::CreateView { .. }
            | Statement::Refuse { .. } => {}
        }
        self.run_steps(&statement, &self.dialect()).await
    }

    /// Removes rows: finds them, and has the parts that hold them written without them. What finds
    /// them may look at temporary tables; what removes them cannot, and names their addresses.
    async fn remove(&mut self, table: &Ident, removal: Statement) -> Result<u64> {
        let find =
            lower::found(removal).ok_or_else(|| Error::internal("a removal is a removal"))?;
        let dialect = self.dialect_of(table);
        let found = self.text_rows(&self.text(&find)?).await?;
        let found: Vec<String> = found.into_iter().flatten().collect();
        for rows in found.chunks(dialect.max_addresses()) {
            self.run_steps(&lower::remove_found(table, rows), &dialect).await?;
        }
        Ok(found.len() as u64)
    }
}

/// What is said of a write that cannot go on.
fn lost() -> Error {
    errors::database(
        "rows of this write were lost on their way, the server has forgotten them, or a call was cancelled; \
         begin a new write",
    )
}

/// Whether a name is that of a temporary table: no other begins with an `@`.
fn is_temporary(table: &str) -> bool {
    table.starts_with('@')
}

/// The rows of a query on their way.
struct Rows {
    cursor: BytesCursor,
    decoder: Decoder,
}

impl Rows {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if let Some(batch) = self.decoder.next()? {
                return Ok(Some(batch));
            }
            match self.cursor.next().await.map_err(errors::of)? {
                Some(chunk) => self.decoder.push(chunk),
                None => {
                    self.decoder.finish()?;
                    return Ok(None);
                }
            }
        }
    }
}

impl sql::Connection for ClickHouseConnection {
    fn tables<'a>(&'a mut self, names: &'a [String]) -> BoxFuture<'a, Result<Tables>> {
        async move {
            let mut tables = Tables::new();
            if names.is_empty() {
                return Ok(tables);
            }
            let dialect = self.dialect();
            let quoted = names.iter().map(|name| dialect.quote_text(name));
            let quoted = quoted.collect::<Result<Vec<_>, _>>()?.join(", ");
            // Temporary tables have no database; a copy has the columns of what it hides. What nobody
            // can write to is no column of ours.
            let sql = format!(
                "SELECT DISTINCT table, name, type, position FROM system.columns \
                 WHERE database IN (currentDatabase(), '') AND table IN ({quoted}) \
                 AND default_kind NOT IN ('MATERIALIZED', 'ALIAS') \
                 ORDER BY table, position"
            );
            let sql = format!("SELECT table, name, type FROM ({sql})");
            for row in self.text_rows(&sql).await? {
                if let [table, column, ty] = row.as_slice() {
                    check_column(&*dialect, table, column)?;
                    let table: &mut TableInfo = tables.entry(table.clone()).or_default();
                    let ty = without_null(ty).to_owned();
                    table.columns.insert(column.clone(), TableColumn::new(&*dialect, ty));
                }
            }
            Ok(tables)
        }
        .boxed()
    }

    fn begin<'a>(&'a mut self, access: Access<'a>) -> BoxFuture<'a, Result<()>> {
        async move {
            match access {
                Access::Read => {}
                Access::Write(tables) => {
                    // A call that was cancelled has left its turn, for which this one would wait for ever.
                    if !std::mem::take(&mut self.turns).is_empty() {
                        self.waiting.is_lost = true;
                        return Err(lost());
                    }
                    self.turns = self.engine.turns(tables).await;
                }
                Access::Dry(tables) => {
                    self.copies = Some(BTreeSet::new());
                    // At once, since the rows of a copy have other addresses.
                    let seals = tables.iter().map(|table| system::seals(table));
                    let names: Vec<String> = tables.iter().cloned().chain(seals).collect();
                    for table in self.tables(&names).await?.into_keys() {
                        self.hide(&Ident::new(table)?).await?;
                    }
                }
            }
            Ok(())
        }
        .boxed()
    }

    fn commit(&mut self) -> BoxFuture<'_, Result<()>> {
        self.turns.clear();
        async { Ok(()) }.boxed()
    }

    fn rollback(&mut self) -> BoxFuture<'_, Result<()>> {
        self.turns.clear();
        if self.copies.take().is_some() {
            // The copies go with it.
            self.session = None;
            self.waiting = Waiting::default();
        }
        async { Ok(()) }.boxed()
    }

    fn execute(&mut self, statement: Statement) -> BoxFuture<'_, Result<u64>> {
        self.change(statement).boxed()
    }

    fn script(&mut self, sql: String) -> BoxFuture<'_, Result<()>> {
        async move {
            self.send_waiting().await?;
            self.in_session();
            // A request has one statement.
            for statement in sql::script::statements(&sql, &ClickHouseDialect {})? {
                self.run(&statement.text).await?;
            }
            Ok(())
        }
        .boxed()
    }

    fn rows(&mut self, query: Statement) -> BoxFuture<'_, Result<Vec<RecordBatch>>> {
        async move {
            self.send_waiting().await?;
            self.batches(&self.text(&query)?).await
        }
        .boxed()
    }

    fn stream(mut self: Box<Self>, query: Statement) -> BoxFuture<'static, Result<BatchStream>> {
        async move {
            self.send_waiting().await?;
            let sql = self.text(&query)?;
            self.stream_text(sql).await
        }
        .boxed()
    }

    /// A client that goes away does not end its INSERT, whose text has the token of its rows.
    fn ended(&mut self, token: i64) -> BoxFuture<'_, Result<()>> {
        async move {
            let sql = format!(
                "SELECT query_id FROM system.processes WHERE query_kind = 'Insert' \
                 AND position(query, '{token}') > 0"
            );
            while !self.text_rows(&sql).await?.is_empty() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Ok(())
        }
        .boxed()
    }

    fn arrive(&mut self) -> BoxFuture<'_, Result<()>> {
        self.send_waiting().boxed()
    }

    fn append<'a>(&'a mut self, table: &'a str, rows: RecordBatch) -> BoxFuture<'a, Result<()>> {
        async move {
            let rows = storable_rows(&rows)?;
            if self.waiting.is_lost || !self.waiting.takes(table, &rows) {
                self.send_waiting().await?;
            }
            if is_temporary(table) {
                self.waiting.since.get_or_insert_with(Instant::now);
                self.waiting.table = table.to_owned();
                self.waiting.rows.push(rows);
                return if self.waiting.is_enough() { self.send_waiting().await } else { Ok(()) };
            }
            let table = Ident::new(table)?;
            self.hide(&table).await?;
            self.insert(&table, &[rows]).await
        }
        .boxed()
    }
}

/// The name of a type without what says that a column may hold NULL.
fn without_null(ty: &str) -> &str {
    fn inner<'a>(ty: &'a str, of: &str) -> Option<&'a str> {
        ty.strip_prefix(of)?.strip_suffix(')')
    }
    let ty = inner(ty, "LowCardinality(").unwrap_or(ty);
    inner(ty, "Nullable(").unwrap_or(ty)
}
