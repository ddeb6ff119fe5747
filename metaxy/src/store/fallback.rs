//! Fallback stores: features whose records are in another store, which is only ever read.
//!
//! A feature is looked for here first, by its table, then in the fallbacks in order. It is read from
//! the first store that has a table of it, and from no other: a single row here hides all rows
//! there.

use crate::error::{Error, Result};
use crate::key::FeatureKey;
use crate::store::backend::{ExportFuture, FeatureContext};
use crate::store::{Settings, Store};
use futures::future::BoxFuture;
use std::sync::Arc;

/// Refuses to take records of two stores for comparable that are not.
pub(super) fn check_settings(here: Settings, there: Settings) -> Result<()> {
    let all = [
        ("hash_algorithm", here.hash_algorithm.to_string(), there.hash_algorithm.to_string()),
        (
            "hash_truncation_length",
            here.hash_truncation_length.to_string(),
            there.hash_truncation_length.to_string(),
        ),
    ];
    match all.into_iter().find(|(_, here, there)| here != there) {
        Some((setting, here, there)) => Err(Error::UnlikeStores { setting, here, there }),
        None => Ok(()),
    }
}

impl Store {
    async fn has(&self, key: &FeatureKey) -> Result<bool> {
        Ok(!self.backend.stored(vec![key.clone()]).await?.is_empty())
    }

    /// The store that a feature is read from: this one, or the first fallback that has it.
    pub(super) fn holder<'a: 'k, 'k>(
        &'a self,
        key: &'k FeatureKey,
    ) -> BoxFuture<'k, Result<Option<&'a Self>>> {
        Box::pin(async move {
            if self.has(key).await? {
                return Ok(Some(self));
            }
            for fallback in self.fallbacks.iter() {
                if let Some(holder) = fallback.holder(key).await? {
                    return Ok(Some(holder));
                }
            }
            Ok(None)
        })
    }

    /// Refuses calls that compare these features with their upstreams and change what they find, if
    /// one of the upstreams is in a fallback: all that is computed from it would look orphaned.
    pub(super) async fn needs_upstreams_here(&self, keys: &[FeatureKey], what: &str) -> Result<()> {
        if self.fallbacks.is_empty() {
            return Ok(());
        }
        for key in keys {
            if self.has(key).await? {
                self.needs_all_upstreams_here(std::slice::from_ref(key), what).await?;
            }
        }
        Ok(())
    }

    /// The same, also of features that have no table here.
    pub(crate) async fn needs_all_upstreams_here(
        &self,
        keys: &[FeatureKey],
        what: &str,
    ) -> Result<()> {
        if self.fallbacks.is_empty() {
            return Ok(());
        }
        for key in keys {
            for upstream in self.graph.upstreams(key) {
                let upstream = &upstream.spec.key;
                if let Some(holder) = self.holder(upstream).await?
                    && !std::ptr::eq(holder, self)
                {
                    return Err(Error::NotSupportedYet {
                        feature: key.clone(),
                        what: format!("{what} where the upstream `{upstream}` is in a fallback"),
                    });
                }
            }
        }
        Ok(())
    }

    /// The features that a resolve looks at, and whose records are in a fallback, with that.
    pub(super) async fn elsewhere(
        &self,
        feature: &FeatureContext,
    ) -> Result<Vec<(FeatureKey, &Self)>> {
        if self.fallbacks.is_empty() {
            return Ok(Vec::new());
        }
        let graph = feature.graph();
        let mut keys: Vec<FeatureKey> = Vec::new();
        for upstream in graph.upstreams(feature.key()) {
            // What blocks a record is looked up one step further.
            let further = graph.upstreams(&upstream.spec.key);
            for definition in [upstream].into_iter().chain(further) {
                if !keys.contains(&definition.spec.key) {
                    keys.push(definition.spec.key.clone());
                }
            }
        }
        let mut elsewhere = Vec::new();
        for key in keys {
            let holder = self.holder(&key).await?.filter(|holder| !std::ptr::eq(*holder, self));
            elsewhere.extend(holder.map(|holder| (key.clone(), holder)));
        }
        Ok(elsewhere)
    }

    /// What a resolve has to know of features that are in fallback stores.
    pub(super) async fn foreign(
        &self,
        feature: &FeatureContext,
    ) -> Result<Vec<(FeatureKey, ExportFuture)>> {
        let mut foreign = Vec::new();
        for (key, holder) in self.elsewhere(feature).await? {
            let (backend, feature) = (Arc::clone(&holder.backend), feature.of(&key)?);
            let export: ExportFuture = Box::pin(async move { backend.export(feature).await });
            foreign.push((key, export));
        }
        Ok(foreign)
    }
}
