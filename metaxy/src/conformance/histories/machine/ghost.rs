//! The third account: of every record that is there, what it was really computed from.
//!
//! It is told what happens to the store, and says what should be there today: which records
//! ([`Ghost::expected`]), of what each field of them would be computed ([`Inputs`]), and which of those
//! inputs are outdated. It knows the value of each row's own column, which groups and filters go by,
//! what is deleted and may come back, and of an expansion its parents with their children.
//!
//! **It is an account of its own.** There is no history of rows, no time, no try and no feature version
//! in it, only what is there; inputs are compared as they are, without a hash in between; a record is
//! there for each combination of ids for which the upstreams have something, whatever the order of
//! joins; and filters are understood here by their few shapes (`program::fulfils`). It asks neither
//! engine what is there, new, stale, blocked or orphaned. Three things it takes from the store as it
//! would from user code, without asking what they mean: the text that a field's provenance has in an
//! increment (it becomes a data version, and has to be the same for the same inputs, and another for
//! others), that a version was forced by a call, and which *orphans* a deletion has taken: it knows
//! that they are orphans, but not whether they are so for good (`gone`), by a filter or a group
//! (`excluded`), or for now (`missing`).
//!
//! **It gives up**, and the history goes on with the two engines compared alone,
//! - where a feature that has rows becomes an expansion, or is none any more: rows of old tries are
//!   then records, or no records;
//! - where single children that another program has written are removed for good, or accepted in a
//!   rebase: what was sealed before them is then in force again, and a parent may be half accepted;
//! - where a child comes back that has another definition than its parent.

use super::{Failure, Result, fields};
use crate::FeatureKey;
use crate::conformance::histories::program::{CHILD, Program, fulfils};
use crate::conformance::histories::rows::{ByField, Ids, Value};
use crate::spec::{FeatureDep, Lineage};
use std::collections::{BTreeMap, BTreeSet};

/// What a field of a record was computed from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Inputs {
    pub(super) code_version: String,
    /// The labels of the parent fields; none in a root.
    pub(super) parents: Vec<String>,
    /// What each of them gave; in a root, the caller's version.
    pub(super) values: Vec<Input>,
}

/// What a parent field gave.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Input {
    /// An optional upstream had nothing.
    Nothing,
    /// The data version of one record, or a sample.
    One(String),
    /// Those of the members of a group, in the order of their ids.
    Group(Vec<String>),
}

/// What the fields of a record were computed from, by their keys in the by-field columns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Computed {
    pub(super) inputs: BTreeMap<String, Inputs>,
    /// The fields that come from a version which a user gave or accepted: computed from scratch they
    /// would be others.
    pub(super) swayed: BTreeSet<String>,
}

/// A row as it really is.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) own: Value,
    pub(super) computed: Computed,
    pub(super) data_version: ByField,
    /// The fields whose data version is not what computing from scratch would give.
    pub(super) swayed: BTreeSet<String>,
    /// Whether another program wrote it, of which nothing is recorded.
    is_foreign: bool,
    is_deleted: bool,
}

/// A parent whose children are complete.
#[derive(Clone, Debug)]
struct Family {
    /// None if another program wrote the children.
    computed: Option<Computed>,
    is_deleted: bool,
}

/// A row that is written.
#[derive(Clone, Debug)]
pub(super) struct NewGhost {
    pub(super) ids: Ids,
    pub(super) own: Value,
    pub(super) computed: Computed,
    /// What becomes its data versions, where no others are given or kept.
    pub(super) provenance: ByField,
    /// The data versions that are given.
    pub(super) given: ByField,
    /// The fields among them that the user decided.
    pub(super) overridden: BTreeSet<String>,
}

/// A parent whose children are written and sealed.
#[derive(Clone, Debug)]
pub(super) struct NewFamily {
    pub(super) parent: Ids,
    pub(super) computed: Computed,
    pub(super) children: Vec<NewGhost>,
    /// Whether the children are as many as the seal says.
    pub(super) is_complete: bool,
}

