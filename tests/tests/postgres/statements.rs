//! Every statement against the engine itself.

#[path = "../../../metaxy-sql/tests/plans/mod.rs"]
mod cases;

use metaxy_sql::ast::Statement;
use metaxy_sql::dialect::Postgres;
use metaxy_sql::print;
use metaxy_tests::databases::Database;
use sqlx::{Connection, PgConnection};

/// Every statement is understood by the engine, and the tables that they make are the ones that they
/// read.
#[tokio::test]
async fn every_statement_can_be_explained() {
    let database = Database::postgres().await;
    let mut connection = PgConnection::connect(&database.url()).await.expect("a connection");
    let mut run = async |sql: String, of: &str| {
        let ran = sqlx::raw_sql(sqlx::AssertSqlSafe(sql.clone())).execute(&mut connection).await;
        ran.unwrap_or_else(|error| panic!("{of}: {error}\n{sql}"));
    };
    let text = |statement: &Statement| print(statement, &Postgres).expect("a text");
    for statement in cases::tables().expect("names that can be written") {
        run(text(&statement), "tables").await;
    }
    let of_python = "CREATE TABLE example__video_of_python AS SELECT * FROM example__video; \
                     ALTER TABLE example__video_of_python DROP COLUMN metaxy_write_token";
    run(of_python.to_owned(), "a table of Python").await;
    let mut n_explained = 0;
    for case in cases::cases().expect("names that can be written") {
        if case.name == "tables" {
            continue;
        }
        let of = format!("{}\n{}", case.name, case.plan);
        for statement in &case.statements {
            if let Some(before) = cases::before(statement) {
                run(text(&before), &of).await;
            }
            // Not all that makes something can be explained; what comes after it may read it.
            let makes = matches!(
                statement,
                Statement::CreateTemporaryAs { .. }
                    | Statement::CreateTable { .. }
                    | Statement::DropTemporary { .. }
            );
            let sql = text(statement);
            run(if makes { sql } else { format!("EXPLAIN {sql}") }, &of).await;
            n_explained += 1;
        }
    }
    assert!(n_explained >= 40, "{n_explained} statements");
}
