//! An increment in numbers, and the rows that a table would have if it were computed.

use super::write::{TEXT, TIMESTAMP, time_of_write};
use super::{
    by_field, column_type, has_ids, hash_of_values, id, ids_of, is_live, latest, same, seals,
};
use crate::ast::build::{
    and, call, case, coalesce, col, differs, eq, from, int, is_null, name, not, null, or, text,
};
use crate::ast::{Expr, JoinKind, Query, Select, SqlType, Statement};
use crate::functions::Function;
use crate::plan::{AsComputed, ByField, Class, Records, Stamp};
use crate::system;

/// How many records of an increment that is kept in a table are of the same kind: those of one class,
/// with the same reasons for each field, the same cause and the same waits.
///
/// The columns of the answer are `class`, per field `r{k}`, `orphan`, per input `b{i}`, `n`, and `n_own`:
/// how many of them are stale and keep a data version of their own, so that what is downstream may stay
/// as it is.
#[must_use]
pub fn groups(increment: &str, n_fields: usize, n_inputs: usize) -> Statement {
    let kinds = || {
        let reasons = (0..n_fields).map(|k| format!("r{k}"));
        let waits = (0..n_inputs).map(|i| format!("b{i}"));
        let first = ["class".to_owned(), "orphan".to_owned()];
        first.into_iter().chain(reasons).chain(waits)
    };
    let is_own = or((0..n_fields).map(|k| {
        and([
            not(eq(col("r", format!("r{k}")), int(0))),
            differs(stored_text("d", k), stored_text("c", k)),
        ])
    }));
    let is_own = and([eq(col("r", "class"), int(Class::Stale as i64)), is_own]);
    let select = Select::default()
        .columns(kinds().map(|column| (col("r", &column), column)))
        .column(call(Function::CountAll, []), "n")
        .column(call(Function::CountIf, [is_own]), "n_own")
        .from(from(increment, "r"))
        .filter(is_null(col("r", "n")))
        .group_by(kinds().map(|column| col("r", column)));
    Statement::Query(Query { with: Vec::new(), union_all: vec![select] })
}

/// The records of a root as samples that say what is stored: laid out like [`crate::plan::Stage`].
#[must_use]
pub fn as_samples(records: &Records, fields: &[String]) -> Query {
    let value = |kept_as: &ByField, column: &str, field: &String| {
        by_field(kept_as, col("u", column), field)
    };
    let fields = || fields.iter().enumerate();
    let select = Select::default()
        .columns(ids_of(records, "u").into_iter().enumerate().map(|(k, own)| (own, id(k))))
        .columns(fields().map(|(k, field)| {
            (value(&records.provenance, system::PROVENANCE_BY_FIELD, field), format!("p{k}"))
        }))
        .columns(fields().map(|(k, field)| {
            (value(&records.data_version, system::DATA_VERSION_BY_FIELD, field), format!("d{k}"))
        }))
        .from(latest(records, "u", None))
        .filter(and([is_live("u"), has_ids(records, "u")]));
    Query { with: seals::in_force(records, &[], None), union_all: vec![select] }
}

