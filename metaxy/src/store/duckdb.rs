//! [`DuckDb`]: records in a DuckDB file, or in memory.
//!
//! DuckDB blocks, so that every call runs on a blocking thread. A second query on a connection ends
//! the stream of the first, so that every stream has a connection of its own, as has every write.
//! Writes of one process take turns (H15): each appends in one transaction, with one time that is
//! later than any in the table.

mod copy;
mod database;
mod delete;
mod failures;
mod hash;
mod rebase;
mod session;

use crate::error::{Error, Result};
use crate::increment::{Counts, no_batches};
use crate::key::FeatureKey;
use crate::store::Settings;
use crate::store::backend::{
    Backend, BatchStream, Delete, DeleteOptions, Deleted, Export, Failure, FeatureContext, Layout,
    ReadOptions, RebaseOptions, Rebased, ResolveOptions, Resolved, SampleSource, SyncOptions,
    VacuumOptions, WriteOptions, WriteSession, Written,
};
use crate::store::open::{Access, RequestedSettings};
use crate::store::plan::{Planner, TableInfo, Tables};
use crate::store::rows::Answer;
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::DataType;
use copy::Foreign;
use database::Database;
use duckdb::Connection;
use futures::future::{BoxFuture, FutureExt};
use futures::stream::StreamExt;
use metaxy_sql::dialect::DuckDb as DuckDbDialect;
use metaxy_sql::{ColumnType, Dialect, HashAlgorithm, lower, print, system};
use session::Session;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

/// How many batches wait for a reader: enough to keep both sides busy.
const BATCHES_AHEAD: usize = 4;

/// A DuckDB database.
#[derive(Clone)]
pub(crate) struct DuckDb {
    shared: Arc<Shared>,
}

struct Shared {
    path: String,
    database: Arc<Database>,
    settings: Settings,
    create_tables: bool,
    read_only: bool,
}

impl fmt::Debug for DuckDb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DuckDb").field("path", &self.shared.path).finish_non_exhaustive()
    }
}

impl DuckDb {
    pub(crate) async fn open(
        path: &str,
        access: Access,
        requested: RequestedSettings,
    ) -> Result<Self> {
        let Access { read_only, create_tables } = access;
        let path = path.to_owned();
        if path.is_empty() {
            return Err(Error::Url {
                url: "duckdb:".to_owned(),
                problem: "a path is missing: `duckdb:path/to/file.duckdb` or `duckdb::memory:`"
                    .to_owned(),
            });
        }
        on_thread(move || {
            let database = Database::open(&path, read_only)?;
            let settings = {
                let connection = database.connect()?;
                let _turn = database.turn();
                settings(&connection, create_tables && !read_only, requested)?
            };
            let shared = Shared { path, database, settings, create_tables, read_only };
            Ok(Self { shared: Arc::new(shared) })
        })
        .await
    }

    /// What a call that writes works with.
    fn writable(&self) -> Result<Arc<Shared>> {
        if self.shared.read_only { Err(Error::ReadOnly) } else { Ok(Arc::clone(&self.shared)) }
    }

    /// A stream of the rows of a statement, once it has begun. `make` gives the text, from what it
    /// sees in the snapshot that the statement sees too.
    async fn batches(
        &self,
        make: impl FnOnce(&Connection) -> Result<String> + Send + 'static,
    ) -> Result<BatchStream> {
        let shared = Arc::clone(&self.shared);
        let (sender, receiver) = mpsc::channel(BATCHES_AHEAD);
        let thread = tokio::task::spawn_blocking(move || {
            let work = || -> Result<()> {
                let connection = shared.database.connect()?;
                run(&connection, "BEGIN TRANSACTION")?;
                let sql = make(&connection)?;
                for_each_batch(&connection, &sql, |batch| {
                    Ok(sender.blocking_send(in_utc(&batch)).is_ok())
                })
            };
            if let Err(error) = work() {
                // Without a reader nobody is left to be told.
                let _ = sender.blocking_send(Err(error));
            }
        });
        begun(received(receiver, thread)).await
    }
}

impl Backend for DuckDb {
    fn settings(&self) -> Settings {
        self.shared.settings
    }

