//! Random programs and random histories: the store does what the one in memory does, which is the
//! definition of correct, and the laws hold.
//!
//! `METAXY_PROPERTY_CASES` asks for another number of histories. A history that fails is made
//! smaller, told step by step, and kept in `proptest-regressions/properties.txt`, from where every
//! later run begins.

mod history;
mod machine;
mod program;
mod rows;

use history::{histories, known};
use metaxy_tests::runtime;
use proptest::test_runner::{Config, FileFailurePersistence, TestCaseError, TestRunner};

/// Histories of a run without any wish.
const CASES: u32 = 2_000;

fn cases() -> u32 {
    std::env::var("METAXY_PROPERTY_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(CASES)
}

/// Runs a share of the histories, in percent.
fn hold(percent: u32, begins_full: bool, has_lineages: bool) {
    let cases = (cases() * percent / 100).max(1);
    let runtime = runtime();
    hold_all((cases, 600), begins_full, has_lineages, |history| {
        runtime.block_on(machine::run(history, &[])).map(drop)
    });
}

/// Runs so many histories; one that fails is made smaller so many times.
fn hold_all(
    (cases, max_shrink_iters): (u32, u32),
    begins_full: bool,
    has_lineages: bool,
    run: impl Fn(&history::History) -> Result<(), String>,
) {
    let mut runner = TestRunner::new(Config {
        cases,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(
            "proptest-regressions/properties.txt",
        ))),
        max_shrink_iters,
        ..Config::default()
    });
    let result = runner.run(&histories(begins_full, has_lineages), |history| {
        run(&history).map_err(TestCaseError::fail)
    });
    if let Err(failure) = result {
        panic!("{failure}");
    }
}

#[test]
fn new_stores_do_what_memory_does() {
    hold(47, false, false);
}

/// These take the longest: everything was computed once before they begin.
#[test]
fn full_stores_do_what_memory_does() {
    hold(2, true, false);
}

/// Groups, expansions, optional upstreams and filters. The laws are not held here, since the third
/// account knows plain upstreams only; stores are compared.
#[test]
fn new_stores_of_all_lineages_do_what_memory_does() {
    hold(49, false, true);
}

#[test]
fn full_stores_of_all_lineages_do_what_memory_does() {
    hold(2, true, true);
}

/// Histories of a run on a server without any wish: each has a database of its own.
#[cfg(feature = "servers")]
const CASES_ON_SERVERS: u32 = 300;

#[cfg(feature = "servers")]
fn hold_on_clickhouse(has_lineages: bool) {
    use metaxy_tests::databases::Database;
    let cases = std::env::var("METAXY_PROPERTY_CASES").ok().and_then(|n| n.parse().ok());
    let runtime = runtime();
    let cases = cases.unwrap_or(CASES_ON_SERVERS) / 2;
    hold_all((cases, 60), false, has_lineages, |history| {
        runtime.block_on(async {
            let database = Database::clickhouse().await;
            machine::run_on(&database.url(), history, &[]).await.map(drop)
        })
    });
}

#[cfg(feature = "servers")]
#[test]
fn clickhouse_does_what_memory_does() {
    hold_on_clickhouse(false);
}

#[cfg(feature = "servers")]
#[test]
fn clickhouse_does_what_memory_does_in_all_lineages() {
    hold_on_clickhouse(true);
}

/// Histories that are rare among the random ones, or have found something.
#[test]
fn known_histories_do_what_memory_does() {
    for history in known() {
        runtime()
            .block_on(machine::run(&history, &[]))
            .unwrap_or_else(|failure| panic!("{failure}"));
    }
}
