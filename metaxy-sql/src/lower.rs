//! A plan -> a tree of SQL: the only place that decides named parts and joins.
//!
//! Two habits make the statements fast. That a table is reduced to the latest row of each record is
//! said of a source as a whole ([`crate::ast::Latest`]), so that a dialect can do it in the way that
//! is fast there, such as by the *row address* alone. Whatever a row of the answer carries beyond ids and hashes is fetched by row address at the very end, when
//! the few rows that are returned are known.

mod change;
mod durations;
mod filter;
mod found;
mod migrate;
mod planned;
mod pushes;
mod read;
mod resolve;
mod seals;
mod stored;
mod view;
mod watermarks;
mod write;

pub use change::{
    meant, note_rebase, note_rebase_of, note_removed, orphans, parents_there, rebase, rebased,
    rebases, rebases_of, remove_rows, remove_seals, remove_superseded, removed, restated,
    seal_copies, superseded, undelete, vacuum,
};
pub use durations::{durations, durations_of};
pub use filter::filter;
pub use found::{found, remove_found};
pub use migrate::{
    applied, forget_features, migrations, note_applied, record_definitions, restamp_settings,
    stamp_settings, system_tables, take_back, take_back_note, unnote_applied,
};
pub use planned::{as_computed, as_samples, groups};
pub use pushes::{
    append_pushes, forget_definitions, latest_push, push_stage, pushes, rows_of_pushes,
};
pub use read::{count_of, read, records};
pub use resolve::{classify, look_up, resolve};
pub use stored::{
    count, counts_of, counts_of_classified, definitions_of, everything, failures_of,
    ids_and_versions_of_definitions, settings, settings_of_store,
};
pub use view::{to_do, view};
pub use watermarks::{
    Mark, changes, forget_watermark_of, forget_watermarks, marks, pending_table, watermark_of,
    watermarks,
};
pub use write::{
    append, children_table, clear_failures, column_type, definitions, duplicates, failures,
    has_rows, has_token, latest_time, merge, no_ids, seal, seal_stage, seals_table, stage, table,
    tombstone,
};

use crate::ast::build::{
    and, binary, call, case, coalesce, col, eq, from, int, is_null, is_set, name, not, null, or,
    text,
};
use crate::ast::{BinaryOp, Expr, From, Latest, Select, SqlType};
use crate::functions::Function;
use crate::ident::Ident;
use crate::plan::{ByField, FieldDefinition, Hash, Records, Statistics};
use crate::system;
use crate::types::{ColumnType, ScalarType};

/// The name of the n-th id in every generated relation.
fn id(index: usize) -> String {
    format!("id{index}")
}

/// The name of a part of a statement. No table of a feature has an `@` in its name, so that a feature
/// may be called `current`. It may hold the name of a table, which makes it longer.
fn part(text: &str) -> Ident {
    name(system::kept_whole(format!("@{text}")))
}

/// A part of a statement as the first relation of another one.
fn from_part(text: &str, alias: &str) -> From {
    from(part(text).as_str(), alias)
}

/// The ids of a table.
fn ids_of(records: &Records, alias: &str) -> Vec<Expr> {
    records.ids.iter().map(|id| col(alias, id)).collect()
}

/// When a row was written or its record deleted.
fn time_of(alias: &str) -> Expr {
    coalesce([col(alias, system::DELETED_AT), col(alias, system::UPDATED_AT)])
}

/// The same in microseconds; rows without any time come first.
fn micros_of(alias: &str) -> Expr {
    coalesce([call(Function::EpochMicros, [time_of(alias)]), int(0)])
}

/// The place of a row among the rows of its record: by time, tombstone last, then write token.
fn order_of(records: &Records, alias: &str) -> Expr {
    let tombstone = case([(is_null(col(alias, system::DELETED_AT)), int(0))], Some(int(1)));
    let token = if records.has_token { col(alias, system::WRITE_TOKEN) } else { null() };
    call(Function::RowOrder, [time_of(alias), tombstone, token])
}

/// The latest row of each record, over all definitions that ever wrote it; nothing later than `as_of`
/// counts. Of children only those of the seal in force are looked at, which the parts that
/// [`seals::in_force`] makes tell: a statement has to have them.
fn latest(records: &Records, alias: &str, as_of: Option<i64>) -> From {
    let mut rows = from(&records.table, "h");
    if let Some(seals) = &records.seals {
        rows = seals::join(records, seals, rows, "h");
    }
    latest_of(records, alias, rows, not_later("h", as_of))
}

/// The same, of the rows `h` of the table that fulfil a condition.
fn latest_of(records: &Records, alias: &str, rows: From, filter: Option<Expr>) -> From {
    let among = ids_of(records, "h");
    let order = order_of(records, "h");
    let Statistics { mostly_once, few } = records.statistics;
    let latest = Latest { rows, filter, among, order, mostly_once, few };
    From { latest: Some(Box::new(latest)), ..from(&records.table, alias) }
}

/// That a row is not later than a time, in microseconds.
fn not_later(alias: &str, as_of: Option<i64>) -> Option<Expr> {
    as_of.map(|time| binary(micros_of(alias), BinaryOp::LtEq, int(time)))
}

