//! [`Rebase`]: records of former definitions get today's, where their output is the same.

use crate::awaited::awaited;
use crate::error::{Error, Result};
use crate::feature::Feature;
use crate::increment::Reason;
use crate::key::FeatureKey;
use crate::store::Store;
use crate::store::backend::{RebaseOptions, Rebased, Written};
use metaxy_sql::literal::check_text;

/// A rebase that has not begun; `.await` it. It gives the number of rows that were appended; of an
/// expansion these are the children of the parents that are rebased, and their seals are counted as
/// well.
///
/// By itself it takes only records whose provenance is what it would be today: nothing is claimed
/// that the store does not know. Everything beyond that is accepted by somebody, for a reason, and
/// both are kept.
#[must_use = "a rebase begins with `.await`"]
#[derive(Clone, Debug)]
pub struct Rebase {
    store: Store,
    key: FeatureKey,
    options: RebaseOptions,
}

impl Rebase {
    /// Takes stale records as well, all of whose stale fields have reasons that are accepted. Their
    /// data versions stay, so that nothing downstream becomes stale.
    ///
    /// It has to be said [who](Self::by) accepts it, and [why](Self::because).
    pub fn accept(mut self, reason: Reason) -> Self {
        if !self.options.accept.contains(&reason) {
            self.options.accept.push(reason);
        }
        self
    }

    /// Only records whose stored row fulfils this filter.
    pub fn only(mut self, filter: impl Into<String>) -> Self {
        self.options.filter = Some(filter.into());
        self
    }

    /// Who accepts it.
    pub fn by(mut self, name: impl Into<String>) -> Self {
        self.options.by = name.into();
        self
    }

    /// Why the output would be the same.
    pub fn because(mut self, reason: impl Into<String>) -> Self {
        self.options.reason = reason.into();
        self
    }

    /// Whether to count only and change nothing.
    pub fn dry_run(mut self, dry_run: bool) -> Self {
        self.options.dry_run = dry_run;
        self
    }

    #[tracing::instrument(skip_all, fields(feature = %self.key))]
    async fn run(self) -> Result<Written> {
        let feature = self.store.feature(&self.key)?;
        if feature.is_root() {
            return Err(Error::WrongKind {
                feature: self.key,
                problem: "has no upstream that says what its records should be",
                fix: "`store.sync(samples)` brings a root to its definition of today",
            });
        }
        check_text(&self.options.by)?;
        check_text(&self.options.reason)?;
        let is_missing = |text: &String| text.trim().is_empty();
        let RebaseOptions { accept, by, reason, .. } = &self.options;
        if !accept.is_empty() && (is_missing(by) || is_missing(reason)) {
            return Err(Error::NobodyAccepts { feature: self.key });
        }
        self.store.needs_upstreams_here(std::slice::from_ref(&self.key), "a rebase").await?;
        self.store.backend.rebase(feature, self.options).await
    }
}

awaited!(Rebase => Written);

/// Rebases.
impl Store {
    /// Gives records of former definitions today's, without computing them again: those whose
    /// provenance is the same today, and those that somebody [accepts](Rebase::accept).
    ///
    /// ```no_run
    /// # use metaxy::{prelude::*, Reason, Store};
    /// # async fn f<Crop: Feature>(store: &Store) -> metaxy::Result<()> {
    /// let rebase = store.rebase::<Crop>().accept(Reason::Code);
    /// rebase.by("ada").because("version 2 only renames a variable").await?;
    /// # Ok(()) }
    /// ```
    pub fn rebase<F: Feature>(&self) -> Rebase {
        self.rebase_of(&F::key())
    }

    /// [`rebase`](Self::rebase) for a feature that is named by its key.
    pub fn rebase_of(&self, key: &FeatureKey) -> Rebase {
        Rebase { store: self.clone(), key: key.clone(), options: RebaseOptions::default() }
    }

    /// The rebases of a feature: when, who, and why; the latest last.
    ///
    /// # Errors
    /// When the graph does not have the feature, or the store fails.
    pub async fn rebases_of(&self, key: &FeatureKey) -> Result<Vec<Rebased>> {
        self.backend.rebases(self.feature(key)?).await
    }

    /// [`rebases_of`](Self::rebases_of) for a feature that is a struct.
    ///
    /// # Errors
    /// As [`rebases_of`](Self::rebases_of).
    pub async fn rebases<F: Feature>(&self) -> Result<Vec<Rebased>> {
        self.rebases_of(&F::key()).await
    }
}
