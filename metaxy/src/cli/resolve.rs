//! `metaxy resolve`: the increment of a feature, for any orchestrator in any language.

use super::files::Rows;
use super::output::Answer;
use super::status::counts_json;
use super::{Context, Failure, Output, context};
use crate::increment::{AnyFeature, Counts};
use crate::store::{Failed, Update};
use clap::Args;
use futures::TryStreamExt;
use serde_json::json;

/// Resolve a feature: which records are new, stale, orphaned or blocked, and because of which fields
///
/// Records go to a file or to standard output, in the layout that `write` takes back with the columns
/// added that were computed. Without `--output` and `--rows`, only the numbers are printed and no record
/// leaves the store.
#[derive(Debug, Args)]
pub(super) struct Resolve {
    /// The key of the feature
    feature: String,
    #[command(flatten)]
    rows: Rows,
    /// Only the records to compute: those that are new or stale
    #[arg(long)]
    to_compute: bool,
    #[command(flatten)]
    selection: Selection,
    /// Records whose stored row fulfils this condition are stale; may be given several times
    #[arg(long, value_name = "CONDITION")]
    stale_if: Vec<String>,
    /// All stored records that can be computed are stale
    #[arg(long)]
    skip_comparison: bool,
    /// Exit with 3 if anything is to be done
    #[arg(long)]
    check: bool,
}

/// Which records of an increment are asked for.
#[derive(Debug, Args)]
struct Selection {
    /// Only records whose row of an upstream fulfils a condition: `--filter 'example/video: duration > 3'`
    #[arg(long, value_name = "UPSTREAM: CONDITION", value_parser = upstream_filter)]
    filter: Vec<(String, String)>,
    /// Only records whose rows of all upstreams fulfil a condition
    #[arg(long, value_name = "CONDITION")]
    global_filter: Vec<String>,
    /// Only records whose stored row fulfils a condition
    #[arg(long, value_name = "CONDITION")]
    target_filter: Vec<String>,
    /// The shard I of N, from 0: `--shard 0/8`
    #[arg(long, value_name = "I/N", value_parser = shard)]
    shard: Option<(u64, u64)>,
    /// The records to compute in the order of a column; `-COLUMN` begins with the largest
    #[arg(long, value_name = "COLUMN", allow_hyphen_values = true)]
    order_by: Vec<String>,
    /// At most so many records to compute
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// Leave out records that have failed with the inputs that they have today
    #[arg(long)]
    without_failed: bool,
}

fn upstream_filter(text: &str) -> Result<(String, String), String> {
    match text.split_once(':') {
        Some((upstream, condition)) if !condition.trim().is_empty() => {
            Ok((upstream.trim().to_owned(), condition.trim().to_owned()))
        }
        _ => {
            Err("write the upstream, a colon and the condition: `example/video: duration > 3`"
                .into())
        }
    }
}

fn shard(text: &str) -> Result<(u64, u64), String> {
    let parse = |text: &str| text.trim().parse().ok();
    text.split_once('/')
        .and_then(|(index, count)| Some((parse(index)?, parse(count)?)))
        .ok_or_else(|| "write the shard and their number, `0/8`".to_owned())
}

impl Resolve {
    pub(super) async fn run(&self, context: &Context, out: &mut Output) -> Result<(), Failure> {
        let store = context.store_to_read().await?;
        let key = context::feature(store.graph(), &self.feature)?;
        let mut update = self.selection.of(store.update_of(&key))?;
        for condition in &self.stale_if {
            update = update.stale_if(condition);
        }
        update = update.skip_comparison(self.skip_comparison);

        let bar = context.progress(None, format!("resolving {key}"));
        let counts = match self.rows.are_wanted() {
            false => update.counts().await?,
            true => {
                let increment = update.await?;
                let counts = increment.counts();
                let batches = match self.to_compute {
                    true => increment.to_compute(),
                    false => increment.batches(),
                };
                self.rows.write(batches.map_err(Failure::from), out).await?;
                counts
            }
        };
        bar.finish_and_clear();
        self.say(&key, counts, out)?;
        match self.check && !counts.is_up_to_date() {
            true => Err(Failure::Found(format!("`{key}` is not up to date"))),
            false => Ok(()),
        }
    }

    /// Says the numbers: where the records went, the numbers are talk.
    fn say(
        &self,
        key: &crate::FeatureKey,
        counts: Counts,
        out: &mut Output,
    ) -> Result<(), Failure> {
        if self.rows.go_to_stdout() {
            eprintln!("{key}: {counts}");
            return Ok(());
        }
        let json = json!({ "feature": key.as_str(), "counts": counts_json(counts) });
        out.answer(&Answer::new(json).text(format!("{key}: {counts}")))
    }
}

impl Selection {
    fn of(&self, mut update: Update<AnyFeature>) -> Result<Update<AnyFeature>, Failure> {
        for (upstream, condition) in &self.filter {
            let upstream = crate::FeatureKey::new(upstream).map_err(crate::Error::from)?;
            update = update.filter(&upstream, condition);
        }
        for condition in &self.global_filter {
            update = update.global_filter(condition);
        }
        for condition in &self.target_filter {
            update = update.target_filter(condition);
        }
        if let Some((index, count)) = self.shard {
            update = update.shard(index, count);
        }
        for column in &self.order_by {
            update = match column.strip_prefix('-') {
                Some(column) => update.order_by_desc(column),
                None => update.order_by(column),
            };
        }
        if let Some(limit) = self.limit {
            update = update.limit(limit);
        }
        if self.without_failed {
            update = update.failed(Failed::LeaveOut);
        }
        Ok(update)
    }
}
