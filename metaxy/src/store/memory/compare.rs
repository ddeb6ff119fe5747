//! What should be there and what is there -> the class of each record, and why.
//!
//! The classes are tried in the order of [`View::class`]; reasons are in [`View::stale_fields`], what
//! became of the upstream record of an orphan in [`View::cause`]. Not here: what should be there
//! ([`super::expected`]), and how an answer looks in Arrow.

use super::expected::{Expected, Need, fulfils};
use super::filters;
use super::hash::{hash, hash_over, ids_md5, number};
use super::rows::{ByField, Row, View};
use super::rule::Rule;
use super::value::{Ids, Value};
use crate::error::Result;
use crate::increment::{Counts, Reason};
use crate::key::FeatureKey;
use crate::spec::{FeatureDep, Lineage};
use crate::store::backend::{Failed, ResolveOptions};
use crate::store::filters::{Call, of_call};
use metaxy_sql::filter::Filter;
use std::collections::{BTreeMap, BTreeSet};

/// What becomes of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// It is there, and nothing that it could be computed from.
    Orphaned(Cause),
    /// It is there, and what it would be computed from is itself outdated: in these upstreams, which
    /// need that first.
    Blocked(Vec<(FeatureKey, Need)>),
    /// It is not there, and what it would be computed from is itself outdated.
    Waiting,
    /// It is not there.
    New,
    /// It is there, computed from something else: these fields, and why.
    Stale(BTreeMap<String, Vec<Reason>>),
    /// It is there as it should be.
    Unchanged,
}

/// What became of the upstream record of an orphan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Cause {
    /// There is no trace of it; it may not have been computed yet.
    Missing,
    /// It is there, but a filter leaves it out, or it belongs to another group now.
    Excluded,
    /// It was deleted.
    Gone,
}

/// A record as it is: a row, or of an expansion a parent with its children.
#[derive(Clone, Debug)]
pub(super) struct Current<'a> {
    /// Its row; of an expansion, that of its seal.
    pub(super) row: &'a Row,
    /// What it was computed from.
    pub(super) provenance: ByField,
    /// Whether nobody knows if its children are all of them.
    pub(super) is_unsealed: bool,
}

/// A record that should be there or is.
#[derive(Clone, Debug)]
pub(super) struct Record<'a> {
    pub(super) ids: Ids,
    pub(super) class: Class,
    pub(super) expected: Option<Expected<'a>>,
    pub(super) current: Option<Current<'a>>,
}

/// The answer of a resolve, before it is cut to what the caller wants to see.
#[derive(Clone, Debug, Default)]
pub(super) struct Answer<'a> {
    pub(super) counts: Counts,
    /// All records that are selected, by ids.
    pub(super) records: Vec<Record<'a>>,
}

