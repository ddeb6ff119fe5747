//! `metaxy sync`: brings a root up to date.

use super::files::RowFormat;
use super::input::{self, RowFile, name};
use super::jsonl::Types;
use super::output::Answer;
use super::status::counts_json;
use super::{Context, Failure, Output, context};
use crate::spec::FeatureDefinition;
use crate::store::Samples;
use clap::Args;
use futures::StreamExt;
use serde_json::json;
use std::path::{Path, PathBuf};

/// Compare samples of a root with what is stored, and append what differs
///
/// Samples are the records as they should be, all of them unless `--partial` says otherwise: the rows of a
/// file, or of a table or view in the database of the store, which is how a table that is there already is
/// imported. They have the columns of the feature, and for each field a column of its name with the version;
/// `--rename`, `--version-of` and `--constant` say where it differs.
#[derive(Debug, Args)]
pub(super) struct Sync {
    /// The key of the root
    feature: String,
    /// The file with the samples: .jsonl, .arrow, .arrows or .parquet, or .csv with a store in DuckDB;
    /// `-` is standard input
    #[arg(required_unless_present = "table", conflicts_with = "table")]
    file: Option<PathBuf>,
    /// A table or view of the same database: `raw_videos`, `schema.raw_videos`
    #[arg(long, value_name = "NAME")]
    table: Option<String>,
    /// How the file is written, if its name does not say it
    #[arg(long, value_enum, value_name = "FORMAT")]
    rows: Option<RowFormat>,
    /// The samples are some of the records: those that they lack are left alone
    #[arg(long)]
    partial: bool,
    /// Mark records that the samples lack as deleted
    #[arg(long, conflicts_with = "partial")]
    delete_orphans: bool,
    /// The column HERE of the feature is called THERE in the samples
    #[arg(long, value_name = "THERE=HERE", value_parser = pair)]
    rename: Vec<(String, String)>,
    /// The version of a field is in this column: a checksum, a time of change
    #[arg(long, value_name = "FIELD=COLUMN", value_parser = pair)]
    version_of: Vec<(String, String)>,
    /// A field has no version that could change
    #[arg(long, value_name = "FIELD")]
    constant: Vec<String>,
    /// A name for this sync: one that was done under it before does nothing
    #[arg(long)]
    token: Option<String>,
    /// A name for the run, kept with every row
    #[arg(long, value_name = "ID")]
    materialization_id: Option<String>,
    /// Count only, and write nothing
    #[arg(long)]
    dry_run: bool,
}

/// Two names with `=` between them.
pub(super) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((left, right)) if !left.is_empty() && !right.is_empty() => {
            Ok((left.to_owned(), right.to_owned()))
        }
        _ => Err("write two names with `=` between them".to_owned()),
    }
}

impl Sync {
    pub(super) async fn run(&self, context: &Context, out: &mut Output) -> Result<(), Failure> {
        let store = context.store().await?;
        let key = context::feature(store.graph(), &self.feature)?;
        let mut samples = self.samples(store.graph().expect(&key)?)?;
        for (there, here) in &self.rename {
            samples = samples.rename(there, here);
        }
        for (field, column) in &self.version_of {
            samples = samples.version(field, column);
        }
        for field in &self.constant {
            samples = samples.constant(field);
        }
        let mut sync = store.sync_of(&key, samples);
        sync = sync.partial(self.partial).delete_orphans(self.delete_orphans);
        sync = sync.dry_run(self.dry_run);
        if let Some(token) = &self.token {
            sync = sync.token(token);
        }
        if let Some(id) = &self.materialization_id {
            sync = sync.materialization_id(id);
        }
        let bar = context.progress(None, format!("syncing {key}"));
        let report = sync.await;
        bar.finish_and_clear();
        let report = report.map_err(|error| {
            let is_about_rows = matches!(error, crate::Error::Write { .. });
            let failure = Failure::from(error);
            match &self.file {
                Some(path) if is_about_rows => failure.about(format!("`{}`", name(path))),
                _ => failure,
            }
        })?;
        let json = json!({
            "feature": key.as_str(),
            "counts": counts_json(report.counts),
            "rows": report.written.rows,
            "deleted": report.written.deleted,
            "repeated": report.written.repeated,
            "dry_run": self.dry_run,
        });
        let text = match self.dry_run {
            true => format!("{key}: {}; nothing was written", report.counts),
            false => format!("{key}: {report}"),
        };
        out.answer(&Answer::new(json).text(text))
    }

    fn samples(&self, definition: &FeatureDefinition) -> Result<Samples, Failure> {
        let Some(path) = &self.file else {
            return Ok(Samples::table(self.table.clone().unwrap_or_default()));
        };
        let ending = path.extension().and_then(|ending| ending.to_str());
        if self.rows.is_none() && matches!(ending, Some("csv" | "tsv" | "json")) {
            return Ok(Samples::file(existing(path)?));
        }
        let file = RowFile::new(path, self.rows)?;
        let batches = input::batches(&file, self.types(definition))?;
        // What cannot be read is said before anything is compared.
        let batches = batches.collect::<Result<Vec<_>, _>>()?;
        Ok(Samples::stream(futures::stream::iter(batches.into_iter().map(Ok)).boxed()))
    }

    /// The types of the columns, as far as they are declared, by the names that they have in the samples.
    fn types(&self, definition: &FeatureDefinition) -> Types {
        let columns = definition.columns.iter().flatten();
        let there = |here: &String| {
            let renamed = self.rename.iter().find(|(_, renamed)| renamed == here);
            renamed.map_or(here, |(there, _)| there).clone()
        };
        columns.map(|column| (there(&column.name), column.ty)).collect()
    }
}

/// A path that an engine will open: what is wrong with it is said in the same words for all engines.
fn existing(path: &Path) -> Result<PathBuf, Failure> {
    match std::fs::metadata(path) {
        Ok(_) => Ok(path.to_owned()),
        Err(error) => Err(Failure::input(format!("cannot read `{}`: {error}", path.display()))),
    }
}
