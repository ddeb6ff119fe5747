//! [`SqlStore`]: records in a database that speaks SQL.
//!
//! Everything that a store does is here, once for all engines; an [`Engine`] runs statements and moves
//! batches. Writes to a feature take turns (H15): each appends in one transaction, with one time that is
//! later than any in the table.

mod connection;
mod copy;
mod delete;
mod durations;
mod failures;
#[cfg(feature = "cli")]
pub(crate) mod offline;
pub(crate) mod plan;
mod planned;
mod pushes;
pub(crate) mod rebase;
pub(crate) mod retry;
mod rows;
pub(crate) mod script;
mod seen;
pub(crate) mod session;
pub(crate) mod settings;
pub(crate) mod tables;
pub(crate) mod temporary;
mod watermark;

#[cfg(any(feature = "duckdb", feature = "postgres"))]
pub(crate) use connection::sent;
pub(crate) use connection::{Access, Connection, Engine, end, end_dry};

use crate::error::{Error, Result};
use crate::increment::{Counts, no_batches};
use crate::key::FeatureKey;
use crate::store::Settings;
use crate::store::backend::{
    Backend, BatchStream, Delete, DeleteOptions, Deleted, Export, ExportFuture, Failure,
    FeatureContext, Layout, Measured, Planned, PushRequest, PushedRow, PushedRows, ReadOptions,
    RebaseOptions, Rebased, ResolveOptions, Resolved, SampleSource, SyncOptions, VacuumOptions,
    WriteOptions, WriteSession, Written,
};
use crate::store::open::{Access as StoreAccess, RequestedSettings};
use arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use copy::Foreign;
use futures::future::{BoxFuture, FutureExt};
use futures::stream::StreamExt;
use metaxy_sql::ast::Statement;
use metaxy_sql::lower;
use plan::{Planner, declared_types};
use retry::Tries;
use rows::{Answer, as_declared};
use session::Session;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
pub(crate) use tables::check_column;
use tables::{tables_of, tables_to_resolve};
use temporary::begin;
use watermark::Known;
pub(crate) use watermark::forget as forget_watermarks;

/// A store in a database.
pub(crate) struct SqlStore {
    shared: Arc<Shared>,
}

/// What all calls of a store work with.
struct Shared {
    engine: Box<dyn Engine>,
    settings: Settings,
    create_tables: bool,
    read_only: bool,
    /// Up to which share of changed records a resolve looks at those alone.
    incremental: Option<f64>,
}

impl Shared {
    /// A connection for a call that is tried again as a whole.
    async fn connect(&self) -> Result<Box<dyn Connection>> {
        self.engine.connect().await
    }

    async fn tables(&self, names: &[String]) -> Result<plan::Tables> {
        self.connect().await?.tables(names).await
    }

    /// A connection for one that is not.
    async fn connect_to_write(&self) -> Result<Box<dyn Connection>> {
        retry::connect(&*self.engine).await
    }
}

impl fmt::Debug for SqlStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.engine.fmt(f)
    }
}

impl SqlStore {
    /// A store over an engine; one that is new is stamped with its settings, if tables may be made.
    pub(crate) async fn open(
        engine: Box<dyn Engine>,
        access: StoreAccess,
        requested: RequestedSettings,
    ) -> Result<Self> {
        let StoreAccess { read_only, create_tables, incremental } = access;
        let settings = settings::open(&*engine, create_tables && !read_only, requested).await?;
        let shared = Shared { engine, settings, create_tables, read_only, incremental };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// What a call that writes works with.
    fn writable(&self) -> Result<Arc<Shared>> {
        if self.shared.read_only { Err(Error::ReadOnly) } else { Ok(Arc::clone(&self.shared)) }
    }
}

impl Backend for SqlStore {
    fn settings(&self) -> Settings {
        self.shared.settings
    }

    fn resolve(
        &self,
        feature: FeatureContext,
        options: ResolveOptions,
        foreign: Vec<(FeatureKey, ExportFuture)>,
    ) -> BoxFuture<'_, Result<Resolved>> {
        async move {
            // What comes from elsewhere comes once.
            if !foreign.is_empty() {
                return resolve(&self.shared, &feature, &options, foreign).await;
            }
            Tries::to_read().run(|| resolve(&self.shared, &feature, &options, Vec::new())).await
        }
        .boxed()
    }

