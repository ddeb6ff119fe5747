//! The binary format of `COPY .. TO STDOUT` -> Arrow.

use super::oid::{Kind, PgType};
use super::{EPOCH_DAYS, EPOCH_MICROS, SIGNATURE, errors};
use crate::error::Result;
use arrow::array::{
    ArrayRef, BinaryBuilder, BooleanBuilder, Date32Builder, Float32Builder, Float64Builder,
    Int16Builder, Int32Builder, Int64Builder, ListArray, MapBuilder, MapFieldNames,
    NullBufferBuilder, RecordBatch, RecordBatchOptions, StringBuilder, TimestampMicrosecondBuilder,
    UInt64Builder,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The most rows, and about the most bytes, of one batch.
const ROWS: usize = 8_192;
const BYTES: usize = 8 << 20;

/// Takes the chunks of a stream and gives the rows in them.
pub(super) struct Decoder {
    schema: SchemaRef,
    columns: Vec<Column>,
    /// What has come and not been read.
    pending: Vec<u8>,
    has_begun: bool,
    has_ended: bool,
    n_rows: usize,
    n_bytes: usize,
}

impl Decoder {
    /// For rows with these columns.
    pub(super) fn new(columns: &[(String, PgType)]) -> Self {
        let fields = columns.iter().map(|(name, ty)| Field::new(name, ty.to_arrow(), true));
        Self {
            schema: Arc::new(Schema::new(fields.collect::<Vec<_>>())),
            columns: columns.iter().map(|(_, ty)| Column::new(*ty)).collect(),
            pending: Vec::new(),
            has_begun: false,
            has_ended: false,
            n_rows: 0,
            n_bytes: 0,
        }
    }

    /// Takes a chunk; gives a batch when there are enough rows for one.
    pub(super) fn take(&mut self, chunk: &[u8]) -> Result<Option<RecordBatch>> {
        // A server sends a row a chunk, but need not.
        let mut pending = std::mem::take(&mut self.pending);
        let bytes = if pending.is_empty() {
            chunk
        } else {
            pending.extend_from_slice(chunk);
            &pending
        };
        let mut reader = Reader { bytes };
        self.n_bytes += chunk.len();
        loop {
            let before = reader.bytes;
            if !self.read(&mut reader)? {
                self.pending = before.to_vec();
                break;
            }
        }
        if self.n_rows >= ROWS || self.n_bytes >= BYTES {
            return self.batch().map(Some);
        }
        Ok(None)
    }

    /// The rows that are left, when the stream has ended.
    pub(super) fn finish(mut self) -> Result<Option<RecordBatch>> {
        if !self.has_ended || !self.pending.is_empty() {
            return Err(errors::database("the rows of a query end in the middle"));
        }
        if self.n_rows == 0 { Ok(None) } else { self.batch().map(Some) }
    }

    fn batch(&mut self) -> Result<RecordBatch> {
        let columns = self.columns.iter_mut().map(Column::finish).collect::<Result<_>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(self.n_rows));
        (self.n_rows, self.n_bytes) = (0, 0);
        Ok(RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)?)
    }

    /// Reads the header or a row; false if there is not enough for a whole one.
    fn read(&mut self, reader: &mut Reader<'_>) -> Result<bool> {
        if reader.bytes.is_empty() {
            return Ok(false);
        }
        if !self.has_begun {
            let Some(header) = reader.try_take(SIGNATURE.len() + 8) else { return Ok(false) };
            if !header.starts_with(SIGNATURE) || header[SIGNATURE.len()..] != [0; 8] {
                return Err(errors::database("rows come in a format that is not known"));
            }
            self.has_begun = true;
            return Ok(true);
        }
        let Some(n_columns) = reader.try_take(2) else { return Ok(false) };
        let n_columns = i16::from_be_bytes([n_columns[0], n_columns[1]]);
        if n_columns == -1 {
            self.has_ended = true;
            return Ok(true);
        }
        if usize::try_from(n_columns) != Ok(self.columns.len()) {
            return Err(errors::database("a row has another number of columns"));
        }
        // Whether the row is there as a whole.
        let mut ahead = Reader { bytes: reader.bytes };
        for _ in 0..n_columns {
            if ahead.try_value().is_none() {
                return Ok(false);
            }
        }
        for column in &mut self.columns {
            let value = reader.try_value().expect("a row that is there");
            column.push(value)?;
        }
        self.n_rows += 1;
        Ok(true)
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    fn try_take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(n)?;
        self.bytes = rest;
        Some(taken)
    }

    /// A value after its length; `Some(None)` is NULL.
    fn try_value(&mut self) -> Option<Option<&'a [u8]>> {
        let length = i32::from_be_bytes(self.try_take(4)?.try_into().ok()?);
        match usize::try_from(length) {
            Err(_) => Some(None),
            Ok(length) => self.try_take(length).map(Some),
        }
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N]> {
        let taken = self.try_take(N).and_then(|taken| taken.try_into().ok());
        taken.ok_or_else(malformed)
    }
}

