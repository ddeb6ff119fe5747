//! Every statement against the engine itself.

#[path = "../../../metaxy-sql/tests/plans/mod.rs"]
mod cases;

use metaxy_sql::ast::Statement;
use metaxy_sql::dialect::Postgres;
use metaxy_sql::print;
use metaxy_tests::databases::Database;
use sqlx::{Connection, PgConnection};

async fn run(connection: &mut PgConnection, sql: String, of: &str) {
    let ran = sqlx::raw_sql(sqlx::AssertSqlSafe(sql.clone())).execute(connection).await;
    ran.unwrap_or_else(|error| panic!("{of}: {error}\n{sql}"));
}

/// Every statement is understood by the engine, and the tables that they make are the ones that they
/// read.
#[tokio::test]
async fn every_statement_can_be_explained() {
    let database = Database::postgres().await;
    let mut connection = PgConnection::connect(&database.url()).await.expect("a connection");
    let text = |statement: &Statement| print(statement, &Postgres).expect("a text");
    for statement in cases::tables().expect("names that can be written") {
        run(&mut connection, text(&statement), "tables").await;
    }
    let of_python = "CREATE TABLE example__video_of_python AS SELECT * FROM example__video; \
                     ALTER TABLE example__video_of_python DROP COLUMN metaxy_write_token";
    run(&mut connection, of_python.to_owned(), "a table of Python").await;
    let mut n_explained = 0;
    for case in cases::cases().expect("names that can be written") {
        if case.name == "tables" {
            continue;
        }
        let of = format!("{}\n{}", case.name, case.plan);
        for statement in &case.statements {
            if let Some(before) = cases::before(statement) {
                run(&mut connection, text(&before), &of).await;
            }
            let sql = text(statement);
            if let Statement::Refuse { .. } = statement {
                let ran = sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut connection).await;
                let error = ran.expect_err("a refusal").to_string();
                assert!(error.contains(cases::REFUSAL), "{error}");
                continue;
            }
            let is_run = cases::changes_tables(statement);
            run(&mut connection, if is_run { sql } else { format!("EXPLAIN {sql}") }, &of).await;
            n_explained += 1;
        }
    }
    assert!(n_explained >= 60, "{n_explained} statements");
}
