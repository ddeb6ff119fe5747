//! `metaxy list`: the features in a line each.

use super::output::Answer;
use super::{Context, Failure, Output};
use clap::Args;
use serde_json::json;

/// List the features, each after what it is computed from
#[derive(Debug, Args)]
pub(super) struct List {
    /// Only features of this project
    #[arg(long)]
    pub(super) project: Option<String>,
}

impl List {
    pub(super) fn run(&self, context: &Context, out: &mut Output) -> Result<(), Failure> {
        let graph = context.graph()?;
        let project = self.project.as_ref().or(context.loaded().config.project.as_ref());
        let is_asked_for = |of: &str| project.is_none_or(|project| project == of);
        let features: Vec<_> = graph.iter().filter(|d| is_asked_for(&d.project)).collect();
        if let (true, Some(project)) = (features.is_empty(), project) {
            return Err(Failure::input(format!("there is no feature of the project `{project}`")));
        }
        let upstreams = |d: &crate::spec::FeatureDefinition| -> Vec<String> {
            d.spec.deps.iter().map(|dep| dep.feature.to_string()).collect()
        };
        let json = features.iter().map(|d| {
            json!({
                "feature": d.spec.key.as_str(),
                "project": d.project,
                "table": d.spec.key.table_name(),
                "upstreams": upstreams(d),
                "fields": d.spec.fields.iter().map(|f| f.key.as_str()).collect::<Vec<_>>(),
                "description": d.spec.description,
                "declared": d.origin.to_string(),
            })
        });
        let rows = features.iter().map(|d| {
            vec![
                d.spec.key.to_string(),
                d.project.clone(),
                upstreams(d).join(", "),
                d.spec.fields.iter().map(|f| f.key.as_str()).collect::<Vec<_>>().join(", "),
                d.spec.description.clone().unwrap_or_default(),
            ]
        });
        let header = ["feature", "project", "upstreams", "fields", "description"];
        out.answer(
            &Answer::new(json!({ "features": json.collect::<Vec<_>>() })).table(header, rows),
        )
    }
}
