//! What breaks: servers that stop, answers that break off. No batch is ever seen in part, the error
//! says what to do, and the call that is repeated succeeds.

use super::wire::{Crop, Source, Video, Way, compute, graph, videos};
use metaxy::prelude::*;
use metaxy_tests::databases::{Database, Engine, own_server};
use std::time::Duration;

const MANY: u32 = 200_000;

async fn open(url: &str) -> Store {
    Store::open(url).graph(graph()).create_tables(true).await.expect("a store")
}

fn assert_lost(error: &metaxy::Error) {
    assert!(error.is_transient(), "{error:?}");
    assert!(error.to_string().contains("repeat the call"), "{error}");
}

async fn n_crops(store: &Store) -> usize {
    match store.read::<Crop>().rows().await {
        Ok(rows) => rows.len(),
        Err(metaxy::Error::NoTable { .. }) => 0,
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn a_server_that_stops_in_a_resolve() {
    let mut server = own_server(Engine::ClickHouse);
    let database = Database::on(Engine::ClickHouse, server.url()).await;
    let store = open(&database.url()).await;
    store.sync(videos(0..MANY, "1")).await.expect("a sync");

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
            // It was on its way as a whole.
            Ok(None) => break assert_eq!(n_jobs, MANY, "an answer that breaks off looks whole"),
            Err(error) => break assert_lost(&error),
        }
    }
    assert_lost(&store.resolve_update::<Crop>().await.expect_err("no server"));
    assert_lost(&Store::open(database.url()).graph(graph()).await.expect_err("no server"));

    server.start().expect("the server again");
    assert_eq!(store.count_update::<Crop>().await.expect("counts").new, u64::from(MANY));
}

#[tokio::test]
async fn a_server_that_stops_in_a_write() {
    let mut server = own_server(Engine::ClickHouse);
    let database = Database::on(Engine::ClickHouse, server.url()).await;
    let store = open(&database.url()).await;
    store.sync(videos(0..MANY, "1")).await.expect("a sync");
    for (n, wait) in [0, 20, 60, 120, 240, 480].into_iter().enumerate() {
        let before = n_crops(&store).await;
        let mut out = store.writer::<Crop>().token(format!("write {n}"));
        let mut jobs = store.resolve_update::<Crop>().await.expect("an increment").jobs::<Source>();
        while let Some(job) = jobs.try_next().await.expect("a job") {
            let crop = Crop { id: job.input().id, frames: DataVersion::default() };
            out.push(job.done(crop).expect("the same record")).await.expect("a good record");
        }
        let stop = async {
            tokio::time::sleep(Duration::from_millis(wait)).await;
            server.stop();
        };
        let (written, ()) = tokio::join!(out.commit(), stop);
        if let Err(error) = &written {
            assert_lost(error);
        }
        server.start().expect("the server again");
        let after = n_crops(&store).await;
        let whole = MANY as usize;
        assert!(after == before || after == whole, "{before} became {after} of {whole}");
        if written.is_ok() {
            assert_eq!(after, whole, "what was committed is there");
        }
        // For the next one they are all to be written again.
        store.sync(videos(0..MANY, &format!("{n}"))).await.expect("a sync");
    }
    assert_eq!(compute(&store).await.expect("crops"), u64::from(MANY));
    assert_eq!(n_crops(&store).await, MANY as usize);
    assert_eq!(store.count_update::<Crop>().await.expect("counts").to_compute(), 0);
}

#[tokio::test]
async fn a_connection_that_is_cut_in_a_resolve() {
    let database = Database::clickhouse().await;
    let way = Way::to(&database.url()).await;
    let store = open(&way.url).await;
    store.sync(videos(0..MANY, "1")).await.expect("a sync");
    let before = way.came();
    let mut jobs = store.resolve_update::<Crop>().await.expect("an increment").jobs::<Source>();
    while let Some(job) = jobs.try_next().await.expect("a job") {
        drop(job.failed("only looked at"));
    }
    way.hold_after((way.came() - before) / 2);
    let mut jobs = store.resolve_update::<Crop>().await.expect("an increment").jobs::<Source>();
    drop(jobs.try_next().await.expect("a job").expect("a job").failed("only looked at"));
    way.cut();
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
    assert_eq!(store.count_update::<Crop>().await.expect("counts").new, u64::from(MANY));
}

