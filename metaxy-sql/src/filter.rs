//! [`Filter`]: which rows of a table are meant, as a closed expression over its columns.
//!
//! It is what the filter language of `metaxy` becomes once it is parsed and checked against the types
//! of columns. It has SQL's three values: a comparison with NULL is neither true nor false, and a
//! row is meant only where the whole is true.

use crate::dialect::civil;
use std::collections::BTreeSet;
use std::fmt;

/// A condition on a row.
#[derive(Clone, Debug, PartialEq)]
pub enum Filter {
    /// Both hold.
    And(Box<Filter>, Box<Filter>),
    /// At least one holds.
    Or(Box<Filter>, Box<Filter>),
    /// It does not hold; unknown if that is unknown.
    Not(Box<Filter>),
    /// Two values compare; unknown if one is NULL.
    Compare {
        /// The left side.
        left: Operand,
        /// How.
        op: Comparison,
        /// The right side.
        right: Operand,
    },
    /// A value is one of a list, none of which is NULL; unknown if it is NULL.
    In {
        /// The value.
        value: Operand,
        /// The list, not empty.
        list: Vec<Value>,
    },
    /// A value is NULL; never unknown.
    IsNull(Operand),
    /// A text matches a pattern: `%` any text, `_` any one character, `\` takes the next one
    /// literally; unknown if it is NULL.
    Like {
        /// The text.
        value: Operand,
        /// The pattern.
        pattern: String,
    },
    /// A column of booleans, or a constant.
    Bool(Operand),
}

/// A value in a [`Filter`].
#[derive(Clone, Debug, PartialEq)]
pub enum Operand {
    /// That of a column.
    Column(String),
    /// A constant.
    Constant(Value),
}

/// How two values compare. Texts compare by their bytes, numbers by their value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// Equal.
    Eq,
    /// Different.
    NotEq,
    /// Less.
    Lt,
    /// Less or equal.
    LtEq,
    /// Greater.
    Gt,
    /// Greater or equal.
    GtEq,
}

/// A constant, in the type of the column that it is compared with.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `TRUE` or `FALSE`.
    Bool(bool),
    /// A whole number.
    Int(i128),
    /// A number.
    Float(f64),
    /// A text.
    Text(String),
    /// A day, counted from 1970-01-01.
    Date(i32),
    /// A point in time, in microseconds since 1970-01-01 UTC.
    Timestamp(i64),
}

impl Filter {
    /// The columns that it looks at.
    #[must_use]
    pub fn columns(&self) -> BTreeSet<&str> {
        fn of<'a>(filter: &'a Filter, columns: &mut BTreeSet<&'a str>) {
            let mut add = |operand: &'a Operand| {
                if let Operand::Column(name) = operand {
                    columns.insert(name);
                }
            };
            match filter {
                Filter::And(left, right) | Filter::Or(left, right) => {
                    of(left, columns);
                    of(right, columns);
                }
                Filter::Not(inner) => of(inner, columns),
                Filter::Compare { left, right, .. } => {
                    add(left);
                    add(right);
                }
                Filter::In { value, .. }
                | Filter::IsNull(value)
                | Filter::Like { value, .. }
                | Filter::Bool(value) => add(value),
            }
        }
        let mut columns = BTreeSet::new();
        of(self, &mut columns);
        columns
    }

    /// The same condition over columns of other names.
    #[must_use]
    pub fn rename(&self, name: &dyn Fn(&str) -> String) -> Self {
        let operand = |operand: &Operand| match operand {
            Operand::Column(column) => Operand::Column(name(column)),
            Operand::Constant(value) => Operand::Constant(value.clone()),
        };
        match self {
            Self::And(left, right) => {
                Self::And(Box::new(left.rename(name)), Box::new(right.rename(name)))
            }
            Self::Or(left, right) => {
                Self::Or(Box::new(left.rename(name)), Box::new(right.rename(name)))
            }
            Self::Not(inner) => Self::Not(Box::new(inner.rename(name))),
            Self::Compare { left, op, right } => {
                Self::Compare { left: operand(left), op: *op, right: operand(right) }
            }
            Self::In { value, list } => Self::In { value: operand(value), list: list.clone() },
            Self::IsNull(value) => Self::IsNull(operand(value)),
            Self::Like { value, pattern } => {
                Self::Like { value: operand(value), pattern: pattern.clone() }
            }
            Self::Bool(value) => Self::Bool(operand(value)),
        }
    }

    /// All conditions at once; `None` without any.
    #[must_use]
    pub fn all(filters: impl IntoIterator<Item = Self>) -> Option<Self> {
        filters.into_iter().reduce(|left, right| Self::And(Box::new(left), Box::new(right)))
    }
}

