//! Tables and their history -> the rows that exist.
//!
//! Two questions are answered here, for one feature at a time: which row is *the* row of a record
//! ([`View::existing`]), and whether a reader of some fields may trust it ([`View::is_outdated`]).
//! Not here: how rows come in or go out.

use super::rule::Rule;
use super::value::{Columns, Ids, Value};
use crate::error::{Error, Result};
use crate::graph::ParentField;
use crate::key::FeatureKey;
use crate::spec::FeatureSpec;
use crate::store::backend::{Failure, FeatureContext, Measured, PushedRow, Rebased};
use indexmap::IndexMap;
use metaxy_sql::ColumnType;
use std::collections::{BTreeMap, BTreeSet};

/// A text per field, by the key of the field in the by-field columns.
pub(super) type ByField = BTreeMap<String, String>;

/// Columns of a table by name, with their types as far as they are known.
pub(super) type ColumnTypes = IndexMap<String, Option<ColumnType>>;

/// A row of a feature's history. None is ever changed.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Row {
    /// Ids and columns, by name.
    pub(super) values: Columns,
    /// What it was computed from, per field, and the hash over that.
    pub(super) provenance: ByField,
    pub(super) provenance_hash: Option<String>,
    /// What downstream sees of it, per field, and the hash over that.
    pub(super) data_version: ByField,
    pub(super) data_version_hash: Option<String>,
    /// The definition that wrote it.
    pub(super) feature_version: Option<String>,
    pub(super) project_version: Option<String>,
    /// Microseconds since 1970-01-01 UTC.
    pub(super) created_at: Option<i64>,
    pub(super) updated_at: Option<i64>,
    /// When the record was deleted: the row is then a tombstone.
    pub(super) deleted_at: Option<i64>,
    pub(super) materialization_id: Option<String>,
    pub(super) write_token: Option<i64>,
    /// Which attempt at expanding its parent a child belongs to.
    pub(super) attempt: Option<i64>,
}

/// That the children of a parent are complete: a row about the parent, and their number.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Seal {
    pub(super) row: Row,
    pub(super) children: i64,
}

/// The place of a row, or of a seal, among those of its record.
pub(super) type Order = (i64, bool, Option<i64>);

impl Row {
    pub(super) fn is_tombstone(&self) -> bool {
        self.deleted_at.is_some()
    }

    pub(super) fn time(&self) -> i64 {
        self.deleted_at.or(self.updated_at).unwrap_or_default()
    }

    pub(super) fn order(&self) -> Order {
        (self.time(), self.is_tombstone(), self.write_token)
    }

    /// The values of some columns.
    pub(super) fn get<'n>(&self, names: impl IntoIterator<Item = &'n String>) -> Ids {
        names.into_iter().map(|name| self.value(name)).collect()
    }

    pub(super) fn value(&self, name: &str) -> Value {
        self.values.get(name).cloned().unwrap_or(Value::Null)
    }
}

/// What a store holds of one feature.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    /// Ids and columns that rows were ever written with.
    pub(super) columns: ColumnTypes,
    /// In the order of their writes.
    pub(super) rows: Vec<Row>,
    /// Of an expansion.
    pub(super) seals: Vec<Seal>,
}

impl Table {
    fn all(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().chain(self.seals.iter().map(|seal| &seal.row))
    }

    /// The latest time of anything in it.
    pub(super) fn latest_time(&self) -> Option<i64> {
        self.all().map(Row::time).max()
    }

    /// Whether a write with this token is there; one with seals is, once these are.
    pub(super) fn has_token(&self, token: i64, with_seals: bool) -> bool {
        let mut seals = self.seals.iter().map(|seal| &seal.row);
        let is_of_it = |row: &Row| row.write_token == Some(token);
        seals.any(is_of_it) || !with_seals && self.rows.iter().any(is_of_it)
    }
}

/// What a definition says of a field: all that decides whether a row is outdated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FieldDefinition {
    pub(super) code_version: String,
    /// A JSON list of `feature/key.field/key`, sorted.
    pub(super) parents: String,
}

/// What was recorded of a field: the texts of [`metaxy_sql::system::definitions::COLUMNS`] after the
/// first.
pub(super) type Recorded = [String; 6];

/// Everything that a store holds.
#[derive(Clone, Debug, Default)]
pub(super) struct State {
    pub(super) tables: BTreeMap<FeatureKey, Table>,
    pub(super) definitions: BTreeMap<FeatureKey, Vec<Recorded>>,
    pub(super) failures: BTreeMap<FeatureKey, Vec<Failure>>,
    /// The MD5 of the ids of records that were removed with all of their rows.
    pub(super) removed: BTreeMap<FeatureKey, BTreeSet<String>>,
    /// What is noted of them, the latest last.
    pub(super) rebases: Vec<Rebased>,
    /// How long records took, the latest last.
    pub(super) measured: Vec<Measured>,
    /// Definitions that were pushed, the latest last.
    pub(super) pushes: Vec<PushedRow>,
}

