//! [`Explanation`]: one record, why it is as it is, what happened to it, and what belongs to it in
//! every other feature.
//!
//! It is put together from the same resolves and reads that everybody has, over the few records that
//! are asked for.

use crate::error::{Error, Result};
use crate::graph::FeatureGraph;
use crate::increment::{CAUSE, Reason, STALE_FIELDS, STATUS, STORED_PROVENANCE};
use crate::key::FeatureKey;
use crate::spec::{FeatureDep, FeatureSpec, Lineage};
use crate::store::Store;
use crate::store::backend::BatchStream;
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, TimestampMicrosecondType};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use futures::TryStreamExt;
use metaxy_sql::{ColumnType, ScalarType, system};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// How many records of one feature are told of; there may be more.
pub const MOST: usize = 50;

/// One record, and what belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Explanation {
    /// The feature.
    pub feature: FeatureKey,
    /// The record: all that were meant, if some ids were left out.
    pub records: Vec<Explained>,
    /// All that was ever written of them, the latest last.
    pub timeline: Vec<Event>,
    /// What they are computed from, over all features upstream, each before what it is computed from.
    pub upstream: Vec<Related>,
    /// What is computed from them, over all features downstream, each after what it is computed from.
    pub downstream: Vec<Related>,
}

/// A record and its state.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Explained {
    /// Its ids, by name; where it is not there and its feature expands another one, those of the parent.
    pub ids: Vec<(String, String)>,
    /// What is to be done about it.
    pub state: State,
    /// Why, if it is orphaned or blocked: as in [`CAUSE`].
    pub cause: Option<String>,
    /// Why, field by field, if it is stale.
    pub stale: Vec<StaleBecause>,
    /// The definition that wrote it, if it is there.
    pub feature_version: Option<String>,
    /// When it was written, in microseconds since 1970-01-01 UTC.
    pub updated_at: Option<i64>,
    values: BTreeMap<String, String>,
}

/// What is to be done about a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum State {
    /// It is as it should be; in a root: it is there.
    UpToDate,
    /// It is to be computed for the first time.
    New,
    /// It is to be computed again.
    Stale,
    /// It is there, and nothing that it could be computed from.
    Orphaned,
    /// What it is computed from is to be computed first.
    Blocked,
    /// It was deleted, and there is nothing that it could be computed from.
    Deleted,
}

/// Why a field of a record is stale.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StaleBecause {
    /// The key of the field in by-field columns.
    pub field: String,
    /// At least one reason.
    pub reasons: Vec<Reason>,
    /// The provenance that is stored, if there is one.
    pub old: Option<String>,
    /// The provenance that is expected.
    pub new: String,
    /// What has changed upstream since the record was written.
    pub changes: Vec<Change>,
}

/// A field of an upstream record that is another one than when the record downstream was written.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// The upstream.
    pub feature: FeatureKey,
    /// The field, by its key in by-field columns.
    pub field: String,
    /// The upstream record.
    pub ids: Vec<(String, String)>,
    /// Its data version then; `None` if it was not there.
    pub before: Option<String>,
    /// Its data version now; `None` if it is not there.
    pub after: Option<String>,
    /// When it was written last, in microseconds since 1970-01-01 UTC.
    pub at: Option<i64>,
    /// By which definition.
    pub feature_version: Option<String>,
}

/// Something that happened to a record.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Event {
    /// When, in microseconds since 1970-01-01 UTC.
    pub time: i64,
    /// The record.
    pub ids: Vec<(String, String)>,
    /// Whether it was deleted, and not written.
    pub is_deletion: bool,
    /// The definition that wrote it.
    pub feature_version: Option<String>,
    /// The caller's name for the run.
    pub materialization_id: Option<String>,
    /// The fields whose data version is another one than before.
    pub changed: Vec<String>,
}

/// What belongs to a record in another feature.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Related {
    /// The feature.
    pub feature: FeatureKey,
    /// Its records, at most [`MOST`].
    pub records: Vec<Explained>,
    /// Whether there are more.
    pub are_more: bool,
}

