//! What a filter says of a row, in memory and in the engine: the same, unknown included.
//!
//! Filters are random, over columns of all types; what they say is [`fulfils`]. The constants that they
//! compare with may be days that an engine cannot keep; the rows hold none outside of the years 1900 to
//! 2299.

use crate::builder::FeatureBuilder;
use crate::conformance::batch::{batch, batch_of};
use crate::conformance::flow::key;
use crate::conformance::{Engine, open};
use crate::filter::{Column, Filter, Operand, Value, fulfils, parse, parse_unchecked};
use crate::graph::FeatureGraph;
use crate::store::Store;
use crate::{ColumnType, ScalarType};
use arrow::array::{
    ArrayRef, AsArray, BooleanArray, Date32Array, Float64Array, Int64Array, StringArray,
    TimestampMicrosecondArray, UInt64Array,
};
use arrow::compute::cast;
use arrow::datatypes::Int64Type;
use futures::TryStreamExt;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::Arc;

/// How many random filters each engine is asked, and over how many random rows.
const FILTERS: u32 = 150;
const ROWS: usize = 40;
/// How many filters are asked in one statement, each about rows of its own: a statement takes longer to plan
/// than to run.
const AT_ONCE: usize = 8;
/// Of so many, one is asked alone as well: what stands alone an engine may look up in other ways.
const ONE_ALONE_OF: usize = 7;

const COLUMNS: [(&str, ScalarType); 16] = {
    use ScalarType as S;
    [
        ("i8", S::Int8),
        ("i16", S::Int16),
        ("i32", S::Int32),
        ("i64", S::Int64),
        ("u8", S::UInt8),
        ("u16", S::UInt16),
        ("u32", S::UInt32),
        ("u64", S::UInt64),
        ("f32", S::Float32),
        ("f64", S::Float64),
        ("text", S::Text),
        ("other text", S::Text),
        ("ok", S::Bool),
        ("day", S::Date),
        ("at", S::Timestamp),
        ("uid", S::Uuid),
    ]
};
const INTS: [&str; 8] = ["i8", "i16", "i32", "i64", "u8", "u16", "u32", "u64"];
const FLOATS: [&str; 2] = ["f32", "f64"];
const TEXTS: [&str; 2] = ["text", "\"other text\""];
const NUMBERS: [i128; 25] = [
    i64::MIN as i128 - 1,
    i64::MIN as i128,
    i32::MIN as i128,
    -129,
    -128,
    -3,
    -1,
    0,
    1,
    2,
    3,
    127,
    128,
    255,
    256,
    32_767,
    65_535,
    i32::MAX as i128,
    u32::MAX as i128,
    9_007_199_254_740_992,
    9_007_199_254_740_993,
    i64::MAX as i128,
    u64::MAX as i128,
    u64::MAX as i128 + 1,
    i128::MAX,
];
const WITH_POINT: [&str; 13] = [
    "0.0",
    "-0.0",
    "0.5",
    "2.5",
    "-2.5",
    "2.0",
    "0.1",
    "1e30",
    "-1e300",
    "127.5",
    "16777217.0",
    "9007199254740993.0",
    "18446744073709551615.0",
];
const WORDS: [&str; 22] = [
    "", "a", "A", "b", "ab", "aab", "a%", "a_", "a\\", "\\%", "\\", "it's", "''", "\"", "ä", "ß",
    "😀", "😀x", "%", "_", "a\nb", "z\u{301}",
];
const PIECES: [&str; 13] =
    ["a", "b", "%", "_", "%%", "\\%", "\\_", "\\\\", "\\a", "''", "😀", "ä", "\n"];
const UIDS: [&str; 3] = [
    "6f1c1b9e-0b1c-4c86-9d83-d37f8bd1a2a6",
    "00000000-0000-0000-0000-000000000000",
    "ffffffff-ffff-ffff-ffff-ffffffffffff",
];
const DAYS: [&str; 5] = ["1970-01-01", "2024-02-29", "1969-12-31", "0001-01-01", "9999-12-31"];
/// How many of them every engine can keep.
const KEPT_DAYS: usize = 3;
const TIMES: [&str; 6] = [
    "2024-02-29 12:00:00",
    "2024-02-29T12:00:00.000001Z",
    "2024-02-29 13:00+01:00",
    "1969-12-31 23:59:59.999999",
    "2024-02-29",
    "0001-01-01 00:00:00",
];
/// How many of them every engine can keep.
const KEPT_TIMES: usize = 5;

