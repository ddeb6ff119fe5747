//! Rows from files: JSON lines, Arrow or Parquet, or from standard input.

use super::Failure;
use super::files::RowFormat;
use super::jsonl::{self, Line, Types};
use crate::Error;
use crate::store::WriteError;
use arrow::array::RecordBatch;
use arrow_ipc::reader::{FileReader, StreamReader};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::{Path, PathBuf};

/// How many rows are looked at together.
pub(super) const ROWS_AT_ONCE: usize = 8_192;

/// What the first bytes of a file in Arrow's file format are; a stream has none of its own.
const ARROW_FILE: &[u8] = b"ARROW1";

/// A file with rows.
#[derive(Debug)]
pub(super) struct RowFile {
    path: PathBuf,
    format: RowFormat,
}

/// Rows of a file.
#[derive(Debug)]
pub(super) enum Rows {
    /// Batches, as they are there.
    Batches(Box<dyn BatchIterator>),
    /// Lines that are to become batches.
    Lines(Box<dyn LineIterator>),
}

/// Batches of a file, one after the other.
pub(super) trait BatchIterator:
    Iterator<Item = Result<RecordBatch, Failure>> + Send
{
}
impl<T: Iterator<Item = Result<RecordBatch, Failure>> + Send> BatchIterator for T {}

impl std::fmt::Debug for dyn BatchIterator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("batches")
    }
}

/// Lines of a file, one after the other.
pub(super) trait LineIterator: Iterator<Item = Result<Line, Failure>> + Send {}
impl<T: Iterator<Item = Result<Line, Failure>> + Send> LineIterator for T {}

impl std::fmt::Debug for dyn LineIterator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("lines")
    }
}

impl RowFile {
    /// A file by its path, `-` being standard input; the format is that of its ending, if none is named.
    pub(super) fn new(path: &Path, format: Option<RowFormat>) -> Result<Self, Failure> {
        let format = match format {
            Some(format) => format,
            None if path.as_os_str() == "-" => RowFormat::Jsonl,
            None => RowFormat::of(path)?,
        };
        Ok(Self { path: path.to_owned(), format })
    }

    /// What messages call it.
    pub(super) fn name(&self) -> String {
        name(&self.path)
    }

    fn failed(&self, why: impl std::fmt::Display) -> Failure {
        Failure::input(format!("cannot read `{}`: {why}", self.name()))
    }

    /// The rows, as they come.
    pub(super) fn rows(&self) -> Result<Rows, Failure> {
        let name = self.name();
        let failed = move |why: &dyn std::fmt::Display| {
            Failure::input(format!("cannot read `{name}`: {why}"))
        };
        Ok(match self.format {
            RowFormat::Jsonl => Rows::Lines(Box::new(jsonl::lines(self.name(), self.open()?))),
            RowFormat::Arrow | RowFormat::ArrowFile => {
                let mut bytes = self.open()?;
                let start = bytes.fill_buf().map_err(|error| self.failed(error))?;
                if start.starts_with(ARROW_FILE) {
                    let mut all = Vec::new();
                    bytes.read_to_end(&mut all).map_err(|error| self.failed(error))?;
                    let reader = FileReader::try_new(Cursor::new(all), None);
                    let reader = reader.map_err(|error| self.failed(error))?;
                    Rows::Batches(Box::new(reader.map(move |b| b.map_err(|e| failed(&e)))))
                } else {
                    let reader = StreamReader::try_new(bytes, None);
                    let reader = reader.map_err(|error| self.failed(error))?;
                    Rows::Batches(Box::new(reader.map(move |b| b.map_err(|e| failed(&e)))))
                }
            }
            RowFormat::Parquet => {
                let mut all = Vec::new();
                self.open()?.read_to_end(&mut all).map_err(|error| self.failed(error))?;
                let reader = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(all))
                    .and_then(|reader| reader.with_batch_size(ROWS_AT_ONCE).build());
                let reader = reader.map_err(|error| self.failed(error))?;
                Rows::Batches(Box::new(reader.map(move |b| b.map_err(|e| failed(&e)))))
            }
        })
    }

    fn open(&self) -> Result<Box<dyn BufRead + Send>, Failure> {
        if self.path.as_os_str() == "-" {
            return Ok(Box::new(BufReader::new(io::stdin())));
        }
        let file = File::open(&self.path).map_err(|error| self.failed(error))?;
        Ok(Box::new(BufReader::new(file)))
    }
}

/// What messages call a file.
pub(super) fn name(path: &Path) -> String {
    match path.as_os_str() == "-" {
        true => "standard input".to_owned(),
        false => path.display().to_string(),
    }
}

/// All rows of a file as batches whose columns have the types that are known, and in JSON lines those
/// that their values have where nothing is known.
pub(super) fn batches(file: &RowFile, mut types: Types) -> Result<Box<dyn BatchIterator>, Failure> {
    match file.rows()? {
        Rows::Batches(batches) => Ok(batches),
        Rows::Lines(lines) => {
            let name = file.name();
            let lines = lines.collect::<Result<Vec<_>, _>>()?;
            jsonl::infer(&name, &lines, &mut types)?;
            let chunks = lines.chunks(ROWS_AT_ONCE);
            // A column of later lines alone is one of all lines.
            let mut all: Vec<String> = Vec::new();
            for column in lines.iter().flat_map(|line| line.row.keys()) {
                if !all.contains(column) {
                    all.push(column.clone());
                }
            }
            let batches = chunks.map(|chunk| jsonl::batch(&name, chunk, &types, &all));
            Ok(Box::new(batches.collect::<Vec<_>>().into_iter()))
        }
    }
}

/// The same error about a row of a batch, as one about a row of the file, and the row.
pub(super) fn in_file(mut error: Error, before: usize) -> (Error, Option<usize>) {
    use WriteError as W;
    let row = match &mut error {
        Error::Write {
            reason:
                W::Inexact { row, .. }
                | W::Null { row, .. }
                | W::Nul { row, .. }
                | W::UnknownField { row, .. }
                | W::MissingVersion { row, .. }
                | W::BadVersion { row, .. }
                | W::NotWritable { row, .. }
                | W::Negative { row, .. }
                | W::NoInput { row, .. },
            ..
        }
        | Error::CannotKeep { row, .. } => row,
        _ => return (error, None),
    };
    let in_batch = *row;
    *row += before;
    (error, Some(in_batch))
}
