//! Arrow -> the binary format of `COPY .. FROM STDIN`.
//!
//! <https://www.postgresql.org/docs/current/sql-copy.html#id-1.9.3.55.9.4>; how a value of a type is
//! sent is in the `*_send` functions of the server.

use super::oid::{Kind, PgType};
use super::{EPOCH_DAYS, EPOCH_MICROS, SIGNATURE, errors};
use crate::error::{Error, Result};
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{
    Date32Type, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type,
    TimestampMicrosecondType, UInt64Type,
};
use metaxy_sql::Ident;

/// The most bytes that are gathered before they are sent.
const CHUNK: usize = 1 << 20;

/// A batch as the stream that a table with these types takes, in chunks.
pub(super) fn encode(batch: &RecordBatch, types: &[PgType]) -> Result<Vec<Vec<u8>>> {
    let columns = batch.columns().iter().zip(types);
    let columns =
        columns.map(|(column, ty)| Column::new(column, *ty)).collect::<Result<Vec<_>>>()?;
    let mut chunks = Vec::new();
    let mut out = SIGNATURE.to_vec();
    // Flags, and the length of what else the header says.
    out.extend([0; 8]);
    let n_columns =
        i16::try_from(columns.len()).map_err(|_| errors::database("a row has too many columns"))?;
    for row in 0..batch.num_rows() {
        out.extend(n_columns.to_be_bytes());
        for column in &columns {
            column.put(&mut out, row)?;
        }
        if out.len() >= CHUNK {
            chunks.push(std::mem::replace(&mut out, Vec::with_capacity(CHUNK)));
        }
    }
    out.extend((-1_i16).to_be_bytes());
    chunks.push(out);
    Ok(chunks)
}

/// A column in the Arrow type that its type in the table calls for.
struct Column {
    values: ArrayRef,
    ty: PgType,
}

impl Column {
    fn new(values: &ArrayRef, ty: PgType) -> Result<Self> {
        let wanted = ty.to_arrow();
        let values = if *values.data_type() == wanted {
            values.clone()
        } else {
            let options = CastOptions { safe: false, ..CastOptions::default() };
            cast_with_options(values, &wanted, &options)?
        };
        Ok(Self { values, ty })
    }

    /// A value with its length before it; NULL has the length -1.
    fn put(&self, out: &mut Vec<u8>, row: usize) -> Result<()> {
        let Some(item) = self.ty.item else { return put(out, &self.values, self.ty.kind, row) };
        if self.values.is_null(row) {
            out.extend((-1_i32).to_be_bytes());
            return Ok(());
        }
        let items = self.values.as_list::<i32>().value(row);
        with_length(out, |out| {
            let has_null = i32::from(items.null_count() > 0);
            let n_dimensions = i32::from(!items.is_empty());
            out.extend(n_dimensions.to_be_bytes());
            out.extend(has_null.to_be_bytes());
            out.extend(item.to_be_bytes());
            if !items.is_empty() {
                out.extend(length(items.len())?.to_be_bytes());
                // The first item has the number 1.
                out.extend(1_i32.to_be_bytes());
            }
            (0..items.len()).try_for_each(|i| put(out, &items, self.ty.kind, i))
        })
    }
}