fn columns() -> Vec<Column> {
    let column = |(name, ty): (&str, ScalarType)| Column {
        name: name.to_owned(),
        ty: Some(ColumnType::Scalar(ty)),
    };
    COLUMNS.map(column).to_vec()
}

type Row = Vec<Option<Value>>;

/// A value that a column can hold.
fn value(ty: ScalarType) -> BoxedStrategy<Value> {
    use ScalarType as S;
    let ints = |min: i128, max: i128| {
        let near: Vec<_> = NUMBERS.into_iter().filter(|n| (min..=max).contains(n)).collect();
        select(near).prop_map(Value::Int).boxed()
    };
    let moments = |texts: &'static [&'static str]| select(texts).prop_map(moment);
    match ty {
        S::Int8 => ints(i8::MIN.into(), i8::MAX.into()),
        S::Int16 => ints(i16::MIN.into(), i16::MAX.into()),
        S::Int32 => ints(i32::MIN.into(), i32::MAX.into()),
        S::Int64 => ints(i64::MIN.into(), i64::MAX.into()),
        S::UInt8 => ints(0, u8::MAX.into()),
        S::UInt16 => ints(0, u16::MAX.into()),
        S::UInt32 => ints(0, u32::MAX.into()),
        S::UInt64 => ints(0, u64::MAX.into()),
        S::Float32 => float().prop_map(|f| Value::Float(f64::from(f as f32))).boxed(),
        S::Float64 => float().prop_map(Value::Float).boxed(),
        S::Text => select(&WORDS[..]).prop_map(|text| Value::Text(text.to_owned())).boxed(),
        S::Bool => any::<bool>().prop_map(Value::Bool).boxed(),
        S::Date => {
            select(&DAYS[..KEPT_DAYS]).prop_map(|day| constant(&format!("DATE '{day}'"))).boxed()
        }
        S::Timestamp => moments(&TIMES[..KEPT_TIMES]).boxed(),
        S::Uuid => select(&UIDS[..]).prop_map(|text| Value::Text(text.to_owned())).boxed(),
        other => panic!("no values of {other}"),
    }
}

fn float() -> impl Strategy<Value = f64> {
    let special = [f64::NAN, -f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, 16_777_216.0];
    let written = WITH_POINT.map(|text| text.parse::<f64>().expect("a float"));
    prop_oneof![select(special.to_vec()), select(written.to_vec()), any::<f64>()]
}

fn moment(text: &str) -> Value {
    constant(&format!("TIMESTAMP '{text}'"))
}

/// A constant as the language reads it.
fn constant(text: &str) -> Value {
    match parse_unchecked(&format!("x = {text}")) {
        Ok(Filter::Compare { right: Operand::Constant(value), .. }) => value,
        other => panic!("{text} is no constant: {other:?}"),
    }
}

fn row() -> impl Strategy<Value = Row> {
    COLUMNS.map(|(_, ty)| prop::option::weighted(0.8, value(ty)).boxed()).to_vec()
}

fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => select(&NUMBERS[..]).prop_map(|n| n.to_string()),
        2 => select(&WITH_POINT[..]).prop_map(str::to_owned),
    ]
}

fn quoted(words: &'static [&'static str]) -> impl Strategy<Value = String> {
    select(words).prop_map(|word| format!("'{}'", word.replace('\'', "''")))
}

fn op() -> impl Strategy<Value = &'static str> {
    select(&["=", "<>", "<", "<=", ">", ">="][..])
}

