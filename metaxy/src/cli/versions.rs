//! `metaxy versions`: the versions of the features of a spec file.

use super::{Failure, Format};
use crate::graph::FeatureGraph;
use crate::spec::SpecFile;
use crate::version::{DEFAULT_HASH_TRUNCATION_LENGTH, GraphVersions, MIN_HASH_TRUNCATION_LENGTH};
use clap::Args;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{ContentArrangement, Table};
use serde_json::{Map, Value, json};
use std::io::Write;
use std::path::PathBuf;

/// Print the versions of all features of a spec file
///
/// The file is `{"project": "p", "features": [..]}`; a feature is its spec in Python's JSON form,
/// or `{"spec": {..}, "feature_schema": {..}}`, since the definition version depends on the schema.
/// Without a schema it is computed with the empty one, `{}`.
#[derive(Debug, Args)]
pub(super) struct Versions {
    /// The spec file
    #[arg(long, value_name = "FILE")]
    spec: PathBuf,
    /// Truncate hashes to this many characters, at least 8
    #[arg(long, value_name = "N", default_value_t = DEFAULT_HASH_TRUNCATION_LENGTH, value_parser = length)]
    hash_truncation_length: usize,
    /// How to write the answer
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

fn length(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(length) if length >= MIN_HASH_TRUNCATION_LENGTH => Ok(length),
        Ok(_) => {
            Err(format!("hashes have to keep at least {MIN_HASH_TRUNCATION_LENGTH} characters"))
        }
        Err(error) => Err(format!("{error}")),
    }
}

impl Versions {
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<(), Failure> {
        let path = self.spec.display();
        let text = std::fs::read_to_string(&self.spec)
            .map_err(|error| Failure::Input(vec![format!("cannot read `{path}`: {error}")]))?;
        let in_file = |message: String| format!("{path}: {message}");
        let SpecFile { project, features } = SpecFile::parse(&text)
            .map_err(|errors| Failure::Input(errors.messages().map(in_file).collect()))?;
        let graph = FeatureGraph::build(features).map_err(|errors| {
            Failure::Input(errors.iter().map(|error| in_file(error.to_string())).collect())
        })?;

        let versions = graph.versions(self.hash_truncation_length);
        match self.format {
            Format::Json => writeln!(out, "{:#}", to_json(&project, &versions))?,
            Format::Table => {
                writeln!(out, "{}", to_table(&versions))?;
                // A feature may name a project of its own; one without features has a version, too.
                let mut projects: Vec<_> = versions.projects().collect();
                if projects.is_empty() {
                    projects.push((&project, versions.project(&project)));
                }
                for (project, version) in projects {
                    writeln!(out, "project {project}: {version}")?;
                }
            }
        }
        Ok(())
    }
}

fn to_json(project: &str, versions: &GraphVersions) -> Value {
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
        "project_version": versions.project(project),
        "features": features.collect::<Map<_, _>>(),
    })
}

fn to_table(versions: &GraphVersions) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["feature", "version", "code", "spec", "definition", "field", "version"]);
    for (key, versions) in versions.features() {
        let lines = |of: fn((&crate::FieldKey, &String)) -> String| {
            versions.fields.iter().map(of).collect::<Vec<_>>().join("\n")
        };
        table.add_row([
            key.to_string(),
            versions.feature_version.clone(),
            versions.feature_code_version.clone(),
            versions.spec_version.clone(),
            versions.definition_version.clone(),
            lines(|(field, _)| field.to_string()),
            lines(|(_, version)| version.clone()),
        ]);
    }
    table
}
