//! `metaxy resolve`: the increment of a feature, for any orchestrator in any language.

use super::files::Rows;
use super::output::Answer;
use super::status::counts_json;
use super::{Context, Failure, Output, context};
use crate::increment::Counts;
use crate::key::FeatureKey;
use crate::store::Failed;
use crate::store::backend::ResolveOptions;
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
    /// Exit with 4, and write nothing, if more records than this are to be computed
    #[arg(long, value_name = "N")]
    max_records: Option<u64>,
}

/// Which records of an increment are asked for.
#[derive(Debug, Args)]
pub(super) struct Selection {
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
        let mut update = store.update_of(&key).with(self.selection.options()?);
        for condition in &self.stale_if {
            update = update.stale_if(condition);
        }
        update = update.skip_comparison(self.skip_comparison);

        let bar = context.progress(None, format!("resolving {key}"));
        let counts = match self.rows.are_wanted() {
            false => {
                let counts = update.counts().await?;
                self.check_limit(&key, counts)?;
                counts
            }
            true => {
                let increment = update.await?;
                let counts = increment.counts();
                self.check_limit(&key, counts)?;
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

    fn check_limit(&self, key: &FeatureKey, counts: Counts) -> Result<(), Failure> {
        let to_compute = counts.to_compute();
        match self.max_records {
            Some(max) if to_compute > max => Err(Failure::Exceeded(format!(
                "{to_compute} records of `{key}` are to be computed, and no more than {max} may be"
            ))),
            _ => Ok(()),
        }
    }

    /// Says the numbers: where the records went, the numbers are talk.
    fn say(&self, key: &FeatureKey, counts: Counts, out: &mut Output) -> Result<(), Failure> {
        if self.rows.go_to_stdout() {
            eprintln!("{key}: {counts}");
            return Ok(());
        }
        let json = json!({ "feature": key.as_str(), "counts": counts_json(counts) });
        out.answer(&Answer::new(json).text(format!("{key}: {counts}")))
    }
}

impl Selection {
    /// What the call asks for.
    pub(super) fn options(&self) -> Result<ResolveOptions, Failure> {
        let filters = self.filter.iter().map(|(upstream, condition)| {
            let upstream = FeatureKey::new(upstream).map_err(crate::Error::from)?;
            Ok((upstream, condition.clone()))
        });
        let order_by = self.order_by.iter().map(|column| match column.strip_prefix('-') {
            Some(column) => (column.to_owned(), true),
            None => (column.clone(), false),
        });
        Ok(ResolveOptions {
            filters: filters.collect::<Result<_, Failure>>()?,
            global_filters: self.global_filter.clone(),
            target_filters: self.target_filter.clone(),
            shard: self.shard,
            order_by: order_by.collect(),
            limit: self.limit,
            failed: if self.without_failed { Failed::LeaveOut } else { Failed::Include },
            ..ResolveOptions::default()
        })
    }
}
