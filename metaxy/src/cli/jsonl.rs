//! JSON lines -> batches, or an error that names the line and the column.
//!
//! Every value is looked at before it is converted: no number and no time is rounded, and nothing that is
//! missing becomes NULL by itself. A number with a fraction is the nearest one that its column holds.

use super::Failure;
use crate::filter;
use crate::pyjson;
use crate::store::stage::without_names;
use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{Field, Schema};
use arrow_json::ReaderBuilder;
use metaxy_sql::{ColumnType, ScalarType};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::io::BufRead;
use std::sync::Arc;

/// A line of a file.
#[derive(Debug)]
pub(super) struct Line {
    /// Its number, from 1.
    pub(super) number: usize,
    /// The row.
    pub(super) row: Map<String, Value>,
}

impl Line {
    /// Whether the row has a value in a column.
    pub(super) fn has(&self, column: &str) -> bool {
        self.row.get(column).is_some_and(|value| !value.is_null())
    }
}

/// The lines of a file; empty ones are none.
pub(super) fn lines(
    file: String,
    reader: impl BufRead + Send,
) -> impl Iterator<Item = Result<Line, Failure>> + Send {
    let number_of = move |(i, text): (usize, std::io::Result<String>)| {
        let number = i + 1;
        let text = text.map_err(|error| {
            Failure::input(format!("cannot read `{file}`, line {number}: {error}"))
        });
        match text {
            Err(failure) => Some(Err(failure)),
            Ok(text) if text.trim().is_empty() => None,
            Ok(text) => Some(parse(&file, number, &text)),
        }
    };
    reader.lines().enumerate().filter_map(number_of)
}

fn parse(file: &str, number: usize, text: &str) -> Result<Line, Failure> {
    match serde_json::from_str(text) {
        Ok(Value::Object(row)) => match pyjson::integers(text).find(|n| !is_kept(n)) {
            None => Ok(Line { number, row }),
            Some(integer) => Err(Failure::input(format!(
                "`{file}`, line {number}: the integer `{integer}` does not fit into 64 bits; write it as \
                 a text"
            ))),
        },
        Ok(_) => Err(Failure::input(format!(
            "`{file}`, line {number}: expected an object, `{{\"column\": value, ..}}`"
        ))),
        Err(error) => {
            // The text of the error says where it is: in line 1 of one line.
            let message = error.to_string();
            let message = message.split(" at line ").next().unwrap_or_default();
            Err(Failure::input(format!(
                "`{file}`, line {number}, character {}: {message}",
                error.column()
            )))
        }
    }
}

/// Whether an integer has its value after it was read: as one, or as a float, which some programs write
/// without a point.
fn is_kept(integer: &str) -> bool {
    let is_float = |float: f64| format!("{float:.0}") == integer;
    pyjson::fits_into_64_bits(integer) || integer.parse().is_ok_and(is_float)
}

/// The types of columns, as far as they are known.
pub(super) type Types = BTreeMap<String, ColumnType>;

/// Adds the types of columns that nobody has declared, as the values have them.
pub(super) fn infer(file: &str, lines: &[Line], types: &mut Types) -> Result<(), Failure> {
    let mut found: BTreeMap<&str, (ColumnType, &Value)> = BTreeMap::new();
    for line in lines {
        for (column, value) in &line.row {
            if types.contains_key(column) {
                continue;
            }
            let Some(ty) = type_of(value) else { continue };
            let known = found.entry(column).or_insert((ty, value));
            known.0 = both(known.0, ty).ok_or_else(|| {
                let message = format!("`{value}` is no {}, as values before it are", known.0);
                in_column(file, line.number, column, &message)
            })?;
        }
    }
    types.extend(found.into_iter().map(|(column, (ty, _))| (column.to_owned(), ty)));
    Ok(())
}

