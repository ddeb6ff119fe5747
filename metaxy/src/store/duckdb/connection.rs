//! [`DuckDbConnection`]: statements of a store on blocking threads.

use super::database::Link;
use super::{database_error, for_each_batch, in_utc, on_thread, quoted, rows, run, texts};
use crate::error::{Error, Result};
use crate::store::backend::BatchStream;
use crate::store::sql::plan::{TableColumn, TableInfo, Tables};
use crate::store::sql::{self, Access, check_column};
use arrow::array::RecordBatch;
use duckdb::{Connection, InterruptHandle};
use futures::future::{BoxFuture, FutureExt};
use metaxy_sql::ast::Statement;
use metaxy_sql::dialect::DuckDb as DuckDbDialect;
use metaxy_sql::plan::Statistics;
use metaxy_sql::{Dialect, print};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedMutexGuard, mpsc};

/// How many batches wait for a reader: enough to keep both sides busy.
const BATCHES_AHEAD: usize = 4;

/// Beyond so many tables all columns of the database are looked through. It is the faster way then, but it takes
/// the longer, the more tables there are, and the first such query of a process binds every view of DuckDB's own,
/// which takes as long as opening a file.
const MANY_TABLES: usize = 64;

/// Up to so many rows it makes no difference whether most records have one.
const ROWS_OF_ANY_SHAPE: u64 = 50_000;

/// Up to so many rows, two of DuckDB's row groups, a scan does not take all threads: what it gives is kept before it
/// is read on, which all of them do.
const FEW_ROWS: u64 = 245_760;

/// How long a statement has to begin until it is interrupted again.
const BETWEEN_INTERRUPTS: Duration = Duration::from_millis(20);

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

    /// The same with what may take long and ends no transaction: who gives up waiting for it ends it.
    async fn with_patience<T: Send + 'static>(
        &mut self,
        act: impl FnOnce(&mut Work) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let doing = Doing::with(self.work.as_ref());
        let waiting = Waiting(Arc::clone(&doing));
        let done = self.with(move |work| doing.run(|| act(work))).await;
        drop(waiting);
        done
    }

    /// The rows of a statement whose text is made on the thread that runs it.
    pub(super) fn stream_of(
        mut self,
        make: impl FnOnce(&Connection) -> Result<String> + Send + 'static,
    ) -> Result<BatchStream> {
        let work = self.take()?;
        let doing = Doing::with(Some(&work));
        let waiting = Waiting(Arc::clone(&doing));
        let (sender, receiver) = mpsc::channel(BATCHES_AHEAD);
        let thread = tokio::task::spawn_blocking(move || {
            let give = || -> Result<()> {
                let sql = make(&work.link)?;
                for_each_batch(&work.link, &sql, |batch| {
                    Ok(sender.blocking_send(in_utc(&batch)).is_ok())
                })
            };
            if let Err(error) = doing.run(give) {
                // Without a reader nobody is left to be told.
                let _ = sender.blocking_send(Err(error));
            }
        });
        Ok(sql::sent(receiver, thread, waiting))
    }
}

/// Something that a thread does with a connection.
struct Doing {
    interrupt: Option<Arc<InterruptHandle>>,
    state: Mutex<State>,
}

#[derive(PartialEq)]
enum State {
    Wanted,
    GivenUp,
    Done,
}

impl Doing {
    fn with(work: Option<&Work>) -> Arc<Self> {
        let interrupt = work.map(|work| work.link.interrupt_handle());
        Arc::new(Self { interrupt, state: Mutex::new(State::Wanted) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does it, unless it was given up before it has begun.
    fn run<T>(&self, act: impl FnOnce() -> Result<T>) -> Result<T> {
        /// However it ends: the connection may do something else afterwards, or be closed.
        struct Ended<'a>(&'a Doing);
        impl Drop for Ended<'_> {
            fn drop(&mut self) {
                *self.0.state() = State::Done;
            }
        }
        let _ended = Ended(self);
        if *self.state() == State::GivenUp {
            return Err(Error::internal("nobody waits for it"));
        }
        act()
    }

    /// Interrupts the statement that is being run; whether there may be more of them.
    fn give_up(&self) -> bool {
        let Some(interrupt) = &self.interrupt else { return false };
        // Held meanwhile: what comes after it waits.
        let mut state = self.state();
        if *state == State::Done {
            return false;
        }
        *state = State::GivenUp;
        interrupt.interrupt();
        true
    }
}

/// Somebody who waits for it. Dropped before it is done, it is done for nobody.
struct Waiting(Arc<Doing>);

impl Drop for Waiting {
    fn drop(&mut self) {
        if !self.0.give_up() {
            return;
        }
        // DuckDB forgets an interruption when a statement begins, and one may be about to.
        let doing = Arc::clone(&self.0);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                while doing.give_up() {
                    tokio::time::sleep(BETWEEN_INTERRUPTS).await;
                }
            });
        }
    }
}

