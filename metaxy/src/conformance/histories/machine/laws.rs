//! The laws: what a store says against what the third account knows ([`super::ghost`]).
//!
//! In all histories, whether or not it has given up:
//! - writing a whole increment and resolving again gives nothing (`check_feature`);
//! - working through everything, upstream first, leaves nothing to do ([`Machine::converge`]).
//!
//! As long as it has not given up, after every step, for all lineages:
//! - a changed declared input or code version is always stale or blocked, in exactly the fields that
//!   are concerned, and nothing else is; new, waiting and orphaned is what really is so
//!   ([`Machine::check_laws`]);
//! - what is to be computed can be computed, and the same inputs give the same provenance, others
//!   another ([`Machine::made_of`]);
//! - `read` shows every row that is not outdated, and no other, with the values and data versions that
//!   were last written ([`Machine::check_laws_of_read`]);
//! - in the end everything is what computing from scratch gives, but for what comes from a version
//!   that a user gave or accepted ([`Machine::check_scratch`]).

use super::ghost::{Computed, Expected, Ghost};
use super::{HASH_TRUNCATION_LENGTH, Machine, Result, field_names, rows, same};
use crate::conformance::histories::history::Jobs;
use crate::conformance::histories::program::Program;
use crate::conformance::histories::rows::{ByField, Columns, Ids, Seen};
use crate::store::memory::Memory;
use crate::{Counts, FeatureKey, Store};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

impl Machine {
    /// What a record that an increment wants computed is made of.
    pub(super) fn made_of(
        &mut self,
        feature: &FeatureKey,
        expected: &BTreeMap<Ids, Expected>,
        ids: &Ids,
        provenance: &ByField,
    ) -> Result<Computed> {
        let Some(expected) = expected.get(ids) else {
            return Err(format!("{feature} {ids:?} is to be computed from nothing"));
        };
        if expected.is_blocked {
            return Err(format!("{feature} {ids:?} is to be computed from what is outdated"));
        }
        if let Some(ghost) = &mut self.ghost {
            ghost.meet(&expected.computed, provenance)?;
        }
        Ok(expected.computed.clone())
    }

    /// Every record is of the class that it should be, in the fields that it should be.
    pub(super) fn check_laws(
        &self,
        program: &Program,
        feature: &FeatureKey,
        counts: &Counts,
        seen: &BTreeMap<Ids, Seen>,
    ) -> Result<()> {
        let Some(ghost) = &self.ghost else { return Ok(()) };
        let expected = ghost.expected(program, feature);
        let records = ghost.records(program, feature);
        let mut lawful_counts = Counts::default();
        let all: BTreeSet<&Ids> =
            seen.keys().chain(records.keys().copied()).chain(expected.keys()).collect();
        for ids in all {
            let mut stale = BTreeSet::new();
            let (status, count) = match (expected.get(ids), records.get(ids)) {
                (None, Some(_)) => ("orphaned", &mut lawful_counts.orphaned),
                (None, None) => return Err(format!("by law there is no {ids:?}")),
                (Some(today), Some(_)) if today.is_blocked => {
                    ("blocked", &mut lawful_counts.blocked)
                }
                (Some(today), None) if today.is_blocked => ("unseen", &mut lawful_counts.waiting),
                (Some(_), None) => ("new", &mut lawful_counts.new),
                (Some(today), Some(stored)) => {
                    stale = stale_fields(&today.computed, *stored);
                    match stale.is_empty() {
                        true => ("unseen", &mut lawful_counts.unchanged),
                        false => ("stale", &mut lawful_counts.stale),
                    }
                }
            };
            *count += 1;
            let found = seen.get(ids).map_or("unseen", |seen| seen.status.as_str());
            if found != status {
                return Err(format!("by law {ids:?} is {status}, but the store says {found}"));
            }
            let found = seen.get(ids).and_then(|seen| seen.stale.as_ref());
            let found = found.into_iter().flat_map(BTreeMap::keys).cloned().collect();
            same(&format!("stale fields of {ids:?}, by law"), &stale, &found)?;
        }
        let of = |c: &Counts| [c.new, c.stale, c.blocked, c.waiting, c.orphaned, c.unchanged];
        same("counts, by law", &of(counts), &of(&lawful_counts))
    }

