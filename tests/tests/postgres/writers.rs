//! Writers of several stores take turns: the order of versions is that of their commits.

use super::{Crop, Video, compute, open, open_at, video, videos};
use metaxy::prelude::*;
use metaxy_tests::databases::Database;
use sqlx::Connection;

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
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
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
    let mut jobs = increment.jobs::<super::Source>();
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
