//! What keeps a table in order: rebases, failures, and the way from one store to another.

use super::batches::{imported, imported_seals};
use super::compare::Class;
use super::filters;
use super::hash::hash_over;
use super::rows::{Recorded, Row, Seal, State, View, id_columns_text};
use super::rule::Rule;
use super::value::Ids;
use super::writes::{Addition, Stamp, append, now};
use crate::error::{Error, Result};
use crate::store::backend::{
    Export, Failure, FeatureContext, RebaseOptions, Rebased, ResolveOptions, WriteOptions, Written,
};
use crate::store::filters::over_records;
use arrow::array::RecordBatch;
use futures::stream::{StreamExt, TryStreamExt};
use metaxy_sql::ColumnType;
use std::collections::{BTreeMap, BTreeSet};

/// Gives rows of former definitions today's, where the output is the same.
pub(super) fn rebase(
    state: &mut State,
    feature: &FeatureContext,
    without: Option<Rule>,
    options: &RebaseOptions,
) -> Result<Written> {
    let before = state.clone();
    let view = View { state: &before, feature: feature.clone(), without };
    let Some(table) = view.table() else { return Ok(Written::default()) };
    let fields = feature.field_names();
    let answer = view.resolve(&ResolveOptions::default())?;
    let filter = over_records(feature, &options.filter, &view)?;

    let Some(stamp) = Stamp::new(Some(table), &WriteOptions::default()) else {
        return Ok(Written::default());
    };
    let parents = view.parents(None);
    let mut addition = Addition::default();
    for record in answer.records {
        let (Some(expected), Some(current)) = (&record.expected, &record.current) else { continue };
        let is_same = match &record.class {
            Class::Unchanged => view.is_older(current),
            Class::Stale(fields) => {
                fields.values().flatten().all(|reason| options.accept.contains(reason))
            }
            _ => false,
        };
        if !is_same || !filters::hold_for(&filter, current.row) {
            continue;
        }
        let today = |row: &Row| {
            // The run that computed it stays its run.
            let run = row.materialization_id.clone();
            let mut row = Row { materialization_id: run, ..stamp.again(row) };
            row.provenance = expected.provenance.clone();
            row.provenance_hash = hash_over(feature.hash(), &row.provenance, &fields);
            let data_version = fields.iter().filter_map(|field| {
                let stored = row.data_version.get(field).or_else(|| row.provenance.get(field));
                Some((field.clone(), stored?.clone()))
            });
            row.data_version = data_version.collect();
            row.data_version_hash = hash_over(feature.hash(), &row.data_version, &fields);
            row.feature_version = Some(view.version().to_owned());
            row.project_version = Some(feature.project_version().to_owned());
            row
        };
        let Some(parent) = parents.get(&record.ids) else {
            addition.rows.push(today(current.row));
            continue;
        };
        addition.rows.extend(parent.live().map(|(_, row)| today(row)));
        addition.seals.extend(parent.seal.map(|seal| {
            let mut row = today(&seal.row);
            row.data_version.clear();
            row.data_version_hash = None;
            Seal { row, ..*seal }
        }));
    }
    let (rows, seals) = (addition.rows.len() as u64, addition.seals.len() as u64);
    let written = Written { rows, seals, ..Written::default() };
    if options.dry_run || written == Written::default() {
        return Ok(written);
    }
    append(state, &view, table.columns.clone(), addition);
    state.rebases.push(Rebased {
        feature: view.key().clone(),
        feature_version: view.version().to_owned(),
        rows: rows + seals,
        accepted: options.accept.clone(),
        by: options.by.clone(),
        reason: options.reason.clone(),
        time: stamp.time,
    });
    Ok(Written { time: Some(stamp.time), ..written })
}

/// Keeps failures, all with one time.
pub(super) fn fail(
    state: &mut State,
    feature: &FeatureContext,
    failures: Vec<Failure>,
    options: &WriteOptions,
) {
    let kept = state.failures.entry(feature.key().clone()).or_default();
    let latest = kept.iter().map(|failure| failure.time.saturating_add(1)).max();
    let time = now().max(latest.unwrap_or_default());
    let materialization_id = options.materialization_id.clone();
    kept.extend(failures.into_iter().map(|failure| Failure {
        time,
        materialization_id: materialization_id.clone(),
        ..failure
    }));
}

