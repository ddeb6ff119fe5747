//! `metaxy read`: the records of a feature.

use super::files::Rows;
use super::{Context, Failure, Output, context};
use clap::Args;
use futures::TryStreamExt;

/// Read the records of a feature
#[derive(Debug, Args)]
pub(super) struct Read {
    /// The key of the feature
    feature: String,
    #[command(flatten)]
    rows: Rows,
    /// Only records that fulfil a condition; may be given several times
    #[arg(long, value_name = "CONDITION")]
    filter: Vec<String>,
    /// All rows, not only the latest of each record
    #[arg(long)]
    history: bool,
    /// Also rows that other definitions have written, and that are outdated
    #[arg(long)]
    other_versions: bool,
    /// Also the marks of deleted records
    #[arg(long)]
    tombstones: bool,
}

impl Read {
    pub(super) async fn run(&self, context: &Context, out: &mut Output) -> Result<(), Failure> {
        let store = context.store_to_read().await?;
        let key = context::feature(store.graph(), &self.feature)?;
        let mut read = store.read_of(&key).history(self.history);
        read = read.other_versions(self.other_versions).tombstones(self.tombstones);
        for condition in &self.filter {
            read = read.filter(condition);
        }
        let batches = read.batches().await?;
        self.rows.write_or_show(batches.map_err(Failure::from), out).await
    }
}
