//! Arrow batches of a store -> what a reference says, in one form in which both can be compared.

use futures::TryStreamExt;
use metaxy::arrow::array::{
    Array, ArrayRef, AsArray, Int64Array, MapBuilder, RecordBatch, StringArray, StringBuilder,
};
use metaxy::arrow::datatypes::{DataType, Field, Int64Type, Schema};
use metaxy::increment::{CAUSE, STALE_FIELDS, STATUS, STORED_PROVENANCE, STORED_VERSION};
use metaxy::store::BatchStream;
use metaxy_tests::reference::{
    ByField, Cause, Class, Columns, Hashing, Ids, Need, Record, Row, Value,
};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) const PROVENANCE_BY_FIELD: &str = "metaxy_provenance_by_field";
pub(crate) const DATA_VERSION_BY_FIELD: &str = "metaxy_data_version_by_field";
const PROVENANCE: &str = "metaxy_provenance";
const DATA_VERSION: &str = "metaxy_data_version";
const FEATURE_VERSION: &str = "metaxy_feature_version";

/// A row of an increment, or what it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) status: String,
    pub(crate) cause: Option<String>,
    /// Field -> reasons.
    pub(crate) stale: Option<ByField>,
    pub(crate) provenance: ByField,
    pub(crate) provenance_hash: Option<String>,
    pub(crate) data_version: ByField,
    pub(crate) data_version_hash: Option<String>,
    pub(crate) stored_provenance: Option<ByField>,
    pub(crate) stored_version: Option<String>,
    /// Without NULLs.
    pub(crate) brought: Columns,
}

/// A row that was read, or what it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Read {
    pub(crate) columns: Columns,
    pub(crate) provenance: ByField,
    pub(crate) provenance_hash: Option<String>,
    pub(crate) data_version: ByField,
    pub(crate) data_version_hash: Option<String>,
    pub(crate) feature_version: String,
}

/// All batches of a stream.
pub(crate) async fn all(batches: BatchStream) -> Result<Vec<RecordBatch>, String> {
    batches.try_collect().await.map_err(|error| error.to_string())
}

fn column<'a>(batch: &'a RecordBatch, name: &str) -> &'a ArrayRef {
    batch.column_by_name(name).unwrap_or_else(|| panic!("no column `{name}` in a batch"))
}

fn value(array: &ArrayRef, row: usize) -> Value {
    match array.data_type() {
        _ if array.is_null(row) => Value::Null,
        DataType::Int64 => Value::Int(array.as_primitive::<Int64Type>().value(row)),
        _ => Value::Text(array.as_string::<i32>().value(row).to_owned()),
    }
}

fn text(batch: &RecordBatch, name: &str, row: usize) -> Option<String> {
    let array = column(batch, name).as_string::<i32>();
    array.is_valid(row).then(|| array.value(row).to_owned())
}

/// A map of one row.
pub(crate) fn by_field(batch: &RecordBatch, name: &str, row: usize) -> Option<ByField> {
    let maps = column(batch, name).as_map();
    if maps.is_null(row) {
        return None;
    }
    let entries = maps.value(row);
    let (keys, values) = (entries.column(0).as_string::<i32>(), entries.column(1));
    let values = values.as_string::<i32>();
    let entry = |i: usize| (keys.value(i).to_owned(), values.value(i).to_owned());
    Some((0..entries.len()).filter(|i| values.is_valid(*i)).map(entry).collect())
}

pub(crate) fn ids(batch: &RecordBatch, names: &[String], row: usize) -> Ids {
    names.iter().map(|name| value(column(batch, name), row)).collect()
}

fn columns<'a>(batch: &RecordBatch, row: usize, is_wanted: impl Fn(&str) -> bool + 'a) -> Columns {
    let schema = batch.schema();
    let named = schema.fields().iter().map(|field| field.name().clone()).zip(batch.columns());
    named
        .filter(|(name, _)| !name.starts_with("metaxy_") && is_wanted(name))
        .map(|(name, array)| (name, value(array, row)))
        .filter(|(_, value)| *value != Value::Null)
        .collect()
}

/// The rows of an increment by ids; an error if one occurs twice.
pub(crate) fn seen(
    batches: &[RecordBatch],
    id_names: &[String],
) -> Result<BTreeMap<Ids, Seen>, String> {
    let mut all = BTreeMap::new();
    for batch in batches {
        for row in 0..batch.num_rows() {
            let seen = Seen {
                status: text(batch, STATUS, row).unwrap_or_default(),
                cause: text(batch, CAUSE, row),
                stale: by_field(batch, STALE_FIELDS, row),
                provenance: by_field(batch, PROVENANCE_BY_FIELD, row).unwrap_or_default(),
                provenance_hash: text(batch, PROVENANCE, row),
                data_version: by_field(batch, DATA_VERSION_BY_FIELD, row).unwrap_or_default(),
                data_version_hash: text(batch, DATA_VERSION, row),
                stored_provenance: by_field(batch, STORED_PROVENANCE, row),
                stored_version: text(batch, STORED_VERSION, row),
                brought: columns(batch, row, |name| !id_names.iter().any(|id| id == name)),
            };
            let ids = ids(batch, id_names, row);
            if all.insert(ids.clone(), seen).is_some() {
                return Err(format!("the increment has {ids:?} twice"));
            }
        }
    }
    Ok(all)
}

