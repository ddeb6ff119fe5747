//! Writes: rows are staged in a temporary table and appended in one transaction.

use super::connection::{Access, Connection, end};
use super::failures::{self, clear as clear_failures};
use super::plan::{Planner, Tables, stage};
use super::retry::Tries;
use super::rows::number;
use super::seen::Seen;
use super::tables::{ensure_tables, record_definition, tables_of};
use super::temporary::{INCREMENT, drop_temporary, make_increment};
use super::{Shared, durations};
use crate::error::{Error, Result};
use crate::increment::Counts;
use crate::store::backend::{
    Failure, FeatureContext, Layout, SyncOptions, WriteOptions, WriteSession, Written,
};
use crate::store::hashing::{Hashing, write_token};
use crate::store::stage::{WriteError, describe_ids, write_error};
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use futures::future::{BoxFuture, FutureExt};
use metaxy_sql::lower;
use metaxy_sql::plan::{AppendFrom, Time, orphan};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The staged rows of a session; temporary tables are seen by their connection alone. They hide tables
/// of the same name, and no feature's table has an `@`.
pub(super) const STAGE: &str = "@stage";
/// The staged seals of a session.
const SEALS: &str = "@seals";

/// A write to one feature.
pub(super) struct Session {
    shared: Arc<Shared>,
    connection: Box<dyn Connection>,
    feature: FeatureContext,
    layout: Layout,
    options: WriteOptions,
    /// Whether there are rows or seals in the stages that are not committed.
    is_staged: bool,
    /// Whether there are seals among them.
    has_seals: bool,
    /// Whether the stages hold what was committed already.
    is_committed: bool,
    /// Whether the engine has failed while rows were staged, so that nobody knows which of them it has.
    is_torn: bool,
    /// The ids in the stage.
    seen: Seen,
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
        if let Some(token) = &options.token
            && !shared.engine.dialect().appends_whole()
        {
            return Err(Error::Setting {
                setting: "token",
                value: token.clone(),
                problem: "in a store whose records are spread over shards a part of a write may be there, \
                          and a token would say that all of it is; repeat the resolve instead",
            });
        }
        let (connection, seen) = (shared.connect_to_write().await?, Seen::new(&layout)?);
        let mut session = Self {
            shared,
            connection,
            feature,
            layout,
            options,
            is_staged: false,
            has_seals: false,
            is_committed: false,
            is_torn: false,
            seen,
            commits: 0,
        };
        session.make_stages().await?;
        Ok(session)
    }

    /// An error that names a staged column and a row names the column that the caller has, and the record.
    fn in_words_of_the_caller(&self, error: Error, rows: &RecordBatch) -> Error {
        let Error::CannotKeep { engine, column, row, record, problem } = error else {
            return error;
        };
        let names = self.layout.ids.iter().map(|id| id.name.as_str());
        let record = format!("{record} ({})", describe_ids(names.zip(rows.columns()), row));
        let ids = self.layout.ids.iter().enumerate().map(|(i, id)| (format!("id{i}"), id));
        let columns = self.layout.columns.iter().enumerate().map(|(i, c)| (format!("c{i}"), c));
        let named = ids.chain(columns).find(|(staged, _)| *staged == column);
        let column = named.map_or(column, |(_, of)| of.name.clone());
        Error::CannotKeep { engine, column, row, record, problem }
    }

    /// Rows with the hash over their provenances, the last column of a stage.
    fn hashed(&self, rows: &RecordBatch) -> Result<RecordBatch> {
        let fields = &self.layout.fields;
        let first = self.layout.ids.len() + self.layout.columns.len();
        let provenances: Vec<&StringArray> = (rows.columns()[first..first + fields.len()].iter())
            .map(AsArray::as_string::<i32>)
            .collect();
        let value = |k: usize, row| {
            let texts: &StringArray = provenances[k];
            texts.is_valid(row).then(|| texts.value(row))
        };
        let hashing = Hashing::from(self.feature.hash());
        let hashes: ArrayRef = Arc::new(hashing.of_rows(fields, rows.num_rows(), value));
        let schema = rows.schema();
        let last = Arc::new(Field::new("hash", DataType::Utf8, true));
        let columns: Vec<_> = schema.fields().iter().cloned().chain([last]).collect();
        let arrays = rows.columns().iter().cloned().chain([hashes]).collect();
        Ok(RecordBatch::try_new(Arc::new(Schema::new(columns)), arrays)?)
    }

    async fn make_stages(&mut self) -> Result<()> {
        let Self { connection, layout, .. } = self;
        connection.execute(lower::stage(&stage(STAGE, layout))).await?;
        if let Some(parents) = &layout.parents {
            let ids: Vec<_> = parents.iter().map(|place| layout.ids[*place].ty).collect();
            connection.execute(lower::seal_stage(SEALS, &ids, layout.fields.len())).await?;
        }
        Ok(())
    }

    /// Forgets what was committed: not with the commit, which is done whether or not this can be.
    async fn begin_anew(&mut self) -> Result<()> {
        if self.is_torn {
            return Err(Error::Database {
                engine: self.shared.engine.dialect().name(),
                message: "an earlier call of this write has failed, and a part of its rows may be missing; \
                          begin a new write"
                    .to_owned(),
            });
        }
        if self.is_committed {
            drop_temporary(&mut *self.connection, STAGE).await?;
            if self.layout.parents.is_some() {
                drop_temporary(&mut *self.connection, SEALS).await?;
            }
            self.make_stages().await?;
            self.is_committed = false;
        }
        Ok(())
    }

    /// What an engine says of rows on their way into a stage. Those that it cannot keep are refused before
    /// any of them is sent.
    fn arrived(&mut self, sent: Result<()>) -> Result<()> {
        self.is_torn |= matches!(&sent, Err(error) if !matches!(error, Error::CannotKeep { .. }));
        sent
    }

    /// Compares what is staged with the records of a root, and appends what differs.
    pub(super) async fn sync(mut self, options: SyncOptions) -> Result<(Counts, Written)> {
        self.check_duplicates().await?;
        let tables = [self.feature.key().table_name()];
        // A dry run of it has nothing to take back.
        let access = if options.dry_run { Access::Read } else { Access::Write(&tables) };
        let mut tries = Tries::to_write();
        loop {
            let done = match self.connection.begin(access).await {
                Ok(()) => self.append_difference(&options).await,
                Err(error) => Err(error),
            };
            match end(&mut *self.connection, done).await {
                Err(error) => tries.after(error).await?,
                done => return done,
            }
        }
    }

    /// The tables of the feature, made if they are missing and the store may.
    async fn ensure_tables(&mut self) -> Result<Tables> {
        let needs_token = self.options.token.is_some();
        let Self { shared, connection, feature, layout, .. } = self;
        ensure_tables(shared, &mut **connection, feature, layout, needs_token).await
    }

    /// Whether the feature's table has any rows, tombstones included.
    async fn has_records(&mut self, tables: &Tables) -> Result<bool> {
        let table = self.feature.key().table_name();
        if !tables.contains_key(&table) {
            return Ok(false);
        }
        let found = self.connection.rows(lower::has_rows(&table)).await?;
        Ok(found.iter().any(|batch| batch.num_rows() > 0))
    }

    /// The number of the next commit: random, or what the caller's token says.
    fn token(&self) -> i64 {
        match &self.options.token {
            Some(name) => write_token(name, self.commits),
            None => token(),
        }
    }

    /// Whether a write has been appended before: only the caller can name one that has.
    async fn is_repeated(&mut self, tables: &[String], token: i64) -> Result<bool> {
        if self.options.token.is_none() {
            return Ok(false);
        }
        self.connection.ended(token).await?;
        for table in tables {
            let found = self.connection.rows(lower::has_token(table, token)).await?;
            if found.iter().any(|batch| batch.num_rows() > 0) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Appends what is staged.
    async fn append(&mut self) -> Result<Written> {
        let tables = self.ensure_tables().await?;
        let feature = self.feature.clone();
        let planner = Planner { feature: &feature, tables: &tables };
        let appended_to = planner.appended_to()?;
        let token = self.token();
        // What comes last tells that all of it is there: without transactions, children may be without it.
        let told_by = if self.has_seals { &appended_to[1..] } else { &appended_to[..] };
        if self.is_repeated(told_by, token).await? {
            return Ok(Written { repeated: true, ..Written::default() });
        }
        if !self.is_staged {
            return Ok(Written::default());
        }
        let connection = &mut *self.connection;
        // No row carries a definition that is not recorded.
        record_definition(connection, &feature).await?;
        let time = next_time(connection, &appended_to).await?;
        let stamp = planner.stamp(Time::At(time), token, &self.options);
        let from = AppendFrom::Stage(STAGE.to_owned());
        let plan = planner.append(&self.layout, from, stamp.clone())?;
        // Children before their seal: without it they do not exist.
        let rows = connection.execute(lower::append(&plan)?).await?;
        let seals = match planner.seal(&self.layout, SEALS, stamp)? {
            Some(plan) => connection.execute(lower::seal(&plan)?).await?,
            None => 0,
        };
        // What is written did not fail.
        let (stage, n_ids) = match &self.layout.parents {
            Some(parents) => (SEALS, parents.len()),
            None => (STAGE, self.layout.ids.len()),
        };
        clear_failures(connection, &tables, feature.key(), stage, n_ids).await?;
        Ok(Written { rows, seals, time: Some(time), ..Written::default() })
    }

    async fn append_difference(&mut self, options: &SyncOptions) -> Result<(Counts, Written)> {
        let tables = if options.dry_run {
            tables_of(&mut *self.connection, &self.feature).await?
        } else {
            self.ensure_tables().await?
        };
        let feature = self.feature.clone();
        let planner = Planner { feature: &feature, tables: &tables };
        let has_records = self.has_records(&tables).await?;
        let counts = match has_records {
            true => {
                let resolve = planner.resolve_samples(STAGE, options.complete)?;
                let dialect = self.shared.engine.dialect();
                make_increment(&mut *self.connection, &*dialect, &resolve).await?
            }
            // Where nothing has ever been written, all is new, and need not be compared.
            false => {
                let staged = self.connection.rows(lower::count(STAGE)).await?;
                Counts { new: number(&staged)?, ..Counts::default() }
            }
        };
        let orphans = options.delete_orphans && counts.orphaned > 0;
        if options.dry_run || (counts.to_compute() == 0 && !orphans) {
            return Ok((counts, Written::default()));
        }
        let (appended_to, token) = (planner.appended_to()?, self.token());
        if self.is_repeated(&appended_to, token).await? {
            return Ok((counts, Written { repeated: true, ..Written::default() }));
        }
        let connection = &mut *self.connection;
        let time = next_time(connection, &appended_to).await?;
        let stamp = planner.stamp(Time::At(time), token, &self.options);
        let mut written = Written { time: Some(time), ..Written::default() };
        if counts.to_compute() > 0 {
            let (stage, increment) = (STAGE.to_owned(), INCREMENT.to_owned());
            let from = match has_records {
                true => AppendFrom::Increment { stage, increment },
                false => AppendFrom::Stage(stage),
            };
            let plan = planner.append(&self.layout, from, stamp.clone())?;
            record_definition(connection, &feature).await?;
            written.rows = connection.execute(lower::append(&plan)?).await?;
        }
        if orphans {
            let plan = planner.tombstone(INCREMENT, Some(vec![orphan::GONE]), stamp)?;
            written.deleted = connection.execute(lower::tombstone(&plan)?).await?;
        }
        Ok((counts, written))
    }

    /// Refuses ids that are staged more than once, and parents that are sealed more than once.
    async fn check_duplicates(&mut self) -> Result<()> {
        let sent = self.connection.arrive().await;
        self.arrived(sent)?;
        let all: Vec<usize> = (0..self.layout.ids.len()).collect();
        let stages = [(STAGE, Some(&all)), (SEALS, self.layout.parents.as_ref())];
        for (stage, places) in stages {
            let Some(places) = places else { continue };
            if stage == STAGE && !self.seen.may_repeat() {
                continue;
            }
            let found = self.connection.rows(lower::duplicates(stage, places.len())).await?;
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

impl WriteSession for Session {
    fn stage(&mut self, rows: RecordBatch) -> BoxFuture<'_, Result<()>> {
        async move {
            self.begin_anew().await?;
            self.is_staged |= rows.num_rows() > 0;
            self.seen.add(&rows)?;
            let sent = self.connection.append(STAGE, self.hashed(&rows)?).await;
            self.arrived(sent).map_err(|error| self.in_words_of_the_caller(error, &rows))
        }
        .boxed()
    }

    fn seal(&mut self, parents: RecordBatch) -> BoxFuture<'_, Result<()>> {
        async move {
            self.begin_anew().await?;
            self.is_staged |= parents.num_rows() > 0;
            self.has_seals |= parents.num_rows() > 0;
            let sent = self.connection.append(SEALS, parents).await;
            self.arrived(sent)
        }
        .boxed()
    }

    fn fail(&mut self, failures: Vec<Failure>) -> BoxFuture<'_, Result<()>> {
        async move {
            let sent = self.connection.arrive().await;
            self.arrived(sent)?;
            let Self { shared, connection, feature, options, .. } = self;
            failures::add(shared, &mut **connection, feature, &failures, options).await
        }
        .boxed()
    }

    fn measure(&mut self, records: u64, took: Duration) -> BoxFuture<'_, Result<()>> {
        async move {
            let sent = self.connection.arrive().await;
            self.arrived(sent)?;
            let Self { shared, connection, feature, options, .. } = self;
            durations::add(shared, &mut **connection, feature, records, took, options).await
        }
        .boxed()
    }

    fn commit(&mut self) -> BoxFuture<'_, Result<Written>> {
        async move {
            self.begin_anew().await?;
            self.check_duplicates().await?;
            let tables = [self.feature.key().table_name()];
            let mut tries = Tries::to_write();
            let written = loop {
                let done = match self.connection.begin(Access::Write(&tables)).await {
                    Ok(()) => self.append().await,
                    Err(error) => Err(error),
                };
                match end(&mut *self.connection, done).await {
                    Err(error) => tries.after(error).await?,
                    Ok(written) => break written,
                }
            };
            self.commits += 1;
            (self.is_staged, self.has_seals, self.is_committed) = (false, false, true);
            self.seen = Seen::new(&self.layout)?;
            Ok(written)
        }
        .boxed()
    }
}

/// The time of a write: the clock's, but later than anything in the tables (H15).
pub(super) async fn next_time(connection: &mut dyn Connection, tables: &[String]) -> Result<i64> {
    let mut time = now();
    for table in tables {
        let found = connection.rows(lower::latest_time(table)).await?;
        let latest = found.first().and_then(|batch| {
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
