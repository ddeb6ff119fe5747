//! Random histories on every engine, and the laws alone. What they are is in
//! `metaxy::conformance`; here is how many.
//!
//! `METAXY_PROPERTY_CASES` asks for another number of histories. A history that fails is made
//! smaller, told step by step, and kept in `proptest-regressions/properties.txt`, from where every
//! later run begins.

use metaxy::conformance::{Engine, Histories};
use metaxy::store::memory::Rule;
use metaxy_tests::runtime;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// Histories after which every rule that is left out has to be told.
const MOST_FOR_RULES: usize = 100;

/// A share of so many histories, or of those that somebody has asked for.
///
/// Many short histories and some long ones find more than some of middle length. Who asks for more than
/// there are without any wish has time: they are long ones.
fn histories(cases: u32, percent: u32) -> Histories {
    let wish = std::env::var("METAXY_PROPERTY_CASES").ok().and_then(|n| n.parse::<u32>().ok());
    Histories::new((wish.unwrap_or(cases) * percent / 100).max(1))
        .long(wish.is_some_and(|wish| wish > cases))
        .regressions("proptest-regressions/properties.txt")
}

#[cfg(feature = "duckdb")]
mod on_duckdb {
    use super::*;
    use metaxy_tests::engines::DuckDb;

    /// Histories of a run without any wish.
    const CASES: u32 = 2_000;

    fn hold(percent: u32, sort: impl Fn(Histories) -> Histories) {
        sort(histories(CASES, percent)).shrinks(600).hold(DuckDb::default);
    }

    #[test]
    fn new_stores_do_what_memory_does() {
        hold(35, |histories| histories);
    }

    /// What only changed records were looked at for is what all would have given.
    #[test]
    fn incremental_stores_do_what_memory_does() {
        histories(CASES, 12).shrinks(600).hold(DuckDb::incremental);
    }

    #[test]
    fn incremental_full_stores_of_all_lineages_do_what_memory_does() {
        let histories = histories(CASES, 2).full(true).all_lineages(true);
        histories.shrinks(600).hold(DuckDb::incremental);
    }

    /// These take the longest: everything was computed once before they begin.
    #[test]
    fn full_stores_do_what_memory_does() {
        hold(2, |histories| histories.full(true));
    }

    /// Groups, expansions, optional upstreams and filters.
    #[test]
    fn new_stores_of_all_lineages_do_what_memory_does() {
        hold(49, |histories| histories.all_lineages(true));
    }

    #[test]
    fn full_stores_of_all_lineages_do_what_memory_does() {
        hold(2, |histories| histories.full(true).all_lineages(true));
    }
}

/// Each history has a database of its own.
#[cfg(feature = "servers")]
mod on_servers {
    use super::*;
    use metaxy_tests::engines::{ClickHouse, Postgres};

    /// Histories on each server in a run without any wish.
    const CASES: u32 = 300;

    fn hold<E: Engine>(engine: impl Fn() -> E, has_lineages: bool) {
        histories(CASES, 50).all_lineages(has_lineages).shrinks(60).hold(engine);
    }

    #[test]
    fn postgres_does_what_memory_does() {
        hold(Postgres::default, false);
    }

    #[test]
    fn postgres_does_what_memory_does_in_all_lineages() {
        hold(Postgres::default, true);
    }

    #[test]
    fn clickhouse_does_what_memory_does() {
        hold(ClickHouse::default, false);
    }

    #[test]
    fn clickhouse_does_what_memory_does_in_all_lineages() {
        hold(ClickHouse::default, true);
    }
}

/// The laws, where a history costs little: rare ones are found here.
#[test]
fn laws_hold_in_memory() {
    let histories = histories(200, 100).full(true).all_lineages(true);
    histories.shrinks(2_000).hold(|| metaxy_tests::engines::InMemory);
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
    let histories = Histories::new(1).full(true).all_lineages(true).strategy();
    for _ in 0..MOST_FOR_RULES {
        let history = histories.new_tree(&mut runner).expect("a history").current();
        let holds = |without| runtime.block_on(history.hold_to_laws(without));
        holds(None).unwrap_or_else(|failure| panic!("{failure}"));
        untold.retain(|rule| holds(Some(*rule)).is_ok());
        if untold.is_empty() {
            break;
        }
    }
    assert!(untold.is_empty(), "the laws hold without these: {untold:?}");
}
