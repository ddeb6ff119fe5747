//! What deletions, their undoing, vacuums and rebases do to a table.
//!
//! A deletion first keeps the ids of the records that it means in a table of the connection. Of an
//! expansion it may mean parents: then their seals are acted upon first, and after that only children
//! of implied seals are there at all.

use super::seals::{self, IMPLIED, parent, parents};
use super::write::{TEXT, TIMESTAMP, optional_text, system_table, time_of_write};
use super::{
    by_field, from_part, has_ids, hash_of_values, id, ids_of, is_live, latest, micros_of, order_of,
    part, same,
};
use crate::ast::build::{
    and, binary, call, case, coalesce, col, differs, eq, from, int, is_set, name, not, null, or,
    scalar, text,
};
use crate::ast::{BinaryOp, ColumnDecl, Expr, JoinKind, Order, Query, Select, SqlType, Statement};
use crate::error::Result;
use crate::filter::Filter;
use crate::functions::Function;
use crate::ident::Ident;
use crate::plan::{
    Class, Meant, MeantBy, Orphans, Rebase, Rebased, Records, Restated, SealCopies, SealCopy,
    Stamp, Undelete, Vacuum,
};
use crate::system;
use crate::types::{ColumnType, ScalarType};

/// The ids in a table of the connection, `id0..`.
fn listed(table: &str, n_ids: usize) -> Select {
    Select::default().columns((0..n_ids).map(|i| (col("l", id(i)), id(i)))).from(from(table, "l"))
}

/// The ids of the parents in the table of the children.
fn parent_ids(records: &Records, alias: &str) -> Vec<Expr> {
    records
        .seals
        .iter()
        .flat_map(|seals| parents(records, seals))
        .map(|id| col(alias, id))
        .collect()
}

/// The ids of parents as the parts about seals call them.
fn seal_ids(records: &Records, alias: &str) -> Vec<Expr> {
    (0..n_parents(records)).map(|i| col(alias, parent(i))).collect()
}

fn n_parents(records: &Records) -> usize {
    records.seals.as_ref().map_or(0, |seals| seals.parents.len())
}

/// The parts that tell the seal in force of each parent, whatever it is.
fn latest_seals(records: &Records) -> Vec<(Ident, Select)> {
    let mut parts = seals::in_force(records, &[], None);
    parts.pop();
    parts
}

fn condition(filter: &Filter, alias: &str) -> Expr {
    super::filter(filter, &|column| col(alias, column))
}

/// That a row is about a record that is meant.
fn is_meant(records: &Records, by: &MeantBy, alias: &str) -> Expr {
    match by {
        MeantBy::Ids(table) => {
            Expr::In(ids_of(records, alias), Box::new(listed(table, records.ids.len())))
        }
        MeantBy::Parents(table) => {
            Expr::In(parent_ids(records, alias), Box::new(listed(table, n_parents(records))))
        }
        MeantBy::Filter(filter) => condition(filter, alias),
    }
}

/// The ids of the records that are meant, each once: `id0..`.
#[must_use]
pub fn meant(plan: &Meant) -> Query {
    let records = &plan.records;
    let mut select = Select {
        distinct: true,
        ..Select::default()
            .columns(ids_of(records, "u").into_iter().enumerate().map(|(i, own)| (own, id(i))))
            .from(from(&records.table, "u"))
            .filter(has_ids(records, "u"))
            .filter(is_meant(records, &plan.by, "u"))
    };
    let mut with = Vec::new();
    if !plan.ever {
        select = select.from(latest(records, "u", None)).filter(is_live("u"));
        with = seals::in_force(records, &[], None);
    }
    Query { with, union_all: vec![select] }
}

/// Those parents, of the ones whose ids are in a table, that have a seal in force that is no
/// tombstone: `id0..`.
#[must_use]
pub fn parents_there(records: &Records, table: &str) -> Query {
    let select = Select::default()
        .columns(seal_ids(records, "s").into_iter().enumerate().map(|(i, own)| (own, id(i))))
        .from(from(seals::in_force_part(records).as_str(), "s"))
        .filter(col("s", "live"))
        .filter(Expr::In(seal_ids(records, "s"), Box::new(listed(table, n_parents(records)))));
    Query { with: latest_seals(records), union_all: vec![select] }
}

