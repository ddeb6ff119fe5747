//! What writes need: tables, staged rows, checks, and the rows that are appended.
//!
//! Rows are only ever appended. A write stages its rows in a table of its own connection, where
//! they are checked as a whole, and then moves them by one statement per table.

use super::{
    by_field, from_part, hash_of_values, id, ids_of, is_current, is_live, latest, micros_of, part,
    same, seals, versions_that_agree,
};
use crate::ast::build::{
    and, binary, call, case, coalesce, col, eq, from, int, is_null, name, null, or, scalar, text,
};
use crate::ast::{BinaryOp, ColumnDecl, Expr, JoinKind, Query, Select, SqlType, Statement};
use crate::error::Result;
use crate::functions::Function;
use crate::ident::Ident;
use crate::literal::Literal;
use crate::plan::{Append, AppendFrom, Class, Merge, Records, Seal, Stage, Time, Tombstone};
use crate::system;
use crate::types::{ColumnType, ScalarType};

pub(super) const TEXT: ColumnType = ColumnType::Scalar(ScalarType::Text);
pub(super) const INT: ColumnType = ColumnType::Scalar(ScalarType::Int64);
pub(super) const TIMESTAMP: ColumnType = ColumnType::Scalar(ScalarType::Timestamp);

/// The type of a system column in tables that we make.
#[must_use]
pub fn column_type(column: &str) -> ColumnType {
    match column {
        system::PROVENANCE_BY_FIELD | system::DATA_VERSION_BY_FIELD => ColumnType::TextMap,
        system::CREATED_AT | system::UPDATED_AT | system::DELETED_AT => TIMESTAMP,
        system::WRITE_TOKEN | system::TRY | system::CHILDREN => INT,
        _ => TEXT,
    }
}

/// Makes the table of a feature: the user's columns as `(name, type, nullable)`, the first `n_ids` of
/// which identify a record, then ours.
///
/// # Errors
/// When a name cannot be an identifier.
pub fn table(
    table: &str,
    columns: &[(String, ColumnType, bool)],
    n_ids: usize,
) -> Result<Statement> {
    let ids: Vec<usize> = (0..n_ids).collect();
    table_with(table, columns, n_ids, &ids, &system::COLUMNS)
}

/// Makes the table of a feature whose records are children of a parent, as [`table`] does; `parents`
/// are the places of the parent's ids among them.
///
/// # Errors
/// When a name cannot be an identifier.
pub fn children_table(
    table: &str,
    columns: &[(String, ColumnType, bool)],
    n_ids: usize,
    parents: &[usize],
) -> Result<Statement> {
    let ours: Vec<&str> = system::COLUMNS.into_iter().chain([system::TRY]).collect();
    table_with(table, columns, n_ids, parents, &ours)
}

/// Makes a table of seals: the ids of the parent as `(name, type)`, then what a seal says.
///
/// # Errors
/// When a name cannot be an identifier.
pub fn seals_table(table: &str, ids: &[(String, ColumnType)]) -> Result<Statement> {
    let ids: Vec<_> = ids.iter().map(|(name, ty)| (name.clone(), *ty, false)).collect();
    let all: Vec<usize> = (0..ids.len()).collect();
    table_with(table, &ids, ids.len(), &all, &system::SEAL_COLUMNS)
}

fn table_with(
    table: &str,
    columns: &[(String, ColumnType, bool)],
    n_ids: usize,
    together: &[usize],
    ours: &[&str],
) -> Result<Statement> {
    let mut decls = Vec::new();
    for (name, ty, nullable) in columns {
        decls.push(ColumnDecl { name: Ident::new(name)?, ty: (*ty).into(), nullable: *nullable });
    }
    decls.extend(ours.iter().map(|column| ColumnDecl {
        name: name(*column),
        ty: column_type(column).into(),
        nullable: true,
    }));
    let key: Vec<Ident> = decls.iter().take(n_ids).map(|decl| decl.name.clone()).collect();
    let together = together.iter().map(|place| key[*place].clone()).collect();
    let table = Ident::new(table)?;
    Ok(Statement::CreateTable { table, columns: decls, key, together, temporary: false })
}

