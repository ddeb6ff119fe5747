//! [`Resolve`] -> one statement that classifies every record.
//!
//! The named parts, in order, each with an `@` before its name:
//! - `in{i}`: per input the latest row of each record that is not deleted, with its ids under the
//!   target's names, the data versions that are read (`v{m}`) and whether it is fit to be read
//!   (`block`);
//! - `expected`: their join, with the provenance of each field (`p{k}`);
//! - `current`: the target's latest rows, with the stored provenance of each field (`c{k}`);
//! - `classified`: both, side by side by the target's ids, with the class;
//! - `own`, `trace{i}`, `need{i}_{j}`: why a field is stale, what became of an orphan, what a
//!   blocked record waits for. They are looked up for the rows that are returned and no others.
//!
//! The answer begins with one row per class that holds the number of its records (`n`), and how
//! many of them another definition wrote (`n_older`). Then come the rows of the increment, if they
//! are wanted. `UNION ALL` keeps that order.

use super::{
    by_field, from_part, has_ids, hash, hash_of_values, id, ids_of, is_current, is_latest, is_live,
    order_of, part, present, same, versions_that_agree,
};
use crate::ast::build::{
    and, binary, call, case, coalesce, col, differs, eq, from, int, is_null, is_set, name, not,
    null, or, text,
};
use crate::ast::{BinaryOp, Expr, From, JoinKind, Query, Select, SqlType, Statement};
use crate::functions::Function;
use crate::ident::Ident;
use crate::plan::{
    ByField, Class, Expected, Field, Input, Records, Resolve, Source, block, orphan, reason,
};
use crate::system;

/// The statement of a plan; `None` if neither the target nor what it follows from has any rows.
///
/// The columns of the answer are `class`, `n` and `n_older`; and with rows `id{k}`, `version` (of
/// the definition that wrote the current row), `row` (of the stage, for samples), per field `p{k}`,
/// `c{k}`, `d{k}` (stored data version) and `r{k}` (bits of [`reason`]), the hashes over all
/// fields as `provenance` and `data_version`, `orphan`, per input `b{i}` and, numbered through all
/// inputs, the columns that come along as `s{j}`.
#[must_use]
pub fn resolve(plan: &Resolve) -> Option<Statement> {
    let lowering = Lowering { plan };
    let mut with = Vec::new();
    let has_expected = lowering.expected(&mut with);
    let current = plan.target.records.as_ref();
    if !has_expected && current.is_none() {
        return None;
    }
    if let Some(records) = current {
        with.push((part("current"), lowering.current(records)));
        if lowering.needs_own() {
            with.push((part("own"), lowering.own(records)));
        }
    }
    with.push((part("classified"), lowering.classified(has_expected)));
    let mut union_all = vec![lowering.counts()];
    if plan.rows {
        let rows = lowering.rows(&mut with, has_expected);
        union_all.push(rows);
    }
    Some(Statement::Query(Query { with, union_all }))
}

struct Lowering<'a> {
    plan: &'a Resolve,
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

