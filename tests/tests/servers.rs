//! The servers that other tests stand on: a database each, and what a stopped server still knows.

use metaxy_tests::databases::{Database, Engine, own_server};

async fn check_a_database_is_ones_own(engine: Engine, new: impl AsyncFn() -> Database) {
    let (one, other) = (new().await, new().await);
    assert_ne!(one.url(), other.url());
    create(engine, &one).await;
    one.execute("INSERT INTO t VALUES ('one')").await;
    create(engine, &other).await;
    assert_eq!(one.texts("SELECT a FROM t").await, ["one"]);
    assert!(other.texts("SELECT a FROM t").await.is_empty());

    let databases = match engine {
        Engine::Postgres => "SELECT datname::text FROM pg_database",
        Engine::ClickHouse => "SELECT name FROM system.databases",
    };
    let name = one.url().split('?').next().unwrap().rsplit('/').next().unwrap().to_owned();
    assert!(other.texts(databases).await.contains(&name));
    drop(one);
    assert!(!other.texts(databases).await.contains(&name));
}

async fn check_a_stopped_server_keeps_its_data(engine: Engine) {
    let mut server = own_server(engine);
    let url = server.url().to_owned();
    let database = Database::on(engine, &url).await;
    create(engine, &database).await;
    database.execute("INSERT INTO t VALUES ('before')").await;

    server.stop();
    let refused = std::panic::AssertUnwindSafe(database.texts("SELECT a FROM t"));
    assert!(futures::FutureExt::catch_unwind(refused).await.is_err(), "something still answers");

    server.start().unwrap();
    assert_eq!(server.url(), url);
    database.execute("INSERT INTO t VALUES ('after')").await;
    assert_eq!(database.texts("SELECT a FROM t ORDER BY a").await, ["after", "before"]);
}

async fn create(engine: Engine, database: &Database) {
    database
        .execute(match engine {
            Engine::Postgres => "CREATE TABLE t (a TEXT)",
            Engine::ClickHouse => "CREATE TABLE t (a String) ENGINE = MergeTree ORDER BY a",
        })
        .await;
}

#[tokio::test]
async fn a_database_of_postgres_is_ones_own() {
    check_a_database_is_ones_own(Engine::Postgres, Database::postgres).await;
}

#[tokio::test]
async fn a_database_of_clickhouse_is_ones_own() {
    check_a_database_is_ones_own(Engine::ClickHouse, Database::clickhouse).await;
}

#[tokio::test]
async fn a_postgres_that_was_stopped_keeps_its_data() {
    check_a_stopped_server_keeps_its_data(Engine::Postgres).await;
}

#[tokio::test]
async fn a_clickhouse_that_was_stopped_keeps_its_data() {
    check_a_stopped_server_keeps_its_data(Engine::ClickHouse).await;
}
