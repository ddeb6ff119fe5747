//! Deletions and what undoes them, and the removal of what is superseded.
//!
//! A deletion marks records (soft) or removes all of their rows (hard). Of an expansion it may be
//! about single children or about parents, whose seal it then marks or removes.

use super::compare::{Cause, Class};
use super::filters;
use super::hash::ids_md5;
use super::rows::{InForce, Row, Seal, State, View};
use super::rule::Rule;
use super::value::{Ids, Value};
use super::writes::{Stamp, clear_failures, texts};
use crate::error::{Error, Result};
use crate::key::FeatureKey;
use crate::store::backend::{
    Delete, DeleteOptions, Deleted, FeatureContext, ResolveOptions, VacuumOptions, WriteOptions,
    Written,
};
use crate::store::filters::over_rows;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// What a deletion is about.
#[derive(Debug, Default)]
struct Meant {
    records: BTreeSet<Ids>,
    /// Of an expansion.
    parents: BTreeSet<Ids>,
}

impl View<'_> {
    /// The records that a call names, by their ids or by a filter over some rows.
    fn meant<'r>(&self, which: &Delete, rows: impl Iterator<Item = &'r Row>) -> Result<Meant> {
        let mut meant = Meant::default();
        match which {
            Delete::Ids(batches) => {
                for batch in batches {
                    match self.parent_names() {
                        Some(names) if batch.num_columns() == names.len() => {
                            meant.parents.extend(self.ids_of(batch, &names)?);
                        }
                        _ => meant.records.extend(self.ids_of(batch, self.ids())?),
                    }
                }
            }
            Delete::Filter(text) => {
                let filter = over_rows(&self.feature, [text], self)?;
                let rows = rows.filter(|row| filters::hold_for(&filter, row));
                meant.records = rows.map(|row| row.get(self.ids())).collect();
            }
            Delete::Orphans { missing } => {
                if self.feature.is_root() {
                    return Err(Error::WrongKind {
                        feature: self.key().clone(),
                        problem: "has no upstream that it could be compared with",
                        fix: "`store.sync(samples)` compares samples with what is stored",
                    });
                }
                meant = self.orphans(*missing, &BTreeSet::new())?;
            }
        }
        Ok(meant)
    }

    /// The orphans that a deletion takes, but for these.
    fn orphans(&self, missing: bool, but: &BTreeSet<Ids>) -> Result<Meant> {
        let records = self.resolve(&ResolveOptions::default())?.records.into_iter();
        let orphans = records.filter(|record| match record.class {
            Class::Orphaned(cause) => {
                (cause != Cause::Missing || missing) && !but.contains(&record.ids)
            }
            _ => false,
        });
        let ids = orphans.map(|record| record.ids).collect();
        Ok(match self.feature.is_expansion() {
            true => Meant { parents: ids, ..Meant::default() },
            false => Meant { records: ids, ..Meant::default() },
        })
    }

    /// The parent of a row, of an expansion.
    fn parent_of(&self, row: &Row) -> Option<Ids> {
        Some(row.get(&self.parent_names()?))
    }

    fn is_meant(&self, meant: &Meant, row: &Row) -> bool {
        meant.records.contains(&row.get(self.ids()))
            || self.parent_of(row).is_some_and(|parent| meant.parents.contains(&parent))
    }
}

/// Deletes records, and on request what they were the input of.
pub(super) fn delete(
    state: &mut State,
    feature: &FeatureContext,
    without: Option<Rule>,
    which: &Delete,
    options: &DeleteOptions,
) -> Result<Vec<Deleted>> {
    let before = state.clone();
    let view = View { state: &before, feature: feature.clone(), without };
    view.check_ids()?;
    let existing = view.existing();
    let all = view.table().map_or(&[][..], |table| &table.rows);
    let meant = if options.history {
        view.meant(which, all.iter())?
    } else {
        view.meant(which, existing.into_values())?
    };
    let mut lines = vec![remove(state, &view, &meant, options)];
    let downstream = feature.graph().all_downstreams(feature.key()).into_iter();
    for definition in downstream.filter(|_| options.cascade) {
        let key = &definition.spec.key;
        let mut line = nothing_deleted(key);
        if before.tables.contains_key(key) {
            // Only what this deletion orphans: other orphans wait for somebody who means them.
            let orphans = view.of(key)?.orphans(true, &BTreeSet::new())?;
            let orphans: BTreeSet<Ids> =
                orphans.records.into_iter().chain(orphans.parents).collect();
            let now = state.clone();
            let after = View { state: &now, feature: feature.of(key)?, without };
            line = remove(state, &after, &after.orphans(true, &orphans)?, options);
        }
        if (line.records, line.rows_removed) != (0, 0) {
            lines.push(line);
        }
    }
    Ok(lines)
}

fn nothing_deleted(key: &FeatureKey) -> Deleted {
    Deleted { feature: key.clone(), records: 0, rows_removed: 0 }
}

