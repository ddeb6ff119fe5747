//! Failures: which records could not be computed, and from what.

use super::Shared;
use super::connection::Connection;
use super::plan::Tables;
use super::session::now;
use super::tables::append_to_system_table;
use crate::error::{Error, Result};
use crate::key::FeatureKey;
use crate::store::backend::{Failure, FeatureContext, WriteOptions};
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{Field, Int64Type, Schema};
use metaxy_sql::plan::{ids_of_text, ids_text};
use metaxy_sql::{lower, system};
use std::sync::Arc;

/// Keeps failures.
pub(super) async fn add(
    shared: &Shared,
    connection: &mut dyn Connection,
    feature: &FeatureContext,
    failures: &[Failure],
    options: &WriteOptions,
) -> Result<()> {
    if failures.is_empty() {
        return Ok(());
    }
    let rows = rows_of(feature, failures, options)?;
    append_to_system_table(shared, connection, system::FAILURES, lower::failures, rows).await
}

/// Failures as rows of their table.
fn rows_of(
    feature: &FeatureContext,
    failures: &[Failure],
    options: &WriteOptions,
) -> Result<RecordBatch> {
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
    let fields: Vec<_> =
        fields.map(|(name, array)| Field::new(*name, array.data_type().clone(), true)).collect();
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns.to_vec())?)
}

/// Removes the failures of the records whose ids, so many, are in a table of the connection.
pub(super) async fn clear(
    connection: &mut dyn Connection,
    tables: &Tables,
    key: &FeatureKey,
    ids: &str,
    n_ids: usize,
) -> Result<()> {
    if tables.contains_key(system::FAILURES) && !kept(connection, key, Some(1)).await?.is_empty() {
        connection.execute(lower::clear_failures(key.as_str(), ids, n_ids)).await?;
    }
    Ok(())
}

/// The failures of a feature, the latest last; none if there is nowhere to keep them.
pub(super) async fn of(shared: &Shared, key: &FeatureKey) -> Result<Vec<Failure>> {
    let connection = &mut *shared.connect().await?;
    let table = system::FAILURES;
    if !connection.tables(&[table.to_owned()]).await?.contains_key(table) {
        return Ok(Vec::new());
    }
    kept(connection, key, None).await
}

/// The failures in the table, at most so many.
async fn kept(
    connection: &mut dyn Connection,
    key: &FeatureKey,
    limit: Option<u64>,
) -> Result<Vec<Failure>> {
    let table = system::FAILURES;
    let mut failures = Vec::new();
    for batch in connection.rows(lower::failures_of(key.as_str(), limit)).await? {
        let [ids, provenance, error] = [0, 1, 2].map(|i| batch.column(i).as_string::<i32>());
        let times = batch.column(3).as_primitive::<Int64Type>();
        let runs = batch.column(4).as_string::<i32>();
        for row in 0..batch.num_rows() {
            let ids = ids_of_text(ids.value(row)).ok_or_else(|| {
                Error::internal(format!("`{table}` has a row whose `ids` are none"))
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
