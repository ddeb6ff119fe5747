//! What a filter says of one row: the meaning that every engine has to give it.

use super::constant;
use metaxy_sql::filter::{Comparison, Filter, Operand, PatternPart, Value, pattern};
use std::cmp::Ordering;

/// Whether a row fulfils a filter; `None` is SQL's unknown. A column without a value is NULL.
///
/// Numbers compare by their exact value, whatever their types are; NaN equals itself and is larger
/// than every other number, `-0.0` equals `0.0`. Texts compare by their bytes.
#[must_use]
pub fn fulfils(filter: &Filter, value_of: &dyn Fn(&str) -> Option<Value>) -> Option<bool> {
    let value = |operand: &Operand| match operand {
        Operand::Column(name) => value_of(name),
        Operand::Constant(value) => Some(value.clone()),
    };
    match filter {
        Filter::And(left, right) => match (fulfils(left, value_of), fulfils(right, value_of)) {
            (Some(false), _) | (_, Some(false)) => Some(false),
            (Some(true), Some(true)) => Some(true),
            _ => None,
        },
        Filter::Or(left, right) => match (fulfils(left, value_of), fulfils(right, value_of)) {
            (Some(true), _) | (_, Some(true)) => Some(true),
            (Some(false), Some(false)) => Some(false),
            _ => None,
        },
        Filter::Not(inner) => fulfils(inner, value_of).map(|holds| !holds),
        Filter::Compare { left, op, right } => {
            order(&value(left)?, &value(right)?).map(|order| holds(*op, order))
        }
        Filter::In { value: operand, list } => {
            let value = value(operand)?;
            Some(list.iter().any(|item| order(&value, item) == Some(Ordering::Equal)))
        }
        Filter::IsNull(operand) => Some(value(operand).is_none()),
        Filter::Like { value: operand, pattern: text } => match value(operand)? {
            Value::Text(text_of_row) => {
                let parts: Vec<PatternPart> = pattern(text).collect();
                Some(matches(&text_of_row, &parts))
            }
            _ => None,
        },
        Filter::Bool(operand) => match value(operand)? {
            Value::Bool(holds) => Some(holds),
            _ => None,
        },
    }
}

/// Whether values in this order compare so.
pub(super) fn holds(op: Comparison, order: Ordering) -> bool {
    match op {
        Comparison::Eq => order.is_eq(),
        Comparison::NotEq => order.is_ne(),
        Comparison::Lt => order.is_lt(),
        Comparison::LtEq => order.is_le(),
        Comparison::Gt => order.is_gt(),
        Comparison::GtEq => order.is_ge(),
    }
}

/// How two values compare; `None` if their types have nothing in common.
pub(super) fn order(left: &Value, right: &Value) -> Option<Ordering> {
    use Value as V;
    Some(match (left, right) {
        (V::Bool(a), V::Bool(b)) => a.cmp(b),
        (V::Int(a), V::Int(b)) => a.cmp(b),
        (V::Float(a), V::Float(b)) => floats(*a, *b),
        (V::Int(a), V::Float(b)) => int_with_float(*a, *b),
        (V::Float(a), V::Int(b)) => int_with_float(*b, *a).reverse(),
        (V::Text(a), V::Text(b)) => a.as_bytes().cmp(b.as_bytes()),
        (V::Date(a), V::Date(b)) => a.cmp(b),
        (V::Timestamp(a), V::Timestamp(b)) => a.cmp(b),
        (V::Date(a), V::Timestamp(b)) => constant::midnight(*a).cmp(b),
        (V::Timestamp(a), V::Date(b)) => a.cmp(&constant::midnight(*b)),
        // The type of the column was not known when the filter was read.
        (V::Date(a), V::Text(b)) => a.cmp(&constant::date(b)?),
        (V::Text(a), V::Date(b)) => constant::date(a)?.cmp(b),
        (V::Timestamp(a), V::Text(b)) => a.cmp(&constant::timestamp(b)?),
        (V::Text(a), V::Timestamp(b)) => constant::timestamp(a)?.cmp(b),
        _ => return None,
    })
}

fn floats(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}

/// An integer and a float by value; neither is rounded.
pub(super) fn int_with_float(int: i128, float: f64) -> Ordering {
    /// 2 to the power of 127: the first float that no `i128` reaches.
    const LIMIT: f64 = 170_141_183_460_469_231_731_687_303_715_884_105_728.0;
    if float.is_nan() || float >= LIMIT {
        return Ordering::Less;
    }
    if float < -LIMIT {
        return Ordering::Greater;
    }
    let whole = float.floor();
    #[expect(clippy::cast_possible_truncation, reason = "it is whole and in range")]
    let order = int.cmp(&(whole as i128));
    order.then(if whole < float { Ordering::Less } else { Ordering::Equal })
}

/// Whether a text matches a pattern, in time that grows with the product of their lengths at worst.
pub(super) fn matches(text: &str, pattern: &[PatternPart]) -> bool {
    let text: Vec<char> = text.chars().collect();
    let (mut at, mut part) = (0, 0);
    // Where to go on when a later part fails: after the last `%`, one character further.
    let mut again: Option<(usize, usize)> = None;
    while at < text.len() {
        match pattern.get(part) {
            Some(PatternPart::Any) => {
                again = Some((part + 1, at));
                part += 1;
                continue;
            }
            Some(PatternPart::One) => {
                (at, part) = (at + 1, part + 1);
                continue;
            }
            Some(PatternPart::Char(c)) if *c == text[at] => {
                (at, part) = (at + 1, part + 1);
                continue;
            }
            _ => {}
        }
        let Some((after, from)) = again else { return false };
        again = Some((after, from + 1));
        (part, at) = (after, from + 1);
    }
    pattern[part..].iter().all(|part| *part == PatternPart::Any)
}
