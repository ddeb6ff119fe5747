//! Deletions and what undoes them: each in one transaction, over all features that it concerns.
//!
//! What is meant is found first and kept in temporary tables; then one statement per table marks or
//! removes it. The ids that a caller names are in [`STAGE`], those of the records that are meant in
//! [`MEANT`], and if parents of an expansion are meant, theirs in [`PARENTS`].

use super::failures::clear as clear_failures;
use super::session::{INCREMENT, STAGE, append_to, make_increment, next_time, token, transaction};
use super::{Shared, rows, run, run_ast, tables_of};
use crate::error::{Error, Result};
use crate::key::FeatureKey;
use crate::store::backend::{
    Delete, DeleteOptions, Deleted, FeatureContext, ResolveOptions, VacuumOptions, WriteOptions,
    Written,
};
use crate::store::filters;
use crate::store::plan::{Planner, Tables};
use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use duckdb::Connection;
use metaxy_sql::ast::{Query, Statement};
use metaxy_sql::filter::Filter;
use metaxy_sql::plan::{
    Meant, MeantBy, Orphans, Records, SealCopies, SealCopy, Stamp, Tombstone, Undelete, Vacuum,
    orphan,
};
use metaxy_sql::{Ident, lower, system};

/// The ids of the records that are meant.
const MEANT: &str = "@meant";
/// The ids of the parents that are meant.
const PARENTS: &str = "@parents";
/// The superseded seals of a vacuum.
const SUPERSEDED: &str = "@superseded";

/// The ids of what was orphaned in the n-th feature downstream before anything was deleted.
fn before(n: usize) -> String {
    format!("@before {n}")
}

/// Deletes records, and on request what is computed from them.
pub(super) fn delete(
    shared: &Shared,
    feature: &FeatureContext,
    which: &Delete,
    options: &DeleteOptions,
) -> Result<Vec<Deleted>> {
    let connection = &shared.database.connect()?;
    let deletion = Deletion { shared, connection, options };
    unless_dry(shared, connection, options.dry_run, || deletion.run(feature, which))
}

/// Does something in a transaction, of which nothing stays if it was only to be seen what it does.
pub(super) fn unless_dry<T>(
    shared: &Shared,
    connection: &Connection,
    dry_run: bool,
    act: impl FnOnce() -> Result<T>,
) -> Result<T> {
    if !dry_run {
        return transaction(shared, connection, act);
    }
    let _turn = shared.database.turn();
    run(connection, "BEGIN TRANSACTION")?;
    let result = act();
    let ended = run(connection, "ROLLBACK");
    let value = result?;
    ended?;
    Ok(value)
}

/// Makes a temporary table anew.
pub(super) fn keep(connection: &Connection, table: &str, query: Query) -> Result<()> {
    let table = Ident::new(table)?;
    run_ast(connection, &Statement::DropTemporary { table: table.clone() })?;
    run_ast(connection, &Statement::CreateTemporaryAs { table, query })?;
    Ok(())
}

/// The number of rows of a temporary table.
fn count(connection: &Connection, table: &str) -> Result<u64> {
    let batches = rows(connection, &format!("SELECT count(*)::BIGINT AS n FROM temp.\"{table}\""))?;
    let n = batches.first().map_or(0, |batch| batch.column(0).as_primitive::<Int64Type>().value(0));
    Ok(u64::try_from(n).unwrap_or_default())
}

/// The records of an expansion as their parents, whose ids are staged like any others.
fn as_parents(records: &Records) -> Records {
    let places = records.seals.iter().flat_map(|seals| &seals.parents);
    Records { ids: places.map(|place| records.ids[*place].clone()).collect(), ..records.clone() }
}