/// The server may go on with what it was asked, or not: all of it is there or nothing.
#[tokio::test]
async fn a_connection_that_is_cut_in_a_write() {
    let database = Database::clickhouse().await;
    let way = Way::to(&database.url()).await;
    let store = open(&way.url).await;
    store.sync(videos(0..MANY, "1")).await.expect("a sync");
    assert_eq!(compute(&store).await.expect("crops"), u64::from(MANY));
    let rows = async || {
        let rows = database.texts("SELECT toString(count()) FROM wire__crop").await.remove(0);
        rows.parse::<u64>().expect("a number")
    };
    let mut n_failed = 0;
    for (n, wait) in [0, 10, 30, 60, 120, 240].into_iter().enumerate() {
        store.sync(videos(0..MANY, &format!("again {n}"))).await.expect("a sync");
        let before = rows().await;
        let mut jobs = store.resolve_update::<Crop>().await.expect("an increment").jobs::<Source>();
        let mut out = store.writer::<Crop>();
        while let Some(job) = jobs.try_next().await.expect("a job") {
            let crop = Crop { id: job.input().id, frames: DataVersion::default() };
            out.push(job.done(crop).expect("the same record")).await.expect("a good record");
        }
        let cut = async {
            tokio::time::sleep(Duration::from_millis(wait)).await;
            way.cut();
        };
        let (written, ()) = tokio::join!(out.commit(), cut);
        if let Err(error) = &written {
            n_failed += 1;
            assert_lost(error);
        }
        let busy = "SELECT query_id FROM system.processes WHERE current_database = \
                    currentDatabase() AND query_id != queryID()";
        while !database.texts(busy).await.is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let (after, whole) = (rows().await, before + u64::from(MANY));
        assert!(after == before || after == whole, "{before} became {after} of {whole}");
        if written.is_ok() {
            assert_eq!(after, whole, "what was committed is there");
        }
        compute(&store).await.expect("the crops that are missing");
        assert_eq!(rows().await, whole, "they are there once");
        assert_eq!(store.count_update::<Crop>().await.expect("counts").to_compute(), 0);
    }
    assert!(n_failed > 0, "no commit was interrupted");
}

/// Makes whatever is written to the videos take a hundredth of a second a record.
async fn slow_down(database: &Database) {
    let column = "ALTER TABLE wire__video ADD COLUMN slow UInt8 MATERIALIZED sleepEachRow(0.01)";
    database.execute(column).await;
}

/// Whoever repeats a write that was named does not come before the server is done with the first.
#[tokio::test]
async fn a_named_write_is_done_once_while_the_server_is_still_at_it() {
    let database = Database::clickhouse().await;
    let way = Way::to(&database.url()).await;
    let (store, other) = (open(&way.url).await, open(&database.url()).await);
    store.sync(videos(0..1, "1")).await.expect("a sync");
    slow_down(&database).await;
    let begun = async |store: &Store| {
        let mut out = store.writer::<Video>().token("a write");
        for video in videos(0..100, "2") {
            out.push(video).await.expect("a record");
        }
        out
    };
    let (mut first, mut second) = (begun(&store).await, begun(&other).await);
    let cut = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        way.cut();
    };
    let (written, ()) = tokio::join!(first.commit(), cut);
    assert_lost(&written.expect_err("a connection that is gone"));
    assert_eq!(second.commit().await.expect("the same write").repeated, 1);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(database.texts("SELECT toString(count()) FROM wire__video").await, ["101"]);
}

/// Nobody knows how far it came, and nobody waits for it.
#[tokio::test]
async fn a_commit_that_is_cancelled_is_not_gone_on_with() {
    let database = Database::clickhouse().await;
    let store = open(&database.url()).await;
    store.sync(videos(0..10, "1")).await.expect("a sync");
    slow_down(&database).await;
    let mut out = store.writer::<Video>();
    for video in videos(0..100, "2") {
        out.push(video).await.expect("a record");
    }
    let cancelled = tokio::time::timeout(Duration::from_millis(500), out.commit()).await;
    assert!(cancelled.is_err(), "it is written slowly");
    let again = tokio::time::timeout(Duration::from_secs(20), out.commit()).await;
    let error = again.expect("nothing to wait for").expect_err("half a write").to_string();
    assert!(error.contains("begin a new write"), "{error}");
    let sync = store.sync(videos(0..10, "3")).partial(true).into_future();
    let synced = tokio::time::timeout(Duration::from_secs(20), sync).await;
    assert_eq!(synced.expect("the turn is free").expect("a sync").written.rows, 10);
}

