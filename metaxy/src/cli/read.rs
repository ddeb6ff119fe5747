//! `metaxy read`: the records of a feature.

use super::files::Rows;
use super::{Context, Failure, Output, context};
use arrow::array::RecordBatch;
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
    /// Only these columns: `--columns video_id,path`
    #[arg(long, value_name = "COLUMN", value_delimiter = ',')]
    columns: Vec<String>,
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
        let batches = read.batches().await?.map_err(Failure::from);
        let batches = batches.and_then(|batch| futures::future::ready(self.project(&batch)));
        self.rows.write_or_show(batches, out).await
    }

    /// The columns that are asked for.
    fn project(&self, batch: &RecordBatch) -> Result<RecordBatch, Failure> {
        if self.columns.is_empty() {
            return Ok(batch.clone());
        }
        let schema = batch.schema();
        let place = |column: &String| {
            schema.index_of(column).map_err(|_| {
                let names = schema.fields().iter().map(|field| field.name().as_str());
                let hint = crate::nearest::hint(crate::nearest::nearest(column, names));
                Failure::input(format!("`{}` has no column `{column}`{hint}", self.feature))
            })
        };
        let places = self.columns.iter().map(place).collect::<Result<Vec<_>, _>>()?;
        batch.project(&places).map_err(|error| crate::Error::from(error).into())
    }
}
