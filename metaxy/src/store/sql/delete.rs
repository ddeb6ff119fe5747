//! Deletions and what undoes them: each in one transaction, over all features that it concerns.
//!
//! What is meant is found first and kept in temporary tables; then one statement per table marks or
//! removes it. The ids that a caller names are in [`STAGE`], those of the records that are meant in
//! [`MEANT`], and if parents of an expansion are meant, theirs in [`PARENTS`].

use super::Shared;
use super::connection::{Access, Connection, end, end_dry};
use super::failures::clear as clear_failures;
use super::plan::{Planner, Tables};
use super::rows::number;
use super::session::{STAGE, next_time, token};
use super::tables::{ensure_system_table, tables_of};
use super::temporary::{INCREMENT, keep, make_increment};
use super::watermark::forget as forget_watermarks;
use crate::error::{Error, Result};
use crate::key::FeatureKey;
use crate::store::backend::{
    Delete, DeleteOptions, Deleted, FeatureContext, ResolveOptions, VacuumOptions, WriteOptions,
    Written,
};
use crate::store::filters;
use arrow::array::RecordBatch;
use metaxy_sql::filter::Filter;
use metaxy_sql::plan::{
    Meant, MeantBy, Orphans, Records, SealCopies, SealCopy, Stamp, Time, Tombstone, Undelete,
    Vacuum, orphan,
};
use metaxy_sql::{lower, system};

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
pub(super) async fn delete(
    shared: &Shared,
    feature: &FeatureContext,
    which: &Delete,
    options: &DeleteOptions,
) -> Result<Vec<Deleted>> {
    let downstream = if options.cascade { downstream(feature)? } else { Vec::new() };
    let connection = &mut *shared.connect_to_write().await?;
    let all = [feature].into_iter().chain(&downstream);
    let tables: Vec<String> = all.map(|feature| feature.key().table_name()).collect();
    connection.begin(Access::writing(&tables, options.dry_run)).await?;
    let mut deletion = Deletion { shared, connection, options };
    let done = deletion.run(feature, which, downstream).await;
    if options.dry_run { end_dry(connection, done).await } else { end(connection, done).await }
}

/// The number of rows of a temporary table.
pub(super) async fn count(connection: &mut dyn Connection, table: &str) -> Result<u64> {
    number(&connection.rows(lower::count(table)).await?)
}

/// The records of an expansion as their parents, whose ids are staged like any others.
fn as_parents(records: &Records) -> Records {
    let places = records.seals.iter().flat_map(|seals| &seals.parents);
    Records { ids: places.map(|place| records.ids[*place].clone()).collect(), ..records.clone() }
}

/// Stages ids of records or, if they are fewer, of their parents, in the types that they have in the
/// table.
async fn stage_ids(
    connection: &mut dyn Connection,
    records: &Records,
    batches: &[RecordBatch],
) -> Result<bool> {
    let n_parents = records.seals.as_ref().map(|seals| seals.parents.len());
    let n_columns = batches.first().map_or(records.ids.len(), RecordBatch::num_columns);
    let are_parents = n_columns < records.ids.len() && Some(n_columns) == n_parents;
    let no_ids =
        if are_parents { lower::no_ids(&as_parents(records)) } else { lower::no_ids(records) };
    keep(connection, STAGE, no_ids).await?;
    for batch in batches {
        connection.append(STAGE, batch.clone()).await?;
    }
    Ok(are_parents)
}

/// A time for what is appended, later than anything in the feature's tables.
pub(super) async fn time_for(connection: &mut dyn Connection, records: &Records) -> Result<i64> {
    let seals = records.seals.as_ref().and_then(|seals| seals.table.clone());
    let tables: Vec<String> = [records.table.clone()].into_iter().chain(seals).collect();
    next_time(connection, &tables).await
}

/// The columns of a table, by name.
fn columns(tables: &Tables, table: &str) -> Vec<String> {
    tables.get(table).map(|info| info.columns.keys().cloned().collect()).unwrap_or_default()
}

/// Copies of seals; nothing if the feature has none.
pub(super) async fn copy_seals(
    connection: &mut dyn Connection,
    tables: &Tables,
    records: &Records,
    of: SealCopy,
    stamp: &Stamp,
) -> Result<u64> {
    let columns = columns(tables, &system::seals(&records.table));
    let plan = SealCopies { records: records.clone(), columns, of, stamp: stamp.clone() };
    match lower::seal_copies(&plan)? {
        Some(statement) => connection.execute(statement).await,
        None => Ok(0),
    }
}

struct Deletion<'a> {
    shared: &'a Shared,
    connection: &'a mut dyn Connection,
    options: &'a DeleteOptions,
}

