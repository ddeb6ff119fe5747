//! The language of filters: which records are meant, said over the columns of a table.
//!
//! A filter stands at an upstream in a declaration (`filter = "duration > 3"`, `sql_filters` in a spec
//! file) and in calls. It is read here, checked against the types of columns, and becomes a
//! [`Filter`], which every engine evaluates alike; no text of it ever reaches a database.
//!
//! | | |
//! |---|---|
//! | comparisons | `=` `==` `<>` `!=` `<` `<=` `>` `>=`, `x BETWEEN 1 AND 3`, `x NOT BETWEEN ..` |
//! | lists | `x IN (1, 2)`, `x NOT IN ('a', 'b')`; constants only, no NULL among them |
//! | patterns | `x LIKE '%.mp4'`, `x NOT LIKE ..`: `%` is any text, `_` any one character, `\` takes the next one literally; `ESCAPE '!'` names another character for that |
//! | NULL | `x IS NULL`, `x IS NOT NULL`; `x = NULL` and `x != NULL` mean the same |
//! | conditions | `AND`, `OR`, `NOT`, brackets, a column of booleans by itself, `TRUE`, `FALSE`, `.. IS [NOT] TRUE`, `.. IS [NOT] FALSE` |
//! | columns | `duration`, `"the name"`, `a.b` (the column `a.b`); upper and lower case differ |
//! | numbers | `3`, `-3`, `2.5`, `1e6` |
//! | texts | `'it''s'` |
//! | days | `DATE '2024-01-31'` |
//! | points in time | `TIMESTAMP '2024-01-31 12:00:00'`, with a `T` if one likes, up to six digits of a fraction, `Z` or `+02:00`; UTC without |
//!
//! There is nothing else: no arithmetic, functions, casts, subqueries, parameters or comments.
//!
//! # What it means
//!
//! As in SQL, a comparison with NULL is neither true nor false, and a record is meant only if the
//! whole is true: `x <> 3` leaves out records whose `x` is NULL, and so does `NOT x = 3`.
//!
//! - Numbers compare by value, whatever their types: `n > 2.5` and `n < 1e30` are fine for a column of
//!   bytes. A number with a point or an exponent is the nearest 64-bit float, and a column of 32-bit
//!   floats is compared as what it holds, so that `x = 0.1` finds nothing in it. NaN equals itself and
//!   is larger than all other numbers.
//! - Texts compare by their bytes, and patterns distinguish upper and lower case.
//! - A constant has the type of the column. Next to a column of days, points in time or UUIDs, a
//!   text may stand for one, and a day for its midnight UTC next to points in time.
//! - Columns compare with columns of the same type, and integers of any size with each other. Booleans
//!   and UUIDs are equal or not, and have no order.
//! - Columns of bytes, JSON, lists and maps are NULL or not, that is all.
//! - Where nobody knows the type of a column, as in a spec file, any constant goes, and data decides.

mod constant;
mod error;
mod eval;
mod fit;
mod parse;
#[cfg(test)]
mod tests;
mod tokens;

pub use error::FilterError;
pub use eval::fulfils;
pub use metaxy_sql::filter::{Comparison, Filter, Operand, Value};

use crate::spec::{ColumnSpec, FeatureDep};
use metaxy_sql::{ColumnType, ScalarType, system};

/// Whether a text is a point in time, as constants of filters are written: to the microsecond, so that
/// nothing of it is lost.
#[cfg(feature = "cli")]
pub(crate) fn is_timestamp(text: &str) -> bool {
    constant::timestamp(text).is_some()
}

/// What all refusals end with that have nothing better to say.
const ALLOWED: &str = "a filter has comparisons, AND, OR, NOT, IS NULL, IS TRUE, IN, BETWEEN and LIKE \
                       over columns and constants";

/// A column that a filter may name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// The name.
    pub name: String,
    /// The type of its values, if it is known.
    pub ty: Option<ColumnType>,
}

impl From<&ColumnSpec> for Column {
    fn from(column: &ColumnSpec) -> Self {
        Self { name: column.name.clone(), ty: Some(column.ty) }
    }
}

