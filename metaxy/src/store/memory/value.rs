//! [`Value`]: one cell of a table, from Arrow arrays and back into them.
//!
//! Not here: what a column means. Types are those of [`ColumnType`].

use crate::error::Result;
use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, Date32Array, Float64Array, Int64Array,
    ListArray, NullArray, StringArray, TimestampMicrosecondArray, UInt64Array, new_null_array,
};
use arrow::buffer::OffsetBuffer;
use arrow::compute::{CastOptions, cast, cast_with_options, concat};
use arrow::datatypes::{DataType, Date32Type, Field, Float64Type, Int64Type, UInt64Type};
use arrow::datatypes::{TimeUnit, TimestampMicrosecondType};
use metaxy_sql::{ColumnType, ScalarType, filter};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A value of an id or of a column.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(String),
    Bytes(Vec<u8>),
    /// Days since 1970-01-01.
    Date(i32),
    /// Microseconds since 1970-01-01 UTC.
    Timestamp(i64),
    /// A list or a map: an array of one row, which nothing looks into.
    Whole(ArrayRef),
}

/// The ids of a record, in the order of the feature's id columns, or those of a parent.
pub(super) type Ids = Vec<Value>;

/// Values by the name of a column. What is NULL is left out.
pub(super) type Columns = BTreeMap<String, Value>;

impl Value {
    pub(super) fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Null => 0,
            Self::Bool(_) => 1,
            Self::Int(_) => 2,
            Self::Float(_) => 3,
            Self::Text(_) => 4,
            Self::Bytes(_) => 5,
            Self::Date(_) => 6,
            Self::Timestamp(_) => 7,
            Self::Whole(_) => 8,
        }
    }

    /// The text that a cast of Arrow's gives: of an id, what shards and failures go by.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Null => String::new(),
            Self::Int(value) => value.to_string(),
            Self::Text(value) => value.clone(),
            other => array_of([other], None)
                .and_then(|array| Ok(cast(&array, &DataType::Utf8)?))
                .map(|text| text.as_string::<i32>().value(0).to_owned())
                .unwrap_or_default(),
        }
    }

    /// The value as filters see it; none for NULL, and for what no filter can compare.
    pub(super) fn in_filter(&self) -> Option<filter::Value> {
        Some(match self {
            Self::Bool(value) => filter::Value::Bool(*value),
            Self::Int(value) => filter::Value::Int(*value),
            Self::Float(value) => filter::Value::Float(*value),
            Self::Text(value) => filter::Value::Text(value.clone()),
            Self::Date(value) => filter::Value::Date(*value),
            Self::Timestamp(value) => filter::Value::Timestamp(*value),
            // They are NULL or not, and nothing else is asked of them.
            Self::Bytes(_) | Self::Whole(_) => filter::Value::Bool(true),
            Self::Null => return None,
        })
    }
}

