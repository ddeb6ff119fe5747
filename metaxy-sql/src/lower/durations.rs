//! How long records took to compute: the table, and what is looked up in it.

use super::write::{TEXT, TIMESTAMP, system_table};
use crate::ast::build::{call, col, eq, from, name, or, text};
use crate::ast::{ColumnDecl, Order, Query, Select, Statement};
use crate::functions::Function;
use crate::system;
use crate::system::durations::{
    COLUMNS, FEATURE_KEY, MATERIALIZATION_ID, MEASURED_AT, MICROS, RECORDS,
};
use crate::types::{ColumnType, ScalarType};

/// Makes the table of durations.
#[must_use]
pub fn durations() -> Statement {
    let columns = COLUMNS.map(|column| ColumnDecl {
        name: name(column),
        ty: match column {
            RECORDS | MICROS => ColumnType::Scalar(ScalarType::Int64),
            MEASURED_AT => TIMESTAMP,
            _ => TEXT,
        }
        .into(),
        nullable: column == MATERIALIZATION_ID,
    });
    system_table(system::DURATIONS, columns.into(), &[FEATURE_KEY])
}

/// The durations of some features, at most so many, the latest first:
/// [`system::durations::COLUMNS`] without the run, the time in microseconds.
#[must_use]
pub fn durations_of<'a>(keys: impl IntoIterator<Item = &'a str>, limit: u64) -> Statement {
    let own = |column: &str| col("u", column);
    let value = |column: &str| match column {
        MEASURED_AT => call(Function::EpochMicros, [own(column)]),
        _ => own(column),
    };
    let columns = COLUMNS.into_iter().filter(|column| *column != MATERIALIZATION_ID);
    let mut select = Select::default()
        .columns(columns.map(|column| (value(column), column.to_owned())))
        .from(from(system::DURATIONS, "u"))
        .filter(or(keys.into_iter().map(|key| eq(own(FEATURE_KEY), text(key)))));
    select.order_by = vec![Order { expr: own(MEASURED_AT), descending: true }];
    select.limit = Some(limit);
    Statement::Query(Query { with: Vec::new(), union_all: vec![select] })
}