/// The latest row of each record as it would be if an increment were computed; what it does not name is
/// as it is.
#[must_use]
pub fn as_computed(plan: &AsComputed) -> Query {
    let computed = [Class::New, Class::Stale].map(|class| eq(col("r", "class"), int(class as i64)));
    let is_computed = || and([is_null(col("r", "n")), or(computed.clone())]);
    let named = |values: Vec<Expr>| {
        values.into_iter().zip(&plan.columns).map(|(value, (column, _))| (value, column.clone()))
    };
    let on = |records: &Records| {
        same(ids_of(records, "u").into_iter().enumerate().map(|(k, own)| (own, col("r", id(k)))))
    };
    let after = plan.columns.iter().map(|(column, ty)| {
        let is_id = plan.ids.iter().position(|id| id == column);
        if let Some(k) = is_id {
            return col("r", id(k));
        }
        let absent = || match ty {
            Some(ty) => Expr::Cast(Box::new(null()), SqlType::Column(*ty)),
            None => null(),
        };
        computed_value(plan, column).unwrap_or_else(|| match &plan.records {
            Some(_) => col("u", column),
            None => absent(),
        })
    });
    let mut rows = from(&plan.increment, "r");
    if let Some(records) = &plan.records {
        // The latest rows on the right side of a join need a name of their own there.
        rows = rows.join(JoinKind::Left, STORED, "u", on(records));
    }
    let after = Select::default().columns(named(after.collect())).from(rows).filter(is_computed());
    let Some(records) = &plan.records else {
        return Query { with: Vec::new(), union_all: vec![after] };
    };

    let mut with = seals::in_force(records, &[], None);
    let stored =
        plan.columns.iter().map(|(column, _)| (stored_value(plan, records, column), column));
    let stored = Select::default()
        .columns(stored.map(|(value, column)| (value, column.clone())))
        .from(latest(records, "u", None));
    with.push((name(STORED), stored));
    let own = || plan.columns.iter().map(|(column, _)| col("u", column)).collect();
    let before = Select::default()
        .columns(named(own()))
        .from(from(STORED, "u").join(
            JoinKind::Left,
            &plan.increment,
            "r",
            and([on(records), is_computed()]),
        ))
        .filter(is_null(col("r", "class")));
    Query { with, union_all: vec![before, after] }
}

/// A stored text of an increment; where nothing is stored the column has no type of its own.
fn stored_text(column: &str, k: usize) -> Expr {
    Expr::Cast(Box::new(col("r", format!("{column}{k}"))), SqlType::Column(TEXT))
}

/// The latest rows, as the table has them.
const STORED: &str = "@stored";

/// A column of a stored row, with a map per field however the table keeps it.
fn stored_value(plan: &AsComputed, records: &Records, column: &str) -> Expr {
    let map = |kept_as: &ByField| match kept_as {
        ByField::Map => col("u", column),
        ByField::Struct(_) => map_of(
            plan.fields.iter().map(|field| (field, by_field(kept_as, col("u", column), field))),
        ),
    };
    match column {
        system::PROVENANCE_BY_FIELD => map(&records.provenance),
        system::DATA_VERSION_BY_FIELD => map(&records.data_version),
        _ => col("u", column),
    }
}

/// A system column of a row that is computed; `None` for all columns that stay.
fn computed_value(plan: &AsComputed, column: &str) -> Option<Expr> {
    let fields = || plan.fields.iter().enumerate();
    let provenance = |k: usize| col("r", format!("p{k}"));
    let data_version = |k: usize| {
        let is_kept = eq(col("r", format!("r{k}")), int(0));
        let is_kept = and([eq(col("r", "class"), int(Class::Stale as i64)), is_kept]);
        // What a root's values will be only its caller knows: that they differ is all that is said.
        let computed = match plan.values_change {
            true => call(Function::Concat, [provenance(k), text("?")]),
            false => provenance(k),
        };
        case([(is_kept, coalesce([stored_text("d", k), provenance(k)]))], Some(computed))
    };
    let data_versions =
        || fields().map(|(k, field)| (field.clone(), data_version(k))).collect::<Vec<_>>();
    let Stamp { version, project_version, time, materialization_id: _, token } = &plan.stamp;
    Some(match column {
        system::PROVENANCE_BY_FIELD => map_of(fields().map(|(k, field)| (field, provenance(k)))),
        system::PROVENANCE => col("r", "provenance"),
        system::DATA_VERSION_BY_FIELD => {
            map_of(fields().map(|(k, field)| (field, data_version(k))))
        }
        system::DATA_VERSION => hash_of_values(plan.hash, data_versions()),
        system::FEATURE_VERSION => text(version),
        system::PROJECT_VERSION => text(project_version),
        system::CREATED_AT | system::UPDATED_AT => time_of_write(time),
        system::DELETED_AT => Expr::Cast(Box::new(null()), SqlType::Column(TIMESTAMP)),
        system::WRITE_TOKEN => int(*token),
        system::MATERIALIZATION_ID => {
            Expr::Cast(Box::new(null()), SqlType::Column(column_type(column)))
        }
        _ => return None,
    })
}

fn map_of<'a>(entries: impl Iterator<Item = (&'a String, Expr)>) -> Expr {
    call(Function::MapOf, entries.flat_map(|(key, value)| [text(key), value]))
}
