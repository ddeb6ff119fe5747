//! The text of plans and of the statements that they become, as a change to either shows it.

#[path = "plans/mod.rs"]
mod cases;

use metaxy_sql::ast::Statement;
use metaxy_sql::dialect::{ClickHouse, Dialect, DuckDb, Postgres};
use metaxy_sql::{Ident, lower, print};

/// The text of a statement as a store would run it.
fn text(statement: &Statement, dialect: &dyn Dialect) -> String {
    let print = |statement: &Statement| {
        print(statement, dialect).unwrap_or_else(|error| panic!("{error}: {statement:?}"))
    };
    let into = Ident::new("@found").expect("a name");
    let steps =
        (!dialect.deletes_with_queries()).then(|| lower::found(statement.clone(), &into)).flatten();
    match steps {
        None => print(statement),
        Some(steps) => steps.each_ref().map(print).join(";\n\n"),
    }
}

#[test]
fn plans_and_their_statements() {
    let cases = cases::cases().expect("names that can be written");
    let dialects: [(&str, &dyn Dialect); 3] =
        [("", &DuckDb), ("postgres_", &Postgres), ("clickhouse_", &ClickHouse)];
    for (case, (prefix, dialect)) in cases.iter().flat_map(|c| dialects.map(|d| (c, d))) {
        let statements = case.statements.iter().map(|statement| text(statement, dialect) + ";\n");
        let statements: Vec<String> = statements.collect();
        let mut text = String::new();
        if !case.plan.is_empty() {
            text += &format!("{}\n", case.plan);
        }
        match statements.as_slice() {
            [] => text += "no statement: there is nothing to ask\n",
            statements => text += &statements.join("\n"),
        }
        insta::assert_snapshot!(format!("{prefix}{}", case.name), text);
    }
    let mut names: Vec<_> = cases.iter().map(|case| case.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), cases.len(), "two cases with one name share a snapshot");
}

/// A statement is the same whenever it is made: it is compared, logged and cached by its text.
#[test]
fn statements_are_the_same_every_time() {
    let texts = || {
        let cases = cases::cases().expect("names that can be written");
        let statements = cases.into_iter().flat_map(|case| case.statements);
        statements.map(|s| print(&s, &DuckDb).expect("a text")).collect::<Vec<_>>()
    };
    assert_eq!(texts(), texts());
}

/// Names that are quoted and values that are escaped stand in every statement as they were given.
#[test]
fn values_are_escaped_where_they_stand() {
    let cases = cases::cases().expect("names that can be written");
    let of = |name: &str| {
        let case = cases.iter().find(|case| case.name == name).expect("a case");
        print(&case.statements[0], &DuckDb).expect("a text")
    };
    assert!(of("append").contains("'it''s run 7'"));
    let two = of("resolve_two_upstreams");
    assert!(two.contains("'it''s \"2\"'") && two.contains("\"begins at\""), "{two}");
}
