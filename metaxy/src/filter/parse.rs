//! A text -> a [`Filter`] over columns whose types are known, or not.
//!
//! The crate `sqlparser` gives a tree of SQL; what of it is in the language is translated, and all
//! else is named and refused.

use super::error::{FilterError, first};
use super::eval;
use super::fit::{self, Fitted, Misfit, fit};
use super::tokens::{Language, is_keyword, not_part, range, tokens};
use super::{
    ALLOWED, Column, Comparison, Filter, Operand, Value, and, balanced, constant, not, or,
};
use crate::nearest::{hint, nearest};
use metaxy_sql::filter::{PatternPart, pattern_text};
use metaxy_sql::{ColumnType, ScalarType};
use sqlparser::ast::{
    BinaryOperator, DataType, Expr, InTarget, Spanned, TimezoneInfo, UnaryOperator,
    Value as SqlValue,
};
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan};
use std::cell::Cell;

type Result<T> = std::result::Result<T, FilterError>;

/// How deep brackets may go.
const MAX_DEPTH: usize = 50;

/// The stack that a text is read on, in bytes. Without optimisation a level takes `sqlparser` more than
/// 50 kB, and 50 levels more than a thread has. What is not touched of it costs nothing.
const STACK: usize = 16 << 20;

/// What a name may stand for.
#[derive(Clone, Copy)]
pub(super) enum Columns<'a> {
    /// One of these.
    These(&'a [Column]),
    /// A column that nobody knows yet, of an unknown type.
    Any,
}

/// The condition that a text says.
pub(super) fn parse(text: &str, columns: Columns<'_>) -> Result<Filter> {
    stacker::grow(STACK, || parse_here(text, columns))
}

fn parse_here(text: &str, columns: Columns<'_>) -> Result<Filter> {
    let all = tokens(text)?;
    if all.is_empty() {
        let message = "the filter is empty";
        return Err(FilterError::new(text, 0..text.len(), message).hint(ALLOWED));
    }
    let mut parser = Parser::new(&Language)
        .with_recursion_limit(MAX_DEPTH)
        .with_tokens_with_locations(all.clone());
    let expr = match parser.parse_expr() {
        Ok(expr) => expr,
        Err(error) => return Err(syntax(text, &all, &error)),
    };
    let next = parser.peek_token();
    if next.token != Token::EOF {
        return Err(unexpected(text, &all, next.span.start, None));
    }
    Translator { text, columns, all: &all, depth: Cell::new(0) }.condition(&expr)
}

/// A mistake that the parser found.
fn syntax(text: &str, all: &[TokenWithSpan], error: &ParserError) -> FilterError {
    let message = match error {
        ParserError::RecursionLimitExceeded => return too_deep(text),
        ParserError::ParserError(message) | ParserError::TokenizerError(message) => message,
    };
    // The place is in the text of the error alone: `.. at Line: 1, Column: 5`.
    let place = message.rsplit_once(" at Line: ").and_then(|(_, place)| {
        let (line, column) = place.split_once(", Column: ")?;
        Some(Location { line: line.parse().ok()?, column: column.parse().ok()? })
    });
    let expected = message.strip_prefix("Expected: ").and_then(|m| m.split_once(", found: "));
    unexpected(
        text,
        all,
        place.unwrap_or(Location::empty()),
        expected.map(|(expected, _)| expected),
    )
}

fn too_deep(text: &str) -> FilterError {
    let message = format!("the filter is nested more than {MAX_DEPTH} levels deep");
    FilterError::new(text, 0..text.len(), message).hint("write it with fewer brackets")
}

