//! Rows and answers -> Arrow batches in the layouts of [`crate::increment`] and of a read, and batches
//! of a write or of another store -> rows.

use super::compare::{Answer, Cause, Class, Record};
use super::expected::Need;
use super::hash::hash_over;
use super::rows::{ByField, ColumnTypes, Row, Seal, View};
use super::value::{Columns, Ids, Value, array_of, kept_as, list_of, values_of};
use crate::error::{Error, Result};
use crate::increment::{
    CAUSE, CHILDREN, STALE_FIELDS, STATUS, STORED_PROVENANCE, STORED_VERSION, TRY,
};
use crate::key::FeatureKey;
use crate::spec::Lineage;
use crate::store::backend::{Layout, ResolveOptions};
use crate::store::stage::{WriteError, write_error};
use arrow::array::{
    Array, ArrayRef, AsArray, MapBuilder, MapFieldNames, RecordBatch, StringBuilder, UInt32Array,
};
use arrow::compute::{cast, take_record_batch};
use arrow::datatypes::{DataType, Field, Schema};
use metaxy_sql::{ColumnType, ScalarType, system};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

const TEXT: Option<ColumnType> = Some(ColumnType::Scalar(ScalarType::Text));
const NUMBER: Option<ColumnType> = Some(ColumnType::Scalar(ScalarType::Int64));
const TIME: Option<ColumnType> = Some(ColumnType::Scalar(ScalarType::Timestamp));

/// A number for a write or a try: random, so that no two are the same. Not negative.
pub(super) fn random() -> i64 {
    i64::try_from(RandomState::new().hash_one(std::time::SystemTime::now()) >> 1)
        .unwrap_or_default()
}

/// Columns on their way into a batch.
#[derive(Default)]
struct Builder {
    fields: Vec<Field>,
    arrays: Vec<ArrayRef>,
}

impl Builder {
    fn push(&mut self, name: &str, array: ArrayRef) {
        self.fields.push(Field::new(name, array.data_type().clone(), true));
        self.arrays.push(array);
    }

    fn values(
        &mut self,
        name: &str,
        values: impl Iterator<Item = Value>,
        ty: Option<ColumnType>,
    ) -> Result<()> {
        let values: Vec<Value> = values.collect();
        self.push(name, array_of(&values, ty)?);
        Ok(())
    }

    fn texts(&mut self, name: &str, texts: impl Iterator<Item = Option<String>>) -> Result<()> {
        self.values(name, texts.map(|text| text.map_or(Value::Null, Value::Text)), TEXT)
    }

    fn times(&mut self, name: &str, times: impl Iterator<Item = Option<i64>>) -> Result<()> {
        self.values(name, times.map(|time| time.map_or(Value::Null, Value::Timestamp)), TIME)
    }

    fn numbers(&mut self, name: &str, numbers: impl Iterator<Item = Option<i64>>) -> Result<()> {
        let value = |number: Option<i64>| number.map_or(Value::Null, |n| Value::Int(n.into()));
        self.values(name, numbers.map(value), NUMBER)
    }

    /// Maps with the keys in this order, where a map has them; then the others.
    fn maps(
        &mut self,
        name: &str,
        order: &[String],
        maps: impl Iterator<Item = Option<ByField>>,
    ) -> Result<()> {
        let names = MapFieldNames {
            entry: "entries".to_owned(),
            key: "key".to_owned(),
            value: "value".to_owned(),
        };
        let mut builder = MapBuilder::new(Some(names), StringBuilder::new(), StringBuilder::new());
        for map in maps {
            for (key, value) in map.iter().flat_map(|map| in_order(map, order)) {
                builder.keys().append_value(key);
                builder.values().append_value(value);
            }
            builder.append(map.is_some())?;
        }
        self.push(name, Arc::new(builder.finish()));
        Ok(())
    }

    fn finish(self) -> Result<RecordBatch> {
        Ok(RecordBatch::try_new(Arc::new(Schema::new(self.fields)), self.arrays)?)
    }
}