    fn resolve(
        &self,
        feature: FeatureContext,
        options: ResolveOptions,
        foreign: Vec<(FeatureKey, Export)>,
    ) -> BoxFuture<'_, Result<Resolved>> {
        let shared = Arc::clone(&self.shared);
        async move {
            let link = on_thread(move || shared.database.connect()).await?;
            let (link, foreign) = Foreign::stage(link, &feature, foreign).await?;
            let rows = options.rows;

            let (tell_counts, counts) = oneshot::channel();
            let (sender, receiver) = mpsc::channel(BATCHES_AHEAD);
            let thread = tokio::task::spawn_blocking(move || {
                resolve(&link, &foreign, &feature, &options, tell_counts, &sender);
            });
            let counts = counts
                .await
                .map_err(|_| Error::internal("a resolve ended without its counts"))??;
            let batches = if rows { received(receiver, thread) } else { no_batches() };
            Ok(Resolved { counts, batches })
        }
        .boxed()
    }

    fn read(
        &self,
        feature: FeatureContext,
        options: ReadOptions,
    ) -> BoxFuture<'_, Result<BatchStream>> {
        self.batches(move |connection| {
            let tables = tables_of(connection, &feature)?;
            let plan = Planner { feature: &feature, tables: &tables }.read(&options)?;
            Ok(print(&lower::read(&plan), &DuckDbDialect)?)
        })
        .boxed()
    }

    fn write(
        &self,
        feature: FeatureContext,
        layout: Layout,
        options: WriteOptions,
    ) -> BoxFuture<'_, Result<Box<dyn WriteSession>>> {
        async move {
            let session = Session::begin(self.writable()?, feature, layout, options).await?;
            Ok(Box::new(session) as Box<dyn WriteSession>)
        }
        .boxed()
    }

    fn sync(
        &self,
        feature: FeatureContext,
        layout: Layout,
        mut samples: BatchStream,
        options: SyncOptions,
    ) -> BoxFuture<'_, Result<(Counts, Written)>> {
        async move {
            let shared = if options.dry_run { Arc::clone(&self.shared) } else { self.writable()? };
            let write = options.write.clone();
            let mut session = Session::begin(shared, feature, layout, write).await?;
            while let Some(batch) = samples.next().await {
                session.stage(batch?).await?;
            }
            session.sync(options).await
        }
        .boxed()
    }

    fn delete(
        &self,
        feature: FeatureContext,
        which: Delete,
        options: DeleteOptions,
    ) -> BoxFuture<'_, Result<Vec<Deleted>>> {
        let shared = self.writable();
        on_thread(move || delete::delete(&*shared?, &feature, &which, &options)).boxed()
    }

    fn undelete(
        &self,
        feature: FeatureContext,
        which: Delete,
        options: WriteOptions,
    ) -> BoxFuture<'_, Result<Written>> {
        let shared = self.writable();
        on_thread(move || delete::undelete(&*shared?, &feature, &which, &options)).boxed()
    }

    fn vacuum(
        &self,
        feature: FeatureContext,
        options: VacuumOptions,
    ) -> BoxFuture<'_, Result<u64>> {
        let shared = self.writable();
        on_thread(move || delete::vacuum(&*shared?, &feature, options)).boxed()
    }

    fn rebase(
        &self,
        feature: FeatureContext,
        options: RebaseOptions,
    ) -> BoxFuture<'_, Result<Written>> {
        let shared = self.writable();
        on_thread(move || rebase::rebase(&*shared?, &feature, &options)).boxed()
    }

    fn rebases(&self, feature: FeatureContext) -> BoxFuture<'_, Result<Vec<Rebased>>> {
        let shared = Arc::clone(&self.shared);
        on_thread(move || rebase::rebases(&shared, &feature)).boxed()
    }

    fn fail(
        &self,
        feature: FeatureContext,
        failures: Vec<Failure>,
        options: WriteOptions,
    ) -> BoxFuture<'_, Result<()>> {
        let shared = self.writable();
        on_thread(move || failures::add(&*shared?, &feature, &failures, &options)).boxed()
    }

    fn failures(&self, feature: FeatureContext) -> BoxFuture<'_, Result<Vec<Failure>>> {
        let shared = Arc::clone(&self.shared);
        on_thread(move || failures::of(&*shared.database.connect()?, feature.key(), None)).boxed()
    }

    fn stored(&self, features: Vec<FeatureKey>) -> BoxFuture<'_, Result<Vec<FeatureKey>>> {
        let shared = Arc::clone(&self.shared);
        on_thread(move || {
            let names: Vec<String> = features.iter().map(FeatureKey::table_name).collect();
            if names.is_empty() {
                return Ok(Vec::new());
            }
            let found = tables(&*shared.database.connect()?, &names)?;
            let is_there = |key: &FeatureKey| found.contains_key(&key.table_name());
            Ok(features.into_iter().filter(is_there).collect())
        })
        .boxed()
    }

    fn export(&self, feature: FeatureContext) -> BoxFuture<'_, Result<Export>> {
        async move { copy::export(self, &feature).await }.boxed()
    }

    fn import(&self, feature: FeatureContext, from: Export) -> BoxFuture<'_, Result<u64>> {
        let shared = self.writable();
        async move { copy::import(shared?, feature, from).await }.boxed()
    }

    fn read_samples(
        &self,
        feature: FeatureContext,
        from: SampleSource,
    ) -> BoxFuture<'_, Result<BatchStream>> {
        self.batches(move |connection| match from {
            SampleSource::File(path) => file_statement(connection, &feature, &path),
            SampleSource::Table(name) => table_statement(connection, &name),
        })
        .boxed()
    }
}