/// Comparisons, lists and ranges of columns with constants.
fn of(
    names: &'static [&'static str],
    constant: impl Strategy<Value = String> + Clone + 'static,
) -> BoxedStrategy<String> {
    let list = prop::collection::vec(constant.clone(), 1..4);
    let not = select(&["", "NOT "][..]);
    prop_oneof![
        3 => (select(names), op(), constant.clone()).prop_map(|(a, op, b)| format!("{a} {op} {b}")),
        1 => (constant.clone(), op(), select(names)).prop_map(|(a, op, b)| format!("{a} {op} {b}")),
        1 => (select(names), op(), select(names)).prop_map(|(a, op, b)| format!("{a} {op} {b}")),
        1 => (select(names), not.clone(), list)
            .prop_map(|(a, not, list)| format!("{a} {not}IN ({})", list.join(", "))),
        1 => (select(names), not, constant.clone(), constant)
            .prop_map(|(a, not, b, c)| format!("{a} {not}BETWEEN {b} AND {c}")),
    ]
    .boxed()
}

fn atom() -> BoxedStrategy<String> {
    let number = || number().boxed();
    let pattern =
        prop::collection::vec(select(&PIECES[..]), 0..5).prop_map(|pieces| pieces.concat());
    let like = (select(&TEXTS[..]), select(&["LIKE", "NOT LIKE"][..]), pattern)
        .prop_map(|(a, like, pattern)| format!("{a} {like} '{pattern}'"));
    let day = quoted(&DAYS).prop_flat_map(|day| select(vec![format!("DATE {day}"), day]));
    let at = quoted(&TIMES).prop_flat_map(|at| select(vec![format!("TIMESTAMP {at}"), at]));
    let uid =
        (select(&["=", "<>"][..]), quoted(&UIDS)).prop_map(|(op, uid)| format!("uid {op} {uid}"));
    let names: Vec<String> = COLUMNS.iter().map(|(name, _)| format!("\"{name}\"")).collect();
    let null = (select(names), select(&["IS NULL", "IS NOT NULL", "= NULL", "<> NULL"][..]))
        .prop_map(|(name, is)| format!("{name} {is}"));
    let bools =
        ["ok", "ok = TRUE", "ok <> FALSE", "ok IS TRUE", "ok IS NOT FALSE", "TRUE", "1 = 2"];
    prop_oneof![
        4 => of(&INTS, number()),
        3 => of(&FLOATS, number()),
        2 => of(&TEXTS, quoted(&WORDS).boxed()),
        2 => like,
        1 => of(&["day"], day.boxed()),
        1 => of(&["at"], at.boxed()),
        1 => uid,
        1 => quoted(&UIDS).prop_map(|uid| format!("uid NOT IN ({uid})")),
        1 => null,
        1 => select(bools.to_vec()).prop_map(str::to_owned),
    ]
    .boxed()
}

fn filter() -> impl Strategy<Value = String> {
    atom().prop_recursive(3, 8, 2, |inner| {
        let is = ["IS TRUE", "IS NOT TRUE", "IS FALSE", "IS NOT FALSE"];
        prop_oneof![
            2 => (inner.clone(), select(&["AND", "OR"][..]), inner.clone())
                .prop_map(|(a, op, b)| format!("({a}) {op} ({b})")),
            1 => inner.clone().prop_map(|a| format!("NOT ({a})")),
            1 => (inner, select(is.to_vec())).prop_map(|(a, is)| format!("({a}) {is}")),
        ]
    })
}

