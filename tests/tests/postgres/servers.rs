//! Timeouts, connections that break, servers that stop; pools of the user and schemas.

use super::{Crop, Source, Video, compute, graph, open, videos};
use metaxy::prelude::*;
use metaxy::{Error, Store};
use metaxy_tests::databases::{Database, Engine, own_server};
use std::time::Duration;

#[tokio::test]
async fn a_statement_that_takes_too_long_leaves_nothing() {
    let database = Database::postgres().await;
    open(&database).await.sync(videos(50_000, "1")).await.expect("a sync");
    let store = Store::open(database.url()).graph(graph()).create_tables(true);
    let store = store.statement_timeout(Duration::from_millis(20)).await.expect("a store");
    let error = store.count_update::<Crop>().await.expect_err("too long").to_string();
    assert!(
        error.contains("statement_timeout") && error.contains("nothing was changed"),
        "{error}"
    );
    let error = store.sync(videos(50_000, "2")).await.expect_err("too long").to_string();
    assert!(error.contains("statement_timeout"), "{error}");

    // The address says the same. The repeated call succeeds with more time.
    let url = database.url();
    let and = if url.contains('?') { '&' } else { '?' };
    let store = super::open_at(&format!("{url}{and}statement_timeout=60s")).await;
    let versions = "SELECT count(*)::text FROM pg__video";
    assert_eq!(database.texts(versions).await, ["50000"]);
    assert_eq!(store.count_update::<Crop>().await.expect("counts").new, 50_000);
    assert_eq!(store.sync(videos(50_000, "2")).await.expect("a sync").written.rows, 50_000);
}

/// Ends all other connections to the database.
async fn kill(database: &Database) -> usize {
    let others = "SELECT pg_terminate_backend(pid)::text FROM pg_stat_activity \
                  WHERE datname = current_database() AND pid <> pg_backend_pid()";
    database.texts(others).await.len()
}

#[tokio::test]
async fn a_connection_that_is_killed_in_the_middle_of_a_write_leaves_nothing() {
    let database = Database::postgres().await;
    let store = open(&database).await;
    store.sync(videos(10, "1")).await.expect("a sync");
    let mut out = store.writer::<Video>();
    for video in videos(20_000, "2") {
        out.push(video).await.expect("a record");
    }
    assert!(kill(&database).await > 0);
    // It may have been staged in memory until now, and then there is nothing to lose.
    match out.commit().await {
        Ok(committed) => assert_eq!(committed.rows, 20_000),
        Err(error) => {
            assert!(error.is_transient(), "{error}");
            assert!(error.to_string().contains("repeat the call"), "{error}");
            assert_eq!(database.texts("SELECT count(*)::text FROM pg__video").await, ["10"]);
            let again = store.sync(videos(20_000, "2")).await.expect("the same store");
            assert_eq!(again.written.rows, 20_000);
        }
    }
    assert_eq!(database.texts("SELECT count(*)::text FROM pg__video").await, ["20010"]);
}

#[tokio::test]
async fn a_connection_that_is_killed_in_the_middle_of_an_increment_is_an_error_of_the_stream() {
    let database = Database::postgres().await;
    let store = open(&database).await;
    store.sync(videos(200_000, "1")).await.expect("a sync");
    let increment = store.resolve_update::<Crop>().await.expect("an increment");
    assert_eq!(increment.counts().new, 200_000);
    let mut jobs = increment.jobs::<Source>();
    assert!(jobs.try_next().await.expect("a job").is_some());
    assert!(kill(&database).await > 0);
    let mut n_jobs = 1;
    let error = loop {
        match jobs.try_next().await {
            Ok(Some(_)) => n_jobs += 1,
            Ok(None) => panic!("the increment ends early, after {n_jobs} jobs, and looks whole"),
            Err(error) => break error,
        }
    };
    assert!(error.is_transient(), "{error}");
    assert_eq!(store.count_update::<Crop>().await.expect("the same store").new, 200_000);
}

#[tokio::test]
async fn a_server_that_was_stopped_is_found_again() {
    let mut server = own_server(Engine::Postgres);
    let database = Database::on(Engine::Postgres, server.url()).await;
    let store = open(&database).await;
    store.sync(videos(100, "1")).await.expect("a sync");
    let mut out = store.writer::<Video>();
    out.push(super::video("new", "1")).await.expect("a record");
    server.stop();
    let error = out.commit().await.expect_err("no server");
    assert!(error.is_transient(), "{error}");
    let error = store.count_update::<Crop>().await.expect_err("no server");
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
    server.start().expect("the server again");
    assert_eq!(store.count_update::<Crop>().await.expect("counts").new, 100);
    assert_eq!(compute(&store).await.expect("crops"), 100);
}

#[tokio::test]
async fn a_pool_of_the_user_is_given_back_as_it_was() {
    let database = Database::postgres().await;
    database.execute("CREATE SCHEMA \"my \"\"own\"\"\"").await;
    let url = database.url();
    let pool = sqlx::postgres::PgPoolOptions::new().max_connections(3).connect(&url);
    let pool = pool.await.expect("a pool");
    let settings = "SELECT concat_ws(' ', current_setting('jit'), current_setting('search_path'), \
                    current_setting('statement_timeout'), (SELECT count(*) FROM pg_class WHERE \
                    relpersistence = 't'))";
    let look = || async { sqlx::query_scalar::<_, String>(settings).fetch_one(&pool).await };
    let before = look().await.expect("settings");

    let store = Store::from_pool(pool.clone()).graph(graph()).create_tables(true);
    let store = store.schema("my \"own\"").statement_timeout(Duration::from_secs(60));
    let store = store.await.expect("a store");
    store.sync(videos(2_000, "1")).await.expect("a sync");
    assert_eq!(compute(&store).await.expect("crops"), 2_000);
    // A stream that nobody reads to its end.
    let mut rows = store.read::<Video>().stream().await.expect("a stream");
    assert!(rows.try_next().await.expect("a record").is_some());
    drop(rows);
    // Connections are cleaned on their way back.
    for _ in 0..100 {
        if pool.num_idle() == pool.size() as usize && pool.size() > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for _ in 0..5 {
        assert_eq!(look().await.expect("settings"), before);
    }
    let schemas =
        "SELECT DISTINCT schemaname::text FROM pg_tables WHERE tablename LIKE 'pg\\_\\_%'";
    assert_eq!(database.texts(schemas).await, ["my \"own\""]);
}

#[tokio::test]
async fn stores_in_two_schemas_of_one_database_know_nothing_of_each_other() {
    let database = Database::postgres().await;
    database.execute("CREATE SCHEMA one; CREATE SCHEMA other").await;
    let url = database.url();
    let and = if url.contains('?') { '&' } else { '?' };
    let one = super::open_at(&format!("{url}{and}schema=one")).await;
    let other = super::open_at(&format!("{url}{and}schema=other")).await;
    one.sync(videos(3, "1")).await.expect("a sync");
    other.sync(videos(5, "1")).await.expect("a sync");
    assert_eq!(one.count_update::<Crop>().await.expect("counts").new, 3);
    assert_eq!(other.count_update::<Crop>().await.expect("counts").new, 5);

    let missing = Store::open(format!("{url}{and}schema=missing")).graph(graph()).await;
    let error = missing.expect_err("no schema").to_string();
    assert!(error.contains("`missing`") && error.contains("CREATE SCHEMA"), "{error}");
    let elsewhere = Store::open("memory:").graph(graph()).schema("one").await;
    let error = elsewhere.expect_err("no schemas there").to_string();
    assert_eq!(error, "schema cannot be one: only a store in Postgres has it");
}
