//! Filters, as texts over columns -> whether a row fulfils them.

use super::rows::{ColumnTypes, Row, View};
use super::value::Value;
use crate::error::{Error, Result};
use crate::key::FeatureKey;
use crate::spec::FeatureDep;
use metaxy_sql::filter::Filter;
use metaxy_sql::system;

/// Filters on an upstream, over its columns by their names here. Without a table there is nothing
/// that they could be about.
pub(super) fn on_upstream<'t>(
    upstream: &View<'_>,
    dep: &FeatureDep,
    texts: impl IntoIterator<Item = &'t String>,
) -> Result<Vec<Filter>> {
    if upstream.table().is_none() {
        return Ok(Vec::new());
    }
    over(texts, &here(upstream, dep), &dep.feature)
}

/// The columns of an upstream by their names in a feature.
fn here(upstream: &View<'_>, dep: &FeatureDep) -> ColumnTypes {
    let columns = upstream.columns().into_iter();
    columns.map(|(name, ty)| (dep.renamed(&name).to_owned(), ty)).collect()
}

/// Filters over these columns.
pub(super) fn over<'t>(
    texts: impl IntoIterator<Item = &'t String>,
    columns: &ColumnTypes,
    feature: &FeatureKey,
) -> Result<Vec<Filter>> {
    let columns =
        columns.iter().map(|(name, ty)| crate::filter::Column { name: name.clone(), ty: *ty });
    let columns: Vec<_> = columns.collect();
    let parse = |text: &String| {
        crate::filter::parse(text, &columns)
            .map_err(|error| Error::Filter { feature: feature.clone(), source: Box::new(error) })
    };
    texts.into_iter().map(parse).collect()
}

/// The columns that filters over stored rows see: these, and those of the system's that say when and
/// by what a row, or a seal, was written.
pub(super) fn stored(columns: ColumnTypes, of_seals: bool) -> ColumnTypes {
    let ours = crate::filter::system_columns(of_seals).map(|column| (column.name, column.ty));
    columns.into_iter().chain(ours).collect()
}

/// A value of a stored row, in its own columns or in the system's.
pub(super) fn value_in(row: &Row, column: &str) -> Value {
    let text = |text: &Option<String>| text.clone().map_or(Value::Null, Value::Text);
    let time = |time: Option<i64>| time.map_or(Value::Null, Value::Timestamp);
    match column {
        system::CREATED_AT => time(row.created_at),
        system::UPDATED_AT => time(row.updated_at),
        system::DELETED_AT => time(row.deleted_at),
        system::MATERIALIZATION_ID => text(&row.materialization_id),
        system::FEATURE_VERSION => text(&row.feature_version),
        system::PROJECT_VERSION => text(&row.project_version),
        system::PROVENANCE => text(&row.provenance_hash),
        system::DATA_VERSION => text(&row.data_version_hash),
        own => row.value(own),
    }
}

/// Whether a stored row fulfils filters.
pub(super) fn hold_for(filters: &[Filter], row: &Row) -> bool {
    filters.iter().all(|filter| holds(filter, &|name| value_in(row, name)))
}

/// Whether a filter is fulfilled: unknown is not.
pub(super) fn holds(filter: &Filter, value_of: &dyn Fn(&str) -> Value) -> bool {
    crate::filter::fulfils(filter, &|name| value_of(name).in_filter()) == Some(true)
}