/// A token that cannot stand where it does, or the end of the text.
fn unexpected(
    text: &str,
    all: &[TokenWithSpan],
    at: Location,
    expected: Option<&str>,
) -> FilterError {
    let found = all.iter().position(|token| token.span.start == at);
    let seen = &all[..found.map_or(all.len(), |i| i + 1)];
    if let Some((token, hint)) = seen.iter().find_map(|t| Some((t, foreign(&t.token)?))) {
        let message = not_part(&token.token.to_string());
        return FilterError::new(text, range(text, token.span), message).hint(hint);
    }
    let expected = match expected {
        Some("an expression" | "an expression:") => Some("a column or a constant"),
        Some(")") => Some("`)`"),
        Some("(") => Some("`(`"),
        Some("AND") => Some("`AND`"),
        _ => None,
    };
    let Some(found) = found else {
        let message = match expected {
            Some(expected) => format!("the filter ends where {expected} is missing"),
            None => "the filter ends too early".to_owned(),
        };
        return FilterError::new(text, text.len()..text.len(), message).hint(ALLOWED);
    };
    let token = &all[found];
    let shown = first(&text[range(text, token.span)], 40);
    let (message, hint) = match (expected, &token.token) {
        (Some(expected), _) => (format!("`{shown}` stands where {expected} is missing"), ALLOWED),
        (None, Token::RParen) => (format!("`{shown}` closes no bracket"), "leave it out"),
        (None, _) => (
            format!("`{shown}` cannot stand here"),
            "conditions are joined with AND and OR, a text stands in single quotes",
        ),
    };
    FilterError::new(text, range(text, token.span), message).hint(hint)
}

/// What to write in place of a word that means something in SQL, but not here.
fn foreign(token: &Token) -> Option<&'static str> {
    let Token::Word(word) = token else { return None };
    if word.quote_style.is_some() {
        return None;
    }
    Some(match word.value.to_ascii_uppercase().as_str() {
        "SELECT" | "EXISTS" | "ANY" | "ALL" | "SOME" | "WITH" | "UNION" => {
            "a filter has no subqueries; it looks at one row"
        }
        "WHERE" | "HAVING" | "FILTER" => "leave it out; a filter is the condition alone",
        "CAST" | "TRY_CAST" | "CONVERT" | "COLLATE" | "AT" => {
            "a filter has no casts; write a constant of the column's type, as `DATE '2024-01-31'`"
        }
        "CASE" | "IF" | "IIF" => "write the cases with AND and OR",
        "ILIKE" | "SIMILAR" | "GLOB" | "REGEXP" | "RLIKE" => "a text is matched with LIKE",
        "INTERVAL" | "TIME" | "TIMESTAMPTZ" | "DATETIME" => {
            "a filter has days and points in time: `DATE '2024-01-31'`, \
             `TIMESTAMP '2024-01-31 12:00:00'`"
        }
        "UNKNOWN" => "write IS NULL about the column",
        "DISTINCT" => "`=` and `<>` are unknown for NULL; ask for it with IS NULL",
        "XOR" | "DIV" | "MOD" | "ORDER" | "GROUP" | "LIMIT" | "OVER" => ALLOWED,
        _ => return None,
    })
}

/// One side of a comparison.
struct Term {
    what: What,
    span: Span,
}

enum What {
    Column(String, Option<ColumnType>),
    Constant(Value),
    Null,
}

struct Translator<'a> {
    text: &'a str,
    columns: Columns<'a>,
    all: &'a [TokenWithSpan],
    /// How deep the condition that is looked at stands in others.
    depth: Cell<usize>,
}