fn in_order<'m>(
    map: &'m ByField,
    order: &'m [String],
) -> impl Iterator<Item = (&'m String, &'m String)> {
    let named = order.iter().filter_map(|key| map.get_key_value(key));
    named.chain(map.iter().filter(|(key, _)| !order.contains(key)))
}

// ---- Increments ---------------------------------------------------------------------------------

impl View<'_> {
    /// The records of an answer that the caller sees, in the layout of [`crate::increment`].
    pub(super) fn increment(
        &self,
        answer: &Answer<'_>,
        options: &ResolveOptions,
    ) -> Result<RecordBatch> {
        let is_seen = |record: &&Record<'_>| match record.class {
            Class::Waiting | Class::Unchanged => false,
            Class::New | Class::Stale(_) => true,
            Class::Orphaned(_) | Class::Blocked(_) => options.limit.is_none(),
        };
        let records: Vec<&Record<'_>> = answer.records.iter().filter(is_seen).collect();
        let fields = self.feature.field_names();
        let how = self.feature.hash();
        let mut batch = Builder::default();
        for (place, name) in self.record_names().iter().enumerate() {
            let ids = records.iter().map(|record| record.ids[place].clone());
            batch.values(name, ids, self.id_type(name)?)?;
        }
        let status = |record: &&Record<'_>| Some(status(&record.class).to_owned());
        batch.texts(STATUS, records.iter().map(status))?;
        let mut sortable = self.record_names();
        sortable.push(STATUS.to_owned());
        for (i, dep) in self.deps().iter().enumerate() {
            let types = self.of(&dep.feature)?.columns();
            let is_group = matches!(dep.lineage, Lineage::Aggregation { .. });
            for (there, here) in self.brought_columns(dep)? {
                let ty = types.get(&there).copied().flatten();
                let value = |record: &&Record<'_>| {
                    let given = record.expected.as_ref().and_then(|e| e.inputs.get(i)?.as_ref());
                    let Some(given) = given else { return Ok(Value::Null) };
                    let mut values = given.members.iter().map(|row| row.value(&there));
                    match is_group {
                        true => list_of(&values.collect::<Vec<_>>(), ty),
                        false => Ok(values.next().unwrap_or(Value::Null)),
                    }
                };
                let values = records.iter().map(value).collect::<Result<Vec<_>>>()?;
                let ty = match ty {
                    Some(ColumnType::Scalar(item)) if is_group => Some(ColumnType::List(item)),
                    ty => ty,
                };
                batch.values(&here, values.into_iter(), ty)?;
                // Lists are in no order that all engines share.
                if !is_group {
                    sortable.push(here);
                }
            }
        }

        let versions: Vec<[ByField; 2]> =
            records.iter().map(|record| self.versions(record, &fields)).collect();
        let names = [
            (system::PROVENANCE_BY_FIELD, system::PROVENANCE),
            (system::DATA_VERSION_BY_FIELD, system::DATA_VERSION),
        ];
        for (kind, (by_field, over)) in names.into_iter().enumerate() {
            let maps = || versions.iter().map(|versions| &versions[kind]);
            batch.maps(by_field, &fields, maps().map(|map| Some(map.clone())))?;
            batch.texts(over, maps().map(|map| hash_over(how, map, &fields)))?;
        }
        let reasons = |record: &&Record<'_>| match &record.class {
            Class::Stale(stale) => Some(stale.iter().map(reasons_text).collect()),
            _ => None,
        };
        batch.maps(STALE_FIELDS, &fields, records.iter().map(reasons))?;
        let stored = |record: &&Record<'_>| {
            let mut provenance = record.current.as_ref()?.provenance.clone();
            provenance.retain(|field, _| fields.contains(field));
            Some(provenance)
        };
        batch.maps(STORED_PROVENANCE, &fields, records.iter().map(stored))?;
        let version = |record: &&Record<'_>| record.current.as_ref()?.row.feature_version.clone();
        batch.texts(STORED_VERSION, records.iter().map(version))?;
        if self.feature.is_expansion() {
            batch.numbers(TRY, records.iter().map(|_| Some(random())))?;
        }
        batch.texts(CAUSE, records.iter().map(|record| cause_text(&record.class)))?;
        let batch = batch.finish()?;
        let is_job: Vec<bool> =
            records.iter().map(|r| matches!(r.class, Class::New | Class::Stale(_))).collect();
        self.ordered(&batch, &is_job, &sortable, options)
    }

    /// What a record was or would be computed from, and the data versions that a write gives it unless
    /// told otherwise.
    fn versions(&self, record: &Record<'_>, fields: &[String]) -> [ByField; 2] {
        let [mut provenance, mut data_version] = [ByField::new(), ByField::new()];
        for field in fields {
            let now = record.expected.as_ref().and_then(|expected| expected.provenance.get(field));
            let current = record.current.as_ref();
            let before = current.and_then(|current| current.provenance.get(field));
            let Some(version) = now.or(before) else { continue };
            provenance.insert(field.clone(), version.clone());
            let is_stale = match &record.class {
                Class::Stale(stale) => stale.contains_key(field),
                _ => now.is_some() && now != before,
            };
            // A field that is not stale keeps the data version that is stored, and so does one of
            // which is not known what it should be. Children keep theirs one by one.
            let is_kept =
                now.is_none() || !is_stale && self.holds(super::rule::Rule::KeptDataVersions);
            if is_kept && self.feature.is_expansion() {
                continue;
            }
            let kept = current.filter(|_| is_kept).and_then(|c| c.row.data_version.get(field));
            data_version.insert(field.clone(), kept.unwrap_or(version).clone());
        }
        [provenance, data_version]
    }

    /// The type of an id: its own, or else that of the upstream column that gives it.
    fn id_type(&self, name: &String) -> Result<Option<ColumnType>> {
        if let Some(ty) = self.columns().get(name).copied().flatten() {
            return Ok(Some(ty));
        }
        for dep in self.deps() {
            if self.join_columns(dep)?.contains(name) {
                let columns = self.of(&dep.feature)?.columns();
                if let Some(ty) = columns.get(dep.original(name)).copied().flatten() {
                    return Ok(Some(ty));
                }
            }
        }
        Ok(None)
    }

    /// What is to be computed first, in the order that is asked for and no more than is asked for.
    fn ordered(
        &self,
        batch: &RecordBatch,
        is_job: &[bool],
        sortable: &[String],
        options: &ResolveOptions,
    ) -> Result<RecordBatch> {
        let mut keys = Vec::new();
        for (column, largest_first) in &options.order_by {
            let array = batch.column_by_name(column).filter(|_| sortable.contains(column));
            let array = array.ok_or_else(|| Error::NoColumn {
                feature: self.key().clone(),
                column: column.clone(),
                found: sortable.to_vec(),
            })?;
            keys.push((values_of(array)?, *largest_first));
        }
        let order = |a: &usize, b: &usize| {
            let by_key = keys.iter().map(|(values, largest_first)| {
                let (a, b) = (&values[*a], &values[*b]);
                match (a.is_null(), b.is_null()) {
                    (false, false) if *largest_first => b.cmp(a),
                    (false, false) => a.cmp(b),
                    (a, b) => a.cmp(&b),
                }
            });
            let by_key = by_key.fold(Ordering::Equal, Ordering::then);
            // Records come in the order of their ids.
            is_job[*b].cmp(&is_job[*a]).then(by_key).then(a.cmp(b))
        };
        let mut places: Vec<usize> = (0..batch.num_rows()).collect();
        places.sort_by(order);
        let limit = options.limit.and_then(|limit| usize::try_from(limit).ok());
        places.truncate(limit.unwrap_or(usize::MAX));
        let places: UInt32Array =
            places.into_iter().map(|place| u32::try_from(place).ok()).collect();
        Ok(take_record_batch(batch, &places)?)
    }
}

