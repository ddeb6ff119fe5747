//! What is said about the records of an increment, beyond their class.

use super::inputs::{optional_value, read_index};
use super::{Lowering, as_code, class, code, text_or};
use crate::ast::build::{
    and, binary, bool, case, coalesce, col, differs, eq, is_null, is_set, name, not, null, or, text,
};
use crate::ast::{BinaryOp, Expr, JoinKind, Order, Select};
use crate::ident::Ident;
use crate::lower::{by_field, hash_of_values, id, part, same};
use crate::plan::{
    ByField, Class, Field, FieldDefinition, Input, OrderBy, Records, Unchanged, reason,
};
use crate::system;

impl Lowering<'_> {
    /// The names of the columns of a row of the increment.
    pub(super) fn row_columns(&self) -> Vec<String> {
        let mut columns: Vec<String> = self.ids().map(id).collect();
        columns.push("version".to_owned());
        if self.is_root() || self.plan.call.unchanged != Unchanged::None {
            columns.push("row".to_owned());
        }
        for (k, _) in self.fields() {
            columns.extend(["p", "c", "d", "r"].map(|kind| format!("{kind}{k}")));
        }
        if self.plan.texts {
            columns.extend(["provenance", "data_version"].map(str::to_owned));
        }
        columns.push("orphan".to_owned());
        columns.extend((0..self.inputs().len()).map(|i| format!("b{i}")));
        let n_columns: usize = self.inputs().iter().map(|input| input.columns.len()).sum();
        columns.extend((0..n_columns).map(|j| format!("s{j}")));
        columns
    }

    /// The rows of the increment, with all that is looked up for them.
    pub(super) fn rows(&self, with: &mut Vec<(Ident, Select)>) -> Select {
        let target = self.plan.target.records.as_ref();
        // The children of a parent keep what they have one by one, when they are written.
        let stored_rows = target.filter(|_| !self.is_expansion() && self.has_stored());
        let mut source = self.records("r");
        if let Some(records) = stored_rows {
            with.push((part("stored"), self.stored(records)));
            let at = eq(col("t", "row"), col("r", "row"));
            source = source.join(JoinKind::Left, part("stored").as_str(), "t", at);
        }
        let version = || match stored_rows {
            Some(_) => col("t", "version"),
            None if self.carries_texts() => col("r", "version"),
            None => text_or(null(), false),
        };
        if self.looks_at_own() {
            let of_version = eq(col("own", "version"), version());
            source = source.join(JoinKind::Left, part("own").as_str(), "own", of_version);
        }
        let mut brought = Vec::new();
        for (i, input) in self.inputs().iter().enumerate() {
            let Some(records) = &input.records else {
                brought.extend(input.columns.iter().map(|_| null()));
                continue;
            };
            let alias = format!("u{i}");
            if input.grouped {
                if !input.columns.is_empty() {
                    let members = format!("members{i}");
                    with.push((part(&members), self.members(i, input, records)));
                    let of_record = input.on.iter();
                    let of_record =
                        of_record.map(|(_, k)| (col("r", id(*k)), col(&members, id(*k))));
                    let on = same(of_record);
                    source = source.join(JoinKind::Left, part(&members).as_str(), &members, on);
                    brought
                        .extend((0..input.columns.len()).map(|n| col(&members, format!("s{n}"))));
                }
            } else if !input.columns.is_empty() {
                let at = eq(Expr::RowAddress(Some(name(&alias))), col("r", format!("row{i}")));
                source = source.join(JoinKind::Left, &records.table, &alias, at);
                brought.extend(input.columns.iter().map(|column| col(&alias, column)));
            }
            if self.looks_at_values() {
                let values = format!("values{i}");
                with.push((part(&values), self.values(i, input, records)));
                let at = eq(col(&values, "row"), col("r", "row"));
                source = source.join(JoinKind::Left, part(&values).as_str(), &values, at);
            }
        }
        let (orphan, source) = self.orphan(with, source);
        let (blocks, source) = self.blocks(with, source);

        let mut values: Vec<Expr> = self.ids().map(|k| col("r", id(k))).collect();
        values.push(version());
        if self.is_root() {
            values.push(col("r", "sample"));
        } else if self.plan.call.unchanged != Unchanged::None {
            values.push(col("r", "row"));
        }
        let mut provenances = Vec::new();
        let mut data_versions = Vec::new();
        for (k, field) in self.fields() {
            let field_name = &field.definition.name;
            let (c, p) = (format!("c{k}"), format!("p{k}"));
            let (current, stored) = match stored_rows {
                Some(_) => (col("t", &c), col("t", format!("d{k}"))),
                None if self.carries_texts() => (col("r", &c), text_or(null(), false)),
                None => (text_or(null(), false), text_or(null(), false)),
            };
            if !self.plan.texts {
                let reasons = self.reasons(k, field, &current);
                values.extend([col("r", &p), current, stored, reasons]);
                continue;
            }
            let expected = self.text_of(col("r", &p));
            let provenance = coalesce([expected.clone(), current.clone()]);
            // A field that is not stale keeps the data version that is stored, and so does one whose
            // expected provenance is not known: an orphan's, or one that lacks an input.
            let is_same = not(differs(expected.clone(), current.clone()));
            // A call forces what is not something worse than stale.
            let is_forced =
                || and([eq(col("r", "class"), class(Class::Stale)), col("r", "forced")]);
            let is_same = if self.can_force() { and([is_same, not(is_forced())]) } else { is_same };
            let kept = or([is_null(expected.clone()), is_same]);
            let keeps = if self.is_expansion() {
                null()
            } else {
                coalesce([stored.clone(), provenance.clone()])
            };
            let data_version = case([(kept, keeps)], Some(expected.clone()));
            provenances.push((field_name.clone(), provenance));
            data_versions.push((field_name.clone(), data_version));
            let reasons = self.reasons(k, field, &current);
            values.extend([expected, current, stored, reasons]);
        }
        if self.plan.texts {
            values.push(hash_of_values(self.plan.hash, provenances));
            values.push(hash_of_values(self.plan.hash, data_versions));
        }
        values.push(orphan);
        values.extend(blocks);
        values.extend(brought);

        let mut select = Select::default()
            .column(col("r", "class"), "class")
            .columns(["n", "n_older", "n_unsealed"].map(|count| (null(), count.to_owned())))
            .columns(values.into_iter().zip(self.row_columns()));
        select.from = Some(source);
        self.in_order(select.filter(or(self.answered())))
    }

    /// What is stored of the records that are answered, by the address of the row.
    fn stored(&self, records: &Records) -> Select {
        let of_row = eq(Expr::RowAddress(Some(name("t"))), col("r", "row"));
        let value = |kept_as: &ByField, column: &str, field: &Field| {
            by_field(kept_as, col("t", column), &field.definition.name)
        };
        Select::default()
            .column(col("r", "row"), "row")
            .column(col("t", system::FEATURE_VERSION), "version")
            .columns(self.fields().map(|(k, field)| {
                (value(&records.provenance, system::PROVENANCE_BY_FIELD, field), format!("c{k}"))
            }))
            .columns(self.fields().map(|(k, field)| {
                (
                    value(&records.data_version, system::DATA_VERSION_BY_FIELD, field),
                    format!("d{k}"),
                )
            }))
            .from(self.records("r").join(JoinKind::Inner, &records.table, "t", of_row))
            .filter(or(self.answered()))
    }

    /// The values of an input that stale records of another definition are computed from, by the address
    /// of the record's row.
    fn values(&self, i: usize, input: &Input, records: &Records) -> Select {
        let of_field = |field: &FieldDefinition, m: usize| {
            if input.grouped {
                return col("u", format!("v{m}"));
            }
            let values = col("u", system::DATA_VERSION_BY_FIELD);
            by_field(&records.data_version, values, &field.name)
        };
        let rows = self.records("r");
        let rows = if input.grouped {
            let on = same(input.on.iter().map(|(_, k)| (col("r", id(*k)), col("u", id(*k)))));
            rows.join(JoinKind::Inner, part(&format!("in{i}")).as_str(), "u", on)
        } else {
            let at = eq(Expr::RowAddress(Some(name("u"))), col("r", format!("row{i}")));
            rows.join(JoinKind::Inner, &records.table, "u", at)
        };
        Select::default()
            .column(col("r", "row"), "row")
            .columns(input.reads.iter().enumerate().map(|(m, f)| (of_field(f, m), format!("v{m}"))))
            .from(rows)
            .filter(and([eq(col("r", "class"), class(Class::Stale)), col("r", "older")]))
    }

    /// The conditions under which a record is in the increment.
    pub(super) fn answered(&self) -> Vec<Expr> {
        let is = |wanted| eq(col("r", "class"), class(wanted));
        if self.plan.call.limit.is_some() {
            return [Class::New, Class::Stale].map(is).into();
        }
        let mut any: Vec<Expr> =
            [Class::Orphaned, Class::Blocked, Class::New, Class::Stale].map(is).into();
        match (&self.plan.target.records, self.plan.call.unchanged) {
            (Some(_), Unchanged::Older) => {
                any.push(and([is(Class::Unchanged), col("r", "older")]));
            }
            (_, Unchanged::All) => any.push(is(Class::Unchanged)),
            _ => {}
        }
        if self.plan.waiting {
            any.push(is(Class::Waiting));
        }
        any
    }

    /// Rows in the order of the call, cut to its limit.
    fn in_order(&self, mut select: Select) -> Select {
        let call = &self.plan.call;
        if call.order_by.is_empty() && call.limit.is_none() {
            return select;
        }
        let ascending = |expr| Order { expr, descending: false };
        select.order_by.push(ascending(self.to_compute_first()));
        for (by, descending) in &call.order_by {
            let expr = match by {
                OrderBy::Id(k) => col("r", id(*k)),
                OrderBy::Brought(i, n) => match &self.inputs()[*i] {
                    Input { records: Some(_), columns, .. } => col(&format!("u{i}"), &columns[*n]),
                    _ => continue,
                },
                OrderBy::Class => col("r", "class"),
            };
            select.order_by.push(Order { expr, descending: *descending });
        }
        select.order_by.extend(self.ids().map(|k| ascending(col("r", id(k)))));
        select.limit = call.limit;
        select
    }

    /// Whether recorded definitions are asked what they would have made of today's values.
    fn looks_at_values(&self) -> bool {
        let is_there = |input: &Input| input.optional || input.records.is_some();
        self.looks_at_own() && self.inputs().iter().all(is_there)
    }

    /// Why a field of a stale record is stale, as a sum of bits; 0 if it is not.
    fn reasons(&self, k: usize, field: &Field, stored: &Expr) -> Expr {
        if self.plan.target.records.is_none() || !self.has(Class::Stale) {
            return as_code(code(0));
        }
        let stored = || stored.clone();
        let to_compare = || match self.is_expansion() {
            true => self.to_compare(stored()),
            false => col("r", format!("c{k}")),
        };
        let bit = |condition, bit| case([(condition, code(bit))], Some(code(0)));

        let added = is_null(stored());
        let differs_now = differs(to_compare(), col("r", format!("p{k}")));
        // Under the code version of the recorded definition today's values would differ already.
        // With other parents its pre-image cannot be formed from today's inputs.
        let upstream = if self.is_root() {
            differs_now.clone()
        } else {
            let mut whens = vec![(not(col("r", "older")), differs_now.clone())];
            // Nothing is stale where a required upstream has no table, and there is no row to look at.
            if self.looks_at_values() {
                let values = field.parts.iter().map(|part| {
                    let input = &self.inputs()[part.input];
                    let value = match &input.records {
                        None => null(),
                        Some(_) => {
                            let values = format!("values{}", part.input);
                            col(&values, format!("v{}", read_index(input, &part.field)))
                        }
                    };
                    optional_value(input, value)
                });
                let before = self.provenance(field, col("own", format!("code{k}")), values);
                whens.push((
                    eq(col("own", format!("parents{k}")), text(&field.definition.parents)),
                    differs(before, to_compare()),
                ));
            }
            case(whens, Some(bool(false)))
        };
        let sum = [
            bit(
                and([is_set(stored()), self.code_differs(col("r", "older"), k, field)]),
                reason::CODE,
            ),
            bit(added, reason::ADDED),
            bit(and([is_set(stored()), upstream]), reason::UPSTREAM),
        ]
        .into_iter()
        .chain(self.can_force().then(|| bit(col("r", "forced"), reason::FORCED)))
        .reduce(|l, r| binary(l, BinaryOp::Add, r))
        .expect("three bits");
        let is_stale = if self.is_root() {
            or([differs_now, self.code_differs(col("r", "older"), k, field)])
        } else {
            differs_now
        };
        let is_stale = if self.can_force() { or([is_stale, col("r", "forced")]) } else { is_stale };
        as_code(case(
            [(and([eq(col("r", "class"), class(Class::Stale)), is_stale]), sum)],
            Some(code(0)),
        ))
    }
}
