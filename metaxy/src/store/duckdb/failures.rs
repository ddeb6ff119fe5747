//! Failures: which records could not be computed, and from what.

use super::session::{now, transaction};
use super::{Shared, database_error, rows, run_ast, tables};
use crate::error::{Error, Result};
use crate::key::FeatureKey;
use crate::store::backend::{Failure, FeatureContext, WriteOptions};
use crate::store::plan::Tables;
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{Field, Int64Type, Schema};
use duckdb::Connection;
use metaxy_sql::dialect::DuckDb as DuckDbDialect;
use metaxy_sql::plan::{ids_of_text, ids_text};
use metaxy_sql::{Dialect, lower, system};
use std::sync::Arc;

fn table_is_there(connection: &Connection) -> Result<bool> {
    Ok(!tables(connection, &[system::FAILURES.to_owned()])?.is_empty())
}

/// Keeps failures.
pub(super) fn add(
    shared: &Shared,
    feature: &FeatureContext,
    failures: &[Failure],
    options: &WriteOptions,
) -> Result<()> {
    if failures.is_empty() {
        return Ok(());
    }
    let connection = &shared.database.connect()?;
    transaction(shared, connection, || {
        if !table_is_there(connection)? {
            if !shared.create_tables {
                return Err(Error::NoSystemTable { table: system::FAILURES.to_owned() });
            }
            run_ast(connection, &lower::failures())?;
        }
        let n = failures.len();
        let all = |text: Option<&str>| -> ArrayRef {
            Arc::new(std::iter::repeat_n(text, n).collect::<StringArray>())
        };
        let each = |text: fn(&Failure) -> String| -> ArrayRef {
            Arc::new(failures.iter().map(|failure| Some(text(failure))).collect::<StringArray>())
        };
        let times = TimestampMicrosecondArray::from(vec![now(); n]).with_timezone("UTC");
        let columns: [ArrayRef; 6] = [
            all(Some(feature.key().as_str())),
            each(|failure| ids_text(failure.ids.iter().map(String::as_str))),
            each(|failure| failure.provenance.clone()),
            // What an engine cannot store must not hide the failure.
            each(|failure| failure.error.replace('\0', "")),
            Arc::new(times),
            all(options.materialization_id.as_deref()),
        ];
        let fields = system::failures::COLUMNS.iter().zip(&columns);
        let fields: Vec<_> = fields
            .map(|(name, array)| Field::new(*name, array.data_type().clone(), true))
            .collect();
        let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns.to_vec())?;
        let mut appender = connection.appender(system::FAILURES).map_err(database_error)?;
        appender.append_record_batch(batch).map_err(database_error)?;
        appender.flush().map_err(database_error)
    })
}

/// Removes the failures of the records whose ids, so many, are in a table of the connection.
pub(super) fn clear(
    connection: &Connection,
    tables: &Tables,
    key: &FeatureKey,
    ids: &str,
    n_ids: usize,
) -> Result<()> {
    if tables.contains_key(system::FAILURES) && !of(connection, key, Some(1))?.is_empty() {
        run_ast(connection, &lower::clear_failures(key.as_str(), ids, n_ids))?;
    }
    Ok(())
}

/// The failures of a feature, the latest last; at most so many.
pub(super) fn of(
    connection: &Connection,
    key: &FeatureKey,
    limit: Option<u64>,
) -> Result<Vec<Failure>> {
    use system::failures::{ERROR, FAILED_AT, FEATURE_KEY, IDS, MATERIALIZATION_ID, PROVENANCE};
    if !table_is_there(connection)? {
        return Ok(Vec::new());
    }
    let key = DuckDbDialect.quote_text(key.as_str())?;
    let limit = limit.map(|limit| format!(" LIMIT {limit}")).unwrap_or_default();
    let sql = format!(
        "SELECT {IDS}, {PROVENANCE}, {ERROR}, epoch_us({FAILED_AT}), {MATERIALIZATION_ID} \
         FROM {} WHERE {FEATURE_KEY} = {key} ORDER BY {FAILED_AT}, rowid{limit}",
        system::FAILURES
    );
    let mut failures = Vec::new();
    for batch in rows(connection, &sql)? {
        let [ids, provenance, error] = [0, 1, 2].map(|i| batch.column(i).as_string::<i32>());
        let times = batch.column(3).as_primitive::<Int64Type>();
        let runs = batch.column(4).as_string::<i32>();
        for row in 0..batch.num_rows() {
            let ids = ids_of_text(ids.value(row)).ok_or_else(|| Error::Database {
                engine: "DuckDB",
                message: format!("`{}` has a row whose `{IDS}` are none", system::FAILURES),
            })?;
            failures.push(Failure {
                ids,
                provenance: provenance.value(row).to_owned(),
                error: error.value(row).to_owned(),
                time: times.value(row),
                materialization_id: runs.is_valid(row).then(|| runs.value(row).to_owned()),
            });
        }
    }
    Ok(failures)
}