/// The values of a column, as the batch of a write has them.
fn array(values: &[Option<Value>], ty: ScalarType) -> ArrayRef {
    let values = || values.iter().map(Option::as_ref);
    let int = |value: Option<&Value>| match value {
        Some(Value::Int(value)) => Some(*value),
        _ => None,
    };
    let small = |value| int(value).and_then(|value| i64::try_from(value).ok());
    let whole = |value| int(value).and_then(|value| u64::try_from(value).ok());
    let array: ArrayRef = match ty {
        ScalarType::UInt64 => Arc::new(values().map(whole).collect::<UInt64Array>()),
        ScalarType::Float32 | ScalarType::Float64 => {
            let float = |value: Option<&Value>| match value {
                Some(Value::Float(value)) => Some(*value),
                _ => None,
            };
            Arc::new(values().map(float).collect::<Float64Array>())
        }
        ScalarType::Text | ScalarType::Uuid => {
            let text = |value: Option<&'_ Value>| match value {
                Some(Value::Text(value)) => Some(value.clone()),
                _ => None,
            };
            return Arc::new(values().map(text).collect::<StringArray>());
        }
        ScalarType::Bool => {
            let truth = |value: Option<&Value>| match value {
                Some(Value::Bool(value)) => Some(*value),
                _ => None,
            };
            Arc::new(values().map(truth).collect::<BooleanArray>())
        }
        ScalarType::Date => {
            let day = |value: Option<&Value>| match value {
                Some(Value::Date(value)) => Some(*value),
                _ => None,
            };
            Arc::new(values().map(day).collect::<Date32Array>())
        }
        ScalarType::Timestamp => {
            let time = |value: Option<&Value>| match value {
                Some(Value::Timestamp(value)) => Some(*value),
                _ => None,
            };
            let times = values().map(time).collect::<TimestampMicrosecondArray>();
            Arc::new(times.with_timezone("UTC"))
        }
        _ => Arc::new(values().map(small).collect::<Int64Array>()),
    };
    cast(&array, &ty.to_arrow()).expect("values of the type")
}

/// The rows of a store: the same for every `nth`, and numbered through.
struct Table {
    store: Store,
    rows: Vec<Row>,
}

impl Table {
    async fn new(engine: &dyn Engine, rows: Vec<Row>) -> Self {
        let feature = FeatureBuilder::new("a").id("row", ScalarType::Int64).field("x");
        let feature = feature.column("nth", ScalarType::Int64);
        let feature = COLUMNS
            .into_iter()
            .fold(feature, |feature, (name, ty)| feature.nullable_column(name, ty));
        let graph = FeatureGraph::builder().feature(feature).build().expect("a graph");
        let store = open(engine, &graph).await;
        // Of each filter its opposite is asked as well.
        let all = 0..rows.len() * AT_ONCE * 2;
        let columns = COLUMNS.into_iter().enumerate().map(|(column, (name, ty))| {
            let values: Vec<_> =
                all.clone().map(|row| rows[row % rows.len()][column].clone()).collect();
            (name, array(&values, ty))
        });
        let numbers = |of: &dyn Fn(usize) -> usize| -> ArrayRef {
            Arc::new(all.clone().map(|row| of(row) as i64).collect::<Int64Array>())
        };
        let (ids, nth) = (numbers(&|row| row), numbers(&|row| row / rows.len()));
        let x = batch(&vec![json!({ "x": "1" }); all.len()]);
        let all = columns.chain([("row", ids), ("nth", nth), ("x", Arc::clone(x.column(0)))]);
        store.sync_of(&key("a"), batch_of(all)).await.expect("a sync");
        Self { store, rows }
    }

    /// The rows that a filter keeps, by their numbers.
    async fn kept(&self, filter: &str) -> Result<BTreeSet<usize>, String> {
        let read = self.store.read_of(&key("a")).filter(filter).batches();
        let read = read.await.map_err(|error| error.to_string())?;
        let batches: Vec<_> = read.try_collect().await.map_err(|error| error.to_string())?;
        let rows = batches.iter().flat_map(|batch| {
            let rows = batch.column_by_name("row").expect("the id").as_primitive::<Int64Type>();
            rows.values().iter().map(|row| *row as usize)
        });
        Ok(rows.collect())
    }

    /// The numbers of the rows of one `nth` of which a filter says `wanted` in memory.
    fn expected(&self, text: &str, wanted: bool) -> Result<BTreeSet<usize>, String> {
        let filter = parse(text, &columns()).map_err(|error| error.to_string())?;
        let says = |row: &Row| {
            let value_of = |name: &str| {
                let column = COLUMNS.iter().position(|(column, _)| *column == name);
                row[column.expect("a column")].clone()
            };
            fulfils(&filter, &value_of)
        };
        let rows = self.rows.iter().enumerate();
        Ok(rows.filter(|(_, row)| says(row) == Some(wanted)).map(|(row, _)| row).collect())
    }

