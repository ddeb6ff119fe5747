//! The filters of definitions, calls, reads and deletions: texts -> filters, each over the columns that
//! it may look at. The same for every engine, which only says what columns its tables have ([`Known`]).
//!
//! Not here: what a filter means for a row, which an engine decides in its own way.

use crate::error::{Error, Result};
use crate::filter::{self, Column, Filter};
use crate::key::FeatureKey;
use crate::spec::FeatureDep;
use crate::store::backend::{FeatureContext, ResolveOptions};

/// What an engine knows of the tables that filters are about.
pub(crate) trait Known {
    /// Whether a feature has a table.
    fn has_table(&self, key: &FeatureKey) -> bool;

    /// The columns of a feature, without those of the system, and their types as far as they are known.
    fn columns_of(&self, key: &FeatureKey) -> Result<Vec<Column>>;
}

/// The filters of a call.
#[derive(Clone, Debug, Default)]
pub(crate) struct Call {
    /// Per upstream, in their order: over its columns by their names here.
    pub(crate) upstreams: Vec<Vec<Filter>>,
    /// Over the stored records, which select.
    pub(crate) target: Vec<Filter>,
    /// Over the stored records, which declare them stale.
    pub(crate) stale_if: Vec<Filter>,
}

/// Reads the filters of a call, and refuses what it cannot select by.
pub(crate) fn of_call(
    feature: &FeatureContext,
    options: &ResolveOptions,
    known: &impl Known,
) -> Result<Call> {
    if let Some((shard, of)) = options.shard.filter(|(shard, of)| shard >= of) {
        return Err(Error::Setting {
            setting: "shard",
            value: format!("{shard} of {of}"),
            problem: "shards are counted from 0, and there is at least one",
        });
    }
    let deps = &feature.definition().spec.deps;
    let is_upstream = |key: &FeatureKey| deps.iter().any(|dep| dep.feature == *key);
    if let Some((upstream, _)) = options.filters.iter().find(|(key, _)| !is_upstream(key)) {
        let (feature, upstream) = (feature.key().clone(), upstream.clone());
        return Err(Error::NoUpstream { feature, upstream });
    }
    let upstream = |dep: &FeatureDep| {
        let own = options.filters.iter().filter(|(key, _)| *key == dep.feature);
        over_upstream(dep, own.map(|(_, text)| text).chain(&options.global_filters), known)
    };
    Ok(Call {
        upstreams: deps.iter().map(upstream).collect::<Result<_>>()?,
        target: over_records(feature, &options.target_filters, known)?,
        stale_if: over_records(feature, &options.stale_if, known)?,
    })
}

/// Filters over an upstream, by the names that its columns have here. Without a table there is nothing
/// that they could be about.
pub(crate) fn over_upstream(
    dep: &FeatureDep,
    texts: impl IntoIterator<Item: AsRef<str>>,
    known: &impl Known,
) -> Result<Vec<Filter>> {
    if !known.has_table(&dep.feature) {
        return Ok(Vec::new());
    }
    let mut columns = known.columns_of(&dep.feature)?;
    for column in &mut columns {
        column.name = dep.renamed(&column.name).to_owned();
    }
    parsed(&dep.feature, texts, &columns)
}

/// Filters over the rows of a feature: its own columns, and the system columns that say when and by
/// what a row was written.
pub(crate) fn over_rows(
    feature: &FeatureContext,
    texts: impl IntoIterator<Item: AsRef<str>>,
    known: &impl Known,
) -> Result<Vec<Filter>> {
    let mut columns = known.columns_of(feature.key())?;
    columns.extend(filter::system_columns(false));
    parsed(feature.key(), texts, &columns)
}

/// Filters over the stored records of a feature, as they are compared: over its rows, or, of an
/// expansion, the ids of the parent and what says when and by what its seal was written.
pub(crate) fn over_records(
    feature: &FeatureContext,
    texts: impl IntoIterator<Item: AsRef<str>>,
    known: &impl Known,
) -> Result<Vec<Filter>> {
    if !feature.is_expansion() {
        return over_rows(feature, texts, known);
    }
    let ids = feature.record_ids();
    let mut columns = known.columns_of(feature.key())?;
    columns.retain(|column| ids.contains(&column.name));
    columns.extend(filter::system_columns(true));
    parsed(feature.key(), texts, &columns)
}

fn parsed(
    feature: &FeatureKey,
    texts: impl IntoIterator<Item: AsRef<str>>,
    columns: &[Column],
) -> Result<Vec<Filter>> {
    let refused = |error| Error::Filter { feature: feature.clone(), source: Box::new(error) };
    let parse = |text: &str| filter::parse(text, columns).map_err(refused);
    texts.into_iter().map(|text| parse(text.as_ref())).collect()
}