/// Makes the failures' table.
#[must_use]
pub fn failures() -> Statement {
    use system::failures::{COLUMNS, FAILED_AT, FEATURE_KEY, IDS, MATERIALIZATION_ID};
    let columns = COLUMNS.iter().map(|column| ColumnDecl {
        name: name(*column),
        ty: if *column == FAILED_AT { TIMESTAMP } else { TEXT }.into(),
        nullable: *column == MATERIALIZATION_ID,
    });
    let columns = columns.collect();
    system_table(system::FAILURES, columns, &[FEATURE_KEY, IDS])
}

/// Removes the failures of a feature's records that are staged: `n_ids` of them name a record.
#[must_use]
pub fn clear_failures(key: &str, stage: &str, n_ids: usize) -> Statement {
    use system::failures::{FEATURE_KEY, IDS};
    let own = |column: &str| col("x", column);
    let staged = Select::default()
        .column(super::ids_text((0..n_ids).map(|i| col("s", id(i)))), "ids")
        .from(from(stage, "s"));
    let filter = and([eq(own(FEATURE_KEY), text(key)), Expr::In(vec![own(IDS)], Box::new(staged))]);
    let (table, alias) = (name(system::FAILURES), name("x"));
    Statement::Delete { with: Vec::new(), table, alias, filter }
}

/// Makes the definitions' table.
#[must_use]
pub fn definitions() -> Statement {
    use system::definitions::{FEATURE_KEY, FEATURE_VERSION};
    let columns = system::definitions::COLUMNS
        .iter()
        .map(|column| ColumnDecl { name: name(*column), ty: TEXT.into(), nullable: false })
        .collect();
    system_table(system::DEFINITIONS, columns, &[FEATURE_KEY, FEATURE_VERSION])
}

/// Makes a table of the store's own, whose rows are looked up by some columns and kept together by
/// them.
pub(super) fn system_table(table: &str, columns: Vec<ColumnDecl>, key: &[&str]) -> Statement {
    let key: Vec<Ident> = key.iter().map(|column| name(*column)).collect();
    let together = key.clone();
    Statement::CreateTable { table: name(table), columns, key, together, temporary: false }
}

/// The hash over the provenances of a staged row.
const HASH: &str = "hash";

/// Makes a staged table.
#[must_use]
pub fn stage(stage: &Stage) -> Statement {
    let decl = |column: String, ty: ColumnType| ColumnDecl {
        name: name(column),
        ty: ty.into(),
        nullable: true,
    };
    let mut columns = Vec::new();
    columns.extend(stage.ids.iter().enumerate().map(|(i, ty)| decl(id(i), *ty)));
    columns.extend(stage.columns.iter().enumerate().map(|(i, ty)| decl(format!("c{i}"), *ty)));
    columns.extend((0..stage.n_fields).map(|i| decl(format!("p{i}"), TEXT)));
    columns.extend((0..stage.n_fields).map(|i| decl(format!("d{i}"), TEXT)));
    columns.extend(stage.tries.then(|| decl("try".to_owned(), INT)));
    columns.push(decl(HASH.to_owned(), TEXT));
    temporary(&stage.table, columns)
}

/// Makes a table of staged seals, laid out as [`Seal`](crate::plan::Seal) says.
#[must_use]
pub fn seal_stage(table: &str, ids: &[ColumnType], n_fields: usize) -> Statement {
    let decl = |column: String, ty: ColumnType| ColumnDecl {
        name: name(column),
        ty: ty.into(),
        nullable: true,
    };
    let mut columns: Vec<_> = ids.iter().enumerate().map(|(i, ty)| decl(id(i), *ty)).collect();
    columns.extend(["try", "children"].map(|column| decl(column.to_owned(), INT)));
    columns.extend((0..n_fields).map(|i| decl(format!("p{i}"), TEXT)));
    temporary(table, columns)
}

pub(super) fn temporary(table: &str, columns: Vec<ColumnDecl>) -> Statement {
    let (table, key, together) = (name(table), Vec::new(), Vec::new());
    Statement::CreateTable { table, columns, key, together, temporary: true }
}

/// One id that is staged more than once in a table with so many ids, and how often.
#[must_use]
pub fn duplicates(stage: &str, n_ids: usize) -> Statement {
    let ids = || (0..n_ids).map(|i| col("s", id(i)));
    let repeated = Select {
        having: Some(Expr::Not(Box::new(eq(call(Function::CountAll, []), int(1))))),
        ..Select::default()
            .columns((0..n_ids).map(|i| (col("s", id(i)), id(i))))
            .column(call(Function::CountAll, []), "n")
            .from(from(stage, "s"))
            .group_by(ids())
    };
    let mut example = Select::default()
        .columns((0..n_ids).map(|i| (col("r", id(i)), id(i))))
        .column(col("r", "n"), "n")
        .from(from_part("repeated", "r"));
    example.limit = Some(1);
    Statement::Query(Query { with: vec![(part("repeated"), repeated)], union_all: vec![example] })
}

