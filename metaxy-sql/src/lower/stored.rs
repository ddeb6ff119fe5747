//! What a store looks up besides records: its settings, what is recorded of definitions, failures,
//! and what a statement before has found.

use crate::ast::build::{call, col, eq, from, name, not, or, text};
use crate::ast::{ColumnDecl, Expr, Order, Query, Select, Statement};
use crate::error::Result;
use crate::functions::Function;
use crate::ident::Ident;
use crate::system;

use super::resolve::COUNTED;
use super::write::{TEXT, system_table};

fn query(select: Select) -> Statement {
    Statement::Query(Query { with: Vec::new(), union_all: vec![select] })
}

/// Columns of a table, of all of its rows.
///
/// # Errors
/// When a name cannot be an identifier.
pub fn everything<'a>(
    table: &str,
    columns: impl IntoIterator<Item = &'a String>,
) -> Result<Statement> {
    let columns = columns.into_iter().map(|column| {
        let column = Ident::new(column)?;
        Ok((Expr::Column(Some(name("u")), column.clone()), column))
    });
    let select = Select { columns: columns.collect::<Result<_>>()?, ..Select::default() };
    Ok(query(select.from(from(table, "u"))))
}

/// The number of rows of a table, as `n`.
#[must_use]
pub fn count(table: &str) -> Statement {
    query(Select::default().column(call(Function::CountAll, []), "n").from(from(table, "u")))
}

/// The rows of a resolve's answer, kept in a table, that count its classes.
#[must_use]
pub fn counts_of(increment: &str) -> Statement {
    counts_by(increment, "class")
}

/// The same rows of the answer of [`super::classify`], laid out alike.
#[must_use]
pub fn counts_of_classified(table: &str) -> Statement {
    counts_by(table, COUNTED)
}

fn counts_by(table: &str, class: &str) -> Statement {
    let counts = Select::default()
        .column(col("r", class), "class")
        .columns(["n", "n_older", "n_unsealed"].map(|count| (col("r", count), count.to_owned())))
        .from(from(table, "r"))
        .filter(not(Expr::IsNull(Box::new(col("r", "n")))));
    query(counts)
}

/// Makes the table of settings.
#[must_use]
pub fn settings() -> Statement {
    use system::settings::{NAME, VALUE};
    let columns = [NAME, VALUE];
    let columns =
        columns.map(|column| ColumnDecl { name: name(column), ty: TEXT.into(), nullable: false });
    system_table(system::SETTINGS, columns.into(), &[NAME])
}

/// The settings that were stamped, by name and value.
#[must_use]
pub fn settings_of_store() -> Statement {
    use system::settings::{NAME, VALUE};
    let select = Select::default()
        .columns([NAME, VALUE].map(|column| (col("u", column), column.to_owned())))
        .from(from(system::SETTINGS, "u"));
    query(select)
}

/// What is recorded of the definitions of some features: [`system::definitions::COLUMNS`].
#[must_use]
pub fn definitions_of<'a>(table: &str, keys: impl IntoIterator<Item = &'a str>) -> Statement {
    use system::definitions::{COLUMNS, FEATURE_KEY};
    let select = Select::default()
        .columns(COLUMNS.map(|column| (col("u", column), column.to_owned())))
        .from(from(table, "u"))
        .filter(or(keys.into_iter().map(|key| eq(col("u", FEATURE_KEY), text(key)))));
    query(select)
}

/// The id columns that the definitions of some features have had, and their versions, by key; one line for each
/// field.
#[must_use]
pub fn ids_and_versions_of_definitions<'a>(
    table: &str,
    keys: impl IntoIterator<Item = &'a str>,
) -> Statement {
    use system::definitions::{FEATURE_KEY, FEATURE_VERSION, ID_COLUMNS};
    let columns = [FEATURE_KEY, ID_COLUMNS, FEATURE_VERSION];
    let select = Select::default()
        .columns(columns.map(|column| (col("u", column), column.to_owned())))
        .from(from(table, "u"))
        .filter(or(keys.into_iter().map(|key| eq(col("u", FEATURE_KEY), text(key)))));
    query(select)
}

/// The failures of a feature, at most so many, the latest last: ids, provenance, error, time in
/// microseconds, and the run.
#[must_use]
pub fn failures_of(key: &str, limit: Option<u64>) -> Statement {
    use system::failures::{ERROR, FAILED_AT, FEATURE_KEY, IDS, MATERIALIZATION_ID, PROVENANCE};
    let own = |column: &str| col("u", column);
    let by = |column: &str| Order { expr: own(column), descending: false };
    let mut select = Select::default()
        .columns([IDS, PROVENANCE, ERROR].map(|column| (own(column), column.to_owned())))
        .column(call(Function::EpochMicros, [own(FAILED_AT)]), "time")
        .column(own(MATERIALIZATION_ID), MATERIALIZATION_ID)
        .from(from(system::FAILURES, "u"))
        .filter(eq(own(FEATURE_KEY), text(key)));
    select.order_by = vec![by(FAILED_AT), by(IDS)];
    select.limit = limit;
    query(select)
}
