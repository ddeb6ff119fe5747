//! Rows of upstreams -> the records that should be there, with their provenance.
//!
//! Each upstream gives rows ([`View::given`]: renamed, filtered, grouped), they are joined
//! ([`View::expected`]), and per field the values of its parents are hashed. Not here: what is there.

use super::filters;
use super::hash::hash;
use super::rows::{ByField, Row, View};
use super::rule::Rule;
use super::value::{Columns, Ids, Value};
use crate::error::{Error, Result};
use crate::key::FeatureKey;
use crate::spec::{FeatureDep, FieldSpec, Lineage};
use crate::store::filters::over_upstream;
use metaxy_sql::ColumnType;
use metaxy_sql::filter::Filter;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// What one upstream gives to one record: a row, or a group of them.
#[derive(Clone, Debug)]
pub(super) struct Given<'a> {
    /// The columns that it is joined on, by their names here.
    on: Columns,
    /// The rows; in a group they are in the order of the upstream's ids.
    pub(super) members: Vec<&'a Row>,
    /// Per field of the upstream what is hashed.
    values: ByField,
    /// What has to happen in the upstream first.
    block: Option<Block>,
}

/// Why an upstream row is not fit to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Block {
    Outdated,
    NoDataVersion,
}

/// What an upstream record needs before it can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// It is stale.
    Stale,
    /// It is itself blocked.
    Blocked,
    /// It is orphaned.
    Orphaned,
    /// It lacks a data version that is read.
    NoDataVersion,
}

/// What a record should be, before it is compared with what is there.
#[derive(Clone, Debug, Default)]
pub(super) struct Expected<'a> {
    /// Per upstream what it is computed from; none where an optional one has nothing.
    pub(super) inputs: Vec<Option<Rc<Given<'a>>>>,
    /// The provenance of each field; none if a value is missing.
    pub(super) provenance: ByField,
    /// Of a root: the data versions that a sample gives.
    pub(super) sample: ByField,
}

impl Expected<'_> {
    /// Whether something has to happen upstream before the record can be computed.
    pub(super) fn is_blocked(&self) -> bool {
        self.inputs.iter().flatten().any(|given| given.block.is_some())
    }
}

/// A row of the join: the ids so far, and what each upstream gave.
#[derive(Clone, Default)]
struct Joined<'a> {
    ids: Columns,
    inputs: Vec<Option<Rc<Given<'a>>>>,
}

impl<'a> View<'a> {
    pub(super) fn deps(&self) -> &[FeatureDep] {
        &self.spec().deps
    }

    /// The columns that name a record in a resolve: its ids; of an expansion, those of the parent.
    pub(super) fn record_names(&self) -> Vec<String> {
        self.feature.record_ids()
    }

    /// The columns that an upstream is joined on, by their names here.
    pub(super) fn join_columns(&self, dep: &FeatureDep) -> Result<Vec<String>> {
        Ok(match &dep.lineage {
            Lineage::Identity => {
                let upstream = self.of(&dep.feature)?;
                upstream.ids().iter().map(|id| dep.renamed(id).to_owned()).collect()
            }
            Lineage::Aggregation { on } => on.clone().unwrap_or_else(|| self.ids().to_vec()),
            Lineage::Expansion { on, .. } => on.clone(),
        })
    }

    /// Refuses what has no meaning: a parent that is more than one record, a column that comes twice.
    pub(super) fn check_deps(&self) -> Result<()> {
        let mut names: Vec<String> = self.ids().to_vec();
        for dep in self.deps() {
            let upstream = self.of(&dep.feature)?;
            self.feature.check_parent(dep)?;
            let brought = self.brought_columns(dep)?;
            let types = upstream.columns();
            let is_list = |there: &String| match types.get(there).copied().flatten() {
                Some(ty) => !matches!(ty, ColumnType::Scalar(_)),
                None => false,
            };
            if matches!(dep.lineage, Lineage::Aggregation { .. })
                && let Some((there, _)) = brought.iter().find(|(there, _)| is_list(there))
            {
                return Err(Error::no_list(self.key(), &dep.feature, there));
            }
            upstream.check_columns(brought.iter().map(|(there, _)| there))?;
            for (_, here) in brought {
                if names.contains(&here) {
                    return Err(Error::ColumnTwice { feature: self.key().clone(), column: here });
                }
                names.push(here);
            }
        }
        Ok(())
    }