/// Marks or removes records of one feature; `view` is of the state as it is before that.
fn remove(state: &mut State, view: &View<'_>, meant: &Meant, options: &DeleteOptions) -> Deleted {
    let mut line = nothing_deleted(view.key());
    let stamp = Stamp::new(view.table(), &options.write);
    let (Some(stamp), Some(_)) = (stamp, view.table()) else { return line };
    let there = view.existing().into_values().filter(|row| view.is_meant(meant, row)).count();
    line.records = there as u64;
    if options.hard {
        line.rows_removed = remove_rows(state, view, meant, options.history, &stamp);
    } else {
        mark(state, view, meant, &stamp);
    }
    line
}

/// Appends tombstones: of records, and of parents that are sealed.
fn mark(state: &mut State, view: &View<'_>, meant: &Meant, stamp: &Stamp) {
    let parents = view.parents(None);
    let has_tombstone = |row: &Row| {
        let parent = view.parent_of(row).filter(|parent| meant.parents.contains(parent));
        parent.and_then(|parent| parents.get(&parent)).is_some_and(|parent| parent.seal.is_some())
    };
    let rows = view.existing().into_values();
    let rows = rows.filter(|row| view.is_meant(meant, row) && !has_tombstone(row));
    let rows: Vec<Row> = rows.map(|row| stamp.tombstone(row)).collect();
    let sealed = parents.iter().filter(|(ids, p)| meant.parents.contains(*ids) && p.is_live);
    let seals = sealed.filter_map(|(_, parent)| Some(stamp.tombstone_sealed(parent.seal?)));
    let seals: Vec<Seal> = seals.collect();
    if let Some(table) = state.tables.get_mut(view.key()) {
        table.rows.extend(rows);
        table.seals.extend(seals);
    }
}

/// Removes all rows of records, whatever try they are of; gives their number.
fn remove_rows(
    state: &mut State,
    view: &View<'_>,
    meant: &Meant,
    history: bool,
    stamp: &Stamp,
) -> u64 {
    // Without `history` a record has to be there to be meant.
    let existing = view.existing();
    let parents = view.parents(None);
    let is_there = |parent: &InForce<'_>| history || parent.is_live;
    let taken = Meant {
        records: meant
            .records
            .iter()
            .filter(|r| history || existing.contains_key(*r))
            .cloned()
            .collect(),
        parents: (meant.parents.iter())
            .filter(|ids| parents.get(*ids).map_or(history, is_there))
            .cloned()
            .collect(),
    };
    let Some(table) = state.tables.get_mut(view.key()) else { return 0 };
    let (gone, kept): (Vec<Row>, Vec<Row>) =
        table.rows.drain(..).partition(|row| view.is_meant(&taken, row));
    table.rows = kept;
    let names = view.record_names();
    table.seals.retain(|seal| !taken.parents.contains(&seal.row.get(&names)));
    // A parent that lost children is as complete as it was.
    for (ids, parent) in parents.iter().filter(|(ids, _)| !taken.parents.contains(*ids)) {
        let Some(seal) = parent.seal else { continue };
        let lost = gone.iter().filter(|row| {
            row.attempt == parent.attempt() && view.parent_of(row).as_ref() == Some(ids)
        });
        let lost: BTreeSet<Ids> = lost.map(|row| row.get(view.ids())).collect();
        if !lost.is_empty() {
            let seal = Seal {
                children: seal.children - i64::try_from(lost.len()).unwrap_or(0),
                row: seal.row.clone(),
            };
            let is_tombstone = seal.row.is_tombstone();
            let amended = if is_tombstone { Stamp::tombstone_sealed } else { Stamp::again_sealed };
            table.seals.push(amended(stamp, &seal));
        }
    }
    let is_record = |ids: &Ids| !ids.iter().any(Value::is_null);
    let records: BTreeSet<Ids> =
        gone.iter().map(|row| row.get(view.ids())).filter(is_record).collect();
    if view.holds(Rule::HardDeletesLeaveATrace) {
        let removed = state.removed.entry(view.key().clone()).or_default();
        removed.extend(records.iter().map(|ids| ids_md5(texts(ids).iter().map(String::as_str))));
    }
    // Of an expansion it is parents that fail.
    let removed = if view.feature.is_expansion() { &taken.parents } else { &records };
    clear_failures(state, view.key(), &removed.iter().map(texts).collect());
    gone.len() as u64
}

