//! The test of the test: a store in memory without one of its rules is told from the others by some
//! random history. It takes minutes, so it has a command of its own: `cargo xtask rules`.
//!
//! Rules that take calls, rows of other programs or rare coincidences are missed by the cases of
//! `tests/memory`.

mod history;
mod machine;
mod program;
mod rows;

use history::{histories, known};
use metaxy::store::memory::Rule;
use metaxy_tests::runtime;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

#[test]
fn every_rule_of_plain_lineage_is_noticed() {
    /// The first rules are those.
    const N_PLAIN: usize = 12;
    notice(&Rule::ALL[..N_PLAIN], 100, false);
}

#[test]
fn every_rule_of_all_lineages_is_noticed() {
    let rules = [
        Rule::SealsDecide,
        Rule::GroupValuesInOrder,
        Rule::OneRowPerGroup,
        Rule::OptionalAbsentIsEmpty,
        Rule::OptionalRowsOutdateToo,
        Rule::FiltersBeforeJoin,
        Rule::ExcludedIsNotMissing,
        Rule::HardDeletesLeaveATrace,
        Rule::NullsSkippedInGroups,
    ];
    notice(&rules, 300, true);
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