/// Resolves on the current thread: counts first, then batches for as long as somebody takes them.
fn resolve(
    connection: &Connection,
    foreign: &Foreign,
    feature: &FeatureContext,
    options: &ResolveOptions,
    tell_counts: oneshot::Sender<Result<Counts>>,
    sender: &mpsc::Sender<Result<RecordBatch>>,
) {
    let mut resolve_plan = None;
    let mut counts = Counts::default();
    let mut tell_counts = Some(tell_counts);
    let result = (|| {
        run(connection, "BEGIN TRANSACTION")?;
        let mut tables = tables_of(connection, feature)?;
        foreign.stand_in(connection, &mut tables)?;
        let planned = Planner { feature, tables: &tables }.resolve(options)?;
        let plan = resolve_plan.insert(planned);
        let Some(statement) = lower::resolve(&plan.plan) else { return Ok(()) };
        let sql = print(&statement, &DuckDbDialect)?;
        for_each_batch(connection, &sql, |answer| {
            let Some(increment) = Answer(&answer).take_counts(&mut counts)? else {
                return Ok(true);
            };
            // A row of the increment comes after all counts.
            if let Some(tell) = tell_counts.take()
                && tell.send(Ok(counts)).is_err()
            {
                return Ok(false);
            }
            let batch = Answer(&increment).increment(feature, plan).and_then(|b| in_utc(&b));
            Ok(sender.blocking_send(batch).is_ok())
        })
    })();
    match (result, tell_counts) {
        (Ok(()), Some(tell)) => drop(tell.send(Ok(counts))),
        (Err(error), Some(tell)) => drop(tell.send(Err(error))),
        (Err(error), None) => drop(sender.blocking_send(Err(error))),
        (Ok(()), None) => {}
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
    .boxed()
}

/// The same, but an error before the first batch is an error of the call and not of the stream.
async fn begun(mut batches: BatchStream) -> Result<BatchStream> {
    Ok(match batches.next().await.transpose()? {
        None => no_batches(),
        Some(first) => futures::stream::iter([Ok(first)]).chain(batches).boxed(),
    })
}

/// Runs something that blocks.
async fn on_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(Error::internal("a database thread was cancelled")),
    }
}

/// What DuckDB said, as an error of ours.
fn database_error(error: duckdb::Error) -> Error {
    let message = match error {
        duckdb::Error::DuckDBFailure(_, Some(message)) => message,
        other => other.to_string(),
    };
    if let Some(rest) = message.split("Could not set lock on file \"").nth(1) {
        let path = rest.split('"').next().unwrap_or_default().to_owned();
        let pid = rest.split("(PID ").nth(1).and_then(|rest| rest.split(')').next()?.parse().ok());
        return Error::Locked { path, pid };
    }
    Error::Database { engine: "DuckDB", message }
}

