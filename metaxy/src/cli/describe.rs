//! `metaxy describe`: all that is declared about one feature.

use super::output::Answer;
use super::{Context, Failure, Output, context};
use crate::spec::{FeatureDep, FeatureSpec, Lineage};
use crate::version::DEFAULT_HASH_TRUNCATION_LENGTH;
use clap::Args;
use serde_json::json;

/// Describe a feature: ids, columns, fields with what they depend on, upstreams, versions
#[derive(Debug, Args)]
pub(super) struct Describe {
    /// The key of the feature
    feature: String,
}

impl Describe {
    pub(super) fn run(&self, context: &Context, out: &mut Output) -> Result<(), Failure> {
        let graph = context.graph()?;
        let key = context::feature(&graph, &self.feature)?;
        let definition = graph.expect(&key)?;
        let FeatureSpec { id_columns, deps, fields, metadata, description, .. } = &definition.spec;
        let versions = graph.versions(DEFAULT_HASH_TRUNCATION_LENGTH);
        let versions = versions.feature(&key);
        let version_of = |field| versions.and_then(|v| v.fields.get(field)).cloned();
        let parents = |field| -> Vec<String> {
            graph.parents(&key, field).iter().map(ToString::to_string).collect()
        };
        let downstreams: Vec<&str> =
            graph.downstreams(&key).iter().map(|d| d.spec.key.as_str()).collect();
        let columns = definition.columns.as_deref().unwrap_or_default();
        let feature_version = versions.map(|versions| versions.feature_version.clone());

        let json = json!({
            "feature": key.as_str(),
            "project": definition.project,
            "description": description,
            "declared": definition.origin.to_string(),
            "type": definition.type_path,
            "table": key.table_name(),
            "feature_version": feature_version,
            "id_columns": id_columns,
            "columns": columns.iter().map(|column| json!({
                "name": column.name, "type": column.ty.to_string(), "nullable": column.nullable,
            })).collect::<Vec<_>>(),
            "fields": fields.iter().map(|field| json!({
                "field": field.key.as_str(),
                "code_version": field.code_version,
                "field_version": version_of(&field.key),
                "renamed_from": field.renamed_from.as_ref().map(crate::FieldKey::as_str),
                "parents": parents(&field.key),
            })).collect::<Vec<_>>(),
            "upstreams": definition.spec.to_json().get("deps"),
            "downstreams": downstreams,
            "metadata": metadata,
        });
        let mut head = vec![format!("{key} ({}, {})", definition.project, definition.origin)];
        head.extend(description.clone());
        head.push(format!("version {}", feature_version.unwrap_or_default()));
        let field_rows = fields.iter().map(|field| {
            vec![
                field.key.to_string(),
                field.code_version.clone(),
                version_of(&field.key).unwrap_or_default(),
                parents(&field.key).join("\n"),
            ]
        });
        let column_rows = columns.iter().map(|column| {
            let is_id = id_columns.contains(&column.name);
            let kind = if is_id { "id" } else { "column" };
            let null = if column.nullable { "NULL" } else { "" };
            vec![column.name.clone(), column.ty.to_string(), kind.to_owned(), null.to_owned()]
        });
        let upstream_rows =
            deps.iter().map(|dep| vec![dep.feature.to_string(), options(dep).join("\n")]);
        let mut answer = Answer::new(json)
            .text(head.join("\n"))
            .table(["field", "code version", "version", "computed from"], field_rows)
            .table(["column", "type", "", ""], column_rows)
            .table(["upstream", "options"], upstream_rows);
        if !downstreams.is_empty() {
            answer = answer.text(format!("downstream: {}", downstreams.join(", ")));
        }
        if !metadata.is_empty() {
            answer =
                answer.text(format!("metadata: {}", serde_json::Value::from(metadata.clone())));
        }
        out.answer(&answer)
    }
}

/// The options of an upstream, in the words of the derive.
fn options(dep: &FeatureDep) -> Vec<String> {
    let mut options = Vec::new();
    if dep.optional {
        options.push("optional".to_owned());
    }
    match &dep.lineage {
        Lineage::Identity => {}
        Lineage::Aggregation { on: None } => options.push("aggregation".to_owned()),
        Lineage::Aggregation { on: Some(on) } => {
            options.push(format!("aggregation(on({}))", on.join(", ")));
        }
        Lineage::Expansion { on, .. } => options.push(format!("expansion(on({}))", on.join(", "))),
    }
    if let Some(select) = &dep.select {
        options.push(format!("select({})", select.join(", ")));
    }
    for (there, here) in dep.renames() {
        options.push(format!("rename({there} = {here:?})"));
    }
    options.extend(dep.filters.iter().flatten().map(|filter| format!("filter = {filter:?}")));
    options
}
