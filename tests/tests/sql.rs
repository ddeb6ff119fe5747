//! Statements of DuckDB, and names and values of every dialect, against the engines themselves.

#[path = "../../metaxy-sql/tests/plans/mod.rs"]
mod cases;

use duckdb::Connection;
use metaxy::arrow::array::{ArrayRef, AsArray, RecordBatch};
use metaxy::arrow::datatypes::FieldRef;
use metaxy::conformance::texts::{self, HURTFUL};
use metaxy_sql::ast::{Expr, Query, Select, Statement};
use metaxy_sql::dialect::DuckDb;
use metaxy_sql::{Dialect, Ident, Literal, print};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

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
    let growing = cases::of_growing_addresses().expect("names that can be written");
    for statement in growing.iter().filter(|case| case.name == "watermark_tables") {
        statement.statements.iter().for_each(|s| run_batch(&connection, &text(s)));
    }
    let all = cases::cases().expect("names that can be written");
    for case in all.into_iter().chain(growing) {
        if case.name == "tables" || case.name == "watermark_tables" {
            continue;
        }
        for statement in &case.statements {
            if let Some(before) = cases::before(statement) {
                run_batch(&connection, &text(&before));
            }
            let sql = text(statement);
            n_explained += 1;
            if let Statement::Refuse { .. } = statement {
                let error = connection.execute_batch(&sql).expect_err("a refusal").to_string();
                assert!(error.contains(cases::REFUSAL), "{error}");
                continue;
            }
            let explained =
                connection.prepare(&format!("EXPLAIN {sql}")).and_then(|mut explain| {
                    Ok(explain.query_arrow([])?.map(|batch| batch.num_rows()).sum::<usize>())
                });
            let explained = explained
                .unwrap_or_else(|error| panic!("{}: {error}\n{}\n{sql}", case.name, case.plan));
            assert!(explained > 0, "{}", case.name);
            if cases::changes_tables(statement) {
                run_batch(&connection, &sql);
            }
        }
    }
    assert!(n_explained >= 60, "{n_explained} statements");
}

fn run_batch(connection: &Connection, sql: &str) {
    connection.execute_batch(sql).expect(sql);
}

fn select(columns: impl IntoIterator<Item = (String, Ident)>) -> Statement {
    let columns =
        columns.into_iter().map(|(text, name)| (Expr::Literal(Literal::Text(text)), name));
    let select = Select { columns: columns.collect(), ..Select::default() };
    Statement::Query(Query { with: Vec::new(), union_all: vec![select] })
}

/// What an engine gives for a query: the name and the text of each column of its only row.
type Ask<'a> = &'a dyn Fn(&str) -> Vec<(String, String)>;

/// Asks for these values under these names, all at once.
fn assert_unchanged(ask: Ask<'_>, dialect: &dyn Dialect, columns: &[(String, String)]) {
    let named = columns
        .iter()
        .map(|(name, text)| (text.clone(), Ident::new(name.clone()).expect("a name")));
    let sql = print(&select(named), dialect).expect("a text");
    assert_eq!(ask(&sql), columns, "{sql}");
}

/// The texts that hurt, and random ones, as values and as names.
fn names_and_values(ask: Ask<'_>, dialect: &dyn Dialect) {
    let hurtful = HURTFUL.iter().map(|text| ((*text).to_owned(), (*text).to_owned()));
    let empty = ("the empty text is a value".to_owned(), String::new());
    assert_unchanged(ask, dialect, &hurtful.chain([empty]).collect::<Vec<_>>());
    let longest = dialect.max_ident_bytes().unwrap_or(usize::MAX);
    let config = Config { failure_persistence: None, ..Config::default() };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let name = texts::random(1..10).prop_filter("a length", |name| name.len() <= longest);
    let columns = proptest::collection::vec((name, texts::random(0..10)), 20);
    for _ in 0..32 {
        let mut columns = columns.new_tree(&mut runner).expect("texts").current();
        columns.sort();
        columns.dedup_by(|(a, _), (b, _)| a == b);
        assert_unchanged(ask, dialect, &columns);
    }
}

#[test]
fn names_and_values_go_through_duckdb() {
    let connection = connection();
    let ask = |sql: &str| {
        let batch = run(&connection, sql);
        let schema = batch.schema();
        let columns = schema.fields().iter().zip(batch.columns());
        let text = |(field, column): (&FieldRef, &ArrayRef)| {
            (field.name().clone(), column.as_string::<i32>().value(0).to_owned())
        };
        columns.map(text).collect()
    };
    names_and_values(&ask, &DuckDb);
}

#[cfg(feature = "servers")]
mod on_servers {
    use super::*;
    use metaxy_sql::dialect::{ClickHouse, Postgres};
    use metaxy_tests::databases::Database;

    fn names_and_values_go_through(
        database: impl Future<Output = Database>,
        dialect: &dyn Dialect,
    ) {
        let runtime = metaxy_tests::runtime();
        let database = runtime.block_on(database);
        names_and_values(&|sql: &str| runtime.block_on(database.named_texts(sql)), dialect);
    }

    #[test]
    fn names_and_values_go_through_postgres() {
        names_and_values_go_through(Database::postgres(), &Postgres);
    }

    #[test]
    fn names_and_values_go_through_clickhouse() {
        names_and_values_go_through(Database::clickhouse(), &ClickHouse::ON_ONE_MACHINE);
    }
}

#[test]
fn what_no_engine_takes_is_refused_alike() {
    for text in ["\0", "a\0b", "'\0"] {
        let name = Ident::new(text).expect_err("a name").to_string();
        let shown = text.escape_debug();
        assert_eq!(name, format!("`{shown}` cannot be an identifier: it holds a NUL character"));
        let statement = select([(text.to_owned(), Ident::new("x").expect("a name"))]);
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
