//! Why a record is orphaned, and what a blocked one waits for.

use super::inputs::all_optional;
use super::{Lowering, as_code, class, code};
use crate::ast::build::{
    bool, call, case, coalesce, col, eq, from, int, is_null, is_set, name, not, null, or, text,
};
use crate::ast::{Expr, From, JoinKind, Select};
use crate::functions::Function;
use crate::ident::Ident;
use crate::lower::{
    filter, id, ids_of, ids_text, is_current, is_live, latest, order_of, part, same, seals,
};
use crate::plan::{Class, Input, Records, Seals, Source, block, orphan};
use crate::system;

/// What an input tells of an orphan.
mod trace {
    /// Nothing: no row, or none that is known to have been there.
    pub(super) const NONE: i64 = 0;
    /// It is there, but left out, or in another group.
    pub(super) const EXCLUDED: i64 = 1;
    /// It was deleted.
    pub(super) const GONE: i64 = 2;
    /// It is there and is read: no reason to be an orphan.
    pub(super) const HERE: i64 = 3;
}

impl Lowering<'_> {
    /// What became of an orphan: the first of gone, excluded and missing that an input tells.
    pub(super) fn orphan(&self, with: &mut Vec<(Ident, Select)>, mut source: From) -> (Expr, From) {
        let is_orphan = || eq(col("r", "class"), class(Class::Orphaned));
        if self.is_root() {
            return (as_code(case([(is_orphan(), code(orphan::GONE))], None)), source);
        }
        // Without a table of its own a feature has no orphans. To look for them nevertheless would be a
        // join of all that is new with nothing.
        let can_be_orphaned = self.plan.target.records.is_some() && self.has(Class::Orphaned);
        if self.plan.call.selects || !can_be_orphaned {
            return (as_code(null()), source);
        }
        // An optional input that has no row is no reason, unless any of them would be enough.
        let all_optional = all_optional(self.inputs());
        let to_blame = |input: &&Input| all_optional || !input.optional;
        let mut traces = Vec::new();
        for (i, input) in self.inputs().iter().enumerate().filter(|(_, input)| to_blame(input)) {
            let mut found = int(trace::NONE);
            if let Some(records) = &input.records {
                let alias = format!("trace{i}");
                self.trace(with, i, input, records);
                let same_ids = |alias: &str| {
                    let ids = input.on.iter().map(|(_, k)| (*k, col(alias, id(*k))));
                    same_in_class(Class::Orphaned, ids)
                };
                source =
                    source.join(JoinKind::Left, part(&alias).as_str(), &alias, same_ids(&alias));
                let state = || coalesce([col(&alias, "state"), int(trace::NONE)]);
                let is_here = if tells_of_latest(input) {
                    eq(state(), int(trace::HERE))
                } else {
                    let here = format!("here{i}");
                    let on = same_ids(&here);
                    let inputs = part(&format!("in{i}"));
                    source = source.join(JoinKind::Left, inputs.as_str(), &here, on);
                    is_set(col(&here, "row"))
                };
                let state = match self.was_removed(input) {
                    Some(removed) => case([(removed, int(trace::GONE))], Some(state())),
                    None => state(),
                };
                found = case([(is_here, int(trace::NONE))], Some(state));
            } else if let Some(removed) = self.was_removed(input) {
                found = case([(removed, int(trace::GONE))], Some(found));
            }
            traces.push(found);
        }
        let any = |state: i64| or(traces.iter().map(|found| eq(found.clone(), int(state))));
        let cause = case(
            [
                (any(trace::GONE), code(orphan::GONE)),
                (any(trace::EXCLUDED), code(orphan::EXCLUDED)),
            ],
            Some(code(orphan::MISSING)),
        );
        (as_code(case([(is_orphan(), cause)], None)), source)
    }

    /// That the history of the record that an orphan was computed from was removed.
    fn was_removed(&self, input: &Input) -> Option<Expr> {
        use system::removed::{FEATURE_KEY, IDS_HASH};
        let table = self.plan.removed.as_deref().filter(|_| !input.grouped)?;
        // In the order of the input's ids, which is that of `on`.
        let ids = ids_text(input.on.iter().map(|(_, k)| col("r", id(*k))));
        let removed = Select::default()
            .column(col("x", IDS_HASH), "ids")
            .from(from(table, "x"))
            .filter(eq(col("x", FEATURE_KEY), text(&input.key)));
        Some(Expr::In(vec![call(Function::Md5, [ids])], Box::new(removed)))
    }

    /// Adds the parts that give what the rows of an input, however old, tell of orphans that would be
    /// computed from them: `trace{i}` is the last of them.
    fn trace(&self, with: &mut Vec<(Ident, Select)>, i: usize, input: &Input, records: &Records) {
        if tells_of_latest(input) {
            let mut whens = vec![(is_set(col("u", system::DELETED_AT)), int(trace::GONE))];
            if let Some(declared) = &input.filter {
                let fits = filter(declared, &|column: &str| col("u", column));
                whens.push((not(coalesce([fits, bool(false)])), int(trace::EXCLUDED)));
            }
            let ids: Vec<usize> = input.on.iter().map(|(_, k)| *k).collect();
            let state = case(whens, Some(int(trace::HERE)));
            let select = self.latest_state(Class::Orphaned, records, &ids, state);
            with.push((part(&format!("trace{i}")), select));
            return;
        }
        let wanted = self.of_class(Class::Orphaned, input.on.iter().map(|(_, k)| *k));
        let on = |alias: &'static str| input.on.iter().map(move |(own, _)| col(alias, own));
        let is_wanted = |alias| Expr::In(on(alias).collect(), Box::new(wanted.clone()));
        let rows = from(&records.table, "u");
        let (rows, state) = match &records.seals {
            None => {
                let deleted = Select::default()
                    .column(Expr::RowAddress(Some(name("x"))), "row")
                    .from(latest(records, "x", None))
                    .filter(is_set(col("x", system::DELETED_AT)))
                    .filter(is_wanted("x"));
                let name_of_part = part(&format!("deleted{i}"));
                let same_row = eq(Expr::RowAddress(Some(name("u"))), col("d", "row"));
                let rows = rows.join(JoinKind::Left, name_of_part.as_str(), "d", same_row);
                with.push((name_of_part, deleted));
                let was_deleted = is_set(col("d", "row"));
                (rows, case([(was_deleted, int(trace::GONE))], Some(int(trace::EXCLUDED))))
            }
            Some(seals) => children(with, i, records, seals, rows),
        };
        let select = Select::default()
            .columns(input.on.iter().map(|(own, k)| (col("u", own), id(*k))))
            .column(call(Function::Max, [state]), "state")
            .from(rows)
            .filter(is_wanted("u"))
            .group_by(on("u"));
        with.push((part(&format!("trace{i}")), select));
    }

    /// Per input, what a blocked record waits for.
    pub(super) fn blocks(
        &self,
        with: &mut Vec<(Ident, Select)>,
        mut source: From,
    ) -> (Vec<Expr>, From) {
        let is_blocked = || eq(col("r", "class"), class(Class::Blocked));
        // What has never been computed waits, and is not blocked.
        let can_be_blocked =
            self.has_expected() && self.plan.target.records.is_some() && self.has(Class::Blocked);
        let mut blocks = Vec::new();
        for (i, input) in self.inputs().iter().enumerate() {
            if !can_be_blocked || input.records.is_none() {
                blocks.push(as_code(null()));
                continue;
            }
            let mut orphaned = Vec::new();
            let mut blocked = Vec::new();
            for (j, Source { records, ids, reads }) in input.sources.iter().enumerate() {
                let Some(records) = records else {
                    orphaned.push(bool(true));
                    continue;
                };
                let need = format!("need{i}_{j}");
                let agreeing = self.agreeing(records, reads);
                let state = case(
                    [
                        (is_set(col("u", system::DELETED_AT)), code(block::ORPHANED)),
                        (not(is_current(records, "u", agreeing)), code(block::BLOCKED)),
                    ],
                    Some(code(block::STALE)),
                );
                // The ids of the source, by the target's names.
                let ids: Vec<usize> = ids.iter().map(|of| place_of(input, *of)).collect();
                let select = self.latest_state(Class::Blocked, records, &ids, state);
                with.push((part(&need), select));
                let of_need = ids.iter().map(|k| (*k, col(&need, id(*k))));
                let on = same_in_class(Class::Blocked, of_need);
                source = source.join(JoinKind::Left, part(&need).as_str(), &need, on);
                let state = || coalesce([col(&need, "state"), code(block::ORPHANED)]);
                orphaned.push(eq(state(), code(block::ORPHANED)));
                blocked.push(eq(state(), code(block::BLOCKED)));
            }
            let own = col("r", format!("block{i}"));
            let needs = case(
                [
                    (not(eq(own.clone(), code(block::STALE))), own),
                    (or(orphaned), code(block::ORPHANED)),
                    (or(blocked), code(block::BLOCKED)),
                ],
                Some(code(block::STALE)),
            );
            blocks.push(as_code(case([(is_blocked(), needs)], None)));
        }
        (blocks, source)
    }

    /// Something about the latest row, tombstones included, of the records that those of a class are computed
    /// from.
    fn latest_state(&self, of: Class, records: &Records, ids: &[usize], state: Expr) -> Select {
        let wanted = self.of_class(of, ids.iter().copied());
        Select::default()
            .columns(records.ids.iter().zip(ids).map(|(own, k)| (col("u", own), id(*k))))
            .column(call(Function::MaxBy, [state, order_of(records, "u")]), "state")
            .from(from(&records.table, "u"))
            .filter(Expr::In(ids_of(records, "u"), Box::new(wanted)))
            .group_by(ids_of(records, "u"))
    }

    /// These ids of the records of a class.
    fn of_class(&self, of: Class, ids: impl Iterator<Item = usize>) -> Select {
        Select::default()
            .columns(ids.map(|k| (col("r", id(k)), id(k))))
            .from(self.records("r"))
            .filter(eq(col("r", "class"), class(of)))
    }
}

