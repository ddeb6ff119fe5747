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
use metaxy_tests::runtime;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{
    Config, FileFailurePersistence, RngAlgorithm, TestCaseError, TestRng, TestRunner,
};

/// Histories of a run without any wish.
const CASES: u32 = 2_000;

/// Histories after which every rule that is left out has to be told.
const MOST_FOR_RULES: usize = 100;

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

/// Groups, expansions, optional upstreams and filters.
#[test]
fn new_stores_of_all_lineages_do_what_memory_does() {
    hold(49, false, true);
}

#[test]
fn full_stores_of_all_lineages_do_what_memory_does() {
    hold(2, true, true);
}

#[cfg(feature = "servers")]
mod on_servers {
    use super::*;
    use metaxy_tests::databases::Database;

    /// Histories of a run on a server without any wish: each has a database of its own, and takes
    /// seconds.
    const CASES: u32 = 60;

    /// Runs half of the histories, with or without all lineages.
    fn hold(database: impl AsyncFn() -> Database, has_lineages: bool) {
        let cases = std::env::var("METAXY_PROPERTY_CASES").ok().and_then(|n| n.parse().ok());
        let runtime = runtime();
        hold_all((cases.unwrap_or(CASES).div_ceil(2), 60), false, has_lineages, |history| {
            runtime.block_on(async {
                let database = database().await;
                machine::run_on(&database.url(), history, &[]).await.map(drop)
            })
        });
    }

    #[test]
    fn postgres_does_what_memory_does() {
        hold(Database::postgres, false);
    }

    #[test]
    fn postgres_does_what_memory_does_in_all_lineages() {
        hold(Database::postgres, true);
    }

    #[test]
    fn clickhouse_does_what_memory_does() {
        hold(Database::clickhouse, false);
    }

    #[test]
    fn clickhouse_does_what_memory_does_in_all_lineages() {
        hold(Database::clickhouse, true);
    }
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

/// Where the store and the one in memory are wrong in the same way, the laws tell.
#[test]
fn laws_alone_tell_that_a_rule_is_left_out() {
    let runtime = runtime();
    // Of the others the laws tell too, after more histories; what they cannot tell is the cause of an
    // orphan, and what a call leaves out.
    let mut untold = vec![
        Rule::LatestFirst,
        Rule::OutdatedByParents,
        Rule::Blocked,
        Rule::RootCodeVersion,
        Rule::SharedIds,
        Rule::SealsDecide,
        Rule::OptionalRowsOutdateToo,
    ];
    let config = Config { failure_persistence: None, ..Config::default() };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(config, rng);
    for _ in 0..MOST_FOR_RULES {
        let history = histories(true, true).new_tree(&mut runner).expect("a history").current();
        let holds = |without| runtime.block_on(machine::hold_to_laws(&history, without));
        holds(None).unwrap_or_else(|failure| panic!("{failure}"));
        untold.retain(|rule| holds(Some(*rule)).is_ok());
        if untold.is_empty() {
            break;
        }
    }
    assert!(untold.is_empty(), "the laws hold without these: {untold:?}");
}