/// Stages ids of records or, if they are fewer, of their parents, in the types that they have in the
/// table.
fn stage_ids(connection: &Connection, records: &Records, batches: &[RecordBatch]) -> Result<bool> {
    let n_parents = records.seals.as_ref().map(|seals| seals.parents.len());
    let n_columns = batches.first().map_or(records.ids.len(), RecordBatch::num_columns);
    let are_parents = n_columns < records.ids.len() && Some(n_columns) == n_parents;
    let no_ids =
        if are_parents { lower::no_ids(&as_parents(records)) } else { lower::no_ids(records) };
    keep(connection, STAGE, no_ids)?;
    batches.iter().try_for_each(|batch| append_to(connection, STAGE, batch.clone()))?;
    Ok(are_parents)
}

/// A time for what is appended, later than anything in the feature's tables.
pub(super) fn time_for(connection: &Connection, records: &Records) -> Result<i64> {
    let seals = records.seals.as_ref().and_then(|seals| seals.table.clone());
    let tables: Vec<String> = [records.table.clone()].into_iter().chain(seals).collect();
    next_time(connection, &tables)
}

/// The columns of a table, by name.
fn columns(tables: &Tables, table: &str) -> Vec<String> {
    tables.get(table).map(|info| info.columns.keys().cloned().collect()).unwrap_or_default()
}

/// Copies of seals; nothing if the feature has none.
pub(super) fn copy_seals(
    connection: &Connection,
    tables: &Tables,
    records: &Records,
    of: SealCopy,
    stamp: &Stamp,
) -> Result<u64> {
    let columns = columns(tables, &system::seals(&records.table));
    let plan = SealCopies { records: records.clone(), columns, of, stamp: stamp.clone() };
    match lower::seal_copies(&plan)? {
        Some(statement) => run_ast(connection, &statement),
        None => Ok(0),
    }
}

/// Makes a system table, if it is not there and the store may.
pub(super) fn ensure_system_table(
    shared: &Shared,
    connection: &Connection,
    table: &str,
    statement: &Statement,
) -> Result<()> {
    if super::tables(connection, &[table.to_owned()])?.contains_key(table) {
        return Ok(());
    }
    if !shared.create_tables {
        return Err(Error::NoSystemTable { table: table.to_owned() });
    }
    run_ast(connection, statement)?;
    Ok(())
}

struct Deletion<'a> {
    shared: &'a Shared,
    connection: &'a Connection,
    options: &'a DeleteOptions,
}