impl Translator<'_> {
    /// A mistake at a place. Looking for the place takes a walk over the text, so that a span becomes
    /// one here and not before.
    fn error(&self, span: Span, message: impl Into<String>) -> FilterError {
        FilterError::new(self.text, range(self.text, span), message)
    }

    /// The text of a place, for messages.
    fn shown(&self, span: Span) -> String {
        first(self.text.get(range(self.text, span)).unwrap_or_default(), 40)
    }

    fn condition(&self, expr: &Expr) -> Result<Filter> {
        // The parser limits what it goes down for itself, which a chain as `IS TRUE IS TRUE` is not.
        let depth = self.depth.get() + 1;
        if depth > MAX_DEPTH {
            return Err(too_deep(self.text));
        }
        self.depth.set(depth);
        let condition = self.condition_inside(expr);
        self.depth.set(depth - 1);
        condition
    }

    fn condition_inside(&self, expr: &Expr) -> Result<Filter> {
        Ok(match expr {
            Expr::Nested(inner) => self.condition(inner)?,
            Expr::BinaryOp { op: BinaryOperator::And, .. } => {
                balanced(self.chain(expr, &BinaryOperator::And)?, and)
            }
            Expr::BinaryOp { op: BinaryOperator::Or, .. } => {
                balanced(self.chain(expr, &BinaryOperator::Or)?, or)
            }
            Expr::BinaryOp { left, op, right } => {
                let Some(op) = comparison(op) else { return Err(self.refused(expr)) };
                self.compare(&self.term(left)?, op, &self.term(right)?)?
            }
            Expr::UnaryOp { op: UnaryOperator::Not, expr } => not(self.condition(expr)?),
            Expr::IsNull(inner) => is_null(&self.term(inner)?),
            Expr::IsNotNull(inner) => not(is_null(&self.term(inner)?)),
            Expr::IsTrue(inner) => is(&self.condition(inner)?, true),
            Expr::IsFalse(inner) => is(&self.condition(inner)?, false),
            Expr::IsNotTrue(inner) => not(is(&self.condition(inner)?, true)),
            Expr::IsNotFalse(inner) => not(is(&self.condition(inner)?, false)),
            Expr::In { expr, target: InTarget::List(list), negated, .. } => {
                negate(*negated, self.is_in(expr, list)?)
            }
            Expr::Between { expr, negated, low, high } => {
                let (value, low, high) = (self.term(expr)?, self.term(low)?, self.term(high)?);
                let from = self.compare(&value, Comparison::GtEq, &low)?;
                negate(*negated, and(from, self.compare(&value, Comparison::LtEq, &high)?))
            }
            Expr::Like { negated, any: false, expr, pattern, escape_char } => {
                negate(*negated, self.like(expr, pattern, escape_char.as_deref())?)
            }
            _ => self.bare(expr)?,
        })
    }

    /// The conditions that one operator joins, however many: without going deeper for each of them.
    fn chain(&self, expr: &Expr, operator: &BinaryOperator) -> Result<Vec<Filter>> {
        let mut reversed = Vec::new();
        let mut rest = expr;
        while let Expr::BinaryOp { left, op, right } = rest
            && op == operator
        {
            reversed.push(&**right);
            rest = left;
        }
        reversed.push(rest);
        reversed.into_iter().rev().map(|expr| self.condition(expr)).collect()
    }

    /// A value that stands where a condition does.
    fn bare(&self, expr: &Expr) -> Result<Filter> {
        let Term { what, span } = self.term(expr)?;
        match what {
            What::Column(name, None | Some(ColumnType::Scalar(ScalarType::Bool))) => {
                Ok(Filter::Bool(Operand::Column(name)))
            }
            What::Column(name, Some(ty)) => {
                let message = format!("`{name}` is {ty}, which is no condition by itself");
                let hint = if is_comparable(ty) {
                    "compare it with something"
                } else {
                    "ask whether it is there, with IS NULL or IS NOT NULL"
                };
                Err(self.error(span, message).hint(hint))
            }
            What::Constant(Value::Bool(holds)) => Ok(truth(holds)),
            What::Constant(_) | What::Null => {
                let message = format!("`{}` is no condition", self.shown(span));
                Err(self.error(span, message).hint("compare it with a column"))
            }
        }
    }

    /// A column or a constant.
    fn term(&self, expr: &Expr) -> Result<Term> {
        let span = expr.span();
        let what = match expr {
            Expr::Nested(inner) => return self.term(inner),
            Expr::Identifier(name) if name.quote_style.is_none() && is_word(&name.value) => {
                let message =
                    format!("`{}` stands where a column or a constant is missing", name.value);
                return Err(self
                    .error(span, message)
                    .hint("a column of this name stands in double quotes"));
            }
            Expr::Identifier(name) => self.column(&name.value, span)?,
            Expr::CompoundIdentifier(parts) => {
                let parts: Vec<&str> = parts.iter().map(|part| part.value.as_str()).collect();
                self.column(&parts.join("."), span)?
            }
            Expr::UnaryOp { op: UnaryOperator::Minus, expr: inner } => {
                let Term { what, .. } = self.term(inner)?;
                match what {
                    What::Constant(Value::Int(int)) => What::Constant(Value::Int(-int)),
                    What::Constant(Value::Float(float)) => What::Constant(Value::Float(-float)),
                    _ => return Err(self.arithmetic(span, "-")),
                }
            }
            Expr::Value(value) => self.constant(&value.value, span)?,
            Expr::TypedString(typed) => {
                let span = self.with_type(span);
                let what = self.typed(&typed.data_type, &typed.value.value, span)?;
                return Ok(Term { what, span });
            }
            _ if is_condition(expr) => {
                let shown = self.shown(span);
                let message = format!("`{shown}` is a condition, which is compared with nothing");
                return Err(self.error(span, message).hint(
                    "join conditions with AND and OR; write IS TRUE or IS FALSE behind one",
                ));
            }
            _ => return Err(self.refused(expr)),
        };
        Ok(Term { what, span })
    }

    /// The place of a constant together with the name of the type before it.
    fn with_type(&self, constant: Span) -> Span {
        let at = self.all.partition_point(|token| token.span.start < constant.start);
        let before = at.checked_sub(1).and_then(|before| self.all.get(before));
        before.map_or(constant, |name| name.span.union(&constant))
    }

    fn column(&self, name: &str, span: Span) -> Result<What> {
        let columns = match self.columns {
            Columns::Any => return Ok(What::Column(name.to_owned(), None)),
            Columns::These(columns) => columns,
        };
        if let Some(column) = columns.iter().find(|column| column.name == name) {
            return Ok(What::Column(name.to_owned(), column.ty));
        }
        let names = || columns.iter().map(|column| column.name.as_str());
        let other_case = names().find(|other| other.eq_ignore_ascii_case(name));
        let near = other_case.or_else(|| nearest(name, names()));
        let message = format!("there is no column `{name}`{}", hint(near));
        let error = self.error(span, message);
        if near.is_some() || columns.is_empty() {
            return Err(error);
        }
        let mut names: Vec<String> = names().map(|name| format!("`{name}`")).collect();
        let rest = if names.len() > 12 { " and others" } else { "" };
        names.truncate(12);
        let names = names.join(", ");
        Err(error.hint(format!("the columns are {names}{rest}; a text stands in single quotes")))
    }

    fn constant(&self, value: &SqlValue, span: Span) -> Result<What> {
        Ok(What::Constant(match value {
            SqlValue::Null => return Ok(What::Null),
            SqlValue::Boolean(bool) => Value::Bool(*bool),
            SqlValue::Number(digits, false) => constant::number(digits).ok_or_else(|| {
                let message = format!("`{}` is too large a number", self.shown(span));
                self.error(span, message)
                    .hint("whole numbers go up to 1.7e38, others up to 1.7e308")
            })?,
            SqlValue::SingleQuotedString(text) => Value::Text(self.text(text, span)?.to_owned()),
            _ => {
                let message = format!("`{}` is no constant", self.shown(span));
                return Err(self.error(span, message).hint(ALLOWED));
            }
        }))
    }

    /// A text that every engine can take.
    fn text<'t>(&self, text: &'t str, span: Span) -> Result<&'t str> {
        if text.contains('\0') {
            let message = "a text holds a NUL character, which no text in a store does";
            return Err(self.error(span, message).hint("leave it out"));
        }
        Ok(text)
    }

    /// A text behind the name of a type.
    fn typed(&self, ty: &DataType, value: &SqlValue, span: Span) -> Result<What> {
        let SqlValue::SingleQuotedString(text) = value else {
            let message = format!("`{}` is no constant", self.shown(span));
            return Err(self.error(span, message).hint(ALLOWED));
        };
        let (value, kind, form) = match ty {
            DataType::Date => (
                constant::date(text).map(Value::Date),
                "day",
                "write year, month and day, `DATE '2024-01-31'`",
            ),
            DataType::Timestamp(None, TimezoneInfo::None) => (
                constant::timestamp(text).map(Value::Timestamp),
                "point in time",
                "write day and time, `TIMESTAMP '2024-01-31 12:00:00'`, with at most six digits \
                 after the second, and an offset from UTC, `Z` or `+02:00`, if there is one",
            ),
            _ => {
                let message = format!("`{}` is no constant", self.shown(span));
                return Err(self.error(span, message).hint(ALLOWED));
            }
        };
        value.map(What::Constant).ok_or_else(|| {
            let message = format!("`{}` is no {kind}", first(text, 40));
            self.error(span, message).hint(form)
        })
    }

    fn compare(&self, left: &Term, op: Comparison, right: &Term) -> Result<Filter> {
        match (&left.what, &right.what) {
            (What::Null, _) => self.compare_with_null(right, op, left),
            (_, What::Null) => self.compare_with_null(left, op, right),
            (What::Constant(a), What::Constant(b)) => self.fold(a, op, b, left, right),
            (What::Column(name, ty), What::Constant(value)) => {
                self.compare_with_constant(name, *ty, op, value, right)
            }
            (What::Constant(value), What::Column(name, ty)) => {
                self.compare_with_constant(name, *ty, flipped(op), value, left)
            }
            (What::Column(a, a_ty), What::Column(b, b_ty)) => {
                self.compare_columns((a, *a_ty), op, (b, *b_ty), right)
            }
        }
    }

    fn compare_with_null(&self, value: &Term, op: Comparison, null: &Term) -> Result<Filter> {
        match op {
            Comparison::Eq => Ok(is_null(value)),
            Comparison::NotEq => Ok(not(is_null(value))),
            _ => {
                let message = "nothing is smaller or larger than NULL";
                Err(self.error(null.span, message).hint("write IS NULL or IS NOT NULL"))
            }
        }
    }

    /// Two constants: what comes out.
    fn fold(
        &self,
        a: &Value,
        op: Comparison,
        b: &Value,
        left: &Term,
        right: &Term,
    ) -> Result<Filter> {
        let order = eval::order(a, b).filter(|_| {
            // A text is a day only next to a column of days.
            matches!(a, Value::Text(_)) == matches!(b, Value::Text(_))
        });
        let Some(order) = order else {
            let span = left.span.union(&right.span);
            let (left, right) = (self.shown(left.span), self.shown(right.span));
            let message = format!("`{left}` and `{right}` cannot be compared");
            return Err(self.error(span, message).hint("compare constants of one type"));
        };
        self.has_order(matches!(a, Value::Bool(_)).then_some(ScalarType::Bool), op, right)?;
        Ok(truth(eval::holds(op, order)))
    }

    fn compare_with_constant(
        &self,
        name: &str,
        ty: Option<ColumnType>,
        op: Comparison,
        value: &Value,
        constant: &Term,
    ) -> Result<Filter> {
        let fitted = self.fitted(name, ty, value, constant)?;
        let scalar = match (ty, value) {
            (Some(ColumnType::Scalar(scalar)), _) => Some(scalar),
            (None, Value::Bool(_)) => Some(ScalarType::Bool),
            _ => None,
        };
        self.has_order(scalar, op, constant)?;
        Ok(fit::compare(name, op, fitted))
    }

    /// A constant in the type of a column.
    fn fitted(
        &self,
        name: &str,
        ty: Option<ColumnType>,
        value: &Value,
        constant: &Term,
    ) -> Result<Fitted> {
        fit(value, ty).map_err(|misfit| {
            let ty = ty.map_or_else(String::new, |ty| format!(", which is {ty}"));
            let shown = self.shown(constant.span);
            let message = format!("`{shown}` cannot be compared with `{name}`{ty}");
            let hint = match misfit {
                Misfit::Incomparable => {
                    "such a column can only be asked for IS NULL or IS NOT NULL".to_owned()
                }
                Misfit::Needs(what) => format!("write {what}"),
            };
            self.error(constant.span, message).hint(hint)
        })
    }

    /// Some values are equal or not, and that is all.
    fn has_order(&self, ty: Option<ScalarType>, op: Comparison, place: &Term) -> Result<()> {
        if matches!(op, Comparison::Eq | Comparison::NotEq) {
            return Ok(());
        }
        let (what, hint) = match ty {
            Some(ScalarType::Bool) => ("TRUE and FALSE have no order", "write `=` or `<>`"),
            Some(ScalarType::Uuid) => {
                ("UUIDs have no order that all engines share", "write `=`, `<>` or IN")
            }
            _ => return Ok(()),
        };
        Err(self.error(place.span, what).hint(hint))
    }

    fn compare_columns(
        &self,
        (a, a_ty): (&str, Option<ColumnType>),
        op: Comparison,
        (b, b_ty): (&str, Option<ColumnType>),
        right: &Term,
    ) -> Result<Filter> {
        let comparable = match (a_ty, b_ty) {
            (Some(a), Some(b)) => are_comparable(a, b),
            (Some(ty), None) | (None, Some(ty)) => is_comparable(ty),
            (None, None) => true,
        };
        if !comparable {
            let ty = |ty: Option<ColumnType>| match ty {
                Some(ty) => format!("which is {ty}"),
                None => "whose type is not known".to_owned(),
            };
            let (a_ty, b_ty) = (ty(a_ty), ty(b_ty));
            let message = format!("`{a}`, {a_ty}, cannot be compared with `{b}`, {b_ty}");
            return Err(self
                .error(right.span, message)
                .hint("columns of one type can be compared, and integers with integers"));
        }
        let scalar = a_ty.or(b_ty).and_then(|ty| match ty {
            ColumnType::Scalar(scalar) => Some(scalar),
            _ => None,
        });
        self.has_order(scalar, op, right)?;
        let column = |name: &str| Operand::Column(name.to_owned());
        Ok(Filter::Compare { left: column(a), op, right: column(b) })
    }

    fn is_in(&self, expr: &Expr, list: &[Expr]) -> Result<Filter> {
        let value = self.term(expr)?;
        let mut constants = Vec::with_capacity(list.len());
        for item in list {
            let item = self.term(item)?;
            match &item.what {
                What::Constant(constant) => constants.push((constant.clone(), item)),
                What::Null => {
                    let message = "NULL in a list equals nothing";
                    return Err(self
                        .error(item.span, message)
                        .hint("leave it out, and write `OR x IS NULL` if that is meant"));
                }
                What::Column(name, _) => {
                    let message = format!("the column `{name}` stands in a list of constants");
                    return Err(self
                        .error(item.span, message)
                        .hint("write `x = ..` about the column; a text stands in single quotes"));
                }
            }
        }
        match &value.what {
            What::Null => {
                let message = "NULL is in no list";
                Err(self.error(value.span, message).hint("write a column before IN"))
            }
            What::Constant(constant) => {
                let equal = constants
                    .iter()
                    .map(|(item, term)| self.fold(constant, Comparison::Eq, item, &value, term));
                Ok(balanced(equal.collect::<Result<_>>()?, or))
            }
            What::Column(name, ty) => {
                let fitted =
                    constants.iter().map(|(item, term)| self.fitted(name, *ty, item, term));
                let (mut list, mut other) = (Vec::new(), None);
                for fitted in fitted.collect::<Result<Vec<_>>>()? {
                    match fitted {
                        Fitted::Exactly(value) => list.push(value),
                        between @ Fitted::Between(..) => other = Some(between),
                    }
                }
                Ok(match other {
                    // None of them is a value that the column can have.
                    Some(between) if list.is_empty() => fit::compare(name, Comparison::Eq, between),
                    _ => Filter::In { value: Operand::Column(name.clone()), list },
                })
            }
        }
    }

    fn like(&self, expr: &Expr, pattern: &Expr, escape: Option<&Expr>) -> Result<Filter> {
        let (value, pattern) = (self.term(expr)?, self.term(pattern)?);
        let What::Constant(Value::Text(text)) = &pattern.what else {
            let message = format!("`{}` is no pattern", self.shown(pattern.span));
            return Err(self.error(pattern.span, message).hint(
                "write a text behind LIKE, as `'%.mp4'`: `%` is any text, `_` any character",
            ));
        };
        let escape = escape.map_or(Ok(Some('\\')), |escape| self.escape(escape))?;
        let Some(parts) = pattern_parts(text, escape) else {
            let escape = escape.unwrap_or('\\');
            let message = format!("the pattern ends with `{escape}`, which takes a character");
            let hint = format!("write `{escape}{escape}` for the character itself");
            return Err(self.error(pattern.span, message).hint(hint));
        };
        match value.what {
            What::Column(name, None | Some(ColumnType::Scalar(ScalarType::Text))) => {
                let pattern = pattern_text(parts);
                Ok(Filter::Like { value: Operand::Column(name), pattern })
            }
            What::Constant(Value::Text(text)) => Ok(truth(eval::matches(&text, &parts))),
            What::Column(name, Some(ty)) => {
                let message = format!("`{name}` is {ty}, but only a text has a pattern");
                Err(self.error(value.span, message).hint("compare it with a constant"))
            }
            What::Constant(_) | What::Null => {
                let message = format!("`{}` is no text", self.shown(value.span));
                Err(self.error(value.span, message).hint("write a column of texts before LIKE"))
            }
        }
    }

    /// The character that takes the next one literally; `None` for the empty text.
    fn escape(&self, expr: &Expr) -> Result<Option<char>> {
        let term = self.term(expr)?;
        if let What::Constant(Value::Text(text)) = &term.what {
            let mut chars = text.chars();
            if let (escape, None) = (chars.next(), chars.next()) {
                return Ok(escape);
            }
        }
        let message = format!("`{}` is not one character", self.shown(term.span));
        Err(self.error(term.span, message).hint("write one behind ESCAPE, as `'!'`"))
    }

    fn arithmetic(&self, span: Span, operator: &str) -> FilterError {
        self.error(span, not_part(operator))
            .hint("a filter has no arithmetic; compute the constant before")
    }

    /// Something that SQL has and the language does not.
    fn refused(&self, expr: &Expr) -> FilterError {
        let span = expr.span();
        match expr {
            Expr::BinaryOp { op, .. } => self.arithmetic(span, &op.to_string()),
            Expr::UnaryOp { op, .. } => self.arithmetic(span, &op.to_string()),
            Expr::Function(function) => {
                let name = function.name.to_string();
                let token = Token::make_word(&name, None);
                let span = function.name.span();
                let message = format!("the function `{name}` is not part of the filter language");
                let hint = foreign(&token)
                    .unwrap_or("a filter has no functions; compare the column with a constant");
                self.error(span, message).hint(hint)
            }
            Expr::Tuple(_) => {
                let message = "a list of values cannot stand here";
                self.error(span, message).hint("a list stands behind IN, `x IN (1, 2)`")
            }
            _ => self.error(span, not_part(&self.shown(span))).hint(ALLOWED),
        }
    }
}