/// A part of a LIKE pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatternPart {
    /// `%`: any text.
    Any,
    /// `_`: any one character.
    One,
    /// This character.
    Char(char),
}

/// The parts of the pattern of a [`Filter::Like`]. A `\` at the end stands for itself.
pub fn pattern(text: &str) -> impl Iterator<Item = PatternPart> {
    let mut chars = text.chars();
    std::iter::from_fn(move || {
        Some(match chars.next()? {
            '%' => PatternPart::Any,
            '_' => PatternPart::One,
            '\\' => PatternPart::Char(chars.next().unwrap_or('\\')),
            c => PatternPart::Char(c),
        })
    })
}

/// The pattern of these parts, with a `\` before the characters that need one and no others:
/// engines disagree about what it means before the rest.
#[must_use]
pub fn pattern_text(parts: impl IntoIterator<Item = PatternPart>) -> String {
    let mut text = String::new();
    for part in parts {
        match part {
            PatternPart::Any => text.push('%'),
            PatternPart::One => text.push('_'),
            PatternPart::Char(c) => {
                if matches!(c, '%' | '_' | '\\') {
                    text.push('\\');
                }
                text.push(c);
            }
        }
    }
    text
}

/// As the filter language writes it, with a bracket around whatever has an operator inside.
impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::And(left, right) => write!(f, "({left} AND {right})"),
            Self::Or(left, right) => write!(f, "({left} OR {right})"),
            Self::Not(inner) => write!(f, "(NOT {inner})"),
            Self::Compare { left, op, right } => write!(f, "{left} {op} {right}"),
            Self::In { value, list } => {
                write!(f, "{value} IN (")?;
                for (i, item) in list.iter().enumerate() {
                    let comma = if i > 0 { ", " } else { "" };
                    write!(f, "{comma}{item}")?;
                }
                f.write_str(")")
            }
            Self::IsNull(value) => write!(f, "{value} IS NULL"),
            Self::Like { value, pattern: text } => {
                let text = pattern_text(pattern(text)).replace('\'', "''");
                write!(f, "{value} LIKE '{text}'")
            }
            Self::Bool(value) => value.fmt(f),
        }
    }
}

impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Column(name) => write!(f, "\"{}\"", name.replace('"', "\"\"")),
            Self::Constant(value) => value.fmt(f),
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Eq => "=",
            Self::NotEq => "<>",
            Self::Lt => "<",
            Self::LtEq => "<=",
            Self::Gt => ">",
            Self::GtEq => ">=",
        })
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => f.write_str(if *value { "TRUE" } else { "FALSE" }),
            Self::Int(value) => write!(f, "{value}"),
            Self::Float(value) => write!(f, "{value:?}"),
            Self::Text(value) => write!(f, "'{}'", value.replace('\'', "''")),
            Self::Date(days) => {
                let (year, month, day) = civil((*days).into());
                write!(f, "DATE '{year:04}-{month:02}-{day:02}'")
            }
            Self::Timestamp(micros) => {
                const DAY: i64 = 86_400_000_000;
                let (year, month, day) = civil(micros.div_euclid(DAY));
                let of_day = micros.rem_euclid(DAY);
                let (seconds, fraction) = (of_day / 1_000_000, of_day % 1_000_000);
                let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
                write!(f, "TIMESTAMP '{year:04}-{month:02}-{day:02} ")?;
                write!(f, "{hour:02}:{minute:02}:{second:02}.{fraction:06}'")
            }
        }
    }
}
