//! Which children exist: the parts of a statement that find the seal in force of each parent.
//!
//! A parent's children are written in a try, and a seal says that the try is whole. Rows without a
//! try, which other programs write, are sealed by being there: together they are the *implied* seal
//! of their parent, as late as the latest of them. Of all seals of a parent the latest is in force,
//! tombstones of seals included. What it does not name is not there, whatever its own time.
//!
//! The parts, each with the name of the table after it:
//! - `@seals`: all seals of all parents, implied ones among them;
//! - `@tries`: how many children each try has;
//! - `@in force`: the latest seal of each parent, with `whole`: whether all its children are there;
//! - `@sealed`: those that are whole and no tombstones.
//!
//! Their columns are `parent{i}`, `ord` (see [`order_of`]), `row` (the address of the seal, or of the
//! latest row of an implied one), `try` (see [`IMPLIED`]), `children`, `live`, `version` and, as far
//! as they are asked for, the stored provenances `c{k}`.

use super::{by_field, has_ids, ids_of, is_live, latest_of, not_later, order_of, part, same};
use crate::ast::build::{
    and, binary, bool, call, case, coalesce, col, eq, from, int, is_null, is_set, name, not, or,
};
use crate::ast::{BinaryOp, Expr, From, JoinKind, Select};
use crate::functions::Function;
use crate::ident::Ident;
use crate::plan::{ByField, Records, Seals, Statistics};
use crate::system;

/// The try of rows that belong to none: real tries are not negative.
pub(super) const IMPLIED: i64 = -1;

pub(super) fn parent(i: usize) -> String {
    format!("parent{i}")
}

pub(super) fn seals_part(records: &Records) -> Ident {
    part(&format!("seals {}", records.table))
}

fn tries_part(records: &Records) -> Ident {
    part(&format!("tries {}", records.table))
}

pub(super) fn in_force_part(records: &Records) -> Ident {
    part(&format!("in force {}", records.table))
}

/// The part of the seals that decide which children exist.
pub(super) fn sealed(records: &Records) -> Ident {
    part(&format!("sealed {}", records.table))
}

/// The columns of the parent's ids in the table of the children, and in that of the seals.
pub(super) fn parents<'a>(
    records: &'a Records,
    seals: &'a Seals,
) -> impl Iterator<Item = &'a String> {
    seals.parents.iter().map(|place| &records.ids[*place])
}

/// The try of a row.
pub(super) fn try_of(seals: &Seals, alias: &str) -> Expr {
    if seals.has_try { coalesce([col(alias, system::TRY), int(IMPLIED)]) } else { int(IMPLIED) }
}

/// That a seal (`f`) is about a row.
fn is_about(records: &Records, seals: &Seals, alias: &str, seal: &str) -> Expr {
    let own = parents(records, seals).enumerate();
    let same_parent = same(own.map(|(i, own)| (col(alias, own), col(seal, parent(i)))));
    and([same_parent, eq(try_of(seals, alias), col(seal, "try"))])
}

/// Joins rows of the children's table with the seals that say that they exist.
pub(super) fn join(records: &Records, seals: &Seals, rows: From, alias: &str) -> From {
    let on = is_about(records, seals, alias, "f");
    rows.join(JoinKind::Inner, sealed(records).as_str(), "f", on)
}

/// The parts that [`join`] needs; none for records that are nobody's children. `fields` are those
/// whose stored provenances are wanted; nothing later than `as_of` counts.
pub(super) fn in_force(
    records: &Records,
    fields: &[&str],
    as_of: Option<i64>,
) -> Vec<(Ident, Select)> {
    let Some(seals) = &records.seals else { return Vec::new() };
    let implied = implied(records, seals, fields, as_of);
    let all = match &seals.table {
        None => implied,
        Some(table) => {
            let mut real = real(records, seals, table, fields, as_of);
            real.union_all.push(implied);
            real
        }
    };
    let mut parts = vec![(seals_part(records), all)];

    let columns = || {
        let parents = (0..seals.parents.len()).map(parent);
        let fixed = ["ord", "row", "try", "children", "live", "version"].map(str::to_owned);
        let stored = (0..fields.len()).map(|k| format!("c{k}"));
        parents.chain(fixed).chain(stored).map(|column| (col("s", &column), column))
    };
    let keys = |alias: &str| (0..seals.parents.len()).map(|i| col(alias, parent(i))).collect();
    let keys: [Vec<Expr>; 2] = [keys("s"), keys("l")];
    let latest = Select::default()
        .columns(keys[1].iter().cloned().enumerate().map(|(i, key)| (key, parent(i))))
        .column(call(Function::Max, [col("l", "ord")]), "ord")
        .from(from(seals_part(records).as_str(), "l"))
        .group_by(keys[1].clone());
    let mut source = from(seals_part(records).as_str(), "s");
    let mut whole = bool(true);
    if seals.table.is_some() && seals.has_try {
        parts.extend(tries(records, seals, as_of));
        let same_parent =
            same((0..seals.parents.len()).map(|i| (col("s", parent(i)), col("n", parent(i)))));
        let on = and([same_parent, eq(col("s", "try"), col("n", "try"))]);
        source = source.join(JoinKind::Left, tries_part(records).as_str(), "n", on);
        let n = coalesce([col("n", "n"), int(0)]);
        whole = binary(col("s", "children"), BinaryOp::LtEq, n);
    }
    let is_latest =
        Expr::In(keys[0].iter().cloned().chain([col("s", "ord")]).collect(), Box::new(latest));
    let in_force =
        Select::default().columns(columns()).column(whole, "whole").from(source).filter(is_latest);
    parts.push((in_force_part(records), in_force));
    let sealed_parents = Select::default()
        .columns(columns())
        .from(from(in_force_part(records).as_str(), "s"))
        .filter(col("s", "live"))
        .filter(col("s", "whole"));
    parts.push((sealed(records), sealed_parents));
    parts
}