    fn plan(&self, features: Vec<FeatureContext>) -> BoxFuture<'_, Result<Vec<Planned>>> {
        async move { Tries::to_read().run(|| planned::plan(&self.shared, &features)).await }.boxed()
    }

    fn read(
        &self,
        feature: FeatureContext,
        options: ReadOptions,
    ) -> BoxFuture<'_, Result<BatchStream>> {
        async move { Tries::to_read().run(|| read(&self.shared, &feature, &options)).await }.boxed()
    }

    fn count(&self, feature: FeatureContext, options: ReadOptions) -> BoxFuture<'_, Result<u64>> {
        async move { Tries::to_read().run(|| count(&self.shared, &feature, &options)).await }
            .boxed()
    }

    fn resolve_sql(
        &self,
        feature: FeatureContext,
        options: ResolveOptions,
    ) -> BoxFuture<'_, Result<Option<String>>> {
        async move { Tries::to_read().run(|| resolve_sql(&self.shared, &feature, &options)).await }
            .boxed()
    }

    fn write(
        &self,
        feature: FeatureContext,
        layout: Layout,
        options: WriteOptions,
    ) -> BoxFuture<'_, Result<Box<dyn WriteSession>>> {
        async move {
            let session = Session::begin(self.writable()?, feature, layout, options).await?;
            Ok(Box::new(session) as Box<dyn WriteSession>)
        }
        .boxed()
    }

    fn sync(
        &self,
        feature: FeatureContext,
        layout: Layout,
        mut samples: BatchStream,
        options: SyncOptions,
    ) -> BoxFuture<'_, Result<(Counts, Written)>> {
        async move {
            let shared = if options.dry_run { Arc::clone(&self.shared) } else { self.writable()? };
            let write = options.write.clone();
            let mut session = Session::begin(shared, feature, layout, write).await?;
            while let Some(batch) = samples.next().await {
                session.stage(batch?).await?;
            }
            session.sync(options).await
        }
        .boxed()
    }

    fn delete(
        &self,
        feature: FeatureContext,
        which: Delete,
        options: DeleteOptions,
    ) -> BoxFuture<'_, Result<Vec<Deleted>>> {
        async move {
            let shared = self.writable()?;
            Tries::to_write().run(|| delete::delete(&shared, &feature, &which, &options)).await
        }
        .boxed()
    }

    fn undelete(
        &self,
        feature: FeatureContext,
        which: Delete,
        options: WriteOptions,
    ) -> BoxFuture<'_, Result<Written>> {
        async move {
            let shared = self.writable()?;
            Tries::to_write().run(|| delete::undelete(&shared, &feature, &which, &options)).await
        }
        .boxed()
    }

    fn vacuum(
        &self,
        feature: FeatureContext,
        options: VacuumOptions,
    ) -> BoxFuture<'_, Result<u64>> {
        async move {
            let shared = self.writable()?;
            Tries::to_write().run(|| delete::vacuum(&shared, &feature, options)).await
        }
        .boxed()
    }

    fn rebase(
        &self,
        feature: FeatureContext,
        options: RebaseOptions,
    ) -> BoxFuture<'_, Result<Written>> {
        async move {
            let shared = self.writable()?;
            Tries::to_write().run(|| rebase::rebase(&shared, &feature, &options)).await
        }
        .boxed()
    }

    fn rebases(&self, feature: FeatureContext) -> BoxFuture<'_, Result<Vec<Rebased>>> {
        async move { Tries::to_read().run(|| rebase::rebases(&self.shared, &feature)).await }
            .boxed()
    }

    fn fail(
        &self,
        feature: FeatureContext,
        failures: Vec<Failure>,
        options: WriteOptions,
    ) -> BoxFuture<'_, Result<()>> {
        async move {
            let shared = self.writable()?;
            let connection = &mut *shared.connect_to_write().await?;
            failures::add(&shared, connection, &feature, &failures, &options).await
        }
        .boxed()
    }

    fn failures(&self, feature: FeatureContext) -> BoxFuture<'_, Result<Vec<Failure>>> {
        async move { Tries::to_read().run(|| failures::of(&self.shared, feature.key())).await }
            .boxed()
    }

    fn measure(
        &self,
        feature: FeatureContext,
        records: u64,
        took: Duration,
        options: WriteOptions,
    ) -> BoxFuture<'_, Result<()>> {
        async move {
            let shared = self.writable()?;
            let connection = &mut *shared.connect_to_write().await?;
            durations::add(&shared, connection, &feature, records, took, &options).await
        }
        .boxed()
    }

    fn measured(&self, features: Vec<FeatureKey>) -> BoxFuture<'_, Result<Vec<Measured>>> {
        async move { Tries::to_read().run(|| durations::of(&self.shared, &features)).await }.boxed()
    }

    fn stored(&self, features: Vec<FeatureKey>) -> BoxFuture<'_, Result<Vec<FeatureKey>>> {
        async move {
            let names: Vec<String> = features.iter().map(FeatureKey::table_name).collect();
            if names.is_empty() {
                return Ok(Vec::new());
            }
            let found = Tries::to_read().run(|| self.shared.tables(&names)).await?;
            let is_there = |key: &FeatureKey| found.contains_key(&key.table_name());
            Ok(features.into_iter().filter(is_there).collect())
        }
        .boxed()
    }

    fn export(&self, feature: FeatureContext) -> BoxFuture<'_, Result<Export>> {
        async move { Tries::to_read().run(|| copy::export(&self.shared, &feature)).await }.boxed()
    }

    fn import(&self, feature: FeatureContext, from: Export) -> BoxFuture<'_, Result<u64>> {
        async move { copy::import(&*self.writable()?, feature, from).await }.boxed()
    }

    fn pushed(&self, which: PushedRows) -> BoxFuture<'_, Result<Vec<PushedRow>>> {
        async move { Tries::to_read().run(|| pushes::pushed(&self.shared, &which)).await }.boxed()
    }

    fn push(&self, push: PushRequest) -> BoxFuture<'_, Result<Option<i64>>> {
        async move {
            let shared = self.writable()?;
            Tries::to_write().run(|| pushes::push(&shared, &push)).await
        }
        .boxed()
    }

    fn read_samples(
        &self,
        feature: FeatureContext,
        from: SampleSource,
    ) -> BoxFuture<'_, Result<BatchStream>> {
        async move {
            let rows = match from {
                SampleSource::File(path) => self.shared.engine.read_file(feature, path).await?,
                SampleSource::Table(name) => self.shared.engine.read_table(name).await?,
            };
            begun(rows).await
        }
        .boxed()
    }
}

