//! How far a resolve has read its tables, and what has become of them since.

use super::id;
use super::write::{TEXT, system_table};
use crate::ast::build::{
    and, binary, bool, call, coalesce, col, eq, from, int, is_null, name, scalar, text,
};
use crate::ast::{BinaryOp, ColumnDecl, Expr, Query, Select, Statement};
use crate::error::Result;
use crate::functions::Function;
use crate::ident::Ident;
use crate::literal::Literal;
use crate::system;
use crate::system::watermarks::{COLUMNS, FEATURE_KEY, FINGERPRINT, LATEST, NEXT_ROW, ROWS, TABLE};
use crate::types::{ColumnType, ScalarType};

/// How far a table has been read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The table.
    pub table: String,
    /// The smallest address that a later row has.
    pub next_row: i64,
    /// How many rows there were.
    pub rows: i64,
    /// The latest time in it, in microseconds since 1970-01-01 UTC.
    pub latest: i64,
}

/// Makes the table of watermarks.
#[must_use]
pub fn watermarks() -> Statement {
    let columns = COLUMNS.map(|column| ColumnDecl {
        name: name(column),
        ty: match column {
            FEATURE_KEY | FINGERPRINT | TABLE => TEXT,
            _ => ColumnType::Scalar(ScalarType::Int64),
        }
        .into(),
        nullable: false,
    });
    system_table(system::WATERMARKS, columns.into(), &[FEATURE_KEY])
}

/// The watermark of a feature: [`system::watermarks::COLUMNS`].
#[must_use]
pub fn watermark_of(key: &str) -> Statement {
    let select = Select::default()
        .columns(COLUMNS.map(|column| (col("u", column), column.to_owned())))
        .from(from(system::WATERMARKS, "u"))
        .filter(eq(col("u", FEATURE_KEY), text(key)));
    query(vec![select])
}

/// Forgets the watermark of a feature.
#[must_use]
pub fn forget_watermark_of(key: &str) -> Statement {
    forget(eq(col("u", FEATURE_KEY), text(key)))
}

/// Forgets the watermarks of all features that were resolved from a table, or of all.
#[must_use]
pub fn forget_watermarks(table: Option<&str>) -> Statement {
    let of_table = |table: &str| {
        let features = Select::default()
            .column(col("x", FEATURE_KEY), FEATURE_KEY)
            .from(from(system::WATERMARKS, "x"))
            .filter(eq(col("x", TABLE), text(table)));
        Expr::In(vec![col("u", FEATURE_KEY)], Box::new(features))
    };
    forget(table.map_or_else(|| bool(true), of_table))
}

fn forget(filter: Expr) -> Statement {
    let (table, alias) = (name(system::WATERMARKS), name("u"));
    Statement::Delete { with: Vec::new(), table, alias, filter }
}

/// Makes the table of the records that were not unchanged at a watermark.
///
/// # Errors
/// When the name cannot be an identifier.
pub fn pending_table(table: &str, ids: &[ColumnType]) -> Result<Statement> {
    let columns = ids.iter().enumerate().map(|(k, ty)| ColumnDecl {
        name: name(id(k)),
        ty: (*ty).into(),
        nullable: false,
    });
    Ok(Statement::CreateTable {
        table: Ident::new(system::pending(table))?,
        columns: columns.collect(),
        key: Vec::new(),
        together: Vec::new(),
        temporary: false,
    })
}

/// How far tables can be read now: a [`Mark`] for each, by the names of its fields.
#[must_use]
pub fn marks<'a>(tables: impl IntoIterator<Item = &'a str>) -> Statement {
    let marks = tables.into_iter().map(|table| {
        let of = |value: Expr| coalesce([scalar(of_rows(table, value)), int(0)]);
        let next = binary(call(Function::Max, [address()]), BinaryOp::Add, int(1));
        let latest = |column: &str| {
            of(call(Function::EpochMicros, [call(Function::Max, [col("u", column)])]))
        };
        let latest = [system::UPDATED_AT, system::DELETED_AT].map(latest);
        Select::default()
            .column(text(table), TABLE)
            .column(of(next), NEXT_ROW)
            .column(of(call(Function::CountAll, [])), ROWS)
            .column(call(Function::Greatest, latest), LATEST)
    });
    query(marks.collect())
}

/// What has become of tables: how many rows each has (`n`), how many of them are later than its mark
/// (`later`), how many of these have no write token (`foreign`), and how many of the others have a time
/// that is later than all were (`changed`).
#[must_use]
pub fn changes<'a>(marks: impl IntoIterator<Item = &'a Mark>) -> Statement {
    let changes = marks.into_iter().map(|mark| {
        let count = |condition: Option<Expr>| {
            let rows = of_rows(&mark.table, call(Function::CountAll, []));
            scalar(condition.into_iter().fold(rows, Select::filter))
        };
        let is_later = || binary(address(), BinaryOp::GtEq, int(mark.next_row));
        let has_later = |column: &str| {
            let latest = Expr::Literal(Literal::Timestamp(mark.latest));
            let was_there = binary(address(), BinaryOp::Lt, int(mark.next_row));
            count(Some(and([was_there, binary(col("u", column), BinaryOp::Gt, latest)])))
        };
        let changed =
            binary(has_later(system::UPDATED_AT), BinaryOp::Add, has_later(system::DELETED_AT));
        Select::default()
            .column(count(None), "n")
            .column(count(Some(is_later())), "later")
            .column(
                count(Some(and([is_later(), is_null(col("u", system::WRITE_TOKEN))]))),
                "foreign",
            )
            .column(changed, "changed")
    });
    query(changes.collect())
}

fn of_rows(table: &str, value: Expr) -> Select {
    Select::default().column(value, "value").from(from(table, "u"))
}

fn address() -> Expr {
    Expr::RowAddress(Some(name("u")))
}

fn query(union_all: Vec<Select>) -> Statement {
    Statement::Query(Query { with: Vec::new(), union_all })
}
