//! Writes: rows are staged in a temporary table and appended in one transaction.

use super::database::Link;
use super::{
    Shared, check_column, database_error, id_columns_text, on_thread, rows, run, run_ast,
    tables_of, texts,
};
use crate::error::{Error, Result};
use crate::increment::Counts;
use crate::store::backend::{
    Delete, FeatureContext, Layout, ResolveOptions, SyncOptions, WriteOptions, WriteSession,
    Written,
};
use crate::store::plan::{Planner, Tables, parents_text, stage};
use crate::store::rows::Answer;
use crate::store::stage::{WriteError, describe_ids, write_error};
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use duckdb::Connection;
use futures::future::{BoxFuture, FutureExt};
use metaxy_sql::ast::{ColumnDecl, Statement};
use metaxy_sql::dialect::DuckDb as DuckDbDialect;
use metaxy_sql::plan::{AppendFrom, Stage, orphan};
use metaxy_sql::{ColumnType, Dialect, Ident, lower, print, system};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// The staged rows of a session; temporary tables are seen by their connection alone. They hide tables
/// of the same name, and no feature's table has an `@`.
const STAGE: &str = "@stage";
/// What a resolve found, while it is being acted upon.
const INCREMENT: &str = "@increment";

/// A write to one feature.
pub(super) struct Session {
    shared: Arc<Shared>,
    /// Gone while a thread works with it; lost with a call that was cancelled.
    work: Option<Work>,
}

struct Work {
    connection: Link,
    feature: FeatureContext,
    layout: Layout,
    options: WriteOptions,
    stage: Stage,
}

impl Session {
    pub(super) async fn begin(
        shared: Arc<Shared>,
        feature: FeatureContext,
        layout: Layout,
        options: WriteOptions,
    ) -> Result<Self> {
        on_thread(move || {
            let connection = shared.database.connect()?;
            let stage = stage(STAGE, &layout);
            run_ast(&connection, &lower::stage(&stage))?;
            let work = Some(Work { connection, feature, layout, options, stage });
            Ok(Self { shared, work })
        })
        .await
    }

    async fn with<T: Send + 'static>(
        &mut self,
        act: impl FnOnce(&Work, &Shared) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let work = self.work.take().ok_or_else(|| Error::Database {
            engine: "DuckDB",
            message: "an earlier call of this write was cancelled; begin a new one".to_owned(),
        })?;
        let shared = Arc::clone(&self.shared);
        let (work, result) = on_thread(move || {
            let result = act(&work, &shared);
            Ok((work, result))
        })
        .await?;
        self.work = Some(work);
        result
    }

    /// Compares what is staged with the records of a root, and appends what differs.
    pub(super) async fn sync(mut self, options: SyncOptions) -> Result<(Counts, Written)> {
        self.with(move |work, shared| work.sync(shared, &options)).await
    }
}

impl WriteSession for Session {
    fn stage(&mut self, rows: RecordBatch) -> BoxFuture<'_, Result<()>> {
        self.with(move |work, _| append_to(&work.connection, STAGE, rows)).boxed()
    }

    fn commit(&mut self) -> BoxFuture<'_, Result<Written>> {
        self.with(Work::commit).boxed()
    }
}

/// Puts a batch into a temporary table.
fn append_to(connection: &Connection, table: &str, batch: RecordBatch) -> Result<()> {
    let mut appender =
        connection.appender_to_catalog_and_db(table, "temp", "main").map_err(database_error)?;
    appender.append_record_batch(batch).map_err(database_error)?;
    appender.flush().map_err(database_error)
}

/// Does something in a transaction, and nothing of it if it fails. Writes take turns.
fn transaction<T>(
    shared: &Shared,
    connection: &Connection,
    act: impl FnOnce() -> Result<T>,
) -> Result<T> {
    let _turn = shared.database.turn();
    run(connection, "BEGIN TRANSACTION")?;
    let result = act();
    match result {
        Ok(value) => {
            run(connection, "COMMIT")?;
            Ok(value)
        }
        Err(error) => {
            // The first error is the one to tell.
            let _ = run(connection, "ROLLBACK");
            Err(error)
        }
    }
}

impl Work {
    fn planner<'a>(&'a self, tables: &'a Tables) -> Planner<'a> {
        Planner { feature: &self.feature, tables }
    }

    /// Appends what is staged.
    fn commit(&self, shared: &Shared) -> Result<Written> {
        let connection = &self.connection;
        self.check_duplicates()?;
        let written = transaction(shared, connection, || {
            let tables = self.ensure_tables(shared)?;
            let planner = self.planner(&tables);
            let time = next_time(connection, &planner.own_records()?.table)?;
            let stamp = planner.stamp(time, token(), &self.options);
            let from = AppendFrom::Stage(STAGE.to_owned());
            let plan = planner.append(&self.layout, from, stamp)?;
            let rows = run_ast(connection, &lower::append(&plan)?)?;
            if rows == 0 {
                return Ok(Written::default());
            }
            record_definition(connection, &self.feature)?;
            Ok(Written { rows, deleted: 0, time: Some(time) })
        })?;
        run(connection, &format!("DELETE FROM temp.\"{STAGE}\""))?;
        Ok(written)
    }