/// The type of a value; nothing of NULL, and of what no column can hold.
fn type_of(value: &Value) -> Option<ColumnType> {
    use ScalarType as S;
    let scalar = match value {
        Value::Null => return None,
        Value::Object(_) => return Some(ColumnType::TextMap),
        Value::Array(items) => {
            let mut items = items.iter().filter_map(type_of);
            let first = items.next()?;
            return match items.try_fold(first, both)? {
                ColumnType::Scalar(item) => Some(ColumnType::List(item)),
                _ => None,
            };
        }
        Value::Bool(_) => S::Bool,
        Value::String(_) => S::Text,
        Value::Number(number) if number.is_i64() => S::Int64,
        Value::Number(number) if number.is_u64() => S::UInt64,
        Value::Number(_) => S::Float64,
    };
    Some(scalar.into())
}

/// A type that holds the values of two others.
fn both(a: ColumnType, b: ColumnType) -> Option<ColumnType> {
    use ScalarType as S;
    let scalar = |a, b| match (a, b) {
        (a, b) if a == b => Some(a),
        (S::Int64, S::Float64) | (S::Float64, S::Int64) => Some(S::Float64),
        _ => None,
    };
    match (a, b) {
        (ColumnType::Scalar(a), ColumnType::Scalar(b)) => scalar(a, b).map(ColumnType::Scalar),
        (ColumnType::List(a), ColumnType::List(b)) => scalar(a, b).map(ColumnType::List),
        (a, b) => (a == b).then_some(a),
    }
}

/// Refuses lines that lack a column: NULL is written as such, so that a slip is no NULL.
pub(super) fn require(file: &str, lines: &[Line], needed: &[String]) -> Result<(), Failure> {
    for line in lines {
        let Some(missing) = needed.iter().find(|name| !line.row.contains_key(*name)) else {
            continue;
        };
        let nearest = crate::nearest::nearest(missing, line.row.keys().map(String::as_str));
        return Err(Failure::input(format!(
            "`{file}`, line {}: the column `{missing}` is missing{}; write `null` where there is no value",
            line.number,
            crate::nearest::hint(nearest)
        )));
    }
    Ok(())
}

/// Lines as one batch: a column for each of these names, and for each other that occurs in the lines.
/// One whose type nobody knows is left out: it is NULL everywhere.
pub(super) fn batch(
    file: &str,
    lines: &[Line],
    types: &Types,
    all: &[String],
) -> Result<RecordBatch, Failure> {
    let mut names: Vec<&String> = all.iter().collect();
    for line in lines {
        for (name, value) in &line.row {
            if let Some(ty) = types.get(name) {
                check(value, *ty).map_err(|why| in_column(file, line.number, name, &why))?;
                if !names.contains(&name) {
                    names.push(name);
                }
            } else if !value.is_null() {
                let message = "is no column that could be written";
                return Err(in_column(file, line.number, name, message));
            }
        }
    }
    let known = names.into_iter().filter_map(|name| Some((name, *types.get(name)?)));
    let mut fields = Vec::new();
    let mut columns = Vec::new();
    for (name, ty) in known {
        let values: Vec<Value> = lines.iter().map(|line| value_of(line, name, ty)).collect();
        columns.push(array(&values, ty).map_err(|_| {
            // Only texts get here: those that are no day, no time, no bytes.
            let wrong =
                values.iter().position(|value| array(std::slice::from_ref(value), ty).is_err());
            let line = wrong.unwrap_or_default();
            in_column(file, lines[line].number, name, &unfit(&values[line], ty))
        })?);
        fields.push(Field::new(name, ty.to_arrow(), true));
    }
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(lines.len()));
    let schema = Arc::new(Schema::new(fields));
    let batch = RecordBatch::try_new_with_options(schema, columns, &options);
    batch.map_err(|error| crate::Error::from(error).into())
}

fn value_of(line: &Line, column: &str, ty: ColumnType) -> Value {
    let value = line.row.get(column).cloned().unwrap_or_default();
    match ty {
        // A document may be written as what it is.
        ColumnType::Scalar(ScalarType::Json) if !(value.is_string() || value.is_null()) => {
            Value::String(value.to_string())
        }
        _ => value,
    }
}

fn in_column(file: &str, line: usize, column: &str, message: &str) -> Failure {
    Failure::input(format!("`{file}`, line {line}, column `{column}`: {message}"))
}

