//! `metaxy explain`: one record, or the records of a feature by what is the matter with them.

use super::output::Answer;
use super::plan::{because, todo_json};
use super::sync::pair;
use super::{Context, Failure, Output, context};
use crate::FeatureKey;
use crate::explain::{Change, Event, Explained, Explanation, Related, StaleBecause, name_of};
use crate::increment::Reason;
use crate::store::Store;
use chrono::{DateTime, SecondsFormat};
use clap::Args;
use serde_json::{Map, Value, json};

/// Explain a record: why it is as it is, what happened to it, and what belongs to it in all features
///
/// Without `--id`, all records of the feature that are not up to date are grouped by what is the matter
/// with them.
#[derive(Debug, Args)]
pub(super) struct Explain {
    /// The key of the feature
    feature: String,
    /// The record with this id; with several id columns one after the other. Some may be left out
    #[arg(long, value_name = "COLUMN=VALUE", value_parser = pair)]
    id: Vec<(String, String)>,
}

impl Explain {
    pub(super) async fn run(&self, context: &Context, out: &mut Output) -> Result<(), Failure> {
        let store = context.store_to_read().await?;
        let key = context::feature(store.graph(), &self.feature)?;
        let bar = context.progress(None, format!("looking at {key}"));
        let answer = match self.id.is_empty() {
            true => by_cause(&store, &key).await?,
            false => self.record(&store, &key).await?,
        };
        bar.finish_and_clear();
        out.answer(&answer)
    }

    async fn record(&self, store: &Store, key: &FeatureKey) -> Result<Answer, Failure> {
        let ids: Vec<(&str, &str)> =
            self.id.iter().map(|(column, value)| (column.as_str(), value.as_str())).collect();
        let columns = &store.graph().expect(key)?.spec.id_columns;
        if let Some((unknown, _)) = ids.iter().find(|(id, _)| !columns.iter().any(|c| c == id)) {
            let nearest = crate::nearest::nearest(unknown, columns.iter().map(String::as_str));
            return Err(Failure::input(format!(
                "`{key}` has no id column `{unknown}`{}; its ids are `{}`",
                crate::nearest::hint(nearest),
                columns.join("`, `")
            )));
        }
        let explanation = store.explain(key, &ids).await?;
        if explanation.records.is_empty() && explanation.timeline.is_empty() {
            let ids: Vec<String> =
                self.id.iter().map(|(column, value)| format!("{column} = {value}")).collect();
            return Err(Failure::input(format!(
                "`{key}` has no record with {}, and nothing that it could be computed from",
                ids.join(", ")
            )));
        }
        Ok(answer(&explanation))
    }
}

/// All records of a feature that are not up to date, by cause.
async fn by_cause(store: &Store, key: &FeatureKey) -> Result<Answer, Failure> {
    let plan = store.plan_of(std::slice::from_ref(key)).await?;
    let todo = plan.of(key).map(|feature| feature.now.clone()).unwrap_or_default();
    let mut json = todo_json(&todo);
    json["feature"] = json!(key.as_str());
    let rows = todo.groups.iter().map(|group| {
        let text = because(group);
        let (_, why) = text.split_once(": ").unwrap_or_default();
        vec![group.records.to_string(), group.class.to_string(), why.to_owned()]
    });
    let answer = Answer::new(json).title(format!("{key}: {}", todo.counts));
    Ok(answer.table(["records", "state", "because"], rows))
}

fn answer(of: &Explanation) -> Answer {
    let mut answer = Answer::new(json!({
        "feature": of.feature.as_str(),
        "records": of.records.iter().map(record_json).collect::<Vec<_>>(),
        "timeline": of.timeline.iter().map(event_json).collect::<Vec<_>>(),
        "upstream": of.upstream.iter().map(related_json).collect::<Vec<_>>(),
        "downstream": of.downstream.iter().map(related_json).collect::<Vec<_>>(),
    }));
    for record in &of.records {
        answer = answer.title(format!("{} {}: {}", of.feature, record.name(), state(record)));
        for stale in &record.stale {
            answer = answer.text(stale_text(stale));
            answer = answer.table(
                ["upstream", "field", "record", "then", "now", "since", "by definition"],
                stale.changes.iter().map(change_row),
            );
        }
    }
    answer = answer.title("What happened");
    answer = answer.table(
        ["when", "record", "what", "fields", "definition", "run"],
        of.timeline.iter().map(event_row),
    );
    for (title, related) in [("Upstream", &of.upstream), ("Downstream", &of.downstream)] {
        let rows: Vec<_> = related.iter().flat_map(related_rows).collect();
        if !rows.is_empty() {
            answer = answer.title(title);
            answer = answer.table(["feature", "record", "state", "written"], rows);
        }
    }
    answer
}

