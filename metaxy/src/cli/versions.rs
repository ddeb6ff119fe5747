//! `metaxy versions`: the versions of the features.

use super::output::Answer;
use super::{Context, Failure, Output};
use crate::version::{DEFAULT_HASH_TRUNCATION_LENGTH, GraphVersions, MIN_HASH_TRUNCATION_LENGTH};
use clap::Args;
use serde_json::{Map, Value, json};

/// Print the versions of all features
///
/// A spec file is `{"project": "p", "features": [..]}`; a feature is its spec in Python's JSON form,
/// or `{"spec": {..}, "feature_schema": {..}}`, since the definition version depends on the schema.
/// Without a schema it is computed with the empty one, `{}`.
#[derive(Debug, Args)]
pub(super) struct Versions {
    /// Truncate hashes to this many characters, at least 8
    #[arg(long, value_name = "N", default_value_t = DEFAULT_HASH_TRUNCATION_LENGTH, value_parser = length)]
    hash_truncation_length: usize,
}

/// How many characters of every hash are kept, as an argument.
pub(super) fn length(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(length) if length >= MIN_HASH_TRUNCATION_LENGTH => Ok(length),
        Ok(_) => {
            Err(format!("hashes have to keep at least {MIN_HASH_TRUNCATION_LENGTH} characters"))
        }
        Err(error) => Err(format!("{error}")),
    }
}

impl Versions {
    pub(super) fn run(&self, context: &Context, out: &mut Output) -> Result<(), Failure> {
        let features = context.features()?;
        let versions = features.graph.versions(self.hash_truncation_length);
        // A feature may name a project of its own; one without features has a version, too.
        let mut projects: Vec<_> = versions.projects().collect();
        if let (true, Some(project)) = (projects.is_empty(), &features.project) {
            projects.push((project, versions.project(project)));
        }
        let lines: Vec<String> = projects
            .iter()
            .map(|(project, version)| format!("project {project}: {version}"))
            .collect();
        let answer = Answer::new(to_json(features.project.as_deref(), &versions))
            .table(
                ["feature", "version", "code", "spec", "definition", "field", "version"],
                rows(&versions),
            )
            .text(lines.join("\n"));
        out.answer(&answer)
    }
}

fn to_json(project: Option<&str>, versions: &GraphVersions) -> Value {
    let features = versions.features().map(|(key, versions)| {
        let fields = versions.fields.iter();
        let fields: Map<_, _> =
            fields.map(|(field, version)| (field.to_string(), version.as_str().into())).collect();
        let feature = json!({
            "feature_version": versions.feature_version,
            "feature_code_version": versions.feature_code_version,
            "feature_spec_version": versions.spec_version,
            "definition_version": versions.definition_version,
            "field_versions": fields,
        });
        (key.to_string(), feature)
    });
    json!({
        "project": project,
        "project_version": project.map(|project| versions.project(project)),
        "features": features.collect::<Map<_, _>>(),
    })
}

fn rows(versions: &GraphVersions) -> impl Iterator<Item = Vec<String>> {
    versions.features().map(|(key, versions)| {
        let lines = |of: fn((&crate::FieldKey, &String)) -> String| {
            versions.fields.iter().map(of).collect::<Vec<_>>().join("\n")
        };
        vec![
            key.to_string(),
            versions.feature_version.clone(),
            versions.feature_code_version.clone(),
            versions.spec_version.clone(),
            versions.definition_version.clone(),
            lines(|(field, _)| field.to_string()),
            lines(|(_, version)| version.clone()),
        ]
    })
}
