//! `metaxy push` and `metaxy history`: the graph is recorded in the store, and what was recorded so far.

use super::explain::time;
use super::output::Answer;
use super::sync::pair;
use super::{Context, Failure, Output};
use clap::Args;
use serde_json::json;

/// Record the graph in the store, so that others can read what its versions mean
///
/// What is there already is not recorded again. A feature that the project had, and does not have any
/// more, is marked as removed.
#[derive(Debug, Args)]
pub(super) struct Push {
    /// A word about the push that its history keeps: `git=4b825dc`
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    tag: Vec<(String, String)>,
    /// Only the features of this project
    #[arg(long)]
    pub(super) project: Vec<String>,
    /// All projects of the graph
    #[arg(long, conflicts_with = "project")]
    all_projects: bool,
    /// Say what would be recorded, and change nothing
    #[arg(long)]
    dry_run: bool,
}

impl Push {
    pub(super) async fn run(&self, context: &Context, out: &mut Output) -> Result<(), Failure> {
        let store = match self.dry_run {
            true => context.store_to_read().await?,
            false => context.store().await?,
        };
        let mut push = store.push().all_projects(self.all_projects).dry_run(self.dry_run);
        for (name, value) in &self.tag {
            push = push.tag(name, value);
        }
        let configured = context.loaded().config.project.iter().filter(|_| !self.all_projects);
        let projects = match self.project.is_empty() {
            true => configured.collect::<Vec<_>>(),
            false => self.project.iter().collect(),
        };
        for project in projects {
            push = push.project(project);
        }
        let pushed = push.await?;
        let json = json!({
            "time": pushed.time.map(time),
            "dry_run": pushed.dry_run,
            "projects": pushed.projects,
        });
        out.answer(&Answer::new(json).text(pushed.to_string()))
    }
}

/// List what was recorded by `push`, the newest first
#[derive(Debug, Args)]
pub(super) struct History {
    /// Only the pushes of this project
    #[arg(long)]
    pub(super) project: Option<String>,
    /// At most so many
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

impl History {
    pub(super) async fn run(&self, context: &Context, out: &mut Output) -> Result<(), Failure> {
        let store = context.store_of_any_graph().await?;
        let mut history = store.history();
        if let Some(project) = self.project.as_ref().or(context.loaded().config.project.as_ref()) {
            history = history.project(project);
        }
        if let Some(limit) = self.limit {
            history = history.limit(limit);
        }
        let pushes = history.await?;
        let json = pushes.iter().map(|push| {
            json!({
                "project": push.project,
                "version": push.version,
                "time": time(push.time),
                "tags": push.tags,
                "n_features": push.n_features,
                "added": push.added,
                "changed": push.changed,
                "removed": push.removed,
            })
        });
        let rows = pushes.iter().map(|push| {
            let changes = [("+", &push.added), ("~", &push.changed), ("-", &push.removed)];
            let changes = changes
                .into_iter()
                .flat_map(|(sign, keys)| keys.iter().map(move |key| format!("{sign} {key}")));
            // Which implementation made a push is for programs.
            let tags = push.tags.iter().filter(|(name, _)| *name != "metaxy");
            vec![
                time(push.time),
                push.project.clone(),
                push.version.clone(),
                push.n_features.to_string(),
                changes.collect::<Vec<_>>().join("\n"),
                tags.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("\n"),
            ]
        });
        let header = ["when", "project", "version", "features", "changes", "tags"];
        let answer = Answer::new(json!({ "pushes": json.collect::<Vec<_>>() }));
        out.answer(&answer.table(header, rows))
    }
}