/// The ids of orphans: `id0..`.
#[must_use]
pub fn orphans(plan: &Orphans) -> Query {
    let ids = || (0..plan.n_ids).map(|i| col("r", id(i)));
    let cause = |cause: &i8| eq(col("r", "orphan"), int(i64::from(*cause)));
    let mut select = Select::default()
        .columns(ids().enumerate().map(|(i, own)| (own, id(i))))
        .from(from(&plan.increment, "r"))
        .filter(eq(col("r", "class"), int(Class::Orphaned as i64)))
        .filter(or(plan.causes.iter().map(cause)));
    if let Some(but) = &plan.but {
        select = select.filter(not(Expr::In(ids().collect(), Box::new(listed(but, plan.n_ids)))));
    }
    Query { with: Vec::new(), union_all: vec![select] }
}

/// Appends copies of seals in force; `None` if no seal was ever written.
///
/// # Errors
/// When a name cannot be an identifier.
pub fn seal_copies(plan: &SealCopies) -> Result<Option<Statement>> {
    let records = &plan.records;
    let Some(seals) = &records.seals else { return Ok(None) };
    let Some(table) = &seals.table else { return Ok(None) };
    let own = |alias: &str| parents(records, seals).map(|id| col(alias, id)).collect::<Vec<_>>();
    let in_list = |list: &str| Expr::In(own("s"), Box::new(listed(list, seals.parents.len())));
    let mut with = latest_seals(records);
    let is_live = !matches!(plan.of, SealCopy::Undelete(_));
    let latest = Select::default()
        .column(col("l", "row"), "row")
        .from(from(seals::in_force_part(records).as_str(), "l"))
        .filter(not(eq(col("l", "try"), int(IMPLIED))))
        .filter(if is_live { col("l", "live") } else { not(col("l", "live")) });
    let mut source = from(table, "s");
    let mut conditions = vec![Expr::In(vec![Expr::RowAddress(Some(name("s")))], Box::new(latest))];
    match &plan.of {
        SealCopy::Tombstone(list) | SealCopy::Undelete(list) => conditions.push(in_list(list)),
        SealCopy::Without(list) => {
            with.extend(lost(records, list));
            let on = and([
                same(own("s").into_iter().zip(seal_ids(records, "n"))),
                eq(col("s", system::TRY), col("n", "try")),
            ]);
            source = source.join(JoinKind::Inner, part("lost").as_str(), "n", on);
        }
        SealCopy::Rebase(rebased, _) => {
            let ids = (0..seals.parents.len()).map(|i| col("r", id(i)));
            let on = same(own("s").into_iter().zip(ids));
            source = source.join(JoinKind::Inner, rebased, "r", on);
        }
    }
    let value = |column: &str| match (column, &plan.of) {
        (system::DELETED_AT, SealCopy::Tombstone(_)) => time_of_write(&plan.stamp.time),
        (system::DELETED_AT, _) => no_time(),
        (system::UPDATED_AT, SealCopy::Tombstone(_)) => col("s", column),
        (system::CHILDREN, SealCopy::Without(_)) => {
            binary(col("s", column), BinaryOp::Sub, col("n", "n"))
        }
        (system::PROVENANCE_BY_FIELD, SealCopy::Rebase(_, fields)) => map_of(&provenances(fields)),
        (system::PROVENANCE, SealCopy::Rebase(..)) => col("r", "provenance"),
        (other, SealCopy::Rebase(..)) => rebased_value(other, "s", &plan.stamp),
        (other, _) => stamped(other, "s", &plan.stamp),
    };
    insert(table, &plan.columns, value, with, source, conditions).map(Some)
}

