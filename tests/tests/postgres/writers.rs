//! Writers of several stores take turns: the order of versions is that of their commits.

use super::{Crop, Source, Video, compute, graph, open, open_at, video, videos};
use metaxy::prelude::*;
use metaxy_tests::databases::{Database, Engine, own_server};
use sqlx::Connection;
use std::time::Duration;

/// As from as many processes: each store has connections of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writers_of_several_stores_have_strictly_ordered_times() {
    const WRITERS: u32 = 4;
    const WRITES: u32 = 15;
    let database = Database::postgres().await;
    // Nobody has made a table yet: they race for that as well.
    let url = database.url();
    let writers = (0..WRITERS).map(|writer| {
        let url = url.clone();
        tokio::spawn(async move {
            let store = open_at(&url).await;
            for write in 0..WRITES {
                let mut out = store.writer::<Video>();
                out.push(video("shared", &format!("{writer}-{write}"))).await.expect("a record");
                out.push(video(writer, &format!("{write}"))).await.expect("a record");
                assert_eq!(out.commit().await.expect("a commit").rows, 2);
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.expect("a writer");
    }

    let times = "SELECT count(*)::text FROM pg__video WHERE id = 'shared' UNION ALL \
                 SELECT count(DISTINCT metaxy_updated_at)::text FROM pg__video UNION ALL \
                 SELECT count(DISTINCT metaxy_write_token)::text FROM pg__video";
    let all = (WRITERS * WRITES).to_string();
    assert_eq!(database.texts(times).await, [all.as_str(); 3]);
    // Transactions are numbered when they first change something, which is in their turn.
    let disordered = "SELECT (count(*) FILTER (WHERE t <= before))::text FROM (SELECT \
                             metaxy_updated_at AS t, lag(metaxy_updated_at) OVER (ORDER BY xmin::text::bigint) AS before \
                             FROM pg__video WHERE id = 'shared') AS o";
    assert_eq!(database.texts(disordered).await, ["0"]);
    // One definition, however many recorded it.
    let definitions = "SELECT count(*)::text FROM metaxy_system__field_versions";
    assert_eq!(database.texts(definitions).await, ["1"]);
    let store = open(&database).await;
    assert_eq!(store.read::<Video>().rows().await.expect("records").len(), 1 + WRITERS as usize);
}

/// A writer keeps its connection until it is dropped, and commits with that one alone.
#[tokio::test]
async fn writers_of_a_small_pool_do_not_wait_for_each_other() {
    let database = Database::postgres().await;
    open(&database).await.sync(videos(4, "1")).await.expect("a sync");
    let pool = sqlx::postgres::PgPoolOptions::new().max_connections(2);
    let pool = pool.acquire_timeout(Duration::from_secs(5));
    let pool = pool.connect(&database.url()).await.expect("a pool");
    let store = Store::from_pool(pool).graph(graph()).create_tables(true).await.expect("a store");
    let jobs = store.resolve_update::<Crop>().await.expect("an increment").jobs::<Source>();
    let mut jobs: Vec<_> = jobs.try_collect().await.expect("jobs");
    let mut writers = [store.writer::<Crop>(), store.writer::<Crop>()];
    for out in &mut writers {
        let (done, failed) = (jobs.pop().expect("a job"), jobs.pop().expect("a job"));
        let id = done.input().id.clone();
        let crop = Crop { id, frames: DataVersion::default() };
        out.push(done.done(crop).expect("its record")).await.expect("a record");
        out.push(failed.failed("no codec")).await.expect("a failure");
        out.took(Duration::from_secs(1));
    }
    for out in &mut writers {
        let committed = out.commit().await.expect("a commit");
        assert_eq!((committed.rows, committed.failed.len()), (1, 1));
    }
    drop(writers);
    assert_eq!(store.failures::<Crop>().await.expect("failures").len(), 2);
    let durations = "SELECT count(*)::text FROM metaxy_system__durations";
    assert_eq!(database.texts(durations).await, ["2"]);
}

/// Lets every stage that is made from now on do something to itself.
async fn whenever_a_stage_is_made(database: &Database, what: &str) {
    let sql = format!(
        "CREATE FUNCTION at_stage() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN \
             IF EXISTS (SELECT FROM pg_event_trigger_ddl_commands() WHERE object_identity LIKE '%@stage%') \
             THEN {what}; END IF; \
         END $$; \
         CREATE EVENT TRIGGER at_stage ON ddl_command_end WHEN TAG IN ('CREATE TABLE') \
         EXECUTE FUNCTION at_stage()"
    );
    database.execute(&sql).await;
}

/// Nobody takes the rows that are missing then for written.
#[tokio::test]
async fn a_write_whose_stage_failed_cannot_be_committed() {
    let server = own_server(Engine::Postgres);
    let database = Database::on(Engine::Postgres, server.url()).await;
    let store = open(&database).await;
    store.sync(videos(1, "1")).await.expect("a sync");
    let check = "EXECUTE 'ALTER TABLE pg_temp.\"@stage\" ADD CHECK (id0 <> ''7'')'";
    whenever_a_stage_is_made(&database, check).await;
    let mut out = store.writer::<Video>();
    for id in 0..10 {
        out.push(video(id, "1")).await.expect("a record");
    }
    let error = out.commit().await.expect_err("a row that the stage does not take").to_string();
    assert!(error.contains("check constraint"), "{error}");
    let error = out.commit().await.expect_err("rows that are gone").to_string();
    assert!(error.contains("begin a new write"), "{error}");
    assert_eq!(store.read::<Video>().rows().await.expect("records").len(), 1);
}

/// What comes after it is another call.
#[tokio::test]
async fn a_commit_that_is_done_is_never_told_as_failed() {
    let server = own_server(Engine::Postgres);
    let database = Database::on(Engine::Postgres, server.url()).await;
    let store = open(&database).await;
    let mut out = store.writer::<Video>();
    out.push(video("a", "1")).await.expect("a record");
    whenever_a_stage_is_made(&database, "RAISE 'no stage any more'").await;
    assert_eq!(out.commit().await.expect("a commit").rows, 1);
    out.push(video("b", "1")).await.expect("it waits");
    let error = out.commit().await.expect_err("no stage").to_string();
    assert!(error.contains("no stage any more"), "{error}");
    database.execute("DROP EVENT TRIGGER at_stage").await;
    assert_eq!(out.commit().await.expect("a commit").rows, 2);
    assert_eq!(store.read::<Video>().rows().await.expect("records").len(), 2);
}

/// Two programs that compute the same records do no harm: the later one wins, and nothing is stale.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_workers_over_one_increment() {
    let database = Database::postgres().await;
    let store = open(&database).await;
    store.sync(videos(500, "1")).await.expect("a sync");
    let (one, other) = (open(&database).await, open(&database).await);
    let (one, other) = tokio::join!(
        tokio::spawn(async move { compute(&one).await }),
        tokio::spawn(async move { compute(&other).await }),
    );
    let written = one.expect("a task").expect("rows") + other.expect("a task").expect("rows");
    assert!((500..=1000).contains(&written), "{written}");
    let counts = store.count_update::<Crop>().await.expect("counts");
    assert_eq!((counts.unchanged, counts.to_compute()), (500, 0));
}

/// Two that wait for each other: the server ends the writer's transaction, which is made again.
#[tokio::test]
async fn a_write_that_is_caught_in_a_deadlock_is_repeated() {
    let database = Database::postgres().await;
    let name = database.texts("SELECT current_database()::text").await.remove(0);
    open(&database).await.sync(videos(3, "1")).await.expect("a sync");
    // Who waits longest looks for a deadlock, and gives way: that is to be the writer, and not before the
    // other one waits as well.
    database.execute(&format!("ALTER DATABASE {name} SET deadlock_timeout = '3s'")).await;
    let store = open(&database).await;
    let mut other = sqlx::PgConnection::connect(&database.url()).await.expect("a connection");
    let hold =
        "SET deadlock_timeout = '10min'; BEGIN; LOCK TABLE pg__video IN ACCESS EXCLUSIVE MODE";
    run(&mut other, hold).await;
    let mut out = store.writer::<Video>();
    out.push(video("another", "1")).await.expect("a record");
    let wait = async {
        let waits = "SELECT 'yes' FROM pg_stat_activity WHERE datname = current_database() AND \
                     wait_event_type = 'Lock' AND wait_event = 'relation'";
        while database.texts(waits).await.is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let turns = "SELECT ((classid::bigint << 32) | objid::bigint)::text FROM pg_locks WHERE \
                     locktype = 'advisory' AND granted AND database = (SELECT oid FROM pg_database \
                     WHERE datname = current_database())";
        let turns = database.texts(turns).await;
        assert_eq!(turns.len(), 1, "the turn of the writer");
        // While the table is held nobody but the server ends the turn.
        run(&mut other, &format!("SELECT pg_advisory_xact_lock({})", turns[0])).await;
        run(&mut other, "COMMIT").await;
    };
    let (committed, ()) = tokio::join!(out.commit(), wait);
    assert_eq!(committed.expect("a commit").rows, 1);
    assert_eq!(database.texts("SELECT count(*)::text FROM pg__video").await, ["4"]);
}

/// What a trigger says is what a server says that cannot put transactions into an order.
#[tokio::test]
async fn a_write_that_cannot_be_serialized_is_repeated() {
    let database = Database::postgres().await;
    let store = open(&database).await;
    store.sync(videos(3, "1")).await.expect("a sync");
    // A number that is taken is not given back, so the second try goes through.
    let trigger = "CREATE SEQUENCE tries; CREATE FUNCTION once() RETURNS trigger LANGUAGE plpgsql AS \
                   'BEGIN IF nextval(''tries'') = 1 THEN RAISE EXCEPTION USING ERRCODE = ''40001''; END \
                   IF; RETURN NULL; END'; CREATE TRIGGER once AFTER INSERT ON pg__video FOR EACH \
                   STATEMENT EXECUTE FUNCTION once()";
    database.execute(trigger).await;
    let mut out = store.writer::<Video>();
    out.push(video("another", "1")).await.expect("a record");
    assert_eq!(out.commit().await.expect("a commit").rows, 1);
    assert_eq!(database.texts("SELECT last_value::text FROM tries").await, ["2"]);
    assert_eq!(database.texts("SELECT count(*)::text FROM pg__video").await, ["4"]);
}

/// A writer to one feature does not wait for one to another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_turn_is_for_one_feature() {
    let database = Database::postgres().await;
    let store = open(&database).await;
    store.sync(videos(3, "1")).await.expect("a sync");
    compute(&store).await.expect("crops");
    // Somebody holds every lock that exists for the table of videos by holding the table itself.
    let url = database.url();
    let mut holder = sqlx::PgConnection::connect(&url).await.expect("a connection");
    let hold = "BEGIN; LOCK TABLE pg__video IN EXCLUSIVE MODE";
    run(&mut holder, hold).await;
    let blocked = tokio::spawn({
        let store = store.clone();
        async move { store.sync(videos(4, "1")).await.map(|report| report.written.rows) }
    });
    // Reading waits for nobody, and neither does a write to what is computed from it.
    let increment = store.update::<Crop>().skip_comparison(true).await.expect("an increment");
    let mut jobs = increment.jobs::<Source>();
    let mut out = store.writer::<Crop>();
    while let Some(job) = jobs.try_next().await.expect("a job") {
        let crop = Crop { id: job.input().id.clone(), frames: DataVersion::default() };
        out.push(job.done(crop).expect("the record")).await.expect("a record");
    }
    assert_eq!(out.commit().await.expect("a commit").rows, 3);
    assert!(!blocked.is_finished());
    run(&mut holder, "COMMIT").await;
    assert_eq!(blocked.await.expect("a task").expect("a sync"), 1);
}

async fn run(connection: &mut sqlx::PgConnection, sql: &str) {
    let sql = sqlx::raw_sql(sqlx::AssertSqlSafe(sql));
    sql.execute(connection).await.expect("a statement");
}