    /// `read` shows every row that is not outdated, and no other.
    pub(super) fn check_laws_of_read(
        &self,
        program: &Program,
        feature: &FeatureKey,
        read: &BTreeMap<Ids, rows::Read>,
    ) -> Result<()> {
        let Some(ghost) = &self.ghost else { return Ok(()) };
        let fields = field_names(program, feature).into_iter().collect();
        let own = &program.columns(feature).last().expect("a column of its own").name;
        let mut lawful = ghost.live(program, feature);
        lawful.retain(|_, row| !Ghost::is_outdated(program, feature, row, &fields));
        let lawful = lawful.into_iter().map(|(ids, row)| {
            let columns = Columns::from([(own.clone(), row.own.clone())]);
            (ids.clone(), (columns, row.data_version.clone()))
        });
        let found = read
            .iter()
            .map(|(ids, row)| (ids.clone(), (row.columns.clone(), row.data_version.clone())));
        match rows::difference::<(Columns, ByField)>(&found.collect(), &lawful.collect()) {
            Some(difference) => Err(format!("`read` is not lawful\n{difference}")),
            None => Ok(()),
        }
    }

    /// After any history: processing in topological order leaves nothing to do, and gives what
    /// computing from scratch gives.
    pub(super) async fn converge(&mut self) -> Result<()> {
        let today = self.programs.len() - 1;
        self.check_counts(today).await?;
        for feature in self.programs[today].keys() {
            if self.programs[today].is_root(&feature) {
                let samples = self.samples_again(today, &feature).await?;
                self.sync(today, &feature, samples, true, true).await?;
                continue;
            }
            let counts = self.work(today, &feature, &Jobs::All, false).await?;
            same("blocked below what is up to date", &(counts.blocked, counts.waiting), &(0, 0))?;
            if counts.orphaned > 0 {
                self.delete_orphans(today, &feature, true).await?;
            }
        }
        self.has_converged = true;
        self.touched.extend(self.programs[today].keys());
        self.check(today).await?;
        self.check_scratch(today).await
    }

    /// Everything is what computing from scratch gives, by user code that finds the same again: what
    /// it puts into columns, and how many children a parent has.
    async fn check_scratch(&mut self, today: usize) -> Result<()> {
        let Some(mut ghost) = self.ghost.clone() else { return Ok(()) };
        let program = Arc::clone(&self.programs[today]);
        let algorithm = self.hash_algorithm;
        // That one is the same on all engines is known by now.
        let memory = Arc::new(Memory::new(algorithm, HASH_TRUNCATION_LENGTH));
        let memory = Store::with_backend(memory, program.graph.clone());
        let mut scratch = Self::with(memory, algorithm, Arc::clone(&program), &[]);
        (scratch.ghost, scratch.model) = (None, Some(ghost.clone()));
        for feature in program.keys() {
            if program.is_root(&feature) {
                let mut samples = self.samples_again(today, &feature).await?;
                for row in &mut samples {
                    let value = scratch.value(0, &feature, &row.ids);
                    row.columns.values_mut().for_each(|column| *column = value.clone());
                }
                scratch.sync(0, &feature, samples, true, true).await?;
            } else {
                scratch.work(0, &feature, &Jobs::All, false).await?;
            }
            let names = field_names(&program, &feature);
            ghost.spread(&program, &feature);
            let swayed = ghost.live(&program, &feature);
            let comparable = |read: BTreeMap<Ids, rows::Read>| -> BTreeMap<Ids, [ByField; 2]> {
                let row = |(ids, row): (Ids, rows::Read)| {
                    let ours = swayed.get(&ids);
                    let of_today = |mut by_field: ByField, swayed: Option<&BTreeSet<String>>| {
                        // Rows that nothing made stale may still have what was of a field that is
                        // gone.
                        by_field.retain(|field, _| {
                            names.contains(field) && !swayed.is_some_and(|s| s.contains(field))
                        });
                        by_field
                    };
                    let provenance = of_today(row.provenance, ours.map(|row| &row.computed.swayed));
                    let data_version = of_today(row.data_version, ours.map(|row| &row.swayed));
                    (ids, [provenance, data_version])
                };
                read.into_iter().map(row).collect()
            };
            let store = self.store.with_graph(program.graph.clone());
            let ours = comparable(self.read(&store, today, &feature).await?);
            let theirs = comparable(scratch.read(&scratch.store, 0, &feature).await?);
            if let Some(difference) = rows::difference(&ours, &theirs) {
                return Err(format!(
                    "{feature} is not what computing from scratch gives\n{difference}"
                ));
            }
        }
        Ok(())
    }
}

/// The fields that a record was computed in from something else than today's; all of them if another
/// program did it.
fn stale_fields(today: &Computed, stored: Option<&Computed>) -> BTreeSet<String> {
    let is_stale = |(field, inputs): &(&String, &super::ghost::Inputs)| {
        stored.is_none_or(|stored| stored.inputs.get(*field) != Some(*inputs))
    };
    today.inputs.iter().filter(is_stale).map(|(field, _)| field.clone()).collect()
}
