//! Resolves that cost what has changed and not what there is.
//!
//! A resolve of all records of a feature leaves a *watermark*: how far it has read each table, how many
//! records were unchanged, and the ids of all others. The next one asks first whether all that has happened
//! since is that rows were appended. Then it looks at the records of these rows, and at those that were not
//! unchanged; all others are what they were ([`metaxy_sql::plan::Since`]).
//!
//! What else can have happened is told by numbers that cost nothing to look up:
//! - another definition, filter, parent, setting or column: the *fingerprint*, which is over the text of the
//!   whole statement and over what is recorded of the definitions that it asks for;
//! - rows that were removed: the number of rows that are not later than the mark. After a checkpoint others
//!   may have their addresses, so that our own removals and migrations forget watermarks as well, in the same
//!   transaction;
//! - rows of other programs: they have no write token, or a time that is later than all were.
//!
//! A watermark is of one snapshot, which the database gives: addresses of rows are handed out when a
//! transaction commits, so that no row that is written at the same time is passed over. It is kept in the
//! database, where a copy or a backup has it beside the rows that it is about.
//!
//! Not here: which rows are looked at (`metaxy_sql::lower::resolve`), groups, expansions and upstreams with
//! fewer ids, which are always resolved as a whole.

use super::Shared;
use super::connection::{Access, Connection, end};
use super::plan::{ResolvePlan, TableInfo, Tables};
use super::tables::ensure_system_table;
use super::texts;
use crate::error::{Error, Result};
use crate::increment::Counts;
use crate::key::FeatureKey;
use crate::store::backend::{BatchStream, FeatureContext, ResolveOptions};
use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use futures::stream::{self, StreamExt};
use metaxy_sql::ast::Statement;
use metaxy_sql::lower::{self, Mark};
use metaxy_sql::plan::{Class, Expected, Input, Records, Resolve, Since, Statistics};
use metaxy_sql::{ColumnType, Ident, ScalarType, system};
use std::collections::HashMap;
use std::sync::Arc;

/// What a resolve of all records is to leave behind.
pub(super) struct Taking {
    feature: FeatureKey,
    share: f64,
    fingerprint: String,
    marks: Vec<Mark>,
    /// The types of the ids.
    ids: Vec<ColumnType>,
    /// The ids of the records that are not unchanged, as far as they have been seen.
    pending: Vec<RecordBatch>,
}

/// What is known before a resolve.
pub(super) enum Known {
    /// All that has happened since is that rows were appended.
    Since(Since),
    /// Nothing, or too much: all records are looked at, and a watermark is taken.
    Nothing(Option<Taking>),
}

/// What is known of the records that a plan is about.
pub(super) async fn known(
    shared: &Shared,
    connection: &mut dyn Connection,
    feature: &FeatureContext,
    options: &ResolveOptions,
    tables: &Tables,
    plan: &ResolvePlan,
) -> Result<Known> {
    let nothing = Known::Nothing(None);
    let Some(share) = shared.incremental else { return Ok(nothing) };
    let asks_for_everything = !options.selects()
        && options.stale_if.is_empty()
        && !options.skip_comparison
        && options.order_by.is_empty()
        && plan.plan.call.failures.is_none();
    if !asks_for_everything || !shared.engine.dialect().addresses_grow() {
        return Ok(nothing);
    }
    let Some(of) = Plain::of(&plan.plan, tables) else { return Ok(nothing) };
    let fingerprint = fingerprint(shared, connection, plan).await?;
    let is_there = [system::WATERMARKS.to_owned(), system::pending(&of.target.table)];
    let found = connection.tables(&is_there).await?;
    if found.len() == is_there.len()
        && let Some(stored) = Stored::of(connection, feature.key()).await?
        && stored.fingerprint == fingerprint
        && let Some(since) = since(connection, &of, &stored, share).await?
    {
        return Ok(Known::Since(since));
    }
    if !options.rows || shared.read_only || !shared.create_tables {
        return Ok(nothing);
    }
    let mut marks = Vec::new();
    for batch in connection.rows(lower::marks(of.tables())).await? {
        let names = batch.column(0).as_string::<i32>();
        let [next_row, rows, latest] = [1, 2, 3].map(|i| numbers(&batch, i));
        marks.extend((0..batch.num_rows()).map(|row| Mark {
            table: names.value(row).to_owned(),
            next_row: next_row.value(row),
            rows: rows.value(row),
            latest: latest.value(row),
        }));
    }
    Ok(Known::Nothing(Some(Taking {
        feature: feature.key().clone(),
        share,
        fingerprint,
        marks,
        ids: of.ids,
        pending: Vec::new(),
    })))
}

