//! What has changed since an earlier resolve: the records that have to be looked at again, and the rows of
//! theirs alone.
//!
//! The named parts that are added:
//! - `touches`: the ids of rows that are later than the earlier resolve, of every table that it has read,
//!   and of records that were not unchanged then; `touched` has each of them once;
//! - `last`: per touched record the address of its latest row in the target's table, and what the one said
//!   that was the latest then (`before`).
//!
//! A record that is not touched is what it was, unchanged: all rows of its that decide were there. Of one
//! that is touched all rows are looked at, the older ones too, since the latest is not the last that was
//! appended.

use super::{Lowering, as_code, class};
use crate::ast::build::{
    and, binary, call, case, col, differs, eq, from, int, is_set, name, not, or, text,
};
use crate::ast::{BinaryOp, Expr, From, Select};
use crate::functions::Function;
use crate::ident::Ident;
use crate::lower::{from_part, id, ids_of, is_live, latest, latest_of, order_of, part};
use crate::plan::{Class, Expected, Input, Records, Since};
use crate::system;

/// What the latest row of a record said at the earlier resolve. It is found in the scan that finds the row: a
/// look at the table again would be a join with all of it.
mod before {
    use super::{Expr, Records, and, case, col, differs, int, is_live, system, text};

    /// The record was deleted.
    const DELETED: i64 = 0;
    /// Today's definition wrote it.
    pub(super) const TODAYS: i64 = 1;
    /// Another one did.
    pub(super) const OLDER: i64 = 2;

    /// The code of a row `h`; none is NULL, which an aggregate would skip.
    pub(super) fn code(records: &Records) -> Expr {
        let version = col("h", system::FEATURE_VERSION);
        let older = and([is_live("h"), differs(version, text(&records.version))]);
        let whens = [(older, int(OLDER)), (is_live("h"), int(TODAYS))];
        case(whens, Some(int(DELETED)))
    }
}

impl Lowering<'_> {
    /// Adds the parts that say which records are looked at, where these are not all.
    pub(super) fn touched(&self, with: &mut Vec<(Ident, Select)>) {
        let Some((since, records)) = self.since() else { return };
        let mut touches =
            self.ids_from(from(&since.pending, "h"), self.ids().map(|k| col("h", id(k))));
        let inputs = self.inputs().iter().zip(&since.inputs);
        touches.union_all = inputs
            .filter_map(|(input, next)| {
                let table = &input.records.as_ref()?.table;
                Some(self.later(table, *next, self.ids_in(input)))
            })
            .chain([self.later(&records.table, since.target, ids_of(records, "h"))])
            .collect();
        let touched = self.ids_from(from_part("touches", "h"), self.ids().map(|k| col("h", id(k))));
        let is_earlier = binary(address("h"), BinaryOp::Lt, int(since.target));
        let was_there = case([(is_earlier, order_of(records, "h"))], None);
        let last = self
            .ids_from(from(&records.table, "h"), ids_of(records, "h"))
            .column(call(Function::MaxBy, [address("h"), order_of(records, "h")]), "row")
            .column(call(Function::MaxBy, [before::code(records), was_there]), "before")
            .filter(self.is_touched(ids_of(records, "h")))
            .group_by(ids_of(records, "h"));
        with.push((part("touches"), touches));
        with.push((part("touched"), Select { distinct: true, ..touched }));
        with.push((part("last"), last));
    }

    /// The latest row of each record of an input, as far as records are looked at.
    pub(super) fn latest_of_input(&self, input: &Input, records: &Records) -> From {
        match self.since() {
            None => latest(records, "u", None),
            Some(_) => {
                let touched = self.is_touched(self.ids_in(input));
                latest_of(records, "u", from(&records.table, "h"), Some(touched))
            }
        }
    }

    /// The same of the target; where samples are partial, of those of its records that they have.
    pub(super) fn latest_of_target(&self, records: &Records) -> Select {
        if self.since().is_some() {
            let last = Select::default().column(col("l", "row"), "row");
            let last = last.from(from_part("last", "l"));
            return Select::default()
                .from(from(&records.table, "u"))
                .filter(Expr::In(vec![address("u")], Box::new(last)));
        }
        let given = match &self.plan.expected {
            Expected::Samples { stage, complete: false } => {
                let ids = self.ids().map(|k| col("s", id(k)));
                let given = self.ids_from(from(stage, "s"), ids);
                Some(Expr::In(ids_of(records, "h"), Box::new(given)))
            }
            _ => None,
        };
        Select::default().from(latest_of(records, "u", from(&records.table, "h"), given))
    }

    /// How many records are unchanged besides those that are looked at: those that were, without those
    /// of them that are touched.
    pub(super) fn unchanged_since(&self, class_column: &str) -> Option<Select> {
        let (since, _) = self.since()?;
        let pending = self.ids_from(from(&since.pending, "x"), self.ids().map(|k| col("x", id(k))));
        let was_pending =
            Expr::In(self.ids().map(|k| col("l", id(k))).collect(), Box::new(pending));
        let without = |n: i64, touched: Expr| binary(int(n), BinaryOp::Sub, touched);
        let was = |code: i64| eq(col("l", "before"), int(code));
        let older = was(before::OLDER);
        let select = Select::default()
            .column(as_code(class(Class::Unchanged)), class_column)
            .column(without(since.unchanged, call(Function::CountAll, [])), "n")
            .column(without(since.unchanged_older, call(Function::CountIf, [older])), "n_older")
            .column(int(0), "n_unsealed");
        let was_live = or([was(before::TODAYS), was(before::OLDER)]);
        Some(select.from(from_part("last", "l")).filter(and([was_live, not(was_pending)])))
    }

    /// The earlier resolve, and the target's table, which it has read.
    pub(super) fn since(&self) -> Option<(&Since, &Records)> {
        self.plan.since.as_ref().zip(self.plan.target.records.as_ref())
    }

    /// Whether a record is looked at.
    fn is_touched(&self, ids: Vec<Expr>) -> Expr {
        let touched = self.ids_from(from_part("touched", "t"), self.ids().map(|k| col("t", id(k))));
        Expr::In(ids, Box::new(touched))
    }

    /// The ids of rows `h` of a table that are later than the earlier resolve.
    fn later(&self, table: &str, next: i64, ids: Vec<Expr>) -> Select {
        let is_whole = and(ids.iter().cloned().map(is_set));
        self.ids_from(from(table, "h"), ids)
            .filter(binary(address("h"), BinaryOp::GtEq, int(next)))
            .filter(is_whole)
    }

    /// The target's ids, by the names that rows `h` of an input's table have for them.
    fn ids_in(&self, input: &Input) -> Vec<Expr> {
        let column = |k| input.on.iter().find(|(_, place)| *place == k);
        self.ids().filter_map(column).map(|(own, _)| col("h", own)).collect()
    }

    fn ids_from(&self, source: From, ids: impl IntoIterator<Item = Expr>) -> Select {
        Select::default().columns(ids.into_iter().zip(self.ids().map(id))).from(source)
    }
}

fn address(alias: &str) -> Expr {
    Expr::RowAddress(Some(name(alias)))
}
