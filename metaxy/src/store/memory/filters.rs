//! Whether a stored row fulfils filters: unknown is not. How they are read is the same for all engines.

use super::rows::{Row, View};
use super::value::Value;
use crate::error::Result;
use crate::filter::Column;
use crate::key::FeatureKey;
use crate::store::filters::Known;
use metaxy_sql::filter::Filter;
use metaxy_sql::system;

impl Known for View<'_> {
    fn has_table(&self, key: &FeatureKey) -> bool {
        self.state.tables.contains_key(key)
    }

    fn columns_of(&self, key: &FeatureKey) -> Result<Vec<Column>> {
        let columns = self.of(key)?.columns().into_iter();
        Ok(columns.map(|(name, ty)| Column { name, ty }).collect())
    }
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
