//! [`Copy`](struct@Copy): the records of features from one store into another, as they are.

use crate::awaited::awaited;
use crate::error::Result;
use crate::feature::FeatureSet;
use crate::key::FeatureKey;
use crate::store::Store;
use crate::store::backend::{BatchStream, Export};
use crate::store::fallback::check_settings;
use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::{and, filter_record_batch, is_not_null};
use futures::StreamExt;
use std::fmt;

/// A copy that has not begun; `.await` it.
///
/// Rows keep their times, versions and tombstones, with all of their history. What the other store has
/// already is not appended again, so that a copy can be repeated, after a crash or for what came since.
/// Rows that lack an id, as another program may have left them, are no records and stay behind.
#[must_use = "a copy begins with `.await`"]
#[derive(Debug)]
pub struct Copy {
    from: Store,
    to: Store,
    features: Option<Vec<FeatureKey>>,
}

/// What a [`Copy`](struct@Copy) did to a feature.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Copied {
    /// The feature.
    pub feature: FeatureKey,
    /// The rows and seals that were appended there.
    pub rows: u64,
}

impl fmt::Display for Copied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} copied", self.feature, self.rows)
    }
}

impl Copy {
    pub(crate) fn new(from: Store, to: Store) -> Self {
        Self { from, to, features: None }
    }

    /// Only these features; without this, all of the graph that have a table.
    pub fn features(mut self, features: impl IntoIterator<Item = FeatureKey>) -> Self {
        self.features.get_or_insert_default().extend(features);
        self
    }

    /// [`features`](Self::features), named by their types.
    pub fn only<S: FeatureSet>(self) -> Self {
        self.features(S::defs().into_iter().map(crate::def::FeatureDef::feature_key))
    }

    async fn run(self) -> Result<Vec<Copied>> {
        check_settings(self.from.settings(), self.to.settings())?;
        let features = match self.features {
            Some(features) => features,
            None => {
                let graph = self.from.graph();
                self.from.backend.stored(graph.keys().cloned().collect()).await?
            }
        };
        let mut copied = Vec::with_capacity(features.len());
        for key in features {
            let feature = self.from.feature(&key)?;
            let Export { definitions, rows, seals } =
                self.from.backend.export(feature.clone()).await?;
            let rows = with_ids(rows, feature.definition().spec.id_columns.clone());
            let seals = with_ids(seals, feature.record_ids());
            let export = Export { definitions, rows, seals };
            let rows = self.to.backend.import(feature, export).await?;
            tracing::debug!(feature = %key, rows, "copied");
            copied.push(Copied { feature: key, rows });
        }
        Ok(copied)
    }
}

/// The rows that have all of these ids. Others are no records, and not every table can hold them.
fn with_ids(batches: BatchStream, ids: Vec<String>) -> BatchStream {
    let with_ids = move |batch: RecordBatch| -> Result<RecordBatch> {
        let mut has_all = BooleanArray::from(vec![true; batch.num_rows()]);
        for column in ids.iter().filter_map(|id| batch.column_by_name(id)) {
            has_all = and(&has_all, &is_not_null(column)?)?;
        }
        Ok(filter_record_batch(&batch, &has_all)?)
    };
    batches.map(move |batch| batch.and_then(&with_ids)).boxed()
}

awaited!(Copy => Vec<Copied>);
