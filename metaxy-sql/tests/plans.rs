//! The text of plans and of the statements that they become, as a change to either shows it.

#[path = "plans/mod.rs"]
mod cases;

use metaxy_sql::dialect::{DuckDb, Postgres};
use metaxy_sql::{Dialect, print};

/// Snapshots of DuckDB have the name of the case, those of the others are told apart by theirs.
const DIALECTS: [(&str, &dyn Dialect); 2] = [("", &DuckDb), (".postgres", &Postgres)];

#[test]
fn plans_and_their_statements() {
    let cases = cases::cases().expect("names that can be written");
    for (case, (suffix, dialect)) in cases.iter().flat_map(|case| DIALECTS.map(|of| (case, of))) {
        let statements = case.statements.iter().map(|statement| match print(statement, dialect) {
            Ok(text) => text + ";\n",
            Err(error) => format!("error: {error}\n"),
        });
        let statements: Vec<String> = statements.collect();
        let mut text = String::new();
        if !case.plan.is_empty() {
            text += &format!("{}\n", case.plan);
        }
        match statements.as_slice() {
            [] => text += "no statement: there is nothing to ask\n",
            statements => text += &statements.join("\n"),
        }
        insta::assert_snapshot!(format!("{}{suffix}", case.name), text);
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
