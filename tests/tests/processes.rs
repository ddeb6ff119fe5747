//! Writers in several processes over one store on a server: versions stay in one strict order, and no
//! batch is ever seen in part.

use metaxy_tests::databases::{Database, Engine};
use std::collections::BTreeSet;
use std::process::{Child, Command};

const PROCESSES: usize = 4;
const COMMITS: usize = 12;
const RECORDS: usize = 40;

fn writers(url: &str) -> Vec<Child> {
    let writer = |n: usize| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_append"));
        let args = [n.to_string(), COMMITS.to_string(), RECORDS.to_string()];
        command.arg(url).args(args).spawn().expect("another process")
    };
    (0..PROCESSES).map(writer).collect()
}

/// A statement that a database without the table does not refuse.
async fn is_made(database: &Database, engine: Engine) -> bool {
    let tables = match engine {
        Engine::Postgres => "SELECT tablename::text FROM pg_tables",
        Engine::ClickHouse => "SELECT name FROM system.tables WHERE database = currentDatabase()",
    };
    database.texts(tables).await.iter().any(|table| table == "processes__record")
}

async fn check(database: &Database, engine: Engine) {
    let text = |sql: &str| match engine {
        Engine::Postgres => format!("({sql})::text"),
        Engine::ClickHouse => format!("toString({sql})"),
    };
    let of = |what: String, rest: &str| format!("SELECT {what} FROM processes__record {rest}");
    let sizes = of(text("count(*)"), "GROUP BY metaxy_write_token");
    let mut writers = writers(&database.url());
    let mut n_seen = BTreeSet::new();
    loop {
        let mut running = false;
        for writer in &mut writers {
            match writer.try_wait().expect("a process") {
                Some(status) => assert!(status.success(), "{status}"),
                None => running = true,
            }
        }
        if is_made(database, engine).await {
            let sizes = database.texts(&sizes).await;
            let torn = sizes.iter().find(|size| **size != RECORDS.to_string());
            assert_eq!(torn, None, "a part of a batch is there");
            n_seen.insert(sizes.len());
        }
        if !running {
            break;
        }
    }
    assert!(n_seen.len() > 2, "nobody has looked while they wrote: {n_seen:?}");

    let micros = match engine {
        Engine::Postgres => "(extract(epoch FROM metaxy_updated_at) * 1000000)::bigint",
        Engine::ClickHouse => "toUnixTimestamp64Micro(assumeNotNull(metaxy_updated_at))",
    };
    let versions = match engine {
        Engine::Postgres => {
            format!("{micros}::text || ' ' || metaxy_write_token || ' ' || metaxy_data_version")
        }
        Engine::ClickHouse => format!(
            "assumeNotNull(concat(toString({micros}), ' ', toString(metaxy_write_token), ' ', \
             metaxy_data_version))"
        ),
    };
    let versions = database.texts(&of(versions, "WHERE id = 'shared'")).await;
    let mut versions: Vec<(i64, i64, String)> = versions
        .iter()
        .map(|version| {
            let mut parts = version.split(' ');
            let mut number = || parts.next().expect("a number").parse().expect("a number");
            (number(), number(), parts.next().expect("a version").to_owned())
        })
        .collect();
    assert_eq!(versions.len(), PROCESSES * COMMITS);
    versions.sort();
    let places: BTreeSet<_> = versions.iter().map(|(time, token, _)| (time, token)).collect();
    assert_eq!(places.len(), versions.len(), "two versions of one record have one place");
    if engine == Engine::Postgres {
        let times: BTreeSet<_> = versions.iter().map(|(time, ..)| time).collect();
        assert_eq!(times.len(), versions.len(), "they take turns");
    }

    // What readers see is the last of them.
    let graph = metaxy_tests::flow::graph(&[
        serde_json::json!({ "key": "processes/record", "id_columns": ["id"], "fields": ["x"] }),
    ]);
    let store = metaxy::Store::open(database.url()).graph(graph).await.expect("a store");
    let key = metaxy_tests::flow::key("processes/record");
    let read = store.read_of(&key).other_versions(true);
    let rows = metaxy_tests::batch::collect(read.batches().await.expect("rows")).await;
    assert_eq!(rows.len(), 1 + PROCESSES * (RECORDS - 1));
    let shared = rows.iter().find(|row| row["id"] == "shared").expect("the record");
    assert_eq!(shared["metaxy_data_version"], versions.last().expect("versions").2.as_str());
}

#[tokio::test]
async fn on_postgres() {
    check(&Database::postgres().await, Engine::Postgres).await;
}

#[tokio::test]
async fn on_clickhouse() {
    check(&Database::clickhouse().await, Engine::ClickHouse).await;
}
