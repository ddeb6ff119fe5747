//! Removing rows where a statement that removes them cannot look at anything but the rows.

use crate::ast::build::{col, from};
use crate::ast::{Expr, Select, Source, Statement};
use crate::ast::{From, Query};
use crate::ident::Ident;

/// The same removal in steps: the addresses of its rows are kept in a table `into`, which all
/// connections see, and then the rows that have them are removed. `None` for what is no removal.
///
/// What else happens to the table in between does no harm if an address stays what it is.
#[must_use]
pub fn found(removal: Statement, into: &Ident) -> Option<[Statement; 2]> {
    let Statement::Delete { with, table, alias, filter } = removal else { return None };
    let source = Source { relation: table.clone(), alias: alias.clone() };
    let rows = Select::default()
        .column(Expr::RowAddress(Some(alias)), "row")
        .from(From { first: source, latest: None, joins: Vec::new() })
        .filter(filter);
    let found = Select::default().column(col("l", "row"), "row").from(from(into.as_str(), "l"));
    Some([
        Statement::CreateTableAs {
            table: into.clone(),
            query: Query { with, union_all: vec![rows] },
        },
        Statement::Delete {
            with: Vec::new(),
            table: table.clone(),
            // There is no other name for it.
            alias: table.clone(),
            filter: Expr::In(vec![Expr::RowAddress(None)], Box::new(found)),
        },
    ])
}