    /// The columns of an upstream that come along, as `(name there, name here)`. Of a group only those
    /// that are selected do, each as a list over the members.
    pub(super) fn brought_columns(&self, dep: &FeatureDep) -> Result<Vec<(String, String)>> {
        let upstream = self.of(&dep.feature)?;
        let is_group = matches!(dep.lineage, Lineage::Aggregation { .. });
        let columns: Vec<String> = match &dep.select {
            Some(selected) => selected.iter().map(|here| dep.original(here).to_owned()).collect(),
            None if is_group => Vec::new(),
            None => upstream.columns().into_keys().collect(),
        };
        let joined: Vec<String> = match is_group {
            true => self.join_columns(dep)?.iter().map(|on| dep.original(on).to_owned()).collect(),
            false => upstream.ids().to_vec(),
        };
        let named = |there: String| {
            let here = dep.renamed(&there).to_owned();
            (there, here)
        };
        Ok(columns.into_iter().filter(|there| !joined.contains(there)).map(named).collect())
    }

    /// The fields of an upstream that this feature is computed from, by their keys there.
    pub(super) fn reads(&self, upstream: &FeatureKey) -> BTreeSet<String> {
        let graph = self.feature.graph();
        let fields = self.spec().fields.iter();
        fields
            .flat_map(|field| graph.parents(self.key(), &field.key))
            .filter(|parent| parent.feature == *upstream)
            .map(|parent| parent.wire_field.struct_key())
            .collect()
    }

    /// The filters that the definition has on an upstream.
    pub(super) fn declared(&self, dep: &FeatureDep) -> Result<Vec<Filter>> {
        over_upstream(dep, dep.filters.iter().flatten(), self)
    }

    // ---- What an upstream gives -----------------------------------------------------------------