/// No rows of the ids of a table, in their types: what ids are staged in.
#[must_use]
pub fn no_ids(records: &Records) -> Query {
    let mut select = Select::default()
        .columns(ids_of(records, "u").into_iter().enumerate().map(|(i, own)| (own, id(i))))
        .from(from(&records.table, "u"));
    select.limit = Some(0);
    Query { with: Vec::new(), union_all: vec![select] }
}

/// The latest time in a table, in microseconds; NULL if it is empty.
#[must_use]
pub fn latest_time(table: &str) -> Statement {
    let select = Select::default()
        .column(call(Function::Max, [micros_of("u")]), "time")
        .from(from(table, "u"));
    Statement::Query(Query { with: Vec::new(), union_all: vec![select] })
}

/// A row if a table has any.
#[must_use]
pub fn has_rows(table: &str) -> Statement {
    let select = Select::default().column(int(1), "n").from(from(table, "u"));
    let select = Select { limit: Some(1), ..select };
    Statement::Query(Query { with: Vec::new(), union_all: vec![select] })
}

/// A row if a table holds a row of this write.
#[must_use]
pub fn has_token(table: &str, token: i64) -> Statement {
    let mut select = Select::default()
        .column(col("u", system::WRITE_TOKEN), "token")
        .from(from(table, "u"))
        .filter(eq(col("u", system::WRITE_TOKEN), int(token)));
    select.limit = Some(1);
    Statement::Query(Query { with: Vec::new(), union_all: vec![select] })
}

pub(super) fn optional_text(value: Option<&str>) -> Expr {
    Expr::Cast(Box::new(value.map_or_else(null, text)), SqlType::Column(TEXT))
}

/// The time that rows of a write have.
pub(super) fn time_of_write(time: &Time) -> Expr {
    let tables = match time {
        Time::At(micros) => return Expr::Literal(Literal::Timestamp(*micros)),
        Time::After(tables) => tables,
    };
    let latest = tables.iter().map(|table| {
        let latest = call(Function::Max, [micros_of("u")]);
        scalar(Select::default().column(latest, "time").from(from(table, "u")))
    });
    let latest = latest.map(|latest| coalesce([latest, int(0)])).chain([int(0)]);
    call(Function::Later, [call(Function::Greatest, latest)])
}