/// The parents of which it is known what became of them: their seal in force is whole, or says that
/// they were deleted.
pub(super) fn settled(records: &Records, seals: &Seals) -> Select {
    Select::default()
        .columns((0..seals.parents.len()).map(|i| (col("s", parent(i)), parent(i))))
        .from(from(in_force_part(records).as_str(), "s"))
        .filter(or([not(col("s", "live")), col("s", "whole")]))
}

/// The seals that were written.
fn real(
    records: &Records,
    seals: &Seals,
    table: &str,
    fields: &[&str],
    as_of: Option<i64>,
) -> Select {
    let of_seal = Records { has_token: true, statistics: Statistics::default(), ..records.clone() };
    let mut select = Select::default()
        .columns(parents(records, seals).enumerate().map(|(i, own)| (col("s", own), parent(i))))
        .column(order_of(&of_seal, "s"), "ord")
        .column(Expr::RowAddress(Some(name("s"))), "row")
        .column(col("s", system::TRY), "try")
        .column(col("s", system::CHILDREN), "children")
        .column(is_live("s"), "live")
        .column(col("s", system::FEATURE_VERSION), "version")
        .columns(fields.iter().enumerate().map(|(k, field)| {
            let stored = col("s", system::PROVENANCE_BY_FIELD);
            (by_field(&ByField::Map, stored, field), format!("c{k}"))
        }))
        .from(from(table, "s"));
    if let Some(condition) = not_later("s", as_of) {
        select = select.filter(condition);
    }
    select
}

/// Per parent, what rows without a try say together: their latest row gives the time and the
/// definition, and a field has the provenance that all children have.
fn implied(records: &Records, seals: &Seals, fields: &[&str], as_of: Option<i64>) -> Select {
    let without_try = |alias: &str| seals.has_try.then(|| is_null(col(alias, system::TRY)));
    let counting = without_try("h").into_iter().chain(not_later("h", as_of));
    let counting = counting.reduce(|left, right| and([left, right]));
    let rows = latest_of(records, "u", from(&records.table, "h"), counting);
    let live = |value: Expr| case([(is_live("u"), value)], None);
    let n_live = || call(Function::CountIf, [is_live("u")]);
    let stored =
        |field: &str| by_field(&records.provenance, col("u", system::PROVENANCE_BY_FIELD), field);
    let common = |field: &&str| {
        let [least, most] = [Function::Min, Function::Max].map(|f| call(f, [live(stored(field))]));
        let n_set = call(Function::CountIf, [and([is_live("u"), is_set(stored(field))])]);
        case([(and([eq(least.clone(), most), eq(n_set, n_live())]), least)], None)
    };
    let order = || order_of(records, "u");
    let of_latest = |value: Expr| call(Function::MaxBy, [value, order()]);
    let mut select = Select::default()
        .columns(parents(records, seals).enumerate().map(|(i, own)| (col("u", own), parent(i))))
        .column(call(Function::Max, [order()]), "ord")
        .column(of_latest(Expr::RowAddress(Some(name("u")))), "row")
        .column(int(IMPLIED), "try")
        .column(int(0), "children")
        .column(not(eq(n_live(), int(0))), "live")
        .column(of_latest(col("u", system::FEATURE_VERSION)), "version")
        .columns(fields.iter().enumerate().map(|(k, field)| (common(field), format!("c{k}"))))
        .from(rows)
        .filter(has_ids(records, "u"))
        .group_by(parents(records, seals).map(|own| col("u", own)));
    if let Some(condition) = without_try("u") {
        select = select.filter(condition);
    }
    select
}

/// How many children each try has, tombstones among them: a child that was deleted was written.
fn tries(records: &Records, seals: &Seals, as_of: Option<i64>) -> Vec<(Ident, Select)> {
    let children = part(&format!("children {}", records.table));
    let mut distinct = Select {
        distinct: true,
        ..Select::default()
            .columns(
                ids_of(records, "u").into_iter().enumerate().map(|(i, own)| (own, super::id(i))),
            )
            .column(col("u", system::TRY), "try")
            .from(from(&records.table, "u"))
            .filter(is_set(col("u", system::TRY)))
    };
    if let Some(condition) = not_later("u", as_of) {
        distinct = distinct.filter(condition);
    }
    let keys = || seals.parents.iter().map(|place| col("d", super::id(*place)));
    let counted = Select::default()
        .columns(keys().enumerate().map(|(i, key)| (key, parent(i))))
        .column(col("d", "try"), "try")
        .column(call(Function::CountAll, []), "n")
        .from(from(children.as_str(), "d"))
        .group_by(keys().chain([col("d", "try")]));
    vec![(children, distinct), (tries_part(records), counted)]
}

/// The seals in force as records of their parents: `id{i}`, `row`, `try`, `version`, `c{k}` and
/// `unsealed`.
pub(super) fn current(records: &Records, seals: &Seals, n_fields: usize) -> Select {
    Select::default()
        .columns((0..seals.parents.len()).map(|i| (col("f", parent(i)), super::id(i))))
        .columns(["row", "try", "version"].map(|column| (col("f", column), column.to_owned())))
        .column(eq(col("f", "try"), int(IMPLIED)), "unsealed")
        .columns((0..n_fields).map(|k| (col("f", format!("c{k}")), format!("c{k}"))))
        .from(from(sealed(records).as_str(), "f"))
}
