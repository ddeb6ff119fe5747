//! Provenances of rows that the caller joined himself.

use crate::error::{Error, Result};
use crate::key::FeatureKey;
use crate::store::backend::FeatureContext;
use crate::store::hashing::Hashing;
use crate::store::stage::{WriteError, text_map_array, texts_by_name, write_error};
use arrow::array::{Array, ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::{Field, Schema};
use metaxy_sql::system;
use std::sync::Arc;

/// The column with the data versions of an upstream.
fn column_of(upstream: &FeatureKey) -> String {
    let parts = upstream.as_str().replace('/', "_");
    format!("{}__{parts}", system::DATA_VERSION_BY_FIELD)
}

/// The rows with system columns for what they are computed from, in place of the data versions of
/// upstreams.
pub(super) fn compute(feature: &FeatureContext, batch: &RecordBatch) -> Result<RecordBatch> {
    let hashing = Hashing::from(feature.hash());
    let (graph, key) = (feature.graph(), feature.key());
    let spec = &feature.definition().spec;
    let columns: Vec<String> = spec.deps.iter().map(|dep| column_of(&dep.feature)).collect();
    let missing: Vec<String> =
        columns.iter().filter(|name| batch.column_by_name(name).is_none()).cloned().collect();
    if !missing.is_empty() {
        let (unknown, expected) = (Vec::new(), columns);
        return Err(write_error(feature, WriteError::Columns { unknown, missing, expected }));
    }

    let names = feature.field_names();
    let mut provenances: Vec<Vec<String>> = Vec::with_capacity(names.len());
    for field in &spec.fields {
        let mut parts = Vec::new();
        for parent in graph.parents(key, &field.key) {
            let place = spec.deps.iter().position(|dep| dep.feature == parent.feature);
            let place = place.ok_or_else(|| Error::internal("a parent that is no upstream"))?;
            let name = &columns[place];
            let wire = parent.wire_field.struct_key();
            let array = batch.column_by_name(name).expect("columns were checked");
            let values = texts_by_name(feature, name, array, &wire)?;
            let is_optional = spec.deps[place].optional;
            if let Some(row) = (0..values.len()).find(|row| !is_optional && values.is_null(*row)) {
                let (upstream, field) = (parent.feature.to_string(), wire);
                return Err(write_error(feature, WriteError::NoInput { row, upstream, field }));
            }
            parts.push((parent.label(), values));
        }
        let start = format!("{}|{}", field.wire_key(), field.code_version);
        let of_row = |row: usize| {
            let mut text = start.clone();
            for (label, values) in &parts {
                let value = if values.is_valid(row) { values.value(row) } else { "" };
                text += &format!("|{label}|{value}");
            }
            hashing.of(&text)
        };
        provenances.push((0..batch.num_rows()).map(of_row).collect());
    }

    let n_rows = batch.num_rows();
    let by_field =
        text_map_array(&names, n_rows, |_| true, |k, row| Some(provenances[k][row].as_str()));
    let of_record = |row: usize| {
        let values = provenances.iter().map(|of_field| of_field[row].as_str());
        Some(hashing.of_values(names.iter().map(String::as_str).zip(values)))
    };
    let record: ArrayRef = Arc::new((0..n_rows).map(of_record).collect::<StringArray>());
    let computed = [
        (system::PROVENANCE_BY_FIELD, Arc::clone(&by_field)),
        (system::PROVENANCE, Arc::clone(&record)),
        (system::DATA_VERSION_BY_FIELD, by_field),
        (system::DATA_VERSION, record),
    ];
    let schema = batch.schema();
    let is_kept = |name: &String| {
        !columns.contains(name) && !computed.iter().any(|(column, _)| column == name)
    };
    let kept = schema.fields().iter().zip(batch.columns()).filter(|(f, _)| is_kept(f.name()));
    let (mut fields, mut arrays): (Vec<_>, Vec<_>) =
        kept.map(|(field, array)| (field.as_ref().clone(), Arc::clone(array))).unzip();
    for (name, array) in computed {
        fields.push(Field::new(name, array.data_type().clone(), true));
        arrays.push(array);
    }
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?)
}
