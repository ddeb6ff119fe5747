//! Staged rows -> rows of a table: with one time, one token, and the data versions that are kept.
//!
//! Not here: deletions ([`super::deletions`]), and checks of single rows, which the store has done.

use super::batches::{Staged, random};
use super::compare::Class;
use super::hash::hash_over;
use super::rows::{ByField, ColumnTypes, Row, Seal, State, Table, View, id_columns_text};
use super::rule::Rule;
use super::value::{Ids, Value};
use crate::error::Result;
use crate::increment::Counts;
use crate::key::FeatureKey;
use crate::spec::ColumnSpec;
use crate::store::backend::{Layout, SyncOptions, WriteOptions, Written};
use crate::store::hashing::write_token;
use crate::store::stage::{WriteError, write_error};
use metaxy_sql::{ColumnType, ScalarType};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{SystemTime, UNIX_EPOCH};

/// What every row of a write carries.
#[derive(Clone, Debug)]
pub(super) struct Stamp {
    pub(super) time: i64,
    pub(super) token: i64,
    pub(super) run: Option<String>,
}

/// Rows and seals that are to be appended.
#[derive(Clone, Debug, Default)]
pub(super) struct Addition {
    pub(super) rows: Vec<Row>,
    pub(super) seals: Vec<Seal>,
}

/// The clock, in microseconds since 1970-01-01 UTC.
pub(super) fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros());
    i64::try_from(now).unwrap_or(i64::MAX)
}

impl Stamp {
    /// What the n-th commit of a write carries: a time later than anything in the table (H15). Nothing
    /// if the caller has named the write, and this commit of it, with seals or not, is in the table already.
    pub(super) fn of_commit(
        table: Option<&Table>,
        options: &WriteOptions,
        commit: u64,
        with_seals: bool,
    ) -> Option<Self> {
        let token = options.token.as_ref().map(|name| write_token(name, commit));
        let is_known = |token| table.is_some_and(|table| table.has_token(token, with_seals));
        if token.is_some_and(is_known) {
            return None;
        }
        let latest = table.and_then(Table::latest_time);
        let time = latest.map_or_else(now, |latest| now().max(latest.saturating_add(1)));
        let run = options.materialization_id.clone();
        Some(Self { time, token: token.unwrap_or_else(random), run })
    }

    /// The same for a write of one commit without seals.
    pub(super) fn new(table: Option<&Table>, options: &WriteOptions) -> Option<Self> {
        Self::of_commit(table, options, 0, false)
    }

    /// A row again, as written now.
    pub(super) fn again(&self, row: &Row) -> Row {
        Row {
            updated_at: Some(self.time),
            deleted_at: None,
            materialization_id: self.run.clone(),
            write_token: Some(self.token),
            ..row.clone()
        }
    }

    /// The tombstone of a row: the same with a time of deletion.
    pub(super) fn tombstone(&self, row: &Row) -> Row {
        Row { deleted_at: Some(self.time), updated_at: row.updated_at, ..self.again(row) }
    }

    pub(super) fn again_sealed(&self, seal: &Seal) -> Seal {
        Seal { row: self.again(&seal.row), ..*seal }
    }

    pub(super) fn tombstone_sealed(&self, seal: &Seal) -> Seal {
        Seal { row: self.tombstone(&seal.row), ..*seal }
    }
}

