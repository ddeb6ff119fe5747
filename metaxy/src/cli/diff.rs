//! `metaxy diff`: what is different between two graphs, in words or as a picture.

use super::graph::Picture;
use super::output::{Answer, Format};
use super::{Context, Failure, Output, context};
use crate::history::GraphDiff;
use crate::look::{Difference, Look, Mark};
use crate::{FeatureGraph, FeatureKey, FieldKey};
use clap::Args;
use std::path::Path;

/// Compare two graphs: features, fields, and which fields downstream change because of it
///
/// A graph is `code` (the features of today), a spec file, a lock file, or a push: `latest`, `latest~1`, or
/// the version of a project.
#[derive(Debug, Args)]
pub(super) struct Diff {
    /// The graph before
    #[arg(default_value = "latest")]
    before: String,
    /// The graph after
    #[arg(default_value = "code")]
    after: String,
    /// The project whose pushes are meant, where the store has several
    #[arg(long)]
    pub(super) project: Option<String>,
    /// Exit with 3 if anything is different
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    picture: Picture,
}

impl Diff {
    pub(super) async fn run(&self, context: &Context, out: &mut Output) -> Result<(), Failure> {
        let before = self.graph(context, &self.before).await?;
        let after = self.graph(context, &self.after).await?;
        let diff = GraphDiff::between(&before, &after);
        if self.picture.is_asked_for() {
            let difference = difference(&before, &after, &diff);
            self.picture.show(Look::new(&after).difference(difference), out)?;
        } else {
            let json = serde_json::to_value(&diff).unwrap_or_default();
            let text = diff.to_string();
            let text = match out.format() {
                Format::Markdown => format!("```diff\n{text}```"),
                _ => text.trim_end().to_owned(),
            };
            out.answer(&Answer::new(json).text(text))?;
        }
        match self.check && !diff.is_empty() {
            true => Err(Failure::Found("the graphs are different".to_owned())),
            false => Ok(()),
        }
    }

    async fn graph(&self, context: &Context, name: &str) -> Result<FeatureGraph, Failure> {
        let path = Path::new(name);
        if name == "code" {
            return context.graph();
        }
        if path.extension().is_some_and(|ending| ending == "lock") {
            return context::from_lock(path);
        }
        if path.extension().is_some_and(|ending| ending == "json") {
            return Ok(context::from_spec(path)?.graph);
        }
        let mut pushed = context.store_of_any_graph().await?.pushed_graph(name);
        if let Some(project) = self.project.as_ref().or(context.loaded().config.project.as_ref()) {
            pushed = pushed.project(project);
        }
        Ok(pushed.await?)
    }
}

/// A comparison as marks of a picture.
fn difference(before: &FeatureGraph, after: &FeatureGraph, diff: &GraphDiff) -> Difference {
    let mut marks = Difference::with(before.clone());
    let sides = [(&diff.added, after, Mark::Added), (&diff.removed, before, Mark::Removed)];
    for (keys, graph, mark) in sides {
        for key in keys {
            marks.features.insert(key.clone(), mark);
            for field in graph.get(key).iter().flat_map(|definition| &definition.spec.fields) {
                marks.fields.insert((key.clone(), field.key.clone()), mark);
            }
        }
    }
    for affected in &diff.affected {
        marks.features.insert(affected.feature.clone(), Mark::Upstream);
        if let Some(field) = field(after, &affected.feature, &affected.field) {
            marks.fields.insert((affected.feature.clone(), field), Mark::Upstream);
        }
    }
    for changed in &diff.changed {
        let key = &changed.feature;
        marks.features.insert(key.clone(), Mark::Changed);
        let own = changed.fields_changed.iter().map(|changed| &changed.field);
        let all = (changed.fields_added.iter().map(|name| (name, after, Mark::Added)))
            .chain(changed.fields_removed.iter().map(|name| (name, before, Mark::Removed)))
            .chain(own.map(|name| (name, after, Mark::Changed)));
        for (name, graph, mark) in all {
            if let Some(field) = field(graph, key, name) {
                marks.fields.insert((key.clone(), field), mark);
            }
        }
    }
    marks
}

/// A field by its first name, which differences have.
fn field(graph: &FeatureGraph, key: &FeatureKey, name: &str) -> Option<FieldKey> {
    let fields = &graph.get(key)?.spec.fields;
    let field = fields.iter().find(|field| field.wire_key().as_str() == name)?;
    Some(field.key.clone())
}