impl Lowering<'_> {
    fn ids(&self) -> std::ops::Range<usize> {
        0..self.plan.target.n_ids
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

    /// The recorded definitions are asked about stale rows; for a root they also decide the class.
    fn needs_own(&self) -> bool {
        self.plan.definitions.is_some() && (self.is_root() || self.plan.rows)
    }

    /// Adds the parts that give `expected`; false if it cannot have rows.
    fn expected(&self, with: &mut Vec<(Ident, Select)>) -> bool {
        match &self.plan.expected {
            Expected::Samples { stage, .. } => {
                let select = Select::default()
                    .columns(self.ids().map(|k| (col("s", id(k)), id(k))))
                    .column(Expr::RowAddress(name("s")), "row")
                    .columns(self.fields().flat_map(|(k, _)| {
                        ["p", "d"]
                            .map(|kind| (col("s", format!("{kind}{k}")), format!("{kind}{k}")))
                    }))
                    .from(from(stage, "s"));
                with.push((part("expected"), select));
                true
            }
            Expected::Inputs(inputs) => {
                if inputs.iter().any(|input| input.records.is_none()) {
                    return false;
                }
                for (i, input) in inputs.iter().enumerate() {
                    if let Some(records) = &input.records {
                        with.push((part(&format!("in{i}")), self.input(input, records)));
                    }
                }
                with.push((part("expected"), self.joined(inputs)));
                true
            }
        }
    }

    /// One input: the latest row of each of its records.
    fn input(&self, input: &Input, records: &Records) -> Select {
        let value = |field: &str| {
            by_field(&records.data_version, col("u", system::DATA_VERSION_BY_FIELD), field)
        };
        let agreeing = self
            .plan
            .definitions
            .as_deref()
            .map(|table| versions_that_agree(table, &records.key, &input.reads));
        let outdated = not(is_current(records, "u", agreeing));
        let mut blocks = vec![(outdated, code(block::STALE))];
        if !input.reads.is_empty() {
            blocks.push((
                or(input.reads.iter().map(|field| is_null(value(&field.name)))),
                code(block::NO_VERSION),
            ));
        }
        Select::default()
            .columns(input.ids.iter().zip(&records.ids).map(|(k, own)| (col("u", own), id(*k))))
            .column(Expr::RowAddress(name("u")), "row")
            .column(as_code(case(blocks, Some(code(block::FREE)))), "block")
            .columns(
                input
                    .reads
                    .iter()
                    .enumerate()
                    .map(|(m, field)| (value(&field.name), format!("v{m}"))),
            )
            .from(from(&records.table, "u"))
            .filter(is_latest(records, "u", None))
            .filter(is_live("u"))
            .filter(has_ids(records, "u"))
    }

    /// The join of all inputs on the ids that they share.
    fn joined(&self, inputs: &[Input]) -> Select {
        let alias = |i: usize| format!("in{i}");
        // The first input that has an id gives it.
        let giver = |k: usize| {
            let i = inputs.iter().position(|input| input.ids.contains(&k)).unwrap_or_default();
            col(&alias(i), id(k))
        };
        let mut source: Option<From> = None;
        for (i, input) in inputs.iter().enumerate() {
            source = Some(match source {
                None => from_part(&alias(i), &alias(i)),
                Some(joined) => {
                    let shared = input
                        .ids
                        .iter()
                        .filter(|k| inputs[..i].iter().any(|before| before.ids.contains(k)));
                    let on = same(shared.map(|k| (giver(*k), col(&alias(i), id(*k)))));
                    joined.join(JoinKind::Inner, part(&alias(i)).as_str(), &alias(i), on)
                }
            });
        }
        let mut select = Select::default()
            .columns(self.ids().map(|k| (giver(k), id(k))))
            .columns(
                inputs.iter().enumerate().map(|(i, _)| (col(&alias(i), "row"), format!("row{i}"))),
            )
            .columns(
                inputs
                    .iter()
                    .enumerate()
                    .map(|(i, _)| (col(&alias(i), "block"), format!("block{i}"))),
            )
            .columns(self.fields().map(|(k, field)| {
                let values = field.parts.iter().map(|part| {
                    let m = read_index(&inputs[part.input], &part.field);
                    col(&alias(part.input), format!("v{m}"))
                });
                let today = text(&field.definition.code_version);
                (self.provenance(field, today, values), format!("p{k}"))
            }));
        select.from = source;
        select
    }

    /// The pre-image of a field, hashed (wire format, section 2.1):
    /// `label|code version|parent label|value|..`.
    fn provenance(
        &self,
        field: &Field,
        code_version: Expr,
        values: impl IntoIterator<Item = Expr>,
    ) -> Expr {
        let mut parts = vec![text(&field.label), text("|"), code_version];
        for (part, value) in field.parts.iter().zip(values) {
            parts.extend([text("|"), text(&part.label), text("|"), value]);
        }
        hash(self.plan.hash, parts)
    }

    /// The target's records as they are.
    fn current(&self, records: &Records) -> Select {
        let stored = col("u", system::PROVENANCE_BY_FIELD);
        let data_versions = self.fields().filter(|_| self.is_root()).map(|(k, field)| {
            let stored = col("u", system::DATA_VERSION_BY_FIELD);
            (by_field(&records.data_version, stored, &field.definition.name), format!("v{k}"))
        });
        Select::default()
            .columns(self.ids().zip(ids_of(records, "u")).map(|(k, own)| (own, id(k))))
            .column(Expr::RowAddress(name("u")), "row")
            .column(col("u", system::FEATURE_VERSION), "version")
            .columns(self.fields().map(|(k, field)| {
                let value = by_field(&records.provenance, stored.clone(), &field.definition.name);
                (value, format!("c{k}"))
            }))
            .columns(data_versions)
            .from(from(&records.table, "u"))
            .filter(is_latest(records, "u", None))
            .filter(is_live("u"))
            .filter(has_ids(records, "u"))
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
    fn code_differs(&self, alias: &str, k: usize, field: &Field) -> Expr {
        let Some(records) = &self.plan.target.records else {
            return crate::ast::build::bool(false);
        };
        let older = differs(col(alias, "version"), text(&records.version));
        if self.plan.definitions.is_none() {
            return older;
        }
        let definition = &field.definition;
        let other_code = differs(col("own", format!("code{k}")), text(&definition.code_version));
        let other_parents = differs(col("own", format!("parents{k}")), text(&definition.parents));
        and([older, or([other_code, other_parents])])
    }

    /// Every record of either side, with its class.
    fn classified(&self, has_expected: bool) -> Select {
        let has_current = self.plan.target.records.is_some();
        let e = |column: String| if has_expected { col("e", column) } else { null() };
        let c = |column: String| if has_current { col("c", column) } else { null() };

        let stale = || {
            or(self.fields().map(|(k, field)| {
                let value_differs = differs(col("c", format!("c{k}")), col("e", format!("p{k}")));
                if self.is_root() {
                    // A data version that the caller gives is what downstream sees: a new one counts
                    // like a new value.
                    let given = || col("e", format!("d{k}"));
                    let other_given =
                        and([is_set(given()), differs(given(), col("c", format!("v{k}")))]);
                    or([value_differs, self.code_differs("c", k, field), other_given])
                } else {
                    value_differs
                }
            }))
        };
        let blocked = || {
            or((0..self.inputs().len())
                .map(|i| binary(col("e", format!("block{i}")), BinaryOp::NotEq, code(block::FREE))))
        };
        let e_present = || if self.is_root() { present("e") } else { is_set(col("e", "row0")) };
        let class_of = match (has_expected, has_current) {
            (true, true) => {
                let mut whens = vec![(not_present(e_present()), class(Class::Orphaned))];
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
        };
        let class_of = match &self.plan.expected {
            // What partial samples lack is nobody's orphan: it is as it was.
            Expected::Samples { complete: false, .. } if has_current => {
                case([(not_present(e_present()), class(Class::Unchanged))], Some(class_of))
            }
            _ => class_of,
        };

        let on = same(self.ids().map(|k| (col("e", id(k)), col("c", id(k)))));
        let mut source = match (has_expected, has_current) {
            (true, true) => {
                from_part("expected", "e").join(JoinKind::Full, part("current").as_str(), "c", on)
            }
            (true, false) => from_part("expected", "e"),
            (false, _) => from_part("current", "c"),
        };
        if has_current && self.is_root() && self.plan.definitions.is_some() {
            source = source.join(
                JoinKind::Left,
                part("own").as_str(),
                "own",
                eq(col("own", "version"), col("c", "version")),
            );
        }
        let mut select = Select::default()
            .column(as_code(class_of), "class")
            .columns(self.ids().map(|k| {
                let value = match (has_expected, has_current) {
                    (true, true) => coalesce([e(id(k)), c(id(k))]),
                    (true, false) => e(id(k)),
                    (false, _) => c(id(k)),
                };
                (value, id(k))
            }))
            .column(text_or(c("version".to_owned()), has_current), "version")
            .column(c("row".to_owned()), "row")
            .columns(self.fields().flat_map(|(k, _)| {
                [
                    (text_or(e(format!("p{k}")), has_expected), format!("p{k}")),
                    (text_or(c(format!("c{k}")), has_current), format!("c{k}")),
                ]
            }));
        if self.is_root() {
            select = select.column(e("row".to_owned()), "sample");
        }
        for i in 0..self.inputs().len() {
            select = select
                .column(e(format!("row{i}")), format!("row{i}"))
                .column(e(format!("block{i}")), format!("block{i}"));
        }
        select.from(source)
    }

    /// The number of records of each class.
    fn counts(&self) -> Select {
        let older = match &self.plan.target.records {
            Some(records) => {
                call(Function::CountIf, [differs(col("r", "version"), text(&records.version))])
            }
            None => int(0),
        };
        let mut select = Select::default()
            .column(col("r", "class"), "class")
            .column(call(Function::CountAll, []), "n")
            .column(older, "n_older");
        if self.plan.rows {
            select = select.columns(self.row_columns().into_iter().map(|column| (null(), column)));
        }
        select.from(from_part("classified", "r")).group_by([col("r", "class")])
    }

    /// The names of the columns of a row of the increment.
    fn row_columns(&self) -> Vec<String> {
        let mut columns: Vec<String> = self.ids().map(id).collect();
        columns.push("version".to_owned());
        if self.is_root() {
            columns.push("row".to_owned());
        }
        for (k, _) in self.fields() {
            columns.extend(["p", "c", "d", "r"].map(|kind| format!("{kind}{k}")));
        }
        columns.extend(["provenance", "data_version", "orphan"].map(str::to_owned));
        columns.extend((0..self.inputs().len()).map(|i| format!("b{i}")));
        let n_columns: usize = self.inputs().iter().map(|input| input.columns.len()).sum();
        columns.extend((0..n_columns).map(|j| format!("s{j}")));
        columns
    }

    /// The rows of the increment, with all that is looked up for them.
    fn rows(&self, with: &mut Vec<(Ident, Select)>, has_expected: bool) -> Select {
        let target = self.plan.target.records.as_ref();
        let mut source = from_part("classified", "r");
        if let Some(records) = target {
            source = source.join(
                JoinKind::Left,
                &records.table,
                "t",
                eq(Expr::RowAddress(name("t")), col("r", "row")),
            );
            if self.plan.definitions.is_some() {
                source = source.join(
                    JoinKind::Left,
                    part("own").as_str(),
                    "own",
                    eq(col("own", "version"), col("r", "version")),
                );
            }
        }
        let mut brought = Vec::new();
        for (i, input) in self.inputs().iter().enumerate() {
            let Some(records) = &input.records else {
                brought.extend(input.columns.iter().map(|_| null()));
                continue;
            };
            let alias = format!("u{i}");
            source = source.join(
                JoinKind::Left,
                &records.table,
                &alias,
                eq(Expr::RowAddress(name(&alias)), col("r", format!("row{i}"))),
            );
            brought.extend(input.columns.iter().map(|column| col(&alias, column)));
        }
        let (orphan, source) = self.orphan(with, source);
        let (blocks, source) = self.blocks(with, source, has_expected);

        let mut values: Vec<Expr> = self.ids().map(|k| col("r", id(k))).collect();
        values.push(col("r", "version"));
        if self.is_root() {
            values.push(col("r", "sample"));
        }
        let mut provenances = Vec::new();
        let mut data_versions = Vec::new();
        for (k, field) in self.fields() {
            let field_name = &field.definition.name;
            let stored = match target {
                Some(records) => by_field(
                    &records.data_version,
                    col("t", system::DATA_VERSION_BY_FIELD),
                    field_name,
                ),
                None => null(),
            };
            let (expected, current) = (col("r", format!("p{k}")), col("r", format!("c{k}")));
            let provenance = coalesce([expected.clone(), current.clone()]);
            // A field that is not stale keeps the data version that is stored, and so does one whose
            // expected provenance is not known: an orphan's, or one that lacks an input.
            let kept =
                or([is_null(expected.clone()), not(differs(expected.clone(), current.clone()))]);
            let data_version = case(
                [(kept, coalesce([stored.clone(), provenance.clone()]))],
                Some(expected.clone()),
            );
            provenances.push((field_name.clone(), provenance));
            data_versions.push((field_name.clone(), data_version));
            values.extend([expected, current, stored, self.reasons(k, field)]);
        }
        values.push(hash_of_values(self.plan.hash, provenances));
        values.push(hash_of_values(self.plan.hash, data_versions));
        values.push(orphan);
        values.extend(blocks);
        values.extend(brought);

        let mut select = Select::default()
            .column(col("r", "class"), "class")
            .column(null(), "n")
            .column(null(), "n_older")
            .columns(values.into_iter().zip(self.row_columns()));
        select.from = Some(source);
        let mut wanted = vec![or([Class::Orphaned, Class::Blocked, Class::New, Class::Stale]
            .map(|wanted| eq(col("r", "class"), class(wanted))))];
        if let (true, Some(records)) = (self.plan.older, target) {
            wanted.push(and([
                eq(col("r", "class"), class(Class::Unchanged)),
                differs(col("r", "version"), text(&records.version)),
            ]));
        }
        select.filter(or(wanted))
    }

    /// Why a field of a stale record is stale, as a sum of bits; 0 if it is not.
    fn reasons(&self, k: usize, field: &Field) -> Expr {
        let Some(records) = &self.plan.target.records else { return as_code(code(0)) };
        let stored = || col("r", format!("c{k}"));
        let expected = || col("r", format!("p{k}"));
        let bit = |condition, bit| case([(condition, code(bit))], Some(code(0)));

        let added = is_null(stored());
        let differs_now = differs(stored(), expected());
        // Under the code version of the recorded definition today's values would differ already.
        // With other parents its pre-image cannot be formed from today's inputs.
        let upstream = if self.is_root() {
            differs_now.clone()
        } else {
            let is_todays = eq(col("r", "version"), text(&records.version));
            let mut whens = vec![(is_todays, differs_now.clone())];
            // Nothing is stale where an upstream has no table, and there is no row to look at.
            let has_inputs = self.inputs().iter().all(|input| input.records.is_some());
            if self.plan.definitions.is_some() && has_inputs {
                let values = field.parts.iter().map(|part| {
                    let kept = self.inputs()[part.input]
                        .records
                        .as_ref()
                        .map_or(&ByField::Map, |records| &records.data_version);
                    by_field(
                        kept,
                        col(&format!("u{}", part.input), system::DATA_VERSION_BY_FIELD),
                        &part.field,
                    )
                });
                let before = self.provenance(field, col("own", format!("code{k}")), values);
                whens.push((
                    eq(col("own", format!("parents{k}")), text(&field.definition.parents)),
                    differs(before, stored()),
                ));
            }
            case(whens, Some(crate::ast::build::bool(false)))
        };
        let sum = [
            bit(and([is_set(stored()), self.code_differs("r", k, field)]), reason::CODE),
            bit(added, reason::ADDED),
            bit(and([is_set(stored()), upstream]), reason::UPSTREAM),
        ]
        .into_iter()
        .reduce(|l, r| binary(l, BinaryOp::Add, r))
        .expect("three bits");
        let is_stale = if self.is_root() {
            or([differs_now, self.code_differs("r", k, field)])
        } else {
            differs_now
        };
        as_code(case(
            [(and([eq(col("r", "class"), class(Class::Stale)), is_stale]), sum)],
            Some(code(0)),
        ))
    }

    /// What became of an orphan: one deletion says `gone`, else it was never there.
    fn orphan(&self, with: &mut Vec<(Ident, Select)>, mut source: From) -> (Expr, From) {
        let is_orphan = || eq(col("r", "class"), class(Class::Orphaned));
        if self.is_root() {
            return (as_code(case([(is_orphan(), code(orphan::GONE))], None)), source);
        }
        let mut deleted = Vec::new();
        for (i, input) in self.inputs().iter().enumerate() {
            let Some(records) = &input.records else { continue };
            let trace = format!("trace{i}");
            let state = Expr::IsNull(Box::new(col("u", system::DELETED_AT)));
            with.push((part(&trace), self.state(records, &input.ids, Class::Orphaned, not(state))));
            let on = same(input.ids.iter().map(|k| (col("r", id(*k)), col(&trace, id(*k)))));
            source =
                source.join(JoinKind::Left, part(&trace).as_str(), &trace, and([is_orphan(), on]));
            deleted.push(coalesce([col(&trace, "state"), crate::ast::build::bool(false)]));
        }
        let cause = case([(or(deleted), code(orphan::GONE))], Some(code(orphan::MISSING)));
        (as_code(case([(is_orphan(), cause)], None)), source)
    }

    /// Per input, what a blocked record waits for.
    fn blocks(
        &self,
        with: &mut Vec<(Ident, Select)>,
        mut source: From,
        has_expected: bool,
    ) -> (Vec<Expr>, From) {
        let is_blocked = || eq(col("r", "class"), class(Class::Blocked));
        let mut blocks = Vec::new();
        for (i, input) in self.inputs().iter().enumerate() {
            if !has_expected {
                blocks.push(as_code(null()));
                continue;
            }
            let mut orphaned = Vec::new();
            let mut blocked = Vec::new();
            for (j, Source { records, ids, reads }) in input.sources.iter().enumerate() {
                let Some(records) = records else {
                    orphaned.push(crate::ast::build::bool(true));
                    continue;
                };
                let need = format!("need{i}_{j}");
                let agreeing = self
                    .plan
                    .definitions
                    .as_deref()
                    .map(|table| versions_that_agree(table, &records.key, reads));
                let state = case(
                    [
                        (is_set(col("u", system::DELETED_AT)), code(block::ORPHANED)),
                        (not(is_current(records, "u", agreeing)), code(block::BLOCKED)),
                    ],
                    Some(code(block::STALE)),
                );
                // The ids of the source, by the target's names.
                let ids: Vec<usize> = ids.iter().map(|of_input| input.ids[*of_input]).collect();
                with.push((part(&need), self.state(records, &ids, Class::Blocked, state)));
                let on = same(ids.iter().map(|k| (col("r", id(*k)), col(&need, id(*k)))));
                source = source.join(
                    JoinKind::Left,
                    part(&need).as_str(),
                    &need,
                    and([is_blocked(), on]),
                );
                let state = || coalesce([col(&need, "state"), code(block::ORPHANED)]);
                orphaned.push(eq(state(), code(block::ORPHANED)));
                blocked.push(eq(state(), code(block::BLOCKED)));
            }
            let own = col("r", format!("block{i}"));
            let needs = case(
                [
                    (binary(own.clone(), BinaryOp::NotEq, code(block::STALE)), own),
                    (or(orphaned), code(block::ORPHANED)),
                    (or(blocked), code(block::BLOCKED)),
                ],
                Some(code(block::STALE)),
            );
            blocks.push(as_code(case([(is_blocked(), needs)], None)));
        }
        (blocks, source)
    }

    /// Something about the latest row, tombstones included, of the records of one class.
    fn state(&self, records: &Records, ids: &[usize], of: Class, state: Expr) -> Select {
        let wanted = Select {
            distinct: true,
            ..Select::default()
                .columns(ids.iter().map(|k| (col("r", id(*k)), id(*k))))
                .from(from_part("classified", "r"))
                .filter(eq(col("r", "class"), class(of)))
        };
        Select::default()
            .columns(records.ids.iter().zip(ids).map(|(own, k)| (col("u", own), id(*k))))
            .column(call(Function::MaxBy, [state, order_of(records, "u")]), "state")
            .from(from(&records.table, "u"))
            .filter(Expr::In(ids_of(records, "u"), Box::new(wanted)))
            .group_by(ids_of(records, "u"))
    }
}

/// The place of a field among those that are read from an input.
fn read_index(input: &Input, field: &str) -> usize {
    input
        .reads
        .iter()
        .position(|read| read.name == field)
        .expect("a plan lists every field that it reads")
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
    use crate::types::{ColumnType, ScalarType};
    if present {
        value
    } else {
        Expr::Cast(Box::new(value), SqlType::Column(ColumnType::Scalar(ScalarType::Text)))
    }
}