/// Reads a filter over these columns.
///
/// # Errors
/// When it is none, names another column, or compares what cannot be compared.
pub fn parse(text: &str, columns: &[Column]) -> Result<Filter, FilterError> {
    parse::parse(text, parse::Columns::These(columns))
}

/// Reads a filter over columns that are not known yet: every name is one, of any type.
///
/// # Errors
/// When it is none.
pub fn parse_unchecked(text: &str) -> Result<Filter, FilterError> {
    parse::parse(text, parse::Columns::Any)
}

/// The system columns that filters over stored rows may look at, which say when and by what a row was
/// written; a seal has some of them.
pub(crate) fn system_columns(of_seal: bool) -> impl Iterator<Item = Column> {
    let text = ColumnType::Scalar(ScalarType::Text);
    let time = ColumnType::Scalar(ScalarType::Timestamp);
    let of_all = [
        (system::UPDATED_AT, time),
        (system::DELETED_AT, time),
        (system::MATERIALIZATION_ID, text),
        (system::FEATURE_VERSION, text),
        (system::PROJECT_VERSION, text),
        (system::PROVENANCE, text),
    ];
    let of_rows = [(system::CREATED_AT, time), (system::DATA_VERSION, text)];
    let of_rows = of_rows.into_iter().filter(move |_| !of_seal);
    of_all
        .into_iter()
        .chain(of_rows)
        .map(|(name, ty)| Column { name: name.to_owned(), ty: Some(ty) })
}

/// All that a feature declares for one upstream, over the columns by their names in the feature;
/// checked against the upstream's columns (by their names there) if they are known.
///
/// [`upstream`] leads back to the names there.
pub(crate) fn declared(
    dep: &FeatureDep,
    columns: Option<&[ColumnSpec]>,
) -> Result<Option<Filter>, FilterError> {
    Ok(Filter::all(each_declared(dep, columns).collect::<Result<Vec<_>, _>>()?))
}

/// What is wrong with the filters that a feature declares for one upstream.
pub(crate) fn mistakes(
    dep: &FeatureDep,
    columns: Option<&[ColumnSpec]>,
) -> impl Iterator<Item = FilterError> {
    each_declared(dep, columns).filter_map(Result::err)
}

fn each_declared(
    dep: &FeatureDep,
    columns: Option<&[ColumnSpec]>,
) -> impl Iterator<Item = Result<Filter, FilterError>> {
    let columns: Option<Vec<Column>> = columns.map(|columns| {
        let here = |c: &ColumnSpec| dep.renamed(&c.name).to_owned();
        columns.iter().map(|c| Column { name: here(c), ty: Some(c.ty) }).collect()
    });
    dep.filters.iter().flatten().map(move |text| match &columns {
        Some(columns) => parse(text, columns),
        None => parse_unchecked(text),
    })
}

/// A declared filter over the columns by their names upstream.
pub(crate) fn upstream(dep: &FeatureDep, filter: &Filter) -> Filter {
    filter.rename(&|name| dep.original(name).to_owned())
}

fn and(left: Filter, right: Filter) -> Filter {
    Filter::And(Box::new(left), Box::new(right))
}

fn or(left: Filter, right: Filter) -> Filter {
    Filter::Or(Box::new(left), Box::new(right))
}

fn not(filter: Filter) -> Filter {
    Filter::Not(Box::new(filter))
}

/// At least one filter joined with others, as flat as it goes: a chain of hundreds would be as deep as it
/// is long otherwise.
fn balanced(mut filters: Vec<Filter>, join: fn(Filter, Filter) -> Filter) -> Filter {
    while filters.len() > 1 {
        let mut pairs = Vec::with_capacity(filters.len().div_ceil(2));
        let mut rest = filters.into_iter();
        while let Some(left) = rest.next() {
            pairs.push(match rest.next() {
                Some(right) => join(left, right),
                None => left,
            });
        }
        filters = pairs;
    }
    filters.pop().unwrap_or(Filter::Bool(Operand::Constant(Value::Bool(true))))
}
