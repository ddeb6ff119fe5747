//! The table of pushes: read, and appended to in turns.

use super::Shared;
use super::connection::{Access, Connection, end};
use super::session::now;
use super::tables::{ensure_system_table, record_pushed};
use crate::error::{Error, Result};
use crate::store::backend::{PushRequest, PushedRow, PushedRows};
use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use metaxy_sql::system::pushes::COLUMNS;
use metaxy_sql::{lower, system};
use std::sync::Arc;

/// Rows on their way into the table.
const STAGE: &str = "@pushes";

/// Rows of the table; none if there is no table.
pub(super) async fn pushed(shared: &Shared, which: &PushedRows) -> Result<Vec<PushedRow>> {
    let connection = &mut *shared.connect().await?;
    let table = system::PUSHES;
    if !connection.tables(&[table.to_owned()]).await?.contains_key(table) {
        return Ok(Vec::new());
    }
    let which = match which {
        PushedRows::Summary => None,
        PushedRows::Whole(which) if which.is_empty() => return Ok(Vec::new()),
        PushedRows::Whole(which) => Some(&which[..]),
    };
    let mut rows = Vec::new();
    for batch in connection.rows(lower::rows_of_pushes(which)).await? {
        decode(&batch, &mut rows)?;
    }
    Ok(rows)
}

fn decode(batch: &RecordBatch, rows: &mut Vec<PushedRow>) -> Result<()> {
    let column = |i: usize, ty| -> Result<ArrayRef> { Ok(cast(batch.column(i), &ty)?) };
    let texts = [0, 1, 2, 3, 5, 6, 7, 8, 9].map(|i| column(i, DataType::Utf8));
    let texts: Vec<ArrayRef> = texts.into_iter().collect::<Result<_>>()?;
    let texts: Vec<&StringArray> = texts.iter().map(AsArray::as_string::<i32>).collect();
    let (times, deleted) = (column(4, DataType::Int64)?, column(10, DataType::Int64)?);
    let [times, deleted] = [&times, &deleted].map(AsArray::as_primitive::<Int64Type>);
    for row in 0..batch.num_rows() {
        // Nobody keeps other programs from leaving something out.
        let text = |i: usize| match texts[i].is_valid(row) {
            true => texts[i].value(row).to_owned(),
            false => String::new(),
        };
        rows.push(PushedRow {
            project: text(0),
            feature: text(1),
            feature_version: text(2),
            definition_version: text(3),
            time: if times.is_valid(row) { times.value(row) } else { 0 },
            spec: text(4),
            schema: text(5),
            class_path: text(6),
            project_version: text(7),
            tags: text(8),
            deleted_at: deleted.is_valid(row).then(|| deleted.value(row)),
        });
    }
    Ok(())
}

/// Appends a push, unless there has been another one.
pub(super) async fn push(shared: &Shared, push: &PushRequest) -> Result<Option<i64>> {
    let connection = &mut *shared.connect_to_write().await?;
    let features = push.features.iter().map(|feature| feature.key().table_name());
    let turns: Vec<String> = features.chain([system::PUSHES.to_owned()]).collect();
    connection.begin(Access::Write(&turns)).await?;
    let done = append(shared, connection, push).await;
    end(connection, done).await
}

async fn append(
    shared: &Shared,
    connection: &mut dyn Connection,
    push: &PushRequest,
) -> Result<Option<i64>> {
    ensure_system_table(shared, connection, system::DEFINITIONS, lower::definitions()).await?;
    ensure_system_table(shared, connection, system::PUSHES, lower::pushes()).await?;
    let latest = latest(connection).await?;
    if latest > push.after.unwrap_or_default() {
        return Ok(None);
    }
    let time = now().max(latest.saturating_add(1));
    // Whoever finds the push finds what its versions mean.
    record_pushed(connection, &push.features).await?;
    if !push.rows.is_empty() {
        connection.execute(lower::push_stage(STAGE)).await?;
        connection.append(STAGE, staged(&push.rows, time)?).await?;
        let appended = connection.execute(lower::append_pushes(STAGE)).await?;
        if usize::try_from(appended) != Ok(push.rows.len()) {
            return Err(Error::internal(format!(
                "of {} rows of a push {appended} were appended",
                push.rows.len()
            )));
        }
    }
    Ok(Some(time))
}

/// The latest time in the table; 0, which is the largest of no numbers in ClickHouse, without rows.
async fn latest(connection: &mut dyn Connection) -> Result<i64> {
    let found = connection.rows(lower::latest_push()).await?;
    let time = found.first().map(|batch| cast(batch.column(0), &DataType::Int64)).transpose()?;
    let first = time.and_then(|time| {
        let time = time.as_primitive::<Int64Type>();
        (!time.is_empty() && time.is_valid(0)).then(|| time.value(0))
    });
    Ok(first.unwrap_or_default())
}

/// Rows as their stage takes them.
fn staged(rows: &[PushedRow], time: i64) -> Result<RecordBatch> {
    let text = |of: fn(&PushedRow) -> &str| -> ArrayRef {
        Arc::new(rows.iter().map(|row| Some(of(row))).collect::<StringArray>())
    };
    let times: Int64Array = rows.iter().map(|_| Some(time)).collect();
    let deleted: Int64Array = rows.iter().map(|row| row.deleted_at.map(|_| time)).collect();
    let columns: [ArrayRef; 11] = [
        text(|row| &row.project),
        text(|row| &row.feature),
        text(|row| &row.feature_version),
        text(|row| &row.definition_version),
        Arc::new(times),
        text(|row| &row.spec),
        text(|row| &row.schema),
        text(|row| &row.class_path),
        text(|row| &row.project_version),
        text(|row| &row.tags),
        Arc::new(deleted),
    ];
    let fields = COLUMNS.iter().zip(&columns);
    let fields: Vec<_> =
        fields.map(|(name, array)| Field::new(*name, array.data_type().clone(), true)).collect();
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns.to_vec())?)
}