impl sql::Connection for DuckDbConnection {
    fn tables<'a>(&'a mut self, names: &'a [String]) -> BoxFuture<'a, Result<Tables>> {
        let names = names.to_vec();
        self.with(move |work| tables(&work.link, &names)).boxed()
    }

    fn statistics<'a>(
        &'a mut self,
        tables: &'a [(String, Vec<String>)],
    ) -> BoxFuture<'a, Result<Vec<Statistics>>> {
        let tables = tables.to_vec();
        self.with_patience(move |work| statistics(&work.link, &tables)).boxed()
    }

    fn begin<'a>(&'a mut self, access: Access<'a>) -> BoxFuture<'a, Result<()>> {
        async move {
            let mut work = self.take()?;
            if let Access::Write(_) | Access::Dry(_) = access {
                work.turn = Some(work.link.writing().lock_owned().await);
            }
            self.work = Some(work);
            self.with(|work| run(&work.link, "BEGIN TRANSACTION").map(drop)).await
        }
        .boxed()
    }

    fn commit(&mut self) -> BoxFuture<'_, Result<()>> {
        self.with(|work| {
            let ended = run(&work.link, "COMMIT");
            if ended.is_err() {
                // Without a word from DuckDB that it has ended by itself.
                let _ = run(&work.link, "ROLLBACK");
            }
            // Also after an error: whoever waits for the turn may be the very same write.
            work.turn = None;
            ended.map(drop)
        })
        .boxed()
    }

    fn rollback(&mut self) -> BoxFuture<'_, Result<()>> {
        self.with(|work| {
            let ended = run(&work.link, "ROLLBACK");
            work.turn = None;
            ended.map(drop)
        })
        .boxed()
    }

    fn execute(&mut self, statement: Statement) -> BoxFuture<'_, Result<u64>> {
        self.with_patience(move |work| run(&work.link, &print(&statement, &DuckDbDialect)?)).boxed()
    }

    fn script(&mut self, sql: String) -> BoxFuture<'_, Result<()>> {
        self.with(move |work| {
            tracing::debug!(sql, "script");
            work.link.execute_batch(&sql).map_err(database_error)
        })
        .boxed()
    }

    fn rows(&mut self, query: Statement) -> BoxFuture<'_, Result<Vec<RecordBatch>>> {
        self.with_patience(move |work| rows(&work.link, &print(&query, &DuckDbDialect)?)).boxed()
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

/// How many rows tables have, and whether one of the ids has about as many values as there are rows, by the
/// statistics that DuckDB keeps of columns; these are not looked at where they would not matter.
fn statistics(
    connection: &Connection,
    tables: &[(String, Vec<String>)],
) -> Result<Vec<Statistics>> {
    let names = tables.iter().map(|(table, _)| quoted(table)).collect::<Result<Vec<_>>>()?;
    let numbers = names.iter().map(|table| format!("count(*)::VARCHAR FROM {table}"));
    let numbers = values(connection, numbers)?;
    let rows: Vec<u64> = numbers.iter().map(|n| n.parse().unwrap_or_default()).collect();
    let large: Vec<usize> = (0..rows.len()).filter(|i| rows[*i] > ROWS_OF_ANY_SHAPE).collect();
    let mut of_ids = Vec::new();
    for i in &large {
        for id in &tables[*i].1 {
            let (id, table) = (quoted(id)?, &names[*i]);
            of_ids.push(format!("stats({id}) FROM {table} LIMIT 1"));
        }
    }
    let mut of_ids = values(connection, of_ids)?.into_iter();
    let few = rows.iter().map(|n| Statistics { few: *n <= FEW_ROWS, ..Statistics::default() });
    let mut all: Vec<Statistics> = few.collect();
    for i in large {
        let ids = of_ids.by_ref().take(tables[i].1.len());
        let values = ids.filter_map(|statistics| {
            let (_, number) = statistics.split_once("[Approx Unique: ")?;
            number.split(']').next()?.parse::<u64>().ok()
        });
        let values = values.max().unwrap_or_default();
        all[i].mostly_once = rows[i] - values.min(rows[i]) <= rows[i] / 5;
    }
    Ok(all)
}

