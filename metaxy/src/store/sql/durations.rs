//! Durations: how long records took to compute.

use super::Shared;
use super::connection::Connection;
use super::session::now;
use super::tables::append_to_system_table;
use crate::error::Result;
use crate::key::FeatureKey;
use crate::store::backend::{FeatureContext, Measured, WriteOptions};
use arrow::array::{
    ArrayRef, AsArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{Field, Int64Type, Schema};
use metaxy_sql::{lower, system};
use std::sync::Arc;
use std::time::Duration;

/// So many of the latest are looked at.
const MOST: u64 = 1_000;

/// Keeps how long so many records took.
pub(super) async fn add(
    shared: &Shared,
    connection: &mut dyn Connection,
    feature: &FeatureContext,
    records: u64,
    took: Duration,
    options: &WriteOptions,
) -> Result<()> {
    let row = row(feature, records, took, options)?;
    append_to_system_table(shared, connection, system::DURATIONS, lower::durations, row).await
}

/// The row of the table.
fn row(
    feature: &FeatureContext,
    records: u64,
    took: Duration,
    options: &WriteOptions,
) -> Result<RecordBatch> {
    let text = |text: Option<&str>| -> ArrayRef { Arc::new(StringArray::from(vec![text])) };
    let number =
        |n: Option<i64>| -> ArrayRef { Arc::new(Int64Array::from(vec![n.unwrap_or(i64::MAX)])) };
    let time = TimestampMicrosecondArray::from(vec![now()]).with_timezone("UTC");
    let columns: [ArrayRef; 6] = [
        text(Some(feature.key().as_str())),
        text(Some(&feature.versions().feature_version)),
        number(i64::try_from(records).ok()),
        number(i64::try_from(took.as_micros()).ok()),
        Arc::new(time),
        text(options.materialization_id.as_deref()),
    ];
    let fields = system::durations::COLUMNS.iter().zip(&columns);
    let fields: Vec<_> =
        fields.map(|(name, array)| Field::new(*name, array.data_type().clone(), true)).collect();
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns.to_vec())?)
}

/// The latest durations of some features, the latest first; none if there is nowhere to keep them.
pub(super) async fn of(shared: &Shared, keys: &[FeatureKey]) -> Result<Vec<Measured>> {
    let connection = &mut *shared.connect().await?;
    let table = system::DURATIONS;
    if keys.is_empty() || !connection.tables(&[table.to_owned()]).await?.contains_key(table) {
        return Ok(Vec::new());
    }
    let mut all = Vec::new();
    let keys = keys.iter().map(FeatureKey::as_str);
    for batch in connection.rows(lower::durations_of(keys, MOST)).await? {
        let [features, versions] = [0, 1].map(|i| batch.column(i).as_string::<i32>());
        let [records, micros, times] =
            [2, 3, 4].map(|i| batch.column(i).as_primitive::<Int64Type>());
        for row in 0..batch.num_rows() {
            all.push(Measured {
                feature: FeatureKey::new(features.value(row))?,
                feature_version: versions.value(row).to_owned(),
                records: u64::try_from(records.value(row)).unwrap_or_default(),
                took: Duration::from_micros(u64::try_from(micros.value(row)).unwrap_or_default()),
                time: times.value(row),
            });
        }
    }
    Ok(all)
}
