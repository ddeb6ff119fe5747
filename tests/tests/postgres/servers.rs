//! Timeouts, connections that break, servers that stop; pools of the user and schemas.

use super::{Crop, Source, Video, compute, graph, open, open_at, videos};
use metaxy::prelude::*;
use metaxy::{Error, HashAlgorithm, Store};
use metaxy_tests::databases::{Database, Engine, own_server};
use std::time::Duration;

#[tokio::test]
async fn a_statement_that_takes_too_long_leaves_nothing() {
    let database = Database::postgres().await;
    open(&database).await.sync(videos(50_000, "1")).await.expect("a sync");
    let store = Store::open(database.url()).graph(graph()).create_tables(true);
    let store = store.statement_timeout(Duration::from_secs(1)).await.expect("a store");
    let holder = hold(&database).await;
    let error = store.count_update::<Crop>().await.expect_err("too long").to_string();
    assert!(
        error.contains("statement_timeout") && error.contains("nothing was changed"),
        "{error}"
    );
    let error = store.sync(videos(50_000, "2")).await.expect_err("too long").to_string();
    assert!(error.contains("statement_timeout"), "{error}");
    drop(holder);

    // The address says the same. The repeated call succeeds with more time.
    let url = database.url();
    let and = if url.contains('?') { '&' } else { '?' };
    let store = open_at(&format!("{url}{and}statement_timeout=60s")).await;
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

/// Somebody who holds a table, so that whoever needs it is in the middle of something.
async fn hold(database: &Database) -> sqlx::PgConnection {
    use sqlx::Connection;
    let mut holder = sqlx::PgConnection::connect(&database.url()).await.expect("a connection");
    let hold = sqlx::raw_sql("BEGIN; LOCK TABLE pg__video IN ACCESS EXCLUSIVE MODE");
    hold.execute(&mut holder).await.expect("a lock");
    holder
}

/// Waits until somebody waits for a lock on a table; ends that connection.
async fn kill_who_waits(database: &Database) {
    let kill = "SELECT pg_terminate_backend(pid)::text FROM pg_stat_activity \
                WHERE datname = current_database() AND wait_event_type = 'Lock' \
                AND wait_event = 'relation'";
    for _ in 0..1_000 {
        if database.texts(kill).await.iter().any(|killed| killed == "true") {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("nobody waits");
}

#[tokio::test]
async fn a_connection_that_is_killed_in_the_middle_of_a_write_leaves_nothing() {
    let database = Database::postgres().await;
    let store = open(&database).await;
    store.sync(videos(10, "1")).await.expect("a sync");
    let mut out = store.writer::<Video>().token("a write");
    for video in videos(20_000, "2") {
        out.push(video).await.expect("a record");
    }
    let holder = hold(&database).await;
    let (committed, ()) = tokio::join!(out.commit(), kill_who_waits(&database));
    let error = committed.expect_err("a connection that is gone");
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains("repeat the call"), "{error}");
    drop(holder);
    assert_eq!(database.texts("SELECT count(*)::text FROM pg__video").await, ["10"]);
    let mut again = store.writer::<Video>().token("a write");
    for video in videos(20_000, "2") {
        again.push(video).await.expect("a record");
    }
    assert_eq!(again.commit().await.expect("the same store").rows, 20_000);
    assert_eq!(database.texts("SELECT count(*)::text FROM pg__video").await, ["20010"]);
}

/// What a call gives whose connection is killed while it waits for a table.
async fn despite_a_kill<T>(database: &Database, call: impl Future<Output = T>) -> T {
    let holder = hold(database).await;
    let kill = async {
        kill_who_waits(database).await;
        drop(holder);
    };
    tokio::join!(call, kill).0
}

/// Nothing was given yet: nobody is told.
#[tokio::test]
async fn a_read_whose_connection_is_killed_before_its_first_row_is_repeated() {
    let database = Database::postgres().await;
    let store = open(&database).await;
    store.sync(videos(10, "1")).await.expect("a sync");
    let counts = despite_a_kill(&database, store.count_update::<Crop>()).await;
    assert_eq!(counts.expect("counts").new, 10);
    let rows = despite_a_kill(&database, store.read::<Video>().rows()).await;
    assert_eq!(rows.expect("records").len(), 10);
    let count = despite_a_kill(&database, store.read::<Video>().count()).await;
    assert_eq!(count.expect("a number"), 10);
    despite_a_kill(&database, store.plan()).await.expect("a plan");
}

/// What the server has taken back by itself is done again.
#[tokio::test]
async fn a_write_that_cannot_get_a_lock_is_repeated() {
    let database = Database::postgres().await;
    let name = database.texts("SELECT current_database()::text").await.remove(0);
    let store = open(&database).await;
    store.sync(videos(10, "1")).await.expect("a sync");
    database.execute(&format!("ALTER DATABASE {name} SET lock_timeout = '50ms'")).await;
    let hasty = open(&database).await;
    let mut out = hasty.writer::<Video>();
    out.push(super::video("another", "1")).await.expect("a record");
    let holder = hold(&database).await;
    let release = async {
        tokio::time::sleep(Duration::from_millis(400)).await;
        drop(holder);
    };
    let (committed, ()) = tokio::join!(out.commit(), release);
    assert_eq!(committed.expect("a commit").rows, 1);
    // Somebody who never lets go is told of.
    let mut out = hasty.writer::<Video>();
    out.push(super::video("a third", "1")).await.expect("a record");
    let holder = hold(&database).await;
    let error = out.commit().await.expect_err("a lock that is held");
    drop(holder);
    assert!(matches!(error, Error::Conflict { .. }), "{error}");
    assert!(error.to_string().contains("nothing was changed, repeat the call"), "{error}");
    assert_eq!(out.commit().await.expect("the same writer").rows, 1);
    assert_eq!(database.texts("SELECT count(*)::text FROM pg__video").await, ["12"]);
}

/// A table whose file takes no byte more.
#[tokio::test]
async fn a_disk_that_is_full_leaves_nothing() {
    let server = own_server(Engine::Postgres);
    let database = Database::on(Engine::Postgres, server.url()).await;
    let store = open(&database).await;
    store.sync(videos(100, "1")).await.expect("a sync");
    compute(&store).await.expect("crops");
    database.execute("TRUNCATE pg__crop").await;
    drop(store);
    // Nobody goes on with the file that they have open.
    kill(&database).await;
    let file =
        "SELECT current_setting('data_directory') || '/' || pg_relation_filepath('pg__crop')";
    let file = std::path::PathBuf::from(database.texts(file).await.remove(0));
    let aside = file.with_extension("aside");
    std::fs::rename(&file, &aside).expect("the file of a table");
    std::os::unix::fs::symlink("/dev/full", &file).expect("a link");

    let store = open(&database).await;
    let error = compute(&store).await.expect_err("no room").to_string();
    assert!(error.contains("No space left on device"), "{error}");
    assert!(error.contains("nothing was changed: make room on the server"), "{error}");
    drop(store);
    kill(&database).await;
    std::fs::rename(&aside, &file).expect("the file of a table");

    let store = open(&database).await;
    assert_eq!(store.read::<Crop>().rows().await.expect("records").len(), 0);
    assert_eq!(compute(&store).await.expect("crops"), 100);
}

/// A certificate of its own, over a port of this machine.
#[tokio::test]
async fn a_connection_can_be_encrypted() {
    let mut server = own_server(Engine::Postgres);
    // Another port gives its socket another name: the guard of a database would not find it.
    let mut first = {
        use sqlx::Connection;
        sqlx::PgConnection::connect(server.url()).await.expect("a connection")
    };
    let folder = sqlx::query_scalar("SELECT current_setting('data_directory')");
    let folder: String = folder.fetch_one(&mut first).await.expect("a folder");
    let folder = std::path::PathBuf::from(folder);
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let owner = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(&folder).expect("a folder"));
    let group = std::os::unix::fs::MetadataExt::gid(&std::fs::metadata(&folder).expect("a folder"));
    for (name, text) in
        [("server.crt", made.cert.pem()), ("server.key", made.signing_key.serialize_pem())]
    {
        let path = folder.join(name);
        std::fs::write(&path, text).expect("a file");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&path, mode).expect("a file of its own");
        std::os::unix::fs::chown(&path, Some(owner), Some(group)).expect("a file of the server");
    }
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = free.local_addr().expect("an address").port();
    drop(free);
    for set in [
        "ssl = on".to_owned(),
        "listen_addresses = '127.0.0.1'".to_owned(),
        format!("port = {port}"),
    ] {
        let set = sqlx::raw_sql(sqlx::AssertSqlSafe(format!("ALTER SYSTEM SET {set}")));
        set.execute(&mut first).await.expect("a setting");
    }
    drop(first);
    server.stop();
    server.start().expect("the server again");

    let address =
        |mode: &str| format!("postgres://postgres@127.0.0.1:{port}/postgres?sslmode={mode}");
    let store = open_at(&address("require")).await;
    store.sync(videos(10, "1")).await.expect("a sync");
    assert_eq!(compute(&store).await.expect("crops"), 10);
    let pool = sqlx::postgres::PgPoolOptions::new().connect(&address("disable")).await;
    let pool = pool.expect("a pool");
    let encrypted = "SELECT count(*)::text FROM pg_stat_ssl AS s JOIN pg_stat_activity AS a USING \
                     (pid) WHERE s.ssl AND a.datname = current_database()";
    let encrypted: String = sqlx::query_scalar(encrypted).fetch_one(&pool).await.expect("a number");
    assert_ne!(encrypted, "0", "nothing is encrypted");
    // Nobody vouches for the certificate.
    let error = Store::open(address("verify-full")).graph(graph()).await.expect_err("a stranger");
    assert!(error.to_string().contains("certificate"), "{error}");
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

fn assert_lost(error: &Error) {
    assert!(error.is_transient(), "{error:?}");
    assert!(error.to_string().contains("repeat the call"), "{error}");
}

#[tokio::test]
async fn a_server_that_stops_in_a_resolve() {
    const MANY: u32 = 100_000;
    let mut server = own_server(Engine::Postgres);
    let database = Database::on(Engine::Postgres, server.url()).await;
    let store = open(&database).await;
    store.sync(videos(MANY, "1")).await.expect("a sync");

    let mut jobs = store.resolve_update::<Crop>().await.expect("an increment").jobs::<Source>();
    drop(jobs.try_next().await.expect("a job").expect("a job").failed("only looked at"));
    server.stop();
    let mut n_jobs = 1;
    loop {
        match jobs.try_next().await {
            Ok(Some(job)) => {
                drop(job.failed("only looked at"));
                n_jobs += 1;
            }
            Ok(None) => panic!("an answer that breaks off looks whole, after {n_jobs} jobs"),
            Err(error) => break assert_lost(&error),
        }
    }
    assert!(n_jobs < MANY);
    assert_lost(&store.resolve_update::<Crop>().await.expect_err("no server"));
    assert_lost(&Store::open(database.url()).graph(graph()).await.expect_err("no server"));

    server.start().expect("the server again");
    assert_eq!(store.count_update::<Crop>().await.expect("counts").new, u64::from(MANY));
}

/// However far a commit has come: all of it is there or nothing, and who repeats it has it once.
#[tokio::test]
async fn a_server_that_stops_in_a_write() {
    const MANY: u32 = 20_000;
    let mut server = own_server(Engine::Postgres);
    let database = Database::on(Engine::Postgres, server.url()).await;
    let store = open(&database).await;
    let rows = async || {
        let rows = database.texts("SELECT count(*)::text FROM pg__video").await.remove(0);
        rows.parse::<u64>().expect("a number")
    };
    store.sync(videos(10, "1")).await.expect("a sync");
    let mut n_failed = 0;
    for (n, wait) in [0, 20, 60, 120, 240, 480].into_iter().enumerate() {
        let before = rows().await;
        let writer = async || {
            let mut out = store.writer::<Video>().token(format!("write {n}"));
            for video in videos(MANY, &format!("{n}")) {
                out.push(video).await.expect("a good record");
            }
            out
        };
        let mut out = writer().await;
        let stop = async {
            tokio::time::sleep(Duration::from_millis(wait)).await;
            server.stop();
        };
        let (written, ()) = tokio::join!(out.commit(), stop);
        if let Err(error) = &written {
            n_failed += 1;
            assert_lost(error);
        }
        server.start().expect("the server again");
        let (after, whole) = (rows().await, before + u64::from(MANY));
        assert!(after == before || after == whole, "{before} became {after} of {whole}");
        if written.is_ok() {
            assert_eq!(after, whole, "what was committed is there");
        }
        writer().await.commit().await.expect("the same write again");
        assert_eq!(rows().await, whole, "it is there once");
    }
    assert!(n_failed > 0, "no commit was interrupted");
    assert_eq!(compute(&store).await.expect("crops"), u64::from(MANY));
    assert_eq!(store.count_update::<Crop>().await.expect("counts").to_compute(), 0);
}

/// The same root with a column more.
#[derive(Clone, Debug, Feature)]
#[metaxy(key = "pg/video")]
struct Longer {
    #[metaxy(id)]
    id: String,
    path: String,
    length: Option<i64>,
    #[metaxy(field)]
    frames: DataVersion,
}

/// Otherwise a program that reads an increment while it writes the table would wait for itself for ever, and
/// everybody who comes later behind it.
#[tokio::test]
async fn a_column_that_cannot_be_added_is_an_error() {
    use sqlx::Connection;
    let database = Database::postgres().await;
    let old = open(&database).await;
    old.sync(videos(10, "1")).await.expect("a sync");
    let mut reader = sqlx::PgConnection::connect(&database.url()).await.expect("a connection");
    let read = sqlx::raw_sql("BEGIN; SELECT * FROM pg__video");
    read.execute(&mut reader).await.expect("rows");
    let graph = FeatureGraph::of::<Longer>().expect("a graph");
    let store = Store::open(database.url()).graph(graph).create_tables(true);
    let store = store.await.expect("a store");
    let (id, path) = ("more".to_owned(), String::new());
    let record = Longer { id, path, length: Some(1), frames: DataVersion::new("1") };
    let others = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        old.read::<Video>().count().await
    };
    let (written, count) = tokio::join!(store.sync(vec![record.clone()]).partial(true), others);
    let error = written.expect_err("somebody reads the table").to_string();
    assert!(error.contains("the column `length` cannot be added to `pg__video` while"), "{error}");
    assert_eq!(count.expect("a number"), 10);
    drop(reader);
    let written = store.sync(vec![record]).partial(true).await.expect("nobody reads it").written;
    assert_eq!(written.rows, 1);
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
    // Who reads meanwhile does not notice.
    server.stop();
    let start = tokio::task::spawn_blocking(move || {
        server.start().expect("the server again");
        server
    });
    let (counts, started) = tokio::join!(store.count_update::<Crop>(), start);
    assert_eq!(counts.expect("counts").new, 100);
    let server = started.expect("a server");
    assert_eq!(compute(&store).await.expect("crops"), 100);
    // While there is a server to drop it.
    drop(database);
    drop(server);
}

