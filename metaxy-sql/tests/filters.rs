//! The text of conditions that filters become.

use metaxy_sql::ast::{Expr, Query, Select, Statement};
use metaxy_sql::dialect::DuckDb;
use metaxy_sql::filter::{Comparison, Filter, Operand, Value};
use metaxy_sql::{Ident, lower, print};

fn sql(filter: &Filter) -> String {
    let ident = |name: &str| Ident::new(name).expect("a name");
    let condition = lower::filter(filter, &|name| Expr::Column(Some(ident("u")), ident(name)));
    let select = Select { columns: vec![(condition, ident("x"))], ..Select::default() };
    let query = Query { with: Vec::new(), union_all: vec![select] };
    let text = print(&Statement::Query(query), &DuckDb).expect("a text");
    let text = text.trim_start_matches("SELECT").trim_end_matches("AS \"x\"");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn column(name: &str) -> Operand {
    Operand::Column(name.to_owned())
}

fn compare(name: &str, op: Comparison, value: Value) -> Filter {
    Filter::Compare { left: column(name), op, right: Operand::Constant(value) }
}

#[test]
fn constants_keep_their_types() {
    use Comparison as C;
    let is = |value| sql(&compare("a", C::Lt, value));
    assert_eq!(is(Value::Bool(true)), r#""u"."a" < TRUE"#);
    assert_eq!(is(Value::Int(-3)), r#""u"."a" < -3"#);
    assert_eq!(is(Value::Int(u64::MAX.into())), r#""u"."a" < 18446744073709551615"#);
    assert_eq!(is(Value::Float(0.1)), r#""u"."a" < CAST('0.1' AS DOUBLE)"#);
    assert_eq!(is(Value::Float(1e300)), r#""u"."a" < CAST('1e300' AS DOUBLE)"#);
    assert_eq!(is(Value::Text("it's".to_owned())), r#""u"."a" < 'it''s'"#);
    assert_eq!(is(Value::Date(19_753)), r#""u"."a" < DATE '2024-01-31'"#);
    assert_eq!(is(Value::Timestamp(-1)), r#""u"."a" < make_timestamptz(-1)"#);
}

#[test]
fn conditions_keep_their_order() {
    use Comparison as C;
    let a = || Box::new(compare("a", C::GtEq, Value::Int(1)));
    let or = || Box::new(Filter::Or(a(), Box::new(Filter::Bool(column("ok")))));
    assert_eq!(
        sql(&Filter::And(or(), Box::new(Filter::Not(or())))),
        r#"("u"."a" >= 1 OR "u"."ok") AND NOT ("u"."a" >= 1 OR "u"."ok")"#
    );
    let list = vec![Value::Int(1), Value::Int(-2)];
    let is_in = Filter::In { value: column("a"), list };
    assert_eq!(sql(&Filter::Not(Box::new(is_in))), r#"NOT "u"."a" IN (1, -2)"#);
    let days = vec![Value::Date(0), Value::Date(1)];
    let is_in = Filter::Not(Box::new(Filter::In { value: column("a"), list: days }));
    assert_eq!(sql(&is_in), r#"NOT ("u"."a" = DATE '1970-01-01' OR "u"."a" = DATE '1970-01-02')"#);
    let is_null = Box::new(Filter::IsNull(column("a")));
    assert_eq!(sql(&Filter::Not(is_null)), r#""u"."a" IS NOT NULL"#);
}

/// A backslash stands where a pattern needs one and nowhere else.
#[test]
fn patterns_are_escaped() {
    let like =
        |pattern: &str| sql(&Filter::Like { value: column("a"), pattern: pattern.to_owned() });
    assert_eq!(like(r"a\%_\'\"), r#"("u"."a" LIKE 'a\%_''\\' ESCAPE '\')"#);
}