/// Whether a name is a word of the language, which the parser takes for a name where it has to.
fn is_word(name: &str) -> bool {
    matches!(Token::make_word(name, None), Token::Word(word) if is_keyword(word.keyword, false))
}

fn comparison(op: &BinaryOperator) -> Option<Comparison> {
    Some(match op {
        BinaryOperator::Eq => Comparison::Eq,
        BinaryOperator::NotEq => Comparison::NotEq,
        BinaryOperator::Lt => Comparison::Lt,
        BinaryOperator::LtEq => Comparison::LtEq,
        BinaryOperator::Gt => Comparison::Gt,
        BinaryOperator::GtEq => Comparison::GtEq,
        _ => return None,
    })
}

/// The same comparison with its sides exchanged.
fn flipped(op: Comparison) -> Comparison {
    match op {
        Comparison::Lt => Comparison::Gt,
        Comparison::LtEq => Comparison::GtEq,
        Comparison::Gt => Comparison::Lt,
        Comparison::GtEq => Comparison::LtEq,
        same => same,
    }
}

fn negate(negated: bool, filter: Filter) -> Filter {
    if negated { not(filter) } else { filter }
}

fn truth(holds: bool) -> Filter {
    Filter::Bool(Operand::Constant(Value::Bool(holds)))
}