impl Ord for Value {
    /// Numbers by value, texts by bytes, NULL first. Values of one column have one type.
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => a.cmp(b),
            (Self::Int(a), Self::Int(b)) => a.cmp(b),
            (Self::Float(a), Self::Float(b)) => a.total_cmp(b),
            (Self::Text(a), Self::Text(b)) => a.as_bytes().cmp(b.as_bytes()),
            (Self::Bytes(a), Self::Bytes(b)) => a.cmp(b),
            (Self::Date(a), Self::Date(b)) => a.cmp(b),
            (Self::Timestamp(a), Self::Timestamp(b)) => a.cmp(b),
            // Lists and maps are no ids; they are only ever equal or not.
            (Self::Whole(a), Self::Whole(b)) => format!("{a:?}").cmp(&format!("{b:?}")),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

impl PartialOrd for Value {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Value {}

/// The values of an array.
pub(super) fn values_of(array: &ArrayRef) -> Result<Vec<Value>> {
    use DataType as D;
    let ty = array.data_type();
    let as_type = |ty: D| -> Result<ArrayRef> { Ok(cast(array, &ty)?) };
    macro_rules! each {
        ($array:expr, $of:expr) => {
            $array.iter().map(|value| value.map_or(Value::Null, $of)).collect()
        };
    }
    let micros = D::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    Ok(match ty {
        D::Null => vec![Value::Null; array.len()],
        D::Boolean => each!(array.as_boolean(), Value::Bool),
        D::UInt64 => each!(array.as_primitive::<UInt64Type>(), |v| Value::Int(v.into())),
        ty if ty.is_integer() => {
            each!(as_type(D::Int64)?.as_primitive::<Int64Type>(), |v| Value::Int(v.into()))
        }
        D::Float16 | D::Float32 | D::Float64 => {
            each!(as_type(D::Float64)?.as_primitive::<Float64Type>(), Value::Float)
        }
        D::Utf8 | D::LargeUtf8 | D::Utf8View => {
            each!(as_type(D::Utf8)?.as_string::<i32>(), |v: &str| Value::Text(v.to_owned()))
        }
        D::Binary | D::LargeBinary | D::BinaryView => {
            each!(as_type(D::Binary)?.as_binary::<i32>(), |v: &[u8]| Value::Bytes(v.to_owned()))
        }
        D::Date32 => each!(array.as_primitive::<Date32Type>(), Value::Date),
        D::Timestamp(_, _) => {
            each!(as_type(micros)?.as_primitive::<TimestampMicrosecondType>(), Value::Timestamp)
        }
        _ => {
            let whole = |row| match array.is_null(row) {
                true => Value::Null,
                false => Value::Whole(array.slice(row, 1)),
            };
            (0..array.len()).map(whole).collect()
        }
    })
}

/// An array of values: of the type that is asked for, or else of that of the first that is not NULL.
pub(super) fn array_of<'a>(
    values: impl IntoIterator<Item = &'a Value>,
    ty: Option<ColumnType>,
) -> Result<ArrayRef> {
    let values: Vec<&Value> = values.into_iter().collect();
    let wanted = ty.map(ColumnType::to_arrow);
    macro_rules! collect {
        ($array:ty, $pattern:pat => $value:expr) => {{
            let value = |value: &&'a Value| match value {
                $pattern => $value,
                _ => None,
            };
            Arc::new(values.iter().map(value).collect::<$array>()) as ArrayRef
        }};
    }
    let array: ArrayRef = match values.iter().find(|value| !value.is_null()) {
        None => match &wanted {
            Some(ty) => return Ok(new_null_array(ty, values.len())),
            None => Arc::new(NullArray::new(values.len())),
        },
        Some(Value::Bool(_) | Value::Null) => collect!(BooleanArray, Value::Bool(v) => Some(*v)),
        Some(Value::Int(_)) if wanted == Some(DataType::UInt64) => {
            collect!(UInt64Array, Value::Int(v) => u64::try_from(*v).ok())
        }
        Some(Value::Int(_)) => collect!(Int64Array, Value::Int(v) => i64::try_from(*v).ok()),
        Some(Value::Float(_)) => collect!(Float64Array, Value::Float(v) => Some(*v)),
        Some(Value::Text(_)) => collect!(StringArray, Value::Text(v) => Some(v.as_str())),
        Some(Value::Bytes(_)) => collect!(BinaryArray, Value::Bytes(v) => Some(v.as_slice())),
        Some(Value::Date(_)) => collect!(Date32Array, Value::Date(v) => Some(*v)),
        Some(Value::Timestamp(_)) => {
            let array: TimestampMicrosecondArray = values
                .iter()
                .map(|value| match value {
                    Value::Timestamp(micros) => Some(*micros),
                    _ => None,
                })
                .collect();
            Arc::new(array.with_timezone("UTC"))
        }
        Some(Value::Whole(first)) => {
            // Engines have names of their own for the items of a list.
            let ty = wanted.as_ref().unwrap_or(first.data_type());
            let null = new_null_array(ty, 1);
            let parts = values.iter().map(|value| match value {
                Value::Whole(whole) if whole.data_type() == ty => Ok(Arc::clone(whole)),
                Value::Whole(whole) => cast(whole, ty),
                _ => Ok(Arc::clone(&null)),
            });
            let parts = parts.collect::<Result<Vec<_>, _>>()?;
            concat(&parts.iter().map(AsRef::as_ref).collect::<Vec<_>>())?
        }
    };
    match wanted {
        Some(ty) if *array.data_type() != ty => {
            let options = CastOptions { safe: false, ..CastOptions::default() };
            Ok(cast_with_options(&array, &ty, &options)?)
        }
        _ => Ok(array),
    }
}

/// A list of values, NULL among them, of the type that is asked for or of the first that is not NULL.
pub(super) fn list_of(values: &[Value], ty: Option<ColumnType>) -> Result<Value> {
    let items = array_of(values, ty)?;
    let item = Arc::new(Field::new_list_field(items.data_type().clone(), true));
    let list = ListArray::try_new(item, OffsetBuffer::from_lengths([items.len()]), items, None)?;
    Ok(Value::Whole(Arc::new(list)))
}

/// A value as a column of this type keeps it: a UUID has one way of being written. Nothing if the text
/// is none.
pub(super) fn kept_as(value: Value, ty: ColumnType) -> Option<Value> {
    match (ty, value) {
        (ColumnType::Scalar(ScalarType::Uuid), Value::Text(text)) => {
            let digits = text.replace('-', "").to_ascii_lowercase();
            let is_uuid = digits.len() == 32 && digits.bytes().all(|b| b.is_ascii_hexdigit());
            let part = |range: std::ops::Range<usize>| digits[range].to_owned();
            let parts = || [part(0..8), part(8..12), part(12..16), part(16..20), part(20..32)];
            is_uuid.then(|| Value::Text(parts().join("-")))
        }
        (_, value) => Some(value),
    }
}
