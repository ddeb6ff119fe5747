//! `metaxy write`: what was computed, back into the store.

use super::files::RowFormat;
use super::input::{self, ROWS_AT_ONCE, RowFile, Rows};
use super::jsonl::{self, Line, Types};
use super::output::Answer;
use super::{Context, Failure, Output, context};
use crate::graph::FeatureGraph;
use crate::increment::{self, CHILDREN};
use crate::key::FeatureKey;
use crate::spec::{FeatureDefinition, Lineage};
use crate::store::{BatchWriter, Committed};
use arrow::array::{Array, AsArray, BooleanArray, RecordBatch, StringArray};
use arrow::compute::{filter_record_batch, is_not_null, not};
use arrow::datatypes::DataType;
use clap::Args;
use metaxy_sql::{ColumnType, ScalarType, lower, system};
use serde_json::json;
use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

/// The column of rows that could not be computed, with the reason.
const ERROR: &str = "metaxy_error";

/// Write records: rows that `resolve` gave, with the columns added that were computed
///
/// Columns are found by name. `metaxy_provenance_by_field` has to come back as it was given; columns of
/// upstreams that came along are left out. For a root, which is not resolved, that column or one column
/// for each field has the versions.
///
/// Rows of an expansion keep `metaxy_try`. A row with a number in `metaxy_children` is no child: it says
/// of a parent that all of its children are written, in the same files or before. A row with a text in
/// `metaxy_error` is no record: it could not be computed, and comes again.
///
/// In JSON lines each column of the feature is there in each line, be it as `null`.
#[derive(Debug, Args)]
pub(super) struct Write {
    /// The key of the feature
    feature: String,
    /// The files with the rows: .jsonl, .arrow, .arrows or .parquet; `-` is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// How the rows are written, if names do not say it; JSON lines on standard input
    #[arg(long, value_enum, value_name = "FORMAT")]
    rows: Option<RowFormat>,
    /// Leave out a column of the rows; may be given several times
    #[arg(long, value_name = "COLUMN")]
    without: Vec<String>,
    /// Commit after so many rows, so that no more are lost when something fails
    #[arg(long, value_name = "ROWS")]
    commit_every: Option<NonZeroUsize>,
    /// How many seconds the records took to compute, all together; `plan` goes by it
    #[arg(long, value_name = "SECONDS", conflicts_with = "commit_every", value_parser = seconds)]
    took: Option<Duration>,
    /// A name for this write: with the same rows it can be repeated, and writes what is missing
    #[arg(long)]
    token: Option<String>,
    /// A name for the run, kept with every row
    #[arg(long, value_name = "ID")]
    materialization_id: Option<String>,
    /// Check every row by itself, and write nothing
    #[arg(long)]
    dry_run: bool,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok().and_then(|n| Duration::try_from_secs_f64(n).ok());
    seconds.ok_or_else(|| "expected a number of seconds, as in `12.5`".to_owned())
}

impl Write {
    pub(super) async fn run(&self, context: &Context, out: &mut Output) -> Result<(), Failure> {
        let store = context.store().await?;
        let key = context::feature(store.graph(), &self.feature)?;
        let mut writer = store.batch_writer(&key);
        if let Some(token) = &self.token {
            writer = writer.token(token);
        }
        if let Some(id) = &self.materialization_id {
            writer = writer.materialization_id(id);
        }
        let mut left_out = came_along(store.graph(), &key)?;
        left_out.extend(self.without.iter().cloned());
        let bar = context.progress(None, format!("writing {key}"));
        let mut run = Run {
            definition: store.graph().expect(&key)?,
            left_out,
            at_once: self.commit_every.map_or(ROWS_AT_ONCE, |n| n.get().min(ROWS_AT_ONCE)),
            commit_every: self.commit_every.filter(|_| !self.dry_run).map(NonZeroUsize::get),
            writer,
            uncommitted: 0,
            staged: Staged::default(),
            committed: Committed::default(),
        };
        let done = run.files(&self.files, self.rows).await;
        if let Some(took) = self.took {
            run.writer.took(took);
        }
        let done = match (done, self.dry_run) {
            (Ok(()), false) => run.commit().await,
            (done, _) => done,
        };
        bar.finish_and_clear();
        if let Err(failure) = done {
            if run.committed.commits > 0 {
                eprintln!("{key}: {} before it failed", run.committed);
            }
            return Err(failure);
        }
        out.answer(&match self.dry_run {
            true => run.staged.answer(&key),
            false => answer(&key, &run.committed),
        })
    }
}

