//! [`Resolve`] -> one query that classifies every record.
//!
//! The named parts, in order, each with an `@` before its name:
//! - `in{i}`: per input the latest row of each record that is not deleted, with its ids under the
//!   target's names, the data versions that are read (`v{m}`) and whether it is fit to be read
//!   (`block`); of groups `rows{i}` has the members and `in{i}` a row for each group;
//! - `expected`: their join, with the provenance of each field (`p{k}`);
//! - `current`: the target's latest rows, with the stored provenance of each field (`c{k}`); of an
//!   expansion, the seals in force of the parents (see [`super::seals`]);
//! - `judged`: both, side by side by the target's ids, with the class, as far as the call asks for
//!   them; `failed` and `classified` leave out records that have failed. These are narrow: hashes are
//!   as the database computes them, and no text but the ids is carried along;
//! - `stored`, `own`, `values{i}`, `trace{i}`, `need{i}_{j}`: what is stored, why a field is stale,
//!   what became of an orphan, what a blocked record waits for. They are looked up for the rows of the
//!   classes that need them and no others: a class without records costs nothing.
//!
//! Where an earlier resolve is known, `touched` says which records are looked at (see `since.rs`).
//!
//! The answer begins with one row per class that holds the number of its records (`n`), and how
//! many of them another definition wrote (`n_older`) or no seal vouches for (`n_unsealed`). Then come
//! the rows of the increment, if they are wanted. `UNION ALL` keeps that order.
//!
//! A class without records costs no time of looking up, but that of planning it, and for a few thousand
//! records that is most of the time. So the same can be done in two statements: [`classify`] ends with
//! `classified`, and [`look_up`] knows which classes there are.

mod causes;
mod inputs;
mod rows;
mod selection;
mod since;

use super::{
    by_field, from_part, has_ids, hash_text, id, ids_of, is_live, part, present, same, seals,
    versions_that_agree,
};
use crate::ast::build::{
    and, bool, call, case, coalesce, col, differs, eq, from, int, is_set, name, not, null, or, text,
};
use crate::ast::{Expr, From, JoinKind, Query, Select, SqlType};
use crate::functions::Function;
use crate::ident::Ident;
use crate::plan::{
    Class, Classified, Expected, Field, FieldDefinition, Input, Records, Resolve, Unchanged,
};
use crate::system;
use crate::types::{ColumnType, ScalarType};

/// The query of a plan; `None` if neither the target nor what it follows from has any rows.
///
/// The columns of the answer are `class`, `n`, `n_older` and `n_unsealed`; and with rows `id{k}`,
/// `version` (of the definition that wrote the current row), `row` (of the stage, for samples; of the
/// target, where older rows are asked for), per field `p{k}`, `c{k}`, `d{k}` (stored data version) and
/// `r{k}` (bits of [`crate::plan::reason`]), with [`Resolve::texts`] the hashes over all fields as
/// `provenance` and `data_version`; `orphan`, per input `b{i}` and, numbered through all inputs, the columns that come
/// along as `s{j}`.
#[must_use]
pub fn resolve(plan: &Resolve) -> Option<Query> {
    let lowering = Lowering { plan, found: None };
    let mut with = Vec::new();
    lowering.classified(&mut with, plan.rows)?;
    let columns = if plan.rows { lowering.row_columns() } else { Vec::new() };
    let mut union_all = lowering.counts("class", &columns);
    if plan.rows {
        union_all.push(lowering.rows(&mut with));
    }
    Some(Query { with, union_all })
}

/// The first of the two statements of a resolve that gives rows: what is to be kept in a table. `None` if
/// there is nothing to look up, or if looking up would have to find records anew: groups and children.
///
/// The columns of the answer are `counted`, the class of the rows that count one, with `n`, `n_older` and
/// `n_unsealed`; and `class`, the class of a record, with what [`look_up`] needs of it. Records of which
/// there is nothing to say are only counted.
#[must_use]
pub fn classify(plan: &Resolve) -> Option<Query> {
    let lowering = Lowering { plan, found: None };
    let mut inputs = lowering.inputs().iter();
    let is_plain = !lowering.is_expansion() && inputs.all(causes::tells_of_latest);
    if !is_plain || !plan.rows || plan.target.records.is_none() {
        return None;
    }
    let mut with = Vec::new();
    let columns = lowering.classified(&mut with, false)?;
    let mut union_all = lowering.counts(COUNTED, &columns);
    let record = Select::default()
        .columns([COUNTED, "n", "n_older", "n_unsealed"].map(|name| (null(), name.to_owned())))
        .columns(columns.into_iter().map(|column| (col("r", &column), column)))
        .from(from_part("classified", "r"))
        .filter(or(lowering.answered()));
    union_all.push(record);
    Some(Query { with, union_all })
}