/// Runs a statement; the number of rows that it changed.
fn run(connection: &Connection, sql: &str) -> Result<u64> {
    tracing::debug!(sql, "statement");
    let changed = connection.execute(sql, []).map_err(database_error)?;
    Ok(u64::try_from(changed).unwrap_or(u64::MAX))
}

/// Runs a statement that is made here; the number of rows that it changed.
fn run_ast(connection: &Connection, statement: &metaxy_sql::ast::Statement) -> Result<u64> {
    run(connection, &print(statement, &DuckDbDialect)?)
}

/// Hands on the rows of a statement one batch at a time, as the engine makes them, until `each` says
/// that it has seen enough.
fn for_each_batch(
    connection: &Connection,
    sql: &str,
    mut each: impl FnMut(RecordBatch) -> Result<bool>,
) -> Result<()> {
    tracing::debug!(sql, "statement");
    let mut statement = connection.prepare(sql).map_err(database_error)?;
    // The iterator that this gives panics when the engine fails in mid-stream; stepping does not.
    drop(statement.stream_arrow([]).map_err(database_error)?);
    while let Some(rows) = statement.step().map_err(database_error)? {
        if !each(RecordBatch::from(&rows))? {
            break;
        }
    }
    Ok(())
}

/// The rows of a statement that gives few.
fn rows(connection: &Connection, sql: &str) -> Result<Vec<RecordBatch>> {
    let mut batches = Vec::new();
    for_each_batch(connection, sql, |batch| {
        batches.push(batch);
        Ok(true)
    })?;
    Ok(batches)
}

/// The rows of a statement whose columns are all texts.
fn texts(connection: &Connection, sql: &str) -> Result<Vec<Vec<String>>> {
    let mut all = Vec::new();
    for batch in rows(connection, sql)? {
        for row in 0..batch.num_rows() {
            let text = |column: &Arc<dyn Array>| column.as_string::<i32>().value(row).to_owned();
            all.push(batch.columns().iter().map(text).collect());
        }
    }
    Ok(all)
}

/// The tables of a feature and of what it is computed from, as far as they are there; refused if one
/// of them was written with other ids than it has today.
fn tables_of(connection: &Connection, feature: &FeatureContext) -> Result<Tables> {
    let tables = tables(connection, &Planner::table_names(feature))?;
    check_ids(connection, feature, &tables)?;
    Ok(tables)
}

/// Refuses tables that were written with other id columns: their rows cannot be compared with
/// records of today.
fn check_ids(connection: &Connection, feature: &FeatureContext, tables: &Tables) -> Result<()> {
    use system::definitions::{FEATURE_KEY, ID_COLUMNS};
    if !tables.contains_key(system::DEFINITIONS) {
        return Ok(());
    }
    let graph = feature.graph();
    let all = [feature.definition()].into_iter().chain(graph.upstreams(feature.key()));
    let all: Vec<_> =
        all.map(|d| &d.spec).filter(|spec| tables.contains_key(&spec.key.table_name())).collect();
    if all.is_empty() {
        return Ok(());
    }
    let keys = all.iter().map(|spec| DuckDbDialect.quote_text(spec.key.as_str()));
    let sql = format!(
        "SELECT DISTINCT {FEATURE_KEY}, {ID_COLUMNS} FROM {} WHERE {FEATURE_KEY} IN ({})",
        system::DEFINITIONS,
        keys.collect::<Result<Vec<_>, _>>()?.join(", "),
    );
    let recorded = texts(connection, &sql)?;
    for spec in all {
        let today = id_columns_text(&spec.id_columns);
        for row in &recorded {
            if let [key, recorded] = row.as_slice()
                && *key == spec.key.as_str()
                && *recorded != today
            {
                let recorded = recorded.clone();
                return Err(Error::OtherIds { feature: spec.key.clone(), today, recorded });
            }
        }
    }
    Ok(())
}

/// The id columns of a feature as they are recorded: a JSON list.
fn id_columns_text(ids: &[String]) -> String {
    serde_json::to_string(ids).expect("a list of texts is JSON")
}

