//! `metaxy delete` and `metaxy undelete`: records that go away, and that come back.

use super::output::Answer;
use super::records::{Ids, Which};
use super::{Context, Failure, Output, context};
use crate::store::DeleteReport;
use clap::Args;
use serde_json::json;

/// Delete records: mark them, or remove every row that they ever had
#[derive(Debug, Args)]
pub(super) struct Delete {
    /// The key of the feature
    feature: String,
    #[command(flatten)]
    which: Ids,
    /// The records whose upstream record was deleted, or is left out by a filter
    #[arg(long, group = "which")]
    orphans: bool,
    /// With `--orphans`: also those of which an upstream has no trace; it may not be computed yet
    #[arg(long, requires = "orphans")]
    missing: bool,
    /// All records
    #[arg(long, group = "which")]
    all: bool,
    /// Remove every row that the records ever had; this cannot be undone
    #[arg(long)]
    hard: bool,
    /// Delete what is computed from them as well, near and far
    #[arg(long)]
    cascade: bool,
    /// With `--id` and `--filter`: also records that are deleted already
    #[arg(long, conflicts_with = "orphans")]
    history: bool,
    /// Do what cannot be undone
    #[arg(long)]
    yes: bool,
    /// A name for the run, kept with every mark
    #[arg(long, value_name = "ID")]
    materialization_id: Option<String>,
    /// Count only, and change nothing
    #[arg(long)]
    dry_run: bool,
}

impl Delete {
    pub(super) async fn run(&self, context: &Context, out: &mut Output) -> Result<(), Failure> {
        let graph = context.graph()?;
        let key = context::feature(&graph, &self.feature)?;
        let definition = graph.expect(&key)?;
        let which = match (self.which.of(definition)?, self.all) {
            (None, true) => {
                let id = definition.spec.id_columns[0].replace('"', "\"\"");
                Some(Which::Filter(format!("\"{id}\" IS NOT NULL")))
            }
            (which, _) => which,
        };
        if which.is_none() && !self.orphans {
            return Err(Failure::input(
                "which records? Name them with `--id`, `--filter`, `--orphans` or `--all`",
            ));
        }
        if self.hard && !self.yes && !self.dry_run {
            return Err(Failure::input(format!(
                "a hard deletion in `{key}` cannot be undone; see with `--dry-run` what it would remove, \
                 then add `--yes`"
            )));
        }
        let store = context.store().await?;
        let bar = context.progress(None, format!("deleting from {key}"));
        // Three calls that are alike, of two types.
        macro_rules! with_options {
            ($deletion:expr) => {{
                let mut deletion = $deletion;
                if let Some(id) = &self.materialization_id {
                    deletion = deletion.materialization_id(id);
                }
                deletion.hard(self.hard).cascade(self.cascade).dry_run(self.dry_run).await
            }};
        }
        let report = match which {
            None => with_options!(store.delete_orphans_of(&key).missing(self.missing)),
            Some(Which::Ids(ids)) => {
                with_options!(store.delete_of(&key, &[ids]).history(self.history))
            }
            Some(Which::Filter(filter)) => {
                with_options!(store.delete_where_of(&key, filter).history(self.history))
            }
        };
        bar.finish_and_clear();
        self.answer(&report?, out)
    }

    fn answer(&self, report: &DeleteReport, out: &mut Output) -> Result<(), Failure> {
        let features = report.features.iter().map(|deleted| {
            json!({
                "feature": deleted.feature.as_str(),
                "records": deleted.records,
                "rows_removed": deleted.rows_removed,
            })
        });
        let json = json!({ "features": features.collect::<Vec<_>>(), "dry_run": self.dry_run });
        let rows = report.features.iter().map(|deleted| {
            [
                deleted.feature.to_string(),
                deleted.records.to_string(),
                deleted.rows_removed.to_string(),
            ]
            .into()
        });
        let answer = Answer::new(json).table(["feature", "records", "rows removed"], rows);
        out.answer(&match self.dry_run {
            true => answer.text("nothing was changed"),
            false => answer,
        })
    }
}

/// Bring deleted records back, as they were
#[derive(Debug, Args)]
pub(super) struct Undelete {
    /// The key of the feature
    feature: String,
    #[command(flatten)]
    which: Ids,
    /// A name for the run, kept with every row
    #[arg(long, value_name = "ID")]
    materialization_id: Option<String>,
    /// Count only, and change nothing; with `--filter`, and not in an expansion
    #[arg(long, conflicts_with = "id")]
    dry_run: bool,
}

impl Undelete {
    pub(super) async fn run(&self, context: &Context, out: &mut Output) -> Result<(), Failure> {
        let graph = context.graph()?;
        let key = context::feature(&graph, &self.feature)?;
        let which = self
            .which
            .of(graph.expect(&key)?)?
            .ok_or_else(|| Failure::input("which records? Name them with `--id` or `--filter`"))?;
        let store = context.store().await?;
        if self.dry_run {
            let Which::Filter(filter) = which else {
                return Err(Failure::input("`--dry-run` needs `--filter`"));
            };
            if store.feature(&key)?.is_expansion() {
                return Err(Failure::input(format!(
                    "`{key}` is an expansion, whose deleted children cannot be counted beforehand"
                )));
            }
            let marked = store.read_of(&key).tombstones(true).other_versions(true).filter(filter);
            let records = marked.filter("metaxy_deleted_at IS NOT NULL").count().await?;
            let json =
                json!({ "feature": key.as_str(), "records": records, "seals": 0, "dry_run": true });
            let text = format!("{key}: {records} would come back");
            return out.answer(&Answer::new(json).text(text));
        }
        let mut undeletion = match which {
            Which::Ids(ids) => store.undelete_of(&key, &[ids]),
            Which::Filter(filter) => store.undelete_where_of(&key, filter),
        };
        if let Some(id) = &self.materialization_id {
            undeletion = undeletion.materialization_id(id);
        }
        let written = undeletion.await?;
        let json = json!({
            "feature": key.as_str(),
            "records": written.rows,
            "seals": written.seals,
            "dry_run": false,
        });
        let mut text = format!("{key}: {} came back", written.rows);
        if written.seals > 0 {
            text += &format!(", with {} parents", written.seals);
        }
        out.answer(&Answer::new(json).text(text))
    }
}