    fn sync(&self, shared: &Shared, options: &SyncOptions) -> Result<(Counts, Written)> {
        let connection = &self.connection;
        self.check_duplicates()?;
        transaction(shared, connection, || {
            let tables = if options.dry_run {
                tables_of(connection, &self.feature)?
            } else {
                self.ensure_tables(shared)?
            };
            let planner = self.planner(&tables);
            let resolve = planner.resolve_samples(STAGE, options.complete)?;
            let counts = make_increment(connection, lower::resolve(&resolve))?;
            let orphans = options.delete_orphans && counts.orphaned > 0;
            if options.dry_run || (counts.to_compute() == 0 && !orphans) {
                run(connection, &format!("DROP TABLE IF EXISTS temp.\"{INCREMENT}\""))?;
                return Ok((counts, Written::default()));
            }
            let time = next_time(connection, &planner.own_records()?.table)?;
            let stamp = planner.stamp(time, token(), &self.options);
            let mut written = Written { time: Some(time), ..Written::default() };
            if counts.to_compute() > 0 {
                let from = AppendFrom::Increment {
                    stage: STAGE.to_owned(),
                    increment: INCREMENT.to_owned(),
                };
                let plan = planner.append(&self.layout, from, stamp.clone())?;
                written.rows = run_ast(connection, &lower::append(&plan)?)?;
                record_definition(connection, &self.feature)?;
            }
            if orphans {
                let plan = planner.tombstone(INCREMENT, Some(vec![orphan::GONE]), stamp)?;
                written.deleted = run_ast(connection, &lower::tombstone(&plan)?)?;
            }
            run(connection, &format!("DROP TABLE temp.\"{INCREMENT}\""))?;
            Ok((counts, written))
        })
    }

    /// Refuses ids that are staged more than once.
    fn check_duplicates(&self) -> Result<()> {
        let sql = print(&lower::duplicates(&self.stage), &DuckDbDialect)?;
        let Some(example) = rows(&self.connection, &sql)?.into_iter().find(|b| b.num_rows() > 0)
        else {
            return Ok(());
        };
        let names = self.layout.ids.iter().map(|column| column.name.as_str());
        let id = describe_ids(names.zip(example.columns()), 0);
        let counts = example.column(self.layout.ids.len()).as_primitive::<Int64Type>();
        let count = u64::try_from(counts.value(0)).unwrap_or_default();
        Err(write_error(&self.feature, WriteError::DuplicateId { id, count }))
    }

    /// The tables of the feature, made if they are missing and the store may.
    fn ensure_tables(&self, shared: &Shared) -> Result<Tables> {
        let connection = &self.connection;
        let mut found = tables_of(connection, &self.feature)?;
        let key = self.feature.key();
        let table = key.table_name();
        let all = || self.layout.ids.iter().chain(&self.layout.columns);
        all().try_for_each(|column| check_column(&table, &column.name))?;
        let mut changed = false;
        if !found.contains_key(system::DEFINITIONS) {
            if !shared.create_tables {
                return Err(Error::NoSystemTable { table: system::DEFINITIONS.to_owned() });
            }
            run_ast(connection, &lower::definitions())?;
            changed = true;
        }
        match found.get(&table) {
            None if !shared.create_tables => {
                return Err(Error::NoTable { feature: key.clone(), table });
            }
            None => {
                let columns: Vec<(String, ColumnType, bool)> =
                    all().map(|column| (column.name.clone(), column.ty, column.nullable)).collect();
                run_ast(connection, &lower::table(&table, &columns)?)?;
                changed = true;
            }
            Some(info) => {
                let lacking: Vec<_> =
                    all().filter(|column| !info.columns.contains_key(&column.name)).collect();
                if !lacking.is_empty() && !shared.create_tables {
                    let columns = lacking.iter().map(|column| column.name.clone()).collect();
                    return Err(Error::TableLacksColumns { feature: key.clone(), table, columns });
                }
                for column in all() {
                    let expected = DuckDbDialect.column_type(column.ty);
                    match info.columns.get(&column.name) {
                        Some(found) if *found != expected => {
                            return Err(write_error(
                                &self.feature,
                                WriteError::Type {
                                    column: column.name.clone(),
                                    found: column.ty.to_string(),
                                    expected: format!("{found}, as in the table `{table}`"),
                                },
                            ));
                        }
                        _ => {}
                    }
                }
                for column in lacking {
                    // Older rows have no value for it.
                    let column = ColumnDecl {
                        name: Ident::new(&column.name)?,
                        ty: column.ty,
                        nullable: true,
                    };
                    let table = Ident::new(&table)?;
                    run_ast(connection, &Statement::AddColumn { table, column })?;
                    changed = true;
                }
            }
        }
        if changed {
            found = tables_of(connection, &self.feature)?;
        }
        Ok(found)
    }
}