fn answer(key: &FeatureKey, committed: &Committed) -> Answer {
    let json = json!({
        "feature": key.as_str(),
        "rows": committed.rows,
        "parents": committed.parents,
        "commits": committed.commits,
        "repeated": committed.repeated,
        "failed": committed.failed,
        "dry_run": false,
    });
    Answer::new(json).text(format!("{key}: {committed}"))
}

/// What was looked at.
#[derive(Debug, Default)]
struct Staged {
    rows: usize,
    parents: usize,
    failed: usize,
}

impl Staged {
    fn answer(&self, key: &FeatureKey) -> Answer {
        let Self { rows, parents, failed } = self;
        let json = json!({
            "feature": key.as_str(), "rows": rows, "parents": parents, "failed": failed, "dry_run": true,
        });
        let mut text = format!("{key}: {rows} would be written");
        if *parents > 0 {
            text += &format!(" for {parents} parents");
        }
        if *failed > 0 {
            text += &format!(", {failed} failed");
        }
        Answer::new(json).text(text)
    }
}

/// The columns of upstreams that an increment has, and that are not the feature's own. Of a feature whose
/// columns nobody has declared any column may be its own.
fn came_along(graph: &FeatureGraph, key: &FeatureKey) -> Result<BTreeSet<String>, Failure> {
    let definition = graph.expect(key)?;
    let Some(own) = &definition.columns else { return Ok(BTreeSet::new()) };
    let mut columns = BTreeSet::new();
    for dep in &definition.spec.deps {
        let there = graph.expect(&dep.feature)?.columns.iter().flatten();
        let is_grouped = matches!(dep.lineage, Lineage::Aggregation { .. });
        match &dep.select {
            Some(selected) => columns.extend(selected.iter().cloned()),
            None if is_grouped => {}
            None => columns.extend(there.map(|column| dep.renamed(&column.name).to_owned())),
        }
    }
    columns.retain(|column| !own.iter().any(|own| own.name == *column));
    Ok(columns)
}

/// A write that has begun.
struct Run<'a> {
    definition: &'a FeatureDefinition,
    left_out: BTreeSet<String>,
    at_once: usize,
    commit_every: Option<usize>,
    writer: BatchWriter,
    uncommitted: usize,
    staged: Staged,
    committed: Committed,
}

/// What a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Record,
    Seal,
    Failure,
}