/// What a record would be today.
#[derive(Clone, Debug)]
pub(super) struct Expected {
    pub(super) computed: Computed,
    /// Whether something that it would be computed from is outdated.
    pub(super) is_blocked: bool,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Ghost {
    rows: BTreeMap<FeatureKey, BTreeMap<Ids, Row>>,
    /// Of expansions, by parent; one that is pending is not there.
    families: BTreeMap<FeatureKey, BTreeMap<Ids, Family>>,
    /// The features that were ever written to, and whether they were expansions.
    kinds: BTreeMap<FeatureKey, bool>,
    /// Per field and inputs the text of its provenance, and the other way round.
    texts: BTreeMap<(String, Inputs), String>,
    meanings: BTreeMap<String, (String, Inputs)>,
}

/// The parent of a child.
fn parent_of(program: &Program, feature: &FeatureKey, child: &Ids) -> Ids {
    let names = &program.spec(feature).id_columns;
    let ids = names.iter().zip(child).filter(|(name, _)| *name != CHILD);
    ids.map(|(_, id)| id.clone()).collect()
}

/// The child of a parent.
pub(super) fn child_of(
    program: &Program,
    feature: &FeatureKey,
    parent: &Ids,
    child: &Value,
) -> Ids {
    let mut parent = parent.iter();
    let names = program.spec(feature).id_columns.iter();
    let ids = names.map(|name| if name == CHILD { Some(child) } else { parent.next() });
    ids.flatten().cloned().collect()
}

/// The columns that an upstream is joined on, by their names here.
fn join_columns(program: &Program, feature: &FeatureKey, dep: &FeatureDep) -> Vec<String> {
    let ids = || program.spec(&dep.feature).id_columns.iter().map(|id| dep.renamed(id).to_owned());
    match &dep.lineage {
        Lineage::Identity | Lineage::Expansion { .. } => ids().collect(),
        Lineage::Aggregation { on: Some(on) } => on.clone(),
        Lineage::Aggregation { on: None } => program.spec(feature).id_columns.clone(),
    }
}

impl Ghost {
    // ---- What is there --------------------------------------------------------------------------

    /// Whether all that was written is still of the kind that it was.
    pub(super) fn understands(&self, program: &Program) -> bool {
        self.kinds.iter().all(|(feature, kind)| program.is_expansion(feature) == *kind)
    }

    /// The ids of all rows, deleted ones included.
    pub(super) fn known(&self, feature: &FeatureKey) -> Vec<Ids> {
        self.rows.get(feature).into_iter().flat_map(|rows| rows.keys().cloned()).collect()
    }

    fn is_live(
        &self,
        feature: &FeatureKey,
        parent: &Ids,
        family: &Family,
        program: &Program,
    ) -> bool {
        let mut children = self.rows.get(feature).into_iter().flatten();
        match family.computed {
            Some(_) => !family.is_deleted,
            None => children
                .any(|(ids, row)| !row.is_deleted && parent_of(program, feature, ids) == *parent),
        }
    }

    /// The rows that are there.
    pub(super) fn live<'a>(
        &'a self,
        program: &Program,
        feature: &FeatureKey,
    ) -> BTreeMap<&'a Ids, &'a Row> {
        let rows = self.rows.get(feature).into_iter().flatten();
        let families = self.families.get(feature);
        let is_there = |(ids, row): &(&Ids, &Row)| {
            let has_family = || {
                let parent = parent_of(program, feature, ids);
                let family = families.and_then(|families| families.get(&parent));
                family.is_some_and(|family| self.is_live(feature, &parent, family, program))
            };
            !row.is_deleted && (!program.is_expansion(feature) || has_family())
        };
        rows.filter(is_there).collect()
    }