/// Refuses a value that the column would not keep as it is.
fn check(value: &Value, ty: ColumnType) -> Result<(), String> {
    let fits = match (ty, value) {
        (_, Value::Null) => true,
        (ColumnType::Scalar(scalar), value) => scalar_fits(value, scalar),
        (ColumnType::List(item), Value::Array(items)) => {
            items.iter().all(|value| scalar_fits(value, item))
        }
        (ColumnType::TextMap, Value::Object(members)) => {
            members.values().all(|value| value.is_string() || value.is_null())
        }
        _ => false,
    };
    if fits { Ok(()) } else { Err(unfit(value, ty)) }
}

/// What is said of a value that its column cannot keep.
fn unfit(value: &Value, ty: ColumnType) -> String {
    let expected = match ty {
        ColumnType::TextMap => "an object with texts".to_owned(),
        ty => ty.to_string(),
    };
    format!("expected {expected}, found `{value}`{}", fix(ty))
}

/// What to write into a column whose type does not say it.
pub(super) fn fix(ty: ColumnType) -> &'static str {
    use ScalarType as S;
    match ty {
        ColumnType::Scalar(S::Date) | ColumnType::List(S::Date) => {
            "; write a day without a time, `2026-01-31`"
        }
        ColumnType::Scalar(S::Timestamp) | ColumnType::List(S::Timestamp) => {
            "; write a point in time with at most six digits after the second, \
             `2026-01-31T12:00:00.123456Z`"
        }
        ColumnType::Scalar(S::Float32 | S::Float64) | ColumnType::List(S::Float32 | S::Float64) => {
            "; write a number that it holds, or keep it in a column of integers or texts"
        }
        _ => "",
    }
}

/// Whether a text is a day at most: of a point in time, arrow would keep the day that it has in UTC. What
/// else is longer than ten bytes is a day of a year with more than four digits, which has a sign.
pub(super) fn is_day(text: &str) -> bool {
    text.len() <= 10 || text.starts_with(['+', '-'])
}

fn scalar_fits(value: &Value, ty: ScalarType) -> bool {
    use ScalarType as S;
    let signed = |bits: u32| {
        value.as_i64().is_some_and(|n| {
            let limit = 1_i64 << (bits - 1);
            (-limit..limit).contains(&n)
        })
    };
    let unsigned = |bits: u32| value.as_u64().is_some_and(|n| n < 1_u64 << bits);
    match ty {
        S::Bool => value.is_boolean(),
        S::Int8 => signed(8),
        S::Int16 => signed(16),
        S::Int32 => signed(32),
        S::Int64 => value.is_i64(),
        S::UInt8 => unsigned(8),
        S::UInt16 => unsigned(16),
        S::UInt32 => unsigned(32),
        S::UInt64 => value.is_u64(),
        S::Float32 => float_fits(value, |float| f64::from(float as f32)),
        S::Float64 => float_fits(value, |float| float),
        // Of these two, arrow would cut off what is finer than the column.
        S::Date => value.as_str().is_some_and(is_day),
        S::Timestamp => value.as_str().is_some_and(filter::is_timestamp),
        S::Json => true,
        _ => value.is_string(),
    }
}

/// Whether a number is one of a column whose floats are made like this: an integer is itself there, and
/// anything else neither infinite nor nothing.
fn float_fits(value: &Value, kept: impl Fn(f64) -> f64) -> bool {
    let Some(float) = value.as_f64() else { return false };
    let kept = kept(float);
    match value.as_i64().map(i128::from).or(value.as_u64().map(i128::from)) {
        Some(integer) => kept as i128 == integer,
        None => kept.is_finite() && (kept == 0.0) == (float == 0.0),
    }
}

