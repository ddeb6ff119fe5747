//! The test of the test: a store in memory without one of its rules is told from the others by some
//! random history. It has a command of its own: `cargo xtask rules`.

use metaxy::conformance::{Histories, History};
use metaxy::store::memory::Rule;
use metaxy_tests::runtime;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// Histories at most; a quarter of them is enough today.
const MOST: usize = 600;

/// Runs histories, the same ones every time, until the absence of each rule has shown.
#[test]
fn every_rule_is_noticed() {
    let runtime = runtime();
    let config = Config { failure_persistence: None, ..Config::default() };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let random = (0..MOST).map(|i| {
        let has_lineages = i % 3 != 0;
        let histories = Histories::new(1).all_lineages(has_lineages);
        let histories = histories.full(has_lineages || i % 2 == 0).strategy();
        histories.new_tree(&mut runner).expect("a history").current()
    });
    let mut unnoticed = Rule::ALL.to_vec();
    for history in History::known().into_iter().chain(random) {
        let noticed = runtime.block_on(history.notice(&unnoticed));
        let noticed = noticed.unwrap_or_else(|failure| panic!("{failure}"));
        unnoticed.retain(|rule| !noticed.contains(rule));
        if unnoticed.is_empty() {
            break;
        }
    }
    assert!(unnoticed.is_empty(), "no history tells when these are left out: {unnoticed:?}");
}
