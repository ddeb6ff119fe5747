//! Addresses, settings, tables that are made or not, and who else has the file open.

use crate::features::{graph, video};
use metaxy::{Error, HashAlgorithm, Store};
use metaxy_tests::flow::{key, read, write};
use metaxy_tests::place::Place;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

#[tokio::test]
async fn a_new_store_has_our_defaults() {
    let store = Store::open("duckdb::memory:").graph(graph()).await.expect("a store");
    assert_eq!(store.settings().hash_algorithm, HashAlgorithm::XxHash64);
    assert_eq!(store.settings().hash_truncation_length, 16);
}

#[tokio::test]
async fn settings_are_stamped_and_checked() {
    let place = Place::new();
    let open = || place.open(&graph());
    let store = open().hash_algorithm(HashAlgorithm::Md5).hash_truncation_length(20);
    drop(store.await.expect("a store"));

    let store = open().await.expect("settings that are left out are those of the store");
    assert_eq!(store.settings().hash_algorithm, HashAlgorithm::Md5);
    assert_eq!(store.settings().hash_truncation_length, 20);
    drop(store);

    let error = open().hash_algorithm(HashAlgorithm::Sha256).await.expect_err("another algorithm");
    assert_eq!(
        error.to_string(),
        "the store was created with hash_algorithm md5, but it is opened with sha256; leave the \
         setting out, or open another store"
    );
    let error = open().hash_truncation_length(16).await.expect_err("another length");
    assert_eq!(
        error.to_string(),
        "the store was created with hash_truncation_length 20, but it is opened with 16; leave the \
         setting out, or open another store"
    );
    let same = open().hash_algorithm(HashAlgorithm::Md5).hash_truncation_length(20);
    same.await.expect("the same settings");
}

/// A store that was not stamped is stamped by the first that may.
#[tokio::test]
async fn without_tables_nothing_is_stamped() {
    let place = Place::new();
    let open = || Store::open(place.url()).graph(graph());
    drop(open().hash_algorithm(HashAlgorithm::Md5).await.expect("a store"));
    assert_eq!(place.query("SELECT table_name FROM duckdb_tables()"), Vec::<Value>::new());
    drop(open().create_tables(true).await.expect("a store"));
    open().hash_algorithm(HashAlgorithm::Md5).await.expect_err("stamped with the default");
}

#[tokio::test]
async fn a_hash_may_not_be_cut_too_short() {
    let open = Store::open("duckdb::memory:").graph(graph()).hash_truncation_length(7);
    assert_eq!(
        open.await.expect_err("too short").to_string(),
        "hash_truncation_length cannot be 7: it is at least 8"
    );
}

#[tokio::test]
async fn settings_that_would_do_nothing() {
    let opening = || Store::open("memory:").graph(graph());
    for share in [-0.1, f64::NAN] {
        let error = opening().incremental(share).await.expect_err("no share").to_string();
        assert!(
            error.ends_with("it is a share of the records: 0.1 for a tenth of them"),
            "{error}"
        );
    }
    let error = opening().read_only(true).await.expect_err("nothing to read").to_string();
    assert!(error.starts_with("read_only cannot be true: a store in `memory:`"), "{error}");
}

#[tokio::test]
async fn settings_of_a_newer_program_are_no_defaults() {
    let place = Place::new();
    drop(place.open(&graph()).await.expect("a store"));
    place.execute("UPDATE metaxy_system__settings SET value = 'blake9' WHERE name LIKE '%alg%'");
    assert_eq!(
        place.open(&graph()).await.expect_err("an unknown algorithm").to_string(),
        "hash_algorithm cannot be blake9: this version of metaxy does not know it"
    );
}

#[tokio::test]
async fn addresses_that_name_no_store() {
    let open = |url: &str| Store::open(url).graph(graph());
    for (url, expected) in [
        (
            "meta.duckdb",
            "`meta.duckdb` names no store: it should look like `duckdb:path/to/file.duckdb`, \
             `duckdb::memory:`, `postgres://user:password@host:5432/database`, \
             `clickhouse://user:password@host:8123/database` or `memory:`",
        ),
        (
            "mysql://user:secret@host/db",
            "`mysql://***@host/db` names no store: it should look like \
             `duckdb:path/to/file.duckdb`, `duckdb::memory:`, \
             `postgres://user:password@host:5432/database`, \
             `clickhouse://user:password@host:8123/database` or `memory:`",
        ),
        (
            "duckdb:",
            "`duckdb:` names no store: a path is missing: `duckdb:path/to/file.duckdb` or \
             `duckdb::memory:`",
        ),
        (
            "duckdb::memory:?threads",
            "`duckdb::memory:?threads` names no store: what follows a `?` are settings, as \
             `?memory_limit=4GB&threads=2`",
        ),
        (
            "duckdb::memory:?preserve_insertion_order=false",
            "`duckdb::memory:?preserve_insertion_order=false` names no store: counts come before records \
             because DuckDB keeps the order of what a statement says, so that `preserve_insertion_order` \
             stays as it is",
        ),
        (
            "duckdb::memory:?access_mode=READ_ONLY",
            "`duckdb::memory:?access_mode=READ_ONLY` names no store: `.read_only(true)` decides about \
             `access_mode`",
        ),
    ] {
        assert_eq!(open(url).await.expect_err(url).to_string(), expected);
    }
}

