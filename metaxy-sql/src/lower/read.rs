//! [`Read`] -> one SELECT over one table.

use super::{filter, has_ids, is_current, is_live, latest, not_later, seals, versions_that_agree};
use crate::ast::build::{call, col, from};
use crate::ast::{Query, Select, Statement};
use crate::functions::Function;
use crate::plan::Read;

/// The rows that a plan asks for; the columns carry the names of the plan.
#[must_use]
pub fn read(plan: &Read) -> Statement {
    Statement::Query(records(plan))
}

/// The same, as a query that something else is made of.
#[must_use]
pub fn records(plan: &Read) -> Query {
    let columns = plan.columns.iter().map(|column| (col("u", column), column.clone()));
    rows(plan, Select::default().columns(columns))
}

/// The number of rows that a plan asks for, as `n`.
#[must_use]
pub fn count_of(plan: &Read) -> Statement {
    Statement::Query(rows(plan, Select::default().column(call(Function::CountAll, []), "n")))
}

/// Values of the rows that a plan asks for.
fn rows(plan: &Read, mut select: Select) -> Query {
    if plan.scope.history {
        select = select.from(from(&plan.records.table, "u"));
        if let Some(condition) = not_later("u", plan.scope.as_of) {
            select = select.filter(condition);
        }
    } else {
        select = select.from(latest(&plan.records, "u", plan.scope.as_of));
        select = select.filter(has_ids(&plan.records, "u"));
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
    if let Some(condition) = &plan.filter {
        select = select.filter(filter(condition, &|column: &str| col("u", column)));
    }
    let with = if plan.scope.history {
        Vec::new()
    } else {
        seals::in_force(&plan.records, &[], plan.scope.as_of)
    };
    Query { with, union_all: vec![select] }
}