fn malformed() -> crate::error::Error {
    errors::database("a value has another form than its type")
}

fn fixed<const N: usize>(bytes: &[u8]) -> Result<[u8; N]> {
    bytes.try_into().map_err(|_| malformed())
}

/// The values of a column that have come so far.
struct Column {
    values: Values,
    list: Option<Lists>,
}

/// Where the items of each list are.
struct Lists {
    offsets: Vec<i32>,
    nulls: NullBufferBuilder,
    field: Arc<Field>,
}

impl Column {
    fn new(ty: PgType) -> Self {
        let list = ty.item.map(|_| Lists {
            offsets: vec![0],
            nulls: NullBufferBuilder::new(0),
            field: Arc::new(Field::new_list_field(ty.kind.to_arrow(), true)),
        });
        Self { values: Values::new(ty.kind), list }
    }

    fn push(&mut self, value: Option<&[u8]>) -> Result<()> {
        let Some(list) = &mut self.list else { return self.values.push(value) };
        let mut n_items = 0;
        if let Some(bytes) = value {
            let mut reader = Reader { bytes };
            let n_dimensions = i32::from_be_bytes(reader.take()?);
            let _has_null: [u8; 4] = reader.take()?;
            let _type: [u8; 4] = reader.take()?;
            if n_dimensions > 1 {
                return Err(errors::database("a list of lists cannot be read"));
            }
            if n_dimensions == 1 {
                n_items = i32::from_be_bytes(reader.take()?);
                let _first: [u8; 4] = reader.take()?;
            }
            for _ in 0..n_items {
                self.values.push(reader.try_value().ok_or_else(malformed)?)?;
            }
        }
        list.nulls.append(value.is_some());
        let end = list.offsets.last().copied().unwrap_or_default().checked_add(n_items);
        list.offsets.push(end.ok_or_else(malformed)?);
        Ok(())
    }

    fn finish(&mut self) -> Result<ArrayRef> {
        let values = self.values.finish();
        let Some(list) = &mut self.list else { return Ok(values) };
        let offsets = std::mem::replace(&mut list.offsets, vec![0]);
        let offsets = OffsetBuffer::new(offsets.into());
        Ok(Arc::new(ListArray::try_new(
            Arc::clone(&list.field),
            offsets,
            values,
            list.nulls.finish(),
        )?))
    }
}

enum Values {
    Bool(BooleanBuilder),
    Int16(Int16Builder),
    Int32(Int32Builder),
    Int64(Int64Builder),
    Address(Int64Builder),
    Float32(Float32Builder),
    Float64(Float64Builder),
    Numeric(UInt64Builder),
    Text(StringBuilder),
    Uuid(StringBuilder),
    Bytes(BinaryBuilder),
    Date(Date32Builder),
    Timestamp(TimestampMicrosecondBuilder),
    Map(Box<MapBuilder<StringBuilder, StringBuilder>>),
}

impl Values {
    fn new(kind: Kind) -> Self {
        match kind {
            Kind::Bool => Self::Bool(BooleanBuilder::new()),
            Kind::Int16 => Self::Int16(Int16Builder::new()),
            Kind::Int32 => Self::Int32(Int32Builder::new()),
            Kind::Int64 => Self::Int64(Int64Builder::new()),
            Kind::Address => Self::Address(Int64Builder::new()),
            Kind::Float32 => Self::Float32(Float32Builder::new()),
            Kind::Float64 => Self::Float64(Float64Builder::new()),
            Kind::Numeric => Self::Numeric(UInt64Builder::new()),
            Kind::Text => Self::Text(StringBuilder::new()),
            Kind::Uuid => Self::Uuid(StringBuilder::new()),
            Kind::Bytes => Self::Bytes(BinaryBuilder::new()),
            Kind::Date => Self::Date(Date32Builder::new()),
            Kind::Timestamp => {
                Self::Timestamp(TimestampMicrosecondBuilder::new().with_data_type(kind.to_arrow()))
            }
            Kind::Map => {
                // The names of the parts are those of `text_map`.
                let names = MapFieldNames {
                    entry: "entries".to_owned(),
                    key: "key".to_owned(),
                    value: "value".to_owned(),
                };
                let builder =
                    MapBuilder::new(Some(names), StringBuilder::new(), StringBuilder::new());
                let value = Field::new("value", DataType::Utf8, true);
                Self::Map(Box::new(builder.with_values_field(value)))
            }
        }
    }