fn status(class: &Class) -> &'static str {
    match class {
        Class::Orphaned(_) => "orphaned",
        Class::Blocked(_) => "blocked",
        Class::Waiting => "waiting",
        Class::New => "new",
        Class::Stale(_) => "stale",
        Class::Unchanged => "unchanged",
    }
}

fn reasons_text((field, reasons): (&String, &Vec<crate::increment::Reason>)) -> (String, String) {
    let names: Vec<&str> = reasons.iter().map(|reason| reason.name()).collect();
    (field.clone(), names.join(","))
}

pub(super) fn cause_text(class: &Class) -> Option<String> {
    match class {
        Class::Orphaned(Cause::Gone) => Some("gone".to_owned()),
        Class::Orphaned(Cause::Excluded) => Some("excluded".to_owned()),
        Class::Orphaned(Cause::Missing) => Some("missing".to_owned()),
        Class::Blocked(needs) => {
            let need = |(upstream, need): &(FeatureKey, Need)| {
                let need = match need {
                    Need::Stale => "is stale",
                    Need::Blocked => "is blocked",
                    Need::Orphaned => "is orphaned",
                    Need::NoDataVersion => "has no data version",
                };
                format!("{upstream} {need}")
            };
            Some(needs.iter().map(need).collect::<Vec<_>>().join("; "))
        }
        _ => None,
    }
}

