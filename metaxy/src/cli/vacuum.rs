//! `metaxy vacuum`: rows that newer ones have superseded go.

use super::output::Answer;
use super::{Context, Failure, Output};
use clap::Args;
use serde_json::json;
use std::time::Duration;

/// Remove rows that newer ones have superseded
///
/// What is read and what is resolved stays the same; what was, as of a time past, does not.
#[derive(Debug, Args)]
pub(super) struct Vacuum {
    /// The features; `--all` for all that have a table
    #[arg(required_unless_present = "all")]
    features: Vec<String>,
    /// All features that have a table
    #[arg(long, conflicts_with = "features")]
    all: bool,
    /// How many rows of each record stay, its latest ones
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    keep: u64,
    /// Only rows that were written longer ago: `30days`, `12h`
    #[arg(long, value_name = "AGE", value_parser = humantime::parse_duration)]
    older_than: Option<Duration>,
    /// Count only, and remove nothing
    #[arg(long)]
    dry_run: bool,
}

impl Vacuum {
    pub(super) async fn run(&self, context: &Context, out: &mut Output) -> Result<(), Failure> {
        let store = context.store().await?;
        let mut keys = context.select(store.graph(), &self.features)?;
        if self.all {
            keys = store.stored(keys).await?;
        }
        let bar = context.progress(Some(keys.len() as u64), "vacuuming");
        let mut reports = Vec::with_capacity(keys.len());
        for key in keys {
            bar.set_message(key.to_string());
            let mut vacuum = store.vacuum_of(&key).keep(self.keep).dry_run(self.dry_run);
            if let Some(age) = self.older_than {
                vacuum = vacuum.older_than(age);
            }
            reports.push(vacuum.await?);
            bar.inc(1);
        }
        bar.finish_and_clear();
        let features = reports.iter().map(|report| {
            json!({ "feature": report.feature.as_str(), "rows_removed": report.rows_removed })
        });
        let json = json!({ "features": features.collect::<Vec<_>>(), "dry_run": self.dry_run });
        let lines: Vec<String> = reports.iter().map(ToString::to_string).collect();
        out.answer(&Answer::new(json).text(lines.join("\n")))
    }
}
