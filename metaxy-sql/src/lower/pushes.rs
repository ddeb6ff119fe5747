//! What is kept of the definitions that are pushed: a table in the form of the Python implementation.

use super::write::{INT, TEXT, system_table, temporary};
use crate::ast::build::{and, call, col, eq, from, int, name, null, or, text};
use crate::ast::{ColumnDecl, Expr, Query, Select, SqlType, Statement};
use crate::functions::Function;
use crate::system::{
    self, definitions,
    pushes::{COLUMNS, DELETED_AT, FEATURE_KEY, PROJECT, RECORDED_AT, SCHEMA, SPEC},
};

fn is_time(column: &str) -> bool {
    matches!(column, RECORDED_AT | DELETED_AT)
}

/// Makes the table of pushes.
#[must_use]
pub fn pushes() -> Statement {
    let key = [PROJECT, FEATURE_KEY, RECORDED_AT];
    let columns = COLUMNS.map(|column| ColumnDecl {
        name: name(column),
        ty: if is_time(column) { SqlType::LocalTimestamp } else { TEXT.into() },
        nullable: !key.contains(&column),
    });
    system_table(system::PUSHES, columns.into(), &key)
}

/// Makes a table of the connection for rows that are pushed: the same columns, times in microseconds.
#[must_use]
pub fn push_stage(stage: &str) -> Statement {
    let columns = COLUMNS.map(|column| ColumnDecl {
        name: name(column),
        ty: if is_time(column) { INT } else { TEXT }.into(),
        nullable: true,
    });
    temporary(stage, columns.into())
}

/// Appends the rows that are staged.
#[must_use]
pub fn append_pushes(stage: &str) -> Statement {
    let value = |column: &str| match is_time(column) {
        true => call(Function::LocalTimestamp, [col("s", column)]),
        false => col("s", column),
    };
    let select = Select::default()
        .columns(COLUMNS.map(|column| (value(column), column.to_owned())))
        .from(from(stage, "s"));
    Statement::Insert {
        table: name(system::PUSHES),
        columns: COLUMNS.map(name).into(),
        query: Query { with: Vec::new(), union_all: vec![select] },
    }
}

/// Rows of the table of pushes, times in microseconds: those of some projects at some times, or all of
/// them, but without specs and schemas, whose columns are then NULL.
#[must_use]
pub fn rows_of_pushes(which: Option<&[(String, i64)]>) -> Statement {
    let own = |column: &str| col("u", column);
    let time = |column: &str| call(Function::EpochMicros, [own(column)]);
    // Other programs may have chosen other types for texts.
    let as_text = |value: Expr| Expr::Cast(Box::new(value), SqlType::Column(TEXT));
    let value = |column: &str| match column {
        column if is_time(column) => time(column),
        SPEC | SCHEMA if which.is_none() => as_text(null()),
        column => as_text(own(column)),
    };
    let mut select = Select::default()
        .columns(COLUMNS.map(|column| (value(column), column.to_owned())))
        .from(from(system::PUSHES, "u"));
    if let Some(which) = which {
        let is_one = |(project, at): &(String, i64)| {
            and([eq(own(PROJECT), text(project)), eq(time(RECORDED_AT), int(*at))])
        };
        select = select.filter(or(which.iter().map(is_one)));
    }
    Statement::Query(Query { with: Vec::new(), union_all: vec![select] })
}

/// When something was pushed last, in microseconds; NULL if nothing was.
#[must_use]
pub fn latest_push() -> Statement {
    let time = call(Function::EpochMicros, [col("u", RECORDED_AT)]);
    let select = Select::default()
        .column(call(Function::Max, [time]), "time")
        .from(from(system::PUSHES, "u"));
    Statement::Query(Query { with: Vec::new(), union_all: vec![select] })
}

/// Removes what is recorded of the definitions of some features, at least one.
#[must_use]
pub fn forget_definitions<'a>(keys: impl IntoIterator<Item = &'a str>) -> Statement {
    let is_one = |key| eq(col("x", definitions::FEATURE_KEY), text(key));
    Statement::Delete {
        with: Vec::new(),
        table: name(system::DEFINITIONS),
        alias: name("x"),
        filter: or(keys.into_iter().map(is_one)),
    }
}