#[tokio::test]
async fn settings_of_duckdb_come_with_the_address() {
    let place = Place::new();
    let open =
        |settings: &str| Store::open(place.url() + settings).graph(graph()).create_tables(true);
    let error = open("?memory_limit=plenty").await.expect_err("no size");
    assert!(matches!(error, Error::Database { engine: "DuckDB", .. }), "{error}");

    let store = open("?memory_limit=512MB&threads=1").await.expect("a store");
    store.sync(vec![video("a", "1", "1")]).partial(true).await.expect("a sync");
    drop(open("?threads=1").await.expect("what is left out is as it is"));
    let error = open("?threads=2").await.expect_err("another setting");
    assert_eq!(
        error.to_string().replace(&place.url(), "duckdb:meta.duckdb"),
        "`duckdb:meta.duckdb?threads=2` names no store: this process has the file open without this \
         setting; name it in the address that is opened first"
    );
    drop(store);
    open("?threads=2").await.expect("it was closed");
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused() {
    let place = Place::new();
    std::fs::write(place.path("meta.duckdb"), "not a database ".repeat(1_000)).expect("a file");
    let error = place.open(&graph()).await.expect_err("no database");
    assert!(matches!(error, Error::Database { engine: "DuckDB", .. }), "{error}");
    assert!(error.to_string().contains("not a valid DuckDB database file"), "{error}");
}

#[tokio::test]
async fn without_create_tables_nothing_is_made() {
    let place = Place::new();
    let store = Store::open(place.url()).graph(graph()).await.expect("a store");
    let no_table = "`example/video` has no table `example__video` in this store; write to it first, \
                    with `.create_tables(true)` when the store is opened";
    let no_system_table = "this store has no table `metaxy_system__field_versions`; open it with \
                           `.create_tables(true)` before anything is written";
    let error = store.read_of(&key("example/video")).batches().await.err().expect("no table");
    assert_eq!(error.to_string(), no_table);
    let error = store.sync(vec![video("a", "1", "1")]).await.expect_err("no table");
    assert_eq!(error.to_string(), no_system_table);
    let rows = [json!({ "video_id": "a", "path": "p", "audio": "1", "frames": "1" })];
    let error = write(&store, "example/video", &rows).await.expect_err("no table");
    assert_eq!(error.to_string(), no_system_table);
    // A dry run makes nothing and needs nothing.
    let report = store.sync(vec![video("a", "1", "1")]).dry_run(true).await.expect("counts");
    assert_eq!(report.counts.new, 1);
    let counts = store.count_update_of(&key("example/crop")).await.expect("counts");
    assert!(counts.is_up_to_date(), "what has no table is empty");
    drop(store);
    assert_eq!(place.query("SELECT table_name FROM duckdb_tables()"), Vec::<Value>::new());

    // The tables of another program are used as they are.
    let store = place.open(&graph()).await.expect("a store");
    store.sync(vec![video("a", "1", "1")]).await.expect("a sync");
    drop(store);
    place.execute("ALTER TABLE example__video DROP path");
    let store = Store::open(place.url()).graph(graph()).await.expect("a store");
    let lacks = "the table `example__video` of `example/video` lacks the columns `path`; add them \
                 to the table, or open the store with `.create_tables(true)`";
    let error = store.sync(vec![video("a", "2", "1")]).await.expect_err("no column");
    assert_eq!(error.to_string(), lacks);
    let error = store.read_of(&key("example/video")).batches().await.err().expect("no column");
    assert_eq!(error.to_string(), lacks);
    drop(store);

    // With leave to make them, columns are added; older rows have no value there.
    let store = place.open(&graph()).await.expect("a store");
    store.sync(vec![video("b", "1", "1")]).partial(true).await.expect("a sync");
    let paths: Vec<Value> =
        read(&store, "example/video").await.iter().map(|row| row["path"].clone()).collect();
    assert_eq!(paths, [Value::Null, json!("/videos/b.mp4")]);
}

/// Another process that holds the database, until this is dropped.
struct Holder {
    process: Child,
}

impl Holder {
    /// Starts it; what it says first.
    fn start(path: &Path) -> (Self, String) {
        Self::run(env!("CARGO_BIN_EXE_hold"), path)
    }

    /// Starts a program with an argument; what it says first.
    fn run(program: &str, argument: impl AsRef<std::ffi::OsStr>) -> (Self, String) {
        let mut process = Command::new(program)
            .arg(argument)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a process");
        let mut line = String::new();
        let output = process.stdout.as_mut().expect("a pipe");
        BufReader::new(output).read_line(&mut line).expect("a line");
        (Self { process }, line.trim().to_owned())
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        self.process.wait().expect("an end");
    }
}

#[tokio::test]
async fn a_database_of_another_process_is_locked() {
    let place = Place::new();
    let (holder, said) = Holder::start(&place.path("meta.duckdb"));
    assert_eq!(said, "held");
    let error = place.open(&graph()).await.expect_err("a lock");
    assert!(error.is_transient());
    let Error::Locked { path, pid } = &error else { panic!("{error}") };
    assert_eq!(*pid, Some(holder.process.id()));
    assert!(path.ends_with("meta.duckdb"), "{path}");
    assert_eq!(
        error.to_string(),
        format!(
            "the database `{path}` is in use by the process {}; DuckDB lets one process write: \
             wait for it or end it, and share one `Store` within a process",
            holder.process.id()
        )
    );
    drop(holder);
    place.open(&graph()).await.expect("the lock is gone");
}

/// Whether another process can have the database: nothing of this one has it open.
pub(crate) fn is_free(place: &Place) -> bool {
    let (_holder, said) = Holder::start(&place.path("meta.duckdb"));
    said == "held"
}

/// DuckDB keeps other processes out of a file, but not the one that has it open.
#[tokio::test]
async fn stores_over_one_file_share_it() {
    let place = Place::new();
    let first = place.open(&graph()).await.expect("a store");
    let folder = place.path("");
    let spelled = format!("duckdb:{}/./meta.duckdb", folder.display());
    let second = Store::open(spelled).graph(graph()).create_tables(true).await.expect("a store");
    let mut times = Vec::new();
    for n in 0..5 {
        for (name, store) in [("a", &first), ("b", &second)] {
            let report = store.sync(vec![video(&format!("{name}{n}"), "1", "1")]).partial(true);
            times.extend(report.await.expect("a sync").written.time);
        }
    }
    assert!(times.is_sorted_by(|a, b| a < b), "{times:?}");
    assert_eq!(read(&first, "example/video").await.len(), 10);
    drop(first);
    assert_eq!(read(&second, "example/video").await.len(), 10, "the other keeps it open");
    assert!(!is_free(&place));
    drop(second);
    assert!(is_free(&place), "the last one has closed it");
    let store = place.open(&graph()).await.expect("a store");
    assert_eq!(read(&store, "example/video").await.len(), 10, "nothing was overwritten");
    let error = place.open(&graph()).hash_algorithm(HashAlgorithm::Md5).await;
    assert!(matches!(error, Err(Error::OtherSettings { .. })), "settings are checked for each");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_file_can_be_opened_and_closed_by_many_at_once() {
    let place = std::sync::Arc::new(Place::new());
    let tasks = (0..8).map(|task| {
        let place = std::sync::Arc::clone(&place);
        tokio::spawn(async move {
            for n in 0..5 {
                let store = place.open(&graph()).await.expect("a store");
                let sample = video(&format!("{task}-{n}"), "1", "1");
                store.sync(vec![sample]).partial(true).await.expect("a sync");
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.expect("a task");
    }
    let rows = place.query("SELECT count(*) AS n FROM example__video");
    assert_eq!(rows, [json!({ "n": 40 })]);
}

fn of_a() -> metaxy::FeatureGraph {
    let a = json!({ "key": "a", "id_columns": ["id"], "fields": ["x"] });
    let b =
        json!({ "key": "b", "id_columns": ["id"], "fields": ["x"], "deps": [{"feature": "a"}] });
    metaxy_tests::flow::graph(&[a, b])
}

fn row(id: u32) -> Value {
    json!({ "id": id, "metaxy_provenance_by_field": {"x": "1"} })
}

/// A file with the records 1 and 2 of `a`.
async fn two_records() -> Place {
    let place = Place::new();
    let store = place.open(&of_a()).await.expect("a store");
    write(&store, "a", &[row(1), row(2)]).await.expect("good rows");
    place
}

#[tokio::test]
async fn a_store_for_reading_reads_and_refuses_writes() {
    let place = two_records().await;
    let store = place.open(&of_a()).read_only(true).await.expect("a store");
    assert_eq!(read(&store, "a").await.len(), 2);
    assert_eq!(metaxy_tests::flow::counts(&store, "b").await.new, 2);
    assert_eq!(metaxy_tests::flow::increment(&store, "b").await.len(), 2);
    let samples = || metaxy_tests::batch::batch(&[row(1), row(3)]);
    let dry = store.sync_of(&key("a"), samples()).dry_run(true).await.expect("counts");
    assert_eq!((dry.counts.new, dry.counts.orphaned), (1, 1));

    let (a, b) = (key("a"), key("b"));
    let ids = [metaxy_tests::batch::batch(&[json!({ "id": 1 })])];
    for refused in [
        write(&store, "a", &[row(3)]).await.map(drop),
        store.sync_of(&a, samples()).await.map(drop),
        store.delete_of(&a, &ids).await.map(drop),
        store.delete_where_of(&a, "id = 1").hard(true).await.map(drop),
        store.delete_orphans_of(&b).await.map(drop),
        store.undelete_of(&a, &ids).await.map(drop),
        store.vacuum_of(&a).await.map(drop),
        store.rebase_of(&b).await.map(drop),
    ] {
        let error = refused.expect_err("a refusal");
        assert_eq!(
            error.to_string(),
            "the store was opened with `.read_only(true)`: nothing can be written to it"
        );
    }
    drop(store);
    let store = place.open(&of_a()).await.expect("a store");
    assert_eq!(read(&store, "a").await.len(), 2);
}

#[tokio::test]
async fn what_is_not_there_cannot_be_read() {
    let place = Place::new();
    let error = place.open(&of_a()).read_only(true).await.expect_err("no file");
    let path = place.path("meta.duckdb");
    assert_eq!(
        error.to_string(),
        format!(
            "there is no store in `{}` that could be read; open it without `.read_only(true)` first",
            path.display()
        )
    );
    assert!(!path.exists());
    let error = Store::open("duckdb::memory:").graph(of_a()).read_only(true).await;
    assert!(matches!(error, Err(Error::NoStore { place }) if place == "memory"));
}

#[tokio::test]
async fn one_process_reads_beside_its_writer() {
    let place = two_records().await;
    let writes = place.open(&of_a()).await.expect("a store");
    let reads = place.open(&of_a()).read_only(true).await.expect("it shares the database");
    write(&writes, "a", &[row(3)]).await.expect("good rows");
    assert_eq!(read(&reads, "a").await.len(), 3, "what is written is seen");
    assert!(matches!(write(&reads, "a", &[row(4)]).await, Err(Error::ReadOnly)));
    drop((writes, reads));

    let reads = place.open(&of_a()).read_only(true).await.expect("a store");
    let again = place.open(&of_a()).read_only(true).await.expect("another one");
    let error = place.open(&of_a()).await.expect_err("a second opening");
    assert_eq!(
        error.to_string(),
        format!(
            "this process has the database `{}` open with `.read_only(true)`; drop that store \
             before one is opened that writes, or open the one that writes first",
            place.path("meta.duckdb").display()
        )
    );
    drop((reads, again));
    place.open(&of_a()).await.expect("nobody reads any more");
}

#[tokio::test]
async fn any_number_of_processes_read() {
    let place = two_records().await;
    let look = || Holder::run(env!("CARGO_BIN_EXE_look"), place.url());
    let store = place.open(&of_a()).read_only(true).await.expect("a store");
    let others: Vec<_> = (0..3).map(|_| look()).collect();
    for (_, said) in &others {
        assert_eq!(said, "2");
    }
    assert_eq!(read(&store, "a").await.len(), 2, "all at the same time");
    drop(store);
    let error = place.open(&of_a()).await.expect_err("others read");
    assert!(matches!(error, Error::Locked { .. }), "{error}");
    drop(others);

    // And nobody reads while somebody writes.
    let store = place.open(&of_a()).await.expect("nobody reads any more");
    let (_other, said) = look();
    assert!(said.contains("is in use by"), "{said}");
    write(&store, "a", &[row(3)]).await.expect("good rows");
    drop(store);
    let (_other, said) = look();
    assert_eq!(said, "3");
}
