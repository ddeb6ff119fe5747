//! [`SpecFile`]: features of a project, written down as JSON.

use super::read::{At, Reader};
use super::{FeatureDefinition, Origin, SpecError, SpecErrors, SpecProblem};
use crate::builder::DEFAULT_PROJECT;
use crate::error::Result;
use crate::graph::{self, FeatureGraph};
use crate::pyjson;
use serde_json::{Map, Value};
use std::collections::HashSet;

/// The features of a spec file, `{"project": "p", "features": [..]}`.
///
/// A feature is its spec in Python's JSON form, or, where the definition version matters, an object
/// of the spec and the JSON schema that goes with it: `{"spec": {..}, "feature_schema": {..}}`. The
/// schema is an object, or, as in Python's lock file, the text of one. A feature without a schema
/// has the empty one, `{}`. An object may name a `project` and a `feature_class_path` of its own.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SpecFile {
    /// The project of all features that do not name another one.
    pub project: String,
    /// The features, in the order of the file.
    pub features: Vec<FeatureDefinition>,
}

impl SpecFile {
    /// Reads the text of a spec file.
    ///
    /// # Errors
    /// All mistakes of the file, and of the graph that its features form.
    pub fn parse(text: &str) -> Result<Self, SpecErrors> {
        let value = pyjson::parse(text).map_err(SpecErrors::text)?;
        let mut file = Reader::new(None);
        let names = &["project", "features"];
        let Some(members) = file.object(At::root(&value), "an object with `features`", names)
        else {
            return Err(SpecErrors::new(file.errors, Vec::new()));
        };
        let fix = "name the project, `\"project\": \"example\"`";
        let project = file.required(&members, "project", fix).and_then(|at| file.project(&at));
        // What is wrong with it is said above, and not again of each feature.
        let project = project.unwrap_or_else(|| DEFAULT_PROJECT.to_owned());
        let fix = "list the specs, `\"features\": [..]`";
        let items = file.required(&members, "features", fix);
        let items = items.map(|at| file.items(&at, "a list of specs")).unwrap_or_default();

        let mut errors = file.errors;
        let mut features = Vec::with_capacity(items.len());
        let mut broken = HashSet::new();
        let mut is_key_lost = false;
        for (index, item) in items.into_iter().enumerate() {
            let mut reader = Reader::new(Some(index));
            let definition = reader.definition(item.at_root(), index, &project);
            match &definition {
                Some(definition) if reader.errors.iter().any(leaves_a_gap) => {
                    broken.insert(definition.spec.key.clone());
                }
                Some(_) => {}
                None => is_key_lost = true,
            }
            errors.extend(reader.errors);
            features.extend(definition);
        }
        if errors.is_empty() {
            return Ok(Self { project, features });
        }

        // What is wrong between features is worth knowing in the same run.
        let graph = graph::other_mistakes(features, &broken, is_key_lost);
        Err(SpecErrors::new(errors, graph))
    }
}

impl FeatureGraph {
    /// The graph of a spec file; its form is described at [`SpecFile`].
    ///
    /// # Errors
    /// All mistakes of the file and of the graph that its features form.
    pub fn from_spec_json(text: &str) -> Result<Self> {
        Ok(Self::build(SpecFile::parse(text)?.features)?)
    }
}

impl Reader {
    fn project(&mut self, at: &At<'_>) -> Option<String> {
        let project = self.text(at)?;
        match check_project(&project) {
            Ok(()) => Some(project),
            Err(reason) => {
                self.report(at.path(), SpecProblem::Project { found: project, reason });
                None
            }
        }
    }

    fn definition(&mut self, at: At<'_>, index: usize, project: &str) -> Option<FeatureDefinition> {
        let definition = |spec, schema, class_path, project| FeatureDefinition {
            spec,
            project,
            columns: None,
            schema,
            type_path: class_path,
            origin: Origin::SpecFile { index },
        };
        if !at.has("spec") || at.has("key") {
            let spec = self.feature(at)?;
            let schema = Value::Object(Map::new());
            return Some(definition(spec, schema, String::new(), project.to_owned()));
        }
        let names = &["spec", "feature_schema", "feature_class_path", "project"];
        let members = self.object(at, "a spec", names)?;
        let spec = members.get("spec").and_then(|at| self.feature(at));
        let schema = members.some("feature_schema").map(|at| self.schema(&at));
        let class_path = members.some("feature_class_path").and_then(|at| self.text(&at));
        let own_project = members.some("project").and_then(|at| self.project(&at));
        Some(definition(
            spec?,
            schema.unwrap_or_else(|| Value::Object(Map::new())),
            class_path.unwrap_or_default(),
            own_project.unwrap_or_else(|| project.to_owned()),
        ))
    }

    fn schema(&mut self, at: &At<'_>) -> Value {
        let schema = match at.value() {
            Value::String(text) => match pyjson::parse(text) {
                Ok(schema) => schema,
                Err(reason) => {
                    self.report(at.path(), SpecProblem::Json { reason });
                    return Value::Null;
                }
            },
            schema => schema.clone(),
        };
        if !schema.is_object() {
            self.wrong_type(at, "a JSON schema, an object");
        }
        schema
    }
}

/// Whether what could not be read may be missing to others: names of fields and columns, but not
/// what is said about them.
fn leaves_a_gap(error: &SpecError) -> bool {
    let member = error.path.rsplit('.').next().unwrap_or_default();
    !matches!(
        member,
        "code_version"
            | "description"
            | "metadata"
            | "project"
            | "feature_schema"
            | "feature_class_path"
    )
}

/// The grammar of project names: the one of Python's configuration.
pub(crate) fn check_project(text: &str) -> Result<(), &'static str> {
    if text.is_empty() {
        Err("it is empty")
    } else if text.contains("__") {
        Err("`__` is reserved; use a single `_`")
    } else if !text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-')) {
        Err("only ASCII letters, digits, `_` and `-` are allowed")
    } else {
        Ok(())
    }
}
