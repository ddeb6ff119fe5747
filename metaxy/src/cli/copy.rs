//! `metaxy copy`: records from one store into another, as they are.

use super::context::Purpose;
use super::output::Answer;
use super::{Context, Failure, Output};
use crate::error::Error;
use crate::key::FeatureKey;
use crate::store::Store;
use clap::Args;
use serde_json::json;

/// Copy records from one store into another, with all of their history
///
/// What the other store has already is not appended again, so a copy can be repeated: after a crash, or for
/// what came since.
#[derive(Debug, Args)]
pub(super) struct Copy {
    /// The store to read: a name of the configuration, or an address
    #[arg(long, value_name = "STORE")]
    from: String,
    /// The store to write: a name of the configuration, or an address
    #[arg(long, value_name = "STORE")]
    to: String,
    /// The features; without any, all that have a table
    features: Vec<String>,
    /// Count only what both stores have, and copy nothing
    #[arg(long)]
    dry_run: bool,
}

impl Copy {
    pub(super) async fn run(&self, context: &Context, out: &mut Output) -> Result<(), Failure> {
        if self.from == self.to {
            return Err(Failure::input(format!("`{}` cannot be copied into itself", self.from)));
        }
        let graph = context.graph()?;
        let keys = context.select(&graph, &self.features)?;
        let from = context.store_named(&self.from, graph.clone(), Purpose::Read).await?;
        let keys = match self.features.is_empty() {
            true => from.stored(keys).await?,
            false => keys,
        };
        if self.dry_run {
            let to = match context.store_named(&self.to, graph, Purpose::Read).await {
                Ok(to) => Some(to),
                Err(Failure::Error(error, _)) if matches!(*error, Error::NoStore { .. }) => None,
                Err(failure) => return Err(failure),
            };
            return compare(&from, to.as_ref(), &keys, out).await;
        }
        let to = context.store_named(&self.to, graph, Purpose::Write).await?;
        let bar = context.progress(Some(keys.len() as u64), "copying");
        let mut copied = Vec::with_capacity(keys.len());
        for key in keys {
            bar.set_message(key.to_string());
            copied.extend(from.copy_to(&to).features([key]).await?);
            bar.inc(1);
        }
        bar.finish_and_clear();
        let features =
            copied.iter().map(|c| json!({ "feature": c.feature.as_str(), "rows": c.rows }));
        let json = json!({ "features": features.collect::<Vec<_>>(), "dry_run": false });
        let lines: Vec<String> = copied.iter().map(ToString::to_string).collect();
        out.answer(&Answer::new(json).text(lines.join("\n")))
    }
}

/// Says how many rows both stores have.
async fn compare(
    from: &Store,
    to: Option<&Store>,
    keys: &[FeatureKey],
    out: &mut Output,
) -> Result<(), Failure> {
    let mut counts = Vec::with_capacity(keys.len());
    for key in keys {
        let there = match to {
            Some(to) => rows(to, key).await?,
            None => 0,
        };
        counts.push((key, rows(from, key).await?, there));
    }
    let features = counts.iter().map(
        |(key, from, to)| json!({ "feature": key.as_str(), "rows_from": from, "rows_to": to }),
    );
    let json = json!({ "features": features.collect::<Vec<_>>(), "dry_run": true });
    let lines = counts
        .iter()
        .map(|(key, from, to)| vec![key.to_string(), from.to_string(), to.to_string()]);
    let answer = Answer::new(json).table(["feature", "rows to read", "rows there"], lines);
    out.answer(&answer.text("nothing was copied"))
}

/// All rows of a feature, of all times.
async fn rows(store: &Store, key: &FeatureKey) -> Result<u64, Failure> {
    let read = store.read_of(key).history(true).other_versions(true).tombstones(true);
    match read.count().await {
        Ok(rows) => Ok(rows),
        Err(Error::NoTable { .. }) => Ok(0),
        Err(error) => Err(error.into()),
    }
}