impl Run<'_> {
    async fn files(&mut self, files: &[PathBuf], format: Option<RowFormat>) -> Result<(), Failure> {
        for path in files {
            let file = RowFile::new(path, format)?;
            let name = file.name();
            match file.rows()? {
                Rows::Batches(batches) => self.batches(&name, batches).await?,
                Rows::Lines(lines) => self.lines(&name, lines).await?,
            }
        }
        Ok(())
    }

    async fn batches(
        &mut self,
        file: &str,
        batches: impl Iterator<Item = Result<RecordBatch, Failure>>,
    ) -> Result<(), Failure> {
        let mut before = 0;
        for batch in batches {
            let batch = batch?;
            for start in (0..batch.num_rows()).step_by(self.at_once) {
                let length = self.at_once.min(batch.num_rows() - start);
                let part = batch.slice(start, length);
                let failed = |(error, _): (crate::Error, Option<usize>)| {
                    Failure::from(error).about(format!("`{file}`"))
                };
                for (kind, rows) in kinds(&part)? {
                    let done = self.push(kind, &rows).await;
                    done.map_err(|error| failed(input::in_file(error, before)))?;
                }
                before += length;
                self.commit_if_due().await?;
            }
        }
        Ok(())
    }

    async fn lines(
        &mut self,
        file: &str,
        mut lines: impl Iterator<Item = Result<Line, Failure>>,
    ) -> Result<(), Failure> {
        let mut types = types(self.definition);
        if self.definition.columns.is_none() {
            // Nobody knows the type of a column before its last value was seen.
            let mut all = lines.collect::<Result<Vec<_>, _>>()?;
            self.leave_out(&mut all);
            jsonl::infer(file, &all, &mut types)?;
            let mut all = all.into_iter().map(Ok);
            return self.chunks(file, &mut all, &types).await;
        }
        self.chunks(file, &mut lines, &types).await
    }

    fn leave_out(&self, lines: &mut [Line]) {
        for line in lines {
            line.row.retain(|column, _| !self.left_out.contains(column));
        }
    }

    async fn chunks(
        &mut self,
        file: &str,
        lines: &mut dyn Iterator<Item = Result<Line, Failure>>,
        types: &Types,
    ) -> Result<(), Failure> {
        loop {
            let mut chunk = lines.take(self.at_once).collect::<Result<Vec<_>, _>>()?;
            if chunk.is_empty() {
                return Ok(());
            }
            self.leave_out(&mut chunk);
            let (mut records, mut seals, mut failures) = (Vec::new(), Vec::new(), Vec::new());
            for line in chunk {
                match kind_of(&line) {
                    Kind::Record => records.push(line),
                    Kind::Seal => seals.push(line),
                    Kind::Failure => failures.push(line),
                }
            }
            let parts = [(Kind::Record, records), (Kind::Seal, seals), (Kind::Failure, failures)];
            for (kind, mut lines) in parts {
                if lines.is_empty() {
                    continue;
                }
                let declared = self.definition.columns.iter().flatten();
                let needed: Vec<String> = match kind {
                    Kind::Record => declared.map(|column| column.name.clone()).collect(),
                    Kind::Seal | Kind::Failure => Vec::new(),
                };
                for line in &mut lines {
                    // They say what a row is, and are nothing of a record.
                    line.row.retain(|column, _| match kind {
                        Kind::Record => column != CHILDREN && column != ERROR,
                        Kind::Seal => column != ERROR,
                        Kind::Failure => true,
                    });
                }
                self.known(file, &lines, types)?;
                jsonl::require(file, &lines, &needed)?;
                let batch = jsonl::batch(file, &lines, types, &needed)?;
                self.push(kind, &batch).await.map_err(|error| {
                    let (error, row) = input::in_file(error, 0);
                    let line = row.and_then(|row| lines.get(row));
                    let place = line.map_or_else(
                        || format!("`{file}`"),
                        |line| format!("`{file}`, line {}", line.number),
                    );
                    Failure::from(error).about(place)
                })?;
            }
            self.commit_if_due().await?;
        }
    }

    /// Refuses a name that is no column, with the nearest that is one.
    fn known(&self, file: &str, lines: &[Line], types: &Types) -> Result<(), Failure> {
        if self.definition.columns.is_none() {
            return Ok(());
        }
        let unknown = lines.iter().find_map(|line| {
            let column = line.row.keys().find(|column| !types.contains_key(*column))?;
            Some((line.number, column))
        });
        let Some((line, column)) = unknown else { return Ok(()) };
        let nearest = crate::nearest::nearest(column, types.keys().map(String::as_str));
        Err(Failure::input(format!(
            "`{file}`, line {line}: `{}` has no column `{column}`{}; leave it out with `--without {column}`",
            self.definition.spec.key,
            crate::nearest::hint(nearest)
        )))
    }

    async fn push(&mut self, kind: Kind, rows: &RecordBatch) -> crate::Result<()> {
        match kind {
            Kind::Record => {
                let own = without(rows, |column| {
                    self.left_out.contains(column) || [CHILDREN, ERROR].contains(&column)
                })?;
                self.writer.push(&own).await?;
                self.staged.rows += rows.num_rows();
            }
            Kind::Seal => {
                self.writer.seal(rows).await?;
                self.staged.parents += rows.num_rows();
            }
            Kind::Failure => {
                let texts = texts(rows)?;
                self.writer.fail(rows, &texts)?;
                self.staged.failed += rows.num_rows();
            }
        }
        self.uncommitted += rows.num_rows();
        Ok(())
    }

    async fn commit_if_due(&mut self) -> Result<(), Failure> {
        match self.commit_every.is_some_and(|every| self.uncommitted >= every) {
            true => self.commit().await,
            false => Ok(()),
        }
    }

    async fn commit(&mut self) -> Result<(), Failure> {
        self.committed = self.writer.commit().await?;
        self.uncommitted = 0;
        Ok(())
    }
}