impl State {
    /// The name, as in [`STATUS`] where it is in an increment.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::UpToDate => "up to date",
            Self::New => "new",
            Self::Stale => "stale",
            Self::Orphaned => "orphaned",
            Self::Blocked => "blocked",
            Self::Deleted => "deleted",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Explained {
    /// The ids as `name = value, ..`.
    #[must_use]
    pub fn name(&self) -> String {
        name_of(&self.ids)
    }
}

/// Ids as `name = value, ..`.
#[must_use]
pub fn name_of(ids: &[(String, String)]) -> String {
    ids.iter().map(|(name, value)| format!("{name} = {value}")).collect::<Vec<_>>().join(", ")
}

impl Store {
    /// Explains a record: its state and why, what happened to it, and what belongs to it in all features
    /// up and down.
    ///
    /// The ids are texts, as they are printed; some may be left out, and all records that agree on the
    /// others are meant, at most [`MOST`].
    ///
    /// ```no_run
    /// # async fn f(store: &metaxy::Store) -> metaxy::Result<()> {
    /// let key = metaxy::FeatureKey::new("example/face_detection")?;
    /// let explanation = store.explain(&key, &[("video_id", "a")]).await?;
    /// for record in &explanation.records {
    ///     println!("{}: {}", record.name(), record.state);
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// When the graph does not have the feature, it has no such id, or the store fails.
    pub async fn explain(&self, key: &FeatureKey, ids: &[(&str, &str)]) -> Result<Explanation> {
        let condition = self.condition(key, ids)?;
        let (mut records, _) = self.explained(key, &condition).await?;
        for record in &mut records {
            self.find_changes(key, record).await?;
        }
        let timeline = self.timeline(key, &condition).await?;
        let graph = self.graph();
        let up = graph.all_upstreams(key).into_iter().rev();
        let up = up.map(|definition| definition.spec.key.clone()).collect::<Vec<_>>();
        let down = graph.all_downstreams(key).into_iter();
        let down = down.map(|definition| definition.spec.key.clone()).collect::<Vec<_>>();
        let upstream = self.related(key, &records, &up, upstream_condition).await?;
        let downstream = self.related(key, &records, &down, downstream_condition).await?;
        Ok(Explanation { feature: key.clone(), records, timeline, upstream, downstream })
    }

    /// The condition that records have these ids.
    fn condition(&self, key: &FeatureKey, ids: &[(&str, &str)]) -> Result<String> {
        let definition = self.graph().expect(key)?;
        let columns = definition.columns.as_deref().unwrap_or_default();
        let mut conditions = Vec::new();
        for (name, value) in ids {
            if !definition.spec.id_columns.iter().any(|id| id == name) {
                return Err(Error::NoColumn {
                    feature: key.clone(),
                    column: (*name).to_owned(),
                    found: definition.spec.id_columns.clone(),
                });
            }
            let ty = columns.iter().find(|column| column.name == *name).map(|column| column.ty);
            // What is no number stays a text, which the filter refuses.
            let is_number = ty.map(|ty| is_number(ty) && value.parse::<i128>().is_ok());
            conditions.push(equals(name, &literal(value, is_number)));
        }
        if conditions.is_empty() { Ok("TRUE".to_owned()) } else { Ok(conditions.join(" AND ")) }
    }

