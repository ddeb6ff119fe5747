//! Plans: each feature is resolved as if everything upstream of it were computed, on a copy of what is
//! there.

use super::batches::{cause_text, random};
use super::compare::{Answer, Class};
use super::hash::hash_over;
use super::rows::{Row, State, View};
use super::rule::Rule;
use super::writes::{Addition, Stamp, append, now};
use crate::error::Result;
use crate::plan::{Class as GroupClass, Group, Todo};
use crate::store::backend::{FeatureContext, Planned, ResolveOptions};
use std::collections::BTreeMap;

/// What is to be done in these features, which are in topological order.
pub(super) fn plan(
    state: &State,
    features: Vec<FeatureContext>,
    without: Option<Rule>,
) -> Result<Vec<Planned>> {
    let mut after = state.clone();
    let mut planned = Vec::with_capacity(features.len());
    for feature in features {
        let today = View { state, feature: feature.clone(), without };
        let now = todo(&today, &resolved(&today)?);
        let before = after.clone();
        let view = View { state: &before, feature: feature.clone(), without };
        let answer = resolved(&view)?;
        let then = todo(&view, &answer);
        if !feature.is_expansion() {
            compute(&mut after, &view, answer);
        }
        planned.push(Planned { feature: feature.key().clone(), now, then });
    }
    Ok(planned)
}

/// A resolve; of a root, with its own records as samples.
fn resolved<'a>(view: &View<'a>) -> Result<Answer<'a>> {
    if !view.feature.is_root() {
        return view.resolve(&ResolveOptions::default());
    }
    let existing = view.existing().into_iter();
    let samples =
        existing.map(|(ids, row)| (ids, (row.provenance.clone(), row.data_version.clone())));
    view.resolve_samples(samples.collect(), true)
}

fn todo(view: &View<'_>, answer: &Answer<'_>) -> Todo {
    let mut groups: BTreeMap<(GroupClass, _, _), (u64, u64)> = BTreeMap::new();
    for record in &answer.records {
        let (class, fields) = match &record.class {
            Class::New => (GroupClass::New, BTreeMap::new()),
            Class::Stale(fields) => (GroupClass::Stale, fields.clone()),
            Class::Orphaned(_) => (GroupClass::Orphaned, BTreeMap::new()),
            Class::Blocked(_) => (GroupClass::Blocked, BTreeMap::new()),
            Class::Waiting | Class::Unchanged => continue,
        };
        // Those of an expansion are its children's, of which nothing is known.
        let current = record.current.as_ref().filter(|_| !view.feature.is_expansion());
        let is_own = current.is_some_and(|current| {
            let has_own = |field: &String| {
                current.row.data_version.get(field) != current.provenance.get(field)
            };
            fields.keys().any(has_own)
        });
        let group = groups.entry((class, fields, cause_text(&record.class))).or_default();
        group.0 += 1;
        group.1 += u64::from(is_own);
    }
    let group = |((class, fields, cause), (records, own_versions))| Group {
        class,
        fields,
        cause,
        records,
        own_versions,
    };
    let groups = groups.into_iter().map(group).collect();
    let mut todo = Todo { counts: answer.counts, groups };
    todo.sort();
    todo
}

/// Appends what is new or stale as if it had been computed.
fn compute(state: &mut State, view: &View<'_>, answer: Answer<'_>) {
    let fields = view.feature.field_names();
    let latest = view.table().and_then(super::rows::Table::latest_time);
    let time = latest.map_or_else(now, |latest| now().max(latest.saturating_add(1)));
    let stamp = Stamp { time, token: random(), run: None };
    let mut addition = Addition::default();
    for record in answer.records {
        let stale = match &record.class {
            Class::New => BTreeMap::new(),
            Class::Stale(fields) => fields.clone(),
            _ => continue,
        };
        let is_new = record.class == Class::New;
        let Some(expected) = record.expected else { continue };
        let stored = record.current.map(|current| current.row.clone());
        let mut row = stamp.again(&stored.unwrap_or_else(|| Row {
            values: view.ids().iter().cloned().zip(record.ids).collect(),
            ..Row::default()
        }));
        let computed = |provenance: &String| match view.feature.is_root() {
            // What a root's values will be only its caller knows.
            true => format!("{provenance}?"),
            false => provenance.clone(),
        };
        let data_version = expected.provenance.iter().map(|(field, provenance)| {
            let kept = row.data_version.get(field).unwrap_or(provenance);
            let is_computed = is_new || stale.contains_key(field);
            let version = if is_computed { computed(provenance) } else { kept.clone() };
            (field.clone(), version)
        });
        row.data_version = data_version.collect();
        row.data_version_hash = hash_over(view.feature.hash(), &row.data_version, &fields);
        row.provenance_hash = hash_over(view.feature.hash(), &expected.provenance, &fields);
        row.provenance = expected.provenance;
        row.feature_version = Some(view.version().to_owned());
        row.project_version = Some(view.feature.project_version().to_owned());
        addition.rows.push(row);
    }
    append(state, view, view.columns(), addition);
}