    /// The records that are there, of an expansion parents, and what each was computed from; nothing
    /// that is known if another program wrote it.
    pub(super) fn records<'a>(
        &'a self,
        program: &Program,
        feature: &FeatureKey,
    ) -> BTreeMap<&'a Ids, Option<&'a Computed>> {
        if !program.is_expansion(feature) {
            let live = self.live(program, feature).into_iter();
            return live.map(|(ids, row)| (ids, Some(&row.computed))).collect();
        }
        let families = self.families.get(feature).into_iter().flatten();
        families
            .filter(|(parent, family)| self.is_live(feature, parent, family, program))
            .map(|(parent, family)| (parent, family.computed.as_ref()))
            .collect()
    }

    /// The children that a parent has.
    pub(super) fn children<'a>(
        &'a self,
        program: &Program,
        feature: &FeatureKey,
        parent: &Ids,
    ) -> Vec<&'a Value> {
        let place = program.spec(feature).id_columns.iter().position(|name| name == CHILD);
        let live = self.live(program, feature).into_keys();
        let children = live.filter(|ids| parent_of(program, feature, ids) == *parent);
        children.filter_map(|ids| ids.get(place?)).collect()
    }

    // ---- What should be there -------------------------------------------------------------------

    /// Whether what is read of a row is not what today's definition would give it.
    pub(super) fn is_outdated(
        program: &Program,
        feature: &FeatureKey,
        row: &Row,
        read: &BTreeSet<String>,
    ) -> bool {
        let differs = |name: &String, field: &crate::spec::FieldSpec| {
            let parents = program.graph.parents(feature, &field.key).iter();
            let parents: Vec<_> = parents.map(crate::graph::ParentField::label).collect();
            row.computed.inputs.get(name).is_none_or(|inputs| {
                inputs.code_version != field.code_version || inputs.parents != parents
            })
        };
        let mut all = fields(program, feature).into_iter();
        row.is_foreign || all.any(|(name, field)| read.contains(&name) && differs(&name, field))
    }

    /// What an upstream gives, by the values of the columns that it is joined on: one row, or the
    /// members of a group in the order of their ids.
    fn given<'a>(
        &'a self,
        program: &Program,
        dep: &FeatureDep,
        on: &[String],
    ) -> BTreeMap<Ids, Vec<&'a Row>> {
        let names = &program.spec(&dep.feature).id_columns;
        let own = &program.columns(&dep.feature).last().expect("a column of its own").name;
        let mut given: BTreeMap<Ids, Vec<&Row>> = BTreeMap::new();
        for (ids, row) in self.live(program, &dep.feature) {
            let value = |here: &str| {
                let there = dep.original(here);
                match names.iter().position(|name| name == there) {
                    Some(place) => ids[place].clone(),
                    None if there == own => row.own.clone(),
                    None => Value::Null,
                }
            };
            let key: Ids = on.iter().map(|name| value(name)).collect();
            let filters = dep.filters.iter().flatten();
            let is_meant = filters.into_iter().all(|filter| fulfils(filter, value));
            if is_meant && !key.contains(&Value::Null) {
                given.entry(key).or_default().push(row);
            }
        }
        given
    }

    /// The records that should be there.
    pub(super) fn expected(
        &self,
        program: &Program,
        feature: &FeatureKey,
    ) -> BTreeMap<Ids, Expected> {
        let names = program.record_names(feature);
        let deps = &program.spec(feature).deps;
        let given: Vec<_> = deps
            .iter()
            .map(|dep| {
                let on = join_columns(program, feature, dep);
                let given = self.given(program, dep, &on);
                (dep, on, given)
            })
            .collect();

        // All combinations of the values that some upstream has for an id.
        let mut combinations: Vec<Ids> = vec![Ids::new()];
        for name in &names {
            let values = given.iter().flat_map(|(_, on, given)| {
                let place = on.iter().position(|column| column == name);
                given.keys().filter_map(move |key| place.map(|place| &key[place]))
            });
            let values: BTreeSet<&Value> = values.collect();
            let longer = combinations.iter().flat_map(|ids| {
                values.iter().map(|value| [&ids[..], std::slice::from_ref(*value)].concat())
            });
            combinations = longer.collect();
        }
        let all_optional = deps.iter().all(|dep| dep.optional);
        let mut expected = BTreeMap::new();
        for ids in combinations {
            let id = |name: &String| Some(ids[names.iter().position(|n| n == name)?].clone());
            let upstream: Vec<Option<&Vec<&Row>>> = given
                .iter()
                .map(|(_, on, given)| given.get(&on.iter().map(id).collect::<Option<Ids>>()?))
                .collect();
            let is_there = match all_optional {
                true => upstream.iter().any(Option::is_some),
                false => deps.iter().zip(&upstream).all(|(d, given)| d.optional || given.is_some()),
            };
            if is_there {
                expected.insert(ids, Self::computed(program, feature, &upstream));
            }
        }
        expected
    }

    /// What a record is computed from, given what each upstream has for it.
    fn computed(
        program: &Program,
        feature: &FeatureKey,
        upstream: &[Option<&Vec<&Row>>],
    ) -> Expected {
        let deps = &program.spec(feature).deps;
        let (mut computed, mut is_blocked) = (Computed::default(), false);
        let mut read: Vec<BTreeSet<String>> = vec![BTreeSet::new(); deps.len()];
        for (name, field) in fields(program, feature) {
            let parents = program.graph.parents(feature, &field.key);
            let mut values = Vec::new();
            for parent in parents {
                let place = deps.iter().position(|dep| dep.feature == parent.feature);
                let place = place.expect("parents are fields of upstreams");
                let theirs = parent.wire_field.struct_key();
                let members = upstream[place].into_iter().flatten();
                let versions = members.clone().filter_map(|row| row.data_version.get(&theirs));
                let mut versions: Vec<String> = versions.cloned().collect();
                let value = match &deps[place].lineage {
                    _ if versions.is_empty() => Input::Nothing,
                    Lineage::Aggregation { .. } => Input::Group(versions),
                    _ => Input::One(versions.remove(0)),
                };
                is_blocked |= value == Input::Nothing && !deps[place].optional;
                if members.clone().any(|row| row.swayed.contains(&theirs)) {
                    computed.swayed.insert(name.clone());
                }
                values.push(value);
                read[place].insert(theirs);
            }
            let parents = parents.iter().map(crate::graph::ParentField::label).collect();
            let code_version = field.code_version.clone();
            computed.inputs.insert(name, Inputs { code_version, parents, values });
        }
        for ((dep, members), read) in deps.iter().zip(upstream).zip(&read) {
            let mut members = members.iter().copied().flatten();
            is_blocked |= members.any(|row| Self::is_outdated(program, &dep.feature, row, read));
        }
        Expected { computed, is_blocked }
    }

    /// What was computed from a version that a user accepted only later is not what computing from scratch
    /// would give either, though nothing has made it stale.
    pub(super) fn spread(&mut self, program: &Program, feature: &FeatureKey) {
        if program.is_root(feature) {
            return;
        }
        let expected = self.expected(program, feature);
        let is_expansion = program.is_expansion(feature);
        for (ids, row) in self.rows.get_mut(feature).into_iter().flatten() {
            let record = if is_expansion { parent_of(program, feature, ids) } else { ids.clone() };
            if let Some(expected) = expected.get(&record) {
                row.computed.swayed.extend(expected.computed.swayed.iter().cloned());
                row.swayed.extend(expected.computed.swayed.iter().cloned());
            }
        }
    }

    /// The records that are there and should not be.
    pub(super) fn orphans(&self, program: &Program, feature: &FeatureKey) -> BTreeSet<Ids> {
        let expected = self.expected(program, feature);
        let records = self.records(program, feature).into_keys();
        records.filter(|ids| !expected.contains_key(*ids)).cloned().collect()
    }

    // ---- What happens ---------------------------------------------------------------------------

    /// The same inputs give a field the same provenance, and others another.
    pub(super) fn meet(
        &mut self,
        computed: &Computed,
        provenance: &ByField,
    ) -> Result<(), Failure> {
        for (field, inputs) in &computed.inputs {
            let Some(text) = provenance.get(field) else {
                return Err(format!("`{field}` has no provenance, but is made of {inputs:?}"));
            };
            let made = (field.clone(), inputs.clone());
            let before = self.texts.entry(made.clone()).or_insert_with(|| text.clone());
            if before != text {
                return Err(format!("{made:?} is now {text} and now {before}"));
            }
            let before = self.meanings.entry(text.clone()).or_insert_with(|| made.clone());
            if *before != made {
                return Err(format!("the provenance {text} means {before:?} and {made:?}"));
            }
        }
        Ok(())
    }

    /// A row as it is after a write. A field that is made of the same as before keeps its data version
    /// unless one is given.
    fn written(new: NewGhost, before: Option<&Row>) -> (Ids, Row) {
        let mut data_version = new.provenance;
        let mut swayed = new.computed.swayed.clone();
        for (field, inputs) in &new.computed.inputs {
            let before = before.filter(|before| before.computed.inputs.get(field) == Some(inputs));
            let kept = before.and_then(|before| before.data_version.get(field));
            data_version.extend(kept.map(|kept| (field.clone(), kept.clone())));
        }
        data_version.extend(new.given);
        if let Some(before) = before {
            let is_kept =
                |field: &&String| before.data_version.get(*field) == data_version.get(*field);
            swayed.extend(before.swayed.iter().filter(is_kept).cloned());
        }
        swayed.extend(new.overridden);
        let (own, computed) = (new.own, new.computed);
        let (is_foreign, is_deleted) = (false, false);
        (new.ids, Row { own, computed, data_version, swayed, is_foreign, is_deleted })
    }

    /// Something is written, be it children of which nobody says that they are complete.
    pub(super) fn touch(&mut self, program: &Program, feature: &FeatureKey) {
        self.kinds.insert(feature.clone(), program.is_expansion(feature));
    }

    /// Rows are written.
    pub(super) fn write(&mut self, program: &Program, feature: &FeatureKey, rows: Vec<NewGhost>) {
        let before = self.live(program, feature);
        let written = rows.into_iter().map(|new| {
            let before = before.get(&new.ids).copied();
            Self::written(new, before)
        });
        let written: Vec<_> = written.collect();
        if !written.is_empty() {
            self.touch(program, feature);
        }
        self.rows.entry(feature.clone()).or_default().extend(written);
    }

    /// Children are written and sealed. They are then all that the parent has; where they are not all
    /// of them, it has none.
    pub(super) fn write_families(
        &mut self,
        program: &Program,
        feature: &FeatureKey,
        families: Vec<NewFamily>,
    ) {
        let before: BTreeMap<Ids, Row> = (self.live(program, feature).into_iter())
            .map(|(ids, row)| (ids.clone(), row.clone()))
            .collect();
        for NewFamily { parent, computed, children, is_complete } in families {
            self.lose_family(program, feature, &parent);
            if is_complete {
                let rows = children.into_iter().map(|new| {
                    let before = before.get(&new.ids);
                    Self::written(new, before)
                });
                self.rows.entry(feature.clone()).or_default().extend(rows);
                let family = Family { computed: Some(computed), is_deleted: false };
                self.families.entry(feature.clone()).or_default().insert(parent, family);
            }
        }
    }

    fn lose_family(&mut self, program: &Program, feature: &FeatureKey, parent: &Ids) {
        let rows = self.rows.entry(feature.clone()).or_default();
        rows.retain(|ids, _| parent_of(program, feature, ids) != *parent);
        self.families.entry(feature.clone()).or_default().remove(parent);
    }

    /// Another program writes rows: with provenances of its own, and without data versions.
    pub(super) fn write_foreign(
        &mut self,
        program: &Program,
        feature: &FeatureKey,
        ids: Ids,
        own: Value,
        provenance: &ByField,
    ) {
        let is_expansion = program.is_expansion(feature);
        self.touch(program, feature);
        let inputs = provenance.iter().map(|(field, text)| {
            // No definition has these.
            let code_version = "theirs".to_owned();
            let parents = match program.is_root(feature) {
                true => Vec::new(),
                false => vec!["theirs".to_owned()],
            };
            let values = vec![Input::One(text.clone())];
            (field.clone(), Inputs { code_version, parents, values })
        });
        let computed = Computed { inputs: inputs.collect(), swayed: BTreeSet::new() };
        if is_expansion {
            let parent = parent_of(program, feature, &ids);
            let family = self.families.get(feature).and_then(|families| families.get(&parent));
            if family.is_none_or(|family| family.computed.is_some()) {
                self.lose_family(program, feature, &parent);
                let family = Family { computed: None, is_deleted: false };
                self.families.entry(feature.clone()).or_default().insert(parent, family);
            }
        }
        let (is_foreign, is_deleted) = (true, false);
        let (data_version, swayed) = (ByField::new(), BTreeSet::new());
        let row = Row { own, computed, data_version, swayed, is_foreign, is_deleted };
        self.rows.entry(feature.clone()).or_default().insert(ids, row);
    }

    /// Rows are deleted, and may come back.
    pub(super) fn delete(&mut self, program: &Program, feature: &FeatureKey, ids: &[Ids]) {
        let live: BTreeSet<Ids> = self.live(program, feature).into_keys().cloned().collect();
        for (ids, row) in
            self.rows.get_mut(feature).into_iter().flatten().filter(|(i, _)| ids.contains(i))
        {
            row.is_deleted |= live.contains(ids);
        }
    }

    /// Rows are removed for good. False if it cannot be told what is there then.
    pub(super) fn remove(&mut self, program: &Program, feature: &FeatureKey, ids: &[Ids]) -> bool {
        let live: BTreeSet<Ids> = self.live(program, feature).into_keys().cloned().collect();
        let rows = self.rows.entry(feature.clone()).or_default();
        let is_removed = |of: &Ids| ids.contains(of) && live.contains(of);
        let is_known = !program.is_expansion(feature)
            || !rows.iter().any(|(i, row)| is_removed(i) && row.is_foreign);
        rows.retain(|ids, _| !is_removed(ids));
        is_known
    }

    /// Rows come back if they were deleted. False if it cannot be told what is there then.
    pub(super) fn undelete(
        &mut self,
        program: &Program,
        feature: &FeatureKey,
        ids: &[Ids],
    ) -> bool {
        let families = self.families.get(feature);
        let mut is_known = true;
        for (ids, row) in
            self.rows.get_mut(feature).into_iter().flatten().filter(|(i, _)| ids.contains(i))
        {
            let family = families.and_then(|f| f.get(&parent_of(program, feature, ids)));
            let computed = family.and_then(|family| family.computed.as_ref());
            let is_of_it = computed.is_none_or(|computed| computed.inputs == row.computed.inputs);
            is_known &= !row.is_deleted || !program.is_expansion(feature) || is_of_it;
            row.is_deleted = false;
        }
        is_known
    }

    /// Records, of an expansion parents, are deleted or removed.
    pub(super) fn delete_records(
        &mut self,
        program: &Program,
        feature: &FeatureKey,
        records: &BTreeSet<Ids>,
        hard: bool,
    ) {
        if !program.is_expansion(feature) {
            let records: Vec<Ids> = records.iter().cloned().collect();
            match hard {
                true => drop(self.remove(program, feature, &records)),
                false => self.delete(program, feature, &records),
            }
            return;
        }
        for parent in records {
            if hard {
                self.lose_family(program, feature, parent);
                continue;
            }
            let families = self.families.entry(feature.clone()).or_default();
            let family = families.get_mut(parent).expect("a record that is there");
            if family.computed.is_some() {
                family.is_deleted = true;
                continue;
            }
            for (ids, row) in self.rows.get_mut(feature).into_iter().flatten() {
                row.is_deleted |= parent_of(program, feature, ids) == *parent;
            }
        }
    }

    /// The samples of a root are all that there is.
    pub(super) fn retain(&mut self, feature: &FeatureKey, is_kept: impl Fn(&Ids) -> bool) {
        for (ids, row) in self.rows.entry(feature.clone()).or_default() {
            row.is_deleted |= !is_kept(ids);
        }
    }

    /// Records that are the same get today's definition; those that differ by nothing but their
    /// definition as well, if code is accepted. They keep their data versions; where there are none,
    /// they get what they would be computed from, by the text of its provenance. False if it cannot be
    /// told what is there then.
    pub(super) fn rebase(
        &mut self,
        program: &Program,
        feature: &FeatureKey,
        accepts_code: bool,
        provenance: impl Fn(&Ids) -> Option<ByField>,
    ) -> bool {
        let mut is_known = true;
        let mut rebased: BTreeMap<Ids, (Computed, BTreeSet<String>)> = BTreeMap::new();
        for (ids, expected) in self.expected(program, feature) {
            let records = self.records(program, feature);
            let Some(current) = records.get(&ids).filter(|_| !expected.is_blocked) else {
                continue;
            };
            let Some(current) = current else {
                is_known &= !accepts_code;
                continue;
            };
            let mut accepted = BTreeSet::new();
            let is_same = expected.computed.inputs.iter().all(|(field, today)| {
                let Some(stored) = current.inputs.get(field) else { return false };
                let is_other_code = stored.parents != today.parents
                    || stored.code_version != today.code_version && stored.values == today.values;
                if stored != today {
                    accepted.insert(field.clone());
                }
                stored == today || accepts_code && is_other_code
            });
            if is_same {
                rebased.insert(ids, (expected.computed, accepted));
            }
        }
        let live: BTreeSet<Ids> = self.live(program, feature).into_keys().cloned().collect();
        let is_expansion = program.is_expansion(feature);
        for (ids, row) in self.rows.get_mut(feature).into_iter().flatten() {
            let record = if is_expansion { parent_of(program, feature, ids) } else { ids.clone() };
            let Some((computed, accepted)) = rebased.get(&record).filter(|_| live.contains(ids))
            else {
                continue;
            };
            let mut data_version = std::mem::take(&mut row.data_version);
            if !accepted.is_empty() {
                for (field, text) in provenance(&record).unwrap_or_default() {
                    data_version.entry(field).or_insert(text);
                }
            }
            data_version.retain(|field, _| computed.inputs.contains_key(field));
            row.data_version = data_version;
            row.computed = computed.clone();
            row.swayed.extend(accepted.iter().cloned());
            row.is_foreign = false;
        }
        for (parent, family) in self.families.get_mut(feature).into_iter().flatten() {
            if let Some((computed, _)) = rebased.get(parent) {
                family.computed = Some(computed.clone());
            }
        }
        is_known
    }
}