    /// The records of a feature that fulfil a condition over its ids, and whether there are more.
    async fn explained(&self, key: &FeatureKey, condition: &str) -> Result<(Vec<Explained>, bool)> {
        let feature = self.feature(key)?;
        let ids = &feature.definition().spec.id_columns;
        let stored = self.read_of(key).other_versions(true).filter(condition).batches().await;
        let (stored, mut are_more) = some_rows(without_table(stored)?).await?;
        let mut records: Vec<Explained> =
            stored.iter().map(|row| row.explained(ids, State::UpToDate)).collect();
        if feature.is_root() {
            if records.is_empty() {
                records = self.deleted(key, condition, ids).await?;
            }
            return Ok((records, are_more));
        }

        let parents = feature.record_ids();
        // What is resolved of an expansion are its parents; a condition over other ids is about children.
        let of_parents = if parents.len() == ids.len() { Some(condition.to_owned()) } else { None };
        let of_parents = of_parents.unwrap_or_else(|| any_of(records.iter(), &parents));
        let of_parents = if of_parents.is_empty() { condition.to_owned() } else { of_parents };
        let update = match self.update_of(key).target_filter(&of_parents).await {
            Err(Error::Filter { .. }) if parents.len() < ids.len() => {
                return Ok((records, are_more));
            }
            update => update?,
        };
        let unchanged = update.counts().unchanged;
        let (judged, more) = some_rows(Some(update.batches())).await?;
        are_more |= more;
        let mut of_ids: BTreeMap<Vec<String>, &Row> = BTreeMap::new();
        for row in &judged {
            of_ids.insert(row.key(&parents), row);
        }
        let mut in_doubt = BTreeSet::new();
        let mut seen = BTreeSet::new();
        for record in &mut records {
            let parent: Vec<String> = parents.iter().map(|id| record.value(id)).collect();
            match of_ids.get(&parent) {
                Some(row) => row.judge(record),
                None => drop(in_doubt.insert(parent.clone())),
            }
            seen.insert(parent);
        }
        let new = of_ids.iter().filter(|(ids, _)| !seen.contains(*ids));
        records.extend(new.map(|(_, row)| {
            let mut record = row.explained(&parents, State::New);
            row.judge(&mut record);
            record
        }));
        // Such a call tells of no orphans: what it does not answer is unchanged, or one of them.
        if (in_doubt.len() as u64) > unchanged {
            let all: Vec<Row> = rows(self.update_of(key).await?.batches()).await?;
            for row in all.iter().filter(|row| row.text(STATUS) == Some("orphaned")) {
                let ids = row.key(&parents);
                let is_it = |record: &&mut Explained| {
                    parents.iter().map(|id| record.value(id)).eq(ids.iter().cloned())
                };
                records.iter_mut().filter(is_it).for_each(|record| row.judge(record));
            }
        }
        if records.is_empty() {
            records = self.deleted(key, condition, ids).await?;
        }
        Ok((records, are_more))
    }

    /// Records of which there are tombstones and nothing else.
    async fn deleted(
        &self,
        key: &FeatureKey,
        condition: &str,
        ids: &[String],
    ) -> Result<Vec<Explained>> {
        let read = self.read_of(key).other_versions(true).tombstones(true).filter(condition);
        let (rows, _) = some_rows(without_table(read.batches().await)?).await?;
        Ok(rows.iter().map(|row| row.explained(ids, State::Deleted)).collect())
    }

    /// Finds out what has changed upstream since a stale record was written.
    async fn find_changes(&self, key: &FeatureKey, record: &mut Explained) -> Result<()> {
        let (State::Stale, Some(written)) = (record.state, record.updated_at) else {
            return Ok(());
        };
        let graph = self.graph();
        for dep in &graph.expect(key)?.spec.deps {
            let spec = &graph.expect(&dep.feature)?.spec;
            let Some(condition) = condition_upstream(&graph.expect(key)?.spec, spec, dep, record)
            else {
                continue;
            };
            let read = || self.read_of(&dep.feature).other_versions(true).filter(&condition);
            let before = some_rows(without_table(read().as_of(written).batches().await)?).await?.0;
            let after = some_rows(without_table(read().batches().await)?).await?.0;
            let by_ids = |rows: Vec<Row>| -> BTreeMap<Vec<String>, Row> {
                rows.into_iter().map(|row| (row.key(&spec.id_columns), row)).collect()
            };
            let (before, after) = (by_ids(before), by_ids(after));
            let all: BTreeSet<&Vec<String>> = before.keys().chain(after.keys()).collect();
            for stale in &mut record.stale {
                let field = graph.expect(key)?.spec.fields.iter();
                let field = field.map(|f| (&f.key, f.wire_key().struct_key()));
                let Some((field, _)) = field.into_iter().find(|(_, name)| *name == stale.field)
                else {
                    continue;
                };
                for parent in graph.parents(key, field).iter().filter(|p| p.feature == dep.feature)
                {
                    let name = parent.wire_field.struct_key();
                    for ids in &all {
                        let version = |rows: &BTreeMap<Vec<String>, Row>| {
                            rows.get(*ids)?.data_version.get(&name).cloned()
                        };
                        let (old, new) = (version(&before), version(&after));
                        if old == new || stale.changes.len() >= MOST {
                            continue;
                        }
                        let now = after.get(*ids);
                        stale.changes.push(Change {
                            feature: dep.feature.clone(),
                            field: name.clone(),
                            ids: spec.id_columns.iter().cloned().zip(ids.iter().cloned()).collect(),
                            before: old,
                            after: new,
                            at: now.and_then(|row| row.time),
                            feature_version: now.and_then(|row| row.feature_version.clone()),
                        });
                    }
                }
            }
        }
        Ok(())
    }

