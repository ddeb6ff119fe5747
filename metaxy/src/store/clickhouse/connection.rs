//! [`ClickHouseConnection`]: statements of one call, in a session if it has temporary tables.

use super::rows::{Decoder, encode};
use super::{ClickHouse, errors};
use crate::error::{Error, Result};
use crate::store::backend::BatchStream;
use crate::store::sql::plan::{TableColumn, TableInfo, Tables};
use crate::store::sql::{self, Access, check_column};
use arrow::array::RecordBatch;
use bytes::Bytes;
use clickhouse::Client;
use clickhouse::query::BytesCursor;
use futures::future::{BoxFuture, FutureExt};
use futures::stream::StreamExt;
use metaxy_sql::ast::Statement;
use metaxy_sql::dialect::ClickHouse as Sql;
use metaxy_sql::{Dialect, Ident, lower, print, system};
use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;
use tokio::sync::OwnedMutexGuard;

/// How long the server keeps the temporary tables of a connection that says nothing, in seconds: the
/// longest that it allows unless it was told otherwise.
const SESSION_SECONDS: &str = "3600";

/// How many rows are sent at once.
const ROWS_AT_ONCE: usize = 65_536;

/// `TABLE_ALREADY_EXISTS`.
const EXISTS: u32 = 57;

/// A connection of a call, which is a number of requests.
pub(super) struct ClickHouseConnection {
    engine: ClickHouse,
    /// What temporary tables live in, once there are any.
    session: Option<Session>,
    /// What a writer has its turn for.
    turns: Vec<OwnedMutexGuard<()>>,
    /// In a dry run, the tables of which there are copies that hide them.
    copies: Option<BTreeSet<String>>,
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
        Self { engine, session: None, turns: Vec::new(), copies: None }
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
        Ok(futures::stream::iter(first.map(Ok)).chain(rest).boxed())
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
        let name = Sql.quote_ident(table)?;
        let layout = Sql.table_layout(&[], true);
        // Without the database it would be a copy of itself.
        let database = Sql.quote_ident(&self.engine.database)?;
        self.in_session();
        let rows = format!("SELECT * FROM {database}.{name}");
        self.run(&format!("CREATE TEMPORARY TABLE {name}{layout} AS\n{rows}")).await?;
        Ok(())
    }

    /// Runs a statement that changes something.
    async fn change(&mut self, mut statement: Statement) -> Result<u64> {
        match &mut statement {
            Statement::CreateTable { table, temporary, .. } => {
                if let Some(copies) = &mut self.copies {
                    copies.insert(table.as_str().to_owned());
                    *temporary = true;
                }
                let is_temporary = *temporary;
                if is_temporary {
                    self.in_session();
                }
                return match self.run(&print(&statement, &Sql)?).await {
                    // Somebody else has made it in the meantime, as we would have.
                    Err(error) if !is_temporary && errors::code_of(&error) == Some(EXISTS) => Ok(0),
                    other => other,
                };
            }
            Statement::CreateTemporaryAs { .. } => {
                self.in_session();
            }
            Statement::DropTemporary { .. } if self.session.is_none() => return Ok(0),
            Statement::Insert { table, .. } | Statement::AddColumn { table, .. } => {
                let table = table.clone();
                self.hide(&table).await?;
            }
            Statement::Delete { table, .. } => {
                let table = table.clone();
                self.hide(&table).await?;
                return self.remove(statement).await;
            }
            Statement::Query(_)
            | Statement::CreateTableAs { .. }
            | Statement::CreateView { .. }
            | Statement::DropTemporary { .. } => {}
        }
        self.run(&print(&statement, &Sql)?).await
    }

    /// Removes rows: finds them, and has the parts that hold them written without them. What finds
    /// them may look at temporary tables; what removes them cannot, so that a table that is no
    /// temporary one keeps what was found for a moment.
    async fn remove(&mut self, removal: Statement) -> Result<u64> {
        let random = RandomState::new().hash_one("found");
        let found_in = Ident::new(format!("metaxy_system__found_{random:016x}"))?;
        let Statement::Delete { table, .. } = &removal else {
            return Err(Error::internal("a removal is a removal"));
        };
        let table = table.clone();
        let [find, remove] = lower::found(removal, &found_in)
            .ok_or_else(|| Error::internal("a removal is a removal"))?;
        let is_copy = self.copies.as_ref().is_some_and(|all| all.contains(table.as_str()));
        let find = print(&find, &Sql)?;
        let remove = match is_copy {
            true => without(&table, &found_in)?,
            false => vec![print(&remove, &Sql)?],
        };
        let done = self.find_and_remove(&find, &remove).await;
        let drop = print(&Statement::DropTemporary { table: found_in }, &Sql)?;
        let dropped = self.run(&drop).await;
        let found = done?;
        dropped?;
        Ok(found)
    }

    async fn find_and_remove(&self, find: &str, remove: &[String]) -> Result<u64> {
        let found = self.run(find).await?;
        if found > 0 {
            for statement in remove {
                self.run(statement).await?;
            }
        }
        Ok(found)
    }
}

