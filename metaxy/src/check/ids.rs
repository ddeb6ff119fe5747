//! Columns that have to fit between a feature and one upstream.

use super::message::{Message, same};
use crate::def::{ColumnDef, DepDef, FeatureDef, LineageDef};
use metaxy_sql::ColumnType;

/// The ids of the feature and of one upstream fit: those of one name have one type, and, if records
/// correspond one to one, each id of the upstream is one of the feature.
#[track_caller]
pub const fn ids(def: &FeatureDef, dep: usize) {
    let dep = &def.deps[dep];
    let upstream = dep.feature.get();
    let mut i = 0;
    while i < upstream.ids.len() {
        let id = upstream.ids[i];
        let name = name_here(dep, id.name);
        match find(def.ids, name) {
            Some(own) => check_types(def, &own, upstream, &id),
            None if matches!(dep.lineage, LineageDef::Identity) => {
                let mut message = Message::new()
                    .text("id column ")
                    .name(id.name)
                    .text(" of ")
                    .name(upstream.type_name);
                if !same(id.name, name) {
                    message = message.text(", here ").name(name).text(",");
                }
                message
                    .text(" is not an id column of ")
                    .name(def.type_name)
                    .text("; add it, `rename(..)` it, or name the relation: `lineage = aggregation(on(..))`")
                    .panic()
            }
            None => {}
        }
        i += 1;
    }
}

/// A column that names a group or a parent is one of the upstream, by its name here.
#[track_caller]
pub const fn on(def: &FeatureDef, dep: usize, name: &str) {
    let dep = &def.deps[dep];
    let upstream = dep.feature.get();
    if upstream.is_broken {
        return;
    }
    let column = match find_here(dep, upstream.ids, name) {
        Some(id) => Some(id),
        None => find_here(dep, upstream.columns, name),
    };
    match (column, find(def.ids, name)) {
        (Some(column), Some(own)) => check_types(def, &own, upstream, &column),
        (None, _) => Message::new()
            .name(name)
            .text(" is not a column of ")
            .name(upstream.type_name)
            .text("; add it there, or `rename(..)` the column that it corresponds to")
            .panic(),
        (Some(_), None) => {}
    }
}

/// The new name of a column is not that of another column of the upstream.
#[track_caller]
pub const fn renamed(def: &FeatureDef, dep: usize, rename: usize) {
    let dep = &def.deps[dep];
    let upstream = dep.feature.get();
    let (from, to) = dep.rename[rename];
    let is_taken = match find_here(dep, upstream.ids, to) {
        Some(id) => !same(id.name, from),
        None => match find_here(dep, upstream.columns, to) {
            Some(column) => !same(column.name, from),
            None => false,
        },
    };
    if is_taken {
        Message::new()
            .name(upstream.type_name)
            .text(" has a column ")
            .name(to)
            .text(" already; rename that one too, or choose another name for ")
            .name(from)
            .panic()
    }
}

#[track_caller]
const fn check_types(def: &FeatureDef, own: &ColumnDef, upstream: &FeatureDef, theirs: &ColumnDef) {
    if !is_same_type(own.ty, theirs.ty) {
        Message::new()
            .text("id column ")
            .name(own.name)
            .text(" is ")
            .text(type_name(theirs.ty))
            .text(" in ")
            .name(upstream.type_name)
            .text(" but ")
            .text(type_name(own.ty))
            .text(" in ")
            .name(def.type_name)
            .panic()
    }
}

const fn name_here(dep: &DepDef, column: &'static str) -> &'static str {
    let mut i = 0;
    while i < dep.rename.len() {
        if same(dep.rename[i].0, column) {
            return dep.rename[i].1;
        }
        i += 1;
    }
    column
}

/// The column of an upstream that has this name here.
const fn find_here(dep: &DepDef, columns: &[ColumnDef], name: &str) -> Option<ColumnDef> {
    let mut found = None;
    let mut i = 0;
    while i < columns.len() {
        if same(name_here(dep, columns[i].name), name) {
            found = Some(columns[i]);
            // A column that is renamed to this loses to one that has the name: `renamed` asks.
            if same(columns[i].name, name) {
                return found;
            }
        }
        i += 1;
    }
    found
}

const fn find(columns: &[ColumnDef], name: &str) -> Option<ColumnDef> {
    let mut i = 0;
    while i < columns.len() {
        if same(columns[i].name, name) {
            return Some(columns[i]);
        }
        i += 1;
    }
    None
}

const fn is_same_type(a: ColumnType, b: ColumnType) -> bool {
    match (a, b) {
        (ColumnType::Scalar(a), ColumnType::Scalar(b))
        | (ColumnType::List(a), ColumnType::List(b)) => a as u8 == b as u8,
        (ColumnType::TextMap, ColumnType::TextMap) => true,
        _ => false,
    }
}

const fn type_name(ty: ColumnType) -> &'static str {
    match ty {
        ColumnType::Scalar(scalar) => scalar.name(),
        ColumnType::List(_) => "a list",
        ColumnType::TextMap => "a map",
        _ => "another type",
    }
}