/// Per try of a parent, how many of its children a table lists: `parent{i}`, `try` and `n`.
fn lost(records: &Records, list: &str) -> Vec<(Ident, Select)> {
    let Some(seals) = &records.seals else { return Vec::new() };
    let distinct = Select {
        distinct: true,
        ..Select::default()
            .columns(ids_of(records, "u").into_iter().enumerate().map(|(i, own)| (own, id(i))))
            .column(seals::try_of(seals, "u"), "try")
            .from(from(&records.table, "u"))
            .filter(Expr::In(ids_of(records, "u"), Box::new(listed(list, records.ids.len()))))
    };
    let keys = || seals.parents.iter().map(|place| col("d", id(*place)));
    let counted = Select::default()
        .columns(keys().enumerate().map(|(i, key)| (key, parent(i))))
        .column(col("d", "try"), "try")
        .column(call(Function::CountAll, []), "n")
        .from(from_part("listed", "d"))
        .group_by(keys().chain([col("d", "try")]));
    vec![(part("listed"), distinct), (part("lost"), counted)]
}

/// Makes the table that says which records were removed.
#[must_use]
pub fn removed() -> Statement {
    let columns = system::removed::COLUMNS.map(|column| ColumnDecl {
        name: name(column),
        ty: if column == system::removed::REMOVED_AT { TIMESTAMP } else { TEXT }.into(),
        nullable: column == system::removed::MATERIALIZATION_ID,
    });
    let key = [system::removed::FEATURE_KEY, system::removed::IDS_HASH];
    system_table(system::REMOVED, columns.into(), &key)
}

/// Notes that the records whose ids are in a table are removed.
#[must_use]
pub fn note_removed(records: &Records, ids: &str, stamp: &Stamp) -> Statement {
    let hash =
        call(Function::Md5, [super::ids_text((0..records.ids.len()).map(|i| col("l", id(i))))]);
    let values = [
        text(&records.key),
        hash,
        time_of_write(&stamp.time),
        optional_text(stamp.materialization_id.as_deref()),
    ];
    let columns = system::removed::COLUMNS;
    let select = Select::default()
        .columns(values.into_iter().zip(columns.map(str::to_owned)))
        .from(from(ids, "l"));
    Statement::Insert {
        table: name(system::REMOVED),
        columns: columns.map(name).into(),
        query: Query { with: Vec::new(), union_all: vec![select] },
    }
}

/// Removes every row of the records whose ids are in a table.
///
/// # Errors
/// When a name cannot be an identifier.
pub fn remove_rows(records: &Records, ids: &str) -> Result<Statement> {
    let is_listed = Expr::In(ids_of(records, "u"), Box::new(listed(ids, records.ids.len())));
    remove(&records.table, Vec::new(), is_listed)
}

/// Removes every seal of the parents whose ids are in a table; `None` if none was ever written.
///
/// # Errors
/// When a name cannot be an identifier.
pub fn remove_seals(records: &Records, ids: &str) -> Result<Option<Statement>> {
    let Some(table) = records.seals.as_ref().and_then(|seals| seals.table.as_ref()) else {
        return Ok(None);
    };
    let is_listed = Expr::In(parent_ids(records, "u"), Box::new(listed(ids, n_parents(records))));
    remove(table, Vec::new(), is_listed).map(Some)
}

fn remove(table: &str, with: Vec<(Ident, Select)>, filter: Expr) -> Result<Statement> {
    Ok(Statement::Delete { with, table: Ident::new(table)?, alias: name("u"), filter })
}

/// Appends the rows of deleted records again, without the mark.
///
/// # Errors
/// When a name cannot be an identifier.
pub fn undelete(plan: &Undelete) -> Result<Statement> {
    let records = &plan.records;
    let mut with = latest_seals(records);
    if records.seals.is_some() {
        // What counts are the rows of the seal in force. With the parent its deletion is undone as
        // well; alone, a child of a deleted parent would not come back.
        let mut sealed = Select::default()
            .columns(seal_ids(records, "s").into_iter().enumerate().map(|(i, id)| (id, parent(i))))
            .column(col("s", "try"), "try")
            .from(from(seals::in_force_part(records).as_str(), "s"));
        if !matches!(plan.by, MeantBy::Parents(_)) {
            sealed = sealed.filter(or([col("s", "live"), eq(col("s", "try"), int(IMPLIED))]));
        }
        with.push((seals::sealed(records), sealed));
    }
    let value = |column: &str| match column {
        system::DELETED_AT => no_time(),
        other => stamped(other, "u", &plan.stamp),
    };
    let conditions = vec![
        is_set(col("u", system::DELETED_AT)),
        has_ids(records, "u"),
        is_meant(records, &plan.by, "u"),
    ];
    insert(&records.table, &plan.columns, value, with, latest(records, "u", None), conditions)
}

