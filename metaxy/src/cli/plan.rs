//! `metaxy plan`: what is to be done in the whole graph, and what a change would cost.

use super::output::Answer;
use super::status::counts_json;
use super::{Context, Failure, Output};
use crate::FeatureGraph;
use crate::plan::{self, COST, Class, Cost, Group, PlannedFeature, Todo};
use clap::Args;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Plan the whole graph: what is new, stale, orphaned and blocked, and what follows downstream
///
/// Each feature is resolved as if everything upstream of it were computed, so that the numbers are those
/// of all records to compute until the store is up to date. Nothing is written, and nothing but numbers
/// leaves the store. What one record costs is the number `cost` of a feature's metadata, or else the
/// seconds that it took on average, as `write --took` has said.
#[derive(Debug, Args)]
pub(super) struct Plan {
    /// The features; all if none is named
    features: Vec<String>,
    /// Plan as if a field had another code version; may be given several times
    #[arg(long, value_name = "FEATURE.FIELD=VERSION", value_parser = change)]
    what_if: Vec<(String, String)>,
    /// Exit with 3 if anything is to be done
    #[arg(long)]
    check: bool,
    /// Exit with 4 if the records to compute would cost more than this
    #[arg(long, value_name = "COST")]
    max_cost: Option<f64>,
    /// Exit with 4 if there are more records to compute than this
    #[arg(long, value_name = "N")]
    max_records: Option<u64>,
}

fn change(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((field, version)) if !field.is_empty() => Ok((field.to_owned(), version.to_owned())),
        _ => {
            Err("write the field, an equals sign and the code version: `example/crop.frames=2`"
                .into())
        }
    }
}

impl Plan {
    pub(super) async fn run(&self, context: &Context, out: &mut Output) -> Result<(), Failure> {
        let store = context.store_to_read().await?;
        let mut graph: FeatureGraph = store.graph().clone();
        for (field, version) in &self.what_if {
            graph = graph.with_code_version(field, version)?;
        }
        let keys = context.select(&graph, &self.features)?;
        let bar = context.progress(None, "planning");
        let plan = store.with_graph(graph).plan_of(&keys).await?;
        bar.finish_and_clear();
        out.answer(&self.answer(&plan))?;
        self.limits(&plan)?;
        let is_to_do = plan.features.iter().filter(|feature| {
            !feature.now.counts.is_up_to_date() || !feature.then.counts.is_up_to_date()
        });
        match is_to_do.count() {
            n if self.check && n > 0 => {
                Err(Failure::Found(format!("{n} features are not up to date")))
            }
            _ => Ok(()),
        }
    }

    /// Refuses what would be more than is allowed.
    fn limits(&self, plan: &plan::Plan) -> Result<(), Failure> {
        let records = plan.to_compute();
        if let Some(most) = self.max_records.filter(|most| records > *most) {
            return Err(Failure::Exceeded(format!(
                "{records} records are to be computed, and at most {most} are allowed"
            )));
        }
        let Some(most) = self.max_cost else { return Ok(()) };
        // What has no price could cost anything.
        let without = plan.without_cost();
        if !without.is_empty() {
            let keys = without.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>();
            return Err(Failure::input(format!(
                "nothing says what a record of {} costs; give each `metadata({COST} = ..)`, or write it \
                 with `--took`",
                keys.join(", ")
            )));
        }
        let cost = plan.total_cost();
        if cost > most {
            return Err(Failure::Exceeded(format!(
                "computing {records} records would cost {cost}, and at most {most} is allowed"
            )));
        }
        Ok(())
    }

