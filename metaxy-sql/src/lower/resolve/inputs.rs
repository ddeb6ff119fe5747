//! What records should be: inputs, and their join.

use super::{Lowering, as_code, code};
use crate::ast::build::{
    and, bool, call, case, coalesce, col, eq, from, int, is_null, is_set, name, not, null, or, text,
};
use crate::ast::{Expr, From, JoinKind, Select};
use crate::functions::Function;
use crate::ident::Ident;
use crate::lower::{
    by_field, filter, from_part, has_ids, hash, id, ids_of, is_current, is_live, part, raw_hash,
    same, seals,
};
use crate::plan::{Class, Expected, Field, Input, Records, block};
use crate::system;

impl Lowering<'_> {
    /// Adds the parts that give `expected`, if it can have rows.
    pub(super) fn expected(&self, with: &mut Vec<(Ident, Select)>) {
        match &self.plan.expected {
            Expected::Samples { stage, .. } => {
                let select = Select::default()
                    .columns(self.ids().map(|k| (col("s", id(k)), id(k))))
                    .column(Expr::RowAddress(Some(name("s"))), "row")
                    .columns(self.fields().flat_map(|(k, _)| {
                        ["p", "d"]
                            .map(|kind| (col("s", format!("{kind}{k}")), format!("{kind}{k}")))
                    }))
                    .from(from(stage, "s"));
                with.push((part("expected"), select));
            }
            Expected::Inputs(inputs) => {
                for (i, input) in inputs.iter().enumerate() {
                    if let Some(records) = &input.records {
                        with.extend(seals::in_force(records, &[], None));
                        self.input(with, i, input, records);
                    }
                }
                if self.has_expected() {
                    with.push((part("expected"), self.joined(inputs)));
                }
            }
        }
    }

    /// Whether it can have rows: not where an input has no table that all records need.
    pub(super) fn has_expected(&self) -> bool {
        let Expected::Inputs(inputs) = &self.plan.expected else { return true };
        let is_there = |input: &Input| input.records.is_some();
        if all_optional(inputs) {
            inputs.iter().any(is_there)
        } else {
            inputs.iter().filter(|input| !input.optional).all(is_there)
        }
    }

    /// One input: the latest row of each of its records, or a row for each group of them.
    fn input(&self, with: &mut Vec<(Ident, Select)>, i: usize, input: &Input, records: &Records) {
        let value = |field: &str| {
            by_field(&records.data_version, col("u", system::DATA_VERSION_BY_FIELD), field)
        };
        let outdated = not(is_current(records, "u", self.agreeing(records, &input.reads)));
        let of_table = |column: &str| col("u", column);
        let mut rows = Select::default()
            .columns(input.on.iter().map(|(own, k)| (col("u", own), id(*k))))
            .columns(
                input
                    .reads
                    .iter()
                    .enumerate()
                    .map(|(m, field)| (value(&field.name), format!("v{m}"))),
            )
            .from(self.latest_of_input(input, records))
            .filter(is_live("u"))
            .filter(has_ids(records, "u"));
        if let Some(declared) = &input.filter {
            rows = rows.filter(filter(declared, &of_table));
        }
        if let Some(asked) = &input.asked {
            let asked = coalesce([filter(asked, &of_table), bool(false)]);
            rows = rows.column(asked, "asked");
        }
        if input.grouped {
            let order = ids_of(records, "u").into_iter().enumerate();
            rows = rows
                .columns(order.map(|(j, own)| (own, format!("order{j}"))))
                .column(Expr::RowAddress(Some(name("u"))), "row")
                .column(outdated, "outdated");
            // A row without a group is in none.
            let has_group = and(input.on.iter().map(|(own, _)| is_set(col("u", own))));
            with.push((part(&format!("rows{i}")), rows.filter(has_group)));
            with.push((part(&format!("in{i}")), self.groups(i, input, records)));
            return;
        }
        let lacks = input.reads.iter().map(|field| is_null(value(&field.name)));
        let block = block_of(input, outdated, or(lacks));
        rows = rows.column(Expr::RowAddress(Some(name("u"))), "row").column(block, "block");
        with.push((part(&format!("in{i}")), rows));
    }

    /// The members of groups, reduced to a row for each group: the value of a field is the hash over
    /// those of the members, in the order of their ids (wire format, section 2.4).
    fn groups(&self, i: usize, input: &Input, records: &Records) -> Select {
        let order: Vec<Expr> =
            (0..records.ids.len()).map(|j| col("m", format!("order{j}"))).collect();
        let joined = |m: usize| Expr::JoinTexts {
            value: Box::new(col("m", format!("v{m}"))),
            order_by: order.clone(),
        };
        let any = |condition| not(eq(call(Function::CountIf, [condition]), int(0)));
        let lacks = (0..input.reads.len())
            .map(|m| eq(call(Function::CountIf, [is_set(col("m", format!("v{m}")))]), int(0)));
        let block = block_of(input, any(col("m", "outdated")), or(lacks));
        let mut select = Select::default()
            .columns(input.on.iter().map(|(_, k)| (col("m", id(*k)), id(*k))))
            .column(int(1), "row")
            .column(block, "block")
            .columns(
                (0..input.reads.len())
                    .map(|m| (hash(self.plan.hash, [joined(m)]), format!("v{m}"))),
            )
            .from(from_part(&format!("rows{i}"), "m"))
            .group_by(input.on.iter().map(|(_, k)| col("m", id(*k))));
        if input.asked.is_some() {
            select = select.column(any(col("m", "asked")), "asked");
        }
        select
    }

    /// What the members of groups bring to the records that are answered: a list for each column.
    pub(super) fn members(&self, i: usize, input: &Input, records: &Records) -> Select {
        let order = |alias| (0..records.ids.len()).map(move |j| col(alias, format!("order{j}")));
        let keys = || input.on.iter().map(|(_, k)| (col("m", id(*k)), id(*k)));
        let answered = [Class::Blocked, Class::New, Class::Stale]
            .map(|wanted| eq(col("r", "class"), super::class(wanted)));
        // Several records may belong to one group.
        let wanted = Select {
            distinct: true,
            ..Select::default()
                .columns(input.on.iter().map(|(_, k)| (col("r", id(*k)), id(*k))))
                .from(self.records("r"))
                .filter(or(answered))
        };
        let of_row = eq(Expr::RowAddress(Some(name("u"))), col("m", "row"));
        let source = from_part(&format!("rows{i}"), "m");
        let source = source.join(JoinKind::Inner, &records.table, "u", of_row);
        let list = |column: &String| Expr::ListOf {
            value: Box::new(col("u", column)),
            order_by: order("m").collect(),
        };
        let lists = input.columns.iter().enumerate();
        Select::default()
            .columns(keys())
            .columns(lists.map(|(n, column)| (list(column), format!("s{n}"))))
            .from(source)
            .filter(Expr::In(keys().map(|(key, _)| key).collect(), Box::new(wanted)))
            .group_by(keys().map(|(key, _)| key))
    }

    /// The join of all inputs on the ids that they share: required ones first, then the optional
    /// ones on the left side's ids; where all are optional, any of them is enough.
    fn joined(&self, inputs: &[Input]) -> Select {
        let alias = |i: usize| format!("in{i}");
        let full = all_optional(inputs);
        let is_there = |i: &usize| inputs[*i].records.is_some();
        let required = (0..inputs.len()).filter(|i| !inputs[*i].optional);
        let optional = (0..inputs.len()).filter(|i| inputs[*i].optional);
        let order: Vec<usize> = required.chain(optional).filter(is_there).collect();
        let has = |i: usize, k: usize| inputs[i].on.iter().any(|(_, id)| *id == k);
        // The first input that has an id gives it; where any may be absent, the first that is there.
        let giver = |among: &[usize], k: usize| {
            let mut givers = among.iter().filter(|i| has(**i, k)).map(|i| col(&alias(*i), id(k)));
            let first = givers.next().unwrap_or_else(null);
            let others: Vec<Expr> = if full { givers.collect() } else { Vec::new() };
            if others.is_empty() { first } else { coalesce([first].into_iter().chain(others)) }
        };
        let mut source: Option<From> = None;
        for (n, i) in order.iter().enumerate() {
            source = Some(match source {
                None => from_part(&alias(*i), &alias(*i)),
                Some(joined) => {
                    let before = &order[..n];
                    let shared = inputs[*i]
                        .on
                        .iter()
                        .map(|(_, k)| *k)
                        .filter(|k| before.iter().any(|before| has(*before, *k)));
                    let on = same(shared.map(|k| (giver(before, k), col(&alias(*i), id(k)))));
                    let kind = match (full, inputs[*i].optional) {
                        (true, _) => JoinKind::Full,
                        (false, true) => JoinKind::Left,
                        (false, false) => JoinKind::Inner,
                    };
                    joined.join(kind, part(&alias(*i)).as_str(), &alias(*i), on)
                }
            });
        }
        let of_input = |i: usize, column: &str, absent: Expr| {
            if is_there(&i) { col(&alias(i), column) } else { absent }
        };
        let mut select = Select::default()
            .columns(self.ids().map(|k| (giver(&order, k), id(k))))
            .column(int(1), "here")
            .columns((0..inputs.len()).map(|i| {
                let row = if inputs[i].grouped { null() } else { of_input(i, "row", null()) };
                (row, format!("row{i}"))
            }))
            .columns((0..inputs.len()).map(|i| {
                let free = || as_code(code(block::FREE));
                let block = of_input(i, "block", free());
                let block = if inputs[i].optional { coalesce([block, free()]) } else { block };
                (block, format!("block{i}"))
            }))
            .columns(self.fields().map(|(k, field)| {
                let values = field.parts.iter().map(|part| {
                    let input = &inputs[part.input];
                    let m = read_index(input, &part.field);
                    let value = of_input(part.input, &format!("v{m}"), null());
                    optional_value(input, value)
                });
                let today = text(&field.definition.code_version);
                (self.provenance(field, today, values), format!("p{k}"))
            }))
            .columns((0..inputs.len()).filter(|i| inputs[*i].asked.is_some()).map(|i| {
                let asked = of_input(i, "asked", bool(false));
                (coalesce([asked, bool(false)]), format!("asked{i}"))
            }));
        select.from = source;
        select
    }

    /// The pre-image of a field, hashed (wire format, section 2.1):
    /// `label|code version|parent label|value|..`; as the database computes it.
    pub(super) fn provenance(
        &self,
        field: &Field,
        code_version: Expr,
        values: impl IntoIterator<Item = Expr>,
    ) -> Expr {
        let mut parts = vec![text(&field.label), text("|"), code_version];
        for (part, value) in field.parts.iter().zip(values) {
            parts.extend([text("|"), text(&part.label), text("|"), value]);
        }
        raw_hash(self.plan.hash, parts)
    }
}

/// Whether no input is required: then any of them is enough.
pub(super) fn all_optional(inputs: &[Input]) -> bool {
    inputs.iter().all(|input| input.optional)
}

/// What is hashed for a value of an optional input: an absent one is the empty text (wire format,
/// section 2.3).
pub(super) fn optional_value(input: &Input, value: Expr) -> Expr {
    if input.optional { coalesce([value, text("")]) } else { value }
}

/// Whether a row of an input is fit to be read. What an optional one lacks is hashed as if it were
/// absent.
fn block_of(input: &Input, outdated: Expr, lacks: Expr) -> Expr {
    let mut blocks = vec![(outdated, code(block::STALE))];
    if !input.optional && !input.reads.is_empty() {
        blocks.push((lacks, code(block::NO_VERSION)));
    }
    as_code(case(blocks, Some(code(block::FREE))))
}

/// The place of a field among those that are read from an input.
pub(super) fn read_index(input: &Input, field: &str) -> usize {
    input
        .reads
        .iter()
        .position(|read| read.name == field)
        .expect("a plan lists every field that it reads")
}
