//! Rows in files: JSON lines, Arrow or Parquet, by the ending of the name.

use super::output::{Answer, Format};
use super::{Failure, Output};
use crate::store::stage::without_names;
use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use arrow_ipc::writer::{FileWriter, StreamWriter};
use arrow_json::WriterBuilder;
use arrow_json::writer::LineDelimited;
use clap::{Args, ValueEnum};
use futures::{Stream, TryStreamExt};
use parquet::arrow::ArrowWriter;
use serde_json::Value;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;

/// How rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum RowFormat {
    /// A JSON object in each line
    Jsonl,
    /// Arrow's stream format
    Arrow,
    /// Arrow's file format, as Feather and Polars' `read_ipc` have it
    ArrowFile,
    /// Parquet
    Parquet,
}

impl RowFormat {
    /// The format that the ending of a name says.
    pub(super) fn of(path: &Path) -> Result<Self, Failure> {
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("jsonl" | "ndjson") => Ok(Self::Jsonl),
            Some("arrows") => Ok(Self::Arrow),
            Some("arrow" | "feather") => Ok(Self::ArrowFile),
            Some("parquet") => Ok(Self::Parquet),
            _ => Err(Failure::input(format!(
                "`{}` does not say how rows are written; end it with .jsonl, .arrow, .arrows or \
                 .parquet, or name `--rows`",
                path.display()
            ))),
        }
    }
}

/// Where rows go.
#[derive(Debug, Args)]
pub(super) struct Rows {
    /// Write the rows to this file: .jsonl, .arrow, .arrows (a stream) or .parquet
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write the rows like this; to standard output if no file is named
    #[arg(long, value_enum, value_name = "FORMAT")]
    rows: Option<RowFormat>,
}

impl Rows {
    /// Whether rows are asked for at all.
    pub(super) fn are_wanted(&self) -> bool {
        self.output.is_some() || self.rows.is_some()
    }

    /// Whether rows, and nothing else, go to standard output.
    pub(super) fn go_to_stdout(&self) -> bool {
        self.output.is_none() && self.rows.is_some()
    }

    /// Writes rows where they are asked for; how many there were. A file appears when it is whole.
    pub(super) async fn write(
        &self,
        batches: impl Stream<Item = Result<RecordBatch, Failure>>,
        out: &mut Output,
    ) -> Result<u64, Failure> {
        let Some(path) = &self.output else {
            let format = self.rows.unwrap_or(RowFormat::Jsonl);
            return write(batches, format, out.data()).await;
        };
        let format = self.rows.map_or_else(|| RowFormat::of(path), Ok)?;
        let failed = |error| Failure::input(format!("cannot write `{}`: {error}", path.display()));
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let beside = tempfile::Builder::new()
            .prefix(".metaxy-")
            .tempfile_in(folder.unwrap_or(Path::new(".")));
        let beside = beside.map_err(failed)?;
        let mut file = BufWriter::new(beside);
        let rows = write(batches, format, &mut file).await.map_err(|failure| match failure {
            Failure::Output(error) => failed(error),
            other => other,
        })?;
        let beside = file.into_inner().map_err(|error| failed(error.into_error()))?;
        beside.persist(path).map_err(|error| failed(error.error))?;
        Ok(rows)
    }

    /// As [`write`](Self::write), or, where nothing is said, in the form of all answers.
    pub(super) async fn write_or_show(
        &self,
        batches: impl Stream<Item = Result<RecordBatch, Failure>>,
        out: &mut Output,
    ) -> Result<(), Failure> {
        if self.are_wanted() {
            let rows = self.write(batches, out).await?;
            eprintln!("{rows} rows");
            return Ok(());
        }
        if out.format() == Format::Json {
            write(batches, RowFormat::Jsonl, out.data()).await?;
            return Ok(());
        }
        show(batches.try_collect().await?, out)
    }
}