    fn push(&mut self, value: Option<&[u8]>) -> Result<()> {
        let Some(bytes) = value else {
            match self {
                Self::Bool(values) => values.append_null(),
                Self::Int16(values) => values.append_null(),
                Self::Int32(values) => values.append_null(),
                Self::Int64(values) | Self::Address(values) => values.append_null(),
                Self::Float32(values) => values.append_null(),
                Self::Float64(values) => values.append_null(),
                Self::Numeric(values) => values.append_null(),
                Self::Text(values) | Self::Uuid(values) => values.append_null(),
                Self::Bytes(values) => values.append_null(),
                Self::Date(values) => values.append_null(),
                Self::Timestamp(values) => values.append_null(),
                Self::Map(values) => values.append(false)?,
            }
            return Ok(());
        };
        match self {
            Self::Bool(values) => values.append_value(fixed::<1>(bytes)? != [0]),
            Self::Int16(values) => values.append_value(i16::from_be_bytes(fixed(bytes)?)),
            Self::Int32(values) => values.append_value(i32::from_be_bytes(fixed(bytes)?)),
            Self::Int64(values) => values.append_value(i64::from_be_bytes(fixed(bytes)?)),
            Self::Address(values) => {
                // A page and a place in it.
                let [a, b, c, d, e, f] = fixed(bytes)?;
                values.append_value(i64::from_be_bytes([0, 0, a, b, c, d, e, f]));
            }
            Self::Float32(values) => values.append_value(f32::from_be_bytes(fixed(bytes)?)),
            Self::Float64(values) => values.append_value(f64::from_be_bytes(fixed(bytes)?)),
            Self::Numeric(values) => values.append_value(numeric(bytes)?),
            Self::Text(values) => values.append_value(text(bytes)?),
            Self::Uuid(values) => values.append_value(uuid(fixed(bytes)?)),
            Self::Bytes(values) => values.append_value(bytes),
            Self::Date(values) => {
                let days = i32::from_be_bytes(fixed(bytes)?).checked_add(EPOCH_DAYS);
                values.append_value(days.ok_or_else(malformed)?);
            }
            Self::Timestamp(values) => {
                let micros = i64::from_be_bytes(fixed(bytes)?).checked_add(EPOCH_MICROS);
                values.append_value(micros.ok_or_else(malformed)?);
            }
            Self::Map(values) => {
                for (key, value) in entries(bytes)? {
                    values.keys().append_value(key);
                    values.values().append_option(value);
                }
                values.append(true)?;
            }
        }
        Ok(())
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Bool(values) => Arc::new(values.finish()),
            Self::Int16(values) => Arc::new(values.finish()),
            Self::Int32(values) => Arc::new(values.finish()),
            Self::Int64(values) | Self::Address(values) => Arc::new(values.finish()),
            Self::Float32(values) => Arc::new(values.finish()),
            Self::Float64(values) => Arc::new(values.finish()),
            Self::Numeric(values) => Arc::new(values.finish()),
            Self::Text(values) | Self::Uuid(values) => Arc::new(values.finish()),
            Self::Bytes(values) => Arc::new(values.finish()),
            Self::Date(values) => Arc::new(values.finish()),
            Self::Timestamp(values) => Arc::new(values.finish()),
            Self::Map(values) => Arc::new(values.finish()),
        }
    }
}

fn text(bytes: &[u8]) -> Result<&str> {
    std::str::from_utf8(bytes).map_err(|_| malformed())
}

fn uuid(bytes: [u8; 16]) -> String {
    let digits = hex::encode(bytes);
    let parts = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]];
    parts.join("-")
}

/// A whole number that is not negative; see how one is encoded.
fn numeric(bytes: &[u8]) -> Result<u64> {
    let mut reader = Reader { bytes };
    let mut next = || reader.take().map(i16::from_be_bytes);
    let (n_digits, weight, sign, _scale) = (next()?, next()?, next()?, next()?);
    let no_integer =
        || errors::database("a number is no whole number that 64 bits without a sign hold");
    if sign != 0 {
        return Err(no_integer());
    }
    let mut value: u64 = 0;
    for power in (0..=i32::from(weight)).rev() {
        let at = i32::from(weight) - power;
        let digit = if at < i32::from(n_digits) { next()? } else { 0 };
        let digit = u64::try_from(digit).map_err(|_| malformed())?;
        value =
            value.checked_mul(10_000).and_then(|v| v.checked_add(digit)).ok_or_else(no_integer)?;
    }
    if i32::from(n_digits) > i32::from(weight) + 1 {
        return Err(no_integer());
    }
    Ok(value)
}

/// The entries of an object, in the order of their keys. What is no text is given as JSON writes it.
fn entries(bytes: &[u8]) -> Result<BTreeMap<String, Option<String>>> {
    use serde_json::Value;
    let (version, json) = bytes.split_first().ok_or_else(malformed)?;
    if *version != 1 {
        return Err(malformed());
    }
    let entries: BTreeMap<String, Value> = serde_json::from_slice(json)
        .map_err(|_| errors::database("JSON that is no object stands for a map"))?;
    let text = |value| match value {
        Value::Null => None,
        Value::String(text) => Some(text),
        other => Some(other.to_string()),
    };
    Ok(entries.into_iter().map(|(key, value)| (key, text(value))).collect())
}
