//! Filters, as texts over columns -> whether a row fulfils them.

use super::rows::View;
use super::value::Value;
use crate::error::{Error, Result};
use crate::key::FeatureKey;
use crate::spec::FeatureDep;
use indexmap::IndexMap;
use metaxy_sql::filter::Filter;
use metaxy_sql::{ColumnType, ScalarType, system};

/// The filters that a definition has on an upstream, over the upstream's columns by their names here.
pub(super) fn declared(upstream: &View<'_>, dep: &FeatureDep, of: &FeatureKey) -> Result<Vec<Filter>> {
    let texts: Vec<String> = dep.filters.iter().flatten().cloned().collect();
    over(&texts, &here(upstream, dep), of)
}

/// The columns of an upstream by their names in a feature.
pub(super) fn here(upstream: &View<'_>, dep: &FeatureDep) -> IndexMap<String, Option<ColumnType>> {
    let columns = upstream.columns().into_iter();
    columns.map(|(name, ty)| (dep.renamed(&name).to_owned(), ty)).collect()
}

/// Filters over these columns.
pub(super) fn over(
    texts: &[String],
    columns: &IndexMap<String, Option<ColumnType>>,
    feature: &FeatureKey,
) -> Result<Vec<Filter>> {
    let columns = columns.iter().map(|(name, ty)| crate::filter::Column { name: name.clone(), ty: *ty });
    let columns: Vec<_> = columns.collect();
    let parse = |text: &String| {
        crate::filter::parse(text, &columns)
            .map_err(|source| Error::Filter { feature: feature.clone(), source })
    };
    texts.iter().map(parse).collect()
}

/// The columns that filters over stored rows see: these, and some of the system's.
pub(super) fn stored(
    columns: IndexMap<String, Option<ColumnType>>,
) -> IndexMap<String, Option<ColumnType>> {
    let typed = |ty: ScalarType| move |name: &str| (name.to_owned(), Some(ty.into()));
    let times = [system::CREATED_AT, system::UPDATED_AT, system::DELETED_AT];
    let texts = [
        system::MATERIALIZATION_ID,
        system::FEATURE_VERSION,
        system::PROJECT_VERSION,
        system::PROVENANCE,
        system::DATA_VERSION,
    ];
    let ours = times.into_iter().map(typed(ScalarType::Timestamp));
    let ours = ours.chain(texts.into_iter().map(typed(ScalarType::Text)));
    columns.into_iter().chain(ours).collect()
}

/// Whether a filter is fulfilled: unknown is not.
pub(super) fn holds(filter: &Filter, value_of: &dyn Fn(&str) -> Value) -> bool {
    crate::filter::fulfils(filter, &|name| value_of(name).in_filter()) == Some(true)
}
