//! [`Read`] -> one SELECT over one table.

use super::{is_current, is_latest, is_live, time_of, versions_that_agree};
use crate::ast::build::{binary, col, from, int};
use crate::ast::{BinaryOp, Query, Select, Statement};
use crate::plan::Read;

/// The rows that a plan asks for; the columns carry the names of the plan.
#[must_use]
pub fn read(plan: &Read) -> Statement {
    let not_later =
        |alias| plan.scope.as_of.map(|time| binary(time_of(alias), BinaryOp::LtEq, int(time)));
    let mut select = Select::default()
        .columns(plan.columns.iter().map(|column| (col("u", column), column.clone())))
        .from(from(&plan.records.table, "u"));
    if plan.scope.history {
        if let Some(condition) = not_later("u") {
            select = select.filter(condition);
        }
    } else {
        select = select.filter(is_latest(&plan.records, "u", not_later("h")));
    }
    if !plan.scope.tombstones {
        select = select.filter(is_live("u"));
    }
    if !plan.scope.other_versions {
        let agreeing = plan
            .definitions
            .as_deref()
            .map(|table| versions_that_agree(table, &plan.records.key, &plan.fields));
        select = select.filter(is_current(&plan.records, "u", agreeing));
    }
    Statement::Query(Query { with: Vec::new(), union_all: vec![select] })
}