/// Appends staged rows.
///
/// The hash over their provenances is staged, and is that over their data versions as well unless one of
/// these is another: hashing takes Postgres longer than all else about a row.
///
/// # Errors
/// When a name cannot be an identifier.
pub fn append(plan: &Append) -> Result<Statement> {
    let (with, source) = match &plan.from {
        AppendFrom::Stage(stage) => {
            let ids = ids_of(&plan.records, "u").into_iter().enumerate();
            let on = same((0..plan.records.ids.len()).map(|i| (col("s", id(i)), col("c", id(i)))));
            (
                {
                    let mut with = seals::in_force(&plan.records, &[], None);
                    with.push((part("current"), current(plan, ids)));
                    with
                },
                from(stage, "s").join(JoinKind::Left, part("current").as_str(), "c", on),
            )
        }
        AppendFrom::Increment { stage, increment } => {
            let on = eq(col("r", "row"), Expr::RowAddress(Some(name("s"))));
            (Vec::new(), from(increment, "r").join(JoinKind::Inner, stage, "s", on))
        }
    };
    // A field outside of a record's stale set keeps the data version that is stored, unless a new
    // one is given.
    let data_version = |i: usize| {
        let (given, provenance) = (col("s", format!("d{i}")), col("s", format!("p{i}")));
        let (is_kept, stored) = match &plan.from {
            AppendFrom::Stage(_) => {
                let is_same = eq(col("c", format!("c{i}")), provenance.clone());
                let is_current = plan.root.is_some().then(|| col("c", format!("is_current{i}")));
                let is_kept = and([is_same].into_iter().chain(is_current));
                (is_kept, col("c", format!("d{i}")))
            }
            AppendFrom::Increment { .. } => (
                and([
                    eq(col("r", "class"), int(Class::Stale as i64)),
                    eq(col("r", format!("r{i}")), int(0)),
                ]),
                col("r", format!("d{i}")),
            ),
        };
        coalesce([given, case([(is_kept, stored)], None), provenance])
    };
    let provenances: Vec<(String, Expr)> = plan
        .fields
        .iter()
        .enumerate()
        .map(|(i, field)| (field.clone(), col("s", format!("p{i}"))))
        .collect();
    let data_versions: Vec<(String, Expr)> =
        plan.fields.iter().enumerate().map(|(i, field)| (field.clone(), data_version(i))).collect();
    let is_as_computed = provenances.iter().zip(&data_versions);
    let is_as_computed = and(is_as_computed
        .map(|((_, provenance), (_, version))| eq(version.clone(), provenance.clone())));
    let map = |entries: &[(String, Expr)]| {
        call(Function::MapOf, entries.iter().flat_map(|(key, value)| [text(key), value.clone()]))
    };

    let mut columns: Vec<Ident> = Vec::new();
    let mut values: Vec<(Expr, String)> = Vec::new();
    for (i, column) in plan.records.ids.iter().enumerate() {
        columns.push(Ident::new(column)?);
        values.push((col("s", id(i)), id(i)));
    }
    for (i, column) in plan.columns.iter().enumerate() {
        columns.push(Ident::new(column)?);
        values.push((col("s", format!("c{i}")), format!("c{i}")));
    }
    let stamp = &plan.stamp;
    let system_values = [
        (system::PROVENANCE_BY_FIELD, map(&provenances)),
        (system::PROVENANCE, col("s", HASH)),
        (system::DATA_VERSION_BY_FIELD, map(&data_versions)),
        (
            system::DATA_VERSION,
            case(
                [(is_as_computed, col("s", HASH))],
                Some(hash_of_values(plan.hash, data_versions)),
            ),
        ),
        (system::FEATURE_VERSION, text(&stamp.version)),
        (system::PROJECT_VERSION, text(&stamp.project_version)),
        (system::CREATED_AT, time_of_write(&stamp.time)),
        (system::UPDATED_AT, time_of_write(&stamp.time)),
        (system::MATERIALIZATION_ID, optional_text(stamp.materialization_id.as_deref())),
    ];
    for (column, value) in system_values {
        columns.push(name(column));
        values.push((value, column.to_owned()));
    }
    if plan.records.has_token {
        columns.push(name(system::WRITE_TOKEN));
        values.push((int(stamp.token), system::WRITE_TOKEN.to_owned()));
    }
    if plan.records.seals.is_some() {
        columns.push(name(system::TRY));
        values.push((col("s", "try"), system::TRY.to_owned()));
    }
    let mut select = Select::default().columns(values).from(source);
    if matches!(plan.from, AppendFrom::Increment { .. }) {
        select = select.filter(or([
            eq(col("r", "class"), int(Class::New as i64)),
            eq(col("r", "class"), int(Class::Stale as i64)),
        ]));
    }
    Ok(Statement::Insert {
        table: Ident::new(&plan.records.table)?,
        columns,
        query: Query { with, union_all: vec![select] },
    })
}

/// Appends staged seals, with the hash over their fields.
///
/// # Errors
/// When a name cannot be an identifier.
pub fn seal(plan: &Seal) -> Result<Statement> {
    let provenances: Vec<(String, Expr)> = (plan.fields.iter().enumerate())
        .map(|(i, f)| (f.clone(), col("s", format!("p{i}"))))
        .collect();
    let by_field = call(
        Function::MapOf,
        provenances.iter().flat_map(|(key, value)| [text(key), value.clone()]),
    );
    let stamp = &plan.stamp;
    let ours = [
        (system::PROVENANCE_BY_FIELD, by_field),
        (system::PROVENANCE, hash_of_values(plan.hash, provenances)),
        (system::FEATURE_VERSION, text(&stamp.version)),
        (system::PROJECT_VERSION, text(&stamp.project_version)),
        (system::UPDATED_AT, time_of_write(&stamp.time)),
        (system::MATERIALIZATION_ID, optional_text(stamp.materialization_id.as_deref())),
        (system::WRITE_TOKEN, int(stamp.token)),
        (system::TRY, col("s", "try")),
        (system::CHILDREN, col("s", "children")),
    ];
    let mut columns = plan.ids.iter().map(Ident::new).collect::<Result<Vec<_>>>()?;
    columns.extend(ours.iter().map(|(column, _)| name(*column)));
    let ids = (0..plan.ids.len()).map(|i| (col("s", id(i)), id(i)));
    let select = Select::default()
        .columns(ids)
        .columns(ours.into_iter().map(|(column, value)| (value, column.to_owned())))
        .from(from(&plan.stage, "s"));
    let query = Query { with: Vec::new(), union_all: vec![select] };
    Ok(Statement::Insert { table: Ident::new(&plan.table)?, columns, query })
}

