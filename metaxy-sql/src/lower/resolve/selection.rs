//! What a call asks for: which records are answered, and which are stale whatever they are made of.

use super::{Lowering, class};
use crate::ast::build::{
    and, binary, bool, call, case, coalesce, col, eq, from, int, is_null, is_set, name, not, null,
    or, text,
};
use crate::ast::{BinaryOp, Expr, From, JoinKind, Select};
use crate::filter::Filter;
use crate::functions::Function;
use crate::lower::{filter, from_part, hash_of_values, id, ids_text, part, seals};
use crate::plan::{Class, Failures};
use crate::system;

impl Lowering<'_> {
    /// Joins the stored rows (`t`), if the call looks at them. Of an expansion they are the seals, or,
    /// of an implied one, the latest child (`i`).
    pub(super) fn join_stored(&self, source: From, has_current: bool) -> From {
        let call = &self.plan.call;
        let Some(records) = &self.plan.target.records else { return source };
        if !has_current || (call.target.is_none() && call.stale_if.is_empty()) {
            return source;
        }
        let at = |alias: &str| eq(Expr::RowAddress(Some(name(alias))), col("c", "row"));
        let Some(of) = &records.seals else {
            return source.join(JoinKind::Left, &records.table, "t", at("t"));
        };
        let is_implied = || eq(col("c", "try"), int(seals::IMPLIED));
        let source = source.join(JoinKind::Left, &records.table, "i", and([is_implied(), at("i")]));
        match &of.table {
            Some(table) => {
                source.join(JoinKind::Left, table, "t", and([not(is_implied()), at("t")]))
            }
            None => source,
        }
    }

    /// A filter over the stored records. One that is not stored has its ids and nothing else.
    fn over_stored(&self, condition: &Filter, has_expected: bool, has_current: bool) -> Expr {
        let records = self.plan.target.records.as_ref();
        let column = |column: &str| {
            let ids = &self.plan.target.ids;
            if let Some(k) = ids.iter().position(|own| *own == column) {
                return self.either_id(k, has_expected, has_current);
            }
            let Some(records) = records else { return null() };
            match &records.seals {
                None => col("t", column),
                Some(of) if of.table.is_some() => coalesce([col("t", column), col("i", column)]),
                Some(_) => col("i", column),
            }
        };
        coalesce([filter(condition, &column), bool(false)])
    }

    /// Whether the call can make a record stale by itself.
    pub(super) fn can_force(&self) -> bool {
        self.plan.call.skip_comparison || !self.plan.call.stale_if.is_empty()
    }

    /// Whether a record is stale because the call says so, if it is not something worse.
    pub(super) fn forced(&self, has_expected: bool, has_current: bool) -> Expr {
        if self.plan.call.skip_comparison || !has_current {
            return bool(self.plan.call.skip_comparison);
        }
        or(self
            .plan
            .call
            .stale_if
            .iter()
            .map(|condition| self.over_stored(condition, has_expected, has_current)))
    }

    /// The conditions under which a record is answered.
    pub(super) fn asked(&self, has_expected: bool, has_current: bool) -> Vec<Expr> {
        let plan = &self.plan.call;
        let mut conditions = Vec::new();
        if !plan.selects {
            return conditions;
        }
        if !has_expected {
            // There are orphans alone.
            return vec![bool(false)];
        }
        conditions.push(is_set(col("e", "here")));
        for (i, input) in self.inputs().iter().enumerate() {
            if input.asked.is_some() {
                conditions.push(col("e", format!("asked{i}")));
            }
        }
        if let Some(target) = &plan.target {
            conditions.push(self.over_stored(target, has_expected, has_current));
        }
        if let Some((index, of)) = plan.shard {
            let ids = ids_text(self.ids().map(|k| col("e", id(k))));
            let number = |n: u64| int(i64::try_from(n).unwrap_or(i64::MAX));
            conditions.push(eq(call(Function::Shard, [ids, number(of)]), number(index)));
        }
        conditions
    }

    /// What is judged, without records that have failed with the inputs that they have today.
    pub(super) fn without_failed(&self, failures: &Failures, columns: &[String]) -> Select {
        let provenances = self
            .fields()
            .map(|(k, field)| {
                (field.definition.name.clone(), self.text_of(col("j", format!("p{k}"))))
            })
            .collect();
        let on = and([
            eq(col("f", "ids"), ids_text(self.ids().map(|k| col("j", id(k))))),
            eq(col("f", "provenance"), hash_of_values(self.plan.hash, provenances)),
        ]);
        let source =
            from_part("judged", "j").join(JoinKind::Left, part("failed").as_str(), "f", on);
        let to_compute = [Class::New, Class::Stale].map(|of| eq(col("j", "class"), class(of)));
        let mut kept = vec![not(or(to_compute)), is_null(col("f", "n"))];
        if let Some((attempts, before)) = failures.retry {
            let attempts = int(i64::try_from(attempts).unwrap_or(i64::MAX));
            kept.push(and([
                not(binary(attempts, BinaryOp::LtEq, col("f", "n"))),
                binary(col("f", "last"), BinaryOp::LtEq, int(before)),
            ]));
        }
        Select::default()
            .columns(columns.iter().map(|column| (col("j", column), column.clone())))
            .from(source)
            .filter(or(kept))
    }

    /// The class that comes first among rows that are ordered: what is to be computed.
    pub(super) fn to_compute_first(&self) -> Expr {
        let to_compute = [Class::New, Class::Stale].map(|of| eq(col("r", "class"), class(of)));
        case([(or(to_compute), int(0))], Some(int(1)))
    }
}

/// How often each record has failed with which inputs, and when it did last.
pub(super) fn failed(failures: &Failures) -> Select {
    use system::failures::{FAILED_AT, FEATURE_KEY, IDS, PROVENANCE};
    let last = call(Function::Max, [call(Function::EpochMicros, [col("x", FAILED_AT)])]);
    Select::default()
        .column(col("x", IDS), "ids")
        .column(col("x", PROVENANCE), "provenance")
        .column(call(Function::CountAll, []), "n")
        .column(last, "last")
        .from(from(&failures.table, "x"))
        .filter(eq(col("x", FEATURE_KEY), text(&failures.key)))
        .group_by([col("x", IDS), col("x", PROVENANCE)])
}