impl Deletion<'_> {
    async fn run(
        &mut self,
        feature: &FeatureContext,
        which: &Delete,
        downstream: Vec<FeatureContext>,
    ) -> Result<Vec<Deleted>> {
        // What was orphaned already is somebody else's, and stays.
        let mut follow = Vec::new();
        for (n, feature) in downstream.into_iter().enumerate() {
            if self.keep_orphans(&feature, true, None, &before(n)).await? {
                follow.push((n, feature));
            }
        }
        let mut all = vec![self.first(feature, which).await?];
        for (n, feature) in follow {
            // All others are this deletion's, also groups of which it has left no trace.
            self.keep_orphans(&feature, true, Some(before(n)), STAGE).await?;
            let deleted = self.feature(&feature, &Found::Staged).await?;
            if (deleted.records, deleted.rows_removed) != (0, 0) {
                all.push(deleted);
            }
        }
        Ok(all)
    }

    /// Deletes from the feature that the call names.
    async fn first(&mut self, feature: &FeatureContext, which: &Delete) -> Result<Deleted> {
        let found = match which {
            Delete::Ids(batches) => Found::Ids(batches),
            Delete::Filter(text) => Found::Filter(text),
            Delete::Orphans { missing } => {
                if !self.keep_orphans(feature, *missing, None, STAGE).await? {
                    return Ok(nothing(feature));
                }
                Found::Staged
            }
        };
        self.feature(feature, &found).await
    }

    /// Keeps the ids of orphans in a temporary table: of those that are gone or excluded, and on
    /// request of those of which there is no trace. False if the feature has no table, and with it
    /// no orphans.
    async fn keep_orphans(
        &mut self,
        feature: &FeatureContext,
        missing: bool,
        but: Option<String>,
        table: &str,
    ) -> Result<bool> {
        let tables = tables_of(self.connection, feature).await?;
        let planner = Planner { feature, tables: &tables };
        if feature.is_root() || planner.records(feature.key())?.is_none() {
            return Ok(false);
        }
        let resolve = planner.resolve(&ResolveOptions::default())?;
        let dialect = self.shared.engine.dialect();
        make_increment(self.connection, &*dialect, &resolve.plan).await?;
        let mut causes = vec![orphan::GONE, orphan::EXCLUDED];
        causes.extend(missing.then_some(orphan::MISSING));
        let n_ids = feature.parent_ids().len();
        let plan = Orphans { increment: INCREMENT.to_owned(), n_ids, causes, but };
        keep(self.connection, table, lower::orphans(&plan)).await?;
        Ok(true)
    }

    /// Deletes from one feature what is found to be meant.
    async fn feature(&mut self, feature: &FeatureContext, found: &Found<'_>) -> Result<Deleted> {
        let connection = &mut *self.connection;
        let tables = tables_of(connection, feature).await?;
        let planner = Planner { feature, tables: &tables };
        let Some(records) = planner.records(feature.key())? else { return Ok(nothing(feature)) };
        let mut by = found.meant(connection, &planner, &records).await?;
        let ever = self.options.history;
        let are_parents = matches!(by, MeantBy::Parents(_));
        if are_parents && !ever {
            keep(connection, PARENTS, lower::parents_there(&records, STAGE)).await?;
            by = MeantBy::Parents(PARENTS.to_owned());
        }
        let mut meant = Meant { records: records.clone(), by, ever };
        keep(connection, MEANT, lower::meant(&meant)).await?;
        // Of what was deleted already nothing goes away.
        let is_there = Meant { by: MeantBy::Ids(MEANT.to_owned()), ever: false, ..meant.clone() };
        const THERE: &str = "@there";
        keep(connection, THERE, lower::meant(&is_there)).await?;
        let mut deleted = Deleted { records: count(connection, THERE).await?, ..nothing(feature) };
        let time = time_for(connection, &records).await?;
        let stamp = planner.stamp(Time::At(time), token(), &self.options.write);
        if self.options.hard && are_parents {
            // Children of former tries are theirs as well.
            meant.ever = true;
            keep(connection, MEANT, lower::meant(&meant)).await?;
        }
        if self.options.hard {
            deleted.rows_removed = self.remove(feature.key(), &tables, &meant, &stamp).await?;
        } else {
            if let MeantBy::Parents(parents) = &meant.by {
                let of = SealCopy::Tombstone(parents.clone());
                copy_seals(connection, &tables, &records, of, &stamp).await?;
            }
            let columns = columns(&tables, &records.table);
            let plan = Tombstone {
                records,
                columns,
                ids: MEANT.to_owned(),
                orphans: None,
                time: stamp.time.clone(),
                materialization_id: stamp.materialization_id,
                token: stamp.token,
            };
            connection.execute(lower::tombstone(&plan)?).await?;
        }
        Ok(deleted)
    }

    /// Removes every row of the records that are meant, and says so in a table of its own.
    async fn remove(
        &mut self,
        key: &FeatureKey,
        tables: &Tables,
        meant: &Meant,
        stamp: &Stamp,
    ) -> Result<u64> {
        let Self { shared, connection, .. } = self;
        let connection = &mut **connection;
        let records = &meant.records;
        let mut removed = 0;
        if count(connection, MEANT).await? > 0 {
            let table = system::REMOVED;
            ensure_system_table(shared, connection, table, lower::removed()).await?;
            if !matches!(meant.by, MeantBy::Parents(_)) {
                let of = SealCopy::Without(MEANT.to_owned());
                copy_seals(connection, tables, records, of, stamp).await?;
            }
            if records.seals.is_none() {
                clear_failures(connection, tables, key, MEANT, records.ids.len()).await?;
            }
            connection.execute(lower::note_removed(records, MEANT, stamp)).await?;
            removed = connection.execute(lower::remove_rows(records, MEANT)?).await?;
            forget_watermarks(connection, Some(&records.table)).await?;
        }
        if let MeantBy::Parents(parents) = &meant.by {
            // Of an expansion it is parents that fail.
            let n_ids = records.seals.as_ref().map_or(0, |seals| seals.parents.len());
            clear_failures(connection, tables, key, parents, n_ids).await?;
            if let Some(statement) = lower::remove_seals(records, parents)? {
                connection.execute(statement).await?;
            }
        }
        Ok(removed)
    }
}