/// The server has sent much of an answer when it finds out that it cannot go on: it says so within
/// the answer.
#[tokio::test]
async fn an_error_in_the_middle_of_an_answer_is_an_error() {
    let database = Database::clickhouse().await;
    let store = open(&database.url()).await;
    store.sync(videos(0..MANY, "1")).await.expect("a sync");
    let limited = format!("{}?max_result_rows=150000&result_overflow_mode=throw", database.url());
    let limited = Store::open(limited).graph(graph()).await.expect("a store");
    let mut rows = limited.read::<Video>().stream().await.expect("a stream");
    let mut n = 0;
    let error = loop {
        match rows.try_next().await {
            Ok(Some(_)) => n += 1,
            Ok(None) => panic!("an answer that breaks off looks whole"),
            Err(error) => break error,
        }
    };
    assert!(n > 0, "it has not begun");
    assert!(error.to_string().contains("TOO_MANY_ROWS_OR_BYTES"), "{error}");
    assert!(!error.is_transient(), "it will not go away by itself");
}

/// A statement that takes too long is an error that says so, and leaves the store as it was.
#[tokio::test]
async fn a_statement_that_takes_too_long() {
    let database = Database::clickhouse().await;
    let store = open(&database.url()).await;
    store.sync(videos(0..MANY, "1")).await.expect("a sync");
    let hasty = format!("{}?max_execution_time=0.001&timeout_overflow_mode=throw", database.url());
    let hasty = Store::open(hasty).graph(graph()).create_tables(true).await;
    let error = match hasty {
        Err(error) => error,
        Ok(hasty) => compute(&hasty).await.expect_err("too little time"),
    };
    assert!(error.to_string().contains("TIMEOUT_EXCEEDED"), "{error}");
    let advice = "repeat the call with a larger `max_execution_time`, or with fewer records";
    assert!(error.to_string().ends_with(advice), "{error}");
    assert_eq!(n_crops(&store).await, 0);
    assert_eq!(compute(&store).await.expect("crops"), u64::from(MANY));
}

/// Staged rows are in a session of the server, which a restart ends as silence does.
#[tokio::test]
async fn a_commit_of_rows_that_the_server_has_forgotten() {
    let mut server = own_server(Engine::ClickHouse);
    let database = Database::on(Engine::ClickHouse, server.url()).await;
    let store = open(&database.url()).await;
    store.sync(videos(0..10, "1")).await.expect("a sync");
    let mut out = store.writer::<Video>();
    for video in videos(10..20, "1") {
        out.push(video).await.expect("a record");
    }
    out.commit().await.expect("a commit");
    for video in videos(20..MANY, "1") {
        out.push(video).await.expect("a record");
    }
    server.stop();
    server.start().expect("the server again");
    let mut error = out.commit().await.expect_err("nothing is staged any more");
    if error.is_transient() {
        // The way to the server was that of the one before.
        error = out.commit().await.expect_err("nothing is staged any more");
    }
    assert!(error.to_string().contains("begin a new write"), "{error}");
    assert_eq!(store.read::<Video>().rows().await.expect("records").len(), 20);
    drop(database);
    drop(server);
}

/// The server looks at its disk before it writes.
#[tokio::test]
async fn a_disk_that_is_full_leaves_nothing() {
    let database = Database::clickhouse().await;
    let store = open(&database.url()).await;
    store.sync(videos(0..10, "1")).await.expect("a sync");
    let settings = "ALTER TABLE wire__video MODIFY SETTING min_free_disk_bytes_to_perform_insert";
    database.execute(&format!("{settings} = 1000000000000000000")).await;
    let error = store.sync(videos(0..10, "2")).await.expect_err("no room").to_string();
    assert!(error.contains("make room on the server"), "{error}");
    database.execute(&format!("{settings} = 0")).await;
    assert_eq!(store.read::<Video>().rows().await.expect("records").len(), 10);
    assert_eq!(store.sync(videos(0..10, "2")).await.expect("a sync").written.rows, 10);
}