/// A pool whose owner has set connections in their own way, and keeps a temporary table in each.
async fn pool_of_an_owner(database: &Database, max_connections: u32) -> sqlx::PgPool {
    let pool = sqlx::postgres::PgPoolOptions::new().max_connections(max_connections);
    let pool = pool.acquire_timeout(Duration::from_secs(5)).after_connect(|connection, _| {
        Box::pin(async move {
            let set = sqlx::raw_sql(
                "SET search_path = \"it's theirs\", public; SET datestyle = 'SQL, DMY'; \
                 SET work_mem = '2MB'; SET jit = on; SET statement_timeout = '3min'; \
                 SET client_connection_check_interval = '7s'; \
                 CREATE TEMPORARY TABLE own AS SELECT 1 AS x",
            );
            set.execute(&mut *connection).await.map(drop)
        })
    });
    pool.connect(&database.url()).await.expect("a pool")
}

/// How each connection of a pool is set, once none is in use.
async fn settings_of(pool: &sqlx::PgPool) -> Vec<String> {
    const SETTINGS: &str = "SELECT concat_ws(' ', (SELECT string_agg(current_setting(name), ' ') FROM \
         unnest(ARRAY['jit', 'search_path', 'datestyle', 'work_mem', 'statement_timeout', \
         'enable_nestloop', 'client_connection_check_interval']) AS name), (SELECT \
         string_agg(relname, ' ') FROM pg_class WHERE relnamespace = pg_my_temp_schema()))";
    // Connections are cleaned on their way back.
    for _ in 0..100 {
        if pool.num_idle() == pool.size() as usize && pool.size() > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let mut held = Vec::new();
    while let Some(connection) = pool.try_acquire() {
        held.push(connection);
    }
    let mut all = Vec::new();
    for connection in &mut held {
        all.push(
            sqlx::query_scalar(SETTINGS).fetch_one(&mut **connection).await.expect("settings"),
        );
    }
    all
}

const AS_THEY_WERE: &str = "on \"it's theirs\", public SQL, DMY 2MB 3min on 7s own";

#[tokio::test]
async fn a_pool_of_the_user_is_given_back_as_it_was() {
    let database = Database::postgres().await;
    database.execute("CREATE SCHEMA \"my \"\"own\"\"\"; CREATE SCHEMA \"it's theirs\"").await;
    let pool = pool_of_an_owner(&database, 3).await;
    assert_eq!(settings_of(&pool).await, [AS_THEY_WERE]);

    let store = Store::from_pool(pool.clone()).graph(graph()).create_tables(true);
    let store = store.schema("my \"own\"").statement_timeout(Duration::from_secs(60));
    let store = store.await.expect("a store");
    store.sync(videos(2_000, "1")).await.expect("a sync");
    assert_eq!(compute(&store).await.expect("crops"), 2_000);
    // A stream that nobody reads to its end.
    let mut rows = store.read::<Video>().stream().await.expect("a stream");
    assert!(rows.try_next().await.expect("a record").is_some());
    drop(rows);
    let settings = settings_of(&pool).await;
    assert!(!settings.is_empty() && settings.iter().all(|all| all == AS_THEY_WERE), "{settings:?}");
    let schemas =
        "SELECT DISTINCT schemaname::text FROM pg_tables WHERE tablename LIKE 'pg\\_\\_%'";
    assert_eq!(database.texts(schemas).await, ["my \"own\""]);
}

/// However far a call has come.
#[tokio::test]
async fn a_pool_of_the_user_is_given_back_as_it_was_by_calls_that_are_given_up() {
    let database = Database::postgres().await;
    database.execute("CREATE SCHEMA \"it's theirs\"").await;
    let pool = pool_of_an_owner(&database, 1).await;
    let store = Store::from_pool(pool.clone()).graph(graph()).create_tables(true);
    let store = store.schema("public").await.expect("a store");
    store.sync(videos(10, "1")).await.expect("a sync");
    let mut n_ended = 0;
    for n_polls in 1..40 {
        let mut call = Box::pin(store.count_update::<Crop>());
        for _ in 0..n_polls {
            if futures::poll!(&mut call).is_ready() {
                n_ended += 1;
                break;
            }
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
        drop(call);
        for settings in settings_of(&pool).await {
            assert_eq!(settings, AS_THEY_WERE, "given up after {n_polls}");
        }
    }
    assert!(n_ended < 39, "none was given up");
    assert_eq!(store.count_update::<Crop>().await.expect("counts").new, 10);
}

/// Computed from both.
#[derive(Clone, Debug, Feature, PartialEq)]
#[metaxy(key = "pg/both", deps(Video, Crop))]
struct Both {
    #[metaxy(id)]
    id: String,
    #[metaxy(field)]
    frames: DataVersion,
}

/// What opens a store, reads it, or takes records out of it as a fallback, has one connection at a time.
#[tokio::test]
async fn one_connection_is_enough_for_what_reads() {
    const MANY: u32 = 60_000;
    let (here, there) = (Database::postgres().await, Database::postgres().await);
    let graph = FeatureGraph::of::<Both>().expect("a graph");
    let store = Store::open(there.url()).graph(graph.clone()).create_tables(true);
    let store = store.install_xxhash(true).hash_algorithm(HashAlgorithm::XxHash64);
    let store = store.await.expect("a store");
    // More rows than wait for a reader.
    store.sync(videos(MANY, "1")).await.expect("a sync");
    assert_eq!(compute(&store).await.expect("crops"), u64::from(MANY));
    let one = async |database: &Database| {
        let pool = sqlx::postgres::PgPoolOptions::new().max_connections(1);
        let pool = pool.acquire_timeout(Duration::from_secs(5));
        pool.connect(&database.url()).await.expect("a pool")
    };
    let there = Store::from_pool(one(&there).await).graph(graph.clone());
    let there = there.await.expect("a store");
    assert_eq!(there.read::<Video>().count().await.expect("a number"), u64::from(MANY));
    let here = Store::from_pool(one(&here).await).graph(graph).create_tables(true);
    let here = here.install_xxhash(true).hash_algorithm(HashAlgorithm::XxHash64);
    let here = here.fallback(there).await.expect("a store");
    let counts = here.count_update::<Both>().await.expect("counts");
    assert_eq!(counts.new, u64::from(MANY));
}

/// Whoever holds them all is told, and not made to wait four times.
#[tokio::test]
async fn a_pool_that_is_in_use_is_told_of() {
    let database = Database::postgres().await;
    let pool = sqlx::postgres::PgPoolOptions::new().max_connections(1);
    let pool = pool.acquire_timeout(Duration::from_secs(2)).connect(&database.url()).await;
    let pool = pool.expect("a pool");
    let store = Store::from_pool(pool.clone()).graph(graph()).create_tables(true);
    let store = store.await.expect("a store");
    let held = pool.acquire().await.expect("a connection");
    let began = std::time::Instant::now();
    let error = store.count_update::<Crop>().await.expect_err("no connection");
    assert!(began.elapsed() < Duration::from_secs(4), "it was tried again");
    assert!(!error.is_transient(), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("all 1 connections of the pool are in use"), "{text}");
    assert!(text.contains("`max_connections`"), "{text}");
    drop(held);
    assert_eq!(store.count_update::<Crop>().await.expect("counts").new, 0);
}

/// A call that nobody waits for any more ends on the server too, and its connection is free at once.
#[tokio::test]
async fn a_call_that_is_given_up_ends() {
    let database = Database::postgres().await;
    open(&database).await.sync(videos(10, "1")).await.expect("a sync");
    let pool = sqlx::postgres::PgPoolOptions::new().max_connections(1);
    let pool = pool.connect(&database.url()).await.expect("a pool");
    let store = Store::from_pool(pool.clone()).graph(graph()).await.expect("a store");
    let active = "SELECT query FROM pg_stat_activity WHERE datname = current_database() AND state = \
                  'active' AND pid <> pg_backend_pid()";
    // Whoever looks at the table waits for it.
    let _holder = hold(&database).await;
    for call in ["read", "count", "resolve"] {
        let called = async {
            match call {
                "read" => drop(store.read::<Video>().rows().await.expect("records")),
                "count" => drop(store.read::<Video>().count().await.expect("a number")),
                _ => drop(store.count_update::<Crop>().await.expect("counts")),
            }
        };
        let given_up = tokio::time::timeout(Duration::from_millis(700), called).await;
        assert!(given_up.is_err(), "{call} is quick");
        let free = tokio::time::timeout(Duration::from_secs(2), pool.acquire()).await;
        drop(free.expect(call).expect("a connection"));
        let mut left = database.texts(active).await;
        for _ in 0..100 {
            if left.is_empty() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
            left = database.texts(active).await;
        }
        assert_eq!(left, Vec::<String>::new(), "{call}");
    }
}

/// A root whose records are days.
#[derive(Clone, Debug, Feature, PartialEq)]
#[metaxy(key = "pg/day")]
struct Day {
    #[metaxy(id)]
    day: chrono::NaiveDate,
    #[metaxy(field)]
    x: DataVersion,
}

/// The text of a day is hashed, whatever the connections of the user make of days.
#[tokio::test]
async fn days_are_the_same_text_for_every_style_of_dates() {
    let database = Database::postgres().await;
    let pool = sqlx::postgres::PgPoolOptions::new().after_connect(|connection, _| {
        Box::pin(async move {
            let set = sqlx::raw_sql("SET datestyle = 'SQL, DMY'");
            set.execute(&mut *connection).await.map(drop)
        })
    });
    let pool = pool.connect(&database.url()).await.expect("a pool");
    let graph = FeatureGraph::of::<Day>().expect("a graph");
    let store = Store::from_pool(pool).graph(graph).create_tables(true).await.expect("a store");
    let day = chrono::NaiveDate::from_ymd_opt(2024, 3, 1).expect("a day");
    let day = Day { day, x: DataVersion::new("1") };
    store.sync(vec![day.clone()]).await.expect("a sync");
    store.delete(&[day]).hard(true).await.expect("a deletion");
    let text = metaxy_sql::plan::ids_text(["2024-03-01"]);
    let hash = hex::encode(<md5::Md5 as md5::Digest>::digest(text));
    let noted = "SELECT ids_md5 FROM metaxy_system__removed";
    assert_eq!(database.texts(noted).await, [hash]);
}

#[tokio::test]
async fn stores_in_two_schemas_of_one_database_know_nothing_of_each_other() {
    let database = Database::postgres().await;
    database.execute("CREATE SCHEMA one; CREATE SCHEMA other").await;
    let url = database.url();
    let and = if url.contains('?') { '&' } else { '?' };
    let one = open_at(&format!("{url}{and}schema=one")).await;
    let other = open_at(&format!("{url}{and}schema=other")).await;
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