/// Forgets the watermarks that are about a table, or all.
pub(crate) async fn forget(connection: &mut dyn Connection, table: Option<&str>) -> Result<()> {
    let name = system::WATERMARKS.to_owned();
    if connection.tables(&[name]).await?.contains_key(system::WATERMARKS) {
        connection.execute(lower::forget_watermarks(table)).await?;
    }
    Ok(())
}

/// The tables of a feature whose records can be looked at one by one.
struct Plain<'a> {
    target: &'a Records,
    inputs: Vec<&'a Records>,
    ids: Vec<ColumnType>,
}

impl<'a> Plain<'a> {
    fn of(plan: &'a Resolve, tables: &Tables) -> Option<Self> {
        let Expected::Inputs(inputs) = &plan.expected else { return None };
        let target = plan.target.records.as_ref()?;
        let n_ids = plan.target.ids.len();
        let is_plain = |input: &Input| {
            !input.grouped && (0..n_ids).all(|k| input.on.iter().any(|(_, place)| *place == k))
        };
        if !inputs.iter().all(is_plain) {
            return None;
        }
        let records =
            inputs.iter().map(|input| input.records.as_ref()).collect::<Option<Vec<_>>>()?;
        let all = || records.iter().copied().chain([target]);
        // Tables of other programs may lack a token, or keep other times.
        let is_ours = |records: &Records| {
            let Some(info) = tables.get(&records.table) else { return false };
            let timestamp = Some(ColumnType::Scalar(ScalarType::Timestamp));
            let times = [system::UPDATED_AT, system::DELETED_AT];
            records.seals.is_none()
                && records.has_token
                && times.iter().all(|time| type_of(info, time) == timestamp)
        };
        if !all().all(is_ours) {
            return None;
        }
        let info = tables.get(&target.table)?;
        let ids = target.ids.iter().map(|id| type_of(info, id)).collect::<Option<Vec<_>>>()?;
        Some(Self { target, inputs: records, ids })
    }

