//! The pipeline: looks at the folder, and then computes, feature by feature, what has to be.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use indicatif::{ProgressBar, ProgressStyle};
use metaxy::prelude::*;
use metaxy::{FeatureGraph, Store};

use crate::compute::{self, SymbolRules};
use crate::features::{File, Freshness, Index, Overview, Text};
use crate::report::{FeatureReport, Report};
use crate::{Error, Result, scan};

/// How many records are computed at once; reading files waits for the disk as much as for the CPU.
const AT_ONCE: usize = 8;

/// A folder, and the store that knows its files.
#[derive(Debug)]
pub struct Pipeline {
    folder: Arc<Path>,
    store: Store,
    rules: SymbolRules,
}

/// What features that read the file itself need to know.
#[derive(Debug, Row)]
struct Location {
    path: String,
}

/// What is known of a file without reading it.
#[derive(Debug, Row)]
struct Attributes {
    path: String,
    size: u64,
    modified: DateTime<Utc>,
}

/// What other features have found out.
#[derive(Debug, Row)]
struct Findings {
    path: String,
    words: u64,
    lines: u64,
    symbol_names: Vec<String>,
}

impl Pipeline {
    /// Opens the store at `url`, for the files in `folder`.
    ///
    /// # Errors
    /// If the store cannot be opened, or was made for other features.
    pub async fn open(folder: impl Into<PathBuf>, url: &str, rules: SymbolRules) -> Result<Self> {
        let graph = FeatureGraph::of::<(Overview, Freshness)>()?
            .with_code_version("files/index.symbols", rules.code_version())?;
        let store = Store::open(url).graph(graph).create_tables(true).await?;
        Ok(Self { folder: Arc::from(folder.into()), store, rules })
    }

    /// Brings every feature up to date.
    ///
    /// # Errors
    /// If the folder cannot be read, or the store fails. What was committed until then stays.
    pub async fn run(&self) -> Result<Report> {
        let mut report = Report::default();
        report.push(self.look().await?);
        let rules = self.rules;
        report.push(self.update(text).await?);
        report.push(self.update(move |folder, input| index(folder, input, rules)).await?);
        report.push(self.update(|_, input| Ok(freshness(input))).await?);
        report.push(self.update(|_, input| Ok(overview(input))).await?);
        Ok(report)
    }

    /// The store, to read from.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Tells the store which files there are, and what they are like.
    async fn look(&self) -> Result<FeatureReport> {
        let paths = scan::paths(&self.folder)?;
        let bar = progress(File::key(), paths.len() as u64);
        let mut files = Vec::with_capacity(paths.len());
        for path in bar.wrap_iter(paths.iter()) {
            files.extend(scan::file(&self.folder, path)?);
        }
        bar.finish_and_clear();
        // These are all files, so a record without a file is one that was deleted.
        let synced = self.store.sync::<File>(files).delete_orphans(true).await?;
        Ok(FeatureReport::root(File::key(), synced.counts))
    }

    /// Computes the records of one feature that are new or stale, and drops those without a file.
    async fn update<F, I>(&self, compute: impl Compute<F, I>) -> Result<FeatureReport>
    where
        F: Feature,
        I: Row + Send + 'static,
    {
        let increment = self.store.resolve_update::<F>().await?;
        let mut report = FeatureReport::computed(F::key(), increment.counts());
        let bar = progress(F::key(), increment.counts().to_compute());

        let mut out = self.store.writer::<F>().commit_every(1_000);
        let jobs = increment.jobs::<I>().map_err(Error::from).map_ok(|job| {
            for stale in job.stale() {
                stale.reasons.iter().for_each(|&reason| report.add_reason(&stale.field, reason));
            }
            let (folder, compute) = (Arc::clone(&self.folder), compute.clone());
            async move {
                let done =
                    tokio::task::spawn_blocking(move || match compute(&folder, job.input()) {
                        Ok(record) => job.done(record),
                        // The record stays as it was, and comes again with the next run.
                        Err(error) => Ok(job.failed(error)),
                    });
                Ok(done.await??)
            }
        });
        let mut jobs = Box::pin(jobs.try_buffer_unordered(AT_ONCE));
        while let Some(done) = jobs.try_next().await? {
            out.push(done).await?;
            bar.inc(1);
        }
        drop(jobs);
        let committed = out.commit().await?;
        report.add_committed(committed);
        bar.finish_and_clear();

        self.store.delete_orphans::<F>().await?;
        Ok(report)
    }
}

/// A computation that several threads can do at once.
trait Compute<F, I>: Fn(&Path, &I) -> Result<F> + Clone + Send + 'static {}

impl<F, I, C: Fn(&Path, &I) -> Result<F> + Clone + Send + 'static> Compute<F, I> for C {}

fn text(folder: &Path, Location { path }: &Location) -> Result<Text> {
    let content = fs::read(folder.join(path))?;
    let text = compute::as_text(&content);
    let counts = text.map(compute::text_counts).unwrap_or_default();
    Ok(Text {
        path: path.clone(),
        is_text: text.is_some(),
        lines: counts.lines,
        words: counts.words,
        characters: counts.characters,
        longest_line: counts.longest_line,
        // Equal counts are equal for whoever reads them, whatever happened to the file.
        counts: DataVersion::of(format!("{counts:?}")),
    })
}

fn index(folder: &Path, Location { path }: &Location, rules: SymbolRules) -> Result<Index> {
    let content = fs::read(folder.join(path))?;
    let text = compute::as_text(&content).unwrap_or_default();
    let symbol_names = compute::symbols(path, text, rules);
    let link_targets = compute::links(path, text);
    Ok(Index {
        path: path.clone(),
        symbols: DataVersion::of(symbol_names.join("\n")),
        links: DataVersion::of(link_targets.join("\n")),
        symbol_names,
        link_targets,
    })
}

fn freshness(Attributes { path, size, modified }: &Attributes) -> Freshness {
    Freshness {
        path: path.clone(),
        day: modified.date_naive(),
        size_class: compute::size_class(*size),
        age: DataVersion::default(),
    }
}

fn overview(Findings { path, words, lines, symbol_names }: &Findings) -> Overview {
    Overview {
        path: path.clone(),
        minutes_to_read: compute::minutes_to_read(*words),
        symbols_per_100_lines: compute::per_100_lines(symbol_names.len(), *lines),
        measures: DataVersion::default(),
    }
}

/// A bar on standard error; nothing where that is no terminal.
fn progress(feature: impl std::fmt::Display, length: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix:16} {bar:30} {pos}/{len}, {eta} left");
    let style = style.expect("the template has only known keys");
    ProgressBar::new(length).with_style(style).with_prefix(feature.to_string())
}
