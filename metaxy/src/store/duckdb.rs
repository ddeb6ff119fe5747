//! [`DuckDb`]: a DuckDB file, or a database in memory.
//!
//! DuckDB blocks, so that every call runs on a blocking thread. A second query on a connection ends
//! the stream of the first, so that every stream has a connection of its own, as has every write.

mod connection;
mod database;
mod hash;

use crate::error::{Error, Result};
use crate::store::backend::{BatchStream, FeatureContext};
use crate::store::sql::{self, Engine, text_rows};
use arrow::array::RecordBatch;
use arrow::datatypes::DataType;
use connection::DuckDbConnection;
use database::{Database, DatabaseSettings};
use duckdb::Connection;
use futures::future::{BoxFuture, FutureExt};
use metaxy_sql::dialect::DuckDb as DuckDbDialect;
use metaxy_sql::{ColumnType, Dialect, Ident, ScalarType};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A DuckDB database.
pub(crate) struct DuckDb {
    path: String,
    database: Arc<Database>,
}

impl fmt::Debug for DuckDb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DuckDb").field("path", &self.path).finish_non_exhaustive()
    }
}

impl DuckDb {
    /// The database of an address without its `duckdb:`: a path, or `:memory:`. What follows a `?` are
    /// settings of DuckDB, as in `meta.duckdb?memory_limit=4GB&threads=2`.
    pub(crate) async fn open(address: &str, read_only: bool) -> Result<Self> {
        let (path, settings) = address.split_once('?').unwrap_or((address, ""));
        let path = path.to_owned();
        let problem = |problem: &str| Error::Url {
            url: format!("duckdb:{address}"),
            problem: problem.to_owned(),
        };
        if path.is_empty() {
            return Err(problem(
                "a path is missing: `duckdb:path/to/file.duckdb` or `duckdb::memory:`",
            ));
        }
        let mut named = DatabaseSettings::new();
        for setting in settings.split('&').filter(|setting| !setting.is_empty()) {
            let (name, value) = setting.split_once('=').ok_or_else(|| {
                problem("what follows a `?` are settings, as `?memory_limit=4GB&threads=2`")
            })?;
            if name == "access_mode" {
                return Err(problem("`.read_only(true)` decides about `access_mode`"));
            }
            if name == "preserve_insertion_order" {
                return Err(problem(
                    "counts come before records because DuckDB keeps the order of what a statement says, so \
                     that `preserve_insertion_order` stays as it is",
                ));
            }
            named.insert(name.to_owned(), value.to_owned());
        }
        on_thread(move || {
            let database = Database::open(&path, read_only, named)?;
            Ok(Self { path, database })
        })
        .await
    }

    async fn connection(&self) -> Result<DuckDbConnection> {
        let database = Arc::clone(&self.database);
        on_thread(move || Ok(DuckDbConnection::new(database.connect()?))).await
    }
}

impl Engine for DuckDb {
    fn dialect(&self) -> Arc<dyn Dialect> {
        Arc::new(DuckDbDialect)
    }

    fn connect(&self) -> BoxFuture<'_, Result<Box<dyn sql::Connection>>> {
        async move { Ok(Box::new(self.connection().await?) as Box<dyn sql::Connection>) }.boxed()
    }

    fn read_file(
        &self,
        feature: FeatureContext,
        path: PathBuf,
    ) -> BoxFuture<'_, Result<BatchStream>> {
        async move {
            let connection = self.connection().await?;
            connection.stream_of(move |connection| file_statement(connection, &feature, &path))
        }
        .boxed()
    }

    fn read_table(&self, name: String) -> BoxFuture<'_, Result<BatchStream>> {
        async move {
            let connection = self.connection().await?;
            connection.stream_of(move |connection| table_statement(connection, &name))
        }
        .boxed()
    }
}

/// Makes the functions that our statements call known to the database of a connection.
///
/// # Errors
/// When DuckDB does not take them.
pub fn register_duckdb_functions(connection: &Connection) -> duckdb::Result<()> {
    hash::register(connection)
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

/// A name as statements have it.
fn quoted(name: &str) -> Result<String> {
    Ok(DuckDbDialect.quote_ident(&Ident::new(name)?)?)
}

/// Runs a statement; the number of rows that it changed.
fn run(connection: &Connection, sql: &str) -> Result<u64> {
    tracing::debug!(sql, "statement");
    let changed = connection.execute(sql, []).map_err(database_error)?;
    Ok(u64::try_from(changed).unwrap_or(u64::MAX))
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
    Ok(text_rows(&rows(connection, sql)?))
}

/// The rows of a table or view, which may be named with its schema, and that with its database.
fn table_statement(connection: &Connection, name: &str) -> Result<String> {
    // A dot can be part of a name: what is called like that goes first.
    let whole = [name];
    let parts: Vec<&str> = name.split('.').collect();
    let mut candidates = vec![&whole[..]];
    candidates.extend((parts.len() > 1 && parts.len() <= 3).then_some(&parts[..]));
    for candidate in candidates {
        let names = candidate.iter().map(|part| DuckDbDialect.quote_text(part));
        let names = names.collect::<Result<Vec<_>, _>>()?;
        let (database, schema, table) = match names.as_slice() {
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
            let idents = candidate.iter().map(|part| quoted(part)).collect::<Result<Vec<_>>>()?;
            return Ok(format!("SELECT * FROM {}", idents.join(".")));
        }
    }
    Err(Error::NoSamples { table: name.to_owned() })
}

/// The rows of a file, by the ending of its name.
///
/// Types are guessed by the engine where a file has none, but never those of texts and versions: an
/// id `007` is not the number 7. Times that are written as texts come as such: DuckDB would forget how far
/// they are off UTC.
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
    let is_time = |guessed: &str| guessed.starts_with("TIMESTAMP");
    let declared = |name: &str, guessed: &str| -> Option<String> {
        let column =
            definition.columns.iter().flatten().find(|column| column.name == name).map(|c| c.ty);
        match column {
            Some(ColumnType::Scalar(ScalarType::Timestamp)) | None if is_time(guessed) => {
                Some("VARCHAR".to_owned())
            }
            Some(ColumnType::List(ScalarType::Timestamp)) => Some("VARCHAR[]".to_owned()),
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
            && let Some(ty) = declared(name, guessed).or_else(|| takes_all.then(|| guessed.clone()))
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
    let utc = ScalarType::Timestamp.to_arrow();
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