/// The rows that were read, by ids; an error if one occurs twice.
pub(crate) fn read(
    batches: &[RecordBatch],
    id_names: &[String],
) -> Result<BTreeMap<Ids, Read>, String> {
    let mut all = BTreeMap::new();
    for batch in batches {
        for row in 0..batch.num_rows() {
            let read = Read {
                columns: columns(batch, row, |name| !id_names.iter().any(|id| id == name)),
                provenance: by_field(batch, PROVENANCE_BY_FIELD, row).unwrap_or_default(),
                provenance_hash: text(batch, PROVENANCE, row),
                data_version: by_field(batch, DATA_VERSION_BY_FIELD, row).unwrap_or_default(),
                data_version_hash: text(batch, DATA_VERSION, row),
                feature_version: text(batch, FEATURE_VERSION, row).unwrap_or_default(),
            };
            let ids = ids(batch, id_names, row);
            if all.insert(ids.clone(), read).is_some() {
                return Err(format!("{ids:?} is read twice"));
            }
        }
    }
    Ok(all)
}

/// The hash over a by-field map, if it has all fields.
fn hash_over(hashing: Hashing, by_field: &ByField, fields: &[String]) -> Option<String> {
    fields.iter().all(|field| by_field.contains_key(field)).then(|| hashing.over(by_field))
}

/// What a row of an increment should be; nothing for records that are in none.
pub(crate) fn expected(record: &Record, hashing: Hashing, fields: &[String]) -> Option<Seen> {
    let (status, cause, stale) = match &record.class {
        Class::Waiting | Class::Unchanged => return None,
        Class::New => ("new", None, None),
        Class::Stale(stale) => {
            let reasons = stale.iter().map(|(field, reasons)| {
                let names: Vec<_> = reasons.iter().map(|reason| reason.name()).collect();
                (field.clone(), names.join(","))
            });
            ("stale", None, Some(reasons.collect()))
        }
        Class::Orphaned(Cause::Gone) => ("orphaned", Some("gone".to_owned()), None),
        Class::Orphaned(Cause::Missing) => ("orphaned", Some("missing".to_owned()), None),
        Class::Blocked(needs) => {
            let needs = needs.iter().map(|(upstream, need)| match need {
                Need::Stale => format!("{upstream} is stale"),
                Need::Blocked => format!("{upstream} is blocked"),
                Need::Orphaned => format!("{upstream} is orphaned"),
                Need::NoDataVersion => format!("{upstream} has no data version"),
            });
            ("blocked", Some(needs.collect::<Vec<_>>().join("; ")), None)
        }
    };
    let stored = record.stored.as_ref();
    Some(Seen {
        status: status.to_owned(),
        cause,
        stale,
        provenance: record.provenance.clone(),
        provenance_hash: hash_over(hashing, &record.provenance, fields),
        data_version: record.data_version.clone(),
        data_version_hash: hash_over(hashing, &record.data_version, fields),
        stored_provenance: stored.map(|row| {
            let of_today = row.provenance.iter().filter(|(field, _)| fields.contains(field));
            of_today.map(|(field, version)| (field.clone(), version.clone())).collect()
        }),
        stored_version: stored.map(|row| row.feature_version.clone()),
        brought: record.brought.clone(),
    })
}

/// What a row that is read should be.
pub(crate) fn expected_read(row: &Row, hashing: Hashing) -> Read {
    Read {
        columns: row.columns.clone(),
        provenance: row.provenance.clone(),
        provenance_hash: Some(hashing.over(&row.provenance)),
        data_version: row.data_version.clone(),
        data_version_hash: Some(hashing.over(&row.data_version)),
        feature_version: row.feature_version.clone(),
    }
}

/// What differs between two answers; nothing if they are equal.
pub(crate) fn difference<T: std::fmt::Debug + PartialEq>(
    store: &BTreeMap<Ids, T>,
    reference: &BTreeMap<Ids, T>,
) -> Option<String> {
    let mut lines = Vec::new();
    for ids in store.keys().chain(reference.keys().filter(|ids| !store.contains_key(*ids))) {
        let (store, reference) = (store.get(ids), reference.get(ids));
        if store != reference {
            lines.push(format!(
                "{ids:?}\n    the store says     {store:?}\n    the reference says {reference:?}"
            ));
        }
    }
    (!lines.is_empty()).then(|| lines.join("\n"))
}

/// Values as a column.
pub(crate) fn array<'a>(values: impl Iterator<Item = &'a Value> + Clone) -> ArrayRef {
    if values.clone().all(|value| matches!(value, Value::Int(_))) {
        let number = |value: &Value| match value {
            Value::Int(value) => Some(*value),
            _ => None,
        };
        return Arc::new(values.map(number).collect::<Int64Array>());
    }
    let text = |value: &'a Value| match value {
        Value::Text(value) => Some(value.as_str()),
        _ => None,
    };
    Arc::new(values.map(text).collect::<StringArray>())
}

/// Maps as a column.
pub(crate) fn map_array<'a>(maps: impl Iterator<Item = &'a ByField>) -> ArrayRef {
    let mut builder = MapBuilder::new(None, StringBuilder::new(), StringBuilder::new());
    for map in maps {
        for (key, value) in map {
            builder.keys().append_value(key);
            builder.values().append_value(value);
        }
        builder.append(true).expect("as many keys as values");
    }
    Arc::new(builder.finish())
}

/// A batch of named columns.
pub(crate) fn batch(columns: Vec<(String, ArrayRef)>) -> RecordBatch {
    let fields: Vec<_> = columns
        .iter()
        .map(|(name, array)| Field::new(name, array.data_type().clone(), true))
        .collect();
    let arrays = columns.into_iter().map(|(_, array)| array).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).expect("columns of one length")
}