    /// All that was ever written of some records.
    async fn timeline(&self, key: &FeatureKey, condition: &str) -> Result<Vec<Event>> {
        let ids = &self.graph().expect(key)?.spec.id_columns;
        let read = self.read_of(key).history(true).other_versions(true).tombstones(true);
        let Some(batches) = without_table(read.filter(condition).batches().await)? else {
            return Ok(Vec::new());
        };
        let mut rows = rows(batches).await?;
        rows.sort_by_key(|row| (row.deleted_at.or(row.time), row.deleted_at.is_some()));
        let mut last: BTreeMap<Vec<String>, BTreeMap<String, String>> = BTreeMap::new();
        let events = rows.into_iter().map(|row| {
            let before = last.insert(row.key(ids), row.data_version.clone()).unwrap_or_default();
            let changed =
                row.data_version.iter().filter(|(field, now)| before.get(*field) != Some(now));
            Event {
                time: row.deleted_at.or(row.time).unwrap_or_default(),
                ids: row.named(ids),
                is_deletion: row.deleted_at.is_some(),
                changed: match row.deleted_at {
                    Some(_) => Vec::new(),
                    None => changed.map(|(field, _)| field.clone()).collect(),
                },
                feature_version: row.feature_version,
                materialization_id: row.materialization_id,
            }
        });
        Ok(events.collect())
    }

    /// What belongs to records in other features, which come in the order in which one leads to the next.
    async fn related(
        &self,
        key: &FeatureKey,
        records: &[Explained],
        features: &[FeatureKey],
        condition: fn(&FeatureGraph, &FeatureKey, &FeatureKey, &[Explained]) -> Vec<String>,
    ) -> Result<Vec<Related>> {
        let mut found: Vec<Related> = Vec::new();
        for feature in features {
            let own = (key, records);
            let others = found.iter().map(|related| (&related.feature, &*related.records));
            let mut any = BTreeSet::new();
            for (from, records) in [own].into_iter().chain(others) {
                any.extend(condition(self.graph(), from, feature, records));
            }
            if any.is_empty() {
                continue;
            }
            let any = any.iter().map(|one| format!("({one})")).collect::<Vec<_>>().join(" OR ");
            let (records, are_more) = self.explained(feature, &any).await?;
            found.push(Related { feature: feature.clone(), records, are_more });
        }
        Ok(found)
    }
}

/// The conditions under which records of an upstream belong to these, if it is one.
fn upstream_condition(
    graph: &FeatureGraph,
    from: &FeatureKey,
    to: &FeatureKey,
    records: &[Explained],
) -> Vec<String> {
    let (Some(here), Some(there)) = (graph.get(from), graph.get(to)) else { return Vec::new() };
    let deps = here.spec.deps.iter().filter(|dep| dep.feature == *to);
    let conditions = deps.flat_map(|dep| {
        records.iter().filter_map(|record| condition_upstream(&here.spec, &there.spec, dep, record))
    });
    conditions.collect()
}

/// The condition under which a record of an upstream belongs to one record.
fn condition_upstream(
    here: &FeatureSpec,
    there: &FeatureSpec,
    dep: &FeatureDep,
    record: &Explained,
) -> Option<String> {
    let columns: Vec<(&str, &str)> = match &dep.lineage {
        Lineage::Aggregation { on: Some(on) } => {
            on.iter().map(|column| (dep.original(column), column.as_str())).collect()
        }
        Lineage::Aggregation { on: None } => {
            here.id_columns.iter().map(|id| (dep.original(id), id.as_str())).collect()
        }
        Lineage::Identity | Lineage::Expansion { .. } => {
            there.id_columns.iter().map(|id| (id.as_str(), dep.renamed(id))).collect()
        }
    };
    joined(
        columns
            .into_iter()
            .filter_map(|(there, here)| Some(equals(there, record.values.get(here)?))),
    )
}

/// The conditions under which records of a feature downstream belong to these, if it is one.
fn downstream_condition(
    graph: &FeatureGraph,
    from: &FeatureKey,
    to: &FeatureKey,
    records: &[Explained],
) -> Vec<String> {
    let (Some(here), Some(there)) = (graph.get(from), graph.get(to)) else { return Vec::new() };
    let mut conditions = Vec::new();
    for dep in there.spec.deps.iter().filter(|dep| dep.feature == *from) {
        let gives = |id: &&String| match &dep.lineage {
            Lineage::Identity => here.spec.id_columns.iter().any(|own| own == dep.original(id)),
            Lineage::Aggregation { on } => on.as_ref().is_none_or(|on| on.contains(id)),
            Lineage::Expansion { on, .. } => on.contains(id),
        };
        let ids: Vec<&String> = there.spec.id_columns.iter().filter(gives).collect();
        conditions.extend(records.iter().filter_map(|record| {
            joined(
                ids.iter().filter_map(|id| Some(equals(id, record.values.get(dep.original(id))?))),
            )
        }));
    }
    conditions
}

/// The condition that a record is one of these, by some of their ids.
fn any_of<'a>(records: impl Iterator<Item = &'a Explained>, ids: &[String]) -> String {
    let one = |record: &Explained| {
        joined(ids.iter().filter_map(|id| Some(equals(id, record.values.get(id)?))))
    };
    let all: BTreeSet<String> = records.filter_map(one).collect();
    all.iter().map(|one| format!("({one})")).collect::<Vec<_>>().join(" OR ")
}