    fn answer(&self, plan: &plan::Plan) -> Answer {
        let features: Vec<Value> = plan.features.iter().map(feature_json).collect();
        let without: Vec<&str> = plan.without_cost().iter().map(|key| key.as_str()).collect();
        let what_if: BTreeMap<&str, &str> = self
            .what_if
            .iter()
            .map(|(field, version)| (field.as_str(), version.as_str()))
            .collect();
        let json = json!({
            "what_if": what_if,
            "to_compute": plan.to_compute(),
            "cost": plan.total_cost(),
            "without_cost": without,
            "features": features,
        });
        let mut answer = Answer::new(json);
        let changes: Vec<String> =
            what_if.iter().map(|(field, version)| format!("{field} = {version}")).collect();
        answer = answer.title(match changes.is_empty() {
            true => "Plan".to_owned(),
            false => format!("Plan if {}", changes.join(", ")),
        });
        let header =
            ["feature", "new", "stale", "orphaned", "blocked", "unchanged", "cost", "because"];
        answer = answer.table(header, plan.features.iter().map(row));
        let mut lines = vec![total(plan)];
        let mut unknown: Vec<String> = Vec::new();
        for feature in &plan.features {
            for what in &feature.unknown {
                unknown.push(what.to_string());
            }
        }
        unknown.sort();
        unknown.dedup();
        lines.extend(unknown.into_iter().map(|what| format!("not known: {what}")));
        for line in lines {
            answer = answer.text(line);
        }
        answer
    }
}

fn total(plan: &plan::Plan) -> String {
    let mut total = format!("{} records to compute", plan.to_compute());
    if plan.features.iter().any(|feature| feature.total_cost().is_some_and(|cost| cost > 0.0)) {
        total += &format!(", cost {}", plan.total_cost());
    }
    let without = plan.without_cost().len();
    if without > 0 && plan.total_cost() > 0.0 {
        total += &format!(" (and {without} features without a `{COST}`)");
    }
    total
}

fn row(feature: &PlannedFeature) -> Vec<String> {
    let counts = feature.then.counts;
    let now = feature.now.counts;
    // Where the two differ the first is what a resolve says today.
    let both = |now: u64, then: u64| match now == then {
        true => then.to_string(),
        false => format!("{now} -> {then}"),
    };
    let mut row = vec![feature.feature.to_string()];
    row.push(both(now.new, counts.new));
    row.push(both(now.stale, counts.stale));
    row.push(both(now.orphaned, counts.orphaned));
    row.push(both(now.blocked, counts.blocked));
    row.push(both(now.unchanged, counts.unchanged));
    let measured = matches!(feature.cost, Some(Cost::Measured(_)));
    let mark = if measured { " s (measured)" } else { "" };
    row.push(feature.total_cost().map(|cost| format!("{cost}{mark}")).unwrap_or_default());
    row.push(feature.then.groups.iter().map(because).collect::<Vec<_>>().join("\n"));
    row
}

/// A group in a line: `3 stale: audio (upstream), frames (code)`.
pub(super) fn because(group: &Group) -> String {
    let mut text = format!("{} {}", group.records, group.class);
    let fields = group.fields.iter().map(|(field, reasons)| {
        let reasons: Vec<&str> = reasons.iter().map(|reason| reason.name()).collect();
        format!("{field} ({})", reasons.join(", "))
    });
    let why: Vec<String> = fields.chain(group.cause.clone()).collect();
    if !why.is_empty() {
        text += &format!(": {}", why.join(", "));
    }
    text
}

fn feature_json(feature: &PlannedFeature) -> Value {
    let unknown: Vec<String> = feature.unknown.iter().map(ToString::to_string).collect();
    json!({
        "feature": feature.feature.as_str(),
        "root": feature.is_root,
        "now": todo_json(&feature.now),
        "then": todo_json(&feature.then),
        "to_compute": if feature.is_root { 0 } else { feature.to_compute() },
        "stale_fields": feature.stale_fields(),
        "cost_per_record": feature.cost.map(Cost::per_record),
        "cost_is_measured": matches!(feature.cost, Some(Cost::Measured(_))),
        "cost": feature.total_cost(),
        "unknown": unknown,
    })
}

/// What is to be done, as commands print it.
pub(super) fn todo_json(todo: &Todo) -> Value {
    let group = |group: &Group| {
        let fields: BTreeMap<&str, Vec<&str>> = group
            .fields
            .iter()
            .map(|(field, reasons)| {
                (field.as_str(), reasons.iter().map(|reason| reason.name()).collect())
            })
            .collect();
        let mut json = json!({ "class": group.class.name(), "records": group.records });
        if group.class == Class::Stale {
            json["fields"] = json!(fields);
        }
        if let Some(cause) = &group.cause {
            json["cause"] = json!(cause);
        }
        json
    };
    json!({
        "counts": counts_json(todo.counts),
        "groups": todo.groups.iter().map(group).collect::<Vec<_>>(),
    })
}