/// Brings back what is marked as deleted.
pub(super) fn undelete(
    state: &mut State,
    feature: &FeatureContext,
    without: Option<Rule>,
    which: &Delete,
    options: &WriteOptions,
) -> Result<Written> {
    let before = state.clone();
    let view = View { state: &before, feature: feature.clone(), without };
    view.check_ids()?;
    let parents = view.parents(None);
    let latest: BTreeMap<Ids, &Row> = match feature.is_expansion() {
        true => parents.values().flat_map(|parent| parent.children.clone()).collect(),
        false => view.latest_of_all(),
    };
    let deleted: Vec<&Row> = latest.into_values().filter(|row| row.is_tombstone()).collect();
    let meant = match which {
        // What is orphaned is there.
        Delete::Orphans { .. } => Meant::default(),
        which => view.meant(which, deleted.iter().copied())?,
    };
    let Some(stamp) = Stamp::new(view.table(), options) else { return Ok(Written::default()) };
    let rows = deleted.into_iter().filter(|row| {
        // Children of a sealed parent come back one by one, or were never deleted.
        let parent = view.parent_of(row).filter(|parent| meant.parents.contains(parent));
        let is_implied = parent.is_some_and(|p| parents.get(&p).is_some_and(|p| p.seal.is_none()));
        is_implied || meant.records.contains(&row.get(view.ids()))
    });
    let rows: Vec<Row> = rows.map(|row| stamp.again(row)).collect();
    let seals =
        parents.iter().filter(|(ids, parent)| meant.parents.contains(*ids) && !parent.is_live);
    let seals = seals.filter_map(|(_, parent)| Some(stamp.again_sealed(parent.seal?)));
    let seals: Vec<Seal> = seals.collect();
    let (n_rows, n_seals) = (rows.len() as u64, seals.len() as u64);
    if let Some(table) = state.tables.get_mut(view.key()) {
        table.rows.extend(rows);
        table.seals.extend(seals);
    }
    let time = (n_rows + n_seals > 0).then_some(stamp.time);
    Ok(Written { rows: n_rows, seals: n_seals, time, ..Written::default() })
}

/// Removes superseded rows, and of an expansion superseded seals; gives their number.
pub(super) fn vacuum(
    state: &mut State,
    feature: &FeatureContext,
    without: Option<Rule>,
    options: VacuumOptions,
) -> Result<u64> {
    let before = state.clone();
    let view = View { state: &before, feature: feature.clone(), without };
    view.check_ids()?;
    let Some(table) = view.table() else { return Ok(0) };
    let is_old = |row: &Row| options.before.is_none_or(|before| row.time() < before);
    let keep = usize::try_from(options.keep.max(1)).unwrap_or(usize::MAX);
    let Some(names) = view.parent_names() else {
        let mut by_record: BTreeMap<Ids, Vec<usize>> = BTreeMap::new();
        for (place, row) in table.rows.iter().enumerate() {
            by_record.entry(row.get(view.ids())).or_default().push(place);
        }
        let mut superseded: BTreeSet<usize> = BTreeSet::new();
        for (ids, mut places) in by_record {
            // Rows that lack an id are nobody's.
            if ids.iter().any(Value::is_null) {
                continue;
            }
            places.sort_by_key(|place| Reverse((table.rows[*place].order(), *place)));
            superseded.extend(places.into_iter().skip(keep).filter(|p| is_old(&table.rows[*p])));
        }
        if let Some(mine) = state.tables.get_mut(view.key()).filter(|_| !options.dry_run) {
            let rows = table.rows.iter().enumerate();
            let kept = rows.filter(|(place, _)| !superseded.contains(place));
            mine.rows = kept.map(|(_, row)| row.clone()).collect();
        }
        return Ok(superseded.len() as u64);
    };

    // Of an expansion the parent is the record: its latest seals stay, with the rows of their tries,
    // and so do tries that nobody has sealed.
    let mut kept_seals: Vec<Seal> = Vec::new();
    let mut kept_tries: BTreeSet<(Ids, Option<i64>)> = BTreeSet::new();
    let mut all_tries: BTreeSet<(Ids, Option<i64>)> = BTreeSet::new();
    let mut by_parent: BTreeMap<Ids, Vec<(Option<&Seal>, &Row)>> = BTreeMap::new();
    for seal in &table.seals {
        by_parent.entry(seal.row.get(&names)).or_default().push((Some(seal), &seal.row));
    }
    let mut implied: BTreeMap<Ids, &Row> = BTreeMap::new();
    for row in table.rows.iter().filter(|row| row.attempt.is_none()) {
        let latest = implied.entry(row.get(&names)).or_insert(row);
        if latest.order() <= row.order() {
            *latest = row;
        }
    }
    for (parent, row) in implied {
        by_parent.entry(parent).or_default().push((None, row));
    }
    for (parent, mut seals) in by_parent {
        seals.sort_by_key(|(seal, row)| Reverse((row.order(), seal.is_some())));
        for (place, (seal, row)) in seals.into_iter().enumerate() {
            let attempt = (parent.clone(), seal.and_then(|seal| seal.row.attempt));
            all_tries.insert(attempt.clone());
            if place < keep || !is_old(row) {
                kept_tries.insert(attempt);
                kept_seals.extend(seal.cloned());
            }
        }
    }
    let is_superseded = |row: &&Row| {
        let attempt = (row.get(&names), row.attempt);
        all_tries.contains(&attempt) && !kept_tries.contains(&attempt)
    };
    let n_rows = table.rows.iter().filter(is_superseded).count();
    let n_seals = table.seals.len() - kept_seals.len();
    if let Some(mine) = state.tables.get_mut(view.key()).filter(|_| !options.dry_run) {
        mine.rows = table.rows.iter().filter(|row| !is_superseded(row)).cloned().collect();
        mine.seals = kept_seals;
    }
    Ok((n_rows + n_seals) as u64)
}
