//! `metaxy failures`: records that could not be computed.

use super::output::Answer;
use super::{Context, Failure, Output};
use arrow::datatypes::TimestampMicrosecondType;
use clap::Args;
use serde_json::json;

/// List the records that could not be computed, and why
///
/// A record that is written later is none of them any more.
#[derive(Debug, Args)]
pub(super) struct Failures {
    /// The features; all if none is named
    features: Vec<String>,
    /// Exit with 3 if there are any
    #[arg(long)]
    check: bool,
}

impl Failures {
    pub(super) async fn run(&self, context: &Context, out: &mut Output) -> Result<(), Failure> {
        let store = context.store_to_read().await?;
        let mut all = Vec::new();
        for key in context.select(store.graph(), &self.features)? {
            let failures = store.failures_of(&key).await?;
            all.extend(failures.into_iter().map(|failure| (key.clone(), failure)));
        }
        let json = all.iter().map(|(key, failure)| {
            json!({
                "feature": key.as_str(),
                "ids": failure.ids,
                "error": failure.error,
                "time": time(failure.time),
                "materialization_id": failure.materialization_id,
            })
        });
        let rows = all.iter().map(|(key, failure)| {
            vec![
                key.to_string(),
                failure.ids.join(", "),
                failure.error.clone(),
                time(failure.time),
                failure.materialization_id.clone().unwrap_or_default(),
            ]
        });
        let answer = Answer::new(json!({ "failures": json.collect::<Vec<_>>() }));
        let header = ["feature", "record", "error", "time", "run"];
        let answer = answer.table(header, rows).text(format!("{} failures", all.len()));
        out.answer(&answer)?;
        match self.check && !all.is_empty() {
            true => Err(Failure::Found(format!("{} records could not be computed", all.len()))),
            false => Ok(()),
        }
    }
}

/// A time as text, from microseconds since 1970-01-01 UTC.
fn time(micros: i64) -> String {
    let time = arrow::array::temporal_conversions::as_datetime::<TimestampMicrosecondType>(micros);
    time.map_or_else(String::new, |time| time.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string())
}