/// A feature as a program sees it in a store.
#[derive(Clone, Debug)]
pub(super) struct View<'a> {
    pub(super) state: &'a State,
    pub(super) feature: FeatureContext,
    pub(super) without: Option<Rule>,
}

/// The children of a parent, and what says which they are.
#[derive(Clone, Debug)]
pub(super) struct InForce<'a> {
    /// None if it is implied by rows that belong to no try.
    pub(super) seal: Option<&'a Seal>,
    /// Whether the parent is there.
    pub(super) is_live: bool,
    /// Whether some children are still to come.
    pub(super) is_pending: bool,
    /// The latest row of each child, tombstones included.
    pub(super) children: BTreeMap<Ids, &'a Row>,
    /// The seal's own row; of an implied seal, its latest one.
    pub(super) row: &'a Row,
}

impl<'a> InForce<'a> {
    /// Whether its children are there.
    pub(super) fn counts(&self) -> bool {
        self.is_live && !self.is_pending
    }

    /// The children that are not deleted.
    pub(super) fn live(&self) -> impl Iterator<Item = (&Ids, &'a Row)> {
        self.children.iter().map(|(ids, row)| (ids, *row)).filter(|(_, row)| !row.is_tombstone())
    }

    /// The try of its children.
    pub(super) fn attempt(&self) -> Option<i64> {
        self.seal.and_then(|seal| seal.row.attempt)
    }
}

impl<'a> View<'a> {
    pub(super) fn holds(&self, rule: Rule) -> bool {
        self.without != Some(rule)
    }

    /// Another feature of the same program.
    pub(super) fn of(&self, key: &FeatureKey) -> Result<Self> {
        Ok(Self { feature: self.feature.of(key)?, ..self.clone() })
    }

    pub(super) fn key(&self) -> &FeatureKey {
        self.feature.key()
    }

    pub(super) fn spec(&self) -> &FeatureSpec {
        &self.feature.definition().spec
    }

    pub(super) fn ids(&self) -> &[String] {
        &self.spec().id_columns
    }

    pub(super) fn version(&self) -> &str {
        &self.feature.versions().feature_version
    }

