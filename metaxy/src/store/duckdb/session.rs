//! Writes: rows are staged in a temporary table and appended in one transaction.

use super::database::Link;
use super::{
    Shared, check_column, database_error, id_columns_text, on_thread, rows, run, run_ast,
    tables_of, texts,
};
use crate::error::{Error, Result};
use crate::increment::Counts;
use crate::key::FeatureKey;
use crate::store::backend::{
    FeatureContext, Layout, SyncOptions, WriteOptions, WriteSession, Written,
};
use crate::store::hashing::write_token;
use crate::store::plan::{Planner, Tables, parents_text, stage};
use crate::store::rows::Answer;
use crate::store::stage::{WriteError, describe_ids, write_error};
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use duckdb::Connection;
use futures::future::{BoxFuture, FutureExt};
use metaxy_sql::ast::{ColumnDecl, Statement};
use metaxy_sql::dialect::DuckDb as DuckDbDialect;
use metaxy_sql::plan::{AppendFrom, orphan};
use metaxy_sql::{ColumnType, Dialect, Ident, lower, print, system};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// The staged rows of a session; temporary tables are seen by their connection alone. They hide tables
/// of the same name, and no feature's table has an `@`.
pub(super) const STAGE: &str = "@stage";
/// The staged seals of a session.
const SEALS: &str = "@seals";
/// What a resolve found, while it is being acted upon.
pub(super) const INCREMENT: &str = "@increment";

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
    /// How often it was committed: with the token it says which write a commit is.
    commits: u64,
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
            run_ast(&connection, &lower::stage(&stage(STAGE, &layout)))?;
            if let Some(parents) = &layout.parents {
                let ids: Vec<_> = parents.iter().map(|place| layout.ids[*place].ty).collect();
                run_ast(&connection, &lower::seal_stage(SEALS, &ids, layout.fields.len()))?;
            }
            let work = Some(Work { connection, feature, layout, options, commits: 0 });
            Ok(Self { shared, work })
        })
        .await
    }

    async fn with<T: Send + 'static>(
        &mut self,
        act: impl FnOnce(&mut Work, &Shared) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let mut work = self.work.take().ok_or_else(|| Error::Database {
            engine: "DuckDB",
            message: "an earlier call of this write was cancelled; begin a new one".to_owned(),
        })?;
        let shared = Arc::clone(&self.shared);
        let (work, result) = on_thread(move || {
            let result = act(&mut work, &shared);
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

    fn seal(&mut self, parents: RecordBatch) -> BoxFuture<'_, Result<()>> {
        self.with(move |work, _| append_to(&work.connection, SEALS, parents)).boxed()
    }

    fn commit(&mut self) -> BoxFuture<'_, Result<Written>> {
        self.with(Work::commit).boxed()
    }
}

/// Puts a batch into a temporary table.
pub(super) fn append_to(connection: &Connection, table: &str, batch: RecordBatch) -> Result<()> {
    let mut appender =
        connection.appender_to_catalog_and_db(table, "temp", "main").map_err(database_error)?;
    appender.append_record_batch(batch).map_err(database_error)?;
    appender.flush().map_err(database_error)
}

