//! What migrations need beside tables and columns: all system tables, rows that are there only once,
//! and what is known of migrations that were applied.

use super::write::{TEXT, TIMESTAMP, definitions, failures, system_table, time_of_write};
use super::{durations, pushes, rebases, removed, settings};
use crate::ast::build::{and, call, col, eq, from, int, name, not, or, text};
use crate::ast::{ColumnDecl, Expr, Order, Query, Select, Statement};
use crate::error::Result;
use crate::functions::Function;
use crate::ident::Ident;
use crate::plan::Time;
use crate::system;

/// Makes the tables that every store has or may come to need, one statement for each.
#[must_use]
pub fn system_tables() -> Vec<Statement> {
    vec![settings(), definitions(), failures(), removed(), rebases(), durations(), pushes()]
}

/// A column of the only relation that there is: not every database lets rows be removed from one
/// under another name.
fn own(column: &str) -> Expr {
    Expr::Column(None, name(column))
}

/// Appends rows of texts, unless there is one that has the same text in a column.
fn insert_once(
    table: &str,
    columns: &[&str],
    unless: (&str, Option<Expr>),
    rows: &[Vec<String>],
) -> Statement {
    let (key, filter) = unless;
    let there = Select { filter, ..Select::default() };
    let there = there.column(col("u", key), key).from(from(table, "u"));
    let place = columns.iter().position(|column| *column == key).unwrap_or_default();
    let select = |row: &Vec<String>| {
        let is_there = Expr::In(vec![text(&row[place])], Box::new(there.clone()));
        let values = row.iter().zip(columns);
        Select::default()
            .columns(values.map(|(value, column)| (text(value), (*column).to_owned())))
            .filter(not(is_there))
    };
    Statement::Insert {
        table: name(table),
        columns: columns.iter().map(|column| name(*column)).collect(),
        query: Query { with: Vec::new(), union_all: rows.iter().map(select).collect() },
    }
}

/// Stamps a store with settings, by name and value, that it does not have yet.
#[must_use]
pub fn stamp_settings(settings: &[Vec<String>]) -> Statement {
    use system::settings::{NAME, VALUE};
    insert_once(system::SETTINGS, &[NAME, VALUE], (NAME, None), settings)
}

/// Gives a store other settings.
#[must_use]
pub fn restamp_settings(settings: &[Vec<String>]) -> Vec<Statement> {
    use system::settings::NAME;
    let is = |row: &Vec<String>| eq(own(NAME), text(&row[0]));
    let remove = Statement::Delete {
        with: Vec::new(),
        table: name(system::SETTINGS),
        alias: name("u"),
        filter: or(settings.iter().map(is)),
    };
    vec![remove, stamp_settings(settings)]
}

/// Records what a definition of a feature says of each field, each row all of
/// [`system::definitions::COLUMNS`], unless that version is known.
#[must_use]
pub fn record_definitions(key: &str, rows: &[Vec<String>]) -> Statement {
    use system::definitions::{COLUMNS, FEATURE_KEY, FEATURE_VERSION};
    let of_feature = eq(col("u", FEATURE_KEY), text(key));
    insert_once(system::DEFINITIONS, &COLUMNS, (FEATURE_VERSION, Some(of_feature)), rows)
}

/// Removes what a store keeps of features whose tables are gone, at least one: what their definitions
/// said, which records failed, which were removed for good, and how long they took. What was pushed and
/// what was rebased stays, as it says what was done.
#[must_use]
pub fn forget_features(keys: &[&str]) -> [Statement; 4] {
    let all = [
        (system::DEFINITIONS, system::definitions::FEATURE_KEY),
        (system::FAILURES, system::failures::FEATURE_KEY),
        (system::REMOVED, system::removed::FEATURE_KEY),
        (system::DURATIONS, system::durations::FEATURE_KEY),
    ];
    all.map(|(table, column)| Statement::Delete {
        with: Vec::new(),
        table: name(table),
        alias: name("u"),
        filter: or(keys.iter().map(|key| eq(own(column), text(*key)))),
    })
}

/// Removes what a write has appended to a table.
///
/// # Errors
/// When a name cannot be an identifier.
pub fn take_back(table: &str, token: i64) -> Result<Statement> {
    let filter = eq(own(system::WRITE_TOKEN), int(token));
    Ok(Statement::Delete { with: Vec::new(), table: Ident::new(table)?, alias: name("u"), filter })
}

/// Removes the note of a rebase to a version, for a reason.
#[must_use]
pub fn take_back_note(key: &str, version: &str, reason: &str) -> Statement {
    use system::rebases::{FEATURE_KEY, FEATURE_VERSION, REASON};
    let is = |column: &str, value: &str| eq(own(column), text(value));
    let filter = and([is(FEATURE_KEY, key), is(FEATURE_VERSION, version), is(REASON, reason)]);
    let (table, alias) = (name(system::REBASES), name("u"));
    Statement::Delete { with: Vec::new(), table, alias, filter }
}

/// Makes the table of migrations that were applied.
#[must_use]
pub fn migrations() -> Statement {
    use system::migrations::{APPLIED_AT, COLUMNS, VERSION};
    let columns = COLUMNS.map(|column| ColumnDecl {
        name: name(column),
        ty: if column == APPLIED_AT { TIMESTAMP } else { TEXT }.into(),
        nullable: false,
    });
    system_table(system::MIGRATIONS, columns.into(), &[VERSION])
}

/// The migrations that were applied, by version: it, name, checksum, and the time in microseconds.
#[must_use]
pub fn applied() -> Statement {
    use system::migrations::{APPLIED_AT, COLUMNS, VERSION};
    let value = |column: &str| match column {
        APPLIED_AT => call(Function::EpochMicros, [col("m", column)]),
        _ => col("m", column),
    };
    let mut select = Select::default()
        .columns(COLUMNS.map(|column| (value(column), column.to_owned())))
        .from(from(system::MIGRATIONS, "m"));
    select.order_by = vec![Order { expr: col("m", VERSION), descending: false }];
    Statement::Query(Query { with: Vec::new(), union_all: vec![select] })
}

/// Notes that a migration was applied: version, name and checksum.
#[must_use]
pub fn note_applied(texts: [&str; 3], time: i64) -> Statement {
    let values = texts.into_iter().map(text).chain([time_of_write(&Time::At(time))]);
    let columns = system::migrations::COLUMNS;
    let select = Select::default().columns(values.zip(columns.map(str::to_owned)));
    Statement::Insert {
        table: name(system::MIGRATIONS),
        columns: columns.map(name).into(),
        query: Query { with: Vec::new(), union_all: vec![select] },
    }
}

/// Takes such a note back.
#[must_use]
pub fn unnote_applied(version: &str) -> Statement {
    let filter = eq(own(system::migrations::VERSION), text(version));
    let (table, alias) = (name(system::MIGRATIONS), name("u"));
    Statement::Delete { with: Vec::new(), table, alias, filter }
}
