//! `metaxy status`: what is to be done, feature by feature, without moving a record.

use super::output::Answer;
use super::{Context, Failure, Output};
use crate::error::Error;
use crate::increment::Counts;
use crate::key::FeatureKey;
use crate::look;
use crate::store::Store;
use clap::Args;
use serde_json::{Map, Value, json};

/// Count what is new, stale, orphaned and blocked in each feature
///
/// Roots have no upstream that they could be compared with; of them it is known how many records there
/// are. Nothing leaves the store but the numbers.
#[derive(Debug, Args)]
pub(super) struct Status {
    /// The features; all if none is named
    features: Vec<String>,
    /// Exit with 3 if anything is to be done, and with 1 if it cannot be known
    #[arg(long)]
    check: bool,
}

/// What is known of a feature.
pub(super) enum State {
    /// A root, with so many records.
    Root(u64),
    /// A feature with upstreams.
    Counted(Counts),
    /// It could not be counted.
    Failed(Error),
}

impl Status {
    pub(super) async fn run(&self, context: &Context, out: &mut Output) -> Result<(), Failure> {
        let store = context.store_to_read().await?;
        let keys = context.select(store.graph(), &self.features)?;
        let bar = context.progress(Some(keys.len() as u64), "counting");
        let mut states = Vec::with_capacity(keys.len());
        for key in keys {
            bar.set_message(key.to_string());
            // One feature that cannot be counted does not hide the others.
            let state = state(&store, &key).await.unwrap_or_else(State::Failed);
            states.push((key, state));
            bar.inc(1);
        }
        bar.finish_and_clear();

        let json: Map<String, Value> =
            states.iter().map(|(key, state)| (key.to_string(), state.to_json())).collect();
        let to_do = states.iter().filter(|(_, state)| state.is_to_do()).count();
        let failed = states.iter().filter(|(_, state)| matches!(state, State::Failed(_))).count();
        let header =
            ["feature", "state", "new", "stale", "orphaned", "blocked", "waiting", "unchanged"];
        let rows = states.iter().map(|(key, state)| state.to_row(key));
        let answer = Answer::new(json!({
            "features": json, "features_to_do": to_do, "features_failed": failed,
        }));
        out.answer(&answer.table(header, rows))?;

        let errors = states.into_iter().filter_map(|(_, state)| match state {
            State::Failed(error) => Some(error),
            _ => None,
        });
        let mut errors = errors.collect::<Vec<_>>().into_iter();
        match errors.next() {
            Some(first) => Err(first.into()),
            None if self.check && to_do > 0 => {
                Err(Failure::Found(format!("{to_do} features are not up to date")))
            }
            None => Ok(()),
        }
    }
}

pub(super) async fn state(store: &Store, key: &FeatureKey) -> Result<State, Error> {
    if !store.graph().expect(key)?.spec.deps.is_empty() {
        return Ok(State::Counted(store.count_update_of(key).await?));
    }
    match store.read_of(key).count().await {
        Ok(records) => Ok(State::Root(records)),
        Err(Error::NoTable { .. }) => Ok(State::Root(0)),
        Err(error) => Err(error),
    }
}

impl State {
    fn is_to_do(&self) -> bool {
        matches!(self, Self::Counted(counts) if !counts.is_up_to_date())
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Root(_) => "root",
            Self::Failed(_) => "error",
            Self::Counted(_) if self.is_to_do() => "to do",
            Self::Counted(_) => "up to date",
        }
    }

    /// The same for a picture.
    pub(super) fn to_look(&self) -> look::State {
        match self {
            Self::Root(records) => look::State { records: Some(*records), ..Default::default() },
            Self::Counted(counts) => look::State::from(counts),
            Self::Failed(_) => look::State::default(),
        }
    }

    fn to_json(&self) -> Value {
        let state = self.name().replace(' ', "_");
        match self {
            Self::Root(records) => json!({ "state": state, "records": records }),
            Self::Counted(counts) => json!({ "state": state, "counts": counts_json(*counts) }),
            Self::Failed(error) => json!({ "state": state, "error": error.to_string() }),
        }
    }

    fn to_row(&self, key: &FeatureKey) -> Vec<String> {
        let mut row = vec![key.to_string(), self.name().to_owned()];
        match self {
            Self::Root(records) => {
                row.extend(["", "", "", "", ""].map(str::to_owned));
                row.push(records.to_string());
            }
            Self::Counted(c) => {
                let counts = [c.new, c.stale, c.orphaned, c.blocked, c.waiting, c.unchanged];
                row.extend(counts.map(|count| count.to_string()));
            }
            Self::Failed(error) => row.push(error.to_string()),
        }
        row
    }
}

/// Counts as commands print them.
pub(super) fn counts_json(counts: Counts) -> Value {
    json!({
        "new": counts.new,
        "stale": counts.stale,
        "orphaned": counts.orphaned,
        "blocked": counts.blocked,
        "waiting": counts.waiting,
        "unchanged": counts.unchanged,
        "unchanged_older": counts.unchanged_older,
        "unsealed": counts.unsealed,
    })
}
