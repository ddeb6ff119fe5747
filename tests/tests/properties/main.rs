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
    let runtime = runtime();
    let mut runner = TestRunner::new(Config {
        cases: (cases() * percent / 100).max(1),
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(
            "proptest-regressions/properties.txt",
        ))),
        max_shrink_iters: 600,
        ..Config::default()
    });
    let result = runner.run(&histories(begins_full, has_lineages), |history| {
        let run = runtime.block_on(machine::run(&history, &[]));
        run.map(drop).map_err(TestCaseError::fail)
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

/// Histories that are rare among the random ones, or have found something.
#[test]
fn known_histories_do_what_memory_does() {
    for history in known() {
        runtime()
            .block_on(machine::run(&history, &[]))
            .unwrap_or_else(|failure| panic!("{failure}"));
    }
}
