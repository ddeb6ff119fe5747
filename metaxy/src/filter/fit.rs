//! A constant next to a column: which values of the column's type it equals or lies between.
//!
//! Engines convert one side to the type of the other one before they compare, and round when they
//! do. A constant is therefore made one of the column's type here, once, so that no engine has to.

use super::constant;
use super::eval::int_with_float;
use super::{Comparison, Filter, Operand, Value};
use metaxy_sql::{ColumnType, ScalarType};
use std::cmp::Ordering;

/// A constant among the values of a type.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Fitted {
    /// It is one of them.
    Exactly(Value),
    /// It is none of them: the nearest ones below and above, of which there is at least one.
    Between(Option<Value>, Option<Value>),
}

/// Why a constant cannot stand next to a column.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Misfit {
    /// Values of the type are compared with nothing at all.
    Incomparable,
    /// The type is another one; what a constant of it looks like.
    Needs(&'static str),
}

/// The values of an integer type.
pub(super) fn int_range(ty: ScalarType) -> Option<(i128, i128)> {
    use ScalarType as S;
    Some(match ty {
        S::Int8 => (i8::MIN.into(), i8::MAX.into()),
        S::Int16 => (i16::MIN.into(), i16::MAX.into()),
        S::Int32 => (i32::MIN.into(), i32::MAX.into()),
        S::Int64 => (i64::MIN.into(), i64::MAX.into()),
        S::UInt8 => (0, u8::MAX.into()),
        S::UInt16 => (0, u16::MAX.into()),
        S::UInt32 => (0, u32::MAX.into()),
        S::UInt64 => (0, u64::MAX.into()),
        _ => return None,
    })
}

/// A constant for a column of a type; as it is where the type is not known.
pub(super) fn fit(value: &Value, ty: Option<ColumnType>) -> Result<Fitted, Misfit> {
    use ScalarType as S;
    let Some(ty) = ty else { return Ok(Fitted::Exactly(value.clone())) };
    let ColumnType::Scalar(scalar) = ty else { return Err(Misfit::Incomparable) };
    if let Some(range) = int_range(scalar) {
        return match value {
            Value::Int(int) => Ok(fit_int(*int, range)),
            Value::Float(float) => Ok(fit_float_to_int(*float, range)),
            _ => Err(Misfit::Needs("a number, as `3`")),
        };
    }
    let exactly =
        |value: Option<Value>, needs| value.map(Fitted::Exactly).ok_or(Misfit::Needs(needs));
    match scalar {
        S::Float32 | S::Float64 => match value {
            Value::Float(_) => Ok(Fitted::Exactly(value.clone())),
            Value::Int(int) => Ok(fit_int_to_float(*int)),
            _ => Err(Misfit::Needs("a number, as `2.5`")),
        },
        S::Text => {
            let text = matches!(value, Value::Text(_)).then(|| value.clone());
            exactly(text, "a text, as `'abc'`")
        }
        S::Bool => {
            let bool = matches!(value, Value::Bool(_)).then(|| value.clone());
            exactly(bool, "TRUE or FALSE")
        }
        S::Date => {
            let day = match value {
                Value::Date(_) => Some(value.clone()),
                Value::Text(text) => constant::date(text).map(Value::Date),
                _ => None,
            };
            exactly(day, "a day, as `DATE '2024-01-31'`")
        }
        S::Timestamp => {
            let time = match value {
                Value::Timestamp(_) => Some(value.clone()),
                Value::Date(day) => Some(Value::Timestamp(constant::midnight(*day))),
                Value::Text(text) => constant::timestamp(text).map(Value::Timestamp),
                _ => None,
            };
            exactly(time, "a point in time, as `TIMESTAMP '2024-01-31 12:00:00'`")
        }
        S::Uuid => {
            let uuid = match value {
                Value::Text(text) => constant::uuid(text).map(Value::Text),
                _ => None,
            };
            exactly(uuid, "a UUID, as `'6f1c1b9e-0b1c-4c86-9d83-d37f8bd1a2a6'`")
        }
        _ => Err(Misfit::Incomparable),
    }
}

fn fit_int(int: i128, (min, max): (i128, i128)) -> Fitted {
    if int < min {
        Fitted::Between(None, Some(Value::Int(min)))
    } else if int > max {
        Fitted::Between(Some(Value::Int(max)), None)
    } else {
        Fitted::Exactly(Value::Int(int))
    }
}

fn fit_float_to_int(float: f64, (min, max): (i128, i128)) -> Fitted {
    // No number is between the largest integer and a float that is larger, NaN included.
    if int_with_float(max, float).is_lt() {
        return Fitted::Between(Some(Value::Int(max)), None);
    }
    if int_with_float(min, float).is_gt() {
        return Fitted::Between(None, Some(Value::Int(min)));
    }
    #[expect(clippy::cast_possible_truncation, reason = "it is whole and in range")]
    let below = float.floor() as i128;
    if int_with_float(below, float).is_eq() {
        Fitted::Exactly(Value::Int(below))
    } else {
        Fitted::Between(Some(Value::Int(below)), Some(Value::Int(below + 1)))
    }
}

fn fit_int_to_float(int: i128) -> Fitted {
    #[expect(clippy::cast_precision_loss, reason = "what is lost is looked at")]
    let near = int as f64;
    let value = |float| Some(Value::Float(float));
    match int_with_float(int, near) {
        Ordering::Equal => Fitted::Exactly(Value::Float(near)),
        Ordering::Less => Fitted::Between(value(near.next_down()), value(near)),
        Ordering::Greater => Fitted::Between(value(near), value(near.next_up())),
    }
}

/// A column compared with a constant that was fitted to its type: unknown for NULL in every case.
pub(super) fn compare(column: &str, op: Comparison, constant: Fitted) -> Filter {
    use Comparison as C;
    let is = |op, value| Filter::Compare {
        left: Operand::Column(column.to_owned()),
        op,
        right: Operand::Constant(value),
    };
    match constant {
        Fitted::Exactly(value) => is(op, value),
        Fitted::Between(below, above) => match (op, below, above) {
            // What lies between two values is equal to none. Where there is nothing on one side,
            // no value is beyond the other one.
            (C::Lt | C::LtEq | C::NotEq, Some(below), None) => is(C::LtEq, below),
            (C::Gt | C::GtEq | C::Eq, Some(below), None) => is(C::Gt, below),
            (C::Gt | C::GtEq | C::NotEq, None, Some(above)) => is(C::GtEq, above),
            (C::Lt | C::LtEq | C::Eq, None, Some(above)) => is(C::Lt, above),
            (C::Lt | C::LtEq, Some(below), Some(_)) => is(C::LtEq, below),
            (C::Gt | C::GtEq, Some(_), Some(above)) => is(C::GtEq, above),
            (C::Eq, Some(below), Some(above)) => super::and(is(C::LtEq, below), is(C::GtEq, above)),
            (C::NotEq, Some(below), Some(above)) => {
                super::or(is(C::LtEq, below), is(C::GtEq, above))
            }
            (op, None, None) => Filter::Compare {
                left: Operand::Column(column.to_owned()),
                op: if op == C::Eq { C::NotEq } else { C::Eq },
                right: Operand::Column(column.to_owned()),
            },
        },
    }
}
