//! Arrow batches of a store -> values that can be compared, shown and made into batches again.

use crate::arrow::array::{
    Array, ArrayRef, AsArray, Int64Array, MapBuilder, RecordBatch, StringArray, StringBuilder,
};
use crate::arrow::datatypes::{DataType, Field, Int64Type, Schema};
use crate::increment::{CAUSE, STALE_FIELDS, STATUS, STORED_PROVENANCE, STORED_VERSION};
use crate::store::BatchStream;
use futures::TryStreamExt;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// A value of an id or of a column.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Value {
    /// No value.
    Null,
    /// A whole number.
    Int(i64),
    /// A text.
    Text(String),
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("NULL"),
            Self::Int(value) => write!(f, "{value}"),
            Self::Text(value) => write!(f, "{value}"),
        }
    }
}

/// The ids of a record, in the order of the feature's id columns.
pub(crate) type Ids = Vec<Value>;

/// Values by the name of a column.
pub(crate) type Columns = BTreeMap<String, Value>;

/// A text per field, by the key of the field in the by-field columns.
pub(crate) type ByField = BTreeMap<String, String>;

/// A row as it is given to a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NewRow {
    /// The record that it is about.
    pub(crate) ids: Ids,
    /// What is kept with it.
    pub(crate) columns: Columns,
    /// What it was computed from; in a root, the caller's versions.
    pub(crate) provenance: ByField,
    /// What downstream is to see of it, where the caller says so.
    pub(crate) data_version: ByField,
}

pub(crate) const PROVENANCE_BY_FIELD: &str = "metaxy_provenance_by_field";
pub(crate) const DATA_VERSION_BY_FIELD: &str = "metaxy_data_version_by_field";
const PROVENANCE: &str = "metaxy_provenance";
const DATA_VERSION: &str = "metaxy_data_version";
const FEATURE_VERSION: &str = "metaxy_feature_version";

/// A row of an increment.
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

/// A row that was read.
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
        // What the members of a group bring, in order.
        DataType::List(_) => {
            let items = array.as_list::<i32>().value(row);
            let items: Vec<Value> = (0..items.len()).map(|item| value(&items, item)).collect();
            Value::Text(format!("{items:?}"))
        }
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

/// What differs between two answers; nothing if they are equal.
pub(crate) fn difference<T: fmt::Debug + PartialEq>(
    store: &BTreeMap<Ids, T>,
    reference: &BTreeMap<Ids, T>,
) -> Option<String> {
    let mut lines = Vec::new();
    for ids in store.keys().chain(reference.keys().filter(|ids| !store.contains_key(*ids))) {
        let (store, reference) = (store.get(ids), reference.get(ids));
        if store != reference {
            lines.push(format!(
                "{ids:?}\n    the store says     {store:?}\n    memory says        {reference:?}"
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