/// Those records of an increment that are given today's definition: `id0..`, the provenance `p0..` of
/// each field and `provenance`, the hash over them. Kept in a table of the connection, they say what
/// to append.
#[must_use]
pub fn rebased(plan: &Rebased) -> Query {
    let records = &plan.records;
    let n_ids = records.seals.as_ref().map_or(records.ids.len(), |seals| seals.parents.len());
    let ids = || (0..n_ids).map(|i| col("r", id(i)));
    // The rows `u` of these records.
    let select = |rows: crate::ast::From, conditions: Vec<Expr>| {
        let provenances = (0..plan.n_fields).map(|k| format!("p{k}"));
        let names = provenances.chain(["provenance".to_owned()]);
        Select::default()
            .columns(ids().enumerate().map(|(i, own)| (own, id(i))))
            .columns(names.map(|column| (col("r", &column), column)))
            .from(rows)
            .filter(and(conditions.into_iter().chain([is_rebased(plan, "u")])))
    };
    let Some(seals) = &records.seals else {
        let on = same(ids_of(records, "u").into_iter().zip(ids()));
        let rows = latest(records, "u", None).join(JoinKind::Inner, &plan.increment, "r", on);
        let conditions = vec![is_live("u")];
        return Query { with: Vec::new(), union_all: vec![select(rows, conditions)] };
    };
    let of_table = |table: &str, is_kind: Expr| {
        let address = Expr::RowAddress(Some(name("u")));
        let in_force = seals::in_force_part(records);
        let on = same(seal_ids(records, "s").into_iter().zip(ids()));
        let rows = from(table, "u")
            .join(JoinKind::Inner, in_force.as_str(), "s", eq(col("s", "row"), address))
            .join(JoinKind::Inner, &plan.increment, "r", on);
        select(rows, vec![is_kind])
    };
    let is_implied = || eq(col("s", "try"), int(IMPLIED));
    let mut union_all = vec![of_table(&records.table, is_implied())];
    union_all.extend(seals.table.as_ref().map(|table| of_table(table, not(is_implied()))));
    Query { with: latest_seals(records), union_all }
}

/// Appends rows of records again, with today's definition.
///
/// # Errors
/// When a name cannot be an identifier.
pub fn rebase(plan: &Rebase) -> Result<Statement> {
    let records = &plan.records;
    // Children are made of what their parent is made of.
    let ids = match &records.seals {
        Some(_) => parent_ids(records, "u"),
        None => ids_of(records, "u"),
    };
    let on = same(ids.into_iter().enumerate().map(|(i, own)| (own, col("r", id(i)))));
    let rows = latest(records, "u", None).join(JoinKind::Inner, &plan.rebased, "r", on);
    let data_version = |(k, field): (usize, &String)| {
        let name = &plan.stored[k];
        let stored = col("u", system::DATA_VERSION_BY_FIELD);
        let mut stored = by_field(&records.data_version, stored, name);
        if plan.follows {
            let provenance = col("u", system::PROVENANCE_BY_FIELD);
            let provenance = by_field(&records.provenance, provenance, name);
            let is_own = differs(stored.clone(), provenance);
            stored = case([(is_own, stored)], None);
        }
        (field.clone(), coalesce([stored, col("r", format!("p{k}"))]))
    };
    let data_versions: Vec<(String, Expr)> =
        plan.fields.iter().enumerate().map(data_version).collect();
    let value = |column: &str| match column {
        system::PROVENANCE_BY_FIELD => map_of(&provenances(&plan.fields)),
        system::PROVENANCE => col("r", "provenance"),
        system::DATA_VERSION_BY_FIELD => map_of(&data_versions),
        system::DATA_VERSION => hash_of_values(plan.hash, data_versions.clone()),
        other => rebased_value(other, "u", &plan.stamp),
    };
    let with = seals::in_force(records, &[], None);
    insert(&records.table, &plan.columns, value, with, rows, vec![is_live("u")])
}