impl View<'_> {
    /// The rows of a write as they are appended.
    pub(super) fn written(&self, staged: Vec<Staged>, stamp: &Stamp) -> Vec<Row> {
        let existing = self.existing();
        let rows = staged.into_iter().map(|staged| {
            let stored = existing.get(&self.staged_ids(&staged)).copied();
            let data_version = self.written_data_version(&staged, stored);
            let mut row = self.stamped(staged, stamp);
            let fields = self.feature.field_names();
            row.data_version_hash = hash_over(self.feature.hash(), &data_version, &fields);
            row.data_version = data_version;
            row.created_at = Some(stamp.time);
            row
        });
        rows.collect()
    }

    /// The seals of a write as they are appended.
    pub(super) fn sealed(&self, staged: Vec<Staged>, stamp: &Stamp) -> Vec<Seal> {
        let seal = |staged: Staged| {
            let children = staged.children;
            Seal { row: self.stamped(staged, stamp), children }
        };
        staged.into_iter().map(seal).collect()
    }

    fn stamped(&self, staged: Staged, stamp: &Stamp) -> Row {
        let fields = self.feature.field_names();
        Row {
            values: staged.values,
            provenance_hash: hash_over(self.feature.hash(), &staged.provenance, &fields),
            provenance: staged.provenance,
            feature_version: Some(self.version().to_owned()),
            project_version: Some(self.feature.project_version().to_owned()),
            updated_at: Some(stamp.time),
            materialization_id: stamp.run.clone(),
            write_token: Some(stamp.token),
            attempt: staged.attempt,
            ..Row::default()
        }
    }

    /// The data versions of a row that is written: those that are given; then, outside of the stale
    /// set, those that are stored; then the provenances.
    fn written_data_version(&self, staged: &Staged, stored: Option<&Row>) -> ByField {
        let mut data_version = staged.provenance.clone();
        for field in self.feature.field_names() {
            let Some(stored) = stored.filter(|_| self.holds(Rule::KeptDataVersions)) else { break };
            // In a root the provenance does not tell of another code version.
            let of_field = BTreeSet::from([field.clone()]);
            let is_stale = stored.provenance.get(&field) != staged.provenance.get(&field)
                || self.feature.is_root() && self.is_outdated(stored, &of_field);
            let kept = stored.data_version.get(&field).filter(|_| !is_stale);
            data_version.extend(kept.map(|version| (field, version.clone())));
        }
        data_version.extend(staged.given.clone());
        data_version
    }

    fn staged_ids(&self, staged: &Staged) -> Ids {
        let id = |name: &String| staged.values.get(name).cloned().unwrap_or(Value::Null);
        self.ids().iter().map(id).collect()
    }

    /// Refuses records that are staged more than once.
    pub(super) fn check_duplicates(&self, staged: &[Staged], names: &[String]) -> Result<()> {
        match Self::repeated(staged, names) {
            None => Ok(()),
            Some((id, count)) => {
                Err(write_error(&self.feature, WriteError::DuplicateId { id, count }))
            }
        }
    }

    /// Refuses parents that are sealed more than once.
    fn check_sealed_once(&self, seals: &[Staged]) -> Result<()> {
        match Self::repeated(seals, &self.record_names()) {
            None => Ok(()),
            Some((id, count)) => {
                Err(write_error(&self.feature, WriteError::SealedTwice { id, count }))
            }
        }
    }

    /// One id that is staged more than once, and how often.
    fn repeated(staged: &[Staged], names: &[String]) -> Option<(String, u64)> {
        let mut counts: BTreeMap<Ids, u64> = BTreeMap::new();
        for row in staged {
            let id = |name: &String| row.values.get(name).cloned().unwrap_or(Value::Null);
            *counts.entry(names.iter().map(id).collect()).or_default() += 1;
        }
        let (ids, count) = counts.into_iter().find(|(_, count)| *count > 1)?;
        let pairs = names.iter().zip(&ids).map(|(name, id)| format!("{name} = {}", id.text()));
        Some((pairs.collect::<Vec<_>>().join(", "), count))
    }

    /// The columns of the table with those of a write; refused if one has another type there.
    pub(super) fn columns_with(&self, written: &[ColumnSpec]) -> Result<ColumnTypes> {
        // Engines keep JSON as text.
        let kept_as = |ty: ColumnType| match ty {
            ColumnType::Scalar(ScalarType::Json) => ColumnType::Scalar(ScalarType::Text),
            other => other,
        };
        let mut columns = self.table().map(|table| table.columns.clone()).unwrap_or_default();
        for column in written {
            let there = columns.entry(column.name.clone()).or_default();
            if let Some(there) = there.filter(|there| kept_as(*there) != kept_as(column.ty)) {
                let reason = WriteError::Type {
                    column: column.name.clone(),
                    found: column.ty.to_string(),
                    expected: format!("{there}, as in the table `{}`", self.key().table_name()),
                };
                return Err(write_error(&self.feature, reason));
            }
            *there = Some(column.ty);
        }
        Ok(columns)
    }

    /// What today's definition is recorded as.
    pub(super) fn definition_lines(&self) -> Vec<super::rows::Recorded> {
        let versions = self.feature.versions();
        let today = self.definition();
        let ids = id_columns_text(self.ids());
        let line = |field: &crate::spec::FieldSpec| {
            let name = field.wire_key().struct_key();
            let definition = &today[&name];
            [
                versions.feature_version.clone(),
                name,
                versions.fields.get(&field.key).cloned().unwrap_or_default(),
                definition.code_version.clone(),
                definition.parents.clone(),
                ids.clone(),
            ]
        };
        self.spec().fields.iter().map(line).collect()
    }
}

/// Appends rows and seals to a table, and records the definition that wrote them.
pub(super) fn append(state: &mut State, view: &View<'_>, columns: ColumnTypes, addition: Addition) {
    let key = view.key().clone();
    if !addition.rows.is_empty() || !addition.seals.is_empty() {
        let recorded = state.definitions.entry(key.clone()).or_default();
        if !recorded.iter().any(|[version, ..]| version == view.version()) {
            recorded.extend(view.definition_lines());
        }
    }
    let table = state.tables.entry(key).or_default();
    table.columns = columns;
    table.rows.extend(addition.rows);
    table.seals.extend(addition.seals);
}