/// Resolves: the answer gives counts first, and then batches for as long as somebody takes them.
async fn resolve(
    shared: &Arc<Shared>,
    feature: &FeatureContext,
    options: &ResolveOptions,
    foreign: Vec<(FeatureKey, ExportFuture)>,
) -> Result<Resolved> {
    let mut connection = shared.connect().await?;
    let is_here = foreign.is_empty();
    let foreign = Foreign::stage(&mut *connection, feature, foreign).await?;
    connection.begin(Access::Read).await?;
    let mut tables = tables_to_resolve(&mut *connection, feature).await?;
    foreign.stand_in(&*shared.engine.dialect(), &mut *connection, &mut tables).await?;
    let mut plan = Planner { feature, tables: &tables }.resolve(options)?;
    plan.plan.texts = false;
    let mut taking = None;
    if is_here {
        match watermark::known(shared, &mut *connection, feature, options, &tables, &plan).await? {
            Known::Since(since) => plan.plan.since = Some(since),
            Known::Nothing(watermark) => {
                plan.plan.waiting = watermark.is_some();
                taking = watermark;
            }
        }
    }
    let dialect = shared.engine.dialect();
    let Some(begun) = begin(&mut *connection, &*dialect, &plan.plan).await? else {
        return Ok(Resolved { counts: Counts::default(), batches: no_batches() });
    };
    let mut counts = begun.counts.unwrap_or_default();
    let mut answers = match begun.is_done {
        true => no_batches(),
        false => connection.stream(Statement::Query(begun.rest)).await?,
    };
    while let Some(answer) = answers.next().await.transpose()? {
        // A row of the increment comes after all counts.
        let Some(first) = Answer(&answer).take_counts(&mut counts)? else { continue };
        let rows = futures::stream::iter([Ok(first)]).chain(answers).boxed();
        let rows = match taking {
            Some(taking) => taking.watch(Arc::clone(shared), counts, rows),
            None => rows,
        };
        let feature = feature.clone();
        let batches = rows.map(move |rows| {
            as_declared(&Answer(&rows?).increment(&feature, &plan)?, &plan.declared, &*dialect)
        });
        let batches = batches.boxed();
        return Ok(Resolved { counts, batches });
    }
    if let Some(taking) = taking {
        taking.keep(shared, &counts).await;
    }
    Ok(Resolved { counts, batches: no_batches() })
}