/// That a record of an increment is given today's definition: it is unchanged, or all of its stale
/// fields have reasons that are accepted.
fn is_rebased(of: &Rebased, alias: &str) -> Expr {
    let is_accepted = |k: usize| {
        let all = (0..=of.accepted).filter(|bits| bits & !of.accepted == 0);
        or(all.map(|bits| eq(col("r", format!("r{k}")), int(i64::from(bits)))))
    };
    let class = |class: Class| eq(col("r", "class"), int(class as i64));
    let mut any = vec![class(Class::Unchanged)];
    if of.accepted != 0 {
        let accepted = (0..of.n_fields).map(is_accepted);
        any.push(and([class(Class::Stale)].into_iter().chain(accepted)));
    }
    let mut all = vec![or(any)];
    all.extend(of.filter.iter().map(|filter| condition(filter, alias)));
    if let Some(among) = &of.among {
        let n_ids = of.records.seals.as_ref().map_or(of.records.ids.len(), |s| s.parents.len());
        let ids = (0..n_ids).map(|i| col("r", id(i)));
        all.push(Expr::In(ids.collect(), Box::new(listed(among, n_ids))));
    }
    and(all)
}

/// The records of a root as [`rebased`] gives those of other features: their provenance is what the
/// caller has said, and stays.
#[must_use]
pub fn restated(plan: &Restated) -> Query {
    let records = &plan.records;
    let stored =
        |name: &String| by_field(&records.provenance, col("u", system::PROVENANCE_BY_FIELD), name);
    let values = plan.stored.iter().map(|name| (name.clone(), stored(name)));
    let provenances =
        plan.stored.iter().enumerate().map(|(k, name)| (stored(name), format!("p{k}")));
    let select = Select::default()
        .columns(ids_of(records, "u").into_iter().enumerate().map(|(i, own)| (own, id(i))))
        .columns(provenances)
        .column(hash_of_values(plan.hash, values.collect()), "provenance")
        .from(latest(records, "u", None))
        .filter(is_live("u"))
        .filter(has_ids(records, "u"));
    Query { with: Vec::new(), union_all: vec![select] }
}

fn provenances(fields: &[String]) -> Vec<(String, Expr)> {
    let field = |(k, field): (usize, &String)| (field.clone(), col("r", format!("p{k}")));
    fields.iter().enumerate().map(field).collect()
}

fn map_of(entries: &[(String, Expr)]) -> Expr {
    call(Function::MapOf, entries.iter().flat_map(|(key, value)| [text(key), value.clone()]))
}

/// The columns of a copy that say what wrote it; the others are as they were.
fn stamped(column: &str, alias: &str, stamp: &Stamp) -> Expr {
    match column {
        system::UPDATED_AT => time_of_write(&stamp.time),
        system::MATERIALIZATION_ID => optional_text(stamp.materialization_id.as_deref()),
        system::WRITE_TOKEN => int(stamp.token),
        other => col(alias, other),
    }
}

/// The same for a copy under today's definition; the run that computed the record stays its run.
fn rebased_value(column: &str, alias: &str, stamp: &Stamp) -> Expr {
    match column {
        system::FEATURE_VERSION => text(&stamp.version),
        system::PROJECT_VERSION => text(&stamp.project_version),
        system::MATERIALIZATION_ID => col(alias, column),
        other => stamped(other, alias, stamp),
    }
}

fn no_time() -> Expr {
    Expr::Cast(Box::new(null()), SqlType::Column(TIMESTAMP))
}

fn insert(
    table: &str,
    columns: &[String],
    value: impl Fn(&str) -> Expr,
    with: Vec<(Ident, Select)>,
    source: crate::ast::From,
    conditions: Vec<Expr>,
) -> Result<Statement> {
    let select = Select::default()
        .columns(columns.iter().map(|column| (value(column), column.clone())))
        .from(source)
        .filter(and(conditions));
    Ok(Statement::Insert {
        table: Ident::new(table)?,
        columns: columns.iter().map(Ident::new).collect::<Result<_>>()?,
        query: Query { with, union_all: vec![select] },
    })
}