/// The first texts of some queries, which come without their `SELECT`.
fn values(
    connection: &Connection,
    queries: impl IntoIterator<Item = String>,
) -> Result<Vec<String>> {
    let queries = queries.into_iter().enumerate();
    let queries = queries.map(|(i, query)| format!("(SELECT '{i}', {query})"));
    let sql = queries.collect::<Vec<_>>().join(" UNION ALL ");
    if sql.is_empty() {
        return Ok(Vec::new());
    }
    let mut values = texts(connection, &sql)?;
    // To let DuckDB sort so few rows takes as long as to find them.
    values.sort_by_key(|row| row[0].parse::<u64>().ok());
    Ok(values.into_iter().flat_map(|row| row.into_iter().skip(1)).collect())
}

/// Those of some tables that are there, with their columns.
fn tables(link: &Link, names: &[String]) -> Result<Tables> {
    let found = if names.len() > MANY_TABLES { listed(link, names)? } else { named(link, names)? };
    let mut tables = Tables::new();
    for [table, column, ty] in found {
        check_column(&DuckDbDialect, &table, &column)?;
        let table: &mut TableInfo = tables.entry(table).or_default();
        table.columns.insert(column, TableColumn::new(&DuckDbDialect, ty));
    }
    Ok(tables)
}

/// The columns of tables that are asked for one by one: table, name and type. A list of all tables would take
/// the longer, the more of them the database has.
fn named(link: &Link, names: &[String]) -> Result<Vec<[String; 3]>> {
    let mut found = Vec::new();
    for name in names {
        // With its place: without it, what DuckDB or the connection has under that name would do as well.
        match texts(link, &format!("DESCRIBE {}.{}", link.place(), quoted(name)?)) {
            Ok(columns) => found.extend(columns.into_iter().filter_map(|mut column| {
                column.truncate(2);
                let [column, ty] = column.try_into().ok()?;
                Some([name.clone(), column, ty])
            })),
            Err(Error::Database { message, .. }) if is_missing(name, &message) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// Whether DuckDB says that there is no such table. It has no code for that.
fn is_missing(table: &str, message: &str) -> bool {
    message.starts_with(&format!("Catalog Error: Table with name {table} does not exist!"))
}

/// The same from the list of all columns.
fn listed(connection: &Connection, names: &[String]) -> Result<Vec<[String; 3]>> {
    let names = names.iter().map(|name| DuckDbDialect.quote_text(name));
    let sql = format!(
        "SELECT column_index::VARCHAR, table_name, column_name, data_type FROM duckdb_columns() \
         WHERE database_name = current_database() AND schema_name = current_schema() \
         AND table_name IN ({})",
        names.collect::<Result<Vec<_>, _>>()?.join(", ")
    );
    let mut columns = texts(connection, &sql)?;
    columns.sort_by_key(|column| column[0].parse::<u64>().ok());
    let without_place = |mut column: Vec<String>| column.split_off(1).try_into().ok();
    Ok(columns.into_iter().filter_map(without_place).collect())
}

#[cfg(test)]
mod tests {
    use super::super::database::{Database, DatabaseSettings};
    use super::*;
    use crate::store::sql::Connection as _;
    use futures::StreamExt;

    fn connected(sql: &str) -> Link {
        let database =
            Database::open(":memory:", false, DatabaseSettings::new()).expect("a database");
        let link = database.connect().expect("a connection");
        link.execute_batch(sql).expect("statements that can be run");
        link
    }

    #[tokio::test]
    async fn a_commit_that_fails_gives_the_turn_back() {
        let database =
            Database::open(":memory:", false, DatabaseSettings::new()).expect("a database");
        let mut connection = DuckDbConnection::new(database.connect().expect("a connection"));
        let tables = ["a".to_owned()];
        for _ in 0..2 {
            let begun = connection.begin(Access::Write(&tables));
            let begun = tokio::time::timeout(Duration::from_secs(10), begun).await;
            begun.expect("the turn is free").expect("a transaction");
            connection.script("ROLLBACK".to_owned()).await.expect("the end of it");
            connection.commit().await.expect_err("nothing is there to commit");
        }
    }

    /// Each statement would take minutes, and has the database open for as long as it runs.
    #[tokio::test]
    async fn what_nobody_waits_for_ends() {
        let database = Database::open(":memory:", false, DatabaseSettings::new());
        let database = database.expect("a database");
        let slow = "CREATE VIEW slow AS SELECT a.range FROM range(200000) AS a, range(200000) AS b \
                    WHERE a.range * b.range % 7 = 3";
        run(&database.connect().expect("a connection"), slow).expect("a view");
        let count = || metaxy_sql::lower::count("slow");
        for call in ["rows", "execute", "stream", "statistics"] {
            let link = database.connect().expect("a connection");
            let mut connection: Box<dyn sql::Connection> = Box::new(DuckDbConnection::new(link));
            let called = async move {
                connection.begin(Access::Read).await?;
                match call {
                    "rows" => drop(connection.rows(count()).await?),
                    "execute" => {
                        let Statement::Query(query) = count() else { panic!("a query") };
                        let table = metaxy_sql::Ident::new("@kept")?;
                        let keep = Statement::CreateTemporaryAs { table, query };
                        connection.execute(keep).await?;
                    }
                    "stream" => drop(connection.stream(count()).await?.next().await),
                    _ => drop(connection.statistics(&[("slow".to_owned(), Vec::new())]).await?),
                }
                Ok::<_, Error>(())
            };
            let given_up = tokio::time::timeout(Duration::from_millis(200), called).await;
            assert!(given_up.is_err(), "{call} is quick: {given_up:?}");
            let until = std::time::Instant::now() + Duration::from_secs(20);
            while Arc::strong_count(&database) > 1 {
                assert!(std::time::Instant::now() < until, "{call} goes on");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }

    #[test]
    fn tables_are_found_by_their_names_as_in_the_list_of_all() {
        let link = connected(
            "CREATE TABLE \"a__b\" (\"i\"\"d\" BIGINT NOT NULL, v MAP(VARCHAR, VARCHAR));
             CREATE VIEW c AS SELECT v FROM a__b;
             CREATE TABLE other (x INTEGER);
             CREATE SCHEMA elsewhere;
             CREATE TABLE elsewhere.d (x INTEGER);
             CREATE TEMPORARY TABLE e (x INTEGER);",
        );
        // DuckDB has views of its own that are called like the last two.
        let names = ["a__b", "c", "d", "e", "sqlite_master", "duckdb_tables"].map(str::to_owned);
        run(&link, "BEGIN TRANSACTION").expect("a transaction");
        let found = named(&link, &names).expect("the tables");
        let expected = [
            ["a__b", "i\"d", "BIGINT"],
            ["a__b", "v", "MAP(VARCHAR, VARCHAR)"],
            ["c", "v", "MAP(VARCHAR, VARCHAR)"],
        ];
        assert_eq!(found, expected.map(|column| column.map(str::to_owned)));
        let mut all = listed(&link, &names).expect("the tables");
        all.sort();
        assert_eq!(all, found);
        run(&link, "COMMIT").expect("what is missing ends no transaction");
    }

    #[test]
    fn a_view_of_what_is_gone_is_not_taken_for_a_table_that_is_missing() {
        let link = connected(
            "CREATE TABLE a (x INTEGER); CREATE VIEW b AS SELECT x FROM a; DROP TABLE a;",
        );
        let error = named(&link, &["b".to_owned()]).expect_err("a view that cannot be read");
        assert!(error.to_string().contains("Table with name a does not exist"), "{error}");
    }

    #[test]
    fn large_tables_whose_ids_repeat_seldom_are_told_by_statistics() {
        let n = ROWS_OF_ANY_SHAPE * 2;
        let link = connected(&format!(
            "CREATE TABLE many AS SELECT range AS id FROM range({FEW_ROWS} + 1);
             CREATE TABLE once AS SELECT range::VARCHAR AS id, 1 AS part FROM range({n});
             CREATE TABLE twice AS SELECT (range // 2)::VARCHAR AS id FROM range({n});
             CREATE TABLE small AS SELECT range::VARCHAR AS id FROM range(10);"
        ));
        let tables = [
            ("small", vec!["id"]),
            ("once", vec!["part", "id"]),
            ("twice", vec!["id"]),
            ("many", vec!["id"]),
        ];
        let tables = tables
            .map(|(table, ids)| (table.to_owned(), ids.into_iter().map(str::to_owned).collect()));
        let found = statistics(&link, &tables).expect("an answer");
        let found = found.iter().map(|of| (of.mostly_once, of.few));
        let expected = [(false, true), (true, true), (false, true), (true, false)];
        assert_eq!(Vec::from_iter(found), expected);
        assert!(statistics(&link, &[]).expect("an answer").is_empty());
    }
}
