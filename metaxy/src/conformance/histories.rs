//! Random programs and random histories: a store does what the one in memory does, which is the
//! definition of correct, and the laws hold.
//!
//! In: how many histories, of which sort. Out: nothing, or the smallest history that tells the two
//! apart, told step by step. How one is made is in [`history`] and [`program`], how it is run in
//! [`machine`].

mod history;
mod machine;
mod program;
mod rows;

pub use history::History;

use crate::conformance::{Engine, runtime};
use crate::store::memory::Rule;
use proptest::strategy::Strategy;
use proptest::test_runner::{Config, FileFailurePersistence, TestCaseError, TestRunner};
use std::collections::BTreeSet;

/// Random histories of one sort: short ones of a new store with features of plain lineages, unless
/// something else is asked for.
#[derive(Clone, Copy, Debug)]
#[must_use = "nothing is run before `hold`"]
pub struct Histories {
    cases: u32,
    shrinks: u32,
    regressions: Option<&'static str>,
    begin_full: bool,
    have_lineages: bool,
    are_long: bool,
}

impl Histories {
    /// So many histories.
    pub const fn new(cases: u32) -> Self {
        Self {
            cases,
            shrinks: 100,
            regressions: None,
            begin_full: false,
            have_lineages: false,
            are_long: false,
        }
    }

    /// Whether features are groups, children or optional, or filter their upstreams.
    pub const fn all_lineages(self, have_lineages: bool) -> Self {
        Self { have_lineages, ..self }
    }

    /// Whether everything was computed once before a history begins. These are long, and take the
    /// longest.
    pub const fn full(self, begin_full: bool) -> Self {
        Self { begin_full, ..self }
    }

    /// Whether there are up to six features and twelve steps, and not four of each.
    pub const fn long(self, are_long: bool) -> Self {
        Self { are_long, ..self }
    }

    /// How often a history that fails is made smaller, at most. Each time takes another store.
    pub const fn shrinks(self, shrinks: u32) -> Self {
        Self { shrinks, ..self }
    }

    /// A file that keeps what has failed; every later run begins with that.
    pub const fn regressions(self, file: &'static str) -> Self {
        Self { regressions: Some(file), ..self }
    }

    /// Runs them, each on a new engine, which is dropped when the history has ended.
    ///
    /// # Panics
    /// If a store differs from the one in memory, or a law does not hold: with the smallest history
    /// found, and what happened in it.
    pub fn hold<E: Engine>(self, engine: impl Fn() -> E) {
        let runtime = runtime();
        let persistence = self.regressions.map(|file| {
            Box::new(FileFailurePersistence::Direct(file))
                as Box<dyn proptest::test_runner::FailurePersistence>
        });
        let mut runner = TestRunner::new(Config {
            cases: self.cases,
            failure_persistence: persistence,
            max_shrink_iters: self.shrinks,
            ..Config::default()
        });
        let result = runner.run(&self.strategy(), |history| {
            let engine = engine();
            runtime.block_on(history.hold(&engine)).map_err(TestCaseError::fail)
        });
        if let Err(failure) = result {
            panic!("{failure}");
        }
    }

    /// What makes the histories.
    pub fn strategy(self) -> impl Strategy<Value = History> + use<> {
        history::histories(self.begin_full, self.have_lineages, self.are_long)
    }
}

impl History {
    /// Histories that are worth a run every time: they are rare among the random ones, or have found
    /// something.
    #[must_use]
    pub fn known() -> Vec<Self> {
        history::known()
    }

    /// Runs the history on a new store of an engine beside one in memory, and brings everything up to
    /// date at last.
    ///
    /// # Errors
    /// What differs, and how it came to that.
    pub async fn hold(&self, engine: &dyn Engine) -> Result<(), String> {
        machine::hold(engine, self).await
    }

    /// Runs the history in memory alone. Gives those of some rules whose absence would have shown: for
    /// tests of the tests.
    ///
    /// # Errors
    /// If a law does not hold.
    #[doc(hidden)]
    pub async fn notice(&self, rules: &[Rule]) -> Result<BTreeSet<Rule>, String> {
        machine::notice(self, rules).await
    }

    /// Runs the history where both stores are in memory, and perhaps without the same rule: only the
    /// laws can fail. For tests of the tests.
    ///
    /// # Errors
    /// If a law does not hold.
    #[doc(hidden)]
    pub async fn hold_to_laws(&self, without: Option<Rule>) -> Result<(), String> {
        machine::hold_to_laws(self, without).await
    }
}

/// The known histories, as a case.
pub(crate) async fn known_histories_do_what_memory_does(engine: &dyn Engine) {
    for history in History::known() {
        history.hold(engine).await.unwrap_or_else(|failure| panic!("{failure}"));
    }
}