    fn compare(
        &self,
        filter: &str,
        kept: &BTreeSet<usize>,
        expected: &BTreeSet<usize>,
    ) -> Result<(), String> {
        let Some(row) = kept.symmetric_difference(expected).next() else { return Ok(()) };
        let is = if kept.contains(row) { "keeps" } else { "leaves out" };
        Err(format!("{filter} {is} {:?}", self.rows[*row]))
    }

    /// Filters and their opposites keep what they say in memory; where it is unknown, neither keeps the row.
    async fn check(&self, texts: &[String]) -> Result<(), String> {
        let (n, mut filters) = (self.rows.len(), Vec::new());
        for text in texts {
            filters.push((text.clone(), self.expected(text, true)?));
            filters.push((format!("NOT ({text})"), self.expected(text, false)?));
        }
        for (filter, expected) in filters.iter().step_by(ONE_ALONE_OF).chain(filters.last()) {
            let kept = self.kept(filter).await?;
            let once: BTreeSet<usize> = kept.iter().map(|row| row % n).collect();
            self.compare(filter, &once, expected)?;
            assert_eq!(kept.len(), once.len() * AT_ONCE * 2, "{filter} keeps a row or not");
        }
        for filters in filters.chunks(AT_ONCE * 2) {
            let nth = filters.iter().enumerate();
            let nth: Vec<String> =
                nth.map(|(nth, (filter, _))| format!("(nth = {nth} AND ({filter}))")).collect();
            let kept = self.kept(&nth.join(" OR ")).await?;
            for (nth, (filter, expected)) in filters.iter().enumerate() {
                let of_nth = kept.range(nth * n..(nth + 1) * n).map(|row| row % n).collect();
                self.compare(filter, &of_nth, expected)?;
            }
        }
        Ok(())
    }
}

fn runner(cases: u32) -> TestRunner {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
}

pub(crate) async fn random_filters_say_what_they_say_in_memory(engine: &dyn Engine) {
    let mut runner = runner(FILTERS);
    let rows = prop::collection::vec(row(), ROWS).new_tree(&mut runner).expect("rows").current();
    let filters = filter();
    let mut filter = || filters.new_tree(&mut runner).expect("a filter").current();
    let filters: Vec<String> = (0..FILTERS).map(|_| filter()).collect();
    let table = Table::new(engine, rows).await;
    table.check(&filters).await.unwrap_or_else(|failure| panic!("{failure}"));
}

/// Every integer column with every number: the edges matter.
pub(crate) async fn numbers_are_compared_at_the_edges(engine: &dyn Engine) {
    let value = |number: i128, ty: ScalarType| {
        let bits = ty.name().trim_start_matches(|c: char| !c.is_ascii_digit()).parse::<u32>();
        let size = 1_i128 << bits.ok()?;
        let range = if ty.name().starts_with('U') { 0..size } else { -size / 2..size / 2 };
        range.contains(&number).then_some(Value::Int(number))
    };
    let cell = |number, (name, ty)| INTS.contains(&name).then(|| value(number, ty)).flatten();
    let rows: Vec<Row> =
        NUMBERS.map(|number| COLUMNS.map(|column| cell(number, column)).to_vec()).to_vec();
    let numbers = NUMBERS.iter().map(i128::to_string).chain(WITH_POINT.map(str::to_owned));
    let filters = numbers.enumerate().flat_map(|(i, number)| {
        // The opposite of each is asked as well: these are all six.
        let op = move |j: usize| ["=", "<", ">"][(i + j) % 3];
        INTS.iter().enumerate().map(move |(j, name)| format!("{name} {} {number}", op(j)))
    });
    let filters: Vec<String> = filters.collect();
    let table = Table::new(engine, rows).await;
    table.check(&filters).await.unwrap_or_else(|failure| panic!("{failure}"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::test_runner::TestCaseError;

    /// A filter is read again from its own text.
    #[test]
    fn a_filter_prints_as_it_reads() {
        let result = runner(1_000).run(&filter(), |text| {
            let filter = parse(&text, &columns()).expect("a filter");
            let printed = filter.to_string();
            let again = parse(&printed, &columns());
            prop_assert_eq!(again.map(|again| again.to_string()), Ok(printed));
            Ok::<(), TestCaseError>(())
        });
        result.unwrap_or_else(|failure| panic!("{failure}"));
    }
}