// ---- Stored rows --------------------------------------------------------------------------------

impl View<'_> {
    /// Rows as they are read: ids and columns, then the system's.
    pub(super) fn batch_of_rows(
        &self,
        rows: &[&Row],
        columns: &ColumnTypes,
    ) -> Result<RecordBatch> {
        let mut batch = Builder::default();
        for (name, ty) in columns {
            batch.values(name, rows.iter().map(|row| row.value(name)), *ty)?;
        }
        self.stamps(&mut batch, rows, true)?;
        if self.feature.is_expansion() {
            batch.numbers(TRY, rows.iter().map(|row| row.attempt))?;
        }
        batch.finish()
    }

    /// Seals as they are exported: the ids of the parent, then the system's columns.
    pub(super) fn batch_of_seals(&self, seals: &[Seal]) -> Result<RecordBatch> {
        let rows: Vec<&Row> = seals.iter().map(|seal| &seal.row).collect();
        let mut batch = Builder::default();
        for name in self.record_names() {
            let ty = self.id_type(&name)?;
            batch.values(&name, rows.iter().map(|row| row.value(&name)), ty)?;
        }
        self.stamps(&mut batch, &rows, false)?;
        batch.numbers(TRY, rows.iter().map(|row| row.attempt))?;
        batch.numbers(CHILDREN, seals.iter().map(|seal| Some(seal.children)))?;
        batch.finish()
    }

    /// The system columns that all tables have; those of seals are fewer.
    fn stamps(&self, batch: &mut Builder, rows: &[&Row], of_records: bool) -> Result<()> {
        let fields = self.feature.field_names();
        let all = || rows.iter();
        let maps = all().map(|row| Some(row.provenance.clone()));
        batch.maps(system::PROVENANCE_BY_FIELD, &fields, maps)?;
        batch.texts(system::PROVENANCE, all().map(|row| row.provenance_hash.clone()))?;
        if of_records {
            let maps = all().map(|row| Some(row.data_version.clone()));
            batch.maps(system::DATA_VERSION_BY_FIELD, &fields, maps)?;
            batch.texts(system::DATA_VERSION, all().map(|row| row.data_version_hash.clone()))?;
        }
        batch.texts(system::FEATURE_VERSION, all().map(|row| row.feature_version.clone()))?;
        batch.texts(system::PROJECT_VERSION, all().map(|row| row.project_version.clone()))?;
        if of_records {
            batch.times(system::CREATED_AT, all().map(|row| row.created_at))?;
        }
        batch.times(system::UPDATED_AT, all().map(|row| row.updated_at))?;
        batch.times(system::DELETED_AT, all().map(|row| row.deleted_at))?;
        let runs = all().map(|row| row.materialization_id.clone());
        batch.texts(system::MATERIALIZATION_ID, runs)?;
        batch.numbers(system::WRITE_TOKEN, all().map(|row| row.write_token))
    }
}