/// Whether the latest row of a record of an input tells all that can be told of its orphans. A row of a
/// group can have been in another one before, and of children the seals tell.
pub(super) fn tells_of_latest(input: &Input) -> bool {
    !input.grouped && input.records.as_ref().is_none_or(|records| records.seals.is_none())
}

/// That a record `r` of a class has these ids. Others have none to compare: a class of its own beside
/// the equalities would keep a database from a hash join.
fn same_in_class(of: Class, ids: impl Iterator<Item = (usize, Expr)>) -> Expr {
    let of_class = |k| case([(eq(col("r", "class"), class(of)), col("r", id(k)))], None);
    same(ids.map(|(k, other)| (of_class(k), other)))
}

/// The target's id that an id of an input's records equals.
///
/// An input that is looked at like this is joined on all its ids, in their order.
fn place_of(input: &Input, of: usize) -> usize {
    input.on.get(of).map_or(0, |(_, k)| *k)
}

/// What the rows `u` of children tell: the record is there, or it is not though its parent's seal is,
/// or the parent is not done.
fn children(
    with: &mut Vec<(Ident, Select)>,
    i: usize,
    records: &Records,
    of: &Seals,
    rows: From,
) -> (From, Expr) {
    let [settled, there] = ["settled", "there"].map(|what| part(&format!("{what}{i}")));
    with.push((settled.clone(), seals::settled(records, of)));
    let live = Select::default()
        .columns(ids_of(records, "x").into_iter().enumerate().map(|(k, own)| (own, id(k))))
        .from(latest(records, "x", None))
        .filter(is_live("x"));
    with.push((there.clone(), live));
    let same_parent = same(
        seals::parents(records, of)
            .enumerate()
            .map(|(k, own)| (col("u", own), col("s", seals::parent(k)))),
    );
    let same_ids =
        same(ids_of(records, "u").into_iter().enumerate().map(|(k, own)| (own, col("x", id(k)))));
    let rows = rows.join(JoinKind::Left, settled.as_str(), "s", same_parent).join(
        JoinKind::Left,
        there.as_str(),
        "x",
        same_ids,
    );
    let state = case(
        [
            (is_null(col("s", seals::parent(0))), int(trace::NONE)),
            (is_set(col("x", id(0))), int(trace::EXCLUDED)),
        ],
        Some(int(trace::GONE)),
    );
    (rows, state)
}