/// The second of them: the rows of [`resolve`], without those that count.
#[must_use]
pub fn look_up(plan: &Resolve, found: &Classified) -> Query {
    let lowering = Lowering { plan, found: Some(found) };
    let mut with = Vec::new();
    if let Some(records) = plan.target.records.as_ref().filter(|_| lowering.looks_at_own()) {
        with.push((part("own"), lowering.own(records)));
    }
    let rows = lowering.rows(&mut with);
    Query { with, union_all: vec![rows] }
}

/// The class that is counted, where records have one beside it.
pub(super) const COUNTED: &str = "counted";

struct Lowering<'a> {
    plan: &'a Resolve,
    /// What the first of two statements has found.
    found: Option<&'a Classified>,
}

/// A class as a value.
fn class(class: Class) -> Expr {
    int(class as i64)
}

fn code(value: i8) -> Expr {
    int(i64::from(value))
}

fn as_code(expr: Expr) -> Expr {
    Expr::Cast(Box::new(expr), SqlType::Code)
}

/// The opposite of `x IS NOT NULL`, without a double negation.
fn not_present(present: Expr) -> Expr {
    match present {
        Expr::Not(inner) => *inner,
        other => not(other),
    }
}

/// A text, or a NULL that a database takes for one.
fn text_or(value: Expr, present: bool) -> Expr {
    if present {
        value
    } else {
        Expr::Cast(Box::new(value), SqlType::Column(ColumnType::Scalar(ScalarType::Text)))
    }
}