/// Values that were checked, as an array of a type.
fn array(values: &[Value], ty: ColumnType) -> Result<ArrayRef, arrow::error::ArrowError> {
    let wanted = ty.to_arrow();
    let schema = Schema::new(vec![Field::new("x", without_names(&wanted), true)]);
    let mut decoder =
        ReaderBuilder::new(Arc::new(schema)).with_batch_size(values.len()).build_decoder()?;
    let rows: Vec<_> = values.iter().map(|value| BTreeMap::from([("x", value)])).collect();
    decoder.serialize(&rows)?;
    let batch = decoder.flush()?;
    let column = batch.map_or_else(
        || arrow::array::new_empty_array(&without_names(&wanted)),
        |batch| Arc::clone(batch.column(0)),
    );
    arrow::compute::cast(&column, &wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ScalarType as S;
    use serde_json::json;

    /// What is said of a value in a column `x`, in the second line.
    fn refused(value: &Value, ty: ColumnType) -> Option<String> {
        let text = format!("{{\"x\": null}}\n{{\"x\": {value}}}\n");
        let batch = lines("f".to_owned(), text.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .and_then(|lines| batch("f", &lines, &BTreeMap::from([("x".to_owned(), ty)]), &[]));
        match batch {
            Ok(batch) => {
                assert_eq!(batch.column(0).null_count(), 1, "{value} has no value");
                None
            }
            Err(Failure::Input(reasons)) => Some(reasons.join("\n")),
            Err(failure) => panic!("{failure:?}"),
        }
    }

    #[track_caller]
    fn check(ty: ColumnType, fits: &[Value], refuses: &[Value]) {
        for value in fits {
            assert_eq!(refused(value, ty), None, "{value}");
        }
        for value in refuses {
            let why = refused(value, ty).unwrap_or_else(|| panic!("{value} is taken"));
            let begin = format!("`f`, line 2, column `x`: expected {ty}, found `{value}`; write ");
            assert!(why.starts_with(&begin), "{why}");
        }
    }

    #[test]
    fn a_day_has_no_time() {
        let fits = ["2026-01-31", "0000-02-29", "+10000-01-01", "-0001-12-31"].map(Value::from);
        let refuses = [
            "2026-01-31T23:30:00-05:00",
            "2026-01-31 00:00:00",
            "2026-01-31T00:00:00Z",
            "2026-02-30",
            "today",
        ];
        let refuses = refuses.map(Value::from);
        check(S::Date.into(), &fits, &refuses);
        let lists = |texts: &[Value]| texts.iter().map(|text| json!([text])).collect::<Vec<_>>();
        check(ColumnType::List(S::Date), &lists(&fits), &lists(&refuses));
    }

    #[test]
    fn a_time_is_kept_to_the_microsecond_or_refused() {
        let fits = [
            "2026-01-31T12:00:00.123456Z",
            "2026-01-31 12:00:00",
            "2026-01-31T23:30:00-05:00",
            "2026-01-31",
        ];
        let refuses = [
            "2026-01-31T12:00:00.123456789Z",
            "2026-01-31T12:00:00.0000000001Z",
            // A second that is none: it would become the next one.
            "2026-01-31T12:00:60Z",
            "noon",
        ];
        check(S::Timestamp.into(), &fits.map(Value::from), &refuses.map(Value::from));
    }

    #[test]
    fn a_float_is_no_other_integer_and_not_infinite() {
        let fits = [json!(0.1), json!(-0.0), json!(1e300), json!(1_i64 << 53), json!(i64::MIN)];
        let refuses = [json!((1_i64 << 53) + 1), json!(i64::MAX), json!(u64::MAX), json!("1")];
        check(S::Float64.into(), &fits, &refuses);
        let fits = [json!(0.1), json!(-0.0), json!(3e38), json!(1 << 24), json!(1_u64 << 63)];
        let refuses = [json!(1e300), json!(-1e39), json!(1e-300), json!((1 << 24) + 1)];
        check(S::Float32.into(), &fits, &refuses);
    }

    /// Of an integer that does not fit into 64 bits, nothing but a float is left after it was read.
    #[test]
    fn integers_of_more_than_64_bits() {
        let read = |number: &str| {
            let text = format!("{{\"a\": 1}}\n{{\"x\": {number}}}\n");
            match lines("f".to_owned(), text.as_bytes()).nth(1) {
                Some(Ok(_)) => None,
                Some(Err(Failure::Input(reasons))) => Some(reasons.join("\n")),
                other => panic!("{other:?}"),
            }
        };
        for number in ["-0", "18446744073709551615", "100000000000000000000", "1e30"] {
            assert_eq!(read(number), None, "{number}");
        }
        let why = read("100000000000000000001").expect("it is refused");
        let expected = "`f`, line 2: the integer `100000000000000000001` does not fit into 64 bits; \
                        write it as a text";
        assert_eq!(why, expected);
    }
}