fn state(record: &Explained) -> String {
    match &record.cause {
        Some(cause) => format!("{} ({cause})", record.state),
        None => record.state.to_string(),
    }
}

fn stale_text(stale: &StaleBecause) -> String {
    let why = stale.reasons.iter().map(|reason| match reason {
        Reason::Code => "its code version or its parent fields are others",
        Reason::Added => "it was added",
        Reason::Upstream => "what it is computed from has changed",
        _ => "somebody says so",
    });
    format!(
        "{}: {} ({} -> {})",
        stale.field,
        why.collect::<Vec<_>>().join("; "),
        stale.old.as_deref().unwrap_or("nothing"),
        stale.new
    )
}

fn change_row(change: &Change) -> Vec<String> {
    let or_absent =
        |version: &Option<String>| version.clone().unwrap_or_else(|| "absent".to_owned());
    vec![
        change.feature.to_string(),
        change.field.clone(),
        name_of(&change.ids),
        or_absent(&change.before),
        or_absent(&change.after),
        change.at.map(time).unwrap_or_default(),
        change.feature_version.clone().unwrap_or_default(),
    ]
}

fn event_row(event: &Event) -> Vec<String> {
    vec![
        time(event.time),
        name_of(&event.ids),
        if event.is_deletion { "deleted" } else { "written" }.to_owned(),
        event.changed.join(", "),
        event.feature_version.clone().unwrap_or_default(),
        event.materialization_id.clone().unwrap_or_default(),
    ]
}

fn related_rows(related: &Related) -> impl Iterator<Item = Vec<String>> {
    let rows = related.records.iter().map(|record| {
        let written = record.updated_at.map(time).unwrap_or_default();
        vec![related.feature.to_string(), record.name(), state(record), written]
    });
    let more = related.are_more.then(|| {
        vec![related.feature.to_string(), "and more".to_owned(), String::new(), String::new()]
    });
    rows.chain(more)
}

fn ids_json(ids: &[(String, String)]) -> Value {
    let ids: Map<String, Value> =
        ids.iter().map(|(column, value)| (column.clone(), json!(value))).collect();
    Value::Object(ids)
}

fn record_json(record: &Explained) -> Value {
    let stale = record.stale.iter().map(|stale| {
        json!({
            "field": stale.field,
            "reasons": stale.reasons.iter().map(|reason| reason.name()).collect::<Vec<_>>(),
            "old": stale.old,
            "new": stale.new,
            "changes": stale.changes.iter().map(|change| json!({
                "feature": change.feature.as_str(),
                "field": change.field,
                "ids": ids_json(&change.ids),
                "before": change.before,
                "after": change.after,
                "at": change.at.map(time),
                "feature_version": change.feature_version,
            })).collect::<Vec<_>>(),
        })
    });
    json!({
        "ids": ids_json(&record.ids),
        "state": record.state.name().replace(' ', "_"),
        "cause": record.cause,
        "stale": stale.collect::<Vec<_>>(),
        "feature_version": record.feature_version,
        "updated_at": record.updated_at.map(time),
    })
}

fn event_json(event: &Event) -> Value {
    json!({
        "at": time(event.time),
        "ids": ids_json(&event.ids),
        "event": if event.is_deletion { "deleted" } else { "written" },
        "changed": event.changed,
        "feature_version": event.feature_version,
        "materialization_id": event.materialization_id,
    })
}

fn related_json(related: &Related) -> Value {
    json!({
        "feature": related.feature.as_str(),
        "records": related.records.iter().map(record_json).collect::<Vec<_>>(),
        "more": related.are_more,
    })
}

/// A time as RFC 3339 has it, in UTC.
pub(super) fn time(micros: i64) -> String {
    match DateTime::from_timestamp_micros(micros) {
        Some(time) => time.to_rfc3339_opts(SecondsFormat::Micros, true),
        None => micros.to_string(),
    }
}
