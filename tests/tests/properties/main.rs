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
use metaxy::store::memory::Rule;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{
    Config, FileFailurePersistence, RngAlgorithm, TestCaseError, TestRng, TestRunner,
};
use tokio::runtime::{Builder, Runtime};

/// Whether histories with all kinds of lineage are run.
const LINEAGES: bool = true;

/// Histories of a run without any wish.
const CASES: u32 = 80;

fn runtime() -> Runtime {
    Builder::new_current_thread().build().expect("a runtime")
}

fn cases() -> u32 {
    std::env::var("METAXY_PROPERTY_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(CASES)
}

/// Runs histories in two halves: two tests keep two cores busy.
fn hold(begins_full: bool, has_lineages: bool) {
    let runtime = runtime();
    let mut runner = TestRunner::new(Config {
        cases: cases() / 2,
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
    hold(false, false);
}

#[test]
fn full_stores_do_what_memory_does() {
    hold(true, false);
}

/// Groups, expansions, optional upstreams and filters. The laws are not held here, since the third
/// account knows plain upstreams only; stores are compared.
#[test]
fn lineages_are_what_they_are_in_memory() {
    if LINEAGES {
        hold(true, true);
    }
}

/// The test of the test: a store in memory without one of its rules is told from the others by some
/// history. Rules about what these programs do not have are in `memory`, case by case.
#[test]
fn every_rule_is_noticed() {
    /// The first rules are those of plain lineage.
    const N_PLAIN: usize = 12;
    notice(&Rule::ALL[..N_PLAIN], 60, false);
}

/// The others, but for those that take calls, rows of other programs or rare coincidences, which are
/// in `memory` case by case.
#[test]
fn every_rule_of_lineages_is_noticed() {
    let rules = [
        Rule::SealsDecide,
        Rule::GroupValuesInOrder,
        Rule::OneRowPerGroup,
        Rule::OptionalAbsentIsEmpty,
        Rule::OptionalRowsOutdateToo,
        Rule::FiltersBeforeJoin,
        Rule::ExcludedIsNotMissing,
        Rule::HardDeletesLeaveATrace,
    ];
    if LINEAGES {
        notice(&rules, 120, true);
    }
}

/// Runs so many histories, the same ones every time, until all rules are missed.
fn notice(rules: &[Rule], n_histories: usize, has_lineages: bool) {
    let runtime = runtime();
    let config = Config { failure_persistence: None, ..Config::default() };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let random = (0..n_histories).map(|i| {
        let history = histories(has_lineages || i % 2 == 0, has_lineages).new_tree(&mut runner);
        history.expect("a history").current()
    });
    let mut unnoticed = rules.to_vec();
    for history in known().into_iter().chain(random) {
        let noticed = runtime.block_on(machine::run(&history, &unnoticed));
        let noticed = noticed.unwrap_or_else(|failure| panic!("{failure}"));
        unnoticed.retain(|rule| !noticed.contains(rule));
        if unnoticed.is_empty() {
            break;
        }
    }
    assert!(unnoticed.is_empty(), "no history tells when these are left out: {unnoticed:?}");
}