/// Appends what a write has staged.
pub(super) fn commit(
    state: &mut State,
    view: &View<'_>,
    layout: &Layout,
    staged: (&[Staged], &[Staged]),
    options: &WriteOptions,
    commit: u64,
) -> Result<Written> {
    let (rows, seals) = staged;
    let specs: Vec<ColumnSpec> = layout.ids.iter().chain(&layout.columns).cloned().collect();
    view.check_ids()?;
    view.check_duplicates(rows, view.ids())?;
    view.check_sealed_once(seals)?;
    let columns = view.columns_with(&specs)?;
    let Some(stamp) = Stamp::of_commit(view.table(), options, commit, !seals.is_empty()) else {
        return Ok(Written { repeated: true, ..Written::default() });
    };
    if rows.is_empty() && seals.is_empty() {
        // The table is there from now on, with or without rows.
        append(state, view, columns, Addition::default());
        return Ok(Written::default());
    }
    let rows = view.written(rows.to_vec(), &stamp);
    let seals = view.sealed(seals.to_vec(), &stamp);
    let names = view.record_names();
    let done: BTreeSet<Vec<String>> = match view.feature.is_expansion() {
        true => seals.iter().map(|seal| texts(&seal.row.get(&names))).collect(),
        false => rows.iter().map(|row| texts(&row.get(&names))).collect(),
    };
    let (n_rows, n_seals) = (rows.len() as u64, seals.len() as u64);
    append(state, view, columns, Addition { rows, seals });
    clear_failures(state, view.key(), &done);
    Ok(Written { rows: n_rows, seals: n_seals, time: Some(stamp.time), ..Written::default() })
}

/// Compares samples with the records of a root, and appends what differs.
pub(super) fn sync(
    state: &mut State,
    view: &View<'_>,
    layout: &Layout,
    samples: Vec<Staged>,
    options: &SyncOptions,
) -> Result<(Counts, Written)> {
    view.check_duplicates(&samples, view.ids())?;
    let expected = samples
        .iter()
        .map(|s| (view.staged_ids(s), (s.provenance.clone(), s.given.clone())))
        .collect();
    let answer = view.resolve_samples(expected, options.complete)?;
    let counts = answer.counts;
    if options.dry_run {
        return Ok((counts, Written::default()));
    }
    let specs: Vec<ColumnSpec> = layout.ids.iter().chain(&layout.columns).cloned().collect();
    let columns = view.columns_with(&specs)?;
    let is_of = |class: fn(&Class) -> bool| -> BTreeMap<&Ids, Option<&Row>> {
        let records = answer.records.iter().filter(|record| class(&record.class));
        records.map(|record| (&record.ids, record.current.as_ref().map(|c| c.row))).collect()
    };
    let wanted = is_of(|class| matches!(class, Class::New | Class::Stale(_)));
    let orphans = is_of(|class| matches!(class, Class::Orphaned(_)));
    let orphans = orphans.into_values().flatten().filter(|_| options.delete_orphans);
    if counts.to_compute() == 0 && (counts.orphaned == 0 || !options.delete_orphans) {
        append(state, view, columns, Addition::default());
        return Ok((counts, Written::default()));
    }
    let Some(stamp) = Stamp::new(view.table(), &options.write) else {
        return Ok((counts, Written { repeated: true, ..Written::default() }));
    };
    let rows: Vec<Staged> =
        samples.into_iter().filter(|s| wanted.contains_key(&view.staged_ids(s))).collect();
    let mut rows = view.written(rows, &stamp);
    let n_rows = rows.len() as u64;
    rows.extend(orphans.map(|row| stamp.tombstone(row)));
    let deleted = rows.len() as u64 - n_rows;
    let time = (n_rows + deleted > 0).then_some(stamp.time);
    // A write of tombstones alone says nothing new of a definition.
    let tombstones = rows.split_off(usize::try_from(n_rows).unwrap_or(usize::MAX));
    append(state, view, columns, Addition { rows, seals: Vec::new() });
    if let Some(table) = state.tables.get_mut(view.key()) {
        table.rows.extend(tombstones);
    }
    Ok((counts, Written { rows: n_rows, deleted, time, ..Written::default() }))
}

/// Forgets the failures of records that are there now, or gone for good.
pub(super) fn clear_failures(state: &mut State, key: &FeatureKey, of: &BTreeSet<Vec<String>>) {
    if let Some(failures) = state.failures.get_mut(key) {
        failures.retain(|failure| !of.contains(&failure.ids));
    }
}

/// Ids as texts: what failures go by.
pub(super) fn texts(ids: &Ids) -> Vec<String> {
    ids.iter().map(Value::text).collect()
}