/// How the records of a feature are found that are meant.
enum Found<'a> {
    /// By ids that the caller names.
    Ids(&'a [RecordBatch]),
    /// By a condition on their rows.
    Filter(&'a str),
    /// Their ids, of an expansion those of parents, are staged.
    Staged,
}

impl Found<'_> {
    async fn meant(
        &self,
        connection: &mut dyn Connection,
        planner: &Planner<'_>,
        records: &Records,
    ) -> Result<MeantBy> {
        match self {
            Self::Ids(batches) => Ok(named(stage_ids(connection, records, batches).await?)),
            Self::Filter(text) => row_filter(planner, text),
            Self::Staged => Ok(named(records.seals.is_some())),
        }
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
pub(super) async fn undelete(
    shared: &Shared,
    feature: &FeatureContext,
    which: &Delete,
    options: &WriteOptions,
) -> Result<Written> {
    let found = match which {
        Delete::Ids(batches) => Found::Ids(batches),
        Delete::Filter(text) => Found::Filter(text),
        // What is deleted is nobody's orphan.
        Delete::Orphans { .. } => return Ok(Written::default()),
    };
    let connection = &mut *shared.connect_to_write().await?;
    connection.begin(Access::Write(&[feature.key().table_name()])).await?;
    let done = bring_back(connection, feature, &found, options).await;
    end(connection, done).await
}

async fn bring_back(
    connection: &mut dyn Connection,
    feature: &FeatureContext,
    found: &Found<'_>,
    options: &WriteOptions,
) -> Result<Written> {
    let tables = tables_of(connection, feature).await?;
    let planner = Planner { feature, tables: &tables };
    let Some(records) = planner.records(feature.key())? else { return Ok(Written::default()) };
    let by = found.meant(connection, &planner, &records).await?;
    let time = time_for(connection, &records).await?;
    let stamp = planner.stamp(Time::At(time), token(), options);
    let mut written = Written::default();
    let columns = columns(&tables, &records.table);
    let plan = Undelete { records, columns, by, stamp };
    written.rows = connection.execute(lower::undelete(&plan)?).await?;
    if let MeantBy::Parents(parents) = &plan.by {
        let of = SealCopy::Undelete(parents.clone());
        written.seals = copy_seals(connection, &tables, &plan.records, of, &plan.stamp).await?;
    }
    written.time = (written.rows + written.seals > 0).then_some(time);
    Ok(written)
}

/// Removes superseded rows.
pub(super) async fn vacuum(
    shared: &Shared,
    feature: &FeatureContext,
    options: VacuumOptions,
) -> Result<u64> {
    let connection = &mut *shared.connect_to_write().await?;
    connection.begin(Access::writing(&[feature.key().table_name()], options.dry_run)).await?;
    let done = remove_superseded(connection, feature, options).await;
    if options.dry_run { end_dry(connection, done).await } else { end(connection, done).await }
}

async fn remove_superseded(
    connection: &mut dyn Connection,
    feature: &FeatureContext,
    options: VacuumOptions,
) -> Result<u64> {
    let tables = tables_of(connection, feature).await?;
    let planner = Planner { feature, tables: &tables };
    let Some(records) = planner.records(feature.key())? else { return Ok(0) };
    forget_watermarks(connection, Some(&records.table)).await?;
    let plan = Vacuum { records, keep: options.keep.max(1), before: options.before };
    if plan.records.seals.is_none() {
        return connection.execute(lower::vacuum(&plan)?).await;
    }
    keep(connection, SUPERSEDED, lower::superseded(&plan)).await?;
    let mut removed = 0;
    for statement in lower::remove_superseded(&plan.records, SUPERSEDED)? {
        removed += connection.execute(statement).await?;
    }
    Ok(removed)
}