    /// What an upstream gives: one row per record, or one per group.
    fn given(&self, dep: &FeatureDep, filters: &[Filter]) -> Result<Vec<Rc<Given<'a>>>> {
        let upstream = self.of(&dep.feature)?;
        let on = self.join_columns(dep)?;
        let there: Vec<String> = on.iter().map(|name| dep.original(name).to_owned()).collect();
        // A group is keyed by its columns, a record by its ids as well.
        let is_group =
            matches!(dep.lineage, Lineage::Aggregation { .. }) && self.holds(Rule::OneRowPerGroup);
        let mut groups: BTreeMap<(Ids, Ids), Vec<&'a Row>> = BTreeMap::new();
        for (ids, row) in upstream.existing() {
            let group = row.get(&there);
            if !group.iter().any(Value::is_null) && fulfils(dep, row, filters) {
                let ids = if is_group { Ids::new() } else { ids };
                groups.entry((group, ids)).or_default().push(row);
            }
        }
        let reads = self.reads(&dep.feature);
        let given = groups.into_iter().map(|((group, _), members)| {
            let values = self.values(dep, &members, &reads);
            let block = self.block(dep, &upstream, &members, &values, &reads);
            let on = on.iter().cloned().zip(group).collect();
            Rc::new(Given { on, members, values, block })
        });
        Ok(given.collect())
    }

    /// What is hashed of each field of some rows: of one row its data version, of a group a hash over
    /// those that its members have. Nothing where none has one.
    fn values(&self, dep: &FeatureDep, members: &[&Row], reads: &BTreeSet<String>) -> ByField {
        let version = |row: &Row, field: &String| {
            let hashed = self.holds(Rule::DataVersionsAreHashed);
            let versions = if hashed { &row.data_version } else { &row.provenance };
            versions.get(field).cloned()
        };
        let is_group = matches!(dep.lineage, Lineage::Aggregation { .. });
        let value = |field: &String| -> Option<String> {
            if !is_group {
                return version(members.first()?, field);
            }
            let mut values: Vec<Option<String>> =
                members.iter().map(|row| version(row, field)).collect();
            if !self.holds(Rule::GroupValuesInOrder) {
                values.reverse();
            }
            if !self.holds(Rule::NullsSkippedInGroups) {
                values.iter_mut().for_each(|value| *value = Some(value.take().unwrap_or_default()));
            }
            let values: Vec<String> = values.into_iter().flatten().collect();
            (!values.is_empty()).then(|| hash(self.feature.hash(), &values.join("|")))
        };
        reads.iter().filter_map(|field| Some((field.clone(), value(field)?))).collect()
    }

    /// Whether rows are fit to be read: of an optional upstream a missing version is no obstacle.
    fn block(
        &self,
        dep: &FeatureDep,
        upstream: &View<'a>,
        members: &[&Row],
        values: &ByField,
        reads: &BTreeSet<String>,
    ) -> Option<Block> {
        let judged = if self.holds(Rule::GroupMembersOutdateToo) { members.len() } else { 1 };
        let is_outdated = members.iter().take(judged).any(|row| upstream.is_outdated(row, reads));
        let is_judged = !dep.optional || self.holds(Rule::OptionalRowsOutdateToo);
        if is_outdated && is_judged && self.holds(Rule::Blocked) {
            return Some(Block::Outdated);
        }
        let lacks = !dep.optional && reads.iter().any(|field| !values.contains_key(field));
        lacks.then_some(Block::NoDataVersion)
    }

    // ---- The join -------------------------------------------------------------------------------

    /// The records that the rows of the upstreams give. `calls` are filters of a call, per upstream:
    /// only where a rule is left out do they have a say in this.
    pub(super) fn expected(&self, calls: &[Vec<Filter>]) -> Result<BTreeMap<Ids, Expected<'a>>> {
        let deps = self.deps();
        let all_optional = deps.iter().all(|dep| dep.optional);
        // Required ones first: what is optional adds no record to theirs.
        let mut order: Vec<usize> = (0..deps.len()).collect();
        order.sort_by_key(|i| deps[*i].optional);

        let nothing = Joined { ids: Columns::new(), inputs: vec![None; deps.len()] };
        let mut joined = vec![nothing.clone()];
        let mut names: BTreeSet<String> = BTreeSet::new();
        for i in order {
            let dep = &deps[i];
            let declared = self.declared(dep)?;
            let mut before = declared.clone();
            if !self.holds(Rule::FiltersBeforeJoin) {
                before.clear();
            }
            if !self.holds(Rule::CallsSelectOnly) {
                before.extend(calls.get(i).into_iter().flatten().cloned());
            }
            let given = self.given(dep, &before)?;
            let on: BTreeSet<String> = self.join_columns(dep)?.into_iter().collect();
            joined = self.join(joined, &names, i, given, &on, dep.optional, all_optional);
            if !self.holds(Rule::FiltersBeforeJoin) {
                joined.retain(|row| {
                    let given = row.inputs[i].iter();
                    given.flat_map(|given| &given.members).all(|row| fulfils(dep, row, &declared))
                });
            }
            names.extend(on);
        }

        let record_names = self.record_names();
        let mut records = BTreeMap::new();
        for Joined { ids, inputs } in joined {
            let id = |name: &String| ids.get(name).filter(|id| !id.is_null()).cloned();
            // A record without all of its ids is none (H3).
            let Some(ids) = record_names.iter().map(id).collect::<Option<Ids>>() else { continue };
            let provenance = self.spec().fields.iter().filter_map(|field| {
                let text = self.pre_image(field, &field.code_version, &inputs)?;
                Some((field.wire_key().struct_key(), hash(self.feature.hash(), &text)))
            });
            let provenance = provenance.collect();
            records.insert(ids, Expected { inputs, provenance, sample: ByField::new() });
        }
        Ok(records)
    }

    /// Joins what one more upstream gives, on the ids that it shares with those before it.
    #[allow(clippy::too_many_arguments, reason = "a join has two sides")]
    fn join(
        &self,
        left: Vec<Joined<'a>>,
        names: &BTreeSet<String>,
        dep: usize,
        right: Vec<Rc<Given<'a>>>,
        on: &BTreeSet<String>,
        keeps_left: bool,
        keeps_right: bool,
    ) -> Vec<Joined<'a>> {
        let n_deps = self.deps().len();
        let shared: Vec<&String> = on.intersection(names).collect();
        let key = |columns: &Columns| -> Option<Ids> {
            shared.iter().map(|name| columns.get(*name).cloned()).collect()
        };
        let mut by_key: BTreeMap<Ids, Vec<Rc<Given<'a>>>> = BTreeMap::new();
        for given in right {
            if let Some(key) = key(&given.on) {
                by_key.entry(key).or_default().push(given);
            }
        }
        if !names.is_empty() && *names != *on && !self.holds(Rule::SharedIds) {
            by_key.clear();
        }
        let with = |row: &Joined<'a>, given: &Rc<Given<'a>>| {
            let mut row = row.clone();
            row.ids.extend(given.on.clone());
            row.inputs[dep] = Some(Rc::clone(given));
            row
        };
        let mut met = BTreeSet::new();
        let mut joined = Vec::new();
        for row in left {
            let matches = key(&row.ids).and_then(|key| by_key.get_key_value(&key));
            match matches {
                Some((key, given)) => {
                    met.insert(key.clone());
                    joined.extend(given.iter().map(|given| with(&row, given)));
                }
                None if keeps_left => joined.push(row),
                None => {}
            }
        }
        if keeps_right {
            let nothing = Joined { ids: Columns::new(), inputs: vec![None; n_deps] };
            let alone = by_key.iter().filter(|(key, _)| !met.contains(*key));
            joined.extend(alone.flat_map(|(_, given)| given).map(|given| with(&nothing, given)));
        }
        joined
    }

    /// What is hashed for a field (wire format, section 2.1), under a code version; none if a value is
    /// missing.
    pub(super) fn pre_image(
        &self,
        field: &FieldSpec,
        code_version: &str,
        inputs: &[Option<Rc<Given<'a>>>],
    ) -> Option<String> {
        let mut text = format!("{}|{code_version}", field.wire_key());
        for parent in self.feature.graph().parents(self.key(), &field.key) {
            let place = self.deps().iter().position(|dep| dep.feature == parent.feature)?;
            let given = inputs.get(place)?.as_ref();
            let value = given.and_then(|given| given.values.get(&parent.wire_field.struct_key()));
            let value = match value {
                Some(value) => value,
                None if !self.deps()[place].optional => return None,
                None if self.holds(Rule::OptionalAbsentIsEmpty) => "",
                None => continue,
            };
            text.extend(["|", &parent.label(), "|", value]);
        }
        Some(text)
    }

    // ---- What blocks a record -------------------------------------------------------------------

    /// What has to happen upstream before a record can be computed.
    pub(super) fn needs(&self, expected: &Expected<'a>) -> Result<Vec<(FeatureKey, Need)>> {
        let mut needs = Vec::new();
        for (dep, given) in self.deps().iter().zip(&expected.inputs) {
            let Some(given) = given else { continue };
            let need = match given.block {
                None => continue,
                Some(Block::NoDataVersion) => Need::NoDataVersion,
                Some(Block::Outdated) => self.why_outdated(dep, given)?,
            };
            needs.push((dep.feature.clone(), need));
        }
        Ok(needs)
    }

    /// What an outdated upstream record is there. It is looked up one step up, and only where that is
    /// one record that plain upstreams make; of all others it is known that they are outdated.
    fn why_outdated(&self, dep: &FeatureDep, given: &Given<'_>) -> Result<Need> {
        let upstream = self.of(&dep.feature)?;
        let mut is_plain = !matches!(dep.lineage, Lineage::Aggregation { .. })
            && !upstream.feature.is_expansion()
            // Samples of a root are the caller's.
            && !upstream.feature.is_root();
        for dep in upstream.deps() {
            is_plain &= !dep.optional
                && dep.lineage == Lineage::Identity
                && dep.filters.as_ref().is_none_or(Vec::is_empty)
                && !self.feature.of(&dep.feature)?.is_expansion();
        }
        let row = given.members.first().filter(|_| is_plain);
        let Some(row) = row else { return Ok(Need::Stale) };
        Ok(match upstream.expected(&[])?.get(&row.get(upstream.ids())) {
            None => Need::Orphaned,
            Some(expected) if expected.is_blocked() => Need::Blocked,
            Some(_) => Need::Stale,
        })
    }
}

/// Whether an upstream row fulfils filters over its columns by their names here.
pub(super) fn fulfils(dep: &FeatureDep, row: &Row, filters: &[Filter]) -> bool {
    filters.iter().all(|filter| filters::holds(filter, &|name| row.value(dep.original(name))))
}