fn put(out: &mut Vec<u8>, values: &dyn Array, kind: Kind, row: usize) -> Result<()> {
    if values.is_null(row) {
        out.extend((-1_i32).to_be_bytes());
        return Ok(());
    }
    with_length(out, |out| {
        match kind {
            Kind::Bool => out.push(values.as_boolean().value(row).into()),
            Kind::Int16 => out.extend(values.as_primitive::<Int16Type>().value(row).to_be_bytes()),
            Kind::Int32 => out.extend(values.as_primitive::<Int32Type>().value(row).to_be_bytes()),
            Kind::Int64 => out.extend(values.as_primitive::<Int64Type>().value(row).to_be_bytes()),
            Kind::Float32 => {
                out.extend(values.as_primitive::<Float32Type>().value(row).to_be_bytes());
            }
            Kind::Float64 => {
                out.extend(values.as_primitive::<Float64Type>().value(row).to_be_bytes());
            }
            Kind::Numeric => numeric(out, values.as_primitive::<UInt64Type>().value(row)),
            Kind::Text => out.extend(text(values.as_string::<i32>().value(row))?.as_bytes()),
            Kind::Bytes => out.extend(values.as_binary::<i32>().value(row)),
            Kind::Date => {
                let days = values.as_primitive::<Date32Type>().value(row);
                let days = days.checked_sub(EPOCH_DAYS).ok_or_else(|| out_of_range("a day"))?;
                out.extend(days.to_be_bytes());
            }
            Kind::Timestamp => {
                let micros = values.as_primitive::<TimestampMicrosecondType>().value(row);
                let micros = micros.checked_sub(EPOCH_MICROS);
                let micros = micros.ok_or_else(|| out_of_range("a point in time"))?;
                out.extend(micros.to_be_bytes());
            }
            Kind::Uuid => {
                let text = values.as_string::<i32>().value(row);
                let digits: String =
                    text.chars().filter(|c| !matches!(c, '-' | '{' | '}')).collect();
                let mut bytes = [0; 16];
                hex::decode_to_slice(digits, &mut bytes)
                    .map_err(|_| errors::database(format!("`{text}` is no UUID")))?;
                out.extend(bytes);
            }
            Kind::Map => map(out, values, row)?,
            Kind::Address => return Err(Error::Internal("an address of a row is stored".into())),
        }
        Ok(())
    })
}

/// What `put` writes, with its length before it.
fn with_length(out: &mut Vec<u8>, put: impl FnOnce(&mut Vec<u8>) -> Result<()>) -> Result<()> {
    let at = out.len();
    out.extend([0; 4]);
    put(out)?;
    let length = length(out.len() - at - 4)?.to_be_bytes();
    out[at..at + 4].copy_from_slice(&length);
    Ok(())
}

fn length(length: usize) -> Result<i32> {
    i32::try_from(length).map_err(|_| errors::database("a value has more than 2 GiB"))
}

fn out_of_range(what: &str) -> Error {
    errors::database(format!("{what} is out of the range that Postgres can store"))
}

/// A text that Postgres can store: without a NUL character.
fn text(text: &str) -> Result<&str> {
    if text.contains('\0') {
        // The error that every engine gives.
        Ident::new(text)?;
    }
    Ok(text)
}

/// Digits to the base of 10,000, the most significant first, after a head of their number, the power
/// of the first, the sign, and the digits behind the point.
fn numeric(out: &mut Vec<u8>, mut value: u64) {
    let mut digits: Vec<i16> = Vec::new();
    while value > 0 {
        digits.push((value % 10_000) as i16);
        value /= 10_000;
    }
    let n_digits = digits.len() as i16;
    let weight = (n_digits - 1).max(0);
    for number in [n_digits, weight, 0, 0].into_iter().chain(digits.into_iter().rev()) {
        out.extend(number.to_be_bytes());
    }
}

/// The number of the format, then the text of an object.
fn map(out: &mut Vec<u8>, values: &dyn Array, row: usize) -> Result<()> {
    let entries = values.as_map().value(row);
    let (keys, values) =
        (entries.column(0).as_string::<i32>(), entries.column(1).as_string::<i32>());
    out.push(1);
    out.push(b'{');
    for i in 0..keys.len() {
        if i > 0 {
            out.push(b',');
        }
        let value = (!values.is_null(i)).then(|| values.value(i));
        let json = |text: Option<&str>| {
            serde_json::to_vec(&text).map_err(|error| Error::Internal(error.to_string()))
        };
        out.extend(json(Some(text(keys.value(i))?))?);
        out.push(b':');
        out.extend(json(value.map(text).transpose()?)?);
    }
    out.push(b'}');
    Ok(())
}