    /// The names of the tables, each once.
    fn tables(&self) -> Vec<&'a str> {
        let all = self.inputs.iter().copied().chain([self.target]);
        let mut names: Vec<&str> = all.map(|records| records.table.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

fn type_of(info: &TableInfo, column: &str) -> Option<ColumnType> {
    info.columns.get(column)?.ty
}

/// What is kept of a watermark.
struct Stored {
    fingerprint: String,
    unchanged: i64,
    unchanged_older: i64,
    marks: HashMap<String, Mark>,
}

impl Stored {
    async fn of(connection: &mut dyn Connection, feature: &FeatureKey) -> Result<Option<Self>> {
        let mut stored: Option<Self> = None;
        for batch in connection.rows(lower::watermark_of(feature.as_str())).await? {
            let [fingerprints, tables] = [1, 4].map(|i| batch.column(i).as_string::<i32>());
            let [unchanged, older, next_row, rows, latest] =
                [2, 3, 5, 6, 7].map(|i| numbers(&batch, i));
            for row in 0..batch.num_rows() {
                let stored = stored.get_or_insert_with(|| Self {
                    fingerprint: fingerprints.value(row).to_owned(),
                    unchanged: unchanged.value(row),
                    unchanged_older: older.value(row),
                    marks: HashMap::new(),
                });
                let table = tables.value(row).to_owned();
                stored.marks.insert(
                    table.clone(),
                    Mark {
                        table,
                        next_row: next_row.value(row),
                        rows: rows.value(row),
                        latest: latest.value(row),
                    },
                );
            }
        }
        Ok(stored)
    }
}

/// What a plan needs to know, if nothing has happened since but that rows were appended, and not too many.
async fn since(
    connection: &mut dyn Connection,
    of: &Plain<'_>,
    stored: &Stored,
    share: f64,
) -> Result<Option<Since>> {
    let mark = |table: &str| stored.marks.get(table);
    let Some(marks) = of.tables().into_iter().map(mark).collect::<Option<Vec<_>>>() else {
        return Ok(None);
    };
    let mut touched = 0;
    let mut checked = 0;
    for batch in connection.rows(lower::changes(marks.iter().copied())).await? {
        let [n, later, foreign, changed] = [0, 1, 2, 3].map(|i| numbers(&batch, i));
        for row in 0..batch.num_rows() {
            let were = n.value(row) - later.value(row);
            if were != marks[checked].rows || foreign.value(row) > 0 || changed.value(row) > 0 {
                return Ok(None);
            }
            touched += later.value(row);
            checked += 1;
        }
    }
    let pending = system::pending(&of.target.table);
    touched += count(super::rows::number(&connection.rows(lower::count(&pending)).await?)?);
    let next_row = |records: &&Records| mark(&records.table).map(|mark| mark.next_row);
    let target = next_row(&of.target);
    let inputs = of.inputs.iter().map(next_row).collect::<Option<Vec<_>>>();
    Ok(target.zip(inputs).filter(|_| is_worth_it(share, touched, stored.unchanged)).map(
        |(target, inputs)| Since {
            pending,
            target,
            inputs,
            unchanged: stored.unchanged,
            unchanged_older: stored.unchanged_older,
        },
    ))
}

/// Whether so many records are few enough to be looked at one by one.
#[expect(clippy::cast_precision_loss, reason = "a share needs no last digit")]
fn is_worth_it(share: f64, touched: i64, unchanged: i64) -> bool {
    touched as f64 <= share * unchanged.max(1) as f64
}

/// What an answer follows from besides the rows of the tables.
async fn fingerprint(
    shared: &Shared,
    connection: &mut dyn Connection,
    plan: &ResolvePlan,
) -> Result<String> {
    let mut whole = Resolve { rows: true, ..plan.plan.clone() };
    // How latest rows are found is no part of what they are, and what is recorded of definitions is added.
    let inputs = match &mut whole.expected {
        Expected::Inputs(inputs) => inputs.as_mut_slice(),
        Expected::Samples { .. } => &mut [],
    };
    let read = inputs.iter_mut().filter_map(|input| input.records.as_mut());
    read.chain(&mut whole.target.records).for_each(|records| {
        records.statistics = Statistics::default();
        records.sole_definition = false;
    });
    let dialect = shared.engine.dialect();
    let statement = lower::resolve(&whole).map(Statement::Query);
    let mut all = match statement {
        Some(statement) => metaxy_sql::print_alone(&statement, &*dialect)?,
        None => String::new(),
    };
    if let (Some(table), Expected::Inputs(inputs)) = (&plan.plan.definitions, &plan.plan.expected) {
        let records = inputs.iter().filter_map(|input| input.records.as_ref());
        let sources = inputs.iter().flat_map(|input| &input.sources);
        let records = records.chain(sources.filter_map(|source| source.records.as_ref()));
        let records = records.chain(&plan.plan.target.records);
        let keys = records.map(|records| records.key.as_str());
        let mut recorded = texts(connection, lower::definitions_of(table, keys)).await?;
        recorded.sort_unstable();
        all.push_str(&serde_json::to_string(&recorded).expect("lists of texts are JSON"));
    }
    Ok(hex::encode(<sha2::Sha256 as sha2::Digest>::digest(all)))
}

impl Taking {
    /// Whether so few records are not unchanged that a watermark is of any use.
    fn is_worth_it(&self, counts: &Counts) -> bool {
        let Counts { new, stale, orphaned, blocked, waiting, unchanged, .. } = *counts;
        let pending = new + stale + orphaned + blocked + waiting;
        is_worth_it(self.share, count(pending), count(unchanged))
    }

    /// Takes the ids of rows of the answer.
    fn take(&mut self, rows: &RecordBatch) -> Result<()> {
        let ids = (0..self.ids.len()).map(|k| rows.schema().index_of(&format!("id{k}")));
        self.pending.push(rows.project(&ids.collect::<Result<Vec<_>, _>>()?)?);
        Ok(())
    }

    /// Keeps the watermark, if it is of any use. That it cannot be kept is no error of the resolve.
    pub(super) async fn keep(self, shared: &Shared, counts: &Counts) {
        if self.is_worth_it(counts)
            && let Err(error) = self.write(shared, counts).await
        {
            tracing::warn!(feature = %self.feature, %error, "no watermark was kept");
        }
    }

    /// The rows of an answer that the caller asked for; when they have come to an end, the watermark is
    /// kept.
    pub(super) fn watch(
        self,
        shared: Arc<Shared>,
        counts: Counts,
        rows: BatchStream,
    ) -> BatchStream {
        let is_worth_it = self.is_worth_it(&counts);
        stream::try_unfold((rows, Some(self)), move |(mut rows, mut taking)| {
            let shared = Arc::clone(&shared);
            async move {
                while let Some(batch) = rows.next().await.transpose()? {
                    if let Some(taking) = taking.as_mut().filter(|_| is_worth_it) {
                        taking.take(&batch)?;
                    }
                    let batch = without_waiting(&batch)?;
                    if batch.num_rows() > 0 {
                        return Ok(Some((batch, (rows, taking))));
                    }
                }
                if let Some(taking) = taking.take() {
                    taking.keep(&shared, &counts).await;
                }
                Ok(None)
            }
        })
        .fuse()
        .boxed()
    }

    async fn write(&self, shared: &Shared, counts: &Counts) -> Result<()> {
        let table = self.feature.table_name();
        let pending = system::pending(&table);
        let connection = &mut *shared.connect_to_write().await?;
        connection.begin(Access::Write(&[system::WATERMARKS.to_owned()])).await?;
        let done = async {
            let watermarks = system::WATERMARKS;
            ensure_system_table(shared, connection, watermarks, lower::watermarks()).await?;
            connection.execute(lower::forget_watermark_of(self.feature.as_str())).await?;
            if connection.tables(std::slice::from_ref(&pending)).await?.contains_key(&pending) {
                let table = Ident::new(&pending)?;
                connection.execute(Statement::DropTable { table }).await?;
            }
            connection.execute(lower::pending_table(&table, &self.ids)?).await?;
            for ids in &self.pending {
                connection.append(&pending, ids.clone()).await?;
            }
            connection.append(watermarks, self.rows(counts)?).await
        };
        let done = done.await;
        end(connection, done).await
    }

    /// The rows of the watermark.
    fn rows(&self, counts: &Counts) -> Result<RecordBatch> {
        let text = |of: &dyn Fn(&Mark) -> String| -> ArrayRef {
            Arc::new(self.marks.iter().map(|mark| Some(of(mark))).collect::<StringArray>())
        };
        let number = |of: &dyn Fn(&Mark) -> i64| -> ArrayRef {
            Arc::new(self.marks.iter().map(|mark| Some(of(mark))).collect::<Int64Array>())
        };
        let columns = vec![
            text(&|_| self.feature.to_string()),
            text(&|_| self.fingerprint.clone()),
            number(&|_| count(counts.unchanged)),
            number(&|_| count(counts.unchanged_older)),
            text(&|mark| mark.table.clone()),
            number(&|mark| mark.next_row),
            number(&|mark| mark.rows),
            number(&|mark| mark.latest),
        ];
        let names = system::watermarks::COLUMNS.iter().zip(&columns);
        let fields = names.map(|(name, array)| Field::new(*name, array.data_type().clone(), false));
        let schema = Schema::new(fields.collect::<Vec<_>>());
        Ok(RecordBatch::try_new(Arc::new(schema), columns)?)
    }
}

/// Rows that wait are no part of an increment; they are asked for to be remembered.
fn without_waiting(rows: &RecordBatch) -> Result<RecordBatch> {
    let class = rows.column_by_name("class");
    let class = class.ok_or_else(|| Error::internal("a resolve statement gave no class"))?;
    let class = arrow::compute::cast(class, &DataType::Int64)?;
    let class = class.as_primitive::<Int64Type>();
    let asked = class.iter().map(|class| Some(class != Some(Class::Waiting as i64)));
    Ok(filter_record_batch(rows, &asked.collect())?)
}

fn count(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn numbers(batch: &RecordBatch, column: usize) -> Int64Array {
    let numbers = arrow::compute::cast(batch.column(column), &DataType::Int64);
    numbers.expect("counts are numbers").as_primitive::<Int64Type>().clone()
}