/// Writes rows; where the other end fails it is a [`Failure::Output`], whoever writes.
async fn write(
    batches: impl Stream<Item = Result<RecordBatch, Failure>>,
    format: RowFormat,
    to: &mut (dyn Write + '_),
) -> Result<u64, Failure> {
    let mut batches = pin!(batches);
    let mut rows = 0;
    let failed = |error: ArrowError| match error {
        ArrowError::IoError(_, error) => Failure::Output(error),
        error => Failure::from(crate::Error::from(error)),
    };
    // The first batch has the schema; there is one even if there are no rows.
    let Some(first) = batches.try_next().await? else { return Ok(0) };
    let schema = first.schema();
    let mut next = Some(first);
    // Each batch, in whatever form.
    macro_rules! write_all {
        ($writer:ident, $failed:ident, $as_written:expr) => {
            while let Some(batch) = next {
                rows += batch.num_rows() as u64;
                $writer.write(&$as_written(&batch)?).map_err($failed)?;
                next = batches.try_next().await?;
            }
        };
    }
    match format {
        RowFormat::Jsonl => {
            // A column that is left out and one that is NULL are two things: `write` tells them apart.
            let mut writer =
                WriterBuilder::new().with_explicit_nulls(true).build::<_, LineDelimited>(to);
            write_all!(writer, failed, without_zone_names);
            writer.finish().map_err(failed)?;
        }
        RowFormat::Arrow => {
            let mut writer = StreamWriter::try_new(to, &schema).map_err(failed)?;
            write_all!(writer, failed, as_it_is);
            writer.finish().map_err(failed)?;
        }
        RowFormat::ArrowFile => {
            let mut writer = FileWriter::try_new(to, &schema).map_err(failed)?;
            write_all!(writer, failed, as_it_is);
            writer.finish().map_err(failed)?;
        }
        RowFormat::Parquet => {
            let failed = |error: parquet::errors::ParquetError| {
                Failure::input(format!("cannot write Parquet: {error}"))
            };
            // The writer moves to other threads in some builds; a buffer of its own is free of that.
            let mut buffer = Vec::new();
            let mut writer = ArrowWriter::try_new(&mut buffer, schema, None).map_err(failed)?;
            write_all!(writer, failed, as_it_is);
            writer.close().map_err(failed)?;
            to.write_all(&buffer)?;
        }
    }
    Ok(rows)
}

fn as_it_is(batch: &RecordBatch) -> Result<RecordBatch, Failure> {
    Ok(batch.clone())
}

/// The same rows, with times that can be written as texts: for the name of a time zone that would take
/// a table of all of them, for an offset it does not.
fn without_zone_names(batch: &RecordBatch) -> Result<RecordBatch, Failure> {
    let convert = || {
        let schema = batch.schema();
        let fields = schema.fields().iter().zip(batch.columns());
        let columns = fields.map(|(field, column)| {
            let ty = without_names(field.data_type());
            let column = arrow::compute::cast(column, &ty)?;
            Ok((field.as_ref().clone().with_data_type(ty), column))
        });
        let columns = columns.collect::<Result<Vec<_>, ArrowError>>()?;
        let (fields, columns): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
    };
    convert().map_err(|error| crate::Error::from(error).into())
}

/// Shows rows as a table: for reading, so there should not be too many.
fn show(batches: Vec<RecordBatch>, out: &mut Output) -> Result<(), Failure> {
    let Some(first) = batches.first() else { return Ok(()) };
    let schema = first.schema();
    let header: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    let options = FormatOptions::default();
    let failed = |error: ArrowError| Failure::from(crate::Error::from(error));
    let mut rows = Vec::new();
    for batch in batches {
        let batch = without_zone_names(&batch)?;
        let columns =
            batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options));
        let columns = columns.collect::<Result<Vec<_>, _>>().map_err(failed)?;
        for row in 0..batch.num_rows() {
            rows.push(columns.iter().map(|column| column.value(row).to_string()).collect());
        }
    }
    let n_rows = rows.len();
    let answer = Answer::new(Value::Null).table(header, rows).text(format!("{n_rows} rows"));
    out.answer(&answer)
}