/// The statements that make a copy anew without the rows that were found: no mutation of a temporary
/// table can look into another table.
fn without(copy: &Ident, found: &Ident) -> Result<Vec<String>> {
    let address = Sql.row_address_in("").ok_or_else(|| Error::internal("rows have addresses"))?;
    let layout = Sql.table_layout(&[], true);
    let (copy, found) = (Sql.quote_ident(copy)?, Sql.quote_ident(found)?);
    let rest = "\"@rest\"";
    Ok(vec![
        format!(
            "CREATE TEMPORARY TABLE {rest}{layout} AS\nSELECT * FROM {copy} \
             WHERE {address} NOT IN (SELECT row FROM {found})"
        ),
        format!("DROP TEMPORARY TABLE {copy}"),
        format!("CREATE TEMPORARY TABLE {copy}{layout} AS\nSELECT * FROM {rest}"),
        format!("DROP TEMPORARY TABLE {rest}"),
    ])
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
            let quoted = names.iter().map(|name| Sql.quote_text(name));
            let quoted = quoted.collect::<Result<Vec<_>, _>>()?.join(", ");
            // Temporary tables have no database; a copy has the columns of what it hides.
            let sql = format!(
                "SELECT DISTINCT table, name, type, position FROM system.columns \
                 WHERE database IN (currentDatabase(), '') AND table IN ({quoted}) \
                 ORDER BY table, position"
            );
            let sql = format!("SELECT table, name, type FROM ({sql})");
            for row in self.text_rows(&sql).await? {
                if let [table, column, ty] = row.as_slice() {
                    check_column(&Sql, table, column)?;
                    let table: &mut TableInfo = tables.entry(table.clone()).or_default();
                    let ty = without_null(ty).to_owned();
                    table.columns.insert(column.clone(), TableColumn::new(&Sql, ty));
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
                Access::Write(tables) => self.turns = self.engine.turns(tables).await,
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
        }
        async { Ok(()) }.boxed()
    }

    fn execute(&mut self, statement: Statement) -> BoxFuture<'_, Result<u64>> {
        self.change(statement).boxed()
    }

    fn rows(&mut self, query: Statement) -> BoxFuture<'_, Result<Vec<RecordBatch>>> {
        async move { self.batches(&print(&query, &Sql)?).await }.boxed()
    }

    fn stream(self: Box<Self>, query: Statement) -> BoxFuture<'static, Result<BatchStream>> {
        async move {
            let sql = print(&query, &Sql)?;
            self.stream_text(sql).await
        }
        .boxed()
    }

    fn append<'a>(&'a mut self, table: &'a str, rows: RecordBatch) -> BoxFuture<'a, Result<()>> {
        async move {
            let table = Ident::new(table)?;
            self.hide(&table).await?;
            let columns = rows.schema();
            let columns =
                columns.fields().iter().map(|field| Sql.quote_ident(&Ident::new(field.name())?));
            let columns = columns.collect::<Result<Vec<_>, _>>()?.join(", ");
            let sql =
                format!("INSERT INTO {} ({columns}) FORMAT ArrowStream", Sql.quote_ident(&table)?);
            tracing::debug!(sql, n_rows = rows.num_rows(), "statement");
            let mut insert = self.client().insert_formatted_with(sql);
            for piece in encode(&rows, ROWS_AT_ONCE)? {
                insert.send(Bytes::from(piece)).await.map_err(errors::of)?;
            }
            insert.end().await.map_err(errors::of)
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