impl Deletion<'_> {
    fn run(&self, feature: &FeatureContext, which: &Delete) -> Result<Vec<Deleted>> {
        let downstream = if self.options.cascade { downstream(feature)? } else { Vec::new() };
        // What was orphaned already is somebody else's, and stays.
        let mut follow = Vec::new();
        for (n, feature) in downstream.into_iter().enumerate() {
            if self.keep_orphans(&feature, false, None, &before(n))? {
                follow.push((n, feature));
            }
        }
        let mut all = vec![self.first(feature, which)?];
        for (n, feature) in follow {
            self.keep_orphans(&feature, false, Some(before(n)), STAGE)?;
            let deleted =
                self.feature(&feature, |_, records| Ok(named(records.seals.is_some())))?;
            if (deleted.records, deleted.rows_removed) != (0, 0) {
                all.push(deleted);
            }
        }
        Ok(all)
    }

    /// Deletes from the feature that the call names.
    fn first(&self, feature: &FeatureContext, which: &Delete) -> Result<Deleted> {
        match which {
            Delete::Ids(batches) => self.feature(feature, |_, records| {
                Ok(named(stage_ids(self.connection, records, batches)?))
            }),
            Delete::Filter(text) => self.feature(feature, |planner, _| row_filter(planner, text)),
            Delete::Orphans { missing } => {
                if !self.keep_orphans(feature, *missing, None, STAGE)? {
                    return Ok(nothing(feature));
                }
                self.feature(feature, |_, records| Ok(named(records.seals.is_some())))
            }
        }
    }

    /// Keeps the ids of orphans in a temporary table: of those that are gone or excluded, and on
    /// request of those of which there is no trace. False if the feature has no table, and with it
    /// no orphans.
    fn keep_orphans(
        &self,
        feature: &FeatureContext,
        missing: bool,
        but: Option<String>,
        table: &str,
    ) -> Result<bool> {
        let tables = tables_of(self.connection, feature)?;
        let planner = Planner { feature, tables: &tables };
        if feature.is_root() || planner.records(feature.key())?.is_none() {
            return Ok(false);
        }
        let resolve = planner.resolve(&ResolveOptions::default())?;
        run_ast(self.connection, &Statement::DropTemporary { table: Ident::new(INCREMENT)? })?;
        make_increment(self.connection, lower::resolve(&resolve.plan))?;
        let mut causes = vec![orphan::GONE, orphan::EXCLUDED];
        causes.extend(missing.then_some(orphan::MISSING));
        let n_ids = feature.parent_ids().len();
        let plan = Orphans { increment: INCREMENT.to_owned(), n_ids, causes, but };
        keep(self.connection, table, lower::orphans(&plan))?;
        Ok(true)
    }

    /// Deletes from one feature what is found to be meant.
    fn feature(
        &self,
        feature: &FeatureContext,
        find: impl FnOnce(&Planner<'_>, &Records) -> Result<MeantBy>,
    ) -> Result<Deleted> {
        let connection = self.connection;
        let tables = tables_of(connection, feature)?;
        let planner = Planner { feature, tables: &tables };
        let Some(records) = planner.records(feature.key())? else { return Ok(nothing(feature)) };
        let mut by = find(&planner, &records)?;
        let ever = self.options.history;
        let are_parents = matches!(by, MeantBy::Parents(_));
        if are_parents && !ever {
            keep(connection, PARENTS, lower::parents_there(&records, STAGE))?;
            by = MeantBy::Parents(PARENTS.to_owned());
        }
        let mut meant = Meant { records: records.clone(), by, ever };
        keep(connection, MEANT, lower::meant(&meant))?;
        // Of what was deleted already nothing goes away.
        let is_there = Meant { by: MeantBy::Ids(MEANT.to_owned()), ever: false, ..meant.clone() };
        const THERE: &str = "@there";
        keep(connection, THERE, lower::meant(&is_there))?;
        let mut deleted = Deleted { records: count(connection, THERE)?, ..nothing(feature) };
        let time = time_for(connection, &records)?;
        let stamp = planner.stamp(time, token(), &self.options.write);
        if self.options.hard && are_parents {
            // Children of former tries are theirs as well.
            meant.ever = true;
            keep(connection, MEANT, lower::meant(&meant))?;
        }
        if self.options.hard {
            deleted.rows_removed = self.remove(feature.key(), &tables, &meant, &stamp)?;
        } else {
            if let MeantBy::Parents(parents) = &meant.by {
                let of = SealCopy::Tombstone(parents.clone());
                copy_seals(connection, &tables, &records, of, &stamp)?;
            }
            let columns = columns(&tables, &records.table);
            let plan = Tombstone {
                records,
                columns,
                ids: MEANT.to_owned(),
                orphans: None,
                time: stamp.time,
                materialization_id: stamp.materialization_id,
                token: stamp.token,
            };
            run_ast(connection, &lower::tombstone(&plan)?)?;
        }
        Ok(deleted)
    }

    /// Removes every row of the records that are meant, and says so in a table of its own.
    fn remove(
        &self,
        key: &FeatureKey,
        tables: &Tables,
        meant: &Meant,
        stamp: &Stamp,
    ) -> Result<u64> {
        let connection = self.connection;
        let records = &meant.records;
        let mut removed = 0;
        if count(connection, MEANT)? > 0 {
            let table = system::REMOVED;
            ensure_system_table(self.shared, connection, table, &lower::removed())?;
            if !matches!(meant.by, MeantBy::Parents(_)) {
                let of = SealCopy::Without(MEANT.to_owned());
                copy_seals(connection, tables, records, of, stamp)?;
            }
            if records.seals.is_none() {
                clear_failures(connection, tables, key, MEANT, records.ids.len())?;
            }
            run_ast(connection, &lower::note_removed(records, MEANT, stamp))?;
            removed = run_ast(connection, &lower::remove_rows(records, MEANT)?)?;
        }
        if let MeantBy::Parents(parents) = &meant.by {
            // Of an expansion it is parents that fail.
            let n_ids = records.seals.as_ref().map_or(0, |seals| seals.parents.len());
            clear_failures(connection, tables, key, parents, n_ids)?;
            if let Some(statement) = lower::remove_seals(records, parents)? {
                run_ast(connection, &statement)?;
            }
        }
        Ok(removed)
    }
}