/// Refuses a column that would take the place of the address of a row.
fn check_column(table: &str, column: &str) -> Result<()> {
    if DuckDbDialect.row_address().iter().any(|address| column.eq_ignore_ascii_case(address)) {
        return Err(Error::ReservedColumn {
            table: table.to_owned(),
            column: column.to_owned(),
            engine: "DuckDB",
        });
    }
    Ok(())
}

/// Those of some tables that are there, with their columns.
fn tables(connection: &Connection, names: &[String]) -> Result<Tables> {
    let names = names.iter().map(|name| DuckDbDialect.quote_text(name));
    let names = names.collect::<Result<Vec<_>, _>>()?.join(", ");
    let sql = format!(
        "SELECT table_name, column_name, data_type FROM duckdb_columns() \
         WHERE database_name = current_database() AND schema_name = current_schema() \
         AND table_name IN ({names}) ORDER BY table_name, column_index"
    );
    let mut tables = Tables::new();
    for row in texts(connection, &sql)? {
        if let [table, column, ty] = row.as_slice() {
            check_column(table, column)?;
            let table: &mut TableInfo = tables.entry(table.clone()).or_default();
            table.columns.insert(column.clone(), ty.clone());
        }
    }
    Ok(tables)
}

/// The settings of a store: as it was created, or, for a new one, as it is opened.
fn settings(
    connection: &Connection,
    create_tables: bool,
    requested: RequestedSettings,
) -> Result<Settings> {
    use system::settings::{NAME, VALUE};
    let table = system::SETTINGS;
    let found = tables(connection, &[table.to_owned(), system::PYTHON_DEFINITIONS.to_owned()])?;
    if !found.contains_key(table) {
        if !found.is_empty() && !requested.is_complete() {
            return Err(Error::UnknownSettings);
        }
        let settings = requested.or_default(HashAlgorithm::XxHash64);
        if create_tables {
            // One statement: a store that is stamped is stamped whole, whatever happens meanwhile.
            run(
                connection,
                &format!(
                    "CREATE TABLE {table} AS SELECT * FROM (VALUES \
                     ('hash_algorithm', '{}'), ('hash_truncation_length', '{}')) AS s({NAME}, {VALUE})",
                    settings.hash_algorithm, settings.hash_truncation_length
                ),
            )?;
        }
        return Ok(settings);
    }
    let mut stored = RequestedSettings::default();
    for row in texts(connection, &format!("SELECT {NAME}, {VALUE} FROM {table}"))? {
        match row.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["hash_algorithm", name] => {
                let known = HashAlgorithm::ALL.into_iter().find(|a| a.name() == name);
                stored.hash_algorithm = Some(known.ok_or_else(|| Error::Setting {
                    setting: "hash_algorithm",
                    value: name.to_owned(),
                    problem: "this version of metaxy does not know it",
                })?);
            }
            ["hash_truncation_length", length] => {
                stored.hash_truncation_length =
                    Some(length.parse().map_err(|_| Error::Setting {
                        setting: "hash_truncation_length",
                        value: length.to_owned(),
                        problem: "it is no number",
                    })?);
            }
            _ => {}
        }
    }
    requested.check(stored.or_default(HashAlgorithm::XxHash64))
}

/// The rows of a table or view, which may be named with its schema, and that with its database.
fn table_statement(connection: &Connection, name: &str) -> Result<String> {
    // A dot can be part of a name: what is called like that goes first.
    let whole = [name];
    let parts: Vec<&str> = name.split('.').collect();
    let mut candidates = vec![&whole[..]];
    candidates.extend((parts.len() > 1 && parts.len() <= 3).then_some(&parts[..]));
    for candidate in candidates {
        let quoted = candidate.iter().map(|part| DuckDbDialect.quote_text(part));
        let quoted = quoted.collect::<Result<Vec<_>, _>>()?;
        let (database, schema, table) = match quoted.as_slice() {
            [table] => ("current_database()", "current_schema()", table.as_str()),
            [schema, table] => ("current_database()", schema.as_str(), table.as_str()),
            [database, schema, table] => (database.as_str(), schema.as_str(), table.as_str()),
            _ => continue,
        };
        let sql = format!(
            "SELECT column_name FROM duckdb_columns() WHERE database_name = {database} \
             AND schema_name = {schema} AND table_name = {table} LIMIT 1"
        );
        if !texts(connection, &sql)?.is_empty() {
            let idents = candidate
                .iter()
                .map(|part| DuckDbDialect.quote_ident(&metaxy_sql::Ident::new(*part)?))
                .collect::<Result<Vec<_>, _>>()?;
            return Ok(format!("SELECT * FROM {}", idents.join(".")));
        }
    }
    Err(Error::NoSamples { table: name.to_owned() })
}