/// That a row is no tombstone.
fn is_live(alias: &str) -> Expr {
    is_null(col(alias, system::DELETED_AT))
}

/// That a row is a record at all: rows without an id can stand in tables of other programs, and
/// would be new and orphaned for ever, since they equal nothing (H3).
fn has_ids(records: &Records, alias: &str) -> Expr {
    and(ids_of(records, alias).into_iter().map(is_set))
}

/// The text of one field in a by-field column; NULL if it has none.
fn by_field(kept_as: &ByField, column: Expr, field: &str) -> Expr {
    match kept_as {
        ByField::Map => call(Function::MapGet, [column, text(field)]),
        ByField::Struct(members) if members.iter().any(|member| member == field) => {
            call(Function::StructGet, [column, text(field)])
        }
        ByField::Struct(_) => null(),
    }
}

/// The versions of a key whose recorded definitions agree with today's on some fields: on none of
/// them, every version that is recorded.
fn versions_that_agree(definitions: &str, key: &str, fields: &[FieldDefinition]) -> Select {
    use system::definitions::{CODE_VERSION, FEATURE_KEY, FEATURE_VERSION, FIELD, PARENTS};
    let mut select = Select::default()
        .column(col("f", FEATURE_VERSION), "version")
        .from(from(definitions, "f"))
        .filter(eq(col("f", FEATURE_KEY), text(key)))
        .group_by([col("f", FEATURE_VERSION)]);
    if !fields.is_empty() {
        // Recording a definition twice is harmless, so that rows cannot just be counted; and databases take
        // far longer for a count of what is distinct.
        select.having = Some(and(fields.iter().map(|field| {
            let agrees = and([
                eq(col("f", FIELD), text(&field.name)),
                eq(col("f", CODE_VERSION), text(&field.code_version)),
                eq(col("f", PARENTS), text(&field.parents)),
            ]);
            not(eq(call(Function::CountIf, [agrees]), int(0)))
        })));
    }
    select
}

/// That a row was written by a definition that agrees with today's: today's own, or one that
/// `agreeing` lists.
fn is_current(records: &Records, alias: &str, agreeing: Option<Select>) -> Expr {
    let version = || col(alias, system::FEATURE_VERSION);
    let mut any = vec![eq(version(), text(&records.version))];
    if let Some(agreeing) = agreeing {
        any.push(Expr::In(vec![version()], Box::new(agreeing)));
    }
    coalesce([or(any), crate::ast::build::bool(false)])
}

/// The hash of texts one after the other as a text, cut to the length that the store keeps; NULL if
/// one of them is.
fn hash(how: Hash, parts: impl IntoIterator<Item = Expr>) -> Expr {
    hash_text(how, raw_hash(how, parts))
}

/// A hash as the database computes it, as a text.
fn hash_text(how: Hash, raw: Expr) -> Expr {
    call(Function::HashText(how.algorithm), [raw])
}

/// The same hash as the database computes it, which may be a number.
fn raw_hash(how: Hash, parts: impl IntoIterator<Item = Expr>) -> Expr {
    let mut joined: Vec<Expr> = vec![int(i64::from(how.length))];
    for part in parts {
        // Neighbouring constants become one: fewer arguments for every row.
        use crate::literal::Literal::Text;
        match (joined.last_mut(), part) {
            (Some(Expr::Literal(Text(before))), Expr::Literal(Text(after))) => {
                before.push_str(&after);
            }
            (_, part) => joined.push(part),
        }
    }
    if joined.len() == 1 {
        joined.push(text(""));
    }
    call(Function::Hash(how.algorithm), joined)
}

/// The hash over the values of a by-field column: values alone, joined by `|`, in the order of
/// their keys (wire format, section 2.1).
fn hash_of_values(how: Hash, mut values: Vec<(String, Expr)>) -> Expr {
    values.sort_by(|(a, _), (b, _)| a.cmp(b));
    let mut parts = Vec::new();
    for (i, (_, value)) in values.into_iter().enumerate() {
        if i > 0 {
            parts.push(text("|"));
        }
        parts.push(value);
    }
    hash(how, parts)
}

/// The ids of a record as one text (see [`crate::plan::ids_text`]).
fn ids_text(ids: impl IntoIterator<Item = Expr>) -> Expr {
    let as_text = |expr: Expr| {
        Expr::Cast(Box::new(expr), SqlType::Column(ColumnType::Scalar(ScalarType::Text)))
    };
    let one = |id: Expr| {
        let id = as_text(id);
        [as_text(call(Function::Length, [id.clone()])), text(":"), id, text(",")]
    };
    call(Function::Concat, ids.into_iter().flat_map(one))
}

/// That two relations are about the same record, by pairs of columns.
fn same(pairs: impl IntoIterator<Item = (Expr, Expr)>) -> Expr {
    and(pairs.into_iter().map(|(left, right)| eq(left, right)))
}

/// That a row of a relation is there at all, on the outer side of a join.
fn present(alias: &str) -> Expr {
    is_set(col(alias, "row"))
}