impl<'a> View<'a> {
    /// The class of every record of a feature that has upstreams.
    pub(super) fn resolve(&self, options: &ResolveOptions) -> Result<Answer<'a>> {
        self.check_ids()?;
        self.check_deps()?;
        let call = of_call(&self.feature, options, self)?;
        let expected = self.expected(&call.upstreams)?;
        self.compare(expected, true, options, &call)
    }

    /// The class of every record of a root, compared with samples: provenance and data versions.
    pub(super) fn resolve_samples(
        &self,
        samples: BTreeMap<Ids, (ByField, ByField)>,
        is_complete: bool,
    ) -> Result<Answer<'a>> {
        self.check_ids()?;
        let expected = samples.into_iter().map(|(ids, (provenance, sample))| {
            (ids, Expected { provenance, sample, ..Expected::default() })
        });
        let (options, call) = (ResolveOptions::default(), Call::default());
        self.compare(expected.collect(), is_complete, &options, &call)
    }

    /// The records that are there.
    pub(super) fn current(&self) -> BTreeMap<Ids, Current<'a>> {
        if !self.feature.is_expansion() {
            let current = self.existing().into_iter().map(|(ids, row)| {
                (ids, Current { row, provenance: row.provenance.clone(), is_unsealed: false })
            });
            return current.collect();
        }
        let parents = self.parents(None).into_iter().filter(|(_, parent)| parent.counts());
        let current = parents.map(|(ids, parent)| {
            let is_unsealed = parent.seal.is_none();
            let provenance = match parent.seal {
                Some(seal) => seal.row.provenance.clone(),
                None => shared(parent.live().map(|(_, row)| &row.provenance)),
            };
            (ids, Current { row: parent.row, provenance, is_unsealed })
        });
        current.collect()
    }

    /// The first class that fits each record that is selected.
    fn compare(
        &self,
        mut expected: BTreeMap<Ids, Expected<'a>>,
        is_complete: bool,
        options: &ResolveOptions,
        call: &Call,
    ) -> Result<Answer<'a>> {
        let mut current = self.current();
        // What partial samples lack is not looked at.
        let others = current.keys().filter(|_| is_complete);
        let all: BTreeSet<Ids> = expected.keys().chain(others).cloned().collect();
        let mut answer = Answer::default();
        for ids in all {
            let (expected, current) = (expected.remove(&ids), current.remove(&ids));
            if !self.is_selected(&ids, expected.as_ref(), current.as_ref(), options, call) {
                continue;
            }
            let forced = current.as_ref().is_some_and(|current| {
                let holds =
                    |filter: &Filter| filters::hold_for(std::slice::from_ref(filter), current.row);
                (options.skip_comparison || call.stale_if.iter().any(holds))
                    && self.holds(Rule::ForcedReasons)
            });
            let (e, c) = (expected.as_ref(), current.as_ref());
            let class = self.class(&ids, e, c, forced)?;
            let fails = matches!(class, Class::New | Class::Stale(_))
                && self.is_left_out(&ids, e, options.failed);
            if fails {
                continue;
            }
            self.count(&mut answer.counts, &class, current.as_ref());
            answer.records.push(Record { ids, class, expected, current });
        }
        Ok(answer)
    }

    fn class(
        &self,
        ids: &Ids,
        expected: Option<&Expected<'a>>,
        current: Option<&Current<'a>>,
        forced: bool,
    ) -> Result<Class> {
        Ok(match (expected, current) {
            (None, _) => Class::Orphaned(self.cause(ids)?),
            (Some(expected), None) if expected.is_blocked() => Class::Waiting,
            (Some(expected), Some(_)) if expected.is_blocked() => {
                Class::Blocked(self.needs(expected)?)
            }
            (Some(_), None) => Class::New,
            (Some(expected), Some(current)) => {
                let fields = self.stale_fields(expected, current, forced);
                if fields.is_empty() { Class::Unchanged } else { Class::Stale(fields) }
            }
        })
    }

    fn count(&self, counts: &mut Counts, class: &Class, current: Option<&Current<'_>>) {
        match class {
            Class::Orphaned(_) => counts.orphaned += 1,
            Class::Blocked(_) => counts.blocked += 1,
            Class::Waiting => counts.waiting += 1,
            Class::New => counts.new += 1,
            Class::Stale(_) => counts.stale += 1,
            Class::Unchanged => {
                counts.unchanged += 1;
                counts.unchanged_older += u64::from(current.is_some_and(|c| self.is_older(c)));
            }
        }
        counts.unsealed += u64::from(current.is_some_and(|current| current.is_unsealed));
    }

    /// Whether another definition than today's wrote a record, or nobody knows which.
    pub(super) fn is_older(&self, current: &Current<'_>) -> bool {
        current.row.feature_version.as_deref() != Some(self.version())
    }

    // ---- Which records a call answers -----------------------------------------------------------

    /// Whether a call is about a record. What it is computed from has been decided before.
    fn is_selected(
        &self,
        ids: &Ids,
        expected: Option<&Expected<'a>>,
        current: Option<&Current<'a>>,
        options: &ResolveOptions,
        call: &Call,
    ) -> bool {
        if !options.selects() {
            return true;
        }
        // A call that selects reports no orphans.
        let Some(expected) = expected else { return false };
        let texts: Vec<String> = ids.iter().map(Value::text).collect();
        let texts = texts.iter().map(String::as_str);
        let is_in_shard =
            options.shard.is_none_or(|(shard, of)| number(&ids_md5(texts)) % of == shard);
        let mut inputs = self.deps().iter().zip(&expected.inputs).zip(&call.upstreams);
        let by_input = inputs.all(|((dep, given), filters)| {
            let fulfil = |filter: &Filter| {
                let filter = std::slice::from_ref(filter);
                let mut members = given.iter().flat_map(|given| &given.members);
                members.any(|row| fulfils(dep, row, filter))
            };
            filters.iter().all(fulfil)
        });
        let names = self.record_names();
        let by_target = call.target.iter().all(|filter| match current {
            Some(current) => filters::hold_for(std::slice::from_ref(filter), current.row),
            None => filters::holds(filter, &|name| {
                let place = names.iter().position(|id| id == name);
                place.map_or(Value::Null, |place| ids[place].clone())
            }),
        });
        is_in_shard && by_input && by_target
    }

    /// Whether a record is left out because it has failed with the inputs that it has today.
    fn is_left_out(&self, ids: &Ids, expected: Option<&Expected<'_>>, failed: Failed) -> bool {
        let provenance = expected.and_then(|e| {
            hash_over(self.feature.hash(), &e.provenance, &self.feature.field_names())
        });
        let texts: Vec<String> = ids.iter().map(Value::text).collect();
        let failures = self.failures(&texts, provenance.as_deref().unwrap_or_default());
        let Some((times, last)) = failures else { return false };
        match failed {
            Failed::Include => false,
            Failed::LeaveOut => true,
            Failed::Retry { attempts, before } => times >= attempts || last > before,
        }
    }

    // ---- Why ------------------------------------------------------------------------------------

    /// The fields of a record that are not what they should be, and why.
    fn stale_fields(
        &self,
        expected: &Expected<'a>,
        current: &Current<'a>,
        forced: bool,
    ) -> BTreeMap<String, Vec<Reason>> {
        let is_root = self.feature.is_root();
        let is_todays = !self.is_older(current);
        let recorded = self.recorded(current.row.feature_version.as_deref());
        let today = self.definition();
        let mut stale = BTreeMap::new();
        for field in &self.spec().fields {
            let name = field.wire_key().struct_key();
            let recorded = recorded.as_ref().and_then(|fields| fields.get(name.as_str()));
            let other_code = !is_todays && self.differs(recorded, &today[&name]);
            let stored = current.provenance.get(&name);
            // What a sample gives is what downstream is to see: a new one counts like a new value.
            let given = expected.sample.get(&name);
            let other_given = given.is_some() && given != current.row.data_version.get(&name);
            let is_stale = stored != expected.provenance.get(&name)
                || other_given
                || is_root && other_code && self.holds(Rule::RootCodeVersion);
            let mut reasons = Vec::new();
            if let Some(stored) = stored.filter(|_| is_stale) {
                // What the recorded definition would make of today's inputs. With other parents that
                // cannot be known: what it read may not be here.
                let other_inputs = if is_todays || is_root {
                    expected.provenance.get(&name) != Some(stored) || other_given
                } else {
                    recorded.is_some_and(|recorded| {
                        let text = self.pre_image(field, &recorded.code_version, &expected.inputs);
                        recorded.parents == today[&name].parents
                            && text.is_some_and(|t| hash(self.feature.hash(), &t) != *stored)
                    })
                };
                reasons.extend(other_code.then_some(Reason::Code));
                reasons.extend(other_inputs.then_some(Reason::Upstream));
            } else if is_stale {
                reasons.push(Reason::Added);
            }
            reasons.extend(forced.then_some(Reason::Forced));
            if is_stale || forced {
                stale.insert(name, reasons);
            }
        }
        stale
    }

    /// What became of what an orphan was computed from: one upstream that says so decides.
    fn cause(&self, ids: &Ids) -> Result<Cause> {
        if self.feature.is_root() {
            // What complete samples lack was deleted by the caller.
            return Ok(Cause::Gone);
        }
        let all_optional = self.deps().iter().all(|dep| dep.optional);
        let mut cause = Cause::Missing;
        for dep in self.deps().iter().filter(|dep| all_optional || !dep.optional) {
            cause = cause.max(self.cause_in(dep, ids)?);
        }
        Ok(match cause {
            Cause::Missing if !self.holds(Rule::MissingIsNotGone) => Cause::Gone,
            Cause::Excluded if !self.holds(Rule::ExcludedIsNotMissing) => Cause::Missing,
            cause => cause,
        })
    }

    /// What one upstream says of an orphan.
    fn cause_in(&self, dep: &FeatureDep, ids: &Ids) -> Result<Cause> {
        let upstream = self.of(&dep.feature)?;
        let names = self.record_names();
        // The columns that it is joined on, by their names there, and what they would have to be.
        let mut on: Vec<(String, Value)> = Vec::new();
        for here in self.join_columns(dep)? {
            let place = names.iter().position(|name| *name == here);
            let id = place.map_or(Value::Null, |place| ids[place].clone());
            on.push((dep.original(&here).to_owned(), id));
        }
        let is_about_it = |row: &Row| on.iter().all(|(name, id)| row.value(name) == *id);
        let declared = self.declared(dep)?;
        let existing = upstream.existing();
        let is_there = |row: &&&Row| is_about_it(row) && fulfils(dep, row, &declared);
        if existing.values().any(|row| is_there(&row)) {
            // It is not to blame.
            return Ok(Cause::Missing);
        }
        let is_group = matches!(dep.lineage, Lineage::Aggregation { .. });
        let latest = upstream.latest_of_all();
        let mut is_gone = latest.values().any(|row| is_about_it(row) && row.is_tombstone());
        if !is_group {
            let record = |name: &String| {
                on.iter().find(|(on, _)| on == name).map_or(Value::Null, |(_, id)| id.clone())
            };
            let record: Ids = upstream.ids().iter().map(record).collect();
            let texts: Vec<String> = record.iter().map(Value::text).collect();
            let md5 = ids_md5(texts.iter().map(String::as_str));
            let removed = self.state.removed.get(&dep.feature);
            is_gone |= removed.is_some_and(|removed| removed.contains(&md5));
        }
        let parent_names = upstream.parent_names();
        let parents = upstream.parents(None);
        let rows = upstream.table().map_or(&[][..], |table| &table.rows);
        let mut is_excluded = false;
        for row in rows.iter().filter(|row| is_about_it(row)) {
            let record = row.get(upstream.ids());
            if record.iter().any(Value::is_null) {
                continue;
            }
            match &parent_names {
                None => is_excluded = true,
                Some(names) => {
                    let parent = parents.get(&row.get(names));
                    let is_decided = parent.is_some_and(|parent| !parent.is_pending);
                    is_excluded |= is_decided;
                    is_gone |= is_decided && !existing.contains_key(&record);
                }
            }
        }
        if let Some(names) = parent_names.filter(|_| !is_group) {
            // Also of a child of which no row is left.
            let id = |name: &String| on.iter().find(|(on, _)| on == name).map(|(_, id)| id.clone());
            let parent: Option<Ids> = names.iter().map(id).collect();
            let parent = parent.and_then(|parent| parents.get(&parent));
            let record: Option<Ids> = upstream.ids().iter().map(id).collect();
            let is_known = record.is_some_and(|record| existing.contains_key(&record));
            is_gone |= parent.is_some_and(|parent| !parent.is_pending) && !is_known;
        }
        Ok(match (is_gone, is_excluded) {
            (true, _) => Cause::Gone,
            (false, true) => Cause::Excluded,
            (false, false) => Cause::Missing,
        })
    }
}

/// Per field the one value that all of some maps have.
fn shared<'m>(mut maps: impl Iterator<Item = &'m ByField>) -> ByField {
    let mut shared = maps.next().cloned().unwrap_or_default();
    maps.for_each(|map| shared.retain(|field, value| map.get(field) == Some(value)));
    shared
}