/// Does something in a transaction, and nothing of it if it fails. Writes take turns.
pub(super) fn transaction<T>(
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

    /// The tables of the feature, made if they are missing and the store may.
    fn ensure_tables(&self, shared: &Shared) -> Result<Tables> {
        let needs_token = self.options.token.is_some();
        let (connection, layout) = (&self.connection, &self.layout);
        ensure_tables(shared, connection, &self.feature, layout, needs_token)
    }

    /// The number of the next commit: random, or what the caller's token says.
    fn token(&self) -> i64 {
        match &self.options.token {
            Some(name) => write_token(name, self.commits),
            None => token(),
        }
    }

    /// Whether a write has been appended before: only the caller can name one that has.
    fn is_repeated(&self, tables: &[String], token: i64) -> Result<bool> {
        if self.options.token.is_none() {
            return Ok(false);
        }
        for table in tables {
            let sql = print(&lower::has_token(table, token), &DuckDbDialect)?;
            if rows(&self.connection, &sql)?.iter().any(|batch| batch.num_rows() > 0) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Appends what is staged.
    fn commit(&mut self, shared: &Shared) -> Result<Written> {
        let connection = &self.connection;
        self.check_duplicates()?;
        let written = transaction(shared, connection, || {
            let tables = self.ensure_tables(shared)?;
            let planner = self.planner(&tables);
            let appended_to = planner.appended_to()?;
            let token = self.token();
            if self.is_repeated(&appended_to, token)? {
                return Ok(Written { repeated: true, ..Written::default() });
            }
            let time = next_time(connection, &appended_to)?;
            let stamp = planner.stamp(time, token, &self.options);
            let from = AppendFrom::Stage(STAGE.to_owned());
            let plan = planner.append(&self.layout, from, stamp.clone())?;
            // Children before their seal: without it they do not exist.
            let rows = run_ast(connection, &lower::append(&plan)?)?;
            let seals = match planner.seal(&self.layout, SEALS, stamp)? {
                Some(plan) => run_ast(connection, &lower::seal(&plan)?)?,
                None => 0,
            };
            if rows == 0 && seals == 0 {
                return Ok(Written::default());
            }
            self.clear_failures(&tables)?;
            record_definition(connection, &self.feature)?;
            Ok(Written { rows, seals, time: Some(time), ..Written::default() })
        })?;
        run(connection, &format!("DELETE FROM temp.\"{STAGE}\""))?;
        if self.layout.parents.is_some() {
            run(connection, &format!("DELETE FROM temp.\"{SEALS}\""))?;
        }
        self.commits += 1;
        Ok(written)
    }

    /// What is written did not fail.
    fn clear_failures(&self, tables: &Tables) -> Result<()> {
        let (stage, n_ids) = match &self.layout.parents {
            Some(parents) => (SEALS, parents.len()),
            None => (STAGE, self.layout.ids.len()),
        };
        super::failures::clear(&self.connection, tables, self.feature.key(), stage, n_ids)
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
            let (appended_to, token) = (planner.appended_to()?, self.token());
            if self.is_repeated(&appended_to, token)? {
                run(connection, &format!("DROP TABLE temp.\"{INCREMENT}\""))?;
                return Ok((counts, Written { repeated: true, ..Written::default() }));
            }
            let time = next_time(connection, &appended_to)?;
            let stamp = planner.stamp(time, token, &self.options);
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

    /// Refuses ids that are staged more than once, and parents that are sealed more than once.
    fn check_duplicates(&self) -> Result<()> {
        let all: Vec<usize> = (0..self.layout.ids.len()).collect();
        let stages = [(STAGE, Some(&all)), (SEALS, self.layout.parents.as_ref())];
        for (stage, places) in stages {
            let Some(places) = places else { continue };
            let sql = print(&lower::duplicates(stage, places.len()), &DuckDbDialect)?;
            let found = rows(&self.connection, &sql)?;
            let Some(example) = found.into_iter().find(|b| b.num_rows() > 0) else { continue };
            let names = places.iter().map(|place| self.layout.ids[*place].name.as_str());
            let id = describe_ids(names.zip(example.columns()), 0);
            let counts = example.column(places.len()).as_primitive::<Int64Type>();
            let count = u64::try_from(counts.value(0)).unwrap_or_default();
            let reason = if stage == STAGE {
                WriteError::DuplicateId { id, count }
            } else {
                WriteError::SealedTwice { id, count }
            };
            return Err(write_error(&self.feature, reason));
        }
        Ok(())
    }
}

/// The tables of a feature, made if they are missing and the store may; with the columns of a layout,
/// and with a column for write tokens if they are relied on.
pub(super) fn ensure_tables(
    shared: &Shared,
    connection: &Connection,
    feature: &FeatureContext,
    layout: &Layout,
    needs_token: bool,
) -> Result<Tables> {
    let mut found = tables_of(connection, feature)?;
    let key = feature.key();
    let table = key.table_name();
    let all = || layout.ids.iter().chain(&layout.columns);
    all().try_for_each(|column| check_column(&table, &column.name))?;
    let mut changed = false;
    if !found.contains_key(system::DEFINITIONS) {
        if !shared.create_tables {
            return Err(Error::NoSystemTable { table: system::DEFINITIONS.to_owned() });
        }
        run_ast(connection, &lower::definitions())?;
        changed = true;
    }
    if !found.contains_key(system::FAILURES) && shared.create_tables {
        run_ast(connection, &lower::failures())?;
        changed = true;
    }
    match found.get(&table) {
        None if !shared.create_tables => {
            return Err(Error::NoTable { feature: key.clone(), table });
        }
        None => {
            let columns: Vec<(String, ColumnType, bool)> =
                all().map(|column| (column.name.clone(), column.ty, column.nullable)).collect();
            let statement = match &layout.parents {
                Some(_) => lower::children_table(&table, &columns, layout.ids.len())?,
                None => lower::table(&table, &columns, layout.ids.len())?,
            };
            run_ast(connection, &statement)?;
            changed = true;
        }
        Some(info) => {
            for column in all() {
                let expected = DuckDbDialect.column_type(column.ty);
                match info.columns.get(&column.name) {
                    Some(found) if *found != expected => {
                        return Err(write_error(
                            feature,
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
            let ours = [
                layout.parents.is_some().then_some(system::TRY),
                needs_token.then_some(system::WRITE_TOKEN),
            ];
            let ours = ours.into_iter().flatten();
            let needed = all()
                .map(|column| (column.name.as_str(), column.ty))
                .chain(ours.map(|column| (column, lower::column_type(column))));
            let lacking = needed.filter(|(name, _)| !info.columns.contains_key(*name)).collect();
            changed |= add_columns(shared, connection, key, &table, lacking)?;
        }
    }
    let seals = system::seals(&table);
    if let Some(parents) = &layout.parents
        && !found.contains_key(&seals)
    {
        if !shared.create_tables {
            return Err(Error::NoTable { feature: key.clone(), table: seals });
        }
        let ids: Vec<_> = parents
            .iter()
            .map(|place| (layout.ids[*place].name.clone(), layout.ids[*place].ty))
            .collect();
        run_ast(connection, &lower::seals_table(&seals, &ids)?)?;
        changed = true;
    }
    if changed {
        found = tables_of(connection, feature)?;
    }
    Ok(found)
}

/// Adds columns to a table if the store may; whether there were any. Older rows have no value in
/// them.
pub(super) fn add_columns(
    shared: &Shared,
    connection: &Connection,
    key: &FeatureKey,
    table: &str,
    lacking: Vec<(&str, ColumnType)>,
) -> Result<bool> {
    if !lacking.is_empty() && !shared.create_tables {
        let columns = lacking.iter().map(|(name, _)| (*name).to_owned()).collect();
        let table = table.to_owned();
        return Err(Error::TableLacksColumns { feature: key.clone(), table, columns });
    }
    let any = !lacking.is_empty();
    for (name, ty) in lacking {
        let column = ColumnDecl { name: Ident::new(name)?, ty, nullable: true };
        let table = Ident::new(table)?;
        run_ast(connection, &Statement::AddColumn { table, column })?;
    }
    Ok(any)
}

/// Keeps the answer of a resolve in a temporary table; gives its counts.
pub(super) fn make_increment(
    connection: &Connection,
    resolve: Option<Statement>,
) -> Result<Counts> {
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

/// The time of a write: the clock's, but later than anything in the tables (H15).
pub(super) fn next_time(connection: &Connection, tables: &[String]) -> Result<i64> {
    let mut time = now();
    for table in tables {
        let sql = print(&lower::latest_time(table), &DuckDbDialect)?;
        let latest = rows(connection, &sql)?.first().and_then(|batch| {
            let time = batch.column(0).as_primitive_opt::<Int64Type>()?;
            (time.len() == 1 && time.is_valid(0)).then(|| time.value(0))
        });
        time = latest.map_or(time, |latest| time.max(latest + 1));
    }
    Ok(time)
}

/// The clock's time, in microseconds since 1970-01-01 UTC.
pub(super) fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros());
    i64::try_from(now).unwrap_or(i64::MAX)
}

/// A number for a write: random, so that two processes never take the same one. Not negative.
pub(super) fn token() -> i64 {
    let random = RandomState::new().hash_one(SystemTime::now());
    i64::try_from(random >> 1).unwrap_or(i64::MAX)
}

/// Records what today's definition says of each field, unless that is known.
pub(super) fn record_definition(connection: &Connection, feature: &FeatureContext) -> Result<()> {
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