    pub(super) fn table(&self) -> Option<&'a Table> {
        self.state.tables.get(self.key())
    }

    fn rows(&self) -> &'a [Row] {
        self.table().map_or(&[], |table| &table.rows)
    }

    /// The id columns of its parents, if it is an expansion.
    pub(super) fn parent_names(&self) -> Option<Vec<String>> {
        let name = |place: usize| self.ids()[place].clone();
        self.feature
            .is_expansion()
            .then(|| self.feature.parent_ids().into_iter().map(name).collect())
    }

    // ---- The row of a record --------------------------------------------------------------------

    /// The latest of some rows of each record, tombstones included. Rows that lack an id are no
    /// records (H3).
    fn latest(&self, rows: impl IntoIterator<Item = &'a Row>) -> BTreeMap<Ids, &'a Row> {
        let mut latest: BTreeMap<Ids, &Row> = BTreeMap::new();
        for row in rows {
            if !self.holds(Rule::LatestFirst)
                && row.feature_version.as_deref() != Some(self.version())
                || !self.holds(Rule::Tombstones) && row.is_tombstone()
            {
                continue;
            }
            let ids = row.get(self.ids());
            let is_record = !ids.iter().any(Value::is_null);
            if is_record && latest.get(&ids).is_none_or(|before| before.order() <= row.order()) {
                latest.insert(ids, row);
            }
        }
        latest
    }

    /// The latest row of each record over its whole history, whatever seals say.
    pub(super) fn latest_of_all(&self) -> BTreeMap<Ids, &'a Row> {
        self.latest(self.rows())
    }

    /// The row of each record that is there, outdated or not.
    pub(super) fn existing(&self) -> BTreeMap<Ids, &'a Row> {
        self.standing(None, false)
    }

    /// The same as it was at a time, and on request with tombstones.
    pub(super) fn standing(&self, as_of: Option<i64>, tombstones: bool) -> BTreeMap<Ids, &'a Row> {
        let mut rows = if self.feature.is_expansion() && self.holds(Rule::SealsDecide) {
            let parents = self.parents(as_of).into_values().filter(InForce::counts);
            parents.flat_map(|parent| parent.children).collect()
        } else {
            self.latest(self.rows().iter().filter(|row| not_later(row, as_of)))
        };
        rows.retain(|_, row| tombstones || !row.is_tombstone());
        rows
    }

    /// What is in force of each parent of an expansion.
    pub(super) fn parents(&self, as_of: Option<i64>) -> BTreeMap<Ids, InForce<'a>> {
        let Some(names) = self.parent_names() else { return BTreeMap::new() };
        let rows = || self.rows().iter().filter(|row| not_later(row, as_of));
        let is_named = |parent: &Ids| !parent.iter().any(Value::is_null);
        let mut by_parent: BTreeMap<Ids, Vec<&'a Row>> = BTreeMap::new();
        let mut latest: BTreeMap<Ids, &'a Seal> = BTreeMap::new();
        for row in rows() {
            by_parent.entry(row.get(&names)).or_default().push(row);
        }
        for seal in self.table().into_iter().flat_map(|table| &table.seals) {
            let parent = seal.row.get(&names);
            let is_later = |before: &&Seal| before.row.order() <= seal.row.order();
            if not_later(&seal.row, as_of) && latest.get(&parent).is_none_or(is_later) {
                latest.insert(parent, seal);
            }
        }
        let all: BTreeSet<&Ids> = by_parent.keys().chain(latest.keys()).collect();
        let parents = all.into_iter().filter(|parent| is_named(parent)).filter_map(|parent| {
            let rows = by_parent.get(parent).map_or(&[][..], Vec::as_slice);
            Some((parent.clone(), self.in_force(latest.get(parent).copied(), rows)?))
        });
        parents.collect()
    }

    /// The later one of a parent's latest seal and the one that its rows without a try imply.
    fn in_force(&self, seal: Option<&'a Seal>, rows: &[&'a Row]) -> Option<InForce<'a>> {
        let of_try = |attempt| {
            let is_of_it = move |row: &&'a Row| row.attempt == attempt;
            if self.holds(Rule::SealsBeforeLatest) {
                return self.latest(rows.iter().copied().filter(is_of_it));
            }
            let mut latest = self.latest(rows.iter().copied());
            latest.retain(|_, row| is_of_it(row));
            latest
        };
        let implied = rows.iter().copied().filter(|row| row.attempt.is_none());
        let implied = implied.max_by_key(|row| row.order());
        match (seal, implied) {
            (Some(seal), implied) if implied.is_none_or(|row| row.order() <= seal.row.order()) => {
                let attempt = seal.row.attempt;
                let children = of_try(attempt);
                let there = rows.iter().filter(|row| row.attempt == attempt);
                let there: BTreeSet<Ids> = there.map(|row| row.get(self.ids())).collect();
                let n_there = i64::try_from(there.len()).unwrap_or(i64::MAX);
                let is_live = !seal.row.is_tombstone();
                let is_pending =
                    is_live && n_there < seal.children && self.holds(Rule::PendingIsNotThere);
                Some(InForce { seal: Some(seal), is_live, is_pending, children, row: &seal.row })
            }
            (_, Some(row)) => {
                let children = of_try(None);
                let is_live = children.values().any(|row| !row.is_tombstone());
                Some(InForce { seal: None, is_live, is_pending: false, children, row })
            }
            (_, None) => None,
        }
    }

    // ---- Outdated -------------------------------------------------------------------------------

    /// What today's definition says of each field.
    pub(super) fn definition(&self) -> BTreeMap<String, FieldDefinition> {
        let graph = self.feature.graph();
        let definition = self.spec().fields.iter().map(|field| {
            let parents = graph.parents(self.key(), &field.key);
            let parents: Vec<String> = parents.iter().map(ParentField::label).collect();
            let parents = serde_json::to_string(&parents).unwrap_or_default();
            let code_version = field.code_version.clone();
            (field.wire_key().struct_key(), FieldDefinition { code_version, parents })
        });
        definition.collect()
    }

    /// What the definition of a feature version said, if anybody recorded it.
    pub(super) fn recorded(
        &self,
        version: Option<&str>,
    ) -> Option<BTreeMap<&'a str, FieldDefinition>> {
        let mut fields = BTreeMap::new();
        for [of, field, _, code_version, parents, _] in self.state.definitions.get(self.key())? {
            if Some(of.as_str()) == version {
                let (code_version, parents) = (code_version.clone(), parents.clone());
                fields.insert(field.as_str(), FieldDefinition { code_version, parents });
            }
        }
        (!fields.is_empty()).then_some(fields)
    }

    /// Whether a row is outdated for a reader of these fields: the definition that wrote it gave one
    /// of them another code version or other parents than today's, or nobody knows what it gave.
    ///
    /// Field versions are not compared: they say that something changed further up, and whether that
    /// concerns a record only its data versions tell.
    pub(super) fn is_outdated(&self, row: &Row, read: &BTreeSet<String>) -> bool {
        if row.feature_version.as_deref() == Some(self.version()) {
            return false;
        }
        if !self.holds(Rule::NotTransitive) {
            return true;
        }
        let Some(recorded) = self.recorded(row.feature_version.as_deref()) else { return true };
        let today = self.definition();
        let mut read = today
            .iter()
            .filter(|(field, _)| read.contains(*field) || !self.holds(Rule::OnlyFieldsThatAreRead));
        read.any(|(field, today)| self.differs(recorded.get(field.as_str()), today))
    }

    /// Whether a recorded definition says of a field what today's does not.
    pub(super) fn differs(
        &self,
        recorded: Option<&FieldDefinition>,
        today: &FieldDefinition,
    ) -> bool {
        let Some(recorded) = recorded else { return true };
        recorded.code_version != today.code_version && self.holds(Rule::OutdatedByCode)
            || recorded.parents != today.parents && self.holds(Rule::OutdatedByParents)
    }

    /// All of its fields.
    pub(super) fn all_fields(&self) -> BTreeSet<String> {
        self.feature.field_names().into_iter().collect()
    }

    // ---- What a table can be asked --------------------------------------------------------------

    /// The columns that it has: those of its definition, or, where only a spec is known, those that
    /// rows were written with; ids first.
    pub(super) fn columns(&self) -> ColumnTypes {
        let stored = self.table().map(|table| table.columns.clone()).unwrap_or_default();
        let mut columns: IndexMap<_, _> = match &self.feature.definition().columns {
            Some(columns) => columns.iter().map(|c| (c.name.clone(), Some(c.ty))).collect(),
            None => stored.clone(),
        };
        for (place, id) in self.ids().iter().enumerate() {
            let ty = columns.shift_remove(id).flatten();
            let ty = ty.or_else(|| stored.get(id).copied().flatten());
            columns.shift_insert(place.min(columns.len()), id.clone(), ty);
        }
        columns
    }

    /// Refuses tables of the feature and of its upstreams that were written with other id columns:
    /// their rows cannot be compared with records of today.
    pub(super) fn check_ids(&self) -> Result<()> {
        let graph = self.feature.graph();
        let upstreams = graph.upstreams(self.key()).into_iter().map(|definition| &definition.spec);
        for spec in [self.spec()].into_iter().chain(upstreams) {
            if !self.state.tables.contains_key(&spec.key) {
                continue;
            }
            let today = id_columns_text(&spec.id_columns);
            let recorded = self.state.definitions.get(&spec.key).into_iter().flatten();
            if let Some([.., recorded]) = recorded.into_iter().find(|[.., ids]| *ids != today) {
                let (feature, recorded) = (spec.key.clone(), recorded.clone());
                return Err(Error::OtherIds { feature, today, recorded });
            }
        }
        Ok(())
    }

    /// Refuses to look for columns that no row was ever written with.
    pub(super) fn check_columns<'n>(&self, names: impl Iterator<Item = &'n String>) -> Result<()> {
        let Some(table) = self.table() else { return Ok(()) };
        let columns: Vec<String> =
            names.filter(|name| !table.columns.contains_key(*name)).cloned().collect();
        if columns.is_empty() {
            return Ok(());
        }
        let (feature, table) = (self.key().clone(), self.key().table_name());
        Err(Error::TableLacksColumns { feature, table, columns })
    }

    /// The failures of a record, given by its ids as texts: how often, and when last.
    pub(super) fn failures(&self, ids: &[String], provenance: &str) -> Option<(u64, i64)> {
        let counts = |failure: &&Failure| {
            failure.ids == ids
                && (failure.provenance == provenance
                    || !self.holds(Rule::FailuresCountForTheirInputs))
        };
        let all = self.state.failures.get(self.key()).into_iter().flatten().filter(counts);
        let times: Vec<i64> = all.map(|failure| failure.time).collect();
        Some((times.len() as u64, *times.iter().max()?))
    }
}

/// Rows later than the time of a read do not exist.
pub(super) fn not_later(row: &Row, as_of: Option<i64>) -> bool {
    as_of.is_none_or(|as_of| row.time() <= as_of)
}

/// The id columns of a feature as they are recorded: a JSON list.
pub(super) fn id_columns_text(ids: &[String]) -> String {
    serde_json::to_string(ids).unwrap_or_default()
}
