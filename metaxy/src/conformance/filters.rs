//! What a filter says of a row, in memory and in the engine: the same, unknown included.

use duckdb::Connection;
use metaxy::arrow::array::{AsArray, RecordBatch};
use metaxy::arrow::datatypes::Int64Type;
use metaxy::filter::{Column, Filter, Value, fulfils, parse, parse_unchecked};
use metaxy::{ColumnType, ScalarType};
use metaxy_sql::ast::{Expr, From, Query, Select, Source, Statement};
use metaxy_sql::dialect::DuckDb;
use metaxy_sql::{Dialect, Ident, lower, print};
use proptest::prelude::*;
use proptest::sample::select;

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
const TIMES: [&str; 6] = [
    "2024-02-29 12:00:00",
    "2024-02-29T12:00:00.000001Z",
    "2024-02-29 13:00+01:00",
    "1969-12-31 23:59:59.999999",
    "2024-02-29",
    "0001-01-01 00:00:00",
];

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
        S::Date => select(&DAYS[..]).prop_map(|day| constant(&format!("DATE '{day}'"))).boxed(),
        S::Timestamp => moments(&TIMES).boxed(),
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
        Ok(Filter::Compare { right: metaxy::filter::Operand::Constant(value), .. }) => value,
        other => panic!("{text} is no constant: {other:?}"),
    }
}

fn row() -> impl Strategy<Value = Row> {
    COLUMNS.map(|(_, ty)| prop::option::weighted(0.8, value(ty)).boxed()).to_vec()
}

/// The value as the engine reads it, by another way than filters take.
fn sql(value: &Option<Value>, ty: ScalarType) -> String {
    let text = match value {
        None => return "NULL".to_owned(),
        Some(Value::Timestamp(micros)) => return DuckDb.timestamp(*micros),
        Some(Value::Bool(value)) => value.to_string(),
        Some(Value::Int(value)) => value.to_string(),
        Some(Value::Float(value)) => value.to_string(),
        Some(Value::Text(value)) => value.replace('\'', "''"),
        Some(day @ Value::Date(_)) => return day.to_string(),
    };
    format!("CAST('{text}' AS {})", ty.duckdb())
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

fn ident(name: &str) -> Ident {
    Ident::new(name).expect("a name")
}

/// The filter, its opposite, and whether it is unknown, for every row.
fn query(filter: &Filter) -> String {
    let lowered = || lower::filter(filter, &|name| Expr::Column(None, ident(name)));
    let select = Select {
        columns: vec![
            (Expr::Column(None, ident("row")), ident("row")),
            (lowered(), ident("holds")),
            (Expr::Not(Box::new(lowered())), ident("holds not")),
            (Expr::IsNull(Box::new(lowered())), ident("is unknown")),
        ],
        from: Some(From {
            latest: None,
            first: Source { relation: ident("rows"), alias: ident("r") },
            joins: Vec::new(),
        }),
        order_by: vec![metaxy_sql::ast::Order {
            expr: Expr::Column(None, ident("row")),
            descending: false,
        }],
        ..Select::default()
    };
    let query = Query { with: Vec::new(), union_all: vec![select] };
    print(&Statement::Query(query), &DuckDb).expect("a text")
}

/// A connection with a table `rows`.
fn table(rows: &[Row]) -> Connection {
    let connection = Connection::open_in_memory().expect("a database");
    let columns = COLUMNS.map(|(name, ty)| format!("\"{name}\" {}", ty.duckdb()));
    let rows: Vec<String> = (rows.iter().enumerate())
        .map(|(i, row)| {
            let values = row.iter().zip(COLUMNS).map(|(value, (_, ty))| sql(value, ty));
            format!("({i}, {})", values.collect::<Vec<_>>().join(", "))
        })
        .collect();
    let sql = format!(
        "CREATE TABLE rows (\"row\" BIGINT, {}); INSERT INTO rows VALUES {}",
        columns.join(", "),
        rows.join(",\n")
    );
    connection.execute_batch(&sql).unwrap_or_else(|error| panic!("{error}\n{sql}"));
    connection
}

fn bools(batch: &RecordBatch, column: usize) -> Vec<Option<bool>> {
    batch.column(column).as_boolean().iter().collect()
}

fn check(connection: &Connection, rows: &[Row], text: &str) -> Result<(), TestCaseError> {
    let filter = parse(text, &columns()).map_err(|error| TestCaseError::fail(error.to_string()))?;
    let sql = query(&filter);
    let mut statement = connection.prepare(&sql).unwrap_or_else(|error| panic!("{error}\n{sql}"));
    let batches: Vec<RecordBatch> = statement.query_arrow([]).expect("rows").collect();
    let mut n_rows = 0;
    for batch in &batches {
        let row = batch.column(0).as_primitive::<Int64Type>();
        let (holds, not, unknown) = (bools(batch, 1), bools(batch, 2), bools(batch, 3));
        for i in 0..batch.num_rows() {
            let values = &rows[usize::try_from(row.value(i)).expect("a row")];
            let value_of = |name: &str| {
                let column = COLUMNS.iter().position(|(column, _)| *column == name);
                values[column.expect("a column")].clone()
            };
            let expected = fulfils(&filter, &value_of);
            let actual = (holds[i], not[i], unknown[i]);
            let expected = (expected, expected.map(|holds| !holds), Some(expected.is_none()));
            prop_assert_eq!(actual, expected, "{}\n{}\n{}\n{:?}", text, filter, sql, values);
            n_rows += 1;
        }
    }
    prop_assert_eq!(n_rows, rows.len());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn the_engine_agrees(
        rows in prop::collection::vec(row(), 1..12),
        filters in prop::collection::vec(filter(), 1..12),
    ) {
        let connection = table(&rows);
        for filter in &filters {
            check(&connection, &rows, filter)?;
        }
    }

    /// A filter is read again from its own text.
    #[test]
    fn a_filter_prints_as_it_reads(text in filter()) {
        let filter = parse(&text, &columns()).expect("a filter");
        let printed = filter.to_string();
        let again = parse(&printed, &columns());
        prop_assert_eq!(again.map(|again| again.to_string()), Ok(printed));
    }
}

/// Every comparison of every integer column with every number: the edges matter.
#[test]
fn every_number_with_every_integer() {
    let value = |number: i128, ty: ScalarType| {
        let bits = ty.name().trim_start_matches(|c: char| !c.is_ascii_digit()).parse::<u32>();
        let size = 1_i128 << bits.ok()?;
        let range = if ty.name().starts_with('U') { 0..size } else { -size / 2..size / 2 };
        range.contains(&number).then_some(Value::Int(number))
    };
    let cell = |number, (name, ty)| INTS.contains(&name).then(|| value(number, ty)).flatten();
    let rows: Vec<Row> =
        NUMBERS.map(|number| COLUMNS.map(|column| cell(number, column)).to_vec()).to_vec();
    let connection = table(&rows);
    for name in INTS {
        for number in NUMBERS.iter().map(i128::to_string).chain(WITH_POINT.map(str::to_owned)) {
            for op in ["=", "<>", "<", "<=", ">", ">="] {
                let text = format!("{name} {op} {number}");
                if let Err(error) = check(&connection, &rows, &text) {
                    panic!("{error}");
                }
            }
        }
    }
}