/// The types that columns of rows to write have.
fn types(definition: &FeatureDefinition) -> Types {
    use increment as i;
    let text = ColumnType::Scalar(ScalarType::Text);
    let mut types: Types = system::COLUMNS
        .into_iter()
        .chain([system::TRY, system::CHILDREN])
        .map(|column| (column.to_owned(), lower::column_type(column)))
        .collect();
    for column in [i::STALE_FIELDS, i::STORED_PROVENANCE] {
        types.insert(column.to_owned(), ColumnType::TextMap);
    }
    for column in [i::STATUS, i::STORED_VERSION, i::CAUSE, ERROR] {
        types.insert(column.to_owned(), text);
    }
    if definition.spec.deps.is_empty() {
        let fields = definition.spec.fields.iter();
        types.extend(fields.map(|field| (field.wire_key().struct_key(), text)));
    }
    let columns = definition.columns.iter().flatten();
    types.extend(columns.map(|column| (column.name.clone(), column.ty)));
    types
}

fn kind_of(line: &Line) -> Kind {
    match (line.has(ERROR), line.has(CHILDREN)) {
        (true, _) => Kind::Failure,
        (false, true) => Kind::Seal,
        (false, false) => Kind::Record,
    }
}

/// The rows of a batch by what they are.
fn kinds(batch: &RecordBatch) -> Result<Vec<(Kind, RecordBatch)>, Failure> {
    let is_set = |column: &str| match batch.column_by_name(column) {
        Some(values) => is_not_null(values),
        None => Ok(BooleanArray::from(vec![false; batch.num_rows()])),
    };
    let split = || {
        let failed = is_set(ERROR)?;
        let rest = filter_record_batch(batch, &not(&failed)?)?;
        let sealed = match rest.column_by_name(CHILDREN) {
            Some(values) => is_not_null(values)?,
            None => BooleanArray::from(vec![false; rest.num_rows()]),
        };
        Ok([
            (Kind::Record, filter_record_batch(&rest, &not(&sealed)?)?),
            (Kind::Seal, filter_record_batch(&rest, &sealed)?),
            (Kind::Failure, filter_record_batch(batch, &failed)?),
        ])
    };
    let parts = split().map_err(|error: arrow::error::ArrowError| crate::Error::from(error))?;
    Ok(parts.into_iter().filter(|(_, rows)| rows.num_rows() > 0).collect())
}

fn without(rows: &RecordBatch, is_left_out: impl Fn(&str) -> bool) -> crate::Result<RecordBatch> {
    let schema = rows.schema();
    let fields = schema.fields().iter().enumerate();
    let kept = fields.filter(|(_, field)| !is_left_out(field.name())).map(|(i, _)| i);
    Ok(rows.project(&kept.collect::<Vec<_>>())?)
}

fn texts(rows: &RecordBatch) -> crate::Result<Vec<String>> {
    let Some(column) = rows.column_by_name(ERROR) else { return Ok(Vec::new()) };
    let texts = arrow::compute::cast(column, &DataType::Utf8)?;
    let texts: &StringArray = texts.as_string();
    Ok((0..texts.len()).map(|row| texts.value(row).to_owned()).collect())
}