/// Records, or parents, whose ids are staged.
fn named(are_parents: bool) -> MeantBy {
    let table = STAGE.to_owned();
    if are_parents { MeantBy::Parents(table) } else { MeantBy::Ids(table) }
}

fn nothing(feature: &FeatureContext) -> Deleted {
    Deleted { feature: feature.key().clone(), records: 0, rows_removed: 0 }
}

/// What is computed from a feature, near and far; each after all that it is computed from.
fn downstream(feature: &FeatureContext) -> Result<Vec<FeatureContext>> {
    let graph = feature.graph();
    let all = graph.all_downstreams(feature.key());
    let is_downstream = |key: &FeatureKey| all.iter().any(|definition| definition.spec.key == *key);
    let ordered = graph.levels().into_iter().flatten().map(|definition| &definition.spec.key);
    ordered.filter(|key| is_downstream(key)).map(|key| feature.of(key)).collect()
}

/// A condition on stored rows of a feature.
fn row_filter(planner: &Planner<'_>, text: &str) -> Result<MeantBy> {
    let filter = Filter::all(filters::over_rows(planner.feature, [text], planner)?);
    Ok(MeantBy::Filter(filter.ok_or_else(|| Error::internal("a filter is a filter"))?))
}

/// Brings back deleted records.
pub(super) fn undelete(
    shared: &Shared,
    feature: &FeatureContext,
    which: &Delete,
    options: &WriteOptions,
) -> Result<Written> {
    let connection = &shared.database.connect()?;
    transaction(shared, connection, || {
        let tables = tables_of(connection, feature)?;
        let planner = Planner { feature, tables: &tables };
        let Some(records) = planner.records(feature.key())? else { return Ok(Written::default()) };
        let by = match which {
            Delete::Ids(batches) => named(stage_ids(connection, &records, batches)?),
            Delete::Filter(text) => row_filter(&planner, text)?,
            // What is deleted is nobody's orphan.
            Delete::Orphans { .. } => return Ok(Written::default()),
        };
        let time = time_for(connection, &records)?;
        let stamp = planner.stamp(time, token(), options);
        let mut written = Written::default();
        let columns = columns(&tables, &records.table);
        let plan = Undelete { records, columns, by, stamp };
        written.rows = run_ast(connection, &lower::undelete(&plan)?)?;
        if let MeantBy::Parents(parents) = &plan.by {
            let of = SealCopy::Undelete(parents.clone());
            written.seals = copy_seals(connection, &tables, &plan.records, of, &plan.stamp)?;
        }
        written.time = (written.rows + written.seals > 0).then_some(time);
        Ok(written)
    })
}

/// Removes superseded rows.
pub(super) fn vacuum(
    shared: &Shared,
    feature: &FeatureContext,
    options: VacuumOptions,
) -> Result<u64> {
    let connection = &shared.database.connect()?;
    unless_dry(shared, connection, options.dry_run, || {
        let tables = tables_of(connection, feature)?;
        let planner = Planner { feature, tables: &tables };
        let Some(records) = planner.records(feature.key())? else { return Ok(0) };
        let keeps = options.keep.max(1);
        let plan = Vacuum { records, keep: keeps, before: options.before };
        if plan.records.seals.is_none() {
            return run_ast(connection, &lower::vacuum(&plan)?);
        }
        keep(connection, SUPERSEDED, lower::superseded(&plan))?;
        let mut removed = 0;
        for statement in lower::remove_superseded(&plan.records, SUPERSEDED)? {
            removed += run_ast(connection, &statement)?;
        }
        Ok(removed)
    })
}