async fn resolve_sql(
    shared: &Shared,
    feature: &FeatureContext,
    options: &ResolveOptions,
) -> Result<Option<String>> {
    let mut connection = shared.connect().await?;
    let mut tables = tables_to_resolve(&mut *connection, feature).await?;
    // It is to be right as well when another definition is recorded.
    tables.values_mut().for_each(|info| info.sole_definition = false);
    let plan = Planner { feature, tables: &tables }.resolve(options)?;
    let statement = lower::resolve(&plan.plan);
    let dialect = shared.engine.dialect();
    Ok(statement
        .map(|query| metaxy_sql::print_alone(&Statement::Query(query), &*dialect))
        .transpose()?)
}

async fn count(shared: &Shared, feature: &FeatureContext, options: &ReadOptions) -> Result<u64> {
    let mut connection = shared.connect().await?;
    connection.begin(Access::Read).await?;
    let tables = tables_of(&mut *connection, feature).await?;
    let plan = Planner { feature, tables: &tables }.read(options)?;
    rows::number(&connection.rows(lower::count_of(&plan)).await?)
}

/// Reads: an error before the first rows is one of the call.
async fn read(
    shared: &Shared,
    feature: &FeatureContext,
    options: &ReadOptions,
) -> Result<BatchStream> {
    let mut connection = shared.connect().await?;
    connection.begin(Access::Read).await?;
    let tables = tables_of(&mut *connection, feature).await?;
    let plan = Planner { feature, tables: &tables }.read(options)?;
    let declared = declared_types(feature);
    let rows = connection.stream(lower::read(&plan)).await?;
    let dialect = shared.engine.dialect();
    begun(rows.map(move |rows| as_declared(&rows?, &declared, &*dialect)).boxed()).await
}

/// The same batches, but an error before the first is an error of the call and not of the stream.
async fn begun(mut batches: BatchStream) -> Result<BatchStream> {
    Ok(match batches.next().await.transpose()? {
        None => no_batches(),
        Some(first) => futures::stream::iter([Ok(first)]).chain(batches).boxed(),
    })
}

/// The rows of a query whose columns are all texts.
async fn texts(connection: &mut dyn Connection, query: Statement) -> Result<Vec<Vec<String>>> {
    Ok(text_rows(&connection.rows(query).await?))
}

/// The rows of batches whose columns are all texts.
pub(crate) fn text_rows(batches: &[RecordBatch]) -> Vec<Vec<String>> {
    let mut all = Vec::new();
    for batch in batches {
        for row in 0..batch.num_rows() {
            let text = |column: &ArrayRef| column.as_string::<i32>().value(row).to_owned();
            all.push(batch.columns().iter().map(text).collect());
        }
    }
    all
}

/// Rows of texts as a batch with these columns.
fn text_batch(columns: &[&str], rows: &[Vec<String>]) -> Result<RecordBatch> {
    let fields = columns.iter().map(|name| Field::new(*name, DataType::Utf8, true));
    let schema = Schema::new(fields.collect::<Vec<_>>());
    let column = |i: usize| -> ArrayRef {
        Arc::new(rows.iter().map(|row| Some(row[i].as_str())).collect::<StringArray>())
    };
    Ok(RecordBatch::try_new(Arc::new(schema), (0..columns.len()).map(column).collect())?)
}