/// The rows of a file, by the ending of its name.
///
/// Types are guessed by the engine where a file has none, but never those of texts and versions: an
/// id `007` is not the number 7.
fn file_statement(
    connection: &Connection,
    feature: &FeatureContext,
    path: &Path,
) -> Result<String> {
    let problem =
        |problem: &str| Error::File { path: path.to_owned(), problem: problem.to_owned() };
    if !path.exists() {
        return Err(problem("there is no such file"));
    }
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    // The option that names types takes all columns of the file in one format, some in the other.
    let (function, types, takes_all) = match ending.to_ascii_lowercase().as_str() {
        "parquet" => ("read_parquet", None, false),
        "csv" | "tsv" => ("read_csv", Some("types"), false),
        "json" | "jsonl" | "ndjson" => ("read_json", Some("columns"), true),
        _ => {
            return Err(problem("its name ends in none of parquet, csv, tsv, json, jsonl, ndjson"));
        }
    };
    let file = path.to_str().ok_or_else(|| problem("its name is not UTF-8"))?;
    let file = DuckDbDialect.quote_text(file)?;
    let Some(option) = types else { return Ok(format!("SELECT * FROM {function}({file})")) };

    let definition = feature.definition();
    let fields = feature.field_names();
    let declared = |name: &str| -> Option<String> {
        let column =
            definition.columns.iter().flatten().find(|column| column.name == name).map(|c| c.ty);
        match column {
            Some(ColumnType::Scalar(scalar)) if scalar.to_arrow() != DataType::Utf8 => None,
            Some(ColumnType::Scalar(_)) => Some("VARCHAR".to_owned()),
            Some(other) => Some(DuckDbDialect.column_type(other)),
            None => fields.iter().any(|field| field == name).then(|| "VARCHAR".to_owned()),
        }
    };
    let guessed =
        format!("SELECT column_name, column_type FROM (DESCRIBE SELECT * FROM {function}({file}))");
    let mut types = Vec::new();
    for row in texts(connection, &guessed)? {
        if let [name, guessed] = row.as_slice()
            && let Some(ty) = declared(name).or_else(|| takes_all.then(|| guessed.clone()))
        {
            let quote = |text: &str| DuckDbDialect.quote_text(text);
            types.push(format!("{}: {}", quote(name)?, quote(&ty)?));
        }
    }
    if types.is_empty() {
        return Ok(format!("SELECT * FROM {function}({file})"));
    }
    Ok(format!("SELECT * FROM {function}({file}, {option} = {{{}}})", types.join(", ")))
}

/// Timestamps as instants in UTC: DuckDB names the time zone of the session, which changes nothing
/// but would make equal batches differ.
fn in_utc(batch: &RecordBatch) -> Result<RecordBatch> {
    let utc = metaxy_sql::ScalarType::Timestamp.to_arrow();
    let is_other = |ty: &DataType| matches!(ty, DataType::Timestamp(_, Some(_))) && *ty != utc;
    if !batch.schema().fields().iter().any(|field| is_other(field.data_type())) {
        return Ok(batch.clone());
    }
    let mut fields = Vec::new();
    let mut columns = Vec::new();
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        if is_other(field.data_type()) {
            fields.push(Arc::new(field.as_ref().clone().with_data_type(utc.clone())));
            columns.push(arrow::compute::cast(column, &utc)?);
        } else {
            fields.push(Arc::clone(field));
            columns.push(Arc::clone(column));
        }
    }
    Ok(RecordBatch::try_new(Arc::new(arrow::datatypes::Schema::new(fields)), columns)?)
}
