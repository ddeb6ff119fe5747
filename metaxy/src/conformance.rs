//! What every engine has to do, as tests that somebody who writes a [`Backend`] runs against it
//! (cargo feature `conformance`).
//!
//! An [`Engine`] opens new, empty stores. [`tests!`](tests) makes a test of each of the [`CASES`], so that
//! one that fails is named, and can be run alone; [`Histories`] runs as many random histories as one asks
//! for, each on a new store, and compares it after every step with [`Memory`], which is the definition of
//! correct.
//!
//! ```
//! use futures::future::BoxFuture;
//! use metaxy::conformance::{self, Engine, Histories};
//! use metaxy::store::Settings;
//! # use metaxy::store::memory::Memory as MyBackend;
//! use metaxy::{FeatureGraph, Result, Store};
//! use std::sync::Arc;
//!
//! struct Mine;
//!
//! impl Engine for Mine {
//!     fn open(&self, graph: FeatureGraph, settings: Settings) -> BoxFuture<'_, Result<Store>> {
//!         Box::pin(async move {
//!             // Each call needs a database of its own: `self` may keep it until the test has ended.
//!             let Settings { hash_algorithm, hash_truncation_length, .. } = settings;
//!             let backend = MyBackend::new(hash_algorithm, hash_truncation_length);
//!             Ok(Store::with_backend(Arc::new(backend), graph))
//!         })
//!     }
//! }
//!
//! // A `#[test]` of each case: `hazards::h06_a_bump_is_stale_with_its_reason` and all others.
//! conformance::tests!(Mine);
//!
//! #[test]
//! fn random_histories() {
//!     Histories::new(300).all_lineages(true).hold(|| Mine);
//! }
//! # fn main() {
//! # conformance::run(&Mine, "hazards::h06_a_bump_is_stale_with_its_reason");
//! # Histories::new(3).all_lineages(true).hold(|| Mine);
//! # }
//! ```
//!
//! A case fails by a panic that says what was expected. Where one needs what an engine may lack
//! ([`Engine::foreign`]), it says that it does not apply, and passes.
//!
//! [`agree`] holds an engine to another one: whoever hashes alike has the same bytes.
//!
//! What cases say and compare rows with is in [`batch`] and [`flow`], the answers of the Python
//! implementation in [`golden`], and texts that hurt where somebody forgot to quote them in [`texts`].
//!
//! [`Backend`]: crate::store::Backend
//! [`Memory`]: crate::store::memory::Memory

#![allow(clippy::test_attr_in_doctest, reason = "the example shows how tests are made")]

pub mod batch;
mod cases;
mod filters;
pub mod flow;
mod foreign;
pub mod golden;
mod hazards;
mod histories;
mod identifiers;
mod lineage;
mod pairs;
mod records;
pub mod texts;
mod values;

#[doc(inline)]
pub use crate::__conformance_tests as tests;
pub use cases::CASES;
pub use foreign::Foreign;
pub use histories::{Histories, History};
pub use pairs::agree;

use crate::error::Result;
use crate::graph::FeatureGraph;
use crate::key::FeatureKey;
use crate::store::{Settings, Store};
use futures::future::{BoxFuture, LocalBoxFuture};
use md5::{Digest, Md5};
use metaxy_sql::HashAlgorithm;
use std::fmt;
use tokio::runtime::{Builder, Runtime};

/// How stores are opened: what the suite has to know of an engine.
pub trait Engine: Send + Sync {
    /// Opens a new store, empty and apart from all others, that may make tables and hashes like this.
    ///
    /// The suite asks for algorithms that the engine [`hashes`](Self::hashes).
    fn open(&self, graph: FeatureGraph, settings: Settings) -> BoxFuture<'_, Result<Store>>;

    /// Whether stores can hash so. All of them need [`HashAlgorithm::Md5`].
    fn hashes(&self, algorithm: HashAlgorithm) -> bool {
        let _ = algorithm;
        true
    }

    /// How many bytes the name of a table or a column may have, if there is a limit: a longer one has to be
    /// refused when tables are made.
    fn longest_name(&self) -> Option<usize> {
        None
    }

    /// Changes the table of a feature past the store, as another program would with statements of its
    /// own; the store, which is given away so that a file can be closed, comes back.
    ///
    /// None, where no other program can reach the tables: the cases that need it do not apply then.
    fn foreign<'a>(
        &'a self,
        store: Store,
        feature: &'a FeatureKey,
        change: Foreign,
    ) -> Option<BoxFuture<'a, Store>> {
        let _ = (store, feature, change);
        None
    }
}

/// One thing that every engine has to do.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Case {
    /// The group and the name: `hazards::h06_a_bump_is_stale_with_its_reason`.
    pub name: &'static str,
    run: for<'a> fn(&'a dyn Engine) -> LocalBoxFuture<'a, Outcome>,
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Case").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What became of a case that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// The engine does it.
    Held,
    /// The engine lacks what the case needs, and says so.
    NotApplicable {
        /// What it lacks.
        lacks: &'static str,
    },
}

impl From<()> for Outcome {
    fn from((): ()) -> Self {
        Self::Held
    }
}

impl Case {
    /// Runs the case on new stores of an engine.
    ///
    /// # Panics
    /// If the engine does something else.
    pub async fn run(&self, engine: &dyn Engine) -> Outcome {
        (self.run)(engine).await
    }
}

/// Runs the case of this name, as the tests do that [`tests!`](tests) makes.
///
/// # Panics
/// If there is none, or the engine does something else.
pub fn run(engine: &dyn Engine, name: &str) {
    let Some(case) = CASES.iter().find(|case| case.name == name) else {
        panic!("there is no case `{name}`; `conformance::CASES` has them all")
    };
    if let Outcome::NotApplicable { lacks } = runtime().block_on(case.run(engine)) {
        eprintln!("not applicable: {name} needs {lacks}");
    }
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// How the stores of most cases hash: as all engines can.
const SETTINGS: Settings =
    Settings { hash_algorithm: HashAlgorithm::Md5, hash_truncation_length: 16 };

/// A new store of an engine.
async fn open(engine: &dyn Engine, graph: &FeatureGraph) -> Store {
    engine.open(graph.clone(), SETTINGS).await.expect("a store")
}

/// The hash of a text as the stores of most cases make it.
fn md5(text: &str) -> String {
    hex::encode(Md5::digest(text)).chars().take(SETTINGS.hash_truncation_length).collect()
}