fn is_old(alias: &str, before: Option<i64>) -> Option<Expr> {
    Some(binary(micros_of(alias), BinaryOp::Lt, int(before?)))
}

/// That a place in a rank, in the column `n` of a relation, is beyond those that stay.
fn is_beyond(alias: &str, keep: u64) -> Expr {
    let keep = int(i64::try_from(keep).unwrap_or(i64::MAX));
    binary(col(alias, "n"), BinaryOp::Gt, keep)
}

fn rank(among: Vec<Expr>, order: Expr) -> Expr {
    Expr::Rank { among, order_by: vec![Order { expr: order, descending: true }] }
}

/// Removes superseded rows of records that are nobody's children.
///
/// # Errors
/// When a name cannot be an identifier.
pub fn vacuum(plan: &Vacuum) -> Result<Statement> {
    let records = &plan.records;
    let ranked = Select::default()
        .column(Expr::RowAddress(Some(name("h"))), "row")
        .column(rank(ids_of(records, "h"), order_of(records, "h")), "n")
        .from(from(&records.table, "h"))
        .filter(has_ids(records, "h"));
    let beyond = Select::default()
        .column(col("r", "row"), "row")
        .from(from_part("ranked", "r"))
        .filter(is_beyond("r", plan.keep));
    let filter = Expr::In(vec![Expr::RowAddress(Some(name("u")))], Box::new(beyond));
    let filter = and([filter].into_iter().chain(is_old("u", plan.before)));
    remove(&records.table, vec![(part("ranked"), ranked)], filter)
}

/// The superseded seals of an expansion, implied ones among them: `id0..` of the parent and `try`,
/// and the address `row` of the seal. Kept in a table of the connection, they say what to remove.
#[must_use]
pub fn superseded(plan: &Vacuum) -> Query {
    let records = &plan.records;
    let mut with = latest_seals(records);
    with.truncate(1);
    let ranked = Select::default()
        .columns(seal_ids(records, "s").into_iter().enumerate().map(|(i, own)| (own, id(i))))
        .column(col("s", "try"), "try")
        .column(col("s", "row"), "row")
        .column(rank(seal_ids(records, "s"), col("s", "ord")), "n")
        .from(from(seals::seals_part(records).as_str(), "s"));
    with.push((part("ranked"), ranked));
    // An implied seal is as old as its latest row.
    let old = |table: &str| {
        is_old("h", plan.before).map(|is_old| {
            Select::default()
                .column(Expr::RowAddress(Some(name("h"))), "row")
                .from(from(table, "h"))
                .filter(is_old)
        })
    };
    let is_implied = || eq(col("r", "try"), int(IMPLIED));
    let of_table = |is_kind: Expr, table: &str| match old(table) {
        None => is_kind,
        Some(old) => and([is_kind, Expr::In(vec![col("r", "row")], Box::new(old))]),
    };
    let mut any = vec![of_table(is_implied(), &records.table)];
    if let Some(table) = records.seals.as_ref().and_then(|seals| seals.table.as_ref()) {
        any.push(of_table(not(is_implied()), table));
    }
    let select = Select::default()
        .columns((0..n_parents(records)).map(|i| (col("r", id(i)), id(i))))
        .columns(["try", "row"].map(|column| (col("r", column), column.to_owned())))
        .from(from_part("ranked", "r"))
        .filter(is_beyond("r", plan.keep))
        .filter(or(any));
    Query { with, union_all: vec![select] }
}