fn is_null(term: &Term) -> Filter {
    match &term.what {
        What::Column(name, _) => Filter::IsNull(Operand::Column(name.clone())),
        What::Constant(_) => truth(false),
        What::Null => truth(true),
    }
}

/// That a condition has this value, which is never unknown: down to its leaves, where a column may
/// be NULL.
fn is(filter: &Filter, wanted: bool) -> Filter {
    match filter {
        Filter::And(a, b) if wanted => and(is(a, true), is(b, true)),
        Filter::And(a, b) => or(is(a, false), is(b, false)),
        Filter::Or(a, b) if wanted => or(is(a, true), is(b, true)),
        Filter::Or(a, b) => and(is(a, false), is(b, false)),
        Filter::Not(inner) => is(inner, !wanted),
        leaf => {
            let own = negate(!wanted, leaf.clone());
            if matches!(leaf, Filter::IsNull(_)) {
                return own;
            }
            let is_there = |name: &str| not(Filter::IsNull(Operand::Column(name.to_owned())));
            let there = leaf.columns().into_iter().map(is_there);
            there.reduce(and).map_or(own.clone(), |there| and(there, own))
        }
    }
}

fn is_condition(expr: &Expr) -> bool {
    match expr {
        Expr::BinaryOp { op, .. } => {
            matches!(op, BinaryOperator::And | BinaryOperator::Or) || comparison(op).is_some()
        }
        Expr::UnaryOp { op, .. } => *op == UnaryOperator::Not,
        Expr::IsNull(_)
        | Expr::IsNotNull(_)
        | Expr::IsTrue(_)
        | Expr::IsNotTrue(_)
        | Expr::IsFalse(_)
        | Expr::IsNotFalse(_)
        | Expr::In { .. }
        | Expr::Between { .. }
        | Expr::Like { .. } => true,
        _ => false,
    }
}

/// Whether values of a type are compared at all.
fn is_comparable(ty: ColumnType) -> bool {
    match ty {
        ColumnType::Scalar(scalar) => !matches!(scalar, ScalarType::Bytes | ScalarType::Json),
        _ => false,
    }
}

/// Whether engines compare values of two types by value. An integer and a float they do not: they
/// round the integer.
fn are_comparable(a: ColumnType, b: ColumnType) -> bool {
    use ScalarType as S;
    let (ColumnType::Scalar(a), ColumnType::Scalar(b)) = (a, b) else { return false };
    let is_float = |ty| matches!(ty, S::Float32 | S::Float64);
    let is_int = |ty| fit::int_range(ty).is_some();
    is_int(a) && is_int(b) || is_float(a) && is_float(b) || a == b && is_comparable(a.into())
}

/// The parts of a pattern as it was written; `None` if nothing comes after an escape.
fn pattern_parts(text: &str, escape: Option<char>) -> Option<Vec<PatternPart>> {
    let mut parts = Vec::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        parts.push(match c {
            c if Some(c) == escape => PatternPart::Char(chars.next()?),
            '%' => PatternPart::Any,
            '_' => PatternPart::One,
            c => PatternPart::Char(c),
        });
    }
    Some(parts)
}
