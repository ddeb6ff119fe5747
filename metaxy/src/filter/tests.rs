//! What the language has, what it means, and what its mistakes look like.

use super::*;
use metaxy_sql::ScalarType;
use proptest::prelude::*;

fn columns() -> Vec<Column> {
    use ScalarType as S;
    let known = [
        ("tiny", S::Int8),
        ("n", S::Int64),
        ("big", S::UInt64),
        ("x", S::Float64),
        ("title", S::Text),
        ("other", S::Text),
        ("ok", S::Bool),
        ("day", S::Date),
        ("at", S::Timestamp),
        ("uid", S::Uuid),
        ("raw", S::Bytes),
        ("a.b", S::Int64),
        ("the \"name\"", S::Int64),
        ("date", S::Date),
        ("case", S::Int32),
    ];
    let mut columns: Vec<_> = known
        .map(|(name, ty)| Column { name: name.to_owned(), ty: Some(ty.into()) })
        .into_iter()
        .collect();
    columns.push(Column { name: "tags".to_owned(), ty: Some(ColumnType::List(ScalarType::Text)) });
    columns.push(Column { name: "any".to_owned(), ty: None });
    columns
}

#[track_caller]
fn reads(text: &str, expected: &str) {
    match parse(text, &columns()) {
        Ok(filter) => assert_eq!(filter.to_string(), expected, "{text}"),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn comparisons() {
    for op in ["=", "==", "<>", "!=", "<", "<=", ">", ">="] {
        let canonical = op.replace("==", "=").replace("!=", "<>");
        reads(&format!("n {op} 3"), &format!("\"n\" {canonical} 3"));
    }
    reads("3 < n", "\"n\" > 3");
    reads("n = -3", "\"n\" = -3");
    reads("n = -(-3)", "\"n\" = 3");
    reads("x >= 2.50", "\"x\" >= 2.5");
    reads("x < 1e6 ", "\"x\" < 1000000.0");
    reads("x = .5", "\"x\" = 0.5");
    reads("title = 'it''s'", "\"title\" = 'it''s'");
    reads("title < other", "\"title\" < \"other\"");
    reads("tiny = big", "\"tiny\" = \"big\"");
    reads("ok = TRUE", "\"ok\" = TRUE");
    reads("any > 3", "\"any\" > 3");
    reads("any > 2.5", "\"any\" > 2.5");
}

#[test]
fn conditions() {
    reads("ok", "\"ok\"");
    reads("NOT ok", "(NOT \"ok\")");
    reads("any", "\"any\"");
    reads("TRUE", "TRUE");
    reads("n > 1 AND n < 3 OR ok", "((\"n\" > 1 AND \"n\" < 3) OR \"ok\")");
    reads("n > 1 and (n < 3 or not ok)", "(\"n\" > 1 AND (\"n\" < 3 OR (NOT \"ok\")))");
    reads("NOT n = 3 AND ok", "((NOT \"n\" = 3) AND \"ok\")");
    reads("ok AND ok AND ok AND ok", "((\"ok\" AND \"ok\") AND (\"ok\" AND \"ok\"))");
}

#[test]
fn null() {
    reads("n IS NULL", "\"n\" IS NULL");
    reads("n IS NOT NULL", "(NOT \"n\" IS NULL)");
    reads("n = NULL", "\"n\" IS NULL");
    reads("NULL = n", "\"n\" IS NULL");
    reads("n != NULL", "(NOT \"n\" IS NULL)");
    reads("raw IS NULL OR tags IS NULL", "(\"raw\" IS NULL OR \"tags\" IS NULL)");
    reads("ok IS TRUE", "((NOT \"ok\" IS NULL) AND \"ok\")");
    reads("ok IS NOT FALSE", "(NOT ((NOT \"ok\" IS NULL) AND (NOT \"ok\")))");
    reads("(n > 3) IS FALSE", "((NOT \"n\" IS NULL) AND (NOT \"n\" > 3))");
    reads(
        "(n > 3 OR ok) IS FALSE",
        "(((NOT \"n\" IS NULL) AND (NOT \"n\" > 3)) AND ((NOT \"ok\" IS NULL) AND (NOT \"ok\")))",
    );
}

#[test]
fn lists_ranges_and_patterns() {
    reads("n IN (1, -2)", "\"n\" IN (1, -2)");
    reads("title NOT IN ('a')", "(NOT \"title\" IN ('a'))");
    reads("n BETWEEN 1 AND 3", "(\"n\" >= 1 AND \"n\" <= 3)");
    reads("n NOT BETWEEN 1 AND 3 AND ok", "((NOT (\"n\" >= 1 AND \"n\" <= 3)) AND \"ok\")");
    reads("2 BETWEEN tiny AND n", "(\"tiny\" <= 2 AND \"n\" >= 2)");
    reads("title LIKE '%.mp_'", "\"title\" LIKE '%.mp_'");
    reads(r"title LIKE '\%\a\\'", r#""title" LIKE '\%a\\'"#);
    reads("title NOT LIKE 'a!%' ESCAPE '!'", r#"(NOT "title" LIKE 'a\%')"#);
    reads(r"title LIKE '\_' ESCAPE ''", r#""title" LIKE '\\_'"#);
}

#[test]
fn names() {
    reads("a.b = 1", "\"a.b\" = 1");
    reads("\"a\".b = 1", "\"a.b\" = 1");
    reads("\"a.b\" = 1", "\"a.b\" = 1");
    reads("\"the \"\"name\"\"\" = 1", "\"the \"\"name\"\"\" = 1");
    reads("date = DATE '2024-01-31'", "\"date\" = DATE '2024-01-31'");
    reads("case > 1", "\"case\" > 1");
}

#[test]
fn days_times_and_uuids() {
    reads("day < DATE '2024-02-29'", "\"day\" < DATE '2024-02-29'");
    reads(
        "day IN ('2024-01-31', DATE '0001-01-01')",
        "\"day\" IN (DATE '2024-01-31', DATE '0001-01-01')",
    );
    let at = |written: &str, micros: &str| {
        reads(&format!("at < {written}"), &format!("\"at\" < TIMESTAMP '{micros}'"));
    };
    at("TIMESTAMP '2024-01-31 12:00:00'", "2024-01-31 12:00:00.000000");
    at("TIMESTAMP '2024-01-31T12:00:00.5Z'", "2024-01-31 12:00:00.500000");
    at("TIMESTAMP '2024-01-31 12:00:00.123456+02:00'", "2024-01-31 10:00:00.123456");
    at("'1969-12-31 23:59-01:30'", "1970-01-01 01:29:00.000000");
    at("DATE '2024-01-31'", "2024-01-31 00:00:00.000000");
    at("'2024-01-31'", "2024-01-31 00:00:00.000000");
    let uuid = "\"uid\" = '6f1c1b9e-0b1c-4c86-9d83-d37f8bd1a2a6'";
    reads("uid = '6F1C1B9E-0b1c-4c86-9d83-d37f8bd1a2a6'", uuid);
    reads("uid = '{6F1C1B9E0b1c4c869d83d37f8bd1a2a6}'", uuid);
}

/// Constants that no value of the column equals.
#[test]
fn constants_between_values() {
    reads("tiny < 1000", "\"tiny\" <= 127");
    reads("tiny >= 1000", "\"tiny\" > 127");
    reads("tiny = 1000", "\"tiny\" > 127");
    reads("tiny <> 1000", "\"tiny\" <= 127");
    reads("tiny > -1000", "\"tiny\" >= -128");
    reads("tiny = -1000", "\"tiny\" < -128");
    reads("big >= -1", "\"big\" >= 0");
    reads("big = 1e30", "\"big\" > 18446744073709551615");
    reads("n > 2.5", "\"n\" >= 3");
    reads("n <= -2.5", "\"n\" <= -3");
    reads("n = 2.5", "(\"n\" <= 2 AND \"n\" >= 3)");
    reads("n <> 2.5", "(\"n\" <= 2 OR \"n\" >= 3)");
    reads("n = 2.0", "\"n\" = 2");
    reads("n < 9223372036854775807.0", "\"n\" <= 9223372036854775807");
    reads("x = 9007199254740992", "\"x\" = 9007199254740992.0");
    reads("x > 9007199254740993", "\"x\" >= 9007199254740994.0");
    reads("tiny IN (1, 1000, 2.5, 3.0)", "\"tiny\" IN (1, 3)");
    reads("tiny NOT IN (1000, 2.5)", "(NOT (\"tiny\" <= 2 AND \"tiny\" >= 3))");
}

#[test]
fn constants_fold() {
    reads("1=1", "TRUE");
    reads("1 = 1.5 OR ok", "(FALSE OR \"ok\")");
    reads("NULL = NULL", "TRUE");
    reads("'a' < 'b'", "TRUE");
    reads("'abc' LIKE 'a%'", "TRUE");
    reads("2 IN (1, 2.0)", "(FALSE OR TRUE)");
    reads("1 IS NULL", "FALSE");
}

#[test]
fn unchecked() {
    let filter = parse_unchecked("what.ever > 3 AND b").expect("a filter");
    assert_eq!(filter.to_string(), "(\"what.ever\" > 3 AND \"b\")");
    assert!(parse_unchecked("a + 1 > 3").is_err());
}

#[test]
fn a_long_chain_is_no_deep_tree() {
    let chain = vec!["ok"; 500].join(" AND ");
    let filter = parse(&chain, &columns()).expect("a filter");
    assert_eq!(fulfils(&filter, &|_| Some(Value::Bool(true))), Some(true));
    let list: Vec<String> = (0..100_000).map(|i| i.to_string()).collect();
    let filter = parse(&format!("n IN ({})", list.join(",")), &columns()).expect("a filter");
    assert_eq!(fulfils(&filter, &|_| Some(Value::Int(99_999))), Some(true));
}

/// Everything that is refused, with the message and the mark.
#[test]
fn refusals() {
    let texts = [
        "",
        "  ",
        "n",
        "nn > 3",
        "N > 3",
        "duration > 3",
        "title = abc",
        "title = \"abc\"",
        "n > '3'",
        "title = 3",
        "ok = 1",
        "ok > TRUE",
        "uid > '6f1c1b9e-0b1c-4c86-9d83-d37f8bd1a2a6'",
        "uid = 'x'",
        "day = '2024-02-30'",
        "day = TIMESTAMP '2024-01-31 12:00:00'",
        "DATE '2024-1-1' = day",
        "at > TIMESTAMP '2024-01-31 25:00:00'",
        "raw = 'a'",
        "tags = 'a'",
        "tags",
        "n + 1 > 3",
        "n - 1 > 3",
        "n > 3 - 1",
        "-n > 3",
        "n * 2 = 3",
        "n % 2 = 0",
        "title || 'a' = 'b'",
        "lower(title) = 'a'",
        "count(*) > 1",
        "CAST(n AS TEXT) = '1'",
        "n::int = 1",
        "CASE WHEN n > 1 THEN ok END",
        "n IN (SELECT 1)",
        "(SELECT 1) = n",
        "EXISTS (SELECT 1)",
        "n > 1; DROP TABLE x",
        "n > 1 -- all",
        "n /* x */ > 1",
        "n = ?",
        "n = $1",
        "n = :x",
        "n = 1 2",
        "n = 1 ok",
        "n >",
        "n > 1 AND",
        "(n > 1",
        "n > 1)",
        "n IN ()",
        "n IN (1, NULL)",
        "n IN (tiny)",
        "n IN (1, ok)",
        "n IN 1",
        "NULL IN (1)",
        "n < NULL",
        "NULL",
        "3",
        "'abc'",
        "n = 1 = 2",
        "(n = 1) = ok",
        "n = (n = 1)",
        "ok IS UNKNOWN",
        "n IS 3",
        "n IS TRUE",
        "title LIKE 3",
        "n LIKE 'a'",
        "title LIKE other",
        "title LIKE 'a\\'",
        "title LIKE 'a' ESCAPE 'ab'",
        "title ILIKE 'a'",
        "title SIMILAR TO 'a'",
        "title ~ 'a'",
        "title = 'abc",
        "\"title = 'a'",
        "n = 1e999",
        "n = 999999999999999999999999999999999999999999",
        "n = 0x1F",
        "x'ab' = title",
        "n = 12L",
        "n = 1_000",
        "TIME '12:00' = at",
        "INTERVAL '1 day' = at",
        "n = x",
        "title = n",
        "any = raw",
        "n = 'a' AND",
        "1 = 'a'",
        "TRUE < FALSE",
        "(1, 2) = (1, 2)",
        "n IS DISTINCT FROM 3",
        "WHERE n = 1",
        "n = 1 ORDER BY n",
        "a[1] = 2",
        "title = 'a\u{0}b'",
        "`n` = 1",
        "n = 1,",
        "n NOT 3",
        "NOT",
        "AND",
        "n BETWEEN 1",
        "n BETWEEN NULL AND 3",
        "@n = 1",
        "n = 1 || 2",
        "title\n= \n3 AND\nok",
        "foo 'bar' = title",
        "{n: 1} = 2",
        "n -> 'a' = 1",
        "ok IS NULL IS NULL",
        "(n > 3) IS NULL",
        "ok = NULL = NULL",
        "N'x' = title",
        "U&'x' = title",
        "E'x' = title",
        "/* open",
        "😀 = 1",
        "title = '😀' AND tittle = 1",
    ];
    let mut shown = String::new();
    for text in texts {
        let error = match parse(text, &columns()) {
            Ok(filter) => panic!("{text} is read as {filter}"),
            Err(error) => error,
        };
        let span = error.span();
        assert!(text.get(span.clone()).is_some(), "{text}: {span:?}");
        shown.push_str(&format!("{error}\n\n"));
    }
    insta::assert_snapshot!(shown);
}

#[test]
fn a_mark_stands_below_its_mistake() {
    let shown = |text: &str| parse(text, &columns()).map_err(|e| e.to_string()).expect_err(text);
    assert_eq!(
        shown("title = '😀'\tAND tittle = 1"),
        "there is no column `tittle`, the nearest is `title`\n    \
         title = '😀'\tAND tittle = 1\n               \t    ^^^^^^"
    );
    // Of a long line only the part around the mistake is shown.
    let long = format!("{} AND nope", vec!["ok"; 100].join(" AND "));
    let lines = shown(&long);
    let lines: Vec<&str> = lines.lines().collect();
    assert_eq!(lines[1].trim_start().chars().count(), 67, "{lines:?}");
    assert_eq!(lines[1].find("nope"), lines[2].find("^^^^"), "{lines:?}");
}

/// On half the stack that a thread has by default.
#[test]
fn deep_nesting_is_an_error() {
    let thread = std::thread::Builder::new().stack_size(1 << 20);
    let thread = thread.spawn(nest_deeply).expect("a thread");
    thread.join().expect("no panic");
}

fn nest_deeply() {
    for (open, close) in [("(", ")"), ("NOT ", ""), ("- ", ""), ("n IN (", ")"), ("f(", ")")] {
        for n in [1, 10, 49, 60, 300, 999, 1_001, 50_000] {
            let text = format!("{}ok{}", open.repeat(n), close.repeat(n));
            let is_flat = n <= 10 && matches!(open, "(" | "NOT ");
            if n <= 10 || n >= 60 {
                assert_eq!(parse(&text, &columns()).is_ok(), is_flat, "{open} {n}");
            }
        }
    }
    for chain in [" = 1", " IS NULL", " IS TRUE", " AND ok", " IN (1)", " - 1", ".x", " NOT NULL"] {
        for n in [200, 400, 999, 50_000] {
            let text = format!("ok{}", chain.repeat(n));
            let is_flat = chain == " AND ok" && n < 500;
            assert_eq!(parse(&text, &columns()).is_ok(), is_flat, "{chain} {n}");
        }
    }
}

const SOUP: [&str; 60] = [
    "ok",
    "n",
    "x",
    "title",
    "nope",
    "\"n\"",
    "\"",
    "'",
    "'a'",
    "1",
    "2.5",
    "1e9",
    "1e999",
    "(",
    ")",
    ",",
    ".",
    "=",
    "==",
    "<>",
    "!=",
    "<",
    "<=",
    ">",
    ">=",
    "-",
    "+",
    "*",
    "/",
    "::",
    ";",
    "--",
    "/*",
    "*/",
    "$1",
    "?",
    "[",
    "]",
    "{",
    "AND",
    "OR",
    "NOT",
    "IS",
    "NULL",
    "TRUE",
    "FALSE",
    "IN",
    "BETWEEN",
    "LIKE",
    "ESCAPE",
    "DATE",
    "TIMESTAMP",
    "CASE",
    "WHEN",
    "CAST",
    "SELECT",
    "INTERVAL",
    "ARRAY",
    "\n",
    "😀",
];

proptest! {
    #[test]
    fn any_text_is_a_filter_or_an_error(text in any::<String>()) {
        if let Err(error) = parse(&text, &columns()) {
            prop_assert!(text.get(error.span()).is_some());
            prop_assert!(!error.to_string().is_empty());
        }
    }

    #[test]
    fn any_tokens_are_a_filter_or_an_error(
        tokens in prop::collection::vec(prop::sample::select(&SOUP[..]), 0..40),
        between in prop::sample::select(&[" ", ""][..]),
    ) {
        let text = tokens.join(between);
        if let Err(error) = parse(&text, &columns()) {
            prop_assert!(text.get(error.span()).is_some());
            prop_assert!(!error.to_string().is_empty());
        }
        let _ = parse_unchecked(&text);
    }
}