fn joined(conditions: impl Iterator<Item = String>) -> Option<String> {
    let all: Vec<String> = conditions.collect();
    (!all.is_empty()).then(|| all.join(" AND "))
}

fn equals(column: &str, literal: &str) -> String {
    format!("\"{}\" = {literal}", column.replace('"', "\"\""))
}

/// A value as a filter spells it. Where the type is not known, what looks like a number is taken for one.
fn literal(value: &str, is_number: Option<bool>) -> String {
    if is_number.unwrap_or_else(|| value.parse::<i64>().is_ok()) {
        return value.to_owned();
    }
    format!("'{}'", value.replace('\'', "''"))
}

fn is_number(ty: ColumnType) -> bool {
    use ScalarType as S;
    let ColumnType::Scalar(scalar) = ty else { return false };
    !matches!(scalar, S::Text | S::Date | S::Timestamp | S::Uuid | S::Bytes | S::Json)
}

/// Nothing where a feature has no table.
fn without_table(batches: Result<BatchStream>) -> Result<Option<BatchStream>> {
    match batches {
        Ok(batches) => Ok(Some(batches)),
        Err(Error::NoTable { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// At most [`MOST`] rows, and whether there are more.
async fn some_rows(batches: Option<BatchStream>) -> Result<(Vec<Row>, bool)> {
    let mut all = Vec::new();
    let Some(mut batches) = batches else { return Ok((all, false)) };
    while let Some(batch) = batches.try_next().await? {
        all.extend(rows_of(&batch)?);
        if all.len() > MOST {
            all.truncate(MOST);
            return Ok((all, true));
        }
    }
    Ok((all, false))
}

async fn rows(batches: BatchStream) -> Result<Vec<Row>> {
    let batches: Vec<RecordBatch> = batches.try_collect().await?;
    let mut all = Vec::new();
    for batch in &batches {
        all.extend(rows_of(batch)?);
    }
    Ok(all)
}

/// A row of a feature or of an increment, as far as it is told of.
#[derive(Clone, Debug, Default)]
struct Row {
    /// What is not NULL, as texts.
    texts: BTreeMap<String, String>,
    /// The same, as filters spell it.
    literals: BTreeMap<String, String>,
    maps: BTreeMap<String, BTreeMap<String, String>>,
    data_version: BTreeMap<String, String>,
    feature_version: Option<String>,
    materialization_id: Option<String>,
    time: Option<i64>,
    deleted_at: Option<i64>,
}

impl Row {
    fn text(&self, column: &str) -> Option<&str> {
        self.texts.get(column).map(String::as_str)
    }

    fn key(&self, ids: &[String]) -> Vec<String> {
        ids.iter().map(|id| self.text(id).unwrap_or_default().to_owned()).collect()
    }

    fn named(&self, ids: &[String]) -> Vec<(String, String)> {
        ids.iter().cloned().zip(self.key(ids)).collect()
    }

    fn explained(&self, ids: &[String], state: State) -> Explained {
        Explained {
            ids: self.named(ids),
            state,
            cause: None,
            stale: Vec::new(),
            feature_version: self.feature_version.clone(),
            updated_at: self.time,
            values: self.literals.clone(),
        }
    }

    /// What a row of an increment says about a record.
    fn judge(&self, record: &mut Explained) {
        record.state = match self.text(STATUS) {
            Some("new") => State::New,
            Some("stale") => State::Stale,
            Some("orphaned") => State::Orphaned,
            Some("blocked") => State::Blocked,
            _ => record.state,
        };
        record.cause = self.text(CAUSE).map(str::to_owned);
        let of = |column: &str| self.maps.get(column).cloned().unwrap_or_default();
        let (old, new) = (of(STORED_PROVENANCE), of(system::PROVENANCE_BY_FIELD));
        record.stale = of(STALE_FIELDS)
            .into_iter()
            .map(|(field, reasons)| StaleBecause {
                reasons: reasons.split(',').filter_map(Reason::parse).collect(),
                old: old.get(&field).cloned(),
                new: new.get(&field).cloned().unwrap_or_default(),
                changes: Vec::new(),
                field,
            })
            .collect();
    }
}

impl Explained {
    fn value(&self, id: &str) -> String {
        self.ids
            .iter()
            .find(|(name, _)| name == id)
            .map(|(_, value)| value.clone())
            .unwrap_or_default()
    }
}

fn rows_of(batch: &RecordBatch) -> Result<Vec<Row>> {
    let mut rows = vec![Row::default(); batch.num_rows()];
    let options = FormatOptions::default();
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        let name = field.name();
        let times = |place: fn(&mut Row) -> &mut Option<i64>, rows: &mut [Row]| {
            let times = column.as_primitive_opt::<TimestampMicrosecondType>();
            for (row, time) in rows.iter_mut().zip(times.into_iter().flatten()) {
                *place(row) = time;
            }
        };
        match name.as_str() {
            system::UPDATED_AT => times(|row| &mut row.time, &mut rows),
            system::DELETED_AT => times(|row| &mut row.deleted_at, &mut rows),
            _ => {}
        }
        if let Some(maps) = column.as_map_opt() {
            let text = |array: &dyn Array| -> Option<arrow::array::StringArray> {
                array.as_string_opt::<i32>().cloned()
            };
            let (Some(keys), Some(values)) = (text(maps.keys()), text(maps.values())) else {
                continue;
            };
            for (n, row) in rows.iter_mut().enumerate().filter(|(n, _)| maps.is_valid(*n)) {
                let offset =
                    |i: usize| usize::try_from(maps.value_offsets()[i]).unwrap_or_default();
                let entries = (offset(n)..offset(n + 1)).filter(|entry| values.is_valid(*entry));
                let entries =
                    entries.map(|e| (keys.value(e).to_owned(), values.value(e).to_owned()));
                row.maps.insert(name.clone(), entries.collect());
            }
            continue;
        }
        let is_bare = column.data_type().is_numeric() || *column.data_type() == DataType::Boolean;
        // Points in time are UTC; Arrow would look for a list of time zones.
        let column = match column.data_type() {
            DataType::Timestamp(unit, Some(_)) => {
                &arrow::compute::cast(column, &DataType::Timestamp(*unit, None))?
            }
            _ => column,
        };
        let formatter = ArrayFormatter::try_new(column, &options)?;
        for (n, row) in rows.iter_mut().enumerate().filter(|(n, _)| column.is_valid(*n)) {
            let text = formatter.value(n).to_string();
            if !column.data_type().is_nested() {
                row.literals.insert(name.clone(), literal(&text, Some(is_bare)));
            }
            row.texts.insert(name.clone(), text);
        }
    }
    for row in &mut rows {
        row.data_version = row.maps.get(system::DATA_VERSION_BY_FIELD).cloned().unwrap_or_default();
        row.feature_version = row.text(system::FEATURE_VERSION).map(str::to_owned);
        row.materialization_id = row.text(system::MATERIALIZATION_ID).map(str::to_owned);
    }
    Ok(rows)
}
