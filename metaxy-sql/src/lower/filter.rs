//! [`Filter`] -> a condition.
//!
//! Whoever made the filter has given every constant the type of the column next to it, so that no
//! engine has to convert, and round, before it compares.

use crate::ast::build::{binary, call, is_null, not, or, text};
use crate::ast::{BinaryOp, Expr, SqlType};
use crate::filter::{Comparison, Filter, Operand, Value, pattern, pattern_text};
use crate::functions::Function;
use crate::literal::Literal;
use crate::types::ScalarType;

/// The condition that a filter is, where `column` says what the name of a column stands for.
///
/// It is NULL where the filter is unknown.
pub fn filter(filter: &Filter, column: &dyn Fn(&str) -> Expr) -> Expr {
    let lower = |inner: &Filter| self::filter(inner, column);
    let operand = |operand: &Operand| match operand {
        Operand::Column(name) => column(name),
        Operand::Constant(value) => constant(value),
    };
    match filter {
        Filter::And(left, right) => binary(lower(left), BinaryOp::And, lower(right)),
        Filter::Or(left, right) => binary(lower(left), BinaryOp::Or, lower(right)),
        Filter::Not(inner) => not(lower(inner)),
        Filter::Compare { left, op, right } => {
            let (left_value, right_value) = (operand(left), operand(right));
            // Next to a constant it is known whether it is about floats, or nobody knows.
            let may_be_floats = match (left, right) {
                (Operand::Constant(value), _) | (_, Operand::Constant(value)) => {
                    matches!(value, Value::Float(_))
                }
                (Operand::Column(_), Operand::Column(_)) => true,
            };
            if may_be_floats {
                Expr::Compare(Box::new(left_value), operator(*op), Box::new(right_value))
            } else {
                binary(left_value, operator(*op), right_value)
            }
        }
        // A day that no column of an engine can hold is written as another type there, which a list does
        // not take.
        Filter::In { value, list } if list.iter().any(|item| matches!(item, Value::Date(_))) => {
            let is = |item| binary(operand(value), BinaryOp::Eq, constant(item));
            or(list.iter().map(is))
        }
        Filter::In { value, list } => {
            Expr::InList(Box::new(operand(value)), list.iter().map(constant).collect())
        }
        Filter::IsNull(value) => is_null(operand(value)),
        Filter::Like { value, pattern: written } => {
            let written = text(pattern_text(pattern(written)));
            call(Function::Like, [operand(value), written])
        }
        Filter::Bool(value) => operand(value),
    }
}

fn operator(op: Comparison) -> BinaryOp {
    match op {
        Comparison::Eq => BinaryOp::Eq,
        Comparison::NotEq => BinaryOp::NotEq,
        Comparison::Lt => BinaryOp::Lt,
        Comparison::LtEq => BinaryOp::LtEq,
        Comparison::Gt => BinaryOp::Gt,
        Comparison::GtEq => BinaryOp::GtEq,
    }
}

fn constant(value: &Value) -> Expr {
    Expr::Literal(match value {
        Value::Bool(value) => Literal::Bool(*value),
        Value::Int(value) => Literal::Int(*value),
        Value::Text(value) => Literal::Text(value.clone()),
        Value::Date(days) => Literal::Date(*days),
        Value::Timestamp(micros) => Literal::Timestamp(*micros),
        // A number with a point is a decimal in most engines; the shortest text that reads as this
        // float makes it this one exactly.
        Value::Float(value) => {
            let float = SqlType::Column(ScalarType::Float64.into());
            return Expr::Cast(Box::new(text(format!("{value:?}"))), float);
        }
    })
}