/// A batch of named columns, taken apart.
struct Cells {
    columns: BTreeMap<String, Vec<Value>>,
    maps: BTreeMap<String, Vec<ByField>>,
}

impl Cells {
    fn of(batch: &RecordBatch) -> Result<Self> {
        let (mut columns, mut maps) = (BTreeMap::new(), BTreeMap::new());
        for (field, array) in batch.schema().fields().iter().zip(batch.columns()) {
            let name = field.name();
            if [system::PROVENANCE_BY_FIELD, system::DATA_VERSION_BY_FIELD].contains(&name.as_str())
            {
                maps.insert(name.clone(), by_field(array)?);
            } else {
                columns.insert(name.clone(), values_of(array)?);
            }
        }
        Ok(Self { columns, maps })
    }

    fn value(&self, name: &str, row: usize) -> Value {
        self.columns.get(name).map_or(Value::Null, |values| values[row].clone())
    }

    fn text(&self, name: &str, row: usize) -> Option<String> {
        match self.value(name, row) {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    fn number(&self, name: &str, row: usize) -> Option<i64> {
        match self.value(name, row) {
            Value::Int(number) => i64::try_from(number).ok(),
            Value::Timestamp(micros) => Some(micros),
            _ => None,
        }
    }

    fn map(&self, name: &str, row: usize) -> ByField {
        self.maps.get(name).map(|maps| maps[row].clone()).unwrap_or_default()
    }

    /// A row of another store, as it is.
    fn row(&self, row: usize) -> Row {
        let own = self.columns.keys().filter(|name| !name.starts_with(system::PREFIX));
        let own = own.map(|name| (name.clone(), self.value(name, row)));
        Row {
            values: own.filter(|(_, value)| !value.is_null()).collect(),
            provenance: self.map(system::PROVENANCE_BY_FIELD, row),
            provenance_hash: self.text(system::PROVENANCE, row),
            data_version: self.map(system::DATA_VERSION_BY_FIELD, row),
            data_version_hash: self.text(system::DATA_VERSION, row),
            feature_version: self.text(system::FEATURE_VERSION, row),
            project_version: self.text(system::PROJECT_VERSION, row),
            created_at: self.number(system::CREATED_AT, row),
            updated_at: self.number(system::UPDATED_AT, row),
            deleted_at: self.number(system::DELETED_AT, row),
            materialization_id: self.text(system::MATERIALIZATION_ID, row),
            write_token: self.number(system::WRITE_TOKEN, row),
            attempt: self.number(TRY, row),
        }
    }
}

/// The texts per field of each row of a map, or of a struct as Python's tables have it.
fn by_field(array: &ArrayRef) -> Result<Vec<ByField>> {
    let mut all = vec![ByField::new(); array.len()];
    if let Some(members) = array.as_struct_opt() {
        for (member, values) in members.fields().iter().zip(members.columns()) {
            for (row, value) in values_of(values)?.into_iter().enumerate() {
                if let (Value::Text(text), true) = (value, members.is_valid(row)) {
                    all[row].insert(member.name().clone(), text);
                }
            }
        }
    } else if let Some(maps) = array.as_map_opt() {
        for (row, map) in all.iter_mut().enumerate().filter(|(row, _)| maps.is_valid(*row)) {
            let entries = maps.value(row);
            let (keys, values) = (values_of(entries.column(0))?, values_of(entries.column(1))?);
            for pair in keys.into_iter().zip(values) {
                if let (Value::Text(key), Value::Text(value)) = pair {
                    map.insert(key, value);
                }
            }
        }
    }
    Ok(all)
}

/// The rows of another store, and the columns that they have.
pub(super) fn imported(batch: &RecordBatch) -> Result<(Vec<Row>, ColumnTypes)> {
    let cells = Cells::of(batch)?;
    let schema = batch.schema();
    let own = schema.fields().iter().filter(|field| !field.name().starts_with(system::PREFIX));
    let columns =
        own.map(|field| (field.name().clone(), ColumnType::from_arrow(field.data_type())));
    let columns = columns.collect();
    Ok(((0..batch.num_rows()).map(|row| cells.row(row)).collect(), columns))
}

/// The seals of another store.
pub(super) fn imported_seals(batch: &RecordBatch) -> Result<Vec<Seal>> {
    let cells = Cells::of(batch)?;
    let seal = |row| Seal {
        row: cells.row(row),
        children: cells.number(CHILDREN, row).unwrap_or_default(),
    };
    Ok((0..batch.num_rows()).map(seal).collect())
}

// ---- Staged rows --------------------------------------------------------------------------------

/// A row as it is given to a write.
#[derive(Clone, Debug)]
pub(super) struct Staged {
    /// Ids and columns, by name.
    pub(super) values: Columns,
    /// What it was computed from; in a root, the caller's versions.
    pub(super) provenance: ByField,
    /// What downstream is to see of it, where the caller says so.
    pub(super) given: ByField,
    /// Which attempt at expanding its parent it belongs to.
    pub(super) attempt: Option<i64>,
    /// Of a seal: how many children there are.
    pub(super) children: i64,
}

impl View<'_> {
    /// The rows of a staged batch (see [`Layout`]).
    pub(super) fn staged(&self, batch: &RecordBatch, layout: &Layout) -> Result<Vec<Staged>> {
        let columns = layout.ids.iter().enumerate().map(|(i, column)| (format!("id{i}"), column));
        let others = layout.columns.iter().enumerate().map(|(i, c)| (format!("c{i}"), c));
        let columns: Vec<_> = columns.chain(others).collect();
        let cells = Cells::of(batch)?;
        let row = |row: usize| -> Result<Staged> {
            let mut values = Columns::new();
            for (place, column) in &columns {
                let value = cells.value(place, row);
                if !value.is_null() {
                    let value = self.kept(&column.name, value, Some(column.ty))?;
                    values.insert(column.name.clone(), value);
                }
            }
            let versions = |prefix: &str| -> ByField {
                let fields = layout.fields.iter().enumerate();
                fields
                    .filter_map(|(i, f)| {
                        Some((f.clone(), cells.text(&format!("{prefix}{i}"), row)?))
                    })
                    .collect()
            };
            Ok(Staged {
                values,
                provenance: versions("p"),
                given: versions("d"),
                attempt: cells.number("try", row),
                children: cells.number("children", row).unwrap_or_default(),
            })
        };
        (0..batch.num_rows()).map(row).collect()
    }

    /// The seals of a batch: the ids of parents are the first columns.
    pub(super) fn staged_seals(&self, batch: &RecordBatch, layout: &Layout) -> Result<Vec<Staged>> {
        let parents = layout.parents.iter().flatten().filter_map(|place| layout.ids.get(*place));
        let ids = parents.cloned().collect();
        self.staged(batch, &Layout { ids, columns: Vec::new(), ..layout.clone() })
    }

    /// The ids of batches of `id0..`, in the order of some columns.
    pub(super) fn ids_of(&self, batch: &RecordBatch, names: &[String]) -> Result<Vec<Ids>> {
        let types = self.columns();
        let mut rows = vec![Ids::new(); batch.num_rows()];
        for (place, name) in names.iter().enumerate() {
            let array = batch.columns().get(place).ok_or_else(|| {
                let (missing, expected) = (vec![name.clone()], names.to_vec());
                let reason = WriteError::Columns { unknown: Vec::new(), missing, expected };
                write_error(&self.feature, reason)
            })?;
            let array = match array.data_type() {
                DataType::Dictionary(_, value) => &cast(array, value)?,
                _ => array,
            };
            for (row, value) in rows.iter_mut().zip(values_of(array)?) {
                row.push(self.kept(name, value, types.get(name).copied().flatten())?);
            }
        }
        Ok(rows)
    }

    fn kept(&self, column: &str, value: Value, ty: Option<ColumnType>) -> Result<Value> {
        let Some(ty) = ty else { return Ok(value) };
        let found = value.text();
        kept_as(value, ty).ok_or_else(|| {
            let (column, expected) = (column.to_owned(), ty.to_string());
            write_error(&self.feature, WriteError::Type { column, found, expected })
        })
    }
}