impl Lowering<'_> {
    fn ids(&self) -> std::ops::Range<usize> {
        0..self.plan.target.ids.len()
    }

    fn fields(&self) -> impl Iterator<Item = (usize, &Field)> {
        self.plan.target.fields.iter().enumerate()
    }

    fn inputs(&self) -> &[Input] {
        match &self.plan.expected {
            Expected::Inputs(inputs) => inputs,
            Expected::Samples { .. } => &[],
        }
    }

    fn is_root(&self) -> bool {
        matches!(self.plan.expected, Expected::Samples { .. })
    }

    /// Whether only the records of samples are compared.
    fn is_partial(&self) -> bool {
        matches!(self.plan.expected, Expected::Samples { complete: false, .. })
    }

    /// The target, if its records are the children of parents: these are compared then.
    fn is_expansion(&self) -> bool {
        self.plan.target.records.as_ref().is_some_and(|records| records.seals.is_some())
    }

    /// Whether the parts that judge carry the stored versions as texts: of a root, where they are
    /// compared with texts, and of an expansion, which has no row of its own to look at later.
    fn carries_texts(&self) -> bool {
        self.is_root() || self.is_expansion()
    }

    /// A provenance of today, as the database computes it or as a root's samples give it, as a text.
    fn text_of(&self, provenance: Expr) -> Expr {
        if self.is_root() { provenance } else { hash_text(self.plan.hash, provenance) }
    }

    /// A stored provenance, to be compared with one of today.
    fn to_compare(&self, stored: Expr) -> Expr {
        if self.is_root() {
            stored
        } else {
            call(Function::HashOfText(self.plan.hash.algorithm), [stored])
        }
    }

    /// The table of recorded definitions, if it says anything of records that today's does not.
    fn definitions_of(&self, records: &Records) -> Option<&str> {
        self.plan.definitions.as_deref().filter(|_| !records.sole_definition)
    }

    /// The same of the target.
    fn own_definitions(&self) -> Option<&str> {
        self.definitions_of(self.plan.target.records.as_ref()?)
    }

    /// The recorded versions that say of these fields what today's definition says.
    fn agreeing(&self, records: &Records, fields: &[FieldDefinition]) -> Option<Select> {
        let table = self.definitions_of(records)?;
        Some(versions_that_agree(table, &records.key, fields))
    }

    /// The recorded definitions are asked about stale rows; for a root they also decide the class.
    fn needs_own(&self, rows: bool) -> bool {
        self.own_definitions().is_some() && (self.is_root() || rows)
    }

    /// Whether they are asked about the rows that are answered.
    fn looks_at_own(&self) -> bool {
        self.own_definitions().is_some() && self.has_outdated()
    }

    /// Whether there can be stale records that another definition wrote.
    fn has_outdated(&self) -> bool {
        self.found.is_none_or(|found| found.outdated)
    }

    /// Whether there can be records of a class.
    fn has(&self, class: Class) -> bool {
        self.found.is_none_or(|found| found.classes.contains(&class))
    }

    /// Whether a record that is answered can have a row of its own.
    fn has_stored(&self) -> bool {
        let is_answered = [Class::Orphaned, Class::Blocked, Class::Stale].map(|of| self.has(of));
        is_answered.contains(&true) || self.plan.call.unchanged != Unchanged::None
    }

    /// Every record that is answered, with its class.
    fn records(&self, alias: &str) -> From {
        match self.found {
            Some(found) => from(&found.table, alias),
            None => from_part("classified", alias),
        }
    }

    /// Adds the parts that give the target's records as they are.
    fn current(&self, with: &mut Vec<(Ident, Select)>, records: &Records) {
        if let Some(of) = &records.seals {
            let names: Vec<&str> =
                self.fields().map(|(_, field)| field.definition.name.as_str()).collect();
            with.extend(seals::in_force(records, &names, None));
            with.push((part("current"), seals::current(records, of, names.len())));
            return;
        }
        let stored = col("u", system::PROVENANCE_BY_FIELD);
        let data_versions = self.fields().filter(|_| self.is_root()).map(|(k, field)| {
            let stored = col("u", system::DATA_VERSION_BY_FIELD);
            (by_field(&records.data_version, stored, &field.definition.name), format!("v{k}"))
        });
        let version = col("u", system::FEATURE_VERSION);
        let (version, what) = match self.is_root() {
            true => (version, "version"),
            false => (differs(version, text(&records.version)), "older"),
        };
        let select = self
            .latest_of_target(records)
            .columns(self.ids().zip(ids_of(records, "u")).map(|(k, own)| (own, id(k))))
            .column(Expr::RowAddress(Some(name("u"))), "row")
            .column(version, what)
            .columns(self.fields().map(|(k, field)| {
                let value = by_field(&records.provenance, stored.clone(), &field.definition.name);
                (self.to_compare(value), format!("c{k}"))
            }))
            .columns(data_versions)
            .filter(is_live("u"))
            .filter(has_ids(records, "u"));
        with.push((part("current"), select));
    }

    /// The recorded definitions of the target, one row per version.
    fn own(&self, records: &Records) -> Select {
        use system::definitions::{CODE_VERSION, FEATURE_KEY, FEATURE_VERSION, FIELD, PARENTS};
        let of_field = |field: &Field, column: &str| {
            let is_field = eq(col("f", FIELD), text(&field.definition.name));
            call(Function::Max, [case([(is_field, col("f", column))], None)])
        };
        Select::default()
            .column(col("f", FEATURE_VERSION), "version")
            .columns(
                self.fields().map(|(k, field)| (of_field(field, CODE_VERSION), format!("code{k}"))),
            )
            .columns(
                self.fields().map(|(k, field)| (of_field(field, PARENTS), format!("parents{k}"))),
            )
            .from(from(self.plan.definitions.as_deref().unwrap_or(system::DEFINITIONS), "f"))
            .filter(eq(col("f", FEATURE_KEY), text(&records.key)))
            .group_by([col("f", FEATURE_VERSION)])
    }

    /// That another definition wrote a row, and says otherwise of a field: no recorded definition
    /// says nothing, and counts as otherwise.
    fn code_differs(&self, older: Expr, k: usize, field: &Field) -> Expr {
        if self.plan.target.records.is_none() || !self.has_outdated() {
            return bool(false);
        }
        if self.own_definitions().is_none() {
            return older;
        }
        let definition = &field.definition;
        let other_code = differs(col("own", format!("code{k}")), text(&definition.code_version));
        let other_parents = differs(col("own", format!("parents{k}")), text(&definition.parents));
        and([older, or([other_code, other_parents])])
    }

    /// Adds the parts that give every record of either side that is answered, with its class, and what rows
    /// need besides if they are looked up in the same query; the names of the columns. `None` if neither side
    /// has any rows.
    fn classified(&self, with: &mut Vec<(Ident, Select)>, rows: bool) -> Option<Vec<String>> {
        self.touched(with);
        self.expected(with);
        let has_expected = self.has_expected();
        let current = self.plan.target.records.as_ref();
        if !has_expected && current.is_none() {
            return None;
        }
        if let Some(records) = current {
            self.current(with, records);
            if self.needs_own(rows) {
                with.push((part("own"), self.own(records)));
            }
        }
        let (judged, columns) = self.judged(has_expected, current.is_some());
        let call = &self.plan.call;
        let Some(failures) = call.failures.as_ref().filter(|_| has_expected) else {
            with.push((part("classified"), judged));
            return Some(columns);
        };
        with.push((part("judged"), judged));
        with.push((part("failed"), selection::failed(failures)));
        with.push((part("classified"), self.without_failed(failures, &columns)));
        Some(columns)
    }

    /// Every record of either side that is answered, with its class; and the names of its columns.
    fn judged(&self, has_expected: bool, has_current: bool) -> (Select, Vec<String>) {
        let e = |column: String| if has_expected { col("e", column) } else { null() };
        let c = |column: String| if has_current { col("c", column) } else { null() };
        let class_of = self.class_of(has_expected, has_current);
        let on = same(self.ids().map(|k| (col("e", id(k)), col("c", id(k)))));
        let mut source = match (has_expected, has_current) {
            (true, true) => {
                let kind = if self.is_partial() { JoinKind::Left } else { JoinKind::Full };
                from_part("expected", "e").join(kind, part("current").as_str(), "c", on)
            }
            (true, false) => from_part("expected", "e"),
            (false, _) => from_part("current", "c"),
        };
        if has_current && self.is_root() && self.own_definitions().is_some() {
            source = source.join(
                JoinKind::Left,
                part("own").as_str(),
                "own",
                eq(col("own", "version"), col("c", "version")),
            );
        }
        source = self.join_stored(source, has_current);

        let mut columns: Vec<(Expr, String)> = vec![(as_code(class_of), "class".to_owned())];
        columns.extend(self.ids().map(|k| (self.either_id(k, has_expected, has_current), id(k))));
        if self.carries_texts() {
            columns.push((text_or(c("version".to_owned()), has_current), "version".to_owned()));
        }
        columns.push((self.older(has_current), "older".to_owned()));
        columns.push((c("row".to_owned()), "row".to_owned()));
        columns.extend(self.fields().flat_map(|(k, _)| {
            // One that is not there is as good as any other that is not.
            let p = match has_expected {
                true => e(format!("p{k}")),
                false => self.to_compare(text_or(null(), false)),
            };
            let c = match has_current {
                true => c(format!("c{k}")),
                false if self.carries_texts() => text_or(null(), false),
                false => self.to_compare(text_or(null(), false)),
            };
            [(p, format!("p{k}")), (c, format!("c{k}"))]
        }));
        if self.is_root() {
            columns.push((e("row".to_owned()), "sample".to_owned()));
        }
        for i in 0..self.inputs().len() {
            // It is compared with addresses, whether there is any or not.
            let row = e(format!("row{i}"));
            let row = if has_expected { row } else { Expr::Cast(Box::new(row), SqlType::Address) };
            columns.push((row, format!("row{i}")));
            columns.push((e(format!("block{i}")), format!("block{i}")));
        }
        columns.push((self.forced(has_expected, has_current), "forced".to_owned()));
        if self.is_expansion() {
            columns
                .push((coalesce([c("unsealed".to_owned()), bool(false)]), "unsealed".to_owned()));
        }
        let names = columns.iter().map(|(_, name)| name.clone()).collect();
        let mut select = Select::default().columns(columns).from(source);
        for condition in self.asked(has_expected, has_current) {
            select = select.filter(condition);
        }
        (select, names)
    }

    /// That another definition than today's wrote the current row.
    fn older(&self, has_current: bool) -> Expr {
        match &self.plan.target.records {
            Some(records) if has_current && self.carries_texts() => {
                differs(col("c", "version"), text(&records.version))
            }
            Some(_) if has_current => col("c", "older"),
            _ => bool(false),
        }
    }

    /// An id of a record of either side.
    fn either_id(&self, k: usize, has_expected: bool, has_current: bool) -> Expr {
        match (has_expected, has_current) {
            (true, true) => coalesce([col("e", id(k)), col("c", id(k))]),
            (true, false) => col("e", id(k)),
            (false, _) => col("c", id(k)),
        }
    }

    /// The first class that fits a record.
    fn class_of(&self, has_expected: bool, has_current: bool) -> Expr {
        let stale = || {
            let fields = self.fields().map(|(k, field)| {
                let stored = col("c", format!("c{k}"));
                // What is no hash differs from any. That nothing is expected means a blocked record.
                let stored = if self.is_expansion() { self.to_compare(stored) } else { stored };
                let value_differs = differs(stored, col("e", format!("p{k}")));
                if self.is_root() {
                    // A data version that the caller gives is what downstream sees: a new one counts
                    // like a new value.
                    let given = || col("e", format!("d{k}"));
                    let other_given =
                        and([is_set(given()), differs(given(), col("c", format!("v{k}")))]);
                    let other_code = self.code_differs(self.older(has_current), k, field);
                    or([value_differs, other_code, other_given])
                } else {
                    value_differs
                }
            });
            let forced = self.can_force().then(|| self.forced(has_expected, has_current));
            or(fields.chain(forced))
        };
        let blocked = || {
            or((0..self.inputs().len())
                .map(|i| not(eq(col("e", format!("block{i}")), code(crate::plan::block::FREE)))))
        };
        let e_present = || if self.is_root() { present("e") } else { is_set(col("e", "here")) };
        match (has_expected, has_current) {
            (true, true) => {
                // What partial samples lack is nobody's orphan, and is not looked at.
                let mut whens = match self.is_partial() {
                    true => Vec::new(),
                    false => vec![(not_present(e_present()), class(Class::Orphaned))],
                };
                if !self.inputs().is_empty() {
                    whens.push((
                        blocked(),
                        case([(present("c"), class(Class::Blocked))], Some(class(Class::Waiting))),
                    ));
                }
                whens.push((not_present(present("c")), class(Class::New)));
                whens.push((stale(), class(Class::Stale)));
                case(whens, Some(class(Class::Unchanged)))
            }
            (true, false) if self.inputs().is_empty() => class(Class::New),
            (true, false) => case([(blocked(), class(Class::Waiting))], Some(class(Class::New))),
            (false, _) => class(Class::Orphaned),
        }
    }

    /// The numbers of records of each class, and NULL for the columns that rows have beside them.
    fn counts(&self, class: &str, columns: &[String]) -> Vec<Select> {
        let older = match &self.plan.target.records {
            Some(_) => call(Function::CountIf, [col("r", "older")]),
            None => int(0),
        };
        let unsealed = if self.is_expansion() {
            call(Function::CountIf, [col("r", "unsealed")])
        } else {
            int(0)
        };
        let classes = Select::default()
            .column(col("r", "class"), class)
            .column(call(Function::CountAll, []), "n")
            .column(older, "n_older")
            .column(unsealed, "n_unsealed")
            .from(from_part("classified", "r"))
            .group_by([col("r", "class")]);
        let nulls = || columns.iter().map(|column| (null(), column.clone()));
        let counts = [Some(classes), self.unchanged_since(class)].into_iter().flatten();
        counts.map(|counts| counts.columns(nulls())).collect()
    }
}
