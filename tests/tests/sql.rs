//! Statements, names and values against the engine itself.

#[path = "../../metaxy-sql/tests/plans/mod.rs"]
mod cases;

use duckdb::Connection;
use metaxy::arrow::array::{Array, AsArray, RecordBatch};
use metaxy::conformance::texts;
use metaxy_sql::ast::{Expr, Query, Select, Statement};
use metaxy_sql::dialect::DuckDb;
use metaxy_sql::{Ident, Literal, print};
use proptest::prelude::*;

fn connection() -> Connection {
    Connection::open_in_memory().expect("a database")
}

fn run(connection: &Connection, sql: &str) -> RecordBatch {
    let mut statement = connection.prepare(sql).expect(sql);
    let batches: Vec<RecordBatch> = statement.query_arrow([]).expect(sql).collect();
    batches.into_iter().next().expect(sql)
}

/// Every statement is understood by the engine, and the tables that they make are the ones that they
/// read.
#[test]
fn every_statement_can_be_explained() {
    let connection = connection();
    let text = |statement: &Statement| print(statement, &DuckDb).expect("a text");
    for statement in cases::tables().expect("names that can be written") {
        run_batch(&connection, &text(&statement));
    }
    run_batch(
        &connection,
        "CREATE TABLE example__video_of_python AS SELECT * EXCLUDE (metaxy_data_version_by_field, \
         metaxy_provenance_by_field, metaxy_write_token), \
         {'audio': '1'} AS metaxy_data_version_by_field, \
         {'audio': '1'} AS metaxy_provenance_by_field FROM example__video",
    );
    let mut n_explained = 0;
    for case in cases::cases().expect("names that can be written") {
        if case.name == "tables" {
            continue;
        }
        for statement in &case.statements {
            let sql = text(statement);
            let explained =
                connection.prepare(&format!("EXPLAIN {sql}")).and_then(|mut explain| {
                    Ok(explain.query_arrow([])?.map(|batch| batch.num_rows()).sum::<usize>())
                });
            let explained = explained
                .unwrap_or_else(|error| panic!("{}: {error}\n{}\n{sql}", case.name, case.plan));
            assert!(explained > 0, "{}", case.name);
            n_explained += 1;
            // What comes after it may read the table that it makes.
            if matches!(statement, Statement::CreateTemporaryAs { .. }) {
                run_batch(&connection, &sql);
            }
        }
    }
    assert!(n_explained >= 18, "{n_explained} statements");
}

fn run_batch(connection: &Connection, sql: &str) {
    connection.execute_batch(sql).expect(sql);
}

fn select(text: &str, name: Ident) -> Statement {
    let literal = Expr::Literal(Literal::Text(text.to_owned()));
    let select = Select { columns: vec![(literal, name)], ..Select::default() };
    Statement::Query(Query { with: Vec::new(), union_all: vec![select] })
}

fn assert_unchanged(connection: &Connection, value: &str, name: &str) {
    let statement = select(value, Ident::new(name).expect("a name"));
    let sql = print(&statement, &DuckDb).expect("a text");
    let batch = run(connection, &sql);
    assert_eq!(batch.num_columns(), 1, "{sql}");
    assert_eq!(batch.schema().field(0).name(), name, "{sql}");
    let column = batch.column(0).as_string::<i32>();
    assert_eq!((column.len(), column.value(0)), (1, value), "{sql}");
}

#[test]
fn what_hurts_elsewhere_goes_through_unchanged() {
    let connection = connection();
    let long = "n".repeat(60);
    for text in [
        "'",
        "\"",
        "''",
        "\"\"",
        "\\",
        "\\'",
        "\\\"",
        "a\nb",
        "a\r\nb",
        "\t",
        "\u{1F980}",
        "$1",
        "$$",
        "{x:String}",
        "?",
        ":name",
        "%s",
        "; DROP TABLE a; --",
        "/* */",
        "NULL",
        " ",
        "\u{feff}",
        "\u{202e}",
        "E'\\n'",
        "U&'\\0041'",
        "x'00'",
        "@stage",
        &long,
    ] {
        assert_unchanged(&connection, text, text);
    }
    assert_unchanged(&connection, "", "the empty text is a value");
}

#[test]
fn what_no_engine_takes_is_refused_alike() {
    for text in ["\0", "a\0b", "'\0"] {
        let name = Ident::new(text).expect_err("a name").to_string();
        let shown = text.escape_debug();
        assert_eq!(name, format!("`{shown}` cannot be an identifier: it holds a NUL character"));
        let statement = select(text, Ident::new("x").expect("a name"));
        assert_eq!(
            print(&statement, &DuckDb).expect_err("a value").to_string(),
            "a text value cannot be stored: it holds a NUL character"
        );
    }
    assert_eq!(
        Ident::new("").expect_err("a name").to_string(),
        "`` cannot be an identifier: it is empty"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn names_and_values_go_through_unchanged(
        texts in proptest::collection::vec((texts::random(0..10), texts::random(1..10)), 20),
    ) {
        let connection = connection();
        for (value, name) in texts.iter().filter(|(_, name)| !name.is_empty()) {
            assert_unchanged(&connection, value, name);
        }
    }

    #[test]
    fn times_go_through_unchanged(micros in -62_135_596_800_000_000_i64..253_402_300_800_000_000) {
        let literal = Expr::Literal(Literal::Timestamp(micros));
        let name = Ident::new("t").expect("a name");
        let select = Select { columns: vec![(literal, name)], ..Select::default() };
        let query = Query { with: Vec::new(), union_all: vec![select] };
        let sql = print(&Statement::Query(query), &DuckDb).expect("a text");
        let batch = run(&connection(), &format!("SELECT epoch_us(t)::BIGINT AS t FROM ({sql})"));
        let column = batch.column(0).as_primitive::<metaxy::arrow::datatypes::Int64Type>();
        prop_assert_eq!(column.value(0), micros);
    }
}