/// Appends staged rows that the table does not have.
///
/// # Errors
/// When a name cannot be an identifier.
pub fn merge(plan: &Merge) -> Result<Statement> {
    let is_same =
        |column: &String| binary(col("s", column), BinaryOp::IsNotDistinctFrom, col("u", column));
    // Postgres can find rows by what is equal, and by nothing else.
    let of_record = plan.ids.iter().map(|column| eq(col("s", column), col("u", column)));
    let on = and(of_record.chain(plan.same.iter().map(is_same)));
    let select = Select::default()
        .columns(plan.columns.iter().map(|column| (col("s", column), column.clone())))
        .from(from(&plan.stage, "s").join(JoinKind::Left, &plan.table, "u", on))
        .filter(is_null(Expr::RowAddress(Some(name("u")))));
    let columns = plan.columns.iter().map(Ident::new).collect::<Result<_>>()?;
    let query = Query { with: Vec::new(), union_all: vec![select] };
    Ok(Statement::Insert { table: Ident::new(&plan.table)?, columns, query })
}

/// What is stored of the records of a table: per field the provenance and the data version, and for
/// a root whether today's definition agrees with the one that wrote them.
fn current(plan: &Append, ids: impl Iterator<Item = (usize, Expr)>) -> Select {
    let records = &plan.records;
    let stored = |kept_as, column, prefix: &'static str| {
        let field = move |(i, field): (usize, &String)| {
            (by_field(kept_as, col("u", column), field), format!("{prefix}{i}"))
        };
        plan.fields.iter().enumerate().map(field)
    };
    let agrees = plan.root.iter().flat_map(|root| {
        root.fields.iter().enumerate().map(|(i, field)| {
            let field = std::slice::from_ref(field);
            let agreeing = root.definitions.as_deref();
            let agreeing = agreeing.map(|table| versions_that_agree(table, &records.key, field));
            (is_current(records, "u", agreeing), format!("is_current{i}"))
        })
    });
    Select::default()
        .columns(ids.map(|(i, own)| (own, id(i))))
        .columns(stored(&records.provenance, system::PROVENANCE_BY_FIELD, "c"))
        .columns(stored(&records.data_version, system::DATA_VERSION_BY_FIELD, "d"))
        .columns(agrees)
        .from(latest(records, "u", None))
        .filter(is_live("u"))
}

/// Appends a tombstone for every live record whose ids are listed.
///
/// A tombstone is the latest row of the record, as it is, with a time of deletion of its own.
///
/// # Errors
/// When a name cannot be an identifier.
pub fn tombstone(plan: &Tombstone) -> Result<Statement> {
    let mut listed = Select::default()
        .columns((0..plan.records.ids.len()).map(|i| (col("s", id(i)), id(i))))
        .from(from(&plan.ids, "s"));
    if let Some(causes) = &plan.orphans {
        let cause = |cause: &i8| eq(col("s", "orphan"), int(i64::from(*cause)));
        listed = listed
            .filter(eq(col("s", "class"), int(Class::Orphaned as i64)))
            .filter(or(causes.iter().map(cause)));
    }
    let value = |column: &str| match column {
        system::DELETED_AT => time_of_write(&plan.time),
        system::MATERIALIZATION_ID => optional_text(plan.materialization_id.as_deref()),
        system::WRITE_TOKEN => int(plan.token),
        other => col("u", other),
    };
    let select = Select::default()
        .columns(plan.columns.iter().map(|column| (value(column), column.clone())))
        .from(latest(&plan.records, "u", None))
        .filter(Expr::In(ids_of(&plan.records, "u"), Box::new(listed)))
        .filter(is_live("u"));
    let columns = plan.columns.iter().map(Ident::new).collect::<Result<_>>()?;
    Ok(Statement::Insert {
        table: Ident::new(&plan.records.table)?,
        columns,
        query: Query { with: seals::in_force(&plan.records, &[], None), union_all: vec![select] },
    })
}
