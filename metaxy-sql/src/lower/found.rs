//! Removing rows where a statement that removes them cannot look at anything but the rows.

use crate::ast::{Expr, From, Query, Select, Source, SqlType, Statement};
use crate::ident::Ident;
use crate::literal::Literal;
use crate::types::{ColumnType, ScalarType};

/// What finds the rows that a removal is about: their addresses, as texts. `None` for what is no
/// removal.
///
/// What else happens to the table before they are removed does no harm if an address stays what it is.
#[must_use]
pub fn found(removal: Statement) -> Option<Statement> {
    let Statement::Delete { with, table, alias, filter } = removal else { return None };
    let address = Expr::RowAddress(Some(alias.clone()));
    let address =
        Expr::Cast(Box::new(address), SqlType::Column(ColumnType::Scalar(ScalarType::Text)));
    let rows = Select::default()
        .column(address, "row")
        .from(From { first: Source { relation: table, alias }, latest: None, joins: Vec::new() })
        .filter(filter);
    Some(Statement::Query(Query { with, union_all: vec![rows] }))
}

/// Removes the rows of a table that have one of these addresses.
#[must_use]
pub fn remove_found(table: &Ident, rows: &[String]) -> Statement {
    // A number stands for itself.
    let literal = |row: &String| match row.parse() {
        Ok(number) => Literal::Int(number),
        Err(_) => Literal::Text(row.clone()),
    };
    let rows = rows.iter().map(|row| Expr::Literal(literal(row))).collect();
    Statement::Delete {
        with: Vec::new(),
        table: table.clone(),
        // There is no other name for it.
        alias: table.clone(),
        filter: Expr::InList(Box::new(Expr::RowAddress(None)), rows),
    }
}