/// Marks records as deleted.
pub(super) fn delete(
    shared: &Shared,
    feature: &FeatureContext,
    which: &Delete,
    options: &WriteOptions,
) -> Result<Written> {
    let connection = &shared.database.connect()?;
    transaction(shared, connection, || {
        let tables = tables_of(connection, feature)?;
        let planner = Planner { feature, tables: &tables };
        if planner.records(feature.key())?.is_none() {
            return Ok(Written::default());
        }
        let (ids, orphans) = match which {
            Delete::Ids(batches) => {
                stage_ids(connection, &planner, batches)?;
                (STAGE, None)
            }
            Delete::Filter(_) => return Err(Error::internal("deletion by filter is not built")),
            Delete::Orphans { missing } => {
                let resolve = planner.resolve(&ResolveOptions::default())?;
                make_increment(connection, lower::resolve(&resolve.plan))?;
                let mut causes = vec![orphan::GONE, orphan::EXCLUDED];
                causes.extend(missing.then_some(orphan::MISSING));
                (INCREMENT, Some(causes))
            }
        };
        let time = next_time(connection, &planner.own_records()?.table)?;
        let stamp = planner.stamp(time, token(), options);
        let deleted =
            run_ast(connection, &lower::tombstone(&planner.tombstone(ids, orphans, stamp)?)?)?;
        let time = (deleted > 0).then_some(time);
        Ok(Written { rows: 0, deleted, time })
    })
}

/// Stages ids, in the types that they have in the table.
fn stage_ids(
    connection: &Connection,
    planner: &Planner<'_>,
    batches: &[RecordBatch],
) -> Result<()> {
    let query = lower::no_ids(&planner.own_records()?);
    let table = Ident::new(STAGE)?;
    run_ast(connection, &Statement::CreateTemporaryAs { table, query })?;
    batches.iter().try_for_each(|batch| append_to(connection, STAGE, batch.clone()))
}

/// Keeps the answer of a resolve in a temporary table; gives its counts.
fn make_increment(connection: &Connection, resolve: Option<Statement>) -> Result<Counts> {
    let mut counts = Counts::default();
    let Some(Statement::Query(query)) = resolve else { return Ok(counts) };
    let table = Ident::new(INCREMENT)?;
    run_ast(connection, &Statement::CreateTemporaryAs { table, query })?;
    let sql = format!(
        "SELECT class, n, n_older, n_unsealed FROM temp.\"{INCREMENT}\" WHERE n IS NOT NULL"
    );
    for batch in rows(connection, &sql)? {
        Answer(&batch).take_counts(&mut counts)?;
    }
    Ok(counts)
}

/// The time of a write: the clock's, but later than anything in the table (H15).
fn next_time(connection: &Connection, table: &str) -> Result<i64> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros());
    let now = i64::try_from(now).unwrap_or(i64::MAX);
    let sql = print(&lower::latest_time(table), &DuckDbDialect)?;
    let latest = rows(connection, &sql)?.first().and_then(|batch| {
        let time = batch.column(0).as_primitive_opt::<Int64Type>()?;
        (time.len() == 1 && time.is_valid(0)).then(|| time.value(0))
    });
    Ok(latest.map_or(now, |latest| now.max(latest + 1)))
}

/// A number for a write: random, so that two processes never take the same one. Not negative.
fn token() -> i64 {
    let random = RandomState::new().hash_one(SystemTime::now());
    i64::try_from(random >> 1).unwrap_or(i64::MAX)
}

/// Records what today's definition says of each field, unless that is known.
fn record_definition(connection: &Connection, feature: &FeatureContext) -> Result<()> {
    use system::definitions::{FEATURE_KEY, FEATURE_VERSION};
    let text = |text: &str| DuckDbDialect.quote_text(text);
    let table = system::DEFINITIONS;
    let (key, version) =
        (text(feature.key().as_str())?, text(&feature.versions().feature_version)?);
    let known = format!(
        "SELECT {FEATURE_KEY} FROM {table} \
         WHERE {FEATURE_KEY} = {key} AND {FEATURE_VERSION} = {version} LIMIT 1"
    );
    if !texts(connection, &known)?.is_empty() {
        return Ok(());
    }
    let mut values = Vec::new();
    for field in &feature.definition().spec.fields {
        let parents = parents_text(feature.graph().parents(feature.key(), &field.key));
        let row = [
            feature.key().as_str(),
            &feature.versions().feature_version,
            &field.wire_key().struct_key(),
            &feature.versions().fields[&field.key],
            &field.code_version,
            &parents,
            &id_columns_text(&feature.definition().spec.id_columns),
        ];
        let row = row.into_iter().map(text).collect::<Result<Vec<_>, _>>()?;
        values.push(format!("({})", row.join(", ")));
    }
    if values.is_empty() {
        return Ok(());
    }
    let columns = system::definitions::COLUMNS.join(", ");
    run(connection, &format!("INSERT INTO {table} ({columns}) VALUES {}", values.join(", ")))?;
    Ok(())
}