/// Everything that is stored of a feature.
pub(super) fn export(view: &View<'_>) -> Result<Export> {
    let Some(table) = view.table() else {
        let (feature, table) = (view.key().clone(), view.key().table_name());
        return Err(Error::NoTable { feature, table });
    };
    let recorded = view.state.definitions.get(view.key()).into_iter().flatten();
    let definitions = recorded.map(|line| line.to_vec()).collect();
    let all: Vec<&Row> = table.rows.iter().collect();
    // A column without a type and without a value says nothing.
    let mut columns = table.columns.clone();
    columns.retain(|name, ty| ty.is_some() || all.iter().any(|row| !row.value(name).is_null()));
    let rows = vec![Ok(view.batch_of_rows(&all, &columns)?)];
    let seals = match view.feature.is_expansion() {
        true => vec![Ok(view.batch_of_seals(&table.seals)?)],
        false => Vec::new(),
    };
    let (rows, seals) = (futures::stream::iter(rows).boxed(), futures::stream::iter(seals).boxed());
    Ok(Export { definitions, rows, seals })
}

/// An export whose streams have come to their end.
#[derive(Debug)]
pub(super) struct Collected {
    definitions: Vec<Vec<String>>,
    rows: Vec<RecordBatch>,
    seals: Vec<RecordBatch>,
}

/// Takes an export out of its streams.
pub(super) async fn collected(export: Export) -> Result<Collected> {
    let Export { definitions, rows, seals } = export;
    let (rows, seals) = (rows.try_collect().await?, seals.try_collect().await?);
    Ok(Collected { definitions, rows, seals })
}

/// What tells a row, or a seal, from all others of a feature.
type Mark = (Ids, Option<i64>, Option<i64>, Option<i64>, Option<String>, Option<i64>);

fn mark(row: &Row, ids: &[String]) -> Mark {
    let version = row.feature_version.clone();
    (row.get(ids), row.updated_at, row.deleted_at, row.write_token, version, row.attempt)
}

/// Appends what is not here yet; gives the number of rows and seals.
pub(super) fn import(state: &mut State, feature: &FeatureContext, from: Collected) -> Result<u64> {
    let key = feature.key().clone();
    let ids = &feature.definition().spec.id_columns;
    let recorded = state.definitions.entry(key.clone()).or_default();
    for line in from.definitions {
        let Ok(line) = Recorded::try_from(line) else { continue };
        let (today, [.., there]) = (id_columns_text(ids), &line);
        if *there != today {
            return Err(Error::OtherIds { feature: key, today, recorded: there.clone() });
        }
        if !recorded.contains(&line) {
            recorded.push(line);
        }
    }
    let declared = feature.definition().columns.iter().flatten();
    let declared: BTreeMap<&str, ColumnType> =
        declared.map(|column| (column.name.as_str(), column.ty)).collect();
    if from.rows.is_empty() {
        return Ok(0);
    }
    let table = state.tables.entry(key).or_default();
    let parents: Vec<String> =
        feature.parent_ids().into_iter().map(|place| ids[place].clone()).collect();
    let here: BTreeSet<Mark> = table.rows.iter().map(|row| mark(row, ids)).collect();
    let sealed: BTreeSet<Mark> = table.seals.iter().map(|seal| mark(&seal.row, &parents)).collect();
    let before = table.rows.len() + table.seals.len();
    for batch in &from.rows {
        let (mut rows, columns) = imported(batch)?;
        for (name, ty) in columns {
            let ty = declared.get(name.as_str()).copied().or(ty);
            table.columns.entry(name).or_insert(ty);
        }
        rows.retain(|row| !here.contains(&mark(row, ids)));
        table.rows.extend(rows);
    }
    for batch in &from.seals {
        let mut seals = imported_seals(batch)?;
        seals.retain(|seal| !sealed.contains(&mark(&seal.row, &parents)));
        table.seals.extend(seals);
    }
    Ok((table.rows.len() + table.seals.len() - before) as u64)
}