/// Removes the seals that [`superseded`] has found, and then the rows of tries that no seal names
/// any more.
///
/// # Errors
/// When a name cannot be an identifier.
pub fn remove_superseded(records: &Records, found: &str) -> Result<Vec<Statement>> {
    let Some(seals) = &records.seals else { return Ok(Vec::new()) };
    let mut statements = Vec::new();
    let found_tries = Select::default()
        .columns((0..n_parents(records)).map(|i| (col("l", id(i)), id(i))))
        .column(col("l", "try"), "try")
        .from(from(found, "l"));
    let mut tries = parent_ids(records, "u");
    tries.push(seals::try_of(seals, "u"));
    let mut is_found = Expr::In(tries.clone(), Box::new(found_tries));
    if let Some(table) = &seals.table {
        let rows = Select::default()
            .column(col("l", "row"), "row")
            .from(from(found, "l"))
            .filter(not(eq(col("l", "try"), int(IMPLIED))));
        let is_seal = Expr::In(vec![Expr::RowAddress(Some(name("u")))], Box::new(rows));
        statements.push(remove(table, Vec::new(), is_seal)?);
        let left = Select::default()
            .columns(parent_ids(records, "k").into_iter().enumerate().map(|(i, own)| (own, id(i))))
            .column(col("k", system::TRY), "try")
            .from(from(table, "k"));
        is_found = and([is_found, not(Expr::In(tries, Box::new(left)))]);
    }
    statements.push(remove(&records.table, Vec::new(), is_found)?);
    Ok(statements)
}

/// Makes the table that says what was rebased.
#[must_use]
pub fn rebases() -> Statement {
    use system::rebases::{COLUMNS, FEATURE_KEY, REBASED_AT, ROWS};
    let columns = COLUMNS.map(|column| ColumnDecl {
        name: name(column),
        ty: match column {
            ROWS => ColumnType::Scalar(ScalarType::Int64),
            REBASED_AT => TIMESTAMP,
            _ => TEXT,
        }
        .into(),
        nullable: false,
    });
    system_table(system::REBASES, columns.into(), &[FEATURE_KEY])
}

/// Notes a rebase: of the feature to the version, how many rows, and what, who and why.
#[must_use]
pub fn note_rebase(key: &str, stamp: &Stamp, n_rows: i64, texts: [&str; 3]) -> Statement {
    note(key, stamp, int(n_rows), None, texts)
}

/// Notes a rebase whose number of rows nobody has counted: those in some tables that have the number
/// of the write. If there are none, nothing is noted.
#[must_use]
pub fn note_rebase_of(key: &str, stamp: &Stamp, tables: &[String], texts: [&str; 3]) -> Statement {
    let count = |table: &String| {
        let of_write = eq(col("u", system::WRITE_TOKEN), int(stamp.token));
        let count = Select::default().column(call(Function::CountAll, []), "n");
        scalar(count.from(from(table, "u")).filter(of_write))
    };
    let n_rows = tables.iter().map(count);
    let n_rows = n_rows.reduce(|a, b| binary(a, BinaryOp::Add, b)).unwrap_or_else(|| int(0));
    let is_any = binary(n_rows.clone(), BinaryOp::Gt, int(0));
    note(key, stamp, n_rows, Some(is_any), texts)
}

fn note(
    key: &str,
    stamp: &Stamp,
    n_rows: Expr,
    filter: Option<Expr>,
    texts: [&str; 3],
) -> Statement {
    let [accepted, by, reason] = texts.map(text);
    let time = time_of_write(&stamp.time);
    let values = [text(key), text(&stamp.version), n_rows, accepted, by, reason, time];
    let columns = system::rebases::COLUMNS;
    let mut select = Select::default().columns(values.into_iter().zip(columns.map(str::to_owned)));
    select.filter = filter;
    Statement::Insert {
        table: name(system::REBASES),
        columns: columns.map(name).into(),
        query: Query { with: Vec::new(), union_all: vec![select] },
    }
}

/// What is noted of the rebases of a feature, the latest last.
#[must_use]
pub fn rebases_of(key: &str) -> Statement {
    use system::rebases::{COLUMNS, FEATURE_KEY, REBASED_AT};
    let value = |column: &str| match column {
        REBASED_AT => call(Function::EpochMicros, [col("b", column)]),
        _ => col("b", column),
    };
    let mut select = Select::default()
        .columns(COLUMNS.map(|column| (value(column), column.to_owned())))
        .from(from(system::REBASES, "b"))
        .filter(eq(col("b", FEATURE_KEY), text(key)));
    select.order_by = vec![Order { expr: col("b", REBASED_AT), descending: false }];
    Statement::Query(Query { with: Vec::new(), union_all: vec![select] })
}
